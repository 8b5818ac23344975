# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The figures as bars (gnuplot): one part for each section with a common unit, SVG and PNG.
import os
import subprocess
import sys
import tempfile

PARTS = (  # title, what the names of its cases begin with, logarithmic
    ("TCP at MTU 1500, IPv4, Gbit/s", ("tcp-v4-1500-",), False),
    ("TCP at MTU 65520, IPv4, Gbit/s", ("tcp-v4-65520-",), False),
    ("UDP delivered, 1/s", ("udp-",), True),
    ("Connections, 1/s", ("connect-64", "connect-512"), False),
)
FEW = 6  # whose names fit side by side


def rows_of(summaries, beginnings):
    return [one for one in summaries if one["name"].startswith(beginnings)]


def names_of(rows):
    return list(dict.fromkeys(who for one in rows for who in one["contestants"]))


def part(title, rows, logarithmic, everybody, work, number):
    """gnuplot's commands for one part; its data goes into a file. A contestant has the same colour in each."""
    names = [name for name in everybody if name in names_of(rows)]
    path = os.path.join(work, "part%d" % number)
    with open(path, "w") as file:
        for one in rows:
            label = one["name"].split("-", 1 if one["section"] in ("UDP", "Connections") else 3)[-1]
            values = [one["contestants"].get(name, {}).get("value") for name in names]
            file.write('"%s" %s\n' % (label, " ".join("NaN" if value is None else "%.6g" % value for value in values)))
    bars = ", ".join(
        '"%s" using %d:xtic(1) linecolor %d title "%s" noenhanced' % (path, i + 2, everybody.index(name) + 1, name)
        for i, name in enumerate(names)
    )
    return "set title '%s'\n%s\nset xtics %s\nset yrange [%s:*]\nplot %s\n" % (
        title, "set logscale y" if logarithmic else "unset logscale y", "rotate by -15" if len(rows) > FEW else "norotate",
        "100" if logarithmic else "0", bars)  # fmt: skip


def draw(summaries, facts, path):
    parts = [(title, rows_of(summaries, beginnings), log) for title, beginnings, log in PARTS]
    parts = [one for one in parts if one[1]]
    if not parts:
        print("nothing that was measured is in the plot", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as work:
        everybody = names_of([one for _, rows, _ in parts for one in rows])
        body = "".join(part(title, rows, log, everybody, work, i) for i, (title, rows, log) in enumerate(parts))
        for terminal, end in (("svg size 1200,%d dynamic background 'white'", "svg"), ("pngcairo size 1200,%d", "png")):
            script = (
                "set terminal %s\nset output '%s.%s'\nset style data histogram\nset style histogram clustered gap 1\n"
                "set style fill solid 0.8 noborder\nset linetype 9 linecolor 'grey50'\nset linetype 10 linecolor 'sienna4'\nset grid ytics\nset key outside right top\n"
                "set multiplot layout %d,1 title 'Linux %s, %s CPUs, medians of %s rounds'\n%sunset multiplot\n"
                % (terminal % (320 * len(parts) + 40), path, end, len(parts), facts["kernel"], facts["cpus"], facts["rounds"], body)
            )
            try:
                done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True)
            except FileNotFoundError:
                print("gnuplot is not installed: no plot", file=sys.stderr)
                return
            if done.returncode:
                print("gnuplot: %s" % done.stderr.strip(), file=sys.stderr)
                return
