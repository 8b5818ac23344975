/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A stack under a clock that the input moves, for targets that feed it packets. Every packet that it sends is checked.
 */
#ifndef ADIT_TESTS_FUZZ_LAB_H
#define ADIT_TESTS_FUZZ_LAB_H

#include "fuzz.h"
#include "packet/header.h"

#include <adit/stack.h>

#define FUZZ_MS UINT64_C(1000000)
#define FUZZ_S UINT64_C(1000000000)

/** A stack and its pool. Set `events`, `user`, `sent` if wanted, then fuzz_lab_open. */
struct fuzz_lab {
  struct adit_stack_events events; /**< all but `output`; they get `user` */
  void *user;
  /** A packet came out, whose headers could be read and whose checksums are right. May be NULL. */
  void (*sent)(void *user, const uint8_t *packet, const struct adit_header *header);
  struct adit_stack_options options; /**< filled by fuzz_lab_options, to be changed before fuzz_lab_open */
  struct adit_stack *stack;
  struct adit_pool *pool;
  size_t before; /**< memory in use without any flow */
};

/** Options by the next bytes of an input: offloads, sizes and bounds, one of a few values each. */
void fuzz_lab_options(struct fuzz_lab *lab, struct fuzz_bytes *bytes);

/** Make the stack. */
void fuzz_lab_open(struct fuzz_lab *lab);

/** Give it a packet; the notes may be NULL. */
void fuzz_lab_input(struct fuzz_lab *lab, const void *packet, size_t length, const struct adit_offload *notes);

/** Let time pass, stopping at each of the stack's deadlines, but not at all of very many. */
void fuzz_lab_pass(struct fuzz_lab *lab, uint64_t ns);

/**
 * All owners have let their flows go: let time pass until nothing waits for it. Then no flow, buffer or memory may be in
 * use any more.
 */
void fuzz_lab_settle(struct fuzz_lab *lab);

/** Free the stack, whatever it is in the middle of; no buffer may be in use any more. */
void fuzz_lab_close(struct fuzz_lab *lab);

/**
 * Make the checksums of a packet right, IP header's and transport's, as far as it can be read; with `partial` the
 * transport's is left to whoever receives it, and `notes` say so.
 */
void fuzz_lab_seal(uint8_t *packet, size_t length, bool partial, struct adit_offload *notes);

#endif
