# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Proxies of every kind, good and bad, and what is behind them: for test_proxy.sh and test_proxy_bad.sh, which source it
# after lib.sh.
#
# This namespace is the client's machine. Its traffic to 203.0.113.0/24 and 2001:db8::/32 goes into the device. adit's
# own sockets carry a mark and go over a veth pair to the namespace "outside", where those addresses and the proxies
# are.
# shellcheck shell=bash
. "$(dirname "$0")/far_config.sh"
need curl nc socat python3 sha256sum nginx microsocks danted tinyproxy

FAR4=203.0.113.1
# shellcheck disable=SC2034 # for who sources this
FAR6=2001:db8::1

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
$(nginx_main)
http {
  access_log off;
$(nginx_paths)
  server { listen [::]:80 ipv6only=off; listen $FAR4:82; root $WORK/web; }
}
NGINX
dante_config "$WORK/danted.log" 'from: 0/0 to: 0/0' >"$WORK/danted.conf"
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

def half_http(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: ")

def chatty(connection):  # answers what nobody has asked yet, and goes on
    connection.recv(4096)
    connection.sendall(b"\x05\x00" + b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00" * 10000)

def chatty_http(connection):  # a header without an end
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n")
    while True:
        connection.sendall(b"X-More: there is always more\r\n" * 100)

def exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise OSError("ended")
        data += piece
    return data

def lossy(connection):  # SOCKS5 that loses what comes behind the message that it is reading, a tenth of a second away
    connection.recv(4096)
    time.sleep(0.1)
    connection.sendall(b"\x05\x00")
    connection.recv(4096)
    time.sleep(0.1)
    connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    connection.recv(1)

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

for port, what in {7: echo, 7001: reset, 7002: both, 1090: hang, 1091: garbage, 1092: half, 1093: slow, 1094: lossy,
                   1095: chatty, 1096: chatty_http, 1097: half_http}.items():
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
