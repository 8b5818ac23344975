/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From the words of a command line to options, by getopt_long over the option table.
 *
 * Order: the command line; then the file of --config, which may fill only what the command line left open; then whether
 * all of it fits together. getopt_long keeps its place in global variables, so one command line is parsed at a time.
 */
#include "cli/commands.h"
#include "cli/config.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns for a row of the table: beyond every character. */
enum { LONG = 256 };

/* The tables that getopt_long wants, for the options of one command. */
struct grammar {
  struct option longs[ADIT_CLI_OPTION_IDS + 1];
  char letters[2 * ADIT_CLI_OPTION_IDS + 3];
};

static void grammar_init(struct grammar *grammar, const struct adit_cli_command *command) {
  memset(grammar, 0, sizeof *grammar);
  struct option *next = grammar->longs;
  char *letter = grammar->letters;
  if (command->operand_rest) *letter++ = '+'; /* the first operand ends the options */
  *letter++ = ':';                            /* a missing argument is told from an unknown option */
  for (int id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    const struct adit_cli_option *row = &adit_cli_option_table[id];
    if (!(command->options & ADIT_CLI_BIT(id))) continue;
    int argument = row->argument != NULL ? required_argument : no_argument;
    *next++ = (struct option){.name = row->name, .has_arg = argument, .val = LONG + id};
    if (row->letter == 0) continue;
    *letter++ = row->letter;
    if (argument == required_argument) *letter++ = ':';
  }
}

/* The row that getopt_long means, by number or letter; ADIT_CLI_OPTION_IDS if none. */
static enum adit_cli_option_id row_of(int value) {
  if (value >= LONG) return (enum adit_cli_option_id)(value - LONG);
  unsigned id = 0;
  while (id < ADIT_CLI_OPTION_IDS && (value == 0 || adit_cli_option_table[id].letter != value)) id++;
  return (enum adit_cli_option_id)id;
}

static int missing_argument(enum adit_cli_option_id id, struct adit_cli_error *error) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  return adit_cli_error(error, "--%s: its argument is missing; write --%s %s, for example --%s %s", row->name,
                        row->name, row->argument, row->name, row->example);
}

/* getopt_long did not take `word`; `value` is its optopt. Find out why. */
static int unknown_option(const struct adit_cli_command *command, const char *word, int value,
                          struct adit_cli_error *error) {
  if (value >= LONG) {
    return adit_cli_error(error, "%s: --%s takes no argument; leave it out", word,
                          adit_cli_option_table[value - LONG].name);
  }
  if (value != 0) {
    adit_cli_error(error, "-%c: unknown option", value);
    enum adit_cli_option_id id = row_of(value);
    if (id != ADIT_CLI_OPTION_IDS) adit_cli_option_suggest(command, adit_cli_option_table[id].name, "--", error);
  } else {
    size_t length = strcspn(word + 2, "=");
    char name[32];
    snprintf(name, sizeof name, "%.*s", length < sizeof name ? (int)length : (int)sizeof name - 1, word + 2);
    unsigned beginnings = 0;
    for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
      bool takes = (command->options & ADIT_CLI_BIT(id)) != 0;
      beginnings += takes && strncmp(adit_cli_option_table[id].name, name, length) == 0;
    }
    if (beginnings > 1) {
      adit_cli_error(error, "--%s: may be more than one option; write it out:", name);
      for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
        bool takes = (command->options & ADIT_CLI_BIT(id)) != 0;
        if (!takes || strncmp(adit_cli_option_table[id].name, name, length) != 0) continue;
        adit_cli_error_add(error, " --%s", adit_cli_option_table[id].name);
      }
      return -EINVAL;
    }
    adit_cli_error(error, "--%s: unknown option", name);
    adit_cli_option_suggest(command, name, "--", error);
  }
  adit_cli_error_add(error, " (see 'adit %s --help')", command->name);
  return -EINVAL;
}

static int set_from_word(const struct adit_cli_command *command, enum adit_cli_option_id id, const char *text,
                         struct adit_cli_options *options, struct adit_cli_error *error) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  if (row->argument == NULL)
    text = "true";
  else if (text[0] == '-' && (text[1] == '-' || (text[1] != '\0' && strchr("0123456789", text[1]) == NULL))) {
    missing_argument(id, error);
    adit_cli_error_add(error, " ('%s' is taken for an option)", text);
    return -EINVAL;
  }
  struct adit_cli_error tail;
  int result = adit_cli_option_set(command, id, text, options, &tail);
  if (result == 0) return 0;
  /* A URL may hold a password, so it is not repeated. */
  return adit_cli_error(error, row->kind == ADIT_CLI_KIND_URL ? "--%s: %s" : "--%s %s", row->name, tail.text);
}

static int read_words(const struct adit_cli_command *command, int argc, char **argv, struct adit_cli_options *options,
                      struct adit_cli_error *error) {
  struct grammar grammar;
  grammar_init(&grammar, command);
  optind = 0; /* glibc: begin anew */
  opterr = 0;
  int value;
  while ((value = getopt_long(argc, argv, grammar.letters, grammar.longs, NULL)) != -1) {
    int result;
    if (value == ':') {
      result = missing_argument(row_of(optopt), error);
    } else if (value == '?') {
      result = unknown_option(command, argv[optind - 1], optopt, error);
    } else {
      result = set_from_word(command, row_of(value), optarg, options, error);
    }
    if (result != 0) return result;
  }
  options->operands = argv + optind;
  options->operand_count = (size_t)(argc - optind);
  return 0;
}

static int check_operands(const struct adit_cli_options *options, struct adit_cli_error *error) {
  const struct adit_cli_command *command = options->command;
  size_t wanted = command->operand != NULL;
  if (options->operand_count < wanted) {
    return adit_cli_error(error, "%s is missing; %s", command->operand, command->operand_hint);
  }
  if (options->operand_count > wanted && !command->operand_rest) {
    return adit_cli_error(error, "%s: one argument too many; options begin with -- (see 'adit %s --help')",
                          options->operands[wanted], command->name);
  }
  return 0;
}

/* Options that are right by themselves and wrong together. */
static int check_together(const struct adit_cli_options *options, struct adit_cli_error *error) {
  char a[ADIT_CLI_MESSAGE / 4], b[ADIT_CLI_MESSAGE / 4];
  if (adit_cli_given(options, ADIT_CLI_FD)) {
    static const enum adit_cli_option_id not_with_fd[] = {ADIT_CLI_DEV, ADIT_CLI_QUEUES, ADIT_CLI_TAP, ADIT_CLI_OFFLOAD,
                                                          ADIT_CLI_NO_OFFLOAD};
    for (size_t i = 0; i < sizeof not_with_fd / sizeof not_with_fd[0]; i++) {
      enum adit_cli_option_id id = not_with_fd[i];
      bool one_queue = id == ADIT_CLI_QUEUES && options->queues == 1;
      if (!adit_cli_given(options, id) || one_queue) continue;
      return adit_cli_error(error, "%s: was settled by whoever opened the device of %s; leave one of the two out",
                            adit_cli_option_spell(options, id, a, sizeof a),
                            adit_cli_option_spell(options, ADIT_CLI_FD, b, sizeof b));
    }
  }
  if (adit_cli_given(options, ADIT_CLI_FAULT) && options->offload == ADIT_CLI_OFFLOAD_ON) {
    return adit_cli_error(error, "%s: faults act on packets as they are on a wire, not on larger ones; leave out %s",
                          adit_cli_option_spell(options, ADIT_CLI_FAULT, a, sizeof a),
                          adit_cli_option_spell(options, ADIT_CLI_OFFLOAD, b, sizeof b));
  }
  bool may_be_tap = options->tap || adit_cli_given(options, ADIT_CLI_FD);
  if (options->bridge != NULL && !may_be_tap) {
    return adit_cli_error(error, "%s %s: a bridge takes Ethernet frames only; add --tap",
                          adit_cli_option_spell(options, ADIT_CLI_BRIDGE, a, sizeof a), options->bridge);
  }
  if (options->dns_cache != NULL && options->dns.mode != ADIT_CLI_DNS_FAKE) {
    return adit_cli_error(error, "%s %s: only names of --dns fake are kept; add --dns fake",
                          adit_cli_option_spell(options, ADIT_CLI_DNS_CACHE, a, sizeof a), options->dns_cache);
  }
  static const enum adit_cli_option_id with_route[] = {ADIT_CLI_BYPASS, ADIT_CLI_FAIL_CLOSED};
  for (size_t i = 0; i < sizeof with_route / sizeof with_route[0]; i++) {
    if (!adit_cli_given(options, with_route[i]) || options->route.count > 0) continue;
    return adit_cli_error(error, "%s: nothing is captured; add --route, for example --route default",
                          adit_cli_option_spell(options, with_route[i], a, sizeof a));
  }
  if (options->route.count > 0 && (options->tap || options->bridge != NULL)) {
    return adit_cli_error(error, "%s: routes lead into a TUN device; leave out --tap and --bridge",
                          adit_cli_option_spell(options, ADIT_CLI_ROUTE, a, sizeof a));
  }
  for (size_t i = 0; options->mtu != 0 && options->mtu < 1280 && i < options->route.count; i++) {
    if (options->route.item[i].ip.version != 6) continue;
    return adit_cli_error(error,
                          "%s %llu: too small to capture IPv6, which needs 1280 or more (RFC 8200); give a larger one, "
                          "or --route 0.0.0.0/0 to leave IPv6 alone",
                          adit_cli_option_spell(options, ADIT_CLI_MTU, a, sizeof a), (unsigned long long)options->mtu);
  }
  if (options->tap && options->mtu > ADIT_CLI_MTU_TAP) {
    return adit_cli_error(error, "%s %llu: out of range for a TAP device; give %llu..%d",
                          adit_cli_option_spell(options, ADIT_CLI_MTU, a, sizeof a), (unsigned long long)options->mtu,
                          (unsigned long long)options->command->mtu_min, ADIT_CLI_MTU_TAP);
  }
  for (size_t i = 0; options->mtu != 0 && options->mtu < 1280 && i < options->address.count; i++) {
    char text[ADIT_ADDRESS_TEXT];
    if (options->address.item[i].ip.version != 6) continue;
    return adit_cli_error(error, "%s %llu: too small for the address %s; IPv6 needs 1280 or more (RFC 8200)",
                          adit_cli_option_spell(options, ADIT_CLI_MTU, a, sizeof a), (unsigned long long)options->mtu,
                          adit_cidr_format(options->address.item[i], text));
  }
  return 0;
}

int adit_cli_options_parse(const struct adit_cli_command *command, int argc, char **argv,
                           struct adit_cli_options *options, struct adit_cli_error *error) {
  *options = (struct adit_cli_options){.command = command, .argc = argc, .argv = argv, .queues = 1};
  error->text[0] = '\0';
  int result = read_words(command, argc, argv, options, error);
  if (result != 0 || options->help) return result;
  if (options->config != NULL) result = adit_cli_config_read(options->config, options, error);
  if (result == 0) result = check_operands(options, error);
  if (result == 0) result = check_together(options, error);
  return result;
}

int adit_cli_options_again(const struct adit_cli_options *before, struct adit_cli_options *options,
                           struct adit_cli_error *error) {
  return adit_cli_options_parse(before->command, before->argc, before->argv, options, error);
}

void adit_cli_options_free(struct adit_cli_options *options) {
  for (size_t i = 0; i < options->owned_count; i++) free(options->owned[i]);
  free(options->owned);
  options->owned = NULL;
  options->owned_count = 0;
}
