/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the files of port/ share: the state behind struct adit_port.
 */
#ifndef ADIT_PORT_STATE_H
#define ADIT_PORT_STATE_H

#include "lwip/tcp.h"
#include "packet/timestamps.h"
#include "port.h"

/** Memory blocks have 2^6 to 2^17 bytes, in eight steps to each power of two; larger ones come from the system each time. */
enum {
  ADIT_PORT_SMALLEST = 6,
  ADIT_PORT_LARGEST = 17,
  ADIT_PORT_STEPS = 8,
  ADIT_PORT_SIZES = ADIT_PORT_STEPS * (ADIT_PORT_LARGEST - ADIT_PORT_SMALLEST) + 1
};

struct adit_port_block;

struct adit_port {
  struct adit_port_options options;
  char *image; /**< copy of the section lwip_stack */
  uint64_t now_ns;
  uint64_t random_count;    /**< random numbers drawn */
  const uint32_t *next_isn; /**< to be used as it is; NULL: a new one is made (RFC 6528) */
  uint64_t retransmissions;
  uint64_t old_segments;
  uint64_t unstamped_segments;
  uint8_t timer_calls; /**< calls of lwIP's TCP timer functions, as it counts them */
  size_t memory_bytes; /**< in use, block headers included */
  uint64_t sound;      /**< allocations that are still to go well before `failing` ones fail (tests) */
  uint64_t failing;
  struct adit_port_room *room; /**< for the next pcb, see adit_port_offer_room */
  struct adit_port_block *free_blocks[ADIT_PORT_SIZES];
  size_t kept_bytes; /**< in `free_blocks`, headers included */
  unsigned trimmed;  /**< the list from which a block was last given back */
  struct netif netif;
  struct adit_port_rate challenges; /**< acknowledgments of segments that cannot be an honest peer's, or are repeated */
  struct adit_port_rate questions;  /**< for neighbours that are strangers */
  struct adit_port_stranger *strangers; /**< by hash of the address; NULL before the first one; see neighbour.c */
  const struct tcp_hdr *noted;          /**< header of the segment that is on its way out */
  uint16_t noted_mss;                   /**< MSS of its connection */
  bool holds_back;                      /**< a segment is being looked at: no data is sent */
};

/** The section with lwIP's variables (arch/cc.h), as the linker names its ends: the image of which each port has a copy. */
extern char adit_port_image[] __asm__("__start_lwip_stack") __attribute__((visibility("hidden")));
extern char adit_port_image_end[] __asm__("__stop_lwip_stack") __attribute__((visibility("hidden")));

/** The current port, or NULL. */
struct adit_port *adit_port_current(void);

void adit_port_netif_start(struct adit_port *port);
void adit_port_netif_stop(struct adit_port *port);

/** Number of the extension of lwIP's pcbs that points to the struct adit_port_extra: the first one taken. */
enum { ADIT_PORT_EXTRA_SLOT = 0 };

/** What is kept beside `pcb`. Looked for with every segment, so without a call. */
static inline struct adit_port_extra *adit_port_extra_of(const struct tcp_pcb *pcb) {
  return pcb->ext_args[ADIT_PORT_EXTRA_SLOT].data;
}

/** Timestamps: what hooks do with those of a connection that has them; see timestamp.c. */
void adit_port_add_timestamps(const struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t *options);
/** The segment is older than what has come before. */
bool adit_port_is_old(const struct tcp_pcb *pcb, const struct adit_timestamps *seen);
/** The segment is acceptable, and not old. */
void adit_port_remember(const struct tcp_pcb *pcb, const struct tcp_hdr *header, const struct adit_timestamps *seen);
/** The segment acknowledges something sane. */
void adit_port_time_trip(struct tcp_pcb *pcb, const struct tcp_hdr *header, const struct adit_timestamps *seen);

/** Let lwIP see this connection and no other, and none at all again; see lone.c. */
void adit_port_show(struct tcp_pcb *pcb);
void adit_port_hide(void);

/** The hardware address of a stranger who came too late to be asked for (adit_port_meet), or NULL. */
const struct eth_addr *adit_port_way_back(unsigned version, const uint8_t *bytes);

void adit_port_forget_strangers(struct adit_port *port);

/** Give the free blocks back to the system. Every block must be free. */
void adit_port_memory_release(struct adit_port *port);

#endif
