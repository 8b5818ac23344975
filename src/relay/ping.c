/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Echo requests that go out for real: what comes back to the client is what came back to us, or nothing.
 *
 * A ping is a client's address and identifier: one run of the `ping` command, or of traceroute. It has a socket of its
 * own. So its sequence numbers stay what they are, an answer needs no table to find its question, and an ICMP error is
 * about this client's request and no other's. TTL or hop limit go out as the client chose them and come back as they
 * arrived: the client sees what it would see without us, traceroute included.
 *
 * Sockets, for each version the first that can be had, found out at the start:
 *   KIND_PING   SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6: for groups in net.ipv4.ping_group_range. The kernel
 *               chooses the identifier and gives the socket only what is for it
 *   KIND_RAW    SOCK_RAW, with privilege: every answer on this machine comes to every such socket, so a filter in the
 *               kernel lets through only those with our identifier. Errors pass by the filter and are looked at here
 *   KIND_NONE   neither: the stack answers itself, and the log says so
 * It also answers for addresses that stand for names (--dns fake): they are ours, and nobody else's.
 *
 * Limits: PINGS_MOST at a time, the one idle longest goes first; each ends ten seconds after its
 * last packet, or after udp_idle_ms where that is shorter.
 * Timers: `expiry`, for the ping that is due first; it may fire early and look again.
 *
 * Lifetimes: a ping ends at expiry, when it makes room, or with the relay. Its fd is closed at once, its memory goes at
 * the loop's reap.
 */
#include "packet/checksum.h"
#include "packet/icmp.h"
#include "relay/icmp_error.h"
#include "relay/state.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  PINGS_MOST = 256,
  BATCH = 16, /* answers taken before others have their turn */
  HEADER = 8,
  ID = 4, /* offset in the header */
  SEQUENCE = 6,
  LONGEST = 65536,
  IDLE_MS = 10000,
  TRIES = 3
};
#define MILLISECOND_NS UINT64_C(1000000)

enum kind { KIND_PING, KIND_RAW, KIND_NONE };

struct ping {
  struct adit_relay_socket socket; /* first member; its fd is owned */
  struct adit_own_socket own;
  struct adit_pings *pings;
  struct ping *previous; /* list, the one idle longest first */
  struct ping *next;
  adit_ip client;
  uint16_t id;      /* the client's */
  uint16_t outside; /* KIND_RAW: ours */
  bool raw;
  uint8_t ttl; /* as last set; 0 = never */
  uint64_t used_ns;
};

struct adit_pings {
  struct adit_relay *relay;
  struct ping *first; /* idle longest */
  struct ping *last;
  unsigned count;
  uint64_t idle_ns;
  enum kind kind4;
  enum kind kind6;
  uint16_t last_id; /* KIND_RAW: given out last */
  struct adit_timer expiry;
  struct adit_log_limit limit_log;
  uint8_t bytes[LONGEST]; /* an answer */
};

static enum kind kind_of(const struct adit_pings *pings, unsigned version) {
  return version == 4 ? pings->kind4 : pings->kind6;
}

static uint64_t now_of(const struct adit_pings *pings) {
  return adit_loop_now(pings->relay->loop);
}

static uint16_t get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static void append(struct ping *ping) {
  struct adit_pings *pings = ping->pings;
  ping->next = NULL;
  ping->previous = pings->last;
  if (ping->previous)
    ping->previous->next = ping;
  else
    pings->first = ping;
  pings->last = ping;
}

static void detach(struct ping *ping) {
  struct adit_pings *pings = ping->pings;
  if (ping->previous)
    ping->previous->next = ping->next;
  else
    pings->first = ping->next;
  if (ping->next)
    ping->next->previous = ping->previous;
  else
    pings->last = ping->previous;
}

static void touch(struct ping *ping) {
  struct adit_pings *pings = ping->pings;
  ping->used_ns = now_of(pings);
  if (ping->next) {
    detach(ping);
    append(ping);
  }
  if (pings->expiry.slot == 0)
    adit_timers_set(adit_loop_timers(pings->relay->loop), &pings->expiry, pings->first->used_ns + pings->idle_ns);
}

/* Few, and the one that is looked for is most often the last one used. */
static struct ping *find(const struct adit_pings *pings, adit_ip client, uint16_t id) {
  struct ping *ping = pings->last;
  while (ping && !(ping->id == id && adit_ip_equal(ping->client, client))) ping = ping->previous;
  return ping;
}

static void end(struct ping *ping) {
  detach(ping);
  adit_own_forget(&ping->own);
  ping->pings->count--;
  adit_loop_close(ping->pings->relay->loop, &ping->socket.watch, adit_watch_free);
}

static void expire(void *user, struct adit_timer *timer) {
  struct adit_pings *pings = user;
  while (pings->first && pings->first->used_ns + pings->idle_ns <= now_of(pings)) end(pings->first);
  if (pings->first)
    adit_timers_set(adit_loop_timers(pings->relay->loop), timer, pings->first->used_ns + pings->idle_ns);
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static int open_kind(const struct adit_relay *relay, unsigned version, enum kind kind) {
  return adit_outside_socket(relay->egress, version == 4 ? AF_INET : AF_INET6, kind == KIND_RAW ? SOCK_RAW : SOCK_DGRAM,
                             version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Let through echo replies with our identifier. The IPv4 header is part of what is looked at, the IPv6 header is
   not. */
static int attach_filter(int fd, unsigned version, uint16_t id) {
  struct sock_filter code4[] = {
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* X = length of the IP header */
      BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ADIT_ICMP_ECHO_REPLY, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, ID), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),  BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_filter code6[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ADIT_ICMP6_ECHO_REPLY, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ID), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),  BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_fprog program = version == 4
                                  ? (struct sock_fprog){.len = sizeof code4 / sizeof code4[0], .filter = code4}
                                  : (struct sock_fprog){.len = sizeof code6 / sizeof code6[0], .filter = code6};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

/* An identifier that no other ping of ours has. */
static uint16_t new_id(struct adit_pings *pings) {
  const struct ping *ping;
  do {
    pings->last_id++;
    for (ping = pings->first; ping && !(ping->raw && ping->outside == pings->last_id);) ping = ping->next;
  } while (ping);
  return pings->last_id;
}

static int prepare(struct ping *ping, int fd) {
  static const int on = 1;
  unsigned version = ping->client.version;
  int error = adit_icmp_error_ask(fd, version);
  if (!error && ping->raw) error = attach_filter(fd, version, ping->outside);
  if (error) return error;
  int result = version == 4 ? setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on)
                            : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
  return result < 0 ? -errno : 0;
}

static void ready(struct adit_relay_socket *socket, uint32_t events);

static void make_room(struct adit_pings *pings, const char *why) {
  adit_log_limited(pings->relay->log, &pings->limit_log, now_of(pings), ADIT_LOG_WARNING, 0,
                   "%s: of %u pings under way the one idle longest ended early", why, pings->count);
  end(pings->first);
}

/* Returns 0 and `*made`, or a negative errno. */
static int begin(struct adit_pings *pings, adit_ip client, uint16_t id, struct ping **made) {
  struct adit_relay *relay = pings->relay;
  enum kind kind = kind_of(pings, client.version);
  if (pings->count >= PINGS_MOST) make_room(pings, "too many echo requests");
  struct ping *ping = calloc(1, sizeof *ping);
  if (!ping) return -ENOMEM;
  ping->pings = pings;
  ping->client = client;
  ping->id = id;
  ping->raw = kind == KIND_RAW;
  ping->outside = ping->raw ? new_id(pings) : 0;
  ping->socket.ready = ready;
  int fd = open_kind(relay, client.version, kind);
  if ((fd == -EMFILE || fd == -ENFILE) && pings->first) {
    make_room(pings, "no more file descriptors");
    fd = open_kind(relay, client.version, kind);
  }
  int error = fd < 0 ? fd : 0;
  if (error) goto free_ping;
  error = prepare(ping, fd);
  if (!error) error = adit_loop_watch(relay->loop, &ping->socket.watch, ADIT_WATCH_SOCKET, fd, EPOLLIN);
  if (error) goto close_fd;
  append(ping);
  pings->count++;
  *made = ping;
  return 0;

close_fd:
  close(fd);
free_ping:
  free(ping);
  return error;
}

/* ---- what comes back --------------------------------------------------------------------------------------------- */

/* `head` begins with the header of our request. */
static void pass_on(struct ping *ping, const struct adit_icmp_error *error) {
  struct adit_relay *relay = ping->pings->relay;
  if (!error->final || error->length < HEADER || error->target.ip.version != ping->client.version) return;
  if (ping->raw && get16(error->head + ID) != ping->outside) return;
  enum adit_refusal how = error->how == ADIT_REFUSE_RESET ? ADIT_REFUSE_HOST_UNREACHABLE : error->how;
  struct iovec data = {(void *)(uintptr_t)(error->head + HEADER), error->length - HEADER};
  touch(ping);
  adit_stack_send_echo_error(relay->stack, error->target.ip, ping->client, ping->id, get16(error->head + SEQUENCE), how,
                             error->reporter, &data, 1);
}

static void take_errors(struct ping *ping) {
  struct adit_icmp_error error;
  for (unsigned i = 0; i < BATCH && adit_icmp_error_take(ping->socket.watch.fd, &error); i++) pass_on(ping, &error);
  adit_icmp_error_clear(ping->socket.watch.fd);
}

static uint8_t ttl_of(struct msghdr *message) {
  for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one; one = CMSG_NXTHDR(message, one)) {
    int ttl;
    bool ours = (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_TTL) ||
                (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_HOPLIMIT);
    if (!ours || one->cmsg_len < CMSG_LEN(sizeof ttl)) continue;
    memcpy(&ttl, CMSG_DATA(one), sizeof ttl);
    return (uint8_t)ttl;
  }
  return 0;
}

static void take_reply(struct ping *ping, adit_ip from, uint8_t ttl, const uint8_t *bytes, size_t length) {
  struct adit_relay *relay = ping->pings->relay;
  bool v4 = ping->client.version == 4;
  if (ping->raw && v4) { /* the IP header comes along */
    size_t header = length > 0 ? (bytes[0] & 15U) * 4 : 0;
    if (header > length) return;
    bytes += header;
    length -= header;
  }
  if (length < HEADER || bytes[0] != (v4 ? ADIT_ICMP_ECHO_REPLY : ADIT_ICMP6_ECHO_REPLY)) return;
  if (ping->raw && get16(bytes + ID) != ping->outside) return; /* came before the filter was there */
  struct iovec data = {(void *)(uintptr_t)(bytes + HEADER), length - HEADER};
  touch(ping);
  adit_stack_send_echo_reply(relay->stack, from, ping->client, ping->id, get16(bytes + SEQUENCE), ttl, &data, 1);
}

static void ready(struct adit_relay_socket *socket, uint32_t events) {
  struct ping *ping = (struct ping *)socket; /* its first member */
  struct adit_pings *pings = ping->pings;
  if (events & EPOLLERR) take_errors(ping);
  for (unsigned i = 0; i < BATCH; i++) {
    struct sockaddr_storage from = {0};
    union {
      struct cmsghdr align;
      char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {pings->bytes, sizeof pings->bytes};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(socket->watch.fd, &message, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (length < 0) {
      take_errors(ping);
      continue;
    }
    take_reply(ping, adit_outside_endpoint(&from).ip, ttl_of(&message), pings->bytes, (size_t)length);
  }
}

/* ---- what goes out ----------------------------------------------------------------------------------------------- */

static int set_ttl(struct ping *ping, uint8_t ttl) {
  int value = ttl > 0 ? ttl : 1;
  int fd = ping->socket.watch.fd;
  if (ping->ttl == value) return 0;
  int result = ping->client.version == 4 ? setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof value)
                                         : setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof value);
  if (result < 0) return -errno;
  ping->ttl = (uint8_t)value;
  return 0;
}

/* The kernel makes the checksum, but for raw ICMP over IPv4. */
static int send_out(struct ping *ping, const struct adit_echo *echo) {
  bool v4 = echo->local.version == 4;
  uint8_t header[HEADER] = {v4 ? ADIT_ICMP_ECHO : ADIT_ICMP6_ECHO};
  struct iovec pieces[ADIT_PACKET_PIECES] = {{header, sizeof header}};
  if (echo->iovcnt >= ADIT_PACKET_PIECES) return -EMSGSIZE;
  for (unsigned i = 0; i < echo->iovcnt; i++) pieces[i + 1] = echo->iov[i];
  put16(header + ID, ping->outside);
  put16(header + SEQUENCE, echo->sequence);
  if (ping->raw && v4) {
    uint16_t checksum = (uint16_t)~adit_checksum_fold(
        adit_checksum_iov(0, pieces, echo->iovcnt + 1, 0, HEADER + echo->length));
    memcpy(header + 2, &checksum, sizeof checksum);
  }
  struct sockaddr_storage to;
  struct msghdr message = {.msg_name = &to,
                           .msg_namelen = adit_outside_sockaddr((adit_endpoint){echo->local, 0}, &to),
                           .msg_iov = pieces,
                           .msg_iovlen = echo->iovcnt + 1};
  int error = set_ttl(ping, echo->ttl);
  if (error) return error;
  for (unsigned i = 0; i < TRIES; i++) { /* an error may be an earlier request's, and is told only once */
    if (sendmsg(ping->socket.watch.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    error = -errno;
  }
  return error;
}

/* Where the kernel chooses the identifier, it has done so with the first packet. */
static void note_own(struct ping *ping, adit_ip target) {
  struct adit_own *own = ping->pings->relay->options->own;
  if (ping->raw)
    adit_own_note_id(own, &ping->own, ping->outside, target);
  else
    adit_own_note(own, &ping->own, IPPROTO_ICMP, ping->socket.watch.fd, (adit_endpoint){target, 0});
}

void adit_ping_echo(struct adit_relay *relay, const struct adit_echo *echo) {
  const adit_ip nobody = {{0}, 0};
  struct adit_pings *pings = relay->pings;
  bool ours = relay->fake && adit_fake_is_ours(relay, echo->local); /* an address of ours: it is we who are there */
  if (ours || kind_of(pings, echo->local.version) == KIND_NONE) {
    adit_stack_echo_reply(relay->stack, echo);
    return;
  }
  struct ping *ping = find(pings, echo->remote, echo->id);
  bool known = ping != NULL;
  int error = 0;
  if (!known &&
      adit_own_came_back(relay, IPPROTO_ICMP, (adit_endpoint){echo->remote, echo->id}, (adit_endpoint){echo->local, 0}))
    error = -EHOSTUNREACH;
  else if (!known)
    error = begin(pings, echo->remote, echo->id, &ping);
  if (!error) {
    touch(ping);
    error = send_out(ping, echo);
    if (!known) note_own(ping, echo->local);
  }
  if (error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES || error == -EPERM ||
      error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL)
    adit_stack_send_echo_error(relay->stack, echo->local, echo->remote, echo->id, echo->sequence,
                               adit_icmp_error_refusal(error), nobody, echo->iov, echo->iovcnt);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* What can be had. A failure that is not about privilege may pass: then each ping tries again. */
static enum kind find_kind(const struct adit_relay *relay, unsigned version) {
  for (enum kind kind = KIND_PING; kind < KIND_NONE; kind++) {
    int fd = open_kind(relay, version, kind);
    if (fd >= 0) close(fd);
    if (fd != -EACCES && fd != -EPERM && fd != -EPROTONOSUPPORT) return kind;
  }
  return KIND_NONE;
}

void adit_ping_renew(struct adit_relay *relay) {
  uint32_t idle_ms = relay->options->udp_idle_ms;
  relay->pings->idle_ns = (idle_ms > 0 && idle_ms < IDLE_MS ? idle_ms : IDLE_MS) * MILLISECOND_NS;
}

int adit_ping_start(struct adit_relay *relay) {
  struct adit_pings *pings = calloc(1, sizeof *pings);
  if (!pings) return -ENOMEM;
  pings->relay = relay;
  relay->pings = pings;
  adit_ping_renew(relay);
  pings->expiry = (struct adit_timer){.fire = expire, .user = pings};
  pings->kind4 = find_kind(relay, 4);
  pings->kind6 = find_kind(relay, 6);
  randombytes_buf(&pings->last_id, sizeof pings->last_id);
  bool first = !relay->worker || adit_worker_index(relay->worker) == 0; /* once is enough */
  if (first && (pings->kind4 == KIND_NONE || pings->kind6 == KIND_NONE))
    adit_log_write(relay->log, ADIT_LOG_NOTICE, 0,
                   "echo requests over %s are answered here, not relayed: this user may not send them. Run as root, or "
                   "have the user's group in net.ipv4.ping_group_range (sysctl)",
                   pings->kind4 != KIND_NONE   ? "IPv6"
                   : pings->kind6 != KIND_NONE ? "IPv4"
                                               : "IPv4 and IPv6");
  return 0;
}

void adit_ping_stop(struct adit_relay *relay) {
  struct adit_pings *pings = relay->pings;
  while (pings->first) end(pings->first);
  adit_timers_clear(adit_loop_timers(relay->loop), &pings->expiry);
  free(pings);
  relay->pings = NULL;
}
