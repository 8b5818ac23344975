/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * lwIP sees one connection at a time.
 *
 * lwIP keeps its connections in lists, and walks them: to find the one that a segment is for, to unlink one, and with
 * every tick. src/stack finds a flow by its hash and knows which ones need a tick, so between two calls lwIP's lists are
 * empty. For a segment or a tick the connection at hand is put into them, alone: what lwIP walks has one entry. It is to
 * its lists what adit_port_wear is to its address, and it takes no patch. Everything else that lwIP does with a
 * connection (writing, sending, closing) looks at no list; taking a connection from a list that it is not in does nothing.
 *
 * When memory runs out lwIP would look in these lists for a connection to sacrifice. It finds none, and refuses the new one.
 */
#include "lwip/priv/tcp_priv.h"
#include "state.h"

void adit_port_show(struct tcp_pcb *pcb) {
  LWIP_ASSERT("one at a time", tcp_active_pcbs == NULL && tcp_tw_pcbs == NULL);
  LWIP_ASSERT("TIME-WAIT is src/stack's", pcb->state != TIME_WAIT);
  pcb->next = NULL;
  tcp_active_pcbs = pcb;
}

void adit_port_hide(void) {
  tcp_active_pcbs = NULL;
  tcp_tw_pcbs = NULL;
}

/*
 * Each of lwIP's two timer functions counts its calls, and skips a connection that bears the present count; the slow one
 * counts ticks as well. Here they are called once for each connection.
 */
void adit_port_tick(struct tcp_pcb *pcb) {
  struct adit_port *port = adit_port_current();
  u32_t ticks = tcp_ticks;
  adit_port_show(pcb);
  pcb->last_timer = port->timer_calls;
  tcp_fasttmr();
  port->timer_calls++;
  if (tcp_active_pcbs) {
    tcp_ticks = ticks - 1;
    tcp_slowtmr();
    port->timer_calls++;
  }
  tcp_ticks = ticks;
  adit_port_hide();
}

void adit_port_count_ticks(uint32_t ticks) {
  tcp_ticks += ticks;
}
