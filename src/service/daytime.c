/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Daytime (RFC 867), port 13: date and time as a line of text.
 *
 * The form is the first one that the RFC suggests, "Weekday, Month Day, Year Time-Zone". Names of days and months are
 * here and not taken from strftime, whose words depend on the locale of whoever embeds the library.
 */
#include "service/service.h"

#include <stdio.h>
#include <time.h>

static const char *const days[7] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[12] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};

enum { LINE = 96 };

static size_t write_line(struct adit_services *services, char *line) {
  time_t seconds = (time_t)services->options.wall_clock(services->options.user);
  struct tm tm;
  if (!gmtime_r(&seconds, &tm)) return 0;
  int length = snprintf(line, LINE, "%s, %s %d, %d %02d:%02d:%02d-UTC\r\n", days[tm.tm_wday], months[tm.tm_mon],
                        tm.tm_mday, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
  return length > 0 && length < LINE ? (size_t)length : 0;
}

static void tell(void *user, struct adit_flow *flow) {
  char line[LINE];
  size_t length = write_line(user, line);
  adit_flow_write(flow, line, length); /* the first bytes of a flow: there is room */
  adit_flow_shutdown(flow);            /* and not close: a client that says something first would be reset */
}

static const struct adit_flow_events events = {
    .established = tell, .readable = adit_service_ignore, .peer_closed = adit_service_close};

static void tell_datagram(struct adit_services *services, const struct adit_datagram *datagram) {
  char line[LINE];
  struct iovec piece = {.iov_base = line, .iov_len = write_line(services, line)};
  adit_service_reply(services, datagram, &piece, 1);
}

const struct adit_service adit_service_daytime = {
    .port = 13, .name = "daytime", .flow = &events, .datagram = tell_datagram, .answers = true};
