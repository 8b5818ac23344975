#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The runner tells apart what passed, failed, was left out, was skipped and ran nothing, and its last line says so.
set -eu
. "$(dirname "$0")/lib.sh"

suite() { # suite NAME LINE...
  { printf '#!/usr/bin/env bash\n. "%s/tests/suites/lib.sh"\n' "$TOP"; printf '%s\n' "${@:2}"; } >"$WORK/suites/$1.sh"
  chmod +x "$WORK/suites/$1.sh"
}
only() { rm -rf "$WORK/suites"; mkdir "$WORK/suites"; }
go() { run env -u CI ADIT_SUITES="$WORK/suites" "$@" "$TOP/tests/run.sh"; }
last() { printf '%s' "$OUT" | tail -n 1; }

only
suite 01-good 'count 3 0' 'count 2 0'
go
check_status "all pass" 0
check_equal "all pass: last line" "5 passed, 0 failed" "$(last)"

suite 02-out 'leave_out "no such thing"'
go
check_status "one left out" 0
check_equal "one left out: last line" "5 passed, 0 failed, 1 skipped" "$(last)"
check_says "one left out: why" "left out (no such thing)"
go CI=true
check_status "one left out under CI" 1
check_equal "one left out under CI: last line" "5 passed, 1 failed" "$(last)"

only
suite 01-part 'count 3 0 2'
go
check_equal "skipped tests: last line" "3 passed, 0 failed, 2 skipped" "$(last)"
go CI=true
check_status "skipped tests under CI" 1
check_equal "skipped tests under CI: last line" "3 passed, 2 failed" "$(last)"

only
suite 01-bad 'count 4 1'
suite 02-good 'count 1 0'
go
check_status "a failed test" 1
check_equal "a failed test: last line, the others ran" "5 passed, 1 failed" "$(last)"

only
suite 01-dies 'exit 3'
go
check_status "a suite that dies" 1
check_equal "a suite that dies: last line" "0 passed, 1 failed" "$(last)"

only
suite 01-long 'echo "long: ${ADIT_TEST_LONG:-no}"; count 1 0'
suite 02-other 'echo other ran; count 1 0'
go
check_says "not long" "long: no"
run env -u CI ADIT_SUITES="$WORK/suites" "$TOP/tests/run.sh" --long long
check_says "long" "long: 1"
check_equal "long, one suite: last line" "1 passed, 0 failed" "$(last)"

only
suite 01-empty 'exit 0'
go
check_status "a suite that runs nothing" 1
check_says "a suite that runs nothing" "FAILED (it ran nothing)"

# A folder of scripts: good, bad, left out, one that never ends, one whose child left a sanitizer's report.
only
suite 01-scripts 'export SCRIPT_SECONDS=1' "scripts 2 $WORK/folder"
mkdir "$WORK/folder"
echo 'exit 0' >"$WORK/folder/test_a.sh"
echo 'echo the reason; exit 1' >"$WORK/folder/test_b.sh"
echo 'echo no tool; exit 77' >"$WORK/folder/test_c.sh"
echo 'exec sleep 60' >"$WORK/folder/test_d.sh"
# shellcheck disable=SC2016 # expanded by the script
echo 'path=${ASAN_OPTIONS#log_path=}; echo leaked >"${path%%:*}.1"; exit 0' >"$WORK/folder/test_e.sh"
go
check_status "scripts" 1
check_equal "scripts: last line" "1 passed, 3 failed, 1 skipped" "$(last)"
check_says "scripts: what a failed one printed" "the reason"
check_says "scripts: why one was left out" "skipped: no tool"
check_says "scripts: one without end" "no end after 1 s"
check_says "scripts: a sanitizer's report" "leaked"

# What ctest logs: cmocka's numbers, a program that died before its own summary, one that is not cmocka's.
export ADIT_SUITE_DIR=$WORK
# shellcheck disable=SC1091
. "$TOP/tests/suites/lib.sh"
cat >"$WORK/log" <<'LOG'
[==========] 4 test(s) run.
[  PASSED  ] 3 test(s).
[  FAILED  ] tests: 1 test(s), listed below:
[  FAILED  ] test_x
Test Failed.
[ RUN      ] test_y
Test Failed.
[  PASSED  ] 2 test(s).
[  SKIPPED ] tests: 1 test(s), listed below:
[  SKIPPED ] test_z
Test Passed.
Test Passed.
LOG
check_equal "numbers in a log of ctest" "6 2 1" "$(count_log "$WORK/log")"

# Scripts that fail: what they said is in the last lines. Under CI=true they run once more, and who passes then is named.
mkdir "$WORK/other"
echo 'echo "a reason"; exit 1' >"$WORK/other/test_bad.sh"
echo "echo \"at first\"; test -e '$WORK/been' || { touch '$WORK/been'; exit 1; }" >"$WORK/other/test_now_and_then.sh"
echo 'echo silent' >"$WORK/other/test_good.sh"
only
suite 01-scripts "scripts 2 '$WORK/other'"
go
check_status "scripts" 1
check_equal "scripts: last line" "1 passed, 2 failed" "$(last)"
check_says "scripts: who failed" "scripts, failed: test_bad"
check_says "scripts: nobody is asked twice" "scripts, failed: test_now_and_then"
check_equal "scripts: why, below" 2 "$(printf '%s' "$OUT" | grep -c '^    a reason')"
rm "$WORK/been"
go CI=true
check_status "scripts under CI" 1
check_equal "scripts under CI: last line" "2 passed, 1 failed" "$(last)"
check_says "scripts under CI: who failed twice" "scripts, failed: test_bad"
check_says "scripts under CI: who failed once" "scripts, unsteady: test_now_and_then"
finish
