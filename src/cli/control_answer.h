/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a running adit answers through its control socket, as JSON.
 */
#ifndef ADIT_CLI_CONTROL_ANSWER_H
#define ADIT_CLI_CONTROL_ANSWER_H

#include "cli/control.h"
#include "cli/control_request.h"

/** What is known of this process itself. */
struct adit_control_process {
  uint64_t begun_ms; /**< monotonic */
  int statm;         /**< /proc/self/statm, open; owned; -1 = not to be had */
};

/** Begin to count, and open what is to be read later. */
void adit_control_process_open(struct adit_control_process *process);
void adit_control_process_close(struct adit_control_process *process);

/**
 * Answer a request: one line without newline, owned by the caller (free), NULL without memory. Blocks while the workers
 * write down what they have. `*stop` is set for ADIT_CONTROL_STOP.
 */
char *adit_control_answer(const struct adit_control_subject *subject, const struct adit_control_process *process,
                          const struct adit_control_request *request, bool *stop);

#endif
