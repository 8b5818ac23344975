/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit proxy`: every connection that enters the device leaves through an upstream.
 *
 * Order: signals are turned into an fd before any thread is made; the upstream's name is looked up before anything is
 * captured; device; sandbox; runtime with the relay as its application; routes into the device; then this thread only waits, and
 * reloads when a SIGHUP comes (reload.c).
 * Release is in reverse, but that the capture ends after the relay, so that nothing slips past it. The device goes
 * last, and with it everything that was configured.
 */
#include "cli/capture.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/fault.h"
#include "cli/open.h"
#include "cli/proxy_text.h"
#include "cli/relaying.h"
#include "cli/reload.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "cli/signals.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Everything that one run needs. Large (lists of addresses), and alive as long as the runtime that borrows from it. */
struct proxy {
  const struct adit_cli_options *options;
  struct adit_cli_relaying relaying;
  struct adit_cli_device device;
  adit_ip excepts[ADIT_CLI_EXCEPTS];
  struct adit_stack_options stack;
  struct adit_runtime *runtime;
  struct adit_cli_reload reload;
  struct adit_control *control;
};

static void prepare_stack(struct proxy *proxy) {
  const struct adit_cli_options *options = proxy->options;
  struct adit_stack_options *stack = &proxy->stack;
  stack->mtu = proxy->device.mtu;
  stack->answers = options->answer.count; /* without --answer: for every address */
  stack->answer = stack->answers ? options->answer.item : NULL;
  stack->excepts = adit_cli_excepts(&proxy->device.address, proxy->excepts);
  stack->except = proxy->excepts;
  stack->budget_bytes = (size_t)options->memory;
}

/* Returns whether it is to go on. */
static bool heed(struct proxy *proxy, int signal) {
  if (signal == 0) return true;
  if (signal != SIGHUP || adit_cli_signals_hung_up()) return false;
  (void)adit_cli_reload(&proxy->reload); /* it has said what became of it */
  return true;
}

/* Wait for a signal, somebody at the control socket, or the end of the runtime, then stop it. Returns 0 or why it ended. */
static int wait_for_end(struct proxy *proxy, int signals) {
  enum { SIGNALS, RUNTIME, CONTROL, FDS };
  struct pollfd fd[FDS] = {
      [SIGNALS] = {.fd = signals, .events = POLLIN},
      [RUNTIME] = {.fd = adit_runtime_fd(proxy->runtime), .events = POLLIN},
      [CONTROL] = {.fd = adit_control_fd(proxy->control), .events = POLLIN},
  };
  for (;;) {
    if (poll(fd, FDS, adit_control_timeout(proxy->control)) < 0 && errno != EINTR) break;
    if (fd[RUNTIME].revents) break;
    if (fd[SIGNALS].revents && !heed(proxy, adit_cli_signals_take(signals))) break;
    if (adit_control_turn(proxy->control)) break;
  }
  adit_runtime_stop(proxy->runtime);
  return adit_runtime_join(proxy->runtime);
}

static const char *reload(void *user) {
  return adit_cli_reload(user);
}

static enum adit_cli_status open_control(struct proxy *proxy) {
  struct adit_control_subject subject = {.options = proxy->options,
                                         .device = proxy->device.queue[0],
                                         .name = proxy->device.name,
                                         .mtu = proxy->device.mtu,
                                         .address = &proxy->device.address,
                                         .budget_bytes = proxy->stack.budget_bytes,
                                         .relay = &proxy->relaying.relay,
                                         .reload = reload,
                                         .user = &proxy->reload};
  return adit_control_open(&subject, &proxy->control);
}

static enum adit_cli_status run(struct proxy *proxy, int signals) {
  const struct adit_cli_options *options = proxy->options;
  enum adit_cli_status status = ADIT_CLI_FAILED;
  struct adit_routes *routes;
  prepare_stack(proxy);
  status = open_control(proxy);
  if (status != ADIT_CLI_DONE) return status;
  struct adit_cli_sandboxing sandboxing = {.puts_back = adit_cli_puts_back(&proxy->device),
                                           .relays = true,
                                           .reads_terminal = true,
                                           .socket = adit_control_path(proxy->control)};
  status = adit_cli_sandbox(options, &sandboxing); /* before the table of names, which has a thread */
  if (status != ADIT_CLI_DONE) goto done;
  status = adit_cli_relaying_names(options, &proxy->relaying, proxy->excepts, proxy->stack.excepts);
  if (status != ADIT_CLI_DONE) goto done;
  status = ADIT_CLI_FAILED;
  struct adit_runtime_options runtime = {
      .devices = proxy->device.queue,
      .workers = proxy->device.queues,
      .stack = &proxy->stack,
      .application = &adit_relay_application,
      .user = &proxy->relaying.relay,
      .log = adit_cli_log(options),
  };
  int error = adit_runtime_new(&runtime, &proxy->runtime);
  if (error) {
    adit_cli_fail(options, "cannot make %u workers: %s", runtime.workers, strerror(-error));
    goto done;
  }
  error = adit_runtime_start(proxy->runtime);
  if (error) {
    adit_cli_fail(options, "cannot start the relay: %s%s", strerror(-error),
                  error == -EINVAL ? "; check --mtu and --answer" : "");
    goto done;
  }
  adit_control_start(proxy->control, proxy->runtime);
  status = adit_cli_capture(options, &proxy->device, &routes);
  if (status != ADIT_CLI_DONE) goto done;
  if (options->verbosity >= 0) adit_proxy_greet(options, &proxy->device, &proxy->relaying.relay);

  proxy->reload = (struct adit_cli_reload){.options = options,
                                           .relaying = &proxy->relaying,
                                           .runtime = proxy->runtime,
                                           .excepts = proxy->excepts,
                                           .except_count = proxy->stack.excepts};
  error = wait_for_end(proxy, signals);
  adit_cli_reload_free(&proxy->reload);
  adit_cli_release(options, routes, error != 0);
  struct adit_stats stats;
  adit_runtime_stats(proxy->runtime, &stats);
  if (options->verbosity >= 0) adit_proxy_summary(&stats);
  adit_cli_fault_tell(options, proxy->device.queue, proxy->device.queues);
  status = error ? ADIT_CLI_FAILED : ADIT_CLI_DONE; /* the worker has said why */

done:
  adit_control_close(proxy->control);
  adit_runtime_free(proxy->runtime);
  return status;
}

enum adit_cli_status adit_cli_proxy(const struct adit_cli_options *options) {
  if (options->tap) {
    adit_cli_fail(options, "--tap: the relay takes packets, not frames; leave it out");
    return ADIT_CLI_USAGE;
  }
  struct proxy proxy = {.options = options};
  int signals = adit_cli_signals_open();
  if (signals < 0) return adit_cli_fail(options, "cannot wait for signals: %s", strerror(-signals));
  enum adit_cli_status status = adit_cli_relaying_init(options, &proxy.relaying);
  if (status != ADIT_CLI_DONE) goto close_signals;
  status = adit_cli_open(options, true, &proxy.device);
  if (status != ADIT_CLI_DONE) goto free_relaying;
  if (adit_device_link(proxy.device.queue[0]) == ADIT_LINK_ETHERNET) {
    adit_cli_fail(options, "%s carries Ethernet frames; the relay takes packets: give it a TUN device",
                  proxy.device.name);
    status = ADIT_CLI_USAGE;
  } else {
    status = run(&proxy, signals);
  }
  adit_cli_close(&proxy.device);
free_relaying:
  adit_cli_relaying_free(&proxy.relaying);
close_signals:
  close(signals);
  return status;
}
