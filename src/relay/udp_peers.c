/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Who answers: from what a proxy says to what the client has asked.
 *
 * A client takes an answer only from where it sent the question. Without a proxy it is the one who looked up a name
 * (udp_direct.c) that tells what it stands for. Most proxies name the address that a datagram came from,
 * and that is what the client gets. There are three cases in which it would be the wrong one:
 *
 *   a name was asked      The client sent to an address of ours that stands for a name (--dns fake), the proxy got the
 *                         name, and its resolver chose the address that now answers. The first answer from an unknown
 *                         address with the right port belongs to the name sent to last on that port that has not been
 *                         answered yet; from then on the two belong together.
 *   a name answers        Some proxies put into the answer what they were asked for, or what they looked up themselves.
 *                         A name that was asked, compared without case, is that peer; an address in letters is that
 *                         address; otherwise the port decides, and who was sent to last.
 *   nobody answers        0.0.0.0 or :: says nothing about the source: again the port decides.
 *
 * Only the last ADIT_UDP_PEERS are remembered, in the session. A name counts as in use as long as it is: nobody else
 * gets its address meanwhile.
 */
#include "relay/udp_peers.h"

#include <string.h>
#include <strings.h>

static bool equal(adit_endpoint a, adit_endpoint b) {
  return a.port == b.port && adit_ip_equal(a.ip, b.ip);
}

static bool is_unspecified(adit_ip ip) {
  static const uint8_t zero[16];
  return memcmp(ip.bytes, zero, sizeof zero) == 0;
}

static void forget(struct adit_relay *relay, struct adit_udp_peer *peer) {
  if (peer->named) adit_fake_release(relay, peer->asked.ip);
  *peer = (struct adit_udp_peer){0};
}

void adit_udp_peers_forget(struct adit_relay *relay, struct adit_udp_peers *peers) {
  for (unsigned i = 0; i < ADIT_UDP_PEERS; i++) forget(relay, &peers->peer[i]);
}

struct adit_udp_peer *adit_udp_peers_note(struct adit_relay *relay, struct adit_udp_peers *peers, adit_endpoint asked,
                                          bool named) {
  struct adit_udp_peer *latest = &peers->peer[peers->latest];
  if (latest->asked.ip.version && equal(latest->asked, asked)) return latest;
  unsigned chosen = 0;
  for (unsigned i = 0; i < ADIT_UDP_PEERS; i++) {
    if (peers->peer[i].asked.ip.version && equal(peers->peer[i].asked, asked)) {
      chosen = i;
      break;
    }
    if (peers->peer[i].stamp < peers->peer[chosen].stamp) chosen = i;
  }
  struct adit_udp_peer *peer = &peers->peer[chosen];
  if (!equal(peer->asked, asked)) {
    forget(relay, peer);
    peer->asked = asked;
    peer->named = named;
    if (named) adit_fake_hold(relay, asked.ip);
  }
  peer->stamp = ++peers->stamp;
  peers->latest = chosen;
  return peer;
}

const struct adit_udp_peer *adit_udp_peers_named(const struct adit_udp_peers *peers, adit_endpoint real) {
  for (unsigned i = 0; i < ADIT_UDP_PEERS; i++)
    if (peers->peer[i].named && peers->peer[i].real.ip.version && equal(peers->peer[i].real, real))
      return &peers->peer[i];
  return NULL;
}

/* The peer sent to last for which `fits` holds, or NULL. */
static struct adit_udp_peer *latest_of(struct adit_udp_peers *peers, uint16_t port,
                                       bool (*fits)(const struct adit_udp_peer *peer)) {
  struct adit_udp_peer *found = NULL;
  for (unsigned i = 0; i < ADIT_UDP_PEERS; i++) {
    struct adit_udp_peer *peer = &peers->peer[i];
    if (peer->asked.ip.version == 0 || (port && peer->asked.port != port) || !fits(peer)) continue;
    if (!found || peer->stamp > found->stamp) found = peer;
  }
  return found;
}

static bool anybody(const struct adit_udp_peer *peer) {
  (void)peer;
  return true;
}

static bool is_unanswered_name(const struct adit_udp_peer *peer) {
  return peer->named && peer->real.ip.version == 0;
}

static bool is_name_of(const struct adit_relay *relay, const struct adit_udp_peer *peer,
                       const struct adit_socks5_datagram *datagram) {
  const char *name = peer->named ? adit_fake_name(relay, peer->asked.ip) : NULL;
  return name && peer->asked.port == datagram->from.port && strlen(name) == datagram->name_length &&
         strncasecmp(name, (const char *)datagram->name, datagram->name_length) == 0;
}

/* The address that a name is in letters; version 0 when it is none. */
static adit_ip spelled(const struct adit_socks5_datagram *datagram) {
  char text[ADIT_ADDRESS_TEXT];
  adit_ip ip = {{0}, 0};
  if (datagram->name_length >= sizeof text) return ip;
  memcpy(text, datagram->name, datagram->name_length);
  text[datagram->name_length] = '\0';
  (void)adit_ip_parse(text, &ip);
  return ip;
}

static const struct adit_udp_peer *by_address(struct adit_udp_peers *peers, adit_endpoint from) {
  for (unsigned i = 0; i < ADIT_UDP_PEERS; i++) {
    const struct adit_udp_peer *peer = &peers->peer[i];
    if (peer->asked.ip.version && equal(peer->named ? peer->real : peer->asked, from)) return peer;
  }
  struct adit_udp_peer *peer = latest_of(peers, from.port, is_unanswered_name);
  if (peer) peer->real = from;
  return peer;
}

bool adit_udp_peers_source(const struct adit_relay *relay, struct adit_udp_peers *peers,
                           const struct adit_socks5_datagram *datagram, adit_endpoint *from) {
  const struct adit_udp_peer *peer = NULL;
  *from = datagram->from;
  if (datagram->name) {
    for (unsigned i = 0; i < ADIT_UDP_PEERS && !peer; i++)
      if (is_name_of(relay, &peers->peer[i], datagram)) peer = &peers->peer[i];
    from->ip = peer ? from->ip : spelled(datagram);
  }
  if (!peer && from->ip.version && !is_unspecified(from->ip)) {
    peer = by_address(peers, *from);
    if (!peer) return true; /* somebody who was not asked: a full cone lets them in */
  }
  if (!peer) peer = latest_of(peers, from->port, anybody);
  if (!peer) return false;
  *from = peer->asked;
  return true;
}
