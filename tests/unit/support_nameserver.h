/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A relay with --dns forward and without a worker: clients speak packets to a stack, and the nameserver is the test,
 * on a real socket of the loopback. The test turns the loop by hand, so that everything happens in its own thread and
 * in order.
 */
#ifndef ADIT_TESTS_SUPPORT_NAMESERVER_H
#define ADIT_TESTS_SUPPORT_NAMESERVER_H

#include "relay/dns_message.h"
#include "relay/state.h"
#include "support_client.h"
#include "support_turn.h"

enum {
  SUPPORT_NAMESERVER_TURNS = 5000, /**< of 2 ms, in which something has to become so */
  SUPPORT_MESSAGE = 65535          /**< longest message */
};

/** Everything there is. */
struct support_nameserver {
  struct support_lab lab; /**< first: what the stack's callbacks get */
  struct adit_relay relay;
  struct adit_egress egress;         /**< of `options`, which may be changed */
  struct adit_relay_options options; /**< forward to the nameserver, directly */
  struct adit_log log;
  int listener; /**< the nameserver's; may be closed and set to -1 */
  int server;   /**< its connection; -1 = none */
  uint16_t port;
  unsigned accepted; /**< connections */
  size_t have;       /**< bytes in `in` */
  uint8_t in[2 + SUPPORT_MESSAGE];
  unsigned fds;             /**< open before */
  struct support_said said; /**< warnings */
};

/** A message, a client's or the server's. */
struct support_message {
  size_t length;
  uint8_t bytes[SUPPORT_MESSAGE];
};

/** Make stack, loop, relay and listener; what is tested is the test's to start. */
struct support_nameserver *support_nameserver_open(void);

/** Unmake them. Every buffer, timer and fd must be back. What was started must have been stopped. */
void support_nameserver_close(struct support_nameserver *world);

/** Turns of the loop: each waits for 2 ms at most. */
void support_nameserver_turn(struct support_nameserver *world);
void support_nameserver_turns(struct support_nameserver *world, unsigned count);

/** Turn until something is so. */
#define SUPPORT_NAMESERVER_UNTIL(world, condition)                                                                     \
  for (unsigned turns_ = 0; !(condition); turns_++) {                                                                  \
    if (turns_ == SUPPORT_NAMESERVER_TURNS) fail_msg("waited in vain for: %s", #condition);                            \
    support_nameserver_turn(world);                                                                                    \
  }

/** Listen, at the same port as before. */
void support_nameserver_listen(struct support_nameserver *world);

/** Take a connection if there is none. Returns whether there is one. */
bool support_nameserver_accepts(struct support_nameserver *world);

/** Turn until there is a connection. */
void support_nameserver_accept(struct support_nameserver *world);

/** End the connection. `how`: SHUT_RDWR = FIN, -1 = reset. */
void support_nameserver_hang_up(struct support_nameserver *world, int how);

/** Whether a whole question has come. */
bool support_nameserver_has(struct support_nameserver *world);

/** Turn until a whole question has come, and take it, without the length before it. */
void support_nameserver_hear(struct support_nameserver *world, struct support_message *question);

/** Nothing more is asked in some turns. */
void support_nameserver_hear_nothing(struct support_nameserver *world);

/** Send bytes over the connection. */
void support_nameserver_write(struct support_nameserver *world, const void *bytes, size_t length);

/** The answer to a question, with its length before it: addresses 192.0.x.y, counted up from `mark`. */
void support_answer_make(const struct support_message *question, unsigned records, uint8_t mark,
                         struct support_message *answer);

/** Send it. */
void support_nameserver_answer(struct support_nameserver *world, const struct support_message *question,
                               unsigned records, uint8_t mark);

/** A question for an address, written by hand: labels between dots. `edns` is what OPT says, -1 = no OPT. */
size_t support_question_make(uint8_t *bytes, unsigned id, const char *name, int edns);

/** The monotonic clock. */
uint64_t support_milliseconds(void);

#endif
