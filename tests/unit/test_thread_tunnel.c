/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The life of a tunnel, through its public header: starts and stops, callbacks, whose fds they are, refusals with
 * reasons.
 *
 * Clients are the far ends of socket pairs, on which the test sends and receives whole packets; whom they connect to is
 * a listener of this process, on lo of a network namespace of its own. To be run under the thread sanitizer as well.
 */
#include "support_bench.h"
#include "support_packet.h"
#include "support_tun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 1000 };

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Address space may grow by what allocators and tables keep; a leak of a tunnel a round would be hundreds of MiB. */
static void test_a_thousand_starts_and_stops(void **state) {
  (void)state;
  uint16_t port;
  int listener = support_listen(&port);
  unsigned fds = support_open_fds(), tasks = support_threads();
  size_t used = 0;
  for (int i = 0; i < ROUNDS; i++) {
    struct support_bench bench;
    support_bench_prepare(&bench);
    if (i % 10 == 3) bench.options.dns = "fake";
    if (i % 10 == 4) bench.options.dns = "forward:192.0.2.53";
    support_bench_start(&bench);
    if (i % 4 == 1) { /* a connection that is open at the end */
      support_bench_check_syn(&bench, 30000, port, SUPPORT_SYN | SUPPORT_ACK);
      int fd = accept(listener, NULL, NULL);
      assert_true(fd >= 0);
      close(fd);
    }
    if (i % 4 == 2) adit_tunnel_stop(bench.tunnel);
    if (i % 4 == 3) {
      adit_tunnel_stop(bench.tunnel);
      assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
      assert_int_equal(bench.stopped, 1);
    }
    support_bench_close(&bench);
    assert_int_equal(bench.stopped, 1);
    assert_int_equal(bench.error, 0);
    assert_true(bench.ready <= 1);
    if (i == 100) used = mallinfo2().uordblks; /* zero under sanitizers, which look for leaks themselves */
  }
  assert_int_equal(support_open_fds(), fds);
  SUPPORT_AWAIT(support_threads() == tasks); /* a thread that was joined may still be listed for a moment */
  size_t now = mallinfo2().uordblks;
  if (now > used + 65536) fail_msg("%zu bytes are in use after %d rounds, %zu after 100", now, ROUNDS, used);
  close(listener);
}

static void test_two_at_once(void **state) {
  (void)state;
  uint16_t port;
  int listener = support_listen(&port);
  struct support_bench open, shut;
  support_bench_prepare(&open);
  support_bench_prepare(&shut);
  shut.options.upstream = "reject://";
  support_bench_start(&open);
  support_bench_start(&shut);
  for (uint16_t i = 0; i < 20; i++) {
    support_bench_check_syn(&open, (uint16_t)(20000 + i), port, SUPPORT_SYN | SUPPORT_ACK);
    support_bench_check_syn(&shut, (uint16_t)(20000 + i), port, SUPPORT_RST | SUPPORT_ACK);
    close(accept(listener, NULL, NULL));
  }
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(shut.tunnel, &stats) == 0 && stats.flows_failed == 20);
  assert_int_equal(stats.flows_relayed, 0);
  assert_int_equal(stats.packets_in, 20);
  adit_tunnel_free(shut.tunnel);
  shut.tunnel = NULL;
  support_bench_check_syn(&open, 21000, port, SUPPORT_SYN | SUPPORT_ACK); /* the other one does not care */
  SUPPORT_AWAIT(adit_tunnel_stats(open.tunnel, &stats) == 0 && stats.flows_relayed == 21);
  assert_int_equal(stats.flows_failed, 0);
  support_bench_close(&open);
  support_bench_close(&shut);
  close(listener);
}

static void test_stop_from_callbacks(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    struct support_bench bench;
    support_bench_prepare(&bench);
    bench.stop_when_ready = true;
    support_bench_start(&bench);
    assert_true(support_readable(adit_tunnel_fd(bench.tunnel)));
    assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
    assert_int_equal(adit_tunnel_wait(bench.tunnel), 0); /* as often as one likes */
    assert_int_equal(bench.ready, 1);
    assert_int_equal(bench.stopped, 1);
    assert_true(bench.in_order);
    support_bench_close(&bench);
  }
  struct support_bench bench;
  support_bench_prepare(&bench);
  bench.stop_when_logging = true;
  bench.options.upstream = "reject://"; /* which is said of each connection, at the level of details */
  support_bench_start(&bench);
  support_bench_send_syn(&bench, 20000, 80);
  assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
  assert_true(bench.logs > 0);
  assert_int_equal(bench.stopped, 1);
  support_bench_close(&bench);
}

static void *wait_for_end(void *user) {
  struct support_bench *bench = user;
  return (void *)(intptr_t)adit_tunnel_wait(bench->tunnel);
}

static void test_device_that_is_gone(void **state) {
  (void)state;
  struct support_bench bench;
  support_bench_prepare(&bench);
  support_bench_start(&bench);
  SUPPORT_AWAIT(bench.ready == 1);
  pthread_t waiting[2]; /* more than one may wait */
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&waiting[i], NULL, wait_for_end, &bench), 0);
  close(bench.far);
  bench.far = -1;
  for (int i = 0; i < 2; i++) {
    void *error;
    pthread_join(waiting[i], &error);
    assert_int_equal((intptr_t)error, -EPIPE);
  }
  assert_int_equal(bench.stopped, 1);
  assert_int_equal(bench.error, -EPIPE);
  support_bench_close(&bench);
  assert_int_equal(bench.stopped, 1);

  /* Gone before anybody reads: perhaps the start is not done yet when all is over. */
  for (int i = 0; i < 100; i++) {
    support_bench_prepare(&bench);
    close(bench.far);
    bench.far = -1;
    support_bench_start(&bench);
    assert_int_equal(adit_tunnel_wait(bench.tunnel), -EPIPE);
    SUPPORT_AWAIT(bench.stopped == 1);
    assert_true(bench.ready == 0 || bench.in_order);
    support_bench_close(&bench);
  }
}

/* What belongs to the whole process is as it was, and a socket that is reset raises no signal in any thread. */
static void test_nothing_of_the_process_is_touched(void **state) {
  (void)state;
  struct sigaction before[NSIG] = {0}, after;
  struct rlimit files, files_after;
  sigset_t mask, mask_after;
  char where[1000], where_after[1000];
  uint16_t port;
  int listener = support_listen(&port);
  for (int i = 1; i < NSIG; i++) sigaction(i, NULL, &before[i]);
  getrlimit(RLIMIT_NOFILE, &files);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  assert_non_null(getcwd(where, sizeof where));

  struct support_bench bench;
  support_bench_prepare(&bench);
  support_bench_start(&bench);
  support_bench_send_syn(&bench, 20000, port);
  int fd = accept(listener, NULL, NULL);
  uint8_t packet[2000];
  ssize_t got;
  do {
    assert_true(support_readable(bench.far));
    got = recv(bench.far, packet, sizeof packet, 0);
  } while (got < 40 || packet[33] != (SUPPORT_SYN | SUPPORT_ACK));
  uint32_t theirs = support_get32(packet + 24) + 1;
  const struct linger at_once = {.l_onoff = 1};
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(fd); /* with a reset */
  for (uint32_t i = 0; i < 20; i++) {
    size_t size = support_tcp4(packet, SUPPORT_CLIENT4, SUPPORT_KERNEL4, 20000, port, 1001 + i * 100, theirs,
                               SUPPORT_ACK, 65535, NULL, 0, where, 100);
    assert_int_equal(send(bench.far, packet, size, 0), (ssize_t)size);
  }
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_open == 0 && stats.packets_in == 21);
  DIR *folder = opendir("/proc/self/task");
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char path[300], line[200];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    FILE *status = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
    while (status && fgets(line, sizeof line, status))
      if (strncmp(line, "SigPnd:", 7) == 0) assert_string_equal(line, "SigPnd:\t0000000000000000\n");
    if (status) fclose(status);
  }
  closedir(folder);
  support_bench_close(&bench);
  close(listener);

  for (int i = 1; i < NSIG; i++) {
    if (sigaction(i, NULL, &after) != 0) continue;
    if (after.sa_handler != before[i].sa_handler) fail_msg("the action of signal %d has changed", i);
  }
  getrlimit(RLIMIT_NOFILE, &files_after);
  pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
  assert_int_equal(files_after.rlim_cur, files.rlim_cur);
  for (int i = 1; i < NSIG; i++) assert_int_equal(sigismember(&mask_after, i), sigismember(&mask, i));
  assert_non_null(getcwd(where_after, sizeof where_after));
  assert_string_equal(where_after, where);
}

/* ---- options that are refused ------------------------------------------------------------------------------------ */

static const int no_fds[] = {-1};

/* `named` is in the reason; what is refused is the default of support_bench_prepare with one thing changed. */
static const struct {
  const char *named;
  int error;
  struct adit_tunnel_options change; /* what is not zero replaces the default */
} refused[] = {
    {"upstream: unknown scheme 'socks4://'", -EINVAL, {.upstream = "socks4://127.0.0.1"}},
    {"upstream: the port is out of range", -EINVAL, {.upstream = "http://127.0.0.1:70000"}},
    {"upstream: not a URL", -EINVAL, {.upstream = "127.0.0.1:1080"}},
    {"upstream: the address of 'no.such.host.invalid'", -EHOSTUNREACH, {.upstream = "http://no.such.host.invalid"}},
    {"udp: maybe: unknown; give on or off", -EINVAL, {.udp = "maybe"}},
    {"icmp: yes: unknown; give default, reply, relay or off", -EINVAL, {.icmp = "yes"}},
    {"icmp: relay: only direct://", -EINVAL, {.upstream = "socks5://127.0.0.1", .icmp = "relay"}},
    {"dns: on: unknown; give forward:ADDRESS, fake or off", -EINVAL, {.dns = "on"}},
    {"dns: forward:dns.example: the server is not an address", -EINVAL, {.dns = "forward:dns.example"}},
    {"dns_cache: is for dns", -EINVAL, {.dns_cache = "/tmp/names"}},
    {"interface: there is none of the name 'nosuch0'", -ENODEV, {.interface = "nosuch0"}},
    {"interface: there is none", -ENODEV, {.interface = "a-name-that-is-too-long-for-any"}},
    {"mtu: 500 is out of range", -EINVAL, {.mtu = 500}},
    {"mtu: 70000 is out of range", -EINVAL, {.mtu = 70000}},
    {"memory_bytes: 1000 is too little", -EINVAL, {.memory_bytes = 1000}},
    {"log_level: 4 is none", -EINVAL, {.log_level = (enum adit_tunnel_level)4}},
    {"device: tun7 cannot be opened, there are fds already", -EINVAL, {.device = "tun7"}},
    {"answers: 2, but `answer` is NULL", -EINVAL, {.answers = 2}},
    {"fds: -1 is not open", -EBADF, {.fds = no_fds}},
};

/* Devices of several queues: socket pairs, `fds` for the tunnel and `far` for the test. */
static void make_pairs(unsigned count, int *fds, int *far) {
  for (unsigned i = 0; i < count; i++) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    fds[i] = pair[0];
    far[i] = pair[1];
  }
}

static void check_refusal(struct support_bench *bench, int error, const char *named) {
  unsigned tasks = support_threads();
  bench->tunnel = (struct adit_tunnel *)1;
  int found = adit_tunnel_start(&bench->options, &bench->tunnel, bench->reason);
  if (found != error) fail_msg("%s: expected %d, found %d: %s", named, error, found, bench->reason);
  if (!strstr(bench->reason, named)) fail_msg("expected to say: %s\nfound: %s", named, bench->reason);
  assert_null(bench->tunnel);
  assert_int_equal(bench->ready, 0);
  assert_int_equal(bench->stopped, 0);
  assert_int_equal(bench->protects, 0);
  SUPPORT_AWAIT(support_threads() == tasks);
}

static void test_what_is_refused_has_a_reason(void **state) {
  (void)state;
  unsigned fds = support_open_fds();
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    for (int own = 0; own < 2; own++) {
      struct support_bench bench;
      support_bench_prepare(&bench);
      bench.options.own_fds = own;
      support_bench_change(&bench.options, &refused[i].change);
      check_refusal(&bench, refused[i].error, refused[i].named);
      if (bench.options.fds == &bench.near) assert_int_equal(support_is_open(bench.near), !own);
      if (support_is_open(bench.near)) close(bench.near);
      close(bench.far);
      assert_int_equal(support_open_fds(), fds);
      assert_int_equal(adit_tunnel_start(&bench.options, &bench.tunnel, NULL), refused[i].error); /* no reason wanted */
    }
  }
}

static void test_size_is_the_version(void **state) {
  (void)state;
  struct support_bench bench;
  support_bench_prepare(&bench);
  bench.options.size--;
  bench.reason[0] = '\0';
  assert_int_equal(adit_tunnel_start(&bench.options, &bench.tunnel, bench.reason), -EINVAL);
  assert_non_null(strstr(bench.reason, "size: "));
  assert_true(support_is_open(bench.near)); /* what cannot be read says nothing of ownership */
  assert_int_equal(adit_tunnel_start(NULL, &bench.tunnel, bench.reason), -EINVAL);
  close(bench.near);
  close(bench.far);
}

/* ---- whose fds they are ------------------------------------------------------------------------------------------ */

static void test_fds_end_with_their_owner(void **state) {
  (void)state;
  for (int own = 0; own < 2; own++) {
    struct support_bench bench;
    support_bench_prepare(&bench);
    bench.options.own_fds = own;
    support_bench_start(&bench);
    assert_string_equal(adit_tunnel_device(bench.tunnel), "fd");
    adit_tunnel_stop(bench.tunnel);
    assert_int_equal(adit_tunnel_wait(bench.tunnel), 0);
    assert_true(support_is_open(bench.near)); /* until the free */
    adit_tunnel_free(bench.tunnel);
    bench.tunnel = NULL;
    assert_int_equal(support_is_open(bench.near), !own);
    if (!own) { /* and it can be used again */
      support_bench_start(&bench);
      support_bench_check_syn(&bench, 20000, 9, SUPPORT_RST | SUPPORT_ACK);
      adit_tunnel_free(bench.tunnel);
      bench.tunnel = NULL;
      assert_true(support_is_open(bench.near));
      close(bench.near);
    }
    support_bench_close(&bench);
  }
}

/* Several fds, of which one is wrong: all are closed, or all are left. */
static void test_fds_of_a_start_that_fails(void **state) {
  (void)state;
  enum { FDS = 4 };
  static const char *const wrong[] = {"is there twice (at 1 and 2)", "is not open", "keeps no packets apart",
                                      "of a TAP"};
  unsigned before = support_open_fds();
  for (unsigned which = 0; which < sizeof wrong / sizeof wrong[0]; which++) {
    for (int own = 0; own < 2; own++) {
      struct support_bench bench;
      int fds[FDS], far[FDS];
      support_bench_prepare(&bench);
      make_pairs(FDS, fds, far);
      int mine = fds[2], other[2] = {-1, -1};
      if (which == 0) fds[2] = fds[1];
      if (which == 1) fds[2] = 1000000;
      if (which == 2) {
        assert_int_equal(pipe2(other, O_CLOEXEC), 0);
        fds[2] = other[0];
      }
      if (which == 3) fds[2] = support_tun_raw("tap7", IFF_TAP | IFF_NO_PI);
      bench.options.fds = fds;
      bench.options.queues = FDS;
      bench.options.own_fds = own;
      check_refusal(&bench, which == 1 ? -EBADF : -EINVAL, wrong[which]);
      for (int i = 0; i < FDS; i++) {
        if (which == 1 && i == 2) continue;
        if (support_is_open(fds[i]) == own) fail_msg("%s: fd %d is %s", wrong[which], i, own ? "left open" : "closed");
      }
      assert_true(support_is_open(mine)); /* it was not given away */
      close(mine);
      close(other[1]);
      for (int i = 0; i < FDS; i++) {
        if (!own && fds[i] != mine && support_is_open(fds[i])) close(fds[i]);
        close(far[i]);
      }
      close(bench.near);
      close(bench.far);
      assert_int_equal(support_open_fds(), before);
    }
  }
}

/* A start that runs out of fds, at each step at which it can, leaves nothing. */
static void test_start_without_enough_fds(void **state) {
  (void)state;
  enum { FDS = 2, MOST = 40 };
  struct rlimit limit, before;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  unsigned tasks = support_threads(), failures = 0;
  int error = -EMFILE;
  for (unsigned room = 0; error && room < MOST; room++) {
    struct support_bench bench;
    int fds[FDS], far[FDS];
    support_bench_prepare(&bench);
    make_pairs(FDS, fds, far);
    bench.options.fds = fds;
    bench.options.queues = FDS;
    bench.options.dns = "fake";
    bench.options.dns_cache = "/nonexistent/names";
    unsigned open = support_open_fds() - FDS; /* which are closed with the tunnel or its start */
    limit = before;
    limit.rlim_cur = (rlim_t)far[FDS - 1] + 1 + room;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    error = adit_tunnel_start(&bench.options, &bench.tunnel, bench.reason);
    int logs = bench.logs;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    if (error) {
      failures++;
      assert_int_equal(error, -EMFILE);
      if (!strstr(bench.reason, "RLIMIT_NOFILE")) fail_msg("the reason: %s", bench.reason);
      assert_null(bench.tunnel);
      assert_int_equal(bench.ready + bench.stopped, 0);
      assert_int_equal(bench.logs, logs);
    }
    adit_tunnel_free(bench.tunnel);
    SUPPORT_AWAIT(support_threads() == tasks);
    assert_int_equal(support_open_fds(), open);
    for (int i = 0; i < FDS; i++) close(far[i]);
    close(bench.near);
    close(bench.far);
  }
  if (error) fail_msg("it did not start with %d fds either: %s", MOST, strerror(-error));
  assert_true(failures >= 4);
}

static void test_several_queues(void **state) {
  (void)state;
  enum { FDS = 3 };
  struct support_bench bench;
  int fds[FDS], far[FDS];
  support_bench_prepare(&bench);
  make_pairs(FDS, fds, far);
  close(bench.near);
  close(bench.far);
  bench.options.fds = fds;
  bench.options.queues = FDS;
  support_bench_start(&bench);
  for (int i = 0; i < FDS; i++) {
    bench.far = far[i];
    support_bench_check_syn(&bench, (uint16_t)(20000 + i), 9, SUPPORT_RST | SUPPORT_ACK);
  }
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  SUPPORT_AWAIT(adit_tunnel_stats(bench.tunnel, &stats) == 0 && stats.flows_failed == FDS); /* the sum */
  bench.far = -1;
  support_bench_close(&bench);
  for (int i = 0; i < FDS; i++) {
    assert_false(support_is_open(fds[i]));
    close(far[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_two_at_once),
      cmocka_unit_test(test_stop_from_callbacks),
      cmocka_unit_test(test_device_that_is_gone),
      cmocka_unit_test(test_nothing_of_the_process_is_touched),
      cmocka_unit_test(test_what_is_refused_has_a_reason),
      cmocka_unit_test(test_size_is_the_version),
      cmocka_unit_test(test_fds_end_with_their_owner),
      cmocka_unit_test(test_fds_of_a_start_that_fails),
      cmocka_unit_test(test_start_without_enough_fds),
      cmocka_unit_test(test_several_queues),
      cmocka_unit_test(test_a_thousand_starts_and_stops),
  };
  int skipped = support_tun_namespace("test_thread_tunnel");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
