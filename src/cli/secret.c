/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Passwords on the command line.
 *
 * /proc/PID/cmdline shows the memory in which the words came, so what is written there is seen. The program works with
 * a copy, which it needs as long as it runs: SIGHUP parses it again. Every word with "://" and "@" in it is cut, options
 * and operands alike; the command of `adit run` gets the copy, and what it shows of itself is its own affair.
 */
#include "cli/secret.h"

#include <sodium.h>
#include <string.h>

/* "--upstream=socks5://user:password@host" to "--upstream=socks5://host", zeros behind it. */
static void cut(char *word) {
  char *start = strstr(word, "://");
  char *end = strrchr(word, '@');
  if (start == NULL || end == NULL || end < start) return;
  start += strlen("://");
  size_t length = strlen(word), left = strlen(end + 1);
  memmove(start, end + 1, left);
  sodium_memzero(start + left, length - (size_t)(start - word) - left);
}

char **adit_cli_secret_words(int argc, char **argv) {
  size_t count = (size_t)argc, room = (count + 1) * sizeof(char *);
  if (sodium_init() < 0) return NULL;
  for (size_t i = 0; i < count; i++) room += strlen(argv[i]) + 1;
  /* The pointers come first, so they are aligned when the end of the room is: sodium_malloc puts it at a page's end. */
  room = (room + sizeof(char *) - 1) / sizeof(char *) * sizeof(char *);
  char **words = sodium_malloc(room);
  if (words == NULL) return NULL;
  char *text = (char *)(words + count + 1);
  for (size_t i = 0; i < count; i++) {
    size_t size = strlen(argv[i]) + 1;
    memcpy(text, argv[i], size);
    words[i] = text;
    text += size;
    cut(argv[i]);
  }
  words[count] = NULL;
  return words;
}

void adit_cli_secret_free(char **words) {
  sodium_free(words);
}
