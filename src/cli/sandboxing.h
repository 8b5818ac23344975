/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options of the command line to a sandbox.
 */
#ifndef ADIT_CLI_SANDBOXING_H
#define ADIT_CLI_SANDBOXING_H

#include "cli/commands.h"
#include "host/sandbox.h"

/** What a command does from now on, beyond what its options say. */
struct adit_cli_sandboxing {
  unsigned calls;      /**< set of enum adit_sandbox_calls */
  bool puts_back;      /**< a device is to be put back as it was found: adit_cli_puts_back */
  bool relays;         /**< sockets go out: what is needed for them is added */
  bool reads_terminal; /**< looks at /dev/tty */
  const char *socket;  /**< file of a socket on which clients are accepted, removed at the end; NULL = none */
  long child;          /**< process that it signals; 0 = none */
};

/**
 * Give up all that the command does not need from now on, unless --no-sandbox was given. To be called when the device
 * is open and before any thread is made. Returns ADIT_CLI_DONE, or the exit status with the reason said.
 */
enum adit_cli_status adit_cli_sandbox(const struct adit_cli_options *options, const struct adit_cli_sandboxing *what);

/** Where the options hold a password, such as one from a file that was read again: see adit_sandbox_hide_memory. */
void adit_cli_sandbox_secret(const struct adit_cli_options *options);

/** Of `next`, which a reload has read, what the sandbox that `before` led to does not allow: a set of ADIT_CLI_BIT. */
uint64_t adit_cli_sandbox_bars(const struct adit_cli_options *before, const struct adit_cli_options *next);

#endif
