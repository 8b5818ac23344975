/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Those who ask on port 53.
 *
 * Over TCP each message follows its length in two bytes (RFC 7766); several may be on their way at once, and the
 * answers go out in the order in which they come. Nothing is buffered here: a message is taken out of the flow when
 * all of it is there, and only while fewer than PIPELINE of the client's questions are without an answer; the rest
 * waits in the flow, and closes the client's window in the end. Half an answer is worse than none, so a client that
 * asks on without ever reading, until an answer has no room, is reset.
 *
 * A client ends: by its own FIN, once everything it had asked was answered; by a reset; or because it has asked nothing
 * for IDLE_NS; or because nobody answers here any more (adit_dns_clients_dismiss). When there are CLIENTS of them already, the one that has been idle longest makes room.
 *
 * Timers: one for each client, set while none of its questions is without an answer.
 *
 * Deferred, in `later`: after an answer, reading goes on there, because an answer to one client may be given in the
 * middle of a question of another, and there is one buffer for messages. Then clients that are gone are freed.
 *
 * Lifetime: a client is freed when its flow is gone and nothing holds it (`held`): no question of it that waits for
 * adit_dns_reply, and no loop that reads from it, in the middle of which an answer may come and go wrong.
 */
#include "relay/dns_client.h"

#include "relay/dns_message.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS UINT64_C(30000000000)

enum { PREFIX = ADIT_DNS_PREFIX, PIPELINE = 128, CLIENTS = 1024, QUESTION_MOST = 4096 };

struct adit_dns_client {
  struct adit_dns_clients *clients;
  struct adit_flow *flow; /* NULL when it is gone */
  struct adit_dns_client *next;
  struct adit_dns_client *previous;
  struct adit_timer idle;
  unsigned held;    /* questions without an answer, and loops that look at it */
  unsigned waiting; /* questions without an answer */
  bool reading;     /* read_questions is at work further up */
  bool resumes;     /* is to be read from in `later` */
  bool leaving;     /* is told nothing new, and closed with its last answer */
};

struct adit_dns_clients {
  struct adit_relay *relay;
  adit_dns_asked *asked;
  struct adit_dns_client *first; /* the one that was active last */
  struct adit_dns_client *last;
  unsigned count;
  struct adit_work later;
  struct adit_dns_client *gone;               /* without flow, not yet freed */
  uint8_t message[PREFIX + ADIT_DNS_LONGEST]; /* one at a time */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void unlink_client(struct adit_dns_client *client) {
  struct adit_dns_clients *clients = client->clients;
  assert((client->previous == NULL) == (clients->first == client));
  if (client->previous)
    client->previous->next = client->next;
  else
    clients->first = client->next;
  if (client->next)
    client->next->previous = client->previous;
  else
    clients->last = client->previous;
  client->next = client->previous = NULL;
}

static void link_client(struct adit_dns_client *client) {
  struct adit_dns_clients *clients = client->clients;
  client->next = clients->first;
  if (clients->first)
    clients->first->previous = client;
  else
    clients->last = client;
  clients->first = client;
}

static void let_go(struct adit_dns_client *client) {
  assert(client->held > 0);
  client->held--;
  if (!client->flow) adit_loop_defer(client->clients->relay->loop, &client->clients->later);
}

/* The flow is gone, or has been told to go. The memory follows when nothing holds it. */
static void end(struct adit_dns_client *client) {
  struct adit_dns_clients *clients = client->clients;
  adit_timers_clear(adit_loop_timers(clients->relay->loop), &client->idle);
  unlink_client(client);
  clients->count--;
  client->flow = NULL;
  client->next = clients->gone;
  clients->gone = client;
  adit_loop_defer(clients->relay->loop, &clients->later);
}

/* Free those that are gone; `all` of them, or those that nothing holds. */
static void bury(struct adit_dns_clients *clients, bool all) {
  struct adit_dns_client **at = &clients->gone;
  while (*at) {
    struct adit_dns_client *client = *at;
    if (client->held > 0 && !all) {
      at = &client->next;
      continue;
    }
    *at = client->next;
    free(client);
  }
}

static void close_client(struct adit_dns_client *client) {
  adit_flow_close(client->flow);
  end(client);
}

static void abort_client(struct adit_dns_client *client) {
  adit_flow_abort(client->flow);
  end(client);
}

static void on_idle(void *user, struct adit_timer *timer) {
  (void)timer;
  close_client(user);
}

/* It did something. */
static void touch(struct adit_dns_client *client) {
  struct adit_loop *loop = client->clients->relay->loop;
  if (client->waiting > 0)
    adit_timers_clear(adit_loop_timers(loop), &client->idle);
  else
    (void)adit_timers_set(adit_loop_timers(loop), &client->idle, adit_loop_now(loop) + IDLE_NS);
  unlink_client(client);
  link_client(client);
}

/* ---- questions over TCP ------------------------------------------------------------------------------------------ */

/* A message: to whoever answers, or answered here. */
static void take(struct adit_dns_clients *clients, const struct adit_dns_asker *asker, const uint8_t *message,
                 size_t length) {
  struct adit_dns_question question;
  uint8_t answer[ADIT_DNS_FAILURE_ROOM];
  struct adit_dns_asker whose = *asker;
  switch (adit_dns_read(message, length, &question)) {
  case ADIT_DNS_IGNORE:
    clients->relay->stats.dns_dropped++;
    adit_dns_reply(clients, &whose, NULL, 0);
    break;
  case ADIT_DNS_MALFORMED:
    whose.room = sizeof answer;
    adit_dns_reply(clients, &whose, answer, adit_dns_failure(message, NULL, ns_r_formerr, answer));
    break;
  case ADIT_DNS_ASKS:
    if (!whose.client) whose.room = adit_dns_room(&question);
    clients->relay->stats.dns_questions++;
    clients->asked(clients->relay, &whose, &question, message, length);
    break;
  }
}

/* Length of the message that begins the flow's unread bytes, of which there are at least PREFIX. */
static size_t message_length(const struct adit_flow *flow) {
  struct iovec piece[PREFIX];
  return adit_dns_prefix(piece, adit_flow_peek(flow, piece, PREFIX));
}

static void read_questions(struct adit_dns_client *client) {
  struct adit_dns_clients *clients = client->clients;
  if (client->reading) return;
  client->reading = true;
  client->held++;
  while (client->flow && !client->leaving && client->waiting < PIPELINE &&
         adit_flow_available(client->flow) >= PREFIX) {
    size_t length = message_length(client->flow);
    if (adit_flow_available(client->flow) < PREFIX + length) break;
    adit_flow_consume(client->flow, PREFIX);
    adit_flow_read(client->flow, clients->message, length);
    client->waiting++;
    client->held++;
    touch(client);
    struct adit_dns_asker asker = {.client = client, .room = ADIT_DNS_LONGEST};
    take(clients, &asker, clients->message, length);
  }
  client->reading = false;
  /* Its FIN: done when everything was answered; half a message that is left will never be a whole one. */
  if (client->flow && client->waiting == 0 && adit_flow_peer_has_closed(client->flow)) {
    adit_flow_consume(client->flow, adit_flow_available(client->flow));
    close_client(client);
  }
  let_go(client);
}

static void on_readable(void *user, struct adit_flow *flow) {
  (void)flow;
  read_questions(user);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  (void)flow;
  (void)error;
  end(user);
}

static const struct adit_flow_events events = {
    .readable = on_readable, .peer_closed = on_readable, .closed = on_closed};

/* Returns whether there is room for one more. */
static bool make_room(struct adit_dns_clients *clients) {
  if (clients->count < CLIENTS) return true;
  for (struct adit_dns_client *client = clients->last; client; client = client->previous) {
    if (client->waiting > 0) continue;
    close_client(client);
    return true;
  }
  return false;
}

void adit_dns_clients_syn(struct adit_dns_clients *clients, struct adit_flow *flow) {
  struct adit_dns_client *client = make_room(clients) ? calloc(1, sizeof *client) : NULL;
  if (!client) {
    clients->relay->stats.flows_limited++;
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  client->clients = clients;
  client->flow = flow;
  client->idle = (struct adit_timer){.fire = on_idle, .user = client};
  clients->count++;
  link_client(client);
  adit_flow_attach(flow, &events, client);
  if (adit_flow_accept(flow) != 0) {
    adit_flow_drop(flow); /* no memory now; the client repeats its SYN */
    end(client);
    return;
  }
  touch(client);
}

static void reply_over_tcp(struct adit_dns_client *client, const uint8_t *answer, size_t length) {
  client->waiting--;
  if (client->flow && length > 0) {
    const uint8_t prefix[PREFIX] = {(uint8_t)(length >> 8), (uint8_t)length};
    if (adit_flow_room(client->flow) < PREFIX + length || adit_flow_write(client->flow, prefix, PREFIX) != PREFIX ||
        adit_flow_write(client->flow, answer, length) != (ssize_t)length)
      abort_client(client);
  }
  if (client->flow && client->leaving && client->waiting == 0) close_client(client);
  if (client->flow) {
    touch(client);
    if (adit_flow_available(client->flow) >= PREFIX || adit_flow_peer_has_closed(client->flow)) {
      client->resumes = true;
      adit_loop_defer(client->clients->relay->loop, &client->clients->later);
    }
  }
  let_go(client);
}

static struct adit_dns_client *first_that_resumes(const struct adit_dns_clients *clients) {
  struct adit_dns_client *client = clients->first;
  while (client && !client->resumes) client = client->next;
  return client;
}

static void on_later(void *user, struct adit_work *work) {
  struct adit_dns_clients *clients = user;
  struct adit_dns_client *client;
  (void)work;
  while ((client = first_that_resumes(clients)) != NULL) { /* from the front: reading may end any of them */
    client->resumes = false;
    read_questions(client);
  }
  bury(clients, false);
}

/* ---- UDP --------------------------------------------------------------------------------------------------------- */

void adit_dns_clients_datagram(struct adit_dns_clients *clients, const struct adit_datagram *datagram) {
  if (datagram->length > QUESTION_MOST || datagram->remote.port == 0) {
    clients->relay->stats.dns_dropped++;
    return;
  }
  size_t length = 0;
  for (unsigned i = 0; i < datagram->iovcnt; i++) {
    if (datagram->iov[i].iov_len > 0)
      memcpy(clients->message + length, datagram->iov[i].iov_base, datagram->iov[i].iov_len);
    length += datagram->iov[i].iov_len;
  }
  struct adit_dns_asker asker = {.local = datagram->local, .remote = datagram->remote, .room = ADIT_DNS_PLAIN};
  take(clients, &asker, clients->message, length);
}

void adit_dns_reply(struct adit_dns_clients *clients, const struct adit_dns_asker *asker, uint8_t *answer,
                    size_t length) {
  if (asker->client) {
    reply_over_tcp(asker->client, answer, length);
    return;
  }
  if (length == 0) return;
  length = adit_dns_truncate(answer, length, asker->room);
  struct iovec piece = {answer, length};
  (void)adit_stack_send_datagram(clients->relay->stack, asker->local, asker->remote, &piece, 1);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

int adit_dns_clients_new(struct adit_relay *relay, adit_dns_asked *asked, struct adit_dns_clients **clients) {
  struct adit_dns_clients *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->relay = relay;
  made->asked = asked;
  made->later = (struct adit_work){.run = on_later, .user = made};
  *clients = made;
  return 0;
}

void adit_dns_clients_dismiss(struct adit_dns_clients *clients) {
  struct adit_dns_client *next;
  for (struct adit_dns_client *client = clients->first; client; client = next) {
    next = client->next;
    client->leaving = true;
    if (client->waiting == 0) close_client(client);
  }
}

void adit_dns_clients_free(struct adit_dns_clients *clients) {
  if (!clients) return;
  while (clients->first) abort_client(clients->first);
  bury(clients, true);
  free(clients);
}
