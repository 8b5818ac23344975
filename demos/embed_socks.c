/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A complete tun2socks: what is routed into the device leaves through a proxy, TCP and UDP, IPv4 and IPv6.
 *
 *     sudo build/release/demos/embed_socks socks0 socks5://127.0.0.1:1080     # in one terminal; in another one:
 *
 *     sudo ip link set socks0 up
 *     sudo ip route add 203.0.113.0/24 dev socks0                             # what is to go through the proxy
 *
 * A number in place of the name is a TUN fd that the parent process opened. Messages and, once a second, numbers go to
 * standard error, and the open connections when it gets SIGUSR1. Ctrl-C ends it; the device and its routes go with the
 * process. The proxy itself must not be routed into the device, which would be refused: with more than a few networks,
 * give `mark` or `interface` of the options, or use `adit proxy --route default`, which sees to it.
 *
 * Outside of this tree: cc embed_socks.c $(pkg-config --cflags --libs adit)
 */
#include <adit/tunnel.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void log_line(void *user, enum adit_tunnel_level level, uint64_t flow, const char *text) {
  static const char *const names[] = {"error", "warning", "notice", "debug"};
  (void)user;
  if (flow)
    fprintf(stderr, "%s: flow %" PRIu64 ": %s\n", names[level], flow, text);
  else
    fprintf(stderr, "%s: %s\n", names[level], text);
}

static void ready(void *user) {
  (void)user;
  fprintf(stderr, "ready\n");
}

static void stopped(void *user, int error) {
  (void)user;
  fprintf(stderr, "stopped: %s\n", error ? strerror(-error) : "as asked");
}

static void print_numbers(const struct adit_tunnel *tunnel) {
  struct adit_tunnel_stats now = {.size = sizeof now};
  if (adit_tunnel_stats(tunnel, &now) != 0) return;
  fprintf(stderr,
          "connections: %" PRIu64 " open, %" PRIu64 " relayed, %" PRIu64 " failed; bytes: %" PRIu64 " up, %" PRIu64
          " down; packets: %" PRIu64 " in, %" PRIu64 " out, %" PRIu64 " dropped\n",
          now.flows_open, now.flows_relayed, now.flows_failed, now.payload_up, now.payload_down, now.packets_in,
          now.packets_out, now.packets_dropped);
}

static void print_flow(void *user, const struct adit_tunnel_flow *flow) {
  char client[ADIT_ADDRESS_TEXT], target[ADIT_ADDRESS_TEXT];
  (void)user;
  fprintf(stderr, "  %s > %s%s%s: %s, %" PRIu64 " bytes up, %" PRIu64 " down, %" PRIu64 " ms\n",
          adit_endpoint_format(flow->client, client), adit_endpoint_format(flow->target, target), flow->name ? " " : "",
          flow->name ? flow->name : "", flow->connected ? "connected" : "connecting", flow->bytes_up, flow->bytes_down,
          flow->age_ms);
}

/* Until Ctrl-C, or the end of the tunnel. */
static void attend(struct adit_tunnel *tunnel, int signals, int seconds) {
  struct pollfd fd[] = {{.fd = signals, .events = POLLIN},
                        {.fd = seconds, .events = POLLIN},
                        {.fd = adit_tunnel_fd(tunnel), .events = POLLIN}};
  for (;;) {
    struct signalfd_siginfo signal;
    uint64_t ticks;
    if (poll(fd, 3, -1) < 0 && errno != EINTR) return;
    if (fd[2].revents) return;
    if (fd[1].revents && read(seconds, &ticks, sizeof ticks) == sizeof ticks) print_numbers(tunnel);
    if (!fd[0].revents || read(signals, &signal, sizeof signal) != sizeof signal) continue;
    if (signal.ssi_signo != SIGUSR1) return;
    adit_tunnel_flows(tunnel, print_flow, NULL);
  }
}

/* Signals are this program's own affair: the tunnel's threads get none. */
static int open_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
  return signalfd(-1, &set, SFD_CLOEXEC);
}

static int open_seconds(void) {
  const struct itimerspec every_second = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (fd >= 0) timerfd_settime(fd, 0, &every_second, NULL);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s TUN-NAME|FD socks5://[user:password@]host[:port]\n", argv[0]);
    return 2;
  }
  char *end, reason[ADIT_TUNNEL_REASON];
  int fd = (int)strtol(argv[1], &end, 10);
  bool by_fd = *end == '\0';
  struct adit_tunnel_options options = {
      .size = sizeof options,
      .upstream = argv[2],
      .fds = by_fd ? &fd : NULL,
      .own_fds = by_fd,
      .device = by_fd ? NULL : argv[1],
      .log = log_line,
      .log_level = ADIT_TUNNEL_NOTICE,
      .ready = ready,
      .stopped = stopped,
  };
  struct adit_tunnel *tunnel;
  int signals = open_signals(), seconds = open_seconds(); /* before there are threads, which inherit the mask */
  if (signals < 0 || seconds < 0) {
    perror("signalfd, timerfd");
    return EXIT_FAILURE;
  }
  if (adit_tunnel_start(&options, &tunnel, reason) != 0) {
    fprintf(stderr, "%s: %s\n", argv[0], reason);
    return EXIT_FAILURE;
  }
  fprintf(stderr, "%s is there; now set it up and route to it\n", adit_tunnel_device(tunnel));
  attend(tunnel, signals, seconds);
  adit_tunnel_stop(tunnel);
  int error = adit_tunnel_wait(tunnel);
  print_numbers(tunnel);
  adit_tunnel_free(tunnel);
  close(seconds);
  close(signals);
  return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
