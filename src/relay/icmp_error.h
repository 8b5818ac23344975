/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the network has to say about datagrams that were sent: ICMP errors, read from a socket's error queue.
 */
#ifndef ADIT_RELAY_ICMP_ERROR_H
#define ADIT_RELAY_ICMP_ERROR_H

#include <adit/stack.h>

/** Bytes of a datagram that an error brings back at most: more than ICMPv6 may quote (RFC 4443, 2.4c). */
#define ADIT_ICMP_ERROR_HEAD 1280

/** One error, as a plain value. */
struct adit_icmp_error {
  adit_endpoint target; /**< where the datagram had been sent to; version 0 when the kernel does not say */
  adit_ip reporter;     /**< who had the trouble; version 0 = this machine, without a packet */
  bool final; /**< false: nothing that the sender has to hear (a packet too big, which is sent again smaller) */
  enum adit_refusal how; /**< what it is; ADIT_REFUSE_RESET is port unreachable */
  size_t length;         /**< bytes at `head` */
  /** What the datagram began with, behind the UDP header; for echo requests with the ICMP header */
  uint8_t head[ADIT_ICMP_ERROR_HEAD];
};

/**
 * Ask the kernel to keep errors for a socket of `version` 4 or 6 (ip(7), IP_RECVERR). Returns 0 or a negative errno.
 */
int adit_icmp_error_ask(int fd, unsigned version);

/** Take the oldest error of a socket. Returns 1 and `*error`, or 0 when there is none. */
int adit_icmp_error_take(int fd, struct adit_icmp_error *error);

/**
 * Forget an error that the socket would otherwise return for the next call, whatever it is. Returns it as a negative
 * errno, or 0.
 */
int adit_icmp_error_clear(int fd);

/** What the sender of a datagram should see when sending it on failed with a negative errno. */
enum adit_refusal adit_icmp_error_refusal(int error);

#endif
