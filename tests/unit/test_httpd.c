/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * lwIP's httpd with content of our own: requests of every shape, long answers, clients that leave.
 */
#include "stack/httpd.h"
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000 };
#define FIVE_GIGABYTES (UINT64_C(5) << 30)

static struct support_world world;
static struct support_peer peer;
static unsigned opened, closed;
static char asked[512];

static uint8_t byte_at(uint64_t position) {
  return (uint8_t)('!' + position % 89);
}

static size_t read_bytes(void *handle, uint64_t offset, void *buffer, size_t length) {
  assert_ptr_equal(handle, &opened);
  for (size_t i = 0; i < length; i++) ((uint8_t *)buffer)[i] = byte_at(offset + i);
  return length;
}

static size_t read_short(void *handle, uint64_t offset, void *buffer, size_t length) {
  return offset < 3000 ? read_bytes(handle, offset, buffer, length < 1000 ? length : 1000) : 0;
}

static void close_file(void *handle) {
  assert_ptr_equal(handle, &opened);
  closed++;
}

static int open_file(void *user, const char *path, adit_endpoint local, adit_endpoint remote,
                     struct adit_httpd_file *file) {
  char text[ADIT_ADDRESS_TEXT];
  assert_ptr_equal(user, &world);
  assert_int_equal(local.port, 80);
  assert_int_equal(remote.port, PORT);
  assert_string_equal(adit_endpoint_format(remote, text), peer.ipv6 ? "[fdad:3::11]:40000" : "192.168.3.11:40000");
  snprintf(asked, sizeof asked, "%s", path);
  *file = (struct adit_httpd_file){
      .status = 200, .type = "text/plain", .length = 100, .read = read_bytes, .close = close_file, .handle = &opened};
  if (strcmp(path, "/none") == 0) return -ENOENT;
  if (strcmp(path, "/empty") == 0) file->length = 0;
  if (strcmp(path, "/long") == 0) file->length = 300000;
  if (strcmp(path, "/huge") == 0) file->length = FIVE_GIGABYTES;
  if (strcmp(path, "/short") == 0)
    *file = (struct adit_httpd_file){200, "text/plain", 5000, read_short, close_file, &opened};
  if (strcmp(path, "/missing") == 0) file->status = 404;
  if (strcmp(path, "/400.html") == 0 || strcmp(path, "/400.htm") == 0) file->status = 400;
  opened++;
  return 0;
}

static uint32_t idle_ms; /* of the next world */

static void with_idle(struct adit_stack_options *options) {
  options->idle_ms = idle_ms;
}

static int open_as(bool ipv6) {
  static const struct adit_httpd_content content = {.open = open_file};
  opened = closed = 0;
  asked[0] = 0;
  support_world_open(&world, 10, with_idle);
  idle_ms = 0;
  world.holds = true;
  assert_int_equal(adit_httpd_start(world.lab.stack, &content, &world), 0);
  peer = support_peer_at(&world, ipv6, PORT);
  support_peer_syn(&peer);
  assert_int_equal(adit_httpd_accept(world.owners[0].flow), 0);
  support_peer_run(&peer);
  assert_true(peer.established);
  return 0;
}

static int open4(void **state) {
  (void)state;
  return open_as(false);
}

static int open6(void **state) {
  (void)state;
  return open_as(true);
}

/* Whatever happened: each file is closed once, and the owner of the SYN heard nothing. */
static int close_world(void **state) {
  (void)state;
  support_assert_heard(&world.owners[0], "S");
  support_peer_free(&peer);
  support_world_close(&world);
  assert_int_equal(closed, opened);
  return 0;
}

static void reopen(void) {
  close_world(NULL);
  open_as(false);
}

static void send_text(const char *text) {
  support_peer_send(&peer, SUPPORT_PSH, text, strlen(text));
  support_peer_run(&peer);
}

/* The body of the answer, whose header must say this status and this length. */
static const uint8_t *body(int status, uint64_t length, size_t *there) {
  char line[64];
  snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
  assert_true(peer.length > 20);
  assert_memory_equal(peer.data, line, strlen(line));
  const uint8_t *end = memmem(peer.data, peer.length, "\r\n\r\n", 4);
  assert_non_null(end);
  snprintf(line, sizeof line, "\r\nContent-Length: %llu\r\n", (unsigned long long)length);
  assert_non_null(memmem(peer.data, peer.length, line, strlen(line)));
  assert_non_null(memmem(peer.data, (size_t)(end - peer.data) + 2, "\r\nConnection: close\r\n", 21));
  *there = peer.length - (size_t)(end + 4 - peer.data);
  return end + 4;
}

static void expect_body(int status, size_t length) {
  size_t there;
  const uint8_t *at = body(status, length, &there);
  assert_int_equal(there, length);
  for (size_t i = 0; i < length; i++)
    if (at[i] != byte_at(i)) fail_msg("byte %zu: %u != %u", i, at[i], byte_at(i));
}

static void expect_orderly_end(void) {
  assert_true(peer.fin);
  assert_false(peer.reset);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_false(peer.reset);
  assert_int_equal(peer.acked, peer.next);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_requests(void **state) {
  (void)state;
  static const struct {
    const char *request, *path;
    size_t length;
  } cases[] = {
      {"GET / HTTP/1.0\r\n\r\n", "/", 100},
      {"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "/", 100},
      {"GET /some/file?with=query HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n", "/some/file",
       100},
      {"GET /long HTTP/1.1\r\n\r\n", "/long", 300000},
      {"GET /empty HTTP/1.0\r\n\r\n", "/empty", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (i > 0) reopen();
    send_text(cases[i].request);
    assert_string_equal(asked, cases[i].path);
    expect_body(200, cases[i].length);
    expect_orderly_end();
  }
}

static void test_request_byte_by_byte(void **state) {
  (void)state;
  static const char request[] = "GET /abc HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t pieces = 2; pieces <= 5; pieces++) { /* httpd keeps five pieces of a request */
    if (pieces > 2) reopen();
    size_t at = 0, length = sizeof request - 1;
    for (size_t i = 0; i < pieces; i++) {
      size_t bytes = i + 1 == pieces ? length - at : 3;
      support_peer_send(&peer, SUPPORT_PSH, request + at, bytes);
      support_peer_run(&peer);
      at += bytes;
      if (i + 1 < pieces) assert_int_equal(peer.length, 0);
    }
    assert_string_equal(asked, "/abc");
    expect_body(200, 100);
    expect_orderly_end();
  }
}

static void test_request_in_very_many_pieces_is_answered_somehow(void **state) {
  (void)state;
  static const char request[] = "GET /abc HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t i = 0; i < sizeof request - 1 && !peer.fin && !peer.reset; i++) {
    support_peer_send(&peer, SUPPORT_PSH, request + i, 1);
    support_peer_run(&peer);
  }
  assert_true(peer.fin || peer.reset || peer.length > 0);
}

static void test_other_methods(void **state) {
  (void)state;
  static const char *const requests[] = {
      "HEAD / HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
      "BREW /pot HTCPCP/1.0\r\n\r\n",
      "DELETE / HTTP/1.1\r\n\r\n",
      "\r\n\r\n",
      "GET\r\n\r\n",
      "GET /\r\n\r\n",
      "get / http/1.0\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    if (i > 0) reopen();
    send_text(requests[i]);
    if (!peer.fin && !peer.reset)
      support_lab_pass(&world.lab, 200 * SUPPORT_S); /* it waits for more, but not for ever */
    support_peer_run(&peer);
    assert_true(peer.fin || peer.reset);
  }
}

static void test_status_of_the_content(void **state) {
  (void)state;
  send_text("GET /missing HTTP/1.1\r\n\r\n");
  expect_body(404, 100);
  expect_orderly_end();
}

static void test_content_that_refuses(void **state) {
  (void)state;
  send_text("GET /none HTTP/1.1\r\n\r\n");
  assert_true(peer.fin || peer.reset);
}

static void test_content_that_ends_early(void **state) {
  (void)state;
  send_text("GET /short HTTP/1.1\r\n\r\n");
  size_t there;
  body(200, 5000, &there);
  assert_int_equal(there, 3000);
  assert_true(peer.fin);
}

static void test_five_gigabytes_begin_well(void **state) {
  (void)state;
  peer.mute = true;
  send_text("GET /huge HTTP/1.1\r\n\r\n");
  peer.mute = false;
  for (int i = 0; i < 200 && peer.length < 1000000; i++) {
    support_peer_ack(&peer, peer.expected);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    while (support_peer_take(&peer, &segment)) {
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
  }
  size_t there;
  const uint8_t *at = body(200, FIVE_GIGABYTES, &there);
  assert_true(there > 500000);
  for (size_t i = 0; i < there; i += 101) assert_int_equal(at[i], byte_at(i));
  assert_false(peer.fin);
}

static void test_client_resets_in_the_middle(void **state) {
  (void)state;
  peer.mute = true;
  send_text("GET /huge HTTP/1.1\r\n\r\n");
  assert_int_equal(opened, 1);
  assert_int_equal(closed, 0);
  support_peer_raw(&peer, peer.next, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  assert_int_equal(closed, 1);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
  assert_int_equal(support_world_stats(&world).flows_closed, 1);
}

/* The stack loses patience before httpd does: the file is closed, and httpd keeps no memory. */
static void test_client_is_idle_in_the_middle(void **state) {
  (void)state;
  idle_ms = 10000;
  reopen();
  peer.mute = true;
  send_text("GET /huge HTTP/1.1\r\n\r\n");
  assert_int_equal(opened, 1);
  for (unsigned second = 0; second < 12; second++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_skip(&peer);
  }
  assert_true(peer.reset);
  assert_int_equal(closed, 1);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_client_vanishes_in_the_middle(void **state) {
  (void)state;
  peer.mute = true;
  send_text("GET /huge HTTP/1.1\r\n\r\n");
  support_lab_pass(&world.lab, 2000 * SUPPORT_S);
  support_peer_skip(&peer);
  assert_int_equal(closed, 1);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
}

static void test_client_that_asks_nothing_is_let_go(void **state) {
  (void)state;
  support_lab_pass(&world.lab, 300 * SUPPORT_S);
  support_peer_run(&peer);
  assert_true(peer.fin || peer.reset);
}

static void test_client_ends_before_the_answer_is_through(void **state) {
  (void)state;
  peer.mute = true;
  send_text("GET /long HTTP/1.1\r\n\r\n");
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0); /* half-closes: httpd takes that for good-bye */
  support_lab_flush(&world.lab);
  peer.mute = false;
  for (int i = 0; i < 20; i++) {
    support_peer_ack(&peer, peer.expected);
    support_peer_run(&peer);
  }
  assert_true(peer.fin || peer.reset);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_pipelined_rubbish(void **state) {
  (void)state;
  static uint8_t rubbish[4000];
  uint64_t seed = 5;
  for (size_t i = 0; i < sizeof rubbish; i++) rubbish[i] = (uint8_t)support_random(&seed);
  peer.mute = true;
  send_text("GET /long HTTP/1.1\r\n\r\n");
  for (int i = 0; i < 20; i++) {
    support_peer_send(&peer, SUPPORT_PSH, rubbish, 1400);
    support_lab_flush(&world.lab);
  }
  peer.mute = false;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  if (peer.reset) return;
  for (int i = 0; i < 50 && !peer.fin; i++) {
    support_peer_ack(&peer, peer.expected);
    support_peer_run(&peer);
  }
  expect_body(200, 300000);
  assert_true(peer.fin);
}

static void test_rubbish_alone(void **state) {
  (void)state;
  uint64_t seed = 9;
  for (int round = 0; round < 50; round++) {
    if (round > 0) reopen();
    uint8_t rubbish[1400];
    size_t length = 1 + support_random(&seed) % sizeof rubbish;
    for (size_t i = 0; i < length; i++) rubbish[i] = (uint8_t)support_random(&seed);
    if (round % 2) memcpy(rubbish, "GET ", length < 4 ? length : 4);
    support_peer_send(&peer, SUPPORT_PSH, rubbish, length);
    support_peer_run(&peer);
    support_lab_pass(&world.lab, SUPPORT_S);
  }
}

static void test_slow_client_gets_everything(void **state) {
  (void)state;
  peer.window = 1 << 16;
  peer.mute = true;
  send_text("GET /long HTTP/1.1\r\n\r\n");
  uint32_t taken = peer.begin + 1;
  for (unsigned second = 0; second < 200 && !(peer.fin && taken == peer.expected); second++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_run(&peer);
    taken = peer.expected - taken > 3000 ? taken + 3000 : peer.expected;
    support_peer_ack(&peer, taken);
    support_peer_run(&peer);
  }
  expect_body(200, 300000);
  support_lab_pass(&world.lab, 5 * SUPPORT_S);
  peer.mute = false;
  expect_orderly_end();
}

#define with(open, test) cmocka_unit_test_setup_teardown(test, open, close_world)
#define both(test)                                                                                                     \
  with(open4, test), {                                                                                                 \
#test " (IPv6)", test, open6, close_world, NULL                                                                    \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      with(open4, test_requests),
      with(open4, test_request_byte_by_byte),
      with(open4, test_request_in_very_many_pieces_is_answered_somehow),
      with(open4, test_other_methods),
      both(test_status_of_the_content),
      with(open4, test_content_that_refuses),
      both(test_content_that_ends_early),
      both(test_five_gigabytes_begin_well),
      with(open4, test_client_resets_in_the_middle),
      with(open4, test_client_is_idle_in_the_middle),
      with(open4, test_client_vanishes_in_the_middle),
      with(open4, test_client_that_asks_nothing_is_let_go),
      with(open4, test_client_ends_before_the_answer_is_through),
      with(open4, test_pipelined_rubbish),
      with(open4, test_rubbish_alone),
      with(open4, test_slow_client_gets_everything),
  };
  return cmocka_run_group_tests_name("httpd", tests, NULL, NULL);
}
