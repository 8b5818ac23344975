/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The event loop of one thread, on epoll.
 *
 * Life of a watch: adit_loop_watch -> events -> adit_loop_unwatch -> released at the reap. In between an event that was
 * collected before may still lie in `ready`; dispatch passes over it because `watched` is false, and the memory is still
 * there because only the reap frees. So a callback may give up any watch, its own included.
 *
 * Waiting: the stack's deadlines are finer than a millisecond (a delayed ACK of an echo, pacing), so the wait is
 * epoll_pwait2 (Linux 5.11) and falls back to epoll_wait, rounded up to the next millisecond, where the kernel has none.
 * The clock is read once a turn, after the wait; everything in the turn happens at that time.
 */
#include "runtime/loop.h"

#include <errno.h>
#include <limits.h>
#include <linux/time_types.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define READY 64
#define SECOND_NS UINT64_C(1000000000)
#define MILLISECOND_NS UINT64_C(1000000)

struct adit_loop {
  int epoll;                       /* owned */
  bool no_pwait2;                  /* the kernel said ENOSYS */
  uint64_t now_ns;                 /* of this turn */
  int ready_count;                 /* events in `ready` */
  struct epoll_event ready[READY]; /* collected, not yet dispatched */
  struct adit_work *work;          /* queue of deferred work, first one */
  struct adit_work **work_end;     /* where the next one is linked */
  struct adit_watch *reap;         /* given up in this turn */
  struct adit_timers timers;
};

int adit_loop_new(struct adit_loop **loop) {
  struct adit_loop *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (made->epoll < 0) {
    int error = -errno;
    free(made);
    return error;
  }
  made->work_end = &made->work;
  adit_loop_clock(made);
  *loop = made;
  return 0;
}

void adit_loop_free(struct adit_loop *loop) {
  if (!loop) return;
  adit_loop_reap(loop);
  adit_timers_free(&loop->timers);
  close(loop->epoll);
  free(loop);
}

static int control(struct adit_loop *loop, int operation, struct adit_watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  return epoll_ctl(loop->epoll, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int adit_loop_watch(struct adit_loop *loop, struct adit_watch *watch, enum adit_watch_kind kind, int fd,
                    uint32_t events) {
  if (watch->watched || watch->reaping) return -EBUSY;
  watch->kind = kind;
  watch->fd = fd;
  int error = control(loop, EPOLL_CTL_ADD, watch, events);
  if (error) return error;
  watch->events = events;
  watch->watched = true;
  return 0;
}

int adit_loop_rewatch(struct adit_loop *loop, struct adit_watch *watch, uint32_t events) {
  if (!watch->watched) return -EINVAL;
  if (watch->events == events) return 0;
  int error = control(loop, EPOLL_CTL_MOD, watch, events);
  if (!error) watch->events = events;
  return error;
}

static void give_up(struct adit_loop *loop, struct adit_watch *watch, void (*release)(struct adit_watch *watch)) {
  watch->watched = false;
  watch->reaping = true;
  watch->release = release;
  watch->next = loop->reap;
  loop->reap = watch;
}

/* close() alone would do while nobody else has the file; a process that is about to execute something has it. */
void adit_loop_unwatch(struct adit_loop *loop, struct adit_watch *watch, void (*release)(struct adit_watch *watch)) {
  if (!watch->watched) return;
  /* Fails only for an fd that was closed too early, and then the kernel has forgotten it already. */
  (void)control(loop, EPOLL_CTL_DEL, watch, 0);
  give_up(loop, watch, release);
}

int adit_loop_hand_over(struct adit_loop *loop, struct adit_watch *from, struct adit_watch *to, uint32_t events,
                        void (*release)(struct adit_watch *watch)) {
  if (!from->watched) return -EINVAL;
  if (to->watched || to->reaping) return -EBUSY;
  to->kind = from->kind;
  to->fd = from->fd;
  int error = control(loop, EPOLL_CTL_MOD, to, events);
  if (error) return error;
  to->events = events;
  to->watched = true;
  give_up(loop, from, release);
  return 0;
}

void adit_loop_close(struct adit_loop *loop, struct adit_watch *watch, void (*release)(struct adit_watch *watch)) {
  if (!watch->watched) return;
  int fd = watch->fd;
  adit_loop_unwatch(loop, watch, release);
  close(fd);
}

void adit_watch_free(struct adit_watch *watch) {
  free(watch);
}

void adit_loop_defer(struct adit_loop *loop, struct adit_work *work) {
  if (work->queued) return;
  work->queued = true;
  work->next = NULL;
  *loop->work_end = work;
  loop->work_end = &work->next;
}

struct adit_timers *adit_loop_timers(struct adit_loop *loop) {
  return &loop->timers;
}

uint64_t adit_loop_now(const struct adit_loop *loop) {
  return loop->now_ns;
}

uint64_t adit_loop_clock(struct adit_loop *loop) {
  struct timespec now = {0};
  clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock; a system call only where there is no vDSO */
  loop->now_ns = (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
  return loop->now_ns;
}

/* epoll_wait for `wait_ns` nanoseconds, UINT64_MAX = without end. Returns as epoll_wait does. */
static int wait_for(struct adit_loop *loop, uint64_t wait_ns) {
  if (wait_ns == 0 || wait_ns == UINT64_MAX) return epoll_wait(loop->epoll, loop->ready, READY, wait_ns ? -1 : 0);
#ifdef SYS_epoll_pwait2
  if (!loop->no_pwait2) {
    struct __kernel_timespec span = {.tv_sec = (__kernel_time64_t)(wait_ns / SECOND_NS),
                                     .tv_nsec = (long long)(wait_ns % SECOND_NS)};
    long count = syscall(SYS_epoll_pwait2, loop->epoll, loop->ready, READY, &span, NULL, (size_t)0);
    if (count >= 0 || errno != ENOSYS) return (int)count;
    loop->no_pwait2 = true;
  }
#endif
  uint64_t wait_ms = wait_ns / MILLISECOND_NS + (wait_ns % MILLISECOND_NS != 0);
  return epoll_wait(loop->epoll, loop->ready, READY, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
}

int adit_loop_wait(struct adit_loop *loop, uint64_t deadline_ns) {
  uint64_t timer_ns = adit_timers_next(&loop->timers);
  if (timer_ns < deadline_ns) deadline_ns = timer_ns;
  uint64_t wait_ns = UINT64_MAX;
  if (loop->work || deadline_ns <= loop->now_ns)
    wait_ns = 0;
  else if (deadline_ns != UINT64_MAX) {
    uint64_t now_ns = adit_loop_clock(loop);
    wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
  }
  int count = wait_for(loop, wait_ns);
  if (count < 0) {
    int error = -errno;
    loop->ready_count = 0;
    adit_loop_clock(loop);
    return error == -EINTR ? 0 : error;
  }
  loop->ready_count = count;
  adit_loop_clock(loop);
  return count;
}

void adit_loop_dispatch(struct adit_loop *loop, void (*event)(void *user, struct adit_watch *watch, uint32_t events),
                        void *user) {
  for (int i = 0; i < loop->ready_count; i++) {
    struct adit_watch *watch = loop->ready[i].data.ptr;
    if (watch->watched) event(user, watch, loop->ready[i].events);
  }
  loop->ready_count = 0;
}

bool adit_loop_work(struct adit_loop *loop) {
  struct adit_work *work = loop->work;
  if (!work) return false;
  loop->work = NULL;
  loop->work_end = &loop->work;
  while (work) {
    struct adit_work *next = work->next;
    work->queued = false;
    work->run(work->user, work);
    work = next;
  }
  return true;
}

void adit_loop_fire(struct adit_loop *loop) {
  adit_timers_fire(&loop->timers, loop->now_ns);
}

void adit_loop_reap(struct adit_loop *loop) {
  while (loop->reap) {
    struct adit_watch *watch = loop->reap;
    loop->reap = watch->next;
    watch->next = NULL;
    watch->reaping = false;
    if (watch->release) watch->release(watch);
  }
}
