/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * UDP sessions: one for each address and port of a client, whatever it talks to. What the files udp*.c share.
 */
#ifndef ADIT_RELAY_UDP_H
#define ADIT_RELAY_UDP_H

#include "relay/icmp_error.h"
#include "relay/state.h"

struct adit_udp_outbox;
struct adit_udp_inbox;

/** How long a session may be idle depends on what it looks like. It moves downwards only. */
enum adit_udp_pace {
  ADIT_UDP_EXCHANGE, /**< a question and perhaps its answer: only port 53, or never more than one datagram each way */
  ADIT_UDP_STREAM,   /**< anything else */
  ADIT_UDP_PACES
};

/** A session. What the way out needs of its own follows behind it (struct adit_udp_way, `size`). */
struct adit_udp_session {
  /** First. The socket for datagrams; `watch.fd` is owned and -1 while there is none. See udp_socket.c. */
  struct adit_relay_socket socket;
  struct adit_own_socket own; /**< the socket, for who asks whether a datagram is ours */
  struct adit_udp_sessions *all;
  struct adit_egress *egress;              /**< one reference: it goes out by this one as long as it lasts */
  const struct adit_udp_way *way;          /**< that of `egress` */
  struct adit_udp_session *next_in_bucket; /**< chain of the table */
  struct adit_udp_session *previous;       /**< list of its pace, the one idle longest first */
  struct adit_udp_session *next;
  adit_endpoint client;
  uint32_t hash;
  uint8_t pace;      /**< enum adit_udp_pace */
  uint8_t sent;      /**< datagrams of the client's, counted to 2 */
  uint8_t received;  /**< datagrams for the client, likewise */
  bool only_dns;     /**< everything so far went to port 53 */
  uint16_t gso_most; /**< longest datagrams that the kernel cuts for this socket; longer ones go out one by one */
  uint64_t used_ns;  /**< when the last datagram passed, either way */
};

/** A way out for datagrams, as a table. */
struct adit_udp_way {
  size_t size; /**< bytes of a session */
  /** A session begins, zeroed but for what is above. Returns 0 or a negative errno; then nothing is left of it. */
  int (*open)(struct adit_udp_session *session);
  /** A datagram of the client's, borrowed, inside the callback that brought it. */
  void (*send)(struct adit_udp_session *session, const struct adit_datagram *datagram);
  /** A datagram from the socket, borrowed. */
  void (*receive)(struct adit_udp_session *session, adit_endpoint from, const uint8_t *bytes, size_t length);
  /** An error that came back to the socket. */
  void (*complain)(struct adit_udp_session *session, const struct adit_icmp_error *error);
  /** Sending failed with a negative errno, for good. `local` and `payload` are those of the client's datagram. */
  void (*failed)(struct adit_udp_session *session, adit_endpoint local, const struct iovec *payload, int error);
  /** The session ends: give up what it holds beside the socket, which is closed afterwards. May be NULL. */
  void (*close)(struct adit_udp_session *session);
};

extern const struct adit_udp_way adit_udp_direct; /**< udp_direct.c */
extern const struct adit_udp_way adit_udp_socks5; /**< udp_socks5.c */

/** The sessions of one worker. See udp.c. */
struct adit_udp_sessions {
  struct adit_relay *relay;
  struct adit_udp_session **table; /**< chains by client */
  uint32_t mask;
  uint32_t count;
  uint32_t limit;
  uint8_t key[16]; /**< of the table's hash */
  struct {
    struct adit_udp_session *first; /**< idle longest */
    struct adit_udp_session *last;
    uint64_t idle_ns; /**< and no longer */
  } list[ADIT_UDP_PACES];
  struct adit_timer expiry; /**< when the first one of either list is due, or earlier */
  struct adit_udp_outbox *outbox;
  struct adit_udp_inbox *inbox;
  size_t waiting_bytes;            /**< in the queues of all sessions; udp_wait.c */
  struct adit_log_limit limit_log; /**< for messages about the bounds */
};

/** The session of a client, or NULL. */
struct adit_udp_session *adit_udp_find(struct adit_udp_sessions *all, adit_endpoint client);

/**
 * End the session idle longest, to make room, but not `keep` (may be NULL). Returns whether there was one. `why` says
 * what there is too little of.
 */
bool adit_udp_evict(struct adit_udp_sessions *all, const struct adit_udp_session *keep, const char *why);

/** Give the client a datagram from outside, inside `receive`, and count. The bytes stay until `receive` has returned. */
void adit_udp_deliver(struct adit_udp_session *session, adit_endpoint from, const void *bytes, size_t length);

/** Count a datagram that is lost here. */
void adit_udp_drop(struct adit_udp_sessions *all);

/** Whether both are the same address and port. */
static inline bool adit_udp_same(adit_endpoint a, adit_endpoint b) {
  return a.port == b.port && adit_ip_equal(a.ip, b.ip);
}

/* ---- udp_socket.c: the sockets of sessions ----------------------------------------------------------------------- */

/** Memory for what is on its way. Returns 0 or -ENOMEM. */
int adit_udp_boxes_new(struct adit_udp_sessions *all);
void adit_udp_boxes_free(struct adit_udp_sessions *all);

/**
 * Give a session a socket of `version` 4 or 6, connected to `peer` unless that is NULL, and watch it. When there are
 * too many sockets, the session idle longest ends. Returns 0 or a negative errno.
 */
int adit_udp_socket_open(struct adit_udp_session *session, unsigned version, const adit_endpoint *peer);

/**
 * Close it, if there is one; what was to be sent is sent before. `release` is for the memory, see adit_loop_unwatch.
 */
void adit_udp_socket_close(struct adit_udp_session *session, void (*release)(struct adit_watch *watch));

/** Whether it has one: a callback of the way out may have closed it. */
bool adit_udp_socket_is_open(const struct adit_udp_session *session);

/** Tell the way out of errors that have come back, as many as are taken at once. */
void adit_udp_socket_take_errors(struct adit_udp_session *session);

/* ---- udp_outbox.c: datagrams on their way out -------------------------------------------------------------------- */

/** A datagram to be sent by a session's socket. Borrowed until the return. */
struct adit_udp_message {
  adit_endpoint local;     /**< where the client wants it to go */
  bool addressed;          /**< send it there; otherwise the socket is connected */
  uint8_t ttl;             /**< 0 = the system's */
  const void *head;        /**< what goes in front of the payload, or NULL */
  size_t head_length;      /**< bytes of it */
  const struct iovec *iov; /**< payload */
  unsigned iovcnt;
  size_t length; /**< bytes of payload */
};

/** Memory for what is on its way out; NULL when there is none. */
struct adit_udp_outbox *adit_udp_outbox_new(struct adit_udp_sessions *all);
void adit_udp_outbox_free(struct adit_udp_outbox *box);

/**
 * Send a datagram; at the end of the burst at the latest. What fails is told by `failed`, or counted when it is room.
 */
void adit_udp_outbox_put(struct adit_udp_session *session, const struct adit_udp_message *message);

/** Send what waits. */
void adit_udp_outbox_flush(struct adit_udp_sessions *all);

/** Send what waits of this session, whose socket is about to close. */
void adit_udp_outbox_leave(struct adit_udp_session *session);

/* ---- udp_inbox.c: datagrams on their way in ---------------------------------------------------------------------- */

/** Memory for what is on its way in; NULL when there is none. */
struct adit_udp_inbox *adit_udp_inbox_new(void);
void adit_udp_inbox_free(struct adit_udp_inbox *box);

/** The session's socket has datagrams: give them to the way out (`receive`), for a while. */
void adit_udp_inbox_receive(struct adit_udp_session *session);

/** Have a datagram for the session's client leave, together with its neighbours where that is possible. */
void adit_udp_inbox_put(struct adit_udp_session *session, adit_endpoint from, const void *bytes, size_t length);

#endif
