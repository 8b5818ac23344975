# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What bench.py has measured: medians, ratios, tables, goals, JSON, and the comparison with recorded figures.
#
# A ratio is the median of the ratios within each round, for what else the machine does changes from round to round.
import json
import os
import statistics
import sys
from dataclasses import dataclass

import cases as table
import plot

STOLEN = 0.05  # of the CPU time, by the hypervisor: above that the numbers are those of another machine
HALF = 0.5
TRIES = 4  # what else runs on a machine can halve a figure, and does not stay; what adit has become does
PAUSE = 5  # seconds between them


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def key_of(case, key):
    return case.key if key == "value" else key


def ratio(case, by_contestant, who, of, key="value"):
    """Median of the rounds' ratios, None when either is missing."""
    name = key_of(case, key)
    pairs = zip(by_contestant.get(who, []), by_contestant.get(of, []))
    return median(a[name] / b[name] for a, b in pairs if a.get(name) is not None and b.get(name))


def figure(case, by_contestant, who, key="value"):
    return median(answer.get(key_of(case, key)) for answer in by_contestant.get(who, []))


def summary(case, measured):
    """Everything about a case, for the tables and the JSON."""
    found = {}
    for who, answers in measured.items():
        found[who] = {
            "value": figure(case, measured, who),
            "ratio": ratio(case, measured, who, case.base) if case.base and who != case.base else None,
            "cpu_s_per_gb": figure(case, measured, who, "cpu_s_per_gb"),
            "p50_us": figure(case, measured, who, "p50_us"),
            "p99_us": figure(case, measured, who, "p99_us"),
            "errors": [answer["error"] for answer in answers if "error" in answer],
            "answers": answers,
        }
    return {"name": case.name, "what": case.what, "section": case.section, "unit": case.unit, "less_is_better": case.less,
            "mtu": case.mtu, "contestants": found}  # fmt: skip


# ---- recorded figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worse:
    case: str
    who: str
    recorded: float
    found: object  # None = it failed


def goodness(case, measured, who):
    """More is better, and comparable from machine to machine as far as that goes: a ratio, or an amount of memory."""
    value = ratio(case, measured, who, case.base) if case.base else figure(case, measured, who)
    if value is None:
        return None
    return (1 / value if value > 0 else float("inf")) if case.less else value


def recordable(results):
    for case in table.CASES:
        for who in results.get(case.name, {}):
            if who != case.base and who in case.who:
                yield case, who


def regressions(options, results):
    if not options.against:
        return []
    with open(options.against) as file:
        recorded = json.load(file)["figures"]
    worse = []
    for case, who in recordable(results):
        least = recorded.get(case.name, {}).get(who)
        found = goodness(case, results[case.name], who)
        if least is not None and (found is None or found < HALF * least):
            worse.append(Worse(case.name, who, least, found))
    return worse


def failing(options, results):
    """Cases that --against compares and in which one of ours answered with an error."""
    if not options.against:
        return set()
    return {case.name for case, who in recordable(results) if any("error" in answer for answer in results[case.name][who])}


def record(options, results, facts):
    """What stood there before stays where it was worse: on a busy machine a few runs make a fair record, one does not."""
    figures = {}
    if os.path.exists(options.record):
        with open(options.record) as file:
            figures = json.load(file)["figures"]
    for case, who in recordable(results):
        value = goodness(case, results[case.name], who)
        if value is not None:
            before = figures.setdefault(case.name, {}).get(who, value)
            figures[case.name][who] = float("%.4g" % min(value, before))
    with open(options.record, "w") as file:
        json.dump({"what": "ratios to the baseline, inverted where less is better; 1/bytes for memory; written by --record",
                   "kernel": facts["kernel"], "cpus": facts["cpus"], "figures": figures}, file, indent=1)  # fmt: skip
        file.write("\n")


# ---- goals -----------------------------------------------------------------------------------------------------------


def judge(goal, results):
    """(found, "reached", "missed" or "not measured")"""
    case = next(case for case in table.CASES if case.name == goal.case)
    measured = results.get(goal.case, {})
    found = ratio(case, measured, goal.who, goal.of, goal.key) if goal.of else figure(case, measured, goal.who, goal.key)
    if found is None:
        return None, "not measured"
    return found, "reached" if (found >= goal.limit if goal.least else found <= goal.limit) else "missed"


# ---- text ------------------------------------------------------------------------------------------------------------


def show(value):
    if value is None:
        return "-"
    if value >= 100:
        return "%.0f" % value
    return "%.3g" % value


def columns(section):
    """Names of the contestants that any case of the section has, and which columns each gets."""
    names = list(dict.fromkeys(who for one in section for who in one["contestants"]))
    parts = {}
    for name in names:
        found = [one["contestants"][name] for one in section if name in one["contestants"]]
        parts[name] = [("value", "")]
        if any(one["ratio"] is not None for one in found):
            parts[name].append(("ratio", "x"))
        if any(one["cpu_s_per_gb"] is not None for one in found) and section[0]["section"] != "UDP":
            parts[name].append(("cpu_s_per_gb", "s/GB"))
        if section[0]["section"] in ("Connections", "Echo", "1 and 2 queues") and any(one["p99_us"] is not None for one in found):
            parts[name].append(("p99_us", "p99 us"))
    return parts


def print_section(section):
    parts = columns(section)
    head = ["", "unit"]
    rows = []
    for name, keys in parts.items():
        head += [name] + [label for _, label in keys[1:]]
    for one in section:
        row = [one["what"], one["unit"]]
        for name, keys in parts.items():
            found = one["contestants"].get(name)
            row += [show(found[key]) if found else "" for key, _ in keys]
        rows.append(row)
    widths = [max(len(row[i]) for row in rows + [head]) for i in range(len(head))]
    print(section[0]["section"])
    for row in [head] + rows:
        print("  " + "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
    print()


def print_goals(results):
    judged = []
    for goal in table.GOALS:
        found, verdict = judge(goal, results)
        judged.append({"goal": goal.what, "limit": goal.limit, "at": "least" if goal.least else "most", "found": found, "verdict": verdict})
        if goal.case in results and not (found is None and goal.of and goal.of not in results[goal.case]):
            print("%-12s %-58s %8s, at %s %s" % (verdict, goal.what, show(found), "least" if goal.least else "most", show(goal.limit)))
    return judged


def everything(options, results, facts, worse):
    """Print all, write the files. Returns the exit status."""
    summaries = [summary(case, results[case.name]) for case in table.CASES if case.name in results]
    ours = {one for case in table.CASES for one in case.who}
    print("Linux %(kernel)s, %(cpus)s CPUs (%(cpu)s), load average %(load_average).2f before; %(rounds)s rounds of %(seconds)s s" % facts)
    print("x: of the baseline (veth; for costs of the least number of flows); s/GB: CPU seconds of the process alone, a GB of payload\n")
    for name in dict.fromkeys(one["section"] for one in summaries):
        print_section([one for one in summaries if one["section"] == name])
    judged = print_goals(results)
    print("\n%.1f %% of the CPU time was stolen by the hypervisor" % (100 * facts["stolen"]))
    if facts["stolen"] > STOLEN:
        print("WARNING  that is too much: take none of these numbers for what this machine can do")
    bad = 0
    for one in summaries:
        for who, found in one["contestants"].items():
            if found["errors"]:
                bad += who in ours
                print("FAILED   %s, %s, %d times: %s" % (one["name"], who, len(found["errors"]), found["errors"][0]))
    for one in worse:
        bad += 1
        print("WORSE    %s, %s: %s, recorded %s" % (one.case, one.who, show(one.found), show(one.recorded)))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"facts": facts, "cases": summaries, "goals": judged}, file, indent=1)
            file.write("\n")
    if options.record:
        record(options, results, facts)
    if options.plot:
        plot.draw(summaries, facts, options.plot)
    sys.stdout.flush()
    return 1 if bad else 0
