/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options of the command line to options of the relay, for the commands that relay.
 */
#ifndef ADIT_CLI_RELAYING_H
#define ADIT_CLI_RELAYING_H

#include "cli/commands.h"
#include "relay/relay.h"
#include "runtime/log.h"

/** What a relay is to do. */
struct adit_cli_relaying {
  struct adit_relay_options relay; /**< for `user` of the runtime's options; owns `fake_names` */
  char *dns_cache;                 /**< of `fake_names`; owned */
};

/**
 * Read what the options say, and find the upstream's address with the system's resolver (which may take long: do it
 * before anything is captured). Strings are borrowed from the options.
 * Returns ADIT_CLI_DONE and `*relaying`, to be freed; or the exit status, with the reason said.
 */
enum adit_cli_status adit_cli_relaying_init(const struct adit_cli_options *options, struct adit_cli_relaying *relaying);

/**
 * The same for a relay that runs and does `before`, whose table of names it takes along. What it makes is either taken
 * with `*before = *relaying`, after adit_upstream_clear of what was there, or thrown away with adit_upstream_clear.
 */
enum adit_cli_status adit_cli_relaying_again(const struct adit_cli_options *options,
                                             const struct adit_cli_relaying *before,
                                             struct adit_cli_relaying *relaying);

/**
 * Make the table of names that --dns fake needs, with the file of --dns-cache; nothing for other modes, or when there is
 * one. The addresses in `excepts` are not given out. Before workers are told. Returns ADIT_CLI_DONE, or the exit status.
 */
enum adit_cli_status adit_cli_relaying_names(const struct adit_cli_options *options, struct adit_cli_relaying *relaying,
                                             const adit_ip *excepts, size_t count);

/** Forget it, password included; the names are written to their file. After the workers have ended. */
void adit_cli_relaying_free(struct adit_cli_relaying *relaying);

/** A log that says what the library says on standard error, as much as --verbose and --quiet want. */
struct adit_log adit_cli_log(const struct adit_cli_options *options);

/** The level of that log. */
enum adit_log_level adit_cli_log_level(const struct adit_cli_options *options);

#endif
