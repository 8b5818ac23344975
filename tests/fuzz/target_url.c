/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: the URL of an upstream. What can be read and is written again, without secrets, reads the same; what cannot
 * be read is explained, and a request to it fits.
 */
#include "fuzz.h"
#include "relay/http_connect.h"
#include "relay/socks5.h"
#include "relay/url.h"

#include <errno.h>
#include <string.h>

static void check_requests(const struct adit_upstream *upstream) {
  adit_endpoint target = {{{192, 0, 2, 1}, 4}, 443};
  char name[256];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  if (upstream->kind == ADIT_UPSTREAM_HTTP) {
    uint8_t out[ADIT_HTTP_OUT];
    size_t length = adit_http_request(upstream, target, name, out);
    FUZZ_CHECK(length > 0 && length <= sizeof out, "%zu", length);
  }
  if (upstream->kind == ADIT_UPSTREAM_SOCKS5) {
    uint8_t out[ADIT_SOCKS5_OUT];
    struct adit_socks5 talk = {.upstream = upstream, .command = ADIT_SOCKS5_CONNECT, .target = target, .name = name};
    size_t length = adit_socks5_begin(&talk, true, out);
    FUZZ_CHECK(length > 0 && length <= sizeof out, "%zu", length);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct adit_upstream upstream;
  struct adit_upstream again;
  char reason[ADIT_URL_REASON] = "";
  char text[ADIT_URL_HOST + 32];
  char *url = malloc(size + 1);
  if (url == NULL) abort();
  if (size > 0) memcpy(url, data, size);
  url[size] = '\0';
  int error = adit_upstream_parse(url, &upstream, reason);
  if (error) {
    FUZZ_EQUAL(error, -EINVAL);
    FUZZ_CHECK(reason[0] != '\0' && strlen(reason) < sizeof reason, "%zu", strlen(reason));
  } else {
    FUZZ_CHECK(upstream.kind < ADIT_UPSTREAM_KINDS, "%u", (unsigned)upstream.kind);
    adit_upstream_format(&upstream, text);
    FUZZ_CHECK(strlen(text) < sizeof text, "%zu", strlen(text));
    FUZZ_CHECK(adit_upstream_parse(text, &again, reason) == 0, "%s: %s", text, reason);
    FUZZ_EQUAL(again.kind, upstream.kind);
    FUZZ_EQUAL(again.port, upstream.port);
    FUZZ_CHECK(strcmp(again.host, upstream.host) == 0, "%s and %s", again.host, upstream.host);
    check_requests(&upstream);
  }
  free(url);
  return 0;
}
