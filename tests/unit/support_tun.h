/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * For tests that need real devices: a network namespace of their own, addresses, kernel sockets, bounded waiting.
 *
 * Whatever goes wrong in here itself ends the test program with a message.
 */
#ifndef ADIT_TESTS_SUPPORT_TUN_H
#define ADIT_TESTS_SUPPORT_TUN_H

#include <adit/device.h>
#include <sys/socket.h>

/** Exit status of a test program that could not run here (SKIP_RETURN_CODE of ctest). */
#define SUPPORT_SKIPPED 77

/** The networks that support_tun_up puts on a device: the kernel's addresses, and one of a peer that is us. */
#define SUPPORT_KERNEL4 "10.9.0.1"
#define SUPPORT_PEER4 "10.9.0.2"
#define SUPPORT_KERNEL6 "fd09::1"
#define SUPPORT_PEER6 "fd09::2"

/**
 * Move this process into a new, empty network namespace and see whether TUN devices can be made there.
 * Returns 0, or SUPPORT_SKIPPED after saying on standard error what is missing.
 */
int support_tun_namespace(const char *program);

/** An fd of /dev/net/tun; with a name tied to that device with exactly these IFF_* flags. */
int support_tun_raw(const char *name, unsigned flags);

/** Bring a device up with SUPPORT_KERNEL4/24 and SUPPORT_KERNEL6/64. */
void support_tun_up(const char *name);

/** Take a device down. */
void support_tun_down(const char *name);

/** Remove a device, as "ip link delete" does. */
void support_tun_delete(const char *name);

/** Number of network devices of the namespace, the loopback device included. */
unsigned support_tun_count(void);

/** Route 10.77.0.0/16 to the device. */
void support_tun_route(const char *name);

/** Whether the kernel knows a way to `address` (IPv4). */
bool support_tun_reaches(const char *address);

/** Whether the kernel is at least of this version. */
bool support_kernel_at_least(unsigned major, unsigned minor);

/** A kernel socket bound to SUPPORT_KERNEL4 or SUPPORT_KERNEL6, whose calls give up after two seconds. */
int support_kernel_socket(int family, int type, uint16_t port);

/** Connect a kernel socket to the peer. Non-blocking for TCP: the handshake is still to be done. */
void support_kernel_connect(int fd, int family, uint16_t port);

/** Whether a packet is the one waited for. */
typedef bool support_match_fn(const struct adit_buffer *buffer, void *user);

/**
 * Read until a packet matches, others are dropped (the kernel speaks neighbour discovery by itself).
 * Returns the buffer, which the caller owns; a failing check when none came within two seconds.
 */
struct adit_buffer *support_tun_await(struct adit_device *device, struct adit_pool *pool, support_match_fn *match,
                                      void *user);

/** Matches TCP or UDP (`*user` is a uint8_t with the protocol) over IPv4, or over IPv6 without extension headers. */
support_match_fn support_match_protocol;

/** Run `body` in a child process, with memory both see. Returns its exit status, or 128 + the signal it died of. */
int support_tun_child(int (*body)(void *shared), void *shared);

/** Zeroed memory that children share with their parent; stays for the life of the program. */
void *support_tun_shared(size_t size);

#endif
