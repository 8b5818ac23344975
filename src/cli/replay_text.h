/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit replay` counts, and what it tells at its end, on standard output.
 */
#ifndef ADIT_CLI_REPLAY_TEXT_H
#define ADIT_CLI_REPLAY_TEXT_H

#include "cli/commands.h"
#include "packet/header.h"

#include <adit/stack.h>

/** Whose answers: the recorded server's, and the stack's. */
enum adit_replay_side { ADIT_REPLAY_RECORDED, ADIT_REPLAY_GIVEN, ADIT_REPLAY_SIDES };

/** What answers are counted by. */
enum adit_replay_kind {
  ADIT_REPLAY_ICMP, /**< ICMP and ICMPv6 */
  ADIT_REPLAY_TCP,
  ADIT_REPLAY_UDP,
  ADIT_REPLAY_OTHER, /**< fragments and all else */
  ADIT_REPLAY_KINDS
};

/** Numbers of one replay. */
struct adit_replay_counts {
  uint64_t records;     /**< read from the capture, whatever they hold */
  uint64_t fed;         /**< packets given to the stack */
  uint64_t recorded;    /**< packets of the recorded server: not fed */
  uint64_t foreign;     /**< packets from and to somebody else: not fed */
  uint64_t not_ip;      /**< Ethernet frames that carry something else, such as ARP: not fed */
  uint64_t no_packet;   /**< records that adit_device_read had to drop: cut short, or no IP packet */
  uint64_t finished;    /**< fed after their checksum was finished */
  uint64_t waited;      /**< fed later than recorded, because they acknowledge what had not been sent */
  uint64_t lowered;     /**< fed with a lower acknowledgment, because it never was */
  uint64_t parts;       /**< acknowledgments made here, for a part of what one of the capture covers at once */
  uint64_t connections; /**< TCP: 4-tuples with packets of a client */
  uint64_t mid_stream;  /**< of these: the capture begins after their SYN */
  uint64_t first_ns;    /**< time of the first record */
  uint64_t last_ns;     /**< virtual time at the end */
  struct {
    uint64_t packets;
    uint64_t bytes; /**< payload of TCP and UDP; for all else what follows the IP headers */
  } answers[ADIT_REPLAY_SIDES][ADIT_REPLAY_KINDS];
};

/** Count an answer. */
void adit_replay_count_answer(struct adit_replay_counts *counts, enum adit_replay_side side,
                              const struct adit_header *header);

/** Tell what was done. */
void adit_replay_summary(const struct adit_cli_options *options, const struct adit_replay_counts *counts,
                         const struct adit_stack_stats *stats);

#endif
