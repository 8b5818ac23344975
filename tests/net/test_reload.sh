#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# SIGHUP: adit proxy reads its file again while traffic runs, from SOCKS5 to direct to HTTP; what is open goes on; a file
# that is wrong, or that wants what cannot change, changes nothing; passwords, UDP, DNS; a name without a file.
#
# As in test_proxy.sh this namespace is the client's machine, and "outside" has servers and proxies. The server on 7100
# says from whom it was connected to, and each way out has an address of its own: so the client knows which one it was.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 nc microsocks tinyproxy dnsmasq dig curl

FAR=203.0.113.1
BY_SOCKS=203.0.113.2 BY_HTTP=203.0.113.3 BY_OTHER=203.0.113.4 BY_NOBODY=10.9.0.1

# ---- the outside ----
netns outside
ip link add near type veth peer name far netns outside
ip addr add 10.9.0.1/24 dev near
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip addr add 10.9.0.3/24 dev far
in_ns outside ip link set far up
for i in 1 2 3 4; do in_ns outside ip addr add 203.0.113.$i/32 dev lo; done
ip rule add fwmark 7 lookup 77
ip route add default via 10.9.0.2 table 77

cat >"$WORK/server.py" <<'PYTHON'
import socket, threading
def answer(connection, peer):
    try:
        connection.sendall(f"{peer[0]}\n".encode())
        while data := connection.recv(65536):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()
def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("203.0.113.1", 7101))
    while True:
        peer = udp.recvfrom(2000)[1]
        udp.sendto(f"{peer[0]}".encode(), peer)
tcp = socket.create_server(("203.0.113.1", 7100), backlog=256)
threading.Thread(target=datagrams, daemon=True).start()
print("Ready", flush=True)
while True:
    threading.Thread(target=answer, args=tcp.accept(), daemon=True).start()
PYTHON
printf 'Port 8080\nListen 10.9.0.2\nBind %s\nTimeout 60\nMaxClients 100\nAllow 10.9.0.0/24\n' $BY_HTTP >"$WORK/tiny.conf"
start_in outside server python3 "$WORK/server.py"
start_in outside socks microsocks -i 10.9.0.2 -p 1080 -b $BY_SOCKS
start_in outside guarded microsocks -i 10.9.0.2 -p 1081 -u user -P secret -b $BY_OTHER
start_in outside moved microsocks -i 10.9.0.3 -p 1080 -b $BY_OTHER
start_in outside tiny tinyproxy -d -c "$WORK/tiny.conf"
start_in outside names dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \
  --listen-address=10.9.0.2 --address=/one.test/192.0.2.1 --pid-file="$WORK/dnsmasq.pid" --user=root
start_in outside other_names dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \
  --listen-address=10.9.0.3 --address=/one.test/192.0.2.2 --pid-file="$WORK/dnsmasq2.pid" --user=root
wait_for 10 'the server is ready' file_has "$(out_of server)" Ready
for at in '10.9.0.2 1080' '10.9.0.2 1081' '10.9.0.3 1080' '10.9.0.2 8080' '10.9.0.2 53' '10.9.0.3 53'; do
  # shellcheck disable=SC2086 # host and port
  wait_for 10 "$at answers" in_ns outside nc -z $at
done

# ---- clients ----
# clients.py who: the address by which the server knows us, or how connecting failed.
# clients.py lasting FILE: one connection, on which bytes go to and fro; FILE gets a line for each thousand.
# clients.py often FILE: one connection after the other; FILE gets a line for each.
cat >"$WORK/clients.py" <<'PYTHON'
import errno, os, socket, sys, time
def connect():
    try:
        client = socket.create_connection(("203.0.113.1", 7100), timeout=10)
        name = b""
        while not name.endswith(b"\n"):
            piece = client.recv(1)
            if not piece:
                return None, "ended"
            name += piece
        return client, name.decode().strip()
    except OSError as error:
        return None, errno.errorcode.get(error.errno, str(error))
def echo(client, data):
    client.sendall(data)
    back = b""
    while len(back) < len(data):
        piece = client.recv(65536)
        if not piece:
            raise OSError("ended")
        back += piece
    if back != data:
        raise OSError("other bytes")
what, out = sys.argv[1], None
if what == "who":
    print(connect()[1])
    sys.exit()
out = open(sys.argv[2], "w", buffering=1)
if what == "lasting":
    client, name = connect()
    while True:
        echo(client, os.urandom(1000))
        print(name, file=out)
        time.sleep(0.005)
while True:
    client, name = connect()
    if client:
        echo(client, os.urandom(5000))
        client.close()
    print(name, file=out)
PYTHON
who() { python3 "$WORK/clients.py" who; }
lines_of() { wc -l <"$1"; }
moves() { # moves NAME FILE: the connection is alive
  local before
  before=$(lines_of "$2")
  wait_for 10 "$1: bytes go to and fro on the open connection" file_has_lines "$2" $((before + 20))
}

# ---- the program ----
CONFIG=$WORK/adit.yaml
RELOADS=0
config() { printf '%s\n' 'dev: adit0' 'mark: 7' "$@" >"$CONFIG"; }
said() { [ "$(grep -c -e 'reloaded\|SIGHUP' "$(err_of proxy)")" -ge "$1" ]; }
reload() { # reload WHAT: have it read the file; what it said about that is in SAID
  RELOADS=$((RELOADS + 1))
  kill -HUP "${PID[proxy]}"
  wait_for 20 "$1: it says what became of the reload" said $RELOADS
  SAID=$(grep -e 'reloaded\|SIGHUP' "$(err_of proxy)" | tail -n 1)
}
proxy() {
  RELOADS=0
  start proxy "$ADIT" proxy "$@"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
  ip route replace 203.0.113.0/24 dev adit0
}
stop_proxy() {
  stop proxy
  check_status 0 "$1: ends in order"
  check_lacks "$1: nothing was found by a sanitizer" Sanitizer "$ERR"
}
fds_of() { find "/proc/${PID[$1]}/fd" -type l 2>/dev/null | wc -l; }
has_fds() { [ "$(fds_of "$1")" -le "$2" ] || { echo "$(fds_of "$1") fds"; false; }; }

# ---- from one upstream to another, under traffic ----
config 'upstream: socks5://10.9.0.2:1080'
proxy --config "$CONFIG"
check_equal 'at the start: SOCKS5' $BY_SOCKS "$(who)"
start lasting python3 "$WORK/clients.py" lasting "$WORK/lasting"
start often python3 "$WORK/clients.py" often "$WORK/often"
wait_for 10 'connections come and go' file_has_lines "$WORK/often" 5
for round in 1 2 3; do
  config 'upstream: direct://'
  reload "direct, $round"
  check_contains "direct, $round: it says so" 'changed: upstream; the upstream is direct://' "$SAID"
  check_equal "direct, $round" $BY_NOBODY "$(who)"
  moves "direct, $round" "$WORK/lasting"
  config 'upstream: http://10.9.0.2:8080' 'idle-timeout: 600'
  reload "HTTP, $round"
  check_contains "HTTP, $round: it says so" 'changed: upstream, idle-timeout; the upstream is http://10.9.0.2:8080' "$SAID"
  check_equal "HTTP, $round" $BY_HTTP "$(who)"
  moves "HTTP, $round" "$WORK/lasting"
  config 'upstream: socks5://10.9.0.2:1080'
  reload "SOCKS5, $round"
  check_equal "SOCKS5, $round" $BY_SOCKS "$(who)"
  moves "SOCKS5, $round" "$WORK/lasting"
done
reload 'nothing'
check_contains 'nothing: it says so' "reloaded $CONFIG: nothing has changed" "$SAID"
stop often
check_equal 'no connection failed meanwhile' "$BY_NOBODY $BY_SOCKS $BY_HTTP" "$(sort -u "$WORK/often" | paste -sd' ')"
check_equal 'the open one is that of the first upstream' $BY_SOCKS "$(sort -u "$WORK/lasting")"

# ---- what is wrong changes nothing ----
unchanged() { # unchanged WHAT PART: the reload is refused for that reason
  reload "$1"
  check_contains "$1: it says why" "$2" "$SAID"
  check_match "$1: it says that nothing has changed" 'nothing (has changed|of .* was taken)' "$SAID"
  check_equal "$1: all is as before" $BY_SOCKS "$(who)"
  moves "$1" "$WORK/lasting"
}
config 'upstream: socks4://10.9.0.2:1080'
unchanged 'a wrong URL' "$CONFIG:3: upstream: unknown scheme"
config 'upstream: direct://' 'colour: green'
unchanged 'a key that is none' "$CONFIG:4: colour: unknown key"
config 'upstream: [direct'
unchanged 'no YAML' "$CONFIG"
config 'upstream: direct://' 'mtu: 1400' 'queues: 2'
unchanged 'what cannot change' 'cannot change while adit runs: mtu, queues'
config 'upstream: http://nowhere.invalid:8080'
unchanged 'a host that cannot be found' "nothing of $CONFIG was taken"
check_contains 'a host that cannot be found: it says which' nowhere.invalid "$(cat "$(err_of proxy)")"
config 'upstream: socks5://10.9.0.2:1080' 'icmp: relay'
unchanged 'what does not fit together' "nothing of $CONFIG was taken"
rm "$CONFIG"
unchanged 'no file' "$CONFIG"

# ---- a password ----
config 'upstream: socks5://user:mistaken@10.9.0.2:1081'
reload 'a wrong password'
check_equal 'a wrong password' EHOSTUNREACH "$(who)"
config 'upstream: socks5://user:secret@10.9.0.2:1081'
reload 'the right password'
check_contains 'the right password: the upstream is named' 'socks5://10.9.0.2:1081' "$SAID"
check_equal 'the right password' $BY_OTHER "$(who)"
check_lacks 'no password is told' mistaken "$(grep reloaded "$(err_of proxy)")"
check_lacks 'no password is told' secret "$(cat "$(err_of proxy)")"
moves 'the right password' "$WORK/lasting"
stop lasting

# ---- datagrams: a session goes on, a new one goes by the new options ----
config 'upstream: direct://'
reload 'UDP on'
cat >"$WORK/udp.py" <<'PYTHON'
import socket, sys
def ask(client):
    try:
        client.send(b"who?")
        return client.recv(100).decode()
    except OSError as error:
        return "refused" if isinstance(error, ConnectionRefusedError) else str(error)
def new():
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect(("203.0.113.1", 7101))
    return client
old = new()
print(ask(old), flush=True)
for line in sys.stdin:
    print("old", ask(old), "new", ask(new()), flush=True)
PYTHON
mkfifo "$WORK/ask"
start udp sh -c "exec python3 '$WORK/udp.py' <'$WORK/ask'"
exec 9>"$WORK/ask"
wait_for 10 'a datagram is answered' file_has "$(out_of udp)" "^$BY_NOBODY"
config 'upstream: direct://' 'udp: off'
reload 'UDP off'
echo >&9
wait_for 10 'UDP off: both were asked' file_has "$(out_of udp)" '^old'
check_equal 'UDP off: the session goes on, a new one is refused' "old $BY_NOBODY new refused" "$(tail -n 1 "$(out_of udp)")"
config 'upstream: direct://' 'udp: on'
reload 'UDP on again'
echo >&9
wait_for 10 'UDP on again: both were asked' file_has_lines "$(out_of udp)" 3
check_equal 'UDP on again' "old $BY_NOBODY new $BY_NOBODY" "$(tail -n 1 "$(out_of udp)")"
exec 9>&-
await udp

# ---- names ----
ask() { dig +short +tries=1 +time=5 "$@" @203.0.113.99 one.test | paste -sd' '; }
config 'upstream: direct://' 'dns: forward:10.9.0.2'
reload 'forward'
check_equal 'forward: by this server' 192.0.2.1 "$(ask)"
config 'upstream: socks5://10.9.0.2:1080' 'dns: forward:10.9.0.3'
reload 'forward to another'
check_equal 'forward to another: by that one' 192.0.2.2 "$(ask)"
check_equal 'forward to another, over TCP' 192.0.2.2 "$(ask +tcp)"
config 'upstream: socks5://10.9.0.2:1080' 'dns: fake'
reload 'fake'
fake=$(ask)
check_match 'fake: an address of ours' '^198\.1[89]\.' "$fake"
config 'upstream: http://10.9.0.2:8080' 'dns: off'
reload 'off'
config 'upstream: http://10.9.0.2:8080' 'dns: fake'
reload 'fake again'
check_equal 'fake again: the name has the same address' "$fake" "$(ask)"
check_equal 'fake again, over TCP' "$fake" "$(ask +tcp)"

# ---- often: nothing is left behind ----
config 'upstream: direct://' 'dns: forward:10.9.0.2'
reload 'often'
check_equal 'often: names' 192.0.2.1 "$(ask)"
least=$(fds_of proxy)
for i in $(seq 20); do
  config 'upstream: direct://' "dns: forward:10.9.0.$((2 + i % 2))" "max-udp: $((100 * i))"
  reload "often, $i"
  check_equal "often, $i: names" "192.0.2.$((1 + i % 2))" "$(ask)"
done
wait_for 10 'often: no fd is left' has_fds proxy "$least"
stop_proxy 'with a file'

# ---- made-up addresses need routes, which are set at the start ----
config 'upstream: direct://'
proxy --config "$CONFIG" --route 198.51.100.0/24
config 'upstream: direct://' 'dns: fake'
reload 'fake without its routes'
check_contains 'fake without its routes: it says why' 'cannot change while adit runs: dns' "$SAID"
stop_proxy 'fake without its routes'

# ---- without a file: the name of the upstream is looked up again ----
cp /etc/hosts "$WORK/hosts" && mount --bind "$WORK/hosts" /etc/hosts
cp /etc/hosts "$WORK/hosts.before"
{ cat "$WORK/hosts.before"; echo '10.9.0.2 proxy.test'; } >"$WORK/hosts"
proxy --dev adit0 --mark 7 --upstream socks5://proxy.test:1080
check_equal 'by name' $BY_SOCKS "$(who)"
reload 'the same address'
check_contains 'the same address: it says so' 'proxy.test was looked up again and is still 10.9.0.2' "$SAID"
{ cat "$WORK/hosts.before"; echo '10.9.0.3 proxy.test'; } >"$WORK/hosts"
reload 'another address'
check_contains 'another address: it says so' 'proxy.test was looked up again and is now 10.9.0.3' "$SAID"
check_equal 'another address' $BY_OTHER "$(who)"
cp "$WORK/hosts.before" "$WORK/hosts"
reload 'no address'
check_contains 'no address: it keeps the old one' 'it keeps 10.9.0.3' "$(cat "$(err_of proxy)")"
check_equal 'no address' $BY_OTHER "$(who)"
stop_proxy 'by name'
proxy --dev adit0 --mark 7
reload 'nothing to reload'
check_contains 'nothing to reload: it says so' 'there is nothing to reload' "$SAID"
check_equal 'nothing to reload' $BY_NOBODY "$(who)"
stop_proxy 'nothing to reload'

# ---- a terminal that is closed ends it; a SIGHUP by somebody else does not ----
cat >"$WORK/terminal.py" <<'PYTHON'
import os, pty, signal, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
def until(word):
    global text
    while word not in text:
        text += os.read(terminal, 4096)
until(b"Ready")
os.kill(child, signal.SIGHUP)
until(b"SIGHUP: there is nothing to reload")
os.close(terminal)
for i in range(1000):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        print("ended with", os.waitstatus_to_exitcode(status))
        sys.exit()
    time.sleep(0.01)
print("lives on")
os.kill(child, signal.SIGKILL)
PYTHON
for command in proxy serve; do
  check_equal "a closed terminal ends adit $command" 'ended with 0' "$(python3 "$WORK/terminal.py" "$ADIT" $command --dev adit1)"
done
finish
