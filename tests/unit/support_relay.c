/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A relay without a worker, for tests of datagrams and echo.
 */
#include "support_relay.h"
#include "support_ip.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MTU = 1500, TURN_NS = 5000000, QUIET_TURNS = 10 };

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t whole[SUPPORT_PACKET_MAX];

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  adit_udp_datagram(&((struct support_relay *)user)->relay, datagram);
}

static void on_echo(void *user, const struct adit_echo *echo) {
  adit_ping_echo(&((struct support_relay *)user)->relay, echo);
}

void support_relay_open(struct support_relay *world) {
  static const struct adit_stack_events events = {.datagram = on_datagram, .echo = on_echo};
  world->fds = support_open_fds();
  support_lab_open(&world->lab, &events, NULL);
  support_lab_pass(&world->lab, UINT64_C(1000000000)); /* errors may be sent */
  world->said.level = ADIT_LOG_NOTICE;
  world->log = support_said_log(&world->said);
  world->egress = (struct adit_egress){.options = &world->options, .relay = &world->relay, .references = 1};
  world->relay = (struct adit_relay){.egress = &world->egress,
                                     .egresses = &world->egress,
                                     .options = &world->options,
                                     .stack = world->lab.stack,
                                     .log = &world->log};
  assert_int_equal(adit_loop_new(&world->relay.loop), 0);
}

void support_relay_close(struct support_relay *world) {
  adit_trial_stop(&world->relay);
  assert_int_equal(world->egress.references, 1);
  support_lab_flush(&world->lab);
  adit_loop_reap(world->relay.loop);
  assert_int_equal(adit_timers_next(adit_loop_timers(world->relay.loop)), UINT64_MAX);
  support_lab_close(&world->lab);
  adit_loop_free(world->relay.loop);
  assert_int_equal(support_open_fds(), world->fds);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

void support_relay_flush(struct support_relay *world) {
  support_lab_flush(&world->lab);
  while (adit_loop_work(world->relay.loop)) support_lab_flush(&world->lab);
}

void support_relay_turn(struct support_relay *world) {
  struct adit_loop *loop = world->relay.loop;
  support_turn_events(loop, adit_loop_clock(loop) + TURN_NS);
  support_lab_flush(&world->lab);
  adit_loop_fire(loop);
  support_relay_flush(world);
  adit_loop_reap(loop);
}

void support_relay_turns(struct support_relay *world, unsigned count) {
  while (count-- > 0) support_relay_turn(world);
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

void support_relay_give(struct support_relay *world, uint16_t from_port, const char *to, uint16_t port, uint8_t ttl,
                        const void *data, size_t length) {
  static uint32_t id;
  bool v6 = strchr(to, ':') != NULL;
  size_t bytes = v6 ? support_udp6(packet, SUPPORT_CLIENT6, to, from_port, port, data, length)
                    : support_udp4(packet, SUPPORT_CLIENT4, to, from_port, port, data, length);
  packet[v6 ? 7 : 8] = ttl;
  support_seal(packet, bytes);
  support_fragment(packet, bytes, MTU, ++id, support_ip_give, &world->lab);
}

void support_relay_send(struct support_relay *world, uint16_t from_port, const char *to, uint16_t port,
                        const void *data, size_t length) {
  support_relay_give(world, from_port, to, port, 64, data, length);
  support_relay_flush(world);
}

void support_relay_take(struct support_relay *world, struct support_answer *answer) {
  SUPPORT_UNTIL(world, world->lab.first != NULL);
  size_t length = support_ip_collect(&world->lab, MTU, whole, NULL);
  unsigned version = whole[0] >> 4;
  bool v6 = version == 6;
  *answer = (struct support_answer){.length = length,
                                    .header = v6 ? 40 : 20,
                                    .protocol = whole[v6 ? 6 : 9],
                                    .ttl = whole[v6 ? 7 : 8],
                                    .from = {adit_ip_from_bytes(version, whole + (v6 ? 8 : 12)), 0},
                                    .to = {adit_ip_from_bytes(version, whole + (v6 ? 24 : 16)), 0}};
  answer->data = whole + answer->header;
  if (answer->protocol == IPPROTO_UDP) {
    answer->from.port = support_get16(answer->data);
    answer->to.port = support_get16(answer->data + 2);
    answer->data += 8;
  }
  answer->data_length = length - (size_t)(answer->data - whole);
}

static void check_endpoint(adit_endpoint found, const char *text, uint16_t port) {
  char is[ADIT_ADDRESS_TEXT];
  char expected[ADIT_ADDRESS_TEXT];
  adit_endpoint_format(support_endpoint(text, port), expected);
  assert_string_equal(adit_endpoint_format(found, is), expected);
}

void support_relay_expect(struct support_relay *world, const char *from, uint16_t from_port, uint16_t to_port,
                          const void *data, size_t length) {
  struct support_answer answer;
  support_relay_take(world, &answer);
  assert_int_equal(answer.protocol, IPPROTO_UDP);
  check_endpoint(answer.from, from, from_port);
  check_endpoint(answer.to, strchr(from, ':') ? SUPPORT_CLIENT6 : SUPPORT_CLIENT4, to_port);
  assert_int_equal(answer.data_length, length);
  assert_memory_equal(answer.data, data, length);
}

void support_relay_expect_error(struct support_relay *world, const char *reporter, uint8_t type4, uint8_t code4,
                                uint8_t type6, uint8_t code6, uint16_t from_port, const char *to, uint16_t port) {
  struct support_answer answer;
  bool v6 = strchr(to, ':') != NULL;
  support_relay_take(world, &answer);
  assert_int_equal(answer.protocol, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  check_endpoint(answer.from, reporter, 0);
  check_endpoint(answer.to, v6 ? SUPPORT_CLIENT6 : SUPPORT_CLIENT4, 0);
  assert_int_equal(answer.data[0], v6 ? type6 : type4);
  assert_int_equal(answer.data[1], v6 ? code6 : code4);
  const uint8_t *quote = answer.data + 8;
  assert_true(answer.data_length >= 8 + answer.header + 8);
  assert_int_equal(quote[0] >> 4, v6 ? 6 : 4);
  assert_int_equal(quote[v6 ? 6 : 9], IPPROTO_UDP);
  adit_endpoint source = {adit_ip_from_bytes(v6 ? 6 : 4, quote + (v6 ? 8 : 12)), support_get16(quote + answer.header)};
  adit_endpoint target = {adit_ip_from_bytes(v6 ? 6 : 4, quote + (v6 ? 24 : 16)),
                          support_get16(quote + answer.header + 2)};
  check_endpoint(source, v6 ? SUPPORT_CLIENT6 : SUPPORT_CLIENT4, from_port);
  check_endpoint(target, to, port);
}

void support_relay_expect_silence(struct support_relay *world) {
  support_relay_turns(world, QUIET_TURNS);
  if (world->lab.first) {
    struct support_answer answer;
    support_relay_take(world, &answer);
    fail_msg("a packet of protocol %u and %zu bytes came, expected none", answer.protocol, answer.length);
  }
}

/* ---- the outside ------------------------------------------------------------------------------------------------- */

adit_endpoint support_endpoint(const char *text, uint16_t port) {
  adit_endpoint endpoint = {.port = port};
  assert_int_equal(adit_ip_parse(text, &endpoint.ip), 0);
  return endpoint;
}

int support_relay_outside(const char *address, int type, uint16_t *port) {
  struct sockaddr_storage at = {0};
  socklen_t length = adit_outside_sockaddr(support_endpoint(address, port ? *port : 0), &at);
  int fd = socket(at.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  int bytes = 4 << 20;
  assert_true(fd >= 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (bind(fd, (struct sockaddr *)&at, length) < 0) fail_msg("bind %s: %s", address, strerror(errno));
  length = sizeof at;
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
  if (port) *port = adit_outside_endpoint(&at).port;
  if (type == SOCK_STREAM) assert_int_equal(listen(fd, 64), 0);
  return fd;
}

size_t support_relay_hear(struct support_relay *world, int fd, void *data, size_t size, adit_endpoint *from) {
  struct sockaddr_storage source;
  socklen_t length = sizeof source;
  ssize_t got;
  SUPPORT_UNTIL(world, (got = recvfrom(fd, data, size, MSG_DONTWAIT, (struct sockaddr *)&source, &length)) >= 0);
  if (from) *from = adit_outside_endpoint(&source);
  return (size_t)got;
}

void support_relay_say(int fd, adit_endpoint to, const void *data, size_t length) {
  struct sockaddr_storage target;
  socklen_t size = adit_outside_sockaddr(to, &target);
  ssize_t sent = sendto(fd, data, length, 0, (struct sockaddr *)&target, size);
  if (sent != (ssize_t)length) fail_msg("sent %zd of %zu bytes: %s", sent, length, strerror(errno));
}
