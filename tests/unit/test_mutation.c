/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets truncated and changed at random, by seed: nothing breaks, and nothing of them is left.
 *
 *     ADIT_MUTATIONS=10000000 test_mutation     so many packets (200,000 when not given)
 *     ADIT_SEED=17 test_mutation                from that seed on
 *
 * A batch is PACKETS packets to one stack, and depends on its seed alone. The batches run in a process of their own,
 * which says in shared memory where it is; so whatever it dies of, the seed and the packet are told.
 */
#include "device/vnet.h"
#include "packet/print.h"
#include "support_client.h"
#include "support_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

enum { PACKETS = 1000, NORMAL = 200000, FLOWS = 64, KINDS = 16, PORTS = 8, ETHERNET = 14 };

static const char *const client[2] = {"192.168.3.11", "fdad:3::11"};
static const char *const server[2] = {"192.168.3.12", "fdad:3::12"};
static const uint8_t stack_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t client_mac[6] = {2, 0, 0, 0, 0, 2};

/* Where the process with the batches is. */
struct place {
  uint64_t seed;
  unsigned packet;
  uint64_t answers; /* packets that came out, of all batches */
  uint64_t dropped;
};

struct batch {
  struct support_lab lab; /* first: what the stack's callbacks get */
  struct adit_flow *flows[FLOWS];
  uint64_t random;
  bool ethernet;
};

static uint8_t packet[2 * SUPPORT_PACKET_MAX];
static uint8_t payload[4096];
static uint64_t options_random; /* for change_options, which gets no pointer */

/* ---- the owner: accepts and echoes ------------------------------------------------------------------------------- */

static void echo(void *user, struct adit_flow *flow) {
  (void)user;
  uint8_t data[2048];
  size_t length;
  while ((length = adit_flow_read(flow, data, sizeof data)) > 0) (void)adit_flow_write(flow, data, length);
  if (adit_flow_peer_has_closed(flow)) adit_flow_shutdown(flow);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  struct batch *batch = user;
  (void)error;
  for (unsigned i = 0; i < FLOWS; i++)
    if (batch->flows[i] == flow) batch->flows[i] = NULL;
}

static void on_syn(void *user, struct adit_flow *flow) {
  static const struct adit_flow_events events = {.readable = echo, .peer_closed = echo, .closed = on_closed};
  struct batch *batch = user;
  unsigned place = (unsigned)(adit_flow_id(flow) % FLOWS);
  if (batch->flows[place]) adit_flow_abort(batch->flows[place]);
  batch->flows[place] = flow;
  adit_flow_attach(flow, &events, batch);
  adit_flow_accept(flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct batch *batch = user;
  (void)adit_stack_send_datagram(batch->lab.stack, datagram->local, datagram->remote, datagram->iov, datagram->iovcnt);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static uint32_t below(struct batch *batch, uint32_t bound) {
  return (uint32_t)(support_random(&batch->random) % bound);
}

/* A right packet, one of KINDS. Returns its length. */
static size_t make(struct batch *batch, uint8_t *at) {
  static const uint8_t options[] = {2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2};
  static const uint8_t router_alert[] = {0x94, 4, 0, 0};
  static const uint8_t extension[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  unsigned v6 = below(batch, 2);
  uint16_t port = (uint16_t)(40000 + below(batch, PORTS));
  size_t length = below(batch, 4) ? below(batch, 64) : below(batch, 1400);
  uint32_t sequence = 1000 + below(batch, 3) * 100;
  uint8_t flags = (uint8_t)below(batch, 64);
  uint32_t acknowledgment = below(batch, 2) ? 0 : UINT32_MAX;
  uint16_t window = (uint16_t)below(batch, 65536);
  uint32_t some = below(batch, 8);
  const char *from = client[v6];
  const char *to = server[v6];
  switch (below(batch, KINDS)) {
  case 0:
  case 1:
  case 2: /* a SYN */
    return (v6 ? support_tcp6 : support_tcp4)(at, from, to, port, 80, 999, 0, SUPPORT_SYN, 65535, options,
                                              sizeof options, NULL, 0);
  case 3:
  case 4:
  case 5:
  case 6: /* any segment */
    return (v6 ? support_tcp6 : support_tcp4)(at, from, to, port, 80, sequence, acknowledgment, flags, window, NULL, 0,
                                              payload, length);
  case 7:
  case 8:
    return (v6 ? support_udp6 : support_udp4)(at, from, to, port, 53, payload, length);
  case 9:
    return v6 ? support_echo6(at, from, to, SUPPORT_ECHO_REQUEST6, port, 1, payload, length)
              : support_echo4(at, from, to, SUPPORT_ECHO_REQUEST4, port, 1, payload, length);
  case 10: /* a fragment, at a place that fits others */
    length = v6 ? support_udp6(at, from, to, port, 53, payload, 1000)
                : support_udp4(at, from, to, port, 53, payload, 1000);
    if (v6)
      return support_extend6(at, length, 44, (const uint8_t[]){17, 0, 0, (uint8_t)(some % 4 * 8 + 1), 0, 0, 0, 7}, 8);
    support_put16(at + 6, some % 4 | (some < 4 ? 0x2000u : 0));
    support_seal(at, length);
    return length;
  case 11: /* options */
    return v6 ? support_extend6(at, support_udp6(at, from, to, port, 53, payload, length), some < 4 ? 0 : 60, extension,
                                sizeof extension)
              : support_ip4(at, from, to, 1, router_alert, sizeof router_alert, payload, length);
  case 12: /* an ICMP error */
    payload[0] = v6 ? 1 : 3;
    return v6 ? support_ip6(at, from, to, 58, payload, 64) : support_ip4(at, from, to, 1, NULL, 0, payload, 64);
  case 13: /* neighbour discovery */
    payload[0] = (uint8_t)(133 + some % 5);
    return support_ip6(at, client[1], server[1], 58, payload, 32);
  case 14: /* another protocol */
    return v6 ? support_ip6(at, from, to, 132, payload, length)
              : support_ip4(at, from, to, 47, NULL, 0, payload, length);
  default: /* noise */
    for (size_t i = 0; i < length; i++) at[i] = (uint8_t)support_random(&batch->random);
    return length;
  }
}

static size_t mutate(struct batch *batch, uint8_t *at, size_t length) {
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, 4, 5, 6, 17, 44, 58, 60};
  for (unsigned times = 1 + below(batch, 4); times > 0 && length > 0; times--) {
    uint32_t end = (uint32_t)(below(batch, 4) ? (length < 80 ? length : 80) : length); /* headers above all */
    uint32_t place = below(batch, end);
    switch (below(batch, 6)) {
    case 0:
      length = below(batch, (uint32_t)length);
      break;
    case 1:
      at[place] ^= (uint8_t)(1u << below(batch, 8));
      break;
    case 2:
      at[place] = (uint8_t)support_random(&batch->random);
      break;
    case 3:
      at[place] = values[below(batch, sizeof values)];
      break;
    case 4: /* bytes too many */
      memmove(at + place + 4, at + place, length - place);
      length += 4;
      break;
    default: /* bytes too few */
      if (length - place <= 4) break;
      memmove(at + place, at + place + 4, length - place - 4);
      length -= 4;
    }
  }
  return length;
}

/* Make the checksums of headers right that may say anything: where support_seal could be led astray they stay wrong. */
static void seal(uint8_t *at, size_t length) {
  bool v4 = length >= 40 && at[0] == 0x45 && support_get16(at + 2) == length && (support_get16(at + 6) & 0x3fff) == 0;
  bool v6 = length >= 60 && at[0] >> 4 == 6 && support_get16(at + 4) == length - 40;
  uint8_t protocol = v4 ? at[9] : at[6];
  if ((v4 || v6) && (protocol == 6 || protocol == 17 || protocol == (v4 ? 1 : 58))) support_seal(at, length);
}

static void one(struct batch *batch) {
  struct virtio_net_hdr vnet;
  struct adit_offload notes = {0};
  char line[ADIT_PRINT_LINE];
  size_t length = make(batch, packet);
  bool right = below(batch, 5) == 0; /* connections must come about, or nothing of TCP is reached */
  if (!right) length = mutate(batch, packet, length);
  if (!right && below(batch, 2)) seal(packet, length);
  if (batch->ethernet)
    length = support_ethernet(packet, length, stack_mac, client_mac, packet[0] >> 4 == 6 ? 0x86dd : 0x800);
  if (below(batch, 8) == 0) { /* a vnet header that says anything */
    for (size_t i = 0; i < sizeof vnet; i++) ((uint8_t *)&vnet)[i] = (uint8_t)below(batch, i < 2 ? 8 : 256);
    vnet.hdr_len = (uint16_t)below(batch, 100);
    vnet.csum_start = (uint16_t)(below(batch, 4) * 20);
    vnet.csum_offset = (uint16_t)(below(batch, 2) ? 16 : 6);
    if (adit_vnet_parse(&vnet, length, &notes) != 0) return; /* a device drops it */
  }
  adit_print_line(line, sizeof line, 0, batch->ethernet, packet, length, &notes);
  struct adit_buffer *buffer = adit_buffer_new(batch->lab.pool);
  assert_non_null(buffer);
  memcpy(buffer->data, packet, length);
  buffer->length = (uint32_t)length;
  buffer->offload = notes;
  adit_stack_input(batch->lab.stack, buffer);
  if (below(batch, 4)) support_lab_flush(&batch->lab);
  if (below(batch, 50) == 0) support_lab_pass(&batch->lab, SECOND / 4);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static void change_options(struct adit_stack_options *options) {
  static const uint32_t mtus[] = {1500, 1280, 9000, 65535};
  options->mtu = mtus[options_random & 3];
  options->offload = (uint32_t)(options_random >> 2) & 31;
  options->ethernet = (options_random >> 7 & 7) == 0;
  memcpy(options->mac, stack_mac, sizeof stack_mac);
  if ((options_random >> 10 & 3) == 0) options->budget_bytes = 1 << 20;
}

static uint64_t forget_answers(struct support_lab *lab) {
  uint64_t count = 0;
  for (struct support_out *out; (out = support_lab_take(lab)) != NULL; count++) free(out);
  return count;
}

static void run_batch(struct place *place) {
  static struct batch batch;
  static const struct adit_stack_events events = {.syn = on_syn, .datagram = on_datagram};
  struct adit_stack_stats before, after;
  memset(&batch, 0, sizeof batch);
  batch.random = place->seed;
  options_random = support_random(&batch.random);
  batch.ethernet = (options_random >> 7 & 7) == 0;
  support_lab_open(&batch.lab, &events, change_options);
  adit_stack_stats(batch.lab.stack, &before);
  for (place->packet = 0; place->packet < PACKETS; place->packet++) {
    one(&batch);
    place->answers += forget_answers(&batch.lab);
  }
  support_lab_flush(&batch.lab);
  for (unsigned i = 0; i < FLOWS; i++)
    if (batch.flows[i]) adit_flow_abort(batch.flows[i]);
  support_lab_flush(&batch.lab);
  for (unsigned i = 0; i < 40; i++) adit_stack_advance(batch.lab.stack, batch.lab.now_ns += 10 * SECOND);
  forget_answers(&batch.lab);
  adit_stack_stats(batch.lab.stack, &after);
  assert_int_equal(after.flows_open, 0);
  assert_int_equal(adit_pool_in_use(batch.lab.pool), 0);
  if (!batch.ethernet) assert_int_equal(after.memory_bytes, before.memory_bytes);
  for (unsigned i = 0; i < ADIT_DROPS; i++) place->dropped += after.drops[i];
  support_lab_close(&batch.lab);
}

static uint64_t number_of(const char *variable, uint64_t otherwise) {
  const char *text = getenv(variable);
  return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_mutations(void **state) {
  (void)state;
  uint64_t batches = (number_of("ADIT_MUTATIONS", NORMAL) + PACKETS - 1) / PACKETS;
  uint64_t seed = number_of("ADIT_SEED", 1);
  struct place *place = mmap(NULL, sizeof *place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(place != MAP_FAILED);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    for (place->seed = seed; place->seed < seed + batches; place->seed++) run_batch(place);
    fflush(NULL);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (status != 0)
    fail_msg("status %#x at packet %u of seed %llu; again: ADIT_SEED=%llu ADIT_MUTATIONS=1 test_mutation",
             (unsigned)status, place->packet, (unsigned long long)place->seed, (unsigned long long)place->seed);
  printf("%llu packets from seed %llu: %llu dropped, %llu packets came out\n", (unsigned long long)batches * PACKETS,
         (unsigned long long)seed, (unsigned long long)place->dropped, (unsigned long long)place->answers);
  assert_int_equal(place->seed, seed + batches);
  assert_true(place->dropped > batches * PACKETS / 4);  /* mutations break packets, */
  assert_true(place->answers > batches * PACKETS / 20); /* and not all of them */
  munmap(place, sizeof *place);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
