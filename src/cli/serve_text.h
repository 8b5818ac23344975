/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit serve` tells at its start and at its end, on standard output.
 */
#ifndef ADIT_CLI_SERVE_TEXT_H
#define ADIT_CLI_SERVE_TEXT_H

#include "cli/open.h"
#include "runtime/stats.h"

/** What is running. Everything is borrowed. */
struct adit_serve_greeting {
  const struct adit_cli_device *device;
  const struct adit_cli_cidrs *answers; /**< empty = every address */
  const adit_ip *excepts;               /**< addresses that are not the stack's */
  size_t except_count;
};

/** Say what is running and what to try. The last line begins with "Ready". */
void adit_serve_greet(const struct adit_serve_greeting *greeting);

/** Say what was done: packets, bytes, flows, datagrams, and what was dropped and why. */
void adit_serve_summary(const struct adit_stats *stats);

/** Whether the network has no address but those of `excepts`: nothing that the stack could answer for. */
bool adit_serve_leaves_nothing(adit_cidr network, const adit_ip *excepts, size_t except_count);

/**
 * An address of the network that is not one of `excepts`: the network's own when it is that of one address, otherwise the
 * first one after the address as it was written. Version 0 when there is none nearby.
 */
adit_ip adit_serve_example(adit_cidr network, const adit_ip *excepts, size_t except_count);

#endif
