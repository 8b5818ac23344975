/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit top`: the connections of a running adit, as they are each second.
 *
 * The terminal is given back before anything is said, whatever ends the command: a key, SIGINT, SIGTERM or SIGHUP (which
 * only set a flag, and interrupt the waiting), or an adit that answers no more.
 */
#include "cli/control_client.h"
#include "cli/say.h"
#include "cli/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 1000 };

struct top {
  const struct adit_cli_options *options;
  char path[ADIT_CONTROL_PATH];
  char reason[ADIT_CONTROL_REASON];
  struct adit_control_reply stat, before;
  double asked_ms;
  double passed_ms; /* between the two */
  struct adit_top_table table;
  enum adit_top_order order;
  size_t first;
};

static volatile sig_atomic_t interrupted;

static void note_signal(int number) {
  (void)number;
  interrupted = 1;
}

static void catch_signals(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action = {.sa_handler = note_signal};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* Ask for both answers. Returns 0, or a negative errno with the reason. */
static int refresh(struct top *top) {
  struct adit_control_reply stat, flows;
  double now = now_ms();
  int error = adit_control_ask(top->path, "{\"request\":\"stat\"}", &stat, top->reason);
  if (error != 0) return error;
  error = adit_control_ask(top->path, "{\"request\":\"flows\",\"limit\":10000}", &flows, top->reason);
  if (error != 0) goto free_stat;
  double process = adit_control_number(stat.value, "adit", "pid", (char *)NULL);
  error = adit_top_table_take(&top->table, flows.value, process, now);
  adit_control_reply_free(&flows);
  if (error != 0) {
    snprintf(top->reason, sizeof top->reason, "out of memory");
    goto free_stat;
  }
  adit_control_reply_free(&top->before);
  top->before = top->stat;
  top->stat = stat;
  top->passed_ms = now - top->asked_ms;
  top->asked_ms = now;
  return 0;

free_stat:
  adit_control_reply_free(&stat);
  return error;
}

static void draw(struct top *top) {
  if (top->first >= top->table.count) top->first = top->table.count > 0 ? top->table.count - 1 : 0;
  adit_top_table_sort(&top->table, top->order);
  const struct adit_top_view view = {.stat = top->stat.value,
                                     .before = top->before.value,
                                     .seconds = top->passed_ms / 1000,
                                     .table = &top->table,
                                     .order = top->order,
                                     .first = top->first};
  adit_top_screen_draw(&view);
}

/* Returns whether it is to go on. */
static bool obey(struct top *top, enum adit_top_key key) {
  size_t page = adit_top_screen_rows();
  switch (key) {
  case ADIT_TOP_END:
    return false;
  case ADIT_TOP_RATE:
    top->order = ADIT_TOP_BY_RATE;
    break;
  case ADIT_TOP_BYTES:
    top->order = ADIT_TOP_BY_BYTES;
    break;
  case ADIT_TOP_AGE:
    top->order = ADIT_TOP_BY_AGE;
    break;
  case ADIT_TOP_UP:
    if (top->first > 0) top->first--;
    break;
  case ADIT_TOP_DOWN:
    top->first++;
    break;
  case ADIT_TOP_PAGE_UP:
    top->first = top->first > page ? top->first - page : 0;
    break;
  case ADIT_TOP_PAGE_DOWN:
    top->first += page;
    break;
  case ADIT_TOP_HOME:
    top->first = 0;
    break;
  case ADIT_TOP_NOTHING:
  case ADIT_TOP_REDRAW:
    break;
  }
  return true;
}

/* Until somebody wants the end. Returns 0, or a negative errno with the reason. */
static int watch(struct top *top) {
  double next = now_ms() + INTERVAL_MS;
  for (;;) {
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    enum adit_top_key key;
    draw(top);
    double left = next - now_ms();
    (void)poll(&keys, 1, left > 0 ? (int)left + 1 : 0); /* a signal is seen below */
    if (interrupted || (keys.revents & (POLLHUP | POLLERR)) != 0) return 0;
    while ((key = adit_top_screen_key()) != ADIT_TOP_NOTHING)
      if (!obey(top, key)) return 0;
    if (now_ms() < next) continue;
    int error = refresh(top);
    if (error != 0) return interrupted ? 0 : error;
    next = now_ms() + INTERVAL_MS;
  }
}

enum adit_cli_status adit_cli_top(const struct adit_cli_options *options) {
  struct top top = {.options = options};
  enum adit_cli_status status = adit_control_find(options, top.path);
  if (status != ADIT_CLI_DONE) return status;
  int error = refresh(&top);
  if (error != 0) return adit_cli_fail(options, "%s", top.reason);
  error = adit_top_screen_open();
  if (error != 0) {
    status = adit_cli_fail(options, "%s; 'adit stat --watch 1' needs no such terminal",
                           error == -ENOTTY ? "standard input and output are no terminal"
                                            : "the terminal is not known (see TERM)");
    goto free_answers;
  }
  catch_signals();
  error = watch(&top);
  adit_top_screen_close();
  if (error != 0) status = adit_cli_fail(options, "%s", top.reason);

free_answers:
  adit_top_table_free(&top.table);
  adit_control_reply_free(&top.stat);
  adit_control_reply_free(&top.before);
  return status;
}
