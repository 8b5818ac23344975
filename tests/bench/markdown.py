#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# markdown.py NUMBERS.json: the tables of docs/PERFORMANCE.md from what run.sh --json wrote, on standard output.
import json
import sys


def show(value):
    if value is None:
        return "-"
    if value >= 1000:
        return "{:,.0f}".format(value)
    return "%.0f" % value if value >= 100 else "%.3g" % value


def beside(found, key):
    """`value`, and `key` after a slash or, for a ratio, in parentheses."""
    text = show(found["value"])
    if key is None or found.get(key) is None:
        return text
    return "%s (%.2g)" % (text, found[key]) if key == "ratio" else "%s / %s" % (text, show(found[key]))


def heading(name):
    return name.replace("@", " ")


def print_table(title, cases, key=None, strip=""):
    """A row for each case, a column for each contestant that any of them has; `strip` is left out of what a case is called."""
    if not cases:
        return
    names = list(dict.fromkeys(who for case in cases for who in case["contestants"]))
    names = [name for name in names if any(case["contestants"].get(name, {}).get("value") is not None for case in cases)]
    print("### %s\n" % title)
    print("| | %s |" % " | ".join(map(heading, names)))
    print("|---|%s" % ("---:|" * len(names)))
    for case in cases:
        cells = [beside(case["contestants"][name], key) if name in case["contestants"] else "" for name in names]
        print("| %s | %s |" % (case["what"].replace(strip, ""), " | ".join(cells)))
    print()


def print_goals(goals):
    print("### Goals\n")
    print("| | found | wanted | |")
    print("|---|---:|---:|---|")
    for goal in goals:
        if goal["found"] is not None:
            print("| %s | %s | at %s %s | %s |" % (goal["goal"], show(goal["found"]), goal["at"], show(goal["limit"]), goal["verdict"]))


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: markdown.py NUMBERS.json")
    with open(sys.argv[1]) as file:
        numbers = json.load(file)

    def of(section, mtu=None):
        return [case for case in numbers["cases"] if case["section"] == section and (mtu is None or (case["mtu"] == 1500) == mtu)]

    print_table("TCP, MTU 1500: Gbit/s / CPU seconds a GB", of("TCP", True), "cpu_s_per_gb", "MTU 1500, ")
    print_table("TCP, other MTUs: Gbit/s (of veth)", of("TCP", False), "ratio")
    print_table("One and two queues: Gbit/s, 1/s (of veth)", of("1 and 2 queues"), "ratio")
    print_table("UDP: datagrams delivered a second", of("UDP"))
    print_table("Connections: p50 in us, 1/s / p99 in us", of("Connections"), "p99_us")
    print_table("Echo, us: p50 / p99 idle, p99 beside TCP", of("Echo"), "p99_us")
    print_table("Memory", of("Memory"))
    print_table("Cost in the core, by open flows", of("Cost in the core"))
    print_goals(numbers["goals"])


if __name__ == "__main__":
    main()
