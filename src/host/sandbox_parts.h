/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The mechanisms of the sandbox, one file each. Private to src/host; sandbox.c says in which order they are used.
 *
 * Each returns 0, -ENOSYS when this build or this kernel does not have it, with the words for it in `reason`; or another
 * negative errno, with what failed in `reason` (ADIT_SANDBOX_REASON bytes).
 */
#ifndef ADIT_HOST_SANDBOX_PARTS_H
#define ADIT_HOST_SANDBOX_PARTS_H

#include "host/sandbox.h"

#include <sys/types.h>

/** Sanitizers open files, make processes and trace them at the end: what they need cannot be filtered. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ADIT_SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ADIT_SANDBOX_SANITIZED 1
#endif
#endif
#ifndef ADIT_SANDBOX_SANITIZED
#define ADIT_SANDBOX_SANITIZED 0
#endif

/** Whom to become. */
struct adit_sandbox_user {
  bool change;
  uid_t uid;
  gid_t gid;
};

/** Write the reason, as printf does. Returns `error`. */
int adit_sandbox_explain(char *reason, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Change the user and keep only those capabilities of the set that are there (sandbox_capabilities.c). */
int adit_sandbox_capabilities(const struct adit_sandbox_user *user, uint64_t keep, char *reason);

/** Prepare rules about files, while they can still be reached: `*ruleset` is an fd, to be closed (sandbox_files.c). */
int adit_sandbox_files_prepare(const struct adit_sandbox_plan *plan, int *ruleset, char *reason);

/** Make them count. */
int adit_sandbox_files_enter(int ruleset, char *reason);

/** Filter system calls from now on (sandbox_filter.c). */
int adit_sandbox_filter(const struct adit_sandbox_plan *plan, char *reason);

#endif
