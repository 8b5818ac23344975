/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: questions to --dns fake. An answer can be read by glibc, and its addresses lead back to the name.
 *
 * The table is small and lives on between inputs, so that names are given up for others.
 */
#include "fuzz.h"
#include "relay/fake_answer.h"

#include <arpa/nameser.h>
#include <string.h>
#include <strings.h>

enum { NAMES = 16 };

/* A question for an address of a host that was given one: it stands for that name from now on. */
static void check_addresses(struct adit_fake_names *names, const struct adit_dns_question *question, ns_msg *message,
                            uint64_t now_ns) {
  char host[ADIT_DNS_HOST];
  char found[ADIT_DNS_HOST];
  bool is_host = adit_dns_host(question->name, host);
  for (int i = 0; i < ns_msg_count(*message, ns_s_an); i++) {
    ns_rr record;
    FUZZ_EQUAL(ns_parserr(message, ns_s_an, i, &record), 0);
    bool address = ns_rr_type(record) == ns_t_a || ns_rr_type(record) == ns_t_aaaa;
    if (!address) continue;
    adit_ip ip = adit_ip_from_bytes(ns_rr_type(record) == ns_t_a ? 4 : 6, ns_rr_rdata(record));
    if (!adit_fake_names_covers(ip)) continue; /* localhost and the like */
    FUZZ_CHECK(is_host, "%s", question->name);
    bool known = adit_fake_names_look(names, adit_fake_names_number(ip), now_ns, false, found);
    FUZZ_CHECK(known && strcmp(found, host) == 0, "%s and %s", known ? found : "nothing", host);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct adit_fake_names *names;
  static uint64_t now_ns = 1;
  static struct adit_dns_question question;
  struct adit_fake_options options = {.size = NAMES};
  if (names == NULL) FUZZ_EQUAL(adit_fake_names_new(&options, &names), 0);
  now_ns += UINT64_C(1000000000);
  uint8_t *query = fuzz_copy(data, size);
  if (adit_dns_read(query, size, &question) == ADIT_DNS_ASKS) {
    uint8_t answer[ADIT_FAKE_ANSWER_ROOM];
    ns_msg message;
    size_t length = adit_fake_answer(names, now_ns, &question, query, answer);
    FUZZ_CHECK(length >= ADIT_DNS_HEADER && length <= sizeof answer, "%zu", length);
    FUZZ_EQUAL(ns_initparse(answer, (int)length, &message), 0);
    check_addresses(names, &question, &message, now_ns);
    FUZZ_CHECK(adit_fake_names_count(names) <= NAMES, "%u", adit_fake_names_count(names));
  }
  free(query);
  return 0;
}
