/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS, port 53: adit.test is the address that was asked.
 *
 * Over TCP each message follows its length in two bytes (RFC 7766); several may be on their way at once. A message is
 * looked at when all of it is there. Half an answer is worse than none, so a client that asks on without ever reading,
 * until not even one answer has room, is reset.
 */
#include "packet/dns.h"
#include "service/dns_answer.h"
#include "service/service.h"

#include <string.h>

enum { PREFIX = ADIT_DNS_PREFIX };

static struct adit_dns_zone zone_at(const struct adit_services *services, adit_ip asked) {
  adit_ip twin = adit_services_twin(&services->options, asked);
  return asked.version == 4 ? (struct adit_dns_zone){.ip4 = asked, .ip6 = twin}
                            : (struct adit_dns_zone){.ip4 = twin, .ip6 = asked};
}

static size_t gather(uint8_t *bytes, const struct iovec *iov, unsigned iovcnt) {
  size_t length = 0;
  for (unsigned i = 0; i < iovcnt; i++) {
    if (iov[i].iov_len > 0) memcpy(bytes + length, iov[i].iov_base, iov[i].iov_len);
    length += iov[i].iov_len;
  }
  return length;
}

static void answer_datagram(struct adit_services *services, const struct adit_datagram *datagram) {
  if (datagram->length > ADIT_SERVICE_SCRATCH) return;
  size_t length = gather(services->scratch, datagram->iov, datagram->iovcnt);
  struct adit_dns_zone zone = zone_at(services, datagram->local.ip);
  uint8_t answer[ADIT_DNS_ANSWER_MAX];
  struct iovec piece = {.iov_base = answer, .iov_len = adit_dns_answer(&zone, services->scratch, length, answer)};
  if (piece.iov_len > 0) adit_service_reply(services, datagram, &piece, 1);
}

/* Length of the message that begins the flow's unread bytes, of which there are at least PREFIX. */
static size_t message_length(const struct adit_flow *flow) {
  struct iovec piece[PREFIX];
  return adit_dns_prefix(piece, adit_flow_peek(flow, piece, PREFIX));
}

static void answer_flow(void *user, struct adit_flow *flow) {
  struct adit_services *services = user;
  while (adit_flow_available(flow) >= PREFIX) {
    size_t length = message_length(flow);
    if (length > ADIT_SERVICE_SCRATCH) {
      adit_flow_abort(flow);
      return;
    }
    if (adit_flow_available(flow) < PREFIX + length) break;
    uint8_t message[PREFIX + ADIT_DNS_ANSWER_MAX];
    struct adit_dns_zone zone = zone_at(services, adit_flow_local(flow).ip);
    adit_flow_consume(flow, PREFIX);
    adit_flow_read(flow, services->scratch, length);
    size_t answer = adit_dns_answer(&zone, services->scratch, length, message + PREFIX);
    message[0] = (uint8_t)(answer >> 8);
    message[1] = (uint8_t)answer;
    if (answer > 0 && adit_flow_write(flow, message, PREFIX + answer) < (ssize_t)(PREFIX + answer)) {
      adit_flow_abort(flow);
      return;
    }
  }
  if (adit_flow_peer_has_closed(flow)) adit_flow_close(flow);
}

static const struct adit_flow_events events = {.readable = answer_flow, .peer_closed = answer_flow};

const struct adit_service adit_service_dns = {
    .port = 53, .name = "domain", .flow = &events, .datagram = answer_datagram, .answers = true};
