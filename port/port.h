/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground lwIP stands on: memory, time, randomness and one netif, all of them properties of a stack.
 */
#ifndef ADIT_PORT_H
#define ADIT_PORT_H

#include <adit/packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "port_values.h"

struct adit_port;

/** What the port has to know of a stack. */
struct adit_port_options {
  void *user; /**< for the callbacks */
  /** A frame or packet that lwIP sends, borrowed until the return. Its transport checksum is not computed. `mss` is the
   * payload of one segment when it is TCP; `link` is the length of the Ethernet header before the IP header, 0 or 14. */
  void (*output)(void *user, struct pbuf *packet, unsigned link, uint16_t mss);
  uint8_t secret[16]; /**< key of all hashes, seed of all randomness */
  uint64_t now_ns;
  uint32_t mtu;           /**< of the link */
  uint32_t segment_limit; /**< longest IP packet that `output` cuts by the MSS; 0 = it cuts none */
  uint32_t window_bytes;  /**< receive window of a flow */
  uint32_t send_bytes;    /**< send buffer of a flow */
  size_t budget_bytes;    /**< bound on memory */
  bool ethernet;
  uint8_t mac[6];
};

/** Make the ground for one stack and start lwIP on it. Returns 0 and `*port`, owned by the caller, or -ENOMEM. */
int adit_port_new(const struct adit_port_options *options, struct adit_port **port);

/** End lwIP without sending anything: every connection is dropped, then all memory is given back. NULL is allowed. */
void adit_port_delete(struct adit_port *port);

/** Make `port` the current one: the one whose lwIP is called in this thread. Returns what was current; calls nest. */
struct adit_port *adit_port_enter(struct adit_port *port);

/** Make `outer` current again, as adit_port_enter returned it; may be NULL. */
void adit_port_leave(struct adit_port *outer);

/** Longest IP packet over Ethernet: with the header in front of it, aligned, it has to fit lwIP's 16 bits. */
enum { ADIT_PORT_ETHERNET_MTU = 65535 - 16 - 7 };

/** The netif of the current stack. */
struct netif *adit_port_netif(void);

/** The `user` of the current stack's options. */
void *adit_port_user(void);

/** Time of the current stack, nanoseconds. */
uint64_t adit_port_now(void);

/** Time of `port`, nanoseconds. */
uint64_t adit_port_time(const struct adit_port *port);

void adit_port_set_now(struct adit_port *port, uint64_t now_ns);

/** Keyed hash (SipHash-2-4) of some bytes, with the secret of `port` and a `domain` that keeps uses of it apart. */
uint64_t adit_port_hash(const struct adit_port *port, uint8_t domain, const void *data, size_t length);

/** Uses of adit_port_hash. */
enum { ADIT_HASH_ISN = 1, ADIT_HASH_FLOW, ADIT_HASH_IP_ID, ADIT_HASH_RANDOM, ADIT_HASH_FRAGMENT };

/** Segments that were sent again. */
uint64_t adit_port_retransmissions(const struct adit_port *port);

/** Count memory of somebody else's that is held here against the current budget, and no longer. May exceed it. */
void adit_port_charge(size_t bytes);
void adit_port_discharge(size_t bytes);

/** Bytes in use. */
size_t adit_port_memory(const struct adit_port *port);

/** Whether a new flow may still begin: the last eighth of the budget is kept for those that exist. */
bool adit_port_has_room(const struct adit_port *port);

/** Whether `bytes` of data may be held: the last sixteenth of the budget is kept for headers, acknowledgments and splits. */
bool adit_port_may_hold(const struct adit_port *port, size_t bytes);

/** For tests: of the allocations that follow, the `first`th (1 = the next) and `count` - 1 more fail. */
void adit_port_fail_allocations(struct adit_port *port, uint64_t first, uint64_t count);

/**
 * A pbuf that refers to `length` bytes at `offset` of a buffer, without copying. It takes over the caller's reference and
 * uses the buffer's scratch room, so there can be one for each buffer only. Never fails.
 */
struct pbuf *adit_port_wrap(struct adit_buffer *buffer, uint32_t offset, uint16_t length);

/** Whether the pbuf refers to a buffer (adit_port_wrap), as opposed to memory of its own. */
bool adit_port_is_wrapped(const struct pbuf *pbuf);

/** Hand an IP packet to lwIP, which takes over the pbuf. */
void adit_port_input_ip(struct pbuf *packet);

/** Hand an Ethernet frame (ARP) to lwIP, which takes over the pbuf. */
void adit_port_input_frame(struct pbuf *frame);

/**
 * Let the netif have this address, so that lwIP takes the packet at hand as its own and answers from there: any address is
 * ours, one at a time. `bytes` in network order, `version` 4 or 6.
 */
void adit_port_wear(unsigned version, const uint8_t *bytes);

/** Send an IP packet over the link: straight to `output`, or by way of ARP or neighbour discovery. Borrows the pbuf. */
int adit_port_send(struct pbuf *packet, unsigned version, const uint8_t *destination);

/** lwIP's error code as a negative errno. */
int adit_port_error(err_t err);

#endif
