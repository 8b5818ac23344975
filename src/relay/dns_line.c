/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A line to one DNS server.
 *
 * Questions are pipelined (RFC 7766, 6.2.1.1) under ids of our own: the lower bits are the place in `slot`, the upper
 * ones change with each use of it. An answer counts when its id is in use and it is to that question; in any order.
 *
 * A question waits in the list `first`..`last` from adit_dns_line_ask to its event, in the order in which it is due.
 * Those not yet handed to the socket are also in the queue `unsent`. Sending is deferred work, so that what is asked
 * in one turn leaves in one sendmsg.
 *
 * A connection may die at any time: servers close after a number of questions, or when idle. Then everything
 * unanswered is asked again on a new one. Only a connection that answered nothing at all counts as a failed try of its
 * questions, since one that answered some may have been closed by a server that takes so many and no more; SENDS
 * bounds that. After two failed tries, or when no connection can be made, a question is given up.
 *
 * Timers: one. With questions, it is set for the first that is due, try_ms after it was asked:
 *   not yet sent, or the connection has been silent since it was sent  the connection is taken for dead
 *   the connection is alive, only this answer is late                  it is waited for once more as long
 * Without questions, idle_ms after the last one: the connection is closed.
 *
 * Lifetime: the line lives until adit_dns_line_free; a connection is memory of its own, because its watch is released
 * at the loop's reap while the next one is under way.
 */
#include "relay/dns_line.h"

#include "relay/dns_message.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MILLISECOND_NS UINT64_C(1000000)

enum {
  PREFIX = 2,
  SLOTS = 1024,
  TRY_MS = 5000,
  IDLE_MS = 30000,
  TRIES = 2,
  SENDS = 16,               /* of one question, whatever the connections answered meanwhile */
  BYTES_MOST = 1024 * 1024, /* of all questions that wait */
  PIECES = 64,              /* questions in one sendmsg */
  READS = 4                 /* recv calls before others have their turn */
};

struct question {
  struct question *next; /* list, by due time */
  struct question *previous;
  struct question *next_unsent;
  const struct adit_dns_line_events *events;
  void *user;
  uint64_t due_ns;
  uint64_t sent_ns; /* when it was handed to the socket; 0 = it was not, on this connection */
  size_t end;       /* of its header and question */
  uint16_t slot;
  uint16_t asker_id; /* the id that it came with */
  uint8_t tries;     /* failed ones */
  uint8_t sends;
  size_t length;   /* of `bytes` */
  uint8_t bytes[]; /* length prefix, message with our id */
};

struct connection {
  struct adit_relay_socket socket; /* first member; its fd is owned while watched */
  struct adit_dns_line *line;
  uint64_t heard_ns; /* when it last said something; 0 = never */
  bool answered;     /* it has answered a question */
  size_t offset;     /* bytes of the first unsent question that were sent */
  size_t have;       /* bytes in `bytes` */
  uint8_t bytes[PREFIX + ADIT_DNS_LONGEST];
};

struct adit_dns_line {
  struct adit_relay *relay;
  struct adit_dns_line_options options;
  struct connection *connection; /* NULL when there is none */
  struct adit_connect *connect;  /* under way; not together with `connection` */
  uint64_t connect_ns;           /* since when */
  struct adit_timer timer;
  struct adit_work send;
  struct question *first;
  struct question *last;
  struct question *unsent;
  struct question **unsent_end;
  size_t bytes; /* of all questions */
  uint32_t count;
  uint16_t next_slot;
  uint16_t uses; /* upper bits of the next id */
  struct question *slot[SLOTS];
};

/* ---- questions --------------------------------------------------------------------------------------------------- */

static uint64_t now_of(const struct adit_dns_line *line) {
  return adit_loop_now(line->relay->loop);
}

static void set_timer(struct adit_dns_line *line) {
  struct adit_timers *timers = adit_loop_timers(line->relay->loop);
  if (line->first)
    (void)adit_timers_set(timers, &line->timer, line->first->due_ns);
  else if (line->connection)
    (void)adit_timers_set(timers, &line->timer, now_of(line) + line->options.idle_ms * MILLISECOND_NS);
  else
    adit_timers_clear(timers, &line->timer);
}

static void unlink_question(struct adit_dns_line *line, struct question *question) {
  assert((question->previous == NULL) == (line->first == question));
  if (question->previous)
    question->previous->next = question->next;
  else
    line->first = question->next;
  if (question->next)
    question->next->previous = question->previous;
  else
    line->last = question->previous;
}

/* Due try_ms from now, and so after all others. */
static void link_question(struct adit_dns_line *line, struct question *question) {
  question->due_ns = now_of(line) + line->options.try_ms * MILLISECOND_NS;
  question->next = NULL;
  question->previous = line->last;
  if (line->last)
    line->last->next = question;
  else
    line->first = question;
  line->last = question;
}

static void push_unsent(struct adit_dns_line *line, struct question *question) {
  question->sent_ns = 0;
  question->next_unsent = NULL;
  *line->unsent_end = question;
  line->unsent_end = &question->next_unsent;
}

static void pop_unsent(struct adit_dns_line *line) {
  line->unsent = line->unsent->next_unsent;
  if (!line->unsent) line->unsent_end = &line->unsent;
}

/*
 * Out of everything but the queue of the unsent, from which the caller takes it. A question of which a part has been
 * sent cannot be taken back: the rest must follow, or the server would take the next one for it.
 */
static void detach(struct adit_dns_line *line, struct question *question) {
  unlink_question(line, question);
  line->slot[question->slot] = NULL;
  line->count--;
  line->bytes -= question->length;
}

static void give_up(struct adit_dns_line *line, struct question *question, enum adit_dns_unanswered why) {
  detach(line, question);
  question->events->unanswered(question->user, why);
  free(question);
}

/* Questions that were detached, linked by `next_unsent`. Whoever hears of one may ask anew. */
static void give_up_detached(struct question *question, enum adit_dns_unanswered why) {
  while (question) {
    struct question *next = question->next_unsent;
    question->events->unanswered(question->user, why);
    free(question);
    question = next;
  }
}

/* Queue everything that is unanswered, in order, for a new connection. */
static void requeue_all(struct adit_dns_line *line) {
  line->unsent = NULL;
  line->unsent_end = &line->unsent;
  for (struct question *question = line->first; question; question = question->next) push_unsent(line, question);
}

static void give_up_all(struct adit_dns_line *line, enum adit_dns_unanswered why) {
  struct question *all = NULL;
  struct question **end = &all;
  while (line->first) {
    struct question *question = line->first;
    detach(line, question);
    question->next_unsent = NULL;
    *end = question;
    end = &question->next_unsent;
  }
  requeue_all(line); /* nothing */
  set_timer(line);
  give_up_detached(all, why);
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void hang_up(struct adit_dns_line *line) {
  struct connection *connection = line->connection;
  if (!connection) return;
  adit_loop_close(line->relay->loop, &connection->socket.watch, adit_watch_free);
  line->connection = NULL;
}

static void say(struct adit_dns_line *line, const char *why) {
  char server[ADIT_ADDRESS_TEXT];
  adit_log_limited(line->relay->log, &line->relay->upstream_limit, now_of(line), ADIT_LOG_WARNING, 0,
                   "DNS server %s: %s", adit_endpoint_format(line->options.server, server), why);
}

/* The connection is dead. What it has not answered is asked again, except what has had its tries. */
static void lost(struct adit_dns_line *line) {
  bool answered = line->connection->answered;
  hang_up(line);
  struct question *given_up = NULL;
  struct question **end = &given_up;
  uint32_t left = line->count;
  for (struct question *question = line->first, *next; left > 0; question = next, left--) {
    next = question->next;
    if (question->sent_ns == 0) continue;
    if (!answered) question->tries++;
    if (question->tries >= TRIES || question->sends >= SENDS) {
      detach(line, question);
      question->next_unsent = NULL;
      *end = question;
      end = &question->next_unsent;
    } else if (!answered) { /* another try has its full time */
      unlink_question(line, question);
      link_question(line, question);
    }
  }
  requeue_all(line);
  if (line->unsent) adit_loop_defer(line->relay->loop, &line->send);
  set_timer(line);
  give_up_detached(given_up, ADIT_DNS_UNREACHABLE);
}

static void send_unsent(struct adit_dns_line *line) {
  struct connection *connection = line->connection;
  while (line->unsent) {
    struct iovec iov[PIECES];
    size_t count = 0;
    size_t offset = connection->offset;
    for (struct question *question = line->unsent; question && count < PIECES; question = question->next_unsent) {
      iov[count++] = (struct iovec){question->bytes + offset, question->length - offset};
      offset = 0;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t sent = sendmsg(connection->socket.watch.fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) break;
    if (sent < 0) return; /* reading tells what happened, after what was answered before */
    size_t left = (size_t)sent + connection->offset;
    while (line->unsent && left >= line->unsent->length) {
      left -= line->unsent->length;
      line->unsent->sent_ns = now_of(line);
      line->unsent->sends++;
      pop_unsent(line);
    }
    connection->offset = left;
  }
  adit_loop_rewatch(line->relay->loop, &connection->socket.watch, EPOLLIN | (line->unsent ? (uint32_t)EPOLLOUT : 0));
}

/* A whole message. What is not an answer to something that was asked is passed over. */
static void take_answer(struct adit_dns_line *line, uint8_t *answer, size_t length) {
  if (length < ADIT_DNS_HEADER) return;
  unsigned id = (unsigned)answer[0] << 8 | answer[1];
  struct question *question = line->slot[id % SLOTS];
  if (!question || question->sent_ns == 0 || memcmp(question->bytes + PREFIX, answer, 2) != 0 ||
      !adit_dns_answers(question->bytes + PREFIX, question->end, answer, length))
    return;
  line->connection->answered = true;
  answer[0] = (uint8_t)(question->asker_id >> 8);
  answer[1] = (uint8_t)question->asker_id;
  detach(line, question);
  set_timer(line);
  question->events->answer(question->user, answer, length);
  free(question);
}

/* All whole messages in the buffer. Returns false when the server speaks something else. */
static bool take_answers(struct adit_dns_line *line, struct connection *connection) {
  size_t at = 0;
  while (connection->have - at >= PREFIX) {
    size_t length = (size_t)connection->bytes[at] << 8 | connection->bytes[at + 1];
    if (length < ADIT_DNS_HEADER) return false;
    if (connection->have - at < PREFIX + length) break;
    take_answer(line, connection->bytes + at + PREFIX, length);
    if (line->connection != connection) return true; /* whoever was answered has ended the line's connection */
    at += PREFIX + length;
  }
  connection->have -= at;
  memmove(connection->bytes, connection->bytes + at, connection->have);
  return true;
}

static void on_ready(struct adit_relay_socket *socket, uint32_t events) {
  struct connection *connection = (struct connection *)socket; /* its first member */
  struct adit_dns_line *line = connection->line;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    for (unsigned i = 0; i < READS && line->connection == connection; i++) {
      ssize_t got = recv(connection->socket.watch.fd, connection->bytes + connection->have,
                         sizeof connection->bytes - connection->have, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (got <= 0) {
        if (line->first && !connection->answered)
          say(line, got < 0 ? strerror(errno) : "it closed the connection instead of answering");
        lost(line);
        return;
      }
      connection->have += (size_t)got;
      connection->heard_ns = now_of(line);
      if (!take_answers(line, connection)) {
        say(line, "what it sends is not DNS");
        lost(line);
        return;
      }
    }
  }
  if (line->connection == connection && (events & EPOLLOUT)) send_unsent(line);
}

static void on_connected(void *user, struct adit_watch *socket) {
  static const int on = 1;
  struct adit_dns_line *line = user;
  line->connect = NULL;
  struct connection *connection = calloc(1, sizeof *connection);
  int error = connection ? 0 : -ENOMEM;
  if (!error) {
    connection->socket.ready = on_ready;
    connection->line = line;
    (void)setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* questions do not wait for one another */
    error = adit_loop_hand_over(line->relay->loop, socket, &connection->socket.watch, EPOLLIN, adit_watch_free);
  }
  if (error) {
    free(connection);
    adit_loop_close(line->relay->loop, socket, adit_watch_free);
    say(line, strerror(-error));
    give_up_all(line, ADIT_DNS_UNREACHABLE);
    return;
  }
  line->connection = connection;
  requeue_all(line);
  set_timer(line);
  send_unsent(line);
}

static void on_not_connected(void *user, enum adit_refusal how, bool silent, const char *why) {
  struct adit_dns_line *line = user;
  (void)how;
  (void)silent;
  line->connect = NULL;
  say(line, why);
  give_up_all(line, ADIT_DNS_UNREACHABLE);
}

static const struct adit_connect_events connect_events = {.done = on_connected, .failed = on_not_connected};

/* There is something to be sent. */
static void on_send(void *user, struct adit_work *work) {
  struct adit_dns_line *line = user;
  (void)work;
  if (line->connection) {
    send_unsent(line);
  } else if (!line->connect && line->first) {
    const struct adit_target target = {.endpoint = line->options.server, .by = line->options.by};
    int error = adit_connect_start(line->relay, &target, &connect_events, line, &line->connect);
    line->connect_ns = now_of(line);
    if (!error) return;
    line->connect = NULL;
    say(line, strerror(-error));
    give_up_all(line, ADIT_DNS_UNREACHABLE);
  }
}

static void no_connection_yet(struct adit_dns_line *line) {
  if (!line->connect || now_of(line) - line->connect_ns < line->options.try_ms * MILLISECOND_NS) return;
  adit_connect_cancel(line->connect);
  line->connect = NULL;
  say(line, "no connection to it in time");
  adit_loop_defer(line->relay->loop, &line->send);
}

static void on_time(void *user, struct adit_timer *timer) {
  struct adit_dns_line *line = user;
  (void)timer;
  uint64_t now_ns = now_of(line);
  if (!line->first) {
    hang_up(line);
    return;
  }
  if (!line->connection) no_connection_yet(line);
  uint32_t left = line->count;
  while (left-- > 0 && line->first && line->first->due_ns <= now_ns) {
    struct question *question = line->first;
    struct connection *connection = line->connection;
    if (connection && (question->sent_ns == 0 || connection->heard_ns < question->sent_ns)) {
      say(line, "no answer in time; the connection is given up");
      connection->answered = false;                                       /* it has ceased to */
      question->sent_ns = question->sent_ns ? question->sent_ns : now_ns; /* the time was this one's, too */
      lost(line);
      continue;
    }
    if (++question->tries >= TRIES) {
      bool queued = question->sent_ns == 0;
      give_up(line, question, ADIT_DNS_TIMED_OUT);
      if (queued) requeue_all(line); /* only without a connection, so that none of them has been sent */
    } else {
      unlink_question(line, question);
      link_question(line, question);
    }
  }
  set_timer(line);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The oldest question makes room; but not one that is on its way to the socket, which cannot be taken back. */
static void drop_oldest(struct adit_dns_line *line) {
  for (struct question *question = line->first; question; question = question->next) {
    if (question->sent_ns == 0 && line->connection) continue;
    bool queued = question->sent_ns == 0;
    give_up(line, question, ADIT_DNS_DROPPED);
    if (queued) requeue_all(line);
    return;
  }
  /* None was sent: the server takes nothing any more. */
  struct question *question = line->first;
  hang_up(line);
  give_up(line, question, ADIT_DNS_DROPPED);
  requeue_all(line);
  adit_loop_defer(line->relay->loop, &line->send);
}

static uint16_t free_slot(struct adit_dns_line *line) {
  while (line->slot[line->next_slot]) line->next_slot = (uint16_t)((line->next_slot + 1) % SLOTS);
  return line->next_slot;
}

int adit_dns_line_ask(struct adit_dns_line *line, const uint8_t *message, size_t length, size_t question_end,
                      const struct adit_dns_line_events *events, void *user) {
  struct question *question = malloc(sizeof *question + PREFIX + length);
  if (!question) return -ENOMEM;
  *question = (struct question){.events = events, .user = user, .end = question_end, .length = PREFIX + length};
  while (line->first && (line->count >= line->options.questions || line->bytes + question->length > BYTES_MOST))
    drop_oldest(line);

  question->slot = free_slot(line);
  line->slot[question->slot] = question;
  line->next_slot = (uint16_t)((line->next_slot + 1) % SLOTS);
  unsigned id = question->slot + (unsigned)(line->uses++ % (0x10000 / SLOTS)) * SLOTS;
  question->asker_id = (uint16_t)(message[0] << 8 | message[1]);
  question->bytes[0] = (uint8_t)(length >> 8);
  question->bytes[1] = (uint8_t)length;
  memcpy(question->bytes + PREFIX, message, length);
  question->bytes[PREFIX] = (uint8_t)(id >> 8);
  question->bytes[PREFIX + 1] = (uint8_t)id;

  bool first = line->count == 0;
  line->count++;
  line->bytes += question->length;
  link_question(line, question);
  push_unsent(line, question);
  if (first) set_timer(line);
  adit_loop_defer(line->relay->loop, &line->send);
  return 0;
}

int adit_dns_line_new(struct adit_relay *relay, const struct adit_dns_line_options *options,
                      struct adit_dns_line **line) {
  struct adit_dns_line *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->relay = relay;
  made->options = *options;
  if (made->options.questions == 0 || made->options.questions > SLOTS) made->options.questions = SLOTS;
  if (made->options.try_ms == 0) made->options.try_ms = TRY_MS;
  if (made->options.idle_ms == 0) made->options.idle_ms = IDLE_MS;
  made->timer = (struct adit_timer){.fire = on_time, .user = made};
  made->send = (struct adit_work){.run = on_send, .user = made};
  made->unsent_end = &made->unsent;
  if (getrandom(&made->uses, sizeof made->uses, 0) != sizeof made->uses) made->uses = 0; /* any number does */
  *line = made;
  return 0;
}

bool adit_dns_line_has_work(const struct adit_dns_line *line) {
  return line->send.queued;
}

void adit_dns_line_free(struct adit_dns_line *line) {
  if (!line) return;
  if (line->connect) adit_connect_cancel(line->connect);
  line->connect = NULL;
  hang_up(line);
  while (line->first) give_up(line, line->first, ADIT_DNS_DROPPED);
  adit_timers_clear(adit_loop_timers(line->relay->loop), &line->timer);
  free(line);
}
