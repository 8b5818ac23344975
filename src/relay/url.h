/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Upstream URLs: direct://, reject://, socks5://[user:password@]host[:port], http://[user:password@]host[:port].
 */
#ifndef ADIT_RELAY_URL_H
#define ADIT_RELAY_URL_H

#include <adit/address.h>

/** Ways out. */
enum adit_upstream_kind {
  ADIT_UPSTREAM_DIRECT, /**< a socket to where the client wanted to go */
  ADIT_UPSTREAM_REJECT, /**< nowhere: every connection is refused */
  ADIT_UPSTREAM_SOCKS5, /**< RFC 1928, RFC 1929 */
  ADIT_UPSTREAM_HTTP,   /**< CONNECT (RFC 9110, 9.3.6) */
  ADIT_UPSTREAM_KINDS
};

enum {
  ADIT_URL_USER = 256,  /**< longest user name or password, terminating zero included (RFC 1929: 255 bytes) */
  ADIT_URL_HOST = 256,  /**< longest host name, terminating zero included */
  ADIT_URL_REASON = 256 /**< room for an explanation */
};

/** An upstream as its URL says. A plain value; holds a password: clear it with adit_upstream_clear. */
struct adit_upstream {
  enum adit_upstream_kind kind;
  char host[ADIT_URL_HOST];     /**< as written, without brackets; empty for direct and reject */
  uint16_t port;                /**< 1080 and 8080 where the URL has none */
  bool has_credentials;         /**< a user (and password) was given, perhaps an empty one */
  char user[ADIT_URL_USER];     /**< percent-decoded */
  char password[ADIT_URL_USER]; /**< percent-decoded */
  adit_endpoint address;        /**< of the proxy; version 0 until it was resolved (adit_upstream_resolve) */
};

/**
 * Read a URL (RFC 3986). Returns 0 and `*upstream`; or -EINVAL with a sentence in `reason` (ADIT_URL_REASON bytes) that
 * says what is wrong and what to write instead, never repeating a password.
 */
int adit_upstream_parse(const char *url, struct adit_upstream *upstream, char *reason);

/**
 * Find the address of the proxy's host with the system's resolver. Blocks; do it before anything is captured.
 * Nothing to do for direct and reject. Returns 0, or -EHOSTUNREACH with a sentence in `reason`.
 */
int adit_upstream_resolve(struct adit_upstream *upstream, char *reason);

/**
 * The same while `before` is in use, as a reload wants it. What cannot be found, or has an address that adit itself made
 * up (the system's questions may enter the device by now), keeps its address if it is the host of `before`.
 * Returns 0; 1 when the address was kept, with the reason why; or -EHOSTUNREACH with a sentence in `reason`.
 */
int adit_upstream_renew(struct adit_upstream *upstream, const struct adit_upstream *before, char *reason);

/** Whether both are the same way out: address, user and password included. */
bool adit_upstream_equal(const struct adit_upstream *a, const struct adit_upstream *b);

/** The URL without user and password, for messages, in `text` (at least ADIT_URL_HOST + 32 bytes). Returns `text`. */
char *adit_upstream_format(const struct adit_upstream *upstream, char *text);

/** Overwrite it, password included. */
void adit_upstream_clear(struct adit_upstream *upstream);

#endif
