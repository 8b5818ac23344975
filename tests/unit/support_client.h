/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack under a clock that the test moves, and a small TCP client that talks to it packet by packet.
 *
 * The client is on a network that loses nothing and has no options but MSS. Everything that fails ends the test.
 */
#ifndef ADIT_TESTS_SUPPORT_CLIENT_H
#define ADIT_TESTS_SUPPORT_CLIENT_H

#include <adit/stack.h>

/** A packet that came out of the stack. */
struct support_out {
  struct support_out *next;
  struct adit_offload offload;
  size_t length;
  uint8_t bytes[];
};

/** A stack and what came out of it. */
struct support_lab {
  struct adit_stack *stack;
  struct adit_pool *pool;
  uint64_t now_ns;
  struct adit_stack_events events; /**< those of the test, with `output` replaced */
  size_t most;                     /**< longer packets are refused; 0 = none is; may be set at any time */
  unsigned refused;                /**< how many were */
  struct support_out *first;       /**< packets that came out, oldest first */
  struct support_out **end;
};

/**
 * Make a stack that answers for every address. `change`, which may be NULL, changes the options before that. The events
 * are made from `events`; `user` is not for them but for `output`: the test's callbacks get the struct support_lab.
 */
void support_lab_open(struct support_lab *lab, const struct adit_stack_events *events,
                      void (*change)(struct adit_stack_options *options));

/** Free it; every buffer must be back in the pool. Packets that nobody took are forgotten. */
void support_lab_close(struct support_lab *lab);

/** Give the stack a packet; flush follows with support_lab_flush. */
void support_lab_input(struct support_lab *lab, const uint8_t *bytes, size_t length);
void support_lab_flush(struct support_lab *lab);

/** Let time pass, stopping at each of the stack's deadlines. */
void support_lab_pass(struct support_lab *lab, uint64_t ns);

/** The oldest packet that came out, for the caller to free(); NULL when there is none. */
struct support_out *support_lab_take(struct support_lab *lab);

/** Bytes before the payload of the TCP segment or UDP datagram in the packet, which must be without fragments. */
size_t support_headers(const uint8_t *packet, uint8_t *protocol);

/** A TCP client. Set lab, addresses as text and ports, zero the rest. */
struct support_client {
  struct support_lab *lab;
  const char *address; /**< its own */
  const char *server;
  uint16_t port; /**< its own */
  uint16_t server_port;
  uint32_t next;     /**< sequence number of the next byte to send */
  uint32_t acked;    /**< sequence number that the server acknowledged */
  uint32_t expected; /**< sequence number of the next byte from the server */
  uint16_t window;   /**< of the server, as last advertised */
  bool established;
  bool reset;    /**< RST came */
  bool peer_fin; /**< FIN came */
  bool deaf;     /**< acknowledges nothing that comes and forgets it */
  size_t enough; /**< becomes deaf when it has received so much; 0 = never */
  uint8_t *data; /**< what the server sent; free() it with support_client_free */
  size_t length;
  size_t room;
};

/** Send a SYN and do the handshake, if it is answered. Look at `established` and `reset`. */
void support_client_open(struct support_client *client);

/** Take everything that came out for this client, answer it, and so on until nothing comes any more. */
void support_client_run(struct support_client *client);

/** Send as much as the server's window takes, in segments of at most 1400 bytes, and run. Returns how much that was. */
size_t support_client_send(struct support_client *client, const void *data, size_t length);

/** Send FIN and run. */
void support_client_fin(struct support_client *client);

/** Send RST. */
void support_client_reset(struct support_client *client);

/** Forget what was received. */
void support_client_free(struct support_client *client);

#endif
