/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A tunnel behind a socket pair, whose callbacks count.
 */
#include "support_bench.h"

#include "support_packet.h"
#include "support_tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the outside: what is open in this process, and sockets of the kernel's -------------------------------------- */

bool support_is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

int support_listen(uint16_t *port) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int fd = support_kernel_socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

bool support_readable(int fd) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  return poll(&wait, 1, SUPPORT_PATIENCE_MS) == 1;
}

/* ---- a tunnel behind a socket pair ------------------------------------------------------------------------------- */

static void on_ready(void *user) {
  struct support_bench *bench = user;
  atomic_store(&bench->in_order, bench->stopped == 0);
  atomic_fetch_add(&bench->ready, 1);
  if (bench->stop_when_ready) adit_tunnel_stop(bench->tunnel);
}

static void on_stopped(void *user, int error) {
  struct support_bench *bench = user;
  atomic_store(&bench->error, error);
  adit_tunnel_stop(bench->tunnel); /* harmless */
  atomic_fetch_add(&bench->stopped, 1);
}

static int on_protect(void *user, int fd) {
  struct support_bench *bench = user;
  int type;
  socklen_t length = sizeof type;
  assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), 0);
  atomic_store(&bench->protected_type, type);
  atomic_fetch_add(&bench->protects, 1);
  return bench->refusal;
}

static void on_log(void *user, enum adit_tunnel_level level, uint64_t flow, const char *text) {
  struct support_bench *bench = user;
  (void)flow;
  assert_true(level <= ADIT_TUNNEL_DEBUG && strlen(text) > 0 && !strchr(text, '\n'));
  atomic_fetch_add(&bench->logs, 1);
  if (bench->stop_when_logging) adit_tunnel_stop(bench->tunnel);
}

void support_bench_prepare(struct support_bench *bench) {
  memset(bench, 0, sizeof *bench);
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  bench->far = pair[0];
  bench->near = pair[1];
  bench->options = (struct adit_tunnel_options){.size = sizeof bench->options,
                                                .upstream = "direct://",
                                                .fds = &bench->near,
                                                .own_fds = true,
                                                .protect = on_protect,
                                                .log = on_log,
                                                .log_level = ADIT_TUNNEL_DEBUG,
                                                .ready = on_ready,
                                                .stopped = on_stopped,
                                                .user = bench};
}

void support_bench_change(struct adit_tunnel_options *options, const struct adit_tunnel_options *by) {
  if (by->upstream) options->upstream = by->upstream;
  if (by->fds) options->fds = by->fds;
  if (by->queues) options->queues = by->queues;
  if (by->device) options->device = by->device;
  if (by->mtu) options->mtu = by->mtu;
  if (by->no_offload) options->no_offload = by->no_offload;
  if (by->io_uring) options->io_uring = by->io_uring;
  if (by->udp) options->udp = by->udp;
  if (by->dns) options->dns = by->dns;
  if (by->dns_cache) options->dns_cache = by->dns_cache;
  if (by->icmp) options->icmp = by->icmp;
  if (by->interface) options->interface = by->interface;
  if (by->answer) options->answer = by->answer;
  if (by->answers) options->answers = by->answers;
  if (by->memory_bytes) options->memory_bytes = by->memory_bytes;
  if (by->log_level) options->log_level = by->log_level;
  if (by->user) options->user = by->user;
}

void support_bench_start(struct support_bench *bench) {
  int error = adit_tunnel_start(&bench->options, &bench->tunnel, bench->reason);
  if (error) fail_msg("the start failed: %s: %s", strerror(-error), bench->reason);
}

void support_bench_close(struct support_bench *bench) {
  adit_tunnel_free(bench->tunnel);
  if (bench->far >= 0) close(bench->far);
}

bool support_bench_hear(const struct support_bench *bench, uint16_t from, uint16_t to, uint8_t flags) {
  uint8_t packet[2000];
  while (support_readable(bench->far)) {
    ssize_t got = recv(bench->far, packet, sizeof packet, 0);
    if (got <= 0) return false;
    if (got < 40 || packet[9] != IPPROTO_TCP) continue;
    if (support_get16(packet + 20) == from && support_get16(packet + 22) == to && packet[33] == flags) return true;
  }
  return false;
}

void support_bench_send_syn(const struct support_bench *bench, uint16_t from, uint16_t to) {
  uint8_t packet[100];
  size_t size = support_tcp4(packet, SUPPORT_CLIENT4, SUPPORT_KERNEL4, from, to, 1000, 0, SUPPORT_SYN, 65535, NULL, 0,
                             NULL, 0);
  assert_int_equal(send(bench->far, packet, size, 0), (ssize_t)size);
}

void support_bench_check_syn(const struct support_bench *bench, uint16_t from, uint16_t to, uint8_t flags) {
  support_bench_send_syn(bench, from, to);
  if (!support_bench_hear(bench, to, from, flags)) fail_msg("no answer with flags %u to a SYN for port %u", flags, to);
}
