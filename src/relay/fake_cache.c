/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The file in which names and their addresses survive a restart.
 *
 * Text, a line each, in the order of last use, so that the order survives as well:
 *
 *     adit names 1
 *     17 example.org
 *     4 www.example.net
 *     end 2 8b1a9953c4611296
 *
 * The last line has the number of names and a checksum (SipHash, key zero) of everything before it. A file is taken
 * whole or not at all: one that is cut short, or changed in a single byte, may give an address to the wrong name. It
 * is written beside its place and put there by rename, so that there is always a whole one, the old or the new.
 *
 * Nothing is known of the clients of the run before, so every name that is read counts as used just now.
 *
 * Who writes: a thread of the table's own, every PERIOD_S when something has changed, and adit_fake_names_free. A disk
 * may take its time, and workers have none. The lock of the table is held only while the text is made.
 */
#include "relay/fake_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TITLE "adit names 1\n"
enum {
  LINE = 16 + ADIT_DNS_HOST, /* longest line of a name */
  PERIOD_S = 30
};

static uint64_t checksum(const char *text, size_t length) {
  static const unsigned char key[crypto_shorthash_KEYBYTES];
  unsigned char hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, (const unsigned char *)text, length, key);
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof hash; i++) sum = sum << 8 | hash[i];
  return sum;
}

/* The last line, without newline. Returns `line`. */
static const char *format_end(char *line, size_t size, uint32_t count, uint64_t sum) {
  snprintf(line, size, "end %" PRIu32 " %016" PRIx64, count, sum);
  return line;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The whole file, with a zero behind it. Returns 0 and `*text`, owned by the caller, or a negative errno. */
static int read_file(const char *path, char **text, size_t *length) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would keep the start waiting */
  if (fd < 0) return errno ? -errno : -EIO;
  struct stat about;
  int error = 0;
  char *bytes = NULL;
  size_t most = (size_t)(ADIT_FAKE_MOST + 2) * LINE;
  if (fstat(fd, &about) < 0)
    error = -errno;
  else if (!S_ISREG(about.st_mode))
    error = -EINVAL;
  else if (about.st_size < 0 || (uint64_t)about.st_size > most)
    error = -EFBIG;
  if (error) goto done;
  size_t size = (size_t)about.st_size;
  bytes = malloc(size + 1);
  if (!bytes) {
    error = -ENOMEM;
    goto done;
  }
  size_t have = 0;
  while (have < size) {
    ssize_t got = read(fd, bytes + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = -errno;
    if (got <= 0) break;
    have += (size_t)got;
  }
  bytes[have] = '\0';
  *length = have;
done:
  close(fd);
  if (error)
    free(bytes);
  else
    *text = bytes;
  return error;
}

/* A decimal number without sign or leading zero, and what stands behind it. Returns false when there is none. */
static bool read_number(const char **at, uint32_t *number) {
  if (**at < '1' || **at > '9') return false;
  char *end;
  errno = 0;
  unsigned long value = strtoul(*at, &end, 10);
  if (errno || value > ADIT_FAKE_MOST) return false;
  *number = (uint32_t)value;
  *at = end;
  return true;
}

/* One name. Returns NULL, or what is wrong. */
static const char *take_line(struct adit_fake_names *names, const char *line, uint64_t now_ns) {
  const char *at = line;
  uint32_t number;
  char host[ADIT_DNS_HOST];
  if (!read_number(&at, &number) || *at++ != ' ') return "a line without number";
  if (!adit_dns_host(at, host) || strcmp(at, host) != 0) return "a line without a host's name in lower case";
  if (number > names->size) return NULL; /* the pool was larger then */
  if (!adit_fake_table_is_free(names, host, number)) {
    for (size_t i = 0; i < names->excepts; i++)
      if (names->except[i] == number) return NULL; /* the device has this address now */
    return "a number or a name that is there twice";
  }
  struct adit_fake_name *name = adit_fake_table_add(names, host, number);
  if (!name) return "no memory";
  adit_fake_table_use(names, name, now_ns);
  return NULL;
}

/* Returns NULL, or what is wrong with the file. `text` is changed. */
static const char *take_text(struct adit_fake_names *names, char *text, size_t length, uint64_t now_ns) {
  if (strlen(text) != length) return "a zero byte in it";
  if (length < strlen(TITLE) || strncmp(text, TITLE, strlen(TITLE)) != 0)
    return "it does not begin with 'adit names 1'";
  if (text[length - 1] != '\n') return "its end is missing";
  text[length - 1] = '\0';
  char *last = strrchr(text, '\n');
  if (!last) return "its end is missing";
  last++;
  if (strncmp(last, "end ", 4) != 0) return "its end is missing";
  uint32_t lines = 0;
  for (const char *at = text + strlen(TITLE); at < last; at++) lines += *at == '\n';
  char end_line[64];
  if (strcmp(last, format_end(end_line, sizeof end_line, lines, checksum(text, (size_t)(last - text)))) != 0)
    return "its checksum is wrong";
  for (char *line = text + strlen(TITLE), *end; line < last; line = end + 1) {
    end = strchr(line, '\n'); /* there is one before `last` */
    *end = '\0';
    const char *wrong = take_line(names, line, now_ns);
    if (wrong) return wrong;
  }
  return NULL;
}

void adit_fake_cache_read(struct adit_fake_names *names, uint64_t now_ns) {
  if (!names->cache) return;
  char *text = NULL;
  size_t length = 0;
  int error = read_file(names->cache, &text, &length);
  if (error == -ENOENT) return;
  if (!error && !text) error = -EIO;
  const char *wrong = error == -EINVAL  ? "it is not a file"
                      : error == -EFBIG ? "it is too large"
                      : error           ? strerror(-error)
                                        : take_text(names, text, length, now_ns);
  free(text);
  if (!wrong) return;
  adit_fake_table_clear(names);
  adit_log_write(&names->log, ADIT_LOG_WARNING, 0, "%s: ignored, the names of the last run are forgotten: %s",
                 names->cache, wrong);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The text of the file. With the lock held. Returns it, owned by the caller, or NULL without memory. */
static char *make_text(const struct adit_fake_names *names, size_t *length) {
  size_t room = sizeof TITLE + 64;
  for (uint32_t number = 1; number <= names->size; number++)
    if (names->by_number[number]) room += 8 + strlen(names->by_number[number]->host);
  char *text = malloc(room);
  if (!text) return NULL;
  char *at = text + sprintf(text, TITLE);
  for (const struct adit_fake_name *name = names->first; name; name = name->next)
    at += sprintf(at, "%" PRIu32 " %s\n", name->number, name->host);
  for (uint32_t number = 1; number <= names->size; number++) { /* those that are held were used last */
    const struct adit_fake_name *name = names->by_number[number];
    if (name && name->holds > 0) at += sprintf(at, "%" PRIu32 " %s\n", name->number, name->host);
  }
  char end_line[64];
  at += sprintf(at, "%s\n", format_end(end_line, sizeof end_line, names->count, checksum(text, (size_t)(at - text))));
  *length = (size_t)(at - text);
  return text;
}

static int write_all(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    text += written;
    length -= (size_t)written;
  }
  return fsync(fd) < 0 ? -errno : 0;
}

/* Write beside it, then put it in its place. */
static int replace_file(const char *path, const char *text, size_t length) {
  size_t size = strlen(path) + sizeof ".new";
  char *beside = malloc(size);
  if (!beside) return -ENOMEM;
  snprintf(beside, size, "%s.new", path);
  unlink(beside); /* of a run that was killed; and nobody else's file is written through a link */
  int error = 0;
  int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    error = -errno;
    goto done;
  }
  error = write_all(fd, text, length);
  if (close(fd) < 0 && !error) error = -errno;
  if (!error && rename(beside, path) < 0) error = -errno;
  if (error) unlink(beside);
done:
  free(beside);
  return error;
}

int adit_fake_names_save(struct adit_fake_names *names) {
  if (!names->cache) return 0;
  int error = 0;
  size_t length = 0;
  char *text = NULL;
  pthread_mutex_lock(&names->file);
  pthread_mutex_lock(&names->lock);
  bool changed = names->changed;
  if (changed) {
    text = make_text(names, &length);
    names->changed = text == NULL;
  }
  pthread_mutex_unlock(&names->lock);
  if (changed) error = text ? replace_file(names->cache, text, length) : -ENOMEM;
  free(text);
  if (error) {
    pthread_mutex_lock(&names->lock);
    names->changed = true;
    pthread_mutex_unlock(&names->lock);
    adit_log_write(&names->log, ADIT_LOG_WARNING, 0, "%s: the names of this run cannot be kept: %s", names->cache,
                   strerror(-error));
  }
  pthread_mutex_unlock(&names->file);
  return error;
}

/* ---- now and then ------------------------------------------------------------------------------------------------ */

static void *run(void *argument) {
  struct adit_fake_names *names = argument;
  pthread_mutex_lock(&names->lock);
  while (!names->ends) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PERIOD_S;
    while (!names->ends && pthread_cond_timedwait(&names->end, &names->lock, &until) == 0) {
    }
    if (names->ends) break;
    pthread_mutex_unlock(&names->lock);
    (void)adit_fake_names_save(names);
    pthread_mutex_lock(&names->lock);
  }
  pthread_mutex_unlock(&names->lock);
  return NULL;
}

int adit_fake_cache_start(struct adit_fake_names *names) {
  if (!names->cache) return 0;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  int error = -pthread_cond_init(&names->end, &attributes);
  pthread_condattr_destroy(&attributes);
  if (error) return error;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigdelset(&all, SIGSYS);                     /* as in the workers */
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals stay with the threads that the program has */
  error = -pthread_create(&names->writer, NULL, run, names);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) pthread_cond_destroy(&names->end);
  return error;
}

void adit_fake_cache_stop(struct adit_fake_names *names) {
  if (!names->cache) return;
  pthread_mutex_lock(&names->lock);
  names->ends = true;
  pthread_cond_signal(&names->end);
  pthread_mutex_unlock(&names->lock);
  pthread_join(names->writer, NULL);
  pthread_cond_destroy(&names->end);
  (void)adit_fake_names_save(names);
}
