/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Captures as devices. The files are made byte by byte here, so that the test shares nothing with libpcap.
 */
#include <adit/device.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support_packet.h"

/* LINKTYPE_* as they stand in files (tcpdump.org/linktypes.html). */
enum {
  LINK_NULL = 0,
  LINK_ETHERNET = 1,
  LINK_RAW = 101,
  LINK_IEEE802_11 = 105,
  LINK_LOOP = 108,
  LINK_SLL = 113,
  LINK_IPV4 = 228,
  LINK_IPV6 = 229,
  LINK_SLL2 = 276
};

static const uint32_t micro_magic = 0xa1b2c3d4, nano_magic = 0xa1b23c4d;

static char folder[] = "/tmp/adit-test-pcap-XXXXXX";
static char in_path[64], out_path[64];

/* A file in the making. */
struct file {
  uint8_t bytes[1 << 18];
  size_t length;
  bool swapped; /* in the order of the other kind of machine */
};

static struct file file;

static void add(const void *bytes, size_t length) {
  assert_true(file.length + length <= sizeof file.bytes);
  if (length != 0) memcpy(file.bytes + file.length, bytes, length);
  file.length += length;
}

static void add16(uint16_t value) {
  if (file.swapped) value = __builtin_bswap16(value);
  add(&value, sizeof value);
}

static void add32(uint32_t value) {
  if (file.swapped) value = __builtin_bswap32(value);
  add(&value, sizeof value);
}

static void file_begin(uint32_t magic, uint32_t link) {
  file.length = 0;
  add32(magic);
  add16(2);
  add16(4);
  add32(0);
  add32(0);
  add32(65535);
  add32(link);
}

/* One record: `captured` of `length` bytes; the bytes themselves are `head` and then `bytes`. */
static void file_record(uint32_t seconds, uint32_t fraction, const void *head, size_t head_length, const void *bytes,
                        size_t length, size_t cut) {
  add32(seconds);
  add32(fraction);
  add32((uint32_t)(head_length + length - cut));
  add32((uint32_t)(head_length + length));
  add(head, head_length);
  add(bytes, length - cut);
}

static void file_save(void) {
  FILE *to = fopen(in_path, "wb");
  assert_non_null(to);
  assert_int_equal(fwrite(file.bytes, 1, file.length, to), file.length);
  assert_int_equal(fclose(to), 0);
}

static size_t load(const char *path, uint8_t *bytes, size_t room) {
  FILE *from = fopen(path, "rb");
  assert_non_null(from);
  size_t length = fread(bytes, 1, room, from);
  fclose(from);
  return length;
}

static struct adit_device *open_in(void) {
  struct adit_device *device = NULL;
  char reason[256] = "";
  int result = adit_device_pcap(in_path, NULL, &device, reason);
  if (result != 0) fail_msg("%d (%s), not 0", result, reason);
  assert_string_equal(adit_device_name(device), "pcap");
  assert_int_equal(adit_device_fd(device), -1);
  assert_int_equal(adit_device_offload(device), 0);
  return device;
}

static struct adit_pool *pool;

static void assert_reads(struct adit_device *device, const void *bytes, size_t length) {
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(device, pool, &buffer), 1);
  assert_int_equal(buffer->length, length);
  assert_memory_equal(buffer->data, bytes, length);
  assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_NONE);
  adit_buffer_unref(buffer);
}

static void assert_reads_nothing(struct adit_device *device, int result) {
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(device, pool, &buffer), result);
  assert_null(buffer);
}

static void assert_ends(struct adit_device *device) {
  assert_reads_nothing(device, 0);
  assert_reads_nothing(device, 0);
}

/* ---- reading ---- */

static void test_stamps_and_order(void **state) {
  (void)state;
  static const struct {
    uint32_t magic;
    bool swapped;
    uint64_t unit;
  } cases[] = {{micro_magic, false, 1000}, {micro_magic, true, 1000}, {nano_magic, false, 1}, {nano_magic, true, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t packet[3][200];
    size_t length[3];
    file.swapped = cases[i].swapped;
    file_begin(cases[i].magic, LINK_RAW);
    for (unsigned n = 0; n < 3; n++) {
      length[n] = support_udp4(packet[n], "10.0.0.1", "10.0.0.2", 1, 2, "packets", n);
      file_record(1700000000 + n, 999999 - n, NULL, 0, packet[n], length[n], 0);
    }
    file_save();
    struct adit_device *device = open_in();
    assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
    assert_int_equal(adit_device_pcap_stamp(device), 0);
    for (unsigned n = 0; n < 3; n++) {
      assert_reads(device, packet[n], length[n]);
      assert_int_equal(adit_device_pcap_stamp(device), (1700000000ULL + n) * 1000000000 + (999999 - n) * cases[i].unit);
    }
    assert_ends(device);
    assert_int_equal(adit_device_dropped(device), 0);
    adit_device_close(device);
  }
  file.swapped = false;
}

static void test_link_types(void **state) {
  (void)state;
  static const uint8_t sll4[16] = {[5] = 6, [14] = 0x08, [15] = 0x00}, sll6[16] = {[14] = 0x86, [15] = 0xdd},
                       sll_arp[16] = {[14] = 0x08, [15] = 0x06};
  static const uint8_t sll2_4[20] = {0x08, 0x00, [7] = 3}, sll2_6[20] = {0x86, 0xdd}, sll2_arp[20] = {0x08, 0x06};
  static const uint8_t null4[4] = {2}, null4_big[4] = {0, 0, 0, 2}, null6_linux[4] = {10}, null6_bsd[4] = {24},
                       null6_free[4] = {28}, null6_mac[4] = {0, 0, 0, 30}, null_ipx[4] = {23},
                       null_none[4] = {2, 0, 0, 2};
  static const struct {
    uint32_t link;
    const uint8_t *head;
    size_t head_length;
    int version;
    int result;
  } cases[] = {
      {LINK_RAW, NULL, 0, 4, 1},
      {LINK_RAW, NULL, 0, 6, 1},
      {LINK_IPV4, NULL, 0, 4, 1},
      {LINK_IPV6, NULL, 0, 6, 1},
      {LINK_SLL, sll4, sizeof sll4, 4, 1},
      {LINK_SLL, sll6, sizeof sll6, 6, 1},
      {LINK_SLL, sll_arp, sizeof sll_arp, 4, -EBADMSG},
      {LINK_SLL2, sll2_4, sizeof sll2_4, 4, 1},
      {LINK_SLL2, sll2_6, sizeof sll2_6, 6, 1},
      {LINK_SLL2, sll2_arp, sizeof sll2_arp, 4, -EBADMSG},
      {LINK_NULL, null4, 4, 4, 1},
      {LINK_NULL, null4_big, 4, 4, 1},
      {LINK_NULL, null6_linux, 4, 6, 1},
      {LINK_NULL, null6_bsd, 4, 6, 1},
      {LINK_NULL, null6_free, 4, 6, 1},
      {LINK_NULL, null6_mac, 4, 6, 1},
      {LINK_NULL, null_ipx, 4, 4, -EBADMSG},
      {LINK_NULL, null_none, 4, 4, -EBADMSG},
      {LINK_LOOP, null4_big, 4, 4, 1},
      {LINK_LOOP, null6_mac, 4, 6, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint8_t packet[128];
    size_t length = cases[i].version == 4 ? support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3)
                                          : support_udp6(packet, "fd00::1", "fd00::2", 1, 2, "abc", 3);
    file_begin(micro_magic, cases[i].link);
    file_record(1, 2, cases[i].head, cases[i].head_length, packet, length, 0);
    /* A header and nothing behind it, and half a header, are no packets. */
    if (cases[i].head_length != 0) {
      file_record(1, 2, cases[i].head, cases[i].head_length, NULL, 0, 0);
      file_record(1, 2, cases[i].head, cases[i].head_length / 2, NULL, 0, 0);
    }
    file_save();
    struct adit_device *device = open_in();
    assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
    struct adit_buffer *buffer = NULL;
    int result = adit_device_read(device, pool, &buffer);
    if (result != cases[i].result) fail_msg("case %zu: %d, not %d", i, result, cases[i].result);
    if (result == 1) {
      assert_int_equal(buffer->length, length);
      assert_memory_equal(buffer->data, packet, length);
      assert_int_equal((uintptr_t)buffer->data % 4, 0);
      adit_buffer_unref(buffer);
    }
    if (cases[i].head_length != 0) {
      assert_reads_nothing(device, -EBADMSG);
      assert_reads_nothing(device, -EBADMSG);
    }
    assert_ends(device);
    adit_device_close(device);
  }
}

static void test_ethernet(void **state) {
  (void)state;
  static const uint8_t dst[6] = {2, 0, 0, 0, 0, 1}, src[6] = {2, 0, 0, 0, 0, 2};
  uint8_t frame[2][128];
  size_t length[2] = {support_udp4(frame[0], "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3)};
  length[0] = support_ethernet(frame[0], length[0], dst, src, 0x0800);
  length[1] = support_arp(frame[1], 1, src, "10.0.0.1", dst, "10.0.0.2");
  file_begin(nano_magic, LINK_ETHERNET);
  for (int i = 0; i < 2; i++) file_record(1, 2, NULL, 0, frame[i], length[i], 0);
  file_save();
  struct adit_device *device = open_in();
  assert_int_equal(adit_device_link(device), ADIT_LINK_ETHERNET);
  struct adit_buffer *buffer;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(adit_device_read(device, pool, &buffer), 1);
    assert_int_equal(buffer->length, length[i]);
    assert_memory_equal(buffer->data, frame[i], length[i]);
    assert_int_equal(((uintptr_t)buffer->data + 14) % 4, 0);
    adit_buffer_unref(buffer);
  }
  assert_ends(device);
  adit_device_close(device);
}

/* Section header, one interface with nanosecond stamps, one packet. */
static void test_pcapng(void **state) {
  (void)state;
  uint8_t packet[64];
  size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abcd", 4);
  assert_int_equal(length % 4, 0);
  uint64_t stamp = 1700000000123456789;
  file.length = 0;
  const uint32_t words[] = {0x0a0d0d0a,
                            28,
                            0x1a2b3c4d,
                            1,
                            0xffffffff,
                            0xffffffff,
                            28,
                            1,
                            32,
                            LINK_RAW,
                            65535,
                            9U | 1U << 16,
                            9,
                            0,
                            32,
                            6,
                            32 + (uint32_t)length,
                            0,
                            (uint32_t)(stamp >> 32),
                            (uint32_t)stamp,
                            (uint32_t)length,
                            (uint32_t)length};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) add32(words[i]);
  add(packet, length);
  add32(32 + (uint32_t)length);
  size_t whole = file.length;
  file_save();
  struct adit_device *device = open_in();
  assert_reads(device, packet, length);
  assert_int_equal(adit_device_pcap_stamp(device), stamp);
  assert_ends(device);
  adit_device_close(device);

  file.length = whole - 7;
  file_save();
  device = open_in();
  assert_reads_nothing(device, -ENODATA);
  assert_ends(device);
  adit_device_close(device);
}

/* ---- captures with faults ---- */

/* Cut at every byte of the second record: the first is delivered, the fault is told once, then it is the end. */
static void test_file_ends_early(void **state) {
  (void)state;
  uint8_t packet[64];
  size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3);
  file_begin(micro_magic, LINK_RAW);
  file_record(1, 2, NULL, 0, packet, length, 0);
  size_t first = file.length;
  file_record(3, 4, NULL, 0, packet, length, 0);
  size_t whole = file.length;
  for (size_t cut = first; cut <= whole; cut++) {
    file.length = cut;
    file_save();
    struct adit_device *device = open_in();
    assert_reads(device, packet, length);
    if (cut == whole) {
      assert_reads(device, packet, length);
    } else if (cut > first) {
      assert_reads_nothing(device, -ENODATA);
    }
    assert_ends(device);
    assert_int_equal(adit_device_dropped(device), 0);
    adit_device_close(device);
  }
}

static void test_records_not_stored_whole(void **state) {
  (void)state;
  uint8_t packet[64];
  size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3);
  file_begin(micro_magic, LINK_RAW);
  file_record(1, 0, NULL, 0, packet, length, 1);
  file_record(2, 0, NULL, 0, packet, length, length);
  file_record(3, 0, NULL, 0, NULL, 0, 0);
  file_record(4, 0, NULL, 0, packet, length, 0);
  file_save();
  struct adit_device *device = open_in();
  for (uint64_t i = 1; i <= 3; i++) {
    assert_reads_nothing(device, -EBADMSG);
    assert_int_equal(adit_device_dropped(device), i);
    assert_int_equal(adit_device_pcap_stamp(device), i * 1000000000);
  }
  assert_reads(device, packet, length);
  assert_ends(device);
  adit_device_close(device);
}

static void test_record_longer_than_a_packet(void **state) {
  (void)state;
  static uint8_t big[ADIT_PACKET_MAX + 3];
  big[0] = 0x45;
  file_begin(micro_magic, LINK_RAW);
  file_record(1, 0, NULL, 0, big, ADIT_PACKET_MAX + 3, 0);
  file_record(2, 0, NULL, 0, big, ADIT_PACKET_MAX, 0);
  file_save();
  /* The header says a snap length of 65535; libpcap hands out no more than that, and the rest is not there. */
  struct adit_device *device = open_in();
  assert_reads_nothing(device, -EBADMSG);
  assert_reads_nothing(device, -EBADMSG);
  assert_ends(device);
  adit_device_close(device);
  uint32_t snap = 262144;
  memcpy(file.bytes + 16, &snap, sizeof snap);
  file_save();
  device = open_in();
  assert_reads_nothing(device, -EBADMSG);
  assert_reads(device, big, ADIT_PACKET_MAX);
  assert_ends(device);
  adit_device_close(device);
}

static void test_garbage_in_the_middle(void **state) {
  (void)state;
  uint8_t packet[64], garbage[64];
  size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3);
  memset(garbage, 0xff, sizeof garbage);
  file_begin(micro_magic, LINK_RAW);
  file_record(1, 2, NULL, 0, packet, length, 0);
  add(garbage, sizeof garbage);
  file_save();
  struct adit_device *device = open_in();
  assert_reads(device, packet, length);
  assert_reads_nothing(device, -ENODATA);
  assert_ends(device);
  adit_device_close(device);
}

static void test_files_that_cannot_be_opened(void **state) {
  (void)state;
  struct adit_device *device = NULL;
  char reason[256];
  file.length = 0;
  add("this is a text, and no capture at all", 37);
  file_save();
  assert_int_equal(adit_device_pcap(in_path, NULL, &device, reason), -EINVAL);
  assert_non_null(strstr(reason, in_path));
  assert_non_null(strstr(reason, "not a capture"));
  file.length = 0;
  file_save();
  assert_int_equal(adit_device_pcap(in_path, NULL, &device, reason), -EINVAL);
  assert_int_equal(adit_device_pcap(folder, NULL, &device, reason), -EINVAL);
  file_begin(micro_magic, LINK_IEEE802_11);
  file_save();
  assert_int_equal(adit_device_pcap(in_path, NULL, &device, reason), -EPROTONOSUPPORT);
  assert_non_null(strstr(reason, "IEEE802_11"));
  assert_int_equal(adit_device_pcap(in_path, NULL, &device, NULL), -EPROTONOSUPPORT);
  assert_int_equal(adit_device_pcap("/nowhere/at/all", NULL, &device, reason), -ENOENT);
  assert_non_null(strstr(reason, "/nowhere/at/all"));
  assert_int_equal(adit_device_pcap(NULL, "/nowhere/at/all", &device, reason), -ENOENT);
  assert_non_null(strstr(reason, "/nowhere/at/all"));
  if (geteuid() != 0) { /* root may read everything */
    assert_int_equal(chmod(in_path, 0), 0);
    assert_int_equal(adit_device_pcap(in_path, NULL, &device, reason), -EACCES);
    assert_int_equal(chmod(in_path, 0600), 0);
  }
  assert_null(device);

  /* Written over what is read: refused before it is emptied. */
  file_begin(micro_magic, LINK_RAW);
  file_save();
  assert_int_equal(adit_device_pcap(in_path, in_path, &device, reason), -EINVAL);
  assert_non_null(strstr(reason, "both"));
  struct stat status;
  assert_int_equal(stat(in_path, &status), 0);
  assert_int_equal(status.st_size, file.length);
  assert_null(device);
}

/* ---- writing ---- */

static int put(struct adit_device *device, struct iovec *iov, unsigned count, struct adit_offload offload) {
  struct adit_packet packet = {.iov = iov, .iovcnt = count, .offload = offload};
  for (unsigned i = 0; i < count; i++) packet.length += iov[i].iov_len;
  return adit_device_write(device, &packet);
}

static void test_written_file(void **state) {
  (void)state;
  uint8_t packet[64], partial[64], got[512];
  size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3);
  memcpy(partial, packet, length);
  support_seal_partial(partial, length);
  struct adit_device *device;
  char reason[256];
  assert_int_equal(adit_device_pcap(NULL, out_path, &device, reason), 0);
  assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
  assert_ends(device); /* nothing to read */
  adit_device_pcap_time(device, 1700000000123456789);
  struct iovec whole = {packet, length}, pieces[] = {{partial, 27}, {partial + 27, 0}, {partial + 27, length - 27}};
  assert_int_equal(put(device, &whole, 1, (struct adit_offload){0}), 0);
  adit_device_pcap_time(device, 2);
  assert_int_equal(
      put(device, pieces, 3,
          (struct adit_offload){.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}),
      0);
  assert_int_equal(put(device, &whole, 1,
                       (struct adit_offload){.gso = ADIT_GSO_UDP,
                                             .gso_size = 1,
                                             .checksum = ADIT_CHECKSUM_PARTIAL,
                                             .checksum_start = 20,
                                             .checksum_offset = 6}),
                   -EOPNOTSUPP);
  /* What was written is in the file, whether it is closed or not. */
  file_begin(nano_magic, LINK_RAW);
  uint32_t snap = 262144;
  memcpy(file.bytes + 16, &snap, sizeof snap);
  file_record(1700000000, 123456789, NULL, 0, packet, length, 0);
  file_record(0, 2, NULL, 0, packet, length, 0);
  for (int closed = 0; closed <= 1; closed++) {
    assert_int_equal(load(out_path, got, sizeof got), file.length);
    assert_memory_equal(got, file.bytes, file.length);
    if (!closed) adit_device_close(device);
  }
}

/* From one file to the other, link type and stamps included; what is written can be read again. */
static void test_copy(void **state) {
  (void)state;
  static const uint32_t links[] = {LINK_RAW, LINK_ETHERNET, LINK_SLL2};
  static const uint8_t sll2[20] = {0x08, 0x00};
  for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
    uint8_t packet[64];
    size_t length = support_udp4(packet, "10.0.0.1", "10.0.0.2", 1, 2, "abc", 3);
    file_begin(micro_magic, links[i]);
    file_record(5, 6, sll2, links[i] == LINK_SLL2 ? sizeof sll2 : 0, packet, length, 0);
    file_save();
    struct adit_device *device;
    char reason[256];
    assert_int_equal(adit_device_pcap(in_path, out_path, &device, reason), 0);
    struct adit_buffer *buffer;
    assert_int_equal(adit_device_read(device, pool, &buffer), 1);
    adit_device_pcap_time(device, adit_device_pcap_stamp(device));
    struct iovec iov = {buffer->data, buffer->length};
    assert_int_equal(put(device, &iov, 1, buffer->offload), 0);
    adit_buffer_unref(buffer);
    adit_device_close(device);

    assert_int_equal(adit_device_pcap(out_path, NULL, &device, reason), 0);
    assert_int_equal(adit_device_link(device), links[i] == LINK_ETHERNET ? ADIT_LINK_ETHERNET : ADIT_LINK_IP);
    assert_reads(device, packet, length);
    assert_int_equal(adit_device_pcap_stamp(device), 5000006000);
    assert_ends(device);
    adit_device_close(device);
  }
}

static void test_forgotten_writes_and_full_disk(void **state) {
  (void)state;
  struct adit_device *device;
  char reason[256];
  struct iovec iov = {(uint8_t[]){0x45, 0, 0, 0}, 4};
  assert_int_equal(adit_device_pcap(NULL, NULL, &device, reason), 0);
  assert_int_equal(put(device, &iov, 1, (struct adit_offload){0}), 0);
  assert_ends(device);
  adit_device_close(device);

  device = NULL;
  assert_int_equal(adit_device_pcap(NULL, "/dev/full", &device, reason), -ENOSPC);
  assert_non_null(strstr(reason, "/dev/full"));
  assert_null(device);
}

/* Only captures have stamps; others do not mind being asked. */
static void test_stamps_of_others(void **state) {
  (void)state;
  struct adit_device *ends[2];
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, 1, ends), 0);
  adit_device_pcap_time(ends[0], 7);
  assert_int_equal(adit_device_pcap_stamp(ends[0]), 0);
  adit_device_close(ends[0]);
  adit_device_close(ends[1]);
}

static int set_up(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(in_path, sizeof in_path, "%s/in", folder);
  snprintf(out_path, sizeof out_path, "%s/out", folder);
  return adit_pool_new(0, &pool);
}

static int tear_down(void **state) {
  (void)state;
  unlink(in_path);
  unlink(out_path);
  size_t held = adit_pool_in_use(pool);
  adit_pool_free(pool);
  return rmdir(folder) == 0 && held == 0 ? 0 : -1;
}

int main(void) {
  struct adit_device *device;
  if (adit_device_pcap(NULL, NULL, &device, NULL) == -ENOSYS) {
    fprintf(stderr, "test_pcap: SKIPPED: built without libpcap (ADIT_PCAP=OFF)\n");
    return 77;
  }
  adit_device_close(device);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stamps_and_order),
      cmocka_unit_test(test_link_types),
      cmocka_unit_test(test_ethernet),
      cmocka_unit_test(test_pcapng),
      cmocka_unit_test(test_file_ends_early),
      cmocka_unit_test(test_records_not_stored_whole),
      cmocka_unit_test(test_record_longer_than_a_packet),
      cmocka_unit_test(test_garbage_in_the_middle),
      cmocka_unit_test(test_files_that_cannot_be_opened),
      cmocka_unit_test(test_written_file),
      cmocka_unit_test(test_copy),
      cmocka_unit_test(test_forgotten_writes_and_full_disk),
      cmocka_unit_test(test_stamps_of_others),
  };
  return cmocka_run_group_tests_name("pcap", tests, set_up, tear_down);
}
