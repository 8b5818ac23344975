/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The way out: every packet leaves through emit(), whether lwIP made it or this file.
 *
 * There the transport checksum is dealt with, once for all: left to whoever takes the packet, if that can (the field then
 * holds the sum over the pseudo-header), or computed. TCP that is longer than one segment carries the note by which it is
 * to be cut. Fragments are the exception; their checksum covers all of them and is made before they are cut.
 *
 * The first piece of a packet always holds all of its headers, in memory of our own.
 *
 * Segments that follow one another may leave as one (merge.c); those come by adit_output_tcp.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "stack/core.h"

enum {
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  FRAGMENT_HEADER = 8, /* RFC 8200, 4.5 */
  TCP_HEADER = 20,
  TTL = 64, /* RFC 1700; hop limit likewise */
  TCP_CHECKSUM = 16,
  UDP_CHECKSUM = 6,
  LEAST_MTU6 = 1280, /* RFC 8200, 5 */
  DONT_FRAGMENT = 0x4000,
  MORE_FRAGMENTS = 0x2000
};

/* Where things are in a packet that is ready but for its checksum. */
struct layout {
  unsigned version;
  unsigned transport; /* offset from the IP header */
  uint8_t protocol;
  bool fragment;
};

static struct layout layout_of(const uint8_t *ip) {
  struct layout layout = {.version = ip[0] >> 4};
  if (layout.version == 4) {
    layout.transport = (ip[0] & 15U) * 4;
    layout.protocol = ip[9];
    layout.fragment = (ip[6] & 0x3f) != 0 || ip[7] != 0;
  } else {
    layout.transport = IP6_HEADER;
    layout.protocol = ip[6];
    layout.fragment = layout.protocol == IPPROTO_FRAGMENT;
  }
  return layout;
}

static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static unsigned checksum_field(uint8_t protocol) {
  return protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

/* Complete the transport checksum, or leave a partial one and say so. */
static void add_checksum(const struct adit_stack *stack, struct adit_packet *packet, const struct layout *layout,
                         unsigned link) {
  unsigned start = link + layout->transport;
  unsigned field = checksum_field(layout->protocol);
  uint8_t *frame = packet->iov[0].iov_base;
  uint32_t length = (uint32_t)(packet->length - start);
  uint64_t sum = adit_checksum_pseudo(frame + link, layout->protocol, length);
  uint16_t value = adit_checksum_fold(sum);
  if (stack->offload & ADIT_OFFLOAD_CHECKSUM) {
    packet->offload.checksum = ADIT_CHECKSUM_PARTIAL;
    packet->offload.checksum_start = (uint16_t)start;
    packet->offload.checksum_offset = (uint16_t)field;
  } else {
    memset(frame + start + field, 0, sizeof value);
    value = (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, packet->iov, packet->iovcnt, start, length));
    if (value == 0 && layout->protocol == IPPROTO_UDP) value = 0xffff; /* zero would mean none (RFC 768) */
  }
  memcpy(frame + start + field, &value, sizeof value);
}

/* How long a segment of this packet may be, when it waited for its neighbour and the note that came with it is lost. */
static uint16_t mss_of_flow(struct adit_stack *stack, const uint8_t *ip, const struct layout *layout) {
  const uint8_t *ports = ip + layout->transport;
  unsigned at = layout->version == 4 ? 12 : 8;
  unsigned size = layout->version == 4 ? 4 : 16;
  adit_endpoint local = {adit_ip_from_bytes(layout->version, ip + at), (uint16_t)(ports[0] << 8 | ports[1])};
  adit_endpoint remote = {adit_ip_from_bytes(layout->version, ip + at + size), (uint16_t)(ports[2] << 8 | ports[3])};
  const struct adit_flow *flow = adit_table_find(stack, &local, &remote, adit_table_hash(stack, &local, &remote));
  if (flow && flow->pcb) return adit_port_mss(flow->pcb);
  return (uint16_t)(stack->mtu - layout->transport - (ports[12] >> 4) * 4U);
}

static void add_segmentation(struct adit_stack *stack, struct adit_packet *packet, const struct layout *layout,
                             unsigned link, uint16_t mss) {
  const uint8_t *frame = packet->iov[0].iov_base;
  unsigned start = link + layout->transport;
  unsigned headers = start + (frame[start + 12] >> 4) * 4U;
  size_t payload = packet->length - headers;
  if (mss == 0 && payload > 0) mss = mss_of_flow(stack, frame + link, layout);
  if (payload <= mss) return;
  packet->offload.gso = layout->version == 4 ? ADIT_GSO_TCP4 : ADIT_GSO_TCP6;
  packet->offload.gso_size = mss;
  packet->offload.header_length = (uint16_t)headers;
}

static int hand_over(struct adit_stack *stack, const struct adit_packet *packet) {
  stack->stats.packets_out++;
  stack->stats.bytes_out += packet->length;
  return stack->events->output(stack->user, packet);
}

static void emit(struct adit_stack *stack, struct adit_packet *packet, unsigned link, uint16_t mss) {
  const uint8_t *frame = packet->iov[0].iov_base;
  bool ip = link == 0 || (frame[12] == 0x08 && frame[13] == 0x00) || (frame[12] == 0x86 && frame[13] == 0xdd);
  if (ip) {
    struct layout layout = layout_of(frame + link);
    if (!layout.fragment && (layout.protocol == IPPROTO_TCP || layout.protocol == IPPROTO_UDP)) {
      add_checksum(stack, packet, &layout, link);
      if (layout.protocol == IPPROTO_TCP) add_segmentation(stack, packet, &layout, link, mss);
    }
  }
  hand_over(stack, packet);
}

/* Too many pieces (a segment put together from many small writes): one copy. */
static void emit_copied(struct adit_stack *stack, const struct pbuf *pbuf, unsigned link, uint16_t mss) {
  struct adit_buffer *buffer = adit_buffer_new(stack->pool);
  if (!buffer) {
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return;
  }
  pbuf_copy_partial(pbuf, buffer->data, pbuf->tot_len, 0);
  struct iovec iov = {buffer->data, pbuf->tot_len};
  emit(stack, &(struct adit_packet){.iov = &iov, .iovcnt = 1, .length = pbuf->tot_len}, link, mss);
  adit_buffer_unref(buffer);
}

/*
 * Not to be fragmented on the way: who finds it too long has to say so (RFC 1191, pmtu.c).
 *
 * lwIP counts its packets, which would tell everybody how many there were (RFC 6274, 3.5). Of a packet that is never
 * fragmented the identification means nothing (RFC 6864, 4.1), and zero tells nothing.
 *
 * Fields are read as wide as lwIP has just written them: a load that takes several waits until all have reached the cache.
 */
static void finish_ip4(uint8_t *ip) {
  uint16_t length;
  uint32_t source;
  uint32_t destination;
  memcpy(&length, ip + 2, sizeof length);
  memcpy(&source, ip + 12, sizeof source);
  memcpy(&destination, ip + 16, sizeof destination);
  uint64_t sum = (uint64_t)source + destination + length + htons(DONT_FRAGMENT);
  sum += htons((uint16_t)(ip[0] << 8)) + (uint64_t)htons(ip[1]);
  sum += htons((uint16_t)(ip[8] << 8)) + (uint64_t)htons(ip[9]);
  uint16_t checksum = (uint16_t)~adit_checksum_fold(sum);
  put16(ip + 4, 0);
  put16(ip + 6, DONT_FRAGMENT);
  memcpy(ip + 10, &checksum, sizeof checksum);
}

int adit_output_tcp(struct adit_stack *stack, const struct iovec *iov, unsigned iovcnt, size_t length,
                    unsigned transport, uint16_t mss) {
  struct adit_packet packet = {.iov = iov, .iovcnt = iovcnt, .length = length};
  uint8_t *ip = iov[0].iov_base;
  const struct layout layout = {.version = ip[0] >> 4, .transport = transport, .protocol = IPPROTO_TCP};
  if (layout.version == 4) finish_ip4(ip);
  add_checksum(stack, &packet, &layout, 0);
  add_segmentation(stack, &packet, &layout, 0, mss);
  return hand_over(stack, &packet);
}

void adit_output_pbuf(void *user, struct pbuf *pbuf, unsigned link, uint16_t mss) {
  struct adit_stack *stack = user;
  struct iovec iov[ADIT_PACKET_PIECES];
  unsigned count = 0;
  uint8_t *frame = pbuf->payload;
  if (stack->merge.open && adit_merge_take(stack, pbuf, mss)) return;
  bool ip4 = link == 0 ? frame[0] >> 4 == 4 : frame[12] == 0x08 && frame[13] == 0x00;
  if (ip4 && frame[link + 9] == IPPROTO_TCP) finish_ip4(frame + link);
  for (const struct pbuf *piece = pbuf; piece; piece = piece->next) {
    if (piece->len == 0) continue;
    if (count == ADIT_PACKET_PIECES) {
      emit_copied(stack, pbuf, link, mss);
      return;
    }
    iov[count++] = (struct iovec){piece->payload, piece->len};
  }
  emit(stack, &(struct adit_packet){.iov = iov, .iovcnt = count, .length = pbuf->tot_len}, link, mss);
}

/* ---- packets of our own: datagrams, ICMP, resets ---- */

/* Write an IPv4 header (RFC 791). `fragment` is the field of flags and offset. */
static void put_ip4(uint8_t *at, size_t length, uint16_t id, unsigned fragment, uint8_t protocol, uint8_t ttl,
                    adit_ip from, adit_ip to) {
  memset(at, 0, IP4_HEADER);
  at[0] = 0x45;
  put16(at + 2, (unsigned)length);
  put16(at + 4, id);
  put16(at + 6, fragment);
  at[8] = ttl;
  at[9] = protocol;
  memcpy(at + 12, from.bytes, 4);
  memcpy(at + 16, to.bytes, 4);
  uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_add(0, at, IP4_HEADER));
  memcpy(at + 10, &checksum, sizeof checksum);
}

/* Write an IPv6 header (RFC 8200). `length` is that of what follows. */
static void put_ip6(uint8_t *at, size_t length, uint8_t next, uint8_t ttl, adit_ip from, adit_ip to) {
  memset(at, 0, IP6_HEADER);
  at[0] = 0x60;
  put16(at + 4, (unsigned)length);
  at[6] = next;
  at[7] = ttl;
  memcpy(at + 8, from.bytes, 16);
  memcpy(at + 24, to.bytes, 16);
}

/* Hand a packet to the link. Over Ethernet it goes by way of lwIP's ARP or neighbour discovery, as a pbuf. */
static int send_packet(struct adit_stack *stack, adit_ip to, const struct iovec *iov, unsigned iovcnt, size_t length) {
  if (!stack->ethernet) {
    emit(stack, &(struct adit_packet){.iov = iov, .iovcnt = iovcnt, .length = length}, 0, 0);
    return 0;
  }
  struct pbuf *packet = pbuf_alloc(PBUF_LINK, (u16_t)iov[0].iov_len, PBUF_RAM);
  if (!packet) return -ENOBUFS;
  memcpy(packet->payload, iov[0].iov_base, iov[0].iov_len);
  int error = -ENOBUFS;
  for (unsigned i = 1; i < iovcnt; i++) {
    if (iov[i].iov_len == 0) continue;
    struct pbuf *piece = pbuf_alloc(PBUF_RAW, (u16_t)iov[i].iov_len, PBUF_REF); /* copied where it has to wait */
    if (!piece) goto free_packet;
    piece->payload = iov[i].iov_base;
    pbuf_cat(packet, piece);
  }
  error = adit_port_send(packet, to.version, to.bytes);
free_packet:
  pbuf_free(packet);
  return error;
}

unsigned adit_output_part(const struct iovec *iov, unsigned iovcnt, size_t skip, size_t length, struct iovec *part) {
  unsigned count = 0;
  for (unsigned i = 0; i < iovcnt && length > 0; i++) {
    if (skip >= iov[i].iov_len) {
      skip -= iov[i].iov_len;
      continue;
    }
    size_t bytes = iov[i].iov_len - skip < length ? iov[i].iov_len - skip : length;
    part[count++] = (struct iovec){(char *)iov[i].iov_base + skip, bytes};
    skip = 0;
    length -= bytes;
  }
  return count;
}

static uint32_t next_id(struct adit_stack *stack) {
  (void)stack;
  return adit_port_random();
}

/* The checksum of a datagram that will be cut covers all of it, so it is made here. */
static void checksum_whole(uint8_t protocol, const uint8_t *ip, const struct iovec *iov, unsigned iovcnt,
                           size_t length) {
  if (protocol != IPPROTO_UDP) return; /* ICMP has its own already, TCP is never cut */
  uint8_t *field = (uint8_t *)iov[0].iov_base + UDP_CHECKSUM;
  uint64_t sum = adit_checksum_pseudo(ip, protocol, (uint32_t)length);
  uint16_t value = (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, iov, iovcnt, 0, length));
  if (value == 0) value = 0xffff;
  memcpy(field, &value, sizeof value);
}

static int send_fragments(struct adit_stack *stack, uint8_t protocol, uint8_t ttl, adit_ip from, adit_ip to,
                          const struct iovec *iov, unsigned iovcnt, size_t length, uint32_t mtu) {
  bool v4 = from.version == 4;
  uint8_t header[IP6_HEADER + FRAGMENT_HEADER];
  size_t header_length = v4 ? IP4_HEADER : IP6_HEADER + FRAGMENT_HEADER;
  size_t most = (mtu - header_length) / 8 * 8;
  uint32_t id = next_id(stack);
  if (v4) {
    put_ip4(header, header_length, 0, 0, protocol, ttl, from, to);
  } else {
    put_ip6(header, length, protocol, ttl, from, to);
  }
  checksum_whole(protocol, header, iov, iovcnt, length);

  for (size_t offset = 0; offset < length; offset += most) {
    size_t bytes = length - offset < most ? length - offset : most;
    bool more = offset + bytes < length;
    if (v4) {
      put_ip4(header, header_length + bytes, (uint16_t)id, (unsigned)(offset / 8) | (more ? MORE_FRAGMENTS : 0),
              protocol, ttl, from, to);
    } else {
      put_ip6(header, FRAGMENT_HEADER + bytes, IPPROTO_FRAGMENT, ttl, from, to);
      uint8_t *fragment = header + IP6_HEADER;
      fragment[0] = protocol;
      fragment[1] = 0;
      put16(fragment + 2, (unsigned)offset | more);
      put16(fragment + 4, id >> 16);
      put16(fragment + 6, id & 0xffff);
    }
    struct iovec pieces[ADIT_PACKET_PIECES] = {{header, header_length}};
    unsigned count = 1 + adit_output_part(iov, iovcnt, offset, bytes, pieces + 1);
    int error = send_packet(stack, to, pieces, count, header_length + bytes);
    if (error) return error;
  }
  return 0;
}

int adit_output_ip(struct adit_stack *stack, uint8_t protocol, adit_ip from, adit_ip to, const struct iovec *iov,
                   unsigned iovcnt) {
  return adit_output_ip_ttl(stack, protocol, TTL, from, to, iov, iovcnt);
}

int adit_output_ip_ttl(struct adit_stack *stack, uint8_t protocol, uint8_t ttl, adit_ip from, adit_ip to,
                       const struct iovec *iov, unsigned iovcnt) {
  bool v4 = from.version == 4;
  size_t header_length = v4 ? IP4_HEADER : IP6_HEADER;
  uint32_t mtu = !v4 && stack->mtu < LEAST_MTU6 ? LEAST_MTU6 : stack->mtu;
  if (stack->ethernet && mtu > ADIT_PORT_ETHERNET_MTU) mtu = ADIT_PORT_ETHERNET_MTU;
  size_t length = 0;
  for (unsigned i = 0; i < iovcnt; i++) length += iov[i].iov_len;
  if (header_length + length > mtu) return send_fragments(stack, protocol, ttl, from, to, iov, iovcnt, length, mtu);

  /* One piece for all headers: the IP header is put in front of a copy of the first piece, which is short. */
  uint8_t headers[IP6_HEADER + 64];
  if (iovcnt == 0 || iov[0].iov_len > sizeof headers - IP6_HEADER) return -EINVAL;
  if (v4) {
    put_ip4(headers, header_length + length, (uint16_t)next_id(stack), 0, protocol, ttl, from, to);
  } else {
    put_ip6(headers, length, protocol, ttl, from, to);
  }
  memcpy(headers + header_length, iov[0].iov_base, iov[0].iov_len);
  struct iovec pieces[ADIT_PACKET_PIECES];
  memcpy(pieces, iov, iovcnt * sizeof *iov);
  pieces[0] = (struct iovec){headers, header_length + iov[0].iov_len};
  return send_packet(stack, to, pieces, iovcnt, header_length + length);
}

int adit_output_super(struct adit_stack *stack, adit_ip from, adit_ip to, const struct iovec *iov, unsigned iovcnt,
                      uint16_t each) {
  uint8_t headers[IP6_HEADER + 8];
  bool v4 = from.version == 4;
  size_t header_length = v4 ? IP4_HEADER : IP6_HEADER;
  size_t length = 0;
  struct iovec pieces[ADIT_PACKET_PIECES];
  if (iovcnt == 0 || iovcnt > ADIT_PACKET_PIECES || iov[0].iov_len != sizeof headers - IP6_HEADER) return -EINVAL;
  for (unsigned i = 0; i < iovcnt; i++) length += iov[i].iov_len;
  if (v4) {
    put_ip4(headers, header_length + length, (uint16_t)next_id(stack), 0, IPPROTO_UDP, TTL, from, to);
  } else {
    put_ip6(headers, length, IPPROTO_UDP, TTL, from, to);
  }
  memcpy(headers + header_length, iov[0].iov_base, iov[0].iov_len);
  memcpy(pieces, iov, iovcnt * sizeof *iov);
  pieces[0] = (struct iovec){headers, header_length + iov[0].iov_len};
  struct adit_packet packet = {.iov = pieces, .iovcnt = iovcnt, .length = header_length + length};
  packet.offload.gso = ADIT_GSO_UDP;
  packet.offload.gso_size = each;
  packet.offload.header_length = (uint16_t)pieces[0].iov_len;
  emit(stack, &packet, 0, 0);
  return 0;
}

size_t adit_output_quote(uint8_t *at, uint8_t protocol, adit_ip from, adit_ip to, size_t length) {
  if (from.version == 4) {
    put_ip4(at, IP4_HEADER + length, 0, 0, protocol, TTL, from, to);
    return IP4_HEADER;
  }
  put_ip6(at, length, protocol, TTL, from, to);
  return IP6_HEADER;
}

int adit_output_segment(struct adit_stack *stack, const adit_endpoint *from, const adit_endpoint *to, uint8_t flags,
                        uint32_t sequence, uint32_t acknowledged, const struct adit_timestamps *stamps) {
  uint8_t segment[TCP_HEADER + ADIT_TIMESTAMPS] = {0};
  unsigned length = stamps ? sizeof segment : TCP_HEADER;
  put16(segment, from->port);
  put16(segment + 2, to->port);
  put16(segment + 4, sequence >> 16);
  put16(segment + 6, sequence & 0xffff);
  put16(segment + 8, acknowledged >> 16);
  put16(segment + 10, acknowledged & 0xffff);
  segment[12] = (uint8_t)(length / 4 << 4);
  segment[13] = flags;
  if (stamps) adit_timestamps_put(segment + TCP_HEADER, *stamps);
  struct iovec iov = {segment, length};
  return adit_output_ip(stack, IPPROTO_TCP, from->ip, to->ip, &iov, 1);
}

int adit_output_reset(struct adit_stack *stack, const struct adit_header *header) {
  uint8_t flags = header->tcp_flags;
  adit_endpoint from = {header->destination, header->destination_port};
  adit_endpoint to = {header->source, header->source_port};
  if (flags & ADIT_TCP_RST) return 0;
  if (flags & ADIT_TCP_ACK)
    return adit_output_segment(stack, &from, &to, ADIT_TCP_RST, header->tcp_acknowledgment, 0, NULL);
  uint32_t length = header->length - header->payload + !!(flags & ADIT_TCP_SYN) + !!(flags & ADIT_TCP_FIN);
  return adit_output_segment(stack, &from, &to, ADIT_TCP_RST | ADIT_TCP_ACK, 0, header->tcp_sequence + length, NULL);
}
