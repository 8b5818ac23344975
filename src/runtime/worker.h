/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A worker: one thread with one device queue, one stack, its buffers and its application.
 */
#ifndef ADIT_RUNTIME_WORKER_H
#define ADIT_RUNTIME_WORKER_H

#include "runtime/application.h"
#include "runtime/log.h"
#include "runtime/mailbox.h"
#include "runtime/stats.h"

#include <adit/device.h>

/** Packets that are read before anything else is looked at. */
#define ADIT_WORKER_BURST 64

/** A burst also ends after so many bytes, so that what it read is still in the cache when it is acted on. */
#define ADIT_WORKER_BURST_BYTES ((size_t)256 * 1024)

/** What a worker is made of. Everything is borrowed and must outlive the worker. */
struct adit_worker_options {
  unsigned index;                         /**< from 0, for messages */
  struct adit_device *device;             /**< must have an fd; used by the worker's thread alone from start to join */
  const struct adit_stack_options *stack; /**< how to make the stack; events, user, now_ns, offload and ethernet are
                                                   the worker's to set, and the secret as long as it is all zero */
  const struct adit_application *application; /**< who answers */
  void *user;                                 /**< for its `start` */
  const struct adit_log *log;                 /**< copied; may be NULL */
  /** Last act of a worker's thread that had been started. `error` is 0 when it was asked to stop. May be NULL. */
  void (*ended)(void *user, unsigned index, int error);
  void *ended_user; /**< for `ended` */
};

/** Make a worker. Returns 0 and `*worker`, owned by the caller, or -EINVAL (device without fd), -ENOMEM, -EMFILE. */
int adit_worker_new(const struct adit_worker_options *options, struct adit_worker **worker);

/**
 * Start its thread, with all signals blocked, and wait until stack and application are made. Once.
 * Returns 0, or what went wrong; then there is no thread.
 */
int adit_worker_start(struct adit_worker *worker);

/** Ask it to stop, from any thread, at any time between new and free. Does not wait. */
void adit_worker_stop(struct adit_worker *worker);

/** Wait until it has ended. Returns 0, or why it ended by itself. By one thread, and not its own. */
int adit_worker_join(struct adit_worker *worker);

/** Stop, join and free. NULL is allowed. */
void adit_worker_free(struct adit_worker *worker);

/** Have a message done in its thread; see adit_mailbox_post. From any thread. */
int adit_worker_post(struct adit_worker *worker, struct adit_message *message);

/** Have something done in its thread and wait for it; see adit_mailbox_call. From any other thread. */
int adit_worker_call(struct adit_worker *worker, void (*run)(void *user), void *user);

/** Other messages are made from now on. In its thread, so that the level needs no lock. */
void adit_worker_set_log_level(struct adit_worker *worker, enum adit_log_level level);

/** Add its numbers to `sum`. From any thread, while it runs and after. */
void adit_worker_stats(const struct adit_worker *worker, struct adit_stats *sum);

/* ---- for its application, in its thread -------------------------------------------------------------------------- */

unsigned adit_worker_index(const struct adit_worker *worker);
struct adit_stack *adit_worker_stack(struct adit_worker *worker);
struct adit_loop *adit_worker_loop(struct adit_worker *worker);
const struct adit_log *adit_worker_log(const struct adit_worker *worker);

/** The state that the application made, for who has something done in the worker's thread (adit_worker_call). */
void *adit_worker_state(const struct adit_worker *worker);

#endif
