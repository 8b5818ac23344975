/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The client's side of SOCKS5: every talk whole and byte by byte, every reply code, and garbage.
 */
#include "relay/socks5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct adit_upstream open_server = {.kind = ADIT_UPSTREAM_SOCKS5};
static const struct adit_upstream guarded_server = {
    .kind = ADIT_UPSTREAM_SOCKS5, .has_credentials = true, .user = "us", .password = "pass"};

#define REQUEST4 "\x05\x01\x00\x01\xcb\x00\x71\x07\x1f\x90"
#define REQUEST6 "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"
#define REQUEST_NAME                                                                                                   \
  "\x05\x01\x00\x03\x0b"                                                                                               \
  "example.org\x01\xbb"
#define PASSWORD "\x01\x02us\x04pass"
#define BYTES(text) text, sizeof text - 1

static struct adit_socks5 talk_to(const struct adit_upstream *upstream, const char *address, uint16_t port,
                                  const char *name) {
  struct adit_socks5 talk = {.upstream = upstream, .command = ADIT_SOCKS5_CONNECT, .name = name};
  if (address) assert_int_equal(adit_ip_parse(address, &talk.target.ip), 0);
  talk.target.port = port;
  return talk;
}

static void check_bytes(const uint8_t *found, size_t found_length, const char *expected, size_t length) {
  if (found_length != length) fail_msg("%zu bytes, expected %zu", found_length, length);
  assert_memory_equal(found, expected, length);
}

static void test_what_is_sent_at_once(void **state) {
  (void)state;
  uint8_t out[ADIT_SOCKS5_OUT];
  struct adit_socks5 talk = talk_to(&open_server, "203.0.113.7", 8080, NULL);
  check_bytes(out, adit_socks5_begin(&talk, true, out), BYTES("\x05\x01\x00" REQUEST4));
  talk = talk_to(&open_server, "2001:db8::1", 80, NULL);
  check_bytes(out, adit_socks5_begin(&talk, true, out), BYTES("\x05\x01\x00" REQUEST6));
  talk = talk_to(&guarded_server, NULL, 443, "example.org");
  check_bytes(out, adit_socks5_begin(&talk, true, out), BYTES("\x05\x01\x02" PASSWORD REQUEST_NAME));
  talk = talk_to(&open_server, NULL, 0, NULL);
  talk.command = ADIT_SOCKS5_UDP_ASSOCIATE;
  check_bytes(out, adit_socks5_begin(&talk, true, out), BYTES("\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0"));
}

static void test_the_longest(void **state) {
  (void)state;
  struct adit_upstream upstream = guarded_server;
  char name[256];
  uint8_t out[ADIT_SOCKS5_OUT];
  memset(name, 'n', 255);
  name[255] = '\0';
  memcpy(upstream.user, name, 256);
  memcpy(upstream.password, name, 256);
  struct adit_socks5 talk = talk_to(&upstream, NULL, 65535, name);
  size_t length = adit_socks5_begin(&talk, true, out);
  assert_int_equal(length, 3 + 513 + 262);
  assert_true(length <= sizeof out);
}

/* A talk: what the server says, and what that makes of it. */
static const struct talk {
  const char *what;
  const struct adit_upstream *upstream;
  bool at_once;
  const char *server; /* all that the server says */
  size_t length;
  enum adit_socks5_result result;
  size_t used;      /* bytes of it that belong to the talk */
  const char *sent; /* all that is sent after the beginning */
  size_t sent_length;
  unsigned code;
  const char *bound;
} talks[] = {
    {"at once", &open_server, true, BYTES("\x05\x00\x05\x00\x00\x01\x0a\x00\x00\x01\x12\x34SSH-"), ADIT_SOCKS5_DONE, 12,
     BYTES(""), 0, "10.0.0.1:4660"},
    {"in steps", &open_server, false, BYTES("\x05\x00"), ADIT_SOCKS5_MORE, 2, BYTES(REQUEST4), 0, NULL},
    {"at once, password", &guarded_server, true, BYTES("\x05\x02\x01\x00\x05\x00\x00\x01\x0a\x00\x00\x01\x12\x34"),
     ADIT_SOCKS5_DONE, 14, BYTES(""), 0, "10.0.0.1:4660"},
    {"in steps, password", &guarded_server, false, BYTES("\x05\x02"), ADIT_SOCKS5_MORE, 2, BYTES(PASSWORD), 0, NULL},
    {"in steps, password not wanted", &guarded_server, false, BYTES("\x05\x00"), ADIT_SOCKS5_MORE, 2, BYTES(REQUEST4),
     0, NULL},
    {"at once, password not wanted", &guarded_server, true, BYTES("\x05\x00"), ADIT_SOCKS5_GARBAGE, 2, BYTES(""), 0,
     NULL},
    {"IPv6", &open_server, true,
     BYTES("\x05\x00\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\x00\x50"
           "x"),
     ADIT_SOCKS5_DONE, 24, BYTES(""), 0, "[2001:db8::9]:80"},
    {"a name", &open_server, true,
     BYTES("\x05\x00\x05\x00\x00\x03\x03"
           "abc\x00\x50"
           "y"),
     ADIT_SOCKS5_DONE, 12, BYTES(""), 0, NULL},
    {"an empty name", &open_server, true, BYTES("\x05\x00\x05\x00\x00\x03\x00\x00\x50"), ADIT_SOCKS5_DONE, 9, BYTES(""),
     0, NULL},
    {"refused", &open_server, true, BYTES("\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0"), ADIT_SOCKS5_DENIED, 4, BYTES(""), 5,
     NULL},
    {"refused, and nothing more is said", &open_server, true, BYTES("\x05\x00\x05\x04"), ADIT_SOCKS5_DENIED, 4,
     BYTES(""), 4, NULL},
    {"an unknown code", &open_server, true, BYTES("\x05\x00\x05\xfe"), ADIT_SOCKS5_DENIED, 4, BYTES(""), 254, NULL},
    {"no method", &open_server, true, BYTES("\x05\xff"), ADIT_SOCKS5_METHODS, 2, BYTES(""), 0, NULL},
    {"wrong password", &guarded_server, true, BYTES("\x05\x02\x01\x01"), ADIT_SOCKS5_BARRED, 4, BYTES(""), 0, NULL},
    {"right password, version 5", &guarded_server, true, BYTES("\x05\x02\x05\x00"), ADIT_SOCKS5_MORE, 4, BYTES(""), 0,
     NULL},
    {"a method not offered", &open_server, false, BYTES("\x05\x02"), ADIT_SOCKS5_GARBAGE, 2, BYTES(""), 0, NULL},
    {"GSSAPI", &guarded_server, false, BYTES("\x05\x01"), ADIT_SOCKS5_GARBAGE, 2, BYTES(""), 0, NULL},
    {"SOCKS4", &open_server, true, BYTES("\x00\x5a"), ADIT_SOCKS5_GARBAGE, 1, BYTES(""), 0, NULL},
    {"HTTP", &open_server, true, BYTES("HTTP/1.1 400"), ADIT_SOCKS5_GARBAGE, 1, BYTES(""), 0, NULL},
    {"an unknown kind of address", &open_server, true, BYTES("\x05\x00\x05\x00\x00\x02\0"), ADIT_SOCKS5_GARBAGE, 6,
     BYTES(""), 0, NULL},
    {"a reply of another version", &open_server, true, BYTES("\x05\x00\x04\x00"), ADIT_SOCKS5_GARBAGE, 3, BYTES(""), 0,
     NULL},
    {"a password's answer of another version", &guarded_server, true, BYTES("\x05\x02\x02\x00"), ADIT_SOCKS5_GARBAGE, 3,
     BYTES(""), 0, NULL},
    {"an answer before the question", &open_server, false, BYTES("\x05\x00\x05\x00"), ADIT_SOCKS5_GARBAGE, 2, BYTES(""),
     0, NULL},
};

/* Hold a talk with the server's bytes cut into pieces of `cut`. */
static void hold(const struct talk *row, size_t cut) {
  uint8_t out[ADIT_SOCKS5_OUT];
  uint8_t sent[2 * ADIT_SOCKS5_OUT];
  size_t sent_length = 0;
  size_t total = 0;
  enum adit_socks5_result result = ADIT_SOCKS5_MORE;
  struct adit_socks5 talk = talk_to(row->upstream, "203.0.113.7", 8080, NULL);
  size_t begun = adit_socks5_begin(&talk, row->at_once, out);
  assert_true(begun >= 3);
  while (result == ADIT_SOCKS5_MORE && total < row->length) {
    size_t length = row->length - total < cut ? row->length - total : cut;
    uint8_t *copy = malloc(length); /* exact, for the address sanitizer */
    assert_non_null(copy);
    memcpy(copy, row->server + total, length);
    size_t used;
    size_t more;
    result = adit_socks5_input(&talk, copy, length, &used, out, &more);
    free(copy);
    memcpy(sent + sent_length, out, more);
    sent_length += more;
    total += used;
    if (result == ADIT_SOCKS5_MORE) assert_int_equal(used, length);
  }
  if (result != row->result || total != row->used)
    fail_msg("%s, in pieces of %zu: result %d, %zu bytes used; expected %d, %zu", row->what, cut, (int)result, total,
             (int)row->result, row->used);
  if (result != ADIT_SOCKS5_GARBAGE) check_bytes(sent, sent_length, row->sent, row->sent_length);
  if (result == ADIT_SOCKS5_DENIED) assert_int_equal(talk.code, row->code);
  char text[ADIT_ADDRESS_TEXT];
  if (row->bound)
    assert_string_equal(adit_endpoint_format(talk.bound, text), row->bound);
  else
    assert_int_equal(talk.bound.ip.version, 0);
}

static void test_talks(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
    bool too_soon = strcmp(talks[i].what, "an answer before the question") == 0;
    for (size_t cut = too_soon ? talks[i].length : 1; cut <= talks[i].length; cut++) hold(&talks[i], cut);
  }
}

static void test_all_steps(void **state) {
  (void)state;
  uint8_t out[ADIT_SOCKS5_OUT];
  size_t used;
  size_t more;
  struct adit_socks5 talk = talk_to(&guarded_server, "203.0.113.7", 8080, NULL);
  check_bytes(out, adit_socks5_begin(&talk, false, out), BYTES("\x05\x02\x00\x02"));
  assert_int_equal(adit_socks5_input(&talk, (const uint8_t *)"\x05\x02", 2, &used, out, &more), ADIT_SOCKS5_MORE);
  check_bytes(out, more, BYTES(PASSWORD));
  assert_int_equal(adit_socks5_input(&talk, (const uint8_t *)"\x01\x00", 2, &used, out, &more), ADIT_SOCKS5_MORE);
  check_bytes(out, more, BYTES(REQUEST4));
  const char *reply = "\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50";
  assert_int_equal(adit_socks5_input(&talk, (const uint8_t *)reply, 10, &used, out, &more), ADIT_SOCKS5_DONE);
  assert_int_equal(used, 10);
  assert_int_equal(talk.stage, ADIT_SOCKS5_ENDED);
  assert_int_equal(adit_socks5_input(&talk, (const uint8_t *)reply, 10, &used, out, &more), ADIT_SOCKS5_GARBAGE);
  assert_int_equal(used, 0);
}

static void test_codes(void **state) {
  (void)state;
  static const enum adit_refusal expected[] = {
      [1] = ADIT_REFUSE_HOST_UNREACHABLE, [2] = ADIT_REFUSE_PROHIBITED,      [3] = ADIT_REFUSE_NET_UNREACHABLE,
      [4] = ADIT_REFUSE_HOST_UNREACHABLE, [5] = ADIT_REFUSE_RESET,           [6] = ADIT_REFUSE_TTL_EXPIRED,
      [7] = ADIT_REFUSE_PROHIBITED,       [8] = ADIT_REFUSE_NET_UNREACHABLE, [9] = ADIT_REFUSE_HOST_UNREACHABLE,
  };
  for (unsigned code = 1; code < 256; code++) {
    assert_int_equal(adit_socks5_refusal((uint8_t)code), expected[code < 9 ? code : 9]);
    assert_true(strlen(adit_socks5_text((uint8_t)code)) > 0);
  }
  assert_string_equal(adit_socks5_text(5), "connection refused");
}

/* Whatever comes, in whatever pieces: it ends, within its bounds. */
static void test_garbage(void **state) {
  (void)state;
  uint32_t random = 1;
  for (unsigned round = 0; round < 20000; round++) {
    uint8_t bytes[300];
    uint8_t out[ADIT_SOCKS5_OUT];
    struct adit_socks5 talk = talk_to(round & 1 ? &guarded_server : &open_server, "203.0.113.7", 8080, NULL);
    adit_socks5_begin(&talk, (round & 2) != 0, out);
    for (size_t i = 0; i < sizeof bytes; i++) {
      random = random * 1664525 + 1013904223;
      bytes[i] = (uint8_t)(random >> 24);
      if ((round & 4) && i < 4) bytes[i] = (uint8_t) "\x05\x00\x05\x00"[i]; /* begin well */
    }
    enum adit_socks5_result result = ADIT_SOCKS5_MORE;
    for (size_t at = 0; result == ADIT_SOCKS5_MORE && at < sizeof bytes;) {
      size_t length = 1 + (random >> 8) % 40;
      if (length > sizeof bytes - at) length = sizeof bytes - at;
      size_t used;
      size_t more;
      result = adit_socks5_input(&talk, bytes + at, length, &used, out, &more);
      assert_true(used <= length);
      assert_true(more <= sizeof out);
      at += used;
    }
    assert_int_not_equal(result, ADIT_SOCKS5_MORE); /* 300 bytes are more than the longest talk */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_sent_at_once),
      cmocka_unit_test(test_the_longest),
      cmocka_unit_test(test_talks),
      cmocka_unit_test(test_all_steps),
      cmocka_unit_test(test_codes),
      cmocka_unit_test(test_garbage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
