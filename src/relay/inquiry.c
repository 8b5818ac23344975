/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The addresses of one name, asked of nameservers.
 *
 * A and AAAA are asked together over one UDP socket, connected to one nameserver, with random ids. What is truncated to
 * nothing is asked again over TCP (dns_line.c). A server that does not answer, or says that it cannot (SERVFAIL,
 * REFUSED), is followed by the next one, `rounds` times around.
 *
 * Answers with addresses that we made up are not believed: somebody between us and the true servers asks through the
 * device.
 *
 * Timer, one an inquiry: the end of a try, or EXTRA_NS after one of the two families was found, so that a server that
 * never answers AAAA costs no more than that.
 *
 * Lifetimes: the inquiry is its owner's, who may free it from within an event, so nothing of it is touched after one.
 * The socket of a try is memory of its own, because its watch outlives the try until the loop's reap; so is a question
 * over TCP, to which the line always gives an answer, also when nobody waits for it any more.
 */
#include "relay/inquiry.h"

#include "relay/dns_line.h"
#include "relay/dns_message.h"
#include "relay/fake_names.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define EXTRA_NS (250 * MILLISECOND_NS)

enum { WHY = 256 };

static const unsigned version_of[ADIT_INQUIRY_FAMILIES] = {4, 6};
static const unsigned type_of[ADIT_INQUIRY_FAMILIES] = {ns_t_a, ns_t_aaaa};

/* The socket of one try. */
struct adit_inquiry_query {
  struct adit_relay_socket socket; /* first member; its fd is owned while watched */
  struct adit_own_socket own;
  struct adit_inquiry *inquiry;
};

/* A question over TCP. */
struct adit_inquiry_call {
  struct adit_inquiry *inquiry; /* NULL when it is gone, or has tried on */
  enum adit_inquiry_family family;
};

static uint64_t now_of(const struct adit_inquiry *inquiry) {
  return adit_loop_now(inquiry->inquirer->relay->loop);
}

static struct adit_timers *timers_of(const struct adit_inquiry *inquiry) {
  return adit_loop_timers(inquiry->inquirer->relay->loop);
}

static bool has_found(const struct adit_inquiry *inquiry) {
  return inquiry->family[ADIT_INQUIRY_A].count + inquiry->family[ADIT_INQUIRY_AAAA].count > 0;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* Nothing more is expected from the server that was asked. */
static void end_try(struct adit_inquiry *inquiry) {
  struct adit_inquiry_query *query = inquiry->query;
  if (query) {
    adit_own_forget(&query->own);
    adit_loop_close(inquiry->inquirer->relay->loop, &query->socket.watch, adit_watch_free);
    inquiry->query = NULL;
  }
  for (unsigned i = 0; i < ADIT_INQUIRY_FAMILIES; i++) {
    if (inquiry->call[i]) inquiry->call[i]->inquiry = NULL;
    inquiry->call[i] = NULL;
  }
  adit_timers_clear(timers_of(inquiry), &inquiry->timer);
}

static void fail(struct adit_inquiry *inquiry, bool exists, const char *why) {
  end_try(inquiry);
  inquiry->events->failed(inquiry->user, exists, why);
}

/* All that can be said was said: both families are answered, or one is and the other takes too long. */
static void finish(struct adit_inquiry *inquiry) {
  if (has_found(inquiry)) {
    end_try(inquiry);
    inquiry->events->found(inquiry->user);
  } else if (inquiry->looped) {
    fail(inquiry, true,
         "the nameserver answers with addresses of --dns fake: its own questions go through the device; "
         "keep them out of it (--bypass), or use --dns forward:ADDRESS");
  } else {
    fail(inquiry, false, "there is no such name, or it has no address");
  }
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void next_try(struct adit_inquiry *inquiry);
static bool ask_by_tcp(struct adit_inquiry *inquiry, enum adit_inquiry_family family);

static void drop_looped(struct adit_inquiry *inquiry, enum adit_inquiry_family family) {
  unsigned kept = 0;
  for (unsigned i = 0; i < inquiry->family[family].count; i++) {
    if (adit_fake_names_covers(inquiry->family[family].address[i]))
      inquiry->looped = true;
    else
      inquiry->family[family].address[kept++] = inquiry->family[family].address[i];
  }
  inquiry->family[family].count = kept;
}

/* An answer to the question of this family. May end the inquiry. */
static void take_answer(struct adit_inquiry *inquiry, enum adit_inquiry_family family, const uint8_t *answer,
                        size_t length, bool by_tcp) {
  struct adit_dns_found found;
  if (adit_dns_addresses(answer, length, version_of[family], inquiry->family[family].address, ADIT_INQUIRY_MOST,
                         &found) != 0)
    return; /* as if nothing had come */
  if (found.rcode != ns_r_noerror && found.rcode != ns_r_nxdomain) {
    next_try(inquiry);
    return;
  }
  if (found.truncated && found.count == 0 && !by_tcp && ask_by_tcp(inquiry, family)) return;
  inquiry->family[family].answered = true;
  inquiry->family[family].count = found.count;
  if (found.count > 0 && found.ttl_s < inquiry->ttl_s) inquiry->ttl_s = found.ttl_s;
  drop_looped(inquiry, family);
  enum adit_inquiry_family other = family == ADIT_INQUIRY_A ? ADIT_INQUIRY_AAAA : ADIT_INQUIRY_A;
  if (inquiry->family[other].answered || found.rcode == ns_r_nxdomain) {
    finish(inquiry);
  } else if (inquiry->family[family].count > 0) {
    uint64_t due_ns = now_of(inquiry) + EXTRA_NS;
    if (due_ns < inquiry->timer.due_ns) (void)adit_timers_set(timers_of(inquiry), &inquiry->timer, due_ns);
  }
}

static void on_ready(struct adit_relay_socket *socket, uint32_t events) {
  struct adit_inquiry_query *query = (struct adit_inquiry_query *)socket; /* its first member */
  struct adit_inquiry *inquiry = query->inquiry;
  (void)events;
  for (;;) {
    uint8_t answer[ADIT_DNS_EDNS + 4096]; /* some send more than they were told to */
    ssize_t got = recv(query->socket.watch.fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got < 0) { /* port unreachable and the like */
      next_try(inquiry);
      return;
    }
    if (got < ADIT_DNS_HEADER) continue;
    for (unsigned i = 0; i < ADIT_INQUIRY_FAMILIES; i++) {
      uint8_t asked[ADIT_DNS_ASK_ROOM];
      if (inquiry->family[i].answered || inquiry->family[i].id != ((unsigned)answer[0] << 8 | answer[1])) continue;
      size_t length = adit_dns_ask(inquiry->host, type_of[i], inquiry->family[i].id, asked);
      struct adit_dns_question question;
      if (adit_dns_read(asked, length, &question) != ADIT_DNS_ASKS ||
          !adit_dns_answers(asked, question.end, answer, (size_t)got))
        continue;
      take_answer(inquiry, (enum adit_inquiry_family)i, answer, (size_t)got, false);
      break;
    }
    /* The answer may have been the last one: the socket is no longer ours then, and the inquiry perhaps gone. */
    if (!query->socket.watch.watched) return;
  }
}

/* ---- questions over TCP ------------------------------------------------------------------------------------------ */

static void on_tcp_answer(void *user, uint8_t *answer, size_t length) {
  struct adit_inquiry_call *call = user;
  struct adit_inquiry *inquiry = call->inquiry;
  enum adit_inquiry_family family = call->family;
  free(call);
  if (!inquiry) return;
  inquiry->call[family] = NULL;
  take_answer(inquiry, family, answer, length, true);
}

static void on_tcp_unanswered(void *user, enum adit_dns_unanswered why) {
  struct adit_inquiry_call *call = user;
  struct adit_inquiry *inquiry = call->inquiry;
  (void)why;
  if (inquiry) inquiry->call[call->family] = NULL;
  free(call);
  if (inquiry) next_try(inquiry);
}

static const struct adit_dns_line_events tcp_events = {.answer = on_tcp_answer, .unanswered = on_tcp_unanswered};

static unsigned server_of(const struct adit_inquiry *inquiry) {
  return (inquiry->tries - 1) % inquiry->inquirer->nameservers.servers;
}

/* Returns whether an answer will come. */
static bool ask_by_tcp(struct adit_inquiry *inquiry, enum adit_inquiry_family family) {
  struct adit_inquirer *inquirer = inquiry->inquirer;
  const struct adit_nameservers *nameservers = &inquirer->nameservers;
  struct adit_dns_line **line = &inquirer->line[server_of(inquiry)];
  if (inquiry->call[family]) return true;
  const struct adit_dns_line_options options = {
      .server = nameservers->server[server_of(inquiry)], .by = nameservers->by, .try_ms = nameservers->try_ms};
  if (!*line && adit_dns_line_new(inquirer->relay, &options, line) != 0) return false;
  struct adit_inquiry_call *call = calloc(1, sizeof *call);
  if (!call) return false;
  *call = (struct adit_inquiry_call){inquiry, family};
  uint8_t query[ADIT_DNS_ASK_ROOM];
  size_t length = adit_dns_ask(inquiry->host, type_of[family], inquiry->family[family].id, query);
  struct adit_dns_question question;
  if (adit_dns_read(query, length, &question) != ADIT_DNS_ASKS ||
      adit_dns_line_ask(*line, query, length, question.end, &tcp_events, call) != 0) {
    free(call);
    return false;
  }
  inquiry->call[family] = call;
  /* A connection takes longer than a datagram. */
  (void)adit_timers_set(timers_of(inquiry), &inquiry->timer,
                        now_of(inquiry) + 2 * MILLISECOND_NS * nameservers->try_ms);
  return true;
}

/* ---- questions over UDP, and tries ------------------------------------------------------------------------------- */

/* Ask the server whose turn it is. Returns 0 or a negative errno. */
static int ask(struct adit_inquiry *inquiry) {
  struct adit_relay *relay = inquiry->inquirer->relay;
  const struct adit_nameservers *nameservers = &inquiry->inquirer->nameservers;
  adit_endpoint server = nameservers->server[server_of(inquiry)];
  uint16_t id[ADIT_INQUIRY_FAMILIES];
  if (getrandom(id, sizeof id, 0) != sizeof id) return -EIO;
  if (id[ADIT_INQUIRY_A] == id[ADIT_INQUIRY_AAAA]) id[ADIT_INQUIRY_AAAA]++;
  struct adit_inquiry_query *query = calloc(1, sizeof *query);
  if (!query) return -ENOMEM;
  query->socket.ready = on_ready;
  query->inquiry = inquiry;
  const struct adit_egress *by = nameservers->by ? nameservers->by : relay->egress;
  int fd = adit_outside_socket(by, server.ip.version == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  int error = fd < 0 ? fd : 0;
  if (error) goto no_socket;
  struct sockaddr_storage address;
  socklen_t length = adit_outside_sockaddr(server, &address);
  if (connect(fd, (struct sockaddr *)&address, length) < 0) {
    error = -errno;
    goto no_watch;
  }
  adit_own_note(relay->options->own, &query->own, IPPROTO_UDP, fd, server);
  for (unsigned i = 0; i < ADIT_INQUIRY_FAMILIES; i++) {
    uint8_t bytes[ADIT_DNS_ASK_ROOM];
    inquiry->family[i].id = id[i];
    if (inquiry->family[i].answered) continue;
    size_t size = adit_dns_ask(inquiry->host, type_of[i], id[i], bytes);
    if (send(fd, bytes, size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
      error = -errno;
      goto no_watch;
    }
  }
  error = adit_loop_watch(relay->loop, &query->socket.watch, ADIT_WATCH_SOCKET, fd, EPOLLIN);
  if (error) goto no_watch;
  inquiry->query = query;
  return 0;

no_watch:
  adit_own_forget(&query->own);
  close(fd);
no_socket:
  free(query);
  return error;
}

/* The next server, or the end. Not from within adit_inquiry_start, since it may call. */
static void next_try(struct adit_inquiry *inquiry) {
  const struct adit_nameservers *nameservers = &inquiry->inquirer->nameservers;
  end_try(inquiry);
  while (inquiry->tries < nameservers->servers * nameservers->rounds) {
    inquiry->tries++;
    if (ask(inquiry) != 0) continue;
    (void)adit_timers_set(timers_of(inquiry), &inquiry->timer, now_of(inquiry) + nameservers->try_ms * MILLISECOND_NS);
    return;
  }
  if (has_found(inquiry)) {
    finish(inquiry);
    return;
  }
  char server[ADIT_ADDRESS_TEXT];
  char why[WHY];
  snprintf(why, sizeof why, "no answer from nameserver %s%s", adit_ip_format(nameservers->server[0].ip, server),
           nameservers->servers > 1 ? " and others" : "");
  fail(inquiry, true, why);
}

static void on_time(void *user, struct adit_timer *timer) {
  struct adit_inquiry *inquiry = user;
  (void)timer;
  if (has_found(inquiry))
    finish(inquiry);
  else
    next_try(inquiry);
}

/* ---- for the resolver -------------------------------------------------------------------------------------------- */

int adit_inquiry_start(struct adit_inquiry *inquiry, struct adit_inquirer *inquirer, const char *host,
                       const struct adit_inquiry_events *events, void *user) {
  *inquiry = (struct adit_inquiry){.inquirer = inquirer,
                                   .host = host,
                                   .events = events,
                                   .user = user,
                                   .timer = {.fire = on_time, .user = inquiry},
                                   .ttl_s = UINT32_MAX};
  return adit_timers_set(timers_of(inquiry), &inquiry->timer, now_of(inquiry));
}

void adit_inquiry_stop(struct adit_inquiry *inquiry) {
  end_try(inquiry);
}

bool adit_inquirer_has_work(const struct adit_inquirer *inquirer) {
  for (unsigned i = 0; i < ADIT_NAMESERVERS_MOST; i++)
    if (inquirer->line[i] && adit_dns_line_has_work(inquirer->line[i])) return true;
  return false;
}

void adit_inquirer_free(struct adit_inquirer *inquirer) {
  for (unsigned i = 0; i < ADIT_NAMESERVERS_MOST; i++) adit_dns_line_free(inquirer->line[i]);
}
