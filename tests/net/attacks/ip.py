# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Attacks below TCP: forged addresses, source routes, options and extension headers that are wrong or many, fragments,
# datagrams without checksums, router advertisements, and floods that ask for ICMP errors. Made by scapy, where scapy can.

import struct
import time

from scapy.all import (IP, TCP, ICMPv6EchoRequest, ICMPv6ND_RA, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, IPOption, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Jumbo, PadN, Raw,
                       RouterAlert)

from wire import (FLOOD, LONG, SERVER, Found, Peer, address, check, checksum, echo, equal, grown, ip, limited, main,
                  packed, resident, sealed, udp)

ADDRESS = {4: address(4, 20), 6: address(6, 20)}
S4, S6, A4, A6 = SERVER[4], SERVER[6], ADDRESS[4], ADDRESS[6]


def from_stack(packet):
    """Whether the stack sent it: the kernel says things of its own."""
    return packet.source in (packed(S4), packed(S6)) or packet.target in (packed(A4), packed(A6))


def silent(wire, packets):
    """None of these, made by name, is answered."""
    for name, packet in packets:
        wire.drain(0)
        wire.send(packet)
        answer = wire.wait(from_stack, 0.15)
        if answer:
            raise Found("no answer to " + name, bytes(answer.data).hex())
    return "%d kinds were not answered" % len(packets)


def answered(wire, packets, types):
    for name, packet in packets:
        wire.drain(0)
        wire.send(packet)
        if not wire.wait(lambda p: from_stack(p) and p.is_icmp(types), 2):
            raise Found("an answer to " + name, "none")
    return "%d kinds were answered" % len(packets)


# ---- addresses ----

@check(4)
def forged_sources(wire, family, pid):
    sources = (S4, "127.0.0.1", "127.255.0.9", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "240.0.0.1")
    packets = []
    for source in sources[:-1]:
        packets += [("echo from " + source, echo(source, S4)), ("datagram from " + source, udp(source, 7000, S4, 7, b"x")),
                    ("SYN from " + source, bytes(IP(src=source, dst=S4) / TCP(sport=7000, dport=7, flags="S")))]
    packets.append(("LAND", bytes(IP(src=S4, dst=S4) / TCP(sport=7, dport=7, flags="S"))))
    return silent(wire, packets)


@check(6)
def forged_sources6(wire, family, pid):
    packets = []
    for source in (S6, "::1", "::", "ff02::1", "ff0e::9", "::ffff:10.66.0.1"):
        packets += [("echo from " + source, echo(source, S6)), ("datagram from " + source, udp(source, 7000, S6, 7, b"x")),
                    ("SYN from " + source, bytes(IPv6(src=source, dst=S6) / TCP(sport=7000, dport=7, flags="S")))]
    packets.append(("LAND", bytes(IPv6(src=S6, dst=S6) / TCP(sport=7, dport=7, flags="S"))))
    return silent(wire, packets)


@check(4)
def echo_to_everybody(wire, family, pid):
    """No smurf: what goes to all is not answered."""
    packets = []
    for target in ("255.255.255.255", "224.0.0.1", "192.168.3.255"):  # the last one: all of the device's own network
        packets += [("echo to " + target, echo(A4, target)), ("datagram to " + target, udp(A4, 7000, target, 7, b"x")),
                    ("SYN to " + target, bytes(IP(src=A4, dst=target) / TCP(sport=7000, dport=7, flags="S")))]
    return silent(wire, packets)


# ---- options and extension headers ----

@check(4)
def source_routes_and_bad_options(wire, family, pid):
    def with_options(data):
        message = b"\x08\0\0\0\0\1\0\1" + b"x" * 8
        return bytes(IP(src=A4, dst=S4, options=[IPOption(data)]) / Raw(message[:2] + struct.pack("!H", checksum(message)) +
                                                                       message[4:]))
    def raw_options(data):
        packet = bytes(IP(src=A4, dst=S4, ihl=5 + len(data) // 4, proto=1) / Raw(data + b"\x08\0\xf7\xfd\0\1\0\1"))
        head = packet[:10] + b"\0\0" + packet[12:20 + len(data)]
        return packet[:10] + struct.pack("!H", checksum(head)) + packet[12:]
    route = bytes([10, 1, 2, 3])
    silent(wire, [("a loose source route", with_options(b"\x83\x07\x04" + route + b"\0")),
                  ("a strict source route", with_options(b"\x89\x07\x04" + route + b"\0")),
                  ("a used up source route", with_options(b"\x83\x07\x08" + route + b"\0")),
                  ("an option of length 0", raw_options(b"\x07\0\0\0")),
                  ("an option of length 1", raw_options(b"\x44\x01\0\0")),
                  ("an option beyond the header", raw_options(b"\x07\x27\x04\0"))])
    answered(wire, [("router alert", raw_options(b"\x94\x04\0\0")), ("no operation", raw_options(b"\1\1\1\1"))], (0,))
    return "6 were not answered, 2 harmless ones were"


@check(6)
def extension_headers(wire, family, pid):
    base, request = IPv6(src=A6, dst=S6), ICMPv6EchoRequest(id=1, seq=1, data=b"x" * 16)
    whole = bytes(base / request)
    body = whole[40:]
    plain = [("two destination options", base / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / request),
             ("hop-by-hop options", base / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / request),
             ("an atomic fragment", base / IPv6ExtHdrFragment(nh=58, m=0, offset=0, id=5) / Raw(body))]
    answered(wire, [(name, bytes(packet)) for name, packet in plain], (129,))
    many = base
    for _ in range(120):
        many = many / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    bad = [("a routing header of type 0", base / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["fd66::9"]) / request),
           ("a routing header with segments left", base / IPv6ExtHdrRouting(type=253, segleft=3) / request),
           ("120 destination options", many / request),
           ("hop-by-hop options in the middle", base / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / request),
           ("a jumbogram", base / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]) / request),
           ("no next header", IPv6(src=A6, dst=S6, nh=59) / Raw(b"x" * 40)),
           ("an extension header beyond the packet", IPv6(src=A6, dst=S6, nh=60) / Raw(b"\x3a\xff\0\0\0\0\0\0")),
           ("a fragment in a fragment", base / IPv6ExtHdrFragment(nh=44, m=0, id=6) / IPv6ExtHdrFragment(nh=58, m=1, id=7) /
            Raw(body))]
    silent(wire, [(name, bytes(packet)) for name, packet in bad])
    return "3 lawful ones were answered, %d others were not" % len(bad)


# ---- datagrams ----

@check(6)
def datagram_without_checksum(wire, family, pid):
    packet = udp(A6, 7000, S6, 7, b"hello")
    figure = silent(wire, [("a datagram with checksum 0", packet[:46] + b"\0\0" + packet[48:])])
    wire.send(packet)
    if not wire.wait(lambda p: from_stack(p) and p.protocol == 17, 2):
        raise Found("an answer to the right one", "none")
    return figure


@check(4, 6)
def refused_datagrams_are_limited(wire, family, pid):
    packets = [udp(ADDRESS[family], 7000 + i % 1000, SERVER[family], 4000 + i % 1000, b"x") for i in range(FLOOD)]
    return limited(wire, packets, lambda p: p.target == packed(ADDRESS[family]) and p.is_icmp((3, 1)))


@check(4, 6)
def no_echo_between_services(wire, family, pid):
    """A forged datagram from one service to another does not go back and forth."""
    return silent(wire, [("port 7 to port %d" % port, udp(ADDRESS[family], 7, SERVER[family], port, b"x"))
                         for port in (7, 19, 13, 53)])


@check(4, 6)
def errors_about_errors(wire, family, pid):
    """ICMP errors and replies are not answered, whatever they quote."""
    quoted = echo(SERVER[family], ADDRESS[family])
    packets = []
    for kind in (3, 4, 5, 11, 12, 0, 13, 17) if family == 4 else (1, 2, 3, 4, 129, 137, 139, 200):
        message = struct.pack("!BBHI", kind, 0, 0, 0) + quoted
        if family == 4:
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        else:
            message = sealed(A6, S6, 58, message, 2)
        packets.append(("ICMP type %d" % kind, ip(ADDRESS[family], SERVER[family], 1 if family == 4 else 58, message)))
    return silent(wire, packets)


# ---- router advertisements ----

def offered_mss(wire, family):
    peer = Peer(wire, 7, family).connect()
    peer.reset()
    return peer.answer.mss


@check(6)
def router_advertisements(wire, family, pid):
    before = offered_mss(wire, 6)
    head = IPv6(src="fe80::66", dst="ff02::1", hlim=255)
    for mtu in (1280, 68, 9000):
        wire.send(bytes(head / ICMPv6ND_RA(routerlifetime=1800, chlim=1, retranstimer=1, reachabletime=1) /
                        ICMPv6NDOptMTU(mtu=mtu) / ICMPv6NDOptPrefixInfo(prefix="fd66:1::", prefixlen=64)))
        wire.send(bytes(IPv6(src="fe80::66", dst=S6, hlim=255) / ICMPv6ND_RA(chlim=1) / ICMPv6NDOptMTU(mtu=mtu)))
        equal("MSS that is offered after an MTU of %d was advertised" % mtu, before, offered_mss(wire, 6))
    wire.drain(0)
    wire.send(echo(A6, S6, data=b"x" * 1400))
    answer = wire.wait(from_stack, 2)
    equal("the reply to 1400 bytes is cut", False, answer and answer.fragment)
    equal("hop limit of the reply", 64, answer.data[7])
    return "MSS %d, MTU and hop limit as before" % before


# ---- fragments ----

def pieces(family, message, cuts, number):
    """An echo request in pieces: (offset, length) each, the last of which ends it unless `message` goes on."""
    for offset, length in cuts:
        data, more = message[offset:offset + length], offset + length < len(message)
        if family == 4:
            yield bytes(IP(src=A4, dst=S4, id=number, proto=1, frag=offset // 8, flags=int(more)) / Raw(data))
        else:
            yield bytes(IPv6(src=A6, dst=S6) / IPv6ExtHdrFragment(nh=58, offset=offset // 8, m=int(more), id=number) /
                        Raw(data))


@check(4, 6)
def overlapping_fragments(wire, family, pid):
    message = echo(ADDRESS[family], SERVER[family], data=b"y" * 88)[20 if family == 4 else 40:]
    kinds = (("the middle twice", [(0, 48), (40, 24), (56, 40)]), ("the head again, longer", [(0, 24), (0, 48), (48, 48)]),
             ("an end before the end", [(48, 48), (0, 64), (40, 24)]))
    number = 77
    for name, cuts in kinds:
        number += 1
        wire.drain(0)
        for piece in pieces(family, message, cuts, number):
            wire.send(piece)
        answer = wire.wait(lambda p: from_stack(p) and p.is_icmp((0, 129)), 0.3)
        if answer:
            raise Found("no answer to " + name, "one")
    for order in ([(0, 48), (48, 48)], [(48, 48), (0, 48)], [(0, 48), (0, 48), (48, 48)]):
        number += 1
        for piece in pieces(family, message, order, number):
            wire.send(piece)
        if not wire.wait(lambda p: from_stack(p) and p.is_icmp((0, 129)), 2):
            raise Found("an answer to honest fragments %s" % order, "none")
    return "3 kinds were dropped; in order, turned round and repeated ones were put together"


@check(4, 6)
def flood_of_fragments(wire, family, pid):
    """19,990 packets of which only the head comes. None is ever answered, `main` counts that; memory is bounded."""
    before = resident(pid)
    template = next(pieces(family, b"\x08" + b"z" * 2000, [(0, 1400)], 0x1234))
    begin = time.monotonic()
    for number in range(19990):
        packet = bytearray(template)
        if family == 4:
            packet[4:6] = struct.pack("!H", number)
            packet[15] = 1 + number % 200
            packet[10:12] = b"\0\0"
            packet[10:12] = struct.pack("!H", checksum(bytes(packet[:20])))
        else:
            packet[44:48] = struct.pack("!I", number)
            packet[23] = 1 + number % 200
        wire.send(packet)
        if number % 500 == 0:
            wire.drain(0)
    seconds = time.monotonic() - begin
    if not wire.alive(family):
        raise Found("a ping is answered right behind them", "silence")
    figure = grown(pid, before, 20 << 20, "19,990 packets that never end")
    message = echo(ADDRESS[family], SERVER[family], data=b"y" * 88)[20 if family == 4 else 40:]
    for piece in pieces(family, message, [(0, 48), (48, 48)], 9):
        wire.send(piece)
    if not wire.wait(lambda p: from_stack(p) and p.is_icmp((0, 129)), 2):
        raise Found("honest fragments behind them are put together", "no answer")
    return "%s, in %.1f s" % (figure, seconds)


@check(4)
def nothing_is_said_of_lost_fragments(wire, family, pid):
    """Long enough for the time of all fragments above to be over; `main` counts the messages."""
    wire.drain(40 if LONG else 0.1)
    return "%d messages" % wire.time_exceeded


if __name__ == "__main__":
    main()
