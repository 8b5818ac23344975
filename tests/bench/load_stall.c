/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One connection whose other end never reads: `stall-up` sends to a server that does not, `stall-down` does not read from one
 * that sends. Both wait until no byte has moved for SETTLED_MS: whatever lies between has then taken all that it ever will.
 * They say how much the near kernel has got rid of, or got, and stay until standard input ends.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

enum { LOOK_MS = 20, SETTLED_MS = 1000, PATIENCE_MS = 30000 };

/* Offer as much as the kernel takes. Returns how many bytes of all of it have been acknowledged. */
static uint64_t push(int fd, uint64_t *taken) {
  ssize_t sent;
  int waiting = 0;
  while ((sent = send(fd, load_block, LOAD_BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) *taken += (uint64_t)sent;
  if (errno != EAGAIN) load_die("send, after %" PRIu64 " bytes", *taken);
  if (ioctl(fd, SIOCOUTQ, &waiting) != 0) load_die("SIOCOUTQ");
  return *taken - (uint64_t)waiting;
}

/* Bytes that wait to be read. */
static uint64_t look(int fd) {
  int waiting = 0;
  if (ioctl(fd, FIONREAD, &waiting) != 0) load_die("FIONREAD");
  return (uint64_t)waiting;
}

static void stall(const char *address, const char *port, bool up) {
  const struct load_target target = load_target_of(address, port);
  const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
  uint64_t taken = 0, bytes = 0;
  int fd = load_connect(&target, SOCK_STREAM);
  if (fd < 0) load_die("connect");
  uint64_t start = load_now_ns(), changed = start;
  while (bytes == 0 || load_now_ns() - changed < SETTLED_MS * UINT64_C(1000000)) {
    uint64_t now = up ? push(fd, &taken) : look(fd);
    if (now != bytes) changed = load_now_ns();
    bytes = now;
    errno = 0;
    if (load_now_ns() - start > PATIENCE_MS * UINT64_C(1000000)) load_die("%" PRIu64 " bytes, and no end of it", bytes);
    nanosleep(&pause, NULL);
  }
  printf("{\"stalled\": \"%s\", \"stalled_bytes\": %" PRIu64 "}\n", up ? "up" : "down", bytes);
  fflush(stdout);
  char end;
  while (read(STDIN_FILENO, &end, 1) > 0) continue;
  _exit(0);
}

void load_run_stall_up(char **argv, int argc) {
  (void)argc;
  stall(argv[0], "5003", true);
}

void load_run_stall_down(char **argv, int argc) {
  (void)argc;
  stall(argv[0], "19", false);
}
