/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Bad lines: what their text means, how often each fault hits, order and time, the same again by the same seed, and that
 * nothing is left.
 */
#include "device/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_packet.h"

enum { DEPTH = 64, PACKETS = 20000, LENGTH = 100 };

#define MS UINT64_C(1000000)

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void check_rates(const char *text, const struct adit_fault_rates *found, const struct adit_fault_rates *wanted) {
  for (unsigned kind = 0; kind < ADIT_FAULT_KINDS; kind++)
    if (found->chance[kind] != wanted->chance[kind])
      fail_msg("'%s': %s: expected %u, found %u", text, adit_fault_name((enum adit_fault_kind)kind),
               wanted->chance[kind], found->chance[kind]);
  if (found->delay_least_ns != wanted->delay_least_ns || found->delay_most_ns != wanted->delay_most_ns)
    fail_msg("'%s': delay: expected %llu..%llu, found %llu..%llu", text, (unsigned long long)wanted->delay_least_ns,
             (unsigned long long)wanted->delay_most_ns, (unsigned long long)found->delay_least_ns,
             (unsigned long long)found->delay_most_ns);
}

static void test_texts_that_are_right(void **state) {
  (void)state;
  static const struct {
    const char *text;
    struct adit_fault_plan plan;
  } cases[] = {
      {"drop=1%", {{{{[ADIT_FAULT_DROP] = 10000}, 0, 0}, {{[ADIT_FAULT_DROP] = 10000}, 0, 0}}, 0}},
      {"in:drop=0.5%", {{{{[ADIT_FAULT_DROP] = 5000}, 0, 0}, {{0}, 0, 0}}, 0}},
      {"out:corrupt=100%", {{{{0}, 0, 0}, {{[ADIT_FAULT_CORRUPT] = 1000000}, 0, 0}}, 0}},
      {"truncate=0.0001%", {{{{[ADIT_FAULT_TRUNCATE] = 1}, 0, 0}, {{[ADIT_FAULT_TRUNCATE] = 1}, 0, 0}}, 0}},
      {"repeat=12.3400%", {{{{[ADIT_FAULT_REPEAT] = 123400}, 0, 0}, {{[ADIT_FAULT_REPEAT] = 123400}, 0, 0}}, 0}},
      {"delay=20ms", {{{{0}, 20 * MS, 20 * MS}, {{0}, 20 * MS, 20 * MS}}, 0}},
      {"delay=250us..0.08s", {{{{0}, MS / 4, 80 * MS}, {{0}, MS / 4, 80 * MS}}, 0}},
      {"out:delay=1.5s..60s", {{{{0}, 0, 0}, {{0}, 1500 * MS, 60000 * MS}}, 0}},
      {"seed=18446744073709", {{{{0}, 0, 0}, {{0}, 0, 0}}, UINT64_C(18446744073709)}},
      {"drop=1%,delay=20ms,seed=7,in:drop=2%,reorder=5%",
       {{{{[ADIT_FAULT_DROP] = 20000, [ADIT_FAULT_REORDER] = 50000}, 20 * MS, 20 * MS},
         {{[ADIT_FAULT_DROP] = 10000, [ADIT_FAULT_REORDER] = 50000}, 20 * MS, 20 * MS}},
        7}},
      {"in:drop=2%,drop=1%", {{{{[ADIT_FAULT_DROP] = 10000}, 0, 0}, {{[ADIT_FAULT_DROP] = 10000}, 0, 0}}, 0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_fault_plan plan = {.seed = 99};
    char reason[ADIT_FAULT_REASON];
    if (adit_fault_plan_parse(cases[i].text, &plan, reason) != 0) fail_msg("'%s': %s", cases[i].text, reason);
    for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++)
      check_rates(cases[i].text, &plan.side[side], &cases[i].plan.side[side]);
    assert_int_equal(plan.seed, cases[i].plan.seed);
  }
}

static void test_texts_that_are_wrong(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *reason; /* what it has to say */
  } cases[] = {
      {"", "write NAME=VALUE"},
      {"drop", "'drop' is no item"},
      {"drop=1%,", "'' is no item"},
      {",drop=1%", "'' is no item"},
      {"drop=", "'' is no chance for drop"},
      {"drop=5", "'5' is no chance for drop; give 0%..100%"},
      {"drop=101%", "'101%' is no chance"},
      {"drop=-1%", "'-1%' is no chance"},
      {"drop=1%%", "'1%%' is no chance"},
      {"drop=0.00001%", "in steps of 0.0001%"},
      {"drop=1.%", "'1.%' is no chance"},
      {"drop=99999999999999999999999%", "is no chance"},
      {"Drop=1%", "'Drop' is no fault; there are drop, delay, reorder, repeat, corrupt and truncate"},
      {"up:drop=1%", "'up:drop' is no fault"},
      {"in:=1%", "'' is no fault"},
      {"delay=20", "'20' is no delay; give a time with its unit"},
      {"delay=20ms..", "is no delay"},
      {"delay=20..80ms", "is no delay"},
      {"delay=80ms..20ms", "is no delay"},
      {"delay=20ms...80ms", "is no delay"},
      {"delay=61s", "at most 60s"},
      {"delay=1m", "is no delay"},
      {"seed=x", "'x' is no seed"},
      {"seed=-1", "'-1' is no seed"},
      {"in:seed=1", "'seed' is no fault"},
      {"drop= 1%", "' 1%' is no chance"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_fault_plan plan = {.seed = 99};
    char reason[ADIT_FAULT_REASON] = "";
    int result = adit_fault_plan_parse(cases[i].text, &plan, reason);
    if (result != -EINVAL || !strstr(reason, cases[i].reason))
      fail_msg("'%s'\n  expected: %d, ...%s...\n  found:    %d, %s", cases[i].text, -EINVAL, cases[i].reason, result,
               reason);
    assert_int_equal(plan.seed, 99);
  }
}

/* ---- a device behind lines --------------------------------------------------------------------------------------- */

/* `near` is the device under test, `far` what it is connected to. */
struct bench {
  struct adit_device *near;
  struct adit_device *far;
  struct adit_pool *pool;
  uint64_t now_ns;
};

static struct bench bench_open(const char *text) {
  struct bench bench = {.now_ns = 1000 * MS};
  struct adit_fault_plan plan;
  struct adit_device *ends[2];
  char reason[ADIT_FAULT_REASON];
  if (adit_fault_plan_parse(text, &plan, reason) != 0) fail_msg("'%s': %s", text, reason);
  assert_int_equal(adit_device_pair(ADIT_LINK_IP, DEPTH, ends), 0);
  assert_int_equal(adit_fault_new(ends[0], &plan, 0, &bench.near), 0);
  bench.far = ends[1];
  assert_int_equal(adit_pool_new(0, &bench.pool), 0);
  adit_device_advance(bench.near, bench.now_ns);
  return bench;
}

static void bench_close(struct bench *bench) {
  adit_device_close(bench->near);
  adit_device_close(bench->far);
  assert_int_equal(adit_pool_in_use(bench->pool), 0);
  adit_pool_free(bench->pool);
}

/* A packet that begins and ends with its number. */
static void number(uint8_t bytes[LENGTH], uint32_t value) {
  support_pattern(bytes, LENGTH);
  support_put32(bytes, value);
  support_put32(bytes + LENGTH - 4, value);
}

static void put(struct adit_device *device, uint32_t value) {
  uint8_t bytes[LENGTH];
  number(bytes, value);
  struct iovec pieces[] = {{bytes, 10}, {bytes + 10, LENGTH - 10}};
  struct adit_packet packet = {.iov = pieces, .iovcnt = 2, .length = LENGTH};
  assert_int_equal(adit_device_write(device, &packet), 0);
}

/* Send the packet `value` through the line of `side`. */
static void send_one(struct bench *bench, enum adit_fault_side side, uint32_t value) {
  put(side == ADIT_FAULT_IN ? bench->far : bench->near, value);
}

/* The next packet behind the line of `side`, or NULL when none comes now. */
static struct adit_buffer *receive(struct bench *bench, enum adit_fault_side side) {
  struct adit_buffer *buffer;
  int result;
  do result = adit_device_read(side == ADIT_FAULT_IN ? bench->near : bench->far, bench->pool, &buffer);
  while (result == -EINTR);
  if (result == 1) return buffer;
  assert_int_equal(result, -EAGAIN);
  return NULL;
}

static void pass(struct bench *bench, uint64_t ns) {
  bench->now_ns += ns;
  adit_device_advance(bench->near, bench->now_ns);
}

static unsigned bits_that_differ(const uint8_t *a, const uint8_t *b, size_t length) {
  unsigned count = 0;
  for (size_t i = 0; i < length; i++) count += (unsigned)__builtin_popcount((unsigned)(a[i] ^ b[i]));
  return count;
}

/* What came out, told by the packets alone. */
struct tally {
  unsigned arrived;   /* different numbers */
  unsigned repeated;  /* numbers that came twice */
  unsigned corrupted; /* whole, one bit turned over */
  unsigned truncated;
  unsigned overtaken; /* came after a later one */
  uint64_t print;     /* depends on everything that came, in order */
};

static struct tally run(const char *text, enum adit_fault_side side) {
  struct bench bench = bench_open(text);
  struct tally tally = {0};
  uint8_t *seen = calloc(PACKETS, 1);
  uint32_t highest = 0;
  assert_non_null(seen);
  for (uint32_t sent = 0; sent < PACKETS + 10; sent++) {
    if (sent < PACKETS) send_one(&bench, side, sent);
    pass(&bench, sent < PACKETS ? MS / 10 : 100 * MS); /* the last ones bring out what waits */
    struct adit_buffer *buffer;
    while ((buffer = receive(&bench, side))) {
      uint8_t bytes[LENGTH];
      uint32_t value = buffer->length >= 4 ? support_get32(buffer->data) : UINT32_MAX;
      for (size_t i = 0; i < buffer->length; i++) tally.print = (tally.print ^ buffer->data[i]) * 1099511628211u;
      tally.print = (tally.print ^ buffer->length) * 1099511628211u;
      assert_in_range(buffer->length, 1, LENGTH);
      if (buffer->length < LENGTH) {
        tally.truncated++;
      } else {
        bool known = value < PACKETS;
        if (known) {
          number(bytes, value);
          known = memcmp(bytes, buffer->data, LENGTH) == 0;
        }
        if (known) {
          tally.repeated += seen[value] == 1;
          tally.arrived += seen[value] == 0;
          assert_in_range(++seen[value], 1, 2);
          if (value < highest) tally.overtaken++;
          if (value > highest) highest = value;
        } else { /* only without delay: it is the one just sent */
          number(bytes, sent);
          assert_int_equal(bits_that_differ(bytes, buffer->data, LENGTH), 1);
          tally.corrupted++;
        }
      }
      adit_buffer_unref(buffer);
    }
  }
  const struct adit_fault_counts *counts = adit_fault_count(bench.near, side);
  assert_int_equal(counts->packets, PACKETS);
  assert_int_equal(counts->lost, 0);
  assert_int_equal(adit_device_deadline(bench.near), UINT64_MAX);
  assert_int_equal(adit_fault_count(bench.near, (enum adit_fault_side)(1 - side))->packets, 0);
  free(seen);
  bench_close(&bench);
  return tally;
}

/* `found` hits of a chance in millionths: within five standard deviations. */
static void check_share(const char *text, const char *what, unsigned found, unsigned chance) {
  double expected = (double)PACKETS * chance / 1e6;
  double variance = expected * (1 - chance / 1e6);
  double off = found - expected;
  if (off * off > 25 * variance + 1) fail_msg("'%s': %s: expected about %.0f, found %u", text, what, expected, found);
}

static void test_each_fault_as_often_as_said(void **state) {
  (void)state;
  static const struct {
    const char *text;
    unsigned drop, repeat, corrupt, truncate; /* millionths */
  } cases[] = {
      {"drop=0%", 0, 0, 0, 0},           {"drop=100%", 1000000, 0, 0, 0},
      {"drop=30%", 300000, 0, 0, 0},     {"drop=0.1%", 1000, 0, 0, 0},
      {"repeat=5%", 0, 50000, 0, 0},     {"corrupt=2%", 0, 0, 20000, 0},
      {"truncate=10%", 0, 0, 0, 100000}, {"truncate=10%,delay=1ms..2ms", 0, 0, 0, 100000},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
      for (unsigned seed = 0; seed < 3; seed++) {
        char text[80];
        snprintf(text, sizeof text, "%s,seed=%u", cases[i].text, seed);
        struct tally tally = run(text, (enum adit_fault_side)side);
        check_share(text, "dropped", PACKETS - tally.arrived - tally.corrupted - tally.truncated, cases[i].drop);
        check_share(text, "repeated", tally.repeated, cases[i].repeat);
        check_share(text, "corrupted", tally.corrupted, cases[i].corrupt);
        check_share(text, "truncated", tally.truncated, cases[i].truncate);
        assert_int_equal(tally.overtaken, 0);
      }
    }
  }
}

/* Counted from the other side: whoever was overtaken came after a later one. */
static void test_reordered_as_often_as_said(void **state) {
  (void)state;
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
    struct tally tally = run("reorder=5%,seed=3", (enum adit_fault_side)side);
    check_share("reorder=5%", "overtaken", tally.overtaken, 50000);
    assert_int_equal(tally.arrived, PACKETS);
    assert_int_equal(tally.repeated, 0);
  }
}

static void test_the_same_seed_does_the_same(void **state) {
  (void)state;
  static const char all[] = "drop=5%,delay=1ms..3ms,reorder=5%,repeat=5%,truncate=5%,seed=";
  uint64_t prints[ADIT_FAULT_SIDES][3];
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
    for (unsigned seed = 0; seed < 3; seed++) {
      char text[100];
      snprintf(text, sizeof text, "%s%u", all, seed);
      prints[side][seed] = run(text, (enum adit_fault_side)side).print;
      assert_int_equal(run(text, (enum adit_fault_side)side).print, prints[side][seed]);
    }
    assert_int_not_equal(prints[side][0], prints[side][1]);
    assert_int_not_equal(prints[side][1], prints[side][2]);
  }
  assert_int_not_equal(prints[ADIT_FAULT_IN][0], prints[ADIT_FAULT_OUT][0]); /* the directions have their own numbers */
}

/* Two queues of one device do not lose the same packets. */
static void test_each_queue_has_its_own_numbers(void **state) {
  (void)state;
  struct adit_fault_plan plan;
  char reason[ADIT_FAULT_REASON];
  assert_int_equal(adit_fault_plan_parse("drop=50%", &plan, reason), 0);
  uint64_t kept[3] = {0}; /* a bit each: queue 0, queue 1, queue 0 again */
  for (unsigned run_number = 0; run_number < 3; run_number++) {
    struct adit_device *ends[2];
    struct bench bench = {0};
    assert_int_equal(adit_device_pair(ADIT_LINK_IP, DEPTH, ends), 0);
    assert_int_equal(adit_fault_new(ends[0], &plan, run_number % 2, &bench.near), 0);
    bench.far = ends[1];
    assert_int_equal(adit_pool_new(0, &bench.pool), 0);
    for (unsigned i = 0; i < 64; i++) put(bench.near, i);
    struct adit_buffer *buffer;
    while ((buffer = receive(&bench, ADIT_FAULT_OUT))) {
      kept[run_number] |= UINT64_C(1) << support_get32(buffer->data);
      adit_buffer_unref(buffer);
    }
    bench_close(&bench);
  }
  assert_int_equal(kept[0], kept[2]);
  assert_int_not_equal(kept[0], kept[1]);
}

/* ---- time and order ---------------------------------------------------------------------------------------------- */

static void expect(struct bench *bench, enum adit_fault_side side, const char *numbers) {
  for (const char *c = numbers; *c; c++) {
    struct adit_buffer *buffer = receive(bench, side);
    if (!buffer) fail_msg("expected packet %c, found none", *c);
    if (support_get32(buffer->data) != (uint32_t)(*c - '0'))
      fail_msg("expected packet %c, found %u", *c, support_get32(buffer->data));
    adit_buffer_unref(buffer);
  }
  struct adit_buffer *buffer = receive(bench, side);
  if (buffer) fail_msg("expected nothing, found packet %u", support_get32(buffer->data));
}

static void test_delay_keeps_time_and_order(void **state) {
  (void)state;
  for (unsigned s = 0; s < ADIT_FAULT_SIDES; s++) {
    enum adit_fault_side side = (enum adit_fault_side)s;
    struct bench bench = bench_open("delay=20ms");
    assert_int_equal(adit_device_deadline(bench.near), UINT64_MAX);
    send_one(&bench, side, 0);
    expect(&bench, side, "");
    assert_int_equal(adit_device_deadline(bench.near), bench.now_ns + 20 * MS);
    pass(&bench, 5 * MS);
    send_one(&bench, side, 1);
    expect(&bench, side, "");
    pass(&bench, 15 * MS - 1);
    expect(&bench, side, "");
    bench.now_ns++;
    assert_int_equal(adit_device_advance(bench.near, bench.now_ns), side == ADIT_FAULT_IN);
    expect(&bench, side, "0");
    assert_int_equal(adit_device_deadline(bench.near), bench.now_ns + 5 * MS);
    pass(&bench, 5 * MS);
    adit_device_advance(bench.near, 1); /* time does not run backwards */
    expect(&bench, side, "1");
    bench_close(&bench);
  }
}

static void test_different_delays_keep_the_order(void **state) {
  (void)state;
  for (unsigned s = 0; s < ADIT_FAULT_SIDES; s++) {
    struct bench bench = bench_open("delay=0ms..50ms,seed=4");
    unsigned moments = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < 200; i++) {
      send_one(&bench, (enum adit_fault_side)s, i);
      pass(&bench, MS);
      bool some = false;
      struct adit_buffer *buffer;
      while ((buffer = receive(&bench, (enum adit_fault_side)s))) {
        assert_int_equal(support_get32(buffer->data), next++);
        adit_buffer_unref(buffer);
        some = true;
      }
      moments += some;
    }
    assert_in_range(next, 150, 199); /* none is later than 50 ms, some are late */
    assert_in_range(moments, 10, 199);
    bench_close(&bench);
  }
}

/* One held packet, and as many after it as overtake it. */
static void test_a_reordered_packet_is_overtaken_or_late(void **state) {
  (void)state;
  for (unsigned s = 0; s < ADIT_FAULT_SIDES; s++) {
    enum adit_fault_side side = (enum adit_fault_side)s;
    struct bench bench = bench_open(s == ADIT_FAULT_IN ? "in:reorder=100%" : "out:reorder=100%");
    send_one(&bench, side, 0);
    expect(&bench, side, "");
    assert_int_equal(adit_device_deadline(bench.near), bench.now_ns + 10 * MS);
    pass(&bench, 10 * MS);
    expect(&bench, side, "0");
    bench_close(&bench);
  }
  unsigned by[4] = {0};
  for (unsigned seed = 0; seed < 60; seed++) {
    char text[40];
    snprintf(text, sizeof text, "out:reorder=30%%,seed=%u", seed);
    struct bench bench = bench_open(text);
    for (uint32_t i = 0; i < 4; i++) put(bench.near, i);
    bool first_held = adit_fault_count(bench.near, ADIT_FAULT_OUT)->hit[ADIT_FAULT_REORDER] == 1;
    struct adit_buffer *buffer = receive(&bench, ADIT_FAULT_OUT);
    first_held = first_held && buffer && support_get32(buffer->data) == 1; /* packet 0 alone was held */
    for (unsigned place = 0; buffer; place++, buffer = receive(&bench, ADIT_FAULT_OUT)) {
      if (first_held && support_get32(buffer->data) == 0) by[place]++;
      adit_buffer_unref(buffer);
    }
    assert_int_equal(adit_device_deadline(bench.near) == UINT64_MAX || !first_held, true);
    bench_close(&bench);
  }
  assert_int_equal(by[0], 0);
  assert_true(by[1] > 0 && by[2] > 0 && by[3] > 0); /* by one, two, three */
}

/* ---- what lines must not do -------------------------------------------------------------------------------------- */

/* With nothing to happen packets go through as they are, and nothing waits. */
static void test_without_faults_it_is_not_there(void **state) {
  (void)state;
  struct bench bench = bench_open("drop=0%");
  for (uint32_t i = 0; i < 10; i++) {
    send_one(&bench, ADIT_FAULT_IN, i);
    send_one(&bench, ADIT_FAULT_OUT, i);
  }
  expect(&bench, ADIT_FAULT_IN, "0123456789");
  expect(&bench, ADIT_FAULT_OUT, "0123456789");
  assert_string_equal(adit_device_name(bench.near), adit_device_name(bench.far));
  assert_int_equal(adit_device_fd(bench.near), adit_device_fd(bench.far));
  assert_int_equal(adit_device_offload(bench.near), 0);
  assert_int_equal(adit_device_deadline(bench.near), UINT64_MAX);
  assert_int_equal(adit_device_deadline(bench.far), UINT64_MAX); /* a device without lines has no need of time */
  assert_false(adit_device_advance(bench.far, UINT64_MAX));
  bench_close(&bench);
}

static void test_super_packets_are_not_for_it(void **state) {
  (void)state;
  struct bench bench = bench_open("drop=0%");
  uint8_t bytes[4000];
  uint8_t payload[3000];
  support_pattern(payload, sizeof payload);
  size_t length = support_tcp4(bytes, "10.0.0.1", "10.0.0.2", 1, 2, 3, 4, SUPPORT_ACK, 5, NULL, 0, payload,
                               sizeof payload);
  support_seal_partial(bytes, length);
  struct iovec piece = {bytes, length};
  struct adit_packet packet = {.iov = &piece,
                               .iovcnt = 1,
                               .length = length,
                               .offload = {.gso = ADIT_GSO_TCP4,
                                           .gso_size = 1400,
                                           .checksum = ADIT_CHECKSUM_PARTIAL,
                                           .checksum_start = 20,
                                           .checksum_offset = 16}};
  assert_int_equal(adit_device_write(bench.near, &packet), -EOPNOTSUPP);
  assert_int_equal(adit_device_write(bench.far, &packet), 0);
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(bench.near, bench.pool, &buffer), -EBADMSG);
  assert_int_equal(adit_device_dropped(bench.near), 1);
  bench_close(&bench);
}

/* A partial checksum is made whole before the packet is kept, in both directions. */
static void test_partial_checksums_are_finished(void **state) {
  (void)state;
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
    struct bench bench = bench_open("delay=1ms");
    uint8_t bytes[200];
    size_t length = support_tcp4(bytes, "10.0.0.1", "10.0.0.2", 1, 2, 3, 4, SUPPORT_ACK, 5, NULL, 0, "odd", 3);
    support_seal_partial(bytes, length);
    struct iovec piece = {bytes, length};
    struct adit_packet packet = {
        .iov = &piece,
        .iovcnt = 1,
        .length = length,
        .offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 16}};
    assert_int_equal(adit_device_write(side == ADIT_FAULT_IN ? bench.far : bench.near, &packet), 0);
    assert_null(receive(&bench, (enum adit_fault_side)side));
    pass(&bench, MS);
    struct adit_buffer *buffer = receive(&bench, (enum adit_fault_side)side);
    assert_non_null(buffer);
    assert_int_equal(buffer->offload.checksum, ADIT_CHECKSUM_NONE);
    assert_int_equal(buffer->length, length);
    assert_true(support_sealed(buffer->data, buffer->length));
    adit_buffer_unref(buffer);
    bench_close(&bench);
  }
}

/* What waits has a bound, and it is forgotten when the device is closed: the sanitizer would see it. */
static void test_what_waits_is_bounded_and_freed(void **state) {
  (void)state;
  struct bench bench = bench_open("delay=60s");
  static uint8_t bytes[60000];
  struct iovec piece = {bytes, sizeof bytes};
  struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = sizeof bytes};
  size_t fit = ADIT_FAULT_LINE_BYTES / sizeof bytes;
  for (size_t i = 0; i < fit; i++) assert_int_equal(adit_device_write(bench.near, &packet), 0);
  assert_int_equal(adit_fault_count(bench.near, ADIT_FAULT_OUT)->lost, 0);
  for (size_t i = 0; i < 5; i++) assert_int_equal(adit_device_write(bench.near, &packet), 0);
  assert_int_equal(adit_fault_count(bench.near, ADIT_FAULT_OUT)->lost, 5);
  send_one(&bench, ADIT_FAULT_IN, 1);
  expect(&bench, ADIT_FAULT_IN, "");
  bench_close(&bench);
}

/* The other side is full or gone: what was late is lost, what was not is the writer's to know. */
static void test_a_device_that_does_not_take_it(void **state) {
  (void)state;
  struct bench bench = bench_open("delay=1ms");
  for (uint32_t i = 0; i < DEPTH + 3; i++) put(bench.near, i);
  pass(&bench, MS);
  assert_int_equal(adit_fault_count(bench.near, ADIT_FAULT_OUT)->lost, 3);
  bench_close(&bench);
  bench = bench_open("drop=0%");
  for (uint32_t i = 0; i < DEPTH; i++) put(bench.near, i);
  uint8_t byte = 0;
  struct iovec piece = {&byte, 1};
  struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = 1};
  assert_int_equal(adit_device_write(bench.near, &packet), -EAGAIN);
  bench_close(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_texts_that_are_right),
      cmocka_unit_test(test_texts_that_are_wrong),
      cmocka_unit_test(test_each_fault_as_often_as_said),
      cmocka_unit_test(test_reordered_as_often_as_said),
      cmocka_unit_test(test_the_same_seed_does_the_same),
      cmocka_unit_test(test_each_queue_has_its_own_numbers),
      cmocka_unit_test(test_delay_keeps_time_and_order),
      cmocka_unit_test(test_different_delays_keep_the_order),
      cmocka_unit_test(test_a_reordered_packet_is_overtaken_or_late),
      cmocka_unit_test(test_without_faults_it_is_not_there),
      cmocka_unit_test(test_super_packets_are_not_for_it),
      cmocka_unit_test(test_partial_checksums_are_finished),
      cmocka_unit_test(test_what_waits_is_bounded_and_freed),
      cmocka_unit_test(test_a_device_that_does_not_take_it),
  };
  return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
