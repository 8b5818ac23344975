/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * In the place of `adit top` in a build without ncurses, or without control socket.
 */
#include "cli/commands.h"
#include "cli/say.h"

enum adit_cli_status adit_cli_top(const struct adit_cli_options *options) {
  return adit_cli_fail(options, "this adit was built without ncurses or without control socket; 'adit stat --watch 1' "
                                "shows the same numbers");
}
