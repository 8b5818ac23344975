/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Options of the relay as people write them. The same words on the command line, in files and in adit/tunnel.h.
 */
#ifndef ADIT_RELAY_SETTING_H
#define ADIT_RELAY_SETTING_H

#include "relay/relay.h"

/** Room for the reason of a text that is refused. */
#define ADIT_SETTING_REASON 256

/** The words for what happens to datagrams and echo requests, by their enum; NULL behind the last one. */
extern const char *const adit_setting_udp[ADIT_RELAY_UDP_OFF + 2];
extern const char *const adit_setting_icmp[ADIT_RELAY_ICMP_OFF + 2];

/**
 * Find `text` among `words`. Returns its index, or -EINVAL with a sentence in `reason` (ADIT_SETTING_REASON bytes) that
 * names the text and lists the words.
 */
int adit_setting_word(const char *const *words, const char *text, char *reason);

/**
 * Read "off", "fake" or "forward:ADDRESS[:PORT]", an IPv6 address with a port in brackets. Returns 0, `*mode` and, with
 * forward, `*server`; or -EINVAL with a sentence in `reason` (ADIT_SETTING_REASON bytes) that says what to write.
 */
int adit_setting_dns(const char *text, enum adit_relay_dns *mode, adit_endpoint *server, char *reason);

#endif
