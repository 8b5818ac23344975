/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Those who ask on port 53, over UDP and TCP: from their bytes to questions, and from answers to their bytes.
 */
#ifndef ADIT_RELAY_DNS_CLIENT_H
#define ADIT_RELAY_DNS_CLIENT_H

#include "packet/dns.h"
#include "relay/state.h"

struct adit_dns_clients;
struct adit_dns_client;

/** Who asked, and so where the answer goes. A value. */
struct adit_dns_asker {
  struct adit_dns_client *client; /**< over TCP; NULL over UDP */
  adit_endpoint local;            /**< over UDP: who was asked */
  adit_endpoint remote;           /**< over UDP: who asks */
  size_t room;                    /**< longest answer that it takes */
};

/**
 * A question, well-formed; message and question are borrowed until the return. adit_dns_reply must follow exactly once,
 * in this call or later.
 */
typedef void adit_dns_asked(struct adit_relay *relay, const struct adit_dns_asker *asker,
                            const struct adit_dns_question *question, const uint8_t *message, size_t length);

/** Begin to serve. Returns 0 and `*clients`, owned by the caller; or -ENOMEM. */
int adit_dns_clients_new(struct adit_relay *relay, adit_dns_asked *asked, struct adit_dns_clients **clients);

/** A datagram to port 53. What is malformed is answered with FORMERR here. */
void adit_dns_clients_datagram(struct adit_dns_clients *clients, const struct adit_datagram *datagram);

/** A connection to port 53. Accepted here. */
void adit_dns_clients_syn(struct adit_dns_clients *clients, struct adit_flow *flow);

/**
 * Give the answer; `length` 0 = there is none. What is too long for the asker is truncated in place. It need not be
 * there any more.
 */
void adit_dns_reply(struct adit_dns_clients *clients, const struct adit_dns_asker *asker, uint8_t *answer,
                    size_t length);

/**
 * Close all connections in order (RFC 7766, 6.2.4), each with the last answer that it waits for. What comes later is
 * not concerned.
 */
void adit_dns_clients_dismiss(struct adit_dns_clients *clients);

/** Reset all connections and free everything. Each question must have been replied to. */
void adit_dns_clients_free(struct adit_dns_clients *clients);

#endif
