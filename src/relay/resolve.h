/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From names to addresses, for an upstream that is direct: by the nameservers of the system, over sockets to the
 * outside.
 */
#ifndef ADIT_RELAY_RESOLVE_H
#define ADIT_RELAY_RESOLVE_H

#include "relay/dns_message.h"
#include "relay/nameservers.h"
#include "relay/state.h"

struct adit_resolver;
struct adit_resolve;

/** Most addresses of a name that are told. */
enum { ADIT_RESOLVE_FOUND = 16 };

/**
 * Make a resolver of one worker. No servers, or `nameservers` NULL: as adit_nameservers_find says.
 * Returns 0 and `*resolver`, owned by the caller; or -ENOMEM, -EIO.
 */
int adit_resolver_new(struct adit_relay *relay, const struct adit_nameservers *nameservers,
                      struct adit_resolver **resolver);

/** Forget everything; nobody is called. Look-ups that are left become invalid. NULL is allowed. */
void adit_resolver_free(struct adit_resolver *resolver);

/** Whether the loop has deferred work of it: then it must not be freed unless the loop will do none any more. */
bool adit_resolver_has_work(const struct adit_resolver *resolver);

/** What becomes of a look-up; exactly one, once, from the loop and never from start. */
struct adit_resolve_events {
  /** Addresses, at least one, best first; borrowed. */
  void (*found)(void *user, const adit_ip *addresses, unsigned count);
  /** `exists` is false when the servers say that there is no such name, or no address of it. `why` is for the log. */
  void (*failed)(void *user, bool exists, const char *why);
};

/**
 * Look up the addresses of `host` (as adit_dns_host writes it; copied), those of `version` first.
 * Returns 0 and `*resolve`, valid until the event or the cancel; or -ENOMEM.
 */
int adit_resolve_start(struct adit_resolver *resolver, const char *host, unsigned version,
                       const struct adit_resolve_events *events, void *user, struct adit_resolve **resolve);

/** Give it up; no event follows. */
void adit_resolve_cancel(struct adit_resolve *resolve);

#endif
