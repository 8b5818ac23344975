/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * DNS messages as bytes: questions, answers that are compared, shortened and taken apart; every message cut at every
 * byte, and a million broken ones.
 */
#include "relay/dns_message.h"
#include "support_packet.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 8192, ID = 0xad17 };

/* ---- messages written by hand ------------------------------------------------------------------------------------ */

static size_t put_name(uint8_t *at, const char *name) {
  uint8_t *begin = at;
  while (*name) {
    size_t length = strcspn(name, ".");
    *at++ = (uint8_t)length;
    memcpy(at, name, length);
    at += length;
    name += length + (name[length] == '.');
  }
  *at++ = 0;
  return (size_t)(at - begin);
}

static size_t begin_message(uint8_t *message, const char *name, unsigned type) {
  memset(message, 0, ADIT_DNS_HEADER);
  support_put16(message, ID);
  message[2] = 1; /* RD */
  message[5] = 1;
  size_t at = ADIT_DNS_HEADER;
  at += put_name(message + at, name);
  support_put16(message + at, type);
  support_put16(message + at + 2, ns_c_in);
  return at + 4;
}

static size_t add_opt(uint8_t *message, size_t at, unsigned bytes, unsigned version, size_t data) {
  message[at] = 0;
  support_put16(message + at + 1, ns_t_opt);
  support_put16(message + at + 3, bytes);
  support_put32(message + at + 5, (uint32_t)version << 16);
  support_put16(message + at + 9, (uint32_t)data);
  memset(message + at + 11, 0xaa, data);
  if (data >= 4) { /* one option that fills it */
    support_put16(message + at + 11, 65001);
    support_put16(message + at + 13, (uint32_t)data - 4);
  }
  message[11]++;
  return at + 11 + data;
}

/* A record of the question's name. */
static size_t add_record(uint8_t *message, size_t at, unsigned type, uint32_t ttl_s, const void *data, size_t length) {
  support_put16(message + at, 0xc000 | ADIT_DNS_HEADER);
  support_put16(message + at + 2, type);
  support_put16(message + at + 4, ns_c_in);
  support_put32(message + at + 6, ttl_s);
  support_put16(message + at + 10, (uint32_t)length);
  memcpy(message + at + 12, data, length);
  support_put16(message + 6, support_get16(message + 6) + 1u);
  return at + 12 + length;
}

static size_t make_answer(uint8_t *message, const char *name, unsigned records) {
  size_t length = begin_message(message, name, ns_t_a);
  message[2] |= 0x80;
  message[3] = 0x80;
  for (unsigned i = 0; i < records; i++) {
    const uint8_t ip[4] = {192, 0, (uint8_t)(i >> 8), (uint8_t)i};
    length = add_record(message, length, ns_t_a, 300 - i % 100, ip, sizeof ip);
  }
  return length;
}

/* ---- reading questions ------------------------------------------------------------------------------------------- */

static void test_read(void **state) {
  (void)state;
  static const struct {
    const char *name;
    const char *text; /* NULL = as `name` */
    unsigned type;
    int edns; /* bytes; -1 = none */
    unsigned version;
    size_t room;
  } table[] = {
      {"example.org", NULL, ns_t_a, -1, 0, 512},
      {"ExAmple.ORG", NULL, ns_t_aaaa, 1232, 0, 1232},
      {"example.org", NULL, 65, 0, 0, 512},
      {"example.org", NULL, ns_t_any, 511, 0, 512},
      {"example.org", NULL, ns_t_txt, 65535, 0, 65535},
      {"example.org", NULL, ns_t_a, 4096, 1, 4096},
      {"", ".", ns_t_ns, -1, 0, 512},
      {"a b.org", "a\\032b.org", ns_t_a, -1, 0, 512},
      {"_dmarc.example.org", NULL, ns_t_txt, -1, 0, 512},
      {"a$(b).org", "a\\$\\(b\\).org", ns_t_a, -1, 0, 512},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    uint8_t message[ROOM];
    struct adit_dns_question question;
    size_t end = begin_message(message, table[i].name, table[i].type);
    size_t length = table[i].edns < 0 ? end : add_opt(message, end, (unsigned)table[i].edns, table[i].version, 0);
    assert_int_equal(adit_dns_read(message, length, &question), ADIT_DNS_ASKS);
    assert_int_equal(question.id, ID);
    assert_int_equal(question.opcode, 0);
    const char *text = table[i].text ? table[i].text : table[i].name;
    if (!strchr(text, '$')) assert_string_equal(question.name, text); /* libraries differ in what they escape */
    assert_int_equal(question.type, table[i].type);
    assert_int_equal(question.class, ns_c_in);
    assert_int_equal(question.end, end);
    assert_int_equal(question.edns, table[i].edns >= 0);
    assert_int_equal(question.edns_version, table[i].version);
    assert_int_equal(adit_dns_room(&question), table[i].room);
  }
}

static void test_read_wrong(void **state) {
  (void)state;
  uint8_t message[ROOM];
  uint8_t wrong[ROOM];
  struct adit_dns_question question;
  size_t end = begin_message(message, "www.example.org", ns_t_a);
  size_t length = add_opt(message, end, 1232, 0, 8);
  assert_int_equal(adit_dns_read(message, length, &question), ADIT_DNS_ASKS);
  for (size_t cut = 0; cut < length; cut++) {
    uint8_t *exact = malloc(cut ? cut : 1); /* of its own, so that a byte too many shows */
    assert_non_null(exact);
    memcpy(exact, message, cut);
    enum adit_dns_reading reading = adit_dns_read(exact, cut, &question);
    if (reading != (cut < ADIT_DNS_HEADER ? ADIT_DNS_IGNORE : ADIT_DNS_MALFORMED))
      fail_msg("cut at %zu: reading %d", cut, (int)reading);
    free(exact);
  }
  static const struct {
    const char *what;
    size_t at; /* byte that is changed */
    uint8_t to;
    enum adit_dns_reading reading;
  } table[] = {
      {"an answer", 2, 0x80, ADIT_DNS_IGNORE},
      {"no question", 5, 0, ADIT_DNS_MALFORMED},
      {"two questions, one is there", 5, 2, ADIT_DNS_MALFORMED},
      {"an answer that is not there", 7, 1, ADIT_DNS_MALFORMED},
      {"a label that is too long", 12, 64, ADIT_DNS_MALFORMED},
      {"a label that reaches behind the end", 12, 63, ADIT_DNS_MALFORMED},
      {"a pointer forward", 12, 0xc0, ADIT_DNS_MALFORMED},
      {"another opcode", 2, 5 << 3, ADIT_DNS_ASKS},
      {"two OPT, one is there", 11, 2, ADIT_DNS_MALFORMED},
      {"OPT longer than the message", 0, 0, ADIT_DNS_ASKS},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    memcpy(wrong, message, length);
    wrong[table[i].at] = table[i].to;
    enum adit_dns_reading reading = adit_dns_read(wrong, length, &question);
    if (reading != table[i].reading) fail_msg("%s: reading %d", table[i].what, (int)reading);
  }
  memcpy(wrong, message, length); /* a name that points to itself */
  wrong[12] = 0xc0;
  wrong[13] = 12;
  assert_int_equal(adit_dns_read(wrong, length, &question), ADIT_DNS_MALFORMED);
  /* "www.example.or" that goes on behind the question, where there is something to read: the root, of OPT. */
  memcpy(wrong, message, length);
  assert_int_equal(wrong[end], 0);
  wrong[end - NS_QFIXEDSZ - 5] = 2;
  wrong[end - NS_QFIXEDSZ - 2] = 0xc0;
  wrong[end - NS_QFIXEDSZ - 1] = (uint8_t)end;
  assert_int_equal(adit_dns_read(wrong, length, &question), ADIT_DNS_MALFORMED);
  size_t twice = add_opt(message, length, 1232, 0, 0);
  assert_int_equal(adit_dns_read(message, twice, &question), ADIT_DNS_MALFORMED);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void test_failure(void **state) {
  (void)state;
  uint8_t message[ROOM];
  uint8_t answer[ADIT_DNS_FAILURE_ROOM];
  struct adit_dns_question question;
  size_t end = begin_message(message, "wWw.example.org", ns_t_mx);
  size_t length = add_opt(message, end, 4096, 0, 0);
  assert_int_equal(adit_dns_read(message, length, &question), ADIT_DNS_ASKS);
  size_t failed = adit_dns_failure(message, &question, ns_r_servfail, answer);
  assert_int_equal(failed, end + 11);
  assert_true(adit_dns_answers(message, end, answer, failed));
  assert_int_equal(support_get16(answer), ID);
  assert_int_equal(answer[3] & 15, ns_r_servfail);
  assert_memory_equal(answer + 12, message + 12, end - 12); /* letters as asked */
  assert_int_equal(answer[11], 1);                          /* OPT */

  failed = adit_dns_failure(message, NULL, ns_r_formerr, answer);
  assert_int_equal(failed, ADIT_DNS_HEADER);
  assert_int_equal(answer[3] & 15, ns_r_formerr);
  assert_int_equal(answer[2] & 0x80, 0x80);

  /* The longest name there is: three labels of 63 and one of 61 are 255 bytes. */
  char name[256];
  memset(name, 'x', sizeof name);
  name[63] = name[127] = name[191] = '.';
  name[253] = '\0';
  end = begin_message(message, name, ns_t_a);
  length = add_opt(message, end, 512, 0, 0);
  assert_int_equal(adit_dns_read(message, length, &question), ADIT_DNS_ASKS);
  assert_int_equal(adit_dns_failure(message, &question, ns_r_servfail, answer), end + 11);
}

/* ---- answers of others ------------------------------------------------------------------------------------------- */

static void test_answers(void **state) {
  (void)state;
  uint8_t query[ROOM];
  size_t end = begin_message(query, "www.example.org", ns_t_a);
  static const struct {
    const char *what;
    const char *name;
    unsigned type;
    int at; /* byte that is changed, -1 = none */
    uint8_t to;
    bool fits;
  } table[] = {
      {"the answer", "www.example.org", ns_t_a, -1, 0, true},
      {"in other letters", "WWW.eXample.ORG", ns_t_a, -1, 0, true},
      {"to another name", "www.example.com", ns_t_a, -1, 0, false},
      {"to a shorter name", "example.org", ns_t_a, -1, 0, false},
      {"to another type", "www.example.org", ns_t_aaaa, -1, 0, false},
      {"of another opcode", "www.example.org", ns_t_a, 2, 0x80 | 4 << 3, false},
      {"a question", "www.example.org", ns_t_a, 2, 0, false},
      {"with two questions", "www.example.org", ns_t_a, 5, 2, false},
      {"without question, and no error", "www.example.org", ns_t_a, 5, 0, false},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    uint8_t answer[ROOM];
    size_t length = make_answer(answer, table[i].name, 2);
    support_put16(answer + length - (2 * 16) - 4, table[i].type);
    if (table[i].at >= 0) answer[table[i].at] = table[i].to;
    if (adit_dns_answers(query, end, answer, length) != table[i].fits)
      fail_msg("%s: not %d", table[i].what, table[i].fits);
  }
  const uint8_t bare[12] = {[2] = 0x80, [3] = ns_r_formerr};
  assert_true(adit_dns_answers(query, end, bare, sizeof bare));
  for (size_t cut = 0; cut < end; cut++) {
    uint8_t answer[ROOM];
    make_answer(answer, "www.example.org", 1);
    assert_false(adit_dns_answers(query, end, answer, cut));
  }
}

static void test_truncate(void **state) {
  (void)state;
  static const struct {
    unsigned records;
    int opt; /* bytes of data; -1 = no OPT */
    size_t room;
    bool cut;
    bool keeps_opt;
  } table[] = {
      {1, -1, 512, false, false}, {1, 0, 512, false, true},    {60, -1, 512, true, false},
      {60, 0, 512, true, true},   {60, 20, 512, true, true},   {60, 600, 512, true, false},
      {60, 0, 1232, false, true}, {400, 12, 1232, true, true}, {400, 0, 4096, true, true},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    uint8_t query[ROOM];
    uint8_t answer[ROOM];
    uint8_t before[ROOM];
    size_t end = begin_message(query, "many.example.org", ns_t_a);
    size_t length = make_answer(answer, "many.example.org", table[i].records);
    if (table[i].opt >= 0) length = add_opt(answer, length, 1400, 0, (size_t)table[i].opt);
    memcpy(before, answer, length);
    size_t now = adit_dns_truncate(answer, length, table[i].room);
    if (!table[i].cut) {
      assert_int_equal(now, length);
      assert_memory_equal(answer, before, length);
      continue;
    }
    assert_true(now <= table[i].room);
    assert_true(answer[2] & 0x02);
    assert_true(adit_dns_answers(query, end, answer, now));
    assert_int_equal(support_get16(answer + 6), 0);
    assert_int_equal(support_get16(answer + 8), 0);
    assert_int_equal(support_get16(answer + 10), table[i].keeps_opt);
    ns_msg message;
    assert_int_equal(ns_initparse(answer, (int)now, &message), 0); /* nothing is left behind the last record */
    if (!table[i].keeps_opt) continue;
    ns_rr opt;
    assert_int_equal(ns_parserr(&message, ns_s_ar, 0, &opt), 0);
    assert_int_equal(ns_rr_type(opt), ns_t_opt);
    assert_int_equal(ns_rr_class(opt), 1400);
    assert_int_equal(ns_rr_rdlen(opt), table[i].opt);
    if (table[i].opt > 4) assert_int_equal(ns_rr_rdata(opt)[table[i].opt - 1], 0xaa);
  }
}

/* ---- our own questions ------------------------------------------------------------------------------------------- */

static void test_host(void **state) {
  (void)state;
  static const struct {
    const char *name;
    const char *host; /* NULL = is none */
  } table[] = {
      {"example.org", "example.org"},
      {"ExAmPle.ORG.", "example.org"},
      {"localhost", "localhost"},
      {"a-b.c_d.e9", "a-b.c_d.e9"},
      {"9.example", "9.example"},
      {"r3---sn-4g5e.example", "r3---sn-4g5e.example"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"1.2.3.4", NULL},
      {"example.123", NULL},
      {"", NULL},
      {".", NULL},
      {"..", NULL},
      {"a..b", NULL},
      {".a", NULL},
      {"a\\032b.org", NULL},
      {"a\\.b.org", NULL},
      {"a b.org", NULL},
      {"b\xc3\xbc"
       "cher.example",
       NULL},
      {"user@example.org", NULL},
      {"a:80", NULL},
      {"a/b", NULL},
      {"123456789012345678901234567890123456789012345678901234567890123.org",
       "123456789012345678901234567890123456789012345678901234567890123.org"},
      {"1234567890123456789012345678901234567890123456789012345678901234.org", NULL},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    char host[ADIT_DNS_HOST] = "";
    bool is = adit_dns_host(table[i].name, host);
    if (is != (table[i].host != NULL)) fail_msg("'%s': host %d", table[i].name, is);
    if (is) assert_string_equal(host, table[i].host);
  }
  char name[512];
  char host[ADIT_DNS_HOST];
  for (size_t length = 250; length < 300; length++) { /* 253 is the longest */
    for (size_t i = 0; i < length; i++) name[i] = i % 50 == 49 && i + 1 < length ? '.' : 'x';
    name[length] = '\0';
    assert_int_equal(adit_dns_host(name, host), length <= 253);
  }
}

static void test_ask(void **state) {
  (void)state;
  uint8_t query[ADIT_DNS_ASK_ROOM];
  struct adit_dns_question question;
  char longest[256];
  for (size_t i = 0; i < 253; i++) longest[i] = i % 50 == 49 ? '.' : 'x';
  longest[253] = '\0';
  const char *const names[] = {"example.org", longest};
  for (size_t i = 0; i < 2; i++) {
    size_t length = adit_dns_ask(names[i], ns_t_aaaa, 0xbeef, query);
    assert_int_equal(adit_dns_read(query, length, &question), ADIT_DNS_ASKS);
    assert_int_equal(question.id, 0xbeef);
    assert_string_equal(question.name, names[i]);
    assert_int_equal(question.type, ns_t_aaaa);
    assert_true(question.edns);
    assert_int_equal(query[2], 1); /* RD, and no other flag */
  }
}

static void test_addresses(void **state) {
  (void)state;
  uint8_t answer[ROOM];
  adit_ip found[4];
  struct adit_dns_found about;
  size_t length = make_answer(answer, "www.example.org", 3);
  const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
  length = add_record(answer, length, ns_t_aaaa, 5, six, sizeof six);
  assert_int_equal(adit_dns_addresses(answer, length, 4, found, 4, &about), 0);
  assert_int_equal(about.count, 3);
  assert_int_equal(about.ttl_s, 298);
  assert_false(about.truncated);
  char text[ADIT_ADDRESS_TEXT];
  assert_string_equal(adit_ip_format(found[2], text), "192.0.0.2");
  assert_int_equal(adit_dns_addresses(answer, length, 4, found, 2, &about), 0);
  assert_int_equal(about.count, 2);
  assert_int_equal(adit_dns_addresses(answer, length, 6, found, 4, &about), 0);
  assert_int_equal(about.count, 1);
  assert_string_equal(adit_ip_format(found[0], text), "2001:db8::7");
  for (size_t cut = 0; cut < length; cut++)
    assert_int_equal(adit_dns_addresses(answer, cut, 4, found, 4, &about), -EBADMSG);
  length = make_answer(answer, "www.example.org", 0);
  length = add_record(answer, length, ns_t_a, 5, six, 5); /* an address of five bytes */
  assert_int_equal(adit_dns_addresses(answer, length, 4, found, 4, &about), -EBADMSG);
}

/* ---- noise ------------------------------------------------------------------------------------------------------- */

/* Whatever comes, all functions end, and keep to their bounds. */
static void feed(const uint8_t *bytes, size_t length) {
  struct adit_dns_question question;
  uint8_t answer[ADIT_DNS_FAILURE_ROOM];
  uint8_t copy[600 + 512];
  adit_ip found[4];
  struct adit_dns_found about;
  char host[ADIT_DNS_HOST];
  enum adit_dns_reading reading = adit_dns_read(bytes, length, &question);
  if (reading == ADIT_DNS_IGNORE && length >= ADIT_DNS_HEADER) { /* an answer, then */
    memcpy(copy, bytes, length);
    if (length > 512) assert_true(adit_dns_truncate(copy, length, 512) <= 512);
  }
  (void)adit_dns_addresses(bytes, length, 4, found, 4, &about);
  if (reading == ADIT_DNS_MALFORMED) {
    assert_int_equal(adit_dns_failure(bytes, NULL, ns_r_formerr, answer), ADIT_DNS_HEADER);
  } else if (reading == ADIT_DNS_ASKS) {
    size_t failed = adit_dns_failure(bytes, &question, ns_r_servfail, answer);
    assert_in_range(failed, ADIT_DNS_HEADER + 5, sizeof answer);
    /* What was read is what is written, letters included: the question is the same byte for byte. */
    if (failed >= question.end) assert_true(adit_dns_answers(bytes, question.end, answer, failed));
    (void)adit_dns_host(question.name, host);
  }
}

static void test_noise(void **state) {
  (void)state;
  enum { MESSAGES = 1000000 };
  uint64_t seed = 20261122;
  uint8_t bytes[600];
  unsigned read = 0;
  for (unsigned i = 0; i < MESSAGES; i++) {
    size_t length;
    uint64_t kind = support_random(&seed) % 8;
    if (kind == 0) { /* nothing but noise */
      length = support_random(&seed) % 64;
      for (size_t j = 0; j < length; j++) bytes[j] = (uint8_t)support_random(&seed);
    } else if (kind < 5) { /* a question with up to three bytes changed, and perhaps cut */
      length = begin_message(bytes, i % 2 ? "www.example.org" : "a.b.c.d.e.f", (unsigned)(i % 300));
      if (i % 3 == 0) length = add_opt(bytes, length, i % 5000, i % 50 == 0, i % 7 * 4);
    } else { /* the same with an answer */
      length = make_answer(bytes, "www.example.org", (unsigned)(support_random(&seed) % 30));
      if (i % 3 == 0) length = add_opt(bytes, length, i % 5000, 0, i % 7 * 4);
    }
    for (uint64_t changes = support_random(&seed) % 4; changes > 0 && length > 0; changes--)
      bytes[support_random(&seed) % length] = (uint8_t)support_random(&seed);
    if (length > 0 && support_random(&seed) % 8 == 0) length = support_random(&seed) % length;
    struct adit_dns_question question;
    if (adit_dns_read(bytes, length, &question) == ADIT_DNS_ASKS) read++;
    feed(bytes, length);
  }
  assert_in_range(read, MESSAGES / 20, MESSAGES / 2); /* enough of both kinds */
}

static void test_prefix(void **state) {
  (void)state;
  uint8_t bytes[4] = {0x12, 0x34, 0x56, 0x78};
  const struct iovec whole[] = {{bytes, 4}}, halves[] = {{bytes, 1}, {NULL, 0}, {bytes + 1, 3}}, half[] = {{bytes, 1}};
  assert_int_equal(adit_dns_prefix(whole, 1), 0x1234);
  assert_int_equal(adit_dns_prefix(halves, 3), 0x1234);
  assert_int_equal(adit_dns_prefix(half, 1), 0x1200);
  assert_int_equal(adit_dns_prefix(half, 0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_prefix),  cmocka_unit_test(test_read),    cmocka_unit_test(test_read_wrong),
      cmocka_unit_test(test_failure), cmocka_unit_test(test_answers), cmocka_unit_test(test_truncate),
      cmocka_unit_test(test_host),    cmocka_unit_test(test_ask),     cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
