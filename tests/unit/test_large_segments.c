/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Segments of up to 64 KiB, both ways: how they are sized, noted, split, acknowledged in part, sent again.
 *
 * support_peer_take checks every packet: notes that fit it, no byte behind the offered window, partial checksums.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, MSS = 1460, LARGEST = 65535 };

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;
static uint8_t pattern[4 << 20];

static void with_offload(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
}

static void open_as(void (*change)(struct adit_stack_options *options), bool ipv6, bool stamps) {
  support_pattern(pattern, sizeof pattern);
  support_world_open(&world, 10, change);
  peer = support_peer_at(&world, ipv6, PORT);
  peer.stamps = stamps;
  support_peer_connect(&peer);
  owner = &world.owners[0];
}

static int open_world(void **state) {
  (void)state;
  open_as(with_offload, false, false);
  return 0;
}

static int open_world6(void **state) {
  (void)state;
  open_as(with_offload, true, false);
  return 0;
}

static int open_stamped(void **state) {
  (void)state;
  open_as(with_offload, false, true);
  return 0;
}

static int open_plain(void **state) {
  (void)state;
  open_as(NULL, false, false);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

/* Let cwnd grow until it is no bound any more: half a megabyte, acknowledged segment by segment. */
static void warm_up(void) {
  for (int round = 0; round < 100; round++) {
    size_t wrote = (size_t)adit_flow_write(owner->flow, pattern, 200000);
    assert_true(wrote > 0);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      for (uint32_t at = MSS; at < segment.length; at += 2 * MSS) support_peer_ack(&peer, segment.sequence + at);
      support_peer_ack(&peer, peer.expected);
      support_segment_free(&segment);
      support_lab_flush(&world.lab);
    }
  }
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
  peer.length = 0;
  peer.segments = 0;
}

/* ---- in ---- */

static void test_super_packets_are_taken_whole_and_acknowledged_once(void **state) {
  (void)state;
  for (int burst = 1; burst < 5; burst++) {
    uint32_t before = peer.next;
    for (int i = 0; i < burst; i++)
      support_peer_send_large(&peer, SUPPORT_PSH, pattern + (peer.next - before), 60000, peer.mss);
    support_world_expect_silence(&world);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    support_peer_expect(&peer, SUPPORT_ACK, &segment); /* at once: no delayed acknowledgment stalls slow start */
    assert_int_equal(segment.acknowledgment, peer.next);
    support_segment_free(&segment);
    owner->length = 0;
    support_owner_read(owner);
    assert_int_equal(owner->length, (size_t)burst * 60000);
    assert_memory_equal(owner->data, pattern, owner->length);
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
  }
}

static void test_largest_super_packet(void **state) {
  (void)state;
  size_t length = LARGEST - 20 - 20 - (peer.ipv6 ? 20 : 0);
  support_peer_send_large(&peer, SUPPORT_PSH, pattern, length, peer.mss);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  assert_int_equal(adit_flow_available(owner->flow), length);
  support_owner_read(owner);
  assert_memory_equal(owner->data, pattern, length);
}

static void test_fin_on_a_super_packet(void **state) {
  (void)state;
  support_peer_send_large(&peer, SUPPORT_PSH | SUPPORT_FIN, pattern, 50000, peer.mss);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  support_assert_heard(owner, "SERP");
  assert_int_equal(adit_flow_available(owner->flow), 50000);
}

static void test_super_packet_in_part_known(void **state) {
  (void)state;
  support_peer_send_large(&peer, 0, pattern, 20000, peer.mss);
  peer.next -= 15000; /* sent again together with more */
  support_peer_send_large(&peer, 0, pattern + 5000, 45000, peer.mss);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, peer.next);
  support_owner_read(owner);
  assert_int_equal(owner->length, 50000);
  assert_memory_equal(owner->data, pattern, 50000);
}

static void test_super_packets_out_of_order(void **state) {
  (void)state;
  static const unsigned order[] = {3, 1, 4, 2, 0};
  for (unsigned i = 0; i < 10; i++) { /* the window grows by being used */
    support_peer_send_large(&peer, SUPPORT_PSH, pattern, 50000, peer.mss);
    support_lab_flush(&world.lab);
    adit_flow_consume(owner->flow, adit_flow_available(owner->flow));
    support_lab_flush(&world.lab);
  }
  support_peer_skip(&peer);
  uint32_t start = peer.next;
  peer.next = start + 5 * 50000;
  uint32_t end = peer.next;
  for (unsigned i = 0; i < 5; i++) {
    peer.next = start + order[i] * 50000;
    support_peer_send_large(&peer, 0, pattern + order[i] * 50000, 50000, peer.mss);
    peer.next = end;
    support_peer_skip(&peer);
  }
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  assert_int_equal(peer.acked, end);
  support_owner_read(owner);
  assert_int_equal(owner->length, 250000);
  assert_memory_equal(owner->data, pattern, 250000);
}

/* ---- out ---- */

static void test_large_segments_are_whole_multiples_of_the_mss(void **state) {
  (void)state;
  warm_up();
  size_t total = 700 * (size_t)peer.mss;
  assert_int_equal(adit_flow_write(owner->flow, pattern, total), total);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  unsigned count = 0;
  size_t longest = 0;
  while (support_peer_take(&peer, &segment)) {
    count++;
    assert_int_equal(segment.length % peer.mss, 0);
    if (segment.length > longest) longest = segment.length;
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
  }
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
  assert_in_range(longest, 40 * (size_t)peer.mss, LARGEST);
  assert_in_range(count, total / LARGEST, total / LARGEST + 3);
}

static void test_no_segment_is_above_half_of_the_window_nor_cut_in_the_mss(void **state) {
  (void)state;
  struct support_peer small = support_peer_at(&world, false, PORT + 1);
  small.scale = -1;
  small.window = 20000;
  support_peer_connect(&small);
  assert_int_equal(adit_flow_write(world.owners[1].flow, pattern, 500 * MSS), 500 * MSS);
  support_lab_flush(&world.lab);
  size_t longest = 0;
  for (int round = 0; round < 500 && small.length < 500 * MSS; round++) {
    struct support_segment segment;
    while (support_peer_take(&small, &segment)) {
      assert_int_equal(segment.length % MSS, 0);
      assert_in_range(segment.length, MSS, 10000);
      if (segment.length > longest) longest = segment.length;
      support_peer_learn(&small, &segment);
      support_segment_free(&segment);
    }
    support_peer_ack(&small, small.expected);
    support_lab_flush(&world.lab);
  }
  assert_int_equal(longest, 6 * MSS);
  assert_int_equal(small.length, 500 * MSS);
  assert_memory_equal(small.data, pattern, 500 * MSS);
  support_peer_free(&small);
}

static void test_cwnd_bounds_the_first_flight(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 500000), 500000);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  size_t flight = 0;
  while (support_peer_take(&peer, &segment)) {
    flight += segment.length;
    support_segment_free(&segment);
  }
  assert_int_equal(flight, 10 * MSS); /* RFC 6928 */
}

static void test_after_a_time_out_the_flow_goes_on(void **state) {
  (void)state;
  warm_up();
  uint32_t start = peer.expected;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 300000), 300000);
  support_lab_flush(&world.lab);
  assert_true(support_peer_skip(&peer) >= 4); /* all lost */
  support_lab_pass(&world.lab, 1500 * SUPPORT_MS);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.sequence, start);
  assert_int_equal(segment.length, peer.mss); /* cwnd is one MSS: the large segment is split */
  support_segment_free(&segment);
  support_world_expect_silence(&world);
  peer.expected = start;
  support_peer_ack(&peer, start + peer.mss);
  peer.expected = start + peer.mss;
  memcpy(peer.data, pattern, peer.mss);
  peer.length = peer.mss;
  support_peer_run(&peer);
  assert_int_equal(peer.length, 300000);
  assert_memory_equal(peer.data, pattern, 300000);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
}

static void test_acknowledgment_inside_a_large_segment_then_a_time_out(void **state) {
  (void)state;
  static const uint32_t taken[] = {1, MSS - 1, MSS, 5000, 30000, 44 * MSS - 1, 299999};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    if (i > 0) {
      close_world(NULL);
      open_as(with_offload, false, false);
    }
    warm_up();
    uint32_t start = peer.expected;
    assert_int_equal(adit_flow_write(owner->flow, pattern, 300000), 300000);
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    support_peer_ack(&peer, start + taken[i]);
    peer.expected = start + taken[i];
    memcpy(peer.data, pattern, taken[i]);
    peer.length = taken[i];
    support_lab_flush(&world.lab);
    support_peer_skip(&peer); /* it may go on sending; all of that is lost too */
    support_lab_pass(&world.lab, 1500 * SUPPORT_MS);
    struct support_segment segment;
    assert_true(support_peer_take(&peer, &segment));
    assert_int_equal(segment.sequence, start + taken[i]); /* what was acknowledged is not sent again */
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
    support_peer_ack(&peer, peer.expected);
    support_peer_run(&peer);
    assert_int_equal(peer.length, 300000);
    assert_memory_equal(peer.data, pattern, 300000);
    assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
  }
}

static void test_acknowledgment_of_all_but_the_fin(void **state) {
  (void)state;
  warm_up();
  uint32_t start = peer.expected;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 50000), 50000);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  support_peer_ack(&peer, start + 50000);
  peer.expected = start + 50000;
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, 1500 * SUPPORT_MS);
  support_peer_run(&peer);
  assert_true(peer.fin);
}

static void test_fin_and_psh_only_on_the_last_part(void **state) {
  (void)state;
  warm_up();
  uint32_t start = peer.expected, total = 120 * MSS + 7;
  uint32_t segment_bytes = (LARGEST - 14 - 40 - 60) / MSS * MSS; /* as queued; each has PSH at its end */
  assert_int_equal(adit_flow_write(owner->flow, pattern, total), total);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer); /* lost: what follows is made of split segments */
  peer.expected = start;
  for (unsigned round = 0; round < 200 && !peer.fin; round++) {
    struct support_segment segment;
    support_lab_pass(&world.lab, 1500 * SUPPORT_MS);
    while (support_peer_take(&peer, &segment)) {
      bool last = segment.sequence + segment.length == start + total;
      assert_int_equal(segment.flags, SUPPORT_ACK | (last ? SUPPORT_FIN | SUPPORT_PSH : 0) |
                                          (segment.flags & (last ? 0 : SUPPORT_PSH)));
      bool ends_a_segment = (segment.sequence + segment.length - start) % segment_bytes == 0;
      if (!last && !ends_a_segment) assert_int_equal(segment.flags, SUPPORT_ACK);
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
      if (round % 3 == 0) support_peer_ack(&peer, peer.expected);
    }
    support_peer_ack(&peer, peer.expected);
    support_lab_flush(&world.lab);
  }
  assert_true(peer.fin);
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
}

static void shrink(uint32_t window) {
  peer.window = window;
  support_peer_ack(&peer, peer.expected);
  peer.edge = peer.expected + (window >> 7 << 7);
}

static void test_window_smaller_than_a_large_segment(void **state) {
  (void)state;
  warm_up();
  assert_int_equal(adit_flow_write(owner->flow, pattern, 200000), 200000); /* queued as large segments */
  shrink(10 * MSS + 300);
  for (int round = 0; round < 100 && peer.length < 200000; round++) {
    size_t had = peer.length;
    support_lab_flush(&world.lab);
    struct support_segment segment;
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
    assert_true(peer.length > had); /* without a time-out */
    support_peer_ack(&peer, peer.expected);
  }
  assert_int_equal(peer.length, 200000);
  assert_memory_equal(peer.data, pattern, 200000);
}

static void test_window_smaller_than_one_mss(void **state) {
  (void)state;
  warm_up();
  assert_int_equal(adit_flow_write(owner->flow, pattern, 20000), 20000);
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  shrink(512); /* much less than half of what it was: silly windows are not filled at once (RFC 1122, 4.2.3.4) */
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 0);
  for (int round = 0; round < 1000 && !peer.fin; round++) {
    struct support_segment segment;
    support_lab_pass(&world.lab, 500 * SUPPORT_MS);
    while (support_peer_take(&peer, &segment)) {
      bool last = segment.sequence + segment.length == peer.begin + 1 + 100 * 200000 + 20000;
      assert_int_equal(segment.flags & SUPPORT_FIN, last ? SUPPORT_FIN : 0);
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
    support_peer_ack(&peer, peer.expected);
    support_lab_flush(&world.lab);
  }
  assert_true(peer.fin);
  assert_int_equal(peer.length, 20000);
  assert_memory_equal(peer.data, pattern, 20000);
}

static void test_window_that_was_always_small(void **state) {
  (void)state;
  struct support_peer small = support_peer_at(&world, false, PORT + 1);
  small.scale = -1;
  small.window = 600;
  support_peer_connect(&small);
  assert_int_equal(adit_flow_write(world.owners[1].flow, pattern, 50000), 50000);
  adit_flow_close(world.owners[1].flow);
  support_peer_run(&small); /* without any waiting */
  assert_int_equal(small.length, 50000);
  assert_memory_equal(small.data, pattern, 50000);
  assert_true(small.fin);
  support_peer_free(&small);
}

static void test_fast_retransmit_of_a_large_segment(void **state) {
  (void)state;
  warm_up();
  uint32_t start = peer.expected;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 400000), 400000);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer); /* let the first MSS be lost, and the rest arrive */
  for (int i = 0; i < 3; i++) support_peer_ack(&peer, start);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.sequence, start);
  assert_true(segment.length >= peer.mss);
  assert_int_equal(segment.length % peer.mss, 0);
  support_segment_free(&segment);
  support_peer_skip(&peer);
  assert_true(support_world_stats(&world).retransmissions >= 1);
  peer.expected = start + 400000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
  assert_int_equal(adit_flow_write(owner->flow, pattern, 100000), 100000);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 100000);
}

static void test_fast_retransmit_after_a_part_was_acknowledged(void **state) {
  (void)state;
  warm_up();
  uint32_t start = peer.expected;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 400000), 400000);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  support_peer_ack(&peer, start + 3 * MSS);
  for (int i = 0; i < 3; i++) support_peer_ack(&peer, start + 3 * MSS);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.sequence, start + 3 * MSS);
  support_segment_free(&segment);
  support_peer_skip(&peer);
  peer.expected = start + 400000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20);
}

/* Tests of notes proper: all else relies on support_peer_take. */
static void test_notes_of_a_large_segment(void **state) {
  (void)state;
  warm_up();
  assert_int_equal(adit_flow_write(owner->flow, pattern, 10 * (size_t)peer.mss), 10 * (size_t)peer.mss);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  const struct adit_offload *notes = &segment.out->offload;
  size_t ip = peer.ipv6 ? 40 : 20;
  assert_int_equal(segment.length, 10 * (size_t)peer.mss);
  assert_int_equal(notes->gso, peer.ipv6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4);
  assert_int_equal(notes->gso_size, peer.mss);
  assert_int_equal(notes->header_length, ip + 20);
  assert_int_equal(notes->checksum, ADIT_CHECKSUM_PARTIAL);
  assert_int_equal(notes->checksum_start, ip);
  assert_int_equal(notes->checksum_offset, 16);
  assert_false(notes->ecn);
  support_segment_free(&segment);
  support_world_expect_silence(&world);
}

static void test_reset_carries_no_segmentation(void **state) {
  (void)state;
  support_peer_raw(&peer, 1, 2, SUPPORT_ACK, 100, NULL, 0, pattern, 1000); /* challenged */
  peer.port++;
  support_peer_raw(&peer, 1, 2, SUPPORT_ACK, 100, NULL, 0, pattern, 1000); /* of no connection: RST with a NULL pcb */
  struct support_segment segment;
  peer.next = 1001;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.flags, SUPPORT_RST);
  assert_int_equal(segment.sequence, 2);
  assert_int_equal(segment.out->offload.gso, ADIT_GSO_NONE);
  support_segment_free(&segment);
  peer.port--;
  support_lab_flush(&world.lab);
  peer.next = peer.first + 1;
  support_peer_skip(&peer);
}

static void test_without_offload_nothing_is_large(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 500000), 500000);
  support_peer_run(&peer); /* support_peer_take: full checksums, no notes, nothing above the MSS */
  assert_int_equal(peer.length, 500000);
  assert_memory_equal(peer.data, pattern, 500000);
  assert_int_equal(peer.segments, (500000 + MSS - 1) / MSS);
}

static void checksum_only(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4;
}

static void test_half_an_offload_is_none(void **state) {
  (void)state;
  close_world(NULL);
  open_as(checksum_only, false, false);
  peer.mss = 536;
  struct support_peer small = support_peer_at(&world, true, PORT);
  small.mss = 536;
  support_peer_connect(&small);
  assert_int_equal(adit_flow_write(world.owners[1].flow, pattern, 100000), 100000);
  support_peer_run(&small);
  assert_int_equal(small.length, 100000);
  support_peer_free(&small);
}

static void test_more_pieces_than_a_packet_may_have(void **state) {
  (void)state;
  warm_up();
  /* Lent from everywhere: each is a piece of its own. */
  size_t at[200];
  static uint8_t expected[200 * 50];
  for (size_t i = 0; i < 200; i++) {
    at[i] = (i * 7919) % 100000;
    assert_int_equal(adit_flow_lend(owner->flow, pattern + at[i], 50), 50);
    memcpy(expected + i * 50, pattern + at[i], 50);
  }
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.length, sizeof expected);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  assert_memory_equal(peer.data, expected, sizeof expected);
  /* And split in the middle of pieces, when it has to be sent again. */
  peer.expected -= (uint32_t)sizeof expected;
  peer.length = 0;
  support_lab_pass(&world.lab, 1500 * SUPPORT_MS);
  support_peer_run(&peer);
  assert_int_equal(peer.length, sizeof expected);
  assert_memory_equal(peer.data, expected, sizeof expected);
}

static void test_many_small_writes_are_few_segments(void **state) {
  (void)state;
  warm_up();
  for (size_t i = 0; i < 60000; i += 10) assert_int_equal(adit_flow_write(owner->flow, pattern + i, 10), 10);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  unsigned count = 0;
  for (; support_peer_take(&peer, &segment); count++) {
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
  }
  assert_in_range(count, 1, 3);
  assert_int_equal(peer.length, 60000);
  assert_memory_equal(peer.data, pattern, 60000);
}

static void test_split_without_memory_is_tried_again(void **state) {
  (void)state;
  warm_up();
  static const uint32_t windows[] = {3 * MSS, 20 * MSS, 40 * MSS};
  for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
    peer.length = 0;
    shrink(0);
    assert_int_equal(adit_flow_write(owner->flow, pattern, 400000), 400000);
    support_lab_flush(&world.lab);
    support_lab_pass(&world.lab, 200 * SUPPORT_MS); /* the persist timer is running */
    adit_port_fail_allocations(world.lab.stack->port, 1, UINT64_MAX);
    shrink(windows[i]);
    support_lab_flush(&world.lab);
    support_lab_pass(&world.lab, 2 * SUPPORT_S);
    struct support_segment segment;
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
    adit_port_fail_allocations(world.lab.stack->port, 1, 0);
    support_lab_pass(&world.lab, 200 * SUPPORT_MS); /* nobody touches the flow: it goes on by itself */
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
    assert_in_range(peer.length, MSS, windows[i]);
    peer.window = 1 << 20;
    support_peer_ack(&peer, peer.expected);
    support_peer_run(&peer);
    assert_int_equal(peer.length, 400000);
    assert_memory_equal(peer.data, pattern, 400000);
  }
}

/* Reserve four pieces and fill them from `pattern`, `at` bytes behind its beginning. Returns how many bytes that are. */
static size_t fill_pieces(struct iovec *iov, size_t at) {
  size_t bytes = 0;
  assert_int_equal(adit_flow_reserve(owner->flow, iov, 4), 4);
  for (unsigned i = 0; i < 4; i++) {
    memcpy(iov[i].iov_base, pattern + at + bytes, iov[i].iov_len);
    bytes += iov[i].iov_len;
  }
  return bytes;
}

static void test_reserved_pieces_are_one_segment_each(void **state) {
  (void)state;
  struct iovec iov[4];
  struct support_segment segment;
  warm_up();
  size_t bytes = fill_pieces(iov, 0);
  assert_int_equal(adit_flow_commit(owner->flow, bytes + 1), -EINVAL);
  assert_int_equal(adit_flow_commit(owner->flow, bytes), bytes);
  assert_int_equal(adit_flow_commit(owner->flow, 1), -EINVAL); /* all is committed */
  support_lab_flush(&world.lab);
  for (unsigned i = 0; i < 4; i++) {
    assert_in_range(iov[i].iov_len, LARGEST - 2 * MSS, LARGEST);
    assert_int_equal(iov[i].iov_len % owner->flow->pcb->mss, 0);
    assert_true(support_peer_take(&peer, &segment));
    assert_int_equal(segment.length, iov[i].iov_len);
    support_peer_learn(&peer, &segment);
    support_segment_free(&segment);
  }
  assert_int_equal(peer.length, bytes);
  assert_memory_equal(peer.data, pattern, bytes);
}

/* Memory lacks from the n-th allocation on, while three pieces and a few bytes of a fourth are committed. */
static ssize_t commit_until_memory_lacks(struct iovec *iov, size_t *bytes, unsigned n) {
  *bytes = fill_pieces(iov, 0) - iov[3].iov_len + 100;
  adit_port_fail_allocations(world.lab.stack->port, n, UINT64_MAX);
  ssize_t sent = adit_flow_commit(owner->flow, *bytes);
  adit_port_fail_allocations(world.lab.stack->port, 1, 0);
  assert_true(sent == -ENOBUFS || (sent > 0 && (size_t)sent <= *bytes));
  return sent;
}

static void expect_pattern(size_t bytes) {
  support_peer_run(&peer);
  assert_int_equal(peer.length, bytes);
  assert_memory_equal(peer.data, pattern, bytes);
  peer.length = 0;
  assert_int_equal(adit_flow_room(owner->flow), 1 << 20); /* all was acknowledged, and its memory given back */
  assert_true(support_world_stats(&world).memory_bytes < 8192);
}

static void test_commit_without_memory_is_repeated(void **state) {
  (void)state;
  unsigned nothing = 0, something = 0, n = 1;
  struct iovec iov[4];
  size_t bytes;
  warm_up();
  for (ssize_t sent = 0; n < 100; n++) {
    sent = commit_until_memory_lacks(iov, &bytes, n);
    if (sent == (ssize_t)bytes) break;
    nothing += sent < 0;
    something += sent > 0;
    size_t rest = bytes - (sent > 0 ? (size_t)sent : 0);
    assert_int_equal(adit_flow_commit(owner->flow, rest + 1), -EINVAL);
    assert_int_equal(adit_flow_commit(owner->flow, 1), 1);
    support_lab_flush(&world.lab); /* what is kept outlives the turn */
    assert_int_equal(adit_flow_commit(owner->flow, rest - 1), rest - 1);
    expect_pattern(bytes);
  }
  assert_in_range(n, 5, 99);
  assert_true(nothing > 0);
  assert_true(something > 2);
}

static void test_what_was_not_sent_can_be_given_up(void **state) {
  (void)state;
  struct iovec iov[4];
  size_t bytes = 0;
  warm_up();
  for (unsigned n = 1; n < 100; n++) {
    ssize_t sent = commit_until_memory_lacks(iov, &bytes, n);
    if (sent == (ssize_t)bytes) return;
    size_t done = sent > 0 ? (size_t)sent : 0;
    assert_int_equal(adit_flow_write(owner->flow, pattern + done, 300000), 300000);
    expect_pattern(done + 300000);
  }
  fail_msg("memory lacked in all of 99 places");
}

#define with(open, test) cmocka_unit_test_setup_teardown(test, open, close_world)
#define both(test)                                                                                                     \
  with(open_world, test), {                                                                                            \
#test " (IPv6)", test, open_world6, close_world, NULL                                                              \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      both(test_super_packets_are_taken_whole_and_acknowledged_once),
      both(test_largest_super_packet),
      with(open_world, test_fin_on_a_super_packet),
      with(open_world, test_super_packet_in_part_known),
      both(test_super_packets_out_of_order),
      both(test_large_segments_are_whole_multiples_of_the_mss),
      with(open_world, test_no_segment_is_above_half_of_the_window_nor_cut_in_the_mss),
      with(open_world, test_cwnd_bounds_the_first_flight),
      both(test_after_a_time_out_the_flow_goes_on),
      with(open_world, test_acknowledgment_inside_a_large_segment_then_a_time_out),
      with(open_world, test_acknowledgment_of_all_but_the_fin),
      with(open_world, test_fin_and_psh_only_on_the_last_part),
      with(open_world, test_window_smaller_than_a_large_segment),
      with(open_world, test_window_smaller_than_one_mss),
      with(open_world, test_window_that_was_always_small),
      both(test_fast_retransmit_of_a_large_segment),
      with(open_world, test_fast_retransmit_after_a_part_was_acknowledged),
      both(test_notes_of_a_large_segment),
      with(open_world, test_reset_carries_no_segmentation),
      with(open_plain, test_without_offload_nothing_is_large),
      with(open_world, test_half_an_offload_is_none),
      with(open_world, test_more_pieces_than_a_packet_may_have),
      with(open_world, test_many_small_writes_are_few_segments),
      with(open_world, test_split_without_memory_is_tried_again),
      both(test_reserved_pieces_are_one_segment_each),
      with(open_stamped, test_reserved_pieces_are_one_segment_each),
      with(open_world, test_commit_without_memory_is_repeated),
      with(open_world, test_what_was_not_sent_can_be_given_up),
  };
  return cmocka_run_group_tests_name("large segments", tests, NULL, NULL);
}
