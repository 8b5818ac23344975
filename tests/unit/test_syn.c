/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The park: SYNs that wait for an answer, the answers, and what may happen meanwhile.
 *
 * Long, because the cases share one world and its state builders, and each is short.
 */
#include "stack/httpd.h"
#include "support_ip.h"
#include "support_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 40000, IP4 = 20, IP6 = 40, ICMP = 8, TCP = 20 };

static struct support_world world;
static struct support_peer peer;

static int open_world(void **state) {
  (void)state;
  support_world_open(&world, 2000, NULL);
  world.holds = true;
  peer = support_peer_at(&world, false, PORT);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  support_peer_free(&peer);
  support_world_close(&world);
  return 0;
}

static struct support_owner *park(void) {
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  assert_true(world.count > 0);
  return &world.owners[world.count - 1];
}

/* ---- waiting ---- */

static void test_parked_syn_is_one_event_and_no_packet(void **state) {
  (void)state;
  struct support_owner *owner = park();
  for (int i = 0; i < 3; i++) {
    support_lab_pass(&world.lab, SUPPORT_S);
    support_peer_syn(&peer);
    support_lab_flush(&world.lab);
  }
  support_world_expect_silence(&world);
  assert_int_equal(world.count, 1);
  support_assert_heard(owner, "S");
  assert_int_equal(adit_flow_state(owner->flow), ADIT_FLOW_PARKED);
  assert_int_equal(support_world_stats(&world).flows_parked, 1);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_handle_tells_both_ends(void **state) {
  (void)state;
  struct support_owner *owner = park();
  char text[ADIT_ADDRESS_TEXT];
  assert_string_equal(adit_endpoint_format(adit_flow_local(owner->flow), text), "192.168.3.12:80");
  assert_string_equal(adit_endpoint_format(adit_flow_remote(owner->flow), text), "192.168.3.11:40000");
  assert_ptr_equal(adit_flow_stack(owner->flow), world.lab.stack);
  assert_ptr_equal(adit_flow_user(owner->flow), owner);
  assert_int_equal(adit_flow_room(owner->flow), 0);
  assert_int_equal(adit_flow_available(owner->flow), 0);
  assert_int_equal(adit_flow_write(owner->flow, "x", 1), -ENOTCONN);
  assert_int_equal(adit_flow_lend(owner->flow, "x", 1), -ENOTCONN);
  assert_int_equal(adit_flow_shutdown(owner->flow), -ENOTCONN);
}

static void finish_handshake(struct support_owner *owner) {
  support_peer_run(&peer);
  assert_true(peer.established);
  support_assert_heard(owner, "SE");
  support_peer_send(&peer, SUPPORT_PSH, "hello", 5);
  support_peer_run(&peer);
  support_assert_heard(owner, "SER");
  assert_int_equal(adit_flow_available(owner->flow), 5);
  assert_int_equal(support_world_stats(&world).flows_open, 1);
  assert_int_equal(support_world_stats(&world).flows_accepted, 1);
}

static void test_accept_inside_the_callback(void **state) {
  (void)state;
  world.holds = false;
  finish_handshake(park());
}

static void test_accept_much_later(void **state) {
  (void)state;
  struct support_owner *owner = park();
  support_lab_pass(&world.lab, 60 * SUPPORT_S);
  support_world_expect_silence(&world);
  assert_int_equal(adit_flow_accept(owner->flow), 0);
  assert_int_equal(adit_flow_accept(owner->flow), -EALREADY);
  assert_int_equal(adit_flow_refuse(owner->flow, ADIT_REFUSE_RESET), -EALREADY);
  assert_int_equal(adit_flow_drop(owner->flow), -EALREADY);
  support_world_expect_silence(&world); /* takes effect with the flush */
  finish_handshake(owner);
}

static void test_syn_ack_answers_the_options(void **state) {
  (void)state;
  world.holds = false;
  park();
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.first + 1);
  assert_int_equal(segment.mss, 1460);
  assert_int_equal(segment.scale, 9);
  assert_true(segment.sack_permitted);
  assert_int_equal(segment.window, 65535);
  support_segment_free(&segment);
}

static void test_syn_without_options(void **state) {
  (void)state;
  world.holds = false;
  peer.mss = 0;
  peer.scale = -1;
  peer.sack = false;
  peer.window = 60000;
  struct support_owner *owner = park();
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.mss, 1460);
  assert_int_equal(segment.scale, -1);
  assert_false(segment.sack_permitted);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SE");

  static uint8_t data[5000];
  support_pattern(data, sizeof data);
  assert_int_equal(adit_flow_write(owner->flow, data, sizeof data), sizeof data);
  support_peer_run(&peer); /* checks that no segment is above 536 bytes */
  assert_int_equal(peer.length, sizeof data);
  assert_memory_equal(peer.data, data, sizeof data);
  assert_int_equal(peer.segments, (sizeof data + 535) / 536);

  /* The window is not scaled: it closes from 65535 downwards, byte by byte. */
  support_peer_send(&peer, 0, data, 536);
  support_lab_flush(&world.lab);
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.window, 65535 - 536);
  support_segment_free(&segment);
}

static void test_syn_with_data_is_answered_without_them(void **state) {
  (void)state;
  uint8_t mss[] = {2, 4, 5, 180};
  support_peer_raw(&peer, peer.first, 0, SUPPORT_SYN, 65535, mss, sizeof mss, "early", 5);
  peer.next = peer.first + 1;
  peer.scale = -1;
  assert_int_equal(world.count, 1);
  assert_int_equal(adit_flow_accept(world.owners[0].flow), 0);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.first + 1);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  support_peer_send(&peer, SUPPORT_PSH, "early", 5); /* again, as RFC 9293 has it */
  support_peer_run(&peer);
  support_owner_read(&world.owners[0]);
  assert_int_equal(world.owners[0].length, 5);
  assert_memory_equal(world.owners[0].data, "early", 5);
}

static void test_client_that_starts_anew_while_parked(void **state) {
  (void)state;
  struct support_owner *owner = park();
  peer.first += 5000;
  support_peer_syn(&peer);
  assert_int_equal(world.count, 1);
  assert_int_equal(adit_flow_accept(owner->flow), 0);
  finish_handshake(owner); /* the SYN-ACK acknowledges the newer SYN */
}

/* ---- refusing ---- */

static void check_reset_of(bool ipv6) {
  peer = support_peer_at(&world, ipv6, PORT);
  struct support_owner *owner = park();
  assert_int_equal(adit_flow_refuse(owner->flow, ADIT_REFUSE_RESET), 0);
  owner->flow = NULL;
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_RST | SUPPORT_ACK, &segment);
  assert_int_equal(segment.sequence, 0);
  assert_int_equal(segment.acknowledgment, peer.first + 1);
  support_segment_free(&segment);
  support_assert_heard(owner, "S");
}

static void test_refuse_with_reset(void **state) {
  (void)state;
  check_reset_of(false);
  check_reset_of(true);
  assert_int_equal(support_world_stats(&world).flows_refused, 2);
}

static uint32_t sum_pseudo6(const uint8_t *ip, uint32_t length) {
  uint8_t rest[8] = {0, 0, (uint8_t)(length >> 8), (uint8_t)length, 0, 0, 0, IPPROTO_ICMPV6};
  return support_sum(support_sum(0, ip + 8, 32), rest, sizeof rest);
}

static void check_refusal(bool ipv6, enum adit_refusal how, uint8_t type, uint8_t code) {
  peer = support_peer_at(&world, ipv6, (uint16_t)(PORT + how));
  uint8_t sent[128], options[] = {2, 4, 5, 180};
  size_t length = (ipv6 ? support_tcp6 : support_tcp4)(sent, peer.address, peer.server, peer.port, 80, peer.first, 0,
                                                       SUPPORT_SYN, 65535, options, sizeof options, NULL, 0);
  support_lab_input(&world.lab, sent, length);
  struct support_owner *owner = &world.owners[world.count - 1];
  assert_int_equal(adit_flow_refuse(owner->flow, how), 0);
  owner->flow = NULL;
  support_lab_flush(&world.lab);
  struct support_out *out = support_lab_take(&world.lab);
  assert_non_null(out);
  support_world_expect_silence(&world);
  size_t ip = ipv6 ? IP6 : IP4;
  assert_int_equal(out->length, ip + ICMP + length);
  assert_int_equal(out->bytes[0] >> 4, ipv6 ? 6 : 4);
  assert_int_equal(ipv6 ? out->bytes[6] : out->bytes[9], ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  /* From the address that was asked for, to the one who asked. */
  size_t at = ipv6 ? 8 : 12, bytes = ipv6 ? 16 : 4;
  assert_memory_equal(out->bytes + at, sent + at + bytes, bytes);
  assert_memory_equal(out->bytes + at + bytes, sent + at, bytes);
  const uint8_t *icmp = out->bytes + ip;
  assert_int_equal(icmp[0], type);
  assert_int_equal(icmp[1], code);
  assert_int_equal(support_get32(icmp + 4), 0);
  assert_memory_equal(icmp + ICMP, sent, length);
  uint32_t sum = ipv6 ? sum_pseudo6(out->bytes, (uint32_t)(ICMP + length)) : 0;
  assert_int_equal(support_sum_field(support_sum(sum, icmp, ICMP + length)), 0);
  if (!ipv6) assert_int_equal(support_sum_field(support_sum(0, out->bytes, IP4)), 0);
  free(out);
}

static void test_refuse_with_icmp(void **state) {
  (void)state;
  static const struct {
    enum adit_refusal how;
    uint8_t type4, code4, type6, code6;
  } cases[] = {
      {ADIT_REFUSE_NET_UNREACHABLE, 3, 0, 1, 0},
      {ADIT_REFUSE_HOST_UNREACHABLE, 3, 1, 1, 3},
      {ADIT_REFUSE_PROHIBITED, 3, 13, 1, 1},
      {ADIT_REFUSE_TTL_EXPIRED, 11, 0, 3, 0},
  };
  assert_int_equal(sizeof cases / sizeof *cases, ADIT_REFUSALS - 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_refusal(false, cases[i].how, cases[i].type4, cases[i].code4);
    check_refusal(true, cases[i].how, cases[i].type6, cases[i].code6);
  }
}

static void test_refusal_that_does_not_exist(void **state) {
  (void)state;
  struct support_owner *owner = park();
  assert_int_equal(adit_flow_refuse(owner->flow, ADIT_REFUSALS), -EINVAL);
  assert_int_equal(adit_flow_accept(owner->flow), 0);
  finish_handshake(owner);
}

static void test_drop_answers_nothing_and_frees_the_tuple(void **state) {
  (void)state;
  struct support_owner *owner = park();
  assert_int_equal(adit_flow_drop(owner->flow), 0);
  support_lab_flush(&world.lab);
  support_world_expect_silence(&world);
  support_assert_heard(owner, "S");
  world.holds = false;
  finish_handshake(park());
  assert_int_equal(world.count, 2);
}

static void test_close_and_abort_refuse_a_parked_syn(void **state) {
  (void)state;
  void (*const ends[])(struct adit_flow *) = {adit_flow_close, adit_flow_abort};
  for (size_t i = 0; i < 2; i++) {
    struct support_owner *owner = park();
    ends[i](owner->flow);
    support_lab_flush(&world.lab);
    struct support_segment segment;
    support_peer_expect(&peer, SUPPORT_RST | SUPPORT_ACK, &segment);
    assert_int_equal(segment.acknowledgment, peer.first + 1);
    support_segment_free(&segment);
    support_assert_heard(owner, "S");
  }
}

static void test_refused_syn_that_comes_again_before_the_flush(void **state) {
  (void)state;
  support_peer_syn(&peer);
  assert_int_equal(adit_flow_refuse(world.owners[0].flow, ADIT_REFUSE_RESET), 0);
  support_peer_syn(&peer);
  support_peer_raw(&peer, peer.first + 1, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  assert_true(support_peer_skip(&peer) <= 1);
  assert_int_equal(world.count, 1);
}

/* ---- things that happen to a parked SYN ---- */

static void test_reset_while_parked(void **state) {
  (void)state;
  struct support_owner *owner = park();
  support_peer_raw(&peer, peer.first + 2, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0); /* not its sequence number */
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "S");
  support_peer_raw(&peer, peer.first + 1, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SC");
  assert_int_equal(owner->error, -ECONNRESET);
  support_world_expect_silence(&world);
}

static void test_client_gives_up(void **state) {
  (void)state;
  struct support_owner *owner = park();
  support_lab_pass(&world.lab, 60 * SUPPORT_S);
  support_peer_syn(&peer);
  support_lab_pass(&world.lab, 69 * SUPPORT_S);
  support_assert_heard(owner, "S");
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  support_assert_heard(owner, "SC");
  assert_int_equal(owner->error, -ETIMEDOUT);
  support_world_expect_silence(&world);
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
}

static void few_parked(struct adit_stack_options *options) {
  options->parked = 3;
}

static void syn_from(uint16_t port) {
  peer = support_peer_at(&world, false, port);
  support_peer_syn(&peer);
}

static void test_oldest_makes_room(void **state) {
  (void)state;
  support_world_close(&world);
  support_world_open(&world, 100, few_parked);
  world.holds = true;
  for (uint16_t i = 0; i < 3; i++) syn_from((uint16_t)(PORT + i));
  syn_from(PORT); /* the first comes again: now the second is the oldest */
  syn_from(PORT + 3);
  support_lab_flush(&world.lab);
  support_assert_heard(&world.owners[0], "S");
  support_assert_heard(&world.owners[1], "SC");
  assert_int_equal(world.owners[1].error, -ENOBUFS);
  support_assert_heard(&world.owners[2], "S");
  support_assert_heard(&world.owners[3], "S");
  assert_int_equal(support_world_stats(&world).drops[ADIT_DROP_PARKED], 1);
  support_world_expect_silence(&world);
}

static void test_answered_syns_do_not_count_as_parked(void **state) {
  (void)state;
  support_world_close(&world);
  support_world_open(&world, 100, few_parked);
  for (uint16_t i = 0; i < 20; i++) syn_from((uint16_t)(PORT + i)); /* one burst, each accepted in its callback */
  support_lab_flush(&world.lab);
  for (unsigned i = 0; i < 20; i++) {
    support_assert_heard(&world.owners[i], "S");
    assert_int_equal(adit_flow_state(world.owners[i].flow), ADIT_FLOW_ACCEPTED);
  }
  assert_int_equal(support_world_stats(&world).drops[ADIT_DROP_PARKED], 0);
  assert_int_equal(support_world_stats(&world).flows_accepted, 20);
  unsigned answers = 0;
  for (struct support_out *out; (out = support_lab_take(&world.lab)); answers++) free(out);
  assert_int_equal(answers, 20);
}

static void test_no_owner_means_reset(void **state) {
  (void)state;
  static const struct adit_stack_events none = {0};
  struct support_lab lab;
  support_lab_open(&lab, &none, NULL);
  uint8_t packet[64];
  size_t length = support_tcp4(packet, "192.168.3.11", "192.168.3.12", PORT, 80, 77, 0, SUPPORT_SYN, 1000, NULL, 0,
                               NULL, 0);
  support_lab_input(&lab, packet, length);
  struct support_out *out = support_lab_take(&lab);
  assert_non_null(out);
  assert_int_equal(out->bytes[IP4 + 13], SUPPORT_RST | SUPPORT_ACK);
  assert_int_equal(support_get32(out->bytes + IP4 + 8), 78);
  free(out);
  assert_null(support_lab_take(&lab));
  support_lab_close(&lab);
}

/* ---- between accept and flush ---- */

static struct support_owner *accept_now(void) {
  support_peer_syn(&peer);
  struct support_owner *owner = &world.owners[world.count - 1];
  assert_int_equal(adit_flow_accept(owner->flow), 0);
  assert_int_equal(adit_flow_state(owner->flow), ADIT_FLOW_ACCEPTED);
  return owner;
}

static void write_at_writable(struct support_owner *owner, char event) {
  if (event == 'W') assert_int_equal(adit_flow_write(owner->flow, "welcome", 7), 7);
}

static void test_write_before_the_flush_is_told_writable(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  owner->act = write_at_writable;
  assert_int_equal(adit_flow_write(owner->flow, "welcome", 7), 0);
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SW");
  struct support_segment segment; /* the bytes wait for the handshake */
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_int_equal(peer.length, 7);
  support_assert_heard(owner, "SWE");
}

static void check_end_before_handshake(void (*end)(struct adit_flow *), const char *heard) {
  struct support_owner *owner = accept_now();
  end(owner->flow);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment); /* and no FIN yet */
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  assert_true(peer.fin);
  assert_false(peer.reset);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_int_equal(peer.acked, peer.next);
  support_assert_heard(owner, heard);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void shutdown_void(struct adit_flow *flow) {
  assert_int_equal(adit_flow_shutdown(flow), 0);
}

static void test_shutdown_before_the_flush(void **state) {
  (void)state;
  check_end_before_handshake(shutdown_void, "SEPC");
}

static void test_close_before_the_flush(void **state) {
  (void)state;
  check_end_before_handshake(adit_flow_close, "S");
}

static void test_abort_before_the_flush_is_a_refusal(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  adit_flow_abort(owner->flow);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_RST | SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, peer.first + 1);
  support_segment_free(&segment);
  support_assert_heard(owner, "S");
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_write_and_close_after_syn_ack(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  support_lab_flush(&world.lab);
  static uint8_t data[100000];
  support_pattern(data, sizeof data);
  assert_int_equal(adit_flow_write(owner->flow, data, sizeof data), sizeof data);
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  assert_int_equal(peer.length, sizeof data);
  assert_memory_equal(peer.data, data, sizeof data);
  assert_true(peer.fin);
  support_assert_heard(owner, "S");
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

static void test_reset_between_accept_and_flush(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  support_peer_raw(&peer, peer.first + 1, 0, SUPPORT_RST, 0, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  support_world_expect_silence(&world);
  support_assert_heard(owner, "SC");
  assert_int_equal(owner->error, -ECONNRESET);
  assert_int_equal(support_world_stats(&world).flows_open, 0);
}

/* ---- handshake ---- */

static void test_syn_ack_is_sent_again_and_given_up(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  support_lab_pass(&world.lab, 1100 * SUPPORT_MS);
  assert_int_equal(support_peer_skip(&peer), 1);
  support_peer_syn(&peer); /* repeated: the SYN-ACK was lost */
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  support_segment_free(&segment);
  support_lab_pass(&world.lab, 30 * SUPPORT_S);
  support_assert_heard(owner, "SC");
  assert_int_equal(owner->error, -ETIMEDOUT);
  support_peer_skip(&peer);
}

static void test_repeated_syn_does_not_raise_the_mss(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  support_lab_flush(&world.lab);
  assert_int_equal(support_peer_skip(&peer), 1);
  peer.mss = 8960; /* the link's MTU is 1500: support_peer_take checks that it is kept */
  support_peer_syn(&peer);
  support_peer_run(&peer);
  static uint8_t data[50000];
  assert_int_equal(adit_flow_write(owner->flow, data, sizeof data), sizeof data);
  support_peer_run(&peer);
  assert_int_equal(peer.length, sizeof data);
}

static void test_data_with_the_last_ack_of_the_handshake(void **state) {
  (void)state;
  struct support_owner *owner = accept_now();
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_SYN | SUPPORT_ACK, &segment);
  support_peer_learn(&peer, &segment);
  support_segment_free(&segment);
  support_peer_send(&peer, SUPPORT_PSH | SUPPORT_FIN, "all", 3);
  support_peer_run(&peer);
  support_assert_heard(owner, "SERP");
  assert_int_equal(adit_flow_available(owner->flow), 3);
}

/* ---- TIME-WAIT ---- */

static struct support_owner *to_time_wait(void) {
  world.holds = false;
  support_peer_connect(&peer);
  struct support_owner *owner = &world.owners[world.count - 1];
  support_peer_send(&peer, SUPPORT_PSH, "x", 1);
  support_lab_flush(&world.lab);
  support_owner_read(owner);
  adit_flow_close(owner->flow);
  support_peer_run(&peer);
  support_peer_send(&peer, SUPPORT_FIN, NULL, 0);
  support_peer_run(&peer);
  assert_true(peer.fin);
  assert_int_equal(peer.acked, peer.next);
  support_world_expect_silence(&world);
  return owner;
}

static void test_newer_syn_reopens_time_wait(void **state) {
  (void)state;
  to_time_wait();
  uint32_t old = peer.begin;
  peer = support_peer_at(&world, false, PORT);
  peer.first += 100;
  support_lab_pass(&world.lab, 10 * SUPPORT_MS);
  support_peer_connect(&peer);
  assert_int_equal(world.count, 2);
  assert_true((int32_t)(peer.begin - old) > 0);
  assert_int_equal(support_world_stats(&world).flows_open, 1);
}

static void test_older_syn_in_time_wait_is_acknowledged(void **state) {
  (void)state;
  to_time_wait();
  uint32_t expected = peer.expected, next = peer.next;
  support_peer_raw(&peer, peer.first, 0, SUPPORT_SYN, 65535, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment);
  assert_int_equal(segment.acknowledgment, next);
  assert_int_equal(segment.sequence, expected);
  support_segment_free(&segment);
  assert_int_equal(world.count, 1);
}

static void test_time_wait_ends_after_a_minute(void **state) {
  (void)state;
  to_time_wait();
  support_lab_pass(&world.lab, 59 * SUPPORT_S);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 100, NULL, 0, "y", 1);
  support_lab_flush(&world.lab);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_ACK, &segment); /* still known */
  support_segment_free(&segment);
  support_lab_pass(&world.lab, 2 * SUPPORT_S);
  assert_int_equal(support_world_stats(&world).flows_closed, 1);
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
  support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_ACK, 100, NULL, 0, NULL, 0);
  support_peer_expect(&peer, SUPPORT_RST, &segment);
  assert_int_equal(segment.sequence, peer.expected);
  support_segment_free(&segment);
}

/* The peer has not heard our last acknowledgment: from then on it is a minute again (RFC 9293, 3.10.7.4). RST is not heard. */
static void test_fin_in_time_wait_begins_it_anew(void **state) {
  (void)state;
  struct support_segment segment;
  to_time_wait();
  for (unsigned i = 0; i < 2; i++) {
    support_lab_pass(&world.lab, 59 * SUPPORT_S);
    support_peer_raw(&peer, peer.next - 1, peer.expected, SUPPORT_FIN | SUPPORT_ACK, 100, NULL, 0, NULL, 0);
    support_lab_flush(&world.lab);
    support_peer_expect(&peer, SUPPORT_ACK, &segment);
    assert_int_equal(segment.acknowledgment, peer.next);
    support_segment_free(&segment);
    support_peer_raw(&peer, peer.next, peer.expected, SUPPORT_RST | SUPPORT_ACK, 100, NULL, 0, "y", 1);
    support_lab_flush(&world.lab);
    support_world_expect_silence(&world);
  }
  support_lab_pass(&world.lab, 61 * SUPPORT_S);
  assert_true(adit_stack_deadline(world.lab.stack) == UINT64_MAX);
}

/* What is left of a connection that both sides have ended is little, and there is a bound on it. */
static void test_many_in_time_wait(void **state) {
  (void)state;
  enum { RECORD = 160, KEPT = 16384, CONNECTIONS = KEPT + 100 };
  size_t before = support_world_stats(&world).memory_bytes;
  world.holds = false;
  for (unsigned i = 0; i < CONNECTIONS; i++) {
    struct support_peer one = support_peer_at(&world, false, (uint16_t)(1024 + i));
    world.count = 0;
    world.owners[0] = (struct support_owner){0};
    support_peer_connect(&one);
    adit_flow_close(world.owners[0].flow);
    support_peer_run(&one);
    support_peer_send(&one, SUPPORT_FIN, NULL, 0);
    support_peer_run(&one);
    assert_true(one.fin);
    support_peer_free(&one);
  }
  assert_int_equal(support_world_stats(&world).flows_open, 0);
  size_t each = (support_world_stats(&world).memory_bytes - before) / KEPT;
  assert_in_range(each, 1, RECORD);
  support_lab_pass(&world.lab, 62 * SUPPORT_S);
  assert_int_equal(support_world_stats(&world).memory_bytes, before);
}

/* A thousand clients refused at once all hear of it: who does not waits a second and asks again. */
static void test_a_thousand_refusals_at_once(void **state) {
  (void)state;
  enum { CLIENTS = 1000 };
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct support_peer one = support_peer_at(&world, false, (uint16_t)(1024 + i));
    support_peer_syn(&one);
    assert_int_equal(adit_flow_refuse(world.owners[i].flow, ADIT_REFUSE_HOST_UNREACHABLE), 0);
  }
  support_lab_flush(&world.lab);
  assert_int_equal(support_ip_waiting(&world.lab), CLIENTS);
  support_ip_forget(&world.lab);
}

static void test_resets_for_strays_are_limited(void **state) {
  (void)state;
  unsigned resets = 0;
  for (unsigned i = 0; i < 1000; i++) {
    support_peer_raw(&peer, 1, 2, SUPPORT_ACK, 100, NULL, 0, NULL, 0);
    support_lab_flush(&world.lab);
    resets += support_peer_skip(&peer);
  }
  assert_int_equal(resets, 100);
  support_lab_pass(&world.lab, SUPPORT_S / 100);
  for (unsigned i = 0; i < 1000; i++) support_peer_raw(&peer, 1, 2, SUPPORT_ACK, 100, NULL, 0, NULL, 0);
  support_lab_flush(&world.lab);
  assert_in_range(support_peer_skip(&peer), 9, 12);
}

/* ---- strange segments ---- */

static void test_no_flags_combination_harms_a_closed_or_idle_port(void **state) {
  (void)state;
  world.holds = true;
  world.limit = 2000;
  for (unsigned flags = 0; flags < 64; flags++) {
    for (uint16_t port = 0; port < 2; port++) {
      peer = support_peer_at(&world, flags & 1, (uint16_t)(PORT + flags));
      peer.server_port = port;
      support_peer_raw(&peer, 1, flags & SUPPORT_ACK ? 5 : 0, (uint8_t)flags, 1000, NULL, 0, NULL, 0);
      support_lab_flush(&world.lab);
    }
  }
  for (struct support_out *out; (out = support_lab_take(&world.lab));) free(out);
}

static void test_port_zero_is_refused(void **state) {
  (void)state;
  peer.server_port = 0;
  support_peer_syn(&peer);
  support_lab_flush(&world.lab);
  assert_int_equal(world.count, 0);
  struct support_segment segment;
  support_peer_expect(&peer, SUPPORT_RST | SUPPORT_ACK, &segment);
  support_segment_free(&segment);
}

/* ---- two listeners ---- */

static size_t read_page(void *handle, uint64_t offset, void *buffer, size_t length) {
  (void)handle;
  memset(buffer, 'a' + (int)(offset % 26), length);
  return length;
}

static int open_page(void *user, const char *path, adit_endpoint local, adit_endpoint remote,
                     struct adit_httpd_file *file) {
  (void)user;
  (void)path;
  (void)local;
  (void)remote;
  *file = (struct adit_httpd_file){.status = 200, .type = "text/plain", .length = 10, .read = read_page};
  return 0;
}

static void test_httpd_and_owner_on_one_port_do_not_mix(void **state) {
  (void)state;
  static const struct adit_httpd_content content = {.open = open_page};
  assert_int_equal(adit_httpd_accept(park()->flow), -EINVAL); /* not started */
  assert_int_equal(adit_flow_drop(world.owners[0].flow), 0);
  support_lab_flush(&world.lab);
  assert_int_equal(adit_httpd_start(world.lab.stack, &content, NULL), 0);
  assert_int_equal(adit_httpd_start(world.lab.stack, &content, NULL), -EALREADY);

  struct support_peer peers[6];
  for (uint16_t i = 0; i < 6; i++) { /* all in one burst, by turns */
    peers[i] = support_peer_at(&world, i % 4 == 3, (uint16_t)(PORT + 1 + i));
    support_peer_syn(&peers[i]);
    struct adit_flow *flow = world.owners[world.count - 1].flow;
    assert_int_equal(i % 2 ? adit_httpd_accept(flow) : adit_flow_accept(flow), 0);
  }
  for (unsigned i = 0; i < 6; i++) {
    struct support_owner *owner = &world.owners[1 + i];
    support_peer_run(&peers[i]);
    support_peer_send(&peers[i], SUPPORT_PSH, "GET / HTTP/1.0\r\n\r\n", 18);
    support_peer_run(&peers[i]);
    support_assert_heard(owner, i % 2 ? "S" : "SER");
    if (i % 2) {
      assert_true(peers[i].fin);
      assert_true(peers[i].length > 10);
      assert_memory_equal(peers[i].data, "HTTP/1.1 200", 12);
    } else {
      assert_int_equal(peers[i].length, 0);
      assert_int_equal(adit_flow_available(owner->flow), 18);
    }
    support_peer_free(&peers[i]);
  }
}

/* ---- budget ---- */

static void small_budget(struct adit_stack_options *options) {
  options->budget_bytes = 2 << 20;
  options->send_bytes = 1 << 16;
}

static void test_spent_budget_refuses_new_flows_and_keeps_old_ones(void **state) {
  (void)state;
  support_world_close(&world);
  support_world_open(&world, 2000, small_budget);
  static uint8_t data[1 << 16];
  support_pattern(data, sizeof data);
  unsigned accepted = 0, refused = 0;
  world.holds = true;
  for (uint16_t i = 0; i < 200; i++) { /* each keeps 64 KiB waiting */
    struct support_peer client = support_peer_at(&world, false, (uint16_t)(PORT + i));
    unsigned before = world.count;
    support_peer_syn(&client);
    if (world.count == before) {
      refused++;
      continue;
    }
    struct support_owner *owner = &world.owners[before];
    if (adit_flow_accept(owner->flow) != 0) {
      assert_int_equal(adit_flow_drop(owner->flow), 0);
      refused++;
      continue;
    }
    client.mute = false;
    support_peer_run(&client);
    if (!client.established) {
      assert_int_equal(owner->error, -ENOBUFS);
      refused++;
      continue;
    }
    accepted++;
    client.mute = true;
    adit_flow_write(owner->flow, data, sizeof data);
    support_peer_run(&client);
    support_peer_free(&client);
    if (i == 0) peer = client;
  }
  assert_true(accepted > 10);
  assert_true(refused > 50);
  assert_true(support_world_stats(&world).memory_bytes <= 2 << 20);
  assert_true(support_world_stats(&world).drops[ADIT_DROP_MEMORY] > 0);
  assert_int_equal(support_world_stats(&world).flows_open, accepted);

  /* The first one still works, both ways. */
  struct support_owner *owner = &world.owners[0];
  peer.mute = false;
  peer.data = NULL;
  peer.length = peer.size = 0;
  support_peer_ack(&peer, peer.expected);
  support_peer_run(&peer);
  support_peer_send(&peer, SUPPORT_PSH, "still here", 10);
  support_peer_run(&peer);
  support_owner_read(owner);
  assert_int_equal(owner->length, 10);
  assert_int_equal(adit_flow_write(owner->flow, data, 1000), 1000);
  size_t had = peer.length;
  support_peer_run(&peer);
  assert_int_equal(peer.length, had + 1000);
}

static void test_budget_spent_between_accept_and_flush(void **state) {
  (void)state;
  support_world_close(&world);
  support_world_open(&world, 10, small_budget);
  static uint8_t data[1 << 16];
  struct support_peer hogs[9];
  for (uint16_t i = 0; i < 9; i++) {
    hogs[i] = support_peer_at(&world, false, (uint16_t)(PORT + 1 + i));
    support_peer_connect(&hogs[i]);
  }
  world.holds = true;
  support_peer_syn(&peer);
  struct support_owner *owner = &world.owners[9];
  assert_int_equal(adit_flow_accept(owner->flow), 0);
  uint64_t seed = 4;
  for (unsigned i = 0; i < 9; i++) { /* pieces from everywhere: a pbuf each */
    for (size_t at;
         (at = support_random(&seed) % (sizeof data - 2)), adit_flow_lend(world.owners[i].flow, data + at, 2) == 2;)
      continue;
  }
  support_lab_flush(&world.lab);
  support_assert_heard(owner, "SC");
  assert_int_equal(owner->error, -ENOBUFS);
  assert_int_equal(support_world_stats(&world).flows_open, 9);
  for (struct support_out *out; (out = support_lab_take(&world.lab));) free(out);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void) {
  const struct CMUnitTest tests[] = {
      with_world(test_parked_syn_is_one_event_and_no_packet),
      with_world(test_handle_tells_both_ends),
      with_world(test_accept_inside_the_callback),
      with_world(test_accept_much_later),
      with_world(test_syn_ack_answers_the_options),
      with_world(test_syn_without_options),
      with_world(test_syn_with_data_is_answered_without_them),
      with_world(test_client_that_starts_anew_while_parked),
      with_world(test_refuse_with_reset),
      with_world(test_refuse_with_icmp),
      with_world(test_refusal_that_does_not_exist),
      with_world(test_drop_answers_nothing_and_frees_the_tuple),
      with_world(test_close_and_abort_refuse_a_parked_syn),
      with_world(test_refused_syn_that_comes_again_before_the_flush),
      with_world(test_reset_while_parked),
      with_world(test_client_gives_up),
      with_world(test_oldest_makes_room),
      with_world(test_answered_syns_do_not_count_as_parked),
      with_world(test_no_owner_means_reset),
      with_world(test_write_before_the_flush_is_told_writable),
      with_world(test_shutdown_before_the_flush),
      with_world(test_close_before_the_flush),
      with_world(test_abort_before_the_flush_is_a_refusal),
      with_world(test_write_and_close_after_syn_ack),
      with_world(test_reset_between_accept_and_flush),
      with_world(test_syn_ack_is_sent_again_and_given_up),
      with_world(test_repeated_syn_does_not_raise_the_mss),
      with_world(test_data_with_the_last_ack_of_the_handshake),
      with_world(test_newer_syn_reopens_time_wait),
      with_world(test_older_syn_in_time_wait_is_acknowledged),
      with_world(test_time_wait_ends_after_a_minute),
      with_world(test_fin_in_time_wait_begins_it_anew),
      with_world(test_many_in_time_wait),
      with_world(test_a_thousand_refusals_at_once),
      with_world(test_resets_for_strays_are_limited),
      with_world(test_no_flags_combination_harms_a_closed_or_idle_port),
      with_world(test_port_zero_is_refused),
      with_world(test_httpd_and_owner_on_one_port_do_not_mix),
      with_world(test_spent_budget_refuses_new_flows_and_keeps_old_ones),
      with_world(test_budget_spent_between_accept_and_flush),
  };
  return cmocka_run_group_tests_name("syn", tests, NULL, NULL);
}
