/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Acknowledgments that wait a moment for an answer (RFC 9293, 3.8.6.3).
 *
 * The flush acknowledges what a burst has brought, and an owner who answers at once has his answer in the same packet. A
 * relay answers a little later, since it has to ask somebody else. Where an owner has said so (adit_flow_await_answers), the
 * acknowledgment of little data, and of the peer's FIN, waits ADIT_DELAY for the next packet of that flow.
 *
 * That is for what a client sends in one piece: a request, a goodbye. A second piece is acknowledged at once, as is what
 * opens the window, comes out of order, or is two segments or more. A flow that has waited in vain once does not wait
 * again: whom it talks to is far away.
 *
 * All wait equally long, so they are a ring in the order in which they are due; one that has got its answer leaves a hole.
 */
#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum { LITTLE = 2 /* segments */ };

static struct adit_delayed *slot_of(struct adit_stack *stack, uint32_t number) {
  return &stack->delayed[number % ADIT_DELAYED];
}

/* The first one is one that waits, or there is none. */
static void skip_holes(struct adit_stack *stack) {
  while (stack->delayed_first != stack->delayed_end && !slot_of(stack, stack->delayed_first)->flow)
    stack->delayed_first++;
}

uint64_t adit_delay_deadline(const struct adit_stack *stack) {
  if (stack->delayed_first == stack->delayed_end) return UINT64_MAX;
  return stack->delayed[stack->delayed_first % ADIT_DELAYED].due_ns;
}

void adit_delay_end(struct adit_flow *flow) {
  if (!(flow->marks & ADIT_MARK_DELAYED)) return;
  flow->marks &= (uint16_t)~ADIT_MARK_DELAYED;
  slot_of(flow->stack, flow->delayed)->flow = NULL;
  skip_holes(flow->stack);
}

/* Something waits behind a gap, or did when the burst began: of both the peer hears at once (RFC 5681, 4.2). */
static bool has_gap(struct adit_flow *flow) {
  bool had = (flow->marks & ADIT_MARK_GAP) != 0;
  bool has = flow->pcb->ooseq != NULL;
  flow->marks = (uint16_t)(has ? flow->marks | ADIT_MARK_GAP : flow->marks & ~ADIT_MARK_GAP);
  return had || has;
}

bool adit_delay_acknowledgment(struct adit_flow *flow, uint32_t consumed) {
  struct adit_stack *stack = flow->stack;
  const struct tcp_pcb *pcb = flow->pcb;
  bool gap = has_gap(flow);
  if (gap || !(flow->marks & ADIT_MARK_AWAITS) || !(pcb->flags & TF_ACK_DELAY)) return false;
  if (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT) return false;
  if (flow->marks & ADIT_MARK_DELAYED) return consumed == 0;
  if (flow->received_bytes > 0 || consumed >= LITTLE * (uint32_t)pcb->mss) return false;
  if (stack->delayed_end - stack->delayed_first == ADIT_DELAYED) return false;
  flow->marks |= ADIT_MARK_DELAYED;
  flow->delayed = stack->delayed_end++;
  *slot_of(stack, flow->delayed) = (struct adit_delayed){.flow = flow, .due_ns = adit_port_now() + ADIT_DELAY};
  return true;
}

void adit_delay_expire(struct adit_stack *stack) {
  uint64_t now = adit_port_now();
  while (adit_delay_deadline(stack) <= now) {
    struct adit_flow *flow = slot_of(stack, stack->delayed_first)->flow;
    adit_delay_end(flow);
    flow->marks &= (uint16_t)~ADIT_MARK_AWAITS;
    adit_flow_touch(flow); /* the flush acknowledges */
  }
}

void adit_flow_await_answers(struct adit_flow *flow) {
  flow->marks |= ADIT_MARK_AWAITS;
}
