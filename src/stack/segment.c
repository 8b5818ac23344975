/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TCP segments, from the check of the packet (input.c) to lwIP.
 *
 * Among very many flows the next segment is for one that is in no cache, and memory takes longer to answer than all the rest of
 * a packet. So where there are many, a segment waits until WAIT others have come, or for the flush, and every APART of them it
 * takes a step: what a step reads, the one before has asked for, and it has come meanwhile. Steps only ask; when its turn has
 * come, a segment looks its flow up as if there had been none. Segments keep their order.
 *
 *   announced  asks for its chain of the flow table
 *   first      for the flow that comes first there, and the pcb in it
 *   second     when that is another's, for the next one
 *
 * A segment goes in without a copy, but for one case: a small one that is out of order. lwIP would keep it, and with it a
 * buffer of 64 KiB.
 */
#include <string.h>

#include "stack/core.h"

enum {
  STEPS = 2,
  APART = 2,
  WAIT = (STEPS + 1) * APART,
  FEW = 1024,   /* flows that a cache has room for */
  LINE = 64,    /* bytes of a cache line */
  SMALL = 2048, /* bytes: a segment for which a copy is cheaper than a buffer */
  RESET_BURST = 100,
  RESET_RATE = 1000 /* a second: resets for segments that belong to no connection */
};

_Static_assert((int)WAIT < (int)ADIT_AHEAD, "those that wait, and one more");

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

static struct adit_inbound *place(struct adit_stack *stack, uint32_t number) {
  return &stack->ahead[number % ADIT_AHEAD];
}

void adit_segment_announce(const struct adit_stack *stack, struct adit_inbound *in) {
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  in->hash = adit_table_hash(stack, &local, &remote);
  if (stack->table_count >= FEW) fetch(adit_table_chain(stack, in->hash), sizeof(struct adit_flow *));
}

/* The step of that number, from 1 on. */
static void take_step(const struct adit_stack *stack, const struct adit_inbound *in, unsigned number) {
  const struct adit_flow *flow = *adit_table_chain(stack, in->hash);
  if (flow && number > 1) flow = flow->hash == in->hash ? NULL : flow->next_in_table;
  if (flow) fetch(flow, sizeof *flow);
}

/* How many have come since. */
static uint32_t waited(const struct adit_stack *stack, uint32_t number) {
  return stack->ahead_end - 1 - number;
}

/* One more has come. */
static void move_up(struct adit_stack *stack) {
  for (uint32_t number = stack->ahead_first; waited(stack, number) > 0; number++) {
    uint32_t others = waited(stack, number);
    if (others % APART == 0) take_step(stack, place(stack, number), others / APART);
  }
}

/* None will come: the steps that are left. */
static void catch_up(struct adit_stack *stack) {
  for (unsigned step = 1; step <= STEPS; step++)
    for (uint32_t number = stack->ahead_first; number != stack->ahead_end; number++)
      if (waited(stack, number) < step * APART) take_step(stack, place(stack, number), step);
}

static void deliver_first(struct adit_stack *stack) {
  struct adit_inbound *in = place(stack, stack->ahead_first++);
  deliver(stack, in);
  adit_buffer_unref(in->buffer);
}

void adit_segment_input(struct adit_stack *stack, struct adit_inbound *in) {
  uint32_t waiting = stack->ahead_end - stack->ahead_first;
  if (waiting == 0 && stack->table_count < FEW) {
    deliver(stack, in);
    return;
  }
  if (waiting == WAIT) deliver_first(stack);
  *place(stack, stack->ahead_end++) = *in;
  adit_buffer_ref(in->buffer);
  move_up(stack);
}

void adit_segment_flush(struct adit_stack *stack) {
  if (stack->ahead_first == stack->ahead_end) return;
  catch_up(stack);
  while (stack->ahead_first != stack->ahead_end) deliver_first(stack);
}

void adit_segment_discard(struct adit_stack *stack) {
  while (stack->ahead_first != stack->ahead_end) adit_buffer_unref(place(stack, stack->ahead_first++)->buffer);
}
