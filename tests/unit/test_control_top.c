/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit top` makes of two answers: rates, and orders.
 */
#include "cli/top_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void take(struct adit_top_table *table, const char *text, double process, double now_ms) {
  cJSON *answer = cJSON_Parse(text);
  assert_non_null(answer);
  assert_int_equal(adit_top_table_take(table, answer, process, now_ms), 0);
  cJSON_Delete(answer);
}

/* The targets in their order, as one text. */
static const char *order_of(struct adit_top_table *table, enum adit_top_order order, char *text, size_t size) {
  adit_top_table_sort(table, order);
  text[0] = '\0';
  for (size_t i = 0; i < table->count; i++) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", i > 0 ? " " : "", table->row[i].target);
  }
  return text;
}

static const struct adit_top_row *find(const struct adit_top_table *table, const char *target) {
  for (size_t i = 0; i < table->count; i++)
    if (strcmp(table->row[i].target, target) == 0) return &table->row[i];
  fail_msg("there is no row %s", target);
  return NULL;
}

static void check_rates(const struct adit_top_table *table, const char *target, double up, double down) {
  const struct adit_top_row *row = find(table, target);
  if ((long)row->rate_up != (long)up || (long)row->rate_down != (long)down)
    fail_msg("%s: expected %g up, %g down, found %g, %g", target, up, down, row->rate_up, row->rate_down);
}

static const char first[] =
    "{\"total\":3,\"flows\":["
    "{\"worker\":0,\"id\":1,\"client\":\"10.0.0.1:1\",\"target\":\"a:1\",\"connected\":true,\"bytes_up\":1000,"
    "\"bytes_down\":0,\"age_ms\":10000},"
    "{\"worker\":1,\"id\":1,\"client\":\"10.0.0.1:2\",\"target\":\"b:1\",\"connected\":true,\"bytes_up\":0,"
    "\"bytes_down\":9000,\"age_ms\":3000},"
    "{\"worker\":0,\"id\":2,\"client\":\"10.0.0.1:3\",\"target\":\"c:1\",\"connected\":false,\"bytes_up\":0,"
    "\"bytes_down\":0,\"age_ms\":50}]}";

/* Two seconds later: a was slow, b stood still, c has ended, d is new. */
static const char second[] =
    "{\"total\":70000,\"flows\":["
    "{\"worker\":1,\"id\":1,\"client\":\"10.0.0.1:2\",\"target\":\"b:1\",\"connected\":true,\"bytes_up\":0,"
    "\"bytes_down\":9000,\"age_ms\":5000},"
    "{\"worker\":0,\"id\":7,\"client\":\"10.0.0.1:9\",\"target\":\"192.0.2.9:443\",\"name\":\"d\\u001b.test\","
    "\"connected\":true,\"bytes_up\":400,\"bytes_down\":8000,\"age_ms\":500},"
    "{\"worker\":0,\"id\":1,\"client\":\"10.0.0.1:1\",\"target\":\"a:1\",\"connected\":true,\"bytes_up\":1600,"
    "\"bytes_down\":20,\"age_ms\":12000}]}";

static void test_rates(void **state) {
  (void)state;
  struct adit_top_table table = {0};
  char text[256];
  take(&table, first, 5, 100000);
  check_rates(&table, "a:1", 100, 0); /* over its whole life */
  check_rates(&table, "b:1", 0, 3000);
  check_rates(&table, "c:1", 0, 0);
  assert_string_equal(order_of(&table, ADIT_TOP_BY_RATE, text, sizeof text), "b:1 a:1 c:1");
  take(&table, second, 5, 102000);
  assert_int_equal(table.count, 3);
  assert_int_equal((long)table.total, 70000);
  check_rates(&table, "a:1", 300, 10);
  check_rates(&table, "b:1", 0, 0);
  check_rates(&table, "d?.test:443", 800, 16000); /* by its name, and no escape sequence reaches the terminal */
  assert_string_equal(order_of(&table, ADIT_TOP_BY_RATE, text, sizeof text), "d?.test:443 a:1 b:1");
  assert_string_equal(order_of(&table, ADIT_TOP_BY_BYTES, text, sizeof text), "b:1 d?.test:443 a:1");
  assert_string_equal(order_of(&table, ADIT_TOP_BY_AGE, text, sizeof text), "a:1 b:1 d?.test:443");
  take(&table, first, 6, 104000); /* another process: the numbers mean other connections */
  check_rates(&table, "a:1", 100, 0);
  adit_top_table_free(&table);
}

/* What is missing is zero or empty; what is no answer is an empty one. */
static void test_odd_answers(void **state) {
  (void)state;
  struct adit_top_table table = {0};
  static const char *const answers[] = {
      "{}",
      "[]",
      "null",
      "{\"flows\":5}",
      "{\"flows\":[]}",
      "{\"total\":12}",
      "{\"flows\":[1,null,{},{\"id\":\"x\",\"client\":7,\"bytes_up\":-5}]}",
  };
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    take(&table, answers[i], 1, 1000 * (double)i);
    assert_int_equal(table.count, i + 1 == sizeof answers / sizeof answers[0] ? 4 : 0);
    adit_top_table_sort(&table, ADIT_TOP_BY_RATE);
  }
  adit_top_table_free(&table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rates),
      cmocka_unit_test(test_odd_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
