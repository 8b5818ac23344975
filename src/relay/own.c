/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets of ours that the kernel routes back into our own device.
 *
 * Mark, interface or `protect` keep own sockets out of it (outside.c), when somebody has given one and set up what
 * belongs to it. Where that is missing, a SYN of ours comes back as if it was a client's, is relayed by another socket,
 * whose SYN comes back ... until nothing is left. So whoever begins something for a client asks first whether the packet
 * that begins it is one of ours. That is once a connection, session or ping, and not on the way of a byte.
 *
 * What can be known of a packet of ours:
 *   TCP while it connects, connected UDP   both addresses and ports. No client on this machine can have the same
 *   UDP that is not connected              the port, which no other socket of this machine has, and that the source is
 *                                          an address of this machine: somebody else's client may have any port
 *   echo                                   the identifier, the source likewise, and who was asked. Only the first who
 *                                          was asked is known; a request to another one comes round once more, where it
 *                                          is the first
 * NAT between the socket and the device hides it; then max_flows is the bound.
 *
 * Several workers: the kernel may bring what one has sent to the queue of another, so the table is shared, and has a
 * lock. A SYN may be looked at before its socket was noted, since it leaves within connect(). It then goes round once
 * more; that somebody loses this race many times in a row does not happen.
 */
#include "relay/own.h"

#include "relay/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUCKETS = 4096 }; /* ports are spread by the kernel */

struct adit_own {
  pthread_mutex_t lock;
  struct adit_own_socket *bucket[BUCKETS];
};

int adit_own_new(struct adit_own **own) {
  struct adit_own *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  if (pthread_mutex_init(&made->lock, NULL) != 0) {
    free(made);
    return -ENOMEM;
  }
  *own = made;
  return 0;
}

void adit_own_free(struct adit_own *own) {
  if (!own) return;
  pthread_mutex_destroy(&own->lock);
  free(own);
}

static void put(struct adit_own *own, struct adit_own_socket *socket) {
  pthread_mutex_lock(&own->lock);
  struct adit_own_socket **head = &own->bucket[socket->local.port % BUCKETS];
  socket->own = own;
  socket->link = head;
  socket->next = *head;
  if (socket->next) socket->next->link = &socket->next;
  *head = socket;
  pthread_mutex_unlock(&own->lock);
}

static bool is_unspecified(adit_ip ip) {
  static const uint8_t zero[sizeof ip.bytes];
  return memcmp(ip.bytes, zero, sizeof zero) == 0;
}

void adit_own_note(struct adit_own *own, struct adit_own_socket *socket, int protocol, int fd, adit_endpoint peer) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  adit_own_forget(socket);
  if (!own || getsockname(fd, (struct sockaddr *)&address, &length) < 0) return;
  socket->local = adit_outside_endpoint(&address);
  if (socket->local.port == 0) return;
  socket->version = socket->local.ip.version;
  if (is_unspecified(socket->local.ip)) socket->local.ip = (adit_ip){{0}, 0};
  socket->peer = peer;
  socket->protocol = protocol;
  put(own, socket);
}

void adit_own_note_id(struct adit_own *own, struct adit_own_socket *socket, uint16_t id, adit_ip peer) {
  adit_own_forget(socket);
  if (!own) return;
  socket->version = peer.version;
  socket->local = (adit_endpoint){{{0}, 0}, id};
  socket->peer = (adit_endpoint){peer, 0};
  socket->protocol = IPPROTO_ICMP;
  put(own, socket);
}

void adit_own_forget(struct adit_own_socket *socket) {
  struct adit_own *own = socket->own;
  if (!own) return;
  pthread_mutex_lock(&own->lock);
  *socket->link = socket->next;
  if (socket->next) socket->next->link = socket->link;
  pthread_mutex_unlock(&own->lock);
  socket->own = NULL;
}

/* Whether this machine has the address, in our network namespace: then a socket can be bound to it. */
static bool is_of_this_machine(adit_ip ip) {
  struct sockaddr_storage address;
  socklen_t length = adit_outside_sockaddr((adit_endpoint){ip, 0}, &address);
  int fd = socket(ip.version == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true; /* it was probable before */
  bool found = bind(fd, (struct sockaddr *)&address, length) == 0;
  close(fd);
  return found;
}

static bool fits(adit_endpoint known, adit_endpoint seen) {
  return known.ip.version == 0 || (known.port == seen.port && adit_ip_equal(known.ip, seen.ip));
}

bool adit_own_has(struct adit_own *own, int protocol, adit_endpoint source, adit_endpoint destination) {
  if (!own) return false;
  bool certain = false, probable = false;
  pthread_mutex_lock(&own->lock);
  const struct adit_own_socket *socket = own->bucket[source.port % BUCKETS];
  for (; socket && !certain; socket = socket->next) {
    if (socket->local.port != source.port || socket->protocol != protocol || socket->version != source.ip.version ||
        !fits(socket->local, source) || !fits(socket->peer, destination))
      continue;
    if (socket->local.ip.version)
      certain = true;
    else
      probable = true;
  }
  pthread_mutex_unlock(&own->lock);
  return certain || (probable && is_of_this_machine(source.ip));
}

bool adit_own_came_back(struct adit_relay *relay, int protocol, adit_endpoint source, adit_endpoint destination) {
  if (!adit_own_has(relay->options->own, protocol, source, destination)) return false;
  char text[ADIT_ADDRESS_TEXT];
  adit_log_limited(
      relay->log, &relay->own_limit, adit_loop_now(relay->loop), ADIT_LOG_WARNING, 0,
      "the way to %s leads back into the device, for adit's own sockets too: refused. Let adit set the "
      "routes (--route), or keep its sockets out of the device with --interface, or with --mark and a rule "
      "for that mark",
      adit_endpoint_format(destination, text));
  return true;
}
