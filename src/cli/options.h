/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The options of all commands: one table, one parser, the same keys on the command line and in a YAML file.
 */
#ifndef ADIT_CLI_OPTIONS_H
#define ADIT_CLI_OPTIONS_H

#include "device/fault_plan.h"

#include <adit/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Most values of an option that may be given several times. */
#define ADIT_CLI_LIST 64

/** The largest MTU of a TUN device, and the largest of a TAP, whose frames carry 14 bytes of Ethernet header. */
#define ADIT_CLI_MTU_TUN 65535
#define ADIT_CLI_MTU_TAP (65535 - 14)

/** Room for one message. */
#define ADIT_CLI_MESSAGE 768

/** The rows of the option table. */
enum adit_cli_option_id {
  ADIT_CLI_DEV,
  ADIT_CLI_TAP,
  ADIT_CLI_BRIDGE,
  ADIT_CLI_FD,
  ADIT_CLI_ADDRESS,
  ADIT_CLI_ANSWER,
  ADIT_CLI_MTU,
  ADIT_CLI_QUEUES,
  ADIT_CLI_OFFLOAD,
  ADIT_CLI_NO_OFFLOAD,
  ADIT_CLI_NO_BIG_TCP,
  ADIT_CLI_IO_URING,
  ADIT_CLI_FAULT,
  ADIT_CLI_HEX,
  ADIT_CLI_FORMAT,
  ADIT_CLI_COUNT,
  ADIT_CLI_SWAP,
  ADIT_CLI_OUT,
  ADIT_CLI_SEED,
  ADIT_CLI_UPSTREAM,
  ADIT_CLI_ROUTE,
  ADIT_CLI_BYPASS,
  ADIT_CLI_INTERFACE,
  ADIT_CLI_MARK,
  ADIT_CLI_FAIL_CLOSED,
  ADIT_CLI_DNS,
  ADIT_CLI_DNS_CACHE,
  ADIT_CLI_UDP,
  ADIT_CLI_ICMP,
  ADIT_CLI_CONNECT_TIMEOUT,
  ADIT_CLI_IDLE_TIMEOUT,
  ADIT_CLI_HALF_CLOSED_TIMEOUT,
  ADIT_CLI_UDP_TIMEOUT,
  ADIT_CLI_MAX_FLOWS,
  ADIT_CLI_MAX_UDP,
  ADIT_CLI_MEMORY,
  ADIT_CLI_CONTROL,
  ADIT_CLI_JSON,
  ADIT_CLI_WATCH,
  ADIT_CLI_USER,
  ADIT_CLI_NO_SANDBOX,
  ADIT_CLI_CONFIG,
  ADIT_CLI_VERBOSE,
  ADIT_CLI_QUIET,
  ADIT_CLI_HELP,
  ADIT_CLI_OPTION_IDS
};

/** A set of options has this bit for each. */
#define ADIT_CLI_BIT(id) (UINT64_C(1) << (id))

/** What every command takes. */
#define ADIT_CLI_COMMON_OPTIONS                                                                                        \
  (ADIT_CLI_BIT(ADIT_CLI_CONFIG) | ADIT_CLI_BIT(ADIT_CLI_VERBOSE) | ADIT_CLI_BIT(ADIT_CLI_QUIET) |                     \
   ADIT_CLI_BIT(ADIT_CLI_HELP))

/** What every command takes that opens a device. */
#define ADIT_CLI_DEVICE_OPTIONS                                                                                        \
  (ADIT_CLI_BIT(ADIT_CLI_DEV) | ADIT_CLI_BIT(ADIT_CLI_TAP) | ADIT_CLI_BIT(ADIT_CLI_BRIDGE) |                           \
   ADIT_CLI_BIT(ADIT_CLI_FD) | ADIT_CLI_BIT(ADIT_CLI_ADDRESS) | ADIT_CLI_BIT(ADIT_CLI_MTU) |                           \
   ADIT_CLI_BIT(ADIT_CLI_NO_OFFLOAD) | ADIT_CLI_BIT(ADIT_CLI_FAULT) | ADIT_CLI_BIT(ADIT_CLI_USER) |                    \
   ADIT_CLI_BIT(ADIT_CLI_NO_SANDBOX))

/** What every command takes that relays. */
#define ADIT_CLI_RELAY_OPTIONS                                                                                         \
  (ADIT_CLI_BIT(ADIT_CLI_UPSTREAM) | ADIT_CLI_BIT(ADIT_CLI_INTERFACE) | ADIT_CLI_BIT(ADIT_CLI_MARK) |                  \
   ADIT_CLI_BIT(ADIT_CLI_DNS) | ADIT_CLI_BIT(ADIT_CLI_DNS_CACHE) | ADIT_CLI_BIT(ADIT_CLI_UDP) |                        \
   ADIT_CLI_BIT(ADIT_CLI_ICMP) | ADIT_CLI_BIT(ADIT_CLI_CONNECT_TIMEOUT) | ADIT_CLI_BIT(ADIT_CLI_IDLE_TIMEOUT) |        \
   ADIT_CLI_BIT(ADIT_CLI_HALF_CLOSED_TIMEOUT) | ADIT_CLI_BIT(ADIT_CLI_UDP_TIMEOUT) |                                   \
   ADIT_CLI_BIT(ADIT_CLI_MAX_FLOWS) | ADIT_CLI_BIT(ADIT_CLI_MAX_UDP) | ADIT_CLI_BIT(ADIT_CLI_MEMORY))

/** How `adit dump` prints a packet. */
enum adit_cli_format {
  ADIT_CLI_FORMAT_LINE,   /**< time, addresses, protocol, flags, length */
  ADIT_CLI_FORMAT_HEX,    /**< that, and its bytes as sixteen hexadecimal numbers a line */
  ADIT_CLI_FORMAT_DECIMAL /**< its bytes as decimal numbers, one packet a line */
};

/** Whether packets may be larger than the MTU on their way between kernel and program. */
enum adit_cli_offload {
  ADIT_CLI_OFFLOAD_DEFAULT, /**< what suits the command */
  ADIT_CLI_OFFLOAD_ON,
  ADIT_CLI_OFFLOAD_OFF
};

/** --udp. */
enum adit_cli_udp { ADIT_CLI_UDP_ON, ADIT_CLI_UDP_OFF };

/** --icmp. */
enum adit_cli_icmp { ADIT_CLI_ICMP_DEFAULT, ADIT_CLI_ICMP_REPLY, ADIT_CLI_ICMP_RELAY, ADIT_CLI_ICMP_OFF };

/** The modes of --dns. */
enum adit_cli_dns_mode {
  ADIT_CLI_DNS_DEFAULT, /**< what suits the command and the upstream */
  ADIT_CLI_DNS_OFF,     /**< questions are datagrams like others */
  ADIT_CLI_DNS_FAKE,    /**< names get addresses of ours */
  ADIT_CLI_DNS_FORWARD  /**< one server answers all questions */
};

/** --dns. */
struct adit_cli_dns {
  enum adit_cli_dns_mode mode;
  adit_endpoint server; /**< FORWARD: who answers */
};

/** Networks or addresses given, in order. */
struct adit_cli_cidrs {
  adit_cidr item[ADIT_CLI_LIST];
  size_t count;
};

struct adit_cli_command;

/**
 * What the command line and the file say. A value that nobody gave has its default. Strings are borrowed from argv or
 * owned by `owned`; both live until adit_cli_options_free.
 */
struct adit_cli_options {
  const struct adit_cli_command *command;
  uint64_t given;     /**< set of ADIT_CLI_BIT: options that somebody gave */
  uint64_t from_file; /**< those of them that the file gave */

  const char *dev;               /**< --dev; NULL = the kernel chooses a name */
  const char *bridge;            /**< --bridge; NULL = none */
  const char *out;               /**< --out; NULL = none */
  const char *config;            /**< --config; NULL = none */
  struct adit_cli_cidrs address; /**< --address: of the kernel's side. Empty = the default of adit_cli_open */
  struct adit_cli_cidrs answer;  /**< --answer: what the stack answers for. Empty = see adit_cli_answers */
  uint64_t mtu;                  /**< --mtu; 0 = not given */
  uint64_t queues;               /**< --queues; 1 when not given */
  uint64_t count;                /**< --count; 0 = without end */
  uint64_t seed;                 /**< --seed; 0 when not given */
  uint64_t fd;                   /**< --fd; only valid with its bit in `given` */
  int tap;                       /**< --tap: 1 */
  int swap;                      /**< --swap: 1 */
  int help;                      /**< --help: 1 */
  int format;                    /**< --format, --hex: enum adit_cli_format */
  int offload;                   /**< --offload, --no-offload: enum adit_cli_offload */
  int no_big_tcp;                /**< --no-big-tcp: 1 */
  int io_uring;                  /**< --io-uring: enum adit_gather */
  int verbosity;                 /**< --verbose: 1, --quiet: -1 */
  struct adit_fault_plan fault;  /**< --fault; only valid with its bit in `given` */

  const char *upstream;         /**< --upstream, a URL that can be read; may hold a password. NULL = direct:// */
  const char *interface;        /**< --interface; NULL = none */
  const char *dns_cache;        /**< --dns-cache; NULL = none */
  struct adit_cli_cidrs route;  /**< --route; "default" stands as 0.0.0.0/0 and ::/0 */
  struct adit_cli_cidrs bypass; /**< --bypass */
  struct adit_cli_dns dns;      /**< --dns */
  uint64_t mark;                /**< --mark; 0 = not given */
  uint64_t connect_timeout;     /**< --connect-timeout, seconds; 0 = not given */
  uint64_t idle_timeout;        /**< --idle-timeout, seconds; 0 = never, if its bit is in `given` */
  uint64_t half_closed_timeout; /**< --half-closed-timeout, seconds; 0 = not given */
  uint64_t udp_timeout;         /**< --udp-timeout, seconds; 0 = not given */
  uint64_t max_flows;           /**< --max-flows; 0 = not given */
  uint64_t max_udp;             /**< --max-udp; 0 = not given */
  uint64_t memory;              /**< --memory, bytes; 0 = not given */
  int fail_closed;              /**< --fail-closed: 1 */
  int udp;                      /**< --udp: enum adit_cli_udp */
  int icmp;                     /**< --icmp: enum adit_cli_icmp */

  const char *control; /**< --control: path of a socket, or "off"; NULL = that of the device's name */
  int json;            /**< --json: 1 */
  uint64_t watch;      /**< --watch, seconds; 0 = once */
  const char *user;    /**< --user; NULL = stay */
  int no_sandbox;      /**< --no-sandbox: 1 */

  int argc;             /**< the command line, for adit_cli_options_again */
  char **argv;          /**< borrowed */
  char **operands;      /**< what stands beside the options; borrowed from argv */
  size_t operand_count; /**< their number, within the bounds of the command */

  char **owned; /**< strings that came from the file */
  size_t owned_count;
};

/** Kinds of values. */
enum adit_cli_kind {
  ADIT_CLI_KIND_SET,     /**< takes no argument: stores `value` in an int. In a file: true or false */
  ADIT_CLI_KIND_NUMBER,  /**< a decimal number from `min` to `max`, in a uint64_t */
  ADIT_CLI_KIND_NAME,    /**< name of an interface, 1..15 bytes */
  ADIT_CLI_KIND_PATH,    /**< name of a file */
  ADIT_CLI_KIND_CHOICE,  /**< one of `choices`; its index in an int */
  ADIT_CLI_KIND_HOST,    /**< address and prefix of a host, appended to a struct adit_cli_cidrs */
  ADIT_CLI_KIND_NETWORK, /**< address and prefix of a network, appended to a struct adit_cli_cidrs */
  ADIT_CLI_KIND_ROUTE,   /**< the same, or "default" for all of IPv4 and all of IPv6 */
  ADIT_CLI_KIND_BYTES,   /**< a number from `min` to `max`, perhaps with K, M or G behind it, in a uint64_t */
  ADIT_CLI_KIND_URL,     /**< an upstream, as adit_upstream_parse reads it; its text */
  ADIT_CLI_KIND_DNS,     /**< off, fake or forward:ADDRESS[:PORT], in a struct adit_cli_dns */
  ADIT_CLI_KIND_USER,    /**< name or number of a user; its text */
  ADIT_CLI_KIND_FAULT    /**< as adit_fault_plan_parse reads it, in a struct adit_fault_plan */
};

/** One row of the option table. */
struct adit_cli_option {
  const char *name;           /**< without "--"; also the key in a file */
  char letter;                /**< short form, or 0 */
  enum adit_cli_kind kind;    /**< what its argument is */
  bool command_line_only;     /**< is no key of a file */
  size_t offset;              /**< of the field in struct adit_cli_options; options that share it exclude each other */
  const char *argument;       /**< name of the argument in the help text, NULL for ADIT_CLI_KIND_SET */
  const char *example;        /**< an argument that is right */
  int value;                  /**< ADIT_CLI_KIND_SET */
  uint64_t min;               /**< ADIT_CLI_KIND_NUMBER */
  uint64_t max;               /**< ADIT_CLI_KIND_NUMBER */
  const char *const *choices; /**< ADIT_CLI_KIND_CHOICE, ends with NULL */
  const char *help;           /**< lines of the help text, separated by newlines */
};

/** The table, indexed by enum adit_cli_option_id. */
extern const struct adit_cli_option adit_cli_option_table[ADIT_CLI_OPTION_IDS];

/**
 * A message that says what, why and what to do, without "adit COMMAND: " before it and newline behind it. Control
 * characters in what it quotes have become question marks.
 */
struct adit_cli_error {
  char text[ADIT_CLI_MESSAGE];
};

/** Append to a message; what does not fit is cut. */
void adit_cli_error_add(struct adit_cli_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Write a message. Returns -EINVAL, so that it can be returned. */
int adit_cli_error(struct adit_cli_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Read the arguments of `command` (`argv[0]` is not looked at), then the file that --config names, where the command line
 * left room for it, and check that they fit together. `argv` is put in another order and must live as long as `options`.
 *
 * Returns 0; -EINVAL with a message for wrong usage; another negative errno with a message when the file cannot be read.
 * With --help nothing else is checked. `options` needs adit_cli_options_free in every case.
 */
int adit_cli_options_parse(const struct adit_cli_command *command, int argc, char **argv,
                           struct adit_cli_options *options, struct adit_cli_error *error);

/**
 * The same command line once more, and the file as it is now. `options` is another object, which needs
 * adit_cli_options_free in every case. Returns as adit_cli_options_parse.
 */
int adit_cli_options_again(const struct adit_cli_options *before, struct adit_cli_options *options,
                           struct adit_cli_error *error);

/** The options of one command of which the values differ, a set of ADIT_CLI_BIT; of those that share a field the first. */
uint64_t adit_cli_options_differ(const struct adit_cli_options *a, const struct adit_cli_options *b);

/** Free what the options own. */
void adit_cli_options_free(struct adit_cli_options *options);

/** Whether an option was given, on the command line or in the file. */
bool adit_cli_given(const struct adit_cli_options *options, enum adit_cli_option_id id);

/**
 * Set one option from text ("true" or "false" for ADIT_CLI_KIND_SET). `text` is borrowed; it must live as long as
 * `options`.
 * Returns 0, or -EINVAL with a message that begins with the text.
 */
int adit_cli_option_set(const struct adit_cli_command *command, enum adit_cli_option_id id, const char *text,
                        struct adit_cli_options *options, struct adit_cli_error *error);

/** How to call an option in a message: "--mtu", or "mtu (in FILE)" when the file gave it. `text` has `size` bytes. */
const char *adit_cli_option_spell(const struct adit_cli_options *options, enum adit_cli_option_id id, char *text,
                                  size_t size);

/** Look a name up among the options. Returns its id, or ADIT_CLI_OPTION_IDS. */
enum adit_cli_option_id adit_cli_option_find(const char *name);

/**
 * Append to the message where else `name` would be right: the option of `command` that it resembles, or the commands that
 * take an option of that very name. `dashes` is what stands before an option: "--", or "" for keys of a file.
 */
void adit_cli_option_suggest(const struct adit_cli_command *command, const char *name, const char *dashes,
                             struct adit_cli_error *error);

/** Print the options of a command as help text, one or more lines each. */
void adit_cli_options_help(const struct adit_cli_command *command, FILE *out);

#endif
