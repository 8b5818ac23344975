/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The stack under the clock of a capture: packets go in at their time, or wait until the stack is where they belong.
 */
#ifndef ADIT_CLI_REPLAY_ENGINE_H
#define ADIT_CLI_REPLAY_ENGINE_H

#include "cli/replay_flow.h"
#include "cli/replay_text.h"

#include <adit/device.h>

struct adit_replay_engine;

/** What an engine works with. Everything is borrowed and must outlive it. */
struct adit_replay_engine_options {
  const struct adit_cli_options *options;
  const struct adit_cli_cidrs *answer; /**< the networks whose addresses the stack is, at least one */
  const adit_ip *except;               /**< addresses that it is not */
  size_t excepts;                      /**< their number */
  struct adit_replay_flows *flows;     /**< all TCP flows of the capture */
  struct adit_device *out;             /**< a pcap device for the answers */
  struct adit_pool *pool;              /**< for packets that are made here */
  struct adit_replay_counts *counts;
};

/** Make the stack and its services. Returns 0 and `*engine`, owned by the caller, or -EINVAL, -ENOMEM. */
int adit_replay_engine_new(const struct adit_replay_engine_options *options, struct adit_replay_engine **engine);

/** Free them; packets that wait are forgotten. NULL is allowed. */
void adit_replay_engine_free(struct adit_replay_engine *engine);

/**
 * Let time go on to `now_ns`; what happens by itself until then happens, each at its own time. Time that runs backwards
 * is ignored. Returns 0, or why an answer could not be written.
 */
int adit_replay_engine_advance(struct adit_replay_engine *engine, uint64_t now_ns);

/** Let time go on until nothing is pending, for at most `span_ns`. Returns as adit_replay_engine_advance. */
int adit_replay_engine_finish(struct adit_replay_engine *engine, uint64_t span_ns);

/** The clock: nanoseconds since the epoch. */
uint64_t adit_replay_engine_now(const struct adit_replay_engine *engine);

/**
 * A packet of the client, now. The buffer's reference is taken over. `flow` is that of a TCP segment, whose `header` is
 * given too; for all else both may be NULL. Returns as adit_replay_engine_advance.
 */
int adit_replay_engine_give(struct adit_replay_engine *engine, struct adit_buffer *buffer,
                            struct adit_replay_flow *flow, struct adit_header *header);

/** Counters of the stack. */
void adit_replay_engine_stats(const struct adit_replay_engine *engine, struct adit_stack_stats *stats);

#endif
