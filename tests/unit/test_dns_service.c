/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS answers: a table of questions, malformed messages, EDNS, and every message cut at every byte.
 */
#include "service/dns_answer.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

static struct adit_dns_zone zone_of(const char *ip4, const char *ip6) {
  struct adit_dns_zone zone = {0};
  if (ip4) assert_int_equal(adit_ip_parse(ip4, &zone.ip4), 0);
  if (ip6) assert_int_equal(adit_ip_parse(ip6, &zone.ip6), 0);
  return zone;
}

/* A query written by hand: labels between dots, no escapes. Flags: RD. */
static size_t ask(uint8_t *query, const char *name, unsigned type, unsigned class) {
  static const uint8_t header[12] = {0xad, 0x17, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0};
  memcpy(query, header, sizeof header);
  uint8_t *at = query + sizeof header;
  while (*name) {
    size_t length = strcspn(name, ".");
    *at++ = (uint8_t)length;
    memcpy(at, name, length);
    at += length;
    name += length + (name[length] == '.');
  }
  *at++ = 0;
  *at++ = (uint8_t)(type >> 8);
  *at++ = (uint8_t)type;
  *at++ = (uint8_t)(class >> 8);
  *at++ = (uint8_t) class;
  return (size_t)(at - query);
}

static size_t add_opt(uint8_t *query, size_t length, unsigned version) {
  const uint8_t opt[] = {0, 0, 41, 0x10, 0x00, 0, (uint8_t)version, 0, 0, 0, 0};
  memcpy(query + length, opt, sizeof opt);
  query[11]++;
  return length + sizeof opt;
}

/* All records of a section as text: "A 192.0.2.1; PTR adit.test". */
static const char *records(ns_msg *message, ns_sect section, char *text, size_t room) {
  size_t length = 0;
  text[0] = '\0';
  for (int i = 0; i < ns_msg_count(*message, section); i++) {
    ns_rr rr;
    assert_int_equal(ns_parserr(message, section, i, &rr), 0);
    char data[NS_MAXDNAME] = "";
    const char *type = "?";
    switch ((int)ns_rr_type(rr)) {
    case ns_t_a:
      type = "A";
      assert_int_equal(ns_rr_rdlen(rr), 4);
      inet_ntop(AF_INET, ns_rr_rdata(rr), data, sizeof data);
      break;
    case ns_t_aaaa:
      type = "AAAA";
      assert_int_equal(ns_rr_rdlen(rr), 16);
      inet_ntop(AF_INET6, ns_rr_rdata(rr), data, sizeof data);
      break;
    case ns_t_ptr:
    case ns_t_ns:
    case ns_t_soa:
      type = ns_rr_type(rr) == ns_t_ptr ? "PTR" : ns_rr_type(rr) == ns_t_ns ? "NS" : "SOA";
      assert_true(dn_expand(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(rr), data, sizeof data) > 0);
      break;
    case ns_t_opt:
      type = "OPT";
      break;
    }
    length += (size_t)snprintf(text + length, room - length, "%s%s%s%s", i ? "; " : "", type, data[0] ? " " : "", data);
  }
  return text;
}

static void check_answer(const struct adit_dns_zone *zone, const uint8_t *query, size_t length, const char *what,
                         int rcode, bool authoritative, const char *answers, const char *authorities) {
  uint8_t bytes[ADIT_DNS_ANSWER_MAX];
  size_t answer_length = adit_dns_answer(zone, query, length, bytes);
  if (answer_length < 12) fail_msg("%s: answer of %zu bytes", what, answer_length);
  ns_msg message;
  assert_int_equal(ns_initparse(bytes, (int)answer_length, &message), 0); /* also: nothing behind the last record */
  assert_int_equal(ns_msg_id(message), query[0] << 8 | query[1]);
  assert_int_equal(ns_msg_getflag(message, ns_f_qr), 1);
  assert_int_equal(ns_msg_getflag(message, ns_f_rd), query[2] & 1);
  assert_int_equal(ns_msg_getflag(message, ns_f_ra), 0);
  assert_int_equal(ns_msg_getflag(message, ns_f_tc), 0);
  char text[2048];
  char found[2600];
  char wanted[2600];
  snprintf(wanted, sizeof wanted, "%s: rcode %d, aa %d, answer \"%s\"", what, rcode, authoritative, answers);
  snprintf(found, sizeof found, "%s: rcode %d, aa %d, answer \"%s\"", what, ns_msg_getflag(message, ns_f_rcode),
           ns_msg_getflag(message, ns_f_aa), records(&message, ns_s_an, text, sizeof text));
  assert_string_equal(found, wanted);
  records(&message, ns_s_ns, text, sizeof text);
  if (strcasecmp(text, authorities) != 0) /* its name may be that of the question, in the question's letters */
    fail_msg("%s: authority \"%s\", expected \"%s\"", what, text, authorities);
  if (ns_msg_count(message, ns_s_qd) == 1) {
    ns_rr asked;
    ns_rr repeated;
    ns_msg original;
    assert_int_equal(ns_initparse(query, (int)length, &original), 0);
    assert_int_equal(ns_parserr(&original, ns_s_qd, 0, &asked), 0);
    assert_int_equal(ns_parserr(&message, ns_s_qd, 0, &repeated), 0);
    assert_string_equal(ns_rr_name(repeated), ns_rr_name(asked)); /* letter case as well */
    assert_int_equal(ns_rr_type(repeated), ns_rr_type(asked));
    assert_int_equal(ns_rr_class(repeated), ns_rr_class(asked));
  }
}

#define SOA "SOA adit.test"
#define REVERSE6 "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.0.0.0.d.a.d.f.ip6.arpa"

static const struct row {
  const char *name;
  unsigned type;
  unsigned class;
  int rcode;
  bool authoritative;
  const char *answers;
  const char *authorities;
} table[] = {
    {"adit.test", ns_t_a, ns_c_in, ns_r_noerror, true, "A 192.168.3.12", ""},
    {"ADIT.Test", ns_t_a, ns_c_in, ns_r_noerror, true, "A 192.168.3.12", ""},
    {"adit.test", ns_t_aaaa, ns_c_in, ns_r_noerror, true, "AAAA fdad:3::12", ""},
    {"adit.test", ns_t_any, ns_c_in, ns_r_noerror, true, "A 192.168.3.12; AAAA fdad:3::12", ""},
    {"adit.test", ns_t_a, ns_c_any, ns_r_noerror, true, "A 192.168.3.12", ""},
    {"adit.test", ns_t_ns, ns_c_in, ns_r_noerror, true, "NS adit.test", ""},
    {"adit.test", ns_t_soa, ns_c_in, ns_r_noerror, true, SOA, ""},
    {"adit.test", ns_t_mx, ns_c_in, ns_r_noerror, true, "", SOA},
    {"adit.test", ns_t_txt, ns_c_in, ns_r_noerror, true, "", SOA},
    {"adit.test", 65280, ns_c_in, ns_r_noerror, true, "", SOA},
    {"www.adit.test", ns_t_a, ns_c_in, ns_r_nxdomain, true, "", SOA},
    {"a.b.c.ADIT.TEST", ns_t_any, ns_c_in, ns_r_nxdomain, true, "", SOA},
    {"12.3.168.192.in-addr.arpa", ns_t_ptr, ns_c_in, ns_r_noerror, true, "PTR adit.test", ""},
    {"12.3.168.192.IN-ADDR.ARPA", ns_t_any, ns_c_in, ns_r_noerror, true, "PTR adit.test", ""},
    {"12.3.168.192.in-addr.arpa", ns_t_a, ns_c_in, ns_r_noerror, true, "", SOA},
    {REVERSE6, ns_t_ptr, ns_c_in, ns_r_noerror, true, "PTR adit.test", ""},
    {"13.3.168.192.in-addr.arpa", ns_t_ptr, ns_c_in, ns_r_refused, false, "", ""},
    {"112.3.168.192.in-addr.arpa", ns_t_ptr, ns_c_in, ns_r_refused, false, "", ""},
    {"example.org", ns_t_a, ns_c_in, ns_r_refused, false, "", ""},
    {"notadit.test", ns_t_a, ns_c_in, ns_r_refused, false, "", ""},
    {"test", ns_t_a, ns_c_in, ns_r_refused, false, "", ""},
    {"", ns_t_ns, ns_c_in, ns_r_refused, false, "", ""},
    {"adit.test", ns_t_a, ns_c_chaos, ns_r_refused, false, "", ""},
};

static void test_table(void **state) {
  (void)state;
  struct adit_dns_zone zone = zone_of("192.168.3.12", "fdad:3::12");
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    const struct row *row = &table[i];
    uint8_t query[512];
    char what[300];
    size_t length = ask(query, row->name, row->type, row->class);
    snprintf(what, sizeof what, "%s type %u class %u", row->name, row->type, row->class);
    check_answer(&zone, query, length, what, row->rcode, row->authoritative, row->answers, row->authorities);
    length = add_opt(query, length, 0);
    check_answer(&zone, query, length, what, row->rcode, row->authoritative, row->answers, row->authorities);
  }
}

static void test_family_without_address(void **state) {
  (void)state;
  uint8_t query[512];
  struct adit_dns_zone zone = zone_of(NULL, "2001:db8::7");
  size_t length = ask(query, "adit.test", ns_t_a, ns_c_in);
  check_answer(&zone, query, length, "A without IPv4", ns_r_noerror, true, "", SOA);
  length = ask(query, "adit.test", ns_t_any, ns_c_in);
  check_answer(&zone, query, length, "ANY without IPv4", ns_r_noerror, true, "AAAA 2001:db8::7", "");
  length = ask(query, "0.0.0.0.in-addr.arpa", ns_t_ptr, ns_c_in);
  check_answer(&zone, query, length, "PTR of no address", ns_r_refused, false, "", "");
}

/* A label that contains a dot: one label "x.adit" below "test" is not below adit.test; "x\" below it is. */
static void test_dots_inside_labels(void **state) {
  (void)state;
  static const uint8_t dotted[] = {6, 'x', '.', 'a', 'd', 'i', 't', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
  static const uint8_t slashed[] = {2, 'x', '\\', 4, 'a', 'd', 'i', 't', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
  struct adit_dns_zone zone = zone_of("192.168.3.12", NULL);
  uint8_t query[64];
  ask(query, "", ns_t_a, ns_c_in);
  memcpy(query + 12, dotted, sizeof dotted);
  check_answer(&zone, query, 12 + sizeof dotted, "x.adit as one label", ns_r_refused, false, "", "");
  memcpy(query + 12, slashed, sizeof slashed);
  check_answer(&zone, query, 12 + sizeof slashed, "a label that ends with a backslash", ns_r_nxdomain, true, "", SOA);
}

static void check_rcode(const uint8_t *query, size_t length, int rcode, const char *what) {
  struct adit_dns_zone zone = zone_of("192.168.3.12", "fdad:3::12");
  uint8_t answer[ADIT_DNS_ANSWER_MAX];
  size_t got = adit_dns_answer(&zone, query, length, answer);
  if (rcode < 0) {
    if (got != 0) fail_msg("%s: answered with %zu bytes, expected silence", what, got);
    return;
  }
  if (got < 12 || (answer[3] & 15) != rcode || !(answer[2] & 0x80))
    fail_msg("%s: %zu bytes, rcode %d, expected rcode %d", what, got, got >= 12 ? answer[3] & 15 : -1, rcode);
  ns_msg message;
  assert_int_equal(ns_initparse(answer, (int)got, &message), 0);
}

static void test_malformed(void **state) {
  (void)state;
  uint8_t query[600];
  size_t length = ask(query, "adit.test", ns_t_a, ns_c_in);
  check_rcode(query, 0, -1, "empty");
  check_rcode(query, 11, -1, "shorter than a header");
  for (size_t cut = 12; cut < length; cut++) check_rcode(query, cut, ns_r_formerr, "cut");
  query[length] = 0;
  check_rcode(query, length + 1, ns_r_formerr, "a byte too many");

  query[2] |= 0x80;
  check_rcode(query, length, -1, "an answer");
  query[2] = 0x10;
  check_rcode(query, length, ns_r_notimpl, "STATUS");
  query[2] = 0x29;
  check_rcode(query, length, ns_r_notimpl, "UPDATE");
  query[2] = 0x01;

  query[5] = 0;
  check_rcode(query, length, ns_r_formerr, "trailing bytes and no question");
  check_rcode(query, 12, ns_r_formerr, "no question");
  query[5] = 2;
  check_rcode(query, length, ns_r_formerr, "two questions announced");
  query[4] = 0xff;
  check_rcode(query, length, ns_r_formerr, "65000 questions announced");
  query[4] = 0;
  query[5] = 1;

  query[12] = 0xc0; /* a compression pointer to itself */
  query[13] = 12;
  check_rcode(query, length, ns_r_formerr, "a name that points at itself");
  query[12] = 0x40; /* a label type that does not exist */
  check_rcode(query, length, ns_r_formerr, "label type 01");
}

static void test_longest_name(void **state) {
  (void)state;
  char name[256];
  memset(name, 'a', sizeof name);
  for (size_t i = 63; i < 245; i += 64) name[i] = '.';
  uint8_t query[600];
  strcpy(name + 243, ".adit.test"); /* 253 characters: the longest there is */
  size_t length = ask(query, name, ns_t_a, ns_c_in);
  assert_int_equal(length, 12 + 255 + 4);
  struct adit_dns_zone zone = zone_of("192.168.3.12", NULL);
  check_answer(&zone, query, add_opt(query, length, 0), "longest name", ns_r_nxdomain, true, "", SOA);
}

static unsigned extended_rcode(const uint8_t *answer, size_t length) {
  ns_msg message;
  ns_rr opt;
  assert_int_equal(ns_initparse(answer, (int)length, &message), 0);
  assert_int_equal(ns_msg_count(message, ns_s_ar), 1);
  assert_int_equal(ns_parserr(&message, ns_s_ar, 0, &opt), 0);
  assert_int_equal(ns_rr_type(opt), ns_t_opt);
  assert_int_equal(ns_rr_rdlen(opt), 0);
  assert_true(ns_rr_class(opt) >= 512);
  return (unsigned)(ns_rr_ttl(opt) >> 24 << 4) | (answer[3] & 15u);
}

static void test_edns(void **state) {
  (void)state;
  struct adit_dns_zone zone = zone_of("192.168.3.12", NULL);
  uint8_t query[600];
  uint8_t answer[ADIT_DNS_ANSWER_MAX];
  size_t plain = ask(query, "adit.test", ns_t_a, ns_c_in);
  size_t got = adit_dns_answer(&zone, query, plain, answer);
  assert_int_equal(answer[11], 0); /* none asked, none given */

  size_t length = add_opt(query, plain, 0);
  got = adit_dns_answer(&zone, query, length, answer);
  assert_int_equal(extended_rcode(answer, got), ns_r_noerror);
  assert_int_equal(answer[7], 1);

  length = add_opt(query, length, 0);
  check_rcode(query, length, ns_r_formerr, "two OPT records");

  plain = ask(query, "adit.test", ns_t_a, ns_c_in);
  length = add_opt(query, plain, 1);
  got = adit_dns_answer(&zone, query, length, answer);
  assert_int_equal(extended_rcode(answer, got), 16); /* BADVERS */
  assert_int_equal(answer[7], 0);
}

/* Any bytes: never an answer that the parser rejects, never a byte out of bounds (the sanitizers look). */
static void test_noise(void **state) {
  (void)state;
  struct adit_dns_zone zone = zone_of("192.168.3.12", "fdad:3::12");
  uint64_t seed = 17;
  unsigned answered = 0;
  for (int round = 0; round < 20000; round++) {
    uint8_t good[600];
    size_t length = add_opt(good, ask(good, "www.adit.test", ns_t_any, ns_c_in), 0);
    for (int change = 0; change < 3; change++) {
      seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      good[2 + (seed >> 33) % (length - 2)] = (uint8_t)(seed >> 56);
    }
    size_t cut = length - (seed >> 20) % 3;
    uint8_t *exact = malloc(cut); /* so that reading past it shows */
    assert_non_null(exact);
    memcpy(exact, good, cut);
    uint8_t answer[ADIT_DNS_ANSWER_MAX];
    size_t got = adit_dns_answer(&zone, exact, cut, answer);
    free(exact);
    if (got > 0) {
      ns_msg message;
      assert_int_equal(ns_initparse(answer, (int)got, &message), 0);
      answered++;
    }
  }
  assert_true(answered > 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_family_without_address),
      cmocka_unit_test(test_dots_inside_labels),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_longest_name),
      cmocka_unit_test(test_edns),
      cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
