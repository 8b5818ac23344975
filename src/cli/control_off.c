/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * In the place of the control socket and of `adit stat` in a build without libcjson.
 */
#include "cli/control.h"
#include "cli/say.h"

#include <string.h>

enum adit_cli_status adit_control_open(const struct adit_control_subject *subject, struct adit_control **control) {
  const char *path = subject->options->control;
  *control = NULL;
  if (path == NULL || strcmp(path, "off") == 0) return ADIT_CLI_DONE;
  return adit_cli_fail(subject->options, "--control %s: this adit was built without control socket (libcjson)", path);
}

const char *adit_control_path(const struct adit_control *control) {
  (void)control;
  return NULL;
}

void adit_control_start(struct adit_control *control, struct adit_runtime *runtime) {
  (void)control;
  (void)runtime;
}

int adit_control_fd(const struct adit_control *control) {
  (void)control;
  return -1;
}

int adit_control_timeout(const struct adit_control *control) {
  (void)control;
  return -1;
}

bool adit_control_turn(struct adit_control *control) {
  (void)control;
  return false;
}

void adit_control_close(struct adit_control *control) {
  (void)control;
}

int adit_control_cleanup(void (*removed)(void *user, const char *path), void *user) {
  (void)removed;
  (void)user;
  return 0;
}

enum adit_cli_status adit_cli_stat(const struct adit_cli_options *options) {
  return adit_cli_fail(options, "this adit was built without control socket (libcjson), so it can ask none");
}
