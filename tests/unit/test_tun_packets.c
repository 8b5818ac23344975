/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Packets between real devices and the kernel's own sockets, with and without offloads.
 *
 * Needs root; runs in a network namespace of its own. The test is the peer 10.9.0.2 / fd09::2 of the kernel.
 */
#include <adit/device.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/vnet.h"
#include "support_packet.h"
#include "support_tun.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { KERNEL_PORT = 4000, PEER_PORT = 4001 };

static const int families[] = {AF_INET, AF_INET6};

/* A device that is up, and what is needed to talk through it. */
struct line {
  struct adit_device *device;
  struct adit_pool *pool;
  uint8_t bytes[SUPPORT_PACKET_MAX];
};

static struct line line;

static void line_open(enum adit_link link, bool no_offload) {
  struct adit_device_options options = {.size = sizeof options, .name = "line", .link = link, .no_offload = no_offload};
  assert_int_equal(adit_device_open(&options, &line.device), 0);
  assert_int_equal(adit_pool_new(4, &line.pool), 0);
  support_tun_up("line");
}

static int line_close(void **state) {
  (void)state;
  adit_device_close(line.device);
  size_t held = line.pool != NULL ? adit_pool_in_use(line.pool) : 0;
  adit_pool_free(line.pool);
  line.device = NULL;
  line.pool = NULL;
  if (held != 0) fprintf(stderr, "%zu buffers are still held\n", held);
  return held == 0 && if_nametoindex("line") == 0 ? 0 : -1;
}

static struct adit_buffer *await_protocol(uint8_t protocol) {
  return support_tun_await(line.device, line.pool, support_match_protocol, &protocol);
}

static size_t ip_header(int family) {
  return family == AF_INET ? 20 : 40;
}

/* Write `length` bytes of line.bytes as one piece with these notes. */
static int put(size_t length, struct adit_offload offload) {
  struct iovec iov = {line.bytes, length};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = length, .offload = offload};
  return adit_device_write(line.device, &packet);
}

static size_t build_udp(int family, const void *payload, size_t length) {
  return family == AF_INET
             ? support_udp4(line.bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, PEER_PORT, KERNEL_PORT, payload, length)
             : support_udp6(line.bytes, SUPPORT_PEER6, SUPPORT_KERNEL6, PEER_PORT, KERNEL_PORT, payload, length);
}

/* ---- UDP from the kernel ---- */

static void test_kernel_sends_datagram(void **state) {
  (void)state;
  for (int no_offload = 0; no_offload <= 1; no_offload++) {
    line_open(ADIT_LINK_IP, no_offload != 0);
    for (size_t i = 0; i < 2; i++) {
      size_t ip = ip_header(families[i]);
      int fd = support_kernel_socket(families[i], SOCK_DGRAM, KERNEL_PORT);
      support_kernel_connect(fd, families[i], PEER_PORT);
      assert_int_equal(send(fd, "from the kernel", 15, 0), 15);
      struct adit_buffer *buffer = await_protocol(IPPROTO_UDP);
      assert_int_equal(buffer->length, ip + 8 + 15);
      assert_int_equal((uintptr_t)buffer->data % 4, 0);
      assert_memory_equal(buffer->data + ip + 8, "from the kernel", 15);
      assert_int_equal(buffer->offload.gso, ADIT_GSO_NONE);
      if (no_offload) {
        assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_NONE);
        assert_true(support_sealed(buffer->data, buffer->length));
      } else {
        assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_PARTIAL);
        assert_int_equal(buffer->offload.checksum_start, ip);
        assert_int_equal(buffer->offload.checksum_offset, 6);
        assert_false(support_sealed(buffer->data, buffer->length));
        support_seal(buffer->data, buffer->length);
      }
      adit_buffer_unref(buffer);
      close(fd);
    }
    assert_int_equal(adit_device_dropped(line.device), 0);
    assert_int_equal(line_close(NULL), 0);
  }
}

/* Ten datagrams of 1000 bytes in one send. */
static void kernel_sends_burst(int fd) {
  uint8_t payload[10000];
  support_pattern(payload, sizeof payload);
  int size = 1000;
  assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size), 0);
  assert_int_equal(send(fd, payload, sizeof payload, 0), sizeof payload);
}

static void test_kernel_sends_datagrams_at_once(void **state) {
  (void)state;
  bool uso = support_kernel_at_least(6, 2);
  uint8_t payload[10000];
  support_pattern(payload, sizeof payload);
  for (size_t i = 0; i < 2; i++) {
    line_open(ADIT_LINK_IP, false);
    size_t ip = ip_header(families[i]);
    int fd = support_kernel_socket(families[i], SOCK_DGRAM, KERNEL_PORT);
    support_kernel_connect(fd, families[i], PEER_PORT);
    kernel_sends_burst(fd);
    struct adit_buffer *buffer = await_protocol(IPPROTO_UDP);
    assert_int_equal(buffer->length, ip + 8 + (uso ? sizeof payload : 1000));
    assert_int_equal(buffer->offload.gso, uso ? ADIT_GSO_UDP : ADIT_GSO_NONE);
    assert_int_equal(buffer->offload.gso_size, uso ? 1000 : 0);
    assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_PARTIAL);
    assert_memory_equal(buffer->data + ip + 8, payload, buffer->length - ip - 8);
    adit_buffer_unref(buffer);
    close(fd);
    assert_int_equal(line_close(NULL), 0);
  }
}

/* A persistent device whose last user took large packets, now somebody who does not even ask for the vnet header. */
static void test_offloads_of_the_last_user_are_undone(void **state) {
  (void)state;
  int maker = support_tun_raw("line", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
  unsigned long all = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | (support_kernel_at_least(6, 2) ? 0x60 : 0);
  assert_int_equal(ioctl(maker, TUNSETOFFLOAD, all), 0);
  assert_int_equal(ioctl(maker, TUNSETPERSIST, 1), 0);
  close(maker);
  line_open(ADIT_LINK_IP, true);
  int fd = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
  support_kernel_connect(fd, AF_INET, PEER_PORT);
  kernel_sends_burst(fd);
  struct adit_buffer *buffer = await_protocol(IPPROTO_UDP);
  assert_int_equal(buffer->length, 20 + 8 + 1000);
  assert_true(support_sealed(buffer->data, buffer->length));
  adit_buffer_unref(buffer);
  assert_int_equal(ioctl(adit_device_fd(line.device), TUNSETPERSIST, 0), 0);
  close(fd);
}

/* ---- UDP to the kernel ---- */

static void assert_receives(int fd, const void *payload, size_t length) {
  static uint8_t got[65536];
  ssize_t count = recv(fd, got, sizeof got, 0);
  if (count < 0) fail_msg("recv: %s, not %zu bytes", strerror(errno), length);
  assert_int_equal(count, length);
  assert_memory_equal(got, payload, length);
}

static void test_kernel_takes_datagram(void **state) {
  (void)state;
  uint8_t payload[1001];
  support_pattern(payload, sizeof payload);
  for (int no_offload = 0; no_offload <= 1; no_offload++) {
    line_open(ADIT_LINK_IP, no_offload != 0);
    for (size_t i = 0; i < 2; i++) {
      int fd = support_kernel_socket(families[i], SOCK_DGRAM, KERNEL_PORT);
      size_t length = build_udp(families[i], payload, sizeof payload);
      assert_int_equal(put(length, (struct adit_offload){0}), 0);
      assert_receives(fd, payload, sizeof payload);
      assert_int_equal(put(length, (struct adit_offload){.checksum = ADIT_CHECKSUM_VALID}), 0);
      assert_receives(fd, payload, sizeof payload);
      /* The kernel does verify: after a wrong checksum the next right one arrives. */
      line.bytes[length - 1] ^= 1;
      assert_int_equal(put(length, (struct adit_offload){0}), 0);
      line.bytes[length - 1] ^= 1;
      line.bytes[ip_header(families[i]) + 8] ^= 0xff;
      support_seal(line.bytes, length);
      payload[0] ^= 0xff;
      assert_int_equal(put(length, (struct adit_offload){0}), 0);
      assert_receives(fd, payload, sizeof payload);
      close(fd);
    }
    assert_int_equal(line_close(NULL), 0);
  }
}

/* Partial checksums: passed on with a vnet header, finished without, in pieces of any kind. */
static void test_partial_checksum(void **state) {
  (void)state;
  static const size_t pieces[] = {SUPPORT_PACKET_MAX, 1000, 28, 27, 26, 7, 1};
  uint8_t payload[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (int no_offload = 0; no_offload <= 1; no_offload++) {
    line_open(ADIT_LINK_IP, no_offload != 0);
    for (size_t i = 0; i < 2; i++) {
      int fd = support_kernel_socket(families[i], SOCK_DGRAM, KERNEL_PORT);
      for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
        size_t length = build_udp(families[i], payload, sizeof payload);
        support_seal_partial(line.bytes, length);
        uint8_t before[128];
        memcpy(before, line.bytes, length);
        struct iovec iov[ADIT_PACKET_PIECES] = {0};
        unsigned count = 0;
        for (size_t at = 0; at < length; at += iov[count++].iov_len) {
          size_t left = length - at;
          iov[count] = (struct iovec){line.bytes + at, left < pieces[j] ? left : pieces[j]};
        }
        struct adit_packet packet = {.iov = iov,
                                     .iovcnt = count,
                                     .length = length,
                                     .offload = {.checksum = ADIT_CHECKSUM_PARTIAL,
                                                 .checksum_start = (uint16_t)ip_header(families[i]),
                                                 .checksum_offset = 6}};
        assert_int_equal(adit_device_write(line.device, &packet), 0);
        assert_receives(fd, payload, sizeof payload);
        assert_memory_equal(line.bytes, before, length);
      }
      close(fd);
    }
    assert_int_equal(line_close(NULL), 0);
  }
}

static void test_kernel_cuts_datagrams(void **state) {
  (void)state;
  bool uso = support_kernel_at_least(6, 2);
  uint8_t payload[41 * 1400 + 17];
  support_pattern(payload, sizeof payload);
  for (size_t i = 0; i < 2; i++) {
    line_open(ADIT_LINK_IP, false);
    int fd = support_kernel_socket(families[i], SOCK_DGRAM, KERNEL_PORT);
    size_t length = build_udp(families[i], payload, sizeof payload);
    support_seal_partial(line.bytes, length);
    assert_int_equal(put(length, (struct adit_offload){.gso = ADIT_GSO_UDP,
                                                       .gso_size = 1400,
                                                       .checksum = ADIT_CHECKSUM_PARTIAL,
                                                       .checksum_start = (uint16_t)ip_header(families[i]),
                                                       .checksum_offset = 6}),
                     uso ? 0 : -EOPNOTSUPP);
    for (size_t at = 0; uso && at < sizeof payload; at += 1400) {
      assert_receives(fd, payload + at, sizeof payload - at < 1400 ? sizeof payload - at : 1400);
    }
    close(fd);
    assert_int_equal(line_close(NULL), 0);
  }
}

/* ---- TCP ---- */

static size_t build_tcp(int family, uint32_t sequence, uint32_t acknowledgment, uint8_t flags, const void *options,
                        size_t option_bytes, const void *payload, size_t length) {
  return family == AF_INET ? support_tcp4(line.bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, PEER_PORT, KERNEL_PORT, sequence,
                                          acknowledgment, flags, 65535, options, option_bytes, payload, length)
                           : support_tcp6(line.bytes, SUPPORT_PEER6, SUPPORT_KERNEL6, PEER_PORT, KERNEL_PORT, sequence,
                                          acknowledgment, flags, 65535, options, option_bytes, payload, length);
}

/* Connect to a kernel socket by hand: returns the accepted one, and the kernel's first sequence number. */
static int tcp_connect(int family, uint32_t *kernel_sequence) {
  int listener = support_kernel_socket(family, SOCK_STREAM, KERNEL_PORT);
  assert_int_equal(listen(listener, 1), 0);
  static const uint8_t mss[] = {2, 4, 1400 >> 8, 1400 & 255};
  assert_int_equal(put(build_tcp(family, 1000, 0, SUPPORT_SYN, mss, sizeof mss, NULL, 0), (struct adit_offload){0}), 0);
  struct adit_buffer *buffer = await_protocol(IPPROTO_TCP);
  const uint8_t *tcp = buffer->data + ip_header(family);
  assert_int_equal(tcp[13], SUPPORT_SYN | SUPPORT_ACK);
  *kernel_sequence = support_get32(tcp + 4) + 1;
  adit_buffer_unref(buffer);
  assert_int_equal(
      put(build_tcp(family, 1001, *kernel_sequence, SUPPORT_ACK, NULL, 0, NULL, 0), (struct adit_offload){0}), 0);
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) fail_msg("accept: %s", strerror(errno));
  close(listener);
  return fd;
}

/* Close without leaving anything of the connection behind, so that the next one can have the same ports. */
static void tcp_reset(int fd) {
  struct linger reset = {.l_onoff = 1};
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  close(fd);
}

static void test_kernel_cuts_segments(void **state) {
  (void)state;
  uint8_t payload[30 * 1400 + 33], got[sizeof payload];
  support_pattern(payload, sizeof payload);
  static const uint8_t options[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (size_t i = 0; i < 2; i++) {
    for (int ecn = 0; ecn <= 1; ecn++) {
      line_open(ADIT_LINK_IP, false);
      uint32_t kernel_sequence;
      int fd = tcp_connect(families[i], &kernel_sequence);
      int window = 1 << 20;
      assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window), 0);
      size_t length = build_tcp(families[i], 1001, kernel_sequence, SUPPORT_ACK | SUPPORT_PSH | (ecn ? 0x80 : 0),
                                options, sizeof options, payload, sizeof payload);
      support_seal_partial(line.bytes, length);
      struct adit_offload offload = {.gso = families[i] == AF_INET ? ADIT_GSO_TCP4 : ADIT_GSO_TCP6,
                                     .gso_size = 1400,
                                     .ecn = ecn != 0,
                                     .checksum = ADIT_CHECKSUM_PARTIAL,
                                     .checksum_start = (uint16_t)ip_header(families[i]),
                                     .checksum_offset = 16};
      assert_int_equal(put(length, offload), 0);
      size_t count = 0;
      while (count < sizeof payload) {
        ssize_t here = recv(fd, got + count, sizeof got - count, 0);
        if (here <= 0) fail_msg("recv: %s after %zu of %zu bytes", strerror(errno), count, sizeof payload);
        count += (size_t)here;
      }
      assert_memory_equal(got, payload, sizeof payload);
      tcp_reset(fd);
      assert_int_equal(line_close(NULL), 0);
    }
  }
}

static void test_kernel_sends_segments_at_once(void **state) {
  (void)state;
  uint8_t payload[10 * 1400];
  support_pattern(payload, sizeof payload);
  for (size_t i = 0; i < 2; i++) {
    line_open(ADIT_LINK_IP, false);
    size_t headers = ip_header(families[i]) + 20;
    uint32_t kernel_sequence;
    int fd = tcp_connect(families[i], &kernel_sequence);
    assert_int_equal(send(fd, payload, sizeof payload, 0), sizeof payload);
    size_t count = 0;
    bool cut = false;
    while (count < sizeof payload) {
      struct adit_buffer *buffer = await_protocol(IPPROTO_TCP);
      size_t here = buffer->length - headers;
      assert_int_equal(support_get32(buffer->data + headers - 16), kernel_sequence + count);
      assert_true(here <= sizeof payload - count);
      assert_memory_equal(buffer->data + headers, payload + count, here);
      assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_PARTIAL);
      assert_int_equal(buffer->offload.checksum_start, headers - 20);
      assert_int_equal(buffer->offload.checksum_offset, 16);
      if (here > 1400) {
        cut = true;
        assert_int_equal(buffer->offload.gso, families[i] == AF_INET ? ADIT_GSO_TCP4 : ADIT_GSO_TCP6);
        assert_int_equal(buffer->offload.gso_size, 1400);
      }
      count += here;
      adit_buffer_unref(buffer);
    }
    assert_true(cut);
    tcp_reset(fd);
    assert_int_equal(line_close(NULL), 0);
  }
}

/* ---- what is refused ---- */

static void test_kernel_refuses_nonsense(void **state) {
  (void)state;
  line_open(ADIT_LINK_IP, false);
  uint8_t payload[3000];
  support_pattern(payload, sizeof payload);
  size_t length = build_tcp(AF_INET, 1, 1, SUPPORT_ACK, NULL, 0, payload, sizeof payload);
  struct iovec iov = {line.bytes, length};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = length};
  packet.offload = (struct adit_offload){.gso = ADIT_GSO_TCP4,
                                         .gso_size = 65535, /* has another meaning inside the kernel (GSO_BY_FRAGS) */
                                         .checksum = ADIT_CHECKSUM_PARTIAL,
                                         .checksum_start = 20,
                                         .checksum_offset = 16};
  assert_int_equal(adit_vnet_check(&packet, adit_device_offload(line.device)), 0); /* so it was not us */
  assert_int_equal(adit_device_write(line.device, &packet), -EINVAL);

  line.bytes[0] = 0x75; /* no such version */
  assert_int_equal(put(length, (struct adit_offload){0}), -EINVAL);
}

static void test_device_refuses(void **state) {
  (void)state;
  line_open(ADIT_LINK_IP, true);
  uint8_t payload[3000];
  support_pattern(payload, sizeof payload);
  size_t length = build_udp(AF_INET, payload, sizeof payload);
  struct adit_offload uso = {.gso = ADIT_GSO_UDP,
                             .gso_size = 1000,
                             .checksum = ADIT_CHECKSUM_PARTIAL,
                             .checksum_start = 20,
                             .checksum_offset = 6};
  assert_int_equal(put(length, uso), -EOPNOTSUPP);
  assert_int_equal(put(0, (struct adit_offload){0}), -EINVAL);

  struct iovec iov[ADIT_PACKET_PIECES + 1];
  for (size_t i = 0; i <= ADIT_PACKET_PIECES; i++) iov[i] = (struct iovec){line.bytes + i, 1};
  struct adit_packet packet = {.iov = iov, .iovcnt = ADIT_PACKET_PIECES + 1, .length = ADIT_PACKET_PIECES + 1};
  assert_int_equal(adit_device_write(line.device, &packet), -EINVAL);
  packet = (struct adit_packet){.iov = iov, .iovcnt = 2, .length = 3};
  assert_int_equal(adit_device_write(line.device, &packet), -EINVAL);
}

static void test_reads_never_block_and_lose_nothing(void **state) {
  (void)state;
  line_open(ADIT_LINK_IP, false);
  struct adit_pool *small;
  assert_int_equal(adit_pool_new(1, &small), 0);
  struct adit_buffer *held = adit_buffer_new(small), *buffer = NULL;
  assert_non_null(held);
  /* Let the kernel say what it says when a device comes up, then nothing waits. */
  int fd = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
  support_kernel_connect(fd, AF_INET, PEER_PORT);
  assert_int_equal(send(fd, "kept", 4, 0), 4);
  assert_int_equal(adit_device_read(line.device, small, &buffer), -ENOBUFS);
  assert_null(buffer);
  adit_buffer_unref(held);
  uint8_t protocol = IPPROTO_UDP;
  buffer = support_tun_await(line.device, small, support_match_protocol, &protocol);
  assert_memory_equal(buffer->data + 28, "kept", 4);
  adit_buffer_unref(buffer);
  while (adit_device_read(line.device, small, &buffer) == 1) adit_buffer_unref(buffer);
  assert_int_equal(adit_device_read(line.device, small, &buffer), -EAGAIN);
  assert_int_equal(adit_pool_in_use(small), 0);
  adit_pool_free(small);
  close(fd);
}

/* ---- ping ---- */

static bool match_echo_reply(const struct adit_buffer *buffer, void *user) {
  uint8_t type = *(const uint8_t *)user;
  size_t at = buffer->data[0] >> 4 == 4 ? 20 : 40;
  return buffer->length > at && buffer->data[at] == type;
}

static void test_kernel_answers_ping(void **state) {
  (void)state;
  uint8_t payload[1300];
  support_pattern(payload, sizeof payload);
  for (int no_offload = 0; no_offload <= 1; no_offload++) {
    line_open(ADIT_LINK_IP, no_offload != 0);
    for (size_t i = 0; i < 2; i++) {
      bool v4 = families[i] == AF_INET;
      size_t length = v4 ? support_echo4(line.bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, SUPPORT_ECHO_REQUEST4, 7, 1,
                                         payload, sizeof payload)
                         : support_echo6(line.bytes, SUPPORT_PEER6, SUPPORT_KERNEL6, SUPPORT_ECHO_REQUEST6, 7, 1,
                                         payload, sizeof payload);
      assert_int_equal(put(length, (struct adit_offload){0}), 0);
      uint8_t type = v4 ? SUPPORT_ECHO_REPLY4 : SUPPORT_ECHO_REPLY6;
      struct adit_buffer *buffer = support_tun_await(line.device, line.pool, match_echo_reply, &type);
      assert_int_equal(buffer->length, length);
      assert_memory_equal(buffer->data + length - sizeof payload, payload, sizeof payload);
      assert_true(support_sealed(buffer->data, buffer->length)); /* the kernel finishes ICMP itself */
      adit_buffer_unref(buffer);
    }
    assert_int_equal(line_close(NULL), 0);
  }
}

/* ---- TAP ---- */

static const uint8_t our_mac[6] = {0x02, 0, 0, 0, 0, 0x02};

static bool match_frame(const struct adit_buffer *buffer, void *user) {
  return buffer->length > 34 && support_get16(buffer->data + 12) == *(const uint16_t *)user &&
         (support_get16(buffer->data + 12) != 0x0800 || buffer->data[14 + 9] == IPPROTO_UDP);
}

static void test_frames(void **state) {
  (void)state;
  for (int no_offload = 0; no_offload <= 1; no_offload++) {
    line_open(ADIT_LINK_ETHERNET, no_offload != 0);
    const uint8_t *kernel_mac = adit_device_mac(line.device);
    int fd = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
    support_kernel_connect(fd, AF_INET, PEER_PORT);
    assert_int_equal(send(fd, "framed", 6, 0), 6);

    uint16_t arp = 0x0806, ip = 0x0800;
    struct adit_buffer *buffer = support_tun_await(line.device, line.pool, match_frame, &arp);
    assert_int_equal(((uintptr_t)buffer->data + 14) % 4, 0);
    assert_memory_equal(buffer->data + 6, kernel_mac, 6);
    adit_buffer_unref(buffer);
    assert_int_equal(
        put(support_arp(line.bytes, 2, our_mac, SUPPORT_PEER4, kernel_mac, SUPPORT_KERNEL4), (struct adit_offload){0}),
        0);
    buffer = support_tun_await(line.device, line.pool, match_frame, &ip);
    assert_int_equal(buffer->length, 14 + 28 + 6);
    assert_int_equal(((uintptr_t)buffer->data + 14) % 4, 0);
    assert_memory_equal(buffer->data, our_mac, 6);
    assert_memory_equal(buffer->data + 14 + 28, "framed", 6);
    if (!no_offload) {
      assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_PARTIAL);
      assert_int_equal(buffer->offload.checksum_start, 34);
    }
    adit_buffer_unref(buffer);

    size_t length = build_udp(AF_INET, "answered", 8);
    support_seal_partial(line.bytes, length);
    length = support_ethernet(line.bytes, length, kernel_mac, our_mac, ip);
    assert_int_equal(
        put(length,
            (struct adit_offload){.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 34, .checksum_offset = 6}),
        0);
    assert_receives(fd, "answered", 8);
    close(fd);
    assert_int_equal(line_close(NULL), 0);
  }
}

/* ---- queues ---- */

/* The kernel spreads flows over queues, and keeps each on one: 64 flows of two datagrams each. */
static void test_queues_share_flows(void **state) {
  (void)state;
  enum { QUEUES = 4, FLOWS = 64 };
  struct adit_device_options options = {.size = sizeof options, .name = "line", .queues = QUEUES};
  struct adit_device *devices[QUEUES];
  assert_int_equal(adit_device_open(&options, devices), 0);
  struct adit_pool *pool;
  assert_int_equal(adit_pool_new(0, &pool), 0);
  support_tun_up("line");
  for (unsigned flow = 0; flow < FLOWS; flow++) {
    int fd = support_kernel_socket(AF_INET, SOCK_DGRAM, (uint16_t)(5000 + flow));
    support_kernel_connect(fd, AF_INET, PEER_PORT);
    for (int i = 0; i < 2; i++) assert_int_equal(send(fd, &flow, sizeof flow, 0), sizeof flow);
    close(fd);
  }
  unsigned seen[FLOWS][QUEUES] = {0}, per_queue[QUEUES] = {0};
  for (unsigned queue = 0; queue < QUEUES; queue++) {
    struct adit_buffer *buffer;
    while (adit_device_read(devices[queue], pool, &buffer) == 1) {
      uint8_t protocol = IPPROTO_UDP;
      if (support_match_protocol(buffer, &protocol) && buffer->data[0] >> 4 == 4) {
        unsigned flow;
        memcpy(&flow, buffer->data + 28, sizeof flow);
        assert_true(flow < FLOWS);
        seen[flow][queue]++;
        per_queue[queue]++;
      }
      adit_buffer_unref(buffer);
    }
  }
  unsigned used = 0;
  for (unsigned queue = 0; queue < QUEUES; queue++) used += per_queue[queue] != 0;
  assert_in_range(used, 2, QUEUES);
  for (unsigned flow = 0; flow < FLOWS; flow++) {
    unsigned most = 0;
    for (unsigned queue = 0; queue < QUEUES; queue++) most = seen[flow][queue] > most ? seen[flow][queue] : most;
    assert_int_equal(most, 2);
  }
  /* Any queue may write. */
  int fd = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
  for (unsigned queue = 0; queue < QUEUES; queue++) {
    line.device = devices[queue];
    assert_int_equal(put(build_udp(AF_INET, &queue, sizeof queue), (struct adit_offload){0}), 0);
    assert_receives(fd, &queue, sizeof queue);
  }
  line.device = NULL;
  close(fd);
  for (unsigned queue = 0; queue < QUEUES; queue++) adit_device_close(devices[queue]);
  assert_int_equal(adit_pool_in_use(pool), 0);
  adit_pool_free(pool);
}

int main(void) {
  int skipped = support_tun_namespace("test_tun_packets");
  if (skipped != 0) return skipped;
#define CASE(name) cmocka_unit_test_teardown(name, line_close)
  const struct CMUnitTest tests[] = {
      CASE(test_kernel_sends_datagram),
      CASE(test_kernel_sends_datagrams_at_once),
      CASE(test_offloads_of_the_last_user_are_undone),
      CASE(test_kernel_takes_datagram),
      CASE(test_partial_checksum),
      CASE(test_kernel_cuts_datagrams),
      CASE(test_kernel_cuts_segments),
      CASE(test_kernel_sends_segments_at_once),
      CASE(test_kernel_refuses_nonsense),
      CASE(test_device_refuses),
      CASE(test_reads_never_block_and_lose_nothing),
      CASE(test_kernel_answers_ping),
      CASE(test_frames),
      CASE(test_queues_share_flows),
  };
  return cmocka_run_group_tests_name("tun packets", tests, NULL, NULL);
}
