/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit run`: a command whose only way out is the relay.
 *
 * Order: signals are blocked; the upstream's name is looked up; the namespace is made, while there is one thread; runtime
 * with the relay; the command begins. Then this thread passes signals on and waits. The relay stays outside, in the
 * namespaces of the caller, so that an upstream on 127.0.0.1 is the caller's.
 *
 * The terminal is the command's. It is in the same process group as this process, so that pipelines and the shell's job
 * control see one job, and what the terminal sends reaches it directly; this process takes no notice of those signals
 * and passes on only what somebody sent to it alone. When the command stops (Ctrl-Z), this process stops itself in the
 * same way, so that the shell gets its prompt back, and when the shell continues it, it continues the command. When the
 * command was a shell that had made another group the terminal's foreground, the terminal is given back at the end.
 */
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/fault.h"
#include "cli/gather.h"
#include "cli/open.h"
#include "cli/relaying.h"
#include "cli/run_names.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "host/namespace.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Status of a shell for a command that is there and cannot be run, and for one that is not there. */
enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/* Signals that are passed on when somebody sends them to this process; the last three only stop and continue. */
static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};

/* Everything that one run needs. Large, and alive as long as the runtime that borrows from it. */
struct run {
  const struct adit_cli_options *options;
  struct adit_cli_relaying relaying;
  struct adit_cli_cidrs address; /* of the device inside */
  struct adit_namespace *space;
  struct adit_device *device[ADIT_RUNTIME_WORKERS];
  unsigned devices;
  adit_ip excepts[ADIT_CLI_EXCEPTS];
  struct adit_stack_options stack;
  struct adit_runtime *runtime;
  struct adit_control *control;
  char resolv_conf[ADIT_RUN_NAMES_TEXT];
  sigset_t mask; /* as the caller had it */
  struct rlimit files;
  int signals;     /* signalfd */
  int terminal;    /* -1 = none */
  bool foreground; /* this process group was the terminal's at the start */
};

/* ---- signals and terminal --------------------------------------------------------------------------------------- */

static int block_signals(struct run *run) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) sigaddset(&set, passed_on[i]);
  if (sigprocmask(SIG_BLOCK, &set, &run->mask) != 0) return -errno;
  run->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (run->signals < 0) return -errno;
  run->terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  run->foreground = run->terminal >= 0 && tcgetpgrp(run->terminal) == getpgrp();
  return 0;
}

/* SIGTTOU is blocked, so this is allowed from the background, too. */
static void take_terminal_back(const struct run *run) {
  if (run->foreground && tcgetpgrp(run->terminal) != getpgrp()) (void)tcsetpgrp(run->terminal, getpgrp());
}

/* The command was stopped by `signal`: do as it did, and go on with it. */
static void stop_with_command(struct run *run, int signal) {
  sigset_t set;
  bool by_terminal = signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
  if (!by_terminal && run->terminal < 0) return; /* whoever stopped it will continue it, and not know of us */
  if (by_terminal) {
    sigemptyset(&set);
    sigaddset(&set, signal);
    raise(signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here, until the shell continues this process group */
    sigprocmask(SIG_BLOCK, &set, NULL);
  } else {
    raise(SIGSTOP);
  }
  adit_namespace_signal(run->space, SIGCONT);
}

static void pass_signals_on(struct run *run) {
  struct signalfd_siginfo info;
  while (read(run->signals, &info, sizeof info) == (ssize_t)sizeof info) {
    /* What the terminal sent (SI_KERNEL), the command has got, too. */
    if (info.ssi_code <= 0) adit_namespace_signal(run->space, (int)info.ssi_signo);
  }
}

/* ---- preparing -------------------------------------------------------------------------------------------------- */

static void pass_notice(void *user, const char *text) {
  adit_cli_note(user, "note: %s", text);
}

static enum adit_cli_status make_namespace(struct run *run) {
  const struct adit_cli_options *options = run->options;
  static const char *const defaults[] = {"192.168.3.11/24", "fdad:3::11/64"};
  char reason[ADIT_NAMESPACE_REASON];
  union {
    const struct adit_cli_options *in;
    void *out;
  } user = {.in = options}; /* pass_notice only reads it */
  run->address = options->address;
  size_t usable = options->mtu != 0 && options->mtu < 1280 ? 1 : 2;
  for (size_t i = 0; options->address.count == 0 && i < usable; i++) {
    if (adit_cidr_parse(defaults[i], &run->address.item[i]) == 0) run->address.count++;
  }
  adit_run_names(options, &run->address, &run->relaying.relay, run->resolv_conf);
  struct adit_namespace_options how = {
      .device = {.size = sizeof how.device,
                 .name = options->dev,
                 .queues = (unsigned)options->queues,
                 .no_offload = options->offload == ADIT_CLI_OFFLOAD_OFF || adit_cli_given(options, ADIT_CLI_FAULT),
                 .notice = pass_notice,
                 .user = user.out},
      .mtu = (uint32_t)options->mtu,
      .address = run->address.item,
      .addresses = run->address.count,
      .optional_ipv6 = options->address.count == 0,
      .resolv_conf = run->resolv_conf[0] != '\0' ? run->resolv_conf : NULL,
      .command = options->operands,
      .mask = run->mask,
      .files = run->files,
  };
  if (adit_namespace_new(&how, &run->space, reason) != 0) return adit_cli_fail(options, "%s", reason);
  for (unsigned i = 0; i < how.device.queues; i++) {
    int fd = adit_namespace_take(run->space, i);
    int error = adit_device_attach(fd, true, &run->device[i]);
    if (error != 0) {
      close(fd);
      return adit_cli_fail(options, "the device inside cannot be used: %s", strerror(-error));
    }
    if (options->no_big_tcp) adit_device_forgo(run->device[i], ADIT_OFFLOAD_BIG_TCP);
    run->devices++;
  }
  enum adit_cli_status status = adit_cli_gather(options, run->device, run->devices);
  if (status != ADIT_CLI_DONE) return status;
  return adit_cli_fault_insert(options, run->device, run->devices);
}

static enum adit_cli_status start_relay(struct run *run) {
  const struct adit_cli_options *options = run->options;
  run->stack.mtu = options->mtu != 0 ? (uint32_t)options->mtu : 1500;
  run->stack.budget_bytes = (size_t)options->memory;
  run->stack.except = run->excepts;
  run->stack.excepts = adit_cli_excepts(&run->address, run->excepts);
  enum adit_cli_status status = adit_cli_relaying_names(options, &run->relaying, run->excepts, run->stack.excepts);
  if (status != ADIT_CLI_DONE) return status;
  struct adit_runtime_options runtime = {
      .devices = run->device,
      .workers = run->devices,
      .stack = &run->stack,
      .application = &adit_relay_application,
      .user = &run->relaying.relay,
      .log = adit_cli_log(options),
  };
  if (options->verbosity == 0) runtime.log.level = ADIT_LOG_WARNING; /* the terminal is the command's */
  int error = adit_runtime_new(&runtime, &run->runtime);
  if (error == 0) error = adit_runtime_start(run->runtime);
  if (error != 0) return adit_cli_fail(options, "cannot start the relay: %s", strerror(-error));
  adit_control_start(run->control, run->runtime);
  return ADIT_CLI_DONE;
}

/* Everything that the sandbox closes the door to is opened; then it does. */
static enum adit_cli_status close_doors(struct run *run) {
  const struct adit_cli_options *options = run->options;
  struct adit_control_subject subject = {.options = options,
                                         .device = run->device[0],
                                         .name = adit_device_name(run->device[0]),
                                         .mtu = options->mtu != 0 ? (uint32_t)options->mtu : 1500,
                                         .address = &run->address,
                                         .budget_bytes = (size_t)options->memory,
                                         .relay = &run->relaying.relay};
  enum adit_cli_status status = adit_control_open(&subject, &run->control);
  if (status != ADIT_CLI_DONE) return status;
  struct adit_cli_sandboxing sandboxing = {.calls = ADIT_SANDBOX_CHILD,
                                           .relays = true,
                                           .socket = adit_control_path(run->control),
                                           .child = adit_namespace_pid(run->space)};
  return adit_cli_sandbox(options, &sandboxing);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* execvp says EACCES also when nothing but a folder of PATH may not be read. */
static bool is_in_path(const char *name) {
  char file[4096];
  const char *path = getenv("PATH");
  while (path != NULL && *path != '\0') {
    size_t length = strcspn(path, ":");
    snprintf(file, sizeof file, "%.*s/%s", (int)length, path, name);
    if (access(file, F_OK) == 0) return true;
    path += length + (path[length] == ':');
  }
  return false;
}

static int explain_exec(const struct run *run, int error) {
  const char *name = run->options->operands[0];
  bool bare = strchr(name, '/') == NULL;
  if (error == -EACCES && bare && !is_in_path(name)) error = -ENOENT;
  if (error == -ENOENT && bare) {
    adit_cli_fail(run->options, "%s: command not found; check its name and PATH", name);
  } else {
    adit_cli_fail(run->options, "%s: cannot be run: %s%s", name, strerror(-error),
                  error == -EACCES ? "; give a program that you may execute (chmod +x)" : "");
  }
  return error == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

/* Let the command run until it ends. Returns the exit status. */
static int attend(struct run *run) {
  enum { SPACE, SIGNALS, RUNTIME, CONTROL, FDS };
  struct pollfd fd[FDS] = {
      [SPACE] = {.fd = adit_namespace_fd(run->space), .events = POLLIN},
      [SIGNALS] = {.fd = run->signals, .events = POLLIN},
      [RUNTIME] = {.fd = adit_runtime_fd(run->runtime), .events = POLLIN},
      [CONTROL] = {.fd = adit_control_fd(run->control), .events = POLLIN},
  };
  bool stopping = false; /* somebody has asked for it over the control socket */
  int error = adit_namespace_start(run->space);
  if (error != 0) return (int)adit_cli_fail(run->options, "the command cannot be started: %s", strerror(-error));
  for (;;) {
    int detail;
    if (poll(fd, FDS, adit_control_timeout(run->control)) < 0 && errno != EINTR)
      return (int)adit_cli_fail(run->options, "waiting for the command failed: %s", strerror(errno));
    if (fd[SIGNALS].revents != 0) pass_signals_on(run);
    bool stop = adit_control_turn(run->control);                       /* from then on always */
    if (stop && !stopping) adit_namespace_signal(run->space, SIGTERM); /* as SIGTERM to this process */
    stopping = stop;
    switch (fd[SPACE].revents != 0 ? adit_namespace_next(run->space, &detail) : ADIT_NAMESPACE_NOTHING) {
    case ADIT_NAMESPACE_NOTHING:
      break;
    case ADIT_NAMESPACE_FAILED:
      return explain_exec(run, detail);
    case ADIT_NAMESPACE_STOPPED:
      stop_with_command(run, detail);
      break;
    case ADIT_NAMESPACE_ENDED:
      return detail;
    }
    if (fd[RUNTIME].revents != 0) {
      error = adit_runtime_join(run->runtime);
      return (int)adit_cli_fail(run->options, "the relay has ended, and the command with it: %s", strerror(-error));
    }
  }
}

enum adit_cli_status adit_cli_run(const struct adit_cli_options *options) {
  struct run run = {.options = options, .signals = -1, .terminal = -1};
  int status, error = block_signals(&run);
  if (error != 0) return adit_cli_fail(options, "cannot wait for signals: %s", strerror(-error));
  if (getrlimit(RLIMIT_NOFILE, &run.files) != 0) {
    status = (int)adit_cli_fail(options, "cannot read the limit of open files: %s", strerror(errno));
    goto close_signals;
  }
  status = (int)adit_cli_relaying_init(options, &run.relaying);
  if (status != ADIT_CLI_DONE) goto close_signals;
  status = (int)make_namespace(&run);
  if (status == ADIT_CLI_DONE) {
    signal(SIGPIPE, SIG_IGN); /* not before the command's process was made, which would inherit it; so the sandbox */
    status = (int)close_doors(&run);
  }
  if (status == ADIT_CLI_DONE) {
    status = (int)start_relay(&run);
  }
  if (status == ADIT_CLI_DONE) {
    status = attend(&run);
    take_terminal_back(&run);
  }
  adit_namespace_free(run.space);
  adit_control_close(run.control);
  adit_runtime_free(run.runtime);
  if (run.runtime != NULL && options->verbosity > 0) adit_cli_fault_tell(options, run.device, run.devices);
  while (run.devices > 0) adit_device_close(run.device[--run.devices]);
  adit_cli_relaying_free(&run.relaying);
close_signals:
  if (run.terminal >= 0) close(run.terminal);
  if (run.signals >= 0) close(run.signals);
  return (enum adit_cli_status)status; /* the command's, as a shell has it */
}
