# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What every network test needs: a world of its own, processes, waiting with a bound, checks that print both values.
#
#   #!/usr/bin/env bash
#   set -eu
#   . "$(dirname "$0")/lib.sh"
#   start dump "$ADIT" dump --dev adit0
#   wait_for 5 "adit0 is up" link_is_up adit0
#   run ping -c 1 -W 2 192.168.3.12
#   check_status 0
#   stop dump
#   check_status 0
#   finish
#
# Sourcing this file starts the script again inside new network, mount and process namespaces. There lo is up, all else is
# absent, and /run/netns is private: interfaces, namespaces made with `netns`, and processes go with the script, however
# it ends, and nothing of them is ever seen outside. A test does not need root where user namespaces may be made.
#
# Exit status: 0 passed, 1 failed, 77 left out with the reason on standard error (the runner counts those).
# shellcheck shell=bash

TEST=$(basename "$0" .sh)

# skip REASON: this test cannot run here.
skip() {
  printf '%s: left out: %s\n' "$TEST" "$*" >&2
  exit 77
}

# need PROGRAM...: leave the test out when one is missing.
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "the program '$program' is not installed"
  done
}

: "${ADIT:?set ADIT to the adit program to test, for example ADIT=build/dev/adit}"
case $ADIT in /*) ;; *) ADIT=$PWD/$ADIT ;; esac
[ -x "$ADIT" ] || { printf '%s: ADIT=%s: no such program\n' "$TEST" "$ADIT" >&2; exit 1; }
export ADIT LC_ALL=C

if [ "${ADIT_TEST_INSIDE:-}" != "$TEST" ]; then
  need unshare ip
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
  space=(unshare "${as_root[@]}" --net --mount --pid --fork --kill-child --mount-proc)
  reason=$("${space[@]}" true 2>&1) || skip "namespaces cannot be made here: $reason"
  [ -c /dev/net/tun ] || skip "there is no /dev/net/tun (modprobe tun, or give the container --device /dev/net/tun)"
  [ -r /dev/net/tun ] && [ -w /dev/net/tun ] || skip "/dev/net/tun may not be opened by user $(id -un)"
  ADIT_TEST_INSIDE=$TEST exec "${space[@]}" bash "$0" "$@"
fi

WORK=$(mktemp -d "${TMPDIR:-/tmp}/adit-$TEST.XXXXXX") # files of this test; removed at its end
CHECKS=0                                              # checks that passed
OUT='' ERR='' STATUS=''                               # what the last run or stop left
declare -A PID=()                                     # running processes by the name given to start
declare -A SPACES=()                                  # network namespaces made with netns

# At the end, however it came: processes first, then files. After a failure their output is shown before it goes.
clean_up() {
  local status=$? name
  trap - EXIT INT TERM
  set +e
  for name in "${!PID[@]}"; do
    kill -KILL "${PID[$name]}" 2>/dev/null
    wait "${PID[$name]}" 2>/dev/null
  done
  if [ "$status" != 0 ] && [ "$status" != 77 ]; then
    for name in "$WORK"/*.out "$WORK"/*.err; do
      [ -s "$name" ] && { printf -- '--- %s (its last lines)\n' "${name##*/}"; tail -n 30 "$name"; } >&2
    done
    printf '%s: FAILED with status %s after %s good checks\n' "$TEST" "$status" "$CHECKS" >&2
    [ ! -e "$WORK/why" ] || cut -c 1-2000 "$WORK/why" >&2 # again, where it is found: at the end
  fi
  for name in "${!SPACES[@]}"; do
    ip netns delete "$name"
  done
  rm -rf "$WORK"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for folder in /run/netns /run/adit; do # the latter is where control sockets are
  mkdir -p $folder && mount -t tmpfs -o mode=700 none $folder && mount --make-private $folder
done
ip link set lo up

# Addresses are what they will be at once, instead of tentative for a second or two: states can be compared.
without_dad() {
  local which
  for which in all default; do echo 0 >/proc/sys/net/ipv6/conf/$which/accept_dad; done
}
without_dad

# fail TEXT...: end the test.
fail() {
  printf '%s: line %s: %s\n' "$TEST" "$(caller_line)" "$*" | tee "$WORK/why" >&2
  exit 1
}

# The line of the test, not of this file, that is being executed.
caller_line() {
  local i
  for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
    [ "${BASH_SOURCE[i]}" = "${BASH_SOURCE[0]}" ] || { printf '%s' "${BASH_LINENO[i - 1]}"; return; }
  done
}

# passed TEXT: count a check.
passed() {
  CHECKS=$((CHECKS + 1))
  [ -z "${VERBOSE:-}" ] || printf '%s: ok: %s\n' "$TEST" "$1"
}

# check_equal WHAT EXPECTED FOUND
check_equal() {
  [ "$2" = "$3" ] || fail "$1"$'\n'"  expected: $2"$'\n'"  found:    $3"
  passed "$1"
}

# check_contains WHAT PART TEXT: TEXT contains PART, character by character.
check_contains() {
  case $3 in *"$2"*) passed "$1" ;; *) fail "$1"$'\n'"  expected to contain: $2"$'\n'"  found: $3" ;; esac
}

# check_lacks WHAT PART TEXT: TEXT does not contain PART.
check_lacks() {
  case $3 in *"$2"*) fail "$1"$'\n'"  expected not to contain: $2"$'\n'"  found: $3" ;; *) passed "$1" ;; esac
}

# check_match WHAT REGEX TEXT: the extended regular expression matches TEXT.
check_match() {
  [[ $3 =~ $2 ]] || fail "$1"$'\n'"  expected to match: $2"$'\n'"  found: $3"
  passed "$1"
}

# check_at_least WHAT LEAST FOUND: whole numbers.
check_at_least() {
  [ "$3" -ge "$2" ] || fail "$1"$'\n'"  expected at least: $2"$'\n'"  found: $3"
  passed "$1"
}

# check_status EXPECTED [WHAT]: exit status of the last run or stop.
check_status() {
  [ "$STATUS" = "$1" ] ||
    fail "${2:-exit status}"$'\n'"  expected status: $1"$'\n'"  found: $STATUS"$'\n'"  stdout: $OUT"$'\n'"  stderr: $ERR"
  passed "${2:-exit status $1}"
}

# check_command WHAT COMMAND...: the command succeeds; when not, what it printed is shown.
check_command() {
  local what=$1
  shift
  run "$@"
  [ "$STATUS" = 0 ] || fail "$what"$'\n'"  command: $*"$'\n'"  status: $STATUS"$'\n'"  stdout: $OUT"$'\n'"  stderr: $ERR"
  passed "$what"
}

# run COMMAND...: run it to its end, at most 60 seconds (RUN_SECONDS); sets OUT, ERR and STATUS (124 = it took too long).
run() {
  STATUS=0
  timeout -k 5 "${RUN_SECONDS:-60}" "$@" >"$WORK/run.stdout" 2>"$WORK/run.stderr" </dev/null || STATUS=$?
  OUT=$(tr -d '\0' <"$WORK/run.stdout")
  ERR=$(tr -d '\0' <"$WORK/run.stderr")
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds. Its last output is shown when it never does.
wait_for() {
  local seconds=$1 what=$2 end seen
  shift 2
  end=$((${EPOCHREALTIME/./} + seconds * 1000000))
  until seen=$("$@" 2>&1); do
    [ "${EPOCHREALTIME/./}" -lt "$end" ] || fail "waited $seconds s for: $what"$'\n'"  command: $*"$'\n'"  said: $seen"
    sleep 0.02
  done
}

# start NAME COMMAND...: run it beside the test. Output goes to the files that out_of and err_of name.
start() {
  local name=$1
  shift
  start_to "$name" "$WORK/$name.out" "$@"
}

# start_to NAME FILE COMMAND...: the same with standard output to FILE, which may be a pipe.
start_to() {
  local name=$1 file=$2
  shift 2
  [ -z "${PID[$name]:-}" ] || fail "start: '$name' runs already"
  : >"$WORK/$name.err" # here and now: nobody shall find in it what an earlier process of that name said
  : >"$WORK/$name.out"
  "$@" >"$file" 2>"$WORK/$name.err" </dev/null &
  PID[$name]=$!
}

# start_in SPACE NAME COMMAND...: the same in a network namespace made with netns.
start_in() {
  local space=$1 name=$2
  shift 2
  start "$name" ip netns exec "$space" "$@"
}

out_of() { printf '%s' "$WORK/$1.out"; }
err_of() { printf '%s' "$WORK/$1.err"; }

# is_running NAME
is_running() {
  local state
  state=$(ps -o stat= -p "${PID[$1]:-0}" 2>/dev/null) && case $state in Z* | '') false ;; esac
}
has_ended() { ! is_running "$1"; }

# await NAME [SECONDS]: let it end by itself, within 10 seconds; sets STATUS, OUT and ERR.
await() {
  local name=$1
  wait_for "${2:-10}" "'$name' ends" has_ended "$name"
  STATUS=0
  wait "${PID[$name]}" || STATUS=$?
  unset "PID[$name]"
  OUT=$(tr -d '\0' <"$WORK/$name.out")
  ERR=$(tr -d '\0' <"$WORK/$name.err")
}

# stop NAME [SIGNAL [SECONDS]]: send SIGTERM or SIGNAL, wait for the end as await does.
stop() {
  is_running "$1" || fail "stop: '$1' has ended before it was stopped: $(cat "$WORK/$1.err")"
  kill -"${2:-TERM}" "${PID[$1]}"
  await "$1" "${3:-10}"
}

# netns NAME: make one more network namespace, lo up. Use it with in_ns and start_in.
netns() {
  ip netns add "$1"
  SPACES[$1]=1
  ip netns exec "$1" ip link set lo up
  ip netns exec "$1" bash -c "$(declare -f without_dad); without_dad"
}

# in_ns SPACE COMMAND...
in_ns() {
  local space=$1
  shift
  ip netns exec "$space" "$@"
}

# capture NAME INTERFACE FILTER: tcpdump prints what crosses the interface, and echo for captured, into out_of NAME.
capture() {
  start "$1" tcpdump -i "$2" -n -l -s 128 -B 65536 -Z root "($3) or icmp"
  wait_for 10 "$1: tcpdump listens" file_has "$(err_of "$1")" 'listening on'
}

# captured NAME HOST: returns when all has been printed that crossed before, for tcpdump reads late and what it has not
# read when it is stopped is lost. It pings HOST over the interface, with a length of its own each time.
CAPTURES=0
captured() {
  CAPTURES=$((CAPTURES + 1))
  ping -n -c 1 -W 5 -s $((100 + CAPTURES)) "$2" >/dev/null || fail "$1: $2 does not answer a ping"
  wait_for 30 "$1: all is printed" file_has "$(out_of "$1")" "ICMP echo reply.* length $((108 + CAPTURES))\$"
}

# Conditions for wait_for.
file_has() { grep -q -e "$2" "$1"; }                                      # file_has FILE REGEX
file_has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }                       # file_has_lines FILE NUMBER
link_exists() { ip link show dev "$1" >/dev/null 2>&1; }                  # link_exists NAME
link_is_gone() { ! ip link show dev "$1" >/dev/null 2>&1; }               # link_is_gone NAME
link_is_settled() { # link_is_settled NAME: the kernel has given it its link-local address, and what belongs to that
  [ -n "$(ip -6 address show dev "$1" scope link -tentative)" ] && ip -6 route show dev "$1" | grep -q '^fe80'
}
link_is_up() { ip -o link show dev "$1" up 2>/dev/null | grep -q LOWER_UP; } # link_is_up NAME: up and with carrier
port_answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }                # port_answers HOST PORT: TCP connects

# Names of all interfaces, sorted, on one line: compare before and after.
links() { ip -o link show | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }' | sort | paste -sd' '; }

# finish: the end of a test that passed.
finish() {
  local name
  for name in "${!PID[@]}"; do
    is_running "$name" || fail "'$name' has ended by itself: $(cat "$WORK/$name.err")"
  done
  [ "$CHECKS" -gt 0 ] || fail "no check was made"
  printf '%s: %s checks passed\n' "$TEST" "$CHECKS"
  exit 0
}
