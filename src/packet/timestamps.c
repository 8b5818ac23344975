/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The timestamps option of TCP. Nearly everybody sends it alone and aligned, so that is looked at first.
 */
#include "packet/timestamps.h"

#include <arpa/inet.h>
#include <string.h>

enum { END = 0, NO_OPERATION = 1, TIMESTAMPS = 8, LENGTH = 10 };

static const uint8_t usual[4] = {NO_OPERATION, NO_OPERATION, TIMESTAMPS, LENGTH};

static uint32_t get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return ntohl(value);
}

static void put32(uint8_t *at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, sizeof value);
}

/* Where the option begins, or `length`. */
static size_t walk(const uint8_t *options, size_t length) {
  for (size_t at = 0; at < length && options[at] != END;) {
    if (options[at] == NO_OPERATION) {
      at++;
      continue;
    }
    if (at + 2 > length || options[at + 1] < 2 || options[at + 1] > length - at) return length; /* malformed */
    if (options[at] == TIMESTAMPS) return options[at + 1] == LENGTH ? at : length;
    at += options[at + 1];
  }
  return length;
}

bool adit_timestamps_find(const uint8_t *options, size_t length, struct adit_timestamps *found) {
  bool is_usual = length >= ADIT_TIMESTAMPS && memcmp(options, usual, sizeof usual) == 0;
  size_t at = is_usual ? 2 : walk(options, length);
  if (at == length) return false;
  *found = (struct adit_timestamps){.value = get32(options + at + 2), .echo = get32(options + at + 6)};
  return true;
}

void adit_timestamps_put(uint8_t *options, struct adit_timestamps timestamps) {
  memcpy(options, usual, sizeof usual);
  put32(options + 4, timestamps.value);
  put32(options + 8, timestamps.echo);
}
