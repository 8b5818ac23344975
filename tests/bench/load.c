/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit_load: the client of the benchmarks, and the kernel-socket servers that adit is compared with.
 *
 * The same client, with the same buffers, talks to adit and to the servers here; so what differs is the stack at the far
 * end. Every client prints one JSON object on one line. A server runs until it is killed.
 *
 * Bytes sent count when the far end has acknowledged them, not when the kernel has taken them: a send buffer of megabytes
 * would be a visible part of a short run. Each stream has a thread of its own with blocking calls that time out, so a
 * stall ends the run with a low number and never hangs it.
 *
 * The congestion control is set on each socket, to cubic as Linux has it by default. A machine may have another default,
 * which every new namespace inherits; BBR for one paces what it sends, and would be measured in place of the stacks.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* not netinet/tcp.h, whose struct tcp_info ends where Linux 2.6 did */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  BLOCK = 256 * 1024, /* bytes of a read or write */
  STREAMS_MAX = 256,
  SERVERS = 64, /* connections that a server serves at a time, a thread each */
  BACKLOG = 1024,
  PATIENCE_MS = 1000,
  FEW = 16,           /* bytes that a short connection exchanges */
  DATAGRAMS = 32,     /* datagrams sent before looking for echoes */
  UNANSWERED = 256,   /* echoes that may be missing before the sender waits for some */
  UDP_ROOM = 4 << 20, /* bytes: receive buffer in which those fit, whatever the machine's default is */
  ECHO_HEADER = 8     /* of ICMP and ICMPv6 */
};

static char block[BLOCK];
static const char *congestion = "cubic"; /* set before the first thread */

_Noreturn static void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn static void die(const char *format, ...) {
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

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static double seconds_of(uint64_t ns) {
  return (double)ns / 1e9;
}

/* A whole number from `text`, at least `least` and at most `most`. */
static uint64_t number(const char *text, uint64_t least, uint64_t most, const char *what) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno || end == text || *end || *text == '-' || value < least || value > most) {
    errno = 0;
    die("%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, what, text, least, most);
  }
  return value;
}

static uint64_t duration_ns(const char *text) {
  char *end;
  double seconds = strtod(text, &end);
  if (end == text || *end || !(seconds > 0) || seconds > 3600) {
    errno = 0;
    die("seconds: '%s' is not a number above 0 and up to 3600", text);
  }
  return (uint64_t)(seconds * 1e9);
}

/* Samples of one thread, in nanoseconds; owned by whoever declared it. */
struct samples {
  uint64_t *ns;
  size_t count;
  size_t room;
};

static void add_sample(struct samples *samples, uint64_t ns) {
  if (samples->count == samples->room) {
    samples->room = samples->room ? 2 * samples->room : 1024;
    samples->ns = realloc(samples->ns, samples->room * sizeof *samples->ns);
    if (!samples->ns) die("samples");
  }
  samples->ns[samples->count++] = ns;
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left;
  uint64_t b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

/* Prints min, median, p99 and max as JSON members, in microseconds. Sorts the samples. */
static void print_samples(const struct samples *samples) {
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

/* Where the load goes. */
struct target {
  struct sockaddr_storage address;
  socklen_t length;
};

static struct target target_of(const char *address, const char *port) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found;
  int error = getaddrinfo(address, port, &hints, &found);
  errno = 0;
  if (error) die("'%s' port '%s': %s", address, port, gai_strerror(error));
  struct target target = {.length = found->ai_addrlen};
  memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return target;
}

static void set_patience(int fd) {
  const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000, .tv_usec = PATIENCE_MS % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static void set_congestion(int fd) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) != 0)
    die("congestion control %s", congestion);
}

/* A connected socket, or -1 with errno. */
static int connect_to(const struct target *target, int type) {
  int fd = socket(target->address.ss_family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_patience(fd);
  if (type == SOCK_STREAM) set_congestion(fd);
  if (connect(fd, (const struct sockaddr *)&target->address, target->length) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* ---- threads of a client ----------------------------------------------------------------------------------------- */

/* One stream or one connector. The thread writes `bytes` and what follows, main reads it after the join. */
struct stream {
  pthread_t thread;
  const struct target *target;
  uint64_t duration;
  uint64_t start; /* when its measuring began and ended */
  uint64_t end;
  uint64_t bytes;
  uint64_t failed;
  struct tcp_info info;
  struct samples samples;
};

/* Run `body` in `count` threads and wait for all. */
static void run_streams(struct stream *stream, size_t count, const struct target *target, uint64_t duration,
                        void *(*body)(void *)) {
  for (size_t i = 0; i < count; i++) {
    stream[i] = (struct stream){.target = target, .duration = duration};
    errno = pthread_create(&stream[i].thread, NULL, body, &stream[i]);
    if (errno) die("a thread for stream %zu", i);
  }
  for (size_t i = 0; i < count; i++) pthread_join(stream[i].thread, NULL);
}

/* From the first start to the last end. */
static uint64_t span_ns(const struct stream *stream, size_t count) {
  uint64_t start = stream[0].start;
  uint64_t end = stream[0].end;
  for (size_t i = 1; i < count; i++) {
    if (stream[i].start < start) start = stream[i].start;
    if (stream[i].end > end) end = stream[i].end;
  }
  return end - start;
}

static void *send_stream(void *argument) {
  struct stream *stream = argument;
  int fd = connect_to(stream->target, SOCK_STREAM);
  if (fd < 0) die("connect");
  stream->start = now_ns();
  while (now_ns() - stream->start < stream->duration) {
    ssize_t sent = send(fd, block, sizeof block, MSG_NOSIGNAL);
    if (sent < 0) die("send, after %" PRIu64 " bytes", stream->bytes);
    stream->bytes += (uint64_t)sent;
  }
  int unacknowledged = 0;
  ioctl(fd, SIOCOUTQ, &unacknowledged);
  stream->end = now_ns();
  stream->bytes -= (uint64_t)unacknowledged;
  socklen_t length = sizeof stream->info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &stream->info, &length);
  close(fd);
  return NULL;
}

static void *receive_stream(void *argument) {
  struct stream *stream = argument;
  char *room = malloc(BLOCK);
  if (!room) die("memory");
  int fd = connect_to(stream->target, SOCK_STREAM);
  if (fd < 0) die("connect");
  stream->start = now_ns();
  while (now_ns() - stream->start < stream->duration) {
    ssize_t got = recv(fd, room, BLOCK, 0);
    if (got < 0) die("receive, after %" PRIu64 " bytes", stream->bytes);
    errno = 0;
    if (got == 0) die("the far end closed after %" PRIu64 " bytes", stream->bytes);
    stream->bytes += (uint64_t)got;
  }
  stream->end = now_ns();
  socklen_t length = sizeof stream->info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &stream->info, &length);
  close(fd);
  free(room);
  return NULL;
}

static void run_bulk(char **argv, int argc, void *(*body)(void *)) {
  static struct stream streams[STREAMS_MAX];
  struct target target = target_of(argv[0], argv[1]);
  uint64_t duration = duration_ns(argv[2]);
  size_t count = argc > 3 ? number(argv[3], 1, STREAMS_MAX, "streams") : 1;
  run_streams(streams, count, &target, duration, body);
  uint64_t bytes = 0;
  uint64_t retransmitted = 0;
  uint64_t window_us = 0; /* time that the far end's window kept the sender waiting */
  for (size_t i = 0; i < count; i++) {
    bytes += streams[i].bytes;
    retransmitted += streams[i].info.tcpi_total_retrans;
    window_us += streams[i].info.tcpi_rwnd_limited;
  }
  double seconds = seconds_of(span_ns(streams, count));
  printf("{\"bytes\": %" PRIu64
         ", \"seconds\": %.3f, \"streams\": %zu, \"gbit_per_s\": %.3f, \"retransmitted\": %" PRIu64
         ", \"window_limited_s\": %.3f, \"rtt_us\": %" PRIu32 ", \"mss\": %" PRIu32 "}\n",
         bytes, seconds, count, (double)bytes * 8 / 1e9 / seconds, retransmitted, (double)window_us / 1e6,
         streams[0].info.tcpi_rtt, streams[0].info.tcpi_snd_mss);
}

static void run_send(char **argv, int argc) {
  run_bulk(argv, argc, send_stream);
}

static void run_receive(char **argv, int argc) {
  run_bulk(argv, argc, receive_stream);
}

/* ---- short connections ------------------------------------------------------------------------------------------- */

/* Send a few bytes, take them back, end: the whole life of a connection. Returns whether it went well. */
static bool short_connection(const struct target *target) {
  char text[FEW];
  int fd = connect_to(target, SOCK_STREAM);
  if (fd < 0) return false;
  size_t back = 0;
  bool good = send(fd, block, FEW, MSG_NOSIGNAL) == FEW;
  while (good && back < FEW) {
    ssize_t got = recv(fd, text, FEW - back, 0);
    good = got > 0;
    if (good) back += (size_t)got;
  }
  close(fd);
  return good;
}

static void *connect_stream(void *argument) {
  struct stream *stream = argument;
  stream->start = now_ns();
  for (uint64_t before = stream->start; before - stream->start < stream->duration;) {
    bool good = short_connection(stream->target);
    uint64_t after = now_ns();
    if (good)
      add_sample(&stream->samples, after - before);
    else
      stream->failed++;
    before = after;
  }
  stream->end = now_ns();
  return NULL;
}

static void run_connect(char **argv, int argc) {
  static struct stream streams[STREAMS_MAX];
  struct target target = target_of(argv[0], argv[1]);
  uint64_t duration = duration_ns(argv[2]);
  size_t count = argc > 3 ? number(argv[3], 1, STREAMS_MAX, "concurrency") : 1;
  run_streams(streams, count, &target, duration, connect_stream);
  struct samples all = {0};
  uint64_t failed = 0;
  for (size_t i = 0; i < count; i++) {
    failed += streams[i].failed;
    for (size_t j = 0; j < streams[i].samples.count; j++) add_sample(&all, streams[i].samples.ns[j]);
    free(streams[i].samples.ns);
  }
  double seconds = seconds_of(span_ns(streams, count));
  printf("{\"connections\": %zu, \"failed\": %" PRIu64 ", \"seconds\": %.3f, \"concurrency\": %zu, \"per_s\": %.0f",
         all.count, failed, seconds, count, (double)all.count / seconds);
  print_samples(&all);
  puts("}");
  free(all.ns);
}

/* ---- echo requests ----------------------------------------------------------------------------------------------- */

static const struct icmp_kind {
  int protocol;
  uint8_t request;
  uint8_t reply;
} icmp4 = {IPPROTO_ICMP, 8, 0}, icmp6 = {IPPROTO_ICMPV6, 128, 129};

/* RFC 1071. The kernel makes that of ICMPv6. */
static void put_checksum(uint8_t *message, size_t length) {
  uint32_t sum = 0;
  memset(message + 2, 0, 2);
  for (size_t i = 0; i < length; i += 2) sum += (uint32_t)message[i] << 8 | (i + 1 < length ? message[i + 1] : 0U);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  message[2] = (uint8_t)(~sum >> 8);
  message[3] = (uint8_t)~sum;
}

/* Whether `message` answers the request. Raw IPv4 sockets deliver the IP header, too. */
static bool is_reply(const struct icmp_kind *kind, const uint8_t *message, size_t length, const uint8_t *request) {
  size_t skip = kind == &icmp4 && length > 0 ? (size_t)(message[0] & 15) * 4 : 0;
  return length >= skip + ECHO_HEADER && message[skip] == kind->reply &&
         memcmp(message + skip + 4, request + 4, 4) == 0;
}

/* Wait for the reply, blocking or asking again and again. Returns whether it came in time. */
static bool await_reply(int fd, const struct icmp_kind *kind, const uint8_t *request, bool polling, uint64_t sent_ns) {
  uint8_t message[2048];
  while (now_ns() - sent_ns < PATIENCE_MS * 1000000ULL) {
    ssize_t got = recv(fd, message, sizeof message, polling ? MSG_DONTWAIT : 0);
    if (got > 0 && is_reply(kind, message, (size_t)got, request)) return true;
  }
  return false;
}

static void run_echo(char **argv, int argc) {
  struct target target = target_of(argv[0], "0");
  uint64_t count = number(argv[1], 1, 100000000, "count");
  bool polling = argc > 2 && strcmp(argv[2], "poll") == 0;
  errno = 0;
  if (argc > 2 && !polling && strcmp(argv[2], "block") != 0) die("'%s' is neither block nor poll", argv[2]);
  const struct icmp_kind *kind = target.address.ss_family == AF_INET ? &icmp4 : &icmp6;
  int fd = socket(target.address.ss_family, SOCK_RAW | SOCK_CLOEXEC, kind->protocol);
  if (fd < 0) die("raw socket (needs CAP_NET_RAW)");
  set_patience(fd);
  if (connect(fd, (const struct sockaddr *)&target.address, target.length) != 0) die("connect");

  struct samples samples = {0};
  uint64_t lost = 0;
  uint8_t request[ECHO_HEADER + 56] = {kind->request};
  uint16_t id = (uint16_t)getpid();
  memcpy(request + 4, &id, sizeof id);
  for (uint64_t i = 0; i < count; i++) {
    uint16_t sequence = (uint16_t)i;
    memcpy(request + 6, &sequence, sizeof sequence);
    if (kind == &icmp4) put_checksum(request, sizeof request);
    uint64_t before = now_ns();
    if (send(fd, request, sizeof request, 0) < 0) die("echo request %" PRIu64, i);
    if (await_reply(fd, kind, request, polling, before))
      add_sample(&samples, now_ns() - before);
    else if (++lost > 10 && samples.count == 0)
      break; /* nobody answers */
  }
  close(fd);
  printf("{\"answered\": %zu, \"lost\": %" PRIu64 ", \"polling\": %s", samples.count, lost, polling ? "true" : "false");
  print_samples(&samples);
  puts("}");
  free(samples.ns);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

/* Room for what a burst brings: loss is to be the stack's under test. Beyond the machine's limit only for the privileged. */
static void set_room(int fd) {
  const int room = UDP_ROOM;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
}

/* Count the echoes that are there, waiting for the first one at most `wait_ms`. */
static uint64_t take_echoes(int fd, int wait_ms) {
  uint64_t count = 0;
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  char datagram[UINT16_MAX];
  if (wait_ms > 0 && poll(&ready, 1, wait_ms) <= 0) return 0;
  while (recv(fd, datagram, sizeof datagram, MSG_DONTWAIT) >= 0) count++;
  return count;
}

/* At a rate: no matter what comes back. Without: never more than UNANSWERED ahead of the echoes, as long as any come. */
static void run_udp(char **argv, int argc) {
  struct target target = target_of(argv[0], argv[1]);
  uint64_t duration = duration_ns(argv[2]);
  size_t size = number(argv[3], 1, 65507, "size");
  uint64_t rate = argc > 4 ? number(argv[4], 0, 100000000, "rate") : 0;
  int fd = connect_to(&target, SOCK_DGRAM);
  if (fd < 0) die("socket");
  set_room(fd);
  uint64_t sent = 0;
  uint64_t back = 0;
  uint64_t given_up = 0; /* echoes that will not come */
  uint64_t start = now_ns();
  uint64_t passed;
  while ((passed = now_ns() - start) < duration) {
    uint64_t due = rate ? (uint64_t)((double)rate * seconds_of(passed)) : sent + DATAGRAMS;
    for (unsigned i = 0; i < DATAGRAMS && sent < due; i++, sent++)
      if (send(fd, block, size, 0) < 0) die("datagram %" PRIu64, sent);
    back += take_echoes(fd, 0);
    if (!rate && sent - back - given_up > UNANSWERED) {
      uint64_t more = take_echoes(fd, 10);
      back += more;
      if (more == 0) given_up = sent - back;
    }
  }
  double seconds = seconds_of(now_ns() - start);
  for (uint64_t more; (more = take_echoes(fd, 100)) > 0;) back += more;
  close(fd);
  printf("{\"sent\": %" PRIu64 ", \"echoed\": %" PRIu64 ", \"size\": %zu, \"seconds\": %.3f, \"sent_per_s\": %.0f, "
         "\"echoed_per_s\": %.0f, \"gbit_per_s\": %.3f}\n",
         sent, back, size, seconds, (double)sent / seconds, (double)back / seconds,
         (double)sent * (double)size * 8 / 1e9 / seconds);
}

/* ---- servers ----------------------------------------------------------------------------------------------------- */

static void serve_discard(int fd) {
  char *room = malloc(BLOCK);
  if (!room) die("memory");
  while (recv(fd, room, BLOCK, 0) > 0) continue;
  free(room);
}

static void serve_chargen(int fd) {
  while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) continue;
}

static void serve_echo(int fd) {
  char text[16 * 1024];
  ssize_t got;
  while ((got = recv(fd, text, sizeof text, 0)) > 0)
    if (send(fd, text, (size_t)got, MSG_NOSIGNAL) != got) return;
}

/* GET /bytes/N: as many bytes, with K, M or G behind N if you like. One request a connection. */
static void serve_http(int fd) {
  char text[4096];
  size_t length = 0;
  do {
    ssize_t got = recv(fd, text + length, sizeof text - 1 - length, 0);
    if (got <= 0) return;
    length += (size_t)got;
    text[length] = '\0';
  } while (!strstr(text, "\r\n\r\n"));
  unsigned long long left = 0;
  char unit = '\0';
  if (sscanf(text, "GET /bytes/%llu%c", &left, &unit) < 1) return;
  left <<= unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
  int head = snprintf(text, sizeof text, "HTTP/1.0 200 OK\r\nContent-Length: %llu\r\n\r\n", left);
  if (send(fd, text, (size_t)head, MSG_NOSIGNAL) != head) return;
  while (left > 0) {
    ssize_t sent = send(fd, block, left < BLOCK ? left : BLOCK, MSG_NOSIGNAL);
    if (sent <= 0) return;
    left -= (size_t)sent;
  }
}

/* A socket bound to a port of every address of both families. */
static int bound_socket(const char *port, int type) {
  const struct sockaddr_in6 any = {.sin6_family = AF_INET6,
                                   .sin6_port = htons((uint16_t)number(port, 1, UINT16_MAX, "port"))};
  const int yes = 1;
  const int no = 0;
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (bind(fd, (const struct sockaddr *)&any, sizeof any) != 0) die("port %s", port);
  return fd;
}

/* What the threads of one server share; set before the first of them. */
static struct {
  int listener;
  void (*serve)(int fd);
} server;

static void *serve_connections(void *argument) {
  for (;;) {
    int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      die("accept");
    }
    server.serve(fd);
    close(fd);
  }
  return argument;
}

_Noreturn static void run_server(const char *port, void (*serve)(int fd)) {
  server.listener = bound_socket(port, SOCK_STREAM);
  server.serve = serve;
  set_congestion(server.listener); /* connections inherit it */
  if (listen(server.listener, BACKLOG) != 0) die("listen");
  for (unsigned i = 0; i < SERVERS; i++) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, serve_connections, NULL);
    if (errno) die("a thread for connections");
  }
  for (;;) pause();
}

static void run_serve_discard(char **argv, int argc) {
  (void)argc;
  run_server(argv[0], serve_discard);
}

static void run_serve_chargen(char **argv, int argc) {
  (void)argc;
  run_server(argv[0], serve_chargen);
}

static void run_serve_echo(char **argv, int argc) {
  (void)argc;
  run_server(argv[0], serve_echo);
}

static void run_serve_http(char **argv, int argc) {
  (void)argc;
  run_server(argv[0], serve_http);
}

static void run_serve_udp_echo(char **argv, int argc) {
  (void)argc;
  static char datagram[UINT16_MAX];
  int fd = bound_socket(argv[0], SOCK_DGRAM);
  set_room(fd);
  for (;;) {
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &length);
    if (got >= 0) sendto(fd, datagram, (size_t)got, MSG_DONTWAIT, (struct sockaddr *)&from, length);
  }
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static const struct command {
  const char *name;
  int least; /* arguments */
  int most;
  void (*run)(char **argv, int argc);
  const char *arguments;
} commands[] = {
    {"send", 3, 4, run_send, "ADDRESS PORT SECONDS [STREAMS]"},
    {"receive", 3, 4, run_receive, "ADDRESS PORT SECONDS [STREAMS]"},
    {"connect", 3, 4, run_connect, "ADDRESS PORT SECONDS [CONCURRENCY]"},
    {"echo", 2, 3, run_echo, "ADDRESS COUNT [block|poll]"},
    {"udp", 4, 5, run_udp, "ADDRESS PORT SECONDS SIZE [RATE]"},
    {"serve-discard", 1, 1, run_serve_discard, "PORT"},
    {"serve-chargen", 1, 1, run_serve_chargen, "PORT"},
    {"serve-echo", 1, 1, run_serve_echo, "PORT"},
    {"serve-http", 1, 1, run_serve_http, "PORT"},
    {"serve-udp-echo", 1, 1, run_serve_udp_echo, "PORT"},
};

int main(int argc, char **argv) {
  memset(block, 'x', sizeof block);
  if (argc > 2 && strcmp(argv[1], "-c") == 0) {
    congestion = argv[2];
    argc -= 2;
    argv += 2;
  }
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
    const struct command *command = &commands[i];
    if (strcmp(argv[1], command->name) != 0 || argc - 2 < command->least || argc - 2 > command->most) continue;
    command->run(argv + 2, argc - 2);
    return fflush(stdout) == 0 ? 0 : 1;
  }
  fputs("usage: (-c NAME before the command: congestion control, by default cubic)\n", stderr);
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    fprintf(stderr, "  adit_load %s %s\n", commands[i].name, commands[i].arguments);
  return 2;
}
