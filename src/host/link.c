/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Network interfaces of this machine over rtnetlink: look at one, set it up, give it addresses and routes.
 *
 * Each function is one request and its answers (rtnetlink(7)): it writes a message into the socket's own buffer, sends it
 * and reads until the acknowledgement with the same sequence number. Requests are answered at once by the kernel, so the
 * socket is blocking. libmnl does the encoding; the reading loop is our own, because the kernel's explanation of an error
 * (NETLINK_EXT_ACK) stands behind the acknowledgement, where mnl_cb_run does not look.
 */
#include "host/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel fills dumps in pieces of at most 32 KiB when the reader's buffer is that large (af_netlink.c). */
enum { BUFFER = 32768, REQUEST = 1024 };

struct adit_link_socket {
  struct mnl_socket *mnl;
  unsigned sequence;
  unsigned port;
  char reason[256];
  union {
    struct nlmsghdr align;
    char bytes[REQUEST];
  } request;
  union {
    struct nlmsghdr align;
    char bytes[BUFFER];
  } answer;
};

/* Called for each message of an answer that is not an acknowledgement. */
typedef void (*answer_fn)(void *user, const struct nlmsghdr *message);

/* ---- requests and answers --------------------------------------------------------------------------------------- */

int adit_link_open(struct adit_link_socket **socket) {
  struct adit_link_socket *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  int error, on = 1;
  made->mnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (made->mnl == NULL) {
    error = -errno;
    goto free_socket;
  }
  if (mnl_socket_bind(made->mnl, 0, MNL_SOCKET_AUTOPID) < 0) {
    error = -errno;
    goto close_socket;
  }
  made->port = mnl_socket_get_portid(made->mnl);
  /* Both only make answers better and shorter; kernels without them (before 4.12, 4.3) work as well. */
  mnl_socket_setsockopt(made->mnl, NETLINK_EXT_ACK, &on, sizeof on);
  mnl_socket_setsockopt(made->mnl, NETLINK_CAP_ACK, &on, sizeof on);
  *socket = made;
  return 0;

close_socket:
  mnl_socket_close(made->mnl);
free_socket:
  free(made);
  return error;
}

void adit_link_close(struct adit_link_socket *socket) {
  if (socket == NULL) return;
  mnl_socket_close(socket->mnl);
  free(socket);
}

const char *adit_link_reason(const struct adit_link_socket *socket) {
  return socket->reason;
}

/* Note why a request failed. Returns the error. */
static int because(struct adit_link_socket *socket, int error, const char *words) {
  snprintf(socket->reason, sizeof socket->reason, "%s", words != NULL ? words : strerror(-error));
  return error;
}

/* A fresh request in the socket's buffer, with its family's header behind it. */
static void *new_request(struct adit_link_socket *socket, uint16_t type, uint16_t flags, size_t header) {
  memset(&socket->request, 0, sizeof socket->request);
  struct nlmsghdr *message = mnl_nlmsg_put_header(socket->request.bytes);
  message->nlmsg_type = type;
  message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  message->nlmsg_seq = ++socket->sequence;
  return mnl_nlmsg_put_extra_header(message, header);
}

static int find_words(const struct nlattr *attribute, void *user) {
  const char **words = user;
  if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
    *words = mnl_attr_get_str(attribute);
  }
  return MNL_CB_OK;
}

/* The outcome that an NLMSG_ERROR message carries: 0 or a negative errno, with the kernel's words if it found some. */
static int read_outcome(struct adit_link_socket *socket, const struct nlmsghdr *message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nlmsgerr)) return because(socket, -EBADMSG, NULL);
  const struct nlmsgerr *outcome = mnl_nlmsg_get_payload(message);
  if (outcome->error == 0) return 0;
  const char *words = NULL;
  if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
    size_t skip = sizeof *outcome; /* and the request itself, unless the kernel left its body out */
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) skip += outcome->msg.nlmsg_len - sizeof outcome->msg;
    mnl_attr_parse(message, (unsigned)skip, find_words, &words);
  }
  return because(socket, outcome->error, words);
}

/* The end of a dump carries an error when the kernel could not go on. */
static int read_done(struct adit_link_socket *socket, const struct nlmsghdr *message) {
  int error = 0;
  if (mnl_nlmsg_get_payload_len(message) >= sizeof error) memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
  return error < 0 ? because(socket, error, NULL) : 0;
}

/* Send the request; give each message of the answer to `answer`, which may be NULL. Returns the kernel's outcome. */
static int talk(struct adit_link_socket *socket, answer_fn answer, void *user) {
  struct nlmsghdr *request = &socket->request.align;
  request->nlmsg_flags |= NLM_F_ACK; /* of a dump the last message says that it is done */
  if (mnl_socket_sendto(socket->mnl, request, request->nlmsg_len) < 0) return because(socket, -errno, NULL);
  for (;;) {
    ssize_t got = mnl_socket_recvfrom(socket->mnl, socket->answer.bytes, sizeof socket->answer.bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return because(socket, -errno, NULL);
    int left = (int)got;
    for (const struct nlmsghdr *message = &socket->answer.align; mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != socket->sequence || message->nlmsg_pid != socket->port) continue;
      if (message->nlmsg_type == NLMSG_ERROR) return read_outcome(socket, message);
      if (message->nlmsg_type == NLMSG_DONE) return read_done(socket, message);
      if (answer != NULL) answer(user, message);
    }
  }
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
  mnl_attr_put_strz(&socket->request.align, IFLA_IFNAME, name);
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
  mnl_attr_put_u32(&socket->request.align, IFLA_MTU, mtu);
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
  mnl_attr_put_u32(&socket->request.align, IFLA_MASTER, master);
  return talk(socket, NULL, NULL);
}

int adit_link_set_quiet(struct adit_link_socket *socket, unsigned index) {
  new_link_request(socket, index);
  struct nlmsghdr *message = &socket->request.align;
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
  struct nlmsghdr *message = &socket->request.align;
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
  struct nlmsghdr *message = &socket->request.align;
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
