/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a process gives up once it has all that it needs: user, capabilities, files, system calls.
 *
 * Part of the program and not of the library: all of this belongs to the whole process.
 */
#ifndef ADIT_HOST_SANDBOX_H
#define ADIT_HOST_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Groups of system calls that not every command needs. What all need (memory, time, waiting, fds) is always there. */
enum adit_sandbox_calls {
  ADIT_SANDBOX_THREADS = 1 << 0, /**< make threads */
  ADIT_SANDBOX_NETLINK = 1 << 1, /**< talk on netlink sockets that are open */
  ADIT_SANDBOX_SOCKETS = 1 << 2, /**< make TCP, UDP, ping and route netlink sockets; look names up */
  ADIT_SANDBOX_FILES = 1 << 3,   /**< open and read files, those that `path` names */
  ADIT_SANDBOX_STORE = 1 << 4,   /**< make, rename and remove files */
  ADIT_SANDBOX_LISTEN = 1 << 5,  /**< accept on a socket that listens, and remove its file */
  ADIT_SANDBOX_CHILD = 1 << 6    /**< wait for a child, signal `child`, hand the terminal over */
};

/** What may be done with a file, or with all files of a directory. */
enum adit_sandbox_access {
  ADIT_SANDBOX_REMOVE, /**< remove files of a directory */
  ADIT_SANDBOX_READ,   /**< read files and list directories */
  ADIT_SANDBOX_WRITE,  /**< that, and write what exists */
  ADIT_SANDBOX_KEEP    /**< that, and make, rename and remove files */
};

/** A file or directory that stays within reach. One that does not exist is passed over. */
struct adit_sandbox_path {
  const char *path;
  enum adit_sandbox_access access;
};

/** Bit of a capability (CAP_NET_ADMIN and so on, linux/capability.h) in a set. */
#define ADIT_SANDBOX_CAPABILITY(number) (UINT64_C(1) << (number))

/** What is kept. Everything is borrowed until the return, but `name` and `advice`, which must last. */
struct adit_sandbox_plan {
  const char *name;                     /**< of the program and command, for the message about a forbidden call */
  const char *advice;                   /**< the end of that message */
  const char *user;                     /**< name or number of the user to become; NULL = stay */
  bool user_only;                       /**< no more than user and capabilities */
  uint64_t capabilities;                /**< set of ADIT_SANDBOX_CAPABILITY: those of them that it has stay */
  unsigned calls;                       /**< set of enum adit_sandbox_calls */
  const struct adit_sandbox_path *path; /**< what can be opened; nothing else can */
  size_t paths;
  long child; /**< with ADIT_SANDBOX_CHILD: the one process that may be signalled */
  /** Told, in readable text, what this system or this build lacks. May be NULL. */
  void (*notice)(void *user, const char *text);
  void *notice_user; /**< for `notice` */
};

/** Room for the reason of a failure. */
#define ADIT_SANDBOX_REASON 384

/**
 * Give up all that the plan does not name. For good, and for the calling thread and those that it makes: call it before
 * there are others. A forbidden system call then ends the process by SIGSYS, after a line on standard error that names
 * it; that signal must not be blocked. A mechanism that the system or the build does not have is left out, with a notice.
 *
 * Returns 0; or a negative errno with a sentence in `reason` (ADIT_SANDBOX_REASON bytes), and the process is then to end:
 * part of it may be given up.
 */
int adit_sandbox_enter(const struct adit_sandbox_plan *plan, char *reason);

/** No core file of this process, and nobody but root looks into its memory, from now on. */
void adit_sandbox_hide_memory(void);

/** Whether sockets may be marked (SO_MARK) with CAP_NET_RAW alone: Linux 5.17 and later. */
bool adit_sandbox_raw_marks(void);

#endif
