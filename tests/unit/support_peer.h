/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A world of one stack, the owners of its flows, and TCP peers that a test plays move by move.
 *
 * Every packet that a peer takes is checked whole: addresses, checksums (partial ones too), offload notes, length against
 * MTU and MSS, and that no byte lies beyond the window that the peer offered. Everything that fails ends the test.
 */
#ifndef ADIT_TESTS_SUPPORT_PEER_H
#define ADIT_TESTS_SUPPORT_PEER_H

#include "support_client.h"
#include "support_packet.h"

#include <adit/stack.h>

#define SUPPORT_MS UINT64_C(1000000)
#define SUPPORT_S UINT64_C(1000000000)

/* ---- owners ------------------------------------------------------------------------------------------------------ */

enum { SUPPORT_HEARD = 48 };

struct support_world;

/** Whoever a flow was attached to, and what it heard. */
struct support_owner {
  struct support_world *world;
  struct adit_flow *flow; /**< NULL once it is invalid */
  /** One letter an event: S syn, E established, R readable, P peer closed, W writable, C closed. Repeated R and W count
   * once, so that the order shows. */
  char heard[SUPPORT_HEARD];
  int error;       /**< of `closed` */
  unsigned closed; /**< how often it was called */
  bool reads;      /**< reads everything at `readable` */
  uint8_t *data;   /**< what it read */
  size_t length;
  size_t room;
  void (*act)(struct support_owner *owner, char event); /**< called in each event, after it was written down */
  void *extra;                                          /**< for `act` */
};

struct support_world {
  struct support_lab lab;                               /**< first: the stack's `user` */
  uint32_t offload;                                     /**< what the stack was told that its packets may ask for */
  uint32_t mtu;                                         /**< of the stack */
  bool holds;                                           /**< leaves SYNs parked; otherwise each is accepted at once */
  bool reads;                                           /**< copied to new owners */
  void (*act)(struct support_owner *owner, char event); /**< copied to new owners */
  unsigned count;
  unsigned limit;
  struct support_owner *owners; /**< in the order of their SYNs */
};

/** Make a stack whose SYNs get owners, at most `limit` of them. `change` may change the options. */
void support_world_open(struct support_world *world, unsigned limit,
                        void (*change)(struct adit_stack_options *options));

/** Free all; every buffer must be back, and no memory in use. */
void support_world_close(struct support_world *world);

/** The counters of the stack. */
struct adit_stack_stats support_world_stats(const struct support_world *world);

/** Read all that waits for the owner. */
void support_owner_read(struct support_owner *owner);

/* ---- peers ------------------------------------------------------------------------------------------------------- */

/** One TCP segment that came out of the stack, taken apart. */
struct support_segment {
  struct support_out *out; /**< owned; support_segment_free() */
  uint32_t sequence;
  uint32_t acknowledgment;
  uint8_t flags;
  uint32_t window;     /**< in bytes, scaled */
  uint16_t mss;        /**< option; 0 = none */
  int scale;           /**< option; -1 = none */
  bool sack_permitted; /**< option */
  unsigned sacks;      /**< blocks of the SACK option */
  uint32_t sack[4][2]; /**< their edges */
  bool stamped;        /**< option: timestamps */
  uint32_t value;      /**< TSval */
  uint32_t echo;       /**< TSecr */
  bool is_long;        /**< longer than its IP header can say; an IPv6 jumbo payload option has been taken out */
  size_t headers;      /**< bytes before the payload */
  const uint8_t *data;
  size_t length;
};

/** A TCP peer. support_peer_at() fills it; what is marked "may be set" can be changed before the SYN. */
struct support_peer {
  struct support_world *world;
  const char *address;
  const char *server;
  uint16_t port;
  uint16_t server_port;
  bool ipv6;
  uint16_t mss;    /**< option in the SYN, 0 = none; may be set */
  int scale;       /**< option in the SYN, -1 = none; may be set */
  bool sack;       /**< option in the SYN; may be set */
  bool stamps;     /**< timestamps in all that it sends but raw segments; wants them in all that comes; may be set */
  uint32_t clock;  /**< TSval when the world began; may be set at any time */
  uint32_t window; /**< what it offers, bytes; may be set at any time */
  uint32_t first;  /**< its initial sequence number; may be set */
  uint8_t ttl;     /**< of all that it sends, 0 = 64; may be set at any time */
  bool mute;       /**< support_peer_run takes what comes but answers nothing; may be set at any time */
  bool lies;       /**< does not mind bytes beyond its window; may be set at any time */

  uint32_t next;     /**< sequence number of the next byte to send */
  uint32_t acked;    /**< highest acknowledgment that came */
  uint32_t recent;   /**< TSval of the last segment that came */
  uint32_t room;     /**< window that the stack offers, bytes */
  int stack_scale;   /**< window scale of the stack's, 0 without */
  uint32_t begin;    /**< the stack's initial sequence number */
  uint32_t expected; /**< sequence number of the next byte from the stack */
  uint32_t edge;     /**< right edge of the window that was offered: no byte may lie behind it */
  bool established;
  bool reset;        /**< RST came */
  bool fin;          /**< FIN came, in order */
  unsigned segments; /**< with data, taken so far */
  unsigned acks;     /**< without data, taken so far */
  uint8_t *data;     /**< received in order */
  size_t length;
  size_t size;
};

/** A peer at port `port` of the usual client address that will talk to port 80 of the usual server address. */
struct support_peer support_peer_at(struct support_world *world, bool ipv6, uint16_t port);

/** Free what it received. */
void support_peer_free(struct support_peer *peer);

/** Send any segment: nothing is remembered. `window` is the field of the header. */
void support_peer_raw(struct support_peer *peer, uint32_t sequence, uint32_t acknowledgment, uint8_t flags,
                      uint16_t window, const void *options, size_t optlen, const void *data, size_t length);

/** TSval of a segment that the peer sends now. */
uint32_t support_peer_stamp(const struct support_peer *peer);

/** Write a timestamps option, aligned: 12 bytes. */
void support_put_stamps(uint8_t *options, uint32_t value, uint32_t echo);

/** Send a segment at `next`, acknowledging what came, offering `window`, and step forward. */
void support_peer_send(struct support_peer *peer, uint8_t flags, const void *data, size_t length);

/** The same as one super-packet that is to be cut by `mss`, checksum partial. */
void support_peer_send_large(struct support_peer *peer, uint8_t flags, const void *data, size_t length, uint16_t mss);

/** Acknowledge up to `acknowledgment`. */
void support_peer_ack(struct support_peer *peer, uint32_t acknowledgment);

/** Send the SYN with the options that are set. */
void support_peer_syn(struct support_peer *peer);

/**
 * Take the oldest packet that the stack sent to this peer. Returns false when there is none. Learns from it what an
 * observer would (acknowledgment, window), but not the data. Free it with support_segment_free.
 */
bool support_peer_take(struct support_peer *peer, struct support_segment *segment);
void support_segment_free(struct support_segment *segment);

/** Take a segment and learn the data too: what is in order is kept. Returns whether it wants an answer. */
bool support_peer_learn(struct support_peer *peer, const struct support_segment *segment);

/** Take all packets without looking at the data. Returns how many there were. */
unsigned support_peer_skip(struct support_peer *peer);

/** Flush; take everything, acknowledge, and so on until nothing comes any more. */
void support_peer_run(struct support_peer *peer);

/** SYN, SYN-ACK, ACK; the connection must come about. */
void support_peer_connect(struct support_peer *peer);

/** The one packet that waits, for this peer, must have these flags, no data; then it is taken. Fills `segment`. */
void support_peer_expect(struct support_peer *peer, uint8_t flags, struct support_segment *segment);

/** No packet waits for anybody. */
void support_world_expect_silence(struct support_world *world);

#define support_assert_heard(owner, events) assert_string_equal((owner)->heard, events)

#endif
