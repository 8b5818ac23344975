/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The ground of a stack: which one is current, its clock, its randomness.
 *
 * lwIP's variables stand in the linker section "lwip_stack" (arch/cc.h). That section is never written: adit_port_new
 * copies it, adit_port_enter sets the distance from the section to the copy, and lwIP works on the copy. Whoever calls
 * lwIP stands between adit_port_enter and adit_port_leave.
 *
 * All randomness is a keyed hash of a counter, so the secret decides a run: equal secrets, packets and times give equal
 * answers to the byte.
 */
#include "state.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "hooks.h"
#include "lwip/sys.h"

_Static_assert(sizeof((struct adit_port_options){0}.secret) == crypto_shorthash_KEYBYTES,
               "the secret is a SipHash key");

__thread ptrdiff_t adit_port_distance;
static __thread struct adit_port *current __attribute__((tls_model("initial-exec")));

struct adit_port *adit_port_current(void) {
  return current;
}

struct adit_port *adit_port_enter(struct adit_port *port) {
  struct adit_port *outer = current;
  adit_port_leave(port);
  return outer;
}

void adit_port_leave(struct adit_port *outer) {
  current = outer;
  adit_port_distance = outer ? outer->image - adit_port_image : 0;
}

void *adit_port_user(void) {
  return current->options.user;
}

uint64_t adit_port_now(void) {
  return current->now_ns;
}

uint64_t adit_port_time(const struct adit_port *port) {
  return port->now_ns;
}

void adit_port_set_now(struct adit_port *port, uint64_t now_ns) {
  port->now_ns = now_ns;
}

uint64_t adit_port_hash(const struct adit_port *port, uint8_t domain, const void *data, size_t length) {
  uint64_t key[2]; /* whole words, as they will be read */
  uint64_t hash;
  _Static_assert(sizeof key == crypto_shorthash_KEYBYTES, "of 128 bits");
  _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash-2-4 gives 64 bits");
  memcpy(key, port->options.secret, sizeof key);
  key[0] ^= domain;
  crypto_shorthash((unsigned char *)&hash, data, length, (const unsigned char *)key);
  return hash;
}

uint32_t adit_port_random(void) {
  uint64_t count = ++current->random_count;
  return (uint32_t)adit_port_hash(current, ADIT_HASH_RANDOM, &count, sizeof count);
}

void adit_port_next_isn(const uint32_t *isn) {
  current->next_isn = isn;
}

/* RFC 6528 section 3: ISN = M + F(local address and port, remote address and port, secret); M ticks every 4 us. */
u32_t adit_port_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port) {
  if (current->next_isn) return *current->next_isn;
  struct {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
  } tuple = {.local_port = local_port, .remote_port = remote_port};
  size_t length = IP_IS_V6(local) ? 16 : 4;
  memcpy(tuple.local, length == 16 ? (const void *)ip_2_ip6(local) : ip_2_ip4(local), length);
  memcpy(tuple.remote, length == 16 ? (const void *)ip_2_ip6(remote) : ip_2_ip4(remote), length);
  uint32_t clock = (uint32_t)(current->now_ns / 4000);
  return clock + (uint32_t)adit_port_hash(current, ADIT_HASH_ISN, &tuple, sizeof tuple);
}

uint32_t adit_port_window(void) {
  return current->options.window_bytes;
}

uint32_t adit_port_send_buffer(void) {
  return current->options.send_bytes;
}

/* As many as fill the window with 512 bytes each. */
uint16_t adit_port_out_of_order(void) {
  return (uint16_t)(current->options.window_bytes / 512);
}

/* A quarter of the window, but not more than two super-packets: a sender must not wait for the update. */
uint32_t adit_port_window_update(void) {
  return LWIP_MIN(current->options.window_bytes / 4, 128U * 1024U);
}

uint64_t adit_port_retransmissions(const struct adit_port *port) {
  return port->retransmissions;
}

uint64_t adit_port_old_segments(const struct adit_port *port) {
  return port->old_segments;
}

uint64_t adit_port_unstamped_segments(const struct adit_port *port) {
  return port->unstamped_segments;
}

void adit_port_attach(struct tcp_pcb *pcb, struct adit_port_extra *extra) {
  *extra = (struct adit_port_extra){0};
  tcp_ext_arg_set(pcb, ADIT_PORT_EXTRA_SLOT, extra);
}

u32_t sys_now(void) {
  return (u32_t)(current->now_ns / 1000000);
}

void adit_port_fail(const char *what, const char *file, int line) {
  fprintf(stderr, "adit: lwIP's state is broken: %s (%s:%d)\n", what, file, line);
  abort();
}

int adit_port_error(err_t err) {
  static const int errnos[] = {
      [-ERR_OK] = 0,
      [-ERR_MEM] = -ENOBUFS,
      [-ERR_BUF] = -ENOBUFS,
      [-ERR_TIMEOUT] = -ETIMEDOUT,
      [-ERR_RTE] = -EHOSTUNREACH,
      [-ERR_INPROGRESS] = -EINPROGRESS,
      [-ERR_VAL] = -EINVAL,
      [-ERR_WOULDBLOCK] = -EAGAIN,
      [-ERR_USE] = -EADDRINUSE,
      [-ERR_ALREADY] = -EALREADY,
      [-ERR_ISCONN] = -EISCONN,
      [-ERR_CONN] = -ENOTCONN,
      [-ERR_IF] = -EIO,
      [-ERR_ABRT] = -ETIMEDOUT, /* lwIP's word for a connection that it gave up */
      [-ERR_RST] = -ECONNRESET,
      [-ERR_CLSD] = 0, /* both sides ended in order */
      [-ERR_ARG] = -EINVAL,
  };
  _Static_assert(sizeof errnos / sizeof *errnos == -ERR_ARG + 1, "an errno for each of lwIP's errors");
  return err <= 0 && err >= ERR_ARG ? errnos[-err] : -EIO;
}
