#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy with datagrams and echo: directly and through SOCKS5 (dante), real servers and real clients, sizes, who hears
# whom, what cannot be reached, time-outs, bounds, ping and traceroute.
#
# This namespace is the client's machine; adit's own sockets carry a mark and go over a veth pair to the namespace
# "outside", which has 203.0.113.1 to .3 and 2001:db8::1 to ::3 and is the router to "further" with 198.51.100.1 and
# 2001:db8:1::1.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_config.sh"
need dig dnsmasq socat nc iperf3 ping traceroute python3 danted microsocks

FAR4=203.0.113.1
FAR6=2001:db8::1
FURTHER4=198.51.100.1
FURTHER6=2001:db8:1::1
RATE=20M SESSIONS=5000
[ "${ADIT_SANITIZED:-0}" = 0 ] || RATE=5M SESSIONS=2000 # the sanitizers make the stack slow

# ---- the outside ----
netns outside
netns further
ip link add near type veth peer name far netns outside
ip -n outside link add south type veth peer name north netns further
ip addr add 10.9.0.1/24 dev near
ip -6 addr add fd09::1/64 dev near nodad
ip link set near up
in_ns outside sh -c "
  ip addr add 10.9.0.2/24 dev far; ip -6 addr add fd09::2/64 dev far nodad; ip link set far up
  ip addr add 10.10.0.1/24 dev south; ip -6 addr add fd10::1/64 dev south nodad; ip link set south up
  for i in 1 2 3; do ip addr add 203.0.113.\$i/32 dev lo; ip -6 addr add 2001:db8::\$i/128 dev lo nodad; done
  ip route add 198.51.100.0/24 via 10.10.0.2; ip -6 route add 2001:db8:1::/48 via fd10::2
  ip route add unreachable 203.0.113.67; ip -6 route add unreachable 2001:db8::67
  cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding
  echo 0 >ipv4/icmp_ratemask; echo 0 >ipv6/icmp/ratelimit" # every error is told
in_ns further sh -c "
  ip addr add 10.10.0.2/24 dev north; ip -6 addr add fd10::2/64 dev north nodad; ip link set north up
  ip addr add $FURTHER4/32 dev lo; ip -6 addr add $FURTHER6/128 dev lo nodad
  ip route add default via 10.10.0.1; ip -6 route add default via fd10::1
  cd /proc/sys/net; echo 0 >ipv4/icmp_ratemask; echo 0 >ipv6/icmp/ratelimit"
ip rule add fwmark 7 lookup 77
ip -6 rule add fwmark 7 lookup 77
ip route add default via 10.9.0.2 table 77
ip -6 route add default via fd09::2 table 77
echo '10000 60999' >/proc/sys/net/ipv4/ip_local_port_range # enough for many clients

# Echo on port 7 of every address, each by a socket of its own, so that answers come from where they were asked. Port 70
# of the first: somebody else answers, port 71 of the second address, and says whom it heard of.
cat >"$WORK/servers.py" <<'PYTHON'
import select, socket

def on(address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
    sock.bind((address, port))
    return sock

answers = {}
for prefix in "203.0.113.", "2001:db8::":
    for i in "123":
        sock = on(prefix + i, 7)
        answers[sock] = sock
    answers[on(prefix + "1", 70)] = on(prefix + "2", 71)
print("Ready", flush=True)
while True:
    for sock in select.select(list(answers), [], [])[0]:
        data, source = sock.recvfrom(65536)
        answers[sock].sendto(data, source)
PYTHON

# The client. Prints one word or line for the test to compare.
cat >"$WORK/client.py" <<'PYTHON'
import errno, hashlib, os, select, socket, sys, time

def client(host, seconds=10):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(seconds)
    return sock

def sizes(host, *wanted):  # each there and back
    sock = client(host)
    for size in map(int, wanted):
        data = os.urandom(size)
        sock.sendto(data, (host, 7))
        answer, source = sock.recvfrom(65536)
        if (answer, source[0], source[1]) != (data, host, 7):
            sys.exit(f"{size} bytes: {len(answer)} came from {source}, equal: {answer == data}")
    print("all")

def cone(host, other):  # asked there, answered by somebody else
    sock = client(host)
    sock.sendto(b"who?", (host, 70))
    answer, source = sock.recvfrom(65536)
    print(answer.decode(), source[0] == other or source[0], source[1])

def closed(host, port):  # how a datagram to a closed port ends, and whether at once
    sock = client(host, 5)
    sock.connect((host, int(port)))
    begin = time.monotonic()
    try:
        sock.send(b"anybody?")
        text = repr(sock.recv(100))
    except OSError as error:
        text = errno.errorcode.get(error.errno, "silence")
    print(text, "at once" if time.monotonic() - begin < 1 else "late")

def many(host, count):  # so many clients, each asks and is answered
    import resource
    count = int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    socks = [client(host) for _ in range(count)]
    good = 0
    for begin in range(0, count, 50):
        part = socks[begin:begin + 50]
        for number, sock in enumerate(part):
            sock.sendto(b"%d" % (begin + number), (host, 7))
        for number, sock in enumerate(part):
            good += sock.recv(100) == b"%d" % (begin + number)
    print(good)

def hold(host):  # asks, and again for each line of its input, with the same socket
    sock = client(host, 2)
    for line in sys.stdin:
        try:
            sock.sendto(line.encode(), (host, 7))
            print("answer" if sock.recv(100) == line.encode() else "wrong", flush=True)
        except OSError as error:
            print(error, flush=True)

globals()[sys.argv[1]](*sys.argv[2:])
PYTHON
client() { python3 "$WORK/client.py" "$@"; }

dante_config "$WORK/dante.log" 'from: 0/0 to: 0/0 command: bind connect udpassociate bindreply udpreply' \
  >"$WORK/dante.conf"

start_in outside servers python3 "$WORK/servers.py"
start_in outside names dnsmasq --keep-in-foreground --no-resolv --no-hosts --user=root --pid-file= --bind-interfaces \
  --listen-address=$FAR4,$FAR6 --address=/adit.test/192.0.2.1 --address=/adit.test/2001:db8:2::1
start_in outside socat socat UDP4-LISTEN:8007,bind=$FAR4,fork PIPE
start_in outside iperf iperf3 -s -B $FAR4 --forceflush
start_in outside tcponly microsocks -i :: -p 1080
start_in outside dante danted -f "$WORK/dante.conf"
wait_for 10 'the servers are ready' file_has "$(out_of servers)" Ready
wait_for 10 'dnsmasq answers' in_ns outside dig +short +tries=1 +time=1 @$FAR4 adit.test
wait_for 10 'iperf3 listens' file_has "$(out_of iperf)" listening
for port in 1080 1082; do wait_for 15 "port $port outside" in_ns outside nc -z 10.9.0.2 $port; done

# ---- tools ----
# proxy ARGUMENT...: start adit, and send the far networks into its device.
proxy() {
  local network
  start proxy "$ADIT" proxy --dev adit0 --mark 7 "$@"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
  for network in 203.0.113.0/24 198.51.100.0/24; do ip route replace $network dev adit0; done
  ip -6 route replace 2001:db8::/32 dev adit0
}

stop_proxy() {
  stop proxy
  check_status 0 "$1: ends in order"
  check_lacks "$1: nothing was found by a sanitizer" Sanitizer "$ERR"
}

fds_of() { find "/proc/${PID[$1]}/fd" -type l 2>/dev/null | wc -l; }
has_fds() { [ "$(fds_of "$1")" -le "$2" ] || { echo "$(fds_of "$1") fds"; false; }; }

# lost iperf3-ARGUMENT...: percent of datagrams that got lost, rounded.
lost() {
  run iperf3 -c $FAR4 -u -b $RATE -l 1400 -t 2 -J "$@"
  python3 -c 'import json, sys; print(round(json.loads(sys.argv[1])["end"]["sum"]["lost_percent"]))' "$OUT"
}

# basics WAY MOST4 MOST6: what every way does; the longest datagrams it takes.
basics() {
  check_equal "$1: dig A" 192.0.2.1 "$(dig +short +tries=1 +time=5 @$FAR4 adit.test A)"
  check_equal "$1: dig AAAA over IPv6" 2001:db8:2::1 "$(dig +short +tries=1 +time=5 @$FAR6 adit.test AAAA)"
  check_equal "$1: socat" 'to and fro' "$(printf 'to and fro' | socat -t 5 -T 5 - UDP4:$FAR4:8007)"
  check_equal "$1: sizes" all "$(client sizes $FAR4 1 2 500 1472 1473 3000 9000 32000 65000 "$2" 1)"
  check_equal "$1: sizes over IPv6" all "$(client sizes $FAR6 1 2 500 1452 1453 3000 9000 32000 65000 "$3" 1)"
  check_equal "$1: 100 clients" 100 "$(client many $FAR4 100)"
  check_equal "$1: 100 clients over IPv6" 100 "$(client many $FAR6 100)"
}

# ---- directly ----
before=$(links)
proxy
check_contains 'datagrams are relayed, it is said' 'relayed' "$(grep udp "$(out_of proxy)")"
basics direct 65507 65527
check_equal 'direct: nothing in it' all "$(client sizes $FAR4 0)"
check_equal 'direct: nothing in it, over IPv6' all "$(client sizes $FAR6 0)"
check_equal 'direct: full cone' 'who? True 71' "$(client cone $FAR4 203.0.113.2)"
check_equal 'direct: full cone over IPv6' 'who? True 71' "$(client cone $FAR6 2001:db8::2)"
for host in $FAR4 $FAR6; do
  check_equal "direct: closed port of $host" 'ECONNREFUSED at once' "$(client closed $host 9)"
done
run dig +tries=1 +time=5 -p 9 @$FAR4 adit.test
check_contains 'direct: dig hears that the port is closed' 'refused' "$OUT"
check_lacks 'direct: and does not wait' 'timed out' "$OUT"
run nc -u -z -v -w 2 $FAR4 9
check_status 1 'direct: nc -u -z to a closed port'
run nc -u -z -v -w 2 $FAR4 7
check_status 0 'direct: nc -u -z to an open port'
loss=$(lost)
check_match "direct: iperf3 -u up ($loss %)" '^1?[0-9]$' "$loss"
loss=$(lost -R)
check_match "direct: iperf3 -u down ($loss %)" '^1?[0-9]$' "$loss"
stop_proxy direct
check_lacks 'direct: nothing to complain about' 'ended early' "$ERR"

# Time-out.
proxy --udp-timeout 1
least=$(fds_of proxy)
check_equal 'time-out: 50 clients' 50 "$(client many $FAR4 50)"
check_at_least 'time-out: there are sockets' $((least + 50)) "$(fds_of proxy)"
wait_for 10 'time-out: the sockets are closed' has_fds proxy "$least"
stop_proxy time-out

# Bound.
proxy --max-udp 1000
least=$(fds_of proxy)
check_equal "bound: $SESSIONS clients" $SESSIONS "$(RUN_SECONDS=100 client many $FAR4 $SESSIONS)"
check_equal 'bound: a thousand sockets' $((least + 1000)) "$(fds_of proxy)"
check_equal 'bound: and it goes on' all "$(client sizes $FAR4 1 1400)"
stop_proxy bound
check_match 'bound: the summary counts' "$((SESSIONS + 1)) sessions \($((SESSIONS - 999)) ended early\), 0 dropped" "$OUT"
check_contains 'bound: it is said' '--max-udp' "$ERR"
check_equal 'bound: and not once for each' yes "$([ "$(grep -c -e --max-udp "$(err_of proxy)")" -le 9 ] && echo yes)"

# Off.
proxy --udp off
check_equal 'off: refused' 'ECONNREFUSED at once' "$(client closed $FAR4 7)"
check_equal 'off: refused over IPv6' 'ECONNREFUSED at once' "$(client closed $FAR6 7)"
stop_proxy off

# ---- echo ----
# pings WAY: what a relayed ping sees.
pings() {
  local host
  for host in $FURTHER4 $FURTHER6; do
    check_command "$1: ping $host" ping -n -c 3 -i 0.05 -W 5 $host
    check_contains "$1: ping $host: all of them" '3 received' "$OUT"
    check_contains "$1: ping $host: the ttl is the other end's" 'ttl=63 ' "$OUT"
    run ping -n -c 1 -W 5 -t 1 $host
    check_status 1 "$1: ping -t 1 $host"
    check_match "$1: ping -t 1 $host: the router answers" 'From (10.9.0.2|fd09::2).* [Tt]ime' "$OUT"
  done
  check_command "$1: the largest ping" ping -n -c 1 -W 5 -s 65507 $FURTHER4
  check_command "$1: the largest ping over IPv6" ping -n -c 1 -W 5 -s 65527 $FURTHER6
  run ping -n -c 1 -W 5 203.0.113.67
  check_match "$1: ping of what is unreachable" 'From 10.9.0.2 .*Unreachable' "$OUT"
  run ping -n -c 1 -W 5 2001:db8::67
  check_match "$1: ping of what is unreachable over IPv6" 'From fd09::2 .*unreachable' "$OUT"
  for host in $FURTHER4 $FURTHER6; do
    run traceroute -n -I -q 1 -w 5 -m 5 $host
    check_match "$1: traceroute -I $host: first the router" '(^|\n)? 1  (10.9.0.2|fd09::2) ' "$OUT"
    check_match "$1: traceroute -I $host: then the other end" " 2  $host " "$OUT"
  done
  # Answers, and errors, are those of who asked: several at once do not mix.
  for host in 1 2 3 4 5 6; do
    start "ping$host" ping -n -c 20 -i 0.01 -W 5 -s $((host * 100)) "$([ $((host % 2)) = 0 ] && echo $FURTHER4 || echo $FURTHER6)"
  done
  for host in 1 2 3 4 5 6; do
    await "ping$host" 30
    check_contains "$1: six pings at once: $host" '20 received, 0% packet loss' "$OUT"
  done
}

for way in raw ping; do
  [ $way = raw ] || echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
  proxy
  check_contains "$way: echo requests go out, it is said" 'go out' "$(grep icmp "$(out_of proxy)")"
  pings "$way sockets"
  for host in $FURTHER4 $FURTHER6; do # UDP
    run traceroute -n -q 1 -w 5 -m 5 $host
    check_match "traceroute $host: first the router" ' 1  (10.9.0.2|fd09::2) ' "$OUT"
    check_match "traceroute $host: then the other end" " 2  $host " "$OUT"
  done
  run ping -n -c 1 -W 1 10.9.9.9
  stop_proxy "$way sockets"
done

proxy --icmp off
run ping -n -c 1 -W 1 $FAR4
check_contains 'icmp off: silence' '0 received, 100% packet loss' "$OUT"
stop_proxy 'icmp off'

proxy --icmp reply
check_command 'icmp reply: it answers for everybody' ping -n -c 1 -W 2 203.0.113.99
check_command 'icmp reply: over IPv6 too' ping -n -c 1 -W 2 2001:db8::99
stop_proxy 'icmp reply'

# ---- through SOCKS5 ----
for server in 10.9.0.2 '[fd09::2]'; do
  proxy --upstream "socks5://$server:1082"
  # The header for IPv4 has 10 bytes, that for IPv6 has 22; the server's own receive buffer bounds them as well.
  basics "socks5 $server" 65497 65485
  # Between two IPv6 addresses there is room for the header and the longest datagram of IPv4.
  [ $server = 10.9.0.2 ] || check_equal "socks5 $server: 65507 bytes" all "$(client sizes $FAR4 65507)"
  loss=$(lost)
  check_match "socks5 $server: iperf3 -u ($loss %)" '^[0-9]+$' "$loss"
  check_command "socks5 $server: a ping is answered here" ping -n -c 1 -W 2 203.0.113.99
  stop_proxy "socks5 $server"
done

# The control connection ends, and the proxy is gone: refused at once. It comes back: so does the client, who noticed nothing.
proxy --upstream socks5://10.9.0.2:1082
mkfifo "$WORK/questions"
exec 3<>"$WORK/questions"
start_to held "$WORK/answers" bash -c 'exec python3 "$0" hold "$1" <"$2"' "$WORK/client.py" $FAR4 "$WORK/questions"
echo one >&3
wait_for 15 'socks5: the first answer' file_has_lines "$WORK/answers" 1
check_equal 'socks5: the first answer' answer "$(tail -n 1 "$WORK/answers")"
stop dante
check_equal 'socks5: without the proxy nobody takes datagrams' 'ECONNREFUSED at once' "$(client closed $FAR4 7)"
start_in outside dante danted -f "$WORK/dante.conf"
wait_for 15 'dante again' in_ns outside nc -z 10.9.0.2 1082
held_is_answered() {
  local lines
  lines=$(wc -l <"$WORK/answers")
  echo again >&3
  wait_for 5 'the client has heard something' file_has_lines "$WORK/answers" $((lines + 1))
  [ "$(tail -n 1 "$WORK/answers")" = answer ]
}
wait_for 30 'socks5: the same client is answered again' held_is_answered
passed 'socks5: the same client is answered again'
stop held
exec 3>&-
stop proxy
check_match 'socks5: the log says which proxy and why' 'socks5://10.9.0.2:1082: .*refused' "$ERR"

# A proxy without datagrams.
proxy --upstream socks5://10.9.0.2:1080
for host in $FAR4 $FAR6; do
  check_equal "socks5 without UDP: $host" 'ECONNREFUSED at once' "$(client closed $host 7)"
done
for ((i = 0; i < 20; i++)); do client closed $FAR4 7 >/dev/null; done
check_equal 'socks5 without UDP: TCP works' 192.0.2.1 "$(dig +short +tcp +tries=1 +time=5 @$FAR4 adit.test A)"
stop_proxy 'socks5 without UDP'
check_contains 'socks5 without UDP: the log says so' 'does not know the command' "$ERR"
check_equal 'socks5 without UDP: not once for each' yes "$([ "$(grep -c 'upstream' <<<"$ERR")" -le 6 ] && echo yes)"

# Upstreams that have no datagrams at all.
for upstream in http://10.9.0.2:8080 reject://; do
  proxy --upstream "$upstream"
  check_equal "$upstream: refused" 'ECONNREFUSED at once' "$(client closed $FAR4 7)"
  stop_proxy "$upstream"
done

wait_for 5 'the device is gone' link_is_gone adit0
check_equal 'interfaces are as before' "$before" "$(links)"
finish
