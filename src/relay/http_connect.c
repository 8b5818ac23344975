/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of HTTP CONNECT as bytes in and bytes out.
 *
 * Of the answer only the status code matters; header fields are passed over, without being kept, to the empty line that
 * ends them. Nothing behind that line is touched: after 2xx it is the far end's (RFC 9110, 9.3.6: a length given there
 * has no meaning). Interim answers (1xx) are passed over. A line may end with LF alone (RFC 9112, 2.2).
 */
#include "relay/http_connect.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- codes ------------------------------------------------------------------------------------------------------- */

/*
 * Proxies say that the far end refused with 502 or 503 (squid, nginx) or 500 (tinyproxy), and do not tell it from other
 * failures; a refusal is by far the most usual one. Rows that are not here follow their class.
 */
static const struct {
  unsigned code;
  enum adit_refusal refusal;
  bool trouble;
  const char *text;
} codes[] = {
    {400, ADIT_REFUSE_PROHIBITED, true, "the proxy does not understand CONNECT"},
    {401, ADIT_REFUSE_PROHIBITED, true, "the proxy wants a user and a password: http://user:password@host"},
    {403, ADIT_REFUSE_PROHIBITED, false, "not allowed by the proxy's rules"},
    {404, ADIT_REFUSE_HOST_UNREACHABLE, false, "not found"},
    {405, ADIT_REFUSE_PROHIBITED, true, "the proxy does not do CONNECT"},
    {407, ADIT_REFUSE_PROHIBITED, true,
     "the proxy wants a user and a password that it knows: http://user:password@host"},
    {408, ADIT_REFUSE_HOST_UNREACHABLE, false, "timed out"},
    {429, ADIT_REFUSE_PROHIBITED, true, "too many requests"},
    {451, ADIT_REFUSE_PROHIBITED, false, "not allowed for legal reasons"},
    {500, ADIT_REFUSE_RESET, false, "the proxy could not connect"},
    {501, ADIT_REFUSE_PROHIBITED, true, "the proxy does not do CONNECT"},
    {502, ADIT_REFUSE_RESET, false, "the proxy could not connect"},
    {503, ADIT_REFUSE_RESET, false, "the proxy could not connect"},
    {504, ADIT_REFUSE_HOST_UNREACHABLE, false, "timed out at the proxy"},
};
enum { CODES = sizeof codes / sizeof codes[0] };

static size_t row_of(unsigned code) {
  size_t row = 0;
  while (row < CODES && codes[row].code != code) row++;
  return row;
}

enum adit_refusal adit_http_refusal(unsigned code) {
  size_t row = row_of(code);
  if (row < CODES) return codes[row].refusal;
  return code >= 500 ? ADIT_REFUSE_RESET : ADIT_REFUSE_PROHIBITED;
}

bool adit_http_is_trouble(unsigned code) {
  size_t row = row_of(code);
  return row < CODES ? codes[row].trouble : code < 500;
}

const char *adit_http_text(unsigned code) {
  size_t row = row_of(code);
  if (row < CODES) return codes[row].text;
  return code >= 500 ? "a failure of the proxy" : "the proxy refuses";
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

size_t adit_http_request(const struct adit_upstream *upstream, adit_endpoint target, const char *name, uint8_t *out) {
  char authority[ADIT_URL_HOST + sizeof ":65535"];
  char address[ADIT_ADDRESS_TEXT];
  if (name && strlen(name) >= ADIT_URL_HOST) return 0;
  if (name)
    snprintf(authority, sizeof authority, "%s:%u", name, (unsigned)target.port);
  else
    snprintf(authority, sizeof authority, "%s", adit_endpoint_format(target, address));

  char *text = (char *)out;
  size_t length = (size_t)snprintf(text, ADIT_HTTP_OUT, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
  if (upstream->has_credentials) {
    char pair[2 * ADIT_URL_USER];
    char encoded[sodium_base64_ENCODED_LEN(sizeof pair, sodium_base64_VARIANT_ORIGINAL)];
    int bytes = snprintf(pair, sizeof pair, "%s:%s", upstream->user, upstream->password);
    sodium_bin2base64(encoded, sizeof encoded, (const unsigned char *)pair, (size_t)bytes,
                      sodium_base64_VARIANT_ORIGINAL);
    length += (size_t)snprintf(text + length, ADIT_HTTP_OUT - length, "Proxy-Authorization: Basic %s\r\n", encoded);
    sodium_memzero(pair, sizeof pair);
    sodium_memzero(encoded, sizeof encoded);
  }
  length += (size_t)snprintf(text + length, ADIT_HTTP_OUT - length, "\r\n");
  return length;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* Places in "HTTP/1.1 200 Connection established" where something certain has to stand; then the rest of the header. */
enum { DIGIT_MAJOR = 5, DOT, DIGIT_MINOR, SPACE, CODE_1, CODE_2, CODE_3, BEHIND_CODE, REASON, FIELDS };

/* One byte of the status line up to what is behind the code. Returns whether it may stand there. */
static bool take_status(struct adit_http *answer, uint8_t byte) {
  static const char start[] = "HTTP/";
  bool digit = byte >= '0' && byte <= '9';
  switch (answer->state) {
  case DIGIT_MAJOR:
    return byte == '1';
  case DOT:
    return byte == '.';
  case DIGIT_MINOR:
    return digit;
  case SPACE:
    return byte == ' ';
  case CODE_1:
    answer->code = byte - (unsigned)'0';
    return byte >= '1' && byte <= '5';
  case CODE_2:
  case CODE_3:
    answer->code = answer->code * 10 + byte - (unsigned)'0';
    return digit;
  case BEHIND_CODE:
    return byte == ' ' || byte == '\r' || byte == '\n';
  default:
    return byte == (uint8_t)start[answer->state];
  }
}

static enum adit_http_result end_of_header(struct adit_http *answer) {
  if (answer->code >= 200) return answer->code < 300 ? ADIT_HTTP_DONE : ADIT_HTTP_DENIED;
  answer->state = 0; /* an interim answer; the real one follows */
  return ADIT_HTTP_MORE;
}

static enum adit_http_result take(struct adit_http *answer, uint8_t byte) {
  if (++answer->length > ADIT_HTTP_MOST) return ADIT_HTTP_LONG;
  if (answer->state <= BEHIND_CODE) {
    if (!take_status(answer, byte)) return ADIT_HTTP_GARBAGE;
    answer->state++;
  }
  if (answer->state < REASON) return ADIT_HTTP_MORE;
  if (byte == '\0') return ADIT_HTTP_GARBAGE;
  if (byte != '\n') {
    if (byte != '\r') answer->blank = false;
    return ADIT_HTTP_MORE;
  }
  bool end = answer->state == FIELDS && answer->blank;
  answer->state = FIELDS;
  answer->blank = true;
  return end ? end_of_header(answer) : ADIT_HTTP_MORE;
}

enum adit_http_result adit_http_input(struct adit_http *answer, const uint8_t *bytes, size_t length, size_t *used) {
  enum adit_http_result result = ADIT_HTTP_MORE;
  *used = 0;
  while (result == ADIT_HTTP_MORE && *used < length) result = take(answer, bytes[(*used)++]);
  return result;
}
