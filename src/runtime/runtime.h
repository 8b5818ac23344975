/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Several workers as one thing: start, stop from anywhere, wait, numbers.
 *
 * Nothing here touches what belongs to the whole process: signals, standard streams, working directory, limits.
 */
#ifndef ADIT_RUNTIME_RUNTIME_H
#define ADIT_RUNTIME_RUNTIME_H

#include "runtime/worker.h"

struct adit_runtime;

/** Most workers of a runtime. */
#define ADIT_RUNTIME_WORKERS 256

/** What a runtime is made of. Everything is borrowed and must outlive it, `stack` and `log` excepted. */
struct adit_runtime_options {
  struct adit_device *const *devices;     /**< one for each worker: the queues of one device, or several devices */
  unsigned workers;                       /**< number of devices, 1 .. ADIT_RUNTIME_WORKERS */
  const struct adit_stack_options *stack; /**< how to make each stack, see struct adit_worker_options; copied, what it
                                                   points to is borrowed until start has returned */
  const struct adit_application *application; /**< who answers */
  void *user;                                 /**< for its `start` */
  struct adit_log log;                        /**< all zero = silent */
  /**
   * After a start that succeeded, once: the last worker has ended, because it was asked to (0) or why. Runs in its thread,
   * or inside the start when all have ended by then. Nothing of the runtime may be waited for in there. May be NULL.
   */
  void (*ended)(void *user, int error);
  void *ended_user; /**< for `ended` */
};

/** Make a runtime with its workers. Returns 0 and `*runtime`, owned by the caller, or -EINVAL, -ENOMEM, -EMFILE. */
int adit_runtime_new(const struct adit_runtime_options *options, struct adit_runtime **runtime);

/** Start every worker. Once. Returns 0, or what went wrong; then all those that had started are stopped and gone. */
int adit_runtime_start(struct adit_runtime *runtime);

/** Ask all workers to stop. From any thread, a worker's included. Does not wait. */
void adit_runtime_stop(struct adit_runtime *runtime);

/** Wait until all workers have ended. Returns 0, or the first error that ended one; the others are stopped by it. */
int adit_runtime_join(struct adit_runtime *runtime);

/** An fd that becomes readable when the last worker has ended, for whoever waits for other things too. Borrowed. */
int adit_runtime_fd(const struct adit_runtime *runtime);

/** The sum over all workers. From any thread. */
void adit_runtime_stats(const struct adit_runtime *runtime, struct adit_stats *stats);

/**
 * Have the workers make messages of this level and those that matter more. From any thread but a worker's, after a
 * start that succeeded. Blocks until all do. Returns 0, or -ESHUTDOWN when they have ended, -EDEADLK.
 */
int adit_runtime_set_log_level(struct adit_runtime *runtime, enum adit_log_level level);

/** Number of workers. */
unsigned adit_runtime_workers(const struct adit_runtime *runtime);

/** One of them, borrowed, to post messages to; `index` below adit_runtime_workers. */
struct adit_worker *adit_runtime_worker(struct adit_runtime *runtime, unsigned index);

/** Stop, join and free. The devices stay the caller's. NULL is allowed. Not from a worker. */
void adit_runtime_free(struct adit_runtime *runtime);

#endif
