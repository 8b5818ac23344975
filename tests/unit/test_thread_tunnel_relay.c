/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a tunnel does for whoever embeds it, through its public header: protected sockets, numbers, the list of
 * connections.
 *
 * Clients are the far end of a socket pair, or kernel sockets behind a real TUN. The outside is in this process too, on
 * lo of a network namespace of its own: a listener, and a small HTTP proxy that gives each client back what it says. To
 * be run under the thread sanitizer as well.
 */
#include "support_bench.h"
#include "support_packet.h"
#include "support_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- protect ----------------------------------------------------------------------------------------------------- */

static void test_every_socket_is_protected(void **state) {
  (void)state;
  uint16_t port;
  int listener = support_listen(&port);
  struct support_bench bench;
  support_bench_prepare(&bench);
  bench.options.icmp = "off"; /* otherwise the start tries which sockets there are for echo requests */
  support_bench_start(&bench);
  assert_int_equal(bench.protects, 0);
  for (uint16_t i = 1; i <= 10; i++) {
    support_bench_check_syn(&bench, (uint16_t)(20000 + i), port, SUPPORT_SYN | SUPPORT_ACK);
    close(accept(listener, NULL, NULL));
    assert_int_equal(bench.protects, i);
    assert_int_equal(bench.protected_type, SOCK_STREAM);
  }
  /* A datagram: from another client's port, to a socket of the kernel's. */
  int receiver = support_kernel_socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  assert_int_equal(getsockname(receiver, (struct sockaddr *)&address, &length), 0);
  uint8_t packet[100];
  size_t size = support_udp4(packet, SUPPORT_CLIENT4, SUPPORT_KERNEL4, 5000, ntohs(address.sin_port), "hello", 5);
  assert_int_equal(send(bench.far, packet, size, 0), (ssize_t)size);
  assert_true(support_readable(receiver));
  assert_int_equal(recv(receiver, packet, sizeof packet, 0), 5);
  assert_true(bench.protects > 10);
  assert_int_equal(bench.protected_type, SOCK_DGRAM);

  /* Refused: no socket, no connection, no datagram, and the client is told. */
  atomic_store(&bench.refusal, -EPERM);
  support_bench_check_syn(&bench, 21000, port, SUPPORT_RST | SUPPORT_ACK);
  size = support_udp4(packet, SUPPORT_CLIENT4, SUPPORT_KERNEL4, 5001, ntohs(address.sin_port), "hello", 5);
  assert_int_equal(send(bench.far, packet, size, 0), (ssize_t)size);
  support_bench_check_syn(&bench, 21001, port, SUPPORT_RST | SUPPORT_ACK); /* behind it: it has been dealt with */
  struct pollfd nothing[] = {{.fd = listener, .events = POLLIN}, {.fd = receiver, .events = POLLIN}};
  assert_int_equal(poll(nothing, 2, 50), 0);
  atomic_store(&bench.refusal, 0);
  support_bench_check_syn(&bench, 21002, port, SUPPORT_SYN | SUPPORT_ACK);
  support_bench_close(&bench);
  close(receiver);
  close(listener);
}

/* ---- a real device, a proxy, and what the tunnel tells ----------------------------------------------------------- */

struct proxy {
  int listener;
  pthread_t thread;
  pthread_mutex_t lock;
  char asked[200]; /* first line of the last request; under `lock` */
};

static size_t read_request(int fd, char *request, size_t room) {
  size_t length = 0;
  request[0] = '\0';
  while (length < room - 1 && !strstr(request, "\r\n\r\n")) {
    if (read(fd, request + length, 1) != 1) break;
    request[++length] = '\0';
  }
  return length;
}

/* One client after the other: CONNECT, then an echo until its end. */
static void *run_proxy(void *user) {
  static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
  struct proxy *proxy = user;
  for (;;) {
    char bytes[4000];
    int fd = accept(proxy->listener, NULL, NULL);
    if (fd < 0 && (errno == EAGAIN || errno == EINTR)) continue; /* support_kernel_socket has a time-out */
    if (fd < 0) return NULL;
    read_request(fd, bytes, sizeof bytes);
    pthread_mutex_lock(&proxy->lock);
    snprintf(proxy->asked, sizeof proxy->asked, "%.*s", (int)strcspn(bytes, "\r"), bytes);
    pthread_mutex_unlock(&proxy->lock);
    ssize_t got = send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    while (got > 0 && (got = read(fd, bytes, sizeof bytes)) > 0) got = send(fd, bytes, (size_t)got, MSG_NOSIGNAL);
    close(fd);
  }
}

/* A kernel socket whose packets go into the device. */
static int through(const char *device, int type, const char *address, uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  const struct timeval patience = {.tv_sec = SUPPORT_PATIENCE_MS / 1000};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)), 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail_msg("connect: %s: %s", address, strerror(errno));
  return fd;
}

/* The IPv4 address of "www.example.org", as whoever answers on port 53 behind the device says. */
static void look_up(const char *device, char *address) {
  static const uint8_t question[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1";
  uint8_t answer[600];
  int fd = through(device, SOCK_DGRAM, "10.77.0.53", 53);
  assert_int_equal(send(fd, question, sizeof question - 1, 0), sizeof question - 1);
  ssize_t got = recv(fd, answer, sizeof answer, 0);
  assert_true(got >= (ssize_t)sizeof question + 15);
  assert_int_equal(answer[3] & 15, 0);
  assert_int_equal(support_get16(answer + 6), 1);
  /* Behind the question: name (compressed), type, class, TTL, length, address. */
  const uint8_t *at = answer + sizeof question - 1 + 12;
  assert_non_null(inet_ntop(AF_INET, at, address, INET_ADDRSTRLEN));
  close(fd);
}

static void echo_through(int fd, size_t total) {
  uint8_t out[8000], in[8000];
  support_pattern(out, sizeof out);
  for (size_t done = 0; done < total; done += sizeof out) {
    assert_int_equal(send(fd, out, sizeof out, MSG_NOSIGNAL), sizeof out);
    for (size_t got = 0; got < sizeof in;) {
      ssize_t more = recv(fd, in + got, sizeof in - got, 0);
      assert_true(more > 0);
      got += (size_t)more;
    }
    assert_memory_equal(in, out, sizeof in);
  }
}

struct seen {
  unsigned count;
  struct adit_tunnel_flow flow;
  char name[100];
};

static void see(void *user, const struct adit_tunnel_flow *flow) {
  struct seen *seen = user;
  seen->count++;
  seen->flow = *flow;
  snprintf(seen->name, sizeof seen->name, "%s", flow->name ? flow->name : "none");
}

static void relay_and_count(bool io_uring) {
  enum { BYTES = 800000 };
  uint16_t port;
  struct proxy proxy = {.listener = support_listen(&port), .lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(pthread_create(&proxy.thread, NULL, run_proxy, &proxy), 0);
  char url[100], address[INET_ADDRSTRLEN], text[ADIT_ADDRESS_TEXT];
  snprintf(url, sizeof url, "http://" SUPPORT_KERNEL4 ":%u", port);

  struct support_bench bench;
  support_bench_prepare(&bench);
  close(bench.near);
  bench.options.fds = NULL;
  bench.options.own_fds = false;
  bench.options.device = "tunnel%d";
  bench.options.upstream = url;
  bench.options.dns = "fake";
  bench.options.io_uring = io_uring;
  support_bench_start(&bench);
  const char *device = adit_tunnel_device(bench.tunnel);
  assert_string_equal(device, "tunnel0");
  support_tun_up(device);
  support_tun_route(device);

  struct seen seen = {0};
  assert_int_equal(adit_tunnel_flows(bench.tunnel, see, &seen), 0);
  assert_int_equal(seen.count, 0);

  look_up(device, address);
  int fd = through(device, SOCK_STREAM, address, 4711);
  echo_through(fd, BYTES);
  pthread_mutex_lock(&proxy.lock);
  assert_string_equal(proxy.asked, "CONNECT www.example.org:4711 HTTP/1.1");
  pthread_mutex_unlock(&proxy.lock);

  struct sockaddr_in mine;
  socklen_t length = sizeof mine;
  assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &length), 0);
  assert_int_equal(adit_tunnel_flows(bench.tunnel, see, &seen), 0);
  assert_int_equal(seen.count, 1);
  assert_string_equal(seen.name, "www.example.org");
  assert_string_equal(adit_ip_format(seen.flow.target.ip, text), address);
  assert_int_equal(seen.flow.target.port, 4711);
  assert_string_equal(adit_ip_format(seen.flow.client.ip, text), SUPPORT_KERNEL4);
  assert_int_equal(seen.flow.client.port, ntohs(mine.sin_port));
  assert_true(seen.flow.connected);
  assert_int_equal(seen.flow.bytes_up, BYTES);
  assert_int_equal(seen.flow.bytes_down, BYTES);
  assert_int_equal(seen.flow.worker, 0);
  assert_true(seen.flow.id != 0 && seen.flow.age_ms < 60000);

  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_relayed == 1);
  assert_int_equal(stats.flows_open, 1);
  assert_int_equal(stats.flows_failed, 0);
  assert_int_equal(stats.dns_questions, 1);
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.payload_down == BYTES);
  assert_int_equal(stats.payload_up, BYTES);
  assert_true(stats.bytes_in > BYTES && stats.bytes_out > BYTES && stats.packets_in > 0 && stats.packets_out > 0);

  /* A second one waits for the proxy, which has time for one client only. */
  int waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  assert_int_equal(inet_pton(AF_INET, "10.77.0.1", &to.sin_addr), 1);
  assert_int_equal(connect(waiting, (struct sockaddr *)&to, sizeof to), -1);
  SUPPORT_AWAIT((seen.count = 0, adit_tunnel_flows(bench.tunnel, see, &seen)) == 0 && seen.count == 2);
  close(waiting);
  close(fd);
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_open == 0);

  stats.size--;
  assert_int_equal(adit_tunnel_stats(bench.tunnel, &stats), -EINVAL);
  adit_tunnel_stop(bench.tunnel);
  assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
  seen.count = 0;
  assert_int_equal(adit_tunnel_flows(bench.tunnel, see, &seen), -ESHUTDOWN);
  assert_int_equal(seen.count, 0);
  stats.size++;
  assert_int_equal(adit_tunnel_stats(bench.tunnel, &stats), 0); /* the last numbers stay */
  assert_int_equal(stats.payload_up, BYTES);
  support_bench_close(&bench);
  assert_false(support_tun_reaches("10.77.0.1")); /* the device is gone */
  shutdown(proxy.listener, SHUT_RDWR);
  pthread_join(proxy.thread, NULL);
  close(proxy.listener);
}

static void test_numbers_and_connections(void **state) {
  (void)state;
  relay_and_count(false);
}

static void test_the_same_with_io_uring(void **state) {
  (void)state;
  relay_and_count(true);
}

/* Many threads ask while connections come and go and the tunnel ends. */
static void *ask(void *user) {
  struct support_bench *bench = user;
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  uint64_t packets = 0;
  int error;
  do {
    struct seen seen = {0};
    error = adit_tunnel_flows(bench->tunnel, see, &seen);
    if (adit_tunnel_stats(bench->tunnel, &stats) != 0 || stats.packets_in < packets) return "numbers went back";
    packets = stats.packets_in;
  } while (error == 0);
  return error == -ESHUTDOWN ? NULL : "another error than that of the end";
}

static void test_questions_from_many_threads(void **state) {
  (void)state;
  enum { ASKING = 3 };
  uint16_t port;
  int listener = support_listen(&port);
  struct support_bench bench;
  pthread_t asking[ASKING];
  support_bench_prepare(&bench);
  support_bench_start(&bench);
  for (int i = 0; i < ASKING; i++) assert_int_equal(pthread_create(&asking[i], NULL, ask, &bench), 0);
  for (uint16_t i = 0; i < 100; i++) {
    support_bench_check_syn(&bench, (uint16_t)(20000 + i), port, SUPPORT_SYN | SUPPORT_ACK);
    close(accept(listener, NULL, NULL));
  }
  adit_tunnel_stop(bench.tunnel);
  for (int i = 0; i < ASKING; i++) {
    void *fault;
    pthread_join(asking[i], &fault);
    if (fault) fail_msg("%s", (const char *)fault);
  }
  support_bench_close(&bench);
  close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_socket_is_protected),
      cmocka_unit_test(test_numbers_and_connections),
      cmocka_unit_test(test_the_same_with_io_uring),
      cmocka_unit_test(test_questions_from_many_threads),
  };
  int skipped = support_tun_namespace("test_thread_tunnel_relay");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
