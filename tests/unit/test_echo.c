/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Echo: every size, the request's own data and numbers back, right checksums, an owner who answers instead of the stack.
 */
#include "support_ip.h"
#include "support_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define STACK4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define STACK6 "fdad:3::12"

enum { LONGEST4 = 65507, LONGEST6 = 65527 };

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t whole[SUPPORT_PACKET_MAX];
static uint8_t data[65536];

static const struct adit_stack_events no_events;

static size_t build(bool v6, uint16_t id, uint16_t sequence, size_t length) {
  return v6 ? support_echo6(packet, CLIENT6, STACK6, SUPPORT_ECHO_REQUEST6, id, sequence, data, length)
            : support_echo4(packet, CLIENT4, STACK4, SUPPORT_ECHO_REQUEST4, id, sequence, data, length);
}

/* The reply to what is in `packet`, byte by byte but for the identification of IPv4 and the value of the checksum. */
static void check_reply(struct support_lab *lab, size_t mtu, bool v6, uint16_t id, uint16_t sequence, size_t bytes) {
  size_t header = v6 ? 40 : 20;
  size_t length = support_ip_collect(lab, mtu, whole, NULL); /* checks the checksum */
  assert_int_equal(length, header + 8 + bytes);
  assert_int_equal(v6 ? whole[6] : whole[9], v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_int_equal(v6 ? whole[7] : whole[8], 64);
  size_t at = v6 ? 8 : 12;
  size_t size = v6 ? 16 : 4;
  assert_memory_equal(whole + at, packet + at + size, size);
  assert_memory_equal(whole + at + size, packet + at, size);
  assert_int_equal(whole[header], v6 ? SUPPORT_ECHO_REPLY6 : SUPPORT_ECHO_REPLY4);
  assert_int_equal(whole[header + 1], 0);
  assert_int_equal(support_get16(whole + header + 4), id);
  assert_int_equal(support_get16(whole + header + 6), sequence);
  assert_memory_equal(whole + header + 8, data, bytes);
  assert_int_equal(support_ip_waiting(lab), 0);
}

static uint32_t wanted_mtu;

static void with_mtu(struct adit_stack_options *options) {
  options->mtu = wanted_mtu;
  options->offload = 31; /* never applies to ICMP */
}

static void sizes(void **state) {
  static const size_t table[] = {0,    1,    2,    3,    7,    8,    56,   1231,  1232,         1424,     1452,
                                 1453, 1472, 1473, 2944, 2945, 8972, 8973, 60000, LONGEST4 - 1, LONGEST4, LONGEST6};
  static const uint32_t mtus[] = {576, 1280, 1500, 9000, 65520, 65535};
  struct support_lab lab;
  (void)state;
  for (size_t m = 0; m < sizeof mtus / sizeof *mtus; m++) {
    wanted_mtu = mtus[m];
    support_lab_open(&lab, &no_events, with_mtu);
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
      for (int v6 = table[i] > LONGEST4; v6 < 2; v6++) {
        size_t mtu = v6 && mtus[m] < 1280 ? 1280 : mtus[m];
        uint16_t id = (uint16_t)(i * 4096 + m);
        uint16_t sequence = (uint16_t)(65535 - i);
        size_t length = build(v6, id, sequence, table[i]);
        support_fragment(packet, length, mtu, (uint32_t)(m * 100 + i), support_ip_give, &lab);
        check_reply(&lab, mtu, v6, id, sequence, table[i]);
        count++;
      }
    }
    struct adit_stack_stats stats;
    adit_stack_stats(lab.stack, &stats);
    assert_int_equal(stats.echoes, count);
    support_lab_close(&lab);
  }
}

/* Whatever the data, the corrected checksum is right. Two bytes of it run through everything. */
static void checksums(void **state) {
  struct support_lab lab;
  uint64_t seed = 1;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (unsigned i = 0; i < 65536; i++) {
    bool v6 = i % 2;
    size_t bytes = 2 + support_random(&seed) % 30;
    for (size_t at = 2; at < bytes; at++) data[at] = (uint8_t)support_random(&seed);
    support_put16(data, i);
    uint16_t id = (uint16_t)support_random(&seed);
    support_ip_input(&lab, packet, build(v6, id, (uint16_t)i, bytes), NULL);
    check_reply(&lab, 1500, v6, id, (uint16_t)i, bytes);
  }
  /* The corner of RFC 1624: sums around the two zeros. */
  memset(data, 0, 4);
  for (unsigned i = 0; i < 65536; i++) {
    for (int v6 = 0; v6 < 2; v6++) {
      support_ip_input(&lab, packet, build(v6, 0, (uint16_t)i, 4), NULL);
      check_reply(&lab, 1500, v6, 0, (uint16_t)i, 4);
    }
  }
  /* The other zero in the request is as right. */
  support_put16(data, 0);
  size_t length = build(false, 0, 0xf7ff, 2);
  assert_int_equal(support_get16(packet + 22), 0);
  support_put16(packet + 22, 0xffff);
  support_ip_input(&lab, packet, length, NULL);
  check_reply(&lab, 1500, false, 0, 0xf7ff, 2);
  support_lab_close(&lab);
  support_pattern(data, sizeof data);
}

/* A request whose checksum was left to whoever takes it gets a reply with a whole one. */
static void partial_checksum(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t bytes = 0; bytes < 100; bytes++) {
    for (int v6 = 0; v6 < 2; v6++) {
      struct adit_offload offload = {
          .checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = v6 ? 40 : 20, .checksum_offset = 2};
      size_t length = build(v6, 7, 1, bytes);
      support_seal_partial(packet, length);
      support_ip_input(&lab, packet, length, &offload);
      check_reply(&lab, 1500, v6, 7, 1, bytes);
    }
  }
  support_lab_close(&lab);
}

static void through_options_and_extensions(void **state) {
  static const uint8_t option[] = {1, 1, 1, 0};
  static const uint8_t padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  static const uint8_t atomic[8] = {0, 0, 0, 0, 1, 2, 3, 4}; /* a fragment that is whole: RFC 6946 */
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  size_t length = build(false, 7, 1, 30);
  uint8_t message[38];
  memcpy(message, packet + 20, sizeof message);
  length = support_ip4(packet, CLIENT4, STACK4, IPPROTO_ICMP, option, sizeof option, message, sizeof message);
  support_ip_input(&lab, packet, length, NULL);
  check_reply(&lab, 1500, false, 7, 1, 30);
  static const struct {
    uint8_t type;
    const uint8_t *bytes;
  } extensions[] = {{0, padding}, {60, padding}, {44, atomic}};
  for (size_t i = 0; i < 3; i++) {
    length = support_extend6(packet, build(true, 7, (uint16_t)i, 30), extensions[i].type, extensions[i].bytes, 8);
    support_ip_input(&lab, packet, length, NULL);
    check_reply(&lab, 1500, true, 7, (uint16_t)i, 30);
  }
  support_lab_close(&lab);
}

/* ---- an owner who wants to know ----------------------------------------------------------------------------------- */

enum answer { SILENT, ONCE, TWICE, REFUSED };

static struct {
  enum answer answer;
  unsigned count;
  struct adit_echo echo;
  uint8_t bytes[65536];
  int result[2];
} seen;

static void on_echo(void *user, const struct adit_echo *echo) {
  struct support_lab *lab = user;
  size_t length = 0;
  seen.count++;
  seen.echo = *echo;
  for (unsigned i = 0; i < echo->iovcnt; i++) {
    memcpy(seen.bytes + length, echo->iov[i].iov_base, echo->iov[i].iov_len);
    length += echo->iov[i].iov_len;
  }
  assert_int_equal(length, echo->length);
  if (seen.answer == REFUSED) {
    struct adit_datagram datagram = {.local = {echo->local, 0}, .remote = {echo->remote, 0}};
    seen.result[0] = adit_stack_refuse_datagram(lab->stack, &datagram);
    return;
  }
  for (unsigned i = 0; i < (unsigned)seen.answer; i++) seen.result[i] = adit_stack_echo_reply(lab->stack, echo);
}

static void an_owner_answers(void **state) {
  static const struct adit_stack_events events = {.echo = on_echo};
  static const size_t table[] = {0, 1, 56, 3000, LONGEST4};
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (enum answer answer = SILENT; answer <= TWICE; answer++) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
      for (int v6 = 0; v6 < 2; v6++) {
        adit_ip client, stack;
        assert_int_equal(adit_ip_parse(v6 ? CLIENT6 : CLIENT4, &client), 0);
        assert_int_equal(adit_ip_parse(v6 ? STACK6 : STACK4, &stack), 0);
        seen.answer = answer;
        seen.count = 0;
        size_t length = build(v6, 0x1234, 0x5678, table[i]);
        packet[v6 ? 7 : 8] = 17;
        support_seal(packet, length);
        support_fragment(packet, length, 1500, (uint32_t)(answer * 10 + i), support_ip_give, &lab);
        assert_int_equal(seen.count, 1);
        assert_true(adit_ip_equal(seen.echo.local, stack));
        assert_true(adit_ip_equal(seen.echo.remote, client));
        assert_int_equal(seen.echo.id, 0x1234);
        assert_int_equal(seen.echo.sequence, 0x5678);
        assert_int_equal(seen.echo.ttl, 17);
        assert_int_equal(seen.echo.length, table[i]);
        assert_int_equal(seen.echo.iovcnt > 0, table[i] > 0);
        assert_memory_equal(seen.bytes, data, table[i]);
        for (unsigned k = 0; k < (unsigned)answer; k++) {
          assert_int_equal(seen.result[k], 0);
          struct support_out *rest = lab.first;
          assert_non_null(rest);
          size_t got = support_ip_collect(&lab, 1500, whole, NULL);
          assert_int_equal(got, length);
          assert_memory_equal(whole + (v6 ? 48 : 28), data, table[i]);
        }
        assert_int_equal(support_ip_waiting(&lab), 0);
        assert_int_equal(adit_stack_echo_reply(lab.stack, &seen.echo), -EINVAL); /* too late */
        assert_int_equal(support_ip_waiting(&lab), 0);
      }
    }
  }
  seen.answer = REFUSED; /* an echo request is no datagram */
  support_ip_input(&lab, packet, build(false, 1, 1, 10), NULL);
  assert_int_equal(seen.result[0], -EINVAL);
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes),
      cmocka_unit_test(checksums),
      cmocka_unit_test(partial_checksum),
      cmocka_unit_test(through_options_and_extensions),
      cmocka_unit_test(an_owner_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
