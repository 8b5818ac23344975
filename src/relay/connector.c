/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One connection through the upstream, from nothing to "the far end has answered".
 *
 *   STAGE_NAME   the target is a name and there is no proxy that resolves it: the addresses of the name are looked up
 *   STAGE_TCP    connect() is under way, to the target (direct) or to the proxy
 *   STAGE_TALK   the proxy has been asked; its answer is awaited (talk.c)
 *   STAGE_FAILED what is wrong is known and will be told by the timer, since no event may come from within the start
 *
 * Timer, one an attempt: `deadline_ns`, or before it the end of an address of several (NEXT_NS).
 *
 * Lifetimes: a struct adit_connect lives until it calls one of its events, or is cancelled. Its socket's watch must
 * outlive it until the loop's reap, so it is a thing of its own (struct attempt).
 */
#include "relay/resolve.h"
#include "relay/state.h"
#include "relay/talk.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MILLISECOND_NS UINT64_C(1000000)
/* How long an address of a name may be silent when there is another one. */
#define NEXT_NS (2500 * MILLISECOND_NS)

enum { CONNECT_MS = 10000, TRIAL_MS = 2000, WHY = 256 };

enum stage { STAGE_NAME, STAGE_TCP, STAGE_TALK, STAGE_FAILED };

/* What a client is to see. */
struct verdict {
  enum adit_refusal how;
  bool silent;
};

struct attempt {
  struct adit_relay_socket socket; /* first member */
  struct adit_connect *connect;
};

struct adit_connect {
  struct adit_relay *relay;
  struct adit_egress *egress; /* one reference */
  const struct adit_connect_events *events;
  void *user;              /* for `events` */
  struct attempt *attempt; /* its fd is owned; NULL in STAGE_FAILED */
  struct adit_timer timer;
  uint64_t deadline_ns;
  enum stage stage;
  int error;                  /* STAGE_FAILED: why */
  bool trial;                 /* SOCKS5: nobody's but our own, to find out whether all at once works */
  struct adit_own_socket own; /* STAGE_TCP: the socket, for who asks whether a SYN is ours */
  bool associate;             /* SOCKS5: UDP ASSOCIATE */
  adit_endpoint endpoint;
  struct adit_resolve *resolve;       /* STAGE_NAME */
  adit_ip others[ADIT_RESOLVE_FOUND]; /* direct, to a name: its addresses that have not been tried */
  unsigned other_count;
  char name[ADIT_URL_HOST]; /* empty = none */
  struct adit_talk talk;    /* STAGE_TALK; may hold a password */
};

static enum adit_upstream_kind kind_of(const struct adit_connect *connect) {
  return connect->egress->options->upstream.kind;
}

static bool is_direct(const struct adit_connect *connect) {
  return kind_of(connect) == ADIT_UPSTREAM_DIRECT;
}

static uint64_t now_of(const struct adit_connect *connect) {
  return adit_loop_now(connect->relay->loop);
}

static uint32_t patience_ms(const struct adit_egress *egress) {
  return egress->options->connect_ms ? egress->options->connect_ms : CONNECT_MS;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* Let the attempt go. Returns its watch, which is then the caller's, or NULL. */
static struct adit_watch *detach(struct adit_connect *connect) {
  struct attempt *attempt = connect->attempt;
  if (!attempt) return NULL;
  adit_own_forget(&connect->own);
  connect->attempt = NULL;
  return &attempt->socket.watch;
}

static void end_attempt(struct adit_connect *connect) {
  struct adit_watch *watch = detach(connect);
  if (watch) adit_loop_close(connect->relay->loop, watch, adit_watch_free);
}

static void destroy(struct adit_connect *connect) {
  if (connect->resolve) adit_resolve_cancel(connect->resolve);
  end_attempt(connect);
  adit_timers_clear(adit_loop_timers(connect->relay->loop), &connect->timer);
  adit_talk_wipe(&connect->talk);
  adit_egress_release(connect->egress);
  free(connect);
}

static void fail(struct adit_connect *connect, struct verdict verdict, const char *why) {
  const struct adit_connect_events *events = connect->events;
  void *user = connect->user;
  destroy(connect);
  events->failed(user, verdict.how, verdict.silent, why);
}

/* The upstream itself is at fault, whatever the target: that is worth a message. */
static void fail_upstream(struct adit_connect *connect, enum adit_refusal how, const char *why) {
  struct adit_relay *relay = connect->relay;
  char name[ADIT_URL_HOST + 32];
  if (!connect->trial)
    adit_log_limited(relay->log, &relay->upstream_limit, now_of(connect), ADIT_LOG_WARNING, 0, "upstream %s: %s",
                     adit_upstream_format(&connect->egress->options->upstream, name), why);
  fail(connect, (struct verdict){how, false}, why);
}

static void succeed(struct adit_connect *connect) {
  const struct adit_connect_events *events = connect->events;
  void *user = connect->user;
  bool associate = connect->associate;
  adit_endpoint bound = associate ? connect->talk.codec.socks5.bound : connect->endpoint;
  struct adit_watch *watch = detach(connect);
  destroy(connect);
  if (associate)
    events->associated(user, watch, bound);
  else
    events->done(user, watch);
}

/* ---- errno to what the client sees ------------------------------------------------------------------------------- */

static struct verdict verdict_of(int error) {
  static const struct {
    int error;
    struct verdict verdict;
  } table[] = {
      {ECONNREFUSED, {ADIT_REFUSE_RESET, false}},
      {ECONNRESET, {ADIT_REFUSE_RESET, false}},
      {EPIPE, {ADIT_REFUSE_RESET, false}},
      {EHOSTUNREACH, {ADIT_REFUSE_HOST_UNREACHABLE, false}},
      {EHOSTDOWN, {ADIT_REFUSE_HOST_UNREACHABLE, false}},
      {ENONET, {ADIT_REFUSE_HOST_UNREACHABLE, false}},
      {ENETUNREACH, {ADIT_REFUSE_NET_UNREACHABLE, false}},
      {ENETDOWN, {ADIT_REFUSE_NET_UNREACHABLE, false}},
      {EAFNOSUPPORT, {ADIT_REFUSE_NET_UNREACHABLE, false}},
      {EADDRNOTAVAIL, {ADIT_REFUSE_NET_UNREACHABLE, false}}, /* no address of that family, or no port left */
      {EACCES, {ADIT_REFUSE_PROHIBITED, false}},
      {EPERM, {ADIT_REFUSE_PROHIBITED, false}},
      {ETIMEDOUT, {ADIT_REFUSE_HOST_UNREACHABLE, true}}, /* nobody answers, so nobody answers here */
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].error == error) return table[i].verdict;
  return (struct verdict){ADIT_REFUSE_HOST_UNREACHABLE, false};
}

static bool try_next_address(struct adit_connect *connect);

/* `error`, positive, ended the attempt at TCP. */
static void fail_by_errno(struct adit_connect *connect, int error) {
  char why[WHY];
  if (kind_of(connect) == ADIT_UPSTREAM_REJECT) {
    fail(connect, (struct verdict){ADIT_REFUSE_RESET, false}, "reject:// refuses everything");
    return;
  }
  if (is_direct(connect)) {
    if (!try_next_address(connect)) fail(connect, verdict_of(error), strerror(error));
    return;
  }
  snprintf(why, sizeof why, "cannot be reached: %s%s", strerror(error),
           error == ECONNREFUSED ? " (is the proxy running, and on that port?)" : "");
  fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
}

/* ---- an attempt -------------------------------------------------------------------------------------------------- */

static void on_socket(struct adit_relay_socket *socket, uint32_t events);

static adit_endpoint destination(const struct adit_connect *connect) {
  return is_direct(connect) ? connect->endpoint : connect->egress->options->upstream.address;
}

/* Tell the failure by the timer, since it may not be told from within adit_connect_start. */
static int fail_later(struct adit_connect *connect, int error) {
  connect->stage = STAGE_FAILED;
  connect->error = error;
  return adit_timers_set(adit_loop_timers(connect->relay->loop), &connect->timer, now_of(connect));
}

static void set_timer(struct adit_connect *connect, uint64_t due_ns) {
  if (due_ns > connect->deadline_ns) due_ns = connect->deadline_ns;
  (void)adit_timers_set(adit_loop_timers(connect->relay->loop), &connect->timer, due_ns); /* it is set: only moved */
}

/* Begin to connect. Returns 0, or a positive errno. */
static int connect_to(int fd, adit_endpoint to) {
  struct sockaddr_storage address;
  socklen_t length = adit_outside_sockaddr(to, &address);
  if (connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS) return 0;
  return errno;
}

/*
 * Make a socket and let it connect. Returns 0, or a negative errno when there can be no socket now. What connect()
 * itself finds is told later.
 */
static int begin_attempt(struct adit_connect *connect) {
  struct adit_relay *relay = connect->relay;
  adit_endpoint to = destination(connect);
  int fd = adit_outside_socket(connect->egress, to.ip.version == 6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd == -EAFNOSUPPORT) return fail_later(connect, EAFNOSUPPORT);
  if (fd < 0) return fd;
  int error = connect_to(fd, to);
  if (error) {
    close(fd);
    return fail_later(connect, error);
  }
  struct attempt *attempt = calloc(1, sizeof *attempt);
  error = attempt ? 0 : -ENOMEM;
  if (error) goto no_attempt;
  attempt->socket.ready = on_socket;
  attempt->connect = connect;
  error = adit_timers_set(adit_loop_timers(relay->loop), &connect->timer, connect->deadline_ns);
  if (error) goto no_watch;
  error = adit_loop_watch(relay->loop, &attempt->socket.watch, ADIT_WATCH_SOCKET, fd, EPOLLOUT);
  if (error) goto no_watch;
  adit_own_note(relay->options->own, &connect->own, IPPROTO_TCP, fd, to);
  connect->attempt = attempt;
  connect->stage = STAGE_TCP;
  return 0;

no_watch:
  free(attempt);
no_attempt:
  close(fd);
  return error;
}

/* ---- names that we have to resolve ourselves --------------------------------------------------------------------- */

static bool try_next_address(struct adit_connect *connect) {
  while (connect->other_count > 0) {
    end_attempt(connect);
    connect->endpoint.ip = connect->others[0];
    connect->other_count--;
    memmove(connect->others, connect->others + 1, connect->other_count * sizeof connect->others[0]);
    if (begin_attempt(connect) != 0) continue;
    if (connect->other_count > 0 && connect->stage == STAGE_TCP) set_timer(connect, now_of(connect) + NEXT_NS);
    return true;
  }
  return false;
}

static void on_found(void *user, const adit_ip *addresses, unsigned count) {
  struct adit_connect *connect = user;
  connect->resolve = NULL;
  connect->other_count = count;
  memcpy(connect->others, addresses, count * sizeof *addresses);
  if (!try_next_address(connect))
    fail(connect, (struct verdict){ADIT_REFUSE_HOST_UNREACHABLE, false}, "no socket for any of its addresses");
}

static void on_not_found(void *user, bool exists, const char *why) {
  struct adit_connect *connect = user;
  connect->resolve = NULL;
  if (exists)
    adit_log_limited(connect->relay->log, &connect->relay->upstream_limit, now_of(connect), ADIT_LOG_WARNING, 0,
                     "%s cannot be resolved: %s", connect->name, why);
  fail(connect, (struct verdict){ADIT_REFUSE_HOST_UNREACHABLE, false}, why);
}

static int begin_name(struct adit_connect *connect, unsigned version) {
  static const struct adit_resolve_events events = {.found = on_found, .failed = on_not_found};
  struct adit_relay *relay = connect->relay;
  struct adit_resolver *resolver = connect->egress->resolver;
  char host[ADIT_DNS_HOST];
  if (!resolver) return -EDESTADDRREQ; /* only with --dns fake is there a name */
  if (!adit_dns_host(connect->name, host)) return fail_later(connect, EHOSTUNREACH);
  int error = adit_timers_set(adit_loop_timers(relay->loop), &connect->timer, connect->deadline_ns);
  if (error) return error;
  error = adit_resolve_start(resolver, host, version, &events, connect, &connect->resolve);
  if (error) adit_timers_clear(adit_loop_timers(relay->loop), &connect->timer);
  return error;
}

/* ---- the talk with a proxy --------------------------------------------------------------------------------------- */

/* What has become of the talk. */
static void take_talk(struct adit_connect *connect, enum adit_talk_state state) {
  char why[ADIT_TALK_WHY]; /* outlives the talk */
  enum adit_refusal how = connect->talk.how;
  switch (state) {
  case ADIT_TALK_ON:
    (void)adit_loop_rewatch(connect->relay->loop, &connect->attempt->socket.watch, adit_talk_wants(&connect->talk));
    break;
  case ADIT_TALK_DONE:
    succeed(connect);
    break;
  case ADIT_TALK_DENIED:
    memcpy(why, connect->talk.why, sizeof why);
    fail(connect, (struct verdict){how, false}, why);
    break;
  case ADIT_TALK_FAILED:
    memcpy(why, connect->talk.why, sizeof why);
    fail_upstream(connect, how, why);
    break;
  }
}

static void begin_talk(struct adit_connect *connect) {
  const struct adit_target target = {.endpoint = connect->endpoint,
                                     .name = connect->name[0] ? connect->name : NULL,
                                     .associate = connect->associate,
                                     .trial = connect->trial};
  connect->stage = STAGE_TALK;
  take_talk(connect, adit_talk_begin(&connect->talk, connect->egress, &target, connect->attempt->socket.watch.fd));
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Why the socket is not connected: a positive errno. */
static int error_of(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
  return error;
}

static void on_socket(struct adit_relay_socket *socket, uint32_t events) {
  struct adit_connect *connect = ((struct attempt *)socket)->connect; /* its first member */
  if (connect->stage == STAGE_TCP) {
    adit_own_forget(&connect->own);
    int error = events & (EPOLLERR | EPOLLHUP) ? error_of(socket->watch.fd) : 0;
    if (error)
      fail_by_errno(connect, error);
    else if (is_direct(connect))
      succeed(connect);
    else
      begin_talk(connect);
    return;
  }
  take_talk(connect, adit_talk_step(&connect->talk, events));
}

static void on_timer(void *user, struct adit_timer *timer) {
  struct adit_connect *connect = user;
  (void)timer;
  if (connect->stage == STAGE_FAILED) {
    fail_by_errno(connect, connect->error);
    return;
  }
  if (now_of(connect) < connect->deadline_ns) { /* the end of an address */
    if (!try_next_address(connect)) set_timer(connect, connect->deadline_ns);
    return;
  }
  char why[WHY];
  unsigned seconds = (patience_ms(connect->egress) + 999) / 1000;
  if (is_direct(connect)) {
    snprintf(why, sizeof why, "no answer within %u s", seconds);
    fail(connect, (struct verdict){ADIT_REFUSE_HOST_UNREACHABLE, true}, why);
    return;
  }
  if (connect->stage == STAGE_TALK) {
    take_talk(connect, adit_talk_expire(&connect->talk, seconds));
    return;
  }
  snprintf(why, sizeof why, "cannot be reached: no answer within %u s", seconds);
  fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
}

int adit_connect_start(struct adit_relay *relay, const struct adit_target *target,
                       const struct adit_connect_events *events, void *user, struct adit_connect **connect) {
  size_t name = target->name ? strlen(target->name) : 0;
  if (name >= ADIT_URL_HOST) return -ENAMETOOLONG;
  struct adit_connect *made = malloc(sizeof *made); /* large; what must be zero is */
  if (!made) return -ENOMEM;
  made->relay = relay;
  made->egress = target->by ? target->by : relay->egress;
  made->events = events;
  made->user = user;
  made->attempt = NULL;
  made->own = (struct adit_own_socket){0};
  made->stage = STAGE_NAME;
  made->resolve = NULL;
  made->other_count = 0;
  made->timer = (struct adit_timer){.fire = on_timer, .user = made};
  uint64_t patience = patience_ms(made->egress);
  if (target->trial && patience > TRIAL_MS) patience = TRIAL_MS;
  made->deadline_ns = adit_loop_now(relay->loop) + patience * MILLISECOND_NS;
  made->error = 0;
  made->trial = target->trial;
  made->associate = target->associate;
  made->endpoint = target->endpoint;
  if (name > 0) memcpy(made->name, target->name, name);
  made->name[name] = '\0';

  int error;
  if (kind_of(made) == ADIT_UPSTREAM_REJECT)
    error = fail_later(made, ECONNREFUSED);
  else if (is_direct(made) && target->endpoint.ip.version == 0)
    error = begin_name(made, target->prefer);
  else
    error = begin_attempt(made);
  if (error) {
    free(made);
    return error;
  }
  adit_egress_hold(made->egress);
  *connect = made;
  return 0;
}

void adit_connect_cancel(struct adit_connect *connect) {
  destroy(connect);
}
