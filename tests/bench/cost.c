/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit_cost FLOWS WHAT [COUNT]: what the core takes for one packet, for one connection, or for a second of idleness,
 * while so many connections are open. No device, no system call, no other process: only the core.
 *
 *   data     a packet with COST_PAYLOAD bytes for one of the connections, any with equal chance, each its own burst
 *   burst    the same, BURST packets to a burst
 *   stamped  as data, but clients and stack send timestamps, as kernels do
 *   open     a connection opened and closed by a client of its own, beside the others
 *   tick     a second in which nothing comes (timers)
 *   none     nothing: only the connections are opened, one after the other, and their time is said
 *
 * Prints one JSON object: nanoseconds each, the median of SLICES parts of the run. Under valgrind --tool=callgrind
 * --instr-atstart=no only the measured part is counted, so that the total of its file, divided by COUNT, is
 * instructions each (where valgrind's header was there at build time; `callgrind` in the answer says so).
 */
#include "cost_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef ADIT_HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#endif

enum { SLICES = 5, BURST = 32, FLOWS_MAX = 1000000, COUNT_MAX = 100000000 };

static const uint64_t second_ns = 1000000000;

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * second_ns + (uint64_t)now.tv_nsec;
}

/* A number below `bound`, from a sequence that is the same in every run. */
static uint32_t pick(uint32_t bound) {
  static uint64_t state = 88172645463325252U;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)((state >> 32) * bound >> 32);
}

/*
 * `count` clients at a time, and those of the next time are chosen already: what is known of a client is in the cache
 * when it sends, as a packet is that the kernel hands over. Otherwise waiting for it would count as the stack's.
 */
static void send_some(struct cost_world *world, uint32_t flows, unsigned count) {
  static uint32_t next[BURST];
  uint32_t now[BURST];
  memcpy(now, next, sizeof now);
  for (unsigned i = 0; i < count; i++) {
    next[i] = pick(flows);
    __builtin_prefetch(&world->client[next[i]], 1);
  }
  cost_data(world, now, count);
}

static void one_data(struct cost_world *world, uint32_t flows) {
  send_some(world, flows, 1);
}

static void one_burst(struct cost_world *world, uint32_t flows) {
  send_some(world, flows, BURST);
}

static void one_open(struct cost_world *world, uint32_t flows) {
  static uint32_t turn; /* the clients beyond the open ones take turns, so that ports are not used again at once */
  uint32_t index = flows + turn++ % (world->clients - flows);
  cost_open(world, index);
  cost_close(world, index);
}

static void one_tick(struct cost_world *world, uint32_t flows) {
  (void)flows;
  cost_pass(world, second_ns);
}

static const struct what {
  const char *name;
  void (*one)(struct cost_world *world, uint32_t flows);
  uint32_t count; /* unless told */
  uint32_t each;  /* of what is counted, in one call */
  bool stamps;
} whats[] = {{"data", one_data, 100000, 1, false},   {"burst", one_burst, 100000, BURST, false},
             {"stamped", one_data, 100000, 1, true}, {"open", one_open, 20000, 1, false},
             {"tick", one_tick, 10, 1, false},       {"none", NULL, SLICES, 1, false}};

static int compare(const void *left, const void *right) {
  double a = *(const double *)left;
  double b = *(const double *)right;
  return (a > b) - (a < b);
}

/* COUNT of them in SLICES parts. Returns the median of what each part took for one, nanoseconds. */
static double measure(struct cost_world *world, uint32_t flows, const struct what *what, uint32_t count) {
  double each[SLICES] = {0};
  CALLGRIND_START_INSTRUMENTATION;
  for (unsigned slice = 0; slice < SLICES && what->one; slice++) {
    uint64_t begin = clock_ns();
    for (uint32_t i = 0; i < count / SLICES; i += what->each) what->one(world, flows);
    each[slice] = (double)(clock_ns() - begin) / (count / SLICES);
  }
  CALLGRIND_STOP_INSTRUMENTATION;
  qsort(each, SLICES, sizeof each[0], compare);
  return each[SLICES / 2];
}

static uint32_t number(const char *text, uint32_t most) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (end == text || *end || value < 1 || value > most) cost_die("'%s' is not a number from 1 to %u", text, most);
  return (uint32_t)value;
}

int main(int argc, char **argv) {
  const struct what *what = NULL;
  for (size_t i = 0; argc > 2 && i < sizeof whats / sizeof whats[0]; i++)
    if (strcmp(argv[2], whats[i].name) == 0) what = &whats[i];
  if (!what || argc > 4) {
    fputs("usage: adit_cost FLOWS data|burst|stamped|open|tick|none [COUNT]\n", stderr);
    return 2;
  }
  uint32_t flows = number(argv[1], FLOWS_MAX);
  uint32_t count = argc > 3 ? number(argv[3], COUNT_MAX) : what->count;
  const uint32_t unit = SLICES * what->each;
  if (count < unit) cost_die("COUNT is at least %u", unit);
  count -= count % unit;
  struct cost_world world;
  cost_world_open(&world, flows + 1000, what->stamps);
  uint64_t begin = clock_ns();
  for (uint32_t i = 0; i < flows; i++) cost_open(&world, i);
  double opening = (double)(clock_ns() - begin) / flows;
  double each = measure(&world, flows, what, count);
  struct adit_stack_stats stats;
  adit_stack_stats(world.stack, &stats);
  if (stats.flows_open != flows)
    cost_die("%llu connections are open in place of %u", (unsigned long long)stats.flows_open, flows);
  printf("{\"flows\": %u, \"what\": \"%s\", \"count\": %u, \"each_ns\": %.1f, \"opening_ns\": %.1f, "
         "\"bytes_per_flow\": %.1f, \"callgrind\": %s}\n",
         flows, what->name, what->one ? count : 0, each, opening, (double)stats.memory_bytes / flows,
#ifdef ADIT_HAVE_CALLGRIND
         "true"
#else
         "false"
#endif
  );
  cost_world_close(&world);
  return 0;
}
