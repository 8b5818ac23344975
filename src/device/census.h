/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * How many queues of a device are open, by whomever.
 */
#ifndef ADIT_DEVICE_CENSUS_H
#define ADIT_DEVICE_CENSUS_H

/**
 * Ask the kernel (rtnetlink, IFLA_TUN_NUM_QUEUES) for the number of queues of the multi-queue TUN or TAP device `name`
 * of this network namespace, disabled ones included.
 * Returns the number; 0 when the kernel does not tell (before Linux 4.16); or a negative errno.
 */
int adit_census_queues(const char *name);

#endif
