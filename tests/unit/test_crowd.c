/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Ten thousand connections that come and go: what the stack holds does not grow.
 */
#include "support_crowd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_nothing_grows(void **state) {
  static const struct support_crowd crowd = {.clients = SUPPORT_CROWD_MOST,
                                             .open_least = 9500,
                                             .window_s = 300,
                                             .server = {"192.168.3.12", "fdad:3::12"},
                                             .port = {80, 80}};
  (void)state;
  support_crowd_run(&crowd);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_grows)};
  return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
