/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Options from a YAML file: a mapping whose keys are names of options.
 */
#ifndef ADIT_CLI_CONFIG_H
#define ADIT_CLI_CONFIG_H

#include "cli/options.h"

/**
 * Read the file and set what the command line left open: `options->given` says what that is. A value is a scalar, or a
 * list of scalars for an option that may be repeated.
 * Returns 0; -EINVAL with a message that names file and line when the content is wrong; another negative errno with a
 * message when the file cannot be read. What was set before stays.
 */
int adit_cli_config_read(const char *path, struct adit_cli_options *options, struct adit_cli_error *error);

#endif
