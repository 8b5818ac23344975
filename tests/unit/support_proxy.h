/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A SOCKS5 server, an HTTP proxy and a nameserver in a process of their own, for tests that count what this one has.
 *
 * They are small and plain: SOCKS5 with user and password, CONNECT and UDP ASSOCIATE to IPv4 addresses; HTTP CONNECT with the
 * same; DNS over TCP, where every name has the address 192.0.2.1.
 */
#ifndef ADIT_TESTS_SUPPORT_PROXY_H
#define ADIT_TESTS_SUPPORT_PROXY_H

#include <stdint.h>
#include <sys/types.h>

#define SUPPORT_PROXY_USER "user"
#define SUPPORT_PROXY_PASSWORD "secret"

/** Where they listen on SUPPORT_KERNEL4. */
enum support_proxy_kind { SUPPORT_PROXY_SOCKS5, SUPPORT_PROXY_HTTP, SUPPORT_PROXY_DNS, SUPPORT_PROXY_KINDS };

struct support_proxy {
  pid_t pid;
  uint16_t port[SUPPORT_PROXY_KINDS];
};

/** Begin. The process ends with this one, if not before. */
void support_proxy_start(struct support_proxy *proxy);

/** End it; it must not have ended by itself. */
void support_proxy_stop(struct support_proxy *proxy);

#endif
