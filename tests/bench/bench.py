# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The benchmarks: every case against each of its contestants in turn, round after round. run.sh starts this as root, in
# namespaces of its own.
#
# Rounds go over the cases, and in each case over its contestants, beginning with another one each time: what is compared
# was measured within seconds of each other, and the ratio that counts is the median of the rounds' ratios. Worlds are made
# when first needed, for a contestant and an MTU, and stay until the last round; an idle one costs nothing. Memory has a
# world of its own, for a process that has carried nothing else.
import argparse
import collections
import fnmatch
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time

import cases as table
import contestants
import measure
import report
import world
from world import Failed, World, prepare_mounts

HERE = os.path.dirname(os.path.abspath(__file__))


def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description="How fast adit is, beside the kernel and beside others.", allow_abbrev=False)
    add = parser.add_argument
    add("--short", action="store_true", help="few cases, rounds of 0.5 s: a minute or two")
    add("--rounds", type=int, default=3, metavar="N", help="3 or more, by default 3")
    add("--seconds", type=float, metavar="S", help="length of one measurement, by default 1")
    add("--only", default="", metavar="CASE,...", help="only cases that match one of these patterns; --list names them")
    add("--skip", default="", metavar="CASE,...", help="without cases that match one of these")
    add("--peer", action="append", default=[], metavar="NAME[@MTU][=COMMAND]",
        help="one more contestant, any program; see contestants.py for the placeholders in the command. With an MTU it keeps to "
        "that and takes part in the cases with MTU 1500. Known without a command: " + ", ".join(contestants.KNOWN))  # fmt: skip
    add("--json", metavar="FILE", help="write all numbers")
    add("--plot", metavar="FILE", help="write a plot to FILE.svg and FILE.png (gnuplot)")
    add("--record", metavar="FILE", help="write the figures for --against, or where FILE has worse ones leave those")
    add("--against", metavar="FILE", help="fail when a figure is worse than half of the recorded one in each of several tries")
    add("--build", default=os.path.join(HERE, "../../build/release"), metavar="FOLDER", help="where the programs are; by default build/release")
    add("--adit", metavar="PROGRAM", help="by default the one of that folder")
    add("--list", action="store_true", help="name the cases")
    add("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        options.peers = [contestants.peer(text) for text in options.peer]
    except ValueError as error:
        parser.error(str(error))
    if options.rounds < 3:
        parser.error("--rounds %d: medians want 3 or more" % options.rounds)
    if options.seconds is None:
        options.seconds = 0.5 if options.short else 1
    if not 0.05 <= options.seconds <= 600:
        parser.error("--seconds %s: from 0.05 to 600" % options.seconds)
    if len({peer.name for peer in contestants.OURS + options.peers}) != len(contestants.OURS + options.peers):
        parser.error("two contestants have the same name")
    only = [word for word in options.only.split(",") if word]
    skip = [word for word in options.skip.split(",") if word]
    options.cases = [
        case
        for case in table.CASES
        if (any(fnmatch.fnmatchcase(case.name, word) for word in only) if only else case.short or not options.short)
        and not any(fnmatch.fnmatchcase(case.name, word) for word in skip)
    ]
    for word in only:
        if not any(fnmatch.fnmatchcase(case.name, word) for case in table.CASES):
            parser.error("--only %s: there is no such case" % word)
    build = os.path.abspath(options.build)
    options.programs = {
        "adit": os.path.abspath(options.adit or os.path.join(build, "adit")),
        "load": os.path.join(build, "tests/bench/adit_load"),
        "plain": os.path.join(build, "tests/bench/adit_plain"),
        "socks": os.path.join(build, "tests/bench/adit_socks"),
        "cost": os.path.join(build, "tests/bench/adit_cost"),
    }
    if options.list:
        for case in table.CASES:
            print("%-24s %s, %s: %s" % (case.name, case.section, case.unit, case.what))
        sys.exit(0)
    for program in options.programs.values():
        if not os.access(program, os.X_OK):
            sys.exit("run.sh: %s is not there: cmake --preset release && cmake --build --preset release" % program)
    return options


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.worlds = {}
        self.by_name = {one.name: one for one in contestants.OURS + options.peers}
        self.results = collections.defaultdict(lambda: collections.defaultdict(list))  # [case][contestant] = answers

    def world(self, contestant, mtu):
        """Made when first asked for; Failed again and again if it could not be."""
        key = contestant.name, mtu
        if key not in self.worlds:
            try:
                self.worlds[key] = World(contestant, mtu, self.options.programs, self.work).__enter__()
            except Failed as error:
                if not contestant.command:
                    raise  # without the baseline nothing is worth measuring
                self.worlds[key] = error
                print("%s at MTU %d: %s" % (contestant.name, mtu, error), file=sys.stderr)
        if isinstance(self.worlds[key], Failed):
            raise self.worlds[key]
        return self.worlds[key]

    def who(self, case):
        """Names, in order; peers with an MTU of their own only in cases of 1500. --short is without the most flows."""
        names = []
        if case.run[0] == "cost" and self.options.short:
            return case.who[:-1]
        for name in case.who:
            if name == table.PEERS:
                names += [peer.name for peer in self.options.peers if not peer.mtu or case.mtu == 1500]
            else:
                names.append(name)
        return names

    def need_baseline(self, cases):
        for mtu in sorted({case.mtu for case in cases if "veth" in case.who}):
            self.world(self.by_name["veth"], mtu)

    def one(self, case, name):
        """An answer, {"error": why}, or {"absent": why} where it does not apply."""
        try:
            if case.run[0] == "cost":
                return measure.cost(case, int(name), self.options.programs, self.work)
            contestant = self.by_name[name]
            if case.section == "Memory":
                with World(contestant, case.mtu, self.options.programs, self.work) as place:
                    return measure.one(place, case, self.options.seconds)
            place = self.world(contestant, case.mtu)
            if case.family in place.mute:
                return {"absent": "no IPv%d" % case.family}
            return measure.one(place, case, self.options.seconds)
        except Failed as error:
            if error not in self.worlds.values():
                print("%s, %s: %s" % (case.name, name, error), file=sys.stderr)
            return {"error": str(error)}

    def round(self, case, number):
        names = self.who(case)
        for i in range(len(names)):
            name = names[(i + number) % len(names)]
            if sys.stderr.isatty():
                print("\r\033[Kround %d: %s, %s" % (number + 1, case.name, name), end="", file=sys.stderr, flush=True)
            self.results[case.name][name].append(self.one(case, name))

    def run(self, cases):
        for number in range(self.options.rounds):
            for case in cases:
                if number == 0 or not case.once:
                    self.round(case, number)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)

    def again(self, names):
        """Forget what was measured of these cases and measure them anew."""
        for name in names:
            del self.results[name]
        self.run([case for case in self.options.cases if case.name in names])

    def stop(self):
        for place in self.worlds.values():
            if not isinstance(place, Failed):
                place.stop()


def cpu_time():
    """(ticks that the hypervisor gave to others, all ticks)"""
    with open("/proc/stat") as file:
        ticks = list(map(int, file.readline().split()[1:9]))
    return ticks[7], sum(ticks)


def facts(options):
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    return {
        "kernel": platform.release(), "cpus": os.cpu_count(), "cpu": model, "load_average": os.getloadavg()[0],
        "rounds": options.rounds, "seconds": options.seconds, "congestion": world.CONGESTION,
        "peers": {peer.name: peer.command for peer in options.peers},
    }  # fmt: skip


def main():
    options = parse()
    if options.check:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # process 1 of a namespace ignores it otherwise
    prepare_mounts()
    work = tempfile.mkdtemp(prefix="adit-bench.")
    told = facts(options)
    before = cpu_time()
    bench = Bench(options, work)
    try:
        bench.need_baseline(options.cases)
        bench.run(options.cases)
        worse = report.regressions(options, bench.results)
        for _ in range(report.TRIES - 1):
            doubtful = {one.case for one in worse} | report.failing(options, bench.results)
            if not doubtful:
                break
            print("measured again, far worse than recorded or failed: %s" % ", ".join(sorted(doubtful)), flush=True)
            time.sleep(report.PAUSE)
            bench.again(doubtful)
            worse = report.regressions(options, bench.results)
    except Failed as error:
        print("run.sh: %s" % error, file=sys.stderr)
        return 1
    finally:
        bench.stop()
        shutil.rmtree(work, ignore_errors=True)
    after = cpu_time()
    told["stolen"] = (after[0] - before[0]) / max(after[1] - before[1], 1)
    return report.everything(options, bench.results, told, worse)


if __name__ == "__main__":
    sys.exit(main())
