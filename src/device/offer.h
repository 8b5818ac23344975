/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Tell the kernel which packets it may leave uncut and unfinished for us (TUNSETOFFLOAD).
 */
#ifndef ADIT_DEVICE_OFFER_H
#define ADIT_DEVICE_OFFER_H

#include <adit/device.h>

/** What the kernel said. */
struct adit_offer {
  bool uso;          /**< it knows UDP segmentation, so writes may ask for it as well */
  const char *lacks; /**< what it does not, one readable line; static, NULL when it granted everything */
};

/**
 * Offer everything that can be received to the device behind a TUN or TAP fd that has a vnet header, then less and less
 * until the kernel agrees.
 */
struct adit_offer adit_offer_all(int fd);

/** Offer nothing: whole, finished packets. Matters where a persistent device was left with another setting. */
void adit_offer_nothing(int fd);

/** Whether this kernel reads UDP segmentation in the vnet header of written packets, judged by its version. */
bool adit_offer_kernel_reads_uso(void);

/**
 * What writes with a vnet header may ask for, as a set of enum adit_offload_bits; `uso` says whether the kernel knows UDP
 * segmentation.
 */
uint32_t adit_offer_writes(enum adit_link link, bool uso);

#endif
