/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * How often something may happen: a token bucket, full at the beginning.
 */
#include "state.h"

#define SECOND_NS UINT64_C(1000000000)

bool adit_port_allows(struct adit_port_rate *limit, uint32_t burst, uint32_t rate) {
  uint64_t now = adit_port_now();
  if (now >= limit->refill_ns) {
    uint64_t due = (now - limit->refill_ns) / (SECOND_NS / rate) + 1;
    limit->tokens = due > burst - limit->tokens ? burst : limit->tokens + (uint32_t)due;
    limit->refill_ns = now + SECOND_NS / rate;
  }
  if (limit->tokens == 0) return false;
  limit->tokens--;
  return true;
}
