/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * "Did you mean": how far two words are apart.
 */
#include "cli/suggest.h"

#include <string.h>

enum { WORD = 31 };

static unsigned least(unsigned a, unsigned b) {
  return a < b ? a : b;
}

unsigned adit_cli_distance(const char *a, const char *b) {
  unsigned cost[WORD + 1][WORD + 1]; /* cost[i][j]: from the first i bytes of a to the first j bytes of b */
  size_t m = strnlen(a, WORD), n = strnlen(b, WORD);
  for (size_t i = 0; i <= m; i++) {
    for (size_t j = 0; j <= n; j++) {
      if (i == 0 || j == 0) {
        cost[i][j] = (unsigned)(i + j);
        continue;
      }
      unsigned replaced = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = least(replaced, least(cost[i - 1][j], cost[i][j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[m][n];
}

bool adit_cli_resembles(const char *word, const char *name) {
  size_t length = strlen(word), allowed = strlen(name) / 3;
  if (length >= 2 && strncmp(word, name, length) == 0) return true;
  return length > 0 && adit_cli_distance(word, name) <= (allowed > 0 ? allowed : 1);
}
