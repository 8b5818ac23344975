/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Transfers in both directions at once over bad lines, under a virtual clock: what arrives is what was sent, and it takes
 * no longer than it may.
 *
 * The stack sits behind the very device that --fault makes, the client of support_transfer.c at the other end of a pair.
 * Each way takes 10 ms and has no bound in bandwidth, so that a time says how well losses are mended and nothing else.
 * Times are told for the stack's own direction (down), in which it repeats, and for the client's (up), in which it
 * acknowledges. With ADIT_TEST_LONG=1 there are 100 seeds a case, otherwise a few.
 */
#include "device/fault.h"
#include "support_peer.h"
#include "support_transfer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DEPTH = 4096, SEEDS = 10, SEEDS_LONG = 100, DIRECTIONS = 2 };
#define PATIENCE (3600 * SUPPORT_S)

enum { DOWN, UP };

/*
 * Milliseconds of virtual time that may pass, for the median and for nine of ten: about twice what was seen. Random
 * numbers depend on the number of each packet, so any change of the stack gives other times.
 */
struct bound {
  unsigned median_ms;
  unsigned most_ms;
};

static uint8_t pattern[SUPPORT_TRANSFER];

struct lane {
  struct support_world world;
  struct support_transfer client;
  struct support_owner *owner;
  struct adit_device *device;
  struct adit_pool *pool; /* the client's */
  size_t written;
  uint64_t read_ns; /* when the owner had everything; 0 = not yet */
};

/* The owner writes as much as there is room for, and reads everything. */
static void act(struct support_owner *owner, char event) {
  struct lane *lane = (struct lane *)owner->world; /* `world` comes first */
  if (event == 'C' || event == 'S') return;
  if (lane->read_ns == 0 && owner->length == SUPPORT_TRANSFER) lane->read_ns = owner->world->lab.now_ns;
  while (lane->written < SUPPORT_TRANSFER) {
    ssize_t wrote = adit_flow_write(owner->flow, pattern + lane->written, SUPPORT_TRANSFER - lane->written);
    assert_true(wrote >= 0);
    if (wrote == 0) return;
    lane->written += (size_t)wrote;
    if (lane->written == SUPPORT_TRANSFER) assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  }
}

/* Packets from the device to the stack, and back. Returns whether there were any. */
static bool turn_stack(struct lane *lane, uint64_t now_ns) {
  struct support_lab *lab = &lane->world.lab;
  struct adit_buffer *buffer;
  bool some = false;
  int result;
  lab->now_ns = now_ns;
  adit_stack_advance(lab->stack, now_ns);
  while ((result = adit_device_read(lane->device, lab->pool, &buffer)) == 1 || result == -EINTR) {
    if (result == 1) adit_stack_input(lab->stack, buffer);
    some = true;
  }
  assert_int_equal(result, -EAGAIN);
  adit_stack_flush(lab->stack);
  struct support_out *out;
  while ((out = support_lab_take(lab))) {
    struct iovec piece = {out->bytes, out->length};
    struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = out->length, .offload = out->offload};
    int error = adit_device_write(lane->device, &packet);
    if (error != 0) fail_msg("a packet of %zu bytes cannot be written: %d", out->length, error);
    free(out);
    some = true;
  }
  return some;
}

static void check_same(const char *what, unsigned seed, const char *way, const uint8_t *found, size_t length) {
  if (length != SUPPORT_TRANSFER)
    fail_msg("%s, seed %u: %s: expected %u bytes, found %zu", what, seed, way, SUPPORT_TRANSFER, length);
  for (size_t i = 0; i < length; i++)
    if (found[i] != pattern[i])
      fail_msg("%s, seed %u: %s: byte %zu: expected %u, found %u", what, seed, way, i, pattern[i], found[i]);
}

/* One transfer. Fills the milliseconds that each direction took. */
static void transfer(const char *faults, unsigned seed, unsigned took_ms[DIRECTIONS]) {
  struct lane lane = {.read_ns = 0};
  struct adit_fault_plan plan;
  struct adit_device *ends[2];
  char text[160];
  char reason[ADIT_FAULT_REASON];
  snprintf(text, sizeof text, "delay=10ms,%s,seed=%u", faults, seed);
  if (adit_fault_plan_parse(text, &plan, reason) != 0) fail_msg("'%s': %s", text, reason);
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, DEPTH, ends), 0);
  assert_int_equal(adit_fault_new(ends[0], &plan, 0, &lane.device), 0);
  assert_int_equal(adit_pool_new(0, &lane.pool), 0);
  support_world_open(&lane.world, 1, NULL);
  lane.world.act = act;
  lane.world.reads = true;
  uint64_t start_ns = lane.world.lab.now_ns;
  uint64_t now_ns = start_ns;
  adit_device_advance(lane.device, now_ns);
  lane.client = (struct support_transfer){.device = ends[1],
                                          .pool = lane.pool,
                                          .ipv6 = seed % 2 == 1,
                                          .pattern = pattern,
                                          .first = 0xffff0000u + seed * 977}; /* wraps around on the way */
  support_transfer_begin(&lane.client, now_ns);

  while (lane.world.count == 0 || lane.world.owners[0].closed == 0) {
    bool some;
    do {
      some = turn_stack(&lane, now_ns);
      some |= support_transfer_turn(&lane.client, now_ns);
    } while (some);
    uint64_t next_ns = adit_stack_deadline(lane.world.lab.stack);
    uint64_t other_ns = adit_device_deadline(lane.device);
    if (other_ns < next_ns) next_ns = other_ns;
    other_ns = support_transfer_deadline(&lane.client);
    if (other_ns < next_ns) next_ns = other_ns;
    if (next_ns > start_ns + PATIENCE || lane.client.reset)
      fail_msg("'%s': %s after %u ms: down %u written, %u arrived; up %u arrived, %zu read", text,
               lane.client.reset ? "reset" : "stuck", (unsigned)((now_ns - start_ns) / SUPPORT_MS),
               (unsigned)lane.written, lane.client.expected, lane.client.acked,
               lane.world.count ? lane.world.owners[0].length : 0);
    now_ns = next_ns;
    adit_device_advance(lane.device, now_ns);
  }
  struct support_owner *owner = &lane.world.owners[0];
  if (owner->error != 0) fail_msg("'%s': the flow ended with %d", text, owner->error);
  check_same(faults, seed, "down", lane.client.data, lane.client.whole ? SUPPORT_TRANSFER : 0);
  check_same(faults, seed, "up", owner->data, owner->length);
  took_ms[DOWN] = (unsigned)((lane.client.whole_ns - start_ns) / SUPPORT_MS);
  took_ms[UP] = (unsigned)((lane.read_ns - start_ns) / SUPPORT_MS);

  /* Nothing was lost that the plan did not lose, and the stack drops only what was damaged. */
  const struct adit_fault_counts *out = adit_fault_count(lane.device, ADIT_FAULT_OUT);
  const struct adit_fault_counts *in = adit_fault_count(lane.device, ADIT_FAULT_IN);
  struct adit_stack_stats stats = support_world_stats(&lane.world);
  uint64_t dropped = 0;
  for (unsigned i = 0; i < ADIT_DROPS; i++) dropped += stats.drops[i];
  assert_int_equal(out->lost + in->lost, 0);
  if (in->hit[ADIT_FAULT_CORRUPT] + in->hit[ADIT_FAULT_TRUNCATE] == 0) assert_int_equal(dropped, 0);
  support_transfer_free(&lane.client);
  support_world_close(&lane.world);
  adit_device_close(lane.device);
  adit_device_close(ends[1]);
  assert_int_equal(adit_pool_in_use(lane.pool), 0);
  adit_pool_free(lane.pool);
}

static int compare(const void *a, const void *b) {
  unsigned first = *(const unsigned *)a;
  unsigned second = *(const unsigned *)b;
  return (first > second) - (first < second);
}

static void transfers(const char *faults, const struct bound bounds[DIRECTIONS]) {
  static const char *const ways[DIRECTIONS] = {[DOWN] = "down", [UP] = "up"};
  const char *mode = getenv("ADIT_TEST_LONG");
  unsigned seeds = mode && strcmp(mode, "1") == 0 ? SEEDS_LONG : SEEDS;
  unsigned took_ms[DIRECTIONS][SEEDS_LONG];
  for (unsigned seed = 0; seed < seeds; seed++) {
    unsigned one_ms[DIRECTIONS];
    transfer(faults, seed, one_ms);
    for (unsigned way = 0; way < DIRECTIONS; way++) took_ms[way][seed] = one_ms[way];
  }
  for (unsigned way = 0; way < DIRECTIONS; way++) {
    qsort(took_ms[way], seeds, sizeof(unsigned), compare);
    unsigned median_ms = took_ms[way][seeds / 2];
    unsigned most_ms = took_ms[way][(seeds * 9 + 9) / 10 - 1];
    print_message("%-28s %-4s median %6u ms, p90 %6u ms, longest %6u ms (%u seeds)\n", faults, ways[way], median_ms,
                  most_ms, took_ms[way][seeds - 1], seeds);
    if (median_ms > bounds[way].median_ms || most_ms > bounds[way].most_ms)
      fail_msg("%s: %s: expected a median of at most %u ms and a p90 of at most %u ms, found %u and %u", faults,
               ways[way], bounds[way].median_ms, bounds[way].most_ms, median_ms, most_ms);
  }
}

static void test_loss(void **state) {
  (void)state;
  static const struct {
    const char *faults;
    struct bound bounds[DIRECTIONS];
  } cases[] = {
      {"drop=0%", {{300, 300}, {500, 500}}},          {"drop=0.1%", {{300, 500}, {500, 1200}}},
      {"drop=1%", {{500, 1500}, {1200, 2600}}},       {"drop=2%", {{1200, 2600}, {2000, 4000}}},
      {"drop=5%", {{3600, 7500}, {4600, 10000}}},     {"drop=10%", {{8500, 18000}, {12000, 20000}}},
      {"drop=20%", {{35000, 75000}, {32000, 55000}}}, {"drop=30%", {{125000, 450000}, {72000, 130000}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) transfers(cases[i].faults, cases[i].bounds);
}

static void test_other_faults(void **state) {
  (void)state;
  static const struct {
    const char *faults;
    struct bound bounds[DIRECTIONS];
  } cases[] = {
      {"reorder=10%", {{700, 1200}, {500, 1400}}},
      {"repeat=10%", {{300, 300}, {400, 500}}},
      {"corrupt=2%", {{1100, 2900}, {1900, 4400}}},
      {"truncate=2%", {{1100, 3500}, {1900, 4300}}},
      {"delay=5ms..50ms", {{1100, 1400}, {1400, 2000}}},
      {"in:drop=10%", {{300, 400}, {9500, 15000}}},
      {"out:drop=10%", {{7300, 14500}, {1200, 3500}}},
      {"drop=2%,reorder=10%,repeat=2%,corrupt=1%,truncate=1%", {{2700, 5700}, {3100, 6000}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) transfers(cases[i].faults, cases[i].bounds);
}

static int set_up(void **state) {
  (void)state;
  support_pattern(pattern, sizeof pattern);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_loss), cmocka_unit_test(test_other_faults)};
  return cmocka_run_group_tests_name("fault_transfer", tests, set_up, NULL);
}
