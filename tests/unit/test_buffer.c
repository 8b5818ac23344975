/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Pools and buffers: lifetime, bound, order, layout, memory; and the names of drop reasons.
 */
#include <adit/packet.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct adit_pool *pool_of(size_t limit) {
  struct adit_pool *pool = NULL;
  assert_int_equal(adit_pool_new(limit, &pool), 0);
  assert_non_null(pool);
  return pool;
}

/* Field by field: the struct has padding. */
static void check_no_notes(const struct adit_offload *offload) {
  assert_int_equal(offload->gso, ADIT_GSO_NONE);
  assert_int_equal(offload->checksum, ADIT_CHECKSUM_NONE);
  assert_false(offload->ecn);
  assert_int_equal(offload->gso_size, 0);
  assert_int_equal(offload->header_length, 0);
  assert_int_equal(offload->checksum_start, 0);
  assert_int_equal(offload->checksum_offset, 0);
}

static void a_new_buffer_is_empty(void **state) {
  struct adit_pool *pool = pool_of(0);
  struct adit_buffer *buffer = adit_buffer_new(pool);
  (void)state;
  assert_non_null(buffer);
  assert_ptr_equal(buffer->pool, pool);
  assert_int_equal(buffer->length, 0);
  assert_int_equal(buffer->refs, 1);
  check_no_notes(&buffer->offload);
  assert_in_range(buffer->capacity, ADIT_PACKET_MAX + 2, ADIT_PACKET_MAX + 4096);
  assert_int_equal(adit_pool_in_use(pool), 1);
  adit_buffer_unref(buffer);
  assert_int_equal(adit_pool_in_use(pool), 0);
  adit_pool_free(pool);
}

/* Under the address sanitizer the writes show that what the layout promises is really there. */
static void the_layout_has_headroom_and_capacity(void **state) {
  struct adit_pool *pool = pool_of(0);
  struct adit_buffer *buffer = adit_buffer_new(pool);
  (void)state;
  assert_int_equal((uintptr_t)buffer->data % 64, 0);
  assert_true(buffer->data - 64 >= (uint8_t *)(buffer + 1));
  memset(buffer->data - 64, 0x55, 64 + (size_t)buffer->capacity);
  assert_int_equal(buffer->refs, 1);
  assert_ptr_equal(buffer->pool, pool);
  adit_buffer_unref(buffer);
  adit_pool_free(pool);
}

static void a_used_buffer_comes_back_as_new(void **state) {
  struct adit_pool *pool = pool_of(0);
  struct adit_buffer *buffer = adit_buffer_new(pool);
  uint8_t *data = buffer->data;
  uint32_t capacity = buffer->capacity;
  (void)state;
  buffer->data += 2;
  buffer->capacity -= 2;
  buffer->length = 99;
  memset(&buffer->offload, 0xff, sizeof buffer->offload);
  memset(&buffer->u, 0xff, sizeof buffer->u);
  adit_buffer_unref(buffer);
  struct adit_buffer *again = adit_buffer_new(pool);
  assert_ptr_equal(again, buffer);
  assert_ptr_equal(again->data, data);
  assert_int_equal(again->capacity, capacity);
  assert_int_equal(again->length, 0);
  check_no_notes(&again->offload);
  adit_buffer_unref(again);
  adit_pool_free(pool);
}

static void the_last_one_back_is_the_first_one_out(void **state) {
  struct adit_pool *pool = pool_of(0);
  struct adit_buffer *held[3];
  (void)state;
  for (int i = 0; i < 3; i++) {
    held[i] = adit_buffer_new(pool);
  }
  adit_buffer_unref(held[1]);
  adit_buffer_unref(held[0]);
  adit_buffer_unref(held[2]);
  assert_ptr_equal(adit_buffer_new(pool), held[2]);
  assert_ptr_equal(adit_buffer_new(pool), held[0]);
  assert_ptr_equal(adit_buffer_new(pool), held[1]);
  for (int i = 0; i < 3; i++) {
    adit_buffer_unref(held[i]);
  }
  adit_pool_free(pool);
}

static void the_bound_holds(void **state) {
  struct adit_pool *pool = pool_of(3);
  struct adit_buffer *held[3];
  (void)state;
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < 3; i++) {
      held[i] = adit_buffer_new(pool);
      assert_non_null(held[i]);
      assert_int_equal(adit_pool_in_use(pool), i + 1);
    }
    assert_null(adit_buffer_new(pool));
    assert_int_equal(adit_pool_in_use(pool), 3);
    adit_buffer_unref(held[1]);
    held[1] = adit_buffer_new(pool);
    assert_non_null(held[1]);
    assert_null(adit_buffer_new(pool));
    for (int i = 0; i < 3; i++) {
      adit_buffer_unref(held[i]);
    }
    assert_int_equal(adit_pool_in_use(pool), 0);
  }
  adit_pool_free(pool);
}

static void a_buffer_lives_while_somebody_holds_it(void **state) {
  struct adit_pool *pool = pool_of(1);
  struct adit_buffer *buffer = adit_buffer_new(pool);
  (void)state;
  assert_ptr_equal(adit_buffer_ref(buffer), buffer);
  assert_ptr_equal(adit_buffer_ref(buffer), buffer);
  assert_int_equal(buffer->refs, 3);
  assert_int_equal(adit_pool_in_use(pool), 1);
  adit_buffer_unref(buffer);
  adit_buffer_unref(buffer);
  assert_int_equal(buffer->refs, 1);
  assert_null(adit_buffer_new(pool));
  adit_buffer_unref(buffer);
  assert_int_equal(adit_pool_in_use(pool), 0);
  adit_pool_free(pool);
}

/* The leak checker sees whether the last holder really takes the pool down, the address sanitizer whether too early. */
static void buffers_outlive_their_pool(void **state) {
  struct adit_pool *pool = pool_of(0);
  struct adit_buffer *held[3];
  (void)state;
  for (int i = 0; i < 3; i++) {
    held[i] = adit_buffer_new(pool);
    memset(held[i]->data, i, held[i]->capacity);
  }
  adit_buffer_unref(held[0]);
  adit_pool_free(pool);
  for (int i = 1; i < 3; i++) {
    assert_int_equal(held[i]->data[0], i);
    assert_int_equal(held[i]->data[held[i]->capacity - 1], i);
    adit_buffer_unref(held[i]);
  }
}

static void nothing_may_be_given_up(void **state) {
  (void)state;
  adit_buffer_unref(NULL);
  adit_pool_free(NULL);
}

static size_t resident_bytes(void) {
  size_t total = 0;
  size_t resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%zu %zu", &total, &resident), 2);
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void pages_that_no_packet_reached_cost_nothing(void **state) {
  enum { COUNT = 1000 };
  static struct adit_buffer *held[COUNT];
  struct adit_pool *pool = pool_of(0);
  size_t before = resident_bytes();
  (void)state;
  for (int i = 0; i < COUNT; i++) {
    held[i] = adit_buffer_new(pool);
    memset(held[i]->data, 1, 100);
  }
  size_t grown = resident_bytes() - before;
  for (int i = 0; i < COUNT; i++) {
    adit_buffer_unref(held[i]);
  }
  adit_pool_free(pool);
  size_t most = (size_t)COUNT * ADIT_PACKET_MAX / 3;
  if (grown > most) {
    fail_msg("%d buffers with 100 bytes each took %zu bytes, wanted at most %zu", COUNT, grown, most);
  }
}

static void every_drop_has_a_name_of_its_own(void **state) {
  (void)state;
  for (int i = 0; i < ADIT_DROPS; i++) {
    const char *name = adit_drop_name((enum adit_drop)i);
    assert_non_null(name);
    assert_true(strlen(name) > 0);
    assert_string_not_equal(name, "unknown");
    for (int j = 0; j < i; j++) {
      assert_string_not_equal(name, adit_drop_name((enum adit_drop)j));
    }
  }
  assert_string_equal(adit_drop_name(ADIT_DROP_TCP_CHECKSUM), "tcp checksum");
  assert_string_equal(adit_drop_name(ADIT_DROPS), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_new_buffer_is_empty),
      cmocka_unit_test(the_layout_has_headroom_and_capacity),
      cmocka_unit_test(a_used_buffer_comes_back_as_new),
      cmocka_unit_test(the_last_one_back_is_the_first_one_out),
      cmocka_unit_test(the_bound_holds),
      cmocka_unit_test(a_buffer_lives_while_somebody_holds_it),
      cmocka_unit_test(buffers_outlive_their_pool),
      cmocka_unit_test(nothing_may_be_given_up),
      cmocka_unit_test(pages_that_no_packet_reached_cost_nothing),
      cmocka_unit_test(every_drop_has_a_name_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
