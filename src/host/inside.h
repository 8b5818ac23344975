/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The first process of a namespace: furnishes it, runs the command, tells what becomes of it.
 *
 * Private to src/host: namespace.c is outside, inside.c is that process.
 */
#ifndef ADIT_HOST_INSIDE_H
#define ADIT_HOST_INSIDE_H

#include "host/namespace.h"

#include <stdnoreturn.h>

/** What the two say to each other, over a seqpacket socket. */
enum adit_inside_kind {
  ADIT_INSIDE_QUEUE,   /**< to the outside, with an fd: a queue of the device */
  ADIT_INSIDE_READY,   /**< to the outside: all is set up */
  ADIT_INSIDE_REFUSED, /**< to the outside: it cannot be set up; `value` is a negative errno, `text` says why */
  ADIT_INSIDE_FAILED,  /**< to the outside: exec failed with errno -`value` */
  ADIT_INSIDE_STOPPED, /**< to the outside: by signal `value` */
  ADIT_INSIDE_ENDED,   /**< to the outside: the exit status is `value` */
  ADIT_INSIDE_START,   /**< to the inside: run the command */
  ADIT_INSIDE_SIGNAL   /**< to the inside: send the command signal `value` */
};

struct adit_inside_message {
  enum adit_inside_kind kind;
  int value;
  char text[ADIT_NAMESPACE_REASON];
};

/** Who the command is to be. */
struct adit_inside_user {
  bool mapped; /**< there is a new user namespace, in which these have to be made known */
  uid_t uid;
  gid_t gid;
};

/** Be that process. `control` is the socket. */
noreturn void adit_inside_run(const struct adit_namespace_options *options, const struct adit_inside_user *user,
                              int control);

#endif
