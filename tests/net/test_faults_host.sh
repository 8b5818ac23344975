#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What the host may do to a running adit: stop it, take its device down, change its address, delete the device or the
# namespace under it, kill it at any moment. It goes on, or ends with a message and status 1; and it leaves nothing.
#
# With ADIT_TEST_LONG=1 it is stopped for a minute and killed 200 times, otherwise for 3 seconds and 20 times.
set -eu
. "$(dirname "$0")/lib.sh"
need ping curl nc python3 sha256sum nsenter pgrep

V4=192.168.3.12
V6=fdad:3::12
STOPPED=3 KILLS=20
[ "${ADIT_TEST_LONG:-0}" = 0 ] || STOPPED=60 KILLS=200

routing() { ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; }
# All that adit could leave: interfaces, rules, routes, network namespaces of processes, processes.
spaces() { readlink /proc/[0-9]*/ns/net 2>/dev/null | sort -u; }
no_process() { ! pgrep -f "$1" >/dev/null; }

serve() {
  start serve "$ADIT" serve --dev adit0 "$@"
  wait_for 10 'adit serve is ready' file_has "$(out_of serve)" '^Ready'
}

# A server outside, reached through adit proxy: /N is N bytes, a file put there is answered with its checksum.
cat >"$WORK/files.py" <<'PYTHON'
import hashlib, http.server
class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        count = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(count))
        self.end_headers()
        block = bytes(range(251)) * 64
        while count > 0:
            self.wfile.write(block[:count])
            count -= min(count, len(block))
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8000), Files).serve_forever()
PYTHON
netns outside
ip link add near type veth peer name far netns outside
ip link set near addrgenmode none # no address that comes later
ip addr add 10.9.0.1/24 dev near
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip addr add 203.0.113.1/32 dev lo
in_ns outside ip link set far up
ip route add default via 10.9.0.2
start_in outside files python3 "$WORK/files.py"
wait_for 10 'the server outside' port_answers 203.0.113.1 8000
expected() {
  python3 -c 'import hashlib, sys
count = int(sys.argv[1]); block = bytes(range(251)) * 64
h = hashlib.sha256()
while count > 0: h.update(block[:count]); count -= min(count, len(block))
print(h.hexdigest())' "$1"
}
before=$(links) before_routing=$(routing) before_spaces=$(spaces)

# ---- stopped for a while in the middle of transfers: they go on ----
BYTES=30000000
sum=$(expected $BYTES)
start proxy "$ADIT" proxy --dev adit0 --route default
wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
# Slow enough to be under way for a second, and two at once.
for i in 1 2; do
  start "get$i" bash -c "curl -sS --fail --limit-rate 20M --max-time 120 http://203.0.113.1:8000/$BYTES | sha256sum"
done
wait_for 10 'a connection stands' bash -c '[ "$(ss -Htn state established dst 203.0.113.1:8000 | wc -l)" -ge 2 ]'
sleep 0.3 # not for luck: the middle of the transfer
kill -STOP "${PID[proxy]}"
check_match 'it is stopped' '^T' "$(ps -o stat= -p "${PID[proxy]}")"
is_running get1 || fail 'the transfer was over before the stop'
sleep "$STOPPED" # what is tested
run ping -n -c 1 -W 1 203.0.113.1
check_status 1 'stopped: nobody answers'
kill -CONT "${PID[proxy]}"
for i in 1 2; do
  await "get$i" 120
  check_status 0 "stopped for $STOPPED s: transfer $i ends in order"
  check_contains "stopped for $STOPPED s: transfer $i" "$sum" "$OUT"
done
check_command 'and new ones come about' curl -sS --fail -o /dev/null --max-time 10 http://203.0.113.1:8000/1000
stop proxy
check_status 0
check_equal 'the routing is as before' "$before_routing" "$(routing)"

# ---- the device is taken down and up, and gets another address ----
serve
check_command 'it answers' ping -n -c 1 -W 2 $V4
start open curl -sS --limit-rate 100K -o "$WORK/slow" http://$V4/bytes/1G
wait_for 5 'a slow transfer is under way' test -s "$WORK/slow"
for turn in 1 2 3; do
  ip link set adit0 down
  run ping -n -c 1 -W 1 $V4
  [ "$STATUS" != 0 ] || fail "down: $V4 answers all the same"
  is_running serve || fail "down: adit has ended: $(cat "$(err_of serve)")"
  ip link set adit0 up
  ip -6 addr add fdad:3::11/64 dev adit0 nodad # the kernel forgets those of IPv6
  check_command "up again ($turn): IPv4" ping -n -c 2 -i 0.1 -W 2 $V4
  check_command "up again ($turn): IPv6" ping -n -c 2 -i 0.1 -W 2 $V6
done
size=$(stat -c %s "$WORK/slow")
# Both sides ask ever more rarely: after a few times in vain it is half a minute until the next one.
wait_for 60 'the connection that was open goes on' bash -c "[ \$(stat -c %s '$WORK/slow') -gt $((size + 200000)) ]"
stop open
ip addr del 192.168.3.11/24 dev adit0
ip addr add 192.168.3.77/24 dev adit0
check_command 'another address' ping -n -c 2 -i 0.1 -W 2 $V4
check_command 'another address: TCP' curl -sS --fail -o /dev/null --max-time 10 http://$V4/bytes/1000000
stop serve
check_status 0 'down, up, another address: it ends in order'
check_equal 'interfaces are as before' "$before" "$(links)"

# ---- the device is deleted: a message, status 1, nothing left ----
for command in 'serve --dev adit0' 'serve --dev adit0 --queues 3' 'serve --dev adit0 --tap' \
  'serve --dev adit0 --fault delay=1ms' 'proxy --dev adit0 --route default' 'dump --dev adit0' 'reflect --dev adit0'; do
  read -ra words <<<"$command"
  start gone "$ADIT" "${words[@]}"
  wait_for 10 "$command: the device is up" link_is_up adit0
  wait_for 10 "$command: it is ready" bash -c "grep -q -e '^Ready' -e ' into adit0' '$(out_of gone)' '$(err_of gone)'"
  ip link delete adit0
  await gone
  check_status 1 "$command: the device is deleted"
  check_match "$command: the message names the device" 'adit0: .*(removed|cannot be read)' "$ERR"
  check_lacks "$command: it ends in order" Sanitizer "$ERR"
  "$ADIT" cleanup -q
  check_equal "$command: nothing is left" "$before" "$(links)"
  check_equal "$command: no rule is left" "$before_routing" "$(routing)"
done

# ---- the namespace in which the device is, is deleted under an adit that is in another one ----
# The kernel keeps it as long as the device's fd is open: adit goes on, and its end is the namespace's end.
netns doomed
cat >"$WORK/open.py" <<'PYTHON'
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
os.dup2(fd, 9)
os.system("ip addr add 192.168.3.11/24 dev tun7; ip link set tun7 up")
os.execvp("nsenter", ["nsenter", "--net=/proc/%s/ns/net" % sys.argv[1]] + sys.argv[2:])
PYTHON
start_in doomed inside sleep 1000
start_in doomed gone python3 "$WORK/open.py" $$ "$ADIT" serve --fd 9 --answer 192.168.3.0/24
wait_for 10 'adit serve is ready' file_has "$(out_of gone)" '^Ready'
in_doomed=(nsenter "--net=/proc/${PID[inside]}/ns/net")
check_command 'it answers in the other namespace' "${in_doomed[@]}" ping -n -c 1 -W 2 $V4
ip netns delete doomed
unset 'SPACES[doomed]'
check_command 'the name of the namespace is gone: it answers' "${in_doomed[@]}" ping -n -c 1 -W 2 $V4
"${in_doomed[@]}" ip link delete tun7
await gone
check_status 1 'the device in another namespace is deleted'
check_match 'the device in another namespace is deleted: the message' 'tun7: .*removed' "$ERR"
stop inside
wait_for 5 'the namespace is gone' bash -c "[ \"\$(readlink /proc/[0-9]*/ns/net 2>/dev/null | sort -u)\" = '$before_spaces' ]"

# ---- killed at a random moment of start, run and stop ----
SEED=${ADIT_TEST_SEED:-7}
RANDOM=$SEED
what=('proxy --dev adit0 --route default --bypass 198.51.100.0/24' 'serve --dev adit0 --queues 2'
  "run -- sleep 12399" 'proxy --dev adit0 --route default --fail-closed')
for ((i = 0; i < KILLS; i++)); do
  command=${what[i % ${#what[@]}]}
  read -ra words <<<"$command"
  moment=$((RANDOM % 150)) ending=$((RANDOM % 30)) phase=$((RANDOM % 2))
  start victim "$ADIT" "${words[@]}"
  sleep "$(printf '0.%03d' $moment)" # not for luck: the moment is what is tested
  if [ $phase = 1 ] && is_running victim; then # in its end
    kill -TERM "${PID[victim]}"
    sleep "$(printf '0.%03d' $ending)"
  fi
  kill -KILL "${PID[victim]}" 2>/dev/null || true
  await victim
  said="killed: number $i of seed $SEED, $command, after $moment ms$([ $phase = 0 ] || echo ", $ending ms into its end")"
  wait_for 5 "$said: the device is gone" link_is_gone adit0
  wait_for 5 "$said: no process is left" no_process '^sleep 12399'
  wait_for 5 "$said: no namespace is left" bash -c "[ \"\$(readlink /proc/[0-9]*/ns/net 2>/dev/null | sort -u)\" = '$before_spaces' ]"
  check_equal "$said: interfaces" "$before" "$(links)"
  case $command in
    *fail-closed*) ;; # closed until somebody opens it
    *) check_command "$said: the way is open" curl -sS --fail -o /dev/null --max-time 5 http://203.0.113.1:8000/10 ;;
  esac
  if [ $((i % 8)) -lt 4 ]; then
    check_command "$said: cleanup" "$ADIT" cleanup -q
  else # or the next start
    start next "$ADIT" proxy --dev adit0 --route 192.0.2.0/24
    wait_for 10 "$said: the next one is ready" file_has "$(out_of next)" '^Ready'
    stop next
  fi
  check_equal "$said: rules and routes" "$before_routing" "$(routing)"
done

stop files
finish
