/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Network interfaces of this machine over rtnetlink: look at one, set it up, give it addresses and routes.
 *
 * All that is set here belongs to an interface, and the kernel removes it with the interface; nothing outlives a TUN or
 * TAP device but what was done to other interfaces. The socket belongs to one thread at a time and to the network
 * namespace in which it was opened.
 */
#ifndef ADIT_HOST_LINK_H
#define ADIT_HOST_LINK_H

#include <adit/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adit_link_socket;

/** What the kernel says of an interface. */
struct adit_link_info {
  unsigned index;  /**< number of the interface, from 1 */
  uint32_t mtu;    /**< bytes */
  bool up;         /**< administratively */
  unsigned master; /**< index of the bridge (or such) that it is a port of, 0 = none */
  char kind[16];   /**< "bridge", "tun", "veth", ...; empty for hardware and lo */
  uint8_t tun;     /**< of a "tun" interface: IFF_TUN (1) or IFF_TAP (2), linux/if_tun.h; 0 = not said */
  bool persistent; /**< of a "tun" interface: stays when nobody has it open */
};

/** Open a netlink socket. Returns 0 and `*socket`, owned by the caller, or a negative errno. */
int adit_link_open(struct adit_link_socket **socket);

/** Close it. What was set stays. NULL is allowed. */
void adit_link_close(struct adit_link_socket *socket);

/**
 * Why the last function that failed did so: the kernel's own words (NETLINK_EXT_ACK) where it gave some, otherwise the
 * text of the errno. Borrowed until the next call.
 */
const char *adit_link_reason(const struct adit_link_socket *socket);

/** Look an interface up by name. Returns 0 and `*info`, -ENODEV when there is none, or another negative errno. */
int adit_link_find(struct adit_link_socket *socket, const char *name, struct adit_link_info *info);

/** Returns 0 when `name` is a bridge, with its index in `*index`; -ENODEV when absent, -ENOTSUP when something else. */
int adit_link_find_bridge(struct adit_link_socket *socket, const char *name, unsigned *index);

/*
 * The functions below change the interface of that index. They return 0 or a negative errno, among them -EPERM (needs
 * CAP_NET_ADMIN in the namespace's user namespace) and -ENODEV (it is gone).
 */

/** Set the MTU. -EINVAL when out of the interface's range. */
int adit_link_set_mtu(struct adit_link_socket *socket, unsigned index, uint32_t mtu);

/** Packets that may wait for whoever reads a TUN or TAP of ours; see adit_link_set_queue. */
enum { ADIT_LINK_QUEUE = 2000 };

/**
 * Let so many packets wait for the reader. The kernel's 500 are few milliseconds of small datagrams, which a reader that has
 * to share its processor loses again and again.
 */
int adit_link_set_queue(struct adit_link_socket *socket, unsigned index, uint32_t packets);

/** Set it up, or down. */
int adit_link_set_up(struct adit_link_socket *socket, unsigned index, bool up);

/** Make it a port of the bridge with index `master`, or of none with 0. */
int adit_link_set_master(struct adit_link_socket *socket, unsigned index, unsigned master);

/**
 * Form no IPv6 link-local address (IFLA_INET6_ADDR_GEN_MODE none, linux/if_link.h). An interface without one sends no
 * router solicitations, so that what leaves it is what somebody sent. -EAFNOSUPPORT where the kernel has no IPv6.
 */
int adit_link_set_quiet(struct adit_link_socket *socket, unsigned index);

/**
 * Add an address; the route to its network comes with it. IPv4 without broadcast address, IPv6 without duplicate address
 * detection. -EEXIST when it has this address; -EACCES where IPv6 is disabled on it; -EOPNOTSUPP or -EAFNOSUPPORT where
 * the kernel has no IPv6.
 */
int adit_link_add_address(struct adit_link_socket *socket, unsigned index, adit_cidr address);

/** Remove an address. -EADDRNOTAVAIL when it has none such. */
int adit_link_remove_address(struct adit_link_socket *socket, unsigned index, adit_cidr address);

/** Add a route to a network (host bits are ignored) through the interface. -EEXIST when there is one. */
int adit_link_add_route(struct adit_link_socket *socket, unsigned index, adit_cidr network);

/**
 * Call `visit` for each address of each interface, in the kernel's order; it must not use the socket. Ends early when
 * `visit` returns false. Returns 0 or a negative errno.
 */
int adit_link_each_address(struct adit_link_socket *socket,
                           bool (*visit)(void *user, unsigned index, adit_cidr address), void *user);

#endif
