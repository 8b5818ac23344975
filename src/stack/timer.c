/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Time. It comes in with adit_stack_advance; the next moment at which it matters is adit_stack_deadline.
 *
 * Timers, all of them:
 *   tick    every 100 ms while there is a busy flow: lwIP's retransmission, persist and time-outs, for busy flows only
 *   second  every second while something waits for it: parked SYNs, TIME-WAIT, fragments, ARP and neighbour discovery
 *   delay   when an acknowledgment has waited long enough for an answer to go along (delay.c)
 *   sweep   sixteen times in adit_stack_options.idle_ms while there is a connection, when that is set (idle.c)
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
  uint64_t timer_ns = LWIP_MIN(LWIP_MIN(stack->tick_ns, stack->second_ns), stack->sweep_ns);
  return LWIP_MIN(timer_ns, adit_delay_deadline(stack));
}

/* No round trip took as long as the process was stopped. */
static void forget_round_trips(const struct adit_flow_list *list) {
  for (struct adit_flow *flow = list->first; flow; flow = flow->next) flow->pcb->rttest = 0;
}

static void tick_all(const struct adit_flow_list *list) {
  struct adit_flow *next;
  for (struct adit_flow *flow = list->first; flow; flow = next) {
    next = flow->next;
    adit_port_tick(flow->pcb);
    adit_flow_rest(flow);
  }
}

static void tick(struct adit_stack *stack, uint64_t now) {
  uint64_t missed = (now - stack->tick_ns) / ADIT_TICK;
  if (missed > MADE_UP) {
    adit_port_count_ticks((uint32_t)missed);
    stack->tick_ns += missed * ADIT_TICK;
    forget_round_trips(&stack->opening);
    forget_round_trips(&stack->busy);
  }
  if (stack->starved) adit_flow_feed(stack);
  while (stack->tick_ns <= now) {
    adit_port_count_ticks(1);
    tick_all(&stack->opening);
    tick_all(&stack->busy);
    stack->tick_ns += ADIT_TICK;
  }
  if (!stack->busy.first && !stack->opening.first) stack->tick_ns = UINT64_MAX;
}

static void second(struct adit_stack *stack, uint64_t now) {
  stack->second_ns = now + ADIT_SECOND;
  adit_syn_expire(stack);
  adit_syn_cache_expire(stack);
  adit_wait_expire(stack);
  adit_reassembly_expire(stack);
  if (stack->ethernet) {
    etharp_tmr();
    nd6_tmr();
  } else if (!stack->parked.first && !stack->syn_cache && !stack->waits.first && !stack->reassemblies) {
    stack->second_ns = UINT64_MAX;
  }
}

void adit_stack_advance(struct adit_stack *stack, uint64_t now_ns) {
  if (now_ns > adit_port_time(stack->port)) adit_port_set_now(stack->port, now_ns);
  uint64_t now = adit_port_time(stack->port);
  struct adit_port *outer = adit_port_enter(stack->port);
  adit_flow_flush(stack); /* of a burst that was not ended: lwIP's timers count on that */
  adit_delay_expire(stack);
  if (stack->tick_ns <= now) tick(stack, now);
  if (stack->second_ns <= now) second(stack, now);
  if (stack->sweep_ns <= now) adit_idle_sweep(stack);
  adit_flow_flush(stack);
  adit_port_leave(outer);
}
