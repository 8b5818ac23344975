/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Several stacks: in one thread by turns, in several threads at once, and moved from one to another. lwIP's variables must
 * be each stack's own (third_party/lwip/patches/0001-per-stack-state.patch).
 */
#include "support_peer.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, STACKS = 4 };

/* One of the stacks, with a transfer going on in both directions. Nothing here may fail by cmocka outside its thread. */
struct side {
  struct support_world world;
  struct support_peer peer;
  struct support_owner *owner;
  uint8_t key; /* what its bytes are made of */
  size_t sent;
  size_t wrote;
};

static uint8_t byte_at(const struct side *side, size_t position) {
  return (uint8_t)(position * 31 + (position >> 8) + side->key);
}

static void fill(const struct side *side, size_t position, uint8_t *data, size_t length) {
  for (size_t i = 0; i < length; i++) data[i] = byte_at(side, position + i);
}

static void windows(struct adit_stack_options *options) {
  static uint32_t window = 1 << 16;
  options->window_bytes = window; /* each has its own */
  window = window == 1 << 20 ? 1 << 16 : window << 1;
}

static void open_side(struct side *side, uint8_t key) {
  memset(side, 0, sizeof *side);
  side->key = key;
  support_world_open(&side->world, 4, windows);
  side->world.reads = true;
  side->peer = support_peer_at(&side->world, key % 2, PORT); /* equal tuples in several stacks */
}

static void connect_side(struct side *side) {
  support_peer_connect(&side->peer);
  side->owner = &side->world.owners[0];
}

static void close_side(struct side *side) {
  support_peer_free(&side->peer);
  support_world_close(&side->world);
}

/* One round of the conversation. */
static void talk(struct side *side) {
  uint8_t data[4000];
  fill(side, side->sent, data, 1000);
  support_peer_send(&side->peer, SUPPORT_PSH, data, 1000);
  side->sent += 1000;
  fill(side, side->wrote, data, sizeof data);
  side->wrote += (size_t)adit_flow_write(side->owner->flow, data, sizeof data);
  support_peer_run(&side->peer);
}

static bool is_as_it_should_be(const struct side *side) {
  if (side->owner->length != side->sent || side->peer.length != side->wrote) return false;
  for (size_t i = 0; i < side->sent; i++)
    if (side->owner->data[i] != byte_at(side, i)) return false;
  for (size_t i = 0; i < side->wrote; i++)
    if (side->peer.data[i] != byte_at(side, i)) return false;
  return true;
}

static void test_interleaved_in_one_thread(void **state) {
  (void)state;
  static struct side sides[STACKS];
  for (uint8_t i = 0; i < STACKS; i++) open_side(&sides[i], i);
  for (unsigned i = 0; i < STACKS; i++) connect_side(&sides[i]);
  uint64_t seed = 3;
  for (int round = 0; round < 400; round++) {
    struct side *side = &sides[support_random(&seed) % STACKS];
    talk(side);
    if (support_random(&seed) % 8 == 0) support_lab_pass(&side->world.lab, SUPPORT_S);
  }
  for (unsigned i = 0; i < STACKS; i++) {
    assert_true(is_as_it_should_be(&sides[i]));
    assert_int_equal(support_world_stats(&sides[i].world).flows_open, 1);
    assert_int_equal(support_world_stats(&sides[i].world).flows_parked, 1);
  }
  close_side(&sides[1]); /* the others go on */
  close_side(&sides[2]);
  for (int round = 0; round < 20; round++) talk(&sides[round % 2 ? 0 : 3]);
  assert_true(is_as_it_should_be(&sides[0]));
  assert_true(is_as_it_should_be(&sides[3]));
  close_side(&sides[3]);
  close_side(&sides[0]);
}

static void test_clocks_and_timers_are_apart(void **state) {
  (void)state;
  static struct side a, b;
  open_side(&a, 0);
  open_side(&b, 2);
  connect_side(&a);
  assert_true(adit_stack_deadline(b.world.lab.stack) == UINT64_MAX);
  support_lab_pass(&a.world.lab, 100 * SUPPORT_S);
  assert_int_equal(adit_stack_now(b.world.lab.stack) + 100 * SUPPORT_S, adit_stack_now(a.world.lab.stack));
  connect_side(&b);
  adit_flow_abort(a.owner->flow);
  support_lab_flush(&a.world.lab);
  support_peer_skip(&a.peer);
  support_lab_pass(&a.world.lab, 2 * SUPPORT_S);
  assert_true(adit_stack_deadline(a.world.lab.stack) == UINT64_MAX);
  assert_true(adit_stack_deadline(b.world.lab.stack) != UINT64_MAX);
  talk(&b);
  assert_true(is_as_it_should_be(&b));
  close_side(&a);
  close_side(&b);
}

static void test_windows_are_apart(void **state) {
  (void)state;
  static struct side a, b;
  open_side(&a, 0);
  open_side(&b, 2);
  connect_side(&a);
  connect_side(&b);
  talk(&a);
  talk(&b);
  talk(&a);
  assert_int_not_equal(a.peer.room, b.peer.room);
  close_side(&a);
  close_side(&b);
}

/* cmocka's assertions jump, which no other thread may; so threads say what they saw. */
static void *talk_a_while(void *arg) {
  struct side *side = arg;
  for (int i = 0; i < 300; i++) talk(side);
  return is_as_it_should_be(side) ? side : NULL;
}

static void test_one_thread_each(void **state) {
  (void)state;
  static struct side sides[STACKS];
  pthread_t threads[STACKS];
  for (uint8_t i = 0; i < STACKS; i++) {
    open_side(&sides[i], i);
    connect_side(&sides[i]);
  }
  for (unsigned i = 0; i < STACKS; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk_a_while, &sides[i]), 0);
  for (unsigned i = 0; i < STACKS; i++) {
    void *result;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_ptr_equal(result, &sides[i]);
  }
  for (unsigned i = 0; i < STACKS; i++) close_side(&sides[i]);
}

static void test_moved_from_thread_to_thread(void **state) {
  (void)state;
  static struct side moved, stays;
  open_side(&moved, 0);
  open_side(&stays, 2);
  connect_side(&moved);
  connect_side(&stays);
  for (int i = 0; i < 5; i++) {
    pthread_t thread;
    void *result;
    talk(&moved);
    talk(&stays);
    assert_int_equal(pthread_create(&thread, NULL, talk_a_while, &moved), 0);
    talk(&stays);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &moved);
  }
  assert_true(is_as_it_should_be(&moved));
  assert_true(is_as_it_should_be(&stays));
  close_side(&moved);
  close_side(&stays);
}

static void test_a_stack_made_and_freed_beside_another(void **state) {
  (void)state;
  static struct side stays, guest;
  open_side(&stays, 0);
  connect_side(&stays);
  for (uint8_t i = 0; i < 50; i++) {
    open_side(&guest, i);
    connect_side(&guest);
    talk(&guest);
    talk(&stays);
    close_side(&guest);
  }
  assert_true(is_as_it_should_be(&stays));
  close_side(&stays);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_interleaved_in_one_thread),   cmocka_unit_test(test_clocks_and_timers_are_apart),
      cmocka_unit_test(test_windows_are_apart),           cmocka_unit_test(test_one_thread_each),
      cmocka_unit_test(test_moved_from_thread_to_thread), cmocka_unit_test(test_a_stack_made_and_freed_beside_another),
  };
  return cmocka_run_group_tests_name("two stacks", tests, NULL, NULL);
}
