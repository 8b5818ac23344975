#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Fuzzing under the address and undefined behaviour sanitizers: every target for a minute, two at a time, in namespaces of
# their own. Under CI=true a run tries what the one before tried, so that a finding is of the change or not at all; others
# are for everywhere else. With --long ten minutes each, and ten million mutated packets.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_packages clang libclang-rt-dev
build fuzz
long=${ADIT_TEST_LONG:-}
export ADIT_FUZZ_SECONDS=${ADIT_FUZZ_SECONDS:-$([ -n "$long" ] && echo 600 || echo 60)}
if [ "${CI:-}" = true ] && [ -z "$long" ]; then export ADIT_FUZZ_SEED=${ADIT_FUZZ_SEED:-1}; fi
export ADIT_FUZZ_COUNTS=$ADIT_SUITE_DIR/fuzz-counts
status=0
apart tests/fuzz/run.sh build/fuzz 2>&1 | tee "$ADIT_SUITE_DIR/fuzz.log" || status=$?
[ $status = 0 ] || { grep -A 6 FAILED "$ADIT_SUITE_DIR/fuzz.log" >"$ADIT_SUITE_DIR/fuzz.short"; failed_test fuzz "$ADIT_SUITE_DIR/fuzz.short"; }
read -r p f <"$ADIT_FUZZ_COUNTS" || { p=0 f=1; }
count "$p" "$f"
if [ -n "$long" ]; then
  build dev
  if ADIT_MUTATIONS=10000000 build/dev/tests/unit/test_mutation; then count 1 0; else count 0 1; status=1; fi
fi
exit $status
