/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Endless byte sequences that repeat, in memory that can be lent to any number of flows at once.
 */
#ifndef ADIT_SERVICE_PATTERN_H
#define ADIT_SERVICE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/** A sequence. Byte i of it is byte i mod `period` of `bytes`. */
struct adit_pattern {
  const uint8_t *bytes; /**< static, never changes */
  size_t period;        /**< bytes after which it repeats */
  size_t size;          /**< bytes at `bytes`: at least 64 KiB beyond one period, so that every piece can be large */
};

/**
 * Lines of 72 characters and CR LF; the first line begins with the first of the 95 printable characters (space), each
 * further one with the next (RFC 864). From any thread.
 */
const struct adit_pattern *adit_pattern_chargen(void);

/**
 * What /bytes/N consists of: byte i is the exclusive or of the low and the high byte of i mod 65521. The period is a
 * prime, so that a piece that is missing or twice there, of whatever round size, changes what follows.
 */
const struct adit_pattern *adit_pattern_bytes(void);

/** Where byte `offset` is; `*length` = how many bytes of the sequence follow there in one piece, 64 KiB at least. */
const uint8_t *adit_pattern_at(const struct adit_pattern *pattern, uint64_t offset, size_t *length);

#endif
