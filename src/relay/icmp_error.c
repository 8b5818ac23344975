/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the network has to say about datagrams that were sent.
 *
 * With IP_RECVERR the kernel keeps each ICMP error about a datagram of the socket's in a queue beside the one for data,
 * with the address the datagram was for, the address of who complains, and the beginning of what it carried. Without it
 * a socket that is not connected never hears of them. The price: the socket also remembers the last error as its own,
 * and the next call, which may be about another address, fails with it. Hence adit_icmp_error_clear,
 * and more than one try wherever something is sent.
 */
#include "relay/icmp_error.h"
#include "relay/state.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

enum { IGNORED = ADIT_REFUSALS };

/* Destination unreachable by code: RFC 792, RFC 1122 (3.2.2.1), RFC 1812 (5.2.7.1). */
static const uint8_t unreachable4[] = {
    [ICMP_NET_UNREACH] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP_HOST_UNREACH] = ADIT_REFUSE_HOST_UNREACHABLE,
    [ICMP_PROT_UNREACH] = ADIT_REFUSE_RESET,
    [ICMP_PORT_UNREACH] = ADIT_REFUSE_RESET,
    [ICMP_FRAG_NEEDED] = IGNORED,
    [ICMP_SR_FAILED] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP_NET_UNKNOWN] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP_HOST_UNKNOWN] = ADIT_REFUSE_HOST_UNREACHABLE,
    [ICMP_HOST_ISOLATED] = ADIT_REFUSE_HOST_UNREACHABLE,
    [ICMP_NET_ANO] = ADIT_REFUSE_PROHIBITED,
    [ICMP_HOST_ANO] = ADIT_REFUSE_PROHIBITED,
    [ICMP_NET_UNR_TOS] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP_HOST_UNR_TOS] = ADIT_REFUSE_HOST_UNREACHABLE,
    [ICMP_PKT_FILTERED] = ADIT_REFUSE_PROHIBITED,
    [ICMP_PREC_VIOLATION] = ADIT_REFUSE_PROHIBITED,
    [ICMP_PREC_CUTOFF] = ADIT_REFUSE_PROHIBITED,
};
static_assert(sizeof unreachable4 == NR_ICMP_UNREACH + 1, "a meaning for each code");

/* The same for ICMPv6: RFC 4443, 3.1. */
static const uint8_t unreachable6[] = {
    [ICMP6_DST_UNREACH_NOROUTE] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP6_DST_UNREACH_ADMIN] = ADIT_REFUSE_PROHIBITED,
    [ICMP6_DST_UNREACH_BEYONDSCOPE] = ADIT_REFUSE_NET_UNREACHABLE,
    [ICMP6_DST_UNREACH_ADDR] = ADIT_REFUSE_HOST_UNREACHABLE,
    [ICMP6_DST_UNREACH_NOPORT] = ADIT_REFUSE_RESET,
    [5] = ADIT_REFUSE_PROHIBITED, /* source address failed ingress/egress policy */
    [6] = ADIT_REFUSE_PROHIBITED, /* reject route to destination */
};

static uint8_t by_code(const uint8_t *table, size_t length, uint8_t code) {
  return code < length ? table[code] : IGNORED;
}

static uint8_t meaning_of(const struct sock_extended_err *error) {
  if (error->ee_origin == SO_EE_ORIGIN_ICMP) {
    if (error->ee_type == ICMP_DEST_UNREACH) return by_code(unreachable4, sizeof unreachable4, error->ee_code);
    return error->ee_type == ICMP_TIME_EXCEEDED && error->ee_code == ICMP_EXC_TTL ? ADIT_REFUSE_TTL_EXPIRED : IGNORED;
  }
  if (error->ee_origin == SO_EE_ORIGIN_ICMP6) {
    if (error->ee_type == ICMP6_DST_UNREACH) return by_code(unreachable6, sizeof unreachable6, error->ee_code);
    return error->ee_type == ICMP6_TIME_EXCEEDED && error->ee_code == ICMP6_TIME_EXCEED_TRANSIT
               ? ADIT_REFUSE_TTL_EXPIRED
               : IGNORED;
  }
  if (error->ee_origin != SO_EE_ORIGIN_LOCAL || error->ee_errno == EMSGSIZE) return IGNORED;
  return (uint8_t)adit_icmp_error_refusal(-(int)error->ee_errno);
}

enum adit_refusal adit_icmp_error_refusal(int error) {
  switch (error) {
  case -ENETUNREACH:
  case -EAFNOSUPPORT:
  case -EADDRNOTAVAIL:
    return ADIT_REFUSE_NET_UNREACHABLE;
  case -EACCES:
  case -EPERM:
    return ADIT_REFUSE_PROHIBITED;
  case -ECONNREFUSED:
    return ADIT_REFUSE_RESET;
  default:
    return ADIT_REFUSE_HOST_UNREACHABLE;
  }
}

int adit_icmp_error_ask(int fd, unsigned version) {
  const int on = 1;
  int result = version == 4 ? setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on)
                            : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
  return result < 0 ? -errno : 0;
}

static void read_control(const struct cmsghdr *control, struct adit_icmp_error *error) {
  struct sock_extended_err extended;
  bool ours = (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
              (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR);
  if (!ours || control->cmsg_len < CMSG_LEN(sizeof extended)) return;
  memcpy(&extended, CMSG_DATA(control), sizeof extended);
  uint8_t meaning = meaning_of(&extended);
  error->final = meaning != IGNORED;
  if (error->final) error->how = (enum adit_refusal)meaning;
  struct sockaddr_storage reporter = {0};
  size_t length = control->cmsg_len - CMSG_LEN(sizeof extended);
  if (extended.ee_origin == SO_EE_ORIGIN_LOCAL) return;
  memcpy(&reporter, CMSG_DATA(control) + sizeof extended, length < sizeof reporter ? length : sizeof reporter);
  error->reporter = adit_outside_endpoint(&reporter).ip;
}

int adit_icmp_error_take(int fd, struct adit_icmp_error *error) {
  union {
    struct cmsghdr align;
    char bytes[512];
  } control;
  struct sockaddr_storage target = {0};
  struct iovec iov = {error->head, sizeof error->head};
  struct msghdr message = {.msg_name = &target,
                           .msg_namelen = sizeof target,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control};
  ssize_t length;
  do {
    length = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return 0;
  error->target = (adit_endpoint){{{0}, 0}, 0};
  if (message.msg_namelen > 0) error->target = adit_outside_endpoint(&target);
  error->reporter = (adit_ip){{0}, 0};
  error->final = false;
  error->length = (size_t)length;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) read_control(one, error);
  return 1;
}

int adit_icmp_error_clear(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? 0 : -error;
}
