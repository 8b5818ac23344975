/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Many strangers at once, over Ethernet.
 *
 * Whoever is to be answered is asked for by ARP or neighbour discovery first. A flood from addresses that nobody has would
 * be answered with a flood of questions, and those would push honest neighbours out of lwIP's tables, which are short. So
 * only so many questions are asked for strangers: QUESTION_BURST and QUESTION_RATE leave most of each table to those who
 * answered. When there are more strangers than that, the frame in which one's packet came tells its address, and an answer
 * goes back that way. This is remembered for MEMORY, in a table of its own in which a later stranger takes the place of
 * another one by chance; what lwIP knows counts more, so nobody's address is taken over.
 */
#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/priv/nd6_priv.h"
#include "state.h"

enum { QUESTION_BURST = 32, QUESTION_RATE = 4 /* a second */, MAC = 6, STRANGERS = 1024 };
#define MEMORY (UINT64_C(10) * 1000 * 1000 * 1000) /* nanoseconds */

struct adit_port_stranger {
  uint64_t until_ns;
  uint8_t version;
  bool asked; /* lwIP asks for it */
  uint8_t address[16];
  struct eth_addr mac;
};

static bool knows4(const ip4_addr_t *address) {
  struct eth_addr *mac;
  const ip4_addr_t *found;
  return etharp_find_addr(adit_port_netif(), address, &mac, &found) >= 0;
}

static bool knows6(const ip6_addr_t *address) {
  for (unsigned i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++)
    if (neighbor_cache[i].state != ND6_NO_ENTRY && ip6_addr_eq(&neighbor_cache[i].next_hop_address, address))
      return true;
  return false;
}

static bool knows(unsigned version, const uint8_t *bytes) {
  ip4_addr_t address4 = {0};
  ip6_addr_t address6 = {0};
  if (version == 4) {
    memcpy(&address4.addr, bytes, sizeof address4.addr);
    return knows4(&address4);
  }
  memcpy(address6.addr, bytes, sizeof address6.addr);
  return knows6(&address6);
}

static struct adit_port_stranger *place_of(const struct adit_port *port, unsigned version, const uint8_t *bytes) {
  return &port->strangers[adit_port_hash(port, ADIT_HASH_STRANGER, bytes, version == 4 ? 4 : 16) % STRANGERS];
}

/* What is remembered of that address, or NULL. */
static const struct adit_port_stranger *find(const struct adit_port *port, unsigned version, const uint8_t *bytes) {
  if (!port->strangers) return NULL;
  const struct adit_port_stranger *stranger = place_of(port, version, bytes);
  if (stranger->version != version || memcmp(stranger->address, bytes, version == 4 ? 4 : 16) != 0) return NULL;
  return stranger->until_ns > port->now_ns ? stranger : NULL;
}

void adit_port_meet(unsigned version, const uint8_t *bytes, const uint8_t *mac) {
  struct adit_port *port = adit_port_current();
  if ((mac[0] & 1) || find(port, version, bytes) || knows(version, bytes)) return;
  if (!port->strangers) port->strangers = calloc(STRANGERS, sizeof *port->strangers);
  if (!port->strangers) return;
  struct adit_port_stranger *stranger = place_of(port, version, bytes);
  *stranger = (struct adit_port_stranger){
      .until_ns = port->now_ns + MEMORY,
      .version = (uint8_t)version,
      .asked = adit_port_allows(&port->questions, QUESTION_BURST, QUESTION_RATE),
  };
  memcpy(stranger->address, bytes, version == 4 ? 4 : 16);
  memcpy(&stranger->mac, mac, MAC);
}

const struct eth_addr *adit_port_way_back(unsigned version, const uint8_t *bytes) {
  const struct adit_port_stranger *stranger = find(adit_port_current(), version, bytes);
  return stranger && !stranger->asked && !knows(version, bytes) ? &stranger->mac : NULL;
}

void adit_port_forget_strangers(struct adit_port *port) {
  free(port->strangers);
  port->strangers = NULL;
}
