/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The way in: a packet is checked once, as bytes, and given to whom it is for.
 *
 * Order: frame, headers, offload notes, checksums, addresses, fragments, protocol. What fails is counted by reason and
 * goes no further. lwIP sees TCP that is whole, verified and for an address of the stack's; over Ethernet also what
 * neighbour.c lets through. The rest of a TCP segment's way is in segment.c.
 */
#include <netinet/in.h>
#include <string.h>

#include "packet/icmp.h"
#include "stack/core.h"

enum {
  ETHERNET_HEADER = 14,
  FRAME_SOURCE = 6, /* offset in it */
  TYPE_ARP = 0x0806,
  TYPE_IP4 = 0x0800,
  TYPE_IP6 = 0x86dd
};

/** How a packet came to be where it is looked at. */
enum origin {
  RECEIVED,
  RECEIVED_BY_ALL, /* in a frame for everybody or a group */
  REASSEMBLED
};

/*
 * Addresses that are no host's on a network, at either end of a packet: unspecified and loopback (RFC 1122, 3.2.1.3; RFC 4291,
 * 2.5.2 and 2.5.3), IPv4-mapped (never on the wire: RFC 4038, 4.2), multicast and broadcast. Looked at for each packet.
 */
static bool is_nobody(const adit_ip *ip) {
  static const uint8_t zeros[16], mapped[12] = {[10] = 0xff, 0xff};
  const uint8_t *bytes = ip->bytes;
  if (ip->version == 4) return bytes[0] == 127 || memcmp(bytes, zeros, 4) == 0 || adit_ip_is_multicast(*ip);
  if (bytes[0] == 0 && memcmp(bytes, zeros, 15) == 0 && bytes[15] <= 1) return true;
  return bytes[0] == 0xff || memcmp(bytes, mapped, sizeof mapped) == 0;
}

static bool addresses_fit(const struct adit_stack *stack, const struct adit_header *header) {
  if (is_nobody(&header->source) || is_nobody(&header->destination)) return false;
  return adit_stack_is(stack, header->destination) && !adit_ip_equal(header->source, header->destination);
}

/* Neighbour discovery has rules of its own for addresses: a solicitation goes to a multicast group, from no one at times. */
static bool is_neighbour_discovery(const struct adit_header *header) {
  return header->protocol == IPPROTO_ICMPV6 && !header->fragment &&
         (header->icmp_type == ADIT_ICMP6_NEIGHBOUR_SOLICITATION ||
          header->icmp_type == ADIT_ICMP6_NEIGHBOUR_ADVERTISEMENT);
}

void adit_input_meet_sender(const struct adit_stack *stack, const struct adit_inbound *in) {
  if (!stack->ethernet || in->ip != in->buffer->data + ETHERNET_HEADER) return; /* put together: without a frame */
  adit_port_meet(in->header.version, in->header.source.bytes, in->buffer->data + FRAME_SOURCE);
}

static void dispatch(struct adit_stack *stack, struct adit_inbound *in) {
  switch (in->header.protocol) {
  case IPPROTO_TCP:
    adit_segment_input(stack, in);
    break;
  case IPPROTO_UDP:
    adit_input_meet_sender(stack, in);
    adit_datagram_input(stack, in);
    break;
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    adit_input_meet_sender(stack, in);
    adit_echo_input(stack, in);
    break;
  default:
    adit_stack_drop(stack, ADIT_DROP_PROTOCOL);
  }
}

static void input_ip(struct adit_stack *stack, struct adit_buffer *buffer, uint8_t *ip, size_t length,
                     enum origin origin) {
  struct adit_inbound in = {.buffer = buffer, .ip = ip};
  struct adit_header *header = &in.header;
  enum adit_drop why;
  if (!adit_header_parse(ip, length, header, &why)) goto drop;
  if (header->protocol == IPPROTO_TCP && !header->fragment) adit_segment_announce(stack, &in);
  why = ADIT_DROP_OFFLOAD;
  if (!adit_header_offload_fits(header, &buffer->offload)) goto drop;
  if (!adit_header_verify(ip, header, buffer->offload.checksum != ADIT_CHECKSUM_NONE, &why)) goto drop;
  if (is_neighbour_discovery(header)) {
    adit_neighbour_discovery(stack, &in);
    goto done;
  }
  why = ADIT_DROP_ADDRESS;
  if (origin == RECEIVED_BY_ALL || !addresses_fit(stack, header)) goto drop; /* RFC 1122, 3.3.6 */
  if (header->fragment) {
    why = ADIT_DROP_HEADER; /* fragments of a fragment: no sender makes them */
    if (origin == REASSEMBLED) goto drop;
    struct adit_buffer *whole = adit_reassembly_input(stack, &in);
    if (whole) input_ip(stack, whole, whole->data, whole->length, REASSEMBLED);
    goto done;
  }
  dispatch(stack, &in);
  goto done;

drop:
  adit_stack_drop(stack, why);
done:
  adit_buffer_unref(buffer);
}

static bool is_for_us(const struct adit_stack *stack, const uint8_t *frame) {
  return (frame[0] & 1) || memcmp(frame, stack->mac, sizeof stack->mac) == 0;
}

static void input_frame(struct adit_stack *stack, struct adit_buffer *buffer) {
  const uint8_t *frame = buffer->data;
  enum adit_drop why = ADIT_DROP_TRUNCATED;
  if (buffer->length < ETHERNET_HEADER) goto drop;
  why = ADIT_DROP_ADDRESS;
  if (!is_for_us(stack, frame)) goto drop;
  unsigned type = (unsigned)frame[12] << 8 | frame[13];
  if (type == TYPE_ARP) {
    adit_neighbour_arp(stack, frame, buffer->length);
    goto done;
  }
  why = ADIT_DROP_PROTOCOL;
  if (type != TYPE_IP4 && type != TYPE_IP6) goto drop;
  if (buffer->offload.checksum == ADIT_CHECKSUM_PARTIAL) {
    why = ADIT_DROP_OFFLOAD;
    if (buffer->offload.checksum_start < ETHERNET_HEADER) goto drop;
    buffer->offload.checksum_start = (uint16_t)(buffer->offload.checksum_start - ETHERNET_HEADER);
  }
  input_ip(stack, buffer, buffer->data + ETHERNET_HEADER, buffer->length - ETHERNET_HEADER,
           frame[0] & 1 ? RECEIVED_BY_ALL : RECEIVED);
  return;

drop:
  adit_stack_drop(stack, why);
done:
  adit_buffer_unref(buffer);
}

void adit_stack_input(struct adit_stack *stack, struct adit_buffer *buffer) {
  stack->stats.packets_in++;
  stack->stats.bytes_in += buffer->length;
  struct adit_port *outer = adit_port_enter(stack->port);
  if (stack->ethernet) {
    input_frame(stack, buffer);
  } else {
    input_ip(stack, buffer, buffer->data, buffer->length, RECEIVED);
  }
  adit_port_leave(outer);
}
