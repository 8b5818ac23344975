/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Why a device cannot be had or configured, and what to do about it.
 */
#ifndef ADIT_CLI_EXPLAIN_H
#define ADIT_CLI_EXPLAIN_H

#include "cli/commands.h"
#include "host/link.h"

/**
 * Say why adit_device_open failed with `error`. `existing` is what was found under the name that was asked for, or NULL
 * when there was no such interface. Returns ADIT_CLI_FAILED.
 */
enum adit_cli_status adit_cli_explain_open(const struct adit_cli_options *options,
                                           const struct adit_link_info *existing, int error);

/** Say why `what` ("MTU 9000") could not be set on interface `name`. Returns ADIT_CLI_FAILED. */
enum adit_cli_status adit_cli_explain_setting(const struct adit_cli_options *options, const char *name,
                                              const char *what, const struct adit_link_socket *link, int error);

#endif
