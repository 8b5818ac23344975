#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit run: a command in namespaces of its own whose way out is the relay. As root and, where root runs this test, as an
# ordinary user too: exit status, signals, terminal, names, loopback, and that nothing is left, however it ends.
set -eu
. "$(dirname "$0")/lib.sh"
need curl python3 script setpriv lsns microsocks dnsmasq pgrep ping

export PATH=/usr/sbin:/usr/bin:/sbin:/bin # of this system, where every user may look
NOBODY=65534
SERVER=10.7.0.1 # an address of this machine, which is not one of the loopback network

# The program where everybody may read it, and a folder for the user's files.
chmod 711 "$WORK"
cp "$ADIT" "$WORK/adit"
chmod 755 "$WORK/adit"
ADIT=$WORK/adit
mkdir "$WORK/www"
chmod 755 "$WORK/www"
echo 'hello from outside' >"$WORK/www/index.html"

# who USER: from here on `like` is what makes a command that user's; "root" is whoever runs this test.
who() {
  like=()
  [ "$1" = root ] || like=(setpriv --reuid "$1" --regid "$1" --clear-groups)
}

# inside ARGUMENT...: adit run to its end.
inside() { run "${like[@]}" "$ADIT" run "$@"; }

users=(root)
if [ "$(awk '{ print $3 }' /proc/self/uid_map)" -gt "$NOBODY" ]; then
  # A /dev/net/tun that everybody may open, as most systems have it, seen by this test alone.
  mount -t tmpfs none /dev/net
  mknod -m 666 /dev/net/tun c 10 200
  who "$NOBODY"
  "${like[@]}" unshare --user --net true 2>/dev/null && users+=("$NOBODY")
fi
[ "${CI:-}" != true ] || [ ${#users[@]} = 2 ] || fail "an ordinary user cannot make user namespaces here"

# ---- the world outside: a server, a proxy on loopback, a resolver on loopback ----
ip link add outside0 type veth peer name outside1
ip link set outside1 up
ip addr add $SERVER/24 dev outside0
ip link set outside0 up
start web python3 -m http.server --bind $SERVER --directory "$WORK/www" 8000
start local python3 -m http.server --bind 127.0.0.1 --directory "$WORK/www" 8001
start socks microsocks -i 127.0.0.1 -p 1080
printf 'nameserver 127.0.0.1\nsearch adit.test\n' >"$WORK/resolv.conf"
chmod 644 "$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
start names dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --bind-interfaces \
  --listen-address=127.0.0.1 --user=root --pid-file= --address=/web.adit.test/$SERVER
wait_for 10 'the web server answers' port_answers $SERVER 8000
wait_for 10 'the local web server answers' port_answers 127.0.0.1 8001
wait_for 10 'the proxy answers' port_answers 127.0.0.1 1080
wait_for 10 'the resolver answers' port_answers 127.0.0.1 53
sleepers() { pgrep -f '^sleep 1234[5-9]' | wc -l; }
three_sleep() { [ "$(sleepers)" = 3 ]; }
none_sleeps() { [ "$(sleepers)" = 0 ]; }
spaces() { lsns -n -t net -o NS | sort | paste -sd' '; }
before_links=$(links)
before_spaces=$(spaces)
nothing_left() { [ "$(spaces)" = "$before_spaces" ]; }

for user in "${users[@]}"; do
  who "$user"

  # ---- exit status, standard streams, arguments ----
  inside --dns off -- true
  check_status 0 "$user: true"
  check_equal "$user: it says nothing of its own" '' "$OUT$ERR"
  inside -q --dns off sh -c 'exit 7'
  check_status 7 "$user: exit 7, without --"
  inside --dns off -- sh -c 'kill -TERM $$'
  check_status 143 "$user: ended by SIGTERM"
  inside --dns off -- sh -c 'kill -KILL $$'
  check_status 137 "$user: ended by SIGKILL"
  inside --dns off -- no-such-command
  check_status 127 "$user: a command that is not there"
  check_contains "$user: a command that is not there: why" 'no-such-command: command not found' "$ERR"
  inside --dns off -- "$WORK/www/index.html"
  check_status 126 "$user: a file that is no command"
  inside --dns off -- printf '%s|' a 'b c' -- -x
  check_equal "$user: arguments" 'a|b c|--|-x|' "$OUT"
  check_equal "$user: standard input and output" 'a line' "$(echo 'a line' | "${like[@]}" "$ADIT" run --dns off -- cat)"
  inside --dns off -- sh -c 'id -u; id -g; ulimit -n; pwd'
  check_equal "$user: user, group, limits and folder are the caller's" \
    "$("${like[@]}" sh -c 'id -u; id -g; ulimit -n; pwd')" "$OUT"

  # ---- what is inside ----
  inside --dns off -- sh -c 'ls /sys/class/net >/dev/null; cat /proc/net/dev'
  check_match "$user: the device" 'adit0:' "$OUT"
  check_lacks "$user: not the interfaces outside" 'outside0:' "$OUT"
  inside --dns off -- ps -e -o comm=
  check_equal "$user: processes are its own" "adit"$'\n'"ps" "$OUT"
  inside --dns off --icmp reply -- ping -n -c 1 -W 2 192.0.2.1
  check_status 0 "$user: ping"
  inside --dns off -- curl -sS --max-time 10 http://127.0.0.1:8001/
  check_status 7 "$user: loopback inside is its own"
  inside --dns off -- sh -c "python3 -m http.server --bind 127.0.0.1 --directory '$WORK/www' 8009 2>/dev/null &
    for i in \$(seq 100); do curl -s --max-time 5 http://127.0.0.1:8009/ && exit; sleep 0.05; done; exit 1"
  check_contains "$user: loopback inside works" 'hello from outside' "$OUT"
  [ "$user" = root ] || {
    inside --dns off -- ip link set adit0 down
    check_at_least "$user: the network cannot be changed inside" 1 "$STATUS"
  }

  # ---- out: directly, through a proxy on the caller's loopback ----
  inside --dns off -- curl -sS --fail --max-time 10 http://$SERVER:8000/
  check_equal "$user: directly" 'hello from outside' "$OUT"
  inside --dns off --upstream socks5://127.0.0.1:1080 -- curl -sS --fail --max-time 10 http://$SERVER:8000/
  check_equal "$user: through a proxy on loopback" 'hello from outside' "$OUT"
  inside --dns off --upstream reject:// -- curl -sS --max-time 10 http://$SERVER:8000/
  check_status 7 "$user: reject refuses"
  inside --dns off -- curl -sS --max-time 10 http://$SERVER:8003/
  check_status 7 "$user: a closed port is refused"
  inside --dns off --queues 2 --mtu 9000 --address 172.20.0.1/30 --dev way -- \
    sh -c "cat /proc/net/route; curl -sS --fail --max-time 10 http://$SERVER:8000/"
  check_match "$user: name, address and MTU are chosen" 'way.000014AC' "$OUT"
  check_contains "$user: two queues" 'hello from outside' "$OUT"

  # ---- names ----
  inside -- cat /etc/resolv.conf
  check_contains "$user: resolv.conf names the relay" 'nameserver 192.168.3.12' "$OUT"
  check_contains "$user: resolv.conf keeps the search list" 'search adit.test' "$OUT"
  inside -- curl -sS --fail --max-time 10 http://web.adit.test:8000/
  check_equal "$user: a name, from the resolver on the caller's loopback" 'hello from outside' "$OUT"
  inside --upstream socks5://127.0.0.1:1080 -- sh -c \
    'getent ahostsv4 web.adit.test | head -n 1; curl -sS --fail --max-time 10 http://web.adit.test:8000/'
  check_match "$user: a name, resolved by the proxy" '^198\.1[89]\.' "$OUT"
  check_contains "$user: a name, resolved by the proxy" 'hello from outside' "$OUT"
  inside --dns off -- cat /etc/resolv.conf
  check_equal "$user: --dns off leaves resolv.conf" "$(cat "$WORK/resolv.conf")" "$OUT"
  check_equal "$user: resolv.conf outside is as it was" "$(cat "$WORK/resolv.conf")" "$(cat /etc/resolv.conf)"

  # ---- signals ----
  for signal in TERM HUP USR1; do # what runs beside a script ignores SIGINT; the terminal sends it below
    start sig "${like[@]}" "$ADIT" run --dns off -- \
      bash -c "trap 'echo got $signal; exit 3' $signal; echo ready; while :; do sleep 0.05; done"
    wait_for 10 'the command runs' file_has "$(out_of sig)" ready
    stop sig $signal
    check_status 3 "$user: SIG$signal reaches the command"
    check_contains "$user: SIG$signal reaches the command" "got $signal" "$OUT"
  done
  # The command's dispositions are the caller's, not adit's.
  inside --dns off -- sh -c 'grep -E "Sig(Blk|Ign)" /proc/self/status'
  check_equal "$user: no signal is blocked or ignored" "$("${like[@]}" sh -c 'grep -E "Sig(Blk|Ign)" /proc/self/status')" \
    "$OUT"

  # ---- it takes along what it left behind, and so does every way to die ----
  inside --dns off -- sh -c 'sleep 12345 & setsid sleep 12346 & exit 0'
  check_status 0 "$user: a command that leaves processes"
  check_equal "$user: they end with it" 0 "$(sleepers)"
  start dies "${like[@]}" "$ADIT" run --dns off -- sh -c 'sleep 12345 & setsid sleep 12346 & echo ready; sleep 12347'
  wait_for 10 'the command runs' file_has "$(out_of dies)" ready
  wait_for 10 'three processes sleep' three_sleep
  stop dies KILL
  check_status 137 "$user: kill -9 of adit"
  wait_for 5 "$user: kill -9 of adit kills all inside" none_sleeps
  wait_for 5 "$user: kill -9 of adit leaves no namespace" nothing_left
  start dies "${like[@]}" "$ADIT" run --dns off -- sh -c 'sleep 12345 & echo ready; exec sleep 12347'
  wait_for 10 'the command runs' file_has "$(out_of dies)" ready
  wait_for 10 'the command is itself' pgrep -f '^sleep 12347'
  kill -KILL "$(pgrep -f '^sleep 12347')"
  await dies
  check_status 137 "$user: kill -9 of the command"
  wait_for 5 "$user: kill -9 of the command leaves no process" none_sleeps
  start dies "${like[@]}" "$ADIT" run --dns off -- sh -c 'echo ready; exec sleep 12347'
  wait_for 10 'the command runs' file_has "$(out_of dies)" ready
  kill -KILL "$(pgrep -P "${PID[dies]}")"
  await dies
  check_status 137 "$user: kill -9 of the first process inside"
  wait_for 5 "$user: kill -9 of the first process leaves no process" none_sleeps
  wait_for 5 "$user: no namespace is left" nothing_left
  check_equal "$user: interfaces are as before" "$before_links" "$(links)"
done

# ---- terminal ----
cat >"$WORK/terminal.py" <<'PYTHON'
# A person at a terminal: an interactive shell, what is typed, what is waited for.
import os, pty, re, select, sys, time

adit = sys.argv[1]
pid, tty = pty.fork()
if pid == 0:
    os.environ.update(PS1="outer> ", TERM="dumb", HISTFILE="/dev/null")
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
seen = b""

def expect(pattern, what):
    global seen
    end = time.monotonic() + 15
    while True:
        match = re.search(pattern.encode(), seen, re.DOTALL)
        if match:
            seen = seen[match.end():]
            return match
        left = end - time.monotonic()
        if left <= 0 or not select.select([tty], [], [], left)[0]:
            sys.exit(f"{what}: expected {pattern!r}, found {seen!r}")
        try:
            seen += os.read(tty, 4096)
        except OSError:
            sys.exit(f"{what}: expected {pattern!r}, the terminal ended after {seen!r}")

def type(text):
    os.write(tty, text.encode())

# Before that nobody is there to be stopped; a shell that is about to fork (vfork) hangs when its child is stopped.
def wait_for_sleep():
    end = time.monotonic() + 15
    while os.system("pgrep -x sleep >/dev/null") != 0:
        if time.monotonic() > end:
            sys.exit("sleep does not begin")
        time.sleep(0.02)

# bash prints the line of a job before it hands the terminal over and lets the job go on.
def wait_for_job():
    end = time.monotonic() + 15
    while os.tcgetpgrp(tty) == pid or os.system("ps -C sleep -o stat= | grep -q '^S'") != 0:
        if time.monotonic() > end:
            sys.exit("the job does not go on")
        time.sleep(0.02)

checks = 0
def check(text, pattern, what):
    global checks
    if text is not None:
        type(text)
    expect(pattern, what)
    checks += 1

run = f"{adit} run --dns off --"
expect("outer> ", "a prompt")
check(f"{run} sleep 1000\n", "sleep 1000\r?\n", "the command begins")
wait_for_sleep()
check("\x03", "outer> ", "Ctrl-C ends the command")
check("echo status $?\n", r"\nstatus 130\r", "its status is that of SIGINT")
expect("outer> ", "a prompt")

type(f"{run} sh -c 'echo it $((6*7)); sleep 1000; echo over'\n")
expect("it 42\r", "the second command runs")
wait_for_sleep()
check("\x1a", r"Stopped.*outer> ", "Ctrl-Z stops the job")
check("jobs\n", r"Stopped.*outer> ", "the shell has it as a job")
check("fg\n", r"run --dns off", "fg continues it")
wait_for_job()
check("\x03", "outer> ", "Ctrl-C after fg")
type("echo status $?\n")
check(None, r"\nstatus 130\r", "its status")
expect("outer> ", "a prompt")

type(f"PS1='inner> ' {run} bash --norc --noprofile -i\n")
check(None, "inner> ", "a shell inside")
check("echo $((40+2))\n", r"\n42\r", "it works")
expect("inner> ", "a prompt")
check("sleep 1000\n", "sleep 1000\r?\n", "a command of the inner shell")
wait_for_sleep()
check("\x03", "inner> ", "Ctrl-C ends the command, not the shell")
check("sleep 1000\n", "sleep 1000\r?\n", "another one")
wait_for_sleep()
check("\x1a", r"Stopped.*inner> ", "Ctrl-Z is the inner shell's")
# wait returns at once for a job that is still stopped, and then the shell would not end
check("kill %1; while [ -n \"$(jobs -s)\" ]; do sleep 0.05; done; wait\n", "inner> ", "the inner shell ends its job")
check("exit 5\n", "outer> ", "the inner shell ends")
check("echo status $?\n", r"\nstatus 5\r", "its status")
expect("outer> ", "a prompt")

# A parent without job control gets the terminal back after a shell that took it.
type(f"sh -c 'PS1=\"inner\"\"> \" {run} bash --norc --noprofile -i; read x; echo got $x'\n")
expect("inner> ", "a shell inside")
type("exit\n")
check("word\n", r"\ngot word\r", "the terminal is given back")
expect("outer> ", "a prompt")
# In a pipeline the terminal stays everybody's.
check(f"{run} echo through a pipe | cat\n", r"\nthrough a pipe\r", "a pipeline")
type("exit\n")
os.waitpid(pid, 0)
print(checks)
PYTHON
chmod 644 "$WORK/terminal.py"
for user in "${users[@]}"; do
  export RUN_SECONDS=120
  who "$user"
  run "${like[@]}" python3 "$WORK/terminal.py" "$ADIT"
  check_status 0 "$user: at a terminal"
  check_at_least "$user: checks at a terminal" 15 "$OUT"
done
run script -qec "$ADIT run --dns off -- sh -c 'test -t 0 && test -t 1 && tty'" /dev/null
check_match 'script: the terminal is passed on' '/dev/pts/|not a tty' "$OUT"
check_status 0 'script: standard input and output are the terminal'

# ---- what cannot be ----
run "$ADIT" run
check_status 2 'no command'
check_contains 'no command: what to do' 'adit run -- curl' "$ERR"
run "$ADIT" run --tap -- true
check_status 2 'no --tap here'
if [ ${#users[@]} = 2 ]; then
  who "$NOBODY"
  chmod 600 /dev/net/tun
  inside --dns off -- true
  check_status 1 '/dev/net/tun may not be opened'
  check_contains '/dev/net/tun may not be opened: what to do' 'chmod 666 /dev/net/tun' "$ERR"
  chmod 666 /dev/net/tun
  run unshare --user --map-root-user sh -c "echo 0 >/proc/sys/user/max_user_namespaces
    exec setpriv --bounding-set=-all '$ADIT' run --dns off -- true"
  check_status 1 'user namespaces are not allowed'
  check_contains 'user namespaces are not allowed: why' 'max_user_namespaces' "$ERR"
  check_equal 'a failure leaves nothing' "$before_spaces" "$(spaces)"
fi

finish
