/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Endless byte sequences that repeat.
 *
 * Each is written out once, when first needed, into memory that is never changed or freed after that: adit_flow_lend
 * wants memory that outlives the stack, and all stacks of all threads may lend from it. Lending works in pieces of what
 * is there from an offset in the first period to the end, so the memory is that much longer than a period.
 */
#include "service/pattern.h"

#include <pthread.h>

enum {
  PIECE = 64 * 1024,

  PRINTABLE = 95, /* characters 32 to 126 */
  LINE = 72,
  CHARGEN_PERIOD = PRINTABLE * (LINE + 2),
  CHARGEN_SIZE = CHARGEN_PERIOD + 2 * PIECE,

  BYTES_PERIOD = 65521, /* the largest prime below 65536 */
  BYTES_SIZE = BYTES_PERIOD + PIECE
};

static uint8_t chargen_bytes[CHARGEN_SIZE];
static uint8_t bytes_bytes[BYTES_SIZE];

static const struct adit_pattern chargen = {chargen_bytes, CHARGEN_PERIOD, sizeof chargen_bytes};
static const struct adit_pattern bytes = {bytes_bytes, BYTES_PERIOD, sizeof bytes_bytes};

static void write_out(void) {
  for (unsigned i = 0; i < CHARGEN_SIZE; i++) {
    unsigned line = i / (LINE + 2) % PRINTABLE;
    unsigned column = i % (LINE + 2);
    chargen_bytes[i] = (uint8_t)(column < LINE ? ' ' + (line + column) % PRINTABLE : column == LINE ? '\r' : '\n');
  }
  for (unsigned i = 0; i < BYTES_SIZE; i++) {
    unsigned rest = i % BYTES_PERIOD;
    bytes_bytes[i] = (uint8_t)(rest ^ rest >> 8);
  }
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const struct adit_pattern *adit_pattern_chargen(void) {
  pthread_once(&once, write_out);
  return &chargen;
}

const struct adit_pattern *adit_pattern_bytes(void) {
  pthread_once(&once, write_out);
  return &bytes;
}

const uint8_t *adit_pattern_at(const struct adit_pattern *pattern, uint64_t offset, size_t *length) {
  size_t rest = (size_t)(offset % pattern->period);
  *length = pattern->size - rest;
  return pattern->bytes + rest;
}
