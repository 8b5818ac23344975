/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The small servers that `adit serve` answers with: which one on which port, and what they need from outside.
 *
 * They know the stack and nothing else: no fd, no thread, no clock of their own.
 */
#ifndef ADIT_SERVICE_SERVICES_H
#define ADIT_SERVICE_SERVICES_H

#include <adit/stack.h>

struct adit_services;

/** What the services need from outside. Set `wall_clock`; zero elsewhere is the default. */
struct adit_services_options {
  /** Seconds since 1970-01-01 00:00:00 UTC (daytime). Required. */
  int64_t (*wall_clock)(void *user);
  void *user; /**< for `wall_clock` */
  adit_cidr
      network4; /**< an IPv4 and an IPv6 network whose addresses are twins: 192.168.3.12 in the one is ...:12 in */
  adit_cidr network6; /**< the other, so that dns can name both. A version of 0 = none */
};

/** Make the services of one stack. Returns 0 and `*services`, owned by the caller, or -EINVAL, -ENOMEM, -EALREADY. */
int adit_services_new(struct adit_stack *stack, const struct adit_services_options *options,
                      struct adit_services **services);

/** Free them. Only after the stack is gone, since its flows report here. NULL is allowed. */
void adit_services_free(struct adit_services *services);

/** For `syn` of struct adit_stack_events: the service of the port accepts, a port without one refuses (RST). */
void adit_services_syn(void *services, struct adit_flow *flow);

/** For `datagram` of struct adit_stack_events: the service of the port answers, or ICMP port unreachable. */
void adit_services_datagram(void *services, const struct adit_datagram *datagram);

/**
 * The address of the other family that belongs to `ip`: the host number is written the same way in both, so
 * 192.168.3.12 and fdad:3::12 are twins in 192.168.3.0/24 and fdad:3::/64. Version 0 when there is none.
 */
adit_ip adit_services_twin(const struct adit_services_options *options, adit_ip ip);

#endif
