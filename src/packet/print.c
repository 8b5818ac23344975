/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets as text: one readable line, a hex dump, decimal numbers.
 *
 * A line is put together from the front. What adit_header_parse() found is trusted from then on; the few things that
 * are read beside it (Ethernet and ARP, TCP options, the target of neighbour discovery) check their own bounds.
 */
#include "packet/print.h"

#include "packet/header.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ETHERNET_HEADER = 14, VLAN_TAG = 4, MAC = 6, ARP_IP4 = 28, TCP_HEADER = 20, ICMP_HEADER = 8 };

enum { TYPE_IP4 = 0x0800, TYPE_ARP = 0x0806, TYPE_VLAN = 0x8100, TYPE_IP6 = 0x86dd, TYPE_SERVICE_VLAN = 0x88a8 };

enum { NEIGHBOR_SOLICITATION = 135, NEIGHBOR_ADVERTISEMENT = 136 };

/* Where the next character goes. What does not fit is cut; `used` never passes size - 1. */
struct line {
  char *text;
  size_t size;
  size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...) {
  va_list arguments;
  size_t room = line->size - line->used;
  va_start(arguments, format);
  int wanted = vsnprintf(line->text + line->used, room, format, arguments);
  va_end(arguments);
  if (wanted > 0) {
    line->used += (size_t)wanted < room ? (size_t)wanted : room - 1;
  }
}

static uint16_t get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put_mac(struct line *line, const uint8_t *mac) {
  put(line, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void put_ip(struct line *line, adit_ip ip) {
  char text[ADIT_ADDRESS_TEXT];
  put(line, "%s", adit_ip_format(ip, text));
}

static void put_time(struct line *line, uint64_t stamp_ns) {
  time_t seconds = (time_t)(stamp_ns / 1000000000);
  struct tm local;
  if (localtime_r(&seconds, &local) == NULL) {
    memset(&local, 0, sizeof local);
  }
  put(line, "%02d:%02d:%02d.%06u ", local.tm_hour, local.tm_min, local.tm_sec,
      (unsigned)(stamp_ns % 1000000000 / 1000));
}

static void put_malformed(struct line *line, enum adit_drop why) {
  put(line, "malformed: %s", adit_drop_name(why));
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

static void put_tcp_flags(struct line *line, uint8_t flags) {
  static const char letters[8] = {'F', 'S', 'R', 'P', '.', 'U', 'E', 'W'}; /* by bit */
  if (flags == 0) {
    put(line, "[none]");
    return;
  }
  put(line, "[");
  for (unsigned bit = 0; bit < sizeof letters; bit++) {
    if ((flags >> bit & 1) != 0) {
      put(line, "%c", letters[bit]);
    }
  }
  put(line, "]");
}

/* One option of `length` bytes (kind and length included); false when its length is not that of its kind. */
static bool put_tcp_option(struct line *line, const uint8_t *at, unsigned length) {
  enum { MSS = 2, WINDOW_SCALE = 3, SACK_PERMITTED = 4, SACK = 5, TIMESTAMPS = 8 };
  switch (at[0]) {
  case MSS:
    if (length == 4) {
      put(line, "mss %u", get16(at + 2));
    }
    return length == 4;
  case WINDOW_SCALE:
    if (length == 3) {
      put(line, "wscale %u", at[2]);
    }
    return length == 3;
  case SACK_PERMITTED:
    if (length == 2) {
      put(line, "sackOK");
    }
    return length == 2;
  case SACK:
    if (length % 8 != 2) {
      return false;
    }
    put(line, "sack %u ", length / 8);
    for (unsigned i = 2; i < length; i += 8) {
      put(line, "{%u:%u}", get32(at + i), get32(at + i + 4));
    }
    return true;
  case TIMESTAMPS:
    if (length == 10) {
      put(line, "TS val %u ecr %u", get32(at + 2), get32(at + 6));
    }
    return length == 10;
  default:
    put(line, "opt %u", at[0]);
    return true;
  }
}

static void put_tcp_options(struct line *line, const uint8_t *at, const uint8_t *end) {
  enum { END = 0, NOP = 1 };
  put(line, ", options [");
  for (const char *separator = ""; at < end; separator = ",") {
    put(line, "%s", separator);
    if (*at == END) {
      put(line, "eol");
      break;
    }
    if (*at == NOP) {
      put(line, "nop");
      at++;
      continue;
    }
    if (end - at < 2 || at[1] < 2 || at[1] > end - at || !put_tcp_option(line, at, at[1])) {
      put(line, "malformed");
      break;
    }
    at += at[1];
  }
  put(line, "]");
}

static void put_tcp(struct line *line, const uint8_t *data, const struct adit_header *header) {
  uint32_t length = header->length - header->payload;
  uint32_t seq = header->tcp_sequence;
  put(line, "TCP ");
  put_tcp_flags(line, header->tcp_flags);
  if (length > 0) {
    put(line, ", seq %u:%u", seq, seq + length);
  } else if ((header->tcp_flags & (ADIT_TCP_SYN | ADIT_TCP_FIN | ADIT_TCP_RST)) != 0) {
    put(line, ", seq %u", seq);
  }
  if ((header->tcp_flags & ADIT_TCP_ACK) != 0) {
    put(line, ", ack %u", header->tcp_acknowledgment);
  }
  put(line, ", win %u", header->tcp_window);
  if ((header->tcp_flags & ADIT_TCP_URG) != 0) {
    put(line, ", urg %u", get16(data + header->transport + 18));
  }
  if (header->payload > header->transport + TCP_HEADER) {
    put_tcp_options(line, data + header->transport + TCP_HEADER, data + header->payload);
  }
  put(line, ", len %u", length);
}

/* ---- ICMP, others ------------------------------------------------------------------------------------------------ */

enum { ANY_CODE = -1 };

static const struct {
  uint8_t version;
  uint8_t type;
  int16_t code;
  const char *name;
} messages[] = {
    {4, 0, ANY_CODE, "echo reply"},
    {4, 3, 0, "net unreachable"},
    {4, 3, 1, "host unreachable"},
    {4, 3, 2, "protocol unreachable"},
    {4, 3, 3, "port unreachable"},
    {4, 3, 4, "unreachable, need to fragment"},
    {4, 3, 13, "unreachable, prohibited"},
    {4, 3, ANY_CODE, "unreachable"},
    {4, 5, ANY_CODE, "redirect"},
    {4, 8, ANY_CODE, "echo request"},
    {4, 9, ANY_CODE, "router advertisement"},
    {4, 10, ANY_CODE, "router solicitation"},
    {4, 11, 0, "time exceeded in transit"},
    {4, 11, 1, "time exceeded in reassembly"},
    {4, 12, ANY_CODE, "parameter problem"},
    {4, 13, ANY_CODE, "time stamp request"},
    {4, 14, ANY_CODE, "time stamp reply"},
    {6, 1, 0, "no route"},
    {6, 1, 1, "unreachable, prohibited"},
    {6, 1, 3, "address unreachable"},
    {6, 1, 4, "port unreachable"},
    {6, 1, ANY_CODE, "unreachable"},
    {6, 2, ANY_CODE, "packet too big"},
    {6, 3, 0, "time exceeded in transit"},
    {6, 3, 1, "time exceeded in reassembly"},
    {6, 4, ANY_CODE, "parameter problem"},
    {6, 128, ANY_CODE, "echo request"},
    {6, 129, ANY_CODE, "echo reply"},
    {6, 130, ANY_CODE, "multicast listener query"},
    {6, 131, ANY_CODE, "multicast listener report"},
    {6, 132, ANY_CODE, "multicast listener done"},
    {6, 133, ANY_CODE, "router solicitation"},
    {6, 134, ANY_CODE, "router advertisement"},
    {6, NEIGHBOR_SOLICITATION, ANY_CODE, "neighbor solicitation"},
    {6, NEIGHBOR_ADVERTISEMENT, ANY_CODE, "neighbor advertisement"},
    {6, 137, ANY_CODE, "redirect"},
    {6, 143, ANY_CODE, "multicast listener report v2"},
};

static void put_icmp(struct line *line, const uint8_t *data, const struct adit_header *header) {
  const char *name = NULL;
  uint32_t length = header->length - header->transport;
  put(line, header->version == 4 ? "ICMP " : "ICMPv6 ");
  for (size_t i = 0; i < sizeof messages / sizeof messages[0] && name == NULL; i++) {
    if (messages[i].version == header->version && messages[i].type == header->icmp_type &&
        (messages[i].code == ANY_CODE || messages[i].code == header->icmp_code)) {
      name = messages[i].name;
    }
  }
  if (name == NULL) {
    put(line, "type %u, code %u", header->icmp_type, header->icmp_code);
  } else {
    put(line, "%s", name);
  }
  bool echo = header->version == 4 ? header->icmp_type == 0 || header->icmp_type == 8
                                   : header->icmp_type == 128 || header->icmp_type == 129;
  if (echo) {
    put(line, ", id %u, seq %u", header->icmp_id, header->icmp_sequence);
  }
  bool neighbor = header->version == 6 &&
                  (header->icmp_type == NEIGHBOR_SOLICITATION || header->icmp_type == NEIGHBOR_ADVERTISEMENT);
  if (neighbor && length >= ICMP_HEADER + 16) {
    put(line, header->icmp_type == NEIGHBOR_SOLICITATION ? ", who has " : ", target ");
    put_ip(line, adit_ip_from_bytes(6, data + header->transport + ICMP_HEADER));
  }
  put(line, ", len %u", length);
}

static void put_protocol(struct line *line, uint8_t protocol) {
  static const struct {
    uint8_t number;
    const char *name;
  } names[] = {
      {IPPROTO_ICMP, "ICMP"},        {IPPROTO_IGMP, "IGMP"},    {IPPROTO_IPIP, "IP-in-IP"},
      {IPPROTO_TCP, "TCP"},          {IPPROTO_UDP, "UDP"},      {IPPROTO_IPV6, "IPv6-in-IP"},
      {IPPROTO_GRE, "GRE"},          {IPPROTO_ESP, "ESP"},      {IPPROTO_AH, "AH"},
      {IPPROTO_ICMPV6, "ICMPv6"},    {IPPROTO_NONE, "nothing"}, {IPPROTO_SCTP, "SCTP"},
      {IPPROTO_UDPLITE, "UDP-Lite"},
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (names[i].number == protocol) {
      put(line, "%s", names[i].name);
      return;
    }
  }
  put(line, "protocol %u", protocol);
}

/* ---- one packet -------------------------------------------------------------------------------------------------- */

static void put_addresses(struct line *line, const struct adit_header *header, bool ports) {
  char source[ADIT_ADDRESS_TEXT];
  char destination[ADIT_ADDRESS_TEXT];
  if (ports) {
    adit_endpoint_format((adit_endpoint){header->source, header->source_port}, source);
    adit_endpoint_format((adit_endpoint){header->destination, header->destination_port}, destination);
  } else {
    adit_ip_format(header->source, source);
    adit_ip_format(header->destination, destination);
  }
  put(line, "%s > %s ", source, destination);
}

/* What the notes say of the packet, and whether it is what they say. `skip` bytes stood before the IP header. */
static void put_offload(struct line *line, const uint8_t *data, const struct adit_header *header,
                        const struct adit_offload *offload, size_t skip) {
  struct adit_offload inner = *offload;
  enum adit_drop why;
  if (inner.gso != ADIT_GSO_NONE) {
    put(line, ", gso %u", inner.gso_size);
  }
  inner.checksum_start = (uint16_t)(inner.checksum_start - skip);
  if (!adit_header_offload_fits(header, &inner)) {
    put(line, ", offload notes do not fit");
  } else if (header->segments_left == 0 &&
             !adit_header_verify(data, header, inner.checksum != ADIT_CHECKSUM_NONE, &why)) {
    put(line, ", wrong %s", adit_drop_name(why));
  }
}

static void put_packet(struct line *line, const uint8_t *data, size_t length, unsigned version,
                       const struct adit_offload *offload, size_t skip) {
  struct adit_header header;
  enum adit_drop why;
  if (!adit_header_parse(data, length, &header, &why)) {
    put_malformed(line, why);
    return;
  }
  if (version != 0 && version != header.version) {
    put_malformed(line, ADIT_DROP_VERSION);
    return;
  }
  bool tcp = header.protocol == IPPROTO_TCP && !header.fragment;
  bool udp = header.protocol == IPPROTO_UDP && !header.fragment;
  bool super = offload != NULL && offload->gso == ADIT_GSO_UDP;
  put_addresses(line, &header, tcp || udp);
  if (header.fragment) {
    put_protocol(line, header.protocol);
    put(line, " fragment, id %u, offset %u, len %u%s", header.fragment_id, header.fragment_offset,
        header.length - header.transport, header.more_fragments ? ", more" : "");
  } else if (tcp) {
    put_tcp(line, data, &header);
  } else if (udp) {
    put(line, "UDP, len %u", super ? header.length - header.payload : header.udp_length - 8u);
  } else if (header.protocol == (header.version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
    put_icmp(line, data, &header);
  } else {
    put_protocol(line, header.protocol);
    put(line, ", len %u", header.length - header.transport);
  }
  if (header.segments_left != 0) {
    put(line, ", segments left %u", header.segments_left);
  }
  if (offload != NULL) {
    put_offload(line, data, &header, offload, skip);
  }
}

static void put_arp(struct line *line, const uint8_t *at, size_t length) {
  static const uint8_t ethernet_ip4[6] = {0, 1, TYPE_IP4 >> 8, TYPE_IP4 & 255, MAC, 4};
  if (length < 8) {
    put_malformed(line, ADIT_DROP_TRUNCATED);
    return;
  }
  unsigned operation = get16(at + 6);
  if (memcmp(at, ethernet_ip4, sizeof ethernet_ip4) != 0 || (operation != 1 && operation != 2)) {
    put(line, "ARP operation %u, hardware %u, protocol 0x%04x", operation, get16(at), get16(at + 2));
    return;
  }
  if (length < ARP_IP4) {
    put_malformed(line, ADIT_DROP_TRUNCATED);
    return;
  }
  put(line, "ARP ");
  if (operation == 1) {
    put(line, "who-has ");
    put_ip(line, adit_ip_from_bytes(4, at + 24));
    put(line, " tell ");
    put_ip(line, adit_ip_from_bytes(4, at + 14));
  } else {
    put_ip(line, adit_ip_from_bytes(4, at + 14));
    put(line, " is-at ");
    put_mac(line, at + 8);
  }
}

static void put_frame(struct line *line, const uint8_t *data, size_t length, const struct adit_offload *offload) {
  size_t skip = ETHERNET_HEADER;
  if (length < skip) {
    put_malformed(line, ADIT_DROP_TRUNCATED);
    return;
  }
  uint16_t type = get16(data + skip - 2);
  for (unsigned tags = 0; tags < 2 && (type == TYPE_VLAN || type == TYPE_SERVICE_VLAN); tags++) {
    if (length < skip + VLAN_TAG) {
      put_malformed(line, ADIT_DROP_TRUNCATED);
      return;
    }
    put(line, "vlan %u ", get16(data + skip) & 0xfff);
    type = get16(data + skip + 2);
    skip += VLAN_TAG;
  }
  switch (type) {
  case TYPE_IP4:
    put_packet(line, data + skip, length - skip, 4, offload, skip);
    break;
  case TYPE_IP6:
    put_packet(line, data + skip, length - skip, 6, offload, skip);
    break;
  case TYPE_ARP:
    put_arp(line, data + skip, length - skip);
    break;
  default:
    put_mac(line, data + MAC);
    put(line, " > ");
    put_mac(line, data);
    put(line, " ethertype 0x%04x, len %zu", type, length - skip);
    break;
  }
}

char *adit_print_line(char *text, size_t size, uint64_t stamp_ns, bool ethernet, const uint8_t *data, size_t length,
                      const struct adit_offload *offload) {
  struct line line = {.text = text, .size = size};
  put_time(&line, stamp_ns);
  if (ethernet) {
    put_frame(&line, data, length, offload);
  } else {
    put_packet(&line, data, length, 0, offload, 0);
  }
  put(&line, ", %zu bytes", length);
  return text;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

char *adit_print_hex(char *text, size_t size, const uint8_t *data, size_t length) {
  static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  enum { ROW = 16, HEX = ROW / 2 * 5 - 1 }; /* pairs of bytes: four digits each, a space between two */
  struct line line = {.text = text, .size = size};
  text[0] = '\0';
  for (size_t offset = 0; offset < length; offset += ROW) {
    char hex[HEX];
    char ascii[ROW];
    size_t count = length - offset < ROW ? length - offset : ROW;
    memset(hex, ' ', sizeof hex);
    for (size_t i = 0; i < count; i++) {
      uint8_t byte = data[offset + i];
      hex[i / 2 * 5 + i % 2 * 2] = digits[byte >> 4];
      hex[i / 2 * 5 + i % 2 * 2 + 1] = digits[byte & 15];
      ascii[i] = byte >= ' ' && byte <= '~' ? (char)byte : '.';
    }
    put(&line, "0x%04zx:  %.*s  %.*s\n", offset, HEX, hex, (int)count, ascii);
  }
  return text;
}

char *adit_print_decimal(char *text, size_t size, const uint8_t *data, size_t length) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < length; i++) {
    char number[5];
    int count = snprintf(number, sizeof number, i == 0 ? "%u" : " %u", data[i]);
    if (used + (size_t)count >= size) {
      break; /* whole numbers only: half of one would be another */
    }
    memcpy(text + used, number, (size_t)count + 1);
    used += (size_t)count;
  }
  return text;
}
