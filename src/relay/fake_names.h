/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The table of names and the addresses that stand for them, shared by all workers of a runtime.
 */
#ifndef ADIT_RELAY_FAKE_NAMES_H
#define ADIT_RELAY_FAKE_NAMES_H

#include "relay/dns_message.h"
#include "runtime/log.h"

#include <adit/address.h>

struct adit_fake_names;

/** Times in seconds: what an answer says, and for how long its address is surely not given to another name. */
enum {
  ADIT_FAKE_TTL_S = 60,
  ADIT_FAKE_RESERVED_S = 90 /**< longer than the TTL: an answer is under way for a while, and so is who acts on it */
};

/** How to make a table. Zero is the default. */
struct adit_fake_options {
  uint32_t size;         /**< numbers, and so names at a time, at most ADIT_FAKE_MOST; 0 = that many */
  const adit_ip *except; /**< addresses that are not given out, such as the device's own; copied. May be NULL */
  size_t excepts;        /**< number of them */
  const char *cache;     /**< file in which the table survives; borrowed; NULL = none */
  struct adit_log log;   /**< copied */
  uint64_t now_ns;       /**< monotonic time */
};

/** Largest number: 198.18.0.0/15 without its first and last address. */
#define ADIT_FAKE_MOST UINT32_C(131070)

/**
 * Make a table and read the file. A file that is not there is fine; one that is not whole is named in the log and
 * ignored. Returns 0 and `*names`, owned by the caller, or -ENOMEM, -EINVAL.
 */
int adit_fake_names_new(const struct adit_fake_options *options, struct adit_fake_names **names);

/** Write the file, if there is one and something has changed, and free everything. NULL is allowed. */
void adit_fake_names_free(struct adit_fake_names *names);

/*
 * All below from any thread. A number stands for one address of each family; 0 is no number.
 */

/**
 * The number of a name, which is given one if it has none; it is reserved for ADIT_FAKE_RESERVED_S from now. `host` as
 * adit_dns_host writes it. Returns 0, or -ENOSPC when all numbers are in use, -ENOMEM.
 */
int adit_fake_names_take(struct adit_fake_names *names, const char *host, uint64_t now_ns, uint32_t *number);

/**
 * The name of a number, in `host`; it is then reserved as above. Returns whether it has one. `reserve` false only
 * looks.
 */
bool adit_fake_names_look(struct adit_fake_names *names, uint32_t number, uint64_t now_ns, bool reserve,
                          char host[ADIT_DNS_HOST]);

/** The number is in use: it keeps its name until it was released as often. Nothing happens when it has no name. */
void adit_fake_names_hold(struct adit_fake_names *names, uint32_t number);
void adit_fake_names_release(struct adit_fake_names *names, uint32_t number, uint64_t now_ns);

/** How many names there are. */
uint32_t adit_fake_names_count(struct adit_fake_names *names);

/** Write the file if there is one and something has changed. Blocks. Returns 0, or a negative errno that was logged. */
int adit_fake_names_save(struct adit_fake_names *names);

/** Whether an address lies in the pools, 198.18.0.0/15 and fd00:198:18::/48. */
bool adit_fake_names_covers(adit_ip ip);

/** The number that an address stands for; 0 when it can be none. */
uint32_t adit_fake_names_number(adit_ip ip);

/** The address of `version` for a number. */
adit_ip adit_fake_names_address(uint32_t number, unsigned version);

#endif
