/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A command in namespaces of its own, whose only network device is a TUN that the caller holds.
 */
#ifndef ADIT_HOST_NAMESPACE_H
#define ADIT_HOST_NAMESPACE_H

#include <adit/address.h>
#include <adit/device.h>
#include <signal.h>
#include <sys/resource.h>

/** Room for an explanation. */
#define ADIT_NAMESPACE_REASON 512

/** What is in the namespaces. Everything is borrowed until the return. */
struct adit_namespace_options {
  struct adit_device_options device; /**< how to make the device, inside; `notice` is called in another process */
  uint32_t mtu;                      /**< of the device; 0 = as the kernel has it */
  const adit_cidr *address;          /**< of the device; the default routes of their families lead into it */
  size_t addresses;                  /**< their number */
  bool optional_ipv6;                /**< IPv6 addresses are left out where the kernel has no IPv6 */
  const char *resolv_conf;           /**< what stands in /etc/resolv.conf; NULL = as outside */
  char *const *command;              /**< name and arguments, ends with NULL */
  sigset_t mask;                     /**< signals that the command begins with blocked */
  struct rlimit files;               /**< its RLIMIT_NOFILE */
};

struct adit_namespace;

/** What happened inside. */
enum adit_namespace_event {
  ADIT_NAMESPACE_NOTHING, /**< nothing yet */
  ADIT_NAMESPACE_FAILED,  /**< the command could not be started; `detail` is a negative errno */
  ADIT_NAMESPACE_STOPPED, /**< the command was stopped; `detail` is the signal */
  ADIT_NAMESPACE_ENDED    /**< the last one: the command has ended, all others inside are killed; `detail` is its exit
                               status as a shell has it, 128 + n after signal n */
};

/**
 * Make the namespaces: network, mount, process, and, where the caller is not allowed otherwise, user, in which the
 * caller's user and group keep their numbers. The command waits for adit_namespace_start. Call it while the process has
 * one thread; that thread must live as long as the namespace, because the kernel kills all inside when it ends.
 *
 * Returns 0 and `*space`, owned by the caller; or a negative errno with a sentence in `reason` (ADIT_NAMESPACE_REASON
 * bytes) that says what to do.
 */
int adit_namespace_new(const struct adit_namespace_options *options, struct adit_namespace **space, char *reason);

/**
 * The fd of one queue of the device, 0 .. queues - 1 of the options, for adit_device_attach. Once for each: it is then
 * the caller's. Those not taken are closed with the namespace.
 */
int adit_namespace_take(struct adit_namespace *space, unsigned queue);

/** Let the command begin. Returns 0 or a negative errno. */
int adit_namespace_start(struct adit_namespace *space);

/** An fd that is readable when adit_namespace_next has something to tell. Borrowed. */
int adit_namespace_fd(const struct adit_namespace *space);

/** The first process of the namespace, which adit_namespace_free signals; 0 when it has ended. */
long adit_namespace_pid(const struct adit_namespace *space);

/** The next thing that happened. Does not wait. */
enum adit_namespace_event adit_namespace_next(struct adit_namespace *space, int *detail);

/** Send a signal to the command. */
void adit_namespace_signal(struct adit_namespace *space, int signal);

/** Kill what is left inside and free it. NULL is allowed. */
void adit_namespace_free(struct adit_namespace *space);

#endif
