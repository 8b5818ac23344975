/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The TCP peers of a session.
 *
 * A peer is honest as long as each of its bytes is the one that belongs to its sequence number, and its segments are TCP's.
 * Then the stack is held to more: it acknowledges nothing that was not sent, and its owner reads those bytes and no others.
 * In any case each byte that the stack sends is the one that its owner wrote at that position.
 */
#include "packet/timestamps.h"
#include "session.h"

#include <netinet/in.h>
#include <string.h>

enum { PORT = 40000, SERVER_PORT = 80, TCP = 20, UDP = 8, MSS = 1200, OLD_MS = 5000 };

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

bool fuzz_peer_is(const struct fuzz_peer *peer, adit_endpoint local, adit_endpoint remote) {
  static const adit_ip ends[2][2] = {{{{192, 168, 3, 12}, 4}, {{192, 168, 3, 11}, 4}},
                                     {{{0xfd, 0xad, 0, 3, [15] = 0x12}, 6}, {{0xfd, 0xad, 0, 3, [15] = 0x11}, 6}}};
  const adit_ip *end = ends[peer->ipv6];
  return adit_ip_equal(local.ip, end[0]) && adit_ip_equal(remote.ip, end[1]) && local.port == SERVER_PORT &&
         remote.port == PORT + peer->number;
}

/* An IP header of this peer's for so many bytes behind it. Returns its length. */
static size_t put_ip(const struct fuzz_peer *peer, uint8_t *at, uint8_t protocol, size_t length) {
  static const uint8_t template4[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 0, 0, 0, 192, 168, 3, 11, 192, 168, 3, 12};
  static const uint8_t template6[40] = {
      0x60, [7] = 64, [8] = 0xfd, 0xad, 0, 3, [23] = 0x11, [24] = 0xfd, 0xad, 0, 3, [39] = 0x12};
  if (peer->ipv6) {
    memcpy(at, template6, sizeof template6);
    put16(at + 4, (uint32_t)length);
    at[6] = protocol;
    return sizeof template6;
  }
  memcpy(at, template4, sizeof template4);
  put16(at + 2, (uint32_t)(length + sizeof template4));
  at[9] = protocol;
  return sizeof template4;
}

static void give(struct fuzz_peer *peer, size_t length) {
  peer->last_length = length;
  fuzz_lab_input(&peer->session->lab, peer->last, length, &peer->last_notes);
}

/* The peer's clock, so many milliseconds ago. */
static struct adit_timestamps stamps_of(const struct fuzz_peer *peer, uint32_t ago_ms) {
  uint32_t now_ms = (uint32_t)(adit_stack_now(peer->session->lab.stack) / 1000000);
  return (struct adit_timestamps){.value = now_ms + ((uint32_t)peer->number << 30) - ago_ms, .echo = peer->recent};
}

struct segment {
  uint8_t flags;
  uint32_t sequence;
  uint32_t acknowledgment;
  const uint8_t *options;
  size_t options_length;
  const uint8_t *data;
  size_t length;
  bool large;
  bool old;  /* with a timestamp of some time ago */
  bool bare; /* without one, although there should be */
};

static void send_segment(struct fuzz_peer *peer, const struct segment *given) {
  struct segment with = *given;
  const struct segment *segment = &with;
  uint8_t stamps[ADIT_TIMESTAMPS];
  if (peer->stamped && !(with.flags & ADIT_TCP_SYN) && !with.bare) {
    adit_timestamps_put(stamps, stamps_of(peer, with.old ? OLD_MS : 0));
    with.options = stamps;
    with.options_length = sizeof stamps;
  }
  size_t headers = TCP + segment->options_length;
  size_t ip = put_ip(peer, peer->last, IPPROTO_TCP, headers + segment->length);
  uint8_t *tcp = peer->last + ip;
  put16(tcp, PORT + peer->number);
  put16(tcp + 2, SERVER_PORT);
  put32(tcp + 4, segment->sequence);
  put32(tcp + 8, segment->acknowledgment);
  tcp[12] = (uint8_t)(headers / 4 << 4);
  tcp[13] = segment->flags;
  put16(tcp + 14, peer->window);
  put32(tcp + 16, 0);
  if (segment->options_length > 0) memcpy(tcp + TCP, segment->options, segment->options_length);
  if (segment->length > 0) memcpy(tcp + headers, segment->data, segment->length);
  peer->last_notes = (struct adit_offload){0};
  if (segment->large) {
    peer->last_notes.gso = peer->ipv6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4;
    peer->last_notes.gso_size = MSS;
  }
  size_t length = ip + headers + segment->length;
  fuzz_lab_seal(peer->last, length, segment->large, &peer->last_notes);
  uint32_t after = segment->sequence + (uint32_t)segment->length + (segment->flags & 2 ? 1 : 0) + (segment->flags & 1);
  if (segment->flags & 1) { /* a FIN says where the stream ends; two ends, or bytes behind one, contradict each other */
    uint32_t end = after - 1;
    if (peer->ended ? end != peer->end : segment->sequence != peer->next || (int32_t)(peer->most - end) > 0)
      peer->honest = false;
    peer->ended = true;
    peer->end = end;
  } else if (peer->ended && segment->length > 0 && (int32_t)(after - peer->end) > 0) {
    peer->honest = false;
  }
  if ((int32_t)(after - peer->most) > 0) peer->most = after;
  give(peer, length);
}

void fuzz_peer_begin(struct fuzz_session *session, unsigned number, uint8_t habits) {
  struct fuzz_peer *peer = &session->peers[number];
  peer->session = session;
  peer->number = (uint8_t)number;
  peer->ipv6 = number % 2;
  peer->habits = habits;
  peer->answers = true;
  peer->window = 65535;
}

void fuzz_peer_syn(struct fuzz_peer *peer, uint8_t how) {
  static const uint16_t sizes[] = {1460, 1, 48, 536, 8960, 65535, 0, 1220};
  uint8_t options[12 + ADIT_TIMESTAMPS] = {0};
  size_t length = 0;
  if (how & 1) {
    memcpy(options, (const uint8_t[]){2, 4}, 2);
    put16(options + 2, sizes[how >> 5]);
    length += 4;
  }
  if (how & 2) length += (memcpy(options + length, (const uint8_t[]){1, 3, 3, 7}, 4), 4u);
  if (how & 4) length += (memcpy(options + length, (const uint8_t[]){1, 1, 4, 2}, 4), 4u);
  if ((how & 4) && (peer->number & 2)) { /* two of the peers can do timestamps, and not always */
    adit_timestamps_put(options + length, stamps_of(peer, 0));
    length += ADIT_TIMESTAMPS;
  }
  if ((how & 8) || peer->generation == 0) {
    peer->generation++;
    peer->first = how & 16 ? peer->most + 70000 : peer->most - 100000;
    peer->most = peer->first;
    peer->next = peer->first + 1;
    peer->acked = peer->next;
    peer->honest = true;
    peer->joined = false;
    peer->ended = false;
  } else if (peer->next != peer->first + 1) {
    peer->honest = false; /* the SYN of a connection that has gone on */
  }
  send_segment(peer,
               &(struct segment){.flags = 2, .sequence = peer->first, .options = options, .options_length = length});
}

void fuzz_peer_data(struct fuzz_peer *peer, int32_t off, size_t length, bool large) {
  uint32_t sequence = peer->next + (uint32_t)off;
  if (!large && length > 1400) length = 1400;
  if (length > 60000) length = 60000;
  uint32_t position = sequence - peer->first - 1;
  if ((int32_t)position < 0) position = 0; /* before the first byte: whatever it is, it was acknowledged */
  sequence = position + peer->first + 1;
  send_segment(peer, &(struct segment){.flags = 0x18,
                                       .sequence = sequence,
                                       .acknowledgment = peer->expected,
                                       .data = fuzz_stream(position),
                                       .length = length,
                                       .large = large && length > MSS});
  if (off == 0) peer->next += (uint32_t)length;
}

void fuzz_peer_fin(struct fuzz_peer *peer) {
  send_segment(peer, &(struct segment){.flags = 0x11, .sequence = peer->next, .acknowledgment = peer->expected});
}

void fuzz_peer_reset(struct fuzz_peer *peer, int32_t off) {
  send_segment(peer, &(struct segment){.flags = 0x14,
                                       .sequence = (off ? peer->next : peer->acked) + (uint32_t)(off * 50),
                                       .acknowledgment = peer->expected});
}

void fuzz_peer_ack(struct fuzz_peer *peer, int32_t off) {
  send_segment(
      peer, &(struct segment){.flags = 0x10, .sequence = peer->next, .acknowledgment = peer->expected + (uint32_t)off});
  if (off == 0) peer->heard = false;
}

void fuzz_peer_raw(struct fuzz_peer *peer, uint8_t flags, uint32_t sequence, uint32_t acknowledgment, size_t length) {
  peer->honest = false;
  if (length > 1400) length = 1400;
  send_segment(peer, &(struct segment){.flags = flags,
                                       .sequence = sequence,
                                       .acknowledgment = acknowledgment,
                                       .data = fuzz_stream(0),
                                       .length = length,
                                       .old = acknowledgment & 1,
                                       .bare = (acknowledgment & 6) == 6});
}

void fuzz_peer_again(struct fuzz_peer *peer, size_t place, uint8_t bits, bool sealed) {
  if (peer->last_length == 0) return;
  if (bits) {
    peer->honest = false;
    peer->last[place % peer->last_length] ^= bits;
    bool partial = peer->last_notes.checksum == ADIT_CHECKSUM_PARTIAL;
    if (sealed) fuzz_lab_seal(peer->last, peer->last_length, partial, &peer->last_notes);
  }
  give(peer, peer->last_length);
}

void fuzz_peer_datagram(struct fuzz_peer *peer, size_t length) {
  size_t ip = put_ip(peer, peer->last, IPPROTO_UDP, UDP + length);
  uint8_t *udp = peer->last + ip;
  put16(udp, PORT + peer->number);
  put16(udp + 2, 53);
  put16(udp + 4, (uint32_t)(UDP + length));
  put16(udp + 6, 0);
  if (length > 0) memcpy(udp + UDP, fuzz_stream(0), length);
  peer->last_notes = (struct adit_offload){0};
  fuzz_lab_seal(peer->last, ip + UDP + length, false, &peer->last_notes);
  give(peer, ip + UDP + length);
}

bool fuzz_peer_answer(struct fuzz_peer *peer) {
  if (!peer->answers || !peer->heard) return false;
  fuzz_peer_ack(peer, 0);
  return true;
}

void fuzz_peer_give_up(struct fuzz_peer *peer) {
  if (peer->generation > 0 || peer->acked != 0) fuzz_peer_reset(peer, 0);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static void take_segment(struct fuzz_peer *peer, const uint8_t *packet, const struct adit_header *header) {
  size_t length = header->length - header->payload;
  struct adit_timestamps stamps;
  bool stamped = adit_timestamps_find(packet + header->transport + TCP, header->payload - header->transport - TCP,
                                      &stamps);
  if (header->tcp_flags & ADIT_TCP_RST) return;
  if (stamped) peer->recent = stamps.value;
  if (header->tcp_flags & ADIT_TCP_SYN) {
    if (!peer->joined || peer->begin != header->tcp_sequence) peer->expected = header->tcp_sequence + 1;
    peer->joined = header->tcp_acknowledgment == peer->first + 1; /* otherwise of the connection before */
    peer->begin = header->tcp_sequence;
    peer->heard = true;
    peer->stamped = stamped;
  }
  if (peer->joined) FUZZ_EQUAL(stamped, peer->stamped);
  if (header->tcp_flags & ADIT_TCP_ACK) {
    peer->acked = header->tcp_acknowledgment;
    if (peer->honest && peer->joined)
      FUZZ_CHECK((int32_t)(peer->most - peer->acked) >= 0, "%u and %u", peer->most, peer->acked);
  }
  if (length == 0 && !(header->tcp_flags & ADIT_TCP_FIN)) return;
  FUZZ_CHECK(peer->owner != NULL, "%zu", length);
  uint32_t position = header->tcp_sequence - peer->begin - 1;
  FUZZ_CHECK(position + length <= peer->owner->written, "%u and %zu of %" PRIu64, position, length,
             peer->owner->written);
  FUZZ_CHECK(memcmp(packet + header->payload, fuzz_stream(position), length) == 0, "%zu bytes at %u", length, position);
  if (header->tcp_flags & ADIT_TCP_FIN) FUZZ_EQUAL(position + length, peer->owner->written);
  uint32_t after = header->tcp_sequence + (uint32_t)length + (header->tcp_flags & ADIT_TCP_FIN);
  if ((int32_t)(header->tcp_sequence - peer->expected) <= 0 && (int32_t)(after - peer->expected) > 0)
    peer->expected = after;
  peer->heard = true;
}

void fuzz_peer_take(struct fuzz_session *session, const uint8_t *packet, const struct adit_header *header) {
  if (header->protocol != IPPROTO_TCP || header->fragment) return;
  adit_endpoint local = {header->source, header->source_port};
  adit_endpoint remote = {header->destination, header->destination_port};
  for (unsigned i = 0; i < FUZZ_PEERS; i++) {
    struct fuzz_peer *peer = &session->peers[i];
    if (fuzz_peer_is(peer, local, remote)) take_segment(peer, packet, header);
  }
}
