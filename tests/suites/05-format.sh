#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The tree is formatted as .clang-format says.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages clang-format
cmake/format.sh --check
count 1 0
