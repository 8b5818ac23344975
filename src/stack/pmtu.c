/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Path MTU discovery: a router on the way to a peer says that a TCP segment was too long for its next link (RFC 1191: ICMP
 * "fragmentation needed"; RFC 8201: ICMPv6 "packet too big").
 *
 * Anybody can say so, and make a connection slow by it. So it has to quote a segment of ours (RFC 5927, 4 and 7): the 4-tuple
 * is that of a connection, and the sequence number lies in what is under way. The new size must be less than what is sent now,
 * and is never below LEAST4; one below that of every IPv6 link is not believed at all. So each message that is believed makes
 * a connection narrower, and there can only be so many in a while.
 *
 * Nobody says that a path has become wider. So LIFE_S after it last became narrower that is forgotten (RFC 1191, 6.3; RFC 8201,
 * 4: not before 5 minutes, better after 10): the connection sends segments as at its beginning, and when they are still too
 * long it is told so again, at the cost of those. No timer runs for that: the flush asks, when something may be sent.
 *
 * Datagrams are not sent in pieces that fit the path; they are cut by the link's MTU, and IPv4 routers cut them again.
 */
#include <netinet/in.h>

#include "lwip/priv/tcp_priv.h"
#include "packet/icmp.h"
#include "stack/core.h"

enum {
  HEADER = 8, /* of the message */
  IP4_HEADER = 20,
  IP6_HEADER = 40,
  TCP_QUOTED = 8, /* bytes of the TCP header that have to be there: ports and sequence number */
  TCP_HEADER = 20,
  LEAST4 = 552,  /* bytes: as Linux's min_pmtu. Narrower links are history, and their mention is an attack */
  LEAST6 = 1280, /* RFC 8200, 5 */
  LIFE_S = 600
};

static uint32_t get16(const uint8_t *at) {
  return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at) {
  return get16(at) << 16 | get16(at + 2);
}

/* What the message says. */
struct report {
  uint32_t mtu;
  uint32_t headers; /* bytes of a segment that are not payload */
  adit_endpoint local;
  adit_endpoint remote;
  uint32_t sequence;
};

/* Where the quoted TCP header begins, or 0 when it is none of ours: fragments and extension headers are nothing we send. */
static size_t quoted_transport(const uint8_t *quote, size_t length, unsigned version) {
  if (length < IP4_HEADER || quote[0] >> 4 != version) return 0;
  size_t headers = version == 4 ? (quote[0] & 15U) * 4U : IP6_HEADER;
  uint8_t protocol = quote[version == 4 ? 9 : 6];
  if (headers < IP4_HEADER || length < headers + TCP_QUOTED || protocol != IPPROTO_TCP) return 0;
  return version == 4 && (get16(quote + 6) & 0x3fff) != 0 ? 0 : headers;
}

static bool parse(const struct adit_inbound *in, struct report *report) {
  const struct adit_header *header = &in->header;
  const uint8_t *message = in->ip + header->transport;
  unsigned version = header->version;
  if (header->length < header->transport + HEADER) return false;
  if (version == 4 && (message[0] != ADIT_ICMP_UNREACHABLE || message[1] != ADIT_ICMP_FRAGMENTATION_NEEDED))
    return false;
  if (version == 6 && (message[0] != ADIT_ICMP6_TOO_BIG || message[1] != 0)) return false;
  const uint8_t *quote = message + HEADER;
  size_t transport = quoted_transport(quote, header->length - header->transport - HEADER, version);
  if (transport == 0) return false;
  unsigned size = version == 4 ? 4 : 16;
  const uint8_t *addresses = quote + (version == 4 ? 12 : 8);
  const uint8_t *tcp = quote + transport;
  report->local = (adit_endpoint){adit_ip_from_bytes(version, addresses), (uint16_t)get16(tcp)};
  report->remote = (adit_endpoint){adit_ip_from_bytes(version, addresses + size), (uint16_t)get16(tcp + 2)};
  report->sequence = get32(tcp + 4);
  report->mtu = version == 4 ? get16(message + 6) : get32(message + 4);
  report->headers = (version == 4 ? IP4_HEADER : IP6_HEADER) + TCP_HEADER;
  if (version == 4) report->mtu = LWIP_MAX(report->mtu, (uint32_t)LEAST4); /* old routers say 0 (RFC 1191, 5) */
  return report->mtu >= (version == 4 ? (uint32_t)LEAST4 : (uint32_t)LEAST6) &&
         adit_ip_equal(report->local.ip, header->destination);
}

static bool is_under_way(const struct tcp_pcb *pcb, uint32_t sequence) {
  return pcb->state >= ESTABLISHED && TCP_SEQ_GEQ(sequence, pcb->lastack) && TCP_SEQ_LT(sequence, pcb->snd_nxt);
}

static uint32_t now_s(void) {
  return (uint32_t)(adit_port_now() / ADIT_SECOND);
}

bool adit_pmtu_input(struct adit_stack *stack, const struct adit_inbound *in) {
  struct report report;
  if (!parse(in, &report)) return false;
  uint32_t hash = adit_table_hash(stack, &report.local, &report.remote);
  struct adit_flow *flow = adit_table_find(stack, &report.local, &report.remote, hash);
  if (!flow || !flow->pcb || !is_under_way(flow->pcb, report.sequence)) return false;
  if (adit_port_stamped(flow->pcb)) report.headers += ADIT_TIMESTAMPS;
  if (report.mtu - report.headers >= adit_port_mss(flow->pcb)) return false;
  adit_port_narrow(flow->pcb, (uint16_t)(report.mtu - report.headers));
  flow->marks |= ADIT_MARK_NARROW;
  flow->narrowed_s = now_s();
  adit_flow_touch(flow); /* the flush sends */
  return true;
}

void adit_pmtu_expire(struct adit_flow *flow) {
  if (now_s() - flow->narrowed_s < LIFE_S) return;
  flow->marks &= (uint16_t)~ADIT_MARK_NARROW;
  adit_port_widen(flow->pcb);
}
