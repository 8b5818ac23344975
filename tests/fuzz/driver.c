/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * A target without libFuzzer: every file that is named, and every file in a folder that is named, is one input.
 *
 *     fuzz_packet FILE|FOLDER...
 *
 * Each input is named before it is tried, on one line with what came of it, so that the last name is that of a crash.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static unsigned tried;

static void try_file(const char *path) {
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
  }
  struct stat about;
  if (fstat(fileno(file), &about) != 0) abort();
  size_t size = (size_t)about.st_size;
  uint8_t *data = malloc(size > 0 ? size : 1); /* exactly so long: a read beyond the end is seen */
  if (data == NULL || fread(data, 1, size, file) != size) abort();
  fclose(file);
  printf("%s ...", path);
  fflush(stdout);
  LLVMFuzzerTestOneInput(data, size);
  printf(" ok\n");
  free(data);
  tried++;
}

static void try_folder(const char *path) {
  struct dirent **entries;
  int count = scandir(path, &entries, NULL, alphasort);
  if (count < 0) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
  }
  for (int i = 0; i < count; i++) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') try_file(name);
    free(entries[i]);
  }
  free(entries);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    struct stat about;
    if (stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode))
      try_folder(argv[i]);
    else
      try_file(argv[i]);
  }
  printf("%u inputs\n", tried);
  return tried > 0 ? 0 : 1; /* a check of nothing is none */
}
