/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The first process of a namespace: furnishes it, runs the command, tells what becomes of it.
 *
 * It is process 1 of a process namespace, so that everything inside dies with it, whoever started it and however often
 * it forked. It ends when the command ends; when the process outside does (the kernel then sends SIGKILL, and the control
 * socket ends, whichever is first); or by a signal from outside. It holds no fd of the device after it was handed over,
 * so the device, and the network namespace with it, goes when both the process outside and all inside are gone.
 *
 * The command is its child and stays in the process group of the caller: what the terminal sends (Ctrl-C, Ctrl-Z) goes to
 * the command directly, as if there were nobody in between. This process has all signals blocked.
 *
 * The capabilities that a new user namespace gives are used up to here; they end with exec, because the user is not root
 * inside either.
 */
#include "host/inside.h"

#include "host/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A place that every system has, covered for a moment by a file system in memory. */
static const char workshop[] = "/proc";

/* Ways in which programs ask others outside for names, instead of resolv.conf: closed by covering their sockets. */
static const char *const other_resolvers[] = {
    "/run/systemd/resolve/io.systemd.Resolve",                              /* nss-resolve */
    "/run/nscd/socket", "/var/run/nscd/socket", "/run/avahi-daemon/socket", /* nss-mdns */
};

static void send_message(int control, enum adit_inside_kind kind, int value, int fd, const char *text) {
  struct adit_inside_message message = {.kind = kind, .value = value};
  if (text != NULL) snprintf(message.text, sizeof message.text, "%s", text);
  struct iovec piece = {.iov_base = &message, .iov_len = sizeof message};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } room = {0};
  struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = room.bytes;
    header.msg_controllen = sizeof room.bytes;
    struct cmsghdr *attached = CMSG_FIRSTHDR(&header);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(attached), &fd, sizeof fd);
  }
  if (sendmsg(control, &header, MSG_NOSIGNAL) < 0) _exit(EXIT_FAILURE); /* nobody is outside any more */
}

/* Give up while furnishing: "what: why; advice". */
static noreturn void refuse(int control, int error, const char *what, const char *why, const char *advice) {
  char text[ADIT_NAMESPACE_REASON];
  snprintf(text, sizeof text, "%s: %s%s", what, why != NULL ? why : strerror(-error), advice);
  send_message(control, ADIT_INSIDE_REFUSED, error, -1, text);
  _exit(EXIT_FAILURE);
}

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return -errno;
  ssize_t written = write(fd, text, strlen(text));
  int error = written < 0 ? -errno : (size_t)written < strlen(text) ? -EIO : 0;
  close(fd);
  return error;
}

/* ---- user ------------------------------------------------------------------------------------------------------- */

static void map_user(const struct adit_inside_user *user, int control) {
  char text[64];
  if (!user->mapped) return;
  /* user_namespaces(7): without this an ordinary user may not map his group. Kernels before 3.19 do not have it. */
  int error = write_file("/proc/self/setgroups", "deny");
  if (error == -ENOENT) error = 0;
  snprintf(text, sizeof text, "%u %u 1", (unsigned)user->uid, (unsigned)user->uid);
  if (error == 0) error = write_file("/proc/self/uid_map", text);
  snprintf(text, sizeof text, "%u %u 1", (unsigned)user->gid, (unsigned)user->gid);
  if (error == 0) error = write_file("/proc/self/gid_map", text);
  if (error == 0) return;
  refuse(
      control, error, "the user cannot be taken over into the new user namespace", NULL,
      "; this system restricts user namespaces (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns); let an "
      "administrator allow them, or run as root (sudo)");
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* Put a file of our own in the place of /etc/resolv.conf. It lives in memory and is seen in here only. */
static int replace_resolv_conf(const char *text) {
  char path[sizeof workshop + 16];
  if (mount("adit", workshop, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") != 0) return -errno;
  snprintf(path, sizeof path, "%s/resolv.conf", workshop);
  int error = write_file(path, text);
  if (error == 0 && mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0) error = -errno;
  if (umount2(workshop, MNT_DETACH) != 0 && error == 0) error = -errno;
  return error;
}

static void furnish_files(const struct adit_namespace_options *options, int control) {
  /* What is mounted in here is not seen outside; what is mounted outside is seen in here. */
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
    refuse(control, -errno, "the new mount namespace cannot be separated", NULL,
           "; this system restricts user namespaces: let an administrator allow them, or run as root (sudo)");
  }
  if (options->resolv_conf != NULL) {
    int error = replace_resolv_conf(options->resolv_conf);
    if (error == -ENOENT) {
      refuse(control, error, "/etc/resolv.conf cannot be replaced inside", NULL,
             "; make the file (it may be empty), or give --dns off");
    }
    if (error != 0) refuse(control, error, "/etc/resolv.conf cannot be replaced inside", NULL, "; give --dns off");
    for (size_t i = 0; i < sizeof other_resolvers / sizeof other_resolvers[0]; i++) {
      if (access(other_resolvers[i], F_OK) != 0) continue;
      if (mount("/dev/null", other_resolvers[i], NULL, MS_BIND, NULL) == 0 || errno == ENOENT) continue;
      refuse(control, -errno, other_resolvers[i], NULL, ": cannot be covered, so that names would be asked outside");
    }
  }
  /* Not allowed where the present one has covered parts (containers); ps then shows the processes outside. */
  (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* ---- network ---------------------------------------------------------------------------------------------------- */

static noreturn void refuse_device(int control, int error) {
  const char *advice = "";
  switch (error) {
  case -ENOENT:
  case -ENODEV:
  case -ENXIO:
    advice = "; load the kernel's driver (modprobe tun), or start the container with --device /dev/net/tun";
    break;
  case -EACCES:
    advice = "; let an administrator allow it (chmod 666 /dev/net/tun), or run as root (sudo)";
    break;
  case -EPERM:
    advice = "; this system restricts user namespaces: let an administrator allow them, or run as root (sudo)";
    break;
  default:
    break;
  }
  refuse(control, error, "no TUN device can be made (/dev/net/tun)", NULL, advice);
}

static void open_device(const struct adit_namespace_options *options, int control, char *name) {
  unsigned queues = options->device.queues > 0 ? options->device.queues : 1;
  struct adit_device **queue = calloc(queues, sizeof *queue);
  if (queue == NULL) refuse(control, -ENOMEM, "no TUN device can be made", NULL, "");
  int error = adit_device_open(&options->device, queue);
  if (error != 0) refuse_device(control, error);
  snprintf(name, ADIT_DEVICE_NAME, "%s", adit_device_name(queue[0]));
  for (unsigned i = 0; i < queues; i++) {
    send_message(control, ADIT_INSIDE_QUEUE, (int)i, adit_device_fd(queue[i]), NULL);
    adit_device_close(queue[i]); /* the message holds the device open */
  }
  free(queue);
}

static bool is_no_ipv6(int error) {
  return error == -EACCES || error == -EAFNOSUPPORT || error == -EOPNOTSUPP;
}

static void furnish_network(const struct adit_namespace_options *options, int control) {
  struct adit_link_socket *link;
  struct adit_link_info info;
  char name[ADIT_DEVICE_NAME], text[ADIT_ADDRESS_TEXT];
  int error = adit_link_open(&link);
  if (error != 0) refuse(control, error, "the kernel's network configuration cannot be reached (netlink)", NULL, "");
  error = adit_link_find(link, "lo", &info);
  if (error == 0) error = adit_link_set_up(link, info.index, true);
  if (error != 0) {
    refuse(control, error, "the loopback interface inside cannot be set up", adit_link_reason(link),
           "; this system restricts user namespaces: let an administrator allow them, or run as root (sudo)");
  }
  open_device(options, control, name);
  error = adit_link_find(link, name, &info);
  if (error == 0) error = adit_link_set_queue(link, info.index, ADIT_LINK_QUEUE);
  if (error == 0 && options->mtu != 0) error = adit_link_set_mtu(link, info.index, options->mtu);
  if (error == 0) {
    error = adit_link_set_quiet(link, info.index);
    if (is_no_ipv6(error)) error = 0;
  }
  if (error != 0) refuse(control, error, "the device inside cannot be configured", adit_link_reason(link), "");
  bool family[2] = {false, false}; /* IPv4, IPv6: has an address */
  for (size_t i = 0; i < options->addresses; i++) {
    adit_cidr address = options->address[i];
    error = adit_link_add_address(link, info.index, address);
    if (address.ip.version == 6 && options->optional_ipv6 && is_no_ipv6(error)) continue;
    if (error != 0) refuse(control, error, adit_cidr_format(address, text), adit_link_reason(link), "");
    family[address.ip.version == 6] = true;
  }
  error = adit_link_set_up(link, info.index, true);
  if (error != 0) refuse(control, error, "the device inside cannot be set up", adit_link_reason(link), "");
  for (size_t i = 0; i < 2; i++) {
    adit_cidr everything = {.ip = {.version = i == 0 ? 4 : 6}};
    if (!family[i]) continue;
    error = adit_link_add_route(link, info.index, everything);
    if (error != 0) refuse(control, error, "the default route inside cannot be set", adit_link_reason(link), "");
  }
  adit_link_close(link);
}

/* Let an ordinary user ping (ping sockets, icmp(7)); his ping has no capabilities in here. */
static void allow_ping(const struct adit_inside_user *user) {
  char text[64];
  if (!user->mapped) return;
  snprintf(text, sizeof text, "%u %u", (unsigned)user->gid, (unsigned)user->gid);
  int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return; /* a container may forbid it; then there is no ping */
  ssize_t written = write(fd, text, strlen(text));
  (void)written;
  close(fd);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static noreturn void become_command(const struct adit_namespace_options *options, int failure) {
  (void)setrlimit(RLIMIT_NOFILE, &options->files);
  sigprocmask(SIG_SETMASK, &options->mask, NULL);
  execvp(options->command[0], options->command);
  int error = -errno;
  ssize_t written = write(failure, &error, sizeof error);
  (void)written;
  _exit(127);
}

/* Returns its pid, or reports why there is none and ends. */
static pid_t start_command(const struct adit_namespace_options *options, int control) {
  int failure[2], error = 0;
  if (pipe2(failure, O_CLOEXEC) != 0) {
    send_message(control, ADIT_INSIDE_FAILED, -errno, -1, NULL);
    _exit(EXIT_FAILURE);
  }
  pid_t pid = fork();
  if (pid == 0) become_command(options, failure[1]);
  if (pid < 0) error = -errno;
  close(failure[1]);
  if (pid > 0 && read(failure[0], &error, sizeof error) != (ssize_t)sizeof error) error = 0; /* closed by exec */
  close(failure[0]);
  if (error == 0) return pid;
  send_message(control, ADIT_INSIDE_FAILED, error, -1, NULL);
  _exit(EXIT_FAILURE);
}

/* Take what has ended or stopped. */
static void reap(pid_t command, int control) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
    if (pid != command) continue;
    if (WIFSTOPPED(status)) {
      send_message(control, ADIT_INSIDE_STOPPED, WSTOPSIG(status), -1, NULL);
      continue;
    }
    int value = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    send_message(control, ADIT_INSIDE_ENDED, value, -1, NULL);
    _exit(EXIT_SUCCESS);
  }
}

static noreturn void attend(pid_t command, int control, int children) {
  enum { CONTROL, CHILDREN, FDS };
  for (;;) {
    struct pollfd fd[FDS] = {
        [CONTROL] = {.fd = control, .events = POLLIN},
        [CHILDREN] = {.fd = children, .events = POLLIN},
    };
    struct adit_inside_message message;
    struct signalfd_siginfo info;
    if (poll(fd, FDS, -1) < 0 && errno != EINTR) _exit(EXIT_FAILURE);
    if (fd[CHILDREN].revents != 0 && read(children, &info, sizeof info) > 0) reap(command, control);
    if (fd[CONTROL].revents == 0) continue;
    ssize_t got = recv(control, &message, sizeof message, MSG_DONTWAIT);
    if (got == 0) _exit(EXIT_FAILURE); /* nobody is outside any more */
    if (got == (ssize_t)sizeof message && message.kind == ADIT_INSIDE_SIGNAL) kill(command, message.value);
  }
}

noreturn void adit_inside_run(const struct adit_namespace_options *options, const struct adit_inside_user *user,
                              int control) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  map_user(user, control);
  furnish_files(options, control);
  furnish_network(options, control);
  allow_ping(user);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  int children = signalfd(-1, &child, SFD_CLOEXEC);
  if (children < 0) refuse(control, -errno, "the command cannot be attended to", NULL, "");

  send_message(control, ADIT_INSIDE_READY, 0, -1, NULL);
  struct adit_inside_message message = {.kind = ADIT_INSIDE_SIGNAL};
  ssize_t got;
  do {
    got = recv(control, &message, sizeof message, 0);
    if (got == 0 || (got < 0 && errno != EINTR)) _exit(EXIT_FAILURE);
  } while (got < 0 || message.kind != ADIT_INSIDE_START);
  attend(start_command(options, control), control, children);
}
