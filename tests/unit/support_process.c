/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is open in this process, as the kernel counts it.
 */
#include "support_process.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned entries(const char *path) {
  unsigned count = 0;
  DIR *folder = opendir(path);
  assert_non_null(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

unsigned support_open_fds(void) {
  return entries("/proc/self/fd");
}

unsigned support_threads(void) {
  return entries("/proc/self/task");
}
