#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Attack tools of the distribution against a running adit serve: nmap's scans, hping3's floods. adit lives, its
# memory is bounded, a client beside them that behaves goes on. What each said and cost is printed. A tool that is not here
# makes the test count as left out, after what the others found.
#
# A flood as fast as the machine can (hping3) fills the device's queue, in front of the program, for everybody: clients beside
# it lose packets there, and a handshake that takes longer than 4096 others is lost to them. So under those a connect may take
# 10 seconds, and half of the connections may fail; beside the others none, and each has a second.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"
victim serve
ip link set adit0 txqueuelen 500 # as it comes: a longer queue in front of the program only makes everybody wait
if has nmap; then
  beside 'nmap -sS' 1 "http://$V4/" nmap -n -Pn -sS -p 1-2000 --max-retries 1 $V4
  check_contains 'nmap -sS finds what is open' '80/tcp open' "$(cat "$WORK/attacker.out")"
  check_lacks 'nmap -sS finds nothing else' '21/tcp open' "$(cat "$WORK/attacker.out")"
  beside 'nmap -sT' 1 "http://$V4/" nmap -n -Pn -sT -p 1-2000 --max-retries 1 $V4
  check_contains 'nmap -sT finds what is open' '19/tcp open' "$(cat "$WORK/attacker.out")"
  beside 'nmap -sU' 1 "http://$V4/" nmap -n -Pn -sU -p 1-200 --max-retries 1 --min-rate 500 $V4
  check_contains 'nmap -sU finds what is open' '7/udp ' "$(cat "$WORK/attacker.out")"
  for scan in -sN -sF -sX -sA -sO; do
    beside "nmap $scan" 1 "http://$V4/" nmap -n -Pn $scan -p 1-200 --max-retries 1 $V4
  done
  beside 'nmap -O' 1 "http://$V4/" nmap -n -Pn -O -p 1-100 --max-os-tries 1 $V4
  beside 'nmap -6 -sS -O' 1 "http://[$V6]/" nmap -6 -n -Pn -sS -O -p 1-500 --max-retries 1 $V6
  check_contains 'nmap -6 finds what is open' '80/tcp open' "$(cat "$WORK/attacker.out")"
fi

# Packets that the kernel has sent into the device, or dropped in front of it.
sent_packets() { awk -F'[: ]+' '/adit0:/ { sub(/^ */, ""); print $11 + $13 }' /proc/net/dev; }

# hping3 says nothing when it floods; its packets are counted by the device.
flooded() {
  local what=$1 before after
  shift
  before=$(sent_packets)
  beside "$what" 10 "http://$V4/" for_seconds $FLOOD_SECONDS "$@"
  after=$(sent_packets)
  check_at_least "$what: packets a second" 1000 $(((after - before) / FLOOD_SECONDS))
  printf '%s: %s packets a second\n' "$what" $(((after - before) / FLOOD_SECONDS))
}

if has hping3; then
  MOST_KB=65536
  LOST_MOST=50
  flooded 'hping3 SYN flood' hping3 -q --flood -S -p 80 --rand-source $V4
  # A long queue: everybody's answer comes when far more handshakes have begun than the stack keeps (syn_cache.c).
  ip link set adit0 txqueuelen 20000
  flooded 'hping3 SYN flood, long queue' hping3 -q --flood -S -p 80 --rand-source $V4
  ip link set adit0 txqueuelen 500
  flooded 'hping3 UDP flood' hping3 -q --flood -2 -p 7 --rand-source -d 100 $V4
  flooded 'hping3 ICMP flood' hping3 -q --flood -1 --rand-source -d 500 $V4
  flooded 'hping3 fragments' hping3 -q --flood -1 --rand-source -f -d 500 $V4
  flooded 'hping3 LAND' hping3 -q --flood -S -p 80 -s 80 -a $V4 $V4
  flooded 'hping3 xmas' hping3 -q --flood -F -S -R -P -A -U -X -Y -p 80 --rand-source $V4
fi
over 'TUN'

tools_done
