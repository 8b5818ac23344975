/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Text for standard output in a buffer of its own, written so that a signal still ends the program.
 *
 * stdio would block in write(2) while a pager or a full pipe takes nothing, and the signals, which are blocked and come
 * through an fd, would not be seen. So each write is of at most PIPE_BUF bytes, which a pipe that polls as writable takes
 * at once (pipe(7)); standard output itself is left blocking, because it may be shared with other programs.
 */
#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

int adit_cli_output_open(struct adit_cli_output *output, int fd, int signals, size_t capacity) {
  *output = (struct adit_cli_output){.fd = fd, .signals = signals, .text = malloc(capacity), .capacity = capacity};
  return output->text != NULL ? 0 : -ENOMEM;
}

void adit_cli_output_close(struct adit_cli_output *output) {
  free(output->text);
  output->text = NULL;
}

/* Write a piece when the other side takes one. Returns how many bytes, or a negative errno. */
static ssize_t write_piece(const struct adit_cli_output *output, const char *text, size_t length) {
  struct pollfd fds[] = {{.fd = output->fd, .events = POLLOUT}, {.fd = output->signals, .events = POLLIN}};
  if (poll(fds, 2, -1) < 0) return errno == EINTR ? 0 : -errno;
  if (fds[0].revents == 0) return -EINTR;
  ssize_t put = write(output->fd, text, length < PIPE_BUF ? length : PIPE_BUF);
  if (put < 0) return errno == EINTR || errno == EAGAIN ? 0 : -errno;
  return put;
}

int adit_cli_output_flush(struct adit_cli_output *output) {
  size_t done = 0, length = output->used;
  output->used = 0;
  while (done < length) {
    ssize_t put = write_piece(output, output->text + done, length - done);
    if (put < 0) return (int)put;
    done += (size_t)put;
  }
  return 0;
}
