/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The headers of an IP packet as values: bounds are checked once, here, and never again.
 *
 * Every packet passes here once, before anything else looks at it: what this file lets through has a network header
 * and (unless it is a fragment) a transport header that lie inside the bytes that were read. It goes from the front to
 * the back; each step is told where its header begins and where the packet ends, and checks that before it reads.
 *
 * What is a contradiction (ADIT_DROP_HEADER) and what is merely missing (ADIT_DROP_TRUNCATED) follows one rule: a field
 * that could not be right in any packet is a contradiction; one that would be right in a longer packet is truncation.
 *
 * Left to others: what options mean (only their bounds are checked), whether addresses make sense, and reassembly.
 * Super-packets need no case of their own. They are as long as their length field says, up to 65535 bytes (IPv4) or
 * 40 + 65535 (IPv6); a jumbogram (RFC 2675), longer than that, cannot come out of a device and is refused.
 */
#include "packet/header.h"

#include "packet/checksum.h"

#include <netinet/in.h>
#include <string.h>

enum {
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  TCP_HEADER = 20,
  UDP_HEADER = 8,
  ICMP_HEADER = 8,
  FRAGMENT_HEADER = 8,
  EXTENSIONS_MAX = 8,
  REASSEMBLED_MAX = 65535, /* of an IPv4 packet with its header (RFC 791), of an IPv6 payload (RFC 8200, 4.5) */
  PACKET_MAX = IP6_HEADER + 65535
};

/* Types in ICMP that carry an identifier and a sequence number (RFC 792, RFC 4443 section 4). */
enum { ECHO_REPLY4 = 0, ECHO_REQUEST4 = 8, ECHO_REQUEST6 = 128, ECHO_REPLY6 = 129 };

/* Options in IPv4 (RFC 791) and in IPv6 hop-by-hop and destination headers (RFC 8200, 4.2). */
enum { OPTION4_END = 0, OPTION4_NOP = 1, OPTION4_LOOSE_ROUTE = 131, OPTION4_STRICT_ROUTE = 137, OPTION6_PAD1 = 0 };

/* Where the checksum field of a protocol is, from its transport header. */
enum { TCP_CHECKSUM = 16, UDP_CHECKSUM = 6, ICMP_CHECKSUM = 2 };

static uint16_t get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool fail(enum adit_drop *why, enum adit_drop reason) {
  *why = reason;
  return false;
}

static bool is_icmp(const struct adit_header *header) {
  return header->protocol == (header->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* ---- transport --------------------------------------------------------------------------------------------------- */

static bool parse_tcp(const uint8_t *at, uint32_t rest, struct adit_header *header, enum adit_drop *why) {
  if (rest < TCP_HEADER) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  uint32_t size = (uint32_t)(at[12] >> 4) * 4;
  if (size < TCP_HEADER) {
    return fail(why, ADIT_DROP_HEADER);
  }
  if (size > rest) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->source_port = get16(at);
  header->destination_port = get16(at + 2);
  header->tcp_sequence = get32(at + 4);
  header->tcp_acknowledgment = get32(at + 8);
  header->tcp_flags = at[13];
  header->tcp_window = get16(at + 14);
  header->payload = header->transport + size;
  return true;
}

static bool parse_udp(const uint8_t *at, uint32_t rest, struct adit_header *header, enum adit_drop *why) {
  if (rest < UDP_HEADER) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->udp_length = get16(at + 4);
  if (header->udp_length < UDP_HEADER) {
    return fail(why, ADIT_DROP_HEADER);
  }
  if (header->udp_length > rest) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->source_port = get16(at);
  header->destination_port = get16(at + 2);
  header->payload = header->transport + UDP_HEADER;
  return true;
}

static bool parse_icmp(const uint8_t *at, uint32_t rest, struct adit_header *header, enum adit_drop *why) {
  if (rest < ICMP_HEADER) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->icmp_type = at[0];
  header->icmp_code = at[1];
  bool echo = header->version == 4 ? at[0] == ECHO_REQUEST4 || at[0] == ECHO_REPLY4
                                   : at[0] == ECHO_REQUEST6 || at[0] == ECHO_REPLY6;
  if (echo) {
    header->icmp_id = get16(at + 4);
    header->icmp_sequence = get16(at + 6);
  }
  header->payload = header->transport + ICMP_HEADER;
  return true;
}

/* `header->transport` and `header->length` stand and are in order. */
static bool parse_transport(const uint8_t *data, struct adit_header *header, enum adit_drop *why) {
  const uint8_t *at = data + header->transport;
  uint32_t rest = header->length - header->transport;
  header->payload = header->transport;
  if (header->fragment) {
    return true;
  }
  if (header->protocol == IPPROTO_TCP) {
    return parse_tcp(at, rest, header, why);
  }
  if (header->protocol == IPPROTO_UDP) {
    return parse_udp(at, rest, header, why);
  }
  return is_icmp(header) ? parse_icmp(at, rest, header, why) : true;
}

/*
 * What both versions ask of a fragment of `bytes` bytes: all but the last are whole units of eight bytes (RFC 791,
 * RFC 8200 4.5), it holds something, and it does not end beyond what an IP packet of `most` bytes can hold.
 */
static bool check_fragment(const struct adit_header *header, uint32_t bytes, uint32_t most, enum adit_drop *why) {
  if (bytes == 0 || (header->more_fragments && bytes % 8 != 0)) {
    return fail(why, ADIT_DROP_HEADER);
  }
  return header->fragment_offset + bytes <= most ? true : fail(why, ADIT_DROP_OVERSIZED);
}

/* ---- IPv4 -------------------------------------------------------------------------------------------------------- */

static bool options4_fit(const uint8_t *at, uint32_t size) {
  while (size > 0 && at[0] != OPTION4_END) {
    uint32_t length = 1;
    if (at[0] != OPTION4_NOP) {
      bool route = at[0] == OPTION4_LOOSE_ROUTE || at[0] == OPTION4_STRICT_ROUTE; /* RFC 7126, 4.3: not to be taken */
      if (size < 2 || at[1] < 2 || at[1] > size || route) {
        return false;
      }
      length = at[1];
    }
    at += length;
    size -= length;
  }
  return true;
}

static bool parse4(const uint8_t *data, size_t length, struct adit_header *header, enum adit_drop *why) {
  if (length < IP4_HEADER) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  uint32_t size = (uint32_t)(data[0] & 15) * 4;
  header->length = get16(data + 2);
  if (size < IP4_HEADER || header->length < size) {
    return fail(why, ADIT_DROP_HEADER);
  }
  if (header->length > length) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  if (size > IP4_HEADER && !options4_fit(data + IP4_HEADER, size - IP4_HEADER)) {
    return fail(why, ADIT_DROP_HEADER);
  }
  uint16_t piece = get16(data + 6);
  header->fragment_id = get16(data + 4);
  header->more_fragments = (piece & 0x2000) != 0;
  header->fragment_offset = (uint16_t)((piece & 0x1fff) * 8);
  header->fragment = (piece & 0x3fff) != 0;
  header->ttl = data[8];
  header->protocol = data[9];
  header->source = adit_ip_from_bytes(4, data + 12);
  header->destination = adit_ip_from_bytes(4, data + 16);
  header->transport = size;
  if (header->fragment && !check_fragment(header, header->length - size, REASSEMBLED_MAX - size, why)) {
    return false;
  }
  return parse_transport(data, header, why);
}

/* ---- IPv6 -------------------------------------------------------------------------------------------------------- */

/*
 * Options of a hop-by-hop or destination header, behind its first two bytes. The two highest bits say what to do with one that
 * is not known: anything but zero is to drop the packet (RFC 8200, 4.2). None of those is known here, jumbograms included.
 */
static bool options6_fit(const uint8_t *at, uint32_t size) {
  while (size > 0) {
    uint32_t length = 1;
    if (at[0] != OPTION6_PAD1) {
      if (size < 2 || at[0] >> 6 != 0 || (uint32_t)at[1] + 2 > size) {
        return false;
      }
      length = (uint32_t)at[1] + 2;
    }
    at += length;
    size -= length;
  }
  return true;
}

/* `at` is the fragment header, `rest` what the packet has from there. */
static bool parse_fragment6(const uint8_t *at, uint32_t rest, struct adit_header *header, enum adit_drop *why) {
  uint16_t piece = get16(at + 2);
  header->fragment_id = get32(at + 4);
  header->more_fragments = (piece & 1) != 0;
  header->fragment_offset = piece & 0xfff8;
  header->fragment = header->more_fragments || header->fragment_offset != 0; /* else atomic: whole (RFC 6946) */
  if (!header->fragment) {
    return true;
  }
  /* What precedes the fragment header counts into the reassembled payload as well. */
  uint32_t before = header->transport - IP6_HEADER;
  return check_fragment(header, rest - FRAGMENT_HEADER, REASSEMBLED_MAX - before, why);
}

/* Walk from the fixed header to the transport header: `header->transport` and `header->protocol` move along. */
static bool parse_extensions(const uint8_t *data, struct adit_header *header, enum adit_drop *why) {
  bool fragmented = false;
  for (unsigned count = 0;; count++) {
    const uint8_t *at = data + header->transport;
    uint32_t rest = header->length - header->transport;
    uint8_t type = header->protocol;
    if (type != IPPROTO_HOPOPTS && type != IPPROTO_ROUTING && type != IPPROTO_DSTOPTS && type != IPPROTO_FRAGMENT) {
      return true;
    }
    if (count == EXTENSIONS_MAX || (type == IPPROTO_HOPOPTS && count > 0) || (type == IPPROTO_FRAGMENT && fragmented)) {
      return fail(why, ADIT_DROP_HEADER);
    }
    if (rest < 8) {
      return fail(why, ADIT_DROP_TRUNCATED);
    }
    uint32_t size = type == IPPROTO_FRAGMENT ? FRAGMENT_HEADER : ((uint32_t)at[1] + 1) * 8;
    if (size > rest) {
      return fail(why, ADIT_DROP_TRUNCATED);
    }
    if (type == IPPROTO_FRAGMENT) {
      fragmented = true;
      if (!parse_fragment6(at, rest, header, why)) {
        return false;
      }
    } else if (type == IPPROTO_ROUTING) {
      header->segments_left = at[3];
    } else if (!options6_fit(at + 2, size - 2)) {
      return fail(why, ADIT_DROP_HEADER);
    }
    header->transport += size;
    header->protocol = at[0];
    if (header->fragment) {
      return true; /* what follows is a piece: its first bytes are a header in the first fragment only */
    }
  }
}

static bool parse6(const uint8_t *data, size_t length, struct adit_header *header, enum adit_drop *why) {
  if (length < IP6_HEADER) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->length = IP6_HEADER + (uint32_t)get16(data + 4);
  if (header->length > length) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  header->protocol = data[6];
  header->ttl = data[7];
  header->source = adit_ip_from_bytes(6, data + 8);
  header->destination = adit_ip_from_bytes(6, data + 24);
  header->transport = IP6_HEADER;
  return parse_extensions(data, header, why) && parse_transport(data, header, why);
}

bool adit_header_parse(const uint8_t *data, size_t length, struct adit_header *header, enum adit_drop *why) {
  memset(header, 0, sizeof *header);
  if (length == 0) {
    return fail(why, ADIT_DROP_TRUNCATED);
  }
  if (length > PACKET_MAX) {
    return fail(why, ADIT_DROP_OVERSIZED);
  }
  header->version = data[0] >> 4;
  switch (header->version) {
  case 4:
    return parse4(data, length, header, why);
  case 6:
    return parse6(data, length, header, why);
  default:
    return fail(why, ADIT_DROP_VERSION);
  }
}

/* ---- checks on what was parsed ----------------------------------------------------------------------------------- */

static bool sum_is_right(const uint8_t *data, const struct adit_header *header, uint64_t pseudo, uint32_t bytes) {
  return adit_checksum_fold(adit_checksum_add(pseudo, data + header->transport, bytes)) == 0xffff;
}

static bool verify_udp(const uint8_t *data, const struct adit_header *header) {
  if (get16(data + header->transport + UDP_CHECKSUM) == 0) {
    return header->version == 4;
  }
  uint32_t bytes = header->udp_length;
  return sum_is_right(data, header, adit_checksum_pseudo(data, IPPROTO_UDP, bytes), bytes);
}

bool adit_header_verify(const uint8_t *data, const struct adit_header *header, bool transport_known,
                        enum adit_drop *why) {
  if (header->version == 4) {
    size_t size = (size_t)(data[0] & 15) * 4;
    if (adit_checksum_fold(adit_checksum_add(0, data, size)) != 0xffff) {
      return fail(why, ADIT_DROP_IP_CHECKSUM);
    }
  }
  if (header->segments_left != 0) {
    return fail(why, ADIT_DROP_HEADER);
  }
  if (header->fragment || transport_known) {
    return true;
  }
  uint32_t bytes = header->length - header->transport;
  if (header->protocol == IPPROTO_TCP) {
    bool right = sum_is_right(data, header, adit_checksum_pseudo(data, IPPROTO_TCP, bytes), bytes);
    return right ? true : fail(why, ADIT_DROP_TCP_CHECKSUM);
  }
  if (header->protocol == IPPROTO_UDP) {
    return verify_udp(data, header) ? true : fail(why, ADIT_DROP_UDP_CHECKSUM);
  }
  if (is_icmp(header)) {
    uint64_t pseudo = header->version == 6 ? adit_checksum_pseudo(data, IPPROTO_ICMPV6, bytes) : 0;
    return sum_is_right(data, header, pseudo, bytes) ? true : fail(why, ADIT_DROP_ICMP_CHECKSUM);
  }
  return true;
}

static bool segmentation_fits(const struct adit_header *header, const struct adit_offload *offload) {
  bool tcp = header->protocol == IPPROTO_TCP;
  switch (offload->gso) {
  case ADIT_GSO_NONE:
    return !offload->ecn;
  case ADIT_GSO_TCP4:
    return tcp && header->version == 4 && offload->gso_size > 0 && header->payload < header->length;
  case ADIT_GSO_TCP6:
    return tcp && header->version == 6 && offload->gso_size > 0 && header->payload < header->length;
  case ADIT_GSO_UDP:
    return header->protocol == IPPROTO_UDP && !offload->ecn && offload->gso_size > 0 &&
           header->payload < header->length;
  default:
    return false;
  }
}

static bool partial_fits(const struct adit_header *header, const struct adit_offload *offload) {
  uint32_t field;
  if (header->protocol == IPPROTO_TCP) {
    field = TCP_CHECKSUM;
  } else if (header->protocol == IPPROTO_UDP) {
    field = UDP_CHECKSUM;
  } else if (is_icmp(header)) {
    field = ICMP_CHECKSUM;
  } else {
    return false;
  }
  /* A parsed transport header lies inside the packet, so its field does. */
  return offload->checksum_start == header->transport && offload->checksum_offset == field;
}

bool adit_header_offload_fits(const struct adit_header *header, const struct adit_offload *offload) {
  if (offload->gso == ADIT_GSO_NONE && !offload->ecn && offload->checksum != ADIT_CHECKSUM_PARTIAL) {
    return offload->checksum == ADIT_CHECKSUM_NONE || offload->checksum == ADIT_CHECKSUM_VALID;
  }
  if (header->fragment || !segmentation_fits(header, offload)) {
    return false;
  }
  switch (offload->checksum) {
  case ADIT_CHECKSUM_PARTIAL:
    return partial_fits(header, offload);
  case ADIT_CHECKSUM_NONE:
  case ADIT_CHECKSUM_VALID:
    return true;
  default:
    return false;
  }
}
