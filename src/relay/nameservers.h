/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The nameservers of a resolver, and those that the system names.
 */
#ifndef ADIT_RELAY_NAMESERVERS_H
#define ADIT_RELAY_NAMESERVERS_H

#include <adit/address.h>
#include <stdint.h>

struct adit_egress;

enum { ADIT_NAMESERVERS_MOST = 3 }; /**< as with resolv.conf(5) */

/** Whom to ask, and how patiently; zero is the default. */
struct adit_nameservers {
  adit_endpoint server[ADIT_NAMESERVERS_MOST];
  unsigned servers;       /**< 0 = as adit_nameservers_find says */
  struct adit_egress *by; /**< the way out, borrowed: it must outlive whoever asks; NULL = the worker's current one */
  uint32_t try_ms;        /**< how long each server is waited for, each time; 0 = 2 s */
  unsigned rounds;        /**< how often each is asked; 0 = 2 */
};

/** Read resolv.conf(5) text: the numeric nameservers in it, at most ADIT_NAMESERVERS_MOST. Returns their number. */
unsigned adit_nameservers_parse(const char *text, adit_endpoint server[ADIT_NAMESERVERS_MOST]);

/**
 * Fill `server` and `servers` as /etc/resolv.conf says now, at least one. Where that names only the stub of
 * systemd-resolved: with the servers that it stands for (/run/systemd/resolve/resolv.conf), since the stub's own
 * questions would go into the device and come back with addresses that we made up.
 */
void adit_nameservers_find(struct adit_nameservers *nameservers);

#endif
