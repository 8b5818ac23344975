/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The conversations of a capture: found again by their ends, and the server's numbers translated.
 */
#include "cli/replay_flow.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SA = ADIT_TCP_SYN | ADIT_TCP_ACK };

/* A segment as adit_header_parse tells it. */
static struct adit_header segment(uint8_t flags, uint32_t sequence, uint32_t acknowledgment, uint32_t bytes) {
  return (struct adit_header){.protocol = IPPROTO_TCP,
                              .payload = 40,
                              .length = 40 + bytes,
                              .tcp_flags = flags,
                              .tcp_sequence = sequence,
                              .tcp_acknowledgment = acknowledgment};
}

static void client(struct adit_replay_flow *flow, uint8_t flags, uint32_t sequence, uint32_t acknowledgment) {
  struct adit_header header = segment(flags, sequence, acknowledgment, 0);
  adit_replay_flow_client(flow, &header);
}

static void server(struct adit_replay_flow *flow, struct adit_replay_server *who, uint8_t flags, uint32_t sequence,
                   uint32_t acknowledgment, uint32_t bytes) {
  struct adit_header header = segment(flags, sequence, acknowledgment, bytes);
  adit_replay_flow_server(flow, who, &header);
}

/* What an acknowledgment of the client becomes; the test fails when it is not to be translated. */
static uint32_t translated(const struct adit_replay_flow *flow, uint32_t acknowledgment) {
  struct adit_header header = segment(ADIT_TCP_ACK, 101, acknowledgment, 0);
  uint32_t result = 0;
  assert_true(adit_replay_flow_translate(flow, &header, &result));
  return result;
}

static bool translates(const struct adit_replay_flow *flow, uint8_t flags) {
  struct adit_header header = segment(flags, 101, 1, 0);
  uint32_t result;
  return adit_replay_flow_translate(flow, &header, &result);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static adit_endpoint endpoint(const char *text, uint16_t port) {
  adit_endpoint end = {.port = port};
  assert_int_equal(adit_ip_parse(text, &end.ip), 0);
  return end;
}

static void test_table(void **state) {
  (void)state;
  struct adit_replay_flows *flows;
  assert_int_equal(adit_replay_flows_new(&flows), 0);
  adit_endpoint to = endpoint("192.168.3.12", 7);
  struct adit_replay_flow *first = NULL;
  for (unsigned port = 1; port <= 50000; port++) {
    adit_endpoint from = endpoint("192.168.3.11", (uint16_t)port);
    assert_null(adit_replay_flows_find(flows, IPPROTO_TCP, from, to));
    struct adit_replay_flow *flow = adit_replay_flows_add(flows, IPPROTO_TCP, from, to);
    assert_non_null(flow);
    if (port == 1) first = flow;
    assert_ptr_equal(adit_replay_flows_find(flows, IPPROTO_TCP, from, to), flow);
  }
  adit_endpoint one = endpoint("192.168.3.11", 1);
  assert_ptr_equal(adit_replay_flows_find(flows, IPPROTO_TCP, one, to), first);
  assert_null(adit_replay_flows_find(flows, IPPROTO_UDP, one, to));
  assert_null(adit_replay_flows_find(flows, IPPROTO_TCP, to, one));
  assert_null(adit_replay_flows_find(flows, IPPROTO_TCP, one, endpoint("::c0a8:30c", 7)));
  adit_replay_flows_free(flows);
  adit_replay_flows_free(NULL);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static void test_numbers_from_both_servers(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_SYN, 100, 0);
  assert_false(translates(&flow, ADIT_TCP_ACK));
  server(&flow, &flow.given, SA, 5000, 101, 0);
  assert_false(translates(&flow, ADIT_TCP_ACK));
  server(&flow, &flow.recorded, SA, 0xfffffff0, 101, 0);
  assert_int_equal(translated(&flow, 0xfffffff1), 5001);
  assert_int_equal(translated(&flow, 15), 5031); /* over the end of sequence space */
  assert_false(translates(&flow, ADIT_TCP_RST));
  assert_true(translates(&flow, ADIT_TCP_RST | ADIT_TCP_ACK));
}

static void test_number_from_first_acknowledgment(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_SYN, 100, 0);
  server(&flow, &flow.given, SA, 5000, 101, 0);
  client(&flow, ADIT_TCP_RST | ADIT_TCP_ACK, 101, 9); /* tells nothing */
  assert_false(flow.recorded.known);
  client(&flow, ADIT_TCP_ACK, 101, 0);
  assert_true(flow.recorded.known);
  assert_int_equal(flow.recorded.isn, UINT32_MAX);
  client(&flow, ADIT_TCP_ACK, 101, 700); /* later ones are for more than the SYN */
  assert_int_equal(translated(&flow, 700), 5701);
}

static void test_without_syn(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_ACK, 101, 700);
  server(&flow, &flow.recorded, SA, 600, 101, 0);
  assert_false(flow.recorded.known);
  assert_false(translates(&flow, ADIT_TCP_ACK));
}

static void test_what_was_sent(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_SYN, 100, 0);
  server(&flow, &flow.given, ADIT_TCP_ACK, 1, 101, 10); /* before its SYN: nothing is known */
  assert_false(flow.given.known);
  server(&flow, &flow.given, SA, 0xffffffff, 101, 0);
  assert_int_equal(flow.given.next, 0);
  assert_int_equal(flow.acknowledged, 0xffffffff);
  server(&flow, &flow.given, ADIT_TCP_ACK, 0, 101, 1000);
  server(&flow, &flow.given, ADIT_TCP_ACK, 500, 101, 100); /* sent again */
  assert_int_equal(flow.given.next, 1000);
  server(&flow, &flow.given, ADIT_TCP_ACK | ADIT_TCP_RST, 7777, 101, 0);
  assert_int_equal(flow.given.next, 1000);
  server(&flow, &flow.given, SA, 0xffffffff, 101, 0); /* SYN-ACK sent again */
  assert_int_equal(flow.given.next, 1000);
  server(&flow, &flow.given, ADIT_TCP_ACK | ADIT_TCP_FIN, 1000, 101, 5);
  assert_int_equal(flow.given.next, 1006);
}

static void test_other_syn_acks(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_SYN, 100, 0);
  server(&flow, &flow.recorded, SA, 600, 102, 0); /* for another SYN */
  assert_false(flow.recorded.known);
  server(&flow, &flow.recorded, ADIT_TCP_SYN, 600, 101, 0);
  assert_false(flow.recorded.known);
  server(&flow, &flow.recorded, SA, 600, 101, 0);
  server(&flow, &flow.recorded, SA, 800, 101, 0); /* a server that forgot and chose again */
  assert_int_equal(flow.recorded.isn, 800);
}

static void test_next_connection(void **state) {
  (void)state;
  struct adit_replay_flow flow = {.protocol = IPPROTO_TCP};
  client(&flow, ADIT_TCP_SYN, 100, 0);
  server(&flow, &flow.recorded, SA, 600, 101, 0);
  server(&flow, &flow.given, SA, 5000, 101, 0);
  flow.gave_up = true;
  client(&flow, ADIT_TCP_SYN, 100, 0); /* sent again: nothing changes */
  assert_int_equal(translated(&flow, 601), 5001);
  assert_true(flow.gave_up);
  client(&flow, ADIT_TCP_SYN, 900, 0);
  assert_false(flow.gave_up);
  assert_false(translates(&flow, ADIT_TCP_ACK));
  server(&flow, &flow.given, SA, 9000, 901, 0);
  server(&flow, &flow.recorded, SA, 650, 901, 0);
  assert_int_equal(translated(&flow, 651), 9001);
}

static void test_after(void **state) {
  (void)state;
  static const struct {
    uint32_t a, b;
    bool after;
  } cases[] = {{1, 0, true},           {0, 1, false},         {5, 5, false},         {0, UINT32_MAX, true},
               {UINT32_MAX, 0, false}, {0x7fffffff, 0, true}, {0x80000001, 0, false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool found = adit_replay_after(cases[i].a, cases[i].b);
    if (found != cases[i].after)
      fail_msg("%u after %u: expected %d, found %d", (unsigned)cases[i].a, (unsigned)cases[i].b, cases[i].after, found);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_numbers_from_both_servers),
      cmocka_unit_test(test_number_from_first_acknowledgment),
      cmocka_unit_test(test_without_syn),
      cmocka_unit_test(test_what_was_sent),
      cmocka_unit_test(test_other_syn_acks),
      cmocka_unit_test(test_next_connection),
      cmocka_unit_test(test_after),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
