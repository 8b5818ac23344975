/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is said to a proxy on a connection that stands, until it has agreed or refused. The messages are made and read by
 * socks5.c and http_connect.c; here they meet the socket. Nobody is called back, and there is no timer: whoever began the
 * talk waits for the socket and for the end of its patience, and is told by what each function returns.
 *
 * Answers are looked at in the socket (MSG_PEEK), and only what belongs to the answer is taken out: what the far end says
 * right behind it stays there, for whoever gets the socket. No buffer is kept for it.
 *
 * A SOCKS5 server may be asked for everything at once (socks5.c says why), but some lose what comes behind the message
 * that they are reading, and wait for ever. No client is to wait for that to be found out. So a server of which nothing
 * is known (ADIT_SOCKS5_UNKNOWN) is asked step by step, and when that has worked a connection of our own tries the
 * other way (trial.c). A server that later fails all at once counts as unknown again: it may be another one.
 */
#include "relay/talk.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { LOOK = 1024 };
static_assert((int)ADIT_TALK_OUT >= (int)ADIT_SOCKS5_OUT, "one buffer for both");

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* It is over in this way. */
__attribute__((format(printf, 4, 5))) static enum adit_talk_state
end(struct adit_talk *talk, enum adit_talk_state state, enum adit_refusal how, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(talk->why, sizeof talk->why, format, arguments);
  va_end(arguments);
  talk->how = how;
  return state;
}

/* The proxy did not answer as it should: what was known of it may no longer be true. */
static void unlearn_manner(const struct adit_talk *talk) {
  struct adit_egress *egress = talk->egress;
  if (talk->trial)
    egress->manner = ADIT_SOCKS5_IN_STEPS;
  else if (egress->manner == ADIT_SOCKS5_AT_ONCE)
    egress->manner = ADIT_SOCKS5_UNKNOWN;
}

static enum adit_talk_state break_off(struct adit_talk *talk, enum adit_refusal how, const char *why) {
  unlearn_manner(talk);
  return end(talk, ADIT_TALK_FAILED, how, "%s", why);
}

static enum adit_talk_state broken(struct adit_talk *talk, int error) {
  unlearn_manner(talk);
  return end(talk, ADIT_TALK_FAILED, ADIT_REFUSE_HOST_UNREACHABLE, "the connection broke before it had answered: %s",
             strerror(error));
}

/* The server has answered the request, with yes or no. */
static void learn_manner(const struct adit_talk *talk) {
  struct adit_egress *egress = talk->egress;
  if (!talk->in_steps)
    egress->manner = ADIT_SOCKS5_AT_ONCE;
  else if (egress->manner == ADIT_SOCKS5_UNKNOWN)
    adit_trial_begin(egress);
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

static enum adit_talk_state send_out(struct adit_talk *talk) {
  while (talk->sent < talk->length) {
    ssize_t sent = send(talk->fd, talk->out + talk->sent, talk->length - talk->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
      talk->sent += (size_t)sent;
    else if (errno == EAGAIN)
      break;
    else if (errno != EINTR)
      return broken(talk, errno);
  }
  return ADIT_TALK_ON;
}

enum adit_talk_state adit_talk_begin(struct adit_talk *talk, struct adit_egress *egress,
                                     const struct adit_target *target, int fd) {
  const struct adit_upstream *upstream = &egress->options->upstream;
  talk->egress = egress;
  talk->fd = fd;
  talk->trial = target->trial;
  talk->associate = target->associate;
  talk->in_steps = talk->heard = false;
  talk->how = ADIT_REFUSE_RESET;
  talk->sent = 0;
  talk->why[0] = '\0';
  if (upstream->kind == ADIT_UPSTREAM_SOCKS5) {
    talk->in_steps = !talk->trial && egress->manner != ADIT_SOCKS5_AT_ONCE;
    talk->codec.socks5 = (struct adit_socks5){.upstream = upstream,
                                              .command = talk->associate ? ADIT_SOCKS5_UDP_ASSOCIATE
                                                                         : ADIT_SOCKS5_CONNECT,
                                              .target = target->endpoint,
                                              .name = target->name};
    talk->length = adit_socks5_begin(&talk->codec.socks5, !talk->in_steps, talk->out);
  } else {
    talk->codec.http = (struct adit_http){0};
    talk->length = adit_http_request(upstream, target->endpoint, target->name, talk->out);
  }
  return send_out(talk);
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

/* Bytes of an answer; `*used` of them belong to it while the talk goes on or is done. */
static enum adit_talk_state take_socks5(struct adit_talk *talk, const uint8_t *bytes, size_t length, size_t *used) {
  size_t more;
  switch (adit_socks5_input(&talk->codec.socks5, bytes, length, used, talk->out, &more)) {
  case ADIT_SOCKS5_MORE:
    talk->length = more;
    talk->sent = 0;
    return send_out(talk);
  case ADIT_SOCKS5_DONE:
    learn_manner(talk);
    return ADIT_TALK_DONE;
  case ADIT_SOCKS5_DENIED: {
    uint8_t code = talk->codec.socks5.code;
    learn_manner(talk);
    /* An association is no matter of a target's, but of what the proxy can do. */
    return end(talk, talk->associate ? ADIT_TALK_FAILED : ADIT_TALK_DENIED,
               talk->associate ? ADIT_REFUSE_RESET : adit_socks5_refusal(code),
               "the proxy answered: %s (SOCKS5 reply %u)", adit_socks5_text(code), code);
  }
  case ADIT_SOCKS5_BARRED:
    return break_off(talk, ADIT_REFUSE_PROHIBITED, "user and password were refused; check them in the URL");
  case ADIT_SOCKS5_METHODS:
    return break_off(talk, ADIT_REFUSE_PROHIBITED,
                     talk->egress->options->upstream.has_credentials
                         ? "the proxy takes no way of authentication that is known here (none, or user and password)"
                         : "the proxy wants a user and a password: socks5://user:password@host");
  case ADIT_SOCKS5_GARBAGE:
    break;
  }
  return break_off(talk, ADIT_REFUSE_HOST_UNREACHABLE,
                   bytes[0] == 'H' ? "the answer is not SOCKS5, it looks like HTTP: is it http:// ?"
                                   : "the answer is not SOCKS5");
}

static enum adit_talk_state take_http(struct adit_talk *talk, const uint8_t *bytes, size_t length, size_t *used) {
  switch (adit_http_input(&talk->codec.http, bytes, length, used)) {
  case ADIT_HTTP_MORE:
    return ADIT_TALK_ON;
  case ADIT_HTTP_DONE:
    return ADIT_TALK_DONE;
  case ADIT_HTTP_DENIED: {
    unsigned code = talk->codec.http.code;
    return end(talk, adit_http_is_trouble(code) ? ADIT_TALK_FAILED : ADIT_TALK_DENIED, adit_http_refusal(code),
               "the proxy answered: %u: %s", code, adit_http_text(code));
  }
  case ADIT_HTTP_LONG:
    return end(talk, ADIT_TALK_FAILED, ADIT_REFUSE_HOST_UNREACHABLE, "the header of its answer is longer than %d bytes",
               ADIT_HTTP_MOST);
  case ADIT_HTTP_GARBAGE:
    break;
  }
  return end(talk, ADIT_TALK_FAILED, ADIT_REFUSE_HOST_UNREACHABLE, "%s",
             bytes[0] == 5 ? "the answer is not HTTP, it looks like SOCKS5: is it socks5:// ?"
                           : "the answer is not HTTP");
}

/* Look at what the proxy says, and take out what is the proxy's. */
static enum adit_talk_state listen_to_proxy(struct adit_talk *talk) {
  uint8_t bytes[LOOK];
  ssize_t got = recv(talk->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return ADIT_TALK_ON;
  if (got < 0) return broken(talk, errno);
  if (got == 0)
    return break_off(talk, ADIT_REFUSE_HOST_UNREACHABLE, "the connection was closed before it had answered");
  talk->heard = true;
  size_t used = 0;
  enum adit_talk_state state = talk->egress->options->upstream.kind == ADIT_UPSTREAM_SOCKS5
                                   ? take_socks5(talk, bytes, (size_t)got, &used)
                                   : take_http(talk, bytes, (size_t)got, &used);
  if (state == ADIT_TALK_ON || state == ADIT_TALK_DONE) {
    ssize_t taken = recv(talk->fd, bytes, used, MSG_DONTWAIT);
    assert(taken == (ssize_t)used);
    (void)taken;
  }
  return state;
}

enum adit_talk_state adit_talk_step(struct adit_talk *talk, uint32_t events) {
  enum adit_talk_state state = ADIT_TALK_ON;
  if (events & EPOLLOUT) state = send_out(talk);
  if (state == ADIT_TALK_ON && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) state = listen_to_proxy(talk);
  return state;
}

uint32_t adit_talk_wants(const struct adit_talk *talk) {
  return talk->sent < talk->length ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

enum adit_talk_state adit_talk_expire(struct adit_talk *talk, unsigned seconds) {
  unlearn_manner(talk);
  return end(talk, ADIT_TALK_FAILED, ADIT_REFUSE_HOST_UNREACHABLE,
             talk->heard ? "no answer to a request within %u s" : "accepts connections and says nothing within %u s",
             seconds);
}

void adit_talk_wipe(struct adit_talk *talk) {
  sodium_memzero(talk->out, sizeof talk->out);
}
