/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The nameservers that the system names: resolv.conf(5), of which nothing else is read. "search" and "ndots" are of no
 * use here, since clients have made their names whole before they ask, and patience is the resolver's own affair.
 */
#include "relay/nameservers.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DNS_PORT = 53 };

unsigned adit_nameservers_parse(const char *text, adit_endpoint server[ADIT_NAMESERVERS_MOST]) {
  unsigned count = 0;
  for (const char *line = text; line && *line && count < ADIT_NAMESERVERS_MOST;) {
    char word[ADIT_ADDRESS_TEXT];
    adit_ip ip;
    /* A zone ("fe80::1%eth0") is not understood: such a server is passed over. */
    if (sscanf(line, "nameserver%*[ \t]%55[^ \t\n#;]", word) == 1 && adit_ip_parse(word, &ip) == 0)
      server[count++] = (adit_endpoint){ip, DNS_PORT};
    line = strchr(line, '\n');
    if (line) line++;
  }
  return count;
}

static unsigned read_servers(const char *path, adit_endpoint server[ADIT_NAMESERVERS_MOST]) {
  char text[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  return adit_nameservers_parse(text, server);
}

void adit_nameservers_find(struct adit_nameservers *nameservers) {
  static const uint8_t stub[4] = {127, 0, 0, 53};
  static const uint8_t here[4] = {127, 0, 0, 1};
  nameservers->servers = read_servers("/etc/resolv.conf", nameservers->server);
  if (nameservers->servers == 1 && adit_ip_equal(nameservers->server[0].ip, adit_ip_from_bytes(4, stub))) {
    adit_endpoint behind[ADIT_NAMESERVERS_MOST];
    unsigned servers = read_servers("/run/systemd/resolve/resolv.conf", behind);
    if (servers > 0) {
      memcpy(nameservers->server, behind, sizeof behind);
      nameservers->servers = servers;
    }
  }
  if (nameservers->servers == 0) { /* what resolv.conf(5) says then */
    nameservers->server[0] = (adit_endpoint){adit_ip_from_bytes(4, here), DNS_PORT};
    nameservers->servers = 1;
  }
}
