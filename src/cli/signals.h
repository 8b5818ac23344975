/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * SIGINT, SIGTERM and SIGHUP as something to wait for, so that a command ends, or reloads, in order.
 */
#ifndef ADIT_CLI_SIGNALS_H
#define ADIT_CLI_SIGNALS_H

#include <stdbool.h>

/**
 * From now on SIGINT, SIGTERM and, unless it was ignored, SIGHUP make the returned fd readable (signalfd(2)) instead of
 * ending the process. They are blocked for the calling thread and every thread it makes later, so call this before making
 * any. SIGPIPE is ignored: writing to a closed pipe returns EPIPE.
 * Returns the fd, owned by the caller, non-blocking and close-on-exec; or a negative errno.
 */
int adit_cli_signals_open(void);

/** Take one signal from the fd. Returns its number, 0 when none waits, or a negative errno. */
int adit_cli_signals_take(int fd);

/**
 * Whether this process had a terminal when the fd was opened and has lost it. Then SIGHUP says that: the window was
 * closed, the connection broke. Otherwise somebody sent it to a program that is to read its configuration again.
 */
bool adit_cli_signals_hung_up(void);

#endif
