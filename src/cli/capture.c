/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From --route, --bypass and --fail-closed to traffic that enters the device.
 *
 * What earlier runs left is removed only after the own capture is in place, so that what was kept blocked by
 * --fail-closed is never open in between.
 */
#include "cli/capture.h"

#include "cli/say.h"

#include <net/if.h>

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
    struct adit_routes_options how = {
        .index = if_nametoindex(device->name),
        .capture = options->route.item,
        .captures = options->route.count,
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
