/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * `adit replay`: the client's packets of a capture go through the stack under a virtual clock.
 *
 * Who is the client: whoever sends to an address that the stack answers for. If both sides are such addresses, the one
 * that spoke first. Packets of the recorded server are read for their sequence numbers (replay_flow.c) and counted. When
 * and how a packet of the client goes in is the matter of replay_engine.c; its clock is the capture's.
 *
 * After the last record time goes on until nothing is pending, for at most AFTERMATH.
 *
 * Records that are no whole IP packet are counted and left out. An end in the middle of a record is named, after what
 * came before was replayed.
 */
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/replay_engine.h"
#include "cli/replay_packet.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "packet/icmp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#define AFTERMATH (120 * UINT64_C(1000000000)) /* twice the time that a segment may live (RFC 9293, 3.4.2) */
#define LATEST (UINT64_C(1) << 62)             /* in 2116; later time stamps mean this */
enum { REASON = 256 };

struct replay {
  const struct adit_cli_options *options;
  struct adit_device *in;
  struct adit_device *out;
  struct adit_pool *pool;
  struct adit_replay_flows *flows;
  struct adit_replay_engine *engine;
  struct adit_cli_cidrs answer;
  adit_ip except[ADIT_CLI_EXCEPTS];
  size_t excepts;
  struct adit_replay_counts counts;
};

/* ---- who sent it ------------------------------------------------------------------------------------------------- */

enum sender { SENDER_CLIENT, SENDER_SERVER, SENDER_FOREIGN };

static bool is_answered(const struct replay *replay, adit_ip ip) {
  for (size_t i = 0; i < replay->excepts; i++)
    if (adit_ip_equal(replay->except[i], ip)) return false;
  for (size_t i = 0; i < replay->answer.count; i++)
    if (adit_cidr_contains(replay->answer.item[i], ip)) return true;
  return false;
}

static bool has_ports(const struct adit_header *header) {
  return !header->fragment && (header->protocol == IPPROTO_TCP || header->protocol == IPPROTO_UDP);
}

/* Whether only a server sends such a packet. */
static bool is_answer(const struct adit_header *header) {
  const uint8_t both = ADIT_TCP_SYN | ADIT_TCP_ACK;
  if (header->fragment) return false;
  switch (header->protocol) {
  case IPPROTO_TCP:
    return (header->tcp_flags & both) == both;
  case IPPROTO_ICMP:
    return header->icmp_type == ADIT_ICMP_ECHO_REPLY;
  case IPPROTO_ICMPV6:
    return header->icmp_type == ADIT_ICMP6_ECHO_REPLY;
  default:
    return false;
  }
}

/*
 * Say who sent a packet, and find the flow of TCP and UDP, made where there is none; NULL for all else.
 * Returns 0, or -ENOMEM.
 */
static int identify(struct replay *replay, const struct adit_header *header, enum sender *sender,
                    struct adit_replay_flow **flow) {
  bool to_us = is_answered(replay, header->destination);
  bool from_us = is_answered(replay, header->source);
  *flow = NULL;
  *sender = SENDER_FOREIGN;
  if (!to_us && !from_us) return 0;
  *sender = !to_us || (from_us && is_answer(header)) ? SENDER_SERVER : SENDER_CLIENT;
  if (!has_ports(header)) return 0;

  adit_endpoint source = {.ip = header->source, .port = header->source_port};
  adit_endpoint destination = {.ip = header->destination, .port = header->destination_port};
  if (to_us && (*flow = adit_replay_flows_find(replay->flows, header->protocol, source, destination)) != NULL) {
    *sender = SENDER_CLIENT;
  } else if (from_us &&
             (*flow = adit_replay_flows_find(replay->flows, header->protocol, destination, source)) != NULL) {
    *sender = SENDER_SERVER;
  } else {
    bool from_client = *sender == SENDER_CLIENT;
    *flow = adit_replay_flows_add(replay->flows, header->protocol, from_client ? source : destination,
                                  from_client ? destination : source);
  }
  return *flow != NULL ? 0 : -ENOMEM;
}

/* ---- reading the capture ----------------------------------------------------------------------------------------- */

/* A segment of the client: count the connection when it is the first one. */
static void count_connection(struct adit_replay_counts *counts, struct adit_replay_flow *flow,
                             const struct adit_header *header) {
  if (flow->has_client) return;
  flow->has_client = true;
  counts->connections++;
  if (!(header->tcp_flags & ADIT_TCP_SYN)) counts->mid_stream++;
}

/* Deal with one packet; the buffer is taken over. Returns 0, -ENOMEM, or why an answer could not be written. */
static int take(struct replay *replay, struct adit_buffer *buffer) {
  struct adit_replay_counts *counts = &replay->counts;
  struct adit_header header;
  enum adit_drop why;
  enum sender sender;
  struct adit_replay_flow *flow;
  int error = 0;
  if (adit_device_link(replay->in) == ADIT_LINK_ETHERNET && !adit_replay_unframe(buffer)) {
    counts->not_ip++;
    goto forget;
  }
  if (!adit_header_parse(buffer->data, buffer->length, &header, &why))
    return adit_replay_engine_give(replay->engine, buffer, NULL, NULL); /* the stack counts what is wrong with it */
  error = identify(replay, &header, &sender, &flow);
  if (error) goto forget;
  bool segment = flow != NULL && header.protocol == IPPROTO_TCP;
  switch (sender) {
  case SENDER_CLIENT:
    if (adit_replay_finish(buffer->data, &header)) counts->finished++;
    if (segment) count_connection(counts, flow, &header);
    return adit_replay_engine_give(replay->engine, buffer, segment ? flow : NULL, &header);
  case SENDER_SERVER:
    counts->recorded++;
    adit_replay_count_answer(counts, ADIT_REPLAY_RECORDED, &header);
    if (segment) adit_replay_flow_server(flow, &flow->recorded, &header);
    break;
  case SENDER_FOREIGN:
    counts->foreign++;
    break;
  }

forget:
  adit_buffer_unref(buffer);
  return error;
}

/* What ends a replay: the capture, or something that went wrong with the answers. */
struct end {
  int capture; /* 0, -ENODATA, or what reading said */
  int answers; /* 0, -ENOMEM, or what writing said */
};

static struct end replay_all(struct replay *replay) {
  struct adit_replay_counts *counts = &replay->counts;
  struct end end = {0, 0};
  while (end.answers == 0) {
    struct adit_buffer *buffer;
    int result = adit_device_read(replay->in, replay->pool, &buffer);
    if (result != 1 && result != -EBADMSG) {
      end.capture = result;
      break;
    }
    uint64_t now_ns = adit_device_pcap_stamp(replay->in);
    if (now_ns > LATEST) now_ns = LATEST;
    if (counts->records++ == 0) counts->first_ns = now_ns;
    end.answers = adit_replay_engine_advance(replay->engine, now_ns);
    if (result == -EBADMSG) {
      counts->no_packet++;
    } else if (end.answers == 0) {
      end.answers = take(replay, buffer);
    } else {
      adit_buffer_unref(buffer);
    }
  }
  if (end.answers == 0) end.answers = adit_replay_engine_finish(replay->engine, AFTERMATH);
  if (counts->records != 0) counts->last_ns = adit_replay_engine_now(replay->engine);
  return end;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* Say what went wrong, if anything. */
static enum adit_cli_status judge(const struct replay *replay, struct end end) {
  const struct adit_cli_options *options = replay->options;
  const struct adit_replay_counts *counts = &replay->counts;
  const char *path = options->operands[0];
  unsigned long long records = (unsigned long long)counts->records;
  if (end.answers == -ENOMEM) return adit_cli_fail(options, "out of memory after packet %llu of %s", records, path);
  if (end.answers != 0)
    return adit_cli_fail(options, "%s: cannot be written: %s", options->out, strerror(-end.answers));
  if (end.capture == -ENODATA)
    return adit_cli_fail(options, "%s ends early or is damaged after packet %llu; what comes before was replayed", path,
                         records);
  if (end.capture != 0)
    return adit_cli_fail(options, "%s: cannot be read after packet %llu: %s", path, records, strerror(-end.capture));
  if (counts->no_packet != 0)
    adit_cli_note(options,
                  "%s: %llu of %llu records hold no whole IP packet (tcpdump -s 0 records them whole; with "
                  "--no-big-tcp, 'adit serve' sends none that are longer than 64 KiB)",
                  path, (unsigned long long)counts->no_packet, records);
  if (counts->records != 0 && counts->fed == 0) {
    char network[ADIT_ADDRESS_TEXT];
    return adit_cli_fail(options,
                         "%s: no packet goes to %s%s; say with --answer which address the recorded server had, for "
                         "example --answer 192.0.2.1",
                         path, adit_cidr_format(replay->answer.item[0], network),
                         replay->answer.count > 1 ? " or the other networks" : "");
  }
  return ADIT_CLI_DONE;
}

static enum adit_cli_status run(struct replay *replay) {
  struct adit_stack_stats stats;
  struct end end = replay_all(replay);
  adit_replay_engine_stats(replay->engine, &stats);
  if (replay->options->verbosity >= 0) adit_replay_summary(replay->options, &replay->counts, &stats);
  return judge(replay, end);
}

/* As `adit serve` with its defaults: two networks, in which one address each is the kernel's. */
static void choose_answers(struct replay *replay) {
  static const char *const kernel[] = {"192.168.3.11/24", "fdad:3::11/64"};
  replay->answer = replay->options->answer;
  if (replay->answer.count != 0) return;
  for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++)
    adit_cidr_parse(kernel[i], &replay->answer.item[replay->answer.count++]);
  replay->excepts = adit_cli_excepts(&replay->answer, replay->except);
}

/* Whether both names are the same file, which would be emptied before it is read. */
static bool is_same_file(const char *a, const char *b) {
  struct stat first;
  struct stat second;
  return b != NULL && stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

/* Open both captures. Returns 0, or -1 with everything said; the caller closes what was opened. */
static int open_captures(struct replay *replay) {
  const char *in = replay->options->operands[0];
  const char *out = replay->options->out;
  char reason[REASON];
  if (adit_device_pcap(in, NULL, &replay->in, reason) != 0) goto fail;
  if (is_same_file(in, out)) {
    snprintf(reason, sizeof reason, "%s is both read and written; give another name to -o", in);
    goto fail;
  }
  if (adit_device_pcap(NULL, out, &replay->out, reason) != 0) goto fail;
  return 0;

fail:
  adit_cli_fail(replay->options, "%s", reason);
  return -1;
}

enum adit_cli_status adit_cli_replay(const struct adit_cli_options *options) {
  struct replay replay = {.options = options};
  enum adit_cli_status status = ADIT_CLI_FAILED;
  int error;
  choose_answers(&replay);
  if (open_captures(&replay) != 0) goto close;
  if (adit_cli_sandbox(options, &(struct adit_cli_sandboxing){.calls = 0}) != ADIT_CLI_DONE) goto close;
  error = adit_pool_new(0, &replay.pool);
  if (error == 0) error = adit_replay_flows_new(&replay.flows);
  struct adit_replay_engine_options engine = {
      .options = options,
      .answer = &replay.answer,
      .except = replay.except,
      .excepts = replay.excepts,
      .flows = replay.flows,
      .out = replay.out,
      .pool = replay.pool,
      .counts = &replay.counts,
  };
  if (error == 0) error = adit_replay_engine_new(&engine, &replay.engine);
  if (error == 0)
    status = run(&replay);
  else
    adit_cli_fail(options, "cannot make a stack: %s", strerror(-error));

close:
  adit_replay_engine_free(replay.engine);
  adit_replay_flows_free(replay.flows);
  adit_pool_free(replay.pool);
  if (replay.out != NULL) adit_device_close(replay.out);
  if (replay.in != NULL) adit_device_close(replay.in);
  return status;
}
