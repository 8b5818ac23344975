/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The core: a TCP/IP stack without I/O. Packets and time go in by calls, packets and events come out by callbacks.
 *
 * A stack opens no file, starts no thread and reads no clock. It belongs to one thread at a time; several stacks may
 * live in one thread or in many. The loop of whoever owns it is:
 *
 *     read a burst of packets      adit_stack_input() for each
 *     end of the burst             adit_stack_flush()
 *     sleep until                  adit_stack_deadline(), or the next packet
 *     wake up                      adit_stack_advance(now)
 *
 * Whatever is called outside of that (writing to a flow, accepting one) takes effect on the wire with the next flush.
 * Callbacks run inside input, flush and advance, never inside the functions that act on a flow. They may call
 * everything here except input, flush, advance and adit_stack_free.
 */
#ifndef ADIT_STACK_H
#define ADIT_STACK_H

#include <adit/address.h>
#include <adit/packet.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct adit_stack;
struct adit_flow;

/* ---- a stack ---------------------------------------------------------------------------------------------------- */

/** A UDP datagram that arrived, borrowed until the callback returns. */
struct adit_datagram {
  adit_endpoint local;     /**< where it was sent to */
  adit_endpoint remote;    /**< who sent it */
  const struct iovec *iov; /**< its payload in pieces; fragments have been reassembled */
  unsigned iovcnt;         /**< number of pieces, 0 for an empty datagram */
  size_t length;           /**< payload bytes, 0..65527 */
  uint8_t ttl;             /**< TTL or hop limit it arrived with */
};

/** An ICMP or ICMPv6 echo request that arrived, borrowed until the callback returns. */
struct adit_echo {
  adit_ip local;           /**< who was pinged */
  adit_ip remote;          /**< who pings */
  uint16_t id;             /**< identifier, host order */
  uint16_t sequence;       /**< host order */
  const struct iovec *iov; /**< data after the eight bytes of header, in pieces */
  unsigned iovcnt;         /**< number of pieces */
  size_t length;           /**< bytes of data */
  uint8_t ttl;             /**< TTL or hop limit it arrived with */
};

/** What a stack says to the one who made it. */
struct adit_stack_events {
  /**
   * A packet to be sent, borrowed until the return. Required. Returns 0 or a negative errno. An error is nothing but loss to
   * the stack, except for a packet longer than ADIT_PACKET_MAX (ADIT_OFFLOAD_BIG_TCP): that is given again in parts.
   */
  int (*output)(void *user, const struct adit_packet *packet);
  /**
   * A client wants to connect; nothing has been answered. Give the flow its events (adit_flow_attach) and answer now or
   * later with adit_flow_accept, adit_flow_refuse or adit_flow_drop. Repeated SYNs are absorbed meanwhile. NULL: every
   * connection is refused.
   */
  void (*syn)(void *user, struct adit_flow *flow);
  /** A datagram came. NULL: each is answered with port unreachable. */
  void (*datagram)(void *user, const struct adit_datagram *datagram);
  /** An echo request came; answer with adit_stack_echo_reply or not at all. NULL: the stack answers. */
  void (*echo)(void *user, const struct adit_echo *echo);
};

/** How to make a stack. Set `size`, `events`, `secret` and `now_ns`; zero elsewhere is the default. */
struct adit_stack_options {
  size_t size;                            /**< sizeof(struct adit_stack_options) */
  const struct adit_stack_events *events; /**< borrowed, must outlive the stack */
  void *user;                             /**< for the callbacks */
  uint8_t secret[16];                     /**< random bytes; initial sequence numbers (RFC 6528) and all other random
                                               choices follow from them, so equal secrets repeat a run exactly */
  uint64_t now_ns;                        /**< monotonic time, nanoseconds */
  uint32_t mtu;                           /**< 576..65535, at least 1280 for IPv6 (RFC 8200, 5); 0 = 1500 */
  uint32_t offload;                       /**< set of enum adit_offload_bits that `output` takes */
  const adit_cidr *answer; /**< the networks whose addresses the stack is; copied. NULL = every address */
  size_t answers;          /**< number of networks in `answer` */
  const adit_ip *except;   /**< addresses that it is not although `answer` says so; copied */
  size_t excepts;          /**< number of addresses in `except` */
  bool ethernet;           /**< packets are Ethernet frames: speak ARP and neighbour discovery */
  uint8_t mac[6];          /**< with `ethernet`: own hardware address */
  size_t budget_bytes;     /**< bound on memory for flows, segments and data; 0 = 256 MiB */
  uint32_t parked;         /**< bound on SYNs that wait for an answer, and on handshakes that are not over; 0 = 4096 */
  uint32_t window_bytes;   /**< receive window of one flow, 64 KiB .. 16 MiB; 0 = 1 MiB */
  uint32_t send_bytes;     /**< bytes written to one flow and not yet acknowledged, at most; 0 = 1 MiB */
  uint32_t idle_ms; /**< a flow on which no byte moves for so long is reset (-ETIMEDOUT); 0 = never, else >= 1000 */
};

/** Make a stack. Returns 0 and `*stack`, owned by the caller, or -EINVAL, -ENOMEM. */
int adit_stack_new(const struct adit_stack_options *options, struct adit_stack **stack);

/**
 * Abort every flow and free everything. Nothing is sent and nobody is called. Buffers given to adit_stack_input and
 * still held return to their pool, so the pool must still exist. NULL is allowed. Not from a callback.
 */
void adit_stack_free(struct adit_stack *stack);

/**
 * Take one packet in. The stack takes over the caller's reference of `buffer` and may change its bytes. Where there are many
 * flows, a TCP segment may wait for a few more packets, and reaches its flow with the flush at the latest.
 * Whatever is wrong with the packet is counted in adit_stack_stats and is no error of the caller's.
 */
void adit_stack_input(struct adit_stack *stack, struct adit_buffer *buffer);

/** End of a burst: `readable` events for the flows that got data, then everything that is due is sent. */
void adit_stack_flush(struct adit_stack *stack);

/** Monotonic time of the next thing to do by itself, nanoseconds; UINT64_MAX when there is none. */
uint64_t adit_stack_deadline(const struct adit_stack *stack);

/** Set the clock and do what became due. Time that runs backwards is ignored. Ends like adit_stack_flush. */
void adit_stack_advance(struct adit_stack *stack, uint64_t now_ns);

/** The clock as last set, nanoseconds. */
uint64_t adit_stack_now(const struct adit_stack *stack);

/* ---- flows: TCP connections ------------------------------------------------------------------------------------- */

/** Where a flow stands. It moves downwards only. */
enum adit_flow_state {
  ADIT_FLOW_PARKED,      /**< the SYN waits for an answer; nothing was sent */
  ADIT_FLOW_ACCEPTED,    /**< the SYN-ACK leaves with the next flush; from then on there is room to write */
  ADIT_FLOW_ESTABLISHED, /**< the handshake is done; either direction may have ended since */
  ADIT_FLOW_CLOSED,      /**< `closed` was called or is about to be: the handle may only be read until it returns */
  ADIT_FLOW_STATES
};

/** What a flow says to whom it was attached. Any may be NULL. In each, acting on the flow (closing included) is fine. */
struct adit_flow_events {
  /** The handshake is done. */
  void (*established)(void *user, struct adit_flow *flow);
  /** More bytes can be read (adit_flow_peek). Called once a burst; again only when further bytes came. */
  void (*readable)(void *user, struct adit_flow *flow);
  /** Room to write after there was too little (adit_flow_room). */
  void (*writable)(void *user, struct adit_flow *flow);
  /** The peer has sent FIN; bytes may still wait to be read. Called once. Writing goes on being possible. */
  void (*peer_closed)(void *user, struct adit_flow *flow);
  /**
   * The last event; the handle is invalid after it. `error` is 0 when both sides had ended in order, -ECONNRESET (the
   * peer reset it), -ETIMEDOUT (no answer any more, or a parked SYN that the client gave up), -ENOBUFS (budget spent, or
   * too many parked). Not called after adit_flow_close, adit_flow_abort, adit_flow_refuse and adit_flow_drop.
   */
  void (*closed)(void *user, struct adit_flow *flow, int error);
};

/** Ways to say no to a SYN, a datagram or an echo request. */
enum adit_refusal {
  ADIT_REFUSE_RESET,            /**< nobody listens there: RST; for datagrams ICMP 3/3; ICMPv6 1/4 */
  ADIT_REFUSE_NET_UNREACHABLE,  /**< ICMP 3/0; ICMPv6 1/0 (RFC 4443) */
  ADIT_REFUSE_HOST_UNREACHABLE, /**< ICMP 3/1; ICMPv6 1/3 */
  ADIT_REFUSE_PROHIBITED,       /**< ICMP 3/13 (RFC 1812); ICMPv6 1/1 */
  ADIT_REFUSE_TTL_EXPIRED,      /**< ICMP 11/0; ICMPv6 3/0 */
  ADIT_REFUSALS
};

/** Say who hears of the flow. `events` is borrowed and must outlive the flow; may be changed at any time. */
void adit_flow_attach(struct adit_flow *flow, const struct adit_flow_events *events, void *user);

/** The `user` of adit_flow_attach; NULL before it. */
void *adit_flow_user(const struct adit_flow *flow);

/** Answer a parked SYN with SYN-ACK. Returns 0, -EALREADY when not parked, -ENOBUFS (then still parked). */
int adit_flow_accept(struct adit_flow *flow);

/** Answer a parked SYN with a refusal. The handle is invalid afterwards. Returns 0 or -EALREADY when not parked. */
int adit_flow_refuse(struct adit_flow *flow, enum adit_refusal how);

/** Forget a parked SYN without an answer. The handle is invalid afterwards. Returns 0 or -EALREADY when not parked. */
int adit_flow_drop(struct adit_flow *flow);

/** The address and port that the client connected to. */
adit_endpoint adit_flow_local(const struct adit_flow *flow);

/** The client. */
adit_endpoint adit_flow_remote(const struct adit_flow *flow);

enum adit_flow_state adit_flow_state(const struct adit_flow *flow);

/** The stack the flow belongs to. */
struct adit_stack *adit_flow_stack(const struct adit_flow *flow);

/** A number that no other flow of this stack has had, for logs. */
uint64_t adit_flow_id(const struct adit_flow *flow);

/** When its SYN came, the last one if the client had to repeat it; nanoseconds, as adit_stack_now. */
uint64_t adit_flow_begun(const struct adit_flow *flow);

/** Bytes that the client has sent and that came in order, as of the last flush; FIN does not count. */
uint64_t adit_flow_carried_up(const struct adit_flow *flow);

/** Bytes that the client has acknowledged, likewise. */
uint64_t adit_flow_carried_down(const struct adit_flow *flow);

/**
 * Show every flow to `each`, parked ones included, in no order. They may be read there and nothing else: not changed, and
 * not kept.
 */
void adit_stack_flows(const struct adit_stack *stack, void (*each)(void *user, const struct adit_flow *flow),
                      void *user);

/** Bytes that wait to be read. */
size_t adit_flow_available(const struct adit_flow *flow);

/** Whether the peer's FIN has arrived; with nothing available any more, that is the end of its stream. */
bool adit_flow_peer_has_closed(const struct adit_flow *flow);

/**
 * Look at the received bytes in order, without copying: fills at most `iovcnt` pieces. They are borrowed until
 * adit_flow_consume, closing the flow, or the return to the loop, whichever is first. Returns the number of pieces.
 */
unsigned adit_flow_peek(const struct adit_flow *flow, struct iovec *iov, unsigned iovcnt);

/** Done with the first `bytes` received bytes (at most what is available): the window opens by as much. */
void adit_flow_consume(struct adit_flow *flow, size_t bytes);

/** Copy at most `length` received bytes out and consume them. Returns how many, 0 when none wait. */
size_t adit_flow_read(struct adit_flow *flow, void *data, size_t length);

/** Bytes that can be written now; 0 after adit_flow_shutdown. Asking does not make `writable` follow; see below. */
size_t adit_flow_room(const struct adit_flow *flow);

/**
 * Where the next bytes to be sent may be put, without copying: fills at most `iovcnt` pieces of writable memory, of
 * adit_flow_room bytes at most. Valid until the next call on this flow, the next adit_flow_reserve or adit_flow_write on any
 * flow of the stack, or the return to the loop. Returns the number of pieces, 0 for no room or no memory; then `writable`
 * follows. Fill and adit_flow_commit.
 */
unsigned adit_flow_reserve(struct adit_flow *flow, struct iovec *iov, unsigned iovcnt);

/** Send the first `bytes` bytes of what adit_flow_reserve gave. Returns how many were sent, -EINVAL when that was less, or
 * -ENOBUFS for none. When memory lacked for some, `writable` follows, and those stay where they are until they are committed,
 * by this call again; the next adit_flow_reserve or adit_flow_write on this flow gives them up. */
ssize_t adit_flow_commit(struct adit_flow *flow, size_t bytes);

/**
 * Copy and send as many bytes as there is room for. Returns how many, 0 when there is no room (then `writable` follows),
 * -EPIPE after adit_flow_shutdown, -ENOTCONN while parked.
 */
ssize_t adit_flow_write(struct adit_flow *flow, const void *data, size_t length);

/** As adit_flow_write, but without a copy: the memory must stay as it is until the stack is freed (static data). */
ssize_t adit_flow_lend(struct adit_flow *flow, const void *data, size_t length);

/** No more to write: FIN follows what was written. Reading goes on. Returns 0, -ENOTCONN while parked. */
int adit_flow_shutdown(struct adit_flow *flow);

/**
 * Done with the flow: what was written still goes out, then FIN; bytes not read by now, or coming later, make it a reset
 * (RFC 2525, 2.17). The handle is invalid afterwards.
 */
void adit_flow_close(struct adit_flow *flow);

/**
 * What the client sends is answered soon, though not in the flush in which it is read: a relay has to ask somebody else. So
 * acknowledgments of little data, and of the client's FIN, may wait up to 4 milliseconds for the answer to take them along
 * (RFC 9293, 3.8.6.3), until that was in vain once.
 */
void adit_flow_await_answers(struct adit_flow *flow);

/** Reset the connection (RST); a parked SYN is refused. The handle is invalid afterwards. */
void adit_flow_abort(struct adit_flow *flow);

/* ---- datagrams and echo ----------------------------------------------------------------------------------------- */

/**
 * Send a UDP datagram to the kernel's side. It is fragmented where the MTU asks for it. The pieces are borrowed until the
 * return. Both addresses have the same version.
 * Returns 0, -EMSGSIZE above 65507 bytes (IPv4) or 65527 (IPv6), -EINVAL, -ENOBUFS, -EHOSTUNREACH.
 */
int adit_stack_send_datagram(struct adit_stack *stack, adit_endpoint from, adit_endpoint to, const struct iovec *iov,
                             unsigned iovcnt);

/**
 * Send several datagrams whose payloads lie one behind the other in the pieces, wherever those begin and end: `each` bytes,
 * the last one what is left. Where the device cuts datagrams (ADIT_OFFLOAD_USO) few super-packets carry them, otherwise they
 * leave one by one; nothing else differs. The pieces are borrowed until the return.
 * Returns how many were sent; fewer than there are, when one could not be: then adit_stack_send_datagram tells why.
 */
size_t adit_stack_send_datagrams(struct adit_stack *stack, adit_endpoint from, adit_endpoint to,
                                 const struct iovec *iov, unsigned iovcnt, size_t each);

/**
 * Answer a datagram with ICMP port unreachable. Only inside the `datagram` callback that brought it. Of datagrams that
 * came in one super-packet the first one refused is answered. Returns as above.
 */
int adit_stack_refuse_datagram(struct adit_stack *stack, const struct adit_datagram *datagram);

/**
 * Tell the sender of a datagram, at any time after it came, what became of it: as an ICMP error that quotes it. `local`
 * and `remote` are those of the datagram. `reporter` is who had the trouble (the router on which a TTL expired) and
 * becomes the source; of version 0, or of another than the datagram's: `local` itself. The pieces are the beginning of
 * its payload, as much as is known (none is fine), borrowed until the return; the error quotes at most what RFC 1812 and
 * RFC 4443 allow, and lengths as if that were all of it. Errors are bounded in rate; too many are silently not sent.
 * Returns 0, -EINVAL, -ENOBUFS, -EHOSTUNREACH.
 */
int adit_stack_send_unreachable(struct adit_stack *stack, adit_endpoint local, adit_endpoint remote,
                                enum adit_refusal how, adit_ip reporter, const struct iovec *iov, unsigned iovcnt);

/** Answer an echo request with its own data. Only inside the `echo` callback that brought it. Returns as above. */
int adit_stack_echo_reply(struct adit_stack *stack, const struct adit_echo *echo);

/**
 * Send an echo reply from one address to another, at any time: that of somebody else, passed on. `ttl` is its TTL or hop
 * limit, 0 = the usual. The pieces are its data, borrowed until the return.
 * Returns 0, -EMSGSIZE above 65507 bytes (IPv4) or 65527 (IPv6), -EINVAL, -ENOBUFS, -EHOSTUNREACH.
 */
int adit_stack_send_echo_reply(struct adit_stack *stack, adit_ip from, adit_ip to, uint16_t id, uint16_t sequence,
                               uint8_t ttl, const struct iovec *iov, unsigned iovcnt);

/**
 * As adit_stack_send_unreachable, about an echo request: `local`, `remote`, `id` and `sequence` are the request's, the
 * pieces the beginning of its data. -EINVAL for ADIT_REFUSE_RESET too: an echo has no port.
 */
int adit_stack_send_echo_error(struct adit_stack *stack, adit_ip local, adit_ip remote, uint16_t id, uint16_t sequence,
                               enum adit_refusal how, adit_ip reporter, const struct iovec *iov, unsigned iovcnt);

/* ---- statistics ------------------------------------------------------------------------------------------------- */

/** Counters since the stack was made; packets that the other side cuts (GSO) count once. */
struct adit_stack_stats {
  uint64_t packets_in;        /**< given to adit_stack_input */
  uint64_t bytes_in;          /**< their bytes */
  uint64_t packets_out;       /**< given to `output` */
  uint64_t bytes_out;         /**< their bytes */
  uint64_t flows_parked;      /**< SYNs that came as events */
  uint64_t flows_accepted;    /**< answered with SYN-ACK */
  uint64_t flows_refused;     /**< refused by whom it was attached to */
  uint64_t flows_closed;      /**< accepted flows that are gone */
  uint64_t datagrams_in;      /**< given to `datagram` */
  uint64_t datagrams_out;     /**< sent with adit_stack_send_datagram */
  uint64_t echoes;            /**< echo requests that arrived */
  uint64_t retransmissions;   /**< segments sent again */
  uint64_t flows_open;        /**< now: accepted and not gone, without TIME-WAIT */
  uint64_t memory_bytes;      /**< now: bytes of the budget in use */
  uint64_t drops[ADIT_DROPS]; /**< packets dropped, by reason */
};

/** Fill `stats`. */
void adit_stack_stats(const struct adit_stack *stack, struct adit_stack_stats *stats);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
