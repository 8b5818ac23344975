# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Peers that go away without a word, in every state in which that may be: against an adit serve with --idle-timeout 3.

import time

from wire import ACK, FIN, PSH, RST, Found, Peer, check, equal, main, within

IDLE, SLACK = 3, 3


def fate(peer, keep=None):
    """Seconds until the stack resets the connection; meanwhile the peer does what `keep` says to each segment."""
    begin = time.monotonic()
    while time.monotonic() - begin < IDLE + SLACK:
        segment = peer.take(0.2)
        if segment and segment.flags & RST:
            return time.monotonic() - begin
        if segment and keep:
            keep(segment)
    raise Found("a reset within %d s" % (IDLE + SLACK), "none")


@check(4, 6)
def established(wire, family, pid):
    seconds = fate(Peer(wire, 7, family).connect())
    within("seconds", IDLE - 1, IDLE + SLACK, seconds)
    return "reset after %.1f s" % seconds


@check(4, 6)
def close_wait(wire, family, pid):
    """Half-closed by the peer, with bytes on the way to it that it does not take."""
    peer = Peer(wire, 7, family, window=0).connect()
    peer.raw(ACK | PSH | FIN, b"to be sent back")
    return "reset after %.1f s" % fate(peer)


@check(4, 6)
def closed_window(wire, family, pid):
    """A window that stays shut, from a peer that answers each probe."""
    peer = Peer(wire, 19, family, window=0).connect()
    return "reset after %.1f s" % fate(peer, lambda segment: peer.raw(ACK, window=0))


@check(4, 6)
def one_that_moves(wire, family, pid):
    """Bytes now and then keep a connection alive."""
    peer, begin = Peer(wire, 7, family).connect(), time.monotonic()
    while time.monotonic() - begin < 2 * IDLE:
        if not peer.echoes():
            raise Found("it lives", "no echo after %.1f s" % (time.monotonic() - begin))
        time.sleep(0.5)
    peer.reset()
    return "alive after %d s" % (2 * IDLE)


if __name__ == "__main__":
    main()
