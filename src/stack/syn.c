/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The park: connections whose SYN waits for an answer.
 *
 * lwIP answers a SYN at once, and only for a port that is listened on. So it does not see SYNs: the headers of each are
 * kept here, its owner is told, and repetitions are absorbed. When the owner accepts, lwIP is given the SYN, with its
 * listening pcb moved to that port for the moment; adit_flow_callbacks ties the pcb that comes of it to the flow. The
 * listening pcbs have port 0 otherwise, which is refused here.
 *
 * Limits: as many flows as adit_stack_options.parked; the one whose client has been silent longest makes room. As many again
 * may be accepted with their handshake not over; the oldest makes room, and syn_cache.c remembers it. A flow whose client sends no SYN for PATIENCE is
 * given up: Linux repeats after 1, 3, 7, 15, 31 and 63 seconds, and then every 64 at most.
 *
 * SYNs for connections in TIME-WAIT come by wait.c first.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"
#include "stack/httpd.h"

#define PATIENCE (70 * ADIT_SECOND)

/*
 * ICMP errors for SYNs that were parked. A client whose answer is left out waits a second and asks again, so the bound is far
 * above that of other errors: each of these has cost its owner an attempt, and there is one for each SYN at most.
 */
enum { REFUSAL_BURST = 4096, REFUSAL_RATE = 10000 /* a second */ };

/* Out of the park, and out of memory once its owner has heard why. */
static void unpark(struct adit_flow *flow, int error) {
  adit_port_free(flow->syn);
  flow->syn = NULL;
  adit_flow_gone(flow, error);
}

/* Keep the headers of the SYN. Data that it carries is left out: the client sends it again. */
static bool keep_syn(struct adit_flow *flow, const struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  uint16_t length = (uint16_t)header->payload;
  uint8_t *copy = adit_port_malloc(length);
  if (!copy) return false;
  memcpy(copy, in->ip, length);
  uint16_t field = htons(header->version == 4 ? length : (uint16_t)(length - 40));
  memcpy(copy + (header->version == 4 ? 2 : 4), &field, sizeof field);
  adit_port_free(flow->syn);
  flow->syn = copy;
  flow->syn_length = length;
  flow->syn_sequence = header->tcp_sequence;
  flow->parked_ns = adit_port_now();
  return true;
}

/* The last one counts: the client may have started anew, and it is the one whose timestamp is echoed (RFC 7323, 4.3). */
static void repeated(struct adit_flow *flow, const struct adit_inbound *in) {
  keep_syn(flow, in);
  flow->parked_ns = adit_port_now();
  if (flow->list) adit_flow_link(&flow->stack->parked, flow); /* unless it has been answered */
}

void adit_syn_input(struct adit_stack *stack, struct adit_inbound *in, struct adit_flow *flow) {
  const struct adit_header *header = &in->header;
  if (flow && flow->state == ADIT_FLOW_PARKED) {
    repeated(flow, in);
    return;
  }
  if (flow) return; /* accepted a moment ago; the SYN-ACK leaves with the flush */
  if (!stack->events->syn || header->destination_port == 0) { /* port 0 is nobody's (RFC 6335, 6) */
    adit_output_reset(stack, header);
    return;
  }
  if (!adit_port_has_room(stack->port)) { /* a clear no: those that are here go on */
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    adit_output_reset(stack, header);
    return;
  }
  if (stack->parked.count >= stack->parked_limit) {
    adit_stack_drop(stack, ADIT_DROP_PARKED);
    unpark(stack->parked.first, -ENOBUFS);
  }
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  flow = adit_flow_new(stack, &local, &remote);
  if (!flow || !keep_syn(flow, in)) {
    if (flow) adit_flow_free(flow);
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return;
  }
  flow->hash = in->hash;
  adit_table_add(stack, flow);
  adit_flow_link(&stack->parked, flow);
  adit_timer_need_second(stack);
  stack->stats.flows_parked++;
  adit_syn_cache_void(stack, &local, &remote, in->hash);
  stack->events->syn(stack->user, flow);
  if (flow->pending & ADIT_PENDING_ACCEPT) flow->marks |= ADIT_MARK_PROMPT;
}

void adit_syn_reset(struct adit_flow *flow, const struct adit_inbound *in) {
  if (in->header.tcp_sequence == flow->syn_sequence + 1) unpark(flow, -ECONNRESET);
}

void adit_syn_expire(struct adit_stack *stack) {
  struct adit_flow_list *parked = &stack->parked;
  while (parked->first && adit_port_now() - parked->first->parked_ns >= PATIENCE) unpark(parked->first, -ETIMEDOUT);
}

/* A handshake that has been waiting longest makes room: in a flood of SYNs that nobody means, honest ones are quicker. */
static void bound_handshakes(struct adit_stack *stack) {
  struct adit_flow *oldest = stack->opening.first;
  if (stack->opening.count < stack->parked_limit) return;
  adit_stack_drop(stack, ADIT_DROP_PARKED);
  adit_syn_cache_keep(oldest);
  adit_flow_end(oldest, -ETIMEDOUT, false);
}

static void give_to_lwip(struct adit_flow *flow) {
  struct adit_stack *stack = flow->stack;
  bound_handshakes(stack);
  struct tcp_pcb_listen *listener = flow->marks & ADIT_MARK_HTTPD ? stack->httpd : stack->listener;
  /* Without this room lwIP would make some, by dropping connections that wait for their last acknowledgment. */
  /* One byte more: where options end in the middle of one, lwIP looks at the byte behind them. */
  u16_t length = (u16_t)(flow->syn_length + 1);
  struct pbuf *pbuf = adit_port_has_room(stack->port) ? pbuf_alloc(PBUF_RAW, length, PBUF_RAM) : NULL;
  if (!pbuf) {
    unpark(flow, -ENOBUFS);
    return;
  }
  memcpy(pbuf->payload, flow->syn, flow->syn_length);
  ((uint8_t *)pbuf->payload)[flow->syn_length] = 0;
  pbuf->len = pbuf->tot_len = flow->syn_length;
  stack->accepting = flow;
  adit_port_offer_room(&flow->room);
  listener->local_port = flow->local.port;
  adit_port_wear(flow->local.ip.version, flow->local.ip.bytes);
  adit_port_input_segment(pbuf, NULL);
  listener->local_port = 0;
  adit_port_offer_room(NULL);
  stack->accepting = NULL;
  if (!flow->pcb) {
    unpark(flow, -ENOBUFS);
    return;
  }
  adit_port_free(flow->syn);
  flow->syn = NULL;
  stack->stats.flows_accepted++;
  stack->stats.flows_open++;
  adit_idle_moved(flow);
  adit_idle_need(stack);
  adit_flow_touch(flow); /* its owner may have written, or closed, meanwhile */
}

struct adit_flow *adit_syn_again(struct adit_stack *stack, struct adit_inbound *in, uint32_t ours) {
  adit_syn_input(stack, in, NULL);
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  struct adit_flow *flow = adit_table_find(stack, &local, &remote, in->hash);
  if (!flow || !(flow->pending & ADIT_PENDING_ACCEPT)) return NULL;
  flow->pending &= (uint16_t)~ADIT_PENDING_ACCEPT;
  adit_port_next_isn(&ours);
  give_to_lwip(flow);
  adit_port_next_isn(NULL);
  return adit_table_find(stack, &local, &remote, in->hash); /* gone, if there was no memory */
}

static void refuse(struct adit_flow *flow) {
  struct adit_stack *stack = flow->stack;
  struct adit_header header;
  enum adit_drop why;
  if (!adit_header_parse(flow->syn, flow->syn_length, &header, &why)) return; /* it was parsed when it came */
  if (flow->refusal == ADIT_REFUSE_RESET) {
    adit_output_reset(stack, &header);
  } else if (adit_port_allows(&stack->refusals, REFUSAL_BURST, REFUSAL_RATE)) {
    adit_output_unreachable(stack, flow->syn, flow->syn_length, &header, flow->refusal);
  }
  stack->stats.flows_refused++;
}

void adit_syn_flush(struct adit_flow *flow) {
  if (flow->pending & ADIT_PENDING_ACCEPT) {
    flow->pending &= (uint16_t)~ADIT_PENDING_ACCEPT;
    give_to_lwip(flow);
  } else if (flow->pending & ADIT_PENDING_REFUSE) {
    flow->pending &= (uint16_t)~ADIT_PENDING_REFUSE;
    refuse(flow);
    unpark(flow, 0);
  } else if (flow->marks & ADIT_MARK_RELEASED) {
    unpark(flow, 0);
  }
}
