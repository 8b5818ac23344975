/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The loop of the simple commands: every packet that is read goes to one function, until a signal ends it.
 *
 * The device is told the time before it is read, and waited for until its deadline: with --fault it keeps packets.
 */
#include "cli/pump.h"

#include "cli/say.h"
#include "cli/signals.h"
#include "device/device.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

enum { BURST = 64 /* packets, after which signals are looked at again */ };

enum pass {
  PASS_MORE,  /* go on */
  PASS_END,   /* a function wants no more, or a stream has ended */
  PASS_FAILED /* said */
};

static enum pass explain(const struct adit_cli_pump *pump, int error) {
  const char *name = adit_device_name(pump->device);
  if (error == -EBADFD || error == -ENODEV) {
    adit_cli_fail(pump->options, "%s: somebody removed the device; start again", name);
  } else {
    adit_cli_fail(pump->options, "%s: cannot be read: %s", name, strerror(-error));
  }
  return PASS_FAILED;
}

/* Read what waits, at most a burst. */
static enum pass read_burst(const struct adit_cli_pump *pump, struct adit_pool *pool) {
  for (unsigned i = 0; i < BURST; i++) {
    struct adit_buffer *buffer;
    int result = adit_device_read(pump->device, pool, &buffer);
    if (result == -EAGAIN) return PASS_MORE;
    if (result == -EBADMSG || result == -EINTR) continue; /* the device counts what it drops */
    if (result == 0) return PASS_END;
    if (result < 0) return explain(pump, result);
    bool more = pump->packet(pump->user, buffer);
    adit_buffer_unref(buffer);
    if (!more) return PASS_END;
  }
  return PASS_MORE;
}

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* How long poll may wait: milliseconds until the deadline, rounded up; -1 = for ever. */
static int patience_ms(const struct adit_device *device) {
  const uint64_t ms = 1000000;
  uint64_t deadline_ns = adit_device_deadline(device);
  if (deadline_ns == UINT64_MAX) return -1;
  uint64_t now_ns = clock_ns();
  uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
  return left_ns > 1000 * ms ? 1000 : (int)((left_ns + ms - 1) / ms);
}

static enum pass wait_and_read(struct adit_cli_pump *pump, struct adit_pool *pool) {
  struct pollfd fds[] = {
      {.fd = adit_device_fd(pump->device), .events = POLLIN},
      {.fd = pump->signals, .events = POLLIN},
      {.fd = pump->reader}, /* hang-up is always reported */
  };
  if (poll(fds, sizeof fds / sizeof fds[0], patience_ms(pump->device)) < 0) {
    if (errno == EINTR) return PASS_MORE;
    adit_cli_fail(pump->options, "cannot wait for packets: %s", strerror(errno));
    return PASS_FAILED;
  }
  enum pass pass = PASS_MORE;
  bool due = adit_device_advance(pump->device, clock_ns());
  if (due || fds[0].revents != 0) {
    pass = read_burst(pump, pool);
    if (pump->burst != NULL && !pump->burst(pump->user) && pass == PASS_MORE) pass = PASS_END;
  }
  if (pass != PASS_MORE) return pass;
  if (fds[1].revents != 0 && adit_cli_signals_take(pump->signals) != 0) return PASS_END;
  pump->hung_up = fds[2].revents != 0;
  return pump->hung_up ? PASS_END : PASS_MORE;
}

enum adit_cli_status adit_cli_pump(struct adit_cli_pump *pump) {
  struct adit_pool *pool;
  if (adit_pool_new(0, &pool) != 0) return adit_cli_fail(pump->options, "out of memory");
  enum pass pass;
  do pass = wait_and_read(pump, pool);
  while (pass == PASS_MORE);
  adit_pool_free(pool);
  return pass == PASS_FAILED ? ADIT_CLI_FAILED : ADIT_CLI_DONE;
}
