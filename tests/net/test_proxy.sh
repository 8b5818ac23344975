#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy between real clients and real servers: directly, through SOCKS5 (microsocks, dante; with and without
# password) and through HTTP (tinyproxy; the same), over IPv4 and IPv6; and what cannot be connected to.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_proxies.sh"

BIG=$((1 << 30))
PARALLEL=64
[ "${ADIT_SANITIZED:-0}" = 0 ] || BIG=$((1 << 25)) PARALLEL=24 # the sanitizers make the stack slow

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
  run curl -gsS --fail --max-time 10 -o /dev/null -w '%{remote_ip} %{time_connect}' \
    --resolve "two.test:82:203.0.113.2,$FAR4" http://two.test:82/page
  check_match "$1: curl moves on to the next address when the first one refuses, at once" "^$FAR4 0[.]" "$OUT"
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
# A client that asks again and again, as this kernel does after 1 and 3 seconds, is one connection outside.
stop_proxy 'direct, first part'
proxy
check_equal 'direct: repeated SYNs' 'silence late' "$(outcome 203.0.113.66 80 4)"
stop_proxy 'direct, repeated SYNs'
check_contains 'direct: repeated SYNs begin one connection' 'connections: 1 begun' "$OUT"
check_match 'direct: the SYN was repeated' ': [2-9] packets in' "$OUT"
proxy
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

finish
