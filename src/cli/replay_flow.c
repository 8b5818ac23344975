/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The conversations of a capture.
 *
 * The stack takes the place of the recorded server, but chooses an initial sequence number of its own. All that the
 * client says about the server's numbers is therefore shifted by the difference between the two. The recorded one is
 * read off the recorded SYN-ACK or, where the capture has none, off the client's first acknowledgment, which is for the
 * SYN alone. The stack's is read off what it sends. Without the client's SYN the stack has no connection, nothing is
 * shifted, and the stack answers with a reset.
 *
 * A SYN with another number on the same 4-tuple begins a new connection: what was known is forgotten.
 *
 * Windows are not translated. The client's are scaled as its SYN offered, which the recorded server may have declined
 * and the stack accepts; such a server is rare, and all that follows is that the stack sends more at once.
 */
#include "cli/replay_flow.h"

#include <errno.h>
#include <stdlib.h>

enum { BUCKETS = 1 << 14 };

struct adit_replay_flows {
  struct adit_replay_flow *bucket[BUCKETS];
};

int adit_replay_flows_new(struct adit_replay_flows **flows) {
  *flows = calloc(1, sizeof **flows);
  return *flows == NULL ? -ENOMEM : 0;
}

void adit_replay_flows_free(struct adit_replay_flows *flows) {
  if (flows == NULL) return;
  for (size_t i = 0; i < BUCKETS; i++) {
    while (flows->bucket[i] != NULL) {
      struct adit_replay_flow *flow = flows->bucket[i];
      flows->bucket[i] = flow->next;
      free(flow);
    }
  }
  free(flows);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* FNV-1a. */
static uint32_t hash_endpoint(uint32_t hash, adit_endpoint endpoint) {
  for (size_t i = 0; i < sizeof endpoint.ip.bytes; i++) hash = (hash ^ endpoint.ip.bytes[i]) * 16777619U;
  hash = (hash ^ (endpoint.port & 255U)) * 16777619U;
  return (hash ^ (endpoint.port >> 8)) * 16777619U;
}

static size_t bucket_of(adit_endpoint client, adit_endpoint server) {
  uint32_t hash = hash_endpoint(hash_endpoint(2166136261U, client), server);
  return (hash ^ hash >> 16) % BUCKETS;
}

static bool same(adit_endpoint a, adit_endpoint b) {
  return a.port == b.port && adit_ip_equal(a.ip, b.ip);
}

struct adit_replay_flow *adit_replay_flows_find(const struct adit_replay_flows *flows, uint8_t protocol,
                                                adit_endpoint client, adit_endpoint server) {
  struct adit_replay_flow *flow = flows->bucket[bucket_of(client, server)];
  while (flow != NULL && !(flow->protocol == protocol && same(flow->client, client) && same(flow->server, server)))
    flow = flow->next;
  return flow;
}

struct adit_replay_flow *adit_replay_flows_add(struct adit_replay_flows *flows, uint8_t protocol, adit_endpoint client,
                                               adit_endpoint server) {
  struct adit_replay_flow *flow = calloc(1, sizeof *flow);
  if (flow == NULL) return NULL;
  struct adit_replay_flow **first = &flows->bucket[bucket_of(client, server)];
  *flow = (struct adit_replay_flow){.next = *first, .client = client, .server = server, .protocol = protocol};
  *first = flow;
  return flow;
}

/* ---- sequence numbers -------------------------------------------------------------------------------------------- */

bool adit_replay_after(uint32_t a, uint32_t b) {
  return a != b && a - b < UINT32_C(1) << 31;
}

void adit_replay_flow_client(struct adit_replay_flow *flow, const struct adit_header *header) {
  if (header->tcp_flags & ADIT_TCP_SYN) {
    if (flow->has_syn && flow->client_isn == header->tcp_sequence) return; /* sent again */
    flow->has_syn = true;
    flow->gave_up = false;
    flow->client_isn = header->tcp_sequence;
    flow->recorded = flow->given = (struct adit_replay_server){.known = false};
    return;
  }
  bool tells = (header->tcp_flags & ADIT_TCP_ACK) && !(header->tcp_flags & ADIT_TCP_RST);
  if (flow->has_syn && !flow->recorded.known && tells) {
    uint32_t next = header->tcp_acknowledgment;
    flow->recorded = (struct adit_replay_server){.known = true, .isn = next - 1, .next = next};
  }
}

void adit_replay_flow_server(struct adit_replay_flow *flow, struct adit_replay_server *server,
                             const struct adit_header *header) {
  uint32_t next = header->tcp_sequence + (header->length - header->payload);
  if (header->tcp_flags & ADIT_TCP_RST) return;
  if (header->tcp_flags & ADIT_TCP_SYN) {
    if (!(header->tcp_flags & ADIT_TCP_ACK) || header->tcp_acknowledgment != flow->client_isn + 1 || !flow->has_syn)
      return;
    next++;
    if (!server->known || server->isn != header->tcp_sequence) {
      *server = (struct adit_replay_server){.known = true, .isn = header->tcp_sequence, .next = next};
      if (server == &flow->given) flow->acknowledged = header->tcp_sequence;
    }
  }
  if (header->tcp_flags & ADIT_TCP_FIN) next++;
  if (server->known && adit_replay_after(next, server->next)) server->next = next;
}

bool adit_replay_flow_translate(const struct adit_replay_flow *flow, const struct adit_header *header,
                                uint32_t *acknowledgment) {
  if (!(header->tcp_flags & ADIT_TCP_ACK) || !flow->recorded.known || !flow->given.known) return false;
  *acknowledgment = header->tcp_acknowledgment - flow->recorded.isn + flow->given.isn;
  return true;
}
