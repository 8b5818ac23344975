/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Owners of the flows of a session: they hold the stack to what adit/stack.h says of events and of bytes read.
 */
#include "session.h"

#include <errno.h>
#include <string.h>

enum { PERIOD = 1 << 16 };

const uint8_t *fuzz_stream(uint64_t at) {
  static uint8_t bytes[2 * PERIOD];
  if (bytes[1] == 0)
    for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)((i % PERIOD * 2654435761u) >> 13);
  return bytes + at % PERIOD;
}

size_t fuzz_size(uint8_t how) {
  static const size_t sizes[16] = {0, 1, 2, 7, 100, 535, 536, 1000, 1400, 1448, 1460, 2049, 5000, 10000, 30000, 60000};
  return sizes[how & 15] + (how >> 4);
}

/* ---- what it does ------------------------------------------------------------------------------------------------ */

static void check_read(struct fuzz_owner *owner, const uint8_t *data, size_t length) {
  const struct fuzz_peer *peer = owner->peer;
  if (peer->generation == owner->generation && peer->honest) {
    FUZZ_CHECK(length <= PERIOD, "%zu", length);
    FUZZ_CHECK(memcmp(data, fuzz_stream(owner->read), length) == 0, "%zu bytes at %" PRIu64, length, owner->read);
  }
}

static void do_read(struct fuzz_owner *owner, size_t size) {
  static uint8_t data[PERIOD];
  while (size > 0) {
    size_t before = adit_flow_available(owner->flow);
    size_t wanted = size < sizeof data ? size : sizeof data;
    size_t got = adit_flow_read(owner->flow, data, wanted);
    FUZZ_EQUAL(got, before < wanted ? before : wanted);
    FUZZ_EQUAL(adit_flow_available(owner->flow), before - got);
    if (got == 0) break;
    check_read(owner, data, got);
    owner->read += got;
    size -= got;
  }
}

static void do_consume(struct fuzz_owner *owner, size_t size) {
  struct iovec pieces[5];
  size_t seen = 0;
  unsigned count = adit_flow_peek(owner->flow, pieces, 5);
  FUZZ_CHECK(count <= 5, "%u", count);
  FUZZ_EQUAL(count == 0, adit_flow_available(owner->flow) == 0);
  uint64_t start = owner->read;
  for (unsigned i = 0; i < count; i++) {
    check_read(owner, pieces[i].iov_base, pieces[i].iov_len);
    owner->read += pieces[i].iov_len;
    seen += pieces[i].iov_len;
  }
  FUZZ_CHECK(seen <= adit_flow_available(owner->flow), "%zu", seen);
  if (size > seen) size = seen;
  owner->read = start + size;
  adit_flow_consume(owner->flow, size);
}

static void do_write(struct fuzz_owner *owner, size_t size, bool lend) {
  size_t most = lend ? PERIOD : 2 * PERIOD;
  for (size_t total = 0; total < most && size > 0;) {
    size_t room = adit_flow_room(owner->flow);
    size_t length = size < PERIOD ? size : PERIOD;
    const uint8_t *data = fuzz_stream(owner->written);
    enum adit_flow_state state = adit_flow_state(owner->flow);
    ssize_t wrote = (lend ? adit_flow_lend : adit_flow_write)(owner->flow, data, length);
    if (wrote < 0) {
      if (state == ADIT_FLOW_PARKED) FUZZ_EQUAL(wrote, -ENOTCONN);
      if (state != ADIT_FLOW_PARKED) FUZZ_CHECK(owner->shut && wrote == -EPIPE, "%zd", wrote);
      break;
    }
    FUZZ_CHECK((size_t)wrote <= room && (size_t)wrote <= length, "%zd of %zu, room %zu", wrote, length, room);
    if (wrote == 0) break;
    owner->written += (uint64_t)wrote;
    total += (size_t)wrote;
    size -= (size_t)wrote;
  }
}

static void do_reserve(struct fuzz_owner *owner, size_t size) {
  struct iovec pieces[3];
  size_t room = adit_flow_room(owner->flow);
  unsigned count = adit_flow_reserve(owner->flow, pieces, 3);
  size_t given = 0;
  for (unsigned i = 0; i < count; i++) {
    for (size_t at = 0; at < pieces[i].iov_len; at++, given++)
      ((uint8_t *)pieces[i].iov_base)[at] = *fuzz_stream(owner->written + given);
  }
  FUZZ_CHECK(given <= room, "%zu, room %zu", given, room);
  if (count == 0) return;
  if (size > given) size = given;
  ssize_t sent = adit_flow_commit(owner->flow, size);
  FUZZ_CHECK(sent == -ENOBUFS || (sent >= 0 && (size_t)sent <= size), "%zd of %zu", sent, size);
  if (sent > 0) owner->written += (uint64_t)sent;
}

static void let_go(struct fuzz_owner *owner, int error) {
  FUZZ_CHECK(error == 0 || error == -EALREADY, "%d", error);
  if (error == 0) owner->flow = NULL;
}

void fuzz_owner_act(struct fuzz_owner *owner, enum fuzz_act what, size_t size) {
  struct adit_flow *flow = owner->flow;
  if (!flow) return;
  bool parked = adit_flow_state(flow) == ADIT_FLOW_PARKED;
  int error;
  switch (what) {
  case FUZZ_ACT_ACCEPT:
    error = adit_flow_accept(flow);
    FUZZ_CHECK(error == 0 || error == -EALREADY || error == -ENOBUFS, "%d", error);
    break;
  case FUZZ_ACT_REFUSE:
    let_go(owner, adit_flow_refuse(flow, (enum adit_refusal)(size % ADIT_REFUSALS)));
    break;
  case FUZZ_ACT_DROP:
    let_go(owner, adit_flow_drop(flow));
    break;
  case FUZZ_ACT_READ:
    do_read(owner, size);
    break;
  case FUZZ_ACT_CONSUME:
    do_consume(owner, size);
    break;
  case FUZZ_ACT_WRITE:
  case FUZZ_ACT_LEND:
    do_write(owner, size, what == FUZZ_ACT_LEND);
    break;
  case FUZZ_ACT_RESERVE:
    do_reserve(owner, size);
    break;
  case FUZZ_ACT_SHUTDOWN:
    error = adit_flow_shutdown(flow);
    FUZZ_EQUAL(error, parked ? -ENOTCONN : 0);
    if (error == 0) owner->shut = true;
    break;
  case FUZZ_ACT_CLOSE:
    adit_flow_close(flow);
    owner->flow = NULL;
    break;
  case FUZZ_ACT_ABORT:
    adit_flow_abort(flow);
    owner->flow = NULL;
    break;
  case FUZZ_ACTS:
    break;
  }
}

/* ---- what it hears ----------------------------------------------------------------------------------------------- */

/* An event of a flow that was let go would be a use after free for any real owner. */
static struct fuzz_owner *hears(void *user, const struct adit_flow *flow) {
  struct fuzz_owner *owner = user;
  FUZZ_CHECK(owner->flow == flow, "%p and %p", (void *)owner->flow, (const void *)flow);
  return owner;
}

static bool has(const struct fuzz_owner *owner, enum fuzz_habit habit) {
  return owner->flow && (owner->peer->habits & habit);
}

static void on_established(void *user, struct adit_flow *flow) {
  struct fuzz_owner *owner = hears(user, flow);
  FUZZ_EQUAL(owner->established, false);
  FUZZ_EQUAL(adit_flow_state(flow), ADIT_FLOW_ESTABLISHED);
  owner->established = true;
  if (has(owner, FUZZ_HABIT_WRITES)) fuzz_owner_act(owner, FUZZ_ACT_WRITE, SIZE_MAX);
  if (has(owner, FUZZ_HABIT_SHUTS)) fuzz_owner_act(owner, FUZZ_ACT_SHUTDOWN, 0);
  if (has(owner, FUZZ_HABIT_LEAVES)) fuzz_owner_act(owner, FUZZ_ACT_CLOSE, 0);
}

static void on_readable(void *user, struct adit_flow *flow) {
  struct fuzz_owner *owner = hears(user, flow);
  FUZZ_EQUAL(owner->established, true);
  if (has(owner, FUZZ_HABIT_READS)) fuzz_owner_act(owner, FUZZ_ACT_READ, SIZE_MAX);
  if (has(owner, FUZZ_HABIT_ABORTS)) fuzz_owner_act(owner, FUZZ_ACT_ABORT, 0);
}

static void on_writable(void *user, struct adit_flow *flow) {
  struct fuzz_owner *owner = hears(user, flow); /* comes before `established` when it tried to write before the flush */
  if (has(owner, FUZZ_HABIT_WRITES)) fuzz_owner_act(owner, FUZZ_ACT_WRITE, SIZE_MAX);
}

static void on_peer_closed(void *user, struct adit_flow *flow) {
  struct fuzz_owner *owner = hears(user, flow);
  FUZZ_EQUAL(owner->peer_closed, false);
  FUZZ_EQUAL(adit_flow_peer_has_closed(flow), true);
  owner->peer_closed = true;
  if (has(owner, FUZZ_HABIT_CLOSES)) fuzz_owner_act(owner, FUZZ_ACT_CLOSE, 0);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  struct fuzz_owner *owner = hears(user, flow);
  FUZZ_CHECK(error == 0 || error == -ECONNRESET || error == -ETIMEDOUT || error == -ENOBUFS, "%d", error);
  FUZZ_EQUAL(adit_flow_state(flow), ADIT_FLOW_CLOSED);
  do_consume(owner, SIZE_MAX); /* it may be read until the return */
  owner->flow = NULL;
}

static void on_syn(void *user, struct adit_flow *flow) {
  static const struct adit_flow_events events = {.established = on_established,
                                                 .readable = on_readable,
                                                 .writable = on_writable,
                                                 .peer_closed = on_peer_closed,
                                                 .closed = on_closed};
  struct fuzz_session *session = user;
  unsigned number = adit_flow_remote(flow).port % FUZZ_PEERS; /* a changed packet may come from any port */
  FUZZ_EQUAL(adit_flow_state(flow), ADIT_FLOW_PARKED);
  if (session->owner_count == FUZZ_OWNERS) {
    FUZZ_EQUAL(adit_flow_drop(flow), 0);
    return;
  }
  struct fuzz_peer *peer = &session->peers[number];
  struct fuzz_owner *owner = &session->owners[session->owner_count++];
  *owner = (struct fuzz_owner){.session = session, .peer = peer, .flow = flow};
  if (fuzz_peer_is(peer, adit_flow_local(flow), adit_flow_remote(flow))) {
    owner->generation = peer->generation;
    peer->owner = owner;
  }
  adit_flow_attach(flow, &events, owner);
  if (has(owner, FUZZ_HABIT_ACCEPTS)) fuzz_owner_act(owner, FUZZ_ACT_ACCEPT, 0);
  if (has(owner, FUZZ_HABIT_REFUSES)) fuzz_owner_act(owner, FUZZ_ACT_REFUSE, session->owner_count);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct fuzz_session *session = user;
  (void)adit_stack_send_datagram(session->lab.stack, datagram->local, datagram->remote, datagram->iov,
                                 datagram->iovcnt);
}

static void on_sent(void *user, const uint8_t *packet, const struct adit_header *header) {
  fuzz_peer_take(user, packet, header);
}

void fuzz_session_events(struct fuzz_session *session) {
  session->lab.events = (struct adit_stack_events){.syn = on_syn, .datagram = on_datagram};
  session->lab.user = session;
  session->lab.sent = on_sent;
}
