/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS messages as bytes (RFC 1035): reading the question of one, writing the answer to it.
 */
#ifndef ADIT_PACKET_DNS_H
#define ADIT_PACKET_DNS_H

#include <adit/address.h>
#include <sys/uio.h>

enum {
  ADIT_DNS_HEADER = 12,    /**< bytes before the question */
  ADIT_DNS_PREFIX = 2,     /**< over TCP: the length before each message */
  ADIT_DNS_TEXT = 1025,    /**< room for any name as text, terminating zero included: four characters a byte */
  ADIT_DNS_PLAIN = 512,    /**< longest answer over UDP for who does not say otherwise (RFC 1035, 4.2.1) */
  ADIT_DNS_EDNS = 1232,    /**< the datagram that we take: what fits into the smallest IPv6 packet */
  ADIT_DNS_LONGEST = 65535 /**< longest message over TCP */
};

/** Numbers that arpa/nameser.h lacks. */
enum {
  ADIT_DNS_TYPE_SVCB = 64,  /**< RFC 9460 */
  ADIT_DNS_TYPE_HTTPS = 65, /**< RFC 9460 */
  ADIT_DNS_OPCODE_DSO = 6,  /**< RFC 8490 */
  ADIT_DNS_BADVERS = 16     /**< RFC 6891, 9 */
};

/** What kind of message it is. */
enum adit_dns_reading {
  ADIT_DNS_IGNORE,    /**< too short for a header, too long, or itself an answer: is not to be answered */
  ADIT_DNS_MALFORMED, /**< is to be answered with FORMERR (adit_dns_failure) */
  ADIT_DNS_ASKS       /**< one question, and all of the message can be read */
};

/** The question of a message, and what was said beside it. */
struct adit_dns_question {
  uint16_t id;
  uint8_t opcode;           /**< 0 = QUERY */
  uint16_t type;            /**< ns_t_a ... */
  uint16_t class;           /**< ns_c_in ... */
  bool edns;                /**< there was an OPT record (RFC 6891) */
  uint8_t edns_version;     /**< of it */
  uint16_t edns_bytes;      /**< largest datagram the asker takes, as written; 0 without OPT */
  size_t end;               /**< bytes of header and question */
  char name[ADIT_DNS_TEXT]; /**< letters as they came, special characters escaped, without final dot; "." is the root */
};

/**
 * Take a message apart. `question` is complete only with ADIT_DNS_ASKS; id and opcode are also there with
 * ADIT_DNS_MALFORMED.
 */
enum adit_dns_reading adit_dns_read(const uint8_t *message, size_t length, struct adit_dns_question *question);

/**
 * The length that a message over TCP says it has: the first two bytes of it (RFC 7766, 8), which may lie in several
 * pieces. What is missing of them counts as zero.
 */
size_t adit_dns_prefix(const struct iovec *piece, unsigned count);

/** The largest answer over UDP that the asker takes: what OPT says, at least 512. */
size_t adit_dns_room(const struct adit_dns_question *question);

/** An answer being written. Once something did not fit, `full` stays set and nothing more is written. */
struct adit_dns_writer {
  uint8_t *start;
  uint8_t *at;
  uint8_t *end;
  bool full;
  const uint8_t *name[12]; /**< names written so far, for compression */
};

/** Begin behind the header, which adit_dns_finish writes. `room` is at least ADIT_DNS_HEADER. */
struct adit_dns_writer adit_dns_begin(uint8_t *answer, size_t room);

void adit_dns_put(struct adit_dns_writer *writer, const void *bytes, size_t length);
void adit_dns_put16(struct adit_dns_writer *writer, unsigned value);
void adit_dns_put32(struct adit_dns_writer *writer, uint32_t value);
/** A name given as text, compressed. */
void adit_dns_put_name(struct adit_dns_writer *writer, const char *name);
/** The question as it was asked, letter case included: resolvers check it. */
void adit_dns_put_question(struct adit_dns_writer *writer, const struct adit_dns_question *question);
/** An A or AAAA record. */
void adit_dns_put_address(struct adit_dns_writer *writer, const char *name, uint32_t ttl_s, adit_ip ip);
/** A record whose data is a name: PTR, NS, CNAME. */
void adit_dns_put_pointer(struct adit_dns_writer *writer, const char *name, unsigned type, uint32_t ttl_s,
                          const char *target);
/** An SOA record; `ttl_s` is also for how long "no such thing" may be remembered (RFC 2308, 5). */
void adit_dns_put_soa(struct adit_dns_writer *writer, const char *zone, const char *server, uint32_t ttl_s);
/** Our OPT record, with the upper bits of `rcode`. */
void adit_dns_put_opt(struct adit_dns_writer *writer, unsigned rcode);

/** What adit_dns_finish writes into the header. */
struct adit_dns_result {
  unsigned rcode;     /**< lower four bits count */
  bool authoritative; /**< AA */
  bool recursive;     /**< RA */
  unsigned count[4];  /**< records of each section, indexed by ns_sect */
};

/** Write the header: id, opcode and RD as in `query`, which has one. Returns the length of the answer. */
size_t adit_dns_finish(struct adit_dns_writer *writer, const uint8_t *query, const struct adit_dns_result *result);

/** Make it an answer that is nothing but a header: the question could not be understood, or will not be. */
size_t adit_dns_finish_bare(struct adit_dns_writer *writer, const uint8_t *query, unsigned rcode);

/** The name under which an address is looked up backwards (RFC 1035, 3.5; RFC 3596, 2.5). Returns `text`. */
const char *adit_dns_reverse(adit_ip ip, char text[ADIT_DNS_TEXT]);

/** Whether `name` is `zone` or below it, without case. Both as text as above. */
bool adit_dns_is_in(const char *name, const char *zone);

#endif
