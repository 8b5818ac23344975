/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Control sockets in the file system: where they are, made and found, whose they are, and which of them are dead.
 */
#ifndef ADIT_CLI_CONTROL_SOCKET_H
#define ADIT_CLI_CONTROL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Room for the name of a socket, terminating zero included (sun_path, unix(7)). */
#define ADIT_CONTROL_PATH 108

/** Room for a sentence about one. */
#define ADIT_CONTROL_REASON 512

/** A socket that was made here. */
struct adit_control_socket {
  int fd; /**< listening, non-blocking, close-on-exec; owned; -1 = none */
  char path[ADIT_CONTROL_PATH];
  dev_t device; /**< of the file, so that only this one is removed */
  ino_t inode;
};

/**
 * The folder in which sockets are when nobody said otherwise: /run/adit for root, $XDG_RUNTIME_DIR/adit for others.
 * Returns 0, or -ENOENT (no XDG_RUNTIME_DIR, or one that is no full path), -ENAMETOOLONG.
 */
int adit_control_folder(char path[ADIT_CONTROL_PATH]);

/**
 * Make and listen on a socket with mode 0600. Its folder is made with mode 0700 when it is missing; one in which others
 * may remove files is refused. A socket there on which nobody listens any more is replaced.
 * Returns 0 and `*made`; or with a sentence in `reason` (ADIT_CONTROL_REASON bytes): -EADDRINUSE, somebody listens there,
 * -EEXIST, something else is there, -ENAMETOOLONG, -EPERM, the folder, or another negative errno.
 */
int adit_control_listen(const char *path, struct adit_control_socket *made, char *reason);

/** Close it and remove its file, if that is still the one that was made. */
void adit_control_unlisten(struct adit_control_socket *made);

/** Connect, within `timeout_ms`, which also bounds each read and write later. Returns an fd, or a negative errno. */
int adit_control_connect(const char *path, int timeout_ms);

/** Whether the other side of a connection is the same user as this process, or root (SO_PEERCRED). */
bool adit_control_peer_allowed(int fd);

/**
 * Remove the sockets of a folder on which nobody listens any more; `removed` (may be NULL) is told each path. Returns how
 * many, or a negative errno; 0 when there is no such folder.
 */
int adit_control_sweep(const char *folder, void (*removed)(void *user, const char *path), void *user);

/** Whether `name` is that of a control socket: it ends with ".sock". */
bool adit_control_is_name(const char *name);

#endif
