/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * IP addresses, endpoints and networks as small values, and their text forms.
 */
#ifndef ADIT_ADDRESS_H
#define ADIT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** An IPv4 or IPv6 address. Unused bytes are zero, so two equal addresses are equal as bytes. */
typedef struct adit_ip {
  uint8_t bytes[16]; /**< network order; IPv4 uses the first four */
  uint8_t version;   /**< 4 or 6; 0 = no address */
} adit_ip;

/** One end of a conversation: an address and a TCP or UDP port. */
typedef struct adit_endpoint {
  adit_ip ip;
  uint16_t port; /**< host order */
} adit_endpoint;

/** A network: every address whose first `prefix` bits equal those of `ip`. */
typedef struct adit_cidr {
  adit_ip ip;     /**< as it was written: host bits are kept, so that it can also name one address in its network */
  uint8_t prefix; /**< 0..32 or 0..128 */
} adit_cidr;

/** Room that any text form below needs, terminating zero included ("[" address "]:" port, or address "/" prefix). */
#define ADIT_ADDRESS_TEXT 56

/** The address made of four or sixteen bytes in network order. `version` is 4 or 6. */
adit_ip adit_ip_from_bytes(unsigned version, const void *bytes);

/** Number of bytes the address has on the wire: 4, 16, or 0 for no address. */
size_t adit_ip_length(adit_ip ip);

bool adit_ip_equal(adit_ip a, adit_ip b);

/** Multicast (224.0.0.0/4, ff00::/8) or the IPv4 limited broadcast: an address that no flow can have. */
bool adit_ip_is_multicast(adit_ip ip);

/**
 * Read "192.0.2.1" or "2001:db8::1" (RFC 4291 section 2.2; no zone).
 * Returns 0, or -EINVAL when the text is not an address; `*ip` is then unchanged.
 */
int adit_ip_parse(const char *text, adit_ip *ip);

/** Write the address (RFC 5952 form) to `text`, at least ADIT_ADDRESS_TEXT bytes. Returns `text`. */
char *adit_ip_format(adit_ip ip, char *text);

/** Write "192.0.2.1:80" or "[2001:db8::1]:80" to `text`, at least ADIT_ADDRESS_TEXT bytes. Returns `text`. */
char *adit_endpoint_format(adit_endpoint endpoint, char *text);

/**
 * Read "192.0.2.0/24", "2001:db8::/32", or an address alone, which is the network of that one address.
 * Returns 0, or -EINVAL when the text is not a network; `*cidr` is then unchanged.
 */
int adit_cidr_parse(const char *text, adit_cidr *cidr);

/** Write "192.0.2.0/24" to `text`, at least ADIT_ADDRESS_TEXT bytes. Returns `text`. */
char *adit_cidr_format(adit_cidr cidr, char *text);

/** Whether `ip` lies in the network. Addresses of different versions never do. */
bool adit_cidr_contains(adit_cidr cidr, adit_ip ip);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
