/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground of this folder: what a stack and a flow need of themselves wherever they are dealt with.
 */
#include "stack/core.h"

bool adit_stack_is(const struct adit_stack *stack, adit_ip ip) {
  for (size_t i = 0; i < stack->excepts; i++)
    if (adit_ip_equal(stack->except[i], ip)) return false;
  if (stack->answers == 0) return true;
  for (size_t i = 0; i < stack->answers; i++)
    if (adit_cidr_contains(stack->answer[i], ip)) return true;
  return false;
}

void adit_stack_drop(struct adit_stack *stack, enum adit_drop reason) {
  stack->stats.drops[reason]++;
}

void adit_timer_need_tcp(struct adit_stack *stack) {
  if (stack->tick_ns == UINT64_MAX) stack->tick_ns = adit_port_time(stack->port) + ADIT_TICK;
}

void adit_timer_need_second(struct adit_stack *stack) {
  if (stack->second_ns == UINT64_MAX) stack->second_ns = adit_port_time(stack->port) + ADIT_SECOND;
}

void adit_flow_touch(struct adit_flow *flow) {
  if (flow->marks & ADIT_MARK_TOUCHED) return;
  struct adit_stack *stack = flow->stack;
  flow->marks |= ADIT_MARK_TOUCHED;
  flow->next_touched = NULL;
  if (stack->touched) {
    stack->touched_tail->next_touched = flow;
  } else {
    stack->touched = flow;
  }
  stack->touched_tail = flow;
}

void adit_flow_unlink(struct adit_flow *flow) {
  struct adit_flow_list *list = flow->list;
  if (!list) return;
  if (flow->previous) {
    flow->previous->next = flow->next;
  } else {
    list->first = flow->next;
  }
  if (flow->next) {
    flow->next->previous = flow->previous;
  } else {
    list->last = flow->previous;
  }
  list->count--;
  flow->list = NULL;
  flow->previous = flow->next = NULL;
}

void adit_flow_link(struct adit_flow_list *list, struct adit_flow *flow) {
  adit_flow_unlink(flow);
  flow->list = list;
  flow->previous = list->last;
  if (list->last) {
    list->last->next = flow;
  } else {
    list->first = flow;
  }
  list->last = flow;
  list->count++;
}
