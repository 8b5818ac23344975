/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The conversations of a capture: which side is the client, and how the server's sequence numbers translate.
 */
#ifndef ADIT_CLI_REPLAY_FLOW_H
#define ADIT_CLI_REPLAY_FLOW_H

#include "packet/header.h"

/** A server of a TCP connection as the client sees it: the recorded one, and the stack that takes its place. */
struct adit_replay_server {
  bool known;    /**< the numbers below are */
  uint32_t isn;  /**< initial sequence number: that of its SYN */
  uint32_t next; /**< the one after the highest that it has used */
};

/** One conversation: TCP connection or UDP association. */
struct adit_replay_flow {
  struct adit_replay_flow *next; /**< chain of the table */
  adit_endpoint client;
  adit_endpoint server;
  uint8_t protocol;  /**< IPPROTO_TCP or IPPROTO_UDP */
  bool has_client;   /**< for the owner of the capture: a packet of the client was seen */
  bool has_syn;      /**< the client's SYN is in the capture */
  bool gave_up;      /**< the stack has not sent in time what the client acknowledges: no more waiting for it */
  bool blocked;      /**< for the owner of waiting packets: an earlier one of this flow goes on waiting */
  uint32_t waiting;  /**< for the same: packets of this flow that wait */
  bool lends_stamps; /**< the client offered timestamps, which the recorded server has not taken: it sends none */
  uint32_t stamp;    /**< the timestamp of the client's SYN */
  uint64_t stamp_ns; /**< when that was sent */
  uint32_t client_isn;
  uint32_t acknowledged; /**< the highest number of the stack's that the client's packets have acknowledged to it */
  struct adit_replay_server recorded;
  struct adit_replay_server given;
};

struct adit_replay_flows;

/** Returns 0 and an empty table, owned by the caller, or -ENOMEM. */
int adit_replay_flows_new(struct adit_replay_flows **flows);

/** Free the table and all flows. NULL is allowed. */
void adit_replay_flows_free(struct adit_replay_flows *flows);

/** The flow in which `client` talks to `server`, or NULL. Borrowed until the table is freed. */
struct adit_replay_flow *adit_replay_flows_find(const struct adit_replay_flows *flows, uint8_t protocol,
                                                adit_endpoint client, adit_endpoint server);

/** Add a flow that is not there yet. Returns it, or NULL when memory is out. */
struct adit_replay_flow *adit_replay_flows_add(struct adit_replay_flows *flows, uint8_t protocol, adit_endpoint client,
                                               adit_endpoint server);

/** A TCP segment of the client is in the capture. */
void adit_replay_flow_client(struct adit_replay_flow *flow, const struct adit_header *header);

/** A TCP segment that `server`, one of the two of `flow`, has sent. */
void adit_replay_flow_server(struct adit_replay_flow *flow, struct adit_replay_server *server,
                             const struct adit_header *header);

/**
 * Translate the client's acknowledgment number, the recorded server's, into the stack's. Returns false when there is
 * nothing to translate: no ACK flag, or one of the two initial sequence numbers is not known.
 */
bool adit_replay_flow_translate(const struct adit_replay_flow *flow, const struct adit_header *header,
                                uint32_t *acknowledgment);

/** Whether `a` comes after `b` in sequence space (RFC 9293 section 3.4). */
bool adit_replay_after(uint32_t a, uint32_t b);

#endif
