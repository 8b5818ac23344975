/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The sandbox, from inside: a child enters it and tries what must fail, and what must go on working.
 *
 * Each attempt is a child of its own, because some end it. A child tells how the attempt ended by its exit status: 0 it
 * worked, otherwise the errno; or by the signal that killed it. Before it counts that something fails inside, the same
 * attempt has to end otherwise outside: a test that would pass without a sandbox proves nothing.
 */
#include "host/sandbox.h"

#include "host/sandbox_parts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { KILLED = 1000, REFUSED_TO_ENTER = 250, STRANGE = 251 };

static char folder[] = "/tmp/adit-sandbox.XXXXXX";
static char inside_path[64];  /* a file in the folder that stays within reach */
static char outside_path[64]; /* a file beside it, which everybody may read and write */
static pid_t victim;          /* a process of the same user */
static int open_fd = -1;      /* of the file outside, opened before */
static pid_t own_child;

/* ---- attempts: each returns 0 or an errno ------------------------------------------------------------------------- */

static int result_of(long result) {
  return result < 0 ? errno : 0;
}

/* One call. (What follows the function takes the semicolon.) */
#define ATTEMPT(name, call)                                                                                            \
  static int name(void) {                                                                                              \
    return result_of(call);                                                                                            \
  }                                                                                                                    \
  static_assert(sizeof #call > 1, "a call")

ATTEMPT(open_outside, open(outside_path, O_RDONLY));
ATTEMPT(write_outside, open(outside_path, O_WRONLY | O_TRUNC));
ATTEMPT(open_shadow, open("/etc/shadow", O_RDONLY));
ATTEMPT(open_inside, open(inside_path, O_RDONLY));
ATTEMPT(write_inside, open(inside_path, O_WRONLY));

static int make_ring(void) {
  struct io_uring_params parameters = {0};
  return result_of(syscall(SYS_io_uring_setup, 4, &parameters));
}

/* Wherever it points: none of a ring's own settings can be changed. */
ATTEMPT(change_ring, syscall(SYS_io_uring_register, open_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));

static int make_inside(void) {
  char path[80], other[80];
  snprintf(path, sizeof path, "%s/in/new", folder);
  snprintf(other, sizeof other, "%s/in/moved", folder);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return errno;
  close(fd);
  if (rename(path, other) != 0) return errno;
  return result_of(unlink(other));
}

static int use_open_file(void) {
  char byte;
  return pread(open_fd, &byte, 1, 0) == 1 ? 0 : errno;
}

static int execute(void) {
  char *const words[] = {(char *)(uintptr_t) "/bin/true", NULL};
  execve("/bin/true", words, NULL);
  return errno;
}

static int fork_off(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  return result_of(child);
}

ATTEMPT(trace, ptrace(PTRACE_ATTACH, victim, NULL, NULL));
ATTEMPT(kill_other, kill(victim, SIGUSR1));
ATTEMPT(kill_own_child, kill(own_child, 0));
ATTEMPT(mount_one, mount("none", folder, "tmpfs", 0, NULL));
ATTEMPT(make_user_namespace, unshare(CLONE_NEWUSER));
ATTEMPT(become_root, syscall(SYS_setuid, 0));

static int take_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return errno;
  data[0].permitted = data[0].effective = UINT32_C(1) << CAP_NET_BIND_SERVICE;
  return result_of(syscall(SYS_capset, &header, data));
}

ATTEMPT(packet_socket, socket(AF_PACKET, SOCK_RAW, 0));
ATTEMPT(unix_stream, socket(AF_UNIX, SOCK_STREAM, 0));
ATTEMPT(raw_tcp, socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
ATTEMPT(udp_socket, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

static int mark_socket(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mark = 7;
  if (fd < 0) return errno;
  return result_of(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
}

static int be_a_server(void) {
  const struct sockaddr any = {.sa_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  return result_of(bind(fd, &any, 16));
}

static int executable_memory(void) {
  void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? errno : 0;
}

static void *nothing(void *argument) {
  return argument;
}

static int make_thread(void) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, nothing, NULL);
  return error != 0 ? error : pthread_join(thread, NULL);
}

static int trapped_in_thread_body;

static void *try_to_trace(void *argument) {
  trapped_in_thread_body = trace();
  return argument;
}

/* As the workers are: all signals blocked but SIGSYS. */
static int trace_in_thread(void) {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGSYS);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  pthread_t thread;
  int error = pthread_create(&thread, NULL, try_to_trace, NULL);
  if (error == 0) error = pthread_join(thread, NULL);
  return error != 0 ? error : trapped_in_thread_body;
}

static int memory(void) {
  char *large = malloc(64 << 20);
  if (large == NULL) return ENOMEM;
  memset(large, 1, 64 << 20);
  free(large);
  return 0;
}

/* ---- running them ------------------------------------------------------------------------------------------------ */

static int outcome_of(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In a child, inside of `plan`, or outside of all with NULL; what it says on standard error goes to `said`. */
static int attempt_saying(const struct adit_sandbox_plan *plan, int (*what)(void), char *said, size_t size) {
  char reason[ADIT_SANDBOX_REASON];
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    /* What is mounted outside of the sandbox goes with the child. */
    if (plan == NULL && unshare(CLONE_NEWNS) == 0) (void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (plan != NULL && adit_sandbox_enter(plan, reason) != 0) {
      fprintf(stderr, "%s", reason);
      _exit(REFUSED_TO_ENTER);
    }
    int error = what();
    _exit(error >= 0 && error < REFUSED_TO_ENTER ? error : STRANGE);
  }
  close(ends[1]);
  ssize_t got = read(ends[0], said, size - 1);
  said[got > 0 ? got : 0] = '\0';
  close(ends[0]);
  return outcome_of(child);
}

static int attempt(const struct adit_sandbox_plan *plan, int (*what)(void)) {
  char said[512];
  return attempt_saying(plan, what, said, sizeof said);
}

static const char *outcome_name(int outcome, char text[64]) {
  if (outcome >= KILLED)
    snprintf(text, 64, "killed by %s", strsignal(outcome - KILLED));
  else
    snprintf(text, 64, "%s", outcome == 0 ? "it works" : strerror(outcome));
  return text;
}

/* What ends otherwise outside, ends like this inside. */
static void check(const struct adit_sandbox_plan *plan, const char *name, int (*what)(void), int expected) {
  char wanted[64], found[64];
  int outside = attempt(NULL, what), inside = attempt(plan, what);
  if (expected != 0 && outside == expected)
    fail_msg("%s: ends outside of the sandbox as inside (%s): nothing is shown", name, outcome_name(outside, found));
  if (inside != expected)
    fail_msg("%s: %s\n  expected: %s\n  found:    %s", plan->name, name, outcome_name(expected, wanted),
             outcome_name(inside, found));
}

#define CHECK(plan, what, expected) check(plan, #what, what, expected)
#define TRAPPED (KILLED + SIGSYS)

static void needs(bool condition, const char *what) {
  if (condition) return;
  print_message("left out: %s\n", what);
  skip();
}

static bool is_root(void) {
  return geteuid() == 0;
}

static bool has_landlock(void) {
  return !ADIT_SANDBOX_SANITIZED && syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
}

static long landlock_version(void) {
  return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

/* Whether this build and this kernel filter system calls. */
static bool has_filter(void) {
#ifdef ADIT_HAVE_SECCOMP
  return !ADIT_SANDBOX_SANITIZED && prctl(PR_GET_SECCOMP) == 0;
#else
  return false;
#endif
}

static bool has_capng(void) {
#ifdef ADIT_HAVE_CAPNG
  return true;
#else
  return false;
#endif
}

/* ---- plans: as the commands have them ---------------------------------------------------------------------------- */

static struct adit_sandbox_path paths[1];

static struct adit_sandbox_plan plan_of(const char *name) {
  static const struct {
    const char *name;
    unsigned calls;
  } plans[] = {
      {"replay", 0},
      {"dump", ADIT_SANDBOX_NETLINK},
      {"serve", ADIT_SANDBOX_THREADS | ADIT_SANDBOX_NETLINK | ADIT_SANDBOX_FILES},
      {"proxy",
       ADIT_SANDBOX_THREADS | ADIT_SANDBOX_NETLINK | ADIT_SANDBOX_FILES | ADIT_SANDBOX_SOCKETS | ADIT_SANDBOX_STORE},
      {"run",
       ADIT_SANDBOX_THREADS | ADIT_SANDBOX_NETLINK | ADIT_SANDBOX_FILES | ADIT_SANDBOX_SOCKETS | ADIT_SANDBOX_CHILD},
  };
  size_t i = 0;
  while (strcmp(plans[i].name, name) != 0) i++;
  paths[0] = (struct adit_sandbox_path){.path = NULL, .access = ADIT_SANDBOX_KEEP};
  static char within[64];
  snprintf(within, sizeof within, "%s/in", folder);
  paths[0].path = within;
  bool files = (plans[i].calls & ADIT_SANDBOX_FILES) != 0;
  return (struct adit_sandbox_plan){
      .name = plans[i].name, .calls = plans[i].calls, .path = paths, .paths = files ? 1 : 0, .child = own_child};
}

static const char *const commands[] = {"replay", "dump", "serve", "proxy", "run"};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* No command may do any of this, whatever its list. */
static void test_calls_that_nobody_may_make(void **state) {
  (void)state;
  needs(has_filter(), "system calls are not filtered in this build, or here");
  for (size_t i = 0; i < COMMANDS; i++) {
    struct adit_sandbox_plan plan = plan_of(commands[i]);
    CHECK(&plan, execute, TRAPPED);
    CHECK(&plan, fork_off, TRAPPED);
    CHECK(&plan, trace, TRAPPED);
    CHECK(&plan, kill_other, TRAPPED);
    CHECK(&plan, mount_one, TRAPPED);
    CHECK(&plan, make_user_namespace, TRAPPED);
    CHECK(&plan, become_root, TRAPPED);
    CHECK(&plan, take_capabilities, TRAPPED);
    CHECK(&plan, executable_memory, TRAPPED);
    CHECK(&plan, make_ring, TRAPPED);
    CHECK(&plan, change_ring, TRAPPED);
    CHECK(&plan, packet_socket, EACCES);
    CHECK(&plan, unix_stream, EACCES);
    CHECK(&plan, memory, 0);
    CHECK(&plan, use_open_file, 0);
  }
}

static void test_what_some_commands_may(void **state) {
  (void)state;
  needs(has_filter(), "system calls are not filtered in this build, or here");
  static const struct {
    const char *name;
    int threads, sockets, raw, child;
  } expected[] = {
      {"replay", TRAPPED, EACCES, EACCES, TRAPPED},
      {"dump", TRAPPED, EACCES, EACCES, TRAPPED},
      {"serve", 0, EACCES, EACCES, TRAPPED},
      {"proxy", 0, 0, TRAPPED, TRAPPED},
      {"run", 0, 0, TRAPPED, 0},
  };
  for (size_t i = 0; i < COMMANDS; i++) {
    struct adit_sandbox_plan plan = plan_of(expected[i].name);
    CHECK(&plan, make_thread, expected[i].threads);
    CHECK(&plan, udp_socket, expected[i].sockets);
    if (is_root()) CHECK(&plan, raw_tcp, expected[i].raw);
    CHECK(&plan, kill_own_child, expected[i].child);
  }
}

static void test_files(void **state) {
  (void)state;
  needs(has_landlock(), "this build or this kernel has no Landlock");
  for (size_t i = 0; i < COMMANDS; i++) {
    struct adit_sandbox_plan plan = plan_of(commands[i]);
    bool files = (plan.calls & ADIT_SANDBOX_FILES) != 0;
    CHECK(&plan, open_outside, EACCES);
    CHECK(&plan, write_outside, EACCES);
    if (is_root()) CHECK(&plan, open_shadow, EACCES);
    CHECK(&plan, open_inside, files ? 0 : EACCES);
    CHECK(&plan, write_inside, files ? 0 : EACCES);
    if (plan.calls & ADIT_SANDBOX_STORE) CHECK(&plan, make_inside, 0);
    paths[0].access = ADIT_SANDBOX_READ;
    CHECK(&plan, open_inside, files ? 0 : EACCES);
    CHECK(&plan, write_inside, EACCES);
    if (plan.calls & ADIT_SANDBOX_STORE) CHECK(&plan, make_inside, EACCES);
  }
}

static void test_no_tcp_server(void **state) {
  (void)state;
  needs(has_landlock() && landlock_version() >= 4, "this build or this kernel has no Landlock for TCP");
  struct adit_sandbox_plan plan = plan_of("proxy");
  CHECK(&plan, be_a_server, EACCES);
}

/* /proc/self/status of a child, opened before it enters. */
static int status_fd = -1;

static int print_status(void) {
  char text[4096];
  ssize_t got = pread(status_fd, text, sizeof text - 1, 0);
  if (got <= 0) return STRANGE;
  text[got] = '\0';
  static const char *const keys[] = {
      "\nUid:", "\nGid:", "\nGroups:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nNoNewPrivs:", "\nSeccomp:"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const char *at = strstr(text, keys[i]);
    if (at == NULL) continue;
    size_t length = strcspn(at + 1, "\n");
    if (write(STDERR_FILENO, at + 1, length + 1) < 0) return errno;
  }
  return 0;
}

/* What /proc/self/status of a child inside has, all of it. */
static void status_inside(const struct adit_sandbox_plan *plan, char *said, size_t size) {
  char reason[ADIT_SANDBOX_REASON];
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (adit_sandbox_enter(plan, reason) != 0) _exit(REFUSED_TO_ENTER);
    _exit(print_status());
  }
  close(ends[1]);
  size_t used = 0;
  for (ssize_t got; used < size - 1 && (got = read(ends[0], said + used, size - 1 - used)) > 0;) used += (size_t)got;
  said[used] = '\0';
  close(ends[0]);
  assert_int_equal(outcome_of(child), 0);
}

static void check_line(const char *text, const char *line) {
  if (strstr(text, line) == NULL) fail_msg("expected a line: %s\n  found: %s", line, text);
}

static void test_status(void **state) {
  (void)state;
  char text[2048];
  struct adit_sandbox_plan plan = plan_of("serve");
  status_inside(&plan, text, sizeof text);
  check_line(text, "NoNewPrivs:\t1");
  if (has_filter()) check_line(text, "Seccomp:\t2");
  if (!has_capng()) return;
  check_line(text, "CapPrm:\t0000000000000000");
  check_line(text, "CapEff:\t0000000000000000");
  if (is_root()) check_line(text, "CapBnd:\t0000000000000000");
}

static void test_kept_capabilities(void **state) {
  (void)state;
  char text[2048];
  struct adit_sandbox_plan plan = plan_of("proxy");
  needs(has_capng(), "built without libcap-ng");
  needs(is_root(), "only root has capabilities to keep");
  plan.capabilities = ADIT_SANDBOX_CAPABILITY(CAP_NET_RAW);
  status_inside(&plan, text, sizeof text);
  check_line(text, "CapEff:\t0000000000002000");
  if (adit_sandbox_raw_marks()) CHECK(&plan, mark_socket, 0);
  plan.capabilities = 0;
  CHECK(&plan, mark_socket, EPERM);
}

/* Whether there is a user beside root here: in a user namespace with one, there may not be. */
static int become_nobody(void) {
  return result_of(syscall(SYS_setuid, 65534));
}

static void test_user(void **state) {
  (void)state;
  char text[2048];
  needs(is_root() && attempt(NULL, become_nobody) == 0, "only root can become another user");
  struct adit_sandbox_plan plan = plan_of("proxy");
  plan.user = "65534";
  if (has_capng()) plan.capabilities = ADIT_SANDBOX_CAPABILITY(CAP_NET_RAW);
  status_inside(&plan, text, sizeof text);
  check_line(text, "Uid:\t65534\t65534\t65534\t65534");
  check_line(text, "Groups:\t \n");
  check_line(text, has_capng() ? "CapEff:\t0000000000002000" : "CapEff:\t0000000000000000"); /* across the change */
  if (has_filter()) CHECK(&plan, become_root, TRAPPED);

  plan = plan_of("proxy");
  plan.user = "nobody-of-that-name";
  char said[512];
  assert_int_equal(attempt_saying(&plan, memory, said, sizeof said), REFUSED_TO_ENTER);
  check_line(said, "--user nobody-of-that-name: there is no such user");
}

/* Not root, so not allowed to become anybody. */
static int enter_as_other_user(void) {
  char reason[ADIT_SANDBOX_REASON];
  if (is_root() && become_nobody() != 0) return STRANGE;
  struct adit_sandbox_plan plan = plan_of("proxy");
  plan.user = "1";
  return -adit_sandbox_enter(&plan, reason);
}

static void test_user_without_root(void **state) {
  (void)state;
  needs(!is_root() || attempt(NULL, become_nobody) == 0, "there is no other user here");
  assert_int_equal(attempt(NULL, enter_as_other_user), EPERM);
}

/* Without any right: an ordinary user's sandbox is as tight. */
static int enter_as_nobody(void) {
  char reason[ADIT_SANDBOX_REASON];
  if (is_root() && become_nobody() != 0) return STRANGE;
  struct adit_sandbox_plan plan = plan_of("proxy");
  int error = adit_sandbox_enter(&plan, reason);
  return error != 0 ? -error : open_outside();
}

static void test_ordinary_user(void **state) {
  (void)state;
  needs(has_landlock(), "this build or this kernel has no Landlock");
  needs(!is_root() || attempt(NULL, become_nobody) == 0, "there is no other user here");
  assert_int_equal(attempt(NULL, enter_as_nobody), EACCES);
}

static void test_message_about_a_trapped_call(void **state) {
  (void)state;
  char said[512];
  needs(has_filter(), "system calls are not filtered in this build, or here");
  struct adit_sandbox_plan plan = plan_of("serve");
  plan.name = "adit serve";
  plan.advice = "; do report";
  assert_int_equal(attempt_saying(&plan, trace, said, sizeof said), TRAPPED);
  char expected[128];
  snprintf(expected, sizeof expected, "adit serve: system call %d (ptrace) is not allowed in the sandbox; do report\n",
           SYS_ptrace);
  assert_string_equal(said, expected);
  assert_int_equal(attempt_saying(&plan, trace_in_thread, said, sizeof said), TRAPPED);
  assert_string_equal(said, expected);
}

static int is_dumpable(void) {
  return prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
}

static int hide_and_ask(void) {
  adit_sandbox_hide_memory();
  return is_dumpable();
}

static void test_hidden_memory(void **state) {
  (void)state;
  needs(!ADIT_SANDBOX_SANITIZED, "sanitizers look into their own memory");
  assert_int_equal(attempt(NULL, is_dumpable), 1);
  assert_int_equal(attempt(NULL, hide_and_ask), 0);
}

/* ---- before and after -------------------------------------------------------------------------------------------- */

static pid_t sleeper(void) {
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, SIG_IGN);
    for (;;) pause();
  }
  return child;
}

static void write_text(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "text\n", 5), 5);
  close(fd);
}

static int set_up(void **state) {
  char within[64];
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  chmod(folder, 0755);
  snprintf(within, sizeof within, "%s/in", folder);
  if (mkdir(within, 0777) != 0) return -1;
  snprintf(inside_path, sizeof inside_path, "%s/in/file", folder);
  snprintf(outside_path, sizeof outside_path, "%s/file", folder);
  umask(0);
  write_text(inside_path);
  write_text(outside_path);
  open_fd = open(inside_path, O_RDONLY | O_CLOEXEC);
  victim = sleeper();
  own_child = sleeper();
  return open_fd >= 0 && victim > 0 && own_child > 0 ? 0 : -1;
}

static int tear_down(void **state) {
  char within[64];
  (void)state;
  kill(victim, SIGKILL);
  kill(own_child, SIGKILL);
  waitpid(victim, NULL, 0);
  waitpid(own_child, NULL, 0);
  close(open_fd);
  snprintf(within, sizeof within, "%s/in", folder);
  unlink(inside_path);
  unlink(outside_path);
  rmdir(within);
  rmdir(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest everywhere[] = {
      cmocka_unit_test(test_status),
      cmocka_unit_test(test_kept_capabilities),
      cmocka_unit_test(test_user),
      cmocka_unit_test(test_user_without_root),
  };
  /* Filter and files are off in builds with sanitizers, which need what would be closed (sandbox.c). */
  const struct CMUnitTest closed[] = {
      cmocka_unit_test(test_calls_that_nobody_may_make),
      cmocka_unit_test(test_what_some_commands_may),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_no_tcp_server),
      cmocka_unit_test(test_ordinary_user),
      cmocka_unit_test(test_message_about_a_trapped_call),
      cmocka_unit_test(test_hidden_memory),
  };
  if (ADIT_SANDBOX_SANITIZED) return cmocka_run_group_tests(everywhere, set_up, tear_down);
  int failed = cmocka_run_group_tests(everywhere, set_up, NULL);
  return failed + cmocka_run_group_tests(closed, NULL, tear_down);
}
