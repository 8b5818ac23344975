/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A TCP connection of a client, and the socket to the outside that it is joined to.
 *
 * A session has no buffer. Bytes of the client go from the stack's receive queue into the socket in one sendmsg, and
 * are consumed there as far as the socket took them; bytes from outside are received straight into the memory that the
 * stack sends from. So a socket that takes nothing closes the client's window, and a client that reads nothing stops
 * the reads from the socket: SESSION_OPEN waits for EPOLLOUT only while bytes of the client wait, and for EPOLLIN only
 * while there is room for the client's.
 *
 * Ends travel as what they were:
 *   FIN of the client     -> shutdown(SHUT_WR), once everything before it has left
 *   end of the outside    -> adit_flow_shutdown
 *   RST of the client, or a client that is gone -> the socket is closed with a reset (SO_LINGER 0)
 *   reset of the outside  -> what had been received before it is still given to the client, then its flow is aborted
 * The session is over when both sides have ended in order, or one in disorder.
 *
 * Timers, one a session, set when the state changes and never on the way of a byte (`active_ns` is noted there):
 *   SESSION_CONNECTING  none; the connector has one
 *   SESSION_OPEN        idle_ms, or half_closed_ms as soon as one side has ended
 *   SESSION_RESETTING   looks again and again whether the client has everything, for RESET_MOST_NS
 *   and in SESSION_OPEN RETRY_NS when there was no memory to receive into; KEEPALIVE_AFTER_NS when keepalive is to be switched
 *   on: four system calls that most connections end without
 *
 * Who owns what: the flow points to the session by adit_flow_user until `closed` or until it is closed here; the
 * session owns the fd while its watch is watched. forget() is the only way out of a session: whoever comes to it returns
 * at once. The memory is freed at the loop's reap, so that an event that was collected before finds it unwatched.
 */
#include "relay/fake_names.h"
#include "relay/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MILLISECOND_NS UINT64_C(1000000)
/* How long a reset waits at most for the client to acknowledge what came before it, and how it looks. */
#define RESET_MOST_NS (2000 * MILLISECOND_NS)
#define RESET_FIRST_NS (1 * MILLISECOND_NS)
/* After how long reading is tried again when there was no memory. */
#define RETRY_NS (20 * MILLISECOND_NS)
/* For how long a connection is silent before its socket is told to probe. */
#define KEEPALIVE_AFTER_NS (60000 * MILLISECOND_NS)

enum {
  PIECES = 64,                    /* of the client's bytes in one sendmsg */
  LITTLE_ROOM = 64 * 1024,        /* less than this and than a quarter is not filled */
  PIECES_DOWN = 4,                /* pieces of the flow's memory that one recvmsg fills */
  TURN_BYTES = 240 * 1024,        /* received from one socket before others have their turn: about as many pieces */
  IDLE_MS = (2 * 60 + 4) * 60000, /* RFC 5382, REQ-5 */
  HALF_CLOSED_MS = 4 * 60000,     /* the same, transitory connections */
  MAX_FLOWS = 65536,
  KEEPALIVE_IDLE_S = 300,    /* a silent connection is probed after this, */
  KEEPALIVE_INTERVAL_S = 60, /* so often, */
  KEEPALIVE_COUNT = 5        /* so many times before it counts as dead */
};

enum session_state {
  SESSION_CONNECTING, /* the SYN is parked; `connect` is under way, there is no socket of ours */
  SESSION_OPEN,       /* accepted; the socket is watched */
  SESSION_RESETTING   /* the outside has reset: no socket any more, the client gets the rest and then a reset */
};

struct adit_tcp_session {
  struct adit_relay_socket socket; /* first member; its fd is owned while it is watched */
  struct adit_relay *relay;
  struct adit_egress *egress;   /* one reference: its time-outs are those that count */
  struct adit_flow *flow;       /* NULL when it is no longer ours */
  struct adit_connect *connect; /* SESSION_CONNECTING */
  struct adit_tcp_session *next;
  struct adit_tcp_session *previous;
  struct adit_timer timer;
  uint64_t began_ns; /* when the SYN came */
  uint64_t bytes_up; /* since then */
  uint64_t bytes_down;
  uint64_t active_ns;    /* when bytes last moved */
  uint64_t resetting_ns; /* SESSION_RESETTING: since when */
  size_t whole_room;     /* adit_flow_room with nothing outstanding; 0 = nothing was ever written */
  size_t uncommitted;    /* bytes received into the flow's memory for which the stack had no memory yet */
  enum session_state state;
  bool sent_end;     /* outside has our FIN: all bytes of the client are with the socket */
  bool received_end; /* the client has, or will get, the outside's FIN */
  bool no_room;      /* reading waits for `writable` */
  bool retry;        /* reading waits for the timer, because there was no memory */
  bool not_taken;    /* sending waits for EPOLLOUT */
  bool failed;       /* the outside has reset; what it had sent before is still being read */
  bool much;         /* the last receive filled what it was given */
  bool keeps_alive;  /* the socket probes */
  bool hurries;      /* the socket sends at once (TCP_NODELAY) */
  adit_ip held;      /* a fake address that is in use; version 0 = none */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Out of the list and of memory. The flow is no longer ours; a socket is closed, with a reset if `reset`. */
static void forget(struct adit_tcp_session *session, bool reset) {
  struct adit_relay *relay = session->relay;
  adit_timers_clear(adit_loop_timers(relay->loop), &session->timer);
  if (session->held.version) adit_fake_release(relay, session->held);
  if (session->previous)
    session->previous->next = session->next;
  else
    relay->sessions = session->next;
  if (session->next) session->next->previous = session->previous;
  relay->session_count--;
  adit_egress_release(session->egress);
  if (!session->socket.watch.watched) {
    free(session);
    return;
  }
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (reset) (void)setsockopt(session->socket.watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  adit_loop_close(relay->loop, &session->socket.watch, adit_watch_free); /* its first member's first member */
}

/* Both sides have ended. What was written to the client still goes out. */
static void end_in_order(struct adit_tcp_session *session) {
  adit_flow_close(session->flow);
  forget(session, false);
}

static void end_by_reset(struct adit_tcp_session *session) {
  adit_flow_abort(session->flow);
  forget(session, true);
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static void set_timer(struct adit_tcp_session *session, uint64_t due_ns) {
  /* Without memory for it the session does without a time-out. */
  (void)adit_timers_set(adit_loop_timers(session->relay->loop), &session->timer, due_ns);
}

/* How long nothing may move, UINT64_MAX = for ever. */
static uint64_t patience_ns(const struct adit_tcp_session *session) {
  const struct adit_relay_options *options = session->egress->options;
  bool half_closed = session->sent_end || session->received_end;
  uint32_t ms = half_closed ? options->half_closed_ms : options->idle_ms;
  if (ms == 0) ms = half_closed ? HALF_CLOSED_MS : IDLE_MS;
  return ms == UINT32_MAX ? UINT64_MAX : ms * MILLISECOND_NS;
}

/* The state has changed: from now on another patience counts. */
static void renew_timer(struct adit_tcp_session *session) {
  uint64_t patience = patience_ns(session);
  if (session->retry)
    set_timer(session, adit_loop_now(session->relay->loop) + RETRY_NS);
  else if (!session->keeps_alive && patience > KEEPALIVE_AFTER_NS)
    set_timer(session, session->active_ns + KEEPALIVE_AFTER_NS);
  else if (patience == UINT64_MAX)
    adit_timers_clear(adit_loop_timers(session->relay->loop), &session->timer);
  else
    set_timer(session, session->active_ns + patience);
}

static void try_again_later(struct adit_tcp_session *session) {
  session->retry = true;
  renew_timer(session);
}

/* ---- the outside has reset --------------------------------------------------------------------------------------- */

/* Nothing more will be written. Without outstanding bytes, or with too much patience spent, it ends: false. */
static bool wait_for_client(struct adit_tcp_session *session) {
  uint64_t waited_ns = adit_loop_now(session->relay->loop) - session->resetting_ns;
  /* A flow that was shut tells no room. The client has the FIN then, and acknowledges what came before it soon. */
  uint64_t most_ns = session->received_end ? RESET_MOST_NS / 10 : RESET_MOST_NS;
  if (adit_flow_room(session->flow) == session->whole_room || waited_ns >= most_ns) {
    end_by_reset(session);
    return false;
  }
  set_timer(session, adit_loop_now(session->relay->loop) + RESET_FIRST_NS + waited_ns / 4);
  return true;
}

/* Returns false when the session is gone. */
static bool begin_reset(struct adit_tcp_session *session) {
  session->state = SESSION_RESETTING;
  session->resetting_ns = adit_loop_now(session->relay->loop);
  (void)adit_loop_rewatch(session->relay->loop, &session->socket.watch, EPOLLET);
  return wait_for_client(session);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* Wait for what there is something to do about. */
static void settle(struct adit_tcp_session *session) {
  if (session->state != SESSION_OPEN) return;
  uint32_t events = 0;
  if (!session->received_end && !session->no_room && !session->retry) events |= EPOLLIN;
  if (session->not_taken) events |= EPOLLOUT;
  /* EPOLLHUP and EPOLLERR cannot be declined. When there is nothing to do about them now, be told of changes only. */
  if (events == 0) events = EPOLLET;
  (void)adit_loop_rewatch(session->relay->loop, &session->socket.watch, events);
}

/* Bytes of an earlier turn that the stack could not take then. Returns whether it has them now. */
static bool commit_rest(struct adit_tcp_session *session) {
  if (session->uncommitted == 0) return true;
  ssize_t sent = adit_flow_commit(session->flow, session->uncommitted);
  if (sent > 0) session->uncommitted -= (size_t)sent;
  if (session->uncommitted == 0) return true;
  try_again_later(session);
  return false;
}

/*
 * Where to receive, in `piece`. One piece until it was full once: most messages are small. None when little room is left:
 * what came into that would leave in packets of its own. `writable` follows when more was acknowledged.
 */
static unsigned find_room(struct adit_tcp_session *session, struct iovec *piece) {
  size_t room = adit_flow_room(session->flow);
  if (session->whole_room == 0) session->whole_room = room;
  bool enough = room >= LITTLE_ROOM || room >= session->whole_room / 4;
  unsigned most = session->much ? PIECES_DOWN : 1;
  unsigned count = adit_flow_reserve(session->flow, piece, enough ? most : 0);
  if (count == 0) session->no_room = true;
  if (count == 0 && enough && room > 0) try_again_later(session); /* it was memory that lacked */
  return count;
}

static ssize_t receive_pieces(int fd, struct iovec *piece, unsigned count) {
  struct msghdr message = {.msg_iov = piece, .msg_iovlen = count};
  return recvmsg(fd, &message, MSG_DONTWAIT);
}

/* From the outside to the client, until there is nothing, no room, or enough for a turn. False: the session is gone. */
static bool pump_down(struct adit_tcp_session *session) {
  struct adit_relay *relay = session->relay;
  if (!commit_rest(session)) return true;
  for (size_t bytes = 0; bytes < TURN_BYTES;) {
    struct iovec piece[PIECES_DOWN];
    unsigned count = find_room(session, piece);
    if (count == 0) return true;
    size_t offered = 0;
    for (unsigned i = 0; i < count; i++) offered += piece[i].iov_len;
    ssize_t got = receive_pieces(session->socket.watch.fd, piece, count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN && !session->failed) return true;
    if (got < 0 || (got == 0 && session->failed)) return begin_reset(session);
    session->active_ns = adit_loop_now(relay->loop);
    if (got == 0) {
      session->received_end = true;
      adit_flow_shutdown(session->flow);
      if (session->sent_end) {
        end_in_order(session);
        return false;
      }
      renew_timer(session);
      return true;
    }
    bytes += (size_t)got;
    relay->stats.bytes_down += (size_t)got;
    session->bytes_down += (size_t)got;
    session->uncommitted = (size_t)got;
    session->much = (size_t)got == offered;
    if (!commit_rest(session) || !session->much) return true;
  }
  return true;
}

/* From the second send on small pieces must not wait for each other; before, there is nothing that they could wait for. */
static void hurry(struct adit_tcp_session *session) {
  static const int on = 1;
  if (session->hurries) return;
  (void)setsockopt(session->socket.watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  session->hurries = true;
}

/* Returns the number of bytes that the socket took, or a negative errno. */
static ssize_t send_pieces(int fd, struct iovec *piece, unsigned count) {
  struct msghdr message = {.msg_iov = piece, .msg_iovlen = count};
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

/* From the client to the outside, until nothing waits or the socket takes no more. False: the session is gone. */
static bool pump_up(struct adit_tcp_session *session) {
  struct adit_relay *relay = session->relay;
  if (session->sent_end || session->failed) return true;
  session->not_taken = false;
  while (adit_flow_available(session->flow) > 0) {
    struct iovec piece[PIECES];
    unsigned count = adit_flow_peek(session->flow, piece, PIECES);
    size_t offered = 0;
    for (unsigned i = 0; i < count; i++) offered += piece[i].iov_len;
    if (session->bytes_up > 0) hurry(session);
    ssize_t sent = send_pieces(session->socket.watch.fd, piece, count);
    if (sent < 0 && sent != -EAGAIN) {
      session->failed = true; /* the reason, or more bytes, are read; then it ends */
      return session->received_end ? begin_reset(session) : pump_down(session);
    }
    session->not_taken = sent < (ssize_t)offered;
    if (sent > 0) {
      adit_flow_consume(session->flow, (size_t)sent);
      relay->stats.bytes_up += (size_t)sent;
      session->bytes_up += (size_t)sent;
      session->active_ns = adit_loop_now(relay->loop);
    }
    if (session->not_taken) return true;
  }
  if (!adit_flow_peer_has_closed(session->flow)) return true;
  (void)shutdown(session->socket.watch.fd, SHUT_WR); /* fails when the outside has reset, which reading tells */
  session->sent_end = true;
  session->active_ns = adit_loop_now(relay->loop);
  if (session->received_end) {
    end_in_order(session);
    return false;
  }
  renew_timer(session);
  return true;
}

static void on_socket(struct adit_relay_socket *socket, uint32_t events) {
  struct adit_tcp_session *session = (struct adit_tcp_session *)socket; /* its first member */
  if (session->state != SESSION_OPEN) return;
  bool broken = (events & EPOLLERR) != 0;
  if (broken && session->received_end) {
    begin_reset(session);
    return;
  }
  session->failed |= broken;
  bool reading = !session->received_end && !session->no_room && !session->retry;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && reading && !pump_down(session)) return;
  if (session->state == SESSION_OPEN && (events & (EPOLLOUT | EPOLLHUP)) && session->not_taken && !pump_up(session))
    return;
  settle(session);
}

static void keep_alive(int fd) {
  static const int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S, count = KEEPALIVE_COUNT;
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static void on_timer(void *user, struct adit_timer *timer) {
  struct adit_tcp_session *session = user;
  (void)timer;
  if (session->state == SESSION_RESETTING) {
    wait_for_client(session);
    return;
  }
  uint64_t patience = patience_ns(session);
  uint64_t idle_ns = adit_loop_now(session->relay->loop) - session->active_ns;
  if (idle_ns >= patience) {
    adit_log_write(session->relay->log, ADIT_LOG_DEBUG, adit_flow_id(session->flow), "ended: nothing moved for %u s",
                   (unsigned)(idle_ns / (1000 * MILLISECOND_NS)));
    end_by_reset(session);
    return;
  }
  if (!session->keeps_alive && idle_ns >= KEEPALIVE_AFTER_NS && session->state == SESSION_OPEN) {
    keep_alive(session->socket.watch.fd);
    session->keeps_alive = true;
  }
  if (session->retry) {
    session->retry = session->no_room = false;
    if (!pump_down(session)) return;
    settle(session);
    if (session->state != SESSION_OPEN || session->retry) return;
  }
  renew_timer(session);
}

/* ---- what the flow says ------------------------------------------------------------------------------------------ */

static void on_bytes_or_end(void *user, struct adit_flow *flow) {
  struct adit_tcp_session *session = user;
  (void)flow;
  if (session->state != SESSION_OPEN || session->not_taken) return;
  if (pump_up(session)) settle(session);
}

static void on_writable(void *user, struct adit_flow *flow) {
  struct adit_tcp_session *session = user;
  (void)flow;
  if (session->state != SESSION_OPEN || !session->no_room) return;
  session->no_room = session->retry = false;
  if (pump_down(session)) settle(session);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  struct adit_tcp_session *session = user;
  (void)flow;
  if (session->connect) adit_connect_cancel(session->connect);
  forget(session, error != 0);
}

static const struct adit_flow_events flow_events = {
    .readable = on_bytes_or_end,
    .writable = on_writable,
    .peer_closed = on_bytes_or_end,
    .closed = on_closed,
};

/* ---- what becomes of the connection to the outside --------------------------------------------------------------- */

static void on_done(void *user, struct adit_watch *socket) {
  struct adit_tcp_session *session = user;
  struct adit_relay *relay = session->relay;
  session->connect = NULL;
  relay->stats.connected++;
  int error = adit_loop_hand_over(relay->loop, socket, &session->socket.watch, EPOLLIN, adit_watch_free);
  if (error) adit_loop_close(relay->loop, socket, adit_watch_free);
  if (!error) error = adit_flow_accept(session->flow);
  if (error) {
    relay->stats.flows_limited++;
    adit_log_limited(relay->log, &relay->flow_limit, adit_loop_now(relay->loop), ADIT_LOG_WARNING,
                     adit_flow_id(session->flow), "a connection was refused: %s", strerror(-error));
    end_by_reset(session);
    return;
  }
  adit_flow_await_answers(session->flow);
  session->state = SESSION_OPEN;
  session->active_ns = adit_loop_now(relay->loop);
  renew_timer(session);
}

static void on_failed(void *user, enum adit_refusal how, bool silent, const char *why) {
  struct adit_tcp_session *session = user;
  struct adit_relay *relay = session->relay;
  char text[ADIT_ADDRESS_TEXT];
  session->connect = NULL;
  relay->stats.connects_failed++;
  adit_log_write(relay->log, ADIT_LOG_DEBUG, adit_flow_id(session->flow), "%s: not connected: %s",
                 adit_endpoint_format(adit_flow_local(session->flow), text), why);
  if (silent)
    adit_flow_drop(session->flow);
  else
    adit_flow_refuse(session->flow, how);
  forget(session, false);
}

static const struct adit_connect_events connect_events = {.done = on_done, .failed = on_failed};

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static struct adit_tcp_session *new_session(struct adit_relay *relay, struct adit_flow *flow) {
  struct adit_tcp_session *session = calloc(1, sizeof *session);
  if (!session) return NULL;
  session->socket.ready = on_socket;
  session->relay = relay;
  session->egress = adit_egress_hold(relay->egress);
  session->flow = flow;
  session->timer = (struct adit_timer){.fire = on_timer, .user = session};
  session->began_ns = adit_loop_now(relay->loop);
  session->next = relay->sessions;
  if (session->next) session->next->previous = session;
  relay->sessions = session;
  relay->session_count++;
  return session;
}

/* Where the flow is to go. Returns false for an address of ours that stands for no name. */
static bool find_target(struct adit_tcp_session *session, struct adit_target *target) {
  struct adit_relay *relay = session->relay;
  *target = (struct adit_target){.endpoint = adit_flow_local(session->flow)};
  adit_ip ip = target->endpoint.ip;
  if (!relay->fake || !adit_fake_is_ours(relay, ip)) return true;
  target->name = adit_fake_name(relay, ip);
  if (!target->name) return false;
  target->endpoint.ip = (adit_ip){{0}, 0};
  target->prefer = ip.version;
  adit_fake_hold(relay, ip);
  session->held = ip;
  return true;
}

void adit_tcp_syn(struct adit_relay *relay, struct adit_flow *flow) {
  uint32_t most = relay->options->max_flows ? relay->options->max_flows : MAX_FLOWS;
  uint64_t now_ns = adit_loop_now(relay->loop);
  if (relay->session_count >= most) {
    relay->stats.flows_limited++;
    adit_log_limited(relay->log, &relay->flow_limit, now_ns, ADIT_LOG_WARNING, adit_flow_id(flow),
                     "a connection was refused: there are %u already, which is the bound (--max-flows)", most);
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  struct adit_tcp_session *session = new_session(relay, flow);
  if (!session) {
    relay->stats.flows_limited++;
    adit_flow_refuse(flow, ADIT_REFUSE_RESET);
    return;
  }
  struct adit_target target;
  if (!find_target(session, &target)) {
    adit_flow_refuse(flow, ADIT_REFUSE_HOST_UNREACHABLE);
    forget(session, false);
    return;
  }
  relay->stats.connects++;
  adit_flow_attach(flow, &flow_events, session);
  int error = adit_connect_start(relay, &target, &connect_events, session, &session->connect);
  if (error) {
    relay->stats.connects_failed++;
    adit_log_limited(relay->log, &relay->socket_limit, now_ns, ADIT_LOG_WARNING, adit_flow_id(flow),
                     "a connection was refused: no socket to the outside: %s%s", strerror(-error),
                     error == -EMFILE ? " (raise the limit with ulimit -n)" : "");
    end_by_reset(session);
  }
}

void adit_tcp_stop(struct adit_relay *relay) {
  while (relay->sessions) {
    struct adit_tcp_session *session = relay->sessions;
    if (session->connect) adit_connect_cancel(session->connect);
    end_by_reset(session);
  }
}

/* ---- for who asks ------------------------------------------------------------------------------------------------ */

void adit_tcp_each(const struct adit_relay *relay, void (*each)(void *user, const struct adit_tcp_view *view),
                   void *user) {
  uint64_t now_ns = adit_loop_now(relay->loop);
  for (const struct adit_tcp_session *session = relay->sessions; session; session = session->next) {
    char host[ADIT_DNS_HOST];
    struct adit_tcp_view view = {
        .id = adit_flow_id(session->flow),
        .client = adit_flow_remote(session->flow),
        .target = adit_flow_local(session->flow),
        .connected = session->state != SESSION_CONNECTING,
        .bytes_up = session->bytes_up,
        .bytes_down = session->bytes_down,
        .age_ns = now_ns - session->began_ns,
    };
    uint32_t number = session->held.version ? adit_fake_names_number(session->held) : 0;
    if (number && adit_fake_names_look(relay->options->fake_names, number, now_ns, false, host)) view.name = host;
    each(user, &view);
  }
}
