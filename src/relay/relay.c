/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The relay of one worker: who gets which event.
 *
 * The parts are made in `start`, or by the reload that first needs them (adit_relay_prepare), and stay until `stop`,
 * since there may be sessions that outlast a reload. They are taken down while the stack still exists, so that what is
 * said to flows there still goes out. `free` comes after the stack: nothing but the memory of the relay itself is left
 * then.
 */
#include "relay/state.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53 };

enum adit_relay_icmp adit_relay_icmp_mode(const struct adit_relay_options *options) {
  bool direct = options->upstream.kind == ADIT_UPSTREAM_DIRECT;
  if (options->icmp == ADIT_RELAY_ICMP_DEFAULT || (options->icmp == ADIT_RELAY_ICMP_RELAY && !direct))
    return direct ? ADIT_RELAY_ICMP_RELAY : ADIT_RELAY_ICMP_REPLY;
  return options->icmp;
}

static bool udp_is_on(const struct adit_relay_options *options) {
  enum adit_upstream_kind kind = options->upstream.kind;
  return options->udp == ADIT_RELAY_UDP_ON && (kind == ADIT_UPSTREAM_DIRECT || kind == ADIT_UPSTREAM_SOCKS5);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void stop(void *state) {
  struct adit_relay *relay = state;
  adit_tcp_stop(relay);
  if (relay->pings) adit_ping_stop(relay);
  if (relay->udp) adit_udp_stop(relay);
  if (relay->fake) adit_fake_stop(relay);
  if (relay->dns) adit_dns_stop(relay);
  adit_trial_stop(relay);
  if (relay->next_egress) adit_egress_release(relay->next_egress);
  adit_egress_release(relay->egress);
  adit_egress_bury(relay);
  assert(!relay->egresses); /* nobody has forgotten to let go */
}

int adit_relay_prepare(struct adit_relay *relay, struct adit_egress *egress) {
  const struct adit_relay_options *options = egress->options;
  int error = 0;
  if (options->dns == ADIT_RELAY_DNS_FORWARD) error = adit_dns_prepare(relay, egress);
  if (options->dns == ADIT_RELAY_DNS_FAKE) error = adit_fake_prepare(relay, egress);
  if (!error && udp_is_on(options) && !relay->udp) error = adit_udp_start(relay);
  if (!error && adit_relay_icmp_mode(options) == ADIT_RELAY_ICMP_RELAY && !relay->pings) error = adit_ping_start(relay);
  return error;
}

void adit_relay_take(struct adit_relay *relay, struct adit_egress *egress) {
  relay->egress = egress;
  relay->options = egress->options;
  relay->icmp = adit_relay_icmp_mode(egress->options);
}

static int start(void *user, struct adit_worker *worker, void **state) {
  struct adit_relay *relay = calloc(1, sizeof *relay);
  if (!relay) return -ENOMEM;
  relay->worker = worker;
  relay->stack = adit_worker_stack(worker);
  relay->loop = adit_worker_loop(worker);
  relay->log = adit_worker_log(worker);
  struct adit_egress *egress;
  int error = adit_egress_new(relay, user, &egress);
  if (error) goto no_egress;
  adit_relay_take(relay, egress);
  error = adit_relay_prepare(relay, egress);
  if (error) goto not_all;
  *state = relay;
  return 0;

not_all:
  stop(relay);
no_egress:
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
  if (adit_own_came_back(relay, IPPROTO_TCP, adit_flow_remote(flow), adit_flow_local(flow)))
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
  else if (adit_flow_local(flow).port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FORWARD)
    adit_dns_syn(relay, flow);
  else if (adit_flow_local(flow).port == DNS_PORT && relay->options->dns == ADIT_RELAY_DNS_FAKE)
    adit_fake_syn(relay, flow);
  else
    adit_tcp_syn(relay, flow);
}

static void on_datagram(void *state, const struct adit_datagram *datagram) {
  struct adit_relay *relay = state;
  bool question = datagram->local.port == DNS_PORT && relay->options->dns != ADIT_RELAY_DNS_OFF;
  /* Other datagrams are looked at where a session begins. */
  bool own = question && adit_own_came_back(relay, IPPROTO_UDP, datagram->remote, datagram->local);
  if (question && !own && relay->options->dns == ADIT_RELAY_DNS_FORWARD)
    adit_dns_datagram(relay, datagram);
  else if (question && !own)
    adit_fake_datagram(relay, datagram);
  else if (!own && (udp_is_on(relay->options) || adit_udp_knows(relay, datagram)))
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
  case ADIT_RELAY_ICMP_DEFAULT: /* was resolved by adit_relay_take */
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
