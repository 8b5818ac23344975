/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Messages to a worker from any thread: do this, do this and I wait, stop.
 */
#ifndef ADIT_RUNTIME_MAILBOX_H
#define ADIT_RUNTIME_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

/** Something to be done by the mailbox's owner. Memory of the sender's, until one of the two functions was called. */
struct adit_message {
  void (*run)(void *user); /**< in the owner's thread */
  void (*discard)(
      void *user); /**< instead of `run`, when the mailbox closes before; in the owner's thread; may be NULL */
  void *user;
  struct adit_message *next; /**< the mailbox's */
};

/** Where messages wait. Made and closed by its owner, one thread; posted to by others. */
struct adit_mailbox {
  pthread_mutex_t lock;       /**< guards everything below but `fd` */
  int fd;                     /**< eventfd, readable while there is something to do; owned */
  struct adit_message *first; /**< oldest */
  struct adit_message **end;  /**< where the next one is linked */
  bool stop;                  /**< adit_mailbox_stop was called */
  bool closed;                /**< nothing is taken any more */
  bool owned;                 /**< `owner` is known */
  pthread_t owner;            /**< the thread that delivers */
};

/** Make a mailbox. Returns 0, or -EMFILE, -ENFILE, -ENOMEM. */
int adit_mailbox_init(struct adit_mailbox *mailbox);

/** The calling thread is the one that delivers from now on. */
void adit_mailbox_own(struct adit_mailbox *mailbox);

/** Free what it holds. Nobody may use it any more. It must have been closed, or never been posted to. */
void adit_mailbox_destroy(struct adit_mailbox *mailbox);

/** Have `message` done. From any thread. Returns 0; or -ESHUTDOWN, then nobody is called. */
int adit_mailbox_post(struct adit_mailbox *mailbox, struct adit_message *message);

/**
 * Have `run` done by the owner and wait until it was. From any thread but the owner's.
 * Returns 0; -ESHUTDOWN or -ECANCELED when the mailbox was or became closed before; -EDEADLK for the owner itself.
 */
int adit_mailbox_call(struct adit_mailbox *mailbox, void (*run)(void *user), void *user);

/** Ask the owner to stop. From any thread, as often as one likes, also before the owner began and after it ended. */
void adit_mailbox_stop(struct adit_mailbox *mailbox);

/** Do what waits, in the order it came. Returns false when a stop was asked for. Only by the owner. */
bool adit_mailbox_deliver(struct adit_mailbox *mailbox);

/** Take nothing any more and discard what waits. Only by the owner, or when there is none. */
void adit_mailbox_close(struct adit_mailbox *mailbox);

#endif
