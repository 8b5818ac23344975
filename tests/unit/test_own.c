/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Which packets are taken for those of the relay's own sockets, with real sockets in a network namespace of the test.
 */
#include "relay/own.h"
#include "relay/state.h"
#include "support_tun.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR4 "203.0.113.7"
#define FAR6 "2001:db8::7"

static struct adit_own *own;

static int open_own(void **state) {
  (void)state;
  return adit_own_new(&own);
}

static int close_own(void **state) {
  (void)state;
  adit_own_free(own);
  return 0;
}

static adit_endpoint at(const char *text, uint16_t port) {
  adit_endpoint endpoint = {.port = port};
  assert_int_equal(adit_ip_parse(text, &endpoint.ip), 0);
  return endpoint;
}

/* A socket on that address, with a port of the kernel's choice in `*port`. */
static int bound(int type, const char *address, uint16_t *port) {
  struct sockaddr_storage name;
  static const int on = 1;
  socklen_t length = adit_outside_sockaddr(at(address, 0), &name);
  int fd = socket(name.ss_family, type | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  if (name.ss_family == AF_INET6) assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  if (bind(fd, (struct sockaddr *)&name, length) < 0) fail_msg("bind %s: %s", address, strerror(errno));
  length = sizeof name;
  assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
  *port = adit_outside_endpoint(&name).port;
  return fd;
}

static bool has(int protocol, const char *from, uint16_t from_port, const char *to, uint16_t port) {
  return adit_own_has(own, protocol, at(from, from_port), at(to, port));
}

/* A socket with both addresses: exactly that, and only while it is noted. */
static void both_addresses(void **state) {
  (void)state;
  static const char *const here[] = {SUPPORT_KERNEL4, SUPPORT_KERNEL6}, *const far[] = {FAR4, FAR6},
                           *const other[] = {"192.0.2.1", "2001:db8::1"};
  for (unsigned v = 0; v < 2; v++) {
    struct adit_own_socket one = {0};
    uint16_t port;
    int fd = bound(SOCK_STREAM, here[v], &port);
    assert_false(has(IPPROTO_TCP, here[v], port, far[v], 80));
    adit_own_note(own, &one, IPPROTO_TCP, fd, at(far[v], 80));
    assert_true(has(IPPROTO_TCP, here[v], port, far[v], 80));
    assert_false(has(IPPROTO_UDP, here[v], port, far[v], 80));
    assert_false(has(IPPROTO_TCP, here[v], port ^ 1, far[v], 80));
    assert_false(has(IPPROTO_TCP, here[v], port ^ 4096, far[v], 80)); /* the same bucket */
    assert_false(has(IPPROTO_TCP, here[v], port, far[v], 81));
    assert_false(has(IPPROTO_TCP, here[v], port, other[v], 80));
    assert_false(has(IPPROTO_TCP, other[v], port, far[v], 80));
    adit_own_forget(&one);
    assert_false(has(IPPROTO_TCP, here[v], port, far[v], 80));
    adit_own_forget(&one); /* twice is no harm */
    close(fd);
  }
}

/* One that is bound to a port: whoever it writes to, but from an address of this machine, and of its version. */
static void port_alone(void **state) {
  const adit_endpoint anybody = {{{0}, 0}, 0};
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    const char *here = v ? SUPPORT_KERNEL6 : SUPPORT_KERNEL4, *far = v ? FAR6 : FAR4;
    struct adit_own_socket one = {0};
    uint16_t port;
    int fd = bound(SOCK_DGRAM, v ? "::" : "0.0.0.0", &port);
    adit_own_note(own, &one, IPPROTO_UDP, fd, anybody);
    assert_true(has(IPPROTO_UDP, here, port, far, 53));
    assert_true(has(IPPROTO_UDP, v ? "::1" : "127.0.0.1", port, far, 9));
    assert_false(has(IPPROTO_UDP, v ? "2001:db8::1" : "192.0.2.1", port, far, 53)); /* somebody else's client */
    assert_false(has(IPPROTO_UDP, v ? "127.0.0.1" : "::1", port, v ? FAR4 : FAR6, 53));
    assert_false(has(IPPROTO_UDP, here, port ^ 1, far, 53));
    adit_own_forget(&one);
    assert_false(has(IPPROTO_UDP, here, port, far, 53));
    close(fd);
  }
}

static void identifiers(void **state) {
  struct adit_own_socket one = {0}, two = {0};
  (void)state;
  adit_own_note_id(own, &one, 77, at(FAR4, 0).ip);
  adit_own_note_id(own, &two, 77, at(FAR6, 0).ip);
  assert_true(has(IPPROTO_ICMP, SUPPORT_KERNEL4, 77, FAR4, 0));
  assert_true(has(IPPROTO_ICMP, SUPPORT_KERNEL6, 77, FAR6, 0));
  assert_false(has(IPPROTO_ICMP, SUPPORT_KERNEL4, 78, FAR4, 0));
  assert_false(has(IPPROTO_ICMP, SUPPORT_KERNEL4, 77, "203.0.113.8", 0));
  assert_false(has(IPPROTO_ICMP, "192.0.2.1", 77, FAR4, 0));
  adit_own_forget(&one);
  assert_false(has(IPPROTO_ICMP, SUPPORT_KERNEL4, 77, FAR4, 0));
  assert_true(has(IPPROTO_ICMP, SUPPORT_KERNEL6, 77, FAR6, 0));
  adit_own_note_id(own, &two, 79, at(FAR6, 0).ip); /* noted anew, the old one is gone */
  assert_false(has(IPPROTO_ICMP, SUPPORT_KERNEL6, 77, FAR6, 0));
  assert_true(has(IPPROTO_ICMP, SUPPORT_KERNEL6, 79, FAR6, 0));
  adit_own_forget(&two);
}

/* Many in few buckets, taken out in another order than they came. */
static void many(void **state) {
  enum { COUNT = 3000 };
  struct adit_own_socket *all = calloc(COUNT, sizeof *all);
  adit_ip peer = at(FAR4, 0).ip;
  (void)state;
  assert_non_null(all);
  for (unsigned i = 0; i < COUNT; i++) adit_own_note_id(own, &all[i], (uint16_t)(i % 3 * 4096 + i / 3 % 7 + 1), peer);
  for (unsigned step = 0; step < 7; step++) {
    for (unsigned i = step; i < COUNT; i += 7) adit_own_forget(&all[i * 11 % COUNT]);
  }
  for (unsigned i = 0; i < COUNT; i++) {
    if (all[i].own) adit_own_forget(&all[i]);
    assert_false(has(IPPROTO_ICMP, SUPPORT_KERNEL4, (uint16_t)(i % 3 * 4096 + i / 3 % 7 + 1), FAR4, 0) &&
                 i == COUNT - 1);
  }
  free(all);
}

/* Without a table, and with a socket that has no port, nothing is noted. */
static void nothing(void **state) {
  struct adit_own_socket one = {0};
  (void)state;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  adit_own_note(own, &one, IPPROTO_UDP, fd, at(FAR4, 53));
  assert_null(one.own);
  adit_own_note(NULL, &one, IPPROTO_UDP, fd, at(FAR4, 53));
  adit_own_note_id(NULL, &one, 5, at(FAR4, 0).ip);
  assert_null(one.own);
  assert_false(adit_own_has(NULL, IPPROTO_UDP, at(SUPPORT_KERNEL4, 1), at(FAR4, 53)));
  adit_own_free(NULL);
  close(fd);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_own, close_own)
  const struct CMUnitTest tests[] = {
      TEST(both_addresses), TEST(port_alone), TEST(identifiers), TEST(many), TEST(nothing),
  };
  int skipped = support_tun_namespace("test_own");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
