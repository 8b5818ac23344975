/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: whole sessions. The input is a script of what peers send, owners do and the clock shows.
 *
 * Four peers (session.h), every other one over IPv6, each with one port of its own, so that a connection may follow
 * another on the same 4-tuple. The input: options of the stack, a byte for each peer that says what its owners do by
 * themselves, then moves: the upper two bits of a byte are the peer, the rest is a row of `moves`. What both sides send are
 * bytes that follow from their position, so that either side can tell a wrong one (session_peer.c, session_owner.c).
 *
 * At the end all is let go, and nothing may be left: no flow, no buffer, no memory.
 */
#include "session.h"

#include <string.h>

enum { ROUNDS = 6 };

/* After a burst: peers that acknowledge by themselves do, as long as something comes. */
static void settle_burst(struct fuzz_session *session) {
  adit_stack_flush(session->lab.stack);
  for (unsigned round = 0; round < ROUNDS; round++) {
    bool any = false;
    for (unsigned i = 0; i < FUZZ_PEERS; i++) any = fuzz_peer_answer(&session->peers[i]) || any;
    if (!any) break;
    adit_stack_flush(session->lab.stack);
  }
}

static uint64_t time_of(uint8_t how) {
  static const uint64_t long_ms[] = {30000, 60000, 130000, 600000};
  return how < 252 ? (uint64_t)how * how / 4 * FUZZ_MS : long_ms[how & 3] * FUZZ_MS;
}

static void move_syn(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_peer_syn(peer, fuzz_take8(bytes));
}

static void move_data(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_peer_data(peer, 0, fuzz_size(fuzz_take8(bytes)), false);
}

static void move_data_elsewhere(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  int32_t off = (int8_t)fuzz_take8(bytes) * 50;
  fuzz_peer_data(peer, off, fuzz_size(fuzz_take8(bytes)), false);
}

static void move_large(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  int32_t off = (int8_t)fuzz_take8(bytes) * 500;
  fuzz_peer_data(peer, off, fuzz_size(fuzz_take8(bytes)) * 8, true);
}

static void move_fin(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  (void)bytes;
  fuzz_peer_fin(peer);
}

static void move_reset(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_peer_reset(peer, (int8_t)fuzz_take8(bytes));
}

static void move_ack(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_peer_ack(peer, (int8_t)fuzz_take8(bytes) * 100);
}

static void move_ack_all(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  (void)bytes;
  fuzz_peer_ack(peer, 0);
}

static void move_window(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  static const uint16_t windows[] = {0, 1, 10, 100, 1000, 5000, 30000, 65535};
  uint8_t how = fuzz_take8(bytes);
  peer->window = windows[how & 7];
  peer->answers = (how & 8) != 0;
}

static void move_raw(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  uint8_t flags = fuzz_take8(bytes);
  uint32_t sequence = peer->next + (uint32_t)((int16_t)fuzz_take16(bytes) * 16);
  uint32_t acknowledgment = peer->expected + (uint32_t)((int16_t)fuzz_take16(bytes) * 16);
  fuzz_peer_raw(peer, flags, sequence, acknowledgment, fuzz_size(fuzz_take8(bytes)));
}

static void move_again(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  (void)bytes;
  fuzz_peer_again(peer, 0, 0, true);
}

static void move_changed(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  uint8_t place = fuzz_take8(bytes);
  uint8_t bits = fuzz_take8(bytes);
  fuzz_peer_again(peer, place, bits, (place & 128) == 0);
}

static void move_flush(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  (void)bytes;
  settle_burst(peer->session);
}

static void move_time(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_lab_pass(&peer->session->lab, time_of(fuzz_take8(bytes)));
  settle_burst(peer->session);
}

static void move_deadline(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  struct adit_stack *stack = peer->session->lab.stack;
  (void)bytes;
  uint64_t deadline_ns = adit_stack_deadline(stack);
  if (deadline_ns != UINT64_MAX) adit_stack_advance(stack, deadline_ns);
}

static void move_owner(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  uint8_t what = fuzz_take8(bytes);
  size_t size = what & 0x80 ? fuzz_size(fuzz_take8(bytes)) : SIZE_MAX;
  if (peer->owner) fuzz_owner_act(peer->owner, (enum fuzz_act)((what & 0x7f) % FUZZ_ACTS), size);
}

static void move_habits(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  peer->habits = fuzz_take8(bytes);
}

static void move_datagram(struct fuzz_peer *peer, struct fuzz_bytes *bytes) {
  fuzz_peer_datagram(peer, fuzz_size(fuzz_take8(bytes)));
}

static void (*const moves[])(struct fuzz_peer *peer, struct fuzz_bytes *bytes) = {
    move_syn,    move_data,     move_data_elsewhere, move_large,   move_fin,   move_reset, move_ack,      move_ack_all,
    move_window, move_raw,      move_again,          move_changed, move_flush, move_time,  move_deadline, move_owner,
    move_habits, move_datagram, move_flush,          move_owner,
};

static void end(struct fuzz_session *session, uint8_t how) {
  for (unsigned i = 0; i < session->owner_count; i++) {
    struct fuzz_owner *owner = &session->owners[i];
    if (!owner->flow) continue;
    if ((how & 1) && owner->generation > 0) fuzz_owner_act(owner, FUZZ_ACT_CLOSE, SIZE_MAX);
    if (owner->flow) fuzz_owner_act(owner, FUZZ_ACT_ABORT, SIZE_MAX);
  }
  /* What was closed may wait for ever for a peer whose window is shut; so peers go, too. */
  for (unsigned round = 0; round < 3; round++) {
    adit_stack_flush(session->lab.stack);
    for (unsigned i = 0; i < FUZZ_PEERS; i++) fuzz_peer_give_up(&session->peers[i]);
  }
  fuzz_lab_settle(&session->lab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct fuzz_session session;
  struct fuzz_bytes bytes = {data, size};
  memset(&session, 0, sizeof session);
  fuzz_session_events(&session);
  fuzz_lab_options(&session.lab, &bytes);
  session.lab.options.ethernet = false;
  uint8_t how = fuzz_take8(&bytes);
  fuzz_lab_open(&session.lab);
  for (unsigned i = 0; i < FUZZ_PEERS; i++) fuzz_peer_begin(&session, i, fuzz_take8(&bytes));
  while (bytes.left > 0) {
    uint8_t move = fuzz_take8(&bytes);
    moves[(move & 63) % (sizeof moves / sizeof *moves)](&session.peers[move >> 6], &bytes);
  }
  if (!(how & 2)) end(&session, how);
  fuzz_lab_close(&session.lab);
  return 0;
}
