/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Open TUN and TAP devices with their queues.
 *
 * Each queue is an fd of /dev/net/tun that TUNSETIFF ties to the device; the first one makes the device, or takes over
 * an idle one that was made persistent. An fd that is closed takes its queue with it, the last one the device (unless
 * it is persistent), and the kernel removes its addresses and routes. So clean-up after a failure is to close what was
 * opened, and a process that dies leaves nothing.
 *
 * A device made for several queues lets everybody attach who may: the number of queues, asked for after the first one
 * was attached, tells whether another program is there already (device/census.h).
 *
 * A persistent device keeps the settings of whoever had it last. So everything that matters is set, also to what a new
 * device has: length and byte order of the vnet header, and the offloads.
 */
#include <adit/device.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device/census.h"
#include "device/fd.h"
#include "device/offer.h"
#include "device/vnet.h"

enum {
  QUEUES_MAX = 256 /* MAX_TAP_QUEUES, drivers/net/tun.c */
};

/* What is being opened. */
struct plan {
  const struct adit_device_options *options;
  unsigned queues;
  short flags;                 /* for TUNSETIFF */
  char name[ADIT_DEVICE_NAME]; /* as asked for, then as the kernel says */
  uint32_t offload;            /* of every queue, known when the first is open */
};

/* The kernel's rules (dev_valid_name, dev_alloc_name), so that its EINVAL can only mean the device. */
static int check_name(const char *name) {
  size_t length = strlen(name);
  if (length >= ADIT_DEVICE_NAME) return -ENAMETOOLONG;
  if (length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return -EINVAL;
  for (const char *at = name; *at != '\0'; at++) {
    if (*at == '/' || *at == ':' || isspace((unsigned char)*at)) return -EINVAL;
  }
  const char *number = strchr(name, '%');
  if (number != NULL && (number[1] != 'd' || strchr(number + 1, '%') != NULL)) return -EINVAL;
  return 0;
}

static void notice(const struct plan *plan, const char *text) {
  if (plan->options->notice != NULL) plan->options->notice(plan->options->user, text);
}

/* Decide which flags to ask for, by what this kernel knows. */
static int plan_flags(struct plan *plan, int fd) {
  unsigned features;
  if (ioctl(fd, TUNGETFEATURES, &features) != 0) return -errno;
  unsigned flags = IFF_NO_PI | (plan->options->link == ADIT_LINK_ETHERNET ? IFF_TAP : IFF_TUN);
  if (plan->queues > 1) flags |= IFF_MULTI_QUEUE;
  if ((flags & ~features) != 0) return -EINVAL;
  if (!plan->options->no_offload) {
    if ((features & IFF_VNET_HDR) != 0) {
      flags |= IFF_VNET_HDR;
    } else {
      notice(plan, "kernel without vnet header: packets come one at a time and throughput is lower");
    }
  }
  plan->flags = (short)flags;
  return 0;
}

/* Tie the fd to the device, which is made unless it exists. */
static int set_interface(struct plan *plan, int fd) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, plan->name, sizeof request.ifr_name);
  request.ifr_flags = plan->flags;
  if (ioctl(fd, TUNSETIFF, &request) == 0) {
    memcpy(plan->name, request.ifr_name, sizeof plan->name);
    return 0;
  }
  switch (errno) {
  case EINVAL: /* it is of another type or queue mode, or no device of this driver at all */
    return if_nametoindex(plan->name) != 0 ? -EBUSY : -EINVAL;
  case EEXIST: /* somebody else made one of this name just now */
  case E2BIG:  /* others have all of its queues */
    return -EBUSY;
  default:
    return -errno;
  }
}

/* What belongs to the device and not to the queue. */
static int set_up(struct plan *plan, int fd) {
  if ((plan->flags & IFF_MULTI_QUEUE) != 0 && adit_census_queues(plan->name) > 1) return -EBUSY;
  if ((plan->flags & IFF_VNET_HDR) == 0) {
    adit_offer_nothing(fd);
    return 0;
  }
  int length = sizeof(struct virtio_net_hdr), native = 0;
  if (ioctl(fd, TUNSETVNETHDRSZ, &length) != 0) return -errno;
  /* Kernels that refuse one of these have no other byte order to be set back from. */
  ioctl(fd, TUNSETVNETLE, &native);
  ioctl(fd, TUNSETVNETBE, &native);
  struct adit_offer offer = adit_offer_all(fd);
  plan->offload = adit_offer_writes(plan->options->link, offer.uso);
  if (offer.lacks != NULL) notice(plan, offer.lacks);
  return 0;
}

static int open_queue(struct plan *plan, bool first, struct adit_device **device) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno == ENXIO ? -ENODEV : -errno;
  int result = first ? plan_flags(plan, fd) : 0;
  if (result == 0) result = set_interface(plan, fd);
  if (result == 0 && first) result = set_up(plan, fd);
  if (result != 0) goto close_fd;
  struct adit_fd_layout layout = {
      .fd = fd,
      .own = true,
      .vnet_length = (plan->flags & IFF_VNET_HDR) != 0 ? sizeof(struct virtio_net_hdr) : 0,
      .link = plan->options->link,
      .offload = plan->offload,
      .name = plan->name,
  };
  result = adit_fd_new(&layout, device);
  if (result != 0) goto close_fd;
  if (layout.link == ADIT_LINK_ETHERNET) adit_fd_ask_mac(*device);
  return 0;

close_fd:
  close(fd);
  return result;
}

int adit_device_open(const struct adit_device_options *options, struct adit_device **devices) {
  if (options == NULL || devices == NULL || options->size != sizeof *options) return -EINVAL;
  if (options->link != ADIT_LINK_IP && options->link != ADIT_LINK_ETHERNET) return -EINVAL;
  if (options->queues > QUEUES_MAX) return -EINVAL;
  struct plan plan = {.options = options, .queues = options->queues != 0 ? options->queues : 1};
  const char *name = options->name != NULL ? options->name : "adit%d";
  int result = check_name(name);
  if (result != 0) return result;
  memcpy(plan.name, name, strlen(name));
  for (unsigned i = 0; i < plan.queues; i++) {
    result = open_queue(&plan, i == 0, &devices[i]);
    if (result != 0) {
      while (i > 0) {
        adit_device_close(devices[--i]);
        devices[i] = NULL;
      }
      return result;
    }
  }
  return 0;
}
