/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * ICMP and ICMPv6 echo (RFC 792, RFC 4443 section 4). The reply carries the request's own data, from where it lies; its
 * checksum is the request's, corrected for the one byte that changes (RFC 1624), unless that was left to the receiver.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "packet/icmp.h"
#include "stack/core.h"

enum { HEADER = 8, CHECKSUM = 2, LONGEST4 = 65535 - 20, LONGEST6 = 65535 /* of the message */ };

void adit_echo_input(struct adit_stack *stack, struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  uint8_t request = header->version == 4 ? ADIT_ICMP_ECHO : ADIT_ICMP6_ECHO;
  uint8_t protocol = header->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  if (header->protocol != protocol || header->icmp_type != request || header->icmp_code != 0) {
    if (header->protocol == protocol && adit_pmtu_input(stack, in)) return;
    adit_stack_drop(stack, ADIT_DROP_PROTOCOL);
    return;
  }
  stack->stats.echoes++;
  struct iovec iov = {in->ip + header->payload, header->length - header->payload};
  struct adit_echo echo = {
      .local = header->destination,
      .remote = header->source,
      .id = header->icmp_id,
      .sequence = header->icmp_sequence,
      .iov = &iov,
      .iovcnt = iov.iov_len > 0,
      .length = iov.iov_len,
      .ttl = header->ttl,
  };
  stack->inbound = in;
  if (stack->events->echo) {
    stack->events->echo(stack->user, &echo);
  } else {
    adit_stack_echo_reply(stack, &echo);
  }
  stack->inbound = NULL;
}

/*
 * The checksum of a message whose first byte changes from `before` to `after`: HC' = ~(~HC + ~m + m'). Where that gives
 * zero, the other zero is taken: the two are the same to every receiver, but for a message of zeros only 0xffff is right.
 */
static uint16_t corrected(uint16_t checksum, uint8_t before, uint8_t after) {
  uint32_t sum = (uint16_t)~ntohs(checksum);
  sum += (uint16_t) ~(before << 8);
  sum += (uint32_t)after << 8;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  uint16_t result = (uint16_t)~sum;
  return htons(result ? result : 0xffff);
}

/* The checksum of a reply, made anew; `pieces` are the message, its checksum field zero. */
static uint16_t computed(const struct adit_inbound *in, const struct iovec *pieces) {
  uint32_t length = in->header.length - in->header.transport;
  uint64_t sum = in->header.version == 4 ? 0 : adit_checksum_pseudo(in->ip, IPPROTO_ICMPV6, length);
  return (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, pieces, 2, 0, length));
}

int adit_stack_echo_reply(struct adit_stack *stack, const struct adit_echo *echo) {
  const struct adit_inbound *in = stack->inbound;
  (void)echo; /* the request itself is at hand */
  if (!in || in->header.protocol == IPPROTO_UDP) return -EINVAL;
  bool v4 = in->header.version == 4;
  uint8_t header[HEADER];
  memcpy(header, in->ip + in->header.transport, HEADER);
  struct iovec pieces[2] = {{header, sizeof header},
                            {in->ip + in->header.payload, in->header.length - in->header.payload}};
  uint16_t checksum;
  memcpy(&checksum, header + CHECKSUM, sizeof checksum);
  uint8_t request = header[0];
  header[0] = v4 ? ADIT_ICMP_ECHO_REPLY : ADIT_ICMP6_ECHO_REPLY;
  if (in->buffer->offload.checksum == ADIT_CHECKSUM_PARTIAL) {
    memset(header + CHECKSUM, 0, sizeof checksum);
    checksum = computed(in, pieces);
  } else {
    checksum = corrected(checksum, request, header[0]);
  }
  memcpy(header + CHECKSUM, &checksum, sizeof checksum);

  struct adit_port *outer = adit_port_enter(stack->port);
  int error = adit_output_ip(stack, in->header.protocol, in->header.destination, in->header.source, pieces, 2);
  adit_port_leave(outer);
  return error;
}

int adit_stack_send_echo_reply(struct adit_stack *stack, adit_ip from, adit_ip to, uint16_t id, uint16_t sequence,
                               uint8_t ttl, const struct iovec *iov, unsigned iovcnt) {
  if (from.version != to.version || adit_ip_length(from) == 0 || iovcnt >= ADIT_PACKET_PIECES - 1) return -EINVAL;
  bool v4 = from.version == 4;
  uint8_t protocol = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  size_t length = HEADER;
  uint8_t header[HEADER] = {v4 ? ADIT_ICMP_ECHO_REPLY : ADIT_ICMP6_ECHO_REPLY};
  struct iovec pieces[ADIT_PACKET_PIECES] = {{header, sizeof header}};
  for (unsigned i = 0; i < iovcnt; i++) {
    length += iov[i].iov_len;
    pieces[i + 1] = iov[i];
  }
  if (length > (v4 ? LONGEST4 : LONGEST6)) return -EMSGSIZE;
  memcpy(header + 4, (const uint16_t[]){htons(id), htons(sequence)}, 4);
  uint64_t sum = 0;
  if (!v4) {
    uint8_t ip[40];
    adit_output_quote(ip, protocol, from, to, length);
    sum = adit_checksum_pseudo(ip, protocol, (uint32_t)length);
  }
  uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, pieces, iovcnt + 1, 0, length));
  memcpy(header + CHECKSUM, &checksum, sizeof checksum);

  struct adit_port *outer = adit_port_enter(stack->port);
  int error = ttl ? adit_output_ip_ttl(stack, protocol, ttl, from, to, pieces, iovcnt + 1)
                  : adit_output_ip(stack, protocol, from, to, pieces, iovcnt + 1);
  adit_port_leave(outer);
  return error;
}
