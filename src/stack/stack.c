/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack: made, asked, ended.
 *
 * The way through it: input.c takes a packet apart and decides who it is for; TCP goes to lwIP (port/netif.c), whose
 * callbacks (flush.c, flow_read.c) only note what happened and touch the flow; datagrams and echo requests are told at
 * once. adit_stack_flush then walks the touched flows: their owners hear the events and act, what they did is given to
 * lwIP, and lwIP sends (output.c). So an owner never runs in the middle of lwIP, and all that one burst brought for a flow
 * is one event and one acknowledgment.
 *
 * Every public function that reaches lwIP stands between adit_port_enter and adit_port_leave.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum {
  MTU_DEFAULT = 1500,
  MTU_LEAST = 576, /* RFC 791: what every host takes */
  MTU_MOST = 65535,
  PARKED_DEFAULT = 4096,
  WINDOW_DEFAULT = 1 << 20,
  WINDOW_LEAST = 1 << 16,
  WINDOW_MOST = 1 << 24,
  LONGEST_PACKET = 65535
};
#define BUDGET_DEFAULT ((size_t)256 << 20)
#define BUDGET_LEAST ((size_t)1 << 20)

static uint32_t or_default(uint32_t value, uint32_t otherwise) {
  return value ? value : otherwise;
}

static bool window_fits(uint32_t bytes) {
  return bytes >= WINDOW_LEAST && bytes <= WINDOW_MOST;
}

/* TCP over both versions has to be cut by whoever takes it, or lwIP makes segments of one MSS. */
static uint32_t segment_limit(const struct adit_stack_options *options) {
  const uint32_t wanted = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
  return (options->offload & wanted) == wanted ? LONGEST_PACKET : 0;
}

/* Over Ethernet, neighbours may have to be asked for first, segment by segment. */
static bool takes_long(const struct adit_stack_options *options) {
  return segment_limit(options) > 0 && (options->offload & ADIT_OFFLOAD_BIG_TCP) && !options->ethernet;
}

static void *copy_of(const void *data, size_t bytes) {
  void *copy = malloc(bytes ? bytes : 1);
  return copy && bytes ? memcpy(copy, data, bytes) : copy;
}

static int start_listening(struct adit_stack *stack) {
  struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
  if (!pcb) return -ENOMEM;
  stack->pcb_slot = tcp_ext_arg_alloc_id();
  tcp_ext_arg_set_callbacks(pcb, stack->pcb_slot, &adit_flow_callbacks);
  tcp_ext_arg_set(pcb, stack->pcb_slot, NULL);
  if (tcp_bind(pcb, IP_ANY_TYPE, 1) != ERR_OK) goto close_pcb;
  struct tcp_pcb *listening = tcp_listen(pcb);
  if (!listening) goto close_pcb;
  tcp_accept(listening, adit_flow_on_accept);
  stack->listener = (struct tcp_pcb_listen *)listening;
  stack->listener->local_port = 0; /* none: see syn.c */
  return 0;

close_pcb:
  tcp_close(pcb);
  return -ENOMEM;
}

int adit_stack_new(const struct adit_stack_options *options, struct adit_stack **stack) {
  if (!options || options->size != sizeof *options || !options->events || !options->events->output) return -EINVAL;
  uint32_t mtu = or_default(options->mtu, MTU_DEFAULT);
  uint32_t window = or_default(options->window_bytes, WINDOW_DEFAULT);
  uint32_t send = or_default(options->send_bytes, WINDOW_DEFAULT);
  size_t budget = options->budget_bytes ? options->budget_bytes : BUDGET_DEFAULT;
  if (mtu < MTU_LEAST || mtu > MTU_MOST || !window_fits(window) || !window_fits(send)) return -EINVAL;
  if (budget < BUDGET_LEAST || (options->answers && !options->answer) || (options->excepts && !options->except))
    return -EINVAL;
  if (sodium_init() < 0) return -ENOMEM;

  struct adit_stack *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->events = options->events;
  made->user = options->user;
  made->offload = options->offload;
  made->big_tcp = takes_long(options);
  made->mtu = mtu;
  made->ethernet = options->ethernet;
  memcpy(made->mac, options->mac, sizeof made->mac);
  made->send_bytes = send;
  made->parked_limit = or_default(options->parked, PARKED_DEFAULT);
  made->tick_ns = made->second_ns = made->sweep_ns = UINT64_MAX;
  made->idle_ms = options->idle_ms;

  int error = -ENOMEM;
  made->answers = options->answers;
  made->answer = copy_of(options->answer, options->answers * sizeof *options->answer);
  if (!made->answer) goto free_stack;
  made->excepts = options->excepts;
  made->except = copy_of(options->except, options->excepts * sizeof *options->except);
  if (!made->except) goto free_answer;
  error = adit_table_new(made);
  if (error) goto free_except;
  error = adit_pool_new(0, &made->pool);
  if (error) goto free_table;

  struct adit_port_options port = {
      .user = made,
      .output = adit_output_pbuf,
      .now_ns = options->now_ns,
      .mtu = mtu,
      .segment_limit = segment_limit(options),
      .window_bytes = window,
      .send_bytes = send,
      .budget_bytes = budget,
      .ethernet = options->ethernet,
  };
  memcpy(port.secret, options->secret, sizeof port.secret);
  memcpy(port.mac, options->mac, sizeof port.mac);
  error = adit_port_new(&port, &made->port);
  sodium_memzero(&port, sizeof port);
  if (error) goto free_pool;

  struct adit_port *outer = adit_port_enter(made->port);
  error = start_listening(made);
  adit_port_leave(outer);
  if (error) goto free_port;
  if (made->ethernet) adit_timer_need_second(made);
  *stack = made;
  return 0;

free_port:
  adit_port_delete(made->port);
free_pool:
  adit_pool_free(made->pool);
free_table:
  free(made->table);
free_except:
  free(made->except);
free_answer:
  free(made->answer);
free_stack:
  free(made);
  return error;
}

void adit_stack_free(struct adit_stack *stack) {
  if (!stack) return;
  struct adit_port *outer = adit_port_enter(stack->port);
  adit_segment_discard(stack);
  adit_reassembly_free(stack);
  for (uint32_t slot = 0; slot <= stack->table_mask; slot++) {
    while (stack->table[slot]) {
      struct adit_flow *flow = stack->table[slot];
      if (flow->pcb) {
        adit_flow_end(flow, 0, false);
      } else {
        adit_flow_gone(flow, 0);
      }
    }
  }
  while (stack->gone.first) adit_flow_free(stack->gone.first);
  adit_flow_free_spare(stack);
  adit_syn_cache_free(stack);
  adit_wait_free(stack);
  adit_port_leave(outer == stack->port ? NULL : outer);
  adit_port_delete(stack->port);
  adit_pool_free(stack->pool);
  free(stack->table);
  free(stack->except);
  free(stack->answer);
  free(stack);
}

void adit_stack_flush(struct adit_stack *stack) {
  struct adit_port *outer = adit_port_enter(stack->port);
  adit_flow_flush(stack);
  adit_port_leave(outer);
}

uint64_t adit_stack_now(const struct adit_stack *stack) {
  return adit_port_time(stack->port);
}

void adit_stack_stats(const struct adit_stack *stack, struct adit_stack_stats *stats) {
  *stats = stack->stats;
  stats->retransmissions = adit_port_retransmissions(stack->port);
  stats->memory_bytes = adit_port_memory(stack->port);
  stats->drops[ADIT_DROP_OLD] = adit_port_old_segments(stack->port);
  stats->drops[ADIT_DROP_UNSTAMPED] = adit_port_unstamped_segments(stack->port);
}
