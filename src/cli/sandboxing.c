/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * From options of the command line to a sandbox.
 *
 * Capabilities, where the process has them:
 *
 *   CAP_NET_ADMIN   --route (rules are added now and removed at the end), a device that is put back, --mark before 5.17
 *   CAP_NET_RAW     --mark, --interface, and pings that go out where the kernel gives ping sockets to nobody; with
 *                   --config whatever is said now, because a reload may say so
 *
 * Files: what a relay looks names up with, the file of --config and that of --dns-cache with their directories. A file
 * that somebody replaces is another one, and only a rule about its directory covers it. But /etc belongs to root, and root
 * may read what it has (shadow(5)): as root only single files of it are within reach, as they are now; as another
 * user, whom the file modes hold back, all of it.
 */
#include "cli/sandboxing.h"

#include "cli/say.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What getaddrinfo and the resolver of the relay read. */
static const char *const names[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
};
enum { NAMES = sizeof names / sizeof names[0], PATHS = NAMES + 8 };

struct list {
  struct adit_sandbox_path path[PATHS];
  size_t count;
  char *owned[5]; /* texts of some of them */
  size_t owned_count;
};

static void reach(struct list *list, const char *path, enum adit_sandbox_access access) {
  list->path[list->count++] = (struct adit_sandbox_path){path, access};
}

/* The directory of a file; NULL without memory. */
static const char *directory_of(struct list *list, const char *file) {
  const char *slash = strrchr(file, '/');
  char *text = slash == NULL ? strdup(".") : strndup(file, slash == file ? 1 : (size_t)(slash - file));
  if (text != NULL) list->owned[list->owned_count++] = text;
  return text;
}

/* Whether all that is beneath may be within reach of root. */
static bool is_system(const char *directory) {
  static const char *const whole[] = {"/", "/etc", "/root", "/var", "/usr", "/home"};
  char *path = realpath(directory, NULL);
  bool found = path == NULL;
  for (size_t i = 0; !found && i < sizeof whole / sizeof whole[0]; i++) found = strcmp(path, whole[i]) == 0;
  free(path);
  return found;
}

static bool stays_root(const struct adit_cli_options *options) {
  return options->user == NULL ? geteuid() == 0 : strcmp(options->user, "root") == 0 || strcmp(options->user, "0") == 0;
}

/* Returns false without memory. */
static bool list_files(const struct adit_cli_options *options, const struct adit_cli_sandboxing *what,
                       struct list *list) {
  bool root = stays_root(options);
  if (what->reads_terminal) reach(list, "/dev/tty", ADIT_SANDBOX_WRITE);
  if (what->socket != NULL) {
    const char *directory = directory_of(list, what->socket);
    if (directory == NULL) return false;
    reach(list, directory, ADIT_SANDBOX_REMOVE);
  }
  if (!what->relays) return true;
  for (size_t i = 0; i < NAMES; i++) reach(list, names[i], ADIT_SANDBOX_READ);
  if (!root) reach(list, "/etc", ADIT_SANDBOX_READ);
  if (options->route.count > 0) reach(list, "/proc/sys/net/ipv4/conf", ADIT_SANDBOX_READ);
  if (options->config != NULL) {
    const char *directory = directory_of(list, options->config);
    if (directory == NULL) return false;
    reach(list, root && is_system(directory) ? options->config : directory, ADIT_SANDBOX_READ);
  }
  if (options->dns_cache != NULL) {
    const char *directory = directory_of(list, options->dns_cache);
    if (directory == NULL) return false;
    reach(list, directory, ADIT_SANDBOX_KEEP);
  }
  return true;
}

static uint64_t list_capabilities(const struct adit_cli_options *options, const struct adit_cli_sandboxing *what) {
  const uint64_t admin = ADIT_SANDBOX_CAPABILITY(CAP_NET_ADMIN), raw = ADIT_SANDBOX_CAPABILITY(CAP_NET_RAW);
  uint64_t set = 0;
  if (what->puts_back || options->route.count > 0) set |= admin;
  if (!what->relays) return set;
  bool direct = options->upstream == NULL || strncasecmp(options->upstream, "direct:", 7) == 0;
  bool pings = direct && (options->icmp == ADIT_CLI_ICMP_DEFAULT || options->icmp == ADIT_CLI_ICMP_RELAY);
  bool marks = options->mark != 0 || options->route.count > 0;
  if (pings || marks || options->interface != NULL || options->config != NULL) set |= raw;
  if (options->mark != 0 && !adit_sandbox_raw_marks()) set |= admin;
  return set;
}

static bool has_password(const struct adit_cli_options *options) {
  return options->upstream != NULL && strchr(options->upstream, '@') != NULL;
}

static void pass_notice(void *user, const char *text) {
  adit_cli_detail(user, "sandbox: %s", text);
}

/* The user decides about files, so what will fail at the end is said at the beginning. */
static void check_cache(const struct adit_cli_options *options, struct list *list) {
  const char *directory = options->dns_cache != NULL ? directory_of(list, options->dns_cache) : NULL;
  if (directory == NULL) return;
  if (stays_root(options) && !options->no_sandbox && is_system(directory)) {
    adit_cli_note(options,
                  "note: --dns-cache %s: all of its directory stays within reach of this process; give the file a "
                  "directory of its own",
                  options->dns_cache);
  }
  if (options->user == NULL || eaccess(directory, W_OK) == 0) return;
  adit_cli_note(options,
                "warning: --dns-cache %s cannot be kept: its directory may not be written by user %s; give it to that "
                "user (chown)",
                options->dns_cache, options->user);
}

enum adit_cli_status adit_cli_sandbox(const struct adit_cli_options *options, const struct adit_cli_sandboxing *what) {
  static char name[32]; /* the message of a trapped call may come at any time */
  char reason[ADIT_SANDBOX_REASON];
  union {
    const struct adit_cli_options *in;
    void *out;
  } user = {.in = options}; /* pass_notice only reads it */
  struct list list = {.count = 0};
  adit_cli_sandbox_secret(options);
  if (options->no_sandbox && options->user == NULL) return ADIT_CLI_DONE;
  snprintf(name, sizeof name, "adit %s", options->command->name);
  struct adit_sandbox_plan plan = {
      .name = name,
      .advice = "; please report this line; --no-sandbox does without",
      .user = options->user,
      .user_only = options->no_sandbox != 0,
      .capabilities = list_capabilities(options, what),
      .calls = what->calls | (what->reads_terminal || what->relays ? (unsigned)ADIT_SANDBOX_FILES : 0U),
      .child = what->child,
      .notice = pass_notice,
      .notice_user = user.out,
  };
  if (what->relays) plan.calls |= ADIT_SANDBOX_THREADS | ADIT_SANDBOX_SOCKETS | ADIT_SANDBOX_NETLINK;
  if (what->socket != NULL) plan.calls |= ADIT_SANDBOX_LISTEN;
  if (what->relays && options->dns_cache != NULL) plan.calls |= ADIT_SANDBOX_STORE;
  enum adit_cli_status status = ADIT_CLI_DONE;
  if (!list_files(options, what, &list)) {
    status = adit_cli_fail(options, "out of memory");
    goto done;
  }
  plan.path = list.path;
  plan.paths = list.count;
  int error = adit_sandbox_enter(&plan, reason);
  if (error != 0) {
    bool user_failed = strncmp(reason, "--user", strlen("--user")) == 0;
    status = adit_cli_fail(options, "%s%s", reason, user_failed ? "" : "; --no-sandbox does without the sandbox");
    goto done;
  }
  adit_cli_sandbox_secret(options); /* the change of the user has set it anew */
  check_cache(options, &list);
done:
  while (list.owned_count > 0) free(list.owned[--list.owned_count]);
  return status;
}

void adit_cli_sandbox_secret(const struct adit_cli_options *options) {
  if (has_password(options)) adit_sandbox_hide_memory();
}

uint64_t adit_cli_sandbox_bars(const struct adit_cli_options *before, const struct adit_cli_options *next) {
  uint64_t set = 0;
  if (before->no_sandbox) return 0;
  /* Its directory has to be within reach, and without a file the calls that it takes are not. */
  if (next->dns_cache != NULL && before->dns_cache == NULL) set |= ADIT_CLI_BIT(ADIT_CLI_DNS_CACHE);
  if (before->dns_cache != NULL && next->dns_cache != NULL && strcmp(before->dns_cache, next->dns_cache) != 0)
    set |= ADIT_CLI_BIT(ADIT_CLI_DNS_CACHE);
  /* Before 5.17 a mark takes a capability that was given up. */
  if (before->mark == 0 && next->mark != 0 && before->route.count == 0 && !adit_sandbox_raw_marks())
    set |= ADIT_CLI_BIT(ADIT_CLI_MARK);
  return set;
}
