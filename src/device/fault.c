/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A device on which things go wrong.
 *
 * Super-packets: a bad line loses packets of a wire, one at a time, so there must be none larger. The kernel cuts
 * better than anybody could here (it knows TCP, UDP, ECN), so the device behind is opened without offload instead of
 * being cut for. Partial checksums are finished before a packet is kept: it would not be checked otherwise, and a bit
 * that was turned over would go through as good.
 *
 * A packet to which nothing happens goes through without a copy. All else is copied to the line (fault_line.c) and
 * comes out of it when it is due: inward by the next read, outward inside adit_device_advance, or inside the write that
 * made it due. What the device behind refuses of those is counted as lost; whoever wrote it has been told that it went.
 *
 * At the end of what is read (0) packets may still wait: reads then say -EAGAIN until the last one is out.
 */
#include "device/fault.h"

#include "device/finish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fault_device {
  struct adit_device base;
  struct adit_device *inner; /* owned */
  uint64_t now_ns;
  struct adit_fault_line line[ADIT_FAULT_SIDES];
};

/* The first packet that waits inward and is due. Returns 1, or 0 when there is none. */
static int deliver(struct fault_device *self, struct adit_buffer *buffer) {
  struct adit_fault_line *line = &self->line[ADIT_FAULT_IN];
  const struct adit_fault_packet *packet = adit_fault_line_due(line, self->now_ns);
  if (packet == NULL) return 0;
  memcpy(buffer->data, packet->bytes, packet->length); /* it came in such a buffer */
  buffer->length = (uint32_t)packet->length;
  buffer->offload = (struct adit_offload){0};
  adit_fault_line_pop(line);
  return 1;
}

/* Make the checksum of a received packet complete, so that it can be damaged. */
static void finish(struct adit_buffer *buffer) {
  if (buffer->offload.checksum == ADIT_CHECKSUM_PARTIAL) {
    const struct iovec piece = {.iov_base = buffer->data, .iov_len = buffer->length};
    const struct adit_packet packet = {
        .iov = &piece, .iovcnt = 1, .length = buffer->length, .offload = buffer->offload};
    struct iovec pieces[ADIT_FINISH_PIECES];
    uint8_t checksum[2];
    adit_finish_pieces(&packet, checksum, pieces);
    memcpy(buffer->data + buffer->offload.checksum_start + buffer->offload.checksum_offset, checksum, sizeof checksum);
  }
  buffer->offload = (struct adit_offload){0};
}

static int fault_read(struct adit_device *device, struct adit_buffer *buffer) {
  struct fault_device *self = (struct fault_device *)device;
  struct adit_fault_line *line = &self->line[ADIT_FAULT_IN];
  struct adit_fault_fate fate;
  if (deliver(self, buffer) == 1) return 1;
  int result = self->inner->ops->read(self->inner, buffer);
  if (result == 0 && line->first != NULL) return -EAGAIN;
  if (result != 1) return result;
  if (buffer->offload.gso != ADIT_GSO_NONE) return -EBADMSG;
  if (adit_fault_line_admit(line, self->now_ns, &fate)) return 1;
  if (fate.copies == 0) return -EINTR;
  finish(buffer);
  const struct iovec piece = {.iov_base = buffer->data, .iov_len = buffer->length};
  adit_fault_line_keep(line, &fate, &piece, 1);
  return deliver(self, buffer) == 1 ? 1 : -EINTR;
}

/* Write what is due. */
static void release(struct fault_device *self) {
  struct adit_fault_line *line = &self->line[ADIT_FAULT_OUT];
  const struct adit_fault_packet *kept;
  while ((kept = adit_fault_line_due(line, self->now_ns)) != NULL) {
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)kept->bytes, .iov_len = kept->length};
    const struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = kept->length};
    bool damaged = kept->damaged; /* the kernel need not take what is no packet any more */
    if (adit_device_write(self->inner, &packet) != 0 && !damaged) line->counts.lost++;
    adit_fault_line_pop(line);
  }
}

static int fault_write(struct adit_device *device, const struct adit_packet *packet) {
  struct fault_device *self = (struct fault_device *)device;
  struct adit_fault_line *line = &self->line[ADIT_FAULT_OUT];
  struct adit_fault_fate fate;
  int result = 0;
  if (adit_fault_line_admit(line, self->now_ns, &fate)) {
    result = adit_device_write(self->inner, packet);
  } else if (fate.copies > 0) {
    struct iovec pieces[ADIT_FINISH_PIECES];
    uint8_t checksum[2];
    adit_fault_line_keep(line, &fate, pieces, adit_finish_pieces(packet, checksum, pieces));
  }
  release(self);
  return result;
}

static uint64_t fault_deadline(const struct adit_device *device) {
  const struct fault_device *self = (const struct fault_device *)device;
  uint64_t in_ns = adit_fault_line_deadline(&self->line[ADIT_FAULT_IN]);
  uint64_t out_ns = adit_fault_line_deadline(&self->line[ADIT_FAULT_OUT]);
  return in_ns < out_ns ? in_ns : out_ns;
}

static bool fault_advance(struct adit_device *device, uint64_t now_ns) {
  struct fault_device *self = (struct fault_device *)device;
  if (now_ns > self->now_ns) self->now_ns = now_ns;
  release(self);
  return adit_fault_line_due(&self->line[ADIT_FAULT_IN], self->now_ns) != NULL;
}

static void fault_close(struct adit_device *device) {
  struct fault_device *self = (struct fault_device *)device;
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) adit_fault_line_clear(&self->line[side]);
  adit_device_close(self->inner);
  free(self);
}

int adit_fault_new(struct adit_device *inner, const struct adit_fault_plan *plan, unsigned queue,
                   struct adit_device **device) {
  static const struct adit_device_ops ops = {.read = fault_read,
                                             .write = fault_write,
                                             .close = fault_close,
                                             .deadline = fault_deadline,
                                             .advance = fault_advance};
  struct fault_device *self = calloc(1, sizeof *self);
  if (self == NULL) return -ENOMEM;
  self->base = *inner;
  self->base.ops = &ops;
  self->base.offload = 0;
  self->base.dropped = 0;
  self->inner = inner;
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
    uint64_t number = (uint64_t)queue * ADIT_FAULT_SIDES + side;
    adit_fault_line_init(&self->line[side], &plan->side[side], plan->seed * UINT64_C(0x9e3779b97f4a7c15) + number);
  }
  *device = &self->base;
  return 0;
}

const struct adit_fault_counts *adit_fault_count(const struct adit_device *device, enum adit_fault_side side) {
  return &((const struct fault_device *)device)->line[side].counts;
}
