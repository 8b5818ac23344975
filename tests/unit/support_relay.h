/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A relay without a worker, for tests of datagrams and echo: the client speaks packets to a stack, the outside is real
 * sockets of the test. The test turns the loop by hand, so that everything happens in its own thread and in order.
 */
#ifndef ADIT_TESTS_SUPPORT_RELAY_H
#define ADIT_TESTS_SUPPORT_RELAY_H

#include "relay/state.h"
#include "support_client.h"
#include "support_packet.h"
#include "support_process.h"
#include "support_turn.h"

#define SUPPORT_CLIENT4 "192.168.3.11"
#define SUPPORT_CLIENT6 "fdad:3::11"

/** Turns of 5 ms in which something has to become so. */
#define SUPPORT_TURNS 2000

/** Everything there is. Zero it, set `options`, support_relay_open. */
struct support_relay {
  struct support_lab lab; /**< first: what the stack's callbacks get */
  struct adit_relay relay;
  struct adit_egress egress; /**< of `options`, which may be changed */
  struct adit_relay_options options;
  struct adit_log log;
  unsigned fds;             /**< open before */
  struct support_said said; /**< messages, notices included */
};

/** What came out for the client, fragments put together. */
struct support_answer {
  size_t length; /**< of the packet */
  size_t header; /**< of the IP header */
  uint8_t protocol;
  uint8_t ttl;
  adit_endpoint from; /**< UDP: with port */
  adit_endpoint to;
  const uint8_t *data; /**< UDP: payload; otherwise what follows the IP header. Valid until the next one */
  size_t data_length;
};

/** Make stack, loop and relay; datagrams and echo are the test's to start. */
void support_relay_open(struct support_relay *world);

/** Unmake them. Every buffer and fd must be back. What was started must have been stopped. */
void support_relay_close(struct support_relay *world);

/** One turn: wait for 5 ms at most, events, timers, work, reap. */
void support_relay_turn(struct support_relay *world);

/** Turn until something is so. */
#define SUPPORT_UNTIL(world, condition)                                                                                \
  for (unsigned turns_ = 0; !(condition); turns_++) {                                                                  \
    if (turns_ == SUPPORT_TURNS) fail_msg("waited in vain for: %s", #condition);                                       \
    support_relay_turn(world);                                                                                         \
  }

/** Turn some times without waiting for anything: for what must not happen. */
void support_relay_turns(struct support_relay *world, unsigned count);

/**
 * The client of that version sends a datagram to `to` (text) with this TTL; it is given to the stack, cut where it has
 * to be, and no more: the end of the burst is support_relay_flush.
 */
void support_relay_give(struct support_relay *world, uint16_t from_port, const char *to, uint16_t port, uint8_t ttl,
                        const void *data, size_t length);

/** End of a burst: flush, deferred work. */
void support_relay_flush(struct support_relay *world);

/** Both, with TTL 64. */
void support_relay_send(struct support_relay *world, uint16_t from_port, const char *to, uint16_t port,
                        const void *data, size_t length);

/** Turn until a packet has come out for the client, and take it. */
void support_relay_take(struct support_relay *world, struct support_answer *answer);

/** It is a datagram from there to that port of the client's, with this payload. */
void support_relay_expect(struct support_relay *world, const char *from, uint16_t from_port, uint16_t to_port,
                          const void *data, size_t length);

/** It is an ICMP error about a datagram from that port of the client's to `to`. Types and codes of both versions. */
void support_relay_expect_error(struct support_relay *world, const char *reporter, uint8_t type4, uint8_t code4,
                                uint8_t type6, uint8_t code6, uint16_t from_port, const char *to, uint16_t port);

/** Nothing came out, and nothing does in some turns. */
void support_relay_expect_silence(struct support_relay *world);

/** A socket on that address (text), non-blocking, and its port. */
int support_relay_outside(const char *address, int type, uint16_t *port);

/** Turn until the socket has a datagram; returns its length, and from whom. */
size_t support_relay_hear(struct support_relay *world, int fd, void *data, size_t size, adit_endpoint *from);

/** The socket sends to there. */
void support_relay_say(int fd, adit_endpoint to, const void *data, size_t length);

/** Address and port from text. */
adit_endpoint support_endpoint(const char *text, uint16_t port);

#endif
