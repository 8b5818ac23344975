/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Whom the command of `adit run` asks for names.
 */
#ifndef ADIT_CLI_RUN_NAMES_H
#define ADIT_CLI_RUN_NAMES_H

#include "cli/commands.h"
#include "relay/relay.h"

/** Room for a resolv.conf. */
#define ADIT_RUN_NAMES_TEXT 2048

/**
 * Choose what --dns leaves open: an upstream that resolves names gets them (fake); a direct one asks the first name
 * server of this machine (forward); without one, names stay as they are (off). Sets `dns` and `dns_server` of `relay`
 * and writes the resolv.conf for a device with these addresses to `text`; an empty one when it is to stay as outside.
 */
void adit_run_names(const struct adit_cli_options *options, const struct adit_cli_cidrs *address,
                    struct adit_relay_options *relay, char text[ADIT_RUN_NAMES_TEXT]);

/**
 * Read the text of a resolv.conf (resolv.conf(5)): the first name server that is an address without zone, and the lines
 * "search", "domain" and "options" as they stand, in `rest` (at least `size` bytes), as many as fit. Returns whether
 * there was a server.
 */
bool adit_run_names_read(const char *text, adit_ip *server, char *rest, size_t size);

#endif
