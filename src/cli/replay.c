/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit replay`: the client's packets of a capture go through the stack under a virtual clock.
 *
 * The clock is the capture's: nanoseconds since the epoch, never backwards. It goes from event to event: the next record,
 * the next deadline of the stack, the next packet that has waited long enough. So nothing here reads a real clock, and
 * with a fixed secret two runs give the same bytes. After the last record it goes on until nothing is pending, for at
 * most AFTERMATH.
 *
 * Who is the client: whoever sends to an address that the stack answers for. If both sides are such addresses, the one
 * that spoke first. Packets of the recorded server are read for their sequence numbers (replay_flow.c) and counted.
 *
 * The stack may send later than the recorded server did, and the recorded client then acknowledges what was not sent yet.
 * The stack would throw such a segment away with all that it carries. So it waits, and all later ones of its connection
 * behind it, until the bytes were sent, for at most PATIENCE. If they do not come by then, the stack says something else
 * than the recorded server did: from then on acknowledgments of that connection are lowered to what it has sent.
 *
 * Whatever a capture holds, memory and time are bounded: WAITING_MOST packets wait, STEPS_MOST deadlines are served one by
 * one; after those the clock jumps from record to record.
 */
#include "cli/commands.h"
#include "cli/replay_flow.h"
#include "cli/replay_packet.h"
#include "cli/replay_text.h"
#include "cli/say.h"
#include "packet/icmp.h"
#include "packet/print.h"
#include "service/services.h"

#include <adit/device.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECOND UINT64_C(1000000000)
#define AFTERMATH (120 * SECOND)        /* twice the time a segment may live (RFC 9293, 3.4.2) */
#define PATIENCE (SECOND / 2)           /* shorter than the least retransmission time-out */
#define LATEST (UINT64_C(1) << 62)      /* in 2116; later time stamps mean this */
#define STEPS_MOST UINT64_C(10000000)   /* with connections a step is 100 ms */
enum { WAITING_MOST = 1024, REASON = 256 };

/* A packet that waits, in the scratch of its buffer. */
struct waiting {
  struct adit_buffer *next;
  struct adit_replay_flow *flow;
  uint64_t until_ns;
};
static_assert(sizeof(struct waiting) <= sizeof ((struct adit_buffer *)NULL)->u.scratch, "fits");

struct replay {
  const struct adit_cli_options *options;
  struct adit_device *in;
  struct adit_device *out;
  struct adit_pool *pool;
  struct adit_stack *stack;
  struct adit_services *services;
  struct adit_replay_flows *flows;
  struct adit_cli_cidrs answer;
  adit_ip except[2];
  size_t excepts;
  struct adit_buffer *waiting; /* owned; oldest first, so the first one ends its waiting first */
  struct adit_buffer *waiting_last;
  unsigned waiting_count;
  uint64_t steps;
  int error; /* the first one that is not the capture's fault: -ENOMEM, or what writing said; 0 = none */
  bool write_failed;
  struct adit_replay_counts counts;
  uint8_t answer_bytes[ADIT_PACKET_MAX]; /* an answer in one piece */
};

static struct waiting *waiting_of(struct adit_buffer *buffer) {
  return (struct waiting *)(void *)buffer->u.scratch;
}

static adit_endpoint source_of(const struct adit_header *header) {
  return (adit_endpoint){.ip = header->source, .port = header->source_port};
}

static adit_endpoint destination_of(const struct adit_header *header) {
  return (adit_endpoint){.ip = header->destination, .port = header->destination_port};
}

static bool has_ports(const struct adit_header *header) {
  return !header->fragment && (header->protocol == IPPROTO_TCP || header->protocol == IPPROTO_UDP);
}

/* With --verbose: one line a packet, "<" into the stack, ">" out of it. */
static void show(const struct replay *replay, char direction, const uint8_t *data, size_t length) {
  char line[ADIT_PRINT_LINE];
  if (replay->options->verbosity <= 0) return;
  adit_print_line(line, sizeof line, adit_stack_now(replay->stack), false, data, length, NULL);
  adit_cli_detail(replay->options, "%c %s", direction, line);
}

/* ---- what the stack says ----------------------------------------------------------------------------------------- */

static void on_output(void *user, const struct adit_packet *packet) {
  struct replay *replay = user;
  struct adit_header header;
  enum adit_drop why;
  size_t length = 0;
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    if (packet->iov[i].iov_len == 0) continue;
    memcpy(replay->answer_bytes + length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    length += packet->iov[i].iov_len;
  }
  show(replay, '>', replay->answer_bytes, length);
  if (adit_header_parse(replay->answer_bytes, length, &header, &why)) {
    adit_replay_count_answer(&replay->counts, ADIT_REPLAY_GIVEN, &header);
    if (has_ports(&header) && header.protocol == IPPROTO_TCP) {
      struct adit_replay_flow *flow =
          adit_replay_flows_find(replay->flows, IPPROTO_TCP, destination_of(&header), source_of(&header));
      if (flow != NULL) adit_replay_flow_server(flow, &flow->given, &header);
    }
  }
  adit_device_pcap_time(replay->out, adit_stack_now(replay->stack));
  int error = adit_device_write(replay->out, packet);
  if (error != 0 && replay->error == 0) {
    replay->error = error;
    replay->write_failed = true;
  }
}

static void on_syn(void *user, struct adit_flow *flow) {
  adit_services_syn(((struct replay *)user)->services, flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  adit_services_datagram(((struct replay *)user)->services, datagram);
}

static const struct adit_stack_events events = {.output = on_output, .syn = on_syn, .datagram = on_datagram};

static int64_t wall_clock(void *user) {
  return (int64_t)(adit_stack_now(((struct replay *)user)->stack) / SECOND);
}

/* ---- one packet of the client ------------------------------------------------------------------------------------ */

/* Whether the packet can be fed: the stack has sent what it acknowledges. */
static bool is_timely(struct adit_replay_flow *flow, const struct adit_header *header) {
  uint32_t acknowledgment;
  adit_replay_flow_client(flow, header);
  return flow->gave_up || !adit_replay_flow_translate(flow, header, &acknowledgment) ||
         !adit_replay_after(acknowledgment, flow->given.next);
}

/* Feed one packet; the buffer is taken over. `flow` is NULL for all but TCP. */
static void feed(struct replay *replay, struct adit_buffer *buffer, struct adit_replay_flow *flow,
                 struct adit_header *header) {
  uint32_t acknowledgment;
  if (flow != NULL && adit_replay_flow_translate(flow, header, &acknowledgment)) {
    if (adit_replay_after(acknowledgment, flow->given.next)) {
      acknowledgment = flow->given.next;
      replay->counts.lowered++;
    }
    adit_replay_acknowledge(buffer->data, header, acknowledgment);
  }
  show(replay, '<', buffer->data, buffer->length);
  replay->counts.fed++;
  adit_stack_input(replay->stack, buffer);
  adit_stack_flush(replay->stack);
}

/* ---- packets that wait ------------------------------------------------------------------------------------------- */

static void await(struct replay *replay, struct adit_buffer *buffer, struct adit_replay_flow *flow) {
  *waiting_of(buffer) = (struct waiting){.flow = flow, .until_ns = adit_stack_now(replay->stack) + PATIENCE};
  if (replay->waiting == NULL)
    replay->waiting = buffer;
  else
    waiting_of(replay->waiting_last)->next = buffer;
  replay->waiting_last = buffer;
  replay->waiting_count++;
  flow->waiting++;
  replay->counts.waited++;
}

static void forget_waiting(struct replay *replay) {
  while (replay->waiting != NULL) {
    struct adit_buffer *buffer = replay->waiting;
    replay->waiting = waiting_of(buffer)->next;
    adit_buffer_unref(buffer);
  }
}

/* Feed the first packet of each flow whose time has come. Returns whether there was one. */
static bool release_some(struct replay *replay) {
  bool released = false;
  for (struct adit_buffer *buffer = replay->waiting; buffer != NULL; buffer = waiting_of(buffer)->next)
    waiting_of(buffer)->flow->blocked = false;
  struct adit_buffer *previous = NULL;
  for (struct adit_buffer *buffer = replay->waiting, *next; buffer != NULL; buffer = next) {
    struct waiting *waiting = waiting_of(buffer);
    struct adit_replay_flow *flow = waiting->flow;
    next = waiting->next;
    struct adit_header header;
    enum adit_drop why;
    bool first = !flow->blocked;
    flow->blocked = true;
    bool parsed = first && adit_header_parse(buffer->data, buffer->length, &header, &why); /* it was before */
    if (parsed && !is_timely(flow, &header) &&
        (waiting->until_ns <= adit_stack_now(replay->stack) || replay->waiting_count > WAITING_MOST))
      flow->gave_up = true;
    if (!parsed || !is_timely(flow, &header)) {
      previous = buffer;
      continue;
    }
    if (previous == NULL)
      replay->waiting = next;
    else
      waiting_of(previous)->next = next;
    if (next == NULL) replay->waiting_last = previous;
    replay->waiting_count--;
    flow->waiting--;
    feed(replay, buffer, flow, &header);
    released = true;
  }
  return released;
}

static void release(struct replay *replay) {
  while (replay->waiting != NULL && release_some(replay)) continue;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* When something happens by itself: a deadline of the stack, or the end of a packet's waiting. */
static uint64_t next_moment(const struct replay *replay) {
  uint64_t moment = adit_stack_deadline(replay->stack);
  if (replay->waiting != NULL && waiting_of(replay->waiting)->until_ns < moment)
    moment = waiting_of(replay->waiting)->until_ns;
  return moment;
}

/* Let everything happen that is due until `until_ns`, each at its own time. The clock then stands at the last of it. */
static void run_until(struct replay *replay, uint64_t until_ns) {
  while (replay->error == 0 && replay->steps < STEPS_MOST && next_moment(replay) <= until_ns) {
    adit_stack_advance(replay->stack, next_moment(replay));
    release(replay);
    replay->steps++;
  }
}

/* ---- reading the capture ----------------------------------------------------------------------------------------- */

static bool is_answered(const struct replay *replay, adit_ip ip) {
  for (size_t i = 0; i < replay->excepts; i++)
    if (adit_ip_equal(replay->except[i], ip)) return false;
  for (size_t i = 0; i < replay->answer.count; i++)
    if (adit_cidr_contains(replay->answer.item[i], ip)) return true;
  return false;
}

enum sender {
  SENDER_CLIENT,
  SENDER_SERVER,
  SENDER_FOREIGN
};

static bool is_echo_reply(const struct adit_header *header) {
  if (header->fragment) return false;
  return (header->protocol == IPPROTO_ICMP && header->icmp_type == ADIT_ICMP_ECHO_REPLY) ||
         (header->protocol == IPPROTO_ICMPV6 && header->icmp_type == ADIT_ICMP6_ECHO_REPLY);
}

/* Who sent it, and in `*flow` the flow of TCP and UDP, made where there is none; NULL for all else or without memory. */
static enum sender sender_of(struct replay *replay, const struct adit_header *header, struct adit_replay_flow **flow) {
  bool to_us = is_answered(replay, header->destination);
  bool from_us = is_answered(replay, header->source);
  adit_endpoint source = source_of(header);
  adit_endpoint destination = destination_of(header);
  *flow = NULL;
  if (!to_us && !from_us) return SENDER_FOREIGN;
  bool server = !to_us || (from_us && is_echo_reply(header));
  if (!has_ports(header)) return server ? SENDER_SERVER : SENDER_CLIENT;

  if (to_us && (*flow = adit_replay_flows_find(replay->flows, header->protocol, source, destination)) != NULL)
    return SENDER_CLIENT;
  if (from_us && (*flow = adit_replay_flows_find(replay->flows, header->protocol, destination, source)) != NULL)
    return SENDER_SERVER;
  const uint8_t both = ADIT_TCP_SYN | ADIT_TCP_ACK;
  if (to_us && from_us) server = header->protocol == IPPROTO_TCP && (header->tcp_flags & both) == both;
  *flow = server ? adit_replay_flows_add(replay->flows, header->protocol, destination, source)
                 : adit_replay_flows_add(replay->flows, header->protocol, source, destination);
  if (*flow == NULL) replay->error = -ENOMEM;
  if (*flow != NULL && !server && header->protocol == IPPROTO_TCP) {
    replay->counts.connections++;
    if (!(header->tcp_flags & ADIT_TCP_SYN)) replay->counts.mid_stream++;
  }
  return server ? SENDER_SERVER : SENDER_CLIENT;
}

/* Deal with one record; the buffer is taken over. */
static void take(struct replay *replay, struct adit_buffer *buffer) {
  struct adit_header header;
  struct adit_replay_flow *flow;
  enum adit_drop why;
  if (adit_device_link(replay->in) == ADIT_LINK_ETHERNET && !adit_replay_unframe(buffer)) {
    replay->counts.no_packet++;
    goto forget;
  }
  if (!adit_header_parse(buffer->data, buffer->length, &header, &why)) {
    feed(replay, buffer, NULL, NULL); /* the stack counts what is wrong with it */
    return;
  }
  enum sender sender = sender_of(replay, &header, &flow);
  if (replay->error != 0) goto forget;
  if (sender == SENDER_FOREIGN) {
    replay->counts.foreign++;
    goto forget;
  }
  if (sender == SENDER_SERVER) {
    replay->counts.recorded++;
    adit_replay_count_answer(&replay->counts, ADIT_REPLAY_RECORDED, &header);
    if (flow != NULL && header.protocol == IPPROTO_TCP) adit_replay_flow_server(flow, &flow->recorded, &header);
    goto forget;
  }
  if (adit_replay_finish(buffer->data, &header)) replay->counts.finished++;
  if (header.protocol != IPPROTO_TCP) flow = NULL;
  if (flow != NULL && (flow->waiting > 0 || !is_timely(flow, &header))) {
    await(replay, buffer, flow);
    if (replay->waiting_count > WAITING_MOST) release(replay);
    return;
  }
  feed(replay, buffer, flow, &header);
  release(replay);
  return;

forget:
  adit_buffer_unref(buffer);
}

/* Returns 0 at the end of the capture, or why it ended before. */
static int read_all(struct replay *replay) {
  struct adit_replay_counts *counts = &replay->counts;
  while (replay->error == 0) {
    struct adit_buffer *buffer;
    int result = adit_device_read(replay->in, replay->pool, &buffer);
    if (result != 1 && result != -EBADMSG) return result;
    uint64_t now_ns = adit_device_pcap_stamp(replay->in);
    if (now_ns > LATEST) now_ns = LATEST;
    if (counts->records++ == 0) counts->first_ns = now_ns;
    if (result == -EBADMSG) {
      counts->no_packet++;
      continue;
    }
    run_until(replay, now_ns);
    adit_stack_advance(replay->stack, now_ns);
    release(replay);
    take(replay, buffer);
  }
  return replay->error;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* As `adit serve` with its defaults: two networks, in which one address each is the kernel's. */
static void default_answers(struct replay *replay) {
  static const char *const networks[] = {"192.168.3.0/24", "fdad:3::/64"};
  static const char *const kernel[] = {"192.168.3.11", "fdad:3::11"};
  static_assert(sizeof kernel / sizeof kernel[0] == sizeof replay->except / sizeof replay->except[0], "room for each");
  for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
    adit_cidr_parse(networks[i], &replay->answer.item[replay->answer.count++]);
    adit_ip_parse(kernel[i], &replay->except[replay->excepts++]);
  }
}

static adit_cidr first_network(const struct adit_cli_cidrs *networks, unsigned version) {
  for (size_t i = 0; i < networks->count; i++)
    if (networks->item[i].ip.version == version) return networks->item[i];
  return (adit_cidr){0};
}

/* Make the stack and its services. Returns 0 or a negative errno; the caller frees what was made. */
static int make_stack(struct replay *replay) {
  struct adit_stack_options stack = {
      .size = sizeof stack,
      .events = &events,
      .user = replay,
      .secret = "adit replay",
      .mtu = (uint32_t)replay->options->mtu,
      .answer = replay->answer.item,
      .answers = replay->answer.count,
      .except = replay->except,
      .excepts = replay->excepts,
  };
  struct adit_services_options services = {
      .wall_clock = wall_clock,
      .user = replay,
      .network4 = first_network(&replay->answer, 4),
      .network6 = first_network(&replay->answer, 6),
  };
  int error = adit_stack_new(&stack, &replay->stack);
  return error ? error : adit_services_new(replay->stack, &services, &replay->services);
}

/* Whether both names are the same file, which would be emptied before it is read. */
static bool same_file(const char *a, const char *b) {
  struct stat first, second;
  return b != NULL && stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

/* Say what went wrong, if anything. */
static enum adit_cli_status judge(const struct replay *replay, int error) {
  const struct adit_cli_options *options = replay->options;
  const struct adit_replay_counts *counts = &replay->counts;
  const char *path = options->operands[0];
  unsigned long long records = (unsigned long long)counts->records;
  if (replay->write_failed)
    return adit_cli_fail(options, "%s: cannot be written: %s", options->out, strerror(-replay->error));
  if (error == -ENODATA)
    return adit_cli_fail(options, "%s ends early or is damaged after packet %llu; what comes before was replayed", path,
                         records);
  if (error != 0) return adit_cli_fail(options, "%s: stopped after packet %llu: %s", path, records, strerror(-error));
  if (counts->records != 0 && counts->fed == 0) {
    char network[ADIT_ADDRESS_TEXT];
    return adit_cli_fail(options,
                         "%s: no packet goes to %s%s; say with --answer which address the recorded server had, for "
                         "example --answer 192.0.2.1",
                         path, adit_cidr_format(replay->answer.item[0], network),
                         replay->answer.count > 1 ? " or the other networks" : "");
  }
  if (counts->no_packet != 0)
    adit_cli_note(options, "%s: %llu of %llu records hold no whole IP packet (tcpdump -s 0 records them whole)", path,
                  (unsigned long long)counts->no_packet, records);
  return ADIT_CLI_DONE;
}

static enum adit_cli_status run(struct replay *replay) {
  int error = read_all(replay);
  if (replay->counts.records != 0) {
    run_until(replay, adit_stack_now(replay->stack) + AFTERMATH);
    replay->counts.last_ns = adit_stack_now(replay->stack);
  }
  if (error == 0) error = replay->error;
  forget_waiting(replay);
  struct adit_stack_stats stats;
  adit_stack_stats(replay->stack, &stats);
  if (replay->options->verbosity >= 0) adit_replay_summary(replay->options, &replay->counts, &stats);
  return judge(replay, error);
}

/* Open everything that `replay` holds, run, release. */
static enum adit_cli_status open_and_run(struct replay *replay) {
  const struct adit_cli_options *options = replay->options;
  const char *path = options->operands[0];
  enum adit_cli_status status = ADIT_CLI_FAILED;
  char reason[REASON];
  int error = adit_device_pcap(path, NULL, &replay->in, reason);
  if (error) return adit_cli_fail(options, "%s", reason);
  if (same_file(path, options->out)) {
    adit_cli_fail(options, "%s: is both read and written; give another name to -o", path);
    goto close_in;
  }
  error = adit_device_pcap(NULL, options->out, &replay->out, reason);
  if (error) {
    adit_cli_fail(options, "%s", reason);
    goto close_in;
  }
  error = adit_pool_new(0, &replay->pool);
  if (error) goto close_out;
  error = adit_replay_flows_new(&replay->flows);
  if (error) goto free_pool;
  error = make_stack(replay);
  if (!error) status = run(replay);

  adit_stack_free(replay->stack);
  adit_services_free(replay->services);
  adit_replay_flows_free(replay->flows);
free_pool:
  adit_pool_free(replay->pool);
close_out:
  adit_device_close(replay->out);
  if (error) adit_cli_fail(options, "cannot make a stack: %s", strerror(-error));
close_in:
  adit_device_close(replay->in);
  return status;
}

enum adit_cli_status adit_cli_replay(const struct adit_cli_options *options) {
  struct replay *replay = calloc(1, sizeof *replay);
  if (replay == NULL) return adit_cli_fail(options, "out of memory");
  replay->options = options;
  if (options->answer.count == 0)
    default_answers(replay);
  else
    replay->answer = options->answer;
  enum adit_cli_status status = open_and_run(replay);
  free(replay);
  return status;
}
