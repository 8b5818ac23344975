/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Interfaces over rtnetlink, against the kernel, in a network namespace that this program makes for itself.
 */
#include "host/holder.h"
#include "host/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LEFT_OUT = 77 };

static struct adit_link_socket *link_socket;
static int opened[4] = {-1, -1, -1, -1}; /* devices of the test that runs */

/* A TUN or TAP device that goes with its fd, at the latest when the test ends, also by a failure. */
static int open_tun(const char *name, short flags) {
  struct ifreq request = {.ifr_flags = flags};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  assert_true(fd >= 0);
  size_t place = 0;
  while (opened[place] >= 0) place++;
  opened[place] = fd;
  if (ioctl(fd, TUNSETIFF, &request) != 0) fail_msg("%s: TUNSETIFF: %s", name, strerror(errno));
  return fd;
}

static void close_tun(int fd) {
  for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++) {
    if (opened[i] == fd) opened[i] = -1;
  }
  close(fd);
}

static int close_all(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++) {
    if (opened[i] >= 0) close_tun(opened[i]);
  }
  return 0;
}

static int open_socket(void **state) {
  (void)state;
  return adit_link_open(&link_socket);
}

static int close_socket(void **state) {
  (void)state;
  adit_link_close(link_socket);
  link_socket = NULL;
  return 0;
}

static void check_done(int result, const char *what) {
  if (result != 0) fail_msg("%s: expected 0, found %d: %s", what, result, adit_link_reason(link_socket));
}

static void check_error(int result, int expected, const char *reason) {
  if (result != expected || strstr(adit_link_reason(link_socket), reason) == NULL) {
    fail_msg("expected %d, ...%s..., found %d, %s", expected, reason, result, adit_link_reason(link_socket));
  }
}

static struct adit_link_info find(const char *name) {
  struct adit_link_info info;
  check_done(adit_link_find(link_socket, name, &info), name);
  return info;
}

static adit_cidr cidr(const char *text) {
  adit_cidr value;
  assert_int_equal(adit_cidr_parse(text, &value), 0);
  return value;
}

/* The addresses of one interface as text. */
struct listing {
  unsigned index;
  char text[512];
};

static bool list(void *user, unsigned index, adit_cidr address) {
  struct listing *listing = user;
  char text[ADIT_ADDRESS_TEXT];
  if (index == listing->index) {
    strcat(strcat(listing->text, listing->text[0] != '\0' ? " " : ""), adit_cidr_format(address, text));
  }
  return true;
}

static void check_addresses(unsigned index, const char *expected) {
  struct listing listing = {.index = index};
  check_done(adit_link_each_address(link_socket, list, &listing), "addresses");
  assert_string_equal(listing.text, expected);
}

/* A line of a file in /proc/net that begins or contains what is looked for. */
static bool file_has(const char *path, const char *part) {
  char line[512];
  bool found = false;
  FILE *file = fopen(path, "re");
  assert_non_null(file);
  while (!found && fgets(line, sizeof line, file) != NULL) found = strstr(line, part) != NULL;
  fclose(file);
  return found;
}

static void test_find(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  struct adit_link_info info = find("t0");
  assert_int_equal(info.index, if_nametoindex("t0"));
  assert_int_equal(info.mtu, 1500);
  assert_false(info.up);
  assert_int_equal(info.master, 0);
  assert_string_equal(info.kind, "tun");
  assert_int_equal(info.tun, IFF_TUN);
  assert_false(info.persistent);
  info = find("lo");
  assert_int_equal(info.index, 1);
  assert_string_equal(info.kind, "");
  close_tun(fd);
  check_error(adit_link_find(link_socket, "t0", &info), -ENODEV, "No such device");
  check_error(adit_link_find(link_socket, "a name that is far too long", &info), -ENODEV, "No such device");
}

static void test_queue(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  int packets = 0;
  check_done(adit_link_set_queue(link_socket, find("t0").index, ADIT_LINK_QUEUE), "queue");
  int ask = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "t0"};
  assert_int_equal(ioctl(ask, SIOCGIFTXQLEN, &request), 0);
  packets = request.ifr_qlen;
  close(ask);
  assert_int_equal(packets, ADIT_LINK_QUEUE);
  close_tun(fd);
}

static void test_mtu_and_up(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  check_done(adit_link_set_mtu(link_socket, index, 1400), "mtu");
  assert_int_equal(find("t0").mtu, 1400);
  check_error(adit_link_set_mtu(link_socket, index, 67), -EINVAL, "mtu less than device minimum");
  check_error(adit_link_set_mtu(link_socket, index, 65536), -EINVAL, "mtu greater than device maximum");
  assert_int_equal(find("t0").mtu, 1400);
  check_done(adit_link_set_up(link_socket, index, true), "up");
  assert_true(find("t0").up);
  check_done(adit_link_set_up(link_socket, index, false), "down");
  assert_false(find("t0").up);
  close_tun(fd);
  check_error(adit_link_set_up(link_socket, index, true), -ENODEV, "");
}

static void test_addresses(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  check_done(adit_link_set_quiet(link_socket, index), "no link-local address");
  check_done(adit_link_add_address(link_socket, index, cidr("192.168.3.11/24")), "IPv4");
  check_done(adit_link_add_address(link_socket, index, cidr("fdad:3::11/64")), "IPv6");
  check_done(adit_link_set_up(link_socket, index, true), "up");
  check_addresses(index, "192.168.3.11/24 fdad:3::11/64"); /* and no fe80:: */
  check_error(adit_link_add_address(link_socket, index, cidr("192.168.3.11/24")), -EEXIST, "");
  check_error(adit_link_add_address(link_socket, index, cidr("fdad:3::11/64")), -EEXIST, "");
  /* IFA_F_PERMANENT is 0x80, IFA_F_NODAD 0x02; IFA_F_TENTATIVE (0x40) would mean that detection is under way. */
  assert_true(file_has("/proc/net/if_inet6", "fdad0003000000000000000000000011"));
  assert_true(file_has("/proc/net/if_inet6", " 40 00 82       t0"));
  assert_true(file_has("/proc/net/fib_trie", "192.168.3.0/24"));
  struct ifreq broadcast = {.ifr_name = "t0", .ifr_addr.sa_family = AF_INET};
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  assert_int_equal(ioctl(control, SIOCGIFBRDADDR, &broadcast), 0);
  close(control);
  assert_int_equal(((struct sockaddr_in *)(void *)&broadcast.ifr_broadaddr)->sin_addr.s_addr, 0); /* none */
  check_done(adit_link_remove_address(link_socket, index, cidr("192.168.3.11/24")), "remove IPv4");
  check_addresses(index, "fdad:3::11/64");
  check_error(adit_link_remove_address(link_socket, index, cidr("192.168.3.11/24")), -EADDRNOTAVAIL, "");
  close_tun(fd);
  assert_false(file_has("/proc/net/if_inet6", "fdad"));
}

static void test_routes(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  check_error(adit_link_add_route(link_socket, index, cidr("10.1.0.0/16")), -ENETDOWN, "Device for nexthop is not up");
  check_done(adit_link_set_up(link_socket, index, true), "up");
  check_done(adit_link_add_route(link_socket, index, cidr("10.1.2.3/16")), "IPv4 route, host bits ignored");
  check_done(adit_link_add_route(link_socket, index, cidr("fd11::5/48")), "IPv6 route");
  check_done(adit_link_add_route(link_socket, index, cidr("0.0.0.0/0")), "default route");
  assert_true(file_has("/proc/net/route", "t0\t0000010A\t00000000\t0001\t0\t0\t0\t0000FFFF"));
  assert_true(file_has("/proc/net/ipv6_route", "fd110000000000000000000000000000 30"));
  check_error(adit_link_add_route(link_socket, index, cidr("10.1.0.0/16")), -EEXIST, "File exists");
  close_tun(fd);
  assert_false(file_has("/proc/net/route", "t0"));
  assert_false(file_has("/proc/net/ipv6_route", "fd110000"));
}

static void test_not_quiet_by_itself(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  check_done(adit_link_set_up(link_socket, index, true), "up");
  struct listing listing = {.index = index};
  check_done(adit_link_each_address(link_socket, list, &listing), "addresses");
  if (strncmp(listing.text, "fe80::", 6) != 0) fail_msg("expected fe80::..., found '%s'", listing.text);
  close_tun(fd);
}

static void test_bridge(void **state) {
  (void)state;
  unsigned bridge;
  int fd = open_tun("t0", IFF_TAP | IFF_NO_PI);
  struct adit_link_info info = find("t0");
  assert_int_equal(info.tun, IFF_TAP);
  check_error(adit_link_find_bridge(link_socket, "br0", &bridge), -ENODEV, "No such device");
  check_error(adit_link_find_bridge(link_socket, "t0", &bridge), -ENOTSUP, "not a bridge");
  int control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(control >= 0);
  if (ioctl(control, 0x89a0 /* SIOCBRADDBR, linux/sockios.h */, "br0") != 0) {
    fail_msg("cannot make a bridge: %s", strerror(errno));
  }
  check_done(adit_link_find_bridge(link_socket, "br0", &bridge), "bridge");
  assert_int_equal(bridge, if_nametoindex("br0"));
  check_done(adit_link_set_master(link_socket, info.index, bridge), "port of a bridge");
  assert_int_equal(find("t0").master, bridge);
  check_done(adit_link_set_master(link_socket, info.index, 0), "port of none");
  assert_int_equal(find("t0").master, 0);
  int tun = open_tun("t1", IFF_TUN | IFF_NO_PI);
  check_error(adit_link_set_master(link_socket, find("t1").index, bridge), -EINVAL, "");
  close_tun(tun);
  close_tun(fd);
  assert_int_equal(ioctl(control, 0x89a1 /* SIOCBRDELBR */, "br0"), 0);
  close(control);
}

struct count {
  size_t seen;
  size_t limit;
};

static bool count_one(void *user, unsigned index, adit_cidr address) {
  struct count *count = user;
  (void)index;
  (void)address;
  return ++count->seen < count->limit;
}

static void test_many_addresses(void **state) {
  (void)state;
  enum { ADDRESSES = 1000 }; /* more than one message of a dump holds */
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  adit_cidr address = cidr("10.0.0.1/32");
  for (int i = 0; i < ADDRESSES; i++) {
    address.ip.bytes[2] = (uint8_t)(i >> 8);
    address.ip.bytes[3] = (uint8_t)i;
    check_done(adit_link_add_address(link_socket, index, address), "address");
  }
  struct count count = {.limit = SIZE_MAX};
  check_done(adit_link_each_address(link_socket, count_one, &count), "addresses");
  assert_int_equal(count.seen, ADDRESSES);
  count = (struct count){.limit = 3};
  check_done(adit_link_each_address(link_socket, count_one, &count), "the first three");
  assert_int_equal(count.seen, 3);
  close_tun(fd);
  assert_int_equal(adit_link_find(link_socket, "lo", &(struct adit_link_info){0}), 0); /* nothing of the dump is left */
}

/* Runs in a child that has given up every capability by becoming nobody of a user namespace without mappings. */
static void test_no_permission(void **state) {
  (void)state;
  int fd = open_tun("t0", IFF_TUN | IFF_NO_PI);
  unsigned index = find("t0").index;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct adit_link_socket *own;
    if (unshare(CLONE_NEWUSER) != 0) _exit(LEFT_OUT); /* no capability over the namespaces of the parent any more */
    if (adit_link_open(&own) != 0) _exit(2);
    int result = adit_link_set_mtu(own, index, 1400);
    struct adit_link_info info;
    int looked = adit_link_find(own, "t0", &info);
    adit_link_close(own);
    _exit(result != -EPERM ? 3 : looked != 0 || info.mtu != 1500 ? 4 : 0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  close_tun(fd);
  if (WIFEXITED(status) && WEXITSTATUS(status) == LEFT_OUT) {
    print_message("user namespaces cannot be made here\n");
    skip();
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("expected status 0, found %#x", (unsigned)status);
}

static void test_holder(void **state) {
  (void)state;
  struct adit_holder holder;
  int ready[2], end[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(end), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    char byte = 0;
    close(end[1]);
    int fd = open_tun("t5", IFF_TUN | IFF_NO_PI);
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    _exit(read(end[0], &byte, 1) == 0 && fd >= 0 ? 0 : 1);
  }
  char byte;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  bool found = adit_holder_find("t5", &holder), other = adit_holder_find("t", &holder);
  if (found) found = adit_holder_find("t5", &holder);
  close(end[1]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  close(end[0]);
  close(ready[0]);
  close(ready[1]);
  assert_int_equal(status, 0);
  assert_true(found);
  assert_false(other);
  assert_int_equal(holder.pid, child);
  assert_string_equal(holder.command, "test_link");
}

int main(void) {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    fprintf(stderr, "left out: a network namespace cannot be made here: %s\n", strerror(errno));
    return LEFT_OUT;
  }
  if (access("/dev/net/tun", R_OK | W_OK) != 0) {
    fprintf(stderr, "left out: /dev/net/tun cannot be used: %s\n", strerror(errno));
    return LEFT_OUT;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_find, close_all),
      cmocka_unit_test_teardown(test_queue, close_all),
      cmocka_unit_test_teardown(test_mtu_and_up, close_all),
      cmocka_unit_test_teardown(test_addresses, close_all),
      cmocka_unit_test_teardown(test_routes, close_all),
      cmocka_unit_test_teardown(test_not_quiet_by_itself, close_all),
      cmocka_unit_test_teardown(test_bridge, close_all),
      cmocka_unit_test_teardown(test_many_addresses, close_all),
      cmocka_unit_test_teardown(test_no_permission, close_all),
      cmocka_unit_test_teardown(test_holder, close_all),
  };
  return cmocka_run_group_tests(tests, open_socket, close_socket);
}
