/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Text for standard output in a buffer of its own, written so that a signal still ends the program.
 */
#ifndef ADIT_CLI_OUTPUT_H
#define ADIT_CLI_OUTPUT_H

#include <stddef.h>

/** Text that waits to be written. Make with adit_cli_output_open. */
struct adit_cli_output {
  int fd;          /**< where it goes; borrowed */
  int signals;     /**< fd of adit_cli_signals_open; borrowed */
  char *text;      /**< owned */
  size_t used;     /**< bytes at `text` that wait */
  size_t capacity; /**< bytes that fit there */
};

/** Returns 0, or -ENOMEM. */
int adit_cli_output_open(struct adit_cli_output *output, int fd, int signals, size_t capacity);

/** Free the buffer; what still waits is forgotten. */
void adit_cli_output_close(struct adit_cli_output *output);

/**
 * Write all that waits. Blocks while the other side takes nothing, but not when a signal comes meanwhile (which is not
 * taken).
 * Returns 0, -EINTR for the signal, -EPIPE when nobody reads any more, or another negative errno; the text is then lost.
 */
int adit_cli_output_flush(struct adit_cli_output *output);

#endif
