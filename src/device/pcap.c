/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A capture as a device.
 *
 * Reads: pcap and pcapng through libpcap. The link type of a capture says how many bytes stand in front of each packet
 * and where they name its protocol; all of them but Ethernet's are taken off. A record that is no whole IP packet (cut
 * by the snap length, another protocol, nothing behind the header) is dropped alone. When libpcap cannot go on, there
 * is no next record to find: -ENODATA once, then the end.
 *
 * Writes: pcap with nanosecond stamps; each record is handed to the kernel at once, so that a full disk is an error of
 * the write that hit it. libpcap takes a record in one piece, so packets are copied together first.
 *
 * Both files are opened here and not by libpcap, which reads standard input when a file is called "-" and does not tell
 * a missing file from one that is no capture.
 */
#include "device/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { REASON_BYTES = 256 };

static void explain(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void explain(char *reason, const char *format, ...) {
  if (reason == NULL) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, REASON_BYTES, format, arguments);
  va_end(arguments);
}

#ifndef ADIT_HAVE_PCAP

int adit_device_pcap(const char *in, const char *out, struct adit_device **device, char *reason) {
  (void)in;
  (void)out;
  (void)device;
  explain(reason, "built without libpcap: captures cannot be read or written");
  return -ENOSYS;
}

uint64_t adit_device_pcap_stamp(const struct adit_device *device) {
  (void)device;
  return 0;
}

void adit_device_pcap_time(struct adit_device *device, uint64_t stamp_ns) {
  (void)device;
  (void)stamp_ns;
}

#else

#include <assert.h>
#include <net/ethernet.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/finish.h"

enum {
  NS_PER_S = 1000000000,
  SNAP_BYTES = 262144 /* what a header says that does not cut anything */
};
static_assert(ADIT_PACKET_MAX < SNAP_BYTES, "no record is cut");

struct pcap_device {
  struct adit_device base;
  pcap_t *in;                      /* owned, NULL = nothing to read (any more) */
  pcap_t *out_kind;                /* owned, says what `out` is; NULL = writes are forgotten */
  pcap_dumper_t *out;              /* owned */
  const struct medium *medium;     /* of `in` */
  uint64_t stamp_ns;               /* of the last read */
  uint64_t time_ns;                /* of the next write */
  uint8_t record[ADIT_PACKET_MAX]; /* a packet to be written, in one piece */
};

/* How a link type tells that a record is an IP packet. */
enum naming {
  BY_NOTHING,   /* every record is a packet of the link */
  BY_ETHERTYPE, /* two bytes at `name_at` */
  BY_FAMILY     /* four bytes: the address family in the byte order, and of the system, that made the capture */
};

static const struct medium {
  int type;        /* DLT_* */
  uint8_t header;  /* bytes in front of the packet */
  uint8_t name_at; /* offset of the protocol in them */
  enum naming naming;
  enum adit_link link;
} media[] = {
    {DLT_EN10MB, 0, 0, BY_NOTHING, ADIT_LINK_ETHERNET},  {DLT_RAW, 0, 0, BY_NOTHING, ADIT_LINK_IP},
    {DLT_IPV4, 0, 0, BY_NOTHING, ADIT_LINK_IP},          {DLT_IPV6, 0, 0, BY_NOTHING, ADIT_LINK_IP},
    {DLT_LINUX_SLL, 16, 14, BY_ETHERTYPE, ADIT_LINK_IP}, {DLT_LINUX_SLL2, 20, 0, BY_ETHERTYPE, ADIT_LINK_IP},
    {DLT_NULL, 4, 0, BY_FAMILY, ADIT_LINK_IP},           {DLT_LOOP, 4, 0, BY_FAMILY, ADIT_LINK_IP},
};

/* AF_INET is 2 everywhere. AF_INET6 is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on Darwin. */
static bool is_ip_family(const uint8_t *at) {
  bool little = at[1] == 0 && at[2] == 0 && at[3] == 0;
  bool big = at[0] == 0 && at[1] == 0 && at[2] == 0;
  if (!little && !big) return false;
  switch (little ? at[0] : at[3]) {
  case 2:
  case 10:
  case 24:
  case 28:
  case 30:
    return true;
  default:
    return false;
  }
}

static bool is_packet(const struct medium *medium, const uint8_t *record) {
  const uint8_t *name = record + medium->name_at;
  switch (medium->naming) {
  case BY_NOTHING:
    return true;
  case BY_ETHERTYPE: {
    unsigned type = (unsigned)name[0] << 8 | name[1];
    return type == ETHERTYPE_IP || type == ETHERTYPE_IPV6;
  }
  case BY_FAMILY:
    return is_ip_family(name);
  }
  return false;
}

static int pcap_device_read(struct adit_device *device, struct adit_buffer *buffer) {
  struct pcap_device *self = (struct pcap_device *)device;
  if (self->in == NULL) return 0;
  struct pcap_pkthdr *header;
  const uint8_t *record;
  int result = pcap_next_ex(self->in, &header, &record);
  if (result != 1) {
    pcap_close(self->in);
    self->in = NULL;
    return result == PCAP_ERROR_BREAK ? 0 : -ENODATA;
  }
  self->stamp_ns = (uint64_t)header->ts.tv_sec * NS_PER_S + (uint64_t)header->ts.tv_usec; /* which holds nanoseconds */
  size_t skip = self->medium->header;
  if (header->caplen < header->len || header->caplen <= skip || header->caplen - skip > buffer->capacity ||
      !is_packet(self->medium, record)) {
    return -EBADMSG;
  }
  memcpy(buffer->data, record + skip, header->caplen - skip);
  buffer->length = (uint32_t)(header->caplen - skip);
  return 1;
}

static int pcap_device_write(struct adit_device *device, const struct adit_packet *packet) {
  struct pcap_device *self = (struct pcap_device *)device;
  if (packet->length > sizeof self->record) return -EMSGSIZE;
  if (self->out == NULL) return 0;
  uint8_t checksum[2];
  struct iovec pieces[ADIT_FINISH_PIECES];
  unsigned count = adit_finish_pieces(packet, checksum, pieces);
  size_t length = 0;
  for (unsigned i = 0; i < count; i++) {
    if (pieces[i].iov_len == 0) continue;
    memcpy(self->record + length, pieces[i].iov_base, pieces[i].iov_len);
    length += pieces[i].iov_len;
  }
  struct pcap_pkthdr header = {
      .ts = {.tv_sec = (time_t)(self->time_ns / NS_PER_S), .tv_usec = (suseconds_t)(self->time_ns % NS_PER_S)},
      .caplen = (bpf_u_int32)length,
      .len = (bpf_u_int32)length,
  };
  errno = 0;
  pcap_dump((u_char *)self->out, &header, self->record);
  if (ferror(pcap_dump_file(self->out)) == 0 && pcap_dump_flush(self->out) == 0) return 0;
  int error = errno != 0 ? errno : EIO;
  clearerr(pcap_dump_file(self->out)); /* the next write tells for itself */
  return -error;
}

static void pcap_device_close(struct adit_device *device) {
  struct pcap_device *self = (struct pcap_device *)device;
  if (self->out != NULL) pcap_dump_close(self->out);
  if (self->out_kind != NULL) pcap_close(self->out_kind);
  if (self->in != NULL) pcap_close(self->in);
  free(self);
}

static const struct adit_device_ops ops = {
    .read = pcap_device_read, .write = pcap_device_write, .close = pcap_device_close};

static const struct medium *medium_of(int type) {
  for (size_t i = 0; i < sizeof media / sizeof media[0]; i++) {
    if (media[i].type == type) return &media[i];
  }
  return NULL;
}

/* Open the capture to be read. The caller closes the device after a failure. */
static int open_in(struct pcap_device *self, const char *path, char *reason) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    int error = errno;
    explain(reason, "%s: cannot be read: %s; give a file that exists and that you may read", path, strerror(error));
    return -error;
  }
  char error[PCAP_ERRBUF_SIZE] = "";
  pcap_t *in = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
  if (in == NULL) { /* the file is still ours then */
    fclose(file);
    explain(reason, "%s is not a capture: %s; give a file that tcpdump -w or the like has written", path, error);
    return -EINVAL;
  }
  self->in = in;
  int type = pcap_datalink(in);
  self->medium = medium_of(type);
  if (self->medium == NULL) {
    const char *name = pcap_datalink_val_to_name(type);
    explain(reason, "%s has link type %s (%d); raw IP, Ethernet, Linux cooked and BSD loopback can be read", path,
            name != NULL ? name : "unknown", type);
    return -EPROTONOSUPPORT;
  }
  self->base.link = self->medium->link;
  return 0;
}

/* Whether `path` names the file that is being read: to make it anew would empty it. */
static bool is_in(const struct pcap_device *self, const char *path) {
  struct stat in, out;
  return self->in != NULL && fstat(fileno(pcap_file(self->in)), &in) == 0 && stat(path, &out) == 0 &&
         in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

/* Open the capture to be written, of the link that is known by now. The caller closes the device after a failure. */
static int open_out(struct pcap_device *self, const char *path, char *reason) {
  if (is_in(self, path)) {
    explain(reason, "%s is both read and written", path);
    return -EINVAL;
  }
  int result;
  FILE *file = fopen(path, "wbe");
  if (file == NULL) {
    result = -errno;
    explain(reason, "%s: %s", path, strerror(-result));
    return result;
  }
  int type = self->base.link == ADIT_LINK_ETHERNET ? DLT_EN10MB : DLT_RAW;
  self->out_kind = pcap_open_dead_with_tstamp_precision(type, SNAP_BYTES, PCAP_TSTAMP_PRECISION_NANO);
  if (self->out_kind == NULL) {
    explain(reason, "%s: %s", path, strerror(ENOMEM));
    fclose(file);
    return -ENOMEM;
  }
  self->out = pcap_dump_fopen(self->out_kind, file);
  /* The file is closed with `out`, or was already after a failure. */
  errno = 0;
  if (self->out == NULL || pcap_dump_flush(self->out) != 0) {
    result = errno != 0 ? -errno : -EIO;
    explain(reason, "%s: %s", path, strerror(-result));
    return result;
  }
  return 0;
}

int adit_device_pcap(const char *in, const char *out, struct adit_device **device, char *reason) {
  struct pcap_device *self = calloc(1, sizeof *self);
  if (self == NULL) {
    explain(reason, "%s", strerror(ENOMEM));
    return -ENOMEM;
  }
  self->base = (struct adit_device){.ops = &ops, .link = ADIT_LINK_IP, .fd = -1, .name = "pcap"};
  int result = in != NULL ? open_in(self, in, reason) : 0;
  if (result == 0 && out != NULL) result = open_out(self, out, reason);
  if (result != 0) {
    pcap_device_close(&self->base);
    return result;
  }
  *device = &self->base;
  return 0;
}

uint64_t adit_device_pcap_stamp(const struct adit_device *device) {
  return device->ops == &ops ? ((const struct pcap_device *)device)->stamp_ns : 0;
}

void adit_device_pcap_time(struct adit_device *device, uint64_t stamp_ns) {
  if (device->ops == &ops) ((struct pcap_device *)device)->time_ns = stamp_ns;
}

#endif
