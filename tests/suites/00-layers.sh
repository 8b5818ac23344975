#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Who includes whom, as the design has it.
set -eu
. "$(dirname "$0")/lib.sh"
/usr/bin/env PATH=/usr/bin:/bin python3 tests/check_layers.py
count 1 0
