/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * For tests below TCP: packets with offload notes in, drops counted exactly, fragments that come out put together.
 */
#include "support_ip.h"

#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void support_ip_input(struct support_lab *lab, const uint8_t *bytes, size_t length,
                      const struct adit_offload *offload) {
  struct adit_buffer *buffer = adit_buffer_new(lab->pool);
  assert_non_null(buffer);
  assert_true(length <= buffer->capacity);
  if (length > 0) memcpy(buffer->data, bytes, length);
  buffer->length = (uint32_t)length;
  if (offload) buffer->offload = *offload;
  adit_stack_input(lab->stack, buffer);
}

void support_ip_give(void *user, const uint8_t *fragment, size_t length) {
  support_ip_input(user, fragment, length, NULL);
}

void support_ip_drops(struct support_lab *lab, struct support_drops *drops, enum adit_drop reason, uint64_t count,
                      const char *what) {
  struct adit_stack_stats stats;
  bool right = true;
  adit_stack_stats(lab->stack, &stats);
  for (unsigned i = 0; i < ADIT_DROPS; i++) {
    uint64_t expected = i == reason ? count : 0;
    uint64_t found = stats.drops[i] - drops->seen[i];
    drops->seen[i] = stats.drops[i];
    if (found == expected) continue;
    print_error("%s: dropped for '%s': expected %llu, found %llu\n", what, adit_drop_name(i),
                (unsigned long long)expected, (unsigned long long)found);
    right = false;
  }
  assert_true(right);
}

void support_ip_no_drops(struct support_lab *lab, struct support_drops *drops, const char *what) {
  support_ip_drops(lab, drops, ADIT_DROP_MEMORY, 0, what);
}

size_t support_ip_waiting(const struct support_lab *lab) {
  size_t count = 0;
  for (const struct support_out *out = lab->first; out; out = out->next) count++;
  return count;
}

void support_ip_forget(struct support_lab *lab) {
  struct support_out *out;
  while ((out = support_lab_take(lab))) free(out);
}

/* What a fragment says of itself. */
struct piece {
  size_t header; /* bytes in front of the data */
  size_t offset;
  uint32_t id;
  uint8_t protocol;
  bool fragment;
  bool more;
};

static struct piece piece_of(const struct support_out *out) {
  const uint8_t *ip = out->bytes;
  struct piece piece = {.header = 40, .protocol = ip[6]};
  if (ip[0] >> 4 == 4) {
    assert_int_equal(ip[0], 0x45);
    assert_int_equal(support_sum_field(support_sum(0, ip, 20)), 0);
    assert_int_equal(support_get16(ip + 2), out->length);
    unsigned field = support_get16(ip + 6);
    piece = (struct piece){20,    (field & 0x1fff) * 8U, support_get16(ip + 4),
                           ip[9], (field & 0x3fff) != 0, (field & 0x2000) != 0};
    return piece;
  }
  assert_int_equal(ip[0] >> 4, 6);
  assert_int_equal(support_get16(ip + 4) + 40, out->length);
  if (ip[6] != IPPROTO_FRAGMENT) return piece;
  unsigned field = support_get16(ip + 42);
  return (struct piece){48, field & 0xfff8, support_get32(ip + 44), ip[40], true, (field & 1) != 0};
}

static void check_checksum(const struct support_out *out, uint8_t *whole, size_t length) {
  if (out->offload.checksum == ADIT_CHECKSUM_PARTIAL) {
    uint8_t partial[2];
    size_t field = (size_t)out->offload.checksum_start + out->offload.checksum_offset;
    memcpy(partial, whole + field, 2);
    support_seal_partial(whole, length);
    assert_memory_equal(partial, whole + field, 2);
    support_seal(whole, length);
  } else {
    assert_int_equal(out->offload.checksum, ADIT_CHECKSUM_NONE);
    assert_true(support_sealed(whole, length));
  }
}

size_t support_ip_collect(struct support_lab *lab, size_t mtu, uint8_t *whole, size_t *pieces) {
  struct support_out *out = support_lab_take(lab);
  assert_non_null(out);
  struct piece first = piece_of(out);
  size_t head = out->bytes[0] >> 4 == 4 ? 20 : 40;
  size_t length = head;
  size_t count = 0;
  memcpy(whole, out->bytes, head);
  for (;;) {
    struct piece piece = piece_of(out);
    size_t bytes = out->length - piece.header;
    assert_in_range(out->length, 1, mtu);
    assert_int_equal(piece.offset, length - head);
    assert_int_equal(piece.id, first.id);
    assert_int_equal(piece.protocol, first.protocol);
    if (piece.more) assert_int_equal(bytes % 8, 0);
    memcpy(whole + length, out->bytes + piece.header, bytes);
    length += bytes;
    count++;
    if (!piece.more) break;
    assert_int_equal(out->offload.checksum, ADIT_CHECKSUM_NONE);
    free(out);
    out = support_lab_take(lab);
    assert_non_null(out);
  }
  if (head == 20) {
    support_put16(whole + 2, (uint32_t)length);
    support_put16(whole + 6, 0);
    support_put16(whole + 10, 0);
    support_put16(whole + 10, support_sum_field(support_sum(0, whole, 20)));
  } else {
    support_put16(whole + 4, (uint32_t)(length - 40));
    whole[6] = first.protocol;
  }
  check_checksum(out, whole, length);
  free(out);
  if (pieces) *pieces = count;
  return length;
}
