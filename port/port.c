/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground of a stack, laid and taken up: a copy of lwIP's variables, a netif, and lwIP started on them.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "state.h"

int adit_port_new(const struct adit_port_options *options, struct adit_port **port) {
  struct adit_port *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  size_t length = (size_t)(adit_port_image_end - adit_port_image);
  made->image = aligned_alloc(64, (length + 63) / 64 * 64);
  if (!made->image) goto free_port;
  memcpy(made->image, adit_port_image, length);
  made->options = *options;
  made->now_ns = options->now_ns;

  struct adit_port *outer = adit_port_enter(made);
  /* What lwip_init would call of the parts that are built; it cannot be compiled with a window that is no constant. */
  netif_init();
  tcp_init();
  u8_t slot = tcp_ext_arg_alloc_id();
  LWIP_ASSERT("the first one taken", slot == ADIT_PORT_EXTRA_SLOT);
  (void)slot;
  adit_port_netif_start(made);
  adit_port_leave(outer);
  *port = made;
  return 0;

free_port:
  free(made);
  return -ENOMEM;
}

void adit_port_delete(struct adit_port *port) {
  if (!port) return;
  struct adit_port *outer = adit_port_enter(port);
  port->options.output = NULL;
  while (tcp_listen_pcbs.pcbs) tcp_close(tcp_listen_pcbs.pcbs);
  adit_port_netif_stop(port);
  adit_port_leave(outer == port ? NULL : outer);
  adit_port_memory_release(port);
  free(port->image);
  sodium_memzero(port, sizeof *port);
  free(port);
}
