/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams of a session that cannot go out yet: a queue that is bounded by bytes.
 */
#ifndef ADIT_RELAY_UDP_WAIT_H
#define ADIT_RELAY_UDP_WAIT_H

#include "relay/udp.h"

/** A datagram that waits, with its payload. */
struct adit_udp_waiting {
  struct adit_udp_waiting *next;
  adit_endpoint local; /**< where the client wants it to go */
  uint8_t ttl;         /**< as it came */
  size_t length;
  uint8_t bytes[];
};

/** The queue of a session. Zero it. */
struct adit_udp_wait {
  struct adit_udp_waiting *first; /**< oldest */
  size_t bytes;
};

/**
 * Put a copy of a datagram at the end. What does not fit, in this queue or in all of the worker's, is dropped and
 * counted.
 */
void adit_udp_wait_put(struct adit_udp_sessions *all, struct adit_udp_wait *wait, const struct adit_datagram *datagram);

/**
 * Take the oldest one out that is for `ip`, or for anybody when that is NULL. For the caller to free(); NULL for none.
 */
struct adit_udp_waiting *adit_udp_wait_take(struct adit_udp_sessions *all, struct adit_udp_wait *wait,
                                            const adit_ip *ip);

/** Drop all, and count. */
void adit_udp_wait_drop(struct adit_udp_sessions *all, struct adit_udp_wait *wait);

/** Nobody takes those for `ip` (NULL: any): the client gets port unreachable for each. Counted as dropped. */
void adit_udp_wait_refuse(struct adit_udp_session *session, struct adit_udp_wait *wait, const adit_ip *ip);

#endif
