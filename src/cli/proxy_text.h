/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit proxy` tells at its start and at its end, on standard output.
 */
#ifndef ADIT_CLI_PROXY_TEXT_H
#define ADIT_CLI_PROXY_TEXT_H

#include "cli/open.h"
#include "relay/relay.h"
#include "runtime/stats.h"

/** Say what is relayed, and how. The last line begins with "Ready". */
void adit_proxy_greet(const struct adit_cli_options *options, const struct adit_cli_device *device,
                      const struct adit_relay_options *relay);

/** Say what was done. */
void adit_proxy_summary(const struct adit_stats *stats);

#endif
