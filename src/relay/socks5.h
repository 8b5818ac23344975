/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of SOCKS5 (RFC 1928, RFC 1929) as bytes in and bytes out. No I/O.
 */
#ifndef ADIT_RELAY_SOCKS5_H
#define ADIT_RELAY_SOCKS5_H

#include "relay/url.h"

#include <adit/stack.h>

/** Room for everything that is sent before the first answer: greeting, user and password, request. */
#define ADIT_SOCKS5_OUT (4 + (3 + 255 + 255) + (4 + 1 + 255 + 2))

/** What is asked of the server (RFC 1928, 4). */
enum adit_socks5_command { ADIT_SOCKS5_CONNECT = 1, ADIT_SOCKS5_UDP_ASSOCIATE = 3 };

/** Where the talk stands: what the next byte from the server belongs to. */
enum adit_socks5_stage {
  ADIT_SOCKS5_METHOD, /**< which way of authentication it wants */
  ADIT_SOCKS5_AUTH,   /**< whether user and password are right */
  ADIT_SOCKS5_REPLY,  /**< what became of the request */
  ADIT_SOCKS5_ENDED   /**< nothing; the talk is over */
};

/** What came of some bytes from the server. */
enum adit_socks5_result {
  ADIT_SOCKS5_MORE,    /**< more bytes are needed, and first `out_length` bytes at `out` are to be sent, if any */
  ADIT_SOCKS5_DONE,    /**< the request was granted; `bound` is set; bytes behind it are the far end's */
  ADIT_SOCKS5_DENIED,  /**< the server refused the request: `code` */
  ADIT_SOCKS5_METHODS, /**< no way of authentication in common */
  ADIT_SOCKS5_BARRED,  /**< user and password were refused */
  ADIT_SOCKS5_GARBAGE  /**< what came is not SOCKS5, or not in step */
};

/** A talk. Zero it, set the first four members, adit_socks5_begin. Holds no secret; the bytes to send do. */
struct adit_socks5 {
  const struct adit_upstream *upstream; /**< borrowed until the end of the talk */
  enum adit_socks5_command command;
  adit_endpoint target; /**< where to; with a name only the port counts, and the version is 0 */
  const char *name;     /**< instead of an address, at most 255 bytes, borrowed as above; or NULL */

  enum adit_socks5_stage stage;
  bool at_once;        /**< everything was sent at the beginning */
  uint8_t code;        /**< DENIED: the reply field */
  adit_endpoint bound; /**< DONE: the server's address for us; version 0 when it gave a name */
  uint8_t have[262];   /**< the message that is coming in */
  size_t length;       /**< bytes of it */
};

/**
 * Begin: bytes for the server are put at `out`, of ADIT_SOCKS5_OUT bytes. `at_once`: greeting, user and password, and
 * request, of which the server must take one after the other out of one stream; only the one method that will be used
 * is offered then. Otherwise the greeting alone. Returns how many bytes.
 */
size_t adit_socks5_begin(struct adit_socks5 *talk, bool at_once, uint8_t *out);

/**
 * Bytes from the server, however cut. Sets `*used` to how many belong to the talk, and `*out_length` to how many bytes
 * at `out` (ADIT_SOCKS5_OUT bytes) are to be sent now. After anything but MORE the talk is over.
 */
enum adit_socks5_result adit_socks5_input(struct adit_socks5 *talk, const uint8_t *bytes, size_t length, size_t *used,
                                          uint8_t *out, size_t *out_length);

/** What a client should see when the server denies with `code`. */
enum adit_refusal adit_socks5_refusal(uint8_t code);

/** What `code` means, a few words. Static. */
const char *adit_socks5_text(uint8_t code);

#endif
