/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Each service against a real stack under a virtual clock, over IPv4 and IPv6.
 */
#include "service/pattern.h"
#include "service/services.h"
#include "support_client.h"
#include "support_packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ECHO = 7, DISCARD = 9, DAYTIME = 13, CHARGEN = 19, DOMAIN = 53 };

#define CLIENT4 "192.168.3.11"
#define SERVER4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define SERVER6 "fdad:3::12"
#define NOON_2026_11_22 INT64_C(1795348800)

struct world {
  struct support_lab lab;
  struct adit_services *services;
  bool ipv6;
};

static void on_syn(void *user, struct adit_flow *flow) {
  adit_services_syn(((struct world *)user)->services, flow); /* the lab is the world's first member */
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  adit_services_datagram(((struct world *)user)->services, datagram);
}

static int64_t wall_clock(void *user) {
  (void)user;
  return NOON_2026_11_22 + 7;
}

static struct adit_services_options service_options(void) {
  struct adit_services_options options = {.wall_clock = wall_clock};
  assert_int_equal(adit_cidr_parse("192.168.3.11/24", &options.network4), 0);
  assert_int_equal(adit_cidr_parse("fdad:3::11/64", &options.network6), 0);
  return options;
}

static int open_world(void **state, bool ipv6) {
  static const struct adit_stack_events events = {.syn = on_syn, .datagram = on_datagram};
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  world->ipv6 = ipv6;
  support_lab_open(&world->lab, &events, NULL);
  struct adit_services_options options = service_options();
  assert_int_equal(adit_services_new(world->lab.stack, &options, &world->services), 0);
  *state = world;
  return 0;
}

static int open4(void **state) {
  return open_world(state, false);
}

static int open6(void **state) {
  return open_world(state, true);
}

static int close_world(void **state) {
  struct world *world = *state;
  support_lab_close(&world->lab);
  adit_services_free(world->services);
  free(world);
  return 0;
}

static struct support_client connect_for(struct world *world, uint16_t port, size_t enough) {
  static uint16_t next_port = 40000;
  struct support_client client = {.lab = &world->lab,
                                  .address = world->ipv6 ? CLIENT6 : CLIENT4,
                                  .server = world->ipv6 ? SERVER6 : SERVER4,
                                  .port = next_port++,
                                  .server_port = port,
                                  .enough = enough};
  support_client_open(&client);
  return client;
}

static struct support_client connect_to(struct world *world, uint16_t port) {
  return connect_for(world, port, 0);
}

static void check_text(const struct support_client *client, const char *text) {
  if (client->length != strlen(text) || memcmp(client->data, text, client->length) != 0)
    fail_msg("received \"%.*s\", expected \"%s\"", (int)client->length, (const char *)client->data, text);
}

static uint64_t open_flows(struct world *world) {
  struct adit_stack_stats stats;
  adit_stack_stats(world->lab.stack, &stats);
  return stats.flows_open;
}

/* Send a datagram. Returns the packet that answers, to be freed, or NULL; with `payload` and its length. */
static struct support_out *ask(struct world *world, uint16_t from, uint16_t to, const void *data, size_t length,
                               const uint8_t **payload, size_t *payload_length) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  size_t size = world->ipv6 ? support_udp6(packet, CLIENT6, SERVER6, from, to, data, length)
                            : support_udp4(packet, CLIENT4, SERVER4, from, to, data, length);
  support_lab_input(&world->lab, packet, size);
  support_lab_flush(&world->lab);
  struct support_out *out = support_lab_take(&world->lab);
  if (out) {
    uint8_t protocol;
    size_t headers = support_headers(out->bytes, &protocol);
    assert_true(support_sealed(out->bytes, out->length));
    if (protocol == IPPROTO_UDP) {
      assert_int_equal(support_get16(out->bytes + headers - 8), to);
      assert_int_equal(support_get16(out->bytes + headers - 6), from);
      *payload = out->bytes + headers;
      *payload_length = out->length - headers;
    }
  }
  assert_null(world->lab.first); /* one answer at most */
  return out;
}

/* ---- echo -------------------------------------------------------------------------------------------------------- */

static void test_echo(void **state) {
  struct world *world = *state;
  struct support_client client = connect_to(world, ECHO);
  assert_true(client.established);
  assert_int_equal(support_client_send(&client, "hello", 5), 5);
  check_text(&client, "hello");
  assert_int_equal(support_client_send(&client, ", you", 5), 5);
  check_text(&client, "hello, you");
  support_client_fin(&client);
  assert_true(client.peer_fin);
  assert_false(client.reset);
  assert_int_equal(open_flows(world), 0);
  support_client_free(&client);
}

static void test_echo_of_a_megabyte(void **state) {
  struct world *world = *state;
  enum { LENGTH = 1 << 20 };
  uint8_t *data = malloc(LENGTH);
  assert_non_null(data);
  support_pattern(data, LENGTH);
  struct support_client client = connect_to(world, ECHO);
  size_t sent = 0;
  while (sent < LENGTH) {
    size_t more = support_client_send(&client, data + sent, LENGTH - sent);
    assert_true(more > 0);
    sent += more;
  }
  support_client_fin(&client);
  assert_int_equal(client.length, LENGTH);
  assert_memory_equal(client.data, data, LENGTH);
  assert_true(client.peer_fin);
  support_client_free(&client);
  free(data);
}

/* A client that sends and acknowledges nothing of what comes back: the echo fills the send side, the window closes, and
   the memory in use stays where it is. When the client listens again, everything arrives. */
static void test_echo_pushes_back(void **state) {
  struct world *world = *state;
  enum { CHUNK = 64 * 1024, CHUNKS = 256 };
  uint8_t *data = malloc(CHUNK);
  assert_non_null(data);
  support_pattern(data, CHUNK);
  struct support_client client = connect_to(world, ECHO);
  client.deaf = true;
  size_t sent = 0;
  for (int i = 0; i < CHUNKS; i++) {
    size_t offset = sent % CHUNK;
    size_t more = support_client_send(&client, data + offset, CHUNK - offset);
    if (more == 0) break;
    sent += more;
  }
  assert_true(sent > 0);
  assert_true(sent < (size_t)CHUNK * CHUNKS);
  struct adit_stack_stats stats;
  adit_stack_stats(world->lab.stack, &stats);
  assert_true(stats.memory_bytes < 16 << 20);

  client.deaf = false;
  for (int i = 0; i < 600 && client.length < sent; i++) {
    support_lab_pass(&world->lab, UINT64_C(1000000000)); /* what was not acknowledged is sent again */
    support_client_run(&client);
  }
  assert_int_equal(client.length, sent);
  for (size_t i = 0; i < sent; i++)
    if (client.data[i] != data[i % CHUNK])
      fail_msg("byte %zu is %#x, expected %#x", i, client.data[i], data[i % CHUNK]);
  support_client_fin(&client);
  assert_true(client.peer_fin);
  support_client_free(&client);
  free(data);
}

static void test_echo_datagram(void **state) {
  struct world *world = *state;
  static uint8_t data[1400];
  support_pattern(data, sizeof data);
  static const size_t lengths[] = {0, 1, 5, 1400};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    const uint8_t *payload = NULL;
    size_t length = SIZE_MAX;
    struct support_out *out = ask(world, 5000, ECHO, data, lengths[i], &payload, &length);
    assert_non_null(out);
    assert_int_equal(length, lengths[i]);
    assert_memory_equal(payload, data, length);
    free(out);
  }
}

/* ---- discard, daytime -------------------------------------------------------------------------------------------- */

static void test_discard(void **state) {
  struct world *world = *state;
  static uint8_t data[100000];
  struct support_client client = connect_to(world, DISCARD);
  size_t sent = 0;
  while (sent < sizeof data) {
    size_t more = support_client_send(&client, data + sent, sizeof data - sent);
    assert_true(more > 0);
    sent += more;
  }
  support_client_fin(&client);
  assert_int_equal(client.acked, client.next);
  assert_int_equal(client.length, 0);
  assert_true(client.peer_fin);
  assert_int_equal(open_flows(world), 0);
  support_client_free(&client);
  const uint8_t *payload;
  size_t length;
  assert_null(ask(world, 5000, DISCARD, data, 100, &payload, &length));
}

static const char daytime[] = "Sunday, November 22, 2026 12:00:07-UTC\r\n";

static void test_daytime(void **state) {
  struct world *world = *state;
  struct support_client client = connect_to(world, DAYTIME);
  check_text(&client, daytime);
  assert_true(client.peer_fin);
  support_client_send(&client, "what time is it?", 16); /* late, and no reason for a reset */
  assert_false(client.reset);
  support_client_fin(&client);
  assert_false(client.reset);
  assert_int_equal(open_flows(world), 0);
  support_client_free(&client);

  const uint8_t *payload = NULL;
  size_t length = 0;
  struct support_out *out = ask(world, 5000, DAYTIME, "", 0, &payload, &length);
  assert_non_null(out);
  assert_int_equal(length, strlen(daytime));
  assert_memory_equal(payload, daytime, length);
  free(out);
}

/* ---- chargen ----------------------------------------------------------------------------------------------------- */

static uint8_t chargen_byte(size_t i) {
  size_t line = i / 74;
  size_t column = i % 74;
  return column == 72 ? '\r' : column == 73 ? '\n' : (uint8_t)(32 + (line + column) % 95);
}

static void test_chargen(void **state) {
  struct world *world = *state;
  enum { ENOUGH = 500000 }; /* several times around the pattern */
  struct support_client client = connect_for(world, CHARGEN, ENOUGH);
  assert_true(client.length >= ENOUGH);
  for (size_t i = 0; i < client.length; i++)
    if (client.data[i] != chargen_byte(i))
      fail_msg("byte %zu is %#x, expected %#x", i, client.data[i], chargen_byte(i));
  assert_int_equal(open_flows(world), 1);
  support_client_reset(&client);
  assert_int_equal(open_flows(world), 0);
  support_client_free(&client);
}

static void test_chargen_datagram(void **state) {
  struct world *world = *state;
  size_t shortest = SIZE_MAX;
  size_t longest = 0;
  for (int i = 0; i < 500; i++) {
    const uint8_t *payload = NULL;
    size_t length = SIZE_MAX;
    struct support_out *out = ask(world, 5000, CHARGEN, "x", 1, &payload, &length);
    assert_non_null(out);
    assert_true(length <= 512);
    for (size_t j = 0; j < length; j++)
      assert_true((payload[j] >= 32 && payload[j] <= 126) || payload[j] == '\r' || payload[j] == '\n');
    if (length < shortest) shortest = length;
    if (length > longest) longest = length;
    free(out);
  }
  assert_true(shortest < 32);
  assert_true(longest > 480);
}

/* ---- dns --------------------------------------------------------------------------------------------------------- */

static const uint8_t query_a[] = {0xad, 0x17, 1,   0, 0,   1,   0,   0,   0, 0, 0, 0, 4, 'a',
                                  'd',  'i',  't', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
static const uint8_t address_a[] = {192, 168, 3, 12};

static void test_dns_datagram(void **state) {
  struct world *world = *state;
  const uint8_t *payload = NULL;
  size_t length = 0;
  struct support_out *out = ask(world, 5000, DOMAIN, query_a, sizeof query_a, &payload, &length);
  assert_non_null(out);
  assert_int_equal(length, sizeof query_a + 16);
  assert_memory_equal(payload + length - 4, address_a, 4); /* asked over IPv6, that of the twin */
  free(out);
  assert_null(ask(world, 5000, DOMAIN, "no", 2, &payload, &length));
}

static void test_dns_stream(void **state) {
  struct world *world = *state;
  enum { QUESTIONS = 50 };
  uint8_t stream[QUESTIONS * (2 + sizeof query_a)];
  for (size_t i = 0; i < QUESTIONS; i++) {
    uint8_t *at = stream + i * (2 + sizeof query_a);
    at[0] = 0;
    at[1] = sizeof query_a;
    memcpy(at + 2, query_a, sizeof query_a);
    at[3] = (uint8_t)i;
  }
  struct support_client client = connect_to(world, DOMAIN);
  for (size_t i = 0; i < 100; i++) assert_int_equal(support_client_send(&client, stream + i, 1), 1); /* byte by byte */
  assert_int_equal(support_client_send(&client, stream + 100, sizeof stream - 100), sizeof stream - 100);
  size_t one = 2 + sizeof query_a + 16;
  assert_int_equal(client.length, QUESTIONS * one);
  for (size_t i = 0; i < QUESTIONS; i++) {
    assert_int_equal(client.data[i * one + 1], one - 2);
    assert_int_equal(client.data[i * one + 3], i);
    assert_memory_equal(client.data + (i + 1) * one - 4, address_a, 4);
  }
  support_client_fin(&client);
  assert_true(client.peer_fin);
  assert_false(client.reset);
  support_client_free(&client);

  client = connect_to(world, DOMAIN);
  support_client_send(&client, "\xff\xff", 2); /* a message of 65535 bytes is no query */
  assert_true(client.reset);
  support_client_free(&client);
}

/* ---- the table of services --------------------------------------------------------------------------------------- */

static void test_unknown_port(void **state) {
  struct world *world = *state;
  struct support_client client = connect_to(world, 4);
  assert_false(client.established);
  assert_true(client.reset);
  const uint8_t *payload = NULL;
  size_t length = 0;
  struct support_out *out = ask(world, 5000, 4, "x", 1, &payload, &length);
  assert_non_null(out);
  assert_int_equal(out->bytes[world->ipv6 ? 6 : 9], world->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  assert_int_equal(out->bytes[world->ipv6 ? 40 : 20], world->ipv6 ? 1 : 3);
  assert_int_equal(out->bytes[world->ipv6 ? 41 : 21], world->ipv6 ? 4 : 3);
  free(out);
}

/* A datagram that claims to come from a service that answers would be answered by that one, and so on. */
static void test_no_loop_between_services(void **state) {
  struct world *world = *state;
  static const uint16_t answering[] = {ECHO, DAYTIME, CHARGEN, DOMAIN};
  const uint8_t *payload;
  size_t length;
  for (size_t i = 0; i < 4; i++) {
    for (size_t j = 0; j < 4; j++)
      assert_null(ask(world, answering[i], answering[j], query_a, sizeof query_a, &payload, &length));
    assert_null(ask(world, 0, answering[i], query_a, sizeof query_a, &payload, &length));
  }
  struct support_out *out = ask(world, DISCARD, ECHO, "x", 1, &payload, &length); /* that one does not answer */
  assert_non_null(out);
  free(out);
}

/* The client disappears in the middle, and the stack goes with flows open: nothing leaks (the sanitizers look). */
static void test_sudden_ends(void **state) {
  struct world *world = *state;
  static const uint16_t ports[] = {ECHO, DISCARD, DAYTIME, DOMAIN};
  for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
    struct support_client gone = connect_to(world, ports[i]);
    support_client_send(&gone, "ab", 2);
    support_client_reset(&gone);
    support_client_free(&gone);
  }
  assert_int_equal(open_flows(world), 0);
  for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
    struct support_client left = connect_to(world, ports[i]);
    support_client_send(&left, "ab", 2);
    support_client_free(&left);
  }
  assert_true(open_flows(world) > 0);
}

static void test_twins(void **state) {
  (void)state;
  static const struct {
    const char *ip;
    const char *twin; /* NULL = none */
  } rows[] = {
      {"192.168.3.12", "fdad:3::12"}, {"192.168.3.255", "fdad:3::255"}, {"192.168.3.0", "fdad:3::"},
      {"fdad:3::12", "192.168.3.12"}, {"fdad:3::200", "192.168.3.200"}, {"fdad:3::c", NULL},
      {"fdad:3::256", NULL},          {"fdad:3::1:12", NULL},           {"fdad:3::1012", NULL},
      {"fdad:4::12", NULL},           {"192.168.4.12", NULL},
  };
  struct adit_services_options options = service_options();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    adit_ip ip;
    char text[ADIT_ADDRESS_TEXT] = "none";
    assert_int_equal(adit_ip_parse(rows[i].ip, &ip), 0);
    adit_ip twin = adit_services_twin(&options, ip);
    if (twin.version) adit_ip_format(twin, text);
    assert_string_equal(text, rows[i].twin ? rows[i].twin : "none");
  }
}

#define BOTH(test)                                                                                                     \
  {#test " over IPv4", test, open4, close_world, NULL}, {                                                              \
#test " over IPv6", test, open6, close_world, NULL                                                                 \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      BOTH(test_echo),
      BOTH(test_echo_of_a_megabyte),
      BOTH(test_echo_pushes_back),
      BOTH(test_echo_datagram),
      BOTH(test_discard),
      BOTH(test_daytime),
      BOTH(test_chargen),
      BOTH(test_chargen_datagram),
      BOTH(test_dns_datagram),
      BOTH(test_dns_stream),
      BOTH(test_unknown_port),
      BOTH(test_no_loop_between_services),
      BOTH(test_sudden_ends),
      cmocka_unit_test(test_twins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
