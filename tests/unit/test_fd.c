/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Devices over fds that are no TUN: what may be attached, ownership, packets over sockets, and hostile vnet headers.
 *
 * Needs no root. Sockets stand for the TUN fd where a header is to be sent that the kernel would never send.
 */
#include <adit/device.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/fd.h"
#include "support_packet.h"

static void make_sockets(int type, int fds[2]) {
  assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
}

static bool is_open(int fd) {
  return fcntl(fd, F_GETFD) != -1;
}

static int write_bytes(struct adit_device *device, void *bytes, size_t length) {
  struct iovec iov = {bytes, length};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = length};
  return adit_device_write(device, &packet);
}

/* ---- what may be attached ---- */

static void test_refused_fds(void **state) {
  (void)state;
  int stream[2], pipes[2], datagram[2];
  make_sockets(SOCK_STREAM, stream);
  make_sockets(SOCK_DGRAM, datagram);
  assert_int_equal(pipe(pipes), 0);
  char path[] = "/tmp/adit-test-fd-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  unlink(path);
  int read_only = open("/dev/zero", O_RDONLY), closed = dup(file);
  assert_true(read_only >= 0 && closed >= 0);
  close(closed);
  const struct {
    const char *what;
    int fd;
    int result;
  } cases[] = {
      {"no fd", -1, -EBADF},
      {"closed", closed, -EBADF},
      {"stream socket", stream[0], -EINVAL},
      {"pipe", pipes[0], -EINVAL},
      {"file", file, -EINVAL},
      {"read only", read_only, -EINVAL},
      {"other end", pipes[1], -EINVAL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int own = 0; own <= 1; own++) {
      struct adit_device *device = NULL;
      int flags = fcntl(cases[i].fd, F_GETFL);
      int result = adit_device_attach(cases[i].fd, own != 0, &device);
      if (result != cases[i].result) fail_msg("%s: %d, not %d", cases[i].what, result, cases[i].result);
      assert_null(device);
      if (flags != -1) assert_int_equal(fcntl(cases[i].fd, F_GETFL), flags); /* still open, still as it was */
    }
  }
  assert_int_equal(adit_device_attach(datagram[0], false, NULL), -EINVAL);
  const int fds[] = {stream[0], stream[1], datagram[0], datagram[1], pipes[0], pipes[1], file, read_only};
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) assert_int_equal(close(fds[i]), 0);
}

static void test_ownership(void **state) {
  (void)state;
  for (int own = 0; own <= 1; own++) {
    int fds[2];
    make_sockets(SOCK_DGRAM, fds);
    struct adit_device *device;
    assert_int_equal(adit_device_attach(fds[0], own != 0, &device), 0);
    assert_int_equal(adit_device_fd(device), fds[0]);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
    assert_int_equal(adit_device_offload(device), 0);
    assert_string_equal(adit_device_name(device), "fd");
    adit_device_close(device);
    assert_int_equal(is_open(fds[0]), own == 0);
    if (!own) close(fds[0]);
    close(fds[1]);
  }
}

static void test_other_character_device(void **state) {
  (void)state;
  int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
  assert_true(fd >= 0);
  struct adit_device *device;
  assert_int_equal(adit_device_attach(fd, true, &device), 0);
  assert_int_equal(write_bytes(device, "anything", 8), 0);
  /* It gives as many bytes as there is room for, and one more: not a packet that fits. */
  struct adit_pool *pool;
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_pool_new(1, &pool), 0);
  assert_int_equal(adit_device_read(device, pool, &buffer), -EBADMSG);
  assert_null(buffer);
  assert_int_equal(adit_device_dropped(device), 1);
  adit_pool_free(pool);
  adit_device_close(device);
}

/* ---- packets over sockets ---- */

static void test_packets_over_sockets(void **state) {
  (void)state;
  static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    int fds[2];
    make_sockets(types[i], fds);
    struct adit_device *device;
    struct adit_pool *pool;
    struct adit_buffer *buffer = NULL;
    assert_int_equal(adit_device_attach(fds[0], true, &device), 0);
    assert_int_equal(adit_pool_new(0, &pool), 0);
    assert_int_equal(adit_device_read(device, pool, &buffer), -EAGAIN);

    uint8_t payload[5], packet[128], got[128];
    support_pattern(payload, sizeof payload);
    size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, payload, sizeof payload);
    assert_int_equal(send(fds[1], packet, length, 0), length);
    assert_int_equal(send(fds[1], packet, 1, 0), 1);
    assert_int_equal(adit_device_read(device, pool, &buffer), 1);
    assert_int_equal(buffer->length, length);
    assert_memory_equal(buffer->data, packet, length);
    assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_NONE);
    adit_buffer_unref(buffer);
    assert_int_equal(adit_device_read(device, pool, &buffer), 1); /* boundaries are kept */
    assert_int_equal(buffer->length, 1);
    adit_buffer_unref(buffer);

    /* A partial checksum is finished, and the packet given stays as it is. */
    uint8_t partial[128];
    support_seal_partial(packet, length);
    memcpy(partial, packet, length);
    struct iovec iov[] = {{packet, 27}, {packet + 27, length - 27}}; /* the field is half in each */
    struct adit_packet out = {
        .iov = iov,
        .iovcnt = 2,
        .length = length,
        .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}};
    assert_int_equal(adit_device_write(device, &out), 0);
    assert_int_equal(recv(fds[1], got, sizeof got, 0), length);
    assert_true(support_sealed(got, length));
    assert_memory_equal(got + 28, payload, sizeof payload);
    assert_memory_equal(packet, partial, length);

    /* Nobody reads: the queue fills, and that is said. */
    int result = 0;
    for (int n = 0; n < 100000 && result == 0; n++) result = write_bytes(device, packet, length);
    assert_int_equal(result, -EAGAIN);

    assert_int_equal(adit_pool_in_use(pool), 0);
    adit_pool_free(pool);
    adit_device_close(device);
    close(fds[1]);
  }
}

/* The other side goes away: datagram sockets may hope for another one, seqpacket sockets tell that it is the end. */
static void test_other_side_is_gone(void **state) {
  (void)state;
  static const struct {
    int type;
    int read, write;
  } cases[] = {{SOCK_DGRAM, -EAGAIN, -ECONNREFUSED}, {SOCK_SEQPACKET, 0, -EPIPE}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int fds[2];
    make_sockets(cases[i].type, fds);
    struct adit_device *device;
    struct adit_pool *pool;
    struct adit_buffer *buffer = NULL;
    assert_int_equal(adit_device_attach(fds[0], true, &device), 0);
    assert_int_equal(adit_pool_new(0, &pool), 0);
    close(fds[1]);
    int result = adit_device_read(device, pool, &buffer);
    if (result == -ECONNRESET) result = adit_device_read(device, pool, &buffer); /* said once by datagram sockets */
    assert_int_equal(result, cases[i].read);
    assert_int_equal(write_bytes(device, "E", 1), cases[i].write);
    adit_pool_free(pool);
    adit_device_close(device);
  }
}

static void test_empty_and_oversized_are_dropped(void **state) {
  (void)state;
  int fds[2];
  make_sockets(SOCK_DGRAM, fds);
  struct adit_device *device;
  struct adit_pool *pool;
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_attach(fds[0], true, &device), 0);
  assert_int_equal(adit_pool_new(1, &pool), 0);
  buffer = adit_buffer_new(pool);
  assert_non_null(buffer);
  size_t capacity = buffer->capacity;
  adit_buffer_unref(buffer);
  uint8_t *bytes = calloc(1, capacity + 1);
  assert_non_null(bytes);
  bytes[capacity - 1] = 0x77;
  static const int results[] = {-EBADMSG, -EBADMSG, 1, -EAGAIN};
  assert_int_equal(send(fds[1], bytes, 0, 0), 0);
  assert_int_equal(send(fds[1], bytes, capacity + 1, 0), capacity + 1);
  assert_int_equal(send(fds[1], bytes, capacity, 0), capacity);
  for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
    buffer = NULL;
    assert_int_equal(adit_device_read(device, pool, &buffer), results[i]);
    if (buffer == NULL) continue;
    assert_int_equal(buffer->length, capacity);
    assert_int_equal(buffer->data[capacity - 1], 0x77);
    adit_buffer_unref(buffer);
  }
  assert_int_equal(adit_device_dropped(device), 2);
  assert_int_equal(adit_pool_in_use(pool), 0);
  free(bytes);
  adit_pool_free(pool);
  adit_device_close(device);
  close(fds[1]);
}

/* ---- headers in front of packets ---- */

static struct adit_device *device_with_header(int fd, bool information, uint8_t vnet_length) {
  struct adit_fd_layout layout = {.fd = fd,
                                  .own = true,
                                  .socket = true,
                                  .information = information,
                                  .vnet_length = vnet_length,
                                  .link = ADIT_LINK_IP,
                                  .offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4,
                                  .name = "headed"};
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  struct adit_device *device;
  assert_int_equal(adit_fd_new(&layout, &device), 0);
  return device;
}

static void test_hostile_headers_are_dropped(void **state) {
  (void)state;
  enum { PACKET = 28 };
  /* flags, type, header length, segment size, start, offset; little endian like every machine this is run on */
  static const struct {
    uint8_t header[10];
    size_t length; /* bytes sent, header included */
    int result;
  } cases[] = {
      {{0}, 10 + PACKET, 1},
      {{0}, 10, -EBADMSG}, /* a header and no packet */
      {{0}, 9, -EBADMSG},  /* half a header */
      {{0}, 0, -EBADMSG},
      {{4}, 10 + PACKET, -EBADMSG},
      {{1, 0, 0, 0, 0, 0, 20, 0, 6, 0}, 10 + PACKET, 1},
      {{1, 0, 0, 0, 0, 0, 21, 0, 6, 0}, 10 + PACKET, -EBADMSG}, /* sum behind the packet */
      {{1, 0, 0, 0, 0, 0, 255, 255, 255, 255}, 10 + PACKET, -EBADMSG},
      {{0, 1, 0, 0, 0, 0}, 10 + PACKET, -EBADMSG},    /* segments of no bytes */
      {{0, 1, 255, 255, 1, 0}, 10 + PACKET, 1},       /* a false hint is only a hint */
      {{0, 0x85, 0, 0, 1, 0}, 10 + PACKET, -EBADMSG}, /* UDP with ECN */
      {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, 10 + PACKET, -EBADMSG},
  };
  int fds[2];
  make_sockets(SOCK_DGRAM, fds);
  struct adit_device *device = device_with_header(fds[0], false, 10);
  struct adit_pool *pool;
  assert_int_equal(adit_pool_new(1, &pool), 0);
  uint64_t dropped = 0;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t bytes[10 + PACKET] = {0};
    memcpy(bytes, cases[i].header, 10);
    support_udp4(bytes + 10, "10.0.0.1", "10.0.0.2", 1, 2, NULL, 0);
    assert_int_equal(send(fds[1], bytes, cases[i].length, 0), cases[i].length);
    struct adit_buffer *buffer = NULL;
    int result = adit_device_read(device, pool, &buffer);
    if (result != cases[i].result) fail_msg("case %zu: %d, not %d", i, result, cases[i].result);
    if (result == 1) {
      assert_int_equal(buffer->length, PACKET);
      assert_memory_equal(buffer->data, bytes + 10, PACKET);
      adit_buffer_unref(buffer);
    } else {
      dropped++;
    }
    assert_int_equal(adit_device_dropped(device), dropped);
    assert_int_equal(adit_pool_in_use(pool), 0);
  }
  adit_pool_free(pool);
  adit_device_close(device);
  close(fds[1]);
}

/* Longer headers, and the packet information in front of them: the packet starts behind both. */
static void test_header_layouts(void **state) {
  (void)state;
  static const struct {
    bool information;
    uint8_t vnet_length;
  } cases[] = {{false, 10}, {false, 12}, {false, 24}, {true, 0}, {true, 10}, {true, 60}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int version = 4; version <= 6; version += 2) {
      int fds[2];
      make_sockets(SOCK_DGRAM, fds);
      struct adit_device *device = device_with_header(fds[0], cases[i].information, cases[i].vnet_length);
      size_t vnet_at = cases[i].information ? 4 : 0, head = vnet_at + cases[i].vnet_length;
      uint8_t packet[128], got[256], expected[64] = {0};
      uint16_t start = version == 4 ? 20 : 40;
      size_t length = version == 4 ? support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3)
                                   : support_udp6(packet, "fd00::1", "fd00::2", 1, 2, "abc", 3);
      support_seal_partial(packet, length);
      struct iovec iov[] = {{packet, 0}, {packet, length}};
      struct adit_packet out = {
          .iov = iov,
          .iovcnt = 2,
          .length = length,
          .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = start, .checksum_offset = 6}};
      assert_int_equal(adit_device_write(device, &out), 0);
      assert_int_equal(recv(fds[1], got, sizeof got, 0), head + length);
      if (cases[i].information) support_put16(expected + 2, version == 4 ? 0x0800 : 0x86dd);
      if (cases[i].vnet_length != 0) {
        expected[vnet_at] = 1;
        memcpy(expected + vnet_at + 6, &start, sizeof start);
        expected[vnet_at + 8] = 6;
        assert_memory_equal(got + head, packet, length);
      } else {
        assert_true(support_sealed(got + head, length));
      }
      assert_memory_equal(got, expected, head);

      struct adit_pool *pool;
      struct adit_buffer *buffer = NULL;
      assert_int_equal(adit_pool_new(1, &pool), 0);
      assert_int_equal(send(fds[1], got, head + length, 0), head + length);
      assert_int_equal(adit_device_read(device, pool, &buffer), 1);
      assert_int_equal(buffer->length, length);
      assert_memory_equal(buffer->data, got + head, length);
      assert_int_equal(buffer->offload.checksum,
                       cases[i].vnet_length != 0 ? ADIT_CHECKSUM_PARTIAL : ADIT_CHECKSUM_NONE);
      adit_buffer_unref(buffer);
      adit_pool_free(pool);

      if (cases[i].information) {
        packet[0] = 0x50; /* no version that has an EtherType */
        out.offload = (struct adit_offload){0};
        assert_int_equal(adit_device_write(device, &out), -EINVAL);
      }
      adit_device_close(device);
      close(fds[1]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused_fds),
      cmocka_unit_test(test_ownership),
      cmocka_unit_test(test_other_character_device),
      cmocka_unit_test(test_packets_over_sockets),
      cmocka_unit_test(test_other_side_is_gone),
      cmocka_unit_test(test_empty_and_oversized_are_dropped),
      cmocka_unit_test(test_hostile_headers_are_dropped),
      cmocka_unit_test(test_header_layouts),
  };
  return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
