#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy between real clients and real servers: directly, through SOCKS5 (microsocks, dante; with and without
# password) and through HTTP (tinyproxy; the same), over IPv4 and IPv6; what cannot be connected to; proxies that fail.
#
# This namespace is the client's machine. Its traffic to 203.0.113.0/24 and 2001:db8::/32 goes into the device. adit's
# own sockets carry a mark and go over a veth pair to the namespace "outside", where those addresses and the proxies
# are.
set -eu
. "$(dirname "$0")/lib.sh"
need curl nc socat python3 sha256sum nginx microsocks danted tinyproxy

FAR4=203.0.113.1
FAR6=2001:db8::1
BIG=$((1 << 30))
PARALLEL=64
[ "${ADIT_SANITIZED:-0}" = 0 ] || BIG=$((1 << 25)) PARALLEL=24 # the sanitizers make the stack slow

# ---- the outside ----
netns outside
ip link add near type veth peer name far netns outside
ip addr add 10.9.0.1/24 dev near
ip -6 addr add fd09::1/64 dev near nodad
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip -6 addr add fd09::2/64 dev far nodad
in_ns outside ip link set far up
for i in 1 2 3; do
  in_ns outside ip addr add 203.0.113.$i/32 dev lo
  in_ns outside ip -6 addr add 2001:db8::$i/128 dev lo nodad
done
in_ns outside sh -c 'cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding
  echo 0 >ipv4/icmp_ratelimit; echo 0 >ipv6/icmp/ratelimit' # every error is told
in_ns outside ip route add blackhole 203.0.113.66
in_ns outside ip route add unreachable 203.0.113.67
in_ns outside ip -6 route add blackhole 2001:db8::66
in_ns outside ip -6 route add unreachable 2001:db8::67
ip rule add fwmark 7 lookup 77
ip -6 rule add fwmark 7 lookup 77
ip route add default via 10.9.0.2 table 77
ip -6 route add default via fd09::2 table 77

mkdir "$WORK/web" "$WORK/nginx"
chmod 755 "$WORK" "$WORK/web"
head -c 3000000 /dev/urandom >"$WORK/web/page"
SUM=$(sha256sum <"$WORK/web/page")
SUM=${SUM%% *}
cat >"$WORK/nginx.conf" <<NGINX
user root;
daemon off;
pid $WORK/nginx/pid;
error_log $WORK/nginx/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $WORK/nginx/body;
  proxy_temp_path $WORK/nginx/proxy;
  fastcgi_temp_path $WORK/nginx/fastcgi;
  uwsgi_temp_path $WORK/nginx/uwsgi;
  scgi_temp_path $WORK/nginx/scgi;
  server { listen [::]:80 ipv6only=off; root $WORK/web; }
}
NGINX
cat >"$WORK/danted.conf" <<DANTE
logoutput: $WORK/danted.log
internal: 10.9.0.2 port = 1082
internal: fd09::2 port = 1082
external: far
external: lo
external.rotation: route
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: root
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
DANTE
for port in 8080 8081; do
  cat >"$WORK/tinyproxy$port.conf" <<TINY
Port $port
Listen 10.9.0.2
Listen fd09::2
Timeout 60
MaxClients 200
Allow 10.9.0.0/24
Allow fd09::/64
TINY
done
echo 'BasicAuth user p_ss' >>"$WORK/tinyproxy8081.conf"

# Servers that nobody packages. echo: port 7; reset: port 7001, says "half" and resets; both: port 7002, reads all and
# sends as much at the same time (an echo would block a proxy that relays both ways in one thread, as microsocks does);
# and proxies on 1090 and up that are wrong in one way each, or right but slow.
cat >"$WORK/servers.py" <<'PYTHON'
import hashlib, socket, struct, sys, threading, time

def serve(port, what):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", port))
    listener.listen(256)
    def loop():
        while True:
            connection = listener.accept()[0]
            threading.Thread(target=run, args=(what, connection), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()

def run(what, connection):
    try:
        what(connection)
    except OSError:
        pass
    finally:
        connection.close()

def pump(source, sink):
    try:
        while data := source.recv(1 << 18):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def echo(connection):
    pump(connection, connection)
    connection.recv(1)

def reset(connection):
    connection.sendall(b"half")
    time.sleep(0.2)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

def both(connection):
    left = rest = struct.unpack("!Q", exactly(connection, 8))[0]
    received = hashlib.sha256()
    def read():
        nonlocal rest
        while rest > 0 and (data := connection.recv(min(rest, 1 << 20))):
            received.update(data)
            rest -= len(data)
    reader = threading.Thread(target=read)
    reader.start()
    block = hashlib.shake_128(b"down").digest(1 << 20) + b"!"  # an odd length: no two segments are alike
    while left > 0:
        connection.sendall(block[:left])
        left -= min(left, len(block))
    reader.join()
    connection.sendall(received.digest())

def hang(connection):
    while connection.recv(4096):
        pass

def garbage(connection):
    connection.recv(4096)
    connection.sendall(b"\xff\xfe\x00 what?\r\n" * 100)

def half(connection):
    connection.recv(4096)
    connection.sendall(b"\x05\x00\x05\x00\x00")

def exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise OSError("ended")
        data += piece
    return data

def slow(connection):  # SOCKS5 that answers one byte at a time
    def say(data):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.005)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    exactly(connection, exactly(connection, 2)[1])
    say(b"\x05\x00")
    kind = exactly(connection, 4)[3]
    address = socket.inet_ntop(socket.AF_INET, exactly(connection, 4)) if kind == 1 else \
        socket.inet_ntop(socket.AF_INET6, exactly(connection, 16))
    port = struct.unpack("!H", exactly(connection, 2))[0]
    with socket.create_connection((address, port)) as far:
        say(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        thread = threading.Thread(target=pump, args=(far, connection))
        thread.start()
        pump(connection, far)
        thread.join()

for port, what in {7: echo, 7001: reset, 7002: both, 1090: hang, 1091: garbage, 1092: half, 1093: slow}.items():
    serve(port, what)
print("Ready", flush=True)
threading.Event().wait()
PYTHON

start_in outside nginx nginx -c "$WORK/nginx.conf"
start_in outside servers python3 "$WORK/servers.py"
start_in outside socks microsocks -i :: -p 1080
start_in outside guarded microsocks -i :: -p 1081 -u 'us@er' -P 'p:w/d'
start_in outside dante danted -f "$WORK/danted.conf"
start_in outside tiny tinyproxy -d -c "$WORK/tinyproxy8080.conf"
start_in outside guarded_tiny tinyproxy -d -c "$WORK/tinyproxy8081.conf"
wait_for 10 'the servers are ready' file_has "$(out_of servers)" Ready
for port in 80 1080 1081 1082 8080 8081; do
  wait_for 10 "port $port outside" in_ns outside nc -z 10.9.0.2 $port
done

# ---- tools ----
# proxy ARGUMENT...: start adit, and send the far networks into its device.
proxy() {
  start proxy "$ADIT" proxy --dev adit0 --mark 7 "$@"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
  ip route replace 203.0.113.0/24 dev adit0
  ip -6 route replace 2001:db8::/32 dev adit0
}

stop_proxy() {
  stop proxy
  check_status 0 "$1: ends in order"
  check_lacks "$1: nothing was found by a sanitizer" Sanitizer "$ERR"
}

fetched() { # fetched HOST [CURL-ARGUMENT...]: checksum of the page
  local host=$1
  shift
  curl -gsS --fail --max-time 60 "$@" "http://$host/page" | sha256sum | cut -d' ' -f1
}

# outcome HOST PORT SECONDS [MARK]: how a connection attempt ends, and whether it took less than a second.
cat >"$WORK/outcome.py" <<'PYTHON'
import errno, socket, sys, time
host, port, seconds, mark = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int((sys.argv + ["0"])[4])
begin = time.monotonic()
try:
    client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    client.settimeout(seconds)
    if mark:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    client.connect((host, port))
    text = "connected"
except TimeoutError as error:
    text = errno.errorcode.get(error.errno, "silence")
except OSError as error:
    text = errno.errorcode.get(error.errno, str(error))
print(text, "at once" if time.monotonic() - begin < 1 else "late")
PYTHON
outcome() { python3 "$WORK/outcome.py" "$@"; }

# through.py HOST BYTES: send as many, receive as many meanwhile. Prints four sums: sent, and what arrived of it there;
# what was to come, and what arrived of it here.
cat >"$WORK/through.py" <<'PYTHON'
import hashlib, socket, struct, sys, threading
host, total = sys.argv[1], int(sys.argv[2])
client = socket.create_connection((host, 7002), timeout=60)
client.sendall(struct.pack("!Q", total))

def stream(name, take):
    block, digest, left = hashlib.shake_128(name).digest(1 << 20) + b"!", hashlib.sha256(), total
    while left > 0:
        piece = block[:left]
        take(piece)
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()

up = []
def send():
    up.append(stream(b"up", client.sendall))

sender = threading.Thread(target=send)
sender.start()
received, count, tail = hashlib.sha256(), 0, b""
while data := client.recv(1 << 20):
    received.update(data[:max(0, total - count)])
    tail += data[max(0, total - count):]
    count += len(data)
sender.join()
print(up[0], tail.hex(), stream(b"down", lambda piece: None), received.hexdigest())
PYTHON

through() { # through WAY HOST BYTES
  RUN_SECONDS=200 check_command "$1: $3 bytes to and from $2" python3 "$WORK/through.py" "$2" "$3"
  local sent arrived_there expected received
  read -r sent arrived_there expected received <<<"$OUT"
  check_equal "$1: SHA-256 of what $2 got" "$sent" "$arrived_there"
  check_equal "$1: SHA-256 of what came from $2" "$expected" "$received"
}

fds_of() { find "/proc/${PID[$1]}/fd" -type l 2>/dev/null | wc -l; }
has_fds() { [ "$(fds_of "$1")" -le "$2" ] || { echo "$(fds_of "$1") fds"; false; }; }

# parallel WAY: many downloads at once; every fd of theirs is closed afterwards.
parallel() {
  local i before arguments=()
  before=$(fds_of proxy)
  for ((i = 0; i < PARALLEL; i++)); do
    arguments+=(-o "$WORK/part$i" "http://$([ $((i % 2)) = 0 ] && echo $FAR4 || echo "[$FAR6]")/page?$i")
  done
  check_command "$1: $PARALLEL downloads at once" \
    curl -gsS --fail --max-time 60 --parallel --parallel-immediate --parallel-max $PARALLEL "${arguments[@]}"
  for ((i = 0; i < PARALLEL; i++)); do
    cmp -s "$WORK/part$i" "$WORK/web/page" || fail "$1: download $i of $PARALLEL differs"
  done
  passed "$1: each of $PARALLEL is whole"
  rm -f "$WORK"/part*
  wait_for 10 "$1: the fds are closed" has_fds proxy "$before"
}

# basics WAY: what every upstream does.
basics() {
  check_equal "$1: IPv4" "$SUM" "$(fetched $FAR4)"
  check_equal "$1: IPv6" "$SUM" "$(fetched "[$FAR6]")"
  check_equal "$1: a closed port" 'ECONNREFUSED at once' "$(outcome $FAR4 81 20)"
  check_equal "$1: a closed port over IPv6" 'ECONNREFUSED at once' "$(outcome $FAR6 81 20)"
  run nc -z -w 5 $FAR4 81
  check_status 1 "$1: nc -z to a closed port"
  run nc -z -w 5 $FAR4 80
  check_status 0 "$1: nc -z to an open port"
  run curl -sS --max-time 10 "http://$FAR4:81/"
  check_status 7 "$1: curl to a closed port"
  # One address of two answers: curl moves on at once.
  run curl -gsS --fail --max-time 10 -o /dev/null -w '%{remote_ip}' \
    --resolve "two.test:80:203.0.113.67,$FAR4" http://two.test/page
  check_equal "$1: curl moves on to the next address" $FAR4 "$OUT"
  through "$1" $FAR4 20000000
}

# half_close WAY: the client ends, and hears the rest. microsocks and tinyproxy cannot do it: they end both sides.
half_close() {
  check_equal "$1: half-close" 'to and fro' "$(printf 'to and fro' | socat -t 10 - "TCP:$FAR4:7")"
  check_equal "$1: half-close over IPv6" 'to and fro' "$(printf 'to and fro' | socat -t 10 - "TCP:[$FAR6]:7")"
}

# ---- directly ----
before=$(links)
proxy
check_contains 'the upstream is named' 'direct://' "$(cat "$(out_of proxy)")"
basics direct
half_close direct
# As without adit: the same connection, past the device, ends the same way.
for host in 203.0.113.67 2001:db8::67 203.0.113.66 2001:db8::66 $FAR4 $FAR6; do
  check_equal "direct: $host port 81, as without adit" "$(outcome $host 81 3 7)" "$(outcome $host 81 3)"
done
check_equal 'direct: unreachable' 'EHOSTUNREACH at once' "$(outcome 203.0.113.67 80 20)"
check_equal 'direct: black hole' 'silence late' "$(outcome 203.0.113.66 80 3)"
check_equal 'direct: a reset is a reset' "b'half' ECONNRESET" "$(python3 -c "
import errno, socket
client = socket.create_connection(('$FAR4', 7001), timeout=10)
print(client.recv(100), end=' ')
try:
    print(client.recv(100))
except OSError as error:
    print(errno.errorcode[error.errno])")"
parallel direct
through direct $FAR4 "$BIG"
through direct $FAR6 "$((BIG / 4))"
stop_proxy direct
check_match 'the summary counts connections' 'connections: [1-9][0-9]* begun' "$OUT"
wait_for 5 'the device is gone' link_is_gone adit0
check_equal 'interfaces are as before' "$before" "$(links)"

# ---- through proxies ----
proxy --upstream socks5://10.9.0.2:1080
basics socks5
parallel socks5
through socks5 $FAR4 "$BIG"
stop_proxy socks5

proxy --upstream 'socks5://us%40er:p%3Aw%2Fd@[fd09::2]:1081'
basics 'socks5 with password'
stop_proxy 'socks5 with password'

proxy --upstream socks5://10.9.0.2:1082
basics dante
half_close dante
parallel dante
stop_proxy dante

proxy --upstream http://10.9.0.2:8080
basics http
parallel http
stop_proxy http

proxy --upstream 'http://user:p_ss@[fd09::2]:8081'
basics 'http with password'
stop_proxy 'http with password'

proxy --upstream socks5://10.9.0.2:1093
check_equal 'one byte at a time: IPv4' "$SUM" "$(fetched $FAR4)"
check_equal 'one byte at a time: IPv6' "$SUM" "$(fetched "[$FAR6]")"
half_close 'one byte at a time'
stop_proxy 'one byte at a time'

proxy --upstream reject://
check_equal 'reject' 'ECONNREFUSED at once' "$(outcome $FAR4 80 20)"
stop_proxy reject

# ---- proxies that fail: the client hears of it, and so does the log, now and then ----
# bad WAY URL REGEX OUTCOME: ten connections fail as OUTCOME says; the log names the upstream and why.
bad() {
  local i lines end
  proxy --upstream "$2" --connect-timeout 2
  end=$((SECONDS + 12))
  check_equal "$1: the client" "$4" "$(outcome $FAR4 80 20)"
  for i in 1 2 3 4 5 6 7 8 9; do
    start "client$i" python3 "$WORK/outcome.py" $FAR4 80 20
  done
  for i in 1 2 3 4 5 6 7 8 9; do
    await "client$i" 20
    check_equal "$1: client $i" "$4" "$OUT"
  done
  check_at_least "$1: within the time-out" "$SECONDS" "$end"
  stop_proxy "$1"
  lines=$(grep -c 'upstream ' <<<"$ERR" || true)
  check_match "$1: the log says which and why" "upstream $3" "$ERR"
  [ "$lines" -ge 1 ] && [ "$lines" -le 6 ] || fail "$1: $lines lines of log for ten failures"
  check_lacks "$1: no password in the log" 'p_ss' "$ERR"
}
bad hangs socks5://10.9.0.2:1090 'socks5://10.9.0.2:1090: accepts connections and says nothing' 'EHOSTUNREACH late'
bad 'hangs, http' http://10.9.0.2:1090 'http://10.9.0.2:1090: accepts connections and says nothing' 'EHOSTUNREACH late'
bad garbage socks5://10.9.0.2:1091 'socks5://10.9.0.2:1091: the answer is not SOCKS5' 'EHOSTUNREACH at once'
bad 'garbage, http' http://10.9.0.2:1091 'http://10.9.0.2:1091: the answer is not HTTP' 'EHOSTUNREACH at once'
bad 'closes half-way' socks5://10.9.0.2:1092 'socks5://10.9.0.2:1092: .*' 'EHOSTUNREACH at once'
bad absent socks5://10.9.0.2:9 'socks5://10.9.0.2:9: cannot be reached: Connection refused' 'EHOSTUNREACH at once'
bad 'wants a password' socks5://10.9.0.2:1081 'socks5://10.9.0.2:1081: the proxy wants a user' 'EHOSTUNREACH at once'
bad 'another password' socks5://user:p_ss@10.9.0.2:1081 'socks5://10.9.0.2:1081: user and password' \
  'EHOSTUNREACH at once'
bad 'wants a password, http' http://10.9.0.2:8081 'http://10.9.0.2:8081: the proxy answered: 407' 'EHOSTUNREACH at once'

# ---- limits, and wrong usage ----
proxy --max-flows 2
start one nc -d $FAR4 7
start two nc -d $FAR4 7
two_connections() { [ "$(ss -Htn state established src 192.168.3.11 dst $FAR4 | wc -l)" = 2 ]; }
wait_for 5 'two connections' two_connections
check_equal 'one more than --max-flows' 'ECONNREFUSED at once' "$(outcome $FAR4 7 20)"
is_running one || fail 'an existing connection ended'
stop_proxy limits
check_contains 'the limit is said' '--max-flows' "$ERR"
for name in one two; do
  await $name
done

run "$ADIT" proxy --upstream 'socks5://user:secret@word@10.9.0.2'
check_status 2 'an @ in the password'
check_contains 'an @ in the password: what to do' '%40' "$ERR"
check_lacks 'an @ in the password: it is not repeated' secret "$ERR"
run "$ADIT" proxy --upstream ftp://10.9.0.2
check_status 2 'an unknown scheme'
check_contains 'an unknown scheme: the known ones' 'socks5://' "$ERR"

finish
