/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What every kind of device has in common: the handle and its operations, and the time for those that need it.
 */
#ifndef ADIT_DEVICE_DEVICE_H
#define ADIT_DEVICE_DEVICE_H

#include <adit/device.h>

/** What `take` says when there is nothing to hand out. */
#define ADIT_DEVICE_ALONE 2

/** What a kind of device does. `read`, `write` and `close` are required. */
struct adit_device_ops {
  /**
   * Put one packet at `buffer->data`, at most `buffer->capacity` bytes, and set `length` and `offload` (both are zero
   * before). Returns as adit_device_read; -EBADMSG is counted by the caller.
   */
  int (*read)(struct adit_device *device, struct adit_buffer *buffer);
  /**
   * Optional, as the next three: hand out what was read together with an earlier packet, or read several together now.
   * Returns as adit_device_read, `*buffer` being the caller's with 1 only; or ADIT_DEVICE_ALONE: `read` is to read one.
   */
  int (*take)(struct adit_device *device, struct adit_pool *pool, struct adit_buffer **buffer);
  /** As adit_device_expect. */
  void (*expect)(struct adit_device *device, unsigned packets);
  /** As adit_device_flush. */
  unsigned (*flush)(struct adit_device *device, int *error);
  /** As adit_device_gather, with another value than ADIT_GATHER_NEVER. */
  int (*gather)(struct adit_device *device, enum adit_gather when);
  /** Send one packet, whose notes have been checked (adit_vnet_check). Returns as adit_device_write. */
  int (*write)(struct adit_device *device, const struct adit_packet *packet);
  /** Release everything, the handle included. */
  void (*close)(struct adit_device *device);
  /** As adit_device_deadline and adit_device_advance; both NULL for a device to which time means nothing. */
  uint64_t (*deadline)(const struct adit_device *device);
  bool (*advance)(struct adit_device *device, uint64_t now_ns);
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

/** A fresh buffer for a packet of the device, or NULL when the pool has none. */
struct adit_buffer *adit_device_buffer(const struct adit_device *device, struct adit_pool *pool);

/**
 * When the device wants to be told the time, nanoseconds of a monotonic clock; UINT64_MAX when there is no need. Only a
 * device that keeps packets for later has one (device/fault.h).
 */
uint64_t adit_device_deadline(const struct adit_device *device);

/**
 * Tell it the time: what it kept and is due is written. Call it before reads and writes whenever the time may have gone
 * on. Returns whether a read may bring something although the fd is not readable.
 */
bool adit_device_advance(struct adit_device *device, uint64_t now_ns);

#endif
