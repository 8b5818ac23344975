/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Names of the reasons for which a received packet goes no further.
 */
#include <adit/packet.h>
#include <assert.h>

static const char *const names[] = {
    [ADIT_DROP_TRUNCATED] = "truncated",
    [ADIT_DROP_OVERSIZED] = "oversized",
    [ADIT_DROP_VERSION] = "ip version",
    [ADIT_DROP_HEADER] = "header",
    [ADIT_DROP_IP_CHECKSUM] = "ip checksum",
    [ADIT_DROP_TCP_CHECKSUM] = "tcp checksum",
    [ADIT_DROP_UDP_CHECKSUM] = "udp checksum",
    [ADIT_DROP_ICMP_CHECKSUM] = "icmp checksum",
    [ADIT_DROP_OFFLOAD] = "offload",
    [ADIT_DROP_ADDRESS] = "address",
    [ADIT_DROP_PROTOCOL] = "protocol",
    [ADIT_DROP_FRAGMENT] = "fragment",
    [ADIT_DROP_PARKED] = "parked",
    [ADIT_DROP_MEMORY] = "memory",
    [ADIT_DROP_OLD] = "old timestamp",
    [ADIT_DROP_UNSTAMPED] = "no timestamp",
};

static_assert(sizeof names / sizeof names[0] == ADIT_DROPS, "every reason has a name");

const char *adit_drop_name(enum adit_drop reason) {
  return (unsigned)reason < ADIT_DROPS ? names[reason] : "unknown";
}
