# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# One measurement of one contestant: a dictionary with what the client said and what it cost, or Failed.
import json
import os
import select
import subprocess
import time

from world import Failed

HOLD_AT_MOST = 17000  # connections of one client process, which may have 20,000 fds
HOLD_S = 400
PEER_HOLD = 4000  # connections that other programs are to hold; some have no room for more
TICKS = os.sysconf("SC_CLK_TCK")
COST_COUNT = {"data": 2000, "burst": 3200, "open": 500, "tick": 5}  # under callgrind
COST_S = 900


def by_client(world, case, seconds):
    arguments = [{"TARGET": world.target(case.family), "SECONDS": seconds}.get(word, word) for word in case.run]
    before = world.cpu_ticks()
    answer = world.client(*arguments)
    if before is not None:
        answer["cpu_s"] = (world.cpu_ticks() - before) / TICKS
        if answer.get("bytes"):
            answer["cpu_s_per_gb"] = answer["cpu_s"] / (answer["bytes"] / 1e9)
        elif answer.get("connections"):
            answer["cpu_s_per_1000"] = answer["cpu_s"] / (answer["connections"] / 1e3)
    return answer


def ping_under_load(world, case, seconds):
    """Echo requests while one stream goes up and one down; the load begins before them and ends after them."""
    target = world.target(case.family)
    load = world.start_client("both", target, seconds + 1, 1)
    time.sleep(0.5)
    try:
        answer = world.client("ping", target, seconds, 2000)
    finally:
        out, error = load.communicate(timeout=60)
    if load.returncode:
        raise Failed("the load beside it: " + error.strip())
    answer["load"] = json.loads(out)
    return answer


def hold(world, case):
    """What the process grows by while so many connections are open and idle; those have exchanged a few bytes each."""
    wanted = case.run[1] if world.contestant.ours else min(case.run[1], PEER_HOLD)
    shares = [min(HOLD_AT_MOST, wanted - begun) for begun in range(0, wanted, HOLD_AT_MOST)]
    world.client("connect", world.target(4), 0.5, 64)  # whatever it makes once is there before
    before = world.rss_bytes()
    clients = []
    answers = []
    try:
        for i, share in enumerate(shares):
            source = []
            if len(shares) > 1:
                source = ["198.19.0.%d" % (i + 1)]
                world.add_source(source[0])
            clients.append(world.start_client("hold", world.target(4), share, *source))
        end = time.monotonic() + HOLD_S
        for client in clients:
            answers.append(read_line(client, end))
        grown = world.rss_bytes() - before
    finally:
        for client in clients:
            client.kill()
            client.communicate()
    return {"open": wanted, "rss_before": before, "rss_grown": grown, "bytes_per_flow": grown / wanted,
            "opened_per_s": sum(answer["per_s"] for answer in answers)}  # fmt: skip


def stall(world, case):
    """What the process grows by for one connection that is full, because its other end reads nothing."""
    world.client("connect", world.target(4), 0.5, 64)
    before = world.rss_bytes()
    client = world.start_client(case.run[0], world.target(4))
    try:
        answer = read_line(client, time.monotonic() + HOLD_S)
        grown = world.rss_bytes() - before
    finally:
        client.kill()
        client.communicate()
    return {**answer, "rss_before": before, "rss_grown": grown, "grown_kib": grown / 1024}


def read_line(client, end):
    ready, _, _ = select.select([client.stdout], [], [], max(0, end - time.monotonic()))
    line = client.stdout.readline() if ready else ""
    if not line:
        client.kill()
        raise Failed(client.stderr.read().strip() or "no answer after %d s" % HOLD_S)
    return json.loads(line)


def stay():
    """Keep to one CPU, always the same: those of a virtual machine are not equally fast, by 1.6 at times."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def cost(case, flows, programs, work):
    """A run of adit_cost at so many flows; instructions with callgrind, time without."""
    _, what, key = case.run
    command = [programs["cost"], str(flows), what]
    path = os.path.join(work, "callgrind")
    if key == "instructions":
        command.append(str(COST_COUNT[what]))
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + path, *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COST_S, preexec_fn=stay)
    except FileNotFoundError:
        raise Failed("valgrind is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failed("no end after %d s" % COST_S) from None
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "status %d" % done.returncode)
    answer = json.loads(done.stdout)
    if key == "instructions":
        if not answer["callgrind"]:
            raise Failed("adit_cost was built without valgrind's header")
        with open(path) as file:
            total = next((int(line.split()[1]) for line in file if line.startswith("totals:")), 0)
        if not total:
            raise Failed("callgrind counted nothing")
        answer["instructions"] = total / answer["count"]
    return answer


def one(world, case, seconds):
    if case.run[0] == "ping-load":
        return ping_under_load(world, case, seconds)
    if case.run[0] == "hold":
        return hold(world, case)
    if case.run[0].startswith("stall-"):
        return stall(world, case)
    return by_client(world, case, seconds)
