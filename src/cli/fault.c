/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * --fault: put the queues of a device behind bad lines.
 *
 * A device that is opened here was opened without offload (open.c, run.c). One that was handed in is as its owner made
 * it; with a vnet header super-packets may come out of it, which no line could lose one packet of.
 */
#include "cli/fault.h"

#include "cli/say.h"
#include "device/fault.h"

#include <string.h>

enum adit_cli_status adit_cli_fault_insert(const struct adit_cli_options *options, struct adit_device **queue,
                                           unsigned queues) {
  if (!adit_cli_given(options, ADIT_CLI_FAULT)) return ADIT_CLI_DONE;
  for (unsigned i = 0; i < queues; i++) {
    if (adit_device_offload(queue[i]) != 0)
      return adit_cli_fail(options,
                           "--fault: %s was opened with offload (IFF_VNET_HDR), and its packets may be larger than "
                           "those of a wire; open it without",
                           adit_device_name(queue[i]));
    int error = adit_fault_new(queue[i], &options->fault, i, &queue[i]);
    if (error != 0) return adit_cli_fail(options, "--fault: no bad line can be made: %s", strerror(-error));
  }
  return ADIT_CLI_DONE;
}

static void tell_side(const struct adit_cli_options *options, const char *what, const struct adit_fault_counts *sum) {
  static const char *const past[] = {
      [ADIT_FAULT_DROP] = "dropped",      [ADIT_FAULT_REORDER] = "reordered",  [ADIT_FAULT_REPEAT] = "repeated",
      [ADIT_FAULT_CORRUPT] = "corrupted", [ADIT_FAULT_TRUNCATE] = "truncated",
  };
  char text[256] = "";
  for (unsigned kind = 0; kind < ADIT_FAULT_KINDS; kind++) {
    size_t used = strlen(text);
    if (sum->hit[kind] == 0) continue;
    snprintf(text + used, sizeof text - used, ", %llu %s", (unsigned long long)sum->hit[kind], past[kind]);
  }
  size_t used = strlen(text);
  if (sum->lost != 0)
    snprintf(text + used, sizeof text - used, ", %llu too many to keep", (unsigned long long)sum->lost);
  adit_cli_note(options, "--fault: %llu packets %s%s", (unsigned long long)sum->packets, what, text);
}

void adit_cli_fault_tell(const struct adit_cli_options *options, struct adit_device *const *queue, unsigned queues) {
  static const char *const what[ADIT_FAULT_SIDES] = {[ADIT_FAULT_IN] = "came in", [ADIT_FAULT_OUT] = "went out"};
  if (!adit_cli_given(options, ADIT_CLI_FAULT)) return;
  for (unsigned side = 0; side < ADIT_FAULT_SIDES; side++) {
    struct adit_fault_counts sum = {0};
    for (unsigned i = 0; i < queues; i++) {
      const struct adit_fault_counts *one = adit_fault_count(queue[i], (enum adit_fault_side)side);
      sum.packets += one->packets;
      sum.lost += one->lost;
      for (unsigned kind = 0; kind < ADIT_FAULT_KINDS; kind++) sum.hit[kind] += one->hit[kind];
    }
    tell_side(options, what[side], &sum);
  }
}
