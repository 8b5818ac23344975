/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options of the command line to options of the relay.
 */
#include "cli/relaying.h"

#include "cli/say.h"
#include "host/routes.h"
#include "relay/fake_names.h"
#include "relay/own.h"

#include <assert.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint32_t milliseconds(uint64_t seconds) {
  return (uint32_t)(seconds * 1000); /* the option table bounds it */
}

static_assert((int)ADIT_CLI_UDP_ON == (int)ADIT_RELAY_UDP_ON && (int)ADIT_CLI_UDP_OFF == (int)ADIT_RELAY_UDP_OFF,
              "the same choices");
static_assert((int)ADIT_CLI_ICMP_DEFAULT == (int)ADIT_RELAY_ICMP_DEFAULT &&
                  (int)ADIT_CLI_ICMP_REPLY == (int)ADIT_RELAY_ICMP_REPLY &&
                  (int)ADIT_CLI_ICMP_RELAY == (int)ADIT_RELAY_ICMP_RELAY &&
                  (int)ADIT_CLI_ICMP_OFF == (int)ADIT_RELAY_ICMP_OFF,
              "the same choices");

/* Each connection is an fd: have as many as this process may. Not having more is no failure, only a bound. */
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void read_dns(const struct adit_cli_options *options, struct adit_relay_options *relay) {
  switch (options->dns.mode) {
  case ADIT_CLI_DNS_FAKE:
    relay->dns = ADIT_RELAY_DNS_FAKE;
    break;
  case ADIT_CLI_DNS_FORWARD:
    relay->dns = ADIT_RELAY_DNS_FORWARD;
    relay->dns_server = options->dns.server;
    break;
  case ADIT_CLI_DNS_DEFAULT:
  case ADIT_CLI_DNS_OFF:
    relay->dns = ADIT_RELAY_DNS_OFF;
    break;
  }
}

/* What the options say, but for the upstream's address. Returns ADIT_CLI_DONE, or the exit status with all said. */
static enum adit_cli_status read_options(const struct adit_cli_options *options, struct adit_relay_options *relay) {
  char reason[ADIT_URL_REASON];
  const char *url = options->upstream != NULL ? options->upstream : "direct://";
  *relay = (struct adit_relay_options){0};
  if (adit_upstream_parse(url, &relay->upstream, reason) != 0) {
    adit_cli_fail(options, "--upstream: %s", reason);
    return ADIT_CLI_USAGE;
  }
  read_dns(options, relay);
  if (options->icmp == ADIT_CLI_ICMP_RELAY && relay->upstream.kind != ADIT_UPSTREAM_DIRECT) {
    adit_cli_fail(options, "--icmp relay: only direct:// can carry echo requests; give --icmp reply or --icmp off");
    return ADIT_CLI_USAGE;
  }
  relay->udp = (enum adit_relay_udp)options->udp;
  relay->icmp = (enum adit_relay_icmp)options->icmp;
  relay->connect_ms = milliseconds(options->connect_timeout);
  bool never = adit_cli_given(options, ADIT_CLI_IDLE_TIMEOUT) && options->idle_timeout == 0;
  relay->idle_ms = never ? UINT32_MAX : milliseconds(options->idle_timeout);
  relay->half_closed_ms = milliseconds(options->half_closed_timeout);
  relay->udp_idle_ms = milliseconds(options->udp_timeout);
  relay->max_flows = (uint32_t)options->max_flows;
  relay->max_udp = (uint32_t)options->max_udp;
  relay->mark = (uint32_t)options->mark;
  if (relay->mark == 0 && options->route.count > 0) relay->mark = ADIT_ROUTES_MARK;
  relay->interface = options->interface;
  return ADIT_CLI_DONE;
}

enum adit_cli_status adit_cli_relaying_init(const struct adit_cli_options *options,
                                            struct adit_cli_relaying *relaying) {
  char reason[ADIT_URL_REASON];
  *relaying = (struct adit_cli_relaying){0};
  struct adit_relay_options *relay = &relaying->relay;
  enum adit_cli_status status = read_options(options, relay);
  if (status == ADIT_CLI_DONE && adit_upstream_resolve(&relay->upstream, reason) != 0)
    status = adit_cli_fail(options, "--upstream: %s; check the name, or write the address", reason);
  if (status == ADIT_CLI_DONE && relay->interface != NULL && if_nametoindex(relay->interface) == 0)
    status = adit_cli_fail(options, "--interface %s: there is no such interface; give one that 'ip link' shows",
                           relay->interface);
  if (status == ADIT_CLI_DONE && adit_own_new(&relay->own) != 0) status = adit_cli_fail(options, "out of memory");
  if (status != ADIT_CLI_DONE) {
    adit_upstream_clear(&relay->upstream);
    return status;
  }
  raise_file_limit();
  return ADIT_CLI_DONE;
}

enum adit_cli_status adit_cli_relaying_names(const struct adit_cli_options *options, struct adit_cli_relaying *relaying,
                                             const adit_ip *excepts, size_t count) {
  struct timespec now;
  if (relaying->relay.dns != ADIT_RELAY_DNS_FAKE || relaying->relay.fake_names != NULL) return ADIT_CLI_DONE;
  free(relaying->dns_cache); /* of an attempt that failed */
  relaying->dns_cache = options->dns_cache != NULL ? strdup(options->dns_cache) : NULL;
  if (options->dns_cache != NULL && relaying->dns_cache == NULL) return adit_cli_fail(options, "out of memory");
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct adit_fake_options how = {
      .except = excepts,
      .excepts = count,
      .cache = relaying->dns_cache,
      .log = adit_cli_log(options),
      .now_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
  };
  int error = adit_fake_names_new(&how, &relaying->relay.fake_names);
  if (error == 0) return ADIT_CLI_DONE;
  return adit_cli_fail(options, "--dns fake: no table of names can be made: %s", strerror(-error));
}

enum adit_cli_status adit_cli_relaying_again(const struct adit_cli_options *options,
                                             const struct adit_cli_relaying *before,
                                             struct adit_cli_relaying *relaying) {
  char reason[ADIT_URL_REASON];
  char address[ADIT_ADDRESS_TEXT];
  *relaying = (struct adit_cli_relaying){.dns_cache = before->dns_cache};
  struct adit_relay_options *relay = &relaying->relay;
  enum adit_cli_status status = read_options(options, relay);
  if (status != ADIT_CLI_DONE) return status;
  relay->fake_names = before->relay.fake_names;
  relay->own = before->relay.own;
  int kept = adit_upstream_renew(&relay->upstream, &before->relay.upstream, reason);
  if (kept < 0) return adit_cli_fail(options, "--upstream: %s; check the name, or write the address", reason);
  if (kept > 0)
    adit_cli_note(options, "note: %s; it keeps %s", reason, adit_endpoint_format(relay->upstream.address, address));
  return ADIT_CLI_DONE;
}

void adit_cli_relaying_free(struct adit_cli_relaying *relaying) {
  adit_fake_names_free(relaying->relay.fake_names);
  free(relaying->dns_cache);
  adit_own_free(relaying->relay.own);
  adit_upstream_clear(&relaying->relay.upstream);
}

static void say_log(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  const struct adit_cli_options *options = user;
  char subject[32] = "";
  if (flow != 0) snprintf(subject, sizeof subject, "flow %llu: ", (unsigned long long)flow);
  (void)level; /* what is not wanted is not made */
  adit_cli_fail(options, "%s%s", subject, text);
}

enum adit_log_level adit_cli_log_level(const struct adit_cli_options *options) {
  return options->verbosity > 0 ? ADIT_LOG_DEBUG : options->verbosity == 0 ? ADIT_LOG_NOTICE : ADIT_LOG_ERROR;
}

struct adit_log adit_cli_log(const struct adit_cli_options *options) {
  return (struct adit_log){.write = say_log,
                           .user = (void *)(uintptr_t)options, /* only read */
                           .level = adit_cli_log_level(options)};
}
