/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: what an HTTP proxy answers to CONNECT. It must be taken alike in one piece and byte by byte.
 */
#include "fuzz.h"
#include "relay/http_connect.h"

static enum adit_http_result feed(struct adit_http *answer, struct fuzz_bytes bytes, bool whole, size_t *total) {
  enum adit_http_result result = ADIT_HTTP_MORE;
  *total = 0;
  while (result == ADIT_HTTP_MORE && bytes.left > 0) {
    size_t length = whole ? bytes.left : 1;
    const uint8_t *at = fuzz_take(&bytes, &length);
    uint8_t *piece = fuzz_copy(at, length);
    size_t used = SIZE_MAX;
    result = adit_http_input(answer, piece, length, &used);
    FUZZ_CHECK(used <= length, "%zu of %zu", used, length);
    *total += used;
    free(piece);
  }
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct adit_http whole = {0};
  struct adit_http single = {0};
  struct fuzz_bytes bytes = {data, size};
  size_t whole_used;
  size_t single_used;
  enum adit_http_result result = feed(&whole, bytes, true, &whole_used);
  FUZZ_EQUAL(result, feed(&single, bytes, false, &single_used));
  FUZZ_EQUAL(whole_used, single_used);
  FUZZ_CHECK(whole_used <= ADIT_HTTP_MOST + 1, "%zu", whole_used);
  if (result == ADIT_HTTP_MORE) FUZZ_EQUAL(whole_used, size);
  if (result == ADIT_HTTP_DONE) FUZZ_CHECK(whole.code >= 200 && whole.code <= 299, "%u", whole.code);
  if (result == ADIT_HTTP_DENIED) {
    FUZZ_EQUAL(whole.code, single.code);
    FUZZ_CHECK(whole.code <= 999, "%u", whole.code);
    FUZZ_CHECK(adit_http_refusal(whole.code) < ADIT_REFUSALS, "%u", whole.code);
    FUZZ_CHECK(adit_http_text(whole.code)[0] != '\0', "%u", whole.code);
    (void)adit_http_is_trouble(whole.code);
  }
  return 0;
}
