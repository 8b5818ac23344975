/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Numbers as people read them.
 */
#include "cli/units.h"

#include <stdio.h>
#include <string.h>

char *adit_units_bytes(double bytes, char text[ADIT_UNITS_TEXT]) {
  static const char units[] = " kMGTPE";
  size_t unit = 0;
  while (bytes >= 999.5 && units[unit + 1] != '\0') {
    bytes /= 1000;
    unit++;
  }
  if (unit == 0)
    snprintf(text, ADIT_UNITS_TEXT, "%.0f B", bytes);
  else
    snprintf(text, ADIT_UNITS_TEXT,
             bytes < 9.995   ? "%.2f %cB"
             : bytes < 99.95 ? "%.1f %cB"
                             : "%.0f %cB",
             bytes, units[unit]);
  return text;
}

char *adit_units_count(double count, char text[ADIT_UNITS_TEXT]) {
  char digits[ADIT_UNITS_TEXT];
  snprintf(digits, sizeof digits, "%.0f", count < 1e15 ? count : 1e15);
  size_t length = strlen(digits), used = 0;
  for (size_t i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') text[used++] = ',';
    text[used++] = digits[i];
  }
  text[used] = '\0';
  return text;
}

char *adit_units_time(double milliseconds, char text[ADIT_UNITS_TEXT]) {
  enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
  double all = milliseconds / 1000;
  if (all < 59.95) {
    snprintf(text, ADIT_UNITS_TEXT, "%.1f s", all);
    return text;
  }
  unsigned long long s = (unsigned long long)all;
  if (s < HOUR)
    snprintf(text, ADIT_UNITS_TEXT, "%llu min %02llu s", s / MINUTE, s % MINUTE);
  else if (s < DAY)
    snprintf(text, ADIT_UNITS_TEXT, "%llu h %02llu min", s / HOUR, s % HOUR / MINUTE);
  else
    snprintf(text, ADIT_UNITS_TEXT, "%llu d %02llu h", s / DAY, s % DAY / HOUR);
  return text;
}
