/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One direction of a bad line: packets go in, and come out late, twice, damaged, in another order, or not at all.
 */
#ifndef ADIT_DEVICE_FAULT_LINE_H
#define ADIT_DEVICE_FAULT_LINE_H

#include "device/fault_plan.h"

#include <stddef.h>
#include <sys/uio.h>

/** Most bytes that wait on a line; packets beyond are lost, as in the queue of a router. */
#define ADIT_FAULT_LINE_BYTES ((size_t)32 << 20)

/** What happened on a line. */
struct adit_fault_counts {
  uint64_t packets;               /**< that went in */
  uint64_t hit[ADIT_FAULT_KINDS]; /**< packets to which that happened */
  uint64_t lost;                  /**< for which there was no room or memory, or that the device did not take late */
};

/** A packet that waits. */
struct adit_fault_packet {
  struct adit_fault_packet *next; /**< due later, or at the same time and put in later */
  struct adit_fault_packet *previous;
  uint64_t due_ns;
  uint8_t overtakers; /**< later packets that will go before it; 0 = none, `due_ns` alone counts */
  bool damaged;       /**< corrupt or truncated: nobody has to take it */
  size_t length;
  uint8_t bytes[];
};

/** A line. adit_fault_line_init, adit_fault_line_clear. */
struct adit_fault_line {
  struct adit_fault_rates rates;
  uint64_t seed;
  struct adit_fault_packet *first; /**< owned; by time */
  struct adit_fault_packet *last;
  size_t bytes;     /**< that wait */
  unsigned held;    /**< of those that wait: with overtakers */
  uint64_t last_ns; /**< when the latest packet in order is due; no later one goes before it */
  struct adit_fault_counts counts;
};

/** What was decided for one packet. */
struct adit_fault_fate {
  uint64_t due_ns;
  uint64_t place;     /**< for corrupt and truncate: a random number */
  uint8_t copies;     /**< 0 = dropped, 2 = repeated */
  uint8_t overtakers; /**< reordered */
  bool corrupt;
  bool truncate;
};

/** Make a line on which nothing waits. Which packets are hit depends on `seed` and on their number alone. */
void adit_fault_line_init(struct adit_fault_line *line, const struct adit_fault_rates *rates, uint64_t seed);

/** Forget what waits. */
void adit_fault_line_clear(struct adit_fault_line *line);

/**
 * Decide what happens to the next packet. Returns whether it goes on at once and as it is: then the caller passes it on,
 * and what it overtook is due. Otherwise the caller gives it to adit_fault_line_keep, unless `fate->copies` is 0.
 */
bool adit_fault_line_admit(struct adit_fault_line *line, uint64_t now_ns, struct adit_fault_fate *fate);

/** Keep a packet, copied, for what `fate` says. */
void adit_fault_line_keep(struct adit_fault_line *line, const struct adit_fault_fate *fate, const struct iovec *iov,
                          unsigned iovcnt);

/** The first packet that waits if it is due, or NULL. Owned by the line until adit_fault_line_pop. */
const struct adit_fault_packet *adit_fault_line_due(const struct adit_fault_line *line, uint64_t now_ns);

/** Forget the first packet that waits. */
void adit_fault_line_pop(struct adit_fault_line *line);

/** When the first packet that waits is due; UINT64_MAX when none waits. */
uint64_t adit_fault_line_deadline(const struct adit_fault_line *line);

#endif
