/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Memory of a stack: free lists by size, counted against the stack's budget.
 *
 * Everything that lwIP and src/stack allocate comes from here. Blocks have one of a few sizes, an eighth apart at most,
 * and a header of 16 bytes that remembers it; a freed block goes to the head of its list and is the first to be used again, still warm.
 * Taking and giving back cost a few instructions and no system call.
 *
 * Free blocks count for nobody, and those of one size are of no use for another. So what the lists keep is bounded, by
 * KEEP_LEAST and an eighth of what is in use; beyond that blocks return to the system, of each size in turn, so that sizes
 * that nobody asks for any more are drained. Without that a peer who has memory filled with one size after the other would
 * hold the budget many times, and in a day the chance peaks of all sizes add up.
 *
 * Receive buffers that are held beyond the moment belong to somebody else's pool; they are charged to the budget as well.
 *
 * A pcb of lwIP's is asked for with each packet, as what src/stack keeps of the connection is, and memory that is in no cache
 * answers once for both if they lie side by side. So a pcb may lie in room that is part of another block.
 *
 * Under the address sanitizer every block is the system's, so that it can tell who uses what after it was freed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#if defined(__SANITIZE_ADDRESS__) /* GCC */
#define KEEP_FREE_BLOCKS 0
#elif defined(__has_feature) /* Clang */
#if __has_feature(address_sanitizer)
#define KEEP_FREE_BLOCKS 0
#endif
#endif
#ifndef KEEP_FREE_BLOCKS
#define KEEP_FREE_BLOCKS 1
#endif

#define KEEP_LEAST ((size_t)4 << 20) /* what some connections at full speed take and give back all the time */

enum { STEP_BITS = 3 };
_Static_assert(1 << STEP_BITS == ADIT_PORT_STEPS, "steps to a power of two");

struct adit_port_block {
  union {
    struct adit_port_block *next; /* free */
    size_t bytes;                 /* in use: size of the whole block; 0 = part of another one */
  } u;
  _Alignas(16) unsigned char memory[];
};
_Static_assert(sizeof(struct adit_port_block) == 16, "a header of 16 bytes keeps what follows aligned");
_Static_assert(sizeof(struct adit_port_block) == offsetof(struct adit_port_room, pcb), "a room looks like a block");

/* Index of the free list for blocks of `bytes`, or ADIT_PORT_SIZES when they are not kept. */
static unsigned list_of(size_t bytes) {
  if (bytes > (size_t)1 << ADIT_PORT_LARGEST) return ADIT_PORT_SIZES;
  if (bytes <= (size_t)1 << ADIT_PORT_SMALLEST) return 0;
  unsigned power = 63 - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
  unsigned step = (unsigned)((bytes - 1) >> (power - STEP_BITS)) - ADIT_PORT_STEPS;
  return ADIT_PORT_STEPS * (power - ADIT_PORT_SMALLEST) + step + 1;
}

/* Size of the blocks of that list: 64, 72, 80 ... 128, 144, 160 ... */
static size_t size_of(unsigned list) {
  if (list == 0) return (size_t)1 << ADIT_PORT_SMALLEST;
  unsigned power = (list - 1) / ADIT_PORT_STEPS + ADIT_PORT_SMALLEST;
  unsigned step = (list - 1) % ADIT_PORT_STEPS;
  return (size_t)(ADIT_PORT_STEPS + step + 1) << (power - STEP_BITS);
}

void adit_port_fail_allocations(struct adit_port *port, uint64_t first, uint64_t count) {
  port->sound = first - 1;
  port->failing = count;
}

static bool fails(struct adit_port *port) {
  if (port->failing == 0) return false;
  if (port->sound > 0) {
    port->sound--;
    return false;
  }
  port->failing--;
  return true;
}

void adit_port_offer_room(struct adit_port_room *room) {
  if (KEEP_FREE_BLOCKS) adit_port_current()->room = room;
}

/* The room that was offered, for the pcb that it is for. */
static void *take_room(struct adit_port *port) {
  struct adit_port_block *block = (void *)port->room;
  port->room = NULL;
  block->u.bytes = 0;
  return block->memory;
}

void *adit_port_malloc(size_t size) {
  struct adit_port *port = adit_port_current();
  if (fails(port)) return NULL;
  if (port->room && size == sizeof port->room->pcb) return take_room(port);
  if (size > SIZE_MAX / 2) return NULL;
  size_t bytes = size + sizeof(struct adit_port_block);
  unsigned list = list_of(bytes);
  if (list < ADIT_PORT_SIZES) bytes = size_of(list);
  if (port->memory_bytes + bytes > port->options.budget_bytes) return NULL;

  struct adit_port_block *block = NULL;
  if (KEEP_FREE_BLOCKS && list < ADIT_PORT_SIZES) block = port->free_blocks[list];
  if (block) {
    port->free_blocks[list] = block->u.next;
    port->kept_bytes -= bytes;
  } else {
    block = malloc(bytes);
    if (!block) return NULL;
  }
  block->u.bytes = bytes;
  port->memory_bytes += bytes;
  return block->memory;
}

void *adit_port_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  void *memory = adit_port_malloc(bytes);
  return memory ? memset(memory, 0, bytes) : NULL;
}

/* Give blocks back until few enough are kept. There are some: `kept_bytes` is their sum. */
static void trim(struct adit_port *port) {
  while (port->kept_bytes > KEEP_LEAST + port->memory_bytes / 8) {
    do {
      port->trimmed = (port->trimmed + 1) % ADIT_PORT_SIZES;
    } while (!port->free_blocks[port->trimmed]);
    struct adit_port_block *block = port->free_blocks[port->trimmed];
    port->free_blocks[port->trimmed] = block->u.next;
    port->kept_bytes -= size_of(port->trimmed);
    free(block);
  }
}

void adit_port_free(void *memory) {
  if (!memory) return;
  struct adit_port *port = adit_port_current();
  struct adit_port_block *block = (void *)((char *)memory - offsetof(struct adit_port_block, memory));
  size_t bytes = block->u.bytes;
  if (bytes == 0) return; /* goes with what it is part of */
  port->memory_bytes -= bytes;
  unsigned list = list_of(bytes);
  if (KEEP_FREE_BLOCKS && list < ADIT_PORT_SIZES) {
    port->kept_bytes += bytes;
    block->u.next = port->free_blocks[list];
    port->free_blocks[list] = block;
    trim(port);
  } else {
    free(block);
  }
}

void adit_port_charge(size_t bytes) {
  adit_port_current()->memory_bytes += bytes;
}

void adit_port_discharge(size_t bytes) {
  adit_port_current()->memory_bytes -= bytes;
}

size_t adit_port_budget(const struct adit_port *port) {
  return port->options.budget_bytes;
}

size_t adit_port_memory(const struct adit_port *port) {
  return port->memory_bytes;
}

size_t adit_port_kept(const struct adit_port *port) {
  return port->kept_bytes;
}

bool adit_port_has_room(const struct adit_port *port) {
  size_t budget = port->options.budget_bytes;
  return port->memory_bytes < budget - budget / 8;
}

uint32_t adit_port_affordable_window(const struct adit_port *port) {
  size_t most = port->options.budget_bytes - port->options.budget_bytes / 8;
  size_t left = port->memory_bytes < most ? most - port->memory_bytes : 0;
  return (uint32_t)LWIP_MIN(left / 16, (size_t)UINT32_MAX);
}

bool adit_port_may_hold(const struct adit_port *port, size_t bytes) {
  size_t budget = port->options.budget_bytes;
  return port->memory_bytes + bytes <= budget - budget / 16;
}

void adit_port_memory_release(struct adit_port *port) {
  LWIP_ASSERT("memory is still in use", port->memory_bytes == 0);
  for (unsigned list = 0; list < ADIT_PORT_SIZES; list++) {
    while (port->free_blocks[list]) {
      struct adit_port_block *block = port->free_blocks[list];
      port->free_blocks[list] = block->u.next;
      free(block);
    }
  }
}
