/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Fragments become packets again (RFC 791 section 3.2, RFC 8200 section 4.5).
 *
 * Each packet in the making owns one buffer, into which fragments are copied where they belong, and a bitmap of the blocks
 * of eight bytes that are there. Fragments that overlap others end the packet (RFC 5722; for IPv4 as well), exact
 * repetitions are ignored. So does a fragment that would make the packet longer than an IP packet can be.
 *
 * Limits: PACKETS_MOST in the making, and together an eighth of the budget in bytes, however little has come of each; the
 * oldest makes room. Each has PATIENCE seconds. What is given up counts as dropped,
 * one for each fragment. No ICMP error is sent for it: nobody acts on those, and a flood would be answered with a flood.
 *
 * The whole packet is passed on with the header of its first fragment, as if it had come in one piece: without fragment
 * header, and for IPv6 without other extension headers in front of it.
 */
#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "stack/core.h"

enum {
  PACKETS_MOST = 256,
  BUDGET_PART = 8, /* one in so many bytes */
  LONGEST = 65535,
  BLOCK = 8,
  BLOCKS = (LONGEST + BLOCK - 1) / BLOCK,
  IP4_HEADER = 20,
  IP6_HEADER = 40
};
#define PATIENCE (30 * ADIT_SECOND)

struct adit_reassembly {
  struct adit_reassembly *previous;
  struct adit_reassembly *next;
  adit_ip source;
  adit_ip destination;
  uint32_t id;
  uint8_t protocol;
  uint32_t header; /* bytes in front of the data: the IP header */
  uint32_t have;   /* bytes of data received */
  uint32_t reach;  /* end of the furthest fragment received */
  uint32_t total;  /* bytes of data, 0 while the last fragment is missing */
  uint32_t pieces; /* fragments */
  uint64_t until_ns;
  struct adit_buffer *buffer;
  uint8_t there[(BLOCKS + 7) / 8];
};

static void unlink_one(struct adit_stack *stack, struct adit_reassembly *one) {
  if (one->previous) {
    one->previous->next = one->next;
  } else {
    stack->reassemblies = one->next;
  }
  if (one->next) {
    one->next->previous = one->previous;
  } else {
    stack->reassemblies_tail = one->previous;
  }
  stack->reassembly_count--;
}

static void give_up(struct adit_stack *stack, struct adit_reassembly *one) {
  stack->stats.drops[ADIT_DROP_FRAGMENT] += one->pieces;
  unlink_one(stack, one);
  adit_port_discharge(ADIT_PACKET_MAX);
  adit_buffer_unref(one->buffer);
  adit_port_free(one);
}

void adit_reassembly_free(struct adit_stack *stack) {
  while (stack->reassemblies) give_up(stack, stack->reassemblies);
}

void adit_reassembly_expire(struct adit_stack *stack) {
  while (stack->reassemblies && stack->reassemblies->until_ns <= adit_port_now()) give_up(stack, stack->reassemblies);
}

static struct adit_reassembly *find(const struct adit_stack *stack, const struct adit_header *header) {
  struct adit_reassembly *one = stack->reassemblies_tail;
  for (; one; one = one->previous) {
    if (one->id == header->fragment_id && (header->version == 6 || one->protocol == header->protocol) &&
        adit_ip_equal(one->source, header->source) && adit_ip_equal(one->destination, header->destination))
      return one;
  }
  return NULL;
}

/* How many there may be: at least one, or nothing could ever be put together. */
static uint32_t most(const struct adit_stack *stack) {
  size_t affordable = adit_port_budget(stack->port) / BUDGET_PART / (sizeof(struct adit_reassembly) + ADIT_PACKET_MAX);
  return LWIP_MAX((uint32_t)LWIP_MIN(affordable, (size_t)PACKETS_MOST), 1);
}

static struct adit_reassembly *begin(struct adit_stack *stack, const struct adit_header *header) {
  if (stack->reassembly_count >= most(stack)) give_up(stack, stack->reassemblies);
  struct adit_reassembly *one = NULL;
  if (adit_port_may_hold(stack->port, sizeof *one + ADIT_PACKET_MAX)) one = adit_port_calloc(1, sizeof *one);
  if (!one) return NULL;
  one->buffer = adit_buffer_new(stack->pool);
  if (!one->buffer) {
    adit_port_free(one);
    return NULL;
  }
  adit_port_charge(ADIT_PACKET_MAX);
  one->source = header->source;
  one->destination = header->destination;
  one->id = header->fragment_id;
  one->protocol = header->protocol;
  one->header = header->version == 4 ? IP4_HEADER : IP6_HEADER;
  one->until_ns = adit_port_now() + PATIENCE;
  one->previous = stack->reassemblies_tail;
  if (one->previous) {
    one->previous->next = one;
  } else {
    stack->reassemblies = one;
  }
  stack->reassemblies_tail = one;
  stack->reassembly_count++;
  adit_timer_need_second(stack);
  return one;
}

static bool is_there(const struct adit_reassembly *one, uint32_t block) {
  return (one->there[block / 8] >> (block % 8) & 1) != 0;
}

/* How many of the blocks that `length` bytes at `offset` touch are there already. */
static uint32_t count_there(const struct adit_reassembly *one, uint32_t offset, uint32_t length) {
  uint32_t count = 0;
  for (uint32_t block = offset / BLOCK; block < (offset + length + BLOCK - 1) / BLOCK; block++)
    count += is_there(one, block);
  return count;
}

enum verdict { NEW, REPEATED, WRONG };

static enum verdict judge(const struct adit_reassembly *one, const struct adit_header *header, uint32_t offset,
                          uint32_t length) {
  uint32_t end = offset + length;
  if (length == 0 || (header->more_fragments && length % BLOCK != 0)) return WRONG;
  if (one->header + end > LONGEST + (header->version == 6 ? IP6_HEADER : 0U)) return WRONG;
  if (one->total > 0 && (end > one->total || (!header->more_fragments && end != one->total))) return WRONG;
  uint32_t there = count_there(one, offset, length);
  if (there == 0) return NEW;
  return there == (length + BLOCK - 1) / BLOCK ? REPEATED : WRONG;
}

static void put_header(const struct adit_reassembly *one, const struct adit_inbound *in) {
  uint8_t *to = one->buffer->data;
  memcpy(to, in->ip, one->header);
  if (in->header.version == 4) to[0] = 0x45; /* options are left behind */
}

/* Lengths and checksum of the header, now that the whole is known. */
static struct adit_buffer *finish(struct adit_stack *stack, struct adit_reassembly *one) {
  struct adit_buffer *buffer = one->buffer;
  uint8_t *ip = buffer->data;
  buffer->length = one->header + one->total;
  uint16_t length = htons((uint16_t)(one->header == IP4_HEADER ? buffer->length : one->total));
  if (one->header == IP4_HEADER) {
    memcpy(ip + 2, &length, sizeof length);
    memset(ip + 6, 0, 2);
    memset(ip + 10, 0, 2);
    uint16_t checksum = (uint16_t)~adit_checksum_fold(adit_checksum_add(0, ip, IP4_HEADER));
    memcpy(ip + 10, &checksum, sizeof checksum);
  } else {
    memcpy(ip + 4, &length, sizeof length);
    ip[6] = one->protocol;
  }
  buffer->offload = (struct adit_offload){0};
  one->buffer = NULL;
  adit_port_discharge(ADIT_PACKET_MAX);
  unlink_one(stack, one);
  adit_port_free(one);
  return buffer;
}

struct adit_buffer *adit_reassembly_input(struct adit_stack *stack, const struct adit_inbound *in) {
  const struct adit_header *header = &in->header;
  uint32_t offset = header->fragment_offset;
  uint32_t length = header->length - header->transport;
  struct adit_reassembly *one = find(stack, header);
  if (!one) one = begin(stack, header);
  if (!one) {
    adit_stack_drop(stack, ADIT_DROP_MEMORY);
    return NULL;
  }
  switch (judge(one, header, offset, length)) {
  case WRONG:
    one->pieces++;
    give_up(stack, one);
    return NULL;
  case REPEATED:
    adit_stack_drop(stack, ADIT_DROP_FRAGMENT);
    return NULL;
  case NEW:
    break;
  }
  if (offset == 0) {
    put_header(one, in);
    one->protocol = header->protocol; /* IPv6: what the first fragment says counts (RFC 8200, 4.5) */
  }
  memcpy(one->buffer->data + one->header + offset, in->ip + header->transport, length);
  for (uint32_t block = offset / BLOCK; block < (offset + length + BLOCK - 1) / BLOCK; block++)
    one->there[block / 8] |= (uint8_t)(1U << block % 8);
  one->have += length;
  one->pieces++;
  if (offset + length > one->reach) one->reach = offset + length;
  if (!header->more_fragments) one->total = offset + length;
  if (one->total > 0 && one->reach > one->total) { /* something lies behind the end */
    give_up(stack, one);
    return NULL;
  }
  return one->total > 0 && one->have == one->total ? finish(stack, one) : NULL;
}
