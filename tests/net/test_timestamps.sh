#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# TCP timestamps with the kernel as a client: both sides send them in every segment, or neither does where the client is told
# not to; what is transferred is whole, and nothing is dropped for its timestamp.
set -eu
. "$(dirname "$0")/lib.sh"
need curl nc tcpdump

V4=192.168.3.12
V6=fdad:3::12
BYTES=3000001

# lines_of FILE FROM: segments from that address, without RST, which need no timestamp.
lines_of() {
  awk -v from="$2" '/Flags/ && !/Flags \[R/ && index($3, from ".") == 1' "$1"
}

transfer() { # OPTION...
  head -c $BYTES /dev/urandom >"$WORK/sent"
  start serve "$ADIT" serve --dev adit0 "$@"
  wait_for 10 'serve is ready' file_has "$(out_of serve)" '^Ready'
  capture sniff adit0 tcp
  for host in $V4 "[$V6]"; do
    check_command "download from $host" curl -gsS --max-time 60 -o "$WORK/page" "http://$host/bytes/$BYTES"
    check_equal "bytes from $host" $BYTES "$(stat -c %s "$WORK/page")"
    address=${host#[}
    nc -N -w 20 "${address%]}" 7 <"$WORK/sent" >"$WORK/back" || fail "echo by $host: nc failed"
    check_equal "bytes back from $host" "$(sha256sum <"$WORK/sent")" "$(sha256sum <"$WORK/back")"
  done
  captured sniff $V4
  stop sniff INT
  check_contains 'no packet is missing in the capture' '0 packets dropped by kernel' "$(cat "$(err_of sniff)")"
  stop serve
  check_status 0
  check_contains 'nothing was dropped' 'dropped: 0' "$(cat "$(out_of serve)" "$(err_of serve)")"
}

# count_stamped WANTED: of each side's segments all or none have timestamps.
count_stamped() {
  local side all stamped
  for side in 192.168.3.11 $V4 fdad:3::11 $V6; do
    all=$(lines_of "$(out_of sniff)" $side | wc -l)
    stamped=$(lines_of "$(out_of sniff)" $side | grep -c 'TS val' || :)
    check_at_least "$1: segments of $side" 20 "$all"
    if [ "$1" = all ]; then
      check_equal "segments of $side with timestamps" "$all" "$stamped"
    else
      check_equal "segments of $side with timestamps" 0 "$stamped"
    fi
  done
}

# Not every tcpdump reads packets of more than 64 KiB.
for option in --no-big-tcp --no-offload; do
  printf 1 >/proc/sys/net/ipv4/tcp_timestamps
  transfer $option
  count_stamped all
done
printf 0 >/proc/sys/net/ipv4/tcp_timestamps
transfer --no-big-tcp
count_stamped none

finish
