/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The option parser: values, messages, and what a file may say beside the command line.
 */
#include "cli/commands.h"
#include "cli/suggest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS = 40 };

/* A command line, parsed. `words` are kept because the options refer to them. */
struct parsed {
  struct adit_cli_options options;
  struct adit_cli_error error;
  int result;
  char *line;
  char *words[WORDS];
};

static const struct adit_cli_command *command_named(const char *name) {
  const struct adit_cli_command *command = adit_cli_commands;
  while (strcmp(command->name, name) != 0) command++;
  return command;
}

/* Parse "COMMAND WORD WORD...", split at blanks. */
static struct parsed *parse(const char *line) {
  struct parsed *parsed = calloc(1, sizeof *parsed);
  assert_non_null(parsed);
  parsed->line = strdup(line);
  assert_non_null(parsed->line);
  int count = 0;
  for (char *rest = parsed->line, *word; (word = strsep(&rest, " ")) != NULL;) {
    assert_in_range(count, 0, WORDS - 2);
    parsed->words[count++] = word;
  }
  parsed->result = adit_cli_options_parse(command_named(parsed->words[0]), count, parsed->words, &parsed->options,
                                          &parsed->error);
  return parsed;
}

static struct parsed *parse_well(const char *line) {
  struct parsed *parsed = parse(line);
  if (parsed->result != 0) fail_msg("'%s': expected 0, found %d: %s", line, parsed->result, parsed->error.text);
  return parsed;
}

static void forget(struct parsed *parsed) {
  adit_cli_options_free(&parsed->options);
  free(parsed->line);
  free(parsed);
}

static void check_refused(const char *line, int error, const char *message) {
  struct parsed *parsed = parse(line);
  if (parsed->result != error || strstr(parsed->error.text, message) == NULL) {
    fail_msg("'%s'\n  expected: %d, ...%s...\n  found:    %d, %s", line, error, message, parsed->result,
             parsed->error.text);
  }
  forget(parsed);
}

static void check_list(const struct adit_cli_cidrs *list, const char *expected) {
  char found[1024] = "", text[ADIT_ADDRESS_TEXT];
  for (size_t i = 0; i < list->count; i++) {
    strcat(strcat(found, i > 0 ? " " : ""), adit_cidr_format(list->item[i], text));
  }
  assert_string_equal(found, expected);
}

/* ---- command line ----------------------------------------------------------------------------------------------- */

static void test_defaults(void **state) {
  (void)state;
  struct parsed *p = parse_well("serve");
  assert_null(p->options.dev);
  assert_null(p->options.bridge);
  assert_int_equal(p->options.mtu, 0);
  assert_int_equal(p->options.queues, 1);
  assert_int_equal(p->options.count, 0);
  assert_int_equal(p->options.tap, 0);
  assert_int_equal(p->options.offload, ADIT_CLI_OFFLOAD_DEFAULT);
  assert_int_equal(p->options.format, ADIT_CLI_FORMAT_LINE);
  assert_int_equal(p->options.address.count, 0);
  assert_int_equal(p->options.given, 0);
  forget(p);
}

static void test_everything(void **state) {
  (void)state;
  struct parsed *p = parse_well("serve --dev adit0 --tap --bridge br0 --address 10.0.0.1/8 --address=fd00::1/64 "
                                "--answer 10.0.0.0/24 --answer ::/0 --mtu 9000 --queues 4 --no-offload -v");
  assert_string_equal(p->options.dev, "adit0");
  assert_string_equal(p->options.bridge, "br0");
  assert_int_equal(p->options.tap, 1);
  check_list(&p->options.address, "10.0.0.1/8 fd00::1/64");
  check_list(&p->options.answer, "10.0.0.0/24 ::/0");
  assert_int_equal(p->options.mtu, 9000);
  assert_int_equal(p->options.queues, 4);
  assert_int_equal(p->options.offload, ADIT_CLI_OFFLOAD_OFF);
  assert_int_equal(p->options.verbosity, 1);
  assert_true(adit_cli_given(&p->options, ADIT_CLI_QUEUES));
  assert_false(adit_cli_given(&p->options, ADIT_CLI_FD));
  forget(p);

  p = parse_well("replay -o out.pcap in.pcap --mtu 1400");
  assert_string_equal(p->options.out, "out.pcap");
  assert_int_equal(p->options.operand_count, 1);
  assert_string_equal(p->options.operands[0], "in.pcap");
  forget(p);

  p = parse_well("reflect --fault drop=1%,in:delay=20ms,seed=7");
  assert_true(adit_cli_given(&p->options, ADIT_CLI_FAULT));
  assert_int_equal(p->options.fault.side[ADIT_FAULT_IN].chance[ADIT_FAULT_DROP], 10000);
  assert_int_equal(p->options.fault.side[ADIT_FAULT_IN].delay_most_ns, 20000000);
  assert_int_equal(p->options.fault.side[ADIT_FAULT_OUT].delay_most_ns, 0);
  assert_int_equal(p->options.fault.seed, 7);
  forget(p);

  p = parse_well("dump --fd 0 -c 18446744073709551615 --format=decimal -q");
  assert_true(adit_cli_given(&p->options, ADIT_CLI_FD));
  assert_int_equal(p->options.fd, 0);
  assert_true(p->options.count == UINT64_MAX);
  assert_int_equal(p->options.format, ADIT_CLI_FORMAT_DECIMAL);
  assert_int_equal(p->options.verbosity, -1);
  forget(p);

  p = parse_well(
      "proxy -u socks5://u:p@[::1]:1080 --route default --route 203.0.113.9/24 --bypass 198.51.100.0/24 --mark 7 "
      "--interface eth0 --fail-closed --dns forward:9.9.9.9 --udp off --icmp reply --connect-timeout 5 "
      "--idle-timeout 0 --half-closed-timeout 6 --udp-timeout 8 --max-flows 9 --memory 64m");
  assert_string_equal(p->options.upstream, "socks5://u:p@[::1]:1080");
  check_list(&p->options.route, "0.0.0.0/0 ::/0 203.0.113.9/24");
  check_list(&p->options.bypass, "198.51.100.0/24");
  assert_int_equal(p->options.mark, 7);
  assert_string_equal(p->options.interface, "eth0");
  assert_int_equal(p->options.fail_closed, 1);
  assert_int_equal(p->options.udp, ADIT_CLI_UDP_OFF);
  assert_int_equal(p->options.icmp, ADIT_CLI_ICMP_REPLY);
  assert_int_equal(p->options.connect_timeout, 5);
  assert_int_equal(p->options.idle_timeout, 0);
  assert_true(adit_cli_given(&p->options, ADIT_CLI_IDLE_TIMEOUT));
  assert_int_equal(p->options.half_closed_timeout, 6);
  assert_int_equal(p->options.udp_timeout, 8);
  assert_int_equal(p->options.max_flows, 9);
  assert_int_equal(p->options.memory, 64 << 20);
  forget(p);
}

static void test_dns(void **state) {
  (void)state;
  static const struct {
    const char *line;
    enum adit_cli_dns_mode mode;
    const char *server;
  } cases[] = {
      {"proxy", ADIT_CLI_DNS_DEFAULT, NULL},
      {"proxy --dns off", ADIT_CLI_DNS_OFF, NULL},
      {"proxy --dns fake --dns-cache names", ADIT_CLI_DNS_FAKE, NULL},
      {"proxy --dns forward:9.9.9.9", ADIT_CLI_DNS_FORWARD, "9.9.9.9:53"},
      {"proxy --dns forward:9.9.9.9:5353", ADIT_CLI_DNS_FORWARD, "9.9.9.9:5353"},
      {"proxy --dns forward:2620:fe::fe", ADIT_CLI_DNS_FORWARD, "[2620:fe::fe]:53"},
      {"proxy --dns forward:[2620:fe::fe]", ADIT_CLI_DNS_FORWARD, "[2620:fe::fe]:53"},
      {"proxy --dns forward:[2620:fe::fe]:65535", ADIT_CLI_DNS_FORWARD, "[2620:fe::fe]:65535"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct parsed *p = parse_well(cases[i].line);
    char text[ADIT_ADDRESS_TEXT];
    if (p->options.dns.mode != cases[i].mode) {
      fail_msg("'%s': expected mode %d, found %d", cases[i].line, (int)cases[i].mode, (int)p->options.dns.mode);
    }
    if (cases[i].server != NULL) {
      assert_string_equal(adit_endpoint_format(p->options.dns.server, text), cases[i].server);
    }
    forget(p);
  }
}

/* What stands behind the name of a command that is to be run is the command's, options too. */
static void test_command_of_run(void **state) {
  (void)state;
  static const char *const lines[] = {"run curl -v --mtu x", "run -- curl -v --mtu x",
                                      "run -q --mtu 1400 curl -v --mtu x"};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    struct parsed *p = parse_well(lines[i]);
    assert_int_equal(p->options.operand_count, 4);
    assert_string_equal(p->options.operands[0], "curl");
    assert_string_equal(p->options.operands[3], "x");
    assert_null(p->options.operands[4]);
    assert_int_equal(p->options.verbosity, i == 2 ? -1 : 0);
    forget(p);
  }
}

static void test_last_of_one_field_counts(void **state) {
  (void)state;
  static const struct {
    const char *line;
    int format;
  } cases[] = {
      {"dump -x", ADIT_CLI_FORMAT_HEX},
      {"dump --hex --format=line", ADIT_CLI_FORMAT_LINE},
      {"dump --format line -x", ADIT_CLI_FORMAT_HEX},
      {"dump --format hex --format decimal", ADIT_CLI_FORMAT_DECIMAL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct parsed *p = parse_well(cases[i].line);
    if (p->options.format != cases[i].format) {
      fail_msg("'%s': expected format %d, found %d", cases[i].line, cases[i].format, p->options.format);
    }
    forget(p);
  }
}

static void test_help_before_all_checks(void **state) {
  (void)state;
  struct parsed *p = parse_well("replay --help");
  assert_int_equal(p->options.help, 1);
  forget(p);
}

static void test_same_address_once(void **state) {
  (void)state;
  struct parsed *p = parse_well("dump --address 10.0.0.1/8 --address 10.0.0.1/8 --address 10.0.0.1/9");
  check_list(&p->options.address, "10.0.0.1/8 10.0.0.1/9");
  forget(p);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *line;
    const char *message;
  } cases[] = {
      {"dump --mtu 70000", "--mtu 70000: out of range; give 68..65535"},
      {"dump --mtu 67", "--mtu 67: out of range; give 68..65535"},
      {"serve --mtu 575", "--mtu 575: out of range; give 576..65535"},
      {"dump --mtu -5", "--mtu -5: out of range; give 68..65535"},
      {"dump --mtu 99999999999999999999999", "out of range; give 68..65535"},
      {"dump --mtu 1e3", "--mtu 1e3: not a whole number; give 68..65535"},
      {"dump --mtu=", "not a whole number"},
      {"dump --tap --mtu 65522", "--mtu 65522: out of range for a TAP device; give 68..65521"},
      {"dump --mtu 1279 --address fd00::1/64", "--mtu 1279: too small for the address fd00::1/64; IPv6 needs 1280"},
      {"serve --queues 0", "--queues 0: out of range; give 1..256"},
      {"serve --queues 257", "--queues 257: out of range; give 1..256"},
      {"dump --count 0", "--count 0: out of range; give 1 or more"},
      {"dump --mtu", "--mtu: its argument is missing; write --mtu N, for example --mtu 1400"},
      {"replay -o", "--out: its argument is missing; write --out OUT.pcap"},
      {"dump --dev --tap", "--dev: its argument is missing; write --dev NAME, for example --dev adit0 ('--tap' is"},
      {"dump --tap=yes", "--tap=yes: --tap takes no argument"},
      {"dump --dev sixteen-bytes-xx", "--dev sixteen-bytes-xx: 16 bytes long; the name of an interface has at most 15"},
      {"dump --dev a/b", "'/' cannot be in the name"},
      {"dump --dev a:b", "':' cannot be in the name"},
      {"dump --dev ..", "not a name of an interface"},
      {"dump --dev=", "empty; give a name such as adit0"},
      {"dump --dev x%dy%d", "'%' may stand there only once, as %d"},
      {"dump --dev x%s", "'%' may stand there only once, as %d"},
      {"dump --tap --bridge br%d", "'%' cannot be in this name"},
      {"dump --bridge br0", "--bridge br0: a bridge takes Ethernet frames only; add --tap"},
      {"dump --address 10.0.0.1/33", "the prefix '33' is not a number of bits; give 10.0.0.1/0..32"},
      {"dump --address fd00::1/129", "give fd00::1/0..128"},
      {"dump --address 10.0.0.1/", "the prefix '' is not"},
      {"dump --address 10.0.0.256/8", "not an address with a prefix length; write it like 192.168.3.11/24 or"},
      {"dump --address 10.0.0.0/24", "the first address of that network; give a host's, such as 10.0.0.1/24"},
      {"dump --address 10.0.0.255/24", "the broadcast address of that network; give a host's, such as 10.0.0.1/24"},
      {"dump --address 224.0.0.1/4", "a multicast or broadcast address"},
      {"dump --address 0.0.0.0/0", "the address that means none"},
      {"serve --answer nonsense", "--answer nonsense: not an address with a prefix length"},
      {"dump --format xml", "--format xml: unknown; give line, hex or decimal"},
      {"dump --swap", "--swap: unknown option; it belongs to 'adit reflect' (see 'adit dump --help')"},
      {"dump --queues 2", "it belongs to 'adit serve'"},
      {"replay --tap x.pcap", "it belongs to 'adit serve', 'adit dump', 'adit reflect'"},
      {"dump --mut 3", "--mut: unknown option; did you mean --mtu?"},
      {"dump --adress 3", "--adress: unknown option; did you mean --address?"},
      {"dump --zzz", "--zzz: unknown option (see 'adit dump --help')"},
      {"dump -z", "-z: unknown option (see"},
      {"dump -xz", "-z: unknown option (see"},
      {"dump -o x", "-o: unknown option; it belongs to 'adit replay'"},
      {"serve --a 1", "--a: may be more than one option; write it out: --address --answer"},
      {"dump stray", "stray: one argument too many"},
      {"replay", "IN.pcap is missing; give the capture to replay"},
      {"replay a.pcap b.pcap", "b.pcap: one argument too many"},
      {"dump --fd 3 --dev x", "--dev: was settled by whoever opened the device of --fd"},
      {"serve --fd 3 --queues 2", "--queues: was settled by"},
      {"dump --fd 2147483648", "--fd 2147483648: out of range"},
      {"proxy --dns forward:", "the server is not an address, perhaps with a port"},
      {"proxy --dns forward:dns.example", "the server is not an address"},
      {"proxy --dns forward:9.9.9.9:0", "the server is not an address"},
      {"proxy --dns forward:9.9.9.9:65536", "the server is not an address"},
      {"proxy --dns forward:9.9.9.9:", "the server is not an address"},
      {"proxy --dns forward:[9.9.9.9]:53", "the server is not an address"},
      {"proxy --dns forward:[::1", "the server is not an address"},
      {"proxy --dns on", "--dns on: unknown; give forward:ADDRESS, fake or off"},
      {"proxy --dns-cache names", "--dns-cache names: only names of --dns fake are kept"},
      {"proxy --memory 1023K", "--memory 1023K: out of range; give 1M..1024G"},
      {"proxy --memory 1025G", "out of range"},
      {"proxy --memory 99999999999999999999", "out of range"},
      {"proxy --memory 64Q", "--memory 64Q: not a number of bytes; give one such as 64M"},
      {"proxy --memory 64MB", "not a number of bytes"},
      {"proxy --mark 0", "--mark 0: out of range"},
      {"proxy --connect-timeout 86401", "out of range; give 1..86400"},
      {"proxy --udp maybe", "--udp maybe: unknown; give on or off"},
      {"proxy --route nowhere", "write it like 203.0.113.0/24, default or"},
      {"proxy --bypass 10.0.0.0/8", "--bypass: nothing is captured; add --route"},
      {"proxy --fail-closed", "--fail-closed: nothing is captured; add --route"},
      {"proxy --route default --mtu 1279", "--mtu 1279: too small to capture IPv6"},
      {"run", "COMMAND [ARG]... is missing; give the command to run"},
      {"run --", "COMMAND [ARG]... is missing"},
      {"serve --fault drop=5", "--fault drop=5: '5' is no chance for drop; give 0%..100%"},
      {"run --fault delay -- true", "--fault delay: 'delay' is no item; write NAME=VALUE"},
      {"dump --offload --fault drop=1%", "--fault: faults act on packets as they are on a wire"},
      {"replay --fault drop=1% x.pcap", "--fault: unknown option; it belongs to"},
      {"run --tap -- true", "--tap: unknown option; it belongs to"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    check_refused(cases[i].line, -EINVAL, cases[i].message);
  }
}

/* What is said of an upstream does not show the password in it. */
static void test_password_is_not_shown(void **state) {
  (void)state;
  static const char *const lines[] = {"proxy --upstream socks5://user:hunter2@",
                                      "proxy --upstream ftp://user:hunter2@host",
                                      "proxy --upstream socks5://user:hunter2@host:99999"};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    struct parsed *p = parse(lines[i]);
    if (p->result != -EINVAL || strstr(p->error.text, "hunter2") != NULL ||
        strstr(p->error.text, "--upstream: ") == NULL) {
      fail_msg("'%s': expected %d and no password, found %d, %s", lines[i], -EINVAL, p->result, p->error.text);
    }
    forget(p);
  }
}

static void test_edges_accepted(void **state) {
  (void)state;
  static const char *const lines[] = {
      "dump --mtu 68",
      "dump --mtu 65535",
      "dump --tap --mtu 65521",
      "dump --dev fifteen-bytes-x",
      "proxy --memory 1M",
      "proxy --memory 1024G",
      "proxy --route 0.0.0.0/0 --mtu 1279",
      "dump --dev x%d",
      "serve --queues 256",
      "dump --address 10.0.0.0/31",
      "dump --address 10.0.0.1/32",
      "dump --address 10.0.0.1",
      "dump --address fd00::/64",
      "serve --fd 3 --queues 1",
      "dump --fd 3 --bridge br0",
  };
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) forget(parse_well(lines[i]));
}

static void test_too_many_addresses(void **state) {
  (void)state;
  const struct adit_cli_command *command = command_named("dump");
  struct adit_cli_options options = {.command = command};
  struct adit_cli_error error;
  char text[ADIT_CLI_LIST + 1][32];
  for (int i = 0; i <= ADIT_CLI_LIST; i++) {
    snprintf(text[i], sizeof text[i], "10.0.%d.1/24", i);
    int result = adit_cli_option_set(command, ADIT_CLI_ADDRESS, text[i], &options, &error);
    assert_int_equal(result, i < ADIT_CLI_LIST ? 0 : -EINVAL);
  }
  assert_string_equal(error.text, "10.0.64.1/24: one too many; give at most 64");
}

/* ---- file ------------------------------------------------------------------------------------------------------- */

static char config_path[] = "/tmp/adit-options-XXXXXX";

static int make_config(void **state) {
  (void)state;
  int fd = mkstemp(config_path);
  return fd < 0 ? -1 : close(fd);
}

static int remove_config(void **state) {
  (void)state;
  return unlink(config_path);
}

static void write_config(const char *text, size_t length) {
  FILE *file = fopen(config_path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, length, file), length);
  assert_int_equal(fclose(file), 0);
}

/* Parse "COMMAND --config FILE MORE" with that content. */
static struct parsed *parse_config(const char *command, const char *content, const char *more) {
  char line[512];
  write_config(content, strlen(content));
  snprintf(line, sizeof line, "%s --config %s%s%s", command, config_path, *more != '\0' ? " " : "", more);
  return parse(line);
}

/* The same command line, and the file as it is now; `differ` is what the two have otherwise. */
static void test_again(void **state) {
  (void)state;
  static const struct {
    const char *content; /* instead of "mtu: 1400", "upstream: direct://", "idle-timeout: 5" */
    uint64_t differ;
  } cases[] = {
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\n", 0},
      {"mtu: 1300\nupstream: direct://\nidle-timeout: 5\n", ADIT_CLI_BIT(ADIT_CLI_MTU)},
      {"mtu: 1400\nupstream: reject://\nidle-timeout: 5\n", ADIT_CLI_BIT(ADIT_CLI_UPSTREAM)},
      {"mtu: 1400\nidle-timeout: 5\n", ADIT_CLI_BIT(ADIT_CLI_UPSTREAM)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 0\n", ADIT_CLI_BIT(ADIT_CLI_IDLE_TIMEOUT)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\nudp: off\ndns: fake\n",
       ADIT_CLI_BIT(ADIT_CLI_UDP) | ADIT_CLI_BIT(ADIT_CLI_DNS)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\ndns: forward:192.0.2.1\n", ADIT_CLI_BIT(ADIT_CLI_DNS)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\nanswer: [10.0.0.0/8, 10.1.0.0/16]\n",
       ADIT_CLI_BIT(ADIT_CLI_ANSWER)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\nverbose: true\nno-offload: true\n",
       ADIT_CLI_BIT(ADIT_CLI_VERBOSE) | ADIT_CLI_BIT(ADIT_CLI_NO_OFFLOAD)},
      {"mtu: 1400\nupstream: direct://\nidle-timeout: 5\nmax-flows: 9\n", 0}, /* the command line counts more */
  };
  struct parsed *p = parse_config("proxy", "mtu: 1400\nupstream: direct://\nidle-timeout: 5\n",
                                  "--max-flows 7 --dev a0");
  assert_int_equal(p->result, 0);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_cli_options again;
    struct adit_cli_error error;
    write_config(cases[i].content, strlen(cases[i].content));
    if (adit_cli_options_again(&p->options, &again, &error) != 0) fail_msg("%s: %s", cases[i].content, error.text);
    uint64_t differ = adit_cli_options_differ(&p->options, &again);
    if (differ != cases[i].differ)
      fail_msg("%s: expected %#llx, found %#llx", cases[i].content, (unsigned long long)cases[i].differ,
               (unsigned long long)differ);
    assert_int_equal(again.max_flows, 7);
    assert_string_equal(again.dev, "a0");
    adit_cli_options_free(&again);
  }
  struct adit_cli_options wrong;
  struct adit_cli_error error;
  write_config("mtu: 1", 6);
  assert_int_equal(adit_cli_options_again(&p->options, &wrong, &error), -EINVAL);
  assert_non_null(strstr(error.text, "out of range"));
  adit_cli_options_free(&wrong);
  assert_int_equal(p->options.mtu, 1400);
  forget(p);
}

static void test_config(void **state) {
  (void)state;
  struct parsed *p = parse_config("serve",
                                  "# a comment\ndev: adit7\ntap: yes\nbridge: 'br0'\nmtu: 1400\nqueues: 2\n"
                                  "address:\n  - 10.0.0.1/24\n  - fd00::1/64\nanswer: 10.0.0.0/24\nno-offload: true\n",
                                  "");
  assert_string_equal(p->error.text, "");
  assert_int_equal(p->result, 0);
  assert_string_equal(p->options.dev, "adit7");
  assert_string_equal(p->options.bridge, "br0");
  assert_int_equal(p->options.tap, 1);
  assert_int_equal(p->options.mtu, 1400);
  assert_int_equal(p->options.queues, 2);
  assert_int_equal(p->options.offload, ADIT_CLI_OFFLOAD_OFF);
  check_list(&p->options.address, "10.0.0.1/24 fd00::1/64");
  check_list(&p->options.answer, "10.0.0.0/24");
  forget(p);
}

static void test_command_line_beats_config(void **state) {
  (void)state;
  struct parsed *p = parse_config("dump", "dev: adit7\nmtu: 1400\nformat: hex\naddress: [10.0.0.1/24]\nquiet: true\n",
                                  "--mtu 1300 --format=decimal --address 10.1.0.1/24 -v");
  assert_string_equal(p->error.text, "");
  assert_string_equal(p->options.dev, "adit7");
  assert_int_equal(p->options.mtu, 1300);
  assert_int_equal(p->options.format, ADIT_CLI_FORMAT_DECIMAL);
  assert_int_equal(p->options.verbosity, 1);
  check_list(&p->options.address, "10.1.0.1/24");
  forget(p);

  p = parse_config("dump", "format: decimal\n", "-x"); /* another name of the same field */
  assert_int_equal(p->result, 0);
  assert_int_equal(p->options.format, ADIT_CLI_FORMAT_HEX);
  forget(p);

  p = parse_config("dump", "hex: false\ntap: no\n", "");
  assert_int_equal(p->result, 0);
  assert_int_equal(p->options.format, ADIT_CLI_FORMAT_LINE);
  assert_int_equal(p->options.tap, 0);
  forget(p);
}

static void test_config_empty(void **state) {
  (void)state;
  static const char *const contents[] = {"", "# nothing\n", "{}\n", "---\n{}\n...\n"};
  for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
    struct parsed *p = parse_config("dump", contents[i], "");
    if (p->result != 0) fail_msg("'%s': expected 0, found %d: %s", contents[i], p->result, p->error.text);
    forget(p);
  }
}

static void test_config_refused(void **state) {
  (void)state;
  static const struct {
    const char *content;
    const char *more;
    const char *message; /* behind the name of the file */
  } cases[] = {
      {"dev: adit0\nmtu: 70000\n", "", ":2: mtu: 70000: out of range; give 68..65535"},
      {"mtu: 70000\n", "--mtu 1400", ":1: mtu: 70000: out of range; give 68..65535"},
      {"\n\nmut: 3\n", "", ":3: mut: unknown key for 'adit dump'; did you mean mtu?; allowed are: dev, tap,"},
      {"swap: true\n", "", ":1: swap: unknown key for 'adit dump'; it belongs to 'adit reflect'; allowed are: dev"},
      {"config: x\n", "", ":1: config: only for the command line"},
      {"mtu: [1400]\n", "", ":1: mtu: a list; give a whole number, for example 'mtu: 1400'"},
      {"mtu: {a: 1}\n", "", ":1: mtu: a mapping of keys; give a whole number"},
      {"mtu:\n", "", ":1: mtu: there is no value; give a whole number"},
      {"mtu: ~\n", "", ":1: mtu: there is no value"},
      {"mtu: many\n", "", ":1: mtu: many: not a whole number"},
      {"tap: perhaps\n", "", ":1: tap: perhaps: neither yes nor no; give true or false"},
      {"tap: [true]\n", "", ":1: tap: a list; give true or false"},
      {"address: []\n", "", ":1: address: an empty list; give an address with a prefix length, or a list"},
      {"address:\n  - 10.0.0.1/24\n  - [a]\n", "", ":3: address: a list of something else"},
      {"address:\n  - 10.0.0.1/24\n  - nonsense\n", "", ":3: address: nonsense: not an address"},
      {"mtu: 1400\nmtu: 1300\n", "", ":2: mtu: given twice; keep one"},
      {"mtu: &a 1400\ncount: *a\n", "", ":2: count: a YAML alias; give a whole number"},
      {"dev: \"a\\0b\"\n", "", ":1: dev: a text with a zero byte in it"},
      {"- mtu\n", "", ":1: not a mapping; write one 'key: value' a line"},
      {"mtu\n", "", ":1: not a mapping"},
      {"[a]: b\n", "", ":1: a key that is not a word"},
      {"mtu: 1400\n\tdev: x\n", "", ":2: not YAML"},
      {"dev: 'x\n", "", ":2: not YAML"},
      {"\"a\\n\\e[31m\": 1\n", "", ":1: a??[31m: unknown key"}, /* nothing that a terminal would obey */
      {"mtu: 1400\n---\nmtu: 1300\n", "", ":2: a second document"},
      {"\xff\xff\xff", "", ": not text at byte"},
      {"format: xml\n", "", ":1: format: xml: unknown; give line, hex or decimal"},
      {"tap: true\nmtu: 65530\n", "", "65530: out of range for a TAP device"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct parsed *p = parse_config("dump", cases[i].content, cases[i].more);
    const char *found = strstr(p->error.text, cases[i].message);
    if (p->result != -EINVAL || found == NULL || strstr(p->error.text, config_path) == NULL) {
      fail_msg("'%s'\n  expected: %d, %s%s\n  found:    %d, %s", cases[i].content, -EINVAL, config_path,
               cases[i].message, p->result, p->error.text);
    }
    forget(p);
  }
}

static void test_config_unreadable(void **state) {
  (void)state;
  check_refused("dump --config /nonexistent/adit.yaml", -ENOENT,
                "--config /nonexistent/adit.yaml: cannot be read: No such file or directory");
  check_refused("dump --config /tmp", -EIO, "--config /tmp: cannot be read; give a regular file");
  check_refused("dump --config=", -EINVAL, "empty; give a file name such as adit.yaml");
}

/* ---- table and suggestions -------------------------------------------------------------------------------------- */

static void test_table(void **state) {
  (void)state;
  for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    const struct adit_cli_option *row = &adit_cli_option_table[id];
    assert_non_null(row->name);
    assert_non_null(row->help);
    assert_int_equal(adit_cli_option_find(row->name), id);
    if ((row->argument == NULL) != (row->kind == ADIT_CLI_KIND_SET) ||
        (row->argument == NULL) != (row->example == NULL)) {
      fail_msg("%s: argument, example and kind do not agree", row->name);
    }
    for (unsigned other = 0; other < id; other++) {
      if (row->letter != 0 && row->letter == adit_cli_option_table[other].letter) {
        fail_msg("%s and %s share the letter %c", row->name, adit_cli_option_table[other].name, row->letter);
      }
    }
  }
  assert_int_equal(adit_cli_option_find("nonsense"), ADIT_CLI_OPTION_IDS);
}

/* Every example of the table is accepted, and the help text has every option that the command takes. */
static void test_examples_and_help(void **state) {
  (void)state;
  for (const struct adit_cli_command *command = adit_cli_commands; command->name != NULL; command++) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    adit_cli_options_help(command, out);
    assert_int_equal(fclose(out), 0);
    for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
      const struct adit_cli_option *row = &adit_cli_option_table[id];
      char wanted[64];
      bool takes = (command->options & ADIT_CLI_BIT(id)) != 0;
      snprintf(wanted, sizeof wanted, "--%s ", row->name);
      if ((strstr(text, wanted) != NULL) < takes) fail_msg("help of %s lacks --%s", command->name, row->name);
      if (!takes || row->example == NULL) continue;
      struct adit_cli_options options = {.command = command};
      struct adit_cli_error error;
      int result = adit_cli_option_set(command, (enum adit_cli_option_id)id, row->example, &options, &error);
      if (result != 0) fail_msg("--%s %s: expected 0, found %d: %s", row->name, row->example, result, error.text);
    }
    free(text);
  }
}

static void test_distance(void **state) {
  (void)state;
  static const struct {
    const char *a, *b;
    unsigned distance;
  } cases[] = {{"dump", "dump", 0}, {"dmup", "dump", 1}, {"dum", "dump", 1},   {"dumpp", "dump", 1},
               {"bump", "dump", 1}, {"", "dump", 4},     {"serve", "dump", 5}, {"refelct", "reflect", 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    unsigned found = adit_cli_distance(cases[i].a, cases[i].b);
    if (found != cases[i].distance) {
      fail_msg("'%s' to '%s': expected %u, found %u", cases[i].a, cases[i].b, cases[i].distance, found);
    }
  }
  assert_true(adit_cli_resembles("ref", "reflect"));
  assert_true(adit_cli_resembles("sreve", "serve"));
  assert_false(adit_cli_resembles("x", "dump"));
  assert_false(adit_cli_resembles("replay", "dump"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_everything),
      cmocka_unit_test(test_dns),
      cmocka_unit_test(test_command_of_run),
      cmocka_unit_test(test_password_is_not_shown),
      cmocka_unit_test(test_last_of_one_field_counts),
      cmocka_unit_test(test_help_before_all_checks),
      cmocka_unit_test(test_same_address_once),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_edges_accepted),
      cmocka_unit_test(test_too_many_addresses),
      cmocka_unit_test(test_again),
      cmocka_unit_test(test_config),
      cmocka_unit_test(test_command_line_beats_config),
      cmocka_unit_test(test_config_empty),
      cmocka_unit_test(test_config_refused),
      cmocka_unit_test(test_config_unreadable),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_examples_and_help),
      cmocka_unit_test(test_distance),
  };
  return cmocka_run_group_tests(tests, make_config, remove_config);
}
