/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The screen of `adit top`, with ncurses.
 */
#ifndef ADIT_CLI_TOP_SCREEN_H
#define ADIT_CLI_TOP_SCREEN_H

#include "cli/top_table.h"

/** What is to be seen. */
struct adit_top_view {
  const cJSON *stat;   /**< answer to "stat" */
  const cJSON *before; /**< the one of `seconds` earlier, or NULL */
  double seconds;
  const struct adit_top_table *table; /**< sorted */
  enum adit_top_order order;
  size_t first; /**< row that is the first to be seen */
};

/** What somebody wants. */
enum adit_top_key {
  ADIT_TOP_NOTHING,
  ADIT_TOP_END,
  ADIT_TOP_REDRAW, /**< the screen has another size */
  ADIT_TOP_RATE,
  ADIT_TOP_BYTES,
  ADIT_TOP_AGE,
  ADIT_TOP_UP,
  ADIT_TOP_DOWN,
  ADIT_TOP_PAGE_UP,
  ADIT_TOP_PAGE_DOWN,
  ADIT_TOP_HOME
};

/** Take the terminal. Returns 0, or -ENOTTY when standard input or output is none, -EINVAL when TERM says nothing known. */
int adit_top_screen_open(void);

/** Give it back as it was. */
void adit_top_screen_close(void);

void adit_top_screen_draw(const struct adit_top_view *view);

/** The next key that was pressed, without waiting. */
enum adit_top_key adit_top_screen_key(void);

/** How many rows of connections fit. */
size_t adit_top_screen_rows(void);

#endif
