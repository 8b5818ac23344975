/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Asking an adit that runs.
 *
 * Each question is a connection of its own: it costs little, and an adit that was started anew meanwhile answers too.
 */
#include "cli/control_client.h"

#include "cli/control_request.h"
#include "cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One that is stopped or hangs does not answer; the longest list takes a fraction of a second. */
enum { TIMEOUT_MS = 5000 };

/* Longest answer that is taken: more than ADIT_CONTROL_FLOWS_MAX connections need. */
enum { ANSWER_MAX = 64 << 20 };

/* Most sockets that are listed. */
enum { FOUND_MAX = 64 };

/* ---- one question -------------------------------------------------------------------------------------------------- */

static int explain(char *reason, int error, const char *path) {
  const char *why = strerror(-error);
  if (error == -ENOENT) why = "there is no such socket; is adit running, and not with --control off?";
  if (error == -ECONNREFUSED) why = "nobody listens there any more; the adit that did has ended";
  if (error == -EACCES || error == -EPERM)
    why = "permission denied; only the user that this adit runs as, and root, may ask it";
  if (error == -EAGAIN || error == -ETIMEDOUT) {
    error = -ETIMEDOUT;
    why = "no answer within 5 seconds; is that adit stopped?";
  }
  snprintf(reason, ADIT_CONTROL_REASON, "%s: %s", path, why);
  return error;
}

static int send_line(int fd, const char *request) {
  char line[ADIT_CONTROL_LINE];
  int length = snprintf(line, sizeof line, "%s\n", request);
  if (length < 0 || (size_t)length >= sizeof line) return -EMSGSIZE;
  ssize_t put = send(fd, line, (size_t)length, MSG_NOSIGNAL);
  if (put < 0) return errno == EPIPE ? 0 : -errno; /* it may have said why before it hung up */
  return put == length ? 0 : -EAGAIN;
}

/* Read up to the newline. Returns 0 and the owned `*text`. */
static int receive_line(int fd, char **text) {
  size_t used = 0, size = 4096;
  char *line = malloc(size);
  int error = line == NULL ? -ENOMEM : 0;
  const char *end = NULL;
  while (error == 0 && end == NULL) {
    if (used + 1 == size) {
      char *larger = size < ANSWER_MAX ? realloc(line, 2 * size) : NULL;
      if (larger == NULL) {
        error = size < ANSWER_MAX ? -ENOMEM : -EMSGSIZE;
        break;
      }
      line = larger;
      size *= 2;
    }
    ssize_t got = recv(fd, line + used, size - used - 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      error = got == 0 ? -ECONNRESET : -errno;
      break;
    }
    end = memchr(line + used, '\n', (size_t)got);
    used += (size_t)got;
  }
  if (error != 0) {
    free(line);
    return error;
  }
  line[end - line] = '\0';
  *text = line;
  return 0;
}

/* From its text to its value. */
static int understand(const char *path, struct adit_control_reply *reply, char *reason) {
  reply->value = cJSON_Parse(reply->text);
  const cJSON *ok = cJSON_GetObjectItemCaseSensitive(reply->value, "ok");
  if (cJSON_IsTrue(ok)) return 0;
  if (cJSON_IsFalse(ok))
    snprintf(reason, ADIT_CONTROL_REASON, "%s: %s", path, adit_control_text(reply->value, "error", (char *)NULL));
  else
    snprintf(reason, ADIT_CONTROL_REASON, "%s: what answers there is no adit", path);
  return cJSON_IsFalse(ok) ? -EREMOTEIO : -EPROTO;
}

int adit_control_ask(const char *path, const char *request, struct adit_control_reply *reply, char *reason) {
  *reply = (struct adit_control_reply){0};
  int fd = adit_control_connect(path, TIMEOUT_MS);
  if (fd < 0) return explain(reason, fd, path);
  int error = send_line(fd, request);
  if (error == 0) error = receive_line(fd, &reply->text);
  close(fd);
  if (error != 0) return explain(reason, error, path);
  error = understand(path, reply, reason);
  if (error != 0) adit_control_reply_free(reply);
  return error;
}

void adit_control_reply_free(struct adit_control_reply *reply) {
  cJSON_Delete(reply->value);
  free(reply->text);
  *reply = (struct adit_control_reply){0};
}

/* ---- reading answers ----------------------------------------------------------------------------------------------- */

static cJSON *follow(const cJSON *value, const char *name, va_list names) {
  cJSON *found = cJSON_GetObjectItemCaseSensitive(value, name);
  while ((name = va_arg(names, const char *)) != NULL) found = cJSON_GetObjectItemCaseSensitive(found, name);
  return found;
}

double adit_control_number(const cJSON *value, const char *name, ...) {
  va_list names;
  va_start(names, name);
  const cJSON *found = follow(value, name, names);
  va_end(names);
  return cJSON_IsNumber(found) ? found->valuedouble : 0;
}

const char *adit_control_text(const cJSON *value, const char *name, ...) {
  va_list names;
  va_start(names, name);
  cJSON *found = follow(value, name, names);
  va_end(names);
  if (!cJSON_IsString(found)) return "";
  for (char *c = found->valuestring; *c != '\0'; c++)
    if (*c < ' ' || *c > '~') *c = '?';
  return found->valuestring;
}

/* ---- which one ----------------------------------------------------------------------------------------------------- */

struct found {
  char path[FOUND_MAX][ADIT_CONTROL_PATH];
  size_t count;
};

/* Whether a socket is that of a device: "adit0.sock", or "adit0@1234.sock". */
static bool is_of_device(const char *name, const char *device) {
  size_t length = strlen(device);
  return strncmp(name, device, length) == 0 && (name[length] == '@' || strcmp(name + length, ".sock") == 0);
}

/* All on which somebody listens, of `device` or (NULL) any. */
static void look_for(const char *folder, const char *device, struct found *found) {
  DIR *names = opendir(folder);
  const struct dirent *entry;
  while (names != NULL && found->count < FOUND_MAX && (entry = readdir(names)) != NULL) {
    char path[ADIT_CONTROL_PATH + 256];
    int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (length >= ADIT_CONTROL_PATH || !adit_control_is_name(entry->d_name)) continue;
    if (device != NULL && !is_of_device(entry->d_name, device)) continue;
    int fd = adit_control_connect(path, TIMEOUT_MS);
    if (fd >= 0) close(fd);
    if (fd < 0 && fd != -EAGAIN) continue;
    memcpy(found->path[found->count++], path, (size_t)length + 1);
  }
  if (names != NULL) closedir(names);
}

static int compare_paths(const void *a, const void *b) {
  return strcmp(a, b);
}

static enum adit_cli_status list_several(const struct adit_cli_options *options, struct found *found) {
  adit_cli_fail(options,
                "several adits run%s%s; say which with --control:", options->dev != NULL ? " with the device " : "",
                options->dev != NULL ? options->dev : "");
  qsort(found->path, found->count, sizeof found->path[0], compare_paths);
  for (size_t i = 0; i < found->count; i++) {
    char reason[ADIT_CONTROL_REASON];
    struct adit_control_reply reply;
    if (adit_control_ask(found->path[i], "{\"request\":\"stat\"}", &reply, reason) != 0) {
      fprintf(stderr, "  --control %s\n", reason);
      continue;
    }
    fprintf(stderr, "  --control %s    adit %s, device %s, process %.0f\n", found->path[i],
            adit_control_text(reply.value, "adit", "command", (char *)NULL),
            adit_control_text(reply.value, "device", "name", (char *)NULL),
            adit_control_number(reply.value, "adit", "pid", (char *)NULL));
    adit_control_reply_free(&reply);
  }
  return ADIT_CLI_FAILED;
}

enum adit_cli_status adit_control_find(const struct adit_cli_options *options, char path[ADIT_CONTROL_PATH]) {
  char folder[ADIT_CONTROL_PATH];
  if (options->control != NULL) {
    if (strlen(options->control) >= ADIT_CONTROL_PATH)
      return adit_cli_fail(options, "--control %s: too long; the path of a socket has at most %d bytes",
                           options->control, ADIT_CONTROL_PATH - 1);
    memcpy(path, options->control, strlen(options->control) + 1);
    return ADIT_CLI_DONE;
  }
  if (adit_control_folder(folder) != 0)
    return adit_cli_fail(options, "where to look is not known, because XDG_RUNTIME_DIR names no folder; say which "
                                  "adit is meant with --control");
  struct found *found = calloc(1, sizeof *found);
  if (found == NULL) return adit_cli_fail(options, "out of memory");
  enum adit_cli_status status = ADIT_CLI_DONE;
  look_for(folder, options->dev, found);
  if (found->count == 1)
    memcpy(path, found->path[0], ADIT_CONTROL_PATH);
  else if (found->count > 1)
    status = list_several(options, found);
  else
    status = adit_cli_fail(options,
                           "there is no adit to ask: none that runs%s%s has a control socket in %s%s; --control names "
                           "one elsewhere",
                           options->dev != NULL ? " with the device " : "", options->dev != NULL ? options->dev : "",
                           folder, geteuid() != 0 ? " (those of root are asked as root)" : "");
  free(found);
  return status;
}
