/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From names to addresses, for an upstream that is direct: by the nameservers of the system, over sockets to the
 * outside.
 */
#ifndef ADIT_RELAY_RESOLVE_H
#define ADIT_RELAY_RESOLVE_H

#include "relay/dns_message.h"
#include "relay/state.h"

struct adit_resolver;
struct adit_resolve;

enum {
  ADIT_RESOLVE_MOST = 8,   /**< most addresses of one family that are looked at */
  ADIT_RESOLVE_FOUND = 16, /**< most addresses of a name that are told */
  ADIT_RESOLVE_SERVERS = 3 /**< most nameservers, as with resolv.conf(5) */
};

/** Whom to ask, and how patiently; zero is the default. */
struct adit_resolver_options {
  adit_endpoint server[ADIT_RESOLVE_SERVERS];
  unsigned servers;
  uint32_t try_ms; /**< how long each server is waited for, each time; 0 = 2 s */
  unsigned rounds; /**< how often each is asked; 0 = 2 */
};

/**
 * Make the resolver of one worker. `options` NULL: as /etc/resolv.conf says now; where that names only the stub of
 * systemd-resolved, the servers that stands for (/run/systemd/resolve/resolv.conf), since the stub's own questions
 * would go into the device and come back with addresses that we made up. Returns 0 and `*resolver`, owned by the
 * caller; or -ENOMEM.
 */
int adit_resolver_new(struct adit_relay *relay, const struct adit_resolver_options *options,
                      struct adit_resolver **resolver);

/** Forget everything; nobody is called. Look-ups that are left become invalid. NULL is allowed. */
void adit_resolver_free(struct adit_resolver *resolver);

/** Read resolv.conf(5) text: the numeric nameservers in it, at most ADIT_RESOLVE_SERVERS. Returns their number. */
unsigned adit_resolver_parse(const char *text, adit_endpoint server[ADIT_RESOLVE_SERVERS]);

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
