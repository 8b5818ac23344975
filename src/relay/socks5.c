/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of SOCKS5 as bytes in and bytes out.
 *
 * Each message of the server has a length that its first bytes tell: two for the choice of a method, two for the answer
 * to user and password, and 6 plus an address for the reply, of which a denial is known after two. Bytes are collected
 * in `have` until the message is whole, so it does not matter how they arrive, and not one byte behind the reply is
 * touched.
 *
 * All in one go saves two round trips. It works with a server that reads message by message out of the stream; one that
 * takes whatever a single read brings for one message loses what came with it, and then waits for ever. Which is which
 * shows only in use; talk.c finds out and remembers.
 */
#include "relay/socks5.h"

#include <assert.h>
#include <string.h>

enum {
  VERSION = 5,
  AUTH_VERSION = 1,
  METHOD_NONE = 0,
  METHOD_PASSWORD = 2,
  TYPE_IPV4 = 1,
  TYPE_NAME = 3,
  TYPE_IPV6 = 4,
  REPLY_HEAD = 4 /* version, reply, reserved, address type */
};

static const struct {
  enum adit_refusal refusal;
  const char *text;
} replies[] = {
    [0] = {ADIT_REFUSE_HOST_UNREACHABLE, "succeeded"}, /* no denial */
    [1] = {ADIT_REFUSE_HOST_UNREACHABLE, "general failure of the proxy"},
    [2] = {ADIT_REFUSE_PROHIBITED, "not allowed by the proxy's rules"},
    [3] = {ADIT_REFUSE_NET_UNREACHABLE, "network unreachable"},
    [4] = {ADIT_REFUSE_HOST_UNREACHABLE, "host unreachable"},
    [5] = {ADIT_REFUSE_RESET, "connection refused"},
    [6] = {ADIT_REFUSE_TTL_EXPIRED, "TTL expired"},
    [7] = {ADIT_REFUSE_PROHIBITED, "the proxy does not know the command"},
    [8] = {ADIT_REFUSE_NET_UNREACHABLE, "the proxy does not know this kind of address"},
};
static_assert(sizeof replies / sizeof replies[0] == 9, "RFC 1928, section 6, has X'00' to X'08'");

enum adit_refusal adit_socks5_refusal(uint8_t code) {
  return code < sizeof replies / sizeof replies[0] ? replies[code].refusal : ADIT_REFUSE_HOST_UNREACHABLE;
}

const char *adit_socks5_text(uint8_t code) {
  return code < sizeof replies / sizeof replies[0] ? replies[code].text : "a failure that RFC 1928 does not name";
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static size_t put_text(uint8_t *out, const char *text) {
  size_t length = strlen(text);
  assert(length <= 255);
  out[0] = (uint8_t)length;
  memcpy(out + 1, text, length);
  return length + 1;
}

static size_t put_greeting(const struct adit_socks5 *talk, uint8_t *out) {
  bool password = talk->upstream->has_credentials;
  size_t length = 0;
  out[length++] = VERSION;
  out[length++] = password && !talk->at_once ? 2 : 1;
  if (!password || !talk->at_once) out[length++] = METHOD_NONE;
  if (password) out[length++] = METHOD_PASSWORD;
  return length;
}

static size_t put_password(const struct adit_socks5 *talk, uint8_t *out) {
  size_t length = 0;
  out[length++] = AUTH_VERSION;
  length += put_text(out + length, talk->upstream->user);
  length += put_text(out + length, talk->upstream->password);
  return length;
}

static size_t put_request(const struct adit_socks5 *talk, uint8_t *out) {
  size_t length = 0;
  out[length++] = VERSION;
  out[length++] = (uint8_t)talk->command;
  out[length++] = 0;
  if (talk->name) {
    out[length++] = TYPE_NAME;
    length += put_text(out + length, talk->name);
  } else {
    adit_ip ip = talk->target.ip;
    out[length++] = ip.version == 6 ? TYPE_IPV6 : TYPE_IPV4;
    size_t bytes = ip.version == 6 ? 16 : 4; /* no address at all is 0.0.0.0 (UDP ASSOCIATE) */
    memcpy(out + length, ip.bytes, bytes);
    length += bytes;
  }
  out[length++] = (uint8_t)(talk->target.port >> 8);
  out[length++] = (uint8_t)talk->target.port;
  return length;
}

size_t adit_socks5_begin(struct adit_socks5 *talk, bool at_once, uint8_t *out) {
  talk->stage = ADIT_SOCKS5_METHOD;
  talk->at_once = at_once;
  talk->length = 0;
  size_t length = put_greeting(talk, out);
  if (!at_once) return length;
  if (talk->upstream->has_credentials) length += put_password(talk, out + length);
  return length + put_request(talk, out + length);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* How long the message is that has come in so far, as far as one can tell now. */
static size_t wanted(const struct adit_socks5 *talk) {
  if (talk->stage != ADIT_SOCKS5_REPLY || talk->length < 2 || talk->have[1] != 0) return 2; /* a denial says no more */
  if (talk->length < REPLY_HEAD + 1) return REPLY_HEAD + 1;
  switch (talk->have[3]) {
  case TYPE_IPV4:
    return REPLY_HEAD + 4 + 2;
  case TYPE_IPV6:
    return REPLY_HEAD + 16 + 2;
  default:
    return REPLY_HEAD + 1 + (size_t)talk->have[REPLY_HEAD] + 2;
  }
}
static_assert(sizeof((struct adit_socks5 *)0)->have == REPLY_HEAD + 1 + 255 + 2, "the longest reply fits");

/* What of a message can be seen to be wrong before it is whole. A stream of another kind is not waited for. */
static bool is_garbage(const struct adit_socks5 *talk) {
  const uint8_t *have = talk->have;
  if (talk->length == 0) return false;
  if (talk->stage == ADIT_SOCKS5_AUTH) return have[0] != AUTH_VERSION && have[0] != VERSION; /* some say 5 here */
  if (have[0] != VERSION) return true;
  return talk->stage == ADIT_SOCKS5_REPLY && talk->length >= REPLY_HEAD && have[3] != TYPE_IPV4 &&
         have[3] != TYPE_IPV6 && have[3] != TYPE_NAME;
}

static enum adit_socks5_result take_method(struct adit_socks5 *talk, uint8_t *out, size_t *out_length) {
  bool password = talk->upstream->has_credentials;
  uint8_t method = talk->have[1];
  if (method == 0xff) return ADIT_SOCKS5_METHODS;
  if (method == METHOD_PASSWORD && password) {
    talk->stage = ADIT_SOCKS5_AUTH;
    if (!talk->at_once) *out_length = put_password(talk, out);
    return ADIT_SOCKS5_MORE;
  }
  if (method != METHOD_NONE) return ADIT_SOCKS5_GARBAGE;
  if (password && talk->at_once) return ADIT_SOCKS5_GARBAGE; /* it was not offered */
  talk->stage = ADIT_SOCKS5_REPLY;
  if (!talk->at_once) *out_length = put_request(talk, out);
  return ADIT_SOCKS5_MORE;
}

static enum adit_socks5_result take_auth(struct adit_socks5 *talk, uint8_t *out, size_t *out_length) {
  if (talk->have[1] != 0) return ADIT_SOCKS5_BARRED;
  talk->stage = ADIT_SOCKS5_REPLY;
  if (!talk->at_once) *out_length = put_request(talk, out);
  return ADIT_SOCKS5_MORE;
}

static enum adit_socks5_result take_reply(struct adit_socks5 *talk) {
  talk->code = talk->have[1];
  if (talk->code != 0) return ADIT_SOCKS5_DENIED;
  const uint8_t *port = talk->have + talk->length - 2;
  talk->bound = (adit_endpoint){{{0}, 0}, (uint16_t)(port[0] << 8 | port[1])};
  if (talk->have[3] == TYPE_IPV4) talk->bound.ip = adit_ip_from_bytes(4, talk->have + REPLY_HEAD);
  if (talk->have[3] == TYPE_IPV6) talk->bound.ip = adit_ip_from_bytes(6, talk->have + REPLY_HEAD);
  return ADIT_SOCKS5_DONE;
}

/* A message is whole. */
static enum adit_socks5_result take(struct adit_socks5 *talk, uint8_t *out, size_t *out_length) {
  switch (talk->stage) {
  case ADIT_SOCKS5_METHOD:
    return take_method(talk, out, out_length);
  case ADIT_SOCKS5_AUTH:
    return take_auth(talk, out, out_length);
  case ADIT_SOCKS5_REPLY:
    return take_reply(talk);
  case ADIT_SOCKS5_ENDED:
    break;
  }
  return ADIT_SOCKS5_GARBAGE;
}

enum adit_socks5_result adit_socks5_input(struct adit_socks5 *talk, const uint8_t *bytes, size_t length, size_t *used,
                                          uint8_t *out, size_t *out_length) {
  enum adit_socks5_result result = talk->stage == ADIT_SOCKS5_ENDED ? ADIT_SOCKS5_GARBAGE : ADIT_SOCKS5_MORE;
  *used = 0;
  *out_length = 0;
  while (result == ADIT_SOCKS5_MORE && *used < length) {
    if (*out_length > 0) { /* it answers what has not been sent */
      result = ADIT_SOCKS5_GARBAGE;
      break;
    }
    talk->have[talk->length++] = bytes[(*used)++];
    if (is_garbage(talk)) {
      result = ADIT_SOCKS5_GARBAGE;
    } else if (talk->length == wanted(talk)) {
      result = take(talk, out, out_length);
      talk->length = 0;
    }
  }
  if (result != ADIT_SOCKS5_MORE) {
    talk->stage = ADIT_SOCKS5_ENDED;
    *out_length = 0;
  }
  return result;
}
