/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --dns forward: whatever is asked on port 53, of whomever, is answered by one server.
 *
 * Questions of all clients, over UDP and TCP, go over one line (dns_line.c) through the upstream, so that a question
 * costs no connection and no UDP association, and nothing on port 53 goes elsewhere. The server's answer is handed on
 * as it is, the id restored; over UDP it is shortened to what the client takes, which then asks again over TCP.
 *
 * A client that repeats a question over UDP, because it is impatient, waits with the first one. A question that cannot
 * be answered gets SERVFAIL; one that is dropped because there are too many gets nothing over UDP, so that the client
 * tries again, and SERVFAIL over TCP, where it would not.
 *
 * A line belongs to an egress: after a reload what was asked before is still answered over the old line, and the next
 * question, also of a client over TCP that stays, goes over the new one.
 *
 * Not handed on: zone transfers, whose many messages would share the line with everybody's (REFUSED), and stateful
 * operations, which are about a connection (NOTIMP).
 */
#include "relay/dns_client.h"
#include "relay/dns_line.h"
#include "relay/dns_message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A question under way. */
struct forwarded {
  struct adit_dns *dns;
  struct adit_egress *egress; /* one reference, for its line */
  struct forwarded *next;
  struct forwarded *previous;
  struct adit_dns_asker asker;
  size_t length;   /* of `query` */
  uint8_t query[]; /* for the answer that we give when the server gives none */
};

struct adit_dns {
  struct adit_relay *relay;
  struct adit_dns_clients *clients;
  struct forwarded *first;
};

static void fail(struct adit_dns *dns, const struct adit_dns_asker *asker, const uint8_t *query, size_t length,
                 unsigned rcode) {
  struct adit_dns_question question;
  uint8_t answer[ADIT_DNS_FAILURE_ROOM];
  bool asks = adit_dns_read(query, length, &question) == ADIT_DNS_ASKS;
  adit_dns_reply(dns->clients, asker, answer, adit_dns_failure(query, asks ? &question : NULL, rcode, answer));
}

static void forget(struct forwarded *forwarded) {
  if (forwarded->previous)
    forwarded->previous->next = forwarded->next;
  else
    forwarded->dns->first = forwarded->next;
  if (forwarded->next) forwarded->next->previous = forwarded->previous;
  adit_egress_release(forwarded->egress);
  free(forwarded);
}

static void on_answer(void *user, uint8_t *answer, size_t length) {
  struct forwarded *forwarded = user;
  adit_dns_reply(forwarded->dns->clients, &forwarded->asker, answer, length);
  forget(forwarded);
}

static void on_unanswered(void *user, enum adit_dns_unanswered why) {
  struct forwarded *forwarded = user;
  struct adit_dns *dns = forwarded->dns;
  if (why == ADIT_DNS_DROPPED) dns->relay->stats.dns_dropped++;
  if (why == ADIT_DNS_DROPPED && !forwarded->asker.client)
    adit_dns_reply(dns->clients, &forwarded->asker, NULL, 0);
  else
    fail(dns, &forwarded->asker, forwarded->query, forwarded->length, ns_r_servfail);
  forget(forwarded);
}

static const struct adit_dns_line_events line_events = {.answer = on_answer, .unanswered = on_unanswered};

static bool same_endpoint(adit_endpoint a, adit_endpoint b) {
  return a.port == b.port && adit_ip_equal(a.ip, b.ip);
}

/* Whether the very same datagram is being answered already. */
static bool is_repeated(const struct adit_dns *dns, const struct adit_dns_asker *asker, const uint8_t *message,
                        size_t length) {
  if (asker->client) return false;
  for (const struct forwarded *other = dns->first; other; other = other->next) {
    if (!other->asker.client && other->length == length && same_endpoint(other->asker.remote, asker->remote) &&
        same_endpoint(other->asker.local, asker->local) && memcmp(other->query, message, length) == 0)
      return true;
  }
  return false;
}

static void on_asked(struct adit_relay *relay, const struct adit_dns_asker *asker,
                     const struct adit_dns_question *question, const uint8_t *message, size_t length) {
  struct adit_dns *dns = relay->dns;
  if (question->opcode == ADIT_DNS_OPCODE_DSO) {
    fail(dns, asker, message, length, ns_r_notimpl);
    return;
  }
  if (question->opcode == ns_o_query && (question->type == ns_t_axfr || question->type == ns_t_ixfr)) {
    fail(dns, asker, message, length, ns_r_refused);
    return;
  }
  if (is_repeated(dns, asker, message, length)) return;
  struct adit_dns_line *line = relay->egress->line;
  struct forwarded *forwarded = line ? malloc(sizeof *forwarded + length) : NULL;
  if (!forwarded) goto not_made;
  *forwarded = (struct forwarded){.dns = dns, .egress = relay->egress, .asker = *asker, .length = length};
  memcpy(forwarded->query, message, length);
  if (adit_dns_line_ask(line, message, length, question->end, &line_events, forwarded) != 0) goto not_asked;
  adit_egress_hold(relay->egress);
  /* Only now: asking may have dropped, and forgotten, others of this list. */
  forwarded->next = dns->first;
  if (dns->first) dns->first->previous = forwarded;
  dns->first = forwarded;
  return;

not_asked:
  free(forwarded);
not_made: /* no memory; or it was read just as questions ceased to be forwarded */
  relay->stats.dns_dropped++;
  fail(dns, asker, message, length, ns_r_servfail);
}

static int make_dns(struct adit_relay *relay) {
  struct adit_dns *dns = calloc(1, sizeof *dns);
  if (!dns) return -ENOMEM;
  dns->relay = relay;
  int error = adit_dns_clients_new(relay, on_asked, &dns->clients);
  if (error) {
    free(dns);
    return error;
  }
  relay->dns = dns;
  return 0;
}

int adit_dns_prepare(struct adit_relay *relay, struct adit_egress *egress) {
  const struct adit_dns_line_options options = {.server = egress->options->dns_server, .by = egress};
  int error = relay->dns ? 0 : make_dns(relay);
  if (!error && !egress->line) error = adit_dns_line_new(relay, &options, &egress->line);
  return error;
}

void adit_dns_dismiss(struct adit_relay *relay) {
  adit_dns_clients_dismiss(relay->dns->clients);
}

void adit_dns_datagram(struct adit_relay *relay, const struct adit_datagram *datagram) {
  adit_dns_clients_datagram(relay->dns->clients, datagram);
}

void adit_dns_syn(struct adit_relay *relay, struct adit_flow *flow) {
  adit_dns_clients_syn(relay->dns->clients, flow);
}

void adit_dns_stop(struct adit_relay *relay) {
  struct adit_dns *dns = relay->dns;
  for (struct adit_egress *egress = relay->egresses; egress; egress = egress->next) {
    adit_dns_line_free(egress->line); /* what it still owes an answer is told so, and replied to */
    egress->line = NULL;
  }
  adit_dns_clients_free(dns->clients);
  free(dns);
  relay->dns = NULL;
}
