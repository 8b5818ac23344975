/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Connections on which nothing moves do not live for ever.
 *
 * TCP has no bound of its own: a peer may vanish without a word while nothing is under way, or answer each probe of a closed
 * window and never open it. What counts here is bytes that move, either way, not segments. A connection without any for
 * adit_stack_options.idle_ms is reset.
 *
 * Nothing is armed on the way of a packet; the second at which bytes moved is noted in the flow. All flows are looked through
 * PARTS times in the time that one may be idle, so it ends at most that much later than it should.
 */
#include <errno.h>

#include "stack/core.h"

enum { PARTS = 16 };

static uint32_t now_s(void) {
  return (uint32_t)(adit_port_now() / ADIT_SECOND);
}

void adit_idle_moved(struct adit_flow *flow) {
  flow->moved_s = now_s();
}

void adit_idle_sweep(struct adit_stack *stack) {
  uint32_t idle_s = stack->idle_ms / 1000;
  uint32_t now = now_s();
  stack->sweep_ns = UINT64_MAX;
  for (uint32_t slot = 0; slot <= stack->table_mask; slot++) {
    struct adit_flow *next;
    for (struct adit_flow *flow = stack->table[slot]; flow; flow = next) {
      next = flow->next_in_table;
      if (flow->pcb && now - flow->moved_s >= idle_s) adit_flow_end(flow, -ETIMEDOUT, true);
    }
  }
  adit_idle_need(stack);
}

void adit_idle_need(struct adit_stack *stack) {
  if (stack->idle_ms == 0 || stack->table_count == 0 || stack->sweep_ns != UINT64_MAX) return;
  stack->sweep_ns = adit_port_now() + stack->idle_ms * ADIT_MILLISECOND / PARTS;
}
