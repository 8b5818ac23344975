/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From the options of a tunnel to what relay and stack are told.
 *
 * What can be wrong is found here, before anything is opened or started, so that the reason can say which option it
 * was. What the kernel has to allow (mark, interface) is tried on a socket that is thrown away: otherwise the start
 * would succeed and every connection fail.
 */
#include "tunnel/state.h"

#include "relay/fake_names.h"
#include "relay/own.h"
#include "relay/setting.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MTU_LEAST = 576, MTU_MOST = 65535, MEMORY_LEAST = 1 << 20 }; /* see adit_stack_new */

static_assert((int)ADIT_TUNNEL_ERROR == (int)ADIT_LOG_ERROR && (int)ADIT_TUNNEL_WARNING == (int)ADIT_LOG_WARNING &&
                  (int)ADIT_TUNNEL_NOTICE == (int)ADIT_LOG_NOTICE && (int)ADIT_TUNNEL_DEBUG == (int)ADIT_LOG_DEBUG,
              "the same levels");

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static int check_numbers(const struct adit_tunnel_options *options, char *reason) {
  if (options->queues > ADIT_RUNTIME_WORKERS)
    return adit_tunnel_explain(reason, -EINVAL, "queues: %u is out of range; give 1..%d", options->queues,
                               ADIT_RUNTIME_WORKERS);
  if (options->mtu != 0 && (options->mtu < MTU_LEAST || options->mtu > MTU_MOST))
    return adit_tunnel_explain(reason, -EINVAL, "mtu: %u is out of range; give %d..%d, or 0 for 1500", options->mtu,
                               MTU_LEAST, MTU_MOST);
  if (options->memory_bytes != 0 && options->memory_bytes < MEMORY_LEAST)
    return adit_tunnel_explain(reason, -EINVAL, "memory_bytes: %zu is too little; give at least %d, or 0 for 256 MiB",
                               options->memory_bytes, MEMORY_LEAST);
  if ((unsigned)options->log_level >= ADIT_LOG_LEVELS)
    return adit_tunnel_explain(reason, -EINVAL, "log_level: %d is none; give ADIT_TUNNEL_ERROR .. ADIT_TUNNEL_DEBUG",
                               (int)options->log_level);
  if (options->fds && options->device)
    return adit_tunnel_explain(reason, -EINVAL, "device: %s cannot be opened, there are fds already; give one of both",
                               options->device);
  if (options->own_fds && !options->fds)
    return adit_tunnel_explain(reason, -EINVAL, "own_fds: there are no fds; set `fds`");
  if (options->answers > 0 && !options->answer)
    return adit_tunnel_explain(reason, -EINVAL, "answers: %zu, but `answer` is NULL; set both or none",
                               options->answers);
  return 0;
}

static int read_texts(const struct adit_tunnel_options *options, struct adit_relay_options *relay, char *reason) {
  char why[ADIT_SETTING_REASON];
  int udp = options->udp ? adit_setting_word(adit_setting_udp, options->udp, why) : ADIT_RELAY_UDP_ON;
  if (udp < 0) return adit_tunnel_explain(reason, udp, "udp: %s", why);
  int icmp = options->icmp ? adit_setting_word(adit_setting_icmp, options->icmp, why) : ADIT_RELAY_ICMP_DEFAULT;
  if (icmp < 0) return adit_tunnel_explain(reason, icmp, "icmp: %s", why);
  int error = options->dns ? adit_setting_dns(options->dns, &relay->dns, &relay->dns_server, why) : 0;
  if (error) return adit_tunnel_explain(reason, error, "dns: %s", why);
  relay->udp = (enum adit_relay_udp)udp;
  relay->icmp = (enum adit_relay_icmp)icmp;
  if (relay->icmp == ADIT_RELAY_ICMP_RELAY && relay->upstream.kind != ADIT_UPSTREAM_DIRECT)
    return adit_tunnel_explain(reason, -EINVAL,
                               "icmp: relay: only direct:// can carry echo requests; give reply or off");
  if (options->dns_cache && relay->dns != ADIT_RELAY_DNS_FAKE)
    return adit_tunnel_explain(reason, -EINVAL, "dns_cache: is for dns \"fake\" only; leave it out");
  return 0;
}

/* Whether sockets can be kept outside as the options want. */
static int try_outside(const struct adit_tunnel_options *options, char *reason) {
  const char *interface = options->interface;
  if (interface && (strlen(interface) >= IF_NAMESIZE || if_nametoindex(interface) == 0))
    return adit_tunnel_explain(reason, -ENODEV,
                               "interface: there is none of the name '%.64s'; give one that "
                               "'ip link' shows",
                               interface);
  if (!interface && options->mark == 0) return 0;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    int error = -errno;
    return adit_tunnel_explain(reason, error, "no socket can be made: %s", strerror(-error));
  }
  int error = 0;
  if (options->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &options->mark, sizeof options->mark) < 0) {
    error = -errno;
    adit_tunnel_explain(reason, error, "mark: sockets cannot be marked: %s; it takes root or CAP_NET_ADMIN",
                        strerror(-error));
  } else if (interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0) {
    error = -errno;
    adit_tunnel_explain(reason, error, "interface: sockets cannot be bound to %s: %s", interface, strerror(-error));
  }
  close(fd);
  return error;
}

static int find_upstream(const struct adit_tunnel_options *options, struct adit_upstream *upstream, char *reason) {
  char why[ADIT_URL_REASON];
  if (!options->upstream)
    return adit_tunnel_explain(reason, -EINVAL,
                               "upstream: is missing; give a URL such as direct:// or "
                               "socks5://127.0.0.1:1080");
  int error = adit_upstream_parse(options->upstream, upstream, why);
  return error ? adit_tunnel_explain(reason, error, "upstream: %s", why) : 0;
}

/* May take long. */
static int look_up(struct adit_tunnel *tunnel, struct adit_upstream *upstream, char *reason) {
  char why[ADIT_URL_REASON];
  char address[ADIT_ADDRESS_TEXT];
  bool runs = tunnel->runtime != NULL;
  int error = runs ? adit_upstream_renew(upstream, &tunnel->relay.upstream, why) : adit_upstream_resolve(upstream, why);
  if (error < 0) return adit_tunnel_explain(reason, error, "upstream: %s; check the name, or write the address", why);
  struct adit_log log = adit_tunnel_log(tunnel);
  if (error > 0)
    adit_log_write(&log, ADIT_LOG_WARNING, 0, "upstream: %s; it keeps %s", why,
                   adit_endpoint_format(upstream->address, address));
  return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

int adit_tunnel_plan(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options,
                     struct adit_relay_options *relay, char *reason) {
  *relay = (struct adit_relay_options){0};
  int error = check_numbers(options, reason);
  if (!error) error = find_upstream(options, &relay->upstream, reason);
  if (!error) error = read_texts(options, relay, reason);
  if (!error) error = try_outside(options, reason);
  if (!error) error = look_up(tunnel, &relay->upstream, reason);
  if (error) return error;
  if (!tunnel->own && adit_own_new(&tunnel->own) != 0) {
    adit_upstream_clear(&relay->upstream);
    return adit_tunnel_explain(reason, -ENOMEM, "out of memory");
  }
  relay->own = tunnel->own;
  relay->connect_ms = options->connect_ms;
  relay->idle_ms = options->idle_ms;
  relay->max_flows = options->max_flows;
  relay->mark = options->mark;
  relay->interface = options->interface;
  relay->protect = tunnel->fixed.protect;
  relay->protect_user = tunnel->fixed.user;
  return 0;
}

int adit_tunnel_plan_names(struct adit_tunnel *tunnel, struct adit_relay_options *relay, const char *cache,
                           char *reason) {
  struct timespec now;
  relay->fake_names = tunnel->names;
  if (relay->dns != ADIT_RELAY_DNS_FAKE || tunnel->names) return 0;
  free(tunnel->dns_cache); /* of an attempt that failed */
  tunnel->dns_cache = cache ? strdup(cache) : NULL;
  if (cache && !tunnel->dns_cache) return adit_tunnel_explain(reason, -ENOMEM, "out of memory");
  clock_gettime(CLOCK_MONOTONIC, &now);
  const struct adit_fake_options how = {
      .cache = tunnel->dns_cache,
      .log = adit_tunnel_log(tunnel),
      .now_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
  };
  int error = adit_fake_names_new(&how, &tunnel->names);
  if (error) return adit_tunnel_explain(reason, error, "dns: no table of names can be made: %s", strerror(-error));
  relay->fake_names = tunnel->names;
  return 0;
}
