/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Timers of one thread.
 *
 * A binary heap of pointers; each timer knows its slot, so that moving and clearing cost as little as setting: O(log n).
 * Slot s is heap[s - 1]; its parent is s / 2 and its children are 2s and 2s + 1. The invariant is that no timer is due
 * before its parent. The heap owns its array and never a timer.
 */
#include "runtime/timer.h"

#include <errno.h>
#include <stdlib.h>

static void place(struct adit_timers *timers, struct adit_timer *timer, size_t slot) {
  timers->heap[slot - 1] = timer;
  timer->slot = slot;
}

/* Put `timer` where it belongs, beginning at a slot that is free. */
static void sift(struct adit_timers *timers, struct adit_timer *timer, size_t slot) {
  while (slot > 1 && timers->heap[slot / 2 - 1]->due_ns > timer->due_ns) {
    place(timers, timers->heap[slot / 2 - 1], slot);
    slot /= 2;
  }
  for (;;) {
    size_t child = slot * 2;
    if (child > timers->count) break;
    if (child < timers->count && timers->heap[child]->due_ns < timers->heap[child - 1]->due_ns) child++;
    if (timers->heap[child - 1]->due_ns >= timer->due_ns) break;
    place(timers, timers->heap[child - 1], slot);
    slot = child;
  }
  place(timers, timer, slot);
}

int adit_timers_set(struct adit_timers *timers, struct adit_timer *timer, uint64_t due_ns) {
  if (timer->slot == 0) {
    if (timers->count == timers->room) {
      size_t room = timers->room ? timers->room * 2 : 16;
      struct adit_timer **heap = realloc(timers->heap, room * sizeof *heap);
      if (!heap) return -ENOMEM;
      timers->heap = heap;
      timers->room = room;
    }
    timers->count++;
    place(timers, timer, timers->count);
  }
  timer->due_ns = due_ns;
  sift(timers, timer, timer->slot);
  return 0;
}

void adit_timers_clear(struct adit_timers *timers, struct adit_timer *timer) {
  if (timer->slot == 0) return;
  size_t slot = timer->slot;
  struct adit_timer *last = timers->heap[timers->count - 1];
  timers->count--;
  timer->slot = 0;
  if (last != timer) sift(timers, last, slot);
}

uint64_t adit_timers_next(const struct adit_timers *timers) {
  return timers->count ? timers->heap[0]->due_ns : UINT64_MAX;
}

void adit_timers_fire(struct adit_timers *timers, uint64_t now_ns) {
  for (size_t bound = timers->count; bound > 0 && adit_timers_next(timers) <= now_ns; bound--) {
    struct adit_timer *timer = timers->heap[0];
    adit_timers_clear(timers, timer);
    timer->fire(timer->user, timer);
  }
}

void adit_timers_free(struct adit_timers *timers) {
  for (size_t i = 0; i < timers->count; i++) timers->heap[i]->slot = 0;
  free(timers->heap);
  *timers = (struct adit_timers){0};
}
