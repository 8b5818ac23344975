/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TCP segments, from the check of the packet (input.c) to lwIP.
 *
 * Among very many flows the next segment is for one that is in no cache, and memory takes longer to answer than all the rest of
 * a packet. So where there are many, segments wait for each other, up to ADIT_AHEAD of them or until the flush. Then memory is
 * asked for what they need, of all at once: a request whose page is not known to the processor either holds it up, but not the
 * requests behind it. Asking changes nothing; when its turn has come, a segment looks its flow up as if nobody had asked.
 * Segments keep their order.
 *
 *   when it comes, before its check  its chain of the flow table
 *   when those that wait have come   the flow that is first there, with the pcb in it
 *   when these are there             where that is another's, the next one
 *
 * A segment goes in without a copy, but for one case: a small one that is out of order. lwIP would keep it, and with it a
 * buffer of 64 KiB.
 */
#include <string.h>

#include "stack/core.h"

enum {
  FEW = 1024,   /* flows that a cache has room for */
  LINE = 64,    /* bytes of a cache line */
  SMALL = 2048, /* bytes: a segment for which a copy is cheaper than a buffer */
  RESET_BURST = 100,
  RESET_RATE = 1000 /* a second: resets for segments that belong to no connection */
};

static struct pbuf *copy_to_pbuf(const void *data, size_t length) {
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
  if (pbuf) memcpy(pbuf->payload, data, length);
  return pbuf;
}

/* NULL when the bytes would wait here (for others before them, or for their owner), and the budget does not allow it. */
static struct pbuf *to_pbuf(struct adit_stack *stack, struct adit_inbound *in, const struct adit_flow *flow) {
  const struct adit_header *header = &in->header;
  bool data = header->payload != header->length;
  bool out_of_order = data && header->tcp_sequence != flow->pcb->rcv_nxt;
  if (out_of_order && header->length < SMALL) return copy_to_pbuf(in->ip, header->length);
  bool waits = out_of_order || (data && flow->received);
  if (waits && !adit_port_may_hold(stack->port, ADIT_PACKET_MAX)) return NULL;
  return adit_port_wrap(adit_buffer_ref(in->buffer), (uint32_t)(in->ip - in->buffer->data), (u16_t)header->length);
}

/* For no connection that exists. */
static void stray(struct adit_stack *stack, const struct adit_header *header) {
  if (header->tcp_flags & ADIT_TCP_RST) return;
  if (adit_port_allows(&stack->resets, RESET_BURST, RESET_RATE)) adit_output_reset(stack, header);
}

/* The empty statement keeps GCC from leaving out every call: to it a function that only asks for memory does nothing. */
static void fetch(const void *object, size_t bytes) {
  for (size_t at = 0; at < bytes; at += LINE) __builtin_prefetch((const char *)object + at, 1);
  __asm__ volatile("");
}

/* Its turn. */
static void deliver(struct adit_stack *stack, struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  struct adit_flow *flow = adit_table_find(stack, &local, &remote, in->hash);

  const uint8_t flags = header->tcp_flags & (ADIT_TCP_SYN | ADIT_TCP_ACK | ADIT_TCP_RST | ADIT_TCP_FIN);
  if (!flow) adit_input_meet_sender(stack, in);
  if (!flow && adit_wait_input(stack, in)) return;
  if (flags == ADIT_TCP_SYN && (!flow || !flow->pcb)) {
    adit_syn_input(stack, in, flow);
    return;
  }
  if (flow && flow->syn && (flags & ADIT_TCP_RST)) { /* parked, or accepted a moment ago */
    adit_syn_reset(flow, in);
    return;
  }
  if (!flow) flow = adit_syn_cache_input(stack, in);
  if (!flow || !flow->pcb) {
    stray(stack, header);
    return;
  }
  /* Since this burst; what ended it is acknowledged by the flush, and what comes later is for wait.c. */
  if (flow->pcb->state == TIME_WAIT) return;
  if (header->length > UINT16_MAX) {
    adit_stack_drop(stack, ADIT_DROP_OVERSIZED);
    return;
  }
  struct pbuf *pbuf = to_pbuf(stack, in, flow);
  if (!pbuf) {
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return;
  }
  adit_flow_touch(flow);
  adit_port_wear(header->version, header->destination.bytes);
  adit_port_input_segment(pbuf, flow->pcb);
}

/* ---- the segments that wait ---- */

void adit_segment_announce(const struct adit_stack *stack, struct adit_inbound *in) {
  in->hash = adit_table_hash_inbound(stack, in);
  if (stack->table_count >= FEW) fetch(adit_table_chain(stack, in->hash), sizeof(struct adit_flow *));
}

/* For what the look-ups of those that wait will read. */
static void ask(const struct adit_stack *stack) {
  const struct adit_flow *first[ADIT_AHEAD];
  for (uint32_t i = 0; i < stack->ahead_count; i++) {
    first[i] = *adit_table_chain(stack, stack->ahead[i].hash);
    if (first[i]) fetch(first[i], sizeof *first[i]);
  }
  for (uint32_t i = 0; i < stack->ahead_count; i++) {
    if (!first[i] || first[i]->hash == stack->ahead[i].hash || !first[i]->next_in_table) continue;
    fetch(first[i]->next_in_table, sizeof *first[i]);
  }
}

void adit_segment_flush(struct adit_stack *stack) {
  if (stack->ahead_count == 0) return;
  ask(stack);
  for (uint32_t i = 0; i < stack->ahead_count; i++) {
    deliver(stack, &stack->ahead[i]);
    adit_buffer_unref(stack->ahead[i].buffer);
  }
  stack->ahead_count = 0;
}

void adit_segment_input(struct adit_stack *stack, struct adit_inbound *in) {
  if (stack->ahead_count == 0 && stack->table_count < FEW) {
    deliver(stack, in);
    return;
  }
  if (stack->ahead_count == ADIT_AHEAD) adit_segment_flush(stack);
  stack->ahead[stack->ahead_count++] = *in;
  adit_buffer_ref(in->buffer);
}

void adit_segment_discard(struct adit_stack *stack) {
  while (stack->ahead_count > 0) adit_buffer_unref(stack->ahead[--stack->ahead_count].buffer);
}
