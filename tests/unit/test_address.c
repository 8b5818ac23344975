/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Addresses, endpoints and networks: text to value and back, and membership.
 */
#include <adit/address.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static adit_ip ip(const char *text) {
  adit_ip value = {.version = 0};
  if (adit_ip_parse(text, &value) != 0) {
    fail_msg("\"%s\" was not read", text);
  }
  return value;
}

static adit_cidr cidr(const char *text) {
  adit_cidr value = {.prefix = 0};
  if (adit_cidr_parse(text, &value) != 0) {
    fail_msg("\"%s\" was not read", text);
  }
  return value;
}

static void addresses_are_read_and_written(void **state) {
  static const struct {
    const char *in;
    const char *out;
    unsigned version;
  } cases[] = {
      {"0.0.0.0", "0.0.0.0", 4},
      {"192.168.3.12", "192.168.3.12", 4},
      {"255.255.255.255", "255.255.255.255", 4},
      {"::", "::", 6},
      {"::1", "::1", 6},
      {"FDAD:0003::000C", "fdad:3::c", 6},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", 6},    /* the first of two equal runs (RFC 5952, 4.2.3) */
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", 6}, /* one group alone is not shortened (4.2.2) */
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 6},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1", 6},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[ADIT_ADDRESS_TEXT];
    adit_ip value = ip(cases[i].in);
    assert_int_equal(value.version, cases[i].version);
    assert_ptr_equal(adit_ip_format(value, text), text);
    assert_string_equal(text, cases[i].out);
  }
}

static void what_is_no_address_is_refused(void **state) {
  static const char *const cases[] = {
      "",
      " ",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "1.2.3.-4",
      "01.2.3.4",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4/8",
      "1..2.3",
      "0x1.2.3.4",
      "localhost",
      ":",
      ":::",
      "1:2",
      "1::2::3",
      "12345::",
      "g::",
      "fe80::1%lo",
      "[::1]",
      "::1/64",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:1.2.3.4",
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    adit_ip value = ip("192.0.2.7");
    adit_ip before = value;
    int result = adit_ip_parse(cases[i], &value);
    if (result != -EINVAL) {
      fail_msg("\"%s\": wanted %d, got %d", cases[i], -EINVAL, result);
    }
    assert_memory_equal(&value, &before, sizeof value);
  }
}

static void equal_addresses_are_equal_bytes(void **state) {
  uint8_t bytes[16] = {192, 0, 2, 1, 0xaa, 0xbb, 0xcc};
  adit_ip four = adit_ip_from_bytes(4, bytes);
  adit_ip none = adit_ip_from_bytes(5, bytes);
  (void)state;
  assert_true(adit_ip_equal(four, ip("192.0.2.1"))); /* what follows the four bytes is not taken */
  assert_false(adit_ip_equal(four, ip("192.0.2.2")));
  assert_false(adit_ip_equal(ip("0.0.0.0"), ip("::")));
  assert_false(adit_ip_equal(ip("::1"), ip("::2")));
  assert_int_equal(adit_ip_length(four), 4);
  assert_int_equal(adit_ip_length(ip("::1")), 16);
  assert_int_equal(adit_ip_length(none), 0);
  assert_true(adit_ip_equal(none, (adit_ip){.version = 0}));
}

static void no_address_has_a_text_too(void **state) {
  char text[ADIT_ADDRESS_TEXT];
  (void)state;
  assert_string_equal(adit_ip_format((adit_ip){.version = 0}, text), "none");
  assert_string_equal(adit_ip_format((adit_ip){.version = 9}, text), "none");
}

static void multicast_is_known(void **state) {
  static const struct {
    const char *text;
    bool multicast;
  } cases[] = {
      {"223.255.255.255", false},
      {"224.0.0.0", true},
      {"239.255.255.255", true},
      {"240.0.0.0", false},
      {"255.255.255.255", true},
      {"255.255.255.254", false},
      {"0.0.0.0", false},
      {"ff02::1", true},
      {"ff00::", true},
      {"fe80::1", false},
      {"::", false},
      {"fdad:3::ff02", false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool is = adit_ip_is_multicast(ip(cases[i].text));
    if (is != cases[i].multicast) {
      fail_msg("%s: wanted %d, got %d", cases[i].text, cases[i].multicast, is);
    }
  }
}

static void endpoints_are_written(void **state) {
  static const struct {
    const char *ip;
    uint16_t port;
    const char *text;
  } cases[] = {
      {"192.0.2.1", 80, "192.0.2.1:80"},
      {"0.0.0.0", 0, "0.0.0.0:0"},
      {"2001:db8::1", 65535, "[2001:db8::1]:65535"},
      {"1111:2222:3333:4444:5555:6666:7777:8888", 65535, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[ADIT_ADDRESS_TEXT];
    adit_endpoint endpoint = {ip(cases[i].ip), cases[i].port};
    assert_ptr_equal(adit_endpoint_format(endpoint, text), text);
    assert_string_equal(text, cases[i].text);
  }
}

static void networks_are_read_and_written(void **state) {
  static const struct {
    const char *in;
    const char *out;
  } cases[] = {
      {"192.168.3.11/24", "192.168.3.11/24"}, /* host bits are kept */
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"192.0.2.1", "192.0.2.1/32"},
      {"192.0.2.1/32", "192.0.2.1/32"},
      {"FDAD:3::/64", "fdad:3::/64"},
      {"::/0", "::/0"},
      {"::1", "::1/128"},
      {"1111:2222:3333:4444:5555:6666:7777:8888/128", "1111:2222:3333:4444:5555:6666:7777:8888/128"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[ADIT_ADDRESS_TEXT];
    assert_string_equal(adit_cidr_format(cidr(cases[i].in), text), cases[i].out);
  }
}

static void what_is_no_network_is_refused(void **state) {
  static const char *const cases[] = {
      "",
      "/",
      "/24",
      "192.0.2.0/",
      "192.0.2.0/33",
      "192.0.2.0/-1",
      "192.0.2.0/+8",
      "192.0.2.0/ 8",
      "192.0.2.0/08",
      "192.0.2.0/8 ",
      "192.0.2/24",
      "192.0.2.0/8/8",
      "192.0.2.0/a",
      "::/129",
      "::/99999999999999999999",
      "default",
      "192.0.2.0/255.255.255.0",
      "0000000000000000000000000000000000000000000000000000000000000::1/64",
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    adit_cidr value = cidr("192.0.2.7/9");
    adit_cidr before = value;
    int result = adit_cidr_parse(cases[i], &value);
    if (result != -EINVAL) {
      fail_msg("\"%s\": wanted %d, got %d", cases[i], -EINVAL, result);
    }
    assert_memory_equal(&value, &before, sizeof value);
  }
}

static void membership_goes_by_prefix(void **state) {
  static const struct {
    const char *network;
    const char *ip;
    bool inside;
  } cases[] = {
      {"192.168.3.11/24", "192.168.3.0", true},
      {"192.168.3.11/24", "192.168.3.255", true},
      {"192.168.3.11/24", "192.168.4.0", false},
      {"192.168.3.11/24", "192.168.2.255", false},
      {"10.0.0.0/9", "10.127.255.255", true},
      {"10.0.0.0/9", "10.128.0.0", false},
      {"192.0.2.4/30", "192.0.2.7", true},
      {"192.0.2.4/30", "192.0.2.8", false},
      {"192.0.2.4/31", "192.0.2.5", true},
      {"192.0.2.4/31", "192.0.2.6", false},
      {"192.0.2.4/32", "192.0.2.4", true},
      {"192.0.2.4/32", "192.0.2.5", false},
      {"0.0.0.0/0", "255.1.2.3", true},
      {"0.0.0.0/0", "::", false},
      {"::/0", "0.0.0.0", false},
      {"::/0", "ffff::1", true},
      {"fdad:3::/64", "fdad:3::ffff:ffff:ffff:ffff", true},
      {"fdad:3::/64", "fdad:3:0:1::", false},
      {"fdad:3::/63", "fdad:3:0:1::", true},
      {"fdad:3::/63", "fdad:3:0:2::", false},
      {"::1/128", "::1", true},
      {"::1/128", "::", false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool inside = adit_cidr_contains(cidr(cases[i].network), ip(cases[i].ip));
    if (inside != cases[i].inside) {
      fail_msg("%s in %s: wanted %d, got %d", cases[i].ip, cases[i].network, cases[i].inside, inside);
    }
  }
}

static void every_prefix_length_cuts_at_its_bit(void **state) {
  (void)state;
  for (unsigned version = 4; version <= 6; version += 2) {
    unsigned bits = version == 4 ? 32 : 128;
    adit_ip base = ip(version == 4 ? "170.85.170.85" : "aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55");
    for (unsigned prefix = 0; prefix <= bits; prefix++) {
      for (unsigned flip = 0; flip < bits; flip++) {
        adit_ip other = base;
        other.bytes[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
        bool inside = adit_cidr_contains((adit_cidr){base, (uint8_t)prefix}, other);
        if (inside != (flip >= prefix)) {
          fail_msg("IPv%u/%u, bit %u differs: wanted %d, got %d", version, prefix, flip, flip >= prefix, inside);
        }
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_are_read_and_written),
      cmocka_unit_test(what_is_no_address_is_refused),
      cmocka_unit_test(equal_addresses_are_equal_bytes),
      cmocka_unit_test(no_address_has_a_text_too),
      cmocka_unit_test(multicast_is_known),
      cmocka_unit_test(endpoints_are_written),
      cmocka_unit_test(networks_are_read_and_written),
      cmocka_unit_test(what_is_no_network_is_refused),
      cmocka_unit_test(membership_goes_by_prefix),
      cmocka_unit_test(every_prefix_length_cuts_at_its_bit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
