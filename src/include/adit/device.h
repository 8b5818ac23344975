/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Where packets come from and go to: TUN and TAP, a given fd, a pcap file, an in-memory pair.
 *
 * A device is one queue. It never blocks. All functions but adit_device_close may be called by one thread at a time,
 * the one that owns the device.
 */
#ifndef ADIT_DEVICE_H
#define ADIT_DEVICE_H

#include <adit/packet.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct adit_device;

/** What kind of frames a device carries. */
enum adit_link {
  ADIT_LINK_IP,      /**< bare IP packets (TUN) */
  ADIT_LINK_ETHERNET /**< Ethernet frames (TAP) */
};

/** Longest device name, terminating zero included (IFNAMSIZ, linux/if.h). */
#define ADIT_DEVICE_NAME 16

/** How to open a TUN or TAP device. Set `size`; zero elsewhere is the default. */
struct adit_device_options {
  size_t size;         /**< sizeof(struct adit_device_options) */
  const char *name;    /**< 1..15 bytes, may hold one "%d" for the kernel to number; NULL = "adit%d" */
  enum adit_link link; /**< TUN or TAP */
  unsigned queues;     /**< number of devices to open, 1..256 (IFF_MULTI_QUEUE when above 1); 0 = 1 */
  bool no_offload;     /**< do not ask for the vnet header: one packet of at most the MTU at a time */
  /**
   * Called at most once while opening, with one readable line without newline, when the kernel grants less than was
   * asked ("kernel without USO: ..."). May be NULL.
   */
  void (*notice)(void *user, const char *text);
  void *user; /**< for `notice` */
};

/**
 * Open a TUN or TAP device (linux/if_tun.h, Documentation/networking/tuntap.rst) with all of its queues, non-blocking
 * and close-on-exec. The device vanishes, with its addresses and routes, when the last queue closes. A persistent
 * device ("ip tuntap add") of the same type and queue mode that nobody uses is taken over, and stays.
 *
 * `devices` has room for `options->queues` handles; each is owned by the caller.
 * Returns 0, or: -EINVAL (options, or a name that the kernel does not allow), -ENAMETOOLONG, -ENOENT (no /dev/net/tun),
 * -ENODEV (no driver behind it), -EPERM / -EACCES (no CAP_NET_ADMIN / no access to /dev/net/tun), -EBUSY (in use by
 * another program, or exists with another type or queue mode), -EMFILE, -ENOMEM. After a failure nothing is left open.
 */
int adit_device_open(const struct adit_device_options *options, struct adit_device **devices);

/**
 * Use a TUN or TAP fd that somebody else opened (a VPN service, a parent process). Asks the kernel (TUNGETIFF) for its
 * type and whether packets carry a vnet header, and which length that has; packet information (no IFF_NO_PI) is
 * recognised on TUN, a TAP fd must come without. An fd that cannot be asked (a datagram or seqpacket socket, a
 * character device of another system) is taken as bare IP packets without header. The fd becomes non-blocking.
 *
 * With `own` the device closes the fd when it is closed, and may ask the kernel for large packets where there is a vnet
 * header (TUNSETOFFLOAD). Otherwise the fd stays the caller's and must live longer, and which packets it receives stays
 * as it was set.
 * Returns 0 and `*device`, or -EBADF, -ENOMEM, or -EINVAL: not open for reading and writing, no packet boundaries (a
 * file, a pipe, a stream socket), /dev/net/tun without a device, a vnet header longer than 60 bytes or in foreign byte
 * order. On failure the fd stays the caller's, whatever `own` says.
 */
int adit_device_attach(int fd, bool own, struct adit_device **device);

/**
 * Two devices back to back: what one writes the other reads, offload notes included. At most `depth` packets wait in
 * each direction; writing to a full one returns -EAGAIN. Both ends belong to one thread. Each is closed on its own;
 * after that reads of the other return -EPIPE once its queue is empty, and writes -EPIPE at once.
 * Returns 0 and both ends, owned by the caller, or -EINVAL, -ENOMEM.
 */
int adit_device_pair(enum adit_link link, size_t depth, struct adit_device *ends[2]);

/**
 * A capture as a device: reads deliver the packets of `in` in order (link types raw IP, Ethernet, Linux cooked v1/v2,
 * BSD loopback; all but Ethernet come out as bare IP), writes append to `out`, which is made anew as raw IP, or
 * Ethernet if `in` is. Either may be NULL: nothing to read, or writes are forgotten. Time stamps of writes are set by
 * adit_device_pcap_time. pcap and pcapng are read, pcap with nanoseconds is written.
 * Returns 0 and `*device`, or a negative errno with a readable reason in `reason` (at least 256 bytes, may be NULL):
 * -ENOENT, -EACCES, -EINVAL (not a capture, or `in` and `out` are one file), -EPROTONOSUPPORT (link type), -ENOSPC,
 * -ENOMEM, -ENOSYS (built without libpcap).
 */
int adit_device_pcap(const char *in, const char *out, struct adit_device **device, char *reason);

/** Time stamp of the packet that the last read of a pcap device delivered, nanoseconds since the epoch; 0 before it. */
uint64_t adit_device_pcap_stamp(const struct adit_device *device);

/** Time stamp that the next writes of a pcap device get, nanoseconds since the epoch. */
void adit_device_pcap_time(struct adit_device *device, uint64_t stamp_ns);

/** When several packets are read, or written, with one system call. */
enum adit_gather {
  ADIT_GATHER_IF_FASTER, /**< where that costs clearly less than one call each, which is measured */
  ADIT_GATHER_ALWAYS,
  ADIT_GATHER_NEVER
};

/**
 * Let the device read several packets with one system call (io_uring(7)) when several are expected
 * (adit_device_expect), and write small ones together (adit_device_flush). TUN, TAP and attached fds can, on Linux 6.4
 * and later; sockets only read so. With a TUN and small packets that is the larger part of what they cost on machines
 * on which system calls are dear; docs/PERFORMANCE.md has figures. To be called once, before the device is in use, and
 * before a filter of system calls that forbids io_uring_setup; io_uring_enter is what it takes later.
 * Returns 1 when it does from now on; 0 when it does not, because `when` says never or because it is not faster here;
 * or -EOPNOTSUPP (this kind of device or kernel cannot), -ENOSYS (built without liburing, or Linux before 5.10), -EPERM
 * (forbidden: by what contains the process, or by the sysctl kernel.io_uring_disabled), -ENOMEM, or another negative
 * errno. Without it nothing but speed is lost.
 */
int adit_device_gather(struct adit_device *device, enum adit_gather when);

/**
 * A burst of reads begins, and that many packets are likely to wait. A hint: with adit_device_gather the next read may
 * take up to as many from the kernel, and those after it hand them out. So read on until there were as many, or
 * -EAGAIN, before waiting for the fd: it knows nothing of packets that were taken from it. Without it every read asks
 * the kernel.
 */
void adit_device_expect(struct adit_device *device, unsigned packets);

/**
 * Read one packet into a fresh buffer of `pool`.
 * Returns 1 and `*buffer`, which the caller owns; 0 at the end (a capture; a seqpacket socket whose other side is
 * gone); -EAGAIN when nothing waits; -ENOBUFS when the pool has none to give, the packet then stays where it is;
 * -EBADMSG for a packet that had to be dropped (vnet header impossible, longer than the buffer, a record of a capture
 * that was not stored whole or holds no IP packet): read on; -ENODATA once when a capture ends in the middle of a
 * record or cannot be read on, 0 after that; or what the kernel said, such as -EBADFD (device gone).
 */
int adit_device_read(struct adit_device *device, struct adit_pool *pool, struct adit_buffer **buffer);

/**
 * Write one packet. Offload notes that this device cannot pass on are a caller's mistake: -EOPNOTSUPP
 * (see adit_device_offload); a partial checksum is finished here where the device has no vnet header.
 * Returns 0, -EAGAIN when the kernel's queue is full, -EINVAL for notes that do not fit the packet, for no bytes, too
 * many pieces or a wrong `length`, and for what the kernel does not take as a packet, -EIO when the device is down,
 * -EBADFD when it is gone, -EMSGSIZE above ADIT_PACKET_MAX (with ADIT_OFFLOAD_BIG_TCP: ADIT_PACKET_BIG), or another
 * negative errno. The packet is borrowed until the return. With adit_device_gather a small packet may wait for
 * adit_device_flush, and 0 does not say yet that the kernel took it.
 */
int adit_device_write(struct adit_device *device, const struct adit_packet *packet);

/**
 * Write the packets that adit_device_write has kept, which only a device with adit_device_gather does: small ones,
 * copied, until there are several of them or a large one follows. So call it before waiting for anything.
 * Returns how many packets were not written since the last time, and in `*error` why the last of them was not: what
 * adit_device_write would have said. 0 and 0 with every other device.
 */
unsigned adit_device_flush(struct adit_device *device, int *error);

/** The fd to wait on for reading, or -1 (pcap, pair). Borrowed. */
int adit_device_fd(const struct adit_device *device);

/** The name the kernel gave it, or "pair", "pcap", "fd". Borrowed, lives as long as the device. */
const char *adit_device_name(const struct adit_device *device);

enum adit_link adit_device_link(const struct adit_device *device);

/** What writes may ask for, as a set of enum adit_offload_bits. */
uint32_t adit_device_offload(const struct adit_device *device);

/** Offer these bits of enum adit_offload_bits no more. To be called before the device is in use. */
void adit_device_forgo(struct adit_device *device, uint32_t bits);

/** Hardware address of a TAP device, six bytes; all zero for others. Borrowed. */
const uint8_t *adit_device_mac(const struct adit_device *device);

/** Packets dropped by reads, that is, how many of them returned -EBADMSG, since it was opened. */
uint64_t adit_device_dropped(const struct adit_device *device);

/** Close and free. NULL is allowed. */
void adit_device_close(struct adit_device *device);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
