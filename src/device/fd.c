/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets through an fd: one readv or writev each, without a copy or an allocation. With a ring (device/ring.h) several
 * that are expected are read with one system call, and small ones, copied, written with one.
 *
 * What stands in front of a packet, in this order (tun_get_user, tun_put_user in the kernel's drivers/net/tun.c):
 *   struct tun_pi          unless IFF_NO_PI: flags, and the EtherType that a written packet needs on TUN
 *   struct virtio_net_hdr  with IFF_VNET_HDR; possibly longer than ten bytes, the rest is for features not used here
 *
 * The kernel cuts a packet that is longer than the room it is given and does not say so: one byte more than the buffer
 * has is offered, and when something lands there, the packet was cut.
 */
#include "device/fd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/finish.h"
#include "device/ring.h"
#include "device/vnet.h"

static_assert(sizeof(struct tun_pi) == 4, "layout of the kernel");
static_assert(ADIT_DEVICE_NAME == IFNAMSIZ, "a name of the kernel's fits");

struct fd_device {
  struct adit_device base;
  bool own;
  bool socket;
  bool ends;
  uint8_t vnet_at;        /* offset of the vnet header: behind the packet information */
  uint8_t vnet_length;    /* 0 = none */
  uint8_t head_length;    /* both */
  struct adit_ring *ring; /* owned; NULL: one read a packet */
};

/* What became of a read of `got` bytes, or of none with a negative errno. */
static int finish(const struct fd_device *self, ssize_t got, const uint8_t *head, struct adit_buffer *buffer) {
  if (got < 0) return (int)got;
  if (got == 0 && self->ends) return 0;
  if (got <= self->head_length) return -EBADMSG;
  size_t length = (size_t)got - self->head_length;
  if (length > buffer->capacity) return -EBADMSG;
  if (self->vnet_length != 0) {
    struct virtio_net_hdr vnet;
    memcpy(&vnet, head + self->vnet_at, sizeof vnet);
    int result = adit_vnet_parse(&vnet, length, &buffer->offload);
    if (result != 0) return result;
  }
  buffer->length = (uint32_t)length;
  return 1;
}

static int fd_read(struct adit_device *device, struct adit_buffer *buffer) {
  const struct fd_device *self = (const struct fd_device *)device;
  uint8_t head[ADIT_FD_HEADER];
  uint8_t excess;
  struct iovec iov[] = {
      {.iov_base = head, .iov_len = self->head_length},
      {.iov_base = buffer->data, .iov_len = buffer->capacity},
      {.iov_base = &excess, .iov_len = sizeof excess},
  };
  ssize_t got = readv(device->fd, iov, 3);
  return finish(self, got < 0 ? -errno : got, head, buffer);
}

static int fd_take(struct adit_device *device, struct adit_pool *pool, struct adit_buffer **buffer) {
  struct fd_device *self = (struct fd_device *)device;
  struct adit_ring_read read;
  if (self->ring == NULL) return ADIT_DEVICE_ALONE;
  int result = adit_ring_take(self->ring, pool, &read);
  if (result != 1) return result == 0 ? ADIT_DEVICE_ALONE : result;
  result = finish(self, read.got, read.head, read.buffer);
  if (result == 1)
    *buffer = read.buffer;
  else
    adit_buffer_unref(read.buffer);
  return result;
}

static void fd_expect(struct adit_device *device, unsigned packets) {
  struct fd_device *self = (struct fd_device *)device;
  if (self->ring != NULL) adit_ring_expect(self->ring, packets);
}

static int fd_gather(struct adit_device *device, enum adit_gather when) {
  struct fd_device *self = (struct fd_device *)device;
  if (self->ring != NULL) return 1;
  return adit_ring_new(device, self->head_length, when, &self->ring);
}

/* The packet information of an outgoing packet. Returns 0, or -EINVAL for a bare packet of no known version. */
static int information_build(const struct adit_device *device, const struct adit_packet *packet, struct tun_pi *pi) {
  *pi = (struct tun_pi){0};
  if (device->link == ADIT_LINK_ETHERNET) return 0; /* it is in the frame */
  const struct iovec *piece = packet->iov;
  while (piece->iov_len == 0) piece++;
  switch (*(const uint8_t *)piece->iov_base >> 4) {
  case 4:
    pi->proto = htons(ETH_P_IP);
    return 0;
  case 6:
    pi->proto = htons(ETH_P_IPV6);
    return 0;
  default:
    return -EINVAL;
  }
}

static int fd_write(struct adit_device *device, const struct adit_packet *packet) {
  const struct fd_device *self = (const struct fd_device *)device;
  uint8_t head[ADIT_FD_HEADER];
  uint8_t checksum[2];
  struct iovec iov[1 + ADIT_FINISH_PIECES];
  unsigned count = 0;
  if (self->head_length != 0) {
    memset(head, 0, self->head_length);
    iov[count++] = (struct iovec){.iov_base = head, .iov_len = self->head_length};
  }
  if (self->vnet_at != 0) {
    struct tun_pi pi;
    int result = information_build(device, packet, &pi);
    if (result != 0) return result;
    memcpy(head, &pi, sizeof pi);
  }
  if (self->vnet_length != 0) {
    struct virtio_net_hdr vnet;
    adit_vnet_build(packet, &vnet);
    memcpy(head + self->vnet_at, &vnet, sizeof vnet);
    memcpy(iov + count, packet->iov, packet->iovcnt * sizeof *iov);
    count += packet->iovcnt;
  } else {
    count += adit_finish_pieces(packet, checksum, iov + count);
  }
  if (self->ring != NULL && !self->socket && adit_ring_put(self->ring, iov, count, self->head_length + packet->length))
    return 0;
  ssize_t put;
  if (self->socket) {
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    put = sendmsg(device->fd, &message, MSG_NOSIGNAL);
  } else {
    put = writev(device->fd, iov, (int)count);
  }
  return put < 0 ? -errno : 0;
}

static unsigned fd_flush(struct adit_device *device, int *error) {
  struct fd_device *self = (struct fd_device *)device;
  return self->ring != NULL ? adit_ring_flush(self->ring, error) : 0;
}

static void fd_close(struct adit_device *device) {
  adit_ring_free(((const struct fd_device *)device)->ring);
  if (((const struct fd_device *)device)->own) close(device->fd);
  free(device);
}

int adit_fd_new(const struct adit_fd_layout *layout, struct adit_device **device) {
  static const struct adit_device_ops ops = {.read = fd_read,
                                             .take = fd_take,
                                             .expect = fd_expect,
                                             .gather = fd_gather,
                                             .write = fd_write,
                                             .flush = fd_flush,
                                             .close = fd_close};
  struct fd_device *self = calloc(1, sizeof *self);
  if (self == NULL) return -ENOMEM;
  self->base.ops = &ops;
  self->base.link = layout->link;
  self->base.fd = layout->fd;
  self->base.offload = layout->offload;
  memcpy(self->base.name, layout->name, strnlen(layout->name, sizeof self->base.name - 1));
  self->own = layout->own;
  self->socket = layout->socket;
  self->ends = layout->ends;
  self->vnet_at = layout->information ? sizeof(struct tun_pi) : 0;
  self->vnet_length = layout->vnet_length;
  self->head_length = (uint8_t)(self->vnet_at + self->vnet_length);
  assert(self->head_length <= ADIT_FD_HEADER);
  *device = &self->base;
  return 0;
}

void adit_fd_ask_mac(struct adit_device *device) {
  struct ifreq request = {0};
  if (ioctl(device->fd, SIOCGIFHWADDR, &request) == 0 && request.ifr_hwaddr.sa_family == ARPHRD_ETHER) {
    memcpy(device->mac, request.ifr_hwaddr.sa_data, sizeof device->mac);
  }
}
