/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams straight to where the client wants them: a socket a session, connected to nobody.
 *
 * What the client sent keeps its TTL or hop limit, and an ICMP error that comes back goes on to the client with the
 * address of who sent it. So traceroute sees the routers that are there.
 */
#include "relay/udp.h"

#include <errno.h>

static int open_direct(struct adit_udp_session *session) {
  return adit_udp_socket_open(session, session->client.ip.version, NULL);
}

static void send_direct(struct adit_udp_session *session, const struct adit_datagram *datagram) {
  struct adit_relay *relay = session->all->relay;
  if (relay->fake && adit_fake_is_ours(relay, datagram->local.ip)) { /* a name, which nobody here resolves */
    adit_udp_drop(session->all);
    adit_stack_refuse_datagram(relay->stack, datagram);
    return;
  }
  adit_udp_socket_send(session, &(struct adit_udp_message){.local = datagram->local,
                                                           .addressed = true,
                                                           .ttl = datagram->ttl,
                                                           .iov = datagram->iov,
                                                           .iovcnt = datagram->iovcnt,
                                                           .length = datagram->length});
}

static void receive_direct(struct adit_udp_session *session, adit_endpoint from, const uint8_t *bytes, size_t length) {
  adit_udp_deliver(session, from, bytes, length);
}

static void pass_on(struct adit_udp_session *session, const struct adit_icmp_error *error) {
  if (!error->final) return;
  struct iovec head = {(void *)(uintptr_t)error->head, error->length};
  adit_stack_send_unreachable(session->all->relay->stack, error->target, session->client, error->how, error->reporter,
                              &head, 1);
}

static void tell_client(struct adit_udp_session *session, adit_endpoint local, const struct iovec *payload, int error) {
  const adit_ip nobody = {{0}, 0};
  adit_udp_drop(session->all);
  if (error == -EMSGSIZE || error == -EINVAL) return; /* nothing that an ICMP error could say */
  adit_stack_send_unreachable(session->all->relay->stack, local, session->client, adit_icmp_error_refusal(error), nobody,
                              payload, 1);
}

const struct adit_udp_way adit_udp_direct = {
    .size = sizeof(struct adit_udp_session),
    .open = open_direct,
    .send = send_direct,
    .receive = receive_direct,
    .complain = pass_on,
    .failed = tell_client,
};
