/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Path MTU discovery: routers that have trouble (RFC 1191, RFC 8201), and attackers who say so (RFC 5927).
 */
#include "support_ip.h"
#include "support_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 150000, FLIGHT = 14600, UDP = 17 };

static struct support_world world;
static struct support_peer peer;
static struct support_owner *owner;
static char pattern[BYTES];
static uint8_t message[SUPPORT_PACKET_MAX];

static void with_offload(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
}

static void without_offload(struct adit_stack_options *options) {
  options->offload = 0;
}

static void open_with(bool offload, bool v6, bool stamps) {
  support_world_open(&world, 4, offload ? with_offload : without_offload);
  peer = support_peer_at(&world, v6, 40000);
  peer.stamps = stamps;
  peer.window = 1000000;
  peer.scale = 7;
  support_peer_connect(&peer);
  owner = &world.owners[0];
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i * 7 + i / 251);
  assert_int_equal(adit_flow_write(owner->flow, pattern, sizeof pattern), sizeof pattern);
  support_lab_flush(&world.lab);
}

static void open_as(bool offload, bool v6) {
  open_with(offload, v6, false);
}

static void close_world(void) {
  support_peer_free(&peer);
  support_world_close(&world);
}

/* What a message says, and how far it is from the truth. */
struct lie {
  const char *what;
  uint32_t mtu;
  int64_t sequence; /* from the first byte under way */
  int port;         /* added to the client's */
  uint8_t code;     /* added to the right one */
  uint8_t protocol; /* of what is quoted; 0: TCP */
  size_t quoted;    /* bytes; 0: IP header and 8 */
  const char *to;   /* NULL: to whom the segment is from */
};

static void report(const struct lie *lie) {
  uint8_t body[8 + 128] = {0};
  uint16_t port = (uint16_t)(peer.port + lie->port);
  uint32_t sequence = peer.begin + 1 + (uint32_t)lie->sequence;
  uint8_t quote[SUPPORT_PACKET_MAX];
  if (peer.ipv6) {
    support_tcp6(quote, peer.server, peer.address, peer.server_port, port, sequence, 1, SUPPORT_ACK, 1, NULL, 0,
                 "12345678", 8);
  } else {
    support_tcp4(quote, peer.server, peer.address, peer.server_port, port, sequence, 1, SUPPORT_ACK, 1, NULL, 0,
                 "12345678", 8);
  }
  if (lie->protocol) quote[peer.ipv6 ? 6 : 9] = lie->protocol;
  size_t quoted = lie->quoted ? lie->quoted : peer.ipv6 ? 48 : 28;
  memcpy(body + 8, quote, quoted);
  body[0] = peer.ipv6 ? 2 : 3;
  body[1] = (uint8_t)((peer.ipv6 ? 0 : 4) + lie->code);
  body[4] = peer.ipv6 ? (uint8_t)(lie->mtu >> 24) : 0;
  body[5] = peer.ipv6 ? (uint8_t)(lie->mtu >> 16) : 0;
  body[6] = (uint8_t)(lie->mtu >> 8);
  body[7] = (uint8_t)lie->mtu;
  const char *to = lie->to ? lie->to : peer.server;
  size_t length = peer.ipv6 ? support_ip6(message, "2001:db8:9::1", to, 58, body, 8 + quoted)
                            : support_ip4(message, "203.0.113.99", to, 1, NULL, 0, body, 8 + quoted);
  support_seal(message, length);
  support_ip_input(&world.lab, message, length, NULL);
  support_lab_flush(&world.lab);
}

/* Take all that comes; nothing may be larger than `most` bytes of payload once it is cut. Returns the bytes. */
static size_t take_all(size_t most, uint32_t *first) {
  struct support_segment segment;
  size_t bytes = 0;
  while (support_peer_take(&peer, &segment)) {
    size_t size = segment.out->offload.gso_size ? segment.out->offload.gso_size : segment.length;
    assert_in_range(size, 1, most);
    assert_true(peer.ipv6 || (segment.out->bytes[6] & 0x40)); /* don't fragment */
    if (bytes == 0) *first = segment.sequence;
    bytes += segment.length;
    support_segment_free(&segment);
  }
  return bytes;
}

/* `payload` is what a segment takes over the path, timestamps included. */
static void check_narrower(bool offload, bool v6, bool stamps, uint32_t mtu, size_t payload) {
  open_with(offload, v6, stamps);
  uint32_t first, again = 0;
  size_t flight = take_all(1460, &first);
  assert_in_range(flight, FLIGHT - 1460, FLIGHT);
  report(&(struct lie){.mtu = mtu});
  peer.mss = (uint16_t)payload; /* from now on nothing larger is good */
  if (stamps) payload -= 12;
  size_t bytes = take_all(payload, &again);
  assert_int_equal(again, first);
  assert_in_range(bytes, flight - payload, flight + payload); /* all of it, at once: cwnd is as it was */
  report(&(struct lie){.mtu = mtu});                          /* once more says nothing new */
  support_world_expect_silence(&world);
  peer.expected = first;
  support_peer_ack(&peer, first);
  support_lab_pass(&world.lab, 3 * SUPPORT_S);
  support_peer_run(&peer);
  assert_int_equal(peer.length, BYTES);
  assert_memory_equal(peer.data, pattern, BYTES);
  close_world();
}

static void test_narrower_path(void **state) {
  static const struct {
    uint32_t mtu;
    size_t payload4;
  } cases[] = {{1400, 1360}, {1280, 1240}, {576, 536}, {552, 512}, {68, 512}, {0, 512}};
  (void)state;
  for (unsigned i = 0; i < 8 * sizeof cases / sizeof *cases; i++) {
    bool v6 = i & 1, offload = i & 2, stamps = i & 4;
    uint32_t mtu = cases[i / 8].mtu;
    if (v6 && mtu < 1280) continue;
    check_narrower(offload, v6, stamps, mtu, v6 ? mtu - 60 : cases[i / 8].payload4);
  }
}

/* A path can turn out to be narrower still, but a wider one is not believed. */
static void test_twice_narrower(void **state) {
  (void)state;
  uint32_t first;
  open_as(true, false);
  take_all(1460, &first);
  report(&(struct lie){.mtu = 1200});
  peer.mss = 1160;
  assert_true(take_all(1160, &first) > 0);
  report(&(struct lie){.mtu = 1300});
  support_world_expect_silence(&world);
  report(&(struct lie){.mtu = 800});
  peer.mss = 760;
  assert_true(take_all(760, &first) > 0);
  close_world();
}

static size_t size_once_cut(const struct support_segment *segment) {
  return segment->out->offload.gso_size ? segment->out->offload.gso_size : segment->length;
}

/* Take and acknowledge what comes in so much time. Nothing may be larger than `most`. */
static void take_for(uint64_t ns, size_t most) {
  for (uint64_t end_ns = world.lab.now_ns + ns; world.lab.now_ns < end_ns;) {
    struct support_segment segment;
    while (support_peer_take(&peer, &segment)) {
      assert_in_range(size_once_cut(&segment), 0, most);
      support_peer_learn(&peer, &segment);
      support_segment_free(&segment);
    }
    support_peer_ack(&peer, peer.expected);
    support_lab_flush(&world.lab);
    uint64_t left_ns = end_ns - world.lab.now_ns;
    support_lab_pass(&world.lab, left_ns < SUPPORT_S ? left_ns : SUPPORT_S);
  }
}

/* Write three full segments; the first one that comes has `size` bytes. All are lost. */
static void write_some(size_t full, size_t size) {
  struct support_segment segment;
  peer.mss = (uint16_t)size; /* it is checked against this */
  assert_int_equal(adit_flow_write(owner->flow, pattern, 3 * full), 3 * full);
  support_lab_flush(&world.lab);
  assert_true(support_peer_take(&peer, &segment));
  assert_int_equal(size_once_cut(&segment), size);
  assert_int_equal(segment.sequence, peer.expected);
  support_segment_free(&segment);
  support_peer_skip(&peer);
}

/* What was believed is forgotten after ten minutes, not before; then it can be told again, for ten minutes more. */
static void test_wider_again(void **state) {
  (void)state;
  for (int v6 = 0; v6 < 2; v6++)
    for (int offload = 0; offload < 2; offload++) {
      const size_t full = v6 ? 1440 : 1460, narrow = v6 ? 1240 : 1260;
      uint32_t first;
      open_as(offload, v6);
      take_all(full, &first);
      size_t bytes = BYTES;
      for (int round = 0; round < 2; round++) {
        report(&(struct lie){.mtu = 1300, .sequence = peer.expected - peer.begin - 1});
        uint64_t told_ns = world.lab.now_ns;
        peer.mss = (uint16_t)narrow;
        take_for(599 * SUPPORT_S, narrow);
        assert_int_equal(peer.length, bytes);
        write_some(full, narrow);
        bytes += 3 * full;
        take_for(told_ns + 600 * SUPPORT_S - world.lab.now_ns, narrow);
        peer.mss = (uint16_t)full;
        take_for(10 * SUPPORT_S, full);
        assert_int_equal(peer.length, bytes);
        write_some(full, full);
        bytes += 3 * full;
      }
      close_world();
    }
}

static void test_forged_messages(void **state) {
  static const struct lie lies[] = {
      {"an acknowledged byte", 1280, -1, 0, 0, 0, 0, NULL},
      {"long acknowledged", 1280, -100000, 0, 0, 0, 0, NULL},
      {"never sent", 1280, 3 * FLIGHT, 0, 0, 0, 0, NULL},
      {"anything", 1280, 1 << 30, 0, 0, 0, 0, NULL},
      {"another connection", 1280, 0, 1, 0, 0, 0, NULL},
      {"another code", 1280, 0, 0, 1, 0, 0, NULL},
      {"a datagram", 1280, 0, 0, 0, UDP, 0, NULL},
      {"too little", 1280, 0, 0, 0, 0, 27, NULL},
      {"nothing", 1280, 0, 0, 0, 0, 1, NULL},
      {"no news", 1500, 0, 0, 0, 0, 0, NULL},
      {"a wide path", 9000, 0, 0, 0, 0, 0, NULL},
  };
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    uint32_t first;
    open_as(true, v6);
    take_all(1460, &first);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
      report(&lies[i]);
      if (world.lab.first) print_error("believed: %s (IPv%d)\n", lies[i].what, v6 ? 6 : 4);
      support_world_expect_silence(&world);
    }
    report(&(struct lie){.mtu = 1280, .to = v6 ? "2001:db8:7::7" : "10.7.7.7"});
    support_world_expect_silence(&world);
    if (v6) report(&(struct lie){.mtu = 1279}); /* no IPv6 link is as narrow */
    support_world_expect_silence(&world);
    report(&(struct lie){.mtu = 1300});
    peer.mss = v6 ? 1240 : 1260;
    assert_true(take_all(v6 ? 1240 : 1260, &first) > 0); /* the truth is */
    close_world();
  }
}

/* The most that a liar who sees the segments can do: 552 bytes. */
static void test_no_narrower_than_that(void **state) {
  (void)state;
  uint32_t first;
  open_as(false, false);
  take_all(1460, &first);
  unsigned believed = 0;
  for (uint32_t mtu = 1499; mtu > 0; mtu--) {
    report(&(struct lie){.mtu = mtu});
    if (!world.lab.first) continue;
    believed++;
    take_all(1460, &first);
  }
  assert_in_range(believed, 1, 1500 - 552);
  report(&(struct lie){.mtu = 1});
  support_world_expect_silence(&world);
  close_world();
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_narrower_path),         cmocka_unit_test(test_twice_narrower),
      cmocka_unit_test(test_wider_again),           cmocka_unit_test(test_forged_messages),
      cmocka_unit_test(test_no_narrower_than_that),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
