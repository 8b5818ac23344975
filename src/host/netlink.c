/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A conversation with the kernel's network configuration (rtnetlink): one request, its answers, its outcome.
 *
 * Requests are answered at once by the kernel, so the socket is blocking. libmnl does the encoding; the reading loop is our
 * own, because the kernel's explanation of an error (NETLINK_EXT_ACK) stands behind the acknowledgement, where mnl_cb_run
 * does not look.
 */
#include "host/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int adit_netlink_open(struct adit_netlink *netlink) {
  int error, on = 1;
  memset(netlink, 0, sizeof *netlink);
  netlink->mnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (netlink->mnl == NULL) return -errno;
  if (mnl_socket_bind(netlink->mnl, 0, MNL_SOCKET_AUTOPID) < 0) {
    error = -errno;
    mnl_socket_close(netlink->mnl);
    return error;
  }
  netlink->port = mnl_socket_get_portid(netlink->mnl);
  /* Both only make answers better and shorter; kernels without them (before 4.12, 4.3) work as well. */
  mnl_socket_setsockopt(netlink->mnl, NETLINK_EXT_ACK, &on, sizeof on);
  mnl_socket_setsockopt(netlink->mnl, NETLINK_CAP_ACK, &on, sizeof on);
  return 0;
}

void adit_netlink_close(struct adit_netlink *netlink) {
  mnl_socket_close(netlink->mnl);
  netlink->mnl = NULL;
}

const char *adit_netlink_reason(const struct adit_netlink *netlink) {
  return netlink->reason;
}

int adit_netlink_fail(struct adit_netlink *netlink, int error, const char *words) {
  snprintf(netlink->reason, sizeof netlink->reason, "%s", words != NULL ? words : strerror(-error));
  return error;
}

void *adit_netlink_request(struct adit_netlink *netlink, uint16_t type, uint16_t flags, size_t header) {
  memset(&netlink->request, 0, sizeof netlink->request);
  struct nlmsghdr *message = mnl_nlmsg_put_header(netlink->request.bytes);
  message->nlmsg_type = type;
  message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  message->nlmsg_seq = ++netlink->sequence;
  return mnl_nlmsg_put_extra_header(message, header);
}

int adit_netlink_repeat(struct adit_netlink *netlink, const struct nlmsghdr *message, uint16_t type) {
  if (message->nlmsg_len > sizeof netlink->request) return adit_netlink_fail(netlink, -EMSGSIZE, NULL);
  memset(&netlink->request, 0, sizeof netlink->request);
  memcpy(netlink->request.bytes, message, message->nlmsg_len);
  struct nlmsghdr *request = &netlink->request.align;
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST;
  request->nlmsg_seq = ++netlink->sequence;
  request->nlmsg_pid = 0;
  return 0;
}

static int find_words(const struct nlattr *attribute, void *user) {
  const char **words = user;
  if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
    *words = mnl_attr_get_str(attribute);
  }
  return MNL_CB_OK;
}

/* The outcome that an NLMSG_ERROR message carries: 0 or a negative errno, with the kernel's words if it found some. */
static int read_outcome(struct adit_netlink *netlink, const struct nlmsghdr *message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nlmsgerr)) return adit_netlink_fail(netlink, -EBADMSG, NULL);
  const struct nlmsgerr *outcome = mnl_nlmsg_get_payload(message);
  if (outcome->error == 0) return 0;
  const char *words = NULL;
  if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
    size_t skip = sizeof *outcome; /* and the request itself, unless the kernel left its body out */
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) skip += outcome->msg.nlmsg_len - sizeof outcome->msg;
    mnl_attr_parse(message, (unsigned)skip, find_words, &words);
  }
  return adit_netlink_fail(netlink, outcome->error, words);
}

/* The end of a dump carries an error when the kernel could not go on. */
static int read_done(struct adit_netlink *netlink, const struct nlmsghdr *message) {
  int error = 0;
  if (mnl_nlmsg_get_payload_len(message) >= sizeof error) memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
  return error < 0 ? adit_netlink_fail(netlink, error, NULL) : 0;
}

int adit_netlink_talk(struct adit_netlink *netlink, adit_netlink_answer_fn *answer, void *user) {
  struct nlmsghdr *request = &netlink->request.align;
  request->nlmsg_flags |= NLM_F_ACK; /* of a dump the last message says that it is done */
  if (mnl_socket_sendto(netlink->mnl, request, request->nlmsg_len) < 0) return adit_netlink_fail(netlink, -errno, NULL);
  for (;;) {
    ssize_t got = mnl_socket_recvfrom(netlink->mnl, netlink->answer.bytes, sizeof netlink->answer.bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return adit_netlink_fail(netlink, -errno, NULL);
    int left = (int)got;
    for (const struct nlmsghdr *message = &netlink->answer.align; mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != netlink->sequence || message->nlmsg_pid != netlink->port) continue;
      if (message->nlmsg_type == NLMSG_ERROR) return read_outcome(netlink, message);
      if (message->nlmsg_type == NLMSG_DONE) return read_done(netlink, message);
      if (answer != NULL) answer(user, message);
    }
  }
}
