/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --dns fake: questions on port 53 are answered here, with addresses that stand for names.
 *
 * What a worker has of its own: the clients that ask, room for the name that adit_fake_name hands out, and, with a
 * direct upstream, a resolver (resolve.c), because then it is us who must find the true addresses; that one belongs to
 * the egress. The table (fake_names.c) is shared by all workers and belongs to whoever made the options.
 *
 * A worker that has begun to hand out addresses does not forget what they stand for when a reload ends it: clients keep
 * them for as long as an answer lives, and longer.
 */
#include "relay/dns_client.h"
#include "relay/fake_answer.h"
#include "relay/resolve.h"

#include <errno.h>
#include <stdlib.h>

struct adit_fake {
  struct adit_dns_clients *clients;
  struct adit_fake_names *names; /* borrowed */
  char host[ADIT_DNS_HOST];      /* what adit_fake_name handed out last */
};

static uint64_t now_of(const struct adit_relay *relay) {
  return adit_loop_now(relay->loop);
}

static void on_asked(struct adit_relay *relay, const struct adit_dns_asker *asker,
                     const struct adit_dns_question *question, const uint8_t *message, size_t length) {
  uint8_t answer[ADIT_FAKE_ANSWER_ROOM];
  (void)length;
  size_t answer_length = adit_fake_answer(relay->fake->names, now_of(relay), question, message, answer);
  adit_dns_reply(relay->fake->clients, asker, answer, answer_length);
}

static int make_fake(struct adit_relay *relay, struct adit_fake_names *names) {
  if (!names) return -EINVAL;
  struct adit_fake *fake = calloc(1, sizeof *fake);
  if (!fake) return -ENOMEM;
  fake->names = names;
  int error = adit_dns_clients_new(relay, on_asked, &fake->clients);
  if (error) {
    free(fake);
    return error;
  }
  relay->fake = fake;
  return 0;
}

int adit_fake_prepare(struct adit_relay *relay, struct adit_egress *egress) {
  const struct adit_nameservers nameservers = {.by = egress};
  int error = relay->fake ? 0 : make_fake(relay, egress->options->fake_names);
  if (!error && egress->options->upstream.kind == ADIT_UPSTREAM_DIRECT && !egress->resolver)
    error = adit_resolver_new(relay, &nameservers, &egress->resolver);
  return error;
}

void adit_fake_dismiss(struct adit_relay *relay) {
  adit_dns_clients_dismiss(relay->fake->clients);
}

void adit_fake_stop(struct adit_relay *relay) {
  for (struct adit_egress *egress = relay->egresses; egress; egress = egress->next) {
    adit_resolver_free(egress->resolver);
    egress->resolver = NULL;
  }
  adit_dns_clients_free(relay->fake->clients);
  free(relay->fake);
  relay->fake = NULL;
}

void adit_fake_datagram(struct adit_relay *relay, const struct adit_datagram *datagram) {
  adit_dns_clients_datagram(relay->fake->clients, datagram);
}

void adit_fake_syn(struct adit_relay *relay, struct adit_flow *flow) {
  adit_dns_clients_syn(relay->fake->clients, flow);
}

bool adit_fake_is_ours(const struct adit_relay *relay, adit_ip ip) {
  (void)relay;
  return adit_fake_names_covers(ip);
}

const char *adit_fake_name(const struct adit_relay *relay, adit_ip ip) {
  struct adit_fake *fake = relay->fake;
  return adit_fake_names_look(fake->names, adit_fake_names_number(ip), now_of(relay), true, fake->host) ? fake->host
                                                                                                        : NULL;
}

void adit_fake_hold(struct adit_relay *relay, adit_ip ip) {
  adit_fake_names_hold(relay->fake->names, adit_fake_names_number(ip));
}

void adit_fake_release(struct adit_relay *relay, adit_ip ip) {
  adit_fake_names_release(relay->fake->names, adit_fake_names_number(ip), now_of(relay));
}
