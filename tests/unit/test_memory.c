/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Memory of a stack (port/memory.c): blocks, budget; and whole sessions in which an allocation fails.
 */
#include "stack/core.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, BUDGET = 4 << 20, HEADER = 16 };

/* What an idle flow costs. Under the address sanitizer each block is the system's, so that the pcb does not lie in the flow. */
#if defined(__SANITIZE_ADDRESS__)
enum { IDLE_MOST = 1280 };
#else
enum { IDLE_MOST = 768 };
#endif

static struct support_world world;
static struct adit_port *port;
static uint8_t pattern[300000]; /* what goes down */

static void change(struct adit_stack_options *options) {
  options->budget_bytes = BUDGET;
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
}

static int open_world(void **state) {
  (void)state;
  support_pattern(pattern, sizeof pattern);
  support_world_open(&world, 100, change);
  port = world.lab.stack->port;
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_world_close(&world);
  return 0;
}

/* ---- blocks ---- */

static void test_sizes_and_count(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 15, 16, 47, 48, 49, 100, 1000, 4080, 4081, 65520, 65521, 131056, 131057, 500000};
  enum { COUNT = sizeof sizes / sizeof *sizes };
  uint8_t *blocks[COUNT];
  struct adit_port *outer = adit_port_enter(port);
  size_t before = adit_port_memory(port);
  for (size_t i = 0; i < COUNT; i++) {
    size_t had = adit_port_memory(port);
    blocks[i] = adit_port_malloc(sizes[i]);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    memset(blocks[i], (int)(i + 1), sizes[i]);
    size_t taken = adit_port_memory(port) - had;
    assert_in_range(taken, sizes[i] + HEADER, (sizes[i] + HEADER) * 9 / 8 + 64);
  }
  for (size_t i = 0; i < COUNT; i++)
    for (size_t k = 0; k < sizes[i]; k++)
      if (blocks[i][k] != i + 1) fail_msg("block of %zu bytes, byte %zu: %u != %zu", sizes[i], k, blocks[i][k], i + 1);
  for (size_t i = 0; i < COUNT; i += 2) adit_port_free(blocks[i]);
  for (size_t i = 1; i < COUNT; i += 2) adit_port_free(blocks[i]);
  adit_port_free(NULL);
  assert_int_equal(adit_port_memory(port), before);
  adit_port_leave(outer);
}

/* One size after the other: what was given back is not kept for each of them. */
static void test_free_blocks_are_bounded(void **state) {
  (void)state;
  enum { KEPT_MOST = (4 << 20) + BUDGET / 8 };
  static const size_t sizes[] = {100, 200, 500, 1000, 3000, 10000, 30000, 60000, 100000};
  struct adit_port *outer = adit_port_enter(port);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    void **last = NULL;
    size_t count = 0;
    for (void **block; (block = adit_port_malloc(sizes[i])); last = block, count++) *block = last;
    assert_in_range(count * sizes[i], BUDGET / 2, BUDGET);
    while (last) {
      void **block = last;
      last = *block;
      adit_port_free(block);
      assert_in_range(adit_port_kept(port), 0, KEPT_MOST);
    }
  }
  adit_port_leave(outer);
}

static void test_cleared_memory(void **state) {
  (void)state;
  struct adit_port *outer = adit_port_enter(port);
  uint8_t *dirty = adit_port_malloc(1000);
  assert_non_null(dirty);
  memset(dirty, 0xff, 1000);
  adit_port_free(dirty);
  uint8_t *clean = adit_port_calloc(10, 100);
  assert_non_null(clean);
  for (size_t i = 0; i < 1000; i++) assert_int_equal(clean[i], 0);
  adit_port_free(clean);
  assert_null(adit_port_calloc(SIZE_MAX / 2, 3));
  assert_null(adit_port_calloc(SIZE_MAX, SIZE_MAX));
  assert_null(adit_port_malloc(SIZE_MAX));
  assert_null(adit_port_malloc(SIZE_MAX / 2));
  adit_port_leave(outer);
}

#if !defined(__SANITIZE_ADDRESS__)
static void test_freed_blocks_are_used_again(void **state) {
  (void)state;
  struct adit_port *outer = adit_port_enter(port);
  for (size_t size = 1; size < 100000; size *= 3) {
    void *first = adit_port_malloc(size);
    adit_port_free(first);
    void *second = adit_port_malloc(size);
    assert_ptr_equal(first, second);
    adit_port_free(second);
  }
  adit_port_leave(outer);
}

/* lwIP's part of a connection lies in ours, and goes with it. */
static void test_pcb_lies_in_its_flow(void **state) {
  (void)state;
  size_t before = adit_port_memory(port);
  struct support_peer peer = support_peer_at(&world, false, PORT);
  support_peer_connect(&peer);
  struct adit_flow *flow = world.lab.stack->table[0];
  for (uint32_t slot = 0; !flow; slot++) flow = world.lab.stack->table[slot];
  assert_ptr_equal(flow->pcb, &flow->room.pcb);
  assert_in_range(adit_port_memory(port) - before, sizeof *flow + HEADER, (sizeof *flow + HEADER) * 9 / 8);
  support_peer_send(&peer, SUPPORT_RST, NULL, 0);
  support_peer_run(&peer);
  assert_int_equal(adit_port_memory(port), before);
}

/* Nobody else gets the room of one who never came. */
static void test_room_is_for_one_pcb(void **state) {
  (void)state;
  struct adit_port *outer = adit_port_enter(port);
  size_t before = adit_port_memory(port);
  struct adit_port_room room;
  adit_port_offer_room(&room);
  void *other = adit_port_malloc(sizeof room.pcb + 1);
  assert_true(other && other != &room.pcb);
  assert_ptr_equal(adit_port_malloc(sizeof room.pcb), &room.pcb);
  void *second = adit_port_malloc(sizeof room.pcb);
  assert_true(second && second != &room.pcb);
  adit_port_free(second);
  adit_port_free(&room.pcb);
  adit_port_offer_room(&room);
  adit_port_offer_room(NULL);
  second = adit_port_malloc(sizeof room.pcb);
  assert_true(second && second != &room.pcb);
  adit_port_free(second);
  adit_port_free(other);
  assert_int_equal(adit_port_memory(port), before);
  adit_port_leave(outer);
}
#endif

static void test_budget_is_the_bound(void **state) {
  (void)state;
  struct adit_port *outer = adit_port_enter(port);
  static void *blocks[BUDGET / 64];
  for (size_t size = 40; size < 200000; size *= 5) {
    size_t count = 0;
    size_t before = adit_port_memory(port);
    assert_true(adit_port_has_room(port));
    assert_true(adit_port_may_hold(port, size));
    while ((blocks[count] = adit_port_malloc(size))) count++;
    assert_true(adit_port_memory(port) <= BUDGET);
    assert_true(adit_port_memory(port) + 2 * (size + HEADER) + 64 > BUDGET);
    assert_false(adit_port_has_room(port));
    assert_false(adit_port_may_hold(port, 0));
    while (count > 0) adit_port_free(blocks[--count]);
    assert_int_equal(adit_port_memory(port), before);
  }
  adit_port_leave(outer);
}

static void test_all_of_lwip_is_counted(void **state) {
  (void)state;
  size_t before = adit_port_memory(port);
  assert_true(before >= sizeof(struct tcp_pcb_listen));
  struct support_peer peer = support_peer_at(&world, false, PORT);
  support_peer_connect(&peer);
  size_t idle = adit_port_memory(port) - before;
  assert_in_range(idle, sizeof(struct adit_flow) + HEADER, IDLE_MOST);
  support_peer_send(&peer, SUPPORT_PSH, pattern, 1000);
  support_peer_run(&peer);
  assert_in_range(adit_port_memory(port) - before - idle, 1000, 2100);
}

static void test_fault_hook(void **state) {
  (void)state;
  struct adit_port *outer = adit_port_enter(port);
  adit_port_fail_allocations(port, 2, 2);
  void *first = adit_port_malloc(1);
  assert_non_null(first);
  assert_null(adit_port_malloc(1));
  assert_null(adit_port_calloc(1, 1));
  void *fourth = adit_port_malloc(1);
  assert_non_null(fourth);
  adit_port_free(first);
  adit_port_free(fourth);
  adit_port_leave(outer);
}

/* ---- sessions ---- */

static void write_on(struct support_owner *owner, char event) {
  size_t *done = owner->extra;
  if (event == 'C' || !done || *done == sizeof pattern) return;
  ssize_t wrote = adit_flow_write(owner->flow, pattern + *done, sizeof pattern - *done);
  if (wrote > 0) *done += (size_t)wrote;
  if (*done == sizeof pattern) adit_flow_shutdown(owner->flow);
}

/* What one session came to. */
struct outcome {
  bool whole; /* every byte arrived, both ways, and the end was orderly */
  bool over;  /* or it ended with an error that was told */
};

/*
 * A session with losses on purpose: a handshake, data both ways out of order and sent again, half-close, close. It has to
 * come to an end, whichever allocation fails, and leave nothing behind.
 */
static struct outcome session(uint64_t first, uint64_t count, bool ipv6) {
  struct outcome outcome = {0};
  size_t done = 0, sent = 0;
  enum { UP = 100000 };
  struct support_peer peer = support_peer_at(&world, ipv6, PORT);
  adit_port_fail_allocations(port, first, count);
  for (int attempt = 0; attempt < 5 && !peer.established; attempt++) {
    support_peer_syn(&peer);
    support_peer_run(&peer);
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_run(&peer);
  }
  struct support_owner *owner = world.count ? &world.owners[world.count - 1] : NULL;
  if (!peer.established || !owner || !owner->flow) {
    outcome.over = true;
    goto end;
  }
  owner->reads = true;
  owner->act = write_on;
  owner->extra = &done;
  write_on(owner, 'W');
  for (int round = 0; round < 1500 && !peer.reset && owner->flow; round++) {
    uint32_t base = peer.first + 1;
    if (sent < UP) { /* second half first */
      size_t next = sent + 2000 > UP ? UP - sent : 2000;
      support_peer_raw(&peer, base + (uint32_t)sent + 1000, peer.expected, SUPPORT_ACK, 0xffff, NULL, 0,
                       pattern + sent + 1000, next - 1000);
      peer.next = base + (uint32_t)(sent + next);
      support_peer_raw(&peer, base + (uint32_t)sent, peer.expected, SUPPORT_ACK, 0xffff, NULL, 0, pattern + sent, 1000);
    }
    support_lab_flush(&world.lab);
    struct support_segment segment;
    for (unsigned i = 0; support_peer_take(&peer, &segment); i++) {
      if (((unsigned)round + i) % 7 != 3) support_peer_learn(&peer, &segment); /* some are lost */
      support_segment_free(&segment);
    }
    sent = peer.acked - base > UP ? UP : peer.acked - base; /* go back to what is missing */
    if (sent == UP && peer.fin) break;
    for (int k = 0; k < 3; k++) support_peer_ack(&peer, peer.expected);
    if (round % 3 == 0) support_lab_pass(&world.lab, 1200 * SUPPORT_MS);
  }
  if (owner->flow && sent == UP && peer.fin) {
    for (int attempt = 0; attempt < 10 && owner->flow; attempt++) { /* FIN, until it is taken */
      support_peer_raw(&peer, peer.first + 1 + UP, peer.expected, SUPPORT_ACK | SUPPORT_FIN, 0xffff, NULL, 0, NULL, 0);
      peer.next = peer.first + 2 + UP;
      support_lab_flush(&world.lab);
      support_lab_pass(&world.lab, SUPPORT_S);
      support_peer_run(&peer);
    }
    outcome.whole = !owner->flow && owner->error == 0 && owner->length == UP && peer.length == sizeof pattern &&
                    memcmp(owner->data, pattern, UP) == 0 && memcmp(peer.data, pattern, sizeof pattern) == 0;
  }
  outcome.over = !owner->flow || peer.reset;
  assert_in_range(owner->closed, 0, 1);
end:
  adit_port_fail_allocations(port, 1, 0);
  assert_in_range(support_world_stats(&world).flows_open, 0, 1);
  support_peer_skip(&peer);
  support_peer_free(&peer);
  return outcome;
}

static void test_session_without_faults(void **state) {
  (void)state;
  for (int ipv6 = 0; ipv6 < 2; ipv6++) {
    assert_true(session(1, 0, ipv6).whole);
    support_lab_pass(&world.lab, 70 * SUPPORT_S);
  }
}

static void test_nth_allocation_fails(void **state) {
  (void)state;
  unsigned whole = 0;
  for (uint64_t n = 1; n <= 200; n++) {
    close_world(NULL);
    open_world(NULL);
    struct outcome outcome = session(n, 1, n % 2);
    if (!outcome.whole && !outcome.over) fail_msg("allocation %u failed, and the session hangs", (unsigned)n);
    whole += outcome.whole;
  }
  assert_in_range(whole, 190, 200); /* one failure is survived by nearly all of them */
}

static void test_run_of_allocations_fails(void **state) {
  (void)state;
  static const uint64_t counts[] = {5, 20, 100};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    for (uint64_t n = 1; n <= 200; n += 3) {
      close_world(NULL);
      open_world(NULL);
      struct outcome outcome = session(n, counts[i], n % 2);
      if (!outcome.whole && !outcome.over)
        fail_msg("allocations %u to %u failed, and the session hangs", (unsigned)n, (unsigned)(n + counts[i] - 1));
    }
  }
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
    with_world(test_sizes_and_count),
    with_world(test_free_blocks_are_bounded),
    with_world(test_cleared_memory),
#if !defined(__SANITIZE_ADDRESS__)
    with_world(test_freed_blocks_are_used_again),
    with_world(test_pcb_lies_in_its_flow),
    with_world(test_room_is_for_one_pcb),
#endif
    with_world(test_budget_is_the_bound),
    with_world(test_all_of_lwip_is_counted),
    with_world(test_fault_hook),
    with_world(test_session_without_faults),
    with_world(test_nth_allocation_fails),
    with_world(test_run_of_allocations_fails),
  };
  return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
