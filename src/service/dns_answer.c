/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From a DNS query to the answer of the zone adit.test.
 *
 * Messages are taken apart by the C library's ns_initparse and ns_parserr and names are written by its dn_comp, which
 * have met every broken message there is. Names are text in between, in which they escape what is special, so that
 * comparing text without case (RFC 4343) is comparing names.
 *
 * An answer consists of the question as it was asked, letter case included (resolvers check it), at most two records,
 * and a SOA record when there is nothing to say (RFC 2308). The longest is the 255 bytes of a name beside about 150 bytes
 * of everything else, so it always fits.
 */
#include "service/dns_answer.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TTL_S 60
#define EDNS_BYTES 1232 /* the datagram that we take: what fits into the smallest IPv6 packet */
#define EDNS_BADVERS 16 /* RFC 6891, 9 */

enum { POINTERS = 12 };

/* An answer being written. Once something did not fit, `full` stays set and nothing more is written. */
struct writer {
  uint8_t *start;
  uint8_t *at;
  uint8_t *end;
  bool full;
  const uint8_t *name[POINTERS]; /* names written so far, for compression; dn_comp keeps it */
};

/* Begin behind the header, which is written last. */
static struct writer begin(uint8_t *answer) {
  return (struct writer){
      .start = answer, .at = answer + NS_HFIXEDSZ, .end = answer + ADIT_DNS_ANSWER_MAX, .name = {answer}};
}

static void put(struct writer *writer, const void *bytes, size_t length) {
  if (writer->full || (size_t)(writer->end - writer->at) < length) {
    writer->full = true;
    return;
  }
  memcpy(writer->at, bytes, length);
  writer->at += length;
}

static void put16(struct writer *writer, unsigned value) {
  const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
  put(writer, bytes, sizeof bytes);
}

static void put32(struct writer *writer, uint32_t value) {
  put16(writer, value >> 16);
  put16(writer, value & 0xffff);
}

static void put_name(struct writer *writer, const char *name) {
  if (writer->full) return;
  int length = dn_comp(name, writer->at, (int)(writer->end - writer->at), (unsigned char **)(uintptr_t)writer->name,
                       (unsigned char **)(uintptr_t)(writer->name + POINTERS));
  if (length < 0)
    writer->full = true;
  else
    writer->at += length;
}

/* Everything of a record but its data, whose length follows later. Returns where that length belongs. */
static uint8_t *begin_record(struct writer *writer, const char *name, ns_type type) {
  put_name(writer, name);
  put16(writer, type);
  put16(writer, ns_c_in);
  put32(writer, TTL_S);
  uint8_t *length = writer->at;
  put16(writer, 0);
  return length;
}

static void end_record(struct writer *writer, uint8_t *length) {
  if (writer->full) return;
  size_t bytes = (size_t)(writer->at - length) - 2;
  length[0] = (uint8_t)(bytes >> 8);
  length[1] = (uint8_t)bytes;
}

static void put_address(struct writer *writer, const char *name, adit_ip ip) {
  uint8_t *length = begin_record(writer, name, ip.version == 4 ? ns_t_a : ns_t_aaaa);
  put(writer, ip.bytes, adit_ip_length(ip));
  end_record(writer, length);
}

static void put_name_record(struct writer *writer, const char *name, ns_type type, const char *target) {
  uint8_t *length = begin_record(writer, name, type);
  put_name(writer, target);
  end_record(writer, length);
}

static void put_soa(struct writer *writer, const char *name) {
  uint8_t *length = begin_record(writer, name, ns_t_soa);
  put_name(writer, ADIT_DNS_NAME);
  put_name(writer, "hostmaster." ADIT_DNS_NAME);
  put32(writer, 1);     /* serial */
  put32(writer, 3600);  /* refresh */
  put32(writer, 600);   /* retry */
  put32(writer, 86400); /* expire */
  put32(writer, TTL_S); /* for how long "no such thing" may be remembered */
  end_record(writer, length);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The name under which the address is looked up backwards (RFC 1035 3.5, RFC 3596 2.5). `text`: NS_MAXDNAME bytes. */
static const char *reverse_name(adit_ip ip, char *text) {
  if (ip.version == 4) {
    snprintf(text, NS_MAXDNAME, "%u.%u.%u.%u.in-addr.arpa", ip.bytes[3], ip.bytes[2], ip.bytes[1], ip.bytes[0]);
    return text;
  }
  char *at = text;
  for (int i = 15; i >= 0; i--) at += sprintf(at, "%x.%x.", ip.bytes[i] & 15, ip.bytes[i] >> 4);
  memcpy(at, "ip6.arpa", sizeof "ip6.arpa");
  return text;
}

enum place {
  PLACE_ELSEWHERE, /* not ours */
  PLACE_NAME,      /* adit.test */
  PLACE_BELOW,     /* something.adit.test */
  PLACE_REVERSE    /* the name of one of our addresses */
};

static bool is_reverse_of(const char *name, adit_ip ip) {
  char text[NS_MAXDNAME];
  return ip.version && strcasecmp(name, reverse_name(ip, text)) == 0;
}

static enum place place_of(const struct adit_dns_zone *zone, const char *name) {
  size_t length = strlen(name);
  size_t zone_length = strlen(ADIT_DNS_NAME);
  if (length >= zone_length && strcasecmp(name + length - zone_length, ADIT_DNS_NAME) == 0) {
    if (length == zone_length) return PLACE_NAME;
    /* A dot that is escaped belongs to a label: "x\.adit.test" is the one label "x.adit" below "test". */
    size_t before = length - zone_length;
    size_t escapes = 0;
    while (escapes + 1 < before && name[before - 2 - escapes] == '\\') escapes++;
    if (name[before - 1] == '.' && escapes % 2 == 0) return PLACE_BELOW;
  }
  return is_reverse_of(name, zone->ip4) || is_reverse_of(name, zone->ip6) ? PLACE_REVERSE : PLACE_ELSEWHERE;
}

/* Write the records that answer the question. Returns how many. */
static unsigned put_records(struct writer *writer, const struct adit_dns_zone *zone, enum place place, const char *name,
                            ns_type type) {
  unsigned count = 0;
  bool any = type == ns_t_any;
  if (place == PLACE_NAME && (type == ns_t_a || any) && zone->ip4.version) {
    put_address(writer, name, zone->ip4);
    count++;
  }
  if (place == PLACE_NAME && (type == ns_t_aaaa || any) && zone->ip6.version) {
    put_address(writer, name, zone->ip6);
    count++;
  }
  if (place == PLACE_NAME && type == ns_t_ns) {
    put_name_record(writer, name, ns_t_ns, ADIT_DNS_NAME);
    count++;
  }
  if (place == PLACE_NAME && type == ns_t_soa) {
    put_soa(writer, name);
    count++;
  }
  if (place == PLACE_REVERSE && (type == ns_t_ptr || any)) {
    put_name_record(writer, name, ns_t_ptr, ADIT_DNS_NAME);
    count++;
  }
  return count;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* What was asked for, beside the question. */
struct edns {
  bool present;
  unsigned version;
};

/* Look for the OPT record. Returns false when the message is wrong. */
static bool read_edns(ns_msg *message, struct edns *edns) {
  for (int i = 0; i < ns_msg_count(*message, ns_s_ar); i++) {
    ns_rr record;
    if (ns_parserr(message, ns_s_ar, i, &record) < 0) return false;
    if (ns_rr_type(record) != ns_t_opt) continue;
    if (edns->present || ns_rr_name(record)[0] != '.' || ns_rr_name(record)[1] != '\0')
      return false; /* RFC 6891, 6.1.1: one, and at the root */
    edns->present = true;
    edns->version = ns_rr_ttl(record) >> 16 & 0xff;
  }
  return true;
}

static void put_edns(struct writer *writer, unsigned rcode) {
  const uint8_t root = 0;
  put(writer, &root, 1);
  put16(writer, ns_t_opt);
  put16(writer, EDNS_BYTES);
  put32(writer, (uint32_t)(rcode >> 4) << 24); /* the upper bits of the code, and version 0 */
  put16(writer, 0);
}

/* The header (RFC 1035, 4.1.1), at the very end, when its numbers are known. */
struct header {
  unsigned rcode;
  bool authoritative;
  unsigned count[4];
};

static size_t finish(struct writer *writer, const uint8_t *query, const struct header *header) {
  const uint8_t asked = query[2];
  writer->start[0] = query[0];
  writer->start[1] = query[1];
  writer->start[2] = (uint8_t)(0x80 | (asked & 0x79) |
                               (header->authoritative ? 0x04 : 0)); /* QR, opcode, RD as asked */
  writer->start[3] = (uint8_t)(header->rcode & 15);
  for (unsigned i = 0; i < 4; i++) {
    writer->start[4 + 2 * i] = (uint8_t)(header->count[i] >> 8);
    writer->start[5 + 2 * i] = (uint8_t)header->count[i];
  }
  return (size_t)(writer->at - writer->start);
}

/* An answer that is nothing but a header: the question could not be understood, or will not be. */
static size_t finish_bare(struct writer *writer, const uint8_t *query, unsigned rcode) {
  writer->at = writer->start + NS_HFIXEDSZ;
  return finish(writer, query, &(struct header){.rcode = rcode});
}

size_t adit_dns_answer(const struct adit_dns_zone *zone, const uint8_t *query, size_t length,
                       uint8_t answer[ADIT_DNS_ANSWER_MAX]) {
  if (length < NS_HFIXEDSZ || length > NS_MAXMSG || query[2] & 0x80) return 0;
  struct writer writer = begin(answer);
  struct header header = {.rcode = ns_r_noerror};

  if ((query[2] >> 3 & 15) != ns_o_query) return finish_bare(&writer, query, ns_r_notimpl);
  ns_msg message;
  ns_rr question;
  struct edns edns = {0};
  if (ns_initparse(query, (int)length, &message) < 0 || ns_msg_count(message, ns_s_qd) != 1 ||
      ns_parserr(&message, ns_s_qd, 0, &question) < 0 || !read_edns(&message, &edns))
    return finish_bare(&writer, query, ns_r_formerr);

  const char *name = ns_rr_name(question);
  const ns_type type = ns_rr_type(question);
  put_name(&writer, name);
  put16(&writer, type);
  put16(&writer, ns_rr_class(question));
  header.count[ns_s_qd] = 1;

  enum place place = place_of(zone, name);
  if (edns.version != 0) {
    header.rcode = EDNS_BADVERS;
  } else if (place == PLACE_ELSEWHERE || (ns_rr_class(question) != ns_c_in && ns_rr_class(question) != ns_c_any)) {
    header.rcode = ns_r_refused;
  } else {
    header.authoritative = true;
    header.rcode = place == PLACE_BELOW ? ns_r_nxdomain : ns_r_noerror;
    header.count[ns_s_an] = put_records(&writer, zone, place, name, type);
    if (header.count[ns_s_an] == 0) {
      put_soa(&writer, place == PLACE_REVERSE ? name : ADIT_DNS_NAME);
      header.count[ns_s_ns] = 1;
    }
  }
  if (edns.present) {
    put_edns(&writer, header.rcode);
    header.count[ns_s_ar] = 1;
  }
  return writer.full ? finish_bare(&writer, query, ns_r_servfail) : finish(&writer, query, &header);
}
