/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Finish a partial checksum for devices that cannot pass it on.
 */
#ifndef ADIT_DEVICE_FINISH_H
#define ADIT_DEVICE_FINISH_H

#include <adit/packet.h>

/** Pieces that adit_finish_pieces needs room for. */
#define ADIT_FINISH_PIECES (ADIT_PACKET_PIECES + 2)

/**
 * The pieces of `packet` as they go out: those of the packet, or, when its checksum is partial, the same with
 * `checksum` in place of the two bytes of the field. The packet's memory is left as it is. `pieces` has room for
 * ADIT_FINISH_PIECES; it refers to the packet's memory and to `checksum`, both borrowed. The notes have passed
 * adit_vnet_check.
 * Returns the number of pieces.
 */
unsigned adit_finish_pieces(const struct adit_packet *packet, uint8_t checksum[2], struct iovec *pieces);

#endif
