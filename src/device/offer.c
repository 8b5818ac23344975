/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TUNSETOFFLOAD, step by step.
 *
 * The ioctl speaks of what the device hands to us only. What we may write needs no consent: a kernel that reads the
 * vnet header at all (2.6.27) cuts TCP and finishes checksums. UDP segmentation came to both directions at once (6.2),
 * so that its consent in one direction answers for the other.
 *
 * The kernel refuses the whole set with EINVAL when it does not know one bit of it.
 */
#include "device/offer.h"

#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "device/vnet.h"

/* linux/if_tun.h knows them since Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* From most to least. */
static const struct {
  unsigned flags;
  struct adit_offer offer;
} steps[] = {
    {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6, {.uso = true}},
    {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
     {.lacks = "kernel without UDP segmentation offload (USO, Linux 6.2): UDP datagrams come one at a time"}},
    {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
     {.lacks = "kernel without USO and without ECN in TCP segmentation offload: UDP datagrams and TCP segments that "
               "carry ECN bits come one at a time"}},
    {TUN_F_CSUM, {.lacks = "kernel without segmentation offload: packets come one at a time and throughput is lower"}},
    {0, {.lacks = "kernel without offloads (TUNSETOFFLOAD): packets come one at a time and throughput is lower"}},
};

struct adit_offer adit_offer_all(int fd) {
  size_t i = 0;
  while (ioctl(fd, TUNSETOFFLOAD, (unsigned long)steps[i].flags) != 0 && i + 1 < sizeof steps / sizeof steps[0]) i++;
  return steps[i].offer;
}

void adit_offer_nothing(int fd) {
  /* Refused only where there is nothing to be taken back. */
  ioctl(fd, TUNSETOFFLOAD, 0UL);
}

static bool kernel_is_at_least(unsigned wanted_major, unsigned wanted_minor) {
  struct utsname name;
  unsigned major, minor;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

bool adit_offer_kernel_reads_uso(void) {
  return kernel_is_at_least(6, 2);
}

/*
 * IP packets longer than their headers can say are for a TUN: what brings Ethernet frames leads to bridges. IP has known them
 * since Linux 6.3, and since 6.6 a TUN takes pages for them that are large enough (tun_alloc_skb). The kernel's version tells
 * both; one without USO is older, whatever it says.
 */
uint32_t adit_offer_writes(enum adit_link link, bool uso) {
  uint32_t offload = ADIT_VNET_OFFLOAD;
  if (uso) offload |= ADIT_OFFLOAD_USO;
  if (uso && link == ADIT_LINK_IP && kernel_is_at_least(6, 6)) offload |= ADIT_OFFLOAD_BIG_TCP;
  return offload;
}
