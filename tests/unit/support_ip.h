/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * For tests below TCP: packets with offload notes in, drops counted exactly, fragments that come out put together.
 */
#ifndef ADIT_TESTS_SUPPORT_IP_H
#define ADIT_TESTS_SUPPORT_IP_H

#include "support_client.h"

/** Give the stack a packet with these notes (NULL: none); no flush. */
void support_ip_input(struct support_lab *lab, const uint8_t *bytes, size_t length, const struct adit_offload *offload);

/** support_fragment_fn that gives the stack of the struct support_lab `user` each fragment. */
void support_ip_give(void *user, const uint8_t *fragment, size_t length);

/** Packets dropped so far, by reason, as support_ip_drops left them. Zero it with the lab. */
struct support_drops {
  uint64_t seen[ADIT_DROPS];
};

/** Since the last call with `drops`, `count` packets were dropped for `reason` and none for any other. */
void support_ip_drops(struct support_lab *lab, struct support_drops *drops, enum adit_drop reason, uint64_t count,
                      const char *what);

/** Nothing was dropped since the last call. */
void support_ip_no_drops(struct support_lab *lab, struct support_drops *drops, const char *what);

/** Number of packets that came out and were not taken. */
size_t support_ip_waiting(const struct support_lab *lab);

/** Forget them. */
void support_ip_forget(struct support_lab *lab);

/**
 * Take the next packet that came out, with all of its fragments, and write it to `whole` (SUPPORT_PACKET_MAX bytes) as
 * one. Fragments are checked: none longer than `mtu`, in order and without gaps, multiples of eight bytes, one
 * identification, the last one marked. Partial checksums are finished, all are checked. Returns the length; `*pieces`,
 * which may be NULL, is the number of packets it took.
 */
size_t support_ip_collect(struct support_lab *lab, size_t mtu, uint8_t *whole, size_t *pieces);

#endif
