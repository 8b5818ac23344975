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

/** A tunnel. Made by one thread, then read by all; what changes has a lock or belongs to somebody below. */
struct adit_tunnel {
  struct adit_relay_options relay; /**< borrowed by the workers; owns `fake_names` */
  struct adit_stack_options stack;
  char *interface;             /**< owned */
  char *dns_cache;             /**< owned */
  struct adit_device **device; /**< owned, as what it points to */
  unsigned devices;            /**< how many of them are open */
  struct adit_runtime *runtime;
  struct adit_message ready_message; /**< in the first worker's mailbox after the start */
  pthread_mutex_t join;              /**< adit_tunnel_wait: threads join once */

  /* As in the options. */
  void (*log)(void *user, enum adit_tunnel_level level, uint64_t flow, const char *text);
  enum adit_log_level log_level;
  void (*ready)(void *user);
  void (*stopped)(void *user, int error);
  void *user;
};

/** Write a sentence to `reason` (ADIT_TUNNEL_REASON bytes, or NULL). Returns `error`. */
int adit_tunnel_explain(char *reason, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Where the workers' messages go. */
struct adit_log adit_tunnel_log(struct adit_tunnel *tunnel);

/* ---- plan.c: from options to what relay and stack are told ---- */

/**
 * Read and check the options, look up the upstream. Nothing is opened. Returns 0, or a negative errno with the reason;
 * either way what was made is undone with adit_tunnel_unplan.
 */
int adit_tunnel_plan(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason);

/** Make the table of names, where there is one. Returns 0, or a negative errno with the reason. */
int adit_tunnel_plan_names(struct adit_tunnel *tunnel, char *reason);

/** Free what both have made, the password included. */
void adit_tunnel_unplan(struct adit_tunnel *tunnel);

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
