/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The loop of the simple commands: every packet that is read goes to one function, until a signal ends it.
 */
#ifndef ADIT_CLI_PUMP_H
#define ADIT_CLI_PUMP_H

#include "cli/commands.h"

#include <adit/device.h>

/** What to read, and who gets it. */
struct adit_cli_pump {
  const struct adit_cli_options *options; /**< borrowed */
  struct adit_device *device;             /**< borrowed */
  int signals;                            /**< of adit_cli_signals_open; borrowed */
  int reader;                             /**< fd of a pipe: end when nobody reads it any more; -1 = none */
  /** A packet was read; borrowed. Returns whether to go on. */
  bool (*packet)(void *user, struct adit_buffer *buffer);
  /** No more packets wait, or many have come. Returns whether to go on. May be NULL. */
  bool (*burst)(void *user);
  void *user;   /**< for the two */
  bool hung_up; /**< set by adit_cli_pump: it ended because nobody reads `reader` */
};

/**
 * Run until SIGINT or SIGTERM, until a function says so, or until nobody reads `reader`; `burst` is called for the packets
 * that came before the end. Returns ADIT_CLI_DONE; or ADIT_CLI_FAILED, said, when the device cannot be read.
 */
enum adit_cli_status adit_cli_pump(struct adit_cli_pump *pump);

#endif
