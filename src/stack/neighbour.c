/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Neighbours on an Ethernet: what of ARP (RFC 826) and neighbour discovery (RFC 4861) reaches lwIP.
 *
 * lwIP keeps the tables and writes the answers, in the name of the address that the netif wears. Here is decided what it
 * gets to see: questions for addresses that the stack is, and news of neighbours.
 *
 * ARP of others is news as well: an entry that exists is brought up to date by it, whoever it is for. The netif does not
 * wear the target then, so it is not answered.
 *
 * Neighbour discovery is checked (sections 7.1.1 and 7.1.2), and what lwIP is given is written anew: the fixed part, and
 * the one option that matters, where lwIP expects it. It would take any option for that one, of whatever length. And it
 * would keep the hardware address that it has of a neighbour who asks with another one (7.2.3), so it is told of that
 * first, as if the neighbour had advertised it.
 */
#include <netinet/in.h>
#include <string.h>

#include "packet/icmp.h"
#include "stack/core.h"

enum {
  ETHERNET_HEADER = 14,
  FRAME_SOURCE = 6, /* offset in the Ethernet header */
  ARP_LENGTH = 28,  /* of a request or reply for IPv4 over Ethernet */
  ARP_OPERATION = 6,
  ARP_TARGET = 24, /* offset of the target's address */
  ARP_REQUEST = 1,
  ARP_REPLY = 2
};

enum {
  IP6_HEADER = 40,
  MESSAGE = 24, /* bytes of a solicitation or advertisement without options (RFC 4861, 4.3 and 4.4) */
  FLAGS = 4,    /* offset in the message, advertisements */
  TARGET = 8,   /* offset in the message */
  OPTION = 8,   /* bytes of a link-layer address option for Ethernet (4.6.1) */
  HOP_LIMIT = 255,
  SOURCE_ADDRESS = 1, /* type of option */
  TARGET_ADDRESS = 2,
  FLAG_SOLICITED = 0x40,
  FLAG_OVERRIDE = 0x20
};

/* ---- ARP ---- */

void adit_neighbour_arp(struct adit_stack *stack, const uint8_t *frame, size_t length) {
  static const uint8_t ethernet_ip4[] = {0, 1, 0x08, 0x00, 6, 4};
  const uint8_t *arp = frame + ETHERNET_HEADER;
  if (length < ETHERNET_HEADER + ARP_LENGTH) {
    adit_stack_drop(stack, ADIT_DROP_TRUNCATED);
    return;
  }
  unsigned operation = (unsigned)arp[ARP_OPERATION] << 8 | arp[ARP_OPERATION + 1];
  if (memcmp(arp, ethernet_ip4, sizeof ethernet_ip4) != 0 || operation < ARP_REQUEST || operation > ARP_REPLY) {
    adit_stack_drop(stack, ADIT_DROP_PROTOCOL);
    return;
  }
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, ETHERNET_HEADER + ARP_LENGTH, PBUF_RAM);
  if (!pbuf) {
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return;
  }
  memcpy(pbuf->payload, frame, ETHERNET_HEADER + ARP_LENGTH);
  if (adit_stack_is(stack, adit_ip_from_bytes(4, arp + ARP_TARGET))) {
    adit_port_wear(4, arp + ARP_TARGET);
  } else if (operation == ARP_REQUEST) {
    adit_stack_drop(stack, ADIT_DROP_ADDRESS);
  }
  adit_port_input_frame(pbuf);
}

/* ---- neighbour discovery ---- */

/* A message, parsed. */
struct message {
  const uint8_t *ip;      /* its IPv6 header */
  const uint8_t *fixed;   /* MESSAGE bytes */
  const uint8_t *address; /* hardware address of the option, or NULL */
};

/* Find the option of `type`. Returns false when the options are not in order. */
static bool find_option(const uint8_t *at, size_t length, uint8_t type, const uint8_t **address) {
  *address = NULL;
  while (length > 0) {
    size_t size = length < 2 ? 0 : at[1] * 8U;
    if (size == 0 || size > length) return false;
    if (at[0] == type && !*address) *address = at + 2;
    at += size;
    length -= size;
  }
  return true;
}

/* ff02::1:ff and the last three bytes of the target (RFC 4291, 2.7.1). */
static bool is_group_of(adit_ip group, const uint8_t *target) {
  static const uint8_t prefix[] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  return memcmp(group.bytes, prefix, sizeof prefix) == 0 && memcmp(group.bytes + sizeof prefix, target + 13, 3) == 0;
}

/* Give lwIP the message with `address` as its only option, or none when that is NULL. */
static void give_to_lwip(struct adit_stack *stack, const struct message *message, uint8_t option,
                         const uint8_t *address) {
  size_t length = MESSAGE + (address ? OPTION : 0);
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)(IP6_HEADER + length), PBUF_RAM);
  if (!pbuf) {
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return;
  }
  uint8_t *to = pbuf->payload;
  memcpy(to, message->ip, IP6_HEADER);
  to[4] = 0;
  to[5] = (uint8_t)length;
  to[6] = IPPROTO_ICMPV6;
  memcpy(to + IP6_HEADER, message->fixed, MESSAGE);
  if (address) {
    uint8_t *at = to + IP6_HEADER + MESSAGE;
    at[0] = option;
    at[1] = OPTION / 8;
    memcpy(at + 2, address, OPTION - 2);
  }
  adit_port_input_ip(pbuf);
}

/* The neighbour `source` has this hardware address, if it is one that lwIP knows: an advertisement to all nodes. */
static void tell_address(struct adit_stack *stack, const struct message *message, adit_ip source) {
  static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
  uint8_t ip[IP6_HEADER];
  uint8_t fixed[MESSAGE] = {ADIT_ICMP6_NEIGHBOUR_ADVERTISEMENT, [FLAGS] = FLAG_OVERRIDE};
  memcpy(ip, message->ip, IP6_HEADER);
  memcpy(ip + 24, all_nodes, sizeof all_nodes);
  memcpy(fixed + TARGET, source.bytes, 16);
  give_to_lwip(stack, &(struct message){.ip = ip, .fixed = fixed}, TARGET_ADDRESS, message->address);
}

static void solicitation(struct adit_stack *stack, const struct adit_inbound *in, struct message *message) {
  static const adit_ip unspecified = {.version = 6};
  const struct adit_header *header = &in->header;
  const uint8_t *target = message->fixed + TARGET;
  bool to_group = adit_ip_is_multicast(header->destination);
  bool from_nobody = adit_ip_equal(header->source, unspecified); /* is the address free? (RFC 4862, 5.4) */
  if (from_nobody && (!is_group_of(header->destination, target) || message->address)) {
    adit_stack_drop(stack, ADIT_DROP_HEADER);
    return;
  }
  if (!from_nobody && !message->address) {
    if (to_group) {
      adit_stack_drop(stack, ADIT_DROP_HEADER);
      return;
    }
    message->address = in->ip - ETHERNET_HEADER + FRAME_SOURCE; /* left out by who knows ours: the frame has it */
  }
  if (!adit_stack_is(stack, adit_ip_from_bytes(6, target))) {
    adit_stack_drop(stack, ADIT_DROP_ADDRESS);
    return;
  }
  adit_port_wear(6, target);
  if (message->address) tell_address(stack, message, header->source);
  give_to_lwip(stack, message, SOURCE_ADDRESS, message->address);
}

static void advertisement(struct adit_stack *stack, const struct adit_inbound *in, const struct message *message) {
  const struct adit_header *header = &in->header;
  if (adit_ip_is_multicast(header->destination)) {
    if (message->fixed[FLAGS] & FLAG_SOLICITED) {
      adit_stack_drop(stack, ADIT_DROP_HEADER);
      return;
    }
  } else {
    adit_port_wear(6, header->destination.bytes); /* the answer to a question that was asked in this name */
  }
  if (message->address) {
    give_to_lwip(stack, message, TARGET_ADDRESS, message->address);
    return;
  }
  uint8_t fixed[MESSAGE]; /* it confirms, but has nothing to override with (7.2.5) */
  memcpy(fixed, message->fixed, MESSAGE);
  fixed[FLAGS] &= (uint8_t)~FLAG_OVERRIDE;
  give_to_lwip(stack, &(struct message){.ip = message->ip, .fixed = fixed}, TARGET_ADDRESS, NULL);
}

void adit_neighbour_discovery(struct adit_stack *stack, const struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  size_t length = header->length - header->transport;
  struct message message = {.ip = in->ip, .fixed = in->ip + header->transport};
  bool solicits = header->icmp_type == ADIT_ICMP6_NEIGHBOUR_SOLICITATION;
  enum adit_drop why = ADIT_DROP_PROTOCOL;
  if (!stack->ethernet) goto drop;
  why = ADIT_DROP_TRUNCATED;
  if (length < MESSAGE) goto drop;
  why = ADIT_DROP_HEADER;
  if (header->ttl != HOP_LIMIT || header->icmp_code != 0) goto drop;
  if (adit_ip_is_multicast(adit_ip_from_bytes(6, message.fixed + TARGET))) goto drop;
  if (!find_option(message.fixed + MESSAGE, length - MESSAGE, solicits ? SOURCE_ADDRESS : TARGET_ADDRESS,
                   &message.address))
    goto drop;
  why = ADIT_DROP_ADDRESS;
  if (adit_ip_is_multicast(header->source)) goto drop;
  if (solicits) {
    solicitation(stack, in, &message);
  } else {
    advertisement(stack, in, &message);
  }
  return;

drop:
  adit_stack_drop(stack, why);
}
