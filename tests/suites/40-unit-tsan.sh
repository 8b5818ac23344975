#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Unit tests in which threads meet (their names say "thread"), under the thread sanitizer.
set -eu
. "$(dirname "$0")/lib.sh"
build tsan
unit tsan '^unit[.].*thread'
