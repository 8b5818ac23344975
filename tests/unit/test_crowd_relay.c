/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Connections that come and go through the relay: what stack, sessions and sockets hold does not grow.
 *
 * The clients are those of support_crowd.c, under the virtual clock. The outside is sockets of the kernel in this process,
 * on addresses of a namespace of its own; they are fast enough that what was sent has arrived when it is asked for. The
 * linker puts `clock_gettime` below in the place of the library's (tests/unit/CMakeLists.txt), so that the loop's timers go
 * with the virtual clock. The far end of a connection answers what it reads with more, and a few of all are chosen every
 * turn to end, to reset, or to read no more.
 */
#include "relay/state.h"
#include "support_crowd.h"
#include "support_packet.h"
#include "support_process.h"
#include "support_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
  CLIENTS = 2000,
  OPEN_LEAST = 1700,
  WINDOW_S = 1200,
  FARS = 8192,
  READY = 64,
  LIFE_TURNS = 4000, /* after which a far end does something of its own, on average */
  FDS = 3 * CLIENTS
};

struct far {
  int fd; /* -1 = none */
  uint32_t read, written;
  bool deaf;
};

static struct {
  struct adit_relay relay;
  struct adit_egress egress;
  struct adit_relay_options options;
  struct adit_log log;
  int listener[2];
  int epoll;
  uint64_t seed;
  uint64_t chosen_ns; /* when some were last chosen */
  unsigned fars;
  uint64_t ended[3]; /* by the client's end, its own, a reset of its own */
  struct far far[FARS];
} world;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
  uint64_t now_ns = support_crowd_now();
  if (clock != CLOCK_MONOTONIC || now_ns == 0) return __real_clock_gettime(clock, now);
  *now = (struct timespec){.tv_sec = (time_t)(now_ns / 1000000000), .tv_nsec = (long)(now_ns % 1000000000)};
  return 0;
}

/* ---- the far ends ------------------------------------------------------------------------------------------------ */

static uint32_t roll(uint32_t bound) {
  return (uint32_t)(support_random(&world.seed) % bound);
}

static void close_far(struct far *far, bool reset) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (reset) assert_int_equal(setsockopt(far->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(far->fd);
  far->fd = -1;
  world.fars--;
}

static void accept_far(int listener) {
  static unsigned next;
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    assert_true(world.fars < FARS);
    while (world.far[next].fd >= 0) next = (next + 1) % FARS;
    world.far[next] = (struct far){.fd = fd};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = next};
    assert_int_equal(epoll_ctl(world.epoll, EPOLL_CTL_ADD, fd, &event), 0);
    world.fars++;
  }
  assert_int_equal(errno, EAGAIN);
}

/* Returns whether it took all. */
static bool say(struct far *far, size_t bytes) {
  if (far->written + bytes > SUPPORT_CROWD_BYTES) return false;
  ssize_t sent = send(far->fd, support_crowd_pattern + far->written, bytes, MSG_NOSIGNAL);
  far->written += (uint32_t)bytes;
  return sent == (ssize_t)bytes;
}

static void hear(struct far *far) {
  static uint8_t bytes[SUPPORT_CROWD_BYTES];
  ssize_t got = recv(far->fd, bytes, sizeof bytes, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    if (got == 0 && roll(2)) (void)say(far, 1 + roll(5000)); /* it has more to say before its end */
    world.ended[0]++;
    close_far(far, false);
    return;
  }
  assert_true(far->read + (size_t)got <= SUPPORT_CROWD_BYTES);
  assert_memory_equal(bytes, support_crowd_pattern + far->read, (size_t)got);
  far->read += (uint32_t)got;
  support_crowd_arrived((size_t)got);
  if (!say(far, (size_t)got * (1 + roll(2)))) close_far(far, true);
}

/* One that does something of its own. */
static void surprise(struct far *far) {
  uint32_t what = roll(4);
  if (what == 0 && !far->deaf) {
    struct epoll_event event = {.events = 0, .data.u32 = (uint32_t)(far - world.far)};
    assert_int_equal(epoll_ctl(world.epoll, EPOLL_CTL_MOD, far->fd, &event), 0);
    far->deaf = true;
    return;
  }
  world.ended[what == 1 ? 2 : 1]++;
  close_far(far, what == 1);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static void on_event(void *user, struct adit_watch *watch, uint32_t events) {
  struct adit_relay_socket *socket = (struct adit_relay_socket *)watch;
  (void)user;
  socket->ready(socket, events);
}

static bool turn_fars(void) {
  struct epoll_event events[READY];
  int count = epoll_wait(world.epoll, events, READY, 0);
  for (int i = 0; i < count; i++) {
    uint32_t number = events[i].data.u32;
    struct far *far = number < FARS ? &world.far[number] : NULL;
    if (!far)
      accept_far(world.listener[number - FARS]);
    else if (far->fd >= 0 && far->deaf)
      close_far(far, true); /* its other side has gone */
    else if (far->fd >= 0)
      hear(far);
  }
  return count > 0;
}

static void choose_some(void) {
  if (support_crowd_now() - world.chosen_ns < 1000000000) return;
  world.chosen_ns = support_crowd_now();
  for (unsigned i = 0; i < FARS * 10 / LIFE_TURNS; i++) {
    struct far *far = &world.far[roll(FARS)];
    if (far->fd >= 0) surprise(far);
  }
}

static bool turn(void) {
  struct adit_loop *loop = world.relay.loop;
  choose_some();
  int ready = adit_loop_wait(loop, 0);
  assert_true(ready >= 0);
  adit_loop_dispatch(loop, on_event, &world);
  adit_stack_flush(world.relay.stack);
  adit_loop_fire(loop);
  bool worked = adit_loop_work(loop);
  adit_stack_flush(world.relay.stack);
  adit_loop_reap(loop);
  return turn_fars() || ready > 0 || worked;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void on_syn(void *user, struct adit_flow *flow) {
  (void)user;
  adit_tcp_syn(&world.relay, flow);
}

static void say_nothing(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  (void)user;
  (void)flow;
  if (level <= ADIT_LOG_WARNING) fail_msg("the relay says: %s", text);
}

static void begin(struct adit_stack *stack) {
  world.log = (struct adit_log){.write = say_nothing, .level = ADIT_LOG_WARNING};
  world.options.idle_ms = SUPPORT_CROWD_IDLE_S * 1000;
  world.egress = (struct adit_egress){.options = &world.options, .relay = &world.relay, .references = 1};
  world.relay = (struct adit_relay){
      .egress = &world.egress, .egresses = &world.egress, .options = &world.options, .stack = stack, .log = &world.log};
  assert_int_equal(adit_loop_new(&world.relay.loop), 0);
  for (size_t i = 0; i < FARS; i++) world.far[i].fd = -1;
}

static void end(void) {
  assert_int_equal(world.relay.session_count, 0);
  assert_int_equal(world.egress.references, 1);
  adit_loop_reap(world.relay.loop);
  assert_int_equal(adit_timers_next(adit_loop_timers(world.relay.loop)), UINT64_MAX);
  adit_loop_free(world.relay.loop);
  assert_int_equal(world.fars, 0);
  print_message("far ends: %llu ended with their client, %llu before it, %llu reset\n",
                (unsigned long long)world.ended[0], (unsigned long long)world.ended[1],
                (unsigned long long)world.ended[2]);
  for (size_t i = 0; i < sizeof world.ended / sizeof *world.ended; i++) assert_true(world.ended[i] > CLIENTS / 10);
}

static uint16_t listen_on(size_t which) {
  struct sockaddr_in6 address;
  socklen_t length = sizeof address;
  int fd = support_kernel_socket(which ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(FARS + which)};
  assert_int_equal(listen(fd, CLIENTS), 0);
  assert_int_equal(epoll_ctl(world.epoll, EPOLL_CTL_ADD, fd, &event), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  world.listener[which] = fd;
  return ntohs(address.sin6_port);
}

static void test_nothing_grows(void **state) {
  (void)state;
  struct support_crowd crowd = {.clients = CLIENTS,
                                .open_least = OPEN_LEAST,
                                .window_s = WINDOW_S,
                                .server = {SUPPORT_KERNEL4, SUPPORT_KERNEL6},
                                .syn = on_syn,
                                .begin = begin,
                                .outside = turn,
                                .end = end};
  world.epoll = epoll_create1(EPOLL_CLOEXEC);
  assert_true(world.epoll >= 0);
  for (size_t i = 0; i < 2; i++) crowd.port[i] = listen_on(i);
  support_crowd_run(&crowd);
  for (size_t i = 0; i < 2; i++) close(world.listener[i]);
  close(world.epoll);
}

/* Ports are free again at once: hours pass here in which the kernel's clock sees seconds. */
static void forget_time_wait(void) {
  int fd = open("/proc/sys/net/ipv4/tcp_max_tw_buckets", O_WRONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "0", 1), 1);
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_grows)};
  int skipped = support_tun_namespace("test_crowd_relay");
  if (skipped) return skipped;
  struct rlimit fds = {FDS, FDS};
  if (setrlimit(RLIMIT_NOFILE, &fds) < 0) {
    fprintf(stderr, "test_crowd_relay: SKIPPED: %d fds may not be opened: %s\n", FDS, strerror(errno));
    return SUPPORT_SKIPPED;
  }
  support_tun_up("lo");
  forget_time_wait();
  return cmocka_run_group_tests_name("crowd_relay", tests, NULL, NULL);
}
