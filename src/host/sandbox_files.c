/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The sandbox's files (landlock(7)).
 *
 * Every right about files that the kernel knows is handled, that is forbidden, and then allowed for the files and
 * directories of the plan. Files that are open stay open. A rule is about what is found under a name now: a file that is
 * replaced later is another one, while what is put into a directory of a rule belongs to it.
 *
 * Newer kernels also keep the process from being a TCP server, from TCP connections where it needs none, and from
 * signalling others and abstract sockets outside.
 */
#include "host/sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/landlock.h>) && defined(SYS_landlock_create_ruleset)
#include <linux/landlock.h>

/* linux/landlock.h, of kernels that are younger than the headers may be; `size` says how much of it is meant. */
struct ruleset {
  uint64_t fs;
  uint64_t net;    /* from ABI 4 on */
  uint64_t scoped; /* from ABI 6 on */
};
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPED = 6 };
#define FS_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all rights of the first version */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define KEEPS (WRITES | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define OF_A_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

static const uint64_t rights[] = {
    [ADIT_SANDBOX_REMOVE] = LANDLOCK_ACCESS_FS_REMOVE_FILE,
    [ADIT_SANDBOX_READ] = READS,
    [ADIT_SANDBOX_WRITE] = WRITES,
    [ADIT_SANDBOX_KEEP] = KEEPS,
};

static int allow(int ruleset, uint64_t handled, const struct adit_sandbox_path *path, char *reason) {
  struct landlock_path_beneath_attr rule = {.allowed_access = rights[path->access] & handled};
  struct stat about;
  int error = 0;
  rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
  if (rule.parent_fd < 0) return 0; /* not there, or not for us: nothing to allow */
  if (fstat(rule.parent_fd, &about) != 0) error = -errno;
  if (error == 0 && !S_ISDIR(about.st_mode)) rule.allowed_access &= OF_A_FILE;
  if (error == 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) error = -errno;
  close(rule.parent_fd);
  if (error == 0 || error == -EBADFD) return 0; /* EBADFD: not of a file system that has rules, such as a pipe */
  return adit_sandbox_explain(reason, error, "%s cannot be kept within reach (Landlock): %s", path->path,
                              strerror(-error));
}

int adit_sandbox_files_prepare(const struct adit_sandbox_plan *plan, int *ruleset, char *reason) {
  if (ADIT_SANDBOX_SANITIZED)
    return adit_sandbox_explain(reason, -ENOSYS, "built with sanitizers: all files stay within reach");
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) return adit_sandbox_explain(reason, -ENOSYS, "this kernel has no Landlock: all files stay within reach");
  struct ruleset attributes = {.fs = FS_ABI_1};
  if (abi >= ABI_REFER) attributes.fs |= FS_REFER;
  if (abi >= ABI_TRUNCATE) attributes.fs |= FS_TRUNCATE;
  if (abi >= ABI_IOCTL) attributes.fs |= FS_IOCTL_DEV;
  if (abi >= ABI_NET) attributes.net = NET_BIND_TCP | (plan->calls & ADIT_SANDBOX_SOCKETS ? 0 : NET_CONNECT_TCP);
  if (abi >= ABI_SCOPED)
    attributes.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | (plan->calls & ADIT_SANDBOX_CHILD ? 0 : SCOPE_SIGNAL);
  size_t size = abi >= ABI_SCOPED ? sizeof attributes
                : abi >= ABI_NET  ? offsetof(struct ruleset, scoped)
                                  : offsetof(struct ruleset, net);
  int fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
  if (fd < 0) return adit_sandbox_explain(reason, -errno, "rules about files cannot be made: %s", strerror(errno));
  for (size_t i = 0; i < plan->paths; i++) {
    int error = allow(fd, attributes.fs, &plan->path[i], reason);
    if (error == 0) continue;
    close(fd);
    return error;
  }
  *ruleset = fd;
  return 0;
}

int adit_sandbox_files_enter(int ruleset, char *reason) {
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) == 0) return 0;
  return adit_sandbox_explain(reason, -errno, "rules about files cannot be put into force (Landlock): %s",
                              strerror(errno));
}

#else
int adit_sandbox_files_prepare(const struct adit_sandbox_plan *plan, int *ruleset, char *reason) {
  (void)plan;
  (void)ruleset;
  return adit_sandbox_explain(reason, -ENOSYS, "built without Landlock: all files stay within reach");
}

int adit_sandbox_files_enter(int ruleset, char *reason) {
  (void)ruleset;
  (void)reason;
  return 0;
}
#endif
