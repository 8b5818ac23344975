/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The clients of a control socket.
 *
 * They are served by the thread that waits for signals, which has nothing else to do; workers never notice, but for the
 * question what connections they have. All fds of this file are in one epoll set, so that the thread waits for one.
 *
 * A client brings requests and gets answers in their order, one at a time: while an answer waits to be taken nothing more
 * is read from it. So what it costs is bounded: a line of input and one answer. In one turn a client gets one step (some
 * bytes in, or one request answered, or some bytes out), so none keeps the others or a signal waiting. A client that still
 * has whole requests in its buffer waits for room to write, which it has at once, instead of bytes to read.
 *
 * Timers: one for each client, its deadline. It is put off when a request was complete and when bytes of an answer were
 * taken, not by single bytes of a request that never ends. And one for the listener, which is not asked for a second when
 * accepting failed for want of fds: it would be readable all the time.
 */
#include "cli/control_server.h"

#include "cli/control_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_PAUSE_MS = 1000 };

struct client {
  int fd; /* -1 = the place is free */
  uint64_t deadline_ms;
  bool ended;   /* it sends nothing more */
  bool leaving; /* after this answer */
  size_t in_used;
  size_t out_done;
  size_t out_length;
  char *out; /* answer with its newline; owned; NULL = none */
  char in[ADIT_CONTROL_LINE + 1];
};

struct adit_control_server {
  int epoll;
  int listener; /* borrowed */
  adit_control_answerer *answer;
  void *user;
  uint64_t paused_until_ms; /* 0 = the listener is in the set */
  bool stop;
  struct client client[ADIT_CONTROL_CLIENTS];
};

/* ---- the epoll set: listener and clients are told apart by their address ------------------------------------------- */

static int watch(const struct adit_control_server *server, int operation, int fd, uint32_t events, void *what) {
  struct epoll_event event = {.events = events, .data.ptr = what};
  return epoll_ctl(server->epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

/* ---- clients ------------------------------------------------------------------------------------------------------- */

static void drop(struct client *client) {
  close(client->fd); /* leaves the set with it */
  free(client->out);
  client->fd = -1;
  client->out = NULL;
}

/* The answer is owned from here on; NULL: there is no memory for one, and it goes without. */
static void give(struct client *client, char *answer) {
  client->out = answer;
  client->out_done = 0;
  client->out_length = answer != NULL ? strlen(answer) + 1 : 0;
  if (answer != NULL)
    answer[client->out_length - 1] = '\n'; /* in the place of the zero */
  else
    client->leaving = true;
}

static void refuse(struct client *client, const char *reason) {
  client->leaving = true;
  give(client, adit_control_refusal(reason));
}

static char *end_of_line(const struct client *client) {
  return memchr(client->in, '\n', client->in_used);
}

/* Answer the first request of the buffer. */
static void answer_line(struct adit_control_server *server, struct client *client, char *end) {
  struct adit_control_request request;
  char reason[128];
  size_t length = (size_t)(end - client->in);
  bool stop = false;
  *end = '\0';
  char *answer = adit_control_request_parse(client->in, length, &request, reason, sizeof reason) == 0
                     ? server->answer(server->user, &request, &stop)
                     : adit_control_refusal(reason);
  client->in_used -= length + 1;
  memmove(client->in, end + 1, client->in_used);
  give(client, answer);
  if (stop) {
    server->stop = true;
    client->leaving = true;
  }
}

/* Returns false when the client is gone. */
static bool read_some(struct client *client) {
  ssize_t got = recv(client->fd, client->in + client->in_used, ADIT_CONTROL_LINE - client->in_used, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) client->ended = true;
  client->in_used += (size_t)got;
  return true;
}

/* Returns false when the client is gone. */
static bool write_some(struct client *client, uint64_t now_ms) {
  ssize_t put = send(client->fd, client->out + client->out_done, client->out_length - client->out_done,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  client->out_done += (size_t)put;
  client->deadline_ms = now_ms + ADIT_CONTROL_PATIENCE_MS;
  if (client->out_done < client->out_length) return true;
  free(client->out);
  client->out = NULL;
  return true;
}

/* One step. Returns false when the client has to go. */
static bool step(struct adit_control_server *server, struct client *client, uint64_t now_ms) {
  if (client->out == NULL) {
    if (end_of_line(client) == NULL && !client->ended && !read_some(client)) return false;
    char *end = end_of_line(client);
    if (end != NULL) {
      client->deadline_ms = now_ms + ADIT_CONTROL_PATIENCE_MS;
      answer_line(server, client, end);
    } else if (client->in_used == ADIT_CONTROL_LINE) {
      refuse(client, "a request has at most 4096 bytes, its newline included");
    }
  }
  if (client->out != NULL && !write_some(client, now_ms)) return false;
  bool more = client->out != NULL || end_of_line(client) != NULL;
  if (client->out == NULL && (client->leaving || (client->ended && !more))) return false;
  return watch(server, EPOLL_CTL_MOD, client->fd, more ? EPOLLOUT : EPOLLIN, client) == 0;
}

/* ---- the listener -------------------------------------------------------------------------------------------------- */

static struct client *free_place(struct adit_control_server *server) {
  for (size_t i = 0; i < ADIT_CONTROL_CLIENTS; i++)
    if (server->client[i].fd < 0) return &server->client[i];
  return NULL;
}

/* Tell somebody who is not let in why; if there is no room for a line at once, without a word. */
static void turn_away(int fd, const char *reason) {
  char *text = adit_control_refusal(reason);
  if (text != NULL) {
    size_t length = strlen(text);
    text[length] = '\n';
    ssize_t put = send(fd, text, length + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)put;
  }
  free(text);
  close(fd);
}

static void accept_one(struct adit_control_server *server, uint64_t now_ms) {
  int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (short_of && watch(server, EPOLL_CTL_DEL, server->listener, 0, NULL) == 0)
      server->paused_until_ms = now_ms + ACCEPT_PAUSE_MS;
    return;
  }
  struct client *client = free_place(server);
  if (!adit_control_peer_allowed(fd)) {
    turn_away(fd, "permission denied: only the user that adit runs as, and root, may ask it");
  } else if (client == NULL) {
    turn_away(fd, "too many clients ask this adit at the same time; try again in some seconds");
  } else if (watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, client) != 0) {
    close(fd);
  } else {
    client->fd = fd;
    client->deadline_ms = now_ms + ADIT_CONTROL_PATIENCE_MS;
    client->ended = client->leaving = false;
    client->in_used = 0;
  }
}

/* ---- turns --------------------------------------------------------------------------------------------------------- */

static void expire(struct adit_control_server *server, uint64_t now_ms) {
  for (size_t i = 0; i < ADIT_CONTROL_CLIENTS; i++) {
    struct client *client = &server->client[i];
    if (client->fd >= 0 && now_ms >= client->deadline_ms) drop(client);
  }
  if (server->paused_until_ms != 0 && now_ms >= server->paused_until_ms &&
      watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN, server) == 0)
    server->paused_until_ms = 0;
}

bool adit_control_server_turn(struct adit_control_server *server, uint64_t now_ms) {
  struct epoll_event events[ADIT_CONTROL_CLIENTS + 1];
  int count = epoll_wait(server->epoll, events, ADIT_CONTROL_CLIENTS + 1, 0);
  bool waiting = false; /* after the clients: one of them may make room */
  for (int i = 0; i < count; i++) {
    if (events[i].data.ptr == server)
      waiting = true;
    else if (!step(server, events[i].data.ptr, now_ms))
      drop(events[i].data.ptr);
  }
  if (waiting) accept_one(server, now_ms);
  expire(server, now_ms);
  return server->stop;
}

int adit_control_server_timeout(const struct adit_control_server *server, uint64_t now_ms) {
  uint64_t next = server->paused_until_ms != 0 ? server->paused_until_ms : UINT64_MAX;
  for (size_t i = 0; i < ADIT_CONTROL_CLIENTS; i++)
    if (server->client[i].fd >= 0 && server->client[i].deadline_ms < next) next = server->client[i].deadline_ms;
  if (next == UINT64_MAX) return -1;
  return next > now_ms ? (int)(next - now_ms) : 0;
}

int adit_control_server_fd(const struct adit_control_server *server) {
  return server->epoll;
}

int adit_control_server_new(int listener, adit_control_answerer *answer, void *user,
                            struct adit_control_server **server) {
  int error;
  struct adit_control_server *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  *made = (struct adit_control_server){.listener = listener, .answer = answer, .user = user};
  for (size_t i = 0; i < ADIT_CONTROL_CLIENTS; i++) made->client[i].fd = -1;
  made->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (made->epoll < 0) {
    error = -errno;
    goto no_epoll;
  }
  error = watch(made, EPOLL_CTL_ADD, listener, EPOLLIN, made);
  if (error != 0) goto no_watch;
  *server = made;
  return 0;

no_watch:
  close(made->epoll);
no_epoll:
  free(made);
  return error;
}

void adit_control_server_free(struct adit_control_server *server) {
  if (server == NULL) return;
  for (size_t i = 0; i < ADIT_CONTROL_CLIENTS; i++)
    if (server->client[i].fd >= 0) drop(&server->client[i]);
  close(server->epoll);
  free(server);
}
