/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A world of one stack, the owners of its flows, and TCP peers that a test plays move by move.
 */
#include "support_peer.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define SERVER4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define SERVER6 "fdad:3::12"

enum { MTU = 1500, ALL_FLAGS = 0x3f };

/* ---- owners ------------------------------------------------------------------------------------------------------ */

static void hear(struct support_owner *owner, char event) {
  size_t length = strlen(owner->heard);
  bool again = (event == 'R' || event == 'W') && length > 0 && owner->heard[length - 1] == event;
  if (!again) {
    assert_true(length + 1 < sizeof owner->heard);
    owner->heard[length] = event;
    owner->heard[length + 1] = 0;
  }
  if (owner->act) owner->act(owner, event);
}

void support_owner_read(struct support_owner *owner) {
  size_t waiting = adit_flow_available(owner->flow);
  if (owner->length + waiting > owner->room) {
    owner->room = 2 * (owner->length + waiting);
    owner->data = realloc(owner->data, owner->room);
    assert_non_null(owner->data);
  }
  assert_int_equal(waiting ? adit_flow_read(owner->flow, owner->data + owner->length, waiting) : 0, waiting);
  owner->length += waiting;
}

static void on_established(void *user, struct adit_flow *flow) {
  struct support_owner *owner = user;
  assert_ptr_equal(owner->flow, flow);
  assert_int_equal(adit_flow_state(flow), ADIT_FLOW_ESTABLISHED);
  hear(owner, 'E');
}

static void on_readable(void *user, struct adit_flow *flow) {
  struct support_owner *owner = user;
  assert_ptr_equal(owner->flow, flow);
  if (owner->reads) support_owner_read(owner);
  hear(owner, 'R');
}

static void on_writable(void *user, struct adit_flow *flow) {
  struct support_owner *owner = user;
  assert_ptr_equal(owner->flow, flow);
  hear(owner, 'W');
}

static void on_peer_closed(void *user, struct adit_flow *flow) {
  struct support_owner *owner = user;
  assert_ptr_equal(owner->flow, flow);
  assert_true(adit_flow_peer_has_closed(flow));
  hear(owner, 'P');
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  struct support_owner *owner = user;
  assert_ptr_equal(owner->flow, flow);
  assert_int_equal(adit_flow_state(flow), ADIT_FLOW_CLOSED);
  owner->closed++;
  owner->error = error;
  hear(owner, 'C');
  owner->flow = NULL;
}

static const struct adit_flow_events flow_events = {.established = on_established,
                                                    .readable = on_readable,
                                                    .writable = on_writable,
                                                    .peer_closed = on_peer_closed,
                                                    .closed = on_closed};

static void on_syn(void *user, struct adit_flow *flow) {
  struct support_world *world = user;
  assert_true(world->count < world->limit);
  struct support_owner *owner = &world->owners[world->count++];
  owner->world = world;
  owner->flow = flow;
  owner->reads = world->reads;
  owner->act = world->act;
  assert_int_equal(adit_flow_state(flow), ADIT_FLOW_PARKED);
  adit_flow_attach(flow, &flow_events, owner);
  if (!world->holds) assert_int_equal(adit_flow_accept(flow), 0);
  hear(owner, 'S');
}

/* The options that the stack is made with, for support_peer_take to check against. */
static struct adit_stack_options chosen;
static void (*change_further)(struct adit_stack_options *options);

static void note_options(struct adit_stack_options *options) {
  if (change_further) change_further(options);
  chosen = *options;
}

void support_world_open(struct support_world *world, unsigned limit,
                        void (*change)(struct adit_stack_options *options)) {
  static const struct adit_stack_events events = {.syn = on_syn};
  memset(world, 0, sizeof *world);
  world->limit = limit;
  world->owners = calloc(limit, sizeof *world->owners);
  assert_non_null(world->owners);
  change_further = change;
  support_lab_open(&world->lab, &events, note_options);
  world->offload = chosen.offload;
  world->mtu = chosen.mtu ? chosen.mtu : MTU;
}

void support_world_close(struct support_world *world) {
  support_lab_close(&world->lab);
  for (unsigned i = 0; i < world->count; i++) free(world->owners[i].data);
  free(world->owners);
}

struct adit_stack_stats support_world_stats(const struct support_world *world) {
  struct adit_stack_stats stats;
  adit_stack_stats(world->lab.stack, &stats);
  return stats;
}

void support_world_expect_silence(struct support_world *world) {
  assert_null(world->lab.first);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

struct support_peer support_peer_at(struct support_world *world, bool ipv6, uint16_t port) {
  return (struct support_peer){.world = world,
                               .address = ipv6 ? CLIENT6 : CLIENT4,
                               .server = ipv6 ? SERVER6 : SERVER4,
                               .port = port,
                               .server_port = 80,
                               .ipv6 = ipv6,
                               .mss = ipv6 ? 1440 : 1460,
                               .scale = 7,
                               .sack = true,
                               .window = 1 << 20,
                               .first = 0xfffff000u + port};
}

void support_peer_free(struct support_peer *peer) {
  free(peer->data);
  peer->data = NULL;
  peer->length = peer->size = 0;
}

static size_t build(const struct support_peer *peer, uint8_t *packet, uint32_t sequence, uint32_t acknowledgment,
                    uint8_t flags, uint16_t window, const void *options, size_t optlen, const void *data,
                    size_t length) {
  return (peer->ipv6 ? support_tcp6 : support_tcp4)(packet, peer->address, peer->server, peer->port, peer->server_port,
                                                    sequence, acknowledgment, flags, window, options, optlen, data,
                                                    length);
}

void support_peer_raw(struct support_peer *peer, uint32_t sequence, uint32_t acknowledgment, uint8_t flags,
                      uint16_t window, const void *options, size_t optlen, const void *data, size_t length) {
  static _Thread_local uint8_t packet[SUPPORT_PACKET_MAX];
  size_t size = build(peer, packet, sequence, acknowledgment, flags, window, options, optlen, data, length);
  if (peer->ttl) {
    packet[peer->ipv6 ? 7 : 8] = peer->ttl;
    support_seal(packet, size);
  }
  support_lab_input(&peer->world->lab, packet, size);
}

uint32_t support_peer_stamp(const struct support_peer *peer) {
  return peer->clock + (uint32_t)(peer->world->lab.now_ns / SUPPORT_MS);
}

void support_put_stamps(uint8_t *options, uint32_t value, uint32_t echo) {
  memcpy(options, (uint8_t[]){1, 1, 8, 10}, 4);
  support_put32(options + 4, value);
  support_put32(options + 8, echo);
}

/* The options of whatever is no SYN. */
static size_t own_options(const struct support_peer *peer, uint8_t *options) {
  if (!peer->stamps) return 0;
  support_put_stamps(options, support_peer_stamp(peer), peer->recent);
  return 12;
}

/* The window field, and the right edge that the stack may send up to. */
static uint16_t offer(struct support_peer *peer) {
  unsigned scale = peer->established && peer->scale > 0 ? (unsigned)peer->scale : 0;
  uint32_t field = peer->window >> scale;
  if (field > 0xffff) field = 0xffff;
  uint32_t edge = peer->expected + (field << scale);
  if ((int32_t)(edge - peer->edge) > 0) peer->edge = edge;
  return (uint16_t)field;
}

static void step(struct support_peer *peer, uint8_t flags, size_t length) {
  peer->next += (uint32_t)length + (flags & (SUPPORT_SYN | SUPPORT_FIN) ? 1 : 0);
}

void support_peer_send(struct support_peer *peer, uint8_t flags, const void *data, size_t length) {
  uint8_t options[12];
  size_t optlen = own_options(peer, options);
  support_peer_raw(peer, peer->next, peer->expected, flags | SUPPORT_ACK, offer(peer), options, optlen, data, length);
  step(peer, flags, length);
}

void support_peer_send_large(struct support_peer *peer, uint8_t flags, const void *data, size_t length, uint16_t mss) {
  struct adit_buffer *buffer = adit_buffer_new(peer->world->lab.pool);
  assert_non_null(buffer);
  uint8_t options[12];
  size_t optlen = own_options(peer, options);
  size_t size = build(peer, buffer->data, peer->next, peer->expected, flags | SUPPORT_ACK, offer(peer), options, optlen,
                      data, length);
  support_seal_partial(buffer->data, size);
  buffer->length = (uint32_t)size;
  buffer->offload = (struct adit_offload){.gso = length > mss ? (peer->ipv6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4)
                                                              : ADIT_GSO_NONE,
                                          .gso_size = length > mss ? mss : 0,
                                          .checksum = ADIT_CHECKSUM_PARTIAL,
                                          .checksum_start = peer->ipv6 ? 40 : 20,
                                          .checksum_offset = 16};
  adit_stack_input(peer->world->lab.stack, buffer);
  step(peer, flags, length);
}

void support_peer_ack(struct support_peer *peer, uint32_t acknowledgment) {
  uint8_t options[12];
  size_t optlen = own_options(peer, options);
  support_peer_raw(peer, peer->next, acknowledgment, SUPPORT_ACK, offer(peer), options, optlen, NULL, 0);
}

void support_peer_syn(struct support_peer *peer) {
  uint8_t options[24];
  size_t length = 0;
  if (peer->mss) {
    options[length++] = 2;
    options[length++] = 4;
    support_put16(options + length, peer->mss);
    length += 2;
  }
  if (peer->scale >= 0) {
    memcpy(options + length, (uint8_t[]){1, 3, 3, (uint8_t)peer->scale}, 4);
    length += 4;
  }
  if (peer->sack) {
    memcpy(options + length, (uint8_t[]){1, 1, 4, 2}, 4);
    length += 4;
  }
  if (peer->stamps) {
    support_put_stamps(options + length, support_peer_stamp(peer), 0);
    length += 12;
  }
  uint16_t window = peer->window > 0xffff ? 0xffff : (uint16_t)peer->window;
  support_peer_raw(peer, peer->first, 0, SUPPORT_SYN, window, options, length, NULL, 0);
  peer->next = peer->first + 1;
  peer->acked = peer->first;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static void parse_options(struct support_segment *segment, const uint8_t *at, const uint8_t *end) {
  segment->scale = -1;
  while (at < end && *at != 0) {
    if (*at == 1) {
      at++;
      continue;
    }
    assert_true(end - at >= 2 && at[1] >= 2 && at[1] <= end - at);
    if (at[0] == 2) segment->mss = support_get16(at + 2);
    if (at[0] == 3) segment->scale = at[2];
    if (at[0] == 4) segment->sack_permitted = true;
    if (at[0] == 8) {
      assert_int_equal(at[1], 10);
      segment->stamped = true;
      segment->value = support_get32(at + 2);
      segment->echo = support_get32(at + 6);
    }
    if (at[0] == 5) {
      segment->sacks = (at[1] - 2u) / 8;
      assert_true(segment->sacks >= 1 && segment->sacks <= 4);
      for (unsigned i = 0; i < segment->sacks; i++) {
        segment->sack[i][0] = support_get32(at + 2 + 8 * i);
        segment->sack[i][1] = support_get32(at + 6 + 8 * i);
      }
    }
    at += at[1];
  }
}

/* The sum over the pseudo-header, as a partial checksum field holds it: folded, not negated. */
static uint16_t pseudo_sum(const uint8_t *ip, size_t length) {
  bool v4 = ip[0] >> 4 == 4;
  uint8_t rest[6] = {
      0, IPPROTO_TCP, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  uint32_t sum = support_sum(0, v4 ? ip + 12 : ip + 8, v4 ? 8 : 32);
  return (uint16_t)~support_sum_field(support_sum(sum, rest, sizeof rest));
}

/* A packet of more than 64 KiB (RFC 2675; IPv4 as Linux has it). One of IPv6 gets the headers of a shorter one. */
static bool unfold(const struct support_peer *peer, struct support_out *out) {
  if (support_get16(out->bytes + (peer->ipv6 ? 4 : 2)) != 0) return false;
  assert_true(peer->world->offload & ADIT_OFFLOAD_BIG_TCP);
  assert_in_range(out->length, 65536, ADIT_PACKET_BIG);
  if (!peer->ipv6) return true;
  const uint8_t *option = out->bytes + 40;
  assert_memory_equal(option, ((uint8_t[]){IPPROTO_TCP, 0, 0xc2, 4}), 4);
  assert_int_equal(support_get32(option + 4), out->length - 40);
  assert_int_equal(out->offload.checksum_start, 48);
  memmove(out->bytes + 40, out->bytes + 48, out->length - 48);
  out->length -= 8;
  out->bytes[6] = IPPROTO_TCP;
  out->offload.checksum_start = 40;
  out->offload.header_length = (uint16_t)(out->offload.header_length - 8);
  assert_true(out->length - 40 > 65535);
  return true;
}

static void verify(const struct support_peer *peer, const struct support_segment *segment) {
  struct support_out *out = segment->out;
  const uint8_t *ip = out->bytes;
  size_t start = peer->ipv6 ? 40 : 20;
  const struct adit_offload *notes = &out->offload;
  size_t said = peer->ipv6 ? support_get16(ip + 4) + 40u : support_get16(ip + 2);
  if (!segment->is_long) assert_int_equal(said, out->length);
  assert_int_equal(segment->headers + segment->length, out->length);
  if (notes->checksum == ADIT_CHECKSUM_PARTIAL) {
    assert_true(peer->world->offload & ADIT_OFFLOAD_CHECKSUM);
    assert_int_equal(notes->checksum_start, start);
    assert_int_equal(notes->checksum_offset, 16);
    assert_int_equal(support_get16(ip + start + 16), pseudo_sum(ip, out->length - start));
    support_seal(out->bytes, out->length); /* as the device would */
  } else {
    assert_int_equal(notes->checksum, ADIT_CHECKSUM_NONE);
  }
  assert_true(support_sealed(ip, out->length));
  uint16_t mss = peer->mss ? peer->mss : 536;
  if (mss > peer->world->mtu - start - 20) mss = (uint16_t)(peer->world->mtu - start - 20);
  if (segment->stamped) mss = (uint16_t)((mss < 48 ? 48 : mss) - 12);
  if (notes->gso == ADIT_GSO_NONE) {
    assert_in_range(segment->length, 0, mss);
  } else {
    assert_int_equal(notes->gso, peer->ipv6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4);
    assert_true(peer->world->offload & (peer->ipv6 ? ADIT_OFFLOAD_TSO6 : ADIT_OFFLOAD_TSO4));
    assert_int_equal(notes->checksum, ADIT_CHECKSUM_PARTIAL);
    assert_int_equal(notes->gso_size, mss);
    assert_int_equal(notes->header_length, segment->headers);
    assert_true(segment->length > mss);
  }
}

static bool is_for(const struct support_peer *peer, const struct support_out *out) {
  size_t start = peer->ipv6 ? 40 : 20;
  uint8_t protocol = peer->ipv6 ? out->bytes[6] : out->bytes[9];
  if (peer->ipv6 && protocol == IPPROTO_HOPOPTS) {
    protocol = out->bytes[start];
    start += 8;
  }
  if (out->bytes[0] >> 4 != (peer->ipv6 ? 6 : 4) || protocol != IPPROTO_TCP) return false;
  return support_get16(out->bytes + start + 2) == peer->port && support_get16(out->bytes + start) == peer->server_port;
}

static struct support_out *take_out(struct support_peer *peer) {
  struct support_lab *lab = &peer->world->lab;
  for (struct support_out **link = &lab->first; *link; link = &(*link)->next) {
    struct support_out *out = *link;
    if (!is_for(peer, out)) continue;
    *link = out->next;
    if (lab->end == &out->next) lab->end = link;
    return out;
  }
  return NULL;
}

bool support_peer_take(struct support_peer *peer, struct support_segment *segment) {
  memset(segment, 0, sizeof *segment);
  segment->out = take_out(peer);
  if (!segment->out) return false;
  segment->is_long = unfold(peer, segment->out);
  const uint8_t *tcp = segment->out->bytes + (peer->ipv6 ? 40 : 20);
  uint8_t protocol;
  segment->headers = support_headers(segment->out->bytes, &protocol);
  assert_int_equal(protocol, IPPROTO_TCP);
  assert_true(segment->headers <= segment->out->length);
  segment->length = segment->out->length - segment->headers;
  segment->data = segment->out->bytes + segment->headers;
  segment->sequence = support_get32(tcp + 4);
  segment->acknowledgment = support_get32(tcp + 8);
  segment->flags = tcp[13] & ALL_FLAGS;
  parse_options(segment, tcp + 20, segment->data);
  verify(peer, segment);

  assert_true(segment->stamped == peer->stamps || (segment->flags & SUPPORT_RST));
  if (segment->stamped && !(segment->flags & SUPPORT_SYN)) assert_true((int32_t)(segment->value - peer->recent) >= 0);
  if (segment->stamped) peer->recent = segment->value;
  if (segment->flags & SUPPORT_SYN) {
    peer->stack_scale = segment->scale > 0 && peer->scale >= 0 ? segment->scale : 0;
    peer->begin = segment->sequence;
  }
  segment->window = support_get16(tcp + 14);
  if (!(segment->flags & SUPPORT_SYN)) segment->window <<= peer->stack_scale;
  if (segment->flags & SUPPORT_RST) {
    peer->reset = true;
    return true;
  }
  assert_true(segment->flags & SUPPORT_ACK);
  assert_true((int32_t)(segment->acknowledgment - peer->next) <= 0);
  if ((int32_t)(segment->acknowledgment - peer->acked) >= 0) {
    peer->acked = segment->acknowledgment;
    peer->room = segment->window;
  }
  /* One byte behind the window is a probe. */
  bool within = (int32_t)(segment->sequence + (uint32_t)segment->length - peer->edge) <= 0 || segment->length == 1;
  if (peer->established && segment->length > 0 && !peer->lies) assert_true(within);
  if (segment->length > 0) {
    peer->segments++;
  } else {
    peer->acks++;
  }
  return true;
}

void support_segment_free(struct support_segment *segment) {
  free(segment->out);
  segment->out = NULL;
}

static void keep(struct support_peer *peer, const uint8_t *data, size_t length) {
  if (peer->length + length > peer->size) {
    peer->size = 2 * (peer->length + length);
    peer->data = realloc(peer->data, peer->size);
    assert_non_null(peer->data);
  }
  memcpy(peer->data + peer->length, data, length);
  peer->length += length;
  peer->expected += (uint32_t)length;
}

bool support_peer_learn(struct support_peer *peer, const struct support_segment *segment) {
  if (segment->flags & SUPPORT_RST) return false;
  if (segment->flags & SUPPORT_SYN) {
    peer->expected = segment->sequence + 1;
    peer->edge = peer->expected;
    peer->established = true;
    return true;
  }
  int32_t known = (int32_t)(peer->expected - segment->sequence);
  bool fin = (segment->flags & SUPPORT_FIN) != 0;
  if (known >= 0 && (size_t)known < segment->length) {
    size_t length = segment->length - (size_t)known;
    uint32_t left = peer->edge - peer->expected;
    if (length > left) { /* a probe */
      length = left;
      fin = false;
    }
    if (length > 0) keep(peer, segment->data + known, length);
  }
  if (fin && !peer->fin && peer->expected == segment->sequence + (uint32_t)segment->length) {
    peer->fin = true;
    peer->expected++;
  }
  return segment->length > 0 || (segment->flags & SUPPORT_FIN);
}

unsigned support_peer_skip(struct support_peer *peer) {
  struct support_segment segment;
  unsigned count = 0;
  for (; support_peer_take(peer, &segment); count++) support_segment_free(&segment);
  return count;
}

void support_peer_run(struct support_peer *peer) {
  bool answer;
  support_lab_flush(&peer->world->lab);
  do {
    struct support_segment segment;
    answer = false;
    while (support_peer_take(peer, &segment)) {
      answer |= support_peer_learn(peer, &segment);
      support_segment_free(&segment);
    }
    if (answer && !peer->mute) support_peer_ack(peer, peer->expected);
    support_lab_flush(&peer->world->lab);
  } while (answer && !peer->mute);
}

void support_peer_connect(struct support_peer *peer) {
  support_peer_syn(peer);
  support_peer_run(peer);
  assert_true(peer->established);
  assert_false(peer->reset);
  assert_int_equal(peer->acked, peer->next);
}

void support_peer_expect(struct support_peer *peer, uint8_t flags, struct support_segment *segment) {
  assert_true(support_peer_take(peer, segment));
  assert_int_equal(segment->flags, flags);
  assert_int_equal(segment->length, 0);
  assert_null(peer->world->lab.first);
}
