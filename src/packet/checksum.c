/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The Internet checksum (RFC 1071), fast enough for a device without offload, where every byte passes here.
 *
 * The sum is one's complement: adding with the carry brought back in at the low end. That makes it independent of word
 * size (2^64-1 is a multiple of 2^16-1) and of byte order (bytes swapped in every word give a sum with its bytes
 * swapped), so it is taken here over 64-bit words just as they lie in memory. A running sum is such a 64-bit value;
 * only adit_checksum_fold() makes it 16 bits, which are then in the order of the wire without conversion.
 *
 * Four independent sums, because one would wait for its own carry at every word.
 */
#include "packet/checksum.h"

#include <arpa/inet.h>
#include <string.h>

static uint64_t load(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static uint32_t load32(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* One's complement addition: the carry out of the top comes back in at the bottom, and cannot carry a second time. */
static uint64_t add(uint64_t sum, uint64_t word) {
  uint64_t total;
  uint64_t carry = __builtin_add_overflow(sum, word, &total);
  return total + carry;
}

uint64_t adit_checksum_add(uint64_t sum, const void *data, size_t length) {
  const uint8_t *at = data;
  if (length >= 32) {
    uint64_t lane[4] = {sum, 0, 0, 0};
    do {
      lane[0] = add(lane[0], load(at));
      lane[1] = add(lane[1], load(at + 8));
      lane[2] = add(lane[2], load(at + 16));
      lane[3] = add(lane[3], load(at + 24));
      at += 32;
      length -= 32;
    } while (length >= 32);
    sum = add(add(lane[0], lane[1]), add(lane[2], lane[3]));
  }
  for (; length >= 8; length -= 8, at += 8) {
    sum = add(sum, load(at));
  }
  if (length > 0) {
    uint64_t rest = 0; /* zeros behind the last byte change no sum */
    memcpy(&rest, at, length);
    sum = add(sum, rest);
  }
  return sum;
}

static uint16_t swap(uint16_t value) {
  return (uint16_t)(value << 8 | value >> 8);
}

uint64_t adit_checksum_iov(uint64_t sum, const struct iovec *iov, unsigned iovcnt, size_t skip, size_t length) {
  bool odd = false; /* the next byte is the second of its pair */
  for (unsigned i = 0; i < iovcnt && length > 0; i++) {
    size_t here = iov[i].iov_len;
    if (skip >= here) {
      skip -= here;
      continue;
    }
    const uint8_t *at = (const uint8_t *)iov[i].iov_base + skip;
    here -= skip;
    skip = 0;
    if (here > length) {
      here = length;
    }
    length -= here;
    if (odd) {
      /* Summed from the wrong half of a pair: every byte stands in the other half of its word, and so in the sum. */
      sum = add(sum, swap(adit_checksum_fold(adit_checksum_add(0, at, here))));
    } else {
      sum = adit_checksum_add(sum, at, here);
    }
    odd ^= here % 2 != 0;
  }
  return sum;
}

uint64_t adit_checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t transport_length) {
  uint64_t sum = add(htonl(protocol), htonl(transport_length));
  if (ip[0] >> 4 == 4) { /* two loads, since they may have been written as two a moment ago */
    return sum + load32(ip + 12) + load32(ip + 16);
  }
  sum = add(add(sum, load(ip + 8)), load(ip + 16));
  return add(add(sum, load(ip + 24)), load(ip + 32));
}

uint16_t adit_checksum_fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

uint16_t adit_checksum_finish(const struct adit_packet *packet) {
  size_t start = packet->offload.checksum_start;
  if (start > packet->length) {
    return 0;
  }
  uint64_t sum = adit_checksum_iov(0, packet->iov, packet->iovcnt, start, packet->length - start);
  uint16_t field = (uint16_t)~adit_checksum_fold(sum);
  /* Zero means "none" to UDP; the other zero of one's complement is as right for every protocol (RFC 768). */
  return field == 0 ? 0xffff : field;
}
