/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The sockets of UDP sessions, from open to close. What goes out by them is in udp_outbox.c, what comes in in udp_inbox.c.
 *
 * An error that comes back to a socket (icmp_error.c) waits in a queue of its own; each is told to the way out, which may
 * close the socket.
 */
#include "relay/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104 /* linux/udp.h */
#endif

enum {
  ERRORS_MOST = 64,       /* taken at once */
  RECEIVE_BYTES = 1 << 20 /* may wait in a socket: a tenth of a second at 80 Mbit/s */
};

bool adit_udp_socket_is_open(const struct adit_udp_session *session) {
  return session->socket.watch.watched;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

void adit_udp_socket_take_errors(struct adit_udp_session *session) {
  struct adit_icmp_error error;
  int fd = session->socket.watch.fd;
  for (unsigned i = 0; i < ERRORS_MOST && adit_icmp_error_take(fd, &error); i++) {
    session->way->complain(session, &error);
    if (!adit_udp_socket_is_open(session)) return;
  }
  adit_icmp_error_clear(fd);
}

static void ready(struct adit_relay_socket *socket, uint32_t events) {
  struct adit_udp_session *session = (struct adit_udp_session *)socket; /* its first member */
  if (events & EPOLLERR) adit_udp_socket_take_errors(session);
  if (adit_udp_socket_is_open(session) && (events & EPOLLIN)) adit_udp_inbox_receive(session);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int adit_udp_boxes_new(struct adit_udp_sessions *all) {
  all->outbox = adit_udp_outbox_new(all);
  all->inbox = adit_udp_inbox_new();
  if (all->outbox && all->inbox) return 0;
  adit_udp_boxes_free(all);
  return -ENOMEM;
}

void adit_udp_boxes_free(struct adit_udp_sessions *all) {
  adit_udp_inbox_free(all->inbox);
  adit_udp_outbox_free(all->outbox);
}

static int prepare(int fd, unsigned version, const adit_endpoint *peer) {
  const int on = 1;
  const int bytes = RECEIVE_BYTES;
  int error = adit_icmp_error_ask(fd, version);
  if (error) return error;
  if (version == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) return -errno;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); /* without privilege: what the system allows */
  (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);          /* from Linux 5.0 on */
  const adit_endpoint anybody = {{{0}, (uint8_t)version}, 0};
  struct sockaddr_storage to;
  socklen_t length = adit_outside_sockaddr(peer ? *peer : anybody, &to);
  /* Unconnected, it gets its port now: whoever sees what it sends has to know it (own.c). */
  return (peer ? connect(fd, (struct sockaddr *)&to, length) : bind(fd, (struct sockaddr *)&to, length)) < 0 ? -errno
                                                                                                             : 0;
}

int adit_udp_socket_open(struct adit_udp_session *session, unsigned version, const adit_endpoint *peer) {
  struct adit_relay *relay = session->all->relay;
  int domain = version == 4 ? AF_INET : AF_INET6;
  int fd = adit_outside_socket(session->egress, domain, SOCK_DGRAM, 0);
  if ((fd == -EMFILE || fd == -ENFILE) && adit_udp_evict(session->all, session, "no more file descriptors"))
    fd = adit_outside_socket(session->egress, domain, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  int error = prepare(fd, version, peer);
  if (error) goto close_fd;
  session->socket.ready = ready;
  session->gso_most = UINT16_MAX;
  error = adit_loop_watch(relay->loop, &session->socket.watch, ADIT_WATCH_SOCKET, fd, EPOLLIN);
  if (error) goto close_fd;
  adit_own_note(relay->options->own, &session->own, IPPROTO_UDP, fd, peer ? *peer : (adit_endpoint){{{0}, 0}, 0});
  return 0;

close_fd:
  close(fd);
  session->socket.watch.fd = -1;
  return error;
}

void adit_udp_socket_close(struct adit_udp_session *session, void (*release)(struct adit_watch *watch)) {
  struct adit_watch *watch = &session->socket.watch;
  adit_udp_outbox_leave(session);
  if (!watch->watched) return;
  adit_own_forget(&session->own);
  adit_loop_close(session->all->relay->loop, watch, release);
  watch->fd = -1;
}
