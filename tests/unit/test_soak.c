/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Long transfers in both directions at once over a bad network: losses, repetitions, reordering, all from a seed, under a
 * virtual clock. What arrives must be what was sent.
 *
 * The network cuts large packets by their notes before it treats the pieces one by one, so that acknowledgments inside
 * large segments and holes in them are the rule.
 */
#include "support_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 20, TOTAL = 4 << 20, PORT = 40000, PIECE = 1400, FLIGHT = 200 * 1024 };

/* A packet on its way, to the peer (the stack's, one MSS at most) or to the stack. */
struct moving {
  struct moving *next;
  uint64_t due_ns;
  bool to_stack;
  uint8_t flags;
  uint32_t sequence;
  uint32_t acknowledgment;
  uint32_t window; /* bytes, scaled */
  unsigned sacks;
  size_t length; /* of data, which are known by their sequence number */
};

struct soak {
  struct support_world world;
  struct support_peer peer;
  struct support_owner *owner;
  uint64_t seed;
  unsigned loss; /* in a thousand; likewise repetitions */
  uint64_t jitter_ns;
  struct moving *moving; /* by time */

  /* down: the stack sends, the peer has a bitmap of what came */
  size_t written;
  uint8_t *have;
  uint32_t expected; /* first byte that is missing, counted from 0 */
  bool fin_seen;

  /* up: the peer sends, go-back-N */
  uint32_t acked; /* counted from 0 */
  uint32_t next;
  uint32_t room;
  unsigned duplicates;
  uint64_t resend_ns;
  size_t read;
};

static uint8_t pattern[TOTAL];

static bool happens(struct soak *soak, unsigned in_a_thousand) {
  return support_random(&soak->seed) % 1000 < in_a_thousand;
}

static void launch(struct soak *soak, const struct moving *what) {
  for (unsigned copies = happens(soak, soak->loss) ? 0 : happens(soak, soak->loss) ? 2 : 1; copies > 0; copies--) {
    struct moving *moving = malloc(sizeof *moving);
    assert_non_null(moving);
    *moving = *what;
    moving->due_ns = soak->world.lab.now_ns + SUPPORT_MS + support_random(&soak->seed) % soak->jitter_ns;
    struct moving **link = &soak->moving;
    while (*link && (*link)->due_ns <= moving->due_ns) link = &(*link)->next;
    moving->next = *link;
    *link = moving;
  }
}

/* ---- the stack's packets ---- */

static void launch_from_stack(struct soak *soak) {
  struct support_segment segment;
  while (support_peer_take(&soak->peer, &segment)) {
    if (segment.flags & SUPPORT_RST) { /* for stragglers, when all is over */
      assert_int_equal(support_world_stats(&soak->world).flows_open, 0);
      assert_true(soak->fin_seen && soak->read == TOTAL);
      support_segment_free(&segment);
      continue;
    }
    uint32_t start = segment.sequence - soak->peer.begin - 1;
    if (segment.length > 0) { /* the bytes are right whenever they are sent */
      assert_true(start + segment.length <= TOTAL);
      if (memcmp(segment.data, pattern + start, segment.length) != 0) fail_msg("wrong bytes at %u", start);
    }
    size_t size = segment.out->offload.gso_size ? segment.out->offload.gso_size : segment.length;
    size_t at = 0;
    do {
      size_t length = segment.length - at < size ? segment.length - at : size;
      bool last = at + length == segment.length;
      launch(soak, &(struct moving){.flags = (uint8_t)(segment.flags & ~(last ? 0 : SUPPORT_FIN | SUPPORT_PSH)),
                                    .sequence = start + (uint32_t)at,
                                    .acknowledgment = segment.acknowledgment - soak->peer.first - 1,
                                    .window = segment.window,
                                    .sacks = segment.sacks,
                                    .length = length});
      at += length;
    } while (at < segment.length);
    support_segment_free(&segment);
  }
}

/* ---- the peer ---- */

static void send_up(struct soak *soak, uint32_t sequence, size_t length, uint8_t flags) {
  launch(soak, &(struct moving){.to_stack = true,
                                .flags = (uint8_t)(flags | SUPPORT_ACK),
                                .sequence = sequence,
                                .acknowledgment = soak->expected + soak->fin_seen,
                                .length = length});
}

static void resend(struct soak *soak) {
  soak->next = soak->acked;
  soak->duplicates = 0;
  soak->resend_ns = soak->world.lab.now_ns + 300 * SUPPORT_MS;
}

static void send_more(struct soak *soak) {
  uint32_t bound = soak->room < FLIGHT ? soak->room : FLIGHT;
  while (soak->next < TOTAL && soak->next - soak->acked < bound) {
    uint32_t length = TOTAL - soak->next < PIECE ? TOTAL - soak->next : PIECE;
    if (length > bound - (soak->next - soak->acked)) length = bound - (soak->next - soak->acked);
    send_up(soak, soak->next, length, SUPPORT_PSH);
    soak->next += length;
  }
  if (soak->acked == TOTAL && soak->next == TOTAL) {
    send_up(soak, TOTAL, 0, SUPPORT_FIN);
    soak->next++;
  }
}

static void receive_down(struct soak *soak, const struct moving *moving) {
  if ((int32_t)(moving->acknowledgment - soak->acked) > 0) {
    soak->acked = moving->acknowledgment;
    if (soak->next < soak->acked) soak->next = soak->acked;
    soak->duplicates = 0;
    soak->resend_ns = soak->world.lab.now_ns + 300 * SUPPORT_MS;
    soak->room = moving->window;
  } else if (moving->acknowledgment == soak->acked) {
    soak->room = moving->window;
    if (moving->length == 0 && moving->sacks > 0 && ++soak->duplicates == 3) soak->next = soak->acked;
  }
  if (moving->length > 0) memset(soak->have + moving->sequence, 1, moving->length);
  while (soak->expected < TOTAL && soak->have[soak->expected]) soak->expected++;
  if ((moving->flags & SUPPORT_FIN) && moving->sequence + moving->length == TOTAL && soak->expected == TOTAL)
    soak->fin_seen = true;
  if (moving->length > 0 || (moving->flags & SUPPORT_FIN)) send_up(soak, soak->next, 0, 0);
}

/* ---- the owner ---- */

static void write_and_read(struct support_owner *owner, char event) {
  struct soak *soak = owner->extra;
  if (event == 'C') return;
  if (event == 'R') {
    struct iovec iov[8];
    unsigned pieces = adit_flow_peek(owner->flow, iov, 8);
    size_t bytes = 0;
    for (unsigned i = 0; i < pieces; i++) {
      assert_true(soak->read + bytes + iov[i].iov_len <= TOTAL);
      if (memcmp(iov[i].iov_base, pattern + soak->read + bytes, iov[i].iov_len) != 0)
        fail_msg("wrong bytes behind %zu", soak->read + bytes);
      bytes += iov[i].iov_len;
    }
    if (support_random(&soak->seed) % 8 == 0) bytes /= 2; /* leaves some for later */
    adit_flow_consume(owner->flow, bytes);
    soak->read += bytes;
  }
  if (soak->written < TOTAL) {
    size_t length = 1 + support_random(&soak->seed) % 300000;
    if (length > TOTAL - soak->written) length = TOTAL - soak->written;
    ssize_t wrote = (soak->seed % 2 ? adit_flow_write : adit_flow_lend)(owner->flow, pattern + soak->written, length);
    assert_true(wrote >= 0);
    soak->written += (size_t)wrote;
    if (soak->written == TOTAL) assert_int_equal(adit_flow_shutdown(owner->flow), 0);
  }
}

/* ---- the network ---- */

static void deliver(struct soak *soak) {
  uint64_t now = soak->world.lab.now_ns;
  while (soak->moving && soak->moving->due_ns <= now) {
    struct moving *moving = soak->moving;
    soak->moving = moving->next;
    if (moving->to_stack) {
      support_peer_raw(&soak->peer, soak->peer.first + 1 + moving->sequence,
                       soak->peer.begin + 1 + moving->acknowledgment, moving->flags, (1 << 20) >> 7, NULL, 0,
                       pattern + moving->sequence % TOTAL, moving->length);
    } else {
      receive_down(soak, moving);
    }
    free(moving);
  }
}

static void offload_by_seed(struct adit_stack_options *options) {
  options->offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6;
  options->window_bytes = 1 << 18;
}

static void transfer(uint64_t seed) {
  struct soak soak = {.seed = seed * 77 + 1,
                      .loss = (unsigned)(seed % 11) * 10,
                      .jitter_ns = 1 + (seed % 4) * 3 * SUPPORT_MS,
                      .have = calloc(1, TOTAL),
                      .room = 1 << 16};
  assert_non_null(soak.have);
  support_world_open(&soak.world, 1, seed % 3 ? offload_by_seed : NULL);
  soak.peer = support_peer_at(&soak.world, seed % 2, PORT);
  soak.peer.first = (uint32_t)(0 - seed * 100000); /* numbers wrap around on the way */
  support_peer_connect(&soak.peer);
  soak.peer.next += TOTAL + 1; /* whatever is acknowledged was sent */
  soak.peer.lies = true;
  soak.owner = &soak.world.owners[0];
  soak.owner->extra = &soak;
  soak.owner->act = write_and_read;
  resend(&soak);
  write_and_read(soak.owner, 'W');

  uint64_t start_ns = soak.world.lab.now_ns, end_ns = start_ns + 3600 * SUPPORT_S;
  while (soak.owner->flow) {
    if (soak.world.lab.now_ns > end_ns)
      fail_msg("seed %u hangs: down %u of %u written, up %u, read %zu", (unsigned)seed, soak.expected,
               (unsigned)soak.written, soak.acked, soak.read);
    deliver(&soak);
    if (soak.world.lab.now_ns >= soak.resend_ns) {
      resend(&soak);
      send_up(&soak, soak.next, 0, 0);
    }
    send_more(&soak);
    support_lab_flush(&soak.world.lab);
    if (soak.owner->flow && adit_flow_available(soak.owner->flow) > 0) write_and_read(soak.owner, 'R');
    if (soak.owner->flow) write_and_read(soak.owner, 'W');
    support_lab_flush(&soak.world.lab);
    launch_from_stack(&soak);
    uint64_t next_ns = adit_stack_deadline(soak.world.lab.stack);
    if (soak.moving && soak.moving->due_ns < next_ns) next_ns = soak.moving->due_ns;
    if (soak.resend_ns < next_ns) next_ns = soak.resend_ns;
    if (next_ns < soak.world.lab.now_ns + SUPPORT_MS / 4) next_ns = soak.world.lab.now_ns + SUPPORT_MS / 4; /* bursts */
    soak.world.lab.now_ns = next_ns;
    adit_stack_advance(soak.world.lab.stack, next_ns);
    launch_from_stack(&soak);
  }
  assert_int_equal(soak.owner->error, 0);
  assert_int_equal(soak.owner->closed, 1);
  assert_int_equal(soak.read, TOTAL);
  assert_int_equal(soak.expected, TOTAL);
  struct adit_stack_stats stats = support_world_stats(&soak.world);
  if (soak.loss > 0) assert_true(stats.retransmissions > 0);
  print_message("seed %2u: loss %u/1000, %s, %u ms, %u retransmissions\n", (unsigned)seed, soak.loss,
                seed % 3 ? "large" : "plain", (unsigned)((soak.world.lab.now_ns - start_ns) / SUPPORT_MS),
                (unsigned)stats.retransmissions);
  while (soak.moving) {
    struct moving *moving = soak.moving;
    soak.moving = moving->next;
    free(moving);
  }
  free(soak.have);
  support_world_close(&soak.world);
}

static void test_transfers_over_a_bad_network(void **state) {
  (void)state;
  support_pattern(pattern, sizeof pattern);
  for (uint64_t seed = 0; seed < SEEDS; seed++) transfer(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_transfers_over_a_bad_network)};
  return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
