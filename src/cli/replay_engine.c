/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The stack under the clock of a capture.
 *
 * The clock goes from event to event: the next packet, the next deadline of the stack, the end of a packet's waiting. No
 * real clock is read and the secret is fixed, so two runs give the same bytes.
 *
 * The stack may send later, or less at once, than the recorded server did. The recorded client then acknowledges what has
 * not been sent yet, and the stack would throw such a segment away with all that it carries. So it waits, and all later
 * ones of its connection behind it. Meanwhile the stack is told by segments made here that what it did send has arrived,
 * or its congestion window would never let it send the rest. What has waited for PATIENCE waits in vain: the stack says
 * something else than the recorded server did. From then on acknowledgments of that connection are lowered to what the
 * stack has sent.
 *
 * Whatever a capture holds, memory and time are bounded: WAITING_MOST packets wait, nobody waits for more than LEAP_MOST
 * bytes, STEPS_MOST deadlines are served one by one; after those the clock jumps from packet to packet.
 */
#include "cli/replay_engine.h"

#include "cli/replay_packet.h"
#include "cli/say.h"
#include "packet/print.h"
#include "service/services.h"

#include <adit/stack.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define PATIENCE (SECOND / 2)        /* shorter than the least retransmission time-out (RFC 6298, 2.4) */
#define STEPS_MOST UINT64_C(4000000) /* with connections open a step is 100 ms */
#define LEAP_MOST (UINT32_C(16) << 20)
enum { WAITING_MOST = 1024 };

/* A packet that waits, in the scratch of its buffer. */
struct waiting {
  struct adit_buffer *next;
  struct adit_replay_flow *flow;
  uint64_t until_ns;
};
static_assert(sizeof(struct waiting) <= sizeof((struct adit_buffer *)NULL)->u.scratch, "fits");

struct adit_replay_engine {
  struct adit_replay_engine_options with;
  struct adit_stack *stack;
  struct adit_services *services;
  struct adit_buffer *waiting; /* owned; oldest first, so the first one ends its waiting first */
  struct adit_buffer *waiting_last;
  unsigned waiting_count;
  uint64_t steps;
  int error;                      /* the first that writing an answer brought; 0 = none */
  uint8_t bytes[ADIT_PACKET_MAX]; /* an answer in one piece */
};

static struct waiting *waiting_of(struct adit_buffer *buffer) {
  return (struct waiting *)(void *)buffer->u.scratch;
}

/* With --verbose: one line a packet, "<" into the stack, ">" out of it. */
static void show(const struct adit_replay_engine *engine, char direction, const uint8_t *data, size_t length) {
  char line[ADIT_PRINT_LINE];
  if (engine->with.options->verbosity <= 0) return;
  adit_print_line(line, sizeof line, adit_stack_now(engine->stack), false, data, length, NULL);
  adit_cli_detail(engine->with.options, "%c %s", direction, line);
}

/* ---- what the stack says ----------------------------------------------------------------------------------------- */

/* Count an answer, and learn the stack's sequence numbers from it. */
static void read_answer(struct adit_replay_engine *engine, const struct adit_header *header) {
  adit_replay_count_answer(engine->with.counts, ADIT_REPLAY_GIVEN, header);
  if (header->fragment || header->protocol != IPPROTO_TCP) return;
  adit_endpoint server = {.ip = header->source, .port = header->source_port};
  adit_endpoint client = {.ip = header->destination, .port = header->destination_port};
  struct adit_replay_flow *flow = adit_replay_flows_find(engine->with.flows, IPPROTO_TCP, client, server);
  if (flow != NULL) adit_replay_flow_server(flow, &flow->given, header);
}

static int on_output(void *user, const struct adit_packet *packet) {
  struct adit_replay_engine *engine = user;
  struct adit_header header;
  enum adit_drop why;
  size_t length = 0;
  assert(packet->length <= sizeof engine->bytes); /* no offload was offered */
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    if (packet->iov[i].iov_len == 0) continue;
    memcpy(engine->bytes + length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    length += packet->iov[i].iov_len;
  }
  show(engine, '>', engine->bytes, length);
  if (adit_header_parse(engine->bytes, length, &header, &why)) read_answer(engine, &header);
  adit_device_pcap_time(engine->with.out, adit_stack_now(engine->stack));
  int error = adit_device_write(engine->with.out, packet);
  if (engine->error == 0) engine->error = error;
  return 0;
}

static void on_syn(void *user, struct adit_flow *flow) {
  adit_services_syn(((struct adit_replay_engine *)user)->services, flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  adit_services_datagram(((struct adit_replay_engine *)user)->services, datagram);
}

static const struct adit_stack_events events = {.output = on_output, .syn = on_syn, .datagram = on_datagram};

/* ---- packets that go in ------------------------------------------------------------------------------------------ */

/* How many bytes the stack still has to send before the packet makes sense; 0 = it can go in. */
static uint32_t missing(struct adit_replay_flow *flow, const struct adit_header *header) {
  uint32_t acknowledgment;
  adit_replay_flow_client(flow, header);
  if (!adit_replay_flow_translate(flow, header, &acknowledgment)) return 0;
  return adit_replay_after(acknowledgment, flow->given.next) ? acknowledgment - flow->given.next : 0;
}

static void input(struct adit_replay_engine *engine, struct adit_buffer *buffer) {
  show(engine, '<', buffer->data, buffer->length);
  adit_stack_input(engine->stack, buffer);
  adit_stack_flush(engine->stack);
}

/* `flow` and `header` as in adit_replay_engine_give. */
static void feed(struct adit_replay_engine *engine, struct adit_buffer *buffer, struct adit_replay_flow *flow,
                 struct adit_header *header) {
  uint32_t acknowledgment;
  if (flow != NULL && adit_replay_flow_translate(flow, header, &acknowledgment)) {
    if (adit_replay_after(acknowledgment, flow->given.next)) {
      acknowledgment = flow->given.next;
      engine->with.counts->lowered++;
    }
    if (adit_replay_after(acknowledgment, flow->acknowledged)) flow->acknowledged = acknowledgment;
    adit_replay_acknowledge(buffer->data, header, acknowledgment);
  }
  engine->with.counts->fed++;
  input(engine, buffer);
}

/* Tell the stack that what it has sent has arrived, on behalf of a packet that waits for more. Returns whether it did. */
static bool feed_part(struct adit_replay_engine *engine, const struct adit_buffer *waiting,
                      struct adit_replay_flow *flow, const struct adit_header *header) {
  if (!adit_replay_after(flow->given.next, flow->acknowledged)) return false;
  struct adit_buffer *buffer = adit_buffer_new(engine->with.pool);
  if (buffer == NULL) return false;
  flow->acknowledged = flow->given.next;
  buffer->length = (uint32_t)adit_replay_bare(waiting->data, header, flow->acknowledged, buffer->data);
  engine->with.counts->parts++;
  input(engine, buffer);
  return true;
}

/* ---- packets that wait ------------------------------------------------------------------------------------------- */

static void await(struct adit_replay_engine *engine, struct adit_buffer *buffer, struct adit_replay_flow *flow) {
  *waiting_of(buffer) = (struct waiting){.flow = flow, .until_ns = adit_stack_now(engine->stack) + PATIENCE};
  if (engine->waiting == NULL)
    engine->waiting = buffer;
  else
    waiting_of(engine->waiting_last)->next = buffer;
  engine->waiting_last = buffer;
  engine->waiting_count++;
  flow->waiting++;
  engine->with.counts->waited++;
}

/* Take `buffer` out of the list. `previous` stands before it, or is NULL. */
static void unlink_waiting(struct adit_replay_engine *engine, struct adit_buffer *previous,
                           struct adit_buffer *buffer) {
  struct adit_buffer *next = waiting_of(buffer)->next;
  if (previous == NULL)
    engine->waiting = next;
  else
    waiting_of(previous)->next = next;
  if (next == NULL) engine->waiting_last = previous;
  engine->waiting_count--;
  waiting_of(buffer)->flow->waiting--;
}

/* Whether the packet, the first of its flow that waits, goes in now; otherwise what it waits for may come nearer. */
static bool has_waited(struct adit_replay_engine *engine, struct adit_buffer *buffer, struct adit_header *header) {
  struct waiting *waiting = waiting_of(buffer);
  enum adit_drop why;
  if (!adit_header_parse(buffer->data, buffer->length, header, &why)) return true; /* never: it was parsed before */
  uint32_t bytes;
  while ((bytes = missing(waiting->flow, header)) != 0) {
    if (bytes <= LEAP_MOST && feed_part(engine, buffer, waiting->flow, header)) continue;
    bool in_vain = bytes > LEAP_MOST || engine->waiting_count > WAITING_MOST ||
                   waiting->until_ns <= adit_stack_now(engine->stack);
    if (in_vain) waiting->flow->gave_up = true;
    return waiting->flow->gave_up;
  }
  return true;
}

/* One walk: the first packet of each flow goes in if its time has come. Returns whether there was one. */
static bool release_some(struct adit_replay_engine *engine) {
  struct adit_buffer *previous = NULL;
  struct adit_buffer *next;
  bool released = false;
  for (struct adit_buffer *buffer = engine->waiting; buffer != NULL; buffer = waiting_of(buffer)->next)
    waiting_of(buffer)->flow->blocked = false;
  for (struct adit_buffer *buffer = engine->waiting; buffer != NULL; buffer = next) {
    struct adit_replay_flow *flow = waiting_of(buffer)->flow;
    struct adit_header header;
    next = waiting_of(buffer)->next;
    bool first = !flow->blocked;
    flow->blocked = true;
    if (!first || !has_waited(engine, buffer, &header)) {
      previous = buffer;
      continue;
    }
    unlink_waiting(engine, previous, buffer);
    feed(engine, buffer, flow, &header);
    released = true;
  }
  return released;
}

static void release(struct adit_replay_engine *engine) {
  while (engine->waiting != NULL && release_some(engine)) continue;
}

/*
 * A client that has offered timestamps, to a recorded server that declined, sends none; but the stack has agreed, and drops what
 * has none (RFC 7323, 3.2). So its segments get some here.
 */
static void lend_stamps(struct adit_replay_engine *engine, struct adit_buffer *buffer, struct adit_replay_flow *flow,
                        struct adit_header *header) {
  struct adit_timestamps stamps;
  bool stamped = adit_replay_find_stamps(buffer->data, header, &stamps);
  if (header->tcp_flags & ADIT_TCP_SYN) {
    flow->lends_stamps = stamped;
    flow->stamp = stamped ? stamps.value : 0;
    flow->stamp_ns = adit_stack_now(engine->stack);
  } else if (stamped) {
    flow->lends_stamps = false;
  } else if (flow->lends_stamps && !(header->tcp_flags & ADIT_TCP_RST)) {
    uint64_t passed_ms = (adit_stack_now(engine->stack) - flow->stamp_ns) / MILLISECOND;
    stamps = (struct adit_timestamps){.value = flow->stamp + (uint32_t)passed_ms};
    if (adit_replay_stamp(buffer->data, header, buffer->capacity, stamps)) buffer->length = header->length;
  }
}

int adit_replay_engine_give(struct adit_replay_engine *engine, struct adit_buffer *buffer,
                            struct adit_replay_flow *flow, struct adit_header *header) {
  if (flow != NULL) lend_stamps(engine, buffer, flow, header);
  bool waits = flow != NULL && (flow->waiting > 0 || (missing(flow, header) != 0 && !flow->gave_up));
  if (waits)
    await(engine, buffer, flow);
  else
    feed(engine, buffer, flow, header);
  release(engine);
  return engine->error;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* When something happens by itself: a deadline of the stack, or the end of a packet's waiting. */
static uint64_t next_moment(const struct adit_replay_engine *engine) {
  uint64_t moment = adit_stack_deadline(engine->stack);
  if (engine->waiting != NULL && waiting_of(engine->waiting)->until_ns < moment)
    moment = waiting_of(engine->waiting)->until_ns;
  return moment;
}

/* The clock then stands at the last thing that happened. */
static void run_until(struct adit_replay_engine *engine, uint64_t until_ns) {
  while (engine->error == 0 && engine->steps < STEPS_MOST && next_moment(engine) <= until_ns) {
    adit_stack_advance(engine->stack, next_moment(engine));
    release(engine);
    engine->steps++;
  }
}

int adit_replay_engine_advance(struct adit_replay_engine *engine, uint64_t now_ns) {
  run_until(engine, now_ns);
  adit_stack_advance(engine->stack, now_ns);
  release(engine);
  return engine->error;
}

int adit_replay_engine_finish(struct adit_replay_engine *engine, uint64_t span_ns) {
  run_until(engine, adit_stack_now(engine->stack) + span_ns);
  return engine->error;
}

uint64_t adit_replay_engine_now(const struct adit_replay_engine *engine) {
  return adit_stack_now(engine->stack);
}

static int64_t wall_clock(void *user) {
  return (int64_t)(adit_stack_now(((struct adit_replay_engine *)user)->stack) / SECOND);
}

/* ---- made and freed ---------------------------------------------------------------------------------------------- */

static adit_cidr first_network(const struct adit_cli_cidrs *networks, unsigned version) {
  for (size_t i = 0; i < networks->count; i++)
    if (networks->item[i].ip.version == version) return networks->item[i];
  return (adit_cidr){0};
}

int adit_replay_engine_new(const struct adit_replay_engine_options *options, struct adit_replay_engine **engine) {
  struct adit_replay_engine *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  made->with = *options;
  struct adit_stack_options stack = {
      .size = sizeof stack,
      .events = &events,
      .user = made,
      .mtu = (uint32_t)options->options->mtu,
      .answer = options->answer->item,
      .answers = options->answer->count,
      .except = options->except,
      .excepts = options->excepts,
  };
  for (unsigned i = 0; i < 8; i++) stack.secret[i] = (uint8_t)(options->options->seed >> (8 * i));
  struct adit_services_options services = {
      .wall_clock = wall_clock,
      .user = made,
      .network4 = first_network(options->answer, 4),
      .network6 = first_network(options->answer, 6),
  };
  int error = adit_stack_new(&stack, &made->stack);
  if (error == 0) error = adit_services_new(made->stack, &services, &made->services);
  if (error == 0)
    *engine = made;
  else
    adit_replay_engine_free(made);
  return error;
}

void adit_replay_engine_free(struct adit_replay_engine *engine) {
  if (engine == NULL) return;
  while (engine->waiting != NULL) {
    struct adit_buffer *buffer = engine->waiting;
    engine->waiting = waiting_of(buffer)->next;
    adit_buffer_unref(buffer);
  }
  adit_stack_free(engine->stack);
  adit_services_free(engine->services);
  free(engine);
}

void adit_replay_engine_stats(const struct adit_replay_engine *engine, struct adit_stack_stats *stats) {
  adit_stack_stats(engine->stack, stats);
}
