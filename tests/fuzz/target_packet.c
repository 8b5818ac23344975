/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Target: packets from a hostile sender, with and without vnet header, to a stack whose owner accepts and echoes all.
 *
 * The input: three bytes of options (fuzz_lab_options), one of how it ends, then packets. Each has a byte of enum how, its
 * length, the vnet header if there is one, and its bytes. The bits of `how` help what is made up past the first checks: they
 * make checksums right, notes fitting and acknowledgments believable, where chance alone would never come.
 */
#include "device/vnet.h"
#include "lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum how {
  HOW_VNET = 1,    /* a vnet header precedes the packet */
  HOW_SEAL = 2,    /* make the checksums right */
  HOW_PARTIAL = 4, /* with SEAL: the transport's is left to the receiver */
  HOW_TIME = 8,    /* a byte says how long to wait afterwards */
  HOW_CUT = 16,    /* notes that say that it is a super-packet */
  HOW_LONG = 32,   /* more bytes behind it than the input has */
  HOW_ACK = 64,    /* acknowledges what the stack sent last to this port */
  HOW_BURST = 128  /* the burst goes on */
};

enum ending { ENDING_SETTLE = 1, ENDING_REFUSES = 2, ENDING_TELLS = 4 };

enum { FLOWS = 32, ETHERNET = 14, MORE = 9000, PORTS = 256 };

struct target {
  struct fuzz_lab lab;
  struct adit_flow *flows[FLOWS]; /* those whose owner we are */
  uint32_t expected[PORTS];       /* by the lower half of the client's port: what follows the stack's last segment */
  uint8_t ending;
};

static uint8_t packet[ADIT_PACKET_MAX];

/* ---- the owner --------------------------------------------------------------------------------------------------- */

static void forget(struct target *target, const struct adit_flow *flow) {
  for (unsigned i = 0; i < FLOWS; i++)
    if (target->flows[i] == flow) target->flows[i] = NULL;
}

static void echo(void *user, struct adit_flow *flow) {
  (void)user;
  struct iovec piece;
  while (adit_flow_peek(flow, &piece, 1) == 1) {
    ssize_t wrote = adit_flow_write(flow, piece.iov_base, piece.iov_len);
    if (wrote <= 0) {
      if (wrote < 0) adit_flow_consume(flow, piece.iov_len);
      break;
    }
    adit_flow_consume(flow, (size_t)wrote);
  }
  if (adit_flow_peer_has_closed(flow) && adit_flow_available(flow) == 0) adit_flow_shutdown(flow);
}

static void on_closed(void *user, struct adit_flow *flow, int error) {
  FUZZ_CHECK(error <= 0, "%d", error);
  forget(user, flow);
}

static void on_syn(void *user, struct adit_flow *flow) {
  static const struct adit_flow_events events = {
      .established = echo, .readable = echo, .writable = echo, .peer_closed = echo, .closed = on_closed};
  struct target *target = user;
  unsigned place = 0;
  while (place < FLOWS && target->flows[place]) place++;
  if (place == FLOWS || (target->ending & ENDING_REFUSES)) {
    FUZZ_EQUAL(adit_flow_refuse(flow, (enum adit_refusal)(adit_flow_remote(flow).port % ADIT_REFUSALS)), 0);
    return;
  }
  target->flows[place] = flow;
  adit_flow_attach(flow, &events, target);
  int error = adit_flow_accept(flow);
  FUZZ_CHECK(error == 0 || error == -ENOBUFS, "%d", error);
}

static void on_datagram(void *user, const struct adit_datagram *datagram) {
  struct target *target = user;
  struct adit_stack *stack = target->lab.stack;
  if (target->ending & ENDING_TELLS) {
    enum adit_refusal how = (enum adit_refusal)(datagram->remote.port % ADIT_REFUSALS);
    (void)adit_stack_send_unreachable(stack, datagram->local, datagram->remote, how, (adit_ip){{0}, 0}, datagram->iov,
                                      datagram->iovcnt);
    (void)adit_stack_refuse_datagram(stack, datagram);
  } else {
    (void)adit_stack_send_datagram(stack, datagram->local, datagram->remote, datagram->iov, datagram->iovcnt);
  }
}

static void on_echo(void *user, const struct adit_echo *request) {
  struct target *target = user;
  struct adit_stack *stack = target->lab.stack;
  if (target->ending & ENDING_TELLS) {
    (void)adit_stack_send_echo_error(stack, request->local, request->remote, request->id, request->sequence,
                                     ADIT_REFUSE_HOST_UNREACHABLE, (adit_ip){{0}, 0}, request->iov, request->iovcnt);
  } else {
    (void)adit_stack_echo_reply(stack, request);
  }
}

static void on_sent(void *user, const uint8_t *bytes, const struct adit_header *header) {
  struct target *target = user;
  (void)bytes;
  if (header->protocol != IPPROTO_TCP || header->fragment) return;
  bool counts = (header->tcp_flags & (ADIT_TCP_SYN | ADIT_TCP_FIN)) != 0;
  target->expected[header->destination_port % PORTS] = header->tcp_sequence + header->length - header->payload +
                                                       (counts ? 1 : 0);
}

/* ---- a packet ---------------------------------------------------------------------------------------------------- */

static size_t lengthen(uint8_t *ip, size_t length, size_t room) {
  size_t more = room - length < MORE ? room - length : MORE;
  if (length < 40 || length + more > 65535) return length;
  memset(ip + length, 0x5a, more);
  length += more;
  unsigned field = ip[0] >> 4 == 4 ? 2 : 4;
  size_t value = ip[0] >> 4 == 4 ? length : length - 40;
  ip[field] = (uint8_t)(value >> 8);
  ip[field + 1] = (uint8_t)value;
  return length;
}

static void believe(const struct target *target, uint8_t *ip, const struct adit_header *header) {
  if (header->protocol != IPPROTO_TCP || header->fragment) return;
  uint32_t value = target->expected[header->source_port % PORTS];
  for (unsigned i = 0; i < 4; i++) ip[header->transport + 8 + i] = (uint8_t)(value >> (24 - 8 * i));
}

static void note_cut(struct adit_offload *notes, const struct adit_header *header) {
  if (header->protocol == IPPROTO_TCP) notes->gso = header->version == 4 ? ADIT_GSO_TCP4 : ADIT_GSO_TCP6;
  if (header->protocol == IPPROTO_UDP) notes->gso = ADIT_GSO_UDP;
  if (notes->gso != ADIT_GSO_NONE) notes->gso_size = 1200;
}

static void one_packet(struct target *target, struct fuzz_bytes *bytes) {
  uint8_t how = fuzz_take8(bytes);
  size_t length = fuzz_take16(bytes);
  uint8_t wait = how & HOW_TIME ? fuzz_take8(bytes) : 0;
  struct virtio_net_hdr vnet = {0};
  struct adit_offload notes = {0};
  bool impossible = false;
  if (how & HOW_VNET) {
    size_t size = sizeof vnet;
    const uint8_t *at = fuzz_take(bytes, &size);
    memcpy(&vnet, at, size);
  }
  const uint8_t *at = fuzz_take(bytes, &length);
  if (length > 0) memcpy(packet, at, length);
  if (how & HOW_VNET) impossible = adit_vnet_parse(&vnet, length, &notes) != 0;
  size_t link = target->lab.options.ethernet ? ETHERNET : 0;
  if (length > link) {
    uint8_t *ip = packet + link;
    struct adit_header header;
    enum adit_drop why;
    if (how & HOW_LONG) length = link + lengthen(ip, length - link, sizeof packet - link);
    if ((how & (HOW_SEAL | HOW_CUT | HOW_ACK)) && adit_header_parse(ip, length - link, &header, &why)) {
      if (how & HOW_ACK) believe(target, ip, &header);
      if (how & HOW_CUT) note_cut(&notes, &header);
      if (how & HOW_SEAL) fuzz_lab_seal(ip, length - link, (how & HOW_PARTIAL) != 0, &notes);
      if (notes.checksum == ADIT_CHECKSUM_PARTIAL && (how & HOW_SEAL))
        notes.checksum_start = (uint16_t)(notes.checksum_start + link);
    }
  }
  if (!impossible) fuzz_lab_input(&target->lab, packet, length, &notes); /* a device drops what is */
  if (!(how & HOW_BURST)) adit_stack_flush(target->lab.stack);
  if (wait) fuzz_lab_pass(&target->lab, (uint64_t)wait * wait * FUZZ_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_bytes bytes = {data, size};
  struct target target = {0};
  target.lab.user = &target;
  target.lab.sent = on_sent;
  fuzz_lab_options(&target.lab, &bytes);
  target.ending = fuzz_take8(&bytes);
  target.lab.events = (struct adit_stack_events){.syn = on_syn, .datagram = on_datagram, .echo = on_echo};
  fuzz_lab_open(&target.lab);
  while (bytes.left > 0) one_packet(&target, &bytes);
  if (target.ending & ENDING_SETTLE) {
    for (unsigned i = 0; i < FLOWS; i++) {
      struct adit_flow *flow = target.flows[i];
      target.flows[i] = NULL;
      if (flow) adit_flow_abort(flow);
    }
    fuzz_lab_settle(&target.lab);
  }
  fuzz_lab_close(&target.lab);
  return 0;
}
