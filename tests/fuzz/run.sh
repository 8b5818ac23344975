#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Fuzzes: runs the targets of a build made with --preset fuzz, two at a time, each from the committed corpus, the seeds
# made of the recordings and what earlier runs have found.
#
#   tests/fuzz/run.sh [BUILD [TARGET...]]      BUILD is build/fuzz when not given; all targets
#   tests/fuzz/run.sh --merge [BUILD]          instead: keep what runs have found in tests/fuzz/corpus, small
#
#   ADIT_FUZZ_SECONDS=60     for each target
#   ADIT_FUZZ_CORPUS=DIR     where inputs that reach something new are kept; BUILD/fuzz-corpus when not given
#   ADIT_FUZZ_JOBS=2         targets at a time
#   ADIT_FUZZ_SEED=N         the same inputs in each run, as far as it comes in its time; otherwise others each time
#
# Ends with a line a target. A finding is a failure: it says the target, the file that it leaves in BUILD/fuzz-findings and
# how to run it again. FUZZ_TRACE=1 in front of that shows the packets.
set -u
cd "$(dirname "$0")/../.." || exit 1

MOST=40
merge=false
if [ "${1:-}" = --merge ]; then merge=true; shift; fi
build=${1:-build/fuzz}
[ $# = 0 ] || shift
seconds=${ADIT_FUZZ_SECONDS:-60}
corpus=${ADIT_FUZZ_CORPUS:-$build/fuzz-corpus}
findings=$build/fuzz-findings
programs=$build/tests/fuzz

names=("$@")
if [ ${#names[@]} = 0 ]; then
  for source in tests/fuzz/target_*.c; do name=${source##*/target_}; names+=("${name%.c}"); done
fi
for name in "${names[@]}"; do
  [ -x "$programs/fuzz_$name" ] || {
    echo "$programs/fuzz_$name is not there: cmake --preset fuzz && cmake --build --preset fuzz" >&2
    exit 2
  }
done
mkdir -p "$corpus" "$findings"

# Sanitizers of older compilers die at random where the kernel spreads addresses widely; so fixed addresses, if allowed.
steady=()
if setarch -R true 2>/dev/null; then steady=(setarch -R); fi
export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=64 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# The folders of inputs that there are for a target; the first is where new ones go.
inputs() {
  printf '%s\n' "$corpus/$1"
  for folder in "tests/fuzz/corpus/$1" "$programs/seeds/$1"; do [ ! -d "$folder" ] || printf '%s\n' "$folder"; done
}

if $merge; then
  for name in "${names[@]}"; do
    mapfile -t folders < <(inputs "$name")
    mkdir -p "${folders[0]}" "tests/fuzz/corpus/$name"
    rm -rf "$corpus/$name.small" && mkdir "$corpus/$name.small"
    "${steady[@]}" "$programs/fuzz_$name" -merge=1 -max_len=512 "$corpus/$name.small" "${folders[@]}" >/dev/null 2>&1 ||
      echo "$name: an input fails" >&2
    # Of all sizes alike, at most MOST files; what is left out is found again within seconds. Names that somebody gave stay.
    find "tests/fuzz/corpus/$name" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$corpus/$name.small" -type f -printf '%s %p\n' | sort -n | awk -v most="$MOST" '
      { line[NR] = $2 }
      END { step = NR > most ? NR / most : 1; for (at = 1; at <= NR; at += step) print line[int(at)] }' |
      while read -r file; do cp "$file" "tests/fuzz/corpus/$name/"; done
    printf '%-16s %s files\n' "$name" "$(find "tests/fuzz/corpus/$name" -type f | wc -l)"
  done
  exit 0
fi

one() {
  local name=$1 status=0 log=$findings/$1.log folders result file
  mapfile -t folders < <(inputs "$name")
  mkdir -p "${folders[0]}"
  local dictionary=()
  [ ! -e "tests/fuzz/$name.dict" ] || dictionary=(-dict="tests/fuzz/$name.dict")
  "${steady[@]}" timeout -k 10 $((seconds + 120)) "$programs/fuzz_$name" -max_total_time="$seconds" -timeout=20 \
    -seed="${ADIT_FUZZ_SEED:-0}" \
    -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$findings/$name-" "${dictionary[@]}" \
    "${folders[@]}" >"$log" 2>&1 </dev/null || status=$?
  result=ok
  [ $status = 0 ] || result="FAILED (status $status)"
  printf '%-16s %s executions, %s, %s\n' "$name" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
    "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)" "$result"
  [ $status != 0 ] || return 0
  file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  grep -E 'not so:|ERROR:|runtime error:|SUMMARY:|^ *#[0-9]+ 0x' "$log" | head -n 20 | sed 's/^/    /'
  printf '    target fuzz_%s, input %s (all that it said: %s); again:\n    %s %s\n' "$name" "${file:-none}" "$log" \
    "$programs/fuzz_$name" "$file"
  return 1
}

running=0 failed=0
for name in "${names[@]}"; do
  if [ $running -ge "${ADIT_FUZZ_JOBS:-2}" ]; then
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  fi
  one "$name" &
  running=$((running + 1))
done
while [ $running -gt 0 ]; do
  wait -n || failed=$((failed + 1))
  running=$((running - 1))
done
[ -z "${ADIT_FUZZ_COUNTS:-}" ] || printf '%s %s\n' $((${#names[@]} - failed)) $failed >"$ADIT_FUZZ_COUNTS"
[ $failed = 0 ]
