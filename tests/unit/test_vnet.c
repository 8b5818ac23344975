/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The vnet header: what is accepted, what it comes to mean, and what we write.
 */
#include "device/vnet.h"

#include <adit/device.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support_packet.h"

/* Written out from virtio 1.2, 5.1.6, and Linux 6.2, so that a wrong constant in the code under test shows. */
enum { NEEDS_CSUM = 1, DATA_VALID = 2, RSC_INFO = 4 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_UDP = 3, GSO_TCPV6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80, GSO_TUNNEL = 0x20 };

static const uint32_t everything = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_ECN |
                                   ADIT_OFFLOAD_USO;

static void assert_offload_equal(size_t i, const struct adit_offload *got, const struct adit_offload *want) {
  if (got->gso == want->gso && got->checksum == want->checksum && got->ecn == want->ecn &&
      got->gso_size == want->gso_size && got->header_length == want->header_length &&
      got->checksum_start == want->checksum_start && got->checksum_offset == want->checksum_offset) {
    return;
  }
  fail_msg("case %zu: gso %u checksum %u ecn %d size %u headers %u start %u offset %u, "
           "not gso %u checksum %u ecn %d size %u headers %u start %u offset %u",
           i, got->gso, got->checksum, got->ecn, got->gso_size, got->header_length, got->checksum_start,
           got->checksum_offset, want->gso, want->checksum, want->ecn, want->gso_size, want->header_length,
           want->checksum_start, want->checksum_offset);
}

static void test_parse_accepts(void **state) {
  (void)state;
  static const struct {
    struct virtio_net_hdr header;
    size_t length;
    struct adit_offload offload;
  } cases[] = {
      {{0}, 20, {0}},
      {{.flags = DATA_VALID}, 20, {.checksum = ADIT_CHECKSUM_VALID}},
      /* without a kind, a size means nothing */
      {{.gso_size = 1448}, 20, {0}},
      {{.flags = NEEDS_CSUM, .csum_start = 20, .csum_offset = 6},
       28,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}},
      /* both: the stricter one holds, the sum is not finished */
      {{.flags = NEEDS_CSUM | DATA_VALID, .csum_start = 20, .csum_offset = 6},
       28,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6}},
      {{.flags = NEEDS_CSUM,
        .gso_type = GSO_TCPV4,
        .hdr_len = 52,
        .gso_size = 1448,
        .csum_start = 20,
        .csum_offset = 16},
       20000,
       {.gso = ADIT_GSO_TCP4,
        .checksum = ADIT_CHECKSUM_PARTIAL,
        .gso_size = 1448,
        .header_length = 52,
        .checksum_start = 20,
        .checksum_offset = 16}},
      {{.flags = NEEDS_CSUM, .gso_type = GSO_TCPV6 | GSO_ECN, .gso_size = 1, .csum_start = 40, .csum_offset = 16},
       65535,
       {.gso = ADIT_GSO_TCP6,
        .checksum = ADIT_CHECKSUM_PARTIAL,
        .ecn = true,
        .gso_size = 1,
        .checksum_start = 40,
        .checksum_offset = 16}},
      /* a hint that lies is passed on as what it is, a hint */
      {{.flags = DATA_VALID, .gso_type = GSO_UDP_L4, .hdr_len = 65535, .gso_size = 65535},
       100,
       {.gso = ADIT_GSO_UDP, .checksum = ADIT_CHECKSUM_VALID, .gso_size = 65535, .header_length = 65535}},
      /* the field may end the packet */
      {{.flags = NEEDS_CSUM, .csum_start = 65535, .csum_offset = 50},
       65587,
       {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = 65535, .checksum_offset = 50}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_offload offload;
    memset(&offload, 0xa5, sizeof offload);
    int result = adit_vnet_parse(&cases[i].header, cases[i].length, &offload);
    if (result != 0) fail_msg("case %zu: %d, not 0", i, result);
    assert_offload_equal(i, &offload, &cases[i].offload);
  }
}

static void test_parse_refuses(void **state) {
  (void)state;
  static const struct {
    struct virtio_net_hdr header;
    size_t length;
  } cases[] = {
      {{.flags = RSC_INFO}, 1500},
      {{.flags = 8}, 1500},
      {{.flags = 0x80 | NEEDS_CSUM, .csum_start = 20, .csum_offset = 6}, 1500},
      {{.gso_type = 2, .gso_size = 1000}, 1500},
      {{.gso_type = GSO_UDP, .gso_size = 1000}, 1500}, /* UFO is never asked for */
      {{.gso_type = 6, .gso_size = 1000}, 1500},
      {{.gso_type = 0x7f, .gso_size = 1000}, 1500},
      {{.gso_type = GSO_TCPV4 | GSO_TUNNEL, .gso_size = 1000}, 1500},
      {{.gso_type = GSO_ECN}, 1500},
      {{.gso_type = GSO_UDP_L4 | GSO_ECN, .gso_size = 1000}, 1500},
      {{.gso_type = GSO_TCPV4}, 1500}, /* segments of no bytes */
      {{.gso_type = GSO_TCPV6}, 1500},
      {{.gso_type = GSO_UDP_L4}, 1500},
      {{.flags = NEEDS_CSUM, .csum_start = 20, .csum_offset = 6}, 27}, /* one byte short */
      {{.flags = NEEDS_CSUM, .csum_start = 1500, .csum_offset = 0}, 1500},
      {{.flags = NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535}, 65535}, /* would wrap in 16 bits */
      {{.flags = NEEDS_CSUM, .csum_start = 2, .csum_offset = 65534}, 1500},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_offload offload;
    int result = adit_vnet_parse(&cases[i].header, cases[i].length, &offload);
    if (result != -EBADMSG) fail_msg("case %zu: %d, not %d", i, result, -EBADMSG);
  }
}

/* A packet with these headers, in pieces of `piece` bytes. */
struct built {
  uint8_t bytes[4096];
  struct iovec iov[ADIT_PACKET_PIECES];
  struct adit_packet packet;
};

static void cut(struct built *built, size_t length, size_t piece) {
  unsigned count = 0;
  for (size_t at = 0; at < length; at += piece) {
    size_t here = length - at < piece || count == ADIT_PACKET_PIECES - 1 ? length - at : piece;
    built->iov[count++] = (struct iovec){.iov_base = built->bytes + at, .iov_len = here};
    if (at + here == length) break;
  }
  built->packet = (struct adit_packet){.iov = built->iov, .iovcnt = count, .length = length};
}

static void build_tcp(struct built *built, int version, size_t options, size_t payload, size_t piece) {
  uint8_t fill[2048];
  support_pattern(fill, sizeof fill);
  size_t length = version == 4 ? support_tcp4(built->bytes, "10.0.0.1", "10.0.0.2", 1, 2, 3, 4, SUPPORT_ACK, 5, fill,
                                              options, fill, payload)
                               : support_tcp6(built->bytes, "fd00::1", "fd00::2", 1, 2, 3, 4, SUPPORT_ACK, 5, fill,
                                              options, fill, payload);
  cut(built, length, piece);
}

static void test_build_derives_header_length(void **state) {
  (void)state;
  static const size_t options[] = {0, 12, 40};
  static const size_t pieces[] = {4096, 1, 20, 33, 32};
  for (int version = 4; version <= 6; version += 2) {
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
      for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
        struct built built;
        build_tcp(&built, version, options[i], 1500, pieces[j]);
        uint16_t start = version == 4 ? 20 : 40;
        built.packet.offload = (struct adit_offload){.gso = version == 4 ? ADIT_GSO_TCP4 : ADIT_GSO_TCP6,
                                                     .checksum = ADIT_CHECKSUM_PARTIAL,
                                                     .gso_size = 1000,
                                                     .header_length = 7, /* a lie */
                                                     .checksum_start = start,
                                                     .checksum_offset = 16};
        assert_int_equal(adit_vnet_check(&built.packet, everything), 0);
        struct virtio_net_hdr header;
        memset(&header, 0xa5, sizeof header);
        adit_vnet_build(&built.packet, &header);
        assert_int_equal(header.flags, NEEDS_CSUM);
        assert_int_equal(header.gso_type, version == 4 ? GSO_TCPV4 : GSO_TCPV6);
        assert_int_equal(header.hdr_len, start + 20 + options[i]);
        assert_int_equal(header.gso_size, 1000);
        assert_int_equal(header.csum_start, start);
        assert_int_equal(header.csum_offset, 16);
      }
    }
  }
}

static void test_build_other_kinds(void **state) {
  (void)state;
  struct built built;
  struct virtio_net_hdr header, zero = {0};

  build_tcp(&built, 4, 0, 100, 30);
  adit_vnet_build(&built.packet, &header);
  assert_memory_equal(&header, &zero, sizeof header);

  /* Who writes may not claim to have verified (virtio 1.2, 5.1.6.2.1). */
  built.packet.offload.checksum = ADIT_CHECKSUM_VALID;
  assert_int_equal(adit_vnet_check(&built.packet, 0), 0);
  adit_vnet_build(&built.packet, &header);
  assert_memory_equal(&header, &zero, sizeof header);

  built.packet.offload = (struct adit_offload){.gso = ADIT_GSO_TCP4,
                                               .checksum = ADIT_CHECKSUM_PARTIAL,
                                               .ecn = true,
                                               .gso_size = 50,
                                               .checksum_start = 20,
                                               .checksum_offset = 16};
  assert_int_equal(adit_vnet_check(&built.packet, everything), 0);
  adit_vnet_build(&built.packet, &header);
  assert_int_equal(header.gso_type, GSO_TCPV4 | GSO_ECN);

  uint8_t payload[1000];
  support_pattern(payload, sizeof payload);
  cut(&built, support_udp6(built.bytes, "fd00::1", "fd00::2", 1, 2, payload, sizeof payload), 41);
  built.packet.offload = (struct adit_offload){.gso = ADIT_GSO_UDP,
                                               .checksum = ADIT_CHECKSUM_PARTIAL,
                                               .gso_size = 300,
                                               .checksum_start = 40,
                                               .checksum_offset = 6};
  assert_int_equal(adit_vnet_check(&built.packet, everything), 0);
  adit_vnet_build(&built.packet, &header);
  assert_int_equal(header.gso_type, GSO_UDP_L4);
  assert_int_equal(header.hdr_len, 48);
}

static void test_check_refuses(void **state) {
  (void)state;
#define TCP4 .gso = ADIT_GSO_TCP4, .gso_size = 50
#define PARTIAL(start, offset) .checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = (start), .checksum_offset = (offset)
  const struct {
    struct adit_offload offload;
    uint32_t offered;
    int result;
  } cases[] = {
      {{TCP4, PARTIAL(20, 16)}, everything, 0},
      {{TCP4, PARTIAL(20, 16)}, everything & ~(uint32_t)ADIT_OFFLOAD_TSO4, -EOPNOTSUPP},
      {{TCP4, PARTIAL(20, 16)}, 0, -EOPNOTSUPP},
      {{.gso = ADIT_GSO_TCP6, .gso_size = 50, PARTIAL(20, 16)}, ADIT_OFFLOAD_TSO4, -EOPNOTSUPP},
      {{.gso = ADIT_GSO_UDP, .gso_size = 50, PARTIAL(20, 6)}, ADIT_VNET_OFFLOAD, -EOPNOTSUPP},
      {{TCP4, .ecn = true, PARTIAL(20, 16)}, everything & ~(uint32_t)ADIT_OFFLOAD_ECN, -EOPNOTSUPP},
      {{.gso = ADIT_GSO_UDP, .gso_size = 50, .ecn = true, PARTIAL(20, 6)}, everything, -EINVAL},
      {{.ecn = true}, everything, -EINVAL},
      {{.gso = ADIT_GSO_KINDS, .gso_size = 50, PARTIAL(20, 16)}, everything, -EINVAL},
      {{.gso = 255}, everything, -EINVAL},
      {{.checksum = 3}, everything, -EINVAL},
      {{TCP4}, everything, -EINVAL}, /* nobody could fill in the checksums */
      {{TCP4, .checksum = ADIT_CHECKSUM_VALID}, everything, -EINVAL},
      {{TCP4, PARTIAL(20, 6)}, everything, -EINVAL}, /* that is UDP's field */
      {{.gso = ADIT_GSO_UDP, .gso_size = 50, PARTIAL(20, 16)}, everything, -EINVAL},
      {{.gso = ADIT_GSO_TCP4, PARTIAL(20, 16)}, everything, -EINVAL}, /* segments of no bytes */
      {{TCP4, PARTIAL(102, 16)}, everything, -EINVAL},                /* field inside, header not */
      {{TCP4, PARTIAL(0, 16)}, everything, -EINVAL},                  /* "header length" below 20 */
      {{PARTIAL(20, 16)}, 0, 0},                                      /* is finished by the device */
      {{PARTIAL(120, 0)}, 0, -EINVAL},                                /* field behind the packet */
      {{PARTIAL(119, 0)}, 0, -EINVAL},                                /* half behind */
      {{PARTIAL(118, 0)}, 0, 0},
      {{PARTIAL(65535, 65535)}, everything, -EINVAL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct built built;
    build_tcp(&built, 4, 0, 80, 64);
    assert_int_equal(built.packet.length, 120);
    built.packet.offload = cases[i].offload;
    int result = adit_vnet_check(&built.packet, cases[i].offered);
    if (result != cases[i].result) fail_msg("case %zu: %d, not %d", i, result, cases[i].result);
  }
}

/* What a device reads can be written to the next one: parse and build are inverse where both have meaning. */
static void test_parse_undoes_build(void **state) {
  (void)state;
  struct built built;
  build_tcp(&built, 4, 12, 1000, 500);
  const struct adit_offload offload = {TCP4, .ecn = true, .header_length = 52, PARTIAL(20, 16)};
  built.packet.offload = offload;
  struct virtio_net_hdr header;
  adit_vnet_build(&built.packet, &header);
  struct adit_offload again;
  assert_int_equal(adit_vnet_parse(&header, built.packet.length, &again), 0);
  assert_offload_equal(0, &again, &offload);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parse_accepts),
      cmocka_unit_test(test_parse_refuses),
      cmocka_unit_test(test_build_derives_header_length),
      cmocka_unit_test(test_build_other_kinds),
      cmocka_unit_test(test_check_refuses),
      cmocka_unit_test(test_parse_undoes_build),
  };
  return cmocka_run_group_tests_name("vnet", tests, NULL, NULL);
}
