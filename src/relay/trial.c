/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Whether a SOCKS5 server takes greeting, authentication and request in one go, found out beside the clients.
 *
 * The first connection that a server has answered step by step begins a trial: one more connection, on which all goes
 * out in one go. What it asks for is a relay of datagrams (UDP ASSOCIATE) for nobody in particular: that opens nothing
 * towards anybody, and it is answered at once, with yes or no. Either shows that the request was read. A server that
 * loses it stays silent, and one that does not like it closes; then steps are taken from then on, which is slower by a
 * round trip or two, and never wrong. talk.c draws these conclusions; here is only the connection that nobody
 * waits for. One at a time.
 */
#include "relay/state.h"

static void on_answered(void *user, struct adit_watch *socket, adit_endpoint bound) {
  struct adit_egress *egress = user;
  (void)bound;
  egress->trial = NULL;
  adit_loop_close(egress->relay->loop, socket, adit_watch_free);
}

static void on_failed(void *user, enum adit_refusal how, bool silent, const char *why) {
  struct adit_egress *egress = user;
  (void)how;
  (void)silent;
  (void)why;
  egress->trial = NULL;
}

void adit_trial_begin(struct adit_egress *egress) {
  static const struct adit_connect_events events = {.associated = on_answered, .failed = on_failed};
  const struct adit_target target = {.endpoint.ip.version = 4, .associate = true, .trial = true, .by = egress};
  if (egress->trial) return;
  if (adit_connect_start(egress->relay, &target, &events, egress, &egress->trial) != 0)
    egress->trial = NULL; /* another time */
}

void adit_trial_stop(struct adit_relay *relay) {
  for (struct adit_egress *egress = relay->egresses; egress; egress = egress->next) {
    if (egress->trial) adit_connect_cancel(egress->trial);
    egress->trial = NULL;
  }
}
