#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Two adit serve on one bridge, the kernel on it, and a host behind a third port: everyone reaches everyone, and each
# stack answers for its own addresses only.
set -eu
. "$(dirname "$0")/lib.sh"
PYTHON=/usr/bin/python3 # Debian's, which has scapy
need ping curl nc "$PYTHON"
"$PYTHON" -c 'import scapy.all' 2>/dev/null || skip 'python3-scapy is not installed'

LEFT4=192.168.3.12 LEFT6=fdad:3::12
RIGHT4=192.168.3.13 RIGHT6=fdad:3::13

ip link add bridge0 type bridge
ip link set bridge0 up
ip addr add 192.168.3.1/24 dev bridge0
ip -6 addr add fdad:3::1/64 dev bridge0 nodad

# The host: a namespace behind a port of the bridge.
netns host
ip link add port0 type veth peer name eth0 netns host
ip link set port0 master bridge0 up
in_ns host ip link set eth0 up
in_ns host ip addr add 192.168.3.21/24 dev eth0
in_ns host ip -6 addr add fdad:3::21/64 dev eth0 nodad

for side in left right; do
  case $side in left) own=("$LEFT4" "$LEFT6") ;; right) own=("$RIGHT4" "$RIGHT6") ;; esac
  start $side "$ADIT" serve --dev $side --tap --bridge bridge0 --answer "${own[0]}" --answer "${own[1]}"
  wait_for 10 "$side is ready" file_has "$(out_of $side)" '^Ready'
  wait_for 5 "$side is a port of the bridge" grep -q bridge0 <(ip -o link show $side)
done

# ---- the kernel and the host reach both, and each other ----
for from in kernel host; do
  at=()
  [ $from = kernel ] || at=(ip netns exec host)
  for to in $LEFT4 $RIGHT4 $LEFT6 $RIGHT6; do
    check_command "$from: ping $to" "${at[@]}" ping -n -c 2 -i 0.5 -W 3 $to
    check_contains "$from: ping $to: every one" '2 received' "$OUT"
    check_command "$from: ping $to with 60000 bytes" "${at[@]}" ping -n -c 2 -i 0.5 -W 3 -s 60000 $to
    check_equal "$from: UDP echo of $to" hello "$(printf hello | timeout 10 "${at[@]}" nc -u -w 1 $to 7)"
  done
  for to in $LEFT4 $RIGHT4 "[$LEFT6]" "[$RIGHT6]"; do
    check_equal "$from: bytes of $to" 20000000 \
      "$("${at[@]}" curl -gsS --fail --max-time 60 -o /dev/null -w '%{size_download}' "http://$to/bytes/20000000")"
  done
done
check_command 'the kernel and the host' ping -n -c 1 -W 3 192.168.3.21

# ---- each answers for its own ----
mac_of() { in_ns host ip neigh show "$1" dev eth0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'; }
left_mac=$(mac_of $LEFT4) right_mac=$(mac_of $RIGHT4)
check_match 'the left one has a hardware address' '^[0-9a-f][26ae]:' "$left_mac"
check_match 'the right one has a hardware address' '^[0-9a-f][26ae]:' "$right_mac"
check_lacks 'they differ' "$left_mac" "$right_mac"
check_equal 'left, IPv6' "$left_mac" "$(mac_of $LEFT6)"
check_equal 'right, IPv6' "$right_mac" "$(mac_of $RIGHT6)"

# who_has ADDRESS...: one line for each: the address, and the hardware addresses of all who answer the host's question.
who_has() {
  in_ns host "$PYTHON" - "$@" <<'PYTHON'
import logging, socket, sys
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ARP, Ether, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6, conf, get_if_hwaddr, in6_getnsma,
                       in6_getnsmac, srp)
targets = sys.argv[1:]
mac = get_if_hwaddr("eth0")
conf.verb = 0
def question(target):
    if ":" not in target:
        return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="192.168.3.21", pdst=target)
    group = in6_getnsma(socket.inet_pton(socket.AF_INET6, target))
    return (Ether(src=mac, dst=in6_getnsmac(group)) / IPv6(src="fdad:3::21", dst=socket.inet_ntop(socket.AF_INET6, group))
            / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))
answered, _ = srp([question(target) for target in targets], iface="eth0", timeout=1, multi=True)
for target in targets:
    print(target, *[reply.src for _, reply in answered if (reply.psrc if ARP in reply else reply.tgt) == target])
PYTHON
}
expected="$LEFT4 $left_mac
$RIGHT4 $right_mac
192.168.3.14
$LEFT6 $left_mac
$RIGHT6 $right_mac
fdad:3::14"
check_equal 'who has what' "$expected" "$(who_has $LEFT4 $RIGHT4 192.168.3.14 $LEFT6 $RIGHT6 fdad:3::14)"

# ---- the two reach each other ----
# A stack begins no conversation. So the host sends datagrams in the name of the right one's discard service to the left
# one's echo: the left one asks who that is, the right one answers, and takes what comes.
in_ns host "$PYTHON" - "$left_mac" $LEFT4 $RIGHT4 $LEFT6 $RIGHT6 <<'PYTHON'
import logging, sys
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import Ether, IP, IPv6, Raw, UDP, conf, sendp
mac, left4, right4, left6, right6 = sys.argv[1:]
conf.verb = 0
for size in (5, 1000, 1400):
    data = UDP(sport=9, dport=7) / Raw(b"x" * size)
    sendp([Ether(dst=mac) / IP(src=right4, dst=left4) / data, Ether(dst=mac) / IPv6(src=right6, dst=left6) / data],
          iface="eth0")
PYTHON
bridge_knows() { bridge fdb show br bridge0 | grep -q "^$1 dev $2 "; }
wait_for 5 'the bridge has learned where the left one is' bridge_knows "$left_mac" left
wait_for 5 'the bridge has learned where the right one is' bridge_knows "$right_mac" right
# What the host and the kernel asked it themselves: one datagram each, over both families, with 60000 bytes none.
stop right
check_status 0 'the right one ends in order'
check_match 'the right one got what the left one sent: 4 and 6 datagrams' 'datagrams: 10 in' "$OUT"
check_command 'the left one goes on' ping -n -c 1 -W 3 $LEFT4
run ping -n -c 1 -W 1 $RIGHT4
check_status 1 'nobody answers for the right one'
stop left
check_status 0 'the left one ends in order'
check_match 'the left one counts them: 4 and 6 datagrams' 'datagrams: 10 in' "$OUT"
wait_for 5 'the ports are gone' link_is_gone left

finish
