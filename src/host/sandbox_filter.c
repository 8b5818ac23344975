/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The sandbox's filter of system calls (seccomp(2)), by libseccomp.
 *
 * One table says which calls belong to which group of the plan; a second list, in code, those of which the arguments
 * matter. What is in neither is trapped (SECCOMP_RET_TRAP): the call is not made, and SIGSYS comes. Its handler writes
 * the name of the call to standard error and lets the signal end the process. Killing at once (SECCOMP_RET_KILL_PROCESS)
 * would be as safe, but tells only the kernel's audit log, which a user cannot read and many machines do not have; a
 * list like this one is never complete for every version of a C library, so whoever meets a gap must be able to say
 * what it is. A handler that an intruder replaced would change nothing: the call was not made.
 *
 * Some calls are no gap but a question that libraries ask and can bear to hear "no" to. They fail with an errno:
 * sockets of families that are not used (EACCES; name services would talk to local daemons), clone3 (ENOSYS; its flags
 * are out of a filter's sight, and C libraries then use clone), and opening files in commands that open none (EACCES).
 */
#include "host/sandbox_parts.h"

#include <errno.h>
#include <string.h>

#ifdef ADIT_HAVE_SECCOMP
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

enum { ALL = 0, NAMES = 512 };
#define THREADS ADIT_SANDBOX_THREADS
#define NETLINK ADIT_SANDBOX_NETLINK
#define SOCKETS ADIT_SANDBOX_SOCKETS
#define FILES ADIT_SANDBOX_FILES
#define STORE ADIT_SANDBOX_STORE
#define LISTEN ADIT_SANDBOX_LISTEN
#define CHILD ADIT_SANDBOX_CHILD

/* Calls whose arguments do not matter. A name that the architecture does not have is passed over. */
static const struct {
  const char *name;
  unsigned groups; /* any of them; ALL = always */
} calls[] = {
    /* data */
    {"read", ALL},
    {"write", ALL},
    {"readv", ALL},
    {"writev", ALL},
    {"pread64", ALL},
    {"pwrite64", ALL},
    {"lseek", ALL},
    {"_llseek", ALL},
    {"close", ALL},
    {"fstat", ALL},
    {"fstat64", ALL},
    {"fsync", ALL},
    {"fcntl", ALL},
    {"fcntl64", ALL},
    {"io_uring_enter", ALL}, /* of rings made before, which can do no more than the above: device/ring.c */
    {"ftruncate", ALL},
    /* waiting */
    {"poll", ALL},
    {"ppoll", ALL},
    {"ppoll_time64", ALL},
    {"select", ALL},
    {"pselect6", ALL},
    {"epoll_create1", ALL},
    {"epoll_ctl", ALL},
    {"epoll_wait", ALL},
    {"epoll_pwait", ALL},
    {"epoll_pwait2", ALL},
    {"eventfd2", ALL},
    {"futex", ALL},
    {"futex_time64", ALL},
    {"nanosleep", ALL},
    {"clock_nanosleep", ALL},
    {"clock_nanosleep_time64", ALL},
    {"restart_syscall", ALL},
    {"sched_yield", ALL},
    /* memory, except what makes it executable */
    {"brk", ALL},
    {"munmap", ALL},
    {"mremap", ALL},
    {"madvise", ALL},
    {"mlock", ALL},
    {"munlock", ALL},
    {"membarrier", ALL},
    /* time, chance, and who one is */
    {"clock_gettime", ALL},
    {"clock_gettime64", ALL},
    {"clock_getres", ALL},
    {"clock_getres_time64", ALL},
    {"gettimeofday", ALL},
    {"time", ALL},
    {"getrandom", ALL},
    {"getpid", ALL},
    {"gettid", ALL},
    {"getppid", ALL},
    {"getuid", ALL},
    {"geteuid", ALL},
    {"getgid", ALL},
    {"getegid", ALL},
    {"uname", ALL},
    {"sysinfo", ALL},
    {"getcpu", ALL},
    {"sched_getaffinity", ALL},
    {"getrusage", ALL},
    {"getrlimit", ALL},
    {"ugetrlimit", ALL},
    /* signals and the end */
    {"rt_sigaction", ALL},
    {"rt_sigprocmask", ALL},
    {"rt_sigreturn", ALL},
    {"sigreturn", ALL},
    {"rt_sigpending", ALL},
    {"rt_sigtimedwait", ALL},
    {"sigaltstack", ALL},
    {"exit", ALL},
    {"exit_group", ALL},
    /* threads */
    {"set_robust_list", THREADS},
    {"rseq", THREADS},
    {"sched_getattr", THREADS},
    {"sched_setattr", THREADS},
    {"sched_getparam", THREADS},
    {"sched_getscheduler", THREADS},
    /* sockets; socket and setsockopt: below */
    {"sendto", NETLINK | SOCKETS | LISTEN | CHILD},
    {"sendmsg", NETLINK | SOCKETS | LISTEN | CHILD},
    {"send", NETLINK | SOCKETS | LISTEN | CHILD},
    {"recvfrom", NETLINK | SOCKETS | LISTEN | CHILD},
    {"recvmsg", NETLINK | SOCKETS | LISTEN | CHILD},
    {"recv", NETLINK | SOCKETS | LISTEN | CHILD},
    {"sendmmsg", SOCKETS},
    {"recvmmsg", SOCKETS},
    {"recvmmsg_time64", SOCKETS},
    {"connect", SOCKETS},
    {"bind", SOCKETS},
    {"getsockname", SOCKETS},
    {"getpeername", SOCKETS},
    {"getsockopt", SOCKETS | LISTEN},
    {"accept4", LISTEN},
    {"shutdown", SOCKETS | LISTEN},
    /* files */
    {"openat", FILES},
    {"open", FILES},
    {"stat", FILES},
    {"stat64", FILES},
    {"lstat", FILES | LISTEN},
    {"lstat64", FILES | LISTEN},
    {"fstatat64", FILES},
    {"newfstatat", ALL}, /* what fstat is in some C libraries */
    {"statx", ALL},
    {"fstatfs", FILES},
    {"statfs", FILES},
    {"access", FILES},
    {"faccessat", FILES},
    {"faccessat2", FILES},
    {"readlink", FILES},
    {"readlinkat", FILES},
    {"getcwd", FILES},
    {"getdents64", FILES},
    {"fadvise64", FILES},
    {"fdatasync", STORE},
    {"unlink", STORE | LISTEN},
    {"unlinkat", STORE | LISTEN},
    {"rename", STORE},
    {"renameat", STORE},
    {"renameat2", STORE},
    {"fchmod", STORE},
    /* the command of `adit run` */
    {"wait4", CHILD},
    {"waitid", CHILD},
    {"getpgrp", CHILD},
    {"getpgid", CHILD},
    {"getsid", CHILD},
};

/* ---- what happens to whoever asks for more ----------------------------------------------------------------------- */

static struct {
  const char *program; /* borrowed for ever */
  const char *advice;
  const char *name[NAMES]; /* of system calls, by number; made before the filter, since that takes memory */
} trap;

/* Append to `text`; what does not fit is cut. For a signal handler. */
static void append(char *text, size_t size, const char *more) {
  size_t used = strlen(text);
  size_t length = strlen(more);
  if (length > size - 1 - used) length = size - 1 - used;
  memcpy(text + used, more, length);
  text[used + length] = '\0';
}

static void append_number(char *text, size_t size, unsigned number) {
  char digits[12] = "";
  size_t at = sizeof digits - 1;
  do digits[--at] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  append(text, size, digits + at);
}

/* Uses nothing that takes a lock: the call that was trapped may be one of malloc's. */
static void on_trap(int signal_number, siginfo_t *info, void *context) {
  char text[512] = "";
  int number = info->si_syscall;
  (void)context;
  append(text, sizeof text, trap.program);
  append(text, sizeof text, ": system call ");
  append_number(text, sizeof text, (unsigned)number);
  if (number >= 0 && number < NAMES && trap.name[number] != NULL) {
    append(text, sizeof text, " (");
    append(text, sizeof text, trap.name[number]);
    append(text, sizeof text, ")");
  }
  append(text, sizeof text, " is not allowed in the sandbox");
  append(text, sizeof text, trap.advice);
  append(text, sizeof text, "\n");
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
  (void)signal(signal_number, SIG_DFL);
  (void)raise(signal_number); /* blocked until the return from here */
}

static int set_trap(const struct adit_sandbox_plan *plan) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  trap.program = plan->name != NULL ? plan->name : "sandbox";
  trap.advice = plan->advice != NULL ? plan->advice : "";
  for (int i = 0; i < NAMES; i++)
    if (trap.name[i] == NULL) trap.name[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
  sigemptyset(&action.sa_mask);
  return sigaction(SIGSYS, &action, NULL) == 0 ? 0 : -errno;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

/* Conditions on an argument, counted from 0; all 64 bits of it count. */
static struct scmp_arg_cmp is(unsigned argument, scmp_datum_t value) {
  return (struct scmp_arg_cmp){argument, SCMP_CMP_EQ, value, 0};
}

static struct scmp_arg_cmp bits(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
  return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, mask, value};
}

static struct scmp_arg_cmp below(unsigned argument, scmp_datum_t value) {
  return (struct scmp_arg_cmp){argument, SCMP_CMP_LT, value, 0};
}

static struct scmp_arg_cmp above(unsigned argument, scmp_datum_t value) {
  return (struct scmp_arg_cmp){argument, SCMP_CMP_GT, value, 0};
}

/* The first error is kept; what the architecture does not have is none. */
struct rules {
  scmp_filter_ctx context;
  unsigned calls;
  int error;
};

static void add(struct rules *rules, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *all) {
  int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR || rules->error != 0) return;
  int error = seccomp_rule_add_array(rules->context, action, number, count, all);
  if (error == -EDOM) return; /* a pseudo call: not of this architecture */
  rules->error = error;
}

static void allow(struct rules *rules, const char *name) {
  add(rules, SCMP_ACT_ALLOW, name, 0, NULL);
}

static void allow_if(struct rules *rules, const char *name, struct scmp_arg_cmp a) {
  add(rules, SCMP_ACT_ALLOW, name, 1, &a);
}

static void allow_if_both(struct rules *rules, const char *name, struct scmp_arg_cmp a, struct scmp_arg_cmp b) {
  add(rules, SCMP_ACT_ALLOW, name, 2, (struct scmp_arg_cmp[]){a, b});
}

/* Memory that can be executed: only from files, for the modules of name services, and never writable. */
static void add_memory(struct rules *rules) {
  const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
  static const char *const maps[] = {"mmap", "mmap2"};
  for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
    allow_if(rules, maps[i], bits(2, PROT_EXEC, 0));
    if (rules->calls & FILES) allow_if_both(rules, maps[i], bits(2, both, PROT_EXEC), bits(3, MAP_ANONYMOUS, 0));
  }
  allow_if(rules, "mprotect", bits(2, PROT_EXEC, 0));
}

static void add_processes(struct rules *rules, const struct adit_sandbox_plan *plan) {
  const scmp_datum_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
  const scmp_datum_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                              CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE;
  if (rules->calls & THREADS) {
    allow_if(rules, "clone", bits(0, thread | spaces, thread));
    add(rules, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
  }
  allow_if(rules, "tgkill", is(0, (scmp_datum_t)getpid())); /* abort, raise */
  if ((rules->calls & CHILD) && plan->child > 0) allow_if(rules, "kill", is(0, (scmp_datum_t)plan->child));
  allow_if(rules, "prctl", is(0, PR_SET_NAME));
  allow_if_both(rules, "prctl", is(0, PR_SET_DUMPABLE), is(1, 0));
#ifdef PR_SET_VMA
  allow_if(rules, "prctl", is(0, PR_SET_VMA)); /* newer C libraries name their memory */
#endif
  allow_if_both(rules, "prlimit64", is(0, 0), is(2, 0)); /* ask, not set */
}

static void add_ioctls(struct rules *rules) {
  static const unsigned long always[] = {TCGETS, TIOCGWINSZ, FIONREAD};
  static const unsigned long sockets[] = {SIOCGIFINDEX, SIOCGIFNAME, FIONBIO, TIOCOUTQ};
  static const unsigned long terminal[] = {TIOCGPGRP, TIOCSPGRP};
  const struct {
    const unsigned long *request;
    size_t count;
    unsigned groups;
  } lists[] = {
      {always, sizeof always / sizeof always[0], ALL},
      {sockets, sizeof sockets / sizeof sockets[0], SOCKETS},
      {terminal, sizeof terminal / sizeof terminal[0], CHILD},
  };
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    if (lists[i].groups != ALL && (rules->calls & lists[i].groups) == 0) continue;
    for (size_t j = 0; j < lists[i].count; j++) allow_if(rules, "ioctl", is(1, (scmp_datum_t)lists[i].request[j]));
  }
}

/*
 * TCP, UDP and pings, and netlink for routes. A family that is not used fails. Datagrams of AF_UNIX are there for the C
 * library, which asks for the index of an interface through one; its streams, by which local daemons listen, are not.
 */
static void add_socket(struct rules *rules) {
  static const unsigned families[] = {AF_INET, AF_INET6};
  const scmp_datum_t type = 0xf; /* without SOCK_NONBLOCK and SOCK_CLOEXEC */
  const uint32_t no = SCMP_ACT_ERRNO(EACCES);
  if ((rules->calls & SOCKETS) == 0) {
    add(rules, no, "socket", 0, NULL);
    return;
  }
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
    struct scmp_arg_cmp family = is(0, families[i]);
    scmp_datum_t ping = families[i] == AF_INET ? (scmp_datum_t)IPPROTO_ICMP : (scmp_datum_t)IPPROTO_ICMPV6;
    allow_if_both(rules, "socket", family, bits(1, type, SOCK_STREAM));
    allow_if_both(rules, "socket", family, bits(1, type, SOCK_DGRAM));
    add(rules, SCMP_ACT_ALLOW, "socket", 3, (struct scmp_arg_cmp[]){family, bits(1, type, SOCK_RAW), is(2, ping)});
  }
  allow_if_both(rules, "socket", is(0, AF_NETLINK), is(2, NETLINK_ROUTE));
  allow_if_both(rules, "socket", is(0, AF_UNIX), bits(1, type, SOCK_DGRAM));
  add(rules, no, "socket", 2, (struct scmp_arg_cmp[]){is(0, AF_UNIX), bits(1, type, SOCK_STREAM)});
  for (unsigned family = 0; family < AF_NETLINK; family++) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
    add(rules, no, "socket", 1, (struct scmp_arg_cmp[]){is(0, family)});
  }
  add(rules, no, "socket", 1, (struct scmp_arg_cmp[]){above(0, AF_NETLINK)});
}

/* Options of sockets, but not those by which packet filters of the kernel are set (64 and above: x_tables). */
static void add_setsockopt(struct rules *rules) {
  static const unsigned whole[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, SOL_NETLINK};
  static const unsigned low[] = {IPPROTO_IP, IPPROTO_IPV6, IPPROTO_ICMPV6};
  if ((rules->calls & SOCKETS) == 0) return;
  for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) allow_if(rules, "setsockopt", is(1, whole[i]));
  for (size_t i = 0; i < sizeof low / sizeof low[0]; i++)
    allow_if_both(rules, "setsockopt", is(1, low[i]), below(2, 64));
}

static void add_all(struct rules *rules, const struct adit_sandbox_plan *plan) {
  static const char *const openers[] = {"openat", "open", "access", "faccessat", "faccessat2", "readlink", "stat"};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
    if (calls[i].groups == ALL || (rules->calls & calls[i].groups) != 0) allow(rules, calls[i].name);
  for (size_t i = 0; (rules->calls & FILES) == 0 && i < sizeof openers / sizeof openers[0]; i++)
    add(rules, SCMP_ACT_ERRNO(EACCES), openers[i], 0, NULL);
  add_memory(rules);
  add_processes(rules, plan);
  add_ioctls(rules);
  add_socket(rules);
  add_setsockopt(rules);
}

int adit_sandbox_filter(const struct adit_sandbox_plan *plan, char *reason) {
  if (ADIT_SANDBOX_SANITIZED)
    return adit_sandbox_explain(reason, -ENOSYS, "built with sanitizers: system calls are not filtered");
  struct rules rules = {.context = seccomp_init(SCMP_ACT_TRAP), .calls = plan->calls};
  if (rules.context == NULL)
    return adit_sandbox_explain(reason, -ENOMEM, "a filter of system calls cannot be made: out of memory");
  int error = set_trap(plan);
  /* All threads or none: should there be others by mistake, they are not left out. */
  if (error == 0) error = seccomp_attr_set(rules.context, SCMP_FLTATR_CTL_TSYNC, 1);
  if (error == -EOPNOTSUPP) error = 0;
  rules.error = error;
  if (error == 0) add_all(&rules, plan);
  error = rules.error;
  bool refused = false;
  if (error == 0) {
    (void)seccomp_attr_set(rules.context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; libseccomp 2.5 */
    error = seccomp_load(rules.context);
    refused = error == -EINVAL || error == -ENOSYS || error == -ECANCELED;
  }
  seccomp_release(rules.context);
  if (error == 0) return 0;
  if (refused)
    return adit_sandbox_explain(reason, -ENOSYS, "this kernel, or what it runs in, takes no filter of system calls");
  return adit_sandbox_explain(reason, error, "a filter of system calls cannot be set: %s", strerror(-error));
}

#else
int adit_sandbox_filter(const struct adit_sandbox_plan *plan, char *reason) {
  (void)plan;
  return adit_sandbox_explain(reason, -ENOSYS, "built without libseccomp: system calls are not filtered");
}
#endif
