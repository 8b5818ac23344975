/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What commands say on standard error: "adit COMMAND: text".
 */
#ifndef ADIT_CLI_SAY_H
#define ADIT_CLI_SAY_H

#include "cli/commands.h"

/** Say why the command fails. Returns ADIT_CLI_FAILED, so that it can be returned. Without newline at the end. */
enum adit_cli_status adit_cli_fail(const struct adit_cli_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Say something unless --quiet was given. */
void adit_cli_note(const struct adit_cli_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Say something if --verbose was given. */
void adit_cli_detail(const struct adit_cli_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
