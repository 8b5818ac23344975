/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Makes inputs to begin with out of recordings of real clients.
 *
 *     fuzz_seeds RECORDINGS SEEDS
 *
 * In SEEDS there is one folder a target: `packet` has the recordings' packets with and without vnet headers, `dns_message`,
 * `dns_fake` and `dns_line` the DNS messages, `pcap` the recordings that are small.
 */
#include "fuzz.h"
#include "packet/header.h"

#include <adit/device.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

enum { SEED_MOST = 12000, PACKETS_MOST = 48, SMALL = 4096, ETHERNET = 14 };

/* The bits of target_packet.c. */
enum { VNET = 1, SEAL = 2, TIME = 8, ACK = 64, SETTLE = 1, ON_ETHERNET = 32 };

static const char *into;

static void write_seed(const char *target, const char *name, const char *what, const void *data, size_t length) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", into, target);
  if (mkdir(path, 0777) != 0 && errno != EEXIST) goto failed;
  snprintf(path, sizeof path, "%s/%s/%s%s", into, target, name, what);
  FILE *file = fopen(path, "we");
  if (file == NULL || fwrite(data, 1, length, file) != length || fclose(file) != 0) goto failed;
  return;

failed:
  fprintf(stderr, "%s: %s\n", path, strerror(errno));
  exit(1);
}

static void put_dns(const uint8_t *ip, const struct adit_header *header, const char *name, unsigned number) {
  if (header->fragment || header->protocol != IPPROTO_UDP) return;
  if (header->source_port != 53 && header->destination_port != 53) return;
  static uint8_t seed[1 + ADIT_PACKET_MAX];
  char what[32];
  size_t length = header->length - header->payload;
  snprintf(what, sizeof what, "-%u", number);
  seed[0] = 0;
  memcpy(seed + 1, ip + header->payload, length);
  write_seed("dns_message", name, what, seed, length + 1);
  write_seed("dns_fake", name, what, ip + header->payload, length);
  seed[0] = (uint8_t)(length >> 8); /* as over TCP */
  seed[1] = (uint8_t)length;
  memcpy(seed + 2, ip + header->payload, length < 4096 ? length : 4096);
  write_seed("dns_line", name, what, seed, length + 2);
}

/* One seed for the target `packet` out of the beginning of a recording. */
static void put_packets(const char *path, const char *name, bool vnet) {
  static uint8_t seed[SEED_MOST];
  struct adit_device *device;
  struct adit_pool *pool;
  struct adit_buffer *buffer;
  char reason[256];
  if (adit_device_pcap(path, NULL, &device, reason) != 0) {
    fprintf(stderr, "%s: %s\n", path, reason);
    exit(1);
  }
  FUZZ_EQUAL(adit_pool_new(0, &pool), 0);
  bool ethernet = adit_device_link(device) == ADIT_LINK_ETHERNET;
  size_t at = 0;
  seed[at++] = (uint8_t)((vnet ? 31 : 0) | (ethernet ? ON_ETHERNET : 0));
  seed[at++] = 0;
  seed[at++] = 0;
  seed[at++] = SETTLE;
  unsigned packets = 0;
  while (packets < PACKETS_MOST && adit_device_read(device, pool, &buffer) == 1) {
    size_t link = ethernet ? ETHERNET : 0;
    struct adit_header header;
    enum adit_drop why;
    if (ethernet && (buffer->data[0] & 1) == 0) memcpy(buffer->data, (const uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
    if (buffer->length > link && adit_header_parse(buffer->data + link, buffer->length - link, &header, &why) && !vnet)
      put_dns(buffer->data + link, &header, name, packets);
    size_t needs = 4 + (vnet ? 10u : 0) + buffer->length;
    if (at + needs <= sizeof seed) {
      seed[at++] = (uint8_t)(SEAL | TIME | ACK | (vnet ? VNET : 0));
      seed[at++] = (uint8_t)(buffer->length >> 8);
      seed[at++] = (uint8_t)buffer->length;
      seed[at++] = 3;
      if (vnet) memset(seed + at, 0, 10);
      at += vnet ? 10 : 0;
      memcpy(seed + at, buffer->data, buffer->length);
      at += buffer->length;
      packets++;
    }
    adit_buffer_unref(buffer);
  }
  write_seed("packet", name, vnet ? "-vnet" : "", seed, at);
  adit_device_close(device);
  adit_pool_free(pool);
}

static void put_recording(const char *folder, const char *name) {
  static uint8_t content[SMALL + 1];
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  put_packets(path, name, false);
  put_packets(path, name, true);
  FILE *file = fopen(path, "re");
  if (file == NULL) abort();
  size_t length = fread(content, 1, sizeof content, file);
  fclose(file);
  if (length <= SMALL) write_seed("pcap", name, "", content, length);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: fuzz_seeds RECORDINGS SEEDS\n");
    return 2;
  }
  into = argv[2];
  struct dirent **entries;
  int count = scandir(argv[1], &entries, NULL, alphasort);
  if (count < 0 || (mkdir(into, 0777) != 0 && errno != EEXIST)) {
    fprintf(stderr, "%s, %s: %s\n", argv[1], into, strerror(errno));
    return 1;
  }
  unsigned recordings = 0;
  for (int i = 0; i < count; i++) {
    const char *dot = strrchr(entries[i]->d_name, '.');
    if (dot && strcmp(dot, ".pcap") == 0) {
      put_recording(argv[1], entries[i]->d_name);
      recordings++;
    }
    free(entries[i]);
  }
  free(entries);
  printf("%u recordings\n", recordings);
  return recordings > 0 ? 0 : 1;
}
