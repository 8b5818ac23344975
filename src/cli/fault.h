/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --fault: put the queues of a device behind bad lines, and tell at the end what happened there.
 */
#ifndef ADIT_CLI_FAULT_H
#define ADIT_CLI_FAULT_H

#include "cli/commands.h"

#include <adit/device.h>

/**
 * Put each of `queues` devices behind what --fault says, in place; without the option nothing is done. Each stays the
 * caller's to close, also after a failure. Returns ADIT_CLI_DONE; or the exit status, with the reason said.
 */
enum adit_cli_status adit_cli_fault_insert(const struct adit_cli_options *options, struct adit_device **queue,
                                           unsigned queues);

/** Say what happened on the lines, if --fault was given. After the threads that use the devices have ended. */
void adit_cli_fault_tell(const struct adit_cli_options *options, struct adit_device *const *queue, unsigned queues);

#endif
