/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Names and the addresses that stand for them: the table under a clock that the test moves, the answers made from it,
 * and the file.
 */
#include "relay/fake_answer.h"
#include "support_packet.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <resolv.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)
#define AFTER (ADIT_FAKE_RESERVED_S * SECOND)

static uint64_t now = 5 * SECOND;
static char warned[ADIT_LOG_TEXT];
static char folder[64];
static char cache[96];

static void keep_log(void *user, enum adit_log_level level, uint64_t flow, const char *text) {
  (void)user;
  (void)flow;
  assert_int_equal(level, ADIT_LOG_WARNING);
  snprintf(warned, sizeof warned, "%s", text);
}

static struct adit_fake_names *table_of(uint32_t size, const char *file) {
  struct adit_fake_options options = {
      .size = size, .cache = file, .now_ns = now, .log = {.write = keep_log, .level = ADIT_LOG_DEBUG}};
  struct adit_fake_names *names;
  warned[0] = '\0';
  assert_int_equal(adit_fake_names_new(&options, &names), 0);
  return names;
}

/* The number of a name, which must get one. */
static uint32_t take(struct adit_fake_names *names, const char *host) {
  uint32_t number = 0;
  int error = adit_fake_names_take(names, host, now, &number);
  if (error) fail_msg("%s: %s", host, strerror(-error));
  assert_true(number > 0);
  return number;
}

static int try(struct adit_fake_names *names, const char *host) {
  uint32_t number = 0;
  return adit_fake_names_take(names, host, now, &number);
}

/* The name of a number, "" when it has none; reserves nothing. */
static const char *name_of(struct adit_fake_names *names, uint32_t number) {
  static char host[ADIT_DNS_HOST];
  if (!adit_fake_names_look(names, number, now, false, host)) host[0] = '\0';
  return host;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool covered;
    uint32_t number;
  } table[] = {
      {"198.18.0.0", true, 0},          {"198.18.0.1", true, 1},
      {"198.18.255.255", true, 65535},  {"198.19.0.0", true, 65536},
      {"198.19.255.254", true, 131070}, {"198.19.255.255", true, 0},
      {"198.17.255.255", false, 0},     {"198.20.0.0", false, 0},
      {"198.18.1.0", true, 256},        {"fd00:198:18::", true, 0},
      {"fd00:198:18::1", true, 1},      {"fd00:198:18::1:fffe", true, 131070},
      {"fd00:198:18::1:ffff", true, 0}, {"fd00:198:18:1::1", true, 0},
      {"fd00:198:18::1:0:1", true, 0},  {"fd00:198:18:0:0:1::1", true, 0},
      {"fd00:198:19::1", false, 0},     {"fd00:198:18:ffff:ffff:ffff:ffff:ffff", true, 0},
      {"::198.18.0.1", false, 0},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    adit_ip ip;
    assert_int_equal(adit_ip_parse(table[i].text, &ip), 0);
    if (adit_fake_names_covers(ip) != table[i].covered || adit_fake_names_number(ip) != table[i].number)
      fail_msg("%s: covered %d, number %u", table[i].text, adit_fake_names_covers(ip), adit_fake_names_number(ip));
    if (table[i].number) assert_true(adit_ip_equal(adit_fake_names_address(table[i].number, ip.version), ip));
  }
  for (uint32_t number = 1; number <= ADIT_FAKE_MOST; number++) {
    assert_int_equal(adit_fake_names_number(adit_fake_names_address(number, 4)), number);
    assert_int_equal(adit_fake_names_number(adit_fake_names_address(number, 6)), number);
  }
}

static void test_same_name(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(0, NULL);
  uint32_t one = take(names, "one.example");
  uint32_t two = take(names, "two.example");
  assert_int_not_equal(one, two);
  now += 3600 * SECOND;
  assert_int_equal(take(names, "one.example"), one);
  assert_string_equal(name_of(names, one), "one.example");
  assert_string_equal(name_of(names, two), "two.example");
  assert_string_equal(name_of(names, one > 2 ? one - 1 : one + 2), "");
  assert_string_equal(name_of(names, 0), "");
  assert_string_equal(name_of(names, ADIT_FAKE_MOST + 1), "");
  assert_int_equal(adit_fake_names_count(names), 2);
  adit_fake_names_free(names);
}

/* A pool of four: who goes, and who does not. */
static void test_eviction(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(4, NULL);
  uint32_t number[4];
  static const char *const host[] = {"a", "b", "c", "d"};
  for (unsigned i = 0; i < 4; i++) {
    number[i] = take(names, host[i]);
    assert_in_range(number[i], 1, 4);
    now += SECOND;
  }
  assert_int_equal(try(names, "e"), -ENOSPC);    /* every answer may still be used */
  assert_int_equal(take(names, "a"), number[0]); /* asked again: "b" is the oldest now */
  now += AFTER - 4 * SECOND;
  assert_int_equal(try(names, "e"), -ENOSPC); /* a second too early */
  now += SECOND;
  assert_int_equal(take(names, "e"), number[1]);
  assert_string_equal(name_of(names, number[1]), "e");
  assert_string_equal(name_of(names, number[0]), "a");
  assert_int_equal(try(names, "f"), -ENOSPC);
  now += SECOND;
  assert_int_equal(take(names, "f"), number[2]);
  assert_int_equal(adit_fake_names_count(names), 4);
  adit_fake_names_free(names);
}

static void test_hold(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(2, NULL);
  uint32_t a = take(names, "a");
  uint32_t b = take(names, "b");
  adit_fake_names_hold(names, a);
  adit_fake_names_hold(names, a);
  now += 2 * AFTER;
  assert_int_equal(take(names, "c"), b); /* although "a" is older */
  now += 2 * AFTER;
  adit_fake_names_release(names, a, now);
  adit_fake_names_hold(names, b);
  assert_int_equal(try(names, "d"), -ENOSPC); /* "a" is held once more, "c" too */
  assert_int_equal(take(names, "a"), a);      /* a name that is held answers */
  adit_fake_names_release(names, a, now);
  assert_int_equal(try(names, "d"), -ENOSPC); /* the client may come back to it */
  now += AFTER;
  assert_int_equal(take(names, "d"), a);
  assert_string_equal(name_of(names, b), "c");
  /* What is not there, or not held. */
  adit_fake_names_release(names, a, now);
  adit_fake_names_hold(names, 0);
  adit_fake_names_hold(names, 3);
  adit_fake_names_release(names, 3, now);
  now += AFTER;
  assert_int_equal(take(names, "e"), a);
  adit_fake_names_release(names, b, now);
  adit_fake_names_free(names);
}

/* Who looks at an address is about to use it. */
static void test_look_reserves(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(1, NULL);
  char host[ADIT_DNS_HOST];
  uint32_t a = take(names, "a");
  now += AFTER - SECOND;
  assert_true(adit_fake_names_look(names, a, now, true, host));
  now += AFTER - SECOND;
  assert_int_equal(try(names, "b"), -ENOSPC);
  now += SECOND;
  assert_int_equal(take(names, "b"), a);
  adit_fake_names_free(names);
}

/* Clocks of workers differ a little: whoever is late does not spoil the order. */
static void test_clocks(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(2, NULL);
  uint32_t a = take(names, "a");
  now -= SECOND;
  take(names, "b");
  now += AFTER; /* the end for "b", if its own clock counted; it is behind "a" */
  assert_int_equal(try(names, "c"), -ENOSPC);
  now += SECOND;
  assert_int_equal(take(names, "c"), a);
  adit_fake_names_free(names);
}

static void test_excepts(void **state) {
  (void)state;
  const adit_ip except[] = {adit_fake_names_address(2, 4), adit_fake_names_address(3, 6), adit_fake_names_address(2, 6),
                            adit_fake_names_address(9, 4)};
  struct adit_fake_options options = {.size = 4, .except = except, .excepts = 4, .now_ns = now};
  for (unsigned round = 0; round < 20; round++) { /* the beginning is random */
    struct adit_fake_names *names;
    assert_int_equal(adit_fake_names_new(&options, &names), 0);
    uint32_t a = take(names, "a");
    uint32_t b = take(names, "b");
    assert_int_equal(a + b, 1 + 4);
    assert_int_equal(try(names, "c"), -ENOSPC);
    adit_fake_names_free(names);
  }
}

/* A full pool, names of all lengths, and everything still found. */
static void test_many(void **state) {
  (void)state;
  enum { NAMES = 20000 };
  struct adit_fake_names *names = table_of(NAMES, NULL);
  static uint32_t number[NAMES];
  char host[ADIT_DNS_HOST];
  for (unsigned i = 0; i < NAMES; i++) {
    snprintf(host, sizeof host, "%*s%u.example", (int)(i % 40), "", i);
    for (char *c = host; *c == ' '; c++) *c = 'x';
    number[i] = take(names, host);
  }
  assert_int_equal(try(names, "one.more"), -ENOSPC);
  for (unsigned i = 0; i < NAMES; i++) {
    snprintf(host, sizeof host, "%*s%u.example", (int)(i % 40), "", i);
    for (char *c = host; *c == ' '; c++) *c = 'x';
    assert_string_equal(name_of(names, number[i]), host);
    assert_int_equal(take(names, host), number[i]);
  }
  now += AFTER;
  for (unsigned i = 0; i < NAMES; i++) {
    snprintf(host, sizeof host, "new%u.example", i);
    assert_int_equal(take(names, host), number[i]); /* in the order of their last use */
  }
  adit_fake_names_free(names);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static size_t ask(uint8_t *query, const char *name, unsigned type, unsigned class, int edns) {
  memset(query, 0, 12);
  support_put16(query, 0x1234);
  query[2] = 1;
  query[5] = 1;
  size_t at = 12;
  while (*name) {
    size_t length = strcspn(name, ".");
    query[at++] = (uint8_t)length;
    memcpy(query + at, name, length);
    at += length;
    name += length + (name[length] == '.');
  }
  query[at++] = 0;
  support_put16(query + at, type);
  support_put16(query + at + 2, class);
  at += 4;
  if (edns < 0) return at;
  memset(query + at, 0, 11);
  support_put16(query + at + 1, ns_t_opt);
  support_put16(query + at + 3, 1232);
  query[at + 6] = (uint8_t)edns;
  query[11] = 1;
  return at + 11;
}

/* "rcode: A 1.2.3.4, PTR name; authority SOA; OPT" */
static void describe(const uint8_t *answer, size_t length, char *text, size_t room) {
  ns_msg message;
  assert_int_equal(ns_initparse(answer, (int)length, &message), 0);
  size_t at = (size_t)snprintf(text, room, "%d:", ns_msg_getflag(message, ns_f_rcode));
  static const ns_sect sections[] = {ns_s_an, ns_s_ns, ns_s_ar};
  for (unsigned s = 0; s < 3; s++) {
    for (int i = 0; i < ns_msg_count(message, sections[s]); i++) {
      ns_rr record;
      char data[NS_MAXDNAME] = "";
      assert_int_equal(ns_parserr(&message, sections[s], i, &record), 0);
      const char *type = "?";
      switch ((int)ns_rr_type(record)) {
      case ns_t_a:
        type = "A ";
        inet_ntop(AF_INET, ns_rr_rdata(record), data, sizeof data);
        break;
      case ns_t_aaaa:
        type = "AAAA ";
        inet_ntop(AF_INET6, ns_rr_rdata(record), data, sizeof data);
        break;
      case ns_t_ptr:
        type = "PTR ";
        assert_true(dn_expand(answer, answer + length, ns_rr_rdata(record), data, sizeof data) > 0);
        break;
      case ns_t_soa:
        type = "SOA";
        break;
      case ns_t_opt:
        type = "OPT";
        break;
      }
      at += (size_t)snprintf(text + at, room - at, " %s%s", type, data);
      if (sections[s] == ns_s_an && ns_rr_type(record) != ns_t_opt)
        assert_in_range(ns_rr_ttl(record), 1, ADIT_FAKE_TTL_S);
    }
  }
}

static void test_answers(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(0, NULL);
  uint32_t number = take(names, "www.example");
  char four[ADIT_ADDRESS_TEXT];
  char six[ADIT_ADDRESS_TEXT];
  char back4[ADIT_DNS_TEXT];
  char back6[ADIT_DNS_TEXT];
  char upper6[ADIT_DNS_TEXT];
  adit_ip_format(adit_fake_names_address(number, 4), four);
  adit_ip_format(adit_fake_names_address(number, 6), six);
  adit_dns_reverse(adit_fake_names_address(number, 4), back4);
  adit_dns_reverse(adit_fake_names_address(number, 6), back6);
  snprintf(upper6, sizeof upper6, "%s", back6);
  for (char *c = upper6; *c; c++)
    if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
  char a[128], aaaa[128], any[256];
  snprintf(a, sizeof a, "0: A %s", four);
  snprintf(aaaa, sizeof aaaa, "0: AAAA %s", six);
  snprintf(any, sizeof any, "0: A %s AAAA %s", four, six);
  char longest[256];
  for (size_t i = 0; i < 253; i++) longest[i] = i % 50 == 49 ? '.' : 'x';
  longest[253] = '\0';

  const struct {
    const char *name;
    unsigned type;
    unsigned class;
    int edns; /* its version, -1 = none */
    const char *answer;
  } table[] = {
      {"www.example", ns_t_a, ns_c_in, -1, a},
      {"WwW.eXample", ns_t_a, ns_c_in, -1, a},
      {"www.example", ns_t_aaaa, ns_c_in, -1, aaaa},
      {"www.example", ns_t_any, ns_c_in, -1, any},
      {"www.example", ns_t_a, ns_c_any, -1, a},
      {"www.example", ns_t_mx, ns_c_in, -1, "0: SOA"},
      {"www.example", ns_t_cname, ns_c_in, -1, "0: SOA"},
      {"www.example", ns_t_soa, ns_c_in, -1, "0: SOA"},
      {"www.example", ADIT_DNS_TYPE_HTTPS, ns_c_in, -1, "0: SOA"},
      {"www.example", ADIT_DNS_TYPE_SVCB, ns_c_in, 0, "0: SOA OPT"},
      {"www.example", 65280, ns_c_in, -1, "0: SOA"},
      {"www.example", 0, ns_c_in, -1, "0: SOA"},
      {"www.example", ns_t_axfr, ns_c_in, -1, "5:"},
      {"www.example", ns_t_a, ns_c_chaos, -1, "5:"},
      {"www.example", ns_t_a, ns_c_in, 1, "0: OPT"}, /* BADVERS is in OPT */
      {"unseen.example", ns_t_mx, ns_c_in, -1, "0: SOA"},
      {"", ns_t_ns, ns_c_in, -1, "0: SOA"},
      {"", ns_t_a, ns_c_in, -1, "0: SOA"},
      {"a b.example", ns_t_a, ns_c_in, -1, "3: SOA"},
      {"a b.example", ns_t_txt, ns_c_in, -1, "0: SOA"},
      {"1", ns_t_a, ns_c_in, -1, "3: SOA"},
      {"invalid", ns_t_a, ns_c_in, -1, "3: SOA"},
      {"x.invalid", ns_t_mx, ns_c_in, -1, "3: SOA"},
      {"localhost", ns_t_a, ns_c_in, -1, "0: A 127.0.0.1"},
      {"x.LocalHost", ns_t_aaaa, ns_c_in, 0, "0: AAAA ::1 OPT"},
      {"localhost", ns_t_mx, ns_c_in, -1, "0: SOA"},
      {"ipv4only.arpa", ns_t_a, ns_c_in, -1, "0: A 192.0.0.170 A 192.0.0.171"},
      {"ipv4only.arpa", ns_t_aaaa, ns_c_in, -1, "0: SOA"},
      {back4, ns_t_ptr, ns_c_in, -1, "0: PTR www.example"},
      {back6, ns_t_ptr, ns_c_in, -1, "0: PTR www.example"},
      {upper6, ns_t_ptr, ns_c_in, -1, "0: PTR www.example"},
      {back4, ns_t_any, ns_c_in, -1, "0: PTR www.example"},
      {back4, ns_t_a, ns_c_in, -1, "0: SOA"},
      {"0.0.18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"1.0.0.127.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "0: SOA"},
      {"in-addr.arpa", ns_t_ptr, ns_c_in, -1, "0: SOA"},
      {"ip6.arpa", ns_t_ptr, ns_c_in, -1, "0: SOA"},
      {"8.f.ip6.arpa", ns_t_ptr, ns_c_in, -1, "0: SOA"},
      {"1.2.3.4.5.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"256.0.18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"0001.0.18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"x.0.18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"-1.0.18.198.in-addr.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"10.f.ip6.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {"g.f.ip6.arpa", ns_t_ptr, ns_c_in, -1, "3: SOA"},
      {longest, ns_t_mx, ns_c_in, 0, "0: SOA OPT"},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    uint8_t query[600];
    uint8_t answer[ADIT_FAKE_ANSWER_ROOM];
    struct adit_dns_question question;
    size_t length = ask(query, table[i].name, table[i].type, table[i].class, table[i].edns);
    assert_int_equal(adit_dns_read(query, length, &question), ADIT_DNS_ASKS);
    size_t answered = adit_fake_answer(names, now, &question, query, answer);
    assert_true(adit_dns_answers(query, question.end, answer, answered));
    assert_memory_equal(query + 12, answer + 12, question.end - 12); /* letters too */
    assert_int_equal(support_get16(answer), 0x1234);
    char found[512], wanted[512];
    describe(answer, answered, found, sizeof found);
    snprintf(wanted, sizeof wanted, "%s", table[i].answer);
    if (strcmp(found, wanted) != 0)
      fail_msg("%s type %u class %u: %s; expected %s", table[i].name, table[i].type, table[i].class, found, wanted);
  }
  /* The longest name, with both addresses and OPT: fits, and its name is one. */
  uint8_t query[600];
  uint8_t answer[ADIT_FAKE_ANSWER_ROOM];
  struct adit_dns_question question;
  size_t length = ask(query, longest, ns_t_any, ns_c_in, 0);
  assert_int_equal(adit_dns_read(query, length, &question), ADIT_DNS_ASKS);
  size_t answered = adit_fake_answer(names, now, &question, query, answer);
  assert_int_equal(answer[3] & 15, ns_r_noerror);
  assert_int_equal(support_get16(answer + 6), 2);
  assert_true(answered <= sizeof answer);
  /* Only names that were asked for as hosts have numbers. */
  assert_int_equal(adit_fake_names_count(names), 2);

  question.opcode = ns_o_update;
  query[2] = ns_o_update << 3;
  answered = adit_fake_answer(names, now, &question, query, answer);
  assert_int_equal(answer[3] & 15, ns_r_notimpl);
  adit_fake_names_free(names);

  names = table_of(1, NULL); /* nothing is left: SERVFAIL, without SOA, which would be remembered */
  take(names, "a");
  length = ask(query, "b", ns_t_a, ns_c_in, -1);
  assert_int_equal(adit_dns_read(query, length, &question), ADIT_DNS_ASKS);
  answered = adit_fake_answer(names, now, &question, query, answer);
  char found[512];
  describe(answer, answered, found, sizeof found);
  assert_string_equal(found, "2:");
  adit_fake_names_free(names);
}

/* A million broken questions: each gets an answer that can be read, or none. */
static void test_noise(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(0, NULL);
  uint64_t seed = 7;
  unsigned answered = 0;
  for (unsigned i = 0; i < 1000000; i++) {
    static const char *const name[] = {"www.example", "1.0.18.198.in-addr.arpa", "localhost", "ipv4only.arpa",
                                       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.0.0.8.9.1.0.0.0.d.f.ip6.arpa"};
    static const unsigned type[] = {ns_t_a, ns_t_aaaa, ns_t_ptr, ns_t_any, 65};
    uint8_t query[600];
    uint8_t answer[ADIT_FAKE_ANSWER_ROOM];
    struct adit_dns_question question;
    size_t length = ask(query, name[i % 5], type[i / 5 % 5], ns_c_in, (int)(i % 3) - 1);
    for (uint64_t changes = 1 + support_random(&seed) % 2; changes > 0; changes--)
      query[support_random(&seed) % length] = (uint8_t)support_random(&seed);
    if (adit_dns_read(query, length, &question) != ADIT_DNS_ASKS) continue;
    size_t bytes = adit_fake_answer(names, now, &question, query, answer);
    ns_msg message;
    assert_int_equal(ns_initparse(answer, (int)bytes, &message), 0);
    now += 1000;
    answered++;
  }
  assert_in_range(answered, 300000, 1000000);
  adit_fake_names_free(names);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static char *read_cache(size_t *length) {
  FILE *file = fopen(cache, "rb");
  assert_non_null(file);
  char *text = calloc(1, 1 << 20);
  assert_non_null(text);
  *length = fread(text, 1, (1 << 20) - 1, file);
  fclose(file);
  return text;
}

static void write_cache(const char *text, size_t length) {
  FILE *file = fopen(cache, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, length, file), length);
  assert_int_equal(fclose(file), 0);
}

static void test_file(void **state) {
  (void)state;
  static const char *const host[] = {"a.example", "b.example", "c_d.example", "e"};
  uint32_t number[4];
  struct stat about;
  struct adit_fake_names *names = table_of(0, cache);
  assert_string_equal(warned, ""); /* that there is none yet is no matter */
  for (unsigned i = 0; i < 4; i++) number[i] = take(names, host[i]);
  take(names, "a.example"); /* used last */
  adit_fake_names_hold(names, number[2]);
  adit_fake_names_free(names);
  assert_string_equal(warned, "");
  assert_int_equal(stat(cache, &about), 0);
  assert_int_equal(about.st_mode & 0777, 0600);

  names = table_of(0, cache);
  assert_string_equal(warned, "");
  assert_int_equal(adit_fake_names_count(names), 4);
  for (unsigned i = 0; i < 4; i++) assert_string_equal(name_of(names, number[i]), host[i]);
  for (unsigned i = 0; i < 4; i++) assert_int_equal(take(names, host[i]), number[i]);
  adit_fake_names_free(names);
  ino_t before = about.st_ino;
  assert_int_equal(stat(cache, &about), 0);
  assert_int_equal(about.st_ino, before); /* nothing new: not written */

  /* A smaller pool takes what fits; the order of use is that of the run before. */
  assert_int_equal(unlink(cache), 0);
  names = table_of(3, cache);
  number[0] = take(names, "a");
  number[1] = take(names, "b");
  number[2] = take(names, "c");
  take(names, "a");
  assert_int_equal(adit_fake_names_save(names), 0);
  adit_fake_names_free(names);
  names = table_of(3, cache);
  assert_int_equal(try(names, "d"), -ENOSPC); /* clients may remember the answers of the run before */
  now += AFTER;
  assert_int_equal(take(names, "d"), number[1]);
  adit_fake_names_free(names);
  names = table_of(2, cache);
  assert_string_equal(warned, "");
  assert_true(adit_fake_names_count(names) < 3);
  adit_fake_names_free(names);
}

/* A file that is cut, or in which a single byte is another one, is named and ignored. */
static void test_file_broken(void **state) {
  (void)state;
  struct adit_fake_names *names = table_of(0, cache);
  take(names, "a.example");
  take(names, "bb.example");
  adit_fake_names_free(names);
  size_t length;
  char *text = read_cache(&length);
  for (size_t cut = 0; cut < length; cut++) {
    write_cache(text, cut);
    names = table_of(0, cache);
    if (!strstr(warned, cache) || !strstr(warned, "ignored")) fail_msg("cut at %zu: '%s'", cut, warned);
    assert_int_equal(adit_fake_names_count(names), 0);
    take(names, "c.example");
    assert_int_equal(unlink(cache), 0); /* what is written now is of no interest */
    adit_fake_names_free(names);
  }
  for (size_t at = 0; at < length; at++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      text[at] = (char)(text[at] ^ 1 << bit);
      write_cache(text, length);
      names = table_of(0, cache);
      if (!strstr(warned, "ignored")) fail_msg("byte %zu, bit %u", at, bit);
      adit_fake_names_free(names);
      text[at] = (char)(text[at] ^ 1 << bit);
    }
  }
  free(text);

  static const struct {
    const char *what;
    const char *text;
    const char *why;
  } table[] = {
      {"nothing", "", "begin"},
      {"something else", "root:x:0:0:root:/root:/bin/sh\n", "begin"},
      {"another version", "adit names 2\nend 0 0000000000000000\n", "begin"},
      {"only the title", "adit names 1\n", "end"},
      {"wrong sum", "adit names 1\nend 0 0000000000000000\n", "checksum"},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    write_cache(table[i].text, strlen(table[i].text));
    names = table_of(0, cache);
    if (!strstr(warned, table[i].why)) fail_msg("%s: '%s'", table[i].what, warned);
    adit_fake_names_free(names);
  }
  /* What is no file. */
  names = table_of(0, folder);
  assert_non_null(strstr(warned, "not a file"));
  warned[0] = '\0';
  take(names, "a");
  assert_int_not_equal(adit_fake_names_save(names), 0);
  assert_non_null(strstr(warned, "cannot be kept"));
  adit_fake_names_free(names);
  names = table_of(0, "/nowhere/names");
  take(names, "a");
  assert_string_equal(warned, "");
  assert_int_equal(adit_fake_names_save(names), -ENOENT);
  assert_non_null(strstr(warned, "/nowhere/names"));
  adit_fake_names_free(names);
}

/* A file with the right checksum, written by somebody else. */
static void test_file_forged(void **state) {
  (void)state;
  static const struct {
    const char *lines;
    const char *why; /* NULL = is taken */
    uint32_t count;
  } table[] = {
      {"5 a.example\n7 b.example\n", NULL, 2},
      {"5 a.example\n70000 beyond.example\n", NULL, 1}, /* the pool is smaller now */
      {"", NULL, 0},
      {"5 a.example\n5 b.example\n", "twice", 0},
      {"5 a.example\n7 a.example\n", "twice", 0},
      {"5 a.example\n7 B.example\n", "lower case", 0},
      {"5 a.example\n7 1.2.3.4\n", "lower case", 0},
      {"5 a.example\n7 \n", "lower case", 0},
      {"5 a.example\n7 b.example \n", "lower case", 0},
      {"5 a.example\n7  b.example\n", "lower case", 0},
      {"5 a.example\nb.example\n", "number", 0},
      {"5 a.example\n\n", "number", 0},
      {"5 a.example\n0 b.example\n", "number", 0},
      {"5 a.example\n-7 b.example\n", "number", 0},
      {"5 a.example\n131071 b.example\n", "number", 0},
      {"5 a.example\n99999999999999999999999 b.example\n", "number", 0},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    static const unsigned char key[crypto_shorthash_KEYBYTES];
    unsigned char hash[crypto_shorthash_BYTES];
    char text[1024];
    unsigned lines = 0;
    for (const char *c = table[i].lines; *c; c++) lines += *c == '\n';
    size_t length = (size_t)snprintf(text, sizeof text, "adit names 1\n%s", table[i].lines);
    crypto_shorthash(hash, (const unsigned char *)text, length, key);
    length += (size_t)snprintf(text + length, sizeof text - length, "end %u ", lines);
    for (size_t j = 0; j < sizeof hash; j++)
      length += (size_t)snprintf(text + length, sizeof text - length, "%02x", hash[j]);
    text[length++] = '\n';
    write_cache(text, length);
    struct adit_fake_names *names = table_of(60000, cache);
    if ((table[i].why && !strstr(warned, table[i].why)) || (!table[i].why && warned[0]) ||
        adit_fake_names_count(names) != table[i].count)
      fail_msg("'%s': %u names, '%s'", table[i].lines, adit_fake_names_count(names), warned);
    adit_fake_names_free(names);
  }
}

/* A link that somebody has put where the new file is written is not followed; what a killed run left is no matter. */
static void test_file_link(void **state) {
  (void)state;
  char beside[sizeof cache + 4];
  char victim[sizeof folder + 16];
  snprintf(beside, sizeof beside, "%s.new", cache);
  snprintf(victim, sizeof victim, "%s/victim", folder);
  FILE *file = fopen(victim, "w");
  assert_non_null(file);
  fputs("untouched", file);
  fclose(file);
  assert_int_equal(symlink(victim, beside), 0);
  struct adit_fake_names *names = table_of(0, cache);
  take(names, "a");
  assert_int_equal(adit_fake_names_save(names), 0);
  adit_fake_names_free(names);
  char text[16] = "";
  file = fopen(victim, "r");
  assert_non_null(file);
  assert_non_null(fgets(text, sizeof text, file));
  fclose(file);
  assert_string_equal(text, "untouched");
  assert_int_equal(access(beside, F_OK), -1);
  unlink(victim);
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/adit-test-names.XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(cache, sizeof cache, "%s/names", folder);
  return 0;
}

static int remove_cache(void **state) {
  (void)state;
  unlink(cache);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_same_name),
      cmocka_unit_test(test_eviction),
      cmocka_unit_test(test_hold),
      cmocka_unit_test(test_look_reserves),
      cmocka_unit_test(test_clocks),
      cmocka_unit_test(test_excepts),
      cmocka_unit_test(test_many),
      cmocka_unit_test(test_answers),
      cmocka_unit_test(test_noise),
      cmocka_unit_test_teardown(test_file, remove_cache),
      cmocka_unit_test_teardown(test_file_broken, remove_cache),
      cmocka_unit_test_teardown(test_file_forged, remove_cache),
      cmocka_unit_test_teardown(test_file_link, remove_cache),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
