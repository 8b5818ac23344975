/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The connections that `adit top` shows: rates from one answer to the next, and their order.
 */
#ifndef ADIT_CLI_TOP_TABLE_H
#define ADIT_CLI_TOP_TABLE_H

#include <adit/address.h>
#include <cjson/cJSON.h>

/** Room for what a connection goes to: a name and a port, cut where it is longer. */
#define ADIT_TOP_TARGET 128

/** What comes first. */
enum adit_top_order {
  ADIT_TOP_BY_RATE,  /**< bytes a second, both directions */
  ADIT_TOP_BY_BYTES, /**< bytes so far */
  ADIT_TOP_BY_AGE,   /**< the oldest */
  ADIT_TOP_ORDERS
};

/** One connection. */
struct adit_top_row {
  double worker;
  double id; /**< unique within its worker */
  char client[ADIT_ADDRESS_TEXT];
  char target[ADIT_TOP_TARGET]; /**< the name where it is known, otherwise the address */
  bool connected;
  double up, down;           /**< bytes so far */
  double rate_up, rate_down; /**< bytes a second since the last answer, or since the connection began */
  double age_ms;
};

/** The last answer. Zero it. */
struct adit_top_table {
  struct adit_top_row *row; /**< owned */
  size_t count;
  double total;    /**< connections that there are; more than `count` when not all were told */
  double taken_ms; /**< when */
  double process;  /**< of whom */
};

/**
 * Take an answer to "flows" of process `process` at `now_ms` (monotonic), in the place of the one before. Returns 0, or
 * -ENOMEM, then nothing has changed.
 */
int adit_top_table_take(struct adit_top_table *table, const cJSON *answer, double process, double now_ms);

/** Put the rows into an order; of equals the older one is first. */
void adit_top_table_sort(struct adit_top_table *table, enum adit_top_order order);

void adit_top_table_free(struct adit_top_table *table);

#endif
