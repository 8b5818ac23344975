/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The table of services, and the way from an event of the stack to one of them.
 *
 * No service keeps memory for a flow: what one needs to know fits into the `user` of adit_flow_attach. So there is
 * nothing to free when a flow or the stack goes, and 100,000 idle flows cost what the stack takes for them.
 *
 * Datagrams that come from the port of a service that answers are dropped. Otherwise one forged datagram, from port 7 of
 * one host to port 7 of another, would go back and forth between the two for ever.
 */
#include "service/service.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const struct adit_service *const table[] = {
    &adit_service_echo,    &adit_service_discard, &adit_service_daytime,
    &adit_service_chargen, &adit_service_dns,     &adit_service_http,
};
static_assert(sizeof table / sizeof table[0] == 6, "the services of adit serve");

static const struct adit_service *find(uint16_t port) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i]->port == port) return table[i];
  return NULL;
}

int adit_services_new(struct adit_stack *stack, const struct adit_services_options *options,
                      struct adit_services **services) {
  if (!stack || !options->wall_clock) return -EINVAL;
  struct adit_services *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->stack = stack;
  made->options = *options;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    int error = table[i]->start ? table[i]->start(made) : 0;
    if (error) {
      free(made);
      return error;
    }
  }
  *services = made;
  return 0;
}

void adit_services_free(struct adit_services *services) {
  free(services);
}

void adit_services_syn(void *user, struct adit_flow *flow) {
  struct adit_services *services = user;
  const struct adit_service *service = find(adit_flow_local(flow).port);
  int error;
  if (service && service->flow) {
    adit_flow_attach(flow, service->flow, services);
    error = adit_flow_accept(flow);
  } else if (service && service->accept) {
    error = service->accept(services, flow);
  } else {
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  if (error) adit_flow_drop(flow); /* no memory now; the client repeats its SYN */
}

void adit_services_datagram(void *user, const struct adit_datagram *datagram) {
  struct adit_services *services = user;
  const struct adit_service *service = find(datagram->local.port);
  if (!service || !service->datagram) {
    adit_stack_refuse_datagram(services->stack, datagram);
    return;
  }
  const struct adit_service *sender = find(datagram->remote.port);
  if (datagram->remote.port == 0 || (service->answers && sender && sender->answers)) return;
  service->datagram(services, datagram);
}

/* ---- what several services do ------------------------------------------------------------------------------------ */

void adit_service_reply(struct adit_services *services, const struct adit_datagram *datagram, const struct iovec *iov,
                        unsigned iovcnt) {
  (void)adit_stack_send_datagram(services->stack, datagram->local, datagram->remote, iov, iovcnt);
}

void adit_service_ignore(void *user, struct adit_flow *flow) {
  (void)user;
  adit_flow_consume(flow, adit_flow_available(flow));
}

void adit_service_close(void *user, struct adit_flow *flow) {
  (void)user;
  adit_flow_close(flow);
}

/* ---- twins ------------------------------------------------------------------------------------------------------- */

/* Host numbers up to 255: one byte of an IPv4 address, as three hexadecimal digits that read as decimal ones. */
static unsigned decimal_as_hex(unsigned number) {
  return number / 100 << 8 | number / 10 % 10 << 4 | number % 10;
}

static int hex_as_decimal(unsigned number) {
  unsigned hundreds = number >> 8;
  unsigned tens = number >> 4 & 15;
  unsigned ones = number & 15;
  unsigned value = hundreds * 100 + tens * 10 + ones;
  return number > 0xfff || tens > 9 || ones > 9 || value > 255 ? -1 : (int)value;
}

adit_ip adit_services_twin(const struct adit_services_options *options, adit_ip ip) {
  const adit_ip none = {{0}, 0};
  adit_cidr network4 = options->network4;
  adit_cidr network6 = options->network6;
  if (network4.ip.version != 4 || network6.ip.version != 6 || network4.prefix < 24 || network6.prefix > 112)
    return none;
  adit_ip twin;
  if (ip.version == 4 && adit_cidr_contains(network4, ip)) {
    unsigned number = decimal_as_hex(ip.bytes[3]);
    twin = network6.ip;
    for (unsigned bit = network6.prefix; bit < 128; bit++)
      twin.bytes[bit / 8] = (uint8_t)(twin.bytes[bit / 8] & ~(0x80u >> bit % 8));
    twin.bytes[14] = (uint8_t)(number >> 8);
    twin.bytes[15] = (uint8_t)number;
    return twin;
  }
  if (ip.version == 6 && adit_cidr_contains(network6, ip)) {
    int number = hex_as_decimal((unsigned)ip.bytes[14] << 8 | ip.bytes[15]);
    twin = network4.ip;
    twin.bytes[3] = (uint8_t)number;
    /* Only when it leads back here: the rest of the host part is zero, and the number lies in the IPv4 network. */
    if (number >= 0 && adit_cidr_contains(network4, twin) && adit_ip_equal(adit_services_twin(options, twin), ip))
      return twin;
  }
  return none;
}
