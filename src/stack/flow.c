/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The life of a flow, and what its owner does with it.
 *
 * A flow begins with a SYN (syn.c) and is in the flow table from then on, until the connection is gone: refused, reset, given
 * up, or ended by both sides (flush.c; what is left for TIME-WAIT is in wait.c). While lwIP has something to do for it that a
 * clock decides, it is on the list `busy`; an idle flow costs no time.
 *
 * Two sides hold a flow: lwIP by the pcb's extension, and its owner until the `closed` event or until it lets go
 * (ADIT_MARK_RELEASED). When both are gone it is freed, but never before the flush has it in hand: whoever is in the
 * middle of something with a flow finds it whole. So each of the two, when it goes, touches the flow and leaves the rest
 * to the flush. A flow that lwIP is done with, but whose owner has not read everything, is on the stack's list `gone`: its
 * tuple is free, and the end of the stack still finds it.
 *
 * So a flow outlives its pcb, which lies in it (`room`): both are needed for each packet, and memory answers once.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "stack/core.h"

struct adit_flow *adit_flow_new(struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote) {
  struct adit_flow *flow = adit_port_malloc(sizeof *flow);
  if (!flow) return NULL;
  memset(flow, 0, offsetof(struct adit_flow, room));
  flow->stack = stack;
  flow->local = *local;
  flow->remote = *remote;
  flow->id = ++stack->last_id;
  return flow;
}

void adit_flow_free(struct adit_flow *flow) {
  LWIP_ASSERT("the pcb has no room any more", !flow->pcb);
  adit_delay_end(flow);
  adit_flow_unlink(flow);
  adit_flow_discard(flow);
  adit_flow_free_chunks(flow);
  adit_port_free(flow->syn);
  adit_port_free(flow);
}

void adit_flow_gone(struct adit_flow *flow, int error) {
  adit_table_remove(flow->stack, flow);
  adit_flow_link(&flow->stack->gone, flow);
  flow->error = (int16_t)error;
  flow->pending |= ADIT_PENDING_CLOSED;
  adit_flow_touch(flow);
}

/* ---- what an owner does: noted here, done by the flush ---- */

void adit_flow_attach(struct adit_flow *flow, const struct adit_flow_events *events, void *user) {
  flow->events = events;
  flow->user = user;
}

void *adit_flow_user(const struct adit_flow *flow) {
  return flow->user;
}

adit_endpoint adit_flow_local(const struct adit_flow *flow) {
  return flow->local;
}

adit_endpoint adit_flow_remote(const struct adit_flow *flow) {
  return flow->remote;
}

enum adit_flow_state adit_flow_state(const struct adit_flow *flow) {
  return flow->state;
}

struct adit_stack *adit_flow_stack(const struct adit_flow *flow) {
  return flow->stack;
}

uint64_t adit_flow_id(const struct adit_flow *flow) {
  return flow->id;
}

bool adit_flow_peer_has_closed(const struct adit_flow *flow) {
  return (flow->marks & ADIT_MARK_PEER_CLOSED) != 0;
}

/* One that is gone, and whose owner has not heard of it yet, stays where the end of the stack finds it. */
static void leave_park(struct adit_flow *flow) {
  if (flow->list == &flow->stack->parked) adit_flow_unlink(flow);
}

int adit_flow_accept(struct adit_flow *flow) {
  if (flow->state != ADIT_FLOW_PARKED || (flow->marks & ADIT_MARK_RELEASED)) return -EALREADY;
  if (!adit_port_has_room(flow->stack->port)) return -ENOBUFS;
  flow->state = ADIT_FLOW_ACCEPTED;
  flow->pending |= ADIT_PENDING_ACCEPT;
  leave_park(flow);
  adit_flow_touch(flow);
  return 0;
}

int adit_flow_refuse(struct adit_flow *flow, enum adit_refusal how) {
  if (flow->state != ADIT_FLOW_PARKED || (flow->marks & ADIT_MARK_RELEASED)) return -EALREADY;
  if ((unsigned)how >= ADIT_REFUSALS) return -EINVAL;
  flow->refusal = (uint8_t)how;
  flow->pending |= ADIT_PENDING_REFUSE;
  flow->marks |= ADIT_MARK_RELEASED;
  leave_park(flow);
  adit_flow_touch(flow);
  return 0;
}

int adit_flow_drop(struct adit_flow *flow) {
  if (flow->state != ADIT_FLOW_PARKED || (flow->marks & ADIT_MARK_RELEASED)) return -EALREADY;
  flow->marks |= ADIT_MARK_RELEASED;
  leave_park(flow);
  adit_flow_touch(flow);
  return 0;
}

int adit_flow_shutdown(struct adit_flow *flow) {
  if (flow->state == ADIT_FLOW_PARKED) return -ENOTCONN;
  if (flow->marks & ADIT_MARK_SHUT) return 0;
  flow->marks |= ADIT_MARK_SHUT;
  flow->pending |= ADIT_PENDING_FIN;
  adit_flow_touch(flow);
  return 0;
}

void adit_flow_close(struct adit_flow *flow) {
  if (flow->state == ADIT_FLOW_PARKED) {
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  adit_flow_shutdown(flow);
  flow->marks |= ADIT_MARK_RELEASED;
  adit_flow_touch(flow);
}

void adit_flow_abort(struct adit_flow *flow) {
  if (flow->state == ADIT_FLOW_PARKED) {
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  flow->marks |= ADIT_MARK_RELEASED;
  if (flow->syn) { /* accepted, but nothing was sent yet: refused after all */
    flow->pending = ADIT_PENDING_REFUSE;
    flow->refusal = ADIT_REFUSE_RESET;
  } else {
    flow->pending |= ADIT_PENDING_ABORT;
  }
  adit_flow_touch(flow);
}
