/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams through a SOCKS5 proxy (RFC 1928, UDP ASSOCIATE): an association a session.
 *
 * One for each address and port of a client, and not one for all: a proxy gives an association one socket outside, and
 * an answer says only who sent it. With several clients behind one association that talk to the same server, nobody
 * could tell whose answer it is. Servers expect it so, too: most tie an association to the first address that sends.
 *
 *   STAGE_IDLE    no association. The next datagram asks for one
 *   STAGE_ASKING  `connect` is under way; datagrams wait in the queue
 *   STAGE_OPEN    `control` is the connection that keeps the association; the session's socket is connected to the
 *                 proxy's relay
 *
 * The association is over when its control connection ends (RFC 1928, 7), or when nobody listens at the relay any more;
 * then the stage is IDLE. It is made anew with the next datagram of the client and not before: the address that peers
 * know was the old association's, so until the client has sent something nobody can reach it anyway; and many proxies
 * close what is idle, which must not be asked for again and again.
 *
 * Where there is no association to be had, the client gets port unreachable: whoever could do without datagrams (QUIC)
 * does so at once. For HOLD_NS after a refusal nobody asks that proxy again, in no session of the worker.
 *
 * The relay's address is what the proxy says, except where that cannot be: 0.0.0.0, ::, a name, or the proxy's own
 * loopback address while the proxy is elsewhere, all mean the proxy's own address.
 *
 * Dropped and counted are: what does not fit the queue (udp_wait.c), pieces of datagrams (FRAG), which no server is
 * known to send, and what is longer than a datagram with the proxy's header can be, which takes 10 bytes or more of
 * 65,507.
 *
 * Lifetimes: everything here is the session's and ends with it. A control connection's watch outlives it until the
 * reap, so it is memory of its own.
 */
#include "relay/udp_peers.h"
#include "relay/udp_wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  KEEPALIVE_IDLE_S = 30, /* of control connections, so that a proxy that vanished is noticed */
  KEEPALIVE_EVERY_S = 10,
  KEEPALIVE_COUNT = 3
};
#define HOLD_NS UINT64_C(2000000000)

enum stage { STAGE_IDLE, STAGE_ASKING, STAGE_OPEN };

struct control {
  struct adit_relay_socket socket; /* first member; its fd is owned */
  struct socks5_session *session;
};

struct socks5_session {
  struct adit_udp_session base; /* first member */
  enum stage stage;
  struct adit_connect *connect; /* STAGE_ASKING */
  struct control *control;      /* STAGE_OPEN */
  struct adit_udp_wait wait;    /* STAGE_ASKING */
  struct adit_udp_peers peers;
};

static struct socks5_session *of(struct adit_udp_session *session) {
  return (struct socks5_session *)session;
}

static struct adit_relay *relay_of(const struct socks5_session *session) {
  return session->base.all->relay;
}

static uint64_t now_of(const struct socks5_session *session) {
  return adit_loop_now(relay_of(session)->loop);
}

/* ---- the association --------------------------------------------------------------------------------------------- */

static void close_association(struct socks5_session *session) {
  struct control *control = session->control;
  if (control) {
    session->control = NULL;
    adit_loop_close(relay_of(session)->loop, &control->socket.watch, adit_watch_free);
  }
  adit_udp_socket_close(&session->base, NULL);
  session->stage = STAGE_IDLE;
}

/* Nothing is said on a control connection any more; but its end says that the association has ended. */
static void on_control(struct adit_relay_socket *socket, uint32_t events) {
  struct control *control = (struct control *)socket; /* its first member */
  uint8_t bytes[256];
  ssize_t got;
  (void)events;
  do {
    got = recv(socket->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
  } while (got > 0 || (got < 0 && errno == EINTR));
  if (got == 0 || errno != EAGAIN) close_association(control->session);
}

static bool is_loopback(adit_ip ip) {
  static const adit_ip loopback6 = {.bytes = {[15] = 1}, .version = 6};
  return ip.version == 4 ? ip.bytes[0] == 127 : adit_ip_equal(ip, loopback6);
}

static bool is_unspecified(adit_ip ip) {
  static const uint8_t zero[16];
  return memcmp(ip.bytes, zero, sizeof zero) == 0; /* of no version, too */
}

static adit_endpoint relay_address(const struct adit_egress *egress, adit_endpoint said) {
  adit_ip proxy = egress->options->upstream.address.ip;
  struct sockaddr_storage address;
  if (said.ip.version) { /* an IPv4-mapped address becomes IPv4 */
    adit_outside_sockaddr(said, &address);
    said = adit_outside_endpoint(&address);
  }
  if (is_unspecified(said.ip) || (is_loopback(said.ip) && !is_loopback(proxy))) said.ip = proxy;
  return said;
}

static void keep_alive(int fd) {
  static const struct {
    int level, name, value;
  } options[] = {
      {SOL_SOCKET, SO_KEEPALIVE, 1},
      {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
      {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
      {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
  };
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
    (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static bool is_named(const struct adit_relay *relay, adit_ip ip) {
  return relay->fake && adit_fake_is_ours(relay, ip);
}

static void send_wrapped(struct socks5_session *session, adit_endpoint local, const struct iovec *iov, unsigned iovcnt,
                         size_t length) {
  struct adit_relay *relay = relay_of(session);
  uint8_t head[ADIT_SOCKS5_HEADER];
  bool named = is_named(relay, local.ip);
  const char *name = named ? adit_fake_name(relay, local.ip) : NULL;
  if (named && !name) { /* it was given up while the datagram waited */
    adit_udp_drop(session->base.all);
    return;
  }
  adit_udp_outbox_put(&session->base, &(struct adit_udp_message){.local = local,
                                                                 .head = head,
                                                                 .head_length = adit_socks5_wrap(local, name, head),
                                                                 .iov = iov,
                                                                 .iovcnt = iovcnt,
                                                                 .length = length});
}

/* Keep the control connection, take up the socket for datagrams. Returns 0 or a negative errno. */
static int open_association(struct socks5_session *session, struct adit_watch *socket, adit_endpoint to) {
  struct control *control = calloc(1, sizeof *control);
  int error = -ENOMEM;
  if (!control) return error;
  control->session = session;
  control->socket.ready = on_control;
  keep_alive(socket->fd);
  error = adit_udp_socket_open(&session->base, to.ip.version, &to);
  if (error) goto free_control;
  error = adit_loop_hand_over(relay_of(session)->loop, socket, &control->socket.watch, EPOLLIN | EPOLLRDHUP,
                              adit_watch_free);
  if (error) goto close_socket;
  session->control = control;
  session->stage = STAGE_OPEN;
  return 0;

close_socket:
  adit_udp_socket_close(&session->base, NULL);
free_control:
  free(control);
  return error;
}

static void on_associated(void *user, struct adit_watch *socket, adit_endpoint said) {
  struct socks5_session *session = user;
  struct adit_relay *relay = relay_of(session);
  adit_endpoint to = relay_address(session->base.egress, said);
  session->connect = NULL;
  session->stage = STAGE_IDLE;
  int error = to.port ? open_association(session, socket, to) : -EADDRNOTAVAIL;
  if (error) {
    adit_loop_close(relay->loop, socket, adit_watch_free);
    char text[ADIT_ADDRESS_TEXT];
    adit_log_limited(relay->log, &relay->upstream_limit, now_of(session), ADIT_LOG_WARNING, 0,
                     "the proxy's relay for datagrams, %s, cannot be used: %s", adit_endpoint_format(to, text),
                     strerror(-error));
    adit_udp_wait_refuse(&session->base, &session->wait, NULL);
    return;
  }
  struct adit_udp_waiting *one;
  while ((one = adit_udp_wait_take(session->base.all, &session->wait, NULL)) != NULL) {
    struct iovec iov = {one->bytes, one->length};
    send_wrapped(session, one->local, &iov, 1, one->length);
    free(one);
  }
  adit_udp_outbox_flush(session->base.all);
}

/* The connector has said why. */
static void on_failed(void *user, enum adit_refusal how, bool silent, const char *why) {
  struct socks5_session *session = user;
  (void)how;
  (void)silent;
  (void)why;
  session->connect = NULL;
  session->stage = STAGE_IDLE;
  session->base.egress->udp_held_until_ns = now_of(session) + HOLD_NS;
  adit_udp_wait_refuse(&session->base, &session->wait, NULL);
}

static int ask(struct socks5_session *session) {
  static const struct adit_connect_events events = {.associated = on_associated, .failed = on_failed};
  struct adit_relay *relay = relay_of(session);
  /* Zero: where the datagrams will come from is not known yet (RFC 1928, section 4). */
  const struct adit_upstream *proxy = &session->base.egress->options->upstream;
  struct adit_target target = {
      .endpoint = {.ip.version = proxy->address.ip.version}, .associate = true, .by = session->base.egress};
  int error = adit_connect_start(relay, &target, &events, session, &session->connect);
  if ((error == -EMFILE || error == -ENFILE) &&
      adit_udp_evict(session->base.all, &session->base, "no more file descriptors"))
    error = adit_connect_start(relay, &target, &events, session, &session->connect);
  if (error) {
    adit_log_limited(relay->log, &relay->socket_limit, now_of(session), ADIT_LOG_WARNING, 0,
                     "no connection to the proxy for a client's datagrams: %s", strerror(-error));
    return error;
  }
  session->stage = STAGE_ASKING;
  return 0;
}

/* ---- the way ----------------------------------------------------------------------------------------------------- */

static int open_session(struct adit_udp_session *base) {
  (void)base;
  return 0; /* with the first datagram */
}

static void refuse(struct socks5_session *session, const struct adit_datagram *datagram) {
  adit_udp_drop(session->base.all);
  adit_stack_refuse_datagram(relay_of(session)->stack, datagram);
}

static void send_datagram(struct adit_udp_session *base, const struct adit_datagram *datagram) {
  struct socks5_session *session = of(base);
  struct adit_relay *relay = relay_of(session);
  bool named = is_named(relay, datagram->local.ip);
  if (named && !adit_fake_name(relay, datagram->local.ip)) { /* it was never given to a name */
    refuse(session, datagram);
    return;
  }
  adit_udp_peers_note(relay, &session->peers, datagram->local, named);
  switch (session->stage) {
  case STAGE_IDLE:
    if (now_of(session) < session->base.egress->udp_held_until_ns || ask(session) < 0) {
      refuse(session, datagram);
      return;
    }
    adit_udp_wait_put(base->all, &session->wait, datagram);
    break;
  case STAGE_ASKING:
    adit_udp_wait_put(base->all, &session->wait, datagram);
    break;
  case STAGE_OPEN:
    send_wrapped(session, datagram->local, datagram->iov, datagram->iovcnt, datagram->length);
    break;
  }
}

static void receive_datagram(struct adit_udp_session *base, adit_endpoint from, const uint8_t *bytes, size_t length) {
  struct socks5_session *session = of(base);
  struct adit_socks5_datagram datagram;
  (void)from; /* the relay: the socket is connected */
  if (adit_socks5_unwrap(bytes, length, &datagram) < 0 || datagram.fragment != 0 ||
      !adit_udp_peers_source(relay_of(session), &session->peers, &datagram, &from) ||
      from.ip.version != base->client.ip.version) {
    adit_udp_drop(base->all);
    return;
  }
  adit_udp_deliver(base, from, bytes + datagram.header, length - datagram.header);
}

/* Errors that come back are about the relay: there is no association without it. */
static void hear_complaint(struct adit_udp_session *base, const struct adit_icmp_error *error) {
  if (error->final) close_association(of(base));
}

static void on_send_failed(struct adit_udp_session *base, adit_endpoint local, const struct iovec *payload, int error) {
  (void)local;
  (void)payload;
  adit_udp_drop(base->all);
  if (error != -EMSGSIZE && error != -EINVAL) close_association(of(base));
}

static void close_session(struct adit_udp_session *base) {
  struct socks5_session *session = of(base);
  if (session->connect) adit_connect_cancel(session->connect);
  session->connect = NULL;
  close_association(session);
  adit_udp_wait_drop(base->all, &session->wait);
  adit_udp_peers_forget(base->all->relay, &session->peers);
}

const struct adit_udp_way adit_udp_socks5 = {
    .size = sizeof(struct socks5_session),
    .open = open_session,
    .send = send_datagram,
    .receive = receive_datagram,
    .complain = hear_complaint,
    .failed = on_send_failed,
    .close = close_session,
};
