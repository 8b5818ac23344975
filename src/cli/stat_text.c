/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit stat` prints: a head, then a line for each number, with a column for the sum, one for the rate if there is
 * an earlier answer, and one for each worker if there are several, up to what fits a terminal.
 */
#include "cli/stat_text.h"

#include "cli/control_client.h"
#include "cli/units.h"

#include <string.h>

enum { WORKER_COLUMNS = 8 };

enum kind { COUNT, BYTES, COUNT_NOW, BYTES_NOW };

/* A line of the table. Numbers that stand for now have no rate. */
struct line {
  const char *label;
  const char *group;
  const char *name;
  enum kind kind;
};

static const struct line lines[] = {
    {"packets in", "stack", "packets_in", COUNT},
    {"bytes in", "stack", "bytes_in", BYTES},
    {"packets out", "stack", "packets_out", COUNT},
    {"bytes out", "stack", "bytes_out", BYTES},
    {"connections asked for", "stack", "flows_parked", COUNT},
    {"connections accepted", "stack", "flows_accepted", COUNT},
    {"connections refused", "stack", "flows_refused", COUNT},
    {"connections open", "stack", "flows_open", COUNT_NOW},
    {"segments sent again", "stack", "retransmissions", COUNT},
    {"datagrams in", "stack", "datagrams_in", COUNT},
    {"datagrams out", "stack", "datagrams_out", COUNT},
    {"echo requests", "stack", "echoes", COUNT},
    {"memory in use", "stack", "memory_bytes", BYTES_NOW},
    {"bursts", "io", "bursts", COUNT},
    {"pauses for memory", "io", "pool_empty", COUNT},
    {"relay: up", "relay", "bytes_up", BYTES},
    {"relay: down", "relay", "bytes_down", BYTES},
    {"relay: open", "relay", "flows_open", COUNT_NOW},
    {"relay: begun", "relay", "connects", COUNT},
    {"relay: connected", "relay", "connected", COUNT},
    {"relay: failed", "relay", "connects_failed", COUNT},
    {"relay: no room", "relay", "flows_limited", COUNT},
    {"udp: sessions", "relay", "udp_sessions", COUNT},
    {"udp: ended early", "relay", "udp_evicted", COUNT},
    {"udp: dropped", "relay", "udp_dropped", COUNT},
    {"dns: questions", "relay", "dns_questions", COUNT},
    {"dns: dropped", "relay", "dns_dropped", COUNT},
};

/* Losses of the device, which are told when there are any. */
static const struct line losses[] = {
    {"dropped: unreadable", "io", "device_drops", COUNT},
    {"dropped: queue full", "io", "write_full", COUNT},
    {"dropped: write failed", "io", "write_errors", COUNT},
};

struct table {
  const cJSON *now;    /* the whole answers */
  const cJSON *before; /* NULL = no rates */
  double seconds;
  FILE *out;
};

static bool is_bytes(enum kind kind) {
  return kind == BYTES || kind == BYTES_NOW;
}

static void print_value(const struct table *table, enum kind kind, double value, const char *unit) {
  char text[ADIT_UNITS_TEXT], cell[ADIT_UNITS_TEXT + 4];
  snprintf(cell, sizeof cell, "%s%s", is_bytes(kind) ? adit_units_bytes(value, text) : adit_units_count(value, text),
           unit);
  fprintf(table->out, " %15s", cell);
}

/* What stands in the column of one worker, or of the sum. */
static double value_of(const cJSON *numbers, const struct line *line, bool drop) {
  return drop ? adit_control_number(numbers, "stack", "drops", line->name, (char *)NULL)
              : adit_control_number(numbers, line->group, line->name, (char *)NULL);
}

static void print_line(const struct table *table, const struct line *line, bool drop) {
  const cJSON *sum = cJSON_GetObjectItemCaseSensitive(table->now, "sum");
  const cJSON *workers = cJSON_GetObjectItemCaseSensitive(table->now, "workers");
  double value = value_of(sum, line, drop);
  fprintf(table->out, "  %-24s", line->label);
  print_value(table, line->kind, value, "");
  if (table->before != NULL) {
    double earlier = value_of(cJSON_GetObjectItemCaseSensitive(table->before, "sum"), line, drop);
    if (line->kind == COUNT_NOW || line->kind == BYTES_NOW)
      fprintf(table->out, " %15s", "");
    else
      print_value(table, line->kind, value > earlier ? (value - earlier) / table->seconds : 0, "/s");
  }
  const cJSON *worker = workers != NULL && cJSON_GetArraySize(workers) > 1 ? workers->child : NULL;
  for (int i = 0; worker != NULL && i < WORKER_COLUMNS; i++, worker = worker->next)
    print_value(table, line->kind, value_of(worker, line, drop), "");
  fputc('\n', table->out);
}

/* The drops by reason come as they are called; those that are zero are left out. */
static void print_drops(const struct table *table) {
  const cJSON *sum = cJSON_GetObjectItemCaseSensitive(table->now, "sum");
  const cJSON *stack = cJSON_GetObjectItemCaseSensitive(sum, "stack");
  const cJSON *drops = cJSON_GetObjectItemCaseSensitive(stack, "drops");
  char text[ADIT_UNITS_TEXT];
  fprintf(table->out, "  %-24s %15s\n", "packets dropped",
          adit_units_count(adit_control_number(table->now, "dropped", (char *)NULL), text));
  for (const cJSON *drop = drops != NULL ? drops->child : NULL; drop != NULL; drop = drop->next) {
    char label[64];
    if (!cJSON_IsNumber(drop) || drop->valuedouble <= 0) continue;
    snprintf(label, sizeof label, "dropped: %s", drop->string);
    const struct line line = {label, "stack", drop->string, COUNT};
    print_line(table, &line, true);
  }
  for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)
    if (value_of(sum, &losses[i], false) > 0) print_line(table, &losses[i], false);
}

static void print_list(FILE *out, const cJSON *list) {
  for (const cJSON *item = list != NULL ? list->child : NULL; item != NULL; item = item->next)
    if (cJSON_IsString(item)) fprintf(out, ", %s", item->valuestring);
}

static void print_head(const struct table *table) {
  const cJSON *now = table->now, *device = cJSON_GetObjectItemCaseSensitive(now, "device");
  FILE *out = table->out;
  char time[ADIT_UNITS_TEXT], resident[ADIT_UNITS_TEXT], budget[ADIT_UNITS_TEXT];
  double queues = adit_control_number(device, "queues", (char *)NULL);
  bool tap = strcmp(adit_control_text(device, "kind", (char *)NULL), "tap") == 0;
  fprintf(out, "adit %s %s, process %.0f, for %s\n", adit_control_text(now, "adit", "command", (char *)NULL),
          adit_control_text(now, "adit", "version", (char *)NULL),
          adit_control_number(now, "adit", "pid", (char *)NULL),
          adit_units_time(adit_control_number(now, "adit", "uptime_ms", (char *)NULL), time));
  fprintf(out, "  %-12s%s (%s, MTU %.0f, %.0f queue%s", "device", adit_control_text(device, "name", (char *)NULL),
          tap ? "TAP" : "TUN", adit_control_number(device, "mtu", (char *)NULL), queues, queues > 1 ? "s" : "");
  print_list(out, cJSON_GetObjectItemCaseSensitive(device, "addresses"));
  fputs(")\n", out);
  const char *upstream = adit_control_text(now, "upstream", (char *)NULL);
  if (upstream[0] != '\0') fprintf(out, "  %-12s%s\n", "upstream", upstream);
  fprintf(out, "  %-12s%s in all; %s at most for connections%s\n\n", "memory",
          adit_units_bytes(adit_control_number(now, "adit", "resident_bytes", (char *)NULL), resident),
          adit_units_bytes(adit_control_number(now, "adit", "budget_bytes", (char *)NULL), budget),
          queues > 1 ? " of each worker" : "");
}

static void print_columns(const struct table *table) {
  int workers = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(table->now, "workers"));
  fprintf(table->out, "  %-24s %15s", "", workers > 1 ? "sum" : "");
  if (table->before != NULL) fprintf(table->out, " %15s", "rate");
  for (int i = 0; workers > 1 && i < workers && i < WORKER_COLUMNS; i++) {
    char name[32];
    snprintf(name, sizeof name, "worker %d", i);
    fprintf(table->out, " %15s", name);
  }
  if (workers > WORKER_COLUMNS) fprintf(table->out, "  (%d more: --json)", workers - WORKER_COLUMNS);
  fputc('\n', table->out);
}

void adit_stat_print(const cJSON *now, const cJSON *before, double seconds, FILE *out) {
  double pid = adit_control_number(now, "adit", "pid", (char *)NULL);
  bool same = before != NULL && adit_control_number(before, "adit", "pid", (char *)NULL) == pid && seconds > 0;
  const struct table table = {.now = now, .before = same ? before : NULL, .seconds = seconds, .out = out};
  bool several = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(now, "workers")) > 1;
  const cJSON *sum = cJSON_GetObjectItemCaseSensitive(now, "sum");
  print_head(&table);
  if (same || several) print_columns(&table);
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
    if (cJSON_GetObjectItemCaseSensitive(sum, lines[i].group) != NULL) print_line(&table, &lines[i], false);
  print_drops(&table);
}
