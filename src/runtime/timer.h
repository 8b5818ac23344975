/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Timers of one thread: set, clear, the next one, fire what is due.
 */
#ifndef ADIT_RUNTIME_TIMER_H
#define ADIT_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Something to do at a time. Owned by whoever embeds it; zero it, then set `fire` and `user`. */
struct adit_timer {
  void (*fire)(void *user, struct adit_timer *timer); /**< the timer is no longer set; setting or freeing it is fine */
  void *user;                                         /**< for `fire` */
  uint64_t due_ns;                                    /**< while set */
  size_t slot;                                        /**< place in the heap, from 1; 0 = not set */
};

/** The timers that are set, as a binary heap, earliest on top. Zero it. */
struct adit_timers {
  struct adit_timer **heap;
  size_t count;
  size_t room;
};

/** Set, or move, a timer. Returns 0 or -ENOMEM (then it is as before). A timer that is set must not be freed. */
int adit_timers_set(struct adit_timers *timers, struct adit_timer *timer, uint64_t due_ns);

/** Unset a timer; nothing happens when it is not set. */
void adit_timers_clear(struct adit_timers *timers, struct adit_timer *timer);

/** When the next one is due; UINT64_MAX when none is set. */
uint64_t adit_timers_next(const struct adit_timers *timers);

/**
 * Fire all that are due at `now_ns`, in order of time. One that sets itself again for a time that has passed fires in the
 * next call, not in this one.
 */
void adit_timers_fire(struct adit_timers *timers, uint64_t now_ns);

/** Unset all and free the heap. The timers themselves are their owners'. */
void adit_timers_free(struct adit_timers *timers);

#endif
