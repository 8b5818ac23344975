/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options to a device that is open, configured and up.
 */
#ifndef ADIT_CLI_OPEN_H
#define ADIT_CLI_OPEN_H

#include "cli/commands.h"

#include <adit/device.h>

/** Most queues of a device. */
#define ADIT_CLI_QUEUES_MAX 256

struct adit_cli_undo;

/** An open device and what is known of it. */
struct adit_cli_device {
  struct adit_device *queue[ADIT_CLI_QUEUES_MAX]; /**< owned */
  unsigned queues;                                /**< how many of them, at least 1 */
  const char *name;                               /**< borrowed from queue[0] */
  uint32_t mtu;                                   /**< of the interface, or what --mtu said, or 1500 */
  struct adit_cli_cidrs address;                  /**< all that the interface has, whoever set them; may be empty */
  struct adit_cli_undo *undo;                     /**< what is to be taken back at the end; private */
};

/**
 * Open the device that the options describe, give it its addresses, MTU and bridge, and set it up. Without --address it
 * gets 192.168.3.11/24 and fdad:3::11/64 (the latter only with an MTU of 1280 and above, and only where the kernel has
 * IPv6); with --bridge, --fd or a --dev that existed before, only what the options name is configured.
 * `offload` says what ADIT_CLI_OFFLOAD_DEFAULT means for this command.
 *
 * Returns ADIT_CLI_DONE and `*device`; or the exit status, with the reason said on standard error and nothing left behind.
 */
enum adit_cli_status adit_cli_open(const struct adit_cli_options *options, bool offload,
                                   struct adit_cli_device *device);

/**
 * Close the device; it vanishes with all that was configured. If it existed before, what was configured on it here is
 * taken back.
 */
void adit_cli_close(struct adit_cli_device *device);

/** Whether adit_cli_close will have something to take back, which takes CAP_NET_ADMIN. */
bool adit_cli_puts_back(const struct adit_cli_device *device);

/** One line about the device, "adit0 (TUN, MTU 1500, 192.168.3.11/24, fdad:3::11/64)", in `text`. Returns `text`. */
char *adit_cli_describe(const struct adit_cli_device *device, char *text, size_t size);

/**
 * The networks that a stack behind this device answers for, for `answer` of adit_stack_options: those of --answer or,
 * without it, those of the device's addresses except link-local ones. Returns their number; 0 = every address, which is
 * wrong on a network with others (Ethernet).
 */
size_t adit_cli_answers(const struct adit_cli_options *options, const struct adit_cli_device *device,
                        struct adit_cli_cidrs *answers);

/** Most that adit_cli_excepts finds. */
#define ADIT_CLI_EXCEPTS (2 * ADIT_CLI_LIST)

/**
 * What no stack behind a device with these addresses is, for `except` of adit_stack_options: the addresses, which are the
 * kernel's, and the broadcast address of each IPv4 network, to which nobody answers (RFC 1122, 3.2.2.6 and 4.2.3.10).
 * `excepts` has room for ADIT_CLI_EXCEPTS. Returns their number.
 */
size_t adit_cli_excepts(const struct adit_cli_cidrs *address, adit_ip *excepts);

#endif
