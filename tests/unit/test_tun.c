/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Opening and closing of TUN and TAP devices: names, queues, offloads, every way to fail, and what is left behind.
 *
 * Needs root; runs in a network namespace of its own. What packets do is tested in test_tun_packets.c.
 */
#include <adit/device.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/census.h"
#include "support_packet.h"
#include "support_tun.h"

enum { LOOPBACK_ONLY = 1 };

static const uint32_t base_offload = ADIT_OFFLOAD_CHECKSUM | ADIT_OFFLOAD_TSO4 | ADIT_OFFLOAD_TSO6 | ADIT_OFFLOAD_ECN;

struct notices {
  unsigned count;
  char text[256]; /* the last one */
};

static void count_notice(void *user, const char *text) {
  struct notices *notices = user;
  notices->count++;
  snprintf(notices->text, sizeof notices->text, "%s", text);
}

static struct adit_device_options options_for(const char *name) {
  return (struct adit_device_options){.size = sizeof(struct adit_device_options), .name = name};
}

static struct adit_device *open_one(const char *name) {
  struct adit_device_options options = options_for(name);
  struct adit_device *device = NULL;
  assert_int_equal(adit_device_open(&options, &device), 0);
  return device;
}

/* Each test ends with nothing but the loopback device. */
static int nothing_left(void **state) {
  (void)state;
  unsigned count = support_tun_count();
  if (count != LOOPBACK_ONLY) fprintf(stderr, "%u network devices are left, not %d\n", count, LOOPBACK_ONLY);
  return count == LOOPBACK_ONLY ? 0 : -1;
}

/* ---- names ---- */

static void test_kernel_chooses_name(void **state) {
  (void)state;
  struct adit_device *first = open_one(NULL), *second = open_one(NULL), *mine = open_one("mine%d");
  assert_string_equal(adit_device_name(first), "adit0");
  assert_string_equal(adit_device_name(second), "adit1");
  assert_string_equal(adit_device_name(mine), "mine0");
  assert_int_not_equal(if_nametoindex("adit1"), 0);
  adit_device_close(mine);
  adit_device_close(second);
  adit_device_close(first);
}

static void test_given_name(void **state) {
  (void)state;
  struct adit_device *device = open_one("fifteen-bytes-x");
  static const uint8_t no_mac[6] = {0};
  assert_string_equal(adit_device_name(device), "fifteen-bytes-x");
  assert_int_not_equal(if_nametoindex("fifteen-bytes-x"), 0);
  assert_int_equal(adit_device_link(device), ADIT_LINK_IP);
  assert_memory_equal(adit_device_mac(device), no_mac, sizeof no_mac);
  assert_int_equal(adit_device_dropped(device), 0);
  int fd = adit_device_fd(device);
  assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  adit_device_close(device);
  assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_bad_names(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int result;
  } cases[] = {
      {"sixteen-bytes-xy", -ENAMETOOLONG},
      {"sixteen-bytes-%d", -ENAMETOOLONG},
      {"", -EINVAL},
      {".", -EINVAL},
      {"..", -EINVAL},
      {"a/b", -EINVAL},
      {"a:b", -EINVAL},
      {"a b", -EINVAL},
      {"a\n", -EINVAL},
      {"a%", -EINVAL},
      {"a%s", -EINVAL},
      {"a%d%d", -EINVAL},
      {"a%%d", -EINVAL},
      {"all", -EINVAL}, /* the kernel has a sysctl folder of this name */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_device_options options = options_for(cases[i].name);
    struct adit_device *device = NULL;
    int result = adit_device_open(&options, &device);
    if (result != cases[i].result) fail_msg("name \"%s\": %d, not %d", cases[i].name, result, cases[i].result);
    assert_null(device);
  }
}

static void test_bad_options(void **state) {
  (void)state;
  struct adit_device *device = NULL;
  struct adit_device_options options = options_for("bad");
  options.size = 0;
  assert_int_equal(adit_device_open(&options, &device), -EINVAL);
  options = options_for("bad");
  options.queues = 257;
  assert_int_equal(adit_device_open(&options, &device), -EINVAL);
  options = options_for("bad");
  options.link = (enum adit_link)7;
  assert_int_equal(adit_device_open(&options, &device), -EINVAL);
  assert_int_equal(adit_device_open(NULL, &device), -EINVAL);
  assert_int_equal(adit_device_open(&options, NULL), -EINVAL);
  assert_null(device);
}

/* ---- devices that exist ---- */

static void test_busy(void **state) {
  (void)state;
  struct adit_device *device = open_one("busy"), *second = NULL;
  struct adit_device_options options = options_for("busy");
  assert_int_equal(adit_device_open(&options, &second), -EBUSY);
  assert_null(second);
  assert_int_not_equal(if_nametoindex("busy"), 0);
  adit_device_close(device);
}

static void test_existing_of_another_type(void **state) {
  (void)state;
  int single = support_tun_raw("single", IFF_TUN | IFF_NO_PI);
  int several = support_tun_raw("several", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
  static const struct {
    const char *name;
    enum adit_link link;
    unsigned queues;
  } cases[] = {
      {"single", ADIT_LINK_ETHERNET, 1},  {"single", ADIT_LINK_IP, 2}, {"several", ADIT_LINK_IP, 1},
      {"several", ADIT_LINK_ETHERNET, 2}, {"lo", ADIT_LINK_IP, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct adit_device_options options = options_for(cases[i].name);
    options.link = cases[i].link;
    options.queues = cases[i].queues;
    struct adit_device *devices[2] = {NULL, NULL};
    int result = adit_device_open(&options, devices);
    if (result != -EBUSY) fail_msg("case %zu (%s): %d, not %d", i, cases[i].name, result, -EBUSY);
  }
  close(several);
  close(single);
}

/* The kernel lets anybody with permission add a queue to a multi-queue device; half of the packets would be stolen. */
static void test_queues_of_another_program(void **state) {
  (void)state;
  int other = support_tun_raw("shared", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
  struct adit_device_options options = options_for("shared");
  options.queues = 2;
  struct adit_device *devices[2] = {NULL, NULL};
  assert_int_equal(adit_device_open(&options, devices), -EBUSY);
  assert_int_equal(adit_census_queues("shared"), 1);
  close(other);
}

static void test_persistent_device_is_taken_over(void **state) {
  (void)state;
  static const unsigned queues[] = {1, 3};
  for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
    unsigned flags = IFF_TUN | IFF_NO_PI | (queues[i] > 1 ? IFF_MULTI_QUEUE : 0);
    int maker = support_tun_raw("kept", flags);
    assert_int_equal(ioctl(maker, TUNSETPERSIST, 1), 0);
    int length = 20;
    assert_int_equal(ioctl(maker, TUNSETVNETHDRSZ, &length), 0);
    close(maker);
    assert_int_not_equal(if_nametoindex("kept"), 0);

    struct adit_device_options options = options_for("kept");
    options.queues = queues[i];
    struct adit_device *devices[3] = {NULL};
    assert_int_equal(adit_device_open(&options, devices), 0);
    assert_int_equal(ioctl(adit_device_fd(devices[0]), TUNGETVNETHDRSZ, &length), 0);
    assert_int_equal(length, 10);
    for (unsigned queue = 0; queue < queues[i]; queue++) adit_device_close(devices[queue]);
    assert_int_not_equal(if_nametoindex("kept"), 0);

    maker = support_tun_raw("kept", flags);
    assert_int_equal(ioctl(maker, TUNSETPERSIST, 0), 0);
    close(maker);
    assert_int_equal(if_nametoindex("kept"), 0);
  }
}

/* ---- TAP, queues, offloads ---- */

static void test_tap_has_mac(void **state) {
  (void)state;
  struct adit_device_options options = options_for("tap");
  options.link = ADIT_LINK_ETHERNET;
  struct adit_device *device = NULL;
  assert_int_equal(adit_device_open(&options, &device), 0);
  assert_int_equal(adit_device_link(device), ADIT_LINK_ETHERNET);
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "tap"};
  assert_int_equal(ioctl(control, SIOCGIFHWADDR, &request), 0);
  close(control);
  static const uint8_t no_mac[6] = {0};
  assert_memory_not_equal(adit_device_mac(device), no_mac, sizeof no_mac);
  assert_memory_equal(adit_device_mac(device), request.ifr_hwaddr.sa_data, 6);
  adit_device_close(device);
}

static void test_four_queues(void **state) {
  (void)state;
  struct adit_device_options options = options_for("many%d");
  options.queues = 4;
  struct adit_device *devices[4] = {NULL};
  assert_int_equal(adit_device_open(&options, devices), 0);
  assert_int_equal(adit_census_queues("many0"), 4);
  assert_int_equal(support_tun_count(), LOOPBACK_ONLY + 1);
  for (unsigned i = 0; i < 4; i++) {
    assert_string_equal(adit_device_name(devices[i]), "many0");
    assert_int_equal(adit_device_offload(devices[i]), adit_device_offload(devices[0]));
    for (unsigned j = 0; j < i; j++) assert_int_not_equal(adit_device_fd(devices[i]), adit_device_fd(devices[j]));
  }
  for (unsigned i = 0; i < 4; i++) {
    assert_int_not_equal(if_nametoindex("many0"), 0);
    adit_device_close(devices[i]);
  }
  assert_int_equal(if_nametoindex("many0"), 0);
}

static void test_all_queues_there_are(void **state) {
  (void)state;
  struct adit_device_options options = options_for("widest");
  options.queues = 256;
  struct adit_device *devices[256] = {NULL};
  assert_int_equal(adit_device_open(&options, devices), 0);
  assert_int_equal(adit_census_queues("widest"), 256);
  for (unsigned i = 0; i < 256; i++) adit_device_close(devices[i]);
}

static void test_offload_of_this_kernel(void **state) {
  (void)state;
  bool uso = support_kernel_at_least(6, 2);
  bool big_tcp = support_kernel_at_least(6, 6);
  struct notices notices = {0};
  struct adit_device_options options = options_for("offload");
  options.notice = count_notice;
  options.user = &notices;
  struct adit_device *device = NULL;
  assert_int_equal(adit_device_open(&options, &device), 0);
  assert_int_equal(adit_device_offload(device),
                   base_offload | (uso ? ADIT_OFFLOAD_USO : 0) | (big_tcp ? ADIT_OFFLOAD_BIG_TCP : 0));
  assert_int_equal(notices.count, uso ? 0 : 1);
  adit_device_forgo(device, ADIT_OFFLOAD_BIG_TCP | ADIT_OFFLOAD_USO);
  assert_int_equal(adit_device_offload(device), base_offload);
  adit_device_close(device);

  notices.count = 0;
  options.no_offload = true;
  assert_int_equal(adit_device_open(&options, &device), 0);
  assert_int_equal(adit_device_offload(device), 0);
  assert_int_equal(notices.count, 0);
  adit_device_close(device);
}

/* An older kernel: this one refuses TUNSETOFFLOAD with certain bits (seccomp), as the older one would. */
struct older {
  uint32_t unknown; /* bits that are refused */
  bool any;         /* refuse the ioctl altogether */
  int result;
  uint32_t offload;
  struct notices notices;
};

static void refuse_offload(const struct older *older) {
  uint32_t never = older->any ? 0 : (uint32_t)-1;
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])), /* low half on little endian */
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)TUNSETOFFLOAD, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, older->unknown, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, never, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    _exit(99);
}

static int open_on_older(void *shared) {
  struct older *older = shared;
  refuse_offload(older);
  struct adit_device_options options = options_for("older");
  options.notice = count_notice;
  options.user = &older->notices;
  options.queues = 2; /* and the notice comes once all the same */
  struct adit_device *devices[2] = {NULL};
  older->result = adit_device_open(&options, devices);
  if (older->result != 0) return 0;
  older->offload = adit_device_offload(devices[0]);
  adit_device_close(devices[0]);
  adit_device_close(devices[1]);
  return 0;
}

static void test_older_kernels(void **state) {
  (void)state;
  enum { USO_BITS = 0x60 };
  static const struct {
    uint32_t unknown;
    bool any;
    const char *text; /* begins with */
  } cases[] = {
      {USO_BITS, false, "kernel without UDP segmentation offload"},
      {USO_BITS | TUN_F_TSO_ECN, false, "kernel without USO and without ECN"},
      {USO_BITS | TUN_F_TSO_ECN | TUN_F_TSO6, false, "kernel without segmentation offload"},
      {USO_BITS | TUN_F_TSO_ECN | TUN_F_TSO6 | TUN_F_CSUM, false, "kernel without offloads"},
      {0, true, "kernel without offloads"},
  };
  struct older *older = support_tun_shared(sizeof *older);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    *older = (struct older){.unknown = cases[i].unknown, .any = cases[i].any, .result = -1};
    assert_int_equal(support_tun_child(open_on_older, older), 0);
    assert_int_equal(older->result, 0);
    assert_int_equal(older->notices.count, 1);
    assert_int_equal(older->offload, base_offload); /* writes need no consent */
    if (strncmp(older->notices.text, cases[i].text, strlen(cases[i].text)) != 0) {
      fail_msg("case %zu: the notice is \"%s\", not \"%s...\"", i, older->notices.text, cases[i].text);
    }
  }
}

/* ---- machines without ---- */

/* In a child: what /dev/net holds, and what the process may do. */
struct refusal {
  bool node;             /* /dev/net/tun exists ... */
  unsigned major, minor; /* ... with these numbers ... */
  mode_t mode;           /* ... and this mode */
  int drop;              /* capability given up, or -1 */
  int result;
};

static int drop_capability(int capability) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return -1;
  data[capability / 32].effective &= ~(1U << (capability % 32));
  return (int)syscall(SYS_capset, &header, data);
}

static int open_refused(void *shared) {
  struct refusal *refusal = shared;
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return 98;
  if (mount("tmpfs", "/dev/net", "tmpfs", 0, NULL) != 0) return 97;
  if (refusal->node) {
    if (mknod("/dev/net/tun", S_IFCHR, makedev(refusal->major, refusal->minor)) != 0) return 96;
    if (chmod("/dev/net/tun", refusal->mode) != 0) return 95;
  }
  if (refusal->drop >= 0 && drop_capability(refusal->drop) != 0) return 94;
  struct adit_device_options options = options_for("refused");
  struct adit_device *device = NULL;
  refusal->result = adit_device_open(&options, &device);
  adit_device_close(device);
  return 0;
}

static void test_refusals(void **state) {
  (void)state;
  struct stat node;
  assert_int_equal(stat("/dev/net/tun", &node), 0);
  unsigned real_major = major(node.st_rdev), real_minor = minor(node.st_rdev);
  const struct {
    struct refusal refusal;
    int result;
  } cases[] = {
      {{.node = true, .major = real_major, .minor = real_minor, .mode = 0600, .drop = -1}, 0},
      {{.node = false, .drop = -1}, -ENOENT},
      {{.node = true, .major = 10, .minor = 4095, .mode = 0600, .drop = -1}, -ENODEV}, /* no such misc driver */
      {{.node = true, .major = 4000, .minor = 0, .mode = 0600, .drop = -1}, -ENODEV},  /* no such driver at all */
      {{.node = true, .major = real_major, .minor = real_minor, .mode = 0, .drop = CAP_DAC_OVERRIDE}, -EACCES},
      {{.node = true, .major = real_major, .minor = real_minor, .mode = 0666, .drop = CAP_NET_ADMIN}, -EPERM},
  };
  struct refusal *refusal = support_tun_shared(sizeof *refusal);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    *refusal = cases[i].refusal;
    refusal->result = 1;
    assert_int_equal(support_tun_child(open_refused, refusal), 0);
    if (refusal->result != cases[i].result) fail_msg("case %zu: %d, not %d", i, refusal->result, cases[i].result);
  }
}

static int open_without_fds(void *shared) {
  int *result = shared;
  int lowest = dup(0); /* two queues fit below the limit, the third does not */
  struct rlimit limit = {.rlim_cur = (rlim_t)lowest + 2, .rlim_max = (rlim_t)lowest + 2};
  close(lowest);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 99;
  struct adit_device_options options = options_for("fds");
  options.queues = 4;
  struct adit_device *devices[4] = {NULL};
  *result = adit_device_open(&options, devices);
  if (fcntl(lowest, F_GETFD) != -1 || fcntl(lowest + 1, F_GETFD) != -1) return 98;
  return if_nametoindex("fds") != 0 ? 97 : 0;
}

static void test_failure_leaves_nothing_open(void **state) {
  (void)state;
  int *result = support_tun_shared(sizeof *result);
  assert_int_equal(support_tun_child(open_without_fds, result), 0);
  assert_int_equal(*result, -EMFILE);
}

/* ---- what is left behind ---- */

static void test_close_takes_device_and_routes(void **state) {
  (void)state;
  assert_false(support_tun_reaches("10.77.1.1"));
  struct adit_device_options options = options_for("gone");
  options.queues = 2;
  struct adit_device *devices[2] = {NULL};
  assert_int_equal(adit_device_open(&options, devices), 0);
  support_tun_up("gone");
  support_tun_route("gone");
  assert_true(support_tun_reaches("10.77.1.1"));
  assert_true(support_tun_reaches(SUPPORT_PEER4));
  adit_device_close(devices[0]);
  assert_int_not_equal(if_nametoindex("gone"), 0);
  assert_true(support_tun_reaches("10.77.1.1"));
  adit_device_close(devices[1]);
  assert_int_equal(if_nametoindex("gone"), 0);
  assert_false(support_tun_reaches("10.77.1.1"));
  assert_false(support_tun_reaches(SUPPORT_PEER4));
}

static int open_and_die(void *shared) {
  bool *reached = shared;
  struct adit_device_options options = options_for("killed");
  struct adit_device *device = NULL;
  if (adit_device_open(&options, &device) != 0) return 99;
  support_tun_up("killed");
  support_tun_route("killed");
  *reached = support_tun_reaches("10.77.1.1");
  return kill(getpid(), SIGKILL);
}

static void test_kill_takes_device_and_routes(void **state) {
  (void)state;
  bool *reached = support_tun_shared(sizeof *reached);
  assert_int_equal(support_tun_child(open_and_die, reached), 128 + SIGKILL);
  assert_true(*reached);
  assert_int_equal(if_nametoindex("killed"), 0);
  assert_false(support_tun_reaches("10.77.1.1"));
}

static void test_device_down_and_deleted(void **state) {
  (void)state;
  struct adit_pool *pool;
  assert_int_equal(adit_pool_new(0, &pool), 0);
  struct adit_device *device = open_one("fading");
  uint8_t bytes[SUPPORT_PACKET_MAX];
  struct iovec iov = {bytes, support_udp4(bytes, SUPPORT_PEER4, SUPPORT_KERNEL4, 7, 7, "x", 1)};
  struct adit_packet packet = {.iov = &iov, .iovcnt = 1, .length = iov.iov_len};
  struct adit_buffer *buffer = NULL;
  assert_int_equal(adit_device_read(device, pool, &buffer), -EAGAIN);
  assert_int_equal(adit_device_write(device, &packet), -EIO); /* never was up */
  support_tun_up("fading");
  assert_int_equal(adit_device_write(device, &packet), 0);
  support_tun_down("fading");
  assert_int_equal(adit_device_write(device, &packet), -EIO);
  support_tun_delete("fading");
  assert_int_equal(adit_device_write(device, &packet), -EBADFD);
  assert_int_equal(adit_device_read(device, pool, &buffer), -EBADFD);
  assert_null(buffer);
  assert_int_equal(adit_pool_in_use(pool), 0);
  adit_device_close(device);
  adit_pool_free(pool);
}

static void test_close_nothing(void **state) {
  (void)state;
  adit_device_close(NULL);
}

int main(void) {
  int skipped = support_tun_namespace("test_tun");
  if (skipped != 0) return skipped;
#define CASE(name) cmocka_unit_test_teardown(name, nothing_left)
  const struct CMUnitTest tests[] = {
      CASE(test_kernel_chooses_name),
      CASE(test_given_name),
      CASE(test_bad_names),
      CASE(test_bad_options),
      CASE(test_busy),
      CASE(test_existing_of_another_type),
      CASE(test_queues_of_another_program),
      CASE(test_persistent_device_is_taken_over),
      CASE(test_tap_has_mac),
      CASE(test_four_queues),
      CASE(test_all_queues_there_are),
      CASE(test_offload_of_this_kernel),
      CASE(test_older_kernels),
      CASE(test_refusals),
      CASE(test_failure_leaves_nothing_open),
      CASE(test_close_takes_device_and_routes),
      CASE(test_kill_takes_device_and_routes),
      CASE(test_device_down_and_deleted),
      CASE(test_close_nothing),
  };
  return cmocka_run_group_tests_name("tun", tests, NULL, NULL);
}
