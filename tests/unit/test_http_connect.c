/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of HTTP CONNECT: requests, every answer whole and byte by byte, codes, bounds, garbage.
 */
#include "relay/http_connect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_request(const struct adit_upstream *upstream, const char *address, const char *name,
                          const char *expected) {
  adit_endpoint target = {{{0}, 0}, 443};
  uint8_t out[ADIT_HTTP_OUT];
  if (address) assert_int_equal(adit_ip_parse(address, &target.ip), 0);
  size_t length = adit_http_request(upstream, target, name, out);
  assert_true(length < sizeof out);
  out[length] = '\0';
  assert_string_equal((const char *)out, expected);
}

static void test_requests(void **state) {
  (void)state;
  struct adit_upstream upstream = {.kind = ADIT_UPSTREAM_HTTP};
  check_request(&upstream, "192.0.2.1", NULL, "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n");
  check_request(&upstream, "2001:db8::1", NULL,
                "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
  upstream.has_credentials = true;
  strcpy(upstream.user, "Aladdin");
  strcpy(upstream.password, "open sesame"); /* the example of RFC 7617, 2 */
  check_request(&upstream, NULL, "example.org",
                "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
                "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
  strcpy(upstream.user, "");
  strcpy(upstream.password, "");
  check_request(&upstream, "192.0.2.1", NULL,
                "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\nProxy-Authorization: Basic Og==\r\n\r\n");
}

static void test_the_longest_request(void **state) {
  (void)state;
  struct adit_upstream upstream = {.kind = ADIT_UPSTREAM_HTTP, .has_credentials = true};
  char name[257];
  uint8_t out[ADIT_HTTP_OUT];
  const adit_endpoint target = {{{0}, 0}, 65535};
  memset(name, 'n', 256);
  name[255] = '\0';
  memcpy(upstream.user, name, 256);
  memcpy(upstream.password, name, 256);
  size_t length = adit_http_request(&upstream, target, name, out);
  assert_true(length > 1200 && length < sizeof out);
  assert_memory_equal(out + length - 4, "\r\n\r\n", 4);
  name[255] = 'n';
  name[256] = '\0';
  assert_int_equal(adit_http_request(&upstream, target, name, out), 0);
}

static const struct answer {
  const char *text;
  enum adit_http_result result;
  unsigned code;
  const char *rest; /* what is behind the answer */
} answers[] = {
    {"HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0", ADIT_HTTP_DONE, 200, "SSH-2.0"},
    {"HTTP/1.0 200\r\n\r\n", ADIT_HTTP_DONE, 200, ""},
    {"HTTP/1.1 200 \n\nx", ADIT_HTTP_DONE, 200, "x"},
    {"HTTP/1.1 299 OK\r\nContent-Length: 5\r\nX: \r\n\r\nhello", ADIT_HTTP_DONE, 299, "hello"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n", ADIT_HTTP_DONE, 200, "\r\n"},
    {"HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n<html>", ADIT_HTTP_DENIED, 403, "<html>"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n", ADIT_HTTP_DENIED, 407, ""},
    {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", ADIT_HTTP_DENIED, 302, ""},
    {"HTTP/1.1 200 OK\r\nA: b\r\n", ADIT_HTTP_MORE, 200, ""},
    {"HTTP/1.1 2", ADIT_HTTP_MORE, 2, ""},
    {"HTTP/2 200\r\n\r\n", ADIT_HTTP_GARBAGE, 0, " 200\r\n\r\n"},
    {"HTTP/1.1 2000 OK", ADIT_HTTP_GARBAGE, 200, " OK"},
    {"HTTP/1.1 600 OK", ADIT_HTTP_GARBAGE, 6, "00 OK"},
    {"HTTP/1.1  200", ADIT_HTTP_GARBAGE, 0, "200"},
    {"http/1.1 200", ADIT_HTTP_GARBAGE, 0, "ttp/1.1 200"},
    {"\x05\xff", ADIT_HTTP_GARBAGE, 0, "\xff"},
};

static void hear(const struct answer *row, size_t cut) {
  struct adit_http answer = {0};
  enum adit_http_result result = ADIT_HTTP_MORE;
  size_t length = strlen(row->text);
  size_t at = 0;
  while (result == ADIT_HTTP_MORE && at < length) {
    size_t piece = length - at < cut ? length - at : cut;
    uint8_t *copy = malloc(piece); /* exact, for the address sanitizer */
    assert_non_null(copy);
    memcpy(copy, row->text + at, piece);
    size_t used;
    result = adit_http_input(&answer, copy, piece, &used);
    free(copy);
    at += used;
  }
  if (result != row->result || strcmp(row->text + at, row->rest) != 0)
    fail_msg("%s, in pieces of %zu: result %d, rest \"%s\"; expected %d, \"%s\"", row->text, cut, (int)result,
             row->text + at, (int)row->result, row->rest);
  if (result == ADIT_HTTP_DONE || result == ADIT_HTTP_DENIED) assert_int_equal(answer.code, row->code);
}

static void test_answers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
    for (size_t cut = 1; cut <= strlen(answers[i].text); cut++) hear(&answers[i], cut);
}

/* A header of `size` bytes in all. */
static enum adit_http_result answer_of(size_t size) {
  static const char start[] = "HTTP/1.1 200 OK\r\nA: ";
  struct adit_http answer = {0};
  uint8_t *text = malloc(size);
  assert_non_null(text);
  memset(text, 'a', size);
  memcpy(text, start, sizeof start - 1);
  memcpy(text + size - 4, "\r\n\r\n", 4);
  size_t used;
  enum adit_http_result result = adit_http_input(&answer, text, size, &used);
  free(text);
  assert_true(used <= ADIT_HTTP_MOST + 1);
  return result;
}

static void test_bounds(void **state) {
  (void)state;
  assert_int_equal(answer_of(ADIT_HTTP_MOST), ADIT_HTTP_DONE);
  assert_int_equal(answer_of(ADIT_HTTP_MOST + 1), ADIT_HTTP_LONG);
  struct adit_http answer = {0};
  enum adit_http_result result = ADIT_HTTP_MORE;
  size_t used;
  unsigned interim = 0;
  for (; result == ADIT_HTTP_MORE; interim++) /* without end */
    result = adit_http_input(&answer, (const uint8_t *)"HTTP/1.1 100 C\r\n\r\n", 18, &used);
  assert_int_equal(result, ADIT_HTTP_LONG);
  assert_int_equal(interim, ADIT_HTTP_MOST / 18 + 1);
}

static void test_codes(void **state) {
  (void)state;
  static const struct {
    unsigned code;
    enum adit_refusal refusal;
    bool trouble;
  } expected[] = {
      {400, ADIT_REFUSE_PROHIBITED, true},
      {403, ADIT_REFUSE_PROHIBITED, false},
      {404, ADIT_REFUSE_HOST_UNREACHABLE, false},
      {407, ADIT_REFUSE_PROHIBITED, true},
      {418, ADIT_REFUSE_PROHIBITED, true},
      {301, ADIT_REFUSE_PROHIBITED, true},
      {500, ADIT_REFUSE_RESET, false},
      {502, ADIT_REFUSE_RESET, false},
      {503, ADIT_REFUSE_RESET, false},
      {504, ADIT_REFUSE_HOST_UNREACHABLE, false},
      {599, ADIT_REFUSE_RESET, false},
      {501, ADIT_REFUSE_PROHIBITED, true},
  };
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    assert_int_equal(adit_http_refusal(expected[i].code), expected[i].refusal);
    assert_int_equal(adit_http_is_trouble(expected[i].code), expected[i].trouble);
  }
  assert_non_null(strstr(adit_http_text(407), "http://user:password@host"));
}

static void test_garbage(void **state) {
  (void)state;
  uint32_t random = 1;
  for (unsigned round = 0; round < 20000; round++) {
    struct adit_http answer = {0};
    uint8_t bytes[64] = "HTTP/1.1 200 OK\r\n";
    for (size_t i = round % 18; i < sizeof bytes; i++) {
      random = random * 1664525 + 1013904223;
      bytes[i] = (uint8_t)(random >> 31 ? "\r\n 0A:"[(random >> 24) % 6] : (char)(random >> 20));
    }
    size_t used;
    enum adit_http_result result = adit_http_input(&answer, bytes, sizeof bytes, &used);
    assert_true(used <= sizeof bytes);
    if (result == ADIT_HTTP_MORE)
      assert_int_equal(used, sizeof bytes);
    else
      assert_true(used > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_requests), cmocka_unit_test(test_the_longest_request),
      cmocka_unit_test(test_answers),  cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_codes),    cmocka_unit_test(test_garbage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
