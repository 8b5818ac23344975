/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Large segments: lwIP queues up to 64 KiB as one segment, and whoever takes it cuts it by the MSS.
 *
 * lwIP sends a segment whole or not at all, so one that is longer than the window allows would wait for ever; after a
 * retransmission time-out, when cwnd is one MSS, that is every large one. So the head of the unsent queue is fitted to
 * the window before it is sent (patch 0002): what does not fit is split off, at a multiple of the MSS, and stays queued.
 * A peer may also acknowledge a part of a large segment. When that is sent again, the acknowledged part has to go first:
 * it would never be acknowledged a second time, and everything behind it would wait.
 *
 * A path may be narrower than the connection's MSS (adit_port_narrow). pcb->mss stays, since lwIP relies on it; what counts on
 * the way out is adit_port_mss: whoever cuts large segments cuts by that, and where nobody does they are split here.
 *
 * Splitting copies no data that was lent (PBUF_ROM); both parts refer to it. Data that lwIP copied itself lies in the
 * first part's memory, which is freed before the second part is done with, so that is copied.
 */
#include <string.h>

#include "hooks.h"
#include "lwip/memp.h"
#include "lwip/priv/tcp_priv.h"
#include "state.h"

/* Headers of the largest TCP/IP packet without options of lwIP's: Ethernet, IPv6, TCP. pbuf lengths are 16 bits. */
enum { HEADERS = 14 + 40 + 60 };

static unsigned option_bytes(const struct tcp_pcb *pcb) {
  return LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, 0);
}

/*
 * At most half of the largest window that the peer has offered, as lwIP has it, but never less than one MSS: the limit must
 * not fall (tcp_write relies on it), and what is too long for a small window is split when it is sent.
 */
uint32_t adit_port_segment_payload(const struct tcp_pcb *pcb) {
  uint32_t limit = adit_port_current()->options.segment_limit;
  uint32_t payload = limit > HEADERS ? limit - HEADERS : 0;
  uint32_t segments = LWIP_MIN(payload, pcb->snd_wnd_max / 2) / pcb->mss;
  return segments > 1 ? segments * pcb->mss : pcb->mss;
}

u16_t adit_port_segment_limit(const struct tcp_pcb *pcb) {
  return (u16_t)(adit_port_segment_payload(pcb) + option_bytes(pcb)); /* lwIP takes the options off again */
}

u16_t adit_port_mss(const struct tcp_pcb *pcb) {
  u16_t path = adit_port_extra_of(pcb)->path_mss;
  return path > 0 && path < pcb->mss ? path : pcb->mss;
}

/*
 * What is under way is sent again from its beginning, as after a retransmission time-out, but at once and with cwnd as it is:
 * it was not congestion (RFC 8201, 5.4). tcp_output splits it, or has it cut by the new size.
 */
void adit_port_narrow(struct tcp_pcb *pcb, u16_t mss) {
  adit_port_extra_of(pcb)->path_mss = mss;
  tcp_rexmit_rto_prepare(
      pcb); /* fails when there is nothing, or it still waits for its neighbour: then the timer does it */
}

void adit_port_widen(struct tcp_pcb *pcb) {
  adit_port_extra_of(pcb)->path_mss = 0;
}

/* A chain that holds room for options and what `pbuf` holds behind `offset`: lent data by reference, other data as a copy. */
static struct pbuf *tail_of(const struct pbuf *pbuf, uint32_t offset, unsigned options) {
  struct pbuf *tail = pbuf_alloc(PBUF_TRANSPORT, (u16_t)options, PBUF_RAM);
  if (!tail) return NULL;
  for (; pbuf; pbuf = pbuf->next) {
    if (offset >= pbuf->len) {
      offset -= pbuf->len;
      continue;
    }
    const uint8_t *data = (const uint8_t *)pbuf->payload + offset;
    u16_t length = (u16_t)(pbuf->len - offset);
    offset = 0;
    bool lent = !(pbuf->type_internal & (PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS | PBUF_TYPE_FLAG_DATA_VOLATILE));
    struct pbuf *piece = pbuf_alloc(PBUF_RAW, length, lent ? PBUF_ROM : PBUF_RAM);
    if (!piece) {
      pbuf_free(tail);
      return NULL;
    }
    if (lent) {
      ((struct pbuf_rom *)piece)->payload = data;
    } else {
      memcpy(piece->payload, data, length);
    }
    pbuf_cat(tail, piece);
  }
  return tail;
}

/* Split the head of the unsent queue: `keep` bytes of payload stay, the rest becomes the segment behind it. */
static bool split_head(struct tcp_pcb *pcb, u16_t keep) {
  struct tcp_seg *head = pcb->unsent;
  u16_t rest = (u16_t)(head->len - keep);
  struct tcp_seg *behind = memp_malloc(MEMP_TCP_SEG);
  if (!behind) return false;
  unsigned options = option_bytes(pcb);
  struct pbuf *pbuf = tail_of(head->p, (uint32_t)head->p->tot_len - rest, options);
  if (!pbuf) goto free_segment;
  if (pbuf_add_header(pbuf, TCP_HLEN) != 0) goto free_pbuf;

  /* PSH and FIN belong to the last byte. */
  u16_t flags = TCPH_FLAGS(head->tcphdr);
  u16_t moving = flags & (TCP_PSH | TCP_FIN);
  struct tcp_hdr *header = pbuf->payload;
  *header = (struct tcp_hdr){
      .src = head->tcphdr->src,
      .dest = head->tcphdr->dest,
      .seqno = lwip_htonl(lwip_ntohl(head->tcphdr->seqno) + keep),
  };
  TCPH_HDRLEN_FLAGS_SET(header, (TCP_HLEN + options) / 4, moving);
  *behind = (struct tcp_seg){.next = head->next, .p = pbuf, .len = rest, .flags = head->flags, .tcphdr = header};

  pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(head->p));
  pbuf_realloc(head->p, (u16_t)(head->p->tot_len - rest));
  head->len = keep;
  TCPH_FLAGS_SET(head->tcphdr, flags & ~moving);
  head->next = behind;
  pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen + pbuf_clen(head->p) + pbuf_clen(pbuf));
  return true;

free_pbuf:
  pbuf_free(pbuf);
free_segment:
  memp_free(MEMP_TCP_SEG, behind);
  return false;
}

/* The head of the unsent queue has been acknowledged whole: as tcp_receive does with acknowledged segments. */
static void drop_head(struct tcp_pcb *pcb) {
  struct tcp_seg *head = pcb->unsent;
  pcb->unsent = head->next;
  pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(head->p));
  pcb->snd_buf += head->len;
  tcp_seg_free(head);
}

/*
 * There is no memory to split the head with: nothing is sent, and lwIP tries again with its next tick. It must not take this
 * for a closed window: its persist timer splits segments of one MSS at most.
 */
static struct tcp_seg *send_later(struct tcp_pcb *pcb) {
  pcb->persist_backoff = 0;
  if (pcb->flags & TF_ACK_NOW) tcp_send_empty_ack(pcb);
  return NULL;
}

struct tcp_seg *adit_port_fit_segment(struct tcp_pcb *pcb, u32_t window) {
  struct tcp_seg *head = pcb->unsent;
  if (adit_port_current()->holds_back) return NULL; /* each of the acknowledgments of a burst would send a little */
  if (!head || head->len <= 1) return head;

  u32_t first = lwip_ntohl(head->tcphdr->seqno);
  if (TCP_SEQ_LT(first, pcb->lastack)) {
    u32_t acked = pcb->lastack - first;
    if (acked < head->len && !split_head(pcb, (u16_t)acked)) return send_later(pcb);
    if (acked < TCP_TCPLEN(head) && acked >= head->len) return head; /* only its FIN is missing */
    drop_head(pcb);
    return adit_port_fit_segment(pcb, window);
  }

  u32_t used = first - pcb->lastack;
  u32_t mss = adit_port_mss(pcb);
  if (used >= window) return head;
  u32_t room = window - used;
  if (adit_port_current()->options.segment_limit == 0 && head->len > mss)
    room = LWIP_MIN(room, mss); /* nobody cuts it */
  if (head->len <= room) return head;
  u32_t keep = room / mss * mss;
  /* Less than an MSS: worth sending when it is half of what the peer has ever offered (RFC 1122, 4.2.3.4). */
  if (keep == 0 && room >= pcb->snd_wnd_max / 2) keep = room;
  if (keep > 0 && !split_head(pcb, (u16_t)keep)) return send_later(pcb);
  return head;
}
