/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Network interfaces of this machine over rtnetlink: look at one, set it up, give it addresses and routes.
 *
 * Each function is one request and its answers, see netlink.h. Only what belongs to an interface is set here; routing
 * tables and rules that do not are in routes.c.
 */
#include "host/link.h"

#include "host/netlink.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A socket of the kernel's network configuration under the name that the callers know. */
struct adit_link_socket {
  struct adit_netlink netlink;
};

int adit_link_open(struct adit_link_socket **socket) {
  struct adit_link_socket *made = malloc(sizeof *made);
  if (made == NULL) return -ENOMEM;
  int error = adit_netlink_open(&made->netlink);
  if (error != 0) {
    free(made);
    return error;
  }
  *socket = made;
  return 0;
}

void adit_link_close(struct adit_link_socket *socket) {
  if (socket == NULL) return;
  adit_netlink_close(&socket->netlink);
  free(socket);
}

const char *adit_link_reason(const struct adit_link_socket *socket) {
  return adit_netlink_reason(&socket->netlink);
}

/* Note why a request failed. Returns the error. */
static int because(struct adit_link_socket *socket, int error, const char *words) {
  adit_netlink_fail(&socket->netlink, error, words);
  return error;
}

static void *new_request(struct adit_link_socket *socket, uint16_t type, uint16_t flags, size_t header) {
  return adit_netlink_request(&socket->netlink, type, flags, header);
}

static int talk(struct adit_link_socket *socket, adit_netlink_answer_fn *answer, void *user) {
  return adit_netlink_talk(&socket->netlink, answer, user);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static int read_tun(const struct nlattr *attribute, void *user) {
  struct adit_link_info *info = user;
  if (mnl_attr_validate(attribute, MNL_TYPE_U8) != 0) return MNL_CB_OK;
  if (mnl_attr_get_type(attribute) == IFLA_TUN_TYPE) info->tun = mnl_attr_get_u8(attribute);
  if (mnl_attr_get_type(attribute) == IFLA_TUN_PERSIST) info->persistent = mnl_attr_get_u8(attribute) != 0;
  return MNL_CB_OK;
}

static int read_linkinfo(const struct nlattr *attribute, void *user) {
  struct adit_link_info *info = user;
  switch (mnl_attr_get_type(attribute)) {
  case IFLA_INFO_KIND:
    if (mnl_attr_validate(attribute, MNL_TYPE_STRING) != 0) break;
    snprintf(info->kind, sizeof info->kind, "%.*s", (int)mnl_attr_get_payload_len(attribute),
             mnl_attr_get_str(attribute));
    break;
  case IFLA_INFO_DATA: /* the kernel says the kind first */
    if (strcmp(info->kind, "tun") == 0) mnl_attr_parse_nested(attribute, read_tun, info);
    break;
  default:
    break;
  }
  return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *attribute, void *user) {
  struct adit_link_info *info = user;
  switch (mnl_attr_get_type(attribute)) {
  case IFLA_MTU:
    if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) info->mtu = mnl_attr_get_u32(attribute);
    break;
  case IFLA_MASTER:
    if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) info->master = mnl_attr_get_u32(attribute);
    break;
  case IFLA_LINKINFO:
    mnl_attr_parse_nested(attribute, read_linkinfo, info);
    break;
  default:
    break;
  }
  return MNL_CB_OK;
}

static void read_link(void *user, const struct nlmsghdr *message) {
  struct adit_link_info *info = user;
  if (message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg)) return;
  const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
  info->index = (unsigned)link->ifi_index;
  info->up = (link->ifi_flags & IFF_UP) != 0;
  mnl_attr_parse(message, sizeof *link, read_link_attribute, info);
}

int adit_link_find(struct adit_link_socket *socket, const char *name, struct adit_link_info *info) {
  if (strlen(name) >= IFNAMSIZ) return because(socket, -ENODEV, NULL);
  new_request(socket, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
  mnl_attr_put_strz(&socket->netlink.request.align, IFLA_IFNAME, name);
  *info = (struct adit_link_info){0};
  int error = talk(socket, read_link, info);
  if (error == 0 && info->index == 0) return because(socket, -ENODEV, NULL);
  return error;
}

int adit_link_find_bridge(struct adit_link_socket *socket, const char *name, unsigned *index) {
  struct adit_link_info info;
  int error = adit_link_find(socket, name, &info);
  if (error != 0) return error;
  if (strcmp(info.kind, "bridge") != 0) return because(socket, -ENOTSUP, "not a bridge");
  *index = info.index;
  return 0;
}

/* ---- changing an interface -------------------------------------------------------------------------------------- */

static struct ifinfomsg *new_link_request(struct adit_link_socket *socket, unsigned index) {
  struct ifinfomsg *link = new_request(socket, RTM_SETLINK, 0, sizeof *link);
  link->ifi_index = (int)index;
  return link;
}

int adit_link_set_mtu(struct adit_link_socket *socket, unsigned index, uint32_t mtu) {
  new_link_request(socket, index);
  mnl_attr_put_u32(&socket->netlink.request.align, IFLA_MTU, mtu);
  return talk(socket, NULL, NULL);
}

int adit_link_set_queue(struct adit_link_socket *socket, unsigned index, uint32_t packets) {
  new_link_request(socket, index);
  mnl_attr_put_u32(&socket->netlink.request.align, IFLA_TXQLEN, packets);
  return talk(socket, NULL, NULL);
}

int adit_link_set_up(struct adit_link_socket *socket, unsigned index, bool up) {
  struct ifinfomsg *link = new_link_request(socket, index);
  link->ifi_change = IFF_UP;
  link->ifi_flags = up ? IFF_UP : 0;
  return talk(socket, NULL, NULL);
}

int adit_link_set_master(struct adit_link_socket *socket, unsigned index, unsigned master) {
  new_link_request(socket, index);
  mnl_attr_put_u32(&socket->netlink.request.align, IFLA_MASTER, master);
  return talk(socket, NULL, NULL);
}

int adit_link_set_quiet(struct adit_link_socket *socket, unsigned index) {
  new_link_request(socket, index);
  struct nlmsghdr *message = &socket->netlink.request.align;
  struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
  struct nlattr *ipv6 = mnl_attr_nest_start(message, AF_INET6);
  mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(message, ipv6);
  mnl_attr_nest_end(message, families);
  return talk(socket, NULL, NULL);
}

/* ---- addresses and routes --------------------------------------------------------------------------------------- */

static uint8_t family_of(adit_ip ip) {
  return ip.version == 4 ? AF_INET : AF_INET6;
}

static int address_request(struct adit_link_socket *socket, uint16_t type, uint16_t flags, unsigned index,
                           adit_cidr address) {
  struct ifaddrmsg *header = new_request(socket, type, flags, sizeof *header);
  header->ifa_family = family_of(address.ip);
  header->ifa_prefixlen = address.prefix;
  header->ifa_index = index;
  if (address.ip.version == 6 && type == RTM_NEWADDR) header->ifa_flags = IFA_F_NODAD;
  struct nlmsghdr *message = &socket->netlink.request.align;
  mnl_attr_put(message, IFA_LOCAL, adit_ip_length(address.ip), address.ip.bytes);
  mnl_attr_put(message, IFA_ADDRESS, adit_ip_length(address.ip), address.ip.bytes);
  return talk(socket, NULL, NULL);
}

int adit_link_add_address(struct adit_link_socket *socket, unsigned index, adit_cidr address) {
  return address_request(socket, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
}

int adit_link_remove_address(struct adit_link_socket *socket, unsigned index, adit_cidr address) {
  return address_request(socket, RTM_DELADDR, 0, index, address);
}

int adit_link_add_route(struct adit_link_socket *socket, unsigned index, adit_cidr network) {
  adit_ip destination = network.ip;
  for (unsigned bit = network.prefix; bit < adit_ip_length(destination) * 8; bit++) {
    destination.bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
  }
  struct rtmsg *header = new_request(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *header);
  header->rtm_family = family_of(destination);
  header->rtm_dst_len = network.prefix;
  header->rtm_table = RT_TABLE_MAIN;
  header->rtm_protocol = RTPROT_STATIC;
  header->rtm_scope = destination.version == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header->rtm_type = RTN_UNICAST;
  struct nlmsghdr *message = &socket->netlink.request.align;
  mnl_attr_put(message, RTA_DST, adit_ip_length(destination), destination.bytes);
  mnl_attr_put_u32(message, RTA_OIF, index);
  return talk(socket, NULL, NULL);
}

/* One address of a dump: IFA_LOCAL is the interface's own; IPv6 has only IFA_ADDRESS, unless there is a peer. */
struct address_fields {
  size_t length;
  const void *local;
  const void *address;
};

static int read_address_attribute(const struct nlattr *attribute, void *user) {
  struct address_fields *fields = user;
  if (mnl_attr_get_payload_len(attribute) < fields->length) return MNL_CB_OK;
  if (mnl_attr_get_type(attribute) == IFA_LOCAL) fields->local = mnl_attr_get_payload(attribute);
  if (mnl_attr_get_type(attribute) == IFA_ADDRESS) fields->address = mnl_attr_get_payload(attribute);
  return MNL_CB_OK;
}

struct visitor {
  bool (*visit)(void *user, unsigned index, adit_cidr address);
  void *user;
  bool ended;
};

static void read_address(void *user, const struct nlmsghdr *message) {
  struct visitor *visitor = user;
  if (message->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(message) < sizeof(struct ifaddrmsg)) return;
  const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
  if (visitor->ended || (header->ifa_family != AF_INET && header->ifa_family != AF_INET6)) return;
  unsigned version = header->ifa_family == AF_INET ? 4 : 6;
  struct address_fields fields = {.length = version == 4 ? 4 : 16};
  mnl_attr_parse(message, sizeof *header, read_address_attribute, &fields);
  const void *own = fields.local != NULL ? fields.local : fields.address;
  if (own == NULL) return;
  adit_cidr address = {.ip = adit_ip_from_bytes(version, own), .prefix = header->ifa_prefixlen};
  visitor->ended = !visitor->visit(visitor->user, header->ifa_index, address);
}

int adit_link_each_address(struct adit_link_socket *socket,
                           bool (*visit)(void *user, unsigned index, adit_cidr address), void *user) {
  struct visitor visitor = {.visit = visit, .user = user};
  struct ifaddrmsg *header = new_request(socket, RTM_GETADDR, NLM_F_DUMP, sizeof *header);
  header->ifa_family = AF_UNSPEC;
  return talk(socket, read_address, &visitor);
}
