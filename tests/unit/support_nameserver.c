/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A relay with --dns forward and without a worker, and the nameserver that it asks.
 */
#include "support_nameserver.h"
#include "support_packet.h"
#include "support_process.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MILLISECOND UINT64_C(1000000)

enum { TURN_MS = 2 };

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static void on_syn(void *user, struct adit_flow *flow) {
  adit_dns_syn(&((struct support_nameserver *)user)->relay, flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  adit_dns_datagram(&((struct support_nameserver *)user)->relay, datagram);
}

void support_nameserver_turn(struct support_nameserver *world) {
  struct adit_loop *loop = world->relay.loop;
  support_turn_events(loop, adit_loop_now(loop) + TURN_MS * MILLISECOND);
  adit_loop_fire(loop);
  support_lab_flush(&world->lab);
  while (adit_loop_work(loop)) support_lab_flush(&world->lab);
  adit_loop_reap(loop);
}

void support_nameserver_turns(struct support_nameserver *world, unsigned count) {
  while (count-- > 0) support_nameserver_turn(world);
}

void support_nameserver_listen(struct support_nameserver *world) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(world->port)};
  socklen_t length = sizeof address;
  static const int on = 1;
  world->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(world->listener >= 0);
  assert_int_equal(setsockopt(world->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  assert_int_equal(bind(world->listener, (struct sockaddr *)&address, length), 0);
  assert_int_equal(listen(world->listener, 64), 0);
  assert_int_equal(getsockname(world->listener, (struct sockaddr *)&address, &length), 0);
  world->port = ntohs(address.sin_port);
}

struct support_nameserver *support_nameserver_open(void) {
  static const struct adit_stack_events events = {.syn = on_syn, .datagram = on_datagram};
  struct support_nameserver *world = calloc(1, sizeof *world);
  assert_non_null(world);
  world->fds = support_open_fds();
  world->server = -1;
  support_lab_open(&world->lab, &events, NULL);
  world->said.level = ADIT_LOG_WARNING;
  world->log = support_said_log(&world->said);
  support_nameserver_listen(world);
  static const uint8_t here[4] = {127, 0, 0, 1};
  world->options.dns = ADIT_RELAY_DNS_FORWARD;
  world->options.dns_server = (adit_endpoint){adit_ip_from_bytes(4, here), world->port};
  world->egress = (struct adit_egress){.options = &world->options, .relay = &world->relay, .references = 1};
  world->relay = (struct adit_relay){.egress = &world->egress,
                                     .egresses = &world->egress,
                                     .options = &world->options,
                                     .stack = world->lab.stack,
                                     .log = &world->log};
  assert_int_equal(adit_loop_new(&world->relay.loop), 0);
  return world;
}

void support_nameserver_close(struct support_nameserver *world) {
  support_lab_flush(&world->lab);
  adit_loop_reap(world->relay.loop);
  assert_int_equal(adit_timers_next(adit_loop_timers(world->relay.loop)), UINT64_MAX);
  support_lab_close(&world->lab);
  adit_loop_free(world->relay.loop);
  if (world->server >= 0) close(world->server);
  if (world->listener >= 0) close(world->listener);
  assert_int_equal(support_open_fds(), world->fds);
  free(world);
}

/* ---- the nameserver ---------------------------------------------------------------------------------------------- */

bool support_nameserver_accepts(struct support_nameserver *world) {
  if (world->server < 0) world->server = accept4(world->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return world->server >= 0;
}

void support_nameserver_accept(struct support_nameserver *world) {
  SUPPORT_NAMESERVER_UNTIL(world, support_nameserver_accepts(world));
  world->accepted++;
  world->have = 0;
}

/* `how`: SHUT_RDWR = FIN, -1 = reset. */
void support_nameserver_hang_up(struct support_nameserver *world, int how) {
  if (how < 0) {
    const struct linger now = {1, 0};
    assert_int_equal(setsockopt(world->server, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  }
  close(world->server);
  world->server = -1;
}

/* Whether a whole question is in `in`. */
bool support_nameserver_has(struct support_nameserver *world) {
  ssize_t got = recv(world->server, world->in + world->have, sizeof world->in - world->have, 0);
  if (got > 0) world->have += (size_t)got;
  return world->have >= 2 && world->have >= 2u + support_get16(world->in);
}

void support_nameserver_hear(struct support_nameserver *world, struct support_message *question) {
  SUPPORT_NAMESERVER_UNTIL(world, support_nameserver_has(world));
  question->length = support_get16(world->in);
  memcpy(question->bytes, world->in + 2, question->length);
  world->have -= 2 + question->length;
  memmove(world->in, world->in + 2 + question->length, world->have);
}

/* Nothing more is asked. */
void support_nameserver_hear_nothing(struct support_nameserver *world) {
  support_nameserver_turns(world, 10);
  assert_false(support_nameserver_has(world));
}

void support_nameserver_write(struct support_nameserver *world, const void *bytes, size_t length) {
  const uint8_t *at = bytes;
  while (length > 0) {
    ssize_t sent = send(world->server, at, length, MSG_NOSIGNAL);
    if (sent < 0) {
      assert_int_equal(errno, EAGAIN);
      support_nameserver_turn(world);
      continue;
    }
    at += sent;
    length -= (size_t)sent;
  }
}

/* The answer to a question, with some addresses, the first of which tells `mark`. With its length before it. */
void support_answer_make(const struct support_message *question, unsigned records, uint8_t mark,
                         struct support_message *answer) {
  struct adit_dns_question asked;
  assert_int_equal(adit_dns_read(question->bytes, question->length, &asked), ADIT_DNS_ASKS);
  memcpy(answer->bytes + 2, question->bytes, asked.end);
  uint8_t *header = answer->bytes + 2;
  header[2] |= 0x80;
  header[3] = 0x80;
  memset(header + 6, 0, 6);
  support_put16(header + 6, records);
  size_t at = 2 + asked.end;
  for (unsigned i = 0; i < records; i++) {
    const uint8_t record[16] = {
        0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, (uint8_t)(i >> 8), (uint8_t)(i + mark)};
    memcpy(answer->bytes + at, record, sizeof record);
    at += sizeof record;
  }
  support_put16(answer->bytes, (uint32_t)(at - 2));
  answer->length = at;
}

void support_nameserver_answer(struct support_nameserver *world, const struct support_message *question,
                               unsigned records, uint8_t mark) {
  static struct support_message answer;
  support_answer_make(question, records, mark, &answer);
  support_nameserver_write(world, answer.bytes, answer.length);
}

/* ---- questions, time ---- */

size_t support_question_make(uint8_t *bytes, unsigned id, const char *name, int edns) {
  memset(bytes, 0, 12);
  support_put16(bytes, id);
  bytes[2] = 1;
  bytes[5] = 1;
  size_t at = 12;
  while (*name) {
    size_t length = strcspn(name, ".");
    bytes[at++] = (uint8_t)length;
    memcpy(bytes + at, name, length);
    at += length;
    name += length + (name[length] == '.');
  }
  const uint8_t rest[] = {0, 0, 1, 0, 1};
  memcpy(bytes + at, rest, sizeof rest);
  at += sizeof rest;
  if (edns < 0) return at;
  const uint8_t opt[11] = {0, 0, 41, (uint8_t)(edns >> 8), (uint8_t)edns};
  memcpy(bytes + at, opt, sizeof opt);
  bytes[11] = 1;
  return at + sizeof opt;
}

uint64_t support_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
