/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Numbers of a worker that other threads may read while it runs.
 *
 * The stack counts in plain variables of its own thread. At the end of each turn the worker copies them into its cell
 * with relaxed stores: on 64-bit machines plain moves, a few nanoseconds beside the system calls of the turn. Readers
 * sum over cells and need no lock. The struct is treated as an array of 64-bit words, which the assertions hold it to.
 */
#include "runtime/stats.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct adit_stats) % sizeof(uint64_t) == 0, "only 64-bit numbers");
static_assert(sizeof(struct adit_stack_stats) == (14 + ADIT_DROPS) * sizeof(uint64_t), "only 64-bit numbers");

void adit_stats_publish(struct adit_stats_cell *cell, const struct adit_stats *stats) {
  uint64_t words[ADIT_STATS_WORDS];
  memcpy(words, stats, sizeof words);
  for (size_t i = 0; i < ADIT_STATS_WORDS; i++) atomic_store_explicit(&cell->words[i], words[i], memory_order_relaxed);
}

void adit_stats_add(const struct adit_stats_cell *cell, struct adit_stats *sum) {
  uint64_t words[ADIT_STATS_WORDS];
  memcpy(words, sum, sizeof words);
  for (size_t i = 0; i < ADIT_STATS_WORDS; i++) words[i] += atomic_load_explicit(&cell->words[i], memory_order_relaxed);
  memcpy(sum, words, sizeof words);
}

uint64_t adit_stats_dropped(const struct adit_stats *stats) {
  uint64_t sum = stats->device_drops + stats->write_full + stats->write_errors;
  for (size_t i = 0; i < ADIT_DROPS; i++) sum += stats->stack.drops[i];
  return sum;
}
