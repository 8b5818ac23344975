/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground lwIP stands on: memory, time, randomness and one netif, all of them properties of a stack.
 */
#ifndef ADIT_PORT_H
#define ADIT_PORT_H

#include <adit/address.h>
#include <adit/packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
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
enum {
  ADIT_HASH_ISN = 1,
  ADIT_HASH_FLOW,
  ADIT_HASH_IP_ID,
  ADIT_HASH_RANDOM,
  ADIT_HASH_FRAGMENT,
  ADIT_HASH_STRANGER,
  ADIT_HASH_TIMESTAMP
};

/** Segments that were sent again. */
uint64_t adit_port_retransmissions(const struct adit_port *port);

/** Segments that were dropped because their timestamp was old, and because they had none (timestamp.c). */
uint64_t adit_port_old_segments(const struct adit_port *port);
uint64_t adit_port_unstamped_segments(const struct adit_port *port);

/** Count memory of somebody else's that is held here against the current budget, and no longer. May exceed it. */
void adit_port_charge(size_t bytes);
void adit_port_discharge(size_t bytes);

/** Bytes that may be in use. */
size_t adit_port_budget(const struct adit_port *port);

/** Bytes in use. */
size_t adit_port_memory(const struct adit_port *port);

/** Bytes of free blocks that are kept for the next ones who ask: bounded, and in no budget. */
size_t adit_port_kept(const struct adit_port *port);

/** Whether a new flow may still begin: the last eighth of the budget is kept for those that exist. */
bool adit_port_has_room(const struct adit_port *port);

/** How large a receive window may be, bytes: a sixteenth of what is left of the budget for data. */
uint32_t adit_port_affordable_window(const struct adit_port *port);

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

/** Hand an IP packet that is not TCP to lwIP, which takes over the pbuf. */
void adit_port_input_ip(struct pbuf *packet);

/**
 * Hand a TCP segment in its IP packet to lwIP, which takes over the pbuf. `pcb` is the connection that it is for; NULL for a
 * SYN that is for a listening pcb. Data that may be sent because of it is not: call tcp_output when all segments have come.
 */
void adit_port_input_segment(struct pbuf *packet, struct tcp_pcb *pcb);

/** Hand an Ethernet frame (ARP) to lwIP, which takes over the pbuf. */
void adit_port_input_frame(struct pbuf *frame);

/** Have connections that open use this initial sequence number, until called with NULL. Borrowed. */
void adit_port_next_isn(const uint32_t *isn);

/**
 * Let the netif have this address, so that lwIP takes the packet at hand as its own and answers from there: any address is
 * ours, one at a time. `bytes` in network order, `version` 4 or 6.
 */
void adit_port_wear(unsigned version, const uint8_t *bytes);

/**
 * A packet came from this address in a frame from `mac`, and may be answered. Normally lwIP asks for a neighbour that it does
 * not know; when there are too many such strangers at once, answers to this one go to `mac`.
 */
void adit_port_meet(unsigned version, const uint8_t *bytes, const uint8_t *mac);

/** What port/ keeps of a connection beside lwIP's pcb. Fields are its own. */
struct adit_port_extra {
  uint32_t offset;       /**< of the clock that the peer sees */
  uint32_t recent;       /**< TS.Recent */
  uint32_t acknowledged; /**< Last.ACK.sent */
  uint16_t recent_hours; /**< when `recent` came */
  uint16_t path_mss;     /**< of a path that is narrower than the MSS; 0 = is not known to be */
  bool resent;           /**< something had to be sent again */
};

/** Room for a pcb, in the memory of what it belongs to and what stays at least as long. */
struct adit_port_room {
  _Alignas(16) unsigned char header[16]; /**< memory.c's */
  struct tcp_pcb pcb;
};

/**
 * Have the next pcb that lwIP makes lie in `room`, unless called with NULL before. Others get memory of their own, and under
 * the address sanitizer this one, too. Borrowed as long as the pcb exists.
 */
void adit_port_offer_room(struct adit_port_room *room);

/** The pcb is new: `extra` is for it, in memory that stays as long as the pcb. */
void adit_port_attach(struct tcp_pcb *pcb, struct adit_port_extra *extra);

/** The clock that the peer of a connection with timestamps sees (timestamp.c). */
uint32_t adit_port_timestamp(const adit_endpoint *local, const adit_endpoint *remote);

/** The SYN of this new connection had timestamps, `recent` being TSval: it gets them, and its MSS gets smaller. */
void adit_port_stamp(struct tcp_pcb *pcb, const adit_endpoint *local, const adit_endpoint *remote, uint32_t recent);

/** Whether the connection has timestamps. */
bool adit_port_stamped(const struct tcp_pcb *pcb);

/** How much payload lwIP queues as one segment of the connection, at most: its MSS, or as many of it as fit a large segment. */
uint32_t adit_port_segment_payload(const struct tcp_pcb *pcb);

/** How much payload a segment of the connection may carry over its path: its MSS, or less. */
uint16_t adit_port_mss(const struct tcp_pcb *pcb);

/** The connection's path takes segments of `mss` only, less than before: what is under way goes out again with tcp_output. */
void adit_port_narrow(struct tcp_pcb *pcb, uint16_t mss);

/** Forget that the path was narrow: what is sent from now on may be as long as the peer takes. */
void adit_port_widen(struct tcp_pcb *pcb);

/** One tick of lwIP's TCP timers for one connection, which may be gone afterwards; see lone.c. */
void adit_port_tick(struct tcp_pcb *pcb);

/** So many ticks have passed. */
void adit_port_count_ticks(uint32_t ticks);

/** Send an IP packet over the link: straight to `output`, or by way of ARP or neighbour discovery. Borrows the pbuf. */
int adit_port_send(struct pbuf *packet, unsigned version, const uint8_t *destination);

/** How often something may happen; zeroed at the beginning. */
struct adit_port_rate {
  uint64_t refill_ns;
  uint32_t tokens;
};

/** Whether it may happen now: `burst` times at once, `rate` times a second in the long run. */
bool adit_port_allows(struct adit_port_rate *limit, uint32_t burst, uint32_t rate);

/** lwIP's error code as a negative errno. */
int adit_port_error(err_t err);

#endif
