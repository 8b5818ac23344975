/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Sockets to the outside.
 *
 * All of the relay's sockets are made here, so that none of them is routed back into the device that it serves: a mark
 * that a rule of the routing policy knows (SO_MARK), an interface (SO_BINDTODEVICE), or whatever the embedding program
 * does in `protect`, each before the first packet. A socket that cannot be kept outside is not made.
 */
#include "relay/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int keep_outside(const struct adit_relay_options *options, int fd) {
  if (options->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &options->mark, sizeof options->mark) < 0) return -errno;
  if (options->interface) {
    socklen_t length = (socklen_t)strlen(options->interface);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->interface, length) < 0) return -errno;
  }
  return options->protect ? options->protect(options->protect_user, fd) : 0;
}

int adit_outside_socket(const struct adit_egress *egress, int domain, int type, int protocol) {
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  int error = keep_outside(egress->options, fd);
  if (error) {
    close(fd);
    return error;
  }
  return fd;
}

unsigned adit_outside_sockaddr(adit_endpoint endpoint, void *sockaddr_storage) {
  if (endpoint.ip.version == 4) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint.port)};
    memcpy(&in.sin_addr, endpoint.ip.bytes, 4);
    memcpy(sockaddr_storage, &in, sizeof in);
    return sizeof in;
  }
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint.port)};
  memcpy(&in6.sin6_addr, endpoint.ip.bytes, 16);
  memcpy(sockaddr_storage, &in6, sizeof in6);
  return sizeof in6;
}

adit_endpoint adit_outside_endpoint(const void *sockaddr_storage) {
  adit_endpoint endpoint = {{{0}, 0}, 0};
  sa_family_t family;
  memcpy(&family, (const char *)sockaddr_storage + offsetof(struct sockaddr, sa_family), sizeof family);
  if (family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, sockaddr_storage, sizeof in);
    endpoint.ip = adit_ip_from_bytes(4, &in.sin_addr);
    endpoint.port = ntohs(in.sin_port);
  } else if (family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, sockaddr_storage, sizeof in6);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
    endpoint.ip = mapped ? adit_ip_from_bytes(4, in6.sin6_addr.s6_addr + 12) : adit_ip_from_bytes(6, &in6.sin6_addr);
    endpoint.port = ntohs(in6.sin6_port);
  }
  return endpoint;
}
