/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A whole tunnel in one object: device, workers, relay and upstream. For programs that want tun2socks inside.
 *
 * Process-wide state is never touched: no signals, limits, working directory or standard streams. Several tunnels may
 * run in one process, and each may be started and stopped any number of times.
 */
#ifndef ADIT_TUNNEL_H
#define ADIT_TUNNEL_H

#include <adit/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct adit_tunnel;

/** How much a message matters, most first. */
enum adit_tunnel_level {
  ADIT_TUNNEL_ERROR,   /**< something ended because of it */
  ADIT_TUNNEL_WARNING, /**< something was lost; work goes on */
  ADIT_TUNNEL_NOTICE,  /**< worth knowing once */
  ADIT_TUNNEL_DEBUG    /**< for whoever looks for a fault */
};

/**
 * How to make a tunnel. Set `size`, `upstream` and either `fds` or nothing; zero elsewhere is the default. Everything
 * is borrowed until the start has returned.
 */
struct adit_tunnel_options {
  size_t size;          /**< sizeof(struct adit_tunnel_options) */
  const char *upstream; /**< direct://, reject://, socks5://[user:password@]host[:port], http://[...]host[:port] */

  /* The device: fds that somebody opened, or a TUN of our own. Addresses, routes and MTU are the caller's affair. */
  const int *fds;     /**< `queues` TUN fds, one a worker (Android, iOS, a parent process); they become non-blocking */
  bool own_fds;       /**< they are closed with the tunnel, and also when the start fails (but for a wrong `size`) */
  unsigned queues;    /**< number of `fds`, or of queues to open and workers to run; 0 = 1 */
  const char *device; /**< without `fds`: name of the TUN to open; NULL = "adit%d" */
  uint32_t mtu;       /**< of the device; 0 = 1500 */
  bool no_offload;    /**< without `fds`: one packet of at most the MTU at a time */
  /**
   * Read and write several packets with one system call where that is faster (adit_device_gather, io_uring). Not by
   * itself, because it is the process' affair: Android, for one, ends a process that makes a ring.
   */
  bool io_uring;

  /* What is relayed, and how. Texts as the options of `adit proxy` of the same names; NULL = their defaults. */
  const char *udp;         /**< "on", "off"; NULL = "on" */
  const char *dns;         /**< "off", "fake", "forward:ADDRESS[:PORT]"; NULL = "off" */
  const char *dns_cache;   /**< file for "fake", in which names survive a restart */
  const char *icmp;        /**< "default", "reply", "relay" (direct:// only), "off"; NULL = "default" */
  const char *interface;   /**< every socket that goes out is bound to it */
  uint32_t mark;           /**< SO_MARK of every socket that goes out */
  const adit_cidr *answer; /**< what is relayed; NULL = everything */
  size_t answers;          /**< number of networks in `answer` */
  uint32_t connect_ms;     /**< bound on connecting; 0 = 10 s */
  uint32_t idle_ms;        /**< bound on silence of a connection; 0 = 2 h 4 min; UINT32_MAX = none */
  uint32_t max_flows;      /**< bound on connections of one worker; 0 = 65536 */
  size_t memory_bytes;     /**< bound on memory of one worker; 0 = 256 MiB */

  /*
   * Callbacks. Any may be NULL. They run in the tunnel's threads, in which all signals are blocked, and of the
   * functions below may call adit_tunnel_stop, _fd, _device and _stats only. `log` may also run inside start and free,
   * and `stopped` inside the start when all has ended by then.
   */
  /** For every socket that goes out, before it is used (VpnService.protect); a negative errno refuses it. */
  int (*protect)(void *user, int fd);
  /** One message without newline, borrowed. `flow` is a connection's number, or 0. Several calls may run at once. */
  void (*log)(void *user, enum adit_tunnel_level level, uint64_t flow, const char *text);
  enum adit_tunnel_level log_level; /**< messages that matter less are not made; 0 = errors only */
  /** Packets are read from now on. Once, or never when it ended before. */
  void (*ready)(void *user);
  /** The last worker has ended: 0 as it was asked to, or why (-EIO and the like: the device is gone). Once, at last. */
  void (*stopped)(void *user, int error);
  void *user; /**< for the callbacks */
};

/** Room for the reason of a failed start. */
#define ADIT_TUNNEL_REASON 512

/**
 * Make a tunnel and start it. Blocks while the upstream's host name is resolved, by the system and not through
 * `protect`: where the device captures that already, give the upstream's address. `*tunnel` is written before the
 * tunnel has threads. Returns 0 and `*tunnel`, owned by the caller; or a negative errno with a sentence in `reason`
 * (ADIT_TUNNEL_REASON bytes, may be NULL) that says what, why and what to do; nothing is left then, `ready` and
 * `stopped` were not called, and no callback follows.
 */
int adit_tunnel_start(const struct adit_tunnel_options *options, struct adit_tunnel **tunnel, char *reason);

/**
 * Relay by other options from now on: upstream (its host is looked up anew, which may block as in the start), udp, dns,
 * icmp, interface, mark, connect_ms, idle_ms, max_flows and log_level, all as adit_tunnel_start reads them, so give
 * those again that are to stay. What begins now goes by them. What is there goes on: a connection or UDP session over
 * the upstream that it has, with its time-outs; names of dns "fake" keep their addresses; but where questions are no
 * longer answered here, clients that ask over TCP are closed after their last answer. A host that is the same and
 * cannot be found now keeps its address, and the log says so.
 *
 * The rest (device, fds, queues, mtu, no_offload, io_uring, answer, memory_bytes, the callbacks and their user;
 * dns_cache once dns was "fake") cannot change: zero, or as it was; anything else is refused with -EBUSY. `own_fds`
 * gives nothing away.
 *
 * The options are borrowed until the return. From any threads that are not the tunnel's. Returns 0; or a negative errno
 * with a sentence in `reason` as adit_tunnel_start, -ESHUTDOWN when the tunnel has ended: then nothing has changed.
 */
int adit_tunnel_reload(struct adit_tunnel *tunnel, const struct adit_tunnel_options *options, char *reason);

/** Ask it to stop. From any thread, callbacks included. Does not wait. */
void adit_tunnel_stop(struct adit_tunnel *tunnel);

/** Wait until it has ended. Returns as `stopped` tells. From any threads that are not the tunnel's. */
int adit_tunnel_wait(struct adit_tunnel *tunnel);

/** An fd that becomes readable when it has ended, for whoever waits in a loop of their own. Borrowed. */
int adit_tunnel_fd(const struct adit_tunnel *tunnel);

/** Stop, wait and free. NULL is allowed. Not from a callback. */
void adit_tunnel_free(struct adit_tunnel *tunnel);

/** The device's name as the kernel knows it; "fd" for a socket. Borrowed. */
const char *adit_tunnel_device(const struct adit_tunnel *tunnel);

/** Counters since the start, summed over all workers. */
struct adit_tunnel_stats {
  size_t size;              /**< sizeof(struct adit_tunnel_stats), set by the caller */
  uint64_t packets_in;      /**< read from the device */
  uint64_t packets_out;     /**< written to it */
  uint64_t bytes_in;        /**< of these packets */
  uint64_t bytes_out;       /**< of these packets */
  uint64_t packets_dropped; /**< read and not understood, or not wanted */
  uint64_t flows_open;      /**< connections now, those included that the far end has not answered yet */
  uint64_t flows_relayed;   /**< connections that the far end answered */
  uint64_t flows_failed;    /**< connections that it did not */
  uint64_t flows_limited;   /**< refused because of `max_flows`; for lack of memory: in `packets_dropped` */
  uint64_t udp_sessions;    /**< begun */
  uint64_t dns_questions;   /**< answered here (forward, fake) */
  uint64_t payload_up;      /**< bytes from clients to the outside */
  uint64_t payload_down;    /**< bytes from the outside to clients */
};

/** Fill `stats`. From any thread, also after the end. Returns 0, or -EINVAL for a size that is not known. */
int adit_tunnel_stats(const struct adit_tunnel *tunnel, struct adit_tunnel_stats *stats);

/** One relayed connection. */
struct adit_tunnel_flow {
  uint64_t id;          /**< as in messages; unique within its worker */
  unsigned worker;      /**< from 0 */
  adit_endpoint client; /**< who connected */
  adit_endpoint target; /**< to whom */
  const char *name;     /**< the target's name where it is known (dns "fake"), or NULL; borrowed */
  bool connected;       /**< the far end has answered */
  uint64_t bytes_up;    /**< so far */
  uint64_t bytes_down;  /**< so far */
  uint64_t age_ms;      /**< since the SYN */
};

/**
 * Tell every connection to `each`, in the calling thread, from a copy that each worker makes.
 * Returns 0; or -ESHUTDOWN when the tunnel has ended, -ENOMEM, and then nobody is called. From any thread that is not
 * the tunnel's.
 */
int adit_tunnel_flows(struct adit_tunnel *tunnel, void (*each)(void *user, const struct adit_tunnel_flow *flow),
                      void *user);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
