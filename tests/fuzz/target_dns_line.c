/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: a DNS server at the end of a TCP connection, which says what it likes to questions of ours.
 *
 * Real sockets on the loopback; nothing waits: what one end has sent there the other can read at once. The input: a byte
 * of choices, then the server's stream. With FIT each message of it gets the id of a question that waits, and with ECHO
 * that question itself, so that answers are taken. Each question must hear of its end, once.
 */
#include "fuzz.h"
#include "relay/dns_line.h"
#include "relay/dns_message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum choices { FIT = 1, ECHO = 2, RESET = 4, TWICE = 8, PIECES = 16, QUESTIONS_FROM = 5 };
enum { QUESTIONS = 8, TURNS = 4, STREAM = 8192, PREFIX = 2 };

struct heard {
  unsigned events;
};

struct target {
  struct adit_relay relay;
  struct adit_egress egress;
  struct adit_relay_options options;
  struct adit_log log;
  struct adit_dns_line *line;
  int listener;
  int server; /* the connection; -1 = none */
  uint8_t asked[STREAM];
  size_t asked_length;
};

static void on_answer(void *user, uint8_t *answer, size_t length) {
  struct heard *heard = user;
  FUZZ_CHECK(length >= ADIT_DNS_HEADER && length <= ADIT_DNS_LONGEST, "%zu", length);
  memset(answer, 0x5a, length); /* to be changed at will */
  heard->events++;
}

static void on_unanswered(void *user, enum adit_dns_unanswered why) {
  struct heard *heard = user;
  (void)why;
  heard->events++;
}

static void keep_silent(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  (void)user, (void)level, (void)flow, (void)text;
}

/* Ends with a reset whoever closes first: thousands of connections a second, and none stays in TIME-WAIT. */
static int no_linger(void *user, int fd) {
  static const struct linger now = {.l_onoff = 1};
  (void)user;
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0 ? 0 : -errno;
}

static void on_event(void *user, struct adit_watch *watch, uint32_t events) {
  struct adit_relay_socket *socket = (struct adit_relay_socket *)watch;
  (void)user;
  socket->ready(socket, events);
}

static struct target *set_up(void) {
  static struct target target;
  if (target.relay.loop) return &target;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  target.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  FUZZ_EQUAL(bind(target.listener, (struct sockaddr *)&address, length), 0);
  FUZZ_EQUAL(listen(target.listener, 64), 0);
  FUZZ_EQUAL(getsockname(target.listener, (struct sockaddr *)&address, &length), 0);
  target.options.dns_server = (adit_endpoint){{.bytes = {127, 0, 0, 1}, .version = 4}, ntohs(address.sin_port)};
  target.options.protect = no_linger;
  target.log = (struct adit_log){.write = keep_silent, .level = ADIT_LOG_DEBUG};
  target.egress = (struct adit_egress){.options = &target.options, .relay = &target.relay, .references = 1};
  target.relay = (struct adit_relay){
      .egress = &target.egress, .egresses = &target.egress, .options = &target.options, .log = &target.log};
  FUZZ_EQUAL(adit_loop_new(&target.relay.loop), 0);
  target.server = -1;
  return &target;
}

static void turn(struct target *target) {
  struct adit_loop *loop = target->relay.loop;
  FUZZ_CHECK(adit_loop_wait(loop, 0) >= 0, "%d", errno);
  adit_loop_dispatch(loop, on_event, target);
  adit_loop_fire(loop);
  while (adit_loop_work(loop)) {
  }
  adit_loop_reap(loop);
  if (target->server < 0) target->server = accept4(target->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (target->server < 0) return;
  ssize_t got = recv(target->server, target->asked + target->asked_length, STREAM - target->asked_length, MSG_DONTWAIT);
  if (got > 0) target->asked_length += (size_t)got;
}

static void turns(struct target *target) {
  for (unsigned i = 0; i < TURNS; i++) turn(target);
}

static void hang_up(struct target *target, bool reset) {
  if (target->server < 0) return;
  if (reset) (void)no_linger(NULL, target->server);
  if (!reset) shutdown(target->server, SHUT_RDWR);
  close(target->server);
  target->server = -1;
  target->asked_length = 0;
}

/* The n-th question that the server has got, without the length before it; NULL when there are not so many. */
static const uint8_t *asked(const struct target *target, unsigned n, size_t *length) {
  size_t at = 0;
  while (at + PREFIX <= target->asked_length) {
    *length = (size_t)target->asked[at] << 8 | target->asked[at + 1];
    if (at + PREFIX + *length > target->asked_length) break;
    if (n-- == 0) return target->asked + at + PREFIX;
    at += PREFIX + *length;
  }
  return NULL;
}

/* Make the messages in the stream look like answers to what was asked. */
static void fit(const struct target *target, uint8_t *stream, size_t size, bool echo) {
  size_t at = 0;
  for (unsigned n = 0; at + PREFIX + ADIT_DNS_HEADER <= size; n++) {
    size_t length = (size_t)stream[at] << 8 | stream[at + 1];
    size_t question_length;
    uint8_t *message = stream + at + PREFIX;
    const uint8_t *question = asked(target, n % QUESTIONS, &question_length);
    if (question) memcpy(message, question, 2);
    if (question && echo && length >= question_length && at + PREFIX + length <= size) {
      memcpy(message + 2, question + 2, question_length - 2);
      message[2] |= 0x80;
    }
    at += PREFIX + length;
  }
}

static void say(struct target *target, uint8_t choices, struct fuzz_bytes *bytes, size_t length) {
  static uint8_t stream[STREAM];
  if (length > sizeof stream) length = sizeof stream;
  const uint8_t *at = fuzz_take(bytes, &length);
  if (target->server < 0 || length == 0) return;
  memcpy(stream, at, length);
  if (choices & FIT) fit(target, stream, length, (choices & ECHO) != 0);
  size_t half = choices & PIECES ? length / 2 : 0;
  if (half > 0) (void)send(target->server, stream, half, MSG_NOSIGNAL);
  if (half > 0) turns(target);
  if (target->server >= 0) (void)send(target->server, stream + half, length - half, MSG_NOSIGNAL);
  turns(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct adit_dns_line_events events = {.answer = on_answer, .unanswered = on_unanswered};
  struct target *target = set_up();
  struct fuzz_bytes bytes = {data, size};
  uint8_t choices = fuzz_take8(&bytes);
  struct adit_dns_line_options options = {.server = target->options.dns_server};
  options.questions = choices & RESET ? 2 : 0; /* sometimes too few */
  FUZZ_EQUAL(adit_dns_line_new(&target->relay, &options, &target->line), 0);
  struct heard heard[QUESTIONS] = {{0}};
  unsigned count = 1 + (choices >> QUESTIONS_FROM);
  for (unsigned i = 0; i < count; i++) {
    uint8_t query[ADIT_DNS_ASK_ROOM];
    static struct adit_dns_question question;
    char name[] = "n0.example";
    name[1] = (char)('0' + i);
    size_t length = adit_dns_ask(name, i % 2 ? ns_t_aaaa : ns_t_a, (uint16_t)i, query);
    FUZZ_EQUAL(adit_dns_read(query, length, &question), ADIT_DNS_ASKS);
    FUZZ_EQUAL(adit_dns_line_ask(target->line, query, length, question.end, &events, &heard[i]), 0);
  }
  turns(target);
  if (choices & TWICE) { /* the first half over one connection, the rest over the next one */
    say(target, choices, &bytes, bytes.left / 2);
    hang_up(target, (choices & RESET) != 0);
    turns(target);
  }
  say(target, choices, &bytes, bytes.left);
  hang_up(target, (choices & RESET) != 0);
  turns(target);
  adit_dns_line_free(target->line);
  turns(target);
  hang_up(target, true);
  for (unsigned i = 0; i < count; i++) FUZZ_EQUAL(heard[i].events, 1);
  FUZZ_EQUAL(adit_timers_next(adit_loop_timers(target->relay.loop)), UINT64_MAX);
  return 0;
}
