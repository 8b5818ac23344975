/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * lwIP's hooks (LWIP_HOOK_FILENAME): the places at which it asks adit.
 */
#ifndef ADIT_PORT_HOOKS_H
#define ADIT_PORT_HOOKS_H

#include "lwip/err.h"
#include "lwip/ip_addr.h"

struct netif;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;
struct tcp_seg;

/** Initial sequence number of a connection (RFC 6528): keyed hash of the 4-tuple plus a clock of 4 microseconds. */
u32_t adit_port_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port);
#define LWIP_HOOK_TCP_ISN adit_port_isn

/**
 * In pcb->flags: both sides have agreed to send timestamps (timestamp.c). It is the bit of lwIP's own timestamps, which are not
 * built.
 */
#define ADIT_PORT_STAMPED 0x0400U

/** Bytes of options in each segment of such a connection: timestamps, aligned. */
#define ADIT_PORT_STAMP 12 /* ADIT_TIMESTAMPS, in words of the preprocessor: lwIP includes this */

/** Asked for each segment: the bytes of its options, `length` being those of lwIP's own. */
#define LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, length)                                                                   \
  (u8_t)((length) + ((pcb) != NULL && ((pcb)->flags & ADIT_PORT_STAMPED) ? ADIT_PORT_STAMP : 0))

/**
 * Called when a segment's header is complete but for options and checksum. Adds timestamps; remembers which MSS the segment
 * is to be cut by. `pcb` is NULL for a RST that belongs to no connection. Returns where options end.
 */
u32_t *adit_port_note_segment(const struct tcp_hdr *header, const struct tcp_pcb *pcb, u32_t *options);
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, header, pcb, options) adit_port_note_segment(header, pcb, options)

/**
 * Called with every segment for a pcb, before lwIP looks at it; sequence numbers are in host order, options lie behind the
 * header. May change the options. Returns ERR_OK, or ERR_VAL to have it dropped.
 */
err_t adit_port_admit_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_bytes, const struct pbuf *data);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, optlen, opt1len, opt2, p)                                              \
  adit_port_admit_segment(pcb, header, optlen, p)

/** Every address is on the link: whoever sends to us over Ethernet is asked for by neighbour discovery. */
const ip6_addr_t *adit_port_next_hop6(const ip6_addr_t *destination);
#define LWIP_HOOK_ND6_GET_GW(netif, destination) adit_port_next_hop6(destination)

/** Longest segment that tcp_write makes (patch 0002): many times the MSS where somebody cuts it later. */
u16_t adit_port_segment_limit(const struct tcp_pcb *pcb);
#define LWIP_HOOK_TCP_SEGMENT_LIMIT(pcb) adit_port_segment_limit(pcb)

/**
 * Called before the head of the unsent queue is sent (patch 0002), with `window` = min(cwnd, send window): drops the part
 * of it that has been acknowledged, and splits what the window does not take. Returns the head as it is afterwards; NULL:
 * nothing is to be sent now.
 */
struct tcp_seg *adit_port_fit_segment(struct tcp_pcb *pcb, u32_t window);
#define LWIP_HOOK_TCP_OUT_FIT(pcb, window) adit_port_fit_segment(pcb, window)

#endif
