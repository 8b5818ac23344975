/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Turn a packet round: exchange its source and destination address.
 */
#include "cli/swap.h"

#include <adit/address.h>
#include <string.h>

enum { ETHERNET_HEADER = 14, TYPE_AT = 12, MAC = 6, VLAN_TAG = 4 };
enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100, TYPE_SERVICE_VLAN = 0x88a8 };

static void exchange(uint8_t *a, uint8_t *b, size_t length) {
  uint8_t kept[16];
  memcpy(kept, a, length);
  memcpy(a, b, length);
  memcpy(b, kept, length);
}

static unsigned type_at(const uint8_t *data, size_t offset) {
  return (unsigned)data[offset] << 8 | data[offset + 1];
}

/* Offset of the IP header behind the Ethernet header and at most two VLAN tags; 0 when what follows is no IP. */
static size_t ip_offset(const uint8_t *data, size_t length) {
  for (size_t offset = ETHERNET_HEADER; offset <= ETHERNET_HEADER + 2 * VLAN_TAG && offset <= length;
       offset += VLAN_TAG) {
    unsigned type = type_at(data, offset - 2);
    if (type == TYPE_IPV4 || type == TYPE_IPV6) return offset;
    if (type != TYPE_VLAN && type != TYPE_SERVICE_VLAN) return 0;
  }
  return 0;
}

bool adit_cli_swap(uint8_t *data, size_t length, bool ethernet) {
  size_t offset = 0;
  if (ethernet) {
    offset = ip_offset(data, length);
    if (offset == 0 || (data[0] & 1) != 0) return false; /* the group bit: multicast and broadcast */
  }
  uint8_t *ip = data + offset;
  size_t left = length - offset;
  unsigned version = left > 0 ? ip[0] >> 4 : 0;
  size_t source = version == 4 ? 12 : 8, size = version == 4 ? 4 : 16;
  if ((version != 4 && version != 6) || left < (version == 4 ? 20U : 40U)) return false;
  if (adit_ip_is_multicast(adit_ip_from_bytes(version, ip + source + size))) return false;
  exchange(ip + source, ip + source + size, size);
  if (ethernet) exchange(data, data + MAC, MAC);
  return true;
}
