#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# report.py PLAN RESULTS BEFORE AFTER [JSON]: what run.sh has measured, as a table; exit status 1 when something is badly wrong.
#
# PLAN: one line of facts as JSON, the cases, an empty line, the goals. RESULTS: one JSON object a line and measurement.
# BEFORE and AFTER: [ticks that the hypervisor gave to others, all ticks], around the measuring.
# A ratio is the median of the ratios of each round, for what else the machine does changes from round to round.
import json
import statistics
import sys

BASELINES = ("veth", "plain")
STOLEN = 0.05  # of the CPU time, by the hypervisor: above that the numbers are those of another machine
FAR_OFF = 2  # a goal missed by this factor is a failure


def read_plan(path):
    with open(path) as file:
        facts = json.loads(file.readline())
        cases, goals = file.read().strip("\n").split("\n\n")
    cases = [dict(zip(("name", "what", "unit", "key", "peers", "command"), row.split("|"))) for row in cases.split("\n")]
    goals = [dict(zip(("case", "peer", "goal"), row.split("|"))) for row in goals.split("\n")]
    return facts, cases, goals


def read_results(path):
    """{case: {peer: [measurement of round 1, ...]}}"""
    found = {}
    with open(path) as file:
        for line in file:
            one = json.loads(line)
            found.setdefault(one["case"], {}).setdefault(one["peer"], []).append(one)
    return found


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def value_of(one, key):
    return one["load"][key] if one["load"] else None


def ratio_of(rounds, other, key):
    pairs = [(value_of(a, key), value_of(b, key)) for a, b in zip(rounds, other)]
    return median(a / b for a, b in pairs if a is not None and b)


def grown(one, index):
    return one["after"][index] - one["before"][index]


def cost_of(one, ticks):
    """CPU seconds of the peer's process, a GB of payload or 1000 of whatever the client counted."""
    load = one["load"]
    if not load:
        return None
    amount = load.get("bytes", 0) / 1e9 or (load.get("connections") or load.get("answered") or load.get("echoed", 0)) / 1e3
    return grown(one, 0) / ticks / amount if amount else None


def packet_of(one):
    """Bytes a packet, in the direction with more bytes."""
    if not one["load"]:
        return None
    _, packets, size = max((grown(one, i + 1), grown(one, i), grown(one, i + 1)) for i in (1, 3))
    return size / packets if packets else None


def rate_of(one):
    """Packets a second, both directions."""
    if not one["load"] or "seconds" not in one["load"]:
        return None
    return (grown(one, 1) + grown(one, 3)) / one["load"]["seconds"]


def retransmitted(rounds):
    return sum(one["load"].get("retransmitted", 0) for one in rounds if one["load"])


def lost(rounds):
    """Connections that failed and echoes that did not come back. What is missing here is missing from the rates, too."""
    loads = [one["load"] for one in rounds if one["load"]]
    return sum(load.get("failed", 0) + load.get("lost", 0) + load.get("sent", 0) - load.get("echoed", 0) for load in loads)


def summary(case, measured, facts):
    """Everything about a case: medians by peer."""
    key = case["key"]
    peers = {}
    for peer, rounds in measured.items():
        peers[peer] = {
            "value": median(value_of(one, key) for one in rounds),
            "rounds": [value_of(one, key) for one in rounds],
            "failed": sum(one["load"] is None for one in rounds),
            "cpu_s_per_GB_or_1000": median(cost_of(one, facts["ticks"]) for one in rounds) if peer != "veth" else None,
            "bytes_per_packet": median(packet_of(one) for one in rounds),
            "packets_per_s": median(rate_of(one) for one in rounds),
            "retransmitted_by_client": retransmitted(rounds),
            "lost": lost(rounds),
            "ratio": {other: ratio_of(rounds, measured[other], key) for other in BASELINES if other in measured and other != peer},
            "loads": [one["load"] for one in rounds],
        }
    return {"name": case["name"], "what": case["what"], "unit": case["unit"], "peers": peers}


def judge(goal, one):
    """(what is wanted and found, how many times better than wanted; None when it was not measured)"""
    found = one["peers"][goal["peer"]]
    words = goal["goal"].split()
    if words[0] == "at-most":
        text, limit, value = "%s in at most %s %s" % (one["what"], words[1], one["unit"]), float(words[1]), found["value"]
        return text, value, limit / value if value else None
    limit, value = float(words[2]), found["ratio"].get(words[1])
    return "%s: at least %s x %s" % (one["what"], words[2], words[1]), value, value / limit if value is not None else None


def show(value, digits=3):
    if value is None:
        return "-"
    if value >= 10 ** (digits - 1):
        return "%.0f" % value
    return "%.*g" % (digits, value)


def print_table(summaries):
    names = [peer for one in summaries for peer in one["peers"]]
    names = list(dict.fromkeys(names))
    head = ["", "unit"] + names + ["adit/" + other for other in BASELINES] + ["CPU s", "B/packet", "packets/s", "retrans", "lost"]
    rows = [head]
    for one in summaries:
        adit = one["peers"].get("adit", {"ratio": {}})
        rows.append(
            [one["what"], one["unit"]]
            + [show(one["peers"][name]["value"]) if name in one["peers"] else "" for name in names]
            + [show(adit["ratio"][other]) if other in adit["ratio"] else "" for other in BASELINES]
            + [show(adit.get(key)) for key in ("cpu_s_per_GB_or_1000", "bytes_per_packet", "packets_per_s", "retransmitted_by_client", "lost")]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def main():
    facts, cases, goals = read_plan(sys.argv[1])
    before, after = json.loads(sys.argv[3]), json.loads(sys.argv[4])
    facts["stolen"] = (after[0] - before[0]) / max(after[1] - before[1], 1)
    results = read_results(sys.argv[2])
    summaries = [summary(case, results[case["name"]], facts) for case in cases if case["name"] in results]
    print("Linux %(kernel)s, %(cpus)s CPUs, load average %(load_average)s before; %(rounds)s rounds of %(seconds)s s, %(congestion)s" % facts)
    print("CPU: of the adit process alone, a GB of payload, or 1000 connections or packets; retrans: by the client to adit; lost: connections and echoes of adit\n")
    print_table(summaries)
    print()
    print("%.1f %% of the CPU time was stolen by the hypervisor" % (100 * facts["stolen"]))
    if facts["stolen"] > STOLEN:
        print("WARNING  that is too much: take none of these numbers for what this machine can do")

    bad = 0
    judged = []
    by_name = {one["name"]: one for one in summaries}
    for goal in goals:
        if goal["case"] not in by_name:
            continue
        text, value, margin = judge(goal, by_name[goal["case"]])
        verdict = "failed" if margin is None else "reached" if margin >= 1 else "missed" if margin >= 1 / FAR_OFF else "FAR OFF"
        bad += verdict in ("failed", "FAR OFF")
        judged.append({"goal": text, "found": value, "verdict": verdict})
        print("%-8s %s: %s" % (verdict, text, show(value)))
    for one in summaries:
        for peer, found in one["peers"].items():
            if found["failed"]:
                bad += 1
                print("FAILED   %s against %s in %d rounds" % (one["what"], peer, found["failed"]))
    if len(sys.argv) > 5 and sys.argv[5]:
        with open(sys.argv[5], "w") as file:
            json.dump({"facts": facts, "cases": summaries, "goals": judged}, file, indent=1)
            file.write("\n")
    sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
