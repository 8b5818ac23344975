/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Log and statistics: levels, silence, cut messages, bounds on repetition; sums over cells.
 */
#include "runtime/log.h"
#include "runtime/stats.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct heard {
  unsigned count;
  enum adit_log_level level;
  uint64_t flow;
  char text[2 * ADIT_LOG_TEXT];
};

static void hear(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  struct heard *heard = user;
  heard->count++;
  heard->level = level;
  heard->flow = flow;
  assert_true(strlen(text) < ADIT_LOG_TEXT);
  strcpy(heard->text, text);
  errno = EIO; /* must not be seen outside */
}

static void test_levels(void **state) {
  (void)state;
  struct heard heard = {0};
  struct adit_log log = {.write = hear, .user = &heard, .level = ADIT_LOG_WARNING};
  errno = EAGAIN;
  adit_log_write(&log, ADIT_LOG_WARNING, 17, "%s %d", "number", 5);
  assert_int_equal(errno, EAGAIN);
  assert_int_equal(heard.count, 1);
  assert_int_equal(heard.level, ADIT_LOG_WARNING);
  assert_int_equal(heard.flow, 17);
  assert_string_equal(heard.text, "number 5");
  adit_log_write(&log, ADIT_LOG_NOTICE, 0, "too little");
  assert_int_equal(heard.count, 1);
  adit_log_write(NULL, ADIT_LOG_ERROR, 0, "nobody");
  adit_log_write(&(struct adit_log){0}, ADIT_LOG_ERROR, 0, "nobody");
}

static void test_long_message_is_cut(void **state) {
  (void)state;
  struct heard heard = {0};
  struct adit_log log = {.write = hear, .user = &heard, .level = ADIT_LOG_DEBUG};
  char many[3 * ADIT_LOG_TEXT];
  memset(many, 'x', sizeof many);
  many[sizeof many - 1] = '\0';
  adit_log_write(&log, ADIT_LOG_ERROR, 0, "%s", many);
  assert_int_equal(strlen(heard.text), ADIT_LOG_TEXT - 1);
}

static void test_repetition_is_bounded(void **state) {
  (void)state;
  struct heard heard = {0};
  struct adit_log log = {.write = hear, .user = &heard, .level = ADIT_LOG_DEBUG};
  struct adit_log_limit limit = {0};
  struct adit_log_limit other = {0};
  uint64_t now_ns = 5;
  for (int i = 0; i < 1000; i++) adit_log_limited(&log, &limit, now_ns + (uint64_t)i, ADIT_LOG_WARNING, 0, "event");
  assert_int_equal(heard.count, ADIT_LOG_BURST);
  assert_string_equal(heard.text, "event");
  adit_log_limited(&log, &other, now_ns, ADIT_LOG_WARNING, 0, "another kind"); /* has a bound of its own */
  assert_int_equal(heard.count, ADIT_LOG_BURST + 1);
  adit_log_limited(&log, &limit, now_ns + ADIT_LOG_PERIOD_NS, ADIT_LOG_WARNING, 0, "event");
  assert_string_equal(heard.text, "event (997 more like this)");
  adit_log_limited(&log, &limit, now_ns + ADIT_LOG_PERIOD_NS, ADIT_LOG_WARNING, 0, "event");
  assert_string_equal(heard.text, "event");
  assert_int_equal(heard.count, ADIT_LOG_BURST + 3);
}

static void test_sums(void **state) {
  (void)state;
  static struct adit_stats_cell cell[2];
  struct adit_stats one = {.stack = {.packets_in = 1, .drops = {[ADIT_DROPS - 1] = 2}}, .write_full = 3};
  struct adit_stats two = {.stack = {.packets_in = 10, .drops = {[0] = 20}}, .write_errors = 30, .device_drops = 40};
  two.bursts = 50;
  adit_stats_publish(&cell[0], &two); /* is replaced, not added to */
  adit_stats_publish(&cell[0], &one);
  adit_stats_publish(&cell[1], &two);
  struct adit_stats sum = {0};
  adit_stats_add(&cell[0], &sum);
  adit_stats_add(&cell[1], &sum);
  assert_int_equal(sum.stack.packets_in, 11);
  assert_int_equal(sum.stack.drops[0], 20);
  assert_int_equal(sum.stack.drops[ADIT_DROPS - 1], 2);
  assert_int_equal(sum.write_full, 3);
  assert_int_equal(sum.write_errors, 30);
  assert_int_equal(sum.bursts, 50);
  assert_int_equal(adit_stats_dropped(&sum), 20 + 2 + 3 + 30 + 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_long_message_is_cut),
      cmocka_unit_test(test_repetition_is_bounded),
      cmocka_unit_test(test_sums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
