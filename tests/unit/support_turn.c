/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a worker does for a relay, for tests that turn the loop by hand.
 */
#include "support_turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void keep(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  struct support_said *said = user;
  (void)flow;
  if (level > said->level) return;
  said->count++;
  snprintf(said->last, sizeof said->last, "%s", text);
}

struct adit_log support_said_log(struct support_said *said) {
  return (struct adit_log){.write = keep, .user = said, .level = ADIT_LOG_DEBUG};
}

static void on_event(void *user, struct adit_watch *watch, uint32_t events) {
  struct adit_relay_socket *socket = (struct adit_relay_socket *)watch; /* its first member */
  (void)user;
  socket->ready(socket, events);
}

void support_turn_events(struct adit_loop *loop, uint64_t due_ns) {
  assert_true(adit_loop_wait(loop, due_ns) >= 0);
  adit_loop_dispatch(loop, on_event, NULL);
}
