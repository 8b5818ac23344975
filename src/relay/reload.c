/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Other options for a relay that runs.
 *
 * Twice around all workers, each in its own thread: first everything is made that may fail to be (memory, sockets),
 * beside what is there; only when all have it, each takes it, which cannot fail. So either all workers change or none.
 * Parts that were made for a reload that did not come about lie idle until the next one or the end.
 *
 * What is replaced is the egress (egress.c). What was learnt of an upstream is kept when it is the same one.
 */
#include "relay/state.h"
#include "runtime/runtime.h"

#include <errno.h>

/* What one worker is to do; lives while its caller waits. */
struct step {
  struct adit_worker *worker;
  const struct adit_relay_options *options;
  int error;
};

/* In the worker's thread, as the next two. */
static void forget(void *user) {
  const struct step *step = user;
  struct adit_relay *relay = adit_worker_state(step->worker);
  if (relay->next_egress) adit_egress_release(relay->next_egress);
  relay->next_egress = NULL;
}

static void prepare(void *user) {
  struct step *step = user;
  struct adit_relay *relay = adit_worker_state(step->worker);
  forget(user);
  step->error = adit_egress_new(relay, step->options, &relay->next_egress);
  if (!step->error) step->error = adit_relay_prepare(relay, relay->next_egress);
}

static void take(void *user) {
  const struct step *step = user;
  struct adit_relay *relay = adit_worker_state(step->worker);
  struct adit_egress *old = relay->egress;
  enum adit_relay_dns before = old->options->dns;
  if (adit_upstream_equal(&old->options->upstream, &relay->next_egress->options->upstream)) {
    relay->next_egress->manner = old->manner;
    relay->next_egress->udp_held_until_ns = old->udp_held_until_ns;
  } else {
    relay->upstream_limit = (struct adit_log_limit){0}; /* what is wrong with the new one is said at once */
  }
  adit_relay_take(relay, relay->next_egress);
  relay->next_egress = NULL;
  if (relay->udp) adit_udp_renew(relay);
  if (relay->pings) adit_ping_renew(relay);
  if (before == ADIT_RELAY_DNS_FORWARD && relay->options->dns != before) adit_dns_dismiss(relay);
  if (before == ADIT_RELAY_DNS_FAKE && relay->options->dns != before) adit_fake_dismiss(relay);
  adit_egress_release(old);
}

/* Have it done by each worker, up to the first that fails. */
static int in_all(struct adit_runtime *runtime, void (*run)(void *user), const struct adit_relay_options *options) {
  for (unsigned i = 0; i < adit_runtime_workers(runtime); i++) {
    struct step step = {.worker = adit_runtime_worker(runtime, i), .options = options};
    int error = adit_worker_call(step.worker, run, &step);
    if (error) return error == -ECANCELED ? -ESHUTDOWN : error;
    if (step.error) return step.error;
  }
  return 0;
}

int adit_relay_reload(struct adit_runtime *runtime, const struct adit_relay_options *options) {
  int error = in_all(runtime, prepare, options);
  if (!error) return in_all(runtime, take, options);
  (void)in_all(runtime, forget, options);
  return error;
}
