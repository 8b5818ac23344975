/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams one way, as many as are delivered, and echoes.
 *
 * Up, the client sends as fast as it can to the sink, which counts; when the time is over the client asks it how many
 * came. Down, the client asks the source for datagrams of a size for a time, and counts. So one socket and one 4-tuple
 * carry everything, and a relay in between sees an ordinary client. Only what was delivered counts, over the time that
 * was asked for; what was lost on the way is said, too.
 *
 * In runs, one call hands over BATCH datagrams as one piece of memory that the kernel cuts (UDP_SEGMENT), and receives as many
 * as one (UDP_GRO), as implementations of QUIC do it. The sender is then not what is measured, even with small ones.
 *
 * Every message begins with struct message; numbers are in the machine's own order, for both ends are on it.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  BATCH = 32, /* datagrams of one system call */
  SIZE_MAX_BYTES = 65507,
  SINK_SLOTS = 64,
  UNANSWERED = 256, /* echoes that may be missing before the sender waits for some */
  ASK_TRIES = 50,
  ASK_WAIT_MS = 100
};

enum kind { DATA, ASK, ANSWER };

struct message {
  uint32_t run; /* chosen by the client */
  uint32_t kind;
  uint64_t number; /* DATA: which; ANSWER of the sink: how many came; ASK of the source: for how many nanoseconds */
  uint32_t size;   /* ASK of the source: bytes of a datagram */
  uint32_t runs;   /* ASK of the source: whether it sends in runs */
};

/* BATCH datagrams that share one piece of memory each way; what is received is not looked at beyond the first bytes. */
struct batch {
  struct mmsghdr header[BATCH];
  struct iovec iov[BATCH];
  struct sockaddr_storage from[BATCH];
  char room[BATCH][2048];
};

static void batch_init(struct batch *batch, size_t size, bool named) {
  memset(batch, 0, sizeof *batch);
  for (unsigned i = 0; i < BATCH; i++) {
    batch->iov[i] = (struct iovec){batch->room[i], size};
    batch->header[i].msg_hdr = (struct msghdr){.msg_iov = &batch->iov[i], .msg_iovlen = 1};
    if (!named) continue;
    batch->header[i].msg_hdr.msg_name = &batch->from[i];
    batch->header[i].msg_hdr.msg_namelen = sizeof batch->from[i];
  }
}

/* Datagram `i` of a batch that goes out, in runs or one by one. */
static char *place_of(struct batch *batch, unsigned i, size_t size, bool runs) {
  return runs ? batch->room[0] + i * size : batch->room[i];
}

/* What the kernel is to do with runs: cut them by `size` bytes, 0 = not at all; join what comes. */
static void set_runs(int fd, size_t size, bool joined) {
  int cut = (int)size;
  int join = joined;
  if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &cut, sizeof cut) != 0) load_die("UDP_SEGMENT");
  if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &join, sizeof join) != 0) load_die("UDP_GRO");
}

/* Send all datagrams of `batch`. Returns how many the kernel took, or -1 with errno. */
static int send_batch(int fd, struct batch *batch, size_t size, bool runs) {
  if (!runs) return sendmmsg(fd, batch->header, BATCH, 0);
  return send(fd, batch->room, BATCH * size, 0) < 0 ? -1 : BATCH;
}

/* What came together. `each` is the size of all of them but the last, which may be shorter. */
struct joined {
  size_t length;
  size_t each;
  struct sockaddr_storage from;
  socklen_t from_length;
};

/* Receive datagrams that were joined into `batch->room`. Returns their number, or -1 with errno. */
static int receive_run(int fd, struct batch *batch, struct joined *joined) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {batch->room, sizeof batch->room};
  struct msghdr header = {.msg_name = &joined->from,
                          .msg_namelen = sizeof joined->from,
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
  ssize_t got = recvmsg(fd, &header, 0);
  if (got < 0) return -1;
  int each = (int)got;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(&header); one; one = CMSG_NXTHDR(&header, one))
    if (one->cmsg_level == IPPROTO_UDP && one->cmsg_type == UDP_GRO) memcpy(&each, CMSG_DATA(one), sizeof each);
  joined->length = (size_t)got;
  joined->each = (size_t)each;
  joined->from_length = header.msg_namelen;
  return each > 0 ? (int)((got + each - 1) / each) : 1;
}

static uint32_t new_run(void) {
  return (uint32_t)(load_now_ns() >> 10) ^ (uint32_t)getpid() << 16;
}

static size_t size_of(const char *text) {
  return load_number(text, sizeof(struct message), 2048, "size");
}

/* ---- up ---------------------------------------------------------------------------------------------------------- */

/* Ask the sink until it answers. */
static uint64_t ask_sink(int fd, uint32_t run) {
  const struct message ask = {.run = run, .kind = ASK};
  struct message answer;
  for (unsigned i = 0; i < ASK_TRIES; i++) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (send(fd, &ask, sizeof ask, 0) < 0 && errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS)
      load_die("question to the sink");
    if (poll(&ready, 1, ASK_WAIT_MS) <= 0) continue;
    if (recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer && answer.kind == ANSWER && answer.run == run)
      return answer.number;
  }
  errno = 0;
  load_die("the sink does not answer");
}

static void run_up(char **argv, int argc, bool runs) {
  static struct batch batch;
  const struct load_target target = load_target_of(argv[0], runs ? "5004" : "5001");
  uint64_t duration = load_duration_ns(argv[1]);
  size_t size = size_of(argv[2]);
  uint64_t rate = argc > 3 ? load_number(argv[3], 0, 100000000, "rate") : 0;
  uint32_t run = new_run();
  uint64_t sent = 0;
  int fd = load_connect(&target, SOCK_DGRAM);
  if (fd < 0) load_die("socket");
  load_set_room(fd);
  ask_sink(fd, run); /* whoever makes sessions makes this one before the time begins */
  if (runs) set_runs(fd, size, false);
  batch_init(&batch, size, false);
  for (unsigned i = 0; i < BATCH; i++)
    memcpy(place_of(&batch, i, size, runs), &(struct message){.run = run, .kind = DATA}, sizeof(struct message));
  uint64_t start = load_now_ns();
  for (uint64_t passed; (passed = load_now_ns() - start) < duration;) {
    if (rate && (double)sent > (double)rate * (double)passed / 1e9) continue;
    int done = send_batch(fd, &batch, size, runs);
    if (done < 0 && errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS) load_die("datagram %" PRIu64, sent);
    if (done > 0) sent += (uint64_t)done;
  }
  double seconds = (double)(load_now_ns() - start) / 1e9;
  if (runs) set_runs(fd, 0, false);
  uint64_t came = ask_sink(fd, run);
  close(fd);
  printf("{\"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"size\": %zu, \"seconds\": %.3f, \"per_s\": %.1f, "
         "\"bytes\": %" PRIu64 "}\n",
         sent, came, size, seconds, (double)came / seconds, came * size);
}

void load_run_udp_up(char **argv, int argc) {
  run_up(argv, argc, false);
}

void load_run_udp_up_runs(char **argv, int argc) {
  run_up(argv, argc, true);
}

/* ---- down -------------------------------------------------------------------------------------------------------- */

/* The number in the last of `got` datagrams. */
static uint64_t last_number(struct batch *batch, int got, const struct joined *joined) {
  struct message last;
  memcpy(&last, joined ? batch->room[0] + (size_t)(got - 1) * joined->each : batch->room[got - 1], sizeof last);
  return last.number;
}

static void run_down(char **argv, bool runs) {
  static struct batch batch;
  static const struct timeval moment = {.tv_usec = 2000}; /* the source may end before the time is over */
  struct joined joined;
  const struct load_target target = load_target_of(argv[0], "5002");
  uint64_t duration = load_duration_ns(argv[1]);
  struct message ask = {
      .run = new_run(), .kind = ASK, .number = duration, .size = (uint32_t)size_of(argv[2]), .runs = runs};
  uint64_t came = 0;
  uint64_t sent = 0; /* the number in the last one */
  uint64_t start = 0;
  int fd = load_connect(&target, SOCK_DGRAM);
  if (fd < 0) load_die("socket");
  load_set_room(fd);
  batch_init(&batch, sizeof batch.room[0], false);
  for (unsigned tries = 0; came == 0 && tries < ASK_TRIES; tries++) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (tries % 10 == 0 && send(fd, &ask, sizeof ask, 0) < 0 && errno != ECONNREFUSED)
      load_die("question to the source");
    if (poll(&ready, 1, ASK_WAIT_MS) > 0) came = recv(fd, batch.room[0], sizeof batch.room[0], MSG_DONTWAIT) > 0;
  }
  errno = 0;
  if (came == 0) load_die("nothing comes from the source");
  if (runs) set_runs(fd, 0, true);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment) != 0) load_die("SO_RCVTIMEO");
  start = load_now_ns();
  while (load_now_ns() - start < duration) {
    int got = runs ? receive_run(fd, &batch, &joined) : recvmmsg(fd, batch.header, BATCH, MSG_WAITFORONE, NULL);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED)) continue;
    if (got < 0) load_die("receive");
    came += (uint64_t)got;
    sent = last_number(&batch, got, runs ? &joined : NULL);
  }
  double seconds = (double)(load_now_ns() - start) / 1e9;
  close(fd);
  printf("{\"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"size\": %u, \"seconds\": %.3f, \"per_s\": %.1f, "
         "\"bytes\": %" PRIu64 "}\n",
         sent + 1, came, ask.size, seconds, (double)came / seconds, came * ask.size);
}

void load_run_udp_down(char **argv, int argc) {
  (void)argc;
  run_down(argv, false);
}

void load_run_udp_down_runs(char **argv, int argc) {
  (void)argc;
  run_down(argv, true);
}

/* ---- echo -------------------------------------------------------------------------------------------------------- */

/* Count the echoes that are there, waiting for the first one at most `wait_ms`. */
static uint64_t take_echoes(int fd, struct batch *batch, int wait_ms) {
  uint64_t count = 0;
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  if (wait_ms > 0 && poll(&ready, 1, wait_ms) <= 0) return 0;
  for (int got; (got = recvmmsg(fd, batch->header, BATCH, MSG_DONTWAIT, NULL)) > 0;) count += (uint64_t)got;
  return count;
}

/* Never more than UNANSWERED ahead of the echoes, as long as any come. */
void load_run_udp_echo(char **argv, int argc) {
  static struct batch out;
  static struct batch in;
  (void)argc;
  const struct load_target target = load_target_of(argv[0], "7");
  uint64_t duration = load_duration_ns(argv[1]);
  size_t size = size_of(argv[2]);
  uint64_t sent = 0;
  uint64_t back = 0;
  uint64_t given_up = 0; /* echoes that will not come */
  int fd = load_connect(&target, SOCK_DGRAM);
  if (fd < 0) load_die("socket");
  load_set_room(fd);
  batch_init(&out, size, false);
  batch_init(&in, sizeof in.room[0], false);
  uint64_t start = load_now_ns();
  while (load_now_ns() - start < duration) {
    int done = sendmmsg(fd, out.header, BATCH, 0);
    if (done < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN) load_die("datagram %" PRIu64, sent);
    if (done > 0) sent += (uint64_t)done;
    back += take_echoes(fd, &in, 0);
    if (sent - back - given_up <= UNANSWERED) continue;
    uint64_t more = take_echoes(fd, &in, 10);
    back += more;
    if (more == 0) given_up = sent - back;
  }
  double seconds = (double)(load_now_ns() - start) / 1e9;
  close(fd);
  errno = 0;
  if (back == 0) load_die("no echo");
  printf("{\"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"size\": %zu, \"seconds\": %.3f, \"per_s\": %.1f, "
         "\"bytes\": %" PRIu64 "}\n",
         sent, back, size, seconds, (double)back / seconds, back * size);
}

/* ---- servers ----------------------------------------------------------------------------------------------------- */

void *load_serve_udp_echo(void *unused) {
  static struct batch batch;
  int fd = load_bound(LOAD_PORT_ECHO, SOCK_DGRAM, false);
  load_set_room(fd);
  batch_init(&batch, sizeof batch.room[0], true);
  for (;;) {
    int got = recvmmsg(fd, batch.header, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < got; i++) batch.iov[i].iov_len = batch.header[i].msg_len;
    if (got > 0) sendmmsg(fd, batch.header, (unsigned)got, 0);
    for (int i = 0; i < got; i++) {
      batch.iov[i].iov_len = sizeof batch.room[0];
      batch.header[i].msg_hdr.msg_namelen = sizeof batch.from[i];
    }
  }
  return unused;
}

/* How many came of each run of the client. */
struct sink {
  struct {
    uint32_t run;
    uint64_t came;
  } slots[SINK_SLOTS];
  unsigned next; /* the oldest slot, which is used again */
  unsigned current;
};

/* Answers ASK at `from`. */
static void sink_take(struct sink *sink, int fd, const char *datagram, const void *from, socklen_t from_length) {
  struct message message;
  memcpy(&message, datagram, sizeof message);
  if (sink->slots[sink->current].run != message.run) {
    unsigned slot = 0;
    while (slot < SINK_SLOTS && sink->slots[slot].run != message.run) slot++;
    if (slot == SINK_SLOTS) {
      slot = sink->next++ % SINK_SLOTS;
      sink->slots[slot].run = message.run;
      sink->slots[slot].came = 0;
    }
    sink->current = slot;
  }
  if (message.kind == DATA) {
    sink->slots[sink->current].came++;
  } else {
    const struct message answer = {.run = message.run, .kind = ANSWER, .number = sink->slots[sink->current].came};
    sendto(fd, &answer, sizeof answer, 0, from, from_length);
  }
}

void *load_serve_udp_sink(void *unused) {
  static struct batch batch;
  static struct sink sink;
  int fd = load_bound(LOAD_PORT_SINK, SOCK_DGRAM, false);
  load_set_room(fd);
  batch_init(&batch, sizeof batch.room[0], true);
  for (;;) {
    int got = recvmmsg(fd, batch.header, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < got; i++) {
      sink_take(&sink, fd, batch.room[i], &batch.from[i], batch.header[i].msg_hdr.msg_namelen);
      batch.header[i].msg_hdr.msg_namelen = sizeof batch.from[i];
    }
  }
  return unused;
}

void *load_serve_udp_sink_runs(void *unused) {
  static struct batch batch;
  static struct sink sink;
  int fd = load_bound(LOAD_PORT_SINK_RUNS, SOCK_DGRAM, false);
  load_set_room(fd);
  set_runs(fd, 0, true);
  for (;;) {
    struct joined joined;
    int got = receive_run(fd, &batch, &joined);
    for (int i = 0; i < got; i++)
      sink_take(&sink, fd, batch.room[0] + (size_t)i * joined.each, &joined.from, joined.from_length);
  }
  return unused;
}

/* One request after the other; a request that came twice is served once. */
void *load_serve_udp_source(void *unused) {
  static struct batch batch;
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  uint32_t last = 0;
  int fd = load_bound(LOAD_PORT_SOURCE, SOCK_DGRAM, false);
  load_set_room(fd);
  for (;;) {
    struct sockaddr_storage client;
    socklen_t length = sizeof client;
    struct message ask;
    ssize_t got = recvfrom(fd, &ask, sizeof ask, 0, (struct sockaddr *)&client, &length);
    if (got != sizeof ask || ask.kind != ASK || ask.run == last || ask.size > sizeof batch.room[0]) continue;
    last = ask.run;
    batch_init(&batch, ask.size, false);
    if (connect(fd, (const struct sockaddr *)&client, length) != 0) continue; /* no look-up of the way for each one */
    if (ask.runs) set_runs(fd, ask.size, false);
    uint64_t number = 0;
    for (uint64_t start = load_now_ns(); load_now_ns() - start < ask.number;) {
      for (unsigned i = 0; i < BATCH; i++) {
        const struct message data = {.run = ask.run, .kind = DATA, .number = number + i};
        memcpy(place_of(&batch, i, ask.size, ask.runs), &data, sizeof data);
      }
      int done = send_batch(fd, &batch, ask.size, ask.runs);
      if (done > 0) number += (uint64_t)done;
    }
    if (ask.runs) set_runs(fd, 0, false);
    if (connect(fd, &nobody, sizeof nobody) != 0) load_die("disconnect");
  }
  return unused;
}
