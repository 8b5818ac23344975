#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Captures that are broken, foreign, odd or hostile: what can be replayed is, the fault is named, nothing crashes.
#
#   ADIT=build/dev/adit tests/pcap/faults.py
import os
import random
import struct

import capture
import checks
from checks import check, check_contains, check_equal, check_result, content, recording, replay, work

STEP = 37  # bytes between two places where a recording is cut off
FAR = 10**9 * 0xffffffff  # the latest stamp of a pcap file


def answers_of(path, *options):
    """Replay a capture that has no fault; the answers."""
    result = replay(path, "-o", work("answers"), *options)
    check_result(f"{os.path.basename(path)}: replay", 0, result)
    return result, content(work("answers"))


def records_of(name):
    link, records = capture.read(recording(name))
    return link, [(record.stamp, record.data) for record in records]


def packets_before(path, stamp):
    return [(record.stamp, record.data) for record in capture.read(path)[1] if record.stamp <= stamp]


def cut_off(name):
    """Cut a recording off at every 37th byte: all whole records are replayed as they were in the whole recording."""
    whole = content(recording(name))
    records = capture.read(recording(name))[1]
    ends = [24] + [record.end for record in records]
    answers_of(recording(name))
    os.rename(work("answers"), work("all"))
    for length in range(0, len(whole), STEP):
        what = f"{name} cut off after {length} bytes"
        with open(work("cut"), "wb") as file:
            file.write(whole[:length])
        result = replay(work("cut"), "-o", work("answers"))
        if length < 24:
            check_result(what, 1, result)
            check_contains(what, "is not a capture", result.err)
            continue
        count = sum(end <= length for end in ends) - 1
        if length in ends:
            check(result.status == (1 if count and "no packet goes to" in result.err else 0), what, str(result))
        else:
            check_result(what, 1, result)
            check_contains(what, f"ends early or is damaged after packet {count};", result.err)
        check_contains(what, f": {count} packet{'' if count == 1 else 's'},", result.out)
        until = records[count - 1].stamp if count else 0
        check_equal(f"{what}: the answers until then", packets_before(work("all"), until),
                    packets_before(work("answers"), until))


def no_captures():
    cases = {
        "empty": (b"", "is not a capture"),
        "text": (b"this is not a capture at all, but text\n" * 9, "is not a capture"),
        "link105": (struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 105) + b"\0" * 16, "link type IEEE802_11"),
    }
    for name, (data, message) in cases.items():
        with open(work(name), "wb") as file:
            file.write(data)
        result = replay(work(name), "-o", work("never"))
        check_result(f"{name}: status", 1, result)
        check_contains(f"{name}: the message", message, result.err)
        check_contains(f"{name}: the message names the file", work(name), result.err)
        check(not os.path.exists(work("never")), f"{name}: no answers are made")
    result = replay(work("absent"))
    check_result("no such file", 1, result)
    check_contains("no such file", "No such file", result.err)
    result = replay(checks.HERE)
    check_result("a folder", 1, result)
    result = replay()
    check_result("no file named", 2, result)


def empty_capture():
    capture.write(work("nothing"), capture.RAW, [])
    result, answers = answers_of(work("nothing"))
    check_contains("a capture without packets", ": 0 packets, 0.000000 s", result.out)
    check_equal("a capture without packets: answers", 24, len(answers))


def outputs():
    source = recording("ping4")
    copy = work("copy.pcap")
    with open(copy, "wb") as file:
        file.write(content(source))
    result = replay(copy, "-o", copy)
    check_result("read and written at once", 1, result)
    check_contains("read and written at once", "both read and written", result.err)
    check(content(copy) == content(source), "read and written at once: the file is as it was")
    result = replay(source, "-o", "/dev/full")
    check_result("a full disk", 1, result)
    check_contains("a full disk", "No space left on device", result.err)
    result = replay(source, "-o", work("no/such/folder"))
    check_result("no such folder", 1, result)
    check_contains("no such folder", work("no/such/folder"), result.err)
    result = replay(source, "--quiet")
    check_equal("--quiet", checks.Result(0, "", ""), result)


def addresses():
    result = replay(recording("ping4"), "--answer", "192.0.2.0/24")
    check_result("nobody is asked for", 1, result)
    check_contains("nobody is asked for", "no packet goes to 192.0.2.0/24", result.err)
    for name in ("nc-echo", "kernel-echo", "nc-refused", "ping-large"):
        result = replay(recording(name), "-o", work("answers"), "--answer", "192.168.3.12", "--answer", "fdad:3::12")
        check_result(f"{name}: one address each", 0, result)
        one = content(work("answers"))
        check(answers_of(recording(name))[1] == one, f"{name}: one address each, the same answers")
    for name in ("nc-echo", "kernel-echo", "ping4", "ping6"):
        default = answers_of(recording(name))[1]
        both = answers_of(recording(name), "--answer", "0.0.0.0/0", "--answer", "::/0")[1]
        check(default == both, f"{name}: client and server both are addresses of the stack's")


def seeds():
    answers = [answers_of(recording("curl4"), *options)[1] for options in ([], ["--seed", "0"], ["--seed", "1"])]
    check(answers[0] == answers[1], "--seed 0 is the default")
    check(answers[0] != answers[2], "--seed 1 is another")
    os.rename(work("answers"), work("seed1"))
    streams = [{flow: server.stream() for flow, server in capture.heard(path)[0].items()}
               for path in (recording("curl4"), work("seed1"))]
    check(streams[0] == streams[1], "--seed 1: the page is the same")


def without_server():
    """What the server has said is not needed: its initial number follows from the client's first acknowledgment."""
    for name in ("kernel-echo", "kernel-loss", "curl6", "nc-chargen", "iperf3"):
        link, records = records_of(name)
        clients = [record for record in records
                   if (ip := capture.packet_of(link, record[1])) and not capture.is_server(capture.Packet(ip).source)]
        check(len(clients) < len(records), f"{name}: there is a server to leave out")
        capture.write(work("clients"), link, clients)
        all_of_it, alone = answers_of(recording(name))[1], answers_of(work("clients"))[1]
        check(all_of_it == alone, f"{name}: the same answers without the recorded server")


def without_syn():
    link, records = records_of("curl4")
    rest = [record for record in records
            if capture.Packet(record[1]).flags & (capture.SYN | capture.ACK) != capture.SYN]
    check_equal("without SYN: packets left out", 1, len(records) - len(rest))
    capture.write(work("rest"), link, rest)
    result, _ = answers_of(work("rest"))
    check_contains("without SYN", "1 without their SYN, so reset", result.out)
    found = capture.packets(work("answers"))
    check(found and all(packet.flags & capture.RST for packet in found), "without SYN: resets", str(found))
    # Where both sides are addresses of the stack's, the SYN-ACK tells them apart.
    answers_of(work("rest"), "--answer", "0.0.0.0/0")
    check_equal("without SYN: from whom", {80}, {packet.sport for packet in capture.packets(work("answers"))})


def wrong_checksum():
    """A checksum that is wrong in the recording is wrong for the stack, shifted or not."""
    link, records = records_of("curl4")
    at = next(i for i, (_, data) in enumerate(records) if b"GET /" in data)
    stamp, data = records[at]
    records[at] = (stamp, data.replace(b"GET /", b"GET !"))
    capture.write(work("flipped"), link, records)
    result, _ = answers_of(work("flipped"))
    check_contains("a wrong TCP checksum", "dropped      1 tcp checksum", result.out)


def cut_short():
    """Records of a capture with a snap length: not one is fed."""
    link, records = records_of("ping4")
    with open(work("short"), "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 40, link))
        for stamp, data in records:
            file.write(struct.pack("<IIII", stamp // 10**9, stamp % 10**9, 40, len(data)) + data[:40])
    result = replay(work("short"))
    check_result("a snap length of 40", 1, result)
    check_contains("a snap length of 40", "6 of 6 records hold no whole IP packet", result.err)


def stamps():
    """Time that runs backwards, stands, leaps a hundred years: the answers are there, and soon."""
    _, records = records_of("kernel-echo")
    count = len(records)
    cases = {
        "backwards": [10**18 - i * 10**9 for i in range(count)],
        "standing": [0] * count,
        "leaping": [i * (FAR // count) for i in range(count)],
        "far away": [FAR] * count,
    }
    link, idle = records_of("iperf3")  # which ends with a connection open: its timers go on
    capture.write(work("stamps"), link, [(0, data) for _, data in idle[:-1]] + [(FAR, idle[-1][1])])
    answers_of(work("stamps"))
    link, records = records_of("kernel-echo")
    sent = [server.stream() for server in capture.heard(recording("kernel-echo"))[0].values()]
    for name, times in cases.items():
        capture.write(work("stamps"), link, list(zip(times, (data for _, data in records))))
        first, second = answers_of(work("stamps"))[1], answers_of(work("stamps"))[1]
        check(first == second, f"stamps {name}: two runs answer the same bytes")
        if name != "leaping":  # there the stack has given up long before the client's next packet
            given = [server.stream() for server in capture.heard(work("answers"))[0].values()]
            check(sent == given, f"stamps {name}: the streams")


def early_acknowledgments():
    """A client that acknowledges at once what the stack may only send in parts, and one that does so for ever."""
    result, _ = answers_of(recording("kernel-loss"))
    check_contains("early acknowledgments", "made for a part", result.out)
    link, records = records_of("nc-chargen")
    changed = []
    for stamp, data in records:
        packet = capture.Packet(data)
        leap = 0x10000000 if packet.flags & capture.ACK and not capture.is_server(packet.source) else 0
        if leap and packet.ack != 0 and changed and len(changed) > 6:
            data = reseal(data, packet, packet.ack + leap)
        changed.append((stamp, data))
    capture.write(work("leap"), link, changed)
    result, answers = answers_of(work("leap"))
    check_contains("acknowledgments of what nobody sent", "lowered to what was sent", result.out)
    check(len(answers) < 10**6, "acknowledgments of what nobody sent: few answers", f"{len(answers)} bytes")


def order_while_waiting():
    """The first half of a request waits because of what it acknowledges; the second half does not overtake it."""
    link, records = records_of("curl4")
    at = next(i for i, (_, data) in enumerate(records) if b"GET /" in data)
    stamp, data = records[at]
    packet = capture.Packet(data)
    halves = [reseal(data, packet, packet.ack + 100000, packet.seq, packet.payload[:5]),
              reseal(data, packet, packet.ack, packet.seq + 5, packet.payload[5:])]
    capture.write(work("halves"), link, records[:at] + [(stamp, half) for half in halves])
    answers_of(work("halves"))
    first = capture.read(work("answers"))[1][1]  # behind the SYN-ACK
    check_equal("the first half waits half a second", stamp + 10**9 // 2, first.stamp)
    stream = [server.stream() for server in capture.heard(work("answers"))[0].values()]
    check(stream[0].startswith(b"HTTP/1."), "both halves arrive", str(stream))
    sacks = capture.Packet(first.data).options[12:]  # behind the timestamps
    check(not sacks, "both halves arrive in order", capture.lines(work("answers"))[1])


def reseal(data, packet, ack, seq=None, payload=None):
    """An IPv4 TCP packet with other numbers and payload, and the right checksums."""
    payload = packet.payload if payload is None else payload
    header, body = bytearray(data[:packet.start]), bytearray(packet.body[:len(packet.body) - len(packet.payload)])
    body += payload
    struct.pack_into(">II", body, 4, packet.seq if seq is None else seq, ack & 0xffffffff)
    struct.pack_into(">H", body, 16, 0)
    pseudo = data[12:20] + struct.pack(">II", len(body), capture.TCP)
    struct.pack_into(">H", body, 16, ~capture.fold(pseudo + bytes(body)) & 0xffff)
    struct.pack_into(">H", header, 2, len(header) + len(body))
    struct.pack_into(">H", header, 10, 0)
    struct.pack_into(">H", header, 10, ~capture.fold(bytes(header)) & 0xffff)
    return bytes(header + body)


def garbage():
    """Noise, and recordings with bytes changed here and there, by seed."""
    for seed in range(4 if checks.SANITIZED else 12):
        chance = random.Random(seed)
        noise = [(i * 10**6, chance.randbytes(chance.randrange(1, 200))) for i in range(300)]
        capture.write(work("noise"), capture.RAW, noise)
        result = replay(work("noise"))
        check(result.status in (0, 1), f"noise {seed}: an end in order", str(result))
        check_contains(f"noise {seed}", ": 300 packets,", result.out)
        for name in ("kernel-loss", "nc-refused", "ping-large", "tap", "curl6"):
            link, records = records_of(name)
            changed = [(stamp, change(chance, data)) for stamp, data in records]
            capture.write(work("changed"), link, changed)
            runs = [replay(work("changed"), "-o", work(f"changed.{run}")) for run in (1, 2)]
            for result in runs:
                check(result.status in (0, 1), f"{name} changed by seed {seed}: an end in order", str(result))
            same = content(work("changed.1")) == content(work("changed.2"))
            check(same, f"{name} changed by seed {seed}: two runs answer the same bytes")


def change(chance, data):
    data = bytearray(data)
    if chance.random() < 0.5:
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(min(len(data), 100))] = chance.randrange(256)
    if chance.random() < 0.1:
        data = data[:chance.randrange(1, len(data) + 1)]
    return bytes(data)


def main():
    cut_off("curl4")
    cut_off("tap")
    no_captures()
    empty_capture()
    outputs()
    addresses()
    seeds()
    without_server()
    without_syn()
    wrong_checksum()
    cut_short()
    stamps()
    early_acknowledgments()
    order_while_waiting()
    garbage()
    checks.finish()


main()
