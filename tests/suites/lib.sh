# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What suites share: counts and reasons for tests/run.sh, builds, ctest, and running a folder of test scripts.
#
# Most tests of real programs wait for real clocks, and a shared machine can take both processors away for a second. So
# under CI=true what failed runs once more, alone; what passes then is named in the last lines as unsteady, with what it
# said. Everywhere else, and for what does not depend on time, a failure is a failure.
#
# A suite sources this file from the top of the checkout. ADIT_SUITE_DIR is a folder for its own files; the runner
# removes it. Run alone (tests/suites/20-unit.sh), a suite makes one itself.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
if [ -z "${ADIT_SUITE_DIR:-}" ]; then
  ADIT_SUITE_DIR=$(mktemp -d)
  trap 'rm -rf "$ADIT_SUITE_DIR"' EXIT
fi
JOBS=$(nproc)

# count PASSED FAILED [SKIPPED]: adds to the suite's counts.
count() { printf '%s %s %s\n' "$1" "$2" "${3:-0}" >>"$ADIT_SUITE_DIR/counts"; }

# failed_test NAME FILE, unsteady_test NAME FILE: for the runner's last lines, with the end of what it printed.
told() { { printf '%s\n' "$2"; grep -v '^ *$' "$3" | tail -n 16 | cut -c 1-400 | sed 's/^/    /'; } >>"$ADIT_SUITE_DIR/$1"; }
failed_test() { told failed "$@"; }
unsteady_test() { told unsteady "$@"; }
second_try() { [ "${CI:-}" = true ]; }

# leave_out REASON: this suite cannot run here.
leave_out() {
  printf '%s' "$*" >"$ADIT_SUITE_DIR/why"
  printf 'left out: %s\n' "$*"
  exit 77
}

is_root() { [ "$(id -u)" = 0 ]; }
need_root() { is_root || leave_out "needs root"; }

# need_packages PACKAGE...: leave the suite out when one of them could not be installed.
need_packages() {
  local package
  for package in "$@"; do
    case " ${ADIT_MISSING:-} " in *" $package "*) leave_out "not installed: $package" ;; esac
  done
}

# build PRESET: configure and build it, or end the suite. Fast when there is nothing to do.
build() {
  need_packages gcc libc6-dev cmake ninja-build pkg-config patch libcmocka-dev libsodium-dev libmnl-dev libpcap-dev \
    libyaml-dev
  local log=$ADIT_SUITE_DIR/configure.$1
  printf 'configuring and building %s\n' "$1"
  if ! cmake --preset "$1" >"$log" 2>&1; then
    cat "$log"
    return 1
  fi
  cmake --build --preset "$1" --parallel "$JOBS"
}

# Sanitizers of older compilers die at random where the kernel spreads addresses widely; so fixed addresses, if allowed.
STEADY=()
if setarch -R true 2>/dev/null; then STEADY=(setarch -R); fi

# apart COMMAND...: as root, in namespaces of its own, lo up, so that devices and processes of a test stay there and end
# with it. Without root as it is: tests that make devices say that they cannot.
apart() {
  if is_root; then
    unshare --net --mount --pid --fork --kill-child --mount-proc -- \
      sh -c 'ip link set lo up && exec "$@"' sh "${STEADY[@]}" "$@"
  else
    "${STEADY[@]}" "$@"
  fi
}

# Counts the checks in ctest's log: cmocka's own numbers, and one for a program that says none or died before its end.
count_log() {
  awk '
    function number(line) { match(line, /[0-9]+ test\(s\)/); return substr(line, RSTART, RLENGTH) + 0 }
    /^\[  PASSED  \].*test\(s\)/ { p += number($0); said = 1 }
    /^\[  FAILED  \].*test\(s\)/ { f += number($0); bad = 1; said = 1 }
    /^\[  SKIPPED \].*test\(s\)/ { s += number($0); said = 1 }
    /^Test Passed\.$/ { if (!said) p++; said = bad = 0 }
    /^Test .*(Failed|Reason|Timeout|Exception)/ { if (!bad) f++; said = bad = 0 }
    END { print p + 0, f + 0, s + 0 }' "$1"
}

# unit PRESET REGEX: run the tests of that name; skipped ones are named.
unit() {
  local status=0 log=build/$1/Testing/Temporary/LastTest.log p f s p2 f2 s2
  rm -f "$log"
  apart ctest --preset "$1" --tests-regex "$2" || status=$?
  grep -h '^\[  SKIPPED \] [^ ]*$' "$log" | sort -u
  read -r p f s < <(count_log "$log")
  [ $status = 0 ] || [ "$f" != 0 ] || f=1
  if [ $status != 0 ]; then
    cp "$log" "$ADIT_SUITE_DIR/first.log"
    if second_try; then
      status=0
      apart ctest --preset "$1" --rerun-failed || status=$?
      read -r p2 f2 s2 < <(count_log "$log")
      [ $status = 0 ] || [ "$f2" != 0 ] || f2=1
      p=$((p + f - f2)) f=$f2
      [ $status != 0 ] || said_bad "$ADIT_SUITE_DIR/first.log" unsteady_test
    fi
    [ $status = 0 ] || said_bad "$log" failed_test
  fi
  count "$p" "$f" "$s"
  return $status
}

# said_bad LOG COMMAND: the programs that failed in ctest's log, each with what it said, through COMMAND NAME FILE.
said_bad() {
  local part=$ADIT_SUITE_DIR/said name
  rm -rf "$part" && mkdir "$part"
  awk -v to="$part" '
    /^[0-9]+\/[0-9]+ Test(ing)?: / { file = to "/" $NF; bad = 0; next }
    file && /Error|ERROR|error:|LINE|FAILED|SUMMARY|not /  { print >file }
    file && /^Test (Passed|Failed)/ || /^Test .*(Reason|Timeout|Exception)/ { print >file; close(file); if (/Passed/) system("rm -f " file); file = "" }' "$1"
  for name in "$part"/*; do
    if [ -e "$name" ]; then "$2" "$(basename "$name")" "$name"; fi
  done
}

# one_script SCRIPT: run it with a time limit. Says one line; what it printed only when it failed. A report of a
# sanitizer from any process makes it fail, whatever its status. Leaves "passed failed skipped" in a file of its own.
one_script() {
  local name begin=$EPOCHREALTIME status=0 log result counts
  name=$(basename "$1" .sh)
  log=$ADIT_SUITE_DIR/$name.log
  local limit=${SCRIPT_SECONDS:-${ADIT_TEST_LONG:+900}}
  limit=${limit:-300} # the longest took 105 s alone and 230 s beside another one, on a slow machine
  # Status 99 cannot be mistaken for one that a test expects of adit.
  local report="log_path=$ADIT_SUITE_DIR/$name.report:exitcode=99"
  ASAN_OPTIONS=$report:detect_leaks=1 UBSAN_OPTIONS=$report:print_stacktrace=1 TSAN_OPTIONS=$report \
    "${STEADY[@]}" timeout -k 10 "$limit" bash "$1" >"$log" 2>&1 </dev/null || status=$?
  # A process that is killed while it looks for leaks says that, which is no finding.
  find "$ADIT_SUITE_DIR" -name "$name.report*" -print0 | xargs -0r grep -LvE '^==[0-9]+==Unable to get registers from thread' |
    xargs -r rm -f
  [ -z "$(find "$ADIT_SUITE_DIR" -name "$name.report*" -print -quit)" ] || status="0, but a sanitizer reported"
  case $status in
    0) result=ok counts="1 0 0" ;;
    77) result="skipped: $(tail -n 1 "$log")" counts="0 0 1" ;;
    124) result="FAILED (no end after $limit s)" counts="0 1 0" ;;
    *) result="FAILED (status $status)" counts="0 1 0" ;;
  esac
  printf '%s\n' "$counts" >"$ADIT_SUITE_DIR/$name.counts"
  printf '%-40s %5.1f s  %s\n' "$name" "$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')" "$result"
  if [ "$counts" = "0 1 0" ]; then
    cat "$ADIT_SUITE_DIR/$name.report"* >>"$log" 2>/dev/null || :
    printf '%s\n' "$result" >>"$log"
    sed 's/^/    /' "$log"
  fi
}

# scripts JOBS FOLDER: run every test_*.sh there, JOBS at a time. ADIT and what else they need is in the environment.
scripts() {
  local script running=0 failed=0
  for script in "$2"/test_*.sh; do
    [ -e "$script" ] || { echo "there is no $2/test_*.sh"; return 1; }
    if [ "$running" -ge "$1" ]; then wait -n || :; running=$((running - 1)); fi
    one_script "$script" &
    running=$((running + 1))
  done
  wait
  for script in "$2"/test_*.sh; do
    local name log
    name=$(basename "$script" .sh) log=$ADIT_SUITE_DIR/$(basename "$script" .sh).log
    [ "$(cat "$ADIT_SUITE_DIR/$name.counts")" = "0 1 0" ] || continue
    if second_try; then
      mv "$log" "$log.first"
      rm -f "$ADIT_SUITE_DIR/$name.report"*
      one_script "$script"
      if [ "$(cat "$ADIT_SUITE_DIR/$name.counts")" = "1 0 0" ]; then unsteady_test "$name" "$log.first"; continue; fi
    fi
    failed_test "$name" "$log"
  done
  cat "$ADIT_SUITE_DIR"/test_*.counts >>"$ADIT_SUITE_DIR/counts"
  failed=$(awk '{ f += $2 } END { print f + 0 }' "$ADIT_SUITE_DIR/counts")
  [ "$failed" = 0 ]
}
