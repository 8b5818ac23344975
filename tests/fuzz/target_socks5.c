/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: what a SOCKS5 server answers, byte by byte, in pieces and at once.
 *
 * The input: a byte of choices, then the server's bytes. However they are cut, the talk must take the same way: it is held
 * twice, once byte by byte, and the two are compared. One difference is right: in steps, a server that answers more at
 * once than it was asked is refused.
 */
#include "fuzz.h"
#include "relay/socks5.h"

#include <string.h>

enum { CREDENTIALS = 1, NAME = 2, ASSOCIATE = 4, AT_ONCE = 8, IPV6 = 16 };

struct run {
  struct adit_socks5 talk;
  enum adit_socks5_result result;
  size_t used;
  size_t sent;
  uint8_t out[4 * ADIT_SOCKS5_OUT];
};

static void feed(struct run *run, const struct adit_upstream *upstream, uint8_t choices, struct fuzz_bytes bytes,
                 bool whole) {
  memset(run, 0, sizeof *run);
  run->talk.upstream = upstream;
  run->talk.command = choices & ASSOCIATE ? ADIT_SOCKS5_UDP_ASSOCIATE : ADIT_SOCKS5_CONNECT;
  run->talk.target = (adit_endpoint){{.bytes = {192, 0, 2, 1}, .version = choices & IPV6 ? 6 : 4}, 443};
  run->talk.name = choices & NAME ? "www.example" : NULL;
  run->sent = adit_socks5_begin(&run->talk, (choices & AT_ONCE) != 0, run->out);
  FUZZ_CHECK(run->sent > 0 && run->sent <= ADIT_SOCKS5_OUT, "%zu", run->sent);
  run->result = ADIT_SOCKS5_MORE;
  while (run->result == ADIT_SOCKS5_MORE && bytes.left > 0) {
    size_t length = whole ? bytes.left : 1;
    const uint8_t *at = fuzz_take(&bytes, &length);
    uint8_t *piece = fuzz_copy(at, length);
    uint8_t out[ADIT_SOCKS5_OUT];
    size_t used = SIZE_MAX;
    size_t out_length = SIZE_MAX;
    run->result = adit_socks5_input(&run->talk, piece, length, &used, out, &out_length);
    FUZZ_CHECK(used <= length, "%zu of %zu", used, length);
    FUZZ_CHECK(out_length <= sizeof out, "%zu", out_length);
    FUZZ_CHECK(run->result == ADIT_SOCKS5_MORE ? used == length : out_length == 0, "%zu used, %zu out", used,
               out_length);
    FUZZ_CHECK(run->sent + out_length <= sizeof run->out, "%zu and %zu", run->sent, out_length);
    memcpy(run->out + run->sent, out, out_length);
    run->sent += out_length;
    run->used += used;
    free(piece);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct run whole;
  static struct run single;
  struct fuzz_bytes bytes = {data, size};
  uint8_t choices = fuzz_take8(&bytes);
  struct adit_upstream upstream = {.kind = ADIT_UPSTREAM_SOCKS5, .has_credentials = (choices & CREDENTIALS) != 0};
  if (choices & CREDENTIALS) memset(upstream.user, 'u', sizeof upstream.user - 1);
  if (choices & CREDENTIALS) memcpy(upstream.password, "secret", 7);
  feed(&whole, &upstream, choices, bytes, true);
  feed(&single, &upstream, choices, bytes, false);
  if (!(choices & AT_ONCE) && whole.result == ADIT_SOCKS5_GARBAGE) return 0;
  FUZZ_EQUAL(whole.result, single.result);
  FUZZ_EQUAL(whole.used, single.used);
  FUZZ_EQUAL(whole.sent, single.sent);
  FUZZ_EQUAL(memcmp(whole.out, single.out, whole.sent), 0);
  if (whole.result == ADIT_SOCKS5_DENIED) {
    FUZZ_EQUAL(whole.talk.code, single.talk.code);
    FUZZ_CHECK(adit_socks5_refusal(whole.talk.code) < ADIT_REFUSALS, "%u", whole.talk.code);
    FUZZ_CHECK(adit_socks5_text(whole.talk.code)[0] != '\0', "%u", whole.talk.code);
  }
  if (whole.result == ADIT_SOCKS5_DONE) {
    FUZZ_EQUAL(whole.talk.bound.port, single.talk.bound.port);
    FUZZ_CHECK(adit_ip_equal(whole.talk.bound.ip, single.talk.bound.ip), "%u", whole.talk.bound.ip.version);
  }
  return 0;
}
