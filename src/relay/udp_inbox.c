/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams on their way in: many in a system call, none merged and none split.
 *
 * recvmmsg into the inbox, with UDP_GRO: what the kernel has joined is taken apart again by the length it tells. What
 * comes out of that for one client, from one peer and in equal lengths, goes to the stack as one run, which the device
 * cuts: one write for dozens of datagrams.
 *
 * The inbox is the worker's: nothing is allocated on the way of a datagram, and a run refers to bytes in it, so it leaves
 * before the next recvmmsg. A callback of the way out may close the socket; every loop here looks for that.
 */
#include "relay/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_GRO
#define UDP_GRO 104 /* linux/udp.h */
#endif

enum {
  BATCH = 32,       /* in one recvmmsg */
  RUN_PIECES = 48,  /* datagrams that leave together */
  RUN_MOST = 65000, /* bytes of them: an IP packet's */
  ROUNDS = 4,       /* times that this is done before others have their turn */
  LONGEST = 65536   /* more than any datagram has */
};

/* Room for a length to cut by. */
union control {
  size_t align; /* as struct cmsghdr, which ends with an array and cannot be an array's element */
  char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
};
static_assert(_Alignof(union control) >= _Alignof(struct cmsghdr), "aligned for a struct cmsghdr");

/* Datagrams from one peer for one client, which leave together. */
struct run {
  const struct adit_udp_session *session; /* not looked into */
  adit_endpoint from;
  adit_endpoint to;
  size_t each; /* bytes of every datagram but the last */
  size_t bytes;
  unsigned count;
  bool ended; /* the last datagram is shorter: none may follow */
  struct iovec datagram[RUN_PIECES];
};

struct adit_udp_inbox {
  struct run run;
  struct mmsghdr header[BATCH];
  struct iovec iov[BATCH];
  struct sockaddr_storage from[BATCH];
  union control control[BATCH];
  uint8_t bytes[BATCH][LONGEST];
};

static void send_run(struct adit_udp_sessions *all) {
  struct run *run = &all->inbox->run;
  struct adit_relay *relay = all->relay;
  unsigned count = run->count;
  size_t sent;
  run->count = 0;
  if (count == 1)
    sent = adit_stack_send_datagram(relay->stack, run->from, run->to, run->datagram, 1) == 0;
  else
    sent = adit_stack_send_datagrams(relay->stack, run->from, run->to, run->datagram, count, run->each);
  for (unsigned i = 0; i < count; i++) {
    if (i < sent)
      relay->stats.bytes_down += run->datagram[i].iov_len;
    else
      adit_udp_drop(all);
  }
}

void adit_udp_inbox_put(struct adit_udp_session *session, adit_endpoint from, const void *bytes, size_t length) {
  struct run *run = &session->all->inbox->run;
  bool goes_on = run->count > 0 && run->count < RUN_PIECES && !run->ended && run->session == session &&
                 adit_udp_same(run->from, from) && length > 0 && length <= run->each && run->bytes + length <= RUN_MOST;
  if (run->count > 0 && !goes_on) send_run(session->all);
  if (run->count == 0) {
    run->session = session;
    run->from = from;
    run->to = session->client;
    run->each = length;
    run->bytes = 0;
  }
  run->ended = length < run->each || length == 0;
  run->bytes += length;
  run->datagram[run->count++] = (struct iovec){(void *)(uintptr_t)bytes, length};
}

/* The length by which the kernel has joined datagrams, or 0. */
static size_t joined_by(struct msghdr *header) {
  for (struct cmsghdr *one = CMSG_FIRSTHDR(header); one; one = CMSG_NXTHDR(header, one)) {
    int length;
    if (one->cmsg_level != IPPROTO_UDP || one->cmsg_type != UDP_GRO || one->cmsg_len < CMSG_LEN(sizeof length))
      continue;
    memcpy(&length, CMSG_DATA(one), sizeof length);
    return length > 0 ? (size_t)length : 0;
  }
  return 0;
}

static void take_message(struct adit_udp_session *session, struct msghdr *header, size_t length) {
  adit_endpoint from = header->msg_namelen > 0 ? adit_outside_endpoint(header->msg_name) : (adit_endpoint){{{0}, 0}, 0};
  const uint8_t *bytes = header->msg_iov->iov_base;
  size_t each = joined_by(header);
  if (each == 0 || each > length) each = length;
  size_t offset = 0;
  do {
    size_t left = length - offset;
    session->way->receive(session, from, bytes + offset, left < each ? left : each);
    offset += each;
  } while (offset < length && adit_udp_socket_is_open(session));
}

void adit_udp_inbox_receive(struct adit_udp_session *session) {
  struct adit_udp_sessions *all = session->all;
  struct adit_udp_inbox *box = all->inbox;
  for (unsigned round = 0; round < ROUNDS && adit_udp_socket_is_open(session); round++) {
    for (unsigned i = 0; i < BATCH; i++) {
      box->iov[i] = (struct iovec){box->bytes[i], LONGEST};
      box->header[i].msg_hdr = (struct msghdr){.msg_name = &box->from[i],
                                               .msg_namelen = sizeof box->from[i],
                                               .msg_iov = &box->iov[i],
                                               .msg_iovlen = 1,
                                               .msg_control = &box->control[i],
                                               .msg_controllen = sizeof box->control[i]};
    }
    int count = recvmmsg(session->socket.watch.fd, box->header, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      adit_udp_socket_take_errors(session);
    }
    for (int i = 0; i < count && adit_udp_socket_is_open(session); i++)
      take_message(session, &box->header[i].msg_hdr, box->header[i].msg_len);
    if (box->run.count > 0) send_run(all);
    if (count >= 0 && count < BATCH) return;
  }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct adit_udp_inbox *adit_udp_inbox_new(void) {
  return calloc(1, sizeof(struct adit_udp_inbox));
}

void adit_udp_inbox_free(struct adit_udp_inbox *box) {
  free(box);
}
