/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Many connections: short ones at a rate (`connect`), idle ones that stay (`hold`), and one until somebody answers (`ready`).
 *
 * All talk to the echo port. A short connection is connect, LOAD_FEW bytes there and back, close; its time is from the
 * first to the last of that. One at a time blocks, as simple clients do; more are slots of one epoll set, each of which
 * begins its next connection when it has ended one. A connection that has not ended after PATIENCE_MS counts as failed.
 *
 * `hold` sends LOAD_FEW bytes through each connection and takes them back, so that what stays idle was in use. When all
 * are open it prints its line and waits for the end of its standard input. A process has a bounded number of fds, so
 * many connections take several processes; an address has a bounded number of ports, so they take several addresses.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
  SLOTS_MAX = 4096,
  HOLD_MAX = 1000000,
  HOLD_AT_ONCE = 128, /* connections that `hold` opens at a time */
  EVENTS = 256,
  PATIENCE_MS = 3000,
  HOLD_PATIENCE_MS = 60000, /* of `hold`: a SYN that was lost is sent again */
  READY_MS = 10000          /* how long `ready` tries */
};

/* Where one short connection stands. */
enum state {
  IDLE,       /* no socket */
  CONNECTING, /* waits for EPOLLOUT */
  WAITING     /* has sent, waits for the echo */
};

struct slot {
  int fd;
  enum state state;
  size_t back; /* bytes of the echo that came */
  uint64_t begun_ns;
};

struct run {
  struct load_target target;
  int epoll;
  struct load_samples samples;
  uint64_t failed;
  bool keep; /* leave a connection open when its echo is complete */
  uint64_t patience_ns;
};

/* ---- one after the other ----------------------------------------------------------------------------------------- */

static bool short_connection(const struct load_target *target) {
  char text[LOAD_FEW];
  int fd = load_connect(target, SOCK_STREAM);
  if (fd < 0) return false;
  size_t back = 0;
  bool good = send(fd, load_block, LOAD_FEW, MSG_NOSIGNAL) == LOAD_FEW;
  while (good && back < LOAD_FEW) {
    ssize_t got = recv(fd, text, LOAD_FEW - back, 0);
    good = got > 0;
    if (good) back += (size_t)got;
  }
  close(fd);
  return good;
}

static void run_one_by_one(struct run *run, uint64_t end_ns) {
  for (uint64_t before = load_now_ns(); before < end_ns;) {
    bool good = short_connection(&run->target);
    uint64_t after = load_now_ns();
    if (good)
      load_samples_add(&run->samples, after - before);
    else
      run->failed++;
    before = after;
  }
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

static void end_slot(struct run *run, struct slot *slot, bool good) {
  if (good)
    load_samples_add(&run->samples, load_now_ns() - slot->begun_ns);
  else
    run->failed++;
  if (!good || !run->keep) close(slot->fd);
  slot->state = IDLE;
}

static void begin_slot(struct run *run, struct slot *slot, const struct load_target *source) {
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = slot};
  const int yes = 1;
  slot->begun_ns = load_now_ns();
  slot->fd = load_socket(run->target.address.ss_family, SOCK_STREAM, SOCK_NONBLOCK);
  slot->state = CONNECTING;
  slot->back = 0;
  if (source) { /* the port is chosen by connect, which knows the far end too */
    setsockopt(slot->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(slot->fd, (const struct sockaddr *)&source->address, source->length) != 0) load_die("source address");
  }
  if (connect(slot->fd, (const struct sockaddr *)&run->target.address, run->target.length) != 0 &&
      errno != EINPROGRESS) {
    end_slot(run, slot, false);
    return;
  }
  if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, slot->fd, &event) != 0) load_die("epoll");
}

/* Connected, or not: EPOLLOUT comes in both cases, and send() says which. */
static void send_few(struct run *run, struct slot *slot) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
  if (send(slot->fd, load_block, LOAD_FEW, MSG_NOSIGNAL) != LOAD_FEW) {
    end_slot(run, slot, false);
    return;
  }
  slot->state = WAITING;
  if (epoll_ctl(run->epoll, EPOLL_CTL_MOD, slot->fd, &event) != 0) load_die("epoll");
}

static void take_echo(struct run *run, struct slot *slot) {
  char text[LOAD_FEW];
  ssize_t got = recv(slot->fd, text, LOAD_FEW - slot->back, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    end_slot(run, slot, false);
    return;
  }
  slot->back += (size_t)got;
  if (slot->back < LOAD_FEW) return;
  if (run->keep) epoll_ctl(run->epoll, EPOLL_CTL_DEL, slot->fd, NULL);
  end_slot(run, slot, true);
}

/* What has happened within `wait_ms`; then whoever waits for too long fails. */
static void turn(struct run *run, struct slot *slots, size_t count, int wait_ms) {
  struct epoll_event events[EVENTS];
  static uint64_t looked_ns;
  int ready = epoll_wait(run->epoll, events, EVENTS, wait_ms);
  for (int i = 0; i < ready; i++) {
    struct slot *slot = events[i].data.ptr;
    if (slot->state == CONNECTING)
      send_few(run, slot);
    else if (slot->state == WAITING)
      take_echo(run, slot);
  }
  uint64_t now = load_now_ns();
  if (now - looked_ns < 100 * 1000000ULL) return;
  looked_ns = now;
  for (size_t i = 0; i < count; i++)
    if (slots[i].state != IDLE && now - slots[i].begun_ns > run->patience_ns) end_slot(run, &slots[i], false);
}

/* All slots busy until the end; what has not ended by then does not count. */
static void run_slots(struct run *run, size_t count, uint64_t end_ns) {
  struct slot *slots = calloc(count, sizeof *slots);
  if (!slots) load_die("memory");
  while (load_now_ns() < end_ns) {
    for (size_t i = 0; i < count; i++)
      if (slots[i].state == IDLE) begin_slot(run, &slots[i], NULL);
    turn(run, slots, count, 10);
  }
  for (size_t i = 0; i < count; i++)
    if (slots[i].state != IDLE) close(slots[i].fd);
  free(slots);
}

void load_run_connect(char **argv, int argc) {
  struct run run = {.target = load_target_of(argv[0], "7"),
                    .epoll = epoll_create1(EPOLL_CLOEXEC),
                    .patience_ns = PATIENCE_MS * 1000000ULL};
  uint64_t duration = load_duration_ns(argv[1]);
  size_t count = argc > 2 ? load_number(argv[2], 1, SLOTS_MAX, "concurrency") : 1;
  if (run.epoll < 0) load_die("epoll");
  uint64_t start = load_now_ns();
  if (count == 1)
    run_one_by_one(&run, start + duration);
  else
    run_slots(&run, count, start + duration);
  double seconds = (double)(load_now_ns() - start) / 1e9;
  if (run.samples.count == 0) {
    errno = 0;
    load_die("no connection out of %" PRIu64, run.failed);
  }
  printf("{\"connections\": %zu, \"failed\": %" PRIu64 ", \"seconds\": %.3f, \"concurrency\": %zu, \"per_s\": %.1f",
         run.samples.count, run.failed, seconds, count, (double)run.samples.count / seconds);
  load_samples_print(&run.samples);
  puts("}");
  load_samples_free(&run.samples);
}

/* ---- idle ones --------------------------------------------------------------------------------------------------- */

void load_run_hold(char **argv, int argc) {
  struct run run = {.target = load_target_of(argv[0], "7"),
                    .epoll = epoll_create1(EPOLL_CLOEXEC),
                    .keep = true,
                    .patience_ns = HOLD_PATIENCE_MS * 1000000ULL};
  size_t wanted = load_number(argv[1], 1, HOLD_MAX, "count");
  struct load_target source;
  struct slot slots[HOLD_AT_ONCE] = {0};
  size_t begun = 0;
  if (run.epoll < 0) load_die("epoll");
  if (argc > 2) source = load_target_of(argv[2], "0");
  uint64_t start = load_now_ns();
  while (run.samples.count < wanted && run.failed == 0) {
    for (size_t i = 0; i < HOLD_AT_ONCE && begun < wanted; i++) {
      if (slots[i].state != IDLE) continue;
      begin_slot(&run, &slots[i], argc > 2 ? &source : NULL);
      begun++;
    }
    turn(&run, slots, HOLD_AT_ONCE, 10);
  }
  if (run.failed) load_die("a connection failed after %zu had been opened", run.samples.count);
  double seconds = (double)(load_now_ns() - start) / 1e9;
  printf("{\"open\": %zu, \"seconds\": %.3f, \"per_s\": %.1f}\n", wanted, seconds, (double)wanted / seconds);
  fflush(stdout);
  char end;
  while (read(STDIN_FILENO, &end, 1) > 0) continue;
  load_samples_free(&run.samples);
  _exit(0); /* the kernel closes them all */
}

void load_run_ready(char **argv, int argc) {
  const struct load_target target = load_target_of(argv[0], "7");
  const struct timespec pause = {.tv_nsec = 50 * 1000000L};
  uint64_t end = load_now_ns() + (argc > 1 ? load_duration_ns(argv[1]) : READY_MS * 1000000ULL);
  while (!short_connection(&target)) {
    if (load_now_ns() > end) load_die("%s port 7 does not answer", argv[0]);
    nanosleep(&pause, NULL);
  }
  puts("{\"ready\": true}");
}
