/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Time: when the stack wants to be woken, what it does then, and clocks that jump.
 */
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, TICK_MS = 100 };

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;

static int open_world(void **state) {
  (void)state;
  support_world_open(&world, 10, NULL);
  peer = support_peer_at(&world, false, PORT);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

static void establish(void) {
  support_peer_connect(&peer);
  owner = &world.owners[0];
}

static bool sleeps_for_ever(void) {
  return adit_stack_deadline(world.lab.stack) == UINT64_MAX;
}

/* To one moment, without stopping in between. */
static void jump(uint64_t ns) {
  world.lab.now_ns += ns;
  adit_stack_advance(world.lab.stack, world.lab.now_ns);
}

static void test_idle_stack_sleeps_for_ever(void **state) {
  (void)state;
  assert_true(sleeps_for_ever());
  jump(SUPPORT_S);
  assert_true(sleeps_for_ever());
  world.holds = true;
  support_peer_syn(&peer);
  assert_false(sleeps_for_ever());
  assert_int_equal(adit_flow_drop(world.owners[0].flow), 0);
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  assert_true(sleeps_for_ever());
}

static void test_deadline_is_never_in_the_past(void **state) {
  (void)state;
  establish();
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1); /* not acknowledged, but sent again and again */
  for (int i = 0; i < 100; i++) {
    jump(37 * SUPPORT_MS);
    assert_true(adit_stack_deadline(world.lab.stack) > adit_stack_now(world.lab.stack));
    assert_true(adit_stack_deadline(world.lab.stack) <= adit_stack_now(world.lab.stack) + TICK_MS * SUPPORT_MS);
  }
}

static void test_flow_at_rest_needs_no_timer(void **state) {
  (void)state;
  establish();
  support_lab_pass(&world.lab, 1100 * SUPPORT_MS); /* the park has seen that it is empty */
  assert_true(sleeps_for_ever());
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  assert_false(sleeps_for_ever());
  support_peer_run(&peer);
  jump(SUPPORT_S);
  assert_true(sleeps_for_ever());
}

static void idle_minute(struct adit_stack_options *options) {
  options->idle_ms = 60000;
}

/* Three ways to be silent: nothing at all, a closed window whose probes are answered, and a close that nobody finishes. */
static void test_silent_connections_end(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  support_world_open(&world, 10, idle_minute);
  struct support_peer peers[4];
  for (unsigned i = 0; i < 4; i++) {
    peers[i] = support_peer_at(&world, false, (uint16_t)(PORT + i));
    support_peer_connect(&peers[i]);
  }
  static const char zeros[100000];
  peers[1].window = 0;
  support_peer_ack(&peers[1], peers[1].expected);
  assert_int_equal(adit_flow_write(world.owners[1].flow, zeros, sizeof zeros), sizeof zeros);
  adit_flow_close(world.owners[2].flow);
  support_peer_run(&peers[2]); /* FIN is acknowledged; none comes */
  for (unsigned second = 0; second < 58; second++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_ack(&peers[1], peers[1].expected);
    support_peer_send(&peers[3], SUPPORT_PSH, "x", 1);
    support_lab_flush(&world.lab);
    for (unsigned i = 0; i < 4; i++) support_peer_skip(&peers[i]);
  }
  assert_int_equal(world.owners[0].closed + world.owners[1].closed, 0);
  for (unsigned second = 0; second < 8; second++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_ack(&peers[1], peers[1].expected);
    support_lab_flush(&world.lab);
    for (unsigned i = 0; i < 4; i++) support_peer_skip(&peers[i]);
  }
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(world.owners[i].closed, 1);
    assert_int_equal(world.owners[i].error, -ETIMEDOUT);
    assert_true(peers[i].reset);
  }
  assert_int_equal(world.owners[3].closed, 0);
  assert_int_equal(support_world_stats(&world).flows_open, 1);
  for (unsigned i = 0; i < 4; i++) support_peer_free(&peers[i]);
  peer = support_peer_at(&world, false, PORT);
}

static void test_sleeps_again_when_the_last_flow_is_gone(void **state) {
  (void)state;
  establish();
  adit_flow_abort(owner->flow);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  support_lab_pass(&world.lab, 1100 * SUPPORT_MS);
  assert_true(sleeps_for_ever());
}

/* Milliseconds until the next packet comes. */
static uint64_t next_packet_ms(uint64_t most_ms) {
  uint64_t start_ns = world.lab.now_ns;
  while (!world.lab.first) {
    assert_true(world.lab.now_ns - start_ns <= most_ms * SUPPORT_MS);
    support_lab_pass(&world.lab, 10 * SUPPORT_MS);
  }
  support_peer_skip(&peer);
  return (world.lab.now_ns - start_ns) / SUPPORT_MS;
}

static void test_first_retransmission_of_the_syn_ack_after_a_second(void **state) {
  (void)state;
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  uint64_t first = next_packet_ms(3000); /* RFC 6298, 2.1 */
  assert_in_range(first, 900, 1100);
  uint64_t second = next_packet_ms(6000); /* 5.5: doubled */
  assert_in_range(second, 1900, 2100);
  uint64_t third = next_packet_ms(10000);
  assert_in_range(third, 3900, 4100);
}

static void test_retransmission_of_data(void **state) {
  (void)state;
  establish();
  for (int i = 0; i < 20; i++) { /* a network that answers at once */
    assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
    support_peer_run(&peer);
  }
  assert_int_equal(adit_flow_write(owner->flow, "y", 1), 1);
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  uint64_t first = next_packet_ms(3000), second = next_packet_ms(6000), third = next_packet_ms(9000);
  assert_in_range(first, 200, 1100);
  assert_in_range(second, 2 * first - TICK_MS, 2 * first + 2 * TICK_MS);
  assert_in_range(third, 2 * second - TICK_MS, 2 * second + 2 * TICK_MS);
  assert_int_equal(support_world_stats(&world).retransmissions, 3);
}

static void test_slow_network_has_a_long_time_out(void **state) {
  (void)state;
  establish();
  for (int i = 0; i < 30; i++) { /* every answer takes 600 ms */
    assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
    support_lab_flush(&world.lab);
    support_lab_pass(&world.lab, 600 * SUPPORT_MS);
    support_peer_run(&peer);
  }
  assert_int_equal(support_world_stats(&world).retransmissions, 0);
  assert_int_equal(adit_flow_write(owner->flow, "y", 1), 1);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_in_range(next_packet_ms(5000), 600, 1500);
}

static void test_clock_jumps_a_minute(void **state) {
  (void)state;
  establish();
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  jump(60 * SUPPORT_S);
  support_peer_skip(&peer);
  support_assert_heard(owner, "SE");
  assert_true(adit_stack_deadline(world.lab.stack) > adit_stack_now(world.lab.stack));
  support_lab_pass(&world.lab, 3 * SUPPORT_S);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 1);
  support_peer_send(&peer, SUPPORT_PSH, "fine", 4);
  support_peer_run(&peer);
  support_assert_heard(owner, "SER");
}

static void test_answer_after_hours_is_no_round_trip(void **state) {
  (void)state;
  static const uint64_t hours[] = {1, 2, 5, 100, 1000000};
  for (size_t i = 0; i < sizeof hours / sizeof *hours; i++) {
    if (i > 0) {
      close_world(NULL);
      open_world(NULL);
    }
    establish();
    support_lab_pass(&world.lab, SUPPORT_S);
    for (int k = 0; k < 20; k++) {
      assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
      support_peer_run(&peer);
    }
    assert_int_equal(adit_flow_write(owner->flow, "y", 1), 1);
    support_lab_flush(&world.lab);
    jump(hours[i] * 3600 * SUPPORT_S); /* the process was stopped; the acknowledgment had come long ago */
    support_peer_run(&peer);
    assert_int_equal(peer.length, 21);
    assert_int_equal(adit_flow_write(owner->flow, "z", 1), 1);
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    assert_in_range(next_packet_ms(10000), 200, 1100);
    support_assert_heard(owner, "SE");
  }
}

static void test_time_that_runs_backwards_is_ignored(void **state) {
  (void)state;
  establish();
  uint64_t now = adit_stack_now(world.lab.stack), deadline = adit_stack_deadline(world.lab.stack);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  adit_stack_advance(world.lab.stack, now - SUPPORT_S);
  adit_stack_advance(world.lab.stack, 0);
  assert_int_equal(adit_stack_now(world.lab.stack), now);
  assert_int_equal(adit_stack_deadline(world.lab.stack), deadline);
  assert_int_equal(support_peer_skip(&peer), 1); /* it ends like a flush all the same */
}

static void test_advance_without_flush(void **state) {
  (void)state;
  establish();
  support_peer_send(&peer, SUPPORT_PSH, "data", 4); /* a burst that nobody ended */
  jump(SUPPORT_MS);
  support_assert_heard(owner, "SER");
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
}

static void test_timers_after_a_burst_that_nobody_ended(void **state) {
  (void)state;
  establish();
  peer.window = 0;
  support_peer_ack(&peer, peer.expected);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  jump(350 * SUPPORT_MS);
  assert_int_equal(support_peer_skip(&peer), 1); /* the byte, as a probe */
  support_peer_ack(&peer, peer.expected + 1);
  for (int i = 0; i < 10; i++) jump(100 * SUPPORT_MS);
  support_world_expect_silence(&world);
}

static void test_advance_to_the_same_moment(void **state) {
  (void)state;
  establish();
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  for (int i = 0; i < 10000; i++) adit_stack_advance(world.lab.stack, world.lab.now_ns);
  support_world_expect_silence(&world);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      with_world(test_idle_stack_sleeps_for_ever),
      with_world(test_deadline_is_never_in_the_past),
      with_world(test_flow_at_rest_needs_no_timer),
      with_world(test_silent_connections_end),
      with_world(test_sleeps_again_when_the_last_flow_is_gone),
      with_world(test_first_retransmission_of_the_syn_ack_after_a_second),
      with_world(test_retransmission_of_data),
      with_world(test_slow_network_has_a_long_time_out),
      with_world(test_clock_jumps_a_minute),
      with_world(test_answer_after_hours_is_no_round_trip),
      with_world(test_time_that_runs_backwards_is_ignored),
      with_world(test_advance_without_flush),
      with_world(test_timers_after_a_burst_that_nobody_ended),
      with_world(test_advance_to_the_same_moment),
  };
  return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
