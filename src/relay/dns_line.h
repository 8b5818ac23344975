/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A line to one DNS server: questions go out and answers come back over one TCP connection through the upstream, which
 * is made when there is something to ask and made again when it dies.
 */
#ifndef ADIT_RELAY_DNS_LINE_H
#define ADIT_RELAY_DNS_LINE_H

#include "packet/dns.h"
#include "relay/state.h"

struct adit_dns_line;

/** Why a question stays without an answer. */
enum adit_dns_unanswered {
  ADIT_DNS_UNREACHABLE, /**< the server, or the upstream, cannot be reached */
  ADIT_DNS_TIMED_OUT,   /**< it does not answer */
  ADIT_DNS_DROPPED      /**< there were too many questions, or the line ends */
};

/** What becomes of a question; exactly one of the two is called, once, never from within its own adit_dns_line_ask. */
struct adit_dns_line_events {
  /** The answer, with the id of the question; to be changed at will, borrowed until the return. */
  void (*answer)(void *user, uint8_t *answer, size_t length);
  void (*unanswered)(void *user, enum adit_dns_unanswered why);
};

/** Bounds and times; zero is the default. */
struct adit_dns_line_options {
  adit_endpoint server;
  struct adit_egress *by; /**< the way out, borrowed: it must outlive the line; NULL = the worker's current one */
  uint32_t questions;     /**< most that wait for an answer, at most 1024; 0 = 1024. One more drops the oldest */
  uint32_t try_ms;        /**< how long an answer is waited for before the question is asked again; 0 = 5 s */
  uint32_t idle_ms;       /**< after which a connection without questions is closed; 0 = 30 s */
};

/** Make a line; nothing is connected yet. Returns 0 and `*line`, owned by the caller; or -ENOMEM. */
int adit_dns_line_new(struct adit_relay *relay, const struct adit_dns_line_options *options,
                      struct adit_dns_line **line);

/**
 * Ask. `message` is copied; `question_end` is that of adit_dns_read. `events` is borrowed until one of them was called.
 * `unanswered` of another, older question may be called meanwhile. Returns 0, or -ENOMEM; then there is no event.
 */
int adit_dns_line_ask(struct adit_dns_line *line, const uint8_t *message, size_t length, size_t question_end,
                      const struct adit_dns_line_events *events, void *user);

/** Whether the loop has deferred work of it: then it must not be freed unless the loop will do none any more. */
bool adit_dns_line_has_work(const struct adit_dns_line *line);

/** Close the connection, tell all who wait that they were dropped, and free everything. NULL is allowed. */
void adit_dns_line_free(struct adit_dns_line *line);

#endif
