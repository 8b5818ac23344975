/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A worker's way out by one set of options.
 *
 * Whoever goes out does so by the worker's current egress (relay->egress) and holds that one as long as it lasts. A
 * reload makes another one current; connections that are there keep theirs, time-outs included, and an attempt that is
 * under way goes on to the proxy with the password with which it began. The last of them takes the old options with it.
 *
 * All egresses of a worker are in one list, those that wait to be taken down among them (no references). They are taken
 * down by deferred work: the reference may have been let go by a callback of the egress's own resolver or line.
 *
 * A copy of the options for each worker costs a kilobyte, and spares all workers an atomic count for each connection.
 */
#include "relay/egress.h"

#include "relay/dns_line.h"
#include "relay/resolve.h"
#include "relay/state.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* What adit_egress_new makes. */
struct owner {
  struct adit_egress egress; /* first member */
  struct adit_relay_options options;
  char interface[IF_NAMESIZE];
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void take_down(struct adit_egress *egress) {
  struct owner *owner = (struct owner *)egress; /* its first member */
  adit_resolver_free(egress->resolver);
  adit_dns_line_free(egress->line);
  adit_upstream_clear(&owner->options.upstream);
  free(owner);
}

/* Work that the loop still has in its queue must not be freed, except when the loop will do none any more. */
static bool has_work(const struct adit_egress *egress) {
  return (egress->line && adit_dns_line_has_work(egress->line)) ||
         (egress->resolver && adit_resolver_has_work(egress->resolver));
}

/* Returns whether all that nobody holds are gone. */
static bool bury(struct adit_relay *relay, bool at_the_end) {
  bool all = true;
  struct adit_egress **link = &relay->egresses;
  while (*link) {
    struct adit_egress *egress = *link;
    bool waits = egress->references == 0 && !at_the_end && has_work(egress);
    all &= !waits;
    if (egress->references > 0 || waits) {
      link = &egress->next;
      continue;
    }
    *link = egress->next;
    take_down(egress);
  }
  return all;
}

static void bury_later(void *user, struct adit_work *work) {
  struct adit_relay *relay = user;
  if (!bury(relay, false)) adit_loop_defer(relay->loop, work);
}

void adit_egress_bury(struct adit_relay *relay) {
  (void)bury(relay, true);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

int adit_egress_new(struct adit_relay *relay, const struct adit_relay_options *options, struct adit_egress **egress) {
  size_t length = options->interface ? strlen(options->interface) : 0;
  if (length >= IF_NAMESIZE) return -EINVAL;
  struct owner *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->options = *options;
  if (options->interface) {
    memcpy(made->interface, options->interface, length);
    made->options.interface = made->interface;
  }
  made->egress.options = &made->options;
  made->egress.relay = relay;
  made->egress.references = 1;
  made->egress.next = relay->egresses;
  relay->bury.run = bury_later;
  relay->bury.user = relay;
  relay->egresses = &made->egress;
  *egress = &made->egress;
  return 0;
}

struct adit_egress *adit_egress_hold(struct adit_egress *egress) {
  egress->references++;
  return egress;
}

void adit_egress_release(struct adit_egress *egress) {
  struct adit_relay *relay = egress->relay;
  assert(egress->references > 0);
  if (--egress->references > 0) return;
  adit_loop_defer(relay->loop, &relay->bury);
}
