/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Time. It comes in with adit_stack_advance; the next moment at which it matters is adit_stack_deadline.
 *
 * Timers, all of them:
 *   tick    every 100 ms while there is a connection: lwIP's retransmission, persist, keepalive and TIME-WAIT
 *   second  every second while something waits for it: parked SYNs, fragments, ARP and neighbour discovery
 * A stack in which nothing happens has none, and sleeps.
 *
 * A process that was stopped for a while does not make up for every tick: they would all find the same state.
 */
#include "lwip/etharp.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum { MADE_UP = 10 /* ticks */ };

uint64_t adit_stack_deadline(const struct adit_stack *stack) {
  return stack->tick_ns < stack->second_ns ? stack->tick_ns : stack->second_ns;
}

static void tick(struct adit_stack *stack, uint64_t now) {
  uint64_t missed = (now - stack->tick_ns) / ADIT_TICK;
  if (missed > MADE_UP) {
    tcp_ticks += (u32_t)missed;
    stack->tick_ns += missed * ADIT_TICK;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) pcb->rttest = 0; /* no round trip took so long */
  }
  if (stack->starved) adit_flow_feed(stack);
  while (stack->tick_ns <= now) {
    tcp_fasttmr();
    tcp_slowtmr();
    stack->tick_ns += ADIT_TICK;
  }
  if (!tcp_active_pcbs && !tcp_tw_pcbs) stack->tick_ns = UINT64_MAX;
}

static void second(struct adit_stack *stack, uint64_t now) {
  stack->second_ns = now + ADIT_SECOND;
  adit_syn_expire(stack);
  adit_reassembly_expire(stack);
  if (stack->ethernet) {
    etharp_tmr();
    nd6_tmr();
  } else if (!stack->parked.first && !stack->reassemblies) {
    stack->second_ns = UINT64_MAX;
  }
}

void adit_stack_advance(struct adit_stack *stack, uint64_t now_ns) {
  if (now_ns > adit_port_time(stack->port)) adit_port_set_now(stack->port, now_ns);
  uint64_t now = adit_port_time(stack->port);
  struct adit_port *outer = adit_port_enter(stack->port);
  adit_flow_flush(stack); /* of a burst that was not ended: lwIP's timers count on that */
  if (stack->tick_ns <= now) tick(stack, now);
  if (stack->second_ns <= now) second(stack, now);
  adit_flow_flush(stack);
  adit_port_leave(outer);
}
