/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What the fuzz targets share: reading an input bit by bit, checks that end the program, inputs as files.
 *
 * A target is one file, target_NAME.c, with one function: LLVMFuzzerTestOneInput. libFuzzer calls it with inputs that it
 * makes up; driver.c calls it with the files that it is given, in builds without libFuzzer.
 */
#ifndef ADIT_TESTS_FUZZ_H
#define ADIT_TESTS_FUZZ_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** The target. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What must be so, whatever the input is. Says what it was instead, and ends the program as a crash would. */
#define FUZZ_CHECK(condition, format, ...)                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s: " format "\n", __FILE__, __LINE__, #condition, __VA_ARGS__);                 \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

/** Two numbers must be equal; says both. */
#define FUZZ_EQUAL(a, b) FUZZ_CHECK((a) == (b), "%" PRIdMAX " and %" PRIdMAX, (intmax_t)(a), (intmax_t)(b))

/** What is left of an input. */
struct fuzz_bytes {
  const uint8_t *at;
  size_t left;
};

/** The next number, in wire order; zero bytes follow the end. */
uint8_t fuzz_take8(struct fuzz_bytes *bytes);
uint16_t fuzz_take16(struct fuzz_bytes *bytes);
uint32_t fuzz_take32(struct fuzz_bytes *bytes);

/** The next `length` bytes, or as many as there are: `*length` says how many. Borrowed from the input. */
const uint8_t *fuzz_take(struct fuzz_bytes *bytes, size_t *length);

/** A copy in memory of its own, exactly so long, so that a read beyond the end is seen. For the caller to free(). */
uint8_t *fuzz_copy(const void *data, size_t length);

/** Room for the name of a file. */
enum { FUZZ_PATH = 64 };

/** A file in memory with that content. Returns its fd, for the caller to close, and how to open it by name in `path`. */
int fuzz_file(const void *data, size_t length, char path[FUZZ_PATH]);

#endif
