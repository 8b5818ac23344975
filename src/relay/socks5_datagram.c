/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The header that SOCKS5 puts in front of each datagram.
 */
#include "relay/socks5_datagram.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4, FRAGMENT = 2, TYPE = 3, ADDRESS = 4, PORT_LENGTH = 2 };

size_t adit_socks5_wrap(adit_endpoint target, const char *name, uint8_t *out) {
  memset(out, 0, TYPE); /* reserved, and no fragment */
  size_t length;
  uint8_t *address = out + ADDRESS;
  if (name) {
    length = strlen(name);
    assert(length <= 255);
    out[TYPE] = TYPE_NAME;
    *address++ = (uint8_t)length;
    memcpy(address, name, length);
  } else {
    length = adit_ip_length(target.ip);
    out[TYPE] = target.ip.version == 4 ? TYPE_IPV4 : TYPE_IPV6;
    memcpy(address, target.ip.bytes, length);
  }
  address[length] = (uint8_t)(target.port >> 8);
  address[length + 1] = (uint8_t)target.port;
  return (size_t)(address - out) + length + PORT_LENGTH;
}

/* An IPv4-mapped address says the same as the IPv4 address in it. */
static adit_ip plain(adit_ip ip) {
  static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
  return ip.version == 6 && memcmp(ip.bytes, prefix, sizeof prefix) == 0 ? adit_ip_from_bytes(4, ip.bytes + 12) : ip;
}

int adit_socks5_unwrap(const uint8_t *bytes, size_t length, struct adit_socks5_datagram *datagram) {
  size_t start = ADDRESS;
  size_t size;
  if (length <= ADDRESS) return -EBADMSG;
  switch (bytes[TYPE]) {
  case TYPE_IPV4:
    size = 4;
    break;
  case TYPE_IPV6:
    size = 16;
    break;
  case TYPE_NAME:
    size = bytes[start++];
    break;
  default:
    return -EBADMSG;
  }
  if (size == 0 || length < start + size + PORT_LENGTH) return -EBADMSG;
  *datagram = (struct adit_socks5_datagram){.fragment = bytes[FRAGMENT], .header = start + size + PORT_LENGTH};
  const uint8_t *port = bytes + start + size;
  datagram->from.port = (uint16_t)(port[0] << 8 | port[1]);
  if (bytes[TYPE] == TYPE_NAME) {
    datagram->name = bytes + start;
    datagram->name_length = (uint8_t)size;
  } else {
    datagram->from.ip = plain(adit_ip_from_bytes(size == 4 ? 4 : 6, bytes + start));
  }
  return 0;
}
