# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What the tests of the build share: a copy of the tree to break, and checks that print both values.
# shellcheck shell=bash

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/adit-build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
CHECKS=0
OUT='' STATUS=''

skip() { printf 'left out: %s\n' "$*"; exit 77; }
fail() { printf 'line %s: %s\n' "${BASH_LINENO[-2]}" "$*"; exit 1; }

# copy_tree TO: the sources as they are now, without anything built.
copy_tree() {
  mkdir -p "$1"
  tar -C "$TOP" --exclude=./build --exclude=./.git --exclude=./.cache -cf - . | tar -C "$1" -xf -
}

# run COMMAND...: sets OUT (both streams) and STATUS.
run() {
  STATUS=0
  OUT=$("$@" 2>&1) || STATUS=$?
}

# check_status WHAT EXPECTED: EXPECTED is a number, or "not 0".
check_status() {
  case $2 in
    'not 0') [ "$STATUS" != 0 ] || fail "$1: expected a failure, found status 0"$'\n'"$OUT" ;;
    *) [ "$STATUS" = "$2" ] || fail "$1: expected status $2, found $STATUS"$'\n'"$OUT" ;;
  esac
  CHECKS=$((CHECKS + 1))
}

# check_says WHAT PART: OUT contains PART; line ends and indentation do not count, CMake wraps its messages.
check_says() {
  local flat
  flat=$(printf '%s' "$OUT" | tr -s ' \n' '  ')
  case $flat in *"$2"*) CHECKS=$((CHECKS + 1)) ;; *) fail "$1: expected to say: $2"$'\n'"found: $OUT" ;; esac
}

check_equal() {
  [ "$2" = "$3" ] || fail "$1"$'\n'"  expected: $2"$'\n'"  found:    $3"
  CHECKS=$((CHECKS + 1))
}

finish() {
  [ "$CHECKS" -gt 0 ] || fail "no check was made"
  printf '%s checks passed\n' "$CHECKS"
}
