/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * How much each flow has carried, and the walk over all flows.
 */
#include "stack/core.h"
#include "stack/httpd.h"
#include "support_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, PEERS = 300, BODY = 100 };
#define FOUR_GIGABYTES (UINT64_C(1) << 32)

static struct support_world world;
static struct support_peer peer;

static int open_world(void **state) {
  (void)state;
  support_world_open(&world, PEERS, NULL);
  world.reads = true;
  peer = support_peer_at(&world, false, PORT);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

static void assert_carried(const struct adit_flow *flow, uint64_t up, uint64_t down) {
  assert_int_equal(adit_flow_carried_up(flow), up);
  assert_int_equal(adit_flow_carried_down(flow), down);
}

/* The client's sequence numbers wrap, the sums pass 32 bits, and neither SYN nor FIN is a byte. */
static void test_bytes_both_ways(void **state) {
  (void)state;
  peer.first = UINT32_MAX - 4;
  support_peer_connect(&peer);
  struct adit_flow *flow = world.owners[0].flow;
  assert_carried(flow, 0, 0);
  support_peer_send(&peer, SUPPORT_PSH, "twelve bytes", 12);
  adit_stack_flush(world.lab.stack);
  assert_carried(flow, 12, 0);
  assert_int_equal(adit_flow_write(flow, "seven b", 7), 7);
  adit_stack_flush(world.lab.stack);
  assert_carried(flow, 12, 0); /* not acknowledged yet */
  support_peer_run(&peer);
  assert_carried(flow, 12, 7);

  flow->carried_up += FOUR_GIGABYTES;
  flow->carried_down += FOUR_GIGABYTES;
  support_peer_send(&peer, SUPPORT_PSH, "abc", 3);
  assert_int_equal(adit_flow_write(flow, "de", 2), 2);
  support_peer_run(&peer);
  assert_carried(flow, FOUR_GIGABYTES + 15, FOUR_GIGABYTES + 9);

  support_peer_send(&peer, SUPPORT_FIN, "last", 4);
  support_peer_run(&peer);
  assert_carried(flow, FOUR_GIGABYTES + 19, FOUR_GIGABYTES + 9);
  assert_int_equal(adit_flow_write(flow, "end", 3), 3);
  support_peer_run(&peer);
  assert_carried(flow, FOUR_GIGABYTES + 19, FOUR_GIGABYTES + 12);
}

static void test_own_end_is_no_byte(void **state) {
  (void)state;
  support_peer_connect(&peer);
  struct adit_flow *flow = world.owners[0].flow;
  assert_int_equal(adit_flow_write(flow, "five!", 5), 5);
  adit_flow_shutdown(flow);
  support_peer_run(&peer);
  assert_true(peer.fin);
  assert_carried(flow, 0, 5);
  support_peer_send(&peer, SUPPORT_PSH, "more", 4);
  support_peer_run(&peer);
  assert_carried(flow, 4, 5);
}

/* What comes twice, or ahead of a gap, is not carried. */
static void test_only_in_order(void **state) {
  (void)state;
  support_peer_connect(&peer);
  struct adit_flow *flow = world.owners[0].flow;
  uint32_t begin = peer.next;
  support_peer_raw(&peer, begin + 3, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "def", 3);
  adit_stack_flush(world.lab.stack);
  assert_carried(flow, 0, 0);
  support_peer_raw(&peer, begin, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "abc", 3);
  adit_stack_flush(world.lab.stack);
  assert_carried(flow, 6, 0);
  support_peer_raw(&peer, begin, peer.expected, SUPPORT_ACK, 1000, NULL, 0, "abc", 3);
  adit_stack_flush(world.lab.stack);
  assert_carried(flow, 6, 0);
  peer.next += 6;
  support_peer_skip(&peer);
}

static size_t read_content(void *handle, uint64_t offset, void *buffer, size_t length) {
  (void)handle;
  (void)offset;
  memset(buffer, 'x', length);
  return length;
}

static int open_content(void *user, const char *path, adit_endpoint local, adit_endpoint remote,
                        struct adit_httpd_file *file) {
  (void)user;
  (void)path;
  (void)local;
  (void)remote;
  *file = (struct adit_httpd_file){.status = 200, .type = "text/plain", .length = BODY, .read = read_content};
  return 0;
}

static void take_one(void *user, const struct adit_flow *flow) {
  const struct adit_flow **one = user;
  *one = flow;
}

static void test_httpd(void **state) {
  (void)state;
  static const struct adit_httpd_content content = {.open = open_content};
  static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const struct adit_flow *flow = NULL;
  assert_int_equal(adit_httpd_start(world.lab.stack, &content, NULL), 0);
  world.holds = true;
  support_peer_syn(&peer);
  assert_int_equal(adit_httpd_accept(world.owners[0].flow), 0);
  support_peer_run(&peer);
  support_peer_send(&peer, SUPPORT_PSH, request, sizeof request - 1);
  support_peer_run(&peer);
  assert_true(peer.fin);
  adit_stack_flows(world.lab.stack, take_one, &flow);
  assert_non_null(flow);
  assert_carried(flow, sizeof request - 1, peer.length);
  assert_true(peer.length > BODY);
}

struct seen {
  unsigned in_state[ADIT_FLOW_STATES];
  bool port[PEERS];
};

static void see(void *user, const struct adit_flow *flow) {
  struct seen *seen = user;
  unsigned number = adit_flow_remote(flow).port - PORT;
  assert_in_range(number, 0, PEERS - 1);
  assert_false(seen->port[number]); /* each once */
  seen->port[number] = true;
  seen->in_state[adit_flow_state(flow)]++;
}

/* More flows than the table has chains at first; a third of them parked, and one that has ended. */
static void test_all_are_shown(void **state) {
  (void)state;
  struct seen seen = {0};
  struct support_peer peers[PEERS];
  adit_stack_flows(world.lab.stack, see, &seen);
  for (unsigned i = 0; i < PEERS; i++) {
    peers[i] = support_peer_at(&world, i % 2 == 0, (uint16_t)(PORT + i));
    world.holds = i % 3 == 0;
    if (world.holds)
      support_peer_syn(&peers[i]);
    else
      support_peer_connect(&peers[i]);
  }
  adit_stack_flows(world.lab.stack, see, &seen);
  assert_int_equal(seen.in_state[ADIT_FLOW_PARKED], PEERS / 3);
  assert_int_equal(seen.in_state[ADIT_FLOW_ESTABLISHED], PEERS - PEERS / 3);
  assert_int_equal(adit_flow_begun(world.owners[0].flow), adit_stack_now(world.lab.stack));

  support_peer_raw(&peers[1], peers[1].next, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  adit_stack_flush(world.lab.stack);
  memset(&seen, 0, sizeof seen);
  adit_stack_flows(world.lab.stack, see, &seen);
  assert_int_equal(seen.in_state[ADIT_FLOW_ESTABLISHED], PEERS - PEERS / 3 - 1);
  assert_false(seen.port[1]);
  for (unsigned i = 0; i < PEERS; i++) support_peer_free(&peers[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_bytes_both_ways, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_own_end_is_no_byte, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_only_in_order, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_httpd, open_world, close_world),
      cmocka_unit_test_setup_teardown(test_all_are_shown, open_world, close_world),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
