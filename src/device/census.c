/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One RTM_GETLINK by name; the answer holds IFLA_LINKINFO / IFLA_INFO_DATA / IFLA_TUN_* (tun_fill_info in the kernel).
 */
#include "device/census.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/socket.h>

/* An answer about one link, statistics and all, stays well below; a longer one would be an error, not an overflow. */
enum { ANSWER_BYTES = 16384 };

static int add_queues(const struct nlattr *attribute, void *user) {
  uint16_t type = mnl_attr_get_type(attribute);
  if (type != IFLA_TUN_NUM_QUEUES && type != IFLA_TUN_NUM_DISABLED_QUEUES) return MNL_CB_OK;
  if (mnl_attr_validate(attribute, MNL_TYPE_U32) < 0) return MNL_CB_ERROR;
  *(int *)user += (int)mnl_attr_get_u32(attribute);
  return MNL_CB_OK;
}

static int read_info(const struct nlattr *attribute, void *user) {
  if (mnl_attr_get_type(attribute) != IFLA_INFO_DATA) return MNL_CB_OK;
  return mnl_attr_parse_nested(attribute, add_queues, user);
}

static int read_attribute(const struct nlattr *attribute, void *user) {
  if (mnl_attr_get_type(attribute) != IFLA_LINKINFO) return MNL_CB_OK;
  return mnl_attr_parse_nested(attribute, read_info, user);
}

static int read_link(const struct nlmsghdr *message, void *user) {
  int result = mnl_attr_parse(message, sizeof(struct ifinfomsg), read_attribute, user);
  return result < 0 ? MNL_CB_ERROR : MNL_CB_STOP;
}

int adit_census_queues(const char *name) {
  alignas(struct nlmsghdr) char bytes[ANSWER_BYTES];
  struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == NULL) return -errno;
  struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_REQUEST;
  request->nlmsg_seq = 1;
  struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof *link);
  link->ifi_family = AF_UNSPEC;
  mnl_attr_put_strz(request, IFLA_IFNAME, name);
  int count = 0;
  ssize_t got;
  int result = 0;
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
      mnl_socket_sendto(socket, request, request->nlmsg_len) < 0 ||
      (got = mnl_socket_recvfrom(socket, bytes, sizeof bytes)) < 0 ||
      mnl_cb_run(bytes, (size_t)got, 1, mnl_socket_get_portid(socket), read_link, &count) < 0) {
    result = -errno;
  }
  mnl_socket_close(socket);
  return result != 0 ? result : count;
}
