#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Every command does a whole job inside its sandbox: what the kernel says of its rights while it runs, that it works all
# the same, and that it ends in order with nothing left behind. As root, as another user (--user), as an ordinary user
# on a device that was prepared; passwords in neither ps nor log nor core file.
#
# This namespace is the client's machine; "outside" has a web server, and SOCKS5 proxies, one with a password.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 curl microsocks dig setpriv
case " ${ADIT_MISSING:-} " in
  *" libseccomp-dev "* | *" libcap-ng-dev "*) skip "built without libseccomp or libcap-ng: there is no whole sandbox" ;;
esac

NONE=0000000000000000 RAW=0000000000002000 ADMIN_RAW=0000000000003000
FILTER=2
[ "${ADIT_SANITIZED:-0}" = 0 ] || FILTER=0 # sanitizers are left without a filter
SECRET=secret4711

netns outside
ip link add near type veth peer name far netns outside
ip addr add 10.9.0.1/24 dev near
ip link set near up
in_ns outside ip addr add 10.9.0.2/24 dev far
in_ns outside ip link set far up
wait_for 10 'addresses are settled' link_is_settled near
for i in 1 2 3; do in_ns outside ip addr add 203.0.113.$i/32 dev lo; done
ip route add default via 10.9.0.2
printf '127.0.0.1 localhost\n203.0.113.1 web.test\n10.9.0.2 proxy.test\n' >"$WORK/hosts"
mount --bind "$WORK/hosts" /etc/hosts
chmod 755 "$WORK"

cat >"$WORK/server.py" <<'PYTHON'
import http.server
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = f"hello {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("203.0.113.1", 8000), Web)
print("Ready", flush=True)
server.serve_forever()
PYTHON
start_in outside web python3 "$WORK/server.py"
start_in outside socks microsocks -i 10.9.0.2 -p 1080 -b 203.0.113.2
start_in outside guarded microsocks -i 10.9.0.2 -p 1081 -u user -P $SECRET -b 203.0.113.3
wait_for 10 'the server is ready' file_has "$(out_of web)" Ready
wait_for 10 'proxies answer' in_ns outside bash -c ': </dev/tcp/10.9.0.2/1080 && : </dev/tcp/10.9.0.2/1081'

# ---- what the kernel says of a process ----
status_of() { awk -v key="$2:" '$1 == key { $1 = ""; sub(/^ /, ""); print }' "/proc/$1/status"; }
field_is() { [ "$(status_of "$1" "$2")" = "$3" ] || { status_of "$1" "$2"; false; }; }
# in_sandbox NAME CAPABILITIES [PID]: it and all of its threads are inside, with these capabilities.
in_sandbox() {
  local pid=${3:-${PID[$1]}} thread
  wait_for 10 "$1: system calls are filtered" field_is "$pid" Seccomp $FILTER
  wait_for 10 "$1: no new privileges" field_is "$pid" NoNewPrivs 1
  for thread in "/proc/$pid"/task/*; do
    thread=$pid/task/${thread##*/}
    check_equal "$1: capabilities in effect" "$2" "$(status_of "$thread" CapEff)"
    check_equal "$1: capabilities that may be had" "$2" "$(status_of "$thread" CapPrm)"
    check_equal "$1: capabilities of what it executes" $NONE "$(status_of "$thread" CapInh)"
    check_equal "$1: filter of each thread" $FILTER "$(status_of "$thread" Seccomp)"
    check_equal "$1: no new privileges in each thread" 1 "$(status_of "$thread" NoNewPrivs)"
  done
}
ends_in_order() { # ends_in_order NAME WHAT
  stop "$1"
  check_status 0 "$2: ends in order"
  check_lacks "$2: no call was forbidden" 'not allowed in the sandbox' "$ERR"
  check_lacks "$2: nothing was found by a sanitizer" Sanitizer "$ERR"
  check_lacks "$2: the password is not in what it says" $SECRET "$OUT$ERR"
}
ours() { ip rule show; ip -6 rule show; ip route show table all; }
as_before() { # as_before WHAT: rules and routes are those of $before; what differs is shown
  check_equal "$1: rules and routes are as before" '' "$(diff <(printf '%s\n' "$before") <(ours))"
}
no_password_shown() { # no_password_shown NAME
  check_lacks "$1: no password in /proc/PID/cmdline" $SECRET "$(tr '\0' ' ' <"/proc/${PID[$1]}/cmdline")"
  check_lacks "$1: no password in ps" $SECRET "$(ps -o args= -ww -p "${PID[$1]}")"
}
get() { curl -s -m 10 "$@"; }

other_user=1
setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null || other_user=0
# As that user; sanitizers cannot trace a process that was root, so no leaks are looked for there.
like_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
no_leaks=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0")

# ---- serve ----
serve_works() { # serve_works WHAT
  check_command "$1: ping" ping -c 2 -i 0.1 -W 2 192.168.3.12
  check_contains "$1: a page" adit "$(get http://192.168.3.12/)"
  check_equal "$1: 20 MB" 20000000 "$(get http://192.168.3.12/bytes/20000000 | wc -c)"
}
start serve "$ADIT" serve --dev adit0 --queues 2 --verbose
wait_for 10 'serve is ready' file_has "$(out_of serve)" '^Ready'
in_sandbox serve $NONE
check_equal 'serve: three threads' 3 "$(find "/proc/${PID[serve]}/task" -mindepth 1 -maxdepth 1 | wc -l)"
[ $FILTER = 0 ] || check_lacks 'serve: nothing is missing in this build' 'sandbox:' "$(cat "$(err_of serve)")"
serve_works serve
kill -HUP "${PID[serve]}"
wait_for 5 'serve goes on after SIGHUP' file_has "$(err_of serve)" 'nothing to reload'
ends_in_order serve serve
link_is_gone adit0 || fail 'adit0 is left'

start serve "$ADIT" serve --dev adit0 --no-sandbox
wait_for 10 'serve is ready' file_has "$(out_of serve)" '^Ready'
check_equal '--no-sandbox: no filter' 0 "$(status_of "${PID[serve]}" Seccomp)"
check_equal '--no-sandbox: all capabilities' "$(status_of self CapEff)" "$(status_of "${PID[serve]}" CapEff)"
ends_in_order serve --no-sandbox

run "$ADIT" serve --user nobody-of-that-name
check_status 1 'a user that does not exist'
check_contains 'a user that does not exist' 'there is no such user' "$ERR"

# ---- dump, reflect, replay ----
start dump "$ADIT" dump --dev adit0
wait_for 10 'adit0 is up' link_is_up adit0
in_sandbox dump $NONE
run ping -c 1 -W 1 192.168.3.12
wait_for 5 'the packet is printed' file_has "$(out_of dump)" '192.168.3.11 > 192.168.3.12'
ends_in_order dump dump

start reflect "$ADIT" reflect --dev adit0 --swap
wait_for 10 'adit0 is up' link_is_up adit0
in_sandbox reflect $NONE
check_command 'reflect: ping' ping -c 2 -i 0.1 -W 2 192.168.3.12
ends_in_order reflect reflect

# Through a pipe that is held back, so that it is seen at work.
capture=tests/pcap/curl4.pcap
mkfifo "$WORK/pipe"
start replay "$ADIT" replay "$WORK/pipe" -o "$WORK/answers.pcap"
exec 7>"$WORK/pipe"
head -c 200 $capture >&7
in_sandbox replay $NONE
tail -c +201 $capture >&7
exec 7>&-
await replay
check_status 0 'replay: to its end'
check_lacks 'replay: no call was forbidden' 'not allowed in the sandbox' "$ERR"
run "$ADIT" replay $capture -o "$WORK/again.pcap" --no-sandbox
cmp "$WORK/answers.pcap" "$WORK/again.pcap" || fail 'other answers inside the sandbox'
passed 'replay: the same answers as outside'

# ---- proxy: all of it at once ----
mkdir "$WORK/etc" "$WORK/cache"
config() { printf '%s\n' 'dev: adit0' 'route: default' 'dns: fake' "dns-cache: $WORK/cache/names" "$@" >"$WORK/etc/new"; mv "$WORK/etc/new" "$WORK/etc/adit.yaml"; }
before=$(ours)
config "upstream: socks5://10.9.0.2:1080"
start proxy "$ADIT" proxy --config "$WORK/etc/adit.yaml" --verbose
wait_for 10 'proxy is ready' file_has "$(out_of proxy)" '^Ready'
in_sandbox proxy $ADMIN_RAW
by_name() { # the page, by the fake address that DNS answers for the name
  local address
  address=$(dig +short +time=5 +tries=1 @192.0.2.53 web.test A)
  [[ $address =~ ^198\.1[89]\. ]] || { echo "no fake address: $address"; return; }
  get "http://$address:8000/"
}
check_equal 'proxy: through SOCKS5, by name' 'hello 203.0.113.2' "$(by_name)"
check_equal 'proxy: through SOCKS5, by address' 'hello 203.0.113.2' "$(get http://203.0.113.1:8000/)"
# The file is replaced by another one, which names another proxy, by name and with a password.
config "upstream: socks5://user:$SECRET@proxy.test:1081"
kill -HUP "${PID[proxy]}"
wait_for 10 'it says what it reloaded' file_has "$(err_of proxy)" 'reloaded.*upstream'
check_equal 'proxy: through the other one' 'hello 203.0.113.3' "$(by_name)"
# A file beyond its reach, by a link that did not lead there before.
cp "$WORK/etc/adit.yaml" "$WORK/elsewhere.yaml"
ln -sf "$WORK/elsewhere.yaml" "$WORK/etc/adit.yaml"
kill -HUP "${PID[proxy]}"
if [ $FILTER != 0 ]; then
  wait_for 10 'a file elsewhere is beyond reach' file_has "$(err_of proxy)" 'Permission denied.*nothing has changed'
fi
check_equal 'proxy: goes on' 'hello 203.0.113.3' "$(by_name)"
ends_in_order proxy proxy
as_before proxy
check_contains 'proxy: the names are kept' web.test "$(cat "$WORK/cache/names")"
check_equal 'proxy: and nothing else' names "$(ls "$WORK/cache")"

# What each option costs.
rights() { # rights CAPABILITIES OPTION...
  local expected=$1
  shift
  start proxy "$ADIT" proxy --dev adit0 "$@"
  wait_for 10 'proxy is ready' file_has "$(out_of proxy)" '^Ready'
  in_sandbox proxy "$expected"
  ends_in_order proxy "$*"
}
rights $NONE --upstream socks5://10.9.0.2:1080
rights $NONE --upstream direct:// --icmp reply
rights $RAW --upstream direct://
rights $RAW --upstream socks5://10.9.0.2:1080 --mark 7
rights $RAW --upstream socks5://10.9.0.2:1080 --interface near

# ---- a password on the command line ----
start proxy "$ADIT" proxy --dev adit0 --upstream "socks5://user:$SECRET@10.9.0.2:1081" --verbose
wait_for 10 'proxy is ready' file_has "$(out_of proxy)" '^Ready'
no_password_shown proxy
check_contains 'the rest of the URL is shown' socks5://10.9.0.2:1081 "$(tr '\0' ' ' <"/proc/${PID[proxy]}/cmdline")"
ip route add 203.0.113.0/24 dev adit0
check_equal 'the password is used all the same' 'hello 203.0.113.3' "$(get http://203.0.113.1:8000/)"
kill -HUP "${PID[proxy]}"
wait_for 5 'the command line was parsed' file_has "$(err_of proxy)" SIGHUP
ends_in_order proxy 'a password'

# A core file is made without a sandbox, but not when there is a password. Where the kernel gives cores to a program we
# cannot look.
pattern=$(cat /proc/sys/kernel/core_pattern)
crash() { # crash URL OPTION...: how many core files a crash leaves
  rm -rf "$WORK/crash"
  mkdir "$WORK/crash"
  : >"$WORK/crashed.out"
  (cd "$WORK/crash" && ulimit -c unlimited && exec "$ADIT" proxy --dev adit0 --upstream "$@") >"$WORK/crashed.out" 2>&1 &
  local pid=$!
  wait_for 10 'proxy is ready' file_has "$WORK/crashed.out" '^Ready'
  kill -SEGV $pid
  wait $pid 2>/dev/null || :
  find "$WORK/crash" -type f | wc -l
}
if [ $FILTER = 0 ]; then
  echo 'left out: core files, which sanitizers keep from being made'
elif [[ $pattern == [/\|]* ]]; then
  echo "left out: core files go elsewhere here ($pattern)"
elif ! (ulimit -c unlimited) 2>/dev/null; then # sudo lowers the limit, and without CAP_SYS_RESOURCE does not raise it again
  echo "left out: core files may not be made here (ulimit -H -c: $(ulimit -H -c))"
else
  check_equal 'a crash outside of the sandbox leaves a core file' 1 "$(crash socks5://10.9.0.2:1081 --no-sandbox)"
  check_equal 'one with a password leaves none' 0 "$(crash "socks5://user:$SECRET@10.9.0.2:1081" --no-sandbox)"
  check_equal 'nor one inside' 0 "$(crash "socks5://user:$SECRET@10.9.0.2:1081")"
fi

# ---- run: the command is outside of it ----
start run "$ADIT" run --upstream socks5://10.9.0.2:1080 -- sh -c 'cat /proc/self/status; echo Started; read x </dev/zero'
wait_for 10 'the command runs' file_has "$(out_of run)" Started
in_sandbox run $NONE
check_match 'run: the command is not filtered' $'\nSeccomp:\t0\n' "$(cat "$(out_of run)")"
check_match 'run: nor kept from new privileges' $'\nNoNewPrivs:\t0\n' "$(cat "$(out_of run)")"
stop run
check_lacks 'run: no call was forbidden' 'not allowed in the sandbox' "$ERR"
run "$ADIT" run --upstream "socks5://user:$SECRET@10.9.0.2:1081" -- curl -s -m 10 http://web.test:8000/
check_status 0 'run: curl'
check_equal 'run: curl, by name' 'hello 203.0.113.3' "$OUT"
check_equal 'run: and nothing is said' '' "$ERR"
run "$ADIT" run -- ping -c 1 -W 5 10.9.0.2
check_status 0 'run: a ping that goes out'
run "$ADIT" run -- sh -c 'kill -TERM $$'
check_status 143 'run: a status'
run "$ADIT" run -- echo http://user:$SECRET@host/
check_equal 'run: the words of the command are whole' "http://user:$SECRET@host/" "$OUT"

# ---- another user ----
if [ $other_user = 0 ]; then
  echo 'left out: --user, there is no other user in this namespace'
  finish
fi
users_of() { echo "$(status_of "$1" Uid | tr '\t' ' ') $(status_of "$1" Groups)"; }
start serve "${no_leaks[@]}" "$ADIT" serve --dev adit0 --user nobody
wait_for 10 'serve is ready' file_has "$(out_of serve)" '^Ready'
check_equal '--user: who it is' '65534 65534 65534 65534' "$(users_of "${PID[serve]}" | sed 's/ *$//')"
in_sandbox serve $NONE
serve_works '--user'
ends_in_order serve '--user'
for command in dump reflect; do
  start "$command" "${no_leaks[@]}" "$ADIT" "$command" --dev adit0 --user 65534
  wait_for 10 'adit0 is up' link_is_up adit0
  in_sandbox "$command" $NONE
  check_equal "$command --user: who it is" '65534 65534 65534 65534' "$(users_of "${PID[$command]}" | sed 's/ *$//')"
  ends_in_order "$command" "$command --user"
done

chown 65534 "$WORK/cache" && chown 65534 "$WORK/cache/names"
rm "$WORK/etc/adit.yaml"
config "upstream: socks5://10.9.0.2:1080" 'user: nobody'
start proxy "${no_leaks[@]}" "$ADIT" proxy --config "$WORK/etc/adit.yaml"
wait_for 10 'proxy is ready' file_has "$(out_of proxy)" '^Ready'
in_sandbox proxy $ADMIN_RAW
check_equal 'proxy --user: who it is' '65534 65534 65534 65534' "$(users_of "${PID[proxy]}" | sed 's/ *$//')"
check_equal 'proxy --user: by name' 'hello 203.0.113.2' "$(by_name)"
config "upstream: socks5://user:$SECRET@proxy.test:1081" 'user: nobody'
kill -HUP "${PID[proxy]}"
wait_for 10 'it says what it reloaded' file_has "$(err_of proxy)" 'reloaded.*upstream'
check_equal 'proxy --user: through the other one' 'hello 203.0.113.3' "$(by_name)"
dig +short +time=5 +tries=1 @192.0.2.53 another.test >/dev/null
ends_in_order proxy 'proxy --user'
as_before 'proxy --user'
check_contains 'proxy --user: the names are kept' another.test "$(cat "$WORK/cache/names")"

# ---- an ordinary user, on a device that was prepared ----
# Most systems let everybody open this file (udev); what a device may be used for is decided by its owner.
mknod -m 666 "$WORK/tun" c 10 200
mount --bind "$WORK/tun" /dev/net/tun
ip tuntap add dev adit0 mode tun user 65534
ip addr add 192.168.3.11/24 dev adit0
ip link set adit0 up
run "${like_nobody[@]}" "$ADIT" serve --dev adit0 --user root
check_status 1 'who is not root becomes nobody else'
check_contains 'who is not root becomes nobody else' 'cannot become user 0' "$ERR"
start serve "${like_nobody[@]}" "$ADIT" serve --dev adit0
wait_for 10 'serve is ready' file_has "$(out_of serve)" '^Ready'
in_sandbox serve $NONE
[ $FILTER = 0 ] || check_equal 'its memory is its own' 65534 "$(stat -c %u "/proc/${PID[serve]}/mem")"
serve_works 'an ordinary user'
ends_in_order serve 'an ordinary user'

ip route add 203.0.113.0/24 dev adit0
start proxy "${like_nobody[@]}" "$ADIT" proxy --dev adit0 --upstream "socks5://user:$SECRET@10.9.0.2:1081"
wait_for 10 'proxy is ready' file_has "$(out_of proxy)" '^Ready'
in_sandbox proxy $NONE
no_password_shown proxy
[ $FILTER = 0 ] || check_equal 'with a password its memory is root only' 0 "$(stat -c %u "/proc/${PID[proxy]}/mem")"
check_equal 'an ordinary user: proxy' 'hello 203.0.113.3' "$(get http://203.0.113.1:8000/)"
ends_in_order proxy 'an ordinary user: proxy'
ip tuntap del dev adit0 mode tun
umount /dev/net/tun

# ---- and on an fd that somebody else opened ----
cat >"$WORK/open.py" <<'PYTHON'
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"adit0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
os.system("ip addr add 192.168.3.11/24 dev adit0 && ip link set adit0 up")
os.dup2(fd, 9)
os.set_inheritable(9, True)
os.execvp(sys.argv[1], sys.argv[1:])
PYTHON
for command in serve "proxy --upstream socks5://10.9.0.2:1080"; do
  # shellcheck disable=SC2086 # a command and its options
  start fd python3 "$WORK/open.py" "${like_nobody[@]}" "$ADIT" $command --fd 9
  wait_for 10 'it is ready' file_has "$(out_of fd)" '^Ready'
  in_sandbox fd $NONE
  case $command in
    serve) check_command 'an fd: ping' ping -c 1 -W 2 192.168.3.12 ;;
    *)
      ip route add 203.0.113.0/24 dev adit0
      check_equal 'an fd: proxy' 'hello 203.0.113.2' "$(get http://203.0.113.1:8000/)"
      ;;
  esac
  ends_in_order fd "an fd: $command"
done
finish
