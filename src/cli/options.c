/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The option table and the help text made of it.
 *
 * Everything known of an option stands in its row. The command line (parse.c) and the file (config.c) both turn words into
 * rows and call adit_cli_option_set (values.c), so they accept the same values with the same messages. Options that store to one field
 * (--hex and --format, --verbose and --quiet) are one choice: the last on the command line counts, and a file does not
 * speak when the command line did.
 */
#include "cli/options.h"

#include "cli/commands.h"
#include "cli/suggest.h"
#include "relay/setting.h"

#include <adit/device.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {
    [ADIT_CLI_FORMAT_LINE] = "line", [ADIT_CLI_FORMAT_HEX] = "hex", [ADIT_CLI_FORMAT_DECIMAL] = "decimal", NULL};

static const char *const gathers[] = {
    [ADIT_GATHER_IF_FASTER] = "auto", [ADIT_GATHER_ALWAYS] = "always", [ADIT_GATHER_NEVER] = "never", NULL};

/* A day is longer than any time-out that helps somebody; sums in milliseconds fit 32 bits. */
enum { LONGEST = 86400 };

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
    [ADIT_CLI_NO_BIG_TCP] = {.name = "no-big-tcp",
                             .kind = ADIT_CLI_KIND_SET,
                             .offset = FIELD(no_big_tcp),
                             .value = 1,
                             .help = "no TCP packets larger than 64 KiB, for programs that look at\n"
                                     "packets and do not know them (see adit(1))"},
    [ADIT_CLI_IO_URING] = {.name = "io-uring",
                           .kind = ADIT_CLI_KIND_CHOICE,
                           .offset = FIELD(io_uring),
                           .argument = "WHEN",
                           .example = "never",
                           .choices = gathers,
                           .help = "read and write several packets with one system call: auto,\n"
                                   "where that is faster; always; never (default: auto)"},
    [ADIT_CLI_FAULT] = {.name = "fault",
                        .kind = ADIT_CLI_KIND_FAULT,
                        .offset = FIELD(fault),
                        .argument = "SPEC",
                        .example = "drop=1%,delay=20ms..80ms",
                        .help = "lose, delay and damage packets: drop, reorder, repeat, corrupt,\n"
                                "truncate=N%, delay=TIME[..TIME], seed=N, separated by commas;\n"
                                "in: or out: before one for one direction (see adit(1))"},
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
    [ADIT_CLI_UPSTREAM] = {.name = "upstream",
                           .letter = 'u',
                           .kind = ADIT_CLI_KIND_URL,
                           .offset = FIELD(upstream),
                           .argument = "URL",
                           .example = "socks5://127.0.0.1:1080",
                           .help = "the way out: direct://, reject://,\n"
                                   "socks5://[USER:PASSWORD@]HOST[:PORT] or\n"
                                   "http://[USER:PASSWORD@]HOST[:PORT] (default: direct://)"},
    [ADIT_CLI_ROUTE] = {.name = "route",
                        .kind = ADIT_CLI_KIND_ROUTE,
                        .offset = FIELD(route),
                        .argument = "CIDR",
                        .example = "203.0.113.0/24",
                        .help = "send this network into the device, or 'default' for all of\n"
                                "IPv4 and IPv6; what this machine routes more precisely\n"
                                "stays as it is; may be repeated"},
    [ADIT_CLI_BYPASS] = {.name = "bypass",
                         .kind = ADIT_CLI_KIND_NETWORK,
                         .offset = FIELD(bypass),
                         .argument = "CIDR",
                         .example = "198.51.100.0/24",
                         .help = "but not this network; may be repeated"},
    [ADIT_CLI_INTERFACE] = {.name = "interface",
                            .kind = ADIT_CLI_KIND_NAME,
                            .offset = FIELD(interface),
                            .argument = "NAME",
                            .example = "eth0",
                            .help = "interface through which the sockets of the relay go out"},
    [ADIT_CLI_MARK] = {.name = "mark",
                       .kind = ADIT_CLI_KIND_NUMBER,
                       .offset = FIELD(mark),
                       .argument = "N",
                       .example = "51820",
                       .min = 1,
                       .max = UINT32_MAX,
                       .help = "firewall mark of the sockets of the relay, which keeps them out\n"
                               "of the device (default with --route: 181469184, 0xad10000)"},
    [ADIT_CLI_FAIL_CLOSED] = {.name = "fail-closed",
                              .kind = ADIT_CLI_KIND_SET,
                              .offset = FIELD(fail_closed),
                              .value = 1,
                              .help = "what --route captures stays blocked when adit dies, until the\n"
                                      "next start or 'adit cleanup'"},
    [ADIT_CLI_DNS] = {.name = "dns",
                      .kind = ADIT_CLI_KIND_DNS,
                      .offset = FIELD(dns),
                      .argument = "MODE",
                      .example = "forward:9.9.9.9",
                      .help = "who answers questions on port 53: forward:ADDRESS[:PORT], this\n"
                              "server through the upstream; fake, adit itself, and the\n"
                              "upstream gets the name; off, whoever was asked"},
    [ADIT_CLI_DNS_CACHE] = {.name = "dns-cache",
                            .kind = ADIT_CLI_KIND_PATH,
                            .offset = FIELD(dns_cache),
                            .argument = "FILE",
                            .example = "/var/lib/adit/names",
                            .help = "with --dns fake: where names and addresses survive a restart"},
    [ADIT_CLI_UDP] = {.name = "udp",
                      .kind = ADIT_CLI_KIND_CHOICE,
                      .offset = FIELD(udp),
                      .argument = "MODE",
                      .example = "off",
                      .choices = adit_setting_udp,
                      .help = "on: relay datagrams where the upstream can; off: answer each\n"
                              "with port unreachable (default: on)"},
    [ADIT_CLI_ICMP] = {.name = "icmp",
                       .kind = ADIT_CLI_KIND_CHOICE,
                       .offset = FIELD(icmp),
                       .argument = "MODE",
                       .example = "reply",
                       .choices = adit_setting_icmp,
                       .help = "echo requests: reply, adit answers; relay, a real one goes out\n"
                               "(only direct://); off, no answer (default: relay with\n"
                               "direct://, reply otherwise)"},
    [ADIT_CLI_CONNECT_TIMEOUT] = {.name = "connect-timeout",
                                  .kind = ADIT_CLI_KIND_NUMBER,
                                  .offset = FIELD(connect_timeout),
                                  .argument = "SECONDS",
                                  .example = "5",
                                  .min = 1,
                                  .max = LONGEST,
                                  .help = "for connecting, the talk with a proxy included (default: 10)"},
    [ADIT_CLI_IDLE_TIMEOUT] = {.name = "idle-timeout",
                               .kind = ADIT_CLI_KIND_NUMBER,
                               .offset = FIELD(idle_timeout),
                               .argument = "SECONDS",
                               .example = "3600",
                               .min = 0,
                               .max = LONGEST,
                               .help = "after which a connection ends on which nothing moves; 0 = never\n"
                                       "(default: 7440)"},
    [ADIT_CLI_HALF_CLOSED_TIMEOUT] = {.name = "half-closed-timeout",
                                      .kind = ADIT_CLI_KIND_NUMBER,
                                      .offset = FIELD(half_closed_timeout),
                                      .argument = "SECONDS",
                                      .example = "60",
                                      .min = 1,
                                      .max = LONGEST,
                                      .help = "the same when one side has ended (default: 240)"},
    [ADIT_CLI_UDP_TIMEOUT] = {.name = "udp-timeout",
                              .kind = ADIT_CLI_KIND_NUMBER,
                              .offset = FIELD(udp_timeout),
                              .argument = "SECONDS",
                              .example = "30",
                              .min = 1,
                              .max = LONGEST,
                              .help = "after which a silent exchange of datagrams is forgotten\n"
                                      "(default: 60)"},
    [ADIT_CLI_MAX_FLOWS] = {.name = "max-flows",
                            .kind = ADIT_CLI_KIND_NUMBER,
                            .offset = FIELD(max_flows),
                            .argument = "N",
                            .example = "10000",
                            .min = 1,
                            .max = 16777216,
                            .help = "most connections at a time for each queue; one more is refused\n"
                                    "(default: 65536)"},
    [ADIT_CLI_MAX_UDP] = {.name = "max-udp",
                          .kind = ADIT_CLI_KIND_NUMBER,
                          .offset = FIELD(max_udp),
                          .argument = "N",
                          .example = "1000",
                          .min = 1,
                          .max = 16777216,
                          .help = "most senders of datagrams at a time for each queue; the one silent\n"
                                  "longest makes room for one more (default: 4096)"},
    [ADIT_CLI_MEMORY] = {.name = "memory",
                         .kind = ADIT_CLI_KIND_BYTES,
                         .offset = FIELD(memory),
                         .argument = "BYTES",
                         .example = "64M",
                         .min = UINT64_C(1) << 20,
                         .max = UINT64_C(1) << 40,
                         .help = "most memory for connections and their data for each queue, with\n"
                                 "K, M or G behind it for units of 1024 (default: 256M)"},
    [ADIT_CLI_CONTROL] = {.name = "control",
                          .kind = ADIT_CLI_KIND_PATH,
                          .offset = FIELD(control),
                          .argument = "PATH",
                          .example = "/run/adit/adit0.sock",
                          .help = "socket through which a running adit is asked ('adit stat'); off\n"
                                  "for none (default: /run/adit/DEV.sock for root,\n"
                                  "$XDG_RUNTIME_DIR/adit/DEV.sock for others)"},
    [ADIT_CLI_JSON] = {.name = "json",
                       .kind = ADIT_CLI_KIND_SET,
                       .offset = FIELD(json),
                       .value = 1,
                       .help = "print the answer as it came, one line of JSON"},
    [ADIT_CLI_WATCH] = {.name = "watch",
                        .kind = ADIT_CLI_KIND_NUMBER,
                        .offset = FIELD(watch),
                        .argument = "SECONDS",
                        .example = "1",
                        .min = 1,
                        .max = LONGEST,
                        .help = "ask again and again, and print rates"},
    [ADIT_CLI_USER] = {.name = "user",
                       .kind = ADIT_CLI_KIND_USER,
                       .offset = FIELD(user),
                       .argument = "NAME",
                       .example = "nobody",
                       .help = "become this user when the device is open, its group with it"},
    [ADIT_CLI_NO_SANDBOX] = {.name = "no-sandbox",
                             .kind = ADIT_CLI_KIND_SET,
                             .offset = FIELD(no_sandbox),
                             .value = 1,
                             .help = "keep all rights while running, for debuggers"},
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
static_assert(ADIT_CLI_OPTION_IDS <= 64, "a bit each in a set");

/* ---- messages --------------------------------------------------------------------------------------------------- */

/* Messages quote what somebody wrote in a file or on the command line: a terminal must not obey it. */
static void defuse(char *text) {
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

int adit_cli_error(struct adit_cli_error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  defuse(error->text);
  return -EINVAL;
}

void adit_cli_error_add(struct adit_cli_error *error, const char *format, ...) {
  size_t used = strlen(error->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text + used, sizeof error->text - used, format, arguments);
  va_end(arguments);
  defuse(error->text + used);
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

/* ---- questions -------------------------------------------------------------------------------------------------- */

enum adit_cli_option_id adit_cli_option_find(const char *name) {
  unsigned id = 0;
  while (id < ADIT_CLI_OPTION_IDS && strcmp(name, adit_cli_option_table[id].name) != 0) id++;
  return (enum adit_cli_option_id)id;
}

bool adit_cli_given(const struct adit_cli_options *options, enum adit_cli_option_id id) {
  return (options->given & ADIT_CLI_BIT(id)) != 0;
}

static bool same_text(const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_cidrs(const struct adit_cli_cidrs *a, const struct adit_cli_cidrs *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (!adit_ip_equal(a->item[i].ip, b->item[i].ip) || a->item[i].prefix != b->item[i].prefix) return false;
  }
  return true;
}

static bool same_dns(const struct adit_cli_dns *a, const struct adit_cli_dns *b) {
  if (a->mode != b->mode) return false;
  return a->mode != ADIT_CLI_DNS_FORWARD ||
         (a->server.port == b->server.port && adit_ip_equal(a->server.ip, b->server.ip));
}

/* A number that may be 0 is another one when nobody gave it. */
static bool same_number(const struct adit_cli_options *a, const struct adit_cli_options *b, unsigned id) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  bool given = adit_cli_given(a, (enum adit_cli_option_id)id), given_b = adit_cli_given(b, (enum adit_cli_option_id)id);
  const void *in_a = (const char *)a + row->offset, *in_b = (const char *)b + row->offset;
  return *(const uint64_t *)in_a == *(const uint64_t *)in_b && (row->min > 0 || given == given_b);
}

static bool same_value(const struct adit_cli_options *a, const struct adit_cli_options *b, unsigned id) {
  const struct adit_cli_option *row = &adit_cli_option_table[id];
  const void *in_a = (const char *)a + row->offset, *in_b = (const char *)b + row->offset;
  switch (row->kind) {
  case ADIT_CLI_KIND_SET:
  case ADIT_CLI_KIND_CHOICE:
    return *(const int *)in_a == *(const int *)in_b;
  case ADIT_CLI_KIND_NUMBER:
  case ADIT_CLI_KIND_BYTES:
    return same_number(a, b, id);
  case ADIT_CLI_KIND_NAME:
  case ADIT_CLI_KIND_PATH:
  case ADIT_CLI_KIND_URL:
  case ADIT_CLI_KIND_USER:
    return same_text(*(const char *const *)in_a, *(const char *const *)in_b);
  case ADIT_CLI_KIND_HOST:
  case ADIT_CLI_KIND_NETWORK:
  case ADIT_CLI_KIND_ROUTE:
    return same_cidrs(in_a, in_b);
  case ADIT_CLI_KIND_DNS:
    return same_dns(in_a, in_b);
  case ADIT_CLI_KIND_FAULT:
    return memcmp(in_a, in_b, sizeof a->fault) == 0;
  }
  return true;
}

uint64_t adit_cli_options_differ(const struct adit_cli_options *a, const struct adit_cli_options *b) {
  uint64_t differ = 0;
  for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    if (!(a->command->options & ADIT_CLI_BIT(id)) || same_value(a, b, id)) continue;
    unsigned first = 0;
    while (adit_cli_option_table[first].offset != adit_cli_option_table[id].offset ||
           !(a->command->options & ADIT_CLI_BIT(first)))
      first++;
    differ |= ADIT_CLI_BIT(first);
  }
  return differ;
}

/* One option: its forms in the left column, its help lines in the right one. */
static void print_row(const struct adit_cli_option *row, FILE *out) {
  enum { COLUMN = 24 };
  char forms[64];
  int width = snprintf(forms, sizeof forms, "  %c%c%c --%s%s%s", row->letter ? '-' : ' ',
                       row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
                       row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
  if (width >= COLUMN) {
    fprintf(out, "%s\n", forms);
    width = 0;
    forms[0] = '\0';
  }
  fprintf(out, "%s%*s", forms, COLUMN - width, "");
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
