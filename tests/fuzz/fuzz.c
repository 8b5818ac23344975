/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the fuzz targets share.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t fuzz_take8(struct fuzz_bytes *bytes) {
  if (bytes->left == 0) return 0;
  bytes->left--;
  return *bytes->at++;
}

uint16_t fuzz_take16(struct fuzz_bytes *bytes) {
  unsigned high = fuzz_take8(bytes);
  return (uint16_t)(high << 8 | fuzz_take8(bytes));
}

uint32_t fuzz_take32(struct fuzz_bytes *bytes) {
  uint32_t high = fuzz_take16(bytes);
  return high << 16 | fuzz_take16(bytes);
}

const uint8_t *fuzz_take(struct fuzz_bytes *bytes, size_t *length) {
  const uint8_t *taken = bytes->at;
  if (*length > bytes->left) *length = bytes->left;
  bytes->at += *length;
  bytes->left -= *length;
  return taken;
}

uint8_t *fuzz_copy(const void *data, size_t length) {
  uint8_t *copy = malloc(length > 0 ? length : 1);
  if (copy == NULL) abort();
  if (length > 0) memcpy(copy, data, length);
  return copy;
}

int fuzz_file(const void *data, size_t length, char path[FUZZ_PATH]) {
  int fd = memfd_create("fuzz", MFD_CLOEXEC);
  FUZZ_CHECK(fd >= 0, "fd %d", fd);
  for (size_t at = 0; at < length;) {
    ssize_t wrote = write(fd, (const uint8_t *)data + at, length - at);
    FUZZ_CHECK(wrote > 0, "%zd", wrote);
    at += (size_t)wrote;
  }
  snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
  return fd;
}
