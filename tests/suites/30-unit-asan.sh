#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Unit tests under the address and undefined behaviour sanitizers.
set -eu
. "$(dirname "$0")/lib.sh"
build asan
unit asan '^unit[.]'
