/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a tunnel tells of itself: counters, and the list of its connections.
 *
 * Counters are published by each worker at the end of its turn and read here without asking it. Connections are copied by
 * each worker in its own thread (relay/flows.c), all before the first is told: the list is complete, or nobody is called.
 */
#include "relay/flows.h"
#include "tunnel/state.h"

#include <errno.h>

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

int adit_tunnel_flows(struct adit_tunnel *tunnel, void (*each)(void *user, const struct adit_tunnel_flow *flow),
                      void *user) {
  struct adit_relay_flows flows;
  int error = adit_relay_flows_new(tunnel->runtime, true, &flows);
  if (error) return error;
  for (size_t i = 0; i < flows.count; i++) each(user, &flows.row[i]);
  adit_relay_flows_free(&flows);
  return 0;
}
