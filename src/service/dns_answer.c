/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From a DNS query to the answer of the zone adit.test.
 *
 * An answer consists of the question as it was asked, letter case included (resolvers check it), at most two records,
 * and a SOA record when there is nothing to say (RFC 2308). The longest is the 255 bytes of a name beside about 150
 * bytes of everything else, so it always fits.
 */
#include "service/dns_answer.h"

#include "packet/dns.h"

#include <arpa/nameser.h>
#include <string.h>
#include <strings.h>

enum { TTL_S = 60 };

/* ---- names ------------------------------------------------------------------------------------------------------- */

enum place {
  PLACE_ELSEWHERE, /* not ours */
  PLACE_NAME,      /* adit.test */
  PLACE_BELOW,     /* something.adit.test */
  PLACE_REVERSE    /* the name of one of our addresses */
};

static bool is_reverse_of(const char *name, adit_ip ip) {
  char text[ADIT_DNS_TEXT];
  return ip.version && strcasecmp(name, adit_dns_reverse(ip, text)) == 0;
}

static enum place place_of(const struct adit_dns_zone *zone, const char *name) {
  if (strcasecmp(name, ADIT_DNS_NAME) == 0) return PLACE_NAME;
  if (adit_dns_is_in(name, ADIT_DNS_NAME)) return PLACE_BELOW;
  return is_reverse_of(name, zone->ip4) || is_reverse_of(name, zone->ip6) ? PLACE_REVERSE : PLACE_ELSEWHERE;
}

/* Write the records that answer the question. Returns how many. */
static unsigned put_records(struct adit_dns_writer *writer, const struct adit_dns_zone *zone, enum place place,
                            const char *name, unsigned type) {
  unsigned count = 0;
  bool any = type == ns_t_any;
  if (place == PLACE_NAME && (type == ns_t_a || any) && zone->ip4.version) {
    adit_dns_put_address(writer, name, TTL_S, zone->ip4);
    count++;
  }
  if (place == PLACE_NAME && (type == ns_t_aaaa || any) && zone->ip6.version) {
    adit_dns_put_address(writer, name, TTL_S, zone->ip6);
    count++;
  }
  if (place == PLACE_NAME && type == ns_t_ns) {
    adit_dns_put_pointer(writer, name, ns_t_ns, TTL_S, ADIT_DNS_NAME);
    count++;
  }
  if (place == PLACE_NAME && type == ns_t_soa) {
    adit_dns_put_soa(writer, name, ADIT_DNS_NAME, TTL_S);
    count++;
  }
  if (place == PLACE_REVERSE && (type == ns_t_ptr || any)) {
    adit_dns_put_pointer(writer, name, ns_t_ptr, TTL_S, ADIT_DNS_NAME);
    count++;
  }
  return count;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

size_t adit_dns_answer(const struct adit_dns_zone *zone, const uint8_t *query, size_t length,
                       uint8_t answer[ADIT_DNS_ANSWER_MAX]) {
  struct adit_dns_question question;
  enum adit_dns_reading reading = adit_dns_read(query, length, &question);
  if (reading == ADIT_DNS_IGNORE) return 0;
  struct adit_dns_writer writer = adit_dns_begin(answer, ADIT_DNS_ANSWER_MAX);
  if (question.opcode != ns_o_query) return adit_dns_finish_bare(&writer, query, ns_r_notimpl);
  if (reading == ADIT_DNS_MALFORMED) return adit_dns_finish_bare(&writer, query, ns_r_formerr);

  struct adit_dns_result result = {.rcode = ns_r_noerror};
  adit_dns_put_question(&writer, &question);
  result.count[ns_s_qd] = 1;

  enum place place = place_of(zone, question.name);
  if (question.edns_version != 0) {
    result.rcode = ADIT_DNS_BADVERS;
  } else if (place == PLACE_ELSEWHERE || (question.class != ns_c_in && question.class != ns_c_any)) {
    result.rcode = ns_r_refused;
  } else {
    result.authoritative = true;
    result.rcode = place == PLACE_BELOW ? ns_r_nxdomain : ns_r_noerror;
    result.count[ns_s_an] = put_records(&writer, zone, place, question.name, question.type);
    if (result.count[ns_s_an] == 0) {
      adit_dns_put_soa(&writer, place == PLACE_REVERSE ? question.name : ADIT_DNS_NAME, ADIT_DNS_NAME, TTL_S);
      result.count[ns_s_ns] = 1;
    }
  }
  if (question.edns) {
    adit_dns_put_opt(&writer, result.rcode);
    result.count[ns_s_ar] = 1;
  }
  return writer.full ? adit_dns_finish_bare(&writer, query, ns_r_servfail) : adit_dns_finish(&writer, query, &result);
}
