/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From --route, --bypass and --fail-closed to traffic that enters the device.
 */
#ifndef ADIT_CLI_CAPTURE_H
#define ADIT_CLI_CAPTURE_H

#include "cli/open.h"
#include "host/routes.h"

/**
 * Begin to capture what the options name; without --route only what earlier runs left is removed. Call it when the
 * stack behind the device runs, and after everything that needs the way out as it was (resolving the upstream).
 * `*routes` is then owned by the caller, for adit_cli_release; NULL without --route.
 * Returns ADIT_CLI_DONE, or the exit status with the reason said and nothing left behind.
 */
enum adit_cli_status adit_cli_capture(const struct adit_cli_options *options, const struct adit_cli_device *device,
                                      struct adit_routes **routes);

/**
 * End the capture. `failed` says that the relay ended by a fault and not because somebody wanted it to: with
 * --fail-closed what was captured then stays refused, which is said. `routes` may be NULL.
 */
void adit_cli_release(const struct adit_cli_options *options, struct adit_routes *routes, bool failed);

#endif
