/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the parts of adit_load share: ends with a message, the clock, samples, targets and sockets.
 *
 * Everything here ends the program when it fails, with one line on standard error and status 1.
 */
#ifndef ADIT_BENCH_LOAD_H
#define ADIT_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
  LOAD_BLOCK = 256 * 1024, /* bytes of a read or write of bulk */
  LOAD_PATIENCE_MS = 1000, /* how long a blocking call waits */
  LOAD_FEW = 64,           /* bytes that a short connection exchanges */
  LOAD_BACKLOG = 4096
};

/** Bytes to be sent, the same for everybody. */
extern char load_block[LOAD_BLOCK];

/** What -c and -m said: congestion control and firewall mark of every socket of this process. */
extern const char *load_congestion;
extern uint32_t load_mark;

/** Say what failed, with errno when it is not 0, and end with status 1. */
_Noreturn void load_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Monotonic time, nanoseconds. */
uint64_t load_now_ns(void);

/** A whole number from `text`, from `least` to `most`; `what` is for the message. */
uint64_t load_number(const char *text, uint64_t least, uint64_t most, const char *what);

/** Seconds as text, with fractions, above 0 and up to 3600, as nanoseconds. */
uint64_t load_duration_ns(const char *text);

/** Samples in nanoseconds. Begin with zeros; load_samples_free gives back what was added. */
struct load_samples {
  uint64_t *ns;
  size_t count;
  size_t room;
};

void load_samples_add(struct load_samples *samples, uint64_t ns);
void load_samples_free(struct load_samples *samples);

/** Print min, median, p99 and max as further JSON members, in microseconds; nothing without samples. Sorts them. */
void load_samples_print(const struct load_samples *samples);

/** An address with a port. */
struct load_target {
  struct sockaddr_storage address;
  socklen_t length;
};

/** From numbers as text; port "0" for none. */
struct load_target load_target_of(const char *address, const char *port);

/** A socket with mark, patience and, for streams, the congestion control. Never -1. `flags`: SOCK_NONBLOCK or 0. */
int load_socket(int family, int type, int flags);

/** A connected socket, or -1 with errno. */
int load_connect(const struct load_target *target, int type);

/** A socket bound to a port of every address of both families; `shared` lets several sockets have it. */
int load_bound(uint16_t port, int type, bool shared);

/** Large receive and send buffers for datagrams, beyond the machine's limits where that is allowed. */
void load_set_room(int fd);

/** The commands, as load.c lists them. `argc` counts what follows the command's name. */
void load_run_send(char **argv, int argc);
void load_run_receive(char **argv, int argc);
void load_run_both(char **argv, int argc);
void load_run_connect(char **argv, int argc);
void load_run_hold(char **argv, int argc);
void load_run_stall_up(char **argv, int argc);
void load_run_stall_down(char **argv, int argc);
void load_run_ready(char **argv, int argc);
void load_run_ping(char **argv, int argc);
void load_run_udp_echo(char **argv, int argc);
void load_run_udp_up(char **argv, int argc);
void load_run_udp_down(char **argv, int argc);
void load_run_udp_up_runs(char **argv, int argc);
void load_run_udp_down_runs(char **argv, int argc);
void load_run_serve(char **argv, int argc);

/** What load_udp.c is for the server: datagrams on these ports. Each runs for ever in a thread of its own. */
enum {
  LOAD_PORT_ECHO = 7,
  LOAD_PORT_DISCARD = 9,
  LOAD_PORT_CHARGEN = 19,
  LOAD_PORT_SINK = 5001,
  LOAD_PORT_SOURCE = 5002,
  LOAD_PORT_SINK_RUNS = 5004,
  LOAD_PORT_MUTE = 5003 /* TCP: accepts and never reads */
};
void *load_serve_udp_echo(void *unused);
void *load_serve_udp_sink(void *unused);
void *load_serve_udp_sink_runs(void *unused);
void *load_serve_udp_source(void *unused);

#endif
