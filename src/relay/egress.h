/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A worker's way out by one set of options: what a reload replaces, and what lives until nobody uses it any more.
 */
#ifndef ADIT_RELAY_EGRESS_H
#define ADIT_RELAY_EGRESS_H

#include "relay/relay.h"

struct adit_connect;
struct adit_relay;
struct adit_dns_line;
struct adit_resolver;

/** Whether a SOCKS5 server takes greeting, authentication and request in one go. */
enum adit_socks5_manner {
  ADIT_SOCKS5_UNKNOWN, /**< not known yet: each message waits for the answer to the one before */
  ADIT_SOCKS5_AT_ONCE, /**< it has done so before */
  ADIT_SOCKS5_IN_STEPS /**< it was tried, and it does not */
};

/**
 * An egress. The options never change; what was learnt of the upstream does. Its worker's own, so the count of
 * references needs no lock. Who goes out by it holds one: the worker for new connections, each connection attempt,
 * connection, UDP session and forwarded question.
 */
struct adit_egress {
  const struct adit_relay_options *options; /**< owned, as the text it points to; `fake_names` is borrowed */
  struct adit_relay *relay;
  struct adit_egress *next; /**< list of the worker's */
  unsigned references;
  enum adit_socks5_manner manner; /**< talk.c: how the upstream wants to be spoken to */
  struct adit_connect *trial;     /**< trial.c: finds out about `manner`; NULL = none */
  uint64_t udp_held_until_ns;     /**< udp_socks5.c: until then nobody asks for an association */
  struct adit_dns_line *line;     /**< owned; dns_forward.c: to the server; NULL unless FORWARD */
  struct adit_resolver *resolver; /**< owned; dns_fake.c: NULL unless FAKE with a direct upstream */
};

/**
 * Make one from a copy of `options`, of which nothing is borrowed afterwards but what `fake_names` and `protect` point
 * to. Returns 0 and `*egress` with one reference, the caller's; or -ENOMEM, or -EINVAL for an interface whose name no
 * interface can have.
 */
int adit_egress_new(struct adit_relay *relay, const struct adit_relay_options *options, struct adit_egress **egress);

/** One more reference. Returns `egress`. */
struct adit_egress *adit_egress_hold(struct adit_egress *egress);

/**
 * One less. The last one has it taken down later in the turn, since whoever lets go may have been called by something
 * that belongs to it.
 */
void adit_egress_release(struct adit_egress *egress);

/** Take down those that nobody holds, now: at the end of a worker, which has no later. */
void adit_egress_bury(struct adit_relay *relay);

#endif
