/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The life of a flow: events and their order, ends of every kind, backpressure, memory.
 *
 * Long, because the cases share one world and its state builders, and each is short.
 */
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, MSS = 1460, CHUNK = 64 * 1024 };

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner; /* of the flow of `peer` */
static uint8_t pattern[4 << 20];

static void establish(void) {
  peer = support_peer_at(&world, false, PORT);
  support_peer_connect(&peer);
  owner = &world.owners[0];
  support_assert_heard(owner, "SE");
}

static void open_changed(void (*change)(struct adit_stack_options *options)) {
  support_world_open(&world, 2000, change);
  establish();
}

static int open_world(void **state) {
  (void)state;
  support_pattern(pattern, sizeof pattern);
  open_changed(NULL);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

static void reopen(void (*change)(struct adit_stack_options *options)) {
  close_world(NULL);
  open_changed(change);
}

static void send_and_flush(uint8_t flags, const void *data, size_t length) {
  support_peer_send(&peer, flags, data, length);
  support_peer_run(&peer);
}

static void expect_reset(uint32_t sequence) {
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_RST | SUPPORT_ACK, &segment);
  assert_int_equal(segment.sequence, sequence);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
}

/* Nothing is left of the flow but, at most, its TIME-WAIT. */
static void expect_gone(void) {
  assert_int_equal(support_world_stats(&world).flows_open, 0);
  support_world_expect_silence(&world);
}

/* ---- events ---- */

static void test_orderly_end_by_the_peer(void **state) {
  (void)state;
  send_and_flush(SUPPORT_PSH, "request", 7);
  support_assert_heard(owner, "SER");
  send_and_flush(SUPPORT_FIN, NULL, 0);
  support_assert_heard(owner, "SERP");
  assert_int_equal(peer.acked, peer.next);
  support_owner_read(owner);
  assert_memory_equal(owner->data, "request", 7);
  assert_int_equal(adit_flow_write(owner->flow, "response", 8), 8); /* half closed: writing goes on */
  support_peer_run(&peer);
  assert_int_equal(peer.length, 8);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  support_peer_run(&peer);
  assert_true(peer.fin);
  support_assert_heard(owner, "SERPC");
  assert_int_equal(owner->error, 0);
  assert_int_equal(owner->closed, 1);
  expect_gone();
  assert_int_equal(support_world_stats(&world).flows_closed, 1);
}

static void test_orderly_end_by_the_owner(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, "hello", 5), 5);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  assert_int_equal(adit_flow_write(owner->flow, "more", 4), -EPIPE);
  assert_int_equal(adit_flow_lend(owner->flow, "more", 4), -EPIPE);
  assert_int_equal(adit_flow_room(owner->flow), 0);
  support_peer_run(&peer);
  assert_true(peer.fin);
  support_assert_heard(owner, "SE");
  support_lab_pass(&world.lab, 300 * SUPPORT_S); /* half closed for long: nobody minds */
  send_and_flush(SUPPORT_PSH, "late", 4);        /* reading goes on */
  support_assert_heard(owner, "SER");
  support_owner_read(owner);
  assert_int_equal(owner->length, 4);
  send_and_flush(SUPPORT_FIN, NULL, 0);
  support_assert_heard(owner, "SERPC");
  assert_int_equal(owner->error, 0);
  assert_int_equal(peer.acked, peer.next);
  expect_gone();
  support_lab_pass(&world.lab, 61 * SUPPORT_S);
  assert_int_equal(owner->closed, 1);
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
}

static void test_both_ends_at_once(void **state) {
  (void)state;
  adit_flow_shutdown(owner->flow);
  support_lab_flush(&world.lab);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0); /* before it has seen the other FIN */
  support_peer_run(&peer);
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  support_assert_heard(owner, "SEPC");
  assert_int_equal(owner->error, 0);
  assert_int_equal(peer.acked, peer.next);
  expect_gone();
}

static void test_order_of_events_of_one_burst(void **state) {
  (void)state;
  /* Fill the send buffer, so that room is owed. */
  peer.mute = true;
  while (adit_flow_write(owner->flow, pattern, sizeof pattern) > 0) continue;
  support_peer_run(&peer);
  peer.mute = false;
  uint32_t everything = peer.expected; /* what the window let through */
  support_peer_send(&peer, SUPPORT_PSH, "x", 1);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_ack(&peer, everything);
  peer.mute = true;
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERP");
  peer.mute = false;
  support_peer_run(&peer);
  support_assert_heard(owner, "SERPW");
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_RST | SUPPORT_ACK, 0, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERPWC");
  assert_int_equal(owner->error, -ECONNRESET);
}

static void test_closed_comes_after_everything_was_read(void **state) {
  (void)state;
  adit_flow_shutdown(owner->flow);
  support_peer_run(&peer);
  send_and_flush(SUPPORT_FIN | SUPPORT_PSH, pattern, 1000);
  support_assert_heard(owner, "SERP");
  support_lab_pass(&world.lab, 10 * SUPPORT_S);
  uint8_t some[600];
  assert_int_equal(adit_flow_read(owner->flow, some, sizeof some), 600);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERP");
  support_lab_pass(&world.lab, 100 * SUPPORT_S); /* TIME-WAIT is over */
  support_assert_heard(owner, "SERP");
  assert_int_equal(adit_flow_available(owner->flow), 400);
  assert_int_equal(adit_flow_read(owner->flow, some, sizeof some), 400);
  assert_memory_equal(some, pattern + 600, 400);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERPC");
  assert_int_equal(owner->error, 0);
  expect_gone();
}

static void test_stack_ends_while_only_the_owner_knows_the_flow(void **state) {
  (void)state;
  adit_flow_shutdown(owner->flow);
  support_peer_run(&peer);
  send_and_flush(SUPPORT_FIN | SUPPORT_PSH, pattern, 1000);
  support_lab_pass(&world.lab, 100 * SUPPORT_S);
  support_assert_heard(owner, "SERP"); /* closing the world must find it */
}

static void test_stack_ends_without_a_word(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_PSH, pattern, 1000); /* not acknowledged yet */
  adit_stack_free(world.lab.stack);
  support_world_expect_silence(&world);
  support_assert_heard(owner, "SE");
  world.lab.stack = NULL;
}

static void test_tuple_reopened_while_data_is_unread(void **state) {
  (void)state;
  adit_flow_shutdown(owner->flow);
  support_peer_run(&peer);
  send_and_flush(SUPPORT_FIN | SUPPORT_PSH, "rest", 4);
  support_peer_free(&peer);
  peer = support_peer_at(&world, false, PORT);
  peer.first += 100000;
  support_peer_connect(&peer);
  support_assert_heard(owner, "SERP");
  support_owner_read(owner);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERPC");
  assert_int_equal(owner->error, 0);
  assert_memory_equal(owner->data, "rest", 4);
  support_assert_heard(&world.owners[1], "SE");
  assert_int_equal(support_world_stats(&world).flows_open, 1);
}

/* ---- acting inside callbacks ---- */

static char when;
static void (*how)(struct adit_flow *flow);

static void end_own(struct support_owner *self, char event) {
  if (event != when) return;
  how(self->flow);
  self->flow = NULL;
}

static void check_end_inside(char event, void (*end)(struct adit_flow *flow), const char *heard) {
  reopen(NULL);
  owner->act = end_own;
  when = event;
  how = end;
  if (event == 'W') {
    peer.mute = true;
    while (adit_flow_write(owner->flow, pattern, sizeof pattern) > 0) continue;
    support_peer_run(&peer);
    peer.mute = false;
    support_peer_ack(&peer, peer.expected);
  }
  support_peer_send(&peer, SUPPORT_PSH, "data", 4);
  if (event == 'P') support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  if (!peer.reset && !peer.fin) support_peer_run(&peer);
  assert_true(peer.reset || peer.fin);
  assert_string_equal(owner->heard, heard);
  if (!peer.reset) {
    support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
    support_peer_run(&peer);
  }
  expect_gone();
}

static void test_ending_itself_in_each_callback(void **state) {
  (void)state;
  check_end_inside('R', adit_flow_close, "SER");
  assert_true(peer.reset); /* the data was not read: RFC 2525, 2.17 */
  check_end_inside('R', adit_flow_abort, "SER");
  assert_true(peer.reset);
  check_end_inside('P', adit_flow_close, "SERP");
  check_end_inside('P', adit_flow_abort, "SERP");
  check_end_inside('W', adit_flow_abort, "SERW");
}

static void end_at_established(struct support_owner *self, char event) {
  end_own(self, event);
}

static void test_ending_itself_when_established(void **state) {
  (void)state;
  void (*const ends[])(struct adit_flow *) = {adit_flow_close, adit_flow_abort};
  for (size_t i = 0; i < 2; i++) {
    struct support_peer other = support_peer_at(&world, false, (uint16_t)(PORT + 1 + i));
    world.act = end_at_established;
    when = 'E';
    how = ends[i];
    support_peer_syn(&other);
    support_peer_run(&other);
    assert_true(i == 0 ? other.fin : other.reset);
    support_assert_heard(&world.owners[1 + i], "SE");
    if (i == 0) {
      support_peer_send(&other, SUPPORT_FIN, NULL, 0);
      support_peer_run(&other);
    }
    support_peer_free(&other);
  }
  assert_int_equal(support_world_stats(&world).flows_open, 1);
}

static struct support_owner *victim;

static void end_other(struct support_owner *self, char event) {
  (void)self;
  if (event != when || !victim->flow) return;
  how(victim->flow);
  victim->flow = NULL;
}

static void test_ending_another_flow_that_has_news_in_the_same_burst(void **state) {
  (void)state;
  void (*const ends[])(struct adit_flow *) = {adit_flow_close, adit_flow_abort};
  for (size_t i = 0; i < 4; i++) {
    reopen(NULL);
    struct support_peer other = support_peer_at(&world, true, PORT);
    support_peer_connect(&other);
    bool victim_first = i >= 2;
    owner->act = end_other;
    victim = &world.owners[1];
    when = 'R';
    how = ends[i % 2];
    if (victim_first) support_peer_send(&other, SUPPORT_PSH, "data", 4);
    support_peer_send(&peer, SUPPORT_PSH, "data", 4);
    if (!victim_first) support_peer_send(&other, SUPPORT_PSH, "data", 4);
    support_lab_flush(&world.lab);
    support_peer_run(&other);
    support_peer_run(&peer);
    assert_true(other.reset);
    support_assert_heard(victim, victim_first ? "SER" : "SE");
    support_assert_heard(owner, "SER");
    assert_int_equal(support_world_stats(&world).flows_open, 1);
    support_peer_free(&other);
  }
}

static void attach_nothing(struct support_owner *self, char event) {
  if (event == 'R') adit_flow_attach(self->flow, NULL, NULL);
}

static void test_events_may_be_taken_away_inside_a_callback(void **state) {
  (void)state;
  owner->act = attach_nothing;
  send_and_flush(SUPPORT_PSH | SUPPORT_FIN, "data", 4);
  support_assert_heard(owner, "SER");
  adit_flow_abort(owner->flow);
  support_lab_flush(&world.lab);
  assert_true(support_peer_skip(&peer) > 0);
  expect_gone();
}

/* ---- ends that are not orderly ---- */

static void test_close_with_unread_data_resets(void **state) {
  (void)state;
  send_and_flush(SUPPORT_PSH, "unread", 6);
  adit_flow_close(owner->flow);
  support_lab_flush(&world.lab);
  expect_reset(peer.expected);
  support_assert_heard(owner, "SER");
  expect_gone();
}

static void test_data_after_close_resets(void **state) {
  (void)state;
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  assert_true(peer.fin);
  support_peer_send(&peer, SUPPORT_PSH, "too late", 8);
  support_lab_flush(&world.lab);
  expect_reset(peer.expected);
  expect_gone();
  support_assert_heard(owner, "SE");
}

static void test_data_after_close_while_the_rest_is_being_sent(void **state) {
  (void)state;
  peer.mute = true;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 100000), 100000);
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  support_peer_send(&peer, SUPPORT_PSH, "too late", 8);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  bool reset = false;
  while (support_peer_take(&peer, &segment)) {
    assert_false(reset);
    reset = (segment.flags & SUPPORT_RST) != 0;
    support_segment_free(&segment);
  }
  assert_true(reset);
  expect_gone();
}

static void test_data_between_close_and_flush_resets(void **state) {
  (void)state;
  adit_flow_close(owner->flow);
  support_peer_send(&peer, SUPPORT_PSH, "crossing", 8);
  support_lab_flush(&world.lab);
  expect_reset(peer.expected);
  expect_gone();
}

static void test_abort(void **state) {
  (void)state;
  support_peer_send(&peer, SUPPORT_PSH, "x", 1);
  adit_flow_abort(owner->flow);
  support_world_expect_silence(&world);
  support_lab_flush(&world.lab);
  expect_reset(peer.expected); /* one packet, no ACK beside it */
  support_assert_heard(owner, "SE");
  expect_gone();
}

static void test_reset_by_the_peer(void **state) {
  (void)state;
  send_and_flush(SUPPORT_PSH, "unread", 6);
  support_peer_raw(&peer, peer.next + 10, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0); /* in the window: RFC 5961, 3.2 */
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
  support_assert_heard(owner, "SER");
  support_peer_raw(&peer, peer.next, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 0); /* not known to the owner yet */
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SERC");
  assert_int_equal(owner->error, -ECONNRESET);
  expect_gone();
}

static void test_syn_within_a_connection_is_challenged(void **state) {
  (void)state;
  support_peer_raw(&peer, peer.next + 5, 0, SUPPORT_SYN, 1000, NULL, 0, NULL, 0); /* RFC 5961, 4.2 */
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  assert_int_equal(segment.sequence, peer.expected);
  support_segment_free(&segment);
  send_and_flush(SUPPORT_PSH, "fine", 4);
  support_assert_heard(owner, "SER");
}

static void test_retransmission_is_given_up(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, "anybody?", 8), 8);
  support_lab_flush(&world.lab);
  peer.mute = true;
  support_lab_pass(&world.lab, 100 * SUPPORT_S);
  support_assert_heard(owner, "SE");
  support_lab_pass(&world.lab, 1500 * SUPPORT_S);
  support_assert_heard(owner, "SEC");
  assert_int_equal(owner->error, -ETIMEDOUT);
  assert_in_range(support_peer_skip(&peer), 8, 20);
  assert_true(support_world_stats(&world).retransmissions >= 8);
  expect_gone();
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
}

static void test_closed_flow_drains_to_a_slow_peer(void **state) {
  (void)state;
  peer.window = 1 << 16;
  send_and_flush(SUPPORT_FIN, NULL, 0); /* CLOSE-WAIT, so LAST-ACK follows */
  size_t total = 300000;
  assert_int_equal(adit_flow_write(owner->flow, pattern, total), total);
  adit_flow_close(owner->flow);
  peer.mute = true;
  support_peer_run(&peer);
  uint32_t taken = peer.begin + 1; /* what it acknowledges: 3000 bytes a second */
  for (unsigned second = 0; second < 120 && !(peer.fin && taken == peer.expected); second++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_run(&peer);
    taken = peer.expected - taken > 3000 ? taken + 3000 : peer.expected;
    support_peer_ack(&peer, taken);
    support_peer_run(&peer);
  }
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
  assert_true(peer.fin);
  assert_false(peer.reset);
  expect_gone();
}

static void test_slow_peer_may_still_end_in_order(void **state) {
  (void)state;
  peer.window = 1 << 16;
  peer.mute = true;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 100000), 100000);
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  for (unsigned second = 0; second < 30; second++) { /* FIN-WAIT-1 for half a minute */
    support_peer_ack(&peer, peer.expected - 1000);
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_run(&peer);
  }
  peer.mute = false;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 100000);
  assert_true(peer.fin);
  support_lab_pass(&world.lab, SUPPORT_S); /* FIN-WAIT-2 */
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_false(peer.reset);
  assert_int_equal(peer.acked, peer.next);
  expect_gone();
}

static void test_fin_wait_2_of_a_closed_flow_ends(void **state) {
  (void)state;
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  assert_true(peer.fin);
  support_lab_pass(&world.lab, 15 * SUPPORT_S);
  assert_int_equal(support_world_stats(&world).flows_open, 1);
  support_lab_pass(&world.lab, 10 * SUPPORT_S);
  expect_gone();
}

/* ---- windows ---- */

static void close_window(void) {
  peer.window = 0;
  support_peer_ack(&peer, peer.expected);
  peer.edge = peer.expected;
}

static void test_zero_window_is_probed_and_opens(void **state) {
  (void)state;
  close_window();
  assert_int_equal(adit_flow_write(owner->flow, pattern, 5000), 5000);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 0);
  peer.mute = true;
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  struct support_segment segment;
  unsigned probes = 0;
  for (; support_peer_take(&peer, &segment); probes++) {
    assert_int_equal(segment.length, 1);
    assert_int_equal(segment.data[0], pattern[0]);
    support_segment_free(&segment);
  }
  assert_in_range(probes, 1, 10);
  for (int i = 0; i < 40; i++) { /* as long as it answers, it is not given up */
    support_peer_ack(&peer, peer.expected);
    support_lab_pass(&world.lab, 30 * SUPPORT_S);
    support_peer_skip(&peer);
  }
  support_assert_heard(owner, "SE");
  peer.mute = false;
  peer.window = 60000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 5000);
  assert_memory_equal(peer.data, pattern, 5000);
}

static void check_probe_taken(size_t length, bool then_more) {
  reopen(NULL);
  close_window();
  assert_int_equal(adit_flow_write(owner->flow, pattern, length), length);
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, SUPPORT_S);
  struct support_segment segment;
  while (support_peer_take(&peer, &segment)) support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected + 1); /* takes the byte, window still closed */
  peer.expected++;
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, 100 * SUPPORT_S);
  support_peer_skip(&peer);
  if (then_more) assert_int_equal(adit_flow_write(owner->flow, pattern + length, 3000), 3000);
  peer.window = 60000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  size_t rest = length - 1 + (then_more ? 3000 : 0);
  assert_int_equal(peer.length, rest);
  if (rest > 0) assert_memory_equal(peer.data, pattern + 1, rest);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
}

static void test_probe_byte_that_is_taken(void **state) {
  (void)state;
  check_probe_taken(1, false);
  check_probe_taken(1, true);
  check_probe_taken(2, false);
  check_probe_taken(100000, true);
}

static void test_zero_window_without_answer_is_given_up(void **state) {
  (void)state;
  close_window();
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, 1500 * SUPPORT_S);
  support_assert_heard(owner, "SEC");
  assert_int_equal(owner->error, -ETIMEDOUT);
  support_peer_skip(&peer);
  expect_gone();
}

static void window_64k(struct adit_stack_options *options) {
  options->window_bytes = 1 << 16;
}

static size_t memory_held(void) {
  return support_world_stats(&world).memory_bytes; /* receive buffers that are held included */
}

/* Send segments of `size` until the window is full. Returns the bytes sent; no segment is beyond the window. */
static size_t fill_window(size_t size, unsigned burst) {
  size_t sent = 0;
  peer.mute = true;
  for (;;) {
    for (unsigned i = 0; i < burst; i++) {
      uint32_t room = peer.acked + peer.room - peer.next;
      if ((int32_t)room <= 0) break;
      size_t bytes = room < size ? room : size;
      support_peer_send(&peer, SUPPORT_PSH, pattern + sent, bytes);
      sent += bytes;
    }
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    if (peer.acked == peer.next && peer.room == 0) break;
    assert_true(sent < sizeof pattern);
  }
  peer.mute = false;
  return sent;
}

static void check_backpressure(size_t size) {
  reopen(window_64k);
  support_peer_send(&peer, 0, NULL, 0); /* learn the window */
  send_and_flush(SUPPORT_PSH, pattern, 1);
  support_owner_read(owner);
  size_t before = memory_held();
  size_t sent = fill_window(size, 64);
  assert_in_range(sent, (1 << 16) - 512, 1 << 16); /* to the byte, but for the steps of the scale */
  assert_int_equal(adit_flow_available(owner->flow), sent);
  assert_in_range(memory_held() - before, sent, 4 << 16);

  /* What comes on top is not taken. */
  size_t hidden = (1 << 16) - sent; /* of the window, less than a step of its scale */
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 1000, NULL, 0, pattern + sent, 1000);
  peer.next += (uint32_t)hidden;
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(adit_flow_available(owner->flow), 1 << 16);

  /* Reading everything opens it, at once, wholly. */
  owner->length = 0;
  support_owner_read(owner);
  assert_memory_equal(owner->data, pattern, 1 << 16);
  support_lab_flush(&world.lab);
  assert_true(support_peer_skip(&peer) == 1);
  assert_int_equal(peer.acked, peer.next);
  assert_int_equal(peer.room, 1 << 16);
  assert_in_range(memory_held(), 0, before + 1024);
}

static void test_flow_that_nobody_reads_closes_its_window(void **state) {
  (void)state;
  check_backpressure(MSS);
  check_backpressure(1);
  check_backpressure(7);
  check_backpressure(900);
}

static void test_window_opens_by_what_is_consumed(void **state) {
  (void)state;
  reopen(window_64k);
  send_and_flush(SUPPORT_PSH, pattern, 1);
  support_owner_read(owner);
  fill_window(MSS, 8);
  adit_flow_consume(owner->flow, 10000); /* less than a quarter: no word yet */
  support_lab_flush(&world.lab);
  support_world_expect_silence(&world);
  adit_flow_consume(owner->flow, 10000);
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  assert_in_range(peer.room, 20000 - 512, 20000 + 512);
  size_t waiting = adit_flow_available(owner->flow);
  fill_window(MSS, 8);
  assert_in_range(adit_flow_available(owner->flow), waiting + 20000 - 512, waiting + 20000 + 512);
}

static void window_1m(struct adit_stack_options *options) {
  options->window_bytes = 1 << 20;
}

/* A window grows by being used: 50000 bytes each `pause_ns`. */
static void use_window(uint64_t pause_ns) {
  for (size_t sent = 0; sent < 2000000; sent += 50000) {
    support_peer_send_large(&peer, SUPPORT_PSH, pattern, 50000, MSS);
    support_lab_flush(&world.lab);
    adit_flow_consume(owner->flow, adit_flow_available(owner->flow));
    support_lab_flush(&world.lab);
    support_lab_pass(&world.lab, pause_ns);
  }
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
}

static void test_window_begins_small_and_grows_with_use(void **state) {
  (void)state;
  reopen(window_1m);
  send_and_flush(SUPPORT_PSH, pattern, 1);
  support_peer_skip(&peer);
  assert_in_range(peer.room, 128 * 1024 - 1024, 128 * 1024);
  adit_flow_consume(owner->flow, 1);
  use_window(SUPPORT_MS);
  assert_in_range(peer.room, 900000, 1 << 20);
}

/* Who has used up half a megabyte within 5 ms is near, and would only queue more. */
static void test_window_of_a_near_peer_stays_ample(void **state) {
  (void)state;
  reopen(window_1m);
  use_window(SUPPORT_MS / 4);
  assert_in_range(peer.room, 400000, 512 * 1024);
  use_window(SUPPORT_MS); /* it is not any more */
  assert_in_range(peer.room, 900000, 1 << 20);
}

static void test_much_more_than_64_kib_may_wait(void **state) {
  (void)state;
  reopen(window_1m);
  use_window(SUPPORT_MS);
  for (size_t sent = 0; sent < 1000000; sent += 50000) {
    support_peer_send_large(&peer, SUPPORT_PSH, pattern + sent, 50000, MSS);
    if (sent % 150000 == 0) support_lab_flush(&world.lab);
  }
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  assert_int_equal(adit_flow_available(owner->flow), 1000000);
  struct iovec iov[64];
  unsigned pieces = adit_flow_peek(owner->flow, iov, 64);
  assert_int_equal(pieces, 20);
  size_t at = 0;
  for (unsigned i = 0; i < pieces; i++) {
    assert_memory_equal(iov[i].iov_base, pattern + at, iov[i].iov_len);
    at += iov[i].iov_len;
  }
  assert_int_equal(at, 1000000);
  owner->length = 0;
  support_owner_read(owner);
  assert_memory_equal(owner->data, pattern, 1000000);
}

static void small_budget(struct adit_stack_options *options) {
  options->window_bytes = 1 << 20;
  options->budget_bytes = 1 << 20;
}

/* Large pieces stay in their receive buffers, and what they pin counts. A peer that minds no window finds a bound. */
static void test_unread_buffers_count_against_the_budget(void **state) {
  (void)state;
  reopen(small_budget);
  send_and_flush(SUPPORT_PSH, pattern, 1);
  support_owner_read(owner);
  peer.mute = true;
  uint32_t first = peer.next;
  for (size_t sent = 0; sent < 1000000; sent += 50000) {
    support_peer_send_large(&peer, SUPPORT_PSH, pattern + sent, 50000, MSS);
    support_lab_flush(&world.lab);
    assert_in_range(support_world_stats(&world).memory_bytes, 1, 1 << 20);
  }
  support_peer_skip(&peer);
  size_t taken = adit_flow_available(owner->flow);
  assert_in_range(taken, 32 * 1024, 19 * 50000);
  assert_int_equal(peer.acked, first + taken);

  /* Room again: what was dropped comes once more and is taken. */
  owner->length = 0;
  support_owner_read(owner);
  support_lab_flush(&world.lab);
  peer.next = first + (uint32_t)taken;
  support_peer_send_large(&peer, SUPPORT_PSH, pattern + taken, 50000, MSS);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  peer.mute = false;
  support_owner_read(owner);
  assert_int_equal(owner->length, taken + 50000);
  assert_memory_equal(owner->data, pattern, taken + 50000);
}

enum { MANY = 18, MANY_ROUNDS = 20 };

static void four_mib_budget(struct adit_stack_options *options) {
  options->window_bytes = 1 << 20;
  options->budget_bytes = 4 << 20;
}

/* Peers that fill their windows, and owners that do not read: nothing has to be dropped. Then they read, and go on. */
static void test_windows_shrink_before_memory_runs_out(void **state) {
  (void)state;
  reopen(four_mib_budget);
  struct support_peer *peers = calloc(MANY, sizeof *peers);
  assert_non_null(peers);
  for (unsigned i = 0; i < MANY; i++) {
    peers[i] = support_peer_at(&world, i % 2, (uint16_t)(20000 + i));
    support_peer_connect(&peers[i]);
  }
  size_t sent[MANY] = {0};
  for (unsigned round = 0; round < MANY_ROUNDS; round++) {
    for (unsigned i = 0; i < MANY; i++) {
      uint32_t under_way = peers[i].next - peers[i].acked;
      if (peers[i].room <= under_way) continue;
      size_t bytes = peers[i].room - under_way < 50000 ? peers[i].room - under_way : 50000;
      support_peer_send_large(&peers[i], SUPPORT_PSH, pattern + sent[i], bytes, MSS);
      sent[i] += bytes;
      support_lab_flush(&world.lab);
      support_peer_skip(&peers[i]);
    }
  }
  struct adit_stack_stats stats = support_world_stats(&world);
  assert_int_equal(stats.drops[ADIT_DROP_MEMORY], 0);
  assert_in_range(stats.memory_bytes, 1 << 20, 4 << 20);
  for (unsigned i = 0; i < MANY; i++) {
    struct support_owner *one = &world.owners[1 + i];
    support_owner_read(one);
    assert_int_equal(one->length, sent[i]);
    assert_memory_equal(one->data, pattern, sent[i]);
  }
  support_lab_pass(&world.lab, SUPPORT_S); /* those that stayed shut look again */
  for (unsigned i = 0; i < MANY; i++) {
    support_peer_skip(&peers[i]);
    assert_int_equal(peers[i].acked, peers[i].next);
    assert_in_range(peers[i].room, 32 * 1024, 1 << 20);
    support_peer_free(&peers[i]);
  }
  free(peers);
}

static void test_peek_consume_and_read_across_pieces(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 1460, 2, 700, 1460, 1, 1, 1, 1460, 300};
  uint64_t seed = 1;
  for (int round = 0; round < 50; round++) {
    size_t sent = 0, taken = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      support_peer_send(&peer, SUPPORT_PSH, pattern + sent, sizes[i]);
      sent += sizes[i];
      if (support_random(&seed) % 2) support_lab_flush(&world.lab);
      size_t bytes = support_random(&seed) % 1000;
      if (bytes > adit_flow_available(owner->flow)) bytes = adit_flow_available(owner->flow);
      struct iovec iov[3];
      unsigned count = adit_flow_peek(owner->flow, iov, 3);
      size_t seen = 0;
      for (unsigned k = 0; k < count; k++) {
        assert_true(iov[k].iov_len > 0);
        assert_memory_equal(iov[k].iov_base, pattern + taken + seen, iov[k].iov_len);
        seen += iov[k].iov_len;
      }
      assert_true(seen <= adit_flow_available(owner->flow));
      if (support_random(&seed) % 2) {
        uint8_t data[1000];
        assert_int_equal(adit_flow_read(owner->flow, data, bytes), bytes);
        assert_memory_equal(data, pattern + taken, bytes);
      } else {
        adit_flow_consume(owner->flow, bytes);
      }
      taken += bytes;
      assert_int_equal(adit_flow_available(owner->flow), sent - taken);
    }
    adit_flow_consume(owner->flow, 1 << 30); /* more than there is */
    assert_int_equal(adit_flow_available(owner->flow), 0);
    assert_int_equal(adit_flow_peek(owner->flow, &(struct iovec){0}, 1), 0);
    assert_int_equal(adit_flow_read(owner->flow, &(uint8_t){0}, 1), 0);
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    assert_int_equal(peer.acked, peer.next);
  }
}

/* ---- writing ---- */

static void test_room_is_exact_beyond_64_kib(void **state) {
  (void)state;
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
  peer.mute = true;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 300000), 300000);
  assert_int_equal(adit_flow_room(owner->flow), (1 << 20) - 300000);
  assert_int_equal(adit_flow_write(owner->flow, pattern + 300000, sizeof pattern - 300000), (1 << 20) - 300000);
  assert_int_equal(adit_flow_room(owner->flow), 0);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 0);
  assert_int_equal(adit_flow_lend(owner->flow, "x", 1), 0);
  assert_int_equal(adit_flow_reserve(owner->flow, &(struct iovec){0}, 1), 0);
  assert_true(support_world_stats(&world).memory_bytes < 2 << 20);
  peer.mute = false;
  support_peer_run(&peer);
  support_assert_heard(owner, "SEW");
  assert_int_equal(peer.length, 1 << 20);
  assert_memory_equal(peer.data, pattern, 1 << 20);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
  assert_true(support_world_stats(&world).memory_bytes < 8192); /* an idle flow has no buffers */
}

static void test_writable_comes_only_when_owed(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 500000), 500000);
  support_peer_run(&peer);
  support_assert_heard(owner, "SE");
}

static void write_on(struct support_owner *self, char event) {
  size_t *done = self->extra;
  if (event != 'W') return;
  *done += (size_t)adit_flow_write(self->flow, pattern + *done, sizeof pattern - *done);
}

static void test_long_transfer_by_writable(void **state) {
  (void)state;
  size_t done = 0;
  owner->act = write_on;
  owner->extra = &done;
  write_on(owner, 'W');
  for (int i = 0; i < 100 && done < sizeof pattern; i++) support_peer_run(&peer);
  assert_int_equal(done, sizeof pattern);
  support_peer_run(&peer);
  assert_int_equal(peer.length, sizeof pattern);
  assert_memory_equal(peer.data, pattern, sizeof pattern);
}

static void test_reserve_and_commit(void **state) {
  (void)state;
  struct iovec iov[4];
  assert_int_equal(adit_flow_commit(owner->flow, 1), -EINVAL); /* nothing reserved */
  size_t total = 0;
  for (unsigned round = 0; total < 500000; round++) {
    unsigned pieces = adit_flow_reserve(owner->flow, iov, 4);
    assert_in_range(pieces, 1, 4);
    size_t offered = 0;
    for (unsigned i = 0; i < pieces; i++) offered += iov[i].iov_len;
    assert_in_range(offered, 1, adit_flow_room(owner->flow));
    size_t bytes = round % 3 == 0 ? 1 : round % 3 == 1 ? iov[0].iov_len : iov[0].iov_len / 2 + 1;
    if (bytes > iov[0].iov_len) bytes = iov[0].iov_len;
    memcpy(iov[0].iov_base, pattern + total, bytes);
    assert_int_equal(adit_flow_commit(owner->flow, offered + 1), -EINVAL);
    assert_int_equal(adit_flow_commit(owner->flow, 0), 0);
    assert_int_equal(adit_flow_commit(owner->flow, bytes), bytes);
    total += bytes;
    if (round % 5 == 0) support_peer_run(&peer);
  }
  assert_int_equal(adit_flow_reserve(owner->flow, iov, 0), 0);
  support_peer_run(&peer);
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
}

static void test_lend_beside_write(void **state) {
  (void)state;
  size_t total = 0;
  for (unsigned round = 0; round < 10; round++) {
    size_t bytes = 70000 + round * 13;
    assert_int_equal((round % 2 ? adit_flow_lend : adit_flow_write)(owner->flow, pattern + total, bytes), bytes);
    total += bytes;
    if (round % 4 == 3) support_peer_run(&peer);
  }
  support_peer_run(&peer);
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
}

static void tight_budget(struct adit_stack_options *options) {
  options->budget_bytes = 1 << 20;
  options->send_bytes = 1 << 24;
  options->window_bytes = 1 << 16;
}

static void try_again(struct support_owner *self, char event) {
  if (event != 'W' || adit_flow_write(self->flow, "x", 1) == 0) return;
  self->act = NULL;
  *(bool *)self->extra = true;
}

static void test_writable_comes_when_memory_is_back(void **state) {
  (void)state;
  reopen(tight_budget);
  struct support_peer hog = support_peer_at(&world, false, PORT + 1);
  hog.mute = false;
  support_peer_connect(&hog);
  hog.mute = true;
  hog.window = 0;
  support_peer_ack(&hog, hog.expected);
  support_lab_flush(&world.lab);
  while (adit_flow_write(world.owners[1].flow, pattern, 50000) == 50000) continue;
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 0); /* room, but no memory */
  assert_true(adit_flow_room(owner->flow) > 0);
  bool done = false;
  owner->act = try_again;
  owner->extra = &done;
  support_lab_pass(&world.lab, SUPPORT_S);
  assert_false(done);
  adit_flow_abort(world.owners[1].flow);
  support_lab_pass(&world.lab, SUPPORT_S);
  assert_true(done);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 1);
  support_peer_free(&hog);
}

/* ---- out of order ---- */

static void send_at(size_t offset, size_t length, uint8_t flags) {
  support_peer_raw(&peer, peer.first + 1 + (uint32_t)offset, peer.expected, SUPPORT_ACK | flags, 1000, NULL, 0,
                   pattern + offset, length);
}

static void test_out_of_order_segments_are_kept_and_sacked(void **state) {
  (void)state;
  struct support_segment segment;
  peer.next += 6000;
  send_at(2000, 1000, 0);
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.first + 1);
  assert_int_equal(segment.sacks, 1);
  assert_int_equal(segment.sack[0][0], peer.first + 1 + 2000);
  assert_int_equal(segment.sack[0][1], peer.first + 1 + 3000);
  support_segment_free(&segment);
  send_at(4000, 1000, 0);
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.sacks, 2);
  assert_int_equal(segment.sack[0][0], peer.first + 1 + 4000); /* the newest first: RFC 2018, 4 */
  assert_int_equal(segment.sack[1][0], peer.first + 1 + 2000);
  support_segment_free(&segment);
  assert_int_equal(adit_flow_available(owner->flow), 0);
  send_at(1000, 1000, 0);
  send_at(3000, 1000, 0);
  send_at(5000, 1000, SUPPORT_FIN);
  peer.next++;
  send_at(0, 1000, 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  support_assert_heard(owner, "SERP");
  support_owner_read(owner);
  assert_int_equal(owner->length, 6000);
  assert_memory_equal(owner->data, pattern, 6000);
}

static void test_overlaps_in_random_order(void **state) {
  (void)state;
  enum { TOTAL = 50000 };
  uint64_t seed = 7;
  peer.next += TOTAL;
  for (unsigned i = 0; adit_flow_available(owner->flow) < TOTAL; i++) {
    assert_true(i < 20000);
    size_t offset = support_random(&seed) % TOTAL, length = 1 + support_random(&seed) % 1460;
    if (offset + length > TOTAL) length = TOTAL - offset;
    if (i > 200) offset = adit_flow_available(owner->flow) - (adit_flow_available(owner->flow) > 5 ? 5 : 0);
    if (offset + length > TOTAL) length = TOTAL - offset;
    send_at(offset, length, 0);
    if (i % 16 == 0) support_lab_flush(&world.lab);
    support_peer_skip(&peer);
  }
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  support_owner_read(owner);
  assert_int_equal(owner->length, TOTAL);
  assert_memory_equal(owner->data, pattern, TOTAL);
}

static void test_out_of_order_beyond_the_window(void **state) {
  (void)state;
  reopen(window_64k);
  peer.next += 1 << 18;
  send_at(60000, 1460, 0);
  send_at((1 << 16) - 1000, 1460, 0);           /* 460 bytes too many */
  send_at((1 << 16) - 1460, 1460, SUPPORT_FIN); /* one number too many */
  for (size_t at = 0; at < 1 << 16; at += 1024) send_at(at, 1024, 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(adit_flow_available(owner->flow), 1 << 16);
  assert_int_equal(peer.room, 0);
  support_assert_heard(owner, "SER");
  for (size_t at = 1 << 16; at < 1 << 17; at += 1024) send_at(at, 1024, 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(adit_flow_available(owner->flow), 1 << 16);
  support_owner_read(owner);
  assert_memory_equal(owner->data, pattern, 1 << 16);
}

static void test_first_segment_out_of_order_beyond_the_window(void **state) {
  (void)state;
  reopen(window_64k);
  peer.next += 1 << 18;
  send_at((1 << 16) - 1000, 1460, 0);
  for (size_t at = 0; at < (1 << 16) - 1024; at += 1024) send_at(at, 1024, 0);
  send_at((1 << 16) - 1024, 24, 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_in_range(adit_flow_available(owner->flow), (1 << 16) - 1000, 1 << 16);
  assert_in_range(peer.room, 0, 1000);
}

static void test_bytes_behind_a_kept_fin(void **state) {
  (void)state;
  reopen(window_64k);
  peer.next += 1 << 18;
  send_at(65000, 100, SUPPORT_FIN);
  for (size_t at = 0; at < 64000; at += 1000) send_at(at, 1000, 0);
  send_at(64000, 1536, 0); /* to the edge of the window, over the FIN */
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_in_range(peer.room, 0, 2048);
  assert_in_range(adit_flow_available(owner->flow), 64000, 1 << 16);
}

static void test_tiny_segments_out_of_order_are_bounded(void **state) {
  (void)state;
  reopen(window_64k);
  peer.next += 1 << 18;
  size_t before = memory_held();
  for (size_t at = 1; at < 20000; at += 2) send_at(at, 1, 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_in_range(memory_held() - before, 1, 4 << 16);
  for (size_t at = 0; at < 20000; at += 100) send_at(at, 100, 0); /* it is still a connection */
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(adit_flow_available(owner->flow), 20000);
  support_owner_read(owner);
  assert_memory_equal(owner->data, pattern, 20000);
}

static void test_mss_option_after_the_handshake_means_nothing(void **state) {
  (void)state;
  static const uint8_t options[] = {2, 4, 0, 100, 3, 3, 14, 1};
  peer.mute = true;
  peer.window = 2000;
  support_peer_ack(&peer, peer.expected);
  assert_int_equal(adit_flow_write(owner->flow, pattern, 100000), 100000);
  support_lab_flush(&world.lab);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 2000 >> 7, options, sizeof options, "x", 1);
  peer.next++;
  assert_int_equal(adit_flow_write(owner->flow, pattern + 100000, 100000), 100000);
  support_lab_flush(&world.lab);
  peer.mute = false;
  support_peer_run(&peer);
  peer.window = 1 << 20;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 200000);
  assert_memory_equal(peer.data, pattern, 200000);
  assert_true(peer.segments < 200);
}

static void test_options_that_are_malformed(void **state) {
  (void)state;
  static const uint8_t options[][8] = {{2, 0, 0, 0}, {2, 1, 2, 1},   {2, 200, 1, 1},   {1, 1, 1, 2, 1, 1, 1, 3},
                                       {3, 3, 3, 2}, {254, 2, 2, 4}, {0, 2, 4, 0, 50}, {4, 2, 2, 4, 5, 1, 1, 2}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 512, options[i], 8, pattern + i, 1);
    peer.next++;
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    assert_int_equal(peer.acked, peer.next);
  }
  assert_int_equal(adit_flow_available(owner->flow), sizeof options / sizeof *options);
}

static void test_window_zero_in_the_syn(void **state) {
  (void)state;
  struct support_peer other = support_peer_at(&world, false, PORT + 1);
  other.window = 0;
  other.scale = -1;
  support_peer_connect(&other);
  struct adit_flow *flow = world.owners[1].flow;
  assert_int_equal(adit_flow_write(flow, pattern, 3000), 3000);
  support_peer_run(&other);
  other.window = 100;
  support_peer_ack(&other, other.expected);
  assert_int_equal(adit_flow_write(flow, pattern + 3000, 3000), 3000);
  support_peer_run(&other);
  for (int i = 0; i < 100 && other.length < 6000; i++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_ack(&other, other.expected);
    support_peer_run(&other);
  }
  assert_int_equal(other.length, 6000);
  assert_memory_equal(other.data, pattern, 6000);
  support_peer_free(&other);
}

/* ---- acknowledgments ---- */

static void test_one_acknowledgment_a_burst(void **state) {
  (void)state;
  owner->reads = true;
  for (unsigned burst = 1; burst < 20; burst++) {
    for (unsigned i = 0; i < burst; i++) support_peer_send(&peer, 0, pattern, MSS);
    support_world_expect_silence(&world);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    support_peer_expect(&peer, SUPPORT_ACK, &segment);
    assert_int_equal(segment.acknowledgment, peer.next);
    support_segment_free(&segment);
  }
}

static void echo(struct support_owner *self, char event) {
  uint8_t data[100];
  if (event == 'R') {
    size_t length = adit_flow_read(self->flow, data, sizeof data);
    assert_int_equal(adit_flow_write(self->flow, data, length), length);
  }
}

static void test_answer_carries_the_acknowledgment(void **state) {
  (void)state;
  owner->act = echo;
  for (int i = 0; i < 5; i++) {
    support_peer_send(&peer, SUPPORT_PSH, "ping", 4);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    assert_true(support_peer_take(&peer, &segment));
    assert_int_equal(segment.length, 4);
    assert_int_equal(segment.acknowledgment, peer.next);
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
    support_world_expect_silence(&world);
  }
}

static void test_fin_with_data_is_acknowledged_once(void **state) {
  (void)state;
  support_peer_send(&peer, 0, pattern, MSS);
  support_peer_send(&peer, SUPPORT_FIN, pattern, 10);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
}

static void test_retransmitted_data_is_acknowledged_at_once(void **state) {
  (void)state;
  send_and_flush(SUPPORT_PSH, pattern, 100);
  send_at(0, 100, 0);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
  assert_int_equal(adit_flow_available(owner->flow), 100);
}

/* ---- Ethernet ---- */

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, client_mac[6] = {2, 0, 0, 0, 0, 2};

static void ethernet(struct adit_stack_options *options) {
  options->ethernet = true;
  memcpy(options->mac, own_mac, sizeof own_mac);
}

static void input_frame(uint8_t flags, uint32_t sequence, uint32_t acknowledgment) {
  uint8_t frame[128];
  size_t length = support_tcp4(frame, "192.168.3.11", "192.168.3.12", PORT, 80, sequence, acknowledgment, flags, 65535,
                               NULL, 0, NULL, 0);
  length = support_ethernet(frame, length, own_mac, client_mac, 0x0800);
  support_lab_input(&world.lab, frame, length);
  support_lab_flush(&world.lab);
}

static void answer_arp(void) {
  uint8_t frame[64];
  size_t length = support_arp(frame, 2, client_mac, "192.168.3.11", own_mac, "192.168.3.12");
  support_lab_input(&world.lab, frame, length);
  support_lab_flush(&world.lab);
}

/* The last frame that came out; the others are forgotten. */
static struct support_out *last_frame(void) {
  struct support_out *last = NULL;
  for (struct support_out *out; (out = support_lab_take(&world.lab)); last = out) free(last);
  return last;
}

static void test_packet_that_waits_for_arp_outlives_its_flow(void **state) {
  (void)state;
  close_world(NULL);
  support_world_open(&world, 1, ethernet);
  input_frame(SUPPORT_SYN, 100, 0);
  answer_arp();
  struct support_out *frame = last_frame();
  assert_non_null(frame);
  assert_int_equal(frame->bytes[14 + 20 + 13], SUPPORT_SYN | SUPPORT_ACK);
  uint32_t begin = support_get32(frame->bytes + 14 + 20 + 4);
  free(frame);
  input_frame(SUPPORT_ACK, 101, begin + 1);
  support_assert_heard(&world.owners[0], "SE");
  support_lab_pass(&world.lab, 400 * SUPPORT_S); /* the neighbour is forgotten */
  free(last_frame());
  assert_int_equal(adit_flow_write(world.owners[0].flow, pattern, 500), 500);
  support_lab_flush(&world.lab);
  frame = last_frame();
  assert_non_null(frame);
  assert_int_equal(support_get16(frame->bytes + 12), 0x0806); /* it asks; the data waits */
  free(frame);
  input_frame(SUPPORT_RST, 101, 0);
  support_assert_heard(&world.owners[0], "SEC");
  answer_arp();
  frame = last_frame();
  assert_non_null(frame);
  assert_int_equal(frame->length, 14 + 20 + 20 + 500);
  assert_memory_equal(frame->bytes + 14 + 20 + 20, pattern, 500);
  free(frame);
}

/* ---- many ---- */

static void test_thousand_flows_opened_and_closed(void **state) {
  (void)state;
  enum { FLOWS = 1000 };
  size_t before = support_world_stats(&world).memory_bytes;
  struct support_peer *peers = calloc(FLOWS, sizeof *peers);
  assert_non_null(peers);
  for (uint16_t i = 0; i < FLOWS; i++) {
    peers[i] = support_peer_at(&world, i % 2, (uint16_t)(1000 + i));
    support_peer_connect(&peers[i]);
  }
  assert_int_equal(support_world_stats(&world).flows_open, FLOWS + 1);
  for (unsigned i = 0; i < FLOWS; i++) {
    struct support_owner *one = &world.owners[1 + i];
    support_peer_send(&peers[i], SUPPORT_PSH, &i, sizeof i);
    support_peer_run(&peers[i]);
    unsigned number;
    assert_int_equal(adit_flow_read(one->flow, &number, sizeof number), sizeof number);
    assert_int_equal(number, i);
    assert_int_equal(adit_flow_write(one->flow, &number, sizeof number), sizeof number);
    support_peer_run(&peers[i]);
    assert_int_equal(peers[i].length, sizeof number);
  }
  for (unsigned i = 0; i < FLOWS; i++) {
    struct support_owner *one = &world.owners[1 + i];
    if (i % 3 == 0) adit_flow_close(one->flow);
    if (i % 3 == 1) adit_flow_abort(one->flow);
    if (i % 3 == 2) support_peer_raw(&peers[i], peers[i].next, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
    support_peer_run(&peers[i]);
    if (i % 3 == 0) support_peer_send(&peers[i], SUPPORT_FIN, NULL, 0);
    support_peer_run(&peers[i]);
    assert_string_equal(one->heard, i % 3 == 2 ? "SERC" : "SER");
    support_peer_free(&peers[i]);
  }
  assert_int_equal(support_world_stats(&world).flows_open, 1);
  support_lab_pass(&world.lab, 61 * SUPPORT_S);
  assert_int_equal(support_world_stats(&world).flows_closed, FLOWS);
  assert_int_equal(support_world_stats(&world).memory_bytes, before);
  free(peers);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      with_world(test_orderly_end_by_the_peer),
      with_world(test_orderly_end_by_the_owner),
      with_world(test_both_ends_at_once),
      with_world(test_order_of_events_of_one_burst),
      with_world(test_closed_comes_after_everything_was_read),
      with_world(test_stack_ends_while_only_the_owner_knows_the_flow),
      with_world(test_stack_ends_without_a_word),
      with_world(test_tuple_reopened_while_data_is_unread),
      with_world(test_ending_itself_in_each_callback),
      with_world(test_ending_itself_when_established),
      with_world(test_ending_another_flow_that_has_news_in_the_same_burst),
      with_world(test_events_may_be_taken_away_inside_a_callback),
      with_world(test_close_with_unread_data_resets),
      with_world(test_data_after_close_resets),
      with_world(test_data_after_close_while_the_rest_is_being_sent),
      with_world(test_data_between_close_and_flush_resets),
      with_world(test_abort),
      with_world(test_reset_by_the_peer),
      with_world(test_syn_within_a_connection_is_challenged),
      with_world(test_retransmission_is_given_up),
      with_world(test_closed_flow_drains_to_a_slow_peer),
      with_world(test_slow_peer_may_still_end_in_order),
      with_world(test_fin_wait_2_of_a_closed_flow_ends),
      with_world(test_zero_window_is_probed_and_opens),
      with_world(test_probe_byte_that_is_taken),
      with_world(test_zero_window_without_answer_is_given_up),
      with_world(test_flow_that_nobody_reads_closes_its_window),
      with_world(test_unread_buffers_count_against_the_budget),
      with_world(test_window_opens_by_what_is_consumed),
      with_world(test_window_begins_small_and_grows_with_use),
      with_world(test_window_of_a_near_peer_stays_ample),
      with_world(test_windows_shrink_before_memory_runs_out),
      with_world(test_much_more_than_64_kib_may_wait),
      with_world(test_peek_consume_and_read_across_pieces),
      with_world(test_room_is_exact_beyond_64_kib),
      with_world(test_writable_comes_only_when_owed),
      with_world(test_long_transfer_by_writable),
      with_world(test_reserve_and_commit),
      with_world(test_lend_beside_write),
      with_world(test_writable_comes_when_memory_is_back),
      with_world(test_out_of_order_segments_are_kept_and_sacked),
      with_world(test_overlaps_in_random_order),
      with_world(test_out_of_order_beyond_the_window),
      with_world(test_first_segment_out_of_order_beyond_the_window),
      with_world(test_bytes_behind_a_kept_fin),
      with_world(test_tiny_segments_out_of_order_are_bounded),
      with_world(test_mss_option_after_the_handshake_means_nothing),
      with_world(test_options_that_are_malformed),
      with_world(test_window_zero_in_the_syn),
      with_world(test_one_acknowledgment_a_burst),
      with_world(test_answer_carries_the_acknowledgment),
      with_world(test_fin_with_data_is_acknowledged_once),
      with_world(test_retransmitted_data_is_acknowledged_at_once),
      with_world(test_packet_that_waits_for_arp_outlives_its_flow),
      with_world(test_thousand_flows_opened_and_closed),
  };
  return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
