/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: DNS messages as the relay and `adit serve` read them, questions and answers.
 *
 * The input: a byte of choices, then a message. It is read as a question and answered in each of the ways there are;
 * what was written must be readable again. It is also read as an answer: to itself, and to questions of ours.
 */
#include "fuzz.h"
#include "relay/dns_message.h"
#include "service/dns_answer.h"

#include <arpa/nameser.h>
#include <string.h>

static const adit_ip here = {{192, 168, 3, 12}, 4};

/* What was written as an answer has the id of the question and is an answer. */
static void check_answer(const uint8_t *query, const uint8_t *answer, size_t length, size_t room) {
  FUZZ_CHECK(length >= ADIT_DNS_HEADER && length <= room, "%zu of %zu", length, room);
  FUZZ_EQUAL(memcmp(query, answer, 2), 0);
  FUZZ_CHECK(answer[2] & 0x80, "%02x", answer[2]);
  ns_msg message; /* glibc's reader: nothing of what is under test */
  FUZZ_EQUAL(ns_initparse(answer, (int)length, &message), 0);
}

static void as_question(const uint8_t *message, size_t length) {
  static struct adit_dns_question question;
  uint8_t answer[ADIT_DNS_FAILURE_ROOM];
  memset(&question, 0, sizeof question);
  enum adit_dns_reading reading = adit_dns_read(message, length, &question);
  if (reading != ADIT_DNS_IGNORE) {
    bool asks = reading == ADIT_DNS_ASKS;
    size_t bytes = adit_dns_failure(message, asks ? &question : NULL, ns_r_servfail, answer);
    check_answer(message, answer, bytes, sizeof answer);
    FUZZ_CHECK(!asks || adit_dns_answers(message, question.end, answer, bytes), "%zu bytes", bytes);
  }
  const struct adit_dns_zone zone = {.ip4 = here};
  size_t bytes = adit_dns_answer(&zone, message, length, answer);
  FUZZ_EQUAL(bytes == 0, reading == ADIT_DNS_IGNORE);
  if (bytes > 0) check_answer(message, answer, bytes, ADIT_DNS_ANSWER_MAX);
  if (reading != ADIT_DNS_ASKS) return;
  FUZZ_CHECK(question.end > ADIT_DNS_HEADER && question.end <= length, "%zu of %zu", question.end, length);
  FUZZ_CHECK(memchr(question.name, 0, sizeof question.name) != NULL, "%zu", question.end);
  FUZZ_CHECK(adit_dns_room(&question) >= ADIT_DNS_PLAIN, "%zu", adit_dns_room(&question));
  (void)adit_dns_is_in(question.name, "adit.test");
  char host[ADIT_DNS_HOST];
  if (!adit_dns_host(question.name, host)) return;
  FUZZ_CHECK(strlen(host) > 0 && strlen(host) <= 253, "%zu", strlen(host));
  uint8_t query[ADIT_DNS_ASK_ROOM];
  static struct adit_dns_question ours;
  size_t asked = adit_dns_ask(host, ns_t_a, 77, query);
  FUZZ_CHECK(asked <= sizeof query, "%zu", asked);
  FUZZ_EQUAL(adit_dns_read(query, asked, &ours), ADIT_DNS_ASKS);
  FUZZ_CHECK(strcmp(ours.name, host) == 0, "%s and %s", ours.name, host);
}

static void as_answer(uint8_t choices, uint8_t *message, size_t length) {
  static const char *const names[] = {"www.example", "adit.test", "a", "x.y.z"};
  uint8_t query[ADIT_DNS_ASK_ROOM];
  static struct adit_dns_question question;
  size_t asked = adit_dns_ask(names[choices & 3], choices & 4 ? ns_t_aaaa : ns_t_a, 0, query);
  FUZZ_EQUAL(adit_dns_read(query, asked, &question), ADIT_DNS_ASKS);
  (void)adit_dns_answers(query, question.end, message, length);
  if (length < ADIT_DNS_HEADER) return;
  adit_ip addresses[8];
  struct adit_dns_found found = {0};
  unsigned room = 1 + (choices >> 3 & 7);
  if (adit_dns_addresses(message, length, choices & 4 ? 6 : 4, addresses, room, &found) == 0)
    FUZZ_CHECK(found.count <= room, "%u of %u", found.count, room);
  if (adit_dns_read(message, length, &question) == ADIT_DNS_ASKS)
    (void)adit_dns_answers(message, question.end, message, length);
  size_t most = ADIT_DNS_PLAIN + (choices >> 6) * 200u;
  size_t bytes = adit_dns_truncate(message, length, most);
  FUZZ_CHECK(bytes <= most && bytes <= length, "%zu of %zu", bytes, length);
  FUZZ_CHECK(length > most || bytes == length, "%zu of %zu", bytes, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_bytes bytes = {data, size};
  uint8_t choices = fuzz_take8(&bytes);
  uint8_t *message = fuzz_copy(bytes.at, bytes.left);
  as_question(message, bytes.left);
  as_answer(choices, message, bytes.left);
  free(message);
  return 0;
}
