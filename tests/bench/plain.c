/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit_plain [--splice] FAR4 FAR6: a relay between kernel sockets, and nothing else.
 *
 * What comes to a port of loopback goes to the same port of the far end, received into a buffer and sent from it: the least
 * that a relay in user space can do while it sees the bytes. Like adit it copies each byte twice and is one thread; unlike
 * adit it has the kernel's TCP towards the client as well. What adit does not reach of the baseline, and this does not either,
 * is the price of a relay and not of adit.
 *
 * With --splice the kernel moves the bytes through a pipe. The relay sees none of them and copies nothing: what it does not
 * reach no relay does that is a process of its own on the same processors.
 *
 * Both sockets are in one edge-triggered epoll set, and each event moves both directions as far as they go. A session is freed
 * when the turn is over, since the other socket's event may be in it, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  EVENTS = 256,
  BACKLOG = 4096,
  BUFFER = 512 * 1024,
  PIPE = 1024 * 1024, /* twice that: it holds pages, and not all of them are full */
  ROUNDS = 8          /* stores of one direction before others have their turn */
};

/** Where bytes are on their way. */
struct store {
  struct store *next; /* among those that nobody uses */
  int pipe[2];        /* with --splice */
  char buffer[];      /* without */
};

/** Bytes on their way from one socket to the other. */
struct direction {
  struct store *store; /* NULL while there are none */
  size_t begin;
  size_t end;
  bool ended;  /* the sender's side */
  bool passed; /* the receiver knows */
};

struct session {
  struct session *next; /* among those that are over, or wait for their next turn */
  int fd[2];            /* the client's, the far end's */
  struct direction direction[2];
  bool over;
  bool waiting;
};

struct listener {
  int fd;
  int family;
  uint16_t port;
};

static const uint16_t ports[] = {7, 9, 19}; /* echo, discard, chargen of adit_load */
static struct listener listeners[2 * sizeof ports / sizeof ports[0]];
static struct in_addr far4;
static struct in6_addr far6;
static int epoll;
static struct session *over;
static struct session *waiting;
static struct store *spare;
static bool splices;

_Noreturn static void die(const char *what) {
  fprintf(stderr, "adit_plain: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void watch(int fd, uint32_t events, void *data) {
  struct epoll_event event = {.events = events, .data.ptr = data};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static struct store *take_store(void) {
  struct store *store = spare;
  if (store) {
    spare = store->next;
    return store;
  }
  store = malloc(sizeof *store + (splices ? 0 : BUFFER));
  if (!store) die("memory");
  if (splices && (pipe2(store->pipe, O_NONBLOCK | O_CLOEXEC) != 0 || fcntl(store->pipe[0], F_SETPIPE_SZ, PIPE) < 0))
    die("pipe");
  return store;
}

static void give_store(struct direction *direction) {
  direction->store->next = spare;
  spare = direction->store;
  direction->store = NULL;
}

/* With bytes in it that nobody wants. */
static void drop_store(struct direction *direction) {
  if (splices) {
    close(direction->store->pipe[0]);
    close(direction->store->pipe[1]);
  }
  free(direction->store);
  direction->store = NULL;
}

static ssize_t fill(struct store *store, int from) {
  if (!splices) return recv(from, store->buffer, BUFFER, MSG_DONTWAIT);
  return splice(from, NULL, store->pipe[1], NULL, BUFFER, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static ssize_t drain(struct store *store, size_t begin, size_t bytes, int to) {
  if (!splices) return send(to, store->buffer + begin, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  return splice(store->pipe[0], NULL, to, NULL, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static bool is_for_later(int error) {
  return error == EAGAIN || error == EINTR;
}

/* What one store holds, from `from` to `to`. Returns whether there may be more at once; `*failed` when the session is over. */
static bool move(struct direction *direction, int from, int to, bool *failed) {
  if (!direction->store && !direction->ended) {
    direction->store = take_store();
    ssize_t got = fill(direction->store, from);
    direction->begin = 0;
    direction->end = got > 0 ? (size_t)got : 0;
    direction->ended = got == 0;
    if (got < 0) *failed = !is_for_later(errno);
    if (got <= 0) give_store(direction);
  }
  if (direction->store) {
    ssize_t sent = drain(direction->store, direction->begin, direction->end - direction->begin, to);
    if (sent < 0) *failed = !is_for_later(errno);
    if (sent > 0) direction->begin += (size_t)sent;
    if (direction->begin < direction->end) return false;
    give_store(direction);
    return true;
  }
  if (direction->ended && !direction->passed) {
    shutdown(to, SHUT_WR);
    direction->passed = true;
  }
  return false;
}

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

static void end_session(struct session *session) {
  if (session->over) return;
  session->over = true;
  close(session->fd[0]);
  close(session->fd[1]);
  for (int i = 0; i < 2; i++)
    if (session->direction[i].store) drop_store(&session->direction[i]);
  if (session->waiting) return; /* freed when its turn comes */
  session->next = over;
  over = session;
}

static void pump(struct session *session) {
  bool failed = false;
  bool more = false;
  for (int i = 0; i < 2 && !failed; i++) {
    struct direction *direction = &session->direction[i];
    int rounds = ROUNDS;
    while (rounds > 0 && !failed && move(direction, session->fd[i], session->fd[1 - i], &failed)) rounds--;
    more |= rounds == 0;
  }
  if (failed || (session->direction[0].passed && session->direction[1].passed)) {
    end_session(session);
  } else if (more && !session->waiting) {
    session->waiting = true;
    session->next = waiting;
    waiting = session;
  }
}

static void begin_session(const struct listener *listener) {
  static const int on = 1;
  int client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  int fd = socket(listener->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(listener->port), .sin_addr = far4};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(listener->port), .sin6_addr = far6};
  bool four = listener->family == AF_INET;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, four ? (struct sockaddr *)&in : (struct sockaddr *)&in6, four ? sizeof in : sizeof in6) != 0 &&
      errno != EINPROGRESS) {
    close(fd);
    close(client);
    return;
  }
  struct session *session = calloc(1, sizeof *session);
  if (!session) die("memory");
  session->fd[0] = client;
  session->fd[1] = fd;
  watch(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, session);
  watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, session);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void listen_on(struct listener *listener, int family, uint16_t port) {
  static const int on = 1;
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
  bool four = family == AF_INET;
  *listener = (struct listener){socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), family, port};
  if (listener->fd < 0) die("socket");
  setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener->fd, IPPROTO_TCP, TCP_CONGESTION, "cubic",
             5); /* for connections, too: loopback's routes say none */
  if (bind(listener->fd, four ? (struct sockaddr *)&in : (struct sockaddr *)&in6, four ? sizeof in : sizeof in6) != 0)
    die("bind");
  if (listen(listener->fd, BACKLOG) != 0) die("listen");
  watch(listener->fd, EPOLLIN, listener);
}

static bool is_listener(const void *data) {
  return (const char *)data >= (const char *)listeners &&
         (const char *)data < (const char *)listeners + sizeof listeners;
}

static void take_turns(void) {
  struct session *session = waiting;
  waiting = NULL;
  while (session) {
    struct session *next = session->next;
    session->waiting = false;
    if (session->over) {
      session->next = over;
      over = session;
    } else {
      pump(session);
    }
    session = next;
  }
}

int main(int argc, char **argv) {
  splices = argc > 1 && strcmp(argv[1], "--splice") == 0;
  char **far = argv + 1 + splices;
  if (argc != 3 + splices || inet_pton(AF_INET, far[0], &far4) != 1 || inet_pton(AF_INET6, far[1], &far6) != 1) {
    fputs("usage: adit_plain [--splice] FAR4 FAR6\n", stderr);
    return 2;
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  signal(SIGPIPE, SIG_IGN);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll");
  for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
    listen_on(&listeners[2 * i], AF_INET, ports[i]);
    listen_on(&listeners[2 * i + 1], AF_INET6, ports[i]);
  }
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, waiting ? 0 : -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      if (is_listener(events[i].data.ptr))
        begin_session(events[i].data.ptr);
      else if (!((struct session *)events[i].data.ptr)->over)
        pump(events[i].data.ptr);
    }
    take_turns();
    while (over) {
      struct session *session = over;
      over = session->next;
      free(session);
    }
  }
}
