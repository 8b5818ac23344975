/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Several reads or writes with one system call: the same packets, in the same order, with the same errors, as with one
 * call each.
 *
 * Sockets stand for the TUN fd where the test has to know what the kernel still holds; a real TUN is in test_tun.c and
 * tests/net/test_io_uring.sh.
 */
#include <adit/device.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/fd.h"
#include "support_packet.h"

enum { SKIPPED = 77, READS = 32, WRITES = 16, SMALL = 2048 };

struct world {
  struct adit_device *device;
  struct adit_pool *pool;
  int far; /* what is sent into it the device reads */
};

static void open_world(struct world *world, int type, uint8_t vnet_length, size_t buffers) {
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  const struct adit_fd_layout layout = {.fd = fds[0],
                                        .own = true,
                                        .socket = false, /* written to with writev, as a TUN */
                                        .ends = type == SOCK_SEQPACKET,
                                        .vnet_length = vnet_length,
                                        .link = ADIT_LINK_IP,
                                        .name = "fd"};
  assert_int_equal(adit_fd_new(&layout, &world->device), 0);
  assert_int_equal(adit_pool_new(buffers, &world->pool), 0);
  world->far = fds[1];
  assert_int_equal(adit_device_gather(world->device, ADIT_GATHER_ALWAYS), 1);
}

static void close_world(struct world *world) {
  adit_device_close(world->device);
  assert_int_equal(adit_pool_in_use(world->pool), 0);
  adit_pool_free(world->pool);
  close(world->far);
}

/* Packet `number`: its number, then as many bytes as it makes up. */
static size_t make_packet(uint8_t *packet, uint32_t number) {
  size_t length = sizeof number + number * 37 % 1400;
  support_pattern(packet, length);
  memcpy(packet, &number, sizeof number);
  return length;
}

static void put(const struct world *world, uint32_t number) {
  uint8_t packet[2000];
  size_t length = make_packet(packet, number);
  assert_int_equal(send(world->far, packet, length, 0), length);
}

static void check_packet(const struct adit_buffer *buffer, uint32_t number) {
  uint8_t packet[2000];
  size_t length = make_packet(packet, number);
  assert_int_equal(buffer->length, length);
  assert_memory_equal(buffer->data, packet, length);
}

static void get(const struct world *world, uint32_t number) {
  struct adit_buffer *buffer;
  assert_int_equal(adit_device_read(world->device, world->pool, &buffer), 1);
  check_packet(buffer, number);
  adit_buffer_unref(buffer);
}

static void get_nothing(const struct world *world) {
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(world->device, world->pool, &buffer), -EAGAIN);
  assert_null(buffer);
}

/* Whether the kernel still has a packet for the device. */
static bool is_left(const struct world *world) {
  uint8_t byte;
  return recv(adit_device_fd(world->device), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* ---- packets ---- */

static void test_same_packets(void **state) {
  (void)state;
  static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    struct world world;
    open_world(&world, types[i], 0, 0);
    uint32_t sent = 0, read = 0;
    for (uint32_t turn = 0; turn < 2000; turn++) {
      uint32_t count = turn * 7 % 10; /* a socket holds about as many */
      for (uint32_t k = 0; k < count; k++) put(&world, sent++);
      unsigned expected = turn * 13 % 40;
      adit_device_expect(world.device, expected);
      while (read < sent) get(&world, read++);
      get_nothing(&world);
    }
    assert_true(sent > 8000);
    close_world(&world);
  }
}

/* One expected packet is read alone, of several all are read with the first one. */
static void test_as_many_as_expected(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  static const struct { unsigned expected, taken; } cases[] = {{0, 1}, {1, 1}, {2, 2}, {3, 3}, {5, 5}, {8, 6}};
  enum { SENT = 6 };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (uint32_t k = 0; k < SENT; k++) put(&world, k);
    adit_device_expect(world.device, cases[i].expected);
    get(&world, 0);
    /* What the kernel has now, whoever reads it: nobody else does. */
    unsigned left = 0;
    uint8_t packet[2000];
    while (recv(adit_device_fd(world.device), packet, sizeof packet, MSG_DONTWAIT) >= 0) left++;
    if (left != SENT - cases[i].taken)
      fail_msg("%u expected: %u are left, not %u", cases[i].expected, left, SENT - cases[i].taken);
    for (uint32_t k = 1; k < cases[i].taken; k++) get(&world, k);
    get_nothing(&world);
  }
  close_world(&world);
}

/* More than were expected: those are read one by one. */
static void test_more_than_expected(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (uint32_t k = 0; k < 4; k++) put(&world, k);
  adit_device_expect(world.device, 2);
  for (uint32_t k = 0; k < 3; k++) get(&world, k);
  assert_true(is_left(&world));
  get(&world, 3);
  get_nothing(&world);
  close_world(&world);
}

/* What came after a burst ended is there for the next one, though the last read of that one had found nothing. */
static void test_next_burst(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  put(&world, 0);
  adit_device_expect(world.device, 4);
  get(&world, 0);
  put(&world, 1);
  get_nothing(&world); /* the kernel is not asked again */
  adit_device_expect(world.device, 4);
  get(&world, 1);
  put(&world, 2);
  put(&world, 3);
  adit_device_expect(world.device, 2); /* reads that found nothing are not packets that wait */
  get(&world, 2);
  assert_false(is_left(&world));
  get(&world, 3);
  put(&world, 4);
  adit_device_expect(world.device, 1);
  get(&world, 4);
  get_nothing(&world);
  close_world(&world);
}

/* A burst that ends before all was handed out: the rest comes first, and counts as expected. */
static void test_rest_of_a_burst(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (uint32_t k = 0; k < 4; k++) put(&world, k);
  adit_device_expect(world.device, 4);
  get(&world, 0);
  for (uint32_t k = 4; k < 8; k++) put(&world, k);
  adit_device_expect(world.device, 5);
  for (uint32_t k = 1; k < 6; k++) get(&world, k);
  assert_true(is_left(&world));
  adit_device_expect(world.device, 2);
  for (uint32_t k = 6; k < 8; k++) get(&world, k);
  get_nothing(&world);
  close_world(&world);
}

/* ---- what goes wrong ---- */

static void test_bad_packets(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, sizeof(struct virtio_net_hdr), 0);
  struct {
    struct virtio_net_hdr vnet;
    uint8_t ip[100];
  } good = {.ip = {0x45}}, bad = {.vnet = {.gso_type = 99}};
  uint8_t *longer = calloc(1, ADIT_PACKET_MAX + 200);
  assert_int_equal(send(world.far, &good, sizeof good, 0), sizeof good);
  assert_int_equal(send(world.far, &bad, sizeof bad, 0), sizeof bad);
  assert_int_equal(send(world.far, &good, 4, 0), 4);
  assert_int_equal(send(world.far, longer, ADIT_PACKET_MAX + 200, 0), ADIT_PACKET_MAX + 200);
  assert_int_equal(send(world.far, &good, sizeof good, 0), sizeof good);
  free(longer);
  adit_device_expect(world.device, READS);
  static const int results[] = {1, -EBADMSG, -EBADMSG, -EBADMSG, 1, -EAGAIN};
  for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
    struct adit_buffer *buffer = NULL;
    assert_int_equal(adit_device_read(world.device, world.pool, &buffer), results[i]);
    if (i == 0) assert_false(is_left(&world));
    if (results[i] != 1) {
      assert_null(buffer);
      continue;
    }
    assert_int_equal(buffer->length, sizeof good.ip);
    adit_buffer_unref(buffer);
  }
  assert_int_equal(adit_device_dropped(world.device), 3);
  close_world(&world);
}

static void test_end(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_SEQPACKET, 0, 0);
  put(&world, 0);
  put(&world, 1);
  shutdown(world.far, SHUT_RDWR);
  adit_device_expect(world.device, 8);
  get(&world, 0);
  get(&world, 1);
  struct adit_buffer *buffer;
  assert_int_equal(adit_device_read(world.device, world.pool, &buffer), 0);
  close_world(&world);
}

static void test_no_buffers(void **state) {
  (void)state;
  enum { BUFFERS = 3, SENT = 7 };
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, BUFFERS);
  for (uint32_t k = 0; k < SENT; k++) put(&world, k);
  adit_device_expect(world.device, 8);
  struct adit_buffer *held[BUFFERS], *buffer = NULL;
  for (uint32_t k = 0; k < BUFFERS; k++) assert_int_equal(adit_device_read(world.device, world.pool, &held[k]), 1);
  assert_int_equal(adit_device_read(world.device, world.pool, &buffer), -ENOBUFS);
  adit_device_expect(world.device, 1);
  assert_int_equal(adit_device_read(world.device, world.pool, &buffer), -ENOBUFS);
  for (uint32_t k = 0; k < BUFFERS; k++) {
    check_packet(held[k], k);
    adit_buffer_unref(held[k]);
  }
  adit_device_expect(world.device, 8);
  for (uint32_t k = BUFFERS; k < SENT; k++) get(&world, k);
  get_nothing(&world);
  close_world(&world);
}

/* The buffers go with the device, although the pool was given up before. */
static void test_closed_with_packets(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (uint32_t k = 0; k < 5; k++) put(&world, k);
  adit_device_expect(world.device, 8);
  get(&world, 0);
  assert_int_equal(adit_pool_in_use(world.pool), 4);
  adit_pool_free(world.pool);
  adit_device_close(world.device);
  close(world.far);
}

/* ---- writes ---- */

/* Write packet `number` in three pieces. */
static int write_numbered(const struct world *world, uint32_t number) {
  uint8_t bytes[2000];
  size_t length = make_packet(bytes, number);
  struct iovec iov[3] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, length - 3}};
  struct adit_packet packet = {.iov = iov, .iovcnt = 3, .length = length};
  return adit_device_write(world->device, &packet);
}

static int write_long(const struct world *world, size_t length) {
  static uint8_t bytes[2 * SMALL] = {0x45};
  struct iovec iov = {bytes, length};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = length};
  return adit_device_write(world->device, &packet);
}

/* Bytes of the packet that came out, -1: none. */
static ssize_t come_out(const struct world *world, uint8_t *bytes) {
  return recv(world->far, bytes, 2 * SMALL, MSG_DONTWAIT);
}

static void check_out(const struct world *world, uint32_t number) {
  uint8_t expected[2000], found[2 * SMALL];
  size_t length = make_packet(expected, number);
  assert_int_equal(come_out(world, found), length);
  assert_memory_equal(found, expected, length);
}

static void check_nothing_out(const struct world *world) {
  uint8_t found[2 * SMALL];
  assert_int_equal(come_out(world, found), -1);
}

static void check_flush(const struct world *world, unsigned lost, int error) {
  int found_error = 1;
  assert_int_equal(adit_device_flush(world->device, &found_error), lost);
  assert_int_equal(found_error, error);
}

static void test_writes_wait(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  check_flush(&world, 0, 0);
  for (uint32_t count = 1; count <= 8; count++) {
    for (uint32_t k = 0; k < count; k++) assert_int_equal(write_numbered(&world, k), 0);
    check_nothing_out(&world);
    check_flush(&world, 0, 0);
    for (uint32_t k = 0; k < count; k++) check_out(&world, k);
    check_nothing_out(&world);
  }
  close_world(&world);
}

/* What there is no room for sends the others off. */
static void test_many_writes(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_SEQPACKET, 0, 0);
  for (uint32_t k = 0; k < WRITES; k++) assert_int_equal(write_numbered(&world, k), 0);
  check_nothing_out(&world);
  assert_int_equal(write_numbered(&world, WRITES), 0);
  for (uint32_t k = 0; k < WRITES; k++) check_out(&world, k);
  check_nothing_out(&world);
  check_flush(&world, 0, 0);
  check_out(&world, WRITES);
  close_world(&world);
}

/* A packet that is not small is written at once, behind those that waited. */
static void test_writes_in_order(void **state) {
  (void)state;
  static const struct {
    size_t length;
    bool waits;
  } cases[] = {{SMALL - 10, true}, {SMALL - 9, false}, {2 * SMALL - 10, false}};
  struct world world;
  open_world(&world, SOCK_DGRAM, sizeof(struct virtio_net_hdr), 0);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t found[2 * SMALL];
    assert_int_equal(write_long(&world, 40), 0);
    assert_int_equal(write_long(&world, 41), 0);
    assert_int_equal(write_long(&world, cases[i].length), 0);
    if (cases[i].waits) {
      check_nothing_out(&world);
      check_flush(&world, 0, 0);
    }
    assert_int_equal(come_out(&world, found), 40 + 10);
    assert_int_equal(found[10], 0x45);
    assert_int_equal(come_out(&world, found), 41 + 10);
    assert_int_equal(come_out(&world, found), cases[i].length + 10);
    check_nothing_out(&world);
    check_flush(&world, 0, 0);
  }
  close_world(&world);
}

/* Where the kernel takes some and not others: the others are counted, and forgotten by the next flush. */
static void test_lost_writes(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  unsigned taken = 0;
  while (send(adit_device_fd(world.device), "full", 4, MSG_DONTWAIT) == 4) taken++;
  for (uint32_t k = 0; k < 3; k++) assert_int_equal(write_numbered(&world, k), 0);
  check_flush(&world, 3, -EAGAIN);
  check_flush(&world, 0, 0);
  uint8_t found[2 * SMALL];
  assert_int_equal(come_out(&world, found), 4);
  for (uint32_t k = 0; k < WRITES; k++) assert_int_equal(write_numbered(&world, k), 0);
  assert_int_equal(write_numbered(&world, WRITES), 0); /* sends them off: of those one is taken */
  check_flush(&world, WRITES, -EAGAIN);
  while (--taken > 0) assert_int_equal(come_out(&world, found), 4);
  check_out(&world, 0);
  check_nothing_out(&world);
  assert_int_equal(write_numbered(&world, 5), 0);
  close(world.far);
  check_flush(&world, 1, -ECONNREFUSED);
  adit_device_close(world.device);
  adit_pool_free(world.pool);
}

static void test_closed_with_writes(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (uint32_t k = 0; k < 3; k++) assert_int_equal(write_numbered(&world, k), 0);
  adit_device_close(world.device);
  for (uint32_t k = 0; k < 3; k++) check_out(&world, k);
  adit_pool_free(world.pool);
  close(world.far);
}

/* Reads and writes share the ring, but not their results. */
static void test_both(void **state) {
  (void)state;
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (uint32_t turn = 0; turn < 1000; turn++) {
    for (uint32_t k = 0; k < 6; k++) put(&world, turn + k);
    adit_device_expect(world.device, 4);
    for (uint32_t k = 0; k < 6; k++) {
      get(&world, turn + k);
      assert_int_equal(write_numbered(&world, turn + k), 0);
      if (turn % 7 == k) check_flush(&world, 0, 0);
    }
    check_flush(&world, 0, 0);
    for (uint32_t k = 0; k < 6; k++) check_out(&world, turn + k);
  }
  close_world(&world);
}

/* ---- where there is none ---- */

static void test_other_devices(void **state) {
  (void)state;
  struct adit_device *ends[2];
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, 4, ends), 0);
  assert_int_equal(adit_device_gather(ends[0], ADIT_GATHER_IF_FASTER), -EOPNOTSUPP);
  assert_int_equal(adit_device_gather(ends[0], ADIT_GATHER_ALWAYS), -EOPNOTSUPP);
  assert_int_equal(adit_device_gather(ends[0], ADIT_GATHER_NEVER), 0);
  assert_int_equal(adit_device_gather(ends[0], (enum adit_gather)3), -EINVAL);
  adit_device_expect(ends[0], 8);
  int error = 1;
  assert_int_equal(adit_device_flush(ends[0], &error), 0);
  assert_int_equal(error, 0);
  adit_device_close(ends[0]);
  adit_device_close(ends[1]);
}

static void test_measured(void **state) {
  (void)state;
  int fds[2];
  struct adit_device *device;
  assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
  assert_int_equal(adit_device_attach(fds[0], true, &device), 0);
  int result = adit_device_gather(device, ADIT_GATHER_IF_FASTER);
  assert_in_range(result, 0, 1);
  assert_int_equal(adit_device_gather(device, ADIT_GATHER_ALWAYS), 1);
  assert_int_equal(adit_device_gather(device, ADIT_GATHER_ALWAYS), 1); /* again: it has one */
  adit_device_close(device);
  close(fds[1]);
}

/* From now on the kernel says `error` to system call `number` in this process. */
static int forbid(unsigned number, int error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0L, 0L);
}

/* In a child: status 0, or the number of the step that went wrong. */
static int use_without(int error) {
  int fds[2];
  struct adit_device *device;
  struct adit_pool *pool;
  struct adit_buffer *buffer;
  uint8_t packet[2000];
  if (forbid(SYS_io_uring_setup, error) != 0) return 1;
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) != 0) return 2;
  if (adit_device_attach(fds[0], true, &device) != 0 || adit_pool_new(0, &pool) != 0) return 3;
  if (adit_device_gather(device, ADIT_GATHER_ALWAYS) != -error) return 4;
  adit_device_expect(device, 8);
  size_t length = make_packet(packet, 9);
  if (send(fds[1], packet, length, 0) != (ssize_t)length) return 5;
  if (adit_device_read(device, pool, &buffer) != 1 || buffer->length != length) return 6;
  adit_buffer_unref(buffer);
  struct iovec iov = {packet, length};
  struct adit_packet out = {.iov = &iov, .iovcnt = 1, .length = length};
  if (adit_device_write(device, &out) != 0) return 7;
  if (recv(fds[1], packet, sizeof packet, MSG_DONTWAIT) != (ssize_t)length) return 8;
  adit_device_close(device);
  adit_pool_free(pool);
  return 0;
}

static void check_in_child(int (*body)(int error), int error) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(body(error));
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail_msg("%s: the child ended with %#x", strerror(error), (unsigned)status);
}

static void test_forbidden(void **state) {
  (void)state;
  check_in_child(use_without, EPERM);
  check_in_child(use_without, ENOSYS);
}

/* Three packets that were kept go out. Returns whether they are right. */
static bool three_out(const struct world *world) {
  int error;
  uint8_t expected[2000], found[2 * SMALL];
  if (adit_device_flush(world->device, &error) != 0) return false;
  for (uint32_t k = 0; k < 3; k++) {
    size_t length = make_packet(expected, k);
    if (come_out(world, found) != (ssize_t)length || memcmp(expected, found, length) != 0) return false;
  }
  return come_out(world, found) < 0;
}

/* Three packets come in. */
static bool three_in(const struct world *world) {
  adit_device_expect(world->device, 4);
  for (uint32_t k = 0; k < 3; k++) {
    struct adit_buffer *buffer;
    uint8_t expected[2000];
    if (adit_device_read(world->device, world->pool, &buffer) != 1) return false;
    if (memcmp(buffer->data, expected, make_packet(expected, k)) != 0) return false;
    adit_buffer_unref(buffer);
  }
  return true;
}

/*
 * In a child: the kernel takes nothing from the ring any more, which shows with a write or, with EBUSY, with a read.
 * All goes on, one by one, in order and only once, longer than the ring would have room for.
 */
static int use_after_refusal(int error) {
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  for (unsigned turn = 0; turn < READS; turn++) {
    for (uint32_t k = 0; k < 3; k++) put(&world, k);
    for (uint32_t k = 0; k < 3; k++)
      if (write_numbered(&world, k) != 0) return 1;
    if (turn == 0 && forbid(SYS_io_uring_enter, error) != 0) return 2;
    if (error == EBUSY && !three_in(&world)) return 3;
    if (!three_out(&world)) return 4;
    if (error != EBUSY && !three_in(&world)) return 5;
  }
  adit_device_close(world.device);
  adit_pool_free(world.pool);
  return 0;
}

static void test_refusals_later(void **state) {
  (void)state;
  check_in_child(use_after_refusal, EAGAIN);
  check_in_child(use_after_refusal, EBUSY);
}

/* The fd of the only ring of this process, or -1. */
static int find_ring(void) {
  DIR *folder = opendir("/proc/self/fd");
  int found = -1;
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char path[300], target[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
    if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "io_uring") != NULL)
      found = atoi(entry->d_name);
  }
  closedir(folder);
  return found;
}

/*
 * Ask a ring of READS entries for `operation`, past its owner, who must not use it any more. Returns what the kernel says.
 * The layout of its memory is that of every ring of this size.
 */
static int ask_ring(int ring, uint8_t operation) {
  struct io_uring_params layout = {0};
  int same = (int)syscall(SYS_io_uring_setup, READS, &layout);
  assert_true(same >= 0);
  close(same);
  assert_true(layout.features & IORING_FEAT_SINGLE_MMAP);
  const int how = PROT_READ | PROT_WRITE;
  size_t size = layout.cq_off.cqes + layout.cq_entries * sizeof(struct io_uring_cqe);
  size_t entries_size = layout.sq_entries * sizeof(struct io_uring_sqe);
  char *queues = mmap(NULL, size, how, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entry = mmap(NULL, entries_size, how, MAP_SHARED, ring, IORING_OFF_SQES);
  assert_true(queues != MAP_FAILED && entry != MAP_FAILED);
  unsigned *tail = (unsigned *)(void *)(queues + layout.sq_off.tail);
  unsigned place = *tail % layout.sq_entries;
  unsigned done = *(unsigned *)(void *)(queues + layout.cq_off.tail) % layout.cq_entries;
  memset(&entry[place], 0, sizeof entry[place]);
  entry[place].opcode = operation;
  entry[place].fd = AT_FDCWD;
  ((unsigned *)(void *)(queues + layout.sq_off.array))[place] = place;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  assert_int_equal(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
  int result = ((const struct io_uring_cqe *)(void *)(queues + layout.cq_off.cqes))[done].res;
  munmap(queues, size);
  munmap(entry, entries_size);
  return result;
}

/* Whoever gets hold of the ring gets no more than reads and writes, and can change nothing of that. */
static void test_restricted(void **state) {
  (void)state;
  assert_int_equal(find_ring(), -1);
  struct world world;
  open_world(&world, SOCK_DGRAM, 0, 0);
  int ring = find_ring();
  assert_true(ring >= 0);
  const struct io_uring_restriction more = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_OPENAT};
  assert_int_equal(syscall(SYS_io_uring_register, ring, IORING_REGISTER_RESTRICTIONS, &more, 1), -1);
  assert_int_equal(errno, EACCES);
  int fd = STDIN_FILENO;
  assert_int_equal(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1), -1);
  assert_int_equal(errno, EACCES);
  static const uint8_t forbidden[] = {IORING_OP_NOP,     IORING_OP_OPENAT, IORING_OP_SOCKET,  IORING_OP_CONNECT,
                                      IORING_OP_SENDMSG, IORING_OP_READ,   IORING_OP_UNLINKAT};
  for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
    assert_int_equal(ask_ring(ring, forbidden[i]), -EACCES);
  assert_int_equal(ask_ring(ring, IORING_OP_READV), -EBADF); /* may be asked; AT_FDCWD is no fd */
  close_world(&world);
  assert_int_equal(find_ring(), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_other_devices),
      cmocka_unit_test(test_forbidden),
      cmocka_unit_test(test_refusals_later),
      cmocka_unit_test(test_same_packets),
      cmocka_unit_test(test_as_many_as_expected),
      cmocka_unit_test(test_more_than_expected),
      cmocka_unit_test(test_next_burst),
      cmocka_unit_test(test_rest_of_a_burst),
      cmocka_unit_test(test_bad_packets),
      cmocka_unit_test(test_end),
      cmocka_unit_test(test_no_buffers),
      cmocka_unit_test(test_closed_with_packets),
      cmocka_unit_test(test_writes_wait),
      cmocka_unit_test(test_many_writes),
      cmocka_unit_test(test_writes_in_order),
      cmocka_unit_test(test_lost_writes),
      cmocka_unit_test(test_closed_with_writes),
      cmocka_unit_test(test_both),
      cmocka_unit_test(test_measured),
      cmocka_unit_test(test_restricted),
  };
  int fds[2];
  struct adit_device *device;
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) != 0) return 1;
  if (adit_device_attach(fds[0], true, &device) != 0) return 1;
  int result = adit_device_gather(device, ADIT_GATHER_ALWAYS);
  adit_device_close(device);
  close(fds[1]);
  if (result == -ENOSYS || result == -EPERM) {
    fprintf(stderr, "test_gather: left out: no io_uring here: %s\n", strerror(-result));
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
