/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The counters of a worker by name, as they stand in answers of the control socket.
 */
#ifndef ADIT_CLI_CONTROL_NUMBERS_H
#define ADIT_CLI_CONTROL_NUMBERS_H

#include "runtime/stats.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/** Add `name` to `object`, digit by digit: as a double it would be rounded above 2^53. Returns false without memory. */
bool adit_control_add_number(cJSON *object, const char *name, uint64_t value);

/**
 * The numbers of one worker, or their sum, as an object of three: "stack" (with "drops" by reason), "io", and with
 * `relays` also "relay". NULL without memory.
 */
cJSON *adit_control_numbers(const struct adit_stats *stats, bool relays);

#endif
