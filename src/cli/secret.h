/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Passwords on the command line, where everybody on this machine sees them (ps).
 */
#ifndef ADIT_CLI_SECRET_H
#define ADIT_CLI_SECRET_H

/**
 * Copy the words of a command line to memory that is in no core file and no swap space, and cut user and password out
 * of the URLs in the original. Returns the copy, ends with NULL, for adit_cli_secret_free; NULL without memory.
 */
char **adit_cli_secret_words(int argc, char **argv);

/** Overwrite and free it. NULL is allowed. */
void adit_cli_secret_free(char **words);

#endif
