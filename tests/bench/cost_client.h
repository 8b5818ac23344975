/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack without a device, and very many TCP clients that are a few numbers each.
 *
 * The network between them loses nothing and takes no time: what the stack sends is taken in its output callback, what a
 * client sends is given to it at once. Packets are generated; a client acknowledges only when it is told to send.
 */
#ifndef ADIT_BENCH_COST_CLIENT_H
#define ADIT_BENCH_COST_CLIENT_H

#include <adit/stack.h>

enum { COST_PAYLOAD = 64 }; /* bytes of a data packet */

/** One client; its address and port follow from its index. */
struct cost_client {
  uint32_t next;     /**< sequence number of its next byte */
  uint32_t expected; /**< sequence number of the stack's next byte */
  uint8_t flags;     /**< all TCP flags that came */
};

/** Everything; the application consumes what it gets and closes when the client has. */
struct cost_world {
  struct adit_stack *stack;
  struct adit_pool *pool;
  uint64_t now_ns;
  struct cost_client *client;
  uint32_t clients;
  bool stamps;          /**< clients send timestamps */
  uint64_t consumed;    /**< bytes that the application got */
  uint64_t established; /**< connections that it saw begin */
  uint64_t closed;      /**< and end */
  uint64_t packets_out;
};

/** Make a world for so many clients, none connected, with timestamps if `stamps`; end the program when that fails. */
void cost_world_open(struct cost_world *world, uint32_t clients, bool stamps);
void cost_world_close(struct cost_world *world);

/** Connect: SYN, and the ACK of what comes. */
void cost_open(struct cost_world *world, uint32_t index);

/** A burst: a packet with COST_PAYLOAD bytes from each of `count` clients. */
void cost_data(struct cost_world *world, const uint32_t *indices, unsigned count);

/** FIN, and the ACK of the stack's own. */
void cost_close(struct cost_world *world, uint32_t index);

/** Let time pass, stopping at each of the stack's deadlines. Returns at how many. */
uint32_t cost_pass(struct cost_world *world, uint64_t ns);

/** Say what is wrong and end the program with status 1. */
_Noreturn void cost_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
