/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * "Did you mean": how far two words are apart.
 */
#ifndef ADIT_CLI_SUGGEST_H
#define ADIT_CLI_SUGGEST_H

#include <stdbool.h>

/**
 * Number of typing mistakes that make `b` of `a`: a letter too many, missing, wrong, or two neighbours exchanged
 * (restricted Damerau-Levenshtein distance). Words above 31 bytes are compared by their first 31.
 */
unsigned adit_cli_distance(const char *a, const char *b);

/** Whether `word` looks like a mistyped `name`: a third of the name, but at least one mistake, or its beginning. */
bool adit_cli_resembles(const char *word, const char *name);

#endif
