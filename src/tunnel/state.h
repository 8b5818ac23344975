/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the files of src/tunnel share: a tunnel, and the steps of its start.
 */
#ifndef ADIT_TUNNEL_STATE_H
#define ADIT_TUNNEL_STATE_H

#include "relay/relay.h"
#include "runtime/runtime.h"

#include <adit/tunnel.h>
#include <pthread.h>
#include <stdatomic.h>

/** A tunnel. Made by one thread, then read by all; what changes has a lock or belongs to somebody below. */
struct adit_tunnel {
  /** What it was started with and cannot change: device, fds and answer are copies, owned; the other texts NULL. */
  struct adit_tunnel_options fixed;
  pthread_mutex_t reloading; /**< of the next three after the start */
  struct adit_relay_options
      relay;                     /**< as the workers have it; `interface` is borrowed while they are told, then NULL */
  struct adit_own *own;          /**< owned: the relay's sockets, of all workers */
  struct adit_fake_names *names; /**< owned; NULL as long as `dns` was never "fake" */
  char *dns_cache;               /**< of `names`; owned */
  struct adit_device **device;   /**< owned, as what it points to */
  unsigned devices;              /**< how many of them are open */
  struct adit_runtime *runtime;
  struct adit_message ready_message; /**< in the first worker's mailbox after the start */
  pthread_mutex_t join;              /**< adit_tunnel_wait: threads join once */

  atomic_int log_level; /**< enum adit_log_level */
};

/** Write a sentence to `reason` (ADIT_TUNNEL_REASON bytes, or NULL). Returns `error`. */
int adit_tunnel_explain(char *reason, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Where the workers' messages go. */
struct adit_log adit_tunnel_log(struct adit_tunnel *tunnel);

/* ---- plan.c: from options to what relay and stack are told ---- */

/**
 * Read and check the options, look up the upstream; `tunnel->relay` is what it relays by now, if it does. Nothing is
 * opened. Returns 0 and `*relay`, which borrows `interface` from the options; or a negative errno with the reason.
 * Either way adit_upstream_clear is due for its upstream.
 */
int adit_tunnel_plan(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options,
                     struct adit_relay_options *relay, char *reason);

/**
 * Have `relay` know the table of names, which is made when it is needed for the first time, with the file `cache` (may be
 * NULL). Returns 0, or a negative errno with the reason.
 */
int adit_tunnel_plan_names(struct adit_tunnel *tunnel, struct adit_relay_options *relay, const char *cache,
                           char *reason);

/* ---- reload.c ---- */

/** Keep copies of what cannot change. Returns 0 or -ENOMEM; either way adit_tunnel_unfix is due. */
int adit_tunnel_fix(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options);
void adit_tunnel_unfix(struct adit_tunnel *tunnel);

/* ---- devices.c ---- */

/**
 * Open the device, or take the fds. Returns 0, or a negative errno with the reason; then none is open. Either way fds
 * with `own_fds` are no longer the caller's.
 */
int adit_tunnel_open(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason);

/** Close the fds of the options, for a start that fails before adit_tunnel_open. */
void adit_tunnel_close_fds(const struct adit_tunnel_options *options);

/** Close what was opened. */
void adit_tunnel_close(struct adit_tunnel *tunnel);

#endif
