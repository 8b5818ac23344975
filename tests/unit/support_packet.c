/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets for tests, built by hand.
 *
 * Builders write the transport part behind the IP header first and the IP header last, then seal: checksums are zero
 * until everything else stands.
 */
#include "support_packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint16_t support_get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t support_get32(const uint8_t *at) {
  return (uint32_t)support_get16(at) << 16 | support_get16(at + 2);
}

void support_put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

void support_put32(uint8_t *at, uint32_t value) {
  support_put16(at, value >> 16);
  support_put16(at + 2, value);
}

static void put_bytes(uint8_t *at, const void *bytes, size_t length) {
  if (length > 0) {
    memcpy(at, bytes, length);
  }
}

static void put_address(uint8_t *at, int family, const char *text) {
  if (inet_pton(family, text, at) != 1) {
    fprintf(stderr, "support_packet: \"%s\" is no IPv%d address\n", text, family == AF_INET ? 4 : 6);
    abort();
  }
}

uint32_t support_sum(uint32_t sum, const void *data, size_t length) {
  const uint8_t *at = data;
  for (size_t i = 0; i + 1 < length; i += 2) {
    sum += support_get16(at + i);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  if (length % 2 != 0) {
    sum += (uint32_t)at[length - 1] << 8;
  }
  return sum;
}

uint16_t support_sum_field(uint32_t sum) {
  while (sum >> 16 != 0) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return (uint16_t)~sum;
}

/* Where the transport header and its checksum field are; false when there is none to seal. */
static bool find_transport(const uint8_t *packet, size_t *header, size_t *field, uint8_t *protocol) {
  bool v4 = packet[0] >> 4 == 4;
  *header = v4 ? (size_t)(packet[0] & 15) * 4 : 40;
  *protocol = packet[v4 ? 9 : 6];
  if (v4 && (support_get16(packet + 6) & 0x3fff) != 0) {
    return false;
  }
  switch (*protocol) {
  case IPPROTO_TCP:
    *field = *header + 16;
    return true;
  case IPPROTO_UDP:
    *field = *header + 6;
    return true;
  case IPPROTO_ICMP:
    *field = *header + 2;
    return v4;
  case IPPROTO_ICMPV6:
    *field = *header + 2;
    return !v4;
  default:
    return false;
  }
}

static uint32_t sum_pseudo(const uint8_t *packet, uint8_t protocol, size_t transport_length) {
  if (protocol == IPPROTO_ICMP) {
    return 0;
  }
  bool v4 = packet[0] >> 4 == 4;
  uint32_t sum = support_sum(0, packet + (v4 ? 12 : 8), v4 ? 8 : 32);
  return sum + protocol + (uint32_t)(transport_length >> 16) + (uint32_t)(transport_length & 0xffff);
}

static void seal_ip4(uint8_t *packet) {
  if (packet[0] >> 4 == 4) {
    support_put16(packet + 10, 0);
    support_put16(packet + 10, support_sum_field(support_sum(0, packet, (size_t)(packet[0] & 15) * 4)));
  }
}

void support_seal(uint8_t *packet, size_t length) {
  size_t header;
  size_t field;
  uint8_t protocol;
  seal_ip4(packet);
  if (find_transport(packet, &header, &field, &protocol)) {
    support_put16(packet + field, 0);
    uint32_t sum = sum_pseudo(packet, protocol, length - header);
    uint16_t value = support_sum_field(support_sum(sum, packet + header, length - header));
    support_put16(packet + field, value == 0 && protocol == IPPROTO_UDP ? 0xffff : value);
  }
}

void support_seal_partial(uint8_t *packet, size_t length) {
  size_t header;
  size_t field;
  uint8_t protocol;
  seal_ip4(packet);
  if (find_transport(packet, &header, &field, &protocol)) {
    support_put16(packet + field, (uint16_t)~support_sum_field(sum_pseudo(packet, protocol, length - header)));
  }
}

bool support_sealed(const uint8_t *packet, size_t length) {
  size_t header;
  size_t field;
  uint8_t protocol;
  if (packet[0] >> 4 == 4 && support_sum_field(support_sum(0, packet, (size_t)(packet[0] & 15) * 4)) != 0) {
    return false;
  }
  if (!find_transport(packet, &header, &field, &protocol)) {
    return true;
  }
  if (protocol == IPPROTO_UDP && support_get16(packet + field) == 0) {
    return packet[0] >> 4 == 4;
  }
  uint32_t sum = sum_pseudo(packet, protocol, length - header);
  return support_sum_field(support_sum(sum, packet + header, length - header)) == 0;
}

/* IPv4 header of 20 + optlen bytes before `len` bytes that already stand behind it. */
static size_t finish_ip4(uint8_t *buf, const char *src, const char *dst, uint8_t protocol, const void *options,
                         size_t optlen, size_t len) {
  size_t length = 20 + optlen + len;
  memset(buf, 0, 20);
  buf[0] = (uint8_t)(4 << 4 | (20 + optlen) / 4);
  support_put16(buf + 2, (uint32_t)length);
  support_put16(buf + 4, 0x1234);
  buf[8] = 64;
  buf[9] = protocol;
  put_address(buf + 12, AF_INET, src);
  put_address(buf + 16, AF_INET, dst);
  put_bytes(buf + 20, options, optlen);
  support_seal(buf, length);
  return length;
}

static size_t finish_ip6(uint8_t *buf, const char *src, const char *dst, uint8_t next, size_t len) {
  memset(buf, 0, 40);
  buf[0] = 6 << 4;
  support_put16(buf + 4, (uint32_t)len);
  buf[6] = next;
  buf[7] = 64;
  put_address(buf + 8, AF_INET6, src);
  put_address(buf + 24, AF_INET6, dst);
  support_seal(buf, 40 + len);
  return 40 + len;
}

size_t support_ip4(uint8_t *buf, const char *src, const char *dst, uint8_t protocol, const void *options, size_t optlen,
                   const void *payload, size_t len) {
  /* Sealing is for whole transport headers; bytes of the caller's stay as they are. */
  put_bytes(buf + 20 + optlen, payload, len);
  finish_ip4(buf, src, dst, 255, options, optlen, len);
  buf[9] = protocol;
  seal_ip4(buf);
  return 20 + optlen + len;
}

size_t support_ip6(uint8_t *buf, const char *src, const char *dst, uint8_t next, const void *payload, size_t len) {
  put_bytes(buf + 40, payload, len);
  finish_ip6(buf, src, dst, 255, len);
  buf[6] = next;
  return 40 + len;
}

static size_t put_tcp(uint8_t *at, uint16_t sport, uint16_t dport, uint32_t seq, uint32_t ack, uint8_t flags,
                      uint16_t window, const void *options, size_t optlen, const void *payload, size_t len) {
  support_put16(at, sport);
  support_put16(at + 2, dport);
  support_put32(at + 4, seq);
  support_put32(at + 8, ack);
  at[12] = (uint8_t)((20 + optlen) / 4 << 4);
  at[13] = flags;
  support_put16(at + 14, window);
  support_put32(at + 16, 0);
  put_bytes(at + 20, options, optlen);
  put_bytes(at + 20 + optlen, payload, len);
  return 20 + optlen + len;
}

size_t support_tcp4(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint32_t seq,
                    uint32_t ack, uint8_t flags, uint16_t window, const void *options, size_t optlen,
                    const void *payload, size_t len) {
  size_t size = put_tcp(buf + 20, sport, dport, seq, ack, flags, window, options, optlen, payload, len);
  return finish_ip4(buf, src, dst, IPPROTO_TCP, NULL, 0, size);
}

size_t support_tcp6(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint32_t seq,
                    uint32_t ack, uint8_t flags, uint16_t window, const void *options, size_t optlen,
                    const void *payload, size_t len) {
  size_t size = put_tcp(buf + 40, sport, dport, seq, ack, flags, window, options, optlen, payload, len);
  return finish_ip6(buf, src, dst, IPPROTO_TCP, size);
}

static size_t put_udp(uint8_t *at, uint16_t sport, uint16_t dport, const void *payload, size_t len) {
  support_put16(at, sport);
  support_put16(at + 2, dport);
  support_put16(at + 4, (uint32_t)(8 + len));
  support_put16(at + 6, 0);
  put_bytes(at + 8, payload, len);
  return 8 + len;
}

size_t support_udp4(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, const void *payload,
                    size_t len) {
  return finish_ip4(buf, src, dst, IPPROTO_UDP, NULL, 0, put_udp(buf + 20, sport, dport, payload, len));
}

size_t support_udp6(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, const void *payload,
                    size_t len) {
  return finish_ip6(buf, src, dst, IPPROTO_UDP, put_udp(buf + 40, sport, dport, payload, len));
}

static size_t put_echo(uint8_t *at, uint8_t type, uint16_t id, uint16_t seq, const void *payload, size_t len) {
  at[0] = type;
  at[1] = 0;
  support_put16(at + 2, 0);
  support_put16(at + 4, id);
  support_put16(at + 6, seq);
  put_bytes(at + 8, payload, len);
  return 8 + len;
}

size_t support_echo4(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint16_t id, uint16_t seq,
                     const void *payload, size_t len) {
  return finish_ip4(buf, src, dst, IPPROTO_ICMP, NULL, 0, put_echo(buf + 20, type, id, seq, payload, len));
}

size_t support_echo6(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint16_t id, uint16_t seq,
                     const void *payload, size_t len) {
  return finish_ip6(buf, src, dst, IPPROTO_ICMPV6, put_echo(buf + 40, type, id, seq, payload, len));
}

size_t support_extend6(uint8_t *buf, size_t length, uint8_t type, const void *extension, size_t len) {
  memmove(buf + 40 + len, buf + 40, length - 40);
  put_bytes(buf + 40, extension, len);
  buf[40] = buf[6];
  buf[6] = type;
  support_put16(buf + 4, (uint32_t)(length - 40 + len));
  return length + len;
}

size_t support_fragment(const uint8_t *packet, size_t length, size_t mtu, uint32_t id, support_fragment_fn *take,
                        void *user) {
  uint8_t piece[SUPPORT_PACKET_MAX];
  bool v4 = packet[0] >> 4 == 4;
  size_t head = v4 ? (size_t)(packet[0] & 15) * 4 : 40;
  size_t extra = v4 ? 0 : 8;
  size_t step = (mtu - head - extra) / 8 * 8;
  size_t count = 0;
  if (length <= mtu) {
    take(user, packet, length);
    return 1;
  }
  if (mtu < head + extra + 8) {
    fprintf(stderr, "support_packet: no room for a fragment in %zu bytes\n", mtu);
    abort();
  }
  for (size_t offset = 0; offset < length - head; offset += step) {
    size_t rest = length - head - offset;
    size_t take_bytes = rest < step ? rest : step;
    bool more = take_bytes < rest;
    memcpy(piece, packet, head);
    memcpy(piece + head + extra, packet + head + offset, take_bytes);
    if (v4) {
      support_put16(piece + 2, (uint32_t)(head + take_bytes));
      support_put16(piece + 4, id);
      support_put16(piece + 6, (uint32_t)(offset / 8) | (more ? 0x2000u : 0));
      seal_ip4(piece);
    } else {
      support_put16(piece + 4, (uint32_t)(extra + take_bytes));
      piece[6] = IPPROTO_FRAGMENT;
      piece[head] = packet[6];
      piece[head + 1] = 0;
      support_put16(piece + head + 2, (uint32_t)offset | (more ? 1u : 0));
      support_put32(piece + head + 4, id);
    }
    take(user, piece, head + extra + take_bytes);
    count++;
  }
  return count;
}

size_t support_ethernet(uint8_t *packet, size_t length, const uint8_t dst[6], const uint8_t src[6], uint16_t type) {
  memmove(packet + 14, packet, length);
  memcpy(packet, dst, 6);
  memcpy(packet + 6, src, 6);
  support_put16(packet + 12, type);
  return 14 + length;
}

size_t support_arp(uint8_t *buf, uint16_t operation, const uint8_t sender_mac[6], const char *sender,
                   const uint8_t target_mac[6], const char *target) {
  static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
  support_put16(buf, 1);
  support_put16(buf + 2, 0x0800);
  buf[4] = 6;
  buf[5] = 4;
  support_put16(buf + 6, operation);
  memcpy(buf + 8, sender_mac, 6);
  put_address(buf + 14, AF_INET, sender);
  memcpy(buf + 18, target_mac, 6);
  put_address(buf + 24, AF_INET, target);
  return support_ethernet(buf, 28, operation == 1 ? everybody : target_mac, sender_mac, 0x0806);
}

void support_pattern(void *data, size_t length) {
  uint8_t *at = data;
  for (size_t i = 0; i < length; i++) {
    at[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
  }
}

uint64_t support_random(uint64_t *seed) {
  uint64_t z = *seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
