/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * One connection through the upstream, from nothing to "the far end has answered".
 *
 *   STAGE_NAME   the target is a name and there is no proxy that resolves it: the addresses of the name are looked up
 *   STAGE_TCP    connect() is under way, to the target (direct) or to the proxy
 *   STAGE_TALK   the proxy has been asked; its answer is awaited
 *   STAGE_FAILED what is wrong is known and will be told by the timer, since no event may come from within the start
 *
 * Answers of a proxy are looked at in the socket (MSG_PEEK), and only what belongs to the answer is taken out: what the
 * far end says right behind it stays there, for whoever gets the socket. No buffer is kept for it.
 *
 * A SOCKS5 server is first asked for everything at once (socks5.c says why). Some lose what comes behind the message
 * that they are reading, and wait. So as long as nothing is known of a server (ADIT_SOCKS5_UNKNOWN) there is less
 * patience: one that closes, answers out of step, or stays silent for longer than GRACE is asked again, step by step,
 * over a new connection; if that works it is remembered. A slow target can look the same; then the connection is made
 * twice, once in the life of the relay, and steps are taken that need not be.
 *
 * Timer, one an attempt: `deadline_ns`, or before it the end of GRACE, or of an address of several (NEXT_NS).
 *
 * Lifetimes: a struct adit_connect lives until it calls one of its events, or is cancelled. Its socket's watch must
 * outlive it until the loop's reap, so it is a thing of its own (struct attempt).
 */
#include "relay/http_connect.h"
#include "relay/resolve.h"
#include "relay/socks5.h"
#include "relay/state.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MILLISECOND_NS UINT64_C(1000000)
/* How long a server may be silent before the first byte, and between two answers, as long as nothing is known of it. */
#define GRACE_FIRST_NS (1500 * MILLISECOND_NS)
#define GRACE_NEXT_NS (400 * MILLISECOND_NS)
/* How long an address of a name may be silent when there is another one. */
#define NEXT_NS (2500 * MILLISECOND_NS)

enum { CONNECT_MS = 10000, WHY = 256, LOOK = 1024, OUT = ADIT_HTTP_OUT };
static_assert((int)OUT >= (int)ADIT_SOCKS5_OUT, "one buffer for both");

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
  const struct adit_connect_events *events;
  void *user;              /* for `events` */
  struct attempt *attempt; /* its fd is owned; NULL in STAGE_FAILED */
  struct adit_timer timer;
  uint64_t deadline_ns;
  enum stage stage;
  int error;      /* STAGE_FAILED: why */
  bool in_steps;  /* SOCKS5: asked step by step */
  bool second;    /* SOCKS5: in steps, because all at once did not work */
  bool heard;     /* SOCKS5: a byte of an answer has come in this attempt */
  bool associate; /* SOCKS5: UDP ASSOCIATE */
  size_t length;  /* bytes at `out` */
  size_t sent;    /* of which the socket took */
  adit_endpoint endpoint;
  struct adit_resolve *resolve;       /* STAGE_NAME */
  adit_ip others[ADIT_RESOLVE_FOUND]; /* direct, to a name: its addresses that have not been tried */
  unsigned other_count;
  union {
    struct adit_socks5 socks5;
    struct adit_http http;
  } talk;
  char name[ADIT_URL_HOST]; /* empty = none */
  uint8_t out[OUT];         /* for the proxy; may hold a password */
};

static enum adit_upstream_kind kind_of(const struct adit_connect *connect) {
  return connect->relay->options->upstream.kind;
}

static bool is_direct(const struct adit_connect *connect) {
  return kind_of(connect) == ADIT_UPSTREAM_DIRECT;
}

static uint64_t now_of(const struct adit_connect *connect) {
  return adit_loop_now(connect->relay->loop);
}

static uint32_t patience_ms(const struct adit_relay *relay) {
  return relay->options->connect_ms ? relay->options->connect_ms : CONNECT_MS;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void release(struct adit_watch *watch) {
  free(watch); /* the watch is the first member of the first member of struct attempt */
}

/* Let the attempt go. Returns its fd, which is then the caller's, or -1. */
static int detach(struct adit_connect *connect) {
  struct attempt *attempt = connect->attempt;
  if (!attempt) return -1;
  int fd = attempt->socket.watch.fd;
  connect->attempt = NULL;
  adit_loop_unwatch(connect->relay->loop, &attempt->socket.watch, release);
  return fd;
}

static void end_attempt(struct adit_connect *connect) {
  int fd = detach(connect);
  if (fd >= 0) close(fd);
}

static void destroy(struct adit_connect *connect) {
  if (connect->resolve) adit_resolve_cancel(connect->resolve);
  end_attempt(connect);
  adit_timers_clear(adit_loop_timers(connect->relay->loop), &connect->timer);
  sodium_memzero(connect->out, sizeof connect->out);
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
  adit_log_limited(relay->log, &relay->upstream_limit, now_of(connect), ADIT_LOG_WARNING, 0, "upstream %s: %s",
                   adit_upstream_format(&relay->options->upstream, name), why);
  fail(connect, (struct verdict){how, false}, why);
}

static void succeed(struct adit_connect *connect) {
  const struct adit_connect_events *events = connect->events;
  void *user = connect->user;
  bool associate = connect->associate;
  adit_endpoint bound = associate ? connect->talk.socks5.bound : connect->endpoint;
  int fd = detach(connect);
  destroy(connect);
  if (associate)
    events->associated(user, fd, bound);
  else
    events->done(user, fd);
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
  if (connect->stage == STAGE_TALK) {
    snprintf(why, sizeof why, "the connection broke before it had answered: %s", strerror(error));
  } else {
    snprintf(why, sizeof why, "cannot be reached: %s%s", strerror(error),
             error == ECONNREFUSED ? " (is the proxy running, and on that port?)" : "");
  }
  fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
}

/* ---- an attempt -------------------------------------------------------------------------------------------------- */

static void on_socket(struct adit_relay_socket *socket, uint32_t events);

static adit_endpoint destination(const struct adit_connect *connect) {
  return is_direct(connect) ? connect->endpoint : connect->relay->options->upstream.address;
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
  static const int on = 1;
  struct adit_relay *relay = connect->relay;
  adit_endpoint to = destination(connect);
  int fd = adit_outside_socket(relay, to.ip.version == 6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd == -EAFNOSUPPORT) return fail_later(connect, EAFNOSUPPORT);
  if (fd < 0) return fd;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
  connect->attempt = attempt;
  connect->stage = STAGE_TCP;
  connect->heard = false;
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
  char host[ADIT_DNS_HOST];
  if (!relay->resolver) return -EDESTADDRREQ; /* only with --dns fake is there a name */
  if (!adit_dns_host(connect->name, host)) return fail_later(connect, EHOSTUNREACH);
  int error = adit_timers_set(adit_loop_timers(relay->loop), &connect->timer, connect->deadline_ns);
  if (error) return error;
  error = adit_resolve_start(relay->resolver, host, version, &events, connect, &connect->resolve);
  if (error) adit_timers_clear(adit_loop_timers(relay->loop), &connect->timer);
  return error;
}

/* ---- the talk with a proxy --------------------------------------------------------------------------------------- */

/* Whether all at once is being tried on a server of which nothing is known. */
static bool is_trial(const struct adit_connect *connect) {
  return kind_of(connect) == ADIT_UPSTREAM_SOCKS5 && !connect->in_steps &&
         connect->relay->manner == ADIT_SOCKS5_UNKNOWN;
}

/* All at once did not work. Ask again in steps. */
static void try_in_steps(struct adit_connect *connect) {
  end_attempt(connect);
  connect->in_steps = connect->second = true;
  int error = begin_attempt(connect);
  if (error) fail(connect, (struct verdict){ADIT_REFUSE_RESET, false}, strerror(-error));
}

static void fail_talk(struct adit_connect *connect, enum adit_refusal how, const char *why) {
  if (is_trial(connect)) {
    try_in_steps(connect);
    return;
  }
  /* What was known of the server may no longer be true. */
  if (connect->relay->manner == ADIT_SOCKS5_AT_ONCE) connect->relay->manner = ADIT_SOCKS5_UNKNOWN;
  fail_upstream(connect, how, why);
}

/* Send what is to be sent. Returns false when the attempt is over. */
static bool send_out(struct adit_connect *connect) {
  int fd = connect->attempt->socket.watch.fd;
  while (connect->sent < connect->length) {
    ssize_t sent = send(fd, connect->out + connect->sent, connect->length - connect->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      connect->sent += (size_t)sent;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      char why[WHY];
      snprintf(why, sizeof why, "the connection broke before it had answered: %s", strerror(errno));
      fail_talk(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
      return false;
    }
  }
  uint32_t events = connect->sent < connect->length ? EPOLLIN | EPOLLOUT : EPOLLIN;
  (void)adit_loop_rewatch(connect->relay->loop, &connect->attempt->socket.watch, events);
  return true;
}

static void begin_talk(struct adit_connect *connect) {
  const struct adit_upstream *upstream = &connect->relay->options->upstream;
  const char *name = connect->name[0] ? connect->name : NULL;
  connect->stage = STAGE_TALK;
  connect->sent = 0;
  if (upstream->kind == ADIT_UPSTREAM_SOCKS5) {
    if (connect->relay->manner == ADIT_SOCKS5_IN_STEPS) connect->in_steps = true;
    connect->talk.socks5 = (struct adit_socks5){.upstream = upstream,
                                                .command = connect->associate ? ADIT_SOCKS5_UDP_ASSOCIATE
                                                                              : ADIT_SOCKS5_CONNECT,
                                                .target = connect->endpoint,
                                                .name = name};
    connect->length = adit_socks5_begin(&connect->talk.socks5, !connect->in_steps, connect->out);
    if (is_trial(connect)) set_timer(connect, now_of(connect) + GRACE_FIRST_NS);
  } else {
    connect->talk.http = (struct adit_http){0};
    connect->length = adit_http_request(upstream, connect->endpoint, name, connect->out);
  }
  send_out(connect);
}

static void learn_manner(struct adit_connect *connect) {
  struct adit_relay *relay = connect->relay;
  if (connect->second)
    relay->manner = ADIT_SOCKS5_IN_STEPS;
  else if (!connect->in_steps)
    relay->manner = ADIT_SOCKS5_AT_ONCE;
}

/* Bytes of an answer. Returns how many of them belong to it; 0 when the attempt is over. */
static size_t take_socks5(struct adit_connect *connect, const uint8_t *bytes, size_t length, bool *done) {
  size_t used;
  size_t more;
  char why[WHY];
  switch (adit_socks5_input(&connect->talk.socks5, bytes, length, &used, connect->out, &more)) {
  case ADIT_SOCKS5_MORE:
    connect->length = more;
    connect->sent = 0;
    if (is_trial(connect)) set_timer(connect, now_of(connect) + GRACE_NEXT_NS);
    if (more > 0 && !send_out(connect)) return 0;
    return used;
  case ADIT_SOCKS5_DONE:
    learn_manner(connect);
    *done = true;
    return used;
  case ADIT_SOCKS5_DENIED: {
    uint8_t code = connect->talk.socks5.code;
    learn_manner(connect);
    snprintf(why, sizeof why, "the proxy answered: %s (SOCKS5 reply %u)", adit_socks5_text(code), code);
    if (connect->associate) /* no matter of a target's, but of what the proxy can do */
      fail_upstream(connect, ADIT_REFUSE_RESET, why);
    else
      fail(connect, (struct verdict){adit_socks5_refusal(code), false}, why);
    return 0;
  }
  case ADIT_SOCKS5_BARRED:
    fail_upstream(connect, ADIT_REFUSE_PROHIBITED, "user and password were refused; check them in the URL");
    return 0;
  case ADIT_SOCKS5_METHODS:
    fail_talk(connect, ADIT_REFUSE_PROHIBITED,
              connect->relay->options->upstream.has_credentials
                  ? "the proxy takes no way of authentication that is known here (none, or user and password)"
                  : "the proxy wants a user and a password: socks5://user:password@host");
    return 0;
  case ADIT_SOCKS5_GARBAGE:
    break;
  }
  fail_talk(connect, ADIT_REFUSE_HOST_UNREACHABLE,
            bytes[0] == 'H' ? "the answer is not SOCKS5, it looks like HTTP: is it http:// ?"
                            : "the answer is not SOCKS5");
  return 0;
}

static size_t take_http(struct adit_connect *connect, const uint8_t *bytes, size_t length, bool *done) {
  size_t used;
  char why[WHY];
  switch (adit_http_input(&connect->talk.http, bytes, length, &used)) {
  case ADIT_HTTP_MORE:
    return used;
  case ADIT_HTTP_DONE:
    *done = true;
    return used;
  case ADIT_HTTP_DENIED: {
    unsigned code = connect->talk.http.code;
    snprintf(why, sizeof why, "the proxy answered: %u: %s", code, adit_http_text(code));
    if (adit_http_is_trouble(code))
      fail_upstream(connect, adit_http_refusal(code), why);
    else
      fail(connect, (struct verdict){adit_http_refusal(code), false}, why);
    return 0;
  }
  case ADIT_HTTP_LONG:
    snprintf(why, sizeof why, "the header of its answer is longer than %d bytes", ADIT_HTTP_MOST);
    fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
    return 0;
  case ADIT_HTTP_GARBAGE:
    break;
  }
  fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE,
                bytes[0] == 5 ? "the answer is not HTTP, it looks like SOCKS5: is it socks5:// ?"
                              : "the answer is not HTTP");
  return 0;
}

/* Look at what the proxy says, and take out what is the proxy's. */
static void listen_to_proxy(struct adit_connect *connect) {
  uint8_t bytes[LOOK];
  int fd = connect->attempt->socket.watch.fd;
  ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    char why[WHY];
    snprintf(why, sizeof why, "the connection %s before it had answered%s%s", got < 0 ? "broke" : "was closed",
             got < 0 ? ": " : "", got < 0 ? strerror(errno) : "");
    fail_talk(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
    return;
  }
  connect->heard = true;
  bool done = false;
  size_t used = kind_of(connect) == ADIT_UPSTREAM_SOCKS5 ? take_socks5(connect, bytes, (size_t)got, &done)
                                                         : take_http(connect, bytes, (size_t)got, &done);
  if (used == 0) return; /* over; or nothing was taken, which both never do with at least one byte */
  ssize_t taken = recv(fd, bytes, used, MSG_DONTWAIT);
  assert(taken == (ssize_t)used);
  (void)taken;
  if (done) succeed(connect);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void on_socket(struct adit_relay_socket *socket, uint32_t events) {
  struct adit_connect *connect = ((struct attempt *)socket)->connect; /* its first member */
  int error = 0;
  socklen_t length = sizeof error;
  if (connect->stage == STAGE_TCP) {
    if (getsockopt(socket->watch.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
    if (error)
      fail_by_errno(connect, error);
    else if (is_direct(connect))
      succeed(connect);
    else
      begin_talk(connect);
    return;
  }
  if ((events & EPOLLOUT) && connect->sent < connect->length && !send_out(connect)) return;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) listen_to_proxy(connect);
}

static void on_timer(void *user, struct adit_timer *timer) {
  struct adit_connect *connect = user;
  (void)timer;
  if (connect->stage == STAGE_FAILED) {
    fail_by_errno(connect, connect->error);
    return;
  }
  if (now_of(connect) < connect->deadline_ns) { /* the end of GRACE, or of an address */
    if (is_direct(connect) && try_next_address(connect)) return;
    if (is_trial(connect))
      try_in_steps(connect);
    else /* meanwhile another connection has found out that it works */
      set_timer(connect, connect->deadline_ns);
    return;
  }
  char why[WHY];
  unsigned seconds = (patience_ms(connect->relay) + 999) / 1000;
  if (is_direct(connect)) {
    snprintf(why, sizeof why, "no answer within %u s", seconds);
    fail(connect, (struct verdict){ADIT_REFUSE_HOST_UNREACHABLE, true}, why);
    return;
  }
  snprintf(why, sizeof why,
           connect->stage == STAGE_TCP ? "cannot be reached: no answer within %u s"
           : connect->heard            ? "no answer to a request within %u s"
                                       : "accepts connections and says nothing within %u s",
           seconds);
  fail_upstream(connect, ADIT_REFUSE_HOST_UNREACHABLE, why);
}

int adit_connect_start(struct adit_relay *relay, const struct adit_target *target,
                       const struct adit_connect_events *events, void *user, struct adit_connect **connect) {
  size_t name = target->name ? strlen(target->name) : 0;
  if (name >= ADIT_URL_HOST) return -ENAMETOOLONG;
  struct adit_connect *made = malloc(sizeof *made); /* large; what must be zero is */
  if (!made) return -ENOMEM;
  made->relay = relay;
  made->events = events;
  made->user = user;
  made->attempt = NULL;
  made->stage = STAGE_NAME;
  made->resolve = NULL;
  made->other_count = 0;
  made->timer = (struct adit_timer){.fire = on_timer, .user = made};
  made->deadline_ns = adit_loop_now(relay->loop) + patience_ms(relay) * MILLISECOND_NS;
  made->error = 0;
  made->in_steps = made->second = made->heard = false;
  made->associate = target->associate;
  made->length = made->sent = 0;
  made->endpoint = target->endpoint;
  if (name > 0) memcpy(made->name, target->name, name);
  made->name[name] = '\0';

  int error;
  if (relay->options->upstream.kind == ADIT_UPSTREAM_REJECT)
    error = fail_later(made, ECONNREFUSED);
  else if (relay->options->upstream.kind == ADIT_UPSTREAM_DIRECT && target->endpoint.ip.version == 0)
    error = begin_name(made, target->prefer);
  else
    error = begin_attempt(made);
  if (error) {
    free(made);
    return error;
  }
  *connect = made;
  return 0;
}

void adit_connect_cancel(struct adit_connect *connect) {
  destroy(connect);
}
