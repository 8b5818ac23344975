/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The connections that `adit top` shows.
 *
 * A connection is known again by worker and number. To find the earlier rows both lists are put in that order and walked
 * side by side; the order for people comes afterwards.
 */
#include "cli/top_table.h"

#include "cli/control_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_numbers(double a, double b) {
  return (a > b) - (a < b);
}

static int by_identity(const void *left, const void *right) {
  const struct adit_top_row *a = left, *b = right;
  int order = compare_numbers(a->worker, b->worker);
  return order != 0 ? order : compare_numbers(a->id, b->id);
}

static int by_age(const void *left, const void *right) {
  const struct adit_top_row *a = left, *b = right;
  int order = compare_numbers(b->age_ms, a->age_ms);
  return order != 0 ? order : by_identity(a, b);
}

static int by_rate(const void *left, const void *right) {
  const struct adit_top_row *a = left, *b = right;
  int order = compare_numbers(b->rate_up + b->rate_down, a->rate_up + a->rate_down);
  return order != 0 ? order : by_age(a, b);
}

static int by_bytes(const void *left, const void *right) {
  const struct adit_top_row *a = left, *b = right;
  int order = compare_numbers(b->up + b->down, a->up + a->down);
  return order != 0 ? order : by_age(a, b);
}

void adit_top_table_sort(struct adit_top_table *table, enum adit_top_order order) {
  static int (*const compare[ADIT_TOP_ORDERS])(const void *, const void *) = {
      [ADIT_TOP_BY_RATE] = by_rate, [ADIT_TOP_BY_BYTES] = by_bytes, [ADIT_TOP_BY_AGE] = by_age};
  if (table->count > 1) qsort(table->row, table->count, sizeof *table->row, compare[order]);
}

static void read_row(const cJSON *flow, struct adit_top_row *row) {
  const char *name = adit_control_text(flow, "name", (char *)NULL);
  const char *target = adit_control_text(flow, "target", (char *)NULL);
  const char *port = strrchr(target, ':');
  *row = (struct adit_top_row){
      .worker = adit_control_number(flow, "worker", (char *)NULL),
      .id = adit_control_number(flow, "id", (char *)NULL),
      .connected = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(flow, "connected")),
      .up = adit_control_number(flow, "bytes_up", (char *)NULL),
      .down = adit_control_number(flow, "bytes_down", (char *)NULL),
      .age_ms = adit_control_number(flow, "age_ms", (char *)NULL),
  };
  snprintf(row->client, sizeof row->client, "%s", adit_control_text(flow, "client", (char *)NULL));
  if (name[0] != '\0')
    snprintf(row->target, sizeof row->target, "%.100s%s", name, port != NULL ? port : "");
  else
    snprintf(row->target, sizeof row->target, "%s", target);
}

/* A row that was not there in the last answer has carried all it has since it began, or since then. */
static void set_rate(struct adit_top_row *row, const struct adit_top_row *earlier, double passed_ms) {
  double up = earlier != NULL ? row->up - earlier->up : row->up;
  double down = earlier != NULL ? row->down - earlier->down : row->down;
  double ms = earlier != NULL && passed_ms > 0 ? passed_ms : row->age_ms;
  if (ms <= 0) ms = 1;
  row->rate_up = up > 0 ? up * 1000 / ms : 0;
  row->rate_down = down > 0 ? down * 1000 / ms : 0;
}

int adit_top_table_take(struct adit_top_table *table, const cJSON *answer, double process, double now_ms) {
  const cJSON *flows = cJSON_GetObjectItemCaseSensitive(answer, "flows");
  size_t count = flows != NULL ? (size_t)cJSON_GetArraySize(flows) : 0, used = 0, old = 0;
  struct adit_top_row *row = calloc(count + 1, sizeof *row);
  if (row == NULL) return -ENOMEM;
  for (const cJSON *flow = flows != NULL ? flows->child : NULL; flow != NULL; flow = flow->next)
    read_row(flow, &row[used++]);
  qsort(row, used, sizeof *row, by_identity);
  size_t old_count = table->process == process ? table->count : 0;
  if (old_count > 1) qsort(table->row, old_count, sizeof *table->row, by_identity);
  for (size_t i = 0; i < used; i++) {
    while (old < old_count && by_identity(&table->row[old], &row[i]) < 0) old++;
    bool known = old < old_count && by_identity(&table->row[old], &row[i]) == 0;
    set_rate(&row[i], known ? &table->row[old] : NULL, now_ms - table->taken_ms);
  }
  free(table->row);
  *table = (struct adit_top_table){
      .row = row,
      .count = used,
      .total = adit_control_number(answer, "total", (char *)NULL),
      .taken_ms = now_ms,
      .process = process,
  };
  return 0;
}

void adit_top_table_free(struct adit_top_table *table) {
  free(table->row);
  *table = (struct adit_top_table){0};
}
