/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Options from a YAML file: a mapping whose keys are names of options.
 *
 * libyaml's parser gives events; the file is one flat mapping, so the reader is a loop over pairs of key and value. An
 * event is owned by the reader from yaml_parser_parse to yaml_event_delete; text that is kept is copied and given to
 * the options, which free it. Aliases, tags and nested mappings have no use here and are refused like any wrong type.
 */
#include "cli/config.h"

#include "cli/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
  const char *path;
  struct adit_cli_options *options;
  struct adit_cli_error *error;
  uint64_t before; /* what the command line gave: those fields are closed to the file */
  uint64_t keys;   /* seen in this file */
  yaml_parser_t parser;
  yaml_event_t event; /* the current one, to be deleted */
};

static unsigned long line_of(const struct reader *reader) {
  return (unsigned long)reader->event.start_mark.line + 1;
}

/* The next event; the one before is gone after it. */
static int next_event(struct reader *reader) {
  yaml_event_delete(&reader->event);
  if (yaml_parser_parse(&reader->parser, &reader->event)) return 0;
  const yaml_parser_t *parser = &reader->parser;
  if (parser->error == YAML_MEMORY_ERROR) {
    adit_cli_error(reader->error, "%s: out of memory", reader->path);
    return -ENOMEM;
  }
  unsigned long line = (unsigned long)parser->problem_mark.line + 1;
  if (parser->error == YAML_READER_ERROR) {
    return adit_cli_error(reader->error, "%s: not text at byte %zu: %s; a configuration is a YAML file in UTF-8",
                          reader->path, parser->problem_offset, parser->problem);
  }
  return adit_cli_error(reader->error, "%s:%lu: not YAML: %s%s%s; write one 'key: value' a line", reader->path, line,
                        parser->problem, parser->context != NULL ? " " : "",
                        parser->context != NULL ? parser->context : "");
}

/* A copy of the current scalar that lives as long as the options. NULL when out of memory. */
static const char *keep_text(struct reader *reader) {
  struct adit_cli_options *options = reader->options;
  char **owned = realloc(options->owned, (options->owned_count + 1) * sizeof *owned);
  if (owned == NULL) return NULL;
  options->owned = owned;
  char *text = strdup((const char *)reader->event.data.scalar.value);
  if (text != NULL) owned[options->owned_count++] = text;
  return text;
}

static const char *what_is(const struct adit_cli_option *row) {
  switch (row->kind) {
  case ADIT_CLI_KIND_SET:
    return "true or false";
  case ADIT_CLI_KIND_NUMBER:
    return "a whole number";
  case ADIT_CLI_KIND_NAME:
    return "the name of an interface";
  case ADIT_CLI_KIND_PATH:
    return "the name of a file";
  case ADIT_CLI_KIND_CHOICE:
    return "one word";
  case ADIT_CLI_KIND_USER:
    return "the name of a user";
  case ADIT_CLI_KIND_HOST:
  case ADIT_CLI_KIND_NETWORK:
    return "an address with a prefix length, or a list of them";
  case ADIT_CLI_KIND_ROUTE:
    return "a network, default, or a list of them";
  case ADIT_CLI_KIND_BYTES:
    return "a number of bytes";
  case ADIT_CLI_KIND_URL:
    return "a URL";
  case ADIT_CLI_KIND_DNS:
  case ADIT_CLI_KIND_FAULT:
    return "off, fake or forward:ADDRESS";
  }
  return "a value";
}

static bool is_list(const struct adit_cli_option *row) {
  return row->kind == ADIT_CLI_KIND_HOST || row->kind == ADIT_CLI_KIND_NETWORK || row->kind == ADIT_CLI_KIND_ROUTE;
}

static int wrong_type(struct reader *reader, const struct adit_cli_option *row, const char *found) {
  adit_cli_error(reader->error, "%s:%lu: %s: %s; give %s", reader->path, line_of(reader), row->name, found,
                 what_is(row));
  if (row->example != NULL) adit_cli_error_add(reader->error, ", for example '%s: %s'", row->name, row->example);
  return -EINVAL;
}

/* Whether the command line spoke of the field that this option stores to. */
static bool closed(const struct reader *reader, enum adit_cli_option_id id) {
  for (unsigned other = 0; other < ADIT_CLI_OPTION_IDS; other++) {
    bool same = adit_cli_option_table[other].offset == adit_cli_option_table[id].offset;
    if (same && (reader->before & ADIT_CLI_BIT(other))) return true;
  }
  return false;
}

/* The current event is a scalar: the value, or one of the values, of an option. */
static int take_scalar(struct reader *reader, enum adit_cli_option_id id) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  const yaml_event_t *event = &reader->event;
  const char *value = (const char *)event->data.scalar.value;
  bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (strlen(value) != event->data.scalar.length) return wrong_type(reader, row, "a text with a zero byte in it");
  if (plain && (*value == '\0' || strcmp(value, "~") == 0 || strcmp(value, "null") == 0)) {
    return wrong_type(reader, row, "there is no value");
  }
  const char *text = keep_text(reader);
  if (text == NULL) {
    adit_cli_error(reader->error, "%s: out of memory", reader->path);
    return -ENOMEM;
  }
  /* Checked also where the command line counts more: a wrong file is wrong whatever stands beside it. */
  struct adit_cli_options scratch = {.command = reader->options->command};
  struct adit_cli_options *target = closed(reader, id) ? &scratch : reader->options;
  struct adit_cli_error tail;
  if (adit_cli_option_set(reader->options->command, id, text, target, &tail) != 0) {
    return adit_cli_error(reader->error, "%s:%lu: %s: %s", reader->path, line_of(reader), row->name, tail.text);
  }
  if (target == reader->options) reader->options->from_file |= ADIT_CLI_BIT(id);
  return 0;
}

/* The current event begins the value of an option. */
static int take_value(struct reader *reader, enum adit_cli_option_id id) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  if (reader->event.type == YAML_SCALAR_EVENT) return take_scalar(reader, id);
  if (reader->event.type == YAML_MAPPING_START_EVENT) return wrong_type(reader, row, "a mapping of keys");
  if (reader->event.type != YAML_SEQUENCE_START_EVENT) return wrong_type(reader, row, "a YAML alias");
  if (!is_list(row)) return wrong_type(reader, row, "a list");
  for (size_t items = 0;; items++) {
    int result = next_event(reader);
    if (result != 0) return result;
    if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
      return items > 0 ? 0 : wrong_type(reader, row, "an empty list");
    }
    if (reader->event.type != YAML_SCALAR_EVENT) return wrong_type(reader, row, "a list of something else");
    result = take_scalar(reader, id);
    if (result != 0) return result;
  }
}

/* The current event is a key. Find its option. */
static int take_key(struct reader *reader, enum adit_cli_option_id *id) {
  if (reader->event.type != YAML_SCALAR_EVENT) {
    return adit_cli_error(reader->error, "%s:%lu: a key that is not a word; write one 'key: value' a line",
                          reader->path, line_of(reader));
  }
  const struct adit_cli_command *command = reader->options->command;
  const char *key = (const char *)reader->event.data.scalar.value;
  *id = adit_cli_option_find(key);
  bool taken = *id != ADIT_CLI_OPTION_IDS && (command->options & ADIT_CLI_BIT(*id)) != 0;
  if (taken && adit_cli_option_table[*id].command_line_only) {
    return adit_cli_error(reader->error, "%s:%lu: %s: only for the command line; take it out", reader->path,
                          line_of(reader), key);
  }
  if (!taken) {
    adit_cli_error(reader->error, "%s:%lu: %.40s: unknown key for 'adit %s'", reader->path, line_of(reader), key,
                   command->name);
    adit_cli_option_suggest(command, key, "", reader->error);
    adit_cli_error_add(reader->error, "; allowed are:");
    const char *between = "";
    for (unsigned other = 0; other < ADIT_CLI_OPTION_IDS; other++) {
      const struct adit_cli_option *row = &adit_cli_option_table[other];
      if (!(command->options & ADIT_CLI_BIT(other)) || row->command_line_only) continue;
      adit_cli_error_add(reader->error, "%s %s", between, row->name);
      between = ",";
    }
    return -EINVAL;
  }
  if (reader->keys & ADIT_CLI_BIT(*id)) {
    return adit_cli_error(reader->error, "%s:%lu: %s: given twice; keep one%s", reader->path, line_of(reader), key,
                          is_list(&adit_cli_option_table[*id]) ? ", with a list of values" : "");
  }
  reader->keys |= ADIT_CLI_BIT(*id);
  return 0;
}

/* The document: one mapping, or nothing at all. */
static int read_document(struct reader *reader) {
  int result = next_event(reader); /* stream start */
  if (result == 0) result = next_event(reader);
  if (result != 0 || reader->event.type == YAML_STREAM_END_EVENT) return result;
  result = next_event(reader);
  if (result != 0) return result;
  if (reader->event.type != YAML_MAPPING_START_EVENT) {
    return adit_cli_error(reader->error, "%s:%lu: not a mapping; write one 'key: value' a line", reader->path,
                          line_of(reader));
  }
  for (;;) {
    enum adit_cli_option_id id = ADIT_CLI_OPTION_IDS;
    result = next_event(reader);
    if (result != 0) return result;
    if (reader->event.type == YAML_MAPPING_END_EVENT) break;
    result = take_key(reader, &id);
    if (result == 0) result = next_event(reader);
    if (result == 0) result = take_value(reader, id);
    if (result != 0) return result;
  }
  result = next_event(reader); /* document end */
  if (result == 0) result = next_event(reader);
  if (result == 0 && reader->event.type != YAML_STREAM_END_EVENT) {
    return adit_cli_error(reader->error, "%s:%lu: a second document; keep one", reader->path, line_of(reader));
  }
  return result;
}

int adit_cli_config_read(const char *path, struct adit_cli_options *options, struct adit_cli_error *error) {
  struct reader reader = {.path = path, .options = options, .error = error, .before = options->given};
  int result;
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    result = -errno;
    adit_cli_error(error, "--config %s: cannot be read: %s; give a file that exists and that you may read", path,
                   strerror(-result));
    return result == -EINVAL ? -EIO : result;
  }
  if (!yaml_parser_initialize(&reader.parser)) {
    adit_cli_error(error, "--config %s: out of memory", path);
    result = -ENOMEM;
    goto close_file;
  }
  yaml_parser_set_input_file(&reader.parser, file);
  result = read_document(&reader);
  if (result == -EINVAL && ferror(file)) { /* a directory, a bad disk: libyaml calls it malformed */
    adit_cli_error(error, "--config %s: cannot be read; give a regular file", path);
    result = -EIO;
  }
  yaml_event_delete(&reader.event);
  yaml_parser_delete(&reader.parser);
close_file:
  fclose(file);
  return result;
}
