/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit dump: print every packet that the kernel sends into the device.
 *
 * Offload is off unless asked for, so that packets are as they would be on a wire: cut to the MTU, checksums complete.
 * Text is collected during a burst and written at its end, so a reader at the other end of a pipe has each packet at once
 * and a flood costs few system calls.
 */
#include "cli/commands.h"
#include "cli/fault.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/pump.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "cli/signals.h"
#include "packet/print.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Room that one packet may need, and the buffer: the text of some packets of that size, or of many small ones. */
#define PACKET_TEXT (ADIT_PRINT_LINE + 1 + ADIT_PRINT_HEX(ADIT_PACKET_MAX) + ADIT_PRINT_DECIMAL(ADIT_PACKET_MAX))
#define OUTPUT_TEXT (2 * PACKET_TEXT)

struct dump {
  const struct adit_cli_options *options;
  bool ethernet;
  struct adit_cli_output output;
  uint64_t packets;
  uint64_t bytes;
  int error; /* why writing ended: a negative errno, 0 = it did not */
};

static bool flush(void *user) {
  struct dump *dump = user;
  if (dump->error == 0) dump->error = adit_cli_output_flush(&dump->output);
  return dump->error == 0;
}

static void end_line(struct adit_cli_output *output, char *text) {
  size_t length = strlen(text);
  text[length] = '\n';
  output->used += length + 1;
}

static bool print(void *user, struct adit_buffer *buffer) {
  struct dump *dump = user;
  struct adit_cli_output *output = &dump->output;
  if (output->capacity - output->used < PACKET_TEXT && !flush(dump)) return false;
  char *text = output->text + output->used;
  if (dump->options->format == ADIT_CLI_FORMAT_DECIMAL) {
    end_line(output, adit_print_decimal(text, output->capacity - output->used, buffer->data, buffer->length));
  } else {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t stamp_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    end_line(output, adit_print_line(text, ADIT_PRINT_LINE, stamp_ns, dump->ethernet, buffer->data, buffer->length,
                                     &buffer->offload));
  }
  if (dump->options->format == ADIT_CLI_FORMAT_HEX) {
    text = output->text + output->used;
    adit_print_hex(text, output->capacity - output->used, buffer->data, buffer->length);
    output->used += strlen(text);
  }
  dump->packets++;
  dump->bytes += buffer->length;
  return dump->packets != dump->options->count; /* a count of 0 is never reached */
}

static enum adit_cli_status run(struct dump *dump, const struct adit_cli_device *device, int signals) {
  char text[ADIT_CLI_MESSAGE];
  adit_cli_note(dump->options, "printing what comes into %s; Ctrl-C ends it",
                adit_cli_describe(device, text, sizeof text));
  struct adit_cli_pump pump = {
      .options = dump->options,
      .device = device->queue[0],
      .signals = signals,
      .reader = STDOUT_FILENO,
      .packet = print,
      .burst = flush,
      .user = dump,
  };
  enum adit_cli_status status = adit_cli_pump(&pump);
  adit_cli_fault_tell(dump->options, device->queue, device->queues);
  if (dump->error == -EPIPE || pump.hung_up) return status; /* nobody reads: nothing to say */
  if (dump->error != 0 && dump->error != -EINTR) {
    return adit_cli_fail(dump->options, "cannot write to standard output: %s", strerror(-dump->error));
  }
  uint64_t dropped = adit_device_dropped(device->queue[0]);
  char drops[64] = "";
  if (dropped != 0) snprintf(drops, sizeof drops, ", %llu impossible ones dropped", (unsigned long long)dropped);
  adit_cli_note(dump->options, "%llu packet%s, %llu bytes%s", (unsigned long long)dump->packets,
                dump->packets == 1 ? "" : "s", (unsigned long long)dump->bytes, drops);
  return status;
}

enum adit_cli_status adit_cli_dump(const struct adit_cli_options *options) {
  struct dump dump = {.options = options};
  struct adit_cli_device device;
  enum adit_cli_status status;
  int signals = adit_cli_signals_open();
  if (signals < 0) return adit_cli_fail(options, "signals cannot be received: %s", strerror(-signals));
  if (adit_cli_output_open(&dump.output, STDOUT_FILENO, signals, OUTPUT_TEXT) != 0) {
    status = adit_cli_fail(options, "out of memory");
    goto close_signals;
  }
  status = adit_cli_open(options, false, &device);
  if (status != ADIT_CLI_DONE) goto close_output;
  dump.ethernet = adit_device_link(device.queue[0]) == ADIT_LINK_ETHERNET;
  tzset(); /* which reads files; print needs local time */
  struct adit_cli_sandboxing sandboxing = {.calls = ADIT_SANDBOX_NETLINK, .puts_back = adit_cli_puts_back(&device)};
  status = adit_cli_sandbox(options, &sandboxing);
  if (status == ADIT_CLI_DONE) status = run(&dump, &device, signals);
  adit_cli_close(&device);
close_output:
  adit_cli_output_close(&dump.output);
close_signals:
  close(signals);
  return status;
}
