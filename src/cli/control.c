/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The control socket of a command that runs.
 *
 * Nobody asked for the socket that is there by default, so it never keeps a command from starting: names of devices are
 * those of a network namespace and the folder is that of the machine, so two adits may well want one name; and there may
 * be no folder to write to. What --control names was asked for, and its lack is an error.
 *
 * Everything is opened here, before a sandbox may close the doors: from then on the clients need accept4, recv, send,
 * epoll_ctl and epoll_wait, pread of a file that is open, and the end lstat and unlink.
 */
#include "cli/control.h"

#include "cli/control_answer.h"
#include "cli/control_server.h"
#include "cli/control_socket.h"
#include "cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct adit_control {
  struct adit_control_subject subject;
  struct adit_control_socket socket;
  struct adit_control_server *server; /* owned */
  struct adit_control_process process;
};

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- listening ----------------------------------------------------------------------------------------------------- */

/* Where the device's name leads. Returns 0 or a negative errno with the reason. */
static int listen_by_name(struct adit_control *control, char *reason) {
  char folder[ADIT_CONTROL_PATH], path[ADIT_CONTROL_PATH + ADIT_DEVICE_NAME + 32];
  int error = adit_control_folder(folder);
  if (error != 0) {
    snprintf(reason, ADIT_CONTROL_REASON, "no folder for it: XDG_RUNTIME_DIR names none");
    return error;
  }
  (void)adit_control_sweep(folder, NULL, NULL);
  snprintf(path, sizeof path, "%s/%s.sock", folder, control->subject.name);
  error = adit_control_listen(path, &control->socket, reason);
  if (error != -EADDRINUSE) return error;
  snprintf(path, sizeof path, "%s/%s@%ld.sock", folder, control->subject.name, (long)getpid());
  return adit_control_listen(path, &control->socket, reason);
}

static char *answer(void *user, const struct adit_control_request *request, bool *stop) {
  struct adit_control *control = user;
  return adit_control_answer(&control->subject, &control->process, request, stop);
}

enum adit_cli_status adit_control_open(const struct adit_control_subject *subject, struct adit_control **control) {
  const struct adit_cli_options *options = subject->options;
  char reason[ADIT_CONTROL_REASON];
  *control = NULL;
  if (options->control != NULL && strcmp(options->control, "off") == 0) return ADIT_CLI_DONE;
  struct adit_control *made = calloc(1, sizeof *made);
  if (made == NULL) return adit_cli_fail(options, "out of memory");
  made->subject = *subject;
  int error = options->control != NULL ? adit_control_listen(options->control, &made->socket, reason)
                                       : listen_by_name(made, reason);
  if (error != 0) {
    enum adit_cli_status status = ADIT_CLI_DONE;
    if (options->control != NULL)
      status = adit_cli_fail(options, "--control %s", reason);
    else
      adit_cli_detail(options, "no control socket, adit stat will not find this one: %s", reason);
    free(made);
    return status;
  }
  adit_control_process_open(&made->process);
  error = adit_control_server_new(made->socket.fd, answer, made, &made->server);
  if (error != 0) {
    adit_control_close(made);
    return adit_cli_fail(options, "no control socket can be made: %s", strerror(-error));
  }
  adit_cli_detail(options, "the control socket is %s", made->socket.path);
  *control = made;
  return ADIT_CLI_DONE;
}

const char *adit_control_path(const struct adit_control *control) {
  return control != NULL ? control->socket.path : NULL;
}

void adit_control_start(struct adit_control *control, struct adit_runtime *runtime) {
  if (control != NULL) control->subject.runtime = runtime;
}

void adit_control_close(struct adit_control *control) {
  if (control == NULL) return;
  adit_control_server_free(control->server);
  adit_control_process_close(&control->process);
  adit_control_unlisten(&control->socket);
  free(control);
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

int adit_control_fd(const struct adit_control *control) {
  return control != NULL ? adit_control_server_fd(control->server) : -1;
}

int adit_control_timeout(const struct adit_control *control) {
  return control != NULL ? adit_control_server_timeout(control->server, now_ms()) : -1;
}

bool adit_control_turn(struct adit_control *control) {
  return control != NULL && adit_control_server_turn(control->server, now_ms());
}

int adit_control_cleanup(void (*removed)(void *user, const char *path), void *user) {
  char folder[ADIT_CONTROL_PATH];
  int error = adit_control_folder(folder);
  return error == 0 ? adit_control_sweep(folder, removed, user) : 0;
}
