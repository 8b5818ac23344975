/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From names to addresses, for an upstream that is direct.
 *
 * Why not getaddrinfo: it blocks, and its sockets would not be kept outside, so that with a default route into the
 * device its questions would come back to us and be answered with addresses that we made up. For the same reason
 * answers with such addresses are not believed: somebody between us and the true servers asks through the device.
 *
 * A look-up of a host is one struct entry, whoever waits for it: A and AAAA are asked together over one UDP socket,
 * connected to one nameserver, with random ids. What is truncated to nothing is asked again over TCP (dns_line.c). A
 * server that does not answer, or says that it cannot (SERVFAIL, REFUSED), is followed by the next one, `rounds` times
 * around. What was found is remembered for as long as the servers say, at most TTL_MOST_S: a page of a hundred objects
 * asks once.
 *
 *   ENTRY_ASKING  its socket waits, its timer is set; it has waiters, or they gave up
 *   ENTRY_KNOWN   has addresses until `expires_ns`; waiters, if any, are told by their own timers
 *
 * Timers: one an entry, ENTRY_ASKING: the end of a try, or EXTRA_NS after one of the two families was found, so that a
 * server that never answers AAAA costs no more than that. One a waiter, to be told of what was known already.
 *
 * /etc/hosts is not read: clients on this machine do so themselves before they ask.
 */
#include "relay/resolve.h"

#include "relay/dns_line.h"
#include "relay/fake_names.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)
#define EXTRA_NS (250 * MILLISECOND_NS)

enum { TRY_MS = 2000, ROUNDS = 2, TTL_MOST_S = 300, ENTRIES = 1024, BUCKETS = 256, DNS_PORT = 53, WHY = 256 };
enum family { FAMILY_4, FAMILY_6, FAMILIES };
static_assert((int)ADIT_RESOLVE_FOUND == (int)FAMILIES * (int)ADIT_RESOLVE_MOST, "room for both");
enum entry_state { ENTRY_ASKING, ENTRY_KNOWN };

static const unsigned version_of[FAMILIES] = {4, 6};
static const unsigned type_of[FAMILIES] = {ns_t_a, ns_t_aaaa};

/* The socket of one try. Memory of its own, because its watch outlives it until the reap. */
struct query {
  struct adit_relay_socket socket; /* first member; its fd is owned while watched */
  struct entry *entry;
};

/* A question over TCP. The line always gives an answer, also when nobody waits for it any more. */
struct tcp_query {
  struct entry *entry; /* NULL when it is gone, or has tried on */
  enum family family;
};

struct entry {
  struct adit_resolver *resolver;
  struct entry *next_in_bucket;
  struct entry *next; /* list of all, by age */
  struct entry *previous;
  enum entry_state state;
  uint64_t expires_ns;
  struct adit_resolve *waiters;
  struct query *query;
  struct tcp_query *tcp[FAMILIES];
  struct adit_timer timer;
  unsigned tries;
  struct {
    uint16_t id;
    bool answered;
    unsigned count;
    adit_ip address[ADIT_RESOLVE_MOST];
  } family[FAMILIES];
  uint32_t ttl_s;
  bool looped; /* an answer had addresses that we made up */
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
  struct adit_relay *relay;
  struct adit_resolver_options options;
  struct adit_dns_line *line[ADIT_RESOLVE_SERVERS];
  struct entry *first; /* oldest */
  struct entry *last;
  struct entry *bucket[BUCKETS];
  unsigned count;
  uint8_t secret[crypto_shorthash_KEYBYTES];
};

static uint64_t now_of(const struct adit_resolver *resolver) {
  return adit_loop_now(resolver->relay->loop);
}

static struct adit_timers *timers_of(const struct adit_resolver *resolver) {
  return adit_loop_timers(resolver->relay->loop);
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

static void release(struct adit_watch *watch) {
  free(watch); /* the watch is the first member of the first member */
}

/* Nothing more is expected from the server that was asked. */
static void end_try(struct entry *entry) {
  struct query *query = entry->query;
  if (query) {
    int fd = query->socket.watch.fd;
    adit_loop_unwatch(entry->resolver->relay->loop, &query->socket.watch, release);
    close(fd);
    entry->query = NULL;
  }
  for (unsigned i = 0; i < FAMILIES; i++) {
    if (entry->tcp[i]) entry->tcp[i]->entry = NULL;
    entry->tcp[i] = NULL;
  }
  adit_timers_clear(timers_of(entry->resolver), &entry->timer);
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
  end_try(entry);
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
  const struct entry *entry = resolve->entry;
  adit_ip addresses[ADIT_RESOLVE_FOUND];
  unsigned count = 0;
  unsigned preferred = resolve->version == 6 ? FAMILY_6 : FAMILY_4;
  for (unsigned i = 0; i < FAMILIES; i++) {
    unsigned family = i == 0 ? preferred : 1 - preferred;
    for (unsigned j = 0; j < entry->family[family].count; j++) addresses[count++] = entry->family[family].address[j];
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

/* Those who hear of it may cancel others that wait for it, and may ask for the same host: that is a new entry. */
static void fail(struct entry *entry, bool exists, const char *why) {
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

static void next_try(struct entry *entry);

/* All that can be said was said: both families are answered, or one is and the other takes too long. */
static void finish(struct entry *entry) {
  char why[WHY];
  if (entry->family[FAMILY_4].count + entry->family[FAMILY_6].count > 0) {
    end_try(entry);
    entry->state = ENTRY_KNOWN;
    uint32_t ttl_s = entry->ttl_s < 1 ? 1 : entry->ttl_s > TTL_MOST_S ? TTL_MOST_S : entry->ttl_s;
    entry->expires_ns = now_of(entry->resolver) + ttl_s * SECOND_NS;
    for (struct adit_resolve *waiter = entry->waiters; waiter; waiter = waiter->next)
      (void)adit_timers_set(timers_of(entry->resolver), &waiter->timer,
                            now_of(entry->resolver)); /* is set: only moved */
    return;
  }
  if (entry->looped)
    snprintf(why, sizeof why,
             "the nameserver answers with addresses of --dns fake: its own questions go through the device; "
             "keep them out of it (--bypass), or use --dns forward:ADDRESS");
  else
    snprintf(why, sizeof why, "there is no such name, or it has no address");
  fail(entry, entry->looped, why);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void drop_looped(struct entry *entry, enum family family) {
  unsigned kept = 0;
  for (unsigned i = 0; i < entry->family[family].count; i++) {
    if (adit_fake_names_covers(entry->family[family].address[i]))
      entry->looped = true;
    else
      entry->family[family].address[kept++] = entry->family[family].address[i];
  }
  entry->family[family].count = kept;
}

static bool ask_by_tcp(struct entry *entry, enum family family);

/* An answer to the question of this family. May end the entry. */
static void take_answer(struct entry *entry, enum family family, const uint8_t *answer, size_t length, bool by_tcp) {
  struct adit_dns_found found;
  if (adit_dns_addresses(answer, length, version_of[family], entry->family[family].address, ADIT_RESOLVE_MOST,
                         &found) != 0)
    return; /* as if nothing had come */
  if (found.rcode != ns_r_noerror && found.rcode != ns_r_nxdomain) {
    next_try(entry);
    return;
  }
  if (found.truncated && found.count == 0 && !by_tcp && ask_by_tcp(entry, family)) return;
  entry->family[family].answered = true;
  entry->family[family].count = found.count;
  if (found.count > 0 && found.ttl_s < entry->ttl_s) entry->ttl_s = found.ttl_s;
  drop_looped(entry, family);
  enum family other = family == FAMILY_4 ? FAMILY_6 : FAMILY_4;
  if (entry->family[other].answered || found.rcode == ns_r_nxdomain) {
    finish(entry);
  } else if (entry->family[family].count > 0) {
    uint64_t due_ns = now_of(entry->resolver) + EXTRA_NS;
    if (due_ns < entry->timer.due_ns) (void)adit_timers_set(timers_of(entry->resolver), &entry->timer, due_ns);
  }
}

static void on_tcp_answer(void *user, uint8_t *answer, size_t length) {
  struct tcp_query *tcp = user;
  struct entry *entry = tcp->entry;
  enum family family = tcp->family;
  free(tcp);
  if (!entry) return;
  entry->tcp[family] = NULL;
  take_answer(entry, family, answer, length, true);
}

static void on_tcp_unanswered(void *user, enum adit_dns_unanswered why) {
  struct tcp_query *tcp = user;
  struct entry *entry = tcp->entry;
  (void)why;
  if (entry) entry->tcp[tcp->family] = NULL;
  free(tcp);
  if (entry) next_try(entry);
}

static const struct adit_dns_line_events tcp_events = {.answer = on_tcp_answer, .unanswered = on_tcp_unanswered};

static unsigned server_of(const struct entry *entry) {
  return (entry->tries - 1) % entry->resolver->options.servers;
}

/* Returns whether an answer will come. */
static bool ask_by_tcp(struct entry *entry, enum family family) {
  struct adit_resolver *resolver = entry->resolver;
  struct adit_dns_line **line = &resolver->line[server_of(entry)];
  if (entry->tcp[family]) return true;
  const struct adit_dns_line_options options = {.server = resolver->options.server[server_of(entry)],
                                                .try_ms = resolver->options.try_ms};
  if (!*line && adit_dns_line_new(resolver->relay, &options, line) != 0) return false;
  struct tcp_query *tcp = calloc(1, sizeof *tcp);
  if (!tcp) return false;
  *tcp = (struct tcp_query){entry, family};
  uint8_t query[ADIT_DNS_ASK_ROOM];
  size_t length = adit_dns_ask(entry->host, type_of[family], entry->family[family].id, query);
  struct adit_dns_question question;
  if (adit_dns_read(query, length, &question) != ADIT_DNS_ASKS ||
      adit_dns_line_ask(*line, query, length, question.end, &tcp_events, tcp) != 0) {
    free(tcp);
    return false;
  }
  entry->tcp[family] = tcp;
  /* A connection takes longer than a datagram. */
  (void)adit_timers_set(timers_of(resolver), &entry->timer,
                        now_of(resolver) + 2 * MILLISECOND_NS * resolver->options.try_ms);
  return true;
}

static void on_ready(struct adit_relay_socket *socket, uint32_t events) {
  struct query *query = (struct query *)socket; /* its first member */
  struct entry *entry = query->entry;
  (void)events;
  for (;;) {
    uint8_t answer[ADIT_DNS_EDNS + 4096]; /* some send more than they were told to */
    ssize_t got = recv(query->socket.watch.fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got < 0) { /* port unreachable and the like */
      next_try(entry);
      return;
    }
    if (got < ADIT_DNS_HEADER) continue;
    for (unsigned i = 0; i < FAMILIES; i++) {
      uint8_t asked[ADIT_DNS_ASK_ROOM];
      if (entry->family[i].answered || entry->family[i].id != ((unsigned)answer[0] << 8 | answer[1])) continue;
      size_t length = adit_dns_ask(entry->host, type_of[i], entry->family[i].id, asked);
      struct adit_dns_question question;
      if (adit_dns_read(asked, length, &question) != ADIT_DNS_ASKS ||
          !adit_dns_answers(asked, question.end, answer, (size_t)got))
        continue;
      take_answer(entry, (enum family)i, answer, (size_t)got, false);
      break;
    }
    /* The answer may have been the last one: the socket is no longer ours then, and the entry perhaps gone. */
    if (!query->socket.watch.watched) return;
  }
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

/* Ask the server whose turn it is. Returns 0 or a negative errno. */
static int ask(struct entry *entry) {
  struct adit_resolver *resolver = entry->resolver;
  adit_endpoint server = resolver->options.server[server_of(entry)];
  uint16_t id[FAMILIES];
  if (getrandom(id, sizeof id, 0) != sizeof id) return -EIO;
  if (id[FAMILY_4] == id[FAMILY_6]) id[FAMILY_6]++;
  struct query *query = calloc(1, sizeof *query);
  if (!query) return -ENOMEM;
  query->socket.ready = on_ready;
  query->entry = entry;
  int fd = adit_outside_socket(resolver->relay, server.ip.version == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  int error = fd < 0 ? fd : 0;
  if (error) goto no_socket;
  struct sockaddr_storage address;
  socklen_t length = adit_outside_sockaddr(server, &address);
  if (connect(fd, (struct sockaddr *)&address, length) < 0) {
    error = -errno;
    goto no_watch;
  }
  for (unsigned i = 0; i < FAMILIES; i++) {
    uint8_t bytes[ADIT_DNS_ASK_ROOM];
    entry->family[i].id = id[i];
    if (entry->family[i].answered) continue;
    size_t size = adit_dns_ask(entry->host, type_of[i], id[i], bytes);
    if (send(fd, bytes, size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
      error = -errno;
      goto no_watch;
    }
  }
  error = adit_loop_watch(resolver->relay->loop, &query->socket.watch, ADIT_WATCH_SOCKET, fd, EPOLLIN);
  if (error) goto no_watch;
  entry->query = query;
  return 0;

no_watch:
  close(fd);
no_socket:
  free(query);
  return error;
}

/* The next server, or the end. Not from within adit_resolve_start, since it may call. */
static void next_try(struct entry *entry) {
  struct adit_resolver *resolver = entry->resolver;
  end_try(entry);
  while (entry->tries < resolver->options.servers * resolver->options.rounds) {
    entry->tries++;
    if (ask(entry) != 0) continue;
    (void)adit_timers_set(timers_of(resolver), &entry->timer,
                          now_of(resolver) + resolver->options.try_ms * MILLISECOND_NS);
    return;
  }
  if (entry->family[FAMILY_4].count + entry->family[FAMILY_6].count > 0) {
    finish(entry);
    return;
  }
  char server[ADIT_ADDRESS_TEXT];
  char why[WHY];
  snprintf(why, sizeof why, "no answer from nameserver %s%s", adit_ip_format(resolver->options.server[0].ip, server),
           resolver->options.servers > 1 ? " and others" : "");
  fail(entry, true, why);
}

static void on_time(void *user, struct adit_timer *timer) {
  struct entry *entry = user;
  (void)timer;
  if (entry->family[FAMILY_4].count + entry->family[FAMILY_6].count > 0)
    finish(entry);
  else
    next_try(entry);
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
  struct entry *entry = make_room(resolver) ? calloc(1, sizeof *entry) : NULL;
  if (!entry) return NULL;
  entry->resolver = resolver;
  entry->ttl_s = UINT32_MAX;
  entry->timer = (struct adit_timer){.fire = on_time, .user = entry};
  memcpy(entry->host, host, strlen(host) + 1);
  /* Its first try begins with the timers of this turn. */
  if (adit_timers_set(timers_of(resolver), &entry->timer, now_of(resolver)) != 0) {
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

/* ---- nameservers ------------------------------------------------------------------------------------------------- */

unsigned adit_resolver_parse(const char *text, adit_endpoint server[ADIT_RESOLVE_SERVERS]) {
  unsigned count = 0;
  for (const char *line = text; line && *line && count < ADIT_RESOLVE_SERVERS;) {
    char word[ADIT_ADDRESS_TEXT];
    adit_ip ip;
    /* A zone ("fe80::1%eth0") is not understood: such a server is passed over. */
    if (sscanf(line, "nameserver%*[ \t]%55[^ \t\n#;]", word) == 1 && adit_ip_parse(word, &ip) == 0)
      server[count++] = (adit_endpoint){ip, DNS_PORT};
    line = strchr(line, '\n');
    if (line) line++;
  }
  return count;
}

static unsigned read_servers(const char *path, adit_endpoint server[ADIT_RESOLVE_SERVERS]) {
  char text[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  return adit_resolver_parse(text, server);
}

static void find_servers(struct adit_resolver_options *options) {
  static const uint8_t stub[4] = {127, 0, 0, 53};
  static const uint8_t here[4] = {127, 0, 0, 1};
  options->servers = read_servers("/etc/resolv.conf", options->server);
  if (options->servers == 1 && adit_ip_equal(options->server[0].ip, adit_ip_from_bytes(4, stub))) {
    adit_endpoint behind[ADIT_RESOLVE_SERVERS];
    unsigned servers = read_servers("/run/systemd/resolve/resolv.conf", behind);
    if (servers > 0) {
      memcpy(options->server, behind, sizeof behind);
      options->servers = servers;
    }
  }
  if (options->servers == 0) { /* what resolv.conf(5) says then */
    options->server[0] = (adit_endpoint){adit_ip_from_bytes(4, here), DNS_PORT};
    options->servers = 1;
  }
}

int adit_resolver_new(struct adit_relay *relay, const struct adit_resolver_options *options,
                      struct adit_resolver **resolver) {
  struct adit_resolver *made = calloc(1, sizeof *made);
  if (!made) return -ENOMEM;
  made->relay = relay;
  if (options) made->options = *options;
  if (made->options.servers == 0) find_servers(&made->options);
  if (made->options.try_ms == 0) made->options.try_ms = TRY_MS;
  if (made->options.rounds == 0) made->options.rounds = ROUNDS;
  if (getrandom(made->secret, sizeof made->secret, 0) != sizeof made->secret) {
    free(made);
    return -EIO;
  }
  *resolver = made;
  return 0;
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
  for (unsigned i = 0; i < ADIT_RESOLVE_SERVERS; i++) adit_dns_line_free(resolver->line[i]);
  free(resolver);
}
