/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Rules and routes that bear our protocol number: list them, tell whose they are, remove them.
 *
 * Private to src/host.
 */
#ifndef ADIT_HOST_REMAINS_H
#define ADIT_HOST_REMAINS_H

#include "host/netlink.h"

#include <stdbool.h>

/** Which of them. */
struct adit_remains {
  uint32_t table; /**< those of this private table; 0 = of every table whose interface is gone */
  void (*removed)(void *user, const char *text); /**< told of each one that was removed; may be NULL */
  void *user;                                    /**< for `removed` */
};

/**
 * Remove them, rules before routes, and of the rules those that capture before those that protect from it.
 * What is gone meanwhile is fine. Returns their number or a negative errno.
 */
int adit_remains_remove(struct adit_netlink *netlink, const struct adit_remains *remains);

/** Whether somebody else has put a rule or route on the private table `table`. Returns 1, 0 or a negative errno. */
int adit_remains_foreign(struct adit_netlink *netlink, uint32_t table);

#endif
