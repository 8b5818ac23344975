/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The option table, what the values of options may be, and the help text made of it.
 *
 * Everything known of an option stands in its row. The command line (parse.c) and the file (config.c) both turn words into
 * rows and call adit_cli_option_set, so they accept the same values with the same messages. Options that store to one field
 * (--hex and --format, --verbose and --quiet) are one choice: the last on the command line counts, and a file does not
 * speak when the command line did.
 */
#include "cli/options.h"

#include "cli/commands.h"
#include "cli/suggest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {
    [ADIT_CLI_FORMAT_LINE] = "line", [ADIT_CLI_FORMAT_HEX] = "hex", [ADIT_CLI_FORMAT_DECIMAL] = "decimal", NULL};

#define FIELD(name) offsetof(struct adit_cli_options, name)

const struct adit_cli_option adit_cli_option_table[ADIT_CLI_OPTION_IDS] = {
    [ADIT_CLI_DEV] = {.name = "dev",
                      .kind = ADIT_CLI_KIND_NAME,
                      .offset = FIELD(dev),
                      .argument = "NAME",
                      .example = "adit0",
                      .help = "name of the device, at most 15 bytes; %d in it is replaced by\n"
                              "the first free number (default: adit%d)"},
    [ADIT_CLI_TAP] = {.name = "tap",
                      .kind = ADIT_CLI_KIND_SET,
                      .offset = FIELD(tap),
                      .value = 1,
                      .help = "a TAP device (Ethernet frames) instead of TUN (IP packets)"},
    [ADIT_CLI_BRIDGE] = {.name = "bridge",
                         .kind = ADIT_CLI_KIND_NAME,
                         .offset = FIELD(bridge),
                         .argument = "BR",
                         .example = "br0",
                         .help = "with --tap: make the device a port of this bridge, which\n"
                                 "exists; it then gets no address by default"},
    [ADIT_CLI_FD] = {.name = "fd",
                     .kind = ADIT_CLI_KIND_NUMBER,
                     .offset = FIELD(fd),
                     .argument = "N",
                     .example = "3",
                     .min = 0,
                     .max = INT_MAX,
                     .help = "use a TUN or TAP device that the parent process opened; only\n"
                             "what other options name is configured on it"},
    [ADIT_CLI_ADDRESS] = {.name = "address",
                          .kind = ADIT_CLI_KIND_HOST,
                          .offset = FIELD(address),
                          .argument = "CIDR",
                          .example = "192.168.3.11/24",
                          .help = "address of the kernel's side and its network; may be repeated\n"
                                  "(default: 192.168.3.11/24 and fdad:3::11/64)"},
    [ADIT_CLI_ANSWER] = {.name = "answer",
                         .kind = ADIT_CLI_KIND_NETWORK,
                         .offset = FIELD(answer),
                         .argument = "CIDR",
                         .example = "192.168.3.0/24",
                         .help = "network whose addresses the stack answers for; may be\n"
                                 "repeated (default: the networks of the kernel's side;\n"
                                 "needed with --bridge)"},
    [ADIT_CLI_MTU] = {.name = "mtu",
                      .kind = ADIT_CLI_KIND_NUMBER,
                      .offset = FIELD(mtu),
                      .argument = "N",
                      .example = "1400",
                      .min = 68,
                      .max = ADIT_CLI_MTU_TUN,
                      .help = "largest packet in bytes (default: 1500)"},
    [ADIT_CLI_QUEUES] = {.name = "queues",
                         .kind = ADIT_CLI_KIND_NUMBER,
                         .offset = FIELD(queues),
                         .argument = "N",
                         .example = "4",
                         .min = 1,
                         .max = 256,
                         .help = "number of queues, each with a thread and a stack (default: 1)"},
    [ADIT_CLI_OFFLOAD] = {.name = "offload",
                          .kind = ADIT_CLI_KIND_SET,
                          .offset = FIELD(offload),
                          .value = ADIT_CLI_OFFLOAD_ON,
                          .help = "take packets as the kernel hands them to a network card: up to\n"
                                  "64 KiB, the checksum not yet computed"},
    [ADIT_CLI_NO_OFFLOAD] = {.name = "no-offload",
                             .kind = ADIT_CLI_KIND_SET,
                             .offset = FIELD(offload),
                             .value = ADIT_CLI_OFFLOAD_OFF,
                             .help = "no packets larger than the MTU, all checksums complete"},
    [ADIT_CLI_HEX] = {.name = "hex",
                      .letter = 'x',
                      .kind = ADIT_CLI_KIND_SET,
                      .offset = FIELD(format),
                      .value = ADIT_CLI_FORMAT_HEX,
                      .help = "the same as --format=hex"},
    [ADIT_CLI_FORMAT] = {.name = "format",
                         .kind = ADIT_CLI_KIND_CHOICE,
                         .offset = FIELD(format),
                         .argument = "FORMAT",
                         .example = "hex",
                         .choices = formats,
                         .help = "line: one line a packet; hex: and its bytes in hexadecimal;\n"
                                 "decimal: its bytes as decimal numbers, one packet a line\n"
                                 "(default: line)"},
    [ADIT_CLI_COUNT] = {.name = "count",
                        .letter = 'c',
                        .kind = ADIT_CLI_KIND_NUMBER,
                        .offset = FIELD(count),
                        .argument = "N",
                        .example = "4",
                        .min = 1,
                        .max = UINT64_MAX,
                        .help = "end after this many packets (default: go on until a signal)"},
    [ADIT_CLI_SWAP] = {.name = "swap",
                       .kind = ADIT_CLI_KIND_SET,
                       .offset = FIELD(swap),
                       .value = 1,
                       .help = "exchange source and destination address first"},
    [ADIT_CLI_OUT] = {.name = "out",
                      .letter = 'o',
                      .kind = ADIT_CLI_KIND_PATH,
                      .offset = FIELD(out),
                      .argument = "OUT.pcap",
                      .example = "answers.pcap",
                      .help = "write the answers to this capture, which is made anew"},
    [ADIT_CLI_SEED] = {.name = "seed",
                       .kind = ADIT_CLI_KIND_NUMBER,
                       .offset = FIELD(seed),
                       .argument = "N",
                       .example = "7",
                       .min = 0,
                       .max = UINT64_MAX,
                       .help = "all random choices follow from this number (default: 0)"},
    [ADIT_CLI_CONFIG] = {.name = "config",
                         .kind = ADIT_CLI_KIND_PATH,
                         .command_line_only = true,
                         .offset = FIELD(config),
                         .argument = "FILE",
                         .example = "adit.yaml",
                         .help = "YAML file whose keys are the options here; what is on the\n"
                                 "command line counts more"},
    [ADIT_CLI_VERBOSE] = {.name = "verbose",
                          .letter = 'v',
                          .kind = ADIT_CLI_KIND_SET,
                          .offset = FIELD(verbosity),
                          .value = 1,
                          .help = "say more on standard error"},
    [ADIT_CLI_QUIET] = {.name = "quiet",
                        .letter = 'q',
                        .kind = ADIT_CLI_KIND_SET,
                        .offset = FIELD(verbosity),
                        .value = -1,
                        .help = "say nothing on standard error but errors"},
    [ADIT_CLI_HELP] = {.name = "help",
                       .letter = 'h',
                       .kind = ADIT_CLI_KIND_SET,
                       .command_line_only = true,
                       .offset = FIELD(help),
                       .value = 1,
                       .help = "print this and end"},
};
static_assert(sizeof adit_cli_option_table / sizeof adit_cli_option_table[0] == ADIT_CLI_OPTION_IDS, "a row each");
static_assert(ADIT_CLI_OPTION_IDS <= 32, "a bit each in a set");

/* ---- messages --------------------------------------------------------------------------------------------------- */

int adit_cli_error(struct adit_cli_error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return -EINVAL;
}

void adit_cli_error_add(struct adit_cli_error *error, const char *format, ...) {
  size_t used = strlen(error->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text + used, sizeof error->text - used, format, arguments);
  va_end(arguments);
}

const char *adit_cli_option_spell(const struct adit_cli_options *options, enum adit_cli_option_id id, char *text,
                                  size_t size) {
  const char *name = adit_cli_option_table[id].name;
  if (options->from_file & ADIT_CLI_BIT(id)) {
    snprintf(text, size, "%s (in %s)", name, options->config);
  } else {
    snprintf(text, size, "--%s", name);
  }
  return text;
}

void adit_cli_option_suggest(const struct adit_cli_command *command, const char *name, const char *dashes,
                             struct adit_cli_error *error) {
  enum adit_cli_option_id same = adit_cli_option_find(name);
  if (same != ADIT_CLI_OPTION_IDS) {
    const char *between = "; it belongs to";
    for (const struct adit_cli_command *other = adit_cli_commands; other->name != NULL; other++) {
      if (!(other->options & ADIT_CLI_BIT(same))) continue;
      adit_cli_error_add(error, "%s 'adit %s'", between, other->name);
      between = ",";
    }
    return;
  }
  enum adit_cli_option_id nearest = ADIT_CLI_OPTION_IDS;
  for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    const char *candidate = adit_cli_option_table[id].name;
    if (!(command->options & ADIT_CLI_BIT(id)) || !adit_cli_resembles(name, candidate)) continue;
    if (nearest == ADIT_CLI_OPTION_IDS ||
        adit_cli_distance(name, candidate) < adit_cli_distance(name, adit_cli_option_table[nearest].name)) {
      nearest = (enum adit_cli_option_id)id;
    }
  }
  if (nearest != ADIT_CLI_OPTION_IDS) {
    adit_cli_error_add(error, "; did you mean %s%s?", dashes, adit_cli_option_table[nearest].name);
  }
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static int set_flag(const struct adit_cli_option *row, const char *text, int *field, struct adit_cli_error *error) {
  static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
    if (strcasecmp(text, yes[i]) == 0) {
      *field = row->value;
      return 0;
    }
    if (strcasecmp(text, no[i]) == 0) return 0;
  }
  return adit_cli_error(error, "%s: neither yes nor no; give true or false", text);
}

static int set_number(uint64_t min, uint64_t max, const char *text, uint64_t *field, struct adit_cli_error *error) {
  char range[64];
  if (max == UINT64_MAX) {
    snprintf(range, sizeof range, "%llu or more", (unsigned long long)min);
  } else {
    snprintf(range, sizeof range, "%llu..%llu", (unsigned long long)min, (unsigned long long)max);
  }
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || text[digits] != '\0') {
    bool negative = text[0] == '-' && isdigit((unsigned char)text[1]);
    return adit_cli_error(error, "%s: %s; give %s", text, negative ? "out of range" : "not a whole number", range);
  }
  errno = 0;
  unsigned long long value = strtoull(text, NULL, 10);
  if (errno == ERANGE || value < min || value > max) {
    return adit_cli_error(error, "%s: out of range; give %s", text, range);
  }
  *field = value;
  return 0;
}

/* What the kernel accepts as a name (dev_valid_name in net/core/dev.c), and a single %d where it may choose a number. */
static int set_name(const struct adit_cli_option *row, const char *text, const char **field,
                    struct adit_cli_error *error) {
  bool may_number = row->offset == FIELD(dev);
  size_t length = strlen(text);
  if (length == 0) return adit_cli_error(error, "'': empty; give a name such as %s", row->example);
  if (length > 15) {
    return adit_cli_error(error, "%s: %zu bytes long; the name of an interface has at most 15, such as %s", text,
                          length, row->example);
  }
  for (const char *c = text; *c != '\0'; c++) {
    if (*c == '/' || *c == ':' || isspace((unsigned char)*c)) {
      return adit_cli_error(error, "%s: '%c' cannot be in the name of an interface; give one such as %s", text, *c,
                            row->example);
    }
  }
  if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0) {
    return adit_cli_error(error, "%s: not a name of an interface; give one such as %s", text, row->example);
  }
  const char *percent = strchr(text, '%');
  if (percent != NULL && (!may_number || percent[1] != 'd' || strchr(percent + 1, '%') != NULL)) {
    return adit_cli_error(error, "%s: %s; give a name such as %s", text,
                          may_number ? "'%' may stand there only once, as %d" : "'%' cannot be in this name",
                          row->example);
  }
  *field = text;
  return 0;
}

static int set_choice(const struct adit_cli_option *row, const char *text, int *field, struct adit_cli_error *error) {
  for (int i = 0; row->choices[i] != NULL; i++) {
    if (strcmp(text, row->choices[i]) == 0) {
      *field = i;
      return 0;
    }
  }
  adit_cli_error(error, "%s: unknown; give", text);
  for (int i = 0; row->choices[i] != NULL; i++) {
    adit_cli_error_add(error, "%s %s", i == 0 ? "" : row->choices[i + 1] == NULL ? " or" : ",", row->choices[i]);
  }
  return -EINVAL;
}

/* Why `text` is no network: say which half of it is wrong. */
static int explain_cidr(const struct adit_cli_option *row, const char *text, struct adit_cli_error *error) {
  const char *slash = strchr(text, '/');
  char address[ADIT_ADDRESS_TEXT];
  adit_ip ip;
  if (slash != NULL && (size_t)(slash - text) < sizeof address) {
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (adit_ip_parse(address, &ip) == 0) {
      return adit_cli_error(error, "%s: the prefix '%s' is not a number of bits; give %s/0..%d", text, slash + 1,
                            address, ip.version == 4 ? 32 : 128);
    }
  }
  const char *ipv6 = row->kind == ADIT_CLI_KIND_HOST ? "fdad:3::11/64" : "fdad:3::/64";
  return adit_cli_error(error, "%s: not an address with a prefix length; write it like %s or %s", text, row->example,
                        ipv6);
}

/* A host's address cannot be the first or the last of an IPv4 network: the kernel would take it and nobody reach it. */
static int check_host(const char *text, adit_cidr cidr, struct adit_cli_error *error) {
  static const adit_ip zero;
  if (memcmp(cidr.ip.bytes, zero.bytes, sizeof zero.bytes) == 0) {
    return adit_cli_error(error, "%s: the address that means none; give one of a host", text);
  }
  if (adit_ip_is_multicast(cidr.ip)) {
    return adit_cli_error(error, "%s: a multicast or broadcast address; give one of a host", text);
  }
  if (cidr.ip.version != 4 || cidr.prefix > 30) return 0;
  uint32_t ip = (uint32_t)cidr.ip.bytes[0] << 24 | (uint32_t)cidr.ip.bytes[1] << 16 | (uint32_t)cidr.ip.bytes[2] << 8 |
                cidr.ip.bytes[3];
  uint32_t host = ip & (UINT32_MAX >> cidr.prefix), all_ones = UINT32_MAX >> cidr.prefix;
  if (host != 0 && host != all_ones) return 0;
  uint32_t first = (ip & ~all_ones) + 1;
  uint8_t bytes[4] = {(uint8_t)(first >> 24), (uint8_t)(first >> 16), (uint8_t)(first >> 8), (uint8_t)first};
  char better[ADIT_ADDRESS_TEXT];
  adit_ip_format(adit_ip_from_bytes(4, bytes), better);
  return adit_cli_error(error, "%s: the %s address of that network; give a host's, such as %s/%u", text,
                        host == 0 ? "first" : "broadcast", better, (unsigned)cidr.prefix);
}

static int add_cidr(const struct adit_cli_option *row, const char *text, struct adit_cli_cidrs *list,
                    struct adit_cli_error *error) {
  adit_cidr cidr;
  if (adit_cidr_parse(text, &cidr) != 0) return explain_cidr(row, text, error);
  if (row->kind == ADIT_CLI_KIND_HOST && check_host(text, cidr, error) != 0) return -EINVAL;
  for (size_t i = 0; i < list->count; i++) {
    if (adit_ip_equal(list->item[i].ip, cidr.ip) && list->item[i].prefix == cidr.prefix) return 0;
  }
  if (list->count == ADIT_CLI_LIST) {
    return adit_cli_error(error, "%s: one too many; give at most %d", text, ADIT_CLI_LIST);
  }
  list->item[list->count++] = cidr;
  return 0;
}

int adit_cli_option_set(const struct adit_cli_command *command, enum adit_cli_option_id id, const char *text,
                        struct adit_cli_options *options, struct adit_cli_error *error) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  void *field = (char *)options + row->offset;
  int result = -EINVAL;
  switch (row->kind) {
  case ADIT_CLI_KIND_SET:
    result = set_flag(row, text, field, error);
    break;
  case ADIT_CLI_KIND_NUMBER:
    result = set_number(id == ADIT_CLI_MTU ? command->mtu_min : row->min, row->max, text, field, error);
    break;
  case ADIT_CLI_KIND_NAME:
    result = set_name(row, text, field, error);
    break;
  case ADIT_CLI_KIND_PATH:
    result = *text == '\0' ? adit_cli_error(error, "'': empty; give a file name such as %s", row->example) : 0;
    if (result == 0) *(const char **)field = text;
    break;
  case ADIT_CLI_KIND_CHOICE:
    result = set_choice(row, text, field, error);
    break;
  case ADIT_CLI_KIND_HOST:
  case ADIT_CLI_KIND_NETWORK:
    result = add_cidr(row, text, field, error);
    break;
  }
  if (result == 0) options->given |= ADIT_CLI_BIT(id);
  return result;
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

enum adit_cli_option_id adit_cli_option_find(const char *name) {
  unsigned id = 0;
  while (id < ADIT_CLI_OPTION_IDS && strcmp(name, adit_cli_option_table[id].name) != 0) id++;
  return (enum adit_cli_option_id)id;
}

bool adit_cli_given(const struct adit_cli_options *options, enum adit_cli_option_id id) {
  return (options->given & ADIT_CLI_BIT(id)) != 0;
}

/* One option: its forms in the left column, its help lines in the right one. */
static void print_row(const struct adit_cli_option *row, FILE *out) {
  enum { COLUMN = 24 };
  char forms[64];
  int width = snprintf(forms, sizeof forms, "  %c%c%c --%s%s%s", row->letter ? '-' : ' ',
                       row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
                       row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
  fprintf(out, "%s%*s", forms, width < COLUMN ? COLUMN - width : 1, "");
  for (const char *line = row->help; line != NULL;) {
    const char *end = strchr(line, '\n');
    fprintf(out, "%.*s\n", end != NULL ? (int)(end - line) : (int)strlen(line), line);
    if (end != NULL) fprintf(out, "%*s", COLUMN, "");
    line = end != NULL ? end + 1 : NULL;
  }
}

void adit_cli_options_help(const struct adit_cli_command *command, FILE *out) {
  for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    if (command->options & ADIT_CLI_BIT(id)) print_row(&adit_cli_option_table[id], out);
  }
}
