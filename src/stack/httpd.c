/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * lwIP's httpd and its files.
 *
 * httpd parses the request and asks for a file by name (fs_open_custom); what it sends is read piece by piece
 * (fs_read_custom). Its files have lengths and positions of type int. Ours may be longer, so it is shown one that never
 * ends, and the true position is kept here; at the end the file's position is set to its length. The response's header is
 * the first part of the file (FS_FILE_FLAGS_HEADER_INCLUDED), so that its Content-Length is ours.
 */
#include "stack/httpd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lwip/apps/fs.h"
#include "lwip/apps/httpd.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/core.h"

enum { HEADER_MOST = 320 };

/* A file that is being sent. */
struct served {
  struct adit_httpd_file file;
  uint64_t position; /* in the header and, behind it, the body */
  size_t header_length;
  char header[HEADER_MOST];
};

static const char *reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {{200, "OK"}, {400, "Bad Request"}, {404, "Not Found"}, {500, "Internal Server Error"}};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].reason;
  return "Unknown";
}

/* httpd tries its list of index files for "/", "/index.shtml" first. */
static const char *asked_for(const char *name) {
  static const char index[] = "/index.";
  return strncmp(name, index, sizeof index - 1) == 0 ? "/" : name;
}

int fs_open_custom(struct fs_file *file, const char *name) {
  struct adit_stack *stack = adit_port_user();
  if (!tcp_input_pcb) return 0; /* requests are parsed as they arrive */
  const struct adit_flow *flow = tcp_ext_arg_get(tcp_input_pcb, stack->pcb_slot);
  struct served *served = adit_port_calloc(1, sizeof *served);
  if (!served) return 0;
  if (stack->httpd_content->open(stack->httpd_user, asked_for(name), flow->local, flow->remote, &served->file) != 0) {
    adit_port_free(served);
    return 0;
  }
  int length = snprintf(served->header, sizeof served->header,
                        "HTTP/1.1 %d %s\r\nServer: adit\r\nContent-Type: %s\r\nContent-Length: %" PRIu64
                        "\r\nConnection: close\r\n\r\n",
                        served->file.status, reason(served->file.status), served->file.type, served->file.length);
  served->header_length = length > 0 && length < HEADER_MOST ? (size_t)length : 0;
  *file = (struct fs_file){
      .len = INT_MAX,
      .pextension = served,
      .flags = FS_FILE_FLAGS_HEADER_INCLUDED | FS_FILE_FLAGS_CUSTOM,
  };
  return 1;
}

void fs_close_custom(struct fs_file *file) {
  struct served *served = file->pextension;
  if (served->file.close) served->file.close(served->file.handle);
  adit_port_free(served);
}

int fs_read_custom(struct fs_file *file, char *buffer, int count) {
  struct served *served = file->pextension;
  size_t most = (size_t)count;
  size_t done = 0;
  if (served->position < served->header_length) {
    done = LWIP_MIN(most, served->header_length - (size_t)served->position);
    memcpy(buffer, served->header + served->position, done);
    served->position += done;
  }
  uint64_t offset = served->position - served->header_length;
  if (done < most && offset < served->file.length) {
    size_t bytes = (size_t)LWIP_MIN((uint64_t)(most - done), served->file.length - offset);
    bytes = served->file.read(served->file.handle, offset, buffer + done, bytes);
    if (bytes == 0) served->file.length = offset;
    served->position += bytes;
    done += bytes;
  }
  if (served->position >= served->header_length + served->file.length) file->index = file->len;
  return done > 0 ? (int)done : FS_READ_EOF;
}

int adit_httpd_start(struct adit_stack *stack, const struct adit_httpd_content *content, void *user) {
  if (stack->httpd) return -EALREADY;
  struct adit_port *outer = adit_port_enter(stack->port);
  httpd_init();
  /* Listening pcbs are linked in front. */
  struct tcp_pcb_listen *listener = tcp_listen_pcbs.listen_pcbs;
  bool started = listener && listener != stack->listener;
  if (started) {
    tcp_ext_arg_set_callbacks((struct tcp_pcb *)listener, stack->pcb_slot, &adit_flow_callbacks);
    tcp_ext_arg_set((struct tcp_pcb *)listener, stack->pcb_slot, NULL);
    listener->local_port = 0; /* none: see syn.c */
    stack->httpd = listener;
    stack->httpd_content = content;
    stack->httpd_user = user;
  }
  adit_port_leave(outer);
  return started ? 0 : -ENOMEM;
}

int adit_httpd_accept(struct adit_flow *flow) {
  if (!flow->stack->httpd) return -EINVAL;
  int error = adit_flow_accept(flow);
  if (error) return error;
  flow->marks |= ADIT_MARK_HTTPD | ADIT_MARK_RELEASED;
  return 0;
}
