/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Numbers as people read them: with units of 1000, in groups of digits, as time.
 */
#ifndef ADIT_CLI_UNITS_H
#define ADIT_CLI_UNITS_H

#include <stdint.h>

/** Room for any of them. */
#define ADIT_UNITS_TEXT 32

/** "999 B", "1.50 kB", "12.3 MB", in `text`. Returns `text`. */
char *adit_units_bytes(double bytes, char text[ADIT_UNITS_TEXT]);

/** "1,234,567", in `text`. Returns `text`. */
char *adit_units_count(double count, char text[ADIT_UNITS_TEXT]);

/** "12.3 s", "5 min 07 s", "3 h 05 min", "2 d 03 h", in `text`. Returns `text`. */
char *adit_units_time(double milliseconds, char text[ADIT_UNITS_TEXT]);

#endif
