/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Requests of the control socket: what is understood, and what is wrong with the rest; numbers as people read them.
 */
#include "cli/control_numbers.h"
#include "cli/control_request.h"
#include "cli/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The line in memory of exactly its size and the zero, so that a sanitizer sees a byte too far. */
static int parse(const char *line, size_t length, struct adit_control_request *request, char *reason, size_t size) {
  char *copy = malloc(length + 1);
  assert_non_null(copy);
  memcpy(copy, line, length);
  copy[length] = '\0';
  int error = adit_control_request_parse(copy, length, request, reason, size);
  free(copy);
  return error;
}

static void test_understood(void **state) {
  (void)state;
  static const struct {
    const char *line;
    enum adit_control_kind kind;
    size_t limit;
  } cases[] = {
      {"{\"request\":\"stat\"}", ADIT_CONTROL_STAT, ADIT_CONTROL_FLOWS},
      {" {\"request\" : \"stat\"} \r", ADIT_CONTROL_STAT, ADIT_CONTROL_FLOWS},
      {"{\"version\":1,\"request\":\"reload\"}", ADIT_CONTROL_RELOAD, ADIT_CONTROL_FLOWS},
      {"{\"request\":\"stop\",\"colour\":{\"a\":[1,2,{}]}}", ADIT_CONTROL_STOP, ADIT_CONTROL_FLOWS},
      {"{\"request\":\"flows\"}", ADIT_CONTROL_FLOW_LIST, ADIT_CONTROL_FLOWS},
      {"{\"request\":\"flows\",\"limit\":0}", ADIT_CONTROL_FLOW_LIST, 0},
      {"{\"limit\":10000,\"request\":\"flows\"}", ADIT_CONTROL_FLOW_LIST, 10000},
      {"{\"request\":\"fl\\u006fws\",\"limit\":7}", ADIT_CONTROL_FLOW_LIST, 7},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_control_request request = {.kind = ADIT_CONTROL_KINDS};
    char reason[128] = "";
    if (parse(cases[i].line, strlen(cases[i].line), &request, reason, sizeof reason) != 0)
      fail_msg("%s: expected to be understood, found '%s'", cases[i].line, reason);
    if (request.kind != cases[i].kind || request.limit != cases[i].limit)
      fail_msg("%s: expected kind %d, limit %zu, found %d, %zu", cases[i].line, (int)cases[i].kind, cases[i].limit,
               (int)request.kind, request.limit);
  }
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *line;
    const char *reason; /* begins with it */
  } cases[] = {
      {"", "not JSON"},
      {"stat", "not JSON"},
      {"{\"request\":\"stat\"", "not JSON"},
      {"{\"request\":\"stat\"}}", "not JSON"},
      {"{\"request\":\"stat\"} {}", "not JSON"},
      {"{\"1\":1,", "not JSON"},
      {"[", "not JSON"},
      {"\"", "not JSON"},
      {"\xff\xfe\xfd", "not JSON"},
      {"[\"stat\"]", "not an object"},
      {"\"stat\"", "not an object"},
      {"null", "not an object"},
      {"{}", "request: missing"},
      {"{\"request\":1}", "request: missing"},
      {"{\"request\":null}", "request: missing"},
      {"{\"Request\":\"stat\"}", "request: missing"},
      {"{\"request\":\"\"}", "request: unknown"},
      {"{\"request\":\"STAT\"}", "request: unknown"},
      {"{\"request\":\"stat\",\"version\":2}", "version: this adit speaks version 1 only"},
      {"{\"request\":\"stat\",\"version\":\"1\"}", "version: not a number"},
      {"{\"request\":\"flows\",\"limit\":-1}", "limit: not a whole number"},
      {"{\"request\":\"flows\",\"limit\":1.5}", "limit: not a whole number"},
      {"{\"request\":\"flows\",\"limit\":10001}", "limit: not a whole number"},
      {"{\"request\":\"flows\",\"limit\":1e999}", "limit: not a whole number"},
      {"{\"request\":\"flows\",\"limit\":\"5\"}", "limit: not a whole number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_control_request request = {.kind = ADIT_CONTROL_KINDS, .limit = 77};
    char reason[128] = "";
    int error = parse(cases[i].line, strlen(cases[i].line), &request, reason, sizeof reason);
    if (error == 0) fail_msg("%s: expected '%s', found that it was understood", cases[i].line, cases[i].reason);
    if (strncmp(reason, cases[i].reason, strlen(cases[i].reason)) != 0)
      fail_msg("%s: expected '%s', found '%s'", cases[i].line, cases[i].reason, reason);
    if (request.kind != ADIT_CONTROL_KINDS || request.limit != 77)
      fail_msg("%s: the request was written to", cases[i].line);
  }
}

/* Every beginning of a request, every byte of it changed, and what is nested as deep as a line is long. */
static void test_garbage(void **state) {
  (void)state;
  static const char good[] = "{\"version\":1,\"request\":\"flows\",\"limit\":12,\"x\":[1,{\"y\":\"\\u00e9\"}]}";
  struct adit_control_request request;
  char reason[128], line[ADIT_CONTROL_LINE];
  size_t understood = 0;
  for (size_t length = 0; length < sizeof good - 1; length++)
    assert_int_not_equal(parse(good, length, &request, reason, sizeof reason), 0);
  for (size_t at = 0; at < sizeof good - 1; at++) {
    for (unsigned byte = 0; byte < 256; byte++) {
      memcpy(line, good, sizeof good);
      line[at] = (char)byte;
      understood += parse(line, sizeof good - 1, &request, reason, sizeof reason) == 0;
    }
  }
  assert_in_range(understood, sizeof good - 1, 255 * (sizeof good - 1)); /* each byte is once what it was */
  memset(line, '[', sizeof line);
  assert_int_not_equal(parse(line, sizeof line, &request, reason, sizeof reason), 0);
  memset(line, 0, sizeof line);
  assert_int_not_equal(parse(line, sizeof line, &request, reason, sizeof reason), 0);
}

/* What is said stays one line and one string. */
static void test_refusal(void **state) {
  (void)state;
  char *text = adit_control_refusal("a \"quote\"\nand more");
  assert_string_equal(text, "{\"version\":1,\"ok\":false,\"error\":\"a \\\"quote\\\"\\nand more\"}");
  free(text);
}

/* All counters are there under their names, and digit by digit. */
static void test_numbers(void **state) {
  (void)state;
  struct adit_stats stats = {.stack = {.packets_in = 1, .bytes_in = UINT64_MAX, .memory_bytes = 9007199254740993},
                             .device_drops = 5,
                             .bursts = 6};
  stats.stack.drops[ADIT_DROP_TCP_CHECKSUM] = 7;
  static const char *const parts[] = {
      "\"packets_in\":1,",
      "\"bytes_in\":18446744073709551615,",
      "\"memory_bytes\":9007199254740993,",
      "\"tcp checksum\":7,",
      "\"device_drops\":5,",
      "\"bursts\":6}",
  };
  for (int relays = 0; relays < 2; relays++) {
    cJSON *object = adit_control_numbers(&stats, relays != 0);
    char *text = cJSON_PrintUnformatted(object);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
      if (strstr(text, parts[i]) == NULL) fail_msg("expected %s, found %s", parts[i], text);
    if ((strstr(text, "\"relay\":{\"connects\":0,") != NULL) != (relays != 0))
      fail_msg("expected %s relay, found %s", relays ? "a" : "no", text);
    free(text);
    cJSON_Delete(object);
  }
}

static void test_units(void **state) {
  (void)state;
  static const struct {
    char *(*format)(double, char *);
    double value;
    const char *text;
  } cases[] = {
      {adit_units_bytes, 0, "0 B"},
      {adit_units_bytes, 999, "999 B"},
      {adit_units_bytes, 1000, "1.00 kB"},
      {adit_units_bytes, 12345, "12.3 kB"},
      {adit_units_bytes, 999999, "1.00 MB"},
      {adit_units_bytes, 268435456, "268 MB"},
      {adit_units_bytes, 1e20, "100 EB"},
      {adit_units_count, 0, "0"},
      {adit_units_count, 999, "999"},
      {adit_units_count, 1000, "1,000"},
      {adit_units_count, 1234567, "1,234,567"},
      {adit_units_count, 1e300, "1,000,000,000,000,000"},
      {adit_units_time, 0, "0.0 s"},
      {adit_units_time, 59940, "59.9 s"},
      {adit_units_time, 59960, "0 min 59 s"},
      {adit_units_time, 307000, "5 min 07 s"},
      {adit_units_time, 3600000, "1 h 00 min"},
      {adit_units_time, 183600000, "2 d 03 h"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[ADIT_UNITS_TEXT];
    cases[i].format(cases[i].value, text);
    if (strcmp(text, cases[i].text) != 0)
      fail_msg("%g: expected '%s', found '%s'", cases[i].value, cases[i].text, text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_understood), cmocka_unit_test(test_refused), cmocka_unit_test(test_garbage),
      cmocka_unit_test(test_refusal),    cmocka_unit_test(test_numbers), cmocka_unit_test(test_units),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
