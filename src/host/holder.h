/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Which process has a TUN or TAP device open.
 */
#ifndef ADIT_HOST_HOLDER_H
#define ADIT_HOST_HOLDER_H

#include <stdbool.h>

/** A process. */
struct adit_holder {
  long pid;
  char command[32]; /**< its name, as ps shows it */
};

/**
 * Look for a process of this network namespace, other than this one, that has the device open (/proc/PID/fdinfo). Only
 * processes are seen that the caller may look into. Returns whether one was found.
 */
bool adit_holder_find(const char *device, struct adit_holder *holder);

#endif
