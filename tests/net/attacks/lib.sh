# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What the tests with attacks share: a victim, an attack, clients that behave beside it, and what both cost. Sourced
# behind lib.sh.
# shellcheck shell=bash

PYTHON=/usr/bin/python3 # Debian's, which has scapy
need ping curl "$PYTHON"
"$PYTHON" -c 'import scapy.all' 2>/dev/null || skip 'python3-scapy is not installed'
ATTACKS=$(cd "$(dirname "$0")" && pwd)/attacks
V4=192.168.3.12
V6=fdad:3::12

# victim COMMAND OPTION...: start adit COMMAND with device adit0, as `victim`.
victim() {
  start victim "$ADIT" "$1" --dev adit0 "${@:2}"
  wait_for 10 'it is ready' file_has "$(out_of victim)" '^Ready'
  ip link set adit0 txqueuelen 20000 # the kernel's queue in front of the program: nothing is to be lost there
}

# MAC address of the victim on a TAP device.
mac_of_victim() {
  ping -n -c 1 -W 3 $V4 >"$WORK/neighbour" || fail "no neighbour: $(cat "$WORK/neighbour")"
  ip neigh show $V4 dev adit0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'
}

# attack WHAT SCRIPT [MAC [NAME...]]: all checks of the script, or those named.
attack() {
  local what=$1 script=$2 line
  shift 2
  RUN_SECONDS=400 run "$PYTHON" -B "$ATTACKS/$script" adit0 "${PID[victim]}" "$@"
  while read -r line; do
    case $line in 'ok '*) passed "$what" && printf '%s: %s\n' "$what" "$line" ;; esac
  done <<<"$OUT"
  check_status 0 "$what: $script"
}

# over WHAT: the end of the victim is in order.
over() {
  stop victim
  check_status 0 "$1: it ends in order"
  check_lacks "$1: nothing went wrong" ERROR "$ERR"
}

resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/${PID[victim]}/status"; }

# beside WHAT SECONDS URL COMMAND...: while COMMAND runs, get URL again and again and ping; both have to work, no connect takes
# longer than SECONDS, and the victim does not grow by more than MOST_KB. At most LOST_MOST percent of the connections may
# fail; without it none. Prints what was measured.
beside() {
  local what=$1 bound=$2 url=$3 before worst=0 count=0 lost=0 peak=0 kb took end said replies
  shift 3
  before=$(resident_kb)
  start attacker "$@"
  start ping ping -n -i 0.2 -W 5 $V4
  end=$((SECONDS + ${ATTACK_SECONDS:-120}))
  while is_running attacker || [ $count -lt 5 ]; do
    [ $SECONDS -lt $end ] || fail "$what: the attacker does not end"
    run curl -gsS --fail --max-time 20 -o /dev/null -w '%{time_connect}' "$url"
    count=$((count + 1))
    if [ "$STATUS" != 0 ]; then
      lost=$((lost + 1))
      [ -n "${LOST_MOST:-}" ] || fail "$what: curl $url beside it, number $count: status $STATUS, $ERR"
      continue
    fi
    took=${OUT//./}
    took=$((10#$took / 1000)) # ms
    [ $took -le $worst ] || worst=$took
    kb=$(resident_kb)
    [ "$kb" -le $peak ] || peak=$kb
  done
  await attacker 60
  check_status 0 "$what: the attacker"
  said=$OUT
  stop ping INT
  replies=$(sed -n 's/.* \([0-9]*\) received.*/\1/p' <<<"$OUT")
  check_at_least "$what: replies to ping beside it" 1 "${replies:-0}"
  [ $((lost * 100)) -le $((count * ${LOST_MOST:-0})) ] || fail "$what: $lost of $count connections beside it failed"
  [ $worst -le $((bound * 1000)) ] || fail "$what: the slowest of $count connects beside it took $worst ms"
  passed "$what: connects beside it"
  [ "${ADIT_SANITIZED:-0}" = 1 ] || [ $((peak - before)) -le "${MOST_KB:-32768}" ] ||
    fail "$what: the program grew from $before to $peak KiB"
  passed "$what: memory"
  check_command "$what: a ping afterwards" ping -n -c 2 -i 0.2 -W 3 $V4
  printf '%s: %s of %s connections beside it went well, the slowest to connect in %s ms; %s pings answered; %s KiB more; %s\n' \
    "$what" $((count - lost)) "$count" "$worst" "$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\2 of \1/p' "$WORK/ping.out")" \
    "$((peak - before))" "$(tail -n 1 <<<"$said")"
}

# ---- tools of others ----

FLOOD_SECONDS=5
[ "${ADIT_TEST_LONG:-0}" = 0 ] || FLOOD_SECONDS=60
ABSENT=()

# has PROGRAM: whether it is here; otherwise it is said, loudly, and remembered.
has() {
  command -v "$1" >/dev/null && return 0
  ABSENT+=("$1")
  printf '%s: NOT DONE: %s is not installed\n' "$TEST" "$1" >&2
  return 1
}

# for_seconds SECONDS COMMAND...: a tool that does not end by itself is ended; that is no fault of its.
for_seconds() {
  local status=0 seconds=$1
  shift
  timeout -s INT -k 2 "$seconds" "$@" || status=$?
  case $status in 0 | 124 | 137) return 0 ;; *) return "$status" ;; esac # 124, 137: it was ended here
}

# tools_done: the end of a test with tools; when some were not here it counts as left out.
tools_done() {
  [ ${#ABSENT[@]} = 0 ] || skip "not installed: ${ABSENT[*]}; the rest passed"
  finish
}
