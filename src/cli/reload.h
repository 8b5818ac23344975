/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * SIGHUP: the file of --config once more, for a relay that runs.
 */
#ifndef ADIT_CLI_RELOAD_H
#define ADIT_CLI_RELOAD_H

#include "cli/relaying.h"
#include "runtime/runtime.h"

/** What a reload needs. Set the first five members, zero the last; all is borrowed until adit_cli_reload_free. */
struct adit_cli_reload {
  const struct adit_cli_options *options; /**< that count now */
  struct adit_cli_relaying *relaying;     /**< what is done now */
  struct adit_runtime *runtime;
  const adit_ip *excepts; /**< for adit_cli_relaying_names */
  size_t except_count;
  struct adit_cli_options *own; /**< `options` once there was a reload; private */
};

/**
 * Read the file again, with the same command line on top of it, and have the relay do what it says; without --config
 * look up the upstream's name again. Blocks meanwhile. What changed is said; what is wrong, or cannot change while adit
 * runs, is said too, and then nothing has changed.
 * Returns NULL, or in short why nothing was done; static.
 */
const char *adit_cli_reload(struct adit_cli_reload *reload);

/** Forget what it keeps. */
void adit_cli_reload_free(struct adit_cli_reload *reload);

#endif
