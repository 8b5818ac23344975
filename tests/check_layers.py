#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Checks who includes whom. A room is a folder of src/, or port/, demos/, or the public headers; MAY says which rooms a
# room's files may include. The table has no cycle (that is checked too), so rooms have none; files are checked for
# cycles on their own. Takes the top of the tree, by default that of this script.
import os
import re
import sys

MAY = {
    "public": [],
    "packet": ["public"],
    "device": ["public", "packet"],
    "port": ["public", "packet", "lwip"],
    "stack": ["public", "packet", "port", "lwip"],
    # The relay lives in a worker: its sockets wait in the worker's loop, its time-outs in the worker's timers. The worker
    # knows it only as a table of functions (runtime/application.h), so that runtime includes neither it nor any other.
    "relay": ["public", "packet", "stack", "runtime"],
    "service": ["public", "packet", "stack"],
    "host": ["public", "packet"],
    "runtime": ["public", "packet", "device", "stack", "service", "host"],
    # One object for embedders, on top of everything. The program has its own way of putting the parts together, since it
    # configures the machine as well.
    "tunnel": ["public", "packet", "device", "stack", "relay", "runtime"],
    "cli": ["public", "packet", "device", "host", "runtime", "service", "relay", "tunnel"],
    "demos": ["public"],
    "lwip": [],
}
# The core does no I/O, starts no thread and reads no clock: it has no use for these.
NO_IO = ["fcntl.h", "poll.h", "pthread.h", "sys/epoll.h", "sys/ioctl.h", "sys/select.h", "sys/socket.h", "sys/time.h",
         "threads.h", "time.h", "unistd.h"]
# (src/packet prints time stamps, but reads no clock either.)
BARRED = {"stack": NO_IO, "port": NO_IO, "packet": [name for name in NO_IO if name != "time.h"]}
# Headers of lwIP that lwIP itself looks for in port/.
PORT_FILES = ("lwipopts.h", "arch/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    """The room of a file, named from the top of the tree; None outside of all rooms."""
    parts = path.split("/")
    if path.startswith("src/include/adit/"):
        return "public"
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[0] in ("port", "demos"):
        return parts[0]
    return None


def sources(top):
    for folder in ("src", "port", "demos"):
        for where, _, names in os.walk(os.path.join(top, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(where, name), top)


def resolve(top, path, kind, name):
    """The file of ours that an include means, or None for one of the system or of lwIP."""
    folders = ["src/include"] if kind == "<" else [os.path.dirname(path), "src", "src/include", "port"]
    if kind == "<" and name.startswith(PORT_FILES):
        folders.append("port")
    for folder in folders:
        found = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(top, found)):
            return found
    return None


def table_cycle():
    """A room that reaches itself through MAY, or None."""
    for start in MAY:
        seen, todo = set(), list(MAY[start])
        while todo:
            room = todo.pop()
            if room == start:
                return start
            if room not in seen:
                seen.add(room)
                todo.extend(MAY[room])
    return None


def file_cycle(graph):
    """A list of files that include each other in a ring, or None."""
    done = set()

    def visit(path, way):
        if path in way:
            return way[way.index(path):] + [path]
        if path in done:
            return None
        for target in graph.get(path, ()):
            ring = visit(target, way + [path])
            if ring:
                return ring
        done.add(path)
        return None

    for path in sorted(graph):
        ring = visit(path, [])
        if ring:
            return ring
    return None


def check(top):
    faults, graph, files = [], {}, list(sources(top))
    if table_cycle():
        faults.append(f"the table MAY has a cycle through {table_cycle()}")
    for path in files:
        room = room_of(path)
        if room not in MAY:
            faults.append(f"{path}: the room '{room}' is not in the table; add it to tests/check_layers.py")
            continue
        graph[path] = []
        with open(os.path.join(top, path), encoding="utf-8") as text:
            lines = text.readlines()
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, name = match.groups()
            at = f"{path}:{number}: #include {kind}{name}{'>' if kind == '<' else kind}"
            target = resolve(top, path, kind, name)
            if target:
                graph[path].append(target)
                other = room_of(target)
                if kind == '"' and other == "public" and room != "public":
                    faults.append(f"{at}: public headers are included as <adit/...>")
            elif name.startswith(("lwip/", "netif/", "arch/")):
                other = "lwip"
            elif kind == '"':
                faults.append(f"{at}: there is no such file")
                continue
            else:
                if name in BARRED.get(room, ()):
                    faults.append(f"{at}: {room} does no I/O, starts no thread and reads no clock")
                continue
            if other != room and other not in MAY[room]:
                faults.append(f"{at}: {room} may include {', '.join(MAY[room]) or 'nothing of ours'}, not {other}")
    ring = file_cycle(graph)
    if ring:
        faults.append("a cycle: " + " -> ".join(ring))
    if not files:
        faults.append(f"there is no source in {top}")
    for fault in faults:
        print(fault)
    print(f"{len(files)} files, {sum(map(len, graph.values()))} includes of our own, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.exit(check(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(here)))
