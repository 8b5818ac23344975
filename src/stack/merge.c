/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Long packets: segments of one flow that follow one another leave as one packet of up to ADIT_PACKET_BIG bytes.
 *
 * lwIP's segments are at most 64 KiB, since its lengths have 16 bits. A TUN takes more at once: Linux 6.6 and later know packets
 * whose length does not fit their header ("BIG TCP"), and cut them by the MSS like any super-packet. What each packet costs
 * beside its bytes (a system call, the way through IP and TCP, the wake-up of whoever reads, an acknowledgment and its way back)
 * is paid once for four segments then.
 *
 * Only a client on the host itself gets them. Linux cuts what is longer than 64 KiB in software, segment by segment, before most
 * devices take it, so that whoever is behind another device would have his packets sooner in pieces of 64 KiB. A SYN that no
 * router has passed on is told by its TTL: systems begin with 64, 128 or 255. And a flow that had to send something again gets
 * no more of them, since they may be what somebody on the way does not let through.
 *
 * The flush looks at one flow after the other; what lwIP sends of it is held back until lwIP is done with that flow. Its memory
 * is there as long: lwIP keeps what is not acknowledged. Segments wait only where their whole payload is a multiple of the MSS;
 * whatever else comes is the end of a packet or goes by itself.
 *
 * A long packet takes more memory of the kernel at once. When that is not to be had the same bytes go in parts, and there are no
 * long packets for a while.
 */
#include <netinet/in.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "packet/header.h"
#include "stack/core.h"

enum {
  IP4_HEADER = 20,
  TTL_AT = 8,
  IP6_HEADER = 40,
  HOP_LIMIT_AT = 7,
  JUMBO = 8, /* a hop-by-hop header with one option */
  SEQUENCE_AT = 4,
  ACKNOWLEDGMENT_AT = 8,
  FLAGS_AT = 13,
  WINDOW_AT = 14,
  URGENT_AT = 18,
  LONGEST = 65535 /* bytes that a header can say */
};
#define PAUSE_NS UINT64_C(1000000000)

static void put16(uint8_t *at, size_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- who gets them ---- */

void adit_merge_look(struct adit_flow *flow, const uint8_t *syn) {
  uint8_t ttl = syn[0] >> 4 == 4 ? syn[TTL_AT] : syn[HOP_LIMIT_AT];
  bool near = ttl == 64 || ttl == 128 || ttl == 255;
  if (near && flow->stack->big_tcp) flow->marks |= ADIT_MARK_BIG;
}

void adit_merge_begin(struct adit_flow *flow) {
  struct adit_merge *merge = &flow->stack->merge;
  const struct tcp_pcb *pcb = flow->pcb;
  if (!(flow->marks & ADIT_MARK_BIG) || !pcb->unsent || !pcb->unsent->next) return;
  if (flow->extra.resent)
    flow->marks &= (uint16_t)~ADIT_MARK_BIG;
  else
    merge->open = adit_port_now() >= merge->again_ns;
}

/* ---- out ---- */

/* Write the IP header of a packet that carries so many bytes. Returns its length, with an extension header. */
static unsigned put_ip(const struct adit_merge *merge, uint8_t *at, size_t bytes) {
  memcpy(at, merge->headers, merge->ip_length);
  if (merge->ip_length == IP4_HEADER) {
    put16(at + 2, IP4_HEADER + bytes > LONGEST ? 0 : IP4_HEADER + bytes);
    return IP4_HEADER;
  }
  if (bytes <= LONGEST) {
    put16(at + 4, bytes);
    return IP6_HEADER;
  }
  const uint8_t option[4] = {IPPROTO_TCP, 0, 0xc2, 4}; /* RFC 2675, 2 */
  put16(at + 4, 0);
  at[6] = IPPROTO_HOPOPTS;
  memcpy(at + IP6_HEADER, option, sizeof option);
  put32(at + IP6_HEADER + sizeof option, (uint32_t)(JUMBO + bytes));
  return IP6_HEADER + JUMBO;
}

/* Send a part of what waits. Returns what `output` returned. */
static int send_part(struct adit_stack *stack, size_t offset, size_t bytes) {
  const struct adit_merge *merge = &stack->merge;
  uint8_t headers[sizeof merge->headers + JUMBO];
  unsigned tcp_length = merge->length - merge->ip_length;
  unsigned transport = put_ip(merge, headers, tcp_length + bytes);
  uint8_t *tcp = headers + transport;
  memcpy(tcp, merge->headers + merge->ip_length, tcp_length);
  put32(tcp + SEQUENCE_AT, get32(tcp + SEQUENCE_AT) + (uint32_t)offset);
  if (offset + bytes < merge->payload) tcp[FLAGS_AT] &= (uint8_t) ~(ADIT_TCP_PSH | ADIT_TCP_FIN);
  struct iovec iov[ADIT_PACKET_PIECES] = {{headers, transport + tcp_length}};
  unsigned count = 1 + adit_output_part(merge->piece, merge->count, offset, bytes, iov + 1);
  return adit_output_tcp(stack, iov, count, iov[0].iov_len + bytes, transport, merge->mss);
}

static void send_waiting(struct adit_stack *stack) {
  struct adit_merge *merge = &stack->merge;
  if (merge->count == 0) return;
  if (send_part(stack, 0, merge->payload) != 0 && merge->length + merge->payload > ADIT_PACKET_MAX) {
    size_t most = LONGEST - merge->length;
    most -= most % merge->mss;
    merge->again_ns = adit_port_now() + PAUSE_NS;
    merge->open = false;
    for (size_t at = 0; at < merge->payload; at += most) send_part(stack, at, LWIP_MIN(most, merge->payload - at));
  }
  merge->count = 0;
}

/* ---- in ---- */

/*
 * Whether the segment whose headers these are goes on where those end that wait, and differs in nothing else: from the
 * acknowledgment on, which is followed by the header's length.
 */
static bool follows(const struct adit_merge *merge, const uint8_t *tcp, unsigned tcp_length, size_t payload,
                    uint16_t mss) {
  const uint8_t *first = merge->headers + merge->ip_length;
  const uint8_t may_differ = ADIT_TCP_PSH | ADIT_TCP_FIN;
  if (payload == 0 || mss != merge->mss || merge->payload % mss != 0 || (first[FLAGS_AT] & ADIT_TCP_FIN)) return false;
  if (merge->length + JUMBO + merge->payload + payload > ADIT_PACKET_BIG) return false;
  return get32(tcp + SEQUENCE_AT) == get32(first + SEQUENCE_AT) + (uint32_t)merge->payload &&
         memcmp(tcp + ACKNOWLEDGMENT_AT, first + ACKNOWLEDGMENT_AT, FLAGS_AT - ACKNOWLEDGMENT_AT) == 0 &&
         ((tcp[FLAGS_AT] ^ first[FLAGS_AT]) & ~may_differ) == 0 && memcmp(tcp + WINDOW_AT, first + WINDOW_AT, 2) == 0 &&
         memcmp(tcp + URGENT_AT, first + URGENT_AT, tcp_length - URGENT_AT) == 0;
}

/* The payload behind `headers` bytes becomes the last of what waits. Returns false when it has too many pieces. */
static bool append(struct adit_merge *merge, const struct pbuf *segment, unsigned headers) {
  const unsigned most = sizeof merge->piece / sizeof merge->piece[0];
  unsigned count = merge->count;
  unsigned skip = headers;
  for (const struct pbuf *pbuf = segment; pbuf; pbuf = pbuf->next) {
    if (pbuf->len > skip) {
      if (count == most) return false;
      merge->piece[count++] = (struct iovec){(char *)pbuf->payload + skip, pbuf->len - skip};
      skip = 0;
    } else {
      skip -= pbuf->len;
    }
  }
  merge->payload += segment->tot_len - headers;
  merge->count = count;
  return true;
}

bool adit_merge_take(struct adit_stack *stack, const struct pbuf *segment, uint16_t mss) {
  struct adit_merge *merge = &stack->merge;
  const uint8_t *ip = segment->payload;
  unsigned ip_length = ip[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER;
  const uint8_t *tcp = ip + ip_length;
  unsigned length = ip_length + (tcp[FLAGS_AT - 1] >> 4) * 4U;
  size_t payload = segment->tot_len - length;
  if (merge->count > 0 && follows(merge, tcp, length - ip_length, payload, mss) && append(merge, segment, length)) {
    merge->headers[ip_length + FLAGS_AT] |= tcp[FLAGS_AT];
    return true;
  }
  send_waiting(stack);
  if (!merge->open || mss == 0 || payload == 0 || payload % mss != 0) return false;
  memcpy(merge->headers, ip, length);
  merge->ip_length = ip_length;
  merge->length = length;
  merge->mss = mss;
  merge->payload = 0;
  return append(merge, segment, length);
}

void adit_merge_end(struct adit_stack *stack) {
  send_waiting(stack);
  stack->merge.open = false;
}
