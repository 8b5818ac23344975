/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TIME-WAIT (RFC 9293, 3.6.1): what has to be remembered of a connection that both sides have ended.
 *
 * That is its 4-tuple, two sequence numbers and a timestamp, so neither flow nor pcb stays: lwIP's pcb goes at once, and a record of about
 * a hundred bytes takes its place for 60 seconds, as long as in Linux. Records are found by the hash of the flow table, in
 * chains of their own, and are kept in the order in which they end: each has the same time. There are at most MOST; the
 * oldest makes room for a new one.
 *
 * Segments that come for a record (RFC 9293, 3.10.7.4):
 *   RST                         nothing (RFC 1337)
 *   SYN that is newer           the record is forgotten, the SYN opens a new connection (RFC 6191): by its timestamp, else by
 *                               its sequence number
 *   FIN                         acknowledged, and the time begins anew
 *   other data, or another SYN  acknowledged
 */
#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

#define DURATION (60 * ADIT_SECOND)

enum { MOST = 16384, CHAINS = MOST / 4 };

struct adit_wait {
  struct adit_wait *next_in_chain;
  struct adit_wait *previous; /* by end */
  struct adit_wait *next;
  uint64_t end_ns;
  uint32_t hash;
  uint32_t sequence;     /* SND.NXT */
  uint32_t acknowledged; /* RCV.NXT */
  uint32_t recent;       /* TS.Recent */
  bool stamped;          /* it had timestamps */
  adit_endpoint local;
  adit_endpoint remote;
};

static struct adit_wait **chain_of(const struct adit_stack *stack, uint32_t hash) {
  return &stack->waits.chains[hash % CHAINS];
}

static void append(struct adit_waits *waits, struct adit_wait *wait) {
  wait->end_ns = adit_port_now() + DURATION;
  wait->next = NULL;
  wait->previous = waits->last;
  if (waits->last) {
    waits->last->next = wait;
  } else {
    waits->first = wait;
  }
  waits->last = wait;
}

static void unlink_from_order(struct adit_waits *waits, struct adit_wait *wait) {
  if (wait->previous) {
    wait->previous->next = wait->next;
  } else {
    waits->first = wait->next;
  }
  if (wait->next) {
    wait->next->previous = wait->previous;
  } else {
    waits->last = wait->previous;
  }
}

static void forget(struct adit_stack *stack, struct adit_wait *wait) {
  struct adit_wait **link = chain_of(stack, wait->hash);
  while (*link != wait) link = &(*link)->next_in_chain;
  *link = wait->next_in_chain;
  unlink_from_order(&stack->waits, wait);
  stack->waits.count--;
  adit_port_free(wait);
}

static struct adit_wait *find(const struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote,
                              uint32_t hash) {
  if (stack->waits.count == 0) return NULL;
  struct adit_wait *wait = *chain_of(stack, hash);
  while (wait &&
         !(wait->hash == hash && adit_endpoint_same(&wait->remote, remote) && adit_endpoint_same(&wait->local, local)))
    wait = wait->next_in_chain;
  return wait;
}

void adit_wait_begin(struct adit_flow *flow) {
  struct adit_stack *stack = flow->stack;
  struct adit_waits *waits = &stack->waits;
  if (!waits->chains) waits->chains = calloc(CHAINS, sizeof(struct adit_wait *));
  if (!waits->chains) return;
  if (waits->count == MOST) forget(stack, waits->first);
  struct adit_wait *wait = adit_port_malloc(sizeof *wait);
  if (!wait) return; /* without memory the tuple is free at once */
  *wait = (struct adit_wait){
      .next_in_chain = *chain_of(stack, flow->hash),
      .hash = flow->hash,
      .sequence = flow->pcb->snd_nxt,
      .acknowledged = flow->pcb->rcv_nxt,
      .recent = flow->extra.recent,
      .stamped = adit_port_stamped(flow->pcb),
      .local = flow->local,
      .remote = flow->remote,
  };
  *chain_of(stack, flow->hash) = wait;
  append(waits, wait);
  waits->count++;
  adit_timer_need_second(stack);
}

/* Whether a SYN may open a new connection (RFC 6191, 2). */
static bool is_newer(const struct adit_wait *wait, const struct adit_inbound *in) {
  struct adit_timestamps seen;
  bool stamped = adit_inbound_timestamps(in->ip, &in->header, &seen);
  if (stamped && (!wait->stamped || TCP_SEQ_GT(seen.value, wait->recent))) return true;
  if (stamped && seen.value != wait->recent) return false;
  return TCP_SEQ_GT(in->header.tcp_sequence, wait->acknowledged);
}

static void acknowledge(struct adit_stack *stack, const struct adit_wait *wait) {
  struct adit_timestamps stamps = {.echo = wait->recent};
  if (wait->stamped) stamps.value = adit_port_timestamp(&wait->local, &wait->remote);
  adit_output_segment(stack, &wait->local, &wait->remote, ADIT_TCP_ACK, wait->sequence, wait->acknowledged,
                      wait->stamped ? &stamps : NULL);
}

bool adit_wait_input(struct adit_stack *stack, const struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  struct adit_wait *wait = find(stack, &local, &remote, in->hash);
  if (!wait) return false;
  uint8_t flags = header->tcp_flags;
  if (flags & ADIT_TCP_RST) return true;
  if ((flags & (ADIT_TCP_SYN | ADIT_TCP_ACK)) == ADIT_TCP_SYN && is_newer(wait, in)) {
    forget(stack, wait);
    return false;
  }
  if (flags & ADIT_TCP_FIN) {
    unlink_from_order(&stack->waits, wait);
    append(&stack->waits, wait);
  }
  if ((flags & (ADIT_TCP_FIN | ADIT_TCP_SYN)) || header->length > header->payload) acknowledge(stack, wait);
  return true;
}

void adit_wait_expire(struct adit_stack *stack) {
  struct adit_waits *waits = &stack->waits;
  while (waits->first && waits->first->end_ns <= adit_port_now()) forget(stack, waits->first);
}

void adit_wait_free(struct adit_stack *stack) {
  while (stack->waits.first) forget(stack, stack->waits.first);
  free(stack->waits.chains);
}
