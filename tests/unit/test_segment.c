/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Among many flows segments wait for a few others: they keep their order, all have arrived with the flush, and it does no harm
 * when a flow goes while others of its segments wait.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 10000, MANY = 1100, LIMIT = 2 * MANY + 100, BURST = 20 };

static struct support_world world;
static struct support_peer peers[MANY];

static uint32_t waiting(void) {
  return world.lab.stack->ahead_count;
}

static struct support_owner *owner_of(unsigned peer) {
  return &world.owners[peer];
}

static int open_world(void **state) {
  (void)state;
  support_world_open(&world, LIMIT, NULL);
  world.reads = true;
  for (unsigned i = 0; i < MANY; i++) {
    peers[i] = support_peer_at(&world, i % 2, (uint16_t)(PORT + i));
    support_peer_connect(&peers[i]);
  }
  return 0;
}

static int close_world(void **state) {
  (void)state;
  for (unsigned i = 0; i < MANY; i++) support_peer_free(&peers[i]);
  support_world_close(&world);
  return 0;
}

static void assert_read(unsigned peer, const char *text) {
  assert_int_equal(owner_of(peer)->length, strlen(text));
  assert_memory_equal(owner_of(peer)->data, text, strlen(text));
}

static void test_all_have_arrived_with_the_flush(void **state) {
  (void)state;
  for (unsigned count = 1; count <= BURST; count++) {
    for (unsigned i = 0; i < count; i++) support_peer_send(&peers[count * 50 + i], SUPPORT_PSH, "text", 4);
    assert_in_range(waiting(), 1, ADIT_AHEAD);
    adit_stack_flush(world.lab.stack);
    assert_int_equal(waiting(), 0);
    for (unsigned i = 0; i < count; i++) assert_read(count * 50 + i, "text");
  }
}

/* Time that passes ends the burst as well. */
static void test_all_have_arrived_when_time_passes(void **state) {
  (void)state;
  support_peer_send(&peers[7], SUPPORT_PSH, "text", 4);
  assert_int_equal(waiting(), 1);
  adit_stack_advance(world.lab.stack, ++world.lab.now_ns);
  assert_int_equal(waiting(), 0);
  assert_read(7, "text");
}

/* lwIP would keep what comes early, but none has to be sent again, and the end is the end. */
static void test_order_is_kept(void **state) {
  static const char text[] = "0123456789abcdefghij";
  (void)state;
  for (unsigned i = 0; i < BURST; i++) {
    support_peer_send(&peers[1], SUPPORT_PSH, text + i, 1);
    assert_int_equal(owner_of(1)->length, 0); /* nobody is told before the flush */
    support_peer_send(&peers[100 + i], SUPPORT_PSH, "x", 1);

    assert_in_range(waiting(), 1, ADIT_AHEAD);
  }
  support_peer_send(&peers[1], SUPPORT_FIN, NULL, 0);
  struct tcp_pcb *pcb = owner_of(1)->flow->pcb;
  adit_stack_flush(world.lab.stack);
  assert_null(pcb->ooseq);
  assert_read(1, text);
  support_assert_heard(owner_of(1), "SERP");
}

/* What is behind a RST in the same burst is for nobody; a SYN there begins anew. */
static void test_flow_goes_while_others_wait(void **state) {
  unsigned before = world.count;
  (void)state;
  support_peer_send(&peers[3], SUPPORT_PSH, "text", 4);
  support_peer_send(&peers[3], SUPPORT_RST, NULL, 0);
  support_peer_send(&peers[3], SUPPORT_PSH, "lost", 4);
  struct support_peer again = support_peer_at(&world, true, PORT + 3);
  again.first = peers[3].next + 100000;
  support_peer_syn(&again);
  assert_int_equal(world.count, before);
  adit_stack_flush(world.lab.stack);
  assert_int_equal(owner_of(3)->closed, 1);
  assert_int_equal(owner_of(3)->error, -ECONNRESET);
  assert_int_equal(world.count, before + 1);
  assert_true(world.owners[before].flow != NULL);
  support_peer_free(&again);
}

/* The table doubles while segments wait that have asked for their place in the old one. */
static void test_table_grows_while_some_wait(void **state) {
  uint32_t mask = world.lab.stack->table_mask;
  unsigned begun = world.count;
  (void)state;
  for (unsigned i = 0; i < MANY; i++) {
    struct support_peer peer = support_peer_at(&world, false, (uint16_t)(PORT + MANY + i));
    support_peer_syn(&peer);
    support_peer_send(&peers[i], SUPPORT_PSH, "text", 4);
    support_peer_free(&peer);
  }
  assert_true(world.lab.stack->table_mask > mask);
  adit_stack_flush(world.lab.stack);
  assert_int_equal(world.count, begun + MANY);
  for (unsigned i = 0; i < MANY; i++) assert_read(i, "text");
}

/* support_world_close looks whether each buffer is back. */
static void test_stack_ends_while_some_wait(void **state) {
  (void)state;
  for (unsigned i = 0; i < 3; i++) support_peer_send(&peers[i], SUPPORT_PSH, "text", 4);
  assert_int_equal(waiting(), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_all_have_arrived_with_the_flush, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_all_have_arrived_when_time_passes, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_order_is_kept, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_flow_goes_while_others_wait, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_table_grows_while_some_wait, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_stack_ends_while_some_wait, open_world, close_world),
  };
  return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
