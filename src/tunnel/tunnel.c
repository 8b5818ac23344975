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

#include "relay/fake_names.h"
#include "relay/own.h"

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
  if ((int)level <= atomic_load(&tunnel->log_level))
    tunnel->fixed.log(tunnel->fixed.user, (enum adit_tunnel_level)level, flow, text);
}

struct adit_log adit_tunnel_log(struct adit_tunnel *tunnel) {
  return (struct adit_log){.write = tunnel->fixed.log ? pass_message : NULL, .user = tunnel, .level = ADIT_LOG_DEBUG};
}

/* In the first worker's thread. */
static void tell_ready(void *user) {
  const struct adit_tunnel *tunnel = user;
  tunnel->fixed.ready(tunnel->fixed.user);
}

/* In the last worker's thread. */
static void tell_stopped(void *user, int error) {
  const struct adit_tunnel *tunnel = user;
  if (tunnel->fixed.stopped) tunnel->fixed.stopped(tunnel->fixed.user, error);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static int explain_start(char *reason, unsigned workers, int error) {
  const char *advice = error == -EMFILE || error == -ENFILE ? "; raise the limit of open files (RLIMIT_NOFILE)"
                       : error == -EAGAIN                   ? "; there may be too many threads (RLIMIT_NPROC)"
                                                            : "";
  return adit_tunnel_explain(reason, error, "%u worker(s) cannot be started: %s%s", workers, strerror(-error), advice);
}

static int make_workers(struct adit_tunnel *tunnel, char *reason) {
  const struct adit_stack_options stack = {
      .mtu = tunnel->fixed.mtu,
      .answer = tunnel->fixed.answers ? tunnel->fixed.answer : NULL,
      .answers = tunnel->fixed.answers,
      .budget_bytes = tunnel->fixed.memory_bytes,
  };
  struct adit_runtime_options options = {
      .devices = tunnel->device,
      .workers = tunnel->devices,
      .stack = &stack,
      .application = &adit_relay_application,
      .user = &tunnel->relay,
      .log = adit_tunnel_log(tunnel),
      .ended = tell_stopped,
      .ended_user = tunnel,
  };
  options.log.level = (enum adit_log_level)atomic_load(&tunnel->log_level);
  int error = adit_runtime_new(&options, &tunnel->runtime);
  return error ? explain_start(reason, tunnel->devices, error) : 0;
}

static int start_workers(struct adit_tunnel *tunnel, char *reason) {
  int error = adit_runtime_start(tunnel->runtime);
  if (error) return explain_start(reason, tunnel->devices, error);
  tunnel->ready_message = (struct adit_message){.run = tell_ready, .user = tunnel};
  if (tunnel->fixed.ready) (void)adit_worker_post(adit_runtime_worker(tunnel->runtime, 0), &tunnel->ready_message);
  return 0;
}

/* All but devices and workers. NULL without memory. */
static struct adit_tunnel *new_tunnel(const struct adit_tunnel_options *options) {
  struct adit_tunnel *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  if (pthread_mutex_init(&made->join, NULL) != 0) goto no_join;
  if (pthread_mutex_init(&made->reloading, NULL) != 0) goto no_reloading;
  atomic_init(&made->log_level, (int)options->log_level);
  if (adit_tunnel_fix(made, options) == 0) return made;
  adit_tunnel_unfix(made);
  pthread_mutex_destroy(&made->reloading);
no_reloading:
  pthread_mutex_destroy(&made->join);
no_join:
  free(made);
  return NULL;
}

static void free_tunnel(struct adit_tunnel *tunnel) {
  adit_fake_names_free(tunnel->names);
  adit_own_free(tunnel->own);
  free(tunnel->dns_cache);
  adit_upstream_clear(&tunnel->relay.upstream);
  adit_tunnel_unfix(tunnel);
  pthread_mutex_destroy(&tunnel->reloading);
  pthread_mutex_destroy(&tunnel->join);
  free(tunnel);
}

int adit_tunnel_start(const struct adit_tunnel_options *options, struct adit_tunnel **tunnel, char *reason) {
  if (!options || !tunnel || options->size != sizeof *options)
    return adit_tunnel_explain(reason, -EINVAL,
                               "size: the options are not those of this library; set it to sizeof(struct "
                               "adit_tunnel_options), and build against the header of this version");
  *tunnel = NULL;
  struct adit_tunnel *made = new_tunnel(options);
  if (!made) {
    adit_tunnel_close_fds(options);
    return adit_tunnel_explain(reason, -ENOMEM, "out of memory");
  }
  int error = adit_tunnel_plan(made, options, &made->relay, reason);
  if (error) {
    adit_tunnel_close_fds(options);
    goto no_plan;
  }
  error = adit_tunnel_open(made, options, reason);
  if (error) goto no_device;
  error = make_workers(made, reason);
  if (error) goto no_workers;
  *tunnel = made;
  error = adit_tunnel_plan_names(made, &made->relay, options->dns_cache, reason);
  if (!error) error = start_workers(made, reason);
  if (error) goto not_started;
  made->relay.interface = NULL; /* the workers have copies */
  return 0;

not_started:
  *tunnel = NULL;
  adit_runtime_free(made->runtime);
no_workers:
  adit_tunnel_close(made);
no_device:
no_plan:
  free_tunnel(made);
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
  free_tunnel(tunnel);
}

const char *adit_tunnel_device(const struct adit_tunnel *tunnel) {
  return adit_device_name(tunnel->device[0]);
}
