/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Whom the command of `adit run` asks for names: reading a resolv.conf, and the one that is made. Networks in which
 * nothing is left to answer.
 */
#include "cli/open.h"
#include "cli/run_names.h"
#include "cli/serve_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *server; /* NULL = none */
    const char *rest;
  } cases[] = {
      {"", NULL, ""},
      {"nameserver 192.0.2.1\n", "192.0.2.1", ""},
      {"nameserver\t2001:db8::1", "2001:db8::1", ""},
      {"nameserver 192.0.2.1\nnameserver 192.0.2.2\n", "192.0.2.1", ""},
      {"# nameserver 192.0.2.9\n;nameserver 192.0.2.8\nnameserver   192.0.2.1  # mine\n", "192.0.2.1", ""},
      {"nameserver fe80::1%eth0\nnameserver 192.0.2.1\n", "192.0.2.1",
       ""}, /* a zone means nothing to another program */
      {"nameserver 192.0.2.1.\nnameservers 192.0.2.1\nnameserver192.0.2.1\n nameserver 192.0.2.1\n", NULL, ""},
      {"search a.test b.test\nnameserver 192.0.2.1\noptions ndots:2 edns0", "192.0.2.1",
       "search a.test b.test\noptions ndots:2 edns0\n"},
      {"domain a.test\r\nnameserver 192.0.2.1\r\n", "192.0.2.1", "domain a.test\r\n"},
      {"sortlist 192.0.2.0\nsearching x\n", NULL, ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char rest[256], text[ADIT_ADDRESS_TEXT] = "none";
    adit_ip server;
    if (adit_run_names_read(cases[i].text, &server, rest, sizeof rest)) adit_ip_format(server, text);
    const char *expected = cases[i].server != NULL ? cases[i].server : "none";
    if (strcmp(text, expected) != 0) fail_msg("'%s': expected server %s, found %s", cases[i].text, expected, text);
    if (strcmp(rest, cases[i].rest) != 0)
      fail_msg("'%s': expected '%s', found '%s'", cases[i].text, cases[i].rest, rest);
  }
}

static void test_rest_is_bounded(void **state) {
  (void)state;
  char rest[16];
  adit_ip server;
  assert_true(adit_run_names_read("search aaaaaaaaaaaaaaaaaaaa\nsearch b\nnameserver 192.0.2.1\noptions x\n", &server,
                                  rest, sizeof rest));
  assert_string_equal(rest, "search b\n"); /* no half lines */
}

static struct adit_cli_cidrs addresses(const char *text) {
  struct adit_cli_cidrs list = {.count = 1};
  assert_int_equal(adit_cidr_parse(text, &list.item[0]), 0);
  return list;
}

static void test_choice(void **state) {
  (void)state;
  static const struct {
    enum adit_upstream_kind upstream;
    enum adit_relay_dns
        dns; /* without a word of the user; FORWARD or OFF where this machine has a name server or not */
  } cases[] = {
      {ADIT_UPSTREAM_SOCKS5, ADIT_RELAY_DNS_FAKE},
      {ADIT_UPSTREAM_HTTP, ADIT_RELAY_DNS_FAKE},
      {ADIT_UPSTREAM_REJECT, ADIT_RELAY_DNS_OFF},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_cli_options options = {0};
    struct adit_relay_options relay = {.upstream.kind = cases[i].upstream};
    struct adit_cli_cidrs address = addresses("192.168.3.11/24");
    char text[ADIT_RUN_NAMES_TEXT];
    adit_run_names(&options, &address, &relay, text);
    if (relay.dns != cases[i].dns) {
      fail_msg("upstream %d: expected %d, found %d", (int)cases[i].upstream, (int)cases[i].dns, (int)relay.dns);
    }
    assert_int_equal(text[0] != '\0', relay.dns != ADIT_RELAY_DNS_OFF);
  }
}

/* The server that is named is never the device's own address, whose packets would not leave the namespace. */
static void test_address_of_nobody(void **state) {
  (void)state;
  static const struct {
    const char *own, *line;
  } cases[] = {
      {"192.168.3.11/24", "\nnameserver 192.168.3.12\n"}, {"192.168.3.254/24", "\nnameserver 192.168.3.253\n"},
      {"172.20.0.2/30", "\nnameserver 172.20.0.1\n"},     {"172.20.0.1/30", "\nnameserver 172.20.0.2\n"},
      {"172.20.0.3/31", "\nnameserver 172.20.0.2\n"},     {"10.0.0.1/32", "\nnameserver 10.0.0.0\n"},
      {"fdad:3::11/64", "\nnameserver fdad:3::12\n"},     {"fdad:3::11/128", "\nnameserver fdad:3::10\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_cli_options options = {.dns.mode = ADIT_CLI_DNS_FAKE};
    struct adit_relay_options relay = {.upstream.kind = ADIT_UPSTREAM_SOCKS5, .dns = ADIT_RELAY_DNS_FAKE};
    struct adit_cli_cidrs address = addresses(cases[i].own);
    char text[ADIT_RUN_NAMES_TEXT];
    adit_run_names(&options, &address, &relay, text);
    if (strstr(text, cases[i].line) == NULL)
      fail_msg("%s: expected '%s', found '%s'", cases[i].own, cases[i].line, text);
  }
}

static void test_nothing_left_to_answer(void **state) {
  (void)state;
  static const struct {
    const char *network;
    const char *excepts[2];
    bool nothing;
  } cases[] = {
      {"10.0.0.1/32", {"10.0.0.1"}, true},  {"10.0.0.1/32", {"10.0.0.2"}, false},
      {"10.0.0.1/31", {"10.0.0.1"}, false}, {"10.0.0.1/31", {"10.0.0.0", "10.0.0.1"}, true},
      {"10.0.0.1/24", {"10.0.0.1"}, false}, {"fd00::1/128", {"fd00::1"}, true},
      {"fd00::1/64", {"fd00::1"}, false},   {"0.0.0.0/0", {"10.0.0.1"}, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    adit_cidr network;
    adit_ip excepts[2];
    size_t count = 0;
    assert_int_equal(adit_cidr_parse(cases[i].network, &network), 0);
    while (count < 2 && cases[i].excepts[count]) {
      assert_int_equal(adit_ip_parse(cases[i].excepts[count], &excepts[count]), 0);
      count++;
    }
    bool nothing = adit_serve_leaves_nothing(network, excepts, count);
    if (nothing != cases[i].nothing) fail_msg("%s: expected %d, found %d", cases[i].network, cases[i].nothing, nothing);
  }
}

/* What is not the stack's: the addresses themselves, and those of everybody in their networks. */
static void test_addresses_that_are_not_the_stacks(void **state) {
  static const struct {
    const char *network;
    const char *broadcast; /* NULL: there is none */
  } cases[] = {
      {"192.168.3.11/24", "192.168.3.255"},
      {"10.9.8.7/8", "10.255.255.255"},
      {"10.0.1.1/23", "10.0.1.255"},
      {"10.0.0.9/30", "10.0.0.11"},
      {"10.0.0.9/31", NULL},
      {"10.0.0.9/32", NULL},
      {"fdad:3::11/64", NULL},
      {"fdad:3::11/24", NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_cli_cidrs addresses = {.count = 1};
    adit_ip excepts[ADIT_CLI_EXCEPTS];
    char text[ADIT_ADDRESS_TEXT];
    assert_int_equal(adit_cidr_parse(cases[i].network, &addresses.item[0]), 0);
    assert_int_equal(adit_cli_excepts(&addresses, excepts), cases[i].broadcast ? 2 : 1);
    assert_true(adit_ip_equal(excepts[0], addresses.item[0].ip));
    if (cases[i].broadcast) assert_string_equal(adit_ip_format(excepts[1], text), cases[i].broadcast);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_rest_is_bounded),
      cmocka_unit_test(test_choice),
      cmocka_unit_test(test_address_of_nobody),
      cmocka_unit_test(test_nothing_left_to_answer),
      cmocka_unit_test(test_addresses_that_are_not_the_stacks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
