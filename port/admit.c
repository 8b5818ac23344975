/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What lwIP would get wrong about a segment for a connection; asked before lwIP looks at it.
 *
 * Options: lwIP takes MSS, window scale and SACK-permitted from any segment, without the bounds of the handshake. A smaller
 * MSS breaks its queue of large segments (tcp_write relies on the limit not falling), a larger one exceeds the MTU. They
 * mean something in the SYN alone (RFC 9293, 3.2), which the listening pcb has seen; here lwIP is shown none. Timestamps are
 * taken from every segment (timestamp.c), and lwIP does not know them.
 *
 * Window: lwIP trims what lies behind the window, but not the first segment that it keeps out of order, nor a FIN that is
 * kept when bytes behind it arrive. Its count of the window then falls below zero. Such a segment is no honest peer's: it is
 * acknowledged and dropped.
 *
 * A window that shrinks: lwIP ignores it when sequence and acknowledgment number are those of the last update, and would
 * send into a closed window until it gives up. RFC 9293 3.10.7.4 takes the newest: SND.WL2 =< SEG.ACK.
 *
 * Blind attacks (RFC 5961): lwIP takes data whose acknowledgment is beyond what was sent, or that has none, accepts a RST one
 * byte beyond the window, and answers each strange segment with an ACK. Here RST, SYN and ACK are held against the RFC, and
 * such answers are limited for the whole stack.
 */
#include <stdbool.h>
#include <string.h>

#include "hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "state.h"

enum { CHALLENGE_BURST = 100, CHALLENGE_RATE = 1000 /* a second */ };

enum { END = 0 };

/* Read the timestamps, and let lwIP see no option. Returns whether there were timestamps. */
static bool take_options(const struct tcp_pcb *pcb, u8_t *options, u16_t length, struct adit_timestamps *seen) {
  if (length == 0) return false;
  bool stamped = (pcb->flags & ADIT_PORT_STAMPED) && adit_timestamps_find(options, length, seen);
  options[0] = END;
  return stamped;
}

static bool keeps_fin(const struct tcp_pcb *pcb) {
  for (const struct tcp_seg *segment = pcb->ooseq; segment; segment = segment->next)
    if (TCPH_FLAGS(segment->tcphdr) & TCP_FIN) return true;
  return false;
}

static bool overruns(const struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t length) {
  u32_t edge = pcb->rcv_nxt + pcb->rcv_wnd;
  bool fin = (TCPH_FLAGS(header) & TCP_FIN) != 0;
  u32_t end = header->seqno + length + fin;
  if (TCP_SEQ_GT(header->seqno, pcb->rcv_nxt)) return TCP_SEQ_GT(end, edge);
  return !fin && length > 0 && pcb->ooseq && TCP_SEQ_GEQ(end, edge) && keeps_fin(pcb);
}

static bool shrinks_window(const struct tcp_pcb *pcb, const struct tcp_hdr *header) {
  return (TCPH_FLAGS(header) & TCP_ACK) && header->seqno == pcb->snd_wl1 && header->ackno == pcb->snd_wl2 &&
         (u32_t)SND_WND_SCALE(pcb, header->wnd) < pcb->snd_wnd;
}

/* Whether a challenge ACK, or one for a segment outside of the window, may still be sent (RFC 5961, 7). */
static bool may_challenge(void) {
  return adit_port_allows(&adit_port_current()->challenges, CHALLENGE_BURST, CHALLENGE_RATE);
}

static err_t challenge(struct tcp_pcb *pcb) {
  if (may_challenge()) tcp_ack_now(pcb); /* with the end of the burst */
  return ERR_VAL;
}

/* RFC 7323, 3.2: a peer that has agreed to timestamps sends none without. */
static err_t count_unstamped(void) {
  adit_port_current()->unstamped_segments++;
  return ERR_VAL;
}

/* RFC 7323, 5.3, R1. */
static err_t challenge_old(struct tcp_pcb *pcb) {
  adit_port_current()->old_segments++;
  return challenge(pcb);
}

/* RFC 5961, 3.2: only the very next sequence number resets; one that lies in the window is challenged. */
static err_t admit_reset(struct tcp_pcb *pcb, const struct tcp_hdr *header) {
  u32_t offset = header->seqno - pcb->rcv_nxt;
  if (offset == 0) return ERR_OK;
  return offset < pcb->rcv_wnd ? challenge(pcb) : ERR_VAL;
}

/* RFC 5961, 5.2: it acknowledges what was sent, and not what was sent long ago. */
static bool acknowledges_sanely(const struct tcp_pcb *pcb, const struct tcp_hdr *header) {
  return TCP_SEQ_LEQ(header->ackno, pcb->snd_nxt) && TCP_SEQ_GEQ(header->ackno, pcb->lastack - pcb->snd_wnd_max);
}

/* All of it lies before or behind the window: lwIP will acknowledge it. */
static bool is_outside(const struct tcp_pcb *pcb, const struct tcp_hdr *header, u32_t length) {
  u32_t end = header->seqno + length;
  if (length == 0) return TCP_SEQ_LT(header->seqno, pcb->rcv_nxt) || TCP_SEQ_GT(end, pcb->rcv_nxt + pcb->rcv_wnd);
  return TCP_SEQ_LEQ(end, pcb->rcv_nxt) || TCP_SEQ_GEQ(header->seqno, pcb->rcv_nxt + LWIP_MAX(pcb->rcv_wnd, 1));
}

/* In slow start lwIP counts two segments for each ACK (RFC 3465, L = 2). One ACK is for a whole super-packet here. */
static void count_acknowledged(struct tcp_pcb *pcb, const struct tcp_hdr *header) {
  u32_t acked = header->ackno - pcb->lastack;
  u32_t counted = 2U * pcb->mss;
  if (pcb->cwnd >= pcb->ssthresh || acked <= counted || (pcb->flags & (TF_RTO | TF_INFR))) return;
  if (TCP_SEQ_GT(header->ackno, pcb->lastack)) pcb->cwnd += LWIP_MIN(acked - counted, pcb->ssthresh - pcb->cwnd);
}

err_t adit_port_admit_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_bytes,
                              const struct pbuf *data) {
  u8_t flags = TCPH_FLAGS(header);
  u32_t length = data->tot_len + (u32_t)((flags & TCP_FIN) != 0);
  if (pcb->state == LISTEN) return ERR_OK;
  struct adit_timestamps seen;
  bool stamped = take_options(pcb, (u8_t *)(header + 1), option_bytes, &seen);
  if (flags & TCP_RST) return admit_reset(pcb, header);
  if (flags & TCP_SYN) {
    bool repeated = pcb->state == SYN_RCVD && header->seqno == pcb->rcv_nxt - 1;
    if (!repeated) return challenge(pcb); /* RFC 5961, 4.2 */
    if (stamped && !adit_port_is_old(pcb, &seen)) adit_port_remember(pcb, header, &seen);
    return ERR_OK;
  }
  if (!(flags & TCP_ACK)) return ERR_VAL; /* RFC 9293, 3.10.7.4 */
  if (pcb->flags & ADIT_PORT_STAMPED) {
    if (!stamped) return count_unstamped();
    if (adit_port_is_old(pcb, &seen)) return challenge_old(pcb);
  }
  if (pcb->state >= ESTABLISHED) {
    if (!acknowledges_sanely(pcb, header)) return challenge(pcb);
    if (shrinks_window(pcb, header)) pcb->snd_wl1--; /* so that it counts as newer */
    count_acknowledged(pcb, header);
  }
  if (overruns(pcb, header, data->tot_len)) return challenge(pcb);
  if (is_outside(pcb, header, length)) return may_challenge() ? ERR_OK : ERR_VAL;
  if (stamped) {
    adit_port_remember(pcb, header, &seen);
    adit_port_time_trip(pcb, header, &seen);
  }
  return ERR_OK;
}
