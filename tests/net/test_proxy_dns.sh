#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy and questions on port 53: --dns forward, fake and off, with dig, getent and curl as clients, dnsmasq and
# unbound as servers, behind direct:// and behind microsocks.
#
# Here are the clients and adit. In the namespace `far`, behind a veth pair, are the nameservers (10.77.0.2), the SOCKS5
# server and the web server. What is routed into the device is 9.9.9.9 and its like, and the addresses of --dns fake.
set -eu
. "$(dirname "$0")/lib.sh"
need dig dnsmasq unbound microsocks tinyproxy socat curl python3 tcpdump getent

FAR4=10.77.0.2
FAR6=fd77::2
ANYBODY=9.9.9.9 # asked by clients; nobody has this address

netns far
ip link add near0 type veth peer name far0 netns far
ip addr add 10.77.0.1/24 dev near0
ip -6 addr add fd77::1/64 dev near0 nodad
ip link set near0 up
in_ns far ip addr add $FAR4/24 dev far0
in_ns far ip -6 addr add $FAR6/64 dev far0 nodad
in_ns far ip link set far0 up

# The system's nameserver, for microsocks, and for adit where it is the one to look names up.
printf 'nameserver %s\n' $FAR4 >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" "$(readlink -f /etc/resolv.conf)"

# ---- servers ----
many=$(for i in $(seq 1 60); do printf -- '--host-record=many.example,192.0.2.%s ' "$i"; done)
records="--host-record=www.example,$FAR4,$FAR6 --host-record=v4.example,$FAR4 --host-record=v6.example,$FAR6
  --host-record=half.example,$FAR4,2001:db8::1 --host-record=silent.example,$FAR4,2001:db8:1::1
  --address=/wild.example/192.0.2.77 --txt-record=text.example,hello --ptr-record=2.0.77.10.in-addr.arpa,www.example
  --cname=alias.example,www.example"
# shellcheck disable=SC2086 # words are meant
start_in far dnsmasq dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= \
  --port=53 --listen-address=$FAR4,$FAR6,127.0.0.1 --bind-interfaces --local-ttl=60 --edns-packet-max=4096 --local=/example/ \
  $records $many --log-facility=- --log-queries
cat >"$WORK/unbound.conf" <<CONF
server:
  interface: $FAR4@5353
  access-control: 0.0.0.0/0 allow
  directory: "$WORK"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  incoming-num-tcp: 50
  local-zone: "example." static
$(for i in $(seq 0 499); do echo "  local-data: \"n$i.example. A 192.0.2.$((i % 250))\""; done)
remote-control:
  control-enable: no
CONF
start_in far unbound unbound -d -c "$WORK/unbound.conf"
start_in far microsocks microsocks -i $FAR4 -p 1080
mkdir "$WORK/www"
echo 'a page from far' >"$WORK/www/index.html"
cat >"$WORK/www.py" <<'PYTHON'
import http.server, os, socket, sys
os.chdir(sys.argv[1])
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, form, *args):
        print(self.headers.get("Host"), form % args, flush=True)
Server(("::", 80), Handler).serve_forever()
PYTHON
start_in far www python3 "$WORK/www.py" "$WORK/www"
wait_for 10 'dnsmasq answers' dig +tries=1 +time=1 @$FAR4 www.example
wait_for 10 'unbound answers' dig +tries=1 +time=1 -p 5353 @$FAR4 n1.example
wait_for 10 'microsocks answers' port_answers $FAR4 1080
wait_for 10 'the web server answers' port_answers $FAR4 80

# proxy NAME ARGUMENT...: start it, ready, with routes.
proxy() {
  local name=$1
  shift
  start "$name" "$ADIT" proxy --dev adit0 --verbose "$@"
  wait_for 10 "$name is ready" link_is_up adit0
  ip route replace $ANYBODY dev adit0
  ip route replace 198.18.0.0/15 dev adit0
  ip -6 route replace fd00:198:18::/48 dev adit0
  ip -6 route replace 2620:fe::9 dev adit0
}

ask() { dig +tries=1 +time=8 "$@"; }
short() { dig +short +tries=1 +time=8 "$@"; }
tcp_to() { grep -c -E "IP6? [^ ]+ > ${FAR4//./\\.}\.$1: Flags \[S\]" "$WORK/tap.out" || true; } # connections begun to a port

# tap: everything that leaves over the veth pair, and that is of interest, into the file `out_of tap`.
tap() { capture tap near0 '(port 53 or port 5353 or port 1080) and (tcp or udp)'; }
tapped() { captured tap $FAR4; } # the file has all of it

# ---- forward, direct ----
tap
proxy forward --upstream direct:// --dns forward:$FAR4
check_equal 'forward: A' $FAR4 "$(short @$ANYBODY www.example)"
check_equal 'forward: AAAA, over IPv6' $FAR6 "$(short @2620:fe::9 www.example AAAA)"
check_equal 'forward: over TCP' $FAR4 "$(short +tcp @$ANYBODY www.example)"
check_equal 'forward: over TCP and IPv6' $FAR4 "$(short +tcp @2620:fe::9 www.example)"
check_equal 'forward: TXT' '"hello"' "$(short @$ANYBODY text.example TXT)"
check_equal 'forward: PTR' www.example. "$(short @$ANYBODY -x $FAR4)"
check_equal 'forward: CNAME' www.example. "$(short @$ANYBODY alias.example CNAME)"
check_contains 'forward: a name that does not exist' 'status: NXDOMAIN' "$(ask @$ANYBODY nothing.example)"
check_contains 'forward: a client subnet goes along' 'NOERROR' "$(ask +subnet=192.0.2.0/24 @$ANYBODY www.example)"
check_contains 'forward: HTTPS' 'status: NOERROR' "$(ask @$ANYBODY www.example HTTPS)"
check_contains 'forward: ANY' $FAR4 "$(ask @$ANYBODY www.example ANY)"
check_contains 'forward: no zone transfers' 'Transfer failed' "$(ask @$ANYBODY example AXFR)"
check_equal 'forward: 60 records in one datagram' 60 "$(short +notcp @$ANYBODY many.example | wc -l)"
cut_short=$(ask +ignore +bufsize=512 @$ANYBODY many.example)
check_match 'forward: what is too long is truncated' 'flags: [a-z ]*tc' "$cut_short"
check_contains 'forward: a truncated answer has EDNS' 'EDNS: version: 0' "$cut_short"
check_contains 'forward: a truncated answer has no records' 'ANSWER: 0' "$cut_short"
check_match 'forward: without EDNS at 512' 'flags: [a-z ]*tc' "$(ask +noedns +ignore @$ANYBODY many.example)"
check_equal 'forward: and comes whole over TCP' 60 "$(short +bufsize=512 @$ANYBODY many.example | wc -l)"
check_contains 'forward: letter case comes back' 'wWw.ExAmPlE.' "$(ask @$ANYBODY wWw.ExAmPlE | grep -v '^;;')"
# Two questions and FIN at once over one connection: both are answered, then it ends.
check_command 'forward: pipelined, and half-closed' python3 - $ANYBODY <<'PYTHON'
import socket, struct, sys
def question(number, name):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    message = struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    return struct.pack(">H", len(message)) + message
s = socket.create_connection((sys.argv[1], 53), 10)
s.settimeout(10)
both = question(1, "www.example") + question(2, "nothing.example")
for i in range(0, len(both), 7):
    s.send(both[i:i + 7])
s.shutdown(socket.SHUT_WR)
got = b""
while True:
    more = s.recv(4096)
    if not more:
        break
    got += more
codes = {}
while got:
    length, = struct.unpack(">H", got[:2])
    codes[struct.unpack(">H", got[2:4])[0]] = got[5] & 15
    got = got[2 + length:]
assert codes == {1: 0, 2: 3}, codes
PYTHON
tapped
check_equal 'forward: all of it over one connection' 1 "$(tcp_to 53)"
stop tap
check_lacks 'forward: no datagram to port 53' UDP "$(grep -v 'Flags' "$(out_of tap)" || true)"
stop forward
check_status 0 'forward: ends in order'
check_match 'forward: the summary counts questions' 'questions: [1-9][0-9]* \(0 dropped\)' "$OUT$ERR"

# ---- forward to unbound, 500 questions at once, direct and through socks5 ----
cat >"$WORK/load.py" <<'PYTHON'
# 500 questions over UDP at once: each is answered once, with its own id, its own name and its own address.
import socket, struct, sys, time
address, count = sys.argv[1], 500
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.settimeout(10)
def question(i):
    name = f"n{i}".encode()
    labels = bytes([len(name)]) + name + b"\7example\0"
    return struct.pack(">6H", i, 0x100, 1, 0, 0, 0) + labels + struct.pack(">2H", 1, 1)
for i in range(count):
    s.sendto(question(i), (address, 53))
left = set(range(count))
while left:
    try:
        got = s.recv(4096)
    except socket.timeout:
        break
    i, = struct.unpack(">H", got[:2])
    asked = question(i)
    assert i in left, f"question {i} is answered twice"
    assert got[12:len(asked)] == asked[12:], f"answer to another question than {i}"
    assert got[3] & 15 == 0, f"question {i}: code {got[3] & 15}"
    assert got[-4:] == bytes([192, 0, 2, i % 250]), f"question {i}: {got[-4:]}"
    left.discard(i)
print(f"{count - len(left)} answered")
PYTHON
for upstream in direct:// socks5://$FAR4:1080; do
  proxy load --upstream "$upstream" --dns forward:$FAR4:5353
  run python3 "$WORK/load.py" $ANYBODY
  check_equal "$upstream: 500 questions at once to unbound" '500 answered' "$OUT$ERR"
  stop load
done
# dnsmasq takes a hundred questions a connection and then closes it: the others are asked again.
many_names=$(for i in $(seq 0 299); do printf 'wild.example '; done)
proxy again --upstream direct:// --dns forward:$FAR4
# shellcheck disable=SC2086 # words are meant
check_equal 'a server that closes after 100: 300 questions over one connection' 300 \
  "$(dig +short +tcp +keepopen +tries=1 +time=8 @$ANYBODY $many_names | grep -c '^192.0.2.77$')"
stop again

# ---- forward through socks5 ----
proxy socks --upstream socks5://$FAR4:1080 --dns forward:127.0.0.1
check_equal 'socks5: a server that only the proxy reaches' $FAR4 "$(short @$ANYBODY www.example)"
tap
check_equal 'socks5: again' $FAR4 "$(short @$ANYBODY www.example)"
check_equal 'socks5: over TCP' $FAR6 "$(short +tcp @$ANYBODY www.example AAAA)"
check_equal 'socks5: over UDP and IPv6' '"hello"' "$(short @2620:fe::9 text.example TXT)"
tapped
stop tap
check_equal 'socks5: all over the connection of the first question' 0 "$(tcp_to 1080)"
check_equal 'socks5: nothing on port 53' '' "$(grep '\.53[: ]' "$(out_of tap)" || true)"
# The proxy goes: SERVFAIL soon, and a message. It comes back: answers.
stop microsocks
began=$EPOCHSECONDS
check_contains 'socks5 is gone: SERVFAIL' 'status: SERVFAIL' "$(ask @$ANYBODY www.example)"
check_contains 'socks5 is gone: SERVFAIL over TCP' 'status: SERVFAIL' "$(ask +tcp @$ANYBODY www.example)"
check_equal 'socks5 is gone: it is said soon' yes "$([ $((EPOCHSECONDS - began)) -le 3 ] && echo yes)"
check_contains 'socks5 is gone: the log names it' "$FAR4:1080" "$(cat "$(err_of socks)")"
start_in far microsocks microsocks -i $FAR4 -p 1080
wait_for 10 'microsocks answers again' port_answers $FAR4 1080
check_equal 'socks5 is back' $FAR4 "$(short @$ANYBODY www.example)"
stop socks

# ---- fake, socks5: the proxy gets the name ----
fake_all() { # fake_all NAME: what every upstream has in common
  local four six
  four=$(short @$ANYBODY www.example)
  six=$(short @2620:fe::9 www.example AAAA)
  check_match "$1: A" '^198\.1[89]\.[0-9]+\.[0-9]+$' "$four"
  check_match "$1: AAAA" '^fd00:198:18::[0-9a-f:]+$' "$six"
  check_equal "$1: letter case does not matter" "$four" "$(short +tcp @$ANYBODY WWW.Example)"
  check_equal "$1: the same again" "$four" "$(short @$ANYBODY www.example)"
  check_lacks "$1: another name, another address" "$four" "$(short @$ANYBODY other.example)"
  check_equal "$1: PTR" www.example. "$(short @$ANYBODY -x "$four")"
  check_equal "$1: PTR over IPv6" www.example. "$(short @$ANYBODY -x "$six")"
  check_contains "$1: PTR of what was never given out" 'status: NXDOMAIN' "$(ask @$ANYBODY -x 198.19.255.254)"
  for type in HTTPS SVCB MX TXT CNAME TYPE65280; do
    check_match "$1: $type has no records" 'status: NOERROR.*ANSWER: 0, AUTHORITY: 1' \
      "$(ask @$ANYBODY www.example $type | tr '\n' ' ')"
  done
  check_match "$1: ANY" "$four.*$six|$six.*$four" "$(ask @$ANYBODY www.example ANY | tr '\n' ' ')"
  check_contains "$1: EDNS is echoed" 'EDNS: version: 0' "$(ask +subnet=192.0.2.0/24 @$ANYBODY www.example)"
  check_contains "$1: another version of EDNS" 'status: BADVERS' "$(ask +edns=1 +noednsneg @$ANYBODY www.example)"
  check_contains "$1: no name of a host" 'status: NXDOMAIN' "$(ask @$ANYBODY 'a b.example')"
  check_contains "$1: another class" 'status: REFUSED' "$(ask @$ANYBODY version.bind CH TXT)"
  check_equal "$1: localhost" 127.0.0.1 "$(short @$ANYBODY localhost)"
}

# get NAME [CURL-OPTION...]: a page by name, resolved by whoever the clients ask.
get() {
  local name=$1 address
  shift
  address=$(short @$ANYBODY "$name" "${TYPE:-A}")
  [ "${TYPE:-A}" = A ] || address="[$address]"
  curl -sS --fail --max-time 20 --resolve "$name:80:$address" "$@" "http://$name/"
}

# no_page NAME [CURL-OPTION...]: as get, which must fail; sets ERR and how long it took.
no_page() {
  local began=$EPOCHREALTIME
  if ERR=$(get "$@" 2>&1 >/dev/null); then fail "a page came of $1"; fi
  TOOK_MS=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
}

tap
proxy fake --upstream socks5://$FAR4:1080 --dns fake --dns-cache "$WORK/names"
fake_all 'fake, socks5'
check_equal 'fake, socks5: a page by name' 'a page from far' "$(get www.example)"
check_equal 'fake, socks5: a page by name, over IPv6' 'a page from far' "$(TYPE=AAAA get www.example)"
check_contains 'fake, socks5: the proxy got the name' 'connected to www.example:80' "$(cat "$(err_of microsocks)")"
# The whole way of an ordinary program: the C library asks whom resolv.conf names, for both families at once.
printf 'nameserver %s\n' $ANYBODY >"$WORK/resolv.client"
cat >"$WORK/client.sh" <<'SHELL'
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
shift
exec "$@"
SHELL
client() { unshare --mount bash "$WORK/client.sh" "$WORK/resolv.client" "$@"; }
check_match 'fake, socks5: the C library gets both addresses' '^fd00:198:18::.*198\.1[89]\.' \
  "$(client getent ahosts www.example | awk '{ print $1 }' | sort -ru | paste -sd' ')"
check_equal 'fake, socks5: curl' 'a page from far' "$(client curl -sS --fail --max-time 20 http://www.example/)"
check_equal 'fake, socks5: curl over IPv6' 'a page from far' \
  "$(client curl -6 -sS --fail --max-time 20 http://v6.example/)"
start_to pages "$WORK/pages.txt" unshare --mount bash "$WORK/client.sh" "$WORK/resolv.client" \
  curl -sS --fail --max-time 50 --parallel --parallel-max 64 -o /dev/null -w '%{http_code} %{size_download}\n' 'http://www.example/?[1-100]'
await pages 60
check_equal 'fake, socks5: a hundred pages' 100 "$(grep -c '^200 16$' "$WORK/pages.txt")"
no_page nothing.example
check_match 'fake, socks5: a name that the proxy does not know cannot be connected to' "[Cc]ould.?n.t connect" "$ERR"
check_equal 'fake, socks5: and the client learns it soon' yes "$([ $TOOK_MS -lt 3000 ] && echo yes || echo "$TOOK_MS ms")"
run nc -z -w 5 198.19.255.254 80
check_status 1 'fake, socks5: an address never given out is refused'
check_lacks 'fake, socks5: and the proxy is not asked for it' 198.19.255.254 "$(cat "$(err_of microsocks)")"
tapped
stop tap
check_equal 'fake, socks5: nothing on port 53' '' "$(grep '\.53[: ]' "$(out_of tap)" || true)"
before=$(short @$ANYBODY www.example)
stop fake
check_status 0 'fake: ends in order'

# ---- fake, what the file keeps ----
check_match 'fake: the file has the name' "[0-9]+ www\\.example" "$(cat "$WORK/names")"
check_equal 'fake: the file is for its owner only' 600 "$(stat -c %a "$WORK/names")"
proxy again_fake --upstream socks5://$FAR4:1080 --dns fake --dns-cache "$WORK/names"
check_equal 'fake: after a restart, without a question, the address still leads there' 'a page from far' \
  "$(curl -sS --fail --max-time 20 --resolve "www.example:80:$before" http://www.example/)"
check_equal 'fake: after a restart the same name has the same address' "$before" "$(short @$ANYBODY www.example)"
stop again_fake
check_lacks 'fake: a good file is no matter' ignored "$ERR"
sed -i '2s/$/x/' "$WORK/names"
proxy broken --upstream socks5://$FAR4:1080 --dns fake --dns-cache "$WORK/names"
check_match 'fake: a file that was changed is named and ignored' 'names: ignored.*checksum' "$(cat "$(err_of broken)")"
check_match 'fake: and does not matter otherwise' '^198\.1[89]\.' "$(short @$ANYBODY www.example)"
stop broken
check_match 'fake: the file is good again' '^end [0-9]+ [0-9a-f]{16}$' "$(tail -n 1 "$WORK/names")"

# ---- fake, several workers: one table ----
proxy queues --upstream socks5://$FAR4:1080 --dns fake --queues 4
start_to names_of "$WORK/names_of.txt" bash -c "for i in \$(seq 40); do dig +short +tries=1 +time=8 @$ANYBODY www.example; done"
await names_of 30
check_equal 'fake, 4 queues: one address for one name' 1 "$(sort -u "$WORK/names_of.txt" | wc -l)"
check_equal 'fake, 4 queues: every question answered' 40 "$(wc -l <"$WORK/names_of.txt")"
for i in 1 2 3 4 5 6 7 8; do
  check_equal "fake, 4 queues: page $i" 'a page from far' "$(get www.example)"
done
stop queues

# ---- fake, direct: we are the resolver ----
tap
proxy direct --upstream direct:// --dns fake
fake_all 'fake, direct'
tapped
check_equal 'fake, direct: asking does not look anything up' '' "$(grep '\.53: ' "$(out_of tap)" || true)"
check_equal 'fake, direct: a page by name' 'a page from far' "$(get www.example)"
check_equal 'fake, direct: a page by name, over IPv6' 'a page from far' "$(TYPE=AAAA get www.example)"
check_equal 'fake, direct: the client speaks IPv4, the name has only IPv6' 'a page from far' "$(get v6.example)"
check_equal 'fake, direct: the client speaks IPv6, the name has only IPv4' 'a page from far' "$(TYPE=AAAA get v4.example)"
# Of these two names the IPv6 address leads nowhere: to no route, and into silence. The client speaks IPv6, so it is first.
ip -6 route add unreachable 2001:db8::1
ip -6 route add 2001:db8:1::1 via $FAR6
in_ns far ip -6 route add blackhole 2001:db8:1::1
check_equal 'fake, direct: an address that cannot be reached is followed by the next' 'a page from far' \
  "$(TYPE=AAAA get half.example)"
check_equal 'fake, direct: so is one that does not answer' 'a page from far' "$(TYPE=AAAA get silent.example)"
check_equal 'fake, direct: curl' 'a page from far' "$(client curl -sS --fail --max-time 20 http://www.example/)"
tapped
lookups() { grep -c ' A? www.example\.' "$(out_of tap)"; }
before=$(lookups)
check_at_least 'fake, direct: the name is looked up outside' 1 "$before"
get www.example >/dev/null
tapped
check_equal 'fake, direct: and remembered' "$before" "$(lookups)"
# Datagrams to a name: it is looked up, and answers come from the address that the client knows.
start_in far echo4 socat "UDP4-LISTEN:7,bind=$FAR4,fork" PIPE
start_in far echo6 socat "UDP6-LISTEN:7,bind=[$FAR6],fork" PIPE
for type in 4 6; do
  wait_for 10 "the echo server over IPv$type" in_ns far sh -c "ss -Hlun$type sport = :7 | grep -q ."
  check_equal "fake, direct: UDP to a name, over IPv$type" 'to and fro' \
    "$(printf 'to and fro' | client socat -t 5 -T 5 - "UDP$type:www.example:7")"
done
check_contains 'fake, direct: UDP, a server asked by its name' 'status: NOERROR' \
  "$(client dig +tries=1 +time=5 -p 5353 @v4.example n1.example)"
cat >"$WORK/closed.py" <<'PYTHON'
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.connect((sys.argv[1], 7))
sock.send(b"anybody?")
try:
    print(sock.recv(100))
except OSError as error:
    print(type(error).__name__)
PYTHON
run python3 "$WORK/closed.py" "$(short @$ANYBODY nothing.example)"
check_equal 'fake, direct: UDP to a name that does not exist is refused' ConnectionRefusedError "$OUT$ERR"
no_page nothing.example
check_match 'fake, direct: a name that does not exist cannot be connected to' "[Cc]ould.?n.t connect" "$ERR"
check_equal 'fake, direct: and the client learns it soon' yes "$([ $TOOK_MS -lt 3000 ] && echo yes || echo "$TOOK_MS ms")"
stop tap
stop direct

# ---- fake, and --route of something else: the made-up addresses are captured by themselves ----
start routed "$ADIT" proxy --dev adit0 --upstream socks5://$FAR4:1080 --dns fake --route $ANYBODY/32
wait_for 10 'adit proxy is ready' file_has "$(out_of routed)" '^Ready'
routed() { ip route get "$1" 2>/dev/null | sed -n 's/.* dev \([a-z0-9]*\).*/\1/p'; }
check_equal 'fake, --route: IPv4' adit0 "$(routed 198.19.1.2)"
check_equal 'fake, --route: IPv6' adit0 "$(routed fd00:198:18::1)"
check_equal 'fake, --route: beyond the network' '' "$(routed 198.20.0.1)"
check_equal 'fake, --route: a page by name' 'a page from far' "$(get www.example)"
check_equal 'fake, --route: a page by name, over IPv6' 'a page from far' "$(client curl -6 -sS --fail --max-time 20 http://v6.example/)"
stop routed
check_status 0 'fake, --route: ends in order'
check_equal 'fake, --route: no rule is left' '' "$(ip rule | grep -v -e local -e main -e default || true)"
# A device that is too narrow for IPv6 gets the addresses of IPv4 alone.
start narrow "$ADIT" proxy --dev adit0 --mtu 1000 --upstream socks5://$FAR4:1080 --dns fake --route $ANYBODY/32
wait_for 10 'adit proxy is ready' file_has "$(out_of narrow)" '^Ready'
check_equal 'fake, --route, a narrow device: a page by name' 'a page from far' "$(get www.example)"
stop narrow

# ---- forward through http: the server is asked through CONNECT ----
cat >"$WORK/tinyproxy.conf" <<TINY
Port 8080
Listen $FAR4
Timeout 60
MaxClients 100
Allow 10.77.0.0/24
TINY
start_in far tinyproxy tinyproxy -d -c "$WORK/tinyproxy.conf"
wait_for 10 'tinyproxy answers' port_answers $FAR4 8080
proxy http --upstream http://$FAR4:8080 --dns forward:127.0.0.1
check_equal 'http: a server that only the proxy reaches' $FAR4 "$(short @$ANYBODY www.example)"
capture tap_http near0 '(port 53 or port 8080) and (tcp or udp)'
check_equal 'http: over UDP' $FAR6 "$(short @$ANYBODY www.example AAAA)"
check_equal 'http: over UDP and IPv6' '"hello"' "$(short @2620:fe::9 text.example TXT)"
check_equal 'http: over TCP' $FAR4 "$(short +tcp @$ANYBODY www.example)"
check_equal 'http: over TCP and IPv6' www.example. "$(short +tcp @2620:fe::9 -x $FAR4)"
check_equal 'http: what is too long for a datagram' 60 "$(short +bufsize=512 @$ANYBODY many.example | wc -l)"
check_contains 'http: a name that does not exist' 'status: NXDOMAIN' "$(ask @$ANYBODY nothing.example)"
captured tap_http $FAR4
stop tap_http
check_equal 'http: nothing on port 53' '' "$(grep '\.53[: ]' "$(out_of tap_http)" || true)"
check_equal 'http: all over the connection of the first question' 0 "$(grep -c 'Flags \[S\]' "$(out_of tap_http)" || true)"
check_match 'http: the questions were seen on the way to the proxy' '\.8080: ' "$(cat "$(out_of tap_http)")"
run dig +tries=1 +time=3 -p 5353 @$ANYBODY www.example
check_contains 'http: other datagrams are refused' refused "$OUT"
check_equal 'http: a web page' 'a page from far' "$(curl -sS --fail --max-time 20 --proxy '' http://$FAR4/)"
stop http
check_status 0 'http: ends in order'

# ---- off: as any other datagram and connection ----
in_ns far ip addr add $ANYBODY/32 dev lo
ip route add $ANYBODY/32 via $FAR4 table 77
ip rule add fwmark 7 table 77
start_in far other dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= \
  --port=53 --listen-address=$ANYBODY --bind-interfaces --host-record=www.example,192.0.2.99 --log-facility=-
proxy off --upstream direct:// --dns off --mark 7
check_equal 'off: whom one asks, answers' 192.0.2.99 "$(short @$ANYBODY www.example)"
check_equal 'off: over TCP' 192.0.2.99 "$(short +tcp @$ANYBODY www.example)"
stop off
check_status 0

finish
