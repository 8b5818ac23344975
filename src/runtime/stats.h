/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Numbers of a worker that other threads may read while it runs.
 */
#ifndef ADIT_RUNTIME_STATS_H
#define ADIT_RUNTIME_STATS_H

#include <adit/stack.h>
#include <stdatomic.h>

/** Room for the numbers of an application. */
#define ADIT_STATS_APPLICATION 16

/** What a worker counts, or the sum over several. All members are 64-bit numbers. */
struct adit_stats {
  struct adit_stack_stats stack; /**< what the stack counts: packets, bytes, flows, drops by reason */
  uint64_t device_drops;         /**< packets that reading had to drop (adit_device_dropped) */
  uint64_t write_full;           /**< packets lost because the kernel's queue was full */
  uint64_t write_errors;         /**< packets lost because writing failed otherwise */
  uint64_t pool_empty;           /**< times that reading paused because there was no memory for a packet */
  uint64_t bursts;               /**< times that packets were read until none waited, or a burst's bound was reached */
  uint64_t application[ADIT_STATS_APPLICATION]; /**< what its application counts, see `count` in application.h */
};

#define ADIT_STATS_WORDS (sizeof(struct adit_stats) / sizeof(uint64_t))

/** Where one worker puts its numbers. Cache lines of its own, since nobody else writes there. Zero it. */
struct adit_stats_cell {
  _Alignas(64) _Atomic uint64_t words[ADIT_STATS_WORDS];
};

/** Put the numbers where others can read them. Only by the worker whose cell it is. */
void adit_stats_publish(struct adit_stats_cell *cell, const struct adit_stats *stats);

/** Add the numbers last published to `sum`. From any thread. Each number is whole; together they may be of two moments. */
void adit_stats_add(const struct adit_stats_cell *cell, struct adit_stats *sum);

/** Packets that were dropped, for whatever reason, in or out. */
uint64_t adit_stats_dropped(const struct adit_stats *stats);

#endif
