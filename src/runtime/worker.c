/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A worker: one thread with one device queue, one stack, its buffers and its application.
 *
 * A turn:
 *   1. wait     until the device is readable, a message, a socket, a timer or the deadline of stack or device; at once
 *               (without sleeping) when the last burst ended at its bound, because more packets wait then
 *   2. clock    device and stack are told the time, which does what became due
 *   3. events   mailbox, sockets, each with a flush of its own; the device is only noted
 *   4. burst    read and input, until the device has none, or a bound in packets or bytes is reached
 *   5. flush    timers; then `readable` events, ACKs, data and what timers did go out; deferred work, and a flush for it
 *   6. out      packets that the device kept for each other are written
 *   7. reap     release; publish the numbers
 * So a packet costs one read and what it makes the stack send one write each, or their parts of one
 * (adit_device_gather); the wait, the clock and the numbers are paid once a burst.
 *
 * Time before packets (2 before 4): what a packet makes the stack note (round-trip times, deadlines) is then of this
 * turn and not of the last one, which may be seconds ago.
 *
 * Writes that the kernel does not take are counted and forgotten: to the peer it is loss, which TCP repairs and UDP
 * knows. A TUN never says EAGAIN to a write (it drops by itself); a socket that was handed in may. Reads that fail end
 * the worker, except where the device says that only a packet was at fault, or memory: then reading pauses for
 * PAUSE_NS, since the packet stays where it is and the fd stays readable.
 *
 * Lifetimes: new makes mailbox, loop and pool; the thread makes the stack (lwIP's state is the thread's) and the
 * application's state, and unmakes them in reverse: stop, last flush, stack, state. The pool outlives the stack, which
 * gives its buffers back. The mailbox outlives the thread, so that stop and call are safe at any time before free.
 */
#include "runtime/worker.h"

#include "device/device.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long reading pauses when there is no memory for a packet. */
#define PAUSE_NS UINT64_C(1000000)
/* The pause is always set, so that setting it takes no memory when there is none; this is when there is no pause. */
#define NEVER UINT64_MAX
/* Slice asked of the scheduler, where the kernel has 3 ms. */
#define SLICE_NS UINT64_C(200000)
/* Rounds of deferred work in one turn; what is left then is done in the next one, after looking for packets. */
#define WORK_ROUNDS 4

enum state {
  STATE_NEW,     /* made; there is no thread */
  STATE_STARTED, /* a thread is there; to be joined once */
  STATE_JOINED   /* it was joined, or could not start */
};

struct adit_worker {
  struct adit_worker_options options; /* `log` is the one below */
  struct adit_log log;                /* its thread's own once that runs */
  struct adit_stack_events events; /* what the stack calls; the application's are reached through the functions below */
  struct adit_mailbox mailbox;
  struct adit_loop *loop;
  struct adit_pool *pool;
  struct adit_watch mailbox_watch;
  struct adit_watch device_watch;
  struct adit_timer pause;

  /* Between the thread that starts it and its own; under `lock`. */
  pthread_t thread;
  enum state state;
  pthread_mutex_t lock;
  pthread_cond_t answered;
  bool answer;     /* the thread has said whether it started */
  int start_error; /* what it said */
  int error;       /* why it ended; read after the join */

  /* Its thread's own. */
  struct adit_stack *stack;
  void *state_of_application;
  bool readable;     /* the device may have packets */
  bool hung_up;      /* epoll said that the device is gone */
  unsigned expected; /* packets in the next burst, by what came in the last ones */
  bool stopping;
  struct adit_stats stats;
  struct adit_log_limit write_limit;
  struct adit_log_limit pool_limit;

  struct adit_stats_cell cell; /* read by everybody */
};

/* ---- between stack, device and application ----------------------------------------------------------------------- */

static void count_lost(struct adit_worker *worker, unsigned count, int error) {
  if (error == -EAGAIN || error == -EWOULDBLOCK || error == -ENOBUFS) {
    worker->stats.write_full += count;
    return;
  }
  worker->stats.write_errors += count;
  adit_log_limited(worker->options.log, &worker->write_limit, adit_loop_now(worker->loop), ADIT_LOG_WARNING, 0,
                   "%s: packets are lost: writing failed: %s", adit_device_name(worker->options.device),
                   strerror(-error));
}

static int write_packet(void *user, const struct adit_packet *packet) {
  struct adit_worker *worker = user;
  int error = adit_device_write(worker->options.device, packet);
  if (error == 0) return 0;
  if (packet->length > ADIT_PACKET_MAX) return error; /* it comes again, in parts */
  count_lost(worker, 1, error);
  return error;
}

/* What the device has kept goes out. */
static void write_out(struct adit_worker *worker) {
  int error;
  unsigned lost = adit_device_flush(worker->options.device, &error);
  if (lost > 0) count_lost(worker, lost, error);
}

static void on_syn(void *user, struct adit_flow *flow) {
  struct adit_worker *worker = user;
  worker->options.application->syn(worker->state_of_application, flow);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct adit_worker *worker = user;
  worker->options.application->datagram(worker->state_of_application, datagram);
}

static void on_echo(void *user, const struct adit_echo *echo) {
  struct adit_worker *worker = user;
  worker->options.application->echo(worker->state_of_application, echo);
}

/* ---- a turn ------------------------------------------------------------------------------------------------------ */

static void on_event(void *user, struct adit_watch *watch, uint32_t events) {
  struct adit_worker *worker = user;
  switch (watch->kind) {
  case ADIT_WATCH_MAILBOX:
    worker->stopping = !adit_mailbox_deliver(&worker->mailbox);
    break;
  case ADIT_WATCH_DEVICE:
    worker->readable = true;
    worker->hung_up = (events & (EPOLLERR | EPOLLHUP)) != 0;
    break;
  case ADIT_WATCH_SOCKET:
    worker->options.application->socket(worker->state_of_application, watch, events);
    adit_stack_flush(worker->stack); /* what came goes on while it is in the cache: the next socket may bring as much */
    break;
  case ADIT_WATCH_KINDS:
    break;
  }
}

static void resume_reading(void *user, struct adit_timer *timer) {
  struct adit_worker *worker = user;
  worker->readable = true;
  adit_timers_set(adit_loop_timers(worker->loop), timer, NEVER); /* into the room that it just left */
  adit_loop_rewatch(worker->loop, &worker->device_watch, EPOLLIN);
}

static bool is_paused(const struct adit_worker *worker) {
  return worker->pause.due_ns != NEVER;
}

/* No memory for a packet: look away for a moment, in which the stack may give buffers back. */
static void pause_reading(struct adit_worker *worker) {
  uint64_t now_ns = adit_loop_now(worker->loop);
  worker->stats.pool_empty++;
  worker->readable = false;
  adit_timers_set(adit_loop_timers(worker->loop), &worker->pause, now_ns + PAUSE_NS);
  adit_loop_rewatch(worker->loop, &worker->device_watch, 0);
  adit_log_limited(worker->options.log, &worker->pool_limit, now_ns, ADIT_LOG_WARNING, 0,
                   "%s: reading paused: no memory for another packet", adit_device_name(worker->options.device));
}

/* Returns 0, or why the device cannot be read any more. */
static int read_burst(struct adit_worker *worker) {
  struct adit_device *device = worker->options.device;
  bool hung_up = worker->hung_up;
  worker->hung_up = false;
  worker->stats.bursts++;
  size_t bytes = 0;
  unsigned most = worker->expected;
  unsigned i;
  adit_device_expect(device, most);
  for (i = 0; i < most && bytes < ADIT_WORKER_BURST_BYTES; i++) {
    struct adit_buffer *buffer;
    int got = adit_device_read(device, worker->pool, &buffer);
    switch (got) {
    case 1:
      bytes += buffer->length;
      adit_stack_input(worker->stack, buffer);
      break;
    case -EBADMSG: /* counted by the device */
    case -EINTR:
      break;
    case -EAGAIN:
      worker->readable = false;
      worker->expected = i > 0 ? i : 1;
      return hung_up && i == 0 ? -ENODEV : 0; /* nothing to read, and nothing will come: do not spin on it */
    case -ENOBUFS:
      pause_reading(worker);
      return 0;
    case 0:
      return -EPIPE; /* an end that only a stream has: the other side of a socket that was handed in has closed it */
    default:
      return got;
    }
  }
  if (bytes >= ADIT_WORKER_BURST_BYTES) { /* and that is what as many bring */
    worker->expected = i;
    worker->readable = true;
    return 0;
  }
  /* As many as last time have come. Whether there are more, the next wait tells, which has to ask for sockets anyway. */
  worker->expected = 2 * most < ADIT_WORKER_BURST ? 2 * most : ADIT_WORKER_BURST;
  worker->readable = i == ADIT_WORKER_BURST;
  return 0;
}

static void publish(struct adit_worker *worker) {
  adit_stack_stats(worker->stack, &worker->stats.stack);
  worker->stats.device_drops = adit_device_dropped(worker->options.device);
  if (worker->options.application->count)
    worker->options.application->count(worker->state_of_application, worker->stats.application);
  adit_stats_publish(&worker->cell, &worker->stats);
}

/* Returns 0, or why the worker cannot go on. */
static int turn(struct adit_worker *worker) {
  struct adit_device *device = worker->options.device;
  uint64_t deadline_ns = is_paused(worker) ? UINT64_MAX : adit_device_deadline(device);
  if (adit_stack_deadline(worker->stack) < deadline_ns) deadline_ns = adit_stack_deadline(worker->stack);
  int count = adit_loop_wait(worker->loop, worker->readable ? 0 : deadline_ns);
  if (count < 0) {
    adit_log_write(worker->options.log, ADIT_LOG_ERROR, 0, "worker %u: waiting for events failed: %s",
                   worker->options.index, strerror(-count));
    return count;
  }
  if (adit_device_advance(device, adit_loop_now(worker->loop)) && !is_paused(worker)) worker->readable = true;
  adit_stack_advance(worker->stack, adit_loop_now(worker->loop));
  adit_loop_dispatch(worker->loop, on_event, worker);

  int error = worker->readable && !worker->stopping ? read_burst(worker) : 0;

  adit_loop_fire(worker->loop);
  adit_stack_flush(worker->stack);
  bool worked = true;
  for (unsigned round = 0; worked && round < WORK_ROUNDS; round++) {
    worked = adit_loop_work(worker->loop);
    if (worked) adit_stack_flush(worker->stack);
  }
  write_out(worker);
  adit_loop_reap(worker->loop);
  publish(worker);
  if (error)
    adit_log_write(worker->options.log, ADIT_LOG_ERROR, 0, "%s: queue %u cannot be read any more: %s%s",
                   adit_device_name(device), worker->options.index, strerror(-error),
                   error == -EBADFD || error == -ENODEV || error == -EIO ? " (the device was removed or set down)"
                                                                         : "");
  return error;
}

/* ---- its thread -------------------------------------------------------------------------------------------------- */

static int make_stack(struct adit_worker *worker) {
  const struct adit_application *application = worker->options.application;
  struct adit_device *device = worker->options.device;
  static const uint8_t no_secret[sizeof worker->options.stack->secret];

  worker->events = (struct adit_stack_events){
      .output = write_packet,
      .syn = application->syn ? on_syn : NULL,
      .datagram = application->datagram ? on_datagram : NULL,
      .echo = application->echo ? on_echo : NULL,
  };
  struct adit_stack_options options = *worker->options.stack;
  options.size = sizeof options;
  options.events = &worker->events;
  options.user = worker;
  options.now_ns = adit_loop_clock(worker->loop);
  options.offload = adit_device_offload(device);
  options.ethernet = adit_device_link(device) == ADIT_LINK_ETHERNET;
  if (memcmp(options.secret, no_secret, sizeof no_secret) == 0 &&
      getrandom(options.secret, sizeof options.secret, 0) != sizeof options.secret)
    return errno ? -errno : -EIO;
  return adit_stack_new(&options, &worker->stack);
}

static void answer_start(struct adit_worker *worker, int error) {
  pthread_mutex_lock(&worker->lock);
  worker->answer = true;
  worker->start_error = error;
  pthread_cond_signal(&worker->answered);
  pthread_mutex_unlock(&worker->lock);
}

/*
 * A worker runs for microseconds at a time, and packets wait meanwhile. Where it shares its processor, a short slice
 * has the scheduler let it run sooner when it wakes, for the same share in the long run (Linux 6.12; older kernels
 * ignore it).
 */
static void ask_for_short_slices(void) {
  struct { /* struct sched_attr (linux/sched/types.h), which some versions of <sched.h> define as well */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t least, most;
  } attributes = {.size = sizeof attributes};
  _Static_assert(sizeof attributes == 56, "as the kernel has it");
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return;
  if (attributes.policy != SCHED_OTHER) return; /* somebody has chosen otherwise */
  attributes.runtime = SLICE_NS;
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static void *run(void *argument) {
  struct adit_worker *worker = argument;
  const struct adit_application *application = worker->options.application;
  bool started = false;
  char name[16];

  snprintf(name, sizeof name, "adit-%u", worker->options.index);
  pthread_setname_np(pthread_self(), name); /* for `top -H`; not having it harms nobody */
  ask_for_short_slices();
  adit_mailbox_own(&worker->mailbox);
  int error = adit_timers_set(adit_loop_timers(worker->loop), &worker->pause, NEVER);
  if (error) goto no_stack;
  error = make_stack(worker);
  if (error) goto no_stack;
  error = application->start(worker->options.user, worker, &worker->state_of_application);
  if (error) goto no_application;
  error = adit_loop_watch(worker->loop, &worker->mailbox_watch, ADIT_WATCH_MAILBOX, worker->mailbox.fd, EPOLLIN);
  if (error) goto no_mailbox;
  error = adit_loop_watch(worker->loop, &worker->device_watch, ADIT_WATCH_DEVICE,
                          adit_device_fd(worker->options.device), EPOLLIN);
  if (error) goto no_device;

  started = true;
  publish(worker);
  answer_start(worker, 0);
  while (!worker->stopping && error == 0) error = turn(worker);

  adit_loop_unwatch(worker->loop, &worker->device_watch, NULL);
no_device:
  adit_loop_unwatch(worker->loop, &worker->mailbox_watch, NULL);
no_mailbox:
  adit_mailbox_close(&worker->mailbox);
  if (application->stop) application->stop(worker->state_of_application);
  adit_stack_flush(worker->stack);
  write_out(worker);
  adit_loop_reap(worker->loop);
  publish(worker);
  adit_stack_free(worker->stack);
  if (application->free) application->free(worker->state_of_application);
  goto no_stack;
no_application:
  adit_stack_free(worker->stack);
no_stack:
  adit_mailbox_close(&worker->mailbox);
  worker->error = error;
  if (!started)
    answer_start(worker, error);
  else if (worker->options.ended)
    worker->options.ended(worker->options.ended_user, worker->options.index, error);
  return NULL;
}

/* ---- from other threads ------------------------------------------------------------------------------------------ */

int adit_worker_new(const struct adit_worker_options *options, struct adit_worker **worker) {
  if (!options->device || !options->stack || !options->application || !options->application->start ||
      adit_device_fd(options->device) < 0)
    return -EINVAL;
  /* aligned_alloc: the cell keeps to cache lines of its own */
  size_t room = (sizeof(struct adit_worker) + 63) / 64 * 64;
  struct adit_worker *made = aligned_alloc(64, room);
  if (!made) return -ENOMEM;
  memset(made, 0, sizeof *made);
  made->options = *options;
  made->expected = 1;
  if (options->log) made->log = *options->log;
  made->options.log = &made->log;
  made->pause = (struct adit_timer){.fire = resume_reading, .user = made};

  int error = adit_mailbox_init(&made->mailbox);
  if (error) goto no_mailbox;
  error = adit_loop_new(&made->loop);
  if (error) goto no_loop;
  error = adit_pool_new(0, &made->pool);
  if (error) goto no_pool;
  error = -pthread_mutex_init(&made->lock, NULL);
  if (error) goto no_lock;
  error = -pthread_cond_init(&made->answered, NULL);
  if (error) goto no_condition;
  *worker = made;
  return 0;

no_condition:
  pthread_mutex_destroy(&made->lock);
no_lock:
  adit_pool_free(made->pool);
no_pool:
  adit_loop_free(made->loop);
no_loop:
  adit_mailbox_destroy(&made->mailbox);
no_mailbox:
  free(made);
  return error;
}

/* The mask is the calling thread's own and is put back: signals stay with the threads that the program has. */
static int make_thread(struct adit_worker *worker) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigdelset(&all, SIGSYS); /* comes of a call of one's own: blocked, it would end the process without a word */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = -pthread_create(&worker->thread, NULL, run, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

int adit_worker_start(struct adit_worker *worker) {
  if (worker->state != STATE_NEW) return -EALREADY;
  int error = make_thread(worker);
  if (error) {
    adit_mailbox_close(&worker->mailbox);
    worker->state = STATE_JOINED;
    worker->error = error;
    return error;
  }
  worker->state = STATE_STARTED;
  pthread_mutex_lock(&worker->lock);
  while (!worker->answer) pthread_cond_wait(&worker->answered, &worker->lock);
  error = worker->start_error;
  pthread_mutex_unlock(&worker->lock);
  if (error) adit_worker_join(worker);
  return error;
}

void adit_worker_stop(struct adit_worker *worker) {
  adit_mailbox_stop(&worker->mailbox);
}

int adit_worker_join(struct adit_worker *worker) {
  if (worker->state == STATE_STARTED) {
    pthread_join(worker->thread, NULL);
    worker->state = STATE_JOINED;
  }
  return worker->error;
}

void adit_worker_free(struct adit_worker *worker) {
  if (!worker) return;
  adit_worker_stop(worker);
  adit_worker_join(worker);
  adit_mailbox_close(&worker->mailbox);
  pthread_cond_destroy(&worker->answered);
  pthread_mutex_destroy(&worker->lock);
  adit_loop_free(worker->loop);
  adit_pool_free(worker->pool);
  adit_mailbox_destroy(&worker->mailbox);
  free(worker);
}

int adit_worker_post(struct adit_worker *worker, struct adit_message *message) {
  return adit_mailbox_post(&worker->mailbox, message);
}

int adit_worker_call(struct adit_worker *worker, void (*run_there)(void *user), void *user) {
  return adit_mailbox_call(&worker->mailbox, run_there, user);
}

void adit_worker_set_log_level(struct adit_worker *worker, enum adit_log_level level) {
  worker->log.level = level;
}

void adit_worker_stats(const struct adit_worker *worker, struct adit_stats *sum) {
  adit_stats_add(&worker->cell, sum);
}

unsigned adit_worker_index(const struct adit_worker *worker) {
  return worker->options.index;
}

struct adit_stack *adit_worker_stack(struct adit_worker *worker) {
  return worker->stack;
}

struct adit_loop *adit_worker_loop(struct adit_worker *worker) {
  return worker->loop;
}

const struct adit_log *adit_worker_log(const struct adit_worker *worker) {
  return worker->options.log;
}

void *adit_worker_state(const struct adit_worker *worker) {
  return worker->state_of_application;
}
