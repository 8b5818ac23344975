/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP ASSOCIATE (RFC 1928, 7): datagrams of the client have a header with their destination; those that come back get one
 * with their source.
 *
 * INNER talks to the client and is connected to wherever the first datagram came from; OUTER talks to everybody. Both
 * have IPv6 sockets, on which IPv4 addresses are mapped ones. What the other side does not take at once is lost, as on a
 * network. Fragments (RFC 1928 leaves them to the server's choice) are dropped.
 *
 * BATCH messages of one system call each way. A message is a datagram, or several that came from one sender one after the
 * other and that the kernel joined (UDP_GRO); those that go to one place and are equally long leave as one again (UDP_SEGMENT).
 */
#include "socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  BATCH = 32,
  ROOM = 65536 +
         192,   /* bytes of a message that is received; not a power of two, so that messages do not share cache sets */
  HEADER4 = 10, /* 2 reserved, fragment, type, address, port */
  HEADER6 = 22,
  ROUNDS = 8, /* batches before others have their turn */
  SOCKET_ROOM = 4 << 20,
  OUTS = 64,            /* messages that are sent at a time */
  JOINED = 64,          /* datagrams in one of them */
  JOINED_BYTES = 65000, /* and their bytes */
  PIECES = 2 * OUTS * JOINED
};

struct control {
  _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
};

/** A message that goes out. */
struct out {
  struct sockaddr_in6 to;
  struct iovec *piece; /* its first one */
  unsigned pieces;
  unsigned datagrams;
  size_t each; /* bytes of a datagram */
  size_t bytes;
  bool closed; /* its last datagram was shorter */
};

/* Of each thread: datagrams on their way through. */
static _Thread_local struct {
  struct mmsghdr header[BATCH];
  struct iovec iov[BATCH];
  struct sockaddr_in6 name[BATCH];
  struct control control[BATCH];
  uint8_t wrapping[BATCH][HEADER6];
  uint8_t room[BATCH][ROOM];

  struct out out[OUTS];
  struct mmsghdr out_header[OUTS];
  struct control out_control[OUTS];
  unsigned outs;
  struct iovec piece[PIECES];
  unsigned pieces;
} batch;

static int open_socket(const struct sockaddr_in6 *own) {
  const int no = 0;
  const int yes = 1;
  const int room = SOCKET_ROOM;
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes);
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

static int receive(int fd) {
  for (unsigned i = 0; i < BATCH; i++) {
    batch.iov[i] = (struct iovec){batch.room[i], ROOM};
    batch.header[i].msg_hdr = (struct msghdr){.msg_name = &batch.name[i],
                                              .msg_namelen = sizeof batch.name[i],
                                              .msg_iov = &batch.iov[i],
                                              .msg_iovlen = 1,
                                              .msg_control = &batch.control[i],
                                              .msg_controllen = sizeof batch.control[i]};
  }
  return recvmmsg(fd, batch.header, BATCH, MSG_DONTWAIT, NULL);
}

/* How long each datagram in message `i` is, but for the last one. */
static size_t each_of(unsigned i) {
  struct msghdr *header = &batch.header[i].msg_hdr;
  int each = 0;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(header); one; one = CMSG_NXTHDR(header, one))
    if (one->cmsg_level == IPPROTO_UDP && one->cmsg_type == UDP_GRO) memcpy(&each, CMSG_DATA(one), sizeof each);
  return each > 0 ? (size_t)each : batch.header[i].msg_len;
}

/* ---- what goes out ----------------------------------------------------------------------------------------------- */

/* Send what was collected; `connected` sockets need no name. */
static void flush(int fd, bool connected) {
  for (unsigned i = 0; i < batch.outs; i++) {
    struct out *out = &batch.out[i];
    struct msghdr *header = &batch.out_header[i].msg_hdr;
    *header = (struct msghdr){.msg_iov = out->piece, .msg_iovlen = out->pieces};
    if (!connected) {
      header->msg_name = &out->to;
      header->msg_namelen = sizeof out->to;
    }
    if (out->datagrams < 2) continue;
    uint16_t each = (uint16_t)out->each;
    header->msg_control = &batch.out_control[i];
    header->msg_controllen = CMSG_SPACE(sizeof each);
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    *control = (struct cmsghdr){.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof each)};
    memcpy(CMSG_DATA(control), &each, sizeof each);
  }
  for (unsigned done = 0; done < batch.outs;) {
    int put = sendmmsg(fd, batch.out_header + done, batch.outs - done, MSG_DONTWAIT);
    if (put <= 0 && errno == EINTR) continue;
    done += put > 0 ? (unsigned)put : 1;
  }
  batch.outs = batch.pieces = 0;
}

static bool same_place(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b) {
  return a->sin6_port == b->sin6_port && memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

/* One more datagram, of `count` pieces. */
static void add(int fd, bool connected, const struct sockaddr_in6 *to, const struct iovec *piece, unsigned count) {
  size_t bytes = 0;
  for (unsigned i = 0; i < count; i++) bytes += piece[i].iov_len;
  struct out *out = batch.outs > 0 ? &batch.out[batch.outs - 1] : NULL;
  bool joins = out && !out->closed && bytes > 0 && bytes <= out->each && out->datagrams < JOINED &&
               out->bytes + bytes <= JOINED_BYTES && (connected || same_place(&out->to, to));
  if (!joins && batch.outs == OUTS) flush(fd, connected);
  if (!joins) {
    out = &batch.out[batch.outs++];
    *out = (struct out){.piece = batch.piece + batch.pieces, .each = bytes};
    if (!connected) out->to = *to;
  }
  memcpy(batch.piece + batch.pieces, piece, count * sizeof *piece);
  batch.pieces += count;
  out->pieces += count;
  out->datagrams++;
  out->bytes += bytes;
  out->closed = bytes < out->each || bytes == 0;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* A datagram of the client's without its header, to whom that names, if it is one to be relayed. */
static void unwrap(int fd, const uint8_t *text, size_t length) {
  if (length < HEADER4 || text[2] != 0 || (text[3] != 1 && (text[3] != 4 || length < HEADER6))) return;
  size_t header = text[3] == 4 ? HEADER6 : HEADER4;
  struct sockaddr_in6 to = {.sin6_family = AF_INET6};
  if (text[3] == 4) {
    memcpy(&to.sin6_addr, text + 4, 16);
  } else {
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    memcpy(to.sin6_addr.s6_addr + 12, text + 4, 4);
  }
  memcpy(&to.sin6_port, text + header - 2, 2);
  add(fd, false, &to, &(struct iovec){(uint8_t *)(uintptr_t)text + header, length - header}, 1);
}

/* The header for what comes from `from`. Returns its length. */
static size_t make_header(uint8_t *text, const struct sockaddr_in6 *from) {
  bool four = IN6_IS_ADDR_V4MAPPED(&from->sin6_addr);
  size_t header = four ? HEADER4 : HEADER6;
  memcpy(text, (const uint8_t[]){0, 0, 0, four ? 1 : 4}, 4);
  if (four)
    memcpy(text + 4, from->sin6_addr.s6_addr + 12, 4);
  else
    memcpy(text + 4, &from->sin6_addr, 16);
  memcpy(text + header - 2, &from->sin6_port, 2);
  return header;
}

void socks_udp_turn(struct socks_end *end) {
  struct socks_session *session = end->session;
  bool out = end == &session->end[SOCKS_INNER];
  int other = session->end[out ? SOCKS_OUTER : SOCKS_INNER].fd;
  for (unsigned round = 0; round < ROUNDS; round++) {
    int got = receive(end->fd);
    if (got <= 0) return;
    if (out && session->talked != SIZE_MAX) { /* the first: from now on the kernel drops those of others */
      session->talked = SIZE_MAX;
      if (connect(end->fd, (const struct sockaddr *)&batch.name[0], sizeof batch.name[0]) != 0) return;
    }
    for (unsigned i = 0; i < (unsigned)got; i++) {
      size_t left = batch.header[i].msg_len;
      size_t each = each_of(i);
      uint8_t *text = batch.room[i];
      size_t header = out ? 0 : make_header(batch.wrapping[i], &batch.name[i]);
      do {
        size_t length = left < each ? left : each;
        if (out)
          unwrap(other, text, length);
        else
          add(other, true, NULL, (struct iovec[]){{batch.wrapping[i], header}, {text, length}}, 2);
        text += length;
        left -= length;
      } while (left > 0);
    }
    flush(other, !out);
  }
}
