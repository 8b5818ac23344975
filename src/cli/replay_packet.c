/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A recorded packet made fit for the stack.
 *
 * A capture on the sending host sees packets before the network card does. What the card would have added is not there:
 * Linux leaves the sum over the pseudo-header in the field of the transport checksum, other systems leave zero in that of
 * the IPv4 header. To finish a field that happens to hold these values although it is complete does no harm: the result
 * is then what was there.
 */
#include "cli/replay_packet.h"

#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"

enum {
  ETHERNET_HEADER = 14,
  VLAN_TAG = 4,
  TYPE_IP4 = 0x0800,
  TYPE_IP6 = 0x86dd,
  TYPE_VLAN = 0x8100,
  TYPE_SERVICE_VLAN = 0x88a8,
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  TCP_HEADER = 20,
  IP4_LENGTH = 2, /* offsets in headers */
  IP4_CHECKSUM = 10,
  IP6_LENGTH = 4,
  IP6_NEXT = 6,
  TCP_ACKNOWLEDGMENT = 8,
  TCP_OFFSET = 12,
  TCP_FLAGS = 13,
  TCP_CHECKSUM = 16,
  TCP_URGENT = 18,
  TCP_OPTIONS = 20,
  UDP_CHECKSUM = 6,
  OPTION_END = 0,
  OPTION_NOP = 1,
  OPTION_SACK = 5
};

static unsigned get16(const uint8_t *at) {
  return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

bool adit_replay_unframe(struct adit_buffer *buffer) {
  uint32_t skip = ETHERNET_HEADER;
  while (buffer->length > skip + VLAN_TAG) {
    unsigned type = get16(buffer->data + skip - 2);
    if (type != TYPE_VLAN && type != TYPE_SERVICE_VLAN) break;
    skip += VLAN_TAG;
  }
  if (buffer->length <= skip) return false;
  unsigned type = get16(buffer->data + skip - 2);
  if (type != TYPE_IP4 && type != TYPE_IP6) return false;
  buffer->data += skip; /* 14 bytes and fours: aligned to four now */
  buffer->length -= skip;
  buffer->capacity -= skip;
  return true;
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static bool finish_header(uint8_t *ip) {
  size_t size = (size_t)(ip[0] & 15) * 4;
  if (get16(ip + IP4_CHECKSUM) != 0) return false;
  uint16_t sum = (uint16_t)~adit_checksum_fold(adit_checksum_add(0, ip, size));
  memcpy(ip + IP4_CHECKSUM, &sum, sizeof sum);
  return sum != 0;
}

static bool finish_transport(uint8_t *ip, const struct adit_header *header) {
  bool tcp = header->protocol == IPPROTO_TCP;
  if (header->fragment || (!tcp && header->protocol != IPPROTO_UDP)) return false;
  uint32_t bytes = tcp ? header->length - header->transport : header->udp_length;
  uint8_t *field = ip + header->transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
  uint64_t pseudo = adit_checksum_pseudo(ip, header->protocol, bytes);
  uint16_t partial = adit_checksum_fold(pseudo);
  if (memcmp(field, &partial, sizeof partial) != 0) return false;
  uint16_t sum = (uint16_t)~adit_checksum_fold(
      adit_checksum_add(0, ip + header->transport, bytes)); /* field included */
  if (sum == 0) sum = 0xffff;                               /* which zero means "none" to UDP */
  memcpy(field, &sum, sizeof sum);
  return sum != partial;
}

bool adit_replay_finish(uint8_t *ip, const struct adit_header *header) {
  bool first = header->version == 4 && finish_header(ip);
  return finish_transport(ip, header) || first;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/*
 * Put `value` at `offset` of the TCP header at `tcp` and mend the checksum: HC' = ~(~HC + ~m + m'), RFC 1624 equation 3.
 * The sum goes over pairs of bytes, so an odd offset takes its neighbours along; a TCP header has an even length.
 */
static void set_number(uint8_t *tcp, uint32_t offset, uint32_t value) {
  uint8_t *pairs = tcp + (offset & ~UINT32_C(1));
  size_t bytes = offset % 2 == 0 ? 4 : 6;
  uint16_t field;
  memcpy(&field, tcp + TCP_CHECKSUM, sizeof field);
  uint16_t before = adit_checksum_fold(adit_checksum_add(0, pairs, bytes));
  put32(tcp + offset, value);
  uint16_t after = adit_checksum_fold(adit_checksum_add(0, pairs, bytes));
  uint64_t sum = (uint64_t)(uint16_t)~field + (uint16_t)~before + after;
  field = (uint16_t)~adit_checksum_fold(sum);
  memcpy(tcp + TCP_CHECKSUM, &field, sizeof field);
}

/* Options that contradict themselves end the walk: the stack will find them so as well. */
static void shift_sack(uint8_t *tcp, uint32_t size, uint32_t shift) {
  uint32_t at = TCP_OPTIONS;
  while (at < size && tcp[at] != OPTION_END) {
    if (tcp[at] == OPTION_NOP) {
      at++;
      continue;
    }
    if (at + 2 > size || tcp[at + 1] < 2 || at + tcp[at + 1] > size) return;
    uint32_t end = at + tcp[at + 1];
    for (uint32_t edge = at + 2; tcp[at] == OPTION_SACK && edge + 4 <= end; edge += 4)
      set_number(tcp, edge, get32(tcp + edge) + shift);
    at = end;
  }
}

void adit_replay_acknowledge(uint8_t *ip, struct adit_header *header, uint32_t acknowledgment) {
  uint8_t *tcp = ip + header->transport;
  uint32_t shift = acknowledgment - header->tcp_acknowledgment;
  if (shift == 0) return;
  set_number(tcp, TCP_ACKNOWLEDGMENT, acknowledgment);
  shift_sack(tcp, header->payload - header->transport, shift);
  header->tcp_acknowledgment = acknowledgment;
}

/* ---- timestamps -------------------------------------------------------------------------------------------------- */

bool adit_replay_find_stamps(const uint8_t *ip, const struct adit_header *header, struct adit_timestamps *found) {
  uint32_t options = header->transport + TCP_OPTIONS;
  return adit_timestamps_find(ip + options, header->payload - options, found);
}

/* Add what the options and the header's own length count for in the checksum. */
static uint16_t sum_of_header(const uint8_t *tcp, uint32_t size, uint32_t segment) {
  uint8_t length[2];
  put16(length, segment & 0xffff);
  uint64_t sum = adit_checksum_add(0, tcp + TCP_OFFSET, 2);
  sum = adit_checksum_add(sum, tcp + TCP_OPTIONS, size - TCP_OPTIONS);
  return adit_checksum_fold(adit_checksum_add(sum, length, sizeof length));
}

static void mend(uint8_t *at, uint16_t before, uint16_t after) {
  uint16_t field;
  memcpy(&field, at, sizeof field);
  uint64_t sum = (uint64_t)(uint16_t)~field + (uint16_t)~before + after; /* RFC 1624, equation 3 */
  field = (uint16_t)~adit_checksum_fold(sum);
  memcpy(at, &field, sizeof field);
}

static void set_length(uint8_t *ip, const struct adit_header *header) {
  if (header->version == 6) {
    put16(ip + IP6_LENGTH, header->length - IP6_HEADER);
    return;
  }
  uint16_t before, after;
  memcpy(&before, ip + IP4_LENGTH, sizeof before);
  put16(ip + IP4_LENGTH, header->length);
  memcpy(&after, ip + IP4_LENGTH, sizeof after);
  mend(ip + IP4_CHECKSUM, before, after);
}

bool adit_replay_stamp(uint8_t *ip, struct adit_header *header, size_t capacity, struct adit_timestamps stamps) {
  uint8_t *tcp = ip + header->transport;
  uint32_t size = header->payload - header->transport;
  uint32_t stamped = TCP_HEADER + ADIT_TIMESTAMPS;
  uint32_t length = header->length - size + stamped;
  if (length > capacity || length - (header->version == 6 ? IP6_HEADER : 0) > UINT16_MAX) return false;
  uint16_t before = sum_of_header(tcp, size, header->length - header->transport);
  memmove(tcp + stamped, tcp + size, header->length - header->payload);
  adit_timestamps_put(tcp + TCP_OPTIONS, stamps);
  tcp[TCP_OFFSET] = (uint8_t)(stamped / 4 << 4 | (tcp[TCP_OFFSET] & 15));
  mend(tcp + TCP_CHECKSUM, before, sum_of_header(tcp, stamped, length - header->transport));
  header->payload = header->transport + stamped;
  header->length = length;
  set_length(ip, header);
  return true;
}

size_t adit_replay_bare(const uint8_t *ip, const struct adit_header *header, uint32_t acknowledgment, uint8_t *bare) {
  bool old = header->version == 4;
  size_t before = old ? IP4_HEADER : IP6_HEADER;
  uint8_t *tcp = bare + before;
  struct adit_timestamps stamps;
  bool stamped = adit_replay_find_stamps(ip, header, &stamps);
  size_t size = TCP_HEADER + (stamped ? (size_t)ADIT_TIMESTAMPS : 0);
  memcpy(bare, ip, before);
  memcpy(tcp, ip + header->transport, TCP_HEADER);
  put32(tcp + TCP_ACKNOWLEDGMENT, acknowledgment);
  if (stamped) adit_timestamps_put(tcp + TCP_OPTIONS, stamps);
  tcp[TCP_OFFSET] = (uint8_t)(size / 4 << 4);
  tcp[TCP_FLAGS] = ADIT_TCP_ACK;
  put16(tcp + TCP_CHECKSUM, 0);
  put16(tcp + TCP_URGENT, 0);
  if (old) {
    bare[0] = 4 << 4 | IP4_HEADER / 4;
    put16(bare + IP4_LENGTH, (unsigned)(IP4_HEADER + size));
    put16(bare + IP4_CHECKSUM, 0);
    uint16_t sum = (uint16_t)~adit_checksum_fold(adit_checksum_add(0, bare, IP4_HEADER));
    memcpy(bare + IP4_CHECKSUM, &sum, sizeof sum);
  } else {
    put16(bare + IP6_LENGTH, (unsigned)size);
    bare[IP6_NEXT] = IPPROTO_TCP;
  }
  uint64_t pseudo = adit_checksum_pseudo(bare, IPPROTO_TCP, (uint32_t)size);
  uint16_t sum = (uint16_t)~adit_checksum_fold(adit_checksum_add(pseudo, tcp, size));
  memcpy(tcp + TCP_CHECKSUM, &sum, sizeof sum);
  return before + size;
}
