/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The event loop of one thread: what to wait for, deferred work, timers, and the moment at which things may be freed.
 *
 * The loop is a set of phases, not a main function: the worker calls them in order, once a turn:
 *
 *     adit_loop_wait      sleep until an event, a timer or the caller's deadline; read the clock
 *     adit_loop_dispatch  each event to one function, which is one switch over the kind of watch
 *     adit_loop_work      what was deferred
 *     adit_loop_fire      timers
 *     adit_loop_reap      release what was given up in this turn
 */
#ifndef ADIT_RUNTIME_LOOP_H
#define ADIT_RUNTIME_LOOP_H

#include "runtime/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct adit_loop;

/** Who an fd belongs to. */
enum adit_watch_kind {
  ADIT_WATCH_MAILBOX, /**< messages to the worker */
  ADIT_WATCH_DEVICE,  /**< packets to read */
  ADIT_WATCH_SOCKET,  /**< the application's */
  ADIT_WATCH_KINDS
};

/** A typed reference to an fd. Embedded in what it stands for; zero it, then adit_loop_watch. */
struct adit_watch {
  enum adit_watch_kind kind;
  int fd;                                    /**< borrowed */
  uint32_t events;                           /**< EPOLLIN, EPOLLOUT, as last asked for */
  bool watched;                              /**< between adit_loop_watch and adit_loop_unwatch */
  bool reaping;                              /**< given up, not yet released */
  struct adit_watch *next;                   /**< list of those to be released */
  void (*release)(struct adit_watch *watch); /**< as given to adit_loop_unwatch */
};

/** Something to be done later in this turn. Embedded; zero it, then set `run` and `user`. */
struct adit_work {
  void (*run)(void *user, struct adit_work *work); /**< no longer queued; deferring again means the next round */
  void *user;                                      /**< for `run` */
  struct adit_work *next;                          /**< queue */
  bool queued;
};

/** Make a loop. Returns 0 and `*loop`, owned by the caller, or -ENOMEM, -EMFILE, -ENFILE. */
int adit_loop_new(struct adit_loop **loop);

/** Release what waits for it and free the loop. Watches, work and timers that are left are forgotten. NULL is allowed. */
void adit_loop_free(struct adit_loop *loop);

/** Begin to wait for `events` (level-triggered) of `fd`. Returns 0, -EBUSY before the reap of an earlier use, or errno. */
int adit_loop_watch(struct adit_loop *loop, struct adit_watch *watch, enum adit_watch_kind kind, int fd,
                    uint32_t events);

/** Wait for other events. No system call when they are the same. Returns 0 or a negative errno. */
int adit_loop_rewatch(struct adit_loop *loop, struct adit_watch *watch, uint32_t events);

/**
 * Wait no longer. Call it before closing the fd. No event follows, not even one that was already collected in this turn;
 * the memory may be freed only by `release` (NULL for none), which runs in adit_loop_reap.
 */
void adit_loop_unwatch(struct adit_loop *loop, struct adit_watch *watch, void (*release)(struct adit_watch *watch));

/**
 * Have `to`, which is not watched, take the place of `from`, with other events: one system call where unwatch and watch are
 * two. `from` is given up as by adit_loop_unwatch. Returns 0, or a negative errno, then `from` is watched as before.
 */
int adit_loop_hand_over(struct adit_loop *loop, struct adit_watch *from, struct adit_watch *to, uint32_t events,
                        void (*release)(struct adit_watch *watch));

/** adit_loop_unwatch, and the fd is closed. */
void adit_loop_close(struct adit_loop *loop, struct adit_watch *watch, void (*release)(struct adit_watch *watch));

/** A `release` for a watch that is the first member of a structure made with malloc: frees that. */
void adit_watch_free(struct adit_watch *watch);

/** Do it later in this turn. Once, however often it is asked for. */
void adit_loop_defer(struct adit_loop *loop, struct adit_work *work);

/** The thread's timers. */
struct adit_timers *adit_loop_timers(struct adit_loop *loop);

/** The clock as read by the last adit_loop_wait: CLOCK_MONOTONIC, nanoseconds. */
uint64_t adit_loop_now(const struct adit_loop *loop);

/** Read the clock again and return it. */
uint64_t adit_loop_clock(struct adit_loop *loop);

/**
 * Sleep until an event comes, `deadline_ns` or a timer is due, whichever is first; not at all when work is deferred or
 * the time has passed. Returns the number of events collected, or a negative errno.
 */
int adit_loop_wait(struct adit_loop *loop, uint64_t deadline_ns);

/** Hand each collected event to `event`; `events` are those that came (EPOLLIN ...). */
void adit_loop_dispatch(struct adit_loop *loop, void (*event)(void *user, struct adit_watch *watch, uint32_t events),
                        void *user);

/** Do what is deferred now; what is deferred meanwhile stays. Returns whether there was anything. */
bool adit_loop_work(struct adit_loop *loop);

/** Fire the timers that are due at adit_loop_now. */
void adit_loop_fire(struct adit_loop *loop);

/** Release what was given up. */
void adit_loop_reap(struct adit_loop *loop);

#endif
