/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The header that SOCKS5 puts in front of each datagram (RFC 1928, section 7), as bytes. No I/O.
 */
#ifndef ADIT_RELAY_SOCKS5_DATAGRAM_H
#define ADIT_RELAY_SOCKS5_DATAGRAM_H

#include <adit/address.h>

/** Room for the longest header: reserved, fragment, type, a name with its length, port. */
#define ADIT_SOCKS5_HEADER (3 + 1 + 1 + 255 + 2)

/** A datagram from a relay, taken apart. */
struct adit_socks5_datagram {
  adit_endpoint from;  /**< who sent it, an IPv4-mapped address as IPv4; with a name only the port, and version 0 */
  const uint8_t *name; /**< instead of an address, borrowed from the bytes, without a zero at its end; or NULL */
  uint8_t name_length; /**< bytes of it */
  uint8_t fragment;    /**< 0: a whole datagram; anything else: a piece of one */
  size_t header;       /**< bytes in front of the payload */
};

/**
 * Write the header for a datagram to `name` (at most 255 bytes) at the target's port, or to the target when that is
 * NULL. Returns its length.
 */
size_t adit_socks5_wrap(adit_endpoint target, const char *name, uint8_t *out);

/** Read the header. Returns 0, or -EBADMSG when it is none. */
int adit_socks5_unwrap(const uint8_t *bytes, size_t length, struct adit_socks5_datagram *datagram);

#endif
