/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit stat`: ask a running adit for its counters, once or again and again.
 *
 * Signals do what they do by default: there is nothing to put in order at the end.
 */
#include "cli/stat_text.h"

#include "cli/control_client.h"
#include "cli/say.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_reply(const struct adit_cli_options *options, const struct adit_control_reply *reply,
                        const struct adit_control_reply *before, double seconds) {
  if (options->json) {
    puts(reply->text);
    return;
  }
  if (options->watch > 0 && isatty(STDOUT_FILENO))
    fputs("\033[H\033[J", stdout); /* to the top, and clear from there (ECMA-48 CUP, ED) */
  else if (before->value != NULL)
    putchar('\n');
  adit_stat_print(reply->value, before->value, seconds, stdout);
}

enum adit_cli_status adit_cli_stat(const struct adit_cli_options *options) {
  char path[ADIT_CONTROL_PATH], reason[ADIT_CONTROL_REASON];
  struct adit_control_reply reply, before = {0};
  double asked = 0;
  enum adit_cli_status status = adit_control_find(options, path);
  if (status != ADIT_CLI_DONE) return status;
  do {
    if (before.value != NULL) {
      const struct timespec pause = {.tv_sec = (time_t)options->watch};
      nanosleep(&pause, NULL);
    }
    double now = seconds_now();
    if (adit_control_ask(path, "{\"request\":\"stat\"}", &reply, reason) != 0) {
      status = adit_cli_fail(options, "%s", reason);
      break;
    }
    print_reply(options, &reply, &before, now - asked);
    asked = now;
    adit_control_reply_free(&before);
    before = reply;
    if (fflush(stdout) != 0 || ferror(stdout))
      status = adit_cli_fail(options, "cannot write to standard output: %s", strerror(errno));
  } while (options->watch > 0 && status == ADIT_CLI_DONE);
  adit_control_reply_free(&before);
  return status;
}
