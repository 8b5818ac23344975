/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the library has to say to people: one callback, with a level and a flow, and a bound on repetitions.
 */
#ifndef ADIT_RUNTIME_LOG_H
#define ADIT_RUNTIME_LOG_H

#include <stdint.h>

/** How much it matters, most first. */
enum adit_log_level {
  ADIT_LOG_ERROR,   /**< something ended because of it */
  ADIT_LOG_WARNING, /**< something was lost; work goes on */
  ADIT_LOG_NOTICE,  /**< worth knowing once */
  ADIT_LOG_DEBUG,   /**< for whoever looks for a fault */
  ADIT_LOG_LEVELS
};

/** Where messages go. All zero = nowhere, which is the library's default. */
struct adit_log {
  /**
   * One message without newline, borrowed until the return. Runs in the thread that has something to say, so several
   * calls may run at once. `flow` is the number of the flow it is about (adit_flow_id), or 0.
   */
  void (*write)(void *user, enum adit_log_level level, uint64_t flow, const char *text);
  void *user;                /**< for `write` */
  enum adit_log_level level; /**< messages that matter less are not made */
};

/** Longest message, terminating zero included; what is longer is cut. */
#define ADIT_LOG_TEXT 512

/** Say it. `log` may be NULL. errno is left as it was. */
void adit_log_write(const struct adit_log *log, enum adit_log_level level, uint64_t flow, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** What is remembered of one kind of event, so that it is not repeated without end. Zero it. One thread's own. */
struct adit_log_limit {
  uint64_t since_ns;   /**< when the current period began; 0 = never */
  uint32_t said;       /**< messages in this period */
  uint64_t suppressed; /**< events that were kept quiet since the last message */
};

/** A kind of event is said this often ... */
#define ADIT_LOG_BURST 3
/** ... in a period of this many nanoseconds; the first message of the next period tells how many were left out. */
#define ADIT_LOG_PERIOD_NS UINT64_C(10000000000)

/** Say it, unless this kind of event was said too often lately. `now_ns` is monotonic. */
void adit_log_limited(const struct adit_log *log, struct adit_log_limit *limit, uint64_t now_ns,
                      enum adit_log_level level, uint64_t flow, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

#endif
