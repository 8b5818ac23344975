/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --io-uring.
 */
#include "cli/gather.h"

#include "cli/say.h"

#include <errno.h>
#include <string.h>

static const char *reason_of(int error) {
  switch (error) {
  case -ENOSYS:
    return "this kernel or this build has no io_uring (it takes Linux 5.10, and liburing when adit is built)";
  case -EPERM:
    return "io_uring is forbidden here, by a container or by the sysctl kernel.io_uring_disabled";
  case -EOPNOTSUPP:
    return "such a device cannot be read by io_uring (for TUN and TAP it takes Linux 6.4)";
  default:
    return strerror(-error);
  }
}

enum adit_cli_status adit_cli_gather(const struct adit_cli_options *options, struct adit_device *const *queue,
                                     unsigned queues) {
  bool wanted = (options->command->options & ADIT_CLI_BIT(ADIT_CLI_IO_URING)) && options->io_uring != ADIT_GATHER_NEVER;
  if (!wanted || adit_cli_given(options, ADIT_CLI_FAULT)) return ADIT_CLI_DONE;
  for (unsigned i = 0; i < queues; i++) {
    int result = adit_device_gather(queue[i], (enum adit_gather)options->io_uring);
    if (result < 0 && options->io_uring == ADIT_GATHER_ALWAYS)
      return adit_cli_fail(options, "--io-uring=always: %s; use auto", reason_of(result));
    if (i > 0) continue; /* it is the same for all */
    if (result < 0)
      adit_cli_detail(options, "one system call for each packet: %s", reason_of(result));
    else
      adit_cli_detail(options, result == 1 ? "several packets go with one system call (io_uring)"
                                           : "one system call for each packet: io_uring is not faster here");
  }
  return ADIT_CLI_DONE;
}
