/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the files of src/relay share: the relay of one worker, and what each file does for the others.
 */
#ifndef ADIT_RELAY_STATE_H
#define ADIT_RELAY_STATE_H

#include "relay/egress.h"
#include "relay/own.h"
#include "relay/relay.h"
#include "runtime/log.h"
#include "runtime/worker.h"

struct adit_tcp_session;
struct adit_udp_sessions;
struct adit_dns;
struct adit_fake;
struct adit_pings;

/**
 * Anything that waits for a socket begins with this, so that the one `socket` function of the application finds out
 * what it is: `watch` is what the loop hands back.
 */
struct adit_relay_socket {
  struct adit_watch watch;
  void (*ready)(struct adit_relay_socket *socket, uint32_t events); /**< as epoll tells */
};

/** The relay of one worker. Its thread's own. */
struct adit_relay {
  struct adit_egress *egress;               /**< the way out of what begins now; one reference */
  const struct adit_relay_options *options; /**< those of `egress` */
  struct adit_egress *next_egress;          /**< reload.c: made and not yet taken; one reference, or NULL */
  struct adit_egress *egresses;             /**< all there are, the old ones that are still used among them */
  struct adit_work bury;                    /**< egress.c */
  struct adit_worker *worker;
  struct adit_stack *stack;
  struct adit_loop *loop;
  const struct adit_log *log;
  struct adit_log_limit upstream_limit; /**< for messages about the upstream */
  struct adit_log_limit socket_limit;   /**< for messages about sockets that cannot be made */
  struct adit_log_limit flow_limit;     /**< for messages about too many connections */
  struct adit_log_limit own_limit;      /**< for messages about own packets that came back */
  enum adit_relay_icmp icmp;            /**< as the options say, the default resolved */
  struct adit_tcp_session *sessions;    /**< list of all relayed connections; tcp.c */
  uint32_t session_count;
  struct adit_udp_sessions *udp; /**< udp.c; NULL where datagrams were never relayed, and likewise: */
  struct adit_dns *dns;          /**< dns_forward.c; once it was FORWARD */
  struct adit_fake *fake;        /**< dns_fake.c; once it was FAKE */
  struct adit_pings *pings;      /**< ping.c; once it was RELAY */
  struct adit_relay_stats stats;
};

/** Where a connection is to go: an address, or a name with a port for an upstream that resolves names. */
struct adit_target {
  adit_endpoint endpoint; /**< version 0 when there is only a name */
  const char *name;       /**< host name, borrowed; NULL when there is only an address */
  uint8_t prefer;         /**< with a name: the family that the client uses, 4 or 6; 0 = any */
  bool associate;         /**< socks5 only: no connection but a relay for datagrams (RFC 1928, UDP ASSOCIATE) */
  struct adit_egress *by; /**< the way out; NULL = the worker's current one. Held by the attempt */
  bool trial;             /**< socks5 only: all in one go, whatever is known, and nothing is said when it fails */
};

/* ---- relay.c ---- */
/** Make what going out by `egress` needs, as far as it is not there. Returns 0 or a negative errno: parts may be made. */
int adit_relay_prepare(struct adit_relay *relay, struct adit_egress *egress);
/** What begins now goes out by `egress`, whose reference is the worker's from now on. */
void adit_relay_take(struct adit_relay *relay, struct adit_egress *egress);

/* ---- outside.c: sockets to the outside; the only place that makes them, so that none loops back into the device -- */

/**
 * A non-blocking, close-on-exec socket with mark, interface and protection as the options say.
 * `domain` AF_INET or AF_INET6, `type` SOCK_STREAM, SOCK_DGRAM or SOCK_RAW, `protocol` 0 or IPPROTO_ICMP and the like.
 * Returns the fd, owned by the caller, or a negative errno.
 */
int adit_outside_socket(const struct adit_egress *egress, int domain, int type, int protocol);

/** Endpoint to sockaddr. Returns its length. */
unsigned adit_outside_sockaddr(adit_endpoint endpoint, void *sockaddr_storage);

/** sockaddr to endpoint; an IPv4-mapped IPv6 address becomes IPv4. */
adit_endpoint adit_outside_endpoint(const void *sockaddr_storage);

/* ---- connector.c: one connection through the upstream, from nothing to "the far end has answered" ---- */

struct adit_connect;

/** What becomes of a connection attempt; exactly one of them is called, once, from the loop, never from start. */
struct adit_connect_events {
  /**
   * The far end has answered. `socket` is now the callee's, who hands it over to a watch of its own or closes it
   * (adit_loop_hand_over, adit_loop_close, with adit_watch_free) before it returns. What the far end may have said already
   * waits in it: nothing of an upstream's answer is left there, and nothing of the far end's bytes was taken out.
   */
  void (*done)(void *user, struct adit_watch *socket);
  /**
   * Instead of `done`, for a target that says `associate`: `socket` is the control connection, likewise the callee's, and
   * `relay` is where datagrams go, as the proxy says: version 0 when it gave a name.
   */
  void (*associated)(void *user, struct adit_watch *socket, adit_endpoint relay);
  /**
   * It did not work. `how` is what the client should see (ADIT_REFUSE_*), `silent` that it should see nothing (it will
   * time out by itself, as without a relay); `why` is a sentence for the log, borrowed.
   */
  void (*failed)(void *user, enum adit_refusal how, bool silent, const char *why);
};

/**
 * Begin to connect to `target` (copied). Returns 0 and `*connect`, valid until one of the events or the cancel;
 * or a negative errno (-EMFILE, -ENOBUFS, -ENOMEM, -ENETUNREACH ...), then there is no event.
 */
int adit_connect_start(struct adit_relay *relay, const struct adit_target *target,
                       const struct adit_connect_events *events, void *user, struct adit_connect **connect);

/** Give it up; no event follows. */
void adit_connect_cancel(struct adit_connect *connect);

/* ---- trial.c: what a SOCKS5 server takes ---- */

/** Begin to find out, unless that is under way. What is learned stands in the egress's `manner`. */
void adit_trial_begin(struct adit_egress *egress);
/** End those of all egresses. */
void adit_trial_stop(struct adit_relay *relay);

/* ---- tcp.c: flows to sockets ---- */
void adit_tcp_syn(struct adit_relay *relay, struct adit_flow *flow);
void adit_tcp_stop(struct adit_relay *relay);
/** What is known of a connection. Borrowed until the callback returns. */
struct adit_tcp_view {
  uint64_t id; /**< of the flow */
  adit_endpoint client;
  adit_endpoint target; /**< as the client wrote it */
  const char *name;     /**< what its address stands for (FAKE), or NULL */
  bool connected;       /**< the far end has answered */
  uint64_t bytes_up;
  uint64_t bytes_down;
  uint64_t age_ns; /**< since the SYN */
};
/** Tell all relayed connections; `relay->session_count` of them. In the worker's thread. */
void adit_tcp_each(const struct adit_relay *relay, void (*each)(void *user, const struct adit_tcp_view *view),
                   void *user);

/* ---- udp.c, udp_socks5.c: datagrams to sockets ---- */
int adit_udp_start(struct adit_relay *relay);
/** Bounds and times are those of `relay->options` from now on. Sessions keep their way out. */
void adit_udp_renew(struct adit_relay *relay);
void adit_udp_datagram(struct adit_relay *relay, const struct adit_datagram *datagram);
/** Whether its sender has a session, which goes on whatever is said of new ones. */
bool adit_udp_knows(const struct adit_relay *relay, const struct adit_datagram *datagram);
void adit_udp_stop(struct adit_relay *relay);

/* ---- dns_forward.c ---- */
/** Make what answering by `egress` needs, as far as it is not there. Returns 0 or -ENOMEM. */
int adit_dns_prepare(struct adit_relay *relay, struct adit_egress *egress);
/** Questions are no longer answered here: clients over TCP get the answers that they wait for, and are closed. */
void adit_dns_dismiss(struct adit_relay *relay);
/** A question over UDP. */
void adit_dns_datagram(struct adit_relay *relay, const struct adit_datagram *datagram);
/** A client connects to port 53: it is answered here, whomever it wanted. */
void adit_dns_syn(struct adit_relay *relay, struct adit_flow *flow);
void adit_dns_stop(struct adit_relay *relay);

/* ---- dns_fake.c ---- */
/** As adit_dns_prepare. Also -EINVAL without a table of names. */
int adit_fake_prepare(struct adit_relay *relay, struct adit_egress *egress);
/** As adit_dns_dismiss. Addresses that were given out go on to stand for their names. */
void adit_fake_dismiss(struct adit_relay *relay);
/** A question over UDP, answered with addresses of ours. */
void adit_fake_datagram(struct adit_relay *relay, const struct adit_datagram *datagram);
/** A question over TCP on port 53. */
void adit_fake_syn(struct adit_relay *relay, struct adit_flow *flow);
/** Whether `ip` lies in the pools. */
bool adit_fake_is_ours(const struct adit_relay *relay, adit_ip ip);
/**
 * The name behind one of our addresses, borrowed until the next call; NULL when it was never handed out. The address is
 * not given to another name for the next minute, so that there is time for adit_fake_hold.
 */
const char *adit_fake_name(const struct adit_relay *relay, adit_ip ip);
/** A flow or session begins, or ends, to use the address: it is not given to another name meanwhile. */
void adit_fake_hold(struct adit_relay *relay, adit_ip ip);
void adit_fake_release(struct adit_relay *relay, adit_ip ip);
void adit_fake_stop(struct adit_relay *relay);

/* ---- ping.c ---- */
int adit_ping_start(struct adit_relay *relay);
/** Times are those of `relay->options` from now on. */
void adit_ping_renew(struct adit_relay *relay);
void adit_ping_echo(struct adit_relay *relay, const struct adit_echo *echo);
void adit_ping_stop(struct adit_relay *relay);

#endif
