/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The smallest program around the core: it greets whoever connects, at any address and any port, over IPv4 and IPv6.
 *
 *     sudo build/release/demos/greeter greet0              # in one terminal; in another one:
 *
 *     sudo ip address add 192.168.3.11/24 dev greet0
 *     sudo ip address add fdad:3::11/64 dev greet0 nodad   # no need to ask who else has it: nobody
 *     sudo ip link set greet0 up
 *
 *     ping 192.168.3.12; nc 192.168.3.200 4711; nc fdad:3::beef 80
 *
 * A number in place of the name is a TUN fd that the parent process opened. Ctrl-C ends it; the device and its
 * addresses go with the process. Outside of this tree: cc greeter.c $(pkg-config --cflags --libs adit)
 */
#include <adit/device.h>
#include <adit/stack.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static void established(void *user, struct adit_flow *flow) {
  char local[ADIT_ADDRESS_TEXT], remote[ADIT_ADDRESS_TEXT], text[2 * ADIT_ADDRESS_TEXT + 64];
  (void)user;
  adit_endpoint_format(adit_flow_local(flow), local);
  adit_endpoint_format(adit_flow_remote(flow), remote);
  int length = snprintf(text, sizeof text, "Hello, %s. You have reached %s.\n", remote, local);
  adit_flow_write(flow, text, (size_t)length); /* a new flow has room for far more */
  adit_flow_shutdown(flow);                    /* FIN behind it; the client may still be talking */
  fprintf(stderr, "greeted %s at %s\n", remote, local);
}

/* What the client says is thrown away. To close with bytes unread would be a reset, and the greeting might be lost. */
static void readable(void *user, struct adit_flow *flow) {
  (void)user;
  adit_flow_consume(flow, adit_flow_available(flow));
}

static void hang_up(void *user, struct adit_flow *flow) {
  (void)user;
  adit_flow_close(flow);
}

static const struct adit_flow_events talk = {.established = established, .readable = readable, .peer_closed = hang_up};

static void syn(void *user, struct adit_flow *flow) {
  adit_flow_attach(flow, &talk, user);
  if (adit_flow_accept(flow) != 0) adit_flow_drop(flow); /* out of memory: the client will ask again */
}

static int output(void *user, const struct adit_packet *packet) {
  return adit_device_write(user, packet); /* a full queue loses it, as networks do; TCP sends it again */
}

/* No `echo` and no `datagram`: the stack answers ping by itself, and datagrams with "port unreachable". */
static const struct adit_stack_events stack_events = {.output = output, .syn = syn};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Milliseconds to sleep, rounded up; -1 = until a packet comes. */
static int wait_ms(const struct adit_stack *stack) {
  uint64_t now = now_ns(), deadline = adit_stack_deadline(stack);
  if (deadline == UINT64_MAX) return -1;
  return deadline <= now ? 0 : (int)((deadline - now + 999999) / 1000000);
}

static int run(struct adit_device *device, struct adit_stack *stack, struct adit_pool *pool) {
  fprintf(stderr, "%s is there; now give it addresses and set it up\n", adit_device_name(device));
  for (;;) {
    struct pollfd wait = {.fd = adit_device_fd(device), .events = POLLIN};
    struct adit_buffer *buffer;
    int result = -EBADMSG;
    if (poll(&wait, 1, wait_ms(stack)) < 0 && errno != EINTR) return -errno;
    adit_stack_advance(stack, now_ns());
    for (int i = 0; i < 64 && (result == 1 || result == -EBADMSG); i++) { /* a burst; -EBADMSG: no packet, read on */
      result = adit_device_read(device, pool, &buffer);
      if (result == 1) adit_stack_input(stack, buffer); /* the buffer is the stack's now */
    }
    adit_stack_flush(stack);
    if (result != 1 && result != -EBADMSG && result != -EAGAIN) return result;
  }
}

static int open_device(const char *name, struct adit_device **device) {
  struct adit_device_options options = {.size = sizeof options, .name = name};
  char *end;
  long fd = strtol(name, &end, 10);
  if (*end == '\0') return adit_device_attach((int)fd, true, device);
  return adit_device_open(&options, device);
}

int main(int argc, char **argv) {
  struct adit_stack_options options = {.size = sizeof options, .events = &stack_events, .now_ns = now_ns()};
  struct adit_device *device = NULL;
  struct adit_pool *pool = NULL;
  struct adit_stack *stack = NULL;
  int error = open_device(argc > 1 ? argv[1] : "greet%d", &device);
  if (!error && getrandom(options.secret, sizeof options.secret, 0) < 0) error = -errno;
  if (!error) error = adit_pool_new(0, &pool);
  if (!error) {
    options.user = device; /* for `output` */
    options.offload = adit_device_offload(device);
    error = adit_stack_new(&options, &stack);
  }
  if (!error) error = run(device, stack, pool);
  fprintf(stderr, "greeter: %s: %s\n", argc > 1 ? argv[1] : "greet%d", strerror(-error)); /* it runs until it cannot */
  adit_stack_free(stack);
  adit_device_close(device);
  adit_pool_free(pool);
  return EXIT_FAILURE;
}
