#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit reflect: with --swap the kernel answers its own ping; without, it sees its own packets come back and drops them.
set -eu
. "$(dirname "$0")/lib.sh"
need ping python3

BEFORE=$(links)

start_reflect() {
  start reflect "$ADIT" reflect "$@"
  wait_for 10 "adit reflect reads" file_has "$(err_of reflect)" 'writing back'
}

# --- --swap, with and without offload: ping of both families, small and of the largest sizes
for mode in "" --no-offload; do
  # shellcheck disable=SC2086 # an option or none
  start_reflect --swap $mode
  for address in 192.168.3.12 fdad:3::12; do
    for size in 0 56 1472 60000; do
      run ping -n -c 3 -i 0.2 -W 2 -s "$size" "$address"
      check_status 0 "ping -s $size $address ${mode:-with offload}"
      check_contains "ping -s $size $address ${mode:-with offload}" "3 received, 0% packet loss" "$OUT"
    done
  done
  # A SYN from .11 to .12 comes back as one from .12: nobody listens, the kernel's RST goes back to be the answer.
  status=0
  run bash -c 'exec 3<>/dev/tcp/192.168.3.12/9' || status=$?
  check_contains "TCP ${mode:-with offload}" "Connection refused" "$ERR"
  stop reflect
  check_status 0 "SIGTERM"
  read -r packets written refused < <(sed -n 's/.*: \([0-9]*\) packets read, \([0-9]*\) written back, .*, \([0-9]*\) refused.*/\1 \2 \3/p' \
    <<<"$ERR")
  check_at_least "packets read" 24 "$packets"
  check_equal "all of them written back" "$packets" "$written"
  check_equal "refused by the device" 0 "$refused"
  check_equal "interfaces afterwards" "$BEFORE" "$(links)"
done

# --- unchanged: what comes into the interface is, byte for byte, what left it. (No tcpdump: it wants to become another
# user, which a namespace without that user refuses.)
cat >"$WORK/watch.py" <<'PYTHON'
import socket, sys
watcher = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL
watcher.bind(("adit0", 3))
print("listening", file=sys.stderr, flush=True)
while True:
    packet, where = watcher.recvfrom(65536)
    print("out" if where[2] == socket.PACKET_OUTGOING else "in", packet.hex(), flush=True)
PYTHON
start_reflect
start watch python3 "$WORK/watch.py"
wait_for 10 "the watcher listens" file_has "$(err_of watch)" 'listening'
run ping -n -c 2 -i 0.2 -W 1 192.168.3.12
check_status 1 "ping without --swap"
wait_for 10 "two packets out and two in" file_has_lines "$(out_of watch)" 4
stop watch
check_match "an echo request" "^out 45000054.*c0a8030bc0a8030c0800" "$OUT"
check_equal "packets that came in" "$(sed -n 's/^out //p' <<<"$OUT")" "$(sed -n 's/^in //p' <<<"$OUT")"
check_equal "packets, and no answer" 4 "$(wc -l <<<"$OUT")"
stop reflect INT
check_status 0 "SIGINT"
check_contains "count" "2 packets read, 2 written back" "$ERR"

# --- TAP: with a neighbour entry the frames come back to the interface's own hardware address; ARP is left alone
start_reflect --tap --swap
run ping -n -c 1 -W 1 192.168.3.12
check_status 1 "ping without ARP"
ip neigh replace 192.168.3.12 lladdr 02:00:00:00:00:12 dev adit0 nud permanent
ip neigh replace fdad:3::12 lladdr 02:00:00:00:00:12 dev adit0 nud permanent
for address in 192.168.3.12 fdad:3::12; do
  run ping -n -c 2 -i 0.2 -W 2 "$address"
  check_status 0 "TAP: ping $address"
done
stop reflect
check_status 0
check_match "ARP has no address to be exchanged" ', [1-9][0-9]* not exchangeable' "$ERR"
check_equal "interfaces afterwards" "$BEFORE" "$(links)"

# --- a port of a bridge gets no address, and leaves it when it ends
ip link add br0 type bridge
ip link set br0 up
start_reflect --tap --bridge br0 --swap
check_contains "no address" "adit0 (TAP, MTU 1500)" "$(cat "$(err_of reflect)")"
check_contains "port of the bridge" "master br0" "$(ip -o link show dev adit0)"
check_equal "addresses of the port" "" "$(ip -o address show dev adit0)"
stop reflect
check_status 0
check_equal "interfaces afterwards" "br0 $BEFORE" "$(links)"
finish
