/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The relay of one worker: who gets which event.
 *
 * Made in `start` in the order sockets-to-nobody, dns, names, udp, pings; taken down in `stop` in reverse, while the
 * stack still exists, so that what is said to flows there still goes out. `free` comes after the stack: nothing but the
 * memory of the relay itself is left then.
 */
#include "relay/state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53 };

enum adit_relay_icmp adit_relay_icmp_mode(const struct adit_relay_options *options) {
  bool direct = options->upstream.kind == ADIT_UPSTREAM_DIRECT;
  if (options->icmp == ADIT_RELAY_ICMP_DEFAULT || (options->icmp == ADIT_RELAY_ICMP_RELAY && !direct))
    return direct ? ADIT_RELAY_ICMP_RELAY : ADIT_RELAY_ICMP_REPLY;
  return options->icmp;
}

static bool udp_is_on(const struct adit_relay *relay) {
  enum adit_upstream_kind kind = relay->options->upstream.kind;
  return relay->options->udp == ADIT_RELAY_UDP_ON && (kind == ADIT_UPSTREAM_DIRECT || kind == ADIT_UPSTREAM_SOCKS5);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void stop(void *state) {
  struct adit_relay *relay = state;
  adit_tcp_stop(relay);
  if (relay->icmp == ADIT_RELAY_ICMP_RELAY) adit_ping_stop(relay);
  if (udp_is_on(relay)) adit_udp_stop(relay);
  if (relay->options->dns == ADIT_RELAY_DNS_FAKE) adit_fake_stop(relay);
  if (relay->options->dns == ADIT_RELAY_DNS_FORWARD) adit_dns_stop(relay);
  if (relay->options->ended) relay->options->ended(relay->options->ended_user, &relay->stats);
}

static int start(void *user, struct adit_worker *worker, void **state) {
  struct adit_relay *relay = calloc(1, sizeof *relay);
  if (!relay) return -ENOMEM;
  relay->options = user;
  relay->worker = worker;
  relay->stack = adit_worker_stack(worker);
  relay->loop = adit_worker_loop(worker);
  relay->log = adit_worker_log(worker);
  relay->icmp = adit_relay_icmp_mode(relay->options);

  int error = relay->options->dns == ADIT_RELAY_DNS_FORWARD ? adit_dns_start(relay) : 0;
  if (error) goto no_dns;
  error = relay->options->dns == ADIT_RELAY_DNS_FAKE ? adit_fake_start(relay) : 0;
  if (error) goto no_fake;
  error = udp_is_on(relay) ? adit_udp_start(relay) : 0;
  if (error) goto no_udp;
  error = relay->icmp == ADIT_RELAY_ICMP_RELAY ? adit_ping_start(relay) : 0;
  if (error) goto no_ping;
  *state = relay;
  return 0;

no_ping:
  if (udp_is_on(relay)) adit_udp_stop(relay);
no_udp:
  if (relay->options->dns == ADIT_RELAY_DNS_FAKE) adit_fake_stop(relay);
no_fake:
  if (relay->options->dns == ADIT_RELAY_DNS_FORWARD) adit_dns_stop(relay);
no_dns:
  free(relay);
  return error;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static_assert(sizeof(struct adit_relay_stats) % sizeof(uint64_t) == 0, "only 64-bit numbers");
static_assert(sizeof(struct adit_relay_stats) <= ADIT_STATS_APPLICATION * sizeof(uint64_t), "they fit");

static void count(void *state, uint64_t numbers[ADIT_STATS_APPLICATION]) {
  struct adit_relay *relay = state;
  relay->stats.flows_open = relay->session_count;
  memcpy(numbers, &relay->stats, sizeof relay->stats);
}

struct adit_relay_stats adit_relay_stats_of(const struct adit_stats *stats) {
  struct adit_relay_stats found;
  memcpy(&found, stats->application, sizeof found);
  return found;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void on_syn(void *state, struct adit_flow *flow) {
  struct adit_relay *relay = state;
  if (adit_flow_local(flow).port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FORWARD)
    adit_dns_syn(relay, flow);
  else if (adit_flow_local(flow).port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FAKE)
    adit_fake_syn(relay, flow);
  else
    adit_tcp_syn(relay, flow);
}

static void on_datagram(void *state, const struct adit_datagram *datagram) {
  struct adit_relay *relay = state;
  if (datagram->local.port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FORWARD)
    adit_dns_datagram(relay, datagram);
  else if (datagram->local.port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FAKE)
    adit_fake_datagram(relay, datagram);
  else if (udp_is_on(relay))
    adit_udp_datagram(relay, datagram);
  else
    adit_stack_refuse_datagram(relay->stack, datagram);
}

static void on_echo(void *state, const struct adit_echo *echo) {
  struct adit_relay *relay = state;
  switch (relay->icmp) {
  case ADIT_RELAY_ICMP_RELAY:
    adit_ping_echo(relay, echo);
    break;
  case ADIT_RELAY_ICMP_REPLY:
    adit_stack_echo_reply(relay->stack, echo);
    break;
  case ADIT_RELAY_ICMP_OFF:
  case ADIT_RELAY_ICMP_DEFAULT: /* was resolved at the start */
    break;
  }
}

static void on_socket(void *state, struct adit_watch *watch, uint32_t events) {
  struct adit_relay_socket *socket = (struct adit_relay_socket *)watch; /* its first member */
  (void)state;
  socket->ready(socket, events);
}

const struct adit_application adit_relay_application = {
    .name = "relay",
    .start = start,
    .syn = on_syn,
    .datagram = on_datagram,
    .echo = on_echo,
    .socket = on_socket,
    .count = count,
    .stop = stop,
    .free = free,
};
