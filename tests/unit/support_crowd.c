/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Thousands of clients that come and go, for a long time under a virtual clock.
 *
 * A slot is one client. It connects, behaves in one of the manners below, which a seed chooses, ends in order, by force or
 * not at all, rests, and connects again from another port. Half of the slots speak IPv6. One packet in LOSS from the stack is
 * lost; bytes are compared in both directions. The owner of a flow, where that is not somebody else, answers what it reads with
 * more than it read. Nothing here allocates while time passes.
 *
 * A turn: what the stack does by itself, then the slots whose time has come; after each, answers go to and fro until there are
 * none.
 */
#include "support_crowd.h"

#include "stack/core.h"
#include "support_client.h"
#include "support_packet.h"
#include "support_process.h"

#include <adit/stack.h>

#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
  SLOTS = SUPPORT_CROWD_MOST,
  TURNS = 10,   /* a second: when slots act */
  WHEEL = 8192, /* turns: longer than anybody waits */
  PIECE = 1200, /* bytes: what a client sends at a time */
  BYTES = SUPPORT_CROWD_BYTES,
  LOSS = 128,
  WINDOW = 65535,
  IDLE_S = SUPPORT_CROWD_IDLE_S,
  SAMPLE_S = 5,
  WARM_S = 900, /* longer than a connection lasts */
  SHORT_S = 300,
  LONG_S = 24 * 3600,
  PERCENT = 5,         /* by which what is counted may differ */
  PERCENT_MEMORY = 12, /* and what is held: with other seeds it was -5 to +7 */
  BUFFERS = 32         /* more than the crowd ever makes the pool hold, which is 13 through the relay */
};
#define SECOND UINT64_C(1000000000)
#define TURN_NS (SECOND / TURNS)

#if defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_MALLOC 1
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 0
#endif

enum manner {
  TALKS,       /* pieces and answers, then both ends in order */
  IS_LEFT,     /* the same, but the owner ends first */
  HALF_CLOSES, /* ends its side first, and is sent more for a while */
  IDLES,       /* says nothing for minutes */
  VANISHES,    /* goes without a word, with bytes on the way to it or without */
  RESETS,      /* RST in the middle */
  IS_ABORTED,  /* the owner does that */
  SHUTS,       /* a window of zero, which may open again */
  LEAVES_HOLE, /* sends what comes later first */
  IS_UNREAD,   /* the owner never reads */
  HALF_OPENS,  /* never finishes its handshake */
  WAITS,       /* parked for a while, and then accepted, refused, or gone */
  MANNERS
};

enum stage { RESTING, OPENING, OPEN, ENDING, GONE };

struct slot {
  struct slot *next; /* in the wheel */
  struct slot *next_owing;
  struct adit_flow *flow; /* its owner's; NULL: none, or no longer the owner's */
  char address[16];
  bool ipv6;
  bool waiting; /* in the wheel */
  bool owes;    /* an acknowledgment */
  bool fin_sent;
  bool peer_fin;
  bool over; /* the owner ends when all is written */
  uint8_t manner;
  uint8_t stage;
  uint8_t rounds;
  uint16_t port;
  uint16_t window;
  uint32_t first, next_byte; /* sequence numbers */
  uint32_t begin, expected;
  uint32_t owed, written, read; /* the owner's, bytes */
};

static struct {
  const struct support_crowd *options;
  struct adit_stack *stack;
  struct adit_pool *pool;
  uint64_t now_ns;
  uint64_t seed;
  bool closing; /* nobody comes any more */
  struct slot slots[SLOTS];
  struct slot *wheel[WHEEL];
  struct slot *owing;
  uint64_t begun[MANNERS];
  uint64_t ended[2]; /* in order, otherwise */
  uint64_t bytes[2]; /* up, down */
} crowd;

uint8_t support_crowd_pattern[SUPPORT_CROWD_BYTES];

static uint32_t roll(uint32_t bound) {
  return (uint32_t)(support_random(&crowd.seed) % bound);
}

/* The slot acts after `least` to `most` seconds. */
static void wait(struct slot *slot, uint32_t least, uint32_t most) {
  uint32_t turns = least * TURNS + roll((most - least) * TURNS + 1);
  struct slot **bucket = &crowd.wheel[(crowd.now_ns / TURN_NS + (turns ? turns : 1)) % WHEEL];
  assert_false(slot->waiting);
  slot->waiting = true;
  slot->next = *bucket;
  *bucket = slot;
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static void send_at(struct slot *slot, uint32_t sequence, uint8_t flags, size_t length) {
  static const uint8_t mss[] = {2, 4, 1400 >> 8, 1400 & 0xff};
  bool syn = (flags & SUPPORT_SYN) != 0;
  struct adit_buffer *buffer = adit_buffer_new(crowd.pool);
  assert_non_null(buffer);
  const uint8_t *data = length ? support_crowd_pattern + (sequence - slot->first - 1) : NULL;
  buffer->length = (uint32_t)(slot->ipv6 ? support_tcp6 : support_tcp4)(
      buffer->data, slot->address, crowd.options->server[slot->ipv6], slot->port, crowd.options->port[slot->ipv6],
      sequence, flags & SUPPORT_ACK ? slot->expected : 0, flags, slot->window, mss, syn ? sizeof mss : 0, data, length);
  adit_stack_input(crowd.stack, buffer);
}

static void send_piece(struct slot *slot) {
  uint32_t length = 1 + roll(PIECE);
  send_at(slot, slot->next_byte, SUPPORT_ACK | SUPPORT_PSH, length);
  slot->next_byte += length;
}

static void send_fin(struct slot *slot) {
  send_at(slot, slot->next_byte++, SUPPORT_ACK | SUPPORT_FIN, 0);
  slot->fin_sent = true;
}

/* When client and owner have both gone, somebody else comes. One that is still in the wheel is asked again by `act`. */
static void rest(struct slot *slot) {
  if (slot->stage != GONE || slot->flow || slot->waiting) return;
  slot->stage = RESTING;
  if (!crowd.closing) wait(slot, 0, 10);
}

/* The client is done. */
static void go(struct slot *slot, bool in_order) {
  slot->stage = GONE;
  crowd.ended[!in_order]++;
}

static void open_slot(struct slot *slot) {
  slot->manner = (uint8_t)roll(MANNERS);
  slot->port = (uint16_t)(slot->port < 60000 ? slot->port + 1 : 1024);
  slot->rounds = (uint8_t)roll(7);
  slot->window = WINDOW;
  slot->first = (uint32_t)support_random(&crowd.seed);
  slot->next_byte = slot->first + 1;
  slot->owed = slot->written = slot->read = 0;
  slot->fin_sent = slot->peer_fin = slot->over = false;
  slot->stage = OPENING;
  crowd.begun[slot->manner]++;
  send_at(slot, slot->first, SUPPORT_SYN, 0);
  wait(slot, 2, 4);
}

/* ---- the owner --------------------------------------------------------------------------------------------------- */

static void write_owed(struct slot *slot) {
  if (slot->owed > 0) {
    assert_true(slot->written + slot->owed <= BYTES);
    ssize_t wrote = adit_flow_write(slot->flow, support_crowd_pattern + slot->written, slot->owed);
    assert_true(wrote >= 0);
    slot->written += (uint32_t)wrote;
    slot->owed -= (uint32_t)wrote;
  }
  if (slot->over && slot->owed == 0) {
    adit_flow_close(slot->flow);
    slot->flow = NULL;
    rest(slot);
  }
}

static void on_readable(void *user, struct adit_flow *flow) {
  static uint8_t bytes[BYTES];
  struct slot *slot = user;
  assert_ptr_equal(slot->flow, flow);
  if (slot->manner == IS_UNREAD) return;
  size_t got = adit_flow_read(flow, bytes, sizeof bytes);
  assert_true(got > 0 && slot->read + got <= BYTES);
  assert_memory_equal(bytes, support_crowd_pattern + slot->read, got);
  slot->read += (uint32_t)got;
  crowd.bytes[0] += got;
  slot->owed += (uint32_t)got * (1 + roll(6));
  write_owed(slot);
}

static void on_writable(void *user, struct adit_flow *flow) {
  (void)flow;
  write_owed(user);
}

static void on_peer_closed(void *user, struct adit_flow *flow) {
  struct slot *slot = user;
  (void)flow;
  if (slot->manner == HALF_CLOSES) return; /* it has more to say */
  slot->over = true;
  write_owed(slot);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  struct slot *slot = user;
  (void)error;
  assert_ptr_equal(slot->flow, flow);
  slot->flow = NULL;
  rest(slot);
}

static struct slot *slot_of(const uint8_t *end_of_address) {
  uint32_t number = support_get16(end_of_address - 2);
  assert_true(number < SLOTS);
  return &crowd.slots[number];
}

static void on_syn(void *user, struct adit_flow *flow) {
  static const struct adit_flow_events events = {
      .readable = on_readable, .writable = on_writable, .peer_closed = on_peer_closed, .closed = on_closed};
  adit_endpoint remote = adit_flow_remote(flow);
  struct slot *slot = slot_of(remote.ip.bytes + adit_ip_length(remote.ip));
  (void)user;
  assert_null(slot->flow);
  slot->flow = flow;
  adit_flow_attach(flow, &events, slot);
  if (slot->manner != WAITS) assert_int_equal(adit_flow_accept(flow), 0);
}

/* ---- what comes out of the stack ---- */

static void owe(struct slot *slot) {
  if (slot->owes) return;
  slot->owes = true;
  slot->next_owing = crowd.owing;
  crowd.owing = slot;
}

static void take_segment(struct slot *slot, const uint8_t *tcp, const uint8_t *data, uint32_t length) {
  uint8_t flags = tcp[13];
  uint32_t sequence = support_get32(tcp + 4);
  if (flags & SUPPORT_RST) {
    go(slot, false);
    return;
  }
  if (flags & SUPPORT_SYN) {
    if (slot->manner == HALF_OPENS) return;
    if (slot->stage == OPENING) {
      slot->begin = sequence;
      slot->expected = sequence + 1;
      slot->stage = OPEN;
    }
    owe(slot);
    return;
  }
  if (slot->stage == OPENING) return; /* its SYN-ACK was lost */
  uint32_t offset = sequence - slot->begin - 1;
  bool fin = (flags & SUPPORT_FIN) != 0;
  if (length > 0) {
    assert_true(offset + length <= BYTES);
    if (memcmp(data, support_crowd_pattern + offset, length) != 0) fail_msg("wrong bytes at %u of %u", offset, length);
  }
  if (length == 0 && !fin) return;
  owe(slot);
  uint32_t end = sequence + length + fin;
  if (slot->window == 0 || (int32_t)(slot->expected - sequence) < 0 || (int32_t)(end - slot->expected) <= 0) return;
  crowd.bytes[1] += end - slot->expected - fin;
  slot->expected = end;
  slot->peer_fin = fin;
}

static int on_output(void *user, const struct adit_packet *packet) {
  static uint8_t bytes[1 << 17];
  size_t length = 0;
  (void)user;
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    memcpy(bytes + length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    length += packet->iov[i].iov_len;
  }
  bool ipv6 = bytes[0] >> 4 == 6;
  struct slot *slot = slot_of(bytes + (ipv6 ? 40 : 20));
  assert_int_equal(slot->ipv6, ipv6);
  if (slot->stage == GONE || slot->stage == RESTING || roll(LOSS) == 0) return 0;
  uint8_t protocol;
  size_t headers = support_headers(bytes, &protocol);
  const uint8_t *tcp = bytes + (ipv6 ? 40 : 20);
  if (protocol != IPPROTO_TCP) { /* an ICMP error: refused */
    assert_true(slot->manner == WAITS || crowd.options->syn);
    go(slot, false);
  } else if (support_get16(tcp + 2) == slot->port) { /* otherwise for one that has vanished */
    take_segment(slot, tcp, bytes + headers, (uint32_t)(length - headers));
  }
  return 0;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* All answers to what came, and those to what comes for them. */
static void answer(void) {
  adit_stack_flush(crowd.stack);
  while (crowd.owing) {
    struct slot *slots = crowd.owing;
    crowd.owing = NULL;
    while (slots) {
      struct slot *slot = slots;
      slots = slot->next_owing;
      slot->owes = false;
      if (slot->stage == GONE) continue;
      if (slot->peer_fin && !slot->fin_sent)
        send_fin(slot);
      else
        send_at(slot, slot->next_byte, SUPPORT_ACK, 0);
      if (slot->peer_fin) go(slot, true);
    }
    adit_stack_flush(crowd.stack);
  }
}

static void settle(void) {
  do answer();
  while (crowd.options->outside && crowd.options->outside());
}

static void end_flow(struct slot *slot, void (*how)(struct adit_flow *flow)) {
  if (!slot->flow) return;
  how(slot->flow);
  slot->flow = NULL;
}

/* One that waits in the park. */
static void decide(struct slot *slot) {
  uint32_t choice = roll(5);
  if (choice == 4 || !slot->flow) { /* nobody ever decides, and the client gives up */
    go(slot, false);
    return;
  }
  if (choice == 3) {
    slot->manner = TALKS;
    assert_int_equal(adit_flow_accept(slot->flow), 0);
    wait(slot, 2, 4);
    return;
  }
  if (choice == 2)
    assert_int_equal(adit_flow_drop(slot->flow), 0);
  else
    assert_int_equal(adit_flow_refuse(slot->flow, choice ? ADIT_REFUSE_RESET : ADIT_REFUSE_NET_UNREACHABLE), 0);
  slot->flow = NULL;
  adit_stack_flush(crowd.stack);
  if (slot->stage != GONE) go(slot, false);
}

static void finish(struct slot *slot) {
  slot->stage = ENDING;
  switch ((enum manner)slot->manner) {
  case TALKS:
  case IDLES:
    send_fin(slot);
    break;
  case IS_LEFT:
  case HALF_CLOSES:
    slot->over = true;
    if (slot->flow) write_owed(slot);
    break;
  case IS_UNREAD:
    end_flow(slot, adit_flow_close);
    break;
  case IS_ABORTED:
    end_flow(slot, adit_flow_abort);
    break;
  case VANISHES:
    if (roll(2)) send_piece(slot);
    go(slot, false);
    return;
  case SHUTS:
    if (roll(2)) { /* open again */
      slot->window = WINDOW;
      send_fin(slot);
      break;
    }
    if (roll(2)) send_at(slot, slot->next_byte, SUPPORT_RST | SUPPORT_ACK, 0);
    go(slot, false);
    return;
  case RESETS:
  case LEAVES_HOLE:
  default:
    send_at(slot, slot->next_byte, SUPPORT_RST | SUPPORT_ACK, 0);
    go(slot, false);
    return;
  }
  wait(slot, 60, 90);
}

/* An established connection, whose rounds are not over. */
static void take_turn(struct slot *slot) {
  uint32_t gap = 100;
  slot->rounds--;
  if (slot->manner == IDLES) {
    slot->rounds = 0;
    gap = 250;
  } else if (slot->manner == HALF_CLOSES && slot->fin_sent) {
    slot->owed += slot->flow ? roll(4 * PIECE) : 0;
    if (slot->flow) write_owed(slot);
  } else if (slot->manner == LEAVES_HOLE) {
    send_at(slot, slot->next_byte + PIECE, SUPPORT_ACK, PIECE);
    send_at(slot, slot->next_byte + 3 * PIECE, SUPPORT_ACK, 1);
    if (roll(2)) { /* the hole is filled; the byte behind it is sent again */
      send_at(slot, slot->next_byte, SUPPORT_ACK, PIECE);
      slot->next_byte += 2 * PIECE;
    }
  } else {
    if (slot->manner == SHUTS) slot->window = 0;
    send_piece(slot);
    if (slot->manner == HALF_CLOSES) send_fin(slot);
  }
  wait(slot, 10, gap);
}

static void act(struct slot *slot) {
  switch ((enum stage)slot->stage) {
  case RESTING:
    if (!crowd.closing) open_slot(slot);
    break;
  case OPENING:
    if (slot->manner == WAITS) {
      decide(slot);
    } else if (slot->rounds > 0) {
      slot->rounds--;
      send_at(slot, slot->first, SUPPORT_SYN, 0);
      wait(slot, 2, 4);
    } else {
      go(slot, false);
    }
    break;
  case OPEN:
    if (slot->rounds > 0)
      take_turn(slot);
    else
      finish(slot);
    break;
  case ENDING: /* a FIN that was lost is repeated by the stack before this */
    send_at(slot, slot->next_byte, SUPPORT_RST | SUPPORT_ACK, 0);
    go(slot, false);
    break;
  case GONE:
    break;
  }
  if (slot->stage == GONE) rest(slot);
}

/* One turn: what the stack does by itself, then the slots whose time has come. */
static void turn(void) {
  uint64_t end_ns = crowd.now_ns + TURN_NS;
  while (crowd.now_ns < end_ns) {
    uint64_t deadline_ns = adit_stack_deadline(crowd.stack);
    crowd.now_ns = deadline_ns > crowd.now_ns && deadline_ns < end_ns ? deadline_ns : end_ns;
    adit_stack_advance(crowd.stack, crowd.now_ns);
    settle();
  }
  struct slot **bucket = &crowd.wheel[crowd.now_ns / TURN_NS % WHEEL];
  struct slot *slots = *bucket;
  *bucket = NULL;
  while (slots) {
    struct slot *slot = slots;
    slots = slot->next;
    slot->waiting = false;
    act(slot);
  }
  settle();
}

static void pass(uint32_t seconds) {
  for (uint64_t turns = (uint64_t)seconds * TURNS; turns > 0; turns--) turn();
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Averages of a window. */
struct found {
  uint64_t open;     /* connections */
  uint64_t counted;  /* bytes, by the stack */
  uint64_t resident; /* bytes, by malloc, without `kept`; 0 where that cannot be told */
  uint64_t kept;     /* bytes of free blocks in the stack's lists */
  uint64_t open_least;
  uint64_t fds;
};

static struct adit_stack_stats stats(void) {
  struct adit_stack_stats now;
  adit_stack_stats(crowd.stack, &now);
  return now;
}

static uint64_t malloced(void) {
  if (OWN_MALLOC) return 0;
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static struct found measure(const char *when) {
  struct found found = {.open_least = UINT64_MAX};
  const unsigned samples = crowd.options->window_s / SAMPLE_S;
  for (unsigned i = 0; i < samples; i++) {
    pass(SAMPLE_S);
    struct adit_stack_stats now = stats();
    found.open += now.flows_open;
    found.counted += now.memory_bytes;
    found.kept += adit_port_kept(crowd.stack->port);
    found.resident += malloced();
    found.fds += support_open_fds();
    if (now.flows_open < found.open_least) found.open_least = now.flows_open;
  }
  found.open /= samples;
  found.counted /= samples;
  found.kept /= samples;
  found.resident = found.resident / samples - (OWN_MALLOC ? 0 : found.kept);
  found.fds /= samples;
  print_message(
      "%s: %llu connections open (%llu at least), %llu KiB by the stack's count, %llu KiB by malloc's, %llu KiB "
      "kept free beside it, %llu fds\n",
      when, (unsigned long long)found.open, (unsigned long long)found.open_least,
      (unsigned long long)found.counted >> 10, (unsigned long long)found.resident >> 10,
      (unsigned long long)found.kept >> 10, (unsigned long long)found.fds);
  return found;
}

static void check_near(const char *what, uint64_t before, uint64_t after, int percent) {
  int64_t permille = before ? ((int64_t)after - (int64_t)before) * 1000 / (int64_t)before : 0;
  print_message("%s: %+.1f %%\n", what, (double)permille / 10);
  if (permille > percent * 10 || permille < -percent * 10)
    fail_msg("%s: %llu before, %llu after", what, (unsigned long long)before, (unsigned long long)after);
}

static void open_crowd(void) {
  static struct adit_stack_events events;
  events = (struct adit_stack_events){.output = on_output, .syn = crowd.options->syn ? crowd.options->syn : on_syn};
  crowd.now_ns = SECOND;
  crowd.seed = 1;
  assert_int_equal(adit_pool_new(0, &crowd.pool), 0);
  /* It keeps as many as were ever held at a time. A rare burst that held one more would count as growth. */
  struct adit_buffer *held[BUFFERS];
  for (size_t i = 0; i < BUFFERS; i++) assert_non_null(held[i] = adit_buffer_new(crowd.pool));
  for (size_t i = 0; i < BUFFERS; i++) adit_buffer_unref(held[i]);
  struct adit_stack_options options = {.size = sizeof options,
                                       .events = &events,
                                       .secret = "sixteen bytes..",
                                       .now_ns = crowd.now_ns,
                                       .offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6,
                                       .idle_ms = crowd.options->syn ? 0 : SUPPORT_CROWD_IDLE_S * 1000};
  assert_int_equal(adit_stack_new(&options, &crowd.stack), 0);
  for (uint32_t i = 0; i < crowd.options->clients; i++) {
    struct slot *slot = &crowd.slots[i];
    slot->ipv6 = i % 2;
    slot->port = 1024;
    snprintf(slot->address, sizeof slot->address, slot->ipv6 ? "fd10::%x" : "10.1.%u.%u", slot->ipv6 ? i : i >> 8,
             i & 255);
    wait(slot, 0, IDLE_S);
  }
}

uint64_t support_crowd_now(void) {
  return crowd.now_ns;
}

void support_crowd_arrived(size_t bytes) {
  crowd.bytes[0] += bytes;
}

void support_crowd_run(const struct support_crowd *options) {
  crowd.options = options;
  const char *mode = getenv("ADIT_TEST_LONG");
  bool is_long = mode && strcmp(mode, "0") != 0;
  support_pattern(support_crowd_pattern, sizeof support_crowd_pattern);
  unsigned fds = support_open_fds();
  open_crowd();
  if (options->begin) options->begin(crowd.stack);
  uint64_t empty = stats().memory_bytes;
  pass(WARM_S);
  struct found before = measure("after the warm-up");
  pass(is_long ? LONG_S : SHORT_S);
  struct found after = measure("at the end");

  struct adit_stack_stats all = stats();
  uint64_t begun = 0;
  for (unsigned i = 0; i < MANNERS; i++) {
    assert_true(crowd.begun[i] > options->clients / MANNERS);
    begun += crowd.begun[i];
  }
  print_message("%u virtual seconds, %llu connections, %llu in order and %llu otherwise for the client, %llu KiB up, "
                "%llu KiB down, %llu segments sent again\n",
                (unsigned)(crowd.now_ns / SECOND), (unsigned long long)begun, (unsigned long long)crowd.ended[0],
                (unsigned long long)crowd.ended[1], (unsigned long long)crowd.bytes[0] >> 10,
                (unsigned long long)crowd.bytes[1] >> 10, (unsigned long long)all.retransmissions);
  assert_true(before.open_least > options->open_least && after.open_least > options->open_least);
  check_near("connections", before.open, after.open, PERCENT);
  check_near("memory, counted by the stack", before.counted, after.counted, PERCENT_MEMORY);
  check_near("memory, counted by malloc", before.resident, after.resident, PERCENT_MEMORY);
  assert_in_range(after.kept, 0, (4 << 20) + after.counted / 8 * 105 / 100); /* port/memory.c */
  if (OWN_MALLOC) print_message("the sanitizer's malloc does not count: looked at in builds without it\n");
  check_near("fds", before.fds, after.fds, PERCENT);
  assert_int_equal(all.drops[ADIT_DROP_MEMORY], 0);

  crowd.closing = true;
  pass(2 * IDLE_S + 300);
  all = stats();
  assert_int_equal(all.flows_open, 0);
  assert_int_equal(all.memory_bytes, empty);
  for (unsigned i = 0; i < SLOTS; i++) assert_null(crowd.slots[i].flow);
  if (options->end) options->end();
  adit_stack_free(crowd.stack);
  assert_int_equal(adit_pool_in_use(crowd.pool), 0);
  adit_pool_free(crowd.pool);
  assert_int_equal(support_open_fds(), fds);
}
