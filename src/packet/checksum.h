/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The Internet checksum (RFC 1071): sums over pieces, over pseudo-headers, and the finishing of partial ones.
 */
#ifndef ADIT_PACKET_CHECKSUM_H
#define ADIT_PACKET_CHECKSUM_H

#include <adit/packet.h>

/**
 * Add `length` bytes to a running sum. The first byte counts as the first of a pair, so every piece but the last must
 * have an even length (or see adit_checksum_iov). Returns the new sum; start with 0, end with adit_checksum_fold.
 */
uint64_t adit_checksum_add(uint64_t sum, const void *data, size_t length);

/**
 * The same over pieces of any lengths, leaving out the first `skip` bytes and ending after `length` more, or where the
 * pieces end. The byte after the skipped ones counts as the first of a pair.
 */
uint64_t adit_checksum_iov(uint64_t sum, const struct iovec *iov, unsigned iovcnt, size_t skip, size_t length);

/**
 * Sum over the pseudo-header of TCP, UDP (RFC 9293 3.1, RFC 768) or, for IPv6, any protocol (RFC 8200 8.1).
 * `ip` points at an IPv4 or IPv6 header, of which the addresses are read; `transport_length` is header and payload.
 */
uint64_t adit_checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t transport_length);

/**
 * Fold a sum to 16 bits and return it in the byte order of the wire, so that a store with memcpy is right; not negated.
 * The fold of a right packet, its checksum field included, is 0xffff.
 */
uint16_t adit_checksum_fold(uint64_t sum);

/**
 * The value that belongs into the checksum field of a packet with ADIT_CHECKSUM_PARTIAL notes, in the byte order of the
 * wire; never zero, which means "none" to UDP. The bytes at the field itself must hold the sum over the pseudo-header,
 * as the notes say, and the notes must fit the packet.
 */
uint16_t adit_checksum_finish(const struct adit_packet *packet);

#endif
