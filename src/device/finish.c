/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Finish a partial checksum without writing to memory that is only borrowed.
 *
 * The two bytes of the field are cut out of the list of pieces, and two bytes of the caller's put in their place. No
 * payload is copied, and the field may lie in any piece, or half in one and half in the next.
 */
#include "device/finish.h"

#include <string.h>

#include "packet/checksum.h"

/* Append the bytes from `begin` (inclusive) to `end` (exclusive) of the packet. Returns the new number of pieces. */
static unsigned append_range(const struct adit_packet *packet, size_t begin, size_t end, struct iovec *pieces,
                             unsigned count) {
  size_t at = 0; /* offset of the piece in the packet */
  for (unsigned i = 0; i < packet->iovcnt && at < end; i++) {
    const struct iovec *piece = &packet->iov[i];
    size_t from = begin > at ? begin - at : 0;
    size_t to = end - at < piece->iov_len ? end - at : piece->iov_len;
    if (from < to) {
      pieces[count++] = (struct iovec){.iov_base = (uint8_t *)piece->iov_base + from, .iov_len = to - from};
    }
    at += piece->iov_len;
  }
  return count;
}

unsigned adit_finish_pieces(const struct adit_packet *packet, uint8_t checksum[2], struct iovec *pieces) {
  if (packet->offload.checksum != ADIT_CHECKSUM_PARTIAL) {
    memcpy(pieces, packet->iov, packet->iovcnt * sizeof *pieces);
    return packet->iovcnt;
  }
  uint16_t value = adit_checksum_finish(packet);
  memcpy(checksum, &value, sizeof value);
  size_t field = (size_t)packet->offload.checksum_start + packet->offload.checksum_offset;
  unsigned count = append_range(packet, 0, field, pieces, 0);
  pieces[count++] = (struct iovec){.iov_base = checksum, .iov_len = sizeof value};
  return append_range(packet, field + sizeof value, packet->length, pieces, count);
}
