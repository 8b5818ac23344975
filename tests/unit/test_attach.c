/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * TUN and TAP fds that somebody else opened: found out what they are, and used as they are.
 *
 * Needs root; runs in a network namespace of its own. Fds that are no TUN are in test_fd.c.
 */
#include <adit/device.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support_packet.h"
#include "support_tun.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { KERNEL_PORT = 4000, PEER_PORT = 4001 };

static int nothing_left(void **state) {
  (void)state;
  unsigned count = support_tun_count();
  if (count != 1) fprintf(stderr, "%u network devices are left, not 1\n", count);
  return count == 1 ? 0 : -1;
}

static uint32_t offload_with_header(void) {
  return ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_ECN |
         (support_kernel_at_least(6, 2) ? ADIT_OFFLOAD_USO : 0U) |
         (support_kernel_at_least(6, 6) ? ADIT_OFFLOAD_BIG_TCP : 0U);
}

/* Every layout that can be handed over carries a datagram each way. */
static void test_layouts(void **state) {
  (void)state;
  static const struct {
    unsigned flags;
    int vnet_length; /* 0 = as the kernel made it */
  } cases[] = {
      {IFF_NO_PI, 0},
      {0, 0}, /* packet information in front of each packet */
      {IFF_NO_PI | IFF_VNET_HDR, 0},
      {IFF_NO_PI | IFF_VNET_HDR, 12},
      {IFF_NO_PI | IFF_VNET_HDR, 60},
      {IFF_VNET_HDR, 0},
      {IFF_VNET_HDR, 12},
      {IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int variant = 0; variant < 4; variant++) {
      bool own = (variant & 1) != 0, up_before = (variant & 2) != 0;
      int fd = support_tun_raw("handed", IFF_TUN | cases[i].flags);
      if (up_before) support_tun_up("handed");
      int length = cases[i].vnet_length;
      if (length != 0) assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &length), 0);
      bool header = (cases[i].flags & IFF_VNET_HDR) != 0;
      struct adit_device *device;
      assert_int_equal(adit_device_attach(fd, own, &device), 0);
      assert_string_equal(adit_device_name(device), "handed");
      assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
      assert_int_equal(adit_device_offload(device), header ? offload_with_header() : 0);
      assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
      if (!up_before) support_tun_up("handed");

      struct adit_pool *pool;
      assert_int_equal(adit_pool_new(2, &pool), 0);
      int kernel = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
      support_kernel_connect(kernel, AF_INET, PEER_PORT);
      assert_int_equal(send(kernel, "there", 5, 0), 5);
      uint8_t protocol = IPPROTO_UDP;
      struct adit_buffer *buffer = support_tun_await(device, pool, support_match_protocol, &protocol);
      assert_int_equal(buffer->length, 28 + 5);
      assert_memory_equal(buffer->data + 28, "there", 5);
      adit_buffer_unref(buffer);

      uint8_t bytes[128], got[128];
      size_t size = support_udp4(bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, PEER_PORT, KERNEL_PORT, "back", 4);
      support_seal_partial(bytes, size);
      struct iovec iov = {bytes, size};
      struct adit_packet packet = {
          .iov = &iov,
          .iovcnt = 1,
          .length = size,
          .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}};
      assert_int_equal(adit_device_write(device, &packet), 0);
      assert_int_equal(recv(kernel, got, sizeof got, 0), 4);
      assert_memory_equal(got, "back", 4);

      close(kernel);
      adit_pool_free(pool);
      adit_device_close(device);
      assert_int_equal(if_nametoindex("handed") == 0, own);
      if (!own) close(fd);
      assert_int_equal(if_nametoindex("handed"), 0);
    }
  }
}

/* A large packet can be written with nobody's consent; large ones are received only if the device is ours. */
static void test_large_packets(void **state) {
  (void)state;
  bool uso = support_kernel_at_least(6, 2);
  for (int own = 0; own <= 1; own++) {
    int fd = support_tun_raw("handed", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
    struct adit_device *device;
    assert_int_equal(adit_device_attach(fd, own != 0, &device), 0);
    support_tun_up("handed");
    struct adit_pool *pool;
    assert_int_equal(adit_pool_new(2, &pool), 0);
    int kernel = support_kernel_socket(AF_INET, SOCK_DGRAM, KERNEL_PORT);
    support_kernel_connect(kernel, AF_INET, PEER_PORT);
    uint8_t payload[5000];
    support_pattern(payload, sizeof payload);
    int segment = 1000;
    assert_int_equal(setsockopt(kernel, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    assert_int_equal(send(kernel, payload, sizeof payload, 0), sizeof payload);
    uint8_t protocol = IPPROTO_UDP;
    struct adit_buffer *buffer = support_tun_await(device, pool, support_match_protocol, &protocol);
    assert_int_equal(buffer->length, 28 + (own && uso ? sizeof payload : 1000));
    assert_int_equal(buffer->offload.gso, own && uso ? ADIT_GSO_UDP : ADIT_GSO_NONE);
    adit_buffer_unref(buffer);

    uint8_t bytes[8192], got[8192];
    size_t size = support_udp4(bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, PEER_PORT, KERNEL_PORT, payload, sizeof payload);
    support_seal_partial(bytes, size);
    struct iovec iov = {bytes, size};
    struct adit_packet packet = {.iov = &iov,
                                 .iovcnt = 1,
                                 .length = size,
                                 .offload = {.gso = ADIT_GSO_UDP,
                                             .gso_size = 1000,
                                             .checksum = ADIT_CHECKSUM_PARTIAL,
                                             .checksum_start = 20,
                                             .checksum_offset = 6}};
    assert_int_equal(adit_device_write(device, &packet), uso ? 0 : -EOPNOTSUPP);
    for (size_t at = 0; uso && at < sizeof payload; at += 1000) {
      assert_int_equal(recv(kernel, got, sizeof got, 0), 1000);
      assert_memory_equal(got, payload + at, 1000);
    }
    close(kernel);
    adit_pool_free(pool);
    adit_device_close(device);
    if (!own) close(fd);
  }
}

static void test_tap(void **state) {
  (void)state;
  int fd = support_tun_raw("handed", IFF_TAP | IFF_NO_PI);
  struct ifreq request = {0};
  assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
  struct adit_device *device;
  assert_int_equal(adit_device_attach(fd, true, &device), 0);
  assert_int_equal(adit_device_link(device), ADIT_LINK_ETHERNET);
  assert_memory_equal(adit_device_mac(device), request.ifr_hwaddr.sa_data, 6);
  adit_device_close(device);
}

static void test_refused(void **state) {
  (void)state;
  struct adit_device *device = NULL;
  int fd = support_tun_raw(NULL, 0); /* /dev/net/tun, tied to nothing */
  int flags = fcntl(fd, F_GETFL);
  assert_int_equal(adit_device_attach(fd, true, &device), -EINVAL);
  assert_int_equal(fcntl(fd, F_GETFL), flags);
  close(fd);

  fd = support_tun_raw("handed", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
  int length = 61; /* a vnet header of which nothing is known */
  assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &length), 0);
  assert_int_equal(adit_device_attach(fd, true, &device), -EINVAL);
  assert_int_equal(fcntl(fd, F_GETFL), flags);
  assert_null(device);
  close(fd);
}

int main(void) {
  int skipped = support_tun_namespace("test_attach");
  if (skipped != 0) return skipped;
#define CASE(name) cmocka_unit_test_teardown(name, nothing_left)
  const struct CMUnitTest tests[] = {CASE(test_layouts), CASE(test_large_packets), CASE(test_tap), CASE(test_refused)};
  return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
