/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the files of src/stack share: the stack, its flows, and what each file does for the others.
 */
#ifndef ADIT_STACK_CORE_H
#define ADIT_STACK_CORE_H

#include <adit/stack.h>
#include <string.h>

#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "packet/header.h"
#include "packet/timestamps.h"
#include "port.h"

#define ADIT_SECOND UINT64_C(1000000000)
#define ADIT_MILLISECOND UINT64_C(1000000)

/** lwIP's slow TCP timer. */
#define ADIT_TICK (ADIT_MILLISECOND * 2 * TCP_TMR_INTERVAL)

/* ---- a flow ----------------------------------------------------------------------------------------------------- */

/** What is to be told to a flow's owner, or done for it, at the next flush (struct adit_flow, `pending`). */
enum adit_flow_pending {
  ADIT_PENDING_ACCEPT = 1 << 0,      /**< give the parked SYN to lwIP */
  ADIT_PENDING_REFUSE = 1 << 1,      /**< answer the parked SYN with `refusal`, then forget the flow */
  ADIT_PENDING_ESTABLISHED = 1 << 2, /**< event */
  ADIT_PENDING_READABLE = 1 << 3,    /**< event */
  ADIT_PENDING_PEER_CLOSED = 1 << 4, /**< event */
  ADIT_PENDING_WRITABLE = 1 << 5,    /**< event */
  ADIT_PENDING_CLOSED = 1 << 6,      /**< event, with `error`; the last one */
  ADIT_PENDING_FIN = 1 << 7,         /**< end the sending side */
  ADIT_PENDING_ABORT = 1 << 8        /**< reset the connection, then forget the flow */
};

/** Facts about a flow that last (struct adit_flow, `marks`). */
enum adit_flow_marks {
  ADIT_MARK_TOUCHED = 1 << 0,     /**< on the stack's list of touched flows */
  ADIT_MARK_RELEASED = 1 << 1,    /**< its owner is done with it: no more events */
  ADIT_MARK_WANTS_ROOM = 1 << 2,  /**< a write found too little room: `writable` is owed */
  ADIT_MARK_PEER_CLOSED = 1 << 3, /**< FIN received */
  ADIT_MARK_SHUT = 1 << 4,        /**< nothing more is to be written */
  ADIT_MARK_HTTPD = 1 << 5,       /**< belongs to lwIP's httpd */
  ADIT_MARK_LISTED = 1 << 6,      /**< in the flow table */
  ADIT_MARK_STARVED = 1 << 7,     /**< something waits for memory: to be tried again when time has passed */
  ADIT_MARK_PROMPT = 1 << 8,      /**< accepted as soon as its owner heard of it */
  ADIT_MARK_NARROW = 1 << 9,      /**< its path takes less than the connection's MSS, as far as is known */
  ADIT_MARK_AWAITS = 1 << 10,     /**< its owner answers soon: acknowledgments may wait for that */
  ADIT_MARK_DELAYED = 1 << 11,    /**< one does */
  ADIT_MARK_GAP = 1 << 12,        /**< something waits behind a gap, as of the last flush */
  ADIT_MARK_BIG = 1 << 13         /**< its peer takes long packets; see merge.c */
};

struct adit_chunk;
struct adit_flow;

/** Flows in order. A flow is in one list at most (struct adit_flow, `list`). */
struct adit_flow_list {
  struct adit_flow *first;
  struct adit_flow *last;
  uint32_t count;
};

/** One TCP connection, from its SYN until both sides have ended. See flow.c. */
struct adit_flow {
  struct adit_stack *stack;
  struct adit_flow *next_in_table; /**< chain of the flow table */
  struct adit_flow *next_touched;  /**< list of touched flows */
  struct adit_flow_list *list;     /**< the one it is in: `parked`, `opening`, `busy` or `gone`, or NULL */
  struct adit_flow *previous;      /**< in that list */
  struct adit_flow *next;
  const struct adit_flow_events *events; /**< borrowed; NULL when nobody is attached */
  void *user;
  struct tcp_pcb *pcb; /**< lwIP's; NULL while parked and after the connection is gone */
  uint8_t *syn;        /**< copy of the SYN's headers while parked, owned */
  uint16_t pending;    /**< set of enum adit_flow_pending */
  uint16_t marks;      /**< set of enum adit_flow_marks */
  uint8_t state;       /**< enum adit_flow_state */
  uint8_t refusal;     /**< enum adit_refusal */
  int16_t error;       /**< for ADIT_PENDING_CLOSED; negative errno */
  uint32_t hash;
  uint16_t syn_length;
  uint32_t syn_sequence;        /**< the client's first sequence number */
  uint32_t own_sequence;        /**< ours */
  uint32_t delayed;             /**< ADIT_MARK_DELAYED: its number in the stack's ring */
  uint32_t moved_s;             /**< when bytes last moved, either way */
  uint32_t narrowed_s;          /**< when its path was last said to be narrower */
  uint64_t parked_ns;           /**< when the last SYN came */
  struct adit_port_extra extra; /**< of the pcb */
  uint64_t id;
  adit_endpoint local;
  adit_endpoint remote;

  struct pbuf *received; /**< in order, linked by `next`; tot_len and references between them do not count */
  struct pbuf *received_tail;
  struct pbuf *settled;     /**< last one known to hold no buffer for little data; NULL: look at all */
  size_t received_bytes;    /**< not consumed yet */
  uint32_t received_offset; /**< bytes of the first one that are consumed */
  uint32_t consumed;        /**< bytes by which the window is to open at the next flush */
  uint32_t window;          /**< what the peer may have under way or waiting here, bytes; grows with use */
  uint32_t withheld;        /**< bytes by which the window has not opened yet */
  uint32_t used;            /**< bytes consumed since the last time that as much as `window` was */
  uint32_t window_us;       /**< when that was, low bits */
  uint32_t acknowledged;    /**< bytes of ours that the peer has, low bits */

  struct adit_chunk *chunks; /**< memory of bytes written and not acknowledged, oldest first; see flow_write.c */
  struct adit_chunk *chunks_tail;
  uint64_t written; /**< bytes given to lwIP since the beginning */

  uint64_t carried_up;   /**< bytes of the client's that came in order; tally.c */
  uint64_t carried_down; /**< bytes that it has acknowledged */

  struct adit_port_room room; /**< for `pcb`; last, so that it need not be cleared */
};

/* ---- a stack ---------------------------------------------------------------------------------------------------- */

/** A received packet that is being looked at. */
struct adit_inbound {
  struct adit_buffer *buffer; /**< borrowed */
  uint8_t *ip;                /**< its IP header */
  struct adit_header header;  /**< parsed */
  uint32_t hash;              /**< TCP: of its flow */
  bool refused;               /**< its sender was told that nobody takes it */
};

/** The end of a segment or datagram that is here, and its sender. */
static inline adit_endpoint adit_inbound_local(const struct adit_inbound *in) {
  return (adit_endpoint){in->header.destination, in->header.destination_port};
}

static inline adit_endpoint adit_inbound_remote(const struct adit_inbound *in) {
  return (adit_endpoint){in->header.source, in->header.source_port};
}

/** How many TCP segments wait for each other (segment.c). */
enum { ADIT_AHEAD = 16 };

struct adit_reassembly;
struct adit_syn_cache;
struct adit_wait;

/** Connections in TIME-WAIT; see wait.c. */
struct adit_waits {
  struct adit_wait **chains; /**< by hash; NULL before the first one */
  struct adit_wait *first;   /**< the one that ends first */
  struct adit_wait *last;
  uint32_t count;
};

/** A flow whose acknowledgment waits, see delay.c. */
struct adit_delayed {
  struct adit_flow *flow; /**< NULL when it has got its answer */
  uint64_t due_ns;
};

/** How long it waits at most. A busy relay answers after a few milliseconds; a client that sends the next piece only then
 * (RFC 896) shall not notice. */
#define ADIT_DELAY (4 * ADIT_MILLISECOND)

/** As many may wait, a power of two. */
enum { ADIT_DELAYED = 256 };

/** Segments of one flow that wait for each other, to leave as one packet; see merge.c. */
struct adit_merge {
  bool open;                                  /**< segments are looked at */
  uint64_t again_ns;                          /**< until then there are no long packets */
  uint8_t headers[100];                       /**< of IP and TCP, of the first one */
  unsigned ip_length;                         /**< bytes */
  unsigned length;                            /**< bytes of both headers */
  uint16_t mss;                               /**< by which they are to be cut */
  size_t payload;                             /**< bytes, of all */
  struct iovec piece[ADIT_PACKET_PIECES - 1]; /**< the payload, in lwIP's or their owner's memory */
  unsigned count;                             /**< pieces; 0 = none waits */
};

struct adit_stack {
  struct adit_port *port;
  struct adit_pool *pool; /**< for packets put together here */
  const struct adit_stack_events *events;
  void *user;
  uint32_t offload;
  uint32_t mtu;
  bool ethernet;
  bool big_tcp; /**< what takes our packets takes long ones */
  uint8_t mac[6];
  adit_cidr *answer;
  size_t answers;
  adit_ip *except;
  size_t excepts;
  uint32_t send_bytes;

  struct adit_flow **table; /**< flows by 4-tuple: chains */
  uint32_t table_mask;
  uint32_t table_count;
  uint32_t ahead_count;      /**< segments that wait in `ahead` */
  struct adit_flow *touched; /**< flows for which the next flush has something to do, in order */
  struct adit_flow *touched_tail;
  struct adit_flow_list parked;  /**< flows that wait for an answer, the one whose last SYN is oldest first */
  struct adit_flow_list opening; /**< accepted flows whose handshake is not over, the oldest first; busy ones as well */
  struct adit_flow_list busy; /**< flows that need lwIP's timers: something is to be sent, acknowledged or waited for */
  struct adit_flow_list gone; /**< flows without a connection that are not freed yet: their owner has not heard of it */
  uint32_t delayed_first;     /**< number of the first one in `delayed`; it waits, if there is one */
  uint32_t delayed_end;       /**< number behind the last one */
  uint32_t parked_limit;
  struct adit_syn_cache *syn_cache; /**< handshakes that had to make room; NULL without */
  bool starved;                     /**< there are flows with ADIT_MARK_STARVED */
  struct adit_waits waits;
  struct adit_chunk *spare;        /**< list, for the next bytes that somebody writes; see flow_write.c */
  const struct adit_flow *lent_to; /**< whose reserve was the last one; NULL when that is over */
  struct adit_merge merge;
  uint64_t last_id;

  struct tcp_pcb_listen *listener; /**< takes SYNs of accepted flows; its port is theirs for that moment */
  struct tcp_pcb_listen *httpd;    /**< lwIP's httpd's, NULL until adit_httpd_start */
  const struct adit_httpd_content *httpd_content;
  void *httpd_user;
  struct adit_flow *accepting; /**< whose SYN lwIP is looking at */
  uint8_t pcb_slot;            /**< number of the extension of lwIP's pcbs that points to the flow */

  struct adit_reassembly *reassemblies; /**< oldest first; see reassembly.c */
  struct adit_reassembly *reassemblies_tail;
  uint32_t reassembly_count;

  struct adit_inbound *inbound;   /**< what the `datagram` or `echo` callback under way is about */
  uint64_t tick_ns;               /**< when lwIP's TCP timer is due next; UINT64_MAX: not needed */
  uint32_t idle_ms;               /**< for how long nothing may move on a connection; 0 = for ever */
  uint64_t sweep_ns;              /**< when idle connections are looked for next; UINT64_MAX: not needed */
  uint64_t second_ns;             /**< when the slow timers are due next; UINT64_MAX: not needed */
  struct adit_port_rate errors;   /**< ICMP errors */
  struct adit_port_rate refusals; /**< ICMP errors that refuse a parked SYN */
  struct adit_port_rate resets;   /**< RSTs for segments that belong to no connection */
  struct adit_stack_stats stats;

  struct adit_inbound ahead[ADIT_AHEAD];     /**< in order, their buffers held */
  struct adit_delayed delayed[ADIT_DELAYED]; /**< ring, the one that is due first first */
};

/** Count a dropped packet. */
void adit_stack_drop(struct adit_stack *stack, enum adit_drop reason);

/** Whether `ip` is an address that the stack answers for. */
bool adit_stack_is(const struct adit_stack *stack, adit_ip ip);

/* input.c */

/** Somebody of whom nothing may be known is about to be answered. Matters over Ethernet. */
void adit_input_meet_sender(const struct adit_stack *stack, const struct adit_inbound *in);

/* segment.c */

/** A TCP segment came, and is yet to be checked: where its flow is in the table is asked of memory meanwhile. */
void adit_segment_announce(const struct adit_stack *stack, struct adit_inbound *in);

/** A TCP segment came, checked. It reaches its flow with one of the next ones, or with the flush. */
void adit_segment_input(struct adit_stack *stack, struct adit_inbound *in);

/** Deliver those that wait. */
void adit_segment_flush(struct adit_stack *stack);

/** Forget them. */
void adit_segment_discard(struct adit_stack *stack);

/* neighbour.c */

/** An Ethernet frame with ARP came; borrowed. */
void adit_neighbour_arp(struct adit_stack *stack, const uint8_t *frame, size_t length);

/** A neighbour solicitation or advertisement came. */
void adit_neighbour_discovery(struct adit_stack *stack, const struct adit_inbound *in);

/** Whether both are the same end of a conversation. */
static inline bool adit_endpoint_same(const adit_endpoint *a, const adit_endpoint *b) {
  return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

/* table.c */
int adit_table_new(struct adit_stack *stack);

/** A flow's place in the table, which nobody without the stack's secret can tell. Equal for equal tuples, as long as the stack. */
uint32_t adit_table_hash(const struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote);

/** The same of what came in, which is TCP or UDP. */
uint32_t adit_table_hash_inbound(const struct adit_stack *stack, const struct adit_inbound *in);

/** The chain of flows with this hash and others; valid until a flow is added. */
static inline struct adit_flow **adit_table_chain(const struct adit_stack *stack, uint32_t hash) {
  return &stack->table[hash & stack->table_mask];
}

/** The flow with this tuple, whose hash is `hash`, or NULL. */
struct adit_flow *adit_table_find(const struct adit_stack *stack, const adit_endpoint *local,
                                  const adit_endpoint *remote, uint32_t hash);
void adit_table_add(struct adit_stack *stack, struct adit_flow *flow);
void adit_table_remove(struct adit_stack *stack, struct adit_flow *flow);

/* syn.c */

/** Find the timestamps in the options of a TCP segment, of which `header` was parsed. Returns whether they are there. */
static inline bool adit_inbound_timestamps(const uint8_t *ip, const struct adit_header *header,
                                           struct adit_timestamps *found) {
  enum { TCP_HEADER = 20 };
  uint32_t options = header->transport + TCP_HEADER;
  return adit_timestamps_find(ip + options, header->payload - options, found);
}

/** A SYN came for `flow`, or for none when NULL. */
void adit_syn_input(struct adit_stack *stack, struct adit_inbound *in, struct adit_flow *flow);

/** A RST came for a parked flow. */
void adit_syn_reset(struct adit_flow *flow, const struct adit_inbound *in);

/** Do what is pending for a parked flow. */
void adit_syn_flush(struct adit_flow *flow);

/** Give up flows whose client sends no SYN any more. */
void adit_syn_expire(struct adit_stack *stack);

/**
 * A SYN that was answered before is made again: ask its owner anew, and have lwIP answer with the initial sequence number
 * `ours`. Returns the flow, which has its pcb, or NULL when it was not accepted at once.
 */
struct adit_flow *adit_syn_again(struct adit_stack *stack, struct adit_inbound *in, uint32_t ours);

/* syn_cache.c */

/** The flow's handshake has to make room: remember it, if it can be taken up again. */
void adit_syn_cache_keep(const struct adit_flow *flow);

/** The client begins anew: what is remembered of its handshake means nothing any more. */
void adit_syn_cache_void(struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote,
                         uint32_t hash);

/** A segment came that is no flow's. Returns the flow whose handshake it ends, and which is to have it, or NULL. */
struct adit_flow *adit_syn_cache_input(struct adit_stack *stack, const struct adit_inbound *in);

void adit_syn_cache_expire(struct adit_stack *stack);
void adit_syn_cache_free(struct adit_stack *stack);

/* core.c, flow.c, flush.c */

/** A flow that is in no list yet, or NULL when memory is out. */
struct adit_flow *adit_flow_new(struct adit_stack *stack, const adit_endpoint *local, const adit_endpoint *remote);

/** Put the flow at the end of a list; it leaves the one that it is in. */
void adit_flow_link(struct adit_flow_list *list, struct adit_flow *flow);

/** Take the flow out of the list that it is in, if any. */
void adit_flow_unlink(struct adit_flow *flow);

/** Note whether the flow needs lwIP's timers. */
void adit_flow_rest(struct adit_flow *flow);

/** End the flow's connection, with a RST to the peer if `reset`; its owner hears `error`. */
void adit_flow_end(struct adit_flow *flow, int error, bool reset);

/** Have the next flush look at the flow. */
void adit_flow_touch(struct adit_flow *flow);

/** The connection is gone: say so, or forget the flow when nobody would hear it. */
void adit_flow_gone(struct adit_flow *flow, int error);

/** Free everything that the flow holds, and the flow. It must neither be in the table nor touched. */
void adit_flow_free(struct adit_flow *flow);

/** Events, then output, of all touched flows. */
void adit_flow_flush(struct adit_stack *stack);

/** The callbacks that tie a pcb to its flow, for a listening pcb. */
extern const struct tcp_ext_arg_callbacks adit_flow_callbacks;

/** lwIP's `accept` callback of the listening pcb. */
err_t adit_flow_on_accept(void *arg, struct tcp_pcb *pcb, err_t err);

/* delay.c */

/**
 * The flow has an acknowledgment to send, after `consumed` bytes were read in this flush. Returns whether that waits: then
 * the flow is looked at again in time.
 */
bool adit_delay_acknowledgment(struct adit_flow *flow, uint32_t consumed);

/** The flow has sent it, or is gone. */
void adit_delay_end(struct adit_flow *flow);

/** When the first one that waits is due; UINT64_MAX: none waits. */
uint64_t adit_delay_deadline(const struct adit_stack *stack);

/** Have the next flush send those that are due. */
void adit_delay_expire(struct adit_stack *stack);

/* tally.c */

/** Bring the flow's sums up to date. At every flush in which it takes part. */
void adit_tally(struct adit_flow *flow);

/* flow_read.c */

/** lwIP's `recv` callback. */
err_t adit_flow_on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t err);

/** The flow has got its pcb: begin with a small window. */
void adit_flow_begin_window(struct adit_flow *flow);

/** Open the window by what was consumed. Returns whether the peer should be told at once. */
bool adit_flow_open_window(struct adit_flow *flow);

/** Let go of buffers of which only a small part is still needed. */
void adit_flow_settle(struct adit_flow *flow);

/** Free what was received. */
void adit_flow_discard(struct adit_flow *flow);

/* flow_write.c */

/** Have the next flush look at all flows for which something waits for memory. */
void adit_flow_feed(struct adit_stack *stack);

/** Free the memory of bytes that have been acknowledged; note whether `writable` is due. */
void adit_flow_reclaim(struct adit_flow *flow);

/** Free all memory of bytes written. lwIP must hold none of them any more. */
void adit_flow_free_chunks(struct adit_flow *flow);

/** Give back the spare memory. Nobody may be filling it. */
void adit_flow_free_spare(struct adit_stack *stack);

/* idle.c */

/** Bytes have moved. */
void adit_idle_moved(struct adit_flow *flow);

/** There are connections: look at them later. */
void adit_idle_need(struct adit_stack *stack);

/** End those on which nothing moves. */
void adit_idle_sweep(struct adit_stack *stack);

/* wait.c */

/** The flow's connection has come to TIME-WAIT: make a record of it, if there is memory. */
void adit_wait_begin(struct adit_flow *flow);

/** A segment came that is no flow's. Returns whether it was for a connection in TIME-WAIT, and has been dealt with. */
bool adit_wait_input(struct adit_stack *stack, const struct adit_inbound *in);

void adit_wait_expire(struct adit_stack *stack);
void adit_wait_free(struct adit_stack *stack);

/* pmtu.c */

/** An ICMP message came that is no echo. Returns whether it told of a narrower path, and was believed. */
bool adit_pmtu_input(struct adit_stack *stack, const struct adit_inbound *in);

/** The flow may send: forget its path's narrowness when that was long ago. */
void adit_pmtu_expire(struct adit_flow *flow);

/* datagram.c, echo.c, reassembly.c */
void adit_datagram_input(struct adit_stack *stack, struct adit_inbound *in);
void adit_echo_input(struct adit_stack *stack, struct adit_inbound *in);

/**
 * Take a fragment. Returns the whole packet in a buffer that the caller owns, IP header at its `data`, once the last
 * fragment is here; NULL before. The fragment's buffer is borrowed.
 */
struct adit_buffer *adit_reassembly_input(struct adit_stack *stack, const struct adit_inbound *in);
void adit_reassembly_expire(struct adit_stack *stack);
void adit_reassembly_free(struct adit_stack *stack);

/* output.c */

/** Send an IP packet with `protocol` from one address to another: header made here, fragmented where it is too long. */
int adit_output_ip(struct adit_stack *stack, uint8_t protocol, adit_ip from, adit_ip to, const struct iovec *iov,
                   unsigned iovcnt);

/** The same with a TTL or hop limit that is not the usual one. */
int adit_output_ip_ttl(struct adit_stack *stack, uint8_t protocol, uint8_t ttl, adit_ip from, adit_ip to,
                       const struct iovec *iov, unsigned iovcnt);

/** Send a UDP super-packet over a TUN, to be cut into datagrams of `each` bytes of payload. Its first piece is the UDP header. */
int adit_output_super(struct adit_stack *stack, adit_ip from, adit_ip to, const struct iovec *iov, unsigned iovcnt,
                      uint16_t each);

/**
 * Write the IP header that a packet of `length` bytes behind it may have had, to be quoted. Returns the header's length,
 * 40 bytes at most.
 */
size_t adit_output_quote(uint8_t *at, uint8_t protocol, adit_ip from, adit_ip to, size_t length);

/**
 * Send a TCP segment without data, of a connection that lwIP does not know. Its window is zero. `stamps` are its timestamps;
 * NULL: none.
 */
int adit_output_segment(struct adit_stack *stack, const adit_endpoint *from, const adit_endpoint *to, uint8_t flags,
                        uint32_t sequence, uint32_t acknowledged, const struct adit_timestamps *stamps);

/** Answer a segment that is no connection's with RST (RFC 9293, 3.10.7.1), unless it is one itself. */
int adit_output_reset(struct adit_stack *stack, const struct adit_header *header);

/**
 * Send a TCP segment, whole but for checksums and what every IPv4 packet gets here. `transport` is where its TCP header begins,
 * `mss` by how much it is to be cut if it is longer. The first piece holds all headers.
 * Returns what `output` returned.
 */
int adit_output_tcp(struct adit_stack *stack, const struct iovec *iov, unsigned iovcnt, size_t length,
                    unsigned transport, uint16_t mss);

/** The part of `iov` from `skip` on, `length` bytes. Returns the number of pieces in `part`. */
unsigned adit_output_part(const struct iovec *iov, unsigned iovcnt, size_t skip, size_t length, struct iovec *part);

/** What lwIP sends (struct adit_port_options, `output`). */
void adit_output_pbuf(void *user, struct pbuf *packet, unsigned link, uint16_t mss);

/* merge.c */

/** `flow` is new, and this is its SYN, an IP packet: whether its peer takes long packets. */
void adit_merge_look(struct adit_flow *flow, const uint8_t *syn);

/** What lwIP sends from now on is of this flow. */
void adit_merge_begin(struct adit_flow *flow);

/** lwIP sends this segment of the flow. Returns whether it waits for others; its payload must stay until the end. */
bool adit_merge_take(struct adit_stack *stack, const struct pbuf *segment, uint16_t mss);

/** That was all: what waits is sent. */
void adit_merge_end(struct adit_stack *stack);

/* unreachable.c */

/** Whether one more ICMP error may be sent. */
bool adit_output_may_complain(struct adit_stack *stack);

/**
 * Answer the packet whose first bytes are `ip` with the ICMP error that says `how`, ADIT_REFUSE_RESET being port
 * unreachable. The caller has asked whether it may.
 */
int adit_output_unreachable(struct adit_stack *stack, const uint8_t *ip, size_t length,
                            const struct adit_header *header, enum adit_refusal how);

/* timer.c */

/** A connection exists: the TCP timer has to run. */
void adit_timer_need_tcp(struct adit_stack *stack);

/** Something waits that the slow timers look after. */
void adit_timer_need_second(struct adit_stack *stack);

#endif
