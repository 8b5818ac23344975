/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Values that lwIP knows as constants, and memory that it knows as the system's; to adit both are properties of a stack.
 */
#ifndef ADIT_PORT_VALUES_H
#define ADIT_PORT_VALUES_H

#include <stddef.h>
#include <stdint.h>

/** Memory of the current stack: not zeroed (but for calloc), aligned to 16, counted. NULL when the budget is spent. */
void *adit_port_malloc(size_t size);
void *adit_port_calloc(size_t count, size_t size);
void adit_port_free(void *memory);

/** Receive window of a flow of the current stack, bytes. */
uint32_t adit_port_window(void);

/** Bytes that a flow of the current stack may have queued for sending. */
uint32_t adit_port_send_buffer(void);

/** Segments that a flow may keep out of order. */
uint16_t adit_port_out_of_order(void);

/** By how many bytes the window must have opened to be worth a segment of its own. */
uint32_t adit_port_window_update(void);

#endif
