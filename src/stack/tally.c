/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * How much each flow has carried, and a walk over all flows, for whoever wants to show them.
 *
 * lwIP keeps no sums, but sequence numbers say the same: how far each direction is from its first number, in 32 bits. The
 * flush looks at every flow that had a packet, and between two flushes no more moves than a window, so a sum needs no
 * more than the distance by which it lags behind. That holds for all flows alike, those of httpd too, whose bytes pass by
 * flow_read.c and flow_write.c.
 */
#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

/* `place` is where a direction stands, FIN not counted; low bits. */
static void catch_up(uint64_t *sum, uint32_t place) {
  int32_t lag = (int32_t)(place - (uint32_t)*sum);
  if (lag > 0) *sum += (uint32_t)lag;
}

void adit_tally(struct adit_flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || pcb->state < ESTABLISHED) return;
  bool fin_came = pcb->state == CLOSE_WAIT || pcb->state == CLOSING || pcb->state == LAST_ACK ||
                  pcb->state == TIME_WAIT;
  bool fin_arrived = pcb->state == FIN_WAIT_2 || pcb->state == TIME_WAIT;
  catch_up(&flow->carried_up, pcb->rcv_nxt - flow->syn_sequence - 1 - fin_came);
  catch_up(&flow->carried_down, pcb->lastack - flow->own_sequence - 1 - fin_arrived);
}

uint64_t adit_flow_carried_up(const struct adit_flow *flow) {
  return flow->carried_up;
}

uint64_t adit_flow_carried_down(const struct adit_flow *flow) {
  return flow->carried_down;
}

uint64_t adit_flow_begun(const struct adit_flow *flow) {
  return flow->parked_ns;
}

void adit_stack_flows(const struct adit_stack *stack, void (*each)(void *user, const struct adit_flow *flow),
                      void *user) {
  for (uint32_t slot = 0; slot <= stack->table_mask; slot++)
    for (const struct adit_flow *flow = stack->table[slot]; flow; flow = flow->next_in_table) each(user, flow);
}
