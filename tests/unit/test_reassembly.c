/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Fragments become packets again: in any order, once, within bounds of length, number and time.
 */
#include "support_ip.h"
#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define STACK4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define STACK6 "fdad:3::12"
#define SECOND 1000000000u

enum { HELD = 256 /* packets in the making */ };

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t data[65536];

static struct {
  unsigned count;
  size_t length;
  uint16_t port;
  uint8_t bytes[65536];
} seen;

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  (void)user;
  seen.count++;
  seen.length = datagram->length;
  seen.port = datagram->remote.port;
  size_t at = 0;
  for (unsigned i = 0; i < datagram->iovcnt; i++) {
    memcpy(seen.bytes + at, datagram->iov[i].iov_base, datagram->iov[i].iov_len);
    at += datagram->iov[i].iov_len;
  }
}

static const struct adit_stack_events events = {.datagram = on_datagram};

static size_t build(bool v6, uint16_t port, size_t length) {
  return v6 ? support_udp6(packet, CLIENT6, STACK6, port, 7, data, length)
            : support_udp4(packet, CLIENT4, STACK4, port, 7, data, length);
}

/* ---- fragments kept, to be given in another order ----------------------------------------------------------------- */

static struct {
  size_t count;
  size_t lengths[64];
  uint8_t bytes[64][2048];
} cut;

static void keep(void *user, const uint8_t *fragment, size_t length) {
  (void)user;
  assert_in_range(cut.count, 0, 63);
  assert_in_range(length, 1, 2048);
  memcpy(cut.bytes[cut.count], fragment, length);
  cut.lengths[cut.count++] = length;
}

/* Cut a datagram of `bytes` into fragments of `each` bytes of data, the last one shorter. */
static void cut_up(bool v6, uint16_t port, size_t bytes, size_t each, uint32_t id) {
  cut.count = 0;
  seen.count = 0;
  support_fragment(packet, build(v6, port, bytes), (v6 ? 48 : 20) + each, id, keep, NULL);
}

static void give(struct support_lab *lab, size_t i) {
  support_ip_input(lab, cut.bytes[i], cut.lengths[i], NULL);
}

static void check_seen(unsigned count, size_t bytes) {
  assert_int_equal(seen.count, count);
  if (count == 0) return;
  assert_int_equal(seen.length, bytes);
  assert_memory_equal(seen.bytes, data, bytes);
}

/* A fragment of zeros from nowhere in particular: `bytes` at `offset`, of packet `id`. */
static size_t one_fragment(bool v6, uint32_t id, size_t offset, size_t bytes, bool more) {
  static uint8_t body[8 + 65536];
  if (v6) {
    memset(body, 0, 8);
    body[0] = IPPROTO_UDP;
    support_put16(body + 2, (uint32_t)offset | more);
    support_put32(body + 4, id);
    memcpy(body + 8, data, bytes);
    return support_ip6(packet, CLIENT6, STACK6, IPPROTO_FRAGMENT, body, 8 + bytes);
  }
  size_t length = support_ip4(packet, CLIENT4, STACK4, IPPROTO_UDP, NULL, 0, data, bytes);
  support_put16(packet + 4, id);
  support_put16(packet + 6, (uint32_t)(offset / 8) | (more ? 0x2000u : 0));
  support_seal(packet, length);
  return length;
}

/* ---- orders ------------------------------------------------------------------------------------------------------- */

static void every_order_of_four(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  unsigned orders = 0;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    for (unsigned code = 0; code < 256; code++) {
      unsigned order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
      unsigned all = 1u << order[0] | 1u << order[1] | 1u << order[2] | 1u << order[3];
      if (all != 15) continue;
      cut_up(v6, (uint16_t)(1 + code), 3 * 400 + 200, 400, code);
      assert_int_equal(cut.count, 4);
      for (unsigned i = 0; i < 4; i++) {
        check_seen(0, 0);
        give(&lab, order[i]);
      }
      check_seen(1, 3 * 400 + 200);
      assert_int_equal(seen.port, 1 + code);
      orders++;
    }
  }
  assert_int_equal(orders, 2 * 24);
  support_ip_no_drops(&lab, &drops, "in any order");
  support_lab_close(&lab);
}

/* Fragments of several packets at once: told apart by id, by protocol (IPv4) and by addresses. */
static void told_apart(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    static struct {
      size_t lengths[2];
      uint8_t bytes[2][2048];
    } packets[50];
    for (unsigned i = 0; i < 50; i++) {
      cut_up(v6, (uint16_t)(i + 1), 1000, 600, i / 2);
      assert_int_equal(cut.count, 2);
      for (unsigned k = 0; k < 2; k++) {
        if (i % 2) { /* the same id from another client: one bit of its address, and what the checksums say */
          cut.bytes[k][v6 ? 23 : 15] ^= 0x40;
          if (!v6) {
            support_put16(cut.bytes[k] + 10, 0);
            support_put16(cut.bytes[k] + 10, support_sum_field(support_sum(0, cut.bytes[k], 20)));
          }
        }
        memcpy(packets[i].bytes[k], cut.bytes[k], cut.lengths[k]);
        packets[i].lengths[k] = cut.lengths[k];
      }
      if (i % 2) { /* 0x0b becomes 0x4b (v4), 0x11 becomes 0x51 (v6): the sum grows by 0x40 */
        uint8_t *field = packets[i].bytes[0] + (v6 ? 48 : 20) + 6;
        uint32_t sum = (uint16_t)~support_get16(field) + 0x40u;
        support_put16(field, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
      }
    }
    unsigned before = 0;
    for (unsigned i = 0; i < 50; i++) support_ip_input(&lab, packets[i].bytes[1], packets[i].lengths[1], NULL);
    for (unsigned i = 50; i-- > 0;) {
      support_ip_input(&lab, packets[i].bytes[0], packets[i].lengths[0], NULL);
      check_seen(++before, 1000);
      assert_int_equal(seen.port, i + 1);
    }
  }
  support_lab_close(&lab);
}

static void repetitions(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    cut_up(v6, 1, 1000, 400, 77);
    give(&lab, 2);
    give(&lab, 2);
    support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, 1, "the last one twice");
    give(&lab, 0);
    give(&lab, 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, 1, "the first one twice");
    check_seen(0, 0);
    give(&lab, 1);
    check_seen(1, 1000);
  }
  support_lab_close(&lab);
}

/* ---- what must not become a packet -------------------------------------------------------------------------------- */

struct step {
  size_t offset, bytes;
  bool more;
};

/* RFC 5722, and lengths that contradict each other. What was there is dropped with the fragment that gave the reason. */
static void overlaps(void **state) {
  static const struct {
    const char *what;
    struct step steps[3];
    unsigned given;
  } table[] = {
      {"from the left", {{8, 16, true}, {0, 16, true}}, 2},
      {"from the right", {{0, 16, true}, {8, 16, true}}, 2},
      {"around", {{8, 8, true}, {0, 24, true}}, 2},
      {"over a hole", {{0, 8, true}, {16, 8, true}, {0, 24, true}}, 3},
      {"behind the end", {{8, 5, false}, {16, 8, true}}, 2},
      {"across the end", {{8, 13, false}, {16, 16, true}}, 2},
      {"another end, later", {{8, 13, false}, {32, 8, false}}, 2},
      {"another end, earlier", {{16, 13, false}, {8, 5, false}}, 2},
      {"an end before what is there", {{24, 8, true}, {8, 8, false}}, 2},
  };
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
      seen.count = 0;
      for (unsigned k = 0; k < table[i].given; k++) {
        const struct step *step = &table[i].steps[k];
        support_ip_input(&lab, packet, one_fragment(v6, (uint32_t)i, step->offset, step->bytes, step->more), NULL);
      }
      support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, table[i].given, table[i].what);
      check_seen(0, 0);
      support_lab_pass(&lab, 40ull * SECOND);
      support_ip_no_drops(&lab, &drops, "nothing was left");
    }
  }
  support_lab_close(&lab);
}

/* What was overlapped was given up: the same packet sent again, whole, arrives. */
static void whole_again_after_overlap(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    cut_up(v6, 1, 1000, 400, 5);
    give(&lab, 0);
    support_ip_input(&lab, packet, one_fragment(v6, 5, 200, 400, true), NULL);
    for (size_t i = 0; i < cut.count; i++) give(&lab, i);
    check_seen(1, 1000);
  }
  support_lab_close(&lab);
}

static void malformed(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    support_ip_input(&lab, packet, one_fragment(v6, 1, 0, 13, true), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_HEADER, 1, "not a multiple of eight, and not the last");
    support_ip_input(&lab, packet, one_fragment(v6, 1, 8, 0, false), NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_HEADER, 1, "empty");
  }
  support_lab_close(&lab);
}

/* The ping of death: a last fragment that ends behind the longest packet. */
static void too_long(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    size_t most = v6 ? 65535 : 65535 - 20;
    for (size_t offset = 64000; offset <= 65528; offset += 8) {
      size_t bytes = most > offset ? most - offset : 0;
      support_ip_input(&lab, packet, one_fragment(v6, (uint32_t)offset, offset, bytes + 1, false), NULL);
      support_ip_drops(&lab, &drops, ADIT_DROP_OVERSIZED, 1, "one byte too long");
      if (bytes == 0) continue;
      support_ip_input(&lab, packet, one_fragment(v6, (uint32_t)offset, offset, bytes, false), NULL);
      support_ip_no_drops(&lab, &drops, "as long as can be");
    }
    support_lab_pass(&lab, 40ull * SECOND);
    struct adit_stack_stats stats;
    adit_stack_stats(lab.stack, &stats);
    memcpy(drops.seen, stats.drops, sizeof drops.seen);
  }
  support_lab_close(&lab);
}

/* IPv4 options of the fragments count for nobody's length but their own; the whole packet comes without them. */
static void longest_with_options(void **state) {
  static const uint8_t options[40] = {1, 1, 1, 1};
  static uint8_t udp[65536];
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  size_t length = support_udp4(packet, CLIENT4, STACK4, 1, 7, data, 30000);
  memcpy(udp, packet + 20, length - 20);
  length = support_ip4(packet, CLIENT4, STACK4, IPPROTO_UDP, options, sizeof options, udp, length - 20);
  seen.count = 0;
  assert_true(support_fragment(packet, length, 1500, 9, support_ip_give, &lab) > 20);
  check_seen(1, 30000);
  support_lab_close(&lab);
}

/* ---- time and number ---------------------------------------------------------------------------------------------- */

static void holes_expire(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  assert_int_equal(adit_stack_deadline(lab.stack), UINT64_MAX);
  for (int v6 = 0; v6 < 2; v6++) {
    cut_up(v6, 1, 1500, 400, 3);
    give(&lab, 0);
    give(&lab, 3);
    give(&lab, 1);
    support_lab_pass(&lab, 29ull * SECOND);
    support_ip_no_drops(&lab, &drops, "29 seconds");
    support_lab_pass(&lab, 3ull * SECOND);
    support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, 3, "32 seconds");
    give(&lab, 2); /* too late */
    check_seen(0, 0);
    support_lab_pass(&lab, 32ull * SECOND);
    support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, 1, "the late one");
  }
  support_lab_pass(&lab, 2ull * SECOND);
  assert_int_equal(adit_stack_deadline(lab.stack), UINT64_MAX); /* nothing waits: the stack sleeps */
  support_lab_close(&lab);
}

/* Within its time a packet may take as long as it likes. */
static void slow_but_in_time(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  cut_up(false, 1, 1500, 400, 3);
  for (size_t i = 0; i < 4; i++) {
    give(&lab, i);
    support_lab_pass(&lab, 9ull * SECOND);
  }
  check_seen(1, 1500);
  support_lab_close(&lab);
}

/* More packets in the making than there is room for: the oldest give way, the newest arrive. */
static void many_at_once(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (uint32_t id = 0; id < HELD + 44; id++) {
    cut_up(true, (uint16_t)(id + 1), 1000, 600, id);
    give(&lab, 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_FRAGMENT, id >= HELD, "the oldest gives way");
  }
  unsigned arrived = 0;
  for (uint32_t id = HELD + 44; id-- > 44;) {
    cut_up(true, (uint16_t)(id + 1), 1000, 600, id);
    give(&lab, 1);
    check_seen(1, 1000);
    arrived++;
  }
  assert_int_equal(arrived, HELD);
  support_ip_no_drops(&lab, &drops, "the newest arrive");
  support_lab_close(&lab);
}

static void flood(void **state) {
  struct support_lab lab;
  struct adit_stack_stats stats;
  uint64_t seed = 1;
  uint64_t most = 0;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (unsigned i = 0; i < 100000; i++) {
    uint64_t random = support_random(&seed);
    size_t length = one_fragment(random & 1, (uint32_t)(random >> 32), random >> 8 & 0xff8, (random >> 24 & 15) * 8 + 8,
                                 (random >> 2 & 3) != 0);
    support_ip_input(&lab, packet, length, NULL);
    if (i % 1000) continue;
    adit_stack_stats(lab.stack, &stats);
    if (stats.memory_bytes > most) most = stats.memory_bytes;
    assert_int_equal(adit_pool_in_use(lab.pool), 0); /* fragments do not hold on to the reader's buffers */
  }
  assert_in_range(most, HELD * (ADIT_PACKET_MAX + 1024), HELD * (ADIT_PACKET_MAX + 4096));
  assert_in_range(stats.drops[ADIT_DROP_FRAGMENT], 98000, 100000);
  cut_up(true, 1, 1500, 400, 3); /* in the middle of it */
  for (size_t i = 0; i < 4; i++) give(&lab, i);
  check_seen(1, 1500);
  support_lab_pass(&lab, 32ull * SECOND);
  adit_stack_stats(lab.stack, &stats);
  assert_in_range(stats.memory_bytes, 0, 4096);
  support_lab_close(&lab);
}

static void small_budget(struct adit_stack_options *options) {
  options->budget_bytes = 4 << 20;
}

/* Bytes count as well: with little memory fragments get an eighth of it, and honest ones still arrive. */
static void flood_with_little_memory(void **state) {
  struct support_lab lab;
  struct adit_stack_stats stats;
  uint64_t seed = 1, most = 0;
  (void)state;
  support_lab_open(&lab, &events, small_budget);
  for (unsigned i = 0; i < 5000; i++) {
    uint64_t random = support_random(&seed);
    support_ip_input(&lab, packet, one_fragment(random & 1, (uint32_t)(random >> 32), 0, 64, true), NULL);
    adit_stack_stats(lab.stack, &stats);
    if (stats.memory_bytes > most) most = stats.memory_bytes;
  }
  assert_in_range(most, ADIT_PACKET_MAX, (4 << 20) / 8 + 4096);
  assert_int_equal(stats.drops[ADIT_DROP_MEMORY], 0);
  cut_up(true, 1, 1500, 400, 3);
  for (size_t i = 0; i < 4; i++) give(&lab, i);
  check_seen(1, 1500);
  support_lab_close(&lab);
}

/* ---- IPv6 --------------------------------------------------------------------------------------------------------- */

/* Extension headers in front of the fragment header (hop-by-hop, routing that has arrived) and behind it. */
static void extension_headers(void **state) {
  static const uint8_t hop[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  static const uint8_t routing[8] = {0, 0, 4, 0, 0, 0, 0, 0};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  cut_up(true, 1, 1500, 400, 3);
  for (size_t i = 0; i < 4; i++) {
    memcpy(packet, cut.bytes[i], cut.lengths[i]);
    size_t length = support_extend6(packet, cut.lengths[i], 43, routing, sizeof routing);
    length = support_extend6(packet, length, 0, hop, sizeof hop);
    support_ip_input(&lab, packet, length, NULL);
  }
  check_seen(1, 1500);

  /* Destination options in the fragmentable part: they are in the first fragment. */
  uint8_t udp[8 + 1000];
  seen.count = 0;
  size_t length = build(true, 2, 1000);
  memcpy(udp, packet + 40, sizeof udp);
  length = support_extend6(packet, length, 60, hop, sizeof hop);
  cut.count = 0;
  support_fragment(packet, length, 648, 4, keep, NULL);
  for (size_t i = cut.count; i-- > 0;) give(&lab, i);
  check_seen(1, 1000);
  support_ip_no_drops(&lab, &drops, "extension headers");
  support_lab_close(&lab);
}

/* RFC 6946: a fragment header on a whole packet. It is taken at once and disturbs no packet in the making. */
static void atomic_fragments(void **state) {
  static const uint8_t atomic[8] = {0, 0, 0, 0, 0, 0, 0, 3};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  cut_up(true, 1, 1500, 400, 3);
  give(&lab, 0);
  support_ip_input(&lab, packet, support_extend6(packet, build(true, 2, 100), 44, atomic, sizeof atomic), NULL);
  check_seen(1, 100);
  assert_int_equal(seen.port, 2);
  for (size_t i = 1; i < 4; i++) give(&lab, i);
  check_seen(2, 1500);
  assert_int_equal(seen.port, 1);
  support_ip_no_drops(&lab, &drops, "atomic");
  support_lab_close(&lab);
}

/* Fragments that make a fragment when put together: no sender does that. */
static void fragments_of_fragments(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  cut_up(true, 1, 1500, 800, 3);
  assert_int_equal(cut.count, 2);
  static uint8_t outer[2][2048];
  size_t lengths[2];
  memcpy(outer, cut.bytes, sizeof outer);
  memcpy(lengths, cut.lengths, sizeof lengths);
  for (unsigned i = 0; i < 2; i++) {
    cut.count = 0;
    support_fragment(outer[i], lengths[i], 648, 10 + i, keep, NULL);
    for (size_t k = 0; k < cut.count; k++) give(&lab, k);
    support_ip_drops(&lab, &drops, ADIT_DROP_HEADER, 1, "a fragment of fragments");
  }
  check_seen(0, 0);
  support_lab_close(&lab);
}

/* ---- TCP ---------------------------------------------------------------------------------------------------------- */

static size_t flow_bytes;

static void on_readable(void *user, struct adit_flow *which) {
  static uint8_t bytes[65536];
  (void)user;
  size_t length = adit_flow_read(which, bytes, sizeof bytes);
  assert_memory_equal(bytes, data + flow_bytes, length);
  flow_bytes += length;
}

static void on_syn(void *user, struct adit_flow *which) {
  static const struct adit_flow_events flow_events = {.readable = on_readable};
  (void)user;
  adit_flow_attach(which, &flow_events, NULL);
  assert_int_equal(adit_flow_accept(which), 0);
}

static void tcp_in_fragments(void **state) {
  static const struct adit_stack_events tcp_events = {.syn = on_syn};
  static const uint8_t atomic[8] = {0, 0, 0, 0, 0, 0, 0, 3};
  struct support_lab lab;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    support_lab_open(&lab, &tcp_events, NULL);
    struct support_client client = {.lab = &lab,
                                    .address = v6 ? CLIENT6 : CLIENT4,
                                    .server = v6 ? STACK6 : STACK4,
                                    .port = 4000,
                                    .server_port = 80};
    support_client_open(&client);
    assert_true(client.established);
    flow_bytes = 0;
    size_t sizes[] = {1, 2000, 30000, 100};
    size_t sent = 0;
    for (size_t i = 0; i < 4; i++) {
      size_t length = (v6 ? support_tcp6 : support_tcp4)(packet, client.address, client.server, 4000, 80, client.next,
                                                         client.expected, SUPPORT_ACK | SUPPORT_PSH, 65535, NULL, 0,
                                                         data + sent, sizes[i]);
      if (v6 && i == 3) length = support_extend6(packet, length, 44, atomic, sizeof atomic);
      cut.count = 0;
      support_fragment(packet, length, 1000, (uint32_t)i, keep, NULL);
      for (size_t k = cut.count; k-- > 0;) give(&lab, k);
      client.next += (uint32_t)sizes[i];
      sent += sizes[i];
      support_client_run(&client);
      assert_int_equal(flow_bytes, sent);
      assert_int_equal(client.acked, client.next);
    }
    support_client_reset(&client);
    support_client_free(&client);
    support_lab_close(&lab);
  }
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_order_of_four),
      cmocka_unit_test(told_apart),
      cmocka_unit_test(repetitions),
      cmocka_unit_test(overlaps),
      cmocka_unit_test(whole_again_after_overlap),
      cmocka_unit_test(malformed),
      cmocka_unit_test(too_long),
      cmocka_unit_test(longest_with_options),
      cmocka_unit_test(holes_expire),
      cmocka_unit_test(slow_but_in_time),
      cmocka_unit_test(many_at_once),
      cmocka_unit_test(flood),
      cmocka_unit_test(flood_with_little_memory),
      cmocka_unit_test(extension_headers),
      cmocka_unit_test(atomic_fragments),
      cmocka_unit_test(fragments_of_fragments),
      cmocka_unit_test(tcp_in_fragments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
