/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Capture against the kernel: where it sends what, with and without the mark, and that all of it is taken back. Runs in a
 * network namespace that this program makes for itself.
 *
 * The outside is a TUN device "out" with the default routes; what is captured goes to "adit0". Where a packet would go is
 * asked by connecting a UDP socket, which looks the route up and sends nothing.
 */
#include "host/link.h"
#include "host/netlink.h"
#include "host/routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LEFT_OUT = 77, LIST = 8 };

/* What a test works in. */
struct world {
  struct adit_link_socket *link;
  int out, device; /* fds of the TUN devices; -1 = gone */
  unsigned index;  /* of adit0 */
  struct adit_routes *routes;
  char notices[512];
  unsigned before; /* rules and routes of the namespace */
};

static adit_cidr cidr(const char *text) {
  adit_cidr value;
  if (adit_cidr_parse(text, &value) != 0) fail_msg("%s is no network", text);
  return value;
}

static int open_tun(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  assert_true(fd >= 0);
  if (ioctl(fd, TUNSETIFF, &request) != 0) fail_msg("%s: TUNSETIFF: %s", name, strerror(errno));
  return fd;
}

static unsigned bring_up(struct world *world, const char *name, const char *address4, const char *address6) {
  unsigned index = if_nametoindex(name);
  adit_link_set_quiet(world->link, index);
  assert_int_equal(adit_link_add_address(world->link, index, cidr(address4)), 0);
  assert_int_equal(adit_link_add_address(world->link, index, cidr(address6)), 0);
  assert_int_equal(adit_link_set_up(world->link, index, true), 0);
  return index;
}

/* ---- counting --------------------------------------------------------------------------------------------------- */

static void count_message(void *user, const struct nlmsghdr *message) {
  unsigned *count = user;
  if (message->nlmsg_type == RTM_NEWRULE) ++*count;
  if (message->nlmsg_type != RTM_NEWROUTE) return;
  const struct rtmsg *route = mnl_nlmsg_get_payload(message);
  if (!(route->rtm_flags & RTM_F_CLONED) && route->rtm_table != RT_TABLE_LOCAL) ++*count;
}

/* Number of rules and routes; those of the table "local" come and go with addresses. */
static unsigned count_all(void) {
  static struct adit_netlink netlink;
  unsigned count = 0;
  assert_int_equal(adit_netlink_open(&netlink), 0);
  for (int family = 0; family < 2; family++) {
    struct fib_rule_hdr *rule = adit_netlink_request(&netlink, RTM_GETRULE, NLM_F_DUMP, sizeof *rule);
    rule->family = family ? AF_INET6 : AF_INET;
    assert_int_equal(adit_netlink_talk(&netlink, count_message, &count), 0);
    struct rtmsg *route = adit_netlink_request(&netlink, RTM_GETROUTE, NLM_F_DUMP, sizeof *route);
    route->rtm_family = family ? AF_INET6 : AF_INET;
    assert_int_equal(adit_netlink_talk(&netlink, count_message, &count), 0);
  }
  adit_netlink_close(&netlink);
  return count;
}

/* ---- the world -------------------------------------------------------------------------------------------------- */

static int set_up(void **state) {
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  assert_int_equal(adit_link_open(&world->link), 0);
  world->out = open_tun("out");
  unsigned out = bring_up(world, "out", "10.5.0.1/24", "fd05::1/64");
  assert_int_equal(adit_link_add_route(world->link, out, cidr("0.0.0.0/0")), 0);
  assert_int_equal(adit_link_add_route(world->link, out, cidr("::/0")), 0);
  world->before = count_all();
  world->device = open_tun("adit0");
  world->index = bring_up(world, "adit0", "10.9.0.1/24", "fd09::1/64");
  *state = world;
  return 0;
}

static void lose_device(struct world *world) {
  if (world->device >= 0) close(world->device);
  world->device = -1;
}

static int tear_down(void **state) {
  struct world *world = *state;
  char reason[ADIT_ROUTES_REASON];
  adit_routes_release(world->routes);
  lose_device(world);
  adit_routes_cleanup(NULL, NULL, reason);
  close(world->out);
  adit_link_close(world->link);
  free(world);
  return 0;
}

static void note(void *user, const char *text) {
  struct world *world = user;
  strncat(world->notices, text, sizeof world->notices - strlen(world->notices) - 1);
}

/* Networks are words of a text. */
static int try_capture(struct world *world, const char *captures, const char *bypasses, bool fail_closed,
                       char *reason) {
  adit_cidr capture[LIST], bypass[LIST], own[] = {cidr("10.9.0.1/24"), cidr("fd09::1/64")};
  struct adit_routes_options options = {.index = world->index,
                                        .capture = capture,
                                        .bypass = bypass,
                                        .own = own,
                                        .owns = 2,
                                        .fail_closed = fail_closed,
                                        .notice = note,
                                        .user = world};
  char words[256];
  snprintf(words, sizeof words, "%s", captures);
  for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
    capture[options.captures++] = cidr(word);
  }
  snprintf(words, sizeof words, "%s", bypasses);
  for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) bypass[options.bypasses++] = cidr(word);
  return adit_routes_capture(&options, &world->routes, reason);
}

static void capture(struct world *world, const char *captures, const char *bypasses, bool fail_closed) {
  char reason[ADIT_ROUTES_REASON];
  int result = try_capture(world, captures, bypasses, fail_closed, reason);
  if (result != 0) fail_msg("capture %s: expected 0, found %d: %s", captures, result, reason);
}

/* ---- where to --------------------------------------------------------------------------------------------------- */

/* "adit0", "out", or what the kernel says instead. */
static const char *way_to(const char *address, uint32_t mark) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name = {0};
  socklen_t length = sizeof name;
  bool v6 = strchr(address, ':') != NULL;
  if (v6) {
    name.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(9)};
    assert_int_equal(inet_pton(AF_INET6, address, &name.v6.sin6_addr), 1);
  } else {
    name.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9)};
    assert_int_equal(inet_pton(AF_INET, address, &name.v4.sin_addr), 1);
  }
  int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
  const char *way = "?";
  if (connect(fd, &name.any, v6 ? sizeof name.v6 : sizeof name.v4) != 0) {
    way = errno == ENETUNREACH ? "unreachable" : strerror(errno);
  } else {
    char text[INET6_ADDRSTRLEN] = "";
    assert_int_equal(getsockname(fd, &name.any, &length), 0);
    inet_ntop(name.any.sa_family, v6 ? (void *)&name.v6.sin6_addr : (void *)&name.v4.sin_addr, text, sizeof text);
    if (strncmp(text, "10.9.", 5) == 0 || strncmp(text, "fd09:", 5) == 0) way = "adit0";
    if (strncmp(text, "10.5.", 5) == 0 || strncmp(text, "fd05:", 5) == 0) way = "out";
  }
  close(fd);
  return way;
}

struct expectation {
  const char *address;
  const char *unmarked;
  const char *marked; /* with ADIT_ROUTES_MARK; NULL = the same */
};

static void check_ways(const char *when, const struct expectation *table, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *marked = table[i].marked != NULL ? table[i].marked : table[i].unmarked;
    const char *found = way_to(table[i].address, 0);
    if (strcmp(found, table[i].unmarked) != 0) {
      fail_msg("%s: %s: expected %s, found %s", when, table[i].address, table[i].unmarked, found);
    }
    found = way_to(table[i].address, ADIT_ROUTES_MARK);
    if (strcmp(found, marked) != 0) {
      fail_msg("%s: %s with the mark: expected %s, found %s", when, table[i].address, marked, found);
    }
  }
}

#define CHECK_WAYS(when, table) check_ways(when, table, sizeof(table) / sizeof((table)[0]))

static const struct expectation untouched[] = {
    {"8.8.8.8", "out", NULL},     {"10.5.0.7", "out", NULL}, {"10.77.0.1", "out", NULL},
    {"2001:db8::1", "out", NULL}, {"fd05::7", "out", NULL},
};

static void check_untouched(struct world *world, const char *when) {
  CHECK_WAYS(when, untouched);
  unsigned now = count_all();
  if (now != world->before) fail_msg("%s: expected %u rules and routes, found %u", when, world->before, now);
}

static int cleanup(void) {
  char reason[ADIT_ROUTES_REASON] = "";
  int count = adit_routes_cleanup(NULL, NULL, reason);
  if (count < 0) fail_msg("cleanup: found %d: %s", count, reason);
  return count;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void test_default(void **state) {
  struct world *world = *state;
  static const struct expectation ways[] = {
      {"8.8.8.8", "adit0", "out"},
      {"255.0.0.1", "adit0", "out"},
      {"10.5.0.7", "out", NULL}, /* the local network */
      {"10.9.0.7", "adit0", "unreachable"},
      {"fd09::7", "adit0", "unreachable"},
      {"198.51.100.7", "out", NULL}, /* bypassed */
      {"198.51.101.7", "adit0", "out"},
      {"203.0.113.1", "out", NULL},
      {"203.0.113.2", "adit0", "out"},
      {"2001:db8::1", "adit0", "out"},
      {"2001:db8:1::1", "out", NULL},
      {"fd05::7", "out", NULL},
  };
  capture(world, "0.0.0.0/0 ::/0", "198.51.100.0/24 203.0.113.1/32 2001:db8:1::/48", false);
  CHECK_WAYS("captured", ways);
  assert_string_equal(world->notices, "");
  assert_int_equal(cleanup(), 0); /* what is in use stays */
  CHECK_WAYS("after cleanup", ways);
  adit_routes_release(world->routes);
  world->routes = NULL;
  lose_device(world);
  check_untouched(world, "released");
}

/* The longest prefix counts over all; of equal ones first the bypassed, then the captured. */
static void test_longest_prefix(void **state) {
  struct world *world = *state;
  static const struct expectation ways[] = {
      {"172.31.0.1", "out", NULL},    {"8.8.8.8", "adit0", "out"},    {"10.77.0.1", "adit0", "out"},
      {"10.5.0.7", "out", NULL},      {"10.5.0.200", "adit0", "out"}, {"10.6.0.1", "out", NULL},
      {"172.16.0.1", "adit0", "out"}, {"10.6.1.1", "adit0", "out"},   {"2001:db8::1", "out", NULL},
      {"fd05::7", "adit0", "out"},
  };
  /* Host bits do not matter, and a network may be named twice. 10.6.1.0/24 lies in what is bypassed. */
  capture(world, "0.0.0.0/0 10.0.0.0/8 10.1.2.3/8 10.5.0.128/25 10.6.1.0/24 172.31.0.0/16 fd05::/64",
          "10.6.0.0/16 172.31.0.0/16", false);
  CHECK_WAYS("captured", ways);
}

static void test_one_family(void **state) {
  struct world *world = *state;
  static const struct expectation ways[] = {{"8.8.8.8", "adit0", "out"}, {"2001:db8::1", "out", NULL}};
  capture(world, "0.0.0.0/0", "", false);
  CHECK_WAYS("IPv4 only", ways);
}

static void test_killed(void **state) {
  struct world *world = *state;
  capture(world, "0.0.0.0/0 10.0.0.0/8 ::/0", "198.51.100.0/24", false);
  assert_string_equal(way_to("8.8.8.8", 0), "adit0");
  adit_routes_abandon(world->routes);
  world->routes = NULL;
  lose_device(world);
  CHECK_WAYS("killed", untouched); /* rules that lead nowhere */
  /* IPv4: two rules for the own network, jump and target, two pairs, one bypass; IPv6: the same with one pair. */
  assert_int_equal(cleanup(), 2 + 2 + 2 * 2 + 1 + 2 + 2 + 2);
  check_untouched(world, "cleaned up");
  assert_int_equal(cleanup(), 0);
}

static void test_killed_fail_closed(void **state) {
  struct world *world = *state;
  static const struct expectation running[] = {
      {"8.8.8.8", "adit0", "out"}, {"10.5.0.7", "out", NULL}, {"2001:db8::1", "adit0", "out"}};
  static const struct expectation closed[] = {
      {"8.8.8.8", "unreachable", "out"},     {"10.5.0.7", "out", NULL},
      {"198.51.100.7", "out", NULL},         {"10.77.0.1", "unreachable", "out"},
      {"2001:db8::1", "unreachable", "out"}, {"fd05::7", "out", NULL},
  };
  capture(world, "0.0.0.0/0 10.0.0.0/8 ::/0", "198.51.100.0/24", true);
  CHECK_WAYS("running", running);
  adit_routes_abandon(world->routes);
  world->routes = NULL;
  lose_device(world);
  CHECK_WAYS("killed", closed);
  assert_true(cleanup() > 0);
  check_untouched(world, "cleaned up");
}

static void test_fail_closed_ends_in_order(void **state) {
  struct world *world = *state;
  capture(world, "0.0.0.0/0 ::/0", "", true);
  adit_routes_release(world->routes);
  world->routes = NULL;
  lose_device(world);
  check_untouched(world, "released");
}

static void test_nothing_left_after_an_error(void **state) {
  struct world *world = *state;
  char reason[ADIT_ROUTES_REASON];
  assert_int_equal(adit_link_set_up(world->link, world->index, false), 0);
  int result = try_capture(world, "0.0.0.0/0 ::/0", "198.51.100.0/24", true, reason);
  if (result != -ENETDOWN || strstr(reason, "0.0.0.0/0 cannot be captured: ") == NULL) {
    fail_msg("expected %d, found %d: %s", -ENETDOWN, result, reason);
  }
  assert_null(world->routes);
  lose_device(world);
  check_untouched(world, "after the error");

  result = try_capture(world, "0.0.0.0/0", "", false, reason); /* the device is gone */
  if (result != -ENODEV) fail_msg("expected %d, found %d: %s", -ENODEV, result, reason);
  check_untouched(world, "after the second error");
}

static void add_foreign_route(uint32_t table, unsigned index) {
  static struct adit_netlink netlink;
  assert_int_equal(adit_netlink_open(&netlink), 0);
  struct rtmsg *route = adit_netlink_request(&netlink, RTM_NEWROUTE, NLM_F_CREATE, sizeof *route);
  *route = (struct rtmsg){
      .rtm_family = AF_INET, .rtm_protocol = RTPROT_STATIC, .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
  mnl_attr_put_u32(&netlink.request.align, RTA_TABLE, table);
  mnl_attr_put_u32(&netlink.request.align, RTA_OIF, index);
  assert_int_equal(adit_netlink_talk(&netlink, NULL, NULL), 0);
  adit_netlink_close(&netlink);
}

static void test_table_of_others(void **state) {
  struct world *world = *state;
  char reason[ADIT_ROUTES_REASON];
  add_foreign_route(ADIT_ROUTES_TABLE + world->index, if_nametoindex("adit0"));
  int result = try_capture(world, "0.0.0.0/0", "", false, reason);
  if (result != -EADDRINUSE || strstr(reason, "is in use by another program") == NULL) {
    fail_msg("expected %d, found %d: %s", -EADDRINUSE, result, reason);
  }
  CHECK_WAYS("refused", untouched);
  lose_device(world);
  check_untouched(world, "refused");
}

static void test_two_at_once(void **state) {
  struct world *world = *state;
  struct world other = {.link = world->link, .device = open_tun("adit1")};
  other.index = bring_up(&other, "adit1", "10.8.0.1/24", "fd08::1/64");
  capture(world, "0.0.0.0/0 ::/0", "", false);
  capture(&other, "0.0.0.0/0 ::/0", "", false);
  assert_string_equal(way_to("8.8.8.8", 0), "adit0"); /* the first one */
  assert_string_equal(way_to("8.8.8.8", ADIT_ROUTES_MARK), "out");
  adit_routes_release(world->routes);
  world->routes = NULL;
  assert_string_equal(way_to("8.8.8.8", 0), "?"); /* 10.8.0.1: neither adit0 nor out */
  assert_string_equal(way_to("8.8.8.8", ADIT_ROUTES_MARK), "out");
  adit_routes_abandon(other.routes);
  assert_int_equal(cleanup(), 0);
  close(other.device);
  assert_int_equal(cleanup(), 2 * (2 + 2 + 2));
  lose_device(world);
  check_untouched(world, "both gone");
}

/* A device that stays when its process is killed: taken over by the next start, or cleaned up for want of carrier. */
static void test_persistent_device(void **state) {
  struct world *world = *state;
  assert_int_equal(ioctl(world->device, TUNSETPERSIST, 1), 0);
  capture(world, "0.0.0.0/0 ::/0", "", false);
  unsigned once = count_all();
  adit_routes_abandon(world->routes);
  capture(world, "0.0.0.0/0 ::/0", "", false);
  unsigned twice = count_all();
  if (once != twice) fail_msg("expected %u rules and routes, found %u", once, twice);
  adit_routes_abandon(world->routes);
  world->routes = NULL;
  assert_int_equal(cleanup(), 0);
  lose_device(world);
  assert_true(if_nametoindex("adit0") != 0);
  assert_true(cleanup() > 0);
  CHECK_WAYS("cleaned up", untouched);
  world->device = open_tun("adit0");
  assert_int_equal(ioctl(world->device, TUNSETPERSIST, 0), 0);
  lose_device(world);
  check_untouched(world, "gone");
}

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail_msg("%s: %s", path, strerror(errno));
  close(fd);
}

static void test_without_ipv6_on_the_device(void **state) {
  struct world *world = *state;
  static const struct expectation refused[] = {
      {"8.8.8.8", "adit0", "out"}, {"2001:db8::1", "unreachable", "out"}, {"fd05::7", "out", NULL}};
  write_file("/proc/sys/net/ipv6/conf/adit0/disable_ipv6", "1");
  capture(world, "0.0.0.0/0 ::/0", "", false);
  CHECK_WAYS("IPv6 disabled", refused);
  if (strstr(world->notices, "is refused") == NULL) fail_msg("expected a notice, found '%s'", world->notices);
  adit_routes_release(world->routes);
  world->routes = NULL;
  write_file("/proc/sys/net/ipv6/conf/adit0/disable_ipv6", "0");
  assert_int_equal(adit_link_set_mtu(world->link, world->index, 1000), 0); /* the kernel takes IPv6 off the device */
  capture(world, "::/0", "", false);
  check_ways("MTU of 1000", &refused[1], 2);
}

static void test_strict_reverse_path(void **state) {
  struct world *world = *state;
  write_file("/proc/sys/net/ipv4/conf/out/rp_filter", "1");
  capture(world, "0.0.0.0/0", "", false);
  if (strstr(world->notices, "sysctl -w net.ipv4.conf.out.rp_filter=2") == NULL) {
    fail_msg("expected a notice about out, found '%s'", world->notices);
  }
}

static void test_no_permission(void **state) {
  struct world *world = *state;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    char reason[ADIT_ROUTES_REASON];
    if (unshare(CLONE_NEWUSER) != 0) _exit(LEFT_OUT); /* no capability over the namespaces of the parent any more */
    int result = try_capture(world, "0.0.0.0/0", "", false, reason);
    _exit(result != -EPERM ? 2 : strstr(reason, "CAP_NET_ADMIN") == NULL ? 3 : 0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == LEFT_OUT) {
    print_message("user namespaces cannot be made here\n");
    skip();
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("expected status 0, found %#x", (unsigned)status);
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
      cmocka_unit_test_setup_teardown(test_default, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_longest_prefix, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_one_family, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_killed_fail_closed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_fail_closed_ends_in_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_nothing_left_after_an_error, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_table_of_others, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_persistent_device, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_without_ipv6_on_the_device, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_strict_reverse_path, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_permission, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
