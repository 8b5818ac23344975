/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Echo requests that go out: to this kernel, which answers on lo of a network namespace of the test's own. Everything
 * is done with ping sockets and with raw ones; errors of routers in between are the business of tests/net.
 */
#include "packet/checksum.h"
#include "relay/state.h"
#include "support_ip.h"
#include "support_relay.h"
#include "support_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR4 "203.0.113.7"
#define FAR6 "2001:db8::7"

enum { LONGEST4 = 65507, LONGEST6 = 65527, PINGS_MOST = 256 };

static uint8_t data[66000];
static uint8_t packet[SUPPORT_PACKET_MAX];
static struct support_relay world;

static const char *const kernels[] = {SUPPORT_KERNEL4, SUPPORT_KERNEL6};
static const char *const clients[] = {SUPPORT_CLIENT4, SUPPORT_CLIENT6};

/* Who may have ping sockets in this namespace. */
static void set_group_range(const char *range) {
  int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, range, strlen(range)), (ssize_t)strlen(range));
  close(fd);
}

static int open_world(const char *range) {
  set_group_range(range);
  memset(&world, 0, sizeof world);
  support_relay_open(&world);
  assert_int_equal(adit_ping_start(&world.relay), 0);
  return 0;
}

static int open_ping(void **state) {
  (void)state;
  return open_world("0 2147483647");
}

static int open_raw(void **state) {
  (void)state;
  return open_world("1 0");
}

static int close_world(void **state) {
  (void)state;
  adit_ping_stop(&world.relay);
  support_relay_close(&world);
  return 0;
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

/* Another client of that number pings `to`. */
static void client_pings(unsigned client, const char *to, uint16_t id, uint16_t sequence, uint8_t ttl,
                         const void *bytes, size_t length) {
  static uint32_t fragment_id;
  bool v6 = strchr(to, ':') != NULL;
  size_t size = v6 ? support_echo6(packet, clients[1], to, SUPPORT_ECHO_REQUEST6, id, sequence, bytes, length)
                   : support_echo4(packet, clients[0], to, SUPPORT_ECHO_REQUEST4, id, sequence, bytes, length);
  packet[v6 ? 23 : 15] = (uint8_t)(packet[v6 ? 23 : 15] + client);
  packet[v6 ? 7 : 8] = ttl;
  support_seal(packet, size);
  support_fragment(packet, size, 1500, ++fragment_id, support_ip_give, &world.lab);
  support_relay_flush(&world);
}

static void expect_reply(unsigned client, const char *from, uint16_t id, uint16_t sequence, uint8_t ttl,
                         const void *bytes, size_t length) {
  struct support_answer answer;
  bool v6 = strchr(from, ':') != NULL;
  support_relay_take(&world, &answer);
  adit_ip to = support_endpoint(clients[v6], 0).ip;
  to.bytes[v6 ? 15 : 3] = (uint8_t)(to.bytes[v6 ? 15 : 3] + client);
  assert_int_equal(answer.protocol, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_int_equal(answer.data[0], v6 ? SUPPORT_ECHO_REPLY6 : SUPPORT_ECHO_REPLY4);
  assert_true(adit_ip_equal(answer.from.ip, support_endpoint(from, 0).ip));
  assert_true(adit_ip_equal(answer.to.ip, to));
  assert_int_equal(support_get16(answer.data + 4), id);
  assert_int_equal(support_get16(answer.data + 6), sequence);
  assert_int_equal(answer.data_length, 8 + length);
  assert_memory_equal(answer.data + 8, bytes, length);
  assert_int_equal(answer.ttl, ttl);
}

/* An error about an echo request of the first client's. */
static void expect_error(const char *from, uint8_t type4, uint8_t code4, uint8_t type6, uint8_t code6, uint16_t id,
                         uint16_t sequence, const void *bytes, size_t length) {
  struct support_answer answer;
  bool v6 = strchr(from, ':') != NULL;
  support_relay_take(&world, &answer);
  const uint8_t *quote = answer.data + 8;
  const uint8_t *echo = quote + answer.header;
  assert_int_equal(answer.protocol, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_true(adit_ip_equal(answer.from.ip, support_endpoint(from, 0).ip));
  assert_int_equal(answer.data[0], v6 ? type6 : type4);
  assert_int_equal(answer.data[1], v6 ? code6 : code4);
  assert_int_equal(answer.data_length, 8 + answer.header + 8 + length);
  assert_memory_equal(quote + (v6 ? 24 : 16), support_endpoint(from, 0).ip.bytes, v6 ? 16 : 4);
  assert_int_equal(echo[0], v6 ? SUPPORT_ECHO_REQUEST6 : SUPPORT_ECHO_REQUEST4);
  assert_int_equal(support_get16(echo + 4), id);
  assert_int_equal(support_get16(echo + 6), sequence);
  assert_memory_equal(echo + 8, bytes, length);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void there_and_back(void **state) {
  static const size_t sizes[] = {0, 1, 8, 56, 57, 1464, 1472, 1473, 9000, 65000, LONGEST4, LONGEST6};
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes - !v; i++) {
      client_pings(0, kernels[v], 0x1234, (uint16_t)(65530 + i), 64, data + i, sizes[i]);
      expect_reply(0, kernels[v], 0x1234, (uint16_t)(65530 + i), 64, data + i, sizes[i]);
    }
  }
  support_relay_expect_silence(&world);
  assert_int_equal(support_open_fds(), world.fds + 3); /* the loop's, and a socket for each client */
}

/* Clients, identifiers and sequence numbers do not mix, whatever the order. */
static void many_at_once(void **state) {
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    for (unsigned round = 0; round < 3; round++)
      for (unsigned i = 0; i < 40; i++)
        client_pings(i % 4, kernels[v], (uint16_t)(7 + i / 4), (uint16_t)round, 64, data + i, 16);
    unsigned seen[3][40] = {{0}};
    for (unsigned count = 0; count < 120; count++) {
      struct support_answer answer;
      support_relay_take(&world, &answer);
      unsigned client = answer.to.ip.bytes[v ? 15 : 3] - (v ? 0x11U : 11U);
      unsigned i = (support_get16(answer.data + 4) - 7U) * 4 + client;
      unsigned round = support_get16(answer.data + 6);
      assert_in_range(i, 0, 39);
      assert_in_range(round, 0, 2);
      assert_int_equal(seen[round][i]++, 0);
      assert_memory_equal(answer.data + 8, data + i, 16);
    }
  }
  support_relay_expect_silence(&world);
}

/* A socket that sees what comes to this machine. */
static int watch_requests(bool v6) {
  int on = 1;
  int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_true(fd >= 0);
  assert_int_equal(v6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on)
                      : setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on),
                   0);
  return fd;
}

/* The TTL of the next echo request that it sees. `bytes` has room for 2048: the request, over IPv4 with its IP header. */
static int next_request(int fd, bool v6, uint8_t *bytes, size_t *length) {
  for (;;) {
    char control[256];
    struct iovec iov = {bytes, 2048};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got;
    SUPPORT_UNTIL(&world, (got = recvmsg(fd, &message, MSG_DONTWAIT)) > 0);
    const struct cmsghdr *found = CMSG_FIRSTHDR(&message);
    int ttl = -1;
    assert_non_null(found);
    memcpy(&ttl, CMSG_DATA(found), sizeof ttl);
    *length = (size_t)got;
    if (bytes[v6 ? 0 : 20] == (v6 ? SUPPORT_ECHO_REQUEST6 : SUPPORT_ECHO_REQUEST4)) return ttl;
  }
}

static int ttl_of_request(int fd, bool v6) {
  uint8_t bytes[2048];
  size_t length;
  return next_request(fd, v6, bytes, &length);
}

/* TTL 1 is enough for what is on this machine; there and back it is what it is. */
static void ttl_is_passed_on(void **state) {
  static const uint8_t ttls[] = {1, 64, 1, 255, 0};
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    int fd = watch_requests(v);
    for (unsigned i = 0; i < sizeof ttls; i++) {
      client_pings(0, kernels[v], 1, (uint16_t)i, ttls[i], data, 56);
      assert_int_equal(ttl_of_request(fd, v), ttls[i] ? ttls[i] : 1); /* nobody can send 0 */
      expect_reply(0, kernels[v], 1, (uint16_t)i, 64, data, 56);      /* the kernel's own */
    }
    close(fd);
  }
}

static void no_route(void **state) {
  static const char *const far[] = {FAR4, FAR6};
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    for (uint16_t i = 0; i < 3; i++) {
      client_pings(0, far[v], 9, i, 64, data, 100);
      expect_error(far[v], 3, 0, 1, 0, 9, i, data, 100);
      client_pings(0, kernels[v], 9, i, 64, data, 100); /* the same socket, no harm done */
      expect_reply(0, kernels[v], 9, i, 64, data, 100);
    }
  }
}

/* A router says that the host of this request, as next_request has seen it, cannot be reached. It arrives at once. */
static void say_unreachable(int fd, bool v6, const uint8_t *request, size_t length) {
  uint8_t error[2100] = {v6 ? 1 : 3, v6 ? 3 : 1};
  size_t size = 8;
  if (v6) { /* the raw socket saw no IP header */
    error[size] = 0x60;
    support_put16(error + size + 4, (uint32_t)length);
    error[size + 6] = IPPROTO_ICMPV6;
    error[size + 7] = 64;
    memcpy(error + size + 8, support_endpoint(SUPPORT_KERNEL6, 0).ip.bytes, 16);
    memcpy(error + size + 24, support_endpoint(SUPPORT_KERNEL6, 0).ip.bytes, 16);
    size += 40;
  }
  memcpy(error + size, request, length);
  size += length;
  if (!v6) { /* over IPv6 the kernel does it */
    struct iovec iov = {error, size};
    uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_iov(0, &iov, 1, 0, size));
    memcpy(error + 2, &checksum, sizeof checksum);
  }
  support_relay_say(fd, support_endpoint(kernels[v6], 0), error, size);
}

/*
 * An error about an earlier request waits in the socket when the next request goes out, and fails its sendmsg. That
 * request goes out all the same, and the error is told as what it is.
 */
static void an_error_in_the_way(void **state) {
  uint8_t request[2048];
  size_t length;
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    int fd = watch_requests(v);
    for (uint16_t i = 0; i < 6; i += 2) {
      client_pings(0, kernels[v], 9, i, 64, data, 100);
      (void)next_request(fd, v, request, &length);
      expect_reply(0, kernels[v], 9, i, 64, data, 100);
      say_unreachable(fd, v, request, length);
      client_pings(0, kernels[v], 9, (uint16_t)(i + 1), 64, data + 7, 50); /* the loop has not turned since */
      expect_error(kernels[v], 3, 1, 1, 3, 9, i, data, 100);
      expect_reply(0, kernels[v], 9, (uint16_t)(i + 1), 64, data + 7, 50);
      (void)next_request(fd, v, request, &length);
    }
    close(fd);
  }
  support_relay_expect_silence(&world);
}

static void too_many(void **state) {
  (void)state;
  for (unsigned i = 0; i < PINGS_MOST + 50; i++) {
    client_pings(0, SUPPORT_KERNEL4, (uint16_t)i, 1, 64, data, 8);
    expect_reply(0, SUPPORT_KERNEL4, (uint16_t)i, 1, 64, data, 8);
    assert_in_range(support_open_fds() - world.fds, 1, PINGS_MOST + 1);
  }
  assert_int_equal(world.said.count, 3); /* and not 50 times */
}

static void no_more_fds(void **state) {
  (void)state;
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  struct rlimit low = {.rlim_cur = world.fds + 6, .rlim_max = limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (uint16_t i = 0; i < 30; i++) {
    client_pings(0, SUPPORT_KERNEL4, i, 1, 64, data, 8);
    expect_reply(0, SUPPORT_KERNEL4, i, 1, 64, data, 8);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Some time after the last packet the socket is closed. A shorter time-out for datagrams holds here too. */
static void idle(void **state) {
  (void)state;
  adit_ping_stop(&world.relay);
  world.options.udp_idle_ms = 50;
  assert_int_equal(adit_ping_start(&world.relay), 0);
  for (unsigned round = 0; round < 2; round++) {
    for (unsigned i = 0; i < 3; i++) {
      client_pings(i, SUPPORT_KERNEL4, 1, 1, 64, data, 8);
      expect_reply(i, SUPPORT_KERNEL4, 1, 1, 64, data, 8);
    }
    SUPPORT_UNTIL(&world, support_open_fds() == world.fds + 1); /* the loop's */
  }
  assert_int_equal(adit_timers_next(adit_loop_timers(world.relay.loop)), UINT64_MAX);
}

/* ---- without the right to ping ----------------------------------------------------------------------------------- */

static int refuse_fd(void *user, int fd) {
  (void)user;
  (void)fd;
  return -EPERM;
}

/* Neither kind of socket: adit answers itself, and says why. */
static void not_allowed(void **state) {
  (void)state;
  memset(&world, 0, sizeof world);
  world.options.protect = refuse_fd;
  support_relay_open(&world);
  assert_int_equal(adit_ping_start(&world.relay), 0);
  assert_int_equal(world.said.count, 1);
  assert_non_null(strstr(world.said.last, "ping_group_range"));
  assert_non_null(strstr(world.said.last, "IPv4 and IPv6"));
  for (unsigned v = 0; v < 2; v++) {
    client_pings(0, v ? FAR6 : FAR4, 1, 1, 64, data, 8);
    expect_reply(0, v ? FAR6 : FAR4, 1, 1, 64, data, 8);
  }
  close_world(state);
}

int main(void) {
#define BOTH(name)                                                                                                     \
  {#name " with ping sockets", name, open_ping, close_world, NULL}, {                                                  \
#name " with raw sockets", name, open_raw, close_world, NULL                                                       \
  }
  const struct CMUnitTest tests[] = {
      BOTH(there_and_back),          BOTH(many_at_once), BOTH(ttl_is_passed_on), BOTH(no_route),
      BOTH(an_error_in_the_way),     BOTH(too_many),     BOTH(no_more_fds),      BOTH(idle),
      cmocka_unit_test(not_allowed),
  };
  support_pattern(data, sizeof data);
  int skipped = support_tun_namespace("test_relay_ping");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
