/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The commands of the program: what each is called, takes and does.
 */
#ifndef ADIT_CLI_COMMANDS_H
#define ADIT_CLI_COMMANDS_H

#include "cli/options.h"

/** Exit statuses of the program. */
enum adit_cli_status { ADIT_CLI_DONE = 0, ADIT_CLI_FAILED = 1, ADIT_CLI_USAGE = 2 };

/** One command. */
struct adit_cli_command {
  const char *name;
  const char *purpose;      /**< one line */
  const char *details;      /**< the help text says this after the usage line; lines separated by newlines */
  const char *examples;     /**< lines of the help text, or NULL */
  uint64_t options;         /**< set of ADIT_CLI_BIT */
  uint64_t mtu_min;         /**< smallest --mtu */
  const char *operand;      /**< name of the operand, NULL when it takes none */
  const char *operand_hint; /**< what to do when it is missing */
  bool operand_rest;        /**< the operand is a command with options of its own: all behind it belongs to it */
  /** Do it. The options are borrowed and have been checked. Returns the exit status, everything said. */
  enum adit_cli_status (*run)(const struct adit_cli_options *options);
};

/** The table, in the order of the help text; it ends with a row without name. */
extern const struct adit_cli_command adit_cli_commands[];

enum adit_cli_status adit_cli_serve(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_dump(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_reflect(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_replay(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_proxy(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_run(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_stat(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_top(const struct adit_cli_options *options);
enum adit_cli_status adit_cli_cleanup(const struct adit_cli_options *options);

#endif
