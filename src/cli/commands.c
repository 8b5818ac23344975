/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The table of commands.
 */
#include "cli/commands.h"

#define BIT(id) ADIT_CLI_BIT(ADIT_CLI_##id)

const struct adit_cli_command adit_cli_commands[] = {
    {
        .name = "serve",
        .purpose = "answer ping, TCP and UDP on the device from a stack in user space",
        .details =
            "Makes a TUN or TAP device behind which a TCP/IP stack in this process answers: echo (ICMP, TCP and\n"
            "UDP port 7), discard (9), daytime (13), chargen (19), HTTP (80) and DNS (53).\n"
            "The device vanishes when the command ends.",
        .examples = "  adit serve &\n"
                    "  ping 192.168.3.12\n"
                    "  curl http://192.168.3.12/",
        .options = ADIT_CLI_COMMON_OPTIONS | ADIT_CLI_DEVICE_OPTIONS | BIT(ANSWER) | BIT(QUEUES) | BIT(IDLE_TIMEOUT) |
                   BIT(MEMORY) | BIT(CONTROL) | BIT(NO_BIG_TCP) | BIT(IO_URING),
        .mtu_min = 576,
        .run = adit_cli_serve,
    },
    {
        .name = "proxy",
        .purpose = "relay connections and datagrams through an upstream: SOCKS5, HTTP CONNECT or directly",
        .details = "Makes a TUN device and relays what is routed into it: a connection is answered only when the "
                   "upstream has\n"
                   "answered, and ends as the other side ends. Routes are yours to set, or --route's.\n"
                   "The device vanishes when the command ends.",
        .examples = "  adit proxy --upstream socks5://127.0.0.1:1080 &\n"
                    "  ip route add 203.0.113.0/24 dev adit0\n"
                    "  adit proxy --upstream http://proxy.example:8080 --route default",
        .options = ADIT_CLI_COMMON_OPTIONS | (ADIT_CLI_DEVICE_OPTIONS & ~(BIT(TAP) | BIT(BRIDGE))) | BIT(ANSWER) |
                   BIT(QUEUES) | ADIT_CLI_RELAY_OPTIONS | BIT(ROUTE) | BIT(BYPASS) | BIT(FAIL_CLOSED) | BIT(CONTROL) |
                   BIT(NO_BIG_TCP) | BIT(IO_URING),
        .mtu_min = 576,
        .run = adit_cli_proxy,
    },
    {
        .name = "run",
        .purpose = "run a command whose only way out is the relay; needs no root",
        .details =
            "Runs the command in namespaces of its own, in which there is one network device, that of adit. What\n"
            "the command sends leaves through the upstream. Its exit status is passed on. All is gone when it\n"
            "ends.",
        .examples = "  adit run --upstream socks5://127.0.0.1:1080 -- curl https://example.org/\n"
                    "  adit run -- bash",
        .options = ADIT_CLI_COMMON_OPTIONS | ADIT_CLI_RELAY_OPTIONS | BIT(DEV) | BIT(ADDRESS) | BIT(MTU) | BIT(QUEUES) |
                   BIT(NO_OFFLOAD) | BIT(NO_BIG_TCP) | BIT(IO_URING) | BIT(FAULT) | BIT(CONTROL) | BIT(NO_SANDBOX),
        .mtu_min = 576,
        .operand = "COMMAND [ARG]...",
        .operand_hint = "give the command to run, for example: adit run -- curl https://example.org/",
        .operand_rest = true,
        .run = adit_cli_run,
    },
    {
        .name = "dump",
        .purpose = "print every packet that the kernel sends into the device",
        .details = "Makes a TUN or TAP device and prints what is read from it on standard output. Nothing answers.\n"
                   "Ends with SIGINT (Ctrl-C) or SIGTERM.",
        .examples = "  adit dump &\n"
                    "  ping -c 4 192.168.3.12",
        .options = ADIT_CLI_COMMON_OPTIONS | ADIT_CLI_DEVICE_OPTIONS | BIT(OFFLOAD) | BIT(HEX) | BIT(FORMAT) |
                   BIT(COUNT),
        .mtu_min = 68,
        .run = adit_cli_dump,
    },
    {
        .name = "reflect",
        .purpose = "write every packet back into the device, unchanged or turned round",
        .details =
            "Makes a TUN or TAP device and writes back what is read from it. With --swap source and destination\n"
            "change places first, so that the kernel gets its own ping and answers it.",
        .examples = "  adit reflect --swap &\n"
                    "  ping 192.168.3.12",
        .options = ADIT_CLI_COMMON_OPTIONS | ADIT_CLI_DEVICE_OPTIONS | BIT(SWAP),
        .mtu_min = 68,
        .run = adit_cli_reflect,
    },
    {
        .name = "replay",
        .purpose = "put the packets of a capture through the stack, under a virtual clock",
        .details =
            "Reads the client's packets of a capture and gives them to the stack that 'adit serve' runs. Needs no\n"
            "device and no root. Two runs give the same answers, byte for byte.",
        .examples = "  adit replay ping.pcap -o answers.pcap",
        .options = ADIT_CLI_COMMON_OPTIONS | BIT(ANSWER) | BIT(MTU) | BIT(OUT) | BIT(SEED) | BIT(NO_SANDBOX),
        .mtu_min = 576,
        .operand = "IN.pcap",
        .operand_hint = "give the capture to replay, for example: adit replay ping.pcap -o answers.pcap",
        .run = adit_cli_replay,
    },
    {
        .name = "stat",
        .purpose = "ask an adit that runs for its counters",
        .details = "Asks a running 'adit serve', 'proxy' or 'run' through its control socket and prints what it has\n"
                   "seen. Without options it finds the one that runs; of several it lists the names.",
        .examples = "  adit stat\n"
                    "  adit stat --dev adit0 --watch 1",
        .options = ADIT_CLI_COMMON_OPTIONS | BIT(DEV) | BIT(CONTROL) | BIT(JSON) | BIT(WATCH),
        .run = adit_cli_stat,
    },
    {
        .name = "top",
        .purpose = "watch the connections of an adit that runs",
        .details =
            "Shows rates and connections of a running 'adit serve', 'proxy' or 'run', the busiest first, until q\n"
            "is pressed. Without options it finds the one that runs; of several it lists the names.",
        .examples = "  adit top\n"
                    "  adit top --dev adit0",
        .options = ADIT_CLI_COMMON_OPTIONS | BIT(DEV) | BIT(CONTROL),
        .run = adit_cli_top,
    },
    {
        .name = "cleanup",
        .purpose = "remove what an 'adit proxy' that was killed left behind",
        .details = "Removes the policy rules and routing tables of earlier runs whose device is gone, and control\n"
                   "sockets on which nobody listens any more, and says which.\n"
                   "What belongs to an adit that runs stays.",
        .options = ADIT_CLI_COMMON_OPTIONS,
        .run = adit_cli_cleanup,
    },
    {.name = NULL},
};
