/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is said to a proxy on a connection that stands, until it has agreed or refused.
 */
#ifndef ADIT_RELAY_TALK_H
#define ADIT_RELAY_TALK_H

#include "relay/http_connect.h"
#include "relay/socks5.h"
#include "relay/state.h"

enum { ADIT_TALK_WHY = 256, ADIT_TALK_OUT = ADIT_HTTP_OUT };

/** What has become of a talk. */
enum adit_talk_state {
  ADIT_TALK_ON,     /**< goes on; see adit_talk_wants */
  ADIT_TALK_DONE,   /**< the proxy has agreed; what the far end may have said already waits in the socket */
  ADIT_TALK_DENIED, /**< the proxy says no to this target; `how` and `why` are set */
  ADIT_TALK_FAILED  /**< the proxy itself is at fault, whatever the target; `how` and `why` are set */
};

/** One talk. Its members are written by talk.c alone. */
struct adit_talk {
  struct adit_egress *egress; /**< borrowed; of an upstream that is a proxy */
  int fd;                     /**< borrowed */
  bool trial;                 /**< SOCKS5: all at once, whatever is known of the server */
  bool in_steps;              /**< SOCKS5: asked step by step */
  bool associate;             /**< SOCKS5: UDP ASSOCIATE; then `codec.socks5.bound` is where datagrams go */
  bool heard;                 /**< a byte of an answer has come */
  enum adit_refusal how;      /**< what the client should see */
  size_t length;              /**< bytes at `out` */
  size_t sent;                /**< of which the socket took */
  union {
    struct adit_socks5 socks5;
    struct adit_http http;
  } codec;
  char why[ADIT_TALK_WHY];    /**< a sentence for the log */
  uint8_t out[ADIT_TALK_OUT]; /**< for the proxy; may hold a password */
};

/**
 * Ask the proxy of `egress` for `target` on `fd`, a connected socket that does not block. Both, and the name in
 * `target`, are borrowed until the end; of the target, `by` and `prefer` are not looked at.
 */
enum adit_talk_state adit_talk_begin(struct adit_talk *talk, struct adit_egress *egress,
                                     const struct adit_target *target, int fd);

/** The socket has something to tell, as epoll says. Only while the talk goes on, as the next two. */
enum adit_talk_state adit_talk_step(struct adit_talk *talk, uint32_t events);

/** What to wait for, for epoll. */
uint32_t adit_talk_wants(const struct adit_talk *talk);

/** Time is up: `seconds` have passed. Returns ADIT_TALK_FAILED. */
enum adit_talk_state adit_talk_expire(struct adit_talk *talk, unsigned seconds);

/** Overwrite what may hold a password. Also for one that never began. */
void adit_talk_wipe(struct adit_talk *talk);

#endif
