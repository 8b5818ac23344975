/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is said about packets that are gone: errors that quote them, and echo replies of others.
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
#define FAR4 "203.0.113.7"
#define ROUTER4 "198.51.100.1"
#define CLIENT6 "fdad:3::11"
#define FAR6 "2001:db8::7"
#define ROUTER6 "2001:db8:1::1"

enum { LONGEST4 = 65507, LONGEST6 = 65527, MOST4 = 576, MOST6 = 1280 };

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t whole[SUPPORT_PACKET_MAX];
static uint8_t data[65536];

static const struct adit_stack_events no_events;
static const adit_ip nobody;

static adit_ip ip_of(const char *text) {
  adit_ip ip;
  assert_int_equal(adit_ip_parse(text, &ip), 0);
  return ip;
}

static adit_endpoint at(const char *text, uint16_t port) {
  return (adit_endpoint){ip_of(text), port};
}

/* A second is enough for any number of errors that a test sends. */
static void open_lab(struct support_lab *lab) {
  support_lab_open(lab, &no_events, NULL);
  support_lab_pass(lab, UINT64_C(1000000000));
}

/* What the error that came out must be, when `length` bytes in `packet` are what it is about. */
static void check_error(struct support_lab *lab, bool v6, const char *from, uint8_t type, uint8_t code, size_t length) {
  size_t header = v6 ? 40 : 20;
  size_t most = (v6 ? MOST6 : MOST4) - header - 8;
  size_t quoted = length < most ? length : most;
  size_t got = support_ip_collect(lab, 1500, whole, NULL);
  adit_ip source = ip_of(from);
  adit_ip client = ip_of(v6 ? CLIENT6 : CLIENT4);
  assert_int_equal(got, header + 8 + quoted);
  assert_memory_equal(whole + (v6 ? 8 : 12), source.bytes, v6 ? 16 : 4);
  assert_memory_equal(whole + (v6 ? 24 : 16), client.bytes, v6 ? 16 : 4);
  assert_int_equal(v6 ? whole[6] : whole[9], v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_int_equal(whole[header], type);
  assert_int_equal(whole[header + 1], code);
  assert_int_equal(support_get32(whole + header + 4), 0);
  /* What was quoted is as the client had sent it, but for the identification and, where it was cut, lengths and
     checksums, which are as if that were all. */
  uint8_t *quote = whole + header + 8;
  if (!v6) support_put16(packet + 4, support_get16(quote + 4));
  if (quoted < length) {
    support_put16(packet + (v6 ? 4 : 2), (uint32_t)(v6 ? quoted - 40 : quoted));
    if (packet[v6 ? 6 : 9] == IPPROTO_UDP) support_put16(packet + header + 4, (uint32_t)(quoted - header));
  }
  support_seal(packet, quoted);
  assert_memory_equal(quote, packet, quoted);
  assert_int_equal(support_ip_waiting(lab), 0);
}

static const struct {
  enum adit_refusal how;
  uint8_t type4, code4, type6, code6;
} kinds[] = {
    {ADIT_REFUSE_RESET, 3, 3, 1, 4},
    {ADIT_REFUSE_NET_UNREACHABLE, 3, 0, 1, 0},
    {ADIT_REFUSE_HOST_UNREACHABLE, 3, 1, 1, 3},
    {ADIT_REFUSE_PROHIBITED, 3, 13, 1, 1},
    {ADIT_REFUSE_TTL_EXPIRED, 11, 0, 3, 0},
};

static void datagrams(void **state) {
  static const size_t sizes[] = {0, 1, 8, 100, 519, 520, 521, 1183, 1184, 1185, 1232, 60000};
  struct support_lab lab;
  (void)state;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    open_lab(&lab);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (int v6 = 0; v6 < 2; v6++) {
        bool reported = i % 2;
        const char *router = v6 ? ROUTER6 : ROUTER4;
        const char *far = v6 ? FAR6 : FAR4;
        size_t half = sizes[i] / 2;
        struct iovec iov[3] = {{data, half}, {NULL, 0}, {data + half, sizes[i] - half}};
        assert_int_equal(adit_stack_send_unreachable(lab.stack, at(far, 53), at(v6 ? CLIENT6 : CLIENT4, 40000),
                                                     kinds[k].how, reported ? ip_of(router) : nobody, iov, 3),
                         0);
        size_t length = v6 ? support_udp6(packet, CLIENT6, FAR6, 40000, 53, data, sizes[i])
                           : support_udp4(packet, CLIENT4, FAR4, 40000, 53, data, sizes[i]);
        check_error(&lab, v6, reported ? router : far, v6 ? kinds[k].type6 : kinds[k].type4,
                    v6 ? kinds[k].code6 : kinds[k].code4, length);
      }
    }
    support_lab_close(&lab);
  }
}

static void echo_requests(void **state) {
  static const size_t sizes[] = {0, 1, 56, 519, 520, 521, 1183, 1184, 1185, 60000};
  struct support_lab lab;
  (void)state;
  for (size_t k = 1; k < sizeof kinds / sizeof *kinds; k++) { /* all but the port */
    open_lab(&lab);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (int v6 = 0; v6 < 2; v6++) {
        bool reported = i % 2;
        const char *router = v6 ? ROUTER6 : ROUTER4;
        const char *far = v6 ? FAR6 : FAR4;
        struct iovec iov = {data, sizes[i]};
        assert_int_equal(adit_stack_send_echo_error(lab.stack, ip_of(far), ip_of(v6 ? CLIENT6 : CLIENT4), 0x1234,
                                                    (uint16_t)i, kinds[k].how, reported ? ip_of(router) : nobody, &iov,
                                                    1),
                         0);
        size_t length = v6 ? support_echo6(packet, CLIENT6, FAR6, SUPPORT_ECHO_REQUEST6, 0x1234, (uint16_t)i, data,
                                           sizes[i])
                           : support_echo4(packet, CLIENT4, FAR4, SUPPORT_ECHO_REQUEST4, 0x1234, (uint16_t)i, data,
                                           sizes[i]);
        check_error(&lab, v6, reported ? router : far, v6 ? kinds[k].type6 : kinds[k].type4,
                    v6 ? kinds[k].code6 : kinds[k].code4, length);
      }
    }
    support_lab_close(&lab);
  }
}

/* A reporter of the other version cannot be the source. */
static void reporter_of_another_version(void **state) {
  struct support_lab lab;
  (void)state;
  open_lab(&lab);
  assert_int_equal(adit_stack_send_unreachable(lab.stack, at(FAR4, 53), at(CLIENT4, 40000), ADIT_REFUSE_RESET,
                                               ip_of(ROUTER6), NULL, 0),
                   0);
  check_error(&lab, false, FAR4, 3, 3, support_udp4(packet, CLIENT4, FAR4, 40000, 53, data, 0));
  support_lab_close(&lab);
}

static void what_makes_no_sense(void **state) {
  struct support_lab lab;
  (void)state;
  open_lab(&lab);
  const enum adit_refusal no_kind = ADIT_REFUSALS;
  struct iovec iov = {data, 10};
  adit_endpoint none = {nobody, 53};
  assert_int_equal(
      adit_stack_send_unreachable(lab.stack, at(FAR6, 1), at(CLIENT4, 1), ADIT_REFUSE_RESET, nobody, &iov, 1), -EINVAL);
  assert_int_equal(adit_stack_send_unreachable(lab.stack, none, none, ADIT_REFUSE_RESET, nobody, &iov, 1), -EINVAL);
  assert_int_equal(adit_stack_send_unreachable(lab.stack, at(FAR4, 1), at(CLIENT4, 1), no_kind, nobody, &iov, 1),
                   -EINVAL);
  assert_int_equal(
      adit_stack_send_echo_error(lab.stack, ip_of(FAR4), ip_of(CLIENT4), 1, 1, ADIT_REFUSE_RESET, nobody, &iov, 1),
      -EINVAL);
  assert_int_equal(
      adit_stack_send_echo_error(lab.stack, ip_of(FAR4), ip_of(CLIENT6), 1, 1, ADIT_REFUSE_PROHIBITED, nobody, &iov, 1),
      -EINVAL);
  assert_int_equal(adit_stack_send_echo_reply(lab.stack, ip_of(FAR4), ip_of(CLIENT6), 1, 1, 0, &iov, 1), -EINVAL);
  assert_int_equal(adit_stack_send_echo_reply(lab.stack, nobody, nobody, 1, 1, 0, &iov, 1), -EINVAL);
  iov.iov_len = LONGEST4 + 1;
  assert_int_equal(adit_stack_send_echo_reply(lab.stack, ip_of(FAR4), ip_of(CLIENT4), 1, 1, 0, &iov, 1), -EMSGSIZE);
  iov.iov_len = LONGEST6 + 1;
  assert_int_equal(adit_stack_send_echo_reply(lab.stack, ip_of(FAR6), ip_of(CLIENT6), 1, 1, 0, &iov, 1), -EMSGSIZE);
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

/* The bound on errors holds for these too, and both kinds draw from it. */
static void bounded(void **state) {
  struct support_lab lab;
  (void)state;
  open_lab(&lab);
  for (unsigned i = 0; i < 500; i++) {
    assert_int_equal(
        adit_stack_send_unreachable(lab.stack, at(FAR4, 53), at(CLIENT4, 40000), ADIT_REFUSE_RESET, nobody, NULL, 0),
        0);
    assert_int_equal(adit_stack_send_echo_error(lab.stack, ip_of(FAR4), ip_of(CLIENT4), 1, 1,
                                                ADIT_REFUSE_HOST_UNREACHABLE, nobody, NULL, 0),
                     0);
  }
  assert_int_equal(support_ip_waiting(&lab), 100);
  support_ip_forget(&lab);
  support_lab_close(&lab);
}

static void echo_replies(void **state) {
  static const size_t sizes[] = {0, 1, 2, 3, 56, 57, 1452, 1472, 1473, 9000, LONGEST4 - 1, LONGEST4, LONGEST6};
  static const uint8_t ttls[] = {0, 1, 54, 64, 255};
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (size_t t = 0; t < sizeof ttls; t++) {
      for (int v6 = sizes[i] > LONGEST4; v6 < 2; v6++) {
        size_t half = sizes[i] / 3;
        struct iovec iov[2] = {{data, half}, {data + half, sizes[i] - half}};
        assert_int_equal(adit_stack_send_echo_reply(lab.stack, ip_of(v6 ? FAR6 : FAR4), ip_of(v6 ? CLIENT6 : CLIENT4),
                                                    0xfedc, (uint16_t)i, ttls[t], iov, 2),
                         0);
        size_t length = v6 ? support_echo6(packet, FAR6, CLIENT6, SUPPORT_ECHO_REPLY6, 0xfedc, (uint16_t)i, data,
                                           sizes[i])
                           : support_echo4(packet, FAR4, CLIENT4, SUPPORT_ECHO_REPLY4, 0xfedc, (uint16_t)i, data,
                                           sizes[i]);
        size_t got = support_ip_collect(&lab, 1500, whole, NULL);
        packet[v6 ? 7 : 8] = ttls[t] ? ttls[t] : 64;
        if (!v6) memcpy(packet + 4, whole + 4, 2); /* identification is random */
        support_seal(packet, length);
        assert_int_equal(got, length);
        assert_memory_equal(whole, packet, length);
      }
    }
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(datagrams),
      cmocka_unit_test(echo_requests),
      cmocka_unit_test(reporter_of_another_version),
      cmocka_unit_test(what_makes_no_sense),
      cmocka_unit_test(bounded),
      cmocka_unit_test(echo_replies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
