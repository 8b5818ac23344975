/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * IP addresses, endpoints and networks as small values, and their text forms.
 *
 * An adit_ip has no padding and its unused bytes are zero, so that equality is one comparison of bytes and an address
 * can be hashed as it lies in memory. Every constructor here keeps to that; a value that is none has version 0.
 */
#include <adit/address.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(adit_ip) == 17, "an address is compared and hashed as bytes, so it must not have padding");
static_assert(ADIT_ADDRESS_TEXT >= INET6_ADDRSTRLEN + sizeof "[]:65535" - 1, "room for the longest endpoint");

adit_ip adit_ip_from_bytes(unsigned version, const void *bytes) {
  adit_ip ip = {.version = 0};
  if (version == 4) {
    uint32_t words[4] = {0}; /* written as one, since it is read as one at once */
    memcpy(words, bytes, 4);
    memcpy(ip.bytes, words, sizeof ip.bytes);
    ip.version = 4;
  } else if (version == 6) {
    memcpy(ip.bytes, bytes, 16);
    ip.version = 6;
  }
  return ip;
}

size_t adit_ip_length(adit_ip ip) {
  return ip.version == 4 ? 4 : ip.version == 6 ? 16 : 0;
}

bool adit_ip_equal(adit_ip a, adit_ip b) {
  return memcmp(&a, &b, sizeof a) == 0;
}

bool adit_ip_is_multicast(adit_ip ip) {
  static const uint8_t broadcast[4] = {255, 255, 255, 255};
  if (ip.version == 4) {
    return ip.bytes[0] >> 4 == 0xe || memcmp(ip.bytes, broadcast, sizeof broadcast) == 0;
  }
  return ip.version == 6 && ip.bytes[0] == 0xff;
}

int adit_ip_parse(const char *text, adit_ip *ip) {
  uint8_t bytes[16];
  if (inet_pton(AF_INET, text, bytes) == 1) {
    *ip = adit_ip_from_bytes(4, bytes);
    return 0;
  }
  if (inet_pton(AF_INET6, text, bytes) == 1) {
    *ip = adit_ip_from_bytes(6, bytes);
    return 0;
  }
  return -EINVAL;
}

char *adit_ip_format(adit_ip ip, char *text) {
  if (adit_ip_length(ip) == 0 ||
      inet_ntop(ip.version == 4 ? AF_INET : AF_INET6, ip.bytes, text, ADIT_ADDRESS_TEXT) == NULL) {
    snprintf(text, ADIT_ADDRESS_TEXT, "none");
  }
  return text;
}

char *adit_endpoint_format(adit_endpoint endpoint, char *text) {
  char address[INET6_ADDRSTRLEN + sizeof "[]"];
  bool brackets = endpoint.ip.version == 6;
  char inner[ADIT_ADDRESS_TEXT];
  snprintf(address, sizeof address, "%s%.*s%s", brackets ? "[" : "", INET6_ADDRSTRLEN,
           adit_ip_format(endpoint.ip, inner), brackets ? "]" : "");
  snprintf(text, ADIT_ADDRESS_TEXT, "%s:%u", address, (unsigned)endpoint.port);
  return text;
}

/* A decimal number without sign or leading zeros, at most `most`; -1 when the text is anything else. */
static int parse_prefix(const char *text, int most) {
  int value = 0;
  if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
    return -1;
  }
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9') {
      return -1;
    }
    value = value * 10 + (*text - '0');
    if (value > most) {
      return -1;
    }
  }
  return value;
}

int adit_cidr_parse(const char *text, adit_cidr *cidr) {
  char address[INET6_ADDRSTRLEN];
  const char *slash = strchr(text, '/');
  size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
  adit_ip ip;
  if (length >= sizeof address) {
    return -EINVAL;
  }
  memcpy(address, text, length);
  address[length] = '\0';
  if (adit_ip_parse(address, &ip) != 0) {
    return -EINVAL;
  }
  int bits = (int)adit_ip_length(ip) * 8;
  int prefix = slash != NULL ? parse_prefix(slash + 1, bits) : bits;
  if (prefix < 0) {
    return -EINVAL;
  }
  *cidr = (adit_cidr){.ip = ip, .prefix = (uint8_t)prefix};
  return 0;
}

char *adit_cidr_format(adit_cidr cidr, char *text) {
  char address[ADIT_ADDRESS_TEXT];
  snprintf(text, ADIT_ADDRESS_TEXT, "%.*s/%u", INET6_ADDRSTRLEN, adit_ip_format(cidr.ip, address),
           (unsigned)cidr.prefix);
  return text;
}

bool adit_cidr_contains(adit_cidr cidr, adit_ip ip) {
  if (cidr.ip.version != ip.version || cidr.prefix > adit_ip_length(ip) * 8) {
    return false;
  }
  size_t whole = cidr.prefix / 8;
  unsigned rest = cidr.prefix % 8;
  if (memcmp(cidr.ip.bytes, ip.bytes, whole) != 0) {
    return false;
  }
  return rest == 0 || (cidr.ip.bytes[whole] ^ ip.bytes[whole]) >> (8 - rest) == 0;
}
