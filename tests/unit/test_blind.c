/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Segments of somebody who only guesses (RFC 5961), floods of them, and peers that ask for work instead of data.
 */
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, WINDOW = 128 * 1024, OWNERS = 30000, BURST = 100 };

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;
static char pattern[200000];

static int open_world(void **state) {
  (void)state;
  support_world_open(&world, OWNERS, NULL);
  peer = support_peer_at(&world, false, PORT);
  support_peer_connect(&peer);
  owner = &world.owners[0];
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i * 7 + i / 251);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

/* Send one segment, `ahead` of what the stack expects. Returns how many packets came back. */
static unsigned answers(int64_t ahead, uint32_t acknowledgment, uint8_t flags, const char *data) {
  size_t length = data ? strlen(data) : 0;
  support_peer_raw(&peer, peer.next + (uint32_t)ahead, acknowledgment, flags, 1000, NULL, 0, data, length);
  support_lab_flush(&world.lab);
  return support_peer_skip(&peer);
}

static void expect_alive(void) {
  assert_false(peer.reset);
  size_t length = peer.length;
  assert_int_equal(adit_flow_write(owner->flow, "alive", 5), 5);
  support_peer_run(&peer);
  assert_int_equal(peer.length, length + 5);
}

/* ---- resets and SYNs ---- */

static void test_only_the_exact_reset_resets(void **state) {
  (void)state;
  static const struct {
    int64_t ahead;
    unsigned challenges;
  } cases[] = {{1, 1}, {1000, 1}, {WINDOW - 1, 1}, {WINDOW, 0}, {WINDOW + 1, 0}, {-1, 0}, {-100000, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(answers(cases[i].ahead, 0, SUPPORT_RST, NULL), cases[i].challenges);
    expect_alive();
  }
  assert_int_equal(answers(0, 0, SUPPORT_RST, NULL), 0);
  assert_int_equal(owner->closed, 1);
  assert_int_equal(owner->error, -ECONNRESET);
}

static void test_syn_for_a_connection_is_challenged(void **state) {
  (void)state;
  static const int64_t ahead[] = {0, 1, 50000, WINDOW + 5, -1, -70000};
  for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
    assert_int_equal(answers(ahead[i], 0, SUPPORT_SYN, NULL), 1);
    expect_alive();
  }
}

/* A client that was started again tells so when it is challenged, and its next SYN opens. */
static void test_restarted_client_in_the_handshake(void **state) {
  (void)state;
  struct support_peer again = support_peer_at(&world, false, PORT + 1);
  support_peer_syn(&again); /* and never anything more */
  support_lab_flush(&world.lab);
  support_peer_skip(&again);
  again.first += 100000;
  support_peer_raw(&again, again.first, 0, SUPPORT_SYN, 1000, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&again, &segment));
  assert_int_equal(segment.flags, SUPPORT_ACK);
  support_peer_raw(&again, segment.acknowledgment, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  support_segment_free(&segment);
  support_lab_flush(&world.lab);
  support_peer_connect(&again);
  support_peer_free(&again);
}

/* ---- acknowledgments ---- */

static void test_data_needs_a_sane_acknowledgment(void **state) {
  (void)state;
  assert_int_equal(adit_flow_write(owner->flow, "sent", 4), 4);
  support_peer_run(&peer);
  uint32_t sent = peer.expected;
  assert_int_equal(answers(0, sent + 1, SUPPORT_ACK | SUPPORT_PSH, "beyond what was sent"), 1);
  assert_int_equal(answers(0, sent + 100000, SUPPORT_ACK | SUPPORT_PSH, "far beyond"), 1);
  assert_int_equal(answers(0, sent - (3 << 20), SUPPORT_ACK | SUPPORT_PSH, "long ago"), 1);
  assert_int_equal(answers(0, 0, SUPPORT_PSH, "none"), 0);
  assert_int_equal(answers(0, 0, SUPPORT_FIN, NULL), 0);
  assert_int_equal(adit_flow_available(owner->flow), 0);
  static const char fine[] = "a moment ago";
  peer.next += sizeof fine;
  support_peer_raw(&peer, peer.next - (uint32_t)sizeof fine, sent - 4, SUPPORT_ACK | SUPPORT_PSH, 1000, NULL, 0, fine,
                   sizeof fine);
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  assert_int_equal(adit_flow_available(owner->flow), sizeof fine);
}

/* ---- what can be foreseen ---- */

static void test_identification_tells_nothing(void **state) {
  (void)state;
  for (unsigned i = 0; i < 200; i++) {
    assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    assert_true(support_peer_take(&peer, &segment));
    assert_int_equal(support_get16(segment.out->bytes + 4), 0);
    assert_int_equal(support_get16(segment.out->bytes + 6), 0x4000); /* which only what is never fragmented may have */
    peer.expected++;
    support_segment_free(&segment);
    support_peer_ack(&peer, peer.expected);
  }
}

/* ---- floods ---- */

static void test_answers_to_strange_segments_are_limited(void **state) {
  (void)state;
  static const struct {
    int64_t ahead;
    uint8_t flags;
    const char *data;
  } cases[] = {
      {1000, SUPPORT_RST, NULL},
      {0, SUPPORT_SYN, NULL},
      {-1, SUPPORT_ACK, NULL},
      {-50, SUPPORT_ACK, "old"},
      {WINDOW + 50, SUPPORT_ACK, "beyond"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    unsigned count = 0;
    for (unsigned packet = 0; packet < 1000; packet++)
      count += answers(cases[i].ahead, peer.expected, cases[i].flags, cases[i].data);
    assert_int_equal(count, BURST);
    support_lab_pass(&world.lab, SUPPORT_S);
    expect_alive();
    support_lab_pass(&world.lab, SUPPORT_S);
  }
}

/* 20,000 SYNs of nobody, each accepted: a client that means it is served at once, and memory stays bounded. */
static void test_honest_client_in_a_flood_of_syns(void **state) {
  (void)state;
  enum { FLOOD = 20000, EVERY = 1000 };
  for (unsigned i = 0; i < FLOOD; i++) {
    struct support_peer nobody = support_peer_at(&world, false, (uint16_t)(i + 1024));
    nobody.address = i % 2 ? "198.51.100.7" : "203.0.113.9";
    support_peer_syn(&nobody);
    support_lab_flush(&world.lab);
    while (world.lab.first) support_peer_skip(&nobody);
    if (i % EVERY != EVERY - 1) continue;
    struct support_peer honest = support_peer_at(&world, false, (uint16_t)(50000 + i / EVERY));
    support_peer_connect(&honest);
    struct support_owner *one = &world.owners[world.count - 1];
    support_peer_send(&honest, SUPPORT_PSH, "hello", 5);
    support_peer_run(&honest);
    assert_int_equal(adit_flow_available(one->flow), 5);
    support_peer_free(&honest);
    assert_in_range(support_world_stats(&world).memory_bytes, 1, 8 << 20);
  }
  expect_alive();
}

/* ---- more than what was expected ---- */

/* What follows the last FIN in the same burst is for a connection that is over, and not yet a record. */
static void test_segments_behind_the_last_fin(void **state) {
  (void)state;
  static const uint8_t flags[] = {SUPPORT_ACK | SUPPORT_FIN, SUPPORT_ACK, SUPPORT_SYN, SUPPORT_RST,
                                  SUPPORT_ACK | SUPPORT_PSH};
  assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  support_peer_run(&peer);
  assert_true(peer.fin);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    support_peer_raw(&peer, peer.next - 1, peer.expected, flags[i], 1000, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  assert_int_equal(owner->closed, 1);
  assert_int_equal(owner->error, 0);
}

/* ---- peers that want work ---- */

static void test_least_segment_size(void **state) {
  (void)state;
  struct support_peer tiny = support_peer_at(&world, false, PORT + 1);
  tiny.mss = 1;
  support_peer_syn(&tiny);
  tiny.mss = 48; /* what it has to bear */
  support_peer_run(&tiny);
  struct support_owner *one = &world.owners[world.count - 1];
  assert_int_equal(adit_flow_write(one->flow, pattern, 4800), 4800);
  support_peer_run(&tiny);
  assert_int_equal(tiny.length, 4800);
  assert_memory_equal(tiny.data, pattern, 4800);
  assert_in_range(tiny.segments, 1, 101);
  support_peer_free(&tiny);
}

/* Bytes that come one by one are sent back one by one, to a peer that takes none: what waits costs little more than it is. */
static void test_bytes_written_one_by_one(void **state) {
  (void)state;
  enum { BYTES = 30000 };
  peer.window = 0;
  support_peer_send(&peer, 0, NULL, 0);
  support_lab_flush(&world.lab);
  uint64_t before = support_world_stats(&world).memory_bytes;
  for (unsigned i = 0; i < BYTES; i++) {
    assert_int_equal(adit_flow_write(owner->flow, pattern + i, 1), 1);
    support_lab_flush(&world.lab);
  }
  support_peer_skip(&peer);
  assert_in_range(support_world_stats(&world).memory_bytes - before, BYTES, 4 * BYTES);
  peer.window = 60000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, BYTES);
  assert_memory_equal(peer.data, pattern, BYTES);
}

/* Slow start counts the bytes that an ACK acknowledges, not the ACKs. */
static void test_slow_start_counts_bytes(void **state) {
  (void)state;
  static const uint32_t flights[] = {14600, 29200, 58400};
  assert_int_equal(adit_flow_write(owner->flow, pattern, sizeof pattern), sizeof pattern);
  for (size_t i = 0; i < sizeof flights / sizeof *flights; i++) {
    support_lab_flush(&world.lab);
    struct support_segment segment;
    uint32_t flight = 0;
    while (support_peer_take(&peer, &segment)) {
      flight += (uint32_t)segment.length;
      support_segment_free(&segment);
    }
    assert_int_equal(flight, flights[i]);
    peer.expected += flight;
    support_peer_ack(&peer, peer.expected); /* one for all of it */
  }
  support_lab_flush(&world.lab);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void) {
  static const struct CMUnitTest tests[] = {
      with_world(test_only_the_exact_reset_resets),
      with_world(test_syn_for_a_connection_is_challenged),
      with_world(test_restarted_client_in_the_handshake),
      with_world(test_data_needs_a_sane_acknowledgment),
      with_world(test_identification_tells_nothing),
      with_world(test_answers_to_strange_segments_are_limited),
      with_world(test_honest_client_in_a_flood_of_syns),
      with_world(test_segments_behind_the_last_fin),
      with_world(test_least_segment_size),
      with_world(test_bytes_written_one_by_one),
      with_world(test_slow_start_counts_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
