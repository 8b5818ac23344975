# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What is measured, and what is to be reached.
#
# A case has one figure for each contestant, `value`; what else the client says stands in the JSON. Names are parts with
# hyphens between them, and --only takes shell patterns of them (tcp-v4-1500-*).
from dataclasses import dataclass

MTUS = (1500, 9000, 65520)
FLOWS = (10, 1000, 50000)  # open ones, for the cost of a packet
RELAYED, STACKED = 8000, 100000  # idle ones, for the memory of a flow
PEERS = "*"


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    section: str
    unit: str
    key: str  # member of the client's answer
    who: tuple  # names of contestants; PEERS for those of --peer
    run: tuple  # the client's command, or what measure.py does; TARGET and SECONDS are replaced
    family: int = 4
    mtu: int = 1500
    less: bool = False  # less is better
    once: bool = False  # the same in every round, or has rounds of its own, and is slow
    short: bool = False  # part of --short
    base: str = "veth"  # what ratios are of


def bare(mtu):
    """What a relay costs without a device; the client's side has no MTU, so once is enough."""
    return ("plain", "splice") if mtu == 1500 else ()


def tcp_cases():
    commands = {"up": "send", "down": "receive", "both": "both"}
    for family in (4, 6):
        for mtu in MTUS:
            for streams in (1, 8):
                for way, command in commands.items():
                    yield Case(
                        "tcp-v%d-%d-%s-%d" % (family, mtu, way, streams),
                        "IPv%d, MTU %d, %d stream%s %s" % (family, mtu, streams, "s" * (streams > 1), way),
                        "TCP", "Gbit/s", "gbit_per_s", ("veth", *bare(mtu), "serve", "direct", "socks", PEERS),
                        (command, "TARGET", "SECONDS", streams), family, mtu,
                        short=streams == 1 and mtu == 1500 and family == 4 and way != "both",
                    )  # fmt: skip


def queue_cases():
    who = ("veth", "serve", "serve2", "direct", "direct2")
    for way, command in (("up", "send"), ("down", "receive"), ("both", "both")):
        yield Case("queues-%s-8" % way, "8 streams %s" % way, "1 and 2 queues", "Gbit/s", "gbit_per_s", who,
                   (command, "TARGET", "SECONDS", 8))  # fmt: skip
    yield Case("queues-connect-64", "connections, 64 at once", "1 and 2 queues", "1/s", "per_s", who, ("connect", "TARGET", "SECONDS", 64))


def udp_cases():
    for size in (64, 1400):
        for way in ("up", "down"):
            yield Case("udp-%d-%s" % (size, way), "%d bytes %s, delivered" % (size, way), "UDP", "1/s", "per_s",
                       ("veth", "direct", "socks", PEERS), ("udp-" + way, "TARGET", "SECONDS", size), short=size == 1400)  # fmt: skip
            yield Case("udp-%d-%s-runs" % (size, way), "%d bytes %s in runs of 32, delivered" % (size, way), "UDP", "1/s", "per_s",
                       ("veth", "direct", "socks", PEERS), ("udp-%s-runs" % way, "TARGET", "SECONDS", size))  # fmt: skip
        yield Case("udp-%d-echo" % size, "%d bytes there and back" % size, "UDP", "1/s", "per_s",
                   ("veth", "serve", "direct", "socks", PEERS), ("udp-echo", "TARGET", "SECONDS", size))  # fmt: skip


def connect_cases():
    who = ("veth", "plain", "serve", "direct", "socks", PEERS)
    yield Case("connect-1", "connect, 64 bytes there and back, close: p50", "Connections", "us", "p50_us", who,
               ("connect", "TARGET", "SECONDS", 1), less=True, short=True)  # fmt: skip
    for many in (64, 512):
        yield Case("connect-%d" % many, "%d at once" % many, "Connections", "1/s", "per_s", who,
                   ("connect", "TARGET", "SECONDS", many), short=many == 64)  # fmt: skip


def echo_cases():
    who = ("veth", "serve", "direct", PEERS)
    yield Case("echo-idle", "echo request, idle: p50", "Echo", "us", "p50_us", who, ("ping", "TARGET", "SECONDS", 1000), less=True, short=True)
    yield Case("echo-load", "echo request beside TCP both ways: p99", "Echo", "us", "p99_us", who, ("ping-load",), less=True)


def memory_cases():
    yield Case("memory-relayed", "%d relayed flows, idle" % RELAYED, "Memory", "bytes a flow", "bytes_per_flow",
               ("direct", "socks", PEERS), ("hold", RELAYED), less=True, once=True, short=True, base="")  # fmt: skip
    yield Case("memory-stack", "%d flows in the stack, idle" % STACKED, "Memory", "bytes a flow", "bytes_per_flow",
               ("serve",), ("hold", STACKED), less=True, once=True, base="")  # fmt: skip
    for way, who in (("up", "far end"), ("down", "client")):
        yield Case("memory-stall-" + way, "one flow %s, the %s never reads" % (way, who), "Memory", "KiB", "grown_kib",
                   ("direct", "socks", PEERS), ("stall-" + way,), less=True, once=True, base="")  # fmt: skip


def cost_cases():
    whats = (("data", "a packet", FLOWS), ("burst", "a packet of a burst", FLOWS[1:]),
             ("open", "open and close", FLOWS), ("tick", "an idle second", FLOWS))  # fmt: skip
    for what, words, flows in whats:
        for unit, key in (("instructions", "instructions"), ("ns", "each_ns")):
            yield Case("cost-%s-%s" % (what, unit), "%s, %s, at so many open flows" % (words, unit), "Cost in the core", unit, key,
                       tuple(map(str, flows)), ("cost", what, key), less=True, once=unit == "instructions",
                       short=unit == "instructions" and what in ("data", "open"), base=str(flows[0]))  # fmt: skip


CASES = [*tcp_cases(), *queue_cases(), *udp_cases(), *connect_cases(), *echo_cases(), *memory_cases(), *cost_cases()]


@dataclass(frozen=True)
class Goal:
    what: str
    case: str
    who: str
    limit: float
    of: str = ""  # a ratio to this contestant; "" = the figure itself
    key: str = "value"  # or cpu_s_per_gb, or a member of the client's answer
    least: bool = True  # at least, or at most


def goals():
    for way, limit in (("up", 0.75), ("down", 0.9)):
        yield Goal("direct, 1 stream %s, of veth" % way, "tcp-v4-1500-%s-1" % way, "direct", limit, "veth")
        yield Goal("direct, 1 stream %s, of a plain relay" % way, "tcp-v4-1500-%s-1" % way, "direct", 1, "plain")
    for streams in (1, 8):
        for way in ("up", "down"):
            case = "tcp-v4-1500-%s-%d" % (way, streams)
            yield Goal("SOCKS5 against hev at 1500, %d %s" % (streams, way), case, "socks", 4, "hev@1500")
            yield Goal("SOCKS5 against hev at 8500, %d %s" % (streams, way), case, "socks", 2, "hev@8500")
            yield Goal("CPU a GB against hev at 1500, %d %s" % (streams, way), case, "socks", 1 / 6, "hev@1500", "cpu_s_per_gb", False)
    for way in ("up", "down"):
        yield Goal("direct at 1500 against pasta at 65520, %s" % way, "tcp-v4-1500-%s-1" % way, "direct", 1, "pasta@65520")
    yield Goal("connections, direct, 64 at once, of veth", "connect-64", "direct", 0.5, "veth")
    yield Goal("the same, p99 in us", "connect-64", "direct", 20000, key="p99_us", least=False)
    yield Goal("connections, direct, 64 at once, of a plain relay", "connect-64", "direct", 1, "plain")
    yield Goal("connect, 64 bytes, close, direct, of veth", "connect-1", "direct", 3, "veth", least=False)
    for way in ("up", "down"):
        yield Goal("UDP 1400 delivered, direct, %s, of veth" % way, "udp-1400-" + way, "direct", 0.7, "veth")
        yield Goal("UDP 64, SOCKS5 against hev, %s" % way, "udp-64-" + way, "socks", 4, "hev@1500")
        yield Goal("UDP 64 in runs, SOCKS5 against hev, %s" % way, "udp-64-%s-runs" % way, "socks", 4, "hev@1500")
    yield Goal("bytes a relayed flow", "memory-relayed", "direct", 3072, least=False)
    yield Goal("bytes a flow in the stack", "memory-stack", "serve", 1024, least=False)
    for way in ("up", "down"):
        yield Goal("one flow %s that nobody reads, KiB" % way, "memory-stall-" + way, "direct", 1024 + 256, least=False)
    for what, words, few in (("data", "a packet", "10"), ("burst", "a packet of a burst", "1000"), ("open", "open and close", "10")):
        for unit, word in (("instructions", "instructions"), ("ns", "time")):
            yield Goal("%s at 50000 flows, %s, of %s" % (words, word, few), "cost-%s-%s" % (what, unit), "50000", 1.3, few, least=False)
    for who in ("serve", "direct"):
        yield Goal("echo under load, %s, p99 in us" % who, "echo-load", who, 2000, least=False)


GOALS = list(goals())
