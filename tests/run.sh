#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Runs every suite of tests: installs what they need (as root), then each tests/suites/NN-name.sh in order.
#
#   sudo tests/run.sh                  all of it
#   tests/run.sh                       what needs no root; what was left out is said
#   sudo tests/run.sh unit net         only these suites
#   tests/run.sh --list                their names
#   sudo tests/run.sh --long [fuzz]    for longer (ADIT_TEST_LONG=1 for what runs): ten minutes a fuzz target, ten million
#                                      mutated packets, 100 seeds, 10,000 bad upstreams, 200 kills, longer floods
#
# A suite is a program. It writes progress to its output, its counts through `count`, and ends with 0, with 77 when it
# was left out, or with another status when it failed (tests/suites/lib.sh has the helpers). The runner ends with one
# line a suite, what each failed test said at its end, and a last line "N passed, N failed[, N skipped]". It exits with 1
# when something failed. With CI=true what is left out or skipped counts as failed, because there everything has to run.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8
suites=${ADIT_SUITES:-tests/suites} # the runner's own test brings other suites

say() { printf '\n== %s\n' "$*"; }
seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Names of the packages that tests/packages.txt lists and that are not installed; nothing where there is no dpkg.
missing_packages() {
  command -v dpkg-query >/dev/null || return 0
  grep -v '^#' tests/packages.txt | while read -r package; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
}

install_packages() {
  ADIT_MISSING=$(missing_packages)
  if [ -n "$ADIT_MISSING" ] && [ "$(id -u)" = 0 ]; then
    say "installing: $ADIT_MISSING"
    # shellcheck disable=SC2086 # a list of words
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $ADIT_MISSING ||
      echo "apt-get could not install everything; suites that need what is missing are left out" >&2
    ADIT_MISSING=$(missing_packages)
  elif [ -n "$ADIT_MISSING" ]; then
    say "not installed (sudo tests/run.sh would do it): $ADIT_MISSING"
  fi
  export ADIT_MISSING
}

names=() only=()
for script in "$suites"/[0-9][0-9]-*.sh; do
  [ -x "$script" ] && names+=("$(basename "$script" .sh)")
done
for argument in "$@"; do
  case $argument in
    --list) printf '%s\n' "${names[@]#??-}"; exit 0 ;;
    --long) export ADIT_TEST_LONG=1 ;;
    -*) echo "usage: $0 [--list] [--long] [SUITE...]" >&2; exit 2 ;;
    *)
      for name in "${names[@]}"; do [ "${name#??-}" != "$argument" ] || { only+=("$name"); continue 2; }; done
      echo "$0: there is no suite '$argument'; the suites are: ${names[*]#??-}" >&2
      exit 2
      ;;
  esac
done
[ ${#only[@]} = 0 ] || names=("${only[@]}")

work=$(mktemp -d "${TMPDIR:-/tmp}/adit-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
install_packages

passed=0 failed=0 skipped=0 lines=() ends=()
for name in "${names[@]}"; do
  short=${name#??-}
  say "$short"
  mkdir "$work/$name"
  begin=$EPOCHREALTIME
  ADIT_SUITE_DIR=$work/$name "$suites/$name.sh"
  status=$?
  seconds=$(seconds_since "$begin")
  touch "$work/$name/counts"
  read -r p f s < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$work/$name/counts")
  why=$(cat "$work/$name/why" 2>/dev/null)
  result=ok
  if [ $status = 77 ]; then
    result="left out (${why:-no reason given})"
    s=$((s + 1))
  elif [ $status != 0 ] || [ "$f" != 0 ]; then
    result=FAILED
    [ "$f" != 0 ] || f=1
  elif [ $((p + s)) = 0 ]; then
    result="FAILED (it ran nothing)"
    f=1
  fi
  if [ "${CI:-}" = true ] && [ "$s" != 0 ]; then
    [ "$result" != ok ] || result="FAILED (skipped tests count as failed under CI=true)"
    [ $status != 77 ] || result="FAILED under CI=true: $result"
    f=$((f + s)) s=0
  fi
  counts="$p passed, $f failed$([ "$s" = 0 ] || echo ", $s skipped")"
  lines+=("$(printf '%-12s %-7s %6s s  %s' "$short" "$result" "$seconds" "$counts")")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  for kind in unsteady failed; do
    [ ! -e "$work/$name/$kind" ] || ends+=("$(awk -v s="$short" -v k="$kind" '/^[^ ]/ { print s ", " k ": " $0; next } 1' "$work/$name/$kind")")
  done
  rm -rf "${work:?}/$name"
done

# What root built in somebody's checkout is theirs.
if [ "$(id -u)" = 0 ] && [ -d build ] && [ "$(stat -c %u .)" != 0 ]; then chown -R --reference=. build; fi

printf '\n'
printf '%s\n' "${lines[@]}"
[ ${#ends[@]} = 0 ] || printf '%s\n' '' "${ends[@]}" ''
printf '%s passed, %s failed%s\n' "$passed" "$failed" "$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
