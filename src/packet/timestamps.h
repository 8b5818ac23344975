/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The timestamps option of TCP (RFC 7323, 3.2).
 */
#ifndef ADIT_PACKET_TIMESTAMPS_H
#define ADIT_PACKET_TIMESTAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the option says. */
struct adit_timestamps {
  uint32_t value; /**< TSval: when the segment was sent, by a clock of its sender's */
  uint32_t echo;  /**< TSecr: TSval of the segment that it answers */
};

/** Bytes of the option with what aligns it (RFC 7323, appendix A). */
enum { ADIT_TIMESTAMPS = 12 };

/** Find the option among the `length` bytes of options of a TCP header. Returns whether it is there and whole. */
bool adit_timestamps_find(const uint8_t *options, size_t length, struct adit_timestamps *found);

/** Write the option, aligned: ADIT_TIMESTAMPS bytes. */
void adit_timestamps_put(uint8_t *options, struct adit_timestamps timestamps);

#endif
