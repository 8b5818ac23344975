#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit serve --tap on an Ethernet with the kernel: who answers ARP and neighbour discovery for what, real clients over both
# families, and hardware addresses that change while connections are open.
set -eu
. "$(dirname "$0")/lib.sh"
PYTHON=/usr/bin/python3 # Debian's, which has scapy
need ping curl nc dig "$PYTHON"
"$PYTHON" -c 'import scapy.all' 2>/dev/null || skip 'python3-scapy is not installed'

V4=192.168.3.12
V6=fdad:3::12
KERNEL_MAC=02:aa:00:00:00:01

# serve ARGUMENT...: start it on adit0 with a known hardware address on the kernel's side.
serve() {
  start tap "$ADIT" serve --dev adit0 --tap "$@"
  wait_for 10 'it is ready' file_has "$(out_of tap)" '^Ready'
  ip link set adit0 address $KERNEL_MAC
}

neighbour_mac() { ip neigh show "$1" dev adit0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'; }

# who_has ADDRESS...: one line for each: the address, and the hardware addresses that answer ARP or a solicitation for it,
# those of the frame and those that it names.
who_has() {
  "$PYTHON" - $KERNEL_MAC "$@" <<'PYTHON'
import logging, socket, sys
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ARP, Ether, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6, conf, in6_getnsma, in6_getnsmac, srp
mac, *targets = sys.argv[1:]
conf.verb = 0
def question(target):
    if ":" not in target:
        return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="192.168.3.11", pdst=target)
    group = in6_getnsma(socket.inet_pton(socket.AF_INET6, target))
    return (Ether(src=mac, dst=in6_getnsmac(group)) / IPv6(src="fdad:3::11", dst=socket.inet_ntop(socket.AF_INET6, group))
            / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))
answered, _ = srp([question(target) for target in targets], iface="adit0", timeout=1, multi=True)
for target in targets:
    macs = []
    for _, reply in answered:
        if (reply.psrc if ARP in reply else reply.tgt) == target:
            macs += [reply.src, reply.hwsrc if ARP in reply else reply.lladdr]
    print(target, *macs)
PYTHON
}

all_clients() { # all_clients WHAT
  local host
  for host in $V4 $V6; do
    check_command "$1: ping $host" ping -n -c 2 -i 0.5 -W 2 "$host"
    check_contains "$1: ping $host: every one" '2 received' "$OUT"
    check_command "$1: ping $host with 60000 bytes" ping -n -c 2 -i 0.5 -W 3 -s 60000 "$host"
    check_contains "$1: ping $host with 60000 bytes: every one" '2 received' "$OUT"
    check_equal "$1: TCP echo of $host" hello "$(printf hello | timeout 10 nc -N -w 2 "$host" 7)"
    check_equal "$1: UDP echo of $host" hello "$(printf hello | timeout 10 nc -u -w 1 "$host" 7)"
    check_equal "$1: dig @$host" $V4 "$(dig +short +tries=1 @"$host" adit.test A)"
  done
  for host in $V4 "[$V6]"; do
    check_equal "$1: bytes of $host" 20000000 \
      "$(curl -gsS --fail --max-time 60 -o /dev/null -w '%{size_download}' "http://$host/bytes/20000000")"
  done
}

serve
all_clients tap

# ---- who answers for what ----
mac=$(neighbour_mac $V4)
check_match 'the stack has a hardware address of its own, made up and no group' '^[0-9a-f][26ae]:' "$mac"
check_lacks 'it is not that of the device' $KERNEL_MAC "$mac"
check_equal 'the same for IPv6' "$mac" "$(neighbour_mac $V6)"
ours=("$V4" 192.168.3.1 192.168.3.254 "$V6" fdad:3::1 fdad:3::ffff:1)
others=(192.168.3.11 192.168.4.12 10.0.0.1 fdad:3::11 fdad:4::12 2001:db8::1)
check_equal 'who has our addresses' "$(printf "%s $mac $mac\n" "${ours[@]}")" "$(who_has "${ours[@]}")"
check_equal 'who has others' "$(printf '%s\n' "${others[@]}")" "$(who_has "${others[@]}")"

# ---- the kernel takes an address: free or not (RFC 4862, 5.4) ----
address_settled() { ! ip -6 addr show dev adit0 to "$1" | grep -q ' tentative' || ip -6 addr show dev adit0 to "$1" | grep -q dadfailed; }
echo 1 >/proc/sys/net/ipv6/conf/adit0/accept_dad # lib.sh has switched it off
ip -6 addr add fdad:3::77/64 dev adit0
wait_for 5 'the kernel has asked for fdad:3::77' address_settled fdad:3::77
check_contains 'an address that the stack is, is not free' dadfailed "$(ip -6 addr show dev adit0 to fdad:3::77)"
ip -6 addr del fdad:3::77/64 dev adit0
ip -6 addr add fdad:9::77/64 dev adit0
wait_for 5 'the kernel has asked for fdad:9::77' address_settled fdad:9::77
check_lacks 'another one is' dadfailed "$(ip -6 addr show dev adit0 to fdad:9::77)"

# ---- a client in another network: the stack finds it all the same ----
check_command 'ping from another IPv6 network' ping -n -c 2 -i 0.5 -W 2 -I fdad:9::77 $V6
ip -6 addr del fdad:9::77/64 dev adit0

# ---- tables forgotten, and hardware addresses that change, in the middle of a transfer ----
# The kernel announces a new hardware address: gratuitous ARP and an unsolicited advertisement.
sysctl -qw net.ipv4.conf.adit0.arp_notify=1 net.ipv6.conf.adit0.ndisc_notify=1
for host in $V4 "[$V6]"; do
  start get curl -gsS --fail --max-time 60 --limit-rate 20M -o /dev/null -w '%{size_download}' "http://$host/bytes/60000000"
  for change in 1 2 3 4; do
    sleep 0.2 # somewhere in the transfer, it does not matter where
    ip neigh flush dev adit0
    ip link set adit0 address 02:aa:00:00:00:0$change
  done
  await get 60
  check_equal "a transfer from $host across four hardware addresses" 60000000 "$OUT"
done
check_command 'ping afterwards' ping -n -c 2 -i 0.5 -W 2 $V4
check_command 'ping afterwards over IPv6' ping -n -c 2 -i 0.5 -W 2 $V6
stop tap
check_status 0 'it ends in order'
check_lacks 'nothing went wrong' ERROR "$ERR"

# ---- without offload ----
serve --no-offload
all_clients 'tap without offload'
stop tap
check_status 0 'it ends in order without offload'

finish
