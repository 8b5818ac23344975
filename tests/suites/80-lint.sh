#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# clang-tidy and cppcheck find nothing.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages clang-tidy cppcheck
build dev
cmake/lint.sh build/dev
count 1 0
