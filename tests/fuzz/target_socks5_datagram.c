/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: the header in front of a datagram from a SOCKS5 relay. What was read and is written again reads the same.
 */
#include "fuzz.h"
#include "relay/socks5_datagram.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct adit_socks5_datagram read = {0};
  uint8_t *bytes = fuzz_copy(data, size);
  int error = adit_socks5_unwrap(bytes, size, &read);
  if (error) {
    FUZZ_EQUAL(error, -EBADMSG);
    free(bytes);
    return 0;
  }
  FUZZ_CHECK(read.header <= size && read.header <= ADIT_SOCKS5_HEADER, "%zu of %zu", read.header, size);
  FUZZ_CHECK(read.name ? read.from.ip.version == 0 : read.from.ip.version == 4 || read.from.ip.version == 6, "%u",
             read.from.ip.version);
  char name[256] = "";
  if (read.name) memcpy(name, read.name, read.name_length);
  if (!read.name || (read.name_length > 0 && strlen(name) == read.name_length)) {
    uint8_t out[ADIT_SOCKS5_HEADER];
    struct adit_socks5_datagram again = {0};
    size_t length = adit_socks5_wrap(read.from, read.name ? name : NULL, out);
    FUZZ_CHECK(length <= sizeof out, "%zu", length);
    FUZZ_EQUAL(adit_socks5_unwrap(out, length, &again), 0);
    FUZZ_EQUAL(again.header, length);
    FUZZ_EQUAL(again.from.port, read.from.port);
    FUZZ_CHECK(adit_ip_equal(again.from.ip, read.from.ip), "%u and %u", again.from.ip.version, read.from.ip.version);
    FUZZ_EQUAL(again.name_length, read.name_length);
  }
  free(bytes);
  return 0;
}
