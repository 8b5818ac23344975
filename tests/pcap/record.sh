#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Makes the recordings in this folder anew: real clients, against adit serve and against servers of the kernel's.
#
#   sudo ADIT=build/dev/adit tests/pcap/record.sh [NAME...]
#
# README.md says what each holds. After it, ADIT=build/dev/adit tests/pcap/recordings.py --update writes what the stack
# answers to them; look at the difference before you commit it.
set -eu
. "$(dirname "$0")/../net/lib.sh"
need tcpdump ping curl nc dig iperf3 socat python3 nft ethtool

HERE=$(cd "$(dirname "$0")" && pwd)
LARGEST=100000 # bytes of a recording
ONLY=("$@")
V4=192.168.3.12
V6=fdad:3::12

# Clients say what they like; only the packets count.
quietly() { timeout 10 "$@" >"$WORK/client.out" 2>&1 || :; }

# wanted NAME: whether it was asked for.
wanted() {
  local name
  [ ${#ONLY[@]} != 0 ] || return 0
  for name in "${ONLY[@]}"; do [ "$name" != "$1" ] || return 0; done
  return 1
}

# Nothing has been written for a while.
has_settled() {
  local size
  size=$(stat -c %s "$1")
  sleep 0.3
  [ "$size" = "$(stat -c %s "$1")" ]
}

# record NAME DEVICE FUNCTION: what FUNCTION does, as seen on DEVICE.
record() {
  wanted "$1" || return 0
  start "tcpdump" tcpdump -i "$2" -n -s 0 -U --immediate-mode -B 16384 -Z root -w "$WORK/$1.pcap" ip or ip6 or arp
  wait_for 5 "tcpdump listens" file_has "$(err_of tcpdump)" 'listening on'
  "$3"
  wait_for 10 "$1: the last packet" has_settled "$WORK/$1.pcap"
  stop tcpdump INT
  check_contains "$1: no packet is missing" '0 packets dropped by kernel' "$ERR"
  size=$(stat -c %s "$WORK/$1.pcap")
  [ "$size" -gt 24 ] || fail "$1: nothing was recorded"
  [ "$size" -le $LARGEST ] || fail "$1: $size bytes; at most $LARGEST are to be kept"
  cp "$WORK/$1.pcap" "$HERE/$1.pcap"
  chmod 644 "$HERE/$1.pcap"
  passed "$1: $size bytes"
  printf '%-16s %6s bytes\n' "$1" "$size"
}

# Small receive buffers, so that nobody sends much before the client has closed.
small_buffers() {
  printf '4096 16384 16384' >/proc/sys/net/ipv4/tcp_rmem
}

# ---- the clients -------------------------------------------------------------------------------------------------

do_ping4() { quietly ping -n -c 3 -i 0.05 $V4; }
do_ping6() { quietly ping -n -c 3 -i 0.05 $V6; }
do_ping_large() {
  quietly ping -n -c 2 -i 0.05 -s 4000 $V4
  quietly ping -n -c 2 -i 0.05 -s 4000 $V6
}
do_curl4() { quietly curl -sS "http://$V4/"; }
do_curl6() { quietly curl -gsS "http://[$V6]/bytes/30000"; }
do_dig() {
  quietly dig +tries=1 @$V4 adit.test A
  quietly dig +tries=1 @$V6 adit.test AAAA
  quietly dig +tries=1 @$V4 other.test A
}
do_nc_echo() {
  printf 'over IPv4\n' | quietly nc -N -w 2 $V4 7
  printf 'over IPv6\n' | quietly nc -N -w 2 $V6 7
  printf 'a datagram\n' | quietly nc -u -w 1 $V4 7
}
do_nc_daytime() {
  quietly nc -w 2 $V4 13
  quietly nc -w 2 $V6 13
}
do_nc_refused() {
  quietly nc -w 2 $V4 81
  quietly nc -w 2 $V6 81
  printf 'nobody\n' | quietly nc -u -w 1 $V4 81
}
do_nc_chargen() { (timeout 10 nc $V4 19 || :) 2>/dev/null | head -c 10000 >"$WORK/client.out"; }
do_nc_discard() { head -c 60000 /dev/zero | tr '\0' x | quietly nc -N -w 2 $V4 9; }
do_iperf3() { quietly iperf3 -c $V4 -p 9 -n 48K -l 8K; }
do_tap() {
  quietly ping -n -c 1 $V4
  printf 'over Ethernet\n' | quietly nc -N -w 2 $V6 7
}
do_kernel_echo() {
  seq 4000 | quietly nc -N -w 5 $V4 7
  seq 1000 | quietly nc -N -w 5 $V6 7
}
do_kernel_loss() { seq 7500 | quietly nc -N -w 10 $V4 7; }
do_kernel_http() { quietly curl -sS "http://$V4/bytes/30000"; }

# ---- against adit serve ------------------------------------------------------------------------------------------

small_buffers
start serve "$ADIT" serve --dev adit0 --no-offload
wait_for 10 "adit serve is ready" file_has "$(out_of serve)" '^Ready'
record ping4 adit0 do_ping4
record ping6 adit0 do_ping6
record ping-large adit0 do_ping_large
record curl4 adit0 do_curl4
record curl6 adit0 do_curl6
record dig any do_dig
record nc-echo adit0 do_nc_echo
record nc-daytime adit0 do_nc_daytime
record nc-refused adit0 do_nc_refused
record nc-chargen adit0 do_nc_chargen
stop serve
start serve "$ADIT" serve --dev adit0
wait_for 10 "adit serve is ready" file_has "$(out_of serve)" '^Ready'
record nc-discard adit0 do_nc_discard
stop serve
start serve "$ADIT" serve --dev adit0 --tap --no-offload
wait_for 10 "adit serve is ready" file_has "$(out_of serve)" '^Ready'
record tap adit0 do_tap
stop serve

# ---- against the kernel, over Ethernet ---------------------------------------------------------------------------

netns server
ip link add client0 type veth peer name server0 netns server
ip address add 192.168.3.11/24 dev client0
ip address add fdad:3::11/64 dev client0 nodad
ip link set client0 up
in_ns server ip address add $V4/24 dev server0
in_ns server ip address add $V6/64 dev server0 nodad
in_ns server ip link set server0 up
wait_for 5 "the veth pair is up" link_is_up client0
mkdir -p "$WORK/www/bytes"
head -c 30000 /dev/zero | tr '\0' w >"$WORK/www/bytes/30000"
start_in server echo4 socat TCP4-LISTEN:7,fork,reuseaddr EXEC:cat
start_in server echo6 socat TCP6-LISTEN:7,fork,reuseaddr,ipv6only=1 EXEC:cat
start_in server iperf iperf3 -s -p 9
start_in server http python3 -m http.server --directory "$WORK/www" 80
for host_port in "$V4 7" "$V6 7" "$V4 9" "$V4 80"; do
  # shellcheck disable=SC2086 # two words
  wait_for 10 "a server at $host_port" port_answers $host_port
done
record iperf3 client0 do_iperf3
record kernel-echo client0 do_kernel_echo
record kernel-http client0 do_kernel_http
# Of the server's segments with data every seventh is lost behind the place where tcpdump looks: the client says SACK.
ethtool -K client0 gro off >/dev/null
in_ns server ethtool -K server0 tso off gso off >/dev/null
nft -f - <<'NFT'
table ip lossy {
  chain input {
    type filter hook input priority 0;
    tcp sport 7 meta length > 100 numgen inc mod 7 == 3 drop
  }
}
NFT
record kernel-loss client0 do_kernel_loss
for name in echo4 echo6 iperf http; do
  stop $name
done
finish
