/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * For tests of whole tunnels: one behind a socket pair, whose callbacks count, and what is open in this process.
 */
#ifndef ADIT_TESTS_SUPPORT_BENCH_H
#define ADIT_TESTS_SUPPORT_BENCH_H

#include "support_process.h"
#include <adit/tunnel.h>
#include <poll.h>
#include <stdatomic.h>

enum { SUPPORT_PATIENCE_MS = 10000, SUPPORT_TURN_MS = 5 };

/** The client whose packets go through the pair. */
#define SUPPORT_CLIENT4 "192.168.3.11"

/** Ask again and again, for at most SUPPORT_PATIENCE_MS. */
#define SUPPORT_AWAIT(condition)                                                                                       \
  for (int waited_ = 0; !(condition); waited_ += SUPPORT_TURN_MS) {                                                    \
    if (waited_ >= SUPPORT_PATIENCE_MS) fail_msg("waited in vain for: %s", #condition);                                \
    poll(NULL, 0, SUPPORT_TURN_MS);                                                                                    \
  }

bool support_is_open(int fd);

/** Wait until there is something to read. Returns false when that takes longer than SUPPORT_PATIENCE_MS. */
bool support_readable(int fd);

/** A socket that listens on SUPPORT_KERNEL4, and its port. */
int support_listen(uint16_t *port);

/** A tunnel behind a socket pair. */
struct support_bench {
  int far;  /**< the test's end; -1 = closed */
  int near; /**< the tunnel's */
  struct adit_tunnel_options options;
  struct adit_tunnel *tunnel;
  char reason[ADIT_TUNNEL_REASON];
  atomic_int ready, stopped, protects, logs;
  atomic_int error;     /**< what `stopped` was told */
  atomic_int refusal;   /**< what `protect` answers */
  atomic_bool in_order; /**< `ready` came before `stopped` */
  atomic_bool stop_when_ready, stop_when_logging;
  atomic_int protected_type; /**< SO_TYPE of the last socket */
};

/** Everything for a start but what a test is about. */
void support_bench_prepare(struct support_bench *bench);

/** What is not zero in `by` takes the place of what is in `options`. */
void support_bench_change(struct adit_tunnel_options *options, const struct adit_tunnel_options *by);

/** Start it; it has to. */
void support_bench_start(struct support_bench *bench);

/** Free the tunnel and close the test's end. */
void support_bench_close(struct support_bench *bench);

/** Take packets until one of TCP between these ports has these flags; others are dropped. Returns whether one came. */
bool support_bench_hear(const struct support_bench *bench, uint16_t from, uint16_t to, uint8_t flags);

/** Connect from port `from` of the client's to port `to` of SUPPORT_KERNEL4. */
void support_bench_send_syn(const struct support_bench *bench, uint16_t from, uint16_t to);

/** The same; the answer has to have these flags. */
void support_bench_check_syn(const struct support_bench *bench, uint16_t from, uint16_t to, uint8_t flags);

#endif
