/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The control socket of a command that runs: what `adit stat` and `adit top` ask.
 */
#ifndef ADIT_CLI_CONTROL_H
#define ADIT_CLI_CONTROL_H

#include "cli/commands.h"
#include "relay/relay.h"
#include "runtime/runtime.h"

struct adit_control;

/** Who is asked. Everything is borrowed until adit_control_close. */
struct adit_control_subject {
  const struct adit_cli_options *options; /**< the command, --control and more */
  struct adit_runtime *runtime;           /**< set by adit_control_start */
  struct adit_device *device;             /**< one queue of it; only its name, kind and offloads are asked for */
  const char *name;                       /**< of the device */
  uint32_t mtu;
  const struct adit_cli_cidrs *address; /**< of the kernel's side */
  size_t budget_bytes;                  /**< of each worker; 0 = 256 MiB */
  /** What is relayed by now; NULL when the command does not relay. Read whenever somebody asks. */
  const struct adit_relay_options *relay;
  /** As SIGHUP. Returns NULL when it was done, or why not; static. NULL: the command has nothing to reload. */
  const char *(*reload)(void *user);
  void *user; /**< for `reload` */
};

/**
 * Listen where --control says. Without --control: as the device is called, in the folder of adit_control_folder; where
 * another adit listens there, with the number of this process in the name, and where that cannot be done, nowhere, which
 * is said only with --verbose. Before the sandbox; clients wait until adit_control_start.
 * Returns ADIT_CLI_DONE and `*control`, owned by the caller, NULL when nobody listens; or the exit status, with the reason
 * said.
 */
enum adit_cli_status adit_control_open(const struct adit_control_subject *subject, struct adit_control **control);

/** The path of the socket, NULL when nobody listens. Valid as long as the control. */
const char *adit_control_path(const struct adit_control *control);

/** Answer from now on, about this runtime, whose start has succeeded. NULL is allowed for the control. */
void adit_control_start(struct adit_control *control, struct adit_runtime *runtime);

/** For poll(2): an fd to wait on for reading, -1 when there is no control, and for how long at most (-1 = any time). */
int adit_control_fd(const struct adit_control *control);
int adit_control_timeout(const struct adit_control *control);

/** Answer what is there to answer; never waits for a client. Returns whether somebody asked for the end. */
bool adit_control_turn(struct adit_control *control);

/** Let clients go and remove the socket. NULL is allowed. Before the runtime is freed. */
void adit_control_close(struct adit_control *control);

/** Remove the sockets of earlier runs. `removed` is told the path of each. Returns how many, or a negative errno. */
int adit_control_cleanup(void (*removed)(void *user, const char *path), void *user);

#endif
