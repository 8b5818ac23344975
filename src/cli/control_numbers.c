/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The counters of a worker by name: a table for each of the structs, which is complete.
 */
#include "cli/control_numbers.h"

#include "relay/relay.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* A 64-bit number of a struct. */
struct number {
  const char *name;
  size_t offset;
};

#define STACK(member)                                                                                                  \
  { #member, offsetof(struct adit_stack_stats, member) }
static const struct number stack_numbers[] = {
    STACK(packets_in),     STACK(bytes_in),        STACK(packets_out),  STACK(bytes_out),    STACK(flows_parked),
    STACK(flows_accepted), STACK(flows_refused),   STACK(flows_closed), STACK(datagrams_in), STACK(datagrams_out),
    STACK(echoes),         STACK(retransmissions), STACK(flows_open),   STACK(memory_bytes),
};
static_assert(sizeof stack_numbers / sizeof stack_numbers[0] ==
                  offsetof(struct adit_stack_stats, drops) / sizeof(uint64_t),
              "a row for each number but the drops");

#define IO(member)                                                                                                     \
  { #member, offsetof(struct adit_stats, member) }
static const struct number io_numbers[] = {
    IO(device_drops), IO(write_full), IO(write_errors), IO(pool_empty), IO(bursts),
};
static_assert(sizeof io_numbers / sizeof io_numbers[0] ==
                  (offsetof(struct adit_stats, application) - sizeof(struct adit_stack_stats)) / sizeof(uint64_t),
              "a row for each number between the stack's and the application's");

#define RELAY(member)                                                                                                  \
  { #member, offsetof(struct adit_relay_stats, member) }
static const struct number relay_numbers[] = {
    RELAY(connects),    RELAY(connects_failed), RELAY(flows_limited), RELAY(udp_sessions),
    RELAY(udp_evicted), RELAY(udp_dropped),     RELAY(dns_questions), RELAY(dns_dropped),
    RELAY(bytes_up),    RELAY(bytes_down),      RELAY(connected),     RELAY(flows_open),
};
static_assert(sizeof relay_numbers / sizeof relay_numbers[0] == sizeof(struct adit_relay_stats) / sizeof(uint64_t),
              "a row for each number");

bool adit_control_add_number(cJSON *object, const char *name, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%" PRIu64, value);
  return cJSON_AddRawToObject(object, name, digits) != NULL;
}

static cJSON *add_table(cJSON *parent, const char *name, const struct number *table, size_t count,
                        const void *numbers) {
  cJSON *object = cJSON_AddObjectToObject(parent, name);
  for (size_t i = 0; object != NULL && i < count; i++) {
    const uint64_t *number = (const void *)((const char *)numbers + table[i].offset);
    if (!adit_control_add_number(object, table[i].name, *number)) return NULL;
  }
  return object;
}

static bool add_drops(cJSON *stack, const struct adit_stack_stats *stats) {
  cJSON *drops = cJSON_AddObjectToObject(stack, "drops");
  for (unsigned i = 0; drops != NULL && i < ADIT_DROPS; i++)
    if (!adit_control_add_number(drops, adit_drop_name((enum adit_drop)i), stats->drops[i])) return false;
  return drops != NULL;
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

cJSON *adit_control_numbers(const struct adit_stats *stats, bool relays) {
  struct adit_relay_stats relay = adit_relay_stats_of(stats);
  cJSON *object = cJSON_CreateObject();
  cJSON *stack = add_table(object, "stack", stack_numbers, COUNT(stack_numbers), &stats->stack);
  bool done = stack != NULL && add_drops(stack, &stats->stack) &&
              add_table(object, "io", io_numbers, COUNT(io_numbers), stats) != NULL &&
              (!relays || add_table(object, "relay", relay_numbers, COUNT(relay_numbers), &relay) != NULL);
  if (done) return object;
  cJSON_Delete(object);
  return NULL;
}
