/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From a DNS query to the answer of the zone adit.test, as bytes.
 */
#ifndef ADIT_SERVICE_DNS_ANSWER_H
#define ADIT_SERVICE_DNS_ANSWER_H

#include <adit/address.h>

/** What the zone says. */
struct adit_dns_zone {
  adit_ip ip4; /**< address of adit.test; version 0 = none */
  adit_ip ip6; /**< likewise */
};

/** The name that is served. */
#define ADIT_DNS_NAME "adit.test"

/** Longest answer there is. Fits into a datagram without EDNS (RFC 1035, 4.2.1), so nothing is ever truncated. */
#define ADIT_DNS_ANSWER_MAX 512

/**
 * Answer one message (RFC 1035). adit.test has A, AAAA, NS and SOA; its addresses have PTR; other types of these names
 * get an answer without records, names below adit.test do not exist, and other names are refused. EDNS(0) is understood
 * (RFC 6891).
 * Returns the length of the answer in `answer`, or 0 for what is not to be answered: shorter than a header, or itself an
 * answer.
 */
size_t adit_dns_answer(const struct adit_dns_zone *zone, const uint8_t *query, size_t length,
                       uint8_t answer[ADIT_DNS_ANSWER_MAX]);

#endif
