/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack under a clock that the test moves, and a small TCP client.
 */
#include "support_client.h"

#include "support_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEGMENT = 1400, START_NS = 1000000000 };

static int keep_output(void *user, const struct adit_packet *packet) {
  struct support_lab *lab = user;
  if (lab->most && packet->length > lab->most) {
    lab->refused++;
    return -ENOBUFS;
  }
  struct support_out *out = malloc(sizeof *out + packet->length);
  assert_non_null(out);
  out->next = NULL;
  out->offload = packet->offload;
  out->length = 0;
  for (unsigned i = 0; i < packet->iovcnt; i++) {
    assert_true(out->length + packet->iov[i].iov_len <= packet->length);
    memcpy(out->bytes + out->length, packet->iov[i].iov_base, packet->iov[i].iov_len);
    out->length += packet->iov[i].iov_len;
  }
  assert_int_equal(out->length, packet->length);
  *lab->end = out;
  lab->end = &out->next;
  return 0;
}

void support_lab_open(struct support_lab *lab, const struct adit_stack_events *events,
                      void (*change)(struct adit_stack_options *options)) {
  memset(lab, 0, sizeof *lab);
  lab->end = &lab->first;
  lab->now_ns = START_NS;
  lab->events = *events;
  lab->events.output = keep_output;
  assert_int_equal(adit_pool_new(0, &lab->pool), 0);
  struct adit_stack_options options = {
      .size = sizeof options, .events = &lab->events, .user = lab, .secret = "sixteen bytes..", .now_ns = lab->now_ns};
  if (change) change(&options);
  assert_int_equal(adit_stack_new(&options, &lab->stack), 0);
}

void support_lab_close(struct support_lab *lab) {
  adit_stack_free(lab->stack);
  assert_int_equal(adit_pool_in_use(lab->pool), 0);
  adit_pool_free(lab->pool);
  struct support_out *out;
  while ((out = support_lab_take(lab))) free(out);
}

void support_lab_input(struct support_lab *lab, const uint8_t *bytes, size_t length) {
  struct adit_buffer *buffer = adit_buffer_new(lab->pool);
  assert_non_null(buffer);
  assert_true(length <= buffer->capacity);
  memcpy(buffer->data, bytes, length);
  buffer->length = (uint32_t)length;
  adit_stack_input(lab->stack, buffer);
}

void support_lab_flush(struct support_lab *lab) {
  adit_stack_flush(lab->stack);
}

void support_lab_pass(struct support_lab *lab, uint64_t ns) {
  uint64_t end_ns = lab->now_ns + ns;
  for (unsigned steps = 0; lab->now_ns < end_ns; steps++) {
    assert_true(steps < 100000);
    uint64_t deadline_ns = adit_stack_deadline(lab->stack);
    if (deadline_ns > end_ns) deadline_ns = end_ns;
    lab->now_ns = deadline_ns > lab->now_ns ? deadline_ns : lab->now_ns + 1;
    adit_stack_advance(lab->stack, lab->now_ns);
  }
}

struct support_out *support_lab_take(struct support_lab *lab) {
  struct support_out *out = lab->first;
  if (!out) return NULL;
  lab->first = out->next;
  if (!lab->first) lab->end = &lab->first;
  return out;
}

size_t support_headers(const uint8_t *packet, uint8_t *protocol) {
  size_t ip = packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4 : 40;
  *protocol = packet[0] >> 4 == 4 ? packet[9] : packet[6];
  return ip + (*protocol == IPPROTO_TCP ? (packet[ip + 12] >> 4) * 4u : 8);
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static bool is_ipv6(const struct support_client *client) {
  return strchr(client->server, ':') != NULL;
}

static void send_segment(struct support_client *client, uint8_t flags, const void *options, size_t optlen,
                         const void *data, size_t length) {
  static uint8_t packet[SUPPORT_PACKET_MAX];
  uint32_t ack = flags & SUPPORT_ACK ? client->expected : 0;
  size_t size = (is_ipv6(client) ? support_tcp6 : support_tcp4)(packet, client->address, client->server, client->port,
                                                                client->server_port, client->next, ack, flags, 65535,
                                                                options, optlen, data, length);
  client->next += (uint32_t)length + (flags & (SUPPORT_SYN | SUPPORT_FIN) ? 1 : 0);
  support_lab_input(client->lab, packet, size);
}

static void keep_data(struct support_client *client, const uint8_t *data, size_t length) {
  if (client->length + length > client->room) {
    client->room = (client->length + length) * 2;
    client->data = realloc(client->data, client->room);
    assert_non_null(client->data);
  }
  if (length > 0) memcpy(client->data + client->length, data, length);
  client->length += length;
}

/* Take one packet. Returns whether it wants an acknowledgment. */
static bool take_segment(struct support_client *client, const struct support_out *out) {
  uint8_t protocol;
  size_t headers = support_headers(out->bytes, &protocol);
  size_t ip = is_ipv6(client) ? 40 : 20;
  const uint8_t *tcp = out->bytes + ip;
  assert_int_equal(protocol, IPPROTO_TCP);
  assert_true(headers <= out->length);
  if (out->offload.checksum == ADIT_CHECKSUM_NONE) assert_true(support_sealed(out->bytes, out->length));
  assert_int_equal(support_get16(tcp), client->server_port);
  assert_int_equal(support_get16(tcp + 2), client->port);
  uint8_t flags = tcp[13];
  uint32_t sequence = support_get32(tcp + 4);
  size_t length = out->length - headers;
  if (flags & SUPPORT_RST) {
    client->reset = true;
    return false;
  }
  if (flags & SUPPORT_ACK) client->acked = support_get32(tcp + 8);
  client->window = support_get16(tcp + 14);
  if (flags & SUPPORT_SYN) {
    assert_false(client->established);
    client->established = true;
    client->expected = sequence + 1;
    return true;
  }
  if (client->deaf) return false;
  if (length == 0 && !(flags & SUPPORT_FIN)) return false;
  if (sequence != client->expected) return true; /* sent again, or out of order: say what is expected */
  keep_data(client, out->bytes + headers, length);
  client->expected += (uint32_t)length;
  if (flags & SUPPORT_FIN) {
    client->peer_fin = true;
    client->expected++;
  }
  client->deaf = client->enough > 0 && client->length >= client->enough;
  return !client->deaf;
}

void support_client_run(struct support_client *client) {
  support_lab_flush(client->lab);
  bool answer;
  do {
    answer = false;
    struct support_out *out;
    while ((out = support_lab_take(client->lab))) {
      answer |= take_segment(client, out);
      free(out);
    }
    if (answer && !client->deaf) send_segment(client, SUPPORT_ACK, NULL, 0, NULL, 0);
    support_lab_flush(client->lab);
  } while (client->lab->first);
}

void support_client_open(struct support_client *client) {
  static const uint8_t mss[] = {2, 4, SEGMENT >> 8, SEGMENT & 0xff};
  client->next = 1000 + client->port;
  send_segment(client, SUPPORT_SYN, mss, sizeof mss, NULL, 0);
  support_client_run(client);
}

size_t support_client_send(struct support_client *client, const void *data, size_t length) {
  size_t sent = 0;
  while (sent < length && !client->reset) {
    uint32_t in_flight = client->next - client->acked;
    size_t piece = length - sent < SEGMENT ? length - sent : SEGMENT;
    if (in_flight >= client->window) break;
    if (piece > client->window - in_flight) piece = client->window - in_flight;
    send_segment(client, SUPPORT_ACK | SUPPORT_PSH, NULL, 0, (const uint8_t *)data + sent, piece);
    sent += piece;
    support_client_run(client);
  }
  return sent;
}

void support_client_fin(struct support_client *client) {
  send_segment(client, SUPPORT_ACK | SUPPORT_FIN, NULL, 0, NULL, 0);
  support_client_run(client);
}

void support_client_reset(struct support_client *client) {
  send_segment(client, SUPPORT_ACK | SUPPORT_RST, NULL, 0, NULL, 0);
  support_client_run(client);
}

void support_client_free(struct support_client *client) {
  free(client->data);
  client->data = NULL;
  client->length = client->room = 0;
}
