/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The list of connections of all workers.
 *
 * Connections change with every packet, so each worker is asked to write a copy in its own thread; that costs it a walk
 * over its list and one allocation. One worker is asked after the other, so all write to one list. It is complete, or
 * there is none.
 *
 * The relay knows more of a connection than its stack: the name behind an address, and what has gone on to the outside.
 * So its own list is taken where there is one, and otherwise that of the stack.
 */
#include "relay/flows.h"

#include "relay/state.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the worker at hand writes to. */
struct copy {
  struct adit_worker *worker;
  struct adit_relay_flows *flows;
  size_t room; /* rows that were made for it */
  int error;
};

/* All up to the next line runs in the worker's thread. */
static void make_room(struct copy *copy, size_t rows) {
  struct adit_relay_flows *flows = copy->flows;
  if (rows == 0) return;
  struct adit_tunnel_flow *row = realloc(flows->row, (flows->count + rows) * sizeof *row);
  if (!row) {
    copy->error = -ENOMEM;
    return;
  }
  flows->row = row;
  copy->room = rows;
}

static void copy_view(void *user, const struct adit_tcp_view *view) {
  struct copy *copy = user;
  char *name = view->name ? strdup(view->name) : NULL;
  if (view->name && !name) copy->error = -ENOMEM;
  copy->flows->row[copy->flows->count++] = (struct adit_tunnel_flow){
      .id = view->id,
      .worker = adit_worker_index(copy->worker),
      .client = view->client,
      .target = view->target,
      .name = name,
      .connected = view->connected,
      .bytes_up = view->bytes_up,
      .bytes_down = view->bytes_down,
      .age_ms = view->age_ns / 1000000,
  };
}

static void copy_relayed(void *user) {
  struct copy *copy = user;
  const struct adit_relay *relay = adit_worker_state(copy->worker);
  make_room(copy, relay->session_count);
  if (copy->room > 0) adit_tcp_each(relay, copy_view, copy);
}

static void count_flow(void *user, const struct adit_flow *flow) {
  size_t *count = user;
  (void)flow;
  ++*count;
}

static void copy_flow(void *user, const struct adit_flow *flow) {
  struct copy *copy = user;
  copy->flows->row[copy->flows->count++] = (struct adit_tunnel_flow){
      .id = adit_flow_id(flow),
      .worker = adit_worker_index(copy->worker),
      .client = adit_flow_remote(flow),
      .target = adit_flow_local(flow),
      .connected = adit_flow_state(flow) == ADIT_FLOW_ESTABLISHED,
      .bytes_up = adit_flow_carried_up(flow),
      .bytes_down = adit_flow_carried_down(flow),
      .age_ms = (adit_stack_now(adit_worker_stack(copy->worker)) - adit_flow_begun(flow)) / 1000000,
  };
}

static void copy_answered(void *user) {
  struct copy *copy = user;
  const struct adit_stack *stack = adit_worker_stack(copy->worker);
  size_t count = 0;
  adit_stack_flows(stack, count_flow, &count);
  make_room(copy, count);
  if (copy->room > 0) adit_stack_flows(stack, copy_flow, copy);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int adit_relay_flows_new(struct adit_runtime *runtime, bool relays, struct adit_relay_flows *flows) {
  int error = 0;
  *flows = (struct adit_relay_flows){0};
  for (unsigned i = 0; i < adit_runtime_workers(runtime) && !error; i++) {
    struct copy copy = {.worker = adit_runtime_worker(runtime, i), .flows = flows};
    error = adit_worker_call(copy.worker, relays ? copy_relayed : copy_answered, &copy);
    if (!error) error = copy.error;
  }
  if (error) adit_relay_flows_free(flows);
  return error == -ECANCELED ? -ESHUTDOWN : error;
}

void adit_relay_flows_free(struct adit_relay_flows *flows) {
  for (size_t i = 0; i < flows->count; i++) free((char *)(uintptr_t)flows->row[i].name); /* ours */
  free(flows->row);
  *flows = (struct adit_relay_flows){0};
}
