/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The list of connections of all workers.
 */
#ifndef ADIT_RELAY_FLOWS_H
#define ADIT_RELAY_FLOWS_H

#include <adit/tunnel.h>

struct adit_runtime;

/** A copy of what there was. */
struct adit_relay_flows {
  struct adit_tunnel_flow *row; /**< owned, as their names; worker by worker */
  size_t count;                 /**< rows that are filled */
};

/**
 * Have each worker of a runtime write down its connections, in its own thread: those of the relay when `relays` says that
 * this is the application, otherwise those of its stack, of which the bytes are those that the client has sent and
 * acknowledged. Blocks until all have. From any thread but a worker's, after a start that succeeded.
 * Returns 0 and `*flows`, which needs adit_relay_flows_free; or -ESHUTDOWN when the runtime has ended, -ENOMEM, -EDEADLK,
 * and then there is nothing to free.
 */
int adit_relay_flows_new(struct adit_runtime *runtime, bool relays, struct adit_relay_flows *flows);

void adit_relay_flows_free(struct adit_relay_flows *flows);

#endif
