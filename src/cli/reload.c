/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * SIGHUP: the file of --config once more, for a relay that runs.
 *
 * A file counts as a whole or not at all. So an option that cannot change while adit runs (device, routes, workers, what
 * the stacks were made with) is not passed over in silence when it has changed: the reload is refused and names it.
 */
#include "cli/reload.h"

#include "cli/sandboxing.h"
#include "cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BIT(id) ADIT_CLI_BIT(ADIT_CLI_##id)

/* --dns-cache counts when there is no table of names yet. The flags of verbosity share a field, see options.c. */
static const uint64_t changeable = BIT(UPSTREAM) | BIT(INTERFACE) | BIT(MARK) | BIT(DNS) | BIT(UDP) | BIT(ICMP) |
                                   BIT(CONNECT_TIMEOUT) | BIT(IDLE_TIMEOUT) | BIT(HALF_CLOSED_TIMEOUT) |
                                   BIT(UDP_TIMEOUT) | BIT(MAX_FLOWS) | BIT(MAX_UDP) | BIT(VERBOSE) | BIT(QUIET);

static const char refused_text[] = "nothing has changed; what is wrong stands in the messages of the adit that runs";

/* Names of the options in a set, as text. */
static const char *list(uint64_t set, char *text, size_t size) {
  text[0] = '\0';
  for (unsigned id = 0; id < ADIT_CLI_OPTION_IDS; id++) {
    size_t used = strlen(text);
    if (set & ADIT_CLI_BIT(id))
      snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", adit_cli_option_table[id].name);
  }
  return text;
}

static bool other_cache(const struct adit_cli_relaying *relaying, const struct adit_cli_options *next) {
  if (relaying->relay.fake_names == NULL || next->dns_cache == NULL) return false;
  return relaying->dns_cache == NULL || strcmp(relaying->dns_cache, next->dns_cache) != 0;
}

static bool captures_all(const struct adit_cli_options *options) {
  unsigned versions = 0;
  for (size_t i = 0; i < options->route.count; i++)
    if (options->route.item[i].prefix == 0) versions |= 1U << options->route.item[i].ip.version;
  return versions == (1U << 4 | 1U << 6);
}

/* Routes to made-up addresses are set at the start (capture.c): without them nobody would reach a name. */
static bool begins_to_fake(const struct adit_cli_reload *reload, const struct adit_cli_options *next) {
  const struct adit_cli_options *options = reload->options;
  return next->dns.mode == ADIT_CLI_DNS_FAKE && reload->relaying->relay.fake_names == NULL &&
         options->route.count > 0 && !captures_all(options);
}

/* Of what differs, that which cannot change now. */
static uint64_t unchangeable(const struct adit_cli_reload *reload, const struct adit_cli_options *next,
                             uint64_t differ) {
  uint64_t set = differ & ~changeable & ~BIT(DNS_CACHE);
  if (other_cache(reload->relaying, next)) set |= BIT(DNS_CACHE);
  if (reload->options->route.count > 0) set |= differ & BIT(MARK); /* the rules know the old one */
  if (begins_to_fake(reload, next)) set |= BIT(DNS);
  return set | (adit_cli_sandbox_bars(reload->options, next) & differ);
}

static void say_what_changed(const struct adit_cli_options *next, uint64_t differ, const struct adit_upstream *old,
                             const struct adit_upstream *upstream) {
  char names[ADIT_CLI_MESSAGE / 2], url[ADIT_URL_HOST + 32], address[ADIT_ADDRESS_TEXT], now[sizeof url + 64] = "";
  bool other_address = upstream->address.ip.version != 0 && !adit_ip_equal(old->address.ip, upstream->address.ip);
  if (differ == 0 && !other_address) {
    adit_cli_note(next, "reloaded %s: nothing has changed", next->config);
    return;
  }
  if ((differ & BIT(UPSTREAM)) || other_address) {
    adit_upstream_format(upstream, url);
    if (upstream->address.ip.version != 0)
      snprintf(now, sizeof now, "; the upstream is %s at %s", url, adit_endpoint_format(upstream->address, address));
    else
      snprintf(now, sizeof now, "; the upstream is %s", url);
  }
  adit_cli_note(next, "reloaded %s: changed: %s%s; connections that are open go on as they are", next->config,
                differ ? list(differ, names, sizeof names) : "the address of the upstream", now);
}

/* Have the relay do it. Returns whether it does; what is wrong was said. */
static bool apply(struct adit_cli_reload *reload, const struct adit_cli_options *next, uint64_t differ) {
  struct adit_cli_relaying relaying;
  struct adit_cli_relaying *now = reload->relaying;
  bool done = false;
  if (adit_cli_relaying_again(next, now, &relaying) != ADIT_CLI_DONE) goto clear;
  if (adit_cli_relaying_names(next, &relaying, reload->excepts, reload->except_count) != ADIT_CLI_DONE) {
    now->dns_cache = relaying.dns_cache;
    goto clear;
  }
  now->dns_cache = relaying.dns_cache; /* a table that was made stays, whatever comes of this reload */
  now->relay.fake_names = relaying.relay.fake_names;
  int error = adit_relay_reload(reload->runtime, &relaying.relay);
  if (error == 0) error = adit_runtime_set_log_level(reload->runtime, adit_cli_log_level(next));
  if (error != 0) {
    adit_cli_fail(next, "the relay cannot change: %s", strerror(-error));
    goto clear;
  }
  if (next->config != NULL) say_what_changed(next, differ, &now->relay.upstream, &relaying.relay.upstream);
  adit_upstream_clear(&now->relay.upstream);
  *now = relaying;
  done = true;
clear:
  adit_upstream_clear(&relaying.relay.upstream); /* of a success it is a second copy */
  return done;
}

/* Without a file: only the upstream's name may mean something else by now. */
static const char *look_up_again(struct adit_cli_reload *reload) {
  const struct adit_cli_options *options = reload->options;
  const struct adit_upstream *upstream = &reload->relaying->relay.upstream;
  char address[ADIT_ADDRESS_TEXT];
  adit_ip before = upstream->address.ip, written;
  if (upstream->host[0] == '\0' || adit_ip_parse(upstream->host, &written) == 0) {
    adit_cli_note(options, "SIGHUP: there is nothing to reload: no --config was given, and the upstream has no name; "
                           "SIGTERM ends adit");
    return "there is nothing to reload: no --config was given, and the upstream has no name";
  }
  if (!apply(reload, options, 0)) {
    adit_cli_fail(options, "SIGHUP: nothing has changed");
    return refused_text;
  }
  adit_cli_note(options, "SIGHUP: no --config was given; the upstream %s was looked up again and %s %s", upstream->host,
                adit_ip_equal(before, upstream->address.ip) ? "is still" : "is now",
                adit_ip_format(upstream->address.ip, address));
  return NULL;
}

/* Only as root, see sandboxing.c. */
static const char beyond_reach[] =
    " (a file that was replaced in a directory of the system is beyond the sandbox's reach: "
    "write into it, or keep it in a directory of its own)";

const char *adit_cli_reload(struct adit_cli_reload *reload) {
  char names[ADIT_CLI_MESSAGE / 2];
  struct adit_cli_error error;
  if (reload->options->config == NULL) return look_up_again(reload);
  struct adit_cli_options *next = malloc(sizeof *next);
  if (next == NULL) {
    adit_cli_fail(reload->options, "SIGHUP: out of memory; nothing has changed");
    return "out of memory";
  }
  int result = adit_cli_options_again(reload->options, next, &error);
  adit_cli_sandbox_secret(next);
  if (result != 0) {
    adit_cli_fail(reload->options, "SIGHUP: %s%s; nothing has changed", error.text,
                  result == -EACCES && !reload->options->no_sandbox ? beyond_reach : "");
    goto discard;
  }
  uint64_t differ = adit_cli_options_differ(reload->options, next);
  uint64_t refused = unchangeable(reload, next, differ);
  if (refused != 0) {
    adit_cli_fail(next,
                  "SIGHUP: %s: cannot change while adit runs: %s; nothing has changed; take that back, or end "
                  "adit and start it anew",
                  next->config, list(refused, names, sizeof names));
    goto discard;
  }
  if (!apply(reload, next, differ)) {
    adit_cli_fail(next, "SIGHUP: nothing of %s was taken; all goes on as before", next->config);
    goto discard;
  }
  adit_cli_reload_free(reload);
  reload->options = reload->own = next;
  return NULL;

discard:
  adit_cli_options_free(next);
  free(next);
  return refused_text;
}

void adit_cli_reload_free(struct adit_cli_reload *reload) {
  if (reload->own == NULL) return;
  adit_cli_options_free(reload->own);
  free(reload->own);
  reload->own = NULL;
}
