/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * SYNs whose options end in the middle of one: nothing behind them is read (seen under the address sanitizer), and they
 * are answered like any other.
 */
#include "support_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { FIRST_PORT = 40000, OPTIONS = 40, WINDOW = 1000 };

static struct support_world world;

/* `kind` is the last byte of the options; what should follow it is not there. */
static void check_syn(bool ipv6, uint16_t port, size_t length, uint8_t kind) {
  uint8_t options[OPTIONS];
  struct support_segment segment;
  memset(options, 1, sizeof options); /* no operation */
  options[length - 1] = kind;
  struct support_peer peer = support_peer_at(&world, ipv6, port);
  support_peer_raw(&peer, peer.first, 0, SUPPORT_SYN, WINDOW, options, length, NULL, 0);
  peer.next = peer.first + 1;
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.next);
  support_segment_free(&segment);
  support_peer_free(&peer);
}

static void test_cut_options(void **state) {
  (void)state;
  static const uint8_t kinds[] = {2, 3, 4, 5, 8, 99}; /* MSS, window scale, SACK, time stamps, unknown */
  uint16_t port = FIRST_PORT;
  support_world_open(&world, 200, NULL);
  for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) /* all lengths: what is allocated may be rounded up */
    for (size_t length = 4; length <= OPTIONS; length += 4)
      for (size_t i = 0; i < sizeof kinds; i++) check_syn(ipv6, port++, length, kinds[i]);
  support_world_close(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cut_options)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
