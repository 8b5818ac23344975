/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --dns forward: clients that speak packets to a stack, and a nameserver of the test's on a real socket, which answers
 * out of order, in pieces, wrongly, and goes away. What it takes time to see is in test_dns_line.c.
 */
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

#define CLIENT4 "192.168.3.11"
#define CLIENT6 "fdad:3::11"
#define ANYBODY4 "9.9.9.9"
#define ANYBODY6 "2620:fe::9"
#define UNTIL SUPPORT_NAMESERVER_UNTIL

static int open_world(void **state) {
  struct support_nameserver *world = support_nameserver_open();
  assert_int_equal(adit_dns_prepare(&world->relay, world->relay.egress), 0);
  *state = world;
  return 0;
}

static int close_world(void **state) {
  struct support_nameserver *world = *state;
  adit_dns_stop(&world->relay);
  support_nameserver_close(world);
  return 0;
}

/* ---- clients over UDP -------------------------------------------------------------------------------------------- */

/* The client's port tells the questions apart. */
static void give(struct support_nameserver *world, bool ipv6, uint16_t port, const void *bytes, size_t length) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  size_t size = ipv6 ? support_udp6(packet, CLIENT6, ANYBODY6, port, 53, bytes, length)
                     : support_udp4(packet, CLIENT4, ANYBODY4, port, 53, bytes, length);
  support_lab_input(&world->lab, packet, size);
}

static void ask(struct support_nameserver *world, uint16_t port, unsigned id, const char *name) {
  uint8_t bytes[512];
  give(world, false, port, bytes, support_question_make(bytes, id, name, 1232));
  support_nameserver_turn(world);
}

/* The oldest answer that came out, if any; must come from whom was asked. */
static bool has_answer(struct support_nameserver *world, struct support_message *answer, uint16_t *port) {
  struct support_out *out = support_lab_take(&world->lab);
  if (!out) return false;
  uint8_t protocol;
  size_t headers = support_headers(out->bytes, &protocol);
  assert_int_equal(protocol, IPPROTO_UDP);
  assert_int_equal(support_get16(out->bytes + headers - 8), 53);
  *port = support_get16(out->bytes + headers - 6);
  answer->length = out->length - headers;
  memcpy(answer->bytes, out->bytes + headers, answer->length);
  free(out);
  return true;
}

static unsigned rcode_of(const struct support_message *answer) {
  return answer->bytes[3] & 15u;
}

/* An answer to that port, with that id, code, and mark (-1 = no records). */
static void expect(struct support_nameserver *world, uint16_t port, unsigned id, unsigned rcode, int mark) {
  static struct support_message answer;
  uint16_t to;
  UNTIL(world, has_answer(world, &answer, &to));
  assert_int_equal(to, port);
  assert_int_equal(support_get16(answer.bytes), id);
  assert_int_equal(rcode_of(&answer), rcode);
  assert_int_equal(support_get16(answer.bytes + 6) > 0, mark >= 0);
  if (mark >= 0) assert_int_equal(answer.bytes[answer.length - 1], mark);
}

static void expect_silence(struct support_nameserver *world) {
  static struct support_message answer;
  uint16_t port;
  support_nameserver_turns(world, 10);
  assert_false(has_answer(world, &answer, &port));
}

/* ---- forward over UDP -------------------------------------------------------------------------------------------- */

static void test_one(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  ask(world, 1000, 77, "www.example");
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  struct adit_dns_question read;
  assert_int_equal(adit_dns_read(question.bytes, question.length, &read), ADIT_DNS_ASKS);
  assert_string_equal(read.name, "www.example");
  support_nameserver_answer(world, &question, 1, 5);
  expect(world, 1000, 77, ns_r_noerror, 5);
  /* The next one, from IPv6, goes over the same connection. */
  uint8_t bytes[512];
  give(world, true, 2000, bytes, support_question_make(bytes, 78, "www.example", -1));
  support_nameserver_hear(world, &question);
  support_nameserver_answer(world, &question, 1, 6);
  expect(world, 2000, 78, ns_r_noerror, 6);
  assert_false(accept(world->listener, NULL, NULL) >= 0);
  assert_int_equal(world->relay.stats.dns_questions, 2);
  assert_int_equal(world->said.count, 0);
}

/* Fifty clients with the same id; the answers come in reverse order. */
static void test_out_of_order(void **state) {
  struct support_nameserver *world = *state;
  enum { CLIENTS = 50 };
  static struct support_message question[CLIENTS];
  char name[64];
  for (unsigned i = 0; i < CLIENTS; i++) {
    uint8_t bytes[512];
    snprintf(name, sizeof name, "n%u.example", i);
    give(world, false, (uint16_t)(1000 + i), bytes, support_question_make(bytes, 1, name, 1232));
  }
  support_nameserver_accept(world);
  for (unsigned i = 0; i < CLIENTS; i++) {
    support_nameserver_hear(world, &question[i]);
    for (unsigned j = 0; j < i; j++) assert_memory_not_equal(question[i].bytes, question[j].bytes, 2); /* ids */
  }
  for (unsigned i = CLIENTS; i-- > 0;) support_nameserver_answer(world, &question[i], 1, (uint8_t)i);
  for (unsigned i = CLIENTS; i-- > 0;) expect(world, (uint16_t)(1000 + i), 1, ns_r_noerror, (int)i);
}

/* A byte at a time; then one and a half in one write, and the rest. */
static void test_pieces(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question[3];
  static struct support_message answer[3];
  static uint8_t together[1024];
  for (unsigned i = 0; i < 3; i++) ask(world, (uint16_t)(1000 + i), i, "www.example");
  support_nameserver_accept(world);
  for (unsigned i = 0; i < 3; i++) support_nameserver_hear(world, &question[i]);
  support_answer_make(&question[0], 2, 9, &answer[0]);
  for (size_t i = 0; i < answer[0].length; i++) {
    support_nameserver_write(world, answer[0].bytes + i, 1);
    support_nameserver_turn(world);
  }
  expect(world, 1000, 0, ns_r_noerror, 10);
  size_t length = 0;
  for (unsigned i = 1; i < 3; i++) {
    support_answer_make(&question[i], 1, (uint8_t)i, &answer[i]);
    memcpy(together + length, answer[i].bytes, answer[i].length);
    length += answer[i].length;
  }
  size_t cut = answer[1].length + answer[2].length / 2;
  support_nameserver_write(world, together, cut);
  support_nameserver_turns(world, 5);
  support_nameserver_write(world, together + cut, length - cut);
  expect(world, 1001, 1, ns_r_noerror, 1);
  expect(world, 1002, 2, ns_r_noerror, 2);
}

/* The connection dies with questions on it: they are asked again, on another one. FIN and RST. */
static void test_dies(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question[3];
  for (int how = -1; how <= SHUT_RDWR; how += 1 + SHUT_RDWR) {
    for (unsigned i = 0; i < 3; i++) ask(world, (uint16_t)(1000 + i), i, i == 0 ? "first.example" : "www.example");
    support_nameserver_accept(world);
    for (unsigned i = 0; i < 3; i++) support_nameserver_hear(world, &question[i]);
    support_nameserver_answer(world, &question[0], 1, 1);
    expect(world, 1000, 0, ns_r_noerror, 1);
    support_nameserver_hang_up(world, how);
    support_nameserver_accept(world);
    for (unsigned i = 1; i < 3; i++) {
      support_nameserver_hear(world, &question[i]);
      support_nameserver_answer(world, &question[i], 1, (uint8_t)(40 + i));
    }
    expect(world, 1001, 1, ns_r_noerror, 41);
    expect(world, 1002, 2, ns_r_noerror, 42);
    support_nameserver_hear_nothing(world);
    support_nameserver_hang_up(world, SHUT_RDWR); /* idle: nothing happens */
    support_nameserver_turns(world, 5);
    assert_false(support_nameserver_accepts(world));
  }
  assert_int_equal(world->said.count, 0);
}

/* A server that takes one question a connection answers all of them in the end. */
static void test_one_each(void **state) {
  struct support_nameserver *world = *state;
  enum { QUESTIONS = 10 };
  static struct support_message question;
  for (unsigned i = 0; i < QUESTIONS; i++) ask(world, (uint16_t)(1000 + i), i, "www.example");
  for (unsigned i = 0; i < QUESTIONS; i++) {
    support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    support_nameserver_answer(world, &question, 1, (uint8_t)i);
    expect(world, (uint16_t)(1000 + i), i, ns_r_noerror, (int)i);
    support_nameserver_hang_up(world, -1);
  }
  assert_int_equal(world->accepted, QUESTIONS);
}

/* One that closes without a word, twice: SERVFAIL, and it is said why. */
static void test_dies_twice(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  ask(world, 1000, 3, "www.example");
  for (unsigned i = 0; i < 2; i++) {
    support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    support_nameserver_hang_up(world, i ? SHUT_RDWR : -1);
  }
  expect(world, 1000, 3, ns_r_servfail, -1);
  assert_non_null(strstr(world->said.last, "127.0.0.1"));
  assert_false(support_nameserver_accepts(world));
}

static void test_refused(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  close(world->listener);
  world->listener = -1;
  for (unsigned i = 0; i < 20; i++) ask(world, (uint16_t)(1000 + i), i, "www.example");
  for (unsigned i = 0; i < 20; i++) expect(world, (uint16_t)(1000 + i), i, ns_r_servfail, -1);
  assert_in_range(world->said.count, 1, 6); /* not once a question */
  assert_non_null(strstr(world->said.last, "refused"));
  support_nameserver_listen(world);
  ask(world, 1000, 99, "www.example");
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  support_nameserver_answer(world, &question, 1, 8);
  expect(world, 1000, 99, ns_r_noerror, 8);
}

/* Answers that are none: to no question, to another one, with another id, questions; then the true one. */
static void test_wrong(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  static struct support_message other;
  static struct support_message answer;
  ask(world, 1000, 1, "www.example");
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  other = question;
  other.bytes[13] ^= 1; /* a letter of the name */
  support_nameserver_answer(world, &other, 1, 1);
  other = question;
  other.bytes[0] ^= 0x80; /* the id of an earlier use of the same place */
  support_nameserver_answer(world, &other, 1, 2);
  other = question;
  other.bytes[1] ^= 1; /* a place that is empty */
  support_nameserver_answer(world, &other, 1, 3);
  support_answer_make(&question, 1, 4, &answer);
  answer.bytes[2 + 2] &= 0x7f;
  support_nameserver_write(world, answer.bytes, answer.length);
  expect_silence(world);
  support_nameserver_answer(world, &question, 1, 5);
  support_nameserver_answer(world, &question, 1, 6); /* a second time */
  expect(world, 1000, 1, ns_r_noerror, 5);
  expect_silence(world);
  assert_int_equal(world->said.count, 0);
}

/* What is not DNS ends the connection. */
static void test_garbage(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  for (unsigned i = 0; i < 2; i++) {
    if (i == 0) ask(world, 1000, 1, "www.example");
    support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    support_nameserver_write(world, "\0\3abc", 5);
    support_nameserver_turns(world, 5);
    support_nameserver_hang_up(world, SHUT_RDWR);
  }
  expect(world, 1000, 1, ns_r_servfail, -1);
  assert_non_null(strstr(world->said.last, "not DNS"));
}

static void test_too_long(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  static struct support_message answer;
  static const struct {
    int edns;
    unsigned records;
    bool cut;
  } table[] = {{-1, 20, false},  {-1, 40, true},    {1232, 60, false},
               {1232, 80, true}, {4096, 80, false}, {100, 40, true}};
  for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
    uint8_t bytes[512];
    uint16_t port;
    give(world, false, 1000, bytes, support_question_make(bytes, i, "www.example", table[i].edns));
    if (i == 0) support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    support_nameserver_answer(world, &question, table[i].records, 0);
    UNTIL(world, has_answer(world, &answer, &port));
    assert_int_equal(support_get16(answer.bytes), i);
    assert_int_equal((answer.bytes[2] & 2) != 0, table[i].cut);
    assert_int_equal(support_get16(answer.bytes + 6), table[i].cut ? 0 : table[i].records);
  }
}

/* A client that repeats its question waits with the first one; another client does not. */
static void test_repeated(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question[2];
  ask(world, 1000, 1, "www.example");
  ask(world, 1000, 1, "www.example");
  ask(world, 1001, 1, "www.example");
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question[0]);
  support_nameserver_hear(world, &question[1]);
  support_nameserver_hear_nothing(world);
  for (unsigned i = 0; i < 2; i++) support_nameserver_answer(world, &question[i], 1, (uint8_t)i);
  expect(world, 1000, 1, ns_r_noerror, 0);
  expect(world, 1001, 1, ns_r_noerror, 1);
  ask(world, 1000, 1, "www.example"); /* that was answered: a new one */
  support_nameserver_hear(world, &question[0]);
  support_nameserver_answer(world, &question[0], 1, 2);
  expect(world, 1000, 1, ns_r_noerror, 2);
}

/* What is not handed on. */
static void test_not_forwarded(void **state) {
  struct support_nameserver *world = *state;
  uint8_t bytes[8192];
  size_t length = support_question_make(bytes, 1, "www.example", -1);
  give(world, false, 1000, bytes, 11); /* no header */
  give(world, false, 1000, bytes, 0);
  bytes[2] |= 0x80; /* an answer */
  give(world, false, 1000, bytes, length);
  memset(bytes + length, 0, sizeof bytes - length);
  bytes[2] = 1;
  give(world, false, 1000, bytes, sizeof bytes > 4097 ? 4097 : sizeof bytes); /* far too long */
  expect_silence(world);
  assert_int_equal(world->relay.stats.dns_dropped, 4);
  give(world, false, 1001, bytes, length - 1);
  expect(world, 1001, 1, ns_r_formerr, -1);
  bytes[length - 3] = ns_t_axfr;
  give(world, false, 1002, bytes, length);
  expect(world, 1002, 1, ns_r_refused, -1);
  bytes[length - 3] = ns_t_a;
  bytes[2] = ADIT_DNS_OPCODE_DSO << 3;
  give(world, false, 1003, bytes, length);
  expect(world, 1003, 1, ns_r_notimpl, -1);
  assert_false(support_nameserver_accepts(world));
}

/* More questions than there are places: the oldest are dropped, and counted. */
static void test_many(void **state) {
  struct support_nameserver *world = *state;
  enum { PLACES = 1024, MORE = 100 };
  static struct support_message question;
  for (unsigned i = 0; i < PLACES + MORE; i++) {
    uint8_t bytes[512];
    char name[32];
    snprintf(name, sizeof name, "n%u.example", i);
    give(world, false, (uint16_t)(1000 + i), bytes, support_question_make(bytes, i, name, -1));
    if (i % 50 == 49) support_nameserver_turn(world);
  }
  assert_int_equal(world->relay.stats.dns_dropped, MORE);
  support_nameserver_accept(world);
  unsigned answered = 0;
  for (unsigned i = 0; i < PLACES + MORE && answered < PLACES; i++) {
    struct adit_dns_question read;
    unsigned number;
    support_nameserver_hear(world, &question);
    assert_int_equal(adit_dns_read(question.bytes, question.length, &read), ADIT_DNS_ASKS);
    assert_int_equal(sscanf(read.name, "n%u.example", &number), 1);
    support_nameserver_answer(world, &question, 1, (uint8_t)number);
    if (number < MORE) continue; /* it was sent before it was dropped */
    expect(world, (uint16_t)(1000 + number), number, ns_r_noerror, number % 256);
    answered++;
  }
  assert_int_equal(answered, PLACES);
  expect_silence(world);
  /* Places are used again, ids change: many times around. */
  for (unsigned i = 0; i < 3 * PLACES; i++) {
    ask(world, 1000, i, "www.example");
    support_nameserver_hear(world, &question);
    support_nameserver_answer(world, &question, 1, (uint8_t)i);
    expect(world, 1000, i, ns_r_noerror, i % 256);
  }
}

/* ---- clients over TCP -------------------------------------------------------------------------------------------- */

static struct support_client client_at(struct support_nameserver *world, uint16_t port) {
  struct support_client client = {
      .lab = &world->lab, .address = CLIENT4, .server = ANYBODY4, .port = port, .server_port = 53};
  support_client_open(&client);
  assert_true(client.established);
  return client;
}

static size_t put_question(uint8_t *bytes, unsigned id, const char *name) {
  size_t length = support_question_make(bytes + 2, id, name, -1);
  support_put16(bytes, (uint32_t)length);
  return 2 + length;
}

static bool client_has(struct support_client *client, size_t length) {
  support_client_run(client);
  return client->length >= length;
}

static void test_tcp(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question[3];
  uint8_t bytes[1024];
  size_t length = 0;
  struct support_client client = client_at(world, 5000);
  for (unsigned i = 0; i < 3; i++) length += put_question(bytes + length, i, i == 0 ? "a.example" : "b.example");
  for (size_t i = 0; i < length; i += 5) { /* in pieces */
    support_client_send(&client, bytes + i, length - i < 5 ? length - i : 5);
    support_nameserver_turn(world);
  }
  support_nameserver_accept(world);
  for (unsigned i = 0; i < 3; i++) support_nameserver_hear(world, &question[i]);
  support_client_fin(&client); /* it has nothing more to ask */
  support_nameserver_turns(world, 3);
  assert_false(client.peer_fin);
  support_nameserver_answer(world, &question[2], 2500, 2); /* longer than any datagram would take */
  support_nameserver_answer(world, &question[0], 1, 0);
  size_t each = question[0].length + 2 + 16;
  UNTIL(world, client_has(&client, question[2].length + 2 + 2500 * 16 + each));
  assert_int_equal(support_get16(client.data), question[2].length + 2500 * 16);
  assert_int_equal(support_get16(client.data + 2), 2);
  const uint8_t *second = client.data + question[2].length + 2 + 2500 * 16;
  assert_int_equal(support_get16(second + 2), 0);
  assert_false(client.peer_fin); /* one is missing */
  size_t before = client.length;
  support_nameserver_answer(world, &question[1], 1, 1);
  UNTIL(world, client_has(&client, before + each));
  support_client_run(&client);
  assert_true(client.peer_fin);
  assert_false(client.reset);
  support_client_free(&client);
}

/* A client that is gone when its answer comes; one that sends half a message and FIN; one that sends nonsense. */
static void test_tcp_ends(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  uint8_t bytes[512];
  struct support_client client = client_at(world, 5000);
  size_t length = put_question(bytes, 1, "www.example");
  support_client_send(&client, bytes, length);
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  support_client_reset(&client);
  support_lab_flush(&world->lab);
  support_nameserver_answer(world, &question, 1, 1);
  support_nameserver_turns(world, 5);
  support_client_free(&client);

  client = client_at(world, 5001);
  support_client_send(&client, bytes, length - 1);
  support_client_fin(&client);
  support_nameserver_turns(world, 3);
  support_client_run(&client);
  assert_true(client.peer_fin);
  assert_int_equal(client.length, 0);
  support_client_free(&client);

  client = client_at(world, 5002);
  support_put16(bytes, (uint32_t)length - 3); /* one byte is missing, and the next message begins with it */
  support_client_send(&client, bytes, length - 1);
  UNTIL(world, client_has(&client, 2 + 12));
  assert_int_equal(client.data[5] & 15, ns_r_formerr);
  assert_false(client.peer_fin);
  support_client_send(&client, "\0\0\0\2ab", 6); /* messages of no byte and of two */
  support_nameserver_turns(world, 3);
  support_client_run(&client);
  assert_int_equal(client.length, 14);
  assert_false(client.reset);
  length = put_question(bytes, 7, "www.example");
  support_client_send(&client, bytes, length);
  support_nameserver_hear(world, &question);
  support_nameserver_answer(world, &question, 1, 3);
  UNTIL(world, client_has(&client, 14 + length + 16));
  support_client_fin(&client);
  support_client_free(&client);
}

/* A client that never reads is reset in the end; others do not notice. */
static void test_tcp_deaf(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  uint8_t bytes[512];
  struct support_client deaf = client_at(world, 5000);
  deaf.deaf = true;
  size_t length = put_question(bytes, 1, "www.example");
  unsigned asked = 0;
  while (!deaf.reset && asked < 100) {
    support_client_send(&deaf, bytes, length);
    support_nameserver_turn(world);
    if (asked == 0) support_nameserver_accept(world);
    support_nameserver_hear(world, &question);
    support_nameserver_answer(world, &question, 4000, 1);
    support_nameserver_turns(world, 2);
    support_client_run(&deaf);
    asked++;
  }
  assert_true(deaf.reset);
  assert_in_range(asked, 2, 40); /* 64,000 bytes each, into a megabyte */
  support_client_free(&deaf);
  ask(world, 1000, 5, "www.example");
  support_nameserver_hear(world, &question);
  support_nameserver_answer(world, &question, 1, 9);
  struct support_out *out;
  while ((out = support_lab_take(&world->lab)) != NULL && out->bytes[9] != IPPROTO_UDP) free(out);
  free(out);
}

/* Very many questions at once from one client: the rest waits, nothing is lost. */
static void test_tcp_many(void **state) {
  struct support_nameserver *world = *state;
  enum { QUESTIONS = 1000 };
  static struct support_message question;
  static uint8_t bytes[QUESTIONS * 64];
  size_t length = 0;
  for (unsigned i = 0; i < QUESTIONS; i++) length += put_question(bytes + length, i, "www.example");
  struct support_client client = client_at(world, 5000);
  size_t sent = 0;
  size_t each = length / QUESTIONS + 16;
  bool connected = false;
  for (unsigned answered = 0; answered < QUESTIONS; answered++) {
    if (sent < length) sent += support_client_send(&client, bytes + sent, length - sent);
    if (!connected) support_nameserver_accept(world);
    connected = true;
    support_nameserver_hear(world, &question);
    support_nameserver_answer(world, &question, 1, 1);
    support_nameserver_turn(world);
  }
  UNTIL(world, client_has(&client, QUESTIONS * each));
  bool seen[QUESTIONS] = {false};
  for (unsigned i = 0; i < QUESTIONS; i++) {
    unsigned id = support_get16(client.data + i * each + 2);
    assert_true(id < QUESTIONS && !seen[id]);
    seen[id] = true;
  }
  assert_int_equal(world->relay.stats.dns_dropped, 0);
  support_client_fin(&client);
  support_client_free(&client);
}

/* Stopped with questions and clients under way: nothing is left (close_world looks). */
static void test_stop(void **state) {
  struct support_nameserver *world = *state;
  static struct support_message question;
  uint8_t bytes[512];
  struct support_client client = client_at(world, 5000);
  support_client_send(&client, bytes, put_question(bytes, 1, "www.example"));
  ask(world, 1000, 1, "www.example");
  support_nameserver_accept(world);
  support_nameserver_hear(world, &question);
  ask(world, 1001, 1, "www.example");
  support_client_free(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_one),        TEST(test_out_of_order),  TEST(test_pieces), TEST(test_dies),    TEST(test_one_each),
      TEST(test_dies_twice), TEST(test_refused),       TEST(test_wrong),  TEST(test_garbage), TEST(test_too_long),
      TEST(test_repeated),   TEST(test_not_forwarded), TEST(test_many),   TEST(test_tcp),     TEST(test_tcp_ends),
      TEST(test_tcp_deaf),   TEST(test_tcp_many),      TEST(test_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
