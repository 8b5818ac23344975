/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A TCP client that bears a bad network: it checks what comes, puts it in order, and repeats what was lost.
 *
 * It sends SUPPORT_TRANSFER bytes of the pattern and receives as many, both at once, under a clock that the test moves.
 * It is plain: NewReno without SACK (RFC 6582), an acknowledgment for each segment, a time-out that doubles.
 */
#ifndef ADIT_TESTS_SUPPORT_TRANSFER_H
#define ADIT_TESTS_SUPPORT_TRANSFER_H

#include <adit/device.h>

/** Bytes in each direction. */
#define SUPPORT_TRANSFER (256u * 1024)

/** The client. support_transfer_begin. Offsets count from 0 = SYN; 1 is the first byte; 1 + SUPPORT_TRANSFER is FIN. */
struct support_transfer {
  struct adit_device *device; /**< borrowed */
  struct adit_pool *pool;     /**< borrowed */
  bool ipv6;
  bool established;
  bool reset; /**< a valid RST came */
  uint64_t now_ns;

  /* what it sends */
  const uint8_t *pattern; /**< SUPPORT_TRANSFER bytes; borrowed */
  uint32_t first;         /**< sequence number of offset 0 */
  uint32_t acked;         /**< offset: all before it arrived */
  uint32_t next;          /**< offset: to be sent next */
  uint32_t sent;          /**< offset: nothing from here on was ever sent */
  uint32_t room;          /**< bytes that the server's window takes */
  uint32_t congestion;    /**< congestion window */
  uint32_t threshold;     /**< slow start up to here */
  uint32_t recover;       /**< fast recovery lasts until this offset arrived; 0 = none */
  unsigned duplicates;
  uint64_t rto_ns;
  uint64_t timer_ns; /**< when it is sent again; UINT64_MAX = nothing is on its way */

  /* what it receives */
  uint32_t begin;    /**< the server's sequence number of offset 0 */
  uint32_t expected; /**< offset that is missing */
  uint8_t *data;     /**< SUPPORT_TRANSFER bytes; owned */
  uint8_t *have;     /**< which of them came; owned */
  bool fin;          /**< FIN came, in order or not */
  bool whole;        /**< everything came */
  uint64_t whole_ns; /**< since when */

  unsigned damaged; /**< packets that failed the checks */
  unsigned again;   /**< segments sent again */
};

/** Send a SYN. `device` is the client's end; it never blocks and has room. */
void support_transfer_begin(struct support_transfer *client, uint64_t now_ns);

/** Take everything that came, answer, and send what may be sent. Returns whether anything came. */
bool support_transfer_turn(struct support_transfer *client, uint64_t now_ns);

/** When it wants to be called without anything having come. */
uint64_t support_transfer_deadline(const struct support_transfer *client);

void support_transfer_free(struct support_transfer *client);

#endif
