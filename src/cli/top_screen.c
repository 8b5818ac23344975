/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The screen of `adit top`.
 *
 * All is drawn anew each time; ncurses sends to the terminal what differs. The columns of numbers have fixed widths and
 * the two of addresses share what is left, the target more of it, since it may be a name.
 */
#include "cli/top_screen.h"

#include "cli/control_client.h"
#include "cli/units.h"

#include <curses.h>
#include <errno.h>
#include <unistd.h>

/* Lines above the connections, and the width of the columns of numbers, of which there are five. */
enum { HEAD = 6, NUMBER = 11, NUMBERS = 5 * NUMBER, CLIENT_LEAST = 12 };

static SCREEN *screen;

int adit_top_screen_open(void) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return -ENOTTY;
  screen = newterm(NULL, stdout, stdin);
  if (screen == NULL) return -EINVAL;
  set_term(screen);
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  set_escdelay(25);
  curs_set(0);
  return 0;
}

void adit_top_screen_close(void) {
  endwin();
  delscreen(screen);
  screen = NULL;
}

size_t adit_top_screen_rows(void) {
  return LINES > HEAD ? (size_t)(LINES - HEAD) : 0;
}

enum adit_top_key adit_top_screen_key(void) {
  static const struct {
    int code;
    enum adit_top_key key;
  } keys[] = {{'q', ADIT_TOP_END},           {'Q', ADIT_TOP_END},
              {KEY_RESIZE, ADIT_TOP_REDRAW}, {'r', ADIT_TOP_RATE},
              {'b', ADIT_TOP_BYTES},         {'a', ADIT_TOP_AGE},
              {KEY_UP, ADIT_TOP_UP},         {KEY_DOWN, ADIT_TOP_DOWN},
              {KEY_PPAGE, ADIT_TOP_PAGE_UP}, {KEY_NPAGE, ADIT_TOP_PAGE_DOWN},
              {KEY_HOME, ADIT_TOP_HOME}};
  int code;
  while ((code = getch()) != ERR)
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
      if (keys[i].code == code) return keys[i].key;
  return ADIT_TOP_NOTHING;
}

/* ---- the head ------------------------------------------------------------------------------------------------------ */

/* How much a number of the sum has grown in a second. */
static double rate(const struct adit_top_view *view, const char *group, const char *name) {
  if (view->before == NULL || view->seconds <= 0) return 0;
  double now = adit_control_number(view->stat, "sum", group, name, (char *)NULL);
  double before = adit_control_number(view->before, "sum", group, name, (char *)NULL);
  return now > before ? (now - before) / view->seconds : 0;
}

static double sum(const struct adit_top_view *view, const char *group, const char *name) {
  return adit_control_number(view->stat, "sum", group, name, (char *)NULL);
}

static void draw_direction(int y, const struct adit_top_view *view, const char *what, const char *bytes,
                           const char *packets) {
  char speed[ADIT_UNITS_TEXT], all[ADIT_UNITS_TEXT], count[ADIT_UNITS_TEXT];
  mvprintw(y, 0, "%-5s %10s/s, %s packets/s; %s in all", what, adit_units_bytes(rate(view, "stack", bytes), speed),
           adit_units_count(rate(view, "stack", packets), count), adit_units_bytes(sum(view, "stack", bytes), all));
}

static void draw_counts(int y, const struct adit_top_view *view) {
  char open[ADIT_UNITS_TEXT], fresh[ADIT_UNITS_TEXT], failed[ADIT_UNITS_TEXT], datagrams[ADIT_UNITS_TEXT],
      drops[ADIT_UNITS_TEXT];
  bool relays = adit_control_text(view->stat, "upstream", (char *)NULL)[0] != '\0';
  double not_connected = relays ? sum(view, "relay", "connects_failed") : sum(view, "stack", "flows_refused");
  mvprintw(y, 0, "connections: %s open, %s/s new, %s %s; datagrams: %s/s; dropped: %s",
           adit_units_count(view->table->total, open), adit_units_count(rate(view, "stack", "flows_parked"), fresh),
           adit_units_count(not_connected, failed), relays ? "failed" : "refused",
           adit_units_count(rate(view, "stack", "datagrams_in") + rate(view, "stack", "datagrams_out"), datagrams),
           adit_units_count(adit_control_number(view->stat, "dropped", (char *)NULL), drops));
}

static void draw_head(const struct adit_top_view *view) {
  char time[ADIT_UNITS_TEXT], memory[ADIT_UNITS_TEXT];
  const char *upstream = adit_control_text(view->stat, "upstream", (char *)NULL);
  mvprintw(0, 0, "adit %s on %s%s%s, for %s, %s of memory",
           adit_control_text(view->stat, "adit", "command", (char *)NULL),
           adit_control_text(view->stat, "device", "name", (char *)NULL), upstream[0] != '\0' ? " to " : "", upstream,
           adit_units_time(adit_control_number(view->stat, "adit", "uptime_ms", (char *)NULL), time),
           adit_units_bytes(adit_control_number(view->stat, "adit", "resident_bytes", (char *)NULL), memory));
  draw_direction(1, view, "in", "bytes_in", "packets_in");
  draw_direction(2, view, "out", "bytes_out", "packets_out");
  draw_counts(3, view);
}

/* ---- the connections ----------------------------------------------------------------------------------------------- */

static void draw_titles(const struct adit_top_view *view, int client, int target) {
  static const char *const orders[ADIT_TOP_ORDERS] = {
      [ADIT_TOP_BY_RATE] = "rate", [ADIT_TOP_BY_BYTES] = "bytes", [ADIT_TOP_BY_AGE] = "age"};
  mvprintw(4, 0, "by %s (r rate, b bytes, a age, arrows; q ends)", orders[view->order]);
  attron(A_REVERSE);
  mvprintw(5, 0, "%-*.*s %-*.*s%*s%*s%*s%*s%*s", client, client, "CLIENT", target, target, "TARGET", NUMBER, "UP/S",
           NUMBER, "DOWN/S", NUMBER, "UP", NUMBER, "DOWN", NUMBER, "AGE");
  attroff(A_REVERSE);
}

static void draw_row(int y, const struct adit_top_row *row, int client, int target) {
  char rate_up[ADIT_UNITS_TEXT], rate_down[ADIT_UNITS_TEXT], up[ADIT_UNITS_TEXT], down[ADIT_UNITS_TEXT],
      age[ADIT_UNITS_TEXT];
  mvprintw(y, 0, "%-*.*s %-*.*s%*s%*s%*s%*s%*s", client, client, row->client, target, target, row->target, NUMBER,
           row->connected ? adit_units_bytes(row->rate_up, rate_up) : "connecting", NUMBER,
           row->connected ? adit_units_bytes(row->rate_down, rate_down) : "", NUMBER, adit_units_bytes(row->up, up),
           NUMBER, adit_units_bytes(row->down, down), NUMBER, adit_units_time(row->age_ms, age));
}

void adit_top_screen_draw(const struct adit_top_view *view) {
  const struct adit_top_table *table = view->table;
  int left = COLS - NUMBERS - 1, client = left * 2 / 5;
  if (client < CLIENT_LEAST) client = CLIENT_LEAST;
  int target = left - client > CLIENT_LEAST ? left - client : CLIENT_LEAST;
  erase();
  draw_head(view);
  draw_titles(view, client, target);
  for (size_t i = 0; i < adit_top_screen_rows() && view->first + i < table->count; i++)
    draw_row(HEAD + (int)i, &table->row[view->first + i], client, target);
  refresh();
}
