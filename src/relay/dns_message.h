/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS messages as the relay handles them: those of others, which pass through, and its own questions. Bytes to bytes.
 */
#ifndef ADIT_RELAY_DNS_MESSAGE_H
#define ADIT_RELAY_DNS_MESSAGE_H

#include "packet/dns.h"

enum {
  ADIT_DNS_FAILURE_ROOM = 512, /**< longest answer of adit_dns_failure */
  ADIT_DNS_ASK_ROOM = 320,     /**< longest question of adit_dns_ask */
  ADIT_DNS_HOST = 254          /**< room for the longest host name as text, terminating zero included */
};

/**
 * Write the answer to `query` that consists of nothing but `rcode`: ns_r_formerr, ns_r_servfail ... `question` is what
 * adit_dns_read made of the query, NULL when it was malformed. `query` has at least a header. Returns its length.
 */
size_t adit_dns_failure(const uint8_t *query, const struct adit_dns_question *question, unsigned rcode,
                        uint8_t answer[ADIT_DNS_FAILURE_ROOM]);

/**
 * Whether `answer` can be the answer to `query`, the id left aside: it is an answer, and to this question, letter case
 * aside. An error without any question in it is one, too. `question_end` is that of the query.
 */
bool adit_dns_answers(const uint8_t *query, size_t question_end, const uint8_t *answer, size_t length);

/**
 * Shorten an answer in place for a client that takes at most `room` bytes over UDP, room >= 512: header with TC set,
 * question, and OPT if there is one and it fits (RFC 2181, 9; RFC 6891, 7). Returns the new length; nothing changes
 * when it fits as it is.
 */
size_t adit_dns_truncate(uint8_t *answer, size_t length, size_t room);

/**
 * Whether `name`, text as in struct adit_dns_question, is the name of a host that an upstream can be asked to connect
 * to: letters, digits, hyphens and underscores in labels of 1 to 63, 253 in all, and not four numbers (RFC 1123, 2.1).
 * Writes it in lower case and without final dot to `host` (ADIT_DNS_HOST bytes).
 */
bool adit_dns_host(const char *name, char *host);

/** Write our own question, recursion desired, with OPT. `name` was checked with adit_dns_host. Returns its length. */
size_t adit_dns_ask(const char *name, unsigned type, uint16_t id, uint8_t query[ADIT_DNS_ASK_ROOM]);

/** What an answer to one of our own questions said. */
struct adit_dns_found {
  unsigned rcode;
  bool truncated; /**< TC: there is more over TCP */
  unsigned count; /**< addresses found */
  uint32_t ttl_s; /**< the shortest of them */
};

/**
 * Take the addresses of `version` out of an answer, at most `room` of them. Returns 0, or -EBADMSG when it cannot be
 * read.
 */
int adit_dns_addresses(const uint8_t *answer, size_t length, unsigned version, adit_ip *addresses, unsigned room,
                       struct adit_dns_found *found);

#endif
