/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets as text: the line of each kind, hex, decimal; cut buffers, cut packets, random bytes.
 */
#include "packet/print.h"

#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SRC4 "192.168.3.11"
#define DST4 "192.168.3.12"
#define SRC6 "fdad:3::b"
#define DST6 "fdad:3::c"

/* 2024-02-29 12:34:56.000789 UTC */
#define STAMP 1709210096000789123u
#define CLOCK "12:34:56.000789 "

static const uint8_t mac_a[6] = {0x02, 0, 0, 0, 0, 0x0a};
static const uint8_t mac_b[6] = {0x02, 0, 0, 0, 0, 0xbb};

static int set_utc(void **state) {
  (void)state;
  setenv("TZ", "UTC", 1);
  tzset();
  return 0;
}

static void check_line(bool ethernet, const uint8_t *packet, size_t length, const struct adit_offload *offload,
                       const char *wanted) {
  char text[ADIT_PRINT_LINE];
  uint8_t *exact = malloc(length > 0 ? length : 1);
  assert_non_null(exact);
  memcpy(exact, packet, length);
  assert_ptr_equal(adit_print_line(text, sizeof text, STAMP, ethernet, exact, length, offload), text);
  free(exact);
  assert_string_equal(text, wanted);
}

static void tcp_reads_as_tcpdump_users_expect(void **state) {
  static const uint8_t syn[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 3, 3, 7};
  static const uint8_t sack[20] = {1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 3};
  static const uint8_t wrong[4] = {2, 5, 1, 1};
  static const uint8_t end[4] = {254, 3, 9, 0};
  static const struct {
    uint8_t flags;
    const uint8_t *options;
    size_t optlen;
    size_t len;
    const char *text;
  } cases[] = {
      {2, syn, 20, 0,
       "[S], seq 4294967295, win 64240, options [mss 1460,sackOK,TS val 5 ecr 6,nop,wscale 7], len 0, 60"},
      {18, NULL, 0, 0, "[S.], seq 4294967295, ack 17, win 64240, len 0, 40"},
      {16, NULL, 0, 0, "[.], ack 17, win 64240, len 0, 40"},
      {24, NULL, 0, 3, "[P.], seq 4294967295:2, ack 17, win 64240, len 3, 43"},
      {17, NULL, 0, 0, "[F.], seq 4294967295, ack 17, win 64240, len 0, 40"},
      {4, NULL, 0, 0, "[R], seq 4294967295, win 64240, len 0, 40"},
      {0, NULL, 0, 0, "[none], win 64240, len 0, 40"},
      {255, NULL, 0, 0, "[FSRP.UEW], seq 4294967295, ack 17, win 64240, urg 0, len 0, 40"},
      {16, sack, 20, 0, "[.], ack 17, win 64240, options [nop,nop,sack 2 {1:2}{4294967295:3}], len 0, 60"},
      {16, wrong, 4, 0, "[.], ack 17, win 64240, options [malformed], len 0, 44"},
      {16, end, 4, 0, "[.], ack 17, win 64240, options [opt 254,eol], len 0, 44"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t packet[200];
    char wanted[ADIT_PRINT_LINE];
    size_t length = support_tcp4(packet, SRC4, DST4, 40000, 7, UINT32_MAX, 17, cases[i].flags, 64240, cases[i].options,
                                 cases[i].optlen, "abc", cases[i].len);
    snprintf(wanted, sizeof wanted, CLOCK SRC4 ":40000 > " DST4 ":7 TCP %s bytes", cases[i].text);
    check_line(false, packet, length, NULL, wanted);
  }
}

static void ip_packets_have_a_line_each(void **state) {
  uint8_t packet[2000];
  uint8_t payload[1400];
  (void)state;
  memset(payload, 1, sizeof payload);
  size_t length = support_echo4(packet, SRC4, DST4, SUPPORT_ECHO_REQUEST4, 7, 1, payload, 56);
  check_line(false, packet, length, NULL, CLOCK SRC4 " > " DST4 " ICMP echo request, id 7, seq 1, len 64, 84 bytes");
  length = support_echo6(packet, SRC6, DST6, SUPPORT_ECHO_REPLY6, 65535, 2, payload, 56);
  check_line(false, packet, length, NULL,
             CLOCK SRC6 " > " DST6 " ICMPv6 echo reply, id 65535, seq 2, len 64, 104 bytes");
  length = support_udp4(packet, SRC4, DST4, 40000, 53, payload, 30);
  check_line(false, packet, length, NULL, CLOCK SRC4 ":40000 > " DST4 ":53 UDP, len 30, 58 bytes");
  length = support_udp6(packet, SRC6, DST6, 40000, 53, payload, 0);
  check_line(false, packet, length, NULL, CLOCK "[" SRC6 "]:40000 > [" DST6 "]:53 UDP, len 0, 48 bytes");
  length = support_tcp6(packet, SRC6, DST6, 1, 65535, 5, 6, SUPPORT_ACK, 0, NULL, 0, payload, 9);
  check_line(false, packet, length, NULL,
             CLOCK "[" SRC6 "]:1 > [" DST6 "]:65535 TCP [.], seq 5:14, ack 6, win 0, len 9, 69 bytes");
  length = support_ip4(packet, SRC4, DST4, IPPROTO_GRE, NULL, 0, payload, 10);
  check_line(false, packet, length, NULL, CLOCK SRC4 " > " DST4 " GRE, len 10, 30 bytes");
  length = support_ip6(packet, SRC6, DST6, 200, payload, 10);
  check_line(false, packet, length, NULL, CLOCK SRC6 " > " DST6 " protocol 200, len 10, 50 bytes");
}

static void icmp_messages_have_names(void **state) {
  static const struct {
    unsigned version;
    uint8_t type;
    uint8_t code;
    const char *text;
  } cases[] = {
      {4, 3, 3, "port unreachable"},
      {4, 3, 9, "unreachable"},
      {4, 11, 0, "time exceeded in transit"},
      {4, 42, 1, "type 42, code 1"},
      {4, 128, 0, "type 128, code 0"},
      {6, 1, 4, "port unreachable"},
      {6, 2, 0, "packet too big"},
      {6, 133, 0, "router solicitation"},
      {6, 8, 0, "type 8, code 0"},
      {6, 135, 0, "neighbor solicitation, who has 101:101:101:101:101:101:101:101"},
      {6, 136, 0, "neighbor advertisement, target 101:101:101:101:101:101:101:101"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t packet[100];
    uint8_t message[24];
    char wanted[ADIT_PRINT_LINE];
    bool four = cases[i].version == 4;
    memset(message, 1, sizeof message);
    message[0] = cases[i].type;
    message[1] = cases[i].code;
    size_t length = four ? support_ip4(packet, SRC4, DST4, IPPROTO_ICMP, NULL, 0, message, sizeof message)
                         : support_ip6(packet, SRC6, DST6, IPPROTO_ICMPV6, message, sizeof message);
    snprintf(wanted, sizeof wanted, CLOCK "%s > %s %s %s, len 24, %zu bytes", four ? SRC4 : SRC6, four ? DST4 : DST6,
             four ? "ICMP" : "ICMPv6", cases[i].text, length);
    check_line(false, packet, length, NULL, wanted);
  }
}

static void a_short_solicitation_has_no_target(void **state) {
  uint8_t packet[100];
  const uint8_t message[23] = {135};
  size_t length = support_ip6(packet, SRC6, DST6, IPPROTO_ICMPV6, message, sizeof message);
  (void)state;
  check_line(false, packet, length, NULL, CLOCK SRC6 " > " DST6 " ICMPv6 neighbor solicitation, len 23, 63 bytes");
}

struct expected {
  const char *const *lines;
  size_t count;
};

static void check_fragment(void *user, const uint8_t *fragment, size_t length) {
  struct expected *expected = user;
  assert_true(expected->count > 0);
  check_line(false, fragment, length, NULL, *expected->lines);
  expected->lines++;
  expected->count--;
}

static void fragments_say_where_they_belong(void **state) {
  static const char *const lines4[] = {
      CLOCK SRC4 " > " DST4 " UDP fragment, id 4711, offset 0, len 1480, more, 1500 bytes",
      CLOCK SRC4 " > " DST4 " UDP fragment, id 4711, offset 1480, len 528, 548 bytes",
  };
  static const char *const lines6[] = {
      CLOCK SRC6 " > " DST6 " ICMPv6 fragment, id 4294967295, offset 0, len 1448, more, 1496 bytes",
      CLOCK SRC6 " > " DST6 " ICMPv6 fragment, id 4294967295, offset 1448, len 560, 608 bytes",
  };
  uint8_t packet[3000];
  uint8_t payload[2000] = {0};
  struct expected expected = {lines4, 2};
  (void)state;
  size_t length = support_udp4(packet, SRC4, DST4, 40000, 7, payload, sizeof payload);
  support_fragment(packet, length, 1500, 4711, check_fragment, &expected);
  assert_int_equal(expected.count, 0);
  expected = (struct expected){lines6, 2};
  length = support_echo6(packet, SRC6, DST6, SUPPORT_ECHO_REQUEST6, 1, 1, payload, sizeof payload);
  support_fragment(packet, length, 1500, UINT32_MAX, check_fragment, &expected);
  assert_int_equal(expected.count, 0);
}

static void offload_notes_are_shown_and_checked(void **state) {
  static const struct adit_offload none;
  static const struct adit_offload gso4 = {.gso = ADIT_GSO_TCP4,
                                           .gso_size = 1448,
                                           .checksum = ADIT_CHECKSUM_PARTIAL,
                                           .checksum_start = 20,
                                           .checksum_offset = 16};
  static const struct adit_offload uso = {.gso = ADIT_GSO_UDP, .gso_size = 1000, .checksum = ADIT_CHECKSUM_VALID};
  static const struct adit_offload gso6 = {.gso = ADIT_GSO_TCP6, .gso_size = 1448, .checksum = ADIT_CHECKSUM_VALID};
  uint8_t packet[9000];
  uint8_t payload[8000] = {0};
  struct adit_offload framed = gso4;
  (void)state;
  size_t length = support_tcp4(packet, SRC4, DST4, 1, 2, 3, 4, SUPPORT_ACK, 5, NULL, 0, payload, sizeof payload);
#define SUPER CLOCK SRC4 ":1 > " DST4 ":2 TCP [.], seq 3:8003, ack 4, win 5, len 8000"
  check_line(false, packet, length, &none, SUPER ", 8040 bytes");
  packet[100]++;
  check_line(false, packet, length, NULL, SUPER ", 8040 bytes");
  check_line(false, packet, length, &none, SUPER ", wrong tcp checksum, 8040 bytes");
  check_line(false, packet, length, &gso4, SUPER ", gso 1448, 8040 bytes");
  check_line(false, packet, length, &gso6, SUPER ", gso 1448, offload notes do not fit, 8040 bytes");
  packet[8]++;
  check_line(false, packet, length, &gso4, SUPER ", gso 1448, wrong ip checksum, 8040 bytes");
  packet[8]--;
  length = support_ethernet(packet, length, mac_a, mac_b, 0x0800);
  framed.checksum_start = 34;
  check_line(true, packet, length, &framed, SUPER ", gso 1448, 8054 bytes");
  check_line(true, packet, length, &gso4, SUPER ", gso 1448, offload notes do not fit, 8054 bytes");
  length = support_udp4(packet, SRC4, DST4, 1, 2, payload, 8000);
  support_put16(packet + 24, 1008); /* the length of one segment */
  check_line(false, packet, length, &uso, CLOCK SRC4 ":1 > " DST4 ":2 UDP, len 8000, gso 1000, 8028 bytes");
}

static void ethernet_frames_have_a_line_each(void **state) {
  static const uint8_t nobody[6];
  static const uint8_t tag[4] = {0x60, 0x05, 0x08, 0x00};
  static const uint8_t tags[8] = {0x0f, 0xff, 0x81, 0x00, 0x00, 0x01, 0x86, 0xdd};
  uint8_t packet[200];
  uint8_t inner[200];
  (void)state;
  size_t length = support_arp(packet, 1, mac_a, SRC4, nobody, DST4);
  check_line(true, packet, length, NULL, CLOCK "ARP who-has " DST4 " tell " SRC4 ", 42 bytes");
  length = support_arp(packet, 2, mac_b, DST4, mac_a, SRC4);
  check_line(true, packet, length, NULL, CLOCK "ARP " DST4 " is-at 02:00:00:00:00:bb, 42 bytes");
  for (size_t cut = 14; cut < length; cut++) {
    char wanted[ADIT_PRINT_LINE];
    snprintf(wanted, sizeof wanted, CLOCK "malformed: truncated, %zu bytes", cut);
    check_line(true, packet, cut, NULL, wanted);
  }
  packet[21] = 9;
  check_line(true, packet, length, NULL, CLOCK "ARP operation 9, hardware 1, protocol 0x0800, 42 bytes");
  length = support_echo4(packet, SRC4, DST4, SUPPORT_ECHO_REPLY4, 7, 1, NULL, 0);
  length = support_ethernet(packet, length, mac_a, mac_b, 0x0800);
  check_line(true, packet, length, NULL, CLOCK SRC4 " > " DST4 " ICMP echo reply, id 7, seq 1, len 8, 42 bytes");
  memset(packet + length, 0, 18);
  check_line(true, packet, length + 18, NULL, CLOCK SRC4 " > " DST4 " ICMP echo reply, id 7, seq 1, len 8, 60 bytes");
  memcpy(inner, tag, 4);
  memcpy(inner + 4, packet + 14, length - 14);
  length = support_ethernet(inner, length - 10, mac_a, mac_b, 0x8100);
  check_line(true, inner, length, NULL,
             CLOCK "vlan 5 " SRC4 " > " DST4 " ICMP echo reply, id 7, seq 1, len 8, 46 bytes");
  length = support_udp6(inner + 8, SRC6, DST6, 1, 2, NULL, 0);
  memcpy(inner, tags, 8);
  length = support_ethernet(inner, length + 8, mac_a, mac_b, 0x88a8);
  check_line(true, inner, length, NULL, CLOCK "vlan 4095 vlan 1 [" SRC6 "]:1 > [" DST6 "]:2 UDP, len 0, 70 bytes");
  memset(inner, 0, 46);
  length = support_ethernet(inner, 46, mac_a, mac_b, 0x88cc);
  check_line(true, inner, length, NULL,
             CLOCK "02:00:00:00:00:bb > 02:00:00:00:00:0a ethertype 0x88cc, len 46, 60 bytes");
}

static void malformed_packets_say_why(void **state) {
  uint8_t packet[200];
  size_t length = support_udp4(packet, SRC4, DST4, 1, 2, NULL, 0);
  (void)state;
  check_line(false, packet, 12, NULL, CLOCK "malformed: truncated, 12 bytes");
  check_line(false, packet, 0, NULL, CLOCK "malformed: truncated, 0 bytes");
  check_line(true, packet, 13, NULL, CLOCK "malformed: truncated, 13 bytes");
  packet[0] = 0x44;
  check_line(false, packet, length, NULL, CLOCK "malformed: header, 28 bytes");
  packet[0] = 0x55;
  check_line(false, packet, length, NULL, CLOCK "malformed: ip version, 28 bytes");
  length = support_ethernet(packet, support_udp4(packet, SRC4, DST4, 1, 2, NULL, 0), mac_a, mac_b, 0x86dd);
  check_line(true, packet, length, NULL, CLOCK "malformed: ip version, 42 bytes");
}

static void time_is_local(void **state) {
  char text[ADIT_PRINT_LINE];
  (void)state;
  setenv("TZ", "XYZ-05:30", 1);
  tzset();
  adit_print_line(text, sizeof text, STAMP, false, NULL, 0, NULL);
  set_utc(NULL);
  assert_string_equal(text, "18:04:56.000789 malformed: truncated, 0 bytes");
}

/* ---- cut buffers, cut packets, chance ---------------------------------------------------------------------------- */

/* The longest line there can be: two tags, long addresses and numbers, options of the wordiest kind. */
static size_t build_longest(uint8_t *packet) {
  static const uint8_t tags[8] = {0x0f, 0xff, 0x81, 0x00, 0x0f, 0xff, 0x86, 0xdd};
  uint8_t options[40];
  for (size_t i = 0; i < sizeof options; i += 2) {
    options[i] = 254;
    options[i + 1] = 2;
  }
  memcpy(packet, tags, sizeof tags);
  size_t length = support_tcp6(packet + 8, "1111:2222:3333:4444:5555:6666:7777:8888",
                               "1111:2222:3333:4444:5555:6666:7777:8889", 65535, 65535, 4000000000u, 4000000000u, 255,
                               65535, options, sizeof options, "abc", 3);
  support_put16(packet + 8 + 40 + 18, 65535);
  return support_ethernet(packet, length + 8, mac_a, mac_b, 0x88a8);
}

static void the_longest_line_fits(void **state) {
  static const struct adit_offload offload = {.gso = ADIT_GSO_UDP, .gso_size = 65535};
  uint8_t packet[300];
  char text[2 * ADIT_PRINT_LINE];
  size_t length = build_longest(packet);
  (void)state;
  adit_print_line(text, sizeof text, STAMP, true, packet, length, &offload);
  assert_non_null(strstr(text, "offload notes do not fit"));
  assert_non_null(strstr(text, "urg 65535"));
  /* Room for what this packet lacks: segments left, and numbers of bytes with five digits instead of three. */
  if (strlen(text) + 1 + 20 + 10 > ADIT_PRINT_LINE) {
    fail_msg("%zu characters, room for %d: %s", strlen(text), ADIT_PRINT_LINE, text);
  }
}

static void small_buffers_cut_the_text(void **state) {
  static const struct adit_offload none;
  uint8_t packet[300];
  char whole[8 * ADIT_PRINT_LINE];
  size_t length = build_longest(packet);
  (void)state;
  for (int form = 0; form < 3; form++) {
    for (size_t size = 1; size < sizeof whole; size += size < 1200 ? 1 : 100) {
      if (form == 0) {
        adit_print_line(whole, sizeof whole, STAMP, true, packet, length, &none);
      } else if (form == 1) {
        adit_print_hex(whole, sizeof whole, packet, length);
      } else {
        adit_print_decimal(whole, sizeof whole, packet, length);
      }
      char *text = malloc(size);
      assert_non_null(text);
      char *got = form == 0   ? adit_print_line(text, size, STAMP, true, packet, length, &none)
                  : form == 1 ? adit_print_hex(text, size, packet, length)
                              : adit_print_decimal(text, size, packet, length);
      assert_ptr_equal(got, text);
      size_t used = strlen(text);
      size_t wanted = strlen(whole) < size - 1 ? strlen(whole) : size - 1;
      if (strncmp(text, whole, used) != 0 || used > wanted || (form < 2 && used != wanted) || used + 4 < wanted) {
        fail_msg("form %d, size %zu: wanted %zu characters of\n%s\ngot %zu:\n%s", form, size, wanted, whole, used,
                 text);
      }
      free(text);
    }
  }
}

static void every_cut_packet_has_a_line(void **state) {
  static const struct adit_offload none;
  static const uint8_t extension[16] = {0, 1, 1, 12};
  static const uint8_t solicitation[24] = {135};
  uint8_t packet[8][200];
  size_t lengths[8];
  uint8_t options[40];
  (void)state;
  memset(options, 5, sizeof options);
  lengths[0] = support_tcp4(packet[0], SRC4, DST4, 1, 2, 3, 4, 255, 5, options, 40, "abc", 3);
  lengths[1] = support_tcp6(packet[1], SRC6, DST6, 1, 2, 3, 4, 255, 5, options, 40, "abc", 3);
  lengths[2] = support_udp4(packet[2], SRC4, DST4, 1, 2, "abc", 3);
  lengths[3] = support_extend6(packet[3], support_udp6(packet[3], SRC6, DST6, 1, 2, "abc", 3), IPPROTO_DSTOPTS,
                               extension, sizeof extension);
  lengths[4] = support_ip6(packet[4], SRC6, DST6, IPPROTO_ICMPV6, solicitation, sizeof solicitation);
  lengths[5] = support_ethernet(packet[5], support_echo4(packet[5], SRC4, DST4, SUPPORT_ECHO_REQUEST4, 1, 2, "abc", 3),
                                mac_a, mac_b, 0x0800);
  lengths[6] = support_arp(packet[6], 1, mac_a, SRC4, mac_b, DST4);
  lengths[7] = build_longest(packet[7]);
  for (size_t i = 0; i < 8; i++) {
    for (size_t cut = 0; cut < lengths[i]; cut++) {
      char text[ADIT_PRINT_LINE];
      char end[64];
      uint8_t *exact = malloc(cut > 0 ? cut : 1);
      assert_non_null(exact);
      memcpy(exact, packet[i], cut);
      adit_print_line(text, sizeof text, STAMP, i >= 5, exact, cut, &none);
      free(exact);
      snprintf(end, sizeof end, "malformed: truncated, %zu bytes", cut);
      if (strstr(text, end) == NULL) {
        fail_msg("packet %zu, %zu of %zu bytes: wanted \"%s\", got \"%s\"", i, cut, lengths[i], end, text);
      }
    }
  }
}

static void a_million_of_random_packets(void **state) {
  static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x1234};
  static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_HOPOPTS, 99};
  uint8_t packet[256];
  uint64_t seed = 20240301;
  (void)state;
  for (int round = 0; round < 1000000; round++) {
    char text[ADIT_PRINT_LINE];
    char end[32];
    struct adit_offload offload;
    uint64_t dice = support_random(&seed);
    size_t length = dice % 200;
    bool ethernet = (dice >> 8) % 2 == 0;
    uint8_t *ip = packet + (ethernet ? 14 : 0);
    for (size_t i = 0; i < length; i += 8) {
      uint64_t noise = support_random(&seed);
      memcpy(packet + i, &noise, 8);
    }
    if (ethernet) {
      support_put16(packet + 12, types[(dice >> 12) % 6]);
    }
    /* Lead most of them past the first checks: a version, lengths that fit, a protocol, a TCP header that fits. */
    bool four = (dice >> 16) % 2 == 0;
    size_t inner = length - (ethernet && length > 14 ? 14 : 0);
    if ((dice >> 20) % 8 != 0 && inner > 60) {
      ip[0] = four ? 0x45 : 0x60;
      support_put16(ip + (four ? 2 : 4), (uint32_t)(four ? inner : inner - 40));
      ip[four ? 9 : 6] = protocols[(dice >> 24) % 6];
      if (four) {
        support_put16(ip + 6, (dice >> 28) % 4 == 0 ? 0x2000 : 0);
      }
      ip[four ? 32 : 52] |= 0x50;
      ip[four ? 24 : 44] = 0;
    }
    for (size_t i = 0; i < sizeof offload; i += 8) {
      uint64_t noise = support_random(&seed) & 0x0001010101010101u; /* bools stay bools */
      memcpy((uint8_t *)&offload + i, &noise, sizeof offload - i < 8 ? sizeof offload - i : 8);
    }
    uint8_t *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, packet, length);
    adit_print_line(text, sizeof text, dice, ethernet, exact, length, (dice >> 32) % 2 == 0 ? NULL : &offload);
    free(exact);
    snprintf(end, sizeof end, ", %zu bytes", length);
    if (strlen(text) < strlen(end) || strcmp(text + strlen(text) - strlen(end), end) != 0) {
      fail_msg("round %d: wanted an end of \"%s\", got \"%s\"", round, end, text);
    }
    for (const char *c = text; *c != '\0'; c++) {
      if (*c < ' ' || *c > '~') {
        fail_msg("round %d: character %d in \"%s\"", round, *c, text);
      }
    }
  }
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void decimal_is_numbers_with_spaces(void **state) {
  uint8_t packet[100];
  uint8_t payload[56] = {0};
  char text[ADIT_PRINT_DECIMAL(100)];
  static const uint8_t all[] = {0, 9, 10, 99, 100, 255};
  (void)state;
  assert_string_equal(adit_print_decimal(text, sizeof text, all, sizeof all), "0 9 10 99 100 255");
  assert_string_equal(adit_print_decimal(text, sizeof text, all, 1), "0");
  assert_string_equal(adit_print_decimal(text, sizeof text, all, 0), "");
  size_t length = support_echo4(packet, SRC4, DST4, SUPPORT_ECHO_REQUEST4, 7, 1, payload, sizeof payload);
  adit_print_decimal(text, sizeof text, packet, length);
  assert_int_equal(strncmp(text, "69 0 0 84 ", 10), 0);
  size_t numbers = 1;
  for (const char *c = text; *c != '\0'; c++) {
    numbers += *c == ' ';
  }
  assert_int_equal(numbers, 84);
}

static void hex_reads_as_tcpdump_users_expect(void **state) {
  static const uint8_t bytes[] = {0x45, 0x00, 0x00, 0x54, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0xb3,
                                  0x41, 0xc0, 0xa8, 0x03, 0x0b, 0x20, 0x7e, 0x7f, 0x41, 0xff};
  char text[ADIT_PRINT_HEX(sizeof bytes)];
  (void)state;
  adit_print_hex(text, sizeof text, bytes, sizeof bytes);
  assert_string_equal(text, "0x0000:  4500 0054 0000 4000 4001 b341 c0a8 030b  E..T..@.@..A....\n"
                            "0x0010:  207e 7f41 ff                              ~.A.\n");
  adit_print_hex(text, sizeof text, bytes, 16);
  assert_string_equal(text, "0x0000:  4500 0054 0000 4000 4001 b341 c0a8 030b  E..T..@.@..A....\n");
  assert_string_equal(adit_print_hex(text, sizeof text, bytes, 0), "");
}

static void the_largest_packet_has_room(void **state) {
  static uint8_t bytes[ADIT_PACKET_MAX];
  static char text[ADIT_PRINT_HEX(ADIT_PACKET_MAX)];
  static char last[32];
  (void)state;
  memset(bytes, 255, sizeof bytes);
  adit_print_hex(text, sizeof text, bytes, sizeof bytes);
  snprintf(last, sizeof last, "\n0x%zx:  ", (sizeof bytes - 1) / 16 * 16);
  assert_non_null(strstr(text, last));
  assert_int_equal(text[strlen(text) - 1], '\n');
  adit_print_decimal(text, ADIT_PRINT_DECIMAL(sizeof bytes), bytes, sizeof bytes);
  assert_int_equal(strlen(text), sizeof bytes * 4 - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tcp_reads_as_tcpdump_users_expect),
      cmocka_unit_test(ip_packets_have_a_line_each),
      cmocka_unit_test(icmp_messages_have_names),
      cmocka_unit_test(a_short_solicitation_has_no_target),
      cmocka_unit_test(fragments_say_where_they_belong),
      cmocka_unit_test(offload_notes_are_shown_and_checked),
      cmocka_unit_test(ethernet_frames_have_a_line_each),
      cmocka_unit_test(malformed_packets_say_why),
      cmocka_unit_test(time_is_local),
      cmocka_unit_test(the_longest_line_fits),
      cmocka_unit_test(small_buffers_cut_the_text),
      cmocka_unit_test(every_cut_packet_has_a_line),
      cmocka_unit_test(a_million_of_random_packets),
      cmocka_unit_test(decimal_is_numbers_with_spaces),
      cmocka_unit_test(hex_reads_as_tcpdump_users_expect),
      cmocka_unit_test(the_largest_packet_has_room),
  };
  return cmocka_run_group_tests(tests, set_utc, NULL);
}
