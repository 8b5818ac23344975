/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The way in: what is wrong with a packet is counted by its reason and goes no further, whatever the bytes are.
 */
#include "packet/header.h"
#include "support_ip.h"
#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define STACK4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define STACK6 "fdad:3::12"

static uint8_t packet[SUPPORT_PACKET_MAX + 64];
static uint8_t data[65536];

static const struct adit_stack_events no_events;

/* ---- a packet of each kind ---------------------------------------------------------------------------------------- */

enum kind { TCP4, UDP4, ECHO4, TCP6, UDP6, ECHO6, KINDS };

static size_t build(enum kind kind, size_t length) {
  switch (kind) {
  case TCP4:
    return support_tcp4(packet, CLIENT4, STACK4, 4000, 80, 1, 0, SUPPORT_SYN, 1000, NULL, 0, data, length);
  case UDP4:
    return support_udp4(packet, CLIENT4, STACK4, 4000, 7, data, length);
  case ECHO4:
    return support_echo4(packet, CLIENT4, STACK4, SUPPORT_ECHO_REQUEST4, 7, 1, data, length);
  case TCP6:
    return support_tcp6(packet, CLIENT6, STACK6, 4000, 80, 1, 0, SUPPORT_SYN, 1000, NULL, 0, data, length);
  case UDP6:
    return support_udp6(packet, CLIENT6, STACK6, 4000, 7, data, length);
  default:
    return support_echo6(packet, CLIENT6, STACK6, SUPPORT_ECHO_REQUEST6, 7, 1, data, length);
  }
}

static size_t transport_of(enum kind kind) {
  return kind < TCP6 ? 20 : 40;
}

static uint16_t checksum_field(enum kind kind) {
  static const uint16_t fields[] = {16, 6, 2};
  return fields[kind % 3];
}

static enum adit_drop checksum_drop(enum kind kind) {
  static const enum adit_drop drops[] = {ADIT_DROP_TCP_CHECKSUM, ADIT_DROP_UDP_CHECKSUM, ADIT_DROP_ICMP_CHECKSUM};
  return drops[kind % 3];
}

/* The ping beside it: answered, whatever came before. */
static void check_alive(struct support_lab *lab) {
  for (enum kind kind = ECHO4; kind <= ECHO6; kind += 3) {
    support_ip_forget(lab);
    uint8_t reply[256];
    size_t length = build(kind, 56);
    support_ip_input(lab, packet, length, NULL);
    assert_int_equal(support_ip_waiting(lab), 1);
    assert_int_equal(support_ip_collect(lab, 1500, reply, NULL), length);
    assert_memory_equal(reply + transport_of(kind) + 8, data, 56);
  }
}

/* ---- reasons ------------------------------------------------------------------------------------------------------ */

static void truncated_at_every_length(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (enum kind kind = 0; kind < KINDS; kind++) {
    size_t length = build(kind, 33);
    for (size_t i = 0; i < length; i++) {
      support_ip_input(&lab, packet, i, NULL);
      support_ip_drops(&lab, &drops, ADIT_DROP_TRUNCATED, 1, "cut packet");
    }
    /* The packet itself says that it ends inside its transport header. */
    size_t header = transport_of(kind);
    for (size_t i = header; i < header + (kind % 3 == 0 ? 20 : 8); i++) {
      build(kind, 33);
      support_put16(packet + (header == 20 ? 2 : 4), (uint32_t)(header == 20 ? i : i - 40));
      if (header == 20) {
        support_put16(packet + 10, 0);
        support_put16(packet + 10, support_sum_field(support_sum(0, packet, 20)));
      }
      support_ip_input(&lab, packet, length, NULL);
      support_ip_drops(&lab, &drops, ADIT_DROP_TRUNCATED, 1, "short length field");
    }
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  check_alive(&lab);
  support_lab_close(&lab);
}

struct reason {
  const char *what;
  enum adit_drop drop;
  size_t (*make)(void);
};

static size_t oversized6(void) {
  build(UDP6, 100);
  return 40 + 65535 + 1;
}
static size_t oversized_fragment(void) {
  size_t length = build(UDP4, 1000);
  support_put16(packet + 6, 8191); /* offset 65528 */
  support_seal(packet, length);
  return length;
}
static size_t version0(void) {
  size_t length = build(UDP4, 10);
  packet[0] = 0x05;
  return length;
}
static size_t version5(void) {
  size_t length = build(UDP4, 10);
  packet[0] = 0x55;
  return length;
}
static size_t version15(void) {
  size_t length = build(UDP6, 10);
  packet[0] = 0xf0;
  return length;
}
static size_t short_header(void) {
  size_t length = build(UDP4, 10);
  packet[0] = 0x44;
  return length;
}
static size_t header_beyond_packet(void) {
  size_t length = build(UDP4, 10);
  packet[0] = 0x4f;
  return length;
}
static size_t option_beyond_header(void) {
  static const uint8_t option[] = {7, 9, 4, 0};
  return support_ip4(packet, CLIENT4, STACK4, IPPROTO_UDP, option, sizeof option, data, 20);
}
static size_t short_tcp_header(void) {
  size_t length = build(TCP4, 10);
  packet[20 + 12] = 0x40;
  support_seal(packet, length);
  return length;
}
static size_t short_udp_length(void) {
  size_t length = build(UDP4, 10);
  support_put16(packet + 24, 7);
  support_seal(packet, length);
  return length;
}
static size_t two_hop_by_hop(void) {
  static const uint8_t padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  size_t length = support_extend6(packet, build(UDP6, 10), 0, padding, sizeof padding);
  return support_extend6(packet, length, 0, padding, sizeof padding);
}
static size_t segments_left(void) {
  static const uint8_t routing[8] = {0, 0, 4, 1};
  return support_extend6(packet, build(UDP6, 10), 43, routing, sizeof routing);
}
static size_t no_checksum6(void) {
  size_t length = build(UDP6, 10);
  support_put16(packet + 46, 0);
  return length;
}
static size_t gre(void) {
  return support_ip4(packet, CLIENT4, STACK4, 47, NULL, 0, data, 20);
}
static size_t no_next_header(void) {
  return support_ip6(packet, CLIENT6, STACK6, 59, data, 20);
}
static size_t icmp6_over_ip4(void) {
  return support_ip4(packet, CLIENT4, STACK4, IPPROTO_ICMPV6, NULL, 0, data, 20);
}
static size_t icmp_over_ip6(void) {
  return support_ip6(packet, CLIENT6, STACK6, IPPROTO_ICMP, data, 20);
}
static size_t echo_reply4(void) {
  return support_echo4(packet, CLIENT4, STACK4, SUPPORT_ECHO_REPLY4, 1, 1, data, 8);
}
static size_t echo_reply6(void) {
  return support_echo6(packet, CLIENT6, STACK6, SUPPORT_ECHO_REPLY6, 1, 1, data, 8);
}
static size_t echo_with_code(void) {
  size_t length = build(ECHO4, 8);
  packet[21] = 1;
  support_seal(packet, length);
  return length;
}
static size_t neighbour_solicitation(void) {
  return support_echo6(packet, CLIENT6, STACK6, 135, 0, 0, data, 24);
}

static void reasons(void **state) {
  static const struct reason table[] = {
      {"longer than IPv6 can be", ADIT_DROP_OVERSIZED, oversized6},
      {"fragment that ends behind 65535", ADIT_DROP_OVERSIZED, oversized_fragment},
      {"version 0", ADIT_DROP_VERSION, version0},
      {"version 5", ADIT_DROP_VERSION, version5},
      {"version 15", ADIT_DROP_VERSION, version15},
      {"IPv4 header of 16 bytes", ADIT_DROP_HEADER, short_header},
      {"IPv4 header longer than the packet", ADIT_DROP_HEADER, header_beyond_packet},
      {"IPv4 option longer than the header", ADIT_DROP_HEADER, option_beyond_header},
      {"TCP header of 16 bytes", ADIT_DROP_HEADER, short_tcp_header},
      {"UDP length 7", ADIT_DROP_HEADER, short_udp_length},
      {"two hop-by-hop headers", ADIT_DROP_HEADER, two_hop_by_hop},
      {"on its way to somebody else", ADIT_DROP_HEADER, segments_left},
      {"UDP without checksum over IPv6", ADIT_DROP_UDP_CHECKSUM, no_checksum6},
      {"GRE", ADIT_DROP_PROTOCOL, gre},
      {"no next header", ADIT_DROP_PROTOCOL, no_next_header},
      {"ICMPv6 over IPv4", ADIT_DROP_PROTOCOL, icmp6_over_ip4},
      {"ICMP over IPv6", ADIT_DROP_PROTOCOL, icmp_over_ip6},
      {"echo reply", ADIT_DROP_PROTOCOL, echo_reply4},
      {"echo reply over IPv6", ADIT_DROP_PROTOCOL, echo_reply6},
      {"echo request with code 1", ADIT_DROP_PROTOCOL, echo_with_code},
      {"neighbour solicitation without Ethernet", ADIT_DROP_PROTOCOL, neighbour_solicitation},
  };
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    support_ip_input(&lab, packet, table[i].make(), NULL);
    support_ip_drops(&lab, &drops, table[i].drop, 1, table[i].what);
    assert_int_equal(support_ip_waiting(&lab), 0);
  }
  check_alive(&lab);
  support_lab_close(&lab);
}

/* ---- checksums ---------------------------------------------------------------------------------------------------- */

static void every_wrong_bit_is_seen(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (unsigned bit = 0; bit < 32; bit++) { /* identification and flags do not change what the header means */
    size_t length = build(ECHO4, 20);
    size_t at = bit < 16 ? 4 + bit / 8 : 10 + (bit - 16) / 8;
    packet[at] ^= (uint8_t)(1 << bit % 8);
    support_ip_input(&lab, packet, length, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_IP_CHECKSUM, 1, "IPv4 header");
  }
  for (enum kind kind = 0; kind < KINDS; kind++) {
    size_t length = build(kind, 21);
    size_t first = transport_of(kind) + (kind % 3 == 0 ? 20 : 8);
    for (size_t at = first; at < length; at++) {
      for (unsigned bit = 0; bit < 8; bit++) {
        build(kind, 21);
        packet[at] ^= (uint8_t)(1 << bit);
        support_ip_input(&lab, packet, length, NULL);
        support_ip_drops(&lab, &drops, checksum_drop(kind), 1, "payload");
      }
    }
    for (unsigned bit = 0; bit < 16; bit++) {
      build(kind, 21);
      packet[transport_of(kind) + checksum_field(kind) + bit / 8] ^= (uint8_t)(1 << bit % 8);
      support_ip_input(&lab, packet, length, NULL);
      support_ip_drops(&lab, &drops, checksum_drop(kind), 1, "the field itself");
    }
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

/* The checksum does not matter where the sender's side vouches for it, and does again in the next packet. */
static void verified_only_where_nobody_vouches(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (enum kind kind = 0; kind < KINDS; kind++) {
    size_t length = build(kind, 100);
    struct adit_offload notes[] = {
        {.checksum = ADIT_CHECKSUM_VALID},
        {.checksum = ADIT_CHECKSUM_PARTIAL,
         .checksum_start = (uint16_t)transport_of(kind),
         .checksum_offset = checksum_field(kind)},
    };
    for (size_t i = 0; i < 2; i++) {
      build(kind, 100);
      packet[length - 1] ^= 1;
      support_ip_input(&lab, packet, length, &notes[i]);
      support_ip_no_drops(&lab, &drops, "vouched for");
      support_ip_input(&lab, packet, length, NULL);
      support_ip_drops(&lab, &drops, checksum_drop(kind), 1, "not vouched for");
      support_lab_flush(&lab);
    }
  }
  /* Nobody vouches for an IPv4 header. */
  size_t length = build(UDP4, 10);
  packet[10] ^= 1;
  support_ip_input(&lab, packet, length, &(struct adit_offload){.checksum = ADIT_CHECKSUM_VALID});
  support_ip_drops(&lab, &drops, ADIT_DROP_IP_CHECKSUM, 1, "IPv4 header");
  support_lab_close(&lab);
}

/* ---- offload notes ------------------------------------------------------------------------------------------------ */

static void false_notes(void **state) {
  static const struct {
    const char *what;
    enum kind kind;
    size_t length;
    struct adit_offload offload;
  } table[] = {
      {"TSO4 on UDP", UDP4, 3000, {.gso = ADIT_GSO_TCP4, .gso_size = 1000}},
      {"TSO4 on IPv6", TCP6, 3000, {.gso = ADIT_GSO_TCP4, .gso_size = 1000}},
      {"TSO6 on IPv4", TCP4, 3000, {.gso = ADIT_GSO_TCP6, .gso_size = 1000}},
      {"TSO4 on echo", ECHO4, 3000, {.gso = ADIT_GSO_TCP4, .gso_size = 1000}},
      {"USO on TCP", TCP4, 3000, {.gso = ADIT_GSO_UDP, .gso_size = 1000}},
      {"TSO4 of size 0", TCP4, 3000, {.gso = ADIT_GSO_TCP4}},
      {"USO of size 0", UDP4, 3000, {.gso = ADIT_GSO_UDP}},
      {"TSO4 without payload", TCP4, 0, {.gso = ADIT_GSO_TCP4, .gso_size = 1000}},
      {"USO without payload", UDP6, 0, {.gso = ADIT_GSO_UDP, .gso_size = 1000}},
      {"unknown kind", TCP4, 3000, {.gso = ADIT_GSO_KINDS, .gso_size = 1000}},
      {"unknown checksum state", TCP4, 10, {.checksum = 3}},
      {"ECN without segmentation", TCP4, 10, {.ecn = true}},
      {"ECN on USO", UDP4, 3000, {.gso = ADIT_GSO_UDP, .gso_size = 1000, .ecn = true}},
      {"partial before the header", TCP4, 10, {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_offset = 16}},
      {"partial behind the header",
       TCP4,
       10,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 22, .checksum_offset = 16}},
      {"partial at the wrong field",
       UDP4,
       30,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 16}},
      {"partial far outside",
       UDP4,
       30,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 65535, .checksum_offset = 65535}},
      {"partial for IPv4 on IPv6",
       UDP6,
       30,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}},
  };
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    size_t length = build(table[i].kind, table[i].length);
    support_ip_input(&lab, packet, length, &table[i].offload);
    support_ip_drops(&lab, &drops, ADIT_DROP_OFFLOAD, 1, table[i].what);
  }
  /* On a fragment no note fits. */
  size_t length = build(UDP4, 1000);
  support_put16(packet + 6, 0x2000);
  support_seal(packet, length);
  support_ip_input(&lab, packet, length, &(struct adit_offload){.gso = ADIT_GSO_UDP, .gso_size = 100});
  support_ip_drops(&lab, &drops, ADIT_DROP_OFFLOAD, 1, "USO on a fragment");
  /* The header length is a hint: whatever it says, the packet is taken. */
  for (unsigned hint = 0; hint < 65536; hint += 4369) {
    length = build(UDP4, 3000);
    support_ip_input(
        &lab, packet, length,
        &(struct adit_offload){
            .gso = ADIT_GSO_UDP, .gso_size = 1000, .header_length = (uint16_t)hint, .checksum = ADIT_CHECKSUM_VALID});
    support_ip_no_drops(&lab, &drops, "any header length");
  }
  check_alive(&lab);
  support_lab_close(&lab);
}

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

static void answer_two_networks(struct adit_stack_options *options) {
  static adit_cidr answer[2];
  static adit_ip except[2];
  assert_int_equal(adit_cidr_parse("192.168.3.0/24", &answer[0]), 0);
  assert_int_equal(adit_cidr_parse("fdad:3::/64", &answer[1]), 0);
  assert_int_equal(adit_ip_parse("192.168.3.13", &except[0]), 0);
  assert_int_equal(adit_ip_parse("fdad:3::13", &except[1]), 0);
  options->answer = answer;
  options->answers = 2;
  options->except = except;
  options->excepts = 2;
}

static size_t build_udp(const char *source, const char *destination) {
  return (strchr(source, ':') ? support_udp6 : support_udp4)(packet, source, destination, 4000, 7, data, 10);
}

static void answers_and_exceptions(void **state) {
  static const struct {
    const char *source, *destination;
    bool taken;
  } table[] = {
      {CLIENT4, "192.168.3.12", true},     {CLIENT4, "192.168.3.254", true}, {CLIENT4, "192.168.3.13", false},
      {CLIENT4, "192.168.4.12", false},    {CLIENT4, "10.0.0.1", false},     {"8.8.8.8", "192.168.3.12", true},
      {CLIENT6, "fdad:3::12", true},       {CLIENT6, "fdad:3::13", false},   {CLIENT6, "fdad:3:0:1::12", false},
      {CLIENT6, "fdad:3::ff:12", true},    {"fe80::1", "fdad:3::12", true},  {CLIENT6, "2001:db8::1", false},
      {CLIENT4, "255.255.255.255", false}, {CLIENT4, "224.0.0.1", false},    {CLIENT6, "ff02::1", false},
  };
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, answer_two_networks);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    support_ip_input(&lab, packet, build_udp(table[i].source, table[i].destination), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, !table[i].taken, table[i].destination);
    assert_int_equal(support_ip_waiting(&lab), table[i].taken); /* port unreachable */
    support_ip_forget(&lab);
  }
  support_lab_close(&lab);
}

/* A stack that is every address: these are nobody's all the same, at either end. */
static void impossible_addresses(void **state) {
  static const char *const nobody[] = {
      "0.0.0.0", "127.0.0.1", "127.255.255.254", "224.0.0.251", "239.1.2.3",          "255.255.255.255",
      "::",      "::1",       "ff02::1",         "ff0e::1",     "::ffff:192.168.3.11"};
  static const char *const lands[] = {STACK4, STACK6};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
    bool v6 = strchr(nobody[i], ':') != NULL;
    support_ip_input(&lab, packet, build_udp(nobody[i], v6 ? STACK6 : STACK4), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, nobody[i]);
    support_ip_input(&lab, packet, build_udp(v6 ? CLIENT6 : CLIENT4, nobody[i]), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, nobody[i]);
  }
  for (size_t i = 0; i < 2; i++) {
    support_ip_input(&lab, packet, build_udp(lands[i], lands[i]), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, "LAND");
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  check_alive(&lab);
  support_lab_close(&lab);
}

/* ---- memory and the park ------------------------------------------------------------------------------------------ */

static void leave_parked(void *user, struct adit_flow *flow) {
  (void)user;
  (void)flow;
}

static void two_parked(struct adit_stack_options *options) {
  options->parked = 2;
}

static void parked_bound(void **state) {
  static const struct adit_stack_events events = {.syn = leave_parked};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, two_parked);
  for (uint16_t i = 0; i < 5; i++) {
    size_t length = support_tcp4(packet, CLIENT4, STACK4, (uint16_t)(4000 + i), 80, 1, 0, SUPPORT_SYN, 1000, NULL, 0,
                                 NULL, 0);
    support_ip_input(&lab, packet, length, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_PARKED, i >= 2, "SYN");
  }
  support_lab_flush(&lab);
  check_alive(&lab);
  support_lab_close(&lab);
}

static void little_memory(struct adit_stack_options *options) {
  options->budget_bytes = 1 << 20;
  options->parked = 1 << 20;
}

/* SYNs until the budget is spent: then each is counted, and nothing else suffers. */
static void memory_bound(void **state) {
  static const struct adit_stack_events events = {.syn = leave_parked};
  struct support_lab lab;
  struct support_drops drops = {0};
  struct adit_stack_stats stats;
  uint32_t sent = 0;
  (void)state;
  support_lab_open(&lab, &events, little_memory);
  do {
    char client[24];
    snprintf(client, sizeof client, "10.0.%u.%u", sent / 250, sent % 250 + 1);
    size_t length = support_tcp4(packet, client, STACK4, 4000, 80, 1, 0, SUPPORT_SYN, 1000, NULL, 0, NULL, 0);
    support_ip_input(&lab, packet, length, NULL);
    support_lab_flush(&lab);
    adit_stack_stats(lab.stack, &stats);
    sent++;
    assert_in_range(sent, 1, 20000);
  } while (stats.drops[ADIT_DROP_MEMORY] == 0);
  support_ip_drops(&lab, &drops, ADIT_DROP_MEMORY, 1, "SYN beyond the budget");
  assert_in_range(sent, 500, 20000);
  assert_in_range(stats.memory_bytes, 1, 1 << 20);
  assert_int_equal(stats.flows_parked, sent - 1);
  check_alive(&lab);
  support_lab_close(&lab);
}

/* ---- garbage ------------------------------------------------------------------------------------------------------ */

enum { ROUNDS = 200000 };

static void take_datagram(void *user, const struct adit_datagram *datagram) {
  struct support_lab *lab = user;
  uint32_t sum = 0; /* every byte is read, for the sanitizer to see */
  for (unsigned i = 0; i < datagram->iovcnt; i++)
    sum = support_sum(sum, datagram->iov[i].iov_base, datagram->iov[i].iov_len);
  if (sum % 2) adit_stack_refuse_datagram(lab->stack, datagram);
}

static void decide(void *user, struct adit_flow *flow) {
  static unsigned count;
  (void)user;
  switch (count++ % 4) {
  case 0:
    adit_flow_accept(flow);
    break;
  case 1:
    adit_flow_refuse(flow, (enum adit_refusal)(count / 4 % ADIT_REFUSALS));
    break;
  case 2:
    adit_flow_drop(flow);
    break;
  default:
    break;
  }
}

static const struct adit_stack_events busy_events = {.syn = decide, .datagram = take_datagram};

static void random_notes(uint64_t *seed, struct adit_offload *offload, enum kind kind) {
  uint64_t random = support_random(seed);
  *offload = (struct adit_offload){0};
  if (random % 4 == 0) {
    offload->gso = (uint8_t)(random >> 8 & 7);
    offload->checksum = (uint8_t)(random >> 11 & 3);
    offload->ecn = (random >> 13 & 1) != 0;
    offload->gso_size = (uint16_t)(random >> 16);
    offload->header_length = (uint16_t)(random >> 32);
    offload->checksum_start = (uint16_t)(random >> 40 & 127);
    offload->checksum_offset = (uint16_t)(random >> 48 & 31);
  } else if (random % 4 == 1) { /* right but for the packet's own faults */
    offload->checksum = ADIT_CHECKSUM_PARTIAL;
    offload->checksum_start = (uint16_t)transport_of(kind);
    offload->checksum_offset = checksum_field(kind);
  } else if (random % 4 == 2) {
    offload->checksum = ADIT_CHECKSUM_VALID;
  }
}

/* One packet in two is garbage of any length, the others are valid ones in which some bytes were changed. */
static size_t random_packet(uint64_t *seed, enum kind kind) {
  uint64_t random = support_random(seed);
  size_t length;
  if (random & 1) {
    length = random >> 1 & 127;
    for (size_t i = 0; i < length; i++) packet[i] = (uint8_t)support_random(seed);
    if (length > 0 && (random >> 8 & 3)) packet[0] = random >> 10 & 1 ? 0x45 : 0x60;
    return length;
  }
  length = build(kind, random >> 32 & 63);
  for (unsigned changes = random >> 20 & 3; changes > 0; changes--) {
    uint64_t where = support_random(seed);
    packet[(where >> 8) % length] = (uint8_t)where;
  }
  size_t header = packet[0] >> 4 == 4 ? (packet[0] & 15U) * 4 : 40;
  if ((random >> 24 & 1) && header + 20 <= length) support_seal(packet, length); /* a checksum must not save us */
  if (random >> 25 & 1) length -= (size_t)(random >> 26 & 15) < length ? random >> 26 & 15 : 0;
  return length;
}

static void garbage(struct support_lab *lab, uint64_t *seed, const uint8_t *frame, size_t frame_length) {
  struct adit_offload offload;
  static uint8_t framed[14 + 512];
  for (unsigned i = 0; i < ROUNDS; i++) {
    enum kind kind = (enum kind)(support_random(seed) % KINDS);
    random_notes(seed, &offload, kind);
    size_t length = random_packet(seed, kind);
    if (frame_length) memcpy(framed, frame, frame_length);
    memcpy(framed + frame_length, packet, length);
    if (frame_length) {
      static const uint16_t types[] = {0x0806, 0x0800, 0x86dd, 0x8100};
      uint16_t by_version = packet[0] >> 4 == 4 ? 0x0800 : 0x86dd;
      uint64_t random = support_random(seed);
      support_put16(framed + 12, random % 4 ? by_version : types[random >> 8 & 3]);
      if (offload.checksum == ADIT_CHECKSUM_PARTIAL)
        offload.checksum_start = (uint16_t)(offload.checksum_start + frame_length);
    }
    support_ip_input(lab, framed, frame_length + length, &offload);
    if (i % 64 == 0) support_lab_flush(lab);
    if (i % 5000 == 0) {
      support_ip_forget(lab);
      support_lab_pass(lab, 7000000000);
    }
  }
  support_lab_flush(lab);
  support_ip_forget(lab);
}

static void check_counts(struct support_lab *lab, uint64_t others) {
  struct adit_stack_stats stats;
  uint64_t dropped = 0;
  adit_stack_stats(lab->stack, &stats);
  assert_int_equal(stats.packets_in, ROUNDS + others);
  for (unsigned i = 0; i < ADIT_DROPS; i++) dropped += stats.drops[i];
  assert_in_range(dropped, ROUNDS / 4, ROUNDS);
  assert_true(stats.drops[ADIT_DROP_TRUNCATED] > 0 && stats.drops[ADIT_DROP_HEADER] > 0 &&
              stats.drops[ADIT_DROP_VERSION] > 0 && stats.drops[ADIT_DROP_OFFLOAD] > 0 &&
              stats.drops[ADIT_DROP_PROTOCOL] > 0 && stats.drops[ADIT_DROP_TCP_CHECKSUM] > 0);
}

static void garbage_does_no_harm(void **state) {
  struct support_lab lab;
  (void)state;
  for (uint64_t seed = 1; seed <= 2; seed++) {
    uint64_t random = seed;
    support_lab_open(&lab, &busy_events, NULL);
    garbage(&lab, &random, NULL, 0);
    check_counts(&lab, 0);
    check_alive(&lab);
    support_lab_pass(&lab, 200000000000);
    support_ip_forget(&lab);
    support_lab_close(&lab); /* checks that every buffer is back */
  }
}

static const uint8_t stack_mac[6] = {2, 0, 0, 0, 0, 1};

static void over_ethernet(struct adit_stack_options *options) {
  options->ethernet = true;
  memcpy(options->mac, stack_mac, 6);
}

static void garbage_does_no_harm_over_ethernet(void **state) {
  static const uint8_t frame[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9};
  uint64_t seed = 3;
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &busy_events, over_ethernet);
  garbage(&lab, &seed, frame, sizeof frame);
  check_counts(&lab, 0);
  support_lab_pass(&lab, 200000000000);
  support_ip_forget(&lab);
  support_lab_close(&lab);
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncated_at_every_length),
      cmocka_unit_test(reasons),
      cmocka_unit_test(every_wrong_bit_is_seen),
      cmocka_unit_test(verified_only_where_nobody_vouches),
      cmocka_unit_test(false_notes),
      cmocka_unit_test(answers_and_exceptions),
      cmocka_unit_test(impossible_addresses),
      cmocka_unit_test(parked_bound),
      cmocka_unit_test(memory_bound),
      cmocka_unit_test(garbage_does_no_harm),
      cmocka_unit_test(garbage_does_no_harm_over_ethernet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
