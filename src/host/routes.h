/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Capture: which traffic of this machine the kernel sends into a device, and how all of it is taken back.
 */
#ifndef ADIT_HOST_ROUTES_H
#define ADIT_HOST_ROUTES_H

#include <adit/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What names our things among those of others. */
enum {
  ADIT_ROUTES_PROTOCOL = 173,       /**< rtm_protocol and FRA_PROTOCOL; nobody's in linux/rtnetlink.h and iproute2 */
  ADIT_ROUTES_TABLE = 1000000000,   /**< number of a private table, less the index of its interface */
  ADIT_ROUTES_PRIORITY = 30000,     /**< first policy rule */
  ADIT_ROUTES_PRIORITY_END = 30390, /**< last one */
  ADIT_ROUTES_MARK = 0x0ad10000     /**< mark when nobody chose one; free of the bits that kube-proxy and others test */
};

/** Room for an explanation. */
#define ADIT_ROUTES_REASON 384

/** What to capture. Everything is borrowed until the return. */
struct adit_routes_options {
  unsigned index;           /**< interface that gets it: TUN, and up */
  const adit_cidr *capture; /**< networks, host bits are ignored */
  size_t captures;          /**< their number */
  const adit_cidr
      *bypass;     /**< networks that are not captured although a shorter or the same prefix in `capture` has them */
  size_t bypasses; /**< their number */
  const adit_cidr *own; /**< addresses of the interface, whose networks the kernel sends into it by itself */
  size_t owns;          /**< their number */
  uint32_t mark;        /**< SO_MARK of sockets that are not captured; 0 = ADIT_ROUTES_MARK */
  bool fail_closed;     /**< what is captured is refused, not sent elsewhere, when the interface is gone */
  /** Called while capturing with one readable line about what is not as one may expect. May be NULL. */
  void (*notice)(void *user, const char *text);
  void *user; /**< for `notice` */
};

struct adit_routes;

/**
 * Begin to capture. What an earlier run left for an interface of the same index is replaced.
 * Returns 0 and `*routes`, owned by the caller; or a negative errno with a sentence in `reason` (ADIT_ROUTES_REASON
 * bytes) and nothing left behind: -EPERM (needs CAP_NET_ADMIN), -EADDRINUSE (somebody else uses the table), -ENODEV,
 * -EOPNOTSUPP (kernel without policy routing), -ENOMEM, or another one.
 */
int adit_routes_capture(const struct adit_routes_options *options, struct adit_routes **routes, char *reason);

/** End the capture: take back all of it, in reverse. NULL is allowed. */
void adit_routes_release(struct adit_routes *routes);

/**
 * Forget the capture as a process does that is killed: what hangs on the interface goes with it; with `fail_closed`
 * what was captured stays refused until the next adit_routes_cleanup. NULL is allowed.
 */
void adit_routes_abandon(struct adit_routes *routes);

/**
 * Remove what earlier runs left in this network namespace: rules and routes of ours whose interface is gone, or has
 * nobody behind it. What belongs to a running process stays. `removed`, which may be NULL, is called with one line for
 * each. Returns how many there were, or a negative errno with a sentence in `reason` (ADIT_ROUTES_REASON bytes).
 */
int adit_routes_cleanup(void (*removed)(void *user, const char *text), void *user, char *reason);

#endif
