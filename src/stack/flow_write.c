/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a flow sends: bytes that lwIP refers to until they are acknowledged.
 *
 * Bytes written lie in chunks: blocks of memory that a flow takes when it writes and gives back when everything in them has
 * been acknowledged; an idle flow has none. lwIP gets them with tcp_write, without a copy, at once, and sends them with the
 * flush. Lent bytes stay where their owner has them; they only count.
 *
 * Nobody knows how much will be written before it is. So room is lent from spare chunks of the stack, which are warm in the
 * cache; when it turns out to be much the flow takes such a chunk, and when it is little it gets a chunk of that size, with a
 * copy. So a thousand flows with a few bytes each cost a few bytes each. What waits and grows by a few bytes each time gets
 * chunks twice as large each time: lwIP makes one segment of bytes that follow one another, so a byte costs little more than
 * a byte, whoever sends them one by one and takes none back.
 *
 * Of a spare chunk as much is lent as fills whole large segments: what is written piece by piece then leaves as one packet
 * a piece, in one part, and no stub is left at the end.
 *
 * What is committed becomes the flow's first, as `kept` bytes of its last chunks, and is then given to lwIP chunk by chunk.
 * Where memory lacks in the middle the rest stays kept until it is committed again, or given up by the next reserve.
 *
 * `written` counts all bytes ever given to lwIP, and each chunk knows the count at its last byte. lwIP's own book-keeping
 * tells how many are outstanding: its send buffer shrinks by what is written and grows by segments acknowledged. A chunk is
 * free when its last byte is below written - outstanding.
 */
#include <errno.h>
#include <string.h>

#include "hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum {
  CHUNK = 64 * 1024 - 48,   /* bytes of data: with all headers a block of 64 KiB, and the largest segment fits */
  LITTLE = 4 * 1024,        /* bytes: up to this a copy is cheaper than a chunk */
  WORTH = 16 * 1024,        /* bytes: room in a chunk that is worth being filled by itself */
  MOST = 0xffff,            /* bytes that tcp_write takes at once */
  ENOUGH_ROOM = 128 * 1024, /* bytes: `writable` is told when there is so much room, or a quarter of the buffer */
  QUEUE_MOST = 0x8000       /* pbufs queued in lwIP, which counts them with 16 bits */
};

#define NOT_SENT UINT64_MAX

struct adit_chunk {
  struct adit_chunk *next;
  uint64_t end;  /* flow->written after its last byte; NOT_SENT while it has kept bytes */
  uint32_t size; /* bytes of data that it can hold */
  uint32_t used; /* bytes given to lwIP */
  uint32_t lent; /* bytes behind those that reserve has offered */
  uint32_t kept; /* bytes behind those that are the flow's, and that lwIP does not have yet */
  uint8_t data[];
};
_Static_assert(sizeof(struct adit_chunk) == 32, "CHUNK counts on it");

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
  adit_flow_rest(flow);
}

static void feed_all(const struct adit_flow_list *list) {
  for (struct adit_flow *flow = list->first; flow; flow = flow->next) {
    if (!(flow->marks & ADIT_MARK_STARVED)) continue;
    flow->marks &= (uint16_t)~ADIT_MARK_STARVED;
    adit_flow_touch(flow);
  }
}

void adit_flow_feed(struct adit_stack *stack) {
  stack->starved = false;
  feed_all(&stack->opening); /* its owner may write as soon as the SYN-ACK has left */
  feed_all(&stack->busy);
}

void adit_flow_reclaim(struct adit_flow *flow) {
  if (flow->pcb) {
    uint64_t acknowledged = flow->written - (flow->stack->send_bytes - flow->pcb->snd_buf);
    if (flow->acknowledged != (uint32_t)acknowledged) adit_idle_moved(flow);
    flow->acknowledged = (uint32_t)acknowledged;
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
  if (flow->stack->lent_to == flow) flow->stack->lent_to = NULL;
}

void adit_flow_free_spare(struct adit_stack *stack) {
  while (stack->spare) {
    struct adit_chunk *chunk = stack->spare;
    stack->spare = chunk->next;
    adit_port_free(chunk);
  }
  stack->lent_to = NULL;
}

size_t adit_flow_room(const struct adit_flow *flow) {
  return room(flow);
}

static struct adit_chunk *new_chunk(struct adit_stack *stack, uint32_t size) {
  if (!adit_port_may_hold(stack->port, sizeof(struct adit_chunk) + size)) return NULL;
  struct adit_chunk *chunk = adit_port_malloc(sizeof *chunk + size);
  if (chunk) *chunk = (struct adit_chunk){.size = size};
  return chunk;
}

static void append(struct adit_flow *flow, struct adit_chunk *chunk) {
  chunk->next = NULL;
  chunk->end = flow->written;
  if (flow->chunks) {
    flow->chunks_tail->next = chunk;
  } else {
    flow->chunks = chunk;
  }
  flow->chunks_tail = chunk;
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

/* Its owner has given up what is kept. */
static void forget_kept(struct adit_flow *flow) {
  if (!flow->chunks_tail || flow->chunks_tail->end != NOT_SENT) return;
  for (struct adit_chunk *chunk = flow->chunks; chunk; chunk = chunk->next) {
    if (chunk->end != NOT_SENT) continue;
    chunk->end = flow->written;
    chunk->kept = 0;
  }
}

static struct iovec lend(struct adit_chunk *chunk, size_t bytes) {
  chunk->lent = (uint32_t)bytes;
  return (struct iovec){chunk->data + chunk->used, bytes};
}

unsigned adit_flow_reserve(struct adit_flow *flow, struct iovec *iov, unsigned iovcnt) {
  struct adit_stack *stack = flow->stack;
  struct adit_chunk *last = flow->chunks_tail;
  size_t bytes = room(flow);
  if (bytes == 0 || iovcnt == 0) {
    owe_writable(flow);
    return 0;
  }
  unsigned count = 0;
  forget_kept(flow);
  if (last) {
    last->lent = last->size - last->used < WORTH ? 0 : (uint32_t)LWIP_MIN(bytes, (size_t)(last->size - last->used));
    if (last->lent > 0) iov[count++] = lend(last, last->lent);
    bytes -= last->lent;
  }
  struct adit_port *outer = adit_port_enter(stack->port);
  uint32_t segment = adit_port_segment_payload(flow->pcb);
  uint32_t whole = segment < CHUNK ? CHUNK - CHUNK % segment : CHUNK;
  struct adit_chunk **spare = &stack->spare;
  while (count < iovcnt && bytes > 0 && (count == 0 || bytes >= whole)) {
    if (!*spare) *spare = new_chunk(stack, CHUNK);
    if (!*spare) break;
    iov[count++] = lend(*spare, LWIP_MIN(bytes, (size_t)whole));
    bytes -= (*spare)->lent;
    spare = &(*spare)->next;
  }
  for (; *spare; spare = &(*spare)->next) (*spare)->lent = 0;
  adit_port_leave(outer);
  stack->lent_to = count > 0 ? flow : NULL;
  if (count == 0) starve(flow);
  return count;
}

/* How large a chunk for `bytes` bytes is to be, behind those that wait: with room for more, when little came before. */
static uint32_t size_of_little(const struct adit_flow *flow, size_t bytes) {
  uint32_t before = flow->chunks_tail ? flow->chunks_tail->size : 0;
  return LWIP_MAX(LWIP_MIN(2 * before, (uint32_t)LITTLE), (uint32_t)bytes);
}

static void keep(struct adit_chunk *chunk, uint32_t bytes) {
  chunk->kept += bytes;
  chunk->end = NOT_SENT;
}

/* The first `bytes` bytes of the first spare chunk become the flow's: little by a copy, much with the chunk. */
static void take_spare(struct adit_flow *flow, uint32_t bytes) {
  struct adit_stack *stack = flow->stack;
  struct adit_chunk *spare = stack->spare;
  struct adit_chunk *chunk = flow->chunks_tail;
  if (bytes <= LITTLE && chunk && bytes <= chunk->size - chunk->used - chunk->kept) {
    memcpy(chunk->data + chunk->used + chunk->kept, spare->data, bytes);
    keep(chunk, bytes);
    return;
  }
  chunk = bytes <= LITTLE ? new_chunk(stack, size_of_little(flow, bytes)) : NULL;
  if (chunk) {
    memcpy(chunk->data, spare->data, bytes);
  } else {
    chunk = spare;
    stack->spare = spare->next;
  }
  append(flow, chunk);
  keep(chunk, bytes);
}

/* The first `bytes` bytes of what was lent become the flow's. */
static void take_lent(struct adit_flow *flow, size_t bytes) {
  struct adit_stack *stack = flow->stack;
  struct adit_chunk *last = flow->chunks_tail;
  stack->lent_to = NULL;
  if (last && last->lent > 0) {
    uint32_t taken = (uint32_t)LWIP_MIN(bytes, (size_t)last->lent);
    keep(last, taken);
    bytes -= taken;
  }
  while (bytes > 0) {
    uint32_t taken = (uint32_t)LWIP_MIN(bytes, (size_t)stack->spare->lent);
    take_spare(flow, taken); /* a copy leaves the chunk where it is: only the last bytes are so few */
    bytes -= taken;
  }
}

/* Bytes that may be committed: those lent last, or those kept. */
static size_t committable(const struct adit_flow *flow) {
  const struct adit_stack *stack = flow->stack;
  const struct adit_chunk *last = flow->chunks_tail;
  bool fresh = stack->lent_to == flow;
  size_t bytes = fresh && last ? last->lent : 0;
  for (const struct adit_chunk *chunk = fresh ? stack->spare : flow->chunks; chunk; chunk = chunk->next)
    bytes += fresh ? chunk->lent : chunk->kept;
  return bytes;
}

ssize_t adit_flow_commit(struct adit_flow *flow, size_t bytes) {
  if (bytes == 0) return 0;
  if (bytes > committable(flow) || bytes > room(flow)) return -EINVAL;
  struct adit_port *outer = adit_port_enter(flow->stack->port);
  struct adit_chunk *chunk = flow->chunks_tail; /* nothing is kept before the last one of now, when all of it is new */
  bool fresh = flow->stack->lent_to == flow;
  if (fresh) take_lent(flow, bytes);
  if (!fresh || !chunk) chunk = flow->chunks;
  size_t sent = 0;
  int error = 0;
  for (; chunk && sent < bytes; chunk = chunk->next) {
    if (chunk->kept == 0) continue;
    size_t piece = LWIP_MIN(bytes - sent, (size_t)chunk->kept);
    error = queue(flow, chunk->data + chunk->used, piece);
    if (error) break;
    sent += piece;
    chunk->used += (uint32_t)piece;
    chunk->kept -= (uint32_t)piece;
    if (chunk->kept == 0) chunk->end = flow->written;
  }
  adit_port_leave(outer);
  if (error) starve(flow);
  return sent > 0 ? (ssize_t)sent : error;
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
    ssize_t sent = adit_flow_commit(flow, bytes);
    if (sent > 0) done += (size_t)sent;
    if (sent < (ssize_t)bytes) break;
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
