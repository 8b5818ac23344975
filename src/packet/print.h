/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets as text: one readable line, a hex dump, decimal numbers.
 *
 * All three write to a buffer of the caller's, end it with a zero, cut what does not fit, and return the buffer. They
 * allocate nothing and read only the bytes they are given, whatever these hold.
 */
#ifndef ADIT_PACKET_PRINT_H
#define ADIT_PACKET_PRINT_H

#include <adit/packet.h>

/** Room for any line of adit_print_line, terminating zero included. */
#define ADIT_PRINT_LINE 512

/** Room for adit_print_hex of `length` bytes: a line of at most 74 characters for every 16 bytes, and the zero. */
#define ADIT_PRINT_HEX(length) (((size_t)(length) + 15) / 16 * 74 + 1)

/** Room for adit_print_decimal of `length` bytes: at most four characters for each. */
#define ADIT_PRINT_DECIMAL(length) (4 * (size_t)(length) + 1)

/**
 * One line, without newline: time, addresses with ports, protocol and what it says, offload notes, number of bytes.
 *
 *     12:34:56.000001 192.168.3.11:40000 > 192.168.3.12:7 TCP [S], seq 1, win 100, options [mss 1460], len 0, 44 bytes
 *     12:34:56.000001 192.168.3.11 > 192.168.3.12 ICMP echo request, id 7, seq 1, len 64, 84 bytes
 *     12:34:56.000001 malformed: truncated, 12 bytes
 *
 * TCP flags, option names and ranges of sequence numbers are those of tcpdump; `len` is the payload of TCP and UDP, the
 * whole message for ICMP, and the bytes behind the headers for everything else.
 *
 * `stamp_ns` is nanoseconds since the epoch and is shown as local time (the TZ of the process). With `ethernet` the
 * bytes begin with an Ethernet header. `offload` may be NULL: nothing is known; otherwise a checksum that is neither
 * partial nor verified is checked, and a wrong one is said. `size` is at least 1; ADIT_PRINT_LINE is always enough.
 */
char *adit_print_line(char *text, size_t size, uint64_t stamp_ns, bool ethernet, const uint8_t *data, size_t length,
                      const struct adit_offload *offload);

/**
 * The bytes in lines of 16, each ended by a newline: offset, pairs of bytes in hex, and the printable ASCII characters.
 *
 *     0x0000:  4500 0054 0000 4000 4001 b341 c0a8 030b  E..T..@.@..E....
 */
char *adit_print_hex(char *text, size_t size, const uint8_t *data, size_t length);

/** The bytes as decimal numbers with single spaces between them, without newline: "69 0 0 84". */
char *adit_print_decimal(char *text, size_t size, const uint8_t *data, size_t length);

#endif
