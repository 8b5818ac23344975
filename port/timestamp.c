/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TCP timestamps (RFC 7323): when a segment was sent, and when the one that it answers was.
 *
 * lwIP has an option for them (LWIP_TCP_TIMESTAMPS), which is off: it sends them in some segments only, takes any that comes
 * for the latest, drops nothing for being old, and its clock is that of the stack. So they are added by its hooks. pcb->mss is
 * what a segment carries beside the option (RFC 6691), which is the only way in which the rest of port/ notices.
 *
 * Negotiated by the SYN: with the option there, it is in every segment from the SYN-ACK on, and has to be in each that comes.
 *
 *   TSval   milliseconds, from a beginning that is a keyed hash of the 4-tuple: nobody learns how long the stack has been
 *           running (RFC 7323, 5.4), and for one who opens the same connection again the clock goes on (RFC 6191, 3)
 *   TSecr   TS.Recent: TSval of the last segment that began where the last acknowledgment ended, or before (RFC 7323, 4.3). Of
 *           several segments that are acknowledged together it is the first one's, and none that came out of order
 *
 * PAWS (RFC 7323, 5): a segment that is older than TS.Recent is a duplicate out of a former turn of the sequence numbers, or of
 * a former connection. It is dropped and acknowledged. TS.Recent itself ages: a connection that was silent for longer than
 * 24 days (clocks of a millisecond turn by half) believes what comes. Its age is kept in hours, in 16 bits.
 */
#include <string.h>

#include "hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "packet/timestamps.h"
#include "state.h"

enum { LONGEST_TRIP = 60000 }; /* ms: an echo of longer ago is none of ours, and would be more than lwIP's sums hold */

#define HOUR UINT64_C(3600000000000)
enum { VALID_HOURS = 24 * 24 };

static uint32_t offset_of(const adit_endpoint *local, const adit_endpoint *remote) {
  struct {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
  } tuple = {.local_port = local->port, .remote_port = remote->port};
  memcpy(tuple.local, local->ip.bytes, sizeof tuple.local);
  memcpy(tuple.remote, remote->ip.bytes, sizeof tuple.remote);
  return (uint32_t)adit_port_hash(adit_port_current(), ADIT_HASH_TIMESTAMP, &tuple, sizeof tuple);
}

static uint32_t clock_ms(void) {
  return (uint32_t)(adit_port_now() / 1000000);
}

static uint16_t clock_hours(void) {
  return (uint16_t)(adit_port_now() / HOUR);
}

uint32_t adit_port_timestamp(const adit_endpoint *local, const adit_endpoint *remote) {
  return clock_ms() + offset_of(local, remote);
}

void adit_port_stamp(struct tcp_pcb *pcb, const adit_endpoint *local, const adit_endpoint *remote, uint32_t recent) {
  struct adit_port_extra *extra = adit_port_extra_of(pcb);
  extra->offset = offset_of(local, remote);
  extra->recent = recent;
  extra->recent_hours = clock_hours();
  extra->acknowledged = pcb->rcv_nxt;
  pcb->mss = (u16_t)(pcb->mss - ADIT_PORT_STAMP);
  tcp_set_flags(pcb, ADIT_PORT_STAMPED);
}

bool adit_port_stamped(const struct tcp_pcb *pcb) {
  return (pcb->flags & ADIT_PORT_STAMPED) != 0;
}

void adit_port_add_timestamps(const struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t *options) {
  struct adit_port_extra *extra = adit_port_extra_of(pcb);
  struct adit_timestamps stamps = {.value = clock_ms() + extra->offset, .echo = extra->recent};
  adit_timestamps_put((uint8_t *)options, stamps);
  if (!(TCPH_FLAGS(header) & TCP_RST)) extra->acknowledged = pcb->rcv_nxt;
}

bool adit_port_is_old(const struct tcp_pcb *pcb, const struct adit_timestamps *seen) {
  const struct adit_port_extra *extra = adit_port_extra_of(pcb);
  if (!TCP_SEQ_LT(seen->value, extra->recent)) return false;
  return (uint16_t)(clock_hours() - extra->recent_hours) <= VALID_HOURS;
}

void adit_port_remember(const struct tcp_pcb *pcb, const struct tcp_hdr *header, const struct adit_timestamps *seen) {
  struct adit_port_extra *extra = adit_port_extra_of(pcb);
  if (!TCP_SEQ_LEQ(header->seqno, extra->acknowledged)) return;
  extra->recent = seen->value;
  extra->recent_hours = clock_hours();
}

_Static_assert(ADIT_PORT_STAMP == ADIT_TIMESTAMPS, "the room that lwIP leaves");

/*
 * lwIP takes the time of one segment in each round trip, and begins again with a segment that is sent a second time: whose
 * acknowledgment may be the first one's (Karn's problem), and then the path looks shorter than it is. The echo tells which
 * (RFC 7323, 4.1). So when lwIP is about to take a time, its beginning is set to what the echo says.
 */
void adit_port_time_trip(struct tcp_pcb *pcb, const struct tcp_hdr *header, const struct adit_timestamps *seen) {
  bool takes = pcb->rttest != 0 && TCP_SEQ_LT(pcb->rtseq, header->ackno) && TCP_SEQ_LT(pcb->lastack, header->ackno);
  if (!takes) return;
  uint32_t trip = clock_ms() + adit_port_extra_of(pcb)->offset - seen->echo;
  if (trip > LONGEST_TRIP) return;
  pcb->rttest = tcp_ticks - trip / TCP_SLOW_INTERVAL;
  if (pcb->rttest == 0) pcb->rttest = 1; /* 0 means none */
}
