/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams straight to where the client wants them: a socket a session, connected to nobody.
 *
 * What the client sent keeps its TTL or hop limit, and an ICMP error that comes back goes on to the client with the
 * address of who sent it. So traceroute sees the routers that are there.
 *
 * With --dns fake an address may be one of ours that stands for a name. The name is then looked up, once for a session;
 * datagrams wait meanwhile, and what comes from the true address comes to the client from the one it knows. A name
 * without an address of the client's version is refused: its other address is there for that.
 *
 * Lifetimes: look-ups are the session's and end with it.
 */
#include "relay/resolve.h"
#include "relay/udp_peers.h"
#include "relay/udp_wait.h"

#include <errno.h>
#include <stdlib.h>

struct direct_session;

/* A name that is being looked up. */
struct lookup {
  struct lookup *next;
  struct direct_session *session;
  adit_ip asked; /* ours, that stands for it */
  struct adit_resolve *resolve;
};

struct direct_session {
  struct adit_udp_session base; /* first member */
  struct adit_udp_peers peers;  /* those that stand for names */
  struct adit_udp_wait wait;    /* for look-ups */
  struct lookup *lookups;
};

static struct direct_session *of(struct adit_udp_session *session) {
  return (struct direct_session *)session;
}

static int open_direct(struct adit_udp_session *session) {
  return adit_udp_socket_open(session, session->client.ip.version, NULL);
}

static void refuse(struct direct_session *session, const struct adit_datagram *datagram) {
  adit_udp_drop(session->base.all);
  adit_stack_refuse_datagram(session->base.all->relay->stack, datagram);
}

static void send_to(struct direct_session *session, adit_endpoint to, uint8_t ttl, const struct iovec *iov,
                    unsigned iovcnt, size_t length) {
  adit_udp_outbox_put(&session->base,
                      &(struct adit_udp_message){
                          .local = to, .addressed = true, .ttl = ttl, .iov = iov, .iovcnt = iovcnt, .length = length});
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static struct lookup *find_lookup(const struct direct_session *session, adit_ip asked) {
  struct lookup *lookup = session->lookups;
  while (lookup && !adit_ip_equal(lookup->asked, asked)) lookup = lookup->next;
  return lookup;
}

static void forget_lookup(struct lookup *lookup) {
  struct lookup **link = &lookup->session->lookups;
  while (*link != lookup) link = &(*link)->next;
  *link = lookup->next;
  free(lookup);
}

static void on_found(void *user, const adit_ip *addresses, unsigned count) {
  struct lookup *lookup = user;
  struct direct_session *session = lookup->session;
  struct adit_relay *relay = session->base.all->relay;
  adit_ip asked = lookup->asked;
  unsigned i = 0;
  while (i < count && addresses[i].version != asked.version) i++;
  forget_lookup(lookup);
  if (i == count) {
    adit_udp_wait_refuse(&session->base, &session->wait, &asked);
    return;
  }
  struct adit_udp_waiting *one;
  while ((one = adit_udp_wait_take(session->base.all, &session->wait, &asked)) != NULL) {
    struct iovec iov = {one->bytes, one->length};
    struct adit_udp_peer *peer = adit_udp_peers_note(relay, &session->peers, one->local, true);
    peer->real = (adit_endpoint){addresses[i], one->local.port};
    send_to(session, peer->real, one->ttl, &iov, 1, one->length);
    free(one);
  }
}

static void on_not_found(void *user, bool exists, const char *why) {
  struct lookup *lookup = user;
  struct direct_session *session = lookup->session;
  adit_ip asked = lookup->asked;
  (void)exists;
  (void)why;
  forget_lookup(lookup);
  adit_udp_wait_refuse(&session->base, &session->wait, &asked);
}

static int look_up(struct direct_session *session, adit_ip asked, const char *name) {
  static const struct adit_resolve_events events = {.found = on_found, .failed = on_not_found};
  struct lookup *lookup = calloc(1, sizeof *lookup);
  if (!lookup) return -ENOMEM;
  lookup->session = session;
  lookup->asked = asked;
  int error = adit_resolve_start(session->base.egress->resolver, name, asked.version, &events, lookup,
                                 &lookup->resolve);
  if (error) {
    free(lookup);
    return error;
  }
  lookup->next = session->lookups;
  session->lookups = lookup;
  return 0;
}

static void send_to_name(struct direct_session *session, const struct adit_datagram *datagram) {
  struct adit_relay *relay = session->base.all->relay;
  const char *name = adit_fake_name(relay, datagram->local.ip);
  if (!name || !session->base.egress->resolver) {
    refuse(session, datagram);
    return;
  }
  struct adit_udp_peer *peer = adit_udp_peers_note(relay, &session->peers, datagram->local, true);
  if (peer->real.ip.version) {
    send_to(session, peer->real, datagram->ttl, datagram->iov, datagram->iovcnt, datagram->length);
    return;
  }
  if (!find_lookup(session, datagram->local.ip) && look_up(session, datagram->local.ip, name) < 0) {
    refuse(session, datagram);
    return;
  }
  adit_udp_wait_put(session->base.all, &session->wait, datagram);
}

/* What the client knows an address outside by. */
static adit_endpoint known_as(const struct direct_session *session, adit_endpoint real) {
  if (!session->base.all->relay->fake) return real;
  const struct adit_udp_peer *peer = adit_udp_peers_named(&session->peers, real);
  return peer ? peer->asked : real;
}

/* ---- the way ----------------------------------------------------------------------------------------------------- */

static void send_direct(struct adit_udp_session *base, const struct adit_datagram *datagram) {
  struct adit_relay *relay = base->all->relay;
  if (relay->fake && adit_fake_is_ours(relay, datagram->local.ip))
    send_to_name(of(base), datagram);
  else
    send_to(of(base), datagram->local, datagram->ttl, datagram->iov, datagram->iovcnt, datagram->length);
}

static void receive_direct(struct adit_udp_session *session, adit_endpoint from, const uint8_t *bytes, size_t length) {
  adit_udp_deliver(session, known_as(of(session), from), bytes, length);
}

static void pass_on(struct adit_udp_session *session, const struct adit_icmp_error *error) {
  if (!error->final) return;
  struct iovec head = {(void *)(uintptr_t)error->head, error->length};
  adit_stack_send_unreachable(session->all->relay->stack, known_as(of(session), error->target), session->client,
                              error->how, error->reporter, &head, 1);
}

static void tell_client(struct adit_udp_session *session, adit_endpoint local, const struct iovec *payload, int error) {
  const adit_ip nobody = {{0}, 0};
  adit_udp_drop(session->all);
  if (error == -EMSGSIZE || error == -EINVAL) return; /* nothing that an ICMP error could say */
  adit_stack_send_unreachable(session->all->relay->stack, known_as(of(session), local), session->client,
                              adit_icmp_error_refusal(error), nobody, payload, 1);
}

static void close_direct(struct adit_udp_session *base) {
  struct direct_session *session = of(base);
  struct lookup *next;
  for (struct lookup *lookup = session->lookups; lookup; lookup = next) {
    next = lookup->next;
    adit_resolve_cancel(lookup->resolve);
    free(lookup);
  }
  session->lookups = NULL;
  adit_udp_wait_drop(base->all, &session->wait);
  adit_udp_peers_forget(base->all->relay, &session->peers);
}

const struct adit_udp_way adit_udp_direct = {
    .size = sizeof(struct direct_session),
    .open = open_direct,
    .send = send_direct,
    .receive = receive_direct,
    .complain = pass_on,
    .failed = tell_client,
    .close = close_direct,
};
