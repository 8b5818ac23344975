/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A conversation with the kernel's network configuration (rtnetlink): one request, its answers, its outcome.
 *
 * Private to src/host. A request is written into the socket's own buffer and sent by adit_netlink_talk, which reads until
 * the acknowledgement with the same sequence number. The socket belongs to one thread at a time and to the network
 * namespace in which it was opened.
 */
#ifndef ADIT_HOST_NETLINK_H
#define ADIT_HOST_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/** Room for one request; and for answers: the kernel fills dumps in pieces of at most 32 KiB (af_netlink.c). */
enum { ADIT_NETLINK_REQUEST = 1024, ADIT_NETLINK_ANSWER = 32768 };

/** A socket. Zero it or leave it as it is, then adit_netlink_open. */
struct adit_netlink {
  struct mnl_socket *mnl; /**< owned */
  unsigned sequence;      /**< of the last request */
  unsigned port;          /**< the kernel's name for this socket */
  char reason[256];       /**< of the last error */
  union {
    struct nlmsghdr align; /**< the request that is being written */
    char bytes[ADIT_NETLINK_REQUEST];
  } request;
  union {
    struct nlmsghdr align;
    char bytes[ADIT_NETLINK_ANSWER];
  } answer;
};

/** Called for each message of an answer that is not an acknowledgement; it is borrowed, the socket must not be used. */
typedef void adit_netlink_answer_fn(void *user, const struct nlmsghdr *message);

/** Open it. Returns 0 or a negative errno; then there is nothing to close. */
int adit_netlink_open(struct adit_netlink *netlink);

/** Close it. What was set stays. */
void adit_netlink_close(struct adit_netlink *netlink);

/** Why the last request failed: the kernel's own words where it gave some. Borrowed until the next call. */
const char *adit_netlink_reason(const struct adit_netlink *netlink);

/** Note why something failed; `words` NULL means the text of the errno. Returns `error`. */
int adit_netlink_fail(struct adit_netlink *netlink, int error, const char *words);

/**
 * Begin a request of this type with these NLM_F_ flags; its attributes go to `&netlink->request.align`.
 * Returns the header of its family, `header` bytes of zero.
 */
void *adit_netlink_request(struct adit_netlink *netlink, uint16_t type, uint16_t flags, size_t header);

/** Begin a request that says what `message` of an answer said, with another type: to delete what was listed. */
int adit_netlink_repeat(struct adit_netlink *netlink, const struct nlmsghdr *message, uint16_t type);

/** Send it; give each message of the answer to `answer`, which may be NULL. Returns 0 or a negative errno. */
int adit_netlink_talk(struct adit_netlink *netlink, adit_netlink_answer_fn *answer, void *user);

#endif
