/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options to a device that is open, configured and up.
 *
 * Two kinds of devices. One that is made here is given all it needs and vanishes with its last fd, however the process
 * ends. One that was there before (--fd, or the --dev of a persistent device) belongs to somebody who had a reason to
 * configure it as it is: only what the options name is changed, each change is noted in `undo`, and adit_cli_close takes
 * them back in reverse, also when a later step fails. An owner without CAP_NET_ADMIN can so use a device prepared for him.
 *
 * What is looked at first, before anything is made: the bridge, and whether somebody else has the address or the network;
 * the kernel would allow both and then send the packets to the other one.
 */
#include "cli/open.h"

#include "cli/explain.h"
#include "cli/fault.h"
#include "cli/gather.h"
#include "cli/say.h"
#include "host/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const default_addresses[] = {"192.168.3.11/24", "fdad:3::11/64"};

enum { DEFAULTS = 2, IPV6_MTU = 1280 };

/* What was changed on a device that outlives this process. */
struct adit_cli_undo {
  struct adit_link_socket *link; /* owned */
  unsigned index;                /* 0 = nothing to be taken back */
  struct adit_link_info before;
  bool mtu, up, master;
  struct adit_cli_cidrs address;
};

/* What the steps below share. */
struct opening {
  const struct adit_cli_options *options;
  struct adit_cli_device *device;
  struct adit_link_socket *link;
  struct adit_link_info found; /* under the name of --dev, before; index 0 = nothing */
  struct adit_link_info info;  /* the open device, before it is configured */
  struct adit_cli_cidrs wanted;
  bool chosen;     /* `wanted` was said by the user */
  bool ours;       /* the device was made here */
  unsigned bridge; /* index, 0 = none */
};

static void add_text(struct adit_cli_cidrs *list, const char *text) {
  if (adit_cidr_parse(text, &list->item[list->count]) == 0) list->count++;
}

/* ---- before anything is made ------------------------------------------------------------------------------------ */

static enum adit_cli_status find_bridge(struct opening *o) {
  const char *name = o->options->bridge;
  if (name == NULL) return ADIT_CLI_DONE;
  int error = adit_link_find_bridge(o->link, name, &o->bridge);
  switch (error) {
  case 0:
    return ADIT_CLI_DONE;
  case -ENODEV:
    return adit_cli_fail(o->options,
                         "--bridge %s: there is no such interface; make the bridge first (ip link add %s type "
                         "bridge; ip link set %s up)",
                         name, name, name);
  case -ENOTSUP:
    return adit_cli_fail(o->options,
                         "--bridge %s: is an interface but no bridge; give the name of a bridge (ip link show "
                         "type bridge lists them)",
                         name);
  default:
    return adit_cli_fail(o->options, "--bridge %s: cannot be looked up: %s", name, adit_link_reason(o->link));
  }
}

static bool same_network(adit_cidr a, adit_cidr b) {
  return a.prefix == b.prefix && adit_cidr_contains(a, b.ip);
}

static bool link_local(adit_ip ip) {
  return ip.version == 6 && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80;
}

/* The first address of another interface that is in the way of a wanted one. */
struct conflict {
  const struct opening *opening;
  bool exact;
  adit_cidr wanted;
  adit_cidr other;
  unsigned index; /* 0 = none */
};

static bool find_conflict(void *user, unsigned index, adit_cidr address) {
  struct conflict *conflict = user;
  const struct opening *o = conflict->opening;
  if (index == o->found.index) return true;
  for (size_t i = 0; i < o->wanted.count; i++) {
    adit_cidr wanted = o->wanted.item[i];
    bool exact = adit_ip_equal(wanted.ip, address.ip);
    if (!exact && (conflict->index != 0 || link_local(wanted.ip) || !same_network(wanted, address))) continue;
    *conflict = (struct conflict){o, exact, wanted, address, index};
    if (exact) return false;
  }
  return true;
}

static enum adit_cli_status check_conflicts(struct opening *o) {
  struct conflict conflict = {.opening = o};
  int error = adit_link_each_address(o->link, find_conflict, &conflict);
  if (error != 0) {
    return adit_cli_fail(o->options, "the addresses of this machine cannot be read: %s", adit_link_reason(o->link));
  }
  if (conflict.index == 0) return ADIT_CLI_DONE;
  char wanted[ADIT_ADDRESS_TEXT], other[ADIT_ADDRESS_TEXT], where[IF_NAMESIZE];
  adit_cidr_format(conflict.other, other);
  if (if_indextoname(conflict.index, where) == NULL) snprintf(where, sizeof where, "interface %u", conflict.index);
  if (conflict.exact) {
    return adit_cli_fail(o->options,
                         "address %s is already in use on %s; give another --address, or stop the program "
                         "that has %s",
                         adit_ip_format(conflict.wanted.ip, wanted), where, where);
  }
  adit_cidr_format(conflict.wanted, wanted);
  if (o->chosen) {
    adit_cli_note(o->options,
                  "note: %s has an address (%s) in the network of %s; the kernel sends to that network "
                  "through %s",
                  where, other, wanted, where);
    return ADIT_CLI_DONE;
  }
  return adit_cli_fail(o->options, "the network of %s is already in use on %s (%s); give another one with --address",
                       wanted, where, other);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static void pass_notice(void *user, const char *text) {
  adit_cli_note(user, "note: %s", text);
}

static enum adit_cli_status open_by_name(struct opening *o, bool offload) {
  const struct adit_cli_options *options = o->options;
  union {
    const struct adit_cli_options *in;
    void *out;
  } user = {.in = options}; /* pass_notice only reads it */
  bool wants_offload = options->offload == ADIT_CLI_OFFLOAD_DEFAULT ? offload : options->offload == ADIT_CLI_OFFLOAD_ON;
  if (adit_cli_given(options, ADIT_CLI_FAULT)) wants_offload = false;
  struct adit_device_options how = {
      .size = sizeof how,
      .name = options->dev,
      .link = options->tap ? ADIT_LINK_ETHERNET : ADIT_LINK_IP,
      .queues = (unsigned)options->queues,
      .no_offload = !wants_offload,
      .notice = pass_notice,
      .user = user.out,
  };
  int error = adit_device_open(&how, o->device->queue);
  if (error != 0) return adit_cli_explain_open(options, o->found.index != 0 ? &o->found : NULL, error);
  o->device->queues = how.queues;
  o->ours = o->found.index == 0;
  return ADIT_CLI_DONE;
}

static enum adit_cli_status open_by_fd(struct opening *o) {
  int fd = (int)o->options->fd;
  int error = adit_device_attach(fd, true, &o->device->queue[0]);
  if (error == -EBADF) {
    return adit_cli_fail(o->options,
                         "--fd %d: is not open in this process; let the parent process leave it open (no "
                         "FD_CLOEXEC), and check the number",
                         fd);
  }
  if (error != 0) {
    return adit_cli_fail(o->options, "--fd %d: cannot be used as a device: %s; give a TUN or TAP fd", fd,
                         strerror(-error));
  }
  o->device->queues = 1;
  if (o->options->bridge != NULL && adit_device_link(o->device->queue[0]) != ADIT_LINK_ETHERNET) {
    return adit_cli_fail(o->options,
                         "--bridge %s: the device of --fd %d is TUN, a bridge takes Ethernet frames only; "
                         "open a TAP device",
                         o->options->bridge, fd);
  }
  return ADIT_CLI_DONE;
}

/* Whether the interface of an fd is one of this network namespace, where alone it can be configured. */
static bool is_here(int fd) {
  struct stat own, other;
  int space = ioctl(fd, TUNGETDEVNETNS, 0);
  if (space < 0) return true; /* a kernel before 5.1 does not tell */
  bool same = stat("/proc/self/ns/net", &own) != 0 || fstat(space, &other) != 0 ||
              (own.st_dev == other.st_dev && own.st_ino == other.st_ino);
  close(space);
  return same;
}

/* ---- configuring ------------------------------------------------------------------------------------------------ */

static enum adit_cli_status set_mtu(struct opening *o) {
  uint32_t mtu = (uint32_t)o->options->mtu;
  char what[32];
  if (mtu == 0 || mtu == o->info.mtu) return ADIT_CLI_DONE;
  int error = adit_link_set_mtu(o->link, o->info.index, mtu);
  snprintf(what, sizeof what, "MTU %u", mtu);
  if (error != 0) return adit_cli_explain_setting(o->options, o->device->name, what, o->link, error);
  o->device->undo->mtu = true;
  return ADIT_CLI_DONE;
}

static enum adit_cli_status set_address(struct opening *o, adit_cidr address) {
  char text[ADIT_ADDRESS_TEXT], what[ADIT_ADDRESS_TEXT + 16];
  snprintf(what, sizeof what, "address %s", adit_cidr_format(address, text));
  int error = adit_link_add_address(o->link, o->info.index, address);
  struct adit_cli_cidrs *undo = &o->device->undo->address;
  switch (error) {
  case 0:
    undo->item[undo->count++] = address;
    return ADIT_CLI_DONE;
  case -EEXIST: /* a device that was there before and has it */
    return ADIT_CLI_DONE;
  case -EACCES:
  case -EAFNOSUPPORT:
  case -EOPNOTSUPP:
    if (address.ip.version == 6 && !o->chosen) {
      adit_cli_note(o->options, "note: without %s, because there is no IPv6 here: %s", what, adit_link_reason(o->link));
      return ADIT_CLI_DONE;
    }
    break;
  default:
    break;
  }
  return adit_cli_explain_setting(o->options, o->device->name, what, o->link, error);
}

static enum adit_cli_status set_bridge(struct opening *o) {
  if (o->bridge == 0 || o->bridge == o->info.master) return ADIT_CLI_DONE;
  char what[64];
  snprintf(what, sizeof what, "bridge %s", o->options->bridge);
  int error = adit_link_set_master(o->link, o->info.index, o->bridge);
  if (error != 0) return adit_cli_explain_setting(o->options, o->device->name, what, o->link, error);
  o->device->undo->master = true;
  return ADIT_CLI_DONE;
}

static enum adit_cli_status set_up(struct opening *o) {
  if (o->info.up) return ADIT_CLI_DONE;
  bool by_fd = adit_cli_given(o->options, ADIT_CLI_FD);
  if (by_fd && o->wanted.count == 0 && o->bridge == 0) {
    adit_cli_note(o->options, "note: %s is down; packets come when it is set up (ip link set %s up)", o->device->name,
                  o->device->name);
    return ADIT_CLI_DONE;
  }
  int error = adit_link_set_up(o->link, o->info.index, true);
  if (error != 0) return adit_cli_explain_setting(o->options, o->device->name, "the state up", o->link, error);
  o->device->undo->up = true;
  return ADIT_CLI_DONE;
}

struct listing {
  unsigned index;
  struct adit_cli_cidrs *list;
};

static bool list_address(void *user, unsigned index, adit_cidr address) {
  struct listing *listing = user;
  if (index == listing->index) listing->list->item[listing->list->count++] = address;
  return listing->list->count < ADIT_CLI_LIST;
}

/* Everything between an open device and one that works. */
static enum adit_cli_status configure(struct opening *o) {
  struct adit_cli_device *device = o->device;
  device->name = adit_device_name(device->queue[0]);
  device->mtu = o->options->mtu != 0 ? (uint32_t)o->options->mtu : 1500;
  int error = -ENODEV;
  if (is_here(adit_device_fd(device->queue[0]))) error = adit_link_find(o->link, device->name, &o->info);
  if (error != 0 && !o->ours && o->wanted.count == 0 && o->bridge == 0) {
    return ADIT_CLI_DONE; /* an fd that is no interface of this namespace: packets come from it all the same */
  }
  if (error != 0) {
    return adit_cli_fail(o->options,
                         "%s: is no interface of this network namespace, so nothing can be set on it; leave "
                         "out --address and --bridge",
                         device->name);
  }
  device->undo->before = o->info;
  if (!o->ours) device->undo->index = o->info.index;
  if (o->ours) {
    error = adit_link_set_quiet(o->link, o->info.index);
    if (error != 0 && error != -EAFNOSUPPORT && error != -EOPNOTSUPP) {
      return adit_cli_explain_setting(o->options, device->name, "'no link-local address'", o->link, error);
    }
  }
  if (o->ours)
    (void)adit_link_set_queue(o->link, o->info.index, ADIT_LINK_QUEUE); /* without it, as the kernel has it */
  enum adit_cli_status status = set_mtu(o);
  for (size_t i = 0; status == ADIT_CLI_DONE && i < o->wanted.count; i++) status = set_address(o, o->wanted.item[i]);
  if (status == ADIT_CLI_DONE) status = set_bridge(o);
  if (status == ADIT_CLI_DONE) status = set_up(o);
  if (status != ADIT_CLI_DONE) return status;
  struct adit_link_info now;
  if (adit_link_find(o->link, device->name, &now) == 0) device->mtu = now.mtu;
  struct listing listing = {.index = o->info.index, .list = &device->address};
  error = adit_link_each_address(o->link, list_address, &listing);
  if (error != 0) {
    return adit_cli_fail(o->options, "the addresses of %s cannot be read: %s", device->name, adit_link_reason(o->link));
  }
  return ADIT_CLI_DONE;
}

/* The addresses that the device is to have. */
static void plan_addresses(struct opening *o) {
  const struct adit_cli_options *options = o->options;
  o->chosen = options->address.count > 0;
  bool left_alone = adit_cli_given(options, ADIT_CLI_FD) || options->bridge != NULL || o->found.index != 0;
  if (o->chosen) {
    o->wanted = options->address;
  } else if (!left_alone) {
    size_t usable = options->mtu != 0 && options->mtu < IPV6_MTU ? DEFAULTS - 1 : DEFAULTS;
    for (size_t i = 0; i < usable; i++) add_text(&o->wanted, default_addresses[i]);
  }
}

enum adit_cli_status adit_cli_open(const struct adit_cli_options *options, bool offload,
                                   struct adit_cli_device *device) {
  memset(device, 0, sizeof *device);
  device->undo = calloc(1, sizeof *device->undo);
  if (device->undo == NULL) return adit_cli_fail(options, "out of memory");
  struct opening o = {.options = options, .device = device};
  enum adit_cli_status status;
  int error = adit_link_open(&device->undo->link);
  if (error != 0) {
    status = adit_cli_fail(options, "the kernel's network configuration cannot be reached (netlink): %s",
                           strerror(-error));
    goto close_device;
  }
  o.link = device->undo->link;
  if (options->dev != NULL && strchr(options->dev, '%') == NULL &&
      adit_link_find(o.link, options->dev, &o.found) != 0) {
    o.found = (struct adit_link_info){0};
  }
  plan_addresses(&o);
  status = find_bridge(&o);
  if (status == ADIT_CLI_DONE && !adit_cli_given(options, ADIT_CLI_FD)) status = check_conflicts(&o);
  if (status == ADIT_CLI_DONE) {
    status = adit_cli_given(options, ADIT_CLI_FD) ? open_by_fd(&o) : open_by_name(&o, offload);
  }
  for (unsigned i = 0; options->no_big_tcp && i < device->queues; i++)
    adit_device_forgo(device->queue[i], ADIT_OFFLOAD_BIG_TCP);
  if (status == ADIT_CLI_DONE) status = adit_cli_gather(options, device->queue, device->queues);
  if (status == ADIT_CLI_DONE) status = configure(&o);
  if (status == ADIT_CLI_DONE) status = adit_cli_fault_insert(options, device->queue, device->queues);
  if (status == ADIT_CLI_DONE) return status;

close_device:
  adit_cli_close(device);
  return status;
}

/* Put a device that stays back as it was found. Errors have nobody to care: the device may be gone by now. */
static void take_back(struct adit_cli_undo *undo) {
  if (undo->index == 0) return;
  if (undo->up) adit_link_set_up(undo->link, undo->index, false);
  if (undo->master) adit_link_set_master(undo->link, undo->index, undo->before.master);
  while (undo->address.count > 0) {
    adit_link_remove_address(undo->link, undo->index, undo->address.item[--undo->address.count]);
  }
  if (undo->mtu) adit_link_set_mtu(undo->link, undo->index, undo->before.mtu);
}

void adit_cli_close(struct adit_cli_device *device) {
  if (device->undo != NULL) {
    take_back(device->undo);
    adit_link_close(device->undo->link);
    free(device->undo);
    device->undo = NULL;
  }
  while (device->queues > 0) adit_device_close(device->queue[--device->queues]);
  device->queue[0] = NULL;
}

bool adit_cli_puts_back(const struct adit_cli_device *device) {
  const struct adit_cli_undo *undo = device->undo;
  return undo != NULL && undo->index != 0 && (undo->mtu || undo->up || undo->master || undo->address.count > 0);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

char *adit_cli_describe(const struct adit_cli_device *device, char *text, size_t size) {
  char address[ADIT_ADDRESS_TEXT];
  bool tap = adit_device_link(device->queue[0]) == ADIT_LINK_ETHERNET;
  snprintf(text, size, "%s (%s, MTU %u", device->name, tap ? "TAP" : "TUN", device->mtu);
  for (size_t i = 0; i < device->address.count; i++) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, ", %s", adit_cidr_format(device->address.item[i], address));
  }
  size_t used = strlen(text);
  snprintf(text + used, size - used, ")");
  return text;
}

size_t adit_cli_answers(const struct adit_cli_options *options, const struct adit_cli_device *device,
                        struct adit_cli_cidrs *answers) {
  answers->count = 0;
  if (options->answer.count > 0) {
    *answers = options->answer;
  } else {
    for (size_t i = 0; i < device->address.count; i++) {
      if (!link_local(device->address.item[i].ip)) answers->item[answers->count++] = device->address.item[i];
    }
  }
  return answers->count;
}

/* The last address of an IPv4 network. One of two addresses has none for everybody (RFC 3021). */
static bool find_broadcast(adit_cidr network, adit_ip *broadcast) {
  *broadcast = network.ip;
  if (network.ip.version != 4 || network.prefix > 30) return false;
  for (unsigned bit = network.prefix; bit < 32; bit++)
    broadcast->bytes[bit / 8] = (uint8_t)(broadcast->bytes[bit / 8] | 0x80u >> bit % 8);
  return true;
}

size_t adit_cli_excepts(const struct adit_cli_cidrs *address, adit_ip *excepts) {
  size_t count = 0;
  for (size_t i = 0; i < address->count; i++) {
    excepts[count++] = address->item[i].ip;
    if (find_broadcast(address->item[i], &excepts[count])) count++;
  }
  return count;
}
