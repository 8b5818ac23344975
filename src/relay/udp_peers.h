/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Whom a client has sent datagrams to, to tell who answers.
 */
#ifndef ADIT_RELAY_UDP_PEERS_H
#define ADIT_RELAY_UDP_PEERS_H

#include "relay/socks5_datagram.h"
#include "relay/state.h"

/** Peers that are remembered. */
#define ADIT_UDP_PEERS 8

/** One of them. */
struct adit_udp_peer {
  adit_endpoint asked; /**< what the client sent to; version 0 = nobody */
  adit_endpoint real;  /**< what answers for a name, once that is known; version 0 before, and for addresses */
  bool named;          /**< `asked` is an address of ours that stands for a name, and is held */
  uint32_t stamp;      /**< larger = sent to later */
};

/** Peers of one session. Zero it; end with adit_udp_peers_forget. */
struct adit_udp_peers {
  struct adit_udp_peer peer[ADIT_UDP_PEERS];
  uint32_t stamp;
  unsigned latest; /**< index of the one sent to last */
};

/** The client sends to `asked`. `named`: that stands for a name. Returns the peer, valid until the next call. */
struct adit_udp_peer *adit_udp_peers_note(struct adit_relay *relay, struct adit_udp_peers *peers, adit_endpoint asked,
                                          bool named);

/**
 * Who, in the client's eyes, sent what came from the proxy with this header. Returns true and `*from`; false when it
 * cannot be told.
 */
bool adit_udp_peers_source(const struct adit_relay *relay, struct adit_udp_peers *peers,
                           const struct adit_socks5_datagram *datagram, adit_endpoint *from);

/** The name that answers from there, or NULL. */
const struct adit_udp_peer *adit_udp_peers_named(const struct adit_udp_peers *peers, adit_endpoint real);

/** Give up what is held. */
void adit_udp_peers_forget(struct adit_relay *relay, struct adit_udp_peers *peers);

#endif
