/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Segments of one flow that follow one another leave as one packet, where whoever takes it takes it.
 *
 * support_peer_take checks every packet: headers of long ones, notes, checksums, no byte behind the offered window.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
  PORT = 40000,
  SHORT = 65535, /* bytes of the largest packet whose header says how long it is */
  MUCH = 700000, /* bytes: three long packets */
  ALL = 1 << 20  /* bytes: what a flow may have under way */
};

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;
static uint8_t pattern[ALL];

static void with_long_packets(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_BIG_TCP;
}

static void with_large_segments(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
}

static void with_half_of_it(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_BIG_TCP;
}

/* What a client on the host needs for it. */
struct client {
  bool ipv6;
  bool stamps;
  uint8_t ttl; /* of its SYN; 0 = the usual one */
};

/* Everything has been acknowledged, and cwnd is no bound any more. */
static void warm_up(void) {
  for (int round = 0; round < 100; round++) {
    assert_int_equal(adit_flow_write(owner->flow, pattern, 60000), 60000);
    support_peer_run(&peer);
  }
  assert_int_equal(adit_flow_room(owner->flow), ALL);
  peer.length = 0;
  owner->flow->pcb->cwnd = ALL;
}

static void begin(void (*change)(struct adit_stack_options *options), struct client client) {
  support_pattern(pattern, sizeof pattern);
  support_world_open(&world, 10, change);
  peer = support_peer_at(&world, client.ipv6, PORT);
  peer.stamps = client.stamps;
  peer.ttl = client.ttl;
  support_peer_connect(&peer);
  owner = &world.owners[0];
  warm_up();
}

static void end(void) {
  support_peer_free(&peer);
  support_world_close(&world);
}

static int open_world(void **state) {
  (void)state;
  begin(with_long_packets, (struct client){0});
  return 0;
}

static int open_world6(void **state) {
  (void)state;
  begin(with_long_packets, (struct client){.ipv6 = true});
  return 0;
}

static int open_stamped(void **state) {
  (void)state;
  begin(with_long_packets, (struct client){.stamps = true});
  return 0;
}

static int close_world(void **state) {
  (void)state;
  end();
  return 0;
}

/* What the peer got in one flush. */
struct flight {
  unsigned packets;
  unsigned of_them_long;
  size_t longest; /* bytes of payload */
  uint8_t flags;  /* of the last one */
};

/* Take it all, and see that it is in order and complete: `length` bytes of the pattern. */
static struct flight take_flight(size_t length) {
  struct flight flight = {0};
  struct support_segment segment;
  support_lab_flush(&world.lab);
  while (support_peer_take(&peer, &segment)) {
    assert_int_equal(segment.sequence, peer.expected);
    assert_int_equal(flight.flags & (SUPPORT_PSH | SUPPORT_FIN), flight.flags & SUPPORT_PSH); /* FIN is the end */
    flight.packets++;
    flight.of_them_long += segment.is_long;
    flight.flags = segment.flags;
    if (segment.length > flight.longest) flight.longest = segment.length;
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
  }
  assert_int_equal(peer.length, length);
  assert_memory_equal(peer.data, pattern, length);
  peer.length = 0;
  return flight;
}

/* Write so much; the flight that is it. It is acknowledged. */
static struct flight send_bytes(size_t length) {
  assert_int_equal(adit_flow_write(owner->flow, pattern, length), length);
  struct flight flight = take_flight(length);
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
  return flight;
}

static void test_much_leaves_in_few_packets(void **state) {
  (void)state;
  struct flight flight = send_bytes(MUCH);
  assert_in_range(flight.packets, 3, 4);
  assert_int_equal(flight.of_them_long, 3);
  assert_in_range(flight.longest, ADIT_PACKET_BIG - SHORT, ADIT_PACKET_BIG);
}

static void test_little_leaves_as_ever(void **state) {
  (void)state;
  static const size_t lengths[] = {1, 1000, 1460, 1461, 30000, 64000};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct flight flight = send_bytes(lengths[i]);
    assert_int_equal(flight.of_them_long, 0);
    assert_int_equal(flight.packets, 1);
  }
}

/* Where a long packet begins to be one: its header may say up to 65535. */
static void test_the_first_length_that_is_long(void **state) {
  (void)state;
  size_t headers = peer.ipv6 ? 20 : 40;
  if (peer.stamps) headers += 12;
  size_t segment = (size_t)(SHORT / peer.mss - 1) * peer.mss;
  for (int more = -2; more <= 2; more++) {
    struct flight flight = send_bytes(SHORT - headers + (size_t)more);
    assert_int_equal(flight.packets, 1);
    assert_int_equal(flight.of_them_long, more > 0);
    assert_true(flight.longest > segment);
  }
}

static void test_psh_and_fin_are_the_last_segments(void **state) {
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    struct flight flight = send_bytes(200000 + i);
    assert_int_equal(flight.flags & SUPPORT_PSH, SUPPORT_PSH);
  }
  assert_int_equal(adit_flow_write(owner->flow, pattern, 250000), 250000);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  struct flight flight = take_flight(250000);
  assert_true(flight.of_them_long == 1);
  assert_int_equal(flight.flags & SUPPORT_FIN, SUPPORT_FIN);
  assert_true(peer.fin);
}

/* The last segment of a write is not whole: nothing is put behind it, even if more follows at once. */
static void test_what_is_not_whole_ends_a_packet(void **state) {
  (void)state;
  static uint8_t lent[3][150000];
  for (size_t i = 0; i < 3; i++) memcpy(lent[i], pattern + i * sizeof lent[i], sizeof lent[i]);
  for (size_t i = 0; i < 3; i++) assert_int_equal(adit_flow_lend(owner->flow, lent[i], sizeof lent[i]), sizeof lent[i]);
  struct flight flight = take_flight(sizeof lent);
  assert_int_equal(flight.of_them_long, 2); /* lwIP fills its segments up: all are whole but the last one */
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
}

static void test_window_is_kept(void **state) {
  (void)state;
  static const uint32_t windows[] = {100 << 10, 200 << 10, 65537};
  for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
    peer.window = windows[i];
    support_peer_ack(&peer, peer.expected);
    support_lab_flush(&world.lab);
    peer.edge = peer.expected + (peer.window >> 7 << 7);
    assert_int_equal(adit_flow_write(owner->flow, pattern, MUCH), MUCH);
    support_peer_run(&peer); /* takes nothing behind the window */
    assert_int_equal(peer.length, MUCH);
    assert_memory_equal(peer.data, pattern, MUCH);
    peer.length = 0;
  }
}

/* What each acknowledgment of a burst lets go would be a packet of its own. */
static void test_a_burst_of_acknowledgments_sends_once(void **state) {
  enum { WINDOW = 200 << 10, STEPS = 4 };
  (void)state;
  peer.window = WINDOW;
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
  peer.edge = peer.expected + WINDOW;
  assert_int_equal(adit_flow_write(owner->flow, pattern, MUCH), MUCH);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  while (support_peer_take(&peer, &segment)) {
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
  }
  assert_in_range(peer.length, WINDOW - peer.mss, WINDOW);
  for (uint32_t step = STEPS; step-- > 0;) {
    support_peer_ack(&peer, peer.expected - step * (WINDOW / STEPS - 1));
    support_world_expect_silence(&world);
  }
  support_lab_flush(&world.lab);
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.sequence, peer.expected);
  assert_in_range(segment.length, WINDOW - 2 * peer.mss, WINDOW);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, MUCH);
  assert_memory_equal(peer.data, pattern, MUCH);
}

static void test_more_pieces_than_a_packet_may_have(void **state) {
  (void)state;
  enum { EACH = 1460, COUNT = 400 };
  for (size_t i = 0; i < COUNT; i++) /* lent, piece by piece: lwIP refers to each by itself */
    assert_int_equal(adit_flow_lend(owner->flow, pattern + i * EACH, EACH), EACH);
  struct flight flight = take_flight((size_t)COUNT * EACH);
  assert_true(flight.of_them_long >= 1);
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
}

/* ---- which segments belong together ---- */

/* A TCP segment as lwIP sends it over IPv4. */
struct shape {
  const char *what;
  uint32_t sequence;
  uint32_t acknowledgment;
  uint16_t window;
  uint16_t mss;
  uint8_t flags;
  uint8_t words; /* of its TCP header; 0 = 5. What is more is options */
  uint8_t option;
  size_t length;
};

static struct pbuf *make(const struct shape *shape) {
  uint8_t words = shape->words ? shape->words : 5;
  size_t headers = 20 + words * 4u;
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)(headers + shape->length), PBUF_RAM);
  assert_non_null(pbuf);
  uint8_t *ip = pbuf->payload;
  memset(ip, 0, headers + shape->length);
  ip[0] = 0x45;
  ip[9] = 6;
  support_put32(ip + 24, shape->sequence);
  support_put32(ip + 28, shape->acknowledgment);
  ip[32] = (uint8_t)(words << 4);
  ip[33] = shape->flags;
  support_put16(ip + 34, shape->window);
  if (words > 5) ip[40] = shape->option;
  return pbuf;
}

static void test_what_differs_is_a_packet_of_its_own(void **state) {
#define AT UINT32_C(0xfffffff0)
  enum { EACH = 2 * 1000 };
  (void)state;
  static const struct shape first = {"", AT, 7, 100, 1000, SUPPORT_ACK, 6, 3, EACH};
  static const struct {
    struct shape shape;
    bool together;
  } cases[] = {
      {{"the next one", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 6, 3, EACH}, true},
      {{"one with PSH", AT + EACH, 7, 100, 1000, SUPPORT_ACK | SUPPORT_PSH, 6, 3, EACH}, true},
      {{"one with FIN", AT + EACH, 7, 100, 1000, SUPPORT_ACK | SUPPORT_FIN, 6, 3, EACH}, true},
      {{"one that is not whole", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 6, 3, 1500}, true},
      {{"one behind a gap", AT + EACH + 1, 7, 100, 1000, SUPPORT_ACK, 6, 3, EACH}, false},
      {{"one that overlaps", AT + EACH - 1, 7, 100, 1000, SUPPORT_ACK, 6, 3, EACH}, false},
      {{"another acknowledgment", AT + EACH, 8, 100, 1000, SUPPORT_ACK, 6, 3, EACH}, false},
      {{"another window", AT + EACH, 7, 101, 1000, SUPPORT_ACK, 6, 3, EACH}, false},
      {{"another MSS", AT + EACH, 7, 100, 500, SUPPORT_ACK, 6, 3, EACH}, false},
      {{"another flag", AT + EACH, 7, 100, 1000, SUPPORT_ACK | SUPPORT_URG, 6, 3, EACH}, false},
      {{"another option", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 6, 4, EACH}, false},
      {{"more options", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 7, 3, EACH}, false},
      {{"no options", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 5, 0, EACH}, false},
      {{"no data", AT + EACH, 7, 100, 1000, SUPPORT_ACK, 6, 3, 0}, false},
      {{"an unknown MSS", AT + EACH, 7, 100, 0, SUPPORT_ACK, 6, 3, EACH}, false},
  };
  struct adit_stack *stack = world.lab.stack;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct shape *shape = &cases[i].shape;
    struct adit_port *outer = adit_port_enter(stack->port);
    struct pbuf *one = make(&first), *two = make(shape);
    stack->merge.open = true;
    assert_true(adit_merge_take(stack, one, first.mss));
    bool taken = adit_merge_take(stack, two, shape->mss);
    assert_int_equal(world.lab.first != NULL, !cases[i].together); /* what waited has left before the other one */
    adit_merge_end(stack);
    pbuf_free(one);
    pbuf_free(two);
    adit_port_leave(outer);
    struct support_out *out = support_lab_take(&world.lab);
    size_t length = 20 + 24 + EACH + (cases[i].together ? shape->length : 0);
    if (out->length != length) fail_msg("%s: %zu bytes left, not %zu", shape->what, out->length, length);
    uint8_t flags = SUPPORT_ACK | (cases[i].together ? shape->flags : 0);
    if (out->bytes[33] != flags) fail_msg("%s: flags %02x, not %02x", shape->what, out->bytes[33], flags);
    free(out);
    out = support_lab_take(&world.lab);
    bool apart = !cases[i].together && shape->mss > 0 && shape->length > 0; /* otherwise it is not for merge.c */
    if (taken != (apart || cases[i].together) || (out != NULL) != apart) fail_msg("%s: left otherwise", shape->what);
    free(out);
  }
}

/* What ends a packet: nothing comes behind it, although it would fit. */
static void test_what_nothing_is_put_behind(void **state) {
  static const struct shape firsts[] = {
      {"FIN", 5100, 7, 100, 1000, SUPPORT_ACK | SUPPORT_FIN, 5, 0, 1000},
      {"not whole", 5100, 7, 100, 1000, SUPPORT_ACK, 5, 0, 999},
  };
  (void)state;
  struct adit_stack *stack = world.lab.stack;
  for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
    const struct shape begin = {"", 4100, 7, 100, 1000, SUPPORT_ACK, 5, 0, 1000};
    struct shape last = begin;
    last.sequence = firsts[i].sequence + (uint32_t)firsts[i].length;
    last.flags = firsts[i].flags; /* FIN is no difference, either */
    struct adit_port *outer = adit_port_enter(stack->port);
    struct pbuf *pbuf[] = {make(&begin), make(&firsts[i]), make(&last)};
    stack->merge.open = true;
    for (size_t j = 0; j < 3; j++) assert_true(adit_merge_take(stack, pbuf[j], 1000));
    adit_merge_end(stack);
    for (size_t j = 0; j < 3; j++) pbuf_free(pbuf[j]);
    adit_port_leave(outer);
    for (size_t j = 0; j < 2; j++) {
      struct support_out *out = support_lab_take(&world.lab);
      size_t length = 40 + 1000 + (j == 0 ? firsts[i].length : 0);
      if (!out || out->length != length) fail_msg("%s: packet %zu is not %zu bytes", firsts[i].what, j, length);
      free(out);
    }
    /* By itself it does not wait at all, unless it is whole. */
    outer = adit_port_enter(stack->port);
    struct pbuf *alone = make(&firsts[i]);
    stack->merge.open = true;
    assert_int_equal(adit_merge_take(stack, alone, 1000), firsts[i].length == 1000);
    adit_merge_end(stack);
    pbuf_free(alone);
    adit_port_leave(outer);
    free(support_lab_take(&world.lab));
  }
}

/* ---- who gets them ---- */

static void expect_long(void (*change)(struct adit_stack_options *options), struct client client, bool expected) {
  begin(change, client);
  struct flight flight = send_bytes(MUCH);
  if ((flight.of_them_long > 0) != expected)
    fail_msg("%u of %u packets are long: IPv%d, TTL %u", flight.of_them_long, flight.packets, client.ipv6 ? 6 : 4,
             client.ttl);
  if (!expected) assert_in_range(flight.longest, SHORT / 2, SHORT);
  end();
}

static void test_only_where_they_are_taken(void **state) {
  (void)state;
  for (int ipv6 = 0; ipv6 < 2; ipv6++) expect_long(with_large_segments, (struct client){.ipv6 = ipv6}, false);
  begin(with_half_of_it, (struct client){0}); /* without TSO6 nothing is large */
  assert_int_equal(send_bytes(MUCH).longest, peer.mss);
  end();
}

static void test_only_for_clients_on_the_host(void **state) {
  (void)state;
  static const struct {
    uint8_t ttl;
    bool expected;
  } cases[] = {{64, true}, {128, true}, {255, true}, {63, false}, {127, false}, {254, false}, {1, false}, {65, false}};
  for (int ipv6 = 0; ipv6 < 2; ipv6++)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
      expect_long(with_long_packets, (struct client){.ipv6 = ipv6, .ttl = cases[i].ttl}, cases[i].expected);
}

static void test_not_over_ethernet(void **state) {
  (void)state;
  static const struct adit_stack_events events = {0};
  struct adit_stack_events with_output = events;
  struct support_lab lab;
  support_lab_open(&lab, &events, NULL);
  with_output.output = lab.events.output;
  struct adit_stack_options options = {
      .size = sizeof options, .events = &with_output, .user = &lab, .secret = "sixteen bytes..", .now_ns = lab.now_ns};
  with_long_packets(&options);
  for (int ethernet = 0; ethernet < 2; ethernet++) {
    struct adit_stack *stack;
    options.ethernet = ethernet;
    assert_int_equal(adit_stack_new(&options, &stack), 0);
    assert_int_equal(stack->big_tcp, !ethernet);
    adit_stack_free(stack);
  }
  support_lab_close(&lab);
}

/* What has to be sent again may have been too long for somebody on the way. */
static void test_none_after_a_loss(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, pattern, MUCH), MUCH);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer); /* all is lost */
  support_lab_pass(&world.lab, 5 * SUPPORT_S);
  support_peer_run(&peer);
  assert_int_equal(peer.length, MUCH);
  assert_memory_equal(peer.data, pattern, MUCH);
  assert_true(support_world_stats(&world).retransmissions > 0);
  peer.length = 0;
  owner->flow->pcb->cwnd = ALL;
  struct flight flight = send_bytes(MUCH);
  assert_int_equal(flight.of_them_long, 0);
  assert_in_range(flight.longest, SHORT / 2, SHORT);
}

/* ---- refused ---- */

static void test_what_is_refused_goes_in_parts(void **state) {
  (void)state;
  world.lab.most = ADIT_PACKET_MAX;
  struct flight flight = send_bytes(MUCH);
  assert_int_equal(world.lab.refused, 1); /* the next ones are not tried */
  assert_int_equal(flight.of_them_long, 0);
  assert_in_range(flight.longest, SHORT / 2, SHORT);

  world.lab.most = 0;
  assert_int_equal(send_bytes(MUCH).of_them_long, 0);
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  assert_true(send_bytes(MUCH).of_them_long > 0);
  assert_int_equal(support_world_stats(&world).retransmissions, 0);
}

static void test_fin_of_what_is_refused(void **state) {
  (void)state;
  world.lab.most = ADIT_PACKET_MAX;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 150001), 150001);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  struct flight flight = take_flight(150001); /* sees that FIN comes once, and last */
  assert_int_equal(world.lab.refused, 1);
  assert_int_equal(flight.flags & SUPPORT_FIN, SUPPORT_FIN);
  assert_true(peer.fin);
}

#define with(open, test) cmocka_unit_test_setup_teardown(test, open, close_world)
#define all(test)                                                                                                      \
  with(open_world, test), {#test " (IPv6)", test, open_world6, close_world, NULL}, {                                   \
#test " (timestamps)", test, open_stamped, close_world, NULL                                                       \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      all(test_much_leaves_in_few_packets),
      all(test_little_leaves_as_ever),
      all(test_the_first_length_that_is_long),
      all(test_psh_and_fin_are_the_last_segments),
      all(test_what_is_not_whole_ends_a_packet),
      all(test_window_is_kept),
      all(test_a_burst_of_acknowledgments_sends_once),
      all(test_more_pieces_than_a_packet_may_have),
      with(open_world, test_what_differs_is_a_packet_of_its_own),
      with(open_world, test_what_nothing_is_put_behind),
      cmocka_unit_test(test_only_where_they_are_taken),
      cmocka_unit_test(test_only_for_clients_on_the_host),
      cmocka_unit_test(test_not_over_ethernet),
      all(test_none_after_a_loss),
      all(test_what_is_refused_goes_in_parts),
      all(test_fin_of_what_is_refused),
  };
  return cmocka_run_group_tests_name("long packets", tests, NULL, NULL);
}
