/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What every kind of device has in common: the handle and its operations.
 */
#ifndef ADIT_DEVICE_DEVICE_H
#define ADIT_DEVICE_DEVICE_H

#include <adit/device.h>

/** What a kind of device does. All three are required. */
struct adit_device_ops {
  /**
   * Put one packet at `buffer->data`, at most `buffer->capacity` bytes, and set `length` and `offload` (both are zero
   * before). Returns as adit_device_read; -EBADMSG is counted by the caller.
   */
  int (*read)(struct adit_device *device, struct adit_buffer *buffer);
  /** Send one packet, whose notes have been checked (adit_vnet_check). Returns as adit_device_write. */
  int (*write)(struct adit_device *device, const struct adit_packet *packet);
  /** Release everything, the handle included. */
  void (*close)(struct adit_device *device);
};

/** The first member of every kind of device. */
struct adit_device {
  const struct adit_device_ops *ops; /**< static */
  enum adit_link link;
  int fd;           /**< to wait on, or -1 */
  uint32_t offload; /**< set of enum adit_offload_bits: what writes may ask for */
  uint64_t dropped; /**< reads that ended with -EBADMSG */
  char name[ADIT_DEVICE_NAME];
  uint8_t mac[6];
};

#endif
