/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * struct virtio_net_hdr as bytes of the kernel, struct adit_offload as values.
 *
 * A TUN device speaks the "legacy" header of virtio: ten bytes, numbers in the order of the machine (a device can be
 * set to another order; adit does not do that, and does not attach to one that is). All offsets count from the first
 * byte of the packet, which is the Ethernet header's for TAP.
 *
 * Received headers come from the kernel, but an attached fd may be anybody's: everything is checked. What is written is
 * checked too, because a wrong header does not stop at the kernel's edge: it would cut packets at wrong places.
 */
#include "device/vnet.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

/* linux/virtio_net.h knows it since Linux 6.2. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static_assert(sizeof(struct virtio_net_hdr) == 10, "legacy header of virtio 1.2, 5.1.6");
static_assert(offsetof(struct virtio_net_hdr, flags) == 0, "layout of the kernel");
static_assert(offsetof(struct virtio_net_hdr, gso_type) == 1, "layout of the kernel");
static_assert(offsetof(struct virtio_net_hdr, hdr_len) == 2, "layout of the kernel");
static_assert(offsetof(struct virtio_net_hdr, gso_size) == 4, "layout of the kernel");
static_assert(offsetof(struct virtio_net_hdr, csum_start) == 6, "layout of the kernel");
static_assert(offsetof(struct virtio_net_hdr, csum_offset) == 8, "layout of the kernel");

enum {
  KNOWN_FLAGS = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID,
  CHECKSUM_BYTES = 2,
  TCP_HEADER_MIN = 20,
  TCP_LENGTH_AT = 12 /* the byte whose upper half is the header's length in words (RFC 9293, 3.1) */
};

/* Indexed by enum adit_gso. */
static const struct kind {
  uint8_t type;             /* VIRTIO_NET_HDR_GSO_* */
  bool tcp;                 /* has a header of its own length, and may carry ECN */
  uint16_t checksum_offset; /* of the field in the transport header */
  uint32_t bit;             /* what a device must offer */
} kinds[] = {
    [ADIT_GSO_NONE] = {.type = VIRTIO_NET_HDR_GSO_NONE},
    [ADIT_GSO_TCP4] = {VIRTIO_NET_HDR_GSO_TCPV4, true, offsetof(struct tcphdr, th_sum), ADIT_OFFLOAD_TSO4},
    [ADIT_GSO_TCP6] = {VIRTIO_NET_HDR_GSO_TCPV6, true, offsetof(struct tcphdr, th_sum), ADIT_OFFLOAD_TSO6},
    [ADIT_GSO_UDP] = {VIRTIO_NET_HDR_GSO_UDP_L4, false, offsetof(struct udphdr, uh_sum), ADIT_OFFLOAD_USO},
};
static_assert(sizeof kinds / sizeof kinds[0] == ADIT_GSO_KINDS, "a row for each kind");

static bool checksum_inside(size_t start, size_t offset, size_t length) {
  return start + offset + CHECKSUM_BYTES <= length;
}

int adit_vnet_parse(const struct virtio_net_hdr *header, size_t length, struct adit_offload *offload) {
  if ((header->flags & ~KNOWN_FLAGS) != 0) return -EBADMSG;
  struct adit_offload notes = {0};
  notes.ecn = (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
  uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
  while (notes.gso < ADIT_GSO_KINDS && kinds[notes.gso].type != type) notes.gso++;
  if (notes.gso == ADIT_GSO_KINDS) return -EBADMSG;
  if (notes.ecn && !kinds[notes.gso].tcp) return -EBADMSG;
  if (notes.gso != ADIT_GSO_NONE) {
    if (header->gso_size == 0) return -EBADMSG;
    notes.gso_size = header->gso_size;
  }
  notes.header_length = header->hdr_len;
  if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
    if (!checksum_inside(header->csum_start, header->csum_offset, length)) return -EBADMSG;
    notes.checksum = ADIT_CHECKSUM_PARTIAL;
    notes.checksum_start = header->csum_start;
    notes.checksum_offset = header->csum_offset;
  } else if ((header->flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0) {
    notes.checksum = ADIT_CHECKSUM_VALID;
  }
  *offload = notes;
  return 0;
}

/* The byte at `offset`, which lies inside the packet. */
static uint8_t byte_at(const struct adit_packet *packet, size_t offset) {
  const struct iovec *piece = packet->iov;
  while (offset >= piece->iov_len) offset -= piece++->iov_len;
  return ((const uint8_t *)piece->iov_base)[offset];
}

/* Bytes before the payload of a packet that is to be cut, or 0 when its transport header does not fit into it. */
static size_t headers_of(const struct adit_packet *packet) {
  size_t start = packet->offload.checksum_start;
  size_t transport = sizeof(struct udphdr);
  if (kinds[packet->offload.gso].tcp) {
    if (start + TCP_HEADER_MIN > packet->length) return 0;
    transport = (size_t)(byte_at(packet, start + TCP_LENGTH_AT) >> 4) * 4;
    if (transport < TCP_HEADER_MIN) return 0;
  }
  return start + transport <= packet->length ? start + transport : 0;
}

int adit_vnet_check(const struct adit_packet *packet, uint32_t offered) {
  const struct adit_offload *notes = &packet->offload;
  if (notes->gso >= ADIT_GSO_KINDS || notes->checksum > ADIT_CHECKSUM_VALID) return -EINVAL;
  const struct kind *kind = &kinds[notes->gso];
  if ((kind->bit & ~offered) != 0) return -EOPNOTSUPP;
  if (notes->ecn) {
    if (!kind->tcp) return -EINVAL;
    if ((offered & ADIT_OFFLOAD_ECN) == 0) return -EOPNOTSUPP;
  }
  if (notes->checksum == ADIT_CHECKSUM_PARTIAL &&
      !checksum_inside(notes->checksum_start, notes->checksum_offset, packet->length)) {
    return -EINVAL;
  }
  if (notes->gso == ADIT_GSO_NONE) return 0;
  /* Whoever cuts the packet writes a checksum into each segment, and finds the transport header by its start. */
  if (notes->checksum != ADIT_CHECKSUM_PARTIAL || notes->checksum_offset != kind->checksum_offset) return -EINVAL;
  if (notes->gso_size == 0) return -EINVAL;
  size_t headers = headers_of(packet);
  return headers == 0 || headers > UINT16_MAX ? -EINVAL : 0;
}

void adit_vnet_build(const struct adit_packet *packet, struct virtio_net_hdr *header) {
  const struct adit_offload *notes = &packet->offload;
  memset(header, 0, sizeof *header);
  if (notes->checksum == ADIT_CHECKSUM_PARTIAL) {
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = notes->checksum_start;
    header->csum_offset = notes->checksum_offset;
  }
  if (notes->gso != ADIT_GSO_NONE) {
    header->gso_type = kinds[notes->gso].type;
    if (notes->ecn) header->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    header->gso_size = notes->gso_size;
    header->hdr_len = (uint16_t)headers_of(packet);
  }
}
