/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What commands say on standard error: "adit COMMAND: text".
 */
#include "cli/say.h"

#include <stdarg.h>

/* One write of the whole line, so that lines of several processes on one terminal do not mix. */
static void say(const struct adit_cli_options *options, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void say(const struct adit_cli_options *options, const char *format, va_list arguments) {
  char text[2 * ADIT_CLI_MESSAGE];
  vsnprintf(text, sizeof text, format, arguments);
  fprintf(stderr, "adit %s: %s\n", options->command->name, text);
}

enum adit_cli_status adit_cli_fail(const struct adit_cli_options *options, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(options, format, arguments);
  va_end(arguments);
  return ADIT_CLI_FAILED;
}

void adit_cli_note(const struct adit_cli_options *options, const char *format, ...) {
  if (options->verbosity < 0) return;
  va_list arguments;
  va_start(arguments, format);
  say(options, format, arguments);
  va_end(arguments);
}

void adit_cli_detail(const struct adit_cli_options *options, const char *format, ...) {
  if (options->verbosity <= 0) return;
  va_list arguments;
  va_start(arguments, format);
  say(options, format, arguments);
  va_end(arguments);
}
