/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a service is to the table of services, and what it finds there. For the files of this folder.
 */
#ifndef ADIT_SERVICE_SERVICE_H
#define ADIT_SERVICE_SERVICE_H

#include "service/services.h"

/** Longest DNS message that is looked at; queries are far below it (RFC 6891 suggests 4096 as the most). */
#define ADIT_SERVICE_SCRATCH 4096

/** The services of one stack. */
struct adit_services {
  struct adit_stack *stack; /**< borrowed */
  struct adit_services_options options;
  uint64_t datagrams;                    /**< answered by chargen, of which the next length follows */
  uint8_t scratch[ADIT_SERVICE_SCRATCH]; /**< for one message, within one callback */
};

/** One service. */
struct adit_service {
  uint16_t port;    /**< TCP and UDP */
  const char *name; /**< as in /etc/services */
  /** Once, before everything else. NULL = nothing to do. Returns 0 or a negative errno. */
  int (*start)(struct adit_services *services);
  /** TCP: what each flow is attached to, with the struct adit_services as user; NULL = not over TCP, or see `accept`. */
  const struct adit_flow_events *flow;
  /** TCP, instead of `flow`: attach and accept. Returns as adit_flow_accept. */
  int (*accept)(struct adit_services *services, struct adit_flow *flow);
  /** UDP. NULL = not over UDP. */
  void (*datagram)(struct adit_services *services, const struct adit_datagram *datagram);
  bool answers; /**< UDP: sends something back, and so must not be set on another one that does */
};

extern const struct adit_service adit_service_echo;
extern const struct adit_service adit_service_discard;
extern const struct adit_service adit_service_daytime;
extern const struct adit_service adit_service_chargen;
extern const struct adit_service adit_service_dns;
extern const struct adit_service adit_service_http;

/** Answer a datagram. What cannot be sent is lost, as datagrams are. */
void adit_service_reply(struct adit_services *services, const struct adit_datagram *datagram, const struct iovec *iov,
                        unsigned iovcnt);

/** A `readable` that throws away what comes, for flows that only talk. */
void adit_service_ignore(void *user, struct adit_flow *flow);

/** A `peer_closed` that closes. */
void adit_service_close(void *user, struct adit_flow *flow);

#endif
