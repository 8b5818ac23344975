/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS messages as bytes.
 *
 * Messages are taken apart by the C library's ns_initparse and ns_parserr and names are written by its dn_comp, which
 * have met every broken message there is. Names are text in between, in which they escape what is special, so that
 * comparing text without case (RFC 4343) is comparing names. None of these functions has a state of its own.
 */
#include "packet/dns.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Look for the OPT record. Returns false when the message is wrong. */
static bool read_opt(ns_msg *message, struct adit_dns_question *question) {
  for (int i = 0; i < ns_msg_count(*message, ns_s_ar); i++) {
    ns_rr record;
    if (ns_parserr(message, ns_s_ar, i, &record) < 0) return false;
    if (ns_rr_type(record) != ns_t_opt) continue;
    if (question->edns || ns_rr_name(record)[0] != '.' || ns_rr_name(record)[1] != '\0')
      return false; /* RFC 6891, 6.1.1: one, and at the root */
    question->edns = true;
    question->edns_bytes = (uint16_t)ns_rr_class(record);
    question->edns_version = (uint8_t)(ns_rr_ttl(record) >> 16);
  }
  return true;
}

/*
 * Where the question ends; 0 when its name is compressed. Nothing stands before it that it could repeat, and what is
 * behind it does not come along into an answer. ns_parserr has been over it, so it is whole.
 */
static size_t question_end(const uint8_t *message, size_t length) {
  size_t at = ADIT_DNS_HEADER;
  while (at < length && message[at] != 0) {
    if (message[at] & NS_CMPRSFLGS) return 0;
    at += 1 + (size_t)message[at];
  }
  return at + 1 + NS_QFIXEDSZ;
}

enum adit_dns_reading adit_dns_read(const uint8_t *message, size_t length, struct adit_dns_question *question) {
  if (length < ADIT_DNS_HEADER || length > ADIT_DNS_LONGEST || message[2] & 0x80) return ADIT_DNS_IGNORE;
  question->id = (uint16_t)(message[0] << 8 | message[1]);
  question->opcode = message[2] >> 3 & 15;
  question->edns = false;
  question->edns_bytes = 0;
  question->edns_version = 0;
  ns_msg parts;
  ns_rr asked;
  if (ns_initparse(message, (int)length, &parts) < 0 || ns_msg_count(parts, ns_s_qd) != 1 ||
      ns_parserr(&parts, ns_s_qd, 0, &asked) < 0 || !read_opt(&parts, question))
    return ADIT_DNS_MALFORMED;
  question->type = (uint16_t)ns_rr_type(asked);
  question->class = (uint16_t)ns_rr_class(asked);
  question->end = question_end(message, length);
  if (question->end == 0 || question->end > length) return ADIT_DNS_MALFORMED;
  snprintf(question->name, sizeof question->name, "%s", ns_rr_name(asked));
  return ADIT_DNS_ASKS;
}

size_t adit_dns_room(const struct adit_dns_question *question) {
  return question->edns_bytes > ADIT_DNS_PLAIN ? question->edns_bytes : ADIT_DNS_PLAIN;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct adit_dns_writer adit_dns_begin(uint8_t *answer, size_t room) {
  return (struct adit_dns_writer){
      .start = answer, .at = answer + ADIT_DNS_HEADER, .end = answer + room, .name = {answer}};
}

void adit_dns_put(struct adit_dns_writer *writer, const void *bytes, size_t length) {
  if (writer->full || (size_t)(writer->end - writer->at) < length) {
    writer->full = true;
    return;
  }
  memcpy(writer->at, bytes, length);
  writer->at += length;
}

void adit_dns_put16(struct adit_dns_writer *writer, unsigned value) {
  const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
  adit_dns_put(writer, bytes, sizeof bytes);
}

void adit_dns_put32(struct adit_dns_writer *writer, uint32_t value) {
  adit_dns_put16(writer, value >> 16);
  adit_dns_put16(writer, value & 0xffff);
}

void adit_dns_put_name(struct adit_dns_writer *writer, const char *name) {
  if (writer->full) return;
  const uint8_t **end = writer->name + sizeof writer->name / sizeof writer->name[0];
  int length = dn_comp(name, writer->at, (int)(writer->end - writer->at), (unsigned char **)(uintptr_t)writer->name,
                       (unsigned char **)(uintptr_t)end);
  if (length < 0)
    writer->full = true;
  else
    writer->at += length;
}

void adit_dns_put_question(struct adit_dns_writer *writer, const struct adit_dns_question *question) {
  adit_dns_put_name(writer, question->name);
  adit_dns_put16(writer, question->type);
  adit_dns_put16(writer, question->class);
}

/* Everything of a record but its data, whose length follows later. Returns where that length belongs. */
static uint8_t *begin_record(struct adit_dns_writer *writer, const char *name, unsigned type, uint32_t ttl_s) {
  adit_dns_put_name(writer, name);
  adit_dns_put16(writer, type);
  adit_dns_put16(writer, ns_c_in);
  adit_dns_put32(writer, ttl_s);
  uint8_t *length = writer->at;
  adit_dns_put16(writer, 0);
  return length;
}

static void end_record(struct adit_dns_writer *writer, uint8_t *length) {
  if (writer->full) return;
  size_t bytes = (size_t)(writer->at - length) - 2;
  length[0] = (uint8_t)(bytes >> 8);
  length[1] = (uint8_t)bytes;
}

void adit_dns_put_address(struct adit_dns_writer *writer, const char *name, uint32_t ttl_s, adit_ip ip) {
  uint8_t *length = begin_record(writer, name, ip.version == 4 ? ns_t_a : ns_t_aaaa, ttl_s);
  adit_dns_put(writer, ip.bytes, adit_ip_length(ip));
  end_record(writer, length);
}

void adit_dns_put_pointer(struct adit_dns_writer *writer, const char *name, unsigned type, uint32_t ttl_s,
                          const char *target) {
  uint8_t *length = begin_record(writer, name, type, ttl_s);
  adit_dns_put_name(writer, target);
  end_record(writer, length);
}

void adit_dns_put_soa(struct adit_dns_writer *writer, const char *zone, const char *server, uint32_t ttl_s) {
  char contact[ADIT_DNS_TEXT];
  snprintf(contact, sizeof contact, "hostmaster.%s", server);
  uint8_t *length = begin_record(writer, zone, ns_t_soa, ttl_s);
  adit_dns_put_name(writer, server);
  adit_dns_put_name(writer, contact);
  adit_dns_put32(writer, 1);     /* serial */
  adit_dns_put32(writer, 3600);  /* refresh */
  adit_dns_put32(writer, 600);   /* retry */
  adit_dns_put32(writer, 86400); /* expire */
  adit_dns_put32(writer, ttl_s);
  end_record(writer, length);
}

void adit_dns_put_opt(struct adit_dns_writer *writer, unsigned rcode) {
  const uint8_t root = 0;
  adit_dns_put(writer, &root, 1);
  adit_dns_put16(writer, ns_t_opt);
  adit_dns_put16(writer, ADIT_DNS_EDNS);
  adit_dns_put32(writer, (uint32_t)(rcode >> 4) << 24); /* the upper bits of the code, and version 0 */
  adit_dns_put16(writer, 0);
}

size_t adit_dns_finish(struct adit_dns_writer *writer, const uint8_t *query, const struct adit_dns_result *result) {
  const uint8_t asked = query[2];
  writer->start[0] = query[0];
  writer->start[1] = query[1];
  writer->start[2] = (uint8_t)(0x80 | (asked & 0x79) |
                               (result->authoritative ? 0x04 : 0)); /* QR, opcode, RD as asked */
  writer->start[3] = (uint8_t)((result->recursive ? 0x80 : 0) | (result->rcode & 15));
  for (unsigned i = 0; i < 4; i++) {
    writer->start[4 + 2 * i] = (uint8_t)(result->count[i] >> 8);
    writer->start[5 + 2 * i] = (uint8_t)result->count[i];
  }
  return (size_t)(writer->at - writer->start);
}

size_t adit_dns_finish_bare(struct adit_dns_writer *writer, const uint8_t *query, unsigned rcode) {
  writer->at = writer->start + ADIT_DNS_HEADER;
  return adit_dns_finish(writer, query, &(struct adit_dns_result){.rcode = rcode});
}

/* ---- over TCP ---------------------------------------------------------------------------------------------------- */

size_t adit_dns_prefix(const struct iovec *piece, unsigned count) {
  uint8_t prefix[ADIT_DNS_PREFIX] = {0};
  size_t have = 0;
  for (unsigned i = 0; i < count; i++)
    for (size_t j = 0; j < piece[i].iov_len && have < sizeof prefix; j++)
      prefix[have++] = ((const uint8_t *)piece[i].iov_base)[j];
  return (size_t)prefix[0] << 8 | prefix[1];
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *adit_dns_reverse(adit_ip ip, char text[ADIT_DNS_TEXT]) {
  if (ip.version == 4) {
    snprintf(text, ADIT_DNS_TEXT, "%u.%u.%u.%u.in-addr.arpa", ip.bytes[3], ip.bytes[2], ip.bytes[1], ip.bytes[0]);
    return text;
  }
  char *at = text;
  for (int i = 15; i >= 0; i--) at += sprintf(at, "%x.%x.", ip.bytes[i] & 15, ip.bytes[i] >> 4);
  memcpy(at, "ip6.arpa", sizeof "ip6.arpa");
  return text;
}

bool adit_dns_is_in(const char *name, const char *zone) {
  size_t length = strlen(name);
  size_t zone_length = strlen(zone);
  if (length < zone_length || strcasecmp(name + length - zone_length, zone) != 0) return false;
  if (length == zone_length) return true;
  /* A dot that is escaped belongs to a label: "x\.adit.test" is the one label "x.adit" below "test". */
  size_t before = length - zone_length;
  size_t escapes = 0;
  while (escapes + 1 < before && name[before - 2 - escapes] == '\\') escapes++;
  return name[before - 1] == '.' && escapes % 2 == 0;
}
