/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is asked through a control socket: one JSON object a line, see adit-control(7).
 */
#ifndef ADIT_CLI_CONTROL_REQUEST_H
#define ADIT_CLI_CONTROL_REQUEST_H

#include <stddef.h>

/** Version of the protocol. It changes when what is there means something else, not when something is added. */
#define ADIT_CONTROL_VERSION 1

/** Longest request, newline included. */
#define ADIT_CONTROL_LINE 4096

/** Connections that an answer tells when nothing else is said, and at most. */
#define ADIT_CONTROL_FLOWS 1000
#define ADIT_CONTROL_FLOWS_MAX 10000

/** The requests. */
enum adit_control_kind {
  ADIT_CONTROL_STAT,      /**< all counters */
  ADIT_CONTROL_FLOW_LIST, /**< connections, those first that have carried most */
  ADIT_CONTROL_RELOAD,    /**< as SIGHUP */
  ADIT_CONTROL_STOP,      /**< as SIGTERM */
  ADIT_CONTROL_KINDS
};

/** A request that was understood. */
struct adit_control_request {
  enum adit_control_kind kind;
  size_t limit; /**< ADIT_CONTROL_FLOW_LIST: so many at most */
};

/**
 * Read one line, without its newline; any bytes may be in it, and `line[length]` is a zero. Returns 0 and `*request`, or -EINVAL with what is wrong in
 * `reason` (`size` bytes), which quotes nothing of the line.
 */
int adit_control_request_parse(const char *line, size_t length, struct adit_control_request *request, char *reason,
                               size_t size);

/** How a request is called. Static. */
const char *adit_control_kind_name(enum adit_control_kind kind);

/**
 * The answer that says no: {"version":1,"ok":false,"error":reason}, without newline. Owned by the caller (free); NULL
 * without memory.
 */
char *adit_control_refusal(const char *reason);

#endif
