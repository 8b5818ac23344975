/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit reflect: write every packet back into the device.
 *
 * Unchanged, a packet comes back to the kernel with the kernel's own address as its source, and the kernel drops it as
 * "martian" (RFC 1812 section 5.3.7). With --swap an echo request from .11 to .12 comes back as one from .12 to .11; the
 * kernel answers it, and its reply to .12 comes back as the reply from .12 for which ping is waiting.
 *
 * Offload notes go back with the packet: a sum over addresses does not change when they change places, so neither a
 * complete checksum nor a partial one has to be touched.
 */
#include "cli/commands.h"
#include "cli/fault.h"
#include "cli/open.h"
#include "cli/pump.h"
#include "cli/sandboxing.h"
#include "cli/say.h"
#include "cli/signals.h"
#include "cli/swap.h"

#include <string.h>
#include <unistd.h>

struct reflect {
  const struct adit_cli_options *options;
  struct adit_device *device;
  bool ethernet;
  uint64_t read;
  uint64_t written;
  uint64_t kept;    /* not for turning round */
  uint64_t refused; /* by the device */
};

static bool write_back(void *user, struct adit_buffer *buffer) {
  struct reflect *reflect = user;
  reflect->read++;
  if (reflect->options->swap && !adit_cli_swap(buffer->data, buffer->length, reflect->ethernet)) {
    reflect->kept++;
    return true;
  }
  struct iovec piece = {.iov_base = buffer->data, .iov_len = buffer->length};
  struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = buffer->length, .offload = buffer->offload};
  int error = adit_device_write(reflect->device, &packet);
  if (error == 0) {
    reflect->written++;
  } else {
    if (reflect->refused++ == 0) {
      adit_cli_detail(reflect->options, "a packet of %u bytes is not taken back: %s; others are only counted",
                      (unsigned)buffer->length, strerror(-error));
    }
  }
  return true;
}

enum adit_cli_status adit_cli_reflect(const struct adit_cli_options *options) {
  struct reflect reflect = {.options = options};
  struct adit_cli_device device;
  char text[ADIT_CLI_MESSAGE];
  int signals = adit_cli_signals_open();
  if (signals < 0) return adit_cli_fail(options, "signals cannot be received: %s", strerror(-signals));
  enum adit_cli_status status = adit_cli_open(options, true, &device);
  if (status != ADIT_CLI_DONE) goto close_signals;
  reflect.device = device.queue[0];
  reflect.ethernet = adit_device_link(reflect.device) == ADIT_LINK_ETHERNET;
  struct adit_cli_sandboxing sandboxing = {.calls = ADIT_SANDBOX_NETLINK, .puts_back = adit_cli_puts_back(&device)};
  status = adit_cli_sandbox(options, &sandboxing);
  if (status != ADIT_CLI_DONE) goto close_device;
  adit_cli_note(options, "writing back%s what comes into %s; Ctrl-C ends it",
                options->swap ? ", source and destination exchanged," : " unchanged",
                adit_cli_describe(&device, text, sizeof text));
  struct adit_cli_pump pump = {.options = options,
                               .device = reflect.device,
                               .signals = signals,
                               .reader = -1,
                               .packet = write_back,
                               .user = &reflect};
  status = adit_cli_pump(&pump);
  adit_cli_note(options, "%llu packet%s read, %llu written back, %llu not exchangeable, %llu refused by the device",
                (unsigned long long)reflect.read, reflect.read == 1 ? "" : "s", (unsigned long long)reflect.written,
                (unsigned long long)reflect.kept, (unsigned long long)reflect.refused);
  adit_cli_fault_tell(options, device.queue, device.queues);
close_device:
  adit_cli_close(&device);
close_signals:
  close(signals);
  return status;
}
