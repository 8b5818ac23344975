/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP: datagrams in and out (RFC 768), for every address and port. A super-packet of several datagrams (USO) is told
 * datagram by datagram: their boundaries are meaning.
 */
#include <errno.h>
#include <netinet/in.h>

#include "stack/core.h"

enum {
  HEADER = 8,
  LONGEST4 = 65535 - 20 - HEADER,
  LONGEST6 = 65535 - HEADER,
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  SUPER_MOST = 64,     /* datagrams in a super-packet that is sent: UDP_MAX_SEGMENTS of older kernels */
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
      .local = adit_inbound_local(in),
      .remote = adit_inbound_remote(in),
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
  struct adit_inbound *in = stack->inbound;
  (void)datagram; /* the packet itself is at hand */
  if (!in || in->header.protocol != IPPROTO_UDP) return -EINVAL;
  if (in->refused) return 0; /* a super-packet is one sendmsg() of one socket: to be told once is enough */
  in->refused = true;
  struct adit_port *outer = adit_port_enter(stack->port);
  int error = 0;
  if (adit_output_may_complain(stack))
    error = adit_output_unreachable(stack, in->ip, in->header.length, &in->header, ADIT_REFUSE_RESET);
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

/* Bytes of payload that may leave as one super-packet, 0 when datagrams of that size may not. */
static size_t super_most(const struct adit_stack *stack, bool v4, size_t each) {
  size_t headers = (v4 ? IP4_HEADER : IP6_HEADER) + HEADER;
  if (!(stack->offload & ADIT_OFFLOAD_USO) || stack->ethernet || headers + each > stack->mtu) return 0;
  size_t most = v4 ? LONGEST4 : LONGEST6 - (size_t)IP6_HEADER;
  size_t count = most / each;
  return (count < SUPER_MOST ? count : SUPER_MOST) * each;
}

/* The next `bytes` of pieces that are taken one after the other. */
struct cursor {
  const struct iovec *iov;
  size_t offset; /* of the first one that is done with */
};

/* Returns the number of pieces in `part`, or 0 when there would be more than `most`; then nothing was taken. */
static unsigned take_part(struct cursor *cursor, size_t bytes, struct iovec *part, unsigned most) {
  struct cursor at = *cursor;
  unsigned count = 0;
  while (bytes > 0) {
    if (count == most) return 0;
    size_t rest = at.iov->iov_len - at.offset;
    size_t taken = rest < bytes ? rest : bytes;
    if (taken > 0) part[count++] = (struct iovec){(char *)at.iov->iov_base + at.offset, taken};
    at.offset += taken;
    bytes -= taken;
    if (at.offset == at.iov->iov_len) at = (struct cursor){at.iov + 1, 0};
  }
  *cursor = at;
  return count;
}

static int send_super(struct adit_stack *stack, const adit_endpoint *from, const adit_endpoint *to,
                      struct iovec *pieces, unsigned count, size_t length, size_t each) {
  uint16_t header[HEADER / 2] = {htons(from->port), htons(to->port), htons((uint16_t)(length + HEADER)), 0};
  pieces[0] = (struct iovec){header, sizeof header};
  struct adit_port *outer = adit_port_enter(stack->port);
  int error = adit_output_super(stack, from->ip, to->ip, pieces, count + 1, (uint16_t)each);
  adit_port_leave(outer);
  return error;
}

size_t adit_stack_send_datagrams(struct adit_stack *stack, adit_endpoint from, adit_endpoint to,
                                 const struct iovec *iov, unsigned iovcnt, size_t each) {
  size_t length = 0;
  size_t sent = 0;
  struct cursor cursor = {iov, 0};
  if (each == 0 || from.ip.version != to.ip.version || adit_ip_length(from.ip) == 0) return 0;
  for (unsigned i = 0; i < iovcnt; i++) length += iov[i].iov_len;
  size_t most = super_most(stack, from.ip.version == 4, each);
  while (length > 0) {
    struct iovec pieces[ADIT_PACKET_PIECES];
    size_t bytes = length < most ? length : most;
    unsigned count = bytes > each ? take_part(&cursor, bytes, pieces + 1, ADIT_PACKET_PIECES - 1) : 0;
    if (count > 0) {
      if (send_super(stack, &from, &to, pieces, count, bytes, each) != 0) break;
      size_t datagrams = (bytes + each - 1) / each;
      stack->stats.datagrams_out += datagrams;
      sent += datagrams;
    } else {
      bytes = length < each ? length : each;
      count = take_part(&cursor, bytes, pieces, ADIT_PACKET_PIECES - 2);
      if (count == 0 || adit_stack_send_datagram(stack, from, to, pieces, count) != 0) break;
      sent++;
    }
    length -= bytes;
  }
  return sent;
}
