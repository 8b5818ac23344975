# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# DEVICE MAC|- KIND COUNT RATE: a flood from sources that nobody has, so many packets a second. Prints how many were sent
# and how many packets came back.

import random
import socket
import sys
import time

from wire import ACK, RST, SYN, SERVER, Wire, echo, packed, tcp, udp

PORTS = (7, 80, 4444)  # two that answer, one that refuses
CLIENTS = packed("192.168.3.11"), packed("fdad:3::11")


def source(family):
    """Anybody: a public address, another one each time."""
    if family == 6:
        return socket.inet_ntop(socket.AF_INET6, b"\x20\x01\x0d\xb8" + random.randbytes(12))
    return "%d.%d.%d.%d" % (random.choice((11, 45, 98, 150, 203)), *random.randbytes(3))


def make(kind, family):
    port = random.randrange(1024, 65536)
    if kind == "syn":
        return tcp(source(family), port, SERVER[family], random.choice(PORTS), random.getrandbits(32), 0, SYN,
                   options=b"\x02\x04\x05\xb4")
    if kind == "ack":
        return tcp(source(family), port, SERVER[family], random.choice(PORTS), random.getrandbits(32),
                   random.getrandbits(32), random.choice((ACK, ACK | RST)), b"x" * random.randrange(100))
    if kind == "udp":
        return udp(source(family), port, SERVER[family], random.choice((7, 9, 4444)), b"x" * random.randrange(100))
    return echo(source(family), SERVER[family], 1, b"x" * random.randrange(100))


def to_nobody(packet):
    """Not for the clients beside the flood."""
    return packet.target not in CLIENTS


def main():
    device, mac, kind, count, rate = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    random.seed(7)
    wire = Wire(device, None if mac == "-" else mac)
    ready = [make(kind, 4 if i % 2 else 6) for i in range(count)]  # made before: the flood is no slower than it should be
    begin, back = time.monotonic(), 0
    for i, packet in enumerate(ready):
        wire.send(packet)
        if i % 50 == 49:
            back += len(wire.drain(0, to_nobody))
            late = begin + (i + 1) / rate - time.monotonic()
            if late > 0:
                time.sleep(late)
    seconds = time.monotonic() - begin
    while time.monotonic() - begin < seconds + 0.5:
        back += len(wire.drain(0, to_nobody))
    print("%d packets of %s in %.1f s, %d came back" % (count, kind, seconds, back))


main()
