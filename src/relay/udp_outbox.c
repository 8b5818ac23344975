/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams on their way out: many in a system call, none merged and none split.
 *
 * Datagrams of one session that come in one burst are copied behind each other into the outbox and leave in one sendmmsg
 * at the end of the burst (deferred work), or as soon as a datagram of another session comes. Runs of equal length for
 * one address are one message that the kernel cuts again (UDP_SEGMENT, udp(7)): the cuts are where they were, and the way
 * through the kernel is gone once. Where it cannot cut (no checksum offload, a path too narrow, an older kernel), they go
 * out one by one. A large datagram is sent at once from where it lies.
 *
 * Nothing waits for room: a datagram that the socket does not take is dropped and counted, as in any router.
 *
 * A send may fail with an error that belongs to an earlier datagram (icmp_error.c), and is then no longer in the way.
 * So it is tried again; what fails TRIES times is a failure of its own.
 *
 * The outbox is the worker's: nothing is allocated on the way of a datagram. A callback of the way out may close the
 * socket; every loop here looks for that.
 */
#include "relay/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

enum {
  MESSAGES = 64,      /* in one sendmmsg */
  STAGE = 128 * 1024, /* bytes in one sendmmsg */
  LARGE = 16 * 1024,  /* a datagram for which a copy costs more than a system call */
  SEGMENTS_MOST = 64, /* UDP_MAX_SEGMENTS of older kernels */
  RUN_MOST = 65000,   /* bytes in one message that the kernel cuts: an IP packet's */
  TRIES = 3
};

union address {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
};

/* Room for a TTL and a length to cut by. */
union control {
  size_t align; /* as struct cmsghdr, which ends with an array and cannot be an array's element */
  char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
};
static_assert(_Alignof(union control) >= _Alignof(struct cmsghdr), "aligned for a struct cmsghdr");

/* One message of the outbox: a datagram, or a run of them. */
struct outgoing {
  adit_endpoint local; /* of the first datagram */
  uint16_t each;       /* bytes of every datagram but the last */
  uint16_t head;       /* bytes in front of the payload of each */
  uint16_t segments;   /* datagrams */
  uint8_t ttl;
  bool addressed;
  bool ended; /* the last datagram is shorter: none may follow */
};

struct adit_udp_outbox {
  struct adit_work work;
  struct adit_udp_session *session; /* whose datagrams these are; NULL = none */
  unsigned count;
  size_t used;
  struct outgoing message[MESSAGES];
  struct mmsghdr header[MESSAGES];
  struct iovec iov[MESSAGES];
  union address to[MESSAGES];
  union control control[MESSAGES];
  uint8_t bytes[STAGE];
};

static bool is_lack_of_room(int error) {
  return error == -EAGAIN || error == -EWOULDBLOCK || error == -ENOBUFS || error == -ENOMEM;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void add_control(struct msghdr *header, union control *control, int level, int type, const void *value,
                        size_t length) {
  struct cmsghdr *one = (struct cmsghdr *)(control->bytes + header->msg_controllen);
  one->cmsg_level = level;
  one->cmsg_type = type;
  one->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(one), value, length);
  header->msg_control = control;
  header->msg_controllen += CMSG_SPACE(length);
}

/* Fill the header of a message. Its iovec is there. */
static void address_message(const struct outgoing *message, unsigned version, struct msghdr *header, union address *to,
                            union control *control) {
  memset(control, 0, sizeof *control);
  header->msg_control = NULL;
  header->msg_controllen = 0;
  header->msg_flags = 0;
  header->msg_name = NULL;
  header->msg_namelen = 0;
  if (message->addressed) {
    header->msg_name = to;
    header->msg_namelen = adit_outside_sockaddr(message->local, to);
  }
  if (message->ttl > 0) {
    int ttl = message->ttl;
    if (version == 4)
      add_control(header, control, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    else
      add_control(header, control, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof ttl);
  }
  if (message->segments > 1)
    add_control(header, control, IPPROTO_UDP, UDP_SEGMENT, &message->each, sizeof message->each);
}

static int send_message(const struct adit_udp_session *session, const struct msghdr *header) {
  ssize_t sent;
  do {
    sent = sendmsg(session->socket.watch.fd, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

static size_t payload_of(const struct msghdr *header, const struct outgoing *message) {
  size_t bytes = 0;
  for (size_t i = 0; i < header->msg_iovlen; i++) bytes += header->msg_iov[i].iov_len;
  return bytes - (size_t)message->segments * message->head;
}

static void drop_message(struct adit_udp_session *session, const struct outgoing *message) {
  for (unsigned i = 0; i < message->segments; i++) adit_udp_drop(session->all);
}

static void fail_message(struct adit_udp_session *session, const struct outgoing *message, const struct msghdr *header,
                         int error) {
  struct iovec payload = {NULL, 0};
  for (size_t i = 0, skip = message->head; i < header->msg_iovlen && payload.iov_len == 0; i++) {
    const struct iovec *piece = &header->msg_iov[i];
    if (piece->iov_len > skip) payload = (struct iovec){(char *)piece->iov_base + skip, piece->iov_len - skip};
    skip = piece->iov_len > skip ? 0 : skip - piece->iov_len;
  }
  if (message->segments > 1 && payload.iov_len > (size_t)message->each - message->head)
    payload.iov_len = (size_t)message->each - message->head;
  for (unsigned i = 1; i < message->segments; i++) adit_udp_drop(session->all);
  session->way->failed(session, message->local, &payload, error);
}

/* The kernel cannot cut this message. */
static bool is_about_cuts(const struct outgoing *message, int error) {
  return message->segments > 1 && (error == -EINVAL || error == -EMSGSIZE || error == -EIO);
}

static void send_apart(struct adit_udp_session *session, const struct outgoing *run, const struct iovec *bytes);

/* A message could not be sent. Tries again what is worth it, and ends what is not. */
static void retry_message(struct adit_udp_session *session, const struct outgoing *message, struct msghdr *header,
                          int error) {
  for (unsigned i = 1; i < TRIES && error && !is_lack_of_room(error) && !is_about_cuts(message, error); i++)
    error = send_message(session, header);
  if (error == 0) {
    session->all->relay->stats.bytes_up += payload_of(header, message);
  } else if (is_about_cuts(message, error)) {
    session->gso_most = error == -EIO ? 0 : (uint16_t)(message->each - 1);
    send_apart(session, message, header->msg_iov);
  } else if (is_lack_of_room(error)) {
    drop_message(session, message);
  } else {
    fail_message(session, message, header, error);
  }
}

/* Send the datagrams of a run, which lies in one piece, one by one. */
static void send_apart(struct adit_udp_session *session, const struct outgoing *run, const struct iovec *bytes) {
  struct outgoing one = *run;
  union address to;
  union control control;
  one.segments = 1;
  for (size_t offset = 0; offset < bytes->iov_len; offset += run->each) {
    size_t left = bytes->iov_len - offset;
    struct iovec iov = {(char *)bytes->iov_base + offset, left < run->each ? left : run->each};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (!adit_udp_socket_is_open(session)) {
      adit_udp_drop(session->all);
      continue;
    }
    address_message(&one, session->client.ip.version, &header, &to, &control);
    int error = send_message(session, &header);
    if (error)
      retry_message(session, &one, &header, error); /* one datagram: it does not come back here */
    else
      session->all->relay->stats.bytes_up += payload_of(&header, &one);
  }
}

void adit_udp_outbox_flush(struct adit_udp_sessions *all) {
  struct adit_udp_outbox *box = all->outbox;
  struct adit_udp_session *session = box->session;
  unsigned count = box->count;
  box->session = NULL;
  box->count = 0;
  box->used = 0;
  for (unsigned i = 0; i < count; i++) {
    box->header[i].msg_hdr.msg_iov = &box->iov[i];
    box->header[i].msg_hdr.msg_iovlen = 1;
    address_message(&box->message[i], session->client.ip.version, &box->header[i].msg_hdr, &box->to[i],
                    &box->control[i]);
  }
  for (unsigned i = 0; i < count;) {
    if (!adit_udp_socket_is_open(session)) {
      drop_message(session, &box->message[i++]);
      continue;
    }
    int sent = sendmmsg(session->socket.watch.fd, box->header + i, count - i, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      retry_message(session, &box->message[i], &box->header[i].msg_hdr, -errno);
      sent = 1;
    } else {
      for (unsigned k = i; k < i + (unsigned)sent; k++)
        all->relay->stats.bytes_up += payload_of(&box->header[k].msg_hdr, &box->message[k]);
    }
    i += (unsigned)sent;
  }
}

/* ---- the outbox -------------------------------------------------------------------------------------------------- */

void adit_udp_outbox_leave(struct adit_udp_session *session) {
  if (session->all->outbox->session == session) adit_udp_outbox_flush(session->all);
}

static void end_of_burst(void *user, struct adit_work *work) {
  (void)work;
  adit_udp_outbox_flush(user);
}

/* Whether a datagram of `length` bytes, head included, may go out in one message with those of `run`. */
static bool continues(const struct adit_udp_session *session, const struct outgoing *run, size_t run_bytes,
                      const struct adit_udp_message *message, size_t length) {
  return !run->ended && length > 0 && length <= run->each && run->each <= session->gso_most &&
         run->segments < SEGMENTS_MOST && run_bytes + length <= RUN_MOST && run->ttl == message->ttl &&
         run->head == message->head_length &&
         (message->addressed ? adit_udp_same(run->local, message->local) : !run->addressed);
}

static void stage(struct adit_udp_outbox *box, const void *data, size_t length) {
  if (length > 0) memcpy(box->bytes + box->used, data, length);
  box->used += length;
}

static struct outgoing outgoing_of(const struct adit_udp_message *message, size_t length) {
  return (struct outgoing){.local = message->local,
                           .each = (uint16_t)length,
                           .head = (uint16_t)message->head_length,
                           .segments = 1,
                           .ttl = message->ttl,
                           .addressed = message->addressed};
}

static void send_at_once(struct adit_udp_session *session, const struct adit_udp_message *message, size_t length) {
  struct iovec pieces[ADIT_PACKET_PIECES];
  unsigned count = 0;
  union address to;
  union control control;
  struct msghdr header = {.msg_iov = pieces};
  struct outgoing one = outgoing_of(message, length);
  if (message->head_length > 0)
    pieces[count++] = (struct iovec){(void *)(uintptr_t)message->head, message->head_length};
  for (unsigned i = 0; i < message->iovcnt && count < ADIT_PACKET_PIECES; i++) pieces[count++] = message->iov[i];
  header.msg_iovlen = count;
  address_message(&one, session->client.ip.version, &header, &to, &control);
  int error = send_message(session, &header);
  if (error)
    retry_message(session, &one, &header, error);
  else
    session->all->relay->stats.bytes_up += message->length;
}

void adit_udp_outbox_put(struct adit_udp_session *session, const struct adit_udp_message *message) {
  struct adit_udp_sessions *all = session->all;
  struct adit_udp_outbox *box = all->outbox;
  size_t length = message->head_length + message->length;
  if (box->session && (box->session != session || box->used + length > STAGE || length > LARGE))
    adit_udp_outbox_flush(all);
  if (!adit_udp_socket_is_open(session) || length > UINT16_MAX) {
    adit_udp_drop(all);
    return;
  }
  if (length > LARGE) {
    send_at_once(session, message, length);
    return;
  }
  struct outgoing *run = box->count > 0 ? &box->message[box->count - 1] : NULL;
  if (run && continues(session, run, box->iov[box->count - 1].iov_len, message, length)) {
    run->segments++;
    run->ended = length < run->each;
    box->iov[box->count - 1].iov_len += length;
  } else {
    if (box->count == MESSAGES) adit_udp_outbox_flush(all);
    box->message[box->count] = outgoing_of(message, length);
    box->iov[box->count++] = (struct iovec){box->bytes + box->used, length};
  }
  box->session = session;
  stage(box, message->head, message->head_length);
  for (unsigned i = 0; i < message->iovcnt; i++) stage(box, message->iov[i].iov_base, message->iov[i].iov_len);
  adit_loop_defer(all->relay->loop, &box->work);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct adit_udp_outbox *adit_udp_outbox_new(struct adit_udp_sessions *all) {
  struct adit_udp_outbox *box = calloc(1, sizeof *box);
  if (box) box->work = (struct adit_work){.run = end_of_burst, .user = all};
  return box;
}

void adit_udp_outbox_free(struct adit_udp_outbox *box) {
  free(box);
}
