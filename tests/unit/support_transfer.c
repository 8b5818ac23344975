/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A TCP client that bears a bad network.
 *
 * It trusts nothing: a packet whose lengths, addresses or checksums are not right is counted and forgotten, as the
 * kernel would. A segment that passes and says what cannot be ends the test.
 */
#include "support_transfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_packet.h"
#include "support_peer.h"

#define CLIENT4 "192.168.3.11"
#define SERVER4 "192.168.3.12"
#define CLIENT6 "fdad:3::11"
#define SERVER6 "fdad:3::12"

enum { PORT = 40000, SERVER_PORT = 80, MSS = 1400, SCALE = 7, WINDOW = 1 << 18 };
#define RTO_LEAST_NS (200 * SUPPORT_MS)
#define RTO_MOST_NS (4 * SUPPORT_S)
#define FIN_AT (1 + SUPPORT_TRANSFER)
#define END (FIN_AT + 1)

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void transmit(struct support_transfer *client, uint32_t offset, uint8_t flags, const void *options,
                     size_t optlen, const uint8_t *data, size_t length) {
  uint8_t bytes[2048];
  uint32_t acknowledgment = flags & SUPPORT_ACK ? client->begin + client->expected : 0;
  uint16_t window = flags & SUPPORT_SYN ? 65535 : WINDOW >> SCALE;
  size_t size = (client->ipv6 ? support_tcp6 : support_tcp4)(
      bytes, client->ipv6 ? CLIENT6 : CLIENT4, client->ipv6 ? SERVER6 : SERVER4, PORT, SERVER_PORT,
      client->first + offset, acknowledgment, flags, window, options, optlen, data, length);
  struct iovec piece = {bytes, size};
  struct adit_packet packet = {.iov = &piece, .iovcnt = 1, .length = size};
  assert_int_equal(adit_device_write(client->device, &packet), 0);
}

static void acknowledge(struct support_transfer *client) {
  transmit(client, client->sent, SUPPORT_ACK, NULL, 0, NULL, 0);
}

/* Send the segment at `offset`. Returns the offset behind it. */
static uint32_t send_at(struct support_transfer *client, uint32_t offset) {
  static const uint8_t options[] = {2, 4, MSS >> 8, MSS & 0xff, 1, 3, 3, SCALE};
  uint32_t behind;
  if (offset < client->sent) client->again++;
  if (offset == 0) {
    transmit(client, 0, SUPPORT_SYN, options, sizeof options, NULL, 0);
    behind = 1;
  } else if (offset == FIN_AT) {
    transmit(client, offset, SUPPORT_ACK | SUPPORT_FIN, NULL, 0, NULL, 0);
    behind = END;
  } else {
    uint32_t length = FIN_AT - offset < MSS ? FIN_AT - offset : MSS;
    transmit(client, offset, SUPPORT_ACK | SUPPORT_PSH, NULL, 0, client->pattern + offset - 1, length);
    behind = offset + length;
  }
  if (behind > client->sent) client->sent = behind;
  if (client->timer_ns == UINT64_MAX) client->timer_ns = client->now_ns + client->rto_ns;
  return behind;
}

static void send_more(struct support_transfer *client) {
  uint32_t window = client->congestion < client->room ? client->congestion : client->room;
  while (client->established && client->next < END && client->next - client->acked < window)
    client->next = send_at(client, client->next);
}

static void time_out(struct support_transfer *client) {
  uint32_t flight = client->sent - client->acked;
  client->threshold = flight / 2 > 2 * MSS ? flight / 2 : 2 * MSS;
  client->congestion = MSS;
  client->recover = 0;
  client->duplicates = 0;
  client->rto_ns = 2 * client->rto_ns < RTO_MOST_NS ? 2 * client->rto_ns : RTO_MOST_NS;
  client->timer_ns = UINT64_MAX;
  client->next = send_at(client, client->acked);
}

/* ---- acknowledgments --------------------------------------------------------------------------------------------- */

static void take_new(struct support_transfer *client, uint32_t acked) {
  uint32_t bytes = acked - client->acked;
  client->acked = acked;
  if (client->next < acked) client->next = acked;
  client->duplicates = 0;
  client->rto_ns = RTO_LEAST_NS;
  client->timer_ns = acked < client->sent ? client->now_ns + client->rto_ns : UINT64_MAX;
  if (client->recover != 0 && acked < client->recover) { /* partial (RFC 6582, 3.2) */
    send_at(client, acked);
    client->congestion = client->congestion > bytes ? client->congestion - bytes + MSS : MSS;
    return;
  }
  if (client->recover != 0) {
    client->congestion = client->threshold;
    client->recover = 0;
  } else {
    uint32_t more = client->congestion < client->threshold ? MSS : MSS * MSS / client->congestion + 1;
    client->congestion += bytes < more ? bytes : more;
  }
}

static void take_acknowledgment(struct support_transfer *client, uint32_t acked, uint32_t room, bool bare) {
  if (acked > client->sent) fail_msg("byte %u is acknowledged, %u were sent", acked, client->sent);
  if (acked > client->acked) {
    client->room = room;
    take_new(client, acked);
  } else if (acked == client->acked) {
    bool duplicate = bare && room == client->room && acked < client->sent;
    client->room = room;
    if (!duplicate) return;
    client->duplicates++;
    if (client->recover != 0) {
      client->congestion += MSS;
    } else if (client->duplicates == 3) {
      uint32_t flight = client->sent - client->acked;
      client->threshold = flight / 2 > 2 * MSS ? flight / 2 : 2 * MSS;
      client->congestion = client->threshold + 3 * MSS;
      client->recover = client->sent;
      send_at(client, acked);
    }
  }
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* Whether the packet is whole and for this client; then `*tcp_at` is where TCP begins and `*length` its bytes. */
static bool is_good(const struct support_transfer *client, const uint8_t *ip, size_t got, size_t *tcp_at,
                    size_t *length) {
  size_t header = client->ipv6 ? 40 : 20;
  if (got < header + 20 || ip[0] != (client->ipv6 ? 0x60 : 0x45)) return false;
  size_t total = client->ipv6 ? 40u + support_get16(ip + 4) : support_get16(ip + 2);
  if (total != got || (client->ipv6 ? ip[6] : ip[9]) != IPPROTO_TCP) return false;
  const uint8_t *tcp = ip + header;
  size_t tcp_header = (tcp[12] >> 4) * 4u;
  if (tcp_header < 20 || header + tcp_header > got || !support_sealed(ip, got)) return false;
  if (support_get16(tcp) != SERVER_PORT || support_get16(tcp + 2) != PORT) return false;
  *tcp_at = header;
  *length = got - header - tcp_header;
  return true;
}

static void take_data(struct support_transfer *client, uint32_t offset, const uint8_t *data, size_t length, bool fin) {
  if (offset == 0 || offset + length > FIN_AT || (fin && offset + length != FIN_AT))
    fail_msg("%zu bytes%s at offset %u of %u", length, fin ? " and FIN" : "", offset, FIN_AT);
  if (length > 0) {
    memcpy(client->data + offset - 1, data, length);
    memset(client->have + offset - 1, 1, length);
  }
  client->fin = client->fin || fin;
  while (client->expected < FIN_AT && client->have[client->expected - 1]) client->expected++;
  if (client->expected == FIN_AT && client->fin) client->expected = END;
  if (client->expected >= FIN_AT && !client->whole) {
    client->whole = true;
    client->whole_ns = client->now_ns;
  }
}

static void take(struct support_transfer *client, const uint8_t *ip, size_t got) {
  size_t at;
  size_t length;
  if (!is_good(client, ip, got, &at, &length)) {
    client->damaged++;
    return;
  }
  const uint8_t *tcp = ip + at;
  uint8_t flags = tcp[13];
  uint32_t sequence = support_get32(tcp + 4);
  uint32_t acked = support_get32(tcp + 8) - client->first;
  uint32_t room = support_get16(tcp + 14);
  if (flags & SUPPORT_RST) {
    client->reset = true;
    return;
  }
  if (flags & SUPPORT_SYN) {
    if (client->established) assert_int_equal(sequence, client->begin);
    if (!client->established) {
      client->established = true;
      client->begin = sequence;
      client->expected = 1;
      take_acknowledgment(client, acked, room, false);
    }
    acknowledge(client);
    return;
  }
  if (!client->established) return; /* overtook the SYN-ACK, or that was lost */
  bool fin = (flags & SUPPORT_FIN) != 0;
  take_acknowledgment(client, acked, room << SCALE, length == 0 && !fin);
  if (length == 0 && !fin) return;
  take_data(client, sequence - client->begin, tcp + (tcp[12] >> 4) * 4u, length, fin);
  acknowledge(client);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void support_transfer_begin(struct support_transfer *client, uint64_t now_ns) {
  client->now_ns = now_ns;
  client->data = calloc(1, SUPPORT_TRANSFER);
  client->have = calloc(1, SUPPORT_TRANSFER);
  assert_non_null(client->data);
  assert_non_null(client->have);
  client->congestion = 10 * MSS;
  client->threshold = UINT32_MAX / 2;
  client->room = 1;
  client->rto_ns = RTO_LEAST_NS;
  client->timer_ns = UINT64_MAX;
  client->next = send_at(client, 0);
}

bool support_transfer_turn(struct support_transfer *client, uint64_t now_ns) {
  struct adit_buffer *buffer;
  bool some = false;
  client->now_ns = now_ns;
  int result;
  while ((result = adit_device_read(client->device, client->pool, &buffer)) == 1) {
    assert_int_equal(buffer->offload.gso, ADIT_GSO_NONE);
    take(client, buffer->data, buffer->length);
    adit_buffer_unref(buffer);
    some = true;
  }
  assert_int_equal(result, -EAGAIN);
  if (client->timer_ns <= now_ns) time_out(client);
  send_more(client);
  return some;
}

uint64_t support_transfer_deadline(const struct support_transfer *client) {
  return client->timer_ns;
}

void support_transfer_free(struct support_transfer *client) {
  free(client->data);
  free(client->have);
}
