/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Recorded packets made fit for the stack: frames, checksums of network cards, shifted numbers.
 */
#include "cli/replay_packet.h"
#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TCP4 = 20, TCP6 = 40, ACKNOWLEDGMENT = 8, CHECKSUM = 16, OPTIONS = 20 };

static const char payload[] = "what the client says";

/* Parse what a test has built; it has to be a packet. */
static struct adit_header parsed(const uint8_t *packet, size_t length) {
  struct adit_header header;
  enum adit_drop why = ADIT_DROPS;
  if (!adit_header_parse(packet, length, &header, &why)) fail_msg("no packet: %s", adit_drop_name(why));
  return header;
}

/* A segment with these options over either version; acknowledges 1000. */
static size_t segment(uint8_t *packet, unsigned version, const void *options, size_t length) {
  if (version == 4)
    return support_tcp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, 5, 1000, SUPPORT_ACK | SUPPORT_PSH, 58,
                        options, length, payload, sizeof payload);
  return support_tcp6(packet, "fdad:3::11", "fdad:3::12", 40000, 7, 5, 1000, SUPPORT_ACK | SUPPORT_PSH, 58, options,
                      length, payload, sizeof payload);
}

/* ---- acknowledgments and SACK ------------------------------------------------------------------------------------ */

struct sack_case {
  const char *name;
  uint8_t options[40];
  size_t length;
  size_t edges[8]; /* offsets in `options` that are to be shifted; 0 = no more */
};

static const struct sack_case sack_cases[] = {
    {"no options", {0}, 0, {0}},
    {"time stamps alone", {1, 1, 8, 10, 0, 0, 3, 232, 0, 0, 3, 232}, 12, {0}},
    {"one block, aligned", {1, 1, 5, 10, 0, 0, 4, 0, 0, 0, 5, 0}, 12, {4, 8}},
    {"one block at an odd place", {1, 5, 10, 0, 0, 4, 0, 0, 0, 5, 0, 0}, 12, {3, 7}},
    {"two blocks behind time stamps",
     {1, 1, 8, 10, 9, 9, 9, 9, 8, 8, 8, 8, 1, 1, 5, 18, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 255, 255, 255, 255},
     32,
     {16, 20, 24, 28}},
    {"behind the end of the list", {0, 0, 5, 10, 0, 0, 4, 0, 0, 0, 5, 0}, 12, {0}},
    {"longer than the header", {1, 1, 5, 18, 0, 0, 4, 0, 0, 0, 5, 0}, 12, {0}},
    {"length of one", {1, 1, 5, 1, 0, 0, 4, 0, 0, 0, 5, 0}, 12, {0}},
    {"length of zero", {5, 0, 5, 10, 0, 0, 4, 0, 0, 0, 5, 0}, 12, {0}},
    {"half a block", {1, 1, 5, 6, 0, 0, 4, 0, 0, 0, 0, 0}, 12, {4}},
    {"kind without length at the end", {1, 1, 1, 5}, 4, {0}},
};

static void test_acknowledge(void **state) {
  (void)state;
  static const uint32_t targets[] = {1000, 1001, 0, UINT32_MAX, 0x80000000, 0x12345678};
  for (size_t i = 0; i < sizeof sack_cases / sizeof sack_cases[0] * 2; i++) {
    const struct sack_case *one = &sack_cases[i / 2];
    unsigned version = i % 2 == 0 ? 4 : 6;
    size_t tcp = version == 4 ? TCP4 : TCP6;
    for (size_t j = 0; j < sizeof targets / sizeof targets[0]; j++) {
      uint8_t packet[200];
      uint8_t expected[200];
      size_t length = segment(packet, version, one->options, one->length);
      memcpy(expected, packet, length);
      support_put32(expected + tcp + ACKNOWLEDGMENT, targets[j]);
      for (size_t k = 0; k < 8 && one->edges[k] != 0; k++) {
        uint8_t *edge = expected + tcp + OPTIONS + one->edges[k];
        support_put32(edge, support_get32(edge) + targets[j] - 1000);
      }
      support_seal(expected, length);
      struct adit_header header = parsed(packet, length);
      adit_replay_acknowledge(packet, &header, targets[j]);
      if (memcmp(packet, expected, length) != 0) {
        print_message("%s, IPv%u, 1000 becomes %u\n", one->name, version, (unsigned)targets[j]);
        assert_memory_equal(packet, expected, length);
      }
      assert_int_equal(header.tcp_acknowledgment, targets[j]);
    }
  }
}

static void test_wrong_stays_wrong(void **state) {
  (void)state;
  for (unsigned difference = 1; difference < 0xffff; difference += 251) {
    uint8_t packet[200];
    size_t length = segment(packet, 4, sack_cases[2].options, sack_cases[2].length);
    uint16_t right = support_get16(packet + TCP4 + CHECKSUM);
    support_put16(packet + TCP4 + CHECKSUM, (right + difference) & 0xffff);
    struct adit_header header = parsed(packet, length);
    assert_false(adit_replay_finish(packet, &header) && support_sealed(packet, length));
    adit_replay_acknowledge(packet, &header, 77777);
    assert_false(support_sealed(packet, length));
  }
}

/* Timestamps stay, other options go. */
static void check_bare(unsigned version, const struct sack_case *item, size_t stamps) {
  uint8_t packet[200];
  uint8_t bare[ADIT_REPLAY_BARE];
  uint8_t expected[200];
  size_t length = segment(packet, version, item->options, item->length);
  struct adit_header header = parsed(packet, length);
  size_t got = adit_replay_bare(packet, &header, 4242, bare);
  size_t want = version == 4 ? support_tcp4(expected, "192.168.3.11", "192.168.3.12", 40000, 7, 5, 4242, SUPPORT_ACK,
                                            58, item->options, stamps, NULL, 0)
                             : support_tcp6(expected, "fdad:3::11", "fdad:3::12", 40000, 7, 5, 4242, SUPPORT_ACK, 58,
                                            item->options, stamps, NULL, 0);
  assert_int_equal(got, want);
  assert_memory_equal(bare, expected, want);
}

static void test_bare(void **state) {
  (void)state;
  for (unsigned version = 4; version <= 6; version += 2) {
    check_bare(version, &sack_cases[0], 0);
    check_bare(version, &sack_cases[2], 0);
    check_bare(version, &sack_cases[4], 12);
  }
}

/* Whatever options there were, timestamps take their place; right checksums stay right and wrong ones wrong. */
static void test_stamp(void **state) {
  (void)state;
  static const uint8_t stamped[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const struct adit_timestamps stamps = {.value = 0x01020304, .echo = 0x05060708};
  for (unsigned version = 4; version <= 6; version += 2) {
    for (size_t i = 0; i < sizeof sack_cases / sizeof *sack_cases; i++) {
      uint8_t packet[200];
      uint8_t expected[200];
      size_t length = segment(packet, version, sack_cases[i].options, sack_cases[i].length);
      size_t want = segment(expected, version, stamped, sizeof stamped);
      struct adit_header header = parsed(packet, length);
      struct adit_header same = header;
      if (want > length) assert_false(adit_replay_stamp(packet, &header, want - 1, stamps));
      assert_memory_equal(&header, &same, sizeof header);
      assert_true(support_sealed(packet, length));
      if (i % 2 == 1) packet[length - 1] ^= 1;
      assert_true(adit_replay_stamp(packet, &header, want, stamps));
      if (i % 2 == 1) {
        assert_false(support_sealed(packet, want));
        packet[want - 1] ^= 1;
      }
      assert_memory_equal(packet, expected, want);
      struct adit_header again = parsed(packet, want);
      assert_int_equal(header.length, again.length);
      assert_int_equal(header.payload, again.payload);
      struct adit_timestamps found;
      assert_true(adit_replay_find_stamps(packet, &again, &found));
      assert_int_equal(found.value, stamps.value);
      assert_int_equal(found.echo, stamps.echo);
    }
  }
}

static void test_stamp_too_long(void **state) {
  (void)state;
  static uint8_t packet[65600];
  static uint8_t data[65496];
  size_t length = support_tcp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, 5, 1000, SUPPORT_ACK, 58, NULL, 0,
                               data, 65484);
  struct adit_header header = parsed(packet, length);
  assert_false(adit_replay_stamp(packet, &header, sizeof packet, (struct adit_timestamps){0}));
  assert_true(support_sealed(packet, length));
  length = support_tcp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, 5, 1000, SUPPORT_ACK, 58, NULL, 0, data,
                        65483);
  header = parsed(packet, length);
  assert_true(adit_replay_stamp(packet, &header, sizeof packet, (struct adit_timestamps){0}));
  assert_int_equal(header.length, 65535);
  assert_true(support_sealed(packet, header.length));
}

/* IPv4 options and extension headers of IPv6 are left behind. */
static void test_bare_behind_extensions(void **state) {
  (void)state;
  static const uint8_t hop_by_hop[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  uint8_t packet[200];
  uint8_t bare[ADIT_REPLAY_BARE];
  size_t length = segment(packet, 6, NULL, 0);
  length = support_extend6(packet, length, 0, hop_by_hop, sizeof hop_by_hop);
  struct adit_header header = parsed(packet, length);
  assert_int_equal(header.transport, TCP6 + sizeof hop_by_hop);
  assert_int_equal(adit_replay_bare(packet, &header, 4242, bare), 60);
  assert_true(support_sealed(bare, 60));
  header = parsed(bare, 60);
  assert_int_equal(header.transport, TCP6);
  assert_int_equal(header.tcp_acknowledgment, 4242);
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static void test_finish(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    uint8_t packet[200];
    uint8_t expected[200];
    size_t length = i == 0   ? segment(packet, 4, NULL, 0)
                    : i == 1 ? segment(packet, 6, NULL, 0)
                    : i == 2 ? support_udp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, payload, sizeof payload)
                             : support_udp6(packet, "fdad:3::11", "fdad:3::12", 40000, 7, payload, sizeof payload);
    memcpy(expected, packet, length);
    struct adit_header header = parsed(packet, length);
    assert_false(adit_replay_finish(packet, &header));
    assert_memory_equal(packet, expected, length);
    support_seal_partial(packet, length);
    assert_memory_not_equal(packet, expected, length);
    assert_true(adit_replay_finish(packet, &header));
    assert_memory_equal(packet, expected, length);
    if (header.version == 4) {
      support_put16(packet + 10, 0);
      assert_true(adit_replay_finish(packet, &header));
      assert_memory_equal(packet, expected, length);
      support_put16(packet + 10, 1);
      assert_false(adit_replay_finish(packet, &header));
      assert_int_equal(support_get16(packet + 10), 1);
    }
  }
}

/* A UDP checksum of zero is none, and a sum of zero is written as 0xffff (RFC 768). */
static void test_finish_udp_zero(void **state) {
  (void)state;
  uint8_t packet[200];
  uint8_t two[2] = {0, 0};
  size_t length = support_udp4(packet, "192.168.3.11", "192.168.3.12", 40000, 7, two, 2);
  support_put16(packet + TCP4 + 6, 0);
  struct adit_header header = parsed(packet, length);
  assert_false(adit_replay_finish(packet, &header));
  assert_int_equal(support_get16(packet + TCP4 + 6), 0);
  for (unsigned value = 0; value <= 0xffff; value++) {
    support_put16(packet + TCP4 + 8, value);
    support_seal_partial(packet, length);
    adit_replay_finish(packet, &header);
    assert_true(support_sealed(packet, length));
    assert_int_not_equal(support_get16(packet + TCP4 + 6), 0);
  }
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

struct frame_case {
  const char *name;
  uint8_t between[10]; /* from the first type field to the packet */
  uint32_t length;
  bool ip;
};

static const struct frame_case frame_cases[] = {
    {"IPv4", {0x08, 0x00}, 2, true},
    {"IPv6", {0x86, 0xdd}, 2, true},
    {"a VLAN tag", {0x81, 0x00, 0, 5, 0x08, 0x00}, 6, true},
    {"two VLAN tags", {0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x86, 0xdd}, 10, true},
    {"tags without a type behind", {0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6}, 8, false},
    {"ARP", {0x08, 0x06}, 2, false},
    {"a tag and ARP", {0x81, 0x00, 0, 5, 0x08, 0x06}, 6, false},
};

static void test_unframe(void **state) {
  (void)state;
  struct adit_pool *pool;
  assert_int_equal(adit_pool_new(1, &pool), 0);
  for (size_t i = 0; i < sizeof frame_cases / sizeof frame_cases[0]; i++) {
    const struct frame_case *one = &frame_cases[i];
    struct adit_buffer *buffer = adit_buffer_new(pool);
    assert_non_null(buffer);
    uint8_t *begin = buffer->data;
    memset(begin, 0xee, 12);
    memcpy(begin + 12, one->between, one->length);
    memset(begin + 12 + one->length, 0x45, 40);
    buffer->length = 12 + one->length + 40;
    bool ip = adit_replay_unframe(buffer);
    if (ip != one->ip) fail_msg("%s: expected %d, found %d", one->name, one->ip, ip);
    assert_ptr_equal(buffer->data, one->ip ? begin + 12 + one->length : begin);
    assert_int_equal(buffer->length, one->ip ? 40 : 12 + one->length + 40);
    adit_buffer_unref(buffer);
  }
  adit_pool_free(pool);
}

/* However short a frame is, nothing behind its end is read; and a bare header carries nothing. */
static void test_unframe_short(void **state) {
  (void)state;
  static const uint8_t frame[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0, 0, 5, 0x81, 0, 0, 6, 0x08, 0, 0x45};
  struct adit_pool *pool;
  assert_int_equal(adit_pool_new(1, &pool), 0);
  for (uint32_t length = 0; length <= sizeof frame; length++) {
    struct adit_buffer *buffer = adit_buffer_new(pool);
    assert_non_null(buffer);
    memset(buffer->data, 0x08, 64);
    memcpy(buffer->data, frame, length);
    buffer->length = length;
    bool ip = adit_replay_unframe(buffer);
    if (ip != (length == sizeof frame)) fail_msg("%u bytes: expected %d, found %d", (unsigned)length, !ip, ip);
    adit_buffer_unref(buffer);
  }
  adit_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_acknowledge), cmocka_unit_test(test_wrong_stays_wrong),
      cmocka_unit_test(test_bare),        cmocka_unit_test(test_bare_behind_extensions),
      cmocka_unit_test(test_stamp),       cmocka_unit_test(test_stamp_too_long),
      cmocka_unit_test(test_finish),      cmocka_unit_test(test_finish_udp_zero),
      cmocka_unit_test(test_unframe),     cmocka_unit_test(test_unframe_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
