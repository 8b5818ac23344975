/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A device on which things go wrong: another device behind two bad lines, one for each direction.
 */
#ifndef ADIT_DEVICE_FAULT_H
#define ADIT_DEVICE_FAULT_H

#include "device/device.h"
#include "device/fault_line.h"

/**
 * Put `inner` behind bad lines. Faults act on packets as they are on a wire, so the new device offers no offload: writes
 * are single packets, and a super-packet that `inner` delivers is dropped as impossible (-EBADMSG). Open `inner` without
 * offload. `queue` is the number of the device's queue, so that each has random numbers of its own.
 *
 * The new device has name, link, fd and hardware address of `inner`. Its time is what adit_device_advance last said, 0
 * at first. A read may return -EINTR: a packet came and was lost or has to wait; read on. A write of a packet that is
 * lost or waits returns 0. What waits when it is closed is forgotten.
 * Returns 0 and `*device`, which owns `inner`; or -ENOMEM, and `inner` stays the caller's.
 */
int adit_fault_new(struct adit_device *inner, const struct adit_fault_plan *plan, unsigned queue,
                   struct adit_device **device);

/** What happened so far in one direction of a device that adit_fault_new made. Borrowed. */
const struct adit_fault_counts *adit_fault_count(const struct adit_device *device, enum adit_fault_side side);

#endif
