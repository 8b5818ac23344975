#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What is wrong with a packet is counted by its reason and does no harm: packets made by scapy are sent into the device of a
# running adit serve, with false offload notes too, while ping and curl go on beside them. Then MTUs from 576 to 65520.
set -eu
. "$(dirname "$0")/lib.sh"
PYTHON=/usr/bin/python3 # Debian's, which has scapy
need ping curl nc "$PYTHON"
"$PYTHON" -c 'import scapy.all' 2>/dev/null || skip 'python3-scapy is not installed'

V4=192.168.3.12
V6=fdad:3::12

# The sender. A packet socket hands its bytes to the device as they are; with PACKET_VNET_HDR (linux/if_packet.h) the
# offload notes as well, as far as the kernel lets them pass. Prints how many of each kind were sent: COUNT REASON.
cat >"$WORK/hostile.py" <<'PYTHON'
import collections, logging, os, random, socket, struct, sys, time
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ICMP, IP, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting, PadN, Raw, TCP,
                       UDP, ICMPv6EchoRequest)
device, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ethernet = bytes.fromhex(sys.argv[4].replace(":", "")) if len(sys.argv) > 4 else None
random.seed(seed)
A4, S4, A6, S6 = "192.168.3.11", "192.168.3.12", "fdad:3::11", "fdad:3::12"
plain = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
plain.bind((device, 0x0800))
noted = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
noted.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
noted.bind((device, 0x0800))
sent = collections.Counter()
ADDRESSED = bytes([2, 0, 0, 0, 0, 9])

def framed(packet):
    if ethernet is None:
        return packet
    kind = b"\x08\x00" if packet[:1] < b"\x60" else b"\x86\xdd"
    return ethernet + ADDRESSED + kind + packet

def send(reason, packet, notes=None):
    packet = framed(bytes(packet))
    for _ in range(1000):
        try:
            if notes is None:
                plain.send(packet)
            else:
                noted.send(notes + packet)
            sent[reason] += 1
            if sum(sent.values()) % 16 == 0:
                time.sleep(0.002)  # the device's queue is for the clients as well
            return
        except BlockingIOError:
            time.sleep(0.001)
        except OSError as error:
            if error.errno == 105:  # ENOBUFS: the device's queue is full
                time.sleep(0.001)
                continue
            if notes is None:
                raise
            return  # the kernel does not let these notes pass
    raise SystemExit("the device takes nothing any more")

def flip(packet, at):
    packet = bytearray(bytes(packet))
    packet[at] ^= 1 << random.randrange(8)
    return bytes(packet)

def ip4(protocol, payload, **fields):
    return bytes(IP(src=A4, dst=S4, proto=protocol, **fields) / Raw(payload))

udp4 = IP(src=A4, dst=S4) / UDP(sport=4000, dport=9) / Raw(b"x" * 32)
tcp4 = IP(src=A4, dst=S4) / TCP(sport=4000, dport=9, flags="A") / Raw(b"x" * 32)
icmp4 = IP(src=A4, dst=S4) / ICMP(id=1, seq=1) / Raw(b"x" * 32)
udp6 = IPv6(src=A6, dst=S6) / UDP(sport=4000, dport=9) / Raw(b"x" * 32)
tcp6 = IPv6(src=A6, dst=S6) / TCP(sport=4000, dport=9, flags="A") / Raw(b"x" * 32)
icmp6 = IPv6(src=A6, dst=S6) / ICMPv6EchoRequest(id=1, seq=1) / Raw(b"x" * 32)

def notes(flags=0, gso=0, header=0, size=0, start=0, offset=0):
    return struct.pack("=BBHHHH", flags, gso, header, size, start, offset)

link = 14 if ethernet else 0
for _ in range(rounds):
    for packet in udp4, tcp4, icmp4, udp6, tcp6, icmp6:
        whole = bytes(packet)
        send("truncated", whole[: random.randrange(1, len(whole))])
    send("ip version", b"\x05" + bytes(udp4)[1:])
    send("ip version", bytes([random.choice((0x10, 0x25, 0x50, 0x75, 0xf0))]) + os.urandom(40))
    send("header", b"\x44" + bytes(udp4)[1:])
    send("header", bytes(IP(src=A4, dst=S4, ihl=15, len=28) / UDP(sport=1, dport=9, len=8)))
    send("header", bytes(IP(src=A4, dst=S4) / TCP(sport=1, dport=9, dataofs=4)))
    send("header", bytes(IP(src=A4, dst=S4) / UDP(sport=1, dport=9, len=7)))
    send("header", bytes(IP(src=A4, dst=S4, options=[IPOption(b"\x07\x0b\x04")]) / UDP(sport=1, dport=9)))
    send("header", bytes(IPv6(src=A6, dst=S6) / IPv6ExtHdrRouting(type=4, segleft=1) / UDP(sport=1, dport=9)))
    send("ip checksum", flip(udp4, 10))
    send("ip checksum", flip(tcp4, 11))
    send("tcp checksum", flip(tcp4, 36))
    send("tcp checksum", flip(tcp6, len(tcp6) - 1))
    send("udp checksum", flip(udp4, 30))
    send("udp checksum", flip(udp6, len(udp6) - 2))
    send("udp checksum", bytes(udp6)[:46] + b"\0\0" + bytes(udp6)[48:])
    send("icmp checksum", flip(icmp4, 23))
    send("icmp checksum", flip(icmp6, 50))
    send("protocol", ip4(47, b"\0" * 20))
    send("protocol", ip4(58, b"\0" * 20))
    send("protocol", bytes(IPv6(src=A6, dst=S6, nh=59)))
    send("protocol", bytes(IP(src=A4, dst=S4) / ICMP(type=13)))
    send("oversized", bytes(IP(src=A4, dst=S4, frag=8190, flags=0, proto=17) / Raw(b"x" * 600)))
    send("oversized", bytes(IPv6(src=A6, dst=S6) / IPv6ExtHdrFragment(nh=17, offset=8190, m=0) / Raw(b"x" * 600)))
    for source, target in ((S4, S4), ("127.0.0.1", S4), (A4, "127.0.0.1"), ("224.0.0.1", S4), ("0.0.0.0", S4),
                           ("255.255.255.255", S4), (A4, "255.255.255.255"), (A4, "10.1.2.3"), (A4, A4)):
        send("address", bytes(IP(src=source, dst=target) / UDP(sport=1, dport=9)))
    for source, target in ((S6, S6), ("::1", S6), ("ff02::1", S6), ("::", S6), ("::ffff:1.2.3.4", S6), (A6, "2001:db8::1")):
        send("address", bytes(IPv6(src=source, dst=target) / UDP(sport=1, dport=9)))
    # Fragments that overlap: what was there goes with them.
    number = random.randrange(65536)
    for offset, more in ((0, 1), (1, 1)):
        send("fragment", bytes(IP(src=A4, dst=S4, id=number, proto=17, frag=offset, flags=more) / Raw(b"x" * 16)))
    # Notes that the kernel lets pass: a checksum anywhere in the packet.
    for start, offset in ((4, 6), (20, 0), (28, 6), (40, 8), (20, 16)):
        send("offload", bytes(udp4), notes(flags=1, start=link + start, offset=offset))

# Whatever gets through of this, or not: nothing may break.
for _ in range(rounds * 20):
    packet = bytearray(os.urandom(random.randrange(1, 120)))
    if random.random() < 0.7:
        packet = bytearray(bytes(random.choice((udp4, tcp4, icmp4, udp6, tcp6, icmp6))))
        for _ in range(random.randrange(1, 4)):
            packet[random.randrange(len(packet))] = random.randrange(256)
    send("any", packet)
    large = bytes(random.choice((udp4, tcp4, udp6, tcp6))) + os.urandom(random.randrange(3000))
    send("any", large, notes(random.choice((0, 1, 2)), random.choice((0, 1, 3, 4, 5, 0x81)), random.randrange(200),
                             random.randrange(3000), random.choice((link + 20, link + 40, random.randrange(100))),
                             random.choice((16, 6, 2, random.randrange(40)))))
for reason, count in sorted(sent.items()):
    print(count, reason)
PYTHON

serve() {
  start serve "$ADIT" serve --dev adit0 "$@"
  wait_for 10 'it is ready' file_has "$(out_of serve)" '^Ready'
  ip link set adit0 txqueuelen 20000 # the kernel's queue in front of the program: nothing is to be lost there
}

# dropped REASON: how many the final line counts.
dropped() {
  local count
  count=$(sed -n "s/.*dropped: [0-9]* (\(.*\))/, \1/p" <<<"$OUT" | sed -n "s/.*, \([0-9]*\) $1.*/\1/p")
  printf '%s' "${count:-0}"
}

# hostile WHAT [MAC]: send it all, with clients beside it, and look at the counts.
hostile() {
  local what=$1 host count reason
  shift
  start sender "$PYTHON" "$WORK/hostile.py" adit0 7 40 "$@"
  for host in $V4 $V6; do
    start "ping$host" ping -n -c 20 -i 0.2 -W 3 "$host"
  done
  start get curl -gsS --fail --max-time 60 --limit-rate 20M -o /dev/null -w '%{size_download}' "http://$V4/bytes/60000000"
  await sender 120
  check_status 0 "$what: everything was sent"
  local sent=$OUT
  for host in $V4 $V6; do
    await "ping$host" 30
    check_contains "$what: ping $host beside it" '20 received' "$OUT"
  done
  await get 90
  check_equal "$what: curl beside it" 60000000 "$OUT"
  check_command "$what: ping afterwards" ping -n -c 2 -i 0.5 -W 3 $V4
  check_command "$what: ping afterwards over IPv6" ping -n -c 2 -i 0.5 -W 3 $V6
  stop serve
  check_status 0 "$what: it ends in order"
  check_lacks "$what: nothing went wrong" ERROR "$ERR"
  while read -r count reason; do
    # Garbage, and what the kernel itself sends to groups, adds to some: none may be fewer than were sent.
    case "$what $reason" in
      *' any') ;;
      *without*' offload') check_equal "$what: the kernel keeps its notes" 0 "$(dropped offload)" ;;
      *) check_at_least "$what: $reason" "$count" "$(dropped "$reason")" ;;
    esac
  done <<<"$sent"
  check_at_least "$what: all reasons were there" 12 "$(wc -l <<<"$sent")"
}

serve
hostile 'TUN with offload'
serve --no-offload
hostile 'TUN without offload'
serve --tap
check_command 'the neighbour is known' ping -n -c 1 -W 3 $V4
mac=$(ip neigh show $V4 dev adit0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
hostile TAP "$mac"

# ---- counted exactly, where nobody else sends anything ----
serve --no-offload --address 192.168.3.11/24
sysctl -qw net.ipv6.conf.adit0.disable_ipv6=1
"$PYTHON" - <<'PYTHON'
import socket, logging
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ICMP, IP, Raw, TCP, UDP
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind(("adit0", 0x0800))
head = {"src": "192.168.3.11", "dst": "192.168.3.12"}
for _ in range(7):
    out.send(bytes(IP(**head) / UDP(sport=1, dport=9, chksum=0x1234) / Raw(b"abc")))
for _ in range(5):
    out.send(bytes(IP(**head) / TCP(sport=1, dport=9, chksum=0x1234)))
for _ in range(3):
    out.send(bytes(IP(**head) / ICMP(chksum=0x1234)))
for _ in range(2):
    out.send(bytes(IP(chksum=0x1234, **head) / UDP(sport=1, dport=9)))
PYTHON
check_command 'ping behind them' ping -n -c 1 -W 3 $V4
stop serve
check_equal 'UDP checksums' 7 "$(dropped 'udp checksum')"
check_equal 'TCP checksums' 5 "$(dropped 'tcp checksum')"
check_equal 'ICMP checksums' 3 "$(dropped 'icmp checksum')"
check_equal 'IPv4 checksums' 2 "$(dropped 'ip checksum')"

# ---- MTUs ----
for mtu in 576 1280 9000 65520; do
  for offload in '' --no-offload; do
    serve --mtu $mtu $offload
    hosts=("$V4" "$V6")
    [ $mtu -ge 1280 ] || hosts=("$V4") # the kernel has no IPv6 on a smaller one
    for host in "${hosts[@]}"; do
      url=$host
      case $host in *:*) url="[$host]" ;; esac
      check_command "MTU $mtu $offload: ping $host with 60000 bytes" ping -n -c 2 -i 0.5 -W 3 -s 60000 "$host"
      check_contains "MTU $mtu $offload: ping $host with 60000 bytes: every one" '2 received' "$OUT"
      check_equal "MTU $mtu $offload: bytes of $host" 10000000 \
        "$(curl -gsS --fail --max-time 60 -o /dev/null -w '%{size_download}' "http://$url/bytes/10000000")"
      seq 1 9000 >"$WORK/numbers"
      timeout 20 nc -N "$host" 7 <"$WORK/numbers" >"$WORK/echoed" || fail "MTU $mtu $offload: echo of $host"
      check_command "MTU $mtu $offload: echo of $host" cmp "$WORK/numbers" "$WORK/echoed"
    done
    stop serve
    check_status 0 "MTU $mtu $offload: it ends in order"
  done
done

finish
