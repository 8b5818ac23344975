/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Memory runs out at every moment of a relayed session: nothing breaks, nothing leaks, and the next session works.
 *
 * The linker puts the functions below in the place of malloc and its kin (tests/unit/CMakeLists.txt), for the library's
 * objects and for this program. A session is a whole tunnel: start, a connection with data both ways and an orderly end,
 * a datagram and its answer, a name, stop; for each way out there is, the proxies in a process of their own. It is run with
 * the first allocation failing, then with the second, and so on until it needs no more; and again with each one, each
 * second, each third failing from the start on. A session whose allocation failed may fail in any way, but soon; one after
 * it, in the same tunnel, has to succeed.
 */
#include "support_bench.h"
#include "support_packet.h"
#include "support_proxy.h"
#include "support_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOON_MS = 40, CLIENT_PORT = 20000, FIRST = 1000, PERIODS = 15 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static atomic_long blocks;      /* that somebody has */
static atomic_ullong asked;     /* since `arm` */
static atomic_ullong fail_at;   /* the allocation that fails, from 1; 0 = none */
static atomic_ullong fail_each; /* each n-th fails; 0 = none */
static atomic_uint failures;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool fails(void) {
  unsigned long long number = atomic_fetch_add(&asked, 1) + 1;
  unsigned long long each = atomic_load(&fail_each);
  bool failing = number == atomic_load(&fail_at) || (each != 0 && number % each == 0);
  if (failing) {
    atomic_fetch_add(&failures, 1);
    errno = ENOMEM;
  }
  return failing;
}

static void *count(void *memory) {
  if (memory) atomic_fetch_add(&blocks, 1);
  return memory;
}

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size) {
  return fails() ? NULL : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *memory, size_t size) {
  if (fails()) return NULL;
  void *moved = __real_realloc(memory, size);
  return memory ? moved : count(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return fails() ? NULL : count(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text) {
  return fails() ? NULL : count(__real_strdup(text));
}

void __wrap_free(void *memory) {
  if (memory) atomic_fetch_sub(&blocks, 1);
  __real_free(memory);
}

static void arm(unsigned long long at, unsigned long long each) {
  atomic_store(&asked, 0);
  atomic_store(&failures, 0);
  atomic_store(&fail_at, at);
  atomic_store(&fail_each, each);
}

static void disarm(void) {
  atomic_store(&fail_at, 0);
  atomic_store(&fail_each, 0);
}

/* ---- a session --------------------------------------------------------------------------------------------------- */

/* The outside, and one client's view. */
struct session {
  const struct support_bench *bench;
  int listener;
  int receiver; /* of datagrams */
  uint16_t port;
  uint16_t receiver_port;
  uint16_t client_port;
  bool datagrams;   /* are relayed */
  int patience_ms;  /* for each step */
  const char *step; /* the one that is being done */
};

/* What came for the client: a segment or a datagram. */
struct heard {
  uint8_t flags;
  uint32_t sequence;
  size_t length; /* of the payload */
  const uint8_t *payload;
  uint8_t packet[2000];
};

static bool wait_readable(const struct session *session, int fd) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  return poll(&wait, 1, session->patience_ms) == 1;
}

/* The next packet of that protocol for the client's port that has one of `flags` or data; others are dropped. */
static bool hear(const struct session *session, uint8_t protocol, uint8_t flags, bool data, struct heard *heard) {
  while (wait_readable(session, session->bench->far)) {
    ssize_t got = recv(session->bench->far, heard->packet, sizeof heard->packet, 0);
    if (got <= 0) return false;
    if (got < 28 || heard->packet[9] != protocol || support_get16(heard->packet + 22) != session->client_port) continue;
    bool tcp = protocol == IPPROTO_TCP;
    size_t header = 20 + (tcp ? (heard->packet[32] >> 4) * 4u : 8u);
    heard->flags = tcp ? heard->packet[33] : 0;
    heard->sequence = support_get32(heard->packet + 24);
    heard->payload = heard->packet + header;
    heard->length = (size_t)got - header;
    if (heard->flags & SUPPORT_RST) return false;
    if ((heard->flags & flags) == flags && (!data || heard->length > 0)) return true;
  }
  return false;
}

static void segment(const struct session *session, uint32_t sequence, uint32_t acknowledgment, uint8_t flags,
                    const char *data) {
  uint8_t packet[200];
  size_t size = support_tcp4(packet, SUPPORT_CLIENT4, SUPPORT_KERNEL4, session->client_port, session->port, sequence,
                             acknowledgment, flags, 65535, NULL, 0, data, strlen(data));
  assert_int_equal(send(session->bench->far, packet, size, 0), (ssize_t)size);
}

/* Eight characters that no other session has. */
static void mark(char text[9]) {
  static unsigned number;
  snprintf(text, 9, "%08u", ++number % 100000000);
}

/* Returns whether it went as it should; `fd` is the outside's end, for the caller to close. */
static bool connection(struct session *session, int *fd) {
  struct heard heard;
  char question[9], bytes[16];
  mark(question);
  session->step = "handshake";
  segment(session, FIRST, 0, SUPPORT_SYN, "");
  if (!hear(session, IPPROTO_TCP, SUPPORT_SYN | SUPPORT_ACK, false, &heard)) return false;
  uint32_t next = heard.sequence + 1;
  session->step = "data up";
  segment(session, FIRST + 1, next, SUPPORT_ACK | SUPPORT_PSH, question);
  for (ssize_t got = -1; got != 8;) { /* a session that failed may have left a connection */
    if (*fd >= 0) close(*fd);
    *fd = wait_readable(session, session->listener) ? accept(session->listener, NULL, NULL) : -1;
    if (*fd < 0 || !wait_readable(session, *fd)) return false;
    got = recv(*fd, bytes, sizeof bytes, 0);
    if (got > 0 && got != 8) return false;
    if (got == 8 && memcmp(bytes, question, 8) != 0) got = -1;
  }
  session->step = "data down";
  assert_int_equal(send(*fd, "answer", 6, MSG_NOSIGNAL), 6);
  if (!hear(session, IPPROTO_TCP, SUPPORT_ACK, true, &heard)) return false;
  if (heard.length != 6 || memcmp(heard.payload, "answer", 6) != 0) return false;
  next += 6;
  session->step = "the client's end";
  segment(session, FIRST + 9, next, SUPPORT_ACK | SUPPORT_FIN, "");
  if (!wait_readable(session, *fd) || recv(*fd, bytes, sizeof bytes, 0) != 0) return false;
  session->step = "the outside's end";
  shutdown(*fd, SHUT_WR);
  if (!hear(session, IPPROTO_TCP, SUPPORT_FIN, false, &heard)) return false;
  segment(session, FIRST + 10, next + 1, SUPPORT_ACK, "");
  return true;
}

static void send_datagram(const struct session *session, const char *to, uint16_t port, const void *data,
                          size_t length) {
  uint8_t packet[200];
  size_t size = support_udp4(packet, SUPPORT_CLIENT4, to, session->client_port, port, data, length);
  assert_int_equal(send(session->bench->far, packet, size, 0), (ssize_t)size);
}

static bool datagram(struct session *session) {
  struct heard heard;
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  char ping[9], bytes[16];
  mark(ping);
  session->step = "datagram up";
  send_datagram(session, SUPPORT_KERNEL4, session->receiver_port, ping, 8);
  do { /* one of a session that failed may have come late */
    if (!wait_readable(session, session->receiver)) return false;
    if (recvfrom(session->receiver, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length) != 8) return false;
  } while (memcmp(bytes, ping, 8) != 0);
  session->step = "datagram down";
  assert_int_equal(sendto(session->receiver, "pong", 4, 0, (struct sockaddr *)&from, length), 4);
  return hear(session, IPPROTO_UDP, 0, true, &heard) && heard.length == 4;
}

static bool name(struct session *session) {
  static const uint8_t question[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1";
  struct heard heard;
  session->step = "name";
  send_datagram(session, "10.77.0.53", 53, question, sizeof question - 1);
  if (!hear(session, IPPROTO_UDP, 0, true, &heard)) return false;
  return (heard.payload[3] & 15) == 0 && support_get16(heard.payload + 6) == 1;
}

static bool run_session(struct session *session) {
  int fd = -1;
  bool good = connection(session, &fd);
  if (fd >= 0) close(fd);
  if (!good) {
    segment(session, FIRST + 1, 0, SUPPORT_RST, ""); /* whatever there is of it */
    while (session->patience_ms != SUPPORT_PATIENCE_MS &&
           (fd = accept4(session->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
      close(fd);
  }
  return good && (!session->datagrams || datagram(session)) && name(session);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* A way out. */
struct way {
  const char *name;
  const char *scheme;
  enum support_proxy_kind proxy;
  bool direct;
  bool datagrams;
  bool forward; /* --dns forward, otherwise fake */
};

static const struct way ways[] = {
    {.name = "direct", .direct = true, .datagrams = true},
    {.name = "direct, dns forward", .direct = true, .datagrams = true, .forward = true},
    {.name = "socks5", .scheme = "socks5", .proxy = SUPPORT_PROXY_SOCKS5, .datagrams = true},
    {.name = "socks5, dns forward",
     .scheme = "socks5",
     .proxy = SUPPORT_PROXY_SOCKS5,
     .datagrams = true,
     .forward = true},
    {.name = "http", .scheme = "http", .proxy = SUPPORT_PROXY_HTTP},
    {.name = "http, dns forward", .scheme = "http", .proxy = SUPPORT_PROXY_HTTP, .forward = true},
};

struct place {
  struct support_proxy proxy;
  int listener;
  int receiver;
  uint16_t port;
  uint16_t receiver_port;
};

static int nonblocking_listener(uint16_t *port) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int fd = support_kernel_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

/* Milliseconds for each step of a session that may fail. Grows on a machine that is slower than that. */
static int soon_ms = SOON_MS;

/* One tunnel. `at` counts from before its start, `each` from behind it. Returns how many allocations failed. */
static unsigned tunnel(const struct place *place, const struct way *way, unsigned long long at,
                       unsigned long long each) {
  struct support_bench bench;
  char upstream[80] = "direct://";
  char dns[40] = "fake";
  long blocks_before = atomic_load(&blocks);
  unsigned fds_before = support_open_fds();
  unsigned threads_before = support_threads();
  support_bench_prepare(&bench);
  if (!way->direct)
    snprintf(upstream, sizeof upstream, "%s://%s:%s@%s:%u", way->scheme, SUPPORT_PROXY_USER, SUPPORT_PROXY_PASSWORD,
             SUPPORT_KERNEL4, place->proxy.port[way->proxy]);
  if (way->forward) snprintf(dns, sizeof dns, "forward:%s:%u", SUPPORT_KERNEL4, place->proxy.port[SUPPORT_PROXY_DNS]);
  bench.options.upstream = upstream;
  bench.options.dns = dns;
  struct session session = {.bench = &bench,
                            .listener = place->listener,
                            .receiver = place->receiver,
                            .port = place->port,
                            .receiver_port = place->receiver_port,
                            .client_port = CLIENT_PORT,
                            .datagrams = way->datagrams,
                            .patience_ms = soon_ms,
                            .step = "start"};
  arm(at, 0);
  int error = adit_tunnel_start(&bench.options, &bench.tunnel, bench.reason);
  if (each != 0) arm(0, each);
  bool good = error == 0 && run_session(&session);
  disarm();
  unsigned failed = atomic_load(&failures);
  if (error != 0) {
    if (failed == 0) fail_msg("allocation %llu: the start failed by itself: %d: %s", at, error, bench.reason);
    if (error != -ENOMEM || !strstr(bench.reason, "memory"))
      fail_msg("allocation %llu (each %llu): the start said %d: %s", at, each, error, bench.reason);
    bench.tunnel = NULL;
  } else {
    /* The same once more, without faults, from another port: patiently, because what was lost has to be sent again. */
    session.client_port++;
    session.patience_ms = SUPPORT_PATIENCE_MS;
    if (!run_session(&session)) fail_msg("allocation %llu (each %llu): afterwards, %s fails", at, each, session.step);
  }
  support_bench_close(&bench);
  for (unsigned ms = 0; support_threads() != threads_before && ms < SUPPORT_PATIENCE_MS; ms += SUPPORT_TURN_MS)
    poll(NULL, 0, SUPPORT_TURN_MS); /* a thread that was joined may still be listed for a moment */
  if (support_threads() != threads_before)
    fail_msg("allocation %llu (each %llu): threads: %u before, %u after", at, each, threads_before, support_threads());
  if (support_open_fds() != fds_before)
    fail_msg("allocation %llu (each %llu): fds: %u before, %u after", at, each, fds_before, support_open_fds());
  if (atomic_load(&blocks) != blocks_before)
    fail_msg("allocation %llu (each %llu): blocks: %ld before, %ld after", at, each, blocks_before,
             atomic_load(&blocks));
  if (!good && failed == 0) { /* too slow: how many it needs is not known yet */
    soon_ms *= 2;
    if (soon_ms >= SUPPORT_PATIENCE_MS) fail_msg("allocation %llu: the session failed by itself: %s", at, session.step);
    return tunnel(place, way, at, each);
  }
  return failed;
}

static void test_each_allocation_fails_once(void **state) {
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    unsigned long long at = 1;
    while (tunnel(*state, &ways[i], at, 0) > 0) at++;
    print_message("%s: a session needs %llu allocations; each has failed once\n", ways[i].name, at - 1);
    assert_true(at > 35); /* otherwise it was no session */
  }
}

static void test_many_allocations_fail(void **state) {
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    unsigned total = 0;
    for (unsigned each = 1; each <= PERIODS; each++) total += tunnel(*state, &ways[i], 0, each);
    print_message("%s: %u allocations have failed\n", ways[i].name, total);
    assert_in_range(total, PERIODS + 1, 100 * soon_ms); /* more than one in each, and nobody tries without a pause */
  }
}

static int set_up(void **state) {
  static struct place place;
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  support_proxy_start(&place.proxy);
  place.listener = nonblocking_listener(&place.port);
  place.receiver = support_kernel_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  assert_int_equal(getsockname(place.receiver, (struct sockaddr *)&address, &length), 0);
  place.receiver_port = ntohs(address.sin_port);
  *state = &place;
  return 0;
}

static int tear_down(void **state) {
  struct place *place = *state;
  support_proxy_stop(&place->proxy);
  close(place->listener);
  close(place->receiver);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_allocation_fails_once),
      cmocka_unit_test(test_many_allocations_fail),
  };
  int skipped = support_tun_namespace("test_allocation");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests_name("allocation", tests, set_up, tear_down);
}
