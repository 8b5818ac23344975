/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The relay: every connection and datagram that enters the device leaves through an upstream.
 */
#ifndef ADIT_RELAY_RELAY_H
#define ADIT_RELAY_RELAY_H

#include "relay/url.h"
#include "runtime/application.h"

struct adit_stats;
struct adit_runtime;
struct adit_fake_names;
struct adit_own;

/** What happens to datagrams. */
enum adit_relay_udp {
  ADIT_RELAY_UDP_ON, /**< direct: a socket for each client; socks5: UDP ASSOCIATE; http, reject: as OFF */
  ADIT_RELAY_UDP_OFF /**< each is answered with port unreachable, so that QUIC falls back at once */
};

/** What happens to questions on port 53. */
enum adit_relay_dns {
  ADIT_RELAY_DNS_OFF,     /**< nothing special: UDP and TCP as any other */
  ADIT_RELAY_DNS_FORWARD, /**< answered by one server, through the upstream, over TCP */
  ADIT_RELAY_DNS_FAKE     /**< names get addresses of ours, and the upstream gets the name */
};

/** What happens to echo requests. */
enum adit_relay_icmp {
  ADIT_RELAY_ICMP_DEFAULT, /**< RELAY with direct, REPLY otherwise */
  ADIT_RELAY_ICMP_REPLY,   /**< the stack answers */
  ADIT_RELAY_ICMP_RELAY,   /**< a real echo goes out on a ping socket; only with direct */
  ADIT_RELAY_ICMP_OFF      /**< silence */
};

/** How to relay. The same for all workers, each of which makes a copy. Zero elsewhere is the default. */
struct adit_relay_options {
  struct adit_upstream upstream; /**< parsed and resolved */
  enum adit_relay_udp udp;
  enum adit_relay_dns dns;
  adit_endpoint dns_server; /**< FORWARD: who answers */
  /** FAKE: adit_fake_names_new; borrowed until the last worker has ended. Once given it stays, in other modes too. */
  struct adit_fake_names *fake_names;
  enum adit_relay_icmp icmp;
  uint32_t connect_ms; /**< bound on connecting and on the talk with a proxy; 0 = 10 s */
  uint32_t idle_ms;    /**< a connection on which nothing moves ends; 0 = 2 h 4 min (RFC 5382), UINT32_MAX = never */
  uint32_t half_closed_ms; /**< the same when one side has ended; 0 = 4 min (RFC 5382) */
  uint32_t udp_idle_ms;    /**< 0 = 60 s; exchanges of one question and one answer, and pings, 10 s at most */
  uint32_t max_flows;      /**< bound on relayed connections of one worker; 0 = 65536 */
  uint32_t max_udp;        /**< bound on UDP sessions of one worker; 0 = 4096 */
  uint32_t mark;           /**< SO_MARK of every socket that goes out; 0 = none */
  const char *interface;   /**< SO_BINDTODEVICE of every socket that goes out; NULL = none */
  struct adit_own *own;    /**< adit_own_new; freed only after the last worker has ended. NULL: a loop is not seen */
  /** Called for every socket that goes out, before it is used; a negative errno refuses it. May be NULL. */
  int (*protect)(void *user, int fd);
  void *protect_user; /**< for `protect` */
};

/** What happens to echo requests when ADIT_RELAY_ICMP_DEFAULT was said, or something the upstream cannot do. */
enum adit_relay_icmp adit_relay_icmp_mode(const struct adit_relay_options *options);

/**
 * The relay as what is plugged into a worker; `user` of its start is a const struct adit_relay_options, borrowed until
 * the start has returned.
 */
extern const struct adit_application adit_relay_application;

/**
 * From now on what begins in any worker is relayed as `options` say, which are borrowed until the return and whose
 * `fake_names` must be those of before, if there were any. Connections and UDP sessions that are there go on over the
 * upstream that they have, with their time-outs; but udp_idle_ms and max_udp count for all sessions. When answering
 * questions ends, clients over TCP are closed after their last answer.
 *
 * Either all workers do so or none. Blocks until they have. From any thread but a worker's; one at a time; after the
 * runtime's start. Returns 0; -ESHUTDOWN when the runtime has ended, or -ENOMEM, -EINVAL, -EDEADLK: nothing has changed.
 */
int adit_relay_reload(struct adit_runtime *runtime, const struct adit_relay_options *options);

/** Counters of one worker. */
struct adit_relay_stats {
  uint64_t connects;        /**< connections begun to the outside */
  uint64_t connects_failed; /**< of which failed */
  uint64_t flows_limited;   /**< refused because of max_flows */
  uint64_t udp_sessions;    /**< begun */
  uint64_t udp_evicted;     /**< ended early because of max_udp */
  uint64_t udp_dropped;     /**< datagrams dropped */
  uint64_t dns_questions;
  uint64_t dns_dropped;
  uint64_t bytes_up; /**< payload, from the device to the outside */
  uint64_t bytes_down;
  uint64_t connected;  /**< of `connects`, those that the far end answered */
  uint64_t flows_open; /**< now: connections, those included that the far end has not answered yet */
};

/** The relay's part of what workers have published (adit_runtime_stats), at any time. */
struct adit_relay_stats adit_relay_stats_of(const struct adit_stats *stats);

#endif
