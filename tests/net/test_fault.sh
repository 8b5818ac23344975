#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Bad lines with real clients: --fault of every command that has it, and packets that the kernel itself loses between
# them. Whatever happens on the way, files arrive as they were, by SHA-256.
set -eu
. "$(dirname "$0")/lib.sh"
need ping curl nc python3 sha256sum nft

V4=192.168.3.12
V6=fdad:3::12
ALL='drop=3%,delay=2ms..5ms,reorder=5%,repeat=2%,corrupt=0.5%,truncate=0.5%,seed=7'

sum_of() { sha256sum | cut -d' ' -f1; }

# serve ARGUMENT...: start it and wait until it is ready.
serve() {
  start serve "$ADIT" serve "$@"
  wait_for 10 'adit serve is ready' file_has "$(out_of serve)" '^Ready'
}

# The file behind /bytes/N, by the rule that the index page tells.
python3 -c 'import sys
period = bytes((r ^ r >> 8) & 255 for r in range(65521))
sys.stdout.buffer.write((period * 20)[:400000])' >"$WORK/bytes"
head -c 200000 /dev/urandom >"$WORK/noise"
BYTES_SUM=$(sum_of <"$WORK/bytes")
NOISE_SUM=$(sum_of <"$WORK/noise")

# both_ways WHAT HOST: a download, and 200000 bytes to and fro.
both_ways() {
  local url=$2
  case $url in *:*) url="[$url]" ;; esac
  check_equal "$1: a download from $2" "$BYTES_SUM" \
    "$("${FROM[@]}" curl -gsS --fail --max-time 90 "http://$url/bytes/400000" | sum_of)"
  check_equal "$1: to $2 and back" "$NOISE_SUM" \
    "$("${FROM[@]}" timeout 90 nc -N "$2" 7 <"$WORK/noise" | sum_of)"
}
FROM=() # how a client is started

# ---- adit serve ----
serve --fault "$ALL"
for host in $V4 $V6; do both_ways "$ALL" $host; done
stop serve
check_status 0
check_match 'what happened to packets that came is said' \
  'packets came in, [1-9][0-9]* dropped, [1-9][0-9]* reordered, [1-9][0-9]* repeated' "$ERR"
check_match 'what happened to packets that went is said' 'packets went out, [1-9][0-9]* dropped' "$ERR"
check_match 'the stack repeats what was lost' '[1-9][0-9]* segments? sent again' "$OUT"
check_match 'the stack notices what was damaged' 'dropped: [1-9].*tcp checksum' "$OUT"

# ---- the same seed does the same: which of 60 echo requests are answered ----
# IPv4 alone: with IPv6 the kernel sends reports of its groups, at random times, and they would be counted.
answered() {
  serve --address 192.168.3.11/24 --fault "$1"
  run ping -n -c 60 -i 0.01 -W 1 $V4
  stop serve
  check_status 0
  ANSWERED=$(sed -n 's/.*icmp_seq=\([0-9]*\) .*/\1/p' "$WORK/run.stdout" | paste -sd' ')
}
answered 'drop=20%,seed=1'
first=$ANSWERED
count=$(wc -w <<<"$first")
check_at_least 'at drop=20% both ways some are lost' 1 $((60 - count))
check_at_least 'at drop=20% both ways some are answered' 1 "$count"
answered 'drop=20%,seed=1'
check_equal 'the same seed loses the same' "$first" "$ANSWERED"
answered 'drop=20%,seed=2'
check_lacks 'another seed loses others' "=$first=" "=$ANSWERED="
answered 'drop=0%'
check_equal 'at drop=0% all are answered' "$(seq 60 | paste -sd' ')" "$ANSWERED"

# ---- one direction alone; several queues ----
serve --fault in:drop=100%
run ping -n -c 3 -i 0.01 -W 1 $V4
check_status 1 'what comes in is lost'
stop serve
check_match 'only in' '3 packets came in, 3 dropped' "$ERR"
check_match 'nothing out' ' 0 packets went out' "$ERR"
serve --fault out:drop=100%
run ping -n -c 3 -i 0.01 -W 1 $V4
check_status 1 'what goes out is lost'
stop serve
check_match 'only out' '3 packets went out, 3 dropped' "$ERR"
serve --fault 'repeat=100%,delay=20ms' --queues 2
check_command 'delayed and repeated' ping -n -c 3 -i 0.2 -W 2 $V4
check_contains 'each way repeats' 'DUP!' "$OUT"
rtt=$(sed -n 's|^rtt min/avg/max/mdev = \([0-9]*\).*|\1|p' <<<"$OUT")
check_at_least 'two delays of 20 ms' 40 "$rtt"
stop serve
check_status 0
serve --tap --fault "$ALL"
check_command 'TAP: neighbours are found' ping -n -c 20 -i 0.05 -W 2 $V4
both_ways 'TAP' $V4
stop serve
check_status 0

# ---- dump and reflect: their loop waits for what is late ----
start dump "$ADIT" dump -c 4 --fault 'in:repeat=100%,delay=300ms'
wait_for 10 'adit dump is ready' file_has "$(err_of dump)" 'printing'
ping -n -c 2 -i 0.01 -W 1 $V4 >"$WORK/ping.out" 2>&1 || true
await dump
check_status 0 'two packets that come twice are four'
check_equal 'all of them are printed' 4 "$(grep -c 'ICMP echo request' <<<"$OUT")"
start reflect "$ADIT" reflect --swap --fault delay=20ms
wait_for 10 'adit reflect is ready' file_has "$(err_of reflect)" 'writing back'
check_command 'reflected' ping -n -c 3 -i 0.2 -W 2 $V4
rtt=$(sed -n 's|^rtt min/avg/max/mdev = \([0-9]*\).*|\1|p' <<<"$OUT")
check_at_least 'four delays of 20 ms' 80 "$rtt"
stop reflect
check_status 0

# ---- proxy and run: a file up and a file down through the relay ----
cat >"$WORK/files.py" <<'PYTHON'
import hashlib, http.server, sys
page = open(sys.argv[1], "rb").read()
class Files(http.server.BaseHTTPRequestHandler):
    def say(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.say(page)
    def do_PUT(self):
        self.say(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("10.9.0.2", 8000), Files).serve_forever()
PYTHON
netns outside
ip link add near type veth peer name far netns outside
ip addr add 10.9.0.1/24 dev near
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip link set far up
start_in outside files python3 "$WORK/files.py" "$WORK/bytes"
wait_for 10 'the server outside' port_answers 10.9.0.2 8000

up_and_down() { # up_and_down WHAT COMMAND...: how curl is started
  local what=$1
  shift
  check_equal "$what: down" "$BYTES_SUM" "$("$@" curl -gsS --fail --max-time 90 http://10.9.0.2:8000/ | sum_of)"
  check_equal "$what: up" "$NOISE_SUM" "$("$@" curl -gsS --fail --max-time 90 -T "$WORK/noise" http://10.9.0.2:8000/up)"
}

ip rule add fwmark 7 lookup 77
ip route add 10.9.0.0/24 dev near table 77
ip route del 10.9.0.0/24 dev near
start proxy "$ADIT" proxy --dev adit0 --mark 7 --fault "$ALL"
wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
ip route add 10.9.0.0/24 dev adit0
up_and_down proxy
stop proxy
check_status 0
check_match 'proxy: what happened is said' 'packets went out, [1-9][0-9]* dropped' "$ERR"
ip route add 10.9.0.0/24 dev near
up_and_down run "$ADIT" run --fault "$ALL" --
run "$ADIT" run --verbose --fault "$ALL" -- ping -n -c 5 -i 0.1 -W 1 10.9.0.1
check_match 'run: what happened is said on request' 'packets came in' "$ERR"

# ---- packets that the kernel loses on a veth pair, one of twenty in each direction ----
# The client is in a namespace of its own, behind this one, which forwards. With offload super-packets are forwarded, and
# lost, whole; without, the stack sees the loss of single packets.
netns client
ip link add inner type veth peer name outer netns client
ip addr add 10.9.1.1/24 dev inner
ip -6 addr add fd09:1::1/64 dev inner nodad
ip link set inner up
in_ns client ip addr add 10.9.1.2/24 dev outer
in_ns client ip -6 addr add fd09:1::2/64 dev outer nodad
in_ns client ip link set outer up
in_ns client ip route add default via 10.9.1.1
in_ns client ip -6 route add default via fd09:1::1
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
nft -f - <<'NFT'
table inet loss {
  chain forward {
    type filter hook forward priority 0;
    iifname "inner" numgen inc mod 12 == 9 counter drop
    oifname "inner" numgen inc mod 12 == 9 counter drop
  }
}
NFT
FROM=(ip netns exec client)
for way in offload no-offload; do
  [ $way = offload ] && options=() || options=(--no-offload)
  serve "${options[@]}" --answer 192.168.3.0/24 --answer fdad:3::/64
  both_ways "kernel loss, $way" $V4
  [ $way = offload ] || both_ways "kernel loss, $way" $V6
  stop serve
  check_status 0
  check_match "kernel loss, $way: the stack repeats" '[1-9][0-9]* segments? sent again' "$OUT"
done
check_equal 'the kernel lost packets in both directions' 2 "$(nft list table inet loss | grep -c 'packets [1-9]')"

# ---- what cannot be ----
run "$ADIT" serve --fault 'drop=1%,dealy=20ms'
check_status 2 'a fault that is none'
check_contains 'a fault that is none: what there is' "'dealy' is no fault; there are drop, delay, reorder" "$ERR"
printf 'fault: "drop=1"\n' >"$WORK/bad.yaml"
run "$ADIT" serve --config "$WORK/bad.yaml"
check_status 2 'a chance that is none, in a file'
check_contains 'a chance that is none: what to write' 'such as drop=5%' "$ERR"
stop files

finish
