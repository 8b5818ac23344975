/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * adit_load: the client of the benchmarks, and the kernel-socket servers at the far end.
 *
 * The same client, with the same buffers, talks to the servers through whatever is measured, and to them directly; so
 * what differs is what lies between. Every client prints one JSON object on one line, or one line that says what failed
 * and ends with status 1. The server runs until it is killed.
 *
 * -c NAME sets the congestion control of every socket, cubic unless told, as Linux has it by default. A machine may have
 * another default, which every new namespace inherits; BBR for one paces what it sends, and would be measured in place of
 * the stacks. -m MARK sets a firewall mark, by which the namespace's rules send the client's packets into a device.
 */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct command {
  const char *name;
  int least; /* arguments */
  int most;
  void (*run)(char **argv, int argc);
  const char *arguments;
} commands[] = {
    {"send", 2, 3, load_run_send, "ADDRESS SECONDS [STREAMS]"},
    {"receive", 2, 3, load_run_receive, "ADDRESS SECONDS [STREAMS]"},
    {"both", 2, 3, load_run_both, "ADDRESS SECONDS [STREAMS each way]"},
    {"connect", 2, 3, load_run_connect, "ADDRESS SECONDS [CONCURRENCY]"},
    {"hold", 2, 3, load_run_hold, "ADDRESS COUNT [SOURCE ADDRESS]"},
    {"stall-up", 1, 1, load_run_stall_up, "ADDRESS"},
    {"stall-down", 1, 1, load_run_stall_down, "ADDRESS"},
    {"ready", 1, 2, load_run_ready, "ADDRESS [SECONDS]"},
    {"ping", 2, 3, load_run_ping, "ADDRESS SECONDS [INTERVAL in us]"},
    {"udp-up", 3, 4, load_run_udp_up, "ADDRESS SECONDS SIZE [RATE]"},
    {"udp-down", 3, 3, load_run_udp_down, "ADDRESS SECONDS SIZE"},
    {"udp-up-runs", 3, 3, load_run_udp_up_runs, "ADDRESS SECONDS SIZE"},
    {"udp-down-runs", 3, 3, load_run_udp_down_runs, "ADDRESS SECONDS SIZE"},
    {"udp-echo", 3, 3, load_run_udp_echo, "ADDRESS SECONDS SIZE"},
    {"serve", 0, 0, load_run_serve, ""},
};

static void raise_files(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
  memset(load_block, 'x', sizeof load_block);
  raise_files();
  for (; argc > 2 && argv[1][0] == '-'; argc -= 2, argv += 2) {
    if (strcmp(argv[1], "-c") == 0)
      load_congestion = argv[2];
    else if (strcmp(argv[1], "-m") == 0)
      load_mark = (uint32_t)load_number(argv[2], 0, UINT32_MAX, "mark");
    else
      break;
  }
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
    const struct command *command = &commands[i];
    if (strcmp(argv[1], command->name) != 0 || argc - 2 < command->least || argc - 2 > command->most) continue;
    command->run(argv + 2, argc - 2);
    return fflush(stdout) == 0 ? 0 : 1;
  }
  fputs("usage: adit_load [-c CONGESTION CONTROL] [-m MARK] COMMAND ARGUMENTS\n", stderr);
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].arguments);
  return 2;
}
