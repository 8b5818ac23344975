/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit cleanup`: remove what earlier runs left.
 */
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/say.h"
#include "host/routes.h"

#include <string.h>

static void print_removed(void *user, const char *text) {
  const struct adit_cli_options *options = user;
  if (options->verbosity >= 0) printf("removed: %s\n", text);
}

static void print_socket(void *user, const char *path) {
  const struct adit_cli_options *options = user;
  if (options->verbosity >= 0) printf("removed: control socket %s\n", path);
}

enum adit_cli_status adit_cli_cleanup(const struct adit_cli_options *options) {
  char reason[ADIT_ROUTES_REASON];
  union {
    const struct adit_cli_options *in;
    void *out;
  } user = {.in = options}; /* print_removed only reads it */
  int count = adit_routes_cleanup(print_removed, user.out, reason);
  if (count < 0) return adit_cli_fail(options, "%s", reason);
  int sockets = adit_control_cleanup(print_socket, user.out);
  if (sockets < 0) return adit_cli_fail(options, "control sockets cannot be removed: %s", strerror(-sockets));
  count += sockets;
  if (count == 0 && options->verbosity >= 0) puts("there was nothing to remove");
  if (fflush(stdout) != 0) return adit_cli_fail(options, "cannot write to standard output");
  return ADIT_CLI_DONE;
}
