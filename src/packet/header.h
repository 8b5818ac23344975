/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The headers of an IP packet as values: bounds are checked once, here, and never again.
 */
#ifndef ADIT_PACKET_HEADER_H
#define ADIT_PACKET_HEADER_H

#include <adit/address.h>
#include <adit/packet.h>

/** TCP flags as they stand in byte 13 of the header (RFC 9293 section 3.1). */
enum {
  ADIT_TCP_FIN = 0x01,
  ADIT_TCP_SYN = 0x02,
  ADIT_TCP_RST = 0x04,
  ADIT_TCP_PSH = 0x08,
  ADIT_TCP_ACK = 0x10,
  ADIT_TCP_URG = 0x20,
  ADIT_TCP_ECE = 0x40,
  ADIT_TCP_CWR = 0x80
};

/** What an IP packet says of itself. Offsets count from the first byte of the IP header; numbers are in host order. */
struct adit_header {
  adit_ip source;
  adit_ip destination;
  uint32_t length;    /**< of the whole packet, from its own length field */
  uint32_t transport; /**< offset of the transport header, behind IPv4 options or IPv6 extension headers */
  /**
   * Offset of what the transport header carries; equals `length` when empty, and `transport` where no transport header
   * was read (fragments, other protocols).
   */
  uint32_t payload;
  uint8_t version;  /**< 4 or 6 */
  uint8_t protocol; /**< IPPROTO_*, behind all extension headers; in an IPv6 fragment what follows its header */
  uint8_t ttl;      /**< TTL or hop limit */
  /**
   * One of several, the first included: no transport header was read. An IPv6 packet with a fragment header that is
   * whole all the same (RFC 6946) is none.
   */
  bool fragment;
  bool more_fragments;       /**< not the last one */
  uint16_t fragment_offset;  /**< bytes */
  uint32_t fragment_id;      /**< identification (16 bits for IPv4) */
  uint8_t segments_left;     /**< IPv6 routing header: stops before the final destination; 0 without one */
  uint16_t source_port;      /**< TCP, UDP */
  uint16_t destination_port; /**< TCP, UDP */
  uint8_t tcp_flags;         /**< ADIT_TCP_* */
  uint16_t tcp_window;       /**< not scaled */
  uint32_t tcp_sequence;
  uint32_t tcp_acknowledgment;
  /**
   * Header and payload as the UDP header says, at least 8 and at most what the packet has: the datagram ends at
   * `transport` + `udp_length`. In a super-packet (ADIT_GSO_UDP) it may count one segment only; there the payload goes
   * to `length`.
   */
  uint16_t udp_length;
  uint8_t icmp_type; /**< ICMP, ICMPv6 */
  uint8_t icmp_code;
  uint16_t icmp_id; /**< echo request and reply */
  uint16_t icmp_sequence;
};

/**
 * Read the headers of one packet in `length` bytes, which may end with padding (Ethernet): RFC 791, RFC 8200 with
 * hop-by-hop, routing, destination and fragment headers (at most eight), RFC 9293, RFC 768, RFC 792, RFC 4443.
 * Returns true and `*header`; false and the reason in `*why` (ADIT_DROP_TRUNCATED, _OVERSIZED, _VERSION, _HEADER) when
 * the bytes are no packet, `*header` is then not to be used. Checksums are not looked at. Options of IPv4 and IPv6 lie
 * within their header; what they mean was not looked at, those of TCP not at all.
 * Transport fields are zero for fragments and for protocols other than TCP, UDP, ICMP (IPv4) and ICMPv6 (IPv6).
 */
bool adit_header_parse(const uint8_t *data, size_t length, struct adit_header *header, enum adit_drop *why);

/**
 * Verify what can be verified of the packet that `header` was read from: the IPv4 header checksum and, unless it is a
 * fragment, the transport checksum; `transport_known` (ADIT_CHECKSUM_PARTIAL, _VALID) means that the latter is right.
 * A UDP checksum of zero is none over IPv4 (RFC 768) and wrong over IPv6 (RFC 8200, 8.1). A packet that still has to
 * visit other routers (`segments_left`) is not for who holds it: ADIT_DROP_HEADER (RFC 8200, 4.4).
 * Returns true, or false and the reason in `*why`.
 */
bool adit_header_verify(const uint8_t *data, const struct adit_header *header, bool transport_known,
                        enum adit_drop *why);

/**
 * Whether offload notes fit the packet that `header` was read from: kind of segmentation against protocol and version,
 * segment size, and a partial checksum that starts at the transport header and ends inside the packet, at the field of
 * its protocol. `offload->header_length` is not looked at; it is a hint that the kernel itself does not keep to.
 * `offload->checksum_start` counts from the IP header here: with Ethernet the caller takes the frame's header off.
 */
bool adit_header_offload_fits(const struct adit_header *header, const struct adit_offload *offload);

#endif
