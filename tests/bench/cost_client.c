/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The clients of adit_cost: packets made by hand, answers read as far as a client needs them.
 *
 * Addresses: client `i` is 10.1.0.0 plus i / PORTS, port FIRST_PORT + i % PORTS; all connect to 10.2.0.1 port 9. Packets
 * are noted as having a valid checksum, as a kernel on the same machine does it, so checksums are no part of the cost.
 */
#include "cost_client.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  PORTS = 32768,
  FIRST_PORT = 1024,
  WINDOW = 65535,
  STEP_NS = 2000, /* between two packets: half a million a second */
  MSS_OPTION = 4,
  STAMPS_OPTION = 12
};

static const uint32_t client_net = 0x0a010000;
static const uint32_t server = 0x0a020001;
static const uint16_t server_port = 9;

struct headers {
  struct iphdr ip;
  struct tcphdr tcp;
};

_Noreturn void cost_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("adit_cost: ", stderr);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

/* ---- the application --------------------------------------------------------------------------------------------- */

static void established(void *user, struct adit_flow *flow) {
  (void)flow;
  ((struct cost_world *)user)->established++;
}

static void readable(void *user, struct adit_flow *flow) {
  size_t bytes = adit_flow_available(flow);
  ((struct cost_world *)user)->consumed += bytes;
  adit_flow_consume(flow, bytes);
}

static void peer_closed(void *user, struct adit_flow *flow) {
  ((struct cost_world *)user)->closed++;
  adit_flow_close(flow);
}

static void closed(void *user, struct adit_flow *flow, int error) {
  (void)user;
  (void)flow;
  cost_die("a connection ended by itself: %s", strerror(-error));
}

static const struct adit_flow_events flow_events = {
    .established = established, .readable = readable, .peer_closed = peer_closed, .closed = closed};

static void syn(void *user, struct adit_flow *flow) {
  adit_flow_attach(flow, &flow_events, user);
  int error = adit_flow_accept(flow);
  if (error) cost_die("accept: %s", strerror(-error));
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static int output(void *user, const struct adit_packet *packet) {
  struct cost_world *world = user;
  struct headers headers;
  size_t had = 0;
  for (unsigned i = 0; i < packet->iovcnt && had < sizeof headers; i++) {
    size_t more = packet->iov[i].iov_len < sizeof headers - had ? packet->iov[i].iov_len : sizeof headers - had;
    memcpy((char *)&headers + had, packet->iov[i].iov_base, more);
    had += more;
  }
  if (had < sizeof headers || headers.ip.version != 4 || headers.ip.ihl != 5 || headers.ip.protocol != IPPROTO_TCP)
    cost_die("a packet that is not TCP came out");
  uint32_t index = (ntohl(headers.ip.daddr) - client_net) * PORTS + ntohs(headers.tcp.dest) - FIRST_PORT;
  if (index >= world->clients) cost_die("a packet for nobody came out");
  struct cost_client *client = &world->client[index];
  uint32_t payload = (uint32_t)(packet->length - sizeof headers.ip - headers.tcp.doff * 4U);
  client->flags |= ((const uint8_t *)&headers.tcp)[13];
  if (headers.tcp.rst) cost_die("client %u was reset", index);
  client->expected = ntohl(headers.tcp.seq) + payload + headers.tcp.syn + headers.tcp.fin;
  world->packets_out++;
  return 0;
}

static uint16_t ip_checksum(const struct iphdr *ip) {
  uint32_t sum = 0;
  uint16_t word;
  for (size_t i = 0; i < sizeof *ip; i += 2) {
    memcpy(&word, (const char *)ip + i, sizeof word);
    sum += word;
  }
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t) ~(sum + (sum >> 16));
}

/* A burst begins, at a time of its own. */
static void begin_burst(struct cost_world *world) {
  world->now_ns += STEP_NS;
  adit_stack_advance(world->stack, world->now_ns);
}

/* One packet of the client. */
static void give_packet(struct cost_world *world, uint32_t index, uint8_t flags, size_t payload) {
  static const uint8_t mss[MSS_OPTION] = {2, 4, 1460 >> 8, 1460 & 255};
  struct cost_client *client = &world->client[index];
  struct adit_buffer *buffer = adit_buffer_new(world->pool);
  if (!buffer) cost_die("no buffer");
  const uint32_t ms = (uint32_t)(world->now_ns / 1000000);
  const uint8_t stamps[STAMPS_OPTION] = {
      1, 1, 8, 10, (uint8_t)(ms >> 24), (uint8_t)(ms >> 16), (uint8_t)(ms >> 8), (uint8_t)ms};
  size_t before = flags & TH_SYN ? MSS_OPTION : 0;
  size_t options = before + (world->stamps ? (size_t)STAMPS_OPTION : 0);
  size_t length = sizeof(struct headers) + options + payload;
  struct headers headers = {
      .ip = {.version = 4,
             .ihl = 5,
             .tot_len = htons((uint16_t)length),
             .frag_off = htons(IP_DF),
             .ttl = 64,
             .protocol = IPPROTO_TCP,
             .saddr = htonl(client_net + index / PORTS),
             .daddr = htonl(server)},
      .tcp = {.source = htons((uint16_t)(FIRST_PORT + index % PORTS)),
              .dest = htons(server_port),
              .seq = htonl(client->next),
              .ack_seq = flags & TH_ACK ? htonl(client->expected) : 0,
              .doff = (sizeof headers.tcp + options) / 4 & 15,
              .window = htons(WINDOW)},
  };
  headers.ip.check = ip_checksum(&headers.ip);
  memcpy(buffer->data, &headers, sizeof headers);
  buffer->data[sizeof headers.ip + 13] = flags;
  memcpy(buffer->data + sizeof headers, mss, before);
  memcpy(buffer->data + sizeof headers + before, stamps, options - before);
  memset(buffer->data + sizeof headers + options, 'x', payload);
  buffer->length = (uint32_t)length;
  buffer->offload = (struct adit_offload){.checksum = ADIT_CHECKSUM_VALID};
  client->next += (uint32_t)payload + (flags & TH_SYN ? 1 : 0) + (flags & TH_FIN ? 1 : 0);
  adit_stack_input(world->stack, buffer);
}

/* One packet of the client that is a burst. */
static void send_packet(struct cost_world *world, uint32_t index, uint8_t flags, size_t payload) {
  begin_burst(world);
  give_packet(world, index, flags, payload);
  adit_stack_flush(world->stack);
}

void cost_open(struct cost_world *world, uint32_t index) {
  struct cost_client *client = &world->client[index];
  uint64_t before = world->established;
  client->flags = 0;
  client->next += 0x10000; /* a later connection of the same ports begins beyond the earlier one */
  send_packet(world, index, TH_SYN, 0);
  if (client->flags != (TH_SYN | TH_ACK)) cost_die("flags %#x in place of SYN and ACK", client->flags);
  send_packet(world, index, TH_ACK, 0);
  if (world->established != before + 1) cost_die("connection %u was not established", index);
}

void cost_data(struct cost_world *world, const uint32_t *indices, unsigned count) {
  uint64_t before = world->consumed;
  begin_burst(world);
  for (unsigned i = 0; i < count; i++) give_packet(world, indices[i], TH_ACK | TH_PUSH, COST_PAYLOAD);
  adit_stack_flush(world->stack);
  if (world->consumed != before + (uint64_t)count * COST_PAYLOAD)
    cost_die("%llu bytes arrived in place of %u", (unsigned long long)(world->consumed - before), count * COST_PAYLOAD);
}

void cost_close(struct cost_world *world, uint32_t index) {
  struct cost_client *client = &world->client[index];
  client->flags = 0;
  send_packet(world, index, TH_FIN | TH_ACK, 0);
  if (!(client->flags & TH_FIN)) cost_die("flags %#x without the stack's FIN", client->flags);
  send_packet(world, index, TH_ACK, 0);
}

uint32_t cost_pass(struct cost_world *world, uint64_t ns) {
  uint64_t end = world->now_ns + ns;
  uint32_t stops = 0;
  for (uint64_t next; (next = adit_stack_deadline(world->stack)) <= end; stops++) {
    if (next > world->now_ns) world->now_ns = next;
    adit_stack_advance(world->stack, world->now_ns);
  }
  world->now_ns = end;
  adit_stack_advance(world->stack, end);
  return stops;
}

/* ---- the world --------------------------------------------------------------------------------------------------- */

void cost_world_open(struct cost_world *world, uint32_t clients, bool stamps) {
  static const struct adit_stack_events events = {.output = output, .syn = syn};
  struct adit_stack_options options = {
      .size = sizeof options,
      .events = &events,
      .user = world,
      .secret = {1, 2, 3},
      .now_ns = 1000000000,
      .offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4,
      .budget_bytes = (size_t)4 << 30,
  };
  *world = (struct cost_world){.now_ns = options.now_ns, .clients = clients, .stamps = stamps};
  world->client = calloc(clients, sizeof *world->client);
  if (!world->client || adit_pool_new(0, &world->pool) != 0) cost_die("memory");
  int error = adit_stack_new(&options, &world->stack);
  if (error) cost_die("a stack: %s", strerror(-error));
}

void cost_world_close(struct cost_world *world) {
  adit_stack_free(world->stack);
  adit_pool_free(world->pool);
  free(world->client);
}
