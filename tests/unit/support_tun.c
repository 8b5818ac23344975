/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Real devices for tests, through ioctls and one netlink message: nothing here uses the code under test but to read.
 */
#include "support_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 2000 };

static void need(bool right, const char *what) {
  if (right) return;
  fprintf(stderr, "the test itself failed: %s: %s\n", what, strerror(errno));
  abort();
}

int support_tun_namespace(const char *program) {
  if (unshare(CLONE_NEWNET) != 0) {
    fprintf(stderr, "%s: SKIPPED: a network namespace cannot be made: %s; it needs root\n", program, strerror(errno));
    return SUPPORT_SKIPPED;
  }
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    fprintf(stderr, "%s: SKIPPED: /dev/net/tun cannot be opened: %s\n", program, strerror(errno));
    return SUPPORT_SKIPPED;
  }
  close(fd);
  /* Of this namespace only: no duplicate address detection, which would take a second on each TAP device. */
  fd = open("/proc/sys/net/ipv6/conf/default/accept_dad", O_WRONLY | O_CLOEXEC);
  need(fd >= 0 && write(fd, "0", 1) == 1, "accept_dad");
  close(fd);
  return 0;
}

int support_tun_raw(const char *name, unsigned flags) {
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  need(fd >= 0, "/dev/net/tun");
  if (name != NULL) {
    struct ifreq request = {0};
    memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    request.ifr_flags = (short)flags;
    need(ioctl(fd, TUNSETIFF, &request) == 0, "TUNSETIFF");
  }
  return fd;
}

static struct ifreq named(const char *name) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
  return request;
}

static struct sockaddr address4(const char *text) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  need(inet_pton(AF_INET, text, &at.sin_addr) == 1, text);
  struct sockaddr plain;
  memcpy(&plain, &at, sizeof plain);
  return plain;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The kernel makes an IPv6 address usable a moment after it was set. */
static void await_address6(const struct in6_addr *address) {
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(fd >= 0, "IPv6 socket");
  struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = *address};
  int64_t end = now_ms() + WAIT_MS;
  int result;
  while ((result = bind(fd, (struct sockaddr *)&at, sizeof at)) != 0 && now_ms() < end) {
    const struct timespec pause = {.tv_nsec = 200000};
    nanosleep(&pause, NULL);
  }
  need(result == 0, "bind to " SUPPORT_KERNEL6);
  close(fd);
}

static void set_flags(int control, const char *name, int on, int off) {
  struct ifreq request = named(name);
  need(ioctl(control, SIOCGIFFLAGS, &request) == 0, "SIOCGIFFLAGS");
  request.ifr_flags = (short)((request.ifr_flags | on) & ~off);
  need(ioctl(control, SIOCSIFFLAGS, &request) == 0, "SIOCSIFFLAGS");
}

void support_tun_up(const char *name) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(control >= 0, "socket");
  struct ifreq request = named(name);
  request.ifr_addr = address4(SUPPORT_KERNEL4);
  need(ioctl(control, SIOCSIFADDR, &request) == 0, "SIOCSIFADDR");
  request.ifr_netmask = address4("255.255.255.0");
  need(ioctl(control, SIOCSIFNETMASK, &request) == 0, "SIOCSIFNETMASK");
  set_flags(control, name, IFF_UP, 0);
  close(control);
  control = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(control >= 0, "IPv6 socket");
  struct in6_ifreq address = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex(name)};
  need(inet_pton(AF_INET6, SUPPORT_KERNEL6, &address.ifr6_addr) == 1, SUPPORT_KERNEL6);
  need(ioctl(control, SIOCSIFADDR, &address) == 0, "SIOCSIFADDR (IPv6)");
  close(control);
  await_address6(&address.ifr6_addr);
}

void support_tun_down(const char *name) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(control >= 0, "socket");
  set_flags(control, name, 0, IFF_UP);
  close(control);
}

void support_tun_delete(const char *name) {
  char bytes[1024] __attribute__((aligned(8)));
  struct mnl_socket *netlink = mnl_socket_open(NETLINK_ROUTE);
  need(netlink != NULL && mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0, "netlink");
  struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
  request->nlmsg_type = RTM_DELLINK;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof *link);
  link->ifi_index = (int)if_nametoindex(name);
  need(mnl_socket_sendto(netlink, request, request->nlmsg_len) > 0, "RTM_DELLINK");
  ssize_t got = mnl_socket_recvfrom(netlink, bytes, sizeof bytes);
  need(got > 0 && mnl_cb_run(bytes, (size_t)got, 0, mnl_socket_get_portid(netlink), NULL, NULL) >= 0, "RTM_DELLINK");
  mnl_socket_close(netlink);
}

unsigned support_tun_count(void) {
  struct if_nameindex *all = if_nameindex();
  need(all != NULL, "if_nameindex");
  unsigned count = 0;
  while (all[count].if_index != 0) count++;
  if_freenameindex(all);
  return count;
}

void support_tun_route(const char *name) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(control >= 0, "socket");
  char device[IFNAMSIZ] = {0};
  memcpy(device, name, strnlen(name, sizeof device - 1));
  struct rtentry route = {.rt_dst = address4("10.77.0.0"),
                          .rt_genmask = address4("255.255.0.0"),
                          .rt_gateway = address4("0.0.0.0"),
                          .rt_flags = RTF_UP,
                          .rt_dev = device};
  need(ioctl(control, SIOCADDRT, &route) == 0, "SIOCADDRT");
  close(control);
}

bool support_tun_reaches(const char *address) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(fd >= 0, "socket");
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  need(inet_pton(AF_INET, address, &to.sin_addr) == 1, address);
  int result = connect(fd, (struct sockaddr *)&to, sizeof to);
  need(result == 0 || errno == ENETUNREACH, "connect");
  close(fd);
  return result == 0;
}

bool support_kernel_at_least(unsigned major, unsigned minor) {
  struct utsname name;
  unsigned here_major, here_minor;
  need(uname(&name) == 0 && sscanf(name.release, "%u.%u", &here_major, &here_minor) == 2, "uname");
  return here_major > major || (here_major == major && here_minor >= minor);
}

static socklen_t endpoint(int family, const char *text4, const char *text6, uint16_t port,
                          struct sockaddr_storage *at) {
  memset(at, 0, sizeof *at);
  if (family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)at;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    need(inet_pton(AF_INET, text4, &in->sin_addr) == 1, text4);
    return sizeof *in;
  }
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)at;
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  need(inet_pton(AF_INET6, text6, &in6->sin6_addr) == 1, text6);
  return sizeof *in6;
}

int support_kernel_socket(int family, int type, uint16_t port) {
  int fd = socket(family, type | SOCK_CLOEXEC, 0);
  need(fd >= 0, "socket");
  struct timeval wait = {.tv_sec = WAIT_MS / 1000};
  int on = 1;
  need(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0, "SO_RCVTIMEO");
  need(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0, "SO_SNDTIMEO");
  need(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
  struct sockaddr_storage at;
  socklen_t size = endpoint(family, SUPPORT_KERNEL4, SUPPORT_KERNEL6, port, &at);
  need(bind(fd, (struct sockaddr *)&at, size) == 0, "bind");
  return fd;
}

void support_kernel_connect(int fd, int family, uint16_t port) {
  struct sockaddr_storage at;
  socklen_t size = endpoint(family, SUPPORT_PEER4, SUPPORT_PEER6, port, &at);
  int flags = fcntl(fd, F_GETFL);
  need(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0, "F_SETFL");
  need(connect(fd, (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS, "connect");
  need(fcntl(fd, F_SETFL, flags) == 0, "F_SETFL");
}

struct adit_buffer *support_tun_await(struct adit_device *device, struct adit_pool *pool, support_match_fn *match,
                                      void *user) {
  int64_t end = now_ms() + WAIT_MS;
  for (int64_t left = WAIT_MS; left > 0; left = end - now_ms()) {
    struct adit_buffer *buffer;
    int result = adit_device_read(device, pool, &buffer);
    if (result == -EAGAIN) {
      struct pollfd readable = {.fd = adit_device_fd(device), .events = POLLIN};
      poll(&readable, 1, (int)left);
      continue;
    }
    assert_int_equal(result, 1);
    if (match(buffer, user)) return buffer;
    adit_buffer_unref(buffer);
  }
  fail_msg("no such packet came within %d ms", WAIT_MS);
  return NULL;
}

bool support_match_protocol(const struct adit_buffer *buffer, void *user) {
  uint8_t protocol = *(const uint8_t *)user;
  if (buffer->length < 20) return false;
  return buffer->data[0] >> 4 == 4 ? buffer->data[9] == protocol : buffer->data[6] == protocol;
}

int support_tun_child(int (*body)(void *shared), void *shared) {
  fflush(NULL);
  pid_t child = fork();
  need(child >= 0, "fork");
  if (child == 0) _exit(body(shared));
  int status;
  need(waitpid(child, &status, 0) == child, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void *support_tun_shared(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  need(memory != MAP_FAILED, "mmap");
  return memory;
}
