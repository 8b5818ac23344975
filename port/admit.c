/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What lwIP would get wrong about a segment for a connection; asked before lwIP looks at it.
 *
 * Options: lwIP takes MSS, window scale and SACK-permitted from any segment, without the bounds of the handshake. A smaller
 * MSS breaks its queue of large segments (tcp_write relies on the limit not falling), a larger one exceeds the MTU. They
 * mean something in the SYN alone (RFC 9293, 3.2), which the listening pcb has seen; here they are blanked.
 *
 * Window: lwIP trims what lies behind the window, but not the first segment that it keeps out of order, nor a FIN that is
 * kept when bytes behind it arrive. Its count of the window then falls below zero. Such a segment is no honest peer's: it is
 * acknowledged and dropped.
 *
 * A window that shrinks: lwIP ignores it when sequence and acknowledgment number are those of the last update, and would
 * send into a closed window until it gives up. RFC 9293 3.10.7.4 takes the newest: SND.WL2 =< SEG.ACK.
 */
#include <stdbool.h>
#include <string.h>

#include "hooks.h"
#include "lwip/priv/tcp_priv.h"

enum { END = 0, NO_OPERATION = 1, MAXIMUM_SEGMENT_SIZE = 2, WINDOW_SCALE = 3, SACK_PERMITTED = 4 };

static void blank_options(u8_t *options, unsigned length) {
  unsigned at = 0;
  while (at < length && options[at] != END) {
    u8_t kind = options[at];
    unsigned bytes = kind == NO_OPERATION ? 1 : at + 1 < length ? options[at + 1] : 0;
    if (bytes == 0 || (bytes == 1 && kind != NO_OPERATION) || bytes > length - at) bytes = length - at; /* malformed */
    if (kind == MAXIMUM_SEGMENT_SIZE || kind == WINDOW_SCALE || kind == SACK_PERMITTED)
      memset(options + at, NO_OPERATION, bytes);
    at += bytes;
  }
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

err_t adit_port_admit_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_bytes,
                              const struct pbuf *data) {
  if (pcb->state == LISTEN || pcb->state == TIME_WAIT) return ERR_OK;
  if (option_bytes > 0) blank_options((u8_t *)(header + 1), option_bytes);
  if (pcb->state >= ESTABLISHED && shrinks_window(pcb, header)) pcb->snd_wl1--; /* so that it counts as newer */
  if ((TCPH_FLAGS(header) & TCP_RST) || !overruns(pcb, header, data->tot_len)) return ERR_OK;
  tcp_ack_now(pcb); /* with the end of the burst */
  return ERR_VAL;
}
