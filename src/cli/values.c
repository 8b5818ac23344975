/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the values of options may be: from text to a field of struct adit_cli_options, or a message.
 *
 * A message begins with the text that was given, except that of an upstream: there may be a password in it.
 */
#include "cli/commands.h"
#include "relay/setting.h"
#include "relay/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct adit_cli_options, name)

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

/* A number with a unit of 1024 behind it. */
static int set_bytes(const struct adit_cli_option *row, const char *text, uint64_t *field,
                     struct adit_cli_error *error) {
  static const char units[] = "KMG";
  size_t digits = strspn(text, "0123456789");
  const char *unit = text[digits] != '\0' ? strchr(units, toupper((unsigned char)text[digits])) : NULL;
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
  bool readable = digits > 0 && (*end == '\0' || (unit != NULL && end[1] == '\0'));
  if (!readable) return adit_cli_error(error, "%s: not a number of bytes; give one such as %s", text, row->example);
  if (errno == ERANGE || value > row->max >> shift || value << shift < row->min) {
    return adit_cli_error(error, "%s: out of range; give %lluM..%lluG", text, (unsigned long long)(row->min >> 20),
                          (unsigned long long)(row->max >> 30));
  }
  *field = value << shift;
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
  return adit_cli_error(error, "%s: not an address with a prefix length; write it like %s%s %s", text, row->example,
                        row->kind == ADIT_CLI_KIND_ROUTE ? ", default or" : " or", ipv6);
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

static int add_route(const struct adit_cli_option *row, const char *text, struct adit_cli_cidrs *list,
                     struct adit_cli_error *error) {
  if (strcmp(text, "default") != 0) return add_cidr(row, text, list, error);
  int result = add_cidr(row, "0.0.0.0/0", list, error);
  return result == 0 ? add_cidr(row, "::/0", list, error) : result;
}

static int set_url(const char *text, const char **field, struct adit_cli_error *error) {
  struct adit_upstream upstream;
  char reason[ADIT_URL_REASON];
  int result = adit_upstream_parse(text, &upstream, reason);
  adit_upstream_clear(&upstream);
  if (result != 0) return adit_cli_error(error, "%s", reason);
  *field = text;
  return 0;
}

static int set_dns(const char *text, struct adit_cli_dns *field, struct adit_cli_error *error) {
  static const enum adit_cli_dns_mode modes[] = {
      [ADIT_RELAY_DNS_OFF] = ADIT_CLI_DNS_OFF,
      [ADIT_RELAY_DNS_FORWARD] = ADIT_CLI_DNS_FORWARD,
      [ADIT_RELAY_DNS_FAKE] = ADIT_CLI_DNS_FAKE,
  };
  char reason[ADIT_SETTING_REASON];
  enum adit_relay_dns mode;
  struct adit_cli_dns dns = {.mode = ADIT_CLI_DNS_DEFAULT};
  if (adit_setting_dns(text, &mode, &dns.server, reason) != 0) return adit_cli_error(error, "%s", reason);
  dns.mode = modes[mode];
  *field = dns;
  return 0;
}

static int set_fault(const char *text, struct adit_fault_plan *field, struct adit_cli_error *error) {
  char reason[ADIT_FAULT_REASON];
  if (adit_fault_plan_parse(text, field, reason) == 0) return 0;
  return adit_cli_error(error, "%s: %s", text, reason);
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
  case ADIT_CLI_KIND_USER:
    result = *text == '\0' ? adit_cli_error(error, "'': empty; give the name of a user such as %s", row->example) : 0;
    if (result == 0) *(const char **)field = text;
    break;
  case ADIT_CLI_KIND_CHOICE:
    result = set_choice(row, text, field, error);
    break;
  case ADIT_CLI_KIND_HOST:
  case ADIT_CLI_KIND_NETWORK:
    result = add_cidr(row, text, field, error);
    break;
  case ADIT_CLI_KIND_ROUTE:
    result = add_route(row, text, field, error);
    break;
  case ADIT_CLI_KIND_BYTES:
    result = set_bytes(row, text, field, error);
    break;
  case ADIT_CLI_KIND_URL:
    result = set_url(text, field, error);
    break;
  case ADIT_CLI_KIND_DNS:
    result = set_dns(text, field, error);
    break;
  case ADIT_CLI_KIND_FAULT:
    result = set_fault(text, field, error);
    break;
  }
  if (result == 0) options->given |= ADIT_CLI_BIT(id);
  return result;
}
