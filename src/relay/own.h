/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The relay's own sockets, as they look from outside: what comes back into the device is told from what clients send.
 */
#ifndef ADIT_RELAY_OWN_H
#define ADIT_RELAY_OWN_H

#include <adit/address.h>
#include <stdbool.h>
#include <stdint.h>

struct adit_relay;

/** The sockets of all workers of a relay. */
struct adit_own;

/** One of them. Part of whatever has the socket; zero it before. */
struct adit_own_socket {
  struct adit_own *own; /**< NULL = not noted */
  struct adit_own_socket *next;
  struct adit_own_socket **link;
  adit_endpoint local; /**< version 0 = any address of this machine */
  adit_endpoint peer;  /**< version 0 = anybody */
  uint8_t version;     /**< 4 or 6 */
  int protocol;
};

/** Returns 0 and `*own`, owned by the caller; or -ENOMEM. */
int adit_own_new(struct adit_own **own);
/** Free it when nobody uses it any more. NULL is allowed. */
void adit_own_free(struct adit_own *own);

/**
 * Note a socket that is bound or connected. `protocol` is IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP for echo of both
 * versions, where ports are identifiers and `peer` has port 0. `peer`: whom it talks to first, version 0 = whoever.
 * `own` may be NULL, then nothing is noted; likewise when the socket has no address. From any thread.
 */
void adit_own_note(struct adit_own *own, struct adit_own_socket *socket, int protocol, int fd, adit_endpoint peer);

/** The same for a raw socket whose identifier only we know. */
void adit_own_note_id(struct adit_own *own, struct adit_own_socket *socket, uint16_t id, adit_ip peer);

/** Take it out, if it is in. */
void adit_own_forget(struct adit_own_socket *socket);

/** Whether a packet with this source and destination is one that a noted socket has sent. `own` may be NULL. */
bool adit_own_has(struct adit_own *own, int protocol, adit_endpoint source, adit_endpoint destination);

/** The same for the table of a relay; what came back is told to the log, now and then, with what to do about it. */
bool adit_own_came_back(struct adit_relay *relay, int protocol, adit_endpoint source, adit_endpoint destination);

#endif
