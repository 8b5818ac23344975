/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Datagrams through a SOCKS5 proxy that this test plays: the header as bytes, associations, who answers, what goes
 * wrong. Runs in a network namespace of its own, whose lo has SUPPORT_KERNEL4 and SUPPORT_KERNEL6.
 */
#include "relay/fake_names.h"
#include "relay/socks5_datagram.h"
#include "relay/udp.h"
#include "support_ip.h"
#include "support_relay.h"
#include "support_tun.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR4 "203.0.113.7"
#define OTHER4 "203.0.113.8"
#define FAR6 "2001:db8::7"
#define ANY 0, 0, 0, 0, 0, 0 /* an unspecified IPv4 address and port */

enum { CLIENT = 4000 };

static uint8_t data[66000];
static uint8_t heard[65536];
static struct support_relay world;
static int listener; /* the proxy */
static int control;  /* its side of an association, -1 = none */
static int relay_fd; /* its relay */
static uint16_t relay_port;
static adit_endpoint inside; /* where the association's datagrams come from */

/* ---- the header -------------------------------------------------------------------------------------------------- */

static void headers(void **state) {
  static const struct {
    const char *ip, *name;
    uint16_t port;
    uint8_t bytes[32];
    size_t length;
  } table[] = {
      {"203.0.113.7", NULL, 53, {0, 0, 0, 1, 203, 0, 113, 7, 0, 53}, 10},
      {"2001:db8::7", NULL, 65535, {0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, [19] = 7, 0xff, 0xff}, 22},
      {NULL, "a.example", 443, {0, 0, 0, 3, 9, 'a', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', 1, 0xbb}, 16},
  };
  (void)state;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    uint8_t out[ADIT_SOCKS5_HEADER];
    struct adit_socks5_datagram datagram;
    adit_endpoint target = {.port = table[i].port};
    if (table[i].ip) target = support_endpoint(table[i].ip, table[i].port);
    assert_int_equal(adit_socks5_wrap(target, table[i].name, out), table[i].length);
    assert_memory_equal(out, table[i].bytes, table[i].length);
    for (size_t length = 0; length < table[i].length; length++)
      assert_int_equal(adit_socks5_unwrap(table[i].bytes, length, &datagram), -EBADMSG);
    assert_int_equal(adit_socks5_unwrap(table[i].bytes, table[i].length, &datagram), 0);
    assert_int_equal(datagram.header, table[i].length);
    assert_int_equal(datagram.from.port, table[i].port);
    assert_int_equal(datagram.fragment, 0);
    if (table[i].name) {
      assert_int_equal(datagram.name_length, strlen(table[i].name));
      assert_memory_equal(datagram.name, table[i].name, datagram.name_length);
      assert_int_equal(datagram.from.ip.version, 0);
    } else {
      assert_null(datagram.name);
      assert_true(adit_ip_equal(datagram.from.ip, target.ip));
    }
  }
}

static void headers_that_are_none(void **state) {
  static const uint8_t mapped[] = {0, 0, 0, 4, [14] = 0xff, 0xff, 203, 0, 113, 7, 0, 53};
  struct adit_socks5_datagram datagram;
  uint64_t seed = 7;
  uint8_t bytes[300];
  (void)state;
  assert_int_equal(adit_socks5_unwrap(mapped, sizeof mapped, &datagram), 0);
  assert_true(adit_ip_equal(datagram.from.ip, support_endpoint("203.0.113.7", 0).ip));
  assert_int_equal(adit_socks5_unwrap((const uint8_t[]){0, 0, 0, 2, 1, 2, 3, 4, 5, 6}, 10, &datagram), -EBADMSG);
  assert_int_equal(adit_socks5_unwrap((const uint8_t[]){0, 0, 0, 3, 0, 0, 53, 1}, 8, &datagram),
                   -EBADMSG); /* no name */
  for (unsigned i = 0; i < 100000;
       i++) { /* whatever it is, nothing outside of it is looked at (the sanitizers watch) */
    size_t length = support_random(&seed) % sizeof bytes;
    uint8_t *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    for (size_t k = 0; k < length; k++) exact[k] = (uint8_t)support_random(&seed);
    if (length > 3) exact[3] &= 7;
    if (adit_socks5_unwrap(exact, length, &datagram) == 0) {
      assert_in_range(datagram.header, 8, length);
      assert_true(!datagram.name || datagram.name + datagram.name_length + 2 == exact + datagram.header);
    }
    free(exact);
  }
}

/* ---- the proxy --------------------------------------------------------------------------------------------------- */

static int open_world(void **state) {
  (void)state;
  memset(&world, 0, sizeof world);
  support_relay_open(&world);
  struct adit_upstream *upstream = &world.options.upstream;
  uint16_t port = 0;
  listener = support_relay_outside(SUPPORT_KERNEL4, SOCK_STREAM, &port);
  upstream->kind = ADIT_UPSTREAM_SOCKS5;
  strcpy(upstream->host, SUPPORT_KERNEL4);
  upstream->port = port;
  upstream->address = support_endpoint(SUPPORT_KERNEL4, port);
  control = -1;
  relay_port = 0;
  relay_fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &relay_port);
  world.egress.manner = ADIT_SOCKS5_AT_ONCE;
  assert_int_equal(adit_udp_start(&world.relay), 0);
  return 0;
}

static int close_world(void **state) {
  (void)state;
  if (world.relay.udp) adit_udp_stop(&world.relay);
  if (control >= 0) close(control);
  close(listener);
  close(relay_fd);
  if (world.relay.fake) adit_fake_stop(&world.relay);
  support_relay_close(&world);
  adit_fake_names_free(world.options.fake_names);
  return 0;
}

static void read_exactly(const void *expected, size_t length) {
  uint8_t bytes[64];
  assert_true(length <= sizeof bytes);
  SUPPORT_UNTIL(&world, recv(control, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) >= (ssize_t)length);
  assert_int_equal(recv(control, bytes, sizeof bytes, MSG_DONTWAIT), (ssize_t)length);
  assert_memory_equal(bytes, expected, length);
}

static void say(const void *bytes, size_t length) {
  assert_int_equal(send(control, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Somebody asks for an association. Everything comes at once. */
static void take_request(void) {
  static const uint8_t wanted[] = {5, 1, 0, 5, 3, 0, 1, ANY};
  SUPPORT_UNTIL(&world, (control = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
  read_exactly(wanted, sizeof wanted);
}

/* It is granted: the relay is there, by an IPv4 address. */
static void grant_at(const char *address) {
  uint8_t reply[] = {5, 0, 5, 0, 0, 1, ANY};
  memcpy(reply + 6, support_endpoint(address, 0).ip.bytes, 4);
  support_put16(reply + 10, relay_port);
  say(reply, sizeof reply);
}

static void end_association(void) {
  close(control);
  control = -1;
}

/* The relay has got a datagram with this header and these bytes. */
static void relay_hears(const void *header, size_t header_length, const void *bytes, size_t length) {
  size_t got = support_relay_hear(&world, relay_fd, heard, sizeof heard, &inside);
  assert_int_equal(got, header_length + length);
  assert_memory_equal(heard, header, header_length);
  assert_memory_equal(heard + header_length, bytes, length);
}

static void relay_hears_to(const char *address, uint16_t port, const void *bytes, size_t length) {
  uint8_t header[ADIT_SOCKS5_HEADER];
  relay_hears(header, adit_socks5_wrap(support_endpoint(address, port), NULL, header), bytes, length);
}

/* The relay sends a datagram with this header in. */
static void relay_says(const void *header, size_t header_length, const void *bytes, size_t length) {
  static uint8_t whole[65536 + 300];
  memcpy(whole, header, header_length);
  memcpy(whole + header_length, bytes, length);
  support_relay_say(relay_fd, inside, whole, header_length + length);
}

static void relay_says_from(const char *address, const char *name, uint16_t port, const void *bytes, size_t length) {
  uint8_t header[ADIT_SOCKS5_HEADER];
  adit_endpoint from = {.port = port};
  if (address) from = support_endpoint(address, port);
  relay_says(header, adit_socks5_wrap(from, name, header), bytes, length);
}

static void client_sends(const char *to, uint16_t port, const void *bytes, size_t length) {
  support_relay_send(&world, CLIENT, to, port, bytes, length);
}

/* An association of the client's, made with a datagram to port 9. */
static void associate_for(const char *far) {
  client_sends(far, 9, "hello", 5);
  take_request();
  grant_at(SUPPORT_KERNEL4);
  relay_hears_to(far, 9, "hello", 5);
}

static void associate(void) {
  associate_for(FAR4);
}

/* ---- associations ------------------------------------------------------------------------------------------------ */

static void there_and_back(void **state) {
  static const size_t sizes[] = {0, 1, 512, 1472, 1473, 9000, 20000, 65000, 65507 - 22, 65507 - 10};
  static const char *const far[] = {FAR4, FAR6};
  (void)state;
  for (unsigned v = 0; v < 2; v++) {
    associate_for(far[v]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes - v; i++) { /* the header for IPv6 is the longer one */
      client_sends(far[v], 53, data + i, sizes[i]);
      relay_hears_to(far[v], 53, data + i, sizes[i]);
      relay_says_from(far[v], NULL, 53, data + 3, sizes[i]);
      support_relay_expect(&world, far[v], 53, CLIENT, data + 3, sizes[i]);
    }
    relay_says_from(v ? "2001:db8:9::9" : "198.51.100.9", NULL, 1234, "stranger",
                    8); /* is heard, if the proxy lets it */
    support_relay_expect(&world, v ? "2001:db8:9::9" : "198.51.100.9", 1234, CLIENT, "stranger", 8);
    end_association();
  }
  assert_int_equal(world.relay.stats.udp_dropped, 0);
}

static void bursts(void **state) {
  (void)state;
  associate();
  for (unsigned i = 0; i < 300; i++) {
    support_put16(data, i);
    support_relay_give(&world, CLIENT, i % 50 ? FAR4 : OTHER4, 9, 64, data, i % 7 ? 1000 : 300);
  }
  support_relay_flush(&world);
  for (unsigned i = 0; i < 300; i++) {
    support_put16(data, i);
    relay_hears_to(i % 50 ? FAR4 : OTHER4, 9, data, i % 7 ? 1000 : 300);
  }
  assert_int_equal(world.relay.stats.udp_dropped, 0);
}

/* What comes while the association is made waits in order; what is too much is dropped, and counted. */
static void waiting(void **state) {
  (void)state;
  client_sends(FAR4, 9, data, 60000);
  for (unsigned i = 0; i < 10; i++) client_sends(FAR4, 10, data + i, 1000);
  assert_int_equal(world.relay.stats.udp_dropped, 0);
  client_sends(FAR4, 9, data, 60000);
  assert_int_equal(world.relay.stats.udp_dropped, 1);
  take_request();
  support_relay_expect_silence(&world);
  grant_at(SUPPORT_KERNEL4);
  relay_hears_to(FAR4, 9, data, 60000);
  for (unsigned i = 0; i < 10; i++) relay_hears_to(FAR4, 10, data + i, 1000);
  support_relay_expect_silence(&world);
  assert_int_equal(recv(relay_fd, heard, sizeof heard, MSG_DONTWAIT), -1);
}

/* 0.0.0.0, a name, and an address that is the proxy's own loopback: the relay is where the proxy is. */
static void relay_addresses(void **state) {
  static const char *const addresses[] = {"0.0.0.0", "127.0.0.1", SUPPORT_KERNEL4};
  (void)state;
  for (size_t i = 0; i < 6; i++) {
    uint16_t port = (uint16_t)(CLIENT + i);
    support_relay_send(&world, port, FAR4, 9, "hello", 5);
    take_request();
    if (i < 3) {
      grant_at(addresses[i]);
    } else {
      uint8_t name[] = {5, 0, 5, 0, 0, 3, 5, 'p', 'r', 'o', 'x', 'y', 0, 0};
      uint8_t any6[] = {5, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
      uint8_t mapped[] = {5, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0, 1, 0, 0};
      uint8_t *reply = i == 3 ? name : i == 4 ? any6 : mapped;
      size_t length = i == 3 ? sizeof name : sizeof any6;
      support_put16(reply + length - 2, relay_port);
      say(reply, length);
    }
    relay_hears_to(FAR4, 9, "hello", 5);
    end_association();
  }
}

static void relay_over_ipv6(void **state) {
  (void)state;
  uint8_t reply[] = {5, 0, 5, 0, 0, 4, 0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
  close(relay_fd);
  relay_port = 0;
  relay_fd = support_relay_outside(SUPPORT_KERNEL6, SOCK_DGRAM, &relay_port);
  support_put16(reply + sizeof reply - 2, relay_port);
  client_sends(FAR4, 9, data, 65507); /* over IPv6 there is room for the header */
  take_request();
  say(reply, sizeof reply);
  relay_hears_to(FAR4, 9, data, 65507);
  relay_says_from(FAR4, NULL, 9, data + 1, 65507);
  support_relay_expect(&world, FAR4, 9, CLIENT, data + 1, 65507);
}

static void too_long_with_the_header(void **state) {
  (void)state;
  associate();
  client_sends(FAR4, 9, data, 65507);
  client_sends(FAR4, 9, "still there", 11);
  relay_hears_to(FAR4, 9, "still there", 11);
  assert_int_equal(world.relay.stats.udp_dropped, 1);
}

static void each_client_its_own(void **state) {
  (void)state;
  associate();
  int first = control;
  adit_endpoint first_inside = inside;
  support_relay_send(&world, CLIENT + 1, FAR4, 9, "two", 3);
  take_request();
  grant_at(SUPPORT_KERNEL4);
  relay_hears_to(FAR4, 9, "two", 3);
  assert_int_not_equal(inside.port, first_inside.port);
  relay_says_from(FAR4, NULL, 9, "for two", 7);
  support_relay_expect(&world, FAR4, 9, CLIENT + 1, "for two", 7);
  inside = first_inside;
  relay_says_from(FAR4, NULL, 9, "for one", 7);
  support_relay_expect(&world, FAR4, 9, CLIENT, "for one", 7);
  assert_int_equal(recv(first, heard, 1, MSG_DONTWAIT), -1); /* still kept */
  assert_int_equal(errno, EAGAIN);
  close(first);
}

/* The control connection dies: with the next datagram there is a new one, and not before. */
static void control_dies(void **state) {
  (void)state;
  for (unsigned i = 0; i < 5; i++) {
    associate();
    adit_endpoint before = inside;
    support_relay_expect_silence(&world);
    if (i % 2) {
      struct linger reset = {.l_onoff = 1};
      assert_int_equal(setsockopt(control, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    } else {
      say("something", 9); /* which nobody wants to know */
    }
    end_association();
    support_relay_expect_silence(&world);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    support_relay_say(relay_fd, before, "late", 4); /* nobody is there any more */
  }
  assert_int_equal(world.relay.stats.udp_sessions, 1);
  assert_int_equal(world.relay.stats.udp_dropped, 0);
}

/* Nobody listens at the relay any more: the kernel says so, and that ends the association too. */
static void relay_dies(void **state) {
  (void)state;
  associate();
  close(relay_fd);
  client_sends(FAR4, 9, "lost", 4);
  char byte;
  SUPPORT_UNTIL(&world, recv(control, &byte, 1, MSG_DONTWAIT) == 0);
  end_association();
  relay_port = 0;
  relay_fd = support_relay_outside(SUPPORT_KERNEL4, SOCK_DGRAM, &relay_port);
  associate();
}

/* ---- who answers ------------------------------------------------------------------------------------------------- */

static void fragments_and_garbage(void **state) {
  static const uint8_t fragment[] = {0, 0, 1, 1, 203, 0, 113, 7, 0, 9};
  static const uint8_t last_fragment[] = {0, 0, 0x81, 1, 203, 0, 113, 7, 0, 9};
  (void)state;
  associate();
  relay_says(fragment, sizeof fragment, "half", 4);
  relay_says(last_fragment, sizeof last_fragment, "half", 4);
  relay_says("", 0, "", 0);
  relay_says("", 0, "garbage garbage", 15);
  relay_says_from(FAR6, NULL, 9, "wrong version", 13);
  support_relay_expect_silence(&world);
  assert_int_equal(world.relay.stats.udp_dropped, 5);
  relay_says_from(FAR4, NULL, 9, "right", 5);
  support_relay_expect(&world, FAR4, 9, CLIENT, "right", 5);
}

/* A name or nobody in the answer: the port decides, then who was asked last. */
static void answers_with_names(void **state) {
  (void)state;
  associate(); /* FAR4 port 9 */
  client_sends(OTHER4, 9, "x", 1);
  relay_hears_to(OTHER4, 9, "x", 1);
  client_sends(OTHER4, 10, "x", 1);
  relay_hears_to(OTHER4, 10, "x", 1);
  client_sends(FAR4, 9, "x", 1);
  relay_hears_to(FAR4, 9, "x", 1);
  relay_says_from(NULL, "far.example", 9, "by name", 7);
  support_relay_expect(&world, FAR4, 9, CLIENT, "by name", 7);
  relay_says_from(NULL, "other.example", 10, "by name", 7);
  support_relay_expect(&world, OTHER4, 10, CLIENT, "by name", 7);
  relay_says_from(NULL, OTHER4, 9, "in letters", 10);
  support_relay_expect(&world, OTHER4, 9, CLIENT, "in letters", 10);
  relay_says_from("0.0.0.0", NULL, 10, "nobody", 6);
  support_relay_expect(&world, OTHER4, 10, CLIENT, "nobody", 6);
  relay_says_from("0.0.0.0", NULL, 0, "nothing", 7);
  support_relay_expect(&world, FAR4, 9, CLIENT, "nothing", 7);
  relay_says_from(NULL, "far.example", 11, "nobody asked", 12);
  support_relay_expect_silence(&world);
  assert_int_equal(world.relay.stats.udp_dropped, 1);
}

/* Addresses that stand for names: the proxy gets the name; whoever answers is the address that the client asked. */
static void names(void **state) {
  uint32_t number[2];
  char fake[2][ADIT_ADDRESS_TEXT];
  static const char *const hosts[] = {"www.example", "other.example"};
  (void)state;
  struct adit_fake_options how = {.now_ns = adit_loop_clock(world.relay.loop)};
  assert_int_equal(adit_fake_names_new(&how, &world.options.fake_names), 0);
  world.options.dns = ADIT_RELAY_DNS_FAKE;
  assert_int_equal(adit_fake_prepare(&world.relay, world.relay.egress), 0);
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(adit_fake_names_take(world.options.fake_names, hosts[i], how.now_ns, &number[i]), 0);
    adit_ip_format(adit_fake_names_address(number[i], 4), fake[i]);
  }
  uint8_t header[ADIT_SOCKS5_HEADER];
  client_sends(fake[0], 443, "one", 3);
  take_request();
  grant_at(SUPPORT_KERNEL4);
  relay_hears(header, adit_socks5_wrap((adit_endpoint){.port = 443}, hosts[0], header), "one", 3);
  client_sends(fake[1], 443, "two", 3);
  relay_hears(header, adit_socks5_wrap((adit_endpoint){.port = 443}, hosts[1], header), "two", 3);

  relay_says_from(NULL, "WWW.Example", 443, "named", 5);
  support_relay_expect(&world, fake[0], 443, CLIENT, "named", 5);
  relay_says_from(FAR4, NULL, 443, "the one asked last", 18);
  support_relay_expect(&world, fake[1], 443, CLIENT, "the one asked last", 18);
  relay_says_from(OTHER4, NULL, 443, "the other one", 13);
  support_relay_expect(&world, fake[0], 443, CLIENT, "the other one", 13);
  relay_says_from(FAR6, NULL, 443, "a stranger of the wrong version", 31); /* both names are taken */
  support_relay_expect_silence(&world);
  client_sends(fake[0], 443, "again", 5);
  relay_hears(header, adit_socks5_wrap((adit_endpoint){.port = 443}, hosts[0], header), "again", 5);
  relay_says_from(FAR4, NULL, 443, "it stays so", 11);
  support_relay_expect(&world, fake[1], 443, CLIENT, "it stays so", 11);
  assert_int_equal(world.relay.stats.udp_dropped, 1);

  /* An address that no name has: refused, and the proxy hears nothing of it. */
  uint32_t nobody = 1;
  while (nobody == number[0] || nobody == number[1]) nobody++;
  adit_ip_format(adit_fake_names_address(nobody, 4), fake[1]);
  client_sends(fake[1], 443, "three", 5);
  support_relay_expect_error(&world, fake[1], 3, 3, 1, 4, CLIENT, fake[1], 443);
  assert_int_equal(recv(relay_fd, heard, sizeof heard, MSG_DONTWAIT), -1);
}

/* ---- what goes wrong --------------------------------------------------------------------------------------------- */

/* One more datagram; whether the proxy is asked for an association. */
static bool asked_again(void) {
  client_sends(FAR4, 443, "again", 5);
  support_ip_forget(&world.lab);
  control = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return control >= 0;
}

/* The proxy does not do it: port unreachable for all that waits, at once for what follows, and nobody asks for a
   while. */
static void refused(void **state) {
  static const uint8_t no[] = {5, 0, 5, 7, 0, 1, ANY};
  (void)state;
  client_sends(FAR4, 443, "one", 3);
  client_sends(OTHER4, 443, "two", 3);
  take_request();
  say(no, sizeof no);
  support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, CLIENT, FAR4, 443);
  support_relay_expect_error(&world, OTHER4, 3, 3, 1, 4, CLIENT, OTHER4, 443);
  end_association();
  for (uint16_t i = 0; i < 20; i++) {
    support_relay_send(&world, (uint16_t)(CLIENT + i), FAR4, 443, "more", 4);
    assert_non_null(world.lab.first); /* at once */
    support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, (uint16_t)(CLIENT + i), FAR4, 443);
  }
  support_relay_expect_silence(&world);
  assert_int_equal(accept(listener, NULL, NULL), -1);
  assert_int_equal(world.said.count, 1);
  assert_non_null(strstr(world.said.last, SUPPORT_KERNEL4));
  assert_int_equal(world.relay.stats.udp_dropped, 22);
  SUPPORT_UNTIL(&world, asked_again());
}

static void proxy_is_absent(void **state) {
  (void)state;
  uint16_t port = world.options.upstream.port;
  close(listener);
  client_sends(FAR4, 443, "one", 3);
  support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, CLIENT, FAR4, 443);
  client_sends(FAR4, 443, "two", 3);
  support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, CLIENT, FAR4, 443);
  assert_int_equal(world.said.count, 1);
  listener = support_relay_outside(SUPPORT_KERNEL4, SOCK_STREAM, &port);
}

static void proxy_is_silent(void **state) {
  (void)state;
  world.options.connect_ms = 100;
  client_sends(FAR4, 443, "one", 3);
  take_request();
  support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, CLIENT, FAR4, 443);
  assert_true(world.said.count >= 1);
}

static void relay_without_a_port(void **state) {
  static const uint8_t reply[] = {5, 0, 5, 0, 0, 1, 10, 9, 0, 1, 0, 0};
  (void)state;
  client_sends(FAR4, 443, "one", 3);
  take_request();
  say(reply, sizeof reply);
  support_relay_expect_error(&world, FAR4, 3, 3, 1, 4, CLIENT, FAR4, 443);
  char byte;
  SUPPORT_UNTIL(&world, recv(control, &byte, 1, MSG_DONTWAIT) == 0);
  assert_int_equal(world.said.count, 1);
}

/* It ends while associations are in every stage. */
static void stop_in_the_middle(void **state) {
  (void)state;
  associate();
  int first = control;
  support_relay_send(&world, CLIENT + 1, FAR4, 9, "waits", 5);
  take_request();
  support_relay_send(&world, CLIENT + 2, FAR4, 9, "waits", 5);
  support_relay_give(&world, CLIENT, FAR4, 9, 64, "last", 4);
  adit_udp_stop(&world.relay);
  relay_hears_to(FAR4, 9, "last", 4);
  char byte;
  assert_int_equal(recv(first, &byte, 1, 0), 0);
  close(first);
  assert_int_equal(recv(control, &byte, 1, 0), 0);
}

/* The session idle longest ends, with its control connection. */
static void too_many(void **state) {
  (void)state;
  world.relay.udp->limit = 2;
  associate();
  int first = control;
  support_relay_send(&world, CLIENT + 1, FAR4, 9, "two", 3);
  take_request(); /* and is not answered */
  int second = control;
  support_relay_send(&world, CLIENT + 2, FAR4, 9, "three", 5);
  char byte;
  SUPPORT_UNTIL(&world, recv(first, &byte, 1, MSG_DONTWAIT) == 0);
  close(first);
  support_relay_send(&world, CLIENT + 3, FAR4, 9, "four", 4);
  SUPPORT_UNTIL(&world, recv(second, &byte, 1, MSG_DONTWAIT) == 0);
  close(second);
  assert_int_equal(world.relay.stats.udp_evicted, 2);
  assert_int_equal(world.relay.stats.udp_dropped, 1); /* what had waited */
  control = -1;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(headers),
      cmocka_unit_test(headers_that_are_none),
      TEST(there_and_back),
      TEST(bursts),
      TEST(waiting),
      TEST(relay_addresses),
      TEST(relay_over_ipv6),
      TEST(too_long_with_the_header),
      TEST(each_client_its_own),
      TEST(control_dies),
      TEST(relay_dies),
      TEST(fragments_and_garbage),
      TEST(answers_with_names),
      TEST(names),
      TEST(refused),
      TEST(proxy_is_absent),
      TEST(proxy_is_silent),
      TEST(relay_without_a_port),
      TEST(stop_in_the_middle),
      TEST(too_many),
  };
  support_pattern(data, sizeof data);
  int skipped = support_tun_namespace("test_socks5_udp");
  if (skipped) return skipped;
  support_tun_up("lo");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
