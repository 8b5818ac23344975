/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Pools of received packets: counted buffers of the largest size, taken from the system once and used again.
 *
 * Every buffer has room for ADIT_PACKET_MAX bytes although most packets are small: the kernel does not say in advance
 * how long the next one is. That costs address space, not memory: a page that no packet reached was never touched.
 * For the same reason the free list is last in, first out: the buffer that comes back last is still in the cache, and
 * at low load the same few buffers go round.
 *
 * One allocation holds
 *
 *     struct adit_buffer | HEADROOM bytes | `data`: CAPACITY bytes
 *
 * `data` begins on a cache line. The headroom is for whoever prepends a header or a note of its own. CAPACITY is two
 * bytes more than the largest frame, because a device that reads Ethernet frames moves `data` by two, so that the IP
 * header behind the 14 bytes is aligned to four.
 *
 * Lifetime: the pool counts the buffers that somebody holds. adit_pool_free() with holders left only marks the pool;
 * the last adit_buffer_unref() then takes it down. Under the address sanitizer the bytes of free buffers are poisoned,
 * so that a read through a pointer kept too long is reported although the memory was never given back.
 */
#include <adit/packet.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define BUFFER_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUFFER_POISON 1
#endif
#endif
#ifdef BUFFER_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum {
  LINE = 64,
  HEADROOM = 64,
  CAPACITY = ADIT_PACKET_MAX + 2,
  DATA_OFFSET = (sizeof(struct adit_buffer) + HEADROOM + LINE - 1) / LINE * LINE,
  SIZE = (DATA_OFFSET + CAPACITY + LINE - 1) / LINE * LINE
};

struct adit_pool {
  struct adit_buffer *free; /* owned: buffers that nobody holds, linked by u.next */
  size_t limit;             /* most buffers there may be, 0 = no bound */
  size_t made;              /* buffers that exist, held or free */
  size_t held;              /* buffers that somebody holds */
  bool given_up;            /* adit_pool_free() was called: goes when held is 0 */
};

static uint8_t *room(struct adit_buffer *buffer) {
  return (uint8_t *)buffer + sizeof *buffer;
}

static void destroy(struct adit_pool *pool) {
  while (pool->free != NULL) {
    struct adit_buffer *buffer = pool->free;
    pool->free = buffer->u.next;
    ASAN_UNPOISON_MEMORY_REGION(room(buffer), SIZE - sizeof *buffer);
    free(buffer);
  }
  free(pool);
}

int adit_pool_new(size_t limit, struct adit_pool **pool) {
  struct adit_pool *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -ENOMEM;
  }
  made->limit = limit;
  *pool = made;
  return 0;
}

void adit_pool_free(struct adit_pool *pool) {
  if (pool == NULL) {
    return;
  }
  assert(!pool->given_up);
  pool->given_up = true;
  if (pool->held == 0) {
    destroy(pool);
  }
}

size_t adit_pool_in_use(const struct adit_pool *pool) {
  return pool->held;
}

struct adit_buffer *adit_buffer_new(struct adit_pool *pool) {
  struct adit_buffer *buffer = pool->free;
  if (buffer != NULL) {
    pool->free = buffer->u.next;
    ASAN_UNPOISON_MEMORY_REGION(room(buffer), SIZE - sizeof *buffer);
  } else {
    if (pool->limit != 0 && pool->made >= pool->limit) {
      return NULL;
    }
    buffer = aligned_alloc(LINE, SIZE);
    if (buffer == NULL) {
      return NULL;
    }
    buffer->pool = pool;
    pool->made++;
  }
  pool->held++;
  buffer->data = (uint8_t *)buffer + DATA_OFFSET;
  buffer->length = 0;
  buffer->capacity = CAPACITY;
  buffer->refs = 1;
  buffer->offload = (struct adit_offload){.gso = ADIT_GSO_NONE};
  return buffer;
}

struct adit_buffer *adit_buffer_ref(struct adit_buffer *buffer) {
  assert(buffer->refs > 0);
  buffer->refs++;
  return buffer;
}

void adit_buffer_unref(struct adit_buffer *buffer) {
  if (buffer == NULL) {
    return;
  }
  assert(buffer->refs > 0);
  if (--buffer->refs > 0) {
    return;
  }
  struct adit_pool *pool = buffer->pool;
  assert(pool->held > 0);
  buffer->u.next = pool->free;
  pool->free = buffer;
  pool->held--;
  ASAN_POISON_MEMORY_REGION(room(buffer), SIZE - sizeof *buffer);
  if (pool->given_up && pool->held == 0) {
    destroy(pool);
  }
}
