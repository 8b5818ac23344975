#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# How fast adit is, beside the kernel: every case is run against each peer in turn, round after round, on this machine.
#
# A peer is something that answers at 192.168.3.12 and fdad:3::12, in a network namespace of its own where the client runs,
# too. So all peers get the same client with the same arguments:
#   adit    adit serve
#   plain   adit serve --no-offload
#   veth    kernel sockets in another namespace, reached over a veth pair (MTU 1500, offloads as they are by default)
#   NAME    --peer NAME=COMMAND: the command is run in the namespace, makes a device there and answers
# What is compared was measured within seconds of each other; the ratio that counts is the median of the rounds' ratios.
#
# Nothing outside of the namespaces is changed, and they go with this script however it ends.
# Exit status: 0 measured, 1 a case failed or is far off its goal (report.py), 2 wrong usage.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C V4=192.168.3.12 V6=fdad:3::12

# name | what | unit | member of the client's answer | peers, * for those of --peer | command; SECS and COUNT are replaced
CASES=(
  "up4|TCP up, IPv4|Gbit/s|gbit_per_s|adit plain veth *|load send $V4 9 SECS"
  "down4|TCP down, IPv4|Gbit/s|gbit_per_s|adit plain veth *|load receive $V4 19 SECS"
  "up6|TCP up, IPv6|Gbit/s|gbit_per_s|adit plain veth *|load send $V6 9 SECS"
  "down6|TCP down, IPv6|Gbit/s|gbit_per_s|adit plain veth *|load receive $V6 19 SECS"
  "up4x4|TCP up, 4 streams|Gbit/s|gbit_per_s|adit veth *|load send $V4 9 SECS 4"
  "down4x4|TCP down, 4 streams|Gbit/s|gbit_per_s|adit veth *|load receive $V4 19 SECS 4"
  "http|HTTP /bytes/1G, curl|Gbit/s|gbit_per_s|adit veth *|fetch http://$V4/bytes/1G"
  "echo4|echo request, IPv4|us|p50_us|adit veth *|load echo $V4 COUNT block"
  "echo6|echo request, IPv6|us|p50_us|adit veth *|load echo $V6 COUNT block"
  "echopoll|echo, client polls|us|p50_us|adit veth *|load echo $V4 COUNT poll"
  "connect|connections, one by one|1/s|per_s|adit veth *|load connect $V4 7 SECS 1"
  "connect8|connections, 8 at once|1/s|per_s|adit veth *|load connect $V4 7 SECS 8"
  "udp|UDP echo of 1400 bytes|1/s|echoed_per_s|adit veth *|load udp $V4 7 SECS 1400"
)

# case | peer | at-least PEER RATIO, or at-most VALUE. Missing a goal is said; missing it by a factor of 2 is a failure.
GOALS=(
  "up4|adit|at-least veth 0.6" "up4|adit|at-least plain 10"
  "down4|adit|at-least veth 0.6" "down4|adit|at-least plain 10"
  "up6|adit|at-least veth 0.6" "up6|adit|at-least plain 10"
  "down6|adit|at-least veth 0.6" "down6|adit|at-least plain 10"
  "echo4|adit|at-most 100" "echo6|adit|at-most 100"
)

# What the kernel's servers of the veth peer are, as adit_load calls them.
SERVERS=("discard 9" "chargen 19" "echo 7" "http 80" "udp-echo 7")

usage() {
  cat <<'TEXT'
usage: run.sh [--short] [--rounds N] [--seconds S] [--only REGEX] [--json FILE] [--congestion NAME]
              [--peer NAME=COMMAND]... [--adit PROGRAM] [--load PROGRAM]
  --short            rounds of half a second
  --rounds N         3 or more, by default 3
  --seconds S        length of one measurement, by default 2
  --only REGEX       only cases with such a name; --only list names them
  --json FILE        write all numbers
  --congestion NAME  congestion control of the kernel's side, by default cubic
  --peer NAME=CMD    one more peer: CMD makes a device and answers at 192.168.3.12 and fdad:3::12 like adit serve
  --adit, --load     the programs; by default those of build/release
TEXT
}

wrong() {
  printf 'run.sh: %s\n' "$*" >&2
  usage >&2
  exit 2
}

BUILD=$HERE/../../build/release
ADIT=${ADIT:-$BUILD/adit} LOAD=${ADIT_LOAD:-$BUILD/tests/bench/adit_load}
ROUNDS=3 SECS=2 ONLY=. JSON='' CONGESTION=cubic
declare -A EXTRA=() # commands of --peer by name
EXTRAS=()           # those names, in order
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --short) SECS=0.5; shift; continue ;;
    --help) usage; exit 0 ;;
    --rounds | --seconds | --only | --json | --congestion | --peer | --adit | --load)
      [ $# -gt 1 ] || wrong "$1 wants a value" ;;
    *) wrong "unknown argument '$1'" ;;
  esac
  case $1 in
    --rounds) ROUNDS=$2 ;;
    --seconds) SECS=$2 ;;
    --only) ONLY=$2 ;;
    --json) JSON=$2 ;;
    --congestion) CONGESTION=$2 ;;
    --peer) [[ $2 =~ ^[a-z][a-z0-9]*=. ]] || wrong "--peer '$2': not NAME=COMMAND"; EXTRAS+=("${2%%=*}") EXTRA[${2%%=*}]=${2#*=} ;;
    --adit) ADIT=$2 ;;
    --load) LOAD=$2 ;;
  esac
  shift 2
done
[[ $ROUNDS =~ ^([3-9]|[1-9][0-9]+)$ ]] || wrong "--rounds $ROUNDS: medians want 3 or more"
[[ $SECS =~ ^([1-9][0-9]*|0\.[0-9]*[1-9]|[1-9][0-9]*\.[0-9]+)$ ]] || wrong "--seconds $SECS: not a number above 0"
for name in adit plain veth far; do [ -z "${EXTRA[$name]:-}" ] || wrong "--peer $name: that name is taken"; done
if [ "$ONLY" = list ]; then
  for row in "${CASES[@]}"; do IFS='|' read -r name what _ <<<"$row"; printf '%-10s %s\n' "$name" "$what"; done
  exit 0
fi

stop() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || stop 'needs root, for network namespaces: sudo tests/bench/run.sh'
[ -c /dev/net/tun ] || stop 'there is no /dev/net/tun: modprobe tun'
for program in unshare ip curl python3 awk; do
  command -v "$program" >/dev/null || stop "the program '$program' is not installed"
done
for program in "$ADIT" "$LOAD"; do
  [ -x "$program" ] || stop "$program is not there: cmake --preset release && cmake --build --preset release"
done
if [ -z "${ADIT_BENCH_INSIDE:-}" ]; then
  export ADIT_BENCH_INSIDE=1
  exec unshare --net --mount --pid --fork --kill-child --mount-proc bash "$0" "${arguments[@]}"
fi

# ---- the world: a namespace for each peer --------------------------------------------------------------------------

WORK=$(mktemp -d "${TMPDIR:-/tmp}/adit-bench.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p /run/netns && mount -t tmpfs none /run/netns && mount --make-private /run/netns
declare -A PID=() # of the process that answers; none for veth, where it is the kernel

within() { # within NAMESPACE COMMAND...
  local space=$1
  shift
  ip netns exec "$space" "$@"
}

# Without TIME-WAIT, or the client would run out of ports when it opens connections one after the other.
make_space() {
  ip netns add "$1"
  ip -n "$1" link set lo up
  within "$1" sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets; echo "1024 65535" >/proc/sys/net/ipv4/ip_local_port_range'
}

# answers NAMESPACE: the peer answers, within 10 seconds.
answers() {
  local end=$((SECONDS + 10))
  until within "$1" bash -c "exec 3<>/dev/tcp/$V4/9 4<>/dev/tcp/$V6/9" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || stop "peer $1 does not answer at $V4 port 9: $(tail -n 5 "$WORK/$1.log")"
    sleep 0.05
  done
}

start_peer() { # start_peer NAMESPACE COMMAND...
  local space=$1
  make_space "$space"
  ip netns exec "$@" >"$WORK/$space.log" 2>&1 </dev/null & # not a function: $! is to be the process itself
  PID[$space]=$!
  answers "$space"
}

start_veth() {
  local server
  make_space veth
  make_space far
  ip -n veth link add near mtu 1500 type veth peer name far mtu 1500 netns far
  ip -n veth addr add 192.168.3.11/24 dev near
  ip -n veth addr add fdad:3::11/64 dev near nodad
  ip -n far addr add $V4/24 dev far
  ip -n far addr add $V6/64 dev far nodad
  ip -n veth link set near up
  ip -n far link set far up
  for server in "${SERVERS[@]}"; do
    # shellcheck disable=SC2086 # two words
    ip netns exec far "$LOAD" -c "$CONGESTION" serve-$server >>"$WORK/veth.log" 2>&1 </dev/null &
  done
  answers veth
}

start_peer adit "$ADIT" serve --dev adit0
start_peer plain "$ADIT" serve --dev adit0 --no-offload
start_veth
for name in "${EXTRAS[@]}"; do start_peer "$name" bash -c "${EXTRA[$name]}"; done

# ---- measuring -----------------------------------------------------------------------------------------------------

# Clients: each prints one JSON object. They are called by measure, in another shell.
# shellcheck disable=SC2317
load() { "$LOAD" -c "$CONGESTION" "$@"; }
# shellcheck disable=SC2317
fetch() {
  local answer
  answer=$(curl --disable --noproxy '*' -gsS --fail --max-time 60 -o /dev/null -w '%{size_download} %{time_total}' "$1") ||
    return
  awk '{ printf "{\"bytes\": %.0f, \"seconds\": %s, \"gbit_per_s\": %.3f}\n", $1, $2, $1 * 8e-9 / $2 }' <<<"$answer"
}
export -f load fetch
export LOAD CONGESTION

# CPU ticks of the process that answers, then packets and bytes to it and from it, through its device.
counters() {
  local ticks=0
  [ -z "${PID[$1]:-}" ] || ticks=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/${PID[$1]}/stat")
  # shellcheck disable=SC2016 # awk's own $1
  within "$1" awk -v ticks="$ticks" 'NR > 2 && $1 != "lo:" { rb += $2; rp += $3; tb += $10; tp += $11 }
    END { printf "%.0f, %.0f, %.0f, %.0f, %.0f", ticks, tp, tb, rp, rb }' /proc/net/dev
}

# measure ROUND CASE PEER COMMAND: one line of results.
measure() {
  local before after answer
  before=$(counters "$3")
  if answer=$(within "$3" bash -c "$4" 2>"$WORK/error"); then
    after=$(counters "$3")
    printf '{"round": %s, "case": "%s", "peer": "%s", "before": [%s], "after": [%s], "load": %s}\n' \
      "$1" "$2" "$3" "$before" "$after" "$answer" >>"$WORK/results"
  else
    printf '%s against %s failed: %s\n' "$2" "$3" "$(cat "$WORK/error")" >&2
    printf '{"round": %s, "case": "%s", "peer": "%s", "load": null}\n' "$1" "$2" "$3" >>"$WORK/results"
  fi
}

# Ticks that the hypervisor gave to others, and all ticks.
cpu_time() { awk '/^cpu / { printf "[%.0f, %.0f]", $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat; }

stolen_before=$(cpu_time)
COUNT=$(awk -v s="$SECS" 'BEGIN { print int(2000 * s) }')
{
  printf '{"rounds": %s, "seconds": %s, "congestion": "%s", "kernel": "%s", "cpus": %s, "load_average": "%s", "ticks": %s}\n' \
    "$ROUNDS" "$SECS" "$CONGESTION" "$(uname -r)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" "$(getconf CLK_TCK)"
  printf '%s\n' "${CASES[@]}" ; echo ; printf '%s\n' "${GOALS[@]}"
} >"$WORK/plan"
: >"$WORK/results"
for ((round = 1; round <= ROUNDS; round++)); do
  for row in "${CASES[@]}"; do
    IFS='|' read -r name what _ _ peers command <<<"$row"
    [[ $name =~ $ONLY ]] || continue
    command=${command//SECS/$SECS} command=${command//COUNT/$COUNT}
    [ ! -t 2 ] || printf '\r\033[Kround %s of %s: %s' "$round" "$ROUNDS" "$what" >&2
    read -ra order <<<"${peers//\*/${EXTRAS[*]}}"
    for ((i = 0; i < ${#order[@]}; i++)); do # another one is first in each round
      measure "$round" "$name" "${order[(i + round - 1) % ${#order[@]}]}" "$command"
    done
  done
done
[ ! -t 2 ] || printf '\r\033[K' >&2
stolen_after=$(cpu_time)
[ -s "$WORK/results" ] || stop "--only '$ONLY': there is no such case"

# ---- the end: statistics of adit, then the table -------------------------------------------------------------------

for peer in adit plain; do
  kill -TERM "${PID[$peer]}" 2>/dev/null || stop "$peer has ended by itself: $(tail -n 5 "$WORK/$peer.log")"
  wait "${PID[$peer]}" || stop "$peer ended with status $?: $(tail -n 5 "$WORK/$peer.log")"
done
status=0
python3 "$HERE/report.py" "$WORK/plan" "$WORK/results" "$stolen_before" "$stolen_after" "$JSON" || status=$?
for peer in adit plain; do printf '%s: %s\n' "$peer" "$(tail -n 1 "$WORK/$peer.log")"; done
exit "$status"
