/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Turn a packet round: exchange its source and destination address.
 */
#ifndef ADIT_CLI_SWAP_H
#define ADIT_CLI_SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Exchange source and destination of an IPv4 or IPv6 packet in place; with `ethernet` those of the frame around it too.
 * Ports and all else stay. Checksums stay right, because a sum does not depend on the order of what it adds.
 * Returns false, with the bytes as they were, for what has no address to be exchanged: ARP, other protocols, frames and
 * packets to a multicast or broadcast address (which nobody can send from), and those too short for their addresses.
 */
bool adit_cli_swap(uint8_t *data, size_t length, bool ethernet);

#endif
