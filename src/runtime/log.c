/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the library has to say to people.
 *
 * A message is made only when somebody listens at its level, on the stack of the thread that says it: nothing is
 * allocated, nothing is locked, errno survives. Events that the outside can cause at will (a write that fails, say) go
 * through adit_log_limited, whose memory belongs to one worker, so that limits need no lock either.
 */
#include "runtime/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static bool listened_to(const struct adit_log *log, enum adit_log_level level) {
  return log && log->write && level <= log->level;
}

static void say(const struct adit_log *log, enum adit_log_level level, uint64_t flow, uint64_t left_out,
                const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));

static void say(const struct adit_log *log, enum adit_log_level level, uint64_t flow, uint64_t left_out,
                const char *format, va_list arguments) {
  int saved = errno;
  char text[ADIT_LOG_TEXT];
  int length = vsnprintf(text, sizeof text, format, arguments);
  if (length < 0) text[length = 0] = '\0';
  if (left_out > 0 && (size_t)length < sizeof text)
    snprintf(text + length, sizeof text - (size_t)length, " (%" PRIu64 " more like this)", left_out);
  log->write(log->user, level, flow, text);
  errno = saved;
}

void adit_log_write(const struct adit_log *log, enum adit_log_level level, uint64_t flow, const char *format, ...) {
  if (!listened_to(log, level)) return;
  va_list arguments;
  va_start(arguments, format);
  say(log, level, flow, 0, format, arguments);
  va_end(arguments);
}

void adit_log_limited(const struct adit_log *log, struct adit_log_limit *limit, uint64_t now_ns,
                      enum adit_log_level level, uint64_t flow, const char *format, ...) {
  if (!listened_to(log, level)) return;
  if (limit->said == 0 || now_ns - limit->since_ns >= ADIT_LOG_PERIOD_NS) {
    limit->since_ns = now_ns;
    limit->said = 0;
  }
  if (limit->said >= ADIT_LOG_BURST) {
    limit->suppressed++;
    return;
  }
  uint64_t left_out = limit->suppressed;
  limit->said++;
  limit->suppressed = 0;
  va_list arguments;
  va_start(arguments, format);
  say(log, level, flow, left_out, format, arguments);
  va_end(arguments);
}
