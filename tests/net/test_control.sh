#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The control socket: numbers that are right to the byte, the list of connections, reload and stop through it, who may ask,
# left-over sockets and living ones, clients that misbehave; adit stat, adit top in a terminal.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 curl setpriv nc
run "$ADIT" stat --control "$WORK/none.sock"
case $ERR in *'built without'*) skip 'this adit was built without control socket (libcjson)' ;; esac

FOLDER=/run/adit # of this test alone, see lib.sh
SOCKET=$FOLDER/adit0.sock

# ---- tools ----
# ask.py SOCKET REQUEST [NAME...]: the answer, or what is in it under those names; in lists they are numbers.
cat >"$WORK/ask.py" <<'PYTHON'
import json, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.settimeout(20)
client.sendall(sys.argv[2].encode() + b"\n")
text = b""
while not text.endswith(b"\n"):
    piece = client.recv(65536)
    if not piece:
        sys.exit(f"ended after {text!r}")
    text += piece
value = json.loads(text)
for name in sys.argv[3:]:
    value = value[int(name)] if isinstance(value, list) else value[name]
print(json.dumps(value) if isinstance(value, (dict, list)) else value)
PYTHON
ask() { python3 "$WORK/ask.py" "$SOCKET" "$@"; }
stat() { ask '{"request":"stat"}' "$@"; }
is() { # is EXPECTED COMMAND...: for wait_for
  local expected=$1 found
  shift
  found=$("$@" 2>&1)
  [ "$found" = "$expected" ] || { echo "expected $expected, found $found"; false; }
}
gone() { [ ! -e "$1" ]; }
mode() { command stat -c %a "$1"; }

# ---- nobody to ask ----
for command in stat top; do
  run "$ADIT" $command
  check_status 1 "$command without an adit"
  check_contains "$command without an adit: it says so" 'there is no adit to ask' "$ERR"
  check_contains "$command without an adit: it says where it looked" "$FOLDER" "$ERR"
  run "$ADIT" $command --dev adit7
  check_contains "$command without that device" 'none that runs with the device adit7' "$ERR"
  run "$ADIT" $command --control "$WORK/none.sock"
  check_status 1 "$command of a socket that is not there"
  check_contains "$command of a socket that is not there" "$WORK/none.sock: there is no such socket" "$ERR"
done

# ---- serve ----
serve() { # serve NAME OPTION...
  local name=$1
  shift
  start "$name" "$ADIT" serve "$@"
  wait_for 10 "$name is ready" file_has "$(out_of "$name")" '^Ready'
}
serve one --dev adit0
check_equal 'mode of the socket' 600 "$(mode $SOCKET)"
check_equal 'its command' serve "$(stat adit command)"
check_equal 'its process' "${PID[one]}" "$(stat adit pid)"
check_equal 'its device' adit0 "$(stat device name)"
check_equal 'its version' "adit $(stat adit version)" "$("$ADIT" --version)"
check_at_least 'its memory' 1000000 "$(stat adit resident_bytes)"

# A download: what stat tells is what the kernel tells of the device.
curl -sS -o "$WORK/file" http://192.168.3.12/bytes/10M
check_equal 'the download' 10485760 "$(command stat -c %s "$WORK/file")"
kernel() { # kernel rx|tx NAME: as the kernel counts; what it has sent (tx) adit has read
  ip -s -j link show dev adit0 | python3 -c "import json, sys; print(json.load(sys.stdin)[0]['stats64']['$1']['$2'])"
}
told() { stat | python3 -c 'import json, sys; s = json.load(sys.stdin)["sum"]["stack"]; print(s["packets_in"], s["bytes_in"])'; }
same() { is "$(kernel tx packets) $(kernel tx bytes)" told; }
wait_for 10 'packets and bytes in are those of the kernel' same
passed 'packets and bytes in are those of the kernel'
rx=$(kernel rx bytes)
check_equal 'bytes out are those of the kernel' "$rx" "$(stat sum stack bytes_out)"
check_at_least 'bytes out hold the file' 10485760 "$rx"
check_equal 'connections accepted' 1 "$(stat sum stack flows_accepted)"
wait_for 10 'no connection is open' is 0 stat sum stack flows_open
check_equal 'the sum is that of the only worker' "$(stat sum)" "$(stat workers 0)"
check_equal 'there is no relay in it' 0 "$(stat | grep -c '"relay"' || true)"
exec 8<>/dev/tcp/192.168.3.12/7
wait_for 10 'an open connection is counted' is 1 ask '{"request":"flows"}' total
flow() { ask '{"request":"flows"}' flows 0 "$@"; }
wait_for 10 'it is connected' is True flow connected # its last ACK may be on the way
passed 'it is connected'
check_equal 'its target' 192.168.3.12:7 "$(flow target)"
check_match 'its client' '^192\.168\.3\.11:[0-9]+$' "$(flow client)"
printf 'twelve bytes' >&8
wait_for 10 'the echo is counted, both ways' is '12 12' eval 'echo $(flow bytes_up) $(flow bytes_down)'
passed 'the echo is counted, both ways'
exec 8>&-
wait_for 10 'it is no longer listed' is '[]' ask '{"request":"flows"}' flows
run "$ADIT" stat
check_status 0 'stat finds the only one'
check_match 'stat: head' "^adit serve [0-9.]+, process ${PID[one]}, for " "$OUT"
check_match 'stat: bytes' 'bytes out +10\.[0-9] MB' "$OUT"
check_contains 'stat: device' 'adit0 (TUN, MTU 1500, 1 queue, 192.168.3.11/24, fdad:3::11/64)' "$OUT"
run "$ADIT" stat --json --dev adit0
check_equal 'stat --json is the answer' "${PID[one]}" "$(printf %s "$OUT" | python3 -c 'import json, sys; print(json.load(sys.stdin)["adit"]["pid"])')"

# ---- who may ask ----
chmod 755 "$WORK"
run setpriv --reuid=65534 --regid=65534 --clear-groups "$ADIT" stat --control $SOCKET
check_status 1 'nobody asks'
check_contains 'nobody asks: it says why' 'permission denied; only the user that this adit runs as, and root' "$ERR"
chmod 755 $FOLDER && chmod 666 $SOCKET # modes that somebody has spoilt: the credentials still count
run setpriv --reuid=65534 --regid=65534 --clear-groups "$ADIT" stat --control $SOCKET
check_status 1 'nobody asks, with the modes open'
check_contains 'nobody asks, with the modes open: refused by adit' 'only the user that adit runs as, and root, may ask it' "$ERR"
chmod 700 $FOLDER && chmod 600 $SOCKET

# ---- clients that misbehave ----
cat >"$WORK/bad.py" <<'PYTHON'
import os, random, socket, sys
random.seed(5)
def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1]) # waits while too many do
    client.settimeout(10)
    return client
def push(client, data):
    try:
        client.sendall(data)
    except OSError:
        pass
for i in range(50):
    client = connect()
    push(client, random.randbytes(random.randrange(5000)))
    client.close()
for i in range(5):
    client = connect()
    push(client, b"x" * 1000000)
    client.close()
nested = connect()
push(nested, b'[{"a":' * 600 + b"\n")
print(b"not JSON" in nested.recv(1000))
hung = [connect() for i in range(15)]
for client in hung[:7]:
    client.sendall(b'{"request":"flows","limit":10000}\n' * 100 if client is hung[0] else b'{"request":')
nested.close()
PYTHON
sockets_of() { find "/proc/${PID[$1]}/fd" -lname 'socket:*' | wc -l; }
sockets=$(sockets_of one)
check_equal 'garbage is refused' True "$(python3 "$WORK/bad.py" $SOCKET)"
check_equal 'others are served as before' "${PID[one]}" "$(stat adit pid)"
cat >"$WORK/crowd.py" <<'PYTHON'
import socket, sys, time
clients = []
for i in range(16):
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect(sys.argv[1])
print("there", flush=True)
clients[0].settimeout(30)
print("let go" if clients[0].recv(10) == b"" else "answered", flush=True)
time.sleep(60)
PYTHON
wait_for 20 'they have gone' is "$sockets" sockets_of one
start crowd python3 "$WORK/crowd.py" $SOCKET
wait_for 10 'sixteen hang' file_has "$(out_of crowd)" there
wait_for 10 'sixteen were let in' is $((sockets + 16)) sockets_of one
run "$ADIT" stat
check_status 1 'the seventeenth'
check_contains 'the seventeenth: it says so' 'too many clients' "$ERR"
wait_for 20 'those that hang are let go' file_has "$(out_of crowd)" 'let go'
wait_for 10 'all of them' is "$sockets" sockets_of one
check_equal 'there is room again' "${PID[one]}" "$(stat adit pid)"
kill "${PID[crowd]}"
await crowd
check_command 'the stack goes on' ping -c 3 -i 0.2 -q 192.168.3.12

# ---- several, living and left-over sockets ----
netns other
start_in other two "$ADIT" serve --dev adit0
wait_for 10 'two is ready' file_has "$(out_of two)" '^Ready'
run "$ADIT" stat
check_status 1 'several'
check_contains 'several: it says so' 'several adits run' "$ERR"
check_contains 'several: the first' "--control $SOCKET    adit serve, device adit0, process ${PID[one]}" "$ERR"
check_match 'several: the second' "--control $FOLDER/adit0@[0-9]+\.sock    adit serve, device adit0" "$ERR"
stop two
check_equal 'the second has removed its socket' adit0.sock "$(ls $FOLDER)"
RUN_SECONDS=10 run "$ADIT" serve --dev adit1 --address 10.7.0.1/24 --control $SOCKET
check_status 1 'the same path'
check_contains 'the same path: it says so' "--control $SOCKET: an adit that runs listens there" "$ERR"
check_equal 'the same path: the first one answers' "${PID[one]}" "$(stat adit pid)"
kill -KILL "${PID[one]}"
await one
check_equal 'killed: its socket is left' adit0.sock "$(ls $FOLDER)"
run "$ADIT" stat
check_contains 'killed: there is nobody' 'there is no adit to ask' "$ERR"
run "$ADIT" stat --control $SOCKET
check_contains 'killed: its socket says so' 'nobody listens there any more' "$ERR"
serve three --dev adit1
check_equal 'the next start removes it, whatever its device' adit1.sock "$(ls $FOLDER)"
kill -KILL "${PID[three]}"
await three
serve four --dev adit1 --control $FOLDER/adit1.sock
check_equal 'and replaces it' "${PID[four]}" "$(SOCKET=$FOLDER/adit1.sock stat adit pid)"
kill -KILL "${PID[four]}"
await four
run "$ADIT" cleanup
check_contains 'cleanup removes it' "removed: control socket $FOLDER/adit1.sock" "$OUT"
check_equal 'cleanup leaves nothing' '' "$(ls $FOLDER)"
serve five --dev adit0 --control off
check_equal 'off: no socket' '' "$(ls $FOLDER)"
stop five
: >"$WORK/file.sock"
RUN_SECONDS=10 run "$ADIT" serve --dev adit0 --control "$WORK/file.sock"
check_status 1 'a file in its place'
check_contains 'a file in its place: it says so' 'is there and is no socket' "$ERR"
serve six --dev adit0 --control "$WORK/new/c.sock" --queues 2
check_equal 'a folder of its own: modes' '700 600' "$(mode "$WORK/new") $(mode "$WORK/new/c.sock")"
check_equal 'two queues, two workers' 2 "$(SOCKET=$WORK/new/c.sock stat workers | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
run "$ADIT" stat --control "$WORK/new/c.sock"
check_match 'two queues: columns' 'sum +worker 0 +worker 1' "$OUT"
check_equal 'serve has nothing to reload' 'this command has nothing to reload' "$(SOCKET=$WORK/new/c.sock ask '{"request":"reload"}' error)"
check_equal 'stop' True "$(SOCKET=$WORK/new/c.sock ask '{"request":"stop"}' ok)"
await six
check_status 0 'stop ends it in order'
check_equal 'and its socket is gone' '' "$(ls "$WORK/new")"

# ---- proxy ----
netns outside
ip link add near type veth peer name far netns outside
ip addr add 10.9.0.1/24 dev near
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip link set far up
in_ns outside ip addr add 203.0.113.1/32 dev lo
ip rule add fwmark 7 lookup 77
ip route add default via 10.9.0.2 table 77
# Each connection gets so many bytes as its first line says; of "slow" 100 kB each tenth of a second, without end.
cat >"$WORK/server.py" <<'PYTHON'
import socket, threading, time
def answer(connection):
    try:
        line = connection.makefile("rb").readline().strip()
        if line == b"slow":
            while True:
                connection.sendall(b"s" * 100000)
                time.sleep(0.1)
        connection.sendall(b"d" * int(line))
    except OSError:
        pass
    connection.close()
listener = socket.create_server(("203.0.113.1", 7100), backlog=64)
print("Ready", flush=True)
while True:
    threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()
PYTHON
start_in outside server python3 "$WORK/server.py"
wait_for 10 'the server is ready' file_has "$(out_of server)" Ready
printf '%s\n' 'dev: adit0' 'mark: 7' 'upstream: direct://' >"$WORK/adit.yaml"
start proxy "$ADIT" proxy --config "$WORK/adit.yaml"
wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
ip route add 203.0.113.0/24 dev adit0
check_equal 'proxy: upstream' direct:// "$(stat upstream)"

cat >"$WORK/get.py" <<'PYTHON'
import socket, sys
client = socket.create_connection(("203.0.113.1", 7100), timeout=20)
client.sendall(sys.argv[1].encode() + b"\n")
got = 0
while piece := client.recv(1 << 20):
    got += len(piece)
    if sys.argv[1] == "slow":
        print(client.getsockname()[1], got, flush=True)
print(got)
PYTHON
check_equal 'a download' 7654321 "$(python3 "$WORK/get.py" 7654321)"
wait_for 10 'the download is over' is 0 stat sum relay flows_open
check_equal 'bytes down, exactly' 7654321 "$(stat sum relay bytes_down)"
check_equal 'bytes up, exactly' 8 "$(stat sum relay bytes_up)"
check_equal 'one connection' '1 1 0' "$(stat sum relay connects) $(stat sum relay connected) $(stat sum relay connects_failed)"
check_equal 'a closed port' 1 "$(nc -z -w 5 203.0.113.1 7101; echo $?)"
wait_for 10 'a failed one' is 1 stat sum relay connects_failed

start slow python3 "$WORK/get.py" slow
wait_for 10 'a transfer runs' file_has_lines "$(out_of slow)" 5
check_equal 'one is listed' 1 "$(ask '{"request":"flows"}' total)"
check_equal 'its target' 203.0.113.1:7100 "$(flow target)"
check_equal 'its client' "192.168.3.11:$(head -n 1 "$(out_of slow)" | cut -d' ' -f1)" "$(flow client)"
check_equal 'it is connected' True "$(flow connected)"
check_equal 'its bytes up' 5 "$(flow bytes_up)"
down=$(flow bytes_down)
got=$(tail -n 1 "$(out_of slow)" | cut -d' ' -f2)
check_at_least 'its bytes down are more than some time ago' "$down" "$(flow bytes_down)"
check_at_least 'its bytes down: at least those that came before' "$((got - 200000))" "$(flow bytes_down)"
check_equal 'a limit of none' '[]' "$(ask '{"request":"flows","limit":0}' flows)"
run timeout 4 "$ADIT" stat --watch 1
check_match 'stat --watch: rates' 'relay: down +[0-9.]+ MB +[0-9.]+ [kM]B/s' "$OUT"

# adit top in a terminal: a line of the transfer, keys, another size, the end by q.
cat >"$WORK/top.py" <<'PYTHON'
import fcntl, os, pty, re, select, signal, struct, sys, termios, time
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
def size(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
text = b""
def until(pattern, what):
    global text
    end = time.monotonic() + 15
    while not re.search(pattern, text):
        if time.monotonic() > end:
            sys.exit(f"waited for {what}; seen: {text!r}")
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 65536)
    text = b""
    print(what, flush=True)
size(24, 120)
until(rb"203\.0\.113\.1:7100.*[kM]B", "a line of the transfer")
os.write(terminal, b"b")
until(rb"bytes", "another order")
size(12, 100)
os.kill(child, signal.SIGWINCH)
until(rb"TARGET", "drawn anew in another size")
os.write(terminal, b"q")
end = time.monotonic() + 10
while time.monotonic() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            text += os.read(terminal, 65536)
        except OSError:
            break
print("ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PYTHON
check_equal 'top in a terminal' 'a line of the transfer another order drawn anew in another size ended with 0' \
  "$(python3 "$WORK/top.py" "$ADIT" top 2>&1 | paste -sd' ')"
run "$ADIT" top
check_status 1 'top without a terminal'
check_contains 'top without a terminal: it says so' 'no terminal' "$ERR"

# ---- reload, stop ----
printf '%s\n' 'dev: adit0' 'mark: 7' 'upstream: socks5://user:secret@10.9.0.2:1080' >"$WORK/adit.yaml"
check_equal 'reload' True "$(ask '{"request":"reload"}' ok)"
check_equal 'reload: the upstream, without password' socks5://10.9.0.2:1080 "$(stat upstream)"
printf '%s\n' 'dev: adit0' 'mark: 7' 'mtu: 1400' >"$WORK/adit.yaml"
check_equal 'a reload that is refused' False "$(ask '{"request":"reload"}' ok)"
check_contains 'a reload that is refused: it says so' 'nothing has changed' "$(ask '{"request":"reload"}' error)"
check_equal 'all is as before' socks5://10.9.0.2:1080 "$(stat upstream)"
check_lacks 'no password in any answer' secret "$(stat; ask '{"request":"flows"}')"
kill -STOP "${PID[proxy]}"
run "$ADIT" stat
kill -CONT "${PID[proxy]}"
check_status 1 'one that is stopped'
check_contains 'one that is stopped: it says so' 'no answer within 5 seconds' "$ERR"
check_equal 'stop' True "$(ask '{"request":"stop"}' ok)"
await proxy
check_status 0 'stop ends it in order'
check_lacks 'nothing was found by a sanitizer' Sanitizer "$ERR"
check_equal 'its socket is gone' '' "$(ls $FOLDER)"
await slow

# ---- run ----
start inside "$ADIT" run -- sleep 60
wait_for 10 'run has a socket' is adit0.sock ls $FOLDER
check_equal 'run answers' run "$(stat adit command)"
check_equal 'run: reload' 'this command has nothing to reload' "$(ask '{"request":"reload"}' error)"
check_equal 'run: stop' True "$(ask '{"request":"stop"}' ok)"
await inside
check_status 143 'run: the command got SIGTERM'
wait_for 10 'run: its socket is gone' gone $SOCKET

# ---- an ordinary user, where there may be one with namespaces ----
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env)
if [ "$(awk '{ print $3 }' /proc/self/uid_map)" -gt 65534 ] && "${nobody[@]}" unshare --user --net true 2>/dev/null; then
  mount -t tmpfs none /dev/net # one that everybody may open, seen by this test alone
  mknod -m 666 /dev/net/tun c 10 200
  mkdir "$WORK/xdg" && chown 65534:65534 "$WORK/xdg" && chmod 700 "$WORK/xdg"
  start theirs "${nobody[@]}" XDG_RUNTIME_DIR="$WORK/xdg" "$ADIT" run -- sleep 60
  wait_for 10 'their socket is there' is adit0.sock ls "$WORK/xdg/adit"
  check_equal 'their folder and socket' '700 600' "$(mode "$WORK/xdg/adit") $(mode "$WORK/xdg/adit/adit0.sock")"
  run "${nobody[@]}" XDG_RUNTIME_DIR="$WORK/xdg" "$ADIT" stat
  check_status 0 'they ask'
  check_match 'they ask' '^adit run [0-9.]+, process [0-9]+' "$OUT"
  run "$ADIT" stat --control "$WORK/xdg/adit/adit0.sock"
  check_status 0 'root asks'
  run "${nobody[@]}" -u XDG_RUNTIME_DIR "$ADIT" stat
  check_contains 'without XDG_RUNTIME_DIR' 'say which adit is meant with --control' "$ERR"
  check_equal 'their stop' True "$(SOCKET=$WORK/xdg/adit/adit0.sock ask '{"request":"stop"}' ok)"
  await theirs
  check_equal 'theirs is gone' '' "$(ls "$WORK/xdg/adit")"
else
  [ "${CI:-}" != true ] || fail 'an ordinary user cannot make user namespaces here'
  echo "$TEST: not checked: what an ordinary user may do, who cannot make namespaces here" >&2
fi
finish
