/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: a command line. The input: a byte that chooses the command, then words, each ended by a newline.
 */
#include "cli/commands.h"
#include "fuzz.h"

#include <string.h>

enum { WORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_bytes bytes = {data, size};
  unsigned count = 0;
  while (adit_cli_commands[count].name) count++;
  const struct adit_cli_command *command = &adit_cli_commands[fuzz_take8(&bytes) % count];
  char *words[WORDS + 2] = {strdup(command->name)};
  int argc = 1;
  while (bytes.left > 0 && argc <= WORDS) {
    const uint8_t *end = memchr(bytes.at, '\n', bytes.left);
    size_t length = end ? (size_t)(end - bytes.at) : bytes.left;
    const uint8_t *at = fuzz_take(&bytes, &length);
    words[argc] = calloc(length + 1, 1); /* ends at a zero byte, as words do; strndup may look beyond `length` */
    if (words[argc] == NULL) abort();
    if (length > 0) memcpy(words[argc], at, length);
    argc++;
    (void)fuzz_take8(&bytes);
  }
  char *argv[WORDS + 2]; /* is put in another order */
  memcpy(argv, words, sizeof argv);
  struct adit_cli_options options;
  struct adit_cli_error error = {""};
  int result = adit_cli_options_parse(command, argc, argv, &options, &error);
  FUZZ_CHECK(result <= 0, "%d", result);
  FUZZ_CHECK((result == 0) == (error.text[0] == '\0'), "%d and '%s'", result, error.text);
  FUZZ_CHECK(memchr(error.text, 0, sizeof error.text) != NULL, "%d", result);
  FUZZ_CHECK((options.given & ~command->options) == 0, "%" PRIx64, options.given);
  adit_cli_options_free(&options);
  for (int i = 0; i < argc; i++) free(words[i]);
  return 0;
}
