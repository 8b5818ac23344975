/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets for tests, built by hand: TCP, UDP and echo over IPv4 and IPv6, fragments, Ethernet, ARP.
 *
 * Nothing here uses the code under test: addresses go through inet_pton, checksums through a plain 16-bit loop.
 * Every builder writes to `buf` and returns the packet's length. Addresses are text; a wrong one ends the test program.
 */
#ifndef ADIT_TESTS_SUPPORT_PACKET_H
#define ADIT_TESTS_SUPPORT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for the largest packet a builder can make: Ethernet, IPv6 and 65535 bytes. */
#define SUPPORT_PACKET_MAX (18 + 40 + 65535)

/* TCP flags, written out here so that a wrong constant in the code under test shows. */
enum { SUPPORT_FIN = 1, SUPPORT_SYN = 2, SUPPORT_RST = 4, SUPPORT_PSH = 8, SUPPORT_ACK = 16, SUPPORT_URG = 32 };

/** ICMP and ICMPv6 echo types. */
enum { SUPPORT_ECHO_REPLY4 = 0, SUPPORT_ECHO_REQUEST4 = 8, SUPPORT_ECHO_REQUEST6 = 128, SUPPORT_ECHO_REPLY6 = 129 };

/** IPv4 packet with identification 0x1234, TTL 64, DF unset. `options` is a multiple of four bytes, at most 40. */
size_t support_ip4(uint8_t *buf, const char *src, const char *dst, uint8_t protocol, const void *options, size_t optlen,
                   const void *payload, size_t len);

/** IPv6 packet, hop limit 64. `payload` may begin with extension headers, `next` is the type of the first one. */
size_t support_ip6(uint8_t *buf, const char *src, const char *dst, uint8_t next, const void *payload, size_t len);

/** TCP segment. `options` is a multiple of four bytes, at most 40. */
size_t support_tcp4(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint32_t seq,
                    uint32_t ack, uint8_t flags, uint16_t window, const void *options, size_t optlen,
                    const void *payload, size_t len);
size_t support_tcp6(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, uint32_t seq,
                    uint32_t ack, uint8_t flags, uint16_t window, const void *options, size_t optlen,
                    const void *payload, size_t len);

/** UDP datagram. */
size_t support_udp4(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, const void *payload,
                    size_t len);
size_t support_udp6(uint8_t *buf, const char *src, const char *dst, uint16_t sport, uint16_t dport, const void *payload,
                    size_t len);

/** Echo request or reply; `type` is one of SUPPORT_ECHO_* for that version. */
size_t support_echo4(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint16_t id, uint16_t seq,
                     const void *payload, size_t len);
size_t support_echo6(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint16_t id, uint16_t seq,
                     const void *payload, size_t len);

/**
 * Put an extension header of `len` bytes (its first byte, the next header, is filled in) between the IPv6 header of the
 * packet of `length` bytes and whatever follows it. Returns the new length.
 */
size_t support_extend6(uint8_t *buf, size_t length, uint8_t type, const void *extension, size_t len);

/** Called for each fragment in order; the bytes are borrowed. */
typedef void support_fragment_fn(void *user, const uint8_t *fragment, size_t length);

/**
 * Cut an IPv4 or IPv6 packet into fragments of at most `mtu` bytes with the given identification (16 bits count for
 * IPv4) and hand them out in order. IPv4 options go into every fragment; an IPv6 packet must have no extension headers.
 * A packet that fits is handed out as it is. Returns the number of pieces.
 */
size_t support_fragment(const uint8_t *packet, size_t length, size_t mtu, uint32_t id, support_fragment_fn *take,
                        void *user);

/**
 * Make the checksums of a packet right after a test changed its bytes: the IPv4 header's, and the one of TCP, UDP, ICMP
 * or ICMPv6 directly behind the IP header (not behind extension headers, not in fragments).
 */
void support_seal(uint8_t *packet, size_t length);

/** Make the transport checksum partial: the field holds the sum over the pseudo-header only. As support_seal. */
void support_seal_partial(uint8_t *packet, size_t length);

/** Whether the checksums that support_seal sets are right; a UDP checksum of zero over IPv4 is. */
bool support_sealed(const uint8_t *packet, size_t length);

/** Put an Ethernet header before a packet of `length` bytes at `packet`, moving it. Returns the new length. */
size_t support_ethernet(uint8_t *packet, size_t length, const uint8_t dst[6], const uint8_t src[6], uint16_t type);

/** ARP for IPv4 in Ethernet, header included: `operation` 1 = request (sent to everybody), 2 = reply. */
size_t support_arp(uint8_t *buf, uint16_t operation, const uint8_t sender_mac[6], const char *sender,
                   const uint8_t target_mac[6], const char *target);

/** The Internet checksum the slow way: 16-bit words in wire order added to `sum`, not folded. */
uint32_t support_sum(uint32_t sum, const void *data, size_t length);

/** Fold and negate: the value of a checksum field in host order. */
uint16_t support_sum_field(uint32_t sum);

/** Fill with bytes that depend on the position, so that a shifted copy shows. */
void support_pattern(void *data, size_t length);

/** Next number of a sequence that depends on the seed alone (splitmix64). */
uint64_t support_random(uint64_t *seed);

/** Read and write numbers in wire order at any address. */
uint16_t support_get16(const uint8_t *at);
uint32_t support_get32(const uint8_t *at);
void support_put16(uint8_t *at, uint32_t value);
void support_put32(uint8_t *at, uint32_t value);

#endif
