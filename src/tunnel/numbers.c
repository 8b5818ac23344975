/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a tunnel tells of itself: counters, and the list of its connections.
 *
 * Counters are published by each worker at the end of its turn and read here without asking it. Connections change
 * with every packet, so each worker is asked to write a copy in its own thread; that costs it a walk over its list and
 * one allocation. All copies are made before the first connection is told: the list is complete, or nobody is called.
 */
#include "relay/state.h"
#include "tunnel/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int adit_tunnel_stats(const struct adit_tunnel *tunnel, struct adit_tunnel_stats *stats) {
  if (!stats || stats->size != sizeof *stats) return -EINVAL;
  struct adit_stats all;
  adit_runtime_stats(tunnel->runtime, &all);
  struct adit_relay_stats relay = adit_relay_stats_of(&all);
  *stats = (struct adit_tunnel_stats){
      .size = sizeof *stats,
      .packets_in = all.stack.packets_in,
      .packets_out = all.stack.packets_out,
      .bytes_in = all.stack.bytes_in,
      .bytes_out = all.stack.bytes_out,
      .packets_dropped = adit_stats_dropped(&all),
      .flows_open = relay.flows_open,
      .flows_relayed = relay.connected,
      .flows_failed = relay.connects_failed,
      .flows_limited = relay.flows_limited,
      .udp_sessions = relay.udp_sessions,
      .dns_questions = relay.dns_questions,
      .payload_up = relay.bytes_up,
      .payload_down = relay.bytes_down,
  };
  return 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* What one worker writes down. */
struct copy {
  struct adit_worker *worker;
  struct adit_tunnel_flow *row; /* owned, as their names */
  size_t count;
  int error;
};

/* In the worker's thread, as all up to the next line. */
static void copy_flow(void *user, const struct adit_tcp_view *view) {
  struct copy *copy = user;
  char *name = view->name ? strdup(view->name) : NULL;
  if (view->name && !name) copy->error = -ENOMEM;
  copy->row[copy->count++] = (struct adit_tunnel_flow){
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

static void copy_flows(void *user) {
  struct copy *copy = user;
  const struct adit_relay *relay = adit_worker_state(copy->worker);
  if (relay->session_count == 0) return;
  copy->row = calloc(relay->session_count, sizeof *copy->row);
  if (copy->row)
    adit_tcp_each(relay, copy_flow, copy);
  else
    copy->error = -ENOMEM;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void free_copies(struct copy *copy, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    for (size_t at = 0; at < copy[i].count; at++) free((char *)(uintptr_t)copy[i].row[at].name); /* ours */
    free(copy[i].row);
  }
  free(copy);
}

int adit_tunnel_flows(struct adit_tunnel *tunnel, void (*each)(void *user, const struct adit_tunnel_flow *flow),
                      void *user) {
  unsigned workers = adit_runtime_workers(tunnel->runtime);
  struct copy *copy = calloc(workers, sizeof *copy);
  if (!copy) return -ENOMEM;
  int error = 0;
  for (unsigned i = 0; i < workers && !error; i++) {
    copy[i].worker = adit_runtime_worker(tunnel->runtime, i);
    error = adit_worker_call(copy[i].worker, copy_flows, &copy[i]);
    if (!error) error = copy[i].error;
  }
  for (unsigned i = 0; i < workers && !error; i++)
    for (size_t at = 0; at < copy[i].count; at++) each(user, &copy[i].row[at]);
  free_copies(copy, workers);
  return error == -ECANCELED ? -ESHUTDOWN : error;
}
