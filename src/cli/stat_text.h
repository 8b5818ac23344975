/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit stat` prints.
 */
#ifndef ADIT_CLI_STAT_TEXT_H
#define ADIT_CLI_STAT_TEXT_H

#include <cjson/cJSON.h>
#include <stdio.h>

/**
 * Print an answer to "stat" as a table. `before` is the answer of `seconds` earlier, for a column of rates, or NULL.
 * Counters of another process are not compared.
 */
void adit_stat_print(const cJSON *now, const cJSON *before, double seconds, FILE *out);

#endif
