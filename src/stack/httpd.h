/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * HTTP inside the stack: lwIP's httpd, with content that others give.
 */
#ifndef ADIT_STACK_HTTPD_H
#define ADIT_STACK_HTTPD_H

#include <adit/stack.h>

/** One answer. */
struct adit_httpd_file {
  int status;       /**< 200, 400, 404, ... */
  const char *type; /**< media type; static */
  uint64_t length;  /**< bytes of the body */
  /** Put at most `length` bytes of the body, from `offset` on, into `buffer`. Returns how many; 0 ends it early. */
  size_t (*read)(void *handle, uint64_t offset, void *buffer, size_t length);
  void (*close)(void *handle); /**< the answer was sent or the client is gone; may be NULL */
  void *handle;                /**< for both */
};

/** Where answers come from. */
struct adit_httpd_content {
  /**
   * What is there at `path` (without query) for `remote`, who asked `local`? Runs inside adit_stack_input, and may not act
   * on flows. Returns 0 and `*file`, for a path that is nothing the page that says so; or a negative errno, which becomes
   * a closed connection.
   */
  int (*open)(void *user, const char *path, adit_endpoint local, adit_endpoint remote, struct adit_httpd_file *file);
};

/** Start httpd in a stack, once. `content` is borrowed and must outlive the stack. Returns 0, -EALREADY, -ENOMEM. */
int adit_httpd_start(struct adit_stack *stack, const struct adit_httpd_content *content, void *user);

/**
 * Accept a parked flow and give it to httpd, whatever its port. The handle is invalid afterwards.
 * Returns as adit_flow_accept, or -EINVAL when httpd was not started.
 */
int adit_httpd_accept(struct adit_flow *flow);

#endif
