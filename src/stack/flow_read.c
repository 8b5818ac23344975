/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a flow has received: a queue of pbufs, looked at in place.
 *
 * lwIP hands over chains whose lengths are 16 bits, and more than 64 KiB may wait. So the queue is not a chain in lwIP's
 * sense: pbufs are linked by `next` alone, each is owned by the queue and freed by itself.
 *
 * The window opens by what the owner consumes, at the flush. Until then the peer may have at most a window of bytes here. A
 * flow begins with a small window, which doubles each time that as much was consumed, up to adit_stack_options.window_bytes:
 * what nobody reads from never holds much. Beyond AMPLE_WINDOW it grows only while it is used up slowly: the peer is far away
 * then. One that is near would only fill the device's queue, in front of everybody else's packets. When the budget is nearly spent the windows of all flows get smaller, before data
 * has to be dropped. What a window lacks is `withheld`: rcv_wnd + received_bytes + consumed + withheld is the same all the
 * time. A window that was announced is never taken back.
 *
 * A pbuf refers to a whole receive buffer, however little it holds. While the owner reads along, that does not matter; what
 * still waits at the end of a flush is settled: little data is copied out of its buffer, and what is very little is gathered
 * in common pbufs, so that what waits costs memory in proportion to its bytes, in segments of one byte as well.
 */
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum {
  FIRST_WINDOW = 128 * 1024, /* bytes: two super-packets may be under way */
  AMPLE_WINDOW = 512 * 1024, /* bytes: more than this only for who needs */
  AMPLE_US = 5000,           /* longer than this for all of it, at 800 Mbit/s: it is needed */
  LEAST_WINDOW = 2048,       /* bytes: with less memory than for this the window stays shut */
  SMALL = 16 * 1024,         /* bytes: less than this is not worth a buffer of 64 KiB */
  TINY = 1024,               /* bytes: less than this is not worth a pbuf of its own */
  GATHER_MOST = 4096 - 48,   /* bytes: with all headers a block of 4 KiB */
  GATHERED = 0x80            /* flag of a pbuf that was made here; lwIP has none of this value */
};

err_t adit_flow_on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t err) {
  struct adit_flow *flow = arg;
  (void)err;
  adit_flow_touch(flow);
  /* lwIP acknowledges every second segment at once. Here the end of the burst is soon enough for all of them. What it has
   * acknowledged itself, because of a gap, is not acknowledged again: it would look like a duplicate. */
  if (pcb->flags & TF_ACK_NOW) {
    tcp_clear_flags(pcb, TF_ACK_NOW);
    tcp_set_flags(pcb, TF_ACK_DELAY);
  }
  if (!pbuf) {
    flow->marks |= ADIT_MARK_PEER_CLOSED;
    flow->pending |= ADIT_PENDING_PEER_CLOSED;
    return ERR_OK;
  }
  flow->pending |= ADIT_PENDING_READABLE;
  adit_idle_moved(flow);
  if (flow->received) {
    flow->received_tail->next = pbuf;
  } else {
    flow->received = pbuf;
  }
  for (;; pbuf = pbuf->next) {
    flow->received_bytes += pbuf->len;
    if (!pbuf->next) break;
  }
  flow->received_tail = pbuf;
  return ERR_OK;
}

static void free_one(struct pbuf *pbuf) {
  pbuf->next = NULL;
  pbuf_free(pbuf);
}

void adit_flow_discard(struct adit_flow *flow) {
  while (flow->received) {
    struct pbuf *pbuf = flow->received;
    flow->received = pbuf->next;
    free_one(pbuf);
  }
  flow->received_bytes = 0;
}

/* What the peer may have under way or waiting here, for lack of memory less than `flow->window`. */
static uint32_t window_of(const struct adit_flow *flow) {
  uint32_t affordable = adit_port_affordable_window(flow->stack->port);
  if (affordable < LEAST_WINDOW) return 0;
  return LWIP_MIN(flow->window, affordable);
}

void adit_flow_begin_window(struct adit_flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  flow->window = FIRST_WINDOW;
  uint32_t window = LWIP_MIN(window_of(flow), pcb->rcv_wnd);
  flow->withheld = pcb->rcv_wnd - window;
  pcb->rcv_wnd = pcb->rcv_ann_wnd = window;
}

/* Another window was consumed. */
static void grow_window(struct adit_flow *flow) {
  uint32_t now_us = (uint32_t)(adit_port_now() / 1000);
  if (flow->window < AMPLE_WINDOW || now_us - flow->window_us >= AMPLE_US)
    flow->window = LWIP_MIN(2 * flow->window, (uint32_t)TCP_WND_MAX(flow->pcb));
  flow->window_us = now_us;
  flow->used = 0;
}

bool adit_flow_open_window(struct adit_flow *flow) {
  struct tcp_pcb *pcb = flow->pcb;
  flow->withheld += flow->consumed;
  flow->used += flow->consumed;
  flow->consumed = 0;
  if (flow->used >= flow->window) grow_window(flow);
  if (flow->withheld == 0) return false;
  uint32_t window = window_of(flow);
  uint32_t taken = pcb->rcv_wnd + (uint32_t)flow->received_bytes;
  if (window < flow->window && taken >= window / 2) { /* for more it takes memory: seen again with the next tick */
    flow->marks |= ADIT_MARK_STARVED;
    flow->stack->starved = true;
  }
  if (taken >= window) return false;
  uint32_t opened = LWIP_MIN(flow->withheld, window - taken);
  flow->withheld -= opened;
  pcb->rcv_wnd += opened;
  /* Worth telling: a quarter of the window, but not more than what a fast sender must not wait for. */
  return tcp_update_rcv_ann_wnd(pcb) >= LWIP_MIN(TCP_WND_UPDATE_THRESHOLD, LWIP_MIN(window, TCP_WND_MAX(pcb)) / 4);
}

/* Room behind the bytes of a pbuf of ours; its tot_len is its capacity. */
static uint16_t room_in(const struct pbuf *pbuf) {
  return pbuf && (pbuf->flags & GATHERED) ? (uint16_t)(pbuf->tot_len - pbuf->len) : 0;
}

/* A pbuf of ours for the bytes of `pbuf`, with room for more when they are few: twice as much each time. */
static struct pbuf *gather(const struct pbuf *pbuf, const struct pbuf *previous) {
  unsigned capacity = previous && (previous->flags & GATHERED) ? 2U * previous->tot_len : 0;
  capacity = LWIP_MAX(LWIP_MIN(capacity, (unsigned)GATHER_MOST), pbuf->len);
  struct adit_port *port = ((struct adit_stack *)adit_port_user())->port;
  struct pbuf *copy = adit_port_may_hold(port, capacity) ? pbuf_alloc(PBUF_RAW, (u16_t)capacity, PBUF_RAM) : NULL;
  if (!copy) return NULL;
  copy->flags |= GATHERED;
  copy->len = pbuf->len;
  memcpy(copy->payload, pbuf->payload, pbuf->len);
  return copy;
}

void adit_flow_settle(struct adit_flow *flow) {
  struct pbuf *previous = flow->settled;
  struct pbuf *next;
  for (struct pbuf *pbuf = previous ? previous->next : flow->received; pbuf; pbuf = next) {
    next = pbuf->next;
    if (pbuf->len >= (adit_port_is_wrapped(pbuf) ? SMALL : TINY)) {
      previous = pbuf;
      continue;
    }
    struct pbuf *last = previous; /* what holds the bytes afterwards */
    if (previous && pbuf->len <= room_in(previous)) {
      memcpy((char *)previous->payload + previous->len, pbuf->payload, pbuf->len);
      previous->len = (u16_t)(previous->len + pbuf->len);
    } else {
      last = gather(pbuf, previous);
      if (!last) break; /* with the next flush, perhaps */
      if (previous) {
        previous->next = last;
      } else {
        flow->received = last;
      }
    }
    last->next = next;
    if (flow->received_tail == pbuf) flow->received_tail = last;
    free_one(pbuf);
    previous = last;
  }
  flow->settled = previous;
}

size_t adit_flow_available(const struct adit_flow *flow) {
  return flow->received_bytes;
}

unsigned adit_flow_peek(const struct adit_flow *flow, struct iovec *iov, unsigned iovcnt) {
  unsigned count = 0;
  uint32_t offset = flow->received_offset;
  for (const struct pbuf *pbuf = flow->received; pbuf && count < iovcnt; pbuf = pbuf->next, offset = 0) {
    if (pbuf->len == offset) continue;
    iov[count++] = (struct iovec){(char *)pbuf->payload + offset, pbuf->len - offset};
  }
  return count;
}

void adit_flow_consume(struct adit_flow *flow, size_t bytes) {
  if (bytes > flow->received_bytes) bytes = flow->received_bytes;
  if (bytes == 0) return;
  flow->received_bytes -= bytes;
  flow->consumed += (uint32_t)bytes;
  adit_flow_touch(flow);
  struct adit_port *outer = adit_port_enter(flow->stack->port);
  while (flow->received && bytes >= flow->received->len - flow->received_offset) {
    struct pbuf *pbuf = flow->received;
    bytes -= pbuf->len - flow->received_offset;
    flow->received_offset = 0;
    flow->received = pbuf->next;
    if (flow->settled == pbuf) flow->settled = NULL;
    free_one(pbuf);
  }
  flow->received_offset += (uint32_t)bytes;
  adit_port_leave(outer);
}

size_t adit_flow_read(struct adit_flow *flow, void *data, size_t length) {
  size_t copied = 0;
  uint32_t offset = flow->received_offset;
  for (const struct pbuf *pbuf = flow->received; pbuf && copied < length; pbuf = pbuf->next, offset = 0) {
    size_t bytes = LWIP_MIN(length - copied, (size_t)pbuf->len - offset);
    memcpy((char *)data + copied, (const char *)pbuf->payload + offset, bytes);
    copied += bytes;
  }
  adit_flow_consume(flow, copied);
  return copied;
}
