/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The far end: kernel-socket servers at the ports of `adit serve`, with the client's own sizes.
 *
 * Bulk (discard, chargen, and one that takes nothing) has a thread for each connection, which ends with it. Echo has connections by the thousand,
 * most of them short or idle: two threads, each with a listener of its own on the same port (SO_REUSEPORT) and an epoll
 * set. What an echo cannot write at once ends the connection: its clients wait for their few bytes before they send more.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ECHO_THREADS = 2, EVENTS = 256, ECHO_ROOM = 16 * 1024 };

/* ---- bulk -------------------------------------------------------------------------------------------------------- */

static void *discard(void *argument) {
  int fd = *(int *)argument;
  char *room = malloc(LOAD_BLOCK);
  free(argument);
  if (!room) load_die("memory");
  while (recv(fd, room, LOAD_BLOCK, 0) > 0) continue;
  free(room);
  close(fd);
  return NULL;
}

static void *chargen(void *argument) {
  int fd = *(int *)argument;
  free(argument);
  while (send(fd, load_block, LOAD_BLOCK, MSG_NOSIGNAL) > 0) continue;
  close(fd);
  return NULL;
}

/* Takes nothing, until the other end is gone. */
static void *mute(void *argument) {
  struct pollfd end = {.fd = *(int *)argument, .events = POLLRDHUP};
  free(argument);
  while (poll(&end, 1, -1) < 0 && errno == EINTR) continue;
  close(end.fd);
  return NULL;
}

struct bulk {
  uint16_t port;
  void *(*serve)(void *fd);
};

/* Gives each connection a thread, which owns the fd and the memory that names it. */
static void *serve_bulk(void *argument) {
  const struct bulk *bulk = argument;
  int listener = load_bound(bulk->port, SOCK_STREAM, false);
  for (;;) {
    pthread_t thread;
    int *fd = malloc(sizeof *fd);
    if (!fd) load_die("memory");
    *fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (*fd < 0 || pthread_create(&thread, NULL, bulk->serve, fd) != 0) {
      if (*fd >= 0) close(*fd);
      free(fd);
      continue;
    }
    pthread_detach(thread);
  }
  return NULL;
}

/* ---- echo -------------------------------------------------------------------------------------------------------- */

static void accept_all(int epoll, int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) close(fd);
  }
}

static void echo_some(int fd) {
  char text[ECHO_ROOM];
  ssize_t got = recv(fd, text, sizeof text, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0 || send(fd, text, (size_t)got, MSG_NOSIGNAL) != got) close(fd);
}

static void *serve_echo(void *unused) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = load_bound(LOAD_PORT_ECHO, SOCK_STREAM, true);
  int flags = fcntl(listener, F_GETFL);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  struct epoll_event events[EVENTS];
  if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) != 0) load_die("listener");
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) load_die("epoll");
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listener)
        accept_all(epoll, listener);
      else
        echo_some(events[i].data.fd);
    }
  }
  return unused;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  errno = pthread_create(&thread, NULL, body, argument);
  if (errno) load_die("a thread");
}

void load_run_serve(char **argv, int argc) {
  static struct bulk bulk[] = {{LOAD_PORT_DISCARD, discard}, {LOAD_PORT_CHARGEN, chargen}, {LOAD_PORT_MUTE, mute}};
  (void)argv;
  (void)argc;
  for (size_t i = 0; i < sizeof bulk / sizeof bulk[0]; i++) start(serve_bulk, &bulk[i]);
  for (unsigned i = 0; i < ECHO_THREADS; i++) start(serve_echo, NULL);
  start(load_serve_udp_echo, NULL);
  start(load_serve_udp_sink, NULL);
  start(load_serve_udp_sink_runs, NULL);
  start(load_serve_udp_source, NULL);
  for (;;) pause();
}
