/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a worker does for a relay, for tests that turn the loop by hand.
 */
#ifndef ADIT_TESTS_SUPPORT_TURN_H
#define ADIT_TESTS_SUPPORT_TURN_H

#include "relay/state.h"

/** What was said. Zero it, set `level`. */
struct support_said {
  enum adit_log_level level; /**< messages that matter less are not counted */
  unsigned count;
  char last[ADIT_LOG_TEXT]; /**< the last that counted */
};

/** A log that writes to `said`, which is borrowed as long as the log is. Messages of all levels are made. */
struct adit_log support_said_log(struct support_said *said);

/** Wait for events until `due_ns` at most, and hand them to whom they are for. */
void support_turn_events(struct adit_loop *loop, uint64_t due_ns);

#endif
