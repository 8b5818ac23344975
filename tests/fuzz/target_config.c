/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: a configuration file. The input: a byte that chooses the command, then the file.
 */
#include "cli/commands.h"
#include "cli/config.h"
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_bytes bytes = {data, size};
  unsigned count = 0;
  while (adit_cli_commands[count].name) count++;
  const struct adit_cli_command *command = &adit_cli_commands[fuzz_take8(&bytes) % count];
  char path[FUZZ_PATH];
  int fd = fuzz_file(bytes.at, bytes.left, path);
  struct adit_cli_options options = {.command = command, .queues = 1};
  struct adit_cli_error error = {""};
  int result = adit_cli_config_read(path, &options, &error);
  FUZZ_CHECK(result <= 0, "%d", result);
  FUZZ_CHECK((result == 0) == (error.text[0] == '\0'), "%d and '%s'", result, error.text);
  FUZZ_CHECK(memchr(error.text, 0, sizeof error.text) != NULL, "%d", result);
  FUZZ_CHECK(strchr(error.text, '\n') == NULL, "%s", error.text);
  FUZZ_CHECK((options.given & ~command->options) == 0, "%" PRIx64, options.given);
  adit_cli_options_free(&options);
  close(fd);
  return 0;
}
