/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Whom the command of `adit run` asks for names.
 *
 * Inside, resolv.conf names an address of the device's network that is nobody's: the relay answers what comes on port 53,
 * whomever it was sent to. A server of this machine may be on its loopback interface (systemd-resolved, dnsmasq), which
 * is why the address outside cannot simply be used inside; the relay, outside, can ask there.
 */
#include "cli/run_names.h"

#include "cli/serve_text.h"

#include <string.h>

/* Length of the line at `text` without its newline. */
static size_t line_length(const char *text) {
  return strcspn(text, "\n");
}

/* The argument of a line that begins with this keyword, or NULL. */
static const char *argument_of(const char *line, const char *keyword) {
  size_t length = strlen(keyword);
  if (strncmp(line, keyword, length) != 0 || (line[length] != ' ' && line[length] != '\t')) return NULL;
  return line + length + strspn(line + length, " \t");
}

static bool read_server(const char *argument, adit_ip *server) {
  char word[ADIT_ADDRESS_TEXT];
  size_t length = strcspn(argument, " \t\r\n#;");
  if (length >= sizeof word) return false;
  memcpy(word, argument, length);
  word[length] = '\0';
  return adit_ip_parse(word, server) == 0;
}

bool adit_run_names_read(const char *text, adit_ip *server, char *rest, size_t size) {
  static const char *const kept[] = {"search", "domain", "options"};
  bool found = false;
  size_t used = 0;
  rest[0] = '\0';
  for (const char *line = text; *line != '\0';) {
    size_t length = line_length(line);
    const char *argument = argument_of(line, "nameserver");
    if (argument != NULL && !found) found = read_server(argument, server);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
      if (argument_of(line, kept[i]) == NULL || used + length + 2 > size) continue;
      memcpy(rest + used, line, length);
      used += length;
      rest[used++] = '\n';
      rest[used] = '\0';
    }
    line += length + (line[length] == '\n');
  }
  return found;
}

/* An address that the device's network has and the device itself has not. */
static adit_ip nobody(const struct adit_cli_cidrs *address) {
  adit_cidr first = address->item[0];
  adit_ip ip = adit_serve_example(first, &first.ip, 1);
  if (ip.version != 0) return ip;
  /* At the end of its network: the one before. In a network of one or two: the neighbour, if by the default route. */
  ip = first.ip;
  uint8_t *last = &ip.bytes[adit_ip_length(ip) - 1];
  *last = (uint8_t)(first.prefix < 8 * adit_ip_length(ip) - 1 ? *last - 1 : *last ^ 1);
  return ip;
}

static void read_outside(char *text, size_t size) {
  FILE *file = fopen("/etc/resolv.conf", "re");
  size_t got = file != NULL ? fread(text, 1, size - 1, file) : 0;
  text[got] = '\0';
  if (file != NULL) fclose(file);
}

void adit_run_names(const struct adit_cli_options *options, const struct adit_cli_cidrs *address,
                    struct adit_relay_options *relay, char text[ADIT_RUN_NAMES_TEXT]) {
  char outside[8192], rest[ADIT_RUN_NAMES_TEXT / 2], server_text[ADIT_ADDRESS_TEXT];
  adit_ip server;
  read_outside(outside, sizeof outside);
  bool found = adit_run_names_read(outside, &server, rest, sizeof rest);
  if (options->dns.mode == ADIT_CLI_DNS_DEFAULT) {
    bool by_proxy = relay->upstream.kind == ADIT_UPSTREAM_SOCKS5 || relay->upstream.kind == ADIT_UPSTREAM_HTTP;
    relay->dns = by_proxy ? ADIT_RELAY_DNS_FAKE : ADIT_RELAY_DNS_OFF;
    if (relay->upstream.kind == ADIT_UPSTREAM_DIRECT && found) {
      relay->dns = ADIT_RELAY_DNS_FORWARD;
      relay->dns_server = (adit_endpoint){.ip = server, .port = 53};
    }
  }
  text[0] = '\0';
  if (relay->dns == ADIT_RELAY_DNS_OFF || address->count == 0) return;
  snprintf(text, ADIT_RUN_NAMES_TEXT, "# adit run: the relay answers\nnameserver %s\n%s",
           adit_ip_format(nobody(address), server_text),
           relay->dns == ADIT_RELAY_DNS_FORWARD ? rest : ""); /* names as they are, for a proxy */
}
