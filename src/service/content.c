/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What there is to be fetched over HTTP.
 *
 * Pages are made for each request, since they name the two ends of the very connection that fetches them. Those ends are
 * the only things in them that come from outside, and an address has no characters that HTML minds.
 */
#include "service/content.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                                           \
  "<!DOCTYPE html>\n"                                                                                                  \
  "<html lang=\"en\">\n"                                                                                               \
  "<head>\n"                                                                                                           \
  "<meta charset=\"utf-8\">\n"                                                                                         \
  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"                                         \
  "<title>%s</title>\n"                                                                                                \
  "<style>body { font: 1rem/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }\n"                  \
  "pre { background: #f3f1ec; color: #222; padding: 1rem; overflow-x: auto }</style>\n"                                \
  "</head>\n"                                                                                                          \
  "<body>\n"
#define FOOT "</body>\n</html>\n"

static const char index_page[] = HEAD
    "<h1>A TCP/IP stack in a program answered you</h1>\n"
    "<p>No network card and no server of your system was part of this. You are <b>%s</b>, you asked <b>%s</b>, and\n"
    "that address belongs to no interface: the program <b>adit</b> speaks TCP for it, on its own.</p>\n"
    "\n"
    "<h2>The way of your request</h2>\n"
    "<pre>\n"
    "  your client            connect(), write()\n"
    "      |\n"
    "  kernel: TCP, IP        a packet to %s; the route says: TUN device\n"
    "      |\n"
    "  TUN device             \"sending\" a packet means: a program can read() it\n"
    "      |\n"
    "  adit: IP, TCP          checks it, finds the connection, acknowledges\n"
    "      |\n"
    "  adit: HTTP             makes this page\n"
    "      |\n"
    "  TUN device             what the program write()s, the kernel \"receives\"\n"
    "      |\n"
    "  kernel: IP, TCP        takes it for a packet from a network\n"
    "      |\n"
    "  your client            read(): this page\n"
    "</pre>\n"
    "\n"
    "<h2>What else to try</h2>\n"
    "<pre>\n"
    "%s"
    "</pre>\n"
    "\n"
    "<p><a href=\"/bytes/1M\">/bytes/N</a> can be checked: with r = i mod 65521, byte i is\n"
    "(r xor (r &gt;&gt; 8)) and 255. So this line prints the checksum of <code>/bytes/1M</code> without fetching "
    "it:</p>\n"
    "<pre>\n"
    "python3 -c 'p = bytes((r ^ r &gt;&gt; 8) &amp; 255 for r in range(65521)); n = 1 &lt;&lt; 20\n"
    "import hashlib; print(hashlib.sha256((p * (n // 65521 + 1))[:n]).hexdigest())'\n"
    "</pre>\n" FOOT;

static const char error_page[] = HEAD "<h1>%s</h1>\n"
                                      "<p>%s</p>\n"
                                      "<p>There is <a href=\"/\">a page that explains all this</a>, and "
                                      "<a href=\"/bytes/1M\">/bytes/N</a>.</p>\n" FOOT;

static const char html[] = "text/html; charset=utf-8";

static int set_text(struct adit_content *content, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int set_text(struct adit_content *content, int status, const char *format, ...) {
  char *text;
  va_list arguments;
  va_start(arguments, format);
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (length < 0) return -ENOMEM;
  *content = (struct adit_content){.status = status, .type = html, .length = (uint64_t)length, .text = text};
  return 0;
}

static int set_error(struct adit_content *content, int status, const char *title, const char *why) {
  return set_text(content, status, error_page, title, title, why);
}

/* Commands to try: each has one place for the address. */
static const struct {
  const char *command;
  bool url; /* an IPv6 address stands in brackets */
  const char *what;
} ideas[] = {
    {"ping %s", false, "ICMP echo, answered by adit"},
    {"ping -s 60000 %s", false, "the same in many fragments"},
    {"curl -o /dev/null http://%s/bytes/1G", true, "<a href=\"/bytes/1M\">a file of any size</a>: K, M, G, T"},
    {"nc %s 7", false, "echo: what you type comes back (also nc -u)"},
    {"nc %s 9", false, "discard: takes everything, says nothing"},
    {"nc %s 13", false, "daytime: the date (also nc -u)"},
    {"nc %s 19", false, "chargen: characters without end"},
    {"dig @%s adit.test ANY", false, "DNS: this very address by name"},
    {"nc -v %s 4", false, "nobody there: refused"},
    {"tcpdump -n host %s", false, "watch the packets of all this"},
};

/* Write the ideas as lines in two columns. `text` has room for all. */
static void write_ideas(char *text, size_t room, const char *host, const char *in_url) {
  size_t at = 0;
  for (size_t i = 0; i < sizeof ideas / sizeof ideas[0] && at < room; i++) {
    const char *address = ideas[i].url ? in_url : host;
    const char *place = strstr(ideas[i].command, "%s");
    int before = (int)(place - ideas[i].command);
    char command[2 * ADIT_ADDRESS_TEXT];
    snprintf(command, sizeof command, "%.*s%s%s", before, ideas[i].command, address, place + 2);
    int length = snprintf(text + at, room - at, "%-50s %s\n", command, ideas[i].what);
    at += length > 0 ? (size_t)length : 0;
  }
}

static int set_index(struct adit_content *content, adit_endpoint local, adit_endpoint remote) {
  char client[ADIT_ADDRESS_TEXT];
  char host[ADIT_ADDRESS_TEXT];
  char in_url[ADIT_ADDRESS_TEXT + 2];
  char to_try[2048];
  adit_endpoint_format(remote, client);
  adit_ip_format(local.ip, host);
  snprintf(in_url, sizeof in_url, local.ip.version == 6 ? "[%s]" : "%s", host);
  write_ideas(to_try, sizeof to_try, host, in_url);
  return set_text(content, 200, index_page, "adit: a TCP/IP stack in a program answered you", client, host, host,
                  to_try);
}

int adit_content_size(const char *text, size_t length, uint64_t *size) {
  static const char units[] = "KMGT";
  uint64_t value = 0;
  size_t at = 0;
  for (; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
    unsigned digit = (unsigned)(text[at] - '0');
    if (value > ((uint64_t)INT64_MAX - digit) / 10) return -ERANGE;
    value = value * 10 + digit;
  }
  if (at == 0 || length - at > 1) return -EINVAL;
  if (at < length) {
    const char *unit = strchr(units, text[at] & ~0x20);
    if (!unit || !*unit) return -EINVAL;
    unsigned shift = 10 * (unsigned)(unit - units + 1);
    if (value > (uint64_t)INT64_MAX >> shift) return -ERANGE;
    value <<= shift;
  }
  *size = value;
  return 0;
}

static bool is(const char *path, size_t length, const char *name) {
  return length == strlen(name) && memcmp(path, name, length) == 0;
}

int adit_content_find(const char *path, adit_endpoint local, adit_endpoint remote, struct adit_content *content) {
  static const char bytes[] = "/bytes/";
  size_t length = strcspn(path, "?#");
  if (is(path, length, "/") || is(path, length, "/index.html")) return set_index(content, local, remote);
  if (length < sizeof bytes - 1 || memcmp(path, bytes, sizeof bytes - 1) != 0)
    return set_error(content, 404, "404: there is no such page", "What you asked for does not exist here.");

  uint64_t size;
  switch (adit_content_size(path + sizeof bytes - 1, length - (sizeof bytes - 1), &size)) {
  case 0:
    *content = (struct adit_content){.status = 200, .type = "application/octet-stream", .length = size};
    return 0;
  case -ERANGE:
    return set_error(content, 400, "400: too many bytes", "N is at most 9223372036854775807, which is 2^63 - 1.");
  default:
    return set_error(content, 400, "400: that is no number of bytes",
                     "N is a decimal number, with K, M, G or T behind it if you like: /bytes/1000, /bytes/64K.");
  }
}

void adit_content_release(struct adit_content *content) {
  free(content->text);
  content->text = NULL;
}
