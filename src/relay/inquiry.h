/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The addresses of one name, asked of nameservers.
 */
#ifndef ADIT_RELAY_INQUIRY_H
#define ADIT_RELAY_INQUIRY_H

#include "relay/nameservers.h"
#include "relay/state.h"

struct adit_inquiry_query;
struct adit_inquiry_call;

enum { ADIT_INQUIRY_MOST = 8 }; /**< most addresses of one family that are looked at */

/** A family of addresses, each asked for by a question of its own. */
enum adit_inquiry_family { ADIT_INQUIRY_A, ADIT_INQUIRY_AAAA, ADIT_INQUIRY_FAMILIES };

/** What the inquiries of one worker share. The owner fills it; see adit_inquirer_free. */
struct adit_inquirer {
  struct adit_relay *relay;
  struct adit_nameservers nameservers; /**< complete: no zero stands for a default any more, but in `by` */
  /** To servers that had to be asked over TCP; made when it is needed, then kept. */
  struct adit_dns_line *line[ADIT_NAMESERVERS_MOST];
};

/** What becomes of an inquiry; exactly one, once, from the loop and never from start. The inquiry may be freed inside. */
struct adit_inquiry_events {
  /** There is at least one address at `family`. */
  void (*found)(void *user);
  /** `exists` is false when the servers say that there is no such name, or no address of it. `why` is for the log. */
  void (*failed)(void *user, bool exists, const char *why);
};

/** One name that is asked for. Its members are written by inquiry.c alone. */
struct adit_inquiry {
  struct adit_inquirer *inquirer; /**< borrowed */
  const char *host;               /**< borrowed */
  const struct adit_inquiry_events *events;
  void *user;                                            /**< for `events` */
  struct adit_inquiry_query *query;                      /**< the socket of this try; NULL between two */
  struct adit_inquiry_call *call[ADIT_INQUIRY_FAMILIES]; /**< questions over TCP that wait; NULL where there is none */
  struct adit_timer timer;
  unsigned tries; /**< begun, the one under way included */
  struct {
    uint16_t id; /**< of this try's question */
    bool answered;
    unsigned count; /**< of addresses */
    adit_ip address[ADIT_INQUIRY_MOST];
  } family[ADIT_INQUIRY_FAMILIES]; /**< what was found; stays after the end */
  uint32_t ttl_s;                  /**< the shortest of all; UINT32_MAX = nothing was found */
  bool looped;                     /**< an answer had addresses that we made up */
};

/**
 * Begin to ask for the addresses of `host` (as adit_dns_host writes it), which is borrowed until the end. The first
 * question leaves with the timers of this turn. Returns 0; or -ENOMEM, then there is no event.
 */
int adit_inquiry_start(struct adit_inquiry *inquiry, struct adit_inquirer *inquirer, const char *host,
                       const struct adit_inquiry_events *events, void *user);

/** Nothing more is expected, and no event follows. Allowed at any time after the start. */
void adit_inquiry_stop(struct adit_inquiry *inquiry);

/** Whether the loop has deferred work of it: then it must not be freed unless the loop will do none any more. */
bool adit_inquirer_has_work(const struct adit_inquirer *inquirer);

/** Give up the lines. All inquiries have been stopped before. */
void adit_inquirer_free(struct adit_inquirer *inquirer);

#endif
