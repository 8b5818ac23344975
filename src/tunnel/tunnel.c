/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A whole tunnel in one object: its life.
 *
 * The start goes through plan (options are read and checked), devices, workers, names, threads; each step is undone in
 * reverse when a later one fails, and by adit_tunnel_free. `*tunnel` is written when all but the threads is made, so
 * that callbacks find it there and may stop it, and taken back when the start fails, when there is no thread any more.
 *
 * Threads: one for each queue, and one that writes `dns_cache` when there is that. All have every signal blocked.
 *
 * Callbacks, in the order in which they come: `ready` is a message to the first worker, posted once all run. A worker
 * does or discards what is in its mailbox before it ends, and `stopped` is the last act of the last worker; so `ready`
 * comes before `stopped` or not at all. `log` and `protect` come whenever workers have something to say or to send.
 * When the device was gone at once, all workers may have ended within the start; then `stopped` is called from there.
 *
 * Nobody waits for anything in a callback, so none can wait for itself: the stop sets a flag in each mailbox; the join
 * is left to adit_tunnel_wait, where a lock makes sure that each thread is joined once, whoever waits.
 */
#include "tunnel/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int adit_tunnel_explain(char *reason, int error, const char *format, ...) {
  va_list arguments;
  if (!reason) return error;
  va_start(arguments, format);
  vsnprintf(reason, ADIT_TUNNEL_REASON, format, arguments);
  va_end(arguments);
  return error;
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

static void pass_message(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  const struct adit_tunnel *tunnel = user;
  tunnel->log(tunnel->user, (enum adit_tunnel_level)level, flow, text);
}

struct adit_log adit_tunnel_log(struct adit_tunnel *tunnel) {
  return (struct adit_log){.write = tunnel->log ? pass_message : NULL, .user = tunnel, .level = tunnel->log_level};
}

/* In the first worker's thread. */
static void tell_ready(void *user) {
  const struct adit_tunnel *tunnel = user;
  tunnel->ready(tunnel->user);
}

/* In the last worker's thread. */
static void tell_stopped(void *user, int error) {
  const struct adit_tunnel *tunnel = user;
  if (tunnel->stopped) tunnel->stopped(tunnel->user, error);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static int explain_start(char *reason, unsigned workers, int error) {
  const char *advice = error == -EMFILE || error == -ENFILE ? "; raise the limit of open files (RLIMIT_NOFILE)"
                       : error == -EAGAIN                   ? "; there may be too many threads (RLIMIT_NPROC)"
                                                            : "";
  return adit_tunnel_explain(reason, error, "%u worker(s) cannot be started: %s%s", workers, strerror(-error), advice);
}

static int make_workers(struct adit_tunnel *tunnel, char *reason) {
  const struct adit_runtime_options options = {
      .devices = tunnel->device,
      .workers = tunnel->devices,
      .stack = &tunnel->stack,
      .application = &adit_relay_application,
      .user = &tunnel->relay,
      .log = adit_tunnel_log(tunnel),
      .ended = tell_stopped,
      .ended_user = tunnel,
  };
  int error = adit_runtime_new(&options, &tunnel->runtime);
  return error ? explain_start(reason, tunnel->devices, error) : 0;
}

static int start_workers(struct adit_tunnel *tunnel, char *reason) {
  int error = adit_runtime_start(tunnel->runtime);
  if (error) return explain_start(reason, tunnel->devices, error);
  tunnel->ready_message = (struct adit_message){.run = tell_ready, .user = tunnel};
  if (tunnel->ready) (void)adit_worker_post(adit_runtime_worker(tunnel->runtime, 0), &tunnel->ready_message);
  return 0;
}

int adit_tunnel_start(const struct adit_tunnel_options *options, struct adit_tunnel **tunnel, char *reason) {
  if (!options || !tunnel || options->size != sizeof *options)
    return adit_tunnel_explain(reason, -EINVAL,
                               "size: the options are not those of this library; set it to sizeof(struct "
                               "adit_tunnel_options), and build against the header of this version");
  *tunnel = NULL;
  struct adit_tunnel *made = calloc(1, sizeof *made);
  int error = made ? -pthread_mutex_init(&made->join, NULL) : -ENOMEM;
  if (error) {
    adit_tunnel_close_fds(options);
    free(made);
    return adit_tunnel_explain(reason, error, "out of memory");
  }
  made->log = options->log;
  made->log_level = (enum adit_log_level)options->log_level;
  made->ready = options->ready;
  made->stopped = options->stopped;
  made->user = options->user;

  error = adit_tunnel_plan(made, options, reason);
  if (error) {
    adit_tunnel_close_fds(options);
    goto no_plan;
  }
  error = adit_tunnel_open(made, options, reason);
  if (error) goto no_device;
  error = make_workers(made, reason);
  if (error) goto no_workers;
  *tunnel = made;
  error = adit_tunnel_plan_names(made, reason);
  if (!error) error = start_workers(made, reason);
  if (error) goto not_started;
  return 0;

not_started:
  *tunnel = NULL;
  adit_runtime_free(made->runtime);
no_workers:
  adit_tunnel_close(made);
no_device:
no_plan:
  adit_tunnel_unplan(made);
  pthread_mutex_destroy(&made->join);
  free(made);
  return error;
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

void adit_tunnel_stop(struct adit_tunnel *tunnel) {
  adit_runtime_stop(tunnel->runtime);
}

int adit_tunnel_wait(struct adit_tunnel *tunnel) {
  pthread_mutex_lock(&tunnel->join);
  int error = adit_runtime_join(tunnel->runtime);
  pthread_mutex_unlock(&tunnel->join);
  return error;
}

int adit_tunnel_fd(const struct adit_tunnel *tunnel) {
  return adit_runtime_fd(tunnel->runtime);
}

void adit_tunnel_free(struct adit_tunnel *tunnel) {
  if (!tunnel) return;
  adit_tunnel_stop(tunnel);
  (void)adit_tunnel_wait(tunnel);
  adit_runtime_free(tunnel->runtime);
  adit_tunnel_close(tunnel);
  adit_tunnel_unplan(tunnel);
  pthread_mutex_destroy(&tunnel->join);
  free(tunnel);
}

const char *adit_tunnel_device(const struct adit_tunnel *tunnel) {
  return adit_device_name(tunnel->device[0]);
}
