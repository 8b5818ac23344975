/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack on an Ethernet: ARP and neighbour discovery, both asked and answered, and frames in both directions.
 *
 * Long, because the cases share one world and its state builders, and each is short.
 */
#include "support_ip.h"
#include "support_packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STACK4 "192.168.3.12"
#define OTHER4 "192.168.3.13" /* of the network, but not the stack's */
#define STACK6 "fdad:3::12"
#define OTHER6 "fdad:3::13"
#define NOBODY6 "::"
#define ALL_NODES "ff02::1"
#define SECOND 1000000000u

enum { ETHERNET = 14, ARP = 0x0806, IP4 = 0x0800, IP6 = 0x86dd, OFFLOAD_ALL = 31 };
enum { SOLICITATION = 135, ADVERTISEMENT = 136, SOURCE_OPTION = 1, TARGET_OPTION = 2, NONCE_OPTION = 14 };
enum { SOLICITED = 0x40, OVERRIDE = 0x20 };

static const uint8_t stack_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t nobody[6];

struct host {
  uint8_t mac[6];
  const char *ip4, *ip6;
};
static const struct host alice = {{2, 0, 0, 0, 0, 0x0a}, "192.168.3.11", "fdad:3::11"};
static const struct host bob = {{2, 0, 0, 0, 0, 0x0b}, "192.168.3.21", "fdad:3::21"};
static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 0x0c};

static uint8_t packet[SUPPORT_PACKET_MAX];
static uint8_t whole[SUPPORT_PACKET_MAX];
static uint8_t data[65536];

static const struct adit_stack_events no_events;

/* ---- a lab on an Ethernet ----------------------------------------------------------------------------------------- */

static uint32_t wanted_offload;

static void over_ethernet(struct adit_stack_options *options) {
  static adit_cidr answer[2];
  static adit_ip except[6];
  static const char *const others[6] = {OTHER4, OTHER6, "192.168.3.11", "fdad:3::11", "192.168.3.21", "fdad:3::21"};
  assert_int_equal(adit_cidr_parse("192.168.3.0/24", &answer[0]), 0);
  assert_int_equal(adit_cidr_parse("fdad:3::/64", &answer[1]), 0);
  for (unsigned i = 0; i < 6; i++) assert_int_equal(adit_ip_parse(others[i], &except[i]), 0);
  options->answer = answer;
  options->answers = 2;
  options->except = except;
  options->excepts = 6;
  options->ethernet = true;
  options->offload = wanted_offload;
  memcpy(options->mac, stack_mac, 6);
}

static void open_lab(struct support_lab *lab, const struct adit_stack_events *events, uint32_t offload) {
  wanted_offload = offload;
  support_lab_open(lab, events, over_ethernet);
}

static void put_ip6(uint8_t *at, const char *text) {
  assert_int_equal(inet_pton(AF_INET6, text, at), 1);
}

static void check_ip6(const uint8_t *at, const char *text) {
  uint8_t expected[16];
  put_ip6(expected, text);
  assert_memory_equal(at, expected, 16);
}

static void check_ip4(const uint8_t *at, const char *text) {
  uint8_t expected[4];
  assert_int_equal(inet_pton(AF_INET, text, expected), 1);
  assert_memory_equal(at, expected, 4);
}

/* Put the packet in `packet` into a frame and give it to the stack. */
static void input_from(struct support_lab *lab, const uint8_t mac[6], size_t length) {
  uint16_t type = packet[0] >> 4 == 4 ? IP4 : IP6;
  length = support_ethernet(packet, length, stack_mac, mac, type);
  support_ip_input(lab, packet, length, NULL);
}

/* The next frame that came out: the stack's, to `mac`. Free it. */
static struct support_out *take_frame(struct support_lab *lab, const uint8_t mac[6], uint16_t type) {
  struct support_out *out = support_lab_take(lab);
  assert_non_null(out);
  assert_in_range(out->length, ETHERNET + 20, ETHERNET + 65535);
  assert_memory_equal(out->bytes, mac, 6);
  assert_memory_equal(out->bytes + 6, stack_mac, 6);
  assert_int_equal(support_get16(out->bytes + 12), type);
  return out;
}

/* The next packet, with all of its fragments, without Ethernet headers, to `mac`. Returns its length in `whole`. */
static size_t collect_to(struct support_lab *lab, const uint8_t mac[6], uint16_t type) {
  for (struct support_out *out = lab->first; out; out = out->next) {
    if (support_get16(out->bytes + 12) != type) break;
    assert_memory_equal(out->bytes, mac, 6);
    assert_memory_equal(out->bytes + 6, stack_mac, 6);
    memmove(out->bytes, out->bytes + ETHERNET, out->length - ETHERNET);
    out->length -= ETHERNET;
    if (out->offload.checksum == ADIT_CHECKSUM_PARTIAL)
      out->offload.checksum_start = (uint16_t)(out->offload.checksum_start - ETHERNET);
    bool more = type == IP4 ? out->bytes[6] & 0x20 : out->bytes[6] == IPPROTO_FRAGMENT && (out->bytes[43] & 1);
    if (!more) break;
  }
  return support_ip_collect(lab, 1500, whole, NULL);
}

/* ---- ARP ---------------------------------------------------------------------------------------------------------- */

static void check_arp(struct support_lab *lab, const uint8_t to[6], uint16_t operation, const char *sender,
                      const uint8_t target_mac[6], const char *target) {
  struct support_out *out = take_frame(lab, to, ARP);
  const uint8_t *arp = out->bytes + ETHERNET;
  static const uint8_t fixed[] = {0, 1, 8, 0, 6, 4};
  assert_int_equal(out->length, ETHERNET + 28);
  assert_memory_equal(arp, fixed, sizeof fixed);
  assert_int_equal(support_get16(arp + 6), operation);
  assert_memory_equal(arp + 8, stack_mac, 6);
  check_ip4(arp + 14, sender);
  assert_memory_equal(arp + 18, target_mac, 6);
  check_ip4(arp + 24, target);
  assert_int_equal(out->offload.checksum, ADIT_CHECKSUM_NONE);
  free(out);
}

static void input_arp(struct support_lab *lab, uint16_t operation, const uint8_t mac[6], const char *sender,
                      const uint8_t target_mac[6], const char *target) {
  support_ip_input(lab, packet, support_arp(packet, operation, mac, sender, target_mac, target), NULL);
}

static void arp_is_answered(void **state) {
  static const char *const ours[] = {STACK4, "192.168.3.1", "192.168.3.254"};
  static const char *const others[] = {OTHER4, "192.168.4.12", "10.0.0.1", "192.168.3.21"};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (size_t i = 0; i < 3; i++) {
    input_arp(&lab, 1, alice.mac, alice.ip4, nobody, ours[i]);
    check_arp(&lab, alice.mac, 2, ours[i], alice.mac, alice.ip4);
  }
  input_arp(&lab, 1, alice.mac, "0.0.0.0", nobody, STACK4); /* is it free? No (RFC 5227, 1.1) */
  check_arp(&lab, alice.mac, 2, STACK4, alice.mac, "0.0.0.0");
  support_ip_no_drops(&lab, &drops, "ARP for us");
  for (size_t i = 0; i < 4; i++) {
    input_arp(&lab, 1, alice.mac, alice.ip4, nobody, others[i]);
    assert_int_equal(support_ip_waiting(&lab), 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, others[i]);
  }
  input_arp(&lab, 1, alice.mac, STACK4, nobody, STACK4); /* somebody announces our address: no answer to that */
  assert_int_equal(support_ip_waiting(&lab), 0);
  support_lab_close(&lab);
}

static void arp_malformed(void **state) {
  static const struct {
    unsigned at;
    uint8_t byte;
  } wrong[] = {{1, 6}, {2, 0x86}, {4, 8}, {5, 16}, {7, 0}, {7, 3}, {7, 9}};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    size_t length = support_arp(packet, 1, alice.mac, alice.ip4, nobody, STACK4);
    packet[ETHERNET + wrong[i].at] = wrong[i].byte;
    support_ip_input(&lab, packet, length, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_PROTOCOL, 1, "not ARP for IPv4 over Ethernet");
  }
  size_t length = support_arp(packet, 1, alice.mac, alice.ip4, nobody, STACK4);
  for (size_t i = 0; i < length; i++) {
    support_ip_input(&lab, packet, i, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_TRUNCATED, 1, "cut ARP");
  }
  assert_int_equal(support_ip_waiting(&lab), 0);
  memset(packet + length, 0xee, 60 - length); /* as it comes from a real wire */
  support_ip_input(&lab, packet, 60, NULL);
  check_arp(&lab, alice.mac, 2, STACK4, alice.mac, alice.ip4);
  support_lab_close(&lab);
}

/* ---- asking for neighbours ---------------------------------------------------------------------------------------- */

static size_t ping_from(const struct host *host, bool v6, uint16_t sequence, size_t bytes) {
  return v6 ? support_echo6(packet, host->ip6, STACK6, SUPPORT_ECHO_REQUEST6, 7, sequence, data, bytes)
            : support_echo4(packet, host->ip4, STACK4, SUPPORT_ECHO_REQUEST4, 7, sequence, data, bytes);
}

static void check_pong(struct support_lab *lab, const uint8_t mac[6], bool v6, uint16_t sequence, size_t bytes) {
  size_t header = v6 ? 40 : 20;
  assert_int_equal(collect_to(lab, mac, v6 ? IP6 : IP4), header + 8 + bytes);
  assert_int_equal(whole[header], v6 ? SUPPORT_ECHO_REPLY6 : SUPPORT_ECHO_REPLY4);
  assert_int_equal(support_get16(whole + header + 6), sequence);
  assert_memory_equal(whole + header + 8, data, bytes);
}

/* A neighbour discovery message in `packet`, unframed. `options` are appended as they are. */
static size_t build_nd(const char *source, const char *destination, uint8_t type, uint8_t flags, const char *target,
                       const uint8_t *options, size_t length) {
  uint8_t body[24 + 256] = {type, 0, 0, 0, flags};
  put_ip6(body + 8, target);
  if (length > 0) memcpy(body + 24, options, length);
  size_t size = support_ip6(packet, source, destination, IPPROTO_ICMPV6, body, 24 + length);
  packet[7] = 255;
  support_seal(packet, size);
  return size;
}

static size_t build_nd_with_mac(const char *source, const char *destination, uint8_t type, uint8_t flags,
                                const char *target, uint8_t option, const uint8_t mac[6]) {
  uint8_t options[8] = {option, 1};
  memcpy(options + 2, mac, 6);
  return build_nd(source, destination, type, flags, target, options, sizeof options);
}

/* The stack asks `ip6` who it is. */
static void check_solicitation(struct support_lab *lab, const char *source, const char *ip6) {
  uint8_t target[16];
  uint8_t group_mac[6] = {0x33, 0x33, 0xff};
  uint8_t group[16] = {0xff, 2, [11] = 1, 0xff};
  put_ip6(target, ip6);
  memcpy(group_mac + 3, target + 13, 3);
  memcpy(group + 13, target + 13, 3);
  struct support_out *out = take_frame(lab, group_mac, IP6);
  const uint8_t *ip = out->bytes + ETHERNET;
  assert_int_equal(out->length, ETHERNET + 40 + 32);
  assert_true(support_sealed(ip, out->length - ETHERNET));
  assert_int_equal(ip[7], 255);
  check_ip6(ip + 8, source);
  assert_memory_equal(ip + 24, group, 16);
  assert_int_equal(ip[40], SOLICITATION);
  assert_int_equal(ip[41], 0);
  assert_memory_equal(ip + 48, target, 16);
  assert_int_equal(ip[64], SOURCE_OPTION);
  assert_int_equal(ip[65], 1);
  assert_memory_equal(ip + 66, stack_mac, 6);
  free(out);
}

/* What `host` says when it was asked. */
static void answer_question(struct support_lab *lab, const struct host *host, bool v6) {
  if (v6) {
    size_t length = build_nd_with_mac(host->ip6, STACK6, ADVERTISEMENT, SOLICITED | OVERRIDE, host->ip6, TARGET_OPTION,
                                      host->mac);
    input_from(lab, host->mac, length);
  } else {
    input_arp(lab, 2, host->mac, host->ip4, stack_mac, STACK4);
  }
}

static void check_question(struct support_lab *lab, const struct host *host, bool v6) {
  if (v6) {
    check_solicitation(lab, STACK6, host->ip6);
  } else {
    check_arp(lab, everybody, 1, STACK4, nobody, host->ip4);
  }
  assert_int_equal(support_ip_waiting(lab), 0);
}

static void an_echo_reply_waits(void **state) {
  static const size_t sizes[] = {56, 3000, 60000};
  struct support_lab lab;
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    for (int v6 = 0; v6 < 2; v6++) {
      open_lab(&lab, &no_events, 0);
      size_t length = ping_from(&alice, v6, 5, sizes[i]);
      static uint8_t request[SUPPORT_PACKET_MAX];
      memcpy(request, packet, length);
      length = support_ethernet(request, length, stack_mac, alice.mac, v6 ? IP6 : IP4);
      support_ip_input(&lab, request, length, NULL);
      memset(request, 0, length); /* what waits must not lie in the request */
      check_question(&lab, &alice, v6);
      answer_question(&lab, &alice, v6);
      check_pong(&lab, alice.mac, v6, 5, sizes[i]);
      assert_int_equal(support_ip_waiting(&lab), 0);
      input_from(&lab, alice.mac, ping_from(&alice, v6, 6, sizes[i])); /* known from now on */
      check_pong(&lab, alice.mac, v6, 6, sizes[i]);
      support_lab_close(&lab);
    }
  }
}

static adit_ip ip_of(const char *text) {
  adit_ip ip;
  assert_int_equal(adit_ip_parse(text, &ip), 0);
  return ip;
}

static void a_datagram_waits(void **state) {
  struct support_lab lab;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    for (int foreign = 0; foreign < 2; foreign++) { /* from an address that the stack answers for, and from another */
      open_lab(&lab, &no_events, OFFLOAD_ALL);
      const char *from = foreign ? v6 ? "2001:db8::9" : "10.9.9.9" : v6 ? STACK6 : STACK4;
      struct iovec iov = {data, 2000};
      assert_int_equal(adit_stack_send_datagram(lab.stack, (adit_endpoint){ip_of(from), 53},
                                                (adit_endpoint){ip_of(v6 ? alice.ip6 : alice.ip4), 4000}, &iov, 1),
                       0);
      iov.iov_len = 100;
      assert_int_equal(adit_stack_send_datagram(lab.stack, (adit_endpoint){ip_of(from), 53},
                                                (adit_endpoint){ip_of(v6 ? alice.ip6 : alice.ip4), 4000}, &iov, 1),
                       0);
      if (v6) {
        check_solicitation(&lab, from, alice.ip6);
        size_t length = build_nd_with_mac(alice.ip6, from, ADVERTISEMENT, SOLICITED | OVERRIDE, alice.ip6,
                                          TARGET_OPTION, alice.mac);
        input_from(&lab, alice.mac, length);
      } else {
        check_arp(&lab, everybody, 1, from, nobody, alice.ip4);
        input_arp(&lab, 2, alice.mac, alice.ip4, stack_mac, from);
      }
      size_t header = (v6 ? 40 : 20) + 8;
      assert_int_equal(collect_to(&lab, alice.mac, v6 ? IP6 : IP4), header + 2000);
      assert_memory_equal(whole + header, data, 2000);
      assert_int_equal(collect_to(&lab, alice.mac, v6 ? IP6 : IP4), header + 100);
      assert_memory_equal(whole + header, data, 100);
      assert_int_equal(support_ip_waiting(&lab), 0);
      support_lab_close(&lab);
    }
  }
}

/* Nobody answers: it is asked again each second for a while, then what waits is forgotten. */
static void no_answer(void **state) {
  struct support_lab lab;
  struct adit_stack_stats stats;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    open_lab(&lab, &no_events, 0);
    adit_stack_stats(lab.stack, &stats);
    uint64_t before = stats.memory_bytes;
    for (uint16_t i = 0; i < 1000; i++) input_from(&lab, alice.mac, ping_from(&alice, v6, i, 1400));
    check_question(&lab, &alice, v6);
    adit_stack_stats(lab.stack, &stats);
    assert_in_range(stats.memory_bytes - before, 1400, 300 * 4096); /* bounded, whoever pings */
    support_lab_pass(&lab, 30ull * SECOND);
    assert_in_range(support_ip_waiting(&lab), 1, 10);
    support_ip_forget(&lab);
    adit_stack_stats(lab.stack, &stats);
    assert_in_range(stats.memory_bytes, 0, before + 1024);
    input_from(&lab, alice.mac, ping_from(&alice, v6, 1, 56)); /* and it is asked anew */
    check_question(&lab, &alice, v6);
    answer_question(&lab, &alice, v6);
    check_pong(&lab, alice.mac, v6, 1, 56);
    support_lab_close(&lab);
  }
}

static void two_neighbours(void **state) {
  static const struct host *const hosts[] = {&alice, &bob};
  struct support_lab lab;
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int v6 = 0; v6 < 2; v6++) {
    for (unsigned i = 0; i < 2; i++) {
      input_from(&lab, hosts[i]->mac, ping_from(hosts[i], v6, 1, 56));
      check_question(&lab, hosts[i], v6);
    }
    for (unsigned i = 2; i-- > 0;) {
      answer_question(&lab, hosts[i], v6);
      check_pong(&lab, hosts[i]->mac, v6, 1, 56);
    }
    for (uint16_t i = 0; i < 100; i++) {
      input_from(&lab, hosts[i % 2]->mac, ping_from(hosts[i % 2], v6, i, 56));
      check_pong(&lab, hosts[i % 2]->mac, v6, i, 56);
    }
  }
  support_lab_close(&lab);
}

/* More neighbours than the tables have entries: each is answered, some are asked again. */
static void many_neighbours(void **state) {
  struct support_lab lab;
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int v6 = 0; v6 < 2; v6++) {
    for (unsigned round = 0; round < 2; round++) {
      for (unsigned i = 0; i < 300; i++) {
        char ip4[32], ip6[32];
        snprintf(ip4, sizeof ip4, "10.1.%u.%u", i / 100, i % 100 + 1);
        snprintf(ip6, sizeof ip6, "2001:db8::%x", i + 1);
        struct host host = {{2, 0, 1, 0, (uint8_t)(i >> 8), (uint8_t)i}, ip4, ip6};
        input_from(&lab, host.mac, ping_from(&host, v6, (uint16_t)i, 56));
        if (memcmp(lab.first->bytes, host.mac, 6) != 0) {
          check_question(&lab, &host, v6);
          answer_question(&lab, &host, v6);
        }
        check_pong(&lab, host.mac, v6, (uint16_t)i, 56);
        assert_int_equal(support_ip_waiting(&lab), 0);
      }
    }
  }
  support_lab_close(&lab);
}

/* A flood from addresses that nobody has is not answered with a flood of questions, and keeps nobody waiting. */
static void a_flood_of_strangers(void **state) {
  static const struct host honest = {{2, 0, 0, 0, 0, 0x77}, "192.168.3.77", "fdad:3::77"};
  struct support_lab lab;
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int v6 = 0; v6 < 2; v6++) {
    unsigned questions = 0;
    input_from(&lab, honest.mac, ping_from(&honest, v6, 0, 56));
    check_question(&lab, &honest, v6);
    answer_question(&lab, &honest, v6);
    check_pong(&lab, honest.mac, v6, 0, 56);
    for (unsigned i = 0; i < 2000; i++) {
      char ip4[32], ip6[32];
      snprintf(ip4, sizeof ip4, "10.1.%u.%u", i / 200, i % 200 + 1);
      snprintf(ip6, sizeof ip6, "2001:db8::%x", i + 1);
      struct host stranger = {{2, 0, 1, 0, (uint8_t)(i >> 8), (uint8_t)i}, ip4, ip6};
      input_from(&lab, stranger.mac, ping_from(&stranger, v6, (uint16_t)i, 56));
      while (lab.first) {
        struct support_out *out = support_lab_take(&lab);
        questions += v6 ? out->bytes[0] == 0x33 : memcmp(out->bytes, everybody, 6) == 0;
        free(out);
      }
      if (i % 20 != 0) continue;
      input_from(&lab, honest.mac, ping_from(&honest, v6, (uint16_t)i, 56));
      check_pong(&lab, honest.mac, v6, (uint16_t)i, 56);
    }
    assert_in_range(questions, 1, 40);
    support_lab_pass(&lab, 60 * UINT64_C(1000000000)); /* forgotten */
    while (lab.first) free(support_lab_take(&lab));
  }
  support_lab_close(&lab);
}

/* ---- neighbour discovery, asked ----------------------------------------------------------------------------------- */

/* The group that a solicitation for the target goes to. */
static const char *group_of(const char *target) {
  static char text[INET6_ADDRSTRLEN];
  uint8_t bytes[16];
  uint8_t group[16] = {0xff, 2, [11] = 1, 0xff};
  put_ip6(bytes, target);
  memcpy(group + 13, bytes + 13, 3);
  inet_ntop(AF_INET6, group, text, sizeof text);
  return text;
}

static void check_advertisement(struct support_lab *lab, const uint8_t mac[6], const char *to, const char *target,
                                uint8_t flags) {
  struct support_out *out = take_frame(lab, mac, IP6);
  const uint8_t *ip = out->bytes + ETHERNET;
  assert_int_equal(out->length, ETHERNET + 40 + 32);
  assert_true(support_sealed(ip, out->length - ETHERNET));
  assert_int_equal(ip[6], IPPROTO_ICMPV6);
  assert_int_equal(ip[7], 255);
  check_ip6(ip + 8, target);
  check_ip6(ip + 24, to);
  assert_int_equal(ip[40], ADVERTISEMENT);
  assert_int_equal(ip[41], 0);
  assert_int_equal(ip[44], flags);
  check_ip6(ip + 48, target);
  assert_int_equal(ip[64], TARGET_OPTION);
  assert_int_equal(ip[65], 1);
  assert_memory_equal(ip + 66, stack_mac, 6);
  free(out);
}

static void solicitations_are_answered(void **state) {
  static const char *const ours[] = {STACK6, "fdad:3::1", "fdad:3::1234:5678"};
  static const char *const others[] = {OTHER6, "fdad:4::12", "2001:db8::1", "fe80::1"};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int unicast = 0; unicast < 2; unicast++) {
    for (size_t i = 0; i < 3; i++) {
      const char *to = unicast ? ours[i] : group_of(ours[i]);
      input_from(&lab, alice.mac, build_nd_with_mac(alice.ip6, to, SOLICITATION, 0, ours[i], SOURCE_OPTION, alice.mac));
      check_advertisement(&lab, alice.mac, alice.ip6, ours[i], SOLICITED | OVERRIDE);
      assert_int_equal(support_ip_waiting(&lab), 0);
    }
  }
  input_from(&lab, bob.mac, build_nd(bob.ip6, STACK6, SOLICITATION, 0, STACK6, NULL, 0)); /* knows us: no option */
  check_advertisement(&lab, bob.mac, bob.ip6, STACK6, SOLICITED | OVERRIDE);
  support_ip_no_drops(&lab, &drops, "solicitations for us");
  for (size_t i = 0; i < 4; i++) {
    input_from(&lab, alice.mac,
               build_nd_with_mac(alice.ip6, group_of(others[i]), SOLICITATION, 0, others[i], SOURCE_OPTION, alice.mac));
    assert_int_equal(support_ip_waiting(&lab), 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, others[i]);
  }
  /* The neighbour is known by its question: a ping needs none of ours. */
  input_from(&lab, alice.mac, ping_from(&alice, true, 1, 56));
  check_pong(&lab, alice.mac, true, 1, 56);
  support_lab_close(&lab);
}

/* RFC 4862 5.4: somebody wants to have an address and asks whether it is free. */
static void duplicate_address_detection(void **state) {
  static const uint8_t nonce[8] = {NONCE_OPTION, 1, 1, 2, 3, 4, 5, 6}; /* as Linux sends it (RFC 7527) */
  static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (size_t length = 0; length <= sizeof nonce; length += sizeof nonce) {
    input_from(&lab, alice.mac, build_nd(NOBODY6, group_of(STACK6), SOLICITATION, 0, STACK6, nonce, length));
    check_advertisement(&lab, all_nodes_mac, ALL_NODES, STACK6, OVERRIDE);
    assert_int_equal(support_ip_waiting(&lab), 0);
    support_ip_no_drops(&lab, &drops, "ours");
    input_from(&lab, alice.mac, build_nd(NOBODY6, group_of(OTHER6), SOLICITATION, 0, OTHER6, nonce, length));
    assert_int_equal(support_ip_waiting(&lab), 0);
    support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, "another's");
  }
  support_lab_close(&lab);
}

/* RFC 4861 7.1.1 and 7.1.2: what is not in order changes nothing and is not answered. */
static void discovery_malformed(void **state) {
  static const uint8_t zero_length[8] = {SOURCE_OPTION, 0, 2, 0, 0, 0, 0, 0x0a};
  static const uint8_t too_long[8] = {SOURCE_OPTION, 2, 2, 0, 0, 0, 0, 0x0a};
  static const uint8_t good[8] = {SOURCE_OPTION, 1, 2, 0, 0, 0, 0, 0x0a};
  static const uint8_t target_zero_length[8] = {TARGET_OPTION, 0, 2, 0, 0, 0, 0, 0x0a};
  static const uint8_t target_good[8] = {TARGET_OPTION, 1, 2, 0, 0, 0, 0, 0x0a};
  static const struct {
    const char *what, *source, *destination;
    uint8_t type, flags;
    const char *target;
    const uint8_t *options;
    size_t length;
    uint8_t hop_limit, code;
    enum adit_drop drop;
  } table[] = {
      {"hop limit", "fdad:3::11", STACK6, 135, 0, STACK6, good, 8, 64, 0, ADIT_DROP_HEADER},
      {"hop limit 254", "fdad:3::11", STACK6, 135, 0, STACK6, good, 8, 254, 0, ADIT_DROP_HEADER},
      {"code", "fdad:3::11", STACK6, 135, 0, STACK6, good, 8, 255, 1, ADIT_DROP_HEADER},
      {"group as target", "fdad:3::11", STACK6, 135, 0, "ff02::1", good, 8, 255, 0, ADIT_DROP_HEADER},
      {"option of length 0", "fdad:3::11", STACK6, 135, 0, STACK6, zero_length, 8, 255, 0, ADIT_DROP_HEADER},
      {"option beyond the end", "fdad:3::11", STACK6, 135, 0, STACK6, too_long, 8, 255, 0, ADIT_DROP_HEADER},
      {"half an option", "fdad:3::11", STACK6, 135, 0, STACK6, good, 2, 255, 0, ADIT_DROP_HEADER},
      {"a byte of an option", "fdad:3::11", STACK6, 135, 0, STACK6, good, 1, 255, 0, ADIT_DROP_HEADER},
      {"no option to a group", "fdad:3::11", "ff02::1:ff00:12", 135, 0, STACK6, NULL, 0, 255, 0, ADIT_DROP_HEADER},
      {"from nobody, with option", "::", "ff02::1:ff00:12", 135, 0, STACK6, good, 8, 255, 0, ADIT_DROP_HEADER},
      {"from nobody, to us", "::", STACK6, 135, 0, STACK6, NULL, 0, 255, 0, ADIT_DROP_HEADER},
      {"from nobody, to all", "::", "ff02::1", 135, 0, STACK6, NULL, 0, 255, 0, ADIT_DROP_HEADER},
      {"from a group", "ff02::5", STACK6, 135, 0, STACK6, good, 8, 255, 0, ADIT_DROP_ADDRESS},
      {"solicited, to all", "fdad:3::11", "ff02::1", 136, 0x60, "fdad:3::11", target_good, 8, 255, 0, ADIT_DROP_HEADER},
      {"advertised, option of length 0", "fdad:3::11", STACK6, 136, 0x60, "fdad:3::11", target_zero_length, 8, 255, 0,
       ADIT_DROP_HEADER},
      {"advertised, hop limit", "fdad:3::11", STACK6, 136, 0x60, "fdad:3::11", target_good, 8, 64, 0, ADIT_DROP_HEADER},
  };
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    size_t length = build_nd(table[i].source, table[i].destination, table[i].type, table[i].flags, table[i].target,
                             table[i].options, table[i].length);
    packet[7] = table[i].hop_limit;
    packet[41] = table[i].code;
    support_seal(packet, length);
    input_from(&lab, alice.mac, length);
    support_ip_drops(&lab, &drops, table[i].drop, 1, table[i].what);
    assert_int_equal(support_ip_waiting(&lab), 0);
  }
  for (size_t bytes = 8; bytes < 24; bytes++) { /* cut, with a checksum that fits */
    uint8_t body[24] = {SOLICITATION};
    size_t length = support_ip6(packet, alice.ip6, STACK6, IPPROTO_ICMPV6, body, bytes);
    packet[7] = 255;
    support_seal(packet, length);
    input_from(&lab, alice.mac, length);
    support_ip_drops(&lab, &drops, ADIT_DROP_TRUNCATED, 1, "cut");
  }
  support_lab_close(&lab);
}

/* ---- neighbours that move ----------------------------------------------------------------------------------------- */

/* Get to know alice. */
static void meet(struct support_lab *lab, bool v6) {
  input_from(lab, alice.mac, ping_from(&alice, v6, 1, 56));
  check_question(lab, &alice, v6);
  answer_question(lab, &alice, v6);
  check_pong(lab, alice.mac, v6, 1, 56);
}

static void check_lives_at(struct support_lab *lab, const uint8_t mac[6], bool v6) {
  input_from(lab, mac, ping_from(&alice, v6, 2, 56));
  check_pong(lab, mac, v6, 2, 56);
  assert_int_equal(support_ip_waiting(lab), 0);
}

static void moves4(void **state) {
  struct support_lab lab;
  (void)state;
  for (uint16_t operation = 1; operation <= 2; operation++) { /* both kinds of gratuitous ARP (RFC 5227, 3) */
    open_lab(&lab, &no_events, 0);
    input_arp(&lab, operation, alice.mac, alice.ip4, everybody, alice.ip4); /* not known: nothing to be learned */
    meet(&lab, false);
    check_lives_at(&lab, alice.mac, false);
    input_arp(&lab, operation, new_mac, alice.ip4, everybody, alice.ip4);
    assert_int_equal(support_ip_waiting(&lab), 0);
    check_lives_at(&lab, new_mac, false);
    input_arp(&lab, 1, alice.mac, alice.ip4, nobody, OTHER4); /* what it asks others is news as well */
    check_lives_at(&lab, alice.mac, false);
    support_lab_close(&lab);
  }
}

static void moves6(void **state) {
  static const uint8_t nonce_first[16] = {NONCE_OPTION, 1, 1, 2, 3, 4, 5, 6, TARGET_OPTION, 1, 2, 0, 0, 0, 0, 0x0c};
  struct support_lab lab;
  (void)state;
  open_lab(&lab, &no_events, 0);
  meet(&lab, true);
  input_from(&lab, new_mac,
             build_nd_with_mac(alice.ip6, ALL_NODES, ADVERTISEMENT, 0, alice.ip6, TARGET_OPTION, new_mac));
  check_lives_at(&lab, alice.mac, true); /* without override it changes nothing */
  input_from(&lab, new_mac,
             build_nd_with_mac(alice.ip6, ALL_NODES, ADVERTISEMENT, OVERRIDE, alice.ip6, TARGET_OPTION, new_mac));
  check_lives_at(&lab, new_mac, true);
  input_from(&lab, alice.mac, /* it asks, from where it is now (RFC 4861, 7.2.3) */
             build_nd_with_mac(alice.ip6, STACK6, SOLICITATION, 0, STACK6, SOURCE_OPTION, alice.mac));
  check_advertisement(&lab, alice.mac, alice.ip6, STACK6, SOLICITED | OVERRIDE);
  check_lives_at(&lab, alice.mac, true);
  input_from(&lab, new_mac, /* options come in any order */
             build_nd(alice.ip6, ALL_NODES, ADVERTISEMENT, OVERRIDE, alice.ip6, nonce_first, sizeof nonce_first));
  check_lives_at(&lab, new_mac, true);
  input_from(&lab, alice.mac, build_nd(alice.ip6, ALL_NODES, ADVERTISEMENT, OVERRIDE, alice.ip6, NULL, 0));
  check_lives_at(&lab, new_mac, true);
  input_from(&lab, alice.mac, build_nd(alice.ip6, STACK6, ADVERTISEMENT, SOLICITED | OVERRIDE, alice.ip6, NULL, 0));
  check_lives_at(&lab, new_mac, true);
  support_lab_close(&lab);
}

/* An entry grows old; the neighbour is asked again, in the name of an address that the stack is. */
static void entries_grow_old(void **state) {
  struct support_lab lab;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    open_lab(&lab, &no_events, 0);
    meet(&lab, v6);
    support_lab_pass(&lab, 400ull * SECOND);
    support_ip_forget(&lab);
    input_from(&lab, alice.mac, ping_from(&alice, v6, 2, 56));
    if (!v6) check_question(&lab, &alice, false);
    if (!v6) answer_question(&lab, &alice, false);
    check_pong(&lab, alice.mac, v6, 2, 56);
    if (v6) { /* it is used while it is checked: 5 s, then asked at the address it had */
      support_lab_pass(&lab, 8ull * SECOND);
      struct support_out *out = take_frame(&lab, alice.mac, IP6);
      assert_int_equal(out->bytes[ETHERNET + 40], SOLICITATION);
      check_ip6(out->bytes + ETHERNET + 8, STACK6);
      free(out);
    }
    support_lab_close(&lab);
  }
}

/* ---- frames ------------------------------------------------------------------------------------------------------- */

static void frames_for_others(void **state) {
  static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1};
  static const uint8_t *const wrong[] = {alice.mac, everybody, group, nobody};
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int v6 = 0; v6 < 2; v6++) {
    meet(&lab, v6);
    for (size_t i = 0; i < 4; i++) {
      size_t length = ping_from(&alice, v6, 1, 56);
      length = support_ethernet(packet, length, wrong[i], alice.mac, v6 ? IP6 : IP4);
      support_ip_input(&lab, packet, length, NULL);
      support_ip_drops(&lab, &drops, ADIT_DROP_ADDRESS, 1, "to another hardware address");
      assert_int_equal(support_ip_waiting(&lab), 0);
    }
  }
  static const uint16_t types[] = {0x8100, 0x88cc, 0x0026, 0x0600, 0xffff};
  for (size_t i = 0; i < 5; i++) {
    size_t length = support_ethernet(packet, ping_from(&alice, false, 1, 56), stack_mac, alice.mac, types[i]);
    support_ip_input(&lab, packet, length, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_PROTOCOL, 1, "another type");
  }
  for (size_t i = 0; i < ETHERNET; i++) {
    support_ip_input(&lab, packet, i, NULL);
    support_ip_drops(&lab, &drops, ADIT_DROP_TRUNCATED, 1, "no header");
  }
  size_t length = support_ethernet(packet, ping_from(&alice, false, 1, 56), stack_mac, alice.mac, IP6);
  support_ip_input(&lab, packet, length, NULL); /* the packet itself counts, not what the frame calls it */
  check_pong(&lab, alice.mac, false, 1, 56);
  support_lab_close(&lab);
}

static void padded_frames(void **state) {
  struct support_lab lab;
  (void)state;
  open_lab(&lab, &no_events, 0);
  for (int v6 = 0; v6 < 2; v6++) {
    meet(&lab, v6);
    for (size_t bytes = 0; bytes < 40; bytes++) {
      size_t length = ping_from(&alice, v6, (uint16_t)bytes, bytes);
      length = support_ethernet(packet, length, stack_mac, alice.mac, v6 ? IP6 : IP4);
      memset(packet + length, 0xee, 128);
      support_ip_input(&lab, packet, length < 60 ? 60 : length + bytes, NULL);
      check_pong(&lab, alice.mac, v6, (uint16_t)bytes, bytes);
    }
  }
  support_lab_close(&lab);
}

static void notes_count_from_the_frame(void **state) {
  struct support_lab lab;
  struct support_drops drops = {0};
  (void)state;
  open_lab(&lab, &no_events, OFFLOAD_ALL);
  for (int v6 = 0; v6 < 2; v6++) {
    uint16_t header = v6 ? 40 : 20;
    meet(&lab, v6);
    for (uint16_t start = 0; start < 100; start++) {
      struct adit_offload offload = {.checksum = ADIT_CHECKSUM_PARTIAL, .checksum_start = start, .checksum_offset = 6};
      size_t length = v6 ? support_udp6(packet, alice.ip6, STACK6, 4000, 9999, data, 10)
                         : support_udp4(packet, alice.ip4, STACK4, 4000, 9999, data, 10);
      support_seal_partial(packet, length);
      length = support_ethernet(packet, length, stack_mac, alice.mac, v6 ? IP6 : IP4);
      support_ip_input(&lab, packet, length, &offload);
      bool right = start == ETHERNET + header;
      support_ip_drops(&lab, &drops, ADIT_DROP_OFFLOAD, !right, "start of the checksum");
      assert_int_equal(support_ip_waiting(&lab), right);
      support_ip_forget(&lab);
    }
    struct iovec iov = {data, 100};
    assert_int_equal(adit_stack_send_datagram(lab.stack, (adit_endpoint){ip_of(v6 ? STACK6 : STACK4), 53},
                                              (adit_endpoint){ip_of(v6 ? alice.ip6 : alice.ip4), 4000}, &iov, 1),
                     0);
    struct support_out *out = take_frame(&lab, alice.mac, v6 ? IP6 : IP4);
    assert_int_equal(out->offload.checksum, ADIT_CHECKSUM_PARTIAL);
    assert_int_equal(out->offload.checksum_start, ETHERNET + header);
    assert_int_equal(out->offload.checksum_offset, 6);
    free(out);
  }
  support_lab_close(&lab);
}

/* ---- TCP ---------------------------------------------------------------------------------------------------------- */

static struct adit_flow *flow;
static size_t flow_read;

static void on_readable(void *user, struct adit_flow *which) {
  static uint8_t bytes[65536];
  (void)user;
  size_t length = adit_flow_read(which, bytes, sizeof bytes);
  assert_memory_equal(bytes, data + flow_read, length);
  flow_read += length;
}

static void on_syn(void *user, struct adit_flow *which) {
  static const struct adit_flow_events events = {.readable = on_readable};
  (void)user;
  flow = which;
  flow_read = 0;
  adit_flow_attach(which, &events, NULL);
  assert_int_equal(adit_flow_accept(which), 0);
}

static const struct adit_stack_events tcp_events = {.syn = on_syn};

enum { CLIENT_MSS = 1000 };

static size_t build_tcp(bool v6, uint32_t sequence, uint32_t acknowledged, uint8_t flags, size_t bytes) {
  static const uint8_t mss[] = {2, 4, CLIENT_MSS >> 8, CLIENT_MSS & 0xff};
  size_t options = flags & SUPPORT_SYN ? sizeof mss : 0;
  return v6 ? support_tcp6(packet, alice.ip6, STACK6, 4000, 80, sequence, acknowledged, flags, 65535, mss, options,
                           data, bytes)
            : support_tcp4(packet, alice.ip4, STACK4, 4000, 80, sequence, acknowledged, flags, 65535, mss, options,
                           data, bytes);
}

/* Connect; the SYN-ACK waits for the answer who alice is. Returns the sequence number that the stack sends next. */
static uint32_t connect_to(struct support_lab *lab, bool v6) {
  input_from(lab, alice.mac, build_tcp(v6, 100, 0, SUPPORT_SYN, 0));
  support_lab_flush(lab);
  check_question(lab, &alice, v6);
  answer_question(lab, &alice, v6);
  size_t header = v6 ? 40 : 20;
  collect_to(lab, alice.mac, v6 ? IP6 : IP4);
  assert_int_equal(whole[header + 13], SUPPORT_SYN | SUPPORT_ACK);
  assert_int_equal(support_get32(whole + header + 8), 101);
  assert_int_equal(support_ip_waiting(lab), 0);
  uint32_t next = support_get32(whole + header + 4) + 1;
  input_from(lab, alice.mac, build_tcp(v6, 101, next, SUPPORT_ACK, 0));
  support_lab_flush(lab);
  assert_int_equal(adit_flow_state(flow), ADIT_FLOW_ESTABLISHED);
  return next;
}

static void a_connection(void **state) {
  struct support_lab lab;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    uint16_t header = v6 ? 40 : 20;
    open_lab(&lab, &tcp_events, OFFLOAD_ALL);
    uint32_t next = connect_to(&lab, v6);

    /* A super-packet with notes, as the kernel writes it to a TAP device. */
    size_t length = build_tcp(v6, 101, next, SUPPORT_ACK | SUPPORT_PSH, 30000);
    support_seal_partial(packet, length);
    length = support_ethernet(packet, length, stack_mac, alice.mac, v6 ? IP6 : IP4);
    support_ip_input(&lab, packet, length,
                     &(struct adit_offload){.gso = v6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4,
                                            .gso_size = 1448,
                                            .header_length = (uint16_t)(ETHERNET + header + 20),
                                            .checksum = ADIT_CHECKSUM_PARTIAL,
                                            .checksum_start = (uint16_t)(ETHERNET + header),
                                            .checksum_offset = 16});
    support_lab_flush(&lab);
    assert_int_equal(flow_read, 30000);
    support_ip_forget(&lab);

    assert_int_equal(adit_flow_write(flow, data, 3000), 3000);
    support_lab_flush(&lab);
    struct support_out *out = take_frame(&lab, alice.mac, v6 ? IP6 : IP4);
    assert_int_equal(out->length, ETHERNET + header + 20 + 3000);
    assert_int_equal(out->offload.gso, v6 ? ADIT_GSO_TCP6 : ADIT_GSO_TCP4);
    assert_int_equal(out->offload.gso_size, CLIENT_MSS);
    assert_int_equal(out->offload.header_length, ETHERNET + header + 20);
    assert_int_equal(out->offload.checksum, ADIT_CHECKSUM_PARTIAL);
    assert_int_equal(out->offload.checksum_start, ETHERNET + header);
    assert_int_equal(out->offload.checksum_offset, 16);
    assert_memory_equal(out->bytes + ETHERNET + header + 20, data, 3000);
    free(out);
    support_lab_close(&lab);
  }
}

/*
 * The neighbour is forgotten while the connection rests. What is written then waits, and is cut by the peer's MSS when
 * it goes; and it must not lie in the flow's memory, which may go first.
 */
static void data_waits_for_a_neighbour(void **state) {
  struct support_lab lab;
  (void)state;
  for (int gone = 0; gone < 2; gone++) {
    open_lab(&lab, &tcp_events, OFFLOAD_ALL);
    uint32_t next = connect_to(&lab, false);
    support_lab_pass(&lab, 400ull * SECOND);
    support_ip_forget(&lab);
    assert_int_equal(adit_flow_write(flow, data, 3000), 3000);
    support_lab_flush(&lab);
    check_question(&lab, &alice, false);
    if (gone) {
      input_from(&lab, alice.mac, build_tcp(false, 101, next, SUPPORT_RST | SUPPORT_ACK, 0));
      support_lab_flush(&lab);            /* the flow is gone */
      for (unsigned i = 0; i < 50; i++) { /* use the memory again */
        input_from(&lab, alice.mac, build_tcp(false, 100 + i, 0, SUPPORT_SYN, 0));
        support_lab_flush(&lab);
      }
    }
    answer_question(&lab, &alice, false);
    struct support_out *out = take_frame(&lab, alice.mac, IP4);
    assert_int_equal(out->length, ETHERNET + 40 + 3000);
    assert_memory_equal(out->bytes + ETHERNET + 40, data, 3000);
    assert_int_equal(out->offload.gso, ADIT_GSO_TCP4);
    if (!gone) assert_int_equal(out->offload.gso_size, CLIENT_MSS);
    free(out);
    support_ip_forget(&lab);
    support_lab_close(&lab);
  }
}

/* The longest link: nothing overflows 16 bits with the header in front. */
static void longest_link(struct adit_stack_options *options) {
  over_ethernet(options);
  options->mtu = 65535;
}

static void longest_packets(void **state) {
  struct support_lab lab;
  (void)state;
  for (int v6 = 0; v6 < 2; v6++) {
    support_lab_open(&lab, &no_events, longest_link);
    for (int known = 0; known < 2; known++) {
      for (size_t bytes = 65480; bytes <= 65507; bytes++) {
        struct iovec iov = {data, bytes};
        assert_int_equal(adit_stack_send_datagram(lab.stack, (adit_endpoint){ip_of(v6 ? STACK6 : STACK4), 53},
                                                  (adit_endpoint){ip_of(v6 ? alice.ip6 : alice.ip4), 4000}, &iov, 1),
                         0);
        if (!known) {
          check_question(&lab, &alice, v6);
          answer_question(&lab, &alice, v6);
          known = 1;
        }
        size_t sum = 0;
        struct support_out *out;
        while ((out = support_lab_take(&lab))) {
          assert_in_range(out->length, 1, 65535);
          sum += out->length - ETHERNET - (v6 ? 40 : 20);
          if (v6 && out->bytes[ETHERNET + 6] == IPPROTO_FRAGMENT) sum -= 8;
          free(out);
        }
        assert_int_equal(sum, bytes + 8);
      }
    }
    support_lab_close(&lab);
  }
}

int main(void) {
  support_pattern(data, sizeof data);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arp_is_answered),
      cmocka_unit_test(arp_malformed),
      cmocka_unit_test(an_echo_reply_waits),
      cmocka_unit_test(a_datagram_waits),
      cmocka_unit_test(no_answer),
      cmocka_unit_test(two_neighbours),
      cmocka_unit_test(many_neighbours),
      cmocka_unit_test(a_flood_of_strangers),
      cmocka_unit_test(solicitations_are_answered),
      cmocka_unit_test(duplicate_address_detection),
      cmocka_unit_test(discovery_malformed),
      cmocka_unit_test(moves4),
      cmocka_unit_test(moves6),
      cmocka_unit_test(entries_grow_old),
      cmocka_unit_test(frames_for_others),
      cmocka_unit_test(padded_frames),
      cmocka_unit_test(notes_count_from_the_frame),
      cmocka_unit_test(a_connection),
      cmocka_unit_test(data_waits_for_a_neighbour),
      cmocka_unit_test(longest_packets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
