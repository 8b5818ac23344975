/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The netif: how packets enter lwIP and leave it.
 *
 * In: a packet is a custom pbuf that lies in the scratch room of the buffer it refers to. lwIP keeps, splits and frees it
 * like any other; with its last reference the buffer's goes too.
 *
 * Out: on a TUN, lwIP's IP packet is handed on as it is. On a TAP it passes through ARP or neighbour discovery first, which
 * may hold it back; so what is noted of a segment is tied to the address of its header.
 *
 * Addresses: lwIP answers for the netif's own. adit answers for any, so the netif wears the destination of each packet
 * while lwIP looks at it. Sending needs no address of the netif's: source addresses are those of connections.
 */
#include <errno.h>
#include <string.h>

#include "hooks.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/ip.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "netif/ethernet.h"
#include "state.h"

enum { ETHERNET_HEADER = 14 };

/* The custom pbuf in a buffer's scratch room. */
struct wrapped {
  struct pbuf_custom custom;
  struct adit_buffer *buffer;
};
_Static_assert(sizeof(struct wrapped) <= sizeof((struct adit_buffer){0}.u.scratch), "a pbuf fits the scratch room");

static void unwrap(struct pbuf *pbuf) {
  adit_port_discharge(ADIT_PACKET_MAX);
  adit_buffer_unref(((struct wrapped *)(void *)pbuf)->buffer);
}

struct pbuf *adit_port_wrap(struct adit_buffer *buffer, uint32_t offset, uint16_t length) {
  struct wrapped *wrapped = (void *)buffer->u.scratch;
  adit_port_charge(ADIT_PACKET_MAX);
  wrapped->buffer = buffer;
  wrapped->custom.custom_free_function = unwrap;
  return pbuf_alloced_custom(PBUF_RAW, length, PBUF_REF, &wrapped->custom, buffer->data + offset, length);
}

bool adit_port_is_wrapped(const struct pbuf *pbuf) {
  return (pbuf->flags & PBUF_FLAG_IS_CUSTOM) != 0;
}

u32_t *adit_port_note_segment(const struct tcp_hdr *header, const struct tcp_pcb *pcb, u32_t *options) {
  struct adit_port *port = adit_port_current();
  port->noted = header;
  port->noted_mss = pcb ? adit_port_mss(pcb) : 0;
  /* Queued segments only: window probes and keepalives repeat a sequence number on purpose. */
  bool queued = pcb && pcb->unsent && pcb->unsent->tcphdr == header;
  if (queued && TCP_SEQ_LT(lwip_ntohl(header->seqno), pcb->snd_nxt)) {
    port->retransmissions++;
    adit_port_extra_of(pcb)->resent = true;
  }
  if (!pcb || !(pcb->flags & ADIT_PORT_STAMPED)) return options;
  adit_port_add_timestamps(pcb, header, options);
  return options + ADIT_PORT_STAMP / sizeof *options;
}

/* MSS of the TCP segment in `packet`, whose IP header begins behind `link` bytes; 0 when it is not known. */
static uint16_t noted_mss(const struct adit_port *port, const struct pbuf *packet, unsigned link) {
  const uint8_t *ip = (const uint8_t *)packet->payload + link;
  const void *transport = ip + (ip[0] >> 4 == 4 ? IP_HLEN : IP6_HLEN);
  return transport == (const void *)port->noted ? port->noted_mss : 0;
}

static err_t emit(struct netif *netif, struct pbuf *packet, unsigned link) {
  struct adit_port *port = netif->state;
  if (port->options.output) port->options.output(port->options.user, packet, link, noted_mss(port, packet, link));
  return ERR_OK;
}

static err_t output4(struct netif *netif, struct pbuf *packet, const ip4_addr_t *destination) {
  (void)destination;
  return emit(netif, packet, 0);
}

static err_t output6(struct netif *netif, struct pbuf *packet, const ip6_addr_t *destination) {
  (void)destination;
  return emit(netif, packet, 0);
}

/* Neighbour discovery asks in the name of the netif: let it be the sender of the packet that waits for the answer. */
static err_t output6_ethernet(struct netif *netif, struct pbuf *packet, const ip6_addr_t *destination) {
  const struct ip6_hdr *header = packet->payload;
  const struct eth_addr *stranger = adit_port_way_back(6, (const uint8_t *)destination->addr);
  if (stranger) return ethernet_output(netif, packet, (struct eth_addr *)netif->hwaddr, stranger, ETHTYPE_IPV6);
  adit_port_wear(6, (const uint8_t *)&header->src);
  return ethip6_output(netif, packet, destination);
}

static err_t output4_ethernet(struct netif *netif, struct pbuf *packet, const ip4_addr_t *destination) {
  const struct ip_hdr *header = packet->payload;
  const struct eth_addr *stranger = adit_port_way_back(4, (const uint8_t *)&destination->addr);
  if (stranger) return ethernet_output(netif, packet, (struct eth_addr *)netif->hwaddr, stranger, ETHTYPE_IP);
  adit_port_wear(4, (const uint8_t *)&header->src);
  return etharp_output(netif, packet, destination);
}

static err_t link_output(struct netif *netif, struct pbuf *packet) {
  return emit(netif, packet, ETHERNET_HEADER);
}

static err_t initialize(struct netif *netif) {
  const struct adit_port *port = netif->state;
  netif->name[0] = 'a';
  netif->name[1] = 'd';
  netif->mtu = (u16_t)port->options.mtu;
  if (port->options.ethernet) {
    netif->flags |= NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_BROADCAST;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, port->options.mac, ETH_HWADDR_LEN);
    netif->mtu = (u16_t)LWIP_MIN(port->options.mtu, ADIT_PORT_ETHERNET_MTU);
    netif->output = output4_ethernet;
    netif->output_ip6 = output6_ethernet;
    netif->linkoutput = link_output;
  } else {
    netif->output = output4;
    netif->output_ip6 = output6;
  }
  return ERR_OK;
}

void adit_port_netif_start(struct adit_port *port) {
  netif_add_noaddr(&port->netif, port, initialize, ip_input);
  netif_set_default(&port->netif);
  netif_set_up(&port->netif);
  netif_set_link_up(&port->netif);
}

void adit_port_netif_stop(struct adit_port *port) {
  adit_port_forget_strangers(port);
  netif_remove(&port->netif); /* frees what ARP and neighbour discovery hold back */
}

struct netif *adit_port_netif(void) {
  return &adit_port_current()->netif;
}

/* Written directly: netif_set_addr would take the change for a move and reset every connection of the old address. */
void adit_port_wear(unsigned version, const uint8_t *bytes) {
  struct netif *netif = adit_port_netif();
  if (version == 4) {
    u32_t address;
    memcpy(&address, bytes, sizeof address);
    ip_addr_set_ip4_u32_val(netif->ip_addr, address);
  } else {
    ip6_addr_t address = {0};
    memcpy(address.addr, bytes, sizeof address.addr);
    ip_addr_copy_from_ip6(netif->ip6_addr[0], address);
    netif->ip6_addr_state[0] = IP6_ADDR_PREFERRED;
  }
}

const ip6_addr_t *adit_port_next_hop6(const ip6_addr_t *destination) {
  return destination;
}

void adit_port_input_ip(struct pbuf *packet) {
  if (ip_input(packet, adit_port_netif()) != ERR_OK) pbuf_free(packet);
}

void adit_port_input_segment(struct pbuf *packet, struct tcp_pcb *pcb) {
  struct adit_port *port = adit_port_current();
  if (pcb) adit_port_show(pcb);
  port->holds_back = pcb != NULL;
  adit_port_input_ip(packet);
  port->holds_back = false;
  adit_port_hide();
}

void adit_port_input_frame(struct pbuf *frame) {
  if (ethernet_input(frame, adit_port_netif()) != ERR_OK) pbuf_free(frame);
}

int adit_port_send(struct pbuf *packet, unsigned version, const uint8_t *destination) {
  struct netif *netif = adit_port_netif();
  if (version == 4) {
    ip4_addr_t address;
    memcpy(&address.addr, destination, sizeof address.addr);
    return adit_port_error(netif->output(netif, packet, &address));
  }
  ip6_addr_t address = {0};
  memcpy(address.addr, destination, sizeof address.addr);
  return adit_port_error(netif->output_ip6(netif, packet, &address));
}
