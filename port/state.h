/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the files of port/ share: the state behind struct adit_port.
 */
#ifndef ADIT_PORT_STATE_H
#define ADIT_PORT_STATE_H

#include "port.h"

/** Sizes of memory blocks are powers of two, from 2^6 to 2^17 bytes; larger ones come from the system each time. */
enum { ADIT_PORT_SMALLEST = 6, ADIT_PORT_LARGEST = 17, ADIT_PORT_SIZES = ADIT_PORT_LARGEST - ADIT_PORT_SMALLEST + 1 };

struct adit_port_block;

struct adit_port {
  struct adit_port_options options;
  char *image; /**< copy of the section lwip_stack */
  uint64_t now_ns;
  uint64_t random_count; /**< random numbers drawn */
  uint64_t retransmissions;
  size_t memory_bytes; /**< in use, block headers included */
  uint64_t sound;      /**< allocations that are still to go well before `failing` ones fail (tests) */
  uint64_t failing;
  struct adit_port_block *free_blocks[ADIT_PORT_SIZES];
  struct netif netif;
  const struct tcp_hdr *noted; /**< header of the segment that is on its way out */
  uint16_t noted_mss;          /**< MSS of its connection */
};

/** The section with lwIP's variables (arch/cc.h), as the linker names its ends: the image of which each port has a copy. */
extern char adit_port_image[] __asm__("__start_lwip_stack") __attribute__((visibility("hidden")));
extern char adit_port_image_end[] __asm__("__stop_lwip_stack") __attribute__((visibility("hidden")));

/** The current port, or NULL. */
struct adit_port *adit_port_current(void);

void adit_port_netif_start(struct adit_port *port);
void adit_port_netif_stop(struct adit_port *port);

/** Give the free blocks back to the system. Every block must be free. */
void adit_port_memory_release(struct adit_port *port);

#endif
