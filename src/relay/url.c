/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Upstream URLs.
 *
 * A URL may hold a password, and what is wrong with a URL is often its password: an @ or / in it shifts every part
 * behind. So no message repeats a part of the URL but the scheme, and that only if it is followed by "://"; of what is
 * wrong elsewhere only the one character is named, with what to write instead.
 */
#include "relay/url.h"

#include "relay/fake_names.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
  const char *scheme;
  const char *form; /* how to write it */
  uint16_t port;    /* without one in the URL; 0 = the URL has no host */
} kinds[] = {
    [ADIT_UPSTREAM_DIRECT] = {"direct", "direct://", 0},
    [ADIT_UPSTREAM_REJECT] = {"reject", "reject://", 0},
    [ADIT_UPSTREAM_SOCKS5] = {"socks5", "socks5://[user:password@]host[:port]", 1080},
    [ADIT_UPSTREAM_HTTP] = {"http", "http://[user:password@]host[:port]", 8080},
};
static_assert(sizeof kinds / sizeof kinds[0] == ADIT_UPSTREAM_KINDS, "a scheme for each kind");

#define KNOWN "direct://, reject://, socks5:// and http://"

static int explain(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int explain(char *reason, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, ADIT_URL_REASON, format, arguments);
  va_end(arguments);
  return -EINVAL;
}

/* Piece of a URL, not terminated. */
struct piece {
  const char *start;
  size_t length;
};

static const char *find(struct piece piece, char c) {
  return memchr(piece.start, c, piece.length);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* Up to and with "://". Sets the kind, and `*rest` to what is behind. */
static int take_scheme(const char *url, enum adit_upstream_kind *kind, struct piece *rest, char *reason) {
  const char *mark = strstr(url, "://");
  size_t length = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  if (!mark || mark != url + length || length == 0)
    return explain(reason, "not a URL: it has to begin with one of " KNOWN ", for example socks5://127.0.0.1:1080");
  *rest = (struct piece){mark + 3, strlen(mark + 3)};
  for (unsigned i = 0; i < ADIT_UPSTREAM_KINDS; i++) {
    if (strlen(kinds[i].scheme) != length || strncasecmp(kinds[i].scheme, url, length) != 0) continue;
    *kind = (enum adit_upstream_kind)i;
    return 0;
  }
  /* What curl calls it when the proxy is to resolve names; it always is here. */
  if (length == 7 && strncasecmp(url, "socks5h", length) == 0) {
    *kind = ADIT_UPSTREAM_SOCKS5;
    return 0;
  }
  return explain(reason, "unknown scheme '%.*s://'; known are " KNOWN, length < 24 ? (int)length : 24, url);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* A user or password, percent-decoded (RFC 3986, 2.1 and 3.2.1). */
static int decode(struct piece piece, const char *what, char out[ADIT_URL_USER], char *reason) {
  size_t length = 0;
  for (size_t i = 0; i < piece.length; i++) {
    char c = piece.start[i];
    if (c == '%') {
      int high = i + 2 < piece.length ? hex_digit(piece.start[i + 1]) : -1;
      int low = high >= 0 ? hex_digit(piece.start[i + 2]) : -1;
      if (high < 0 || low < 0)
        return explain(reason, "a %% in the %s is not followed by two hexadecimal digits; write %% itself as %%25",
                       what);
      c = (char)(high * 16 + low);
      if (c == '\0') return explain(reason, "%%00 cannot be in the %s", what);
      i += 2;
    } else if ((unsigned char)c <= ' ' || c == 0x7f || strchr("\"<>[]\\^`{|}", c)) {
      return explain(reason, "'%c' cannot stand in the %s; write it as %%%02X", isprint((unsigned char)c) ? c : '?',
                     what, (unsigned)(unsigned char)c);
    }
    if (length == ADIT_URL_USER - 1) return explain(reason, "the %s is longer than %d bytes", what, ADIT_URL_USER - 1);
    out[length++] = c;
  }
  out[length] = '\0';
  return 0;
}

static int take_credentials(struct piece piece, struct adit_upstream *upstream, char *reason) {
  const char *colon = find(piece, ':');
  struct piece user = {piece.start, colon ? (size_t)(colon - piece.start) : piece.length};
  struct piece password = {colon ? colon + 1 : "", colon ? piece.length - user.length - 1 : 0};
  int error = decode(user, "user", upstream->user, reason);
  if (!error) error = decode(password, "password", upstream->password, reason);
  if (error) return error;
  if (upstream->kind == ADIT_UPSTREAM_SOCKS5 && upstream->user[0] == '\0')
    return explain(reason,
                   "the user before the @ is empty, which SOCKS5 does not allow (RFC 1929); write user:password@, "
                   "or leave the @ out");
  if (upstream->kind == ADIT_UPSTREAM_HTTP && strchr(upstream->user, ':'))
    return explain(reason, "the user has a ':' in it, which HTTP does not allow (RFC 7617)");
  upstream->has_credentials = true;
  return 0;
}

static int take_port(struct piece piece, struct adit_upstream *upstream, char *reason) {
  unsigned port = 0;
  if (piece.length == 0) return 0; /* "host:" is "host" (RFC 3986, 3.2.3) */
  for (size_t i = 0; i < piece.length; i++) {
    if (piece.start[i] < '0' || piece.start[i] > '9')
      return explain(reason,
                     "the port behind the last ':' is not a number; write host:port, and user and password before "
                     "an @ (an IPv6 address in brackets: [::1])");
    port = port * 10 + (unsigned)(piece.start[i] - '0');
    if (port > 65535) break;
  }
  if (port == 0 || port > 65535) return explain(reason, "the port is out of range; give 1..65535");
  upstream->port = (uint16_t)port;
  return 0;
}

static int take_name(struct piece piece, struct adit_upstream *upstream, char *reason) {
  if (piece.length == 0) return explain(reason, "the host is missing; write %s", kinds[upstream->kind].form);
  if (piece.length >= ADIT_URL_HOST) return explain(reason, "the host is longer than %d bytes", ADIT_URL_HOST - 1);
  for (size_t i = 0; i < piece.length; i++) {
    char c = piece.start[i];
    if (isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_') continue;
    return explain(reason, "'%c' cannot be in the name of a host; write %s", isprint((unsigned char)c) ? c : '?',
                   kinds[upstream->kind].form);
  }
  memcpy(upstream->host, piece.start, piece.length);
  upstream->host[piece.length] = '\0';
  return 0;
}

/* "[address]" and perhaps ":port". */
static int take_literal(struct piece piece, struct adit_upstream *upstream, char *reason) {
  const char *end = find(piece, ']');
  adit_ip ip;
  if (!end) return explain(reason, "the ']' behind the IPv6 address is missing; write it like [::1]:1080");
  size_t length = (size_t)(end - piece.start - 1);
  if (length >= ADIT_ADDRESS_TEXT) return explain(reason, "what stands in brackets is not an IPv6 address");
  memcpy(upstream->host, piece.start + 1, length);
  upstream->host[length] = '\0';
  if (adit_ip_parse(upstream->host, &ip) != 0 || ip.version != 6)
    return explain(reason, "what stands in brackets is not an IPv6 address%s",
                   strchr(upstream->host, '%') ? " (a zone cannot be given)" : "");
  struct piece rest = {end + 1, piece.length - length - 2};
  if (rest.length == 0) return 0;
  if (rest.start[0] != ':')
    return explain(reason, "behind ']' only ':' and a port may follow; write it like [::1]:1080");
  return take_port((struct piece){rest.start + 1, rest.length - 1}, upstream, reason);
}

static int take_host(struct piece piece, struct adit_upstream *upstream, char *reason) {
  if (piece.length > 0 && piece.start[0] == '[') return take_literal(piece, upstream, reason);
  const char *colon = find(piece, ':');
  if (!colon) return take_name(piece, upstream, reason);
  struct piece name = {piece.start, (size_t)(colon - piece.start)};
  struct piece port = {colon + 1, piece.length - name.length - 1};
  if (find(port, ':'))
    return explain(reason, "more than one ':' in host and port; write an IPv6 address in brackets, like [::1]:1080");
  int error = take_name(name, upstream, reason);
  return error ? error : take_port(port, upstream, reason);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* What is behind "://": [user[:password]@]host[:port][/] */
static int take_authority(struct piece rest, struct adit_upstream *upstream, char *reason) {
  struct piece authority = {rest.start, strcspn(rest.start, "/?#")};
  const char *end = rest.start + authority.length;
  if (*end != '\0' && strchr(end, '@'))
    return explain(reason, "a '%c' before the @: in user and password write / as %%2F, ? as %%3F, # as %%23", *end);
  if (*end != '\0' && strcmp(end, "/") != 0)
    return explain(reason, "nothing may follow the port; leave out what begins with '%c'", *end);
  if (kinds[upstream->kind].port == 0) {
    if (authority.length == 0 && *end == '\0') return 0;
    return explain(reason, "%s has no host; write it alone, or choose one of socks5:// and http://",
                   kinds[upstream->kind].form);
  }
  upstream->port = kinds[upstream->kind].port;
  const char *at = find(authority, '@');
  if (!at) return take_host(authority, upstream, reason);
  struct piece credentials = {authority.start, (size_t)(at - authority.start)};
  struct piece host = {at + 1, authority.length - credentials.length - 1};
  if (find(host, '@')) return explain(reason, "more than one @: in user and password write @ as %%40");
  int error = take_credentials(credentials, upstream, reason);
  return error ? error : take_host(host, upstream, reason);
}

int adit_upstream_parse(const char *url, struct adit_upstream *upstream, char *reason) {
  struct adit_upstream parsed = {.kind = ADIT_UPSTREAM_DIRECT};
  struct piece rest = {url, 0};
  adit_ip ip;
  int error = take_scheme(url, &parsed.kind, &rest, reason);
  if (!error) error = take_authority(rest, &parsed, reason);
  if (!error) {
    if (adit_ip_parse(parsed.host, &ip) == 0) parsed.address = (adit_endpoint){ip, parsed.port};
    *upstream = parsed;
  }
  adit_upstream_clear(&parsed);
  return error;
}

int adit_upstream_resolve(struct adit_upstream *upstream, char *reason) {
  if (kinds[upstream->kind].port == 0 || upstream->address.ip.version != 0) return 0;
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  struct addrinfo *list = NULL;
  int failure = getaddrinfo(upstream->host, NULL, &hints, &list);
  if (failure) {
    explain(reason, "the address of '%.100s' cannot be found: %s", upstream->host, gai_strerror(failure));
    return -EHOSTUNREACH;
  }
  for (const struct addrinfo *one = list; one && upstream->address.ip.version == 0; one = one->ai_next) {
    if (one->ai_family == AF_INET)
      upstream->address.ip = adit_ip_from_bytes(4, &((struct sockaddr_in *)(void *)one->ai_addr)->sin_addr);
    else if (one->ai_family == AF_INET6)
      upstream->address.ip = adit_ip_from_bytes(6, &((struct sockaddr_in6 *)(void *)one->ai_addr)->sin6_addr);
  }
  upstream->address.port = upstream->port;
  freeaddrinfo(list);
  if (upstream->address.ip.version != 0) return 0;
  explain(reason, "the host '%.100s' has neither an IPv4 nor an IPv6 address", upstream->host);
  return -EHOSTUNREACH;
}

int adit_upstream_renew(struct adit_upstream *upstream, const struct adit_upstream *before, char *reason) {
  if (upstream->address.ip.version != 0) return 0; /* it was written as an address */
  int error = adit_upstream_resolve(upstream, reason);
  if (!error && adit_fake_names_covers(upstream->address.ip)) {
    explain(reason, "the address of '%.100s' cannot be found: the system's question for it was answered by adit itself",
            upstream->host);
    error = -EHOSTUNREACH;
  }
  if (!error || before->address.ip.version == 0 || strcmp(upstream->host, before->host) != 0) return error;
  upstream->address = (adit_endpoint){before->address.ip, upstream->port};
  return 1;
}

bool adit_upstream_equal(const struct adit_upstream *a, const struct adit_upstream *b) {
  return a->kind == b->kind && strcmp(a->host, b->host) == 0 && a->port == b->port &&
         a->has_credentials == b->has_credentials && strcmp(a->user, b->user) == 0 &&
         strcmp(a->password, b->password) == 0 && a->address.port == b->address.port &&
         adit_ip_equal(a->address.ip, b->address.ip);
}

char *adit_upstream_format(const struct adit_upstream *upstream, char *text) {
  const size_t room = ADIT_URL_HOST + 32;
  const char *scheme = kinds[upstream->kind].scheme;
  if (kinds[upstream->kind].port == 0)
    snprintf(text, room, "%s://", scheme);
  else
    snprintf(text, room, strchr(upstream->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme, upstream->host,
             (unsigned)upstream->port);
  return text;
}

void adit_upstream_clear(struct adit_upstream *upstream) {
  sodium_memzero(upstream, sizeof *upstream);
}
