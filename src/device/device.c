/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The handle: what is the same for all kinds of devices, and dispatch to the one it is.
 *
 * Reads take the buffer before they ask for the packet, so that a packet for which there is no room stays where it is.
 * Writes check the offload notes here, once for all kinds; what a kind's `write` gets is consistent and within what the
 * device offers, but a partial checksum may still have to be finished (device/finish.h).
 */
#include "device/device.h"

#include <errno.h>

#include "device/vnet.h"

/* An Ethernet header has 14 bytes: two more in front of it align the IP header behind it to four. */
enum { ETHERNET_SHIFT = 2 };

struct adit_buffer *adit_device_buffer(const struct adit_device *device, struct adit_pool *pool) {
  struct adit_buffer *fresh = adit_buffer_new(pool);
  if (fresh != NULL && device->link == ADIT_LINK_ETHERNET) {
    fresh->data += ETHERNET_SHIFT;
    fresh->capacity -= ETHERNET_SHIFT;
  }
  return fresh;
}

static int read_alone(struct adit_device *device, struct adit_pool *pool, struct adit_buffer **buffer) {
  struct adit_buffer *fresh = adit_device_buffer(device, pool);
  if (fresh == NULL) return -ENOBUFS;
  int result = device->ops->read(device, fresh);
  if (result == 1)
    *buffer = fresh;
  else
    adit_buffer_unref(fresh);
  return result;
}

int adit_device_read(struct adit_device *device, struct adit_pool *pool, struct adit_buffer **buffer) {
  int result = device->ops->take != NULL ? device->ops->take(device, pool, buffer) : ADIT_DEVICE_ALONE;
  if (result == ADIT_DEVICE_ALONE) result = read_alone(device, pool, buffer);
  if (result == -EBADMSG) device->dropped++;
  return result;
}

int adit_device_gather(struct adit_device *device, enum adit_gather when) {
  if (when == ADIT_GATHER_NEVER) return 0;
  if (when != ADIT_GATHER_IF_FASTER && when != ADIT_GATHER_ALWAYS) return -EINVAL;
  return device->ops->gather != NULL ? device->ops->gather(device, when) : -EOPNOTSUPP;
}

void adit_device_expect(struct adit_device *device, unsigned packets) {
  if (device->ops->expect != NULL) device->ops->expect(device, packets);
}

int adit_device_write(struct adit_device *device, const struct adit_packet *packet) {
  if (packet->iovcnt > ADIT_PACKET_PIECES) return -EINVAL;
  size_t length = 0;
  for (unsigned i = 0; i < packet->iovcnt; i++) length += packet->iov[i].iov_len;
  if (length == 0 || length != packet->length) return -EINVAL;
  if (length > (device->offload & ADIT_OFFLOAD_BIG_TCP ? ADIT_PACKET_BIG : ADIT_PACKET_MAX)) return -EMSGSIZE;
  int result = adit_vnet_check(packet, device->offload);
  if (result != 0) return result;
  return device->ops->write(device, packet);
}

unsigned adit_device_flush(struct adit_device *device, int *error) {
  *error = 0;
  return device->ops->flush != NULL ? device->ops->flush(device, error) : 0;
}

int adit_device_fd(const struct adit_device *device) {
  return device->fd;
}

const char *adit_device_name(const struct adit_device *device) {
  return device->name;
}

enum adit_link adit_device_link(const struct adit_device *device) {
  return device->link;
}

uint32_t adit_device_offload(const struct adit_device *device) {
  return device->offload;
}

void adit_device_forgo(struct adit_device *device, uint32_t bits) {
  device->offload &= ~bits;
}

const uint8_t *adit_device_mac(const struct adit_device *device) {
  return device->mac;
}

uint64_t adit_device_dropped(const struct adit_device *device) {
  return device->dropped;
}

uint64_t adit_device_deadline(const struct adit_device *device) {
  return device->ops->deadline == NULL ? UINT64_MAX : device->ops->deadline(device);
}

bool adit_device_advance(struct adit_device *device, uint64_t now_ns) {
  return device->ops->advance != NULL && device->ops->advance(device, now_ns);
}

void adit_device_close(struct adit_device *device) {
  if (device != NULL) device->ops->close(device);
}
