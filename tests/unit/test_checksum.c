/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The Internet checksum against a plain 16-bit loop: lengths, alignments, pieces, pseudo-headers, partial ones.
 */
#include "packet/checksum.h"

#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A running sum as the value a checksum field would get, in host order. */
static uint16_t field_of(uint64_t sum) {
  uint16_t wire = adit_checksum_fold(sum);
  uint8_t bytes[2];
  memcpy(bytes, &wire, sizeof bytes);
  return (uint16_t)~support_get16(bytes);
}

/* Both zeros of one's complement are the same number. */
static bool same(uint16_t a, uint16_t b) {
  return a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0);
}

static void known_sums(void **state) {
  static const struct {
    uint8_t bytes[24];
    size_t length;
    uint16_t field;
  } cases[] = {
      {{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 8, 0x220d}, /* the example of RFC 1071, section 3 */
      {{0}, 0, 0xffff},
      {{0x12}, 1, 0xedff},
      {{0x12, 0x34}, 2, 0xedcb},
      {{0x45, 0x00, 0x00, 0x54, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01,
        0x00, 0x00, 0xc0, 0xa8, 0x03, 0x0b, 0xc0, 0xa8, 0x03, 0x0c},
       20,
       0xb341},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint16_t got = field_of(adit_checksum_add(0, cases[i].bytes, cases[i].length));
    if (got != cases[i].field) {
      fail_msg("case %zu: wanted 0x%04x, got 0x%04x", i, cases[i].field, got);
    }
  }
}

static void every_length_at_every_alignment(void **state) {
  uint64_t seed = 1;
  (void)state;
  for (size_t length = 0; length <= 300; length++) {
    for (size_t shift = 0; shift < 8; shift++) {
      uint8_t *block = malloc(shift + length + 1); /* +1: malloc(0) may be NULL */
      uint8_t *at = block + shift;
      assert_non_null(block);
      for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)support_random(&seed);
      }
      uint8_t *exact = realloc(block, shift + length > 0 ? shift + length : 1);
      assert_non_null(exact);
      uint16_t wanted = support_sum_field(support_sum(0, exact + shift, length));
      uint16_t got = field_of(adit_checksum_add(0, exact + shift, length));
      free(exact);
      if (!same(got, wanted)) {
        fail_msg("%zu bytes at %zu: wanted 0x%04x, got 0x%04x", length, shift, wanted, got);
      }
    }
  }
}

static void carries_are_not_lost(void **state) {
  static uint8_t bytes[65536];
  static const uint64_t starts[] = {0, 1, 0xffff, UINT64_MAX - 1, UINT64_MAX, 0x8000000000000000u};
  (void)state;
  memset(bytes, 0xff, sizeof bytes);
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    for (size_t length = 65400; length <= sizeof bytes; length++) {
      /* All ones is zero in one's complement: nothing but an odd last byte changes the sum. */
      uint8_t start[8];
      memcpy(start, &starts[i], sizeof start);
      uint32_t sum = support_sum(support_sum(0, start, sizeof start), bytes, length);
      uint16_t wanted = support_sum_field(sum);
      uint16_t got = field_of(adit_checksum_add(starts[i], bytes, length));
      if (!same(got, wanted)) {
        fail_msg("start %zu, %zu bytes: wanted 0x%04x, got 0x%04x", i, length, wanted, got);
      }
    }
  }
}

static void folding_is_exact(void **state) {
  static const struct {
    uint64_t sum;
    uint16_t folded;
  } cases[] = {
      {0, 0},
      {0xffff, 0xffff},
      {0x10000, 1},
      {0x1ffff, 1},
      {0xffffffff, 0xffff},
      {0xffff0001, 1},
      {0x100000000, 1},
      {UINT64_MAX, 0xffff},
      {UINT64_MAX - 1, 0xfffe},
      {0xffffffff00000001, 1},
      {0x0001000200030004, 10},
      {0xfffe0001ffff0000, 0xffff},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint16_t got = adit_checksum_fold(cases[i].sum);
    if (got != cases[i].folded) {
      fail_msg("0x%llx: wanted 0x%04x, got 0x%04x", (unsigned long long)cases[i].sum, cases[i].folded, got);
    }
  }
}

static void pieces_sum_as_the_whole(void **state) {
  static uint8_t whole[4000];
  uint64_t seed = 7;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    struct iovec iov[8];
    size_t total = 0;
    for (int i = 0; i < 8; i++) {
      size_t length = support_random(&seed) % (i % 3 == 0 ? 4 : 120); /* empty and odd ones among them */
      iov[i] = (struct iovec){whole + total, length};
      total += length;
    }
    for (size_t i = 0; i < total; i++) {
      whole[i] = (uint8_t)support_random(&seed);
    }
    size_t skip = support_random(&seed) % (total + 2);
    size_t length = support_random(&seed) % (total + 2);
    size_t begin = skip < total ? skip : total;
    size_t count = length < total - begin ? length : total - begin;
    uint16_t wanted = support_sum_field(support_sum(0x1234, whole + begin, count));
    uint8_t start[8] = {0x12, 0x34};
    uint64_t sum;
    memcpy(&sum, start, sizeof sum);
    uint16_t got = field_of(adit_checksum_iov(sum, iov, 8, skip, length));
    if (!same(got, wanted)) {
      fail_msg("round %d, %zu from %zu of %zu: wanted 0x%04x, got 0x%04x", round, length, skip, total, wanted, got);
    }
  }
}

/* Every packet of the builders: its checksum is right, and it can be finished from a partial one, cut anywhere. */
static void partial_checksums_are_finished(void **state) {
  static const struct {
    unsigned version;
    uint8_t protocol;
    uint16_t offset;
  } cases[] = {
      {4, IPPROTO_TCP, 16}, {6, IPPROTO_TCP, 16}, {4, IPPROTO_UDP, 6}, {6, IPPROTO_UDP, 6}, {6, IPPROTO_ICMPV6, 2},
  };
  static const size_t lengths[] = {0, 1, 2, 31, 1460, 65000};
  static uint8_t payload[65000];
  static uint8_t packet[SUPPORT_PACKET_MAX];
  (void)state;
  support_pattern(payload, sizeof payload);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
      size_t length;
      bool four = cases[i].version == 4;
      if (cases[i].protocol == IPPROTO_TCP) {
        length = four ? support_tcp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, 1, 2, SUPPORT_ACK, 502, NULL, 0,
                                     payload, lengths[j])
                      : support_tcp6(packet, "fdad:3::b", "fdad:3::c", 40000, 7, 1, 2, SUPPORT_ACK, 502, NULL, 0,
                                     payload, lengths[j]);
      } else if (cases[i].protocol == IPPROTO_UDP) {
        length = four ? support_udp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, payload, lengths[j])
                      : support_udp6(packet, "fdad:3::b", "fdad:3::c", 40000, 7, payload, lengths[j]);
      } else {
        length = support_echo6(packet, "fdad:3::b", "fdad:3::c", SUPPORT_ECHO_REQUEST6, 1, 2, payload, lengths[j]);
      }
      uint16_t start = four ? 20 : 40;
      uint8_t *field = packet + start + cases[i].offset;
      uint16_t wanted = support_get16(field);
      uint64_t pseudo = adit_checksum_pseudo(packet, cases[i].protocol, (uint32_t)(length - start));
      assert_int_equal(adit_checksum_fold(adit_checksum_add(pseudo, packet + start, length - start)), 0xffff);
      support_seal_partial(packet, length);
      assert_true(same(field_of(pseudo), (uint16_t)~support_get16(field)));
      for (size_t cut = 0; cut <= length && cut < 120; cut++) {
        struct iovec iov[2] = {{packet, cut}, {packet + cut, length - cut}};
        struct adit_packet pieces = {
            .iov = iov,
            .iovcnt = 2,
            .length = length,
            .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = start, .checksum_offset = cases[i].offset},
        };
        uint16_t wire = adit_checksum_finish(&pieces);
        uint8_t got[2];
        memcpy(got, &wire, sizeof got);
        if (support_get16(got) != wanted && !(wanted == 0 && support_get16(got) == 0xffff)) {
          fail_msg("case %zu, %zu bytes, cut at %zu: wanted 0x%04x, got 0x%04x", i, lengths[j], cut, wanted,
                   support_get16(got));
        }
      }
    }
  }
}

/* The payload that makes the sum 0xffff: the field would be zero, which to UDP is "no checksum". */
static void a_checksum_is_never_zero(void **state) {
  uint8_t packet[64];
  uint8_t payload[2] = {0, 0};
  (void)state;
  support_udp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, payload, sizeof payload);
  support_put16(payload, support_get16(packet + 26));
  size_t length = support_udp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, payload, sizeof payload);
  support_seal_partial(packet, length);
  struct iovec iov = {packet, length};
  struct adit_packet whole = {
      .iov = &iov,
      .iovcnt = 1,
      .length = length,
      .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6},
  };
  assert_int_equal(field_of(adit_checksum_add(0, packet + 20, length - 20)), 0);
  assert_int_equal(adit_checksum_finish(&whole), 0xffff);
}

static void pseudo_headers_take_any_length(void **state) {
  static const uint32_t lengths[] = {0, 8, 255, 256, 65535, 65536, 0x12345678};
  uint8_t packet[64];
  (void)state;
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    uint8_t extra[8] = {0};
    support_put32(extra, lengths[i]);
    extra[7] = 58;
    support_ip6(packet, "2001:db8:ffff:1::b", "fdad:3::ffff:c", 58, NULL, 0);
    uint16_t wanted = support_sum_field(support_sum(support_sum(0, packet + 8, 32), extra, sizeof extra));
    uint16_t got = field_of(adit_checksum_pseudo(packet, 58, lengths[i]));
    if (!same(got, wanted)) {
      fail_msg("IPv6, %u bytes: wanted 0x%04x, got 0x%04x", lengths[i], wanted, got);
    }
    support_ip4(packet, "255.254.253.252", "192.168.3.12", 58, NULL, 0, NULL, 0);
    wanted = support_sum_field(support_sum(support_sum(0, packet + 12, 8), extra, sizeof extra));
    got = field_of(adit_checksum_pseudo(packet, 58, lengths[i]));
    if (!same(got, wanted)) {
      fail_msg("IPv4, %u bytes: wanted 0x%04x, got 0x%04x", lengths[i], wanted, got);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_sums),
      cmocka_unit_test(every_length_at_every_alignment),
      cmocka_unit_test(carries_are_not_lost),
      cmocka_unit_test(folding_is_exact),
      cmocka_unit_test(pieces_sum_as_the_whole),
      cmocka_unit_test(partial_checksums_are_finished),
      cmocka_unit_test(a_checksum_is_never_zero),
      cmocka_unit_test(pseudo_headers_take_any_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
