/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The program: finds the command, reads its options, runs it.
 */
#include "cli/commands.h"
#include "cli/secret.h"
#include "cli/suggest.h"

#include <errno.h>
#include <string.h>

static void print_overview(FILE *out) {
  fputs("adit: a TCP/IP stack in user space behind a TUN or TAP device\n\nUsage: adit COMMAND [OPTION]...\n\n", out);
  for (const struct adit_cli_command *command = adit_cli_commands; command->name != NULL; command++) {
    fprintf(out, "  %-9s %s\n", command->name, command->purpose);
  }
  fputs("\n'adit help COMMAND' tells more of one; 'adit --version' prints the version.\n", out);
}

static void print_help(const struct adit_cli_command *command, FILE *out) {
  fprintf(out, "Usage: adit %s [OPTION]...%s%s\n\n%s\n\nOptions:\n", command->name, command->operand != NULL ? " " : "",
          command->operand != NULL ? command->operand : "", command->details);
  adit_cli_options_help(command, out);
  if (command->examples != NULL) fprintf(out, "\nExample:\n%s\n", command->examples);
  fprintf(out, "\nExit status: %s. See also adit-%s(1).\n",
          command->operand_rest
              ? "the command's; 127 it was not found, 126 it cannot be run, 1 adit failed, 2 wrong usage"
              : "0 done, 1 failed, 2 wrong usage",
          command->name);
}

/* What was asked for has been printed: whether it arrived. */
static enum adit_cli_status printed(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return ADIT_CLI_DONE;
  fprintf(stderr, "adit: cannot write to standard output: %s\n", strerror(errno));
  return ADIT_CLI_FAILED;
}

static const struct adit_cli_command *find_command(const char *name) {
  const struct adit_cli_command *command = adit_cli_commands;
  while (command->name != NULL && strcmp(command->name, name) != 0) command++;
  return command->name != NULL ? command : NULL;
}

static enum adit_cli_status unknown_command(const char *name) {
  const struct adit_cli_command *nearest = NULL;
  for (const struct adit_cli_command *command = adit_cli_commands; command->name != NULL; command++) {
    if (!adit_cli_resembles(name, command->name)) continue;
    if (nearest == NULL || adit_cli_distance(name, command->name) < adit_cli_distance(name, nearest->name)) {
      nearest = command;
    }
  }
  fprintf(stderr, "adit: %s: unknown %s", name, name[0] == '-' ? "option" : "command");
  if (nearest != NULL) fprintf(stderr, "; did you mean 'adit %s'?", nearest->name);
  fputs(" ('adit help' lists the commands)\n", stderr);
  return ADIT_CLI_USAGE;
}

static enum adit_cli_status help(const char *topic) {
  const struct adit_cli_command *command = NULL;
  if (topic == NULL || strcmp(topic, "help") == 0) {
    print_overview(stdout);
    return printed();
  }
  command = find_command(topic);
  if (command == NULL) return unknown_command(topic);
  print_help(command, stdout);
  return printed();
}

/* `argv[0]` is the command. */
static enum adit_cli_status run(const struct adit_cli_command *command, int argc, char **argv) {
  char **words = adit_cli_secret_words(argc, argv);
  if (words == NULL) {
    fprintf(stderr, "adit %s: out of memory\n", command->name);
    return ADIT_CLI_FAILED;
  }
  struct adit_cli_options options;
  struct adit_cli_error error;
  enum adit_cli_status status;
  int result = adit_cli_options_parse(command, argc, words, &options, &error);
  if (result != 0) {
    fprintf(stderr, "adit %s: %s\n", command->name, error.text);
    status = result == -EINVAL ? ADIT_CLI_USAGE : ADIT_CLI_FAILED;
  } else if (options.help) {
    status = help(command->name);
  } else {
    status = command->run(&options);
  }
  adit_cli_options_free(&options);
  adit_cli_secret_free(words);
  return status;
}

int main(int argc, char **argv) {
  const char *word = argc > 1 ? argv[1] : NULL;
  if (word == NULL) {
    fputs("adit: no command given\n", stderr);
    print_overview(stderr);
    return ADIT_CLI_USAGE;
  }
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
    puts("adit " ADIT_VERSION);
    return (int)printed();
  }
  if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
    return (int)help(argc > 2 ? argv[2] : NULL);
  }
  const struct adit_cli_command *command = find_command(word);
  return (int)(command != NULL ? run(command, argc - 1, argv + 1) : unknown_command(word));
}
