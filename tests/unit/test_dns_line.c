/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A line to a DNS server that hangs, is slow, is left alone, is asked too much, or takes nothing: with times that a
 * test can wait for. The rest is in test_dns_forward.c.
 */
#include "relay/dns_line.h"
#include "support_nameserver.h"
#include "support_packet.h"

#include <arpa/nameser.h>
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

#define UNTIL SUPPORT_NAMESERVER_UNTIL

struct heard {
  unsigned answers;
  unsigned unanswered;
  enum adit_dns_unanswered why;
  uint8_t mark; /* last byte of the last answer */
  unsigned id;
};

static void on_answer(void *user, uint8_t *answer, size_t length) {
  struct heard *heard = user;
  heard->answers++;
  heard->mark = answer[length - 1];
  heard->id = support_get16(answer);
}

static void on_unanswered(void *user, enum adit_dns_unanswered why) {
  struct heard *heard = user;
  heard->unanswered++;
  heard->why = why;
}

static const struct adit_dns_line_events line_events = {.answer = on_answer, .unanswered = on_unanswered};

static void line_ask(struct adit_dns_line *line, unsigned id, const char *name, struct heard *heard) {
  uint8_t bytes[512];
  struct adit_dns_question question;
  size_t length = support_question_make(bytes, id, name, -1);
  assert_int_equal(adit_dns_read(bytes, length, &question), ADIT_DNS_ASKS);
  assert_int_equal(adit_dns_line_ask(line, bytes, length, question.end, &line_events, heard), 0);
}

struct bench {
  struct support_nameserver *world;
  struct adit_dns_line *line;
};

static struct bench open_line(struct adit_dns_line_options options) {
  struct bench bench = {.world = support_nameserver_open()};
  options.server = bench.world->options.dns_server;
  assert_int_equal(adit_dns_line_new(&bench.world->relay, &options, &bench.line), 0);
  return bench;
}

static void close_line(struct bench *bench) {
  adit_dns_line_free(bench->line);
  support_nameserver_close(bench->world);
}

/* A server that accepts and says nothing: asked again over another connection, then given up. */
static void test_hangs(void **state) {
  (void)state;
  enum { TRY = 150 };
  static struct support_message question;
  struct bench bench = open_line((struct adit_dns_line_options){.try_ms = TRY});
  struct support_nameserver *world = bench.world;
  struct heard heard = {0};
  uint64_t began = support_milliseconds();
  line_ask(bench.line, 7, "www.example", &heard);
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  int first = world->server;
  world->server = -1;
  support_nameserver_accept(world); /* the second try */
  assert_in_range(support_milliseconds() - began, TRY, 20 * TRY);
  assert_int_equal(heard.unanswered, 0);
  support_nameserver_hear(world, &question);
  UNTIL(world, heard.unanswered);
  assert_int_equal(heard.why, ADIT_DNS_UNREACHABLE);
  assert_in_range(support_milliseconds() - began, 2 * TRY, 20 * TRY);
  assert_non_null(strstr(world->said.last, "no answer in time"));
  close(first);
  close_line(&bench);
}

/* One answer is slow, others are not: the connection stays, and the slow one is waited for twice as long. */
static void test_slow(void **state) {
  (void)state;
  enum { TRY = 300 };
  static struct support_message slow;
  static struct support_message fast;
  for (unsigned answered = 0; answered < 2; answered++) {
    struct bench bench = open_line((struct adit_dns_line_options){.try_ms = TRY});
    struct support_nameserver *world = bench.world;
    struct heard heard = {0};
    struct heard others = {0};
    uint64_t began = support_milliseconds();
    line_ask(bench.line, 7, "slow.example", &heard);
    support_nameserver_accept(world);
    support_nameserver_hear(world, &slow);
    while (support_milliseconds() - began < TRY + TRY / 2) {
      unsigned before = others.answers;
      line_ask(bench.line, 8, "fast.example", &others);
      support_nameserver_hear(world, &fast);
      support_nameserver_answer(world, &fast, 1, 1);
      UNTIL(world, others.answers > before);
    }
    assert_int_equal(heard.unanswered + heard.answers, 0);
    if (answered) {
      support_nameserver_answer(world, &slow, 1, 77);
      UNTIL(world, heard.answers);
      assert_int_equal(heard.mark, 77);
      assert_int_equal(heard.id, 7);
    } else {
      UNTIL(world, heard.unanswered);
      assert_int_equal(heard.why, ADIT_DNS_TIMED_OUT);
      assert_in_range(support_milliseconds() - began, 2 * TRY, 20 * TRY);
    }
    assert_int_equal(world->accepted, 1);
    assert_int_equal(others.unanswered, 0);
    close_line(&bench);
  }
}

/* Nobody asks for a while: the connection is closed; the next question makes a new one. */
static void test_idle(void **state) {
  (void)state;
  static struct support_message question;
  struct bench bench = open_line((struct adit_dns_line_options){.idle_ms = 60});
  struct support_nameserver *world = bench.world;
  struct heard heard = {0};
  for (unsigned i = 1; i <= 2; i++) {
    line_ask(bench.line, i, "www.example", &heard);
    support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    uint64_t began = support_milliseconds();
    support_nameserver_answer(world, &question, 1, (uint8_t)i);
    UNTIL(world, heard.answers == i);
    ssize_t got = -1;
    UNTIL(world, (got = recv(world->server, world->in, 1, 0)) >= 0);
    assert_int_equal(got, 0);
    assert_in_range(support_milliseconds() - began, 60, 2000);
    support_nameserver_hang_up(world, SHUT_RDWR);
  }
  close_line(&bench);
}

/* A bound of four: the fifth question drops the first, sent or not. */
static void test_bound(void **state) {
  (void)state;
  static struct support_message question[5];
  struct heard heard[10] = {{0}};
  struct bench bench = open_line((struct adit_dns_line_options){.questions = 4});
  struct support_nameserver *world = bench.world;
  for (unsigned i = 0; i < 5; i++) line_ask(bench.line, i, "www.example", &heard[i]); /* none was sent */
  assert_int_equal(heard[0].unanswered, 1);
  assert_int_equal(heard[0].why, ADIT_DNS_DROPPED);
  support_nameserver_accept(world);
  for (unsigned i = 1; i < 5; i++) support_nameserver_hear(world, &question[i]);
  support_nameserver_hear_nothing(world);
  for (unsigned i = 5; i < 7; i++) line_ask(bench.line, i, "www.example", &heard[i]);
  assert_int_equal(heard[1].unanswered + heard[2].unanswered, 2);
  assert_int_equal(heard[3].unanswered + heard[4].unanswered, 0);
  for (unsigned i = 1; i < 5; i++) support_nameserver_answer(world, &question[i], 1, (uint8_t)i);
  UNTIL(world, heard[3].answers + heard[4].answers == 2);
  assert_int_equal(heard[1].answers + heard[2].answers, 0);
  assert_int_equal(heard[4].mark, 4);
  /* Those that are left are told at the end. */
  close_line(&bench);
  assert_int_equal(heard[5].unanswered + heard[6].unanswered, 2);
  assert_int_equal(heard[6].why, ADIT_DNS_DROPPED);
}

/* A server that reads nothing at all, and very long questions: bounded, and given up in time. */
static void test_takes_nothing(void **state) {
  (void)state;
  static uint8_t bytes[SUPPORT_MESSAGE];
  struct bench bench = open_line((struct adit_dns_line_options){.try_ms = 200});
  struct support_nameserver *world = bench.world;
  static const int small = 4096;
  assert_int_equal(setsockopt(world->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  size_t end = support_question_make(bytes, 1, "www.example", -1);
  struct heard heard = {0};
  unsigned asked = 0;
  for (; asked < 200; asked++) { /* twelve megabytes */
    assert_int_equal(adit_dns_line_ask(bench.line, bytes, sizeof bytes, end, &line_events, &heard), 0);
    support_nameserver_turn(world);
  }
  assert_in_range(heard.unanswered, 200 - 17, 200);
  UNTIL(world, heard.unanswered == asked);
  close_line(&bench);
}

static int make_small(void *user, int fd) {
  static const int small = 4608;
  (void)user;
  return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) < 0 ? -errno : 0;
}

/* Very long questions, of which the socket takes one part at a time: each arrives as it was. */
static void test_partial(void **state) {
  (void)state;
  enum { QUESTIONS = 16, LENGTH = 60000 };
  static uint8_t bytes[QUESTIONS][LENGTH];
  static struct support_message question;
  struct bench bench = open_line((struct adit_dns_line_options){0});
  struct support_nameserver *world = bench.world;
  world->options.protect = make_small;
  struct heard heard = {0};
  for (unsigned i = 0; i < QUESTIONS; i++) {
    size_t end = support_question_make(bytes[i], i, "www.example", -1);
    for (size_t j = end; j < LENGTH; j++) bytes[i][j] = (uint8_t)(j * 7 + j / 256 + i);
    assert_int_equal(adit_dns_line_ask(bench.line, bytes[i], LENGTH, end, &line_events, &heard), 0);
  }
  support_nameserver_accept(world);
  support_nameserver_turns(world, 10);
  for (unsigned i = 0; i < QUESTIONS; i++) {
    support_nameserver_hear(world, &question);
    assert_int_equal(question.length, LENGTH);
    assert_memory_equal(question.bytes + 2, bytes[i] + 2, LENGTH - 2); /* all but the id */
  }
  assert_int_equal(heard.unanswered, 0);
  close_line(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hangs), cmocka_unit_test(test_slow),          cmocka_unit_test(test_idle),
      cmocka_unit_test(test_bound), cmocka_unit_test(test_takes_nothing), cmocka_unit_test(test_partial),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
