/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Other options for a tunnel that runs: connections flow meanwhile, in two workers, and none is lost.
 *
 * The kernel of a network namespace of our own is the client, through a real TUN with two queues. The upstreams are
 * threads of this program, a SOCKS5 server that wants a password, one that wants another, and an HTTP proxy. Whatever
 * a client asks for, each sends one byte that says who it is, and is an echo from then on. To be run under the thread
 * sanitizer as well.
 */
#include "support_bench.h"
#include "support_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 200, PROXIES = 3, CLIENTS = 2, LASTING = 4, QUEUES = 2 };

/* ---- upstreams --------------------------------------------------------------------------------------------------- */

struct proxy {
  char letter;
  const char *password; /* NULL = an HTTP proxy */
  int listener;
  char url[64];
  pthread_t thread;
};

static struct proxy proxies[PROXIES] = {
    {.letter = 'a', .password = "one"}, {.letter = 'b', .password = "two"}, {.letter = 'h', .password = NULL}};

struct visit {
  const struct proxy *proxy;
  int fd;
};

static bool take(int fd, void *data, size_t length) {
  return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length;
}

/* The greeting, user and password, the request: RFC 1928 and 1929, and nothing else. */
static bool speak_socks5(const struct visit *visit) {
  static const uint8_t method[] = {5, 2}, welcome[] = {1, 0}, barred[] = {1, 1};
  static const uint8_t granted[] = {5, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  uint8_t data[300];
  char password[256] = "";
  if (!take(visit->fd, data, 2) || !take(visit->fd, data + 2, data[1])) return false;
  if (send(visit->fd, method, sizeof method, MSG_NOSIGNAL) < 0) return false;
  if (!take(visit->fd, data, 2) || !take(visit->fd, data + 2, data[1] + 1U)) return false;
  if (!take(visit->fd, password, data[2 + data[1]])) return false;
  bool right = strcmp(password, visit->proxy->password) == 0;
  if (send(visit->fd, right ? welcome : barred, 2, MSG_NOSIGNAL) < 0 || !right) return false;
  return take(visit->fd, data, 10) && data[3] == 1 && send(visit->fd, granted, sizeof granted, MSG_NOSIGNAL) > 0;
}

static bool speak_http(const struct visit *visit) {
  static const char granted[] = "HTTP/1.1 200 OK\r\n\r\n";
  char data[2000] = "";
  for (size_t length = 0; !strstr(data, "\r\n\r\n"); length++)
    if (length + 1 >= sizeof data || recv(visit->fd, data + length, 1, 0) != 1) return false;
  return send(visit->fd, granted, sizeof granted - 1, MSG_NOSIGNAL) > 0;
}

static void *attend(void *argument) {
  struct visit visit = *(struct visit *)argument;
  free(argument);
  char data[4096];
  ssize_t got;
  bool granted = visit.proxy->password ? speak_socks5(&visit) : speak_http(&visit);
  if (granted && send(visit.fd, &visit.proxy->letter, 1, MSG_NOSIGNAL) == 1)
    while ((got = recv(visit.fd, data, sizeof data, 0)) > 0 && send(visit.fd, data, (size_t)got, MSG_NOSIGNAL) == got) {
    }
  close(visit.fd);
  return NULL;
}

static void *accept_all(void *argument) {
  const struct proxy *proxy = argument;
  int fd;
  while ((fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
    pthread_t thread;
    struct visit *visit = malloc(sizeof *visit);
    *visit = (struct visit){proxy, fd};
    if (pthread_create(&thread, NULL, attend, visit) != 0) abort();
    pthread_detach(thread);
  }
  return NULL;
}

static void open_proxies(void) {
  for (unsigned i = 0; i < PROXIES; i++) {
    struct proxy *proxy = &proxies[i];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(proxy->listener, 256), 0);
    assert_int_equal(getsockname(proxy->listener, (struct sockaddr *)&address, &length), 0);
    if (proxy->password)
      snprintf(proxy->url, sizeof proxy->url, "socks5://u:%s@127.0.0.1:%u", proxy->password, ntohs(address.sin_port));
    else
      snprintf(proxy->url, sizeof proxy->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&proxy->thread, NULL, accept_all, proxy), 0);
  }
}

static void close_proxies(void) {
  for (unsigned i = 0; i < PROXIES; i++) {
    shutdown(proxies[i].listener, SHUT_RDWR);
    pthread_join(proxies[i].thread, NULL);
    close(proxies[i].listener);
  }
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

/* Connect through the tunnel. Returns the fd and who the upstream is, or a negative errno. */
static int visit(uint16_t port, char *letter) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  const struct timeval patience = {.tv_sec = SUPPORT_PATIENCE_MS / 1000};
  inet_pton(AF_INET, "10.77.1.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && recv(fd, letter, 1, 0) == 1) return fd;
  int error = errno ? -errno : -EPIPE;
  close(fd);
  return error;
}

/* What is sent comes back. */
static bool echoes(int fd) {
  char out[3000], in[sizeof out];
  memset(out, 'x', sizeof out);
  return send(fd, out, sizeof out, MSG_NOSIGNAL) == (ssize_t)sizeof out && take(fd, in, sizeof in) &&
         memcmp(in, out, sizeof out) == 0;
}

static atomic_bool enough;
static atomic_int visits, faults;

static void *visit_often(void *argument) {
  (void)argument;
  while (!atomic_load(&enough)) {
    char letter = 0;
    int fd = visit(80, &letter);
    if (fd < 0 || !echoes(fd)) atomic_fetch_add(&faults, 1);
    if (fd >= 0) close(fd);
    atomic_fetch_add(&visits, 1);
  }
  return NULL;
}

/* ---- the tunnel -------------------------------------------------------------------------------------------------- */

static void start(struct support_bench *bench) {
  support_bench_prepare(bench);
  close(bench->near);
  close(bench->far);
  bench->far = -1;
  bench->options.fds = NULL;
  bench->options.own_fds = false;
  bench->options.queues = QUEUES;
  bench->options.upstream = proxies[0].url;
  support_bench_start(bench);
  support_tun_up(adit_tunnel_device(bench->tunnel));
  support_tun_route(adit_tunnel_device(bench->tunnel));
}

static void reload(struct support_bench *bench) {
  int error = adit_tunnel_reload(bench->tunnel, &bench->options, bench->reason);
  if (error) fail_msg("the reload failed: %s: %s", strerror(-error), bench->reason);
}

static void check_upstream(const char *when, char expected) {
  char letter = '-';
  int fd = visit(80, &letter);
  if (letter != expected) fail_msg("%s: expected upstream %c, found %c (%d)", when, expected, letter, fd);
  close(fd);
}

static void test_connections_flow_meanwhile(void **state) {
  static const char *const dns[] = {"off", "fake", "forward:192.0.2.53", "fake", "forward:192.0.2.54"};
  static const char *const icmp[] = {"reply", "off", "default"};
  struct support_bench bench;
  pthread_t client[CLIENTS];
  int lasting[LASTING];
  char first[LASTING];
  (void)state;
  open_proxies();
  start(&bench);
  for (unsigned i = 0; i < LASTING; i++) {
    bench.options.upstream = proxies[i % PROXIES].url;
    reload(&bench);
    lasting[i] = visit(80, &first[i]);
    if (lasting[i] < 0) fail_msg("no connection: %s", strerror(-lasting[i]));
    assert_int_equal(first[i], proxies[i % PROXIES].letter);
  }
  for (unsigned i = 0; i < CLIENTS; i++) assert_int_equal(pthread_create(&client[i], NULL, visit_often, NULL), 0);
  size_t used = 0;
  unsigned fds = 0;
  for (unsigned i = 0; i < ROUNDS; i++) {
    char when[32];
    snprintf(when, sizeof when, "round %u", i);
    bench.options.upstream = proxies[i % PROXIES].url;
    bench.options.dns = dns[i % 5];
    bench.options.udp = i % 2 ? "off" : "on";
    bench.options.icmp = icmp[i % 3];
    bench.options.connect_ms = 5000 + i;
    bench.options.idle_ms = 60000 + i;
    bench.options.max_flows = 1000 + i;
    bench.options.interface = i % 7 == 3 ? "lo" : NULL;
    bench.options.log_level = (enum adit_tunnel_level)(i % 4);
    reload(&bench);
    check_upstream(when, proxies[i % PROXIES].letter);
    if (!echoes(lasting[i % LASTING])) fail_msg("%s: a connection that was open has ended", when);
    if (i == 50) used = mallinfo2().uordblks; /* zero under sanitizers, which look for leaks themselves */
    if (i == 50) fds = support_open_fds();
  }
  size_t now = mallinfo2().uordblks;
  if (now > used + (1U << 20)) fail_msg("%zu bytes are in use after %d rounds, %zu after 50", now, ROUNDS, used);
  atomic_store(&enough, true);
  for (unsigned i = 0; i < CLIENTS; i++) pthread_join(client[i], NULL);
  unsigned late = support_open_fds();
  if (late > fds + 16) fail_msg("%u fds are open after %d rounds, %u after 50", late, ROUNDS, fds);
  if (atomic_load(&faults)) fail_msg("%d of %d connections failed", atomic_load(&faults), atomic_load(&visits));
  assert_true(atomic_load(&visits) > ROUNDS / 4);
  for (unsigned i = 0; i < LASTING; i++) {
    assert_true(echoes(lasting[i]));
    close(lasting[i]);
  }
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_open == 0);
  assert_int_equal(stats.flows_failed, 0);
  support_bench_close(&bench); /* asserts that every way out was let go */
  close_proxies();
}

/* ---- what is refused changes nothing ----------------------------------------------------------------------------- */

static const int no_fds[] = {-1};
static const adit_cidr elsewhere = {.ip = {.bytes = {10, 0, 0, 0}, .version = 4}, .prefix = 8};

static const struct {
  const char *named;
  int error;
  struct adit_tunnel_options change; /* what is not zero replaces the default */
} refused[] = {
    {"upstream: unknown scheme 'socks4://'", -EINVAL, {.upstream = "socks4://127.0.0.1"}},
    {"upstream: the address of 'no.such.host.invalid'", -EHOSTUNREACH, {.upstream = "http://no.such.host.invalid"}},
    {"udp: maybe: unknown; give on or off", -EINVAL, {.udp = "maybe"}},
    {"icmp: relay: only direct://", -EINVAL, {.icmp = "relay"}},
    {"dns: on: unknown", -EINVAL, {.dns = "on"}},
    {"interface: there is none of the name 'nosuch0'", -ENODEV, {.interface = "nosuch0"}},
    {"log_level: 4 is none", -EINVAL, {.log_level = (enum adit_tunnel_level)4}},
    {"device: cannot change", -EBUSY, {.device = "other0"}},
    {"fds: cannot change", -EBUSY, {.fds = no_fds}},
    {"queues: cannot change", -EBUSY, {.queues = 3}},
    {"mtu: cannot change", -EBUSY, {.mtu = 1400}},
    {"no_offload: cannot change", -EBUSY, {.no_offload = true}},
    {"io_uring: cannot change", -EBUSY, {.io_uring = true}},
    {"answer: cannot change", -EBUSY, {.answer = &elsewhere, .answers = 1}},
    {"memory_bytes: cannot change", -EBUSY, {.memory_bytes = 1 << 21}},
    {"user: cannot change", -EBUSY, {.user = proxies}},
};

static void test_what_is_refused_changes_nothing(void **state) {
  struct support_bench bench;
  (void)state;
  open_proxies();
  start(&bench);
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct adit_tunnel_options options = bench.options;
    options.upstream = proxies[1].url; /* right, and not taken */
    support_bench_change(&options, &refused[i].change);
    int found = adit_tunnel_reload(bench.tunnel, &options, bench.reason);
    if (found != refused[i].error)
      fail_msg("%s: expected %d, found %d: %s", refused[i].named, refused[i].error, found, bench.reason);
    if (!strstr(bench.reason, refused[i].named))
      fail_msg("expected to say: %s\nfound: %s", refused[i].named, bench.reason);
    check_upstream(refused[i].named, 'a');
    assert_int_equal(adit_tunnel_reload(bench.tunnel, &options, NULL), refused[i].error); /* no reason wanted */
  }
  struct adit_tunnel_options options = bench.options;
  options.size--;
  assert_int_equal(adit_tunnel_reload(bench.tunnel, &options, bench.reason), -EINVAL);
  options.size++;
  options.queues = 0; /* as it was, as all that is zero */
  options.mtu = 1500;
  options.memory_bytes = (size_t)256 << 20;
  options.device = adit_tunnel_device(bench.tunnel);
  options.protect = NULL;
  options.user = NULL;
  options.log = NULL;
  options.upstream = proxies[1].url;
  int error = adit_tunnel_reload(bench.tunnel, &options, bench.reason);
  if (error) fail_msg("what is as it was: %s: %s", strerror(-error), bench.reason);
  int protects = bench.protects;
  check_upstream("as it was", 'b');
  if (bench.protects <= protects) fail_msg("protect was called %d times, then %d", protects, (int)bench.protects);

  adit_tunnel_stop(bench.tunnel);
  assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
  assert_int_equal(adit_tunnel_reload(bench.tunnel, &bench.options, bench.reason), -ESHUTDOWN);
  assert_non_null(strstr(bench.reason, "the tunnel has ended"));
  support_bench_close(&bench);
  close_proxies();
}

/* ---- passwords and refusals take effect -------------------------------------------------------------------------- */

static void test_password_and_reject(void **state) {
  struct support_bench bench;
  char wrong[80], letter;
  (void)state;
  open_proxies();
  start(&bench);
  check_upstream("at the start", 'a');
  snprintf(wrong, sizeof wrong, "socks5://u:no@%s", strchr(proxies[0].url, '@') + 1);
  bench.options.upstream = wrong;
  reload(&bench);
  assert_int_equal(visit(80, &letter), -EHOSTUNREACH);
  bench.options.upstream = proxies[0].url;
  reload(&bench);
  check_upstream("with the right password again", 'a');
  bench.options.upstream = "reject://";
  reload(&bench);
  assert_int_equal(visit(80, &letter), -ECONNREFUSED);
  bench.options.upstream = proxies[2].url;
  bench.options.max_flows = 1;
  reload(&bench);
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_open == 0); /* those that were closed */
  int fd = visit(80, &letter);
  assert_true(fd >= 0);
  support_bench_close(&bench);
  close(fd);
  close_proxies();
}

/* Two threads at once, and a stop in between. */
static void *reload_often(void *argument) {
  struct support_bench *bench = argument;
  struct adit_tunnel_options options = bench->options;
  char reason[ADIT_TUNNEL_REASON];
  int error;
  for (unsigned i = 0;; i++) {
    options.upstream = proxies[i % PROXIES].url;
    options.dns = i % 2 ? "fake" : "forward:192.0.2.53";
    error = adit_tunnel_reload(bench->tunnel, &options, reason);
    if (error) return (void *)(intptr_t)error;
    atomic_fetch_add(&visits, 1);
  }
}

static void test_stop_meanwhile(void **state) {
  (void)state;
  open_proxies();
  for (unsigned round = 0; round < 10; round++) {
    struct support_bench bench;
    pthread_t thread[2];
    start(&bench);
    atomic_store(&visits, 0);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, reload_often, &bench), 0);
    SUPPORT_AWAIT(atomic_load(&visits) > 10);
    adit_tunnel_stop(bench.tunnel);
    for (unsigned i = 0; i < 2; i++) {
      void *error;
      pthread_join(thread[i], &error);
      assert_int_equal((intptr_t)error, -ESHUTDOWN);
    }
    support_bench_close(&bench);
  }
  close_proxies();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_refused_changes_nothing),
      cmocka_unit_test(test_password_and_reject),
      cmocka_unit_test(test_stop_meanwhile),
      cmocka_unit_test(test_connections_flow_meanwhile),
  };
  int skipped = support_tun_namespace("test_thread_reload");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
