/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * HTTP content: sizes, pages, and the pattern behind /bytes/N.
 */
#include "service/content.h"
#include "service/pattern.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_sizes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int error;
    uint64_t size;
  } rows[] = {
      {"0", 0, 0},
      {"1", 0, 1},
      {"007", 0, 7},
      {"1K", 0, 1024},
      {"1k", 0, 1024},
      {"3M", 0, UINT64_C(3) << 20},
      {"1g", 0, UINT64_C(1) << 30},
      {"8388607T", 0, UINT64_C(8388607) << 40},
      {"9223372036854775807", 0, INT64_MAX},
      {"9223372036854775808", -ERANGE, 0},
      {"18446744073709551617", -ERANGE, 0},
      {"8388608T", -ERANGE, 0},
      {"99999999999999999999999K", -ERANGE, 0},
      {"", -EINVAL, 0},
      {"K", -EINVAL, 0},
      {"-1", -EINVAL, 0},
      {"+1", -EINVAL, 0},
      {" 1", -EINVAL, 0},
      {"1 ", -EINVAL, 0},
      {"1KB", -EINVAL, 0},
      {"1X", -EINVAL, 0},
      {"1.5G", -EINVAL, 0},
      {"0x10", -EINVAL, 0},
      {"1/2", -EINVAL, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint64_t size = 0;
    int error = adit_content_size(rows[i].text, strlen(rows[i].text), &size);
    if (error != rows[i].error || size != rows[i].size)
      fail_msg("\"%s\": %d and %" PRIu64 ", expected %d and %" PRIu64, rows[i].text, error, size, rows[i].error,
               rows[i].size);
  }
  uint64_t size = 0;
  assert_int_equal(adit_content_size("1\0K", 3, &size), -EINVAL); /* a zero byte is no unit */
}

static void test_pages(void **state) {
  (void)state;
  static const struct {
    const char *path;
    int status;
    const char *part; /* of the text; NULL = the pattern */
    uint64_t length;  /* of the pattern */
  } rows[] = {
      {"/", 200, "<b>[fdad:3::11]:50000</b>", 0},
      {"/index.html", 200, "<b>fdad:3::12</b>", 0},
      {"/?a=b", 200, "http://[fdad:3::12]/bytes/1G", 0},
      {"/", 200, "ping fdad:3::12 ", 0},
      {"/bytes/5", 200, NULL, 5},
      {"/bytes/2G", 200, NULL, UINT64_C(2) << 30},
      {"/bytes/7?x", 200, NULL, 7},
      {"/bytes/", 400, "number", 0},
      {"/bytes/x", 400, "number", 0},
      {"/bytes/9223372036854775808", 400, "2^63", 0},
      {"/bytes", 404, "404", 0},
      {"/bytesx/5", 404, "404", 0},
      {"/index.htm", 404, "404", 0},
      {"", 404, "404", 0},
      {"//", 404, "404", 0},
  };
  adit_endpoint local = {.port = 80};
  adit_endpoint remote = {.port = 50000};
  assert_int_equal(adit_ip_parse("fdad:3::12", &local.ip), 0);
  assert_int_equal(adit_ip_parse("fdad:3::11", &remote.ip), 0);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct adit_content content;
    assert_int_equal(adit_content_find(rows[i].path, local, remote, &content), 0);
    if (content.status != rows[i].status)
      fail_msg("%s: status %d, expected %d", rows[i].path, content.status, rows[i].status);
    if (rows[i].part) {
      assert_non_null(content.text);
      assert_int_equal(content.length, strlen(content.text));
      if (!strstr(content.text, rows[i].part))
        fail_msg("%s: no \"%s\" in %s", rows[i].path, rows[i].part, content.text);
    } else {
      assert_null(content.text);
      assert_int_equal(content.length, rows[i].length);
    }
    adit_content_release(&content);
  }
}

static uint8_t byte_of_bytes(uint64_t i) {
  uint64_t r = i % 65521;
  return (uint8_t)(r ^ r >> 8);
}

static uint8_t byte_of_chargen(uint64_t i) {
  uint64_t line = i / 74 % 95;
  uint64_t column = i % 74;
  return column == 72 ? '\r' : column == 73 ? '\n' : (uint8_t)(' ' + (line + column) % 95);
}

static void check_pattern(const struct adit_pattern *pattern, uint8_t (*byte)(uint64_t i)) {
  static const uint64_t offsets[] = {0, 1, 73, 7029, 7030, 65520, 65521, 65536, 1 << 30, INT64_MAX};
  for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
    size_t length;
    const uint8_t *bytes = adit_pattern_at(pattern, offsets[i], &length);
    assert_true(length >= 65536);
    for (size_t j = 0; j < length; j++)
      if (bytes[j] != byte(offsets[i] + j))
        fail_msg("byte %" PRIu64 "+%zu is %#x, expected %#x", offsets[i], j, bytes[j], byte(offsets[i] + j));
  }
}

static void test_patterns(void **state) {
  (void)state;
  check_pattern(adit_pattern_bytes(), byte_of_bytes);
  check_pattern(adit_pattern_chargen(), byte_of_chargen);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_pages),
      cmocka_unit_test(test_patterns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
