/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One direction of a bad line.
 *
 * Chance: the n-th packet of a line has random numbers of its own, a hash of seed, n and what they are for. So what
 * happens to it depends neither on the time nor on what happened to others, a run can be repeated, and raising the
 * chance of one fault hits the same packets as before and some more.
 *
 * Order: packets wait in a list by the time at which they are due. A delay alone never changes their order, however
 * different the delays are: one is due no earlier than the one before it. Only a reordered packet is left out of that; it
 * counts the packets that come after it, and when the last one that is to overtake it has come, it is due together with
 * that one. When they do not come it is due after PATIENCE_NS, so the end of a conversation is not held up for ever.
 * Because every later packet counts, few are ever held at a time, and the walk to them from the list's end is short.
 *
 * Order of faults on one packet: drop excludes all others; corrupt and truncate may both hit; a repeated packet is
 * damaged the same way twice.
 */
#include "device/fault_line.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS UINT64_C(10000000)
enum { OVERTAKERS_MOST = 3 };

/* What the random numbers of a packet are for: one for each kind of fault, and these. */
enum { DRAW_DELAY = ADIT_FAULT_KINDS, DRAW_OVERTAKERS, DRAW_PLACE, DRAWS };

/* A hash of 64 bits in which every bit counts (the mixing step of splitmix64). */
static uint64_t mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static uint64_t draw(const struct adit_fault_line *line, uint64_t number, unsigned what) {
  return mix(mix(line->seed) ^ (number * DRAWS + what));
}

static bool happens(struct adit_fault_line *line, uint64_t number, enum adit_fault_kind kind) {
  if (draw(line, number, kind) % ADIT_FAULT_ALWAYS >= line->rates.chance[kind]) return false;
  line->counts.hit[kind]++;
  return true;
}

void adit_fault_line_init(struct adit_fault_line *line, const struct adit_fault_rates *rates, uint64_t seed) {
  *line = (struct adit_fault_line){.rates = *rates, .seed = seed};
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static void take_out(struct adit_fault_line *line, struct adit_fault_packet *packet) {
  *(packet->previous ? &packet->previous->next : &line->first) = packet->next;
  *(packet->next ? &packet->next->previous : &line->last) = packet->previous;
}

/* Behind all that are due earlier or at the same time. */
static void put_in(struct adit_fault_line *line, struct adit_fault_packet *packet) {
  struct adit_fault_packet *before = line->last;
  while (before && before->due_ns > packet->due_ns) before = before->previous;
  packet->previous = before;
  packet->next = before ? before->next : line->first;
  *(packet->previous ? &packet->previous->next : &line->first) = packet;
  *(packet->next ? &packet->next->previous : &line->last) = packet;
}

/* A packet that is due at `due_ns` was put in or goes on: those that are held count it. */
static void overtake(struct adit_fault_line *line, uint64_t due_ns) {
  struct adit_fault_packet *next;
  unsigned left = line->held;
  for (struct adit_fault_packet *packet = line->first; packet && left > 0; packet = next) {
    next = packet->next;
    if (packet->overtakers == 0) continue;
    left--;
    if (--packet->overtakers > 0) continue;
    line->held--;
    take_out(line, packet);
    if (packet->due_ns > due_ns) packet->due_ns = due_ns;
    put_in(line, packet);
  }
}

void adit_fault_line_pop(struct adit_fault_line *line) {
  struct adit_fault_packet *packet = line->first;
  take_out(line, packet);
  if (packet->overtakers > 0) line->held--;
  line->bytes -= packet->length;
  free(packet);
}

void adit_fault_line_clear(struct adit_fault_line *line) {
  while (line->first) adit_fault_line_pop(line);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

bool adit_fault_line_admit(struct adit_fault_line *line, uint64_t now_ns, struct adit_fault_fate *fate) {
  const struct adit_fault_rates *rates = &line->rates;
  uint64_t number = line->counts.packets++;
  *fate = (struct adit_fault_fate){.copies = 1};
  if (happens(line, number, ADIT_FAULT_DROP)) {
    fate->copies = 0;
    return false;
  }
  if (happens(line, number, ADIT_FAULT_REPEAT)) fate->copies = 2;
  fate->corrupt = happens(line, number, ADIT_FAULT_CORRUPT);
  fate->truncate = happens(line, number, ADIT_FAULT_TRUNCATE);
  if (fate->corrupt || fate->truncate) fate->place = draw(line, number, DRAW_PLACE);

  uint64_t span_ns = rates->delay_most_ns - rates->delay_least_ns;
  fate->due_ns = now_ns + rates->delay_least_ns;
  if (span_ns > 0) fate->due_ns += draw(line, number, DRAW_DELAY) % (span_ns + 1);
  if (fate->due_ns < line->last_ns) fate->due_ns = line->last_ns;
  if (happens(line, number, ADIT_FAULT_REORDER)) {
    fate->overtakers = (uint8_t)(1 + draw(line, number, DRAW_OVERTAKERS) % OVERTAKERS_MOST);
    fate->due_ns += PATIENCE_NS;
    return false;
  }
  line->last_ns = fate->due_ns;
  bool as_it_is = fate->copies == 1 && !fate->corrupt && !fate->truncate && fate->due_ns <= now_ns;
  if (as_it_is) overtake(line, now_ns);
  return as_it_is;
}

static void damage(const struct adit_fault_fate *fate, struct adit_fault_packet *packet) {
  if (fate->truncate && packet->length > 1) packet->length = 1 + (size_t)((fate->place >> 32) % (packet->length - 1));
  if (fate->corrupt) {
    uint64_t bit = (fate->place & UINT32_MAX) % (packet->length * 8);
    packet->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  packet->damaged = fate->corrupt || fate->truncate;
}

void adit_fault_line_keep(struct adit_fault_line *line, const struct adit_fault_fate *fate, const struct iovec *iov,
                          unsigned iovcnt) {
  size_t length = 0;
  for (unsigned i = 0; i < iovcnt; i++) length += iov[i].iov_len;
  for (unsigned copy = 0; copy < fate->copies; copy++) {
    struct adit_fault_packet *packet = NULL;
    if (line->bytes + length <= ADIT_FAULT_LINE_BYTES) packet = malloc(sizeof *packet + length);
    if (!packet) {
      line->counts.lost++;
      continue;
    }
    *packet = (struct adit_fault_packet){.due_ns = fate->due_ns, .overtakers = fate->overtakers};
    for (unsigned i = 0; i < iovcnt; i++) {
      if (iov[i].iov_len == 0) continue;
      memcpy(packet->bytes + packet->length, iov[i].iov_base, iov[i].iov_len);
      packet->length += iov[i].iov_len;
    }
    if (length > 0) damage(fate, packet);
    line->bytes += packet->length;
    if (packet->overtakers > 0) line->held++;
    put_in(line, packet);
  }
  if (fate->overtakers == 0) overtake(line, fate->due_ns);
}

const struct adit_fault_packet *adit_fault_line_due(const struct adit_fault_line *line, uint64_t now_ns) {
  return line->first && line->first->due_ns <= now_ns ? line->first : NULL;
}

uint64_t adit_fault_line_deadline(const struct adit_fault_line *line) {
  return line->first ? line->first->due_ns : UINT64_MAX;
}
