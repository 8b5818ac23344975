/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Types and codes of ICMP (RFC 792, RFC 1812) and ICMPv6 (RFC 4443, RFC 4861) that mean something here.
 *
 * The system's headers cannot be used beside lwIP's: they define the same structs.
 */
#ifndef ADIT_PACKET_ICMP_H
#define ADIT_PACKET_ICMP_H

enum adit_icmp {
  ADIT_ICMP_ECHO_REPLY = 0,
  ADIT_ICMP_UNREACHABLE = 3,
  ADIT_ICMP_ECHO = 8,
  ADIT_ICMP_TIME_EXCEEDED = 11
};

enum adit_icmp_unreachable {
  ADIT_ICMP_NET = 0,
  ADIT_ICMP_HOST = 1,
  ADIT_ICMP_PORT = 3,
  ADIT_ICMP_FRAGMENTATION_NEEDED = 4,
  ADIT_ICMP_PROHIBITED = 13
};

enum adit_icmp6 {
  ADIT_ICMP6_UNREACHABLE = 1,
  ADIT_ICMP6_TOO_BIG = 2,
  ADIT_ICMP6_TIME_EXCEEDED = 3,
  ADIT_ICMP6_ECHO = 128,
  ADIT_ICMP6_ECHO_REPLY = 129,
  ADIT_ICMP6_NEIGHBOUR_SOLICITATION = 135,
  ADIT_ICMP6_NEIGHBOUR_ADVERTISEMENT = 136
};

enum adit_icmp6_unreachable {
  ADIT_ICMP6_NO_ROUTE = 0,
  ADIT_ICMP6_PROHIBITED = 1,
  ADIT_ICMP6_ADDRESS = 3,
  ADIT_ICMP6_PORT = 4
};

/** Time exceeded in transit, in both. */
enum { ADIT_ICMP_IN_TRANSIT = 0 };

#endif
