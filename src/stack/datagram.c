/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP: datagrams in and out (RFC 768), for every address and port. A super-packet of several datagrams (USO) is told
 * datagram by datagram: their boundaries are meaning.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "stack/core.h"

enum {
  HEADER = 8,
  LONGEST4 = 65535 - 20 - HEADER,
  LONGEST6 = 65535 - HEADER,
  SEGMENTS_MOST = 1024 /* of a super-packet. Linux makes 128 at most (UDP_MAX_SEGMENTS); this bounds what a lie costs */
};

void adit_datagram_input(struct adit_stack *stack, struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  bool super = in->buffer->offload.gso == ADIT_GSO_UDP;
  uint8_t *payload = in->ip + header->payload;
  size_t length = super ? header->length - header->payload : (size_t)header->udp_length - HEADER;
  size_t each = super ? in->buffer->offload.gso_size : length;
  if (super && length > each * SEGMENTS_MOST) {
    adit_stack_drop(stack, ADIT_DROP_OFFLOAD);
    return;
  }
  struct iovec iov;
  struct adit_datagram datagram = {
      .local = {header->destination, header->destination_port},
      .remote = {header->source, header->source_port},
      .iov = &iov,
      .ttl = header->ttl,
  };
  stack->inbound = in;
  do {
    datagram.length = length < each ? length : each;
    datagram.iovcnt = datagram.length > 0;
    iov = (struct iovec){payload, datagram.length};
    if (stack->events->datagram) {
      stack->stats.datagrams_in++;
      stack->events->datagram(stack->user, &datagram);
    } else {
      adit_stack_refuse_datagram(stack, &datagram);
    }
    payload += datagram.length;
    length -= datagram.length;
  } while (length > 0);
  stack->inbound = NULL;
}

int adit_stack_refuse_datagram(struct adit_stack *stack, const struct adit_datagram *datagram) {
  const struct adit_inbound *in = stack->inbound;
  (void)datagram; /* the packet itself is at hand */
  if (!in || in->header.protocol != IPPROTO_UDP) return -EINVAL;
  struct adit_port *outer = adit_port_enter(stack->port);
  int error = adit_output_unreachable(stack, in->ip, in->header.length, &in->header, ADIT_REFUSE_RESET);
  adit_port_leave(outer);
  return error;
}

int adit_stack_send_datagram(struct adit_stack *stack, adit_endpoint from, adit_endpoint to, const struct iovec *iov,
                             unsigned iovcnt) {
  if (from.ip.version != to.ip.version || adit_ip_length(from.ip) == 0 || iovcnt >= ADIT_PACKET_PIECES - 1)
    return -EINVAL;
  size_t length = 0;
  struct iovec pieces[ADIT_PACKET_PIECES];
  for (unsigned i = 0; i < iovcnt; i++) {
    length += iov[i].iov_len;
    pieces[i + 1] = iov[i];
  }
  if (length > (from.ip.version == 4 ? LONGEST4 : LONGEST6)) return -EMSGSIZE;
  uint16_t header[HEADER / 2] = {htons(from.port), htons(to.port), htons((uint16_t)(length + HEADER)), 0};
  pieces[0] = (struct iovec){header, sizeof header};
  struct adit_port *outer = adit_port_enter(stack->port);
  int error = adit_output_ip(stack, IPPROTO_UDP, from.ip, to.ip, pieces, iovcnt + 1);
  adit_port_leave(outer);
  if (!error) stack->stats.datagrams_out++;
  return error;
}
