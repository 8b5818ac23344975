/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground of adit_load: clock, numbers from the command line, samples, and sockets that are all set up alike.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/tcp.h> /* not netinet/tcp.h, whose struct tcp_info ends where Linux 2.6 did */
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { UDP_ROOM = 4 << 20 };

char load_block[LOAD_BLOCK];
const char *load_congestion = "cubic";
uint32_t load_mark;

_Noreturn void load_die(const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  fputs("adit_load: ", stderr);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  if (error) fprintf(stderr, ": %s", strerror(error));
  fputc('\n', stderr);
  exit(1);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

uint64_t load_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t load_number(const char *text, uint64_t least, uint64_t most, const char *what) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno || end == text || *end || *text == '-' || value < least || value > most) {
    errno = 0;
    load_die("%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, what, text, least, most);
  }
  return value;
}

uint64_t load_duration_ns(const char *text) {
  char *end;
  double seconds = strtod(text, &end);
  if (end == text || *end || !(seconds > 0) || seconds > 3600) {
    errno = 0;
    load_die("seconds: '%s' is not a number above 0 and up to 3600", text);
  }
  return (uint64_t)(seconds * 1e9);
}

void load_samples_add(struct load_samples *samples, uint64_t ns) {
  if (samples->count == samples->room) {
    samples->room = samples->room ? 2 * samples->room : 1024;
    samples->ns = realloc(samples->ns, samples->room * sizeof *samples->ns);
    if (!samples->ns) load_die("samples");
  }
  samples->ns[samples->count++] = ns;
}

void load_samples_free(struct load_samples *samples) {
  free(samples->ns);
  *samples = (struct load_samples){0};
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left;
  uint64_t b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

void load_samples_print(const struct load_samples *samples) {
  static const struct {
    const char *name;
    unsigned percent;
  } ranks[] = {{"min_us", 0}, {"p50_us", 50}, {"p99_us", 99}, {"max_us", 100}};
  if (samples->count == 0) return;
  qsort(samples->ns, samples->count, sizeof *samples->ns, compare);
  for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
    size_t at = (samples->count - 1) * ranks[i].percent / 100;
    printf(", \"%s\": %.1f", ranks[i].name, (double)samples->ns[at] / 1e3);
  }
}

/* ---- addresses and sockets --------------------------------------------------------------------------------------- */

struct load_target load_target_of(const char *address, const char *port) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found;
  int error = getaddrinfo(address, port, &hints, &found);
  errno = 0;
  if (error) load_die("'%s' port '%s': %s", address, port, gai_strerror(error));
  struct load_target target = {.length = found->ai_addrlen};
  memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return target;
}

static void set_congestion(int fd) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, load_congestion, (socklen_t)strlen(load_congestion)) != 0)
    load_die("congestion control %s", load_congestion);
}

int load_socket(int family, int type, int flags) {
  const struct timeval patience = {.tv_sec = LOAD_PATIENCE_MS / 1000, .tv_usec = LOAD_PATIENCE_MS % 1000 * 1000};
  int fd = socket(family, type | flags | SOCK_CLOEXEC, 0);
  if (fd < 0) load_die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (load_mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &load_mark, sizeof load_mark) != 0) load_die("mark");
  if (type == SOCK_STREAM) set_congestion(fd);
  return fd;
}

int load_connect(const struct load_target *target, int type) {
  int fd = load_socket(target->address.ss_family, type, 0);
  if (connect(fd, (const struct sockaddr *)&target->address, target->length) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int load_bound(uint16_t port, int type, bool shared) {
  const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  const int yes = 1;
  const int no = 0;
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  if (fd < 0) load_die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (bind(fd, (const struct sockaddr *)&any, sizeof any) != 0) load_die("port %u", port);
  if (type == SOCK_STREAM) {
    set_congestion(fd); /* connections inherit it */
    if (listen(fd, LOAD_BACKLOG) != 0) load_die("listen at port %u", port);
  }
  return fd;
}

void load_set_room(int fd) {
  const int room = UDP_ROOM;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}
