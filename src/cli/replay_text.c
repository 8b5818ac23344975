/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit replay` counts and tells.
 */
#include "cli/replay_text.h"

#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

static const char *const kind_names[] = {
    [ADIT_REPLAY_ICMP] = "ICMP",
    [ADIT_REPLAY_TCP] = "TCP",
    [ADIT_REPLAY_UDP] = "UDP",
    [ADIT_REPLAY_OTHER] = "fragments",
};
static_assert(sizeof kind_names / sizeof kind_names[0] == ADIT_REPLAY_KINDS, "a name each");

static enum adit_replay_kind kind_of(const struct adit_header *header) {
  if (header->fragment) return ADIT_REPLAY_OTHER;
  switch (header->protocol) {
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    return ADIT_REPLAY_ICMP;
  case IPPROTO_TCP:
    return ADIT_REPLAY_TCP;
  case IPPROTO_UDP:
    return ADIT_REPLAY_UDP;
  default:
    return ADIT_REPLAY_OTHER;
  }
}

void adit_replay_count_answer(struct adit_replay_counts *counts, enum adit_replay_side side,
                              const struct adit_header *header) {
  enum adit_replay_kind kind = kind_of(header);
  bool stream = kind == ADIT_REPLAY_TCP || kind == ADIT_REPLAY_UDP;
  counts->answers[side][kind].packets++;
  counts->answers[side][kind].bytes += header->length - (stream ? header->payload : header->transport);
}

static void print_label(const char *label) {
  printf("  %-13s", label);
}

/* "12 checksums finished": nothing for a count of zero. `between` goes from "" to ", ". */
static void print_count(const char **between, uint64_t count, const char *what) {
  if (count == 0) return;
  printf("%s%" PRIu64 " %s", *between, count, what);
  *between = ", ";
}

static void print_end(const char *between, const char *none) {
  printf("%s\n", between[0] == '\0' ? none : "");
}

static void print_packets(const struct adit_replay_counts *counts) {
  const char *between = "";
  print_label("packets");
  print_count(&between, counts->fed, "fed");
  print_count(&between, counts->recorded, "recorded answers");
  print_count(&between, counts->foreign, "of others");
  print_count(&between, counts->not_ip, "not IP");
  print_count(&between, counts->no_packet, "without a whole IP packet");
  print_end(between, "none");
}

static void print_answers(const struct adit_replay_counts *counts) {
  print_label("answers");
  printf("%-23s%s\n", "recorded", "given");
  for (unsigned kind = 0; kind < ADIT_REPLAY_KINDS; kind++) {
    char column[ADIT_REPLAY_SIDES][64];
    uint64_t all = 0;
    for (unsigned side = 0; side < ADIT_REPLAY_SIDES; side++) {
      uint64_t packets = counts->answers[side][kind].packets;
      all += packets;
      snprintf(column[side], sizeof column[side], "%" PRIu64 ", %" PRIu64 " B", packets,
               counts->answers[side][kind].bytes);
    }
    if (all != 0)
      printf("    %-11s%-23s%s\n", kind_names[kind], column[ADIT_REPLAY_RECORDED], column[ADIT_REPLAY_GIVEN]);
  }
}

static void print_connections(const struct adit_replay_counts *counts, const struct adit_stack_stats *stats) {
  const char *between = " (";
  if (counts->connections == 0) return;
  print_label("connections");
  printf("%" PRIu64, counts->connections);
  print_count(&between, stats->flows_accepted, "accepted");
  print_count(&between, stats->flows_refused, "refused");
  print_count(&between, counts->mid_stream, "without their SYN, so reset");
  print_count(&between, stats->flows_open, "open at the end");
  printf("%s\n", between[0] == ',' ? ")" : "");
}

static void print_mended(const struct adit_replay_counts *counts) {
  const char *between = "";
  if (counts->finished + counts->waited + counts->lowered + counts->parts == 0) return;
  print_label("mended");
  print_count(&between, counts->finished, "checksums finished");
  print_count(&between, counts->waited, "acknowledgments waited for their bytes");
  print_count(&between, counts->lowered, "lowered to what was sent");
  print_count(&between, counts->parts, "made for a part");
  print_end(between, "");
}

static void print_drops(const struct adit_stack_stats *stats) {
  const char *between = "";
  print_label("dropped");
  for (unsigned i = 0; i < ADIT_DROPS; i++) print_count(&between, stats->drops[i], adit_drop_name((enum adit_drop)i));
  print_end(between, "none");
}

void adit_replay_summary(const struct adit_cli_options *options, const struct adit_replay_counts *counts,
                         const struct adit_stack_stats *stats) {
  uint64_t span = counts->last_ns - counts->first_ns;
  printf("adit replay: %s: %" PRIu64 " packet%s, %" PRIu64 ".%06" PRIu64 " s of virtual time\n", options->operands[0],
         counts->records, counts->records == 1 ? "" : "s", span / 1000000000U, span % 1000000000U / 1000);
  print_packets(counts);
  print_answers(counts);
  print_connections(counts, stats);
  print_mended(counts);
  if (stats->retransmissions != 0) {
    print_label("sent again");
    printf("%" PRIu64 " segment%s\n", stats->retransmissions, stats->retransmissions == 1 ? "" : "s");
  }
  print_drops(stats);
  if (options->out != NULL) {
    print_label("written");
    printf("%" PRIu64 " packet%s to %s\n", stats->packets_out, stats->packets_out == 1 ? "" : "s", options->out);
  }
  fflush(stdout);
}
