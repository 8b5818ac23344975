/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * SIGINT, SIGTERM and SIGHUP as something to wait for, so that a command ends, or reloads, in order.
 *
 * Who sent a SIGHUP does not say what it means: the kernel sends it when a terminal is gone, and a shell that has heard
 * of that sends it on. But to a process that has lost its terminal /dev/tty cannot be opened any more (tty(4)).
 */
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool had_terminal;

static bool has_terminal(void) {
  int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

bool adit_cli_signals_hung_up(void) {
  return had_terminal && !has_terminal();
}

int adit_cli_signals_open(void) {
  sigset_t set;
  had_terminal = has_terminal();
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup;
  if (sigaction(SIGHUP, NULL, &hangup) != 0) return -errno;
  if (hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP); /* nohup(1) */
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error != 0) return -error;
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return -errno;
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int adit_cli_signals_take(int fd) {
  struct signalfd_siginfo info;
  ssize_t got = read(fd, &info, sizeof info);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
  return got == (ssize_t)sizeof info ? (int)info.ssi_signo : -EIO;
}
