/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit serve` tells at its start and at its end.
 */
#include "cli/serve_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- addresses to try -------------------------------------------------------------------------------------------- */

static adit_ip next_ip(adit_ip ip) {
  for (size_t i = adit_ip_length(ip); i-- > 0;)
    if (++ip.bytes[i] != 0) break;
  return ip;
}

static bool is_one_of(adit_ip ip, const adit_ip *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (adit_ip_equal(ip, list[i])) return true;
  return false;
}

adit_ip adit_serve_example(adit_cidr network, const adit_ip *excepts, size_t except_count) {
  if (network.prefix == 8 * adit_ip_length(network.ip))
    return is_one_of(network.ip, excepts, except_count) ? (adit_ip){{0}, 0} : network.ip;
  adit_ip ip = network.ip;
  for (size_t tries = 0; tries <= except_count; tries++) {
    ip = next_ip(ip);
    adit_ip after = next_ip(ip); /* not the last one of the network, which is the broadcast address of IPv4 */
    if (adit_cidr_contains(network, ip) && adit_cidr_contains(network, after) && !is_one_of(ip, excepts, except_count))
      return ip;
  }
  return (adit_ip){{0}, 0};
}

bool adit_serve_leaves_nothing(adit_cidr network, const adit_ip *excepts, size_t except_count) {
  unsigned host_bits = 8 * (unsigned)adit_ip_length(network.ip) - network.prefix;
  size_t taken = 0;
  for (size_t i = 0; i < except_count; i++) taken += adit_cidr_contains(network, excepts[i]);
  return host_bits < 8 && taken >= (size_t)1 << host_bits; /* nobody has 256 addresses of one network */
}

static adit_ip example(const struct adit_serve_greeting *greeting, unsigned version) {
  for (size_t i = 0; i < greeting->answers->count; i++) {
    adit_cidr network = greeting->answers->item[i];
    if (network.ip.version != version) continue;
    adit_ip ip = adit_serve_example(network, greeting->excepts, greeting->except_count);
    if (ip.version) return ip;
  }
  return (adit_ip){{0}, 0};
}

/* ---- at the start ------------------------------------------------------------------------------------------------ */

static void print_kernel(const struct adit_cli_cidrs *addresses) {
  char text[ADIT_ADDRESS_TEXT];
  printf("  %-12s", "kernel");
  for (size_t i = 0; i < addresses->count; i++)
    printf("%s%s", i ? ", " : "", adit_cidr_format(addresses->item[i], text));
  puts(addresses->count ? "" : "no address configured here");
}

/* The network without its host bits. */
static adit_cidr network_of(adit_cidr cidr) {
  for (unsigned bit = cidr.prefix; bit < 8 * adit_ip_length(cidr.ip); bit++)
    cidr.ip.bytes[bit / 8] = (uint8_t)(cidr.ip.bytes[bit / 8] & ~(0x80u >> bit % 8));
  return cidr;
}

static void print_stack(const struct adit_serve_greeting *greeting) {
  char text[ADIT_ADDRESS_TEXT];
  const struct adit_cli_cidrs *answers = greeting->answers;
  printf("  %-12s", "stack");
  bool overlap = false;
  for (size_t i = 0; i < answers->count; i++) {
    printf("%s%s", i ? ", " : "", adit_cidr_format(network_of(answers->item[i]), text));
    for (size_t j = 0; j < greeting->except_count; j++)
      overlap |= adit_cidr_contains(answers->item[i], greeting->excepts[j]);
  }
  puts(answers->count == 0 ? "every address that is routed into the device"
       : overlap           ? ", but for the kernel's own addresses"
                           : "");
}

static void print_offload(uint32_t offload) {
  static const struct {
    uint32_t bit;
    const char *name;
  } names[] = {
      {ADIT_OFFLOAD_CHECKSUM, "checksums"},
      {ADIT_OFFLOAD_TSO4, "TSO4"},
      {ADIT_OFFLOAD_TSO6, "TSO6"},
      {ADIT_OFFLOAD_ECN, "ECN"},
      {ADIT_OFFLOAD_USO, "USO"},
      {ADIT_OFFLOAD_BIG_TCP, "BIG TCP"},
  };
  printf("  %-12s", "offload");
  if (offload == 0) {
    puts("none: one packet of at most the MTU at a time");
    return;
  }
  const char *between = "";
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (offload & names[i].bit) {
      printf("%s%s", between, names[i].name);
      between = ", ";
    }
  }
  if (offload & (ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6)) {
    fputs(": up to 64 KiB at a time", stdout);
    if (offload & ADIT_OFFLOAD_BIG_TCP) fputs(" in, 256 KiB out", stdout);
  }
  putchar('\n');
}

static void print_things_to_try(adit_ip ip4, adit_ip ip6) {
  char host4[ADIT_ADDRESS_TEXT];
  char host6[ADIT_ADDRESS_TEXT];
  adit_ip ip = ip4.version ? ip4 : ip6;
  if (!ip.version) return;
  char host[ADIT_ADDRESS_TEXT];
  char in_url[ADIT_ADDRESS_TEXT + 2];
  adit_ip_format(ip, host);
  snprintf(in_url, sizeof in_url, ip.version == 6 ? "[%s]" : "%s", host);
  puts("\nTry, from another terminal:");
  if (ip4.version) printf("  ping %s\n", adit_ip_format(ip4, host4));
  if (ip6.version) printf("  ping %s\n", adit_ip_format(ip6, host6));
  printf("  curl http://%s/\n", in_url);
  printf("  curl -o /dev/null http://%s/bytes/1G\n", in_url);
  printf("  nc %s 7          (echo; discard 9, daytime 13, chargen 19)\n", host);
  printf("  dig @%s adit.test\n\n", host);
}

void adit_serve_greet(const struct adit_serve_greeting *greeting) {
  const struct adit_cli_device *device = greeting->device;
  const struct adit_device *queue = device->queue[0];
  char queues[32] = "";
  if (device->queues > 1) snprintf(queues, sizeof queues, ", %u queues", device->queues);
  printf("adit serve: a TCP/IP stack in this process\n");
  printf("  %-12s%s (%s, MTU %" PRIu32 "%s)\n", "device", device->name,
         adit_device_link(queue) == ADIT_LINK_ETHERNET ? "TAP" : "TUN", device->mtu, queues);
  print_kernel(&device->address);
  print_stack(greeting);
  print_offload(adit_device_offload(queue));
  print_things_to_try(example(greeting, 4), example(greeting, 6));
  printf("Ready. Ctrl-C ends it.\n");
  fflush(stdout);
}

/* ---- at the end -------------------------------------------------------------------------------------------------- */

static const char *human(uint64_t bytes, char text[32]) {
  static const char units[] = " kMGTPE";
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 999.5 && units[unit + 1]) {
    value /= 1000;
    unit++;
  }
  if (unit == 0)
    snprintf(text, 32, "%" PRIu64 " B", bytes);
  else
    snprintf(text, 32, value < 9.995 ? "%.2f %cB" : value < 99.95 ? "%.1f %cB" : "%.0f %cB", value, units[unit]);
  return text;
}

static void print_drop(const char **between, uint64_t count, const char *why) {
  if (count == 0) return;
  printf("%s%" PRIu64 " %s", *between, count, why);
  *between = ", ";
}

void adit_serve_summary(const struct adit_stats *stats) {
  const struct adit_stack_stats *stack = &stats->stack;
  char in[32];
  char out[32];
  printf("adit serve: %" PRIu64 " packet%s (%s) in, %" PRIu64 " packet%s (%s) out\n", stack->packets_in,
         stack->packets_in == 1 ? "" : "s", human(stack->bytes_in, in), stack->packets_out,
         stack->packets_out == 1 ? "" : "s", human(stack->bytes_out, out));
  printf("  connections: %" PRIu64 " accepted, %" PRIu64 " refused, %" PRIu64 " open at the end; %" PRIu64
         " segment%s sent again\n",
         stack->flows_accepted, stack->flows_refused, stack->flows_open, stack->retransmissions,
         stack->retransmissions == 1 ? "" : "s");
  printf("  datagrams: %" PRIu64 " in, %" PRIu64 " out; echo requests: %" PRIu64 "\n", stack->datagrams_in,
         stack->datagrams_out, stack->echoes);
  printf("  dropped: %" PRIu64, adit_stats_dropped(stats));
  const char *between = " (";
  for (unsigned i = 0; i < ADIT_DROPS; i++) print_drop(&between, stack->drops[i], adit_drop_name((enum adit_drop)i));
  print_drop(&between, stats->device_drops, "unreadable");
  print_drop(&between, stats->write_full, "queue full");
  print_drop(&between, stats->write_errors, "write failed");
  printf("%s\n", between[0] == ',' ? ")" : "");
  fflush(stdout);
}
