/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Chargen (RFC 864), port 19: characters without end, as fast as the client takes them; over UDP a datagram of 0 to 512.
 *
 * The bytes are lent from one static pattern, so sending them costs no copy. All that is known of a flow is where in the
 * pattern its next byte is, and that pointer is the flow's `user`.
 */
#include "service/pattern.h"
#include "service/service.h"

enum { DATAGRAM_MAX = 512 };

static void send_more(void *user, struct adit_flow *flow);

static const struct adit_flow_events events = {
    .writable = send_more, .readable = adit_service_ignore, .peer_closed = adit_service_close};

static void send_more(void *user, struct adit_flow *flow) {
  const struct adit_pattern *pattern = adit_pattern_chargen();
  uint64_t offset = (uint64_t)((const uint8_t *)user - pattern->bytes);
  ssize_t sent;
  do {
    size_t length;
    const uint8_t *next = adit_pattern_at(pattern, offset, &length);
    sent = adit_flow_lend(flow, next, length);
    if (sent > 0) offset = (offset + (uint64_t)sent) % pattern->period;
  } while (sent > 0);
  adit_flow_attach(flow, &events, (void *)(uintptr_t)(pattern->bytes + offset)); /* only read through it */
}

static void begin(void *user, struct adit_flow *flow) {
  (void)user;
  send_more((void *)(uintptr_t)adit_pattern_chargen()->bytes, flow);
}

static const struct adit_flow_events first_events = {
    .established = begin, .readable = adit_service_ignore, .peer_closed = adit_service_close};

/* RFC 864 wants a length that is random; nobody depends on it, so any spread over 0 to 512 that does not repeat soon. */
static void some_characters(struct adit_services *services, const struct adit_datagram *datagram) {
  uint64_t number = services->datagrams++;
  size_t length = (size_t)((number * 2654435761u >> 7) % (DATAGRAM_MAX + 1));
  size_t there;
  const uint8_t *text = adit_pattern_at(adit_pattern_chargen(), number * 74, &there);
  struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
  adit_service_reply(services, datagram, &piece, 1);
}

const struct adit_service adit_service_chargen = {
    .port = 19, .name = "chargen", .flow = &first_events, .datagram = some_characters, .answers = true};
