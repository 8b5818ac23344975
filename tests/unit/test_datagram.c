/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams: any address, port and size, in and out, whole, in fragments and as super-packets; refusals.
 */
#include "support_ip.h"
#include "support_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT4 "192.168.3.11"
#define STACK4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define STACK6 "fdad:3::12"

enum { LONGEST4 = 65507, LONGEST6 = 65527, OFFLOAD_ALL = 31 };

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t whole[SUPPORT_PACKET_MAX];
static uint8_t data[65536];

/* ---- what the datagram callback saw ------------------------------------------------------------------------------- */

static struct {
  unsigned count;
  adit_endpoint local, remote;
  size_t length;
  size_t lengths[200];
  uint8_t ttl;
  uint8_t bytes[65536]; /* of all datagrams, one behind the other */
  size_t total;
  int refused; /* what adit_stack_refuse_datagram returned */
  bool refuse;
} seen;

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct support_lab *lab = user;
  size_t length = 0;
  assert_int_equal(datagram->iovcnt > 0, datagram->length > 0);
  for (unsigned i = 0; i < datagram->iovcnt; i++) {
    memcpy(seen.bytes + seen.total + length, datagram->iov[i].iov_base, datagram->iov[i].iov_len);
    length += datagram->iov[i].iov_len;
  }
  assert_int_equal(length, datagram->length);
  if (seen.count < 200) seen.lengths[seen.count] = length;
  seen.count++;
  seen.local = datagram->local;
  seen.remote = datagram->remote;
  seen.length = length;
  seen.total += length;
  seen.ttl = datagram->ttl;
  if (seen.refuse) seen.refused = adit_stack_refuse_datagram(lab->stack, datagram);
}

static void forget_seen(void) {
  seen.count = 0;
  seen.total = 0;
}

static const struct adit_stack_events events = {.datagram = on_datagram};
static const struct adit_stack_events no_events;

static adit_ip ip_of(const char *text) {
  adit_ip ip;
  assert_int_equal(adit_ip_parse(text, &ip), 0);
  return ip;
}

static size_t build(const char *source, const char *destination, uint16_t from, uint16_t to, size_t length) {
  return (strchr(source, ':') ? support_udp6 : support_udp4)(packet, source, destination, from, to, data, length);
}

static int send_to(struct support_lab *lab, const char *from, uint16_t from_port, const char *to, uint16_t to_port,
                   size_t length) {
  struct iovec iov = {data, length};
  return adit_stack_send_datagram(lab->stack, (adit_endpoint){ip_of(from), from_port},
                                  (adit_endpoint){ip_of(to), to_port}, &iov, 1);
}

/* ---- in ----------------------------------------------------------------------------------------------------------- */

static void any_address_and_port(void **state) {
  static const struct {
    const char *source, *destination;
    uint16_t from, to;
  } table[] = {
      {CLIENT4, STACK4, 40000, 7},
      {CLIENT4, "8.8.8.8", 1, 53},
      {"1.2.3.4", "203.0.113.255", 65535, 65535},
      {CLIENT4, "100.64.0.1", 1024, 1},
      {CLIENT4, STACK4, 0, 7},
      {CLIENT6, STACK6, 40000, 7},
      {CLIENT6, "2001:db8::1", 1, 53},
      {"fe80::1", "fe80::2", 5353, 5353},
      {"2000::", "3fff::ffff", 65535, 1},
  };
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    forget_seen();
    size_t length = build(table[i].source, table[i].destination, table[i].from, table[i].to, 100 + i);
    packet[packet[0] >> 4 == 4 ? 8 : 7] = (uint8_t)(i + 1);
    support_seal(packet, length);
    support_ip_input(&lab, packet, length, NULL);
    assert_int_equal(seen.count, 1);
    assert_true(adit_ip_equal(seen.remote.ip, ip_of(table[i].source)));
    assert_true(adit_ip_equal(seen.local.ip, ip_of(table[i].destination)));
    assert_int_equal(seen.remote.port, table[i].from);
    assert_int_equal(seen.local.port, table[i].to);
    assert_int_equal(seen.ttl, i + 1);
    assert_int_equal(seen.length, 100 + i);
    assert_memory_equal(seen.bytes, data, seen.length);
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

static void sizes_in(void **state) {
  static const size_t sizes[] = {0, 1, 2, 7, 8, 1472, 9000, LONGEST4 - 1, LONGEST4, LONGEST6};
  struct support_lab lab;
  struct adit_stack_stats stats;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int v6 = sizes[i] > LONGEST4; v6 < 2; v6++) {
      forget_seen();
      support_ip_input(&lab, packet, build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 7, sizes[i]), NULL);
      assert_int_equal(seen.count, 1);
      assert_int_equal(seen.length, sizes[i]);
      assert_memory_equal(seen.bytes, data, sizes[i]);
    }
  }
  adit_stack_stats(lab.stack, &stats);
  assert_int_equal(stats.datagrams_in, 19);
  support_lab_close(&lab);
}

/* RFC 768: the UDP length ends the datagram, what the packet has behind it is no part of it. */
static void shorter_than_its_packet(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (int v6 = 0; v6 < 2; v6++) {
    size_t header = v6 ? 40 : 20;
    uint8_t udp[8 + 30] = {0x0f, 0xa0, 0, 7, 0, 8 + 10};
    memcpy(udp + 8, data, 30);
    /* the checksum over 18 bytes, which build finds out */
    build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 7, 10);
    memcpy(udp + 6, packet + header + 6, 2);
    size_t length = v6 ? support_ip6(packet, CLIENT6, STACK6, IPPROTO_UDP, udp, sizeof udp)
                       : support_ip4(packet, CLIENT4, STACK4, IPPROTO_UDP, NULL, 0, udp, sizeof udp);
    forget_seen();
    support_ip_input(&lab, packet, length, NULL);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.length, 10);
    assert_memory_equal(seen.bytes, data, 10);
  }
  support_lab_close(&lab);
}

static void without_checksum(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  forget_seen();
  size_t length = build(CLIENT4, STACK4, 4000, 7, 10);
  support_put16(packet + 26, 0);
  support_ip_input(&lab, packet, length, NULL);
  assert_int_equal(seen.count, 1);
  support_ip_no_drops(&lab, &drops, "IPv4");
  length = build(CLIENT6, STACK6, 4000, 7, 10);
  support_put16(packet + 46, 0);
  support_ip_input(&lab, packet, length, NULL);
  assert_int_equal(seen.count, 1);
  support_ip_drops(&lab, &drops, ADIT_DROP_UDP_CHECKSUM, 1, "IPv6");
  support_lab_close(&lab);
}

static void fragments_in(void **state) {
  static const size_t sizes[] = {1473, 2961, 10000, 65000, LONGEST4, LONGEST6};
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int v6 = sizes[i] > LONGEST4; v6 < 2; v6++) {
      forget_seen();
      size_t length = build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 7, sizes[i]);
      assert_true(support_fragment(packet, length, 1500, (uint32_t)i, support_ip_give, &lab) > 1);
      assert_int_equal(seen.count, 1);
      assert_int_equal(seen.length, sizes[i]);
      assert_memory_equal(seen.bytes, data, sizes[i]);
    }
  }
  support_lab_close(&lab);
}

/* ---- super-packets ------------------------------------------------------------------------------------------------ */

static void super_packets_are_split(void **state) {
  static const struct {
    size_t length;
    uint16_t gso_size;
  } table[] = {{3000, 1000}, {3500, 1000}, {1001, 1000}, {1000, 1000}, {999, 1000}, {1, 1}, {60000, 1472}, {128, 1}};
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    for (int v6 = 0; v6 < 2; v6++) {
      for (int whole_length = 0; whole_length < 2; whole_length++) { /* in the UDP header: of one segment, or of all */
        size_t each = table[i].gso_size;
        size_t header = v6 ? 40 : 20;
        struct adit_offload offload = {.gso = ADIT_GSO_UDP,
                                       .gso_size = table[i].gso_size,
                                       .checksum = ADIT_CHECKSUM_PARTIAL,
                                       .checksum_start = (uint16_t)header,
                                       .checksum_offset = 6};
        size_t length = build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 7, table[i].length);
        if (!whole_length && each < table[i].length) support_put16(packet + header + 4, (uint32_t)(8 + each));
        support_seal_partial(packet, length);
        forget_seen();
        support_ip_input(&lab, packet, length, &offload);
        assert_int_equal(seen.count, (table[i].length + each - 1) / each);
        for (unsigned k = 0; k < seen.count; k++)
          assert_int_equal(seen.lengths[k], k + 1 < seen.count ? each : table[i].length - each * (seen.count - 1));
        assert_int_equal(seen.total, table[i].length);
        assert_memory_equal(seen.bytes, data, seen.total);
      }
    }
  }
  support_lab_close(&lab);
}

/* A note may not make 65,507 datagrams of one packet. */
static void super_packets_are_bounded(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  support_lab_open(&lab, &events, NULL);
  for (unsigned gso_size = 1; gso_size < 200; gso_size++) {
    struct adit_offload offload = {
        .gso = ADIT_GSO_UDP, .gso_size = (uint16_t)gso_size, .checksum = ADIT_CHECKSUM_VALID};
    forget_seen();
    support_ip_input(&lab, packet, build(CLIENT4, STACK4, 4000, 7, LONGEST4), &offload);
    bool taken = LONGEST4 <= 1024 * gso_size;
    assert_int_equal(seen.count, taken ? (LONGEST4 + gso_size - 1) / gso_size : 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_OFFLOAD, !taken, "super-packet");
  }
  support_lab_close(&lab);
}

/* ---- out ---------------------------------------------------------------------------------------------------------- */

static uint32_t wanted_mtu;
static uint32_t wanted_offload;

static void with_mtu(struct adit_stack_options *options) {
  options->mtu = wanted_mtu;
  options->offload = wanted_offload;
}

static void check_sent(const char *from, const char *to, size_t length, size_t bytes) {
  size_t header = strchr(from, ':') ? 40 : 20;
  assert_int_equal(length, header + 8 + bytes);
  uint8_t ttl = header == 20 ? whole[8] : whole[7];
  assert_int_equal(ttl, 64);
  build(from, to, 7, 40000, bytes);
  if (header == 20) {
    memcpy(packet + 4, whole + 4, 2); /* identification is random */
    support_seal(packet, length);
  }
  assert_memory_equal(whole, packet, length);
}

static void sizes_out(void **state) {
  static const uint32_t mtus[] = {576, 1280, 1500, 9000, 65535};
  static const size_t sizes[] = {0,    1,    2,    40,   41,   548,  549,  1231,  1232,     1233,
                                 1452, 1453, 1472, 1473, 2944, 8972, 9000, 60000, LONGEST4, LONGEST6};
  struct support_lab lab;
  (void)state;
  for (size_t m = 0; m < sizeof mtus / sizeof *mtus; m++) {
    for (unsigned offload = 0; offload < 2; offload++) {
      wanted_mtu = mtus[m];
      wanted_offload = offload ? OFFLOAD_ALL : 0;
      support_lab_open(&lab, &no_events, with_mtu);
      for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int v6 = sizes[i] > LONGEST4; v6 < 2; v6++) {
          size_t mtu = v6 && mtus[m] < 1280 ? 1280 : mtus[m]; /* IPv6 has no smaller one (RFC 8200, 5) */
          size_t header = v6 ? 40 : 20;
          size_t pieces;
          assert_int_equal(send_to(&lab, v6 ? STACK6 : STACK4, 7, v6 ? CLIENT6 : CLIENT4, 40000, sizes[i]), 0);
          bool fits = header + 8 + sizes[i] <= mtu;
          if (fits) assert_int_equal(lab.first->offload.checksum, offload ? ADIT_CHECKSUM_PARTIAL : ADIT_CHECKSUM_NONE);
          if (fits && offload) assert_int_equal(lab.first->offload.checksum_start, header);
          if (fits && offload) assert_int_equal(lab.first->offload.checksum_offset, 6);
          assert_int_equal(lab.first->offload.gso, ADIT_GSO_NONE);
          size_t length = support_ip_collect(&lab, mtu, whole, &pieces);
          size_t each = (mtu - header - (v6 ? 8 : 0)) / 8 * 8;
          assert_int_equal(pieces, fits ? 1 : (8 + sizes[i] + each - 1) / each);
          check_sent(v6 ? STACK6 : STACK4, v6 ? CLIENT6 : CLIENT4, length, sizes[i]);
          assert_int_equal(support_ip_waiting(&lab), 0);
        }
      }
      support_lab_close(&lab);
    }
  }
}

/* Two datagrams in a row must not be mixed up by who puts them together. */
static void identifications_differ(void **state) {
  struct support_lab lab;
  uint32_t last = 0;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (unsigned i = 0; i < 50; i++) {
    assert_int_equal(send_to(&lab, STACK6, 7, CLIENT6, 40000, 3000), 0);
    uint32_t id = support_get32(lab.first->bytes + 44);
    assert_int_not_equal(id, last);
    last = id;
    support_ip_collect(&lab, 1500, whole, NULL);
  }
  support_lab_close(&lab);
}

static void pieces_of_any_length(void **state) {
  static const size_t cuts[] = {0, 1, 0, 2, 7, 1400, 3, 0, 1500, 64, 5, 1000, 0};
  struct support_lab lab;
  struct iovec iov[13];
  size_t bytes = 0;
  (void)state;
  wanted_mtu = 1500;
  wanted_offload = 0;
  support_lab_open(&lab, &no_events, with_mtu);
  for (size_t i = 0; i < 13; i++) {
    iov[i] = (struct iovec){data + bytes, cuts[i]};
    bytes += cuts[i];
  }
  for (int v6 = 0; v6 < 2; v6++) {
    assert_int_equal(adit_stack_send_datagram(lab.stack, (adit_endpoint){ip_of(v6 ? STACK6 : STACK4), 7},
                                              (adit_endpoint){ip_of(v6 ? CLIENT6 : CLIENT4), 40000}, iov, 13),
                     0);
    size_t length = support_ip_collect(&lab, 1500, whole, NULL);
    check_sent(v6 ? STACK6 : STACK4, v6 ? CLIENT6 : CLIENT4, length, bytes);
  }
  support_lab_close(&lab);
}

/* Runs of datagrams, given to another stack as they leave: it sees the same datagrams, however few packets carried them. */
static void runs_out(void **state) {
  static const struct {
    size_t length, each;
    size_t packets; /* where super-packets are cut */
  } table[] = {{14000, 1400, 1}, {14001, 1400, 1},   {13999, 1400, 1}, {1400, 1400, 1},  {5, 1, 1},
               {64, 1, 1},       {65, 1, 2},         {150, 1, 3},      {60000, 1472, 1}, {65000, 1400, 2},
               {2801, 1400, 1},  {20000, 10000, 14}, {0, 1400, 0}};
  (void)state;
  for (int uso = 0; uso < 2; uso++) {
    for (size_t i = 0; i < 2 * sizeof table / sizeof *table; i++) {
      bool v6 = i % 2;
      size_t length = table[i / 2].length, each = table[i / 2].each;
      if (v6 && each == 1472) each = 1452;
      struct support_lab lab, sink;
      wanted_mtu = 1500;
      wanted_offload = uso ? OFFLOAD_ALL : 0;
      support_lab_open(&lab, &no_events, with_mtu);
      support_lab_open(&sink, &events, NULL);
      adit_endpoint from = {ip_of(v6 ? STACK6 : STACK4), 7}, to = {ip_of(v6 ? CLIENT6 : CLIENT4), 40000};
      size_t count = (length + each - 1) / each;
      struct iovec iov[3] = {{data, length / 3}, {data + length / 3, 0}, {data + length / 3, length - length / 3}};
      assert_int_equal(adit_stack_send_datagrams(lab.stack, from, to, iov, 3, each), count);
      if (uso && each < 1500) assert_int_equal(support_ip_waiting(&lab), table[i / 2].packets);
      if (!uso && each < 1500) assert_int_equal(support_ip_waiting(&lab), count);
      forget_seen();
      for (const struct support_out *out = lab.first; out; out = out->next)
        support_ip_input(&sink, out->bytes, out->length, &out->offload);
      assert_int_equal(seen.count, count);
      for (size_t k = 0; k + 1 < count; k++) assert_int_equal(seen.lengths[k], each);
      assert_int_equal(seen.total, length);
      assert_memory_equal(seen.bytes, data, length);
      struct adit_stack_stats stats;
      adit_stack_stats(lab.stack, &stats);
      assert_int_equal(stats.datagrams_out, count);
      support_ip_forget(&lab);
      support_lab_close(&sink);
      support_lab_close(&lab);
    }
  }
}

/* A checksum that comes out as zero is sent as 0xffff: zero would mean that there is none (RFC 768). */
static void checksum_is_never_zero(void **state) {
  struct support_lab lab;
  (void)state;
  for (size_t bytes = 2; bytes <= 4000; bytes += 3998) {
    for (int v6 = 0; v6 < 2; v6++) {
      support_lab_open(&lab, &no_events, NULL);
      const char *from = v6 ? STACK6 : STACK4;
      const char *to = v6 ? CLIENT6 : CLIENT4;
      memset(data, 0, 2);
      build(from, to, 7, 40000, bytes);
      uint16_t checksum = support_get16(packet + (v6 ? 46 : 26));
      support_put16(data, checksum); /* adding its complement's complement makes the sum 0xffff */
      build(from, to, 7, 40000, bytes);
      assert_int_equal(support_get16(packet + (v6 ? 46 : 26)), 0xffff);
      assert_int_equal(send_to(&lab, from, 7, to, 40000, bytes), 0);
      support_ip_collect(&lab, 1500, whole, NULL);
      assert_int_equal(support_get16(whole + (v6 ? 46 : 26)), 0xffff);
      support_lab_close(&lab);
    }
  }
  support_pattern(data, sizeof data);
}

static void what_cannot_be_sent(void **state) {
  struct support_lab lab;
  struct adit_stack_stats stats;
  struct iovec iov[64];
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (size_t i = 0; i < 64; i++) iov[i] = (struct iovec){data, 1};
  adit_endpoint v4 = {ip_of(STACK4), 7}, v6 = {ip_of(STACK6), 7}, none = {{.version = 0}, 7};
  assert_int_equal(send_to(&lab, STACK4, 7, CLIENT4, 1, LONGEST4 + 1), -EMSGSIZE);
  assert_int_equal(send_to(&lab, STACK6, 7, CLIENT6, 1, LONGEST6 + 1), -EMSGSIZE);
  assert_int_equal(adit_stack_send_datagram(lab.stack, v4, v6, iov, 1), -EINVAL);
  assert_int_equal(adit_stack_send_datagram(lab.stack, none, none, iov, 1), -EINVAL);
  assert_int_equal(adit_stack_send_datagram(lab.stack, v4, v4, iov, 64), -EINVAL);
  assert_int_equal(adit_stack_send_datagrams(lab.stack, v4, v4, iov, 2, 0), 0);
  assert_int_equal(adit_stack_send_datagrams(lab.stack, v4, v6, iov, 2, 10), 0);
  assert_int_equal(support_ip_waiting(&lab), 0);
  adit_stack_stats(lab.stack, &stats);
  assert_int_equal(stats.datagrams_out, 0);
  assert_int_equal(send_to(&lab, STACK4, 7, CLIENT4, 1, 10), 0);
  assert_int_equal(adit_stack_send_datagram(lab.stack, v4, v4, NULL, 0), 0);
  adit_stack_stats(lab.stack, &stats);
  assert_int_equal(stats.datagrams_out, 2);
  support_lab_close(&lab);
}

/* ---- refusals ----------------------------------------------------------------------------------------------------- */

/* An ICMP error has come out, about the first `quoted` bytes of `packet`. */
static void check_unreachable(struct support_lab *lab, size_t length, bool v6) {
  size_t header = v6 ? 40 : 20;
  size_t most = (v6 ? 1280 : 576) - header - 8;
  size_t quoted = length < most ? length : most;
  assert_int_equal(support_ip_waiting(lab), 1);
  size_t size = support_ip_collect(lab, 1500, whole, NULL);
  assert_int_equal(size, header + 8 + quoted);
  assert_int_equal(v6 ? whole[6] : whole[9], v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_int_equal(whole[header], v6 ? 1 : 3);
  assert_int_equal(whole[header + 1], v6 ? 4 : 3);
  assert_int_equal(support_get32(whole + header + 4), 0);
  assert_memory_equal(whole + header + 8, packet, quoted);
  size_t addresses = v6 ? 16 : 4;
  size_t at = v6 ? 8 : 12;
  assert_memory_equal(whole + at, packet + at + addresses, addresses);
  assert_memory_equal(whole + at + addresses, packet + at, addresses);
}

static void port_unreachable(void **state) {
  static const size_t sizes[] = {0, 1, 100, 519, 520, 521, 1183, 1184, 1185, 1200, 60000};
  struct support_lab lab;
  (void)state;
  for (int asked = 0; asked < 2; asked++) { /* nobody takes datagrams; the one who does refuses */
    support_lab_open(&lab, asked ? &events : &no_events, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (int v6 = 0; v6 < 2; v6++) {
        forget_seen();
        seen.refuse = true;
        seen.refused = 1;
        size_t length = build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 9999, sizes[i]);
        support_ip_input(&lab, packet, length, NULL);
        if (asked) assert_int_equal(seen.refused, 0);
        check_unreachable(&lab, length, v6);
      }
    }
    seen.refuse = false;
    support_lab_close(&lab);
  }
}

/* A super-packet is refused once, however many datagrams are in it, and by whomever. */
static void super_packets_are_refused_once(void **state) {
  struct support_lab lab;
  (void)state;
  for (int asked = 0; asked < 2; asked++) {
    support_lab_open(&lab, asked ? &events : &no_events, NULL);
    for (int v6 = 0; v6 < 2; v6++) {
      struct adit_offload offload = {.gso = ADIT_GSO_UDP, .gso_size = 100, .checksum = ADIT_CHECKSUM_VALID};
      forget_seen();
      seen.refuse = true;
      for (unsigned round = 1; round <= 3; round++) { /* and the next one again */
        size_t length = build(v6 ? CLIENT6 : CLIENT4, v6 ? STACK6 : STACK4, 4000, 9999, 5000);
        support_ip_input(&lab, packet, length, &offload);
        if (asked) {
          assert_int_equal(seen.count, 50 * round);
          assert_int_equal(seen.refused, 0);
        }
        check_unreachable(&lab, length, v6);
      }
    }
    seen.refuse = false;
    support_lab_close(&lab);
  }
}

static struct adit_datagram kept;
static int misused_reply;

static void keep_datagram(void *user, const struct adit_datagram *datagram) {
  struct support_lab *lab = user;
  kept = *datagram;
  struct adit_echo echo = {.local = datagram->local.ip, .remote = datagram->remote.ip};
  misused_reply = adit_stack_echo_reply(lab->stack, &echo);
}

static void refused_only_where_it_can_be(void **state) {
  static const struct adit_stack_events keeping = {.datagram = keep_datagram};
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &keeping, NULL);
  support_ip_input(&lab, packet, build(CLIENT4, STACK4, 4000, 9999, 10), NULL);
  assert_int_equal(misused_reply, -EINVAL);                                /* a datagram is no echo request */
  assert_int_equal(adit_stack_refuse_datagram(lab.stack, &kept), -EINVAL); /* too late */
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

/* RFC 1812 4.3.2.8: a burst of errors, then so many a second, whoever knocks. */
static void errors_are_bounded(void **state) {
  struct support_lab lab;
  (void)state;
  support_lab_open(&lab, &no_events, NULL);
  for (unsigned i = 0; i < 5000; i++)
    support_ip_input(&lab, packet, build(CLIENT4, STACK4, (uint16_t)(1 + i), 9999, 10), NULL);
  size_t burst = support_ip_waiting(&lab);
  assert_in_range(burst, 50, 200);
  support_ip_forget(&lab);
  for (unsigned i = 0; i < 10000; i++) { /* a second, ten knocks a millisecond */
    if (i % 10 == 0) support_lab_pass(&lab, 1000000);
    support_ip_input(&lab, packet, build(CLIENT4, STACK4, (uint16_t)(1 + i), 9999, 10), NULL);
  }
  assert_in_range(support_ip_waiting(&lab), 900, 1000 + burst);
  support_ip_forget(&lab);
  support_lab_pass(&lab, 1000000000);
  for (unsigned i = 0; i < 5000; i++)
    support_ip_input(&lab, packet, build(CLIENT4, STACK4, (uint16_t)(1 + i), 9999, 10), NULL);
  assert_int_equal(support_ip_waiting(&lab), burst);
  support_lab_close(&lab);
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_address_and_port),
      cmocka_unit_test(sizes_in),
      cmocka_unit_test(shorter_than_its_packet),
      cmocka_unit_test(without_checksum),
      cmocka_unit_test(fragments_in),
      cmocka_unit_test(super_packets_are_split),
      cmocka_unit_test(super_packets_are_bounded),
      cmocka_unit_test(sizes_out),
      cmocka_unit_test(identifications_differ),
      cmocka_unit_test(pieces_of_any_length),
      cmocka_unit_test(runs_out),
      cmocka_unit_test(checksum_is_never_zero),
      cmocka_unit_test(what_cannot_be_sent),
      cmocka_unit_test(port_unreachable),
      cmocka_unit_test(super_packets_are_refused_once),
      cmocka_unit_test(refused_only_where_it_can_be),
      cmocka_unit_test(errors_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
