/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams of a session that cannot go out yet.
 *
 * A session has room for one datagram of any size or for many small ones: what a client sends before it has heard an
 * answer. A worker has room for some hundred sessions that do so at the same time. The newest is dropped, not the
 * oldest: it is the one that will be repeated soonest.
 */
#include "relay/udp_wait.h"

#include <stdlib.h>
#include <string.h>

enum { SESSION_MOST = 72 * 1024, WORKER_MOST = 8 * 1024 * 1024 }; /* bytes */

void adit_udp_wait_put(struct adit_udp_sessions *all, struct adit_udp_wait *wait,
                       const struct adit_datagram *datagram) {
  size_t bytes = sizeof(struct adit_udp_waiting) + datagram->length;
  bool fits = wait->bytes + bytes <= SESSION_MOST && all->waiting_bytes + bytes <= WORKER_MOST;
  struct adit_udp_waiting *one = fits ? malloc(bytes) : NULL;
  if (!one) {
    adit_udp_drop(all);
    return;
  }
  one->next = NULL;
  one->local = datagram->local;
  one->ttl = datagram->ttl;
  one->length = 0;
  for (unsigned i = 0; i < datagram->iovcnt; i++) {
    memcpy(one->bytes + one->length, datagram->iov[i].iov_base, datagram->iov[i].iov_len);
    one->length += datagram->iov[i].iov_len;
  }
  struct adit_udp_waiting **end = &wait->first; /* bytes bound the way there */
  while (*end) end = &(*end)->next;
  *end = one;
  wait->bytes += bytes;
  all->waiting_bytes += bytes;
}

struct adit_udp_waiting *adit_udp_wait_take(struct adit_udp_sessions *all, struct adit_udp_wait *wait,
                                            const adit_ip *ip) {
  struct adit_udp_waiting **link = &wait->first;
  while (*link && ip && !adit_ip_equal((*link)->local.ip, *ip)) link = &(*link)->next;
  struct adit_udp_waiting *one = *link;
  if (!one) return NULL;
  *link = one->next;
  wait->bytes -= sizeof *one + one->length;
  all->waiting_bytes -= sizeof *one + one->length;
  return one;
}

void adit_udp_wait_drop(struct adit_udp_sessions *all, struct adit_udp_wait *wait) {
  struct adit_udp_waiting *one;
  while ((one = adit_udp_wait_take(all, wait, NULL)) != NULL) {
    adit_udp_drop(all);
    free(one);
  }
}

void adit_udp_wait_refuse(struct adit_udp_session *session, struct adit_udp_wait *wait, const adit_ip *ip) {
  const adit_ip nobody = {{0}, 0};
  struct adit_udp_waiting *one;
  while ((one = adit_udp_wait_take(session->all, wait, ip)) != NULL) {
    struct iovec iov = {one->bytes, one->length};
    adit_udp_drop(session->all);
    adit_stack_send_unreachable(session->all->relay->stack, one->local, session->client, ADIT_REFUSE_RESET, nobody,
                                &iov, 1);
    free(one);
  }
}
