#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Routes into the device that somebody set by hand, without --mark or --interface: what adit itself sends comes back into
# the device. It must be refused, once and at once, not relayed round and round: TCP, UDP, echo, questions for names,
# with one worker and with four, for the program and for one that embeds the library.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 ping dig

FAR4=203.0.113.1
FAR6=2001:db8::1
MOST=20 # attempts that one client's may become; each one that goes round makes hundreds in no time
netns outside
ip link add other type veth peer name peer netns outside # and with it addresses that are not the device's
ip addr add 10.6.0.1/24 dev other
ip -6 addr add fd06::1/64 dev other nodad
ip link set other up
in_ns outside ip addr add 10.6.0.2/24 dev peer
in_ns outside ip addr add $FAR4/32 dev lo
in_ns outside ip link set peer up
start_in outside server python3 -c "
import selectors, socket
stream = socket.create_server(('$FAR4', 80), backlog=64)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('$FAR4', 80))
waiting = selectors.DefaultSelector()
waiting.register(stream, selectors.EVENT_READ)
waiting.register(datagrams, selectors.EVENT_READ)
print('Ready', flush=True)
while True:
    for key, _ in waiting.select():
        if key.fileobj is stream:
            with stream.accept()[0] as client:
                client.sendall(b'hello')
                client.recv(100)
        else:
            datagrams.sendto(*datagrams.recvfrom(100))"
wait_for 10 'the server is ready' file_has "$(out_of server)" Ready

# outcome KIND HOST: how an attempt ends, and whether it took less than a second.
cat >"$WORK/outcome.py" <<'PYTHON'
import errno, socket, sys, time
kind, host = sys.argv[1:]
begin = time.monotonic()
try:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                         socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect((host, 80))
    sock.send(b"anybody?")
    text = repr(sock.recv(100))
except OSError as error:
    text = errno.errorcode.get(error.errno, "silence")
print(text, "at once" if time.monotonic() - begin < 1 else "late")
PYTHON
cat >"$WORK/many.py" <<'PYTHON'
import collections, errno, selectors, socket, sys
host, count = sys.argv[1], int(sys.argv[2])
waiting, ends = selectors.DefaultSelector(), collections.Counter()
for _ in range(count):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((host, 80))
    waiting.register(sock, selectors.EVENT_WRITE)
while waiting.get_map() and (ready := waiting.select(5)):
    for key, _ in ready:
        waiting.unregister(key.fileobj)
        ends[errno.errorcode.get(key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "connected")] += 1
print(*(f"{n} {end}" for end, n in ends.items()), *(["silence"] if waiting.get_map() else []))
PYTHON
outcome() { python3 "$WORK/outcome.py" "$@"; }

# proxy ARGUMENT...
proxy() {
  start proxy "$ADIT" proxy --dev adit0 "$@"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
  to_device adit0
}
to_device() {
  ip route replace 203.0.113.0/24 dev "$1"
  ip -6 route replace 2001:db8::/32 dev "$1"
}
fds_of() { find "/proc/${PID[$1]}/fd" -type l 2>/dev/null | wc -l; }
# stop_proxy WHAT CLIENTS [REGEX]: it ends in order, and made no more attempts than clients times MOST. The regular
# expression finds their number in the summary.
stop_proxy() {
  local begun
  stop proxy
  check_status 0 "$1: ends in order"
  check_lacks "$1: nothing was found by a sanitizer" Sanitizer "$ERR"
  check_match "$1: the log says what happened and what to do" 'leads back into the device.*--route.*--interface.*--mark' "$ERR"
  [ "$(grep -c 'leads back' <<<"$ERR")" -le $((3 * queues)) ] || fail "$1: the log says it again and again: $ERR"
  begun=$(sed -n "s/.*${3:-connections: \([0-9]*\) begun}.*/\1/p" <<<"$OUT")
  [ -n "$begun" ] && [ "$begun" -le $(($2 * MOST)) ] || fail "$1: $2 clients became $begun attempts: $OUT"
  passed "$1: it did not go round ($begun attempts of $2 clients)"
}

for queues in 1 4; do
  what="$queues workers"
  proxy --queues $queues --icmp reply --udp off
  for host in $FAR4 $FAR6; do
    check_equal "$what: TCP to $host" 'ECONNREFUSED at once' "$(outcome tcp $host)"
  done
  fds=$(fds_of proxy)
  check_equal "$what: TCP, 48 at once" '48 ECONNREFUSED' "$(python3 "$WORK/many.py" $FAR4 48)"
  check_at_least "$what: no socket is left over" "$(fds_of proxy)" "$fds"
  stop_proxy "$what: TCP" 50

  proxy --queues $queues --icmp reply
  for host in $FAR4 $FAR6; do
    check_equal "$what: UDP to $host" 'ECONNREFUSED at once' "$(outcome udp $host)"
  done
  stop_proxy "$what: UDP" 2 ' \([0-9]*\) sessions'

  for sockets in raw ping; do
    [ $sockets = raw ] && echo '1 0' >/proc/sys/net/ipv4/ping_group_range ||
      echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
    proxy --queues $queues
    for host in $FAR4 $FAR6; do
      run ping -n -c 2 -i 0.2 -W 3 $host
      check_status 1 "$what: ping $host ($sockets sockets)"
      check_match "$what: ping $host ($sockets sockets) hears of it" '[Uu]nreachable' "$OUT$ERR"
    done
    check_at_least "$what: few $sockets sockets" "$(fds_of proxy)" $((fds + 4 * MOST))
    stop_proxy "$what: ping, $sockets sockets" 4
  done
done

queues=1
# The source is another address of this machine than the device's own.
proxy --icmp reply
ip route replace 203.0.113.0/24 dev adit0 src 10.6.0.1
ip -6 route replace 2001:db8::/32 dev adit0 src fd06::1
for host in $FAR4 $FAR6; do
  check_equal "another source: TCP to $host" 'ECONNREFUSED at once' "$(outcome tcp $host)"
  check_equal "another source: UDP to $host" 'ECONNREFUSED at once' "$(outcome udp $host)"
done
stop_proxy 'another source' 4

# A proxy behind the own device, and a name server.
proxy --upstream socks5://$FAR4:1080 --icmp reply
check_equal 'a proxy behind the device: TCP' 'EHOSTUNREACH at once' "$(outcome tcp $FAR4)"
stop_proxy 'a proxy behind the device' 1
proxy --dns forward:203.0.113.53 --icmp reply
check_contains 'a name server behind the device' SERVFAIL "$(dig +tries=1 +time=5 @$FAR4 far.test)"
check_contains 'a name server behind the device: TCP' SERVFAIL "$(dig +tcp +tries=1 +time=5 @$FAR4 far.test)"
stop_proxy 'a name server behind the device' 2
echo 'nameserver 203.0.113.53' >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" "$(readlink -f /etc/resolv.conf)"
proxy --dns fake --icmp reply
ip route replace 198.18.0.0/15 dev adit0
address=$(dig +short +tries=1 +time=5 @$FAR4 far.test)
check_match 'fake names: an address' '^198\.1[89]\.' "$address"
check_equal 'fake names, and the name server is behind the device' 'EHOSTUNREACH at once' "$(outcome tcp "$address")"
stop_proxy 'fake names, and the name server is behind the device' 1

# What looks alike but is none: many clients of this machine, and adit's own sockets, which are kept out, to one server.
ip route add 203.0.113.0/24 via 10.6.0.2 dev other metric 100
proxy --interface other --icmp reply
for ((i = 0; i < 30; i++)); do
  check_equal "sockets that are kept out: TCP, $i" "b'hello' at once" "$(outcome tcp $FAR4)"
  check_equal "sockets that are kept out: UDP, $i" "b'anybody?' at once" "$(outcome udp $FAR4)"
done
stop proxy
check_lacks 'sockets that are kept out: nothing is said' 'leads back' "$ERR"

# A program with the library, whose device has no address at all.
start embed "$ADIT_BUILD/demos/embed_socks" socks0 socks5://$FAR4:1080
wait_for 10 'the demo is ready' file_has "$(err_of embed)" '^ready'
ip link set socks0 up
to_device socks0
check_equal 'embedded: TCP' 'EHOSTUNREACH at once' "$(outcome tcp $FAR4)"
stop embed
check_status 0 'embedded: ends in order'
check_contains 'embedded: the log says what happened' 'leads back into the device' "$ERR"

finish
