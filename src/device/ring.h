/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Many reads or writes of one fd with one system call (io_uring(7)).
 */
#ifndef ADIT_DEVICE_RING_H
#define ADIT_DEVICE_RING_H

#include "device/device.h"

struct adit_ring;

/** A read that is done. */
struct adit_ring_read {
  struct adit_buffer *buffer; /**< what came behind the head; the caller's */
  const uint8_t *head;        /**< what came first, as many bytes as were asked for; valid until the next call */
  ssize_t got;                /**< bytes of both, more than there was room for if it was cut; or a negative errno */
};

/**
 * Make a ring for `device`, whose packets are read with `head_length` bytes (at most ADIT_FD_HEADER) in front of them.
 * With ADIT_GATHER_IF_FASTER it is measured whether reads cost less this way on this machine, which takes about 0.25 ms.
 *
 * Returns 1 and `*ring`, owned by the caller, which must go before the device; 0 when they do not; or -ENOSYS (built
 * without liburing, or Linux before 5.10), -EPERM (forbidden by who contains this process, or by
 * kernel.io_uring_disabled), -EOPNOTSUPP (reads of such an fd may wait: TUN before Linux 6.4), -ENOMEM, or what else
 * the kernel said.
 */
int adit_ring_new(const struct adit_device *device, size_t head_length, enum adit_gather when, struct adit_ring **ring);

/** Take it down, with what was read and not taken; what waits to be written is. NULL is allowed. */
void adit_ring_free(struct adit_ring *ring);

/** As adit_device_expect. */
void adit_ring_expect(struct adit_ring *ring, unsigned packets);

/**
 * Take the read that was done first; when there is none, and more than one packet is expected, do as many reads.
 * Returns 1 and `*read`; 0 when a packet is to be read without the ring; -EAGAIN when nothing waits; -ENOBUFS when
 * `pool` has no buffer.
 */
int adit_ring_take(struct adit_ring *ring, struct adit_pool *pool, struct adit_ring_read *read);

/**
 * Keep a copy of a packet, whose pieces have `length` bytes together, to be written with others, in order. Returns
 * whether it was: a packet that is not small is the caller's to write at once, and all that was kept has been written.
 */
bool adit_ring_put(struct adit_ring *ring, const struct iovec *pieces, unsigned count, size_t length);

/** As adit_device_flush. */
unsigned adit_ring_flush(struct adit_ring *ring, int *error);

#endif
