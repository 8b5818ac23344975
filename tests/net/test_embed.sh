#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# demos/embed_socks, a program with the library inside, as a user would have it: its device, routes set by hand, a real
# SOCKS5 server, curl over IPv4 and IPv6; by name, and with a fd that its parent has opened. far_web.sh has the servers.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_web.sh"
need sha256sum
DEMO=${ADIT_BUILD:?set ADIT_BUILD to the build directory}/demos/embed_socks
[ -x "$DEMO" ] || fail "$DEMO: no such program"
far_web

COUNT=64
sum_of() { (cd "$1" && for ((i = 1; i <= COUNT; i++)); do cat "$i.svg"; done | sha256sum); }
SUM=$(sum_of "$WEB/o")
before=$(links)

# begin WAY URL: the demo runs, and the web site is routed into its device.
begin() {
  case $1 in
    name) start demo "$DEMO" socks0 "$2" ;;
    fd) start demo python3 -c '
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"socks0", 0x1001))  # TUNSETIFF: TUN, no packet information
os.set_inheritable(fd, True)
os.execv(sys.argv[1], [sys.argv[1], str(fd), sys.argv[2]])' "$DEMO" "$2" ;;
  esac
  wait_for 10 'the demo is ready' file_has "$(err_of demo)" '^ready'
  ip link set socks0 up
  ip route add 203.0.113.1/32 dev socks0
  ip -6 route add 2001:db8::1/128 dev socks0
}

pages() { # pages WHAT HOST [CURL-ARGUMENT...]
  local what=$1 host=$2
  shift 2
  mkdir "$WORK/got"
  check_command "$what" curl -sS --fail --max-time 30 --resolve "far.test:80:$host" "$@" -o "$WORK/got/#1.svg" \
    "http://far.test/o/[1-$COUNT].svg"
  check_equal "$what: all of it" "$SUM" "$(sum_of "$WORK/got")"
  rm -r "$WORK/got"
}

for way in name fd; do
  for server in 10.9.0.2:1080 'us%40er:p%3Aw%2Fd%401@[fd09::2]:1081'; do
    what="by $way, ${server##*@}"
    begin $way "socks5://$server"
    for host in 203.0.113.1 '[2001:db8::1]'; do
      pages "$what: $host" "$host"
      pages "$what: $host, $COUNT at once" "$host" --parallel --parallel-immediate --parallel-max $COUNT
      run curl -gsS --max-time 10 "http://$host:81/"
      check_status 7 "$what: $host: a closed port"
    done
    exec 3<>/dev/tcp/203.0.113.1/80 # stays open
    kill -USR1 "${PID[demo]}"
    wait_for 5 "$what: SIGUSR1 lists the connection" file_has "$(err_of demo)" '> 203.0.113.1:80: connected'
    stop demo
    check_status 0 "$what: SIGTERM ends it in order"
    check_contains "$what: it says so" 'stopped: as asked' "$ERR"
    check_lacks "$what: no warning" warning "$ERR"
    check_match "$what: the numbers" "connections: [01] open, [0-9]{2,} relayed, 2 failed" "$ERR"
    wait_for 5 "$what: the device is gone" link_is_gone socks0
    check_equal "$what: interfaces are as before" "$before" "$(links)"
    exec 3<&- 3>&-
  done
done

# What a user gets wrong is said.
run "$DEMO" socks0 ftp://10.9.0.2
check_status 1 'an unknown scheme'
check_contains 'an unknown scheme: the known ones' 'socks5://' "$ERR"
run "$DEMO" socks0
check_status 2 'too few arguments'

finish
