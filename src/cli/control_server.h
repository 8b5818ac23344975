/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The clients of a control socket: who is let in, what they ask, how long they may take.
 */
#ifndef ADIT_CLI_CONTROL_SERVER_H
#define ADIT_CLI_CONTROL_SERVER_H

#include "cli/control_request.h"

#include <stdbool.h>
#include <stdint.h>

struct adit_control_server;

/** Most clients at a time; one more is told so and let go. */
#define ADIT_CONTROL_CLIENTS 16

/** A client that brings no whole request, or takes nothing of its answer, for so long is let go. */
#define ADIT_CONTROL_PATIENCE_MS 10000

/**
 * Answers one request: a line without newline, owned by the server from then on (free), or NULL without memory. `*stop` is
 * set when the command is to end; the client gets its answer first.
 */
typedef char *adit_control_answerer(void *user, const struct adit_control_request *request, bool *stop);

/**
 * Serve the clients of a listening, non-blocking socket, which is borrowed. All functions are for one thread.
 * Returns 0 and `*server`, owned by the caller, or -ENOMEM, -EMFILE.
 */
int adit_control_server_new(int listener, adit_control_answerer *answer, void *user,
                            struct adit_control_server **server);

/** An fd that becomes readable when there is something to do. Borrowed. */
int adit_control_server_fd(const struct adit_control_server *server);

/** In how many milliseconds adit_control_server_turn is to be called although the fd is not readable; -1 = never. */
int adit_control_server_timeout(const struct adit_control_server *server, uint64_t now_ms);

/**
 * Do what there is to do, without ever waiting: a step for each client, then let those go that took too long. `now_ms` is
 * monotonic. Returns whether somebody asked for the end.
 */
bool adit_control_server_turn(struct adit_control_server *server, uint64_t now_ms);

/** Let all clients go and free it. NULL is allowed. */
void adit_control_server_free(struct adit_control_server *server);

#endif
