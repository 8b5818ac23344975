# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Attacks on TCP, played on the wire against the services of adit serve: guesses, floods of strange segments, peers that want
# work or memory instead of data.

import struct
import time

from wire import (ACK, FIN, FLOOD, LONG, PSH, RST, SERVER, SYN, Found, Peer, address, check, checksum, echo, equal, grown,
                  ip, limited, main, packed, resident, sealed, tcp, within)

WINDOW = 1 << 20


# ---- what can be foreseen ----

@check(4, 6)
def initial_sequence_numbers(wire, family, pid):
    numbers = []
    for _ in range(200):
        peer = Peer(wire, 7, family)
        peer.connect()
        numbers.append(peer.answer.seq)
        peer.reset()
    tops = len({number >> 24 for number in numbers})
    near = sum(abs(a - b) < 1 << 20 for a, b in zip(numbers, numbers[1:]))
    within("values of the upper 8 bits in 200 connections", 90, 256, tops)
    within("neighbours", 0, 4, near)
    return "%d of 256 values of the upper 8 bits, %d of 199 near the one before" % (tops, near)


@check(4)
def ip_identification(wire, family, pid):
    """What is never fragmented has none (RFC 6864); what may be has one that cannot be foreseen."""
    numbers = []
    peer = Peer(wire, 7, family).connect()
    for number in range(200):
        source = address(4, 9)
        wire.send(echo(source, SERVER[4], number))
        answer = wire.wait(lambda p: p.target == packed(source), 2)
        numbers.append(answer.ip_id)
        peer.say(b"x")
        segment = peer.take(2, lambda s: s.data)
        peer.expected += 1
        equal("identification of a segment", 0, segment.ip_id)
    peer.reset()
    near = sum((b - a) % 65536 < 100 for a, b in zip(numbers, numbers[1:]))
    within("identifications near the one before, of 200", 0, 6, near)
    return "0 in 200 segments; of 200 echoes %d are within 100 of the one before" % near


# ---- answers are limited ----

@check(4, 6)
def resets_are_limited(wire, family, pid):
    source = address(family, 3)
    packets = [tcp(source, 1024 + i, SERVER[family], 7, 1, 1, ACK) for i in range(FLOOD)]
    return limited(wire, packets, lambda p: p.protocol == 6 and p.target == packed(source))


@check(4, 6)
def refusals_are_resets(wire, family, pid):
    """A closed port says so: a SYN gets RST with ACK, an ACK gets RST without."""
    peer = Peer(wire, 4444, family)
    peer.syn()
    answer = peer.take()
    equal("flags for a SYN", RST | ACK, answer and answer.flags)
    equal("acknowledgment for a SYN", peer.next + 1, answer.ack)
    peer.raw(ACK, ack=77)
    answer = peer.take()
    equal("flags for an ACK", RST, answer and answer.flags)
    equal("sequence number for an ACK", 77, answer.seq)
    return "RST with ACK for a SYN, without for an ACK"


@check(4, 6)
def challenges_are_limited(wire, family, pid):
    figures = []
    kinds = (("RST", RST, 1000, b""), ("SYN", SYN, 0, b""), ("old", ACK, -50, b"old"), ("beyond", ACK, 300000, b"far"))
    for name, flags, ahead, data in kinds:
        time.sleep(1)
        peer = Peer(wire, 7, family).connect()
        packet = tcp(peer.source, peer.sport, peer.server, 7, peer.next + ahead, peer.expected, flags, data)
        figures.append(name + ": " + limited(wire, [packet] * FLOOD, peer.parse, 1))
        if not peer.echoes():
            raise Found("the connection lives after %s" % name, "no echo")
        peer.reset()
    return "; ".join(figures)


# ---- acceptability ----

@check(4, 6)
def acknowledgment_beyond_what_was_sent(wire, family, pid):
    peer = Peer(wire, 7, family).connect()
    for ahead in (1, 1000, 1 << 30):
        peer.raw(ACK | PSH, b"forged", ack=peer.expected + ahead)
    peer.raw(PSH, b"forged")
    peer.raw(FIN)
    data = [s for s in peer.drain(0.5) if s.data or s.flags & (FIN | RST)]
    equal("segments that take it for data", [], data)
    if not peer.echoes():
        raise Found("the connection lives", "no echo")
    peer.reset()
    return "nothing was taken of 3 with an ACK beyond, and 2 without ACK"


@check(4, 6)
def edges_of_a_reset(wire, family, pid):
    peer = Peer(wire, 7, family).connect()
    window = 128 * 1024
    for ahead in (1, 100, window - 1, window, window + 1, -1):
        peer.raw(RST, seq=peer.next + ahead)
        if not peer.echoes():
            raise Found("a reset %d ahead does nothing" % ahead, "no echo")
    peer.raw(RST)
    peer.drain(0.2)
    peer.raw(ACK)
    answer = peer.take()
    equal("flags of the answer after the exact reset", RST, answer and answer.flags)
    return "6 near ones were survived, the exact one resets"


@check(4, 6)
def hole_is_acknowledged_when_filled(wire, family, pid):
    peer = Peer(wire, 9, family).connect()
    peer.raw(ACK, b"b" * 100, seq=peer.next + 100)
    repeated = peer.take()
    equal("acknowledgment of what lies behind the hole", peer.next, repeated and repeated.ack)
    begin = time.monotonic()
    peer.raw(ACK, b"a" * 100)
    answer = peer.take(3, lambda s: s.ack == peer.next + 200)
    if not answer:
        raise Found("an acknowledgment of both", "none in 3 s")
    milliseconds = (answer.when - begin) * 1000
    within("milliseconds until then", 0, 100, milliseconds)
    peer.reset()
    return "%.1f ms" % milliseconds


# ---- windows ----

@check(4, 6)
def window_shrunk_to_zero(wire, family, pid):
    peer = Peer(wire, 19, family, window=20000).connect()
    first = peer.drain(0.3)
    got = max(s.seq + len(s.data) - peer.expected for s in first)
    peer.expected += got
    peer.raw(ACK, window=20000)
    peer.raw(ACK, window=0)  # the same numbers, a smaller window
    peer.drain(0.3)
    probes = peer.drain(65 if LONG else 2.5)
    bytes_sent = max([len(s.data) for s in probes] or [0])
    within("probes of the closed window", 1, 100, len(probes))
    within("bytes in a probe", 0, 1000, bytes_sent)
    equal("resets", 0, sum(1 for s in probes if s.flags & RST))
    # Whatever was sent into the shrunk window was lost: it comes again once there is room.
    peer.raw(ACK, window=20000)
    again = peer.take(10, lambda s: s.data and s.seq == peer.expected)
    if not again:
        raise Found("data when the window opens", "none in 10 s")
    peer.reset()
    return "%d probes, then data again" % len(probes)


@check(4, 6)
def least_segment_size(wire, family, pid):
    figures = []
    for mss in (1, 0):
        peer = Peer(wire, 80, family, mss=None, options=struct.pack("!BBH", 2, 4, mss)).connect()
        peer.say(b"GET /bytes/4000 HTTP/1.0\r\n\r\n")
        segments, got = 0, 0
        while got < 4000:
            segment = peer.take(3, lambda s: s.data)
            if not segment:
                raise Found("4000 bytes at an MSS of %d" % mss, got)
            segments += -(-len(segment.data) // segment.size)
            if segment.seq == peer.expected:
                got += len(segment.data)
                peer.expected += len(segment.data)
            peer.raw(ACK)
        within("segments for %d bytes" % got, 1, got // 48 + 8, segments)
        peer.reset()
        figures.append("MSS %d: %d segments for %d bytes" % (mss, segments, got))
    return ", ".join(figures)


@check(4, 6)
def path_mtu(wire, family, pid):
    """A router says what fits. It is believed when it quotes what is under way, and not otherwise."""
    peer = Peer(wire, 80, family, mss=1400, window=60000).connect()
    peer.say(b"GET /bytes/200000 HTTP/1.0\r\n\r\n")
    wide = max(s.size for s in peer.drain(0.2))
    router, kind = address(family, 99), {4: 1, 6: 58}[family]

    def too_big(seq, mtu):
        quote = tcp(peer.server, 80, peer.source, peer.sport, seq, 0, ACK, b"x" * 8)
        message = (struct.pack("!BBHHH", 3, 4, 0, 0, mtu) if family == 4 else struct.pack("!BBHI", 2, 0, 0, mtu)) + quote
        if family == 4:
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        else:
            message = sealed(router, peer.server, 58, message, 2)
        wire.send(ip(router, peer.server, kind, message))

    for seq in (peer.expected - 1, peer.expected + (1 << 30), 0):
        too_big(seq, 1280)
    equal("segments after forged messages", 0, len([s for s in peer.drain(0.1) if s.data]))
    too_big(peer.expected, 1280)
    again = [s for s in peer.drain(0.1) if s.data]
    if not again:
        raise Found("what was under way is sent again at once", "nothing")
    equal("first byte that is sent again", peer.expected, again[0].seq)
    within("bytes of a segment", 1000, 1280 - (40 if family == 4 else 60), max(s.size for s in again))
    peer.reset()
    return "segments of %d bytes became %d; 3 forged messages did nothing" % (wide, max(s.size for s in again))


# ---- memory ----

@check(4, 6)
def tiny_segments_out_of_order(wire, family, pid):
    count = 15000
    before = resident(pid)
    peer = Peer(wire, 9, family).connect()
    for i in range(count):
        wire.send(tcp(peer.source, peer.sport, peer.server, 9, peer.next + 1 + 2 * i, peer.expected, ACK, b"x"))
        if i % 500 == 0:
            wire.drain(0)
    wire.drain(0.5)
    figure = grown(pid, before, 4 * WINDOW, "%d segments" % count)
    peer.raw(ACK, b"y")
    answer = peer.take(3, lambda s: s.ack >= peer.next + 2)
    if not answer:
        raise Found("the hole is filled in the end", "no acknowledgment")
    peer.reset()
    return figure


@check(4, 6)
def tiny_segments_unread(wire, family, pid):
    """Port 7 reads no more while the peer takes nothing: each byte waits, there or on the way back."""
    count = 60000 if LONG else 30000
    before = resident(pid)
    peer = Peer(wire, 7, family, window=0).connect()
    for i in range(count):
        wire.send(tcp(peer.source, peer.sport, peer.server, 7, peer.next, peer.expected, ACK, b"x", 0))
        peer.next += 1
        if i % 200 == 0:
            wire.drain(0.002)
    wire.drain(0.5)
    figure = grown(pid, before, 4 * WINDOW, "%d segments" % count)
    peer.reset()
    return figure


# ---- ends ----

@check(4, 6)
def time_wait(wire, family, pid):
    count = 10000 if LONG else 3000
    before, peers = resident(pid), []
    for i in range(count):
        peer = Peer(wire, 13, family, sport=1024 + i, source=address(family, 40))
        peer.connect()
        segment = peer.take(3, lambda s: s.flags & FIN)
        if not segment:
            raise Found("daytime ends connection %d" % i, "no FIN")
        peer.expected = segment.seq + len(segment.data) + 1
        peer.raw(ACK | FIN)
        peer.next += 1
        peers.append(peer)
    wire.drain(0.3)
    figure = grown(pid, before, count * 256 + (1 << 20), "%d connections in TIME-WAIT" % count)
    peer = peers[-1]
    peer.raw(ACK | FIN, seq=peer.next - 1)
    answer = peer.take()
    equal("flags for a FIN that is repeated", ACK, answer and answer.flags)
    peer.raw(SYN, seq=peer.next - 500, ack=0, options=peer.options)
    answer = peer.take()
    equal("flags for an older SYN", ACK, answer and answer.flags)
    begin = time.monotonic()
    for peer in peers[::100]:
        peer.next += 100000
        peer.connect()
        peer.reset()
    milliseconds = (time.monotonic() - begin) * 1000 / len(peers[::100])
    return "%s; newer SYNs were answered in %.1f ms each" % (figure, milliseconds)


if __name__ == "__main__":
    main()
