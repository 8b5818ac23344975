/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Asking an adit that runs.
 */
#ifndef ADIT_CLI_CONTROL_CLIENT_H
#define ADIT_CLI_CONTROL_CLIENT_H

#include "cli/commands.h"
#include "cli/control_socket.h"

#include <cjson/cJSON.h>

/** An answer. */
struct adit_control_reply {
  char *text;   /**< as it came, without newline; owned */
  cJSON *value; /**< an object of which "ok" is true; owned */
};

/**
 * Find the socket that --control or --dev mean, or without either the only one that somebody listens on.
 * Returns ADIT_CLI_DONE and `path`; or the exit status, with said why: there is none, or there are several, and which.
 */
enum adit_cli_status adit_control_find(const struct adit_cli_options *options, char path[ADIT_CONTROL_PATH]);

/**
 * Send one request (a line of JSON without newline) and wait some seconds for the answer.
 * Returns 0 and `*reply`, which needs adit_control_reply_free; or a negative errno with a sentence in `reason`
 * (ADIT_CONTROL_REASON bytes): nobody listens, no permission, no answer in time, or what the other side said (-EREMOTEIO).
 */
int adit_control_ask(const char *path, const char *request, struct adit_control_reply *reply, char *reason);

void adit_control_reply_free(struct adit_control_reply *reply);

/** A number of an answer by the names that lead to it, the last one NULL; 0 when it is not there. */
double adit_control_number(const cJSON *value, const char *name, ...) __attribute__((sentinel));

/**
 * A text likewise, "" when it is not there. What is no printable ASCII is replaced by '?', in place: it goes to a terminal,
 * and names come from the network.
 */
const char *adit_control_text(const cJSON *value, const char *name, ...) __attribute__((sentinel));

#endif
