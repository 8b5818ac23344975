/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams straight out: sizes, bursts, who hears whom, errors, time-outs, bounds. Runs in a network namespace of its
 * own, whose lo has SUPPORT_KERNEL4 and SUPPORT_KERNEL6 and no route to anywhere else.
 */
#include "relay/fake_names.h"
#include "relay/resolve.h"
#include "relay/udp.h"
#include "support_ip.h"
#include "support_relay.h"
#include "support_tun.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define FAR4 "203.0.113.7"
#define FAR6 "2001:db8::7"
#define SECOND_NS UINT64_C(1000000000)

enum { LONGEST4 = 65507, LONGEST6 = 65527 };

static uint8_t data[66000];
static uint8_t heard[65536];
static struct support_relay world;

static const char *const kernels[] = {SUPPORT_KERNEL4, SUPPORT_KERNEL6};

static int open_world(void **state) {
  (void)state;
  memset(&world, 0, sizeof world);
  support_relay_open(&world);
  return 0;
}

static void start(void) {
  assert_int_equal(adit_udp_start(&world.relay), 0);
}

static int close_world(void **state) {
  (void)state;
  if (world.relay.udp) adit_udp_stop(&world.relay);
  support_relay_close(&world);
  return 0;
}

/* The socket has got these bytes. Returns from whom. */
static adit_endpoint hear(int fd, const void *bytes, size_t length) {
  adit_endpoint from;
  size_t got = support_relay_hear(&world, fd, heard, sizeof heard, &from);
  assert_int_equal(got, length);
  assert_memory_equal(heard, bytes, length);
  return from;
}

static void check_same(adit_endpoint a, adit_endpoint b) {
  char text[2][ADIT_ADDRESS_TEXT];
  assert_string_equal(adit_endpoint_format(a, text[0]), adit_endpoint_format(b, text[1]));
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

static void there_and_back(void **state) {
  static const size_t sizes[] = {0, 1, 512, 1472, 1473, 9000, 16384, 16385, 32000, 65000, LONGEST4, LONGEST6};
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t port = 0;
    int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes - (v == 0); i++) {
      support_relay_send(&world, 4000, kernels[v], port, data + i, sizes[i]);
      adit_endpoint from = hear(fd, data + i, sizes[i]);
      support_relay_say(fd, from, data + 7, sizes[i]);
      support_relay_expect(&world, kernels[v], port, 4000, data + 7, sizes[i]);
    }
    close(fd);
  }
  assert_int_equal(world.relay.stats.udp_sessions, 2);
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  assert_int_equal(world.relay.stats.bytes_up, world.relay.stats.bytes_down);
}

/* RFC 4787: one address outside whatever the client talks to, and whoever sends there is heard, under their own
   name. */
static void full_cone(void **state) {
  static const char *const others[] = {"127.0.0.5", SUPPORT_KERNEL6};
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t first_port = 0;
    uint16_t second_port = 0;
    uint16_t stranger_port = 0;
    int first = support_relay_outside(kernels[v], SOCK_DGRAM, &first_port);
    int second = support_relay_outside(kernels[v], SOCK_DGRAM, &second_port);
    int stranger = support_relay_outside(others[v], SOCK_DGRAM, &stranger_port);
    support_relay_send(&world, 4000, kernels[v], first_port, "one", 3);
    adit_endpoint outside = hear(first, "one", 3);
    support_relay_send(&world, 4000, kernels[v], second_port, "two", 3);
    check_same(hear(second, "two", 3), outside);
    support_relay_say(stranger, outside, "stranger", 8);
    support_relay_expect(&world, others[v], stranger_port, 4000, "stranger", 8);
    support_relay_say(second, outside, "second", 6);
    support_relay_expect(&world, kernels[v], second_port, 4000, "second", 6);

    support_relay_send(&world, 4001, kernels[v], first_port, "other",
                       5); /* another port of the client's: another one */
    assert_int_not_equal(hear(first, "other", 5).port, outside.port);
    close(first);
    close(second);
    close(stranger);
  }
  assert_int_equal(world.relay.stats.udp_sessions, 4);
}

static uint16_t closed_port(const char *address) {
  uint16_t port = 0;
  close(support_relay_outside(address, SOCK_DGRAM, &port));
  return port;
}

static const size_t burst_sizes[] = {1200, 1200, 1200, 700,  700,  1200, 0,     0, 1,
                                     1,    1200, 1201, 1200, 9000, 9000, 20000, 5, 5};
enum { BURST = sizeof burst_sizes / sizeof *burst_sizes };

/* Sometimes all datagrams are of one client, sometimes of three in turn. */
static uint16_t sender_of(unsigned round, unsigned i) {
  return (uint16_t)(4000 + (round < 4 ? 0 : (round + i) % 3));
}

/* What comes in one burst goes out in few calls; boundaries and order, for each target, are what they were. */
static void bursts(void **state) {
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t port[2] = {0, 0};
    int fd[2];
    for (unsigned i = 0; i < 2; i++) fd[i] = support_relay_outside(kernels[v], SOCK_DGRAM, &port[i]);
    for (unsigned round = 0; round < 10; round++) {
      for (unsigned i = 0; i < BURST; i++)
        for (unsigned target = 0; target < 2; target++) {
          uint16_t from = sender_of(round, i);
          if (target == 1 && i % 4 != round % 4) continue;
          data[0] = (uint8_t)i;
          support_relay_give(&world, from, kernels[v], port[target], 64, data, burst_sizes[i]);
        }
      support_relay_flush(&world);
      for (unsigned target = 0; target < 2; target++) {
        uint16_t outside[3] = {0};
        for (unsigned i = 0; i < BURST; i++) {
          if (target == 1 && i % 4 != round % 4) continue;
          data[0] = (uint8_t)i;
          adit_endpoint from = hear(fd[target], data, burst_sizes[i]);
          uint16_t *known = &outside[sender_of(round, i) - 4000];
          if (*known) assert_int_equal(from.port, *known);
          *known = from.port;
        }
        assert_int_equal(recv(fd[target], heard, sizeof heard, MSG_DONTWAIT), -1);
      }
    }
    for (unsigned i = 0; i < 2; i++) close(fd[i]);
  }
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  data[0] = 0;
}

/* 500 of one size, more than any batch holds; then the same with sizes that the kernel cannot cut for lo's MTU. */
static void long_runs(void **state) {
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    for (size_t size = 64; size <= 1400; size += 1336) {
      uint16_t port = 0;
      int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
      for (unsigned i = 0; i < 500; i++) {
        support_put16(data, i);
        support_relay_give(&world, 4000, kernels[v], port, 64, data, size);
      }
      support_relay_flush(&world);
      for (unsigned i = 0; i < 500; i++) {
        support_put16(data, i);
        hear(fd, data, size);
      }
      close(fd);
    }
  }
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  assert_int_equal(world.relay.stats.bytes_up, 2 * 500 * (64 + 1400));
}

/* Datagrams longer than the path lets through in one piece cannot be cut by the kernel: one by one, and none is
   lost. */
static void runs_that_cannot_be_cut(void **state) {
  (void)state;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  support_relay_send(&world, 4000, SUPPORT_KERNEL4, port, data, 10);
  adit_endpoint from = hear(fd, data, 10);
  struct adit_udp_session *session = adit_udp_find(world.relay.udp, support_endpoint(SUPPORT_CLIENT4, 4000));
  assert_non_null(session);
  int no = 1; /* without checksums the kernel refuses to cut */
  assert_int_equal(setsockopt(session->socket.watch.fd, SOL_SOCKET, SO_NO_CHECK, &no, sizeof no), 0);
  for (unsigned i = 0; i < 20; i++) support_relay_give(&world, 4000, SUPPORT_KERNEL4, port, 64, data + i, 1000);
  support_relay_flush(&world);
  for (unsigned i = 0; i < 20; i++) check_same(hear(fd, data + i, 1000), from);
  assert_true(session->gso_most < 1000);
  for (unsigned i = 0; i < 20; i++) support_relay_give(&world, 4000, SUPPORT_KERNEL4, port, 64, data + i, 1000);
  support_relay_flush(&world);
  for (unsigned i = 0; i < 20; i++) hear(fd, data + i, 1000);
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  close(fd);
}

/* What the kernel hands over joined is taken apart again. */
static void joined_datagrams(void **state) {
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t port = 0;
    int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
    support_relay_send(&world, 4000, kernels[v], port, "hello", 5);
    adit_endpoint from = hear(fd, "hello", 5);
    int each = 1000;
    assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &each, sizeof each), 0);
    support_relay_say(fd, from, data, 20500);
    for (unsigned i = 0; i < 21; i++)
      support_relay_expect(&world, kernels[v], port, 4000, data + (size_t)i * 1000, i < 20 ? 1000 : 500);
    close(fd);
  }
}

static void ttl_is_kept(void **state) {
  static const uint8_t ttls[] = {1, 64, 17, 255, 64, 0};
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t port = 0;
    int on = 1;
    int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
    assert_int_equal(v == 0 ? setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on)
                            : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on),
                     0);
    for (size_t i = 0; i < sizeof ttls; i++) support_relay_give(&world, 4000, kernels[v], port, ttls[i], "x", 1);
    support_relay_flush(&world);
    for (size_t i = 0; i < sizeof ttls; i++) {
      char control[256];
      struct iovec iov = {heard, sizeof heard};
      struct msghdr message = {
          .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
      SUPPORT_UNTIL(&world, recvmsg(fd, &message, MSG_DONTWAIT) == 1);
      struct cmsghdr *found = CMSG_FIRSTHDR(&message);
      int ttl = -1;
      assert_non_null(found);
      memcpy(&ttl, CMSG_DATA(found), sizeof ttl);
      if (ttls[i] > 0)
        assert_int_equal(ttl, ttls[i]);
      else
        assert_true(ttl > 0); /* nobody can send that */
    }
    close(fd);
  }
}

static void ports_that_are_none(void **state) {
  (void)state;
  start();
  support_relay_send(&world, 0, SUPPORT_KERNEL4, 4000, "x", 1);
  support_relay_send(&world, 4000, SUPPORT_KERNEL4, 0, "x", 1);
  support_relay_expect_silence(&world);
  assert_int_equal(world.relay.udp->count, 0);
  assert_int_equal(world.relay.stats.udp_dropped, 2);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The nameserver gets a question; A is answered with `address` (NULL: no such name), all else with nothing. */
static void answer_question(int fd, const char *address) {
  adit_endpoint from;
  uint8_t message[600];
  size_t length = support_relay_hear(&world, fd, message, 512, &from);
  assert_true(length > 12);
  size_t end = 12;
  while (message[end]) end += 1U + message[end];
  bool a = support_get16(message + end + 1) == 1;
  end += 5;
  support_put16(message + 2, address ? 0x8180 : 0x8183);
  support_put16(message + 6, a && address);
  support_put32(message + 8, 0);
  if (a && address) {
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    memcpy(message + end, record, sizeof record);
    memcpy(message + end + sizeof record, support_endpoint(address, 0).ip.bytes, 4);
    end += sizeof record + 4;
  }
  support_relay_say(fd, from, message, end);
}

/* An address that stands for a name: it is looked up, and the client hears from the address that it knows. */
static void names(void **state) {
  char fake[4][ADIT_ADDRESS_TEXT];
  uint32_t number[3];
  uint16_t dns_port = 0;
  uint16_t port = 0;
  (void)state;
  int dns = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &dns_port);
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  struct adit_fake_options how = {.now_ns = adit_loop_clock(world.relay.loop)};
  struct adit_nameservers whom = {.server = {support_endpoint(SUPPORT_KERNEL4, dns_port)}, .servers = 1};
  assert_int_equal(adit_fake_names_new(&how, &world.options.fake_names), 0);
  world.options.dns = ADIT_RELAY_DNS_FAKE;
  assert_int_equal(adit_fake_prepare(&world.relay, world.relay.egress), 0);
  adit_resolver_free(world.egress.resolver);
  assert_int_equal(adit_resolver_new(&world.relay, &whom, &world.egress.resolver), 0);
  assert_int_equal(adit_fake_names_take(world.options.fake_names, "www.example", how.now_ns, &number[0]), 0);
  assert_int_equal(adit_fake_names_take(world.options.fake_names, "gone.example", how.now_ns, &number[1]), 0);
  assert_int_equal(adit_fake_names_take(world.options.fake_names, "late.example", how.now_ns, &number[2]), 0);
  adit_ip_format(adit_fake_names_address(number[2], 4), fake[3]);
  adit_ip_format(adit_fake_names_address(number[0], 4), fake[0]);
  adit_ip_format(adit_fake_names_address(number[1], 4), fake[1]);
  uint32_t nobody = 1;
  while (nobody == number[0] || nobody == number[1] || nobody == number[2]) nobody++;
  adit_ip_format(adit_fake_names_address(nobody, 4), fake[2]);
  start();

  support_relay_send(&world, 4000, fake[0], port, "one", 3);
  support_relay_send(&world, 4000, fake[0], port, "two", 3);
  support_relay_send(&world, 4000, SUPPORT_KERNEL4, port, "in between", 10);
  hear(fd, "in between", 10);
  for (unsigned i = 0; i < 2; i++) answer_question(dns, SUPPORT_KERNEL4); /* A and AAAA */
  adit_endpoint outside = hear(fd, "one", 3);
  check_same(hear(fd, "two", 3), outside);
  support_relay_send(&world, 4000, fake[0], port, "three", 5); /* it is known now */
  hear(fd, "three", 5);
  assert_int_equal(recv(dns, heard, sizeof heard, MSG_DONTWAIT), -1);
  support_relay_say(fd, outside, "answer", 6);
  support_relay_expect(&world, fake[0], port, 4000, "answer", 6);

  uint16_t closed = closed_port(SUPPORT_KERNEL4);
  support_relay_send(&world, 4001, fake[0], closed, "x", 1); /* errors too are about the address that it knows */
  support_relay_expect_error(&world, SUPPORT_KERNEL4, 3, 3, 1, 4, 4001, fake[0], closed);

  support_relay_send(&world, 4002, fake[1], port, "x", 1); /* no such name */
  for (unsigned i = 0; i < 2; i++) answer_question(dns, NULL);
  support_relay_expect_error(&world, fake[1], 3, 3, 1, 4, 4002, fake[1], port);
  support_relay_send(&world, 4002, fake[2], port, "x", 1); /* no name at all */
  support_relay_expect_error(&world, fake[2], 3, 3, 1, 4, 4002, fake[2], port);
  assert_int_equal(recv(dns, heard, sizeof heard, MSG_DONTWAIT), -1);

  support_relay_send(&world, 4003, fake[3], port, "x", 1); /* it ends while one is being looked up */
  adit_udp_stop(&world.relay);
  adit_fake_stop(&world.relay);
  adit_fake_names_free(world.options.fake_names);
  assert_int_equal(recv(fd, heard, sizeof heard, MSG_DONTWAIT), -1);
  close(fd);
  close(dns);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void port_unreachable(void **state) {
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t closed = closed_port(kernels[v]);
    uint16_t port = 0;
    int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
    support_relay_send(&world, 4000, kernels[v], closed, data, 300);
    support_relay_expect_error(&world, kernels[v], 3, 3, 1, 4, 4000, kernels[v], closed);
    /* The error of one datagram is not another's: all that follow in the same burst arrive. */
    for (unsigned i = 0; i < 10; i++) {
      support_relay_give(&world, 4000, kernels[v], closed, 64, data, 20000);
      support_relay_give(&world, 4000, kernels[v], port, 64, data + i, 1000 + i);
      support_relay_give(&world, 4000, kernels[v], port, 64, data + i, 20000);
    }
    support_relay_flush(&world);
    for (unsigned i = 0; i < 10; i++) {
      hear(fd, data + i, 1000 + i);
      hear(fd, data + i, 20000);
    }
    for (unsigned i = 0; i < 10; i++)
      support_relay_expect_error(&world, kernels[v], 3, 3, 1, 4, 4000, kernels[v], closed);
    support_relay_expect_silence(&world);
    close(fd);
  }
  assert_int_equal(world.relay.stats.udp_dropped, 0);
}

static void no_route(void **state) {
  static const char *const far[] = {FAR4, FAR6};
  (void)state;
  start();
  for (size_t v = 0; v < 2; v++) {
    uint16_t port = 0;
    int fd = support_relay_outside(kernels[v], SOCK_DGRAM, &port);
    for (unsigned i = 0; i < 2; i++) {
      support_relay_give(&world, 4000, far[v], 9, 64, data, i ? 20000 : 100);
      support_relay_give(&world, 4000, kernels[v], port, 64, data, 100);
      support_relay_flush(&world);
      support_relay_expect_error(&world, far[v], 3, 0, 1, 0, 4000, far[v], 9);
      hear(fd, data, 100);
    }
    close(fd);
  }
  assert_int_equal(world.relay.stats.udp_dropped, 4);
}

static int refuse_fd(void *user, int fd) {
  (void)user;
  assert_true(fd >= 0);
  return -EPERM;
}

static void protect_refuses(void **state) {
  (void)state;
  world.options.protect = refuse_fd;
  start();
  support_relay_send(&world, 4000, SUPPORT_KERNEL4, 9, data, 100);
  support_relay_expect_error(&world, SUPPORT_KERNEL4, 3, 13, 1, 1, 4000, SUPPORT_KERNEL4, 9);
  assert_int_equal(world.relay.udp->count, 0);
  assert_int_equal(world.relay.stats.udp_dropped, 1);
  assert_int_equal(world.said.count, 1);
}

/* ---- time-outs --------------------------------------------------------------------------------------------------- */

static struct adit_udp_session *session_of(uint16_t port) {
  return adit_udp_find(world.relay.udp, support_endpoint(SUPPORT_CLIENT4, port));
}

/* As if so much time had passed since the last datagram of each session. */
static void age(uint64_t ns) {
  struct adit_udp_sessions *all = world.relay.udp;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++)
    for (struct adit_udp_session *session = all->list[pace].first; session; session = session->next)
      session->used_ns -= ns;
  if (all->expiry.slot) adit_timers_set(adit_loop_timers(world.relay.loop), &all->expiry, all->expiry.due_ns - ns);
  adit_loop_clock(world.relay.loop);
  adit_loop_fire(world.relay.loop);
}

/* Datagrams there and back, to be told from the other sessions by the port. */
static void exchange(int fd, uint16_t from, uint16_t port, unsigned questions, unsigned answers) {
  adit_endpoint outside = {{{0}, 0}, 0};
  adit_loop_clock(world.relay.loop); /* later than what was before */
  for (unsigned i = 0; i < questions; i++) {
    support_relay_send(&world, from, SUPPORT_KERNEL4, port, "q", 1);
    outside = hear(fd, "q", 1);
  }
  for (unsigned i = 0; i < answers; i++) {
    support_relay_say(fd, outside, "a", 1);
    support_relay_expect(&world, SUPPORT_KERNEL4, port, from, "a", 1);
  }
}

static void idle(void **state) {
  (void)state;
  start();
  uint16_t port = 0;
  uint16_t dns_port = 53;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  int dns = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &dns_port);
  exchange(fd, 4001, port, 1, 0);
  exchange(fd, 4002, port, 1, 1);
  exchange(fd, 4003, port, 2, 0);
  exchange(fd, 4004, port, 1, 2);
  exchange(dns, 4005, 53, 5, 5);
  exchange(dns, 4006, 53, 1, 1);
  exchange(fd, 4006, port, 1, 0);
  assert_int_equal(world.relay.udp->count, 6);
  age(10 * SECOND_NS - SECOND_NS / 10);
  assert_int_equal(world.relay.udp->count, 6);
  exchange(fd, 4001, port, 1, 0); /* was used again, which makes it more than a question */
  age(SECOND_NS);
  assert_null(session_of(4002));
  assert_null(session_of(4005));
  assert_non_null(session_of(4001));
  assert_non_null(session_of(4003));
  assert_non_null(session_of(4004));
  assert_non_null(session_of(4006));
  age(49 * SECOND_NS);
  assert_int_equal(world.relay.udp->count, 4);
  age(SECOND_NS);
  assert_non_null(session_of(4001));
  assert_int_equal(world.relay.udp->count, 1);
  age(60 * SECOND_NS);
  assert_int_equal(world.relay.udp->count, 0);
  adit_loop_reap(world.relay.loop);
  assert_int_equal(support_open_fds(), world.fds + 3); /* the loop's and two of the test's */
  assert_int_equal(adit_timers_next(adit_loop_timers(world.relay.loop)), UINT64_MAX);
  close(fd);
  close(dns);
}

/* With the clock as it is: a short time-out, nothing touched by the test. */
static void idle_for_real(void **state) {
  (void)state;
  world.options.udp_idle_ms = 50;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  exchange(fd, 4001, port, 3, 3);
  exchange(fd, 4002, port, 1, 1);
  SUPPORT_UNTIL(&world, world.relay.udp->count == 0);
  exchange(fd, 4001, port, 1, 1); /* and it can begin again */
  assert_int_equal(world.relay.stats.udp_sessions, 3);
  assert_int_equal(world.relay.stats.udp_evicted, 0);
  close(fd);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void too_many(void **state) {
  (void)state;
  enum { LIMIT = 10, CLIENTS = 25 };
  world.options.max_udp = LIMIT;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  adit_endpoint outside[CLIENTS];
  for (unsigned i = 0; i < CLIENTS; i++) {
    support_relay_send(&world, (uint16_t)(4000 + i), SUPPORT_KERNEL4, port, "x", 1);
    outside[i] = hear(fd, "x", 1);
    support_relay_send(&world, 4000, SUPPORT_KERNEL4, port, "first",
                       5); /* the first one is never the one idle longest */
    check_same(hear(fd, "first", 5), outside[0]);
    assert_in_range(world.relay.udp->count, 1, LIMIT);
  }
  assert_int_equal(world.relay.stats.udp_sessions, CLIENTS);
  assert_int_equal(world.relay.stats.udp_evicted, CLIENTS - LIMIT);
  for (unsigned i = 0; i < CLIENTS; i++) {
    bool alive = i == 0 || i > CLIENTS - LIMIT;
    assert_int_equal(session_of((uint16_t)(4000 + i)) != NULL, alive);
    support_relay_say(fd, outside[i], "y", 1);
    if (alive) support_relay_expect(&world, SUPPORT_KERNEL4, port, (uint16_t)(4000 + i), "y", 1);
  }
  support_relay_expect_silence(&world);
  assert_int_equal(world.said.count, 3); /* and not once for each */
  close(fd);
}

/* Who is idle longest goes first, whatever it has done before. */
static void oldest_of_both_paces(void **state) {
  (void)state;
  world.options.max_udp = 3;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  exchange(fd, 4001, port, 2, 0);
  exchange(fd, 4002, port, 1, 0);
  exchange(fd, 4003, port, 2, 0);
  for (uint16_t i = 4001; i <= 4006; i++) {
    assert_non_null(session_of(i));
    exchange(fd, (uint16_t)(i + 3), port, 1 + i % 2, 0);
    assert_null(session_of(i));
    assert_non_null(session_of((uint16_t)(i + 1)));
    assert_int_equal(world.relay.udp->count, 3);
  }
  close(fd);
}

static void no_more_fds(void **state) {
  (void)state;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  struct rlimit low = {.rlim_cur = (rlim_t)fd + 6, .rlim_max = limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (uint16_t i = 0; i < 20; i++) {
    support_relay_send(&world, (uint16_t)(4000 + i), SUPPORT_KERNEL4, port, "x", 1);
    hear(fd, "x", 1);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(world.relay.stats.udp_sessions, 20);
  assert_int_equal(world.relay.stats.udp_evicted, 20 - world.relay.udp->count);
  assert_in_range(world.relay.udp->count, 1, 6);
  assert_non_null(session_of(4019));
  assert_null(session_of(4000));
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  close(fd);
}

/* It ends with datagrams not yet sent, others not yet read, and an error in the queue: nothing leaks. */
static void stop_in_the_middle(void **state) {
  (void)state;
  start();
  uint16_t port = 0;
  int fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &port);
  exchange(fd, 4000, port, 1, 1);
  support_relay_send(&world, 4001, SUPPORT_KERNEL4, closed_port(SUPPORT_KERNEL4), "x", 1);
  support_relay_send(&world, 4000, SUPPORT_KERNEL4, port, "y", 1);
  support_relay_say(fd, hear(fd, "y", 1), "unread", 6);
  support_relay_give(&world, 4000, SUPPORT_KERNEL4, port, 64, "last", 4);
  adit_udp_stop(&world.relay);
  hear(fd, "last", 4);
  support_ip_forget(&world.lab);
  close(fd);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
  const struct CMUnitTest tests[] = {
      TEST(there_and_back),
      TEST(full_cone),
      TEST(bursts),
      TEST(long_runs),
      TEST(runs_that_cannot_be_cut),
      TEST(joined_datagrams),
      TEST(ttl_is_kept),
      TEST(ports_that_are_none),
      TEST(names),
      TEST(port_unreachable),
      TEST(no_route),
      TEST(protect_refuses),
      TEST(idle),
      TEST(idle_for_real),
      TEST(too_many),
      TEST(oldest_of_both_paces),
      TEST(no_more_fds),
      TEST(stop_in_the_middle),
  };
  support_pattern(data, sizeof data);
  int skipped = support_tun_namespace("test_relay_udp");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
