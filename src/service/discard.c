/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Discard (RFC 863), port 9: what comes is thrown away.
 */
#include "service/service.h"

static const struct adit_flow_events events = {.readable = adit_service_ignore, .peer_closed = adit_service_close};

static void forget(struct adit_services *services, const struct adit_datagram *datagram) {
  (void)services;
  (void)datagram;
}

const struct adit_service adit_service_discard = {.port = 9, .name = "discard", .flow = &events, .datagram = forget};
