/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What lwIP asks of the compiler and of whoever runs it: types, messages, randomness, and where its variables live.
 */
#ifndef ADIT_ARCH_CC_H
#define ADIT_ARCH_CC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

/* ---- randomness: from the stack's secret, so that a run can be repeated (port/state.c) ---- */
uint32_t adit_port_random(void);
#define LWIP_RAND() adit_port_random()

/* ---- byte order: an instruction, where lwIP has a function; htons and the like are the system's ---- */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define lwip_htons(value) __builtin_bswap16(value)
#define lwip_htonl(value) __builtin_bswap32(value)
#endif
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

/* ---- messages ---- */
void adit_port_fail(const char *what, const char *file, int line) __attribute__((noreturn, cold));
#define LWIP_PLATFORM_DIAG(x)
#ifdef NDEBUG
#define LWIP_NOASSERT 1
#endif
#define LWIP_PLATFORM_ASSERT(what) adit_port_fail(what, __FILE__, __LINE__)

/* ---- where lwIP's variables live (third_party/lwip/patches/0001-per-stack-state.patch) ----
 *
 * What a stack keeps between two calls stands in one linker section. That section is only the image with which a stack
 * begins: each stack owns a copy of it, and every access adds the distance from the image to the copy that is current in
 * this thread. It is how Linux reaches its per-CPU variables. One thread may so own several stacks, and a stack may move
 * from thread to thread; thread-local variables would allow neither, and would not fit into the static TLS that is left
 * for a library opened with dlopen.
 *
 * What lwIP only uses from the start of one call to its end is thread-local instead: it needs no copy, and is faster.
 */
extern __thread ptrdiff_t adit_port_distance __attribute__((tls_model("initial-exec"), visibility("hidden")));

#define LWIP_PER_CALL __thread __attribute__((tls_model("initial-exec")))
#define LWIP_PER_STACK __attribute__((section("lwip_stack")))
#define LWIP_STACK_NAME(name) lwip_stack_##name
#define LWIP_STACK(name) (*LWIP_STACK_POINTER(&LWIP_STACK_NAME(name)))

/* The address passes through an empty asm: the compiler must not reason that the result still lies in the image. */
#define LWIP_STACK_POINTER(image)                                                                                      \
  (__extension__({                                                                                                     \
    char *lwip_stack_at;                                                                                               \
    __asm__("" : "=r"(lwip_stack_at) : "0"(image));                                                                    \
    (__typeof__(image))(void *)(lwip_stack_at + adit_port_distance);                                                   \
  }))

#endif
