/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A recorded packet made fit for the stack: out of its frame, checksums finished, numbers of the other side shifted.
 */
#ifndef ADIT_CLI_REPLAY_PACKET_H
#define ADIT_CLI_REPLAY_PACKET_H

#include "packet/header.h"
#include "packet/timestamps.h"

/**
 * Take the Ethernet header with its VLAN tags (IEEE 802.1Q) off `buffer`. Returns false, with the buffer as it was, when
 * no IP packet is in the frame.
 */
bool adit_replay_unframe(struct adit_buffer *buffer);

/**
 * Finish the checksums that the recording host had left to its network card: a transport checksum that is the bare sum
 * over the pseudo-header, and an IPv4 header checksum of zero. All others stay as they are, wrong ones included.
 * `header` was parsed from the packet at `ip`. Returns whether something was finished.
 */
bool adit_replay_finish(uint8_t *ip, const struct adit_header *header);

/**
 * Let a TCP segment acknowledge `acknowledgment`, and shift the edges of its SACK blocks (RFC 2018) by as much as its
 * acknowledgment moves. The checksum is mended, not computed (RFC 1624), so that a wrong one stays wrong. `header` was
 * parsed from the packet at `ip` and is changed too.
 */
void adit_replay_acknowledge(uint8_t *ip, struct adit_header *header, uint32_t acknowledgment);

/**
 * Find the timestamps (RFC 7323) in the options of the TCP segment at `ip`, from which `header` was parsed. Returns whether they
 * are there.
 */
bool adit_replay_find_stamps(const uint8_t *ip, const struct adit_header *header, struct adit_timestamps *found);

/**
 * Give a TCP segment these timestamps in the place of its options, in `capacity` bytes at `ip`. The checksum is mended as by
 * adit_replay_acknowledge, and `header` is changed. Returns false, with nothing changed, when the packet would get too long.
 */
bool adit_replay_stamp(uint8_t *ip, struct adit_header *header, size_t capacity, struct adit_timestamps stamps);

/** Room for adit_replay_bare: an IPv6 and a TCP header with timestamps. */
#define ADIT_REPLAY_BARE 72

/**
 * Make of a TCP segment one without data, flags other than ACK, and options other than timestamps, that acknowledges
 * `acknowledgment`: with the sequence number, window and timestamps of the one at `ip`, from which `header` was parsed. Returns
 * its length at `bare`, which has ADIT_REPLAY_BARE bytes.
 */
size_t adit_replay_bare(const uint8_t *ip, const struct adit_header *header, uint32_t acknowledgment, uint8_t *bare);

#endif
