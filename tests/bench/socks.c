/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit_socks PORT: the SOCKS5 server of the benchmarks (RFC 1928), the same for everybody who is measured.
 *
 * It is to be no bottleneck: two threads, each with a listener of its own on the same port and an edge-triggered epoll
 * set; bytes go from socket to socket through a pipe (splice) and are never in this process; datagrams go by the batch
 * (socks_udp.c). A pipe belongs to a session only while bytes are in it, so that an idle connection costs two fds.
 *
 * CONNECT and UDP ASSOCIATE, to addresses, without authentication. A session ends when both directions have ended, or
 * at the first error. An end of the set may still have an event in the turn in which its session died, so sessions are
 * freed when the turn is over.
 */
#include "socks.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  THREADS = 2,
  EVENTS = 256,
  BACKLOG = 4096,
  PIPE_BYTES = 1 << 20,
  ROUNDS = 16, /* splices of one direction before others have their turn */
  VERSION = 5,
  REQUEST_MAX = 22 /* with an IPv6 address */
};

_Noreturn static void die(const char *what) {
  fprintf(stderr, "adit_socks: %s: %s\n", what, strerror(errno));
  exit(1);
}

static bool watch(struct socks_worker *worker, struct socks_end *end, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = end};
  return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, end->fd, &event) == 0;
}

/* ---- pipes ------------------------------------------------------------------------------------------------------- */

static bool take_pipe(struct socks_worker *worker, struct socks_direction *direction) {
  if (direction->pipe[0] >= 0) return true;
  if (worker->spare > 0) {
    memcpy(direction->pipe, worker->pipes[--worker->spare], sizeof direction->pipe);
    return true;
  }
  if (pipe2(direction->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    direction->pipe[0] = direction->pipe[1] = -1;
    return false;
  }
  fcntl(direction->pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
  return true;
}

/* One with bytes left in it is closed, for nobody else may get them. */
static void give_pipe(struct socks_worker *worker, struct socks_direction *direction) {
  if (direction->pipe[0] < 0) return;
  if (direction->held == 0 && worker->spare < SOCKS_PIPES) {
    memcpy(worker->pipes[worker->spare++], direction->pipe, sizeof direction->pipe);
  } else {
    close(direction->pipe[0]);
    close(direction->pipe[1]);
  }
  direction->pipe[0] = direction->pipe[1] = -1;
}

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

static void end_session(struct socks_worker *worker, struct socks_session *session) {
  if (session->state == SOCKS_DEAD) return;
  session->state = SOCKS_DEAD;
  for (unsigned i = 0; i < SOCKS_ENDS; i++)
    if (session->end[i].fd >= 0) close(session->end[i].fd);
  for (unsigned i = 0; i < 2; i++) give_pipe(worker, &session->direction[i]);
  if (session->listed) return; /* found dead in the list, and freed there */
  session->again = worker->dead;
  worker->dead = session;
}

static void new_session(struct socks_worker *worker, int fd) {
  const int yes = 1;
  struct socks_session *session = calloc(1, sizeof *session);
  if (!session) {
    close(fd);
    return;
  }
  for (unsigned i = 0; i < SOCKS_ENDS; i++) session->end[i] = (struct socks_end){session, -1};
  for (unsigned i = 0; i < 2; i++) session->direction[i].pipe[0] = session->direction[i].pipe[1] = -1;
  session->end[SOCKS_CLIENT].fd = fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (!watch(worker, &session->end[SOCKS_CLIENT], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
    end_session(worker, session);
}

/* Whether the direction is still well: false after an error. Sets *more when it stopped for the others' sake. */
static bool move(struct socks_worker *worker, struct socks_session *session, unsigned from, bool *more) {
  struct socks_direction *direction = &session->direction[from];
  int source = session->end[from].fd;
  int sink = session->end[1 - from].fd;
  for (unsigned round = 0; !direction->done; round++) {
    if (round == ROUNDS) {
      *more = true;
      return true;
    }
    if (direction->held == 0) {
      if (direction->ended) {
        shutdown(sink, SHUT_WR);
        direction->done = true;
        break;
      }
      if (!take_pipe(worker, direction)) return false;
      ssize_t got = splice(source, NULL, direction->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (got < 0 && errno == EAGAIN) break;
      if (got < 0) return false;
      direction->ended = got == 0;
      direction->held = (size_t)got;
      continue;
    }
    ssize_t put = splice(direction->pipe[0], NULL, sink, NULL, direction->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (put < 0 && errno == EAGAIN) return true; /* it keeps the pipe */
    if (put <= 0) return false;
    direction->held -= (size_t)put;
  }
  give_pipe(worker, direction);
  return true;
}

static void relay(struct socks_worker *worker, struct socks_session *session) {
  bool more = false;
  for (unsigned from = SOCKS_CLIENT; from <= SOCKS_FAR; from++) {
    if (move(worker, session, from, &more)) continue;
    end_session(worker, session);
    return;
  }
  if (session->direction[0].done && session->direction[1].done) {
    end_session(worker, session);
  } else if (more && !session->listed) {
    session->again = worker->again;
    session->listed = true;
    worker->again = session;
  }
}

/* ---- the talk ---------------------------------------------------------------------------------------------------- */

/* A reply with the address that was bound, as far as anybody looks: the client's own way here, and a port. */
static bool reply(struct socks_session *session, uint8_t code, uint16_t port) {
  struct sockaddr_storage own = {0};
  socklen_t length = sizeof own;
  uint8_t text[REQUEST_MAX] = {VERSION, code, 0, 1};
  size_t size = 10;
  getsockname(session->end[SOCKS_CLIENT].fd, (struct sockaddr *)&own, &length);
  const struct in6_addr *address = &((const struct sockaddr_in6 *)&own)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(address)) {
    memcpy(text + 4, address->s6_addr + 12, 4);
  } else {
    text[3] = 4;
    memcpy(text + 4, address, 16);
    size = 22;
  }
  text[size - 2] = (uint8_t)(port >> 8);
  text[size - 1] = (uint8_t)port;
  return send(session->end[SOCKS_CLIENT].fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Begin to connect. Returns false when that failed at once. */
static bool connect_far(struct socks_worker *worker, struct socks_session *session, const struct sockaddr_in6 *to) {
  const int yes = 1;
  struct socks_end *far = &session->end[SOCKS_FAR];
  const int no = 0;
  far->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (far->fd < 0) return false;
  setsockopt(far->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  setsockopt(far->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(far->fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  session->state = SOCKS_CONNECTING;
  if (connect(far->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS) return false;
  return watch(worker, far, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void connected(struct socks_worker *worker, struct socks_session *session) {
  int error = 0;
  socklen_t length = sizeof error;
  struct tcp_info info;
  socklen_t room = sizeof info;
  int fd = session->end[SOCKS_FAR].fd;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &room) == 0 && info.tcpi_state == TCP_SYN_SENT) return;
  if (error != 0 || !reply(session, 0, 0)) {
    if (error != 0) reply(session, 5, 0);
    end_session(worker, session);
    return;
  }
  session->state = SOCKS_RELAYING;
  relay(worker, session); /* the edges of what the client has sent meanwhile are gone */
}

/* A whole request in `talk`. */
static void request(struct socks_worker *worker, struct socks_session *session) {
  const uint8_t *text = session->talk;
  struct sockaddr_in6 to = {.sin6_family = AF_INET6};
  size_t size = text[3] == 4 ? 22 : 10;
  if (text[3] == 4) {
    memcpy(&to.sin6_addr, text + 4, 16);
  } else {
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    memcpy(to.sin6_addr.s6_addr + 12, text + 4, 4);
  }
  memcpy(&to.sin6_port, text + size - 2, 2);
  bool good = false;
  if (text[1] == 1) {
    good = connect_far(worker, session, &to);
  } else if (text[1] == 3) {
    uint16_t port = socks_udp_open(worker, session);
    session->state = SOCKS_DATAGRAMS;
    good = port != 0 && reply(session, 0, port);
  }
  if (good) return;
  reply(session, 1, 0);
  end_session(worker, session);
}

/* How long the greeting or request in `talk` is, 0 = that cannot be told yet, more than the room = nonsense. */
static size_t talk_size(const struct socks_session *session) {
  const uint8_t *text = session->talk;
  if (session->talked > 0 && text[0] != VERSION) return SIZE_MAX;
  if (session->state == SOCKS_GREETING) return session->talked >= 2 ? 2 + (size_t)text[1] : 0;
  if (session->talked < 4) return 0;
  return text[3] == 1 ? 10 : text[3] == 4 ? 22 : SIZE_MAX;
}

/* Bytes behind the request are left in the socket: the relay takes them from there. */
static void talk(struct socks_worker *worker, struct socks_session *session) {
  while (session->state == SOCKS_GREETING || session->state == SOCKS_REQUEST) {
    size_t size = talk_size(session);
    size_t want = size ? size : session->state == SOCKS_GREETING ? 2 : 4;
    if (size > sizeof session->talk) {
      end_session(worker, session);
    } else if (size && session->talked == size && session->state == SOCKS_GREETING) {
      static const uint8_t none_needed[] = {VERSION, 0};
      session->state = SOCKS_REQUEST;
      session->talked = 0;
      send(session->end[SOCKS_CLIENT].fd, none_needed, sizeof none_needed, MSG_NOSIGNAL);
    } else if (size && session->talked == size) {
      request(worker, session);
    } else {
      ssize_t got = recv(session->end[SOCKS_CLIENT].fd, session->talk + session->talked, want - session->talked, 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        end_session(worker, session);
        return;
      }
      session->talked += (size_t)got;
    }
  }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void end_turn(struct socks_end *end, struct socks_worker *worker, uint32_t events) {
  struct socks_session *session = end->session;
  switch (session->state) {
  case SOCKS_GREETING:
  case SOCKS_REQUEST:
    talk(worker, session);
    break;
  case SOCKS_CONNECTING:
    if (end == &session->end[SOCKS_FAR])
      connected(worker, session);
    else if (events & EPOLLHUP)
      end_session(worker, session);
    break;
  case SOCKS_RELAYING:
    relay(worker, session);
    break;
  case SOCKS_DATAGRAMS:
    if (end != &session->end[SOCKS_CLIENT])
      socks_udp_turn(end);
    else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
      end_session(worker, session);
    break;
  case SOCKS_DEAD:
    break;
  }
}

static void run_again(struct socks_worker *worker) {
  struct socks_session *session = worker->again;
  worker->again = NULL;
  while (session) {
    struct socks_session *next = session->again;
    session->listed = false;
    if (session->state == SOCKS_DEAD) {
      session->again = worker->dead;
      worker->dead = session;
    } else {
      relay(worker, session);
    }
    session = next;
  }
}

static void bury(struct socks_worker *worker) {
  while (worker->dead) {
    struct socks_session *session = worker->dead;
    worker->dead = session->again;
    free(session);
  }
}

static int listen_at(uint16_t port) {
  const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  const int yes = 1;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  if (bind(fd, (const struct sockaddr *)&any, sizeof any) != 0 || listen(fd, BACKLOG) != 0) die("port");
  return fd;
}

static void *run(void *argument) {
  struct socks_worker *worker = argument;
  struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(worker->epoll, events, EVENTS, worker->again ? 0 : -1);
    for (int i = 0; i < ready; i++) {
      struct socks_end *end = events[i].data.ptr;
      if (end) {
        end_turn(end, worker, events[i].events);
        continue;
      }
      for (int fd; (fd = accept4(worker->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        new_session(worker, fd);
    }
    run_again(worker);
    bury(worker);
  }
  return NULL;
}

int main(int argc, char **argv) {
  static struct socks_worker workers[THREADS];
  static int pipes[THREADS][SOCKS_PIPES][2];
  pthread_t thread;
  struct rlimit files;
  int port = argc == 2 ? atoi(argv[1]) : 0;
  if (port < 1 || port > UINT16_MAX) {
    fputs("usage: adit_socks PORT\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN); /* splice has no flag for it */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    struct epoll_event event = {.events = EPOLLIN};
    workers[i].listener = listen_at((uint16_t)port);
    workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
    workers[i].pipes = pipes[i];
    if (workers[i].epoll < 0 || epoll_ctl(workers[i].epoll, EPOLL_CTL_ADD, workers[i].listener, &event) != 0)
      die("epoll");
    errno = pthread_create(&thread, NULL, run, &workers[i]);
    if (errno) die("thread");
  }
  for (;;) pause();
}
