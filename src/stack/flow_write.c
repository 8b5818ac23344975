/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a flow sends: bytes that lwIP refers to until they are acknowledged.
 *
 * Bytes written lie in chunks: blocks of memory that a flow takes when it writes and gives back when everything in them has
 * been acknowledged; an idle flow has none. lwIP gets them with tcp_write, without a copy, at once, and sends them with the
 * flush. Lent bytes stay where their owner has them; they only count.
 *
 * `written` counts all bytes ever given to lwIP, and each chunk knows the count at its last byte. lwIP's own book-keeping
 * tells how many are outstanding: its send buffer shrinks by what is written and grows by segments acknowledged. A chunk is
 * free when its last byte is below written - outstanding.
 */
#include <errno.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum {
  CHUNK = 64 * 1024 - 64,   /* bytes of data: with all headers a block of 64 KiB */
  MOST = 0xffff,            /* bytes that tcp_write takes at once */
  ENOUGH_ROOM = 128 * 1024, /* bytes: `writable` is told when there is so much room, or a quarter of the buffer */
  QUEUE_MOST = 0x8000       /* pbufs queued in lwIP, which counts them with 16 bits */
};

struct adit_chunk {
  struct adit_chunk *next;
  uint64_t end;  /* flow->written after its last byte */
  uint32_t used; /* bytes given to lwIP */
  uint8_t data[CHUNK];
};

static size_t room(const struct adit_flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  if (!pcb || (flow->marks & ADIT_MARK_SHUT) || flow->state == ADIT_FLOW_CLOSED) return 0;
  if (pcb->snd_queuelen >= QUEUE_MOST) return 0;
  return pcb->snd_buf; /* not tcp_sndbuf(), which is clamped to 16 bits */
}

static size_t enough(const struct adit_flow *flow) {
  return LWIP_MIN(ENOUGH_ROOM, flow->stack->send_bytes / 4);
}

static void owe_writable(struct adit_flow *flow) {
  flow->marks |= ADIT_MARK_WANTS_ROOM;
}

/* There is room, but no memory: no acknowledgment may come that makes the flush look at this flow again. */
static void starve(struct adit_flow *flow) {
  owe_writable(flow);
  flow->marks |= ADIT_MARK_STARVED;
  flow->stack->starved = true;
}

void adit_flow_feed(struct adit_stack *stack) {
  stack->starved = false;
  for (uint32_t slot = 0; slot <= stack->table_mask; slot++) {
    for (struct adit_flow *flow = stack->table[slot]; flow; flow = flow->next_in_table) {
      if (!(flow->marks & ADIT_MARK_STARVED)) continue;
      flow->marks &= (uint16_t)~ADIT_MARK_STARVED;
      adit_flow_touch(flow);
    }
  }
}

void adit_flow_reclaim(struct adit_flow *flow) {
  if (flow->pcb) {
    uint64_t acknowledged = flow->written - (flow->stack->send_bytes - flow->pcb->snd_buf);
    while (flow->chunks && flow->chunks->end <= acknowledged) {
      struct adit_chunk *chunk = flow->chunks;
      flow->chunks = chunk->next;
      if (!flow->chunks) flow->chunks_tail = NULL;
      adit_port_free(chunk);
    }
  }
  if ((flow->marks & ADIT_MARK_WANTS_ROOM) && room(flow) >= enough(flow)) {
    flow->marks &= (uint16_t)~ADIT_MARK_WANTS_ROOM;
    flow->pending |= ADIT_PENDING_WRITABLE;
  }
}

void adit_flow_free_chunks(struct adit_flow *flow) {
  while (flow->chunks) {
    struct adit_chunk *chunk = flow->chunks;
    flow->chunks = chunk->next;
    adit_port_free(chunk);
  }
  flow->chunks_tail = NULL;
}

size_t adit_flow_room(const struct adit_flow *flow) {
  return room(flow);
}

/* The chunk that the next bytes go to, a new one if need be; NULL without memory. */
static struct adit_chunk *chunk_with_room(struct adit_flow *flow) {
  struct adit_chunk *tail = flow->chunks_tail;
  if (tail && tail->used < CHUNK) return tail;
  if (!adit_port_may_hold(flow->stack->port, sizeof(struct adit_chunk))) return NULL;
  struct adit_chunk *chunk = adit_port_malloc(sizeof *chunk);
  if (!chunk) return NULL;
  chunk->next = NULL;
  chunk->end = flow->written;
  chunk->used = 0;
  if (tail) {
    tail->next = chunk;
  } else {
    flow->chunks = chunk;
  }
  flow->chunks_tail = chunk;
  return chunk;
}

/* Give bytes to lwIP without a copy. Returns 0 or a negative errno. */
static int queue(struct adit_flow *flow, const void *data, size_t length) {
  if (!adit_port_may_hold(flow->stack->port, 0)) return -ENOBUFS;
  int error = adit_port_error(tcp_write(flow->pcb, data, (u16_t)length, 0));
  if (error) return error;
  flow->written += length;
  adit_flow_touch(flow);
  return 0;
}

unsigned adit_flow_reserve(struct adit_flow *flow, struct iovec *iov, unsigned iovcnt) {
  size_t bytes = room(flow);
  if (bytes == 0 || iovcnt == 0) {
    owe_writable(flow);
    return 0;
  }
  struct adit_port *outer = adit_port_enter(flow->stack->port);
  struct adit_chunk *chunk = chunk_with_room(flow);
  adit_port_leave(outer);
  if (!chunk) {
    starve(flow);
    return 0;
  }
  iov[0] = (struct iovec){chunk->data + chunk->used, LWIP_MIN(bytes, (size_t)(CHUNK - chunk->used))};
  return 1;
}

int adit_flow_commit(struct adit_flow *flow, size_t bytes) {
  struct adit_chunk *chunk = flow->chunks_tail;
  if (bytes == 0) return 0;
  if (!chunk || bytes > CHUNK - chunk->used || bytes > room(flow)) return -EINVAL;
  struct adit_port *outer = adit_port_enter(flow->stack->port);
  int error = queue(flow, chunk->data + chunk->used, bytes);
  adit_port_leave(outer);
  if (error) {
    starve(flow);
    return error;
  }
  chunk->used += (uint32_t)bytes;
  chunk->end = flow->written;
  return 0;
}

ssize_t adit_flow_write(struct adit_flow *flow, const void *data, size_t length) {
  if (flow->state == ADIT_FLOW_PARKED) return -ENOTCONN;
  if (flow->marks & ADIT_MARK_SHUT) return -EPIPE;
  size_t done = 0;
  while (done < length) {
    struct iovec iov;
    if (adit_flow_reserve(flow, &iov, 1) == 0) break;
    size_t bytes = LWIP_MIN(length - done, iov.iov_len);
    memcpy(iov.iov_base, (const char *)data + done, bytes);
    if (adit_flow_commit(flow, bytes) != 0) break;
    done += bytes;
  }
  return (ssize_t)done;
}

ssize_t adit_flow_lend(struct adit_flow *flow, const void *data, size_t length) {
  if (flow->state == ADIT_FLOW_PARKED) return -ENOTCONN;
  if (flow->marks & ADIT_MARK_SHUT) return -EPIPE;
  struct adit_port *outer = adit_port_enter(flow->stack->port);
  size_t done = 0;
  while (done < length) {
    size_t bytes = LWIP_MIN(LWIP_MIN(length - done, room(flow)), (size_t)MOST);
    if (bytes == 0) {
      owe_writable(flow);
      break;
    }
    if (queue(flow, (const char *)data + done, bytes) != 0) {
      starve(flow);
      break;
    }
    done += bytes;
  }
  adit_port_leave(outer);
  return (ssize_t)done;
}
