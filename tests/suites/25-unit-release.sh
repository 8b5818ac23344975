#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Unit tests of what users run: optimised, the core compiled as a whole, without assertions.
set -eu
. "$(dirname "$0")/lib.sh"
build release
unit release '^unit[.]'
