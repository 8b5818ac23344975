/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of HTTP CONNECT (RFC 9110, 9.3.6; RFC 9112) as bytes in and bytes out. No I/O.
 */
#ifndef ADIT_RELAY_HTTP_CONNECT_H
#define ADIT_RELAY_HTTP_CONNECT_H

#include "relay/url.h"

#include <adit/stack.h>

/** Room for a request with the longest name, user and password. */
#define ADIT_HTTP_OUT 1536

/** Most bytes of an answer's status line and header fields. */
#define ADIT_HTTP_MOST 8192

/** What came of some bytes from the proxy. */
enum adit_http_result {
  ADIT_HTTP_MORE,    /**< more bytes are needed */
  ADIT_HTTP_DONE,    /**< the tunnel is there (2xx); bytes behind the header are the far end's */
  ADIT_HTTP_DENIED,  /**< the proxy refused: `code` */
  ADIT_HTTP_GARBAGE, /**< what came is not HTTP */
  ADIT_HTTP_LONG     /**< the header is longer than ADIT_HTTP_MOST */
};

/** The answer that is coming in. Zero it. */
struct adit_http {
  unsigned state; /**< http_connect.c's own */
  unsigned code;  /**< three digits, of the last status line */
  size_t length;  /**< bytes so far */
  bool blank;     /**< nothing but a line's end in this line so far */
};

/**
 * Put the request to connect to `target`, or to `name` at its port when that is not NULL, at `out` (ADIT_HTTP_OUT
 * bytes). Returns how many bytes, or 0 when the name is too long.
 */
size_t adit_http_request(const struct adit_upstream *upstream, adit_endpoint target, const char *name, uint8_t *out);

/** Bytes from the proxy, however cut. Sets `*used` to how many belong to the answer. Anything but MORE ends it. */
enum adit_http_result adit_http_input(struct adit_http *answer, const uint8_t *bytes, size_t length, size_t *used);

/** What a client should see when the proxy denies with `code`. */
enum adit_refusal adit_http_refusal(unsigned code);

/** Whether `code` says that the proxy will have none of us, whatever the target: worth a message. */
bool adit_http_is_trouble(unsigned code);

/** What `code` means, a few words. Static. */
const char *adit_http_text(unsigned code);

#endif
