/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --dns fake: from a question to an answer.
 *
 * Whether a name exists is not known here, only the upstream finds out, when somebody connects to it. So every name
 * that a host can have gets its addresses, and an upstream that does not know it refuses the connection. Of other
 * records there are none (NODATA, RFC 2308, 2.2): HTTPS and SVCB so that clients go on with A and AAAA, MX, TXT and
 * the rest because there is nobody to ask.
 *
 * Names that are not for the upstream:
 *   localhost       127.0.0.1 and ::1 (RFC 6761, 6.3)
 *   invalid         does not exist (RFC 6761, 6.4)
 *   ipv4only.arpa   its two addresses of IPv4 (RFC 8880, 7): any AAAA would tell clients that there is NAT64 (RFC 7050)
 *   in-addr.arpa, ip6.arpa   names of the addresses that were given out; others do not exist
 *
 * The longest answer is the 255 bytes of a name beside about 150 bytes of everything else.
 */
#include "relay/fake_answer.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVER "adit.invalid"

/* ---- what a name is ---------------------------------------------------------------------------------------------- */

enum place {
  PLACE_HOST,      /* the upstream's */
  PLACE_NO_HOST,   /* no name of a host */
  PLACE_EMPTY,     /* exists, and has no records: the root, and what lies above reverse names */
  PLACE_NOWHERE,   /* does not exist */
  PLACE_LOCAL,     /* localhost */
  PLACE_IPV4_ONLY, /* ipv4only.arpa */
  PLACE_REVERSE    /* the name of one of the addresses that were given out */
};

/*
 * The address that a name of in-addr.arpa or ip6.arpa is about: `labels` numbers of `base`, one label each, the last
 * one first. Returns how many there are; -1 when something else is there. `ip` is complete with `labels` of them.
 */
static int read_reverse(const char *name, unsigned version, adit_ip *ip) {
  const int labels = version == 4 ? 4 : 32;
  const int base = version == 4 ? 10 : 16;
  const long most = version == 4 ? 255 : 15;
  const size_t zone = version == 4 ? strlen("in-addr.arpa") : strlen("ip6.arpa");
  const char *end = name + strlen(name) - zone;
  uint8_t number[32];
  int count = 0;
  for (const char *at = name; at < end; at++) {
    bool digit = (*at >= '0' && *at <= '9') || (base == 16 && strchr("abcdefABCDEF", *at));
    if (!digit || count == labels) return -1;
    char *behind;
    long value = strtol(at, &behind, base);
    if (*behind != '.' || value > most || behind - at > (version == 4 ? 3 : 1)) return -1;
    number[count++] = (uint8_t)value;
    at = behind;
  }
  if (count < labels) return count;
  uint8_t bytes[16];
  if (version == 4)
    for (int i = 0; i < 4; i++) bytes[i] = number[3 - i];
  else
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)(number[31 - 2 * i] << 4 | number[30 - 2 * i]);
  *ip = adit_ip_from_bytes(version, bytes);
  return count;
}

static enum place place_of_reverse(struct adit_fake_names *names, uint64_t now_ns, const char *name, unsigned version,
                                   char host[ADIT_DNS_HOST]) {
  adit_ip ip;
  int count = read_reverse(name, version, &ip);
  if (count < 0) return PLACE_NOWHERE;
  if (count < (version == 4 ? 4 : 32)) return PLACE_EMPTY;
  return adit_fake_names_look(names, adit_fake_names_number(ip), now_ns, false, host) ? PLACE_REVERSE : PLACE_NOWHERE;
}

/* `host` is the name to ask the table for, or the one that it has (PLACE_REVERSE). */
static enum place place_of(struct adit_fake_names *names, uint64_t now_ns, const char *name, char host[ADIT_DNS_HOST]) {
  if (strcmp(name, ".") == 0) return PLACE_EMPTY;
  if (adit_dns_is_in(name, "in-addr.arpa")) return place_of_reverse(names, now_ns, name, 4, host);
  if (adit_dns_is_in(name, "ip6.arpa")) return place_of_reverse(names, now_ns, name, 6, host);
  if (adit_dns_is_in(name, "localhost")) return PLACE_LOCAL;
  if (adit_dns_is_in(name, "invalid")) return PLACE_NOWHERE;
  if (strcasecmp(name, "ipv4only.arpa") == 0) return PLACE_IPV4_ONLY;
  return adit_dns_host(name, host) ? PLACE_HOST : PLACE_NO_HOST;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static adit_ip loopback(unsigned version) {
  const uint8_t bytes4[4] = {127, 0, 0, 1};
  const uint8_t bytes6[16] = {[15] = 1};
  return adit_ip_from_bytes(version, version == 4 ? bytes4 : bytes6);
}

/* A and AAAA as far as they were asked for. Returns the number of records. */
static unsigned put_both(struct adit_dns_writer *writer, const struct adit_dns_question *question, uint32_t ttl_s,
                         adit_ip ip4, adit_ip ip6) {
  unsigned count = 0;
  if (question->type == ns_t_a || question->type == ns_t_any) {
    adit_dns_put_address(writer, question->name, ttl_s, ip4);
    count++;
  }
  if (question->type == ns_t_aaaa || question->type == ns_t_any) {
    adit_dns_put_address(writer, question->name, ttl_s, ip6);
    count++;
  }
  return count;
}

static unsigned put_ipv4_only(struct adit_dns_writer *writer, const struct adit_dns_question *question) {
  const uint8_t bytes[2][4] = {{192, 0, 0, 170}, {192, 0, 0, 171}};
  if (question->type != ns_t_a && question->type != ns_t_any) return 0;
  for (unsigned i = 0; i < 2; i++)
    adit_dns_put_address(writer, question->name, ADIT_FAKE_TTL_S, adit_ip_from_bytes(4, bytes[i]));
  return 2;
}

static bool wants_address(const struct adit_dns_question *question) {
  return question->type == ns_t_a || question->type == ns_t_aaaa || question->type == ns_t_any;
}

/* Write the records that answer the question, or say in `rcode` why not. Returns how many. */
static unsigned put_records(struct adit_dns_writer *writer, struct adit_fake_names *names, uint64_t now_ns,
                            const struct adit_dns_question *question, unsigned *rcode) {
  char host[ADIT_DNS_HOST];
  uint32_t number;
  switch (place_of(names, now_ns, question->name, host)) {
  case PLACE_HOST:
    if (!wants_address(question)) return 0;
    if (adit_fake_names_take(names, host, now_ns, &number) != 0) {
      *rcode = ns_r_servfail;
      return 0;
    }
    return put_both(writer, question, ADIT_FAKE_TTL_S, adit_fake_names_address(number, 4),
                    adit_fake_names_address(number, 6));
  case PLACE_NO_HOST:
    *rcode = wants_address(question) ? ns_r_nxdomain : ns_r_noerror;
    return 0;
  case PLACE_EMPTY:
    return 0;
  case PLACE_NOWHERE:
    *rcode = ns_r_nxdomain;
    return 0;
  case PLACE_LOCAL:
    return put_both(writer, question, ADIT_FAKE_TTL_S, loopback(4), loopback(6));
  case PLACE_IPV4_ONLY:
    return put_ipv4_only(writer, question);
  case PLACE_REVERSE:
    if (question->type != ns_t_ptr && question->type != ns_t_any) return 0;
    adit_dns_put_pointer(writer, question->name, ns_t_ptr, ADIT_FAKE_TTL_S, host);
    return 1;
  }
  return 0;
}

/* Whether it is refused without looking at the name. */
static unsigned refusal_of(const struct adit_dns_question *question) {
  if (question->opcode != ns_o_query) return ns_r_notimpl;
  if (question->edns_version != 0) return ADIT_DNS_BADVERS;
  if (question->class != ns_c_in && question->class != ns_c_any) return ns_r_refused;
  if (question->type == ns_t_axfr || question->type == ns_t_ixfr) return ns_r_refused;
  return ns_r_noerror;
}

size_t adit_fake_answer(struct adit_fake_names *names, uint64_t now_ns, const struct adit_dns_question *question,
                        const uint8_t *query, uint8_t answer[ADIT_FAKE_ANSWER_ROOM]) {
  struct adit_dns_writer writer = adit_dns_begin(answer, ADIT_FAKE_ANSWER_ROOM);
  struct adit_dns_result result = {.rcode = refusal_of(question), .recursive = true, .count = {[ns_s_qd] = 1}};
  adit_dns_put_question(&writer, question);
  if (result.rcode == ns_r_noerror) {
    result.count[ns_s_an] = put_records(&writer, names, now_ns, question, &result.rcode);
    if (result.count[ns_s_an] == 0 && (result.rcode == ns_r_noerror || result.rcode == ns_r_nxdomain)) {
      adit_dns_put_soa(&writer, ".", SERVER, ADIT_FAKE_TTL_S);
      result.count[ns_s_ns] = 1;
    }
  }
  if (question->edns) {
    adit_dns_put_opt(&writer, result.rcode);
    result.count[ns_s_ar] = 1;
  }
  return writer.full ? adit_dns_finish_bare(&writer, query, ns_r_servfail) : adit_dns_finish(&writer, query, &result);
}
