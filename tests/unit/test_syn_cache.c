/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Handshakes that had to make room, and whose client answers all the same.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 20000, FEW = 3, CROWD = 20, SMALL_WINDOW = 6400, MANY = 40000 };

static struct support_world world;
static struct support_peer peer;

static void few(struct adit_stack_options *options) {
  options->parked = FEW;
}

static void begin(unsigned owners, bool ipv6) {
  support_world_open(&world, owners, few);
  peer = support_peer_at(&world, ipv6, PORT);
  peer.window = SMALL_WINDOW;
}

static void end(void) {
  support_peer_free(&peer);
  support_world_close(&world);
}

/* The client's SYN is answered; its own answer is not on its way yet. */
static void shake_half(void) {
  struct support_segment segment;
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
}

/* Strangers who begin, and do not go on. */
static void crowd(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    struct support_peer stranger = support_peer_at(&world, i % 2, (uint16_t)(PORT + 1 + i));
    support_peer_syn(&stranger);
    support_lab_flush(&world.lab);
    assert_int_equal(support_peer_skip(&stranger), 1);
  }
}

/* What goes to strangers. */
static void drain(void) {
  for (struct support_out *out; (out = support_lab_take(&world.lab));) free(out);
}

static void evict(void) {
  shake_half();
  crowd(CROWD);
  support_assert_heard(&world.owners[0], "SC");
  assert_int_equal(world.owners[0].error, -ETIMEDOUT);
}

static struct support_owner *last_owner(void) {
  return &world.owners[world.count - 1];
}

static void expect_reset(void) {
  struct support_segment segment;
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_RST, &segment);
  support_segment_free(&segment);
}

/* All that both sides had agreed on holds: MSS and timestamps (which the peer checks), window scale, SACK. */
static void check_agreement(bool sack) {
  static const char bytes[20000];
  struct support_owner *owner = last_owner();
  peer.length = 0;
  peer.mute = true;
  assert_int_equal(adit_flow_write(owner->flow, bytes, sizeof bytes), sizeof bytes);
  support_peer_run(&peer);
  assert_in_range(peer.length, SMALL_WINDOW - 1400, SMALL_WINDOW); /* whole segments; unscaled it were 50 bytes */
  peer.mute = false;

  struct support_segment segment;
  uint8_t stamps[12];
  support_put_stamps(stamps, support_peer_stamp(&peer), peer.recent);
  support_peer_raw(&peer, peer.next + 100, peer.expected, SUPPORT_ACK, 0, stamps, peer.stamps ? sizeof stamps : 0,
                   "later", 5);
  support_lab_flush(&world.lab);
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(segment.sacks, sack ? 1 : 0);
  if (sack) assert_int_equal(segment.sack[0][0], peer.next + 100);
  support_segment_free(&segment);
  support_peer_skip(&peer);
}

static void test_the_answer_comes_late(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 32; bits++) {
    begin(100, bits & 1);
    bool scale = bits & 2, sack = bits & 4;
    peer.scale = scale ? 7 : -1;
    peer.sack = sack;
    peer.mss = bits & 8 ? 536 : 1400;
    peer.stamps = bits & 16;
    evict();
    support_peer_send(&peer, SUPPORT_PSH, "hello", 5); /* its ACK was lost; the first data say the same */
    support_peer_run(&peer);
    support_assert_heard(last_owner(), "SER");
    assert_int_equal(adit_flow_available(last_owner()->flow), 5);
    check_agreement(sack);
    end();
  }
}

static void few_with_big_packets(struct adit_stack_options *options) {
  few(options);
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_BIG_TCP;
}

/* Whether the client is on the host (merge.c) was told by its SYN, and is by its answer then. */
static void test_where_the_client_is_is_known(void **state) {
  static const struct {
    uint8_t ttl;
    bool here;
  } cases[] = {{64, true}, {63, false}};
  (void)state;
  for (int ipv6 = 0; ipv6 < 2; ipv6++)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      support_world_open(&world, 100, few_with_big_packets);
      peer = support_peer_at(&world, ipv6, PORT);
      peer.ttl = cases[i].ttl;
      evict();
      support_peer_ack(&peer, peer.expected);
      support_peer_run(&peer);
      support_assert_heard(last_owner(), "SE");
      assert_int_equal((last_owner()->flow->marks & ADIT_MARK_BIG) != 0, cases[i].here);
      end();
    }
}

static void test_both_numbers_have_to_be_right(void **state) {
  (void)state;
  begin(100, false);
  evict();
  unsigned asked = world.count;
  static const int32_t off[][2] = {{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}};
  for (unsigned i = 0; i < sizeof off / sizeof *off; i++) {
    support_peer_raw(&peer, peer.next + (uint32_t)off[i][0], peer.expected + (uint32_t)off[i][1], SUPPORT_ACK, 100,
                     NULL, 0, NULL, 0);
    expect_reset();
  }
  assert_int_equal(world.count, asked); /* nobody was asked */
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  support_assert_heard(last_owner(), "SE"); /* what was wrong did no harm to what is right */
  end();
}

static void test_a_reset_finds_nothing(void **state) {
  (void)state;
  begin(100, false);
  evict();
  unsigned asked = world.count;
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_RST | SUPPORT_ACK, 100, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  support_world_expect_silence(&world);
  assert_int_equal(world.count, asked);
  end();
}

static void test_client_that_begins_anew(void **state) {
  (void)state;
  begin(100, true);
  evict();
  uint32_t old_next = peer.next, old_expected = peer.expected;
  support_lab_pass(&world.lab, SUPPORT_S);
  drain();
  peer.first += 5000;
  shake_half();
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  support_assert_heard(last_owner(), "SE");
  adit_flow_abort(last_owner()->flow);
  support_lab_flush(&world.lab);
  support_peer_skip(&peer);
  unsigned asked = world.count;
  support_peer_raw(&peer, old_next, old_expected, SUPPORT_ACK, 100, NULL, 0, NULL, 0);
  expect_reset();
  assert_int_equal(world.count, asked);
  end();
}

/* An owner that asks somebody else first (a relay) may hear no: too late for a client that believes in its connection. */
static void test_owner_that_did_not_accept_at_once(void **state) {
  (void)state;
  begin(100, false);
  world.holds = true;
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  assert_int_equal(adit_flow_accept(world.owners[0].flow), 0);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  world.holds = false;
  crowd(CROWD);
  support_assert_heard(&world.owners[0], "SC");
  support_peer_ack(&peer, peer.expected);
  expect_reset();
  end();
}

/* Asked again, the owner has thought better of it. */
static void test_owner_that_does_not_accept_again(void **state) {
  (void)state;
  begin(100, false);
  evict();
  world.holds = true;
  support_peer_ack(&peer, peer.expected);
  expect_reset();
  support_assert_heard(last_owner(), "S");
  adit_flow_drop(last_owner()->flow);
  support_lab_flush(&world.lab);
  end();
}

static void test_it_does_not_stay(void **state) {
  (void)state;
  begin(100, false);
  evict();
  support_lab_pass(&world.lab, 21 * SUPPORT_S);
  drain();
  support_peer_ack(&peer, peer.expected);
  expect_reset();
  end();
}

static void test_the_oldest_makes_room(void **state) {
  (void)state;
  begin(MANY + 10, false);
  shake_half();
  crowd(MANY / 8);
  struct support_peer first = peer;
  peer = support_peer_at(&world, false, PORT - 1);
  crowd(MANY / 8);
  peer.window = SMALL_WINDOW;
  shake_half();
  struct support_peer late = peer;
  for (unsigned i = 0; i < 6; i++) crowd(MANY / 8 - 1);
  peer = first;
  support_peer_ack(&peer, peer.expected);
  expect_reset();
  support_peer_free(&peer);
  peer = late;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  support_assert_heard(last_owner(), "SE");
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_answer_comes_late),
      cmocka_unit_test(test_where_the_client_is_is_known),
      cmocka_unit_test(test_both_numbers_have_to_be_right),
      cmocka_unit_test(test_a_reset_finds_nothing),
      cmocka_unit_test(test_client_that_begins_anew),
      cmocka_unit_test(test_owner_that_did_not_accept_at_once),
      cmocka_unit_test(test_owner_that_does_not_accept_again),
      cmocka_unit_test(test_it_does_not_stay),
      cmocka_unit_test(test_the_oldest_makes_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
