#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The short form of the benchmarks: fails when a figure is worse than half of the recorded one in each of four tries.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root
need_packages python3-scapy valgrind # the first one brings python3
[ -c /dev/net/tun ] || leave_out "there is no /dev/net/tun"
build release
log=$ADIT_SUITE_DIR/bench.log
if tests/bench/run.sh --short --build build/release --against tests/bench/recorded.json 2>&1 | tee "$log"; then
  count 1 0
else
  grep -E 'FAILED|WORSE|stolen|run.sh:' "$log" >"$log.short" || :
  failed_test bench "$log.short"
  count 0 1
  exit 1
fi
