/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the parts of adit_socks share: sessions, and the workers that have them.
 */
#ifndef ADIT_BENCH_SOCKS_H
#define ADIT_BENCH_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { SOCKS_PIPES = 256 }; /* pipes that a worker keeps when nobody needs them */

struct socks_session;

/** One fd in the epoll set; what epoll hands back. */
struct socks_end {
  struct socks_session *session;
  int fd; /* -1 = none */
};

/** CLIENT is the TCP connection of the client; FAR where it wanted to go. INNER and OUTER are those of UDP ASSOCIATE. */
enum socks_which { SOCKS_CLIENT, SOCKS_FAR, SOCKS_INNER, SOCKS_OUTER, SOCKS_ENDS };

enum socks_state {
  SOCKS_GREETING,   /* waits for the methods */
  SOCKS_REQUEST,    /* waits for the request */
  SOCKS_CONNECTING, /* FAR is being connected */
  SOCKS_RELAYING,   /* bytes go both ways */
  SOCKS_DATAGRAMS,  /* datagrams go both ways as long as CLIENT stays */
  SOCKS_DEAD        /* all is closed; freed at the end of the turn */
};

/** Bytes from one end to the other; `pipe` is only held while bytes are in it. */
struct socks_direction {
  int pipe[2]; /* -1 = none */
  size_t held; /* bytes in it */
  bool ended;  /* the source has no more */
  bool done;   /* and the sink was told */
};

struct socks_session {
  struct socks_end end[SOCKS_ENDS];
  enum socks_state state;
  struct socks_direction direction[2]; /* by source: SOCKS_CLIENT, SOCKS_FAR */
  struct socks_session *again;         /* list of those with more to do */
  bool listed;
  uint8_t talk[512]; /* what came of greeting or request */
  size_t talked;
};

/** One thread. */
struct socks_worker {
  int epoll;
  int listener;
  int (*pipes)[2]; /* SOCKS_PIPES, the first `spare` of them empty ones */
  unsigned spare;
  struct socks_session *again; /* whose turn was cut short */
  struct socks_session *dead;
};

/** UDP ASSOCIATE: make INNER and OUTER. Returns the port of INNER, 0 when that failed. */
uint16_t socks_udp_open(struct socks_worker *worker, struct socks_session *session);

/** Datagrams wait at `end`, which is INNER or OUTER. */
void socks_udp_turn(struct socks_end *end);

#endif
