/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Take an fd that somebody else opened.
 *
 * The kernel is asked what it is; nothing of that is changed, except that the fd becomes non-blocking, and that a
 * device which is ours from now on (`own`) may hand over large packets: with a vnet header every packet says how it is
 * to be read, so that a reader of the header can take them all, and whoever gave the fd away reads no more.
 *
 * An fd that is no TUN has to keep packets apart. Sockets say whether they do; other character devices are believed;
 * files, pipes and stream sockets do not.
 */
#include <adit/device.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/fd.h"
#include "device/offer.h"
#include "device/vnet.h"

/* Whether the numbers of the vnet header are in another order than ours. Kernels that do not know have no other. */
static bool order_is_foreign(int fd) {
  int foreign = 0;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return ioctl(fd, TUNGETVNETLE, &foreign) == 0 && foreign != 0;
#else
  return ioctl(fd, TUNGETVNETBE, &foreign) == 0 && foreign != 0;
#endif
}

/*
 * Whether packets of a TUN device carry packet information. TUNGETIFF does not tell: IFF_NO_PI has the value of
 * IFF_NOFILTER, which is set there for every fd without a socket filter. So the kernel is asked with a packet that it
 * refuses at once (EINVAL) if there is none: four bytes of no IP version. With packet information those are it, and
 * what is left is an empty packet of no protocol, which is dropped without an error, or with EIO while the device is
 * down.
 */
static bool has_information(const struct adit_fd_layout *layout) {
  const uint8_t zero[ADIT_FD_HEADER] = {0};
  return write(layout->fd, zero, sizeof(struct tun_pi) + layout->vnet_length) >= 0 || errno == EIO;
}

/* A TUN or TAP queue, of the flags that TUNGETIFF said. */
static int describe_tun(const struct ifreq *answer, struct adit_fd_layout *layout) {
  layout->link = (answer->ifr_flags & IFF_TAP) != 0 ? ADIT_LINK_ETHERNET : ADIT_LINK_IP;
  layout->name = answer->ifr_name;
  if ((answer->ifr_flags & IFF_VNET_HDR) != 0) {
    int length;
    if (ioctl(layout->fd, TUNGETVNETHDRSZ, &length) != 0) return -EINVAL;
    if (length < (int)sizeof(struct virtio_net_hdr)) return -EINVAL;
    if (length > ADIT_FD_HEADER - (int)sizeof(struct tun_pi)) return -EINVAL;
    if (order_is_foreign(layout->fd)) return -EINVAL;
    layout->vnet_length = (uint8_t)length;
  }
  layout->information = layout->link == ADIT_LINK_IP && has_information(layout);
  return 0;
}

/* What writes may ask for. */
static uint32_t offload_of(const struct adit_fd_layout *layout) {
  if (layout->vnet_length == 0) return 0;
  bool uso = layout->own ? adit_offer_all(layout->fd).uso : adit_offer_kernel_reads_uso();
  return adit_offer_writes(layout->link, uso);
}

/* Anything else. */
static int describe_other(struct adit_fd_layout *layout) {
  struct stat status;
  if (fstat(layout->fd, &status) != 0) return -errno;
  if (S_ISCHR(status.st_mode)) return 0;
  int type;
  socklen_t size = sizeof type;
  if (getsockopt(layout->fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type == SOCK_STREAM) return -EINVAL;
  layout->socket = true;
  layout->ends = type == SOCK_SEQPACKET;
  return 0;
}

int adit_device_attach(int fd, bool own, struct adit_device **device) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if (device == NULL || (flags & O_ACCMODE) != O_RDWR) return -EINVAL;
  struct adit_fd_layout layout = {.fd = fd, .own = own, .link = ADIT_LINK_IP, .name = "fd"};
  struct ifreq answer = {0};
  int result;
  if (ioctl(fd, TUNGETIFF, &answer) == 0) {
    result = describe_tun(&answer, &layout);
  } else if (errno == EBADFD) { /* /dev/net/tun without a device */
    result = -EINVAL;
  } else {
    result = describe_other(&layout);
  }
  if (result != 0) return result;
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
  result = adit_fd_new(&layout, device);
  if (result != 0) {
    fcntl(fd, F_SETFL, flags);
    return result;
  }
  (*device)->offload = offload_of(&layout);
  if (layout.link == ADIT_LINK_ETHERNET) adit_fd_ask_mac(*device);
  return 0;
}
