/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: a capture file, read as `adit replay` reads it, each of its packets printed as `adit dump` prints it.
 */
#include "fuzz.h"
#include "packet/print.h"

#include <adit/device.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READS = 10000, SHOWN = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct adit_pool *pool;
  char line[ADIT_PRINT_LINE];
  char hex[ADIT_PRINT_HEX(SHOWN) + ADIT_PRINT_DECIMAL(SHOWN)];
  if (pool == NULL) FUZZ_EQUAL(adit_pool_new(0, &pool), 0);
  char path[FUZZ_PATH];
  char reason[256] = "";
  int fd = fuzz_file(data, size, path);
  struct adit_device *device;
  int result = adit_device_pcap(path, NULL, &device, reason);
  if (result != 0) {
    FUZZ_CHECK(result < 0 && reason[0] != '\0' && memchr(reason, 0, sizeof reason), "%d", result);
    close(fd);
    return 0;
  }
  struct adit_buffer *buffer;
  unsigned reads = 0;
  do {
    FUZZ_CHECK(reads++ < READS, "%u reads of %zu bytes", reads, size);
    result = adit_device_read(device, pool, &buffer);
    FUZZ_CHECK(result == 1 || result == 0 || result == -EBADMSG || result == -ENODATA, "%d", result);
    if (result != 1) continue;
    FUZZ_CHECK(buffer->length > 0 && buffer->length <= buffer->capacity, "%u", buffer->length);
    adit_print_line(line, sizeof line, adit_device_pcap_stamp(device), adit_device_link(device) == ADIT_LINK_ETHERNET,
                    buffer->data, buffer->length, &buffer->offload);
    FUZZ_CHECK(memchr(line, 0, sizeof line) != NULL && strchr(line, '\n') == NULL, "%u bytes", buffer->length);
    size_t shown = buffer->length < SHOWN ? buffer->length : SHOWN;
    adit_print_hex(hex, ADIT_PRINT_HEX(shown), buffer->data, shown);
    adit_print_decimal(hex, ADIT_PRINT_DECIMAL(shown), buffer->data, shown);
    adit_buffer_unref(buffer);
  } while (result != 0);
  adit_device_close(device);
  FUZZ_EQUAL(adit_pool_in_use(pool), 0);
  close(fd);
  return 0;
}
