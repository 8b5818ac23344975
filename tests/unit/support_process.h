/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is open in this process: to be compared with what was open before.
 */
#ifndef SUPPORT_PROCESS_H
#define SUPPORT_PROCESS_H

/** How many entries there are in /proc/self/fd (the one that reads it among them) and /proc/self/task. */
unsigned support_open_fds(void);
unsigned support_threads(void);

#endif
