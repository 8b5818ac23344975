/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets on their way: received ones in counted buffers, outgoing ones as borrowed pieces, both with offload notes.
 *
 * This is all that devices and the stack know of each other. Nothing here is thread-safe: a pool and its buffers belong
 * to one thread at a time.
 */
#ifndef ADIT_PACKET_H
#define ADIT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Largest frame that exists here: an Ethernet header with one VLAN tag and the largest IPv6 packet (40 + 65535). */
#define ADIT_PACKET_MAX (18 + 40 + 65535)

/** How a packet larger than the MTU is to be cut into segments (virtio 1.2, section 5.1.6). */
enum adit_gso {
  ADIT_GSO_NONE, /**< the packet is one packet */
  ADIT_GSO_TCP4, /**< TCP over IPv4, cut into segments of `gso_size` payload bytes */
  ADIT_GSO_TCP6, /**< TCP over IPv6, likewise */
  ADIT_GSO_UDP,  /**< UDP over either, cut into datagrams of `gso_size` payload bytes (USO) */
  ADIT_GSO_KINDS
};

/** What is known of a packet's transport checksum. */
enum adit_checksum {
  ADIT_CHECKSUM_NONE,    /**< nothing: the field is complete and has to be verified by the receiver */
  ADIT_CHECKSUM_PARTIAL, /**< the field holds the sum over the pseudo-header only; whoever needs it finishes the sum */
  ADIT_CHECKSUM_VALID    /**< the sender's side has verified it */
};

/** Notes that travel beside a packet instead of in it; the meaning of the kernel's struct virtio_net_hdr, parsed. */
struct adit_offload {
  uint8_t gso;              /**< enum adit_gso */
  uint8_t checksum;         /**< enum adit_checksum */
  bool ecn;                 /**< GSO_TCP*: the first segment carries CWR, the others must not */
  uint16_t gso_size;        /**< payload bytes a segment; 0 when gso is NONE */
  uint16_t header_length;   /**< bytes before the payload, as the sender claims; a hint that is never trusted */
  uint16_t checksum_start;  /**< PARTIAL: offset from the packet's first byte where the sum begins */
  uint16_t checksum_offset; /**< PARTIAL: offset from checksum_start where the result goes */
};

/** What whoever takes our packets can do for us; also what a device offers (TUNSETOFFLOAD, linux/if_tun.h). */
enum adit_offload_bits {
  ADIT_OFFLOAD_CHECKSUM = 1 << 0, /**< finishes partial checksums */
  ADIT_OFFLOAD_TSO4 = 1 << 1,     /**< cuts ADIT_GSO_TCP4 */
  ADIT_OFFLOAD_TSO6 = 1 << 2,     /**< cuts ADIT_GSO_TCP6 */
  ADIT_OFFLOAD_ECN = 1 << 3,      /**< understands `ecn` on both */
  ADIT_OFFLOAD_USO = 1 << 4,      /**< cuts ADIT_GSO_UDP */
  /**
   * Takes ADIT_GSO_TCP* longer than an IP packet can say it is, as a TUN of Linux does since 6.6 ("BIG TCP"): IPv4 with a total
   * length of 0, IPv6 with a payload length of 0 and the jumbo payload option (RFC 2675). ADIT_PACKET_BIG bytes at most.
   */
  ADIT_OFFLOAD_BIG_TCP = 1 << 5
};

struct adit_pool;

/**
 * One received packet. Its first byte is the IP header's (TUN) or the Ethernet header's (TAP); the IP header is aligned
 * to four bytes either way. Holders count: whoever keeps a buffer takes a reference.
 */
struct adit_buffer {
  struct adit_pool *pool;      /**< where it goes when the last reference is given up */
  uint8_t *data;               /**< first byte of the packet; writable */
  uint32_t length;             /**< bytes of the packet */
  uint32_t capacity;           /**< bytes that fit at `data` */
  uint32_t refs;               /**< holders */
  struct adit_offload offload; /**< notes of the sender */
  union {
    struct adit_buffer *next; /**< free list of the pool, while nobody holds it */
    void *align;
    unsigned char scratch[64]; /**< for the holder: the stack keeps its own header of this packet here */
  } u;
};

/**
 * A pool of buffers of ADIT_PACKET_MAX bytes each. Memory is taken when first needed and kept until the pool goes.
 * `limit` bounds how many buffers there may be, 0 = no bound.
 * Returns 0 and the pool in `*pool`, owned by the caller, or -ENOMEM.
 */
int adit_pool_new(size_t limit, struct adit_pool **pool);

/**
 * Give up the pool. Buffers still held stay valid; the memory goes with the last of them.
 * NULL is allowed.
 */
void adit_pool_free(struct adit_pool *pool);

/** A buffer with one reference, length 0 and no offload notes, or NULL when the bound is reached or memory is out. */
struct adit_buffer *adit_buffer_new(struct adit_pool *pool);

/** One more holder. Returns `buffer`. */
struct adit_buffer *adit_buffer_ref(struct adit_buffer *buffer);

/** One holder less; the last one returns the buffer to its pool. NULL is allowed. */
void adit_buffer_unref(struct adit_buffer *buffer);

/** Buffers of this pool that somebody holds. */
size_t adit_pool_in_use(const struct adit_pool *pool);

/** An outgoing packet: borrowed pieces, valid until the function that was given them returns. */
struct adit_packet {
  const struct iovec *iov;     /**< the pieces, first byte of the IP or Ethernet header first */
  unsigned iovcnt;             /**< at most ADIT_PACKET_PIECES */
  size_t length;               /**< sum of the pieces */
  struct adit_offload offload; /**< notes for whoever takes it */
};

/** Most pieces an outgoing packet consists of. */
#define ADIT_PACKET_PIECES 64

/** Longest outgoing packet with ADIT_OFFLOAD_BIG_TCP; without, it is ADIT_PACKET_MAX. */
#define ADIT_PACKET_BIG ((size_t)256 * 1024)

/** Why a received packet went no further. */
enum adit_drop {
  ADIT_DROP_TRUNCATED,     /**< shorter than its headers or its own length field say */
  ADIT_DROP_OVERSIZED,     /**< longer than an IP packet can be */
  ADIT_DROP_VERSION,       /**< neither IPv4 nor IPv6 */
  ADIT_DROP_HEADER,        /**< a header contradicts itself: header length, options, extension headers */
  ADIT_DROP_IP_CHECKSUM,   /**< IPv4 header checksum wrong */
  ADIT_DROP_TCP_CHECKSUM,  /**< TCP checksum wrong */
  ADIT_DROP_UDP_CHECKSUM,  /**< UDP checksum wrong, or absent over IPv6 (RFC 8200, 8.1) */
  ADIT_DROP_ICMP_CHECKSUM, /**< ICMP or ICMPv6 checksum wrong */
  ADIT_DROP_OFFLOAD,       /**< offload notes do not fit the packet */
  ADIT_DROP_ADDRESS,       /**< not for an address the stack is, or an impossible source */
  ADIT_DROP_PROTOCOL,      /**< a protocol other than TCP, UDP, ICMP, or an ICMP message that is not answered */
  ADIT_DROP_FRAGMENT,      /**< a fragment that was not reassembled: overlapping, too many, too late */
  ADIT_DROP_PARKED,        /**< a SYN beyond the bound on parked ones */
  ADIT_DROP_MEMORY,        /**< the budget is spent */
  ADIT_DROP_OLD,           /**< TCP: older than what its connection has received before (RFC 7323, 5: PAWS) */
  ADIT_DROP_UNSTAMPED,     /**< TCP: without a timestamp, on a connection that has them (RFC 7323, 3.2) */
  ADIT_DROPS
};

/** A short name of the reason, such as "tcp checksum". Static. */
const char *adit_drop_name(enum adit_drop reason);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
