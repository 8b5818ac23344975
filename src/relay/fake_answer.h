/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --dns fake: from a question to an answer out of the table of names, as bytes.
 */
#ifndef ADIT_RELAY_FAKE_ANSWER_H
#define ADIT_RELAY_FAKE_ANSWER_H

#include "relay/fake_names.h"

/** Longest answer. Fits into a datagram without EDNS, so nothing is ever truncated. */
enum { ADIT_FAKE_ANSWER_ROOM = ADIT_DNS_PLAIN };

/**
 * Answer a question: names of hosts have A and AAAA records with addresses of the pools, and nothing else; addresses of
 * the pools have PTR records. `query` is the message that `question` was read from. Returns the length of the answer.
 */
size_t adit_fake_answer(struct adit_fake_names *names, uint64_t now_ns, const struct adit_dns_question *question,
                        const uint8_t *query, uint8_t answer[ADIT_FAKE_ANSWER_ROOM]);

#endif
