/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From --route, --bypass and --fail-closed to traffic that enters the device.
 *
 * With --dns fake the networks of its addresses are captured too: nobody but this adit knows what they stand for.
 *
 * What earlier runs left is removed only after the own capture is in place, so that what was kept blocked by
 * --fail-closed is never open in between.
 */
#include "cli/capture.h"

#include "cli/say.h"

#include <net/if.h>
#include <string.h>

/* Addresses of --dns fake (relay/fake_names.h), that for IPv6 last. */
static const adit_cidr fake[] = {
    {.ip = {{198, 18}, 4}, .prefix = 15},
    {.ip = {{0xfd, 0x00, 0x01, 0x98, 0x00, 0x18}, 6}, .prefix = 48},
};
enum { FAKES = sizeof fake / sizeof fake[0], IPV6_MTU = 1280 };

/* What is to be captured into `capture`. Returns the number. */
static size_t collect(const struct adit_cli_options *options, const struct adit_cli_device *device,
                      adit_cidr capture[ADIT_CLI_LIST + FAKES]) {
  size_t count = options->route.count;
  size_t fakes = device->mtu < IPV6_MTU ? FAKES - 1 : FAKES;
  memcpy(capture, options->route.item, count * sizeof *capture);
  if (options->dns.mode != ADIT_CLI_DNS_FAKE) return count;
  memcpy(capture + count, fake, fakes * sizeof *fake);
  return count + fakes;
}

static void pass_notice(void *user, const char *text) {
  adit_cli_note(user, "note: %s", text);
}

static void pass_removed(void *user, const char *text) {
  adit_cli_detail(user, "left by an earlier run, removed: %s", text);
}

/* Not being allowed to look for leftovers is a failure only where something is to be set as well. */
static void clean_up(const struct adit_cli_options *options, void *user) {
  char reason[ADIT_ROUTES_REASON];
  int count = adit_routes_cleanup(pass_removed, user, reason);
  if (count > 0) {
    adit_cli_note(options, "note: removed %d rules and routes that an earlier run had left (--verbose lists them)",
                  count);
  }
  if (count < 0) adit_cli_note(options, "note: %s", reason);
}

enum adit_cli_status adit_cli_capture(const struct adit_cli_options *options, const struct adit_cli_device *device,
                                      struct adit_routes **routes) {
  char reason[ADIT_ROUTES_REASON];
  union {
    const struct adit_cli_options *in;
    void *out;
  } user = {.in = options}; /* the two above only read it */
  *routes = NULL;
  if (options->route.count > 0) {
    adit_cidr capture[ADIT_CLI_LIST + FAKES];
    struct adit_routes_options how = {
        .index = if_nametoindex(device->name),
        .capture = capture,
        .captures = collect(options, device, capture),
        .bypass = options->bypass.item,
        .bypasses = options->bypass.count,
        .own = device->address.item,
        .owns = device->address.count,
        .mark = (uint32_t)options->mark,
        .fail_closed = options->fail_closed,
        .notice = pass_notice,
        .user = user.out,
    };
    if (how.index == 0) {
      return adit_cli_fail(options, "--route: %s is no interface of this network namespace", device->name);
    }
    if (adit_device_link(device->queue[0]) == ADIT_LINK_ETHERNET) {
      return adit_cli_fail(options, "--route: %s carries Ethernet frames; routes lead into a TUN device", device->name);
    }
    int error = adit_routes_capture(&how, routes, reason);
    if (error != 0) return adit_cli_fail(options, "--route: %s", reason);
  }
  clean_up(options, user.out);
  return ADIT_CLI_DONE;
}

void adit_cli_release(const struct adit_cli_options *options, struct adit_routes *routes, bool failed) {
  if (routes == NULL) return;
  if (!failed || !options->fail_closed) {
    adit_routes_release(routes);
    return;
  }
  adit_routes_abandon(routes);
  adit_cli_note(options, "note: what --route captured stays blocked (--fail-closed) until the next start or 'adit "
                         "cleanup'");
}
