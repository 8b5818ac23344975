/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Values that lwIP knows as constants and adit as properties of a stack.
 */
#ifndef ADIT_PORT_VALUES_H
#define ADIT_PORT_VALUES_H

#include <stdint.h>

/** Receive window of a flow of the current stack, bytes. */
uint32_t adit_port_window(void);

/** Bytes that a flow of the current stack may have queued for sending. */
uint32_t adit_port_send_buffer(void);

/** By how many bytes the window must have opened to be worth a segment of its own. */
uint32_t adit_port_window_update(void);

#endif
