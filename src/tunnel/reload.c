/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Other options for a tunnel that runs.
 *
 * In this order: what cannot change is held against what the tunnel was started with; the new options are read, checked
 * and looked up as at a start; then all workers take them, or none (src/relay/reload.c). Until the last step nothing has
 * changed, except that a table of names may have been made, which lies idle then.
 *
 * Who reloads from several threads does so one after another; the lock is held while the upstream is looked up. It is
 * not the workers', so nothing that is relayed waits for it.
 */
#include "tunnel/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What zero stands for in the options. */
enum { MTU = 1500, MEMORY = 256 << 20 };

/* ---- what cannot change ------------------------------------------------------------------------------------------ */

static int copy(void **made, const void *from, size_t bytes) {
  if (!from) return 0;
  *made = malloc(bytes ? bytes : 1);
  if (!*made) return -ENOMEM;
  memcpy(*made, from, bytes);
  return 0;
}

int adit_tunnel_fix(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options) {
  struct adit_tunnel_options *fixed = &tunnel->fixed;
  void *device = NULL, *fds = NULL, *answer = NULL;
  *fixed = *options;
  fixed->upstream = fixed->udp = fixed->dns = fixed->dns_cache = fixed->icmp = fixed->interface = NULL;
  fixed->queues = options->queues ? options->queues : 1;
  if (!options->answer) fixed->answers = 0; /* the plan says that this is wrong */
  int error = copy(&device, options->device, options->device ? strlen(options->device) + 1 : 0);
  if (!error) error = copy(&fds, options->fds, fixed->queues * sizeof *options->fds);
  if (!error) error = copy(&answer, options->answer, fixed->answers * sizeof *options->answer);
  fixed->device = device;
  fixed->fds = fds;
  fixed->answer = answer;
  return error;
}

void adit_tunnel_unfix(struct adit_tunnel *tunnel) {
  free((void *)(uintptr_t)tunnel->fixed.device); /* ours, as the next two */
  free((void *)(uintptr_t)tunnel->fixed.fds);
  free((void *)(uintptr_t)tunnel->fixed.answer);
}

static bool other_text(const char *text, const char *fixed) {
  return text && (!fixed || strcmp(text, fixed) != 0);
}

static bool other_device(const struct adit_tunnel *tunnel, const char *name) {
  return other_text(name, tunnel->fixed.device) && (tunnel->fixed.fds || strcmp(name, adit_tunnel_device(tunnel)) != 0);
}

static bool other_fds(const struct adit_tunnel_options *fixed, const struct adit_tunnel_options *options) {
  if (!options->fds) return false;
  unsigned queues = options->queues ? options->queues : 1;
  return !fixed->fds || queues != fixed->queues || memcmp(options->fds, fixed->fds, queues * sizeof *fixed->fds) != 0;
}

static bool other_answer(const struct adit_tunnel_options *fixed, const struct adit_tunnel_options *options) {
  if (options->answers == 0) return false;
  if (!options->answer || options->answers != fixed->answers) return true;
  for (size_t i = 0; i < fixed->answers; i++)
    if (!adit_ip_equal(options->answer[i].ip, fixed->answer[i].ip) ||
        options->answer[i].prefix != fixed->answer[i].prefix)
      return true;
  return false;
}

static bool other_number(size_t number, size_t fixed, size_t zero) {
  return number != 0 && number != (fixed ? fixed : zero);
}

/* What is zero, NULL or false in the options is as it was. */
static int check_fixed(const struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  const struct adit_tunnel_options *fixed = &tunnel->fixed;
  const struct {
    const char *name;
    bool differs;
  } table[] = {
      {"device", other_device(tunnel, options->device)},
      {"fds", other_fds(fixed, options)},
      {"queues", other_number(options->queues, fixed->queues, 1)},
      {"mtu", other_number(options->mtu, fixed->mtu, MTU)},
      {"no_offload", options->no_offload && !fixed->no_offload},
      {"io_uring", options->io_uring && !fixed->io_uring},
      {"dns_cache", tunnel->names && other_text(options->dns_cache, tunnel->dns_cache)},
      {"answer", other_answer(fixed, options)},
      {"memory_bytes", other_number(options->memory_bytes, fixed->memory_bytes, MEMORY)},
      {"protect", options->protect && options->protect != fixed->protect},
      {"log", options->log && options->log != fixed->log},
      {"ready", options->ready && options->ready != fixed->ready},
      {"stopped", options->stopped && options->stopped != fixed->stopped},
      {"user", options->user && options->user != fixed->user},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].differs)
      return adit_tunnel_explain(reason, -EBUSY,
                                 "%s: cannot change while the tunnel runs; leave it as it was, or stop the tunnel and "
                                 "start it anew",
                                 table[i].name);
  return 0;
}

/* ---- the reload -------------------------------------------------------------------------------------------------- */

static int explain_relay(char *reason, int error) {
  if (error == -ESHUTDOWN) return adit_tunnel_explain(reason, error, "the tunnel has ended; start it anew");
  if (error == -EDEADLK)
    return adit_tunnel_explain(reason, error, "this is a thread of the tunnel's; reload from another one");
  return adit_tunnel_explain(reason, error, "the workers cannot change: %s", strerror(-error));
}

static int reload(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  struct adit_relay_options relay = {0};
  int error = check_fixed(tunnel, options, reason);
  if (error) return error;
  error = adit_tunnel_plan(tunnel, options, &relay, reason);
  if (!error) error = adit_tunnel_plan_names(tunnel, &relay, options->dns_cache, reason);
  if (error) goto clear;
  error = adit_relay_reload(tunnel->runtime, &relay);
  if (error) {
    explain_relay(reason, error);
    goto clear;
  }
  atomic_store(&tunnel->log_level, (int)options->log_level);
  (void)adit_runtime_set_log_level(tunnel->runtime, (enum adit_log_level)options->log_level); /* or it has ended */
  adit_upstream_clear(&tunnel->relay.upstream);
  tunnel->relay = relay;
  tunnel->relay.interface = NULL; /* the workers have copies */
clear:
  adit_upstream_clear(&relay.upstream); /* of a success it is a second copy */
  return error;
}

int adit_tunnel_reload(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  if (!options || options->size != sizeof *options)
    return adit_tunnel_explain(reason, -EINVAL,
                               "size: the options are not those of this library; see adit_tunnel_start");
  pthread_mutex_lock(&tunnel->reloading);
  int error = reload(tunnel, options, reason);
  pthread_mutex_unlock(&tunnel->reloading);
  return error;
}
