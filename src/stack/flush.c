/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The flush, and the callbacks that prepare it: the only place where owners of flows are called.
 *
 * lwIP's callbacks run in the middle of lwIP. They note what happened in `pending` and touch the flow; nothing else. The
 * flush takes the touched flows in order, and for each: memory of acknowledged bytes is freed, the owner hears the events
 * (it may act on any flow; what it acts on is touched, and comes later in the same flush), then lwIP is told what the
 * owner did, and sends. All acknowledgments that lwIP has put off are sent here: the delay is that of one burst.
 */
#include <errno.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum {
  LEAST_MSS = 48,         /* bytes: as Linux's tcp_min_snd_mss. A peer that asks for less wants work, not data */
  INITIAL_WINDOW = 14600, /* bytes: RFC 6928 */
  INITIAL_SEGMENTS = 10   /* likewise */
};

/* ---- lwIP's callbacks ---- */

/* Timestamps, when the SYN has them. */
static void stamp(const struct adit_flow *flow, const uint8_t *syn, size_t length) {
  struct adit_timestamps seen;
  struct adit_header header;
  enum adit_drop why;
  if (!adit_header_parse(syn, length, &header, &why)) return; /* it was parsed when it came */
  if (adit_inbound_timestamps(syn, &header, &seen)) adit_port_stamp(flow->pcb, &flow->local, &flow->remote, seen.value);
}

/* The pcb is being freed; what is in its queues has been. `on_error` may follow with a better reason. */
static void on_destroy(u8_t slot, void *data) {
  struct adit_flow *flow = data;
  (void)slot;
  if (!flow) return; /* a listening pcb */
  bool ended = (flow->pending & ADIT_PENDING_CLOSED) != 0;
  flow->pcb = NULL;
  if (flow->stack->accepting != flow) { /* it was counted as accepted */
    flow->stack->stats.flows_closed++;
    if (flow->state != ADIT_FLOW_CLOSED) flow->stack->stats.flows_open--;
  }
  adit_flow_gone(flow, ended ? flow->error : -ETIMEDOUT);
}

static void on_error(void *arg, err_t err) {
  struct adit_flow *flow = arg;
  flow->error = (int16_t)adit_port_error(err);
  flow->pending |= ADIT_PENDING_CLOSED;
  adit_flow_touch(flow);
}

static err_t on_open(u8_t slot, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb) {
  struct adit_stack *stack = adit_port_user();
  struct adit_flow *flow = stack->accepting;
  (void)listener;
  if (!flow) return ERR_ABRT; /* something like a SYN that nobody parked: lwIP lets the pcb go */
  flow->pcb = pcb;
  flow->own_sequence = pcb->lastack;
  adit_port_attach(pcb, &flow->extra);
  tcp_ext_arg_set(pcb, slot, flow);
  tcp_ext_arg_set_callbacks(pcb, slot, &adit_flow_callbacks);
  tcp_nagle_disable(pcb);
  if (pcb->mss < LEAST_MSS) pcb->mss = LEAST_MSS;
  stamp(flow, flow->syn, flow->syn_length);
  adit_merge_look(flow, flow->syn);
  if (!(flow->marks & ADIT_MARK_HTTPD)) {
    adit_flow_begin_window(flow); /* lwIP resets what it closes while the window is not whole */
    tcp_arg(pcb, flow);
    tcp_recv(pcb, adit_flow_on_receive);
    tcp_err(pcb, on_error);
  }
  return ERR_OK;
}

const struct tcp_ext_arg_callbacks adit_flow_callbacks = {.destroy = on_destroy, .passive_open = on_open};

err_t adit_flow_on_accept(void *arg, struct tcp_pcb *pcb, err_t err) {
  struct adit_flow *flow = arg;
  if (err != ERR_OK || !pcb) return ERR_OK; /* no memory for a pcb: syn.c sees that none came */
  flow->state = ADIT_FLOW_ESTABLISHED;
  flow->pending |= ADIT_PENDING_ESTABLISHED;
  adit_flow_touch(flow);
  return ERR_OK;
}

/* ---- the flush ---- */

static bool take(struct adit_flow *flow, enum adit_flow_pending what) {
  bool was = (flow->pending & what) != 0;
  flow->pending &= (uint16_t)~what;
  return was && flow->events && !(flow->marks & ADIT_MARK_RELEASED);
}

static void tell(struct adit_flow *flow) {
  if ((flow->pending & ADIT_PENDING_ESTABLISHED) && flow->pcb) {
    uint32_t mss = flow->pcb->mss;
    flow->pcb->cwnd = LWIP_MIN(INITIAL_SEGMENTS * mss, LWIP_MAX(2 * mss, (uint32_t)INITIAL_WINDOW));
  }
  if (take(flow, ADIT_PENDING_ESTABLISHED) && flow->events->established) flow->events->established(flow->user, flow);
  if (take(flow, ADIT_PENDING_READABLE) && flow->events->readable) flow->events->readable(flow->user, flow);
  if (take(flow, ADIT_PENDING_PEER_CLOSED) && flow->events->peer_closed) flow->events->peer_closed(flow->user, flow);
  if (take(flow, ADIT_PENDING_WRITABLE) && flow->events->writable) flow->events->writable(flow->user, flow);
}

/* Without an error both sides have ended in order: the owner is done, once it has read everything. */
static bool has_ended(const struct adit_flow *flow) {
  if (flow->received_bytes > 0 && flow->error == 0) return false;
  return (flow->pending & ADIT_PENDING_CLOSED) != 0;
}

static void tell_closed(struct adit_flow *flow) {
  if (flow->state != ADIT_FLOW_CLOSED && flow->pcb) flow->stack->stats.flows_open--;
  flow->state = ADIT_FLOW_CLOSED;
  flow->pending |= ADIT_PENDING_CLOSED;
  if (take(flow, ADIT_PENDING_CLOSED) && flow->events->closed) flow->events->closed(flow->user, flow, flow->error);
  flow->marks |= ADIT_MARK_RELEASED;
}

/*
 * An owner that is gone does not wait for the peer's FIN for ever: in FIN-WAIT-2 lwIP gives up after a while, for pcbs with
 * TF_RXCLOSED. The same flag keeps the peer's acknowledgments from counting as a sign of life, so it must not be set
 * while there is something to be sent: what takes a slow peer a minute would be cut off. httpd sets it at once.
 */
static void await_fin(struct tcp_pcb *pcb) {
  if (pcb->state == FIN_WAIT_2) {
    tcp_set_flags(pcb, TF_RXCLOSED);
  } else if (pcb->state > FIN_WAIT_2 || pcb->state == FIN_WAIT_1) {
    tcp_clear_flags(pcb, TF_RXCLOSED);
  }
}

void adit_flow_end(struct adit_flow *flow, int error, bool reset) {
  struct tcp_pcb *pcb = flow->pcb;
  flow->error = (int16_t)error;
  flow->pending |= ADIT_PENDING_CLOSED;
  if (!(flow->marks & ADIT_MARK_HTTPD)) { /* httpd has to hear of it: it has memory to free */
    tcp_arg(pcb, NULL);
    tcp_err(pcb, NULL);
  }
  tcp_clear_flags(pcb, TF_ACK_DELAY); /* it would be sent; a RST acknowledges */
  tcp_abandon(pcb, reset);
}

/* What the owner did, told to lwIP. */
static void act(struct adit_flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  if (!pcb) return;
  bool unread = (flow->marks & ADIT_MARK_RELEASED) && !(flow->marks & ADIT_MARK_HTTPD) && flow->received_bytes > 0;
  if ((flow->pending & ADIT_PENDING_ABORT) || unread) {
    flow->pending &= (uint16_t)~ADIT_PENDING_ABORT;
    adit_flow_end(flow, 0, true);
    return;
  }
  uint32_t consumed = flow->consumed;
  bool tell_window = adit_flow_open_window(flow) && !(flow->marks & ADIT_MARK_PEER_CLOSED);
  adit_merge_begin(flow);
  /* lwIP would send FIN together with SYN-ACK, and leave SYN-RCVD without a word: it waits for the handshake. */
  if ((flow->pending & ADIT_PENDING_FIN) && pcb->state != SYN_RCVD) {
    flow->pending &= (uint16_t)~ADIT_PENDING_FIN;
    tcp_shutdown(pcb, 0, 1); /* without memory, lwIP tries again */
  }
  if (flow->marks & ADIT_MARK_RELEASED) await_fin(pcb);
  if (flow->marks & ADIT_MARK_NARROW) adit_pmtu_expire(flow);
  if (!pcb->unsent) pcb->persist_backoff = 0; /* what it was about has been acknowledged; lwIP lets it run on */
  /* What is unsent may acknowledge as well, unless the window keeps it. */
  bool waits = adit_delay_acknowledgment(flow, consumed);
  if (tell_window || ((pcb->flags & TF_ACK_DELAY) && !waits)) tcp_ack_now(pcb);
  if (pcb->unsent || (pcb->flags & TF_ACK_NOW)) tcp_output(pcb);
  adit_merge_end(flow->stack);
  if (!(pcb->flags & TF_ACK_DELAY)) adit_delay_end(flow);
}

/* Both sides have ended: the last acknowledgment leaves, and a record takes the place of the connection (wait.c). */
static void retire(struct adit_flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  if (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW)) {
    tcp_ack_now(pcb);
    tcp_output(pcb);
  }
  adit_wait_begin(flow);
  adit_flow_end(flow, 0, false);
}

/* Whether a tick may do something: send again, probe, give up, poll. What merely exists does not. */
static bool needs_ticks(const struct adit_flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  if (pcb->unsent || pcb->unacked || pcb->ooseq || pcb->refused_data) return true;
  if ((pcb->flags & TF_CLOSEPEND) || (flow->marks & (ADIT_MARK_HTTPD | ADIT_MARK_STARVED))) return true;
  switch (pcb->state) {
  case ESTABLISHED:
  case CLOSE_WAIT:
    return false;
  case FIN_WAIT_2:
    return (pcb->flags & TF_RXCLOSED) != 0;
  default:
    return true;
  }
}

void adit_flow_rest(struct adit_flow *flow) {
  struct adit_stack *stack = flow->stack;
  if (!flow->pcb) return;
  struct adit_flow_list *list = flow->pcb->state == SYN_RCVD ? &stack->opening : &stack->busy;
  if (!needs_ticks(flow)) {
    adit_flow_unlink(flow);
  } else if (flow->list != list) {
    adit_flow_link(list, flow);
    adit_timer_need_tcp(stack);
  }
}

void adit_flow_flush(struct adit_stack *stack) {
  adit_segment_flush(stack);
  while (stack->touched) {
    struct adit_flow *flow = stack->touched;
    stack->touched = flow->next_touched;
    flow->marks &= (uint16_t)~ADIT_MARK_TOUCHED;
    if (flow->syn) {
      adit_syn_flush(flow);
      continue;
    }
    adit_flow_reclaim(flow);
    adit_tally(flow);
    if (flow->pcb && flow->pcb->state == TIME_WAIT) retire(flow);
    tell(flow);
    if (has_ended(flow)) tell_closed(flow);
    act(flow);
    if (flow->received) adit_flow_settle(flow);
    adit_flow_rest(flow);
    bool held = flow->pcb || (flow->marks & ADIT_MARK_TOUCHED) || !(flow->marks & ADIT_MARK_RELEASED);
    if (!held) adit_flow_free(flow);
  }
  adit_flow_free_spare(stack);
}
