/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP sessions: found by client, ended when idle, bounded in number.
 *
 * A session stands for one address and port of a client and has one address outside, whatever it talks to, and whoever
 * sends there is heard: endpoint-independent mapping and filtering (RFC 4787, 4.1 and 5), which is what games, calls
 * and peer-to-peer need and what a "full cone" is. A client has sessions of its own for IPv4 and IPv6, since it has
 * addresses of its own there. With several workers this holds for each: the kernel may bring datagrams of one client to
 * different peers to different queues, and then they leave from different addresses.
 *
 * A session ends when nothing passed, in either direction, for as long as its pace allows (enum adit_udp_pace): 10
 * seconds for what looks like one question and its answer, otherwise udp_idle_ms. Of those there are many, as every
 * name that is looked up is one, and keeping each for a minute would cost a socket each; connection tracking in Linux
 * tells them apart likewise. When there are too many sessions, or the process has no more fds, the one idle longest
 * goes first.
 *
 * Both paces have a list, and a session moves to the end of its list with every datagram. So the first of either is the
 * one idle longest, and one timer is enough: it is never later than what is due first, and looks again when it fires.
 * Timers: `expiry`.
 *
 * Where datagrams go is a table of functions (struct adit_udp_way): udp_direct.c, udp_socks5.c. Sockets are
 * udp_socket.c's, datagrams on their way udp_outbox.c's and udp_inbox.c's.
 *
 * Lifetimes: sessions end at expiry, when evicted, or with the relay, never while a datagram of theirs is looked at.
 * What is in the table is alive; memory goes at the loop's reap.
 */
#include "relay/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS_DEFAULT = 4096, IDLE_MS_DEFAULT = 60000, EXCHANGE_MS = 10000, DNS_PORT = 53 };
#define MILLISECOND_NS UINT64_C(1000000)

/* ---- table and lists --------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const struct adit_udp_sessions *all, adit_endpoint client) {
  uint8_t bytes[sizeof client.ip.bytes + sizeof client.port];
  memcpy(bytes, client.ip.bytes, sizeof client.ip.bytes);
  memcpy(bytes + sizeof client.ip.bytes, &client.port, sizeof client.port);
  uint8_t hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, bytes, sizeof bytes, all->key);
  uint32_t value;
  memcpy(&value, hash, sizeof value);
  return value;
}

static struct adit_udp_session *find(struct adit_udp_sessions *all, adit_endpoint client, uint32_t hash) {
  struct adit_udp_session *session = all->table[hash & all->mask];
  for (; session; session = session->next_in_bucket)
    if (session->hash == hash && session->client.port == client.port && adit_ip_equal(session->client.ip, client.ip))
      return session;
  return NULL;
}

struct adit_udp_session *adit_udp_find(struct adit_udp_sessions *all, adit_endpoint client) {
  return find(all, client, hash_of(all, client));
}

static void append(struct adit_udp_session *session) {
  struct adit_udp_sessions *all = session->all;
  session->next = NULL;
  session->previous = all->list[session->pace].last;
  if (session->previous)
    session->previous->next = session;
  else
    all->list[session->pace].first = session;
  all->list[session->pace].last = session;
}

static void detach(struct adit_udp_session *session) {
  struct adit_udp_sessions *all = session->all;
  if (session->previous)
    session->previous->next = session->next;
  else
    all->list[session->pace].first = session->next;
  if (session->next)
    session->next->previous = session->previous;
  else
    all->list[session->pace].last = session->previous;
}

static uint64_t due_of(const struct adit_udp_session *session) {
  return session->used_ns + session->all->list[session->pace].idle_ns;
}

/* The timer is to fire at `due_ns` at the latest. */
static void arm(struct adit_udp_sessions *all, uint64_t due_ns) {
  if (all->expiry.slot && all->expiry.due_ns <= due_ns) return;
  adit_timers_set(adit_loop_timers(all->relay->loop), &all->expiry,
                  due_ns); /* without memory: with the next datagram */
}

/* A datagram passed. */
static void touch(struct adit_udp_session *session) {
  bool exchange = session->only_dns || (session->sent < 2 && session->received < 2);
  uint8_t pace = exchange ? ADIT_UDP_EXCHANGE : ADIT_UDP_STREAM;
  session->used_ns = adit_loop_now(session->all->relay->loop);
  if (session->next || pace != session->pace) {
    detach(session);
    session->pace = pace;
    append(session);
  }
  arm(session->all, due_of(session));
}

static void count_to_two(uint8_t *counter) {
  if (*counter < 2) ++*counter;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* End a session: its socket is closed at once, its memory goes at the loop's reap (the watch is its first member's first). */
static void end_session(struct adit_udp_session *session) {
  struct adit_udp_sessions *all = session->all;
  struct adit_watch *watch = &session->socket.watch;
  struct adit_udp_session **link = &all->table[session->hash & all->mask];
  while (*link != session) link = &(*link)->next_in_bucket;
  *link = session->next_in_bucket;
  detach(session);
  all->count--;

  bool watched = watch->watched;
  adit_udp_socket_close(session, adit_watch_free);
  if (session->way->close) session->way->close(session);
  adit_egress_release(session->egress);
  if (watched) return;
  if (watch->reaping)
    watch->release = adit_watch_free; /* closed a moment ago; the reap still needs it */
  else
    free(session);
}

static void expire(void *user, struct adit_timer *timer) {
  struct adit_udp_sessions *all = user;
  uint64_t now_ns = adit_loop_now(all->relay->loop);
  (void)timer;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++) {
    struct adit_udp_session *session = all->list[pace].first;
    while (session && due_of(session) <= now_ns) {
      struct adit_udp_session *next = session->next;
      end_session(session);
      session = next;
    }
    if (session) arm(all, due_of(session));
  }
}

bool adit_udp_evict(struct adit_udp_sessions *all, const struct adit_udp_session *keep, const char *why) {
  struct adit_udp_session *oldest = NULL;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++) {
    struct adit_udp_session *session = all->list[pace].first;
    if (session && session == keep) session = session->next;
    if (session && (!oldest || session->used_ns < oldest->used_ns)) oldest = session;
  }
  if (!oldest) return false;
  struct adit_relay *relay = all->relay;
  relay->stats.udp_evicted++;
  adit_log_limited(relay->log, &all->limit_log, adit_loop_now(relay->loop), ADIT_LOG_WARNING, 0,
                   "%s: of %u UDP sessions the one idle longest ended early", why, (unsigned)all->count);
  end_session(oldest);
  return true;
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

void adit_udp_drop(struct adit_udp_sessions *all) {
  all->relay->stats.udp_dropped++;
}

void adit_udp_deliver(struct adit_udp_session *session, adit_endpoint from, const void *bytes, size_t length) {
  count_to_two(&session->received);
  touch(session);
  adit_udp_inbox_put(session, from, bytes, length);
}

/* No session can be made for this datagram. Who has too little of something is silent, as a full queue is. */
static void reject(struct adit_udp_sessions *all, const struct adit_datagram *datagram, int error) {
  const adit_ip nobody = {{0}, 0};
  struct adit_relay *relay = all->relay;
  adit_udp_drop(all);
  adit_log_limited(relay->log, &relay->socket_limit, adit_loop_now(relay->loop), ADIT_LOG_WARNING, 0,
                   "no socket for a client's datagrams: %s", strerror(-error));
  if (error != -ENOMEM && error != -ENOBUFS && error != -EMFILE && error != -ENFILE)
    adit_stack_send_unreachable(relay->stack, datagram->local, datagram->remote, adit_icmp_error_refusal(error), nobody,
                                datagram->iov, datagram->iovcnt);
}

static struct adit_udp_session *begin(struct adit_udp_sessions *all, const struct adit_datagram *datagram,
                                      uint32_t hash) {
  if (all->count >= all->limit) adit_udp_evict(all, NULL, "--max-udp reached");
  struct adit_egress *egress = all->relay->egress;
  const struct adit_udp_way *way = egress->options->upstream.kind == ADIT_UPSTREAM_SOCKS5 ? &adit_udp_socks5
                                                                                          : &adit_udp_direct;
  struct adit_udp_session *session = calloc(1, way->size);
  int error = -ENOMEM;
  if (!session) goto fail;
  session->all = all;
  session->egress = adit_egress_hold(egress);
  session->way = way;
  session->socket.watch.fd = -1;
  session->client = datagram->remote;
  session->hash = hash;
  session->only_dns = true;
  session->next_in_bucket = all->table[hash & all->mask];
  all->table[hash & all->mask] = session;
  all->count++;
  append(session);
  touch(session);
  error = way->open(session);
  if (error) {
    end_session(session);
    goto fail;
  }
  all->relay->stats.udp_sessions++;
  return session;

fail:
  reject(all, datagram, error);
  return NULL;
}

void adit_udp_datagram(struct adit_relay *relay, const struct adit_datagram *datagram) {
  struct adit_udp_sessions *all = relay->udp;
  if (datagram->local.port == 0 || datagram->remote.port == 0) { /* nobody can be reached there (RFC 768) */
    adit_udp_drop(all);
    return;
  }
  uint32_t hash = hash_of(all, datagram->remote);
  struct adit_udp_session *session = find(all, datagram->remote, hash);
  if (!session && adit_own_came_back(relay, IPPROTO_UDP, datagram->remote, datagram->local)) {
    adit_udp_drop(all);
    adit_stack_refuse_datagram(relay->stack, datagram);
    return;
  }
  if (!session) session = begin(all, datagram, hash);
  if (!session) return;
  count_to_two(&session->sent);
  session->only_dns = session->only_dns && datagram->local.port == DNS_PORT;
  touch(session);
  session->way->send(session, datagram);
}

bool adit_udp_knows(const struct adit_relay *relay, const struct adit_datagram *datagram) {
  return relay->udp && adit_udp_find(relay->udp, datagram->remote);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Buckets for the limit. Returns 0, or -ENOMEM: then the table is as it was. */
static int resize(struct adit_udp_sessions *all) {
  uint32_t buckets = 1;
  while (buckets < all->limit && buckets < 1U << 20) buckets *= 2;
  if (all->table && buckets == all->mask + 1) return 0;
  struct adit_udp_session **table = calloc(buckets, sizeof(struct adit_udp_session *));
  if (!table) return -ENOMEM;
  free(all->table);
  all->table = table;
  all->mask = buckets - 1;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++) {
    for (struct adit_udp_session *session = all->list[pace].first; session; session = session->next) {
      session->next_in_bucket = table[session->hash & all->mask];
      table[session->hash & all->mask] = session;
    }
  }
  return 0;
}

/* Times count for the sessions that are there as well: a list is in the order in which its sessions are due. */
static void read_options(struct adit_udp_sessions *all) {
  const struct adit_relay_options *options = all->relay->options;
  all->limit = options->max_udp ? options->max_udp : SESSIONS_DEFAULT;
  uint64_t idle_ms = options->udp_idle_ms ? options->udp_idle_ms : IDLE_MS_DEFAULT;
  all->list[ADIT_UDP_STREAM].idle_ns = idle_ms * MILLISECOND_NS;
  all->list[ADIT_UDP_EXCHANGE].idle_ns = (idle_ms < EXCHANGE_MS ? idle_ms : EXCHANGE_MS) * MILLISECOND_NS;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++)
    if (all->list[pace].first) arm(all, due_of(all->list[pace].first));
}

void adit_udp_renew(struct adit_relay *relay) {
  read_options(relay->udp);
  (void)resize(relay->udp); /* without memory the chains are longer */
  while (relay->udp->count > relay->udp->limit) adit_udp_evict(relay->udp, NULL, "--max-udp is less now");
}

int adit_udp_start(struct adit_relay *relay) {
  struct adit_udp_sessions *all = calloc(1, sizeof *all);
  if (!all) return -ENOMEM;
  all->relay = relay;
  read_options(all);
  all->expiry = (struct adit_timer){.fire = expire, .user = all};
  randombytes_buf(all->key, sizeof all->key);
  static_assert(sizeof all->key == crypto_shorthash_KEYBYTES, "the key of SipHash");

  int error = resize(all);
  if (error) goto no_table;
  error = adit_udp_boxes_new(all);
  if (error) goto no_boxes;
  relay->udp = all;
  return 0;

no_boxes:
  free(all->table);
no_table:
  free(all);
  return error;
}

void adit_udp_stop(struct adit_relay *relay) {
  struct adit_udp_sessions *all = relay->udp;
  for (unsigned pace = 0; pace < ADIT_UDP_PACES; pace++) {
    struct adit_udp_session *next;
    for (struct adit_udp_session *session = all->list[pace].first; session; session = next) {
      next = session->next;
      end_session(session);
    }
  }
  adit_timers_clear(adit_loop_timers(relay->loop), &all->expiry);
  adit_udp_boxes_free(all);
  free(all->table);
  free(all);
  relay->udp = NULL;
}
