/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Several workers as one thing.
 *
 * Workers share nothing but this struct, and of it only two atomics: how many still run, and the first error. A worker
 * that ends by itself stores its error if it is the first one and asks the others to stop; the last one that ends tells
 * `ended` and makes the eventfd readable. All workers are made before the first one starts and freed after the last one was joined, so any
 * of them may be asked to stop at any time in between, started or not.
 */
#include "runtime/runtime.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct adit_runtime {
  struct adit_stack_options stack;
  struct adit_log log;
  void (*ended)(void *user, int error); /* NULL once a start has failed */
  void *ended_user;
  int ended_fd;           /* eventfd; owned */
  atomic_uint running;    /* workers that have not ended, and one more while start is at work */
  atomic_int first_error; /* 0 = none */
  unsigned workers;
  struct adit_worker *worker[]; /* owned */
};

static void keep_error(struct adit_runtime *runtime, int error) {
  int none = 0;
  if (error) atomic_compare_exchange_strong(&runtime->first_error, &none, error);
}

static void one_less(struct adit_runtime *runtime) {
  if (atomic_fetch_sub(&runtime->running, 1) != 1) return;
  if (runtime->ended) runtime->ended(runtime->ended_user, atomic_load(&runtime->first_error));
  uint64_t one = 1;
  ssize_t written = write(runtime->ended_fd, &one, sizeof one);
  (void)written; /* an eventfd takes the first write */
}

/* In the thread of the worker that ended. */
static void on_ended(void *user, unsigned index, int error) {
  struct adit_runtime *runtime = user;
  (void)index;
  if (error) {
    keep_error(runtime, error);
    adit_runtime_stop(runtime);
  }
  one_less(runtime);
}

int adit_runtime_new(const struct adit_runtime_options *options, struct adit_runtime **runtime) {
  if (options->workers == 0 || options->workers > ADIT_RUNTIME_WORKERS || !options->stack) return -EINVAL;
  struct adit_runtime *made = calloc(1, sizeof *made + options->workers * sizeof(struct adit_worker *));
  if (!made) return -ENOMEM;
  made->stack = *options->stack;
  made->log = options->log;
  made->ended = options->ended;
  made->ended_user = options->ended_user;
  made->workers = options->workers;
  int error = 0;
  made->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made->ended_fd < 0) {
    error = -errno;
    goto no_fd;
  }
  for (unsigned i = 0; i < made->workers; i++) {
    struct adit_worker_options worker = {
        .index = i,
        .device = options->devices[i],
        .stack = &made->stack,
        .application = options->application,
        .user = options->user,
        .log = &made->log,
        .ended = on_ended,
        .ended_user = made,
    };
    error = adit_worker_new(&worker, &made->worker[i]);
    if (error) goto no_worker;
  }
  *runtime = made;
  return 0;

no_worker:
  for (unsigned i = 0; i < made->workers; i++) adit_worker_free(made->worker[i]);
  close(made->ended_fd);
no_fd:
  free(made);
  return error;
}

int adit_runtime_start(struct adit_runtime *runtime) {
  int error = 0;
  atomic_fetch_add(&runtime->running, 1); /* so that no worker is the last one before all have started */
  for (unsigned i = 0; i < runtime->workers && !error; i++) {
    atomic_fetch_add(&runtime->running, 1);
    error = adit_worker_start(runtime->worker[i]);
    if (error) atomic_fetch_sub(&runtime->running, 1);
  }
  if (error) {
    keep_error(runtime, error);
    adit_runtime_stop(runtime);
    adit_runtime_join(runtime);
    runtime->ended = NULL; /* no worker is left that could read it */
  }
  one_less(runtime);
  return error;
}

void adit_runtime_stop(struct adit_runtime *runtime) {
  for (unsigned i = 0; i < runtime->workers; i++) adit_worker_stop(runtime->worker[i]);
}

int adit_runtime_join(struct adit_runtime *runtime) {
  for (unsigned i = 0; i < runtime->workers; i++) adit_worker_join(runtime->worker[i]);
  return atomic_load(&runtime->first_error);
}

int adit_runtime_fd(const struct adit_runtime *runtime) {
  return runtime->ended_fd;
}

void adit_runtime_stats(const struct adit_runtime *runtime, struct adit_stats *stats) {
  memset(stats, 0, sizeof *stats);
  for (unsigned i = 0; i < runtime->workers; i++) adit_worker_stats(runtime->worker[i], stats);
}

struct level {
  struct adit_worker *worker;
  enum adit_log_level level;
};

/* In the worker's thread. */
static void set_level(void *user) {
  const struct level *level = user;
  adit_worker_set_log_level(level->worker, level->level);
}

int adit_runtime_set_log_level(struct adit_runtime *runtime, enum adit_log_level level) {
  int error = 0;
  for (unsigned i = 0; i < runtime->workers && !error; i++) {
    struct level step = {runtime->worker[i], level};
    error = adit_worker_call(step.worker, set_level, &step);
  }
  return error == -ECANCELED ? -ESHUTDOWN : error;
}

unsigned adit_runtime_workers(const struct adit_runtime *runtime) {
  return runtime->workers;
}

struct adit_worker *adit_runtime_worker(struct adit_runtime *runtime, unsigned index) {
  return runtime->worker[index];
}

void adit_runtime_free(struct adit_runtime *runtime) {
  if (!runtime) return;
  adit_runtime_stop(runtime);
  adit_runtime_join(runtime);
  for (unsigned i = 0; i < runtime->workers; i++) adit_worker_free(runtime->worker[i]);
  close(runtime->ended_fd);
  free(runtime);
}
