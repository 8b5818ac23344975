/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What fake_names.c and fake_cache.c share: the table itself. For these two files.
 */
#ifndef ADIT_RELAY_FAKE_TABLE_H
#define ADIT_RELAY_FAKE_TABLE_H

#include "relay/fake_names.h"

#include <assert.h>
#include <pthread.h>

/** A name with its number. */
struct adit_fake_name {
  struct adit_fake_name *next_in_bucket;
  struct adit_fake_name *next; /**< list by last use; not while it is held */
  struct adit_fake_name *previous;
  uint64_t reserved_ns; /**< until then it is not given up */
  uint32_t holds;
  uint32_t number;
  char host[]; /**< lower case */
};

struct adit_fake_names {
  pthread_mutex_t lock; /**< guards everything that changes after adit_fake_names_new */
  pthread_mutex_t file; /**< one writes the file at a time; taken before `lock` */
  uint32_t size;        /**< numbers go from 1 to it */
  uint32_t count;       /**< names */
  uint32_t cursor;      /**< where a number that is nobody's is looked for next */
  bool changed;         /**< since the file was written */
  struct adit_fake_name **by_number;
  struct adit_fake_name **bucket;
  size_t buckets; /**< power of two */
  struct adit_fake_name *first;
  struct adit_fake_name *last;
  uint32_t *except; /**< numbers that are not given out */
  size_t excepts;
  const char *cache; /**< NULL = no file, and no thread that writes it */
  pthread_t writer;
  pthread_cond_t end; /**< with `lock` */
  bool ends;          /**< the writer is to end */
  struct adit_log log;
  uint8_t secret[16]; /**< of the hash, so that nobody can choose names that collide */
};

/** Add a name whose number is free. Returns it, or NULL without memory. */
struct adit_fake_name *adit_fake_table_add(struct adit_fake_names *names, const char *host, uint32_t number);

/** Whether the number can be given to this name, and the name has none. */
bool adit_fake_table_is_free(const struct adit_fake_names *names, const char *host, uint32_t number);

/** Reserve it from now on. */
void adit_fake_table_use(struct adit_fake_names *names, struct adit_fake_name *name, uint64_t now_ns);

/** Forget every name; none may be held. */
void adit_fake_table_clear(struct adit_fake_names *names);

/** Read the file, if there is one, into a table that is new. */
void adit_fake_cache_read(struct adit_fake_names *names, uint64_t now_ns);

/** Begin to write the file now and then, if there is one. Returns 0 or a negative errno. */
int adit_fake_cache_start(struct adit_fake_names *names);

/** Write it for the last time and end. */
void adit_fake_cache_stop(struct adit_fake_names *names);

#endif
