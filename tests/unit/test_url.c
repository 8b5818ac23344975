/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Upstream URLs: what is right, what is wrong and how that is said, and that no password is ever said.
 */
#include "relay/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "s3cr3t"

static const struct good {
  const char *url;
  enum adit_upstream_kind kind;
  const char *host;
  unsigned port;
  const char *user; /* NULL = no credentials */
  const char *password;
  unsigned version; /* of the address, known without a look-up */
  const char *text;
} goods[] = {
    {"direct://", ADIT_UPSTREAM_DIRECT, "", 0, NULL, NULL, 0, "direct://"},
    {"DIRECT://", ADIT_UPSTREAM_DIRECT, "", 0, NULL, NULL, 0, "direct://"},
    {"reject://", ADIT_UPSTREAM_REJECT, "", 0, NULL, NULL, 0, "reject://"},
    {"socks5://127.0.0.1", ADIT_UPSTREAM_SOCKS5, "127.0.0.1", 1080, NULL, NULL, 4, "socks5://127.0.0.1:1080"},
    {"socks5h://proxy.example/", ADIT_UPSTREAM_SOCKS5, "proxy.example", 1080, NULL, NULL, 0,
     "socks5://proxy.example:1080"},
    {"socks5://[2001:db8::1]:9050/", ADIT_UPSTREAM_SOCKS5, "2001:db8::1", 9050, NULL, NULL, 6,
     "socks5://[2001:db8::1]:9050"},
    {"socks5://[::1]", ADIT_UPSTREAM_SOCKS5, "::1", 1080, NULL, NULL, 6, "socks5://[::1]:1080"},
    {"http://localhost", ADIT_UPSTREAM_HTTP, "localhost", 8080, NULL, NULL, 0, "http://localhost:8080"},
    {"http://localhost:", ADIT_UPSTREAM_HTTP, "localhost", 8080, NULL, NULL, 0, "http://localhost:8080"},
    {"http://h:1", ADIT_UPSTREAM_HTTP, "h", 1, NULL, NULL, 0, "http://h:1"},
    {"http://h:65535", ADIT_UPSTREAM_HTTP, "h", 65535, NULL, NULL, 0, "http://h:65535"},
    {"socks5://u:" SECRET "@h", ADIT_UPSTREAM_SOCKS5, "h", 1080, "u", SECRET, 0, "socks5://h:1080"},
    {"socks5://u@h", ADIT_UPSTREAM_SOCKS5, "h", 1080, "u", "", 0, "socks5://h:1080"},
    {"socks5://u:@h", ADIT_UPSTREAM_SOCKS5, "h", 1080, "u", "", 0, "socks5://h:1080"},
    {"http://:" SECRET "@h", ADIT_UPSTREAM_HTTP, "h", 8080, "", SECRET, 0, "http://h:8080"},
    {"http://a%40b:c%3ad%2Fe%25:f@h:80", ADIT_UPSTREAM_HTTP, "h", 80, "a@b", "c:d/e%:f", 0, "http://h:80"},
    {"socks5://%C3%A4:!$&'()*+,;=~@[::2]:7", ADIT_UPSTREAM_SOCKS5, "::2", 7, "\xc3\xa4", "!$&'()*+,;=~", 6,
     "socks5://[::2]:7"},
};

static void test_good(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
    const struct good *good = &goods[i];
    struct adit_upstream upstream;
    char reason[ADIT_URL_REASON] = "";
    char text[ADIT_URL_HOST + 32];
    if (adit_upstream_parse(good->url, &upstream, reason) != 0) fail_msg("%s: refused: %s", good->url, reason);
    assert_int_equal(upstream.kind, good->kind);
    assert_string_equal(upstream.host, good->host);
    assert_int_equal(upstream.port, good->port);
    assert_int_equal(upstream.has_credentials, good->user != NULL);
    assert_string_equal(upstream.user, good->user ? good->user : "");
    assert_string_equal(upstream.password, good->password ? good->password : "");
    assert_int_equal(upstream.address.ip.version, good->version);
    if (good->version) assert_int_equal(upstream.address.port, good->port);
    assert_string_equal(adit_upstream_format(&upstream, text), good->text);
    adit_upstream_clear(&upstream);
    assert_string_equal(upstream.password, "");
  }
}

static const struct bad {
  const char *url;
  const char *says; /* part of the message */
} bads[] = {
    {"", "begin with one of direct://, reject://, socks5:// and http://"},
    {"127.0.0.1:1080", "socks5://127.0.0.1:1080"},
    {"u:" SECRET "@h", "begin with one of"},
    {"://h", "begin with one of"},
    {"socks5:/h", "begin with one of"},
    {SECRET "/://h", "begin with one of"},
    {"https://h", "unknown scheme 'https://'; known are direct://, reject://, socks5:// and http://"},
    {"socks4://h", "unknown scheme 'socks4://'"},
    {"ss://" SECRET "@h", "unknown scheme 'ss://'"},
    {"direct://h", "has no host"},
    {"reject:///", "has no host"},
    {"direct://u:" SECRET "@h", "has no host"},
    {"socks5://", "the host is missing; write socks5://[user:password@]host[:port]"},
    {"http://:80", "the host is missing"},
    {"http://u:" SECRET "@", "the host is missing"},
    {"http://h:0", "out of range; give 1..65535"},
    {"http://h:65536", "out of range"},
    {"http://h:99999999999999999999", "out of range"},
    {"http://h:8o", "not a number"},
    {"http://u:" SECRET, "user and password before an @"},
    {"http://h/path", "nothing may follow the port"},
    {"http://h?x", "nothing may follow the port; leave out what begins with '?'"},
    {"http://h#x", "begins with '#'"},
    {"socks5://u:" SECRET "@x@h", "write @ as %40"},
    {"socks5://u:" SECRET "/x@h", "write / as %2F"},
    {"socks5://u:" SECRET "?x@h", "? as %3F"},
    {"socks5://u:" SECRET "#x@h", "# as %23"},
    {"socks5://u:" SECRET "%x@h", "write % itself as %25"},
    {"socks5://u:" SECRET "%4@h", "write % itself as %25"},
    {"socks5://u:" SECRET "%@h", "write % itself as %25"},
    {"socks5://u:" SECRET "%00@h", "%00 cannot be in the password"},
    {"socks5://u:" SECRET " x@h", "' ' cannot stand in the password; write it as %20"},
    {"socks5://u\\:" SECRET "@h", "'\\' cannot stand in the user; write it as %5C"},
    {"socks5://:" SECRET "@h", "the user before the @ is empty"},
    {"http://a%3Ab:" SECRET "@h", "the user has a ':'"},
    {"socks5://::1", "IPv6 address in brackets"},
    {"socks5://2001:db8::1:1080", "IPv6 address in brackets"},
    {"socks5://[::1", "']' behind the IPv6 address is missing"},
    {"socks5://[::1]1080", "behind ']'"},
    {"socks5://[1.2.3.4]", "not an IPv6 address"},
    {"socks5://[fe80::1%eth0]", "a zone cannot be given"},
    {"socks5://[]", "not an IPv6 address"},
    {"socks5://a b", "' ' cannot be in the name of a host"},
    {"socks5://a%41", "'%' cannot be in the name of a host"},
};

static void check_bad(const char *url, const char *says) {
  struct adit_upstream upstream = {.port = 4711};
  char reason[ADIT_URL_REASON] = "";
  assert_int_equal(adit_upstream_parse(url, &upstream, reason), -EINVAL);
  if (!strstr(reason, says)) fail_msg("%s: says \"%s\", expected \"%s\"", url, reason, says);
  if (strstr(reason, SECRET)) fail_msg("%s: the password is in \"%s\"", url, reason);
  assert_int_equal(upstream.port, 4711); /* untouched */
}

static void test_bad(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) check_bad(bads[i].url, bads[i].says);
}

static void test_lengths(void **state) {
  (void)state;
  char url[1200];
  char part[300];
  struct adit_upstream upstream;
  char reason[ADIT_URL_REASON];
  memset(part, 'a', sizeof part);
  part[255] = '\0';
  snprintf(url, sizeof url, "socks5://%s:%s@%s:1", part, part, part);
  assert_int_equal(adit_upstream_parse(url, &upstream, reason), 0);
  assert_int_equal(strlen(upstream.user), 255);
  assert_int_equal(strlen(upstream.password), 255);
  assert_int_equal(strlen(upstream.host), 255);
  char text[ADIT_URL_HOST + 32];
  assert_int_equal(strlen(adit_upstream_format(&upstream, text)), strlen("socks5://:1") + 255);
  part[255] = 'a';
  part[256] = '\0';
  snprintf(url, sizeof url, "socks5://%s:p@h", part);
  check_bad(url, "the user is longer than 255 bytes");
  snprintf(url, sizeof url, "socks5://u:%s@h", part);
  check_bad(url, "the password is longer than 255 bytes");
  snprintf(url, sizeof url, "socks5://%s", part);
  check_bad(url, "the host is longer than 255 bytes");
  snprintf(url, sizeof url, "socks5://[%s]", part);
  check_bad(url, "not an IPv6 address");
  snprintf(url, sizeof url, "%s://h", part);
  check_bad(url, "unknown scheme 'aaaaaaaaaaaaaaaaaaaaaaaa://'");
}

static void test_resolve(void **state) {
  (void)state;
  struct adit_upstream upstream;
  char reason[ADIT_URL_REASON] = "";
  assert_int_equal(adit_upstream_parse("direct://", &upstream, reason), 0);
  assert_int_equal(adit_upstream_resolve(&upstream, reason), 0);
  assert_int_equal(upstream.address.ip.version, 0);
  assert_int_equal(adit_upstream_parse("http://[::5]:81", &upstream, reason), 0);
  assert_int_equal(adit_upstream_resolve(&upstream, reason), 0);
  assert_int_equal(upstream.address.ip.version, 6);
  assert_int_equal(upstream.address.port, 81);
  assert_int_equal(adit_upstream_parse("http://nobody.invalid:81", &upstream, reason), 0);
  assert_int_equal(adit_upstream_resolve(&upstream, reason), -EHOSTUNREACH);
  assert_non_null(strstr(reason, "nobody.invalid"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_resolve),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
