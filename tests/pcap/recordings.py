#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Every recording is replayed twice: the answers are the same bytes, packet by packet those in NAME.expect, all
# checksums are right, the summary at its top is what is told, and a client would have heard from the stack what it heard from the recorded server.
#
#   ADIT=build/dev/adit tests/pcap/recordings.py             check
#   ADIT=build/dev/adit tests/pcap/recordings.py --update    write NAME.expect anew; look at the difference
import sys

import capture
import checks

# The servers of these say something else than adit serve does: HTTP headers, and iperf3's own protocol.
OTHER_WORDS = ("kernel-http", "iperf3")


def expectation(name):
    return checks.recording(name)[:-len("pcap")] + "expect"


def compare_answers(name, summary, update):
    answers = capture.lines(checks.work(name + ".1"))
    checks.check(answers, f"{name}: there are answers")
    found = ["# " + text for text in summary] + answers
    for text in found:
        checks.check("BAD CHECKSUM" not in text, f"{name}: checksums of the answers", text)
    if update:
        with open(expectation(name), "w", encoding="ascii") as file:
            file.write("".join(text + "\n" for text in found))
        return
    with open(expectation(name), encoding="ascii") as file:
        checks.check_lines(f"{name}: the answers, packet by packet", file.read().splitlines(), found)


def short(stream):
    return f"{len(stream)} bytes, {stream[:60]!r}..."


def compare_with_server(name):
    recorded, recorded_others = capture.heard(checks.recording(name))
    given, given_others = capture.heard(checks.work(name + ".1"))
    checks.check_equal(f"{name}: datagrams and echo replies", recorded_others, given_others)
    for flow, server in recorded.items():
        what = f"{name}: {flow[1]}:{flow[2]} > {flow[3]}:{flow[4]}"
        if not checks.check(flow in given, f"{what}: was answered"):
            continue
        if name not in OTHER_WORDS:
            checks.check(server.stream() == given[flow].stream(), f"{what}: the bytes of the stream",
                         f"recorded: {short(server.stream())}\ngiven:    {short(given[flow].stream())}")
        checks.check_equal(f"{what}: what was taken of the client's", server.taken, given[flow].taken)


def main():
    update = sys.argv[1:] == ["--update"]
    for name in checks.recordings():
        first = checks.replay(checks.recording(name), "-o", checks.work(name + ".1"))
        second = checks.replay(checks.recording(name), "-o", checks.work(name + ".2"))
        if not checks.check_result(f"{name}: status", 0, first):
            continue
        checks.check_equal(f"{name}: nothing is complained of", "", first.err)
        checks.check_equal(f"{name}: two runs say the same", first.out.replace(name + ".1", ""),
                           second.out.replace(name + ".2", ""))
        same = checks.content(checks.work(name + ".1")) == checks.content(checks.work(name + ".2"))
        checks.check(same, f"{name}: two runs answer the same bytes")
        summary = first.out.replace(checks.HERE + "/", "").splitlines()
        compare_answers(name, [text for text in summary if not text.startswith("  written")], update)
        compare_with_server(name)
    checks.finish()


main()
