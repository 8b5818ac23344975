/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit replay: the client's packets of a capture go through the stack under a virtual clock.
 */
#include "cli/commands.h"
#include "cli/say.h"
#include "packet/header.h"
#include "service/services.h"

#include <adit/device.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct replay {
  const struct adit_cli_options *options;
  struct adit_device *in;
  struct adit_device *out;
  struct adit_stack *stack;
  struct adit_services *services;
  int write_error;
};

static void give(void *user, const struct adit_packet *packet) {
  struct replay *replay = user;
  adit_device_pcap_time(replay->out, adit_stack_now(replay->stack));
  int error = adit_device_write(replay->out, packet);
  if (error && !replay->write_error) replay->write_error = error;
}

static void syn(void *user, struct adit_flow *flow) {
  struct replay *replay = user;
  adit_services_syn(replay->services, flow);
}

static void datagram(void *user, const struct adit_datagram *one) {
  struct replay *replay = user;
  adit_services_datagram(replay->services, one);
}

static const struct adit_stack_events events = {.output = give, .syn = syn, .datagram = datagram};

static int64_t wall_clock(void *user) {
  struct replay *replay = user;
  return (int64_t)(adit_stack_now(replay->stack) / 1000000000U);
}

static void run_until(struct replay *replay, uint64_t now_ns) {
  while (adit_stack_deadline(replay->stack) < now_ns) adit_stack_advance(replay->stack, adit_stack_deadline(replay->stack));
  adit_stack_advance(replay->stack, now_ns);
}

static int feed(struct replay *replay, struct adit_pool *pool) {
  for (;;) {
    struct adit_buffer *buffer;
    int result = adit_device_read(replay->in, pool, &buffer);
    if (result == -EBADMSG) continue;
    if (result != 1) return result;
    run_until(replay, adit_device_pcap_stamp(replay->in));
    adit_stack_input(replay->stack, buffer);
    adit_stack_flush(replay->stack);
  }
}

enum adit_cli_status adit_cli_replay(const struct adit_cli_options *options) {
  struct replay replay = {.options = options};
  char reason[256];
  enum adit_cli_status status = ADIT_CLI_FAILED;
  struct adit_pool *pool;
  if (adit_device_pcap(options->operands[0], NULL, &replay.in, reason)) return adit_cli_fail(options, "%s", reason);
  if (adit_device_pcap(NULL, options->out, &replay.out, reason)) {
    adit_cli_fail(options, "%s", reason);
    goto close_in;
  }
  adit_cidr answer[2];
  adit_cidr_parse("192.168.3.0/24", &answer[0]);
  adit_cidr_parse("fdad:3::/64", &answer[1]);
  struct adit_stack_options stack = {.size = sizeof stack, .events = &events, .user = &replay,
                                     .mtu = (uint32_t)options->mtu, .answer = answer, .answers = 2};
  if (adit_stack_new(&stack, &replay.stack)) goto close_out;
  struct adit_services_options services = {.wall_clock = wall_clock, .user = &replay};
  if (adit_services_new(replay.stack, &services, &replay.services)) goto free_stack;
  if (adit_pool_new(0, &pool)) goto free_stack;
  int result = feed(&replay, pool);
  if (result == 0) status = ADIT_CLI_DONE;
  else adit_cli_fail(options, "%s: %s", options->operands[0], strerror(-result));
  struct adit_stack_stats stats;
  adit_stack_stats(replay.stack, &stats);
  printf("adit replay: %" PRIu64 " packets in, %" PRIu64 " out\n", stats.packets_in, stats.packets_out);
  adit_stack_free(replay.stack);
  replay.stack = NULL;
  adit_pool_free(pool);
free_stack:
  adit_stack_free(replay.stack);
  adit_services_free(replay.services);
close_out:
  adit_device_close(replay.out);
close_in:
  adit_device_close(replay.in);
  return status;
}
