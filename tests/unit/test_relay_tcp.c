/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Relayed connections: a client that speaks packets to a stack, the relay, and real sockets of this test as the
 * outside.
 *
 * The test is the worker: it turns the loop by hand, so that everything happens in its own thread and in order. It runs
 * in a network namespace of its own, whose lo has SUPPORT_KERNEL4 and SUPPORT_KERNEL6 and no route to anywhere else.
 *
 * Long, because the cases share one world and its state builders, and each is short.
 */
#include "relay/state.h"
#include "support_client.h"
#include "support_packet.h"
#include "support_process.h"
#include "support_tun.h"
#include "support_turn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define CLIENT6 "fdad:3::11"
#define FAR "203.0.113.7" /* what the client wants when a proxy is asked */
#define MILLISECOND UINT64_C(1000000)
#define BYTES(text) text, sizeof text - 1

enum { TURN_MS = 5, TURNS = 2000, PIECE = 64 * 1024 };

struct world {
  struct support_lab lab; /* first: what the stack's callbacks get */
  struct adit_relay relay;
  struct adit_egress egress; /* of `options`, which may be changed */
  struct adit_relay_options options;
  struct adit_log log;
  int listener; /* on SUPPORT_KERNEL4, the proxy or the far end */
  uint16_t port;
  unsigned fds;             /* open before */
  struct support_said said; /* warnings */
};

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static void on_syn(void *user, struct adit_flow *flow) {
  adit_tcp_syn(&((struct world *)user)->relay, flow);
}

static void turn(struct world *world, struct support_client *client) {
  struct adit_loop *loop = world->relay.loop;
  support_turn_events(loop, adit_loop_now(loop) + TURN_MS * MILLISECOND);
  adit_loop_fire(loop);
  if (client)
    support_client_run(client);
  else
    support_lab_flush(&world->lab);
  adit_loop_work(loop);
  adit_loop_reap(loop);
}

/* Turn until something is so; it has to become so within ten seconds. `client` may be NULL. */
#define UNTIL(world, client, condition)                                                                                \
  for (unsigned turns_ = 0; !(condition); turns_++) {                                                                  \
    if (turns_ == TURNS) fail_msg("waited in vain for: %s", #condition);                                               \
    turn(world, client);                                                                                               \
  }

static void turns(struct world *world, struct support_client *client, unsigned count) {
  while (count-- > 0) turn(world, client);
}

static int listen_on(int family, uint16_t *port) {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } address;
  socklen_t length = sizeof address;
  int fd = support_kernel_socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, &address.any, &length), 0);
  *port = ntohs(family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
  return fd;
}

static int open_world(void **state) {
  static const struct adit_stack_events events = {.syn = on_syn};
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  world->fds = support_open_fds();
  support_lab_open(&world->lab, &events, NULL);
  world->said.level = ADIT_LOG_WARNING;
  world->log = support_said_log(&world->said);
  world->egress = (struct adit_egress){.options = &world->options, .relay = &world->relay, .references = 1};
  world->relay = (struct adit_relay){.egress = &world->egress,
                                     .egresses = &world->egress,
                                     .options = &world->options,
                                     .stack = world->lab.stack,
                                     .log = &world->log};
  assert_int_equal(adit_loop_new(&world->relay.loop), 0);
  world->listener = listen_on(AF_INET, &world->port);
  *state = world;
  return 0;
}

static int close_world(void **state) {
  struct world *world = *state;
  adit_tcp_stop(&world->relay);
  adit_trial_stop(&world->relay);
  assert_int_equal(world->relay.session_count, 0);
  assert_int_equal(world->egress.references, 1);
  support_lab_flush(&world->lab);
  adit_loop_reap(world->relay.loop);
  support_lab_close(&world->lab);
  adit_loop_free(world->relay.loop);
  close(world->listener);
  assert_int_equal(support_open_fds(), world->fds);
  free(world);
  return 0;
}

/* The listener is now a proxy. */
static void through(struct world *world, enum adit_upstream_kind kind) {
  struct adit_upstream *upstream = &world->options.upstream;
  upstream->kind = kind;
  strcpy(upstream->host, SUPPORT_KERNEL4);
  upstream->port = world->port;
  assert_int_equal(adit_ip_parse(SUPPORT_KERNEL4, &upstream->address.ip), 0);
  upstream->address.port = world->port;
}

/* ---- the two ends ------------------------------------------------------------------------------------------------ */

static struct support_client client_to(struct world *world, const char *server, uint16_t port) {
  static uint16_t next_port = 40000;
  return (struct support_client){.lab = &world->lab,
                                 .address = strchr(server, ':') ? CLIENT6 : CLIENT4,
                                 .server = server,
                                 .port = next_port++,
                                 .server_port = port};
}

static int accept_from(struct world *world, struct support_client *client, int listener) {
  int fd;
  UNTIL(world, client, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
  return fd;
}

/* The outside reads `length` bytes, and turns until they are there. */
static void hear(struct world *world, struct support_client *client, int fd, void *data, size_t length) {
  size_t got = 0;
  for (unsigned idle = 0; got < length;) {
    ssize_t more = recv(fd, (char *)data + got, length - got, MSG_DONTWAIT);
    if (more == 0) fail_msg("the connection ended after %zu of %zu bytes", got, length);
    if (more > 0) got += (size_t)more;
    idle = more > 0 ? 0 : idle + 1;
    if (idle == TURNS) fail_msg("waited in vain after %zu of %zu bytes", got, length);
    if (more < 0) turn(world, client);
  }
}

static void hear_exactly(struct world *world, struct support_client *client, int fd, const char *text, size_t length) {
  char data[2048];
  assert_true(length < sizeof data);
  hear(world, client, fd, data, length);
  assert_memory_equal(data, text, length);
  assert_int_equal(recv(fd, data, 1, MSG_DONTWAIT), -1); /* and no more */
  assert_int_equal(errno, EAGAIN);
}

static void say(int fd, const char *text, size_t length) {
  assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

static bool has_ended(int fd, int expected_error) {
  char byte;
  ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return false;
  if (expected_error == 0)
    assert_int_equal(got, 0);
  else if (got >= 0 || errno != expected_error)
    fail_msg("recv: %zd, %s", got, got < 0 ? strerror(errno) : "");
  return true;
}

/* Ended, no matter how: who closes with bytes unread resets. */
static bool is_over(int fd) {
  char byte;
  ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN);
}

static void reset(int fd) {
  const struct linger at_once = {.l_onoff = 1};
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(fd);
}

static void check_text(const struct support_client *client, const char *text) {
  size_t length = strlen(text);
  if (client->length != length || (length > 0 && memcmp(client->data, text, length) != 0))
    fail_msg("the client has \"%.*s\", expected \"%s\"", (int)client->length, (const char *)client->data, text);
}

/* A connected pair: directly to the listener. */
static int join(struct world *world, struct support_client *client) {
  *client = client_to(world, SUPPORT_KERNEL4, world->port);
  support_client_open(client);
  int fd = accept_from(world, client, world->listener);
  UNTIL(world, client, client->established);
  return fd;
}

/*
 * What the client sees when it is refused: 'R' for a reset, 'I' for ICMP with its type and code in `*what`, '-' for
 * nothing within `patience` turns.
 */
static char refusal(struct world *world, const struct support_client *client, unsigned patience, unsigned *what) {
  while (!world->lab.first && patience-- > 0) turn(world, NULL);
  struct support_out *out = support_lab_take(&world->lab);
  if (!out) return '-';
  bool ipv6 = out->bytes[0] >> 4 == 6;
  size_t ip = ipv6 ? 40 : 20;
  uint8_t protocol = out->bytes[ipv6 ? 6 : 9];
  char seen = protocol == IPPROTO_TCP && (out->bytes[ip + 13] & SUPPORT_RST) ? 'R' : '?';
  if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
    seen = 'I';
    *what = out->bytes[ip] * 256u + out->bytes[ip + 1];
    assert_int_equal(support_get16(out->bytes + 2 * ip + 8), client->port); /* of the packet that it quotes */
  }
  free(out);
  assert_null(world->lab.first);
  return seen;
}

/* ---- direct ------------------------------------------------------------------------------------------------------ */

static void exchange(struct world *world, const char *server, int listener, uint16_t port) {
  struct support_client client = client_to(world, server, port);
  support_client_open(&client);
  assert_false(client.established); /* not before the outside has answered */
  int fd = accept_from(world, &client, listener);
  UNTIL(world, &client, client.established);
  assert_int_equal(support_client_send(&client, "question", 8), 8);
  hear_exactly(world, &client, fd, BYTES("question"));
  say(fd, BYTES("answer"));
  UNTIL(world, &client, client.length == 6);
  check_text(&client, "answer");
  assert_int_equal(world->relay.stats.bytes_up, 8);
  assert_int_equal(world->relay.stats.bytes_down, 6);

  support_client_fin(&client); /* the client ends first, and still hears */
  UNTIL(world, &client, has_ended(fd, 0));
  assert_int_equal(world->relay.session_count, 1);
  say(fd, BYTES(", late"));
  UNTIL(world, &client, client.length == 12);
  check_text(&client, "answer, late");
  assert_false(client.peer_fin);
  close(fd);
  UNTIL(world, &client, client.peer_fin);
  assert_false(client.reset);
  assert_int_equal(world->relay.session_count, 0);
  support_client_free(&client);
}

static void test_client_ends_first(void **state) {
  struct world *world = *state;
  exchange(world, SUPPORT_KERNEL4, world->listener, world->port);
}

static void test_over_ipv6(void **state) {
  struct world *world = *state;
  uint16_t port;
  int listener = listen_on(AF_INET6, &port);
  exchange(world, SUPPORT_KERNEL6, listener, port);
  close(listener);
}

static void test_outside_ends_first(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  say(fd, BYTES("all"));
  shutdown(fd, SHUT_WR);
  UNTIL(world, &client, client.peer_fin);
  check_text(&client, "all");
  assert_int_equal(world->relay.session_count, 1);
  assert_int_equal(support_client_send(&client, "thanks", 6), 6);
  hear_exactly(world, &client, fd, BYTES("thanks"));
  support_client_fin(&client);
  UNTIL(world, &client, has_ended(fd, 0));
  assert_int_equal(world->relay.session_count, 0);
  assert_false(client.reset);
  close(fd);
  support_client_free(&client);
}

static void test_data_with_the_end(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  say(fd, BYTES("last words"));
  close(fd);
  UNTIL(world, &client, client.peer_fin);
  check_text(&client, "last words");
  assert_false(client.reset);
  support_client_fin(&client);
  UNTIL(world, &client, world->relay.session_count == 0);
  support_client_free(&client);
}

static uint8_t pattern(size_t at) {
  return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

/* What goes the other way, so that neither can be taken for the other. */
static uint8_t inverse(size_t at) {
  return (uint8_t)(255 - pattern(at));
}

/* Much in both directions at once, through windows and buffers of which neither holds all. */
static void test_much_both_ways(void **state) {
  struct world *world = *state;
  enum { MUCH = 24 * 1024 * 1024 };
  struct support_client client;
  int fd = join(world, &client);
  uint8_t *up = malloc(PIECE);
  uint8_t *down = malloc(PIECE);
  assert_non_null(up);
  assert_non_null(down);
  size_t sent = 0, heard = 0, said = 0;
  for (unsigned idle = 0; heard < MUCH || client.length < MUCH;) {
    size_t before = sent + heard + said + client.length;
    for (size_t i = 0; i < PIECE; i++) up[i] = pattern(sent + i);
    if (sent < MUCH) sent += support_client_send(&client, up, MUCH - sent < PIECE ? MUCH - sent : PIECE);
    for (size_t i = 0; i < PIECE; i++) down[i] = inverse(said + i);
    ssize_t moved = said < MUCH ? send(fd, down, MUCH - said < PIECE ? MUCH - said : PIECE, MSG_NOSIGNAL) : 0;
    if (moved > 0) said += (size_t)moved;
    turn(world, &client);
    while ((moved = recv(fd, up, PIECE, MSG_DONTWAIT)) > 0) {
      for (ssize_t i = 0; i < moved; i++)
        if (up[i] != pattern(heard + (size_t)i)) fail_msg("wrong byte %zu up", heard + (size_t)i);
      heard += (size_t)moved;
    }
    idle = before == sent + heard + said + client.length ? idle + 1 : 0;
    if (idle == TURNS) fail_msg("stuck: %zu sent, %zu heard, %zu said, %zu received", sent, heard, said, client.length);
  }
  for (size_t i = 0; i < MUCH; i++)
    if (client.data[i] != inverse(i)) fail_msg("wrong byte %zu down", i);
  assert_int_equal(heard, MUCH);
  assert_int_equal(client.length, MUCH);
  support_client_fin(&client);
  UNTIL(world, &client, has_ended(fd, 0));
  close(fd);
  UNTIL(world, &client, client.peer_fin);
  assert_int_equal(world->relay.session_count, 0);
  free(up);
  free(down);
  support_client_free(&client);
}

/* A server that reads nothing closes the client's window; then it reads, and nothing is lost. */
static void test_outside_that_takes_nothing(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  uint8_t *data = malloc(PIECE);
  assert_non_null(data);
  size_t sent = 0, heard = 0;
  for (unsigned still = 0; still < 20;) {
    for (size_t i = 0; i < PIECE; i++) data[i] = pattern(sent + i);
    size_t more = support_client_send(&client, data, PIECE);
    turn(world, &client);
    sent += more;
    still = more == 0 ? still + 1 : 0;
    assert_true(sent < 64 * 1024 * 1024);
  }
  assert_int_equal(client.window, 0);
  while (heard < sent) {
    hear(world, &client, fd, data, sent - heard < PIECE ? sent - heard : PIECE);
    size_t piece = sent - heard < PIECE ? sent - heard : PIECE;
    for (size_t i = 0; i < piece; i++)
      if (data[i] != pattern(heard + i)) fail_msg("wrong byte %zu", heard + i);
    heard += piece;
  }
  UNTIL(world, &client, client.window > 0);
  close(fd);
  UNTIL(world, &client, client.peer_fin);
  free(data);
  support_client_free(&client);
}

/* A client that acknowledges nothing stops the reads from the outside, at the bound of the stack. */
static void test_client_that_takes_nothing(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  client.deaf = true;
  static const char data[PIECE];
  size_t said = 0;
  uint64_t down = 0;
  for (unsigned still = 0; still < 20;) {
    ssize_t more;
    while ((more = send(fd, data, sizeof data, MSG_NOSIGNAL)) > 0) said += (size_t)more;
    turn(world, &client);
    still = world->relay.stats.bytes_down == down ? still + 1 : 0;
    down = world->relay.stats.bytes_down;
  }
  assert_true(said > down);
  assert_in_range(down, 1024 * 1024 - 64 * 1024, 1024 * 1024); /* the last bit of room is not filled with crumbs */
  assert_true(down > 0);
  /* It does not spin: with nothing to do, a turn lasts its time. */
  uint64_t before_ns = adit_loop_clock(world->relay.loop);
  turns(world, &client, 10);
  assert_true(adit_loop_clock(world->relay.loop) - before_ns >= 9 * TURN_MS * MILLISECOND);
  /* Nor when both sides of the socket have ended, which epoll goes on telling (EPOLLHUP). */
  client.deaf = false;
  support_client_fin(&client);
  client.deaf = true;
  shutdown(fd, SHUT_WR);
  turns(world, &client, 5);
  before_ns = adit_loop_clock(world->relay.loop);
  turns(world, &client, 10);
  assert_true(adit_loop_clock(world->relay.loop) - before_ns >= 9 * TURN_MS * MILLISECOND);
  assert_int_equal(world->relay.session_count, 1);
  support_client_reset(&client);
  UNTIL(world, &client, world->relay.session_count == 0);
  close(fd);
  support_client_free(&client);
}

/* ---- resets ------------------------------------------------------------------------------------------------------ */

static void test_outside_resets(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  say(fd, BYTES("half a mess"));
  turns(world, &client, 2);
  reset(fd);
  UNTIL(world, &client, client.reset);
  check_text(&client, "half a mess");
  assert_false(client.peer_fin); /* never a clean end */
  assert_int_equal(world->relay.session_count, 0);
  support_client_free(&client);
}

/* What came right before the reset, in the same moment, still reaches the client. */
static void test_data_before_the_reset(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  assert_int_equal(support_client_send(&client, "unread", 6), 6);
  turns(world, &client, 3);
  static char page[40000]; /* less than any window: what were still with the sender, its reset would throw away */
  memset(page, 'p', sizeof page);
  say(fd, page, sizeof page);
  int outstanding = -1;
  for (unsigned i = 0; i < 1000 && outstanding != 0; i++) {
    assert_int_equal(ioctl(fd, SIOCOUTQ, &outstanding), 0);
    if (outstanding != 0) usleep(1000);
  }
  assert_int_equal(outstanding, 0); /* the relay's socket has it, and has not been looked at since */
  close(fd);                        /* with bytes unread: the kernel sends a reset behind the page */
  UNTIL(world, &client, client.reset);
  assert_int_equal(client.length, sizeof page);
  assert_false(client.peer_fin);
  assert_int_equal(world->relay.session_count, 0);
  support_client_free(&client);
}

static void test_client_resets(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  support_client_reset(&client);
  UNTIL(world, &client, has_ended(fd, ECONNRESET));
  assert_int_equal(world->relay.session_count, 0);
  close(fd);
  support_client_free(&client);
}

static void test_client_resets_after_its_end(void **state) {
  struct world *world = *state;
  struct support_client client;
  int fd = join(world, &client);
  support_client_fin(&client);
  UNTIL(world, &client, has_ended(fd, 0));
  support_client_reset(&client);
  UNTIL(world, &client, world->relay.session_count == 0);
  UNTIL(world, &client, send(fd, "x", 1, MSG_NOSIGNAL) < 0);
  assert_true(errno == ECONNRESET || errno == EPIPE);
  close(fd);
  support_client_free(&client);
}

/* ---- not connected ----------------------------------------------------------------------------------------------- */

static void test_refused(void **state) {
  struct world *world = *state;
  struct support_client client = client_to(world, SUPPORT_KERNEL4, 1);
  support_client_open(&client);
  UNTIL(world, &client, client.reset);
  assert_false(client.established);
  assert_int_equal(world->relay.stats.connects, 1);
  assert_int_equal(world->relay.stats.connects_failed, 1);
  assert_int_equal(world->said.count, 0); /* nobody's fault */
}

static void test_unreachable(void **state) {
  struct world *world = *state;
  unsigned what = 0;
  struct support_client client = client_to(world, FAR, 80);
  support_client_open(&client);
  assert_int_equal(refusal(world, &client, 100, &what), 'I');
  assert_int_equal(what, 3 * 256 + 0); /* net unreachable */
  client = client_to(world, "2001:db8::7", 80);
  support_client_open(&client);
  assert_int_equal(refusal(world, &client, 100, &what), 'I');
  assert_int_equal(what, 1 * 256 + 0); /* no route */
  assert_int_equal(world->relay.session_count, 0);
}

static void test_reject(void **state) {
  struct world *world = *state;
  world->options.upstream.kind = ADIT_UPSTREAM_REJECT;
  struct support_client client = client_to(world, FAR, 80);
  support_client_open(&client);
  UNTIL(world, &client, client.reset);
  assert_int_equal(world->relay.session_count, 0);
}

/* A listener whose queue is full lets SYNs fall: nobody answers, and so nobody answers the client. */
static void test_silence(void **state) {
  struct world *world = *state;
  uint16_t port;
  unsigned what;
  int listener = listen_on(AF_INET, &port);
  int filler[8];
  assert_int_equal(listen(listener, 0), 0);
  adit_endpoint to = {{{0}, 0}, port};
  struct sockaddr_storage address;
  assert_int_equal(adit_ip_parse(SUPPORT_KERNEL4, &to.ip), 0);
  socklen_t length = adit_outside_sockaddr(to, &address);
  for (int i = 0; i < 8; i++) {
    filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(filler[i], (struct sockaddr *)&address, length);
  }
  world->options.connect_ms = 1500;
  struct support_client client = client_to(world, SUPPORT_KERNEL4, port);
  support_client_open(&client);
  assert_int_equal(refusal(world, &client, 20, &what), '-');
  assert_int_equal(world->relay.session_count, 1);
  UNTIL(world, NULL, world->relay.session_count == 0);
  assert_int_equal(refusal(world, &client, 20, &what), '-');
  assert_int_equal(world->relay.stats.connects_failed, 1);
  support_client_open(&client); /* its next SYN begins anew */
  assert_int_equal(world->relay.stats.connects, 2);
  assert_int_equal(world->relay.session_count, 1);
  for (int i = 0; i < 8; i++) close(filler[i]);
  close(listener);
}

static void test_too_many(void **state) {
  struct world *world = *state;
  struct support_client first;
  world->options.max_flows = 1;
  int fd = join(world, &first);
  struct support_client second = client_to(world, SUPPORT_KERNEL4, world->port);
  support_client_open(&second);
  assert_true(second.reset);
  assert_int_equal(world->relay.stats.flows_limited, 1);
  assert_non_null(strstr(world->said.last, "--max-flows"));
  assert_int_equal(support_client_send(&first, "still", 5), 5);
  hear_exactly(world, &first, fd, BYTES("still"));
  support_client_reset(&first);
  UNTIL(world, &first, world->relay.session_count == 0);
  close(fd);
  fd = join(world, &first); /* there is room again */
  close(fd);
  support_client_free(&first);
}

static void test_no_more_fds(void **state) {
  struct world *world = *state;
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  int next = dup(0);
  close(next);
  struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (unsigned i = 0; i < 10; i++) {
    struct support_client client = client_to(world, SUPPORT_KERNEL4, world->port);
    support_client_open(&client);
    assert_true(client.reset);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(world->relay.session_count, 0);
  assert_int_equal(world->said.count, ADIT_LOG_BURST); /* and not ten */
  assert_non_null(strstr(world->said.last, "ulimit -n"));
  struct support_client client;
  int fd = join(world, &client);
  close(fd);
  support_client_free(&client);
}

static int refuse_socket(void *user, int fd) {
  *(int *)user = fd;
  return -EPERM;
}

static void test_protect(void **state) {
  struct world *world = *state;
  int seen = -1;
  world->options.protect = refuse_socket;
  world->options.protect_user = &seen;
  struct support_client client = client_to(world, SUPPORT_KERNEL4, world->port);
  support_client_open(&client);
  UNTIL(world, &client, client.reset);
  assert_true(seen >= 0);
  assert_int_equal(world->relay.session_count, 0);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void test_idle(void **state) {
  struct world *world = *state;
  struct support_client client;
  world->options.idle_ms = 1000;
  int fd = join(world, &client);
  uint64_t begin_ns = adit_loop_clock(world->relay.loop);
  while (adit_loop_now(world->relay.loop) - begin_ns < 1200 * MILLISECOND) { /* longer, but never idle for so long */
    turns(world, &client, 10);
    assert_int_equal(support_client_send(&client, "x", 1), 1);
    assert_false(client.reset);
  }
  begin_ns = adit_loop_clock(world->relay.loop);
  UNTIL(world, &client, client.reset);
  assert_true(adit_loop_now(world->relay.loop) - begin_ns >= 900 * MILLISECOND);
  char bytes[1000];
  assert_true(recv(fd, bytes, sizeof bytes, 0) > 3);
  assert_true(has_ended(fd, ECONNRESET));
  assert_int_equal(world->relay.session_count, 0);
  close(fd);
  support_client_free(&client);
}

static void test_half_closed_for_too_long(void **state) {
  struct world *world = *state;
  struct support_client client;
  world->options.half_closed_ms = 100;
  int fd = join(world, &client);
  turns(world, &client, 30);
  assert_int_equal(world->relay.session_count, 1); /* not half closed yet */
  shutdown(fd, SHUT_WR);
  UNTIL(world, &client, client.peer_fin);
  UNTIL(world, &client, client.reset);
  assert_int_equal(world->relay.session_count, 0);
  close(fd);
  support_client_free(&client);
}

/* ---- SOCKS5 ------------------------------------------------------------------------------------------------------ */

#define HELLO "\x05\x01\x00"
#define REQUEST "\x05\x01\x00\x01\xcb\x00\x71\x07\x00\x50" /* FAR, port 80 */
#define METHOD "\x05\x00"
#define ASSOCIATE "\x05\x03\x00\x01\0\0\0\0\0\0"
#define GRANTED "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"

static struct support_client ask_far(struct world *world) {
  struct support_client client = client_to(world, FAR, 80);
  support_client_open(&client);
  return client;
}

/* The client may talk to the far end, of which the proxy has said the first words already. */
static void check_joined(struct world *world, struct support_client *client, int fd, const char *words) {
  UNTIL(world, client, client->established && client->length == strlen(words));
  check_text(client, words);
  assert_int_equal(support_client_send(client, "up", 2), 2);
  hear_exactly(world, client, fd, BYTES("up"));
  close(fd);
  UNTIL(world, client, client->peer_fin);
  support_client_fin(client);
  UNTIL(world, client, world->relay.session_count == 0);
  support_client_free(client);
}

static void test_socks5_at_once(void **state) {
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_SOCKS5);
  world->egress.manner = ADIT_SOCKS5_AT_ONCE;
  struct support_client client = ask_far(world);
  int fd = accept_from(world, &client, world->listener);
  hear_exactly(world, &client, fd, BYTES(HELLO REQUEST));
  turns(world, &client, 5);
  assert_false(client.established);
  support_client_open(&client); /* the SYN again: nothing begins twice */
  turns(world, &client, 2);
  assert_int_equal(world->relay.stats.connects, 1);
  assert_int_equal(accept(world->listener, NULL, NULL), -1);
  say(fd, BYTES(METHOD GRANTED "SSH-2.0"));
  check_joined(world, &client, fd, "SSH-2.0");
  assert_int_equal(world->egress.manner, ADIT_SOCKS5_AT_ONCE);
  assert_int_equal(world->said.count, 0);
}

static void test_socks5_one_byte_at_a_time(void **state) {
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_SOCKS5);
  world->egress.manner = ADIT_SOCKS5_AT_ONCE;
  struct support_client client = ask_far(world);
  int fd = accept_from(world, &client, world->listener);
  hear_exactly(world, &client, fd, BYTES(HELLO REQUEST));
  static const char all[] = METHOD GRANTED "hi";
  for (size_t i = 0; i < sizeof all - 1; i++) {
    assert_int_equal(client.established, i >= 12);
    say(fd, all + i, 1);
    turns(world, &client, 2);
  }
  check_joined(world, &client, fd, "hi");
}

static void serve_in_steps(struct world *world, struct support_client *client, int fd) {
  hear_exactly(world, client, fd, BYTES(HELLO));
  say(fd, BYTES(METHOD));
  hear_exactly(world, client, fd, BYTES(REQUEST));
  say(fd, BYTES(GRANTED));
  check_joined(world, client, fd, "");
}

static void serve_at_once(struct world *world, struct support_client *client, int fd) {
  hear_exactly(world, client, fd, BYTES(HELLO REQUEST));
  say(fd, BYTES(METHOD GRANTED));
  check_joined(world, client, fd, "");
}

/*
 * What is not known of a server is found out beside the clients: the first is served step by step and over one
 * connection, whatever becomes of the trial that follows.
 */
static void test_socks5_trial(void **state) {
  static const struct {
    const char *what;
    const char *answer;
    size_t length;
    bool closes;
    enum adit_socks5_manner manner;
  } rows[] = {
      {"granted", BYTES(METHOD GRANTED), false, ADIT_SOCKS5_AT_ONCE},
      {"a command it does not know", BYTES(METHOD "\x05\x07\x00\x01\0\0\0\0\0\0"), true, ADIT_SOCKS5_AT_ONCE},
      {"lost", BYTES(METHOD), false, ADIT_SOCKS5_IN_STEPS},
      {"closed", BYTES(METHOD), true, ADIT_SOCKS5_IN_STEPS},
      {"closed without a word", BYTES(""), true, ADIT_SOCKS5_IN_STEPS},
      {"out of step", BYTES("\x05\xff"), true, ADIT_SOCKS5_IN_STEPS},
  };
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_SOCKS5);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    world->egress.manner = ADIT_SOCKS5_UNKNOWN;
    world->options.connect_ms = 10000;
    struct support_client client = ask_far(world);
    int first = accept_from(world, &client, world->listener);
    hear_exactly(world, &client, first, BYTES(HELLO));
    say(first, BYTES(METHOD));
    hear_exactly(world, &client, first, BYTES(REQUEST));
    assert_int_equal(accept(world->listener, NULL, NULL), -1); /* so far there is but one connection */
    world->options.connect_ms = 300;                           /* for the trial */
    say(first, BYTES(GRANTED));
    check_joined(world, &client, first, "");

    int trial = accept_from(world, NULL, world->listener);
    hear_exactly(world, NULL, trial, BYTES(HELLO ASSOCIATE));
    client = ask_far(world); /* nobody waits for it, and there is no second one */
    serve_in_steps(world, &client, accept_from(world, &client, world->listener));
    assert_int_equal(accept(world->listener, NULL, NULL), -1);
    say(trial, rows[i].answer, rows[i].length);
    if (rows[i].closes) assert_int_equal(shutdown(trial, SHUT_WR), 0);
    UNTIL(world, NULL, world->egress.trial == NULL);
    if (world->egress.manner != rows[i].manner)
      fail_msg("%s: learned %u, expected %u", rows[i].what, world->egress.manner, rows[i].manner);
    UNTIL(world, NULL, is_over(trial));
    close(trial);

    client = ask_far(world); /* it is remembered */
    int next = accept_from(world, &client, world->listener);
    if (rows[i].manner == ADIT_SOCKS5_AT_ONCE)
      serve_at_once(world, &client, next);
    else
      serve_in_steps(world, &client, next);
    assert_int_equal(accept(world->listener, NULL, NULL), -1);
  }
  assert_int_equal(world->said.count, 0);
}

/* A server that stops to take all at once, perhaps since it is another one now: one client fails, the next does not. */
static void test_socks5_changes_its_manner(void **state) {
  struct world *world = *state;
  unsigned what = 0;
  world->options.connect_ms = 300;
  for (unsigned hangs = 0; hangs < 2; hangs++) {
    through(world, ADIT_UPSTREAM_SOCKS5);
    world->egress.manner = ADIT_SOCKS5_AT_ONCE;
    struct support_client client = ask_far(world);
    int fd = accept_from(world, &client, world->listener);
    hear_exactly(world, &client, fd, BYTES(HELLO REQUEST));
    say(fd, BYTES(METHOD));
    if (!hangs) close(fd);
    assert_int_equal(refusal(world, &client, 200, &what), 'I');
    if (hangs) close(fd);
    client = ask_far(world);
    serve_in_steps(world, &client, accept_from(world, &client, world->listener));
    close(accept_from(world, NULL, world->listener)); /* tried again */
    UNTIL(world, NULL, world->egress.trial == NULL);
    assert_int_equal(world->egress.manner, ADIT_SOCKS5_IN_STEPS);
  }
}

static void test_socks5_password(void **state) {
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_SOCKS5);
  world->options.upstream.has_credentials = true;
  strcpy(world->options.upstream.user, "us");
  strcpy(world->options.upstream.password, "pa");
  world->egress.manner = ADIT_SOCKS5_IN_STEPS;
  struct support_client client = ask_far(world);
  int fd = accept_from(world, &client, world->listener);
  hear_exactly(world, &client, fd, BYTES("\x05\x02\x00\x02"));
  say(fd, BYTES("\x05\x02"));
  hear_exactly(world, &client, fd, BYTES("\x01\x02us\x02pa"));
  say(fd, BYTES("\x01\x00"));
  hear_exactly(world, &client, fd, BYTES(REQUEST));
  say(fd, BYTES(GRANTED));
  check_joined(world, &client, fd, "");

  world->egress.manner = ADIT_SOCKS5_AT_ONCE;
  client = ask_far(world);
  fd = accept_from(world, &client, world->listener);
  hear_exactly(world, &client, fd, BYTES("\x05\x01\x02\x01\x02us\x02pa" REQUEST));
  say(fd, BYTES("\x05\x02\x01\x00" GRANTED));
  check_joined(world, &client, fd, "");

  unsigned what = 0;
  client = ask_far(world); /* and a wrong one */
  fd = accept_from(world, &client, world->listener);
  say(fd, BYTES("\x05\x02\x01\x01"));
  assert_int_equal(refusal(world, &client, 200, &what), 'I');
  assert_int_equal(what, 3 * 256 + 13);
  assert_non_null(strstr(world->said.last, "user and password were refused"));
  assert_null(strstr(world->said.last, "pa@"));
  close(fd);
}

/* Ways in which a proxy fails, and what the client sees of it. */
static const struct failure {
  const char *what;
  enum adit_upstream_kind kind;
  const char *answer;
  size_t length;
  char end;      /* after the answer: 'c' closes, 'r' resets, 'h' hangs */
  char seen;     /* by the client */
  unsigned icmp; /* type and code */
  const char *said;
} failures[] = {
    {"refused", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x05\x00\x01\0\0\0\0\0\0"), 'c', 'R', 0, NULL},
    {"host", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x04\x00\x01\0\0\0\0\0\0"), 'c', 'I', 0x0301, NULL},
    {"net", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x03\x00\x01\0\0\0\0\0\0"), 'c', 'I', 0x0300, NULL},
    {"rules", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x02\x00\x01\0\0\0\0\0\0"), 'c', 'I', 0x030d, NULL},
    {"ttl", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x06\x00\x01\0\0\0\0\0\0"), 'h', 'I', 0x0b00, NULL},
    {"a reply cut short", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD "\x05\x00\x00\x01\0"), 'c', 'I', 0x0301, "was closed"},
    {"a reset", ADIT_UPSTREAM_SOCKS5, BYTES("\x05"), 'r', 'I', 0x0301, "broke"},
    {"nothing", ADIT_UPSTREAM_SOCKS5, BYTES(""), 'c', 'I', 0x0301, "was closed before it had answered"},
    {"silence", ADIT_UPSTREAM_SOCKS5, BYTES(""), 'h', 'I', 0x0301, "says nothing within"},
    {"silence in the middle", ADIT_UPSTREAM_SOCKS5, BYTES(METHOD), 'h', 'I', 0x0301, "no answer to a request"},
    {"HTTP", ADIT_UPSTREAM_SOCKS5, BYTES("HTTP/1.1 400 Bad\r\n\r\n"), 'c', 'I', 0x0301, "is it http://"},
    {"garbage", ADIT_UPSTREAM_SOCKS5, BYTES("\x01\x02\x03"), 'h', 'I', 0x0301, "not SOCKS5"},
    {"no method", ADIT_UPSTREAM_SOCKS5, BYTES("\x05\xff"), 'c', 'I', 0x030d, "user and a password"},
    {"502", ADIT_UPSTREAM_HTTP, BYTES("HTTP/1.1 502 Bad Gateway\r\n\r\n<p>"), 'c', 'R', 0, NULL},
    {"504", ADIT_UPSTREAM_HTTP, BYTES("HTTP/1.1 504 x\r\n\r\n"), 'c', 'I', 0x0301, NULL},
    {"407", ADIT_UPSTREAM_HTTP, BYTES("HTTP/1.1 407 x\r\nA: b\r\n\r\n"), 'h', 'I', 0x030d,
     "407: the proxy wants a user"},
    {"HTTP cut short", ADIT_UPSTREAM_HTTP, BYTES("HTTP/1.1 200 OK\r\nA: b\r\n"), 'c', 'I', 0x0301, "was closed"},
    {"HTTP silence", ADIT_UPSTREAM_HTTP, BYTES("HTTP/1.1 200 OK\r\n"), 'h', 'I', 0x0301, "no answer to a request"},
    {"SOCKS", ADIT_UPSTREAM_HTTP, BYTES("\x05\xff"), 'c', 'I', 0x0301, "is it socks5://"},
};

static void test_failures(void **state) {
  struct world *world = *state;
  world->options.connect_ms = 700;
  for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
    const struct failure *row = &failures[i];
    int fds[4];
    unsigned count = 0;
    unsigned what = 0;
    char seen = '-';
    through(world, row->kind);
    world->egress.manner = ADIT_SOCKS5_AT_ONCE; /* as the answers are written */
    world->relay.upstream_limit = (struct adit_log_limit){0};
    world->said.count = 0;
    struct support_client client = ask_far(world);
    for (unsigned turns_left = TURNS; seen == '-' && turns_left > 0; turns_left--) {
      int fd = accept4(world->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        char request[1024];
        UNTIL(world, NULL, recv(fd, request, sizeof request, 0) > 0);
        (void)send(fd, row->answer, row->length, MSG_NOSIGNAL);
        if (row->end == 'c')
          close(fd);
        else if (row->end == 'r')
          reset(fd);
        else
          fds[count++] = fd;
        assert_true(count < 4);
      }
      seen = refusal(world, &client, 1, &what);
    }
    if (seen != row->seen || (seen == 'I' && what != row->icmp))
      fail_msg("%s: the client saw %c %04x, expected %c %04x", row->what, seen, what, row->seen, row->icmp);
    if (row->said && (world->said.count != 1 || !strstr(world->said.last, row->said)))
      fail_msg("%s: %u messages, \"%s\", expected \"%s\"", row->what, world->said.count, world->said.last, row->said);
    if (row->said) assert_non_null(strstr(world->said.last, SUPPORT_KERNEL4)); /* which upstream */
    if (!row->said && world->said.count) fail_msg("%s: said \"%s\"", row->what, world->said.last);
    assert_int_equal(world->relay.session_count, 0);
    while (count > 0) close(fds[--count]);
  }
}

static void test_proxy_is_absent(void **state) {
  struct world *world = *state;
  unsigned what = 0;
  through(world, ADIT_UPSTREAM_SOCKS5);
  world->options.upstream.address.port = 1;
  for (unsigned i = 0; i < 10; i++) {
    struct support_client client = ask_far(world);
    assert_int_equal(refusal(world, &client, 100, &what), 'I');
    assert_int_equal(what, 0x0301);
  }
  assert_int_equal(world->said.count, ADIT_LOG_BURST); /* and not ten */
  assert_non_null(strstr(world->said.last, "Connection refused"));
}

static void test_client_gives_up(void **state) {
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_SOCKS5);
  struct support_client client = ask_far(world);
  int fd = accept_from(world, &client, world->listener);
  support_client_reset(&client);
  UNTIL(world, &client, world->relay.session_count == 0);
  char request[64];
  while (recv(fd, request, sizeof request, MSG_DONTWAIT) > 0) {
  }
  UNTIL(world, &client, has_ended(fd, 0));
  close(fd);
}

static void test_stop_in_the_middle(void **state) {
  struct world *world = *state;
  struct support_client open;
  int joined = join(world, &open);
  through(world, ADIT_UPSTREAM_SOCKS5);
  struct support_client connecting = ask_far(world);
  int asked = accept_from(world, NULL, world->listener);
  (void)connecting;
  adit_tcp_stop(&world->relay);
  assert_int_equal(world->relay.session_count, 0);
  assert_true(has_ended(joined, ECONNRESET));
  close(joined);
  close(asked);
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static void test_http(void **state) {
  struct world *world = *state;
  through(world, ADIT_UPSTREAM_HTTP);
  world->options.upstream.has_credentials = true;
  strcpy(world->options.upstream.user, "Aladdin");
  strcpy(world->options.upstream.password, "open sesame");
  struct support_client client = ask_far(world);
  int fd = accept_from(world, &client, world->listener);
  hear_exactly(world, &client, fd,
               BYTES("CONNECT " FAR ":80 HTTP/1.1\r\nHost: " FAR ":80\r\n"
                     "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"));
  static const char answer[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
  for (size_t i = 0; i < sizeof answer - 1; i++) {
    say(fd, answer + i, 1);
    if (i % 5 == 0) turn(world, &client);
  }
  check_joined(world, &client, fd, "hello");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
  const struct CMUnitTest tests[] = {
      TEST(test_client_ends_first),
      TEST(test_over_ipv6),
      TEST(test_outside_ends_first),
      TEST(test_data_with_the_end),
      TEST(test_much_both_ways),
      TEST(test_outside_that_takes_nothing),
      TEST(test_client_that_takes_nothing),
      TEST(test_outside_resets),
      TEST(test_data_before_the_reset),
      TEST(test_client_resets),
      TEST(test_client_resets_after_its_end),
      TEST(test_refused),
      TEST(test_unreachable),
      TEST(test_reject),
      TEST(test_silence),
      TEST(test_too_many),
      TEST(test_no_more_fds),
      TEST(test_protect),
      TEST(test_idle),
      TEST(test_half_closed_for_too_long),
      TEST(test_socks5_at_once),
      TEST(test_socks5_one_byte_at_a_time),
      TEST(test_socks5_trial),
      TEST(test_socks5_changes_its_manner),
      TEST(test_socks5_password),
      TEST(test_failures),
      TEST(test_proxy_is_absent),
      TEST(test_client_gives_up),
      TEST(test_stop_in_the_middle),
      TEST(test_http),
  };
  int skipped = support_tun_namespace("test_relay_tcp");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
