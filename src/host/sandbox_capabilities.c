/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The sandbox's user and capabilities (capabilities(7)), by libcap-ng.
 *
 * What is kept is kept as permitted and effective. The bounding and ambient sets are emptied: nothing that is executed
 * would have more, if anything could be executed. A process that has no capabilities has nothing to give up.
 */
#include "host/sandbox_parts.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#ifdef ADIT_HAVE_CAPNG
#include <cap-ng.h>
#endif

static int cannot_become(const struct adit_sandbox_user *user, int error, char *reason) {
  return adit_sandbox_explain(reason, error, "--user: cannot become user %u: %s%s", (unsigned)user->uid,
                              strerror(-error), error == -EPERM ? "; only root can, so leave --user out" : "");
}

static bool is_same(const struct adit_sandbox_user *user) {
  return !user->change || (user->uid == geteuid() && user->gid == getegid());
}

#ifdef ADIT_HAVE_CAPNG
static bool has(int capability) {
  return capng_have_capability(CAPNG_PERMITTED, (unsigned)capability) != 0;
}

static int read_state(char *reason) {
  if (capng_get_caps_process() == 0) return 0;
  return adit_sandbox_explain(reason, -EIO, "the capabilities of this process cannot be read");
}

static int set(uint64_t keep, char *reason) {
  bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  uint64_t kept = 0;
  for (int i = 0; i <= CAP_LAST_CAP; i++)
    if ((keep & ADIT_SANDBOX_CAPABILITY(i)) && has(i)) kept |= ADIT_SANDBOX_CAPABILITY(i);
  capng_clear(CAPNG_SELECT_ALL);
  for (int i = 0; i <= CAP_LAST_CAP; i++) {
    if (kept & ADIT_SANDBOX_CAPABILITY(i))
      (void)capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), (unsigned)i);
  }
  int result = capng_apply(bounds ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS);
  if (result == 0) return 0;
  return adit_sandbox_explain(reason, -EPERM, "capabilities cannot be given up: %s (libcap-ng, step %d)",
                              strerror(errno), -result);
}

/* First the user, with all capabilities carried over, then the capabilities. */
int adit_sandbox_capabilities(const struct adit_sandbox_user *user, uint64_t keep, char *reason) {
  int error = read_state(reason);
  if (error == 0 && !is_same(user)) {
    if (!has(CAP_SETUID) || !has(CAP_SETGID)) return cannot_become(user, -EPERM, reason);
    errno = 0;
    if (capng_change_id((int)user->uid, (int)user->gid, CAPNG_DROP_SUPP_GRP) != 0)
      return cannot_become(user, errno != 0 ? -errno : -EPERM, reason);
    error = read_state(reason);
  }
  return error == 0 ? set(keep, reason) : error;
}
#else
/* Root that becomes another user loses all capabilities by that. */
int adit_sandbox_capabilities(const struct adit_sandbox_user *user, uint64_t keep, char *reason) {
  if (!is_same(user)) {
    if (keep != 0)
      return adit_sandbox_explain(reason, -ENOTSUP,
                                  "--user: without libcap-ng, which this adit was built without, capabilities that are "
                                  "needed here (for --route, --mark, --interface, pings) would be lost; leave it out");
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
      return cannot_become(user, -errno, reason);
  }
  return adit_sandbox_explain(reason, -ENOSYS, "built without libcap-ng: capabilities stay as they are");
}
#endif
