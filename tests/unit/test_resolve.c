/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Names to addresses: two nameservers of the test's on real sockets, which answer, refuse, lie, cut short, and say
 * nothing; and resolv.conf(5).
 */
#include "relay/resolve.h"
#include "support_packet.h"
#include "support_process.h"
#include "support_turn.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MILLISECOND UINT64_C(1000000)

enum { TURN_MS = 2, TURNS = 5000, SERVERS = 2, TRY = 150, ANSWER = 1400 };

struct world {
  struct adit_relay relay;
  struct adit_egress egress; /* of `options`, which may be changed */
  struct adit_relay_options options;
  struct adit_resolver *resolver;
  struct adit_nameservers server;
  int udp[SERVERS];
  int tcp; /* listener of the first server */
  unsigned fds;
};

struct told {
  unsigned found;
  unsigned failed;
  bool exists;
  char why[256];
  unsigned count;
  adit_ip address[ADIT_RESOLVE_FOUND];
};

static void on_found(void *user, const adit_ip *addresses, unsigned count) {
  struct told *told = user;
  told->found++;
  told->count = count;
  assert_in_range(count, 1, ADIT_RESOLVE_FOUND);
  memcpy(told->address, addresses, count * sizeof *addresses);
}

static void on_failed(void *user, bool exists, const char *why) {
  struct told *told = user;
  told->failed++;
  told->exists = exists;
  snprintf(told->why, sizeof told->why, "%s", why);
}

static const struct adit_resolve_events events = {.found = on_found, .failed = on_failed};

static void turn(struct world *world) {
  struct adit_loop *loop = world->relay.loop;
  support_turn_events(loop, adit_loop_now(loop) + TURN_MS * MILLISECOND);
  adit_loop_fire(loop);
  while (adit_loop_work(loop)) {
  }
  adit_loop_reap(loop);
}

#define UNTIL(world, condition)                                                                                        \
  for (unsigned turns_ = 0; !(condition); turns_++) {                                                                  \
    if (turns_ == TURNS) fail_msg("waited in vain for: %s", #condition);                                               \
    turn(world);                                                                                                       \
  }

static void turns(struct world *world, unsigned count) {
  while (count-- > 0) turn(world);
}

static int bind_to(int type, uint32_t host, uint16_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(*port)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static int open_world(void **state) {
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  world->fds = support_open_fds();
  world->egress = (struct adit_egress){.options = &world->options, .relay = &world->relay, .references = 1};
  world->relay.egress = world->relay.egresses = &world->egress;
  world->relay.options = &world->options;
  assert_int_equal(adit_loop_new(&world->relay.loop), 0);
  struct adit_nameservers options = {.servers = SERVERS, .try_ms = TRY, .rounds = 2};
  for (unsigned i = 0; i < SERVERS; i++) {
    const uint8_t host[4] = {127, 0, 0, (uint8_t)(1 + i)};
    uint16_t port = 0;
    world->udp[i] = bind_to(SOCK_DGRAM, INADDR_LOOPBACK + i, &port);
    options.server[i] = (adit_endpoint){adit_ip_from_bytes(4, host), port};
  }
  world->tcp = bind_to(SOCK_STREAM, INADDR_LOOPBACK, &options.server[0].port);
  assert_int_equal(listen(world->tcp, 8), 0);
  world->server = options;
  assert_int_equal(adit_resolver_new(&world->relay, &options, &world->resolver), 0);
  *state = world;
  return 0;
}

static int close_world(void **state) {
  struct world *world = *state;
  adit_resolver_free(world->resolver);
  adit_loop_reap(world->relay.loop);
  assert_int_equal(adit_timers_next(adit_loop_timers(world->relay.loop)), UINT64_MAX);
  adit_loop_free(world->relay.loop);
  for (unsigned i = 0; i < SERVERS; i++)
    if (world->udp[i] >= 0) close(world->udp[i]);
  close(world->tcp);
  assert_int_equal(support_open_fds(), world->fds);
  free(world);
  return 0;
}

static struct adit_resolve *look_up(struct world *world, const char *host, unsigned version, struct told *told) {
  struct adit_resolve *resolve = NULL;
  *told = (struct told){0};
  assert_int_equal(adit_resolve_start(world->resolver, host, version, &events, told, &resolve), 0);
  assert_non_null(resolve);
  assert_int_equal(told->found + told->failed, 0); /* never from within the start */
  return resolve;
}

/* ---- the nameservers --------------------------------------------------------------------------------------------- */

struct asked {
  uint8_t bytes[512];
  size_t length;
  struct adit_dns_question question;
  struct sockaddr_in from;
};

static bool has_question(struct world *world, unsigned server, struct asked *asked) {
  socklen_t length = sizeof asked->from;
  ssize_t got = recvfrom(world->udp[server], asked->bytes, sizeof asked->bytes, 0, (struct sockaddr *)&asked->from,
                         &length);
  if (got < 0) return false;
  asked->length = (size_t)got;
  assert_int_equal(adit_dns_read(asked->bytes, asked->length, &asked->question), ADIT_DNS_ASKS);
  assert_true(asked->question.edns);
  return true;
}

/* Both questions of one try, A first. */
static void hear(struct world *world, unsigned server, const char *host, struct asked asked[2]) {
  for (unsigned i = 0; i < 2; i++) {
    UNTIL(world, has_question(world, server, &asked[i]));
    assert_string_equal(asked[i].question.name, host);
  }
  assert_int_equal(asked[0].question.type, ns_t_a);
  assert_int_equal(asked[1].question.type, ns_t_aaaa);
  assert_int_not_equal(asked[0].question.id, asked[1].question.id);
}

/* The answer with addresses given as text, separated by blanks; behind a CNAME, as is usual. */
static size_t make_answer(const struct asked *asked, unsigned rcode, uint32_t ttl_s, const char *addresses,
                          uint8_t *answer) {
  struct adit_dns_writer writer = adit_dns_begin(answer, ANSWER);
  struct adit_dns_result result = {.rcode = rcode, .recursive = true, .count = {[ns_s_qd] = 1}};
  adit_dns_put_question(&writer, &asked->question);
  if (*addresses) {
    adit_dns_put_pointer(&writer, asked->question.name, ns_t_cname, 3600, "other.example");
    result.count[ns_s_an] = 1;
  }
  while (*addresses) {
    char text[ADIT_ADDRESS_TEXT];
    size_t length = strcspn(addresses, " ");
    snprintf(text, sizeof text, "%.*s", (int)length, addresses);
    adit_ip ip;
    assert_int_equal(adit_ip_parse(text, &ip), 0);
    adit_dns_put_address(&writer, "other.example", ttl_s, ip);
    result.count[ns_s_an]++;
    addresses += length + (addresses[length] == ' ');
  }
  assert_false(writer.full);
  return adit_dns_finish(&writer, asked->bytes, &result);
}

static void say(struct world *world, unsigned server, const struct asked *asked, const uint8_t *answer, size_t length) {
  assert_int_equal(
      sendto(world->udp[server], answer, length, 0, (const struct sockaddr *)&asked->from, sizeof asked->from), length);
}

static void reply(struct world *world, unsigned server, const struct asked *asked, unsigned rcode, uint32_t ttl_s,
                  const char *addresses) {
  uint8_t answer[ANSWER];
  say(world, server, asked, answer, make_answer(asked, rcode, ttl_s, addresses, answer));
}

static void expect(const struct told *told, const char *addresses) {
  char found[1024] = "";
  char text[ADIT_ADDRESS_TEXT];
  size_t length = 0;
  for (unsigned i = 0; i < told->count; i++)
    length += (size_t)snprintf(found + length, sizeof found - length, "%s%s", i ? " " : "",
                               adit_ip_format(told->address[i], text));
  assert_string_equal(found, addresses);
  assert_int_equal(told->found, 1);
  assert_int_equal(told->failed, 0);
}

static uint64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_both(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  look_up(world, "www.example", 4, &told);
  hear(world, 0, "www.example", asked);
  reply(world, 0, &asked[1], 0, 60, "2001:db8::1 2001:db8::2"); /* in any order */
  reply(world, 0, &asked[0], 0, 60, "192.0.2.1 192.0.2.2");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2");
  /* From memory, in the other order. */
  look_up(world, "www.example", 6, &told);
  UNTIL(world, told.found + told.failed);
  expect(&told, "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2");
  assert_false(has_question(world, 0, &asked[0]));
  /* Another host is another question. */
  look_up(world, "ftp.example", 4, &told);
  hear(world, 0, "ftp.example", asked);
  reply(world, 0, &asked[0], 0, 60, "192.0.2.9");
  reply(world, 0, &asked[1], 0, 60, "");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.9");
}

/* One that is remembered for a second, and then no more. Many that wait for the same. */
static void test_ttl(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told[20];
  for (unsigned i = 0; i < 20; i++) look_up(world, "www.example", 4, &told[i]);
  hear(world, 0, "www.example", asked);
  uint64_t began = milliseconds();
  reply(world, 0, &asked[0], 0, 0, "192.0.2.1"); /* counts as a second */
  reply(world, 0, &asked[1], 0, 3600, "2001:db8::1");
  for (unsigned i = 0; i < 20; i++) {
    UNTIL(world, told[i].found);
    expect(&told[i], "192.0.2.1 2001:db8::1");
  }
  bool again = false;
  while (!again) {
    look_up(world, "www.example", 4, &told[0]);
    UNTIL(world, told[0].found || (again = has_question(world, 0, &asked[0])));
    if (milliseconds() - began > 10000) fail_msg("remembered for ever");
  }
  assert_true(milliseconds() - began >= 1000);
}

static void test_no_such_name(void **state) {
  struct world *world = *state;
  static const struct {
    unsigned rcode;
    bool both; /* an answer to one of the two is enough */
  } table[] = {{ns_r_nxdomain, false}, {ns_r_noerror, true}};
  for (unsigned i = 0; i < 2; i++) {
    struct asked asked[2];
    struct told told;
    look_up(world, "nothing.example", 4, &told);
    hear(world, 0, "nothing.example", asked);
    reply(world, 0, &asked[0], table[i].rcode, 0, "");
    if (table[i].both) {
      turns(world, 3);
      assert_int_equal(told.failed, 0);
      reply(world, 0, &asked[1], table[i].rcode, 0, "");
    }
    UNTIL(world, told.found + told.failed);
    assert_int_equal(told.failed, 1);
    assert_false(told.exists);
  }
}

/* The first server refuses, or is not there, or says nothing: the second one is asked. */
static void test_next_server(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  look_up(world, "a.example", 4, &told);
  hear(world, 0, "a.example", asked);
  reply(world, 0, &asked[0], ns_r_servfail, 0, "");
  hear(world, 1, "a.example", asked);
  reply(world, 1, &asked[0], ns_r_refused, 0, "");
  hear(world, 0, "a.example", asked); /* the second round */
  hear(world, 1, "a.example", asked); /* it said nothing */
  reply(world, 1, &asked[0], 0, 60, "192.0.2.1");
  reply(world, 1, &asked[1], 0, 60, "");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1");

  uint64_t began = milliseconds();
  close(world->udp[0]);
  world->udp[0] = -1;
  look_up(world, "b.example", 4, &told);
  hear(world, 1, "b.example", asked);
  assert_in_range(milliseconds() - began, 0, TRY); /* port unreachable is no time-out */
  reply(world, 1, &asked[0], 0, 60, "192.0.2.2");
  reply(world, 1, &asked[1], 0, 60, "2001:db8::2");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.2 2001:db8::2");
}

static void test_silence(void **state) {
  struct world *world = *state;
  struct told told;
  uint64_t began = milliseconds();
  look_up(world, "a.example", 4, &told);
  UNTIL(world, told.found + told.failed);
  assert_int_equal(told.failed, 1);
  assert_true(told.exists);
  assert_non_null(strstr(told.why, "127.0.0.1"));
  assert_in_range(milliseconds() - began, 4 * TRY, 40 * TRY);
}

/* A server that never answers AAAA: what is known is told soon. */
static void test_half(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  world->server.try_ms = 5000;
  adit_resolver_free(world->resolver);
  assert_int_equal(adit_resolver_new(&world->relay, &world->server, &world->resolver), 0);
  uint64_t began = milliseconds();
  look_up(world, "a.example", 6, &told);
  hear(world, 0, "a.example", asked);
  reply(world, 0, &asked[0], 0, 60, "192.0.2.1");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1");
  assert_in_range(milliseconds() - began, 100, 4000); /* AAAA had some time, but not all */
  assert_false(has_question(world, 1, &asked[0]));
}

/* Answers that are none: another id, another name, garbage, short. The true one is waited for. */
static void test_wrong(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  uint8_t answer[ANSWER];
  look_up(world, "a.example", 4, &told);
  hear(world, 0, "a.example", asked);
  size_t length = make_answer(&asked[0], 0, 60, "192.0.2.66", answer);
  answer[0] ^= 1;
  say(world, 0, &asked[0], answer, length);
  answer[0] ^= 1;
  answer[13] ^= 1; /* the name */
  say(world, 0, &asked[0], answer, length);
  answer[13] ^= 1;
  answer[2] &= 0x7f;
  say(world, 0, &asked[0], answer, length);
  answer[2] |= 0x80;
  say(world, 0, &asked[0], answer, length - 1);
  say(world, 0, &asked[0], answer, 5);
  say(world, 0, &asked[0], answer, 0);
  turns(world, 5);
  assert_int_equal(told.found + told.failed, 0);
  reply(world, 0, &asked[1], 0, 60, "");
  reply(world, 0, &asked[0], 0, 60, "192.0.2.1");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1");
}

/* Addresses that were made up here are not believed. */
static void test_looped(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  look_up(world, "a.example", 4, &told);
  hear(world, 0, "a.example", asked);
  reply(world, 0, &asked[0], 0, 60, "198.18.0.1 198.19.7.7");
  reply(world, 0, &asked[1], 0, 60, "fd00:198:18::1");
  UNTIL(world, told.found + told.failed);
  assert_int_equal(told.failed, 1);
  assert_true(told.exists);
  assert_non_null(strstr(told.why, "--dns"));
  look_up(world, "b.example", 4, &told);
  hear(world, 0, "b.example", asked);
  reply(world, 0, &asked[0], 0, 60, "198.18.0.1 192.0.2.1");
  reply(world, 0, &asked[1], 0, 60, "fd00:198:18::1");
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1");
}

/* Nothing but "there is more over TCP". */
static void test_truncated(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told;
  uint8_t answer[2 + ANSWER];
  look_up(world, "a.example", 4, &told);
  hear(world, 0, "a.example", asked);
  size_t length = make_answer(&asked[0], 0, 60, "", answer);
  answer[2] |= 2;
  say(world, 0, &asked[0], answer, length);
  reply(world, 0, &asked[1], 0, 60, "");
  int server = -1;
  UNTIL(world, (server = accept(world->tcp, NULL, NULL)) >= 0);
  struct asked again = {.length = 0};
  uint8_t bytes[512];
  ssize_t got = -1;
  UNTIL(world, (got = recv(server, bytes, sizeof bytes, MSG_DONTWAIT)) > 2);
  assert_int_equal(got, support_get16(bytes) + 2);
  memcpy(again.bytes, bytes + 2, (size_t)got - 2);
  assert_int_equal(adit_dns_read(again.bytes, (size_t)got - 2, &again.question), ADIT_DNS_ASKS);
  assert_int_equal(again.question.type, ns_t_a);
  length = make_answer(&again, 0, 60, "192.0.2.1 192.0.2.2 192.0.2.3", answer + 2);
  support_put16(answer, (uint32_t)length);
  assert_int_equal(send(server, answer, 2 + length, 0), 2 + length);
  UNTIL(world, told.found + told.failed);
  expect(&told, "192.0.2.1 192.0.2.2 192.0.2.3");
  close(server);
}

/* Nobody waits any more, at any time. */
static void test_cancel(void **state) {
  struct world *world = *state;
  struct asked asked[2];
  struct told told[3];
  adit_resolve_cancel(look_up(world, "a.example", 4, &told[0])); /* before it was asked */
  hear(world, 0, "a.example", asked);
  struct adit_resolve *second = look_up(world, "a.example", 4, &told[1]);
  look_up(world, "a.example", 4, &told[2]);
  adit_resolve_cancel(second);
  reply(world, 0, &asked[0], 0, 60, "192.0.2.1");
  reply(world, 0, &asked[1], 0, 60, "");
  UNTIL(world, told[2].found);
  assert_int_equal(told[0].found + told[1].found, 0);
  adit_resolve_cancel(look_up(world, "a.example", 4, &told[0])); /* known, not yet told */
  turns(world, 3);
  assert_int_equal(told[0].found + told[0].failed, 0);
  /* Left over when all ends. */
  look_up(world, "a.example", 4, &told[0]);
  look_up(world, "b.example", 4, &told[1]);
  hear(world, 0, "b.example", asked);
}

/* Who hears of a failure may give up others, and ask the same again. */
struct chain {
  struct world *world;
  struct adit_resolve *other;
  struct told told;
  unsigned failed;
};

static void on_chain_failed(void *user, bool exists, const char *why) {
  struct chain *chain = user;
  (void)exists;
  (void)why;
  chain->failed++;
  if (chain->other) adit_resolve_cancel(chain->other);
  chain->other = NULL;
  if (chain->failed == 1) look_up(chain->world, "a.example", 4, &chain->told);
}

static void test_in_event(void **state) {
  struct world *world = *state;
  static const struct adit_resolve_events chain_events = {.found = on_found, .failed = on_chain_failed};
  struct chain chain = {.world = world};
  struct told never;
  struct asked asked[2];
  struct adit_resolve *resolve;
  chain.other = look_up(world, "a.example", 4, &never); /* it would hear after the one that asks last */
  assert_int_equal(adit_resolve_start(world->resolver, "a.example", 4, &chain_events, &chain, &resolve), 0);
  hear(world, 0, "a.example", asked);
  reply(world, 0, &asked[0], ns_r_nxdomain, 0, "");
  UNTIL(world, chain.failed);
  hear(world, 0, "a.example", asked);
  reply(world, 0, &asked[0], 0, 60, "192.0.2.1");
  reply(world, 0, &asked[1], 0, 60, "");
  UNTIL(world, chain.told.found);
  assert_int_equal(chain.failed, 1);
  assert_int_equal(never.failed + never.found, 0);
}

static void test_resolv_conf(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *servers;
  } table[] = {
      {"", ""},
      {"nameserver 192.0.2.1", "192.0.2.1:53"},
      {"nameserver 192.0.2.1\nnameserver 2001:db8::1\n", "192.0.2.1:53 [2001:db8::1]:53"},
      {"# nameserver 192.0.2.1\nsearch example.org\nnameserver\t192.0.2.2 \n", "192.0.2.2:53"},
      {"nameserver 192.0.2.1#x\nnameserver 192.0.2.2;y", "192.0.2.1:53 192.0.2.2:53"},
      {"nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n\nnameserver 192.0.2.3\n", "192.0.2.3:53"},
      {"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
       "1.1.1.1:53 2.2.2.2:53 3.3.3.3:53"},
      {"nameservers 192.0.2.1\nxnameserver 192.0.2.1\n", ""},
      {"nameserver 0000000000000000000000000000000000000000000000000000000000000000000000000000000000000001", ""},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    adit_endpoint server[ADIT_NAMESERVERS_MOST];
    char found[256] = "";
    char text[ADIT_ADDRESS_TEXT];
    unsigned count = adit_nameservers_parse(table[i].text, server);
    for (unsigned j = 0; j < count; j++) {
      strcat(found, j ? " " : "");
      strcat(found, adit_endpoint_format(server[j], text));
    }
    assert_string_equal(found, table[i].servers);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_both),      TEST(test_ttl),    TEST(test_no_such_name), TEST(test_next_server),
      TEST(test_silence),   TEST(test_half),   TEST(test_wrong),        TEST(test_looped),
      TEST(test_truncated), TEST(test_cancel), TEST(test_in_event),     cmocka_unit_test(test_resolv_conf),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
