/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The players of the target `session`: TCP peers, and owners of flows.
 */
#ifndef ADIT_TESTS_FUZZ_SESSION_H
#define ADIT_TESTS_FUZZ_SESSION_H

#include "lab.h"

enum { FUZZ_PEERS = 4, FUZZ_OWNERS = 48, FUZZ_PACKET = 70000 };

struct fuzz_session;

/** What an owner does by itself, as a set of bits. */
enum fuzz_habit {
  FUZZ_HABIT_ACCEPTS = 1,  /**< every SYN at once */
  FUZZ_HABIT_READS = 2,    /**< all, at `readable` */
  FUZZ_HABIT_WRITES = 4,   /**< as much as there is room for, at `established` and `writable` */
  FUZZ_HABIT_CLOSES = 8,   /**< at `peer_closed` */
  FUZZ_HABIT_SHUTS = 16,   /**< its sending side at `established` */
  FUZZ_HABIT_ABORTS = 32,  /**< at `readable` */
  FUZZ_HABIT_REFUSES = 64, /**< every SYN at once */
  FUZZ_HABIT_LEAVES = 128  /**< closes at `established` */
};

/** What an owner can be told to do. */
enum fuzz_act {
  FUZZ_ACT_ACCEPT,
  FUZZ_ACT_REFUSE,
  FUZZ_ACT_DROP,
  FUZZ_ACT_READ,
  FUZZ_ACT_CONSUME, /**< peek, look, consume a part */
  FUZZ_ACT_WRITE,
  FUZZ_ACT_LEND,
  FUZZ_ACT_RESERVE, /**< reserve, fill, commit a part */
  FUZZ_ACT_SHUTDOWN,
  FUZZ_ACT_CLOSE,
  FUZZ_ACT_ABORT,
  FUZZ_ACTS
};

/** The owner of one flow. It stays after the flow is gone, since what it wrote may still be on its way. */
struct fuzz_owner {
  struct fuzz_session *session;
  struct fuzz_peer *peer;
  struct adit_flow *flow; /**< NULL once it is invalid */
  uint32_t generation;    /**< of the peer's connection that this is; 0 = of none, a changed packet made it up */
  uint64_t read;          /**< bytes consumed */
  uint64_t written;
  bool shut; /**< nothing more is written */
  bool established;
  bool peer_closed;
};

/** A TCP peer: a client at a port of its own. */
struct fuzz_peer {
  struct fuzz_session *session;
  struct fuzz_owner *owner; /**< of its last connection, or NULL */
  uint8_t number;
  uint8_t habits;      /**< of its owners: enum fuzz_habit */
  bool ipv6;           /**< both */
  bool answers;        /**< acknowledges by itself */
  bool honest;         /**< has sent nothing in this connection but what belongs there */
  bool heard;          /**< something came that wants to be acknowledged */
  bool joined;         /**< a SYN-ACK came */
  bool large;          /**< the last packet had notes */
  bool stamped;        /**< the stack has agreed to timestamps */
  uint32_t recent;     /**< the last one that came */
  uint16_t window;     /**< field of its segments */
  uint32_t generation; /**< counts initial sequence numbers */
  uint32_t first;      /**< its initial sequence number */
  uint32_t next;       /**< to be sent */
  uint32_t most;       /**< end of what was sent */
  uint32_t end;        /**< sequence number of its FIN */
  bool ended;          /**< it has sent one */
  uint32_t begin;      /**< the stack's initial sequence number */
  uint32_t expected;   /**< next one of the stack's */
  uint32_t acked;      /**< by the stack */
  size_t last_length;  /**< of the packet sent last */
  struct adit_offload last_notes;
  uint8_t last[FUZZ_PACKET];
};

struct fuzz_session {
  struct fuzz_lab lab;
  struct fuzz_peer peers[FUZZ_PEERS];
  struct fuzz_owner owners[FUZZ_OWNERS];
  unsigned owner_count;
};

/** Bytes that either side sends from position `at` on: at least 64 KiB of them, static. */
const uint8_t *fuzz_stream(uint64_t at);

/** One of sixteen sizes from 0 to 60000, and a little more. */
size_t fuzz_size(uint8_t how);

/* session_owner.c */
void fuzz_session_events(struct fuzz_session *session);
void fuzz_owner_act(struct fuzz_owner *owner, enum fuzz_act what, size_t size);

/* session_peer.c */
void fuzz_peer_begin(struct fuzz_session *session, unsigned number, uint8_t habits);
/** `how`: options, and whether the sequence number is a new one. */
void fuzz_peer_syn(struct fuzz_peer *peer, uint8_t how);
/** Data at `off` bytes from where they belong. */
void fuzz_peer_data(struct fuzz_peer *peer, int32_t off, size_t length, bool large);
void fuzz_peer_fin(struct fuzz_peer *peer);
void fuzz_peer_reset(struct fuzz_peer *peer, int32_t off);
void fuzz_peer_ack(struct fuzz_peer *peer, int32_t off);
/** Anything; the peer is not honest any more. */
void fuzz_peer_raw(struct fuzz_peer *peer, uint8_t flags, uint32_t sequence, uint32_t acknowledgment, size_t length);
/** The last packet again, perhaps with changed bits, perhaps with right checksums. */
void fuzz_peer_again(struct fuzz_peer *peer, size_t place, uint8_t bits, bool sealed);
void fuzz_peer_datagram(struct fuzz_peer *peer, size_t length);
/** Acknowledge what came, if it is one that does. Returns whether it did. */
bool fuzz_peer_answer(struct fuzz_peer *peer);
/** Reset whatever the stack may still have for this peer. */
void fuzz_peer_give_up(struct fuzz_peer *peer);
/** Whether these are the ends of its connections. */
bool fuzz_peer_is(const struct fuzz_peer *peer, adit_endpoint local, adit_endpoint remote);
/** A packet came out of the stack. */
void fuzz_peer_take(struct fuzz_session *session, const uint8_t *packet, const struct adit_header *header);

#endif
