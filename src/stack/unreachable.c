/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * ICMP and ICMPv6 errors: destination unreachable and time exceeded (RFC 792, RFC 4443 sections 3.1 and 3.3).
 *
 * They come from the address that was asked for, or from the router that had the trouble where somebody knows it, and
 * carry as much of the offending packet as fits 576 bytes (RFC 1812, 4.3.2.3) or 1280 bytes (RFC 4443, 2.4c). At most
 * RATE of them are sent in a second (RFC 1812, 4.3.2.8; RFC 4443, 2.4f); those that refuse a parked SYN have a bound of their
 * own (syn.c).
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "packet/icmp.h"
#include "stack/core.h"

enum {
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  HEADER = 8,           /* of the error; as long as those of UDP and echo */
  CHECKSUM = 2,         /* where its checksum is; that of an echo likewise */
  LONGEST4 = 576 - 20,  /* of the whole message */
  LONGEST6 = 1280 - 40, /* likewise */
  BURST = 100,
  RATE = 1000
};

static const struct {
  uint8_t type4, code4, type6, code6;
} codes[] = {
    [ADIT_REFUSE_RESET] = {ADIT_ICMP_UNREACHABLE, ADIT_ICMP_PORT, ADIT_ICMP6_UNREACHABLE, ADIT_ICMP6_PORT},
    [ADIT_REFUSE_NET_UNREACHABLE] = {ADIT_ICMP_UNREACHABLE, ADIT_ICMP_NET, ADIT_ICMP6_UNREACHABLE, ADIT_ICMP6_NO_ROUTE},
    [ADIT_REFUSE_HOST_UNREACHABLE] = {ADIT_ICMP_UNREACHABLE, ADIT_ICMP_HOST, ADIT_ICMP6_UNREACHABLE,
                                      ADIT_ICMP6_ADDRESS},
    [ADIT_REFUSE_PROHIBITED] = {ADIT_ICMP_UNREACHABLE, ADIT_ICMP_PROHIBITED, ADIT_ICMP6_UNREACHABLE,
                                ADIT_ICMP6_PROHIBITED},
    [ADIT_REFUSE_TTL_EXPIRED] = {ADIT_ICMP_TIME_EXCEEDED, ADIT_ICMP_IN_TRANSIT, ADIT_ICMP6_TIME_EXCEEDED,
                                 ADIT_ICMP_IN_TRANSIT},
};
_Static_assert(sizeof codes / sizeof *codes == ADIT_REFUSALS, "a code for each refusal");

bool adit_output_may_complain(struct adit_stack *stack) {
  return adit_port_allows(&stack->errors, BURST, RATE);
}

/* The pseudo-header's part of an ICMPv6 checksum. */
static uint64_t pseudo_sum(adit_ip from, adit_ip to, size_t length) {
  uint8_t header[IP6_HEADER] = {0x60};
  memcpy(header + 8, from.bytes, 16);
  memcpy(header + 24, to.bytes, 16);
  return adit_checksum_pseudo(header, IPPROTO_ICMPV6, (uint32_t)length);
}

static size_t most_quoted(bool v4) {
  return (v4 ? LONGEST4 : LONGEST6) - HEADER;
}

/* Send the error that quotes `length` bytes, at most most_quoted(). */
static int send_error(struct adit_stack *stack, enum adit_refusal how, adit_ip from, adit_ip to, const uint8_t *quote,
                      size_t length) {
  bool v4 = from.version == 4;
  uint8_t message[HEADER] = {v4 ? codes[how].type4 : codes[how].type6, v4 ? codes[how].code4 : codes[how].code6};
  struct iovec iov[2] = {{message, sizeof message}, {(void *)(uintptr_t)quote, length}};
  uint64_t sum = v4 ? 0 : pseudo_sum(from, to, HEADER + length);
  uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_iov(sum, iov, 2, 0, HEADER + length));
  memcpy(message + CHECKSUM, &checksum, sizeof checksum);
  return adit_output_ip(stack, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, from, to, iov, 2);
}

int adit_output_unreachable(struct adit_stack *stack, const uint8_t *ip, size_t length,
                            const struct adit_header *header, enum adit_refusal how) {
  size_t most = most_quoted(header->version == 4);
  return send_error(stack, how, header->destination, header->source, ip, length < most ? length : most);
}

/* ---- about packets that are gone --------------------------------------------------------------------------------- */

/* What such an error quotes: the headers of the packet as they may have been, and what is known of its payload. */
struct quote {
  uint8_t bytes[LONGEST6 - HEADER];
  size_t network; /* bytes of the IP header */
  size_t length;
};

static void put16(uint8_t *at, size_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* Copy the head of the payload to where it belongs, behind both headers, and write the IP header in front. */
static void quote_payload(struct quote *quote, uint8_t protocol, adit_ip from, adit_ip to, const struct iovec *iov,
                          unsigned iovcnt) {
  memset(quote->bytes, 0, IP6_HEADER + HEADER);
  quote->network = from.version == 4 ? IP4_HEADER : IP6_HEADER;
  size_t most = most_quoted(from.version == 4);
  quote->length = quote->network + HEADER;
  for (unsigned i = 0; i < iovcnt; i++) {
    size_t bytes = iov[i].iov_len < most - quote->length ? iov[i].iov_len : most - quote->length;
    if (bytes > 0) memcpy(quote->bytes + quote->length, iov[i].iov_base, bytes);
    quote->length += bytes;
  }
  adit_output_quote(quote->bytes, protocol, from, to, quote->length - quote->network);
}

/* Fill the checksum field, `at` bytes into the transport header; `pseudo`: it covers the addresses too. */
static void quote_checksum(struct quote *quote, uint8_t protocol, size_t at, bool pseudo) {
  size_t length = quote->length - quote->network;
  uint8_t *transport = quote->bytes + quote->network;
  uint64_t sum = pseudo ? adit_checksum_pseudo(quote->bytes, protocol, (uint32_t)length) : 0;
  uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_add(sum, transport, length));
  if (checksum == 0 && protocol == IPPROTO_UDP) checksum = 0xffff;
  memcpy(transport + at, &checksum, sizeof checksum);
}

static bool fits(adit_ip local, adit_ip remote, enum adit_refusal how) {
  return local.version == remote.version && adit_ip_length(local) > 0 && (unsigned)how < ADIT_REFUSALS;
}

static int send_quote(struct adit_stack *stack, enum adit_refusal how, adit_ip reporter, adit_ip local, adit_ip remote,
                      const struct quote *quote) {
  struct adit_port *outer = adit_port_enter(stack->port);
  adit_ip from = reporter.version == local.version ? reporter : local;
  int error = adit_output_may_complain(stack) ? send_error(stack, how, from, remote, quote->bytes, quote->length) : 0;
  adit_port_leave(outer);
  return error;
}

int adit_stack_send_unreachable(struct adit_stack *stack, adit_endpoint local, adit_endpoint remote,
                                enum adit_refusal how, adit_ip reporter, const struct iovec *iov, unsigned iovcnt) {
  if (!fits(local.ip, remote.ip, how)) return -EINVAL;
  struct quote quote;
  quote_payload(&quote, IPPROTO_UDP, remote.ip, local.ip, iov, iovcnt);
  uint8_t *udp = quote.bytes + quote.network;
  put16(udp, remote.port);
  put16(udp + 2, local.port);
  put16(udp + 4, quote.length - quote.network);
  quote_checksum(&quote, IPPROTO_UDP, 6, true);
  return send_quote(stack, how, reporter, local.ip, remote.ip, &quote);
}

int adit_stack_send_echo_error(struct adit_stack *stack, adit_ip local, adit_ip remote, uint16_t id, uint16_t sequence,
                               enum adit_refusal how, adit_ip reporter, const struct iovec *iov, unsigned iovcnt) {
  if (!fits(local, remote, how) || how == ADIT_REFUSE_RESET) return -EINVAL;
  bool v4 = local.version == 4;
  uint8_t protocol = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  struct quote quote;
  quote_payload(&quote, protocol, remote, local, iov, iovcnt);
  uint8_t *echo = quote.bytes + quote.network;
  echo[0] = v4 ? ADIT_ICMP_ECHO : ADIT_ICMP6_ECHO;
  put16(echo + 4, id);
  put16(echo + 6, sequence);
  quote_checksum(&quote, protocol, CHECKSUM, !v4);
  return send_quote(stack, how, reporter, local, remote, &quote);
}
