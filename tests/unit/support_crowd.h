/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Thousands of clients that come and go, for a long time under a virtual clock: what a stack holds does not grow.
 *
 * Memory is the stack's own count and, unless the address sanitizer has its own malloc, that of malloc for the whole
 * process, less the free blocks that the stack keeps, which have a bound of their own. Both, and fds, are averaged over a window of some minutes, because the crowd at one moment is a matter of chance:
 * after the warm-up, and at the end. With ADIT_TEST_LONG=1 there are 24 hours in between. Then nobody comes any more, and the
 * stack has to be as empty as it was at first.
 */
#ifndef ADIT_TESTS_SUPPORT_CROWD_H
#define ADIT_TESTS_SUPPORT_CROWD_H

#include <adit/stack.h>

enum {
  SUPPORT_CROWD_MOST = 13000,   /**< clients */
  SUPPORT_CROWD_BYTES = 200000, /**< more than any connection carries in one direction */
  SUPPORT_CROWD_IDLE_S = 300    /**< how long nothing may move on a connection */
};

/** What both sides send, from its beginning. */
extern uint8_t support_crowd_pattern[SUPPORT_CROWD_BYTES];

/** Who the clients are, and who is behind the stack. */
struct support_crowd {
  unsigned clients;      /**< SUPPORT_CROWD_MOST at most; some rest, and some are parked */
  unsigned open_least;   /**< connections that are open at any time */
  unsigned window_s;     /**< for how long is averaged: the fewer clients, the longer */
  const char *server[2]; /**< to whom they connect: IPv4, IPv6 */
  uint16_t port[2];      /**< likewise */
  /** Who takes connections. NULL: each is answered, refused or ended as its client's manner is. */
  void (*syn)(void *user, struct adit_flow *flow);
  void (*begin)(struct adit_stack *stack); /**< after the stack was made; may be NULL, as the next ones */
  bool (*outside)(void);                   /**< one turn of whatever is behind `syn`; whether anything happened */
  void (*end)(void);                       /**< before the stack is freed; no connection is open any more */
};

/** The whole test. */
void support_crowd_run(const struct support_crowd *options);

/** The virtual clock; 0 before the test. */
uint64_t support_crowd_now(void);

/** So many bytes of a client's have arrived behind `syn`. */
void support_crowd_arrived(size_t bytes);

#endif
