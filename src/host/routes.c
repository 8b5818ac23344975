/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Capture: which traffic of this machine the kernel sends into a device, and how all of it is taken back.
 *
 * The main table is never touched. What is captured stands in a private table, ADIT_ROUTES_TABLE plus the index of the
 * interface, and policy rules say when the kernel looks there. For `--route default --bypass 198.51.100.0/24
 * --fail-closed` on interface 7, in each family (T = 1000000007):
 *
 *     30000  to 192.168.3.0/24 fwmark T/0        lookup main suppress_prefixlength 24
 *     30001  to 192.168.3.0/24 fwmark 0xad10000  unreachable
 *     30002  fwmark 0xad10000                    goto 30390
 *     30315  to 198.51.100.0/24                  goto 30390
 *     30387  fwmark T/0                          lookup main suppress_prefixlength 0
 *     30388                                      lookup T, where there is: default dev adit0
 *     30389                                      unreachable
 *     30390                                      nop
 *
 * The first three are for the sockets of adit itself, which bear the mark: they never enter their own device, neither by
 * the route of the device's own network, which the kernel has put into the main table, nor by what follows.
 *
 * Before a rule that captures, one asks the main table, but does not take an answer as short as what is captured
 * (suppress_prefixlength): what this machine knows more precisely, its local networks foremost, stays reachable, and the
 * default route loses. This is how wg-quick does it for a default route. Here every captured network has such a pair of
 * rules, with "to" and the length of its own prefix, and every bypassed one a jump past them, longer prefixes first; so
 * the result is that of one table that holds all, with the bypassed winning a tie, and then the captured. A mark with a
 * mask of zero is that of every packet; it is a name tag (remains.c).
 *
 * "goto" and not "not fwmark", because the latter would turn the meaning of "to" round as well. "unreachable" as a rule
 * and not as a route, because a socket that is bound to an interface (SO_BINDTODEVICE) passes by routes of others.
 *
 * What if the process is killed: the device goes, and the kernel removes the routes that lead into it. T is then empty
 * and the rules fall through: nothing is blocked, and what is sent goes its old way, unless fail_closed is set, which is
 * the rule behind. Rules that are left are removed by adit_routes_cleanup. The order of the steps is such that between
 * any two of them the same holds: what protects (jumps and their target) comes before what captures and goes after it; a
 * table is filled before a rule leads there.
 *
 * A device that exists without us (a persistent one) keeps its routes when the process is killed: what they capture is
 * lost until cleanup, which sees that the device has no carrier.
 *
 * IPv6 may be absent (then there is nothing to capture) or disabled on the device while other interfaces have it. Then
 * its routes cannot lead into the device, and what is captured is refused instead, so that it does not leak.
 */
#include "host/routes.h"

#include "host/netlink.h"
#include "host/remains.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The rules of one prefix length, and before all of them those of our own sockets. */
enum slot { SLOT_MAIN, SLOT_BYPASS = SLOT_MAIN, SLOT_PRIVATE, SLOT_CLOSED, SLOTS };
enum own_slot { OWN_MAIN, OWN_CLOSED, OWN_PASSAGE, OWN_SLOTS };

static_assert(ADIT_ROUTES_PRIORITY + OWN_SLOTS + 129 * SLOTS == ADIT_ROUTES_PRIORITY_END, "a slot for each length");

struct adit_routes {
  struct adit_netlink netlink;
  uint32_t table;
};

/* What the steps share. */
struct capturing {
  const struct adit_routes_options *options;
  struct adit_netlink *netlink;
  uint32_t table;
  uint32_t mark;
  adit_cidr *capture; /* without host bits, longest prefix first, each once; owned */
  size_t captures;
  bool device_unusable; /* for the family at hand */
  char *reason;
};

static int explain(struct capturing *c, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Write the reason: what failed, and the kernel's words. Returns the error. */
static int explain(struct capturing *c, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(c->reason, ADIT_ROUTES_REASON, format, arguments);
  va_end(arguments);
  size_t used = strlen(c->reason);
  snprintf(c->reason + used, ADIT_ROUTES_REASON - used, ": %s%s", adit_netlink_reason(c->netlink),
           error == -EPERM ? "; run as root (sudo) or with the capability CAP_NET_ADMIN" : "");
  return error;
}

static void notice(const struct capturing *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void notice(const struct capturing *c, const char *format, ...) {
  char text[256];
  if (c->options->notice == NULL) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  c->options->notice(c->options->user, text);
}

/* ---- networks --------------------------------------------------------------------------------------------------- */

static adit_cidr network_of(adit_cidr cidr) {
  for (unsigned bit = cidr.prefix; bit < adit_ip_length(cidr.ip) * 8; bit++) {
    cidr.ip.bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
  }
  return cidr;
}

static int longer_first(const void *a, const void *b) {
  const adit_cidr *left = a, *right = b;
  if (left->prefix != right->prefix) return left->prefix > right->prefix ? -1 : 1;
  return memcmp(&left->ip, &right->ip, sizeof left->ip);
}

static int plan(struct capturing *c) {
  const struct adit_routes_options *options = c->options;
  c->capture = calloc(options->captures + 1, sizeof *c->capture);
  if (c->capture == NULL) return -ENOMEM;
  for (size_t i = 0; i < options->captures; i++) c->capture[i] = network_of(options->capture[i]);
  qsort(c->capture, options->captures, sizeof *c->capture, longer_first);
  for (size_t i = 0; i < options->captures; i++) {
    if (i == 0 || longer_first(&c->capture[i], &c->capture[i - 1]) != 0) c->capture[c->captures++] = c->capture[i];
  }
  return 0;
}

static uint8_t family_of(unsigned version) {
  return version == 4 ? AF_INET : AF_INET6;
}

/* ---- one rule, one route ---------------------------------------------------------------------------------------- */

static void put_destination(struct capturing *c, uint16_t attribute, adit_cidr network) {
  if (network.prefix == 0) return;
  mnl_attr_put(&c->netlink->request.align, attribute, adit_ip_length(network.ip), network.ip.bytes);
}

/* Begin a rule for what goes to `network`; a prefix of zero is everything. */
static void new_rule(struct capturing *c, adit_cidr network, uint32_t priority, uint8_t action, uint32_t table) {
  struct fib_rule_hdr *rule = adit_netlink_request(c->netlink, RTM_NEWRULE, NLM_F_CREATE, sizeof *rule);
  struct nlmsghdr *message = &c->netlink->request.align;
  rule->family = family_of(network.ip.version);
  rule->action = action;
  rule->table = RT_TABLE_UNSPEC; /* the attribute has room for all numbers */
  rule->dst_len = network.prefix;
  put_destination(c, FRA_DST, network);
  mnl_attr_put_u32(message, FRA_PRIORITY, priority);
  mnl_attr_put_u32(message, FRA_TABLE, table);
  mnl_attr_put_u8(message, FRA_PROTOCOL, ADIT_ROUTES_PROTOCOL);
}

static int add_rule(struct capturing *c, adit_cidr network, const char *what) {
  char text[ADIT_ADDRESS_TEXT];
  int error = adit_netlink_talk(c->netlink, NULL, NULL);
  if (error == 0) return 0;
  return explain(c, error, "the rule for %s (%s) cannot be added", adit_cidr_format(network, text), what);
}

/* A route into the device, in the private table. Returns what the kernel says; one that is there already is fine. */
static int add_route(struct capturing *c, adit_cidr network) {
  struct rtmsg *route = adit_netlink_request(c->netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *route);
  route->rtm_family = family_of(network.ip.version);
  route->rtm_dst_len = network.prefix;
  route->rtm_table = RT_TABLE_UNSPEC;
  route->rtm_protocol = ADIT_ROUTES_PROTOCOL;
  route->rtm_scope = network.ip.version == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  route->rtm_type = RTN_UNICAST;
  put_destination(c, RTA_DST, network);
  mnl_attr_put_u32(&c->netlink->request.align, RTA_TABLE, c->table);
  mnl_attr_put_u32(&c->netlink->request.align, RTA_OIF, c->options->index);
  int error = adit_netlink_talk(c->netlink, NULL, NULL);
  return error == -EEXIST ? 0 : error;
}

/* ---- one family ------------------------------------------------------------------------------------------------- */

/* A way into the device for one network. */
static int fill_table(struct capturing *c, adit_cidr network) {
  char text[ADIT_ADDRESS_TEXT];
  if (c->device_unusable) return 0;
  int error = add_route(c, network);
  /* The kernel says EACCES when IPv6 is disabled on the device, ENODEV when the MTU is too small for it. */
  if (network.ip.version == 6 && (error == -EACCES || (error == -ENODEV && if_indextoname(c->options->index, text)))) {
    notice(c, "IPv6 is off on this device (%s): what is captured of it is refused", adit_netlink_reason(c->netlink));
    c->device_unusable = true;
    error = 0;
  }
  return error == 0 ? 0 : explain(c, error, "%s cannot be captured", adit_cidr_format(network, text));
}

static uint32_t priority_of(adit_cidr network, enum slot slot) {
  return ADIT_ROUTES_PRIORITY + OWN_SLOTS + (uint32_t)SLOTS * (128U - network.prefix) + (uint32_t)slot;
}

/* What makes a rule ours that looks into a table of others. */
static void put_tag(struct capturing *c) {
  mnl_attr_put_u32(&c->netlink->request.align, FRA_FWMARK, c->table);
  mnl_attr_put_u32(&c->netlink->request.align, FRA_FWMASK, 0);
}

static void put_mark(struct capturing *c) {
  mnl_attr_put_u32(&c->netlink->request.align, FRA_FWMARK, c->mark);
  mnl_attr_put_u32(&c->netlink->request.align, FRA_FWMASK, UINT32_MAX);
}

/* Ask the main table, but for answers as short as the network's own prefix. */
static int add_main(struct capturing *c, adit_cidr network, uint32_t priority) {
  new_rule(c, network, priority, FR_ACT_TO_TBL, RT_TABLE_MAIN);
  mnl_attr_put_u32(&c->netlink->request.align, FRA_SUPPRESS_PREFIXLEN, network.prefix);
  put_tag(c);
  return add_rule(c, network, "what is known more precisely");
}

static int add_jump(struct capturing *c, adit_cidr network, uint32_t priority, bool marked) {
  new_rule(c, network, priority, FR_ACT_GOTO, c->table);
  if (marked) put_mark(c);
  mnl_attr_put_u32(&c->netlink->request.align, FRA_GOTO, ADIT_ROUTES_PRIORITY_END);
  return add_rule(c, network, marked ? "the relay's own sockets" : "bypassed");
}

/* The relay's own sockets do not reach the network of its device, where they would come out of it again. */
static int keep_from_own(struct capturing *c, adit_cidr network) {
  new_rule(c, network, ADIT_ROUTES_PRIORITY + OWN_CLOSED, FR_ACT_UNREACHABLE, c->table);
  put_mark(c);
  int error = add_rule(c, network, "the relay's own sockets");
  return error == 0 ? add_main(c, network, ADIT_ROUTES_PRIORITY + OWN_MAIN) : error;
}

static int capture_network(struct capturing *c, adit_cidr network) {
  int error = add_main(c, network, priority_of(network, SLOT_MAIN));
  if (error != 0) return error;
  new_rule(c, network, priority_of(network, SLOT_PRIVATE), FR_ACT_TO_TBL, c->table);
  error = add_rule(c, network, "captured");
  if (error != 0 || !(c->options->fail_closed || c->device_unusable)) return error;
  new_rule(c, network, priority_of(network, SLOT_CLOSED), FR_ACT_UNREACHABLE, c->table);
  return add_rule(c, network, "refused");
}

static bool family_exists(unsigned version) {
  int fd = socket(family_of(version), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno != EAFNOSUPPORT;
  close(fd);
  return true;
}

static int capture_family(struct capturing *c, unsigned version) {
  const adit_cidr everything = {.ip = {.version = (uint8_t)version}};
  const struct adit_routes_options *options = c->options;
  size_t count = 0;
  for (size_t i = 0; i < c->captures; i++) count += c->capture[i].ip.version == version;
  if (count == 0) return 0;
  if (!family_exists(version)) {
    notice(c, "this kernel has no IPv%u: there is nothing to capture of it", version);
    return 0;
  }
  c->device_unusable = false;
  /* First a rule that does nothing: where the kernel has no rules, routes would land in the main table. */
  new_rule(c, everything, ADIT_ROUTES_PRIORITY_END, FR_ACT_NOP, c->table);
  int error = add_rule(c, everything, "the end of ours");
  for (size_t i = 0; error == 0 && i < c->captures; i++) {
    if (c->capture[i].ip.version == version) error = fill_table(c, c->capture[i]);
  }
  if (error == 0) error = add_jump(c, everything, ADIT_ROUTES_PRIORITY + OWN_PASSAGE, true);
  for (size_t i = 0; error == 0 && i < options->owns; i++) {
    adit_cidr network = network_of(options->own[i]);
    if (network.ip.version == version && network.prefix > 0) error = keep_from_own(c, network);
  }
  for (size_t i = 0; error == 0 && i < options->bypasses; i++) {
    adit_cidr network = network_of(options->bypass[i]);
    if (network.ip.version == version) error = add_jump(c, network, priority_of(network, SLOT_BYPASS), false);
  }
  for (size_t i = 0; error == 0 && i < c->captures; i++) {
    if (c->capture[i].ip.version == version) error = capture_network(c, c->capture[i]);
  }
  return error;
}

/* ---- reverse paths ---------------------------------------------------------------------------------------------- */

static int read_number(const char *interface) {
  char path[64 + IFNAMSIZ];
  int value = 0;
  snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/rp_filter", interface);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  if (fscanf(file, "%d", &value) != 1) value = 0;
  fclose(file);
  return value;
}

/*
 * With the strict reverse path filter (RFC 3704) the kernel looks up the way back to whoever sent a packet, without the
 * mark of the socket that it is for, finds our device and drops the answer. It cannot be told otherwise for one table.
 */
static void warn_of_strict_filter(const struct capturing *c) {
  DIR *folder = opendir("/proc/sys/net/ipv4/conf");
  if (folder == NULL) return;
  int all = read_number("all");
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    const char *name = entry->d_name;
    unsigned index = if_nametoindex(name); /* "all" and "default" are none */
    if (index == 0 || index == c->options->index || strcmp(name, "lo") == 0) continue;
    int own = read_number(name);
    if ((own > all ? own : all) != 1) continue;
    notice(c,
           "%s drops answers to the relay because of its strict reverse path filter; allow them with: sysctl -w "
           "net.ipv4.conf.%s.rp_filter=2",
           name, name);
    break;
  }
  closedir(folder);
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static int open_socket(struct adit_netlink *netlink, char *reason) {
  int error = adit_netlink_open(netlink), on = 1;
  if (error != 0) {
    snprintf(reason, ADIT_ROUTES_REASON, "the kernel's network configuration cannot be reached (netlink): %s",
             strerror(-error));
    return error;
  }
  /* Lists hold only what was asked for; a kernel without this (before 4.20) sends all, which is fine too. */
  mnl_socket_setsockopt(netlink->mnl, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return 0;
}

static int check_table(struct capturing *c) {
  int foreign = adit_remains_foreign(c->netlink, c->table);
  if (foreign < 0) return explain(c, foreign, "rules and routes cannot be listed");
  if (foreign == 0) return 0;
  snprintf(c->reason, ADIT_ROUTES_REASON,
           "the routing table %u is in use by another program (see 'ip rule' and 'ip route show table %u'); stop that "
           "program, or remove what it left",
           c->table, c->table);
  return -EADDRINUSE;
}

int adit_routes_capture(const struct adit_routes_options *options, struct adit_routes **routes, char *reason) {
  reason[0] = '\0';
  struct adit_routes *made = calloc(1, sizeof *made);
  struct capturing c = {
      .options = options, .mark = options->mark != 0 ? options->mark : (uint32_t)ADIT_ROUTES_MARK, .reason = reason};
  int error = made != NULL ? plan(&c) : -ENOMEM;
  if (error != 0) {
    snprintf(reason, ADIT_ROUTES_REASON, "out of memory");
    goto free_memory;
  }
  error = open_socket(&made->netlink, reason);
  if (error != 0) goto free_memory;
  made->table = c.table = ADIT_ROUTES_TABLE + options->index;
  c.netlink = &made->netlink;

  struct adit_remains own = {.table = c.table};
  error = check_table(&c);
  if (error == 0) {
    error = adit_remains_remove(c.netlink, &own);
    if (error < 0) explain(&c, error, "what an earlier run left cannot be removed");
  }
  if (error < 0) goto close_socket;
  error = capture_family(&c, 4);
  if (error == 0) error = capture_family(&c, 6);
  if (error != 0) goto take_back;
  warn_of_strict_filter(&c);
  free(c.capture);
  *routes = made;
  return 0;

take_back:
  adit_remains_remove(c.netlink, &own);
close_socket:
  adit_netlink_close(&made->netlink);
free_memory:
  free(c.capture);
  free(made);
  return error;
}

void adit_routes_release(struct adit_routes *routes) {
  if (routes == NULL) return;
  adit_remains_remove(&routes->netlink, &(struct adit_remains){.table = routes->table});
  adit_routes_abandon(routes);
}

void adit_routes_abandon(struct adit_routes *routes) {
  if (routes == NULL) return;
  adit_netlink_close(&routes->netlink);
  free(routes);
}

int adit_routes_cleanup(void (*removed)(void *user, const char *text), void *user, char *reason) {
  struct adit_netlink *netlink = malloc(sizeof *netlink);
  int result = -ENOMEM;
  if (netlink == NULL) {
    snprintf(reason, ADIT_ROUTES_REASON, "out of memory");
    return result;
  }
  result = open_socket(netlink, reason);
  if (result == 0) {
    result = adit_remains_remove(netlink, &(struct adit_remains){.removed = removed, .user = user});
    if (result < 0) {
      snprintf(reason, ADIT_ROUTES_REASON, "what earlier runs left cannot be removed: %s%s",
               adit_netlink_reason(netlink),
               result == -EPERM ? "; run as root (sudo) or with the capability CAP_NET_ADMIN" : "");
    }
    adit_netlink_close(netlink);
  }
  free(netlink);
  return result;
}
