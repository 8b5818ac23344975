/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What `adit proxy` tells at its start and at its end.
 */
#include "cli/proxy_text.h"

#include <assert.h>
#include <inttypes.h>

static void print_line(const char *what, const char *text) {
  printf("  %-12s%s\n", what, text);
}

static void print_dns(const struct adit_relay_options *relay) {
  char address[ADIT_ADDRESS_TEXT];
  switch (relay->dns) {
  case ADIT_RELAY_DNS_OFF:
    print_line("dns", "questions are datagrams like others");
    break;
  case ADIT_RELAY_DNS_FORWARD:
    printf("  %-12sforwarded to %s through the upstream\n", "dns", adit_endpoint_format(relay->dns_server, address));
    break;
  case ADIT_RELAY_DNS_FAKE:
    print_line("dns", "names get addresses here, the upstream gets the names");
    break;
  }
}

void adit_proxy_greet(const struct adit_cli_options *options, const struct adit_cli_device *device,
                      const struct adit_relay_options *relay) {
  static const char *const icmp[] = {
      [ADIT_RELAY_ICMP_DEFAULT] = "",
      [ADIT_RELAY_ICMP_REPLY] = "echo requests are answered here",
      [ADIT_RELAY_ICMP_RELAY] = "echo requests go out",
      [ADIT_RELAY_ICMP_OFF] = "echo requests are not answered",
  };
  static_assert(sizeof icmp / sizeof icmp[0] == ADIT_RELAY_ICMP_OFF + 1, "a line for each");
  char text[ADIT_URL_HOST + 64 * (ADIT_ADDRESS_TEXT + 2)];
  enum adit_upstream_kind kind = relay->upstream.kind;
  bool udp = relay->udp == ADIT_RELAY_UDP_ON && (kind == ADIT_UPSTREAM_DIRECT || kind == ADIT_UPSTREAM_SOCKS5);
  printf("adit proxy: what enters the device leaves through the upstream\n");
  print_line("device", adit_cli_describe(device, text, sizeof text));
  print_line("upstream", adit_upstream_format(&relay->upstream, text));
  if (options->answer.count == 0) {
    print_line("for", "every address that is routed into the device");
  } else {
    char address[ADIT_ADDRESS_TEXT];
    printf("  %-12s", "for");
    for (size_t i = 0; i < options->answer.count; i++)
      printf("%s%s", i ? ", " : "", adit_cidr_format(options->answer.item[i], address));
    putchar('\n');
  }
  print_line("udp", udp ? "relayed" : "refused with port unreachable");
  print_dns(relay);
  print_line("icmp", icmp[adit_relay_icmp_mode(relay)]);
  printf("Ready. Ctrl-C ends it.\n");
  fflush(stdout);
}

void adit_proxy_summary(const struct adit_stats *stats) {
  const struct adit_relay_stats sum = adit_relay_stats_of(stats), *relay = &sum;
  printf("adit proxy: %" PRIu64 " packet%s in, %" PRIu64 " out; %" PRIu64 " dropped, %" PRIu64 " sent again\n",
         stats->stack.packets_in, stats->stack.packets_in == 1 ? "" : "s", stats->stack.packets_out,
         adit_stats_dropped(stats), stats->stack.retransmissions);
  printf("  connections: %" PRIu64 " begun, %" PRIu64 " not connected, %" PRIu64 " refused for lack of room\n",
         relay->connects, relay->connects_failed, relay->flows_limited);
  printf("  bytes: %" PRIu64 " up, %" PRIu64 " down\n", relay->bytes_up, relay->bytes_down);
  printf("  datagrams: %" PRIu64 " in, %" PRIu64 " out; %" PRIu64 " session%s (%" PRIu64 " ended early), %" PRIu64
         " dropped\n",
         stats->stack.datagrams_in, stats->stack.datagrams_out, relay->udp_sessions,
         relay->udp_sessions == 1 ? "" : "s", relay->udp_evicted, relay->udp_dropped);
  printf("  questions: %" PRIu64 " (%" PRIu64 " dropped)\n", relay->dns_questions, relay->dns_dropped);
  fflush(stdout);
}
