/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Owners that act on a flow that is gone, before they have heard of it.
 */
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000 };

static struct support_world world;

static void park_one(struct adit_stack_options *options) {
  options->parked = 1;
}

static void do_accept(struct adit_flow *flow) {
  assert_int_equal(adit_flow_accept(flow), 0);
}

static void do_refuse(struct adit_flow *flow) {
  assert_int_equal(adit_flow_refuse(flow, ADIT_REFUSE_PROHIBITED), 0);
}

static void do_drop(struct adit_flow *flow) {
  assert_int_equal(adit_flow_drop(flow), 0);
}

static void do_nothing(struct adit_flow *flow) {
  (void)flow;
}

/*
 * The second SYN takes the place of the first in the park. The owner of the first has not heard of it, and answers; then
 * either the flush tells it, or the stack ends before. Nothing is sent for it, and nothing of it is left
 * (support_world_close).
 */
static void test_acts_on_what_is_gone(void **state) {
  (void)state;
  static const struct {
    void (*act)(struct adit_flow *flow);
    const char *heard; /* with a flush */
  } cases[] = {{do_nothing, "SC"}, {do_accept, "SC"},      {do_refuse, "S"},
               {do_drop, "S"},     {adit_flow_close, "S"}, {adit_flow_abort, "S"}};
  for (unsigned i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
    support_world_open(&world, 2, park_one);
    world.holds = true;
    for (unsigned client = 0; client < 2; client++) {
      struct support_peer peer = support_peer_at(&world, false, (uint16_t)(PORT + client));
      support_peer_syn(&peer);
    }
    struct support_owner *owner = &world.owners[0];
    assert_int_equal(support_world_stats(&world).drops[ADIT_DROP_PARKED], 1);
    cases[i / 2].act(owner->flow);
    if (i % 2) {
      support_lab_flush(&world.lab);
      support_assert_heard(owner, cases[i / 2].heard);
      if (owner->closed) assert_int_equal(owner->error, -ENOBUFS);
    }
    support_world_expect_silence(&world);
    support_world_close(&world);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_acts_on_what_is_gone)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
