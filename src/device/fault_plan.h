/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is to go wrong on a line: how often, for each direction, and the text form of it.
 */
#ifndef ADIT_DEVICE_FAULT_PLAN_H
#define ADIT_DEVICE_FAULT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/** The directions of a device. */
enum adit_fault_side {
  ADIT_FAULT_IN,  /**< what is read from it */
  ADIT_FAULT_OUT, /**< what is written to it */
  ADIT_FAULT_SIDES
};

/** What may happen to a packet, each by its own chance. */
enum adit_fault_kind {
  ADIT_FAULT_DROP,     /**< it is lost */
  ADIT_FAULT_REORDER,  /**< one to three later packets overtake it, or it is 10 ms late when fewer come */
  ADIT_FAULT_REPEAT,   /**< it comes twice */
  ADIT_FAULT_CORRUPT,  /**< one of its bits is turned over */
  ADIT_FAULT_TRUNCATE, /**< it loses its end, at least one byte, and keeps at least one */
  ADIT_FAULT_KINDS
};

/** Chances are counted in millionths. */
#define ADIT_FAULT_ALWAYS 1000000u

/** The longest delay. */
#define ADIT_FAULT_DELAY_MOST_NS (UINT64_C(60) * 1000000000)

/** What happens in one direction. All zero: nothing. */
struct adit_fault_rates {
  uint32_t chance[ADIT_FAULT_KINDS]; /**< 0 .. ADIT_FAULT_ALWAYS */
  uint64_t delay_least_ns;           /**< each packet is late by something between these two, in order */
  uint64_t delay_most_ns;            /**< at most ADIT_FAULT_DELAY_MOST_NS */
};

/** What happens on a device. */
struct adit_fault_plan {
  struct adit_fault_rates side[ADIT_FAULT_SIDES];
  uint64_t seed; /**< all choices follow from it */
};

/** Room for a reason. */
#define ADIT_FAULT_REASON 256

/** Name of a kind as it stands in a text, such as "drop". Static. */
const char *adit_fault_name(enum adit_fault_kind kind);

/**
 * Read a text such as "drop=1%,delay=20ms..80ms,reorder=5%,seed=7,in:drop=2%": items NAME=VALUE, separated by commas.
 * "in:" or "out:" before a name means that direction alone; of two items about one thing, the later one counts. A chance
 * is a number with "%", a delay a number with "us", "ms" or "s", or two of them with ".." between.
 * Returns 0 and `*plan`; or -EINVAL with what is wrong and what to write in `reason` (ADIT_FAULT_REASON bytes), and
 * `*plan` as it was.
 */
int adit_fault_plan_parse(const char *text, struct adit_fault_plan *plan, char *reason);

#endif
