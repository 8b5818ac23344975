/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Control sockets in the file system.
 *
 * Whether a socket is alive is found out by connecting: the kernel refuses where nobody listens any more. To find one dead
 * and to remove it are two steps, between which somebody might put a living one there; and a socket that is bound and
 * does not listen yet looks dead. So all of that happens under a lock (flock(2)) on the folder, and all adits keep to it.
 *
 * The mode of the file is set on the socket before it is bound (fchmod(2); the kernel makes the file with the mode of the
 * socket), so there is no moment in which others could connect, and the umask of the process is left alone.
 */
#include "cli/control_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Connections that may wait to be accepted. */
enum { BACKLOG = 16 };

/* Tries to get the lock, a millisecond in between; whoever holds it needs it for less than one. */
enum { LOCK_TRIES = 1000 };

static int explain(char *reason, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int explain(char *reason, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, ADIT_CONTROL_REASON, format, arguments);
  va_end(arguments);
  return error;
}

int adit_control_folder(char path[ADIT_CONTROL_PATH]) {
  const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
  if (runtime == NULL || runtime[0] != '/') return -ENOENT;
  int length = snprintf(path, ADIT_CONTROL_PATH, "%s/adit", runtime);
  return length < ADIT_CONTROL_PATH ? 0 : -ENAMETOOLONG;
}

bool adit_control_is_name(const char *name) {
  static const char end[] = ".sock";
  size_t length = strlen(name);
  return length > sizeof end - 1 && strcmp(name + length - (sizeof end - 1), end) == 0;
}

bool adit_control_peer_allowed(int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

/* Returns false for a path that is too long. */
static bool address_of(const char *path, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address->sun_path) return false;
  memcpy(address->sun_path, path, length + 1);
  return true;
}

static int connect_to(const char *path, int flags, int timeout_ms) {
  struct sockaddr_un address;
  struct timeval time = {.tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
  if (!address_of(path, &address)) return -ENAMETOOLONG;
  int error = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return -errno;
  if (timeout_ms > 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) != 0 ||
                         setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) != 0))
    error = -errno;
  if (error == 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) error = -errno;
  if (error == 0) return fd;
  close(fd);
  return error;
}

int adit_control_connect(const char *path, int timeout_ms) {
  return connect_to(path, 0, timeout_ms);
}

/* What is at a path. Returns 0 when nothing is; 1 a socket on which nobody listens; -EADDRINUSE somebody does; -EEXIST it
 * is no socket; or another negative errno. */
static int look_at(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) return errno == ENOENT ? 0 : -errno;
  if (!S_ISSOCK(found.st_mode)) return -EEXIST;
  int fd = connect_to(path, SOCK_NONBLOCK, 0);
  if (fd == -ECONNREFUSED) return 1;
  if (fd == -ENOENT) return 0;
  if (fd >= 0) close(fd);
  return fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE ? -EADDRINUSE : fd;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static int lock(int folder) {
  const struct timespec millisecond = {.tv_nsec = 1000000};
  for (int i = 0; i < LOCK_TRIES; i++) {
    if (flock(folder, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return -errno;
    nanosleep(&millisecond, NULL);
  }
  return -EBUSY;
}

/* The folder of a socket, locked. Returns its fd, or a negative errno with the reason. */
static int open_folder(const char *path, char *reason) {
  char folder[ADIT_CONTROL_PATH];
  struct stat found;
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
  snprintf(folder, sizeof folder, "%.*s", (int)length, slash == NULL ? "." : path);
  if (mkdir(folder, 0700) != 0 && errno != EEXIST)
    return explain(reason, -errno, "%s: the folder cannot be made: %s", folder, strerror(errno));
  int error, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return explain(reason, -errno, "%s: the folder cannot be opened: %s", folder, strerror(errno));
  if (fstat(fd, &found) != 0) {
    error = explain(reason, -errno, "%s: %s", folder, strerror(errno));
    goto close_folder;
  }
  bool foreign = found.st_uid != geteuid() && found.st_uid != 0;
  bool open_to_others = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (found.st_mode & S_ISVTX) == 0;
  if (foreign || open_to_others) {
    error = explain(reason, -EPERM,
                    "%s: other users may remove what is in this folder and put something else there; use one of your "
                    "own (mode 0700)",
                    folder);
    goto close_folder;
  }
  error = lock(fd);
  if (error == 0) return fd;
  explain(reason, error, "%s: somebody holds a lock on the folder: %s", folder, strerror(-error));
close_folder:
  close(fd);
  return error;
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

/* Make room for the socket. Returns 0, or a negative errno with the reason. */
static int clear_place(const char *path, char *reason) {
  int found = look_at(path);
  if (found == -EADDRINUSE)
    return explain(reason, found,
                   "%s: an adit that runs listens there ('adit stat --control %s' tells which); end it, or choose "
                   "another path",
                   path, path);
  if (found == -EEXIST)
    return explain(reason, found, "%s: is there and is no socket; remove it, or choose another path", path);
  if (found < 0) return explain(reason, found, "%s: %s", path, strerror(-found));
  if (found == 1 && unlink(path) != 0 && errno != ENOENT)
    return explain(reason, -errno, "%s: is left over and cannot be removed: %s", path, strerror(errno));
  return 0;
}

/* Bind and listen. Returns the fd, or a negative errno. */
static int listen_at(const char *path) {
  struct sockaddr_un address;
  int error = 0;
  if (!address_of(path, &address)) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    error = -errno;
  } else if (listen(fd, BACKLOG) != 0) {
    error = -errno;
    unlink(path);
  }
  if (error == 0) return fd;
  close(fd);
  return error;
}

int adit_control_listen(const char *path, struct adit_control_socket *made, char *reason) {
  struct stat found;
  *made = (struct adit_control_socket){.fd = -1};
  if (strlen(path) >= sizeof made->path)
    return explain(reason, -ENAMETOOLONG, "%s: too long; the path of a socket has at most %zu bytes", path,
                   sizeof made->path - 1);
  int folder = open_folder(path, reason);
  if (folder < 0) return folder;
  int error = clear_place(path, reason);
  if (error != 0) goto unlock;
  int fd = listen_at(path);
  if (fd < 0) {
    error = explain(reason, fd, "%s: cannot listen there: %s", path, strerror(-fd));
    goto unlock;
  }
  made->fd = fd;
  memcpy(made->path, path, strlen(path) + 1);
  if (lstat(path, &found) == 0) {
    made->device = found.st_dev;
    made->inode = found.st_ino;
  }
unlock:
  close(folder); /* and with it the lock */
  return error;
}

void adit_control_unlisten(struct adit_control_socket *made) {
  struct stat found;
  if (made->fd < 0) return;
  if (lstat(made->path, &found) == 0 && found.st_dev == made->device && found.st_ino == made->inode)
    (void)unlink(made->path); /* if not, the next start removes it */
  close(made->fd);
  made->fd = -1;
}

/* ---- left-over sockets ------------------------------------------------------------------------------------------- */

int adit_control_sweep(const char *folder, void (*removed)(void *user, const char *path), void *user) {
  int count = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : -errno;
  int error = lock(fd);
  DIR *names = error == 0 ? fdopendir(fd) : NULL;
  if (names == NULL) {
    if (error == 0) error = -errno;
    close(fd);
    return error;
  }
  const struct dirent *entry;
  while ((entry = readdir(names)) != NULL) {
    char path[2 * ADIT_CONTROL_PATH + 256];
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (!adit_control_is_name(entry->d_name) || look_at(path) != 1 || unlink(path) != 0) continue;
    count++;
    if (removed != NULL) removed(user, path);
  }
  closedir(names);
  return count;
}
