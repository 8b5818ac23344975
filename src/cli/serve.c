/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit serve`: a stack with small servers behind a device.
 *
 * Order: signals are turned into an fd before any thread is made; device; runtime with the services as its application;
 * then this thread only waits, for a signal or for the runtime to end by itself. Release is in reverse. The device goes
 * last, and with it everything that was configured.
 */
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/fault.h"
#include "cli/open.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "cli/serve_text.h"
#include "cli/signals.h"
#include "runtime/runtime.h"
#include "service/services.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { IDLE_MS = (2 * 60 + 4) * 60000 }; /* RFC 5382, REQ-5 */

/* Everything that one run needs. Large (lists of addresses), and alive as long as the runtime that borrows from it. */
struct serve {
  const struct adit_cli_options *options;
  struct adit_cli_device device;
  struct adit_cli_cidrs answers;
  adit_ip excepts[ADIT_CLI_EXCEPTS];
  struct adit_stack_options stack;
  struct adit_services_options services;
  struct adit_runtime *runtime;
  struct adit_control *control;
};

/* ---- the application that is plugged into each worker ------------------------------------------------------------ */

static int start_services(void *user, struct adit_worker *worker, void **state) {
  struct serve *serve = user;
  struct adit_services *services;
  int error = adit_services_new(adit_worker_stack(worker), &serve->services, &services);
  if (!error) *state = services;
  return error;
}

static void free_services(void *state) {
  adit_services_free(state);
}

static const struct adit_application application = {
    .name = "services",
    .start = start_services,
    .syn = adit_services_syn,
    .datagram = adit_services_datagram,
    .free = free_services,
};

static int64_t wall_clock(void *user) {
  (void)user;
  return (int64_t)time(NULL);
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

/* Returns ADIT_CLI_DONE, or the exit status with everything said. */
static enum adit_cli_status check_options(const struct adit_cli_options *options) {
  if (options->tap && options->queues > 1) {
    adit_cli_fail(
        options,
        "--tap --queues %llu: a TAP device has one queue here, because answers to ARP and neighbour discovery "
        "arrive on one queue and each queue has a stack of its own; leave out --queues",
        (unsigned long long)options->queues);
    return ADIT_CLI_USAGE;
  }
  if (options->bridge && options->answer.count == 0) {
    adit_cli_fail(options,
                  "--bridge %s: there may be other hosts on that bridge, so say which addresses are this stack's, for "
                  "example --answer 192.168.3.12",
                  options->bridge);
    return ADIT_CLI_USAGE;
  }
  return ADIT_CLI_DONE;
}

/* A random address, locally administered and of one host (IEEE 802, bits 1 and 0 of the first byte). */
static int choose_mac(uint8_t mac[6], const uint8_t *device_mac) {
  do {
    if (getrandom(mac, 6, 0) != 6) return errno ? -errno : -EIO;
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
  } while (memcmp(mac, device_mac, 6) == 0);
  return 0;
}

static adit_cidr first_network(const struct adit_cli_cidrs *networks, unsigned version) {
  for (size_t i = 0; i < networks->count; i++)
    if (networks->item[i].ip.version == version) return networks->item[i];
  return (adit_cidr){0};
}

static int prepare(struct serve *serve) {
  const struct adit_cli_options *options = serve->options;
  struct adit_stack_options *stack = &serve->stack;
  stack->mtu = serve->device.mtu;
  stack->answers = adit_cli_answers(options, &serve->device, &serve->answers);
  stack->answer = stack->answers ? serve->answers.item : NULL;
  stack->excepts = adit_cli_excepts(&serve->device.address, serve->excepts);
  stack->except = serve->excepts;
  stack->budget_bytes = (size_t)options->memory;
  stack->idle_ms = adit_cli_given(options, ADIT_CLI_IDLE_TIMEOUT) ? (uint32_t)options->idle_timeout * 1000 : IDLE_MS;
  serve->services = (struct adit_services_options){
      .wall_clock = wall_clock,
      .network4 = first_network(&serve->answers, 4),
      .network6 = first_network(&serve->answers, 6),
  };
  if (adit_device_link(serve->device.queue[0]) == ADIT_LINK_ETHERNET)
    return choose_mac(stack->mac, adit_device_mac(serve->device.queue[0]));
  return 0;
}

/* A network that has no address but the kernel's own, such as a /32: whatever is asked, the stack never hears of it. */
static void warn_of_nothing_to_answer(const struct serve *serve) {
  for (size_t i = 0; i < serve->answers.count; i++) {
    char text[ADIT_ADDRESS_TEXT];
    if (!adit_serve_leaves_nothing(serve->answers.item[i], serve->excepts, serve->stack.excepts)) continue;
    adit_cli_note(serve->options,
                  "warning: in %s nothing is left to answer: its addresses are the kernel's own; give a larger network "
                  "with --address, or say with --answer which addresses are the stack's, and route them to %s",
                  adit_cidr_format(serve->answers.item[i], text), serve->device.name);
  }
}

static void say_log(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  const struct adit_cli_options *options = user;
  (void)flow;
  if (level == ADIT_LOG_ERROR)
    adit_cli_fail(options, "%s", text);
  else if (level == ADIT_LOG_DEBUG)
    adit_cli_detail(options, "%s", text);
  else
    adit_cli_note(options, "%s", text);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Returns whether it is to go on. */
static bool heed(const struct serve *serve, int signal) {
  if (signal == 0) return true;
  if (signal != SIGHUP || adit_cli_signals_hung_up()) return false;
  adit_cli_note(serve->options, "SIGHUP: there is nothing to reload; SIGTERM ends adit");
  return true;
}

/* Wait for a signal, somebody at the control socket, or the end of the runtime, then stop it. Returns 0 or why it ended. */
static int wait_for_end(struct serve *serve, int signals) {
  enum { SIGNALS, RUNTIME, CONTROL, FDS };
  struct pollfd fd[FDS] = {
      [SIGNALS] = {.fd = signals, .events = POLLIN},
      [RUNTIME] = {.fd = adit_runtime_fd(serve->runtime), .events = POLLIN},
      [CONTROL] = {.fd = adit_control_fd(serve->control), .events = POLLIN},
  };
  for (;;) {
    if (poll(fd, FDS, adit_control_timeout(serve->control)) < 0 && errno != EINTR) break;
    if (fd[RUNTIME].revents) break;
    if (fd[SIGNALS].revents && !heed(serve, adit_cli_signals_take(signals))) break;
    if (adit_control_turn(serve->control)) break;
  }
  adit_runtime_stop(serve->runtime);
  return adit_runtime_join(serve->runtime);
}

static enum adit_cli_status open_control(struct serve *serve) {
  struct adit_control_subject subject = {.options = serve->options,
                                         .device = serve->device.queue[0],
                                         .name = serve->device.name,
                                         .mtu = serve->device.mtu,
                                         .address = &serve->device.address,
                                         .budget_bytes = serve->stack.budget_bytes};
  return adit_control_open(&subject, &serve->control);
}

static enum adit_cli_status run(struct serve *serve, int signals) {
  const struct adit_cli_options *options = serve->options;
  enum adit_cli_status status = ADIT_CLI_FAILED;
  int error = prepare(serve);
  if (error) return adit_cli_fail(options, "no random numbers: %s", strerror(-error));
  if (adit_device_link(serve->device.queue[0]) == ADIT_LINK_ETHERNET && serve->stack.answers == 0) {
    adit_cli_fail(options,
                  "%s carries Ethernet frames: say which addresses are this stack's, for example "
                  "--answer 192.168.3.12",
                  serve->device.name);
    return ADIT_CLI_USAGE;
  }
  status = open_control(serve);
  if (status != ADIT_CLI_DONE) return status;
  struct adit_cli_sandboxing sandboxing = {.calls = ADIT_SANDBOX_THREADS | ADIT_SANDBOX_NETLINK,
                                           .puts_back = adit_cli_puts_back(&serve->device),
                                           .reads_terminal = true,
                                           .socket = adit_control_path(serve->control)};
  status = adit_cli_sandbox(options, &sandboxing);
  if (status != ADIT_CLI_DONE) goto done;
  status = ADIT_CLI_FAILED;

  struct adit_runtime_options runtime = {
      .devices = serve->device.queue,
      .workers = serve->device.queues,
      .stack = &serve->stack,
      .application = &application,
      .user = serve,
      .log = {.write = say_log,
              .user = (void *)(uintptr_t)options, /* only read */
              .level = options->verbosity > 0 ? ADIT_LOG_DEBUG : ADIT_LOG_NOTICE},
  };
  error = adit_runtime_new(&runtime, &serve->runtime);
  if (error) {
    adit_cli_fail(options, "cannot make %u workers: %s", runtime.workers, strerror(-error));
    goto done;
  }
  error = adit_runtime_start(serve->runtime);
  if (error) {
    adit_cli_fail(options, "cannot start the stack: %s%s", strerror(-error),
                  error == -EINVAL ? "; check --mtu and --answer" : "");
    goto done;
  }
  adit_control_start(serve->control, serve->runtime);
  struct adit_serve_greeting greeting = {.device = &serve->device,
                                         .answers = &serve->answers,
                                         .excepts = serve->excepts,
                                         .except_count = serve->stack.excepts};
  warn_of_nothing_to_answer(serve);
  if (options->verbosity >= 0) adit_serve_greet(&greeting);

  error = wait_for_end(serve, signals);
  struct adit_stats stats;
  adit_runtime_stats(serve->runtime, &stats);
  if (options->verbosity >= 0) adit_serve_summary(&stats);
  adit_cli_fault_tell(options, serve->device.queue, serve->device.queues);
  status = error ? ADIT_CLI_FAILED : ADIT_CLI_DONE; /* the worker has said why */

done:
  adit_control_close(serve->control);
  adit_runtime_free(serve->runtime);
  return status;
}

enum adit_cli_status adit_cli_serve(const struct adit_cli_options *options) {
  enum adit_cli_status status = check_options(options);
  if (status != ADIT_CLI_DONE) return status;
  struct serve serve = {.options = options};
  int signals = adit_cli_signals_open();
  if (signals < 0) return adit_cli_fail(options, "cannot wait for signals: %s", strerror(-signals));
  status = (enum adit_cli_status)adit_cli_open(options, true, &serve.device);
  if (status == ADIT_CLI_DONE) {
    status = run(&serve, signals);
    adit_cli_close(&serve.device);
  }
  close(signals);
  return status;
}
