/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Equal secrets, packets and times give equal answers, to the byte and to the note; another secret gives others.
 */
#include "support_peer.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RECORD = 4 << 20, FLOWS = 8 };

/* Everything that a run said: packets with their notes, and events. */
struct record {
  uint8_t *bytes;
  size_t length;
  unsigned packets;
};

static uint8_t secret_byte;
static uint32_t offload;

static void change(struct adit_stack_options *options) {
  options->secret[0] ^= secret_byte;
  options->offload = offload;
}

static void note(struct record *record, const void *bytes, size_t length) {
  assert_true(record->length + length <= RECORD);
  memcpy(record->bytes + record->length, bytes, length);
  record->length += length;
}

static void note_packets(struct record *record, struct support_lab *lab) {
  for (struct support_out *out = lab->first; out; out = out->next) {
    const struct adit_offload *o = &out->offload;
    uint32_t notes[] = {o->gso,
                        o->checksum,
                        o->ecn,
                        o->gso_size,
                        o->header_length,
                        o->checksum_start,
                        o->checksum_offset,
                        (uint32_t)out->length};
    note(record, notes, sizeof notes);
    note(record, out->bytes, out->length);
    record->packets++;
  }
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct support_lab *lab = user;
  assert_int_equal(
      adit_stack_send_datagram(lab->stack, datagram->local, datagram->remote, datagram->iov, datagram->iovcnt), 0);
}

/* A run of some minutes: connections, data both ways, datagrams above the MTU, losses, retransmissions, refusals. */
static struct record run(uint8_t secret, uint32_t bits) {
  struct record record = {.bytes = malloc(RECORD)};
  assert_non_null(record.bytes);
  secret_byte = secret;
  offload = bits;
  struct support_world world;
  support_world_open(&world, 100, change);
  world.lab.events.datagram = on_datagram;
  world.reads = true;
  struct support_peer peers[FLOWS];
  static uint8_t data[5000], packet[SUPPORT_PACKET_MAX];
  support_pattern(data, sizeof data);
  uint64_t seed = 42;
  for (uint16_t i = 0; i < FLOWS; i++) {
    peers[i] = support_peer_at(&world, i % 2, (uint16_t)(1000 + i));
    world.holds = i == 5;
    support_peer_syn(&peers[i]);
    if (i == 5) assert_int_equal(adit_flow_refuse(world.owners[world.count - 1].flow, ADIT_REFUSE_PROHIBITED), 0);
  }
  for (int step = 0; step < 600; step++) {
    unsigned which = (unsigned)(support_random(&seed) % FLOWS);
    struct support_peer *peer = &peers[which];
    struct support_owner *owner = &world.owners[which];
    support_lab_flush(&world.lab);
    note_packets(&record, &world.lab);
    bool loses = support_random(&seed) % 10 == 0;
    struct support_segment segment;
    for (unsigned i = 0; i < FLOWS; i++) {
      if (i == 5) continue;
      bool answer = false;
      while (support_peer_take(&peers[i], &segment)) {
        if (!loses) answer |= support_peer_learn(&peers[i], &segment);
        support_segment_free(&segment);
      }
      if (answer) support_peer_ack(&peers[i], peers[i].expected);
    }
    for (struct support_out *out; (out = support_lab_take(&world.lab));) free(out);
    size_t length = (size_t)(support_random(&seed) % 1400);
    switch (support_random(&seed) % 6) {
    case 0:
      if (which != 5 && peer->established && !peer->reset) support_peer_send(peer, SUPPORT_PSH, data, length);
      break;
    case 1:
      if (which != 5 && owner->flow && peer->established) adit_flow_write(owner->flow, data, sizeof data);
      break;
    case 2:
      length = support_udp4(packet, "192.168.3.11", "192.168.3.12", 5000, 53, data, 3 * length);
      support_lab_input(&world.lab, packet, length);
      break;
    case 3:
      length = support_udp6(packet, "fdad:3::11", "fdad:3::12", 5000, 53, data, 3 * length);
      support_lab_input(&world.lab, packet, length);
      break;
    case 4:
      support_lab_pass(&world.lab, support_random(&seed) % (2 * SUPPORT_S));
      break;
    default:
      length = support_echo4(packet, "192.168.3.11", "192.168.3.12", SUPPORT_ECHO_REQUEST4, 1, (uint16_t)step, data,
                             56);
      support_lab_input(&world.lab, packet, length);
    }
  }
  note_packets(&record, &world.lab);
  for (unsigned i = 0; i < world.count; i++) note(&record, world.owners[i].heard, sizeof world.owners[i].heard);
  struct adit_stack_stats stats = support_world_stats(&world);
  note(&record, &stats, sizeof stats);
  assert_true(stats.retransmissions > 0);
  for (unsigned i = 0; i < FLOWS; i++) support_peer_free(&peers[i]);
  support_world_close(&world);
  return record;
}

static void test_equal_runs(void **state) {
  (void)state;
  static const uint32_t bits[] = {0, ADIT_OFFLOAD_CHECKSUM,
                                  ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6};
  for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
    struct record first = run(0, bits[i]), second = run(0, bits[i]);
    assert_true(first.packets > 300);
    assert_int_equal(first.packets, second.packets);
    assert_int_equal(first.length, second.length);
    for (size_t at = 0; at < first.length; at++)
      if (first.bytes[at] != second.bytes[at])
        fail_msg("byte %zu of %zu: %u != %u", at, first.length, first.bytes[at], second.bytes[at]);
    free(first.bytes);
    free(second.bytes);
  }
}

static void test_another_secret(void **state) {
  (void)state;
  struct record first = run(0, 0), second = run(1, 0);
  assert_true(first.length != second.length || memcmp(first.bytes, second.bytes, first.length) != 0);
  free(first.bytes);
  free(second.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equal_runs),
      cmocka_unit_test(test_another_secret),
  };
  return cmocka_run_group_tests_name("determinism", tests, NULL, NULL);
}
