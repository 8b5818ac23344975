/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The devices of a tunnel: one that is opened, or fds that somebody gave.
 *
 * Who owns the fds with `own_fds`: the tunnel, as soon as the start was called with options that can be read. Each is
 * closed exactly once: by its device from the moment that there is one, by close_from before that. The same number
 * given twice would be closed twice, the second time perhaps as somebody else's; so it is an error, and closed once.
 */
#include "tunnel/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned queues_of(const struct adit_tunnel_options *options) {
  return options->queues ? options->queues : 1;
}

/* The first index before `end` with the fd of index `end`, or `end`. */
static unsigned first_use(const int *fds, unsigned end) {
  unsigned i = 0;
  while (fds[i] != fds[end]) i++;
  return i;
}

static void close_from(const struct adit_tunnel_options *options, unsigned from) {
  if (!options->own_fds || !options->fds) return;
  for (unsigned i = from; i < queues_of(options); i++)
    if (options->fds[i] >= 0 && first_use(options->fds, i) == i) close(options->fds[i]);
}

void adit_tunnel_close_fds(const struct adit_tunnel_options *options) {
  close_from(options, 0);
}

void adit_tunnel_close(struct adit_tunnel *tunnel) {
  while (tunnel->devices > 0) adit_device_close(tunnel->device[--tunnel->devices]);
  free(tunnel->device);
  tunnel->device = NULL;
}

/* ---- fds --------------------------------------------------------------------------------------------------------- */

static int explain_attach(char *reason, int fd, int error) {
  if (error == -EBADF)
    return adit_tunnel_explain(reason, error, "fds: %d is not open in this process; give the fd of a TUN", fd);
  if (error == -EINVAL)
    return adit_tunnel_explain(
        reason, error, "fds: %d keeps no packets apart, or cannot be read and written; give the fd of a TUN", fd);
  return adit_tunnel_explain(reason, error, "fds: %d cannot be used: %s", fd, strerror(-error));
}

static int attach(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  int error = 0;
  for (unsigned i = 0; !error && i < queues_of(options); i++) {
    int fd = options->fds[i];
    unsigned before = first_use(options->fds, i);
    if (before < i) {
      error = adit_tunnel_explain(reason, -EINVAL, "fds: %d is there twice (at %u and %u); give one fd for each queue",
                                  fd, before, i);
      break;
    }
    error = adit_device_attach(fd, options->own_fds, &tunnel->device[i]);
    if (error) {
      error = explain_attach(reason, fd, error);
      break;
    }
    tunnel->devices++;
    if (adit_device_link(tunnel->device[i]) != ADIT_LINK_IP)
      error = adit_tunnel_explain(reason, -EINVAL, "fds: %d is of a TAP, whose frames are not relayed; open a TUN", fd);
  }
  if (!error) return 0;
  close_from(options, tunnel->devices);
  return error;
}

/* ---- a device of our own ----------------------------------------------------------------------------------------- */

static int explain_open(const struct adit_tunnel_options *options, int error, char *reason) {
  const char *name = options->device ? options->device : "adit%d";
  switch (error) {
  case -ENOENT:
  case -ENODEV:
  case -ENXIO:
    return adit_tunnel_explain(reason, error,
                               "there is no TUN driver behind /dev/net/tun; load it (modprobe tun), or "
                               "give the container the device");
  case -EPERM:
  case -EACCES:
    return adit_tunnel_explain(reason, error,
                               "device: no permission to open %s; it takes root or CAP_NET_ADMIN, or "
                               "a device made for this user (ip tuntap add), or fds from who may",
                               name);
  case -EBUSY:
    return adit_tunnel_explain(reason, error,
                               "device: %s is in use, or exists and is no TUN with %u queue(s); choose "
                               "another name",
                               name, queues_of(options));
  case -ENAMETOOLONG:
    return adit_tunnel_explain(reason, error, "device: %s is longer than %d bytes; choose a shorter name", name,
                               ADIT_DEVICE_NAME - 1);
  case -EINVAL:
    return adit_tunnel_explain(reason, error,
                               "device: %s with %u queue(s) is not allowed by the kernel; choose a name "
                               "without /, : and space, and at most one %%d in it",
                               name, queues_of(options));
  case -EMFILE:
  case -ENFILE:
    return adit_tunnel_explain(reason, error,
                               "device: too many open files for %u queue(s); raise the limit "
                               "(RLIMIT_NOFILE)",
                               queues_of(options));
  default:
    return adit_tunnel_explain(reason, error, "device: %s cannot be opened: %s", name, strerror(-error));
  }
}

/* The kernel grants less than was asked. */
static void pass_notice(void *user, const char *text) {
  struct adit_log log = adit_tunnel_log(user);
  adit_log_write(&log, ADIT_LOG_NOTICE, 0, "%s", text);
}

static int open_device(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  const struct adit_device_options how = {
      .size = sizeof how,
      .name = options->device,
      .queues = queues_of(options),
      .no_offload = options->no_offload,
      .notice = pass_notice,
      .user = tunnel,
  };
  int error = adit_device_open(&how, tunnel->device);
  if (error) return explain_open(options, error, reason);
  tunnel->devices = how.queues;
  return 0;
}

/* Where one queue cannot, none can: said once. */
static void gather(struct adit_tunnel *tunnel) {
  int result = 0;
  for (unsigned i = 0; result >= 0 && i < tunnel->devices; i++)
    result = adit_device_gather(tunnel->device[i], ADIT_GATHER_IF_FASTER);
  if (result >= 0) return;
  struct adit_log log = adit_tunnel_log(tunnel);
  adit_log_write(&log, ADIT_LOG_NOTICE, 0, "io_uring: %s: one system call for each packet", strerror(-result));
}

int adit_tunnel_open(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason) {
  tunnel->device = calloc(queues_of(options), sizeof(struct adit_device *));
  if (!tunnel->device) {
    close_from(options, 0);
    return adit_tunnel_explain(reason, -ENOMEM, "out of memory");
  }
  int error = options->fds ? attach(tunnel, options, reason) : open_device(tunnel, options, reason);
  if (error) {
    adit_tunnel_close(tunnel);
    return error;
  }
  if (options->io_uring) gather(tunnel);
  return 0;
}
