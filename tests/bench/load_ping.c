/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Echo requests, one after the other, and how long each took.
 *
 * With an interval there is a pause between them, so that the network's own load decides how long they take. A lost one
 * counts as lost and waits for PATIENCE.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 8, DATA = 56 };

static const struct icmp_kind {
  int protocol;
  uint8_t request;
  uint8_t reply;
} icmp4 = {IPPROTO_ICMP, 8, 0}, icmp6 = {IPPROTO_ICMPV6, 128, 129};

/* RFC 1071. The kernel makes that of ICMPv6. */
static void put_checksum(uint8_t *message, size_t length) {
  uint32_t sum = 0;
  memset(message + 2, 0, 2);
  for (size_t i = 0; i < length; i += 2) sum += (uint32_t)message[i] << 8 | (i + 1 < length ? message[i + 1] : 0U);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  message[2] = (uint8_t)(~sum >> 8);
  message[3] = (uint8_t)~sum;
}

/* Whether `message` answers the request. Raw IPv4 sockets deliver the IP header, too. */
static bool is_reply(const struct icmp_kind *kind, const uint8_t *message, size_t length, const uint8_t *request) {
  size_t skip = kind == &icmp4 && length > 0 ? (size_t)(message[0] & 15) * 4 : 0;
  return length >= skip + HEADER && message[skip] == kind->reply && memcmp(message + skip + 4, request + 4, 4) == 0;
}

static bool await_reply(int fd, const struct icmp_kind *kind, const uint8_t *request, uint64_t sent_ns) {
  uint8_t message[2048];
  while (load_now_ns() - sent_ns < LOAD_PATIENCE_MS * 1000000ULL) {
    ssize_t got = recv(fd, message, sizeof message, 0);
    if (got > 0 && is_reply(kind, message, (size_t)got, request)) return true;
  }
  return false;
}

static int open_raw(const struct load_target *target, const struct icmp_kind *kind) {
  const struct timeval patience = {.tv_sec = LOAD_PATIENCE_MS / 1000};
  int fd = socket(target->address.ss_family, SOCK_RAW | SOCK_CLOEXEC, kind->protocol);
  if (fd < 0) load_die("raw socket (needs CAP_NET_RAW)");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (load_mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &load_mark, sizeof load_mark) != 0) load_die("mark");
  if (connect(fd, (const struct sockaddr *)&target->address, target->length) != 0) load_die("connect");
  return fd;
}

void load_run_ping(char **argv, int argc) {
  struct load_target target = load_target_of(argv[0], "0");
  uint64_t duration = load_duration_ns(argv[1]);
  uint64_t pause_us = argc > 2 ? load_number(argv[2], 0, 1000000, "interval") : 0;
  const struct icmp_kind *kind = target.address.ss_family == AF_INET ? &icmp4 : &icmp6;
  int fd = open_raw(&target, kind);
  struct load_samples samples = {0};
  uint64_t lost = 0;
  uint8_t request[HEADER + DATA] = {kind->request};
  uint16_t id = (uint16_t)getpid();
  memcpy(request + 4, &id, sizeof id);
  uint64_t start = load_now_ns();
  for (uint16_t sequence = 0; load_now_ns() - start < duration; sequence++) {
    const struct timespec pause = {.tv_nsec = (long)(pause_us * 1000)};
    memcpy(request + 6, &sequence, sizeof sequence);
    if (kind == &icmp4) put_checksum(request, sizeof request);
    uint64_t before = load_now_ns();
    if (send(fd, request, sizeof request, 0) < 0) load_die("echo request %u", sequence);
    if (await_reply(fd, kind, request, before))
      load_samples_add(&samples, load_now_ns() - before);
    else
      lost++;
    if (pause_us) nanosleep(&pause, NULL);
  }
  close(fd);
  errno = 0;
  if (samples.count == 0) load_die("no echo request out of %" PRIu64 " was answered", lost);
  printf("{\"answered\": %zu, \"lost\": %" PRIu64 ", \"seconds\": %.3f", samples.count, lost,
         (double)(load_now_ns() - start) / 1e9);
  load_samples_print(&samples);
  puts("}");
  load_samples_free(&samples);
}
