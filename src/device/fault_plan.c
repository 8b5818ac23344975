/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is to go wrong on a line, from text.
 *
 * Numbers are read as decimal digits with at most six behind the point, so that nothing is rounded and no locale is
 * asked. A percentage has four of them (a millionth is 0.0001 %); one that is finer is refused rather than lost.
 */
#include "device/fault_plan.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [ADIT_FAULT_DROP] = "drop",       [ADIT_FAULT_REORDER] = "reorder",   [ADIT_FAULT_REPEAT] = "repeat",
    [ADIT_FAULT_CORRUPT] = "corrupt", [ADIT_FAULT_TRUNCATE] = "truncate",
};
static_assert(sizeof names / sizeof names[0] == ADIT_FAULT_KINDS, "a name for each");

static const struct {
  const char *name;
  uint64_t ns;
} units[] = {{"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};

/* A piece of the text; `end` is behind its last byte. */
struct word {
  const char *begin;
  const char *end;
};

static int explain(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int explain(char *reason, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, ADIT_FAULT_REASON, format, arguments);
  va_end(arguments);
  return -EINVAL;
}

static int width(struct word word) {
  ptrdiff_t length = word.end - word.begin;
  return length < 60 ? (int)length : 60; /* as much as a message shows */
}

static bool is(struct word word, const char *text) {
  return (size_t)(word.end - word.begin) == strlen(text) && memcmp(word.begin, text, strlen(text)) == 0;
}

const char *adit_fault_name(enum adit_fault_kind kind) {
  return names[kind];
}

/*
 * Read a number such as "0.25" times `scale`, a power of ten, and step over it. Returns whether there was one that fits
 * and has no more digits than the scale.
 */
static bool take_number(struct word *word, uint64_t scale, uint64_t *number) {
  const char *at = word->begin;
  uint64_t whole = 0;
  uint64_t part = 0;
  if (at == word->end || !isdigit((unsigned char)*at)) return false;
  for (; at < word->end && isdigit((unsigned char)*at); at++) {
    if (whole > UINT64_MAX / 10 / scale / 10) return false;
    whole = whole * 10 + (uint64_t)(*at - '0');
  }
  if (at < word->end && *at == '.' && at + 1 < word->end && isdigit((unsigned char)at[1])) {
    uint64_t place = scale;
    for (at++; at < word->end && isdigit((unsigned char)*at); at++) {
      place /= 10;
      if (place == 0 && *at != '0') return false;
      part += place * (uint64_t)(*at - '0');
    }
  }
  *number = whole * scale + part;
  word->begin = at;
  return true;
}

static int read_chance(struct word name, struct word value, uint32_t *chance, char *reason) {
  uint64_t number;
  struct word rest = value;
  if (take_number(&rest, ADIT_FAULT_ALWAYS / 100, &number) && is(rest, "%") && number <= ADIT_FAULT_ALWAYS) {
    *chance = (uint32_t)number;
    return 0;
  }
  return explain(reason, "'%.*s' is no chance for %.*s; give 0%%..100%%, in steps of 0.0001%%, such as %.*s=5%%",
                 width(value), value.begin, width(name), name.begin, width(name), name.begin);
}

static bool take_time(struct word *word, uint64_t *ns) {
  struct word rest = *word;
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t length = strlen(units[i].name);
    rest = *word;
    if (!take_number(&rest, units[i].ns, ns)) continue;
    if ((size_t)(rest.end - rest.begin) < length || memcmp(rest.begin, units[i].name, length) != 0) continue;
    word->begin = rest.begin + length;
    return true;
  }
  return false;
}

static int read_delay(struct word value, uint64_t *least_ns, uint64_t *most_ns, char *reason) {
  struct word rest = value;
  uint64_t from;
  uint64_t to;
  bool good = take_time(&rest, &from);
  to = from;
  if (good && rest.begin != rest.end) {
    good = rest.end - rest.begin > 2 && memcmp(rest.begin, "..", 2) == 0;
    rest.begin += 2;
    good = good && take_time(&rest, &to) && rest.begin == rest.end;
  }
  if (!good || to < from || to > ADIT_FAULT_DELAY_MOST_NS)
    return explain(reason,
                   "'%.*s' is no delay; give a time with its unit (us, ms, s), at most 60s, or the least and the most, "
                   "such as delay=20ms or delay=20ms..80ms",
                   width(value), value.begin);
  *least_ns = from;
  *most_ns = to;
  return 0;
}

static int read_seed(struct word value, uint64_t *seed, char *reason) {
  struct word rest = value;
  uint64_t number;
  if (!take_number(&rest, 1, &number) || rest.begin != rest.end)
    return explain(reason, "'%.*s' is no seed; give a whole number of at most 17 digits, such as seed=7", width(value),
                   value.begin);
  *seed = number;
  return 0;
}

/* The item "NAME=VALUE" in one direction. */
static int read_item(struct word name, struct word value, struct adit_fault_rates *rates, char *reason) {
  if (is(name, "delay")) return read_delay(value, &rates->delay_least_ns, &rates->delay_most_ns, reason);
  for (unsigned kind = 0; kind < ADIT_FAULT_KINDS; kind++)
    if (is(name, names[kind])) return read_chance(name, value, &rates->chance[kind], reason);
  return explain(reason,
                 "'%.*s' is no fault; there are drop, delay, reorder, repeat, corrupt and truncate, and seed; in: or "
                 "out: before one means that direction alone",
                 width(name), name.begin);
}

int adit_fault_plan_parse(const char *text, struct adit_fault_plan *plan, char *reason) {
  static const char *const sides[ADIT_FAULT_SIDES] = {[ADIT_FAULT_IN] = "in:", [ADIT_FAULT_OUT] = "out:"};
  struct adit_fault_plan made = {0};
  for (const char *at = text;; at++) {
    struct word item = {at, at + strcspn(at, ",")};
    const char *equals = memchr(item.begin, '=', (size_t)(item.end - item.begin));
    if (equals == NULL)
      return explain(reason, "'%.*s' is no item; write NAME=VALUE, separated by commas, such as drop=1%%,delay=20ms",
                     width(item), item.begin);
    struct word name = {item.begin, equals};
    struct word value = {equals + 1, item.end};
    unsigned first = 0;
    unsigned last = ADIT_FAULT_SIDES - 1;
    for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
      size_t length = strlen(sides[side]);
      if ((size_t)(name.end - name.begin) < length || memcmp(name.begin, sides[side], length) != 0) continue;
      first = last = side;
      name.begin += length;
      break;
    }
    int error = 0;
    if (is(name, "seed") && name.begin == item.begin) {
      error = read_seed(value, &made.seed, reason);
    } else {
      for (unsigned side = first; side <= last && error == 0; side++)
        error = read_item(name, value, &made.side[side], reason);
    }
    if (error != 0) return error;
    at = item.end;
    if (*at == '\0') break;
  }
  *plan = made;
  return 0;
}
