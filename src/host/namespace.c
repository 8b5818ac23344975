/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A command in namespaces of its own, whose only network device is a TUN that the caller holds.
 *
 * Two processes: this one stays outside, with its sockets, and the first process of the namespaces (inside.c) makes the
 * device in there and passes its fds out; a TUN fd goes on working wherever its holder is. They talk over a socket pair.
 * The child is made with clone(2) so that it is born into all namespaces at once: process 1 of its own process namespace,
 * and a child of ours that can be waited for.
 *
 * The user namespace is for those who may not make the others without it. Whether that is so is tried, not guessed: root
 * in a container may lack the right, too.
 */
#include "host/namespace.h"

#include "host/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct adit_namespace {
  pid_t first;     /* process 1 of the namespace; 0 when it was waited for */
  int control;     /* owned */
  unsigned queues; /* received so far */
  int *queue;      /* owned, as are the fds in it; -1 = taken */
};

/* fork(2) with namespaces. The child goes on with a copy of this stack. */
static pid_t fork_into(unsigned long flags) {
#if defined(__s390__) || defined(__CRIS__)
  return (pid_t)syscall(SYS_clone, NULL, flags | SIGCHLD, NULL, NULL, NULL);
#else
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

static int explain_clone(int error, char *reason) {
  const char *advice = "";
  switch (error) {
  case -EPERM:
  case -EACCES:
    advice = "; this system does not let ordinary users make them (sysctl kernel.unprivileged_userns_clone=1, or a "
             "container that forbids it): let an administrator allow it, or run as root (sudo)";
    break;
  case -ENOSPC:
  case -EUSERS:
    advice = "; there are too many, or none are allowed (sysctl user.max_user_namespaces, user.max_net_namespaces)";
    break;
  case -EINVAL:
    advice = "; this kernel was built without them";
    break;
  default:
    break;
  }
  snprintf(reason, ADIT_NAMESPACE_REASON, "namespaces for the command cannot be made: %s%s", strerror(-error), advice);
  return error;
}

static int read_int(const char *path) {
  int value = -1;
  FILE *file = fopen(path, "re");
  if (file == NULL) return -1;
  if (fscanf(file, "%d", &value) != 1) value = -1;
  fclose(file);
  return value;
}

/* Make the child. Returns its pid, or a negative errno. In the child it does not return. */
static pid_t make_first(const struct adit_namespace_options *options, int control[2]) {
  const unsigned long spaces = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID;
  struct adit_inside_user user = {.uid = geteuid(), .gid = getegid()};
  pid_t pid = -1;
  errno = EPERM;
  if (user.uid == 0) pid = fork_into(spaces);
  if (pid < 0 && errno == EPERM) {
    user.mapped = true;
    pid = fork_into(spaces | CLONE_NEWUSER);
  }
  if (pid < 0) return -errno;
  if (pid == 0) {
    close(control[0]);
    adit_inside_run(options, &user, control[1]);
  }
  return pid;
}

/*
 * recvmsg(2), again when it was interrupted, and once more when the other side has ended before it had read all that we said:
 * of that we are told first, and what it has said itself is there all the same. Returns a negative errno.
 */
static ssize_t receive_anyway(int control, struct msghdr *header, int flags) {
  bool reset = false;
  for (;;) {
    ssize_t got = recvmsg(control, header, flags);
    if (got >= 0) return got;
    bool again = errno == EINTR || (errno == ECONNRESET && !reset);
    if (!again) return -errno;
    reset |= errno == ECONNRESET;
  }
}

/* Receive one message, with the fd that may be attached. Returns its length, 0 at the end, or a negative errno. */
static ssize_t receive(int control, struct adit_inside_message *message, int *fd, int flags) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } room;
  struct iovec piece = {.iov_base = message, .iov_len = sizeof *message};
  struct msghdr header = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
  *fd = -1;
  ssize_t got = receive_anyway(control, &header, flags | MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  const struct cmsghdr *attached = CMSG_FIRSTHDR(&header);
  if (attached != NULL && attached->cmsg_level == SOL_SOCKET && attached->cmsg_type == SCM_RIGHTS) {
    memcpy(fd, CMSG_DATA(attached), sizeof *fd);
  }
  message->text[sizeof message->text - 1] = '\0';
  return got;
}

/* Wait until the inside is ready. */
static int wait_until_ready(struct adit_namespace *space, unsigned queues, char *reason) {
  struct adit_inside_message message;
  for (;;) {
    int fd;
    ssize_t got = receive(space->control, &message, &fd, 0);
    if (got < (ssize_t)sizeof message) {
      if (fd >= 0) close(fd);
      snprintf(reason, ADIT_NAMESPACE_REASON, "the first process inside the namespace died: %s",
               got < 0 ? strerror((int)-got) : "it was killed");
      return -ECHILD;
    }
    if (message.kind == ADIT_INSIDE_QUEUE && fd >= 0 && space->queues < queues) {
      space->queue[space->queues++] = fd;
      continue;
    }
    if (fd >= 0) close(fd);
    if (message.kind == ADIT_INSIDE_READY) return space->queues == queues ? 0 : -EPROTO;
    if (message.kind != ADIT_INSIDE_REFUSED) continue;
    snprintf(reason, ADIT_NAMESPACE_REASON, "%s", message.text);
    bool apparmor = read_int("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1;
    if (apparmor && geteuid() != 0 && strstr(reason, "apparmor") == NULL) {
      size_t used = strlen(reason);
      snprintf(reason + used, ADIT_NAMESPACE_REASON - used,
               " (sysctl kernel.apparmor_restrict_unprivileged_userns is 1)");
    }
    return message.value;
  }
}

int adit_namespace_new(const struct adit_namespace_options *options, struct adit_namespace **space, char *reason) {
  int error, control[2];
  unsigned queues = options->device.queues > 0 ? options->device.queues : 1;
  reason[0] = '\0';
  struct adit_namespace *made = calloc(1, sizeof *made);
  if (made == NULL) goto no_memory;
  made->queue = calloc(queues, sizeof *made->queue);
  if (made->queue == NULL) goto no_memory;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) {
    error = -errno;
    snprintf(reason, ADIT_NAMESPACE_REASON, "a socket pair cannot be made: %s", strerror(-error));
    goto free_memory;
  }
  made->control = control[0];
  made->first = make_first(options, control);
  close(control[1]);
  if (made->first < 0) {
    error = explain_clone(made->first, reason);
    close(control[0]);
    goto free_memory;
  }
  error = wait_until_ready(made, queues, reason);
  if (error != 0) {
    adit_namespace_free(made);
    return error;
  }
  *space = made;
  return 0;

no_memory:
  error = -ENOMEM;
  snprintf(reason, ADIT_NAMESPACE_REASON, "out of memory");
free_memory:
  if (made != NULL) free(made->queue);
  free(made);
  return error;
}

int adit_namespace_take(struct adit_namespace *space, unsigned queue) {
  int fd = space->queue[queue];
  space->queue[queue] = -1;
  return fd;
}

static int tell(struct adit_namespace *space, enum adit_inside_kind kind, int value) {
  struct adit_inside_message message = {.kind = kind, .value = value};
  ssize_t sent = send(space->control, &message, sizeof message, MSG_NOSIGNAL);
  return sent < 0 ? -errno : 0;
}

int adit_namespace_start(struct adit_namespace *space) {
  return tell(space, ADIT_INSIDE_START, 0);
}

int adit_namespace_fd(const struct adit_namespace *space) {
  return space->control;
}

long adit_namespace_pid(const struct adit_namespace *space) {
  return (long)space->first;
}

/* The first process is gone without a word: killed, from outside or for want of memory. */
static int status_of_first(struct adit_namespace *space) {
  int status = 0;
  if (space->first <= 0) return 128 + SIGKILL;
  while (waitpid(space->first, &status, 0) < 0 && errno == EINTR) continue;
  space->first = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : EXIT_FAILURE;
}

enum adit_namespace_event adit_namespace_next(struct adit_namespace *space, int *detail) {
  struct adit_inside_message message;
  int fd;
  ssize_t got = receive(space->control, &message, &fd, MSG_DONTWAIT);
  if (fd >= 0) close(fd);
  if (got == -EAGAIN) return ADIT_NAMESPACE_NOTHING;
  if (got < (ssize_t)sizeof message) {
    *detail = status_of_first(space);
    return ADIT_NAMESPACE_ENDED;
  }
  *detail = message.value;
  switch (message.kind) {
  case ADIT_INSIDE_FAILED:
    return ADIT_NAMESPACE_FAILED;
  case ADIT_INSIDE_STOPPED:
    return ADIT_NAMESPACE_STOPPED;
  case ADIT_INSIDE_ENDED:
    return ADIT_NAMESPACE_ENDED;
  default:
    return ADIT_NAMESPACE_NOTHING;
  }
}

void adit_namespace_signal(struct adit_namespace *space, int signal) {
  (void)tell(space, ADIT_INSIDE_SIGNAL, signal);
}

void adit_namespace_free(struct adit_namespace *space) {
  if (space == NULL) return;
  if (space->first > 0) {
    kill(space->first, SIGKILL); /* and the kernel kills all others inside */
    while (waitpid(space->first, NULL, 0) < 0 && errno == EINTR) continue;
  }
  while (space->queues > 0) {
    int fd = space->queue[--space->queues];
    if (fd >= 0) close(fd);
  }
  close(space->control);
  free(space->queue);
  free(space);
}
