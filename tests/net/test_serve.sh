#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit serve against the kernel and real clients: ping, curl, nc, dig; TUN with and without offload, several queues, TAP,
# two of them on one bridge; how it ends.
set -eu
. "$(dirname "$0")/lib.sh"
need ping curl nc dig python3 sha256sum

V4=192.168.3.12
V6=fdad:3::12
BIG=1G # through /bytes/; the sanitizers make the stack slow
[ "${ADIT_SANITIZED:-0}" = 0 ] || BIG=64M

# Checksum of /bytes/SIZE as the index page explains it.
expected_sum() {
  python3 - "$1" <<'PYTHON'
import hashlib, sys
units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
text = sys.argv[1]
size = int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)
period = bytes((r ^ r >> 8) & 255 for r in range(65521))
digest = hashlib.sha256()
block = period * 64
while size > 0:
    digest.update(block[:size])
    size -= len(block)
print(digest.hexdigest())
PYTHON
}

# serve NAME ARGUMENT...: start it and wait until it is ready.
serve() {
  local name=$1
  shift
  start "$name" "$ADIT" serve "$@"
  wait_for 10 "$name is ready" file_has "$(out_of "$name")" '^Ready'
}

# fetched_sum URL: checksum of what curl gets.
fetched_sum() {
  curl -gsS --fail --max-time 100 "$1" | sha256sum | cut -d' ' -f1
}

ping_all() {
  local host
  for host in $V4 $V6; do
    check_command "$1: ping $host" ping -n -c 3 -i 0.01 -W 2 "$host"
    check_contains "$1: ping $host: every one" '3 received' "$OUT"
    check_command "$1: ping $host with 60000 bytes" ping -n -c 2 -i 0.2 -W 3 -s 60000 "$host"
    check_contains "$1: ping $host with 60000 bytes: every one" '2 received' "$OUT"
  done
}

http_all() {
  local host
  for host in $V4 "[$V6]"; do
    check_command "$1: index of $host" curl -gsS --fail --max-time 20 "http://$host/"
    check_contains "$1: index of $host" 'A TCP/IP stack in a program answered you' "$OUT"
    check_equal "$1: /bytes/10000000 of $host" "$SUM_10M" "$(fetched_sum "http://$host/bytes/10000000")"
  done
}

echo_of() { # echo_of TEXT NC-ARGUMENT...
  local text=$1
  shift
  printf '%s' "$text" | timeout 10 nc -w 2 "$@"
}

SUM_10M=$(expected_sum 10000000)

# ---- a TUN device with offload, everything ----
before=$(links)
serve tun --dev adit0
wait_for 1 'the device is there' link_exists adit0
check_contains 'what to try is named' "curl http://$V4/" "$(cat "$(out_of tun)")"
ping_all tun
check_command 'the largest ping over IPv4' ping -n -c 1 -W 3 -s 65507 $V4
check_command 'the largest ping over IPv6' ping -n -c 1 -W 3 -s 65527 $V6
check_command 'ping of any other address' ping -n -c 1 -W 2 192.168.3.200
http_all tun

check_equal "/bytes/$BIG over IPv4" "$(expected_sum $BIG)" "$(fetched_sum "http://$V4/bytes/$BIG")"
check_equal "/bytes/64M over IPv6" "$(expected_sum 64M)" "$(fetched_sum "http://[$V6]/bytes/64M")"
check_equal '/bytes/0' "$(sha256sum </dev/null | cut -d' ' -f1)" "$(fetched_sum "http://$V4/bytes/0")"
run curl -gsS -o /dev/null -w '%{http_code}' --max-time 10 "http://$V4/nothing"
check_equal 'a page that does not exist' 404 "$OUT"
run curl -gsS -o /dev/null -w '%{http_code}' --max-time 10 "http://$V4/bytes/many"
check_equal 'a number that is none' 400 "$OUT"
run curl -gsS -D - -o /dev/null --max-filesize 1 --max-time 10 "http://$V4/bytes/3G"
check_contains 'length of a file above 2^31' 'Content-Length: 3221225472' "$OUT"

for host in $V4 $V6; do
  check_equal "TCP echo of $host" hello "$(echo_of hello -N "$host" 7)"
  check_equal "UDP echo of $host" hello "$(echo_of hello -u -w 1 "$host" 7)"
  check_match "daytime of $host" '[A-Z][a-z]+day, [A-Z][a-z]+ [0-9]+, 20[0-9][0-9] [0-9:]+-UTC' "$(echo_of '' $host 13)"
  check_match "UDP daytime of $host" '-UTC' "$(echo_of x -u -w 1 $host 13)"
  check_equal "chargen of $host" "$(printf '%s' ' !"#$%&'"'"'()*+,-./0123456789:;<=>?@ABCDEFG')" \
    "$(timeout 10 nc -d $host 19 | head -c 40)"
  check_command "discard of $host" bash -c "head -c 50000000 /dev/zero | nc -N -w 5 $host 9"
  check_equal "discard of $host says nothing" '' "$OUT"
done

# A megabyte of text through TCP echo comes back as it was.
seq 1 150000 >"$WORK/numbers"
timeout 20 nc -N $V4 7 <"$WORK/numbers" >"$WORK/echoed"
check_equal 'a megabyte of echo' "$(sha256sum <"$WORK/numbers")" "$(sha256sum <"$WORK/echoed")"

check_equal 'dig A' $V4 "$(dig +short +tries=1 @$V4 adit.test A)"
check_equal 'dig AAAA' $V6 "$(dig +short +tries=1 @$V4 adit.test AAAA)"
check_equal 'dig A over IPv6' $V4 "$(dig +short +tries=1 @$V6 ADIT.test A)"
check_equal 'dig over TCP' $V4 "$(dig +short +tries=1 +tcp @$V4 adit.test A)"
check_equal 'dig PTR' adit.test. "$(dig +short +tries=1 @$V4 -x $V6)"
check_contains 'dig of a name below' 'status: NXDOMAIN' "$(dig +tries=1 @$V4 www.adit.test)"
check_contains 'dig of another name' 'status: REFUSED' "$(dig +tries=1 @$V4 example.org)"
check_lacks 'dig: nothing to complain about' WARNING "$(dig +norecurse +tries=1 @$V4 adit.test MX)"

run nc -z -w 2 $V4 4
check_status 1 'a port without service refuses'
# The kernel reports port unreachable to a connected UDP socket, over both families.
for host in $V4 $V6; do
  run python3 -c "
import socket
s = socket.socket(socket.AF_INET6 if ':' in '$host' else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('$host', 4))
s.send(b'x')
try:
    s.recv(1)
except ConnectionRefusedError:
    print('refused')"
  check_equal "UDP port of $host without service" refused "$OUT"
done

# A connection that is open does not keep it from ending; the summary counts; nothing is left.
start open bash -c "nc -d $V4 19 & trap 'kill \$!; exit 0' TERM; wait"
wait_for 5 'characters arrive' test -s "$(out_of open)"
kill -HUP "${PID[tun]}"
wait_for 5 'SIGHUP is answered in words' file_has "$(err_of tun)" 'SIGHUP: there is nothing to reload'
ping_all 'after SIGHUP'
stop tun TERM
check_status 0 'SIGTERM ends it in order'
check_match 'the summary counts packets' 'adit serve: [1-9][0-9]* packets' "$OUT"
check_lacks 'nothing went wrong' 'ERROR' "$ERR"
wait_for 5 'the device is gone' link_is_gone adit0
check_equal 'interfaces are as before' "$before" "$(links)"
stop open

# ---- a network in which nothing is left to answer ----
serve lonely --dev adit9 --address 10.44.0.1/32 --address 10.45.0.1/24
check_contains 'a network of the kernel alone: is said' 'in 10.44.0.1/32 nothing is left to answer' "$(cat "$(err_of lonely)")"
check_contains 'a network of the kernel alone: what to do' '--answer' "$(cat "$(err_of lonely)")"
check_lacks 'a network with others is fine' '10.45.0' "$(cat "$(err_of lonely)")"
stop lonely
check_status 0

# ---- without offload, and with several queues ----
serve plain --dev adit1 --no-offload
check_contains 'without offload says so' 'none: one packet' "$(cat "$(out_of plain)")"
ping_all plain
http_all plain
stop plain INT
check_status 0 'SIGINT ends it in order'

serve queues --dev adit2 --queues 4
ping_all queues
http_all queues
for i in 1 2 3 4 5 6 7 8; do
  start "get$i" curl -gsS --fail -o /dev/null -w '%{size_download}' --max-time 60 "http://$V4/bytes/8M"
done
for i in 1 2 3 4 5 6 7 8; do
  await "get$i" 60
  check_equal "download $i of 8 at once" 8388608 "$OUT"
done
stop queues
check_status 0 'four queues end in order'

# ---- TAP: Ethernet, ARP, neighbour discovery ----
serve tap --dev adit3 --tap
ping_all tap
http_all tap
tap_mac=$(ip -o link show adit3 | sed -n 's/.*link.ether \([0-9a-f:]*\).*/\1/p')
stack_mac=$(ip neigh show $V4 dev adit3 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
check_match 'the stack has a hardware address of its own' '^[0-9a-f][26ae]:' "$stack_mac"
check_match 'so has the device' '^[0-9a-f][0-9a-f]:' "$tap_mac"
check_lacks 'they are not the same' "$tap_mac" "$stack_mac"
stop tap
check_status 0

# ---- two of them and the kernel on one bridge ----
ip link add bridge0 type bridge
ip link set bridge0 up
ip addr add 192.168.3.1/24 dev bridge0
ip -6 addr add fdad:3::1/64 dev bridge0 nodad
serve left --dev adit4 --tap --bridge bridge0 --answer 192.168.3.12 --answer fdad:3::12
serve right --dev adit5 --tap --bridge bridge0 --answer 192.168.3.13 --answer fdad:3::13
for host in 192.168.3.12 192.168.3.13 fdad:3::12 fdad:3::13; do
  check_command "bridge: ping $host" ping -n -c 3 -i 0.01 -W 3 "$host"
done
check_command 'bridge: index' curl -gsS --fail --max-time 20 http://192.168.3.13/
run ping -n -c 1 -W 1 192.168.3.14
check_status 1 'bridge: nobody else answers'
stop left
stop right
check_status 0

# ---- wrong usage, and a device that goes away ----
run "$ADIT" serve --tap --queues 2
check_status 2 'TAP with several queues'
check_contains 'TAP with several queues: why' 'neighbour' "$ERR"
run "$ADIT" serve --tap --bridge bridge0
check_status 2 'bridge without --answer'
check_contains 'bridge without --answer: what to do' '--answer' "$ERR"
ip link del bridge0

start quiet "$ADIT" serve --dev adit6 --quiet
wait_for 10 'the quiet one answers' ping -n -c 1 -W 1 $V4
stop quiet
check_status 0
check_equal 'quiet says nothing' '' "$OUT$ERR"

serve removed --dev adit7
ip link del adit7
await removed
check_status 1 'a device that is removed ends it'
check_contains 'a device that is removed: the message' 'adit7' "$ERR"

finish
