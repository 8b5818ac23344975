/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What there is to be fetched over HTTP: an index page, /bytes/N, and a page for everything else.
 */
#ifndef ADIT_SERVICE_CONTENT_H
#define ADIT_SERVICE_CONTENT_H

#include <adit/address.h>

/** One answer. Either a text, or `length` bytes of adit_pattern_bytes. */
struct adit_content {
  int status;       /**< 200, 400 or 404 */
  const char *type; /**< media type; static */
  uint64_t length;  /**< bytes of the body */
  char *text;       /**< the body, owned by the struct; NULL = the pattern */
};

/**
 * Find what `path` (with or without a query) names, for a client `remote` that asked `local`.
 * Returns 0 and `*content`, to be given to adit_content_release; for a path that is nothing the page that says so. Or
 * -ENOMEM.
 */
int adit_content_find(const char *path, adit_endpoint local, adit_endpoint remote, struct adit_content *content);

/** Free the text. */
void adit_content_release(struct adit_content *content);

/**
 * Read the size in /bytes/N: a decimal number up to 2^63 - 1, or a number with K, M, G or T (units of 1024, in either
 * case) behind it. Returns 0, or -EINVAL, or -ERANGE when it is larger than that.
 */
int adit_content_size(const char *text, size_t length, uint64_t *size);

#endif
