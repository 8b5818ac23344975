/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One table of names, several threads: all agree on every address, and nobody loses one that is held.
 */
#include "relay/fake_names.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

enum { THREADS = 4, NAMES = 500, POOL = 64, ROUNDS = 20000 };

static struct adit_fake_names *names;
static atomic_uint faults;

static void *agree(void *argument) {
  uint32_t *number = argument; /* what this thread was told */
  for (unsigned i = 0; i < NAMES; i++) {
    char host[ADIT_DNS_HOST];
    snprintf(host, sizeof host, "n%u.example", i);
    if (adit_fake_names_take(names, host, SECOND, &number[i]) != 0) atomic_fetch_add(&faults, 1);
  }
  return NULL;
}

static void test_agree(void **state) {
  (void)state;
  static uint32_t number[THREADS][NAMES];
  pthread_t thread[THREADS];
  char file[] = "/tmp/adit-test-names.XXXXXX";
  int fd = mkstemp(file);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(unlink(file), 0);
  struct adit_fake_options options = {.cache = file, .now_ns = SECOND};
  assert_int_equal(adit_fake_names_new(&options, &names), 0);
  for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, agree, number[i]), 0);
  for (unsigned i = 0; i < 10; i++) assert_int_equal(adit_fake_names_save(names), 0); /* meanwhile */
  for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  assert_int_equal(atomic_load(&faults), 0);
  for (unsigned i = 1; i < THREADS; i++) assert_memory_equal(number[0], number[i], sizeof number[0]);
  assert_int_equal(adit_fake_names_count(names), NAMES);
  adit_fake_names_free(names);
  assert_int_equal(adit_fake_names_new(&options, &names), 0); /* the file has all of them */
  assert_int_equal(adit_fake_names_count(names), NAMES);
  adit_fake_names_free(names);
  assert_int_equal(unlink(file), 0);
}

static atomic_ullong clock_ns = SECOND;

/* In a pool that is always full: an address that was looked up and is held keeps its name until the release. */
static void *use(void *argument) {
  unsigned id = *(unsigned *)argument;
  unsigned held = 0;
  for (unsigned i = 0; i < ROUNDS; i++) {
    char host[ADIT_DNS_HOST];
    char before[ADIT_DNS_HOST];
    char after[ADIT_DNS_HOST];
    uint32_t number;
    uint64_t now_ns = atomic_fetch_add(&clock_ns, SECOND / 100);
    snprintf(host, sizeof host, "t%u-%u.example", id, i % 100);
    int error = adit_fake_names_take(names, host, now_ns, &number);
    if (error == -ENOSPC) continue;
    bool found = !error && adit_fake_names_look(names, number, now_ns, true, before) && strcmp(before, host) == 0;
    adit_fake_names_hold(names, number);
    bool kept = adit_fake_names_look(names, number, now_ns + 1000 * SECOND, false, after) && strcmp(host, after) == 0;
    adit_fake_names_release(names, number, now_ns);
    /* The others may have worked for longer than the reservation lasts, while this thread did not. */
    if (atomic_load(&clock_ns) - now_ns >= ADIT_FAKE_RESERVED_S * SECOND) continue;
    if (!found || !kept) atomic_fetch_add(&faults, 1);
    held++;
  }
  *(unsigned *)argument = held;
  return NULL;
}

static void test_full(void **state) {
  (void)state;
  pthread_t thread[THREADS];
  unsigned held[THREADS];
  struct adit_fake_options options = {.size = POOL, .now_ns = SECOND};
  assert_int_equal(adit_fake_names_new(&options, &names), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    held[i] = i;
    assert_int_equal(pthread_create(&thread[i], NULL, use, &held[i]), 0);
  }
  unsigned all = 0;
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    all += held[i];
  }
  assert_int_equal(atomic_load(&faults), 0);
  assert_in_range(all, THREADS * POOL, THREADS * ROUNDS);
  assert_int_equal(adit_fake_names_count(names), POOL);
  adit_fake_names_free(names);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_agree), cmocka_unit_test(test_full)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
