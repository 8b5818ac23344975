/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A command in namespaces of its own, as whoever runs it sees it. tests/net/test_run.sh is about what is inside.
 */
#include "host/namespace.h"
#include "support_tun.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

/* A namespace whose command has not begun. */
static struct adit_namespace *make(char *const *command) {
  static const adit_cidr address = {.ip = {.bytes = {192, 0, 2, 1}, .version = 4}, .prefix = 24};
  char reason[ADIT_NAMESPACE_REASON];
  struct adit_namespace_options options = {
      .device = {.size = sizeof options.device}, .address = &address, .addresses = 1, .command = command};
  struct adit_namespace *space;
  sigemptyset(&options.mask);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &options.files), 0);
  int error = adit_namespace_new(&options, &space, reason);
  if (error != 0) fail_msg("no namespace: %s", reason);
  return space;
}

/* The command's process, once there is one; state 'Z' when it has ended and process 1 has not taken that up. */
static int look_at_command(const struct adit_namespace *space, char *state) {
  char path[64];
  int pid = 0;
  long first = adit_namespace_pid(space);
  snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", first, first);
  FILE *file = fopen(path, "re");
  assert_non_null(file);
  bool found = fscanf(file, "%d", &pid) == 1;
  fclose(file);
  if (!found) return 0;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  file = fopen(path, "re");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", state), 1);
  fclose(file);
  return pid;
}

static void await_command(const struct adit_namespace *space, bool ended) {
  char state = 0;
  for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
    if (look_at_command(space, &state) != 0 && (!ended || state == 'Z')) return;
    poll(NULL, 0, 5);
  }
  fail_msg("the command has not %s", ended ? "ended" : "begun");
}

/* Until the first process has ended; it stays to be waited for. */
static void await_end_of_first(struct adit_namespace *space) {
  siginfo_t info = {0};
  assert_int_equal(waitid(P_PID, (id_t)adit_namespace_pid(space), &info, WEXITED | WNOWAIT), 0);
}

static enum adit_namespace_event next(struct adit_namespace *space, int *detail) {
  struct pollfd fd = {.fd = adit_namespace_fd(space), .events = POLLIN};
  assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
  return adit_namespace_next(space, detail);
}

static void test_exit_status(void **state) {
  (void)state;
  char *const command[] = {"sh", "-c", "exit 7", NULL};
  int detail = 0;
  struct adit_namespace *space = make(command);
  assert_int_equal(adit_namespace_next(space, &detail), ADIT_NAMESPACE_NOTHING);
  assert_int_equal(adit_namespace_start(space), 0);
  assert_int_equal(next(space, &detail), ADIT_NAMESPACE_ENDED);
  assert_int_equal(detail, 7);
  adit_namespace_free(space);
}

/* The command ends by itself; signals that were for it are unread then, which the kernel tells before the status. */
static void test_end_with_signals_under_way(void **state) {
  (void)state;
  char *const command[] = {"sleep", "0.2", NULL};
  int detail = -1;
  struct adit_namespace *space = make(command);
  pid_t first = (pid_t)adit_namespace_pid(space);
  assert_int_equal(adit_namespace_start(space), 0);
  await_command(space, false);
  assert_int_equal(kill(first, SIGSTOP), 0);
  adit_namespace_signal(space, SIGUSR1);
  adit_namespace_signal(space, SIGUSR2);
  await_command(space, true);
  assert_int_equal(kill(first, SIGCONT), 0);
  await_end_of_first(space);
  assert_int_equal(next(space, &detail), ADIT_NAMESPACE_ENDED);
  assert_int_equal(detail, 0);
  adit_namespace_free(space);
}

static void test_command_that_is_not_there(void **state) {
  (void)state;
  char *const command[] = {"/no/such/command", NULL};
  int detail = 0;
  struct adit_namespace *space = make(command);
  assert_int_equal(adit_namespace_start(space), 0);
  assert_int_equal(next(space, &detail), ADIT_NAMESPACE_FAILED);
  assert_int_equal(detail, -ENOENT);
  adit_namespace_free(space);
}

static void test_first_process_that_is_killed(void **state) {
  (void)state;
  char *const command[] = {"sleep", "60", NULL};
  int detail = 0;
  struct adit_namespace *space = make(command);
  assert_int_equal(adit_namespace_start(space), 0);
  assert_int_equal(kill((pid_t)adit_namespace_pid(space), SIGKILL), 0);
  assert_int_equal(next(space, &detail), ADIT_NAMESPACE_ENDED);
  assert_int_equal(detail, 128 + SIGKILL);
  adit_namespace_free(space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exit_status),
      cmocka_unit_test(test_end_with_signals_under_way),
      cmocka_unit_test(test_command_that_is_not_there),
      cmocka_unit_test(test_first_process_that_is_killed),
  };
  int missing = support_tun_namespace("test_namespace");
  return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
