/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Rules and routes that bear our protocol number: list them, tell whose they are, remove them.
 *
 * Every private table belongs to one interface, whose index its number tells, and every rule tells its table: by looking
 * into it (FRA_TABLE), by naming it without use (rules that jump or do nothing have that field too), or, where the main
 * table stands there, by a firewall mark of that value with a mask of zero, which every packet has. So no file and no
 * lock is needed to know what belongs together, and two processes may start and end at the same time.
 *
 * A table is in use as long as its interface exists and has carrier, which a TUN device has while a process has it open.
 *
 * To delete, what the kernel listed is sent back to it with another type, as "ip rule flush" does. Lists are taken anew
 * until nothing is found, because a list that changes while it is being read may leave something out.
 */
#include "host/remains.h"

#include "host/routes.h"

#include <adit/address.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Passes over the lists before something that always comes back is left to its maker. */
enum { PASSES = 16 };

/* What is read of a rule or a route. */
struct item {
  uint8_t family;
  uint8_t protocol;
  uint8_t action; /* of a rule: FR_ACT_* */
  uint8_t length; /* of a route's destination */
  uint32_t table; /* the private one it belongs to, or the one it stands in */
  uint32_t tag;   /* of a rule: FRA_FWMARK with FRA_FWMASK 0 */
  uint32_t mask;
  uint32_t priority;
  const void *destination;
};

/* Copies of the messages of a list. */
struct list {
  bool (*wanted)(const struct list *list, const struct item *item);
  uint32_t table;   /* for `wanted`; 0 = every one */
  uint8_t protocol; /* of routes; 0 = every one */
  char *bytes;      /* owned */
  size_t used, room;
  size_t seen; /* how many were wanted */
  int error;
};

static bool is_ours(uint32_t table) {
  return table > ADIT_ROUTES_TABLE && table - ADIT_ROUTES_TABLE <= INT32_MAX;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int read_rule_attribute(const struct nlattr *attribute, void *user) {
  struct item *item = user;
  uint32_t value = mnl_attr_get_payload_len(attribute) == sizeof value ? mnl_attr_get_u32(attribute) : 0;
  switch (mnl_attr_get_type(attribute)) {
  case FRA_TABLE:
    item->table = value;
    break;
  case FRA_PRIORITY:
    item->priority = value;
    break;
  case FRA_FWMARK:
    item->tag = value;
    break;
  case FRA_FWMASK:
    item->mask = value;
    break;
  case FRA_PROTOCOL:
    if (mnl_attr_validate(attribute, MNL_TYPE_U8) == 0) item->protocol = mnl_attr_get_u8(attribute);
    break;
  default:
    break;
  }
  return MNL_CB_OK;
}

static int read_route_attribute(const struct nlattr *attribute, void *user) {
  struct item *item = user;
  if (mnl_attr_get_type(attribute) == RTA_TABLE && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
    item->table = mnl_attr_get_u32(attribute);
  }
  if (mnl_attr_get_type(attribute) == RTA_DST) item->destination = mnl_attr_get_payload(attribute);
  return MNL_CB_OK;
}

/* Returns false for what is neither a rule nor a route. */
static bool read_item(const struct nlmsghdr *message, struct item *item) {
  *item = (struct item){0};
  if (message->nlmsg_type == RTM_NEWRULE && mnl_nlmsg_get_payload_len(message) >= sizeof(struct fib_rule_hdr)) {
    const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(message);
    item->family = rule->family;
    item->action = rule->action;
    item->table = rule->table;
    mnl_attr_parse(message, sizeof *rule, read_rule_attribute, item);
    if (!is_ours(item->table) && item->mask == 0 && item->tag != 0) item->table = item->tag;
    return true;
  }
  if (message->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(message) >= sizeof(struct rtmsg)) {
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    if (route->rtm_flags & RTM_F_CLONED) return false;
    item->family = route->rtm_family;
    item->protocol = route->rtm_protocol;
    item->table = route->rtm_table;
    item->length = route->rtm_dst_len;
    mnl_attr_parse(message, sizeof *route, read_route_attribute, item);
    return true;
  }
  return false;
}

/* Where the next message begins; MNL_ALIGN is signed. */
static size_t aligned(const struct nlmsghdr *message) {
  return (message->nlmsg_len + (size_t)MNL_ALIGNTO - 1) & ~((size_t)MNL_ALIGNTO - 1);
}

static void keep(void *user, const struct nlmsghdr *message) {
  struct list *list = user;
  struct item item;
  if (list->error != 0 || !read_item(message, &item) || !list->wanted(list, &item)) return;
  list->seen++;
  size_t length = aligned(message);
  if (list->room - list->used < length) {
    size_t room = 2 * list->room + length;
    char *bytes = realloc(list->bytes, room);
    if (bytes == NULL) {
      list->error = -ENOMEM;
      return;
    }
    list->bytes = bytes;
    list->room = room;
  }
  memcpy(list->bytes + list->used, message, message->nlmsg_len);
  list->used += length;
}

/* All rules or routes of a family that `list` wants. A family that the kernel does not have has none. */
static int read_list(struct adit_netlink *netlink, uint16_t type, uint8_t family, struct list *list) {
  list->used = list->seen = 0;
  if (type == RTM_GETRULE) {
    struct fib_rule_hdr *rule = adit_netlink_request(netlink, type, NLM_F_DUMP, sizeof *rule);
    rule->family = family;
  } else {
    struct rtmsg *route = adit_netlink_request(netlink, type, NLM_F_DUMP, sizeof *route);
    route->rtm_family = family;
    route->rtm_protocol =
        list->protocol; /* lets the kernel leave the others out, where it can (NETLINK_GET_STRICT_CHK) */
    if (list->table != 0) mnl_attr_put_u32(&netlink->request.align, RTA_TABLE, list->table);
  }
  int error = adit_netlink_talk(netlink, keep, list);
  if (list->error != 0) return adit_netlink_fail(netlink, list->error, NULL);
  /* ENOENT: there is no such table; the others: no such family. */
  return error == -ENOENT || error == -EAFNOSUPPORT || error == -EOPNOTSUPP ? 0 : error;
}

/* ---- removing --------------------------------------------------------------------------------------------------- */

struct carrier {
  bool found, on;
};

static int read_carrier_attribute(const struct nlattr *attribute, void *user) {
  struct carrier *carrier = user;
  if (mnl_attr_get_type(attribute) == IFLA_CARRIER && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0) {
    carrier->on = mnl_attr_get_u8(attribute) != 0;
  }
  return MNL_CB_OK;
}

static void read_carrier(void *user, const struct nlmsghdr *message) {
  struct carrier *carrier = user;
  if (message->nlmsg_type != RTM_NEWLINK) return;
  carrier->found = true;
  mnl_attr_parse(message, sizeof(struct ifinfomsg), read_carrier_attribute, carrier);
}

/* Whether somebody is behind the interface of a table. When that cannot be known, somebody is. */
static bool in_use(struct adit_netlink *netlink, uint32_t table) {
  struct carrier carrier = {false, false};
  if (!is_ours(table)) return false;
  struct ifinfomsg *link = adit_netlink_request(netlink, RTM_GETLINK, 0, sizeof *link);
  link->ifi_index = (int)(table - ADIT_ROUTES_TABLE);
  int error = adit_netlink_talk(netlink, read_carrier, &carrier);
  return error == 0 ? carrier.found && carrier.on : error != -ENODEV;
}

static bool bears_our_number(const struct list *list, const struct item *item) {
  if (item->protocol != ADIT_ROUTES_PROTOCOL) return false;
  return list->table == 0 || item->table == list->table;
}

static void tell(const struct adit_remains *remains, const struct item *item, bool rule) {
  char text[128], network[ADIT_ADDRESS_TEXT] = "default";
  const char *family = item->family == AF_INET ? "IPv4" : "IPv6";
  if (remains->removed == NULL) return;
  if (rule) {
    snprintf(text, sizeof text, "%s rule %u of table %u", family, item->priority, item->table);
  } else {
    if (item->destination != NULL) {
      adit_cidr cidr = {adit_ip_from_bytes(item->family == AF_INET ? 4 : 6, item->destination), item->length};
      adit_cidr_format(cidr, network);
    }
    snprintf(text, sizeof text, "%s route %s of table %u", family, network, item->table);
  }
  remains->removed(remains->user, text);
}

/* In the order in which rules are removed: those that look into a table or refuse, those that jump, their target. */
static unsigned stage_of(const struct item *item) {
  return item->action == FR_ACT_GOTO ? 1 : item->action == FR_ACT_NOP ? 2 : 0;
}

enum { STAGES = 3 };

/* Remove one of the list, unless it is in use or gone. Adds to `*count`. */
static int remove_one(struct adit_netlink *netlink, const struct adit_remains *remains, const struct nlmsghdr *message,
                      const struct item *item, int *count) {
  bool rule = message->nlmsg_type == RTM_NEWRULE;
  if (remains->table == 0 && in_use(netlink, item->table)) return 0;
  int error = adit_netlink_repeat(netlink, message, rule ? RTM_DELRULE : RTM_DELROUTE);
  if (error == 0) error = adit_netlink_talk(netlink, NULL, NULL);
  if (error == -ENOENT || error == -ESRCH || error == -ENODEV) return 0;
  if (error != 0) return error;
  tell(remains, item, rule);
  ++*count;
  return 0;
}

/* Remove what is in the list, the last ones first: the kernel lists rules in the order in which it reads them. */
static int remove_list(struct adit_netlink *netlink, const struct adit_remains *remains, const struct list *list,
                       int *count) {
  const struct nlmsghdr **message = calloc(list->seen + 1, sizeof *message);
  size_t messages = 0;
  int error = 0;
  if (message == NULL) return adit_netlink_fail(netlink, -ENOMEM, NULL);
  for (size_t at = 0; at < list->used; at += aligned(message[messages++])) {
    message[messages] = (const void *)(list->bytes + at);
  }
  for (unsigned stage = 0; error == 0 && stage < STAGES; stage++) {
    for (size_t i = messages; error == 0 && i-- > 0;) {
      struct item item;
      if (read_item(message[i], &item) && stage_of(&item) == stage) {
        error = remove_one(netlink, remains, message[i], &item, count);
      }
    }
  }
  free(message);
  return error;
}

int adit_remains_remove(struct adit_netlink *netlink, const struct adit_remains *remains) {
  static const uint16_t types[] = {RTM_GETRULE, RTM_GETROUTE};
  static const uint8_t families[] = {AF_INET, AF_INET6};
  struct list list = {.wanted = bears_our_number, .table = remains->table, .protocol = ADIT_ROUTES_PROTOCOL};
  int count = 0, error = 0;
  for (size_t t = 0; error == 0 && t < sizeof types / sizeof types[0]; t++) {
    for (size_t f = 0; error == 0 && f < sizeof families / sizeof families[0]; f++) {
      for (int pass = 0, before = -1; error == 0 && pass < PASSES && before != count; pass++) {
        before = count;
        error = read_list(netlink, types[t], families[f], &list);
        if (error == 0) error = remove_list(netlink, remains, &list, &count);
      }
    }
  }
  free(list.bytes);
  return error == 0 ? count : error;
}

/* ---- those of others -------------------------------------------------------------------------------------------- */

static bool is_foreign(const struct list *list, const struct item *item) {
  return item->protocol != ADIT_ROUTES_PROTOCOL && item->table == list->table;
}

int adit_remains_foreign(struct adit_netlink *netlink, uint32_t table) {
  static const uint16_t types[] = {RTM_GETRULE, RTM_GETROUTE};
  static const uint8_t families[] = {AF_INET, AF_INET6};
  struct list list = {.wanted = is_foreign, .table = table};
  int error = 0;
  bool found = false;
  for (size_t i = 0; error == 0 && !found && i < 4; i++) {
    error = read_list(netlink, types[i / 2], families[i % 2], &list);
    found = list.seen > 0;
  }
  free(list.bytes);
  return error != 0 ? error : found;
}
