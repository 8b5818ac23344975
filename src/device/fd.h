/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A device that is an open fd: one packet a read, one packet a write.
 */
#ifndef ADIT_DEVICE_FD_H
#define ADIT_DEVICE_FD_H

#include "device/device.h"

/** Longest header in front of packets that is understood: packet information and a vnet header of any known version. */
#define ADIT_FD_HEADER 64

/** What is known of an fd that carries packets. */
struct adit_fd_layout {
  int fd;
  bool own;            /**< close it with the device */
  bool socket;         /**< send without SIGPIPE */
  bool ends;           /**< a read of nothing is the end, not an empty packet */
  bool information;    /**< struct tun_pi comes first (no IFF_NO_PI) */
  uint8_t vnet_length; /**< bytes of vnet header in front of each packet, 0 = none */
  enum adit_link link; /**< kind of frames */
  uint32_t offload;    /**< what writes may ask for */
  const char *name;    /**< copied, at most ADIT_DEVICE_NAME - 1 bytes */
};

/**
 * Make the device. Does nothing to the fd, which has to be non-blocking.
 * Returns 0 and `*device`, or -ENOMEM; the fd is then still the caller's.
 */
int adit_fd_new(const struct adit_fd_layout *layout, struct adit_device **device);

/** Ask a TAP fd for its hardware address (SIOCGIFHWADDR) and keep it in the device; all zero if the fd does not say. */
void adit_fd_ask_mac(struct adit_device *device);

#endif
