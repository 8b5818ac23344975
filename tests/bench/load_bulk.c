/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Streams of bytes: to the discard port, from the chargen port, or both at once.
 *
 * Bytes sent count when the near end of what is measured has acknowledged them, not when the kernel has taken them: a
 * send buffer of megabytes would be a visible part of a short run. All streams connect first and then begin together, and
 * none ends before its time, so that what is counted was moved while all of them ran. Each has a thread of its own with
 * blocking calls that time out: a stall lowers the rate and never hangs the run.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { STREAMS_MAX = 256 };

/* One stream. The thread writes from `bytes` on, main reads it after the join. */
struct stream {
  pthread_t thread;
  struct load_target target;
  bool up;
  uint64_t duration;
  pthread_barrier_t *ready;
  uint64_t bytes;
  uint64_t span_ns; /* from the beginning to its own end */
  struct tcp_info info;
};

/* One write or read. */
static uint64_t move_some(struct stream *stream, int fd, char *room) {
  ssize_t moved = stream->up ? send(fd, load_block, LOAD_BLOCK, MSG_NOSIGNAL) : recv(fd, room, LOAD_BLOCK, 0);
  if (moved < 0 && errno == EAGAIN) return 0; /* a stall: it shows in the rate */
  if (moved < 0) load_die("%s, after %" PRIu64 " bytes", stream->up ? "send" : "receive", stream->bytes);
  errno = 0;
  if (moved == 0) load_die("the far end closed after %" PRIu64 " bytes", stream->bytes);
  return (uint64_t)moved;
}

static void *run_stream(void *argument) {
  struct stream *stream = argument;
  char *room = malloc(LOAD_BLOCK);
  if (!room) load_die("memory");
  int fd = load_connect(&stream->target, SOCK_STREAM);
  if (fd < 0) load_die("connect");
  pthread_barrier_wait(stream->ready);
  uint64_t start = load_now_ns();
  while (load_now_ns() - start < stream->duration) stream->bytes += move_some(stream, fd, room);
  int unacknowledged = 0;
  if (stream->up) ioctl(fd, SIOCOUTQ, &unacknowledged);
  stream->span_ns = load_now_ns() - start;
  stream->bytes -= (uint64_t)unacknowledged;
  socklen_t length = sizeof stream->info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &stream->info, &length);
  close(fd);
  free(room);
  return NULL;
}

/* `ups` and `downs` streams for that long, each way. */
static void run_bulk(const char *address, const char *seconds, size_t ups, size_t downs) {
  static struct stream streams[STREAMS_MAX];
  pthread_barrier_t ready;
  const struct load_target targets[] = {load_target_of(address, "19"), load_target_of(address, "9")};
  uint64_t duration = load_duration_ns(seconds);
  size_t count = ups + downs;
  uint64_t bytes[2] = {0};
  uint64_t retransmitted = 0;
  double rate[2] = {0};
  errno = pthread_barrier_init(&ready, NULL, (unsigned)count);
  if (errno) load_die("barrier");
  for (size_t i = 0; i < count; i++) {
    bool up = i < ups;
    streams[i] = (struct stream){.target = targets[up], .up = up, .duration = duration, .ready = &ready};
    errno = pthread_create(&streams[i].thread, NULL, run_stream, &streams[i]);
    if (errno) load_die("a thread for stream %zu", i);
  }
  for (size_t i = 0; i < count; i++) {
    pthread_join(streams[i].thread, NULL);
    bytes[streams[i].up] += streams[i].bytes;
    rate[streams[i].up] += (double)streams[i].bytes * 8 / (double)streams[i].span_ns;
    retransmitted += streams[i].info.tcpi_total_retrans;
  }
  pthread_barrier_destroy(&ready);
  errno = 0;
  if (bytes[0] + bytes[1] == 0) load_die("nothing was moved");
  printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.3f, \"streams\": %zu, \"gbit_per_s\": %.4f, \"up_gbit_per_s\": %.4f, "
         "\"down_gbit_per_s\": %.4f, \"retransmitted\": %" PRIu64 ", \"rtt_us\": %" PRIu32 ", \"mss\": %" PRIu32 "}\n",
         bytes[0] + bytes[1], (double)duration / 1e9, count, rate[0] + rate[1], rate[1], rate[0], retransmitted,
         streams[0].info.tcpi_rtt, streams[0].info.tcpi_snd_mss);
}

static size_t streams_of(char **argv, int argc) {
  return argc > 2 ? load_number(argv[2], 1, STREAMS_MAX / 2, "streams") : 1;
}

void load_run_send(char **argv, int argc) {
  run_bulk(argv[0], argv[1], streams_of(argv, argc), 0);
}

void load_run_receive(char **argv, int argc) {
  run_bulk(argv[0], argv[1], 0, streams_of(argv, argc));
}

void load_run_both(char **argv, int argc) {
  run_bulk(argv[0], argv[1], streams_of(argv, argc), streams_of(argv, argc));
}
