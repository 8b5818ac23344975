# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Captures for the tests of adit replay: read, written, taken apart. Plain Python and none of adit's own code, so that
# what is compared here has been looked at by somebody else.
import collections
import ipaddress
import struct
import zlib

RAW, ETHERNET, SLL, SLL2 = 101, 1, 113, 276
ICMP, TCP, UDP, FRAGMENT6, ICMP6 = 1, 6, 17, 44, 58
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

Record = collections.namedtuple("Record", "stamp data end")  # stamp in nanoseconds; end = offset in the file behind it


def read(path):
    """Link type and records of a pcap file of this byte order or the other, with micro- or nanoseconds."""
    with open(path, "rb") as file:
        content = file.read()
    for order in "<>":
        unit = {0xa1b2c3d4: 1000, 0xa1b23c4d: 1}.get(struct.unpack_from(order + "I", content)[0])
        if unit:
            break
    else:
        raise ValueError(f"{path}: no pcap file")
    link = struct.unpack_from(order + "I", content, 20)[0] & 0xfffffff
    records, at = [], 24
    while at < len(content):
        seconds, fraction, stored, length = struct.unpack_from(order + "IIII", content, at)
        assert stored == length and at + 16 + stored <= len(content), f"{path}: a record that is not whole at {at}"
        records.append(Record(seconds * 10**9 + fraction * unit, content[at + 16:at + 16 + stored], at + 16 + stored))
        at += 16 + stored
    return link, records


def write(path, link, packets):
    """packets: pairs of (stamp in nanoseconds, bytes)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, link))
        for stamp, data in packets:
            file.write(struct.pack("<IIII", stamp // 10**9 & 0xffffffff, stamp % 10**9, len(data), len(data)) + data)


def packet_of(link, data):
    """The IP packet in a record, or None."""
    if link == ETHERNET:
        kind, data = struct.unpack_from(">H", data, 12)[0], data[14:]
    elif link == SLL:
        kind, data = struct.unpack_from(">H", data, 14)[0], data[16:]
    elif link == SLL2:
        kind, data = struct.unpack_from(">H", data)[0], data[20:]
    else:
        kind = {4: 0x800, 6: 0x86dd}.get(data[0] >> 4 if data else 0)
    return data if kind in (0x800, 0x86dd) else None


def fold(data):
    """The sum of 16-bit words, one's complement, not negated."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return total


class Packet:
    """An IP packet taken apart."""

    def __init__(self, data):
        self.fragment = None  # (identification, offset, more)
        if data[0] >> 4 == 4:
            size = (data[0] & 15) * 4
            self.length, self.id, piece, self.ttl, self.protocol = struct.unpack_from(">HHHBB", data, 2)
            self.source, self.destination = (ipaddress.ip_address(data[at:at + 4]) for at in (12, 16))
            self.header_good = fold(data[:size]) == 0xffff
            if piece & 0x3fff:
                self.fragment = (self.id, (piece & 0x1fff) * 8, bool(piece & 0x2000))
            pseudo = data[12:20]
        else:
            size, self.length, self.id, self.header_good = 40, 40 + struct.unpack_from(">H", data, 4)[0], 0, True
            self.protocol, self.ttl = data[6], data[7]
            self.source, self.destination = (ipaddress.ip_address(data[at:at + 16]) for at in (8, 24))
            pseudo = data[8:40]
            while self.protocol in (0, 60):
                self.protocol, size = data[size], size + 8 + 8 * data[size + 1]
            if self.protocol == FRAGMENT6:
                piece, number = struct.unpack_from(">HI", data, size + 2)
                self.fragment = (number, piece & 0xfff8, bool(piece & 1))
                self.protocol, size = data[size], size + 8
        self.data = data[:self.length]
        self.start = size
        self.body = self.data[size:]
        self.good = self.header_good
        if not self.fragment and self.protocol in (TCP, UDP, ICMP, ICMP6):
            before = b"" if self.protocol == ICMP else pseudo + struct.pack(">II", len(self.body), self.protocol)
            self.good = self.good and fold(before + self.body) == 0xffff
        if not self.fragment and self.protocol in (TCP, UDP):
            self.sport, self.dport = struct.unpack_from(">HH", self.body)
        if not self.fragment and self.protocol == TCP:
            self.seq, self.ack, offset, self.flags, self.window = struct.unpack_from(">IIBBH", self.body, 4)
            self.options, self.payload = self.body[20:(offset >> 4) * 4], self.body[(offset >> 4) * 4:]
        elif not self.fragment and self.protocol == UDP:
            self.payload = self.body[8:]

    def flow(self):
        """The 4-tuple seen from the sender."""
        return (self.protocol, self.source, self.sport, self.destination, self.dport)


def line(packet, stamp):
    """One readable line that differs when any byte of the packet does."""
    head = f"{stamp // 10**9}.{stamp % 10**9 // 1000:06}"
    sums = "" if packet.good else " BAD CHECKSUM"
    tail = f"ttl {packet.ttl} id {packet.id} length {packet.length} crc {zlib.crc32(packet.data):08x}{sums}"
    if packet.fragment:
        number, offset, more = packet.fragment
        what = f"{packet.source} > {packet.destination} fragment of {packet.protocol}, {number:#x} {offset}+{int(more)}"
    elif packet.protocol == TCP:
        flags = "".join(name for bit, name in enumerate("FSRPAUEC") if packet.flags >> bit & 1)
        what = (f"{packet.source}:{packet.sport} > {packet.destination}:{packet.dport} TCP {flags} seq {packet.seq} "
                f"ack {packet.ack} win {packet.window} options [{packet.options.hex()}] data {len(packet.payload)}")
    elif packet.protocol == UDP:
        what = f"{packet.source}:{packet.sport} > {packet.destination}:{packet.dport} UDP data {len(packet.payload)}"
    elif packet.protocol in (ICMP, ICMP6):
        name = {ICMP: "ICMP", ICMP6: "ICMPv6"}[packet.protocol]
        what = f"{packet.source} > {packet.destination} {name} {packet.body[0]}/{packet.body[1]}"
    else:
        what = f"{packet.source} > {packet.destination} protocol {packet.protocol}"
    return f"{head} {what} {tail}"


def lines(path):
    """A capture as text, time counted from its first packet."""
    link, records = read(path)
    first = records[0].stamp if records else 0
    return [line(Packet(packet_of(link, record.data)), record.stamp - first) for record in records]


def packets(path):
    """The IP packets of a capture, taken apart."""
    link, records = read(path)
    found = (packet_of(link, record.data) for record in records)
    return [Packet(data) for data in found if data is not None]


# ---- what a client gets to hear from the servers of a capture ------------------------------------------------------


class Server:
    """What one TCP server has said: its bytes in order, and how much of the client's it has taken."""

    def __init__(self):
        self.isn = None
        self.pieces = {}
        self.taken = None

    def add(self, packet):
        if packet.flags & SYN:
            self.isn = packet.seq
        if self.isn is not None and packet.payload:
            at = packet.seq - self.isn - 1 & 0xffffffff
            self.pieces[at] = max(self.pieces.get(at, b""), packet.payload, key=len)
        if packet.flags & ACK and not packet.flags & RST:
            if self.taken is None or packet.ack - self.taken & 0xffffffff < 1 << 31:
                self.taken = packet.ack

    def stream(self):
        out = b""
        for at, piece in sorted(self.pieces.items()):
            if at > len(out):
                break
            out += piece[len(out) - at:]
        return out


def is_server(address):
    return str(address) not in ("192.168.3.11", "fdad:3::11") and (
        address in ipaddress.ip_network("192.168.3.0/24") if address.version == 4
        else address in ipaddress.ip_network("fdad:3::/64"))


def whole(packets_seen):
    """Packets with fragments put together; (source, destination, protocol, body)."""
    waiting = collections.defaultdict(dict)
    for packet in packets_seen:
        if not packet.fragment:
            yield packet.source, packet.destination, packet.protocol, packet.body
            continue
        number, offset, more = packet.fragment
        key = (packet.source, packet.destination, packet.protocol, number)
        waiting[key][offset] = (packet.body, more)
        body, at = b"", 0
        while at in waiting[key]:
            piece, more = waiting[key][at]
            body, at = body + piece, at + len(piece)
            if not more:
                yield key[0], key[1], key[2], body
                del waiting[key]
                break


def heard(path):
    """What the servers of a capture have said: ({flow: Server}, sorted datagrams and echo replies)."""
    said = [packet for packet in packets(path) if is_server(packet.source)]
    streams, others = {}, []
    for packet in said:
        if packet.protocol == TCP and not packet.fragment:
            streams.setdefault(packet.flow(), Server()).add(packet)
    for source, destination, protocol, body in whole(said):
        if protocol == UDP or (protocol == ICMP and body[0] in (0, 3)) or (protocol == ICMP6 and body[0] in (1, 129)):
            keep = body[4:] if protocol in (ICMP, ICMP6) else body[:6] + body[8:]  # all but the checksum
            others.append((str(source), str(destination), protocol, body[0], keep))
    return streams, sorted(others)
