/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is plugged into a worker: whoever answers connections and datagrams.
 */
#ifndef ADIT_RUNTIME_APPLICATION_H
#define ADIT_RUNTIME_APPLICATION_H

#include "runtime/loop.h"
#include "runtime/stats.h"

#include <adit/stack.h>

struct adit_worker;

/**
 * An application, as a table. Each worker has a state of its own, made by `start`; everything but `start` gets it. All
 * run in the worker's thread, so a state is shared with nobody. Any but `start` may be NULL.
 */
struct adit_application {
  const char *name; /**< for messages */
  /**
   * Before the first packet. `user` is that of the runtime's options and the same for all workers. Returns 0 and the
   * worker's `*state`, or a negative errno, with which the worker's start fails; neither `stop` nor
   * `free` follows then.
   */
  int (*start)(void *user, struct adit_worker *worker, void **state);
  /** Events of the stack; the contracts of struct adit_stack_events hold, NULL included. */
  void (*syn)(void *state, struct adit_flow *flow);
  void (*datagram)(void *state, const struct adit_datagram *datagram);
  void (*echo)(void *state, const struct adit_echo *echo);
  /** Something happened to a watch of kind ADIT_WATCH_SOCKET; `events` as epoll tells (EPOLLIN, EPOLLHUP ...). */
  void (*socket)(void *state, struct adit_watch *watch, uint32_t events);
  /** At the end of each turn, and after `stop`: what it has counted so far, for everybody (adit_worker_stats). */
  void (*count)(void *state, uint64_t numbers[ADIT_STATS_APPLICATION]);
  /**
   * After the last packet, while the stack still exists: what is sent to flows here still goes out. Flows that are left
   * are aborted with the stack; nobody is called for them.
   */
  void (*stop)(void *state);
  /** After the stack is gone: free the state, and memory that was lent to flows. */
  void (*free)(void *state);
};

#endif
