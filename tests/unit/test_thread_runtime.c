/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Workers in threads: two stacks in one process, start and stop, statistics from outside, errors, messages, sockets.
 *
 * The far side of each worker's device is the other end of a socket pair, on which the test sends and receives whole
 * packets. To be run under the thread sanitizer as well.
 */
#include "runtime/runtime.h"
#include "service/services.h"
#include "support_client.h"
#include "support_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 2, PATIENCE_MS = 10000, ROUNDS = 1000 };

#define CLIENT "192.168.3.11"
#define SERVER "192.168.3.12"

/* ---- a runtime between socket pairs ------------------------------------------------------------------------------ */

struct bench {
  int far[WORKERS]; /* the test's ends; -1 = closed */
  struct adit_device *device[WORKERS];
  struct adit_runtime *runtime;
  atomic_int errors_logged;
};

static int64_t wall_clock(void *user) {
  (void)user;
  return 0;
}

static int start_services(void *user, struct adit_worker *worker, void **state) {
  (void)user;
  const struct adit_services_options options = {.wall_clock = wall_clock};
  struct adit_services *services;
  int error = adit_services_new(adit_worker_stack(worker), &options, &services);
  if (!error) *state = services;
  return error;
}

static void free_services(void *state) {
  adit_services_free(state);
}

static const struct adit_application services = {.name = "services",
                                                 .start = start_services,
                                                 .syn = adit_services_syn,
                                                 .datagram = adit_services_datagram,
                                                 .free = free_services};

static void count_errors(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  struct bench *bench = user;
  (void)flow;
  assert_true(strlen(text) > 0);
  if (level == ADIT_LOG_ERROR) atomic_fetch_add(&bench->errors_logged, 1);
}

static void bench_open(struct bench *bench, const struct adit_application *application, void *user) {
  static const struct adit_stack_options stack = {.mtu = 1500};
  memset(bench, 0, sizeof *bench);
  for (int i = 0; i < WORKERS; i++) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    bench->far[i] = pair[0];
    assert_int_equal(adit_device_attach(pair[1], true, &bench->device[i]), 0);
  }
  const struct adit_runtime_options options = {.devices = bench->device,
                                               .workers = WORKERS,
                                               .stack = &stack,
                                               .application = application,
                                               .user = user,
                                               .log = {.write = count_errors, .user = bench, .level = ADIT_LOG_NOTICE}};
  assert_int_equal(adit_runtime_new(&options, &bench->runtime), 0);
}

static void bench_close(struct bench *bench) {
  adit_runtime_free(bench->runtime);
  for (int i = 0; i < WORKERS; i++) {
    adit_device_close(bench->device[i]);
    if (bench->far[i] >= 0) close(bench->far[i]);
  }
}

static bool becomes_readable(int fd) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  return poll(&wait, 1, PATIENCE_MS) == 1;
}

/* Send a packet and take the one that answers. Returns its length. */
static size_t exchange(int fd, const uint8_t *packet, size_t length, uint8_t *answer, size_t room) {
  assert_int_equal(send(fd, packet, length, 0), (ssize_t)length);
  assert_true(becomes_readable(fd));
  ssize_t got = recv(fd, answer, room, 0);
  assert_true(got > 0);
  return (size_t)got;
}

static void check_udp_echo(int fd, uint16_t port, const void *data, size_t length) {
  uint8_t packet[2000];
  uint8_t answer[2000];
  size_t size = support_udp4(packet, CLIENT, SERVER, port, 7, data, length);
  size_t got = exchange(fd, packet, size, answer, sizeof answer);
  assert_int_equal(got, size);
  assert_true(support_sealed(answer, got));
  assert_int_equal(support_get16(answer + 22), port);
  assert_memory_equal(answer + 28, data, length);
}

static void check_syn(int fd, uint16_t from, uint16_t to, uint8_t flags) {
  uint8_t packet[100];
  uint8_t answer[2000];
  size_t size = support_tcp4(packet, CLIENT, SERVER, from, to, 1000, 0, SUPPORT_SYN, 65535, NULL, 0, NULL, 0);
  size_t got = exchange(fd, packet, size, answer, sizeof answer);
  assert_true(got >= 40);
  assert_true(support_sealed(answer, got));
  assert_int_equal(answer[33], flags);
  assert_int_equal(support_get32(answer + 28), 1001);
}

/* Not to be asked again with another SYN-ACK when the machine is slow. */
static void send_reset(int fd, uint16_t from, uint16_t to) {
  uint8_t packet[100];
  size_t size = support_tcp4(packet, CLIENT, SERVER, from, to, 1001, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  assert_int_equal(send(fd, packet, size, 0), (ssize_t)size);
}

static void check_ping(int fd) {
  uint8_t packet[100];
  uint8_t answer[2000];
  size_t size = support_echo4(packet, CLIENT, SERVER, SUPPORT_ECHO_REQUEST4, 7, 1, "ping", 4);
  size_t got = exchange(fd, packet, size, answer, sizeof answer);
  assert_int_equal(got, size);
  assert_int_equal(answer[20], SUPPORT_ECHO_REPLY4);
  assert_memory_equal(answer + 28, "ping", 4);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

struct traffic {
  int fd;
  unsigned number;
};

static void *make_traffic(void *user) {
  struct traffic *traffic = user;
  for (unsigned i = 0; i < 300; i++) {
    uint8_t data[1000];
    support_pattern(data, sizeof data);
    data[0] = (uint8_t)i;
    data[1] = (uint8_t)traffic->number;
    check_udp_echo(traffic->fd, (uint16_t)(10000 + i), data, sizeof data);
    check_syn(traffic->fd, (uint16_t)(20000 + i), 7, SUPPORT_SYN | SUPPORT_ACK);
    send_reset(traffic->fd, (uint16_t)(20000 + i), 7);
    check_syn(traffic->fd, (uint16_t)(20000 + i), 4, SUPPORT_RST | SUPPORT_ACK);
    check_ping(traffic->fd);
  }
  return NULL;
}

struct reader {
  const struct adit_runtime *runtime;
  atomic_bool enough;
  unsigned reads;
  bool went_back; /* a number that only grows was smaller than before */
};

static void *read_statistics(void *user) {
  struct reader *reader = user;
  uint64_t packets = 0;
  while (!atomic_load(&reader->enough)) {
    struct adit_stats stats;
    adit_runtime_stats(reader->runtime, &stats);
    if (stats.stack.packets_in < packets) reader->went_back = true;
    packets = stats.stack.packets_in;
    reader->reads++;
    poll(NULL, 0, 1);
  }
  return NULL;
}

static void test_two_stacks_in_two_threads(void **state) {
  (void)state;
  struct bench bench;
  bench_open(&bench, &services, NULL);
  assert_int_equal(adit_runtime_start(bench.runtime), 0);
  struct reader reader = {.runtime = bench.runtime};
  pthread_t reading;
  pthread_t sending[WORKERS];
  struct traffic traffic[WORKERS];
  assert_int_equal(pthread_create(&reading, NULL, read_statistics, &reader), 0);
  for (unsigned i = 0; i < WORKERS; i++) {
    traffic[i] = (struct traffic){bench.far[i], i};
    assert_int_equal(pthread_create(&sending[i], NULL, make_traffic, &traffic[i]), 0);
  }
  for (int i = 0; i < WORKERS; i++) pthread_join(sending[i], NULL);
  atomic_store(&reader.enough, true);
  pthread_join(reading, NULL);
  assert_true(reader.reads > 0);
  assert_false(reader.went_back);

  adit_runtime_stop(bench.runtime);
  assert_int_equal(adit_runtime_join(bench.runtime), 0);
  assert_true(becomes_readable(adit_runtime_fd(bench.runtime)));
  struct adit_stats stats;
  adit_runtime_stats(bench.runtime, &stats);
  assert_int_equal(stats.stack.packets_in, WORKERS * 300 * 5);
  assert_int_equal(stats.stack.packets_out, WORKERS * 300 * 4);
  assert_int_equal(stats.stack.datagrams_in, WORKERS * 300);
  assert_int_equal(stats.stack.datagrams_out, WORKERS * 300);
  assert_int_equal(stats.stack.flows_accepted, WORKERS * 300);
  assert_int_equal(stats.stack.flows_refused, WORKERS * 300);
  assert_int_equal(stats.stack.echoes, WORKERS * 300);
  assert_int_equal(adit_stats_dropped(&stats), 0);
  assert_int_equal(bench.errors_logged, 0);
  bench_close(&bench);
}

static void test_start_and_stop_a_thousand_times(void **state) {
  (void)state;
  for (int i = 0; i < ROUNDS; i++) {
    struct bench bench;
    bench_open(&bench, &services, NULL);
    if (i % 3 == 1) adit_runtime_stop(bench.runtime); /* before the start: it ends at once */
    assert_int_equal(adit_runtime_start(bench.runtime), 0);
    if (i % 3 == 2) {
      check_ping(bench.far[i % WORKERS]);
      check_syn(bench.far[i % WORKERS], 30000, 19, SUPPORT_SYN | SUPPORT_ACK); /* left open at the end */
    }
    adit_runtime_stop(bench.runtime);
    adit_runtime_stop(bench.runtime);
    assert_int_equal(adit_runtime_join(bench.runtime), 0);
    struct adit_stats stats;
    adit_runtime_stats(bench.runtime, &stats);
    assert_int_equal(stats.stack.packets_in, i % 3 == 2 ? 2 : 0);
    bench_close(&bench);
  }
}

static void test_device_that_ends_stops_all(void **state) {
  (void)state;
  struct bench bench;
  bench_open(&bench, &services, NULL);
  assert_int_equal(adit_runtime_start(bench.runtime), 0);
  check_ping(bench.far[0]);
  close(bench.far[1]);
  bench.far[1] = -1;
  assert_true(becomes_readable(adit_runtime_fd(bench.runtime)));
  assert_int_equal(adit_runtime_join(bench.runtime), -EPIPE);
  assert_int_equal(bench.errors_logged, 1);
  bench_close(&bench);
}

/* ---- an application that fails to start, is called, and watches a socket ----------------------------------------- */

struct tally {
  int fail_at; /* index of the worker whose start fails; -1 = none */
  atomic_int started;
  atomic_int stopped;
  atomic_int freed;
  int wake[WORKERS]; /* eventfd that the application watches */
};

struct part {
  struct tally *tally;
  struct adit_worker *worker;
  struct adit_watch watch;
  struct adit_timer timer;
  struct adit_work work;
  int events;
};

static void send_hello(struct part *part, const char *text) {
  adit_endpoint from = {.port = 1};
  adit_endpoint to = {.port = 2};
  assert_int_equal(adit_ip_parse(SERVER, &from.ip), 0);
  assert_int_equal(adit_ip_parse(CLIENT, &to.ip), 0);
  struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
  assert_int_equal(adit_stack_send_datagram(adit_worker_stack(part->worker), from, to, &piece, 1), 0);
}

static void on_work(void *user, struct adit_work *work) {
  (void)work;
  send_hello(user, "work");
}

static void on_timer(void *user, struct adit_timer *timer) {
  struct part *part = user;
  (void)timer;
  send_hello(part, "timer");
  adit_loop_defer(adit_worker_loop(part->worker), &part->work);
}

static void on_socket(void *state, struct adit_watch *watch, uint32_t events) {
  struct part *part = state;
  uint64_t count;
  assert_ptr_equal(watch, &part->watch);
  assert_int_equal(events, EPOLLIN);
  assert_int_equal(read(watch->fd, &count, sizeof count), sizeof count);
  part->events++;
  send_hello(part, "socket");
  struct adit_loop *loop = adit_worker_loop(part->worker);
  assert_int_equal(adit_timers_set(adit_loop_timers(loop), &part->timer, adit_loop_now(loop) + 500000), 0);
}

static int start_part(void *user, struct adit_worker *worker, void **state) {
  struct tally *tally = user;
  int index = (int)adit_worker_index(worker);
  if (index == tally->fail_at) return -ENOLINK;
  struct part *part = calloc(1, sizeof *part);
  if (!part) return -ENOMEM;
  part->tally = tally;
  part->worker = worker;
  part->timer = (struct adit_timer){.fire = on_timer, .user = part};
  part->work = (struct adit_work){.run = on_work, .user = part};
  assert_int_equal(
      adit_loop_watch(adit_worker_loop(worker), &part->watch, ADIT_WATCH_SOCKET, tally->wake[index], EPOLLIN), 0);
  atomic_fetch_add(&tally->started, 1);
  *state = part;
  return 0;
}

static void stop_part(void *state) {
  struct part *part = state;
  send_hello(part, "stop");
  adit_loop_unwatch(adit_worker_loop(part->worker), &part->watch, NULL);
  atomic_fetch_add(&part->tally->stopped, 1);
}

static void free_part(void *state) {
  struct part *part = state;
  atomic_fetch_add(&part->tally->freed, 1);
  free(part);
}

static const struct adit_application parts = {
    .name = "parts", .start = start_part, .socket = on_socket, .stop = stop_part, .free = free_part};

static void tally_open(struct tally *tally, int fail_at) {
  memset(tally, 0, sizeof *tally);
  tally->fail_at = fail_at;
  for (int i = 0; i < WORKERS; i++) {
    tally->wake[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(tally->wake[i] >= 0);
  }
}

static void tally_close(struct tally *tally) {
  for (int i = 0; i < WORKERS; i++) close(tally->wake[i]);
}

static void test_start_that_fails_leaves_nothing(void **state) {
  (void)state;
  for (int fail_at = 0; fail_at < WORKERS; fail_at++) {
    struct bench bench;
    struct tally tally;
    tally_open(&tally, fail_at);
    bench_open(&bench, &parts, &tally);
    assert_int_equal(adit_runtime_start(bench.runtime), -ENOLINK);
    assert_int_equal(tally.started, fail_at);
    assert_int_equal(tally.stopped, fail_at);
    assert_int_equal(tally.freed, fail_at);
    assert_int_equal(adit_runtime_join(bench.runtime), -ENOLINK);
    bench_close(&bench);
    tally_close(&tally);
  }
}

static void expect_hello(int fd, const char *text) {
  uint8_t packet[2000];
  assert_true(becomes_readable(fd));
  ssize_t got = recv(fd, packet, sizeof packet, 0);
  if (got != (ssize_t)(28 + strlen(text)) || memcmp(packet + 28, text, strlen(text)) != 0)
    fail_msg("%zd bytes, expected a datagram \"%s\"", got, text);
}

struct question {
  struct adit_worker *worker;
  unsigned index;
  pthread_t thread;
};

static void answer_question(void *user) {
  struct question *question = user;
  question->index = adit_worker_index(question->worker);
  question->thread = pthread_self();
}

/* Socket event, timer, deferred work and the stop: what each makes the stack send goes out in its own turn. */
static void test_what_an_application_gets(void **state) {
  (void)state;
  struct bench bench;
  struct tally tally;
  tally_open(&tally, -1);
  bench_open(&bench, &parts, &tally);
  assert_int_equal(adit_runtime_start(bench.runtime), 0);
  for (unsigned i = 0; i < WORKERS; i++) {
    uint64_t one = 1;
    assert_int_equal(write(tally.wake[i], &one, sizeof one), sizeof one);
    expect_hello(bench.far[i], "socket");
    expect_hello(bench.far[i], "timer");
    expect_hello(bench.far[i], "work");
    struct question question = {.worker = adit_runtime_worker(bench.runtime, i), .index = 77};
    question.thread = pthread_self();
    assert_int_equal(adit_worker_call(question.worker, answer_question, &question), 0);
    assert_int_equal(question.index, i);
    assert_false(pthread_equal(question.thread, pthread_self()));
  }
  adit_runtime_stop(bench.runtime);
  assert_int_equal(adit_runtime_join(bench.runtime), 0);
  for (int i = 0; i < WORKERS; i++) expect_hello(bench.far[i], "stop");
  struct question late = {.worker = adit_runtime_worker(bench.runtime, 0)};
  assert_int_equal(adit_worker_call(late.worker, answer_question, &late), -ESHUTDOWN);
  assert_int_equal(tally.stopped, WORKERS);
  assert_int_equal(tally.freed, WORKERS);
  bench_close(&bench);
  tally_close(&tally);
}

/* A far side that reads nothing: writes find the socket full, are counted, and the worker goes on. */
static void test_full_device_loses_packets(void **state) {
  (void)state;
  struct bench bench;
  bench_open(&bench, &services, NULL);
  assert_int_equal(adit_runtime_start(bench.runtime), 0);
  uint8_t packet[1500];
  uint8_t data[1400] = {0};
  size_t size = support_udp4(packet, CLIENT, SERVER, 5000, 7, data, sizeof data);
  struct adit_stats stats;
  for (int i = 0; i < 20000; i++) {
    assert_int_equal(send(bench.far[0], packet, size, 0), (ssize_t)size);
    adit_runtime_stats(bench.runtime, &stats);
    if (stats.write_full >= 10) break;
  }
  assert_true(stats.write_full >= 10);
  assert_int_equal(stats.write_errors, 0);
  while (recv(bench.far[0], packet, sizeof packet, MSG_DONTWAIT) > 0) continue;
  check_ping(bench.far[1]);
  adit_runtime_stop(bench.runtime);
  assert_int_equal(adit_runtime_join(bench.runtime), 0);
  bench_close(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_two_stacks_in_two_threads),  cmocka_unit_test(test_start_and_stop_a_thousand_times),
      cmocka_unit_test(test_device_that_ends_stops_all), cmocka_unit_test(test_start_that_fails_leaves_nothing),
      cmocka_unit_test(test_what_an_application_gets),   cmocka_unit_test(test_full_device_loses_packets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
