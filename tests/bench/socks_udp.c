/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP ASSOCIATE (RFC 1928, 7): datagrams of the client have a header with their destination; those that come back get one
 * with their source.
 *
 * INNER talks to the client and is connected to wherever the first datagram came from; OUTER talks to everybody. Both
 * have IPv6 sockets, on which IPv4 addresses are mapped ones. Batches of one system call each way; what the other side
 * does not take at once is lost, as on a network. Fragments (RFC 1928 leaves them to the server's choice) are dropped.
 */
#include "socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  BATCH = 32,
  ROOM = 2048,  /* bytes of the largest datagram that is relayed */
  HEADER4 = 10, /* 2 reserved, fragment, type, address, port */
  HEADER6 = 22,
  AHEAD = HEADER6, /* bytes kept free before what comes from outside */
  ROUNDS = 8,      /* batches before others have their turn */
  SOCKET_ROOM = 4 << 20
};

/* Of each thread: datagrams on their way through. */
static _Thread_local struct {
  struct mmsghdr header[BATCH];
  struct iovec iov[BATCH];
  struct sockaddr_in6 name[BATCH];
  uint8_t room[BATCH][AHEAD + ROOM];
} batch;

static int open_socket(const struct sockaddr_in6 *own) {
  const int no = 0;
  const int room = SOCKET_ROOM;
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  if (bind(fd, (const struct sockaddr *)own, sizeof *own) == 0) return fd;
  close(fd);
  return -1;
}

uint16_t socks_udp_open(struct socks_worker *worker, struct socks_session *session) {
  struct sockaddr_in6 own;
  socklen_t length = sizeof own;
  const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  struct epoll_event event = {.events = EPOLLIN};
  if (getsockname(session->end[SOCKS_CLIENT].fd, (struct sockaddr *)&own, &length) != 0) return 0;
  own.sin6_port = 0;
  session->end[SOCKS_INNER].fd = open_socket(&own);
  session->end[SOCKS_OUTER].fd = open_socket(&any);
  for (unsigned i = SOCKS_INNER; i <= SOCKS_OUTER; i++) {
    event.data.ptr = &session->end[i];
    if (session->end[i].fd < 0 || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, session->end[i].fd, &event) != 0) return 0;
  }
  if (getsockname(session->end[SOCKS_INNER].fd, (struct sockaddr *)&own, &length) != 0) return 0;
  return ntohs(own.sin6_port);
}

/* Take a batch; what is received lies behind AHEAD bytes. */
static int receive(int fd) {
  for (unsigned i = 0; i < BATCH; i++) {
    batch.iov[i] = (struct iovec){batch.room[i] + AHEAD, ROOM};
    batch.header[i].msg_hdr = (struct msghdr){
        .msg_name = &batch.name[i], .msg_namelen = sizeof batch.name[i], .msg_iov = &batch.iov[i], .msg_iovlen = 1};
  }
  return recvmmsg(fd, batch.header, BATCH, MSG_DONTWAIT, NULL);
}

/* The header off, its address into the name. Returns whether the datagram is one to be relayed. */
static bool unwrap(unsigned i) {
  const uint8_t *text = batch.room[i] + AHEAD;
  size_t length = batch.header[i].msg_len;
  struct sockaddr_in6 *to = &batch.name[i];
  if (length < HEADER4 || text[2] != 0 || (text[3] != 1 && (text[3] != 4 || length < HEADER6))) return false;
  size_t header = text[3] == 4 ? HEADER6 : HEADER4;
  *to = (struct sockaddr_in6){.sin6_family = AF_INET6};
  if (text[3] == 4) {
    memcpy(&to->sin6_addr, text + 4, 16);
  } else {
    to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
    memcpy(to->sin6_addr.s6_addr + 12, text + 4, 4);
  }
  memcpy(&to->sin6_port, text + header - 2, 2);
  batch.iov[i] = (struct iovec){batch.room[i] + AHEAD + header, length - header};
  return true;
}

/* A header before what came, from the name; INNER is connected, so it needs none. */
static void wrap(unsigned i) {
  const struct sockaddr_in6 *from = &batch.name[i];
  bool four = IN6_IS_ADDR_V4MAPPED(&from->sin6_addr);
  size_t header = four ? HEADER4 : HEADER6;
  uint8_t *text = batch.room[i] + AHEAD - header;
  memcpy(text, (const uint8_t[]){0, 0, 0, four ? 1 : 4}, 4);
  if (four)
    memcpy(text + 4, from->sin6_addr.s6_addr + 12, 4);
  else
    memcpy(text + 4, &from->sin6_addr, 16);
  memcpy(text + header - 2, &from->sin6_port, 2);
  batch.iov[i] = (struct iovec){text, header + batch.header[i].msg_len};
  batch.header[i].msg_hdr.msg_name = NULL;
  batch.header[i].msg_hdr.msg_namelen = 0;
}

void socks_udp_turn(struct socks_end *end) {
  struct socks_session *session = end->session;
  bool out = end == &session->end[SOCKS_INNER];
  struct socks_end *other = &session->end[out ? SOCKS_OUTER : SOCKS_INNER];
  for (unsigned round = 0; round < ROUNDS; round++) {
    int got = receive(end->fd);
    if (got <= 0) return;
    if (out && session->talked != SIZE_MAX) { /* the first: from now on the kernel drops those of others */
      session->talked = SIZE_MAX;
      if (connect(end->fd, (const struct sockaddr *)&batch.name[0], sizeof batch.name[0]) != 0) return;
    }
    unsigned count = 0;
    for (unsigned i = 0; i < (unsigned)got; i++) {
      if (out && !unwrap(i)) continue;
      if (!out) wrap(i);
      batch.header[count++].msg_hdr = batch.header[i].msg_hdr;
    }
    for (unsigned done = 0; done < count;) {
      int put = sendmmsg(other->fd, batch.header + done, count - done, MSG_DONTWAIT);
      if (put <= 0 && errno == EINTR) continue;
      done += put > 0 ? (unsigned)put : 1;
    }
  }
}
