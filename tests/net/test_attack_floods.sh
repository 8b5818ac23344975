#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Floods from sources that nobody has, against adit serve (TUN, TAP) and adit proxy, with a client beside them that behaves:
# it connects within a second, and the program's memory stays bounded. With ADIT_TEST_LONG=1 ten times as many packets.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"
COUNT=20000
[ "${ADIT_TEST_LONG:-0}" = 0 ] || COUNT=200000
RATE=5000 # a second; a quick computer's line takes more, but the client is to have its share of this one

flood() { "$PYTHON" -B "$ATTACKS/flood.py" adit0 "$@"; }

victim serve
for kind in syn ack udp icmp; do
  beside "TUN, $COUNT of $kind" 1 "http://$V4/" flood - $kind $COUNT $RATE
done
beside "TUN, $COUNT of syn, IPv6" 1 "http://[$V6]/" flood - syn $COUNT $RATE
over TUN

victim serve --tap
mac=$(mac_of_victim)
beside "TAP, $COUNT of syn" 1 "http://$V4/" flood "$mac" syn $COUNT $RATE
beside "TAP, $COUNT of udp" 1 "http://$V4/" flood "$mac" udp $COUNT $RATE
over TAP

# A relay opens a socket for each SYN, to a host beyond a veth pair, which refuses those of the flood. What the sources of the flood are told goes into the
# device, which nobody reads for them.
netns far
ip link add up0 type veth peer name down0 netns far
ip addr add 10.77.0.1/24 dev up0 && ip link set up0 up
in_ns far sh -c "ip addr add 10.77.0.2/24 dev down0 && ip link set down0 up && ip addr add $V4/32 dev lo"
in_ns far ip route add default via 10.77.0.1
in_ns far sysctl -qw net.core.somaxconn=4096
printf '<p>far</p>' >"$WORK/index.html"
start_in far web "$PYTHON" -m http.server --directory "$WORK" 8080
wait_for 10 'the far server answers' in_ns far curl -sf -o /dev/null http://10.77.0.2:8080/
ip route add $V4/32 via 10.77.0.2 dev up0 table 77
ip rule add fwmark 7 lookup 77
ip -6 rule add fwmark 7 unreachable
victim proxy --upstream direct:// --mark 7 --icmp reply
MOST_KB=65536
beside "proxy, $COUNT of syn" 1 "http://$V4:8080/" flood - syn $COUNT $RATE
beside "proxy, $COUNT of udp" 1 "http://$V4:8080/" flood - udp $COUNT $RATE
over proxy

finish
