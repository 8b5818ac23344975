/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Why a device cannot be had or configured, and what to do about it.
 */
#include "cli/explain.h"

#include "cli/say.h"
#include "host/holder.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <string.h>

static const char *mode_name(bool tap) {
  return tap ? "TAP" : "TUN";
}

/* The name is taken: by what? */
static enum adit_cli_status explain_taken(const struct adit_cli_options *options,
                                          const struct adit_link_info *existing) {
  const char *name = options->dev != NULL ? options->dev : "adit%d";
  if (existing != NULL && strcmp(existing->kind, "tun") != 0) {
    return adit_cli_fail(options, "--dev %s: exists and is no TUN or TAP device (%s); choose another name", name,
                         existing->kind[0] != '\0' ? existing->kind : "a network card or such");
  }
  if (existing != NULL && existing->tun != 0 && existing->tun != (options->tap ? IFF_TAP : IFF_TUN)) {
    return adit_cli_fail(options, "--dev %s: exists as a %s device, not %s; %s --tap, or choose another name", name,
                         mode_name(!options->tap), mode_name(options->tap), options->tap ? "leave out" : "add");
  }
  struct adit_holder holder;
  if (adit_holder_find(name, &holder)) {
    return adit_cli_fail(options, "--dev %s: in use by process %ld (%s); choose another name or end that process", name,
                         holder.pid, holder.command);
  }
  if (existing != NULL && existing->persistent) {
    return adit_cli_fail(
        options,
        "--dev %s: in use by another program, or made with another number of queues (see 'ip -d tuntap "
        "show'); choose another name, end that program, or change --queues",
        name);
  }
  return adit_cli_fail(options, "--dev %s: in use by another program; choose another name or end that program", name);
}

static enum adit_cli_status explain_permission(const struct adit_cli_options *options,
                                               const struct adit_link_info *existing, int error) {
  if (error == -EACCES) {
    return adit_cli_fail(options,
                         "/dev/net/tun cannot be opened: %s; run as root (sudo), or let an administrator allow "
                         "it (chmod 666 /dev/net/tun; in a container also --device /dev/net/tun)",
                         strerror(-error));
  }
  if (existing != NULL) {
    return adit_cli_fail(options,
                         "--dev %s: no permission to use this device, it belongs to another user; run as that "
                         "user or as root (sudo)",
                         options->dev);
  }
  return adit_cli_fail(options,
                       "no permission to make a %s device; run as root (sudo) or with the capability "
                       "CAP_NET_ADMIN (containers: --cap-add NET_ADMIN), or give --dev a device that an administrator "
                       "made for you (ip tuntap add dev adit0 mode %s user NAME)",
                       mode_name(options->tap), options->tap ? "tap" : "tun");
}

enum adit_cli_status adit_cli_explain_open(const struct adit_cli_options *options,
                                           const struct adit_link_info *existing, int error) {
  switch (error) {
  case -ENOENT:
    return adit_cli_fail(options, "there is no /dev/net/tun, from which devices are made; load the kernel's driver "
                                  "(modprobe tun) or start the container with --device /dev/net/tun");
  case -ENODEV:
  case -ENXIO:
    return adit_cli_fail(options, "/dev/net/tun has no driver behind it; load it (modprobe tun) or use a kernel built "
                                  "with CONFIG_TUN");
  case -EPERM:
  case -EACCES:
    return explain_permission(options, existing, error);
  case -EBUSY:
    return explain_taken(options, existing);
  case -EMFILE:
  case -ENFILE:
    return adit_cli_fail(options,
                         "too many open files for %llu queues; raise the limit (ulimit -n) or give fewer "
                         "--queues",
                         (unsigned long long)options->queues);
  case -EINVAL:
    return adit_cli_fail(options,
                         "this kernel refuses a %s device with %llu queue(s); give fewer --queues, or a newer "
                         "kernel",
                         mode_name(options->tap), (unsigned long long)options->queues);
  default:
    return adit_cli_fail(options, "the %s device%s%s cannot be opened: %s", mode_name(options->tap),
                         options->dev != NULL ? " " : "", options->dev != NULL ? options->dev : "", strerror(-error));
  }
}

enum adit_cli_status adit_cli_explain_setting(const struct adit_cli_options *options, const char *name,
                                              const char *what, const struct adit_link_socket *link, int error) {
  const char *advice = "";
  switch (error) {
  case -EPERM:
    advice = "; run as root (sudo) or with the capability CAP_NET_ADMIN, or let an administrator set it (ip link, ip "
             "address)";
    break;
  case -EACCES:
  case -EAFNOSUPPORT:
  case -EOPNOTSUPP:
    advice = "; IPv6 may be off here: see sysctl net.ipv6.conf.all.disable_ipv6, or give IPv4 only with --address";
    break;
  case -ENODEV:
    advice = "; somebody removed the device; start again";
    break;
  default:
    break;
  }
  return adit_cli_fail(options, "%s: %s cannot be set: %s%s", name, what, adit_link_reason(link), advice);
}
