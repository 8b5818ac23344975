/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Which process has a TUN or TAP device open.
 *
 * The kernel prints "iff:" and the name of the device in fdinfo of every fd of /dev/net/tun (tun_chr_show_fdinfo). Names
 * repeat in other network namespaces, so a process must also be in the caller's. Used to explain an error, never to decide.
 */
#include "host/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the fdinfo at `path`, relative to `folder`, tells of the device. */
static bool names_device(int folder, const char *path, const char *device) {
  char text[512], line[64];
  int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return false;
  text[got] = '\0';
  snprintf(line, sizeof line, "\niff:\t%s\n", device);
  return strstr(text, line) != NULL;
}

static bool has_open(int process, const char *device) {
  int fd = openat(process, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  DIR *folder = fdopendir(fd);
  if (folder == NULL) {
    close(fd);
    return false;
  }
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
    found = isdigit((unsigned char)entry->d_name[0]) && names_device(fd, entry->d_name, device);
  }
  closedir(folder);
  return found;
}

static void read_command(int process, struct adit_holder *holder) {
  snprintf(holder->command, sizeof holder->command, "?");
  int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t got = read(fd, holder->command, sizeof holder->command - 1);
  if (got > 0) {
    holder->command[got] = '\0';
    holder->command[strcspn(holder->command, "\n")] = '\0';
  }
  close(fd);
}

static bool same_namespace(int process, const struct stat *own) {
  struct stat other;
  return fstatat(process, "ns/net", &other, 0) == 0 && other.st_dev == own->st_dev && other.st_ino == own->st_ino;
}

bool adit_holder_find(const char *device, struct adit_holder *holder) {
  struct stat own;
  if (stat("/proc/self/ns/net", &own) != 0) return false;
  DIR *processes = opendir("/proc");
  if (processes == NULL) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(processes)) != NULL;) {
    long pid = strtol(entry->d_name, NULL, 10);
    if (pid <= 0 || pid == (long)getpid()) continue;
    int process = openat(dirfd(processes), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0) continue;
    found = same_namespace(process, &own) && has_open(process, device);
    if (found) {
      holder->pid = pid;
      read_command(process, holder);
    }
    close(process);
  }
  closedir(processes);
  return found;
}
