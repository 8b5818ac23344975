/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Options of the relay as people write them.
 */
#include "relay/setting.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const adit_setting_udp[] = {
    [ADIT_RELAY_UDP_ON] = "on",
    [ADIT_RELAY_UDP_OFF] = "off",
    [ADIT_RELAY_UDP_OFF + 1] = NULL,
};

const char *const adit_setting_icmp[] = {
    [ADIT_RELAY_ICMP_DEFAULT] = "default", [ADIT_RELAY_ICMP_REPLY] = "reply", [ADIT_RELAY_ICMP_RELAY] = "relay",
    [ADIT_RELAY_ICMP_OFF] = "off",         [ADIT_RELAY_ICMP_OFF + 1] = NULL,
};

int adit_setting_word(const char *const *words, const char *text, char *reason) {
  for (int i = 0; words[i]; i++)
    if (strcmp(text, words[i]) == 0) return i;
  int length = snprintf(reason, ADIT_SETTING_REASON, "%.100s: unknown; give", text);
  for (int i = 0; words[i]; i++) {
    const char *between = i == 0 ? " " : words[i + 1] ? ", " : " or ";
    length += snprintf(reason + length, (size_t)(ADIT_SETTING_REASON - length), "%s%s", between, words[i]);
    assert(length < ADIT_SETTING_REASON); /* few short words */
  }
  return -EINVAL;
}

/* ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT; an IPv6 address without brackets has no port behind it. */
static bool read_server(const char *text, adit_endpoint *server) {
  char address[ADIT_ADDRESS_TEXT];
  *server = (adit_endpoint){.port = 53};
  if (adit_ip_parse(text, &server->ip) == 0) return true;
  bool brackets = text[0] == '[';
  size_t length = strcspn(text += brackets, brackets ? "]" : ":");
  if (length >= sizeof address || (brackets && text[length] == '\0')) return false;
  memcpy(address, text, length);
  address[length] = '\0';
  if (adit_ip_parse(address, &server->ip) != 0 || brackets != (server->ip.version == 6)) return false;
  text += length + brackets;
  if (*text == '\0') return brackets;
  size_t digits = strspn(text + 1, "0123456789");
  unsigned long port = strtoul(text + 1, NULL, 10);
  if (*text != ':' || digits == 0 || digits > 5 || text[1 + digits] != '\0' || port == 0 || port > 65535) return false;
  server->port = (uint16_t)port;
  return true;
}

int adit_setting_dns(const char *text, enum adit_relay_dns *mode, adit_endpoint *server, char *reason) {
  static const char forward[] = "forward:";
  if (strcmp(text, "off") == 0) {
    *mode = ADIT_RELAY_DNS_OFF;
    return 0;
  }
  if (strcmp(text, "fake") == 0) {
    *mode = ADIT_RELAY_DNS_FAKE;
    return 0;
  }
  if (strncmp(text, forward, sizeof forward - 1) != 0) {
    snprintf(reason, ADIT_SETTING_REASON, "%.100s: unknown; give forward:ADDRESS, fake or off", text);
    return -EINVAL;
  }
  adit_endpoint found;
  if (!read_server(text + sizeof forward - 1, &found)) {
    snprintf(reason, ADIT_SETTING_REASON,
             "%.100s: the server is not an address, perhaps with a port; write it like forward:9.9.9.9, "
             "forward:9.9.9.9:53 or forward:[2620:fe::fe]:53",
             text);
    return -EINVAL;
  }
  *mode = ADIT_RELAY_DNS_FORWARD;
  *server = found;
  return 0;
}
