/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a process gives up once it has all that it needs.
 *
 * Four mechanisms, each of which covers what the others cannot: the user decides about files and other processes,
 * capabilities about what root may do to the network, Landlock about files whoever owns them, the filter about what the
 * kernel is asked at all. The order is that of their needs:
 *
 *   1. rules about files are prepared, which opens those files: the new user may not reach them
 *   2. user and capabilities, which take CAP_SETUID, CAP_SETGID and CAP_SETPCAP
 *   3. no_new_privs: without it an ordinary user may do neither 4 nor 5, and a set-user-id program would undo 2
 *   4. rules about files count
 *   5. the filter, which forbids all of the above
 *
 * All of it holds for a thread and what it makes later. Threads that exist would keep their capabilities and files, so
 * the commands enter before they make any; routes are captured and removed within.
 */
#include "host/sandbox.h"

#include "host/sandbox_parts.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

int adit_sandbox_explain(char *reason, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, ADIT_SANDBOX_REASON, format, arguments);
  va_end(arguments);
  return error;
}

/* A name counts before a number; a number needs no entry in the table of users, and its group is then the same. */
static int find_user(const char *name, struct adit_sandbox_user *user, char *reason) {
  *user = (struct adit_sandbox_user){.change = name != NULL};
  if (name == NULL) return 0;
  const struct passwd *entry = getpwnam(name); /* cppcheck-suppress getpwnamCalled; there is one thread */
  size_t digits = strspn(name, "0123456789");
  bool number = digits > 0 && digits < 10 && name[digits] == '\0';
  if (entry == NULL && number) {
    user->uid = (uid_t)strtoul(name, NULL, 10);
    user->gid = (gid_t)user->uid;
    entry = getpwuid(user->uid); /* cppcheck-suppress getpwuidCalled; the same */
    if (entry == NULL) return 0;
  }
  if (entry == NULL) {
    return adit_sandbox_explain(reason, -EINVAL,
                                "--user %s: there is no such user; give one that exists, such as nobody", name);
  }
  user->uid = entry->pw_uid;
  user->gid = entry->pw_gid;
  return 0;
}

/* Pass over what is not there, with a word about it. */
static int tolerate(const struct adit_sandbox_plan *plan, int error, const char *reason) {
  if (error != -ENOSYS) return error;
  if (plan->notice != NULL) plan->notice(plan->notice_user, reason);
  return 0;
}

int adit_sandbox_enter(const struct adit_sandbox_plan *plan, char *reason) {
  struct adit_sandbox_user user;
  int ruleset = -1;
  reason[0] = '\0';
  int error = find_user(plan->user, &user, reason);
  if (error != 0) return error;
  if (plan->user_only) return tolerate(plan, adit_sandbox_capabilities(&user, plan->capabilities, reason), reason);

  error = tolerate(plan, adit_sandbox_files_prepare(plan, &ruleset, reason), reason);
  if (error != 0) return error;
  error = tolerate(plan, adit_sandbox_capabilities(&user, plan->capabilities, reason), reason);
  if (error != 0) goto close_ruleset;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0) {
    error = adit_sandbox_explain(reason, -errno, "new privileges cannot be given up: %s", strerror(errno));
    goto close_ruleset;
  }
  if (ruleset >= 0) error = tolerate(plan, adit_sandbox_files_enter(ruleset, reason), reason);
  if (error != 0) goto close_ruleset;
  error = tolerate(plan, adit_sandbox_filter(plan, reason), reason);

close_ruleset:
  if (ruleset >= 0) close(ruleset);
  return error;
}

void adit_sandbox_hide_memory(void) {
  if (!ADIT_SANDBOX_SANITIZED) (void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L); /* prctl(2): cannot fail for 0 and 1 */
}

bool adit_sandbox_raw_marks(void) {
  struct utsname name;
  unsigned major = 0, minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 17);
}
