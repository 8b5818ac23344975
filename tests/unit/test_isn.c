/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Initial sequence numbers as RFC 6528 wants them.
 */
#include "support_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t secret_byte;
static uint64_t start_ns;

static void change(struct adit_stack_options *options) {
  options->secret[3] ^= secret_byte;
  options->now_ns += start_ns;
}

/* The number that a stack with this secret chooses at this time for a connection; addresses may be NULL. */
static uint32_t number(uint8_t secret, uint64_t after_ns, bool ipv6, uint16_t port, uint16_t server_port,
                       const char *client, const char *server) {
  struct support_world world;
  secret_byte = secret;
  start_ns = after_ns;
  support_world_open(&world, 1, change);
  struct support_peer peer = support_peer_at(&world, ipv6, port);
  peer.server_port = server_port;
  if (client) peer.address = client;
  if (server) peer.server = server;
  support_peer_connect(&peer);
  support_world_close(&world);
  return peer.begin;
}

static void test_equal_tuple_time_and_secret_give_equal_numbers(void **state) {
  (void)state;
  for (int ipv6 = 0; ipv6 < 2; ipv6++)
    assert_int_equal(number(0, 0, ipv6, 1000, 80, NULL, NULL), number(0, 0, ipv6, 1000, 80, NULL, NULL));
}

static void test_each_part_of_the_tuple_counts(void **state) {
  (void)state;
  const uint32_t numbers[] = {
      number(0, 0, false, 1000, 80, NULL, NULL),
      number(0, 0, false, 1001, 80, NULL, NULL),
      number(0, 0, false, 1000, 81, NULL, NULL),
      number(0, 0, false, 80, 1000, NULL, NULL),
      number(0, 0, false, 1000, 80, "192.168.3.13", NULL),
      number(0, 0, false, 1000, 80, NULL, "192.168.3.13"),
      number(0, 0, true, 1000, 80, NULL, NULL),
      number(0, 0, true, 1000, 80, "fdad:3::13", NULL),
      number(0, 0, true, 1000, 80, NULL, "fdad:3::13"),
      number(0, 0, false, 1000, 80, "192.168.3.12", "192.168.3.11"),
  };
  const size_t count = sizeof numbers / sizeof *numbers;
  for (size_t i = 0; i < count; i++)
    for (size_t j = i + 1; j < count; j++) assert_true(abs((int32_t)(numbers[i] - numbers[j])) > 1000);
}

static void test_secret_counts(void **state) {
  (void)state;
  uint32_t all[32];
  for (uint8_t i = 0; i < 32; i++) {
    all[i] = number(i, 0, false, 1000, 80, NULL, NULL);
    for (uint8_t j = 0; j < i; j++) assert_int_not_equal(all[i], all[j]);
  }
}

static void test_grows_by_one_every_four_microseconds(void **state) {
  (void)state;
  static const uint64_t after_us[] = {3, 4, 40, 4000000, UINT64_C(5) * 60 * 1000000, UINT64_C(18) * 3600 * 1000000};
  uint32_t first = number(0, 0, false, 1000, 80, NULL, NULL);
  for (size_t i = 0; i < sizeof after_us / sizeof *after_us; i++) {
    uint32_t later = number(0, after_us[i] * 1000, false, 1000, 80, NULL, NULL);
    assert_int_equal(later - first, (uint32_t)(after_us[i] / 4));
  }
}

static void test_grows_within_one_stack(void **state) {
  (void)state;
  struct support_world world;
  secret_byte = 0;
  start_ns = 0;
  support_world_open(&world, 3, change);
  uint32_t before = 0;
  for (unsigned i = 0; i < 3; i++) {
    struct support_peer peer = support_peer_at(&world, false, 1000);
    support_peer_connect(&peer);
    if (i > 0) assert_int_equal(peer.begin - before, 250000);
    before = peer.begin;
    adit_flow_abort(world.owners[i].flow);
    support_lab_flush(&world.lab);
    support_peer_skip(&peer);
    support_lab_pass(&world.lab, SUPPORT_S);
  }
  support_world_close(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equal_tuple_time_and_secret_give_equal_numbers),
      cmocka_unit_test(test_each_part_of_the_tuple_counts),
      cmocka_unit_test(test_secret_counts),
      cmocka_unit_test(test_grows_by_one_every_four_microseconds),
      cmocka_unit_test(test_grows_within_one_stack),
  };
  return cmocka_run_group_tests_name("isn", tests, NULL, NULL);
}
