/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Two devices back to back in memory.
 *
 * Both ends share one struct pair, which lives until the second of them is closed. It has one queue in each direction:
 * a ring of slots that keep their memory, so that a pair in use allocates nothing once it has seen its largest
 * packets. An end writes to the queue of its own side and reads from that of the other. When an end is closed, what it
 * wrote can still be read; what waited for it is kept until the other end goes too, though nobody can read it.
 */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENDS = 2 };

/* A packet that waits. */
struct slot {
  uint8_t *bytes; /* owned, NULL before the first use */
  size_t room;    /* bytes allocated */
  size_t length;  /* of the packet */
  struct adit_offload offload;
};

struct queue {
  struct slot *slots; /* owned, `depth` of them */
  size_t first;       /* the next one to read */
  size_t used;        /* how many wait */
};

struct pair_device {
  struct adit_device base;
  struct pair *pair;
  unsigned side; /* index of its own queue */
};

struct pair {
  size_t depth;
  bool closed[ENDS];
  struct queue queue[ENDS]; /* indexed by the side that writes */
  struct pair_device end[ENDS];
};

static int pair_read(struct adit_device *device, struct adit_buffer *buffer) {
  const struct pair_device *self = (const struct pair_device *)device;
  struct pair *pair = self->pair;
  unsigned other = 1 - self->side;
  struct queue *queue = &pair->queue[other];
  if (queue->used == 0) return pair->closed[other] ? -EPIPE : -EAGAIN;
  const struct slot *slot = &queue->slots[queue->first];
  queue->first = (queue->first + 1) % pair->depth;
  queue->used--;
  if (slot->length > buffer->capacity) return -EBADMSG;
  memcpy(buffer->data, slot->bytes, slot->length);
  buffer->length = (uint32_t)slot->length;
  buffer->offload = slot->offload;
  return 1;
}

static int pair_write(struct adit_device *device, const struct adit_packet *packet) {
  const struct pair_device *self = (const struct pair_device *)device;
  struct pair *pair = self->pair;
  struct queue *queue = &pair->queue[self->side];
  if (pair->closed[1 - self->side]) return -EPIPE;
  if (packet->length > ADIT_PACKET_MAX) return -EMSGSIZE;
  if (queue->used == pair->depth) return -EAGAIN;
  struct slot *slot = &queue->slots[(queue->first + queue->used) % pair->depth];
  if (slot->room < packet->length) {
    uint8_t *bytes = malloc(packet->length);
    if (bytes == NULL) return -ENOMEM;
    free(slot->bytes);
    slot->bytes = bytes;
    slot->room = packet->length;
  }
  slot->length = 0;
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    if (packet->iov[i].iov_len == 0) continue;
    memcpy(slot->bytes + slot->length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    slot->length += packet->iov[i].iov_len;
  }
  slot->offload = packet->offload;
  queue->used++;
  return 0;
}

static void queue_free(struct queue *queue, size_t depth) {
  if (queue->slots == NULL) return;
  for (size_t i = 0; i < depth; i++) free(queue->slots[i].bytes);
  free(queue->slots);
}

static void pair_free(struct pair *pair) {
  for (unsigned side = 0; side < ENDS; side++) queue_free(&pair->queue[side], pair->depth);
  free(pair);
}

static void pair_close(struct adit_device *device) {
  const struct pair_device *self = (const struct pair_device *)device;
  struct pair *pair = self->pair;
  pair->closed[self->side] = true;
  if (pair->closed[1 - self->side]) pair_free(pair);
}

int adit_device_pair(enum adit_link link, size_t depth, struct adit_device *ends[2]) {
  static const struct adit_device_ops ops = {.read = pair_read, .write = pair_write, .close = pair_close};
  if ((link != ADIT_LINK_IP && link != ADIT_LINK_ETHERNET) || depth == 0 || ends == NULL) return -EINVAL;
  if (depth > SIZE_MAX / sizeof(struct slot)) return -ENOMEM;
  struct pair *pair = calloc(1, sizeof *pair);
  if (pair == NULL) return -ENOMEM;
  pair->depth = depth;
  for (unsigned side = 0; side < ENDS; side++) {
    pair->queue[side].slots = calloc(depth, sizeof *pair->queue[side].slots);
    if (pair->queue[side].slots == NULL) {
      pair_free(pair);
      return -ENOMEM;
    }
    pair->end[side] = (struct pair_device){
        .base = {.ops = &ops,
                 .link = link,
                 .fd = -1,
                 .offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_ECN |
                            ADIT_OFFLOAD_USO,
                 .name = "pair"},
        .pair = pair,
        .side = side,
    };
  }
  for (unsigned side = 0; side < ENDS; side++) ends[side] = &pair->end[side].base;
  return 0;
}
