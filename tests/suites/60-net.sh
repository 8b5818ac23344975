#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The program against the kernel and real tools, each test in namespaces of its own.
set -eu
. "$(dirname "$0")/lib.sh"
build dev
export ADIT=$PWD/build/dev/adit ADIT_BUILD=$PWD/build/dev ADIT_SANITIZED=0
scripts 2 tests/net
