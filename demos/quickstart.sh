#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# From a fresh clone to a stack that answers: installs what is missing, builds, starts `adit serve` and asks it.
#
# Order: packages, configure, build, serve, then one line a question. What a step says goes to $LOG; on the screen is one
# line, which shows how far the step is while it runs. A step that prepares and fails ends the script; a question that
# fails is counted, and the rest is asked all the same.
#
# `adit serve` runs in a network namespace that nothing but that process holds (unshare): its end is the namespace's, with
# device and addresses. It ends by the trap, and by its parent-death signal when this script is killed without one. With
# --stay it runs in the namespace of the caller and outlives the script.
set -u

usage() {
  cat <<'TEXT'
Usage: sudo demos/quickstart.sh [--stay]

Installs what adit needs (apt-get), builds it, starts `adit serve` in a network namespace of its own and
asks it: ping, curl, UDP. What it leaves behind are the packages, the folder build/ and lwIP's source archive
in ~/.cache/adit.

  --stay    start it on this machine's own network instead, and leave it running, to try things by hand
  --help    print this and end

Exit status: 0 everything answered, 1 something did not, 2 wrong usage.
TEXT
}

STAY=no
for argument in "$@"; do
  case $argument in
    --stay) STAY=yes ;;
    -h | --help) usage; exit 0 ;;
    *) printf '%s: unknown option (see %s --help)\n' "$argument" "$0" >&2; exit 2 ;;
  esac
done

cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8
BUILD=build/release
ADIT=$PWD/$BUILD/adit
LOG=$PWD/build/quickstart.log
SERVE_LOG=$PWD/build/quickstart-serve.log
PID_FILE=/run/adit-quickstart.pid
TO_BUILD=(gcc libc6-dev cmake ninja-build pkg-config patch ca-certificates libcmocka-dev libsodium-dev libmnl-dev
  libpcap-dev libyaml-dev liburing-dev)
TO_ASK=(iproute2 iputils-ping curl netcat-openbsd util-linux perl-base)
PACKAGES=("${TO_BUILD[@]}" "${TO_ASK[@]}")
V4=192.168.3.12
V6=fdad:3::12
GIB=1073741824
TITLE='adit: a TCP/IP stack in a program answered you'

# ---- what is seen ----

TERMINAL=no BOLD='' GREEN='' RED='' DIM='' PLAIN='' YES='✓' NO='✗'
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
  TERMINAL=yes
  if [ -z "${NO_COLOR:-}" ]; then BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' DIM=$'\e[2m' PLAIN=$'\e[0m'; fi
  [ "$TERM" != linux ] || YES='ok' NO='NO' # the console's font has no such signs
fi

now() { printf '%s' "${EPOCHREALTIME/./}"; }

# in_words MICROSECONDS
in_words() {
  if [ "$1" -lt 10000 ]; then
    printf '%d.%02d ms' $(($1 / 1000)) $(($1 % 1000 / 10))
  elif [ "$1" -lt 1000000 ]; then
    printf '%d ms' $(($1 / 1000))
  else
    printf '%d.%d s' $(($1 / 1000000)) $(($1 % 1000000 / 100000))
  fi
}

heading() { printf '\n%s%s%s\n' "$BOLD" "$1" "$PLAIN"; }
wipe() { [ $TERMINAL = no ] || printf '\r\e[K'; }

# line MARK LABEL RESULT [TIME]: label and result in ASCII, for printf pads by bytes
line() {
  local colour=$GREEN
  [ "$1" = "$YES" ] || colour=$RED
  wipe
  printf '  %s%s%s %-31s %-46s %9s\n' "$colour" "$1" "$PLAIN" "$2" "$3" "${4:-}"
}

# Ends the script. Messages: what failed, then what to do.
stop() {
  wipe
  printf '%s%s%s\n' "$RED" "$1" "$PLAIN" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

# ---- running a step ----

CHILD='' TICKER='' SERVER='' OUT='' USED=0

# Shows how far a step is, a few times a second; where there is no terminal, a line every five seconds.
tick() { # tick LABEL PROGRESS
  local begin far last=0 seconds
  begin=$(now)
  while sleep 0.3 && kill -0 $$ 2>/dev/null; do
    seconds=$((($(now) - begin) / 1000000))
    far=$($2 2>/dev/null)
    if [ $TERMINAL = yes ]; then
      printf '\r\e[K  %s…%s %-31s %-46.46s %7d s' "$DIM" "$PLAIN" "$1" "$far" "$seconds"
    elif [ $((seconds / 5)) -gt "$last" ]; then
      last=$((seconds / 5))
      printf '    %s: %s %d s\n' "$1" "$far" "$seconds"
    fi
  done
}

# step LABEL PROGRESS COMMAND...: runs it with its output in $OUT, shown by PROGRESS. Sets USED. Returns its status.
# The command has a process group of its own, so that all of it can be ended.
step() {
  local label=$1 progress=$2 begin status=0
  shift 2
  : >"$OUT"
  begin=$(now)
  set -m
  "$@" >"$OUT" 2>&1 </dev/null &
  CHILD=$!
  set +m
  tick "$label" "$progress" &
  TICKER=$!
  wait "$CHILD" 2>/dev/null || status=$?
  CHILD=''
  USED=$(($(now) - begin))
  end_ticker
  { printf '\n==> %s (status %d)\n' "$label" $status; cat "$OUT"; } >>"$LOG"
  return $status
}

end_child() {
  [ -n "$CHILD" ] || return 0
  kill -TERM -- "-$CHILD" 2>/dev/null
  wait "$CHILD" 2>/dev/null
}

end_ticker() {
  [ -n "$TICKER" ] || return 0
  kill -TERM "$TICKER" 2>/dev/null
  wait "$TICKER" 2>/dev/null
  TICKER=''
}

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_child
  end_ticker
  if [ -n "$SERVER" ]; then
    kill -TERM "$SERVER" 2>/dev/null
    wait "$SERVER" 2>/dev/null
    [ $STAY = no ] || rm -f "$PID_FILE"
  fi
  [ -z "$WORK" ] || rm -rf "$WORK"
  # What root built in somebody's checkout is theirs.
  if [ -d build ] && [ "$(stat -c %u .)" != 0 ]; then chown -R --reference=. build; fi
  [ $status -lt 129 ] || { wipe; echo 'Ended. Nothing is left running.' >&2; }
  exit $status
}

# ---- how far a step is ----

no_progress() { :; }
apt_progress() {
  tail -c 2000 "$OUT" | awk -F: '/^(dl|pm)status:/ { far = sprintf("%3d %%  %s", $3, $4) } END { print far }'
}
last_line() { tail -n 1 "$OUT" | tr -d '\r' | sed 's/^-- //'; }
build_progress() { tail -c 2000 "$OUT" | tr '\r' '\n' | sed -n 's/^\[\([0-9]*\)\/\([0-9]*\)\].*/\1 of \2 steps/p' | tail -n 1; }
curl_progress() { tail -c 200 "$OUT" | tr '\r' '\n' | grep -o '[0-9.]*%' | tail -n 1; }

# ---- preparing ----

# give_up WHAT TODO: a step that prepares has failed.
give_up() {
  line "$NO" "$1" failed "$(in_words $USED)"
  grep -v '^\(dl\|pm\)status:' "$OUT" | tail -n 15 | sed 's/^/    /' >&2
  stop "$1 failed." "$2" "All that was said is in $LOG."
}

check_machine() {
  [ "$(id -u)" = 0 ] || stop 'This needs root, to install packages and to make a TUN device.' \
    'Run: sudo demos/quickstart.sh'
  command -v apt-get >/dev/null ||
    stop 'This installs packages with apt-get, and there is none here.' \
      'adit needs these to be built, by the names that Debian has for them:' "  ${TO_BUILD[*]}" \
      'With those: cmake --preset release && cmake --build --preset release && sudo build/release/adit serve' \
      'Without apt-get the configuration has to be told where lwIP is, and says how.'
  [ -c /dev/net/tun ] || modprobe tun 2>/dev/null
  [ -c /dev/net/tun ] || stop 'There is no /dev/net/tun, so no TUN device can be made.' \
    'On a machine: modprobe tun. In a container: give it --device /dev/net/tun --cap-add NET_ADMIN.'
  local why
  why=$( (exec 9<>/dev/net/tun) 2>&1) || stop "/dev/net/tun cannot be opened: ${why##*: }" \
    'In a container: give it --device /dev/net/tun --cap-add NET_ADMIN.'
  if [ $STAY = no ] && command -v unshare >/dev/null; then
    why=$(unshare --net true 2>&1) || stop "A network namespace cannot be made: ${why##*: }" \
      'In a container: give it --cap-add SYS_ADMIN, or use --stay, which needs none.'
  fi
  if [ $STAY = yes ] && [[ $(readlink "/proc/$(cat $PID_FILE 2>/dev/null)/exe") = */adit* ]]; then
    stop 'An adit that was left here by --stay is still running.' "End it: sudo kill \$(cat $PID_FILE)"
  fi
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
}

# shellcheck disable=SC2086 # a list of words
install_packages() {
  local missing hint='The lines above say why. Is there a network? Is another apt-get or dpkg at work?'
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    line "$YES" packages "all ${#PACKAGES[@]} are installed"
    return
  fi
  step 'package lists' apt_progress apt-get -o DPkg::Lock::Timeout=120 -o APT::Status-Fd=1 update ||
    give_up 'package lists' "$hint"
  line "$YES" 'package lists' 'brought up to date' "$(in_words $USED)"
  step packages apt_progress env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
    -o APT::Status-Fd=1 install -y --no-install-recommends $missing || give_up packages "$hint"
  line "$YES" packages "installed $(wc -w <<<"$missing"), others were there" "$(in_words $USED)"
}

build() {
  step configure last_line cmake --preset release || give_up configure 'The lines above say what is missing.'
  line "$YES" configure "lwIP $(sed -n 's/^set(LWIP_VERSION "*\([0-9.]*\).*/\1/p' third_party/lwip/pin.cmake), patched" \
    "$(in_words $USED)"
  step build build_progress cmake --build --preset release --target adit_command demo_greeter ||
    give_up build 'Perhaps the folder build/release is of another machine or compiler: remove it and try again.'
  line "$YES" build "$BUILD/adit" "$(in_words $USED)"
}

# Whether the server is ready, within ten seconds.
becomes_ready() {
  local i
  for ((i = 0; i < 200; i++)); do
    grep -q '^Ready' "$SERVE_LOG" && return 0
    kill -0 "$SERVER" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}

serve() {
  local begin where
  begin=$(now)
  : >"$SERVE_LOG"
  if [ $STAY = yes ]; then
    setsid "$ADIT" serve >"$SERVE_LOG" 2>&1 </dev/null &
    where='on this machine'
  else
    setpriv --pdeathsig TERM unshare --net -- "$ADIT" serve >"$SERVE_LOG" 2>&1 </dev/null &
    where='in a network namespace of its own'
  fi
  SERVER=$!
  if ! becomes_ready; then
    line "$NO" 'adit serve' 'did not start'
    sed 's/^/    /' "$SERVE_LOG" >&2
    stop 'adit serve did not start.' 'The lines above say why.' "They are also in $SERVE_LOG."
  fi
  [ $STAY = no ] || echo "$SERVER" >"$PID_FILE"
  line "$YES" 'adit serve' "$(sed -n 's/^  device  *\([^ ]*\).*/\1/p' "$SERVE_LOG") $where" "$(in_words $(($(now) - begin)))"
}

# ---- asking ----

ASKED=0 FAILED=0

inside() {
  if [ $STAY = yes ]; then "$@"; else nsenter --net="/proc/$SERVER/ns/net" -- "$@"; fi
}
fetch() { inside curl --disable --globoff --noproxy '*' --fail --max-time 100 "$@"; }

# told MARK LABEL RESULT TIME: one question's line, counted.
told() {
  ASKED=$((ASKED + 1))
  [ "$1" = "$YES" ] || FAILED=$((FAILED + 1))
  line "$@"
}

# Nobody has to have IPv6.
has_v6() { grep -q '^  kernel.*:' "$SERVE_LOG"; }

ask_ping() { # ask_ping NAME HOST BYTES
  local label="ping, $1, $3 bytes" received mean
  step "$label" no_progress inside ping -n -c 10 -i 0.02 -W 2 -s "$3" "$2"
  received=$(sed -n 's/.* \([0-9]*\) received.*/\1/p' "$OUT")
  mean=$(sed -n 's/^rtt [^=]*= [0-9.]*\/\([0-9.]*\)\/.*/\1/p' "$OUT")
  if [ "${received:-0}" = 10 ]; then
    told "$YES" "$label" '10 of 10 answered, mean round trip' "$mean ms"
  else
    told "$NO" "$label" "${received:-0} of 10 answered"
  fi
}

ask_page() { # ask_page NAME HOST
  local label="curl, $1, the index page" title
  step "$label" no_progress fetch -sS -w '\n%{time_total}\n' "http://$2/"
  title=$(sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p' "$OUT")
  if [ "$title" = "$TITLE" ]; then
    told "$YES" "$label" "\"${title#adit: }\"" "$(tail -n 1 "$OUT" | awk '{ printf "%.2f ms", $1 * 1000 }')"
  else
    told "$NO" "$label" "${title:-$(tail -n 1 "$OUT")}"
  fi
}

ask_echo() { # ask_echo NAME HOST
  local label="nc -u, $1, a datagram" said='Is anybody there?'
  # shellcheck disable=SC2016 # for the inner shell
  step "$label" no_progress inside sh -c 'printf %s "$1" | nc -u -W 1 -w 2 "$2" 7' sh "$said" "$2"
  if [ "$(cat "$OUT")" = "$said" ]; then
    told "$YES" "$label" "\"$said\" came back" "$(in_words $USED)"
  else
    told "$NO" "$label" 'did not come back as it was'
  fi
}

ask_speed() { # ask_speed NAME HOST
  local label="curl, $1, 1 GiB" bytes speed seconds
  step "$label" curl_progress fetch -# -o /dev/null -w '\n%{size_download} %{speed_download} %{time_total}\n' "http://$2/bytes/1G"
  read -r bytes speed seconds < <(tail -n 1 "$OUT")
  if [ "$bytes" = $GIB ]; then
    told "$YES" "$label" "$(awk -v s="$speed" 'BEGIN { printf "%.1f Gbit/s", s * 8 / 1e9 }')" \
      "$(awk -v s="$seconds" 'BEGIN { printf "%.2f s", s }')"
  else
    told "$NO" "$label" "$(tail -n 1 "$OUT")"
  fi
}

# The checksum of /bytes/1G by the rule that the index page gives, made without adit: with r = i mod 65521, byte i is
# (r xor r >> 8) and 255.
expected_sum() {
  perl -e 'print pack "C*", map { ($_ ^ $_ >> 8) & 255 } 0 .. 65520' >"$WORK/period"
  local i
  for i in {1..64}; do cat "$WORK/period"; done >"$WORK/periods"
  for ((i = 0; i < GIB; i += 64 * 65521)); do cat "$WORK/periods"; done 2>/dev/null | head -c $GIB | sha256sum
}

# Both checksums at once: that of the pattern and that of what is fetched.
both_sums() {
  expected_sum >"$WORK/expected" &
  fetch -# "http://$1/bytes/1G" | sha256sum >"$WORK/fetched"
  wait
}

ask_checksum() { # ask_checksum NAME HOST
  local label="curl, $1, 1 GiB, SHA-256" expected fetched
  step "$label" curl_progress both_sums "$2"
  expected=$(cut -d' ' -f1 "$WORK/expected")
  fetched=$(cut -d' ' -f1 "$WORK/fetched")
  if [ -n "$fetched" ] && [ "$fetched" = "$expected" ]; then
    told "$YES" "$label" "${fetched:0:16}... as computed without adit" "$(in_words $USED)"
  else
    told "$NO" "$label" "got ${fetched:0:12}..., not ${expected:0:12}..." "$(in_words $USED)"
  fi
}

ask_all() { # ask_all NAME HOST HOST-IN-URL
  ask_ping "$1" "$2" 56
  ask_ping "$1" "$2" 60000
  ask_page "$1" "$3"
  ask_echo "$1" "$2"
  ask_speed "$1" "$3"
}

# ---- all of it ----

WORK=''
check_machine
{ mkdir -p build && : >"$LOG"; } || stop "The folder $PWD/build cannot be written." 'Run it in a writable checkout.'
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
WORK=$(mktemp -d "${TMPDIR:-/tmp}/adit-quickstart.XXXXXX") || stop 'There is no room for temporary files.'
OUT=$WORK/out
START=$(now)

printf '%sadit quick start%s: a TCP/IP stack in a program, behind a TUN device\n' "$BOLD" "$PLAIN"
heading Prepare
install_packages
build
serve

heading "Ask it ($V4 and $V6 belong to no interface: the program answers for them)"
ask_all IPv4 $V4 $V4
ask_checksum IPv4 $V4
if has_v6; then
  ask_all IPv6 $V6 "[$V6]"
else
  printf '  - IPv6 is not asked: this kernel has none\n'
fi

printf '\n'
if [ $FAILED != 0 ]; then
  stop "$FAILED of $ASKED questions were not answered as they should be." \
    "What the clients said is in $LOG, what adit said in $SERVE_LOG."
fi
printf '%sAll %d questions answered%s, %s in total.\n' "$GREEN" $ASKED "$PLAIN" "$(in_words $(($(now) - START)))"
if [ $STAY = yes ]; then
  sed -n '/^Try/,/^$/p' "$SERVE_LOG" | sed 's/^Try.*/\nadit serve is still running. Try:/' |
    if command -v dig >/dev/null; then cat; else sed 's/^  dig .*/&   (package bind9-dnsutils)/'; fi
  # shellcheck disable=SC2016 # for the reader's shell
  printf 'End it with: sudo kill $(cat %s); the device and its addresses go with it.\nIt writes to %s.\n' "$PID_FILE" \
    "$SERVE_LOG"
  SERVER='' # it is nobody's to end now
else
  idea() { printf '%-6s%-35s%s\n' "$@"; }
  printf '\n'
  idea Next: 'sudo demos/quickstart.sh --stay' 'the same, left running for your own ping, curl and nc'
  idea '' "sudo $BUILD/adit dump" "what the kernel sends, packet by packet (meanwhile: ping $V4)"
  idea '' "sudo $BUILD/demos/greeter" 'a small program around the library: demos/greeter.c'
  idea '' README.md 'all of it'
fi
