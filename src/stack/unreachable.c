/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * ICMP and ICMPv6 errors: destination unreachable and time exceeded (RFC 792, RFC 4443 sections 3.1 and 3.3).
 *
 * They come from the address that was asked for, and carry as much of the offending packet as fits 576 bytes (RFC 1812,
 * 4.3.2.3) or 1280 bytes (RFC 4443, 2.4c). At most RATE of them are sent in a second (RFC 1812, 4.3.2.8; RFC 4443, 2.4f).
 */
#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "stack/core.h"

enum {
  HEADER = 8,
  LONGEST4 = 576 - 20,  /* of the whole message */
  LONGEST6 = 1280 - 40, /* likewise */
  BURST = 100,
  RATE = 1000
};

static bool allowed(struct adit_stack *stack) {
  uint64_t now = adit_port_now();
  if (now >= stack->icmp_refill_ns) {
    uint64_t due = (now - stack->icmp_refill_ns) / (ADIT_SECOND / RATE) + 1;
    stack->icmp_tokens = due > BURST - stack->icmp_tokens ? BURST : stack->icmp_tokens + (uint32_t)due;
    stack->icmp_refill_ns = now + ADIT_SECOND / RATE;
  }
  if (stack->icmp_tokens == 0) return false;
  stack->icmp_tokens--;
  return true;
}

int adit_output_unreachable(struct adit_stack *stack, const uint8_t *ip, size_t length,
                            const struct adit_header *header, uint8_t type, uint8_t code) {
  bool v4 = header->version == 4;
  if (!allowed(stack)) return 0;
  size_t most = (v4 ? LONGEST4 : LONGEST6) - HEADER;
  if (length > most) length = most;
  uint8_t message[HEADER] = {type, code};
  struct iovec iov[2] = {{message, sizeof message}, {(void *)(uintptr_t)ip, length}};

  uint64_t sum = 0;
  if (!v4) {
    uint8_t pseudo[40] = {0};
    memcpy(pseudo, (const uint8_t[]){0x60}, 1);
    memcpy(pseudo + 8, header->destination.bytes, 16);
    memcpy(pseudo + 24, header->source.bytes, 16);
    sum = adit_checksum_pseudo(pseudo, IPPROTO_ICMPV6, (uint32_t)(HEADER + length));
  }
  uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, iov, 2, 0, HEADER + length));
  memcpy(message + 2, &checksum, sizeof checksum);
  return adit_output_ip(stack, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, header->destination, header->source, iov, 2);
}
