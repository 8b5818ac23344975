/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The table of names and the addresses that stand for them.
 *
 * A name has a number, and the number two addresses: 198.18.0.0 plus the number, and fd00:198:18:: plus the number. So
 * a name has the same number whichever family is asked for, and one table serves both.
 *
 * One table for all workers, under a lock: the kernel spreads a client's datagrams and connections over the queues, so
 * that the worker that answers the question is mostly not the one that gets the connection. The lock is taken for a
 * question, for the begin and end of a flow, and for a datagram to a name; never for a segment.
 *
 * When is a number given to another name? Only when no number is left, and then the one that has not been used for the
 * longest time, and only if
 *   nobody holds it (adit_fake_names_hold), and
 *   its last use, an answer, a look-up or a release, is ADIT_FAKE_RESERVED_S past.
 * So a client that got an answer can act on it for as long as the answer is valid. Names that are not held are in the
 * list `first`..`last` in the order of their last use; each use reserves for the same time, so the first one is also
 * the first whose reservation ends, and a look at it tells whether there is any. (Clocks of workers differ by a turn of
 * their loops; then that look errs on the safe side, for as long.)
 *
 * Numbers begin at a random place and go round: after a restart without a file, an address that a client still
 * remembers from before is most likely nobody's, and is refused, instead of leading to another name.
 *
 * The file: fake_cache.c.
 */
#include "relay/fake_table.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECOND_NS UINT64_C(1000000000)

enum { BUCKETS_FIRST = 64 };

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static const uint8_t prefix6[6] = {0xfd, 0x00, 0x01, 0x98, 0x00, 0x18};
enum { FIRST4 = 198, SECOND4 = 18 };

bool adit_fake_names_covers(adit_ip ip) {
  if (ip.version == 4) return ip.bytes[0] == FIRST4 && (ip.bytes[1] & 0xfe) == SECOND4;
  return ip.version == 6 && memcmp(ip.bytes, prefix6, sizeof prefix6) == 0;
}

uint32_t adit_fake_names_number(adit_ip ip) {
  if (!adit_fake_names_covers(ip)) return 0;
  uint64_t number = 0;
  if (ip.version == 4)
    number = (uint64_t)(ip.bytes[1] & 1) << 16 | (uint64_t)ip.bytes[2] << 8 | ip.bytes[3];
  else {
    for (unsigned i = sizeof prefix6; i < 12; i++)
      if (ip.bytes[i] != 0) return 0;
    for (unsigned i = 12; i < 16; i++) number = number << 8 | ip.bytes[i];
  }
  return number > ADIT_FAKE_MOST ? 0 : (uint32_t)number;
}

adit_ip adit_fake_names_address(uint32_t number, unsigned version) {
  uint8_t bytes[16] = {0};
  uint8_t *low;
  if (version == 4) {
    bytes[0] = FIRST4;
    bytes[1] = (uint8_t)(SECOND4 + (number >> 16));
    low = bytes + 2;
  } else {
    memcpy(bytes, prefix6, sizeof prefix6);
    bytes[13] = (uint8_t)(number >> 16);
    low = bytes + 14;
  }
  low[0] = (uint8_t)(number >> 8);
  low[1] = (uint8_t)number;
  return adit_ip_from_bytes(version, bytes);
}

/* ---- the table; all with the lock held --------------------------------------------------------------------------- */

static size_t bucket_of(const struct adit_fake_names *names, const char *host) {
  uint64_t hash;
  static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash-2-4");
  crypto_shorthash((unsigned char *)&hash, (const unsigned char *)host, strlen(host), names->secret);
  return (size_t)(hash & (names->buckets - 1));
}

static struct adit_fake_name *find(const struct adit_fake_names *names, const char *host) {
  struct adit_fake_name *name = names->bucket[bucket_of(names, host)];
  while (name && strcmp(name->host, host) != 0) name = name->next_in_bucket;
  return name;
}

/* Twice as many buckets. Without memory it stays as it is, only slower. */
static void grow(struct adit_fake_names *names) {
  struct adit_fake_name **bucket = calloc(names->buckets * 2, sizeof *bucket);
  if (!bucket) return;
  struct adit_fake_name **old = names->bucket;
  size_t old_buckets = names->buckets;
  names->bucket = bucket;
  names->buckets *= 2;
  for (size_t i = 0; i < old_buckets; i++) {
    for (struct adit_fake_name *name = old[i], *next; name; name = next) {
      next = name->next_in_bucket;
      size_t to = bucket_of(names, name->host);
      name->next_in_bucket = bucket[to];
      bucket[to] = name;
    }
  }
  free(old);
}

static void unlink_name(struct adit_fake_names *names, struct adit_fake_name *name) {
  assert((name->previous == NULL) == (names->first == name));
  if (name->previous)
    name->previous->next = name->next;
  else
    names->first = name->next;
  if (name->next)
    name->next->previous = name->previous;
  else
    names->last = name->previous;
}

static void link_name(struct adit_fake_names *names, struct adit_fake_name *name) {
  name->next = NULL;
  name->previous = names->last;
  if (names->last)
    names->last->next = name;
  else
    names->first = name;
  names->last = name;
}

/* It is used now. */
static void use(struct adit_fake_names *names, struct adit_fake_name *name, uint64_t now_ns) {
  name->reserved_ns = now_ns + ADIT_FAKE_RESERVED_S * SECOND_NS;
  if (name->holds > 0) return;
  unlink_name(names, name);
  link_name(names, name);
}

static void forget(struct adit_fake_names *names, struct adit_fake_name *name) {
  struct adit_fake_name **at = &names->bucket[bucket_of(names, name->host)];
  while (*at != name) at = &(*at)->next_in_bucket;
  *at = name->next_in_bucket;
  unlink_name(names, name);
  names->by_number[name->number] = NULL;
  names->count--;
  free(name);
}

static bool is_excepted(const struct adit_fake_names *names, uint32_t number) {
  for (size_t i = 0; i < names->excepts; i++)
    if (names->except[i] == number) return true;
  return false;
}

/* A number that is nobody's, or that of the name that has not been used for longest. Returns 0 when there is none. */
static uint32_t free_number(struct adit_fake_names *names, uint64_t now_ns) {
  if (names->count + names->excepts < names->size) {
    while (names->by_number[names->cursor] || is_excepted(names, names->cursor))
      names->cursor = names->cursor % names->size + 1;
    return names->cursor;
  }
  struct adit_fake_name *oldest = names->first;
  if (!oldest || oldest->reserved_ns > now_ns) return 0;
  uint32_t number = oldest->number;
  forget(names, oldest);
  return number;
}

struct adit_fake_name *adit_fake_table_add(struct adit_fake_names *names, const char *host, uint32_t number) {
  size_t length = strlen(host) + 1;
  struct adit_fake_name *name = calloc(1, sizeof *name + length);
  if (!name) return NULL;
  memcpy(name->host, host, length);
  name->number = number;
  if (names->count >= names->buckets) grow(names);
  size_t bucket = bucket_of(names, host);
  name->next_in_bucket = names->bucket[bucket];
  names->bucket[bucket] = name;
  names->by_number[number] = name;
  names->count++;
  link_name(names, name);
  return name;
}

bool adit_fake_table_is_free(const struct adit_fake_names *names, const char *host, uint32_t number) {
  return number > 0 && number <= names->size && !names->by_number[number] && !is_excepted(names, number) &&
         !find(names, host);
}

void adit_fake_table_clear(struct adit_fake_names *names) {
  while (names->first) forget(names, names->first);
}

void adit_fake_table_use(struct adit_fake_names *names, struct adit_fake_name *name, uint64_t now_ns) {
  use(names, name, now_ns);
}

/* ---- from any thread --------------------------------------------------------------------------------------------- */

int adit_fake_names_take(struct adit_fake_names *names, const char *host, uint64_t now_ns, uint32_t *number) {
  int error = 0;
  pthread_mutex_lock(&names->lock);
  struct adit_fake_name *name = find(names, host);
  if (!name) {
    uint32_t number_free = free_number(names, now_ns);
    name = number_free ? adit_fake_table_add(names, host, number_free) : NULL;
    error = name ? 0 : number_free ? -ENOMEM : -ENOSPC;
    if (name) names->changed = true;
  }
  if (name) {
    use(names, name, now_ns);
    *number = name->number;
  }
  pthread_mutex_unlock(&names->lock);
  return error;
}

bool adit_fake_names_look(struct adit_fake_names *names, uint32_t number, uint64_t now_ns, bool reserve,
                          char host[ADIT_DNS_HOST]) {
  if (number == 0 || number > names->size) return false;
  pthread_mutex_lock(&names->lock);
  struct adit_fake_name *name = names->by_number[number];
  if (name) memcpy(host, name->host, strlen(name->host) + 1);
  if (name && reserve) use(names, name, now_ns);
  pthread_mutex_unlock(&names->lock);
  return name != NULL;
}

void adit_fake_names_hold(struct adit_fake_names *names, uint32_t number) {
  if (number == 0 || number > names->size) return;
  pthread_mutex_lock(&names->lock);
  struct adit_fake_name *name = names->by_number[number];
  if (name && name->holds++ == 0) unlink_name(names, name);
  pthread_mutex_unlock(&names->lock);
}

void adit_fake_names_release(struct adit_fake_names *names, uint32_t number, uint64_t now_ns) {
  if (number == 0 || number > names->size) return;
  pthread_mutex_lock(&names->lock);
  struct adit_fake_name *name = names->by_number[number];
  if (name && name->holds > 0 && --name->holds == 0) {
    link_name(names, name);
    use(names, name, now_ns);
  }
  pthread_mutex_unlock(&names->lock);
}

uint32_t adit_fake_names_count(struct adit_fake_names *names) {
  pthread_mutex_lock(&names->lock);
  uint32_t count = names->count;
  pthread_mutex_unlock(&names->lock);
  return count;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int add_excepts(struct adit_fake_names *names, const struct adit_fake_options *options) {
  names->except = calloc(options->excepts ? options->excepts : 1, sizeof *names->except);
  if (!names->except) return -ENOMEM;
  for (size_t i = 0; i < options->excepts; i++) {
    uint32_t number = adit_fake_names_number(options->except[i]);
    if (number > 0 && number <= names->size && !is_excepted(names, number)) names->except[names->excepts++] = number;
  }
  return 0;
}

int adit_fake_names_new(const struct adit_fake_options *options, struct adit_fake_names **names) {
  if (options->size > ADIT_FAKE_MOST) return -EINVAL;
  struct adit_fake_names *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->size = options->size ? options->size : ADIT_FAKE_MOST;
  made->cache = options->cache;
  made->log = options->log;
  made->buckets = BUCKETS_FIRST;
  uint32_t random = 0;
  int error = -ENOMEM;
  if (getrandom(made->secret, sizeof made->secret, 0) != sizeof made->secret ||
      getrandom(&random, sizeof random, 0) != sizeof random) {
    error = errno ? -errno : -EIO;
    goto no_random;
  }
  made->cursor = random % made->size + 1;
  made->bucket = calloc(made->buckets, sizeof(struct adit_fake_name *));
  if (!made->bucket) goto no_bucket;
  made->by_number = calloc((size_t)made->size + 1, sizeof(struct adit_fake_name *));
  if (!made->by_number) goto no_numbers;
  error = add_excepts(made, options);
  if (error) goto no_excepts;
  error = -pthread_mutex_init(&made->lock, NULL);
  if (error) goto no_lock;
  error = -pthread_mutex_init(&made->file, NULL);
  if (error) goto no_file;
  adit_fake_cache_read(made, options->now_ns);
  error = adit_fake_cache_start(made);
  if (error) goto no_writer;
  *names = made;
  return 0;

no_writer:
  adit_fake_table_clear(made);
  pthread_mutex_destroy(&made->file);
no_file:
  pthread_mutex_destroy(&made->lock);
no_lock:
  free(made->except);
no_excepts:
  free(made->by_number);
no_numbers:
  free(made->bucket);
no_bucket:
no_random:
  free(made);
  return error;
}

void adit_fake_names_free(struct adit_fake_names *names) {
  if (!names) return;
  adit_fake_cache_stop(names);
  for (uint32_t number = 1; number <= names->size; number++) free(names->by_number[number]);
  pthread_mutex_destroy(&names->file);
  pthread_mutex_destroy(&names->lock);
  free(names->except);
  free(names->by_number);
  free(names->bucket);
  free(names);
}
