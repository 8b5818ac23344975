# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The attacker's place: a packet socket on the device of a running adit, TCP peers that are played by hand, and a table of
# checks that prints what was found.
#
# Attackers have addresses that are nobody's here (10.66.0.0/16, fd66::/64), so the kernel answers none of what comes back.
# Over Ethernet this file answers ARP and neighbour discovery for those in use. Whatever comes is taken with the kernel's
# offload notes (PACKET_VNET_HDR): a super-packet says by which size it is to be cut.

import collections
import logging
import os
import select
import socket
import struct
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MAC = bytes([2, 0, 0, 0x66, 0, 1])
SERVER = {4: "192.168.3.12", 6: "fdad:3::12"}
LONG = os.environ.get("ADIT_TEST_LONG", "0") != "0"
NOTES = 10  # struct virtio_net_hdr
FLOOD = 5000  # packets, each of which asks for an answer
RATE, BURST = 1000, 100  # answers of one kind: a second, and at once

Segment = collections.namedtuple("Segment", "seq ack flags window data mss size when ip_id")


def address(family, number):
    """An attacker's address."""
    return "10.66.%d.%d" % (number >> 8 & 255, number & 255) if family == 4 else "fd66::%x" % (number + 1)


def packed(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, target, protocol, payload, ttl=64):
    """An IP packet; the transport checksum in `payload` is the caller's."""
    source, target = packed(source), packed(target)
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl) + source + target + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def sealed(source, target, protocol, payload, at):
    """`payload` with its checksum, which lies `at` bytes into it."""
    pseudo = packed(source) + packed(target) + struct.pack("!II", len(payload), protocol)
    value = checksum(pseudo + payload[:at] + b"\0\0" + payload[at + 2:])
    return payload[:at] + struct.pack("!H", value or 0xFFFF) + payload[at + 2:]


def tcp(source, sport, target, dport, seq, ack, flags, data=b"", window=65535, options=b""):
    header = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4,
                         flags, window, 0, 0)
    return ip(source, target, 6, sealed(source, target, 6, header + options + data, 16))


def udp(source, sport, target, dport, data=b""):
    header = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    return ip(source, target, 17, sealed(source, target, 17, header + data, 6))


def echo(source, target, number=1, data=b"x" * 32):
    """An echo request."""
    if ":" in source:
        return ip(source, target, 58, sealed(source, target, 58, struct.pack("!BBHHH", 128, 0, 0, 1, number) + data, 2))
    message = struct.pack("!BBHHH", 8, 0, 0, 1, number) + data
    return ip(source, target, 1, message[:2] + struct.pack("!H", checksum(message)) + message[4:])


class Packet:
    """What came back: an IP packet, taken apart as far as the checks need it."""

    def __init__(self, data, notes):
        self.data, self.when = data, time.monotonic()
        self.version = data[0] >> 4
        self.gso_size = struct.unpack("=BBHHHH", notes)[3]
        if self.version == 4:
            head = (data[0] & 15) * 4
            self.protocol, self.source, self.target = data[9], data[12:16], data[16:20]
            self.ip_id = struct.unpack("!H", data[4:6])[0]
            self.fragment = struct.unpack("!H", data[6:8])[0] & 0x3FFF != 0
        else:
            head = 40
            self.protocol, self.source, self.target = data[6], data[8:24], data[24:40]
            self.ip_id, self.fragment = 0, data[6] == 44
        self.payload = data[head:]

    def is_icmp(self, types):
        return not self.fragment and self.protocol in (1, 58) and self.payload[0] in types


class Wire:
    def __init__(self, device, mac=None):
        self.mac = bytes.fromhex(mac.replace(":", "")) if mac else None
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE where that is allowed
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
                break
            except OSError:
                pass
        self.socket.bind((device, 3))
        self.socket.setblocking(False)
        self.time_exceeded = 0

    def frame(self, packet):
        if self.mac is None:
            return packet
        return self.mac + MAC + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet

    def put(self, frame, kind):
        while True:
            try:
                self.socket.sendto(b"\0" * NOTES + frame, (self.socket.getsockname()[0], kind))
                return
            except BlockingIOError:
                select.select([], [self.socket], [], 1)
            except OSError as error:
                if error.errno != 105:  # ENOBUFS: the device's queue is full
                    raise
                time.sleep(0.001)

    def send(self, packet):
        packet = bytes(packet)
        self.put(self.frame(packet), 0x0800 if packet[0] >> 4 == 4 else 0x86DD)

    def resolve(self, frame):
        """Answer for attackers' addresses over Ethernet."""
        kind, packet = frame[12:14], frame[14:]
        if kind == b"\x08\x06" and packet[6:8] == b"\0\1" and packet[24:26] == b"\x0a\x42":
            self.put(frame[6:12] + MAC + kind + packet[:6] + b"\0\2" + MAC + packet[24:28] + packet[8:18], 0x0806)
            return True
        if kind == b"\x86\xdd" and packet[6] == 58 and packet[40] == 135 and packet[48:50] == b"\xfd\x66":
            asker, asked = packet[8:24], packet[48:64]
            message = b"\x88\0\0\0\x60\0\0\0" + asked + b"\x02\x01" + MAC
            names = socket.inet_ntop(socket.AF_INET6, asked), socket.inet_ntop(socket.AF_INET6, asker)
            packet = ip(*names, 58, sealed(*names, 58, message, 2), 255)
            self.put(frame[6:12] + MAC + kind + packet, 0x86DD)
            return True
        return False

    def take(self, seconds):
        """The next IP packet from the stack, or None."""
        end = time.monotonic() + seconds
        while True:
            try:
                data, origin = self.socket.recvfrom(70000)
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                select.select([self.socket], [], [], left)
                continue
            if origin[2] == 4:  # PACKET_OUTGOING: what this end sends
                continue
            notes, data = data[:NOTES], data[NOTES:]
            if self.mac is not None:
                if self.resolve(data) or data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
                    continue
                data = data[14:]
            if len(data) < 20 or data[0] >> 4 not in (4, 6):
                continue
            packet = Packet(data, notes)
            self.time_exceeded += packet.is_icmp((11, 3) if packet.version == 6 else (11,))
            return packet

    def drain(self, seconds, match=lambda packet: True):
        """All that comes until nothing came for so long."""
        found = []
        while True:
            packet = self.take(seconds)
            if packet is None:
                return found
            if match(packet):
                found.append(packet)

    def wait(self, match, seconds=3):
        """The first packet that matches, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            packet = self.take(end - time.monotonic())
            if packet is not None and match(packet):
                return packet
        return None

    def alive(self, family=4):
        """A ping of an attacker that behaves."""
        source = address(family, 60000)
        for number in range(5):
            self.send(echo(source, SERVER[family], number))
            if self.wait(lambda p: p.target == packed(source) and p.is_icmp((0, 129)), 2):
                return True
        return False


class Peer:
    """A TCP client that does what the check wants."""
    ports = 20000

    def __init__(self, wire, dport, family, mss=1000, window=65535, sport=None, source=None, first=1000, options=b""):
        if sport is None:
            Peer.ports += 1
            sport = Peer.ports
        self.wire, self.dport, self.sport, self.window = wire, dport, sport, window
        self.source, self.server = source or address(family, 7), SERVER[family]
        self.mine, self.next, self.expected = packed(self.source), first, 0
        self.options = (struct.pack("!BBH", 2, 4, mss) if mss else b"") + options

    def raw(self, flags, data=b"", seq=None, ack=None, window=None, options=b""):
        self.wire.send(tcp(self.source, self.sport, self.server, self.dport, self.next if seq is None else seq,
                           self.expected if ack is None else ack, flags, data,
                           self.window if window is None else window, options))

    def parse(self, packet):
        """The packet as a segment for this peer, or None."""
        payload = packet.payload
        if packet.protocol != 6 or packet.target != self.mine or len(payload) < 20:
            return None
        sport, dport, seq, ack, offset, flags, window = struct.unpack("!HHIIBBH", payload[:16])
        if (sport, dport) != (self.dport, self.sport):
            return None
        head, mss = (offset >> 4) * 4, 0
        if flags & SYN and head >= 24 and payload[20] == 2:
            mss = struct.unpack("!H", payload[22:24])[0]
        return Segment(seq, ack, flags, window, payload[head:], mss,
                       min(len(payload) - head, packet.gso_size or 65535), packet.when, packet.ip_id)

    def take(self, seconds=3, match=lambda segment: True):
        end = time.monotonic() + seconds
        while True:
            packet = self.wire.take(max(0, end - time.monotonic()))
            if packet is None:
                return None
            segment = self.parse(packet)
            if segment and match(segment):
                return segment

    def drain(self, seconds):
        return [s for s in map(self.parse, self.wire.drain(seconds)) if s]

    def syn(self):
        self.raw(SYN, seq=self.next, ack=0, options=self.options)

    def connect(self):
        self.syn()
        answer = self.take(3, lambda s: s.flags & SYN)
        if answer is None or answer.flags != SYN | ACK:
            raise Found("a SYN-ACK", answer)
        self.answer, self.next, self.expected = answer, self.next + 1, answer.seq + 1
        self.raw(ACK)
        return self

    def say(self, data):
        self.raw(ACK | PSH, data)
        self.next += len(data)

    def echoes(self, data=b"still here"):
        """Whether port 7 answers this connection."""
        self.say(data)
        segment = self.take(3, lambda s: s.data or s.flags & RST)
        if not segment or segment.data != data:
            return False
        self.expected += len(data)
        self.raw(ACK)
        return True

    def reset(self):
        self.raw(RST)


class Found(Exception):
    """A check failed."""

    def __init__(self, expected, found):
        super().__init__("expected: %s\n  found:    %s" % (expected, found))


def equal(what, expected, found):
    if expected != found:
        raise Found("%s: %r" % (what, expected), repr(found))


def within(what, least, most, found):
    if not least <= found <= most:
        raise Found("%s: from %s to %s" % (what, least, most), found)


def resident(pid):
    """Memory of the program, bytes."""
    with open("/proc/%s/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(pid, before, most, what):
    """By how much the program has grown, KiB, which must be `most` bytes at most."""
    size = resident(pid) - before
    if os.environ.get("ADIT_SANITIZED") != "1":  # sanitizers keep what was freed
        within("bytes for " + what, -(256 << 20), most, size)
    return "%d KiB for %s" % (size // 1024, what)


def limited(wire, packets, match, least=BURST):
    """Send all packets; how many answers came must be what a bucket of BURST and RATE a second allows. `least` is smaller
    where one answer may be for several packets."""
    time.sleep(0.2)  # so that the bucket is full
    begin = time.monotonic()
    for packet in packets:
        wire.send(packet)
    count = len(wire.drain(0.5, match))
    seconds = time.monotonic() - begin - 0.5
    within("answers to %d packets in %.2f s" % (len(packets), seconds), least, BURST + RATE * seconds + RATE / 4, count)
    return "%d answers to %d packets in %.2f s" % (count, len(packets), seconds)


CHECKS = []


def check(*families):
    """Put a function (wire, family, pid) -> figure into the table, for each of the families."""
    def enter(function):
        CHECKS.extend((function, family) for family in families)
        return function
    return enter


def main():
    """DEVICE PID [MAC [NAME...]]: run all checks, or those of that name; a line for each."""
    device, pid, mac = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "-"
    only, failed = sys.argv[4:], 0
    wire = Wire(device, None if mac == "-" else mac)
    for function, family in CHECKS:
        name = function.__name__
        if only and name not in only:
            continue
        begin = time.monotonic()
        wire.drain(0)
        try:
            figure = function(wire, family, pid)
            if not wire.alive(family):
                raise Found("a ping is answered afterwards", "silence")
            print("ok IPv%d %s: %s (%.1f s)" % (family, name, figure, time.monotonic() - begin), flush=True)
        except Found as why:
            failed += 1
            print("FAILED IPv%d %s\n  %s" % (family, name, why), flush=True)
    wire.drain(0)
    if wire.time_exceeded:
        failed += 1
        print("FAILED: %d messages of exceeded time came" % wire.time_exceeded)
    sys.exit(1 if failed else 0)
