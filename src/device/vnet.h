/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The vnet header that the kernel puts in front of packets, and what it means.
 */
#ifndef ADIT_DEVICE_VNET_H
#define ADIT_DEVICE_VNET_H

#include <adit/packet.h>
#include <linux/virtio_net.h>

/** What any reader of a vnet header can be asked for; ADIT_OFFLOAD_USO came later (Linux 6.2). */
#define ADIT_VNET_OFFLOAD (ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_ECN)

/**
 * Read the header of a received packet of `length` bytes (virtio 1.2, 5.1.6.4; numbers in the order of this machine).
 * Returns 0, or -EBADMSG when it says what cannot be: unknown flags or kinds, kinds that are never asked for (UFO, UDP
 * tunnels), ECN without TCP, segments of no bytes, a checksum outside of the packet. Whether the notes fit the packet's
 * own headers is not looked at here (adit_header_offload_fits).
 */
int adit_vnet_parse(const struct virtio_net_hdr *header, size_t length, struct adit_offload *offload);

/**
 * Whether the notes of an outgoing packet can be passed on by a device that offers `offered`. Looks at the packet for
 * the length of its TCP header.
 * Returns 0, -EOPNOTSUPP for a kind of segmentation that is not offered, -EINVAL for notes that do not fit the packet.
 */
int adit_vnet_check(const struct adit_packet *packet, uint32_t offered);

/**
 * The header for an outgoing packet that has passed adit_vnet_check. The length of the packet's headers is taken from
 * the packet; `offload.header_length` is not read.
 */
void adit_vnet_build(const struct adit_packet *packet, struct virtio_net_hdr *header);

#endif
