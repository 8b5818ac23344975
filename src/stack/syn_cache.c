/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The SYN cache: handshakes that had to make room, so that those which are meant can still end.
 *
 * In a flood of SYNs the list of handshakes (syn.c) turns over faster than an honest client can answer. What is pushed out
 * leaves a record of 64 bytes here, which holds all that both sides agreed on. When the client's ACK comes, its SYN is made
 * again from the record and goes the way of any SYN, with the initial sequence number that the client was told; then the ACK
 * finds its connection. SYN cookies (RFC 4987, 3.6) do that without memory, but lose window scale and SACK, and a number
 * that was guessed opens a connection there; here 64 bits have to be right.
 *
 * Only for owners that accept a SYN as soon as they hear of it: one that has to ask somebody else first (a relay) may hear
 * no, when the client already believes in the connection.
 *
 * Limits: MOST records for each stack, 2 MiB, the oldest makes room; nothing at all before the first is needed, and again
 * LIFETIME after the last. A record whose client begins anew, or whose ACK came, is void.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

#define LIFETIME (20 * ADIT_SECOND)
#define NONE UINT32_MAX

enum {
  MOST = 32768,
  CHAINS = MOST,
  IP4_HEADER = 20,
  TTL_AT = 8,
  IP6_HEADER = 40,
  HOP_LIMIT_AT = 7,
  TCP_HEADER = 20,
  OPTION_ROOM = 24
};

/** What is remembered. Void when its remote port is 0. */
struct record {
  adit_endpoint local;
  adit_endpoint remote;
  uint32_t hash;
  uint32_t next; /**< in its chain, or NONE */
  uint32_t ours; /**< initial sequence numbers */
  uint32_t theirs;
  uint16_t mss;
  uint8_t scale; /**< the peer's */
  bool scaled;
  bool sack;
  bool stamped; /**< timestamps */
};

_Static_assert(sizeof(struct record) == 64, "as much as the theory says");

struct adit_syn_cache {
  uint64_t last_ns;  /**< when the newest was made */
  uint32_t position; /**< of the next one; the oldest is there when all places are taken */
  uint32_t chains[CHAINS];
  struct record records[MOST];
};

static uint32_t *link_to(struct adit_syn_cache *cache, uint32_t hash, const adit_endpoint *local,
                         const adit_endpoint *remote) {
  uint32_t *link = &cache->chains[hash % CHAINS];
  while (*link != NONE) {
    struct record *record = &cache->records[*link];
    if (record->hash == hash && adit_endpoint_same(&record->remote, remote) &&
        adit_endpoint_same(&record->local, local))
      break;
    link = &record->next;
  }
  return link;
}

/* Take out of its chain what `link` leads to. */
static void forget(struct adit_syn_cache *cache, uint32_t *link) {
  struct record *record = &cache->records[*link];
  *link = record->next;
  record->remote.port = 0;
}

static struct adit_syn_cache *cache_of(struct adit_stack *stack) {
  if (stack->syn_cache) return stack->syn_cache;
  struct adit_syn_cache *cache = calloc(1, sizeof *cache);
  if (!cache) return NULL;
  for (uint32_t i = 0; i < CHAINS; i++) cache->chains[i] = NONE;
  stack->syn_cache = cache;
  return cache;
}

void adit_syn_cache_keep(const struct adit_flow *flow) {
  struct adit_stack *stack = flow->stack;
  if (!(flow->marks & ADIT_MARK_PROMPT)) return;
  struct adit_syn_cache *cache = cache_of(stack);
  if (!cache) return; /* without memory the client begins anew */
  const struct tcp_pcb *pcb = flow->pcb;
  struct record *record = &cache->records[cache->position];
  if (record->remote.port != 0) forget(cache, link_to(cache, record->hash, &record->local, &record->remote));
  uint32_t *chain = &cache->chains[flow->hash % CHAINS];
  *record = (struct record){
      .local = flow->local,
      .remote = flow->remote,
      .hash = flow->hash,
      .next = *chain,
      .ours = flow->own_sequence,
      .theirs = flow->syn_sequence,
      .mss = (uint16_t)(pcb->mss + (adit_port_stamped(pcb) ? ADIT_TIMESTAMPS : 0)),
      .scale = pcb->snd_scale,
      .scaled = (pcb->flags & TF_WND_SCALE) != 0,
      .sack = (pcb->flags & TF_SACK) != 0,
      .stamped = adit_port_stamped(pcb),
  };
  *chain = cache->position;
  cache->position = (cache->position + 1) % MOST;
  cache->last_ns = adit_port_now();
  adit_timer_need_second(stack);
}

void adit_syn_cache_void(struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote,
                         uint32_t hash) {
  struct adit_syn_cache *cache = stack->syn_cache;
  if (!cache) return;
  uint32_t *link = link_to(cache, hash, local, remote);
  if (*link != NONE) forget(cache, link);
}

static uint8_t *put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
  return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value) {
  return put16(put16(at, value >> 16), value & 0xffff);
}

/*
 * The client's SYN. Checksums are left out: nobody looks at them again. `stamps` count if it had some, `ttl` is that of its
 * ACK. Returns its length.
 */
static size_t make_syn(const struct record *record, struct adit_timestamps stamps, uint8_t ttl, uint8_t *packet) {
  uint8_t *tcp = packet + (record->local.ip.version == 4 ? IP4_HEADER : IP6_HEADER);
  uint8_t *at = put16(put16(tcp, record->remote.port), record->local.port);
  at = put32(put32(at, record->theirs), 0);
  *at++ = 0; /* the length of the header follows below */
  *at++ = ADIT_TCP_SYN;
  at = put32(put16(at, UINT16_MAX), 0); /* window; checksum and urgent pointer */
  at = put16(put16(at, LWIP_TCP_OPT_MSS << 8 | LWIP_TCP_OPT_LEN_MSS), record->mss);
  if (record->scaled) {
    *at++ = LWIP_TCP_OPT_NOP;
    at = put16(at, LWIP_TCP_OPT_WS << 8 | LWIP_TCP_OPT_LEN_WS);
    *at++ = record->scale;
  }
  if (record->sack) {
    at = put16(at, LWIP_TCP_OPT_NOP << 8 | LWIP_TCP_OPT_NOP);
    at = put16(at, LWIP_TCP_OPT_SACK_PERM << 8 | LWIP_TCP_OPT_LEN_SACK_PERM);
  }
  if (record->stamped) {
    adit_timestamps_put(at, stamps);
    at += ADIT_TIMESTAMPS;
  }
  size_t length = (size_t)(at - tcp);
  tcp[12] = (uint8_t)(length / 4 << 4);
  length += adit_output_quote(packet, IPPROTO_TCP, record->remote.ip, record->local.ip, length);
  packet[record->local.ip.version == 4 ? TTL_AT : HOP_LIMIT_AT] = ttl;
  return length;
}

struct adit_flow *adit_syn_cache_input(struct adit_stack *stack, const struct adit_inbound *in) {
  struct adit_syn_cache *cache = stack->syn_cache;
  const struct adit_header *header = &in->header;
  if (!cache || (header->tcp_flags & (ADIT_TCP_ACK | ADIT_TCP_SYN | ADIT_TCP_RST)) != ADIT_TCP_ACK) return NULL;
  if (adit_port_now() - cache->last_ns > LIFETIME) return NULL;
  adit_endpoint local = adit_inbound_local(in);
  adit_endpoint remote = adit_inbound_remote(in);
  uint32_t *link = link_to(cache, in->hash, &local, &remote);
  if (*link == NONE) return NULL;
  struct record record = cache->records[*link];
  if (header->tcp_acknowledgment != record.ours + 1 || header->tcp_sequence != record.theirs + 1) return NULL;
  struct adit_timestamps seen = {0}; /* the SYN's were a little older: what is new is not older than these */
  if (record.stamped && !adit_inbound_timestamps(in->ip, header, &seen)) return NULL;
  forget(cache, link);

  uint8_t packet[IP6_HEADER + TCP_HEADER + OPTION_ROOM];
  struct adit_inbound syn = {.buffer = in->buffer, .ip = packet, .hash = in->hash};
  enum adit_drop why;
  size_t length = make_syn(&record, (struct adit_timestamps){.value = seen.value}, header->ttl, packet);
  if (!adit_header_parse(packet, length, &syn.header, &why)) return NULL; /* it was made here */
  return adit_syn_again(stack, &syn, record.ours);
}

void adit_syn_cache_expire(struct adit_stack *stack) {
  if (stack->syn_cache && adit_port_now() - stack->syn_cache->last_ns > LIFETIME) adit_syn_cache_free(stack);
}

void adit_syn_cache_free(struct adit_stack *stack) {
  free(stack->syn_cache);
  stack->syn_cache = NULL;
}
