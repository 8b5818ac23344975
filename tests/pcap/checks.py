# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What the tests of adit replay share: running it, and checks that print both values.
import collections
import difflib
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ADIT = os.path.abspath(os.environ.get("ADIT") or sys.exit("set ADIT to the adit program to test, e.g. build/dev/adit"))
SANITIZED = os.environ.get("ADIT_SANITIZED", "0") != "0"
folder = tempfile.TemporaryDirectory(prefix="adit-replay.")
counts = {True: 0, False: 0}

Result = collections.namedtuple("Result", "status out err")


def work(name):
    """A file of this run; removed at its end."""
    return os.path.join(folder.name, name)


def recording(name):
    return os.path.join(HERE, name + ".pcap")


def recordings():
    names = sorted(name[:-5] for name in os.listdir(HERE) if name.endswith(".pcap"))
    if not names:
        sys.exit(f"there are no recordings in {HERE}")
    return names


def replay(*arguments):
    """Run adit replay to its end, which has to come within a minute."""
    done = subprocess.run([ADIT, "replay", *arguments], capture_output=True, timeout=60, check=False)
    result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    if done.returncode < 0 or "Sanitizer" in result.err or "runtime error:" in result.err:
        check(False, " ".join(["adit replay", *arguments]), f"status {done.returncode}\n{result.err}")
    return result


def check(good, what, detail=""):
    counts[bool(good)] += 1
    if not good:
        print(f"FAILED: {what}")
        if detail:
            print("  " + detail.rstrip("\n").replace("\n", "\n  "))
    return good


def check_equal(what, expected, found):
    return check(expected == found, what, f"expected: {expected!r}\nfound:    {found!r}")


def check_contains(what, part, text):
    return check(part in text, what, f"expected to contain: {part!r}\nfound: {text!r}")


def check_lines(what, expected, found):
    difference = difflib.unified_diff(expected, found, "expected", "found", lineterm="")
    return check(expected == found, what, "\n".join(difference))


def check_result(what, status, result):
    return check(result.status == status, what,
                 f"expected status: {status}\nfound: {result.status}\nstdout: {result.out}\nstderr: {result.err}")


def content(path):
    with open(path, "rb") as file:
        return file.read()


def finish():
    """The end of a test."""
    print(f"{counts[True]} checks passed, {counts[False]} failed")
    sys.exit(0 if counts[True] and not counts[False] else 1)
