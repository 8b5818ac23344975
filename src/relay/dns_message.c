/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS messages as the relay handles them.
 *
 * What comes from a client was read as a whole (adit_dns_read) before anything here sees it. What comes from a server
 * is not believed: it is compared as bytes, and shortened by keeping only what was compared.
 */
#include "relay/dns_message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>

enum { FLAGS = 2, CODES = 3, COUNTS = 4, ANSWER = 0x80, CUT = 0x02 };

size_t adit_dns_failure(const uint8_t *query, const struct adit_dns_question *question, unsigned rcode,
                        uint8_t answer[ADIT_DNS_FAILURE_ROOM]) {
  struct adit_dns_writer writer = adit_dns_begin(answer, ADIT_DNS_FAILURE_ROOM);
  if (!question) return adit_dns_finish_bare(&writer, query, rcode);
  struct adit_dns_result result = {.rcode = rcode, .recursive = true, .count = {[ns_s_qd] = 1}};
  adit_dns_put_question(&writer, question);
  if (question->edns) {
    adit_dns_put_opt(&writer, rcode);
    result.count[ns_s_ar] = 1;
  }
  return writer.full ? adit_dns_finish_bare(&writer, query, rcode) : adit_dns_finish(&writer, query, &result);
}

/* ---- answers of others ------------------------------------------------------------------------------------------- */

static unsigned get16(const uint8_t *at) {
  return (unsigned)at[0] << 8 | at[1];
}

static uint8_t lower(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

bool adit_dns_answers(const uint8_t *query, size_t question_end, const uint8_t *answer, size_t length) {
  if (length < ADIT_DNS_HEADER || !(answer[FLAGS] & ANSWER)) return false;
  if ((answer[FLAGS] ^ query[FLAGS]) & 0x78) return false; /* another opcode */
  unsigned questions = get16(answer + COUNTS);
  if (questions == 0) return (answer[CODES] & 15) != ns_r_noerror;
  if (questions != 1 || length < question_end) return false;
  /* Lengths of labels are below 'A', so that comparing all without case is right for them as well. Type and class are
   * compared as they are. */
  size_t name_end = question_end - NS_QFIXEDSZ;
  for (size_t i = ADIT_DNS_HEADER; i < name_end; i++)
    if (lower(query[i]) != lower(answer[i])) return false;
  return memcmp(query + name_end, answer + name_end, NS_QFIXEDSZ) == 0;
}

/* Where the question of an answer ends; the header alone when there is none, or more than one, or it is not whole. */
static size_t end_of_question(const uint8_t *answer, size_t length) {
  size_t at = ADIT_DNS_HEADER;
  if (get16(answer + COUNTS) != 1) return ADIT_DNS_HEADER;
  while (at < length && answer[at] != 0) {
    if (answer[at] > NS_MAXLABEL) return ADIT_DNS_HEADER; /* nothing before it to point to */
    at += (size_t)answer[at] + 1;
  }
  at += 1 + NS_QFIXEDSZ;
  return at <= length ? at : ADIT_DNS_HEADER;
}

/* The OPT record as bytes, in `opt`. Returns its length; 0 without one, or when it is larger than `room`. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written through `writer` */
static size_t copy_opt(const uint8_t *answer, size_t length, uint8_t *opt, size_t room) {
  enum { FIXED = 11 };
  ns_msg message;
  if (ns_initparse(answer, (int)length, &message) < 0) return 0;
  for (int i = 0; i < ns_msg_count(message, ns_s_ar); i++) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_ar, i, &record) < 0) return 0;
    size_t data = ns_rr_rdlen(record);
    if (ns_rr_type(record) != ns_t_opt) continue;
    if (FIXED + data > room) return 0;
    struct adit_dns_writer writer = {.end = opt + room};
    opt[0] = 0; /* the root */
    writer.at = opt + 1;
    adit_dns_put16(&writer, ns_t_opt);
    adit_dns_put16(&writer, (unsigned)ns_rr_class(record));
    adit_dns_put32(&writer, ns_rr_ttl(record));
    adit_dns_put16(&writer, (unsigned)data);
    adit_dns_put(&writer, ns_rr_rdata(record), data);
    return FIXED + data;
  }
  return 0;
}

size_t adit_dns_truncate(uint8_t *answer, size_t length, size_t room) {
  if (length <= room || length < ADIT_DNS_HEADER) return length;
  size_t kept = end_of_question(answer, length);
  if (kept > room) kept = ADIT_DNS_HEADER;
  uint8_t opt[ADIT_DNS_PLAIN];
  size_t most = room - kept < sizeof opt ? room - kept : sizeof opt;
  size_t opt_length = copy_opt(answer, length, opt, most);
  answer[FLAGS] |= CUT;
  memset(answer + COUNTS, 0, 8);
  answer[COUNTS + 1] = kept > ADIT_DNS_HEADER;
  answer[COUNTS + 7] = opt_length > 0;
  memcpy(answer + kept, opt, opt_length);
  return kept + opt_length;
}

/* ---- our own questions ------------------------------------------------------------------------------------------- */

bool adit_dns_host(const char *name, char *host) {
  size_t length = strlen(name);
  if (length > 0 && name[length - 1] == '.') length--;
  if (length == 0 || length >= ADIT_DNS_HOST) return false;
  size_t label = 0;
  bool digits = true; /* of the last label so far */
  for (size_t i = 0; i < length; i++) {
    uint8_t byte = lower((uint8_t)name[i]);
    bool digit = byte >= '0' && byte <= '9';
    if (byte == '.') {
      if (label == 0) return false;
      label = 0;
      digits = true;
    } else if (digit || (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '_') {
      if (++label > NS_MAXLABEL) return false;
      if (!digit) digits = false;
    } else {
      return false;
    }
    host[i] = (char)byte;
  }
  host[length] = '\0';
  return label > 0 && !digits;
}

size_t adit_dns_ask(const char *name, unsigned type, uint16_t id, uint8_t query[ADIT_DNS_ASK_ROOM]) {
  enum { RECURSION_DESIRED = 0x01 };
  struct adit_dns_writer writer = adit_dns_begin(query, ADIT_DNS_ASK_ROOM);
  adit_dns_put_name(&writer, name);
  adit_dns_put16(&writer, type);
  adit_dns_put16(&writer, ns_c_in);
  adit_dns_put_opt(&writer, 0);
  memset(query, 0, ADIT_DNS_HEADER);
  query[0] = (uint8_t)(id >> 8);
  query[1] = (uint8_t)id;
  query[FLAGS] = RECURSION_DESIRED;
  query[COUNTS + 1] = 1;
  query[COUNTS + 7] = 1;
  return (size_t)(writer.at - writer.start);
}

int adit_dns_addresses(const uint8_t *answer, size_t length, unsigned version, adit_ip *addresses, unsigned room,
                       struct adit_dns_found *found) {
  *found = (struct adit_dns_found){.ttl_s = UINT32_MAX};
  ns_msg message;
  if (length > ADIT_DNS_LONGEST || ns_initparse(answer, (int)length, &message) < 0) return -EBADMSG;
  found->rcode = (unsigned)ns_msg_getflag(message, ns_f_rcode);
  found->truncated = ns_msg_getflag(message, ns_f_tc) != 0;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) < 0) return -EBADMSG;
    if (ns_rr_class(record) != ns_c_in || ns_rr_type(record) != (version == 4 ? ns_t_a : ns_t_aaaa)) continue;
    if (ns_rr_rdlen(record) != (version == 4 ? NS_INADDRSZ : NS_IN6ADDRSZ)) return -EBADMSG;
    if (found->count < room) addresses[found->count++] = adit_ip_from_bytes(version, ns_rr_rdata(record));
    if (ns_rr_ttl(record) < found->ttl_s) found->ttl_s = ns_rr_ttl(record);
  }
  return 0;
}
