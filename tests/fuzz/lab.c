/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack under a clock that the input moves.
 *
 * What comes out is held against the promises of adit/stack.h: pieces that add up, notes that a device would take,
 * headers that can be read, checksums that are right, nothing longer than the MTU that nobody is to cut. Sums are added up
 * here, and not by the code under test.
 *
 * The pool is made once: its buffers are 64 KiB each, and to take them from malloc for each input would cost more than
 * the input itself.
 */
#include "lab.h"

#include "device/vnet.h"
#include "packet/print.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
  ETHERNET = 14,
  LONGEST = 65535,      /* bytes that an IP header can say */
  EXACT = 40,           /* deadlines that are kept exactly; after them time goes faster */
  SETTLE_JUMPS = 40,    /* five minutes */
  SETTLE_TICKS = 20000, /* until lwIP gives a segment up */
  SETTLE_HOURS = 480
};

#define JUMP_NS (2 * FUZZ_S)

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static uint32_t folded(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint32_t)sum;
}

/* Four bytes at a time in the order of this machine: the sum is the same but for the order of its two bytes (RFC 1071). */
static uint32_t add_up(uint32_t sum, const uint8_t *data, size_t length) {
  uint64_t own = 0;
  for (; length >= 4; data += 4, length -= 4) {
    uint32_t word;
    memcpy(&word, data, sizeof word);
    own += word;
  }
  uint8_t rest[4] = {0};
  uint32_t word;
  memcpy(rest, data, length);
  memcpy(&word, rest, sizeof word);
  return folded(sum + (uint64_t)ntohs((uint16_t)folded(own + word)));
}

static uint32_t add_pseudo(const struct adit_header *header, uint32_t length) {
  uint32_t sum = add_up(0, header->source.bytes, 16); /* the rest of an IPv4 address is zero */
  sum = add_up(sum, header->destination.bytes, 16);
  return sum + header->protocol + (length >> 16) + (length & 0xffff);
}

/* Where the checksum is in the transport header; 0 when there is none that we know. */
static unsigned checksum_at(const struct adit_header *header) {
  switch (header->protocol) {
  case IPPROTO_TCP:
    return 16;
  case IPPROTO_UDP:
    return 6;
  case IPPROTO_ICMP:
    return header->version == 4 ? 2 : 0;
  case IPPROTO_ICMPV6:
    return header->version == 6 ? 2 : 0;
  default:
    return 0;
  }
}

static uint32_t transport_length(const struct adit_header *header) {
  return header->protocol == IPPROTO_UDP ? header->udp_length : header->length - header->transport;
}

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

void fuzz_lab_seal(uint8_t *packet, size_t length, bool partial, struct adit_offload *notes) {
  struct adit_header header;
  enum adit_drop why;
  if (!adit_header_parse(packet, length, &header, &why)) return;
  if (header.version == 4) {
    unsigned bytes = (packet[0] & 15u) * 4;
    put16(packet + 10, 0);
    put16(packet + 10, ~add_up(0, packet, bytes));
  }
  unsigned offset = checksum_at(&header);
  if (header.fragment || offset == 0) return;
  uint32_t bytes = transport_length(&header);
  uint8_t *field = packet + header.transport + offset;
  if (header.transport + bytes > length || bytes < offset + 2) return;
  uint32_t sum = header.protocol == IPPROTO_ICMP ? 0 : add_pseudo(&header, bytes);
  if (partial && (header.protocol == IPPROTO_TCP || header.protocol == IPPROTO_UDP)) {
    put16(field, folded(sum));
    notes->checksum = ADIT_CHECKSUM_PARTIAL;
    notes->checksum_start = (uint16_t)header.transport;
    notes->checksum_offset = (uint16_t)offset;
    return;
  }
  put16(field, 0);
  uint32_t value = ~add_up(folded(sum), packet + header.transport, bytes) & 0xffff;
  put16(field, value == 0 && header.protocol == IPPROTO_UDP ? 0xffff : value);
}

static void check_sums(const uint8_t *packet, const struct adit_header *header, const struct adit_offload *notes) {
  if (header->version == 4) FUZZ_EQUAL(add_up(0, packet, (packet[0] & 15u) * 4), 0xffff);
  unsigned offset = checksum_at(header);
  if (header->fragment || offset == 0) return;
  uint32_t bytes = transport_length(header);
  const uint8_t *transport = packet + header->transport;
  uint32_t sum = header->protocol == IPPROTO_ICMP ? 0 : folded(add_pseudo(header, bytes));
  if (notes->checksum == ADIT_CHECKSUM_PARTIAL) {
    uint32_t field = (uint32_t)transport[offset] << 8 | transport[offset + 1];
    FUZZ_EQUAL(field % 0xffff, sum % 0xffff); /* 0 and 0xffff are the same number */
    return;
  }
  FUZZ_EQUAL(add_up(sum, transport, bytes), 0xffff);
}

/* With FUZZ_TRACE in the environment every packet is shown: for whoever looks at a finding. */
static void trace(const struct fuzz_lab *lab, const char *way, const uint8_t *data, size_t length,
                  const struct adit_offload *notes) {
  static int wanted = -1;
  char line[ADIT_PRINT_LINE];
  if (wanted < 0) wanted = getenv("FUZZ_TRACE") != NULL;
  if (!wanted) return;
  adit_print_line(line, sizeof line, adit_stack_now(lab->stack), lab->options.ethernet, data, length, notes);
  fprintf(stderr, "%s %s\n", way, line);
}

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

static void check_packet(struct fuzz_lab *lab, const uint8_t *frame, size_t all, struct adit_offload notes) {
  size_t link = lab->options.ethernet ? ETHERNET : 0;
  FUZZ_CHECK(all >= link, "%zu bytes", all);
  if (link && (frame[12] != 0x08 || frame[13] != 0x00) && (frame[12] != 0x86 || frame[13] != 0xdd)) return; /* ARP */
  if (notes.checksum == ADIT_CHECKSUM_PARTIAL) {
    FUZZ_CHECK(notes.checksum_start >= link, "%u", notes.checksum_start);
    notes.checksum_start = (uint16_t)(notes.checksum_start - link);
  }
  const uint8_t *ip = frame + link;
  size_t length = all - link;
  struct adit_header header;
  enum adit_drop why = ADIT_DROPS;
  bool readable = adit_header_parse(ip, length, &header, &why);
  FUZZ_CHECK(readable, "%s", adit_drop_name(why));
  FUZZ_EQUAL(header.length, length);
  bool fits = adit_header_offload_fits(&header, &notes);
  FUZZ_CHECK(fits, "gso %u, checksum %u", notes.gso, notes.checksum);
  check_sums(ip, &header, &notes);
  uint32_t mtu = lab->options.mtu ? lab->options.mtu : 1500;
  if (header.version == 6 && mtu < 1280) mtu = 1280; /* every link takes that (RFC 8200, 5) */
  if (notes.gso != ADIT_GSO_NONE)
    FUZZ_CHECK(header.payload + notes.gso_size <= mtu, "%u and %u bytes", header.payload, notes.gso_size);
  else
    FUZZ_CHECK(length <= mtu, "%zu bytes, mtu %u", length, mtu);
  if (lab->sent) lab->sent(lab->user, ip, &header);
}

/* Whether it is a packet of more than 64 KiB (ADIT_OFFLOAD_BIG_TCP). */
static bool is_big(const uint8_t *ip, size_t length) {
  const uint8_t *said = ip + (ip[0] >> 4 == 4 ? 2 : 4);
  return length > LONGEST && said[0] == 0 && said[1] == 0;
}

/* Cut a big packet into shorter ones, as the kernel cuts it into segments, and look at those. */
static void cut(struct fuzz_lab *lab, uint8_t *flat, size_t length, struct adit_offload notes) {
  static uint8_t part[LONGEST];
  const size_t ip = flat[0] >> 4 == 6 ? 40 : 20;
  FUZZ_CHECK((lab->options.offload & ADIT_OFFLOAD_BIG_TCP) && !lab->options.ethernet, "%zu bytes", length);
  FUZZ_CHECK(notes.gso != ADIT_GSO_NONE && notes.gso_size > 0, "gso %u", notes.gso);
  FUZZ_EQUAL(notes.checksum, ADIT_CHECKSUM_PARTIAL);
  if (ip == 40) {
    uint8_t option[] = {IPPROTO_TCP, 0, 0xc2, 4, 0, 0, 0, 0}; /* RFC 2675 */
    put16(option + 4, (uint32_t)(length - ip) >> 16);
    put16(option + 6, (uint32_t)(length - ip));
    FUZZ_EQUAL(flat[6], IPPROTO_HOPOPTS);
    FUZZ_EQUAL(memcmp(flat + ip, option, sizeof option), 0);
    FUZZ_EQUAL(notes.checksum_start, ip + sizeof option);
    length -= sizeof option;
    memmove(flat + ip, flat + ip + sizeof option, length - ip);
    flat[6] = IPPROTO_TCP;
  }
  const size_t headers = ip + (flat[ip + 12] >> 4) * 4u;
  const size_t most = (sizeof part - headers) / notes.gso_size * notes.gso_size;
  const uint32_t sum = (uint32_t)flat[ip + 16] << 8 | flat[ip + 17];
  uint32_t sequence;
  memcpy(&sequence, flat + ip + 4, sizeof sequence);
  for (size_t at = headers; at < length; at += most) {
    const size_t bytes = length - at < most ? length - at : most;
    const uint32_t own = htonl(ntohl(sequence) + (uint32_t)(at - headers));
    struct adit_offload own_notes = notes;
    struct adit_header header;
    enum adit_drop why;
    memcpy(part, flat, headers);
    memcpy(part + headers, flat + at, bytes);
    memcpy(part + ip + 4, &own, sizeof own);
    if (at + bytes < length) part[ip + 13] &= (uint8_t)~9u; /* FIN and PSH are the last byte's */
    if (bytes <= notes.gso_size) own_notes.gso = ADIT_GSO_NONE, own_notes.gso_size = 0;
    put16(part + (ip == 40 ? 4 : 2), (uint32_t)(headers + bytes - (ip == 40 ? ip : 0)));
    if (adit_header_parse(part, headers + bytes, &header, &why))
      FUZZ_EQUAL(sum % 0xffff, folded(add_pseudo(&header, (uint32_t)(length - ip))) % 0xffff);
    fuzz_lab_seal(part, headers + bytes, true, &own_notes);
    check_packet(lab, part, headers + bytes, own_notes);
  }
}

static int on_output(void *user, const struct adit_packet *packet) {
  struct fuzz_lab *lab = user;
  static uint8_t flat[ADIT_PACKET_BIG];
  size_t length = 0;
  FUZZ_CHECK(packet->iovcnt <= ADIT_PACKET_PIECES, "%u", packet->iovcnt);
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    FUZZ_CHECK(packet->iov[i].iov_len <= sizeof flat - length, "%zu", packet->iov[i].iov_len);
    memcpy(flat + length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    length += packet->iov[i].iov_len;
  }
  FUZZ_EQUAL(length, packet->length);
  FUZZ_EQUAL(adit_vnet_check(packet, lab->options.offload), 0);
  struct virtio_net_hdr written;
  struct adit_offload read;
  adit_vnet_build(packet, &written);
  FUZZ_EQUAL(adit_vnet_parse(&written, length, &read), 0);
  FUZZ_EQUAL(read.gso, packet->offload.gso);
  FUZZ_EQUAL(read.gso_size, packet->offload.gso_size);
  trace(lab, "<", flat, length, &packet->offload);
  if (is_big(flat, length))
    cut(lab, flat, length, packet->offload);
  else
    check_packet(lab, flat, length, packet->offload);
  return 0;
}

/* The stack has one `user` for `output` and for the events of the target. */
static void on_syn(void *user, struct adit_flow *flow) {
  struct fuzz_lab *lab = user;
  lab->events.syn(lab->user, flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct fuzz_lab *lab = user;
  lab->events.datagram(lab->user, datagram);
}

static void on_echo(void *user, const struct adit_echo *echo) {
  struct fuzz_lab *lab = user;
  lab->events.echo(lab->user, echo);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void fuzz_lab_options(struct fuzz_lab *lab, struct fuzz_bytes *bytes) {
  static const uint32_t mtus[] = {1500, 1280, 576, 65535};
  static const size_t budgets[] = {0, 1 << 20, 1 << 21, 1 << 23};
  static const uint32_t windows[] = {0, 64 * 1024, 200000, 16 * 1024 * 1024};
  static const uint32_t sends[] = {0, 64 * 1024, 100001, 300000};
  static const uint32_t bounds[] = {0, 1, 2, 64};
  uint8_t offloads = fuzz_take8(bytes);
  uint8_t sizes = fuzz_take8(bytes);
  uint8_t bound = fuzz_take8(bytes);
  lab->options = (struct adit_stack_options){.size = sizeof lab->options,
                                             .secret = {1, 2, 3},
                                             .now_ns = FUZZ_S,
                                             .offload = (offloads & 31u) | (offloads & 64 ? ADIT_OFFLOAD_BIG_TCP : 0U),
                                             .ethernet = (offloads & 32) != 0,
                                             .mac = {2, 0, 0, 0, 0, 1},
                                             .mtu = mtus[sizes & 3],
                                             .budget_bytes = budgets[sizes >> 2 & 3],
                                             .window_bytes = windows[sizes >> 4 & 3],
                                             .send_bytes = sends[sizes >> 6 & 3],
                                             .parked = bounds[bound & 3]};
}

static struct adit_stack_stats stats_of(const struct fuzz_lab *lab) {
  struct adit_stack_stats stats;
  adit_stack_stats(lab->stack, &stats);
  return stats;
}

void fuzz_lab_open(struct fuzz_lab *lab) {
  static struct adit_pool *pool;
  static struct adit_stack_events events;
  if (pool == NULL) FUZZ_EQUAL(adit_pool_new(0, &pool), 0);
  lab->pool = pool;
  events = (struct adit_stack_events){.output = on_output,
                                      .syn = lab->events.syn ? on_syn : NULL,
                                      .datagram = lab->events.datagram ? on_datagram : NULL,
                                      .echo = lab->events.echo ? on_echo : NULL};
  lab->options.events = &events;
  lab->options.user = lab;
  FUZZ_EQUAL(adit_stack_new(&lab->options, &lab->stack), 0);
  lab->before = stats_of(lab).memory_bytes;
}

void fuzz_lab_input(struct fuzz_lab *lab, const void *packet, size_t length, const struct adit_offload *notes) {
  struct adit_buffer *buffer = adit_buffer_new(lab->pool);
  if (buffer == NULL) abort();
  if (length > buffer->capacity) length = buffer->capacity;
  if (length > 0) memcpy(buffer->data, packet, length);
  buffer->length = (uint32_t)length;
  if (notes) buffer->offload = *notes;
  trace(lab, ">", buffer->data, length, &buffer->offload);
  adit_stack_input(lab->stack, buffer);
}

void fuzz_lab_pass(struct fuzz_lab *lab, uint64_t ns) {
  uint64_t end_ns = adit_stack_now(lab->stack) + ns;
  for (unsigned steps = 0; adit_stack_now(lab->stack) < end_ns; steps++) {
    uint64_t now_ns = adit_stack_now(lab->stack);
    uint64_t next_ns = adit_stack_deadline(lab->stack);
    if (next_ns <= now_ns) next_ns = now_ns + 1;
    if (steps > EXACT && next_ns < now_ns + JUMP_NS) next_ns = now_ns + JUMP_NS; /* as after a suspended machine */
    adit_stack_advance(lab->stack, next_ns < end_ns ? next_ns : end_ns);
  }
}

/* Advance so often by so much, or until nothing waits for time. */
static void advance(struct fuzz_lab *lab, unsigned times, uint64_t ns) {
  for (unsigned i = 0; i < times && adit_stack_deadline(lab->stack) != UINT64_MAX; i++)
    adit_stack_advance(lab->stack, adit_stack_now(lab->stack) + ns);
}

void fuzz_lab_settle(struct fuzz_lab *lab) {
  adit_stack_flush(lab->stack);
  advance(lab, SETTLE_JUMPS, 8 * FUZZ_S);
  if (!lab->options.ethernet) {              /* there ARP has no end, and nothing but ARP waits longer */
    advance(lab, SETTLE_TICKS, FUZZ_S / 10); /* time that is jumped over does not count for retransmissions */
    advance(lab, SETTLE_HOURS, 60 * FUZZ_S);
  }
  struct adit_stack_stats stats = stats_of(lab);
  FUZZ_EQUAL(stats.flows_open, 0);
  FUZZ_EQUAL(adit_pool_in_use(lab->pool), 0);
  if (!lab->options.ethernet) {
    FUZZ_EQUAL(adit_stack_deadline(lab->stack), UINT64_MAX);
    FUZZ_EQUAL(stats.memory_bytes, lab->before);
  }
}

void fuzz_lab_close(struct fuzz_lab *lab) {
  adit_stack_free(lab->stack);
  FUZZ_EQUAL(adit_pool_in_use(lab->pool), 0);
}
