/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --io-uring: have the queues of a device read and write several packets with one system call.
 */
#ifndef ADIT_CLI_GATHER_H
#define ADIT_CLI_GATHER_H

#include "cli/commands.h"

#include <adit/device.h>

/**
 * Do what --io-uring says, or its default, for each of `queues` devices; nothing for a command without that option, or
 * with --fault, whose bad lines take packets one at a time. Before the sandbox, in which no ring can be made.
 * Returns ADIT_CLI_DONE; or the exit status, with the reason said: only --io-uring=always can fail.
 */
enum adit_cli_status adit_cli_gather(const struct adit_cli_options *options, struct adit_device *const *queue,
                                     unsigned queues);

#endif
