/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The mailbox between real threads: order, calls that wait, stop, and what becomes of messages when it closes.
 */
#include "runtime/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_readable(const struct adit_mailbox *mailbox) {
  struct pollfd fd = {.fd = mailbox->fd, .events = POLLIN};
  return poll(&fd, 1, 0) == 1;
}

struct note {
  struct adit_message message;
  int number;
  int *log;
  int *count;
  int discarded;
};

static void run_note(void *user) {
  struct note *note = user;
  note->log[(*note->count)++] = note->number;
}

static void discard_note(void *user) {
  struct note *note = user;
  note->discarded++;
}

static struct note new_note(int number, int *log, int *count) {
  return (struct note){
      .message = {.run = run_note, .discard = discard_note}, .number = number, .log = log, .count = count};
}

static void test_messages_keep_their_order(void **state) {
  (void)state;
  struct adit_mailbox mailbox;
  assert_int_equal(adit_mailbox_init(&mailbox), 0);
  int log[3];
  int count = 0;
  struct note note[3];
  assert_false(is_readable(&mailbox));
  for (int i = 0; i < 3; i++) {
    note[i] = new_note(i, log, &count);
    note[i].message.user = &note[i];
    assert_int_equal(adit_mailbox_post(&mailbox, &note[i].message), 0);
  }
  assert_true(is_readable(&mailbox));
  assert_true(adit_mailbox_deliver(&mailbox));
  assert_false(is_readable(&mailbox));
  assert_int_equal(count, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(log[i], i);
  adit_mailbox_close(&mailbox);
  adit_mailbox_destroy(&mailbox);
}

static void test_close_discards_what_waits_and_refuses_more(void **state) {
  (void)state;
  struct adit_mailbox mailbox;
  assert_int_equal(adit_mailbox_init(&mailbox), 0);
  int log[1];
  int count = 0;
  struct note waiting = new_note(1, log, &count);
  waiting.message.user = &waiting;
  struct note late = new_note(2, log, &count);
  late.message.user = &late;
  assert_int_equal(adit_mailbox_post(&mailbox, &waiting.message), 0);
  adit_mailbox_close(&mailbox);
  assert_int_equal(waiting.discarded, 1);
  assert_int_equal(adit_mailbox_post(&mailbox, &late.message), -ESHUTDOWN);
  assert_int_equal(late.discarded, 0);
  assert_int_equal(adit_mailbox_call(&mailbox, run_note, &late), -ESHUTDOWN);
  assert_int_equal(count, 0);
  adit_mailbox_destroy(&mailbox);
}

static void test_stop_before_anything_is_not_lost(void **state) {
  (void)state;
  struct adit_mailbox mailbox;
  assert_int_equal(adit_mailbox_init(&mailbox), 0);
  adit_mailbox_stop(&mailbox);
  adit_mailbox_stop(&mailbox);
  assert_true(is_readable(&mailbox));
  assert_false(adit_mailbox_deliver(&mailbox));
  assert_false(adit_mailbox_deliver(&mailbox));
  adit_mailbox_close(&mailbox);
  adit_mailbox_stop(&mailbox); /* after the end: harmless */
  adit_mailbox_destroy(&mailbox);
}

/* ---- with an owner in a thread of its own ------------------------------------------------------------------------ */

struct owner {
  struct adit_mailbox mailbox;
  pthread_t thread;
  uint64_t sum; /* the owner's own: only its thread writes it, and readers ask by a call */
  int deadlock; /* what a call of the owner to itself said */
};

static void nothing(void *user) {
  (void)user;
}

static void *own(void *user) {
  struct owner *owner = user;
  adit_mailbox_own(&owner->mailbox);
  owner->deadlock = adit_mailbox_call(&owner->mailbox, nothing, NULL);
  struct pollfd fd = {.fd = owner->mailbox.fd, .events = POLLIN};
  do {
    poll(&fd, 1, -1);
  } while (adit_mailbox_deliver(&owner->mailbox));
  adit_mailbox_close(&owner->mailbox);
  return NULL;
}

struct addition {
  struct owner *owner;
  uint64_t number;
};

static void add(void *user) {
  struct addition *addition = user;
  addition->owner->sum += addition->number;
}

enum { CALLERS = 4, CALLS = 500 };

static void *call_often(void *user) {
  struct owner *owner = user;
  for (uint64_t i = 1; i <= CALLS; i++) {
    struct addition addition = {owner, i};
    if (adit_mailbox_call(&owner->mailbox, add, &addition) != 0) return (void *)1;
  }
  return NULL;
}

static void test_calls_from_many_threads(void **state) {
  (void)state;
  struct owner owner = {.deadlock = 0};
  assert_int_equal(adit_mailbox_init(&owner.mailbox), 0);
  assert_int_equal(pthread_create(&owner.thread, NULL, own, &owner), 0);
  pthread_t caller[CALLERS];
  for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&caller[i], NULL, call_often, &owner), 0);
  for (int i = 0; i < CALLERS; i++) {
    void *failed;
    pthread_join(caller[i], &failed);
    assert_null(failed);
  }
  adit_mailbox_stop(&owner.mailbox);
  pthread_join(owner.thread, NULL);
  assert_int_equal(owner.sum, CALLERS * (uint64_t)CALLS * (CALLS + 1) / 2);
  assert_int_equal(owner.deadlock, -EDEADLK);
  adit_mailbox_destroy(&owner.mailbox);
}

/* Callers that are under way while the owner stops get an answer, done or cancelled, and none waits for ever. */
static void *call_until_refused(void *user) {
  struct owner *owner = user;
  for (;;) {
    struct addition addition = {owner, 1};
    int error = adit_mailbox_call(&owner->mailbox, add, &addition);
    if (error) return (void *)(intptr_t)error;
  }
}

static void test_stop_while_calls_are_under_way(void **state) {
  (void)state;
  for (int round = 0; round < 100; round++) {
    struct owner owner = {.deadlock = 0};
    assert_int_equal(adit_mailbox_init(&owner.mailbox), 0);
    assert_int_equal(pthread_create(&owner.thread, NULL, own, &owner), 0);
    pthread_t caller[CALLERS];
    for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&caller[i], NULL, call_until_refused, &owner), 0);
    adit_mailbox_stop(&owner.mailbox);
    for (int i = 0; i < CALLERS; i++) {
      void *result;
      pthread_join(caller[i], &result);
      int error = (int)(intptr_t)result;
      assert_true(error == -ESHUTDOWN || error == -ECANCELED);
    }
    pthread_join(owner.thread, NULL);
    adit_mailbox_destroy(&owner.mailbox);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_messages_keep_their_order),
      cmocka_unit_test(test_close_discards_what_waits_and_refuses_more),
      cmocka_unit_test(test_stop_before_anything_is_not_lost),
      cmocka_unit_test(test_calls_from_many_threads),
      cmocka_unit_test(test_stop_while_calls_are_under_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
