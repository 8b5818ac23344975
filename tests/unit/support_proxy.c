/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A SOCKS5 server, an HTTP proxy and a nameserver in a process of their own.
 *
 * One thread, one poll. A line is one client: first the talk, of which the bytes are collected, then a connection or a
 * pair of sockets for datagrams beside it. Nothing is checked here by cmocka, which belongs to the other process: a client
 * that says something else than it should is closed, and its test finds that out.
 */
#include "support_proxy.h"

#include "support_packet.h"
#include "support_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINES = 128, TALK = 1024, DATAGRAM = 2048, HEADER = 10 /* SOCKS5, of a datagram to IPv4 */ };

enum side { CLIENT, FAR, INNER, OUTER, SIDES };

enum stage { GREETING, PASSWORD, REQUEST, RELAYING, DATAGRAMS };

struct line {
  bool used;
  enum support_proxy_kind kind;
  enum stage stage;
  int fd[SIDES];             /* -1 = none */
  bool ended[2];             /* CLIENT, FAR: nothing more comes from there */
  struct sockaddr_in client; /* where datagrams came from */
  uint8_t talk[TALK];
  size_t talked;
};

static struct line lines[LINES];

static void close_line(struct line *line) {
  for (int side = 0; side < SIDES; side++)
    if (line->fd[side] >= 0) close(line->fd[side]);
  line->used = false;
}

static bool say(int fd, const void *data, size_t length) {
  return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static void eat(struct line *line, size_t bytes) {
  line->talked -= bytes;
  memmove(line->talk, line->talk + bytes, line->talked);
}

static struct sockaddr_in address_of(const uint8_t ip[4], const uint8_t port[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  memcpy(&address.sin_addr, ip, 4);
  memcpy(&address.sin_port, port, 2);
  return address;
}

static int datagram_socket(struct sockaddr_in *at) {
  socklen_t length = sizeof *at;
  *at = (struct sockaddr_in){.sin_family = AF_INET};
  inet_pton(AF_INET, SUPPORT_KERNEL4, &at->sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)at, length) < 0) return -1;
  getsockname(fd, (struct sockaddr *)at, &length);
  return fd;
}

/* The far end is on this machine: it answers at once. */
static bool connect_far(struct line *line, const struct sockaddr_in *to) {
  line->fd[FAR] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return line->fd[FAR] >= 0 && connect(line->fd[FAR], (const struct sockaddr *)to, sizeof *to) == 0;
}

/* What the client has sent behind its request is the far end's. */
static bool begin_relaying(struct line *line) {
  line->stage = RELAYING;
  bool good = line->talked == 0 || say(line->fd[FAR], line->talk, line->talked);
  line->talked = 0;
  return good;
}

/* ---- the talk: each step takes one message, if it is whole. Returns false when the line is to be closed ---------- */

static bool socks5_greeting(struct line *line) {
  if (line->talked < 2 || line->talked < 2u + line->talk[1]) return true;
  if (line->talk[0] != 5 || !memchr(line->talk + 2, 2, line->talk[1])) return false;
  eat(line, 2u + line->talk[1]);
  line->stage = PASSWORD;
  return say(line->fd[CLIENT], "\5\2", 2);
}

static bool socks5_password(struct line *line) {
  static const uint8_t expected[] = "\1\4" SUPPORT_PROXY_USER "\6" SUPPORT_PROXY_PASSWORD;
  if (line->talked < sizeof expected - 1) return true;
  if (memcmp(line->talk, expected, sizeof expected - 1) != 0) return false;
  eat(line, sizeof expected - 1);
  line->stage = REQUEST;
  return say(line->fd[CLIENT], "\1\0", 2);
}

static bool socks5_request(struct line *line) {
  uint8_t reply[HEADER] = {5, 0, 0, 1};
  if (line->talked < HEADER) return true;
  if (line->talk[0] != 5 || line->talk[3] != 1) return false;
  struct sockaddr_in at = address_of(line->talk + 4, line->talk + 8);
  uint8_t command = line->talk[1];
  eat(line, HEADER);
  if (command == 1) {
    if (!connect_far(line, &at)) reply[1] = 5;
    return say(line->fd[CLIENT], reply, sizeof reply) && reply[1] == 0 && begin_relaying(line);
  }
  struct sockaddr_in ignored;
  line->fd[INNER] = datagram_socket(&at);
  line->fd[OUTER] = datagram_socket(&ignored);
  memcpy(reply + 4, &at.sin_addr, 4);
  memcpy(reply + 8, &at.sin_port, 2);
  line->stage = DATAGRAMS;
  return command == 3 && line->fd[INNER] >= 0 && line->fd[OUTER] >= 0 && say(line->fd[CLIENT], reply, sizeof reply);
}

static bool http_request(struct line *line) {
  static const char credentials[] = "Basic dXNlcjpzZWNyZXQ="; /* user:secret */
  static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
  char ip[16];
  unsigned port;
  line->talk[line->talked] = 0;
  const char *end = strstr((char *)line->talk, "\r\n\r\n");
  if (!end) return true;
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (sscanf((char *)line->talk, "CONNECT %15[0-9.]:%u", ip, &port) != 2 || !strstr((char *)line->talk, credentials))
    return false;
  if (inet_pton(AF_INET, ip, &to.sin_addr) != 1) return false;
  to.sin_port = htons((uint16_t)port);
  eat(line, (size_t)(end + 4 - (char *)line->talk));
  return connect_far(line, &to) && say(line->fd[CLIENT], answer, sizeof answer - 1) && begin_relaying(line);
}

/* The question's header and question come back, with one record. */
static bool dns_question(struct line *line) {
  static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
  uint8_t answer[TALK + sizeof record];
  if (line->talked < 2 + 12 || line->talked < 2u + support_get16(line->talk)) return true;
  size_t end = 2 + 12;
  while (end < line->talked && line->talk[end] != 0) end += 1u + line->talk[end];
  end += 1 + 4;
  if (end > 2u + support_get16(line->talk)) return false;
  memcpy(answer, line->talk, end);
  memcpy(answer + end, record, sizeof record);
  support_put16(answer, (uint32_t)(end + sizeof record - 2));
  support_put16(answer + 4, 0x8180);
  static const uint8_t counts[] = {0, 1, 0, 1, 0, 0, 0, 0};
  memcpy(answer + 6, counts, sizeof counts);
  eat(line, 2u + support_get16(line->talk));
  return say(line->fd[CLIENT], answer, end + sizeof record);
}

static bool talk(struct line *line) {
  size_t before;
  bool good = true;
  do {
    before = line->talked;
    if (line->stage >= RELAYING) return good;
    if (line->kind == SUPPORT_PROXY_HTTP)
      good = http_request(line);
    else if (line->kind == SUPPORT_PROXY_DNS)
      good = dns_question(line);
    else if (line->stage == GREETING)
      good = socks5_greeting(line);
    else
      good = line->stage == PASSWORD ? socks5_password(line) : socks5_request(line);
  } while (good && line->talked > 0 && line->talked < before);
  return good;
}

/* ---- readable sockets: each returns false when the line is to be closed ------------------------------------------ */

static bool hear(struct line *line) {
  ssize_t got = recv(line->fd[CLIENT], line->talk + line->talked, TALK - 1 - line->talked, 0);
  if (got <= 0) return false;
  line->talked += (size_t)got;
  return talk(line);
}

static bool pass_on(struct line *line, enum side from) {
  uint8_t bytes[DATAGRAM];
  enum side to = from == CLIENT ? FAR : CLIENT;
  ssize_t got = recv(line->fd[from], bytes, sizeof bytes, 0);
  if (got < 0) return false;
  if (got > 0) return say(line->fd[to], bytes, (size_t)got);
  line->ended[from] = true;
  shutdown(line->fd[to], SHUT_WR);
  return !line->ended[to];
}

static void datagram_out(struct line *line) {
  uint8_t bytes[DATAGRAM];
  socklen_t length = sizeof line->client;
  ssize_t got = recvfrom(line->fd[INNER], bytes, sizeof bytes, 0, (struct sockaddr *)&line->client, &length);
  if (got < HEADER || bytes[2] != 0 || bytes[3] != 1) return;
  struct sockaddr_in to = address_of(bytes + 4, bytes + 8);
  (void)sendto(line->fd[OUTER], bytes + HEADER, (size_t)got - HEADER, 0, (struct sockaddr *)&to, sizeof to);
}

static void datagram_in(struct line *line) {
  uint8_t bytes[HEADER + DATAGRAM] = {0, 0, 0, 1};
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  ssize_t got = recvfrom(line->fd[OUTER], bytes + HEADER, DATAGRAM, 0, (struct sockaddr *)&from, &length);
  if (got < 0) return;
  memcpy(bytes + 4, &from.sin_addr, 4);
  memcpy(bytes + 8, &from.sin_port, 2);
  (void)sendto(line->fd[INNER], bytes, HEADER + (size_t)got, 0, (struct sockaddr *)&line->client, sizeof line->client);
}

static bool is_good(struct line *line, enum side side) {
  switch (side) {
  case INNER:
    datagram_out(line);
    return true;
  case OUTER:
    datagram_in(line);
    return true;
  default:
    return line->stage == RELAYING ? pass_on(line, side) : hear(line);
  }
}

static void accept_line(int listener, enum support_proxy_kind kind) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  struct line *line = lines;
  if (fd < 0) return;
  while (line < lines + LINES && line->used) line++;
  if (line == lines + LINES) {
    close(fd);
    return;
  }
  *line = (struct line){.used = true, .kind = kind, .fd = {fd, -1, -1, -1}};
}

static void serve(const int *listeners) {
  static struct pollfd waits[SUPPORT_PROXY_KINDS + LINES * SIDES];
  for (;;) {
    size_t count = SUPPORT_PROXY_KINDS;
    for (size_t i = 0; i < count; i++) waits[i] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
    for (struct line *line = lines; line < lines + LINES; line++)
      for (int side = 0; side < SIDES; side++, count++) {
        bool over = side <= FAR && line->ended[side];
        waits[count] = (struct pollfd){.fd = line->used && !over ? line->fd[side] : -1, .events = POLLIN};
      }
    if (poll(waits, count, -1) < 0 && errno != EINTR) _exit(1);
    count = SUPPORT_PROXY_KINDS;
    for (struct line *line = lines; line < lines + LINES; line++)
      for (int side = 0; side < SIDES; side++, count++)
        if (line->used && waits[count].fd >= 0 && waits[count].revents && !is_good(line, (enum side)side))
          close_line(line);
    for (int kind = 0; kind < SUPPORT_PROXY_KINDS; kind++)
      if (waits[kind].revents) accept_line(listeners[kind], (enum support_proxy_kind)kind);
  }
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

void support_proxy_start(struct support_proxy *proxy) {
  int listeners[SUPPORT_PROXY_KINDS];
  for (int kind = 0; kind < SUPPORT_PROXY_KINDS; kind++) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    listeners[kind] = support_kernel_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(listeners[kind], LINES), 0);
    assert_int_equal(getsockname(listeners[kind], (struct sockaddr *)&address, &length), 0);
    proxy->port[kind] = ntohs(address.sin_port);
  }
  pid_t parent = getpid();
  proxy->pid = fork();
  assert_true(proxy->pid >= 0);
  if (proxy->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    serve(listeners);
  }
  for (int kind = 0; kind < SUPPORT_PROXY_KINDS; kind++) close(listeners[kind]);
}

void support_proxy_stop(struct support_proxy *proxy) {
  int status;
  assert_int_equal(waitpid(proxy->pid, &status, WNOHANG), 0);
  assert_int_equal(kill(proxy->pid, SIGKILL), 0);
  assert_int_equal(waitpid(proxy->pid, &status, 0), proxy->pid);
}
