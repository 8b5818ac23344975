/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Acknowledgments that wait for their owner's answer: what waits, for how long, and what does not.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, PEERS = ADIT_DELAYED + 1, MUCH = 8000 };

static struct support_world world;
static struct support_peer peer;
static struct adit_flow *flow;
static char text[MUCH];

static void flush(void) {
  adit_stack_flush(world.lab.stack);
}

/* A connection whose owner reads along and has said that it will answer. */
static int open_world(void **state) {
  (void)state;
  support_world_open(&world, PEERS, NULL);
  world.reads = true;
  peer = support_peer_at(&world, false, PORT);
  support_peer_connect(&peer);
  flow = world.owners[0].flow;
  adit_flow_await_answers(flow);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

/* The one packet that comes out: these flags, so much data, and everything acknowledged. */
static void assert_packet(uint8_t flags, size_t length) {
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.flags, flags);
  assert_int_equal(segment.length, length);
  assert_int_equal(segment.acknowledgment, peer.next);
  (void)support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_world_expect_silence(&world);
}

static void test_answer_takes_it_along(void **state) {
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    support_peer_send(&peer, SUPPORT_PSH, "request", 7);
    flush();
    support_world_expect_silence(&world);
    support_lab_pass(&world.lab, ADIT_DELAY / 2);
    support_world_expect_silence(&world);
    assert_int_equal(adit_flow_write(flow, "answer", 6), 6);
    flush();
    assert_packet(SUPPORT_ACK | SUPPORT_PSH, 6);
    support_peer_ack(&peer, peer.expected);
    flush();
    support_world_expect_silence(&world);
  }
  assert_true(adit_stack_deadline(world.lab.stack) > world.lab.now_ns + ADIT_DELAY); /* nothing waits */
}

/* A goodbye is acknowledged by ours. */
static void test_end_takes_it_along(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  flush();
  support_world_expect_silence(&world);
  adit_flow_shutdown(flow);
  flush();
  assert_packet(SUPPORT_ACK | SUPPORT_FIN, 0);
  support_peer_ack(&peer, peer.expected);
  flush();
}

/* Data and a goodbye behind it, which does not make the wait longer. */
static void test_both_wait_once(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_PSH, "request", 7);
  flush();
  support_lab_pass(&world.lab, ADIT_DELAY / 2);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  flush();
  support_world_expect_silence(&world);
  support_lab_pass(&world.lab, ADIT_DELAY / 2);
  assert_packet(SUPPORT_ACK, 0);
}

static void test_waits_so_long_and_once(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_PSH, "request", 7);
  flush();
  assert_int_equal(adit_stack_deadline(world.lab.stack), world.lab.now_ns + ADIT_DELAY);
  support_lab_pass(&world.lab, ADIT_DELAY - 1);
  support_world_expect_silence(&world);
  support_lab_pass(&world.lab, 1);
  assert_packet(SUPPORT_ACK, 0);
  support_peer_send(&peer, SUPPORT_PSH, "request", 7); /* it was in vain: from now on at once */
  flush();
  assert_packet(SUPPORT_ACK, 0);
}

static void test_second_piece_is_acknowledged_at_once(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_PSH, "request, first part", 19);
  flush();
  support_world_expect_silence(&world);
  support_peer_send(&peer, SUPPORT_PSH, "second part", 11);
  flush();
  assert_packet(SUPPORT_ACK, 0);
  support_lab_pass(&world.lab, 2 * ADIT_DELAY);
  support_world_expect_silence(&world);
}

static void test_much_is_acknowledged_at_once(void **state) {
  (void)state;
  support_peer_send_large(&peer, SUPPORT_PSH, text, MUCH, 1460);
  flush();
  assert_packet(SUPPORT_ACK, 0);
}

static void test_a_gap_is_told_at_once(void **state) {
  (void)state;
  struct support_segment segment;
  support_peer_raw(&peer, peer.next + 3, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "def", 3);
  flush();
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "abc", 3);
  peer.next += 6;
  flush();
  assert_packet(SUPPORT_ACK, 0); /* RFC 5681, 4.2 */
}

/* In one burst: something behind a gap, and a part of what lacks. With SACK it is lwIP that tells. */
static void test_a_part_of_a_gap_is_told_at_once(void **state) {
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    support_peer_free(&peer);
    peer = support_peer_at(&world, false, (uint16_t)(PORT + 1 + i));
    peer.sack = i == 0;
    support_peer_connect(&peer);
    adit_flow_await_answers(world.owners[1 + i].flow);
    support_peer_raw(&peer, peer.next + 3, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "def", 3);
    support_peer_send(&peer, 0, "a", 1);
    flush();
    assert_int_equal(support_peer_skip(&peer), 2); /* for each one */
    assert_int_equal(peer.acked, peer.next);
  }
}

/* An owner that has said goodbye answers no more. */
static void test_nothing_waits_behind_our_end(void **state) {
  (void)state;
  adit_flow_shutdown(flow);
  flush();
  assert_packet(SUPPORT_ACK | SUPPORT_FIN, 0);
  support_peer_ack(&peer, peer.expected);
  support_peer_send(&peer, SUPPORT_PSH, "more", 4);
  flush();
  assert_packet(SUPPORT_ACK, 0);
}

/* What the owner does not read, it will not answer soon. */
static void test_unread_data_is_acknowledged_at_once(void **state) {
  (void)state;
  world.owners[0].reads = false;
  support_peer_send(&peer, SUPPORT_PSH, "request", 7);
  flush();
  assert_packet(SUPPORT_ACK, 0);
  support_owner_read(&world.owners[0]);
}

static void test_without_a_word_nothing_waits(void **state) {
  (void)state;
  struct support_peer other = support_peer_at(&world, true, PORT);
  support_peer_connect(&other);
  support_peer_send(&other, SUPPORT_PSH, "request", 7);
  flush();
  struct support_segment segment;
  support_peer_expect(&other, SUPPORT_ACK, &segment);
  support_segment_free(&segment);
  support_peer_free(&other);
}

/* The connection ends while its acknowledgment waits: by the client, by the owner, with the stack. */
static void test_ends_while_it_waits(void **state) {
  (void)state;
  struct support_peer others[3];
  for (unsigned i = 0; i < 3; i++) {
    others[i] = support_peer_at(&world, i == 1, (uint16_t)(PORT + 1 + i));
    support_peer_connect(&others[i]);
    adit_flow_await_answers(world.owners[1 + i].flow);
    support_peer_send(&others[i], SUPPORT_PSH, "request", 7);
  }
  flush();
  support_world_expect_silence(&world);
  support_peer_raw(&others[0], others[0].next, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  adit_flow_abort(world.owners[2].flow);
  flush();
  assert_int_equal(support_peer_skip(&others[1]), 1); /* RST, no acknowledgment besides */
  support_peer_send(&peer, SUPPORT_PSH, "request", 7);
  flush();
  support_lab_pass(&world.lab, 3 * ADIT_DELAY);
  assert_int_equal(support_peer_skip(&others[2]), 1);
  assert_packet(SUPPORT_ACK, 0);
  support_peer_send(&others[2], SUPPORT_PSH, "last", 4);
  for (unsigned i = 0; i < 3; i++) support_peer_free(&others[i]);
}

/* There is room for so many; one more is acknowledged at once. Those in between that are answered make room when theirs is. */
static void test_so_many_wait(void **state) {
  (void)state;
  static struct support_peer peers[PEERS];
  support_lab_pass(&world.lab, ADIT_DELAY);
  for (unsigned i = 1; i < PEERS; i++) {
    peers[i] = support_peer_at(&world, false, (uint16_t)(PORT + i));
    support_peer_connect(&peers[i]);
    adit_flow_await_answers(world.owners[i].flow);
    support_peer_send(&peers[i], SUPPORT_PSH, "request", 7);
    flush();
  }
  support_world_expect_silence(&world);
  support_peer_send(&peer, SUPPORT_PSH, "request", 7);
  flush();
  assert_packet(SUPPORT_ACK, 0);

  for (unsigned i = 1; i < PEERS; i++) { /* all but the last, in an order of their own */
    unsigned one = 1 + i * 7 % (PEERS - 1);
    if (one == PEERS - 1) continue;
    assert_int_equal(adit_flow_write(world.owners[one].flow, "answer", 6), 6);
    flush();
    assert_int_equal(support_peer_skip(&peers[one]), 1);
  }
  assert_int_equal(adit_stack_deadline(world.lab.stack), world.lab.now_ns + ADIT_DELAY);
  support_lab_pass(&world.lab, ADIT_DELAY);
  assert_int_equal(support_peer_skip(&peers[PEERS - 1]), 1);
  support_world_expect_silence(&world);
  for (unsigned i = 1; i < PEERS; i++) support_peer_free(&peers[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_answer_takes_it_along, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_end_takes_it_along, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_both_wait_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_waits_so_long_and_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_second_piece_is_acknowledged_at_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_much_is_acknowledged_at_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_a_gap_is_told_at_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_a_part_of_a_gap_is_told_at_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_nothing_waits_behind_our_end, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_unread_data_is_acknowledged_at_once, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_without_a_word_nothing_waits, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_ends_while_it_waits, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_so_many_wait, open_world, close_world),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
