/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Flows by 4-tuple: a hash table with chains, keyed by the stack's secret so that nobody can aim at one chain. It doubles
 * when there are half as many flows as chains, so that most flows are the first of theirs, and never shrinks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/core.h"

enum { FIRST_CHAINS = 256 };

/* Bytes of addresses and of two ports, and where the source is in an IP header. */
enum { ADDRESS4 = 4, ADDRESS6 = 16, PORTS = 4, SOURCE4 = 12, SOURCE6 = 8 };

int adit_table_new(struct adit_stack *stack) {
  stack->table = calloc(FIRST_CHAINS, sizeof *stack->table);
  stack->table_mask = FIRST_CHAINS - 1;
  return stack->table ? 0 : -ENOMEM;
}

/* A tuple is hashed as it lies in a packet from the remote end: source, destination, both ports. */
static uint32_t hash_tuple(const struct adit_stack *stack, const void *tuple, size_t length) {
  return (uint32_t)adit_port_hash(stack->port, ADIT_HASH_FLOW, tuple, length);
}

uint32_t adit_table_hash(const struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote) {
  uint8_t tuple[2 * ADDRESS6 + PORTS];
  size_t length = adit_ip_length(local->ip);
  const uint16_t ports[2] = {htons(remote->port), htons(local->port)};
  memcpy(tuple, remote->ip.bytes, length);
  memcpy(tuple + length, local->ip.bytes, length);
  memcpy(tuple + 2 * length, ports, sizeof ports);
  return hash_tuple(stack, tuple, 2 * length + sizeof ports);
}

uint32_t adit_table_hash_inbound(const struct adit_stack *stack, const struct adit_inbound *in) {
  uint8_t tuple[2 * ADDRESS6 + PORTS];
  const uint8_t *ports = in->ip + in->header.transport;
  if (in->header.version == 4) {
    memcpy(tuple, in->ip + SOURCE4, 2 * (size_t)ADDRESS4);
    memcpy(tuple + 2 * (size_t)ADDRESS4, ports, PORTS);
    return hash_tuple(stack, tuple, 2 * (size_t)ADDRESS4 + PORTS);
  }
  memcpy(tuple, in->ip + SOURCE6, 2 * (size_t)ADDRESS6);
  memcpy(tuple + 2 * (size_t)ADDRESS6, ports, PORTS);
  return hash_tuple(stack, tuple, sizeof tuple);
}

struct adit_flow *adit_table_find(const struct adit_stack *stack, const adit_endpoint *local,
                                  const adit_endpoint *remote, uint32_t hash) {
  struct adit_flow *flow = *adit_table_chain(stack, hash);
  while (flow &&
         !(flow->hash == hash && adit_endpoint_same(&flow->remote, remote) && adit_endpoint_same(&flow->local, local)))
    flow = flow->next_in_table;
  return flow;
}

/* Without memory the chains stay as they are and get longer. */
static void grow(struct adit_stack *stack) {
  uint32_t chains = 2 * (stack->table_mask + 1);
  struct adit_flow **table = calloc(chains, sizeof *table);
  if (!table) return;
  for (uint32_t slot = 0; slot <= stack->table_mask; slot++) {
    while (stack->table[slot]) {
      struct adit_flow *flow = stack->table[slot];
      stack->table[slot] = flow->next_in_table;
      flow->next_in_table = table[flow->hash & (chains - 1)];
      table[flow->hash & (chains - 1)] = flow;
    }
  }
  free(stack->table);
  stack->table = table;
  stack->table_mask = chains - 1;
}

void adit_table_add(struct adit_stack *stack, struct adit_flow *flow) {
  if (stack->table_count > stack->table_mask / 2) grow(stack);
  struct adit_flow **chain = adit_table_chain(stack, flow->hash);
  flow->next_in_table = *chain;
  *chain = flow;
  flow->marks |= ADIT_MARK_LISTED;
  stack->table_count++;
}

void adit_table_remove(struct adit_stack *stack, struct adit_flow *flow) {
  if (!(flow->marks & ADIT_MARK_LISTED)) return;
  struct adit_flow **link = adit_table_chain(stack, flow->hash);
  while (*link != flow) link = &(*link)->next_in_table;
  *link = flow->next_in_table;
  flow->marks &= (uint16_t)~ADIT_MARK_LISTED;
  stack->table_count--;
}
