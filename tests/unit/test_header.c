/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Parsing and verifying packets: values of right ones, reasons for wrong ones, every truncation, a million by chance.
 *
 * Packets that are parsed stand in an allocation of exactly their size, so that the address sanitizer reports any read
 * beyond them.
 */
#include "packet/header.h"

#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SRC4 "192.168.3.11"
#define DST4 "192.168.3.12"
#define SRC6 "fdad:3::b"
#define DST6 "fdad:3::c"

enum { PASSED = -1 };

static const char *outcome_name(int outcome) {
  return outcome == PASSED ? "passed" : adit_drop_name((enum adit_drop)outcome);
}

/* Parse a copy that is exactly `length` bytes long. Returns PASSED or the reason. */
static int parse(const uint8_t *packet, size_t length, struct adit_header *header) {
  enum adit_drop why = ADIT_DROPS;
  uint8_t *exact = malloc(length > 0 ? length : 1);
  assert_non_null(exact);
  memcpy(exact, packet, length);
  bool right = adit_header_parse(length > 0 ? exact : exact + 1, length, header, &why);
  free(exact);
  return right ? PASSED : (int)why;
}

static int verify(const uint8_t *packet, size_t length, bool known) {
  struct adit_header header;
  enum adit_drop why = ADIT_DROPS;
  int outcome = parse(packet, length, &header);
  if (outcome != PASSED) {
    return outcome;
  }
  return adit_header_verify(packet, &header, known, &why) ? PASSED : (int)why;
}

static void check_outcome(const char *what, int got, int wanted) {
  if (got != wanted) {
    fail_msg("%s: wanted %s, got %s", what, outcome_name(wanted), outcome_name(got));
  }
}

static void check_number(const char *what, const char *field, uint64_t got, uint64_t wanted) {
  if (got != wanted) {
    fail_msg("%s: %s: wanted %llu, got %llu", what, field, (unsigned long long)wanted, (unsigned long long)got);
  }
}

static void check_ip(const char *what, adit_ip got, const char *wanted) {
  char text[ADIT_ADDRESS_TEXT];
  if (strcmp(adit_ip_format(got, text), wanted) != 0) {
    fail_msg("%s: wanted %s, got %s", what, wanted, text);
  }
}

/* ---- packets of every kind --------------------------------------------------------------------------------------- */

enum kind { TCP4, TCP6, UDP4, UDP6, ECHO4, ECHO6, OTHER4, OTHER6, OPTIONS4, EXTENDED6, KINDS };

static const char *const kind_names[KINDS] = {"tcp4",  "tcp6",   "udp4",   "udp6",     "echo4",
                                              "echo6", "other4", "other6", "options4", "extended6"};

/* `len` bytes of payload behind the headers. */
static size_t build(enum kind kind, uint8_t *packet, size_t len) {
  static const uint8_t tcp_options[4] = {2, 4, 5, 180};
  static const uint8_t ip_options[8] = {1, 7, 7, 4, 0, 0, 0, 0};
  static const uint8_t extension[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  static uint8_t payload[65535];
  uint8_t udp[20] = {0};
  if (payload[1] == 0) {
    support_pattern(payload, sizeof payload);
  }
  switch (kind) {
  case TCP4:
    return support_tcp4(packet, SRC4, DST4, 40000, 7, 0x11223344, 0x55667788, 0x18, 502, tcp_options, 4, payload, len);
  case TCP6:
    return support_tcp6(packet, SRC6, DST6, 40000, 7, 0x11223344, 0x55667788, 0x18, 502, tcp_options, 4, payload, len);
  case UDP4:
    return support_udp4(packet, SRC4, DST4, 40000, 7, payload, len);
  case UDP6:
    return support_udp6(packet, SRC6, DST6, 40000, 7, payload, len);
  case ECHO4:
    return support_echo4(packet, SRC4, DST4, SUPPORT_ECHO_REQUEST4, 0x1122, 0x3344, payload, len);
  case ECHO6:
    return support_echo6(packet, SRC6, DST6, SUPPORT_ECHO_REQUEST6, 0x1122, 0x3344, payload, len);
  case OTHER4:
    return support_ip4(packet, SRC4, DST4, IPPROTO_ESP, NULL, 0, payload, len);
  case OTHER6:
    return support_ip6(packet, SRC6, DST6, IPPROTO_AH, payload, len);
  case OPTIONS4:
    support_put16(udp + 2, 7);
    support_put16(udp + 4, 20);
    return support_ip4(packet, SRC4, DST4, IPPROTO_UDP, ip_options, 8, udp, 20);
  case EXTENDED6:
    len = support_udp6(packet, SRC6, DST6, 40000, 7, payload, len);
    len = support_extend6(packet, len, IPPROTO_DSTOPTS, extension, 8);
    len = support_extend6(packet, len, IPPROTO_ROUTING, "\0\0\4\0\0\0\0\0", 8);
    return support_extend6(packet, len, IPPROTO_HOPOPTS, extension, 8);
  case KINDS:
    break;
  }
  abort();
}

static void right_packets_are_read(void **state) {
  static const struct {
    enum kind kind;
    uint32_t transport;
    uint32_t payload;
    uint8_t protocol;
    bool ports;
    bool tcp;
    int icmp_type;
  } cases[] = {
      {TCP4, 20, 44, IPPROTO_TCP, true, true, 0},       {TCP6, 40, 64, IPPROTO_TCP, true, true, 0},
      {UDP4, 20, 28, IPPROTO_UDP, true, false, 0},      {UDP6, 40, 48, IPPROTO_UDP, true, false, 0},
      {ECHO4, 20, 28, IPPROTO_ICMP, false, false, 8},   {ECHO6, 40, 48, IPPROTO_ICMPV6, false, false, 128},
      {OTHER4, 20, 20, IPPROTO_ESP, false, false, 0},   {OTHER6, 40, 40, IPPROTO_AH, false, false, 0},
      {EXTENDED6, 64, 72, IPPROTO_UDP, true, false, 0},
  };
  static const size_t lengths[] = {0, 1, 56, 1400, 65000, 65535 - 20 - 24};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
      const char *name = kind_names[cases[i].kind];
      struct adit_header header;
      size_t length = build(cases[i].kind, packet, lengths[j]);
      bool four = packet[0] >> 4 == 4;
      bool icmp = cases[i].icmp_type != 0;
      check_outcome(name, parse(packet, length, &header), PASSED);
      check_ip(name, header.source, four ? SRC4 : SRC6);
      check_ip(name, header.destination, four ? DST4 : DST6);
      check_number(name, "length", header.length, length);
      check_number(name, "transport", header.transport, cases[i].transport);
      check_number(name, "payload", header.payload, cases[i].payload);
      check_number(name, "version", header.version, four ? 4 : 6);
      check_number(name, "protocol", header.protocol, cases[i].protocol);
      check_number(name, "ttl", header.ttl, 64);
      check_number(name, "fragment", header.fragment, false);
      check_number(name, "fragment_id", header.fragment_id, four ? 0x1234 : 0);
      check_number(name, "source_port", header.source_port, cases[i].ports ? 40000 : 0);
      check_number(name, "destination_port", header.destination_port, cases[i].ports ? 7 : 0);
      check_number(name, "tcp_flags", header.tcp_flags, cases[i].tcp ? ADIT_TCP_PSH | ADIT_TCP_ACK : 0);
      check_number(name, "tcp_window", header.tcp_window, cases[i].tcp ? 502 : 0);
      check_number(name, "tcp_sequence", header.tcp_sequence, cases[i].tcp ? 0x11223344 : 0);
      check_number(name, "tcp_acknowledgment", header.tcp_acknowledgment, cases[i].tcp ? 0x55667788 : 0);
      check_number(name, "udp_length", header.udp_length,
                   cases[i].protocol == IPPROTO_UDP ? length - header.transport : 0);
      check_number(name, "icmp_type", header.icmp_type, (uint64_t)cases[i].icmp_type);
      check_number(name, "icmp_id", header.icmp_id, icmp ? 0x1122 : 0);
      check_number(name, "icmp_sequence", header.icmp_sequence, icmp ? 0x3344 : 0);
      check_outcome(name, verify(packet, length, false), PASSED);
    }
  }
}

static void the_largest_packets_are_read(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  struct adit_header header;
  (void)state;
  check_outcome("tcp4", parse(packet, build(TCP4, packet, 65535 - 44), &header), PASSED);
  check_number("tcp4", "length", header.length, 65535);
  check_outcome("tcp6", parse(packet, build(TCP6, packet, 65535 - 24), &header), PASSED);
  check_number("tcp6", "length", header.length, 40 + 65535);
  check_outcome("udp6", verify(packet, build(UDP6, packet, 65535 - 8), false), PASSED);
  check_outcome("too long", parse(packet, 40 + 65535 + 1, &header), ADIT_DROP_OVERSIZED);
}

/* Ethernet pads to 60 bytes; what lies behind the packet's own length is none of its bytes. */
static void padding_is_not_the_packet(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    struct adit_header header;
    size_t length = build((enum kind)kind, packet, 1);
    memset(packet + length, 0xee, 46);
    check_outcome(kind_names[kind], parse(packet, length + 46, &header), PASSED);
    check_number(kind_names[kind], "length", header.length, length);
    if (kind != OPTIONS4) {
      check_outcome(kind_names[kind], verify(packet, length + 46, false), PASSED);
    }
  }
}

static void every_truncation_is_seen(void **state) {
  static const size_t lengths[] = {0, 1, 40};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
      struct adit_header header;
      size_t length = build((enum kind)kind, packet, lengths[j]);
      for (size_t cut = 0; cut < length; cut++) {
        int outcome = parse(packet, cut, &header);
        if (outcome != ADIT_DROP_TRUNCATED) {
          fail_msg("%s, %zu of %zu bytes: wanted truncated, got %s", kind_names[kind], cut, length,
                   outcome_name(outcome));
        }
      }
    }
  }
}

/* The same, but the IP length field says what is left: now the transport headers have to notice. */
static void every_short_transport_is_seen(void **state) {
  static const struct {
    enum kind kind;
    size_t from; /* transport header */
    size_t to;   /* its end */
  } cases[] = {{TCP4, 20, 44}, {TCP6, 40, 64}, {UDP4, 20, 28}, {UDP6, 40, 48}, {ECHO4, 20, 28}, {ECHO6, 40, 48}};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (size_t cut = cases[i].from; cut <= cases[i].to; cut++) {
      struct adit_header header;
      build(cases[i].kind, packet, 0);
      bool four = packet[0] >> 4 == 4;
      support_put16(packet + (four ? 2 : 4), (uint32_t)(four ? cut : cut - 40));
      int outcome = parse(packet, cut, &header);
      int wanted = cut < cases[i].to ? (int)ADIT_DROP_TRUNCATED : PASSED;
      if (outcome != wanted) {
        fail_msg("%s, %zu bytes: wanted %s, got %s", kind_names[cases[i].kind], cut, outcome_name(wanted),
                 outcome_name(outcome));
      }
    }
  }
}

/* ---- contradictions ---------------------------------------------------------------------------------------------- */

static void contradictions_are_named(void **state) {
  static const struct {
    const char *what;
    enum kind kind;
    size_t at; /* byte to change */
    uint8_t value;
    int outcome;
  } cases[] = {
      {"version 0", TCP4, 0, 0x05, ADIT_DROP_VERSION},
      {"version 5", TCP4, 0, 0x55, ADIT_DROP_VERSION},
      {"version 15", TCP6, 0, 0xf5, ADIT_DROP_VERSION},
      {"IPv4 header of 0 bytes", TCP4, 0, 0x40, ADIT_DROP_HEADER},
      {"IPv4 header of 16 bytes", TCP4, 0, 0x44, ADIT_DROP_HEADER},
      {"IPv4 header longer than the packet", UDP4, 0, 0x4f, ADIT_DROP_HEADER},
      {"IPv4 length 0", UDP4, 3, 0, ADIT_DROP_HEADER},
      {"IPv4 length 19", UDP4, 3, 19, ADIT_DROP_HEADER},
      {"IPv4 length 20", UDP4, 3, 20, ADIT_DROP_TRUNCATED},
      {"IPv4 length beyond the packet", UDP4, 2, 1, ADIT_DROP_TRUNCATED},
      {"IPv4 option of length 0", OPTIONS4, 22, 0, ADIT_DROP_HEADER},
      {"IPv4 option of length 1", OPTIONS4, 22, 1, ADIT_DROP_HEADER},
      {"IPv4 option as long as there is room", OPTIONS4, 22, 7, PASSED},
      {"IPv4 option longer than the header", OPTIONS4, 22, 8, ADIT_DROP_HEADER},
      {"IPv4 option of length 255", OPTIONS4, 22, 255, ADIT_DROP_HEADER},
      {"IPv4 loose source route", OPTIONS4, 21, 131, ADIT_DROP_HEADER},
      {"IPv4 strict source route", OPTIONS4, 21, 137, ADIT_DROP_HEADER},
      {"IPv4 options that end at once", OPTIONS4, 20, 0, PASSED},
      {"TCP header of 0 bytes", TCP4, 32, 0x00, ADIT_DROP_HEADER},
      {"TCP header of 16 bytes", TCP4, 32, 0x40, ADIT_DROP_HEADER},
      {"TCP header of 20 bytes", TCP4, 32, 0x50, PASSED},
      {"TCP header longer than the packet", TCP4, 32, 0xf0, ADIT_DROP_TRUNCATED},
      {"TCP6 header of 16 bytes", TCP6, 52, 0x40, ADIT_DROP_HEADER},
      {"UDP length 0", UDP4, 25, 0, ADIT_DROP_HEADER},
      {"UDP length 7", UDP4, 25, 7, ADIT_DROP_HEADER},
      {"UDP length 8", UDP4, 25, 8, PASSED},
      {"UDP length beyond the packet", UDP4, 24, 1, ADIT_DROP_TRUNCATED},
      {"UDP6 length 0", UDP6, 45, 0, ADIT_DROP_HEADER},
      {"IPv6 length 0", UDP6, 5, 0, ADIT_DROP_TRUNCATED},
      {"IPv6 length beyond the packet", UDP6, 4, 1, ADIT_DROP_TRUNCATED},
      {"IPv6 without next header", UDP6, 6, IPPROTO_NONE, PASSED},
      {"hop-by-hop header longer than the packet", EXTENDED6, 41, 200, ADIT_DROP_TRUNCATED},
      {"hop-by-hop option longer than its header", EXTENDED6, 43, 5, ADIT_DROP_HEADER},
      {"hop-by-hop option shorter, rest padding", EXTENDED6, 43, 1, PASSED},
      {"jumbo payload option", EXTENDED6, 42, 0xc2, ADIT_DROP_HEADER},
      {"unknown option, to be skipped", EXTENDED6, 42, 0x3e, PASSED},
      {"unknown option, to be dropped", EXTENDED6, 42, 0x7e, ADIT_DROP_HEADER},
      {"unknown option, to be reported", EXTENDED6, 42, 0xbe, ADIT_DROP_HEADER},
      {"routing header longer than the packet", EXTENDED6, 49, 200, ADIT_DROP_TRUNCATED},
      {"destination option longer than its header", EXTENDED6, 59, 5, ADIT_DROP_HEADER},
      {"hop-by-hop header in second place", EXTENDED6, 40, IPPROTO_HOPOPTS, ADIT_DROP_HEADER},
      {"ICMP in IPv6 is not read", UDP6, 6, IPPROTO_ICMP, PASSED},
      {"ICMPv6 in IPv4 is not read", UDP4, 9, IPPROTO_ICMPV6, PASSED},
  };
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_header header;
    size_t length = build(cases[i].kind, packet, 12);
    packet[cases[i].at] = cases[i].value;
    check_outcome(cases[i].what, parse(packet, length, &header), cases[i].outcome);
  }
}

static void a_jumbogram_is_refused(void **state) {
  static const uint8_t jumbo[8] = {0, 0, 0xc2, 4, 0, 1, 0, 0};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  struct adit_header header;
  size_t length = build(UDP6, packet, 100);
  (void)state;
  length = support_extend6(packet, length, IPPROTO_HOPOPTS, jumbo, sizeof jumbo);
  check_outcome("with a length", parse(packet, length, &header), ADIT_DROP_HEADER);
  support_put16(packet + 4, 0);
  check_outcome("without", parse(packet, length, &header), ADIT_DROP_TRUNCATED);
}

static void eight_extension_headers_are_enough(void **state) {
  static const uint8_t options[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  size_t length = build(UDP6, packet, 5);
  (void)state;
  for (unsigned count = 1; count <= 9; count++) {
    struct adit_header header;
    length = support_extend6(packet, length, IPPROTO_DSTOPTS, options, sizeof options);
    check_outcome("destination options", parse(packet, length, &header), count <= 8 ? PASSED : ADIT_DROP_HEADER);
    if (count <= 8) {
      check_number("destination options", "transport", header.transport, 40 + 8 * count);
      check_outcome("checksum", verify(packet, length, false), PASSED);
    }
  }
}

static void a_packet_on_its_way_is_not_ours(void **state) {
  static const uint8_t routing[8] = {0, 0, 4, 3, 0, 0, 0, 0};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  struct adit_header header;
  size_t length = support_extend6(packet, build(UDP6, packet, 5), IPPROTO_ROUTING, routing, sizeof routing);
  (void)state;
  check_outcome("routing", parse(packet, length, &header), PASSED);
  check_number("routing", "segments_left", header.segments_left, 3);
  check_outcome("routing", verify(packet, length, false), ADIT_DROP_HEADER);
  check_outcome("routing, checksum known", verify(packet, length, true), ADIT_DROP_HEADER);
}

/* ---- fragments --------------------------------------------------------------------------------------------------- */

struct pieces {
  const char *what;
  uint8_t protocol;
  uint32_t id;
  size_t whole;  /* bytes behind the IP header of the packet that was cut */
  size_t offset; /* sum of the pieces so far */
  unsigned count;
};

static void take_piece(void *user, const uint8_t *fragment, size_t length) {
  struct pieces *pieces = user;
  struct adit_header header;
  check_outcome(pieces->what, parse(fragment, length, &header), PASSED);
  size_t bytes = header.length - header.transport;
  check_number(pieces->what, "length", header.length, length);
  check_number(pieces->what, "transport", header.transport, header.version == 4 ? 20 : 48);
  check_number(pieces->what, "payload", header.payload, header.transport);
  check_number(pieces->what, "protocol", header.protocol, pieces->protocol);
  check_number(pieces->what, "fragment", header.fragment, true);
  check_number(pieces->what, "offset", header.fragment_offset, pieces->offset);
  check_number(pieces->what, "id", header.fragment_id, pieces->id);
  check_number(pieces->what, "more", header.more_fragments, pieces->offset + bytes < pieces->whole);
  check_number(pieces->what, "source_port", header.source_port, 0);
  check_number(pieces->what, "tcp_flags", header.tcp_flags, 0);
  check_outcome(pieces->what, verify(fragment, length, false), PASSED);
  pieces->offset += bytes;
  pieces->count++;
  for (size_t cut = 0; cut < length && length < 100; cut++) {
    check_outcome(pieces->what, parse(fragment, cut, &header), ADIT_DROP_TRUNCATED);
  }
}

static void fragments_are_read(void **state) {
  static const struct {
    enum kind kind;
    uint8_t protocol;
    size_t len;
    size_t mtu;
    uint32_t id;
  } cases[] = {
      {UDP4, IPPROTO_UDP, 3000, 1500, 0xbeef},
      {UDP6, IPPROTO_UDP, 3000, 1500, 0xdeadbeef},
      {ECHO4, IPPROTO_ICMP, 65507, 1500, 1},
      {ECHO6, IPPROTO_ICMPV6, 65527, 1280, 2},
      {TCP4, IPPROTO_TCP, 65535 - 44, 576, 65535},
      {UDP4, IPPROTO_UDP, 300, 68, 3},
      {UDP6, IPPROTO_UDP, 300, 72, 4},
  };
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    size_t length = build(cases[i].kind, packet, cases[i].len);
    struct pieces pieces = {.what = kind_names[cases[i].kind], .protocol = cases[i].protocol, .id = cases[i].id};
    pieces.whole = length - (packet[0] >> 4 == 4 ? 20 : 40);
    size_t count = support_fragment(packet, length, cases[i].mtu, cases[i].id, take_piece, &pieces);
    check_number(pieces.what, "pieces", pieces.count, count);
    check_number(pieces.what, "bytes", pieces.offset, pieces.whole);
    assert_true(count > 1);
  }
}

static void impossible_fragments_are_named(void **state) {
  static const struct {
    const char *what;
    size_t bytes;
    uint32_t offset;
    bool more;
    int outcome4;
    int outcome6;
  } cases[] = {
      {"the first, whole units", 16, 0, true, PASSED, PASSED},
      {"the first, not whole units", 15, 0, true, ADIT_DROP_HEADER, ADIT_DROP_HEADER},
      {"the first, half a unit more", 12, 0, true, ADIT_DROP_HEADER, ADIT_DROP_HEADER},
      {"the last, any length", 15, 8, false, PASSED, PASSED},
      {"the first, empty", 0, 0, true, ADIT_DROP_HEADER, ADIT_DROP_HEADER},
      {"the last, empty", 0, 8, false, ADIT_DROP_HEADER, ADIT_DROP_HEADER},
      {"ends where a packet may end (IPv4)", 65515 - 65504, 65504, false, PASSED, PASSED},
      {"ends one byte later (IPv4)", 65516 - 65504, 65504, false, ADIT_DROP_OVERSIZED, PASSED},
      {"ends where a packet may end (IPv6)", 65535 - 65528, 65528, false, ADIT_DROP_OVERSIZED, PASSED},
      {"ends one byte later (IPv6)", 8, 65528, false, ADIT_DROP_OVERSIZED, ADIT_DROP_OVERSIZED},
      {"far beyond the end", 1400, 65528, true, ADIT_DROP_OVERSIZED, ADIT_DROP_OVERSIZED},
  };
  static uint8_t packet[SUPPORT_PACKET_MAX];
  static uint8_t payload[1400];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_header header;
    uint8_t extension[8] = {0};
    size_t length = support_ip4(packet, SRC4, DST4, IPPROTO_UDP, NULL, 0, payload, cases[i].bytes);
    support_put16(packet + 6, cases[i].offset / 8 | (cases[i].more ? 0x2000u : 0));
    check_outcome(cases[i].what, parse(packet, length, &header), cases[i].outcome4);
    length = support_ip6(packet, SRC6, DST6, IPPROTO_UDP, payload, cases[i].bytes);
    support_put16(extension + 2, cases[i].offset | (cases[i].more ? 1u : 0));
    length = support_extend6(packet, length, IPPROTO_FRAGMENT, extension, sizeof extension);
    check_outcome(cases[i].what, parse(packet, length, &header), cases[i].outcome6);
  }
}

/* "Don't fragment" and the reserved bit make no fragment. */
static void flags_alone_make_no_fragment(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  struct adit_header header;
  size_t length = build(UDP4, packet, 5);
  (void)state;
  support_put16(packet + 6, 0xc000);
  support_seal(packet, length);
  check_outcome("DF", parse(packet, length, &header), PASSED);
  check_number("DF", "fragment", header.fragment, false);
  check_number("DF", "port", header.destination_port, 7);
}

static void an_atomic_fragment_is_whole(void **state) {
  static const uint8_t extension[8] = {0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  struct adit_header header;
  size_t length = support_extend6(packet, build(TCP6, packet, 5), IPPROTO_FRAGMENT, extension, sizeof extension);
  (void)state;
  check_outcome("atomic", parse(packet, length, &header), PASSED);
  check_number("atomic", "fragment", header.fragment, false);
  check_number("atomic", "id", header.fragment_id, 0x12345678);
  check_number("atomic", "port", header.destination_port, 7);
  check_number("atomic", "payload", header.payload, 40 + 8 + 24);
  check_outcome("atomic", verify(packet, length, false), PASSED);
  length = support_extend6(packet, length, IPPROTO_FRAGMENT, extension, sizeof extension);
  check_outcome("two fragment headers", parse(packet, length, &header), ADIT_DROP_HEADER);
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

/* Whatever single bit is turned over where a checksum covers it, parsing or verifying fails. */
static void every_flipped_bit_is_seen(void **state) {
  static const enum kind kinds[] = {TCP4, UDP4, ECHO4, TCP6, UDP6, ECHO6};
  static const int reasons[] = {ADIT_DROP_TCP_CHECKSUM, ADIT_DROP_UDP_CHECKSUM, ADIT_DROP_ICMP_CHECKSUM};
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    size_t length = build(kinds[i], packet, 33);
    bool four = packet[0] >> 4 == 4;
    for (size_t bit = 0; bit < length * 8; bit++) {
      /* IPv6: class, flow label, hop limit; and a next header that makes it a protocol that is not read. */
      bool uncovered = !four && (bit < 32 || bit / 8 == 6 || bit / 8 == 7);
      packet[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
      int outcome = verify(packet, length, false);
      int known = verify(packet, length, true);
      packet[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
      if (outcome == PASSED && !uncovered) {
        fail_msg("%s: bit %zu of byte %zu turned over: nobody noticed", kind_names[kinds[i]], bit % 8, bit / 8);
      }
      if (bit / 8 >= length - 33) {
        check_outcome("payload", outcome, reasons[i % 3]);
        check_outcome("payload, checksum known", known, PASSED);
      }
      if (four && bit / 8 >= 12 && bit / 8 < 20) {
        check_outcome("address", outcome, ADIT_DROP_IP_CHECKSUM);
        check_outcome("address, transport checksum known", known, ADIT_DROP_IP_CHECKSUM);
      }
    }
  }
}

static void no_udp_checksum_is_right_for_ipv4_only(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  size_t length = build(UDP4, packet, 9);
  (void)state;
  support_put16(packet + 26, 0);
  check_outcome("IPv4", verify(packet, length, false), PASSED);
  length = build(UDP6, packet, 9);
  support_put16(packet + 46, 0);
  check_outcome("IPv6", verify(packet, length, false), ADIT_DROP_UDP_CHECKSUM);
  check_outcome("IPv6, known", verify(packet, length, true), PASSED);
}

/* A datagram shorter than its IP packet: its checksum counts its own bytes only. */
static void a_udp_checksum_ends_with_the_datagram(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  uint8_t datagram[40];
  struct adit_header header;
  size_t length = build(UDP4, packet, 9);
  (void)state;
  memset(datagram, 0xcc, sizeof datagram);
  memcpy(datagram, packet + 20, length - 20);
  length = support_ip4(packet, SRC4, DST4, IPPROTO_UDP, NULL, 0, datagram, sizeof datagram);
  check_outcome("surplus", parse(packet, length, &header), PASSED);
  check_number("surplus", "udp_length", header.udp_length, 17);
  check_number("surplus", "length", header.length, 60);
  check_outcome("surplus", verify(packet, length, false), PASSED);
}

/* ---- offload notes ----------------------------------------------------------------------------------------------- */

static void offload_notes_fit_or_not(void **state) {
  enum { N = ADIT_CHECKSUM_NONE, P = ADIT_CHECKSUM_PARTIAL, V = ADIT_CHECKSUM_VALID };
  static const struct {
    enum kind kind;
    size_t len;
    struct adit_offload offload;
    bool fits;
  } cases[] = {
      {TCP4, 9, {.checksum = N}, true},
      {TCP4, 9, {.checksum = V}, true},
      {OTHER4, 9, {.checksum = V}, true},
      {TCP4, 9, {.checksum = 3}, false},
      {TCP4, 9, {.checksum = P, .checksum_start = 20, .checksum_offset = 16}, true},
      {TCP4, 9, {.checksum = P, .checksum_start = 20, .checksum_offset = 6}, false},
      {TCP4, 9, {.checksum = P, .checksum_start = 24, .checksum_offset = 16}, false},
      {TCP4, 9, {.checksum = P, .checksum_start = 0, .checksum_offset = 16}, false},
      {TCP4, 9, {.checksum = P, .checksum_start = 65535, .checksum_offset = 65535}, false},
      {TCP6, 9, {.checksum = P, .checksum_start = 40, .checksum_offset = 16}, true},
      {TCP6, 9, {.checksum = P, .checksum_start = 20, .checksum_offset = 16}, false},
      {UDP4, 0, {.checksum = P, .checksum_start = 20, .checksum_offset = 6}, true},
      {UDP6, 0, {.checksum = P, .checksum_start = 40, .checksum_offset = 6}, true},
      {EXTENDED6, 0, {.checksum = P, .checksum_start = 64, .checksum_offset = 6}, true},
      {EXTENDED6, 0, {.checksum = P, .checksum_start = 40, .checksum_offset = 6}, false},
      {ECHO4, 0, {.checksum = P, .checksum_start = 20, .checksum_offset = 2}, true},
      {ECHO6, 0, {.checksum = P, .checksum_start = 40, .checksum_offset = 2}, true},
      {ECHO6, 0, {.checksum = P, .checksum_start = 40, .checksum_offset = 16}, false},
      {OTHER4, 9, {.checksum = P, .checksum_start = 20, .checksum_offset = 2}, false},
      {TCP4, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = V}, true},
      {TCP4, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .ecn = true, .checksum = V}, true},
      {TCP4, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 0, .checksum = V}, false},
      {TCP4, 0, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = V}, false},
      {TCP4,
       9,
       {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = P, .checksum_start = 20, .checksum_offset = 16},
       true},
      {TCP4,
       9,
       {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = P, .checksum_start = 20, .checksum_offset = 6},
       false},
      {TCP4, 9, {.gso = ADIT_GSO_TCP6, .gso_size = 4, .checksum = V}, false},
      {TCP6, 9, {.gso = ADIT_GSO_TCP6, .gso_size = 4, .checksum = V}, true},
      {TCP6, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = V}, false},
      {UDP4, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = V}, false},
      {UDP4, 9, {.gso = ADIT_GSO_UDP, .gso_size = 4, .checksum = V}, true},
      {UDP6, 9, {.gso = ADIT_GSO_UDP, .gso_size = 4, .checksum = V}, true},
      {UDP6, 9, {.gso = ADIT_GSO_UDP, .gso_size = 4, .ecn = true, .checksum = V}, false},
      {UDP6, 0, {.gso = ADIT_GSO_UDP, .gso_size = 4, .checksum = V}, false},
      {TCP4, 9, {.gso = ADIT_GSO_UDP, .gso_size = 4, .checksum = V}, false},
      {TCP4, 9, {.gso = ADIT_GSO_NONE, .ecn = true, .checksum = V}, false},
      {TCP4, 9, {.gso = ADIT_GSO_KINDS, .gso_size = 4, .checksum = V}, false},
      {TCP4, 9, {.gso = 255, .gso_size = 4, .checksum = V}, false},
      {TCP4, 9, {.gso = ADIT_GSO_TCP4, .gso_size = 4, .checksum = 9}, false},
      {TCP4, 9, {.header_length = 65535, .checksum = V}, true},
  };
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_header header;
    check_outcome("offload", parse(packet, build(cases[i].kind, packet, cases[i].len), &header), PASSED);
    bool fits = adit_header_offload_fits(&header, &cases[i].offload);
    if (fits != cases[i].fits) {
      fail_msg("case %zu (%s): wanted %d, got %d", i, kind_names[cases[i].kind], cases[i].fits, fits);
    }
  }
}

static void a_fragment_takes_no_offload(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  static const struct adit_offload partial = {
      .checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};
  static const struct adit_offload valid = {.checksum = ADIT_CHECKSUM_VALID};
  static const struct adit_offload gso = {.checksum = ADIT_CHECKSUM_VALID, .gso = ADIT_GSO_UDP, .gso_size = 4};
  struct adit_header header;
  size_t length = build(UDP4, packet, 16);
  (void)state;
  support_put16(packet + 6, 0x2000);
  check_outcome("fragment", parse(packet, length, &header), PASSED);
  assert_false(adit_header_offload_fits(&header, &partial));
  assert_false(adit_header_offload_fits(&header, &gso));
  assert_true(adit_header_offload_fits(&header, &valid));
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

/* What holds for every packet that passes, whatever its bytes. */
static void check_invariants(uint64_t round, const uint8_t *packet, size_t length) {
  struct adit_header header;
  int outcome = parse(packet, length, &header);
  if (outcome != PASSED) {
    if (outcome != ADIT_DROP_TRUNCATED && outcome != ADIT_DROP_OVERSIZED && outcome != ADIT_DROP_VERSION &&
        outcome != ADIT_DROP_HEADER) {
      fail_msg("round %llu: refused for \"%s\"", (unsigned long long)round, outcome_name(outcome));
    }
    return;
  }
  bool in_order = (header.version == 4 || header.version == 6) &&
                  header.transport >= (header.version == 4 ? 20u : 40u) && header.transport <= header.payload &&
                  header.payload <= header.length && header.length <= length;
  if (!in_order) {
    fail_msg("round %llu: version %u, transport %u, payload %u, length %u of %zu", (unsigned long long)round,
             header.version, header.transport, header.payload, header.length, length);
  }
  if (header.fragment && header.payload != header.transport) {
    fail_msg("round %llu: a fragment with a transport header", (unsigned long long)round);
  }
  enum adit_drop why;
  uint8_t *exact = malloc(length);
  assert_non_null(exact);
  memcpy(exact, packet, length);
  (void)adit_header_verify(exact, &header, false, &why);
  free(exact);
}

static void a_million_of_random_packets(void **state) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  uint64_t seed = 20240229;
  (void)state;
  for (uint64_t round = 0; round < 1000000; round++) {
    size_t length;
    uint64_t dice = support_random(&seed);
    if (dice % 4 == 0) { /* noise with a version that leads further than the first check */
      length = dice / 8 % 200;
      for (size_t i = 0; i < length; i += 8) {
        uint64_t noise = support_random(&seed);
        memcpy(packet + i, &noise, 8);
      }
      packet[0] = (uint8_t)((dice >> 32) % 3 == 0 ? packet[0] : (dice >> 40) % 2 == 0 ? 0x45 : 0x60);
    } else { /* a right packet with up to four wrong bytes, most of them in its headers, and a wrong end */
      length = build((enum kind)(dice / 4 % KINDS), packet, dice / 64 % 60);
      for (uint64_t i = 0; i < (dice >> 32) % 5; i++) {
        uint64_t where = support_random(&seed);
        packet[where % (length < 72 ? length : 72)] = (uint8_t)(where >> 32);
      }
      length -= (dice >> 40) % 4 == 0 ? (dice >> 44) % (length + 1) : 0;
    }
    check_invariants(round, packet, length);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_packets_are_read),
      cmocka_unit_test(the_largest_packets_are_read),
      cmocka_unit_test(padding_is_not_the_packet),
      cmocka_unit_test(every_truncation_is_seen),
      cmocka_unit_test(every_short_transport_is_seen),
      cmocka_unit_test(contradictions_are_named),
      cmocka_unit_test(a_jumbogram_is_refused),
      cmocka_unit_test(eight_extension_headers_are_enough),
      cmocka_unit_test(a_packet_on_its_way_is_not_ours),
      cmocka_unit_test(fragments_are_read),
      cmocka_unit_test(impossible_fragments_are_named),
      cmocka_unit_test(flags_alone_make_no_fragment),
      cmocka_unit_test(an_atomic_fragment_is_whole),
      cmocka_unit_test(every_flipped_bit_is_seen),
      cmocka_unit_test(no_udp_checksum_is_right_for_ipv4_only),
      cmocka_unit_test(a_udp_checksum_ends_with_the_datagram),
      cmocka_unit_test(offload_notes_fit_or_not),
      cmocka_unit_test(a_fragment_takes_no_offload),
      cmocka_unit_test(a_million_of_random_packets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
