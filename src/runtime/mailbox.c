/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Messages to a worker from any thread.
 *
 * A list under a lock, and an eventfd that wakes the owner's loop. The lock is held to link or to take the whole list,
 * never while a message runs, so a message may post others. The eventfd is written only when the list was empty: a
 * thousand posts wake the owner once.
 *
 * Every message that was taken ends in exactly one of `run` and `discard`; adit_mailbox_call rests on that, its message
 * lies on the waiting thread's stack. A stop is a flag instead of a message: it needs no memory, may come before the
 * owner's loop runs, and cannot be lost.
 */
#include "runtime/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int adit_mailbox_init(struct adit_mailbox *mailbox) {
  memset(mailbox, 0, sizeof *mailbox);
  mailbox->end = &mailbox->first;
  mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (mailbox->fd < 0) return -errno;
  int error = pthread_mutex_init(&mailbox->lock, NULL);
  if (error) {
    close(mailbox->fd);
    return -error;
  }
  return 0;
}

void adit_mailbox_own(struct adit_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  mailbox->owner = pthread_self();
  mailbox->owned = true;
  pthread_mutex_unlock(&mailbox->lock);
}

void adit_mailbox_destroy(struct adit_mailbox *mailbox) {
  pthread_mutex_destroy(&mailbox->lock);
  close(mailbox->fd);
}

/* The counter cannot overflow (2^64 - 2), so a failed write can only mean that the fd is readable anyway. */
static void wake(struct adit_mailbox *mailbox) {
  uint64_t one = 1;
  ssize_t written = write(mailbox->fd, &one, sizeof one);
  (void)written;
}

int adit_mailbox_post(struct adit_mailbox *mailbox, struct adit_message *message) {
  message->next = NULL;
  pthread_mutex_lock(&mailbox->lock);
  if (mailbox->closed) {
    pthread_mutex_unlock(&mailbox->lock);
    return -ESHUTDOWN;
  }
  if (!mailbox->first) wake(mailbox);
  *mailbox->end = message;
  mailbox->end = &message->next;
  pthread_mutex_unlock(&mailbox->lock);
  return 0;
}

/* ---- a call: a message and somebody who waits for it ------------------------------------------------------------- */

struct call {
  struct adit_message message;
  void (*run)(void *user);
  void *user;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool done;
  int error;
};

static void end_call(struct call *call, int error) {
  pthread_mutex_lock(&call->lock);
  call->done = true;
  call->error = error;
  pthread_cond_signal(&call->ended); /* inside the lock: the waiting thread frees both as soon as it has it */
  pthread_mutex_unlock(&call->lock);
}

static void run_call(void *user) {
  struct call *call = user;
  call->run(call->user);
  end_call(call, 0);
}

static void discard_call(void *user) {
  end_call(user, -ECANCELED);
}

int adit_mailbox_call(struct adit_mailbox *mailbox, void (*run)(void *user), void *user) {
  pthread_mutex_lock(&mailbox->lock);
  bool by_owner = mailbox->owned && pthread_equal(mailbox->owner, pthread_self());
  pthread_mutex_unlock(&mailbox->lock);
  if (by_owner) return -EDEADLK;

  struct call call = {.message = {.run = run_call, .discard = discard_call, .user = &call}, .run = run, .user = user};
  pthread_mutex_init(&call.lock, NULL);
  pthread_cond_init(&call.ended, NULL);
  int error = adit_mailbox_post(mailbox, &call.message);
  if (!error) {
    pthread_mutex_lock(&call.lock);
    while (!call.done) pthread_cond_wait(&call.ended, &call.lock);
    error = call.error;
    pthread_mutex_unlock(&call.lock);
  }
  pthread_cond_destroy(&call.ended);
  pthread_mutex_destroy(&call.lock);
  return error;
}

/* ---- the owner's side -------------------------------------------------------------------------------------------- */

void adit_mailbox_stop(struct adit_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  if (!mailbox->stop) wake(mailbox);
  mailbox->stop = true;
  pthread_mutex_unlock(&mailbox->lock);
}

static struct adit_message *take_all(struct adit_mailbox *mailbox) {
  struct adit_message *all = mailbox->first;
  mailbox->first = NULL;
  mailbox->end = &mailbox->first;
  return all;
}

bool adit_mailbox_deliver(struct adit_mailbox *mailbox) {
  uint64_t count;
  ssize_t got = read(mailbox->fd, &count, sizeof count); /* before the list is taken: a later post wakes again */
  (void)got;
  pthread_mutex_lock(&mailbox->lock);
  struct adit_message *message = take_all(mailbox);
  pthread_mutex_unlock(&mailbox->lock);
  while (message) {
    struct adit_message *next = message->next; /* the message may be gone once it ran */
    message->run(message->user);
    message = next;
  }
  pthread_mutex_lock(&mailbox->lock);
  bool stop = mailbox->stop;
  pthread_mutex_unlock(&mailbox->lock);
  return !stop;
}

void adit_mailbox_close(struct adit_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  mailbox->closed = true;
  struct adit_message *message = take_all(mailbox);
  pthread_mutex_unlock(&mailbox->lock);
  while (message) {
    struct adit_message *next = message->next;
    if (message->discard) message->discard(message->user);
    message = next;
  }
}
