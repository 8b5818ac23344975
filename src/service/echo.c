/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Echo (RFC 862), port 7: what comes goes back.
 *
 * Over TCP nothing is buffered here: bytes are taken from the received ones only as far as there is room to send them.
 * A client that does not read its echo fills the send side, then its bytes stay unread, then the window closes.
 */
#include "service/service.h"

enum { PIECES = 16 };

static void pump(void *user, struct adit_flow *flow) {
  (void)user;
  struct iovec piece[PIECES];
  unsigned count;
  while ((count = adit_flow_peek(flow, piece, PIECES)) > 0) {
    size_t taken = 0;
    bool full = false;
    for (unsigned i = 0; i < count && !full; i++) {
      ssize_t written = adit_flow_write(flow, piece[i].iov_base, piece[i].iov_len);
      if (written < 0) break;
      taken += (size_t)written;
      full = (size_t)written < piece[i].iov_len;
    }
    adit_flow_consume(flow, taken);
    if (full || taken == 0) return; /* goes on when `writable` */
  }
  if (adit_flow_peer_has_closed(flow)) adit_flow_close(flow);
}

static const struct adit_flow_events events = {.readable = pump, .writable = pump, .peer_closed = pump};

static void datagram_back(struct adit_services *services, const struct adit_datagram *datagram) {
  adit_service_reply(services, datagram, datagram->iov, datagram->iovcnt);
}

const struct adit_service adit_service_echo = {
    .port = 7, .name = "echo", .flow = &events, .datagram = datagram_back, .answers = true};
