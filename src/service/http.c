/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * HTTP, port 80: what adit_content_find finds, over lwIP's httpd.
 *
 * httpd asks for an answer, reads it piece by piece and closes it; an answer lives as long as that takes, in memory of
 * its own, also when the services are asked to stop meanwhile.
 */
#include "service/content.h"
#include "service/pattern.h"
#include "service/service.h"
#include "stack/httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t read_text(void *handle, uint64_t offset, void *buffer, size_t length) {
  const struct adit_content *content = handle;
  uint64_t left = offset < content->length ? content->length - offset : 0;
  size_t bytes = left < length ? (size_t)left : length;
  memcpy(buffer, content->text + (size_t)offset, bytes);
  return bytes;
}

static size_t read_pattern(void *handle, uint64_t offset, void *buffer, size_t length) {
  (void)handle; /* httpd asks for nothing beyond the length */
  size_t there;
  const uint8_t *bytes = adit_pattern_at(adit_pattern_bytes(), offset, &there);
  if (length > there) length = there;
  memcpy(buffer, bytes, length);
  return length;
}

static void close_content(void *handle) {
  struct adit_content *content = handle;
  adit_content_release(content);
  free(content);
}

static int open_content(void *user, const char *path, adit_endpoint local, adit_endpoint remote,
                        struct adit_httpd_file *file) {
  (void)user;
  struct adit_content *content = malloc(sizeof *content);
  if (!content) return -ENOMEM;
  int error = adit_content_find(path, local, remote, content);
  if (error) {
    free(content);
    return error;
  }
  *file = (struct adit_httpd_file){
      .status = content->status,
      .type = content->type,
      .length = content->length,
      .read = content->text ? read_text : read_pattern,
      .close = close_content,
      .handle = content,
  };
  return 0;
}

static const struct adit_httpd_content content_of_adit = {.open = open_content};

static int start(struct adit_services *services) {
  return adit_httpd_start(services->stack, &content_of_adit, NULL);
}

static int accept_flow(struct adit_services *services, struct adit_flow *flow) {
  (void)services;
  return adit_httpd_accept(flow);
}

const struct adit_service adit_service_http = {.port = 80, .name = "http", .start = start, .accept = accept_flow};
