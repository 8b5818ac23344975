/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TCP timestamps and PAWS (RFC 7323), and what they tell of a SYN in TIME-WAIT (RFC 6191).
 *
 * support_peer_take checks that a connection has timestamps in every segment or in none, that their clock does not go back, and
 * that segments with them fit the MSS.
 */
#include "packet/timestamps.h"
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, CLOCK = 1000, OPTION = 12 };

#define HOUR (3600 * SUPPORT_S)

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;
static uint8_t pattern[400000];

static void with_offload(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
}

static struct support_peer stamped_peer(bool ipv6, uint16_t port) {
  struct support_peer made = support_peer_at(&world, ipv6, port);
  made.stamps = true;
  made.clock = CLOCK;
  return made;
}

static void open_as(void (*change)(struct adit_stack_options *options), bool ipv6) {
  support_pattern(pattern, sizeof pattern);
  support_world_open(&world, 20, change);
  peer = stamped_peer(ipv6, PORT);
  support_peer_connect(&peer);
  owner = &world.owners[0];
}

static int open_world(void **state) {
  (void)state;
  open_as(NULL, false);
  return 0;
}

static int open_large(void **state) {
  (void)state;
  open_as(with_offload, false);
  return 0;
}

static int open_large6(void **state) {
  (void)state;
  open_as(with_offload, true);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

static uint64_t dropped(enum adit_drop why) {
  return support_world_stats(&world).drops[why];
}

static uint32_t now(void) {
  return support_peer_stamp(&peer);
}

static void pass_ms(uint32_t ms) {
  support_lab_pass(&world.lab, ms * SUPPORT_MS);
}

/* A segment with data and this TSval, `ahead` of what is expected. Nothing is flushed. */
static void send_at(int64_t ahead, uint32_t value, const char *data) {
  uint8_t options[OPTION];
  support_put_stamps(options, value, peer.recent);
  support_peer_raw(&peer, peer.next + (uint32_t)ahead, peer.expected, SUPPORT_ACK | SUPPORT_PSH, 8000, options,
                   sizeof options, data, strlen(data));
}

/* Flush; the one answer acknowledges up to `ahead` of peer.next. Returns the timestamp that it echoes. */
static uint32_t echo_of_answer(uint32_t ahead) {
  struct support_segment segment;
  peer.next += ahead;
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
  return segment.echo;
}

/* Flush and forget the answers. Returns how many there were. */
static unsigned answers(void) {
  support_lab_flush(&world.lab);
  return support_peer_skip(&peer);
}

static void expect_read(const char *data) {
  support_owner_read(owner);
  assert_int_equal(owner->length, strlen(data));
  assert_memory_equal(owner->data, data, owner->length);
}

/* ---- the option itself ---- */

struct option_case {
  const char *what;
  uint8_t options[40];
  size_t length;
  bool found;
};

#define STAMPS 8, 10, 1, 2, 3, 4, 5, 6, 7, 8

static const struct option_case option_cases[] = {
    {"none", {0}, 0, false},
    {"as usual", {1, 1, STAMPS}, 12, true},
    {"bare", {STAMPS}, 10, true},
    {"at an odd place", {1, STAMPS, 0}, 12, true},
    {"behind", {STAMPS, 1, 1}, 12, true},
    {"behind SACK", {1, 1, 5, 10, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1, STAMPS}, 24, true},
    {"behind the MSS, with no operation as its value", {2, 4, 1, 1, STAMPS}, 14, true},
    {"behind an unknown option", {254, 4, 8, 10, STAMPS}, 14, true},
    {"inside of an unknown option", {254, 12, STAMPS}, 12, false},
    {"behind the end", {0, 1, STAMPS}, 12, false},
    {"longer than it may be", {8, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 11, false},
    {"shorter", {8, 9, 1, 2, 3, 4, 5, 6, 7}, 9, false},
    {"cut off", {1, 1, STAMPS}, 11, false},
    {"behind the end", {0, 4, 1, 1, STAMPS}, 14, false},
    {"kind without a length", {1, 1, 1, 8}, 4, false},
    {"behind a length of zero", {5, 0, STAMPS}, 12, false},
    {"behind a length of one", {5, 1, STAMPS}, 12, false},
};

static void test_option_is_found(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof option_cases / sizeof *option_cases; i++) {
    const struct option_case *item = &option_cases[i];
    struct adit_timestamps found = {0};
    uint8_t *exact = malloc(item->length); /* so that a sanitizer sees what is read behind it */
    memcpy(exact, item->options, item->length);
    bool is_found = adit_timestamps_find(exact, item->length, &found);
    if (is_found != item->found) fail_msg("%s: %s", item->what, is_found ? "found" : "not found");
    assert_int_equal(found.value, item->found ? 0x01020304 : 0);
    assert_int_equal(found.echo, item->found ? 0x05060708 : 0);
    free(exact);
  }
}

/* ---- negotiation ---- */

static void check_syn_ack(bool ipv6, bool stamps) {
  struct support_peer other = support_peer_at(&world, ipv6, PORT + 1);
  struct support_segment segment;
  other.stamps = stamps;
  other.clock = 77;
  support_peer_syn(&other);
  support_lab_flush(&world.lab);
  assert_true(support_peer_take(&other, &segment));
  assert_int_equal(segment.flags, SUPPORT_SYN | SUPPORT_ACK);
  assert_int_equal(segment.stamped, stamps);
  assert_int_equal(segment.mss, ipv6 ? 1440 : 1460); /* RFC 6691: the option's bytes are not taken off */
  if (stamps) assert_int_equal(segment.echo, support_peer_stamp(&other));
  support_peer_learn(&other, &segment);
  support_segment_free(&segment);
  support_peer_ack(&other, other.expected);
  support_peer_send(&other, SUPPORT_PSH, "data", 4);
  support_lab_flush(&world.lab);
  assert_int_equal(adit_flow_write(world.owners[world.count - 1].flow, pattern, 20000), 20000);
  support_peer_run(&other); /* every segment has them, or none: support_peer_take looks */
  assert_int_equal(other.length, 20000);
  assert_int_equal(other.acked, other.next);
  adit_flow_abort(world.owners[world.count - 1].flow);
  support_lab_flush(&world.lab);
  support_peer_skip(&other);
  support_peer_free(&other);
}

static void test_both_or_none(void **state) {
  (void)state;
  check_syn_ack(false, true);
  check_syn_ack(false, false);
  check_syn_ack(true, true);
  check_syn_ack(true, false);
}

/* The first value that the stack sends to this client. */
static uint32_t first_value(uint16_t port) {
  struct support_peer other = stamped_peer(false, port);
  struct support_segment segment;
  support_peer_syn(&other);
  support_lab_flush(&world.lab);
  assert_true(support_peer_take(&other, &segment));
  uint32_t value = segment.value;
  support_segment_free(&segment);
  adit_flow_abort(world.owners[world.count - 1].flow);
  support_lab_flush(&world.lab);
  support_peer_skip(&other);
  return value;
}

static void test_clock_tells_nothing_but_time(void **state) {
  (void)state;
  uint32_t ms = (uint32_t)(world.lab.now_ns / SUPPORT_MS);
  uint32_t one = first_value(PORT + 1), two = first_value(PORT + 2);
  assert_true(one != two); /* each connection has a beginning of its own */
  assert_true(one != ms && two != ms);
  pass_ms(5000);
  assert_int_equal(first_value(PORT + 1) - one, 5000); /* the same connection once more: the clock went on */
}

static void test_smallest_mss(void **state) {
  (void)state;
  struct support_peer small = stamped_peer(false, PORT + 1);
  small.mss = 1;
  support_peer_connect(&small);
  assert_int_equal(adit_flow_write(world.owners[1].flow, pattern, 1000), 1000);
  support_peer_run(&small);
  assert_int_equal(small.length, 1000);
  assert_int_equal(small.segments, (1000 + 35) / 36); /* 48 with the option */
  support_peer_free(&small);
}

/* ---- what is echoed (RFC 7323, 4.3) ---- */

static void test_echo_of_segments_in_order(void **state) {
  (void)state;
  uint32_t first = now() + 10;
  send_at(0, first, "one");
  send_at(3, first + 5, "two");
  assert_int_equal(echo_of_answer(6), first); /* of what is acknowledged together, the first */
  send_at(0, first + 9, "three");
  assert_int_equal(echo_of_answer(5), first + 9);
  expect_read("onetwothree");
}

static void test_echo_of_segments_out_of_order(void **state) {
  (void)state;
  uint32_t first = now() + 10;
  send_at(0, first, "one");
  assert_int_equal(echo_of_answer(3), first);
  send_at(3, first + 20, "six");
  assert_int_equal(echo_of_answer(0), first); /* a hole: what came before it is still the last */
  send_at(0, first + 30, "two");
  assert_int_equal(echo_of_answer(6), first + 30); /* what filled it */
  expect_read("onetwosix");
}

static void test_pure_acknowledgments_are_remembered(void **state) {
  (void)state;
  pass_ms(500);
  support_peer_ack(&peer, peer.expected);
  assert_int_equal(answers(), 0);
  uint32_t value = now();
  pass_ms(500);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.echo, value);
  support_segment_free(&segment);
}

/* Who cannot send what would be accepted cannot move TS.Recent either, which would shut the honest peer out. */
static void test_segments_that_are_not_acceptable_leave_no_timestamp(void **state) {
  (void)state;
  uint32_t far = now() + 1000000;
  uint8_t options[OPTION];
  support_put_stamps(options, far, 0);
  send_at(-100, far, "long ago");
  send_at(1 << 20, far, "behind the window");
  support_peer_raw(&peer, peer.next, peer.expected + 100000, SUPPORT_ACK, 100, options, OPTION, "acknowledges", 12);
  support_peer_raw(&peer, peer.next, 0, SUPPORT_SYN, 100, options, OPTION, NULL, 0);
  support_peer_raw(&peer, peer.next + 5, 0, SUPPORT_RST, 100, options, OPTION, NULL, 0);
  support_peer_raw(&peer, peer.next, 0, 0, 100, options, OPTION, "no ACK", 6);
  answers();
  send_at(0, now(), "honest");
  assert_int_equal(echo_of_answer(6), now());
  expect_read("honest");
}

static void test_repeated_syn_is_echoed(void **state) {
  (void)state;
  struct support_peer other = stamped_peer(false, PORT + 1);
  struct support_segment segment;
  world.holds = true;
  support_peer_syn(&other);
  support_lab_flush(&world.lab);
  pass_ms(1000);
  support_peer_syn(&other); /* parked: the last one */
  uint32_t second = support_peer_stamp(&other);
  pass_ms(300);
  assert_int_equal(adit_flow_accept(world.owners[1].flow), 0);
  support_lab_flush(&world.lab);
  support_peer_expect(&other, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.echo, second);
  support_segment_free(&segment);
  pass_ms(200);
  support_peer_syn(&other); /* the answer was lost */
  support_lab_flush(&world.lab);
  support_peer_expect(&other, SUPPORT_SYN | SUPPORT_ACK, &segment);
  uint32_t third = support_peer_stamp(&other);
  assert_int_equal(segment.echo, third);
  support_segment_free(&segment);
  other.clock -= 100; /* a SYN that was overtaken */
  support_peer_syn(&other);
  support_lab_flush(&world.lab);
  support_peer_expect(&other, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.echo, third);
  support_segment_free(&segment);
  adit_flow_abort(world.owners[1].flow);
  support_lab_flush(&world.lab);
  support_peer_skip(&other);
}

/* ---- PAWS (RFC 7323, 5) ---- */

static void test_old_duplicate_is_dropped(void **state) {
  (void)state;
  pass_ms(5000);
  uint32_t value = now();
  send_at(0, value, "one");
  assert_int_equal(echo_of_answer(3), value);
  send_at(0, value - 1, "bad"); /* sequence numbers have turned once since it was sent: it fits exactly */
  assert_int_equal(echo_of_answer(0), value);
  send_at(100, value - 1000, "bad");
  send_at(0, value - INT32_MAX, "bad");
  assert_int_equal(answers(), 1); /* together */
  assert_int_equal(dropped(ADIT_DROP_OLD), 3);
  send_at(0, value, "two"); /* in the same millisecond */
  assert_int_equal(echo_of_answer(3), value);
  expect_read("onetwo");
  assert_int_equal(dropped(ADIT_DROP_OLD), 3);
}

static void test_answers_to_old_duplicates_are_limited(void **state) {
  (void)state;
  enum { MANY = 500, MOST = 101 };
  unsigned came = 0;
  for (unsigned i = 0; i < MANY; i++) {
    send_at(0, now() - 5000, "bad");
    came += answers();
  }
  assert_in_range(came, 1, MOST);
  assert_int_equal(dropped(ADIT_DROP_OLD), MANY);
  assert_int_equal(adit_flow_available(owner->flow), 0);
}

/* A clock that turns: 2^32 comes after 2^32 - 1, and what is ahead by less than half a turn is newer. */
static void test_clock_turns(void **state) {
  (void)state;
  peer.clock = 0;
  peer.clock = UINT32_MAX - now() - 2; /* now() is 3 before 0 */
  struct support_peer other = peer;
  other.port++;
  support_peer_connect(&other);
  peer = other;
  owner = &world.owners[1];
  send_at(0, UINT32_MAX - 1, "a");
  assert_int_equal(echo_of_answer(1), UINT32_MAX - 1);
  send_at(0, 0, "b");
  assert_int_equal(echo_of_answer(1), 0);
  send_at(0, UINT32_MAX, "bad");
  assert_int_equal(echo_of_answer(0), 0);
  send_at(0, INT32_MAX, "c"); /* as far ahead as can be told */
  assert_int_equal(echo_of_answer(1), INT32_MAX);
  send_at(0, (uint32_t)INT32_MAX + INT32_MAX, "d");
  assert_int_equal(echo_of_answer(1), (uint32_t)INT32_MAX + INT32_MAX);
  send_at(0, INT32_MAX, "bad");
  assert_int_equal(echo_of_answer(0), (uint32_t)INT32_MAX + INT32_MAX);
  assert_int_equal(dropped(ADIT_DROP_OLD), 2);
  expect_read("abcd");
}

static void test_timestamp_of_long_ago_is_forgotten(void **state) {
  (void)state;
  uint32_t value = now();
  send_at(0, value, "a");
  assert_int_equal(echo_of_answer(1), value);
  support_lab_pass(&world.lab, 24 * 24 * HOUR - 1 * SUPPORT_S);
  send_at(0, value - 1, "bad"); /* not for 24 days */
  assert_int_equal(echo_of_answer(0), value);
  support_lab_pass(&world.lab, 2 * HOUR);
  send_at(0, value - 1, "b");
  assert_int_equal(echo_of_answer(1), value - 1);
  send_at(0, value - 2, "bad"); /* it is known again */
  assert_int_equal(echo_of_answer(0), value - 1);
  assert_int_equal(dropped(ADIT_DROP_OLD), 2);
  expect_read("ab");
}

static void test_long_silence_beyond_what_the_age_can_hold(void **state) {
  (void)state;
  uint32_t value = now();
  support_lab_pass(&world.lab, 100 * 24 * HOUR); /* twice a turn of a clock in milliseconds */
  send_at(0, value - 1, "a");
  assert_int_equal(echo_of_answer(1), value - 1);
  expect_read("a");
}

static void test_reset_needs_no_timestamp(void **state) {
  (void)state;
  uint8_t options[OPTION];
  support_put_stamps(options, now() - 100000, 0);
  static const bool with_old[] = {false, true};
  for (size_t i = 0; i < 2; i++) {
    struct support_peer other = stamped_peer(false, (uint16_t)(PORT + 1 + i));
    support_peer_connect(&other);
    support_peer_raw(&other, other.next, 0, SUPPORT_RST, 0, options, with_old[i] ? OPTION : 0, NULL, 0);
    support_lab_flush(&world.lab);
    assert_int_equal(world.owners[1 + i].closed, 1);
    assert_int_equal(world.owners[1 + i].error, -ECONNRESET);
    support_peer_free(&other);
  }
  assert_int_equal(dropped(ADIT_DROP_OLD), 0);
  assert_int_equal(dropped(ADIT_DROP_UNSTAMPED), 0);
}

static void test_segment_without_timestamp_is_dropped(void **state) {
  (void)state;
  static const uint8_t broken[] = {1, 1, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0};
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK | SUPPORT_PSH, 8000, NULL, 0, "bad", 3);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK | SUPPORT_PSH, 8000, broken, sizeof broken, "bad", 3);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK | SUPPORT_FIN, 8000, NULL, 0, NULL, 0);
  assert_int_equal(answers(), 0); /* silently */
  assert_int_equal(dropped(ADIT_DROP_UNSTAMPED), 3);
  support_peer_raw(&peer, peer.next + 9, 0, SUPPORT_SYN, 8000, NULL, 0, NULL, 0);
  assert_int_equal(answers(), 1); /* a client that was started again is asked, whatever it can (RFC 5961, 4) */
  send_at(0, now(), "fine");
  assert_int_equal(echo_of_answer(4), now());
  expect_read("fine");
}

static void test_timestamps_that_nobody_agreed_to_mean_nothing(void **state) {
  (void)state;
  struct support_peer other = support_peer_at(&world, false, PORT + 1);
  support_peer_connect(&other);
  uint8_t options[OPTION];
  static const uint32_t values[] = {5000000, 4000000};
  for (size_t i = 0; i < 2; i++) {
    support_put_stamps(options, values[i], 0);
    support_peer_raw(&other, other.next++, other.expected, SUPPORT_ACK | SUPPORT_PSH, 8000, options, OPTION, "x", 1);
    support_lab_flush(&world.lab);
    assert_int_equal(support_peer_skip(&other), 1);
  }
  owner = &world.owners[1];
  expect_read("xx");
  support_peer_free(&other);
}

/* ---- round trips (RFC 7323, 4) ---- */

enum { TRIP_TICKS = 30 }; /* of 100 ms: longer than the first time-out */

/* What lwIP takes for the time of a round trip, in ticks, when each takes TRIP_TICKS. */
static int learnt_trip(struct support_peer *from, struct support_owner *of) {
  from->mute = true;
  for (int i = 0; i < 60; i++) {
    uint32_t value = from->recent;
    assert_int_equal(adit_flow_write(of->flow, "x", 1), 1);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    assert_true(support_peer_take(from, &segment));
    value = segment.value;
    support_segment_free(&segment);
    support_lab_pass(&world.lab, TRIP_TICKS * 100 * SUPPORT_MS);
    support_peer_skip(from); /* sent again, in vain: the first one has arrived */
    from->recent = value;
    from->expected++;
    support_peer_ack(from, from->expected);
    support_lab_flush(&world.lab);
    support_peer_skip(from);
    pass_ms(5000);
  }
  return of->flow->pcb->sa >> 3;
}

/* Without timestamps the time begins anew with each segment that is sent again: Karn's problem. */
static void test_round_trip_longer_than_the_time_out(void **state) {
  (void)state;
  assert_in_range(learnt_trip(&peer, owner), TRIP_TICKS - 2, TRIP_TICKS + 1);
  uint64_t before = support_world_stats(&world).retransmissions;
  learnt_trip(&peer, owner);
  assert_int_equal(support_world_stats(&world).retransmissions, before); /* it waits for long enough now */
}

static void test_echo_that_is_none_of_ours_is_no_time(void **state) {
  (void)state;
  static const uint32_t ahead[] = {1000, 100000, 1U << 31, UINT32_MAX - 60999};
  for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
    for (int turn = 0; turn < 20; turn++) {
      uint8_t options[OPTION];
      assert_int_equal(adit_flow_write(owner->flow, "x", 1), 1);
      support_lab_flush(&world.lab);
      pass_ms(10);
      support_peer_skip(&peer);
      support_put_stamps(options, now(), peer.recent + ahead[i]);
      support_peer_raw(&peer, peer.next, ++peer.expected, SUPPORT_ACK, 8000, options, OPTION, NULL, 0);
      support_lab_flush(&world.lab);
    }
    assert_in_range(owner->flow->pcb->rto, 2, 10);
  }
}

/* ---- TIME-WAIT (RFC 6191) ---- */

static void to_time_wait(void) {
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_true(peer.fin);
  assert_int_equal(peer.acked, peer.next);
}

struct reopen_case {
  const char *what;
  bool had;         /* the old connection had timestamps */
  bool has;         /* the SYN has one */
  int64_t stamp;    /* from the last one that came */
  int64_t sequence; /* from RCV.NXT */
  bool opens;
};

static const struct reopen_case reopen_cases[] = {
    {"newer timestamp, newer number", true, true, 1, 100, true},
    {"newer timestamp, older number", true, true, 1, -100000, true},
    {"same timestamp, newer number", true, true, 0, 100, true},
    {"same timestamp, same number", true, true, 0, 0, false},
    {"same timestamp, older number", true, true, 0, -100, false},
    {"older timestamp, newer number", true, true, -1, 100, false},
    {"older timestamp, older number", true, true, -1, -100, false},
    {"no timestamp any more, newer number", true, false, 0, 100, true},
    {"no timestamp any more, older number", true, false, 0, -100, false},
    {"timestamp now, newer number", false, true, 0, 100, true},
    {"timestamp now, older number", false, true, 0, -100, true},
    {"timestamp now, of the upper half, older number", false, true, 0x90000000, -100, true},
    {"never, newer number", false, false, 0, 100, true},
    {"never, older number", false, false, 0, -100, false},
};

static void check_reopening(const struct reopen_case *item, uint16_t port) {
  peer = stamped_peer(false, port);
  peer.stamps = item->had;
  support_peer_connect(&peer);
  unsigned count = world.count;
  owner = &world.owners[count - 1];
  to_time_wait();
  uint32_t last = now(), next = peer.next, expected = peer.expected;
  pass_ms(50);
  peer.stamps = item->has;
  peer.clock += last + (uint32_t)item->stamp - now();
  peer.first = next + (uint32_t)item->sequence;
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  if ((world.count == count + 1) != item->opens) fail_msg("%s", item->what);
  struct support_segment segment;
  if (!item->opens) { /* the old one says where it is */
    peer.stamps = item->had;
    peer.next = next;
    support_peer_expect(&peer, SUPPORT_ACK, &segment);
    assert_int_equal(segment.acknowledgment, next);
    assert_int_equal(segment.sequence, expected);
    if (item->had) assert_int_equal(segment.echo, last);
  } else {
    peer.recent = 0;
    support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
    adit_flow_abort(world.owners[count].flow);
  }
  support_segment_free(&segment);
  answers();
  support_peer_free(&peer);
}

static void test_syn_in_time_wait(void **state) {
  (void)state;
  peer.mute = true;
  support_peer_free(&peer);
  for (size_t i = 0; i < sizeof reopen_cases / sizeof *reopen_cases; i++) {
    void *none = NULL;
    close_world(&none);
    open_world(&none);
    check_reopening(&reopen_cases[i], (uint16_t)(PORT + 10 + i));
  }
}

/* ---- room for the option ---- */

static void expect_download(size_t most) {
  size_t total = sizeof pattern;
  assert_int_equal(adit_flow_write(owner->flow, pattern, total), total);
  adit_flow_close(owner->flow);
  size_t longest = 0;
  unsigned odd = 0;
  for (bool more = true; more;) {
    struct support_segment segment;
    more = false;
    support_lab_flush(&world.lab);
    while (support_peer_take(&peer, &segment)) { /* which looks at MSS, MTU and notes */
      more |= support_peer_learn(&peer, &segment);
      if (segment.length > longest) longest = segment.length;
      odd += segment.length % most != 0 && segment.length > 0;
      support_segment_free(&segment);
    }
    if (more) support_peer_ack(&peer, peer.expected);
  }
  assert_true(peer.fin);
  assert_int_equal(peer.length, total);
  assert_memory_equal(peer.data, pattern, total);
  assert_int_equal(odd, 1); /* full segments all, but the last */
  if (world.offload) {
    assert_true(longest > 20 * most);
  } else {
    assert_int_equal(longest, most);
  }
}

static void test_segments_make_room(void **state) {
  (void)state;
  expect_download(1460 - OPTION);
}

static void test_large_segments_make_room(void **state) {
  (void)state;
  expect_download((peer.ipv6 ? 1440 : 1460) - OPTION);
}

/* A large segment that is split has options on both parts. */
static void test_split_after_a_time_out(void **state) {
  (void)state;
  peer.mute = true;
  assert_int_equal(adit_flow_write(owner->flow, pattern, 100000), 100000);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer); /* all is lost */
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  struct support_segment segment;
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.length, 1460 - OPTION); /* cwnd is one MSS */
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  peer.mute = false;
  support_peer_run(&peer);
  assert_int_equal(peer.length, 100000);
  assert_memory_equal(peer.data, pattern, 100000);
}

static void close_window(void) {
  peer.window = 0;
  support_peer_ack(&peer, peer.expected);
  peer.edge = peer.expected;
}

/* Patch 0005: the byte stands behind the option. */
static void test_window_probe(void **state) {
  (void)state;
  close_window();
  assert_int_equal(adit_flow_write(owner->flow, pattern + 5, 3000), 3000);
  support_lab_flush(&world.lab);
  support_lab_pass(&world.lab, SUPPORT_S);
  struct support_segment segment;
  unsigned probes = 0;
  for (; support_peer_take(&peer, &segment); probes++) {
    assert_int_equal(segment.length, 1);
    assert_int_equal(segment.data[0], pattern[5]);
    support_segment_free(&segment);
  }
  assert_in_range(probes, 1, 10);
  peer.window = 60000;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 3000);
  assert_memory_equal(peer.data, pattern + 5, 3000);
}

/* Patch 0005: lwIP's timer splits what the window does not take. */
static void test_split_by_the_persist_timer(void **state) {
  (void)state;
  close_window();
  assert_int_equal(adit_flow_write(owner->flow, pattern, 3000), 3000);
  adit_flow_close(owner->flow);
  support_lab_flush(&world.lab);
  peer.window = 512; /* much less than half of what it was: not filled at once (RFC 1122, 4.2.3.4) */
  for (int round = 0; round < 100 && !peer.fin; round++) {
    struct support_segment segment;
    support_peer_ack(&peer, peer.expected);
    support_lab_pass(&world.lab, 500 * SUPPORT_MS);
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
  }
  assert_true(peer.fin);
  assert_int_equal(peer.length, 3000);
  assert_memory_equal(peer.data, pattern, 3000);
}

/* 40 bytes of options: three blocks beside the timestamps (RFC 2018, 3). */
static void test_sack_beside_timestamps(void **state) {
  (void)state;
  struct support_segment segment;
  for (int i = 0; i < 5; i++) {
    send_at(10 + 20 * i, now(), "0123456789");
    support_lab_flush(&world.lab);
    support_peer_expect(&peer, SUPPORT_ACK, &segment);
    assert_int_equal(segment.sacks, i < 3 ? i + 1 : 3);
    assert_int_equal(segment.sack[0][0], peer.next + 10 + 20 * (uint32_t)i); /* the newest first */
    assert_int_equal(segment.sack[0][1], peer.next + 20 + 20 * (uint32_t)i);
    support_segment_free(&segment);
  }
}

#define with(world, test) cmocka_unit_test_setup_teardown(test, world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_option_is_found),
      with(open_world, test_both_or_none),
      with(open_world, test_clock_tells_nothing_but_time),
      with(open_world, test_smallest_mss),
      with(open_world, test_echo_of_segments_in_order),
      with(open_world, test_echo_of_segments_out_of_order),
      with(open_world, test_pure_acknowledgments_are_remembered),
      with(open_world, test_segments_that_are_not_acceptable_leave_no_timestamp),
      with(open_world, test_repeated_syn_is_echoed),
      with(open_world, test_old_duplicate_is_dropped),
      with(open_world, test_answers_to_old_duplicates_are_limited),
      with(open_world, test_clock_turns),
      with(open_world, test_timestamp_of_long_ago_is_forgotten),
      with(open_world, test_long_silence_beyond_what_the_age_can_hold),
      with(open_world, test_reset_needs_no_timestamp),
      with(open_world, test_segment_without_timestamp_is_dropped),
      with(open_world, test_timestamps_that_nobody_agreed_to_mean_nothing),
      with(open_world, test_round_trip_longer_than_the_time_out),
      with(open_world, test_echo_that_is_none_of_ours_is_no_time),
      with(open_world, test_syn_in_time_wait),
      with(open_world, test_segments_make_room),
      with(open_large, test_large_segments_make_room),
      with(open_large6, test_large_segments_make_room),
      with(open_large, test_split_after_a_time_out),
      with(open_world, test_window_probe),
      with(open_large, test_window_probe),
      with(open_world, test_split_by_the_persist_timer),
      with(open_large, test_split_by_the_persist_timer),
      with(open_world, test_sack_beside_timestamps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
