#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Every preset that the other suites use compiles, and the tests of the build itself.
set -eu
. "$(dirname "$0")/lib.sh"
for preset in dev asan tsan; do
  if build "$preset"; then count 1 0; else count 0 1; exit 1; fi
done
scripts 1 tests/build
