/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The event loop: order of a turn, giving up watches inside dispatch, deferred work, timers, precision of the wait.
 */
#include "runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { WATCHES = 8 };

struct world {
  struct adit_loop *loop;
  struct adit_watch watch[WATCHES];
  int events[WATCHES]; /* how many each got */
  int give_up;         /* every watch but the one that is called is given up; -1 = none */
};

static int set_up(void **state) {
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  assert_int_equal(adit_loop_new(&world->loop), 0);
  world->give_up = -1;
  *state = world;
  return 0;
}

static int tear_down(void **state) {
  struct world *world = *state;
  adit_loop_free(world->loop);
  for (int i = 0; i < WATCHES; i++)
    if (world->watch[i].fd > 0) close(world->watch[i].fd);
  free(world);
  return 0;
}

static int ready_fd(void) {
  int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  assert_true(fd >= 0);
  return fd;
}

static void no_event(void *user, struct adit_watch *watch, uint32_t events) {
  (void)user;
  fail_msg("unexpected event %#x on fd %d", events, watch->fd);
}

static void count_event(void *user, struct adit_watch *watch, uint32_t events) {
  struct world *world = user;
  long index = watch - world->watch;
  assert_true(index >= 0 && index < WATCHES);
  assert_int_equal(events, EPOLLIN);
  world->events[index]++;
  for (int i = 0; world->give_up >= 0 && i < WATCHES; i++)
    if (i != index) adit_loop_unwatch(world->loop, &world->watch[i], NULL);
}

static void test_event_reaches_its_watch(void **state) {
  struct world *world = *state;
  for (int i = 0; i < 3; i++)
    assert_int_equal(adit_loop_watch(world->loop, &world->watch[i], ADIT_WATCH_SOCKET, ready_fd(), EPOLLIN), 0);
  assert_int_equal(adit_loop_rewatch(world->loop, &world->watch[1], 0), 0);
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 2);
  adit_loop_dispatch(world->loop, count_event, world);
  assert_int_equal(world->events[0], 1);
  assert_int_equal(world->events[1], 0);
  assert_int_equal(world->events[2], 1);
}

/* All are ready in one wait; the first one that is called gives up the others, which must hear nothing any more. */
static void test_given_up_watch_hears_nothing(void **state) {
  struct world *world = *state;
  for (int i = 0; i < WATCHES; i++)
    assert_int_equal(adit_loop_watch(world->loop, &world->watch[i], ADIT_WATCH_SOCKET, ready_fd(), EPOLLIN), 0);
  world->give_up = 1;
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), WATCHES);
  adit_loop_dispatch(world->loop, count_event, world);
  int sum = 0;
  for (int i = 0; i < WATCHES; i++) sum += world->events[i];
  assert_int_equal(sum, 1);
}

struct owned {
  struct adit_watch watch;
  int *released;
};

static void release_owned(struct adit_watch *watch) {
  struct owned *owned = (struct owned *)watch; /* its first member */
  ++*owned->released;
  close(watch->fd);
  free(owned);
}

static void give_up_self(void *user, struct adit_watch *watch, uint32_t events) {
  (void)events;
  adit_loop_unwatch(user, watch, release_owned);
  adit_loop_unwatch(user, watch, release_owned); /* twice is once */
}

static void test_release_happens_at_reap(void **state) {
  struct world *world = *state;
  int released = 0;
  for (int i = 0; i < 2; i++) {
    struct owned *owned = calloc(1, sizeof *owned);
    assert_non_null(owned);
    owned->released = &released;
    assert_int_equal(adit_loop_watch(world->loop, &owned->watch, ADIT_WATCH_SOCKET, ready_fd(), EPOLLIN), 0);
  }
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 2);
  adit_loop_dispatch(world->loop, give_up_self, world->loop);
  assert_int_equal(released, 0);
  adit_loop_reap(world->loop);
  assert_int_equal(released, 2);
}

static void test_watch_again_only_after_reap(void **state) {
  struct world *world = *state;
  int fd = ready_fd();
  struct adit_watch *watch = &world->watch[0];
  assert_int_equal(adit_loop_watch(world->loop, watch, ADIT_WATCH_SOCKET, fd, EPOLLIN), 0);
  assert_int_equal(adit_loop_watch(world->loop, watch, ADIT_WATCH_SOCKET, fd, EPOLLIN), -EBUSY);
  adit_loop_unwatch(world->loop, watch, NULL);
  assert_int_equal(adit_loop_watch(world->loop, watch, ADIT_WATCH_SOCKET, fd, EPOLLIN), -EBUSY);
  assert_int_equal(adit_loop_rewatch(world->loop, watch, EPOLLOUT), -EINVAL);
  adit_loop_reap(world->loop);
  assert_int_equal(adit_loop_watch(world->loop, watch, ADIT_WATCH_SOCKET, fd, EPOLLIN), 0);
}

/* Both are ready; the first one that is called hands the other one's fd over: its event is that of the new watch, next turn. */
static void hand_other_over(void *user, struct adit_watch *watch, uint32_t events) {
  struct world *world = user;
  struct adit_watch *other = watch == &world->watch[0] ? &world->watch[1] : &world->watch[0];
  (void)events;
  world->events[watch - world->watch]++;
  if (!other->watched) return;
  assert_int_equal(adit_loop_hand_over(world->loop, other, watch, EPOLLIN, NULL), -EBUSY);
  assert_int_equal(adit_loop_hand_over(world->loop, other, &world->watch[2], EPOLLIN | EPOLLOUT, NULL), 0);
}

static void test_hand_over(void **state) {
  struct world *world = *state;
  for (int i = 0; i < 2; i++)
    assert_int_equal(adit_loop_watch(world->loop, &world->watch[i], ADIT_WATCH_SOCKET, ready_fd(), EPOLLIN), 0);
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 2);
  adit_loop_dispatch(world->loop, hand_other_over, world);
  assert_int_equal(world->events[0] + world->events[1], 1);
  struct adit_watch *from = world->events[0] ? &world->watch[1] : &world->watch[0];
  assert_false(from->watched);
  assert_int_equal(world->watch[2].fd, from->fd);
  assert_int_equal(world->watch[2].events, EPOLLIN | EPOLLOUT);
  assert_int_equal(adit_loop_hand_over(world->loop, from, &world->watch[3], EPOLLIN, NULL), -EINVAL);
  adit_loop_reap(world->loop);
  from->fd = 0; /* the other one's now */
  adit_loop_unwatch(world->loop, &world->watch[from == &world->watch[0] ? 1 : 0], NULL);
  assert_int_equal(adit_loop_rewatch(world->loop, &world->watch[2], EPOLLIN), 0);
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 1);
  adit_loop_dispatch(world->loop, count_event, world);
  assert_int_equal(world->events[2], 1);
}

static void test_close(void **state) {
  struct world *world = *state;
  struct adit_watch *watch = calloc(1, sizeof *watch);
  assert_non_null(watch);
  int fd = ready_fd();
  assert_int_equal(adit_loop_watch(world->loop, watch, ADIT_WATCH_SOCKET, fd, EPOLLIN), 0);
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 1);
  adit_loop_close(world->loop, watch, adit_watch_free);
  assert_int_equal(fcntl(fd, F_GETFD), -1);
  adit_loop_close(world->loop, watch, adit_watch_free); /* twice is once, whoever has that number now */
  adit_loop_dispatch(world->loop, no_event, NULL);
  adit_loop_reap(world->loop);
}

/* ---- deferred work ----------------------------------------------------------------------------------------------- */

struct job {
  struct adit_work work;
  struct adit_loop *loop;
  char name;
  char *log; /* names in order of running */
  int again; /* defer itself this often */
};

static void run_job(void *user, struct adit_work *work) {
  struct job *job = user;
  assert_ptr_equal(work, &job->work);
  size_t length = 0;
  while (job->log[length]) length++;
  job->log[length] = job->name;
  if (job->again-- > 0) adit_loop_defer(job->loop, work);
}

static void test_work_runs_once_in_order_and_in_rounds(void **state) {
  struct world *world = *state;
  char log[16] = "";
  struct job job[3];
  for (int i = 0; i < 3; i++) {
    job[i] = (struct job){.work = {.run = run_job, .user = &job[i]},
                          .loop = world->loop,
                          .name = (char)('a' + i),
                          .log = log,
                          .again = i == 0};
    adit_loop_defer(world->loop, &job[i].work);
    adit_loop_defer(world->loop, &job[i].work);
  }
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 0); /* work waits: no sleep */
  assert_true(adit_loop_work(world->loop));
  assert_string_equal(log, "abc");
  assert_true(adit_loop_work(world->loop));
  assert_string_equal(log, "abca");
  assert_false(adit_loop_work(world->loop));
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

struct alarm {
  struct adit_timer timer;
  struct adit_timers *timers;
  struct alarm *victim; /* cleared when this one fires */
  uint64_t again_ns;    /* set again for this time; 0 = no */
  uint64_t *last;       /* due time of the last one that fired, of all */
  int fired;
};

static void fire_alarm(void *user, struct adit_timer *timer) {
  struct alarm *alarm = user;
  assert_ptr_equal(timer, &alarm->timer);
  assert_true(timer->due_ns >= *alarm->last);
  *alarm->last = timer->due_ns;
  alarm->fired++;
  if (alarm->victim) adit_timers_clear(alarm->timers, &alarm->victim->timer);
  if (alarm->again_ns) assert_int_equal(adit_timers_set(alarm->timers, timer, alarm->again_ns), 0);
}

enum { ALARMS = 1000 };

static struct alarm *new_alarms(struct adit_timers *timers, uint64_t *last) {
  struct alarm *alarm = calloc(ALARMS, sizeof *alarm);
  assert_non_null(alarm);
  for (int i = 0; i < ALARMS; i++)
    alarm[i] = (struct alarm){.timer = {.fire = fire_alarm, .user = &alarm[i]}, .timers = timers, .last = last};
  return alarm;
}

/* A thousand timers set, moved and cleared in an order that looks random: what is left fires in order of time. */
static void test_timers_fire_in_order(void **state) {
  (void)state;
  struct adit_timers timers = {0};
  uint64_t last = 0;
  struct alarm *alarm = new_alarms(&timers, &last);
  for (uint64_t i = 0; i < ALARMS; i++) assert_int_equal(adit_timers_set(&timers, &alarm[i].timer, i * 7919 % 1009), 0);
  for (uint64_t i = 0; i < ALARMS; i += 3)
    assert_int_equal(adit_timers_set(&timers, &alarm[i].timer, i * 104729 % 1013), 0);
  int cleared = 0;
  for (size_t i = 0; i < ALARMS; i += 5, cleared++) adit_timers_clear(&timers, &alarm[i].timer);
  adit_timers_clear(&timers, &alarm[0].timer); /* twice is once */

  adit_timers_fire(&timers, 500);
  int early = 0;
  for (int i = 0; i < ALARMS; i++) {
    early += alarm[i].fired;
    if (alarm[i].timer.slot) assert_true(alarm[i].timer.due_ns > 500);
  }
  assert_true(early > ALARMS / 4 && early < ALARMS);
  assert_true(adit_timers_next(&timers) > 500);
  adit_timers_fire(&timers, 2000);
  int sum = 0;
  for (int i = 0; i < ALARMS; i++) {
    assert_int_equal(alarm[i].fired, i % 5 != 0);
    sum += alarm[i].fired;
  }
  assert_int_equal(sum, ALARMS - cleared);
  assert_true(adit_timers_next(&timers) == UINT64_MAX);
  adit_timers_free(&timers);
  free(alarm);
}

static void test_timer_may_clear_and_set_in_its_callback(void **state) {
  (void)state;
  struct adit_timers timers = {0};
  uint64_t last = 0;
  struct alarm *alarm = new_alarms(&timers, &last);
  alarm[0].victim = &alarm[1];
  alarm[0].again_ns = 10; /* has passed already when it fires */
  assert_int_equal(adit_timers_set(&timers, &alarm[0].timer, 10), 0);
  assert_int_equal(adit_timers_set(&timers, &alarm[1].timer, 20), 0);
  adit_timers_fire(&timers, 100);
  assert_int_equal(alarm[1].fired, 0);
  assert_true(alarm[0].fired >= 1 && alarm[0].fired <= 2); /* bounded by how many were set, not endless */
  assert_true(adit_timers_next(&timers) == 10);
  adit_timers_free(&timers);
  assert_int_equal(alarm[0].timer.slot, 0);
  free(alarm);
}

static void test_wait_is_finer_than_a_millisecond(void **state) {
  struct world *world = *state;
  uint64_t best_ns = UINT64_MAX;
  for (int i = 0; i < 50; i++) { /* the best of many: the machine may be busy */
    uint64_t start_ns = adit_loop_clock(world->loop);
    assert_int_equal(adit_loop_wait(world->loop, start_ns + 200000), 0);
    uint64_t took_ns = adit_loop_now(world->loop) - start_ns;
    assert_true(took_ns >= 200000);
    if (took_ns < best_ns) best_ns = took_ns;
  }
  if (best_ns >= 900000) fail_msg("a wait of 200 us took %lu us at best", (unsigned long)(best_ns / 1000));
}

static void test_wait_ends_for_a_timer(void **state) {
  struct world *world = *state;
  uint64_t last = 0;
  struct adit_timers *timers = adit_loop_timers(world->loop);
  struct alarm *alarm = new_alarms(timers, &last);
  uint64_t due_ns = adit_loop_clock(world->loop) + 2000000;
  assert_int_equal(adit_timers_set(timers, &alarm[0].timer, due_ns), 0);
  assert_int_equal(adit_loop_wait(world->loop, UINT64_MAX), 0);
  adit_loop_dispatch(world->loop, no_event, NULL);
  assert_true(adit_loop_now(world->loop) >= due_ns);
  adit_loop_fire(world->loop);
  assert_int_equal(alarm[0].fired, 1);
  free(alarm);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_event_reaches_its_watch, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_given_up_watch_hears_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_release_happens_at_reap, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_watch_again_only_after_reap, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_hand_over, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_work_runs_once_in_order_and_in_rounds, set_up, tear_down),
      cmocka_unit_test(test_timers_fire_in_order),
      cmocka_unit_test(test_timer_may_clear_and_set_in_its_callback),
      cmocka_unit_test_setup_teardown(test_wait_is_finer_than_a_millisecond, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_wait_ends_for_a_timer, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
