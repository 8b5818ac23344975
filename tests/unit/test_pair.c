/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Two devices back to back: order, bounds, offload notes, and what is left when one end goes.
 */
#include <adit/device.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_packet.h"

struct ends {
  struct adit_device *end[2];
  struct adit_pool *pool;
};

static struct ends ends_open(enum adit_link link, size_t depth) {
  struct ends ends;
  assert_int_equal(adit_device_pair(link, depth, ends.end), 0);
  assert_int_equal(adit_pool_new(0, &ends.pool), 0);
  return ends;
}

static void ends_close(struct ends *ends) {
  adit_device_close(ends->end[0]);
  adit_device_close(ends->end[1]);
  assert_int_equal(adit_pool_in_use(ends->pool), 0);
  adit_pool_free(ends->pool);
}

static int put(struct adit_device *device, const void *bytes, size_t length) {
  struct iovec iov = {(void *)(uintptr_t)bytes, length};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = length};
  return adit_device_write(device, &packet);
}

static void assert_reads(struct adit_device *device, struct adit_pool *pool, const void *bytes, size_t length) {
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(device, pool, &buffer), 1);
  assert_int_equal(buffer->length, length);
  assert_memory_equal(buffer->data, bytes, length);
  adit_buffer_unref(buffer);
}

static void assert_reads_nothing(struct adit_device *device, struct adit_pool *pool, int result) {
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(device, pool, &buffer), result);
  assert_null(buffer);
}

static void test_both_ways_in_order(void **state) {
  (void)state;
  struct ends ends = ends_open(ADIT_LINK_IP, 3);
  for (int side = 0; side < 2; side++) {
    assert_string_equal(adit_device_name(ends.end[side]), "pair");
    assert_int_equal(adit_device_fd(ends.end[side]), -1);
    assert_int_equal(adit_device_link(ends.end[side]), ADIT_LINK_IP);
    assert_reads_nothing(ends.end[side], ends.pool, -EAGAIN);
  }
  /* Several times round the ring, with one to three waiting, of growing and shrinking lengths. */
  uint8_t bytes[300];
  support_pattern(bytes, sizeof bytes);
  for (unsigned n = 0; n < 50; n++) {
    unsigned burst = 1 + n % 3;
    for (int side = 0; side < 2; side++) {
      for (unsigned i = 0; i < burst; i++)
        assert_int_equal(put(ends.end[side], bytes + side, 1 + (n * 37 + i) % 290), 0);
    }
    for (int side = 0; side < 2; side++) {
      for (unsigned i = 0; i < burst; i++) {
        assert_reads(ends.end[1 - side], ends.pool, bytes + side, 1 + (n * 37 + i) % 290);
      }
      assert_reads_nothing(ends.end[1 - side], ends.pool, -EAGAIN);
    }
  }
  ends_close(&ends);
}

static void test_full(void **state) {
  (void)state;
  struct ends ends = ends_open(ADIT_LINK_IP, 2);
  assert_int_equal(put(ends.end[0], "a", 1), 0);
  assert_int_equal(put(ends.end[0], "b", 1), 0);
  assert_int_equal(put(ends.end[0], "c", 1), -EAGAIN);
  assert_int_equal(put(ends.end[1], "d", 1), 0); /* the other direction has its own room */
  assert_reads(ends.end[1], ends.pool, "a", 1);
  assert_int_equal(put(ends.end[0], "e", 1), 0);
  assert_reads(ends.end[1], ends.pool, "b", 1);
  assert_reads(ends.end[1], ends.pool, "e", 1);
  assert_reads(ends.end[0], ends.pool, "d", 1);
  ends_close(&ends);
}

static void test_pieces_and_notes(void **state) {
  (void)state;
  struct ends ends = ends_open(ADIT_LINK_IP, 1);
  uint8_t bytes[2100];
  uint8_t payload[2000];
  support_pattern(payload, sizeof payload);
  size_t length = support_tcp6(bytes, "fd00::1", "fd00::2", 1, 2, 3, 4, SUPPORT_ACK, 5, NULL, 0, payload,
                               sizeof payload);
  struct iovec iov[] = {{bytes, 40}, {NULL, 0}, {bytes + 40, 21}, {bytes + 61, length - 61}};
  struct adit_packet packet = {.iov = iov,
                               .iovcnt = 4,
                               .length = length,
                               .offload = {.gso = ADIT_GSO_TCP6,
                                           .checksum = ADIT_CHECKSUM_PARTIAL,
                                           .ecn = true,
                                           .gso_size = 500,
                                           .header_length = 60,
                                           .checksum_start = 40,
                                           .checksum_offset = 16}};
  assert_int_equal(adit_device_write(ends.end[0], &packet), 0);
  struct adit_buffer *buffer;
  assert_int_equal(adit_device_read(ends.end[1], ends.pool, &buffer), 1);
  assert_int_equal(buffer->length, length);
  assert_memory_equal(buffer->data, bytes, length); /* a pair passes everything on and finishes nothing */
  assert_int_equal(buffer->offload.gso, ADIT_GSO_TCP6);
  assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_PARTIAL);
  assert_true(buffer->offload.ecn);
  assert_int_equal(buffer->offload.gso_size, 500);
  assert_int_equal(buffer->offload.header_length, 60);
  assert_int_equal(buffer->offload.checksum_start, 40);
  assert_int_equal(buffer->offload.checksum_offset, 16);
  adit_buffer_unref(buffer);
  /* Notes of one packet do not stay for the next. */
  assert_int_equal(put(ends.end[0], bytes, length), 0);
  assert_int_equal(adit_device_read(ends.end[1], ends.pool, &buffer), 1);
  assert_int_equal(buffer->offload.gso, ADIT_GSO_NONE);
  assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_NONE);
  adit_buffer_unref(buffer);
  packet.offload.gso_size = 0;
  assert_int_equal(adit_device_write(ends.end[0], &packet), -EINVAL);
  assert_reads_nothing(ends.end[1], ends.pool, -EAGAIN);
  ends_close(&ends);
}

static void test_ethernet_is_aligned(void **state) {
  (void)state;
  struct ends ends = ends_open(ADIT_LINK_ETHERNET, 1);
  uint8_t bytes[60];
  support_pattern(bytes, sizeof bytes);
  struct adit_buffer *buffer;
  assert_int_equal(adit_device_link(ends.end[0]), ADIT_LINK_ETHERNET);
  assert_int_equal(put(ends.end[0], bytes, sizeof bytes), 0);
  assert_int_equal(adit_device_read(ends.end[1], ends.pool, &buffer), 1);
  assert_int_equal(((uintptr_t)buffer->data + 14) % 4, 0);
  assert_true(buffer->capacity >= ADIT_PACKET_MAX);
  assert_memory_equal(buffer->data, bytes, sizeof bytes);
  adit_buffer_unref(buffer);
  ends_close(&ends);
}

static void test_bounds(void **state) {
  (void)state;
  struct adit_device *unused[2] = {NULL, NULL};
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, 0, unused), -EINVAL);
  assert_int_equal(adit_device_pair((enum adit_link)9, 1, unused), -EINVAL);
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, 1, NULL), -EINVAL);
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, SIZE_MAX, unused), -ENOMEM);
  assert_null(unused[0]);
  assert_null(unused[1]);

  struct ends ends = ends_open(ADIT_LINK_IP, 2);
  uint8_t *bytes = calloc(1, ADIT_PACKET_MAX + 1);
  assert_non_null(bytes);
  assert_int_equal(put(ends.end[0], bytes, ADIT_PACKET_MAX + 1), -EMSGSIZE);
  assert_int_equal(put(ends.end[0], bytes, 0), -EINVAL);
  assert_int_equal(put(ends.end[0], bytes, ADIT_PACKET_MAX), 0);
  assert_reads(ends.end[1], ends.pool, bytes, ADIT_PACKET_MAX);
  assert_int_equal(adit_device_dropped(ends.end[1]), 0);
  free(bytes);
  ends_close(&ends);
}

static void test_no_buffer_loses_nothing(void **state) {
  (void)state;
  struct ends ends = ends_open(ADIT_LINK_IP, 1);
  struct adit_pool *small;
  assert_int_equal(adit_pool_new(1, &small), 0);
  struct adit_buffer *held = adit_buffer_new(small);
  assert_int_equal(put(ends.end[0], "kept", 4), 0);
  assert_reads_nothing(ends.end[1], small, -ENOBUFS);
  adit_buffer_unref(held);
  assert_reads(ends.end[1], small, "kept", 4);
  adit_pool_free(small);
  ends_close(&ends);
}

static void test_one_end_goes(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    struct ends ends = ends_open(ADIT_LINK_IP, 2);
    struct adit_device *stays = ends.end[1 - side];
    assert_int_equal(put(ends.end[side], "last", 4), 0);
    assert_int_equal(put(stays, "lost", 4), 0);
    adit_device_close(ends.end[side]);
    ends.end[side] = NULL;
    assert_int_equal(put(stays, "x", 1), -EPIPE);
    assert_reads(stays, ends.pool, "last", 4);
    assert_reads_nothing(stays, ends.pool, -EPIPE);
    assert_reads_nothing(stays, ends.pool, -EPIPE);
    ends_close(&ends);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_ways_in_order),
      cmocka_unit_test(test_full),
      cmocka_unit_test(test_pieces_and_notes),
      cmocka_unit_test(test_ethernet_is_aligned),
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_no_buffer_loses_nothing),
      cmocka_unit_test(test_one_end_goes),
  };
  return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
