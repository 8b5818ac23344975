/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From names to addresses, for an upstream that is direct: who waits for which name, and what is remembered.
 *
 * Why not getaddrinfo: it blocks, and its sockets would not be kept outside, so that with a default route into the
 * device its questions would come back to us and be answered with addresses that we made up.
 *
 * A look-up of a host is one struct entry, whoever waits for it; inquiry.c asks. What was found is remembered for as
 * long as the servers say, at most TTL_MOST_S: a page of a hundred objects asks once.
 *
 *   ENTRY_ASKING  its inquiry is under way; it has waiters, or they gave up
 *   ENTRY_KNOWN   has addresses until `expires_ns`; waiters, if any, are told by their own timers
 *
 * Timer, one a waiter: to be told of what was known already.
 *
 * /etc/hosts is not read: clients on this machine do so themselves before they ask.
 */
#include "relay/resolve.h"

#include "relay/inquiry.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECOND_NS UINT64_C(1000000000)

enum { TRY_MS = 2000, ROUNDS = 2, TTL_MOST_S = 300, ENTRIES = 1024, BUCKETS = 256 };
static_assert((int)ADIT_RESOLVE_FOUND == (int)ADIT_INQUIRY_FAMILIES * (int)ADIT_INQUIRY_MOST, "room for both");
enum entry_state { ENTRY_ASKING, ENTRY_KNOWN };

struct entry {
  struct adit_resolver *resolver;
  struct entry *next_in_bucket;
  struct entry *next; /* list of all, by age */
  struct entry *previous;
  enum entry_state state;
  uint64_t expires_ns;
  struct adit_resolve *waiters;
  struct adit_inquiry inquiry; /* and what it found */
  char host[ADIT_DNS_HOST];
};

struct adit_resolve {
  struct entry *entry;
  struct adit_resolve *next;
  struct adit_resolve *previous;
  const struct adit_resolve_events *events;
  void *user;
  unsigned version;
  struct adit_timer timer;
};

struct adit_resolver {
  struct adit_inquirer inquirer;
  struct entry *first; /* oldest */
  struct entry *last;
  struct entry *bucket[BUCKETS];
  unsigned count;
  uint8_t secret[crypto_shorthash_KEYBYTES];
};

static uint64_t now_of(const struct adit_resolver *resolver) {
  return adit_loop_now(resolver->inquirer.relay->loop);
}

static struct adit_timers *timers_of(const struct adit_resolver *resolver) {
  return adit_loop_timers(resolver->inquirer.relay->loop);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const struct adit_resolver *resolver, const char *host) {
  unsigned char hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, (const unsigned char *)host, strlen(host), resolver->secret);
  return hash[0] % BUCKETS;
}

static struct entry *find(const struct adit_resolver *resolver, const char *host) {
  struct entry *entry = resolver->bucket[bucket_of(resolver, host)];
  while (entry && strcmp(entry->host, host) != 0) entry = entry->next_in_bucket;
  return entry;
}

static void unlink_waiter(struct adit_resolve *resolve) {
  struct entry *entry = resolve->entry;
  assert((resolve->previous == NULL) == (entry->waiters == resolve));
  if (resolve->previous)
    resolve->previous->next = resolve->next;
  else
    entry->waiters = resolve->next;
  if (resolve->next) resolve->next->previous = resolve->previous;
  adit_timers_clear(timers_of(entry->resolver), &resolve->timer);
}

/* Nobody finds it any more. */
static void take_out(struct entry *entry) {
  struct adit_resolver *resolver = entry->resolver;
  adit_inquiry_stop(&entry->inquiry);
  struct entry **at = &resolver->bucket[bucket_of(resolver, entry->host)];
  while (*at != entry) at = &(*at)->next_in_bucket;
  *at = entry->next_in_bucket;
  assert((entry->previous == NULL) == (resolver->first == entry));
  if (entry->previous)
    entry->previous->next = entry->next;
  else
    resolver->first = entry->next;
  if (entry->next)
    entry->next->previous = entry->previous;
  else
    resolver->last = entry->previous;
  resolver->count--;
}

/* Nobody waits for it. */
static void forget(struct entry *entry) {
  take_out(entry);
  free(entry);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* Tell one waiter; it is gone afterwards. */
static void tell_found(struct adit_resolve *resolve) {
  const struct adit_inquiry *inquiry = &resolve->entry->inquiry;
  adit_ip addresses[ADIT_RESOLVE_FOUND];
  unsigned count = 0;
  unsigned preferred = resolve->version == 6 ? ADIT_INQUIRY_AAAA : ADIT_INQUIRY_A;
  for (unsigned i = 0; i < ADIT_INQUIRY_FAMILIES; i++) {
    unsigned family = i == 0 ? preferred : 1 - preferred;
    for (unsigned j = 0; j < inquiry->family[family].count; j++)
      addresses[count++] = inquiry->family[family].address[j];
  }
  const struct adit_resolve_events *events = resolve->events;
  void *user = resolve->user;
  unlink_waiter(resolve);
  free(resolve);
  events->found(user, addresses, count);
}

static void on_known(void *user, struct adit_timer *timer) {
  (void)timer;
  tell_found(user);
}

static void on_found(void *user) {
  struct entry *entry = user;
  struct adit_resolver *resolver = entry->resolver;
  uint32_t ttl_s = entry->inquiry.ttl_s;
  ttl_s = ttl_s < 1 ? 1 : ttl_s > TTL_MOST_S ? TTL_MOST_S : ttl_s;
  entry->state = ENTRY_KNOWN;
  entry->expires_ns = now_of(resolver) + ttl_s * SECOND_NS;
  for (struct adit_resolve *waiter = entry->waiters; waiter; waiter = waiter->next)
    (void)adit_timers_set(timers_of(resolver), &waiter->timer, now_of(resolver)); /* is set: only moved */
}

/* Those who hear of it may cancel others that wait for it, and may ask for the same host: that is a new entry. */
static void on_failed(void *user, bool exists, const char *why) {
  struct entry *entry = user;
  take_out(entry);
  while (entry->waiters) {
    struct adit_resolve *waiter = entry->waiters;
    assert(waiter->entry == entry);
    unlink_waiter(waiter);
    waiter->events->failed(waiter->user, exists, why);
    free(waiter);
  }
  free(entry);
}

/* ---- look-ups ---------------------------------------------------------------------------------------------------- */

/* Make room for one more. Returns whether there is. */
static bool make_room(struct adit_resolver *resolver) {
  struct entry *next;
  for (struct entry *entry = resolver->first; entry && resolver->count >= ENTRIES; entry = next) {
    next = entry->next;
    if (entry->state == ENTRY_KNOWN && !entry->waiters) forget(entry);
  }
  return resolver->count < ENTRIES;
}

static struct entry *add(struct adit_resolver *resolver, const char *host) {
  static const struct adit_inquiry_events events = {.found = on_found, .failed = on_failed};
  struct entry *entry = make_room(resolver) ? calloc(1, sizeof *entry) : NULL;
  if (!entry) return NULL;
  entry->resolver = resolver;
  memcpy(entry->host, host, strlen(host) + 1);
  if (adit_inquiry_start(&entry->inquiry, &resolver->inquirer, entry->host, &events, entry) != 0) {
    free(entry);
    return NULL;
  }
  size_t bucket = bucket_of(resolver, host);
  entry->next_in_bucket = resolver->bucket[bucket];
  resolver->bucket[bucket] = entry;
  entry->previous = resolver->last;
  if (resolver->last)
    resolver->last->next = entry;
  else
    resolver->first = entry;
  resolver->last = entry;
  resolver->count++;
  return entry;
}

int adit_resolve_start(struct adit_resolver *resolver, const char *host, unsigned version,
                       const struct adit_resolve_events *events, void *user, struct adit_resolve **resolve) {
  if (strlen(host) >= ADIT_DNS_HOST) return -ENAMETOOLONG;
  struct adit_resolve *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  struct entry *entry = find(resolver, host);
  if (entry && entry->state == ENTRY_KNOWN && !entry->waiters && entry->expires_ns <= now_of(resolver)) {
    forget(entry);
    entry = NULL;
  }
  if (!entry) entry = add(resolver, host);
  if (!entry) goto no_entry;
  *made = (struct adit_resolve){.entry = entry,
                                .events = events,
                                .user = user,
                                .version = version,
                                .timer = {.fire = on_known, .user = made},
                                .next = entry->waiters};
  uint64_t due_ns = entry->state == ENTRY_KNOWN ? now_of(resolver) : UINT64_MAX;
  if (adit_timers_set(timers_of(resolver), &made->timer, due_ns) != 0) goto no_entry;
  if (entry->waiters) entry->waiters->previous = made;
  entry->waiters = made;
  *resolve = made;
  return 0;

no_entry: /* an entry that was made goes on without anybody who waits, and is then remembered or forgotten */
  free(made);
  return -ENOMEM;
}

void adit_resolve_cancel(struct adit_resolve *resolve) {
  unlink_waiter(resolve);
  free(resolve);
}

/* ---- the resolver ------------------------------------------------------------------------------------------------ */

int adit_resolver_new(struct adit_relay *relay, const struct adit_nameservers *nameservers,
                      struct adit_resolver **resolver) {
  struct adit_resolver *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  struct adit_nameservers *whom = &made->inquirer.nameservers;
  made->inquirer.relay = relay;
  if (nameservers) *whom = *nameservers;
  if (whom->servers == 0) adit_nameservers_find(whom);
  if (whom->try_ms == 0) whom->try_ms = TRY_MS;
  if (whom->rounds == 0) whom->rounds = ROUNDS;
  if (getrandom(made->secret, sizeof made->secret, 0) != sizeof made->secret) {
    free(made);
    return -EIO;
  }
  *resolver = made;
  return 0;
}

bool adit_resolver_has_work(const struct adit_resolver *resolver) {
  return adit_inquirer_has_work(&resolver->inquirer);
}

void adit_resolver_free(struct adit_resolver *resolver) {
  if (!resolver) return;
  while (resolver->first) {
    struct entry *entry = resolver->first;
    assert(entry->resolver == resolver);
    while (entry->waiters) {
      assert(entry->waiters->entry == entry);
      adit_resolve_cancel(entry->waiters);
    }
    forget(entry);
  }
  adit_inquirer_free(&resolver->inquirer);
  free(resolver);
}
